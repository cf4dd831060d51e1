--- BatchSendMail in its four forms, and the trial of a template: one mail for each recipient, values filled in.
-- A mailing has one EnvId, which stands in each of its mails as X-EnvId; the mails' own ids follow. It is over when the call is
-- answered. A recipient that is refused is counted, as an invalid address, and does not stop the others.
local json = require "cjson"
local limits = require "directmail.data.limits"
local single = require "directmail.sandbox.single"
local state = require "directmail.sandbox.operations.state"

local M = {}

local DONE = "1"        -- TaskStatus of a mailing that is over; the numbers are not documented

local SAME = { "AccountName", "AddressType", "TagName", "ClickTrace", "ReplyAddress", "ReplyAddressAlias", "UnSubscribeLinkType",
  "UnSubscribeFilterLevel", "IpPoolId", "Headers", "DomainAuth" }

local function decoded(value) return type(value) == "string" and json.decode(value) or value end     -- checked before

-- Subject, alias and bodies; nil and a code. With both forms the service takes TemplateName without a word.
local function content_of(a)
  local name = a.p.TemplateName
  if not name or name == "" then
    local content = decoded(a.p.TemplateContent)
    return { subject = content.Subject, alias = content.Alias, html = content.HtmlBody, text = content.TextBody }
  end
  for _, template in pairs(a.account.templates) do
    if template.name == name then
      if template.status ~= "2" then return nil, "InvalidTemplate.NotFound", " It is not approved." end
      return { subject = template.subject or template.name, alias = template.alias, html = template.html, text = template.text, name = name }
    end
  end
  return nil, "InvalidTemplate.NotFound"
end

-- Recipients as `{ address, values }`; nil and a code.
local function recipients_of(a)
  local name, out = a.p.ReceiversName, {}
  if not name or name == "" then
    for _, entry in ipairs(decoded(a.p.Receivers)) do
      for _, address in ipairs(type(entry.To) == "table" and entry.To or { entry.To }) do
        out[#out + 1] = { address = address, values = type(entry.TemplateData) == "table" and entry.TemplateData or {} }
      end
    end
    return out
  end
  local receiver = state.find(a.state.receivers, "name", name)
  if not receiver then return nil, "InvalidReceiver.NotFound" end
  if #receiver.entries == 0 then return nil, "InvalidReceiverStatus.Malformed", " The list is empty." end
  for i, entry in ipairs(receiver.entries) do out[i] = { address = entry.address, values = entry.values } end
  return out, name
end

-- The first characters of a text: a template's sender name may be longer than that of a mail.
local function first(text, n)
  local at = 0
  for start in text:gmatch "()[^\128-\191]" do
    at = at + 1
    if at > n then return text:sub(1, start - 1) end
  end
  return text
end

-- A fault of the recipient alone?
local function of_recipient(code)
  return code:find "^InvalidToAddress" or code:find "^Email" or code:find "^Throttling" or code:find "^InvalidQuota"
end

-- One mail of a mailing; nil and a problem.
local function send(a, content, recipient, env_id)
  local own = { ToAddress = recipient.address, ReplyToAddress = "false", Subject = single.fill(content.subject, recipient.values),
    FromAlias = content.alias and first(content.alias, limits.api_from_alias), HtmlBody = single.fill(content.html, recipient.values),
    TextBody = single.fill(content.text, recipient.values) }
  for _, name in ipairs(SAME) do own[name] = a.p[name] ~= nil and tostring(a.p[name]) or nil end
  return single.run(a.box, { own = own, query = {}, access_key_id = a.call.access_key_id, action = a.call.action }, a.request_id, env_id)
end

function M.BatchSendMail(a)
  local sender = a.account:sender(a.p.AccountName, tostring(a.p.DomainAuth) == "true")
  if not sender then return nil, "InvalidMailAddress.NotFound" end
  if sender.type ~= "batch" then return nil, "InvalidMailAddressSendType.Malformed" end
  if a.p.TagName and a.p.TagName ~= "" and not a.account:has_tag(a.p.TagName) then return nil, "InvalidTag.NotFound" end
  local content, code, detail = content_of(a)
  if not content then return nil, code, detail end
  local recipients, list_name
  recipients, list_name, detail = recipients_of(a)
  if not recipients then return nil, list_name, detail end
  local env_id = a.box.mails:next_id()
  local task = { id = a.state:id(), time = a.now, status = DONE, receivers = list_name, template = content.name, tag = a.p.TagName, count = #recipients,
    address_type = tostring(a.p.AddressType), pool = a.p.IpPoolId, env_id = env_id }
  for _, recipient in ipairs(recipients) do
    local sent, wrong = send(a, content, recipient, env_id)
    if not sent then
      if not of_recipient(wrong.code) then return nil, wrong end
      table.insert(a.state.refused, { to = recipient.address, account = sender.address, tag = a.p.TagName, subject = content.subject, time = a.now,
        tracked = a.p.ClickTrace == "1" })
    end
  end
  table.insert(a.state.tasks, task)
  a.event.id, a.event.recipients = env_id, #recipients
  return { EnvId = env_id }
end

function M.SendTestByTemplate(a)
  local template = a.account:template(tostring(a.p.TemplateId))
  if not template then return nil, "InvalidTemplate.NotFound" end
  if not a.account:sender(a.p.AccountName, false) then return nil, "InvalidMailAddress.NotFound" end
  local values = { EAddr = a.p.Email }
  for _, name in ipairs { "UserName", "NickName", "Gender", "Birthday", "Mobile" } do values[name] = a.p[name] end
  for name, value in pairs(decoded(a.p.TemplateParams or "{}")) do values[name] = value end
  a.p.AddressType = "1"
  local sent, wrong = send(a, { subject = template.subject or template.name, alias = template.alias, html = template.html, text = template.text },
    { address = a.p.Email, values = values })
  if not sent then return nil, wrong end
  return {}
end

return M
