--- Addresses that are not written to: the service's invalid ones, the account's own suppressions, unsubscribers.
local state = require "directmail.sandbox.operations.state"

local M = {}

local function within(day, p) return (not p.StartTime or day >= p.StartTime) and (not p.EndTime or day <= p.EndTime) end

function M.QueryInvalidAddress(a)
  local list = {}
  for _, entry in ipairs(a.state.invalid) do
    if (not a.p.KeyWord or entry.address:find(a.p.KeyWord, 1, true)) and within(os.date("!%Y-%m-%d", math.floor(entry.time)), a.p) then
      list[#list + 1] = { LastUpdateTime = state.time(entry.time), ToAddress = entry.address, UtcLastUpdateTime = math.floor(entry.time) }
    end
  end
  return { list = list }
end

function M.DeleteInvalidAddress(a)
  local _, at = state.find(a.state.invalid, "address", (a.p.ToAddress or ""):lower())
  if not at then return nil, "InvalidAddress.NotFound" end
  table.remove(a.state.invalid, at)
  return {}
end

function M.CreateUserSuppression(a)
  local address = (a.p.Address or ""):lower()
  if address == "" then return nil, "MissingAddress" end
  local entry = state.find(a.state.suppressions, "address", address)
  if not entry then
    entry = { id = a.state:id(), address = address, created = a.now }
    table.insert(a.state.suppressions, entry)
  end
  return { SuppressionId = entry.id }
end

local function in_span(at, from, to) return (not from or at >= tonumber(from)) and (not to or at <= tonumber(to)) end

function M.ListUserSuppression(a)
  local list = {}
  for _, entry in ipairs(a.state.suppressions) do
    if (not a.p.Address or entry.address == a.p.Address:lower()) and in_span(entry.created, a.p.StartCreateTime, a.p.EndCreateTime) then
      list[#list + 1] = { Address = entry.address, CreateTime = math.floor(entry.created), LastBounceTime = 0, SuppressionId = entry.id, Type = "user" }
    end
  end
  return { list = list }
end

function M.RemoveUserSuppression(a)
  for id in (a.p.SuppressionIds or ""):gmatch "[^,%s]+" do
    local _, at = state.find(a.state.suppressions, "id", id)
    if at then table.remove(a.state.suppressions, at) end
  end
  return {}
end

function M.GetSuppressionListLevel(a) return { SuppressionListLevel = a.state.level } end

function M.SetSuppressionListLevel(a)
  a.state.level = a.p.SuppressionListLevel or a.state.level
  return { SuppressionListLevel = a.state.level }
end

function M.ListBlockSending(a)
  local list = {}
  for _, block in ipairs(a.state.blocks) do
    if block.type == a.p.BlockType and (not a.p.BlockEmail or block.address == a.p.BlockEmail:lower())
      and (not a.p.SenderEmail or block.sender == a.p.SenderEmail:lower()) and in_span(block.time, a.p.BeginTime, a.p.EndTime) then
      list[#list + 1] = { BlockEmail = block.address, BlockTime = math.floor(block.time), SendTime = math.floor(block.time), SenderEmail = block.sender,
        Reason = block.type == "UNSUB" and 1 or 2 }
    end
  end
  return { list = list }
end

function M.UnblockSending(a)
  for i = #a.state.blocks, 1, -1 do
    local block = a.state.blocks[i]
    if block.type == a.p.BlockType and block.address == a.p.BlockEmail:lower() and block.sender == a.p.SenderEmail:lower() then
      table.remove(a.state.blocks, i)
    end
  end
  return {}
end

return M
