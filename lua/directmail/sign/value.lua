--- Why two values of one parameter differ, of which one was signed and the other arrived.
-- Mistakes are found by making them: whatever turns the value that arrived into the one that was signed is the cause.
-- Every answer is a mistake of `directmail.sign.mistakes` and what its sentence needs.
-- @module directmail.sign.value
local canonical = require "directmail.sign.canonical"
local core = require "directmail.core"

local M = {}

local decode, trim = canonical.decode, canonical.trim

local MAX_NORMAL = 1048576          -- octets of a value whose characters are looked at one by one
local MARKS = "[!'()*]"
local BOM = "\239\187\191"
local REPLACEMENT = "\239\191\189"          -- U+FFFD
local CHARACTER = "[%z\1-\127\192-\255][\128-\191]*"

-- ---- characters ---------------------------------------------------------------

-- The code point of one character; of octets that are none, the first octet.
local function code_of(character)
  local a, b, c, d = character:byte(1, 4)
  if not b or a < 0xC0 then return a end
  if a < 0xE0 then return (a - 0xC0) * 64 + b - 128 end
  if a < 0xF0 then return c and ((a - 0xE0) * 64 + b - 128) * 64 + c - 128 or a end
  return d and (((a - 0xF0) * 64 + b - 128) * 64 + c - 128) * 64 + d - 128 or a
end

local function characters(text)
  local list = {}
  for character in text:gmatch(CHARACTER) do list[#list + 1] = character end
  return list
end

local function utf8_of(code)
  if code < 128 then return string.char(code) end
  if code < 2048 then return string.char(192 + math.floor(code / 64), 128 + code % 64) end
  return string.char(224 + math.floor(code / 4096), 128 + math.floor(code / 64) % 64, 128 + code % 64)
end

-- Windows-1252 where it is not Latin-1 (https://encoding.spec.whatwg.org/index-windows-1252.txt).
local WINDOWS = { [0x80] = 0x20AC, [0x82] = 0x201A, [0x83] = 0x0192, [0x84] = 0x201E, [0x85] = 0x2026, [0x86] = 0x2020, [0x87] = 0x2021,
  [0x88] = 0x02C6, [0x89] = 0x2030, [0x8A] = 0x0160, [0x8B] = 0x2039, [0x8C] = 0x0152, [0x8E] = 0x017D, [0x91] = 0x2018, [0x92] = 0x2019,
  [0x93] = 0x201C, [0x94] = 0x201D, [0x95] = 0x2022, [0x96] = 0x2013, [0x97] = 0x2014, [0x98] = 0x02DC, [0x99] = 0x2122, [0x9A] = 0x0161,
  [0x9B] = 0x203A, [0x9C] = 0x0153, [0x9E] = 0x017E, [0x9F] = 0x0178 }

local function identity(code) return code end
local function windows(code) return WINDOWS[code] or code end

-- The octets of a text read as characters of an 8-bit charset, in UTF-8.
local function misread(text, charset)
  return (text:gsub("[\128-\255]", function(octet) return utf8_of(charset(octet:byte())) end))
end

local function is_double(once, doubled)
  if not once:find "[\128-\255]" or #doubled <= #once then return false end
  return misread(once, identity) == doubled or misread(once, windows) == doubled
end

-- Is every character beyond ASCII one that an octet of UTF-8 becomes when it is read as Latin-1?
local function is_misread(text)
  if not text:find "[\194\195]" or text:gsub("[\194\195][\128-\191]", ""):find "[\128-\255]" then return false end
  local once = text:gsub("([\194\195])([\128-\191])", function(lead, trail)
    return string.char((lead:byte() - 192) * 64 + trail:byte() - 128)
  end)
  return (core.utf8(once))
end

-- Isolated octets over 127 are letters of a western charset; pairs are one of East Asia.
local function eight_bit(octets)
  return ("a" .. octets .. "a"):find "[%z\1-\127][\128-\255][%z\1-\127]" ~= nil
end

local function not_utf8(signed, arrived)
  if signed:find "\237[\160-\175][\128-\191]\237[\176-\191][\128-\191]" then return "cesu-8" end
  if core.utf8(arrived) and (misread(signed, identity) == arrived or misread(signed, windows) == arrived) then return "latin1" end
  return eight_bit(signed) and "latin1" or "gbk"
end

-- Combining marks of the alphabets that have letters with marks built in, and the parts of Hangul syllables.
local function combines(code)
  return code and (code >= 0x300 and code <= 0x36F or code == 0x3099 or code == 0x309A or code >= 0x1161 and code <= 0x11FF) or false
end

-- Do the two differ in normal form only: one has letter and mark where the other has one character?
local function is_decomposed(apart, together)
  if #apart > MAX_NORMAL or not (apart:find "[\204\205]" or apart:find "\227\130[\153\154]" or apart:find "\225[\133-\135]") then return false end
  local a, b, i, j, found = characters(apart), characters(together), 1, 1, false
  while i <= #a or j <= #b do
    if a[i] == b[j] and not (combines(a[i + 1] and code_of(a[i + 1])) and not combines(b[j + 1] and code_of(b[j + 1]))) then
      i, j = i + 1, j + 1
    elseif a[i] and b[j] and a[i + 1] and combines(code_of(a[i + 1])) and code_of(b[j]) >= 0xC0 then
      i, j, found = i + 2, j + 1, true
      while a[i] and combines(code_of(a[i])) and a[i] ~= b[j] do i = i + 1 end
    else
      return false
    end
  end
  return found
end

-- ---- encoding -----------------------------------------------------------------

local function first_difference(a, b)
  local low, high = 0, math.min(#a, #b)         -- octets known to be equal, octets that may be
  while low < high do
    local middle = math.floor((low + high + 1) / 2)
    if a:sub(low + 1, middle) == b:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  return low + 1
end

--- Where two strings begin to differ, counted from 1; one behind the shorter one when it begins the other.
M.first_difference = first_difference

-- What stands at the first difference on both sides: a character, or all of a %XX.
local function units(a, b)
  local at = first_difference(a, b)
  for from = math.max(at - 2, 1), at - 1 do
    if a:find("^%%%x%x", from) or b:find("^%%%x%x", from) then
      at = from
      break
    end
  end
  return a:match("^%%%x%x", at) or a:sub(at, at), b:match("^%%%x%x", at) or b:sub(at, at), at
end

local function quoted(character)
  if character == " " then return "a space" end
  if character:find "[%c\128-\255]" then return ("octet %d"):format(character:byte()) end
  return '"' .. character .. '"'
end

-- A mistake of the encoder: `a` was signed where the rules say `b`.
local function encoder(a, b)
  if a == "+" and b == "%20" then return "space-as-plus" end
  if a == "+" and b == "%2B" then return "plus-left-bare" end
  if #a == 3 and a:upper() == b then return "lower-case-hex" end
  if #a == 1 and core.percent(a) == b and a ~= b then
    if a == "*" then return "star-left-bare" end
    if a:find(MARKS) then return "marks-left-bare", quoted(a) end
    if a == "/" then return "slash-left-bare" end
    return "value-not-encoded", quoted(a)
  end
  if #a == 3 and decode(a) == b then
    if b == "~" then return "tilde-encoded" end
    return "escaped-too-much", quoted(b)
  end
end

-- ---- whole values ---------------------------------------------------------------

local function unhtml(text)
  return (text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&#0?39;", "'"):gsub("&amp;", "&"))
end

local function show(character)
  if not character then return "the end" end
  return ("U+%04X"):format(code_of(character))
end

local function differing(a, b)
  local at = first_difference(a, b)
  while at > 1 and (a:find("^[\128-\191]", at) or b:find("^[\128-\191]", at)) do at = at - 1 end
  return (": %s signed, %s sent, octet %d of it"):format(show(a:match("^" .. CHARACTER, at)), show(b:match("^" .. CHARACTER, at)), at)
end

local PLACEHOLDERS = { ["undefined"] = true, ["null"] = true, ["nil"] = true, ["None"] = true, ["NaN"] = true, ["[object Object]"] = true }

-- Something on the way changed the text.
local function changed(signed, arrived)
  if signed:gsub(BOM, "") == arrived:gsub(BOM, "") then return "byte-order-mark" end
  local function lines(text) return (text:gsub("\r\n", "\n"):gsub("\r", "\n")) end
  if lines(signed) == lines(arrived) then return "line-end-changed" end
  if trim(signed) == trim(arrived) then
    return "trimmed", signed:match "^%s*" ~= arrived:match "^%s*" and "start" or "end"
  end
  if is_decomposed(signed, arrived) then return "normalised", "letter and mark were signed, one composed character was sent" end
  if is_decomposed(arrived, signed) then return "normalised", "one composed character was signed, letter and mark were sent" end
  if unhtml(signed) == arrived or unhtml(arrived) == signed then return "html-escaped" end
  for _, pair in ipairs { { signed, arrived }, { arrived, signed } } do
    if pair[1]:sub(1, #pair[2] + 1) == pair[2] .. "\0" then return "zero-octet" end
  end
  local after = signed:sub(1, #arrived) == arrived and signed:sub(#arrived + 1, #arrived + 1)
  if after and after:find "[&#;]" then return "cut", quoted(after) end
end

local function spelling(a, b)
  return a ~= b and (tonumber(a) ~= nil and tonumber(a) == tonumber(b) or a:lower() == b:lower() and (a:lower() == "true" or a:lower() == "false"))
end

--- Why a plain value differs: a header's, or a parameter's once its encoding is known to be right.
-- @tparam string signed
-- @tparam string arrived
-- @tparam[opt] boolean secret its characters must not be told
-- @treturn string mistake
-- @treturn ?string what its sentence needs
function M.plain(signed, arrived, secret)
  if not core.utf8(signed) then return not_utf8(signed, arrived) end
  if is_double(arrived, signed) then return "double-utf8" end
  if is_double(signed, arrived) then return "sent-double-utf8" end
  if arrived:find(REPLACEMENT, 1, true) and not signed:find(REPLACEMENT, 1, true) then return "sent-not-utf8" end
  local mistake, detail = changed(signed, arrived)
  if mistake then return mistake, detail end
  if not secret and spelling(signed, arrived) then return "spelling", ('"%s" signed, "%s" sent'):format(signed, arrived) end
  for _, value in ipairs { signed, arrived } do
    if PLACEHOLDERS[value] then return "placeholder", '"' .. value .. '"' end
  end
  if signed:lower() == arrived:lower() then return "letter-case" end
  return "value-differs", secret and "" or differing(signed, arrived)
end

--- Why a parameter differs.
-- @tparam table signed part of `directmail.sign.canonical`: `raw`, `enc` and `value`
-- @tparam table arrived likewise
-- @tparam[opt] boolean secret its characters must not be told
-- @treturn string mistake
-- @treturn ?string what its sentence needs
function M.encoded(signed, arrived, secret)
  -- joined alike, so the difference was made by the second encoding
  local level = signed.enc == arrived.enc and "raw" or "enc"
  local a, b = units(signed[level], arrived[level])
  local mistake, detail = encoder(a, b)
  if mistake then return mistake, not secret and detail or "a character" end
  if signed.value == arrived.enc then return "encoded-twice" end
  if arrived.value == signed.enc then return "sent-encoded-twice" end
  if signed.value:gsub("%+", " ") == arrived.value then return "plus-sent-bare" end
  return M.plain(signed.value, arrived.value, secret)
end

-- ---- values with a meaning ------------------------------------------------------

local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

--- The seconds since 1970 of `2026-11-23T12:34:56Z`.
-- @tparam string text
-- @treturn number|nil nil when it is written otherwise
function M.seconds(text)
  local year, month, day, clock = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d:%d%d:%d%d)Z$"
  local name = year and MONTHS[tonumber(month)]
  return name and (core.date_parse(("%s %s %s %s +0000"):format(day, name, year, clock))) or nil
end

--- A difference of two clocks that is a time zone's, in words; nil when it is none.
-- @tparam number seconds
-- @treturn string|nil "8 hours"
function M.zone(seconds)
  local halves = math.floor(math.abs(seconds) / 1800 + 0.5)
  if halves < 2 or halves > 28 or math.abs(math.abs(seconds) - halves * 1800) > 120 then return nil end
  local hours = halves / 2
  return (hours == math.floor(hours) and "%.0f hour%s" or "%.1f hour%s"):format(hours, hours == 1 and "" or "s")
end

--- Why two times differ.
-- @tparam string signed
-- @tparam string arrived
-- @treturn string mistake
-- @treturn string what its sentence needs
function M.time(signed, arrived)
  local a, b = M.seconds(signed), M.seconds(arrived)
  local both = ('"%s" signed, "%s" sent'):format(signed, arrived)
  if not a or not b then return "time-format", both end
  if M.zone(a - b) then return "time-zone", M.zone(a - b) end
  return "time-twice", both
end

-- ---- without the other side -----------------------------------------------------

--- What a value that arrived tells by itself.
-- @tparam string name
-- @tparam string value
-- @treturn ?string mistake
function M.alone(name, value)
  if value:find " " and (name == "SecurityToken" or name == "AccessKeyId" or name == "SignatureNonce") then return "plus-arrived-as-space" end
  if value:find(REPLACEMENT, 1, true) then return "sent-not-utf8" end
  if value:find "%%%x%x" and value == core.percent(decode(value)) then return "arrived-encoded" end
  if is_misread(value) then return "arrived-double-utf8" end
  if value:sub(1, 3) == BOM then return "byte-order-mark" end
  if PLACEHOLDERS[value] then return "placeholder", '"' .. value .. '"' end
end

return M
