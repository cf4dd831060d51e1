--- The head of a template's file: lines of `name: value` between two lines of `---`.
-- @module directmail.template.head
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

--- What a head may hold.
M.NAMES = { "subject", "preheader" }

local KNOWN = { subject = true, preheader = true }

local function refuse(file, line, cause, remedy) return err.refuse("CONTENT", "template", ("%s:%d: %s"):format(file, line, cause), remedy) end

--- Take the head off a template.
-- @tparam string source
-- @tparam string file its name, for errors
-- @treturn table name -> `{ text =, line = }`, empty when there is no head
-- @treturn string the body
-- @treturn number the line at which it begins; or nil, err
function M.split(source, file)
  local head = {}
  local at = source:match "^%-%-%-[ \t]*\r?\n()"
  if not at then return head, source, 1 end
  local line = 1
  for text, after in source:gmatch("([^\n]*)\n?()") do
    if after > at then
      line = line + 1
      text = text:match "^(.*%S)" or ""
      at = after
      if text == "---" then return head, source:sub(after), line + 1 end
      local name, value = text:match "^([%a_-]+)%s*:%s*(.*)$"
      if name then
        if not KNOWN[name] then
          local near = option.nearest(name, M.NAMES)
          return refuse(file, line, ('the head has no "%s"%s'):format(name, near and (" (did you mean %s?)"):format(near) or ""),
            "it may hold subject and preheader")
        end
        if head[name] then return refuse(file, line, name .. " stands twice in the head", "leave one of the two away") end
        value = value:match '^"([^"]*)"$' or value:match "^'([^']*)'$" or value
        head[name] = { text = value, line = line }
      elseif text ~= "" and not text:find "^#" then
        return refuse(file, line, ('"%s" is no line of a head'):format(#text > 60 and text:sub(1, 60) .. "..." or text),
          "write subject: …, preheader: …, and close the head with a line ---")
      end
    end
    if after > #source then break end
  end
  return refuse(file, 1, "the head is never closed", "close it with a line ---; if it is none, let the file begin with an empty line")
end

return M
