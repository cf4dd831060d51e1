--- The SPF record, with everything that it includes.
local names = require "directmail.doctor.names"
local spf = require "directmail.spf"

local WARN_LOOKUPS = 8
local STRING, RECORD = 255, 450         -- octets: of one string (RFC 7208, 3.3), and of a record that fits an answer (3.4)

local function listed(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

-- Does the wanted include pass mail? False, and a finding, when not.
local function region_include(look, walked, text, wanted, found)
  local name = wanted.spf
  if name == "" or walked.includes[name] or walked.redirect == name then return end
  local record = { name = look.domain, type = "TXT", value = spf.with(text, name) }
  if walked.behind[name] then
    found[#found + 1] = { status = "fail", rule = "spf.order", cause = ("include:%s stands behind all, where nobody reads it"):format(name), record = record }
  elseif #walked.broken == 0 and not walked.unknown then
    found[#found + 1] = { status = "fail", rule = "spf.include",
      cause = ("include:%s, which this region needs, is missing"):format(name), record = record }
  end
end

return {
  id = "dns.spf",
  title = "SPF record",
  needs = { "dns.domain" },
  network = true,
  run = function(look)
    local domain = look.domain
    local no = look:no_dns()
    if no then return nil, no end
    local texts, why = look:texts(domain, spf.is)
    if not texts then return nil, ("%s: %s"):format(domain, names.words(why)) end
    local wanted, unknown = look:wanted()
    if #texts == 0 then
      return domain .. ": none", { { status = "fail", rule = "spf.missing", cause = "no SPF record at " .. domain,
        record = wanted and { name = domain, type = "TXT", value = spf.with(nil, wanted.spf) }, remedy = unknown } }
    end
    if #texts > 1 then
      return table.concat(texts, " | "), { { status = "fail", rule = "spf.multiple",
        cause = ("%d SPF records at %s, and receivers take none (RFC 7208, 4.5)"):format(#texts, domain),
        remedy = "keep one that holds the mechanisms of all", record = wanted and { name = domain, type = "TXT", value = spf.with(texts[1], wanted.spf) } } }
    end
    local text, found = texts[1], {}
    local walked = spf.walk(domain, text, function(name, kind) return look:dns(name, kind) end)
    for _, fault in ipairs(walked.faults) do
      found[#found + 1] = { status = "fail", rule = "spf.syntax", cause = "it cannot be read: " .. fault, remedy = "correct the term, or take it out" }
    end
    for _, fault in ipairs(walked.broken) do
      found[#found + 1] = { status = "fail", rule = "spf.broken", cause = "it leads to " .. fault, remedy = "take that include out, or correct its name" }
    end
    if walked.loop then
      found[#found + 1] = { status = "fail", rule = "spf.loop", cause = ("it includes itself, by way of %s"):format(walked.loop),
        remedy = "take that include out" }
    end
    if walked.all == "+" then
      found[#found + 1] = { status = "fail", rule = "spf.plusall", cause = "all without a minus lets everybody send as " .. domain,
        remedy = "end it with -all" }
    end
    if wanted then region_include(look, walked, text, wanted, found) end
    if walked.lookups > spf.MOST_LOOKUPS then
      found[#found + 1] = { status = "fail", rule = "spf.lookups",
        cause = ("%d terms ask DNS, and receivers stop at %d (RFC 7208, 4.6.4)"):format(walked.lookups, spf.MOST_LOOKUPS),
        remedy = ("take out includes of services that you no longer use (%s), or send from a subdomain of its own"):format(listed(walked.includes)) }
    elseif walked.lookups >= WARN_LOOKUPS then
      found[#found + 1] = { status = "warn", rule = "spf.lookups", cause = ("%d of %d look-ups are used"):format(walked.lookups, spf.MOST_LOOKUPS),
        remedy = "send from a subdomain of its own before more is added" }
    end
    if walked.voids > spf.MOST_VOIDS then
      found[#found + 1] = { status = "warn", rule = "spf.void",
        cause = ("%d look-ups find nothing (%s), and more than %d may end the check"):format(walked.voids,
        table.concat(walked.void_names, ", ", 1, math.min(4, #walked.void_names)), spf.MOST_VOIDS), remedy = "take those terms out" }
    end
    if walked.ptr then
      found[#found + 1] = { status = "warn", rule = "spf.ptr", cause = "ptr is slow, and many receivers pass it over (RFC 7208, 5.5)", remedy = "take ptr out" }
    end
    if #text > RECORD then
      found[#found + 1] = { status = "warn", rule = "spf.length", cause = ("it has %d octets; over %d it may not fit one answer"):format(#text, RECORD),
        remedy = ("shorten it, and write it in strings of at most %d octets"):format(STRING) }
    end
    local told = ("%s (%d of %d look-ups)%s"):format(text, walked.lookups, spf.MOST_LOOKUPS,
      (walked.all == "~" or walked.all == "?") and ("; it ends with %sall, the vendor shows -all"):format(walked.all) or "")
    if walked.unknown and #found == 0 then return nil, "not to its end: " .. walked.unknown end
    return told, found
  end,
}
