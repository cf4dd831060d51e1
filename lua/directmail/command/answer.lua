--- Answers and operations of the API for people: tables, fields, and the help that the catalogue gives.
-- @module directmail.command.answer
local catalogue = require "directmail.catalogue"
local cjson = require "cjson"
local err = require "directmail.err"
local pages = require "directmail.pages"

local M = {}

local WIDEST = 60       -- characters of a cell

-- ---- JSON -------------------------------------------------------------------------

-- cjson escapes "/" too; pairs are taken whole, so an escaped backslash before a slash stays
local function plain(json) return (json:gsub("\\(.)", { ["/"] = "/" })) end

--- A value as JSON on one line.
-- @param value
-- @treturn string
function M.json(value) return plain(cjson.encode(value)) end

--- A flat table as a JSON object, sorted by name.
-- @tparam table flat
-- @treturn string
function M.object(flat)
  local names, out = {}, {}
  for name in pairs(flat) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = M.json(name) .. ":" .. M.json(flat[name]) end
  return "{" .. table.concat(out, ",") .. "}"
end

--- Print the service's answer as it stands.
-- @tparam table answer of `directmail.api`
function M.body(answer) print((answer.body:gsub("%s+$", ""))) end

-- ---- tables ---------------------------------------------------------------------------

local function cell(value)
  if value == nil or value == cjson.null then return "" end
  if type(value) == "table" then value = M.json(value) end
  if math.type(value) == "float" and value == math.floor(value) then value = ("%.0f"):format(value) end
  local shown = err.printable(tostring(value))
  if utf8.len(shown) and utf8.len(shown) > WIDEST then shown = shown:sub(1, utf8.offset(shown, WIDEST) - 1) .. "…" end
  return shown
end

local function width(word) return utf8.len(word) or #word end

--- Print rows under headings.
-- @tparam {string,...} columns
-- @tparam {table,...} rows by column
function M.table(columns, rows)
  local wide, lines = {}, { {} }
  for i, name in ipairs(columns) do lines[1][i] = name end
  for n, row in ipairs(rows) do
    lines[n + 1] = {}
    for i, name in ipairs(columns) do lines[n + 1][i] = cell(row[name]) end
  end
  for i in ipairs(columns) do
    wide[i] = 0
    for _, line in ipairs(lines) do wide[i] = math.max(wide[i], width(line[i])) end
  end
  for _, line in ipairs(lines) do
    local out = {}
    for i, word in ipairs(line) do out[i] = i < #line and word .. (" "):rep(wide[i] - width(word)) or word end
    print((table.concat(out, "  "):gsub("%s+$", "")))
  end
end

-- The fields of an entry that a person wants to see: those of the catalogue's choice, else all that hold something anywhere.
local function columns_of(operation, rows)
  if operation.columns then return operation.columns end
  local fields = operation.answer
  for name in operation.list:gmatch "[^.]+" do
    for _, field in ipairs(fields) do
      if field.name == name then
        fields = field.fields
        break
      end
    end
  end
  local columns = {}
  for _, field in ipairs(fields) do
    local used = false
    for _, row in ipairs(rows) do
      local value = row[field.name]
      used = used or value ~= nil and value ~= "" and value ~= cjson.null
    end
    if used and not field.deprecated then columns[#columns + 1] = field.name end
  end
  return columns
end

--- Print the entries of a list.
-- @tparam table operation
-- @tparam {table,...} rows
function M.entries(operation, rows)
  if #rows == 0 then print "(none)" else M.table(columns_of(operation, rows), rows) end
end

-- Fields of an answer as lines `Name  value`, nested ones with dots.
local function fields_of(fields, values, at, out)
  for _, field in ipairs(fields) do
    local value = values[field.name]
    if type(value) == "table" and field.fields and not field.type:find "^list" then
      fields_of(field.fields, value, at .. field.name .. ".", out)
    elseif value ~= nil and value ~= cjson.null and value ~= "" then
      out[#out + 1] = { at .. field.name, cell(value), field.note }
    end
  end
  return out
end

local function print_fields(rows)
  local wide = 0
  for _, row in ipairs(rows) do wide = math.max(wide, #row[1]) end
  for _, row in ipairs(rows) do print(("%-" .. wide .. "s  %s"):format(row[1], row[2])) end
end

-- What an answer of an unknown operation has, sorted.
local function unknown_fields(answer)
  local out = {}
  for name, value in pairs(answer) do
    if name:find "^%u" or name == "data" then out[#out + 1] = { name, cell(value) } end
  end
  table.sort(out, function(a, b) return a[1] < b[1] end)
  return out
end

--- Print an answer.
-- @tparam string name of the operation
-- @tparam ?table operation of the catalogue
-- @tparam table answer of `directmail.api`
function M.answer(name, operation, answer)
  if operation and operation.list then
    local rows = pages.entries(operation, answer)
    M.entries(operation, rows)
    local total = operation.paging and tonumber(answer[operation.paging.total or ""])
    if total and total > #rows then io.stderr:write(("%d of %d; --all shows every page\n"):format(#rows, total))
    elseif operation.paging and operation.paging.next and (answer[operation.paging.next] or "") ~= "" then
      io.stderr:write(("%d, and there are more; --all shows every page\n"):format(#rows))
    end
    return
  end
  if not operation or operation.kind ~= "read" then
    print(("%s: done%s, %s, %.2f s"):format(name, answer.repeated and " (before the repeat)" or "", answer.region or answer.where.peer,
      answer.where.seconds))
  end
  print_fields(operation and fields_of(operation.answer, answer, "", {}) or unknown_fields(answer))
end

--- Print what several regions answered.
-- @tparam table operation
-- @tparam {table,...} answers `{ region=, answer=, err= }`
-- @tparam boolean json one object a line
function M.regions(operation, answers, json)
  if json then
    for _, one in ipairs(answers) do
      local e = one.err and err.plain(one.err)
      if e then
        e.region = one.region
        print(M.object(e))
      else
        print(('{"region":%s,"ok":true,"answer":%s}'):format(M.json(one.region), (one.answer.body:gsub("%s+$", ""))))
      end
    end
    return
  end
  local rows, columns, failed = {}, {}, {}
  local function add(region, entry)
    local row = { region = region }
    for name, value in pairs(entry) do row[name] = value end
    rows[#rows + 1] = row
  end
  local all = {}
  for _, one in ipairs(answers) do
    for _, entry in ipairs(one.answer and operation.list and pages.entries(operation, one.answer) or {}) do all[#all + 1] = entry end
  end
  if operation.list then
    columns = columns_of(operation, all)
  else
    for _, field in ipairs(operation.answer) do
      if field.name ~= "RequestId" and not field.deprecated and not field.fields then columns[#columns + 1] = field.name end
    end
  end
  for _, one in ipairs(answers) do
    if one.err then
      failed[#failed + 1] = one
    elseif operation.list then
      local entries = pages.entries(operation, one.answer)
      for _, entry in ipairs(entries) do add(one.region, entry) end
      if #entries == 0 then add(one.region, { [columns[1] or "entries"] = "(none)" }) end
    else
      add(one.region, one.answer)
    end
  end
  if #rows > 0 then M.table({ "region", table.unpack(#columns > 0 and columns or { "entries" }) }, rows) end
  for _, one in ipairs(failed) do io.stderr:write(("directmail: %s: %s\n"):format(one.region, tostring(one.err))) end
end

-- ---- help ----------------------------------------------------------------------------------

local LIMITS = {
  { "min", "at least %s" }, { "max", "at most %s" }, { "min_chars", "at least %s characters" }, { "max_chars", "at most %s characters" },
  { "max_bytes", "at most %s octets" }, { "max_items", "at most %s entries" }, { "max_addresses", "at most %s addresses" },
  { "separator", "separated by %s" }, { "charset", "of %s" }, { "format", "%s" }, { "files", "a file of %s" }, { "allowed", "names: %s" },
  { "max_span_days", "a window of at most %s days" }, { "max_age_days", "not older than %s days" }, { "default", "default %s" },
}

local function limits_of(field)
  local out = {}
  if field.enum then out[1] = "one of " .. table.concat(field.enum, ", ") end
  for _, row in ipairs(LIMITS) do
    local value = field[row[1]]
    if value ~= nil then out[#out + 1] = row[2]:format(type(value) == "table" and table.concat(value, " ") or cell(value)) end
  end
  if field.secret then out[#out + 1] = "secret: @FILE or - only" end
  if field.wire == "json" then out[#out + 1] = "JSON" end
  if field.deprecated then out[#out + 1] = "obsolete" end
  if field.since then out[#out + 1] = "since " .. field.since end
  return out
end

-- Words in lines of at most 110 characters behind an indent.
local function wrapped(words, indent, out)
  local line = ""
  for word in words:gmatch "%S+" do
    if line ~= "" and width(line) + width(word) + 1 > 110 - #indent then
      out[#out + 1] = indent .. line
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  if line ~= "" then out[#out + 1] = indent .. line end
end

local function describe(fields, at, out)
  for _, field in ipairs(fields) do
    local name = at .. field.name
    out[#out + 1] = ("   --%-24s %s%s"):format(name, field.type, field.required and ", needed" or "")
    if field.note then wrapped(field.note, (" "):rep(8), out) end
    local limits = limits_of(field)
    if #limits > 0 then wrapped(table.concat(limits, "; "), (" "):rep(8), out) end
    for _, said in ipairs(field.says or {}) do wrapped(said, (" "):rep(8), out) end
    if field.fields then describe(field.fields, name .. (field.type:find "^list" and ".N." or "."), out) end
  end
end

local function describe_answer(fields, at, out)
  for _, field in ipairs(fields) do
    local name = at .. field.name
    if not field.deprecated then
      out[#out + 1] = ("   %-34s %s%s"):format(name, field.type, field.note and ": " .. field.note or "")
      if field.fields then describe_answer(field.fields, name .. (field.type:find "^list" and "[]." or "."), out) end
    end
  end
end

local RULES = { exactly_one = "exactly one of %s", at_least_one = "at least one of %s", at_most_one = "at most one of %s" }

local function rule_text(rule)
  local names = table.concat(rule, ", ", 2)
  if RULES[rule[1]] then return RULES[rule[1]]:format(names) end
  if rule[1] == "needs" then return ("%s needs %s"):format(rule[2], table.concat(rule, ", ", 3)) end
  return names .. (#rule > 2 and " are needed, whatever their flags say" or " is needed, whatever its flag says")
end

local KINDS = { read = "reads only", change = "changes something", delete = "deletes" }

--- The help of an operation.
-- @tparam table operation
-- @treturn string
function M.help(operation)
  local out = { ("directmail api %s: %s"):format(operation.name, operation.purpose), "" }
  out[#out + 1] = ("It %s%s. A repeat after an unknown outcome is %s: %s."):format(KINDS[operation.kind],
    operation.sends == "mail" and " and sends mail" or operation.sends and " and costs something" or "",
    operation.retry and "safe" or "not safe", operation.retry_reason)
  if operation.look then out[#out + 1] = "Afterwards ask " .. operation.look .. "." end
  if operation.since then out[#out + 1] = "Since " .. operation.since .. "."
  elseif operation.seen then out[#out + 1] = ("In the official Node SDK since %s or before."):format(operation.seen) end
  out[#out + 1] = ("RAM right: %s%s"):format(catalogue.right(operation.name), operation.right and " (" .. operation.right .. ")" or "")
  out[#out + 1] = ""
  if #operation.params == 0 then out[#out + 1] = "It has no parameters." else out[#out + 1] = "Parameters:" end
  describe(operation.params, "", out)
  if operation.rule or operation.says then
    out[#out + 1] = "\nRules:"
    for _, rule in ipairs(operation.rule or {}) do wrapped("- " .. rule_text(rule), "   ", out) end
    for _, said in ipairs(operation.says or {}) do wrapped("- " .. said, "   ", out) end
  end
  out[#out + 1] = "\nAnswer:"
  describe_answer(operation.answer, "", out)
  if operation.codes then
    out[#out + 1] = "\nError codes (directmail explain CODE):"
    wrapped(table.concat(operation.codes, " "), "   ", out)
  end
  return table.concat(out, "\n")
end

return M
