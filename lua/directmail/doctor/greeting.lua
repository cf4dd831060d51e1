--- The greeting of the SMTP server, and what it offers.
local LATER = { starttls = true, auth = true, mail = true, rcpt = true, data = true, dot = true, quit = true }
local EXPECTED = { "PIPELINING", "8BITMIME" }

return {
  id = "smtp.greeting",
  title = "greeting and EHLO of the SMTP server",
  needs = { "network.ports" },
  network = true,
  run = function(look)
    local at, no = look:smtp_endpoint()
    if not at then return nil, no.cause end
    local seen, why = look:rehearsal()
    if not seen then return nil, why.cause end
    local e = seen.err
    if e and not LATER[seen.step] then
      if e.code == "TLS" or seen.step == "connect" and seen.connected then return nil, "there is no connection that can be used: see tls.smtp" end
      return seen.greeting or "silence", { { status = "fail", rule = "smtp." .. seen.step,
        cause = e.reply and ("%s (%s)"):format(e.cause, e.reply) or e.cause, remedy = e.remedy } }
    end
    local findings, offers = {}, table.concat(seen.offers, " "):upper()
    for _, word in ipairs(seen.private and at.direct and EXPECTED or {}) do
      if not offers:find(word, 1, true) then
        findings[#findings + 1] = { status = "warn", rule = "smtp.offers", cause = ("the server does not offer %s, which Direct Mail does"):format(word),
          remedy = "something between changes the dialogue (an antivirus or a firewall's mail inspection): switch it off for this host" }
      end
    end
    local words = {}
    for i, line in ipairs(seen.offers) do
      if i > 1 then words[#words + 1] = line:gsub("^%d%d%d[ -]", "") end
    end
    return ("%s; offers %s"):format(seen.greeting or "", #words > 0 and table.concat(words, ", ") or "nothing"), findings
  end,
}
