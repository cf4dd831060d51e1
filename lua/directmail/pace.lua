--- Keep to the rates that an account may use, so that the service need not say no.
-- A bucket holds as many tokens as the service allows in a window; a token that was taken comes back when the window
-- has passed. So no window of that length ever sees more than the allowed number, and a short burst does not wait.
-- Buckets are shared by everything in the process that names the same account; in nginx by all workers, in a shared dict.
-- @module directmail.pace
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local tickets = require "directmail.tickets"

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

-- Room for one more bucket: those that have all their tokens back are forgotten first. Not more often than each second, since it
-- asks every bucket.
local function sweep(set, now)
  if set.swept and now - set.swept < 1 then return end
  set.swept = now
  local left = 0
  for key, b in pairs(set.buckets) do
    refill(b, now)
    if b.head > b.tail then set.buckets[key] = nil else left = left + 1 end
  end
  set.count = left
end

-- How many tokens come back in how many seconds, and what else tells buckets apart.
function Pace:rate_of(name)
  local count, seconds = limits["rate_" .. name], limits["rate_" .. name .. "_seconds"]
  if not count or not seconds then error(("unknown rate %q"):format(tostring(name)), 4) end
  if not self.rate or not A_MAIL[name] then return count, seconds, "" end
  -- half a mail a second is one mail in two seconds
  count = math.max(1, math.floor(self.rate))
  return count, count / self.rate, tostring(self.rate)
end

function Pace:bucket(name, key)
  local count, seconds, which = self:rate_of(name)
  local set, id = self.set, self.account .. "\0" .. name .. "\0" .. (key or "") .. "\0" .. which
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

-- ---- buckets in a shared dict ------------------------------------------------

-- The name of a bucket there: short, since a megabyte is to hold thousands, and no addresses lie about.
local function place(self, name, which, key)
  return core.base64(core.hmac_sha256("directmail.pace", self.account .. "\0" .. name .. "\0" .. which .. "\0" .. (key or "")):sub(1, 12))
end

local MICRO = 1e6               -- times are written in whole microseconds

-- A recipient's bucket is one entry, as text, which a worker has for itself while it reads and writes it. That takes microseconds,
-- so others ask again at once, without a wait that would let other requests in between; one that was stopped meanwhile
-- is not waited for. An account's rate needs no such lock.
local ATTEMPTS = 1000

local function lock(dict, name)
  for _ = 1, ATTEMPTS do
    local ok, why = dict:safe_add(name, true, 1)
    if ok or why ~= "exists" then return end
  end
end

local function load(dict, id, count, seconds)
  local b = new_bucket(count, seconds)
  for start, first, amount in (dict:get(id) or ""):gmatch "(%d+) (%d+) (%d+)" do
    b.tail = b.tail + 1
    b.start[b.tail], b.first[b.tail], b.amount[b.tail] = tonumber(start) / MICRO, tonumber(first) / MICRO, tonumber(amount)
    b.used = b.used + tonumber(amount)
  end
  return b
end

local function save(dict, id, b, now)
  local out = {}
  for i = b.head, b.tail do
    out[#out + 1] = ("%d %d %d"):format(math.floor(b.start[i] * MICRO), math.floor(b.first[i] * MICRO), b.amount[i])
  end
  -- safe_set: a new recipient never pushes out what is still in force
  dict:safe_set(id, table.concat(out, " "), b.start[b.tail] - now + b.seconds)
end

-- Take n tokens, at most the whole rate: when they can be had. When that is more than `limit` seconds from now, nil and when, and nothing
-- is taken.
local function reserve_shared(self, dict, name, n, key, now, limit)
  local count, seconds, which = self:rate_of(name)
  local id = place(self, name, which, key)
  if not key then return tickets.try(dict, id, count, seconds, n, now, limit) end
  lock(dict, id .. "!")
  local b = load(dict, id, count, seconds)
  refill(b, now)
  local at = when(b, n, now)
  local taken = at <= now + limit
  if taken then
    reserve(b, n, at)
    save(dict, id, b, now)
  end
  dict:delete(id .. "!")
  if taken then return at end
  return nil, at
end

-- The same in the memory of this process.
local function reserve_here(self, name, n, key, now, limit)
  local b = self:bucket(name, key)
  if not b then return now end
  refill(b, now)
  local at = when(b, n, now)
  if at > now + limit then return nil, at end
  reserve(b, n, at)
  return at
end

-- Take some and wait for them: seconds waited; or nil and the seconds that it would have been.
local function take(self, name, n, key, limit)
  local now, dict = self.host.tick(), self:shared()
  local at, later
  if dict then at, later = reserve_shared(self, dict, name, n, key, now, limit)
  else at, later = reserve_here(self, name, n, key, now, limit) end
  if not at then return nil, later - now end
  if at <= now then return 0 end
  self.host.sleep(at - now)
  return at - now
end

-- The dict in which the workers meet, or nil. Asked for at the first use: who needs no pace needs no dict.
function Pace:shared()
  if self.dict == nil then self.dict = self.host.shared and self.host.shared(self.dict_name) or false end
  return self.dict
end

-- How many tokens can be taken at once.
local function most(self, name)
  local count = self:rate_of(name)
  return self:shared() and tickets.capacity(count) or count
end

--- A pace for one account.
-- @tparam table host `directmail.host`: `tick` and `sleep` are used
-- @tparam[opt] table options `account` (whatever tells accounts apart: the AccessKey ID or the SMTP user), `rate` (nil: the
--   service's rates; a number: mails a second instead of its rates for sending; false: no pace at all), `shared_dict` (in nginx: the name of
--   the dict, when it is not directmail)
-- @treturn pace
function M.new(host, options)
  options = options or {}
  local rate = options.rate
  if rate ~= nil and rate ~= false and not (type(rate) == "number" and rate > 0 and rate < math.huge) then
    error("rate must be a positive number of mails a second, or false", 2)
  end
  if not shared[host] then shared[host] = { buckets = {}, count = 0 } end
  return setmetatable({
    host = host, set = shared[host], account = options.account or "", rate = rate or nil, off = rate == false, dict_name = options.shared_dict,
    dict = nil,
  }, Pace)
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
  local waited, whole = 0, most(self, name)
  while n > 0 do
    waited = waited + take(self, name, math.min(n, whole), key, math.huge)
    n = n - whole
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
  local whole = most(self, name)
  if n > whole then error(("%d is more than the whole rate of %s (%d)"):format(n, name, whole), 2) end
  local waited, seconds = take(self, name, n, key, 0)
  if not waited then return false, seconds end
  return true
end

--- Take a token of `recipient` for each address, and wait for it: one mail to him.
-- @tparam table list addresses
-- @tparam[opt=0] integer done how many of them have theirs
-- @tparam[opt] number limit seconds to wait at most for all; none when left out
-- @treturn integer how many of them have theirs now
-- @treturn number seconds waited; when not all have theirs, the seconds that the next one's would take
function Pace:recipients(list, done, limit)
  if self.off then return #list, 0 end
  most(self, "recipient")
  local waited = 0
  for i = (done or 0) + 1, #list do
    local seconds, later = take(self, "recipient", 1, list[i]:lower(), (limit or math.huge) - waited)
    if not seconds then return i - 1, later end
    waited = waited + seconds
  end
  return #list, waited
end

local function too_late(limit, seconds, who, cause)
  return nil, err.new {
    code = "THROTTLED", detail = who, outcome = "not_sent", retry = true, after = math.ceil(seconds), blame = "rate", cause = cause,
    remedy = ("send it again in %d s, or give a longer timeout than %g s"):format(math.ceil(seconds), limit),
  }
end

--- What one mail takes: a token of the account's rate, and one for each recipient, if there is a limit for them.
-- @tparam string name as of `take`
-- @tparam ?table to addresses; nil: only the rate
-- @tparam ?number limit seconds that it may wait, such as the deadline of the whole send
-- @treturn number seconds waited; or nil, err (THROTTLED, `not_sent`) when it would take longer
function Pace:mail(name, to, limit)
  if self.off then return 0 end
  local waited = 0
  if to then
    local done
    done, waited = self:recipients(to, 0, limit)
    if done < #to then
      local count, seconds = self:rate_of "recipient"
      return too_late(limit, waited, to[done + 1], ("%s has had %d mails in %d s, as many as one recipient may get"):format(
        err.printable(to[done + 1]), count, seconds))
    end
  end
  local seconds, later = take(self, name, 1, nil, (limit or math.huge) - waited)
  if seconds then return waited + seconds end
  return too_late(limit, later, nil, ("the account's rate leaves no mail for the next %.1f s"):format(later))
end

return M
