--- The host outside of nginx: sockets, tasks, clock and files over `directmail.net`.
-- docs/homes.md says what differs in nginx.
-- @module directmail.host.std
local net = require "directmail.net"

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
M.spawn, M.wait, M.sleep = tasks.spawn, tasks.wait, tasks.sleep

--- UTC in seconds since 1970, with fraction.
M.now = net.now
--- Seconds that only ever grow.
M.tick = net.tick
--- n random octets, n up to 65536.
M.random = net.random

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

--- The whole file.
-- @tparam string path
-- @tparam[opt] integer max octets; a larger file is refused
-- @return bytes; or nil and why: "is a directory", "no such file or directory" …
function M.read(path, max)
  local file, why = io.open(path, "rb")
  local bytes
  if file then
    bytes, why = file:read(max and max + 1 or "*a")
    file:close()
    if not bytes and not why and max then bytes = "" end        -- read(n) says nil at the end of an empty file
  else
    local prefix = path .. ": "
    if why:sub(1, #prefix) == prefix then why = why:sub(#prefix + 1) end
  end
  if not bytes then return nil, (why or "cannot be read"):lower() end
  if max and #bytes > max then return nil, ("larger than %d octets"):format(max) end
  return bytes
end

--- The machine's full name, with a dot, or nil. Asks no name server: a start must not hang on one.
function M.hostname()
  local name = net.hostname()
  if not name or name == "localhost" then return nil end
  if name:find("%.[^.]") then return name end
  for line in (M.read("/etc/hosts", 1048576) or ""):gmatch("[^\r\n]+") do
    local known, full = false, nil
    for word in line:gsub("#.*", ""):gmatch("%S+") do
      if word == name then known = true end
      if not full and word:find("%a") and word:find("^[%w-]+%.[%w.-]*%w$") and word ~= "localhost.localdomain" then full = word end
    end
    if known and full then return full end
  end
  return nil
end

--- A new folder under TMPDIR that only its owner may enter: path, or nil, why.
M.mkdtemp = net.mkdtemp
--- Make a folder; one that is there is fine: true, or nil, why.
M.mkdir = net.mkdir
--- Set the umask, tonumber("077", 8): the old one. For the command only: it is the whole process's.
M.umask = net.umask

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
