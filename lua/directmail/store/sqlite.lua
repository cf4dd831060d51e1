--- A store in one SQLite file that all processes of a machine may use.
-- The verbs of `directmail.store`, their arguments checked there. Calls wait while another process writes, so inside a task they let others run; all that
-- one turn of the loop asks for goes to the disk as one transaction.
-- @module directmail.store.sqlite
local core = require "directmail.core"
local err = require "directmail.err"

local M = {}

local BUSY = 10                         -- seconds that a call waits for other processes
local MOST = 1000                       -- jobs that one reap settles and forgets

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

local engine = {}
engine.__index = engine

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

-- ---- the verbs -----------------------------------------------------------------------

local function tidy(self, db, now)
  if db:reap(now, now - self.keep, MOST) then db:forget_buckets(now, MOST) end
end

function engine:enqueue(list)
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

function engine:lease(n, visibility_ms, tidily)
  return ask(self, function(db)
    local now = now_ms(self)
    if tidily then tidy(self, db, now) end
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

function engine:extend(jobs, visibility_ms)
  return for_each(self, jobs, function(db, job, now) return db:extend(job.id, job.tries, now + visibility_ms) end)
end

function engine:mark(jobs)
  return for_each(self, jobs, function(db, job) return db:mark(job.id, job.tries) end)
end

function engine:ack(jobs)
  return for_each(self, jobs, function(db, job, now) return db:ack(job.id, job.tries, now, job.receipt) end)
end

function engine:retry(jobs)
  return for_each(self, jobs, function(db, job, now) return db:retry(job.id, job.tries, now + (job.delay or 0), job.error) end)
end

function engine:bury(jobs)
  return for_each(self, jobs, function(db, job, now)
    return db:bury(job.id, job.tries, now, job.outcome, job.again == true, job.error)
  end)
end

function engine:reap()
  return ask(self, function(db)
    local now = now_ms(self)
    local out = db:reap(now, now - self.keep, MOST)
    return out and db:forget_buckets(now, MOST) and out
  end)
end

function engine:counts()
  return ask(self, function(db) return db:counts() end)
end

function engine:find(key)
  return ask(self, function(db) return db:find(key) end)
end

function engine:list(state, n)
  return ask(self, function(db) return db:list(state, n) end)
end

function engine:claim(wish, tidily, now)
  return (now and ask_now or ask)(self, function(db)
    local time = now_ms(self)
    if tidily then tidy(self, db, time) end
    return db:claim(time, time + wish.visibility_ms, wish.key, wish.hash, wish.mark == true, wish.resend == true)
  end)
end

function engine:take(bucket, n, rate, burst)
  local answer, e = ask(self, function(db)
    local granted, wait_ms = db:take(now_ms(self), bucket, n, rate, burst)
    return granted and { granted, wait_ms }
  end)
  if not answer then return nil, e end
  return answer[1], answer[2]
end

function engine:suppress(address, reason, source, at)
  return ask(self, function(db) return db:suppress(address, reason, source, at) end)
end

function engine:resubscribe(address, source, at)
  return ask(self, function(db) return db:resubscribe(address, source, at) end)
end

function engine:suppressed(addresses)
  return ask(self, function(db)
    local out = {}
    for i = 1, #addresses do
      out[i] = db:suppressed(addresses[i])
      if out[i] == nil then return nil end
    end
    return out
  end)
end

function engine:suppressions(after, n)
  return ask(self, function(db) return db:suppressions(after, n) end)
end

function engine:close()
  if self.db then self.db:close() end
  self.db = nil
end

-- ---- opening ---------------------------------------------------------------------------

--- Open a file, or make it.
-- @tparam table c the module directmail/store.so
-- @tparam string path
-- @tparam number keep milliseconds that settled jobs are remembered
-- @tparam table host
-- @return engine; or nil, err (FILE)
function M.open(c, path, keep, host)
  local db, kind, words = patiently(host, function() return c.open(path) end)
  if not db then return nil, failure(path, kind, words) end
  return setmetatable({ db = db, path = path, host = host, keep = keep }, engine)
end

return M
