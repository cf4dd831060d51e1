--- Templates. One that is made or changed waits for review (1): it is reviewed when it was looked at once, and approved (2)
-- unless its name begins with "rejected" (3).
local state = require "directmail.sandbox.operations.state"

local M = {}

local MOST = 100        -- templates of an account (Direct Mail, "Limits")
local REVIEW, APPROVED, REJECTED = "1", "2", "3"

local function sorted(a)
  local list = {}
  for _, template in pairs(a.account.templates) do list[#list + 1] = template end
  table.sort(list, function(one, other) return tonumber(one.id) < tonumber(other.id) end)
  return list
end

-- The status to tell now; a review ends behind the first answer that told of it.
local function look(template)
  local status = template.status
  if status == REVIEW then template.status = template.name:find "^rejected" and REJECTED or APPROVED end
  return status
end

function M.QueryTemplateByParam(a)
  local list = {}
  for _, template in ipairs(sorted(a)) do
    if not a.p.KeyWord or template.name:find(a.p.KeyWord, 1, true) then
      list[#list + 1] = { CreateTime = state.time(template.created), TemplateId = template.id, TemplateName = template.name,
        TemplateStatus = look(template), TemplateType = 0, UtcCreatetime = math.floor(template.created) }
    end
  end
  return { list = list }
end

function M.DescTemplate(a)
  local template = a.account.templates[tostring(a.p.TemplateId)]
  if not template then return nil, "InvalidTemplate.NotFound" end
  return { CreateTime = state.time(template.created), TemplateName = template.name, TemplateNickName = template.alias, TemplateStatus = look(template),
    TemplateSubject = template.subject, TemplateText = template.html, TemplateType = "0" }
end

local function taken(a, name, by)
  for _, template in pairs(a.account.templates) do
    if template.name == name and template ~= by then return true end
  end
end

local function fill_in(template, p)
  template.name, template.subject, template.alias, template.html, template.status = p.TemplateName, p.TemplateSubject, p.TemplateNickName,
    p.TemplateText, REVIEW
end

function M.CreateTemplate(a)
  if taken(a, a.p.TemplateName) then return nil, "InvalidTemplateName.Malformed", " There is a template of this name." end
  if #sorted(a) >= MOST then return nil, "InvalidTemplateName.Malformed", " There are 100 templates already." end
  local template = { id = a.state:id(), created = a.now }
  fill_in(template, a.p)
  a.account.templates[template.id] = template
  return { TemplateId = template.id }
end

function M.ModifyTemplate(a)
  local template = a.account.templates[tostring(a.p.TemplateId)]
  if not template then return nil, "InvalidTemplate.NotFound" end
  if taken(a, a.p.TemplateName, template) then return nil, "InvalidTemplateName.Malformed", " There is a template of this name." end
  fill_in(template, a.p)
  return {}
end

function M.DeleteTemplate(a)
  local id = tostring(a.p.TemplateId)
  if not a.account.templates[id] then return nil, "InvalidTemplate.NotFound" end
  a.account.templates[id] = nil
  return {}
end

return M
