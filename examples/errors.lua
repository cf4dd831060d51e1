-- You will see what a program can do with each kind of failure. The sandbox refuses two of these recipients on purpose, and
-- the third address is wrong, so it never leaves the machine.
--
--   directmail sandbox -- directmail examples/errors.lua           nothing leaves your machine
local directmail = require "directmail"

local mail = assert(directmail.new())

local function try(to)
  local receipt, err = mail:send { to = to, subject = "Hello", text = "Hi" }
  if receipt then
    print("sent: " .. receipt.id)
  elseif err.outcome == "unknown" then             -- it may have arrived: never repeated by itself
    print("look it up before you send again: " .. to)
  elseif err.retry then
    print(("try %s again in %d s (%s)"):format(to, err.after or 60, err.code))
  elseif err.blame == "recipient" then
    print(("take %s off your lists (%s)"):format(to, err.detail))
  else                                             -- address, settings, content, quota: somebody must look
    print(err)
  end
end

try "ann@example.com"
try "invalid@sandbox.example"
try "defer@sandbox.example"
try "ann@example"
