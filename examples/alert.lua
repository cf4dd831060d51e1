-- You will see the receipt of one alert: an HTML mail by the signed API, since nothing in it needs SMTP.
--
--   directmail sandbox -- directmail examples/alert.lua          nothing leaves your machine
--   directmail examples/alert.lua you@example.com                with your own keys
local directmail = require "directmail"

local mail = assert(directmail.new { via = "api" })        -- region and sender: DIRECTMAIL_*; keys: ALIBABA_CLOUD_*
local receipt, err = mail:send {
  to = arg[1] or "ops@example.com",
  subject = "磁盘 /var: 91 % full",
  html = "<p>Only <b>9 %</b> of /var is left on web-1.</p>",
  text = "Only 9 % of /var is left on web-1.",
}
if not receipt then error(err, 0) end              -- prints cause and remedy; the exit code says the outcome

print(("%s by %s in %.2f s"):format(receipt.outcome, receipt.via, receipt.seconds))
print(("id %s   request %s"):format(receipt.id, receipt.request_id))
