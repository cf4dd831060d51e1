--- Servers on loopback that do as a test says, and the sandbox's settings as nginx needs them.
-- @module support.peers
local host = require "directmail.host.std"

local M = {}

local listeners = {}

--- Let `each(sock)` have every connection, and close it behind.
-- @treturn number the port
function M.serve(each)
  local listener = assert(host.listen("127.0.0.1", 0))
  listeners[#listeners + 1] = listener
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(function()
        each(sock)
        sock:close()
      end)
    end
  end)
  return listener.port
end

--- Stop all of them.
function M.stop()
  for _, listener in ipairs(listeners) do listener:close() end
  listeners = {}
end

--- A port where nobody listens: discard (RFC 863), which no test takes; one that was free a moment ago may be another test's now.
function M.nobody() return 9 end

--- Answer one line after the other with `answers`, in order.
-- @treturn boolean false when the client left before all were given
function M.talk(sock, answers)
  local held = ""
  for _, answer in ipairs(answers) do
    while not held:find("\n", 1, true) do
      local bytes = sock:receiveany(4096)
      if not bytes then return false end
      held = held .. bytes
    end
    held = held:match "\n(.*)$"
    if not sock:send(answer) then return false end
  end
  return true
end

--- Read until the client leaves.
function M.swallow(sock) repeat until not sock:receiveany(4096) end

--- Whole contents of a file.
function M.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

--- The settings of a sandbox for nginx, whose certificates are for names only: its SMTP URL says localhost.
-- @return env, port by "smtp" and "smtps"
function M.settings(box)
  local env, port = {}, {}
  for name, value in pairs(box.env) do env[name] = value end
  for _, name in ipairs { "smtp", "smtps" } do port[name] = tonumber(box.urls[name]:match ":(%d+)$") end
  env.DIRECTMAIL_SMTP = ("smtp://localhost:%d"):format(port.smtp)
  return env, port
end

return M
