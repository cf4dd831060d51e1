--- What a request signs, taken apart: a string to sign of V1, or a canonical request of V3.
-- It reads what other programs built, so it takes wrong strings too: whatever can be a parameter is one.
-- A part of a list is `{ name=, value=, enc=, raw=, from=, to= }`: `raw` as it stands in the text from `from` to `to`, `enc` as it was
-- joined, `value` decoded. The parts of headers have no `enc`.
-- @module directmail.sign.canonical
local core = require "directmail.core"
local limits = require "directmail.data.limits"

local M = {}

local MAX_LINES = limits.http_headers + 6           -- of a canonical request; a stranger's text must not become millions of tables
local V3 = "ACS3-HMAC-SHA256"
local EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"       -- SHA-256 of nothing

M.EMPTY_HASH = EMPTY

--- Undo percent-encoding; a % without two hex digits behind it stays.
-- @tparam string text
-- @treturn string
function M.decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- ---- lists of name=value ------------------------------------------------------

-- Split `text` from `at` on at a pattern; names end at the first `equals`. Nil when there are more than any request has.
local function pieces_of(text, at, separator, equals, decode_enc)
  local list = {}
  while at <= #text do
    local from, to = text:find(separator, at)
    local last = (from or #text + 1) - 1
    if last >= at then
      if #list == limits.http_form_fields then return nil end
      local a, b = text:find(equals, at)
      if not a or a > last then a, b = last + 1, last end
      local name, raw = text:sub(at, a - 1), text:sub(b + 1, last)
      local enc = decode_enc(raw)
      list[#list + 1] = { name = M.decode(decode_enc(name)), enc_name = decode_enc(name), raw_name = name,
        raw = raw, enc = enc, value = M.decode(enc), from = at, to = last }
    end
    at = (to or #text) + 1
  end
  return list
end

local function same(text) return text end
local function twice(text) return M.decode(M.decode(text)) end

-- ---- V1 -------------------------------------------------------------------------

-- METHOD & path & query, the query encoded once more; or nil.
local function v1(text)
  local method, path, start = text:match "^(%a*)&([^&]*)&()"
  if not method then return nil end
  local rest = text:sub(start)
  local out = { scheme = "v1", text = text, method = method, path = path, rest = rest, start = start }
  if rest:find "[&=]" then
    out.joined = "bare"
    -- encodeURI leaves & and = but encodes %: values are encoded twice all the same
    local again = rest:find("%25", 1, true) ~= nil and not rest:gsub("%%25", ""):find("%", 1, true)
    out.list = pieces_of(text, start, "&", "=", again and M.decode or same)
    out.separators = again
  elseif rest:find "%%3[Dd]" then
    out.list = pieces_of(text, start, "%%26", "%%3[Dd]", M.decode)
  elseif rest:find "%%253[Dd]" then
    out.joined = "often"
    out.list = pieces_of(text, start, "%%2526", "%%253[Dd]", twice)
  end
  return out.list and out
end

-- ---- V3 -------------------------------------------------------------------------

-- The lines of a canonical request; or nil. A header that spans lines cannot be told from two.
local function v3(text)
  local lines, at = {}, 1
  if select(2, text:gsub("\n", "")) > MAX_LINES then return nil end
  for line, after in (text .. "\n"):gmatch "([^\n]*)\n()" do
    lines[#lines + 1] = { text = line, from = at, to = after - 2 }
    at = after
  end
  while #lines > 0 and lines[#lines].text == "" do lines[#lines] = nil end
  local n = #lines
  if n < 5 or not lines[1].text:find "^%a+\r?$" or not lines[2].text:find "^/" or not lines[n].text:find "^%x+\r?$" then return nil end
  local out = { scheme = "v3", text = text, method = lines[1].text, path = lines[2].text, headers = {}, signed = lines[n - 1].text,
    hash = lines[n].text, empty_line = lines[n - 2].text:find "^\r?$" ~= nil }
  out.list = pieces_of(text:sub(1, lines[3].to), lines[3].from, "&", "=", same)
  if not out.list then return nil end
  for i = 4, out.empty_line and n - 3 or n - 2 do
    local line = lines[i]
    local name, value = line.text:match "^([^:]*):?(.*)$"
    out.headers[#out.headers + 1] = { name = name, raw_name = name, value = value, raw = value, from = line.from, to = line.to }
  end
  return out
end

--- Take a string apart.
-- @tparam string text
-- @treturn table|nil `{ scheme = "v1", text=, method=, path=, list = parameters, joined = nil|"bare"|"often" (how the query was not encoded
--   just once more), separators = only & and = were left }`, `{ scheme = "v3", text=, method=, path=, list = parameters of the query, headers = list,
--   signed=, hash=, empty_line = there is one before the signed headers }`, or `{ scheme = "v3", text=, digest = hex of the
--   canonical request, algorithm= }` of V3's string to sign; nil when it is none of these
function M.split(text)
  local algorithm, digest = text:match "^(ACS%d%-[%w-]+)%s+(%x+)%s*$"
  if digest then return { scheme = "v3", text = text, algorithm = algorithm, digest = digest } end
  return v1(text) or v3(text)
end

-- ---- what it should be -----------------------------------------------------------

local function by_name(a, b)
  if a.name ~= b.name then return a.name < b.name end
  return a.value < b.value
end

local function query_of(list)
  local sorted, out = {}, {}
  for _, part in ipairs(list) do
    if part.name ~= "Signature" then sorted[#sorted + 1] = part end
  end
  table.sort(sorted, by_name)
  for i, part in ipairs(sorted) do out[i] = core.percent(part.name) .. "=" .. core.percent(part.value) end
  return table.concat(out, "&")
end

--- A text without the white space around it. `(.-)%s*$` would take quadratic time on a long run of blanks.
-- @tparam string text
-- @treturn string
function M.trim(text) return text:match "^%s*(.*%S)" or "" end

local trim = M.trim

--- The same request, written by the rules: what the service would sign if exactly this arrived.
-- @tparam table parts of `split`, not of a digest
-- @treturn string
function M.proper(parts)
  if parts.scheme == "v1" then
    return ("%s&%%2F&%s"):format(parts.method:upper(), core.percent(query_of(parts.list)))
  end
  local headers, names, out = {}, {}, { trim(parts.method):upper(), trim(parts.path), query_of(parts.list) }
  for i, header in ipairs(parts.headers) do headers[i] = { name = trim(header.name):lower(), value = trim(header.value) } end
  table.sort(headers, by_name)
  for i, header in ipairs(headers) do
    out[#out + 1] = header.name .. ":" .. header.value
    names[i] = header.name
  end
  out[#out + 1], out[#out + 2], out[#out + 3] = "", table.concat(names, ";"), trim(parts.hash):lower()
  return table.concat(out, "\n")
end

--- V3's string to sign of a canonical request.
-- @tparam string canonical_request
-- @treturn string
function M.digest(canonical_request) return V3 .. "\n" .. core.sha256(canonical_request) end

-- ---- requests of ours -------------------------------------------------------------

local function header_of(headers, wanted)
  for name, value in pairs(headers) do
    if name:lower() == wanted then return value end
  end
end

--- What a request signed, of those that `directmail.sign` makes.
-- @tparam table request of `sign.request`
-- @treturn table `{ algorithm=, canonical_query=, string_to_sign=, signature=, canonical_request=, hashed_payload=, authorization= }`,
--   the last three of V3 only
function M.of_request(request)
  local path, query = request.url:match "^([^?]*)%??(.*)$"
  local authorization = header_of(request.headers, "authorization")
  if not authorization then
    local canonical, signature = (request.body or query):match "^(.-)&Signature=([^&]*)$"
    return { algorithm = "HMAC-SHA1", canonical_query = canonical, signature = M.decode(signature),
      string_to_sign = ("%s&%%2F&%s"):format(request.method, core.percent(canonical)) }
  end
  local algorithm, names, signature = authorization:match "^(%S+) .*SignedHeaders=([^,]*),Signature=(%x+)"
  local hash = core.sha256(request.body or "")
  local out = { request.method, path, query }
  for name in names:gmatch "[^;]+" do out[#out + 1] = name .. ":" .. header_of(request.headers, name) end
  out[#out + 1], out[#out + 2], out[#out + 3] = "", names, hash
  local canonical = table.concat(out, "\n")
  return { algorithm = algorithm, canonical_query = query, canonical_request = canonical, hashed_payload = hash,
    string_to_sign = M.digest(canonical), signature = signature, authorization = authorization }
end

return M
