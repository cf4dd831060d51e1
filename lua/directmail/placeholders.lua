--- Placeholders that nobody replaced: what a finished mail still holds of `{{name}}`.
-- Looked at is what a reader sees and where links lead: subject, text, the texts of the HTML, href, src and action. Braces in styles,
-- scripts, comments and other attributes are code.
-- @module directmail.placeholders
local err = require "directmail.err"
local limits = require "directmail.data.limits"

local M = {}

local MOST = 100                        -- of one mail: nobody reads more
local SHOWN = 3                         -- in an error

local CODE = { style = true, script = true, template = true }
local LINKS = { href = true, src = true, action = true }
-- Elements in which text goes on: an editor likes to put one around a part of a placeholder.
local INLINE = {}
for name in ([[a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr o:p q s samp small span strike strong sub sup time tt u
  var wbr]]):gmatch "%S+" do INLINE[name] = true end

--- The texts of HTML in document order, and what stands in its tags.
-- @tparam string html
-- @treturn table list of `{ kind = "text"|"link"|"attribute", text =, line =, name =, goes_on = true|nil }`: a reader sees no gap
--   between a text that `goes_on` and the one before it; `name`: the attribute's
-- @treturn string when nil comes first: why the HTML cannot be read
function M.texts(html)
  local events, why = require "directmail.html".events(html)
  if not events then return nil, why end
  local out, inside, goes_on = {}, 0, false
  for _, e in ipairs(events) do
    if e.kind == "open" then
      if CODE[e.name] then inside = inside + 1 end
      goes_on = goes_on and INLINE[e.name]
      for name, value in pairs(inside == 0 and e.attributes or {}) do
        out[#out + 1] = { kind = LINKS[name] and "link" or "attribute", text = value, line = e.line, name = name }
      end
    elseif e.kind == "close" then
      if CODE[e.name] then inside = inside - 1 end
      goes_on = goes_on and INLINE[e.name]
    elseif e.kind == "text" and inside == 0 then
      out[#out + 1] = { kind = "text", text = e.text, line = e.line, goes_on = goes_on or nil }
      goes_on = true
    end
  end
  return out
end

-- The places of {{…}} with something in it, on one line and no longer than anybody writes: found(from, what).
local function scan(text, found)
  local from = 1
  while true do
    local i, j = text:find("{{", from, true)
    if not i then return end
    local triple, inside = text:sub(j + 1, j + limits.placeholder_octets):match "^({?)([^{}\r\n]*)}}"
    from = i + 1
    if inside and inside:find "[^%s#/^&>!=]" then
      local _, last = text:find("}}", j, true)
      if triple ~= "" and text:sub(last + 1, last + 1) == "}" then last = last + 1 end
      if not found(i, text:sub(i, last)) then return end
      from = last + 1
    end
  end
end

local function lines_in(text, first, last)
  local n, at = 0, first
  while true do
    at = text:find("\n", at, true)
    if not at or at > last then return n end
    n, at = n + 1, at + 1
  end
end

-- Add those of a text whose first line has the number `line`.
local function look(list, field, text, line)
  local at = 1
  scan(text, function(from, what)
    line, at = line and line + lines_in(text, at, from - 1), from
    list[#list + 1] = { field = field, line = line, what = what }
    return #list < MOST
  end)
end

-- Texts that go on are one text; a placeholder's line is that of the piece in which it begins.
local function look_at_run(list, run)
  if #run == 1 then return look(list, "html", run[1].text, run[1].line) end
  local texts, starts, size = {}, {}, 0
  for i, piece in ipairs(run) do
    texts[i], starts[i], size = piece.text, size, size + #piece.text
  end
  local i = 1
  scan(table.concat(texts), function(from, what)
    while starts[i + 1] and starts[i + 1] < from do i = i + 1 end
    list[#list + 1] = { field = "html", line = run[i].line + lines_in(run[i].text, 1, from - starts[i] - 1), what = what }
    return #list < MOST
  end)
end

local function look_at_html(list, html)
  local texts = M.texts(html)
  -- what cannot be read is looked at as it stands: better a remedy too many than a mail that says Hi {{name}}
  if not texts then return look(list, "html", html, 1) end
  local run = {}
  for _, piece in ipairs(texts) do
    if piece.kind == "text" then
      if not piece.goes_on then
        look_at_run(list, run)
        run = {}
      end
      run[#run + 1] = piece
    elseif piece.kind == "link" then
      look(list, "html", (piece.text:gsub("%%7[bB]", "{"):gsub("%%7[dD]", "}")), piece.line)
    end
    if #list >= MOST then return end
  end
  look_at_run(list, run)
end

--- What a mail still holds.
-- @tparam table fields of a message: `subject`, `text` and `html` are looked at, none must be there
-- @treturn table list of `{ field = "html", line = 3, what = "{{name}}" }`, at most 100; a subject has no line
function M.find(fields)
  local list = {}
  if fields.subject then look(list, "subject", fields.subject) end
  if fields.text then look(list, "text", fields.text, 1) end
  if fields.html and #list < MOST then look_at_html(list, fields.html) end
  return list
end

--- The refusal of a mail that still holds some.
-- @tparam table fields of a message
-- @treturn ?err CONTENT, or nil when it holds none
function M.refusal(fields)
  local list = M.find(fields)
  if #list == 0 then return nil end
  local words = {}
  for i = 1, math.min(#list, SHOWN) do
    words[i] = err.printable(list[i].what) .. (list[i].line and (" in line %d"):format(list[i].line) or "")
    if i > 1 and list[i].field ~= list[1].field then words[i] = words[i] .. " of " .. list[i].field end
  end
  if #list > SHOWN then words[#words + 1] = ("and %s more"):format(#list < MOST and tostring(#list - SHOWN) or "many") end
  local _, e = err.refuse("CONTENT", list[1].field, ("%s still holds %s"):format(list[1].field, table.concat(words, ", ")),
    "replace every placeholder before sending; allow_placeholders = true to send it as it stands")
  return e
end

return M
