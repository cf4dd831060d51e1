--- Read the source of a Mustache template into a tree.
-- The rules are those of the published specification (https://github.com/mustache/spec, version 1.4), with its optional
-- inheritance and dynamic names. A node is one of
--
--     { kind = "text", text =, bol = true when it begins a line }
--     { kind = "variable", name =, path = {…}, raw = boolean, line = }
--     { kind = "section", name =, path =, inverted =, nodes = {…}, from =, to = (its text in the source), alone =, open =, close =, line = }
--     { kind = "partial", name =, path = of a dynamic name, indent =, line = }
--     { kind = "parent", name =, path =, arguments = { name -> nodes }, indent =, line = }
--     { kind = "block", name =, nodes =, alone =, indent =, line = }
--
-- `alone`: the opening tag has a line of its own. A path is the list of a name's parts; that of "." is empty.
-- @module directmail.template.parse
local err = require "directmail.err"
local limits = require "directmail.data.limits"

local M = {}

local SHOWN = 60        -- octets of a bad tag in an error
local LONGEST = 256     -- octets of a name

-- Tags that may have a line to themselves.
local ALONE = { ["#"] = true, ["^"] = true, ["/"] = true, ["!"] = true, ["="] = true, [">"] = true, ["<"] = true, ["$"] = true }

-- Words of Handlebars; Mustache would take "if x" for a name, find no such value, and leave the section out in silence.
local HANDLEBARS = { ["if"] = true, each = true, unless = true, with = true }

-- Nothing is read further than this error.
local function refuse(p, line, cause, remedy)
  return err.refuse("CONTENT", "template", ("%s:%d: %s"):format(p.file, line, cause), remedy)
end

local function shown(text)
  if #text > SHOWN then text = text:sub(1, SHOWN) .. "..." end
  return text
end

-- Without the blanks around it. "^%s*(.-)%s*$" would try a run of blanks from each of its places.
local function trimmed(text) return text:match "^%s*(.*%S)" or "" end

-- "a.b.c" as its parts; nil when one is empty.
local function path_of(name)
  local path = {}
  if name == "." then return path end
  for part in (name .. "."):gmatch "([^.]*)%." do
    if part == "" then return nil end
    path[#path + 1] = part
  end
  return path
end

-- The name in a tag, and its path; nothing, err when it is none.
local function name_of(p, tag, sigil, name)
  local remedy = "a tag is {{name}}, {{a.b}}, {{#section}}, {{/section}}, {{^section}}, {{>partial}} or {{!comment}}"
  if name == "" then return refuse(p, tag.line, ("the tag %s has no name"):format(shown(tag.text)), remedy) end
  if #name > LONGEST or name:find "[%c{}<>()|\"'=]" then
    return refuse(p, tag.line, ("%s is no tag"):format(shown(tag.text)),
      name:find "[\r\n{]" and ("is its %s missing? %s"):format(p.close, remedy) or remedy)
  end
  if sigil == "#" or sigil == "^" then
    local word, rest = name:match "^(%a+)[ \t]+(.+)$"
    if HANDLEBARS[word] then
      return refuse(p, tag.line, ("%s is Handlebars, not Mustache"):format(shown(tag.text)),
        ("write {{#%s}}…{{/%s}} (for each entry, or if it is there) or {{^%s}}…{{/%s}} (if not)"):format(rest, rest, rest, rest))
    end
  end
  local path = path_of(name)
  if not path then return refuse(p, tag.line, ("%s has a dot too many"):format(shown(tag.text)), "write {{a.b}}, or {{.}} for the entry itself") end
  return name, path
end

-- The name of a partial or parent: a file's name without its ending, or * and the name of a value that holds it.
local function file_name_of(p, tag, name)
  local dynamic = name:match "^%*%s*(.-)$"
  if dynamic then return name_of(p, tag, ">", dynamic) end
  if #name > LONGEST or not name:find "^[%w_-]+$" then
    return refuse(p, tag.line, ("%s names no partial"):format(shown(tag.text)), "a partial's name has only A-Z a-z 0-9 _ -, without folder and ending")
  end
  return name
end

-- ---- inheritance: where the lines of a block begin ---------------------------

-- Take a common indentation off the lines of some nodes. The arguments of a parent inside have lost theirs already.
local function outdent(nodes, indent)
  local function without(blanks)
    local n = 0
    while n < #indent and blanks:byte(n + 1) == indent:byte(n + 1) do n = n + 1 end
    return blanks:sub(n + 1)
  end
  for i = 1, #nodes do
    local node = nodes[i]
    if node.kind == "text" then
      local text = node.text:gsub("\n([ \t]+)", function(blanks) return "\n" .. without(blanks) end)
      local blanks = node.bol and text:match "^[ \t]+"
      node.text = blanks and without(blanks) .. text:sub(#blanks + 1) or text
    elseif node.indent then
      node.indent = without(node.indent)
    end
    if node.nodes then outdent(node.nodes, indent) end
  end
end

-- The blanks before the first line of some nodes; nil when no line begins there.
local function first_indent(nodes)
  local node = nodes[1]
  if not node then return nil end
  if node.kind == "text" then return node.bol and node.text:match "^[ \t]*" or nil end
  if node.kind == "section" then return first_indent(node.nodes) end
  return node.indent
end

-- ---- tags --------------------------------------------------------------------

local function current(p) return p.stack[#p.stack] end

local function add(p, node)
  local frame = current(p)
  frame.nodes[#frame.nodes + 1] = node
end

local function open_frame(p, tag, node)
  if #p.stack > limits.template_nesting then
    return refuse(p, tag.line, ("sections nest deeper than %d levels"):format(limits.template_nesting), "move the inner ones into a partial")
  end
  p.stack[#p.stack + 1] = { node = node, nodes = node.nodes, line = tag.line, text = tag.text, name = node.given, argument = node.argument }
  return true
end

local TAG = {}

TAG["!"] = function() return true end

TAG["="] = function(p, tag, _, inside)
  local open, close = inside:match "^%s*(%S+)%s+(%S+)%s*$"
  if not open or (open .. close):find("=", 1, true) then
    return refuse(p, tag.line, ("%s sets no delimiters"):format(shown(tag.text)), "write {{=<% %>=}}: two words without blanks and =")
  end
  p.open, p.close = open, close
  return true
end

local function variable(p, tag, sigil, inside)
  local name, path = name_of(p, tag, sigil, trimmed(inside))
  if not name then return nil, path end
  add(p, { kind = "variable", name = name, path = path, raw = sigil ~= "", line = tag.line })
  return true
end

TAG[""], TAG["&"], TAG["{"] = variable, variable, variable

local function section(p, tag, sigil, inside)
  local name, path = name_of(p, tag, sigil, trimmed(inside))
  if not name then return nil, path end
  local node = { kind = "section", name = name, given = name, path = path, inverted = sigil == "^", nodes = {}, from = tag.after,
    alone = tag.blanks ~= nil, open = p.open, close = p.close, line = tag.line }
  add(p, node)
  return open_frame(p, tag, node)
end

TAG["#"], TAG["^"] = section, section

TAG[">"] = function(p, tag, _, inside)
  local name, path = file_name_of(p, tag, trimmed(inside))
  if not name then return nil, path end
  add(p, { kind = "partial", name = name, path = path, indent = tag.blanks or "", line = tag.line })
  return true
end

TAG["<"] = function(p, tag, _, inside)
  local given = trimmed(inside)
  local name, path = file_name_of(p, tag, given)
  if not name then return nil, path end
  local node = { kind = "parent", name = name, given = given, path = path, arguments = {}, indent = "", nodes = {}, line = tag.line }
  add(p, node)
  local ok, e = open_frame(p, tag, node)
  if not ok then return nil, e end
  -- whether it has lines of its own is known at its end
  current(p).begins = tag.begins
  return true
end

TAG["$"] = function(p, tag, _, inside)
  local name, e = name_of(p, tag, "$", trimmed(inside))
  if not name then return nil, e end
  local frame = current(p)
  local node = { kind = "block", name = name, given = name, nodes = {}, line = tag.line, indent = tag.begins, alone = tag.blanks ~= nil }
  if frame.node and frame.node.kind == "parent" then
    if frame.node.arguments[name] then
      return refuse(p, tag.line, ("%s stands twice in %s"):format(shown(tag.text), shown(frame.text)), "leave one of the two away")
    end
    frame.node.arguments[name] = node.nodes
    node.argument = true
  else
    add(p, node)
  end
  return open_frame(p, tag, node)
end

TAG["/"] = function(p, tag, _, inside)
  local name = trimmed(inside)
  local frame = current(p)
  if not frame.node then
    return refuse(p, tag.line, ("%s closes nothing"):format(shown(tag.text)), "open it before, or take it away")
  end
  if name ~= frame.name and name:gsub("%s", "") ~= frame.name:gsub("%s", "") then
    return refuse(p, tag.line, ("%s stands where %s of line %d is open"):format(shown(tag.text), shown(frame.text), frame.line),
      ("close it first: {{/%s}}"):format(frame.name))
  end
  p.stack[#p.stack] = nil
  local node = frame.node
  if node.kind == "section" then
    node.to = tag.before
  elseif node.kind == "parent" then
    -- both of its tags at the edges of their lines: it is alone, and its indentation belongs to each line of the parent
    if frame.begins and tag.ends then
      local list = current(p).nodes
      local before = list[#list - 1]
      if frame.begins ~= "" and before and before.kind == "text" then before.text = before.text:sub(1, -#frame.begins - 1) end
      if before and before.kind == "text" and before.text == "" then table.remove(list, #list - 1) end
      node.indent = frame.begins
      tag.swallow = true
    end
    node.nodes = nil
  elseif frame.argument then
    local indent = frame.broken and first_indent(node.nodes)
    if indent and indent ~= "" then outdent(node.nodes, indent) end
  elseif node.alone then
    node.indent = first_indent(node.nodes) or node.indent
  end
  return true
end

-- ---- lines -------------------------------------------------------------------

-- Go on to `to`: the number of its line, and where that begins. The next line end is kept, since a long line of many tags must
-- not be searched at each.
local function count_lines(p, to)
  while p.line_end <= to do
    p.line, p.begin = p.line + 1, p.line_end + 1
    p.line_end = p.source:find("\n", p.begin, true) or math.huge
  end
end

-- The text up to a tag or the end.
local function add_text(p, from, to, before_tag)
  local frame = current(p)
  if frame.node and frame.node.kind == "parent" then return end         -- what stands there is said to be ignored
  if to >= from then
    frame.nodes[#frame.nodes + 1] = { kind = "text", text = p.source:sub(from, to), bol = p.fresh == from or nil }
    if p.source:byte(to) ~= 10 then return end
  elseif p.fresh ~= from then
    return
  end
  -- what the tag gives begins a line, which may have to be indented
  if before_tag then frame.nodes[#frame.nodes + 1] = { kind = "text", text = "", bol = true } end
end

-- The blanks between the beginning of the line and `at`, when there is nothing else. Looked for once a line too.
local function blanks_before(p, at)
  if p.blank_line ~= p.begin then
    p.blank_line = p.begin
    p.blank_end = select(2, p.source:find("^[ \t]*", p.begin))
  end
  if p.blank_end == at - 1 then return p.source:sub(p.begin, at - 1) end
end

local INSIDE_PARENT = { ["$"] = true, ["/"] = true, ["!"] = true, ["="] = true }

-- The tag whose delimiter begins at `at`, behind text that began at `from`: the place behind it; nil, err.
local function read_tag(p, from, at)
  local source = p.source
  local inner = at + #p.open
  local sigil = source:match("^%s*([#^/!=>&{<$]?)", inner)
  if sigil ~= "" then inner = source:find(sigil, inner, true) + 1 end
  local ending = (sigil == "{" and "}" or sigil == "=" and "=" or "") .. p.close
  local stop, last = source:find(ending, inner, true)
  count_lines(p, at - 1)
  local tag = { line = p.line, text = source:sub(at, math.min(last or #source, at + SHOWN)) }
  if not stop then
    return refuse(p, tag.line, ("the tag %s is never closed"):format(shown(tag.text:match "^[^\r\n]*")), ("add %s"):format(ending))
  end
  local frame = current(p)
  if frame.node and frame.node.kind == "parent" and not INSIDE_PARENT[sigil] then
    return refuse(p, tag.line, ("%s stands inside of %s, where only blocks count"):format(shown(tag.text), shown(frame.text)),
      "put it into {{$block}}…{{/block}}, or behind the closing tag")
  end
  tag.begins = blanks_before(p, at)
  -- behind the opening tag of an argument a new line begins
  if not tag.begins and p.fresh == from and sigil ~= "/" and select(2, source:find("^[ \t]*", from)) == at - 1 then
    tag.begins = source:sub(from, at - 1)
  end
  local _, ends = source:find("^[ \t]*\r?\n", last + 1)
  if not ends then _, ends = source:find("^[ \t]*$", last + 1) end
  tag.ends = ends
  local argument = frame.argument and sigil == "/"      -- its last line's blanks are no content
  local opens_argument = sigil == "$" and frame.node and frame.node.kind == "parent"
  local alone = ALONE[sigil] and sigil ~= "<" and tag.begins and ends ~= nil
  if sigil == "/" and frame.node and frame.node.kind == "parent" then alone = false end
  if alone then tag.blanks = tag.begins end
  tag.before = at - 1
  if alone or argument and tag.begins then
    add_text(p, from, at - 1 - #tag.begins, false)
    tag.before = at - 1 - #tag.begins
  else
    add_text(p, from, at - 1, true)
  end
  local after = last + 1
  if alone or opens_argument and ends then after = ends + 1 end
  tag.after = after
  local ok, e = TAG[sigil](p, tag, sigil, source:sub(inner, stop - 1))
  if not ok then return nil, e end
  if tag.swallow then after = ends + 1 end
  count_lines(p, after - 1)
  if opens_argument then
    current(p).broken = ends ~= nil
    p.fresh = after
  elseif after == p.begin then
    p.fresh = after
  end
  return after
end

--- Read a template.
-- @tparam string source
-- @tparam table where `file` its name for errors, `line` the number of its first line (1), `open` and `close` the delimiters
-- @treturn {table,...} nodes; or nil, err (CONTENT)
function M.parse(source, where)
  local root = { nodes = {} }
  local p = {
    source = source, file = where.file, line = where.line or 1, open = where.open or "{{", close = where.close or "}}",
    stack = { root }, begin = 1, line_end = source:find("\n", 1, true) or math.huge, fresh = 1, blank_line = nil, blank_end = nil,
  }
  local at = 1
  while true do
    local tag = source:find(p.open, at, true)
    if not tag then break end
    local after, e = read_tag(p, at, tag)
    if not after then return nil, e end
    at = after
  end
  add_text(p, at, #source, false)
  local frame = current(p)
  if frame ~= root then
    return refuse(p, frame.line, ("%s is never closed"):format(shown(frame.text)), ("add {{/%s}}"):format(frame.name))
  end
  return root.nodes
end

return M
