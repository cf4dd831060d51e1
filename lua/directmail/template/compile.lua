--- Turn the tree of a template into closures, and run them.
-- Each closure takes the state of one rendering, adds to its output and returns nothing, or a directmail.err that ends it.
-- Nothing is raised, so that no pcall is needed: what a template calls is the user's function, and may wait.
-- @module directmail.template.compile
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local null = require "cjson".null
local option = require "directmail.option"
local parse = require "directmail.template.parse"

local floor, type = math.floor, type
local math_type = rawget(math, "type")        -- Lua 5.3 and later

local M = {}

local NAMES = 8         -- names of values that an error lists
local NAMES_MAX = 1000  -- that are looked at for it
local NAME_SHOWN = 60   -- octets of each

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Text as HTML that shows it, also between quotes of either kind.
-- @tparam string text
-- @treturn string
function M.escape(text)
  return text:find "[&<>\"']" and text:gsub("[&<>\"']", ENTITIES) or text
end

local function fault(unit, line, name, cause, remedy)
  return select(2, err.refuse("CONTENT", name, ("%s:%d: %s"):format(unit.file, line, cause), remedy))
end

-- ---- output ------------------------------------------------------------------

local function too_large()
  return select(2, err.refuse("SIZE", "template", ("the template makes more than %d octets"):format(limits.template_output_octets),
    "does it include itself, or go through a list that is too long?"))
end

local MOST = limits.template_output_octets

local function put(r, text)
  local size = r.size + #text
  if size > MOST then return too_large() end
  local n = r.n + 1
  r.size, r.n = size, n
  r.out[n] = text
end

local LEVELS = limits.template_levels

-- Run the closures of a block. Each counts, also when it writes nothing: partials may multiply. Blocks inside of blocks are
-- counted too, since Lua's own stack ends with an error that is raised.
local function run(list, r)
  local n, level = #list, r.level + 1
  local left = r.left - n - 1
  r.left, r.level = left, level
  if left < 0 or level > LEVELS then
    return select(2, err.refuse("SIZE", "template", left < 0 and ("the template does more than %d steps"):format(limits.template_steps)
      or ("sections, blocks and partials nest deeper than %d levels"):format(LEVELS), "does it include itself, or go through a list that is too long?"))
  end
  for i = 1, n do
    local e = list[i](r)
    if e then return e end
  end
  r.level = level - 1
end

-- The same, one level deeper in partials or functions.
local function run_deeper(list, r, unit, line, what)
  if r.depth >= limits.template_depth then
    return fault(unit, line, "template", ("%s: partials nest deeper than %d levels"):format(what, limits.template_depth),
      "end the recursion: a section around the partial that is empty at last")
  end
  r.depth = r.depth + 1
  local e = run(list, r)
  r.depth = r.depth - 1
  return e
end

-- ---- values ------------------------------------------------------------------

-- What a path names: its first part is looked for from the innermost context outwards, the others inside of what was found.
local function find(r, path)
  local stack, first = r.stack, path[1]
  if first == nil then return stack[r.top] end
  for i = r.top, 1, -1 do
    local context = stack[i]
    if type(context) == "table" then
      local value = context[first]
      if value ~= nil then
        for k = 2, #path do
          if type(value) ~= "table" then return nil end
          value = value[path[k]]
        end
        return value
      end
    end
  end
  return nil
end

-- A value as text; nil for what has none.
local function text_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then
    -- JSON's 85 is 85.0 to Lua 5.3 and later
    if value == floor(value) and value > -2^53 and value < 2^53 then return ("%d"):format(value) end
    if math_type and math_type(value) == "integer" then return tostring(value) end
    return ("%.14g"):format(value)
  end
  if kind == "boolean" then return tostring(value) end
  return nil
end

local function add_names(names, seen, context, prefix)
  if type(context) ~= "table" then return end
  for name in pairs(context) do
    if #names >= NAMES_MAX then return end
    if type(name) == "string" and not seen[name] then
      seen[name] = true
      names[#names + 1] = prefix .. (#name > NAME_SHOWN and name:sub(1, NAME_SHOWN) .. "..." or name)
    end
  end
end

-- What there is instead of a missing value: the names beside it, for the error.
local function beside(r, path)
  local names, seen, prefix = {}, {}, ""
  if #path > 1 then
    local context
    for k = #path - 1, 1, -1 do
      local part = {}
      for i = 1, k do part[i] = path[i] end
      context, prefix = find(r, part), table.concat(part, ".") .. "."
      if type(context) == "table" and context ~= null then break end
      context = nil
    end
    add_names(names, seen, context, prefix)
  end
  if #names == 0 then
    for i = r.top, 1, -1 do add_names(names, seen, r.stack[i], "") end
  end
  table.sort(names)
  return names
end

-- The error of a value that is not there, or has no text.
local function no_value(r, unit, node, value)
  local name = node.name
  local tag = ("{{%s}}"):format(name)
  local remedy = ('give it, make it optional with {{#%s}}…{{/%s}}, or load the template with missing = "empty"'):format(name, name)
  if value == null then return fault(unit, node.line, name, ("no value for %s: it is null"):format(tag), remedy) end
  if value ~= nil then
    return fault(unit, node.line, name, ("the value of %s is a %s, which has no text"):format(tag, type(value)),
      type(value) == "table" and ("name a field of it, or go through it with {{#%s}}…{{/%s}}"):format(name, name) or "give a text or a number")
  end
  local names = beside(r, node.path)
  local near = #name > 2 and option.nearest(name, names)
  local has = #names == 0 and "nothing" or table.concat(names, ", ", 1, math.min(#names, NAMES)) .. (#names > NAMES and ", ..." or "")
  return fault(unit, node.line, name, ("no value for %s (%shas: %s)"):format(tag, near and ("did you mean %s? it "):format(near) or "", has), remedy)
end

-- ---- text --------------------------------------------------------------------

-- Text inside of a partial whose tag stood indented on a line of its own: each of its lines is indented so.
-- Empty lines stay empty. `r.skip`: the line has begun already.
local function put_indented(r, text, bol, lines)
  local indent = r.indent
  if r.size + #text + lines * #indent > MOST then return too_large() end
  local out = text:gsub("\n([^\r\n])", "\n" .. indent .. "%1")          -- blanks only, no %
  if bol and not r.skip and not text:find "^\r?\n" then out = indent .. out end
  r.skip = false
  return put(r, out)
end

local function text_node(node)
  local text, bol = node.text, node.bol
  local lines, octets = select(2, text:gsub("\n", "")) + 1, #text
  if text == "" then          -- a line that begins with a tag
    return function(r)
      if r.indent ~= "" then return put_indented(r, text, bol, lines) end
    end
  end
  return function(r)
    if r.indent ~= "" then return put_indented(r, text, bol, lines) end
    -- `put`, without its call: most nodes are texts
    local size = r.size + octets
    if size > MOST then return too_large() end
    local n = r.n + 1
    r.size, r.n = size, n
    r.out[n] = text
  end
end

-- ---- lambdas -----------------------------------------------------------------

-- The text that a user's function gave, as closures. The last text is remembered: most functions give the same each time.
local function compiled_lambda(memory, unit, node, text, open, close)
  if memory.text ~= text or memory.open ~= open then
    if #text > limits.template_file_octets then return nil, too_large() end
    local inner = { file = ('%s:%d: the text of the function "%s"'):format(unit.file, node.line, node.name), place = unit.place, set = unit.set }
    local nodes, e = parse.parse(text, { file = inner.file, open = open, close = close })
    if not nodes then return nil, e end
    memory.list, e = M.block(nodes, inner, text)
    if not memory.list then return nil, e end
    memory.text, memory.open = text, open
  end
  return memory.list
end

-- What {{name}} shows when the value is a function: its text is a template for the current values, which is escaped as a
-- whole where the tag escapes.
local function called(r, unit, node, value, memory)
  local given = value()
  local text = given ~= nil and given ~= null and text_of(given)
  if not text then return nil, given == nil and "missing" or given end
  if not text:find("{{", 1, true) then return text end
  local list, e = compiled_lambda(memory, unit, node, text)
  if not list then return nil, nil, e end
  local out, n, indent = r.out, r.n, r.indent
  r.out, r.n, r.indent = {}, 0, ""
  e = run_deeper(list, r, unit, node.line, ("the function {{%s}}"):format(node.name))
  text = table.concat(r.out)
  r.out, r.n, r.indent = out, n, indent
  if e then return nil, nil, e end
  return text
end

-- ---- tags --------------------------------------------------------------------

local MAKE = {}

MAKE.text = text_node

function MAKE.variable(node, unit)
  local path, place, lax = node.path, unit.place, unit.set.missing == "empty"
  local escape = place == "html" and not node.raw
  local one_line = place == "line"
  -- inside the text of a function nothing is escaped when the whole will be
  local inner, memory = unit, nil
  if escape then
    unit.unescaped = unit.unescaped or { file = unit.file, place = "text", set = unit.set }
    inner = unit.unescaped
  end
  local escaped = M.escape
  local only = #path == 1 and path[1] or nil
  return function(r)
    local context, value = r.stack[r.top], nil
    if only and type(context) == "table" then value = context[only] end
    if value == nil then value = find(r, path) end
    local text = value
    if type(value) ~= "string" then
      if type(value) == "function" then
        local why, e
        memory = memory or {}
        text, why, e = called(r, inner, node, value, memory)
        if e then return e end
        if not text then
          if why == "missing" then value = nil else value = why end
        end
      else
        text = value ~= nil and value ~= null and text_of(value) or nil
      end
      if not text then
        if lax and (value == nil or value == null) then return end
        return no_value(r, unit, node, value)
      end
    end
    if one_line and text:find "[%z\r\n]" then
      return fault(unit, node.line, node.name, ("the value of {{%s}} has a line break or NUL, and this is one line"):format(node.name),
        "take line breaks out of the value")
    end
    if escape then text = escaped(text) end
    return put(r, text)
  end
end

function MAKE.section(node, unit, source)
  local path, inverted = node.path, node.inverted
  local list, e = M.block(node.nodes, unit, source)
  if not list then return nil, e end
  local memory = {}
  if inverted then
    return function(r)
      local value = find(r, path)
      if value == nil or value == false or value == null or value == "" or type(value) == "table" and next(value) == nil then return run(list, r) end
    end
  end
  local function lambda(r, value)
    local given = value(source:sub(node.from, node.to))
    if given == nil or given == false or given == null then return end
    local text = text_of(given)
    if not text then
      return fault(unit, node.line, node.name, ("the function of {{#%s}} gave a %s"):format(node.name, type(given)), "let it return the text of a template")
    end
    local made, broken = compiled_lambda(memory, unit, node, text, node.open, node.close)
    if not made then return broken end
    r.skip = not node.alone and r.indent ~= ""
    broken = run_deeper(made, r, unit, node.line, ("the function {{#%s}}"):format(node.name))
    r.skip = false
    return broken
  end
  return function(r)
    local value = find(r, path)
    if value == nil or value == false or value == null or value == "" then return end
    local kind = type(value)
    if kind == "function" then return lambda(r, value) end
    local stack, top = r.stack, r.top + 1
    if kind ~= "table" or value[1] == nil then
      if kind == "table" and next(value) == nil then return end         -- an empty list, or an object without fields
      stack[top], r.top = value, top
      local broken = run(list, r)
      r.top = top - 1
      return broken
    end
    for i = 1, #value do
      stack[top], r.top = value[i], top
      local broken = run(list, r)
      r.top = top - 1
      if broken then return broken end
    end
  end
end

-- The name of a partial: fixed, or the value of a name. Nothing, and an error perhaps, when there is none.
local function target_of(r, node, unit)
  if not node.path then return node.name end
  local value = find(r, node.path)
  if value == nil or value == null then
    if unit.set.missing == "empty" then return nil end
    return nil, no_value(r, unit, node, value)
  end
  if type(value) ~= "string" or not value:find "^[%w_-]+$" then
    return nil, fault(unit, node.line, node.name, ("the value of *%s names no partial"):format(node.name),
      "a partial's name has only A-Z a-z 0-9 _ -, without folder and ending")
  end
  return value
end

local function expand(r, node, unit)
  local name, e = target_of(r, node, unit)
  if not name then return e end
  local target
  target, e = unit.set:unit(unit.place, name, unit, node.line)
  if not target then return e end
  local indent = r.indent
  if node.indent ~= "" then r.indent = indent .. node.indent end
  e = run_deeper(target.list, r, unit, node.line, ("{{>%s}}"):format(name))
  r.indent = indent
  return e
end

function MAKE.partial(node, unit)
  if not node.path then unit.refs[#unit.refs + 1] = node end
  return function(r) return expand(r, node, unit) end
end

function MAKE.parent(node, unit, source)
  if not node.path then unit.refs[#unit.refs + 1] = node end
  local arguments = {}
  for name, nodes in pairs(node.arguments) do
    local list, e = M.block(nodes, unit, source)
    if not list then return nil, e end
    arguments[name] = list
  end
  return function(r)
    -- what was given further outside wins
    local outer, mine = r.blocks, arguments
    if next(outer) then
      mine = {}
      for name, list in pairs(arguments) do mine[name] = list end
      for name, list in pairs(outer) do mine[name] = list end
    end
    r.blocks = mine
    local e = expand(r, node, unit)
    r.blocks = outer
    return e
  end
end

function MAKE.block(node, unit, source)
  local default, e = M.block(node.nodes, unit, source)
  if not default then return nil, e end
  local name, own, alone = node.name, node.indent or "", node.alone
  return function(r)
    local list = r.blocks[name]
    -- a block inside of what stands for it is the default, else there were no end
    if not list or r.active[list] then return run(default, r) end
    local indent, skip = r.indent, r.skip
    r.active[list] = true
    r.indent = indent .. own
    r.skip = not alone and r.indent ~= ""
    local broken = run(list, r)
    r.indent, r.skip = indent, skip
    r.active[list] = nil
    return broken
  end
end

--- The closures of some nodes.
-- @tparam {table,...} nodes of `directmail.template.parse`
-- @tparam table unit `{ file=, place="html"|"text"|"line", set=, refs={} }`; static partials are added to `refs`
-- @tparam string source what the nodes were read from
-- @treturn {function,...}; or nil, err
function M.block(nodes, unit, source)
  local list = {}
  unit.refs = unit.refs or {}
  for i = 1, #nodes do
    local made, e = MAKE[nodes[i].kind](nodes[i], unit, source)
    if not made then return nil, e end
    list[i] = made
  end
  return list
end

--- Render a unit.
-- @tparam table unit with its `list` of closures
-- @tparam table data
-- @treturn string; or nil, err
function M.render(unit, data)
  local r = {
    out = {}, n = 0, size = 0, left = limits.template_steps, depth = 0, level = 0, indent = "", skip = false, stack = { data }, top = 1,
    blocks = {}, active = {},
  }
  local e = run(unit.list, r)
  if e then return nil, e end
  return table.concat(r.out)
end

return M
