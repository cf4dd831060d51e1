--- The operations of the API besides SingleSendMail: checked by the catalogue, carried out on the account's state.
-- A file of this folder returns operations by name, each `function(a) -> answer | nil, code, detail`, with
-- `a = { p = parameters, box =, state =, account =, now =, call =, request_id =, event = what the log tells }`. An answer is a table
-- in the shape of the service's; an operation that lists answers `{ list = { … }, more = other fields }` and is cut into pages here. An operation that
-- no file has answers in its shape and keeps nothing: lists are empty, ids are made up.
-- @module directmail.sandbox.operations
local catalogue = require "directmail.catalogue"
local problem = require "directmail.sandbox.problem"
local state = require "directmail.sandbox.operations.state"

local M = {}

local FILES = { "account", "senders", "domains", "tags", "templates", "receivers", "invalid", "statistics", "batch", "config_sets", "validation" }

-- Codes that are documented for a parameter with a bad value; the others follow the gateway's pattern, Invalid<Name>.
local MALFORMED = {
  AccountName = "InvalidMailAddressName.Malformed", Sendtype = "InvalidMailAddressSendType.Malformed", MailAddressId = "InvalidMailAddressId.Malformed",
  ReplyAddress = "InvalidReplyAddress.Malformed", ReplyAddressAlias = "InvalidReplyAddressAlias.Malformed", FromAlias = "InvalidFromAlias.Malformed",
  ReceiversName = "InvalidReceiverName.Malformed", TemplateName = "InvalidTemplateName.Malformed", TemplateSubject = "InvalidSubject.Malformed",
  Email = "EmailFormatError",
}

local handlers
local function handler(name)
  if not handlers then
    handlers = {}
    for _, file in ipairs(FILES) do
      for operation, run in pairs(require("directmail.sandbox.operations." .. file)) do handlers[operation] = run end
    end
  end
  return handlers[name]
end

-- ---- pages ----------------------------------------------------------------------

local SHOWN = { "PageNumber", "PageNo", "Page", "CurrentPage" }        -- what answers call the page that they show

local function default_of(operation, name)
  for _, field in ipairs(operation.params) do
    if field.name == name then return tonumber(field.default) or field.max end
  end
end

-- The answer of an operation that lists: one page, and what tells where it stands.
local function paged(operation, p, list)
  local out, paging = {}, operation.paging or {}
  local size = tonumber(p[paging.size]) or paging.size and default_of(operation, paging.size) or math.max(#list, 1)
  local from, number = 0, 1
  if paging.style == "page" then
    number = math.max(tonumber(p[paging.position]) or 1, 1)
    from = (number - 1) * size
  elseif paging.position then
    from = tonumber(p[paging.position]) or 0
  end
  local page = {}
  for i = from + 1, math.min(from + size, #list) do page[#page + 1] = list[i] end
  local behind = from + #page < #list and #page > 0
  if paging.next then out[paging.next] = behind and ("%.0f"):format(from + #page) or "" end
  if paging.more then out[paging.more] = behind end
  if paging.pages then out[paging.pages] = math.ceil(#list / size) end
  for _, name in ipairs { paging.total or "TotalCount", "TotalCount" } do out[name] = #list end
  for _, name in ipairs(SHOWN) do out[name] = number end
  out.PageSize, out.MaxResults = size, size
  local at, last = out, nil
  for name in operation.list:gmatch "[^.]+" do
    if last then
      at[last] = {}
      at = at[last]
    end
    last = name
  end
  at[last] = page
  return out
end

-- ---- the shape of an answer -----------------------------------------------------

local shape

local function value_of(field, value)
  if field.type == "list of object" or field.type == "list of string" then
    local list = {}
    for i, item in ipairs(value or {}) do list[i] = field.fields and { fields = shape(field.fields, item) } or item end
    return { list = list }
  elseif field.type == "object" or field.type == "map" then
    return { fields = shape(field.fields or {}, value or {}) }
  elseif field.type == "integer" then
    return tonumber(value) or 0
  elseif field.type == "boolean" then
    return value == true or value == "true"
  end
  return value == nil and "" or tostring(value)
end

-- Values in the order and of the types of the catalogue; what is obsolete appears only when there is a value.
shape = function(fields, values)
  local out = {}
  for _, field in ipairs(fields) do
    if field.name ~= "RequestId" and not (field.deprecated and values[field.name] == nil) then
      out[#out + 1] = { field.name, value_of(field, values[field.name]) }
    end
  end
  return out
end

-- Without a handler: an empty list, or the fields of the answer with a new id where one is asked for.
local function empty(operation, a)
  a.event.note = "the sandbox keeps nothing of this operation"
  if operation.list then return { list = {} } end
  local out = {}
  for _, field in ipairs(operation.answer) do
    if operation.kind == "change" and field.type == "string" and field.name:find "Id$" and field.name ~= "RequestId" then out[field.name] = a.state:id() end
  end
  return out
end

-- ---- checks -----------------------------------------------------------------------

-- The service's answer to the first fault.
local function refusal(operation, faults)
  for _, fault in ipairs(faults) do
    local name = fault.parameter:match "^[^.]+"
    if fault.what == "missing" then return problem.new("Missing" .. name) end
    if fault.what == "unknown" then return problem.new("InvalidParameter", (" %s: %s."):format(operation.name, fault.text)) end
    -- with both of two that exclude each other the service takes one without a word
    if fault.what ~= "exclusive" or operation.name ~= "BatchSendMail" then
      return problem.new(MALFORMED[name] or "Invalid" .. name, " " .. fault.text .. ".")
    end
  end
end

local function run(operation, box, call, request_id)
  local params, clash = catalogue.unflatten(call.own)
  if clash then return nil, problem.new("InvalidParameter", (" It is %s."):format(clash)) end
  local now = box.host.now()
  local _, faults = catalogue.check(operation, params, now)
  local wrong = refusal(operation, faults)
  if wrong then return nil, wrong end
  local a = { p = params, box = box, account = box.account, state = state.of(box), now = now, call = call, request_id = request_id, event = {} }
  local answer, code, detail
  local carry_out = handler(operation.name)
  if carry_out then answer, code, detail = carry_out(a) else answer = empty(operation, a) end
  if not answer then
    if type(code) == "table" then return nil, code end
    return nil, problem.new(code, detail)
  end
  if answer.list and operation.list then
    local more = answer.more or {}
    answer = paged(operation, params, answer.list)
    for name, value in pairs(more) do answer[name] = value end
  end
  return shape(operation.answer, answer), a.event
end

--- An operation that can be called.
-- @tparam string name
-- @treturn ?table `{ run = function(box, call, request_id) -> fields, event | nil, problem }`
function M.find(name)
  if name == "SingleSendMail" then return require "directmail.sandbox.single" end
  local operation = catalogue.find(name)
  if not operation then return nil end
  return { run = function(box, call, request_id) return run(operation, box, call, request_id) end }
end

return M
