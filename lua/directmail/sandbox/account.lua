--- What the sandbox's account has: one AccessKey and a temporary one, senders, tags, templates, recipients that are refused.
-- @module directmail.sandbox.account
local core = require "directmail.core"

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

local APPROVED = "2"            -- TemplateStatus (Direct Mail documentation, DescTemplate); nil at the start

local Account = {}
Account.__index = Account

--- The secret that belongs to an AccessKey id.
-- @tparam string id
-- @treturn ?string
function Account:secret(id)
  if id == self.access_key_id then return self.access_key_secret end
  return id == self.temporary.access_key_id and self.temporary.access_key_secret or nil
end

--- The token that belongs to an AccessKey id.
-- @tparam string id
-- @treturn ?string nil for the lasting key
function Account:token(id) return id == self.temporary.access_key_id and self.temporary.security_token or nil end

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
function Account.reply_address(_, sender) return sender.reply or REPLY .. sender.address:match("@[^@]*$") end

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
function Account:template(id)
  local template = self.templates[id]
  return template and (template.status or APPROVED) == APPROVED and template or nil
end

-- A temporary key, as STS would have issued it: as secret as the lasting one that it is made of.
local function temporary_of(secret)
  local function text(about) return (core.base64(core.hmac_sha256(secret, about)):gsub("%W", "")) end
  return { access_key_id = "STS.NU" .. text "id":sub(1, 22), access_key_secret = text "secret":sub(1, 30), security_token = "CAIS" .. text "token" .. "+/==" }
end

--- Make the account.
-- @tparam table senders a `directmail.sandbox.senders`
-- @tparam string access_key_id
-- @tparam string access_key_secret
-- @treturn table with the methods above, and `temporary` = `{access_key_id, access_key_secret, security_token}`, `tags` by name, `templates` by id
function M.new(senders, access_key_id, access_key_secret)
  local template = {}           -- a box's own: it can be changed
  for name, value in pairs(TEMPLATE) do template[name] = value end
  return setmetatable({
    senders = senders, access_key_id = access_key_id, access_key_secret = access_key_secret, temporary = temporary_of(access_key_secret),
    tags = { [TAG] = { name = TAG } }, templates = { [template.id] = template },
  }, Account)
end

return M
