--- One SMTP connection: a socket, an engine, and the messages that wait in it.
-- @module directmail.connection
local core = require "directmail.core"
local err = require "directmail.err"
local failure = require "directmail.failure"
local kept = require "directmail.kept"
local limits = require "directmail.data.limits"
local mask = require "directmail.mask"
local message = require "directmail.message"
local session = require "directmail.session"

local M = {}

local RING = 4                  -- messages that an engine holds at most (DM_SMTP_MESSAGES)

local connection = {}
connection.__index = connection

-- A server that stumbles over commands in groups is asked more simply from then on: host table -> "host:port" -> what is known.
local LOWER = { overlap = "group", group = "off" }
local RANK = { off = 1, group = 2, overlap = 3 }
local ENVELOPE = { mail = true, rcpt = true, data = true }
local LOST_TWICE = 2            -- one lost line is the network's; the second in a row may be the server's way to say no
local known = setmetatable({}, { __mode = "k" })

local function known_of(host, peer)
  local by_peer = known[host] or {}
  known[host] = by_peer
  by_peer[peer] = by_peer[peer] or { lost = 0 }
  return by_peer[peer]
end

local function mode_of(c)
  local wanted, best = c.mail.settings.pipeline or "group", c.known.mode
  return best and RANK[best] < RANK[wanted] and best or wanted
end

-- Did pipelining make this message fail? Then the next connection steps down, and the message, of which the server has
-- nothing, may go again.
local function stumbled(c, outcome, said)
  local peer = c.known
  if outcome ~= "not_sent" or not ENVELOPE[said.step] or c.mode == "off" or not c.engine:pipelines() then return false end
  if said.error == "LOST" then peer.lost = peer.lost + 1 end
  local down = said.error == "PROTOCOL" or said.error == "TIMEOUT" and c.mode == "overlap" and c.served > 1 or peer.lost >= LOST_TWICE
  if down then peer.mode, peer.lost = LOWER[c.mode], 0 end
  return down
end

local function address_literal(ip)
  if not ip then return "localhost" end
  return ip:find(":", 1, true) and "[IPv6:" .. ip .. "]" or "[" .. ip .. "]"
end

-- An engine that knows nothing yet: engine, or nil and what is wrong.
local function new_engine(c)
  local who, settings = c.who, c.mail.settings
  return core.smtp {
    ehlo = c.name or "localhost", user = who.user, password = who.password, tls = c.at.tls, pipeline = c.mode,
    cleartext_auth = settings.cleartext_auth, trace = c.run.record ~= nil,
  }
end

-- A kept connection that the server gave up meanwhile: it says 421, or nothing, before MAIL was answered.
local function stale(c, job, outcome, said)
  return (c.reused or c.served > 1) and not job.again and said.step == "mail" and (outcome == "not_sent" and said.error == "LOST" or said.code == 421)
end

-- The masks of a mail object's secrets, which cost more than the rest of a connection.
local masks = setmetatable({}, { __mode = "k" })

local function mask_of(settings)
  local known_mask = masks[settings]
  if not known_mask then
    known_mask = mask.of { settings.smtp_password, settings.access_key_secret, settings.security_token }
    masks[settings] = known_mask
  end
  return known_mask
end

--- Make a connection that is not connected yet.
-- @tparam table mail the mail object: `host`, `settings`, `record`
-- @tparam table at of `directmail.smtp.endpoint`
-- @tparam table who `{ user=, password= }`, or empty
-- @tparam function settled called as `settled(job, outcome, said, refused, again)` for each pushed job; must not wait. `again`:
--   the server has nothing of it, and on a new connection it may go: this one had been given up by the server ("stale"), or
--   the server stumbled over pipelining ("simpler")
-- @tparam[opt] boolean keep it may be one that was kept, and may be kept, where the host does that; then `push` comes before
--   `connect`, once, and `finish` behind `drive`
-- @return connection, or nil, err when a setting cannot be used
function M.new(mail, at, who, settled, keep)
  local host, settings = mail.host, mail.settings
  local times, hide = settings.timeouts or {}, mask_of(settings)
  local c = setmetatable({ mail = mail, at = at, who = who, jobs = {}, pushed = 0, served = 0 }, connection)
  c.run = {
    address = at.host, port = at.port, tls_name = at.host, tick = host.tick,
    timeouts = {
      connect = times.connect or limits.timeout_connect, reply = times.reply or limits.timeout_reply,
      data = times.data or limits.timeout_data_block, final = times.final or limits.timeout_final,
    },
    record = mail.record and function(mark, text) mail.record(mark, hide(text)) end,
    settled = function(n, outcome, said, refused)
      local job = c.jobs[n % RING]
      c.jobs[n % RING] = false
      c.served = c.served + 1
      if c.timed then c:set_deadline() end
      if outcome == "sent" then
        c.known.lost = 0
        return settled(job, outcome, said, refused, false)
      end
      c.spoilt = true           -- a transaction may be open: the next message begins on a clean connection
      settled(job, outcome, said, refused, stale(c, job, outcome, said) and "stale" or stumbled(c, outcome, said) and "simpler")
    end,
  }
  c.hide = hide
  c.peer = at.host .. ":" .. at.port
  c.known = known_of(host, c.peer)
  c.mode = mode_of(c)
  c.name = settings.ehlo or host.hostname()
  local why
  if host.keeps then
    local pool = kept.name(c)
    -- nobody takes from the other one, and it is named so that nobody's else default name is hit
    c.run.connect_options = { pool = keep and pool or pool .. ":once" }
    if keep then
      c.pool = pool
      c.engine = kept.take(host, pool)
      c.past = c.engine ~= nil
    end
  end
  if not c.engine then c.engine, why = new_engine(c) end
  if not c.engine then
    return nil, err.new {
      code = why.code, detail = why.field, cause = why.detail, remedy = "give it without such characters, and not empty",
      outcome = "not_sent", retry = false, blame = "client-bug",
    }
  end
  c.sock = host.tcp { ca = settings.ca, proxy = settings.proxy }
  return c
end

-- The oldest message's deadline is the connection's: its reply comes first.
function connection:set_deadline()
  local oldest = self.jobs[(self.pushed - 1) % RING] or self.jobs[self.pushed % RING]
  self.run.deadline, self.run.timeout = oldest and oldest.deadline, oldest and oldest.timeout
end

--- Queue a message.
-- @tparam table job `{ built=of directmail.message, timeout=seconds|nil }`; `start` and `deadline` are set here
-- @treturn boolean false when the engine takes no more
function connection:push(job)
  message.rewind(job.built)             -- it may have been tried before
  -- which engine takes it is known when the connection is
  if not self.pool and not self.engine:push(self.pushed + 1, job.built.core) then return false end
  self.pushed = self.pushed + 1
  self.jobs[self.pushed % RING] = job
  job.start = self.run.tick()
  job.deadline = job.timeout and job.start + job.timeout
  self.timed = self.timed or job.deadline ~= nil
  if self.timed then self:set_deadline() end
  return true
end

-- A kept socket goes with an engine that was kept, and a new one with a new one. True when the pair is right.
local function pair_up(self, connected)
  self.reused = connected ~= nil and self.sock:getreusedtimes() > 0
  if self.reused == self.past then return true end
  local host, engine = self.mail.host, self.engine
  if self.reused then
    self.engine, self.past = kept.take(host, self.pool), true
    if not self.engine then             -- its engine is gone: code was loaded again
      self.engine, self.past = engine, false
      return false
    end
    engine:close()
  else
    kept.put(host, self.pool, engine)
    self.engine, self.past = new_engine(self), false    -- its options have been good before
  end
  return true
end

--- Connect. A failure settles what is pushed, at the next `drive`.
function connection:connect()
  local ok, why
  repeat
    ok, why = session.connect(self.run, self.sock)
    local paired = not self.pool or pair_up(self, ok)
    if not paired then self.sock:close() end
  until paired
  if self.pool then
    local job = self.jobs[self.pushed % RING]
    self.engine:push(self.pushed, job.built.core)
  end
  if not ok then return self.engine:lost(why.words, why.code) end
  if not self.reused and not self.name then self.engine:hello(address_literal(self.sock.getsockname and self.sock:getsockname())) end
end

--- Say QUIT behind the last message.
function connection:quit() self.engine:quit() end

--- Carry bytes until the connection is idle or over.
-- @treturn string "idle", "done" or "fail"
function connection:drive() return session.run(self.run, self.engine, self.sock) end

--- End the connection, or keep it: behind `drive`, where no message is to follow.
-- @tparam string state what `drive` returned
function connection:finish(state)
  if state == "idle" and self.pool and not self.spoilt and self.sock:getreusedtimes() < limits.per_connection
    and self.sock:setkeepalive(limits.keepalive * 1000, limits.kept_connections) then
    return kept.put(self.mail.host, self.pool, self.engine)
  end
  if state == "idle" then
    self:quit()
    self:drive()
  end
  self:close()
end

--- Let go of socket and engine.
function connection:close()
  self.sock:close()
  self.engine:close()
end

--- What became of a job, in the caller's terms.
-- @tparam table job as pushed
-- @param outcome, said, refused as given to `settled`
-- @treturn table receipt, or nil, err
function connection:verdict(job, outcome, said, refused)
  local at, host, built = self.at, self.mail.host, job.built
  local seconds, context = host.tick() - job.start, nil
  if outcome ~= "sent" or refused then
    context = {
      host = at.host, port = at.port, tls = at.tls, direct = at.direct, peer = self.peer, hide = self.hide, seconds = seconds,
      now = host.now(), remedy = host.remedy,
    }
  end
  if outcome ~= "sent" then
    if refused and built.fields.all_or_none and said.step == "rcpt" and said.code and said.error ~= "LOST" then
      return nil, failure.none(outcome, said, refused, built.to, context)
    end
    return nil, failure.new(outcome, said, context)
  end
  local out, accepted = {}, built.to
  if refused then
    local no = {}
    for i = 1, #refused do
      local one = refused[i]
      local e = failure.new("refused", one, context)
      no[one.rcpt] = true
      out[i] = { address = built.to[one.rcpt], reply = e.reply, cause = e.cause }
    end
    accepted = {}
    for i = 1, #built.to do
      if not no[i] then accepted[#accepted + 1] = built.to[i] end
    end
  end
  local text = said.text
  return {
    outcome = "sent", via = "smtp", id = text:find("###", 1, true) and text:match "###envid=(%d+)" or nil, message_id = built.message_id,
    region = at.region, seconds = seconds, bytes = built.size, accepted = accepted, refused = out, reply = self.hide(text),
  }
end

return M
