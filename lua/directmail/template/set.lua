--- A template's files: each read once, and its partials found by name, in a folder or in a table.
-- @module directmail.template.set
local compile = require "directmail.template.compile"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"
local parse = require "directmail.template.parse"

local M = {}

local set = {}
set.__index = set

-- Endings that a partial may have, by where its text goes.
local ENDINGS = { html = { ".html", ".mustache", ".htm" }, text = { ".txt", ".mustache" }, line = { ".txt", ".mustache" } }

--- A set.
-- @tparam table host
-- @tparam ?string|table partials a folder, or name -> text
-- @tparam string missing "error" or "empty"
-- @treturn table
function M.new(host, partials, missing)
  local folder = type(partials) == "string" and (partials == "" and "" or partials:find "/$" and partials or partials .. "/") or nil
  return setmetatable({
    host = host, folder = folder, texts = type(partials) == "table" and partials or nil, missing = missing,
    units = { html = {}, text = {}, line = {} }, files = {}, waiting = {},
  }, set)
end

--- Read a file.
-- @tparam string path
-- @treturn string its octets, without a byte order mark; false when there is none; or nil, err
function set:read(path)
  local bytes, why = self.host.read(path, limits.template_file_octets)
  if bytes then
    self.files[path] = bytes
    return (bytes:gsub("^\239\187\191", ""))
  end
  if why:find "^no such file" then
    self.files[path] = false
    return false
  end
  local large = why:find "^larger"
  return err.refuse(large and "SIZE" or "FILE", "template", ("the template %s %s%s"):format(path, large and "is " or "cannot be read: ", why),
    large and "move what repeats into partials" or "check the path and its rights; a relative one begins at the folder the program runs in")
end

--- Are all files as they were when they were read?
-- @treturn boolean
function set:is_fresh()
  for path, bytes in pairs(self.files) do
    if (self.host.read(path, limits.template_file_octets) or false) ~= bytes then return false end
  end
  return true
end

--- Compile a text; its partials are those of the set, and all that are named without `*` must be there.
-- @tparam string source
-- @tparam string file its name, for errors
-- @tparam string place "html", "text" or "line"
-- @tparam[opt=1] number line of the file at which the source begins
-- @treturn table for `directmail.template.compile`; or nil, err
function set:compile(source, file, place, line)
  local unit, e = self:add(source, file, place, line)
  if not unit then return nil, e end
  local linked
  linked, e = self:link()
  if not linked then return nil, e end
  return unit
end

function set:add(source, file, place, line)
  local nodes, e = parse.parse(source, { file = file, line = line })
  if not nodes then return nil, e end
  local unit = { file = file, place = place, set = self, refs = {}, list = nil }
  unit.list, e = compile.block(nodes, unit, source)
  if not unit.list then return nil, e end
  self.waiting[#self.waiting + 1] = unit
  return unit
end

-- Load what was named meanwhile. A list and no recursion: files may name each other in a chain of any length, or in a ring.
function set:link()
  while true do
    local unit = table.remove(self.waiting)
    if not unit then return true end
    for _, node in ipairs(unit.refs) do
      local found, e = self:find(unit.place, node.name, unit, node.line)
      if not found and e then
        self.waiting = {}
        return nil, e
      end
    end
  end
end

-- The text of a partial and its name for errors; nothing when there is none; nil, nil, err.
function set:source(place, name)
  if self.texts then
    local text = self.texts[name]
    if text ~= nil and type(text) ~= "string" then
      return nil, nil, select(2, err.refuse("OPTION", "partials", ("the partial %s is a %s, not a text"):format(name, type(text)), "give texts by name"))
    end
    return text, name
  end
  for _, ending in ipairs(self.folder and ENDINGS[place] or {}) do
    local path = self.folder .. name .. ending
    local text, e = self:read(path)
    if text then return text, path end
    if text == nil then return nil, nil, e end
  end
end

function set:find(place, name, unit, line)
  local known = self.units[place][name]
  if known then return known end
  local source, file, e = self:source(place, name)
  if e then return nil, e end
  if not source then
    if self.missing == "empty" then return nil end
    local names = {}
    for other in pairs(self.texts or {}) do names[#names + 1] = tostring(other) end
    table.sort(names)
    local near = option.nearest(name, names)
    near = near and (" (did you mean %s?)"):format(near) or ""
    return err.refuse("CONTENT", "template", ('%s:%d: there is no partial "%s"%s'):format(unit.file, line, name, near),
      self.folder and ("write %s%s%s, or name its folder with partials"):format(self.folder, name, ENDINGS[place][1])
      or self.texts and "give it in partials" or 'give partials = "FOLDER", or { name = "text" }')
  end
  local made
  made, e = self:add(source, file, place)
  if not made then return nil, e end
  self.units[place][name] = made
  return made
end

--- The partial of a name, when it is rendered.
-- @tparam string place
-- @tparam string name `[A-Za-z0-9_-]+`
-- @tparam table unit what names it
-- @tparam number line where it does
-- @treturn table; nil when there is none and nothing need be; or nil, err
function set:unit(place, name, unit, line)
  local known = self.units[place][name]
  if known then return known end
  local found, e = self:find(place, name, unit, line)
  if not found then return nil, e end
  local linked
  linked, e = self:link()
  if not linked then
    self.units[place][name] = nil
    return nil, e
  end
  return found
end

return M
