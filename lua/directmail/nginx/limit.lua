--- How often something may happen, counted by all workers together in a shared dict.
-- A window slides: what happened in the last one counts in part. Two numbers a key, so a million strangers cost little, and
-- a key costs nothing once it has been quiet for two windows.
-- @module directmail.nginx.limit
local core = require "directmail.core"

local M = {}

local FULL = 60                 -- seconds to wait when the dict has no room for a count

--- Check a limit as an operator writes it: `{ 5, 600 }` = five in 600 seconds.
-- @param value false: none
-- @tparam string name for the message
-- @tparam number level where misuse is raised
-- @return the same
function M.check(value, name, level)
  if value == false then return false end
  local count, seconds = type(value) == "table" and value[1], type(value) == "table" and value[2]
  if type(count) ~= "number" or count < 1 or count ~= math.floor(count) or type(seconds) ~= "number" or seconds < 1 or #value ~= 2 then
    error(("limits.%s: { how often, seconds } is needed, such as { 5, 600 }, or false for no limit"):format(name), level + 1)
  end
  return value
end

--- Count one, if it may be.
-- @tparam table dict of ngx.shared
-- @tparam string key hashed: whoever reads the dict finds no addresses
-- @tparam table rate of `check`
-- @tparam number now seconds since 1970
-- @treturn[1] boolean true: it was counted
-- @treturn[2] boolean false: it was not
-- @treturn[2] number seconds until it may be
function M.take(dict, key, rate, now)
  local count, seconds = rate[1], rate[2]
  local name = ("rate:%s:%d:%d:"):format(core.sha256(key):sub(1, 32), count, math.floor(seconds))
  local window = math.floor(now / seconds)
  local passed = now / seconds - window                 -- part of this window that is over
  local mine = ("%s%.0f"):format(name, window)
  local n = dict:incr(mine, 1, 0, seconds * 2)
  if not n then return false, FULL end                  -- a form without limits would be worse than one that is closed
  local before = dict:get(("%s%.0f"):format(name, window - 1)) or 0
  if before * (1 - passed) + n <= count then return true end
  dict:incr(mine, -1)
  if n <= count then return false, math.max(1, ((1 - (count - n) / before) - passed) * seconds) end
  -- this window is full: part of the next one must pass, too
  return false, math.max(1, (1 - passed + 1 - (count - 1) / (n - 1)) * seconds)
end

return M
