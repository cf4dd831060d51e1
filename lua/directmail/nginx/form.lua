--- The handler of an HTML form.
--
--     local contact = require "directmail.nginx".form(mail, {
--       to = "team@example.com", template = "mail/contact.html",
--       fields = { name = { required = true, max = 80 }, email = { type = "email", required = true, reply_to = true }, … },
--       honeypot = "website", limits = { client = { 5, 600 } }, done = "/thanks.html",
--     })
--     -- content_by_lua_block { contact() }
-- @module directmail.nginx.form
local http1 = require "directmail.http1"
local limits = require "directmail.data.limits"
local multipart = require "directmail.nginx.multipart"
local submission = require "directmail.nginx.submission"

local M = {}

-- What a body holds as a list of { name, value }; or nil and the code of a refusal.
local function read(kind, body)
  local low = kind:lower()
  if low:find "^%s*application/x%-www%-form%-urlencoded%s*$" or low:find "^%s*application/x%-www%-form%-urlencoded%s*;" then
    local list = http1.decode_form(body)
    if not list or #list > limits.form_fields then return nil, "BODY" end
    return list
  end
  local boundary = multipart.boundary(kind)
  if not boundary then return nil, "TYPE" end
  local parts = multipart.read(body, boundary)
  if not parts then return nil, "BODY" end
  for i, part in ipairs(parts) do
    if part[3] then parts[i] = { part[1], { data = part[2], filename = part[3] } } end
  end
  return parts
end

--- Make it.
-- @tparam table mail
-- @tparam table options see docs/nginx.md
-- @tparam number level where misuse is raised
-- @treturn function to be called in content_by_lua
function M.new(mail, options, level)
  local self = submission.new(mail, options, { name = "form", json = false, strict = false }, level + 1)
  return submission.handler(self, read)
end

return M
