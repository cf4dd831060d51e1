-- The shop's mail: made once in init_by_lua, used by all requests. What a visitor cannot choose stands here: sender, recipient, template.
local directmail = require "directmail"
local nginx = directmail.nginx

local M = {}

-- Region, sender and keys come from the environment. With SHOP_REDIS mails survive a crash of this machine.
local redis, secret = os.getenv "SHOP_REDIS", os.getenv "SHOP_SECRET"
local mail = assert(directmail.new { store = redis })
local template = assert(directmail.template(ngx.config.prefix() .. "mail/contact.txt"))

local options = {
  to = os.getenv "SHOP_TEAM" or "team@example.com",
  template = template,
  fields = {
    name = { label = "Your name", required = true, max = 80 },
    email = { label = "Your mail address", type = "email", required = true, reply_to = true },
    topic = { label = "About", required = true, values = { "Order", "Return", "Something else" } },
    message = { label = "Your message", type = "lines", required = true, max = 4000 },
  },
  check = { mx = os.getenv "SHOP_CHECK_MX" ~= nil },    -- asks the DNS whether the visitor's address can take mail
  honeypot = "website",                                 -- a field that people do not see; whoever fills it is a program
  limits = { client = { 10, 600 }, recipient = { 200, 3600 } },
  deliver = redis and "durable" or "wait",
}

-- The same options with some of their own.
local function with(own)
  for name, value in pairs(options) do
    if own[name] == nil then own[name] = value end
  end
  return own
end

M.contact = nginx.form(mail, with { name = "contact", done = "/thanks.html" })
M.api = nginx.json(mail, with { name = "api" })
M.metrics = nginx.metrics()

local function not_here() ngx.exit(404) end
M.events, M.unsubscribe = not_here, not_here
if redis and secret then
  -- bounced, complained, unsubscribed: nothing is sent there any more
  M.events = nginx.events { secret = secret, store = mail.store }
  M.unsubscribe = nginx.unsubscribe { secret = secret, list = mail.store }
end

-- In each worker: send what lies in the outbox.
function M.start()
  if redis then nginx.pump(mail) end
end

return M
