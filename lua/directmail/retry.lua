--- How long to wait before a call is repeated, and when to stop repeating.
-- Pauses have full jitter, so that clients which failed together do not come back together; a budget keeps repeats from
-- becoming most of what a troubled service gets.
-- @module directmail.retry
local limits = require "directmail.data.limits"

local M = {}

local WINDOW = 60       -- seconds that the budget looks back
local SHARE = 0.1       -- of the requests in the window may be repeats
local ALWAYS = 10       -- repeats in the window that need no budget: a program that makes three calls may repeat them

--- Seconds to wait before the next request.
-- @tparam integer n requests made so far, 1 or more
-- @tparam[opt] number asked seconds that the server asked for: they win
-- @tparam boolean throttled the service asked to go slower
-- @tparam function random gives n random octets, as the host's
-- @treturn number
function M.pause(n, asked, throttled, random)
  if asked then return asked end
  local most = math.min(limits.api_pause_max, (throttled and limits.api_pause_throttled or limits.api_pause) * 2 ^ (n - 1))
  local a, b, c = random(3):byte(1, 3)
  local part = (a * 65536 + b * 256 + c) / 16777215
  -- after throttling a pause of next to nothing would be asking for the same answer
  if throttled then return most * (0.5 + part / 2) end
  return most * part
end

--- What an answer asks for: `x-acs-retry-after` in milliseconds, `Retry-After` in seconds or as a date.
-- @tparam table headers by lower-case name
-- @tparam number now seconds since 1970
-- @tparam function date_parse
-- @treturn number|nil seconds
function M.asked(headers, now, date_parse)
  local ms = tonumber(headers["x-acs-retry-after"])
  if ms and ms >= 0 and ms < math.huge then return ms / 1000 end
  local after = headers["retry-after"]
  if not after then return nil end
  local seconds = tonumber(after)
  if not seconds then
    local at = date_parse(after)
    seconds = at and math.max(0, at - now)
  end
  return seconds and seconds >= 0 and seconds < math.huge and seconds or nil
end

local Budget = {}
Budget.__index = Budget

local function forget(self, now)
  local minute = math.floor(now / WINDOW)
  if minute == self.minute then return end
  self.before = minute == self.minute + 1 and { self.requests, self.repeats } or { 0, 0 }
  self.minute, self.requests, self.repeats = minute, 0, 0
end

--- Count a request.
-- @tparam number now monotonic seconds
-- @tparam boolean again it is a repeat
function Budget:count(now, again)
  forget(self, now)
  self.requests = self.requests + 1
  if again then self.repeats = self.repeats + 1 end
end

--- May there be a repeat now?
-- @tparam number now monotonic seconds
-- @treturn boolean
function Budget:allows(now)
  forget(self, now)
  -- the part of the window before that still counts
  local rest = 1 - (now / WINDOW - self.minute)
  local requests, repeats = self.requests + self.before[1] * rest, self.repeats + self.before[2] * rest
  return repeats < math.max(ALWAYS, SHARE * requests)
end

--- A budget of repeats, one for a mail object.
-- @treturn budget
function M.budget()
  return setmetatable({ minute = -1, requests = 0, repeats = 0, before = { 0, 0 } }, Budget)
end

return M
