--- Tags.
local M = {}

local MOST = 500        -- tags of an account (Direct Mail, "Limits")

local function sorted(a)
  local list = {}
  for _, tag in pairs(a.account.tags) do list[#list + 1] = tag end
  table.sort(list, function(one, other) return tonumber(one.id) < tonumber(other.id) end)
  return list
end

local function tag_of(a)
  for _, tag in pairs(a.account.tags) do
    if tag.id == tostring(a.p.TagId) then return tag end
  end
end

function M.QueryTagByParam(a)
  local list = {}
  for _, tag in ipairs(sorted(a)) do
    if not a.p.KeyWord or tag.name:find(a.p.KeyWord, 1, true) then
      list[#list + 1] = { TagId = tag.id, TagName = tag.name, TagDescription = tag.description }
    end
  end
  return { list = list }
end

function M.CreateTag(a)
  local name = a.p.TagName
  if a.account.tags[name] then return nil, "InvalidTagName.Duplicate" end
  if #sorted(a) >= MOST then return nil, "InvalidTagName", " There are 500 already." end
  a.account.tags[name] = { id = a.state:id(), name = name, description = a.p.TagDescription, created = a.now }
  return { TagId = a.account.tags[name].id }
end

function M.ModifyTag(a)
  local tag = tag_of(a)
  if not tag then return nil, "InvalidTag.NotFound" end
  local other = a.account.tags[a.p.TagName]
  if other and other ~= tag then return nil, "InvalidTagName.Duplicate" end
  a.account.tags[tag.name] = nil
  tag.name, tag.description = a.p.TagName, a.p.TagDescription or tag.description
  a.account.tags[tag.name] = tag
  return {}
end

function M.DeleteTag(a)
  local tag = tag_of(a)
  if not tag then return nil, "InvalidTag.NotFound" end
  a.account.tags[tag.name] = nil
  return {}
end

return M
