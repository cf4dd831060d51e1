--- The name under which clicks and opens are counted.
local names = require "directmail.doctor.names"

return {
  id = "dns.track",
  title = "tracking CNAME",
  needs = { "dns.domain" },
  network = true,
  run = function(look)
    local no = look:no_dns()
    if no then return nil, no end
    local wanted = look:wanted()
    if not wanted or not wanted.track or not wanted.track_target then return nil, "only the API knows this domain's tracking name" end
    local records, why = look:dns(wanted.track, "CNAME")
    if not records and not look:is_fact(why) then return nil, ("%s: %s"):format(wanted.track, names.words(why)) end
    local target = records and records[1] and records[1].name
    local want = wanted.track_target:lower():gsub("%.$", "")
    if target == want then return ("%s → %s"):format(wanted.track, target) end
    return target or "none", { { status = "warn", rule = "cname.track",
      cause = target and ("%s leads to %s"):format(wanted.track, target) or ("there is no CNAME at %s"):format(wanted.track),
      remedy = "needed for open and click tracking only", record = { name = wanted.track, type = "CNAME", value = want } } }
  end,
}
