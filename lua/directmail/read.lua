--- Read a message: headers, texts and attachments of an accepted mail.
-- Made for looking at mail in tests, in the sandbox's inbox and in lint: what cannot be
-- decoded stays as it came, and every loop has a bound, since a mail may be hostile.
-- @module directmail.read
local core = require "directmail.core"

local M = {}

local MAX_HEADERS = 1000            -- fields of one header section
local MAX_HEADER_BYTES = 262144     -- octets of one header section
local MAX_PARTS = 500               -- leaves of one message; the service allows 100 attachments
local MAX_DEPTH = 10                -- multiparts within each other: each level copies its part
local MAX_SECTIONS = 100            -- continuations of one parameter (RFC 2231, 3)

local function trim(text)
  local from = text:find("[^ \t]")
  if not from then return "" end
  local to = #text
  while text:byte(to) == 32 or text:byte(to) == 9 do to = to - 1 end
  return text:sub(from, to)
end

-- ISO 8859-1 octets are the first 256 characters of Unicode.
local function latin1(text)
  return (text:gsub("[\128-\255]", function(c)
    local n = c:byte()
    return n < 192 and "\194" .. c or "\195" .. string.char(n - 64)
  end))
end

local function to_utf8(text, charset)
  charset = (charset or ""):lower()
  if charset == "iso-8859-1" or charset == "latin1" then return latin1(text) end
  return text
end

-- A charset that `to_utf8` does not know, when its name is one at all (RFC 2978, 2.3).
local function foreign(charset)
  charset = (charset or ""):lower()
  if #charset > 40 or not charset:find("^[%w.:_-]+$") then return nil end
  if charset == "utf-8" or charset == "utf8" or charset == "us-ascii" or charset == "iso-8859-1" or charset == "latin1" then return nil end
  return charset
end

--- Take a header section off the front of a message or part.
-- @tparam string bytes
-- @treturn table list of `{name, value}`, values unfolded and not yet decoded
-- @treturn string what stands behind the empty line
function M.headers(bytes)
  local headers, at, last = {}, 1, nil
  if bytes:sub(1, 2) == "\r\n" then return headers, bytes:sub(3) end
  local stop = math.min(#bytes, MAX_HEADER_BYTES)
  while at <= stop do
    local eol = bytes:find("\r\n", at, true) or #bytes + 1
    local line = bytes:sub(at, eol - 1)
    at = eol + 2
    if line == "" then break end
    local name, value = line:match("^([^%s:]+)[ \t]*:(.*)$")
    if last and line:find("^[ \t]") then
      last[#last + 1] = line
    elseif name and #headers < MAX_HEADERS then
      last = { value }
      headers[#headers + 1] = { name, last }
    else
      last = nil                    -- no field: left out
    end
  end
  for _, header in ipairs(headers) do header[2] = trim(table.concat(header[2])) end
  return headers, bytes:sub(at)
end

--- The first field of a name, without regard to letter case.
-- @tparam table headers what `headers` returned
-- @tparam string name
-- @treturn ?string
function M.field(headers, name)
  name = name:lower()
  for _, header in ipairs(headers) do
    if header[1]:lower() == name then return header[2] end
  end
end

local function unpercent(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- One parameter from its sections: `name`, `name*`, `name*0`, `name*0*` ... (RFC 2231, 3 and 4).
local function join(sections)
  if sections.plain and not sections[0] then return core.word_decode(sections.plain) or sections.plain end
  local parts, charset, i = {}, nil, 0
  while sections[i] and i < MAX_SECTIONS do
    local text = sections[i].text
    if sections[i].encoded then
      if i == 0 then
        local set, rest = text:match("^([^']*)'[^']*'(.*)$")
        if set then charset, text = set, rest end
      end
      text = unpercent(text)
    end
    parts[#parts + 1] = text
    i = i + 1
  end
  return to_utf8(table.concat(parts), charset)
end

--- Split a field as Content-Type: the value, then its parameters.
-- @tparam ?string text
-- @treturn string value in lower case, "" when there is none
-- @treturn table parameters by name in lower case, decoded to UTF-8
function M.parameters(text)
  text = text or ""
  local value, at = text:match("^%s*([^;%s]*)[^;]*()")
  local found = {}
  while true do
    local name, after = text:match("^;%s*([^=;%s]+)%s*=%s*()", at)
    if not name then
      at = text:find(";", at + 1, true)         -- no parameter here: on to the next
      if not at then break end
    else
      local content
      if text:sub(after, after) == '"' then
        local out, i = {}, after + 1
        while i <= #text do
          local c = text:sub(i, i)
          if c == '"' then break end
          if c == "\\" then i = i + 1; c = text:sub(i, i) end
          out[#out + 1] = c
          i = i + 1
        end
        content, at = table.concat(out), i + 1
      else
        content, at = text:match("^([^;%s]*)()", after)
      end
      at = text:find(";", at, true)
      local base, section, star = name:lower():match("^([^*]+)%*?(%d*)(%*?)$")
      if base then
        local sections = found[base] or {}
        found[base] = sections
        if name:find("*", 1, true) then
          local n = section == "" and 0 or tonumber(section)
          local encoded = star == "*" or section == ""
          if not sections[n] then sections[n] = { text = content, encoded = encoded } end
        elseif not sections.plain then
          sections.plain = content
        end
      end
      if not at then break end
    end
  end
  local params = {}
  for name, sections in pairs(found) do params[name] = join(sections) end
  return value:lower(), params
end

--- Undo quoted-printable (RFC 2045, 6.7), line by line, so that it takes linear time.
-- @tparam string text
-- @treturn string
function M.unquote(text)
  local out, at = {}, 1
  while at <= #text do
    local eol = text:find("\r\n", at, true)
    local line = text:sub(at, (eol or #text + 1) - 1)
    local to = #line
    while to > 0 and (line:byte(to) == 32 or line:byte(to) == 9) do to = to - 1 end     -- added on the way
    local soft = line:byte(to) == 61                                                    -- "="
    line = line:sub(1, soft and to - 1 or to)
    out[#out + 1] = line:gsub("=(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    if eol and not soft then out[#out + 1] = "\r\n" end
    at = eol and eol + 2 or #text + 1
  end
  return table.concat(out)
end

local function decode(body, encoding)
  if encoding == "base64" then return core.base64_decode(body) or body end
  if encoding == "quoted-printable" then return M.unquote(body) end
  return body
end

local function lines_in(text)
  local n, at = 0, 0
  while true do
    at = text:find("\n", at + 1, true)
    if not at then return n end
    n = n + 1
  end
end

-- The bodies between the delimiter lines of a multipart (RFC 2046, 5.1.1), and how many lines stand before each.
local function split(body, boundary)
  local parts, before, delimiter = {}, {}, "--" .. boundary
  body = "\r\n" .. body
  local from, at = nil, 1
  local counted, count = 3, 0
  local function add(to)
    count, counted = count + lines_in(body:sub(counted, from - 1)), from
    parts[#parts + 1], before[#before + 1] = body:sub(from, to), count
  end
  while #parts <= MAX_PARTS do
    local found = body:find("\r\n" .. delimiter, at, true)
    if not found then break end
    local after = found + 2 + #delimiter
    local tail, next_line = body:match("^(%-?%-?)[ \t]*()", after)
    if tail == "--" or body:sub(next_line, next_line + 1) == "\r\n" then
      if from then add(found - 1) end
      if tail == "--" then return parts, before end
      from, at = next_line + 2, next_line       -- the line end may begin the next delimiter
    else
      at = after                                -- a longer line that only begins alike
    end
  end
  if from then add(#body) end           -- the closing delimiter is missing
  return parts, before
end

local walk

local function leaf(mail, headers, body, line, type, params)
  if #mail.leaves >= MAX_PARTS then return end
  local disposition, names = M.parameters(M.field(headers, "Content-Disposition"))
  local name = names.filename or params.name
  local encoding = trim(M.field(headers, "Content-Transfer-Encoding") or ""):lower()
  local data = decode(body, encoding)
  local as_leaf = { type = type, encoding = encoding, line = line, bytes = body }
  mail.leaves[#mail.leaves + 1] = as_leaf
  local cid = M.field(headers, "Content-ID")
  if disposition ~= "attachment" and not name then
    if type == "text/plain" and not mail.text then
      mail.text, mail.text_charset = to_utf8(data, params.charset), foreign(params.charset)
      as_leaf.field = "text"
      return
    elseif type == "text/html" and not mail.html then
      mail.html, mail.html_charset = to_utf8(data, params.charset), foreign(params.charset)
      as_leaf.field = "html"
      return
    end
  end
  mail.attachments[#mail.attachments + 1] = {
    name = name, type = type, data = data, cid = cid and (cid:match("^<(.*)>$") or cid), inline = disposition == "inline" or nil,
  }
end

-- 'line' is the number of the body's first line.
function walk(mail, headers, body, line, depth)
  local type, params = M.parameters(M.field(headers, "Content-Type"))
  if type == "" then type = "text/plain" end                -- RFC 2045, 5.2
  if type:find("^multipart/") and params.boundary and params.boundary ~= "" and depth < MAX_DEPTH then
    local parts, before = split(body, params.boundary)
    for i, part in ipairs(parts) do
      local inner, rest = M.headers(part)
      walk(mail, inner, rest, line + before[i] + lines_in(part:sub(1, #part - #rest)), depth + 1)
    end
  else
    leaf(mail, headers, body, line, type, params)
  end
end

--- A header's text, encoded words decoded (RFC 2047).
-- @tparam table headers
-- @tparam string name
-- @treturn ?string
function M.text(headers, name)
  local value = M.field(headers, name)
  return value and (core.word_decode(value) or value)
end

--- Read a whole message.
-- @tparam string bytes as received, CRLF line ends
-- @treturn table `{headers = {{name, value}...}, subject, text, html, text_charset, html_charset, attachments = {{name, type, data,
-- cid, inline}...}}`; texts are UTF-8 when their charset is UTF-8, ASCII or ISO 8859-1, else as they came, with its name
-- @treturn table its leaves in their order: `{type, encoding, line = number of its first line, bytes = still encoded, field = "text" or "html"
-- when it is that}`
function M.mail(bytes)
  local headers, body = M.headers(bytes)
  local mail = { headers = headers, subject = M.text(headers, "Subject"), attachments = {}, leaves = {} }
  walk(mail, headers, body, 1 + lines_in(bytes:sub(1, #bytes - #body)), 0)
  local leaves = mail.leaves
  mail.leaves = nil
  return mail, leaves
end

return M
