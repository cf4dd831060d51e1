--- A program that runs inside the sandbox, until its end.
-- @module directmail.command.child
local err = require "directmail.err"

local M = {}

--- Run it. After a signal to us it gets the same one, and we wait for its end.
-- @tparam table host
-- @tparam {string,...} argv
-- @tparam table env variables beside our own
-- @param signal task that waits for a signal to us
-- @treturn integer its exit status, 128 + n after signal n; or nil, err
function M.run(host, argv, env, signal)
  local child, why = host.child(argv, env)
  if not child then
    return nil, err.new { code = "OPTION", detail = argv[1], cause = "the command cannot be started: " .. tostring(why),
      remedy = "check its name and its rights" }
  end
  local ended = host.spawn(function() return "ended", child:wait() end)
  local ok, what, status = host.wait(signal, ended)
  if ok and what ~= "ended" then
    child:kill(what)
    ok, what, status = host.wait(ended)
  end
  if not ok then error(what, 0) end
  return status
end

return M
