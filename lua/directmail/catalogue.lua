--- The operations of the API: what there is, and whether a call's parameters can be right.
-- The facts stand in src/data/operations.tsv and operations_own.tsv, each with its source; a group's file is read when one
-- of its operations is first asked for.
--
-- An operation is `{ name=, group=, kind = "read"|"change"|"delete", retry = a blind repeat is safe, retry_reason=, sends = "mail"|"cost"|nil,
-- purpose=, params = { field… }, answer = { field… }, list = "data.tag"|nil, paging = { style=, position=, size=, next=, more=, pages=, total= }|nil,
-- rule = { { kind, name… }… }, says = { text… }, codes = { code… }, since=, seen=, look=, done=, rate=, right=, columns= }`,
-- a field `{ name=, type=, required=, note=, fields = { field… }, and its limits }`.
-- @module directmail.catalogue
local core = require "directmail.core"
local err = require "directmail.err"
local index = require "directmail.data.operations"
local json = require "cjson"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local M = {}

local SHOWN = 40        -- characters of a wrong value that an error repeats
local DAY = 86400
local MAX_DEPTH = 8     -- the deepest parameter is a list of objects of lists: three

local names, found = nil, {}

--- All names, sorted.
-- @treturn {string,...}
function M.names()
  if not names then
    names = {}
    for name in pairs(index) do names[#names + 1] = name end
    table.sort(names)
  end
  return names
end

--- What the list of operations says of one, without reading its group.
-- @tparam string name
-- @treturn table|nil `{ group=, kind=, retry=, sends=, purpose= }`
function M.brief(name) return index[name] end

--- An operation.
-- @tparam string name
-- @treturn table|nil see above; nil when the catalogue has none of this name
function M.find(name)
  if found[name] then return found[name] end
  local brief = index[name]
  if not brief then return nil end
  local operation = { name = name }
  for fact, value in pairs(require("directmail.data.operations." .. brief.group)[name]) do operation[fact] = value end
  for fact, value in pairs(brief) do operation[fact] = value end
  found[name] = operation
  return operation
end

--- The name that was most likely meant.
-- @tparam string name
-- @treturn string|nil
function M.nearest(name) return option.nearest(name, M.names()) end

--- The right that a RAM policy must give for an operation.
-- Direct Mail's are `dm:` and the operation's name, for all resources
-- (https://www.alibabacloud.com/help/en/direct-mail/api-dm-2015-11-23-ram).
-- @tparam string name
-- @treturn string
function M.right(name) return "dm:" .. name end

-- ---- values -------------------------------------------------------------------

local function characters(text) return select(2, text:gsub("[^\128-\191]", "")) end

local function shown(value)
  if type(value) == "table" then return "a table" end
  local text = tostring(value)
  if type(value) ~= "string" then return text end
  if characters(text) > SHOWN then
    local cut = text:sub(1, SHOWN):gsub("[\192-\255][\128-\191]*$", "")
    text = cut .. "…"
  end
  return '"' .. text .. '"'
end

local function fault(c, field, at, what, text, limit)
  c.faults[#c.faults + 1] = { parameter = at, what = what, text = text, limit = limit, way_out = limit and field.way_out }
end

local function bad(c, field, at, value, why, limit)
  fault(c, field, at, "value", field.secret and ("%s cannot be used: %s"):format(at, (why:gsub("^and ", "it ")))
    or ("%s is %s, %s"):format(at, shown(value), why), limit)
end

local function has(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- Is it a list: keys 1 to n and no others?
local function is_list(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n == #t
end

local function keys(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = tostring(key) end
  table.sort(list)
  return list
end

-- Days since 1970 of a date that exists; else nil.
local function days(year, month, day)
  local lengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  if year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then lengths[2] = 29 end
  if month < 1 or month > 12 or day < 1 or day > lengths[month] then return nil end
  local n = (year - 1970) * 365 + math.floor((year - 1969) / 4) - math.floor((year - 1901) / 100) + math.floor((year - 1601) / 400) + day - 1
  for m = 1, month - 1 do n = n + lengths[m] end
  return n
end

local TIMES = {
  ["yyyy-MM-dd"] = "^(%d%d%d%d)%-(%d%d)%-(%d%d)$",
  ["yyyy-MM-dd HH:mm"] = "^(%d%d%d%d)%-(%d%d)%-(%d%d) (%d%d):(%d%d)$",
  ["RFC 3339"] = "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt](%d%d):(%d%d):(%d%d)%.?%d*([Zz+-]%d?%d?:?%d?%d?)$",
}

-- Seconds since 1970 as if the text were in UTC: enough for the length of a window.
local function seconds_of(format, text)
  local year, month, day, hour, minute = text:match(TIMES[format])
  if not year then return nil end
  local n = days(tonumber(year), tonumber(month), tonumber(day))
  hour, minute = tonumber(hour or 0), tonumber(minute or 0)
  if not n or hour > 23 or minute > 59 then return nil end
  return n * DAY + hour * 3600 + minute * 60
end

-- Formats of texts: nil when it has the format, else what it should be.
local function same_letter(text) return text ~= "" and text:lower() == text:sub(1, 1):lower():rep(#text) end

local FORMATS = {
  ["smtp password"] = function(text)
    local digits, upper, lower = text:gsub("%D", ""), text:gsub("%U", ""), text:gsub("%L", "")
    if #digits < 2 or #upper < 2 or #lower < 2 then return "at least 2 digits, 2 upper case and 2 lower case letters are needed" end
    if same_letter(digits) or same_letter(upper .. lower) then return "digits and letters must not all be the same" end
  end,
  ["dkim selector"] = function(text)
    if not text:find "^%w[%w-]*$" or text:find "%-$" then return "letters, digits and hyphens inside are taken" end
  end,
}
for name in pairs(TIMES) do
  FORMATS[name] = function(text)
    if not seconds_of(name, text) then return "a date that exists is wanted, written as " .. name end
  end
end

-- One bare address; nil and why it is none. A comma or a quoted local part would break the API's lists.
local function bare_address(text)
  local list, why = core.addresses(text)
  if not list then return nil, why end
  local box = list[1]
  if #list ~= 1 then return nil, "it is not one address" end
  if box.name ~= "" or text:find "[<>]" then return nil, "it must be a bare address, without a name" end
  if box.quoted or box.comma then return nil, "the API takes no quoted local part" end
  if box.literal or box.single then return nil, "its domain has no dot" end
  if #box.address > limits.api_address then return nil, ("it has %d octets, the API takes %d"):format(#box.address, limits.api_address) end
  return box.address
end

local function address_list(c, field, at, text)
  local out = {}
  for piece in (text .. ","):gmatch "([^,]*)," do
    piece = piece:match "^%s*(.-)%s*$"
    local address, why = bare_address(piece)
    if address then out[#out + 1] = address
    else bad(c, field, at, piece, "which is no address: " .. why) end
  end
  return table.concat(out, ",")
end

local function check_address(c, field, at, text)
  if field.address == "list" then return address_list(c, field, at, text) end
  if field.address == "domain_auth" and tostring(c.params.DomainAuth) == "true" then
    if not text:find "^[%w.-]+%.[%w-]+$" then bad(c, field, at, text, "with DomainAuth a bare domain is wanted") end
    return text
  end
  local address, why = bare_address(text)
  if not address then bad(c, field, at, text, "which is no address: " .. why) end
  return address or text
end

-- Names of an object that stand in a list where * is any ending.
local function allowed_name(allowed, name)
  for _, pattern in ipairs(allowed) do
    local start = pattern:match "^(.*)%*$"
    if start and #name > #start and name:sub(1, #start):lower() == start:lower() or name:lower() == pattern:lower() then return true end
  end
  return false
end

local function count_items(c, field, at, n)
  if field.max_items and n > field.max_items then
    fault(c, field, at, "value", ("%s has %d entries, at most %d are taken"):format(at, n, field.max_items), field.max_items)
  end
end

local function json_of(text)
  local ok, value = pcall(json.decode, text)        -- decoding does not wait
  if ok and type(value) == "table" then return value end
end

-- A string parameter that is JSON text: an object or a list of objects, whose inner names the service does not fix.
local function check_json_text(c, field, at, value)
  local list = field.format == "json list"
  local given = value
  if type(value) == "string" then given = json_of(value) end
  if type(given) ~= "table" or (next(given) ~= nil and is_list(given) ~= list) then
    bad(c, field, at, value, ("which is no JSON %s"):format(list and "list" or "object"))
    return nil
  end
  count_items(c, field, at, list and #given or #keys(given))
  if field.allowed then
    for _, name in ipairs(keys(given)) do
      local inner = given[name]
      if not allowed_name(field.allowed, name) then
        fault(c, field, at, "value", ("%s has %s, and only %s are taken"):format(at, shown(name), table.concat(field.allowed, ", ")),
          table.concat(field.allowed, " "))
      elseif type(inner) ~= "string" or inner:find "%c" or not core.utf8(inner) then
        fault(c, field, at, "value", ("%s.%s must be a text of one line"):format(at, name))
      end
    end
  end
  if type(value) == "string" then return value end
  if list and next(given) == nil then return "[]" end
  local ok, text = pcall(json.encode, given)
  if ok then return text end
  bad(c, field, at, value, "which cannot be written as JSON")
end

local function charset_class(words)
  local out = {}
  for _, word in ipairs(words) do out[#out + 1] = word:find "^%w%-%w$" and word or word:gsub("%W", "%%%0") end
  return "[^" .. table.concat(out) .. "]"
end

-- What every text must be; true when it may be looked at further.
local function clean_text(c, field, at, text)
  local valid = core.utf8(text)
  if not valid then bad(c, field, at, (text:gsub("[\128-\255]", "?")), "which is not UTF-8") return false end
  if text:find("%z") then bad(c, field, at, text, "which holds a NUL") return false end
  if not field.lines and text:find "%c" then bad(c, field, at, text, "which holds a line break or another control character") return false end
  return true
end

local function check_text(c, field, at, text)
  if not clean_text(c, field, at, text) then return text end
  if field.enum and not has(field.enum, text) then
    bad(c, field, at, text, "and must be one of: " .. table.concat(field.enum, ", "), table.concat(field.enum, " "))
  end
  local n = (field.max_chars or field.min_chars) and characters(text)
  if field.max_chars and n > field.max_chars then
    fault(c, field, at, "value", ("%s has %d characters, at most %d are taken"):format(at, n, field.max_chars), field.max_chars)
  elseif field.min_chars and n < field.min_chars then
    fault(c, field, at, "value", ("%s has %d characters, at least %d are needed"):format(at, n, field.min_chars), field.min_chars)
  end
  if field.max_bytes and #text > field.max_bytes then
    fault(c, field, at, "value", ("%s has %d octets, at most %d are taken"):format(at, #text, field.max_bytes), field.max_bytes)
  end
  local stray = field.charset and text:match(charset_class(field.charset))
  if stray then bad(c, field, at, text, ("and may hold only %s"):format(table.concat(field.charset, " "))) end
  local why = field.format and FORMATS[field.format] and FORMATS[field.format](text)
  if why then bad(c, field, at, text, why) end
  if TIMES[field.format or ""] and not why then c.times[field.name] = seconds_of(field.format, text) end
  if field.separator then count_items(c, field, at, select(2, text:gsub(field.separator, "")) + 1) end
  if field.address then return check_address(c, field, at, text) end
  return text
end

-- A whole number's range; `n` may be a text.
local function check_range(c, field, at, n)
  local number = tonumber(n)
  if field.enum and not has(field.enum, ("%.0f"):format(number)) then
    bad(c, field, at, n, "and must be one of: " .. table.concat(field.enum, ", "), table.concat(field.enum, " "))
  end
  if field.min and number < field.min then
    bad(c, field, at, n, ("and must be at least %d"):format(field.min), field.min)
  elseif field.max and number > field.max then
    bad(c, field, at, n, ("and must be at most %d"):format(field.max), field.max)
  end
  if field.max_span_days then c.times[field.name] = number end
end

local function is_whole(value)
  if type(value) == "number" then return value == math.floor(value) and value > -2 ^ 63 and value < 2 ^ 63 end
  return type(value) == "string" and #value < 20 and value:find "^%-?%d+$" ~= nil
end

local check_value, check_fields

local CHECKS = {}

function CHECKS.integer(c, field, at, value)
  if is_whole(value) then check_range(c, field, at, value)
  else bad(c, field, at, value, "and must be a whole number") end
  return value
end

function CHECKS.boolean(c, field, at, value)
  if value ~= true and value ~= false and value ~= "true" and value ~= "false" then bad(c, field, at, value, "and must be true or false") end
  return value
end

CHECKS["string"] = function(c, field, at, value)
  if field.format == "json object" or field.format == "json list" then
    if type(value) ~= "table" and type(value) ~= "string" then
      bad(c, field, at, value, "and must be a table, or JSON text")
      return nil
    end
    if type(value) == "string" and not clean_text(c, field, at, value) then return nil end
    return check_json_text(c, field, at, value)
  end
  if type(value) == "table" and field.separator and is_list(value) then
    local parts = {}
    for i, part in ipairs(value) do
      parts[i] = tostring(part)
      if parts[i]:find(field.separator, 1, true) then bad(c, field, at, part, "and an entry cannot hold the separator " .. field.separator) return nil end
    end
    value = table.concat(parts, field.separator)
  end
  if type(value) == "boolean" and field.enum and has(field.enum, "true") then value = tostring(value) end
  if type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge then
    value = is_whole(value) and ("%.0f"):format(value) or ("%.14g"):format(value)
  end
  if type(value) ~= "string" then
    bad(c, field, at, value, "and must be a text")
    return nil
  end
  if field.min or field.max then
    if is_whole(value) then check_range(c, field, at, value)
    else bad(c, field, at, value, "and must be a whole number") end
    return value
  end
  return check_text(c, field, at, value)
end

function CHECKS.map(c, field, at, value)
  if type(value) ~= "table" or (#value > 0) then
    bad(c, field, at, value, "and must be a table of names and texts")
    return nil
  end
  local out = {}
  for name, inner in pairs(value) do
    local kind = type(inner)
    if type(name) ~= "string" or (kind ~= "string" and kind ~= "number" and kind ~= "boolean") then
      fault(c, field, at, "value", ("%s.%s must be a text"):format(at, tostring(name)))
    else
      if kind == "number" and is_whole(inner) then inner = ("%.0f"):format(inner) end
      local text = tostring(inner)
      if clean_text(c, field, at .. "." .. name, text) then out[name] = text end
    end
  end
  return out
end

CHECKS["list of string"] = function(c, field, at, value)
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" or not is_list(value) then
    bad(c, field, at, value, "and must be a list of texts")
    return nil
  end
  local out = {}
  for i, inner in ipairs(value) do out[i] = CHECKS["string"](c, { name = field.name, address = field.address and "one" }, ("%s.%d"):format(at, i), inner) end
  if field.address then c.addresses = (c.addresses or 0) + #value end
  return out
end

function CHECKS.object(c, field, at, value)
  if type(value) ~= "table" or (#value > 0) then
    bad(c, field, at, value, "and must be a table" .. (field.wire == "json" and ", or JSON text" or ""))
    return nil
  end
  return check_fields(c, field.fields or {}, value, at .. ".", field.rule, field)
end

CHECKS["list of object"] = function(c, field, at, value)
  if type(value) ~= "table" or not is_list(value) then
    bad(c, field, at, value, "and must be a list" .. (field.wire == "json" and ", or JSON text" or ""))
    return nil
  end
  count_items(c, field, at, #value)
  local before, out = c.addresses, {}
  c.addresses = 0
  -- a fault in each of a million entries helps nobody
  for i = 1, math.min(#value, (field.max_items or 1000) + 1) do
    out[i] = CHECKS.object(c, { name = field.name, fields = field.fields, rule = field.rule }, ("%s.%d"):format(at, i), value[i])
  end
  if field.max_addresses and c.addresses > field.max_addresses and #value <= (field.max_items or 1000) then
    fault(c, field, at, "value", ("%s has %d addresses, at most %d are taken"):format(at, c.addresses, field.max_addresses), field.max_addresses)
  end
  c.addresses = before
  return out
end

-- JSON in the order of the catalogue, where an empty list stays one.
local function encode(field, value)
  if field.type == "object" then
    local out = {}
    for _, inner in ipairs(field.fields) do
      if value[inner.name] ~= nil then out[#out + 1] = json.encode(inner.name) .. ":" .. encode(inner, value[inner.name]) end
    end
    return "{" .. table.concat(out, ",") .. "}"
  elseif field.type == "list of object" or field.type == "list of string" then
    local out = {}
    for i, item in ipairs(value) do
      out[i] = field.type == "list of string" and json.encode(item) or encode({ type = "object", fields = field.fields }, item)
    end
    return "[" .. table.concat(out, ",") .. "]"
  elseif field.type == "map" then
    local out = {}
    for i, name in ipairs(keys(value)) do out[i] = json.encode(name) .. ":" .. json.encode(value[name]) end
    return "{" .. table.concat(out, ",") .. "}"
  end
  return json.encode(field.type == "boolean" and tostring(value) == "true" or field.type ~= "boolean" and value)
end

check_value = function(c, field, at, value)
  local kind = type(value)
  if kind == "function" or kind == "userdata" or kind == "thread" then
    fault(c, field, at, "value", ("%s is %s: leave it out, or give a value"):format(at, value == json.null and "null" or "a " .. kind))
    return nil
  end
  if field.wire == "json" then
    if kind == "string" then
      value = json_of(value)
      if not value then
        bad(c, field, at, "…", "which is no JSON")
        return nil
      end
    end
    local before = #c.faults
    local checked = CHECKS[field.type](c, field, at, value)
    return #c.faults == before and encode(field, checked) or nil
  end
  return CHECKS[field.type](c, field, at, value)
end

local function given(value) return value ~= nil and value ~= "" and not (type(value) == "table" and next(value) == nil) end

local function words_of(list, last)
  if #list < 2 then return list[1] or "" end
  return table.concat(list, ", ", 1, #list - 1) .. " " .. last .. " " .. list[#list]
end

local RULES = {
  exactly_one = function(there, listed)
    if #there == 0 then return "one of " .. words_of(listed, "and") .. " is needed", "missing" end
    if #there > 1 then return words_of(there, "and") .. " exclude each other: exactly one is taken", "exclusive" end
  end,
  at_least_one = function(there, listed)
    if #there == 0 then return "at least one of " .. words_of(listed, "and") .. " is needed", "missing" end
  end,
  at_most_one = function(there)
    if #there > 1 then return words_of(there, "and") .. " exclude each other: at most one is taken", "exclusive" end
  end,
}

local function check_rule(c, rule, values, at, owner)
  local function named(list, first)
    local out = {}
    for i = first, #list do out[#out + 1] = at .. list[i]:match "^[^=]+" end
    return out
  end
  local listed, there = named(rule, 2), {}
  for i = 2, #rule do
    if given(values[rule[i]:match "^[^=]+"]) then there[#there + 1] = at .. rule[i]:match "^[^=]+" end
  end
  if RULES[rule[1]] then
    local text, what = RULES[rule[1]](there, listed)
    if text then fault(c, owner, listed[1], what, text) end
    return
  end
  local first, because = 2, ""
  if rule[1] == "needs" then
    local name, wanted = rule[2]:match "^([^=]+)=?(.*)$"
    local value = values[name]
    if not given(value) or (wanted ~= "" and tostring(value) ~= wanted) then return end
    first, because = 3, (" with %s%s"):format(at .. name, wanted ~= "" and " = " .. wanted or "")
  end
  for i = first, #rule do
    if not given(values[rule[i]]) then
      local absent = at .. rule[i]
      fault(c, owner, absent, "missing", ("%s is missing%s"):format(absent, because ~= "" and ":" .. because .. " it is needed" or ""))
    end
  end
end

-- The fields of an operation or of an object; what goes on the wire, by name.
check_fields = function(c, fields, values, at, rules, owner)
  local out, known, unknown = {}, {}, {}
  c.depth = c.depth + 1
  if c.depth > MAX_DEPTH then error "the catalogue is deeper than it can be" end
  for i, field in ipairs(fields) do known[i], known[field.name] = field.name, true end
  for _, field in ipairs(at == "" and c.internal or {}) do known[field.name] = true end
  for name in pairs(values) do
    if type(name) ~= "string" or not known[name] then unknown[#unknown + 1] = tostring(name) end
  end
  table.sort(unknown)
  for _, name in ipairs(unknown) do
    local near = option.nearest(name, known)
    fault(c, owner, at .. name, "unknown", ("there is no %s %s%s"):format(at == "" and "parameter" or "field", at .. name,
      near and (" (did you mean %s?)"):format(near) or ""))
  end
  for _, field in ipairs(fields) do
    local value = values[field.name]
    if value ~= nil and value ~= "" then
      out[field.name] = check_value(c, field, at .. field.name, value)
    elseif field.required then
      local note = field.note and " (" .. field.note:match "^[^;(]*":gsub("%s+$", "") .. ")" or ""
      fault(c, field, at .. field.name, "missing", ("%s is missing%s"):format(at .. field.name, note))
    else
      out[field.name] = value
    end
  end
  for _, field in ipairs(at == "" and c.internal or {}) do
    if given(values[field.name]) then out[field.name] = check_value(c, field, field.name, values[field.name]) end
  end
  for _, rule in ipairs(rules or {}) do check_rule(c, rule, values, at, owner) end
  c.depth = c.depth - 1
  return out
end

-- Windows: how long, how old.
local function check_windows(c, fields)
  for _, field in ipairs(fields) do
    local about = field.name:match "^Start(.+)$"
    local start, stop = c.times[field.name], about and c.times["End" .. about]
    if start and stop and field.max_span_days then
      local span = (stop - start) / DAY
      if span < 0 then
        fault(c, field, field.name, "value", ("%s lies behind End%s"):format(field.name, about))
      elseif span > field.max_span_days then
        fault(c, field, field.name, "value", ("%s to End%s spans %d days, at most %d are taken"):format(field.name, about, math.ceil(span),
          field.max_span_days), field.max_span_days)
      end
    end
    -- a day more: which zone the service's days are in is not documented
    if start and field.max_age_days and c.now - start > (field.max_age_days + 2) * DAY then
      fault(c, field, field.name, "value", ("%s lies %d days back, the service looks back %d"):format(field.name, math.floor((c.now - start) / DAY),
        field.max_age_days), field.max_age_days)
    end
  end
end

--- Check the parameters of a call, all of them.
-- @tparam table operation of `find`
-- @tparam table params by name; numbers and booleans may be texts, objects and lists tables or JSON text
-- @tparam number now seconds since 1970, for windows that must not be older than some days
-- @treturn table what goes on the wire by name, for `directmail.sign`
-- @treturn {table,...} faults `{ parameter=, what = "unknown"|"missing"|"value"|"exclusive", text=, limit=, way_out= }`, empty when all is well
function M.check(operation, params, now)
  local c = { faults = {}, times = {}, params = params, now = now, internal = operation.internal or {}, depth = 0 }
  local wire = check_fields(c, operation.params, params, "", operation.rule, {})
  check_windows(c, operation.params)
  return wire, c.faults
end

--- The faults of a call as one error.
-- @tparam string name the operation
-- @tparam {table,...} faults of `check`
-- @treturn err OPTION; `detail` names the parameters, the cause has every fault with its limit
function M.error(name, faults)
  local texts, parameters, ways, seen = {}, {}, {}, {}
  for i, f in ipairs(faults) do
    texts[i] = f.text
    if f.parameter ~= parameters[#parameters] then parameters[#parameters + 1] = f.parameter end
    if f.way_out and not seen[f.way_out] then
      seen[f.way_out] = true
      ways[#ways + 1] = f.way_out
    end
  end
  ways[#ways + 1] = ("directmail api %s --help lists the parameters and their limits"):format(name)
  return err.new { code = "OPTION", detail = table.concat(parameters, ", "), cause = name .. ": " .. table.concat(texts, "; "),
    remedy = table.concat(ways, "; "), blame = "client-bug" }
end

--- Flat names as tables: `Receivers.1.To.1 = "a@x"` becomes `Receivers = { { To = { "a@x" } } }`.
-- @tparam table flat name -> value
-- @treturn table
-- @treturn string|nil a name that cannot be placed, because another one is in its way
function M.unflatten(flat)
  local out = {}
  for _, name in ipairs(keys(flat)) do
    local at, last = out, nil
    for part in name:gmatch "[^.]+" do
      if last ~= nil then
        if at[last] == nil then at[last] = {} end
        at = at[last]
        if type(at) ~= "table" then return out, name end
      end
      last = part:find "^[1-9]%d?%d?%d?$" and at ~= out and tonumber(part) or part
    end
    if last == nil or at[last] ~= nil then return out, name end
    at[last] = flat[name]
  end
  return out
end

return M
