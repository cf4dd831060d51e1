--- Variables of the service in single braces, {UserName}: found in a text or in HTML, and filled in for a sample.
-- @module directmail.variables
local limits = require "directmail.data.limits"

local M = {}

--- The six that the service itself knows for a stored list (Direct Mail, "Create email templates", "Recipient lists").
M.DOCUMENTED = { "EAddr", "UserName", "NickName", "Gender", "Birthday", "Mobile" }

-- Allowed characters in names are not documented: whatever has no space, quote or punctuation of code in it.
local NAME = "{([^{}%s\"'<>;:,()]+)}"

local function scan(text, found, kind)
  for place, name in text:gmatch("()" .. NAME) do
    if #name <= limits.placeholder_octets and (found[name] == nil or found[name] == "attribute") then found[name] = kind end
    -- Mustache: the service would leave one pair of braces around the value
    if text:sub(place - 1, place - 1) == "{" then found.double = found.double or name end
  end
end

-- A tag's attributes: href counts as text, since a link with a variable in it must work; others hold code too.
local function scan_tag(tag, found)
  local rest = tag
  for _, value in ipairs { '"([^"]*)"', "'([^']*)'", "([^%s\"'>]+)" } do
    local pattern = "%f[%w][hH][rR][eE][fF]%s*=%s*" .. value
    for link in tag:gmatch(pattern) do scan(link, found, "text") end
    rest = rest:gsub(pattern, "")
  end
  scan(rest, found, "attribute")
end

-- The end of the tag that begins at `i`, behind quoted values.
local function tag_end(html, i)
  while true do
    local stop = html:find("[\"'>]", i)
    if not stop then return #html end
    if html:byte(stop) == 62 then return stop end
    i = html:find(html:sub(stop, stop), stop + 1, true)
    if not i then return #html end
    i = i + 1
  end
end

--- The variables of a text.
-- @tparam string text
-- @tparam[opt] table found of an earlier call, added to
-- @treturn table name -> "text"; `double` = a name that stands in two pairs of braces
function M.in_text(text, found)
  found = found or {}
  scan(text, found, "text")
  return found
end

--- The variables of HTML: of its text and of href; what stands in other attributes is "attribute", comments, style and script
-- are passed over.
-- @tparam string html
-- @tparam[opt] table found as of `in_text`
-- @treturn table name -> "text" or "attribute"
function M.in_html(html, found)
  found = found or {}
  local at, low = 1, html:lower()
  while at <= #html do
    local open = html:find("<[%a/!]", at) or #html + 1
    scan(html:sub(at, open - 1), found, "text")
    if open > #html then break end
    local after
    if html:sub(open, open + 3) == "<!--" then
      local _, stop = html:find("-->", open + 4, true)
      after = stop or #html
    else
      after = tag_end(html, open + 1)
      scan_tag(html:sub(open, after), found)
      local code = low:match("^<(style)%f[%W]", open) or low:match("^<(script)%f[%W]", open)
      if code then after = (low:find("</" .. code, after, true) or #html + 1) - 1 end
    end
    at = after + 1
  end
  return found
end

--- Fill in values, for a sample of what the service will make.
-- @tparam ?string text
-- @tparam table values by name
-- @treturn ?string
function M.fill(text, values)
  return text and (text:gsub(NAME, function(name) return values[name] end))
end

return M
