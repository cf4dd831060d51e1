--- A signed call: does the service take key, signature and time?
return {
  id = "api.call",
  title = "signed call of the API",
  needs = { "network.api", "tls.api", "api.key" },
  network = true,
  regional = true,
  run = function(look)
    local key = look:key()
    if not key then return nil, "there is no AccessKey" end
    local at, no = look:api_endpoint()
    if not at then return nil, no.cause end
    local answer, e = look:call "DescAccountSummary"
    if answer then
      local skew = look.mail.skew and ("; the time was corrected by %.0f s"):format(math.abs(look.mail.skew)) or ""
      return ("signature V3 accepted by %s in %.0f ms%s"):format(answer.where.peer, answer.where.seconds * 1000, skew)
    end
    if look:missing_right(e) then return "key and signature are accepted; a right is missing, see api.rights" end
    return e.outcome == "refused" and "refused" or "no answer", { { status = "fail", rule = "api.call",
      cause = ("%s%s"):format(e.cause, e.reply and (" (%s)"):format(e.reply) or e.detail and (" (%s)"):format(e.detail) or ""),
      remedy = e.remedy } }
  end,
}
