--- This machine's clock against the service's: a signed call is refused when they differ by 15 minutes.
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local zone = require "directmail.doctor.zone"

local WARN = 60
local NEAR = 90                 -- seconds within which a difference is taken for the time zone's

return {
  id = "clock",
  title = "clock against the service's",
  needs = { "network.api" },
  network = true,
  run = function(look)
    local response, failure = look:hail()
    if not response then return nil, "the API did not answer: " .. tostring(failure.words) end
    local date = response.headers.date and core.date_parse(response.headers.date)
    if not date then return nil, "the answer had no Date" end
    -- the answer was made between the two, and its Date has whole seconds
    local early, late = response.asked - date - 1, response.answered - date
    local skew = early > 0 and early or late < 0 and late or 0
    local size = math.abs(skew)
    local summary = size < 1 and "right to the second" or ("%.0f s %s the service"):format(size, skew > 0 and "ahead of" or "behind")
    if size <= WARN then return summary end
    local off = zone.offset(math.floor(look.host.now()))
    local cause = ("this machine's clock is %.0f s %s the service's"):format(size, skew > 0 and "ahead of" or "behind")
    if off ~= 0 and math.abs(math.abs(off) - size) < NEAR then cause = cause .. ", as much as its time zone: local time was set as if it were UTC" end
    return summary, { { status = size >= limits.clock_window and "fail" or "warn", rule = "clock.skew", cause = cause,
      remedy = "keep it right by NTP (timedatectl set-ntp true); in a container the host's clock counts" } }
  end,
}
