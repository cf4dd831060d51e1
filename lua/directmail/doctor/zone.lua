--- This machine's time zone, and whether its clock can be right at all.
local RELEASED = 1764028800     -- 2025-11-25: no clock before that is right
local TZ_OCTETS = 65536

-- Seconds that local time is ahead of UTC.
local function offset(now)
  local utc, there = os.date("!*t", now), os.date("*t", now)
  utc.isdst, there.isdst = false, false
  return os.time(there) - os.time(utc)
end

local function shown(seconds)
  local minutes = math.floor(math.abs(seconds) / 60 + 0.5)
  return ("%s%02d:%02d"):format(seconds < 0 and "-" or "+", math.floor(minutes / 60), minutes % 60)
end

return {
  id = "clock.zone",
  title = "time zone",
  always = true,
  offset = offset,
  run = function(look)
    local found, host = {}, look.host
    local now = math.floor(host.now())
    local zone = host.env "TZ"
    if now < RELEASED then
      found[1] = { status = "fail", rule = "clock.past", cause = ("this machine's clock says %s"):format(os.date("!%Y-%m-%d", now)),
        remedy = "set it (timedatectl set-ntp true), and see why it forgets the time" }
    end
    -- a zone that the C library does not find is UTC without a word
    local name = zone and zone:match "^:?(%a[%w_+-]*/[%w_/+-]+)$"
    if name and not host.read("/usr/share/zoneinfo/" .. name, TZ_OCTETS) then
      found[#found + 1] = { status = "warn", rule = "clock.zone", cause = ('TZ names "%s", which this machine does not know, so it takes UTC'):format(name),
        remedy = "correct TZ, or install tzdata" }
    end
    return ("UTC%s%s; calls are signed in UTC whatever it is"):format(shown(offset(now)), zone and (" (TZ=%s)"):format(zone) or ""), found
  end,
}
