--- Many messages over a few connections (`mail:send_all`).
-- Each connection is one task; a feeder task reads the source ahead of them, and what
-- became of each message comes out of an iterator in the order in which it was settled.
-- Nothing grows with the number of messages: rows are read, sent and forgotten.
-- @module directmail.bulk
local connection = require "directmail.connection"
local elsewhere = require "directmail.elsewhere"
local err = require "directmail.err"
local key = require "directmail.key"
local limits = require "directmail.data.limits"
local message = require "directmail.message"
local method = require "directmail.method"
local option = require "directmail.option"
local smtp = require "directmail.smtp"

local M = {}

local OPTIONS = { "connections", "per_connection", "pipeline", "rate", "timeout", "message", "on_result", "claims" }
local PAUSE_MAX = 60            -- seconds a connection waits at most before it is tried again

local bulk = {}
bulk.__index = bulk

-- ---- rows ------------------------------------------------------------------

-- The next row, to become a job, without waiting; nil when none is there now. Rows wait in a ring of `ahead` places.
local function ready_row(self)
  if self.first > self.last then return nil end
  local place = self.first % self.ahead
  local row = self.rows[place]
  self.rows[place] = false
  self.first = self.first + 1
  -- many rows at a time: each turn of the feeder costs as much as reading several
  if self.full and self.last - self.first + 1 <= self.ahead / 2 then
    self.full = false
    self.room:post()
  end
  return row
end

local function feed(self)
  local n = 0
  while not self.stopped do
    local row = self.source()
    if row == nil then break end
    n = n + 1
    self.last = self.last + 1
    self.rows[self.last % self.ahead] = {
      n = n, row = row, built = nil, at = nil, who = nil, timeout = nil, start = nil, deadline = nil,
    }
    if self.hungry > 0 then self.items:post() end
    while self.last - self.first + 1 >= self.ahead and not self.stopped do
      self.full = true
      self.room:wait()
    end
  end
end

local function feeder(self)
  local ok, why = self.host.wait(self.host.spawn(feed, self))
  if not ok then self.broken = why end
  self.fed = true
  self.items:post(self.connections)     -- whoever waits for a row learns that none comes
end

-- ---- results ---------------------------------------------------------------

local function deliver(self, job, receipt, e)
  local result = { ok = receipt ~= nil, n = job.n, row = job.row, receipt = receipt, err = e }
  if self.left then
    if self.on_result then self.on_result(result) end
  else
    self.tail = self.tail + 1
    self.results[self.tail] = result
  end
  if self.listening then self.news:post() end
end

-- A job has its outcome. It is told at once, or when its key is written down, or when other regions were asked for a sender that
-- this one does not know: nothing here waits.
local function report(self, job, receipt, e)
  local draft = job.built or job.draft
  if e and e.outcome == "unknown" and draft then require "directmail.trace".remember(e, draft, self.host.now()) end
  local lost = e and e.outcome == "refused" and draft and elsewhere.concerns(e)
  if job.built then message.close(job.built) end
  if not job.claim and not lost then return deliver(self, job, receipt, e) end
  self.working = self.working + 1
  self.host.spawn(function()
    if lost then e = elsewhere.explain(self.mail, draft, { via = job.draft and "api" or "smtp", credentials = job.credentials }, e) end
    if job.claim then job.claim:settle(receipt, e) end
    self.working = self.working - 1
    if self.listening then self.news:post() end
    deliver(self, job, receipt, e)
  end)
end

-- A transaction is over. The server may have been full behind some recipients: the rest gets a transaction of its own
-- (RFC 5321, 4.5.3.1.10), as often as each serves one at least.
local function served(self, w, job, receipt, e, refused)
  if job.part then
    smtp.merge(job.part, job.left, receipt, e)
    receipt, e = job.part, nil
  end
  local left = not e and refused and smtp.left(job.built, refused)
  local rest = left and left[1] and #left < #job.built.to and smtp.rest(self.mail, job.built, left)
  if not rest then return report(self, job, receipt, e) end
  message.close(job.built)
  job.built, job.part, job.left, job.paced = rest, receipt, left, nil
  w.retry[#w.retry + 1] = job
end

-- The fields of a row. A task is the pcall around the caller's function, which may wait.
local function fields_of(self, row)
  local ok, fields = self.host.wait(self.host.spawn(self.message, row))
  if ok then return fields end
  return nil, err.is(fields) and fields or err.new {
    code = "OPTION", detail = "message", cause = "the message function failed: " .. tostring(fields), remedy = "correct the function, or the row",
    blame = "client-bug",
  }
end

-- What a row asks for, checked and laid out; nil when that alone settled it.
local function job_of(self, job)
  local mail = self.mail
  local fields, draft, way, e = job.row, nil, nil, nil
  if self.claims then job.claim = job.row end
  if self.message then fields, e = fields_of(self, fields) end
  if fields then draft, e = message.try(fields, mail.settings, mail.host) end
  if draft and draft.fields.queue then return report(self, job, require "directmail.outbox".put(mail, draft)) end
  if draft and mail.store then
    local may
    may, e = mail.store:may_send(draft.to)
    if not may then draft = nil end
  end
  if draft then way, e = method.choose(mail, draft) end
  job.keyed = draft and draft.fields.key and draft
  if self.claims and draft then draft.fields.key = job.row.key end      -- transports are told of it
  if way and way.via == "api" then
    draft.fields.timeout = draft.fields.timeout or self.timeout
    job.draft, job.credentials = draft, way.credentials
    return job
  end
  if way then job.built, e = message.lay_out(draft, mail.settings, mail.host) end
  if job.built and way.via == "transport" then
    job.transport = draft
    return job
  end
  if job.built then
    job.at, job.who = smtp.prepare(mail.settings, job.built)
    if not job.at then e = job.who end
  end
  if e then return report(self, job, nil, e) end
  job.timeout = fields.timeout or self.timeout or mail.settings.timeout
  return job
end

-- Take the key of a job that has one: true, or false when it has its outcome already; with `now` nil when only waiting will tell.
local function claimed(self, job, now)
  if not job.keyed or job.claim then return true end
  local receipt, e
  job.claim, receipt, e = key.claim(self.mail, job.keyed, { mark = now, now = now })
  if job.claim then return true end
  if not (receipt or e) then return nil end
  report(self, job, receipt, e)
  return false
end

-- Mark a job that has a key, before it is pushed: true, or false when it is not to be pushed now.
local function marked(self, w, job)
  if not job.claim then return true end
  local ok, e = job.claim:mark()
  if ok then return true end
  job.claim = nil
  if self.claims then
    if job.built then message.close(job.built) end      -- the outbox knows what to do
  elseif e then report(self, job, nil, e)
  else w.retry[#w.retry + 1] = job end          -- another has it by now: his outcome is ours
  return false
end

-- ---- one connection ----------------------------------------------------------

-- Take a token of the rate, and one for each recipient; `now`: only if they are there.
local function paced(self, job, now)
  if not (job.at.direct or self.mail.settings.rate) then return true end
  if job.at.direct then
    job.paced = self.mail.pace:recipients(job.built.to, job.paced, now and 0 or nil)
    if job.paced < #job.built.to then return false end
  end
  if now then return (self.mail.pace:try "smtp") end
  self.mail.pace:take "smtp"
  return true
end

-- QUIT rides behind the last dot, which saves a round trip; if a message comes after all, it gets a new connection.
local function is_last(self, c)
  return c.pushed >= self.per_connection or self.fed and self.first > self.last and not (self.made or self.making)
end

local function push(self, c, job)
  if not c:push(job) then return false end
  if is_last(self, c) then c:quit() end
  return true
end

-- Lay one message out ahead, while a server is busy, so that it need not wait for us. It is not started yet, and whichever
-- connection is free first takes it. The message function may wait here.
local function make_ahead(self)
  if self.stopped or self.made or self.making or self.hungry > 0 then return end
  local item = ready_row(self)
  if not item then return end
  self.making = true
  self.made = job_of(self, item)
  self.making = false
  if self.made and self.hungry > 0 then self.items:post() end
end

-- Nothing is started any more: what was laid out ahead is not either.
local function drop_made(self)
  if self.made and self.made.built then message.close(self.made.built) end
  self.made = nil
end

-- The next message without waiting for a row; nil when none is there, false when a row was settled by laying it out.
local function ready_job(self)
  local job = self.made
  self.made = nil
  if job then return job end
  local item = ready_row(self)
  if item then return job_of(self, item) or false end
end

-- The same, and waits for a row. nil: there will be none, or `seconds` are over ("timeout").
local function next_job(self, seconds)
  while not self.stopped do
    local job = ready_job(self)
    if job ~= nil then return job end
    if self.fed then
      self.items:post()                 -- for the next who asks
      return nil
    end
    self.hungry = self.hungry + 1
    local ok, why = self.items:wait(seconds)
    self.hungry = self.hungry - 1
    if not ok then return nil, why end
  end
end

-- With overlap a second message waits in the engine, so that its envelope leaves behind the first one's dot.
-- Nothing here waits: the server may have said 354 already.
local function push_follower(self, w)
  local c = w.c
  if self.pipeline ~= "overlap" or self.stopped or c.pushed >= self.per_connection or #w.retry > 0 then return end
  local job
  if self.mail.store then job, self.made = self.made, nil       -- asking the store waits: what was laid out ahead, or none
  else job = ready_job(self) end
  local mine
  if job and not self.claims then mine = claimed(self, job, true) end   -- those are marked by waiting only
  if not job or mine == false then return end
  if mine and job.at and job.who.user == c.who.user and paced(self, job, true) and push(self, c, job) then return end
  w.retry[#w.retry + 1] = job
end

local function open(self, w, job)
  local c, e
  c, e = connection.new(self.mail, job.at, job.who, function(done, outcome, said, refused, again)
    if again then
      done.again = true
      w.retry[#w.retry + 1] = done
      return
    end
    local receipt, no = c:verdict(done, outcome, said, refused)
    served(self, w, done, receipt, no, refused)
    if outcome ~= "sent" and (said.code == 421 or said.step == "connect" or said.step == "banner") then w.trouble = true end
    push_follower(self, w)
  end)
  if c then c.run.meanwhile = self.make_ahead end
  return c, e
end

local function end_connection(w)
  if not w.c then return end
  w.c:quit()
  w.c:drive()
  w.c:close()
  w.c = nil
end

-- Bring one message onto the wire, over the connection there is or a new one.
local function send(self, w, job)
  if w.c and w.c.who.user ~= job.who.user then end_connection(w) end
  local fresh = not w.c
  if fresh then
    local c, e = open(self, w, job)
    if not c then return report(self, job, nil, e) end
    w.c = c
  end
  push(self, w.c, job)
  push_follower(self, w)
  if fresh then w.c:connect() end
  if w.c:drive() ~= "idle" then
    w.c:close()
    w.c = nil
  end
end

-- After trouble with the server a connection waits longer each time, with a random part, before it is tried again.
local function back_off(self, w)
  if not w.trouble then
    w.pause = nil
    return
  end
  w.trouble = nil
  w.pause = math.min((w.pause or 0.5) * 2, PAUSE_MAX)
  self.host.sleep(w.pause * (0.5 + self.host.random(1):byte() / 510))
end

local function work(self)
  local w = { retry = {} }      -- `c` the connection, `retry` messages that come next
  while true do
    if self.stopped then drop_made(self) end
    local job, why = #w.retry > 0 and table.remove(w.retry, 1) or nil
    if not job then
      job, why = next_job(self, w.c and limits.keepalive or nil)
      if why then end_connection(w)             -- nothing to send for so long: the server would close
      elseif job == nil then break end
    end
    if job and not claimed(self, job) then job = nil end
    if job and job.transport then
      if marked(self, w, job) then report(self, job, require "directmail.transport".send(self.mail, job.transport, job.built)) end
    elseif job and job.draft then
      if marked(self, w, job) then report(self, job, require "directmail.single".send(self.mail, job.draft, job.credentials, true)) end
    elseif job then
      if not job.again then paced(self, job) end
      if marked(self, w, job) then send(self, w, job) end
      back_off(self, w)
    end
    -- who does not listen is not sent to: no more starts than results can be kept for
    while self.tail - self.head + 1 >= self.ahead and not self.left do
      self.crowded = self.crowded + 1
      self.space:wait()
      self.crowded = self.crowded - 1
    end
  end
  end_connection(w)
end

local function worker(self)
  local ok, why = self.host.wait(self.host.spawn(work, self))
  if not ok then self.broken = self.broken or why end
  self.working = self.working - 1
  if self.listening then self.news:post() end
end

-- Until something was settled, or a connection's work is over.
local function listen(self)
  self.listening = true
  self.news:wait()
  self.listening = false
end

-- ---- the iterator ------------------------------------------------------------

local function next_result(self)
  while true do
    if self.head <= self.tail then
      local result = self.results[self.head]
      self.results[self.head] = nil
      self.head = self.head + 1
      if self.head > self.tail then self.head, self.tail = 1, 0 end     -- so that the list does not wander through its table
      if self.crowded > 0 then self.space:post() end
      if self.on_result then self.on_result(result) end
      return result
    end
    if self.working == 0 then
      if self.broken then error(self.broken, 0) end
      return nil
    end
    listen(self)
  end
end

--- Start nothing more, let what is on the wire finish, and hand the rest to `on_result`.
function bulk:close()
  if self.left then return end
  self.left, self.stopped = true, true
  while self.head <= self.tail do
    if self.on_result then self.on_result(self.results[self.head]) end
    self.results[self.head] = nil
    self.head = self.head + 1
  end
  self.items:post(self.connections)
  self.space:post(self.connections)
  self.room:post()
  while self.working > 0 do listen(self) end
end

local function whole(options, name, default, most)
  local n = options[name]
  if n == nil then return default end
  if type(n) ~= "number" or n < 1 or n > most or n ~= math.floor(n) then
    return nil, ("%s must be a whole number from 1 to %d"):format(name, most)
  end
  return n
end

--- Send what a source brings (`mail:send_all`).
-- @tparam table mail
-- @tparam table|function source a list of rows, or a function that brings the next one and nil at the end; it may wait
-- @tparam[opt] table options `connections` (5; by the API calls in flight), `per_connection` (100 messages), `pipeline`, `rate`,
--   `timeout` (seconds a message), `message` = function(row) -> fields, `on_result` = function(result); `claims` = the rows are claims of
--   `directmail.outbox`, with `key`, `mark` and `settle`
-- @tparam number level where misuse is raised
-- @return an iterator of `{ ok=, n=, row=, receipt=, err= }` in completion order; and as its fourth value an object whose
--   `close()` stops starting and lets started messages finish (a `for` of Lua 5.4 calls it when left)
function M.send_all(mail, source, options, level)
  options = options or {}
  local wrong = option.unknown(options, OPTIONS, "mail:send_all")
  local connections, per
  if not wrong then connections, wrong = whole(options, "connections", limits.connections, 1000) end
  if not wrong then per, wrong = whole(options, "per_connection", limits.per_connection, 1e9) end
  if not wrong and type(source) ~= "table" and type(source) ~= "function" then
    wrong = ("source must be a list or a function, not a %s"):format(type(source))
  end
  if wrong then error(wrong, level + 1) end
  local host = mail.host
  local own, e = mail:with { pipeline = options.pipeline, rate = options.rate }
  if not own then error(e.cause, level + 1) end
  if type(source) == "table" then
    local list, i = source, 0
    source = function()
      i = i + 1
      return list[i]
    end
  end
  local self = setmetatable({
    mail = own, host = host, source = source, claims = options.claims, message = options.message, on_result = options.on_result, timeout = options.timeout,
    connections = connections, per_connection = per, pipeline = own.settings.pipeline or "group",
    ahead = connections * 2, rows = {}, first = 1, last = 0, results = {}, head = 1, tail = 0, working = connections,
    -- each is posted only when somebody waits for it: `hungry` workers for rows, the feeder that is `full`, whoever is `listening`, `crowded` workers
    items = host.semaphore(), room = host.semaphore(), news = host.semaphore(), space = host.semaphore(),
    hungry = 0, full = false, listening = false, crowded = 0,
    made = nil, making = false,
  }, bulk)
  self.make_ahead = function() make_ahead(self) end
  host.spawn(feeder, self)
  for _ = 1, connections do host.spawn(worker, self) end
  return next_result, self, nil, self
end

bulk.__close = bulk.close

return M
