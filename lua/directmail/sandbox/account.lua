--- What the sandbox's account has: one AccessKey, senders, tags, templates, recipients that are refused.
-- @module directmail.sandbox.account
local M = {}

-- What exists at the start.
local TAG = "signup"
local TEMPLATE = { id = "100001", name = "welcome", html = "<body><p>Hello {name},</p><p>welcome aboard.</p></body>" }

local REPLY = "reply"           -- local part of every sender's verified reply address

-- Recipients that are refused, as by SMTP with 559, 450 and 552: the documented codes that come nearest. The API
-- knows no mailbox that is full or busy now, since it answers before anything is delivered.
local REFUSED = {
  ["invalid@sandbox.example"] = "InvalidToAddress.Spam",
  ["defer@sandbox.example"] = "Throttling.User",
  ["full@sandbox.example"] = "InvalidQuota",
}

local Account = {}
Account.__index = Account

--- The secret that belongs to an AccessKey id.
-- @tparam string id
-- @treturn ?string
function Account:secret(id) return id == self.access_key_id and self.access_key_secret or nil end

--- The sender that AccountName means.
-- @tparam string name an address, or with `domain_auth` the bare domain of one
-- @tparam boolean domain_auth
-- @treturn ?table `{address, type = "trigger"|"batch"}`
function Account:sender(name, domain_auth)
  if not domain_auth then return self.senders:find(name) end
  for _, sender in ipairs(self.senders.list) do
    local domain = sender.address:match("@([^@]*)$")
    -- the service's own address of the domain is what readers see (Direct Mail documentation, SingleSendMail)
    if domain:lower() == name:lower() then return { address = "domain-auth-created-by-system@" .. domain, type = sender.type } end
  end
end

--- The reply address that the console has for a sender.
-- @tparam table sender
-- @treturn string
function Account.reply_address(_, sender) return REPLY .. sender.address:match("@[^@]*$") end

--- The code with which a recipient is refused.
-- @tparam string address
-- @treturn ?string
function Account.refuses(_, address) return REFUSED[address:lower()] end

--- Is there a tag of this name?
-- @tparam string name
-- @treturn boolean
function Account:has_tag(name) return self.tags[name] ~= nil end

--- An approved template.
-- @tparam string id
-- @treturn ?table `{id, name, html, text}`
function Account:template(id) return self.templates[id] end

--- Make the account.
-- @tparam table senders a `directmail.sandbox.senders`
-- @tparam string access_key_id
-- @tparam string access_key_secret
-- @treturn table with the methods above, and `tags` by name, `templates` by id
function M.new(senders, access_key_id, access_key_secret)
  return setmetatable({
    senders = senders, access_key_id = access_key_id, access_key_secret = access_key_secret,
    tags = { [TAG] = { name = TAG } }, templates = { [TEMPLATE.id] = TEMPLATE },
  }, Account)
end

return M
