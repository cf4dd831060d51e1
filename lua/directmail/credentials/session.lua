--- Temporary keys, kept until they are about to end.
-- One configuration has one session in a process, whoever asks: a refresh is made once, early, by the first who needs it;
-- those who come meanwhile go on with the key that is still good, or wait for the new one.
-- @module directmail.credentials.session
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"

local M = {}

local SLACK = 5         -- seconds that a fetch may take beyond its own limits before somebody else tries
local SKEW = 5          -- seconds that two clocks may differ without a reason to correct ours

-- host -> { [id] = session }: a host has its own clock
local shared = setmetatable({}, { __mode = "k" })

local function session_of(host, id)
  local all = shared[host]
  if not all then
    all = {}
    shared[host] = all
  end
  if not all[id] then
    -- a source whose own key changes each hour leaves one behind each hour
    local now = host.now()
    for old, session in pairs(all) do
      if session.ends and session.ends <= now and not session.flight then all[old] = nil end
    end
    all[id] = { failures = 0, wait_until = 0 }
  end
  return all[id]
end

-- A number from 0 to 1.
local function dice(host)
  local a, b = host.random(2):byte(1, 2)
  return (a * 256 + b) / 65535
end

-- Take what was fetched. Returns why it cannot be used.
local function accept(session, host, source, parts)
  local where = { access_key_id = source.from, access_key_secret = source.from, security_token = source.from }
  local fault = key.fault(parts, where)
  if fault then return fault end
  local now = host.now()
  -- A wrong clock of ours makes good tokens look old: what counts is the time that is left by the service's clock.
  local skew = parts.date and now - parts.date or 0
  if math.abs(skew) <= SKEW then skew = 0 end
  local ends = parts.ends and parts.ends + skew
  if ends and ends <= now then return ("the key ended already, at %s"):format(key.date(parts.ends)) end
  local margin = 0
  if ends then
    margin = math.max(limits.credentials_early, math.min(limits.credentials_early_max, (ends - now) / 4))
    margin = margin * (1 + dice(host) / 10)     -- many machines that began together do not come back together
  end
  session.key = {
    access_key_id = parts.access_key_id, access_key_secret = parts.access_key_secret, security_token = parts.security_token,
    from = source.from, expires = ends,
  }
  session.told = parts.ends
  session.ends = ends or now + limits.credentials_unknown_max
  session.refresh_at = (ends or now + limits.credentials_unknown) - margin
  session.failures = 0
  -- a service that goes on with the same key until shortly before its end is not asked at every call
  session.wait_until = ends and host.tick() + limits.credentials_pause or 0
end

local function fail(session, host, source, why, passing)
  session.failures = session.failures + 1
  local first, most = limits.credentials_pause, limits.credentials_pause_max
  if source.implicit then first = most        -- nobody expects it to come up by and by
  elseif not session.key then first, most = first / 10, first end       -- somebody waits
  session.wait_until = host.tick() + math.min(most, first * 2 ^ math.min(session.failures - 1, 10))
  if session.told then why = ("%s (the key before ended at %s)"):format(why, key.date(session.told)) end
  session.why, session.passing = why, passing or false
end

-- Fetch a new key; nobody else does meanwhile.
local function fly(session, context, source)
  local host = context.host
  local flight = { arrived = host.semaphore(), waiting = 0, until_tick = host.tick() + source.seconds + SLACK }
  session.flight = flight
  local parts, why, passing = source.fetch(context)
  local fault = parts and accept(session, host, source, parts) or not parts and why
  if fault then
    fail(session, host, source, fault, passing)
    if session.key then
      host.log("warn", ("%s: no new key (%s); the old one is used until %s"):format(source.from, fault, key.date(session.told or session.ends)))
    end
  end
  if session.flight == flight then session.flight = nil end
  if flight.waiting > 0 then flight.arrived:post(flight.waiting) end
end

--- The key of a source.
-- @tparam table context as `fetch` takes it, with `host`
-- @tparam table source `{ id = of its configuration, from = words, seconds = the longest that fetch takes, implicit = nobody asked for
--   it by name, fetch = function(context) -> { access_key_id, access_key_secret, security_token, ends, date } | nil, why, passing }`
-- @tparam[opt] table refused a key that the service called expired: it is not used again
-- @treturn[1] table `{ access_key_id, access_key_secret, security_token, from, expires }`
-- @treturn[2] nil
-- @treturn[2] string why not
-- @treturn[2] boolean true: it may work later
function M.get(context, source, refused)
  local host = context.host
  local session = session_of(host, source.id)
  if refused and session.key and session.key.security_token == refused.security_token
    and session.key.access_key_id == refused.access_key_id then
    session.key, session.wait_until = nil, 0
  end
  while true do
    local now, tick = host.now(), host.tick()
    local known = session.key
    if known and session.ends and session.ends <= now then          -- never sign with what has ended
      session.key, known, session.wait_until = nil, nil, 0
    end
    if known and (now < session.refresh_at or tick < session.wait_until) then return known end
    local flight = session.flight
    if flight and tick < flight.until_tick then
      if known then return known end
      flight.waiting = flight.waiting + 1
      flight.arrived:wait(flight.until_tick - tick)
      flight.waiting = flight.waiting - 1
    elseif known or tick >= session.wait_until then
      fly(session, context, source)
    end
    if session.key and not (session.ends and session.ends <= host.now()) then return session.key end
    if not session.flight and host.tick() < session.wait_until then return nil, session.why, session.passing end
  end
end

return M
