--- Recipient lists and who stands in them.
local core = require "directmail.core"
local json = require "cjson"
local state = require "directmail.sandbox.operations.state"

local M = {}

local MOST_LISTS, MOST_ENTRIES = 10, 10000      -- of an account, of a list (Direct Mail, "Limits")

-- The five fixed variables: the key in Detail, and the name in a template and in DataSchema.
local COLUMNS = { { "u", "UserName" }, { "n", "NickName" }, { "g", "Gender" }, { "b", "Birthday" }, { "m", "Mobile" } }

function M.QueryReceiverByParam(a)
  local list = {}
  for _, receiver in ipairs(a.state.receivers) do
    if not a.p.KeyWord or receiver.name:find(a.p.KeyWord, 1, true) then
      list[#list + 1] = { Count = #receiver.entries, CreateTime = state.time(receiver.created), Desc = receiver.description, ReceiverId = receiver.id,
        ReceiversAlias = receiver.alias, ReceiversName = receiver.name, ReceiversStatus = "1", UtcCreateTime = math.floor(receiver.created) }
    end
  end
  return { list = list }
end

function M.CreateReceiver(a)
  if state.find(a.state.receivers, "name", a.p.ReceiversName) then return nil, "InvalidReceiverName.Malformed", " There is a list of this name." end
  if #a.state.receivers >= MOST_LISTS then return nil, "InvalidReceiverName.Malformed", " There are 10 lists already." end
  local receiver = { id = a.state:id(), name = a.p.ReceiversName, alias = a.p.ReceiversAlias, description = a.p.Desc, created = a.now, entries = {},
    by_address = {} }
  table.insert(a.state.receivers, receiver)
  return { ReceiverId = receiver.id }
end

local function receiver_of(a) return state.find(a.state.receivers, "id", a.p.ReceiverId) end

function M.DeleteReceiver(a)
  local _, at = receiver_of(a)
  if not at then return nil, "InvalidReceiver.NotFound" end
  table.remove(a.state.receivers, at)
  return {}
end

local function text(value) return (type(value) == "string" or type(value) == "number") and tostring(value) or nil end

-- Rows as `{ email, values }` from the two forms.
local function rows(a)
  local out = {}
  for _, row in ipairs(json.decode(a.p.Detail or "[]")) do
    local values = {}
    for _, column in ipairs(COLUMNS) do values[column[2]] = type(row) == "table" and text(row[column[1]]) or nil end
    out[#out + 1] = { type(row) == "table" and text(row.e) or "", values }
  end
  for _, row in ipairs(json.decode(a.p.CustomDetail or "[]")) do
    local values = {}
    for name, value in pairs(type(row) == "table" and type(row.CustomData) == "table" and row.CustomData or {}) do values[name] = text(value) end
    out[#out + 1] = { type(row) == "table" and text(row.Email) or "", values }
  end
  return out
end

function M.SaveReceiverDetail(a)
  local receiver = receiver_of(a)
  if not receiver then return nil, "InvalidReceiver.NotFound" end
  local good, wrong = 0, {}
  for _, row in ipairs(rows(a)) do
    local address, values = row[1], row[2]
    local list = core.addresses(address)
    local why
    if not (list and #list == 1 and list[1].address == address and not list[1].single) then why = "invalid email"
    elseif receiver.by_address[address:lower()] then why = "duplicate email"
    elseif #receiver.entries >= MOST_ENTRIES then why = "the list is full" end
    if why then
      wrong[#wrong + 1] = { Email = address, ErrMessage = why }
    else
      values.EAddr = address
      local entry = { address = address, values = values, created = a.now }
      table.insert(receiver.entries, entry)
      receiver.by_address[address:lower()] = entry
      good = good + 1
    end
  end
  return { SuccessCount = good, ErrorCount = #wrong, Data = { Detail = wrong } }
end

function M.QueryReceiverDetail(a)
  local receiver = receiver_of(a)
  if not receiver then return nil, "InvalidReceiver.NotFound" end
  local list = {}
  for _, entry in ipairs(receiver.entries) do
    if not a.p.KeyWord or entry.address:find(a.p.KeyWord, 1, true) then
      local data = {}
      for i, column in ipairs(COLUMNS) do data[i] = entry.values[column[2]] or "" end
      list[#list + 1] = { CreateTime = state.time(entry.created), Data = table.concat(data, ","), Email = entry.address,
        UtcCreateTime = math.floor(entry.created) }
    end
  end
  return { list = list, more = { DataSchema = "UserName,NickName,Gender,Birthday,Mobile" } }
end

function M.DeleteReceiverDetail(a)
  local receiver = receiver_of(a)
  local address = (a.p.Email or ""):lower()
  if not receiver or not receiver.by_address[address] then return nil, "InvalidReceiver.NotFound" end
  for i, entry in ipairs(receiver.entries) do
    if entry == receiver.by_address[address] then
      table.remove(receiver.entries, i)
      break
    end
  end
  receiver.by_address[address] = nil
  return {}
end

return M
