-- You will see a test of a sign-up form: it starts a sandbox of its own, lets the program send, and looks into the mail that
-- arrived. It needs no settings and leaves nothing behind.
--
--   directmail examples/inbox.lua
local directmail = require "directmail"

local function sign_up(mail, name, address)        -- the program to be tested
  return mail:send { to = ("%s <%s>"):format(name, address), subject = "Welcome, " .. name, text = "Hi " .. name }
end

local box = assert(directmail.sandbox.start())
local mail = assert(directmail.new {
  sender = box.env.DIRECTMAIL_SENDER, smtp = box.env.DIRECTMAIL_SMTP, smtp_user = box.env.DIRECTMAIL_SMTP_USER,
  smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, ca = box.ca, via = "smtp",
})

assert(sign_up(mail, "Ann", "ann@example.com"))
local seen = assert(box:wait { to = "ann@example.com", timeout = 5 })       -- it waits, so no test must sleep
print(("%s: %s"):format(seen.to[1], seen.subject))

assert(box:set_faults { "rcpt:550" })              -- from now on every recipient is refused
local receipt, err = sign_up(mail, "Bob", "bob@example.com")
assert(not receipt)
print(err.code, err.reply)

print(#box:mails() .. " mail in all")
box:stop()
