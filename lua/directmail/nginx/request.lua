--- A request as a handler takes it: from where it comes, how large it is, what its body holds.
-- @module directmail.nginx.request
local core = require "directmail.core"

local M = {}

-- The place of a URL: scheme, host and port, in lower case.
local function origin_of(url)
  local scheme, place, rest = (url or ""):lower():match "^(https?)://([%w.:%[%]-]+)(.*)$"
  if not scheme or not (rest == "" or rest:find "^[/?#]") then return nil end
  if scheme == "https" then place = place:gsub(":443$", "") else place = place:gsub(":80$", "") end
  return scheme .. "://" .. place, place
end

--- Check the option `origin`.
-- @param value nil: the host that the request itself names; a string or a list of them: `https://shop.example`
-- @tparam number level where misuse is raised
-- @treturn ?{[string]=true,...}
function M.origins(value, level)
  if value == nil then return nil end
  local set = {}
  for _, one in ipairs(type(value) == "table" and value or { value }) do
    local origin = type(one) == "string" and one:find "^https?://[^/?#@]+/?$" and origin_of(one)
    if not origin then error('origin: "https://shop.example" is needed, or a list of such', level + 1) end
    set[origin] = true
  end
  if next(set) == nil then error("origin: the list is empty", level + 1) end
  return set
end

--- Does a browser send this from a page that may? A cookie is not needed for this, and none is set.
-- @tparam table headers `origin`, `referer`, `host`
-- @tparam ?table allowed of `origins`
-- @treturn boolean false also when the request says nothing: every browser says it with a POST
function M.same_origin(headers, allowed)
  local origin, place
  if headers.origin then origin, place = origin_of(headers.origin) else origin, place = origin_of(headers.referer) end
  if not origin then return false end
  if allowed then return allowed[origin] == true end
  -- TLS may end in front of this nginx, so the scheme that it sees says nothing
  local host = (headers.host or ""):lower():gsub(":80$", ""):gsub(":443$", "")
  return host ~= "" and place == host
end

--- Is this one of some secrets? Compared in a time that tells nothing, not even a length.
-- @tparam ?string given
-- @tparam {string,...} secrets
-- @treturn boolean
function M.is_secret(given, secrets)
  local hash, found = core.sha256(given or ""), false
  for _, secret in ipairs(secrets) do
    if core.same(core.sha256(secret), hash) then found = true end
  end
  return found
end

--- The secret of `Authorization: Bearer SECRET`.
-- @tparam ?string authorization
-- @treturn ?string
function M.bearer(authorization) return (authorization or ""):match "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$" end

--- Who asks, for a limit: an IPv4 address, or the /64 of an IPv6 one, since a subscriber has all addresses of that.
-- @tparam string binary ngx.var.binary_remote_addr
-- @treturn string
function M.client(binary) return #binary == 16 and binary:sub(1, 8) or binary end

--- Headers by lower-case name, each as one string.
-- @treturn table
function M.headers()
  local out = {}
  for name, value in pairs(ngx.req.get_headers(100, true)) do
    out[name:lower()] = type(value) == "table" and table.concat(value, ", ") or value == true and "" or value
  end
  return out
end

--- The body.
-- @tparam number max octets
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string "SIZE" or "BODY"
function M.body(max)
  local length = ngx.var.http_content_length
  if length and (tonumber(length) or math.huge) > max then
    ngx.req.discard_body()
    return nil, "SIZE"
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then
    local path = ngx.req.get_body_file()        -- larger than client_body_buffer_size
    if not path then return "" end
    local file = io.open(path, "rb")
    if not file then return nil, "BODY" end
    body = file:read(max + 1) or ""
    file:close()
  end
  if #body > max then return nil, "SIZE" end
  return body
end

return M
