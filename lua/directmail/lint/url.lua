--- A link of a mail taken apart as browsers take it, and what its host is known as.
-- @module directmail.lint.url
local hosts = require "directmail.data.lint_hosts"

local M = {}

local LONGEST = 4096            -- octets of a link that are looked at
local PORT = { http = 80, https = 443 }

local sets = {}                 -- kind of lint_hosts -> host -> true

local function set_of(kind)
  if not sets[kind] then
    local set = {}
    for _, host in ipairs(hosts[kind]) do set[host] = true end
    sets[kind] = set
  end
  return sets[kind]
end

--- The host of a list that a host is, or is under; nil when it is none.
-- @tparam string host in lower case
-- @tparam string kind of lint_hosts.tsv: shortener, brand, sharing, freemail or suffix
-- @treturn ?string
function M.known(host, kind)
  local set = set_of(kind)
  while host do
    if set[host] then return host end
    host = host:match "^[^.]*%.(.+)$"
  end
end

--- The part of a host that somebody registered: of www.example.co.uk example.co.uk. It knows the suffixes of lint_hosts.tsv.
-- @tparam string host in lower case
-- @treturn string
function M.organisation(host)
  local two = host:match "([^.]+%.[^.]+)$"
  if not two then return host end
  if not set_of "suffix"[two] then return two end
  return host:match "([^.]+%.[^.]+%.[^.]+)$" or two
end

local function unpercent(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- Is a host an address and no name? Browsers take numbers in every form: 2130706433, 0x7f.1 and 127.1 are 127.0.0.1.
-- @tparam string host
-- @treturn boolean
function M.is_address(host)
  if host:find(":", 1, true) then return true end
  local last = host:match "([^.]+)%.?$"
  return last ~= nil and (last:find "^%d+$" ~= nil or last:find "^0[xX]%x*$" ~= nil)
end

--- Take a link apart. Tabs and line ends in it count for nothing, "\" is "/", as the WHATWG's URL standard says.
-- @tparam string text
-- @treturn ?table `{ text=, scheme=, userinfo=, host= in lower case without brackets, port=, path=, query= without "?", escaped=true }`;
--   with `scheme` only for schemes other than http and https; nil for what is relative or empty
function M.parse(text)
  text = text:sub(1, LONGEST):gsub("[\t\r\n]", "")
  text = text:match "^[%z\1-\32]*(.*)$"
  local scheme, rest = text:match "^(%a[%w+.-]*):(.*)$"
  if not scheme then
    rest = text:match "^[/\\][/\\](.*)$"
    if not rest then return nil end
    scheme = "https"
  end
  scheme = scheme:lower()
  if not PORT[scheme] then return { text = text, scheme = scheme } end
  local authority, behind = rest:match "^[/\\]*([^/\\?#]*)(.*)$"
  local at = { text = text, scheme = scheme, userinfo = authority:match "^(.*)@" }
  local place = authority:match "([^@]*)$"
  local host, port = place:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = place:match "^([^:]*):?(%d*)$" end
  if not host or host == "" then return nil end
  at.escaped = host:find "%%%x%x" ~= nil or nil
  at.host = unpercent(host):lower():gsub("%.$", "")
  at.port = port ~= "" and tonumber(port) or PORT[scheme]
  at.path, at.query = behind:match "^([^?#]*)%??([^#]*)"
  if at.path == "" then at.path = "/" end
  at.path = at.path:gsub("\\", "/")
  return at
end

--- Does a link say another port than its scheme's?
function M.odd_port(at) return at.port ~= PORT[at.scheme] end

return M
