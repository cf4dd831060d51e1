--- What an answer about a signature says: its code, its time, and the string that the service signed.
-- The answer may be an HTTP response, JSON, XML, or a line of somebody's log with the message in it, escaped once or more. Known shapes
-- (from public reports): V1 `… server string to sign is:POST&%2F&…`; V3 `… server StringToSign is [ACS3-HMAC-SHA256 <hex>] server
-- CanonicalRequest is […]`, with line ends as they are, as `\n`, or as blanks.
-- @module directmail.sign.answer
local canonical = require "directmail.sign.canonical"
local core = require "directmail.core"
local json = require "cjson"

local M = {}

local MAX_DEPTH = 8         -- errors of SDKs wrap the answer a few times
local MAX_ROUNDS = 3        -- how often a text may be escaped

local ENTITIES = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

local function entity(name)
  if ENTITIES[name] then return ENTITIES[name] end
  local code = tonumber(name:match "^#(%d+)$") or tonumber(name:match "^#[xX](%x+)$" or "", 16)
  return code and code < 128 and string.char(code) or nil
end

local function unescape(text)
  return (text:gsub("&(#?%w+);", entity))
end

-- JSON inside of a text that is no JSON as a whole; many writers turn & into \u0026.
local function unescape_json(text)
  return (text:gsub("\\u00(%x%x)", function(hex)
    local code = tonumber(hex, 16)
    return code < 128 and string.char(code) or nil
  end):gsub("\\/", "/"):gsub('\\"', '"'))
end

-- ---- V1 -----------------------------------------------------------------------

-- The service writes it by the rules, so nothing else can belong to it, but for the stars that cover a secret.
local STRICT = "[A-Z]+&%%2F&[A-Za-z0-9%%%-_.~*]+"

local function find_v1(text)
  if text:find("%26%252F%26", 1, true) then text = canonical.decode(text) end      -- a log that encodes its lines
  local _, after = text:lower():find "string to sign is:?"
  for _, at in ipairs { after and after + 1 or 1, 1 } do
    local found = text:match("%f[A-Z]" .. STRICT, at)
    if found then return found end
  end
end

-- ---- V3 -----------------------------------------------------------------------

-- A canonical request whose line ends became blanks, put together again by the names that it lists; or nil.
local function unfold(text)
  local method, path, rest = text:match "^(%u+)%s+(/%S*)(.*)$"
  if not method then return nil end
  local head, signed, hash = rest:match "^(.*)%s(%S+)%s+(%x+)%s*$"
  if not head then return nil end
  head = head .. " "
  local lines, starts = { method, path, "" }, {}
  local at = 1
  for name in signed:gmatch "[^;]+" do
    local a, b = head:find(" " .. name .. ":", at, true)
    if not a then return nil end
    starts[#starts + 1] = { a, b, name }
    at = b
  end
  if #starts == 0 then return nil end
  lines[3] = canonical.trim(head:sub(1, starts[1][1] - 1))
  if lines[3]:find "%s" then return nil end
  for i, start in ipairs(starts) do
    local last = starts[i + 1] and starts[i + 1][1] - 1 or #head
    lines[#lines + 1] = start[3] .. ":" .. canonical.trim(head:sub(start[2] + 1, last))
  end
  lines[#lines + 1], lines[#lines + 2], lines[#lines + 3] = "", signed, hash
  return table.concat(lines, "\n")
end

local function with_lines(text)
  text = text:gsub("\r\n", "\n")
  if not text:find "\n" then text = text:gsub("\\r\\n", "\n"):gsub("\\n", "\n") end
  if not text:find "\n" then text = unfold(text:gsub("%s", " ")) or text end
  return text:match "^(.*[^\n])" or ""
end

-- The canonical request from `at` on ends behind its last word, a SHA-256; a "]" may stand in a value.
local function bracketed(text, at)
  local from = at
  while true do
    local a, _, hex = text:find("%f[%x](%x+)%]", from)
    if not a then return text:match("^(.*)%]", at) or text:sub(at) end
    if #hex == 64 then return text:sub(at, a + 63) end
    from = a + #hex
  end
end

local function find_v3(text)
  local low, out = text:lower(), {}
  local _, after = low:find "stringtosign is:?%s*%[?"
  local algorithm, hex = text:match("^%s*(ACS%d%-[%w-]+)[%s\\rn]+(%x+)", after and after + 1 or 1)
  if hex and #hex == 64 then out.string_to_sign = algorithm .. "\n" .. hex end
  _, after = low:find "canonicalrequest is:?%s*%["
  if after then
    out.canonical_request = with_lines(bracketed(text, after + 1))
  elseif text:find "^%s*%u+%s+/" and text:find "%f[%x]%x+%s*$" then
    local found = with_lines(canonical.trim(text))
    if canonical.split(found) then out.canonical_request = found end
  end
  return (out.string_to_sign or out.canonical_request) and out
end

-- ---- the answer ------------------------------------------------------------------

-- The strings that a text holds; { scheme=, string_to_sign=, canonical_request=, unescaped= } or nil.
local function strings_in(text)
  local plain = text
  for _ = 1, MAX_ROUNDS do
    local next_text = unescape(plain)
    if next_text == plain then break end
    plain = next_text
  end
  if plain:find("\\u00", 1, true) or plain:find('\\"', 1, true) then plain = unescape_json(plain) end
  local v3 = find_v3(plain)
  if v3 then
    v3.scheme, v3.unescaped = "v3", plain ~= text
    return v3
  end
  local v1 = find_v1(plain)
  if v1 then return { scheme = "v1", string_to_sign = v1, unescaped = plain ~= text } end
end

local function field_of(value, names)
  for _, name in ipairs(names) do
    if type(value[name]) == "string" then return value[name] end
  end
end

-- Every text of a decoded JSON value, and its Code and RequestId, into `into`.
local function walk(value, into, depth)
  if type(value) == "string" then into.texts[#into.texts + 1] = value
  elseif type(value) == "table" and depth < MAX_DEPTH then
    into.code = into.code or field_of(value, { "Code", "code" })
    into.request_id = into.request_id or field_of(value, { "RequestId", "requestId", "request_id" })
    local names = {}
    for name in pairs(value) do names[#names + 1] = name end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do walk(value[name], into, depth + 1) end
  end
end

local function from_json(text)
  local from, to = text:find("{", 1, true), text:match "^.*()}"
  if not from or not to then return nil end
  local ok, value = pcall(json.decode, text:sub(from, to))        -- nothing waits in there
  if not ok or type(value) ~= "table" then return nil end
  local found = { texts = {} }
  walk(value, found, 0)
  return found
end

local function from_xml(text)
  local start = text:match "<[Mm]essage>()"
  local stop = start and text:match("()</[Mm]essage>", start)
  local message = stop and text:sub(start, stop - 1)
  local code = text:match "<[Cc]ode>%s*([%w.]+)%s*</[Cc]ode>"
  if not message and not code then return nil end
  message = message or ""
  local data = message:match "^%s*<!%[CDATA%[(.*)%]%]>"
  return { texts = { data or unescape(message) }, code = code, request_id = text:match "<[Rr]equestId>%s*([%w-]+)%s*</[Rr]equestId>" }
end

-- The code in a line such as "SignatureDoesNotMatch: code: 400, Specified …".
local CODES = { "SignatureDoesNotMatch", "IncompleteSignature", "SignatureNonceUsed", "InvalidSignatureMethod", "InvalidTimeStamp%.%a+",
  "IllegalTimestamp", "InvalidAccessKeyId%.%a+", "InvalidAccessKeyId", "MissingSecurityToken", "InvalidSecurityToken%.%a+" }

local function code_in(text)
  for _, pattern in ipairs(CODES) do
    local found = text:match("%f[%a](" .. pattern .. ")%f[%A]")
    if found then return found end
  end
end

--- Read an answer.
-- @tparam string text
-- @treturn table `{ code=, request_id=, time = seconds since 1970 by the service's clock, scheme = "v1"|"v3", string_to_sign=,
--   canonical_request = (V3), unescaped = the text had to be unescaped beyond what its format asks for }`, as much of it as there is
function M.read(text)
  local found = from_json(text) or from_xml(text) or { texts = {} }
  found.texts[#found.texts + 1] = text
  local out = { code = found.code or code_in(text), request_id = found.request_id }
  local date = ("\n" .. text):match "\n[< ]*[Dd]ate: *([^\r\n]+)"
  out.time = date and core.date_parse(date) or nil
  for _, one in ipairs(found.texts) do
    local strings = strings_in(one)
    if strings then
      for name, value in pairs(strings) do out[name] = value end
      return out
    end
  end
  return out
end

return M
