--- A Redis of a test's own: on a free port of loopback, with its append-only file in a folder of its own.
-- @module support.redis
local host = require "directmail.host.std"

local M = {}

local Server = {}
Server.__index = Server

-- A port that nobody listens on, at this moment.
local function free_port()
  local listener = assert(host.listen("127.0.0.1", 0))
  listener:close()
  return listener.port
end

-- One line to the server, and the first line of its answer: what tests need beside the store's own client.
local function say(self, words)
  local sock = host.tcp { ca = self.ca }
  sock:settimeouts(2000, 5000, 5000)
  local ok, why = sock:connect("127.0.0.1", self.port)
  if ok and self.ca then ok, why = sock:sslhandshake(false, "localhost", true) end
  if not ok then return nil, why end
  local line = { ("*%d\r\n"):format(#words) }
  for i = 1, #words do line[i + 1] = ("$%d\r\n%s\r\n"):format(#words[i], words[i]) end
  if self.password then table.insert(line, 1, ("*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n"):format(#self.password, self.password)) end
  sock:send(table.concat(line))
  local got, most = "", self.password and 2 or 1
  repeat
    local bytes
    bytes, why = sock:receiveany(65536)
    got = got .. (bytes or "")
    local _, lines = got:gsub("\r\n", "")
  until not bytes or lines >= most
  sock:close()
  if self.password then got = got:match "^.-\r\n(.*)$" or "" end
  return got ~= "" and got or nil, why
end

--- Send it a command of words: the raw answer (its first packet); or nil, why.
function Server:command(...) return say(self, { ... }) end

-- Times lie in the server: move all of them into the past.
local LATER = [[
  for _, state in ipairs { "waiting", "leased", "marked", "sent", "refused", "not_sent", "unknown" } do
    local key = "{directmail}:" .. state
    local all = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
    for i = 1, #all, 2 do redis.call("ZADD", key, ("%.0f"):format(all[i + 1] - ARGV[1]), all[i]) end
  end
  for _, key in ipairs(redis.call("KEYS", "{directmail}:bucket:*")) do
    redis.call("HSET", key, "at", ("%.0f"):format(redis.call("HGET", key, "at") - ARGV[1]))
  end
  return redis.status_reply("OK")
]]

--- Let that many seconds pass for the store in it.
function Server:later(seconds) assert(self:command("EVAL", LATER, "0", ("%.0f"):format(seconds * 1000)) == "+OK\r\n") end

--- Remove all its keys; the functions stay.
function Server:empty() assert(self:command "FLUSHALL" == "+OK\r\n") end

--- Start it, again after `kill` or `quit`, and wait until it answers.
function Server:start()
  local words = {
    "redis-server", "--bind", "127.0.0.1", "--dir", self.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
    "--maxmemory-policy", "noeviction", "--logfile", self.dir .. "/log", "--daemonize", "no", "--loglevel", "warning",
  }
  for _, word in ipairs(self.words) do words[#words + 1] = word end
  self.child = assert(host.child(words))
  local deadline = host.tick() + 20
  repeat
    local answer = say(self, { "PING" })
    local ready = answer and answer:find "^%+PONG"
    if not ready then
      assert(host.tick() < deadline, "redis-server does not start: " .. tostring(answer))
      host.sleep(0.02)
    end
  until ready
  return self
end

--- End it by a signal, KILL when left out, and wait for its end.
function Server:kill(name)
  if not self.child then return end
  self.child:kill(name or "KILL")
  self.child:wait()
  self.child = nil
end

--- End it and remove its folder.
function Server:stop()
  self:kill()
  os.execute("rm -rf '" .. self.dir .. "'")
end

--- Start one.
-- @tparam[opt] table options `password`; `words` = more of its command line; `tls` = { ca =, cert =, key = } paths: it listens with TLS only
-- @treturn table server: `port`, `url` (with the password, DB 0), `dir`
function M.start(options)
  options = options or {}
  local self = setmetatable({ dir = assert(host.mkdtemp()), port = free_port(), password = options.password, words = {} }, Server)
  for _, word in ipairs(options.words or {}) do self.words[#self.words + 1] = word end
  local function add(...)
    for _, word in ipairs { ... } do self.words[#self.words + 1] = word end
  end
  if options.tls then
    self.ca = options.tls.ca
    add("--port", "0", "--tls-port", tostring(self.port), "--tls-cert-file", options.tls.cert, "--tls-key-file", options.tls.key,
      "--tls-ca-cert-file", options.tls.ca, "--tls-auth-clients", "no")
  else
    add("--port", tostring(self.port))
  end
  if self.password then add("--requirepass", self.password) end
  self.url = ("%s://%s%s:%d/0"):format(options.tls and "rediss" or "redis", self.password and ":" .. self.password .. "@" or "",
    options.tls and "localhost" or "127.0.0.1", self.port)
  return self:start()
end

return M
