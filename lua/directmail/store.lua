--- The store: jobs, keys, shared rates and the suppression list, in one SQLite file that all processes of a machine may use, or in a Redis
-- for any number of machines.
--
--     local store = assert(require "directmail.store".open "/var/lib/shop/outbox.db")       -- or "redis://:password@10.0.0.5:6379/0"
--     assert(store:enqueue { { payload = "…", key = "order-1042" } })
--     for _, job in ipairs(assert(store:lease(50, 60000))) do … end
--
-- A job goes `waiting` → `leased` → `marked` → `sent`, `refused`, `not_sent` or `unknown`; docs/store.md shows all ways. Whoever leases
-- a job gets the number of the attempt, `tries`, with it. Every later verb names both, and does nothing when another has leased the job
-- since. Calls that wait let other tasks run. What a call returned is kept: on the disk, or by Redis as it is configured.
-- @module directmail.store
local core = require "directmail.core"
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

local KEEP = 30 * 86400                 -- seconds that settled jobs, and with them their keys, are remembered
local TIDY = 60                         -- seconds between two looks at what can be forgotten
local MOST = 1000                       -- jobs of one call
local NAME_OCTETS = 255                 -- of a key, a bucket's name, a reason, a source
local PAYLOAD_OCTETS = 32 * 1024 * 1024
local AHEAD = 300                       -- seconds that somebody's clock may be ahead of ours

-- `require` would find this very file under the C module's name, so that one is looked for as `require` does it, but in package.cpath only.
local c_module

local function load_c()
  if c_module then return c_module end
  for template in package.cpath:gmatch "[^;]+" do
    local path = template:gsub("%?", "directmail/store")
    local file = path ~= template and io.open(path, "rb")
    if file then
      file:close()
      local open, why = package.loadlib(path, "luaopen_directmail_store")
      if not open then error(("%s cannot be loaded: %s"):format(path, why), 0) end
      c_module = open "directmail.store"
      return c_module
    end
  end
  error("the module directmail/store.so is missing in package.cpath: run make in the source folder, or make install", 0)
end

local store = {}
store.__index = store

-- ---- arguments ---------------------------------------------------------------------

local function bad(i, verb, expected, level) error(("bad argument #%d to '%s' (%s expected)"):format(i, verb, expected), level + 1) end

local function is_whole(n, least, most) return type(n) == "number" and n >= least and n <= most and n == math.floor(n) end

local function check_whole(n, least, most, i, verb)
  if not is_whole(n, least, most) then bad(i, verb, ("whole number from %d to %.0f"):format(least, most), 3) end
end

local A_YEAR = 366 * 86400 * 1000

local function check_ms(ms, i, verb)
  if not is_whole(ms, 0, A_YEAR) then bad(i, verb, "whole milliseconds of up to a year", 3) end
end

local function check_name(text, i, verb)
  if type(text) ~= "string" or text == "" or #text > NAME_OCTETS then bad(i, verb, ("string of 1 to %d octets"):format(NAME_OCTETS), 3) end
end

-- A list of jobs as `lease` gives them; `text` is the field whose text goes with the verb.
local function check_jobs(jobs, verb, text)
  if type(jobs) ~= "table" or #jobs > MOST then bad(1, verb, ("list of up to %d jobs"):format(MOST), 3) end
  for i = 1, #jobs do
    local job = jobs[i]
    if type(job) ~= "table" or not is_whole(job.id, 1, 2 ^ 53) or not is_whole(job.tries, 0, 2 ^ 53) then
      bad(1, verb, "list of jobs with id and tries", 3)
    end
    if text and job[text] ~= nil and type(job[text]) ~= "string" then bad(1, verb, "string in the jobs' field " .. text, 3) end
  end
end

--- What is wrong with a key.
-- @tparam string key
-- @treturn ?string words that go behind "the key"; nil: nothing
function M.wrong_key(key)
  if key == "" then return "is empty" end
  if #key > NAME_OCTETS then return ("has %d octets, %d are allowed"):format(#key, NAME_OCTETS) end
  if key:find "%c" then return "holds a control character" end
end

-- ---- jobs -----------------------------------------------------------------------------

-- Is it time to settle what dead workers left, and to forget what is old?
local function time_to_tidy(self)
  local tick = self.host.tick()
  if self.tidied and tick - self.tidied < TIDY then return false end
  self.tidied = tick
  return true
end

local ENTRY = { "payload", "key", "hash", "delay" }

--- Put jobs into the outbox. A key that is there already is not put in a second time.
-- @tparam table list of `{ payload = any octets, key = 1 to 255 octets | nil, hash = what the key stands for (SHA-256 of the payload
--   when left out), delay = milliseconds | nil }`
-- @treturn table list in the same order: `how` = "made", "there" (the same key and hash: `state` and `result` tell how it went) or "other"
--   (the key belongs to other content), `id`, `tries`, `state`, `result`; or nil, err
function store:enqueue(list)
  if type(list) ~= "table" or #list > MOST then bad(1, "enqueue", ("list of up to %d jobs"):format(MOST), 2) end
  for i = 1, #list do
    local entry = list[i]
    option.check(entry, ENTRY, "store:enqueue", 2)
    if type(entry.payload) ~= "string" then bad(1, "enqueue", "string as payload", 2) end
    if entry.delay ~= nil then check_ms(entry.delay, 1, "enqueue") end
    if entry.key ~= nil and (type(entry.key) ~= "string" or M.wrong_key(entry.key)) then bad(1, "enqueue", "key of 1 to 255 octets", 2) end
    if entry.hash ~= nil and type(entry.hash) ~= "string" then bad(1, "enqueue", "string as hash", 2) end
    if #entry.payload > PAYLOAD_OCTETS then
      return err.refuse("SIZE", "payload", ("the payload of job %d has %d octets, %d are allowed"):format(i, #entry.payload, PAYLOAD_OCTETS),
        "keep large data in a file, and its path in the payload")
    end
  end
  local jobs, e = self.engine:enqueue(list)
  return jobs, e
end

--- Lease jobs that are due, the oldest first. They are the caller's for that time, which `extend` prolongs.
-- @tparam number n at most so many, 1 to 1000
-- @tparam number visibility_ms milliseconds
-- @treturn table list of `{ id=, tries=, key=, payload= }`, empty when nothing is due; or nil, err
function store:lease(n, visibility_ms)
  check_whole(n, 1, MOST, 1, "lease")
  check_ms(visibility_ms, 2, "lease")
  return self.engine:lease(n, visibility_ms, time_to_tidy(self))
end

--- Keep jobs for longer, counted from now.
-- @tparam table jobs list of jobs as `lease` gives them
-- @tparam number visibility_ms milliseconds
-- @treturn table list of booleans, false: that job is another's by now; or nil, err
function store:extend(jobs, visibility_ms)
  check_jobs(jobs, "extend")
  check_ms(visibility_ms, 2, "extend")
  return self.engine:extend(jobs, visibility_ms)
end

--- Mark jobs, before anything of them is pushed into an engine. If the program dies from here on, they are `unknown`.
-- @tparam table jobs
-- @treturn table list of booleans, false: that job is another's by now and must not be pushed; or nil, err: none may be pushed
function store:mark(jobs)
  check_jobs(jobs, "mark")
  return self.engine:mark(jobs)
end

--- Settle jobs as sent. They must have been marked. A job that was called `unknown` meanwhile is sent by this, too.
-- @tparam table jobs each with `receipt` = JSON text, or nil
-- @treturn table list of booleans; or nil, err
function store:ack(jobs)
  check_jobs(jobs, "ack", "receipt")
  return self.engine:ack(jobs)
end

--- Unmark jobs of which nothing left, or which were refused for now: they wait for another attempt. A job made by `claim` becomes
-- `not_sent`: its key may be tried again. So does an `unknown` one that a person has looked up.
-- @tparam table jobs each with `delay` = milliseconds, `error` = JSON text, both or nil
-- @treturn table list of booleans; or nil, err
function store:retry(jobs)
  check_jobs(jobs, "retry", "error")
  for i = 1, #jobs do
    if jobs[i].delay ~= nil then check_ms(jobs[i].delay, 1, "retry") end
  end
  return self.engine:retry(jobs)
end

local BURIED = { refused = true, not_sent = true, unknown = true }

--- Settle jobs without success.
-- @tparam table jobs each with `outcome` = "refused", "not_sent" or "unknown", `again` = true when a refusal is for now only and its
--   key may be claimed again, `error` = JSON text or nil
-- @treturn table list of booleans; or nil, err
function store:bury(jobs)
  check_jobs(jobs, "bury", "error")
  for i = 1, #jobs do
    if not BURIED[jobs[i].outcome] then bad(1, "bury", "refused, not_sent or unknown in the jobs' field outcome", 2) end
  end
  return self.engine:bury(jobs)
end

--- Settle what dead workers left: a job whose lease is over waits again, and is `unknown` when it was marked. Forget what was settled
-- longer ago than the store keeps it; `unknown` jobs stay until somebody settles them. `lease` and `claim` do this once a minute.
-- @treturn table how many: `{ waiting=, not_sent=, unknown=, forgotten= }`, up to 1000 at a time; or nil, err
function store:reap() return self.engine:reap() end

--- How many jobs there are in each state. Forgotten ones are not among them.
-- @treturn table `{ waiting=, leased=, marked=, sent=, refused=, not_sent=, unknown= }`; or nil, err
function store:counts() return self.engine:counts() end

--- The job of a key, to see how it went, or to settle an `unknown` one by `ack` or `retry`.
-- @tparam string key
-- @treturn table `{ id=, tries=, state=, due=, made= (milliseconds since 1970), result = JSON text }`, false: no such key; or nil, err
function store:find(key)
  check_name(key, 1, "find")
  return self.engine:find(key)
end

local STATE = { waiting = true, leased = true, marked = true, sent = true, refused = true, not_sent = true, unknown = true }

--- Jobs of one state, those that have it longest first: to look them up, and to settle `unknown` ones by `ack`, `retry` or `bury`.
-- @tparam string state
-- @tparam[opt=100] number n at most so many, 1 to 1000
-- @treturn table list of jobs as of `find`, with `key`; or nil, err
function store:list(state, n)
  if not STATE[state] then bad(1, "list", "state of a job", 2) end
  n = n or 100
  check_whole(n, 1, MOST, 2, "list")
  return self.engine:list(state, n)
end

local CLAIM = { "key", "hash", "visibility_ms", "mark", "resend" }

--- Take a key whose mail the caller carries himself, without a payload in the outbox.
-- @tparam table wish `key`, `hash` = of the content, `visibility_ms`, `mark` = mark it in the same transaction, `resend` = also when
--   it is unknown
-- @tparam[opt] boolean now do not wait: nil without an error when another process writes
-- @treturn table job: `how` = "made": it is the caller's, with `id` and `tries` for the verbs above; "there" or "other" as of `enqueue`; or nil, err
function store:claim(wish, now)
  option.check(wish, CLAIM, "store:claim", 2)
  if type(wish.key) ~= "string" or M.wrong_key(wish.key) or type(wish.hash) ~= "string" then bad(1, "claim", "key and hash", 2) end
  check_ms(wish.visibility_ms, 1, "claim")
  return self.engine:claim(wish, time_to_tidy(self), now)
end

-- ---- rates --------------------------------------------------------------------------------

--- Take tokens of a rate that processes share. A bucket that is not there is full.
-- @tparam string bucket its name
-- @tparam number n tokens wanted
-- @tparam number rate tokens that come in a second; may be below 1
-- @tparam number burst tokens that a full bucket holds
-- @treturn number granted, 0 to n: these are taken
-- @treturn number wait_ms milliseconds until there is one more, 0 when all were granted; or nil, err
function store:take(bucket, n, rate, burst)
  check_name(bucket, 1, "take")
  check_whole(n, 1, 1e9, 2, "take")
  if type(rate) ~= "number" or not (rate > 0 and rate <= 1e9) then bad(3, "take", "number above 0", 2) end
  if type(burst) ~= "number" or not (burst >= 1 and burst <= 1e9) then bad(4, "take", "number from 1 on", 2) end
  return self.engine:take(bucket, n, rate, burst)
end

-- ---- the suppression list ------------------------------------------------------------------

-- An address as the list has it: whoever wrote Ann@ is the same as ann@.
local function listed(address, verb)
  if type(address) ~= "string" then bad(1, verb, "string", 3) end
  local found, why = core.addresses(address)
  if found and #found == 1 then return found[1].address:lower() end
  return err.refuse("ADDRESS", "address", ("address: %s"):format(why or "it is not one address"), 'write it as "ann@example.com"')
end

local function check_at(self, at, i, verb)
  if at == nil then return math.floor(self.host.now()) end
  if type(at) ~= "number" or at ~= at or at < 0 or at > 2 ^ 52 then bad(i, verb, "seconds since 1970", 3) end
  if at > self.host.now() + AHEAD then
    return err.refuse("OPTION", "at", "at lies in the future, and would decide over all that comes before it", "give seconds since 1970, in UTC")
  end
  return math.floor(at)
end

--- Send nothing to an address any more. Nothing that is already known of it is overwritten.
-- @tparam string address
-- @tparam string reason `unsubscribed`, `bounced`, `complaint` …
-- @tparam[opt="program"] string source who says so: `webhook`, the name of a file …
-- @tparam[opt] number at when, seconds since 1970; now when left out
-- @treturn boolean true; or nil, err
function store:suppress(address, reason, source, at)
  check_name(reason, 2, "suppress")
  if source == nil then source = "program" end
  check_name(source, 3, "suppress")
  local to, e = listed(address, "suppress")
  if not to then return nil, e end
  at, e = check_at(self, at, 4, "suppress")
  if not at then return nil, e end
  return self.engine:suppress(to, reason, source, at)
end

--- The owner of an address wants mail again, and said so after all that suppresses it. No list that is read in does this.
-- @tparam string address
-- @tparam string source where he said it: `signup form` …
-- @tparam[opt] number at when, seconds since 1970; now when left out
-- @treturn boolean true; or nil, err
function store:resubscribe(address, source, at)
  check_name(source, 2, "resubscribe")
  local to, e = listed(address, "resubscribe")
  if not to then return nil, e end
  at, e = check_at(self, at, 3, "resubscribe")
  if not at then return nil, e end
  return self.engine:resubscribe(to, source, at)
end

--- Why nothing may be sent to an address: the oldest reason that holds.
-- @tparam string address
-- @treturn table `{ reason=, source=, at= }`, false: it may be sent to; or nil, err
function store:suppressed(address)
  local to, e = listed(address, "suppressed")
  if not to then return nil, e end
  local answer
  answer, e = self.engine:suppressed { to }
  if not answer then return nil, e end
  return answer[1]
end

--- The same for many addresses at once.
-- @tparam {string,...} addresses as `directmail.message` gives them, each checked
-- @treturn table list in the same order of `{ reason=, source=, at= }` or false; or nil, err
function store:suppressed_of(addresses)
  local list = {}
  for i = 1, #addresses do list[i] = addresses[i]:lower() end
  return self.engine:suppressed(list)
end

--- Everything that is suppressed, in pages, by address.
-- @tparam[opt] string after the last address of the page before
-- @treturn table list of up to 1000 `{ address=, reason=, source=, at= }`, each with the oldest reason that holds; empty at the end; or nil, err
function store:suppressions(after)
  return self.engine:suppressions(after or "", MOST)
end

--- May a mail go to all of these?
-- @tparam {string,...} addresses as `directmail.message` gives them, each checked
-- @treturn boolean true; or nil, err (ADDRESS), which names the first that is suppressed
function store:may_send(addresses)
  local answer, e = self:suppressed_of(addresses)
  if not answer then return nil, e end
  for i = 1, #addresses do
    local why = answer[i]
    if why then
      return err.refuse("ADDRESS", "to", ("%s is on the suppression list: %s (%s, %s)"):format(addresses[i], why.reason, why.source,
        core.date(math.floor(why.at), 0)), "send nothing to it; when its owner asks for mail again: store:resubscribe (docs/store.md)", "recipient")
    end
  end
  return true
end

-- ---- opening ----------------------------------------------------------------------------------

--- Let go of it. What was asked for before and has not returned ends with an error.
function store:close()
  self.engine:close()
  self.closed = true
end

-- Does this name a Redis, and no file?
local function is_url(text) return text:find "^rediss?://" ~= nil end

--- A register of addresses and notes for the reading of one long list: on the disk, without a name, gone with its `close`.
-- @treturn register `row(key, row)` -> where it stood first, `note(name, text)`, `read(name)` -> text or false; or nil, kind, words
function M.register() return load_c().seen() end

-- The place of a store in words: a URL without its password.
local function shown(place) return is_url(place) and require "directmail.store.redis".shown(place) or place end

local OPTIONS = { "keep", "ca" }

--- Open a store, or make it.
-- @tparam string place a file, made with mode 0600 (SQLite keeps `FILE-wal` and `FILE-shm` beside it; not on a network drive); or
--   `redis://[[USER]:PASSWORD@]HOST[:6379][/DB]`, `rediss://…` over TLS. A Redis is connected to when it is first asked for something
-- @tparam[opt] table options `keep` = seconds that settled jobs and their keys are remembered (30 days); `ca` = PEM file for rediss://
-- @tparam[opt] table host
-- @return store; or nil, err (FILE, OPTION)
function M.open(place, options, host)
  options, host = options or {}, host or require "directmail.host"
  if type(place) ~= "string" or place == "" or place:find "%z" then bad(1, "open", "path", 2) end
  option.check(options, OPTIONS, "store.open", 2)
  local keep = options.keep or KEEP
  if type(keep) ~= "number" or not (keep >= 0 and keep <= 2 ^ 32) then bad(2, "open", "seconds as keep", 2) end
  keep = math.floor(keep * 1000)
  local engine, e
  if is_url(place) then
    engine, e = require "directmail.store.redis".open(load_c, place, keep, host, options.ca)
  elseif host.no_files then
    return err.refuse("OPTION", "store", host.no_files.cause, host.no_files.remedy)
  else
    engine, e = require "directmail.store.sqlite".open(load_c(), place, keep, host)
  end
  if not engine then return nil, e end
  return setmetatable({ engine = engine, path = shown(place), host = host }, store)
end

-- host -> place -> store: mail objects with the same one share it.
local opened = setmetatable({}, { __mode = "k" })

--- The store of a setting: itself, or the one at its place.
-- @tparam string|table setting
-- @tparam table host
-- @tparam[opt] string ca the setting of that name, for rediss://
-- @return store; or nil, err
function M.of(setting, host, ca)
  if type(setting) == "table" then return setting end
  local known = opened[host] or setmetatable({}, { __mode = "v" })
  opened[host] = known
  local name = is_url(setting) and ca and setting .. "\0" .. ca or setting
  local found, e = known[name], nil
  if not found or found.closed then
    found, e = M.open(setting, { ca = ca }, host)
    known[name] = found
  end
  return found, e
end

return M
