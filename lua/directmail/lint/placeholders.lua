--- Placeholders of any style that nobody filled in: in the subject, the text and the targets of links.
-- @module directmail.lint.placeholders
local limits = require "directmail.data.limits"
local styles = require "directmail.data.lint_placeholders"
local variables = require "directmail.variables"

local M = {}

local MOST = 20                 -- of one text: the first ones show what is wrong

-- The service fills its own six in where it sends to a list.
local SERVICE = {}
for _, name in ipairs(variables.DOCUMENTED) do SERVICE["{" .. name .. "}"] = true end

local function allowed(style, found, place, mail)
  if #found > limits.placeholder_octets then return true end
  if style.where == "places" then return mail.template end
  if style.where == "underscore" then return not found:find("_", 1, true) end
  if style.where == "text" then return place == "link" or SERVICE[found] and mail.kind == "bulk" end
  -- %E4%BD%A0: escaped octets
  return style.where == "words" and place == "link" and found:find "^%%+%x%x" ~= nil
end

-- Every placeholder of a text, in its order; what begins inside of another is part of it.
local function find(text, place, mail)
  local all = {}
  for _, style in ipairs(styles) do
    local at = 1
    for _ = 1, MOST do
      local from, to = text:find(style.pattern, at)
      if not from then break end
      if not allowed(style, text:sub(from, to), place, mail) then all[#all + 1] = { from = from, to = to } end
      at = to + 1
    end
  end
  table.sort(all, function(a, b)
    if a.from ~= b.from then return a.from < b.from end
    return a.to > b.to
  end)
  local out, last = {}, 0
  for _, one in ipairs(all) do
    if one.from > last then
      out[#out + 1] = { what = text:sub(one.from, one.to), at = one.from }
      last = one.to
    end
  end
  return out
end

function M.check(mail, report)
  if mail.options.allow_placeholders or mail.fields and mail.fields.allow_placeholders then return end
  for _, one in ipairs(find(mail.subject or "", "subject", mail)) do report("template.left", { line = mail.subject_line, element = "subject" }, one.what) end
  for _, one in ipairs(find(mail.body, "text", mail)) do report("template.left", { line = mail.line_at(one.at) }, one.what) end
  for _, link in ipairs(mail.links) do
    -- an editor may have encoded the braces
    local url = link.url:sub(1, 4096):gsub("%%7[bB]%%7[bB]", "{{"):gsub("%%7[dD]%%7[dD]", "}}")
    for _, one in ipairs(link.element ~= "text" and find(url, "link", mail) or {}) do
      report("template.left", { line = link.line, element = link.element }, one.what)
    end
  end
  if mail.html and mail.text then
    for _, one in ipairs(find(mail.text:sub(1, limits.lint_text_octets), "text", mail)) do report("template.left", { element = "text" }, one.what) end
  end
end

return M
