-- You will see the receipt of one welcome mail: which way it went, how long that took, and the
-- number under which the service keeps it. A PDF and a table with a Chinese name are attached.
--
--   directmail sandbox -- directmail examples/welcome.lua          nothing leaves your machine
--   directmail examples/welcome.lua you@example.com                with your DIRECTMAIL_* settings
local directmail = require "directmail"

local here = arg[0]:match "^(.*/)" or ""
local mail = assert(directmail.new())              -- region, sender, keys, password: environment or profile

local receipt, err = mail:send {
  to = { arg[1] or "Ann <ann@example.com>" },
  subject = "Welcome, Ann – 欢迎",
  text = "Hi Ann,\n\nyour customer card and this month's report are attached.\n",
  html = "<p>Hi Ann,</p><p>your <b>customer card</b> and this month's report are attached.</p>",
  attachments = { here .. "welcome.pdf", here .. "报告.csv" },
}
if not receipt then error(err, 0) end              -- prints cause and remedy; the exit code says the outcome

print(("%s by %s, %d bytes in %.2f s"):format(receipt.outcome, receipt.via, receipt.bytes, receipt.seconds))
print(("id %s   message-id %s"):format(receipt.id or "(none given)", receipt.message_id))
for _, address in ipairs(receipt.accepted) do print("to " .. address) end
