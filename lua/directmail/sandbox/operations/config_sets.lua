--- Configuration sets and the senders that are tied to them.
local json = require "cjson"
local state = require "directmail.sandbox.operations.state"

local M = {}

local MOST = 100        -- configuration sets of an account (SDK @alicloud/dm20151123 1.9.0, comments)

local function shown(set)
  return { Id = set.id, Name = set.name, Description = set.description, FromAddresses = set.senders, IpPool = { IpPoolId = set.pool },
    IsPublicChannelBackoff = set.backoff, ValidationOption = set.validation }
end

local function fill_in(set, p)
  set.name, set.description, set.pool, set.backoff = p.Name, p.Description, p.IpPoolId, p.IsPublicChannelBackoff
  set.validation = type(p.ValidationOption) == "string" and json.decode(p.ValidationOption) or p.ValidationOption
end

function M.ConfigSetList(a)
  local list = {}
  for _, set in ipairs(a.state.config_sets) do
    if not a.p.Keyword or set.name:find(a.p.Keyword, 1, true) then list[#list + 1] = shown(set) end
  end
  return { list = list }
end

function M.ConfigSetCreate(a)
  if state.find(a.state.config_sets, "name", a.p.Name) then return nil, "InvalidName.Duplicate" end
  if #a.state.config_sets >= MOST then return nil, "InvalidName", " There are 100 already." end
  local set = { id = a.state:id(), senders = {} }
  fill_in(set, a.p)
  table.insert(a.state.config_sets, set)
  return { Id = set.id }
end

local function set_of(a) return state.find(a.state.config_sets, "id", a.p.Id) end

function M.ConfigSetDetail(a)
  local set = set_of(a)
  if not set then return nil, "InvalidId.NotFound" end
  return { Detail = shown(set) }
end

function M.ConfigSetUpdate(a)
  local set = set_of(a)
  if not set then return nil, "InvalidId.NotFound" end
  fill_in(set, a.p)
  return { Id = set.id }
end

function M.ConfigSetDelete(a)
  for id in a.p.Ids:gmatch "[^,%s]+" do
    local set, at = state.find(a.state.config_sets, "id", id)
    if set and #set.senders > 0 and tostring(a.p.IsForce) ~= "true" then return nil, "InvalidIds", " Senders are tied to it." end
    if set then table.remove(a.state.config_sets, at) end
  end
  return {}
end

-- The place of the sender among those of the set.
local function tie_of(set, address)
  for i, one in ipairs(set.senders) do
    if one == address then return i end
  end
end

function M.ConfigSetRelationFromAddress(a)
  local set, address = set_of(a), a.p.FromAddress:lower()
  if not set then return nil, "InvalidId.NotFound" end
  if not a.account.senders:find(address) then return nil, "InvalidMailAddress.NotFound" end
  if not tie_of(set, address) then table.insert(set.senders, address) end
  return { Result = true }
end

function M.ConfigSetCancelRelationFromAddress(a)
  local set = set_of(a)
  if not set then return nil, "InvalidId.NotFound" end
  local at = tie_of(set, a.p.FromAddress:lower())
  if at then table.remove(set.senders, at) end
  return { Result = at ~= nil }
end

return M
