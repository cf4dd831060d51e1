--- The store: jobs, keys, shared rates and the suppression list, in one SQLite file that all processes of a machine may use.
--
--     local store = assert(require "directmail.store".open "/var/lib/shop/outbox.db")
--     assert(store:enqueue { { payload = "…", key = "order-1042" } })
--     for _, job in ipairs(assert(store:lease(50, 60000))) do … end
--
-- A job goes `waiting` → `leased` → `marked` → `sent`, `refused`, `not_sent` or `unknown`; docs/store.md shows all ways. Whoever leases
-- a job gets the number of the attempt, `tries`, with it. Every later verb names both, and does nothing when another has leased the job
-- since. Calls wait while another process writes, so inside a task they let others run; all that one turn of the loop asks for goes
-- to the disk as one transaction. What a call returned is on the disk.
-- @module directmail.store
local core = require "directmail.core"
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

local BUSY = 10                         -- seconds that a call waits for other processes
local KEEP = 30 * 86400                 -- seconds that settled jobs, and with them their keys, are remembered
local TIDY = 60                         -- seconds between two looks at what can be forgotten
local MOST = 1000                       -- jobs of one call
local NAME_OCTETS = 255                 -- of a key, a bucket's name, a reason, a source
local PAYLOAD_OCTETS = 32 * 1024 * 1024
local AHEAD = 300                       -- seconds that somebody's clock may be ahead of ours

-- `require` would find this very file under the C module's name, so that one is looked for as `require` does it, but in package.cpath only.
local engine

local function load_engine()
  if engine then return engine end
  for template in package.cpath:gmatch "[^;]+" do
    local path = template:gsub("%?", "directmail/store")
    local file = path ~= template and io.open(path, "rb")
    if file then
      file:close()
      local open, why = package.loadlib(path, "luaopen_directmail_store")
      if not open then error(("%s cannot be loaded: %s"):format(path, why), 0) end
      engine = open "directmail.store"
      return engine
    end
  end
  error("the module directmail/store.so is missing in package.cpath: run make in the source folder, or make install", 0)
end

-- ---- failures ------------------------------------------------------------------

-- kind -> cause (of the path and SQLite's words), remedy, retry
local FAILURES = {
  busy = { "another process keeps the store %s locked: %s", "end that process (fuser shows it), or try again", true },
  full = { "the store %s cannot be written: %s", "make room on its disk; what it holds is whole", true },
  readonly = { "the store %s cannot be written: %s", "give this user the right to write the file and its folder" },
  foreign = { "%s is no store: %s", "name another file; one that is not there is made" },
  newer = { "the store %s was made by a newer directmail: %s", "use that version, or another file" },
  corrupt = { "the store %s is damaged: %s", 'look at it with sqlite3 FILE "PRAGMA integrity_check", and take the last good copy' },
  io = { "the store %s cannot be used: %s", "check path, rights and disk; a relative path begins at the folder the program runs in" },
  forked = { "the store %s belongs to another process: %s", "open it after the fork, in the process that uses it" },
  memory = { "not enough memory for the store %s: %s", "give the program more", true },
}

local function failure(path, kind, words)
  local known = FAILURES[kind]
  return err.new {
    code = "FILE", detail = path, cause = known[1]:format(path, words), remedy = known[2], retry = known[3] or false, blame = "none",
  }
end

-- ---- transactions ----------------------------------------------------------------

local store = {}
store.__index = store

local function now_ms(self) return math.floor(self.host.now() * 1000) end

-- Try again while another process writes; each pause is longer, with a random part.
local function patiently(host, try)
  local start, pause = host.tick(), 0.002
  while true do
    local done, kind, words = try()
    if done then return done end
    if kind ~= "busy" or host.tick() - start >= BUSY then return nil, kind, words end
    host.sleep(pause * (0.5 + host.random(1):byte() / 255))
    pause = math.min(pause * 2, 0.1)
  end
end

-- Run `work(db)`, which must not wait, in one transaction: true; or nil, kind, words, and nothing of it happened.
local function attempt(self, work)
  local db = self.db
  if not db then return nil, "io", "it is closed" end
  local ok, kind, words = db:begin()
  if not ok then return nil, kind, words end
  work(db)
  return db:commit()
end

local function do_wishes(db, turn)
  for i = 1, #turn do turn[i].answer = turn[i].work(db) end
end

local function end_turn(turn, e)
  for i = 1, #turn do
    turn[i].err = e
    turn[i].ended:post()
  end
end

-- One turn after the other, each as one transaction, until nobody asks for more.
local function flush(self)
  while self.turn do
    self.host.sleep(0)                  -- behind all that runs in this turn of the loop
    local turn = self.turn
    self.turn = nil
    if turn then                        -- ask_now may have taken it along
      self.busy = true
      local ok, kind, words = patiently(self.host, function()
        return attempt(self, function(db) do_wishes(db, turn) end)
      end)
      self.busy = false
      end_turn(turn, not ok and failure(self.path, kind, words) or nil)
    end
  end
  self.flusher = nil
end

-- What `work(db)` returns, once it is on the disk together with all that others asked for in this turn; or nil, err.
-- `work` may run several times: each run begins from what is on the disk.
local function ask(self, work)
  local wish = { work = work, ended = self.host.semaphore() }
  self.turn = self.turn or {}
  self.turn[#self.turn + 1] = wish
  if not self.flusher then
    self.flusher = true
    self.host.spawn(flush, self)
  end
  wish.ended:wait()
  if wish.err then return nil, wish.err end
  return wish.answer
end

-- The same at once and without waiting, with all that this turn has asked for already, so that who asks in order is served in order.
-- Nil when another process writes just now.
local function ask_now(self, work)
  if self.busy then return nil end      -- an earlier turn waits for that process
  local answer
  local turn = self.turn
  local ok, kind, words = attempt(self, function(db)
    if turn then do_wishes(db, turn) end
    answer = work(db)
  end)
  if ok then
    self.turn = nil
    if turn then end_turn(turn) end
    return answer
  end
  if kind == "busy" then return nil end
  return nil, failure(self.path, kind, words)
end

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

-- Settle what dead workers left, and forget what is old; from time to time is enough.
local function tidy(self, db, now)
  local tick = self.host.tick()
  if self.tidied and tick - self.tidied < TIDY then return end
  self.tidied = tick
  if db:reap(now, now - self.keep, MOST) then db:forget_buckets(now, MOST) end
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
  return ask(self, function(db)
    local out, now = {}, now_ms(self)
    for i = 1, #list do
      local entry = list[i]
      out[i] = db:enqueue(now, now + (entry.delay or 0), entry.key, entry.hash or core.sha256(entry.payload), entry.payload)
      if not out[i] then return nil end
    end
    return out
  end)
end

--- Lease jobs that are due, the oldest first. They are the caller's for that time, which `extend` prolongs.
-- @tparam number n at most so many, 1 to 1000
-- @tparam number visibility_ms milliseconds
-- @treturn table list of `{ id=, tries=, key=, payload= }`, empty when nothing is due; or nil, err
function store:lease(n, visibility_ms)
  check_whole(n, 1, MOST, 1, "lease")
  check_ms(visibility_ms, 2, "lease")
  return ask(self, function(db)
    local now = now_ms(self)
    tidy(self, db, now)
    return db:lease(now, now + visibility_ms, n)
  end)
end

-- One verb for each job of a list: a list of booleans.
local function for_each(self, jobs, call)
  return ask(self, function(db)
    local out, now = {}, now_ms(self)
    for i = 1, #jobs do
      out[i] = call(db, jobs[i], now)
      if out[i] == nil then return nil end
    end
    return out
  end)
end

--- Keep jobs for longer, counted from now.
-- @tparam table jobs list of jobs as `lease` gives them
-- @tparam number visibility_ms milliseconds
-- @treturn table list of booleans, false: that job is another's by now; or nil, err
function store:extend(jobs, visibility_ms)
  check_jobs(jobs, "extend")
  check_ms(visibility_ms, 2, "extend")
  return for_each(self, jobs, function(db, job, now) return db:extend(job.id, job.tries, now + visibility_ms) end)
end

--- Mark jobs, before anything of them is pushed into an engine. If the program dies from here on, they are `unknown`.
-- @tparam table jobs
-- @treturn table list of booleans, false: that job is another's by now and must not be pushed; or nil, err: none may be pushed
function store:mark(jobs)
  check_jobs(jobs, "mark")
  return for_each(self, jobs, function(db, job) return db:mark(job.id, job.tries) end)
end

--- Settle jobs as sent. They must have been marked. A job that was called `unknown` meanwhile is sent by this, too.
-- @tparam table jobs each with `receipt` = JSON text, or nil
-- @treturn table list of booleans; or nil, err
function store:ack(jobs)
  check_jobs(jobs, "ack", "receipt")
  return for_each(self, jobs, function(db, job, now) return db:ack(job.id, job.tries, now, job.receipt) end)
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
  return for_each(self, jobs, function(db, job, now) return db:retry(job.id, job.tries, now + (job.delay or 0), job.error) end)
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
  return for_each(self, jobs, function(db, job, now)
    return db:bury(job.id, job.tries, now, job.outcome, job.again == true, job.error)
  end)
end

--- Settle what dead workers left: a job whose lease is over waits again, and is `unknown` when it was marked. Forget what was settled
-- longer ago than the store keeps it; `unknown` jobs stay until somebody settles them. `lease` and `claim` do this once a minute.
-- @treturn table how many: `{ waiting=, not_sent=, unknown=, forgotten= }`, up to 1000 at a time; or nil, err
function store:reap()
  return ask(self, function(db)
    local now = now_ms(self)
    local out = db:reap(now, now - self.keep, MOST)
    return out and db:forget_buckets(now, MOST) and out
  end)
end

--- How many jobs there are in each state. Forgotten ones are not among them.
-- @treturn table `{ waiting=, leased=, marked=, sent=, refused=, not_sent=, unknown= }`; or nil, err
function store:counts()
  return ask(self, function(db) return db:counts() end)
end

--- The job of a key, to see how it went, or to settle an `unknown` one by `ack` or `retry`.
-- @tparam string key
-- @treturn table `{ id=, tries=, state=, due=, made= (milliseconds since 1970), result = JSON text }`, false: no such key; or nil, err
function store:find(key)
  check_name(key, 1, "find")
  return ask(self, function(db) return db:find(key) end)
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
  return (now and ask_now or ask)(self, function(db)
    local time = now_ms(self)
    tidy(self, db, time)
    return db:claim(time, time + wish.visibility_ms, wish.key, wish.hash, wish.mark == true, wish.resend == true)
  end)
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
  local answer, e = ask(self, function(db)
    local granted, wait_ms = db:take(now_ms(self), bucket, n, rate, burst)
    return granted and { granted, wait_ms }
  end)
  if not answer then return nil, e end
  return answer[1], answer[2]
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
-- @tparam string source who says so: `webhook`, the name of a file …
-- @tparam[opt] number at when, seconds since 1970; now when left out
-- @treturn boolean true; or nil, err
function store:suppress(address, reason, source, at)
  check_name(reason, 2, "suppress")
  check_name(source, 3, "suppress")
  local to, e = listed(address, "suppress")
  if not to then return nil, e end
  at, e = check_at(self, at, 4, "suppress")
  if not at then return nil, e end
  return ask(self, function(db) return db:suppress(to, reason, source, at) end)
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
  return ask(self, function(db) return db:resubscribe(to, source, at) end)
end

--- Why nothing may be sent to an address: the oldest reason that holds.
-- @tparam string address
-- @treturn table `{ reason=, source=, at= }`, false: it may be sent to; or nil, err
function store:suppressed(address)
  local to, e = listed(address, "suppressed")
  if not to then return nil, e end
  return ask(self, function(db) return db:suppressed(to) end)
end

-- ---- opening ----------------------------------------------------------------------------------

--- Let go of the file. What was asked for before and has not returned ends with an error.
function store:close()
  if self.db then self.db:close() end
  self.db, self.closed = nil, true
end

local OPTIONS = { "keep" }

--- Open a store, or make it: a file of mode 0600.
-- @tparam string path a file; SQLite keeps `path-wal` and `path-shm` beside it. Not on a network drive
-- @tparam[opt] table options `keep` = seconds that settled jobs and their keys are remembered (30 days)
-- @tparam[opt] table host
-- @return store; or nil, err (FILE)
function M.open(path, options, host)
  options, host = options or {}, host or require "directmail.host"
  if type(path) ~= "string" or path == "" or path:find "%z" then bad(1, "open", "path", 2) end
  option.check(options, OPTIONS, "store.open", 2)
  local keep = options.keep or KEEP
  if type(keep) ~= "number" or not (keep >= 0 and keep <= 2 ^ 32) then bad(2, "open", "seconds as keep", 2) end
  local never = host.refuses and host.refuses.store
  if never then return err.refuse("OPTION", "store", never.cause, never.remedy) end
  local c = load_engine()
  local db, kind, words = patiently(host, function() return c.open(path) end)
  if not db then return nil, failure(path, kind, words) end
  return setmetatable({ db = db, path = path, host = host, keep = math.floor(keep * 1000) }, store)
end

-- host -> path -> store: mail objects with the same path share one.
local opened = setmetatable({}, { __mode = "k" })

--- The store of a setting: itself, or the one at its path.
-- @tparam string|table setting
-- @tparam table host
-- @return store; or nil, err
function M.of(setting, host)
  if type(setting) == "table" then return setting end
  local known = opened[host] or setmetatable({}, { __mode = "v" })
  opened[host] = known
  local found, e = known[setting], nil
  if not found or found.closed then
    found, e = M.open(setting, nil, host)
    known[setting] = found
  end
  return found, e
end

return M
