--- Letters of alphabets that look alike: words and hosts that mix them.
-- @module directmail.lint.script

local M = {}

local LONGEST = 63              -- octets of a label (RFC 1035, 2.3.4)

-- Latin, Greek or Cyrillic (Unicode blocks); nil for everything else.
local function script_of(code)
  if code >= 65 and code <= 90 or code >= 97 and code <= 122 or code >= 0xC0 and code <= 0x24F then return "latin" end
  if code >= 0x370 and code <= 0x3FF then return "greek" end
  if code >= 0x400 and code <= 0x52F then return "cyrillic" end
end

-- The code point of a UTF-8 sequence.
local function code_of(char)
  local a, b, c, d = char:byte(1, 4)
  if not b then return a end
  if not c then return a % 32 * 64 + b % 64 end
  if not d then return a % 16 * 4096 + b % 64 * 64 + c % 64 end
  return a % 8 * 262144 + b % 64 * 4096 + c % 64 * 64 + d % 64
end

local function mixed(codes)
  local seen, letters = {}, 0
  for _, code in ipairs(codes) do
    local script = script_of(code)
    if script then
      seen[script] = true
      letters = letters + 1
    end
  end
  -- units such as kΩ and μg are short
  return letters >= 4 and seen.latin and (seen.greek or seen.cyrillic) or seen.greek and seen.cyrillic or false
end

--- Does a word mix alphabets?
-- @tparam string word UTF-8
-- @treturn boolean
function M.mixed(word)
  local codes = {}
  for char in word:gmatch "[%z\1-\127\194-\244][\128-\191]*" do codes[#codes + 1] = code_of(char) end
  return mixed(codes)
end

-- The code points of an A-label (RFC 3492, 6.2), or nil.
local function punycode(label)
  local codes, rest = {}, label
  local basic, tail = label:match "^(.*)%-([^-]*)$"
  if basic then
    for i = 1, #basic do codes[i] = basic:byte(i) end
    rest = tail
  end
  local n, i, bias, first, at = 128, 0, 72, true, 1
  while at <= #rest do
    local from, weight, k = i, 1, 36
    while true do
      local c = rest:byte(at)
      at = at + 1
      local digit = c and (c >= 48 and c <= 57 and c - 22 or c >= 97 and c <= 122 and c - 97)
      if not digit then return nil end
      i = i + digit * weight
      if i > 2147483647 then return nil end
      local t = k <= bias and 1 or k >= bias + 26 and 26 or k - bias
      if digit < t then break end
      weight = weight * (36 - t)
      k = k + 36
    end
    local size = #codes + 1
    local delta = math.floor((i - from) / (first and 700 or 2))
    first = false
    delta = delta + math.floor(delta / size)
    k = 0
    while delta > 455 do
      delta = math.floor(delta / 35)
      k = k + 36
    end
    bias = k + math.floor(36 * delta / (delta + 38))
    n = n + math.floor(i / size)
    i = i % size
    table.insert(codes, i + 1, n)
    i = i + 1
  end
  return codes
end

--- Does a label of a host mix alphabets?
-- @tparam string host in lower case, U-labels or A-labels
-- @treturn boolean
function M.mixed_host(host)
  for label in host:gmatch "[^.]+" do
    if #label <= LONGEST then
      local encoded = label:match "^xn%-%-(.+)$"
      local codes = encoded and punycode(encoded)
      if codes and mixed(codes) or not encoded and M.mixed(label) then return true end
    end
  end
  return false
end

return M
