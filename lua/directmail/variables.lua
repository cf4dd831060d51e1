--- Variables of the service in single braces, {UserName}: found in a text or in HTML, and filled in for a sample.
-- @module directmail.variables
local limits = require "directmail.data.limits"
local placeholders = require "directmail.placeholders"

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

--- The variables of a text.
-- @tparam string text
-- @tparam[opt] table found of an earlier call, added to
-- @treturn table name -> "text"; `double` = a name that stands in two pairs of braces
function M.in_text(text, found)
  found = found or {}
  scan(text, found, "text")
  return found
end

--- The variables of HTML: of its texts and of href, since a link with a variable in it must work; what stands in other attributes is
-- "attribute", they hold code too; comments, style and script are passed over.
-- @tparam string html
-- @tparam[opt] table found as of `in_text`
-- @treturn table name -> "text" or "attribute"
function M.in_html(html, found)
  found = found or {}
  if not html:find("{", 1, true) then return found end
  local texts = placeholders.texts(html)
  if not texts then return M.in_text(html, found) end
  for _, piece in ipairs(texts) do
    scan(piece.text, found, (piece.kind == "text" or piece.name == "href") and "text" or "attribute")
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
