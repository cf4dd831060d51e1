--- Take out of a list whom the service, or the own store, does not let be written to.
-- @module directmail.list.purge
local addresses = require "directmail.list.address"
local columns_of = require "directmail.list.columns"
local csv = require "directmail.csv"
local invalid = require "directmail.list.invalid"
local option = require "directmail.option"
local register = require "directmail.list.register"

local STRIDE = 256      -- rows for which the store is asked at once
local OPTIONS = { "column", "store", "charset", "on_row" }

-- Everything of both stores into the register; counts, or nil, err.
local function collect(mail, seen)
  local broken
  local counts, e = invalid.each(mail, function(one)
    local name = one.address:gsub("^@", "")
    local ok, why = seen:note(name, ("%s since %s"):format(one.store, one.since or "an unknown time"))
    if not ok then broken = broken or why end
  end)
  if broken then return nil, broken end
  return counts, e
end

-- Why the service lets a row not be written to: words, false when it does; nil, err.
local function listed(seen, one)
  for _, name in ipairs { one.key, one.domain } do
    local text, e = seen:read(name)
    if text == nil then return nil, e end
    if text then return ("invalid.%s: the service lists %s (%s)"):format(text:match "^%l+", name, text) end
  end
  return false
end

-- The rows that the own store suppresses get their reason. true; or nil, err.
local function look_up(store, rows)
  local list, asked = {}, {}
  for _, row in ipairs(rows) do
    if row.to and not row.reasons[1] then list[#list + 1], asked[#asked + 1] = row.to, row end
  end
  if not list[1] then return true end
  local answers, e = store:suppressed_of(list)
  if not answers then return nil, e end
  for i, row in ipairs(asked) do
    if answers[i] then row.reasons[1] = ("suppressed: %s (%s)"):format(answers[i].reason, answers[i].source) end
  end
  return true
end

-- The next rows with their reasons; an empty list at the end; nil, err. A fault of the file comes behind the rows in front of it.
local function read(state, seen, column, store)
  local rows = {}
  if state.fault then return nil, state.fault end
  while #rows < STRIDE and not state.ended do
    local values, line = state.following()
    if not values then
      state.ended = true
      if values == false then state.fault = line end
    else
      state.read = state.read + 1
      local row = { row = state.read, line = line, values = values, address = values[column] or "", reasons = {} }
      local one = addresses.read(row.address)
      if one.key then
        local why, e = listed(seen, one)
        if why == nil then return nil, e end
        row.to, row.reasons[1] = one.to, why or nil
      end
      rows[#rows + 1] = row
    end
  end
  if store then
    local ok, e = look_up(store, rows)
    if not ok then return nil, e end
  end
  if not rows[1] and state.fault then return nil, state.fault end
  return rows
end

local function walk(seen, following, column, options)
  local summary, state = { rows = 0, kept = 0, removed = 0, reasons = {} }, { following = following, read = 0 }
  while true do
    local rows, e = read(state, seen, column, options.store)
    if not rows then return nil, e, summary end
    if not rows[1] then return summary end
    for _, row in ipairs(rows) do
      local why = row.reasons[1]
      row.removed = why and true or false
      summary.rows = summary.rows + 1
      if why then
        local id = why:match "^[%w_.]+"
        summary.removed, summary.reasons[id] = summary.removed + 1, (summary.reasons[id] or 0) + 1
      else
        summary.kept = summary.kept + 1
      end
      if options.on_row then options.on_row(row) end
    end
  end
end

--- Go through a list. What is no address stays in it: `list.check` is for that.
-- @function purge
-- @tparam table mail of `directmail.new`, with AccessKeys
-- @tparam string|table source as of `directmail.csv`.rows; fields too few or too many end it
-- @tparam[opt] table options `column`; `store` = a store whose suppression list counts too; `charset`; `on_row` = function(row): `{ row=, line=, address=,
--   values=, removed = boolean, reasons = {"invalid.global: …"} }`, in the list's order
-- @treturn table `{ rows=, kept=, removed=, reasons = {id = count}, listed = {global=, account=}, columns= }`; or nil, err
local function purge(mail, source, options)
  if type(mail) ~= "table" or type(mail.settings) ~= "table" then error("bad argument #1 to list.purge (mail object expected)", 2) end
  options = options or {}
  option.check(options, OPTIONS, "list.purge", 2)
  local able, why = register.able(mail.host)
  if not able then return nil, why end
  if type(source) == "string" then source = { path = source } end
  local from = { charset = options.charset }
  for name, value in pairs(source) do from[name] = value end
  local following, columns, place = csv.rows(from)
  if not following then return nil, columns end
  local column, e = columns_of.find(columns, options.column, "column")
  if not column then return nil, e end
  local seen
  seen, e = register.open()
  if not seen then return nil, e end
  local counts, summary, partial
  counts, e = collect(mail, seen)
  if counts then summary, e, partial = walk(seen, following, column, options) end
  seen:close()
  if not summary then return nil, e, partial end
  summary.listed, summary.columns, summary.charset = { global = counts.global or 0, account = counts.account or 0 }, columns, place.charset or "utf-8"
  return summary
end

return purge
