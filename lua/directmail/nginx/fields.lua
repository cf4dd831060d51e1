--- The fields of a form: what the operator allows, and what a stranger sent.
--
--     fields.declare {
--       name    = { required = true, max = 80 },
--       email   = { type = "email", required = true, reply_to = true },
--       topic   = { values = { "sales", "support" } },
--       message = { type = "lines", required = true, max = 4000 },
--     }
--
-- A value is taken only if it is declared, clean UTF-8 of one line (`lines`: several), and within its limits. What is refused is told by the
-- field's name, never by repeating what came.
-- @module directmail.nginx.fields
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local M = {}

local NAMES = { "type", "required", "min", "max", "pattern", "values", "reply_to", "links", "message", "types", "whole", "label" }
local TYPES = { "text", "lines", "email", "number", "flag", "file" }

--- What people are told, by what is wrong; `words` of a handler replaces single ones (another language).
M.WORDS = {
  required = "is missing", single = "was given more than once", text = "must be text", control = "holds a line break or another control character",
  utf8 = "is not UTF-8", short = "is too short (at least %s)", long = "is too long (at most %s)", pattern = "is not of the form that is expected",
  values = "is none of the allowed values", email = "is no mail address", number = "is no number", small = "is too small (at least %s)",
  large = "is too large (at most %s)", whole = "is no whole number", flag = "is neither yes nor no",
  links = "must not hold links, nor a dot without a space behind it",
  file = "must be a file", file_long = "is larger than %s octets", file_type = "is no file of an allowed type (%s)", unknown = "is not expected here",
  mx = "cannot get mail: its domain takes none", suggest = "did you mean %s?",
}

-- ---- declarations -----------------------------------------------------------------------

local function whole_limit(value) return type(value) == "number" and value >= 0 and value == math.floor(value) and value <= 2 ^ 31 end

local function list_of_texts(value)
  if type(value) ~= "table" or #value == 0 then return false end
  for _, one in ipairs(value) do
    if type(one) ~= "string" then return false end
  end
  return true
end

-- What is wrong with one declaration; nil: nothing.
local function fault(name, rule)
  if type(name) ~= "string" or not name:find "^[%a_][%w_-]*$" or #name > 64 then
    return ("fields: %q is no name (letters, digits, _ and -)"):format(tostring(name))
  end
  local at = "fields." .. name
  if type(rule) ~= "table" then return at .. ": a table is needed" end
  local wrong = option.unknown(rule, NAMES, at)
  if wrong then return wrong end
  local kind = rule.type or "text"
  local known = false
  for _, one in ipairs(TYPES) do known = known or one == kind end
  if not known then return ("%s.type: %q is none of %s"):format(at, tostring(kind), table.concat(TYPES, ", ")) end
  for _, bound in ipairs { "min", "max" } do
    local value = rule[bound]
    if value ~= nil and not (kind == "number" and type(value) == "number" or whole_limit(value)) then
      return ("%s.%s: a whole number is needed"):format(at, bound)
    end
  end
  -- pcall: a pattern that Lua cannot read raises when it is used
  if rule.pattern ~= nil and (type(rule.pattern) ~= "string" or not pcall(string.find, "", rule.pattern)) then
    return at .. ".pattern: a pattern of Lua is needed"
  end
  for _, text in ipairs { "label", "message" } do
    if rule[text] ~= nil and type(rule[text]) ~= "string" then return ("%s.%s: a text is needed"):format(at, text) end
  end
  if rule.values ~= nil and not list_of_texts(rule.values) then return at .. ".values: a list of strings is needed" end
  if kind == "file" and not list_of_texts(rule.types) then return at .. '.types: a list of endings such as { "pdf", "png" } is needed' end
  if kind ~= "file" and rule.types ~= nil then return at .. ".types goes with files only" end
  if rule.reply_to and kind ~= "email" then return at .. '.reply_to needs type = "email"' end
end

--- Check declarations.
-- @tparam table declared name -> rule: `type` = text (one line; the default), lines, email, number, flag (a checkbox), file; `required`; `min`, `max` =
--   characters (text: 4000 at most when not given), the number itself, or octets of a file; `pattern` = of Lua, for the whole text; `values` = list;
--   `whole` = a whole number; `reply_to` = answers go there; `links` = false: refuse what looks like a link; `types` = endings of files;
--   `label` = its name for people; `message` = what they are told in place of all our words
-- @tparam number level where misuse is raised
-- @treturn table the same, to be used with `check`
function M.declare(declared, level)
  if type(declared) ~= "table" or next(declared) == nil then error("fields: a table of name = { … } is needed", level + 1) end
  local n, replies = 0, 0
  for name, rule in pairs(declared) do
    local wrong = fault(name, rule)
    if wrong then error(wrong, level + 1) end
    n = n + 1
    if rule.reply_to then replies = replies + 1 end
  end
  if n > limits.form_fields then error(("fields: more than %d"):format(limits.form_fields), level + 1) end
  if replies > 1 then error("fields: reply_to stands at more than one", level + 1) end
  return declared
end

-- ---- values -----------------------------------------------------------------------------

-- Characters of valid UTF-8.
local function length(text) return #text - select(2, text:gsub("[\128-\191]", "")) end

-- What mail programs make a link of by themselves: a scheme, and each name with a dot inside. `J.R.R.Tolkien` is none, `x.com` is.
local LINK = { "://", "www%.", "%f[%a]mailto:", "%w[%w-]+%.%a%a+", "%f[%w]%w%.%a%a%a?%f[%A]", "%w%.%a%a+/", "%d%.%d+%.%d+%.%d" }

local function has_link(text)
  local low = text:lower()
  for _, pattern in ipairs(LINK) do
    if low:find(pattern) then return true end
  end
  return false
end

local function check_text(rule, value, several, no_links)
  if several then value = value:gsub("\r\n?", "\n") end
  if not core.utf8(value) then return nil, "utf8" end
  if value:find(several and "[%z\1-\8\11-\31\127]" or "[%z\1-\31\127]") then return nil, "control" end
  -- U+2028, U+2029 and U+0085 are line ends to some readers (email-rules of Unicode, UAX #14), and no one types them
  if not several and (value:find "\226\128[\168\169]" or value:find "\194\133") then return nil, "control" end
  local n, max = length(value), rule.max or limits.form_text
  if rule.min and n < rule.min then return nil, "short", rule.min end
  if n > max then return nil, "long", max end
  local refused = rule.links == false or rule.links == nil and no_links
  if refused and has_link(value) then return nil, "links" end
  if rule.pattern and not value:find("^" .. rule.pattern .. "$") then return nil, "pattern" end
  return value
end

local function check_email(_, value)
  if value:find "[%c\127]" then return nil, "control" end
  local found = #value <= limits.address_octets and core.addresses(value)
  local box = found and #found == 1 and found[1]
  -- a name or a comment beside it, an address literal or a domain without a dot is nobody's answer to "your address"
  if not box or box.name ~= "" or box.quoted or box.literal or box.single or value:find '[<>()%s;,"]' then return nil, "email" end
  return box.address:sub(1, box.local_length) .. box.address:sub(box.local_length + 1):lower()
end

local function check_number(rule, value)
  local number = #value <= 32 and value:find "^[+-]?%d+%.?%d*$" and tonumber(value)
  if not number then return nil, "number" end
  if rule.whole and number ~= math.floor(number) then return nil, "whole" end
  if rule.min and number < rule.min then return nil, "small", rule.min end
  if rule.max and number > rule.max then return nil, "large", rule.max end
  return number
end

local FLAGS = { on = true, ["true"] = true, ["1"] = true, yes = true, off = false, ["false"] = false, ["0"] = false, no = false }

local function check_flag(_, value)
  local flag = FLAGS[value:lower()]
  if flag == nil then return nil, "flag" end
  return flag
end

local CHECKS = {
  text = function(rule, value, no_links) return check_text(rule, value, false, no_links) end,
  lines = function(rule, value, no_links) return check_text(rule, value, true, no_links) end,
  email = check_email, number = check_number, flag = check_flag,
}

-- A file's name without what could lead astray: no path, no control characters, one dot at its end.
local function base_name(name)
  local base = name:match "[^/\\]*$":gsub("[%c\"<>|:*?]", "_"):gsub("^[%s.]+", ""):gsub("[%s.]+$", "")
  return base ~= "" and core.utf8(base) and length(base) <= 120 and base or nil
end

local function check_file(rule, part)
  if type(part) ~= "table" or not part.data or not part.filename then return nil, "file" end
  local max = rule.max or limits.form_file_octets
  if #part.data > max then return nil, "file_long", max end
  local name = base_name(part.filename)
  local ending = name and name:match "^.+%.(%w+)$"
  for _, allowed in ipairs(ending and rule.types or {}) do
    if ending:lower() == allowed:lower() then return { name = name, data = part.data } end
  end
  return nil, "file_type", table.concat(rule.types, ", ")
end

local function check_value(rule, value, no_links)
  local kind = rule.type or "text"
  if kind == "file" then return check_file(rule, value) end
  if type(value) ~= "string" then return nil, "text" end
  local checked, why, detail = CHECKS[kind](rule, value, no_links)
  if checked == nil then return nil, why, detail end
  if rule.values then
    for _, one in ipairs(rule.values) do
      if tostring(checked) == one then return checked end
    end
    return nil, "values"
  end
  return checked
end

local function is_empty(value) return value == nil or value == "" or type(value) == "table" and value.data == "" and (value.filename or "") == "" end

-- The declared names in one order: what people are told must not change from request to request.
local function sorted_names(declared)
  local names = {}
  for name in pairs(declared) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Words for one fault.
-- @tparam table words the handler's own, or {}
-- @tparam string why a key of `WORDS`
-- @param[opt] detail
-- @treturn string
function M.say(words, why, detail)
  local text = words[why] or M.WORDS[why]
  return detail ~= nil and text:format(tostring(detail)) or text
end

--- Check what came.
-- @tparam table declared of `declare`
-- @tparam table sent list of `{ name, value }`; a value is a string, a table `{ data=, filename= }` for a file, or (JSON) a number or boolean
-- @tparam table options `words`; `no_links` = `links` is false where nothing is declared;
--   `strict` = names that are not declared are faults (JSON), else they are passed over (submit buttons); `ignore` = set of names
-- @treturn table values by name; what was not sent, or empty, is absent
-- @treturn table faults: list of `{ field=, why=, message= }`, empty when all is well
function M.check(declared, sent, options)
  local words, seen, values, faults = options.words or {}, {}, {}, {}
  local function refuse(name, why, detail)
    local rule = declared[name]
    faults[#faults + 1] = { field = name, label = rule.label, why = why, message = rule.message or M.say(words, why, detail) }
  end
  local unknown = {}
  for _, pair in ipairs(sent) do
    local name = pair[1]
    if declared[name] then
      seen[name] = seen[name] or {}
      seen[name][#seen[name] + 1] = pair[2]
    elseif options.strict and not (options.ignore and options.ignore[name]) then
      unknown[#unknown + 1] = name
    end
  end
  for _, name in ipairs(sorted_names(declared)) do
    local rule, given = declared[name], seen[name] or {}
    local value = given[1]
    if type(value) == "boolean" then value = tostring(value) end
    if type(value) == "number" then value = value == math.floor(value) and ("%.0f"):format(value) or tostring(value) end
    if #given > 1 then
      refuse(name, "single")
    elseif is_empty(value) then
      if rule.required then refuse(name, "required") end
    else
      local checked, why, detail = check_value(rule, value, options.no_links)
      if checked == nil then refuse(name, why, detail) else values[name] = checked end
      if checked == false and rule.required then refuse(name, "required") end
    end
  end
  table.sort(unknown)
  for _, name in ipairs(unknown) do
    -- only a name that could be one is shown again
    local near = option.nearest(name, sorted_names(declared))
    local shown = name:find "^[%w_-]+$" and #name <= 64 and name or "?"
    faults[#faults + 1] = { field = shown, why = "unknown", message = M.say(words, "unknown") .. (near and ("; " .. M.say(words, "suggest", near)) or "") }
  end
  return values, faults
end

return M
