--- One connection to a Redis: commands go out together, replies come back in order.
-- In nginx by lua-resty-redis over the host's cosocket, elsewhere by hiredis (in directmail/store.so) over the host's socket; nothing of the
-- protocol is ours. A reply is a string, a number, false for nil, a list, or `{ err = words }`.
-- @module directmail.store.redis_wire
local json = require "cjson"

local M = {}

local CONNECT_MS, TALK_MS = 5000, 5000          -- of connecting; of each wait for octets
local CHUNK = 65536
local IDLE_MS, POOL = 60000, 30                 -- nginx's pool

-- Where TLS is wanted: true; or nil, why.
local function secure(sock, at)
  if not at.tls then return true end
  return sock:sslhandshake(false, at.host, true)
end

-- ---- over hiredis --------------------------------------------------------------------

local std = {}
std.__index = std

--- Connect.
-- @return true; or nil, why, and "tls" when that is what failed
function std:connect()
  local at = self.at
  self.sock = self.host.tcp { ca = at.ca }
  self.sock:settimeouts(CONNECT_MS, TALK_MS, TALK_MS)
  local ok, why = self.sock:connect(at.host, at.port)
  if not ok then return nil, why end
  ok, why = secure(self.sock, at)
  if not ok then return nil, why, "tls" end
  self.reader = self.c.resp()
  return true
end

--- Is this connection one that was used before, so that it is logged in already?
function std:used() return false end

-- The next reply: true, reply; or nil, why.
local function next_reply(self)
  while true do
    local there, reply = self.reader:next()
    if there then return true, reply end
    if there == nil then return nil, reply end
    local bytes, why = self.sock:receiveany(CHUNK)
    local ok
    if bytes then ok, why = self.reader:feed(bytes) end
    if not ok then return nil, why end
  end
end

--- Send commands, and read their replies.
-- @tparam table list of lists of strings
-- @treturn table the replies that came, in order
-- @treturn ?string why there are fewer than commands: the connection is lost then, and the rest may have been done
function std:talk(list)
  local words, replies = {}, {}
  for i = 1, #list do words[i] = self.c.command(list[i]) end
  local ok, why = self.sock:send(table.concat(words))
  if not ok then return replies, why end
  for i = 1, #list do
    local there, reply = next_reply(self)
    if not there then return replies, reply end
    replies[i] = reply
  end
  return replies
end

--- Keep it for the next who asks.
-- @return itself, when the caller shall keep it; nil: a pool has it
function std:keep() return self end

function std:close()
  if self.sock then self.sock:close() end
  if self.reader then self.reader:close() end
  self.sock, self.reader = nil, nil
end

-- ---- over lua-resty-redis --------------------------------------------------------------

local nginx = {}
nginx.__index = nginx

-- Upstream's name, or Debian's.
local function client()
  local there, module = pcall(require, "resty.redis")
  if not there then there, module = pcall(require, "nginx.redis") end
  if there then return module end
  return nil, "lua-resty-redis is missing: install it (opm get openresty/lua-resty-redis, Debian's lua-nginx-redis)"
end

function nginx:connect()
  local redis, why = client()
  if not redis then return nil, why, "missing" end
  local at, sock = self.at, self.host.tcp()
  local red = redis:new()
  red._sock = sock                      -- the host's own, which verifies certificates; older versions know no TLS at all
  self.red, self.sock = red, sock
  sock:settimeouts(CONNECT_MS, TALK_MS, TALK_MS)
  local ok
  ok, why = sock:connect(at.host, at.port, { pool = at.pool })
  if not ok then return nil, why end
  ok, why = secure(sock, at)
  if not ok then return nil, why, "tls" end
  return true
end

function nginx:used() return self.sock:getreusedtimes() > 0 end

local function plain(reply)
  if reply == json.null then return false end           -- the same NULL as ngx.null
  if type(reply) == "table" then
    for i = 1, #reply do reply[i] = plain(reply[i]) end
  end
  return reply
end

local unpack = table.unpack or unpack

function nginx:talk(list)
  local replies = {}
  for i = 1, #list do
    local words = list[i]
    local name = words[1]:lower()
    local reply, why = self.red[name](self.red, unpack(words, 2))
    if reply == false then reply = { err = why }
    elseif reply == nil then return replies, why end
    replies[i] = plain(reply)
  end
  return replies
end

function nginx:keep() self.sock:setkeepalive(IDLE_MS, POOL) end

function nginx:close()
  if self.sock then self.sock:close() end
  self.red, self.sock = nil, nil
end

--- A connection that is not connected yet.
-- @tparam table host
-- @tparam table at `{ host=, port=, tls=, ca=, pool= }`
-- @tparam ?table c the module directmail/store.so; nil in nginx
function M.new(host, at, c) return setmetatable({ host = host, at = at, c = c }, c and std or nginx) end

return M
