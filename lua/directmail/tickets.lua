--- Tokens of a rate that several workers share, in a dict with an atomic counter (nginx's `lua_shared_dict`).
-- Each token has a number, counted up by all. Tokens of a window come in groups, at most a hundred; a group may begin when the
-- group that lies one window before it began that long ago. So no window ever sees more than the rate, no lock is needed,
-- and a rate takes a hundred entries at most, however large it is.
-- @module directmail.tickets
local M = {}

local GROUPS = 100

local ceil, floor, max = math.ceil, math.floor, math.max

-- How many tokens are a group, and how many groups are a window.
local function shape(count)
  local size = ceil(count / GROUPS)
  return size, floor(count / size)
end

--- How many tokens one window holds: the rate, less what does not fill a group (1 % at most).
function M.capacity(count)
  local size, groups = shape(count)
  return size * groups
end

local function key(id, group) return ("%s%d"):format(id, group) end

-- When the token of this number can be had; `seconds` is the window.
local function when(dict, id, number, size, groups, seconds, now)
  local before = dict:get(key(id, floor((number - 1) / size) - groups))
  return max(now, before and before + seconds or now)
end

--- Take tokens, whose turn comes at a certain time.
-- @tparam table dict `get`, `set` and `incr` as in ngx.shared
-- @tparam string id of the rate
-- @tparam integer count tokens in a window
-- @tparam number seconds of a window
-- @tparam integer n how many, up to `capacity(count)`
-- @tparam number now monotonic, the same for all workers
-- @treturn number when the last of them can be had
function M.reserve(dict, id, count, seconds, n, now)
  local size, groups = shape(count)
  local last = dict:incr(id, n, 0)
  if not last then return now end               -- no memory at all: the service's own check stands alone
  local at = when(dict, id, last, size, groups, seconds, now)
  for group = floor((last - n) / size), floor((last - 1) / size) do
    local name = key(id, group)
    local latest = dict:get(name)
    if not latest or latest < at then dict:set(name, at, at - now + seconds + 1) end
  end
  return at
end

--- Take tokens if they can be had soon enough.
-- @param ... as of `reserve`
-- @tparam number limit seconds
-- @treturn ?number when they can be had; nil: nothing was taken. When another worker is quicker by a hair, nil although they are spent
-- @treturn number in that case when they could be had
function M.try(dict, id, count, seconds, n, now, limit)
  local size, groups = shape(count)
  local at = when(dict, id, (dict:get(id) or 0) + n, size, groups, seconds, now)
  if at <= now + limit then at = M.reserve(dict, id, count, seconds, n, now) end
  if at > now + limit then return nil, at end
  return at
end

return M
