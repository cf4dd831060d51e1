--- The host outside of nginx: sockets, tasks, clock and files over `directmail.net`.
-- docs/homes.md says what differs in nginx.
-- @module directmail.host.std
local machine = require "directmail.host.machine"
local net = require "directmail.net"
local option = require "directmail.option"

local M = { name = "std" }

--- Tell the operator something. "info" is kept quiet: stderr of somebody's program is not our diary.
-- @tparam string level "error", "warn" or "info"
-- @tparam string text without secrets
function M.log(level, text)
  if level == "info" then return end
  io.stderr:write("directmail: ", level == "warn" and "warning: " or "", text, "\n")
end

local tasks = require "directmail.host.tasks".new(net, function(text) M.log("error", text) end)
local sockets = require "directmail.host.socket".new(net, tasks)
local caller, park = tasks.caller, tasks.park

M.tcp, M.listen = sockets.tcp, sockets.listen
M.spawn, M.wait, M.sleep, M.semaphore = tasks.spawn, tasks.wait, tasks.sleep, tasks.semaphore

--- UTC in seconds since 1970, with fraction.
M.now = net.now
--- Seconds that only ever grow.
M.tick = net.tick
--- n random octets, n up to 65536.
M.random = net.random

-- ---- HTTPS ----------------------------------------------------------------

local REQUEST = { "url", "method", "headers", "body", "connect_timeout", "timeout", "max_head", "max_body", "ca", "proxy" }

--- One HTTP/1.1 request and its answer. It leaves at most once: what a kept connection lost is never sent again.
-- Redirects are answers like others. A body without a length, which ends with the connection, is taken as it comes: whether
-- somebody cut it must show in its syntax. Certificates are always verified, from TLS 1.2 on; proxies of the environment are never used.
-- @tparam table request `url` = "https://host[:port]/path?query", percent-encoded (http:// is the caller's to allow); `method` = "POST"
--   when left out; `headers` = strings by name, exactly these are sent besides Host and Content-Length (Content-Length, Transfer-Encoding,
--   Connection, Expect and Upgrade are refused); `body` = octets, with POST, PUT and PATCH; `connect_timeout` and `timeout` (60) = seconds
--   until the connection stands, and of the whole; `max_head` (65,536) and `max_body` (16 MiB) = octets of the answer;
--   `ca` = PEM file that replaces the system's store; `proxy` = "http://…" or "socks5h://…"
-- @treturn[1] table `status`, `headers` (by lower-case name; several of a name joined with ", "), `body`, `peer` = "203.0.113.9:443"
--   (nil behind a proxy), `seconds`, `reused` = over a kept connection
-- @treturn[2] nil
-- @treturn[2] table `code` = DNS, CONNECT, TLS, TIMEOUT, LOST or PROTOCOL; `detail` of TLS = name, expired, issuer, clear, version or nil; `words`;
--   `step` = "connect" or "api"; `sent` = at least one octet of the request may have left; `peer`; `seconds`
-- @raise when the request cannot be written as HTTP: nothing left then
function M.http(request)
  option.check(request, REQUEST, "host.http")
  local me = caller(2)
  local call, id = net.http(request)
  if call then
    park(id, me)
    call, id = call:finish()
  end
  if not call then
    local failure = id
    if failure.code == "TLS" then
      local _, detail = require "directmail.session".loss(failure.words, "tls")
      failure.detail = detail ~= "" and detail or nil
    end
    return nil, failure
  end
  local function broken(why)
    return nil, { code = "PROTOCOL", words = why, step = "api", sent = true, peer = call.peer, seconds = call.seconds }
  end
  -- libcurl forgives much; the other homes read heads by these rules too
  local head, why = require "directmail.core".head("response", call.head, request.method or "POST")
  if not head then return broken("the answer is no HTTP/1.1: " .. (why or "its head has no end")) end
  local headers = {}
  for _, field in ipairs(head.list) do
    local name = field[1]:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. field[2] or field[2]
  end
  return { status = head.status, headers = headers, body = call.body, peer = call.peer, seconds = call.seconds, reused = call.reused }
end

-- ---- DNS ------------------------------------------------------------------

--- Ask for the records of a name, see `directmail.host.query`.
M.dns = require "directmail.host.query".new(M, function(name, kind, seconds, ip, port)
  local me = caller(3)
  local lookup, why = net.dns(name, kind, seconds, ip, port)
  if not lookup then return nil, why end
  local id = lookup:wait()
  if id then park(id, me) end
  return lookup:finish()
end)

-- ---- certificates ---------------------------------------------------------

--- A server's certificate (its chain behind it) with its key, both PEM; raises when they are unusable.
M.identity = net.identity

--- A throw-away certificate authority, for a sandbox or a test. Its key never leaves the memory.
-- @treturn table `ca` = its PEM certificate; `issue(self, names, options)` -> certificate, key (PEM) for a list of DNS names
--   and IP addresses, `options.expired` = one that ended yesterday
function M.authority()
  local authority = net.authority()
  return {
    ca = authority:ca(),
    issue = function(_, names, options) return authority:issue(names, options and options.expired) end,
  }
end

-- ---- the machine ----------------------------------------------------------

--- An environment variable; an empty one counts as unset.
function M.env(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- The whole file, see `directmail.host.machine`.
M.read = machine.read

--- The machine's full name, with a dot, or nil.
function M.hostname() return machine.full_name(net.hostname()) end

--- A new folder under TMPDIR that only its owner may enter: path, or nil, why.
M.mkdtemp = net.mkdtemp
--- Make a folder; one that is there is fine: true, or nil, why.
M.mkdir = net.mkdir
--- Set the umask, tonumber("077", 8): the old one. For the command only: it is the whole process's.
M.umask = net.umask
--- Is 0, 1 or 2 (stdin, stdout, stderr) a terminal? For the command only.
M.is_terminal = net.is_terminal
--- Say a prompt at the terminal and take a line that is not shown: the line; nil at the end; or nil, why. It holds up the whole process.
M.unseen = net.unseen

-- ---- other processes: for the command only --------------------------------

local Child = {}
Child.__index = Child

--- Run a program with our standard input and outputs.
-- @tparam table argv program (looked for in PATH) and its arguments
-- @tparam[opt] table env variables by name, added to ours
-- @return child; or nil, why
function M.child(argv, env)
  local handle, why = net.child(argv, env)
  if not handle then return nil, why end
  return setmetatable({ handle = handle }, Child)
end

--- Wait for its end.
-- @treturn integer its exit status, 128 + n after signal n
function Child:wait()
  local status = self.handle:status()
  while not status do
    local me = caller(2)
    park(self.handle:wait(), me)
    status = self.handle:status()
  end
  return status
end

--- Send it a signal by name, "TERM": true, or nil, why.
function Child:kill(name) return self.handle:kill(name) end

--- Wait for a signal. From the first call on they no longer do to the process what they did, hence for the command only.
-- @tparam string ... names: TERM INT HUP QUIT USR1 USR2
-- @return the name of the first that comes; or nil, why
function M.signal(...)
  local me = caller(2)
  local signals, why = net.signals(...)
  if not signals then return nil, why end
  local name
  repeat
    park(signals:wait(), me)
    name = signals:take()
  until name
  signals:close()
  return name
end

return M
