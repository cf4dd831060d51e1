-- You will see the receipt of a newsletter with a picture inside the text, a link to unsubscribe and a tag for statistics.
-- The picture needs SMTP, and the receipt says so.
--
--   directmail sandbox -- directmail examples/newsletter.lua       nothing leaves your machine
--   directmail examples/newsletter.lua you@example.com             with your settings; the tag "signup" must exist there
local directmail = require "directmail"

local to = arg[1] or "ann@example.com"
local logo = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><circle cx="32" cy="32" r="30" fill="#b4480f"/></svg>'
local link = "https://www.example.com/unsubscribe?who=ann&key=7c3b"

local receipt, err = assert(directmail.new()):send {
  from = "News <noreply@mail.example.com>",
  to = to,
  reply_to = "editor@example.com",
  subject = "What is new in spring",
  html = ('<p><img src="cid:logo" alt=""></p><p>New: tea from 杭州.</p><p><a href="%s">unsubscribe</a></p>'):format(link:gsub("&", "&amp;")),
  text = "New: tea from 杭州.\n\nunsubscribe: " .. link .. "\n",
  attachments = { { name = "logo.svg", data = logo, cid = "logo" } },
  unsubscribe = { link, "mailto:unsubscribe@example.com" },     -- mail programs show a button for it (RFC 8058)
  tag = "signup", track = { opens = true, clicks = true },
}
if not receipt then error(err, 0) end

print(("%s by %s: %s"):format(receipt.outcome, receipt.via, receipt.reason))
print("id " .. receipt.id)
