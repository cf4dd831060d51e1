--- Is an IP address one of the public net? What stands in special_addresses.tsv is not, nor any IPv6 outside of 2000::/3.
-- @module directmail.lint.public
local prefixes = require "directmail.data.special_addresses"

local M = {}

local function v4(text)
  local parts = { text:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$" }
  if #parts ~= 4 then return nil end
  for i = 1, 4 do
    -- a leading zero is octal to some readers
    if #parts[i] > 3 or tonumber(parts[i]) > 255 or parts[i]:find "^0%d" then return nil end
    parts[i] = tonumber(parts[i])
  end
  return parts
end

-- Eight groups of 16 bits (RFC 4291, 2.2).
local function v6(text)
  if #text > 45 or not text:find(":", 1, true) or text:find "[^%x:.]" or text:find ":::" then return nil end
  local head, tail = text:match "^(.-):(%d+%.%d+%.%d+%.%d+)$"
  if head then
    local four = v4(tail)
    if not four then return nil end
    if head:sub(-1) == ":" or head == "" then head = head .. ":" end
    text = ("%s:%x:%x"):format(head:gsub("::$", ":"), four[1] * 256 + four[2], four[3] * 256 + four[4])
  end
  local function groups(part)
    local list = {}
    for group in part:gmatch "[^:]+" do
      if #group > 4 or group:find "%X" then return nil end
      list[#list + 1] = tonumber(group, 16)
    end
    return list
  end
  local before, after = text:match "^(.-)::(.*)$"
  if not before then
    local list = groups(text)
    return list and #list == 8 and list or nil
  end
  local list, rest = groups(before), groups(after)
  if not list or not rest or #list + #rest > 7 or after:find("::", 1, true) then return nil end
  for _ = 1, 8 - #list - #rest do list[#list + 1] = 0 end
  for _, group in ipairs(rest) do list[#list + 1] = group end
  return list
end

local function under(groups, size, prefix)
  local bits = prefix.bits
  for i, group in ipairs(groups) do
    if bits <= 0 then return true end
    local count = math.min(bits, size)
    local unit = 2 ^ (size - count)
    if math.floor(group / unit) ~= math.floor((prefix.groups[i] or 0) / unit) then return false end
    bits = bits - size
  end
  return true
end

--- What an address is, when it is not public.
-- @tparam string address IPv4 in four numbers, or IPv6 without brackets
-- @treturn ?string words; nil when the address is public
function M.why_not(address)
  local groups, size, version = v4(address), 8, 4
  if not groups then groups, size, version = v6(address), 16, 6 end
  if not groups then return "no address" end
  if version == 6 and math.floor(groups[1] / 8192) ~= 1 then return "no public address" end
  for _, prefix in ipairs(prefixes) do
    if prefix.version == version and under(groups, size, prefix) then return prefix.what end
  end
end

return M
