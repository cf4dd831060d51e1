--- Sign calls of the Alibaba Cloud API, V3 (ACS3-HMAC-SHA256) or V1 (HMAC-SHA1).
-- The rules are those of
-- https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
-- and https://www.alibabacloud.com/help/en/direct-mail/signature; the bytes are made in C.
-- Nothing is sent here, and time and nonce are arguments: a known call has a known signature.
-- @module directmail.sign
local core = require "directmail.core"
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

local ALGORITHM = { v1 = "HMAC-SHA1", v3 = "ACS3-HMAC-SHA256" }

local KNOWN = { "version", "method", "host", "path", "query", "form", "action", "api_version",
  "access_key_id", "access_key_secret", "security_token", "now", "nonce" }

local TYPES = { version = "string", method = "string", host = "string", path = "string", query = "table", form = "table",
  action = "string", api_version = "string", access_key_id = "string", access_key_secret = "string",
  security_token = "string", now = "number", nonce = "string" }

local NEEDED = { "host", "action", "api_version", "access_key_id", "access_key_secret", "now", "nonce" }

local REMEDY = {
  access_key_id = "set ALIBABA_CLOUD_ACCESS_KEY_ID to the id of the AccessKey, without blanks or quotes",
  access_key_secret = "set ALIBABA_CLOUD_ACCESS_KEY_SECRET to the secret that was shown when the AccessKey was made",
  security_token = "set ALIBABA_CLOUD_SECURITY_TOKEN to the token that came with the temporary AccessKey, unchanged",
}

local BY_CODE = {
  CONTENT = "give the text as UTF-8",
  SIZE = "send less in one call",
  OPTION = "correct the parameter or leave it out",
}

local MAX_DEPTH = 16      -- the catalogue nests three deep; a table that holds itself must not hang us

-- The shortest decimal text, without ".0" (which Lua 5.3 and later would print) and
-- without an exponent for a whole number.
local function number_text(n)
  local plain = tostring(n)
  if plain:find "^%-?%d+$" then return plain end
  if n == math.floor(n) and n > -2 ^ 53 and n < 2 ^ 53 then return ("%.0f"):format(n) end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(n)
    if tonumber(text) == n then return text end
  end
end

-- Write the value into `out`; nil, or why it cannot be a parameter.
local function put(out, name, value, depth)
  local kind = type(value)
  if kind == "table" then
    if depth > MAX_DEPTH then return ("%s is nested deeper than %d levels"):format(name, MAX_DEPTH) end
    for key, inner in pairs(value) do
      local label
      if type(key) == "string" then label = key
      elseif type(key) == "number" and key >= 1 and key == math.floor(key) and key < 2 ^ 31 then label = ("%.0f"):format(key)
      else return ("%s has a key that is neither a name nor a positive whole number"):format(name) end
      local why = put(out, name .. "." .. label, inner, depth + 1)
      if why then return why end
    end
    return
  end
  local text
  if kind == "string" then text = value
  elseif kind == "boolean" then text = tostring(value)
  elseif kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return ("%s is not a finite number"):format(name) end
    text = number_text(value)
  else return ("%s is a %s, which no parameter can be"):format(name, kind) end
  if out[name] then return ("%s is given twice"):format(name) end
  out[name] = text
end

-- M.flatten, blaming the line of the `level`th caller.
local function flatten(params, what, level)
  local out = {}
  for name, value in pairs(params) do
    local why = type(name) ~= "string" and "its keys must be names" or put(out, name, value, 1)
    if why then error(("bad %s: %s"):format(what, why), level + 1) end
  end
  return out
end

--- Make parameters flat: `Foo = {"a","b"}` becomes `Foo.1=a`, `Foo.2=b`; `Foo = {{Bar="x"}}` becomes
-- `Foo.1.Bar=x`. Booleans become `true` and `false`, whole numbers lose their `.0`; an entry that
-- is nil is skipped and the others keep their index; an empty table gives nothing.
-- @tparam table params by name
-- @treturn table flat, strings only
-- @raise on a function, a userdata (JSON null: leave the field out), a number that is not finite,
--   a name given twice, or a table nested deeper than 16
function M.flatten(params)
  if type(params) ~= "table" then error(("bad argument #1 to flatten (table expected, got %s)"):format(type(params)), 2) end
  return flatten(params, "parameters", 2)
end

--- Build and sign one call, ready to be sent.
-- Send `headers` as they stand, Host and Content-Type too: both are signed in V3, and a header
-- of these or an `x-acs-*` that an HTTP client adds by itself breaks the signature. A repeated
-- call needs a new nonce, a new time and a new signature.
-- @tparam table call `version` ("v3", the default, or "v1"), `method` ("POST", the default, or
--   "GET"), `host` (as the Host header says it, with the port unless it is the default one),
--   `path` (default "/"), `query`, `form` (tables, see `flatten`), `action`, `api_version`
--   ("2015-11-23"), `access_key_id`, `access_key_secret`, `security_token` (of temporary
--   credentials), `now` (seconds since 1970, UTC), `nonce` (never used before: 32 random hex digits)
-- @treturn[1] table `{ method =, url = path with query, headers = by name, body = string or nil }`.
--   V1 by POST carries every parameter in the body.
-- @treturn[2] nil
-- @treturn[2] err CREDENTIALS, CONTENT (not UTF-8), SIZE or OPTION; `detail` names the field
-- @raise on an unknown, missing or wrongly typed field
-- @usage local call = assert(sign.request { host = "dm.aliyuncs.com", action = "DescAccountSummary",
--   api_version = "2015-11-23", access_key_id = id, access_key_secret = secret, now = host.now(), nonce = nonce })
function M.request(call)
  option.check(call, KNOWN, "sign.request", 2)
  for _, name in ipairs(KNOWN) do
    local value = call[name]
    if value ~= nil and type(value) ~= TYPES[name] then
      error(("field '%s' of sign.request must be a %s, not a %s"):format(name, TYPES[name], type(value)), 2)
    end
  end
  for _, name in ipairs(NEEDED) do
    if call[name] == nil then error(("field '%s' of sign.request is missing"):format(name), 2) end
  end
  local algorithm = ALGORITHM[call.version or "v3"]
  if not algorithm then error("field 'version' of sign.request must be \"v3\" or \"v1\"", 2) end
  -- Years 1970 to 9999: what os.date can do everywhere and the service can read.
  if not (call.now >= 0 and call.now < 253402300800) then
    error("field 'now' of sign.request must be seconds since 1970", 2)
  end
  local ready, why = core.sign_call {
    algorithm = algorithm, method = call.method or "POST", host = call.host, path = call.path,
    query = call.query and flatten(call.query, "field 'query' of sign.request", 2),
    form = call.form and flatten(call.form, "field 'form' of sign.request", 2),
    action = call.action, api_version = call.api_version,
    access_key_id = call.access_key_id, access_key_secret = call.access_key_secret, security_token = call.security_token,
    utc = os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(call.now)), nonce = call.nonce,
  }
  if ready then return ready end
  return nil, err.new { code = why.code, detail = why.field, cause = why.detail, remedy = REMEDY[why.field] or BY_CODE[why.code] }
end

return M
