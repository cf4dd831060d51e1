--- A store in Redis (7.0 or newer), for any number of machines and nginx workers.
-- The verbs of `directmail.store`, their arguments checked there; what they do is in `directmail.store.redis_functions`, which is loaded
-- into the server when it is missing or older. An answer that is lost with its connection is asked for again: each verb is safe to repeat.
-- @module directmail.store.redis
local core = require "directmail.core"
local err = require "directmail.err"
local mask = require "directmail.mask"
local wires = require "directmail.store.redis_wire"

local M = {}

local VERSION = 1               -- of the functions
local PREFIX = "{directmail}"
local PORT = 6379
local PATIENCE = 5              -- seconds that a call waits for a server that is away
local PAUSE = 0.5               -- seconds between two tries, at most
local OCTETS = 4 * 1024 * 1024  -- of the commands that go out together, unless one alone is larger
local TOGETHER = 500            -- commands that go out together
local LOADS = 3                 -- tries to load the functions
local WORDS = 200               -- octets of the server's that an error shows: it may repeat all that it was told

-- kind -> cause (of the place and the words), remedy, retry
local FAILURES = {
  away = { "the store %s cannot be reached: %s", "see that Redis runs and this machine may connect to it; what the store holds is kept", true },
  tls = {
    "the store %s cannot be trusted: %s",
    "use the name that its certificate is for; a CA of your own: the setting ca (in nginx lua_ssl_trusted_certificate)",
  },
  missing = { "the store %s cannot be used: %s", "install it, or leave store away" },
  login = { "the store %s lets nobody in: %s", "check user and password in its URL (DIRECTMAIL_STORE, the profile or the option store)" },
  rights = {
    "the store %s forbids what is needed: %s",
    "let its user do it: ACL SETUSER NAME ~{directmail}* +@all -@dangerous +function +select (docs/store.md)",
  },
  old = { "%s is no store: %s", "it must be Redis 7.0 or newer, which has functions" },
  newer = { "the store %s is used by a newer directmail: %s", "use that version here, too" },
  full = { "the store %s takes nothing more: %s", "give Redis memory (maxmemory) or disk; what it holds is kept", true },
  cluster = { "the store %s is another node's: %s", "name the node that has the slot of {directmail} (CLUSTER SHARDS tells)" },
  closed = { "the store %s cannot be used: %s", "open it again" },
  server = { "the store %s said no: %s", "see Redis's log" },
}

-- What a server's refusal means: the first pattern that fits. "later": the same thing may work in a moment; "elsewhere": over a new connection.
local MEANINGS = {
  { "^DMVERSION", "load" }, { "^ERR Function not found", "load" },
  { "^LOADING", "later" }, { "^BUSY", "later" }, { "^MASTERDOWN", "later" }, { "^TRYAGAIN", "later" }, { "^CLUSTERDOWN", "later" },
  { "^READONLY", "elsewhere" }, { "^MOVED", "cluster" }, { "^ASK", "cluster" }, { "^CROSSSLOT", "cluster" },
  { "^NOAUTH", "login" }, { "^WRONGPASS", "login" }, { "^ERR AUTH", "login" }, { "^ERR invalid password", "login" }, { "^ERR Client sent AUTH", "login" },
  { "^NOPERM", "rights" }, { "^OOM", "full" }, { "^MISCONF", "full" }, { "^ERR unknown command", "old" },
}

local function meaning(words)
  for i = 1, #MEANINGS do
    if words:find(MEANINGS[i][1]) then return MEANINGS[i][2] end
  end
  return "server"
end

-- ---- where it is -----------------------------------------------------------------------

local function decoded(text) return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)) end

--- A URL without its password.
function M.shown(url) return (url:gsub("^(%a+://).*@", "%1")) end

local function wrong_url(url)
  return err.refuse("OPTION", "store", ('store: "%s" is no address of a Redis'):format(err.printable(M.shown(url))),
    "write redis://HOST[:6379][/DB], or rediss:// for TLS; with a password redis://:PASSWORD@HOST, percent-encoded")
end

local function parse(url)
  local scheme, rest = url:match "^(rediss?)://(.*)$"
  local account, place = rest:match "^(.*)@([^@]*)$"
  local authority, db = (place or rest):match "^([^/?#]+)/?(%d*)$"
  if not authority then return wrong_url(url) end
  local host, port = authority:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = authority:match "^([%w._-]+):?(%d*)$" end
  port = port == "" and PORT or tonumber(port)
  if not host or not port or port < 1 or port > 65535 or #db > 5 then return wrong_url(url) end
  local at = { host = host, port = port, tls = scheme == "rediss", db = db ~= "" and tonumber(db) ~= 0 and db or nil }
  if account then
    local user, password = account:match "^([^:]*):(.+)$"
    if not user then return wrong_url(url) end
    at.user, at.password = user ~= "" and decoded(user) or nil, decoded(password)
  end
  -- whoever shares a connection is logged in alike
  at.pool = ("directmail:redis:%s:%d:%s:%s"):format(host, port, db, core.sha256((account or "") .. scheme))
  return at
end

-- ---- asking ----------------------------------------------------------------------------

local engine = {}
engine.__index = engine

local function failure(self, kind, words, outcome)
  local known = FAILURES[kind]
  return err.new {
    code = "FILE", detail = self.path, cause = known[1]:format(self.path, self.hide(tostring(words)):sub(1, WORDS)), remedy = known[2],
    retry = known[3] or false, outcome = outcome, blame = "none",
  }
end

-- Jobs that a server throws away when memory is short would be lost without a word.
local function warn_of_eviction(self, info)
  self.looked = true
  local policy = type(info) == "string" and info:match "maxmemory_policy:(%S+)"
  if policy and policy:find "^allkeys" then
    self.host.log("warn", ("the store %s throws keys away when its memory is full (maxmemory-policy %s), and mails with them: set it to noeviction"):format(
      self.path, policy))
  end
end

-- Log in over a new connection: true; or nil, kind, words.
local function greet(self, wire)
  local at, list = self.at, {}
  if at.password then list[1] = at.user and { "AUTH", at.user, at.password } or { "AUTH", at.password } end
  if at.db then list[#list + 1] = { "SELECT", at.db } end
  if not self.looked then list[#list + 1] = { "INFO", "memory" } end
  if #list == 0 then return true end
  local replies, why = wire:talk(list)
  if why then return nil, "away", why end
  for i = 1, #list do
    local reply = replies[i]
    if list[i][1] == "INFO" then
      warn_of_eviction(self, reply)
    elseif type(reply) == "table" then
      local kind = list[i][1] == "AUTH" and "login" or meaning(reply.err)
      return nil, kind, reply.err
    end
  end
  return true
end

-- A connection that is ready for verbs; or nil, kind, words.
local function ready(self)
  if self.closed then return nil, "closed", "it is closed" end
  if self.wire then return self.wire end
  local wire = wires.new(self.host, self.at, self.c)
  local ok, words, step = wire:connect()
  local kind = step or "away"
  if ok and not wire:used() then ok, kind, words = greet(self, wire) end
  if ok then return wire end
  wire:close()
  return nil, kind, words
end

-- The next commands that go out together.
local function batch_of(todo)
  local list, octets = {}, 0
  for i = 1, math.min(#todo, TOGETHER) do
    local words = todo[i].words
    for j = 1, #words do octets = octets + #words[j] end
    if i > 1 and octets > OCTETS then break end
    list[i] = words
  end
  return list
end

local AGAIN = 6                 -- place of the verb's argument `again` among a command's words

-- What the replies are for the wishes that stand in front: those that are not settled by it stay. Whether functions must be loaded,
-- and the kind and words of the last "not now".
local function settle(todo, replies, n, lost)
  local left, load, kind, words = {}, false, nil, nil
  for i = 1, #todo do
    local wish, reply = todo[i], replies[i]
    if i > n then
      left[#left + 1] = wish
    elseif reply == nil then
      wish.words[AGAIN], wish.maybe = "1", true         -- it may have been done
      left[#left + 1] = wish
      kind, words = "away", lost
    elseif type(reply) ~= "table" or not reply.err then
      wish.reply = reply
    else
      local what = meaning(reply.err)
      if what == "load" or what == "later" or what == "elsewhere" then
        left[#left + 1] = wish
        load = load or what == "load" and reply.err
        if what ~= "load" then kind, words = what == "elsewhere" and what or kind or what, reply.err end
      else
        wish.kind, wish.why = what, reply.err
      end
    end
  end
  return left, load, kind, words
end

-- Bring our functions into the server, unless it has newer ones: true; or nil, kind, words.
local function load_functions(wire, refusal)
  local theirs = tonumber(refusal:match "^DMVERSION (%d+)")
  if theirs and theirs > VERSION then return nil, "newer", ("its functions have version %d, this directmail knows %d"):format(theirs, VERSION) end
  local replies, why = wire:talk { { "FUNCTION", "LOAD", "REPLACE", (require "directmail.store.redis_functions") } }
  if why then return nil, "away", why end
  if type(replies[1]) ~= "table" then return true end
  return nil, meaning(replies[1].err), replies[1].err
end

-- Until each wish has its reply, or its failure.
local function carry(self, wishes)
  local host, todo, start, pause, loads = self.host, wishes, self.host.tick(), 0.01, 0
  while #todo > 0 do
    local wire, kind, words = ready(self)
    local load
    if wire then
      local list = batch_of(todo)
      local replies, lost = wire:talk(list)
      todo, load, kind, words = settle(todo, replies, #list, lost)
      if load and not lost then
        loads = loads + 1
        local ok, what, why = load_functions(wire, load)
        if not ok or loads > LOADS then kind, words = what or "server", why or load end
      end
      self.wire = nil
      if lost or kind == "elsewhere" then wire:close() else self.wire = wire:keep() end
    end
    local over = host.tick() - start >= PATIENCE
    if kind == "later" or kind == "elsewhere" then kind = over and "away" or nil
    elseif kind == "away" and not over then kind = nil end
    if kind then
      for i = 1, #todo do todo[i].kind, todo[i].why = kind, words end
      return
    end
    if #todo > 0 and words then
      host.sleep(pause * (0.5 + host.random(1):byte() / 255))
      pause = math.min(pause * 2, PAUSE)
    end
  end
end

-- One turn after the other over one connection, until nobody asks for more.
local function flush(self)
  while self.turn do
    self.host.sleep(0)                  -- behind all that runs in this turn of the loop
    local turn = self.turn
    self.turn = nil
    carry(self, turn)
    for i = 1, #turn do turn[i].ended:post() end
  end
  self.flusher = nil
end

-- In nginx a connection belongs to one request, and its pool to all; elsewhere all that one turn of the loop asks for goes out together.
local function wait_for(self, wish)
  if self.host.name == "nginx" then return carry(self, { wish }) end
  wish.ended = self.host.semaphore()
  self.turn = self.turn or {}
  self.turn[#self.turn + 1] = wish
  if not self.flusher then
    self.flusher = true
    self.host.spawn(flush, self)
  end
  wish.ended:wait()
end

local function text_of(value)
  if type(value) == "string" then return value end
  if value == nil or value == false then return "" end
  if value == true then return "1" end
  return value == math.floor(value) and ("%.0f"):format(value) or ("%.17g"):format(value)
end

-- The reply of a verb; or nil, err. `maybe`: the outcome of an error when it may have been done nevertheless.
local function ask(self, verb, arguments, maybe)
  local words = { "FCALL", "directmail_" .. verb, "1", PREFIX, text_of(VERSION), "0" }
  for i = 1, arguments.n or #arguments do words[#words + 1] = text_of(arguments[i]) end
  local wish = { words = words }
  wait_for(self, wish)
  if wish.reply ~= nil then return wish.reply end
  return nil, failure(self, wish.kind, wish.why, wish.maybe and maybe or nil)
end

-- ---- the verbs -------------------------------------------------------------------------

local function or_nil(value) return value or nil end

-- A job as the functions tell it.
local function job_of(told)
  return {
    how = told[1], id = told[2], tries = told[3], state = told[4], due = told[5], made = told[6], result = or_nil(told[7]), key = or_nil(told[8]),
  }
end

local function jobs_of(reply, e)
  if not reply then return nil, e end
  for i = 1, #reply do reply[i] = job_of(reply[i]) end
  return reply
end

local function booleans(reply, e)
  if not reply then return nil, e end
  for i = 1, #reply do reply[i] = reply[i] == 1 end
  return reply
end

-- The attempts of jobs as arguments, behind `first`; with each those of its fields that `more` names.
local function flat(jobs, first, more)
  local out, n = { first }, first and 1 or 0
  for i = 1, #jobs do
    local job = jobs[i]
    out[n + 1], out[n + 2] = job.id, job.tries
    n = n + 2
    for j = 1, more and #more or 0 do
      n = n + 1
      out[n] = job[more[j]] or false
    end
  end
  out.n = n
  return out
end

function engine:enqueue(list)
  local arguments = { self.host.random(16) }
  for i = 1, #list do
    local entry = list[i]
    local n = #arguments
    arguments[n + 1], arguments[n + 2] = entry.delay or 0, entry.key or ""
    arguments[n + 3], arguments[n + 4] = entry.hash or core.sha256(entry.payload), entry.payload
  end
  return jobs_of(ask(self, "enqueue", arguments, "unknown"))
end

function engine:lease(n, visibility_ms, tidily)
  local reply, e = ask(self, "lease", { n, visibility_ms, tidily, self.keep, n = 4 })
  if not reply then return nil, e end
  for i = 1, #reply do
    local job = reply[i]
    reply[i] = { id = job[1], tries = job[2], key = or_nil(job[3]), payload = job[4] }
  end
  return reply
end

local function empty(jobs) return #jobs == 0 and {} or nil end

function engine:extend(jobs, visibility_ms) return empty(jobs) or booleans(ask(self, "extend", flat(jobs, visibility_ms))) end

function engine:mark(jobs) return empty(jobs) or booleans(ask(self, "mark", flat(jobs))) end

function engine:ack(jobs) return empty(jobs) or booleans(ask(self, "ack", flat(jobs, nil, { "receipt" }))) end

function engine:retry(jobs) return empty(jobs) or booleans(ask(self, "retry", flat(jobs, nil, { "error", "delay" }))) end

function engine:bury(jobs) return empty(jobs) or booleans(ask(self, "bury", flat(jobs, nil, { "error", "outcome", "again" }))) end

function engine:reap()
  local reply, e = ask(self, "reap", { self.keep })
  if not reply then return nil, e end
  return { waiting = reply[1], not_sent = reply[2], unknown = reply[3], forgotten = reply[4] }
end

function engine:counts()
  local reply, e = ask(self, "counts", {})
  if not reply then return nil, e end
  return {
    waiting = reply[1], leased = reply[2], marked = reply[3], sent = reply[4], refused = reply[5], not_sent = reply[6], unknown = reply[7],
  }
end

function engine:find(key)
  local reply, e = ask(self, "find", { key })
  if not reply then return reply, e end
  return job_of(reply)
end

function engine:list(state, n) return jobs_of(ask(self, "list", { state, n })) end

function engine:claim(wish, tidily, now)
  if now then return nil end            -- only waiting will tell
  local reply, e = ask(self, "claim", {
    self.host.random(16), wish.key, wish.hash, wish.visibility_ms, wish.mark, wish.resend, tidily, self.keep, n = 8,
  })
  if not reply then return nil, e end
  return job_of(reply)
end

function engine:take(bucket, n, rate, burst)
  local reply, e = ask(self, "take", { bucket, n, rate, burst })
  if not reply then return nil, e end
  return reply[1], tonumber(reply[2])
end

function engine:suppress(address, reason, source, at)
  local reply, e = ask(self, "suppress", { address, reason, source, at })
  if not reply then return nil, e end
  return true
end

function engine:resubscribe(address, source, at)
  local reply, e = ask(self, "resubscribe", { address, source, at })
  if not reply then return nil, e end
  return true
end

function engine:suppressed(addresses)
  if #addresses == 0 then return {} end
  local reply, e = ask(self, "suppressed", addresses)
  if not reply then return nil, e end
  for i = 1, #reply do
    local found = reply[i]
    reply[i] = found and { reason = found[1], source = found[2], at = found[3] } or false
  end
  return reply
end

function engine:suppressions(after, n)
  local reply, e = ask(self, "suppressions", { after, n })
  if not reply then return nil, e end
  for i = 1, #reply do
    local row = reply[i]
    reply[i] = { address = row[1], reason = row[2], source = row[3], at = row[4] }
  end
  return reply
end

function engine:close()
  self.closed = true
  if self.wire then self.wire:close() end
  self.wire = nil
end

--- A store at a URL. Nothing is connected yet.
-- @tparam function load_c gives the module directmail/store.so, which nginx does without
-- @tparam string url
-- @tparam number keep milliseconds that settled jobs are remembered
-- @tparam table host
-- @tparam ?string ca
-- @return engine; or nil, err (OPTION)
function M.open(load_c, url, keep, host, ca)
  local at, e = parse(url)
  if not at then return nil, e end
  at.ca = ca
  return setmetatable({
    at = at, path = M.shown(url), host = host, keep = keep, hide = mask.of { at.password }, c = host.name ~= "nginx" and load_c() or nil,
  }, engine)
end

return M
