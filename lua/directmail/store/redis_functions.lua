--- The store's verbs as functions that run inside Redis (7.0 or newer): one library, loaded by `directmail.store.redis`.
-- Each call is atomic. All keys begin with one hash tag, so that a cluster keeps them in one slot:
--
--    {directmail}                hash: `last` = the last id
--    {directmail}:WAITING …      sorted set a state: ids (16 digits, so that equal times keep the order of the ids) by time in milliseconds;
--                                waiting: not before; leased, marked: until; settled: since
--    {directmail}:job:ID         hash: state tries made queued hash key again result token
--    {directmail}:payload:ID     string
--    {directmail}:keys           hash: key -> id
--    {directmail}:call:TOKEN     string, for a minute: what a call that may be repeated has answered
--    {directmail}:bucket:NAME    hash: tokens at
--    {directmail}:addresses      sorted set: every address that was ever suppressed
--    {directmail}:suppressed:A   hash: "s<length>:<reason><source>" or "r:<source>" -> the youngest time, in seconds
--
-- Time is the server's: machines differ. An answer that was lost does no harm: whoever asks again says so (`again`) or brings the
-- token of his first call.
-- @module directmail.store.redis_functions
return [==[#!lua name=directmail
local VERSION = 1
local STATES = { "waiting", "leased", "marked", "sent", "refused", "not_sent", "unknown" }
local SETTLED = { "sent", "refused", "not_sent" }
local LEASE_OCTETS = 8 * 1024 * 1024    -- payloads of one answer: at least one job, and no more than a client holds with ease
local REMEMBERED = 60000                -- milliseconds that an answer is kept for who did not get it
local MOST = 1000                       -- jobs that one call settles or forgets

local function floor(x) return math.floor(x) end

local function call(...) return redis.call(...) end     -- it is not there while a library is loaded

local function now()
  local time = call("TIME")
  return tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
end

local function member(id) return ("%016.0f"):format(id) end
local function job_of(k, id) return k .. ":job:" .. member(id) end
local function payload_of(k, id) return k .. ":payload:" .. member(id) end

-- From one state to another; `at` is the time that goes with it.
local function move(k, id, from, to, at)
  if from ~= to then call("ZREM", k .. ":" .. from, member(id)) end
  call("ZADD", k .. ":" .. to, at, member(id))
  if from ~= to then call("HSET", job_of(k, id), "state", to) end
end

local function due_of(k, id, state) return tonumber(call("ZSCORE", k .. ":" .. state, member(id)) or 0) end

-- A job as the client is told of it: how, id, tries, state, due, made, result.
local function told(k, id, how)
  local job = call("HMGET", job_of(k, id), "tries", "state", "made", "result", "key")
  return { how, tonumber(id), tonumber(job[1]), job[2], due_of(k, id, job[2]), tonumber(job[3]), job[4], job[5] }
end

local function known(k, key)
  local id = call("HGET", k .. ":keys", key)
  return id and tonumber(id)
end

local function make(k, at, due, state, queued, key, hash, token)
  local id = call("HINCRBY", k, "last", 1)
  local job = job_of(k, id)
  call("HSET", job, "state", state, "tries", queued == "1" and 0 or 1, "made", at, "queued", queued, "hash", hash)
  if key ~= "" then
    call("HSET", job, "key", key)
    call("HSET", k .. ":keys", key, id)
  end
  if token then call("HSET", job, "token", token) end
  call("ZADD", k .. ":" .. state, due, member(id))
  return id
end

local function forget(k, id)
  local key = call("HGET", job_of(k, id), "key")
  if key then call("HDEL", k .. ":keys", key) end
  call("DEL", job_of(k, id), payload_of(k, id))
end

local function reap(k, keep)
  local at, waiting, not_sent, unknown, forgotten = now(), 0, 0, 0, 0
  local before = "(" .. ("%.0f"):format(at)
  for _, state in ipairs { "leased", "marked" } do
    for _, id in ipairs(call("ZRANGEBYSCORE", k .. ":" .. state, "-inf", before, "LIMIT", 0, MOST)) do
      if state == "marked" then
        move(k, id, state, "unknown", at)
        unknown = unknown + 1
      elseif call("HGET", job_of(k, id), "queued") == "1" then
        move(k, id, state, "waiting", at)
        waiting = waiting + 1
      else
        move(k, id, state, "not_sent", at)
        not_sent = not_sent + 1
      end
    end
  end
  for _, state in ipairs(SETTLED) do
    local old = call("ZRANGEBYSCORE", k .. ":" .. state, "-inf", ("(%.0f"):format(at - keep), "LIMIT", 0, MOST - forgotten)
    for _, id in ipairs(old) do
      forget(k, id)
      call("ZREM", k .. ":" .. state, id)
      forgotten = forgotten + 1
    end
    if forgotten >= MOST then break end
  end
  return { waiting, not_sent, unknown, forgotten }
end

-- The attempt's state, when it is still this attempt.
local function state_of(k, id, tries)
  local job = call("HMGET", job_of(k, id), "state", "tries", "queued")
  if job[2] and tonumber(job[2]) == tonumber(tries) then return job[1], job[3] == "1" end
end

-- One verb for each (id, tries, more…) of the arguments: a list of 1 and 0.
local function each(args, width, verb)
  local out = {}
  for i = 1, #args, width do out[#out + 1] = verb(tonumber(args[i]), args[i + 1], args[i + 2], args[i + 3], args[i + 4]) and 1 or 0 end
  return out
end

local function set_result(k, id, result)
  if result ~= "" then call("HSET", job_of(k, id), "result", result) else call("HDEL", job_of(k, id), "result") end
end

-- ---- what is registered: name -> function(prefix of all keys, again, arguments); `again`: an earlier call's answer was lost ----------

local verbs = {}

-- token, then delay, key, hash and payload of each job
function verbs.enqueue(k, again, args)
  local once = k .. ":call:" .. table.remove(args, 1)
  local answered = again and call("GET", once)
  if answered then return cmsgpack.unpack(answered) end
  local at, out = now(), {}
  for i = 1, #args, 4 do
    local key, hash = args[i + 1], args[i + 2]
    local id = key ~= "" and known(k, key)
    local how
    if not id then
      how = "made"
      id = make(k, at, at + tonumber(args[i]), "waiting", "1", key, hash)
      call("SET", payload_of(k, id), args[i + 3])
    elseif call("HGET", job_of(k, id), "hash") == hash then
      how = "there"
    else
      how = "other"
    end
    out[#out + 1] = told(k, id, how)
  end
  call("SET", once, cmsgpack.pack(out), "PX", REMEMBERED)
  return out
end

-- number, milliseconds, tidy = "1", keep
function verbs.lease(k, _, args)
  if args[3] == "1" then reap(k, tonumber(args[4])) end
  local at, out, octets = now(), {}, 0
  for _, id in ipairs(call("ZRANGEBYSCORE", k .. ":waiting", "-inf", at, "LIMIT", 0, tonumber(args[1]))) do
    local payload = call("GET", payload_of(k, id))
    if not payload then         -- somebody deleted it, or Redis evicted it: nobody can send it any more
      move(k, id, "waiting", "not_sent", at)
      set_result(k, id, '{"code":"FILE","cause":"its payload is gone from Redis"}')
    else
      octets = octets + #payload
      if #out > 0 and octets > LEASE_OCTETS then break end
      local tries = call("HINCRBY", job_of(k, id), "tries", 1)
      move(k, id, "waiting", "leased", at + tonumber(args[2]))
      out[#out + 1] = { tonumber(id), tries, call("HGET", job_of(k, id), "key"), payload }
    end
  end
  return out
end

-- milliseconds, then id and tries of each
function verbs.extend(k, _, args)
  local to = now() + tonumber(table.remove(args, 1))
  return each(args, 2, function(id, tries)
    local state = state_of(k, id, tries)
    if state ~= "leased" and state ~= "marked" then return false end
    call("ZADD", k .. ":" .. state, to, member(id))
    return true
  end)
end

function verbs.mark(k, _, args)
  return each(args, 2, function(id, tries)
    local state = state_of(k, id, tries)
    if state == "leased" then move(k, id, state, "marked", due_of(k, id, state)) end
    return state == "leased" or state == "marked"
  end)
end

-- id, tries, result
function verbs.ack(k, again, args)
  local at = now()
  return each(args, 3, function(id, tries, result)
    local state = state_of(k, id, tries)
    if again and state == "sent" then return true end
    if state ~= "marked" and state ~= "unknown" then return false end
    move(k, id, state, "sent", at)
    set_result(k, id, result)
    call("DEL", payload_of(k, id))      -- nobody needs the recipient's data any more
    return true
  end)
end

-- id, tries, result, delay
function verbs.retry(k, again, args)
  local at = now()
  return each(args, 4, function(id, tries, result, delay)
    local state, queued = state_of(k, id, tries)
    if again and (state == "waiting" or state == "not_sent") then return true end
    if not state or state == "waiting" or state == "sent" then return false end
    local to = queued and "waiting" or "not_sent"
    move(k, id, state, to, at + (tonumber(delay) or 0))
    call("HDEL", job_of(k, id), "again")
    set_result(k, id, result)
    return true
  end)
end

local MAY_BE_BURIED = { waiting = true, leased = true, marked = true, unknown = true }

-- id, tries, result, outcome, again
function verbs.bury(k, again, args)
  local at = now()
  return each(args, 5, function(id, tries, result, outcome, once_more)
    local state = state_of(k, id, tries)
    if again and state == outcome then return true end
    if not MAY_BE_BURIED[state] then return false end
    move(k, id, state, outcome, at)
    call("HSET", job_of(k, id), "again", once_more)
    set_result(k, id, result)
    return true
  end)
end

-- keep
function verbs.reap(k, _, args) return reap(k, tonumber(args[1])) end

function verbs.counts(k)
  local out = {}
  for i, state in ipairs(STATES) do out[i] = call("ZCARD", k .. ":" .. state) end
  return out
end

-- key
function verbs.find(k, _, args)
  local id = known(k, args[1])
  return id and told(k, id, "there") or false
end

-- state, number
function verbs.list(k, _, args)
  local out = {}
  for i, id in ipairs(call("ZRANGEBYSCORE", k .. ":" .. args[1], "-inf", "+inf", "LIMIT", 0, tonumber(args[2]))) do
    out[i] = told(k, tonumber(id), "there")
  end
  return out
end

-- May the caller of a key have this attempt?
local function free_again(job, due, at, resend)
  local state, queued, again = job[1], job[2], job[3]
  if queued == "1" then return false end        -- the workers'
  if state == "not_sent" or state == "refused" and again == "1" then return true end
  if state == "leased" then return due < at end         -- its owner died before he pushed it
  return state == "unknown" and resend
end

-- token, key, hash, milliseconds, mark, resend, tidy, keep
function verbs.claim(k, _, args)
  if args[7] == "1" then reap(k, tonumber(args[8])) end
  local token, key, hash, at = args[1], args[2], args[3], now()
  local to, state = at + tonumber(args[4]), args[5] == "1" and "marked" or "leased"
  local id = known(k, key)
  if not id then return told(k, make(k, at, to, state, "0", key, hash, token), "made") end
  local job = call("HMGET", job_of(k, id), "state", "queued", "again", "hash", "token", "tries")
  if job[4] ~= hash then return told(k, id, "other") end
  local due = due_of(k, id, job[1])
  -- our own call, whose answer was lost; one that had marked it has pushed nothing
  if job[5] == token and (job[1] == "leased" or job[1] == "marked") then return told(k, id, "made") end
  if job[1] == "marked" and due < at then
    move(k, id, "marked", "unknown", at)
    job[1] = "unknown"
    set_result(k, id, "")
  end
  if not free_again(job, due, at, args[6] == "1") then return told(k, id, "there") end
  move(k, id, job[1], state, to)
  call("HSET", job_of(k, id), "tries", tonumber(job[6]) + 1, "token", token)
  call("HDEL", job_of(k, id), "again")
  set_result(k, id, "")
  return told(k, id, "made")
end

local LEAST = 1e-9      -- of a token: what adding up fractions may lose

-- name, number, rate, burst
function verbs.take(k, _, args)
  local bucket, n, rate, burst, at = k .. ":bucket:" .. args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4]), now()
  local there = call("HMGET", bucket, "tokens", "at")
  local tokens = burst
  if there[1] then
    local passed = math.max(0, at - tonumber(there[2]))
    tokens = math.min(burst, math.max(0, tonumber(there[1]) + passed * rate / 1000))
  end
  local granted = math.min(n, floor(tokens + LEAST))
  tokens = math.max(0, tokens - granted)
  call("HSET", bucket, "tokens", ("%.17g"):format(tokens), "at", ("%.0f"):format(at))
  call("PEXPIRE", bucket, ("%.0f"):format(math.min(9e15, math.ceil((burst - tokens) * 1000 / rate) + 1000)))
  local wait = 0
  if granted < n then wait = math.max(1, math.min(9e15, math.ceil((1 - tokens) * 1000 / rate - 1e-6))) end
  return { granted, ("%.0f"):format(wait) }
end

local function later(k, address, field, at)
  local key = k .. ":suppressed:" .. address
  local there = call("HGET", key, field)
  if not there or tonumber(there) < tonumber(at) then call("HSET", key, field, at) end
  return 1
end

-- address, reason, source, at
function verbs.suppress(k, _, args)
  call("ZADD", k .. ":addresses", 0, args[1])
  return later(k, args[1], ("s%d:"):format(#args[2]) .. args[2] .. args[3], args[4])
end

-- address, source, at
function verbs.resubscribe(k, _, args) return later(k, args[1], "r:" .. args[2], args[3]) end

-- Reason, source and time of the oldest suppression that holds, or false.
local function suppression(k, address)
  local fields = call("HGETALL", k .. ":suppressed:" .. address)
  local freed, found = -1, false
  for j = 1, #fields, 2 do
    if fields[j]:sub(1, 1) == "r" then freed = math.max(freed, tonumber(fields[j + 1])) end
  end
  for j = 1, #fields, 2 do
    local at, octets, text = tonumber(fields[j + 1]), fields[j]:match "^s(%d+):(.*)$"
    if octets and freed <= at then              -- of the same second the suppression wins
      local one = { text:sub(1, tonumber(octets)), text:sub(tonumber(octets) + 1), at }
      if not found or at < found[3] or at == found[3] and (one[1] < found[1] or one[1] == found[1] and one[2] < found[2]) then found = one end
    end
  end
  return found
end

-- addresses: what holds for each
function verbs.suppressed(k, _, args)
  local out = {}
  for i, address in ipairs(args) do out[i] = suppression(k, address) end
  return out
end

-- the last address of the page before, or "", and a number: address, reason, source and time of those that follow
function verbs.suppressions(k, _, args)
  local after, most, out = args[1] == "" and "-" or "(" .. args[1], tonumber(args[2]), {}
  repeat
    local page = call("ZRANGEBYLEX", k .. ":addresses", after, "+", "LIMIT", 0, most)
    for _, address in ipairs(page) do
      local found = #out < most and suppression(k, address)
      if found then out[#out + 1] = { address, found[1], found[2], found[3] } end
    end
    after = "(" .. (page[#page] or "")
  until #page < most or #out == most
  return out
end

local NAMES = {
  "enqueue", "lease", "extend", "mark", "ack", "retry", "bury", "reap", "claim", "take", "suppress", "resubscribe", "counts", "find", "list", "suppressed",
  "suppressions",
}
local FIRST_READER = 13         -- from here on they write nothing

for i = 1, #NAMES do            -- neither pairs nor ipairs is there while a library is loaded
  local verb = verbs[NAMES[i]]
  redis.register_function {
    function_name = "directmail_" .. NAMES[i],
    flags = i >= FIRST_READER and { "no-writes" } or {},
    -- the key; the version of the caller, "1" when he asks again, and the verb's own arguments
    callback = function(keys, args)
      if tonumber(args[1]) ~= VERSION then return redis.error_reply("DMVERSION " .. VERSION) end
      local own = {}
      for j = 3, #args do own[j - 2] = args[j] end
      return verb(keys[1], args[2] == "1", own)
    end,
  }
end
]==]
