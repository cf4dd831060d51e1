--- Keep to the rates that an account may use, so that the service need not say no.
-- A bucket holds as many tokens as the service allows in a window; a token that was taken comes back when the window
-- has passed. So no window of that length ever sees more than the allowed number, and a short burst does not wait.
-- Buckets are shared by everything in the process that names the same account.
-- @module directmail.pace
local limits = require "directmail.data.limits"

local M = {}

local Pace = {}
Pace.__index = Pace

-- host -> { [key] = bucket }: a host has its own clock
local shared = setmetatable({}, { __mode = "k" })

-- Names that `rate` replaces: what one mail costs. The others are the service's own and stay.
local A_MAIL = { smtp = true, single = true }

-- Takes within this part of the window count as one, later than they were: few entries, never too many tokens.
local GRAIN = 1 / 100

local function new_bucket(count, seconds)
  return { count = count, seconds = seconds, used = 0, head = 1, tail = 0, start = {}, first = {}, amount = {} }
end

-- Forget what has come back by `now`.
local function refill(b, now)
  while b.head <= b.tail and b.start[b.head] + b.seconds <= now do
    b.used = b.used - b.amount[b.head]
    b.start[b.head], b.first[b.head], b.amount[b.head] = nil, nil, nil
    b.head = b.head + 1
  end
end

-- When `n` tokens can be had. Those who came before keep their turn: never before the last reservation.
local function when(b, n, now)
  local at = now
  if b.head <= b.tail and b.start[b.tail] > at then at = b.start[b.tail] end
  local used, i = b.used, b.head
  while used + n > b.count do
    local back = b.start[i] + b.seconds
    if back > at then at = back end
    used = used - b.amount[i]
    i = i + 1
  end
  return at
end

local function reserve(b, n, at)
  b.used = b.used + n
  if b.head <= b.tail and at - b.first[b.tail] < b.seconds * GRAIN then
    b.start[b.tail] = at
    b.amount[b.tail] = b.amount[b.tail] + n
  else
    b.tail = b.tail + 1
    b.start[b.tail], b.first[b.tail], b.amount[b.tail] = at, at, n
  end
end

-- Room for one more bucket: those that have all their tokens back are forgotten first.
local function sweep(set, now)
  local left = 0
  for key, b in pairs(set.buckets) do
    refill(b, now)
    if b.head > b.tail then set.buckets[key] = nil else left = left + 1 end
  end
  set.count = left
end

function Pace:bucket(name, key)
  local set, id = self.set, self.account .. "\0" .. name .. "\0" .. (key or "")
  local count, seconds = limits["rate_" .. name], limits["rate_" .. name .. "_seconds"]
  if not count or not seconds then error(("unknown rate %q"):format(tostring(name)), 3) end
  if self.rate and A_MAIL[name] then
    -- half a mail a second is one mail in two seconds
    count = math.max(1, math.floor(self.rate))
    seconds = count / self.rate
    id = id .. "\0" .. tostring(self.rate)
  end
  local b = set.buckets[id]
  if not b then
    if set.count >= limits.pace_keys then sweep(set, self.host.tick()) end
    -- A list of strangers must not eat our memory: beyond the limit the service's own check stands alone.
    if key and set.count >= limits.pace_keys then return nil end
    b = new_bucket(count, seconds)
    set.buckets[id] = b
    set.count = set.count + 1
  end
  return b
end

--- A pace for one account.
-- @tparam table host `directmail.host`: `tick` and `sleep` are used
-- @tparam[opt] table options `account` (whatever tells accounts apart: the AccessKey ID or the SMTP user), `rate` (nil: the
--   service's rates; a number: mails a second instead of its rates for sending; false: no pace at all)
-- @treturn pace
function M.new(host, options)
  options = options or {}
  local rate = options.rate
  if rate ~= nil and rate ~= false and not (type(rate) == "number" and rate > 0 and rate < math.huge) then
    error("rate must be a positive number of mails a second, or false", 2)
  end
  if not shared[host] then shared[host] = { buckets = {}, count = 0 } end
  return setmetatable({ host = host, set = shared[host], account = options.account or "", rate = rate or nil, off = rate == false },
    Pace)
end

local function check(n)
  if n == nil then return 1 end
  if type(n) ~= "number" or n < 1 or n % 1 ~= 0 then error("the number of tokens must be a whole number from 1 on", 3) end
  return n
end

--- Wait until the rate allows it. Whoever comes first goes first; the tokens are taken before the wait.
-- @tparam string name `smtp`, `single`, `batch`, `batch_mainland`, `recipient` or `ip_protection`: the rows rate_… of limits.tsv
-- @tparam[opt=1] number n how many; more than the whole rate goes in several waits
-- @tparam[opt] string key for `recipient`: the address
-- @treturn number seconds waited
function Pace:take(name, n, key)
  n = check(n)
  if self.off then return 0 end
  local b = self:bucket(name, key)
  local waited = 0
  while b and n > 0 do
    local now, part = self.host.tick(), math.min(n, b.count)
    refill(b, now)
    local at = when(b, part, now)
    reserve(b, part, at)
    n = n - part
    if at > now then
      self.host.sleep(at - now)
      waited = waited + at - now
    end
  end
  return waited
end

--- Take without waiting.
-- @tparam string name as of `take`
-- @tparam[opt=1] number n at most the whole rate
-- @tparam[opt] string key as of `take`
-- @treturn boolean true: taken; false: nothing was taken
-- @treturn number seconds until it can be had
function Pace:try(name, n, key)
  n = check(n)
  if self.off then return true end
  local b = self:bucket(name, key)
  if not b then return true end
  if n > b.count then error(("%d is more than the whole rate of %s (%d)"):format(n, name, b.count), 2) end
  local now = self.host.tick()
  refill(b, now)
  local at = when(b, n, now)
  if at > now then return false, at - now end
  reserve(b, n, now)
  return true
end

return M
