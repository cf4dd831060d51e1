--- The outbox: mails that are kept in a store now and sent by a pump, in this process or another, on this machine or another.
--
--     mail:send { queue = true, key = "order-1042", to = "ann@example.com", … }       -- a receipt with the outcome `queued`
--     local pump = assert(require "directmail.outbox".start(mail))                    -- any number of them, anywhere
--     …
--     pump:stop()                                                                     -- what is on the wire ends first
--
-- A pump leases jobs, marks each in the store before anything of it is pushed into an engine, and settles it when its outcome is known. A job
-- of a pump that died waits again when its lease is over, or is `unknown` when it was marked; those are not sent again by themselves.
-- @module directmail.outbox
local bulk = require "directmail.bulk"
local core = require "directmail.core"
local err = require "directmail.err"
local json = require "cjson.safe"
local key = require "directmail.key"
local limits = require "directmail.data.limits"
local mask = require "directmail.mask"
local message = require "directmail.message"
local method = require "directmail.method"
local option = require "directmail.option"
local settings = require "directmail.settings"

local M = {}

local VERSION = 1               -- of a payload
local LEASE = 60                -- seconds
local POLL = 1                  -- seconds between two looks for jobs when there are none
local GIVE_UP = 86400           -- seconds after which a mail that could not be sent is not tried again
local FIRST, MOST = 10, 3600    -- seconds until the second attempt, and between two at most
local TROUBLE = 60              -- seconds that a pump holds still at most when its own settings or the network do not work
local LAST_TRY = 30             -- seconds that a stopping pump tries to tell the store what became of its jobs
local PIECE = 65536

-- ---- putting in -------------------------------------------------------------------

-- store -> semaphores of the pumps of this process that wait for its jobs
local sleepers = setmetatable({}, { __mode = "k" })

local function wake(store)
  for pump in pairs(sleepers[store] or {}) do pump.bell:post() end
end

-- An attachment as text: the mail is sent later, perhaps elsewhere, when the file may be gone or another.
local function embedded(part, i)
  local bytes = part.data
  if not bytes then
    local pieces, n = {}, 0
    repeat
      local piece, why = part.reader:read(math.min(PIECE, part.size - n + 1))
      if why then return err.refuse("FILE", "attachments[" .. i .. "]", why, "leave the file alone while the mail is queued") end
      n = n + #(piece or "")
      pieces[#pieces + 1] = piece
    until not piece or n > part.size
    if part.reader.rewind then part.reader:rewind() end
    if n ~= part.size then
      return err.refuse("FILE", "attachments[" .. i .. "]", ("it brings %s octets than its size, %.0f"):format(n > part.size and "more" or "fewer", part.size),
        "leave the file alone while the mail is queued")
    end
    bytes = table.concat(pieces)
  end
  return { name = part.name, type = part.type, cid = part.cid, base64 = core.base64(bytes) }
end

local NOT_KEPT = { queue = true, key = true, attachments = true }

-- A draft as the text of a job; or nil, err.
local function payload_of(mail, d)
  local kept = {}
  for name, value in pairs(d.fields) do
    if not NOT_KEPT[name] then kept[name] = value end
  end
  kept.from = kept.from or not kept.raw and mail.settings.sender or nil
  if not kept.raw then kept.message_id = d.message_id end       -- each attempt is the same mail
  for i = 1, #d.parts do
    local part, e = embedded(d.parts[i], i)
    if not part then return nil, e end
    kept.attachments = kept.attachments or {}
    kept.attachments[i] = part
  end
  local text, why = json.encode { version = VERSION, at = math.floor(mail.host.now()), redirect = mail.settings.redirect, fields = kept }
  if text then return text end
  return err.refuse("OPTION", "queue", "the mail cannot be kept: " .. tostring(why), "give strings, numbers, booleans and lists only")
end

-- The job of a draft, checked as if it were sent now; or nil, err. Nobody is asked for it.
local function job_of(mail, d)
  local ok, e = method.choose(mail, d, true)
  if ok then ok, e = message.lay_out(d, mail.settings, mail.host) end
  if not ok then return nil, e end
  message.close(d)
  local job = { key = d.fields.key }
  if job.key then
    job.hash, e = key.hash(d)
    if not job.hash then return nil, e end
  end
  job.payload, e = payload_of(mail, d)
  if not job.payload then return nil, e end
  return job
end

-- Bring it into the store, unless one of its readers wants no mail: receipt; or nil, err.
local function keep_job(mail, d, job)
  local store = mail.store
  local ok, e = store:may_send(d.to)
  if not ok then return nil, e end
  local jobs
  jobs, e = store:enqueue { job }
  if not jobs then return nil, e end
  local kept = jobs[1]
  if kept.how == "other" then return key.other(job.key) end
  if kept.how == "there" then return key.earlier(job.key, kept) end
  wake(store)
  return { outcome = "queued", id = ("%.0f"):format(kept.id), message_id = d.message_id }
end

--- Put a mail into the outbox (`mail:send { queue = true, … }`): checked as if it were sent now, so that errors are told now.
-- @tparam table mail the mail object, with a store
-- @tparam table d its draft
-- @treturn table `{ outcome = "queued", id =, message_id = }`, with `earlier = true` when its key was there already; or nil, err, with the
--   outcome `unknown` when the store may have it
function M.put(mail, d)
  local job, e = job_of(mail, d)
  if not job then return nil, e end
  local receipt
  receipt, e = keep_job(mail, d, job)
  return receipt, e
end

-- Nobody waits for this mail's error: tell the operator which mail it was, without whom it was for.
local function tell_lost(mail, d, job, e)
  local about = { "Message-ID " .. err.printable(d.message_id or "unknown") }
  if job.key then about[2] = ('key "%s"'):format(mask.addresses(err.printable(job.key))) end
  about[#about + 1] = ("to %s%s"):format(mask.address(d.to[1]), #d.to > 1 and (" and %d more"):format(#d.to - 1) or "")
  mail.host.log("error", ("a mail that was to be queued later %s in the outbox (%s): %s"):format(e.outcome == "unknown" and "may not be" or "is not",
    table.concat(about, ", "), mask.addresses(tostring(e))))
end

--- Put a mail into the outbox as soon as the host may wait for the store: for phases of nginx without sockets. It is checked now; what the
-- store has to say (its readers are suppressed, the key is another mail's, it is away) comes later, and is logged.
-- @tparam table mail the mail object, with a store
-- @tparam table d its draft
-- @treturn table `{ outcome = "queued", stored = false, message_id = }`: it lies in this process's memory until then; or nil, err (also OPTION with the
--   detail `queue`, to be repeated: the host takes no more)
function M.put_later(mail, d)
  local job, e = job_of(mail, d)
  if not job then return nil, e end
  local handed, why = mail.host.later(function(last)
    local receipt, failed = keep_job(mail, d, job)
    if receipt then return nil end
    -- without a key a second job could be a second mail
    if not last and failed.retry and (failed.outcome ~= "unknown" or job.key) then return failed.after or 1 end
    tell_lost(mail, d, job, failed)
  end)
  if handed then return { outcome = "queued", stored = false, message_id = d.message_id } end
  return nil, err.new {
    code = "OPTION", detail = "queue", cause = "the mail cannot be handed to the outbox: " .. tostring(why), retry = true, blame = "none",
    remedy = "queue it in a phase with sockets (rewrite, access, content), or give nginx more timers (lua_max_pending_timers)",
  }
end

-- ---- taking out ---------------------------------------------------------------------

-- A job that cannot become a mail: raised inside bulk's task, which makes it the job's error.
local function unusable(code, detail, cause, remedy)
  error(err.new { code = code, detail = detail, cause = cause, remedy = remedy, blame = "client-bug" }, 0)
end

-- The fields of a claim's mail.
local function fields_of(pump, claim)
  local kept = claim.kept
  if not kept then unusable("OPTION", "queue", "the job holds no mail that this directmail knows", "another version or another program put it there") end
  if kept.redirect ~= pump.mail.settings.redirect then
    unusable("OPTION", "redirect", ("the mail was queued with redirect = %s, and the pump has %s"):format(tostring(kept.redirect or "none"),
      tostring(pump.mail.settings.redirect or "none")), "give both the same DIRECTMAIL_REDIRECT: a mail of a test must not reach its readers")
  end
  local fields = kept.fields
  kept.fields = nil                     -- it may be large, and is needed once
  for _, part in ipairs(fields.attachments or {}) do
    part.data, part.base64 = core.base64_decode(part.base64), nil
  end
  return fields
end

local claims = {}
claims.__index = claims

-- What is in a payload; nil when it is none of ours.
local function read(payload)
  local kept = json.decode(payload)
  if type(kept) ~= "table" or kept.version ~= VERSION or type(kept.fields) ~= "table" or type(kept.at) ~= "number" then return nil end
  kept.on_unknown = kept.fields.on_unknown
  return kept
end

--- Mark it, before its mail is pushed into an engine: true; false: it is another's by now; or nil, err.
function claims:mark()
  if self.marked then return true end
  local pump = self.pump
  local done, e = pump.store:mark { self.job }
  if done then
    self.marked = done[1]
    if not done[1] then pump.held[self] = nil end
    return done[1]
  end
  self.verb, self.wish = "retry", { id = self.job.id, tries = self.job.tries }          -- nothing of it was pushed
  return nil, e
end

-- Faults of the one who sends, not of the mail: all others would end the same way, and a person can mend it.
local OURS = { CREDENTIALS = true, AUTH = true, TLS = true, SIGNATURE = true, CLOCK = true, QUOTA = true, CONNECT = true, DNS = true }
local OF_SETTINGS = {}
for _, name in ipairs(settings.NAMES) do OF_SETTINGS[name] = true end
for _, name in ipairs(message.FIELDS) do OF_SETTINGS[name] = nil end

local function is_ours(e)
  return (e.outcome == "not_sent" or e.outcome == "refused") and (OURS[e.code] or e.code == "OPTION" and OF_SETTINGS[e.detail] or false)
end

-- Seconds until the next attempt: as the server says, else longer each time, with a random part.
local function pause_before(pump, claim, e)
  local seconds = math.min(pump.most, pump.first * 2 ^ math.min(claim.job.tries - 1, 20))
  seconds = seconds * (0.5 + pump.host.random(1):byte() / 510)
  return math.max(e.after or 0, seconds)
end

-- What the store is told: verb, and the job with what goes with it.
local function verdict(pump, claim, receipt, e)
  local job = { id = claim.job.id, tries = claim.job.tries }
  if receipt then
    job.receipt = json.encode(receipt)
    return "ack", job
  end
  local kept = claim.kept
  local resend = kept and (kept.on_unknown or pump.mail.settings.on_unknown) == "resend"
  local may = e.outcome == "unknown" and resend or e.outcome ~= "unknown" and (e.retry or is_ours(e))
  job.error = json.encode(err.plain(e))
  if may and kept and pump.host.now() - kept.at < pump.give_up then
    job.delay = math.floor(pause_before(pump, claim, e) * 1000)
    return "retry", job
  end
  job.outcome, job.again = e.outcome, e.outcome == "refused" and e.retry
  return "bury", job
end

-- Tell the store: true; nil when that must be tried again.
local function tell(pump, claim)
  claim.telling = true
  local done, e = pump.store[claim.verb](pump.store, { claim.wish })
  claim.telling = nil
  if not done then
    pump:complain(e)
    return nil
  end
  pump.held[claim] = nil
  return true
end

--- Settle it. What the store cannot take now is kept, and tried again until it does.
function claims:settle(receipt, e)
  local pump = self.pump
  self.verb, self.wish = verdict(pump, self, receipt, e)
  local outcome = receipt and "sent" or self.verb == "retry" and "again" or e.outcome
  pump.counts[outcome] = pump.counts[outcome] + 1
  if receipt then pump.trouble = 0
  elseif is_ours(e) then pump.trouble = pump.trouble + 1 end
  self.again = self.verb == "retry" and self.wish.delay / 1000 or nil
  tell(pump, self)
end

-- ---- the pump --------------------------------------------------------------------------

local pumps = {}
pumps.__index = pumps

-- A store that is away is told of once until it is back.
function pumps:complain(e)
  if not self.complained then self.host.log("error", "the outbox: " .. tostring(e)) end
  self.complained = true
end

local function nap(self, seconds)
  local set = sleepers[self.store] or setmetatable({}, { __mode = "k" })
  sleepers[self.store] = set
  set[self] = true
  self.bell:wait(seconds)
  set[self] = nil
end

local function is_over(self)
  if not self.stopped and self.host.exiting and self.host.exiting() then self.stopped = true end
  return self.stopped
end

-- Hold still for a while after trouble of our own: each mail would fail the same way, and a server counts failed logins.
local function rest(self)
  if self.trouble == 0 or self.once then return end
  local till = self.host.tick() + math.min(TROUBLE, 2 ^ math.min(self.trouble - 1, 10))
  while not is_over(self) and self.trouble > 0 and self.host.tick() < till do nap(self, math.min(POLL, till - self.host.tick())) end
end

local BURST = 0.1               -- part of a rate that may go at once, so that no window ever sees more than the whole

-- The rate that all pumps of a store share, `{ bucket =, second =, burst = }`; nil when there is none to keep.
local function shared_rate(mail, given)
  local values = mail.settings
  local rate, name = given, values.via == "api" and "single" or "smtp"
  if rate == nil then rate = values.rate end
  local count, window
  if type(rate) == "number" then
    count, window = rate, 1
  elseif rate == nil and not (name == "single" and values.api) then
    local at = require "directmail.smtp".endpoint(values)
    if not at or not at.direct then return nil end              -- rates are Direct Mail's own
    count, window = limits["rate_" .. name], limits["rate_" .. name .. "_seconds"]
  else
    return nil
  end
  local burst = math.max(1, math.floor(count * BURST))
  return {
    bucket = "pace:" .. core.sha256((values.smtp_user or values.sender or "") .. "\0" .. name), burst = burst,
    second = math.max(count * (1 - BURST), count - burst) / window,
  }
end

-- Wait for a token of that rate, for the first job that is leased: true; false: the pump's work is over.
local function paced(self)
  local rate = self.rate
  while rate and self.tokens == 0 and not is_over(self) do
    local granted, wait_ms = self.store:take(rate.bucket, #self.leased, rate.second, rate.burst)
    if granted then
      self.tokens = granted
      if granted == 0 then nap(self, math.min(POLL, wait_ms / 1000)) end
    else
      self:complain(wait_ms)
      nap(self, POLL)
    end
  end
  if is_over(self) then return false end
  if rate then self.tokens = self.tokens - 1 end
  return true
end

-- The next claim for bulk; it waits. Nil: there will be none.
local function next_claim(self)
  while not is_over(self) do
    rest(self)
    if self.leased[1] then return paced(self) and table.remove(self.leased, 1) or nil end
    local jobs, e = self.store:lease(self.batch, self.lease * 1000)
    if jobs then self.complained = nil else self:complain(e) end
    for i, job in ipairs(jobs or {}) do
      self.leased[i] = setmetatable({ pump = self, job = job, key = job.key, kept = read(job.payload), marked = false }, claims)
      job.payload = nil
      self.held[self.leased[i]] = true
    end
    if #self.leased == 0 then
      if self.once then
        self.broken = e
        return nil
      end
      nap(self, POLL)
    end
  end
end

-- Jobs that were leased and given to nobody wait again at once.
local function give_back(self)
  local jobs = {}
  for i = 1, #self.leased do
    jobs[i] = { id = self.leased[i].job.id, tries = self.leased[i].job.tries }
    self.held[self.leased[i]] = nil
  end
  self.leased = {}
  if #jobs > 0 then self.store:retry(jobs) end          -- what fails comes back when its lease is over
end

-- Tell the store of outcomes that it could not take before. Are there any left?
local function tell_all(self)
  local left, late = false, {}
  for claim in pairs(self.held) do
    if claim.verb and not claim.telling then late[#late + 1] = claim end
  end
  for i = 1, #late do
    if self.held[late[i]] and not tell(self, late[i]) then left = true end
  end
  return left
end

local function extend_all(self)
  local jobs, of = {}, {}
  for claim in pairs(self.held) do
    jobs[#jobs + 1], of[#of + 1] = claim.job, claim
  end
  for from = 1, #jobs, 1000 do
    local some = {}
    for i = from, math.min(#jobs, from + 999) do some[#some + 1] = jobs[i] end
    local done, e = self.store:extend(some, self.lease * 1000)
    if not done then return self:complain(e) end
    self.complained = nil
  end
end

-- Keep what is leased, settle what could not be settled, and what dead pumps left; until the pump's work is over.
local function keep(self)
  local extended, reaped = self.host.tick(), self.host.tick()
  while not self.ended do
    self.alarm:wait(math.min(POLL, self.lease / 3))
    local now = self.host.tick()
    if not self.ended and now - extended >= self.lease / 3 then
      extend_all(self)
      extended = now
    end
    if not self.ended then tell_all(self) end
    if not self.ended and now - reaped >= self.lease / 2 then
      self.store:reap()
      reaped = now
    end
  end
end

-- Each result to the caller, until there is none any more.
local function listen(self, next_result, state)
  while true do
    local result = next_result(state)
    if not result then return end
    if self.on_result then
      local claim = result.row
      self.on_result { ok = result.ok, id = ("%.0f"):format(claim.job.id), key = claim.key, tries = claim.job.tries, receipt = result.receipt,
        err = result.err, again = claim.again }
    end
  end
end

local function work(self, next_result, state)
  local ran, why = self.host.wait(self.host.spawn(listen, self, next_result, state))
  if not ran then
    self.host.log("error", "the outbox ended: " .. tostring(why))
    self.broken = why
  end
  self.stopped = true
  give_back(self)
  local till = self.host.tick() + LAST_TRY
  while tell_all(self) and self.host.tick() < till do self.host.sleep(POLL) end
  self.ended = true
  self.alarm:post()
  self.done:post()
end

local OPTIONS = { "connections", "per_connection", "pipeline", "rate", "timeout", "on_result", "lease", "give_up", "first_pause", "longest_pause" }

-- Those in seconds, and the least of each.
local SECONDS = { lease = 1, give_up = 0, first_pause = 0, longest_pause = 0 }

--- Raise for options that cannot be used.
-- @tparam table options of `start`
-- @tparam number level where misuse is raised
function M.check(options, level)
  option.check(options, OPTIONS, "outbox", level + 1)
  option.check_types(options, { connections = "number", per_connection = "number", pipeline = "string", rate = "number or boolean", timeout = "number",
    on_result = "function" }, "outbox", level + 1)
  for name, least in pairs(SECONDS) do
    local n = options[name]
    if n ~= nil and not (type(n) == "number" and n >= least and n <= 366 * 86400) then
      error(("%s must be a number of seconds from %g on"):format(name, least), level + 1)
    end
  end
end

local function new(mail, options, once)
  options = options or {}
  M.check(options, 3)
  if not mail.store then
    return err.refuse("OPTION", "store", "the mail object has no store", 'give directmail.new { store = "/path/outbox.db" } or "redis://HOST:PORT/DB"')
  end
  local able, e = require "directmail.mail".ready(mail.host)
  if not able then return nil, e end
  local host, connections = mail.host, options.connections or limits.connections
  local self = setmetatable({
    mail = mail, store = mail.store, host = host, once = once, on_result = options.on_result, leased = {}, held = {}, trouble = 0,
    batch = math.max(1, math.min(100, math.floor((tonumber(connections) or 1) * 4))),
    lease = options.lease or LEASE, give_up = options.give_up or GIVE_UP, first = options.first_pause or FIRST, most = options.longest_pause or MOST,
    counts = { sent = 0, refused = 0, not_sent = 0, unknown = 0, again = 0 },
    rate = shared_rate(mail, options.rate), tokens = 0, bell = host.semaphore(), alarm = host.semaphore(), done = host.semaphore(),
  }, pumps)
  local next_result, state = bulk.send_all(mail, function() return next_claim(self) end, {
    connections = options.connections, per_connection = options.per_connection, pipeline = options.pipeline, rate = options.rate,
    timeout = options.timeout, message = function(claim) return fields_of(self, claim) end, claims = true,
  }, 3)
  host.spawn(keep, self)
  host.spawn(work, self, next_result, state)
  return self
end

--- Let what is on the wire end, give the rest back, and wait for that.
-- @treturn table how many jobs this pump settled: `{ sent=, refused=, not_sent=, unknown=, again= }` (`again`: attempts that are repeated
--   later); or nil and what ended it
function pumps:stop()
  self.stopped = true
  self.bell:post()
  return self:wait()
end

--- Wait for its end.
-- @return as of `stop`
function pumps:wait()
  if not self.ended then self.done:wait() end
  self.done:post()                      -- for others who wait
  if self.broken then return nil, self.broken end
  return self.counts
end

--- Start a pump. It runs as tasks beside the caller's program; in nginx inside the timer or request that starts it.
-- @tparam table mail the mail object, with a store; it sends as `mail:send_all` does
-- @tparam[opt] table options `connections`, `per_connection`, `pipeline`, `rate`, `timeout` as of `send_all`; `on_result` = called as
--   `on_result { ok=, id=, key=, tries=, receipt=, err=, again = seconds until the next attempt | nil }`; `lease` = seconds after which the jobs
--   of a pump that died are taken from it (60); `give_up` = seconds after which a mail is not tried again (a day); `first_pause` (10) and
--   `longest_pause` (3600) = seconds between attempts
-- @treturn pump with `stop`, `wait` and `counts`; or nil, err
function M.start(mail, options)
  local pump, e = new(mail, options, false)
  return pump, e
end

--- Send what is due, and come back: for cron. Jobs that wait for a later time stay.
-- @tparam table mail
-- @tparam[opt] table options as of `start`
-- @treturn table as of `stop`; or nil, err
function M.run(mail, options)
  local pump, e = new(mail, options, true)
  if not pump then return nil, e end
  local counts
  counts, e = pump:wait()
  return counts, e
end

return M
