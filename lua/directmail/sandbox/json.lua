--- JSON with names in a chosen order, slashes as they are, and lists that stay lists when they are empty.
-- lua-cjson does neither: it takes names as the table gives them, and an empty table is an object to it.
-- @module directmail.sandbox.json
local cjson = require "cjson"
local core = require "directmail.core"

local M = {}

-- Octets that are no UTF-8 would make the whole document something else than JSON (RFC 8259, 8.1).
local function valid(text)
  if core.utf8(text) then return text end
  return (text:gsub("[\128-\255]", "\239\191\189"))
end

--- One value: a text, a number, a boolean; nil is null; another table as lua-cjson writes it.
-- @param value
-- @treturn string
function M.value(value)
  if value == nil then return "null" end
  if type(value) == "string" then value = valid(value) end
  return (cjson.encode(value):gsub("\\/", "/"))
end

--- A list.
-- @tparam table items
-- @tparam ?function encode gives an item's JSON; `value` when left out
-- @treturn string
function M.list(items, encode)
  local out = {}
  for i, item in ipairs(items) do out[i] = (encode or M.value)(item) end
  return "[" .. table.concat(out, ",") .. "]"
end

--- An object from names and the JSON of their values, in order.
-- @tparam table pairs_in_order list of `{name, JSON}`
-- @treturn string
function M.object(pairs_in_order)
  local out = {}
  for i, pair in ipairs(pairs_in_order) do out[i] = M.value(pair[1]) .. ":" .. pair[2] end
  return "{" .. table.concat(out, ",") .. "}"
end

--- Some fields of a table as an object; a field that is nil is null.
-- @tparam table from
-- @tparam table names list of fields, in order
-- @treturn string
function M.fields(from, names)
  local out = {}
  for i, name in ipairs(names) do out[i] = { name, M.value(from[name]) } end
  return M.object(out)
end

return M
