--- What is remembered of idle SMTP connections, where the host keeps them (nginx).
-- The socket of one lies in the host's pool, and its engine here, both under the same name. Any engine goes with any socket of
-- its name, since all of them are just past a message that was taken.
-- @module directmail.kept
local core = require "directmail.core"
local limits = require "directmail.data.limits"

local M = {}

-- host -> { key = random octets, count = engines in all, engines = pool name -> list }
local sets = setmetatable({}, { __mode = "k" })

local function set_of(host)
  local set = sets[host]
  if not set then
    set = { key = host.random(32), count = 0, engines = {} }
    sets[host] = set
  end
  return set
end

-- The name that settings led to last time: settings table -> { at =, user =, password =, mode =, traced =, name = }.
local names = setmetatable({}, { __mode = "k" })

local function new_name(c)
  local settings = c.mail.settings
  local what = table.concat({
    c.peer, c.at.tls, c.who.user or "", c.who.password or "", settings.ehlo or "", settings.cleartext_auth and "clear" or "", c.mode,
    c.run.record and "traced" or "",
  }, "\0")
  return "directmail:smtp:" .. c.peer .. ":" .. core.base64(core.hmac_sha256(set_of(c.mail.host).key, what))
end

--- The name of the pool that a connection belongs to: the same account on the same server, greeted in the same way.
-- The password counts, since who does not know it may not use what it opened. It cannot be guessed by the name: that
-- is made with a random key, which lives as long as the worker.
-- @tparam connection c of `directmail.connection`
-- @treturn string
function M.name(c)
  local settings, who, traced = c.mail.settings, c.who, c.run.record ~= nil
  local last = names[settings]
  if not last or last.at ~= c.at or last.user ~= who.user or last.password ~= who.password or last.mode ~= c.mode or last.traced ~= traced then
    last = { at = c.at, user = who.user, password = who.password, mode = c.mode, traced = traced, name = new_name(c) }
    names[settings] = last
  end
  return last.name
end

--- An engine that goes with a kept socket.
-- @tparam table host
-- @tparam string pool of `name`
-- @treturn ?smtp
function M.take(host, pool)
  local set = set_of(host)
  local list = set.engines[pool]
  local engine = list and table.remove(list)
  if not engine then return nil end
  set.count = set.count - 1
  if #list == 0 then set.engines[pool] = nil end
  return engine
end

--- Keep an engine whose socket was kept; one too many is closed.
function M.put(host, pool, engine)
  local set = set_of(host)
  local list = set.engines[pool] or {}
  if #list >= limits.kept_connections or set.count >= limits.kept_engines then return engine:close() end
  set.engines[pool] = list
  list[#list + 1] = engine
  set.count = set.count + 1
end

return M
