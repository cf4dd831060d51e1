--- Walk the pages of an operation that lists, whatever it calls its place.
-- The service has six names for the place in a list, and three styles: a page's number, a cursor, a token. The end is where
-- the answer says so; where it says nothing, an empty page, a short one, or one that was there before.
-- @module directmail.pages
local catalogue = require "directmail.catalogue"

local M = {}

--- The entries of an answer.
-- @tparam table operation of `directmail.catalogue`
-- @tparam table answer
-- @treturn table a list, empty when there is none
function M.entries(operation, answer)
  local at = answer
  for name in (operation.list or ""):gmatch "[^.]+" do
    at = type(at) == "table" and at[name] or nil
  end
  return type(at) == "table" and at ~= answer and at or {}
end

-- A page as a text, to see it again. The order of fields within one run of one decoder is not fixed, so they are sorted.
local function print_of(entries)
  local out = {}
  local function put(value)
    if type(value) ~= "table" then
      out[#out + 1] = tostring(value)
      return
    end
    local names = {}
    for name in pairs(value) do names[#names + 1] = tostring(name) end
    table.sort(names)
    for _, name in ipairs(names) do
      out[#out + 1] = name
      local inner = value[name]
      if inner == nil then inner = value[tonumber(name)] end
      put(inner)
    end
  end
  put(entries)
  return table.concat(out, "\0")
end

local function field_of(operation, name)
  for _, field in ipairs(operation.params) do
    if field.name == name then return field end
  end
  return {}
end

-- The size of a page, as far as it is known.
local function size_of(operation, params, answer)
  local field = field_of(operation, operation.paging.size)
  return tonumber(params[operation.paging.size]) or tonumber(answer.PageSize) or tonumber(field.default) or 1
end

-- The parameters of the first page: the most that a documented limit allows, what is mandatory, and what the caller says.
local function first_page(operation, params)
  local first = {}
  for name, value in pairs(params) do first[name] = value end
  local paging = operation.paging
  if not paging then return first end
  local size = field_of(operation, paging.size)
  if first[paging.size] == nil then first[paging.size] = size.max or size.required and size.default or nil end
  if paging.style == "page" and first[paging.position] == nil then first[paging.position] = 1 end
  return first
end

-- The place of the next page; nil when this was the last.
local function next_place(operation, page, answer, got, taken, seen)
  local paging = operation.paging
  if got == 0 then return nil end
  if paging.style ~= "page" then
    local place = answer[paging.next]
    if type(place) == "number" then place = ("%.0f"):format(place) end
    if type(place) ~= "string" or place == "" or seen[place] then return nil end
    seen[place] = true
    return place
  end
  local number = tonumber(page[paging.position]) or 1
  if paging.more and answer[paging.more] ~= nil then
    local more = answer[paging.more]
    return (more == true or more == "true") and number + 1 or nil
  end
  local pages = paging.pages and tonumber(answer[paging.pages])
  if pages then return number < pages and number + 1 or nil end
  local total = paging.total and tonumber(answer[paging.total])
  if total and taken >= total then return nil end
  return got >= size_of(operation, page, answer) and number + 1 or nil
end

--- Every entry of every page.
-- @tparam string name the operation
-- @tparam table params as for the operation; a size or a first place may be among them
-- @tparam function ask called with the parameters of a page; gives its answer, or nil, err
-- @tparam number level where misuse is raised
-- @treturn function an iterator: each call gives an entry and the answer that it stood in; `false, err` when a page cannot be had
function M.each(name, params, ask, level)
  local operation = catalogue.find(name)
  if not operation.list then error(("%s lists nothing: call it once"):format(name), level + 1) end
  local page, entries, answer = first_page(operation, params), {}, nil
  local i, taken, seen, last, over = 0, 0, {}, nil, false
  if operation.paging then seen[tostring(page[operation.paging.position])] = true end
  return function()
    while not over and i >= #entries do
      local e
      answer, e = ask(page)
      if not answer then
        over = true
        return false, e
      end
      entries, i = M.entries(operation, answer), 0
      local shape = print_of(entries)
      if shape == last then entries = {} end          -- a place that the service does not look at: the same page again
      last, taken = shape, taken + #entries
      local place = operation.paging and next_place(operation, page, answer, #entries, taken, seen)
      if place == nil or place == false then over = true
      else
        local following = {}
        for field, value in pairs(page) do following[field] = value end
        following[operation.paging.position] = place
        page = following
      end
    end
    if i >= #entries then return nil end
    i = i + 1
    return entries[i], answer
  end
end

return M
