--- The handler of a JSON endpoint: `POST` with one flat object, `{"email":"ann@example.com","name":"Ann"}`.
-- For programs of one's own with a secret (`Authorization: Bearer …`), or for the scripts of one's own pages (their Origin is checked).
-- The header Idempotency-Key makes a repeated request one mail, where the mail object has a store.
-- @module directmail.nginx.json
local cjson = require "cjson.safe"
local limits = require "directmail.data.limits"
local submission = require "directmail.nginx.submission"

local M = {}

local KEY_OCTETS = 255

-- The fields of one flat object, and the client's own key; or nil and the code of a refusal.
local function read(kind, body)
  local low = kind:lower()
  -- this type alone: a form of another site cannot send it without being asked (the CORS protocol)
  if not (low:find "^%s*application/json%s*$" or low:find "^%s*application/json%s*;") then return nil, "TYPE" end
  local object = body:find "^%s*{" and cjson.decode(body)
  if not object then return nil, "BODY" end
  local list = {}
  for name, value in pairs(object) do
    if #list == limits.form_fields then return nil, "BODY" end
    -- null: not given; a list or an object fits no field, and is told so
    if type(value) == "table" then value = {} end
    if value ~= cjson.null then list[#list + 1] = { tostring(name), value } end
  end
  local key = ngx.var.http_idempotency_key
  if key and (key == "" or #key > KEY_OCTETS) then return nil, "BODY" end
  return list, key
end

--- Make it.
-- @tparam table mail
-- @tparam table options see docs/nginx.md
-- @tparam number level where misuse is raised
-- @treturn function to be called in content_by_lua
function M.new(mail, options, level)
  local self = submission.new(mail, options, { name = "json", json = true, strict = true }, level + 1)
  return submission.handler(self, read)
end

return M
