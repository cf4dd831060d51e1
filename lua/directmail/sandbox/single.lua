--- SingleSendMail: check the parameters as the service does, and keep the message that it would build.
-- Parameters and their limits are those of https://help.aliyun.com/zh/direct-mail/api-dm-2015-11-23-singlesendmail. A
-- parameter that no page gives a code for is refused with the gateway's pattern, `Invalid<Name>`.
-- @module directmail.sandbox.single
local cjson = require "cjson.safe"
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local problem = require "directmail.sandbox.problem"

local M = {}

local MANDATORY = { "AccountName", "AddressType", "ReplyToAddress", "ToAddress", "Subject" }

local CHOICES = {
  AddressType = { "0", "1" }, ReplyToAddress = { "true", "false" }, DomainAuth = { "true", "false" }, ClickTrace = { "0", "1" },
  UnSubscribeLinkType = { "default", "disabled", "zh-cn", "en-us" },
  UnSubscribeFilterLevel = { "default", "disabled", "mailfrom", "mailfrom_domain", "edm_id" },
}
local CHOICE_ORDER = { "AddressType", "ReplyToAddress", "DomainAuth", "ClickTrace", "UnSubscribeLinkType", "UnSubscribeFilterLevel" }

-- Headers that may be given, and the kind of field that each is.
local HEADERS = { ["message-id"] = "tokens", ["list-unsubscribe"] = "tokens", ["list-unsubscribe-post"] = "text" }

local MAX_POOL = 128            -- octets of IpPoolId

local function has(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

-- Characters of a UTF-8 text.
local function length(text) return #text - select(2, text:gsub("[\128-\191]", "")) end

local function one_line(text) return not text:find("%c") end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

-- One bare address; nil and a code when it is none.
local function address_code(text, malformed)
  if #text > limits.api_address then return "EmailLengthError" end
  local list = core.addresses(text)
  if not list or #list ~= 1 or list[1].address ~= text or list[1].quoted or list[1].literal or list[1].single then return malformed end
  -- narrower than RFC 5322: the words of EmailFormatError name the characters
  if text:sub(1, list[1].local_length):find("[^%w_%-+.]") then return "EmailFormatError" end
end

-- A list with commas; nil and a code.
local function addresses(text, max, malformed)
  local found = {}
  for piece in (text .. ","):gmatch("([^,]*),") do
    piece = piece:match("^%s*(.-)%s*$")
    local code = address_code(piece, malformed)
    if code then return nil, code end
    found[#found + 1] = piece
    if #found > max then return nil, malformed end
  end
  return found
end

-- The caller's headers as fields of a message, Message-ID apart; nil and a code. Those behind the tenth are passed over
-- without a word, as by the service; JSON objects have no order, so it is the order in the text that counts.
local function own_headers(text)
  local given = cjson.decode(text)
  if type(given) ~= "table" then return nil, "InvalidHeaders" end
  local names = {}
  for name, value in pairs(given) do
    if type(name) ~= "string" or type(value) ~= "string" or not one_line(value) or not core.utf8(value) then return nil, "InvalidHeaders" end
    names[#names + 1] = name
  end
  local function place(name) return text:find('"' .. name .. '"', 1, true) or #text end
  table.sort(names, function(a, b)
    local left, right = place(a), place(b)
    if left ~= right then return left < right end
    return a < b
  end)
  local fields, message_id = {}, nil
  for i = 1, math.min(#names, limits.api_headers) do
    local name, low = names[i], names[i]:lower()
    local kind = HEADERS[low] or (low:find("^x%-user%-[%w%-]+$") and "text")
    if not kind then return nil, "InvalidHeaders" end
    if low == "message-id" then
      if not given[name]:find("^<[^%s<>@]+@[^%s<>@]+>$") then return nil, "InvalidHeaders" end
      message_id = given[name]
    elseif given[name] ~= "" then
      fields[#fields + 1] = { name, kind, given[name] }
    end
  end
  return fields, message_id
end

--- Fill {name} in a template; what has no value stays. Whether the service escapes values is not documented: it is not done.
-- @tparam ?string text
-- @tparam table data by name
-- @treturn ?string
function M.fill(text, data)
  return text and (text:gsub("{([%w_.-]+)}", function(name)
    local value = data[name]
    return (type(value) == "string" or type(value) == "number") and tostring(value) or nil
  end))
end

-- The bodies, from the parameters or from a template; nil and a code.
local function bodies(account, params)
  local html, text = params.HtmlBody, params.TextBody
  if params.Template and params.Template ~= "" then
    local given = cjson.decode(params.Template)
    if type(given) ~= "table" then return nil, "InvalidTemplate" end
    local id, data = given.TemplateId, given.TemplateData
    if type(id) == "number" then id = ("%.0f"):format(id) end
    if data == cjson.null or data == nil then data = {} end
    if type(data) ~= "table" then return nil, "InvalidTemplate" end
    local template = type(id) == "string" and account:template(id)
    if not template then return nil, "InvalidTemplate.NotFound" end
    return { html = M.fill(template.html, data), text = M.fill(template.text, data) }
  end
  if (html or "") == "" and (text or "") == "" then return nil, "InvalidBody" end
  for _, body in ipairs { html or "", text or "" } do
    if #body > limits.api_body_octets or body:find("%z") then return nil, "InvalidBody" end
  end
  return { html = html ~= "" and html or nil, text = text ~= "" and text or nil }
end

-- Everything about the sender; nil and a code.
local function sender_of(account, params)
  local sender = account:sender(params.AccountName, params.DomainAuth == "true")
  if not sender then return nil, "InvalidMailAddress.NotFound" end
  for _, pair in ipairs { { "FromAlias", limits.api_from_alias }, { "ReplyAddressAlias", limits.api_reply_alias } } do
    local alias = params[pair[1]]
    if alias and (length(alias) > pair[2] or not one_line(alias)) then return nil, ("Invalid%s.Malformed"):format(pair[1]) end
  end
  local reply = params.ReplyAddress
  if reply and reply ~= "" then
    if address_code(reply, true) then return nil, "InvalidReplyAddress.Malformed" end
  elseif params.ReplyToAddress == "true" then
    reply = account:reply_address(sender)
  end
  return { address = sender.address, reply = reply ~= "" and reply or nil }
end

-- Tag, tracking, pool, attachments: a code when something is wrong with them.
local function extras_code(account, params)
  local tag = params.TagName or ""
  if tag ~= "" and (#tag > limits.tag or tag:find("[^%w_-]")) then return "InvalidTagName" end
  if tag ~= "" and not account:has_tag(tag) then return "InvalidTag.NotFound" end
  if params.ClickTrace == "1" and tag == "" then return "MissingTagName" end
  if params.IpPoolId and params.IpPoolId ~= "" and (#params.IpPoolId > MAX_POOL or params.IpPoolId:find("[^%w_.-]")) then
    return "InvalidIpPoolId"
  end
  for name in pairs(params) do
    -- only the vendor's SDKs upload files, to object storage, which there is none here; dropping one silently would be worse
    if name:find("^Attachments%.") then return "InvalidAttachments" end
  end
end

-- The parts of a mail; nil and a code.
local function checked(account, params)
  for _, name in ipairs(MANDATORY) do
    if params[name] == nil or (params[name] == "" and name ~= "Subject") then return nil, "Missing" .. name end
  end
  for _, name in ipairs(CHOICE_ORDER) do
    local value = params[name]
    if value and value ~= "" and not has(CHOICES[name], value) then return nil, "Invalid" .. name end
  end
  local mail, code = sender_of(account, params)
  if not mail then return nil, code end
  mail.to, code = addresses(params.ToAddress, limits.api_to, "InvalidToAddress")
  if not mail.to then return nil, code end
  mail.bcc = {}
  if params.BccAddress and params.BccAddress ~= "" then
    mail.bcc, code = addresses(params.BccAddress, limits.api_bcc, "InvalidBccAddress")
    if not mail.bcc then return nil, code end
  end
  local subject = params.Subject
  if subject == "" or length(subject) > limits.api_subject or not one_line(subject) then return nil, "InvalidSubject.Malformed" end
  code = extras_code(account, params)
  if code then return nil, code end
  mail.headers = {}
  if params.Headers and params.Headers ~= "" then
    local fields, message_id = own_headers(params.Headers)
    if not fields then return nil, message_id end
    mail.headers, mail.message_id = fields, message_id
  end
  mail.body, code = bodies(account, params)
  if not mail.body then return nil, code end
  mail.rcpt_to = {}
  local seen = {}
  for _, list in ipairs { mail.to, mail.bcc } do
    for _, address in ipairs(list) do
      code = account:refuses(address)
      if code then return nil, code end
      if not seen[address:lower()] then
        seen[address:lower()] = true
        mail.rcpt_to[#mail.rcpt_to + 1] = address
      end
    end
  end
  return mail
end

local BY_FIELD = { From = "InvalidFromAlias.Malformed", Subject = "InvalidSubject.Malformed", ["Reply-To"] = "InvalidReplyAddressAlias.Malformed" }

-- The message that the service would build; nil and a code.
local function build(mail, params, id, host)
  local domain = mail.address:match("@([^@]*)$")
  local from = { name = params.FromAlias or "", address = mail.address }
  local to = {}
  for i, address in ipairs(mail.to) do to[i] = { name = "", address = address } end
  local fields = { { "From", "mailboxes", { from } }, { "To", "mailboxes", to } }
  if mail.reply then
    fields[#fields + 1] = { "Reply-To", "mailboxes", { { name = params.ReplyAddressAlias or "", address = mail.reply } } }
  end
  fields[#fields + 1] = { "Subject", "text", params.Subject }
  fields[#fields + 1] = { "Date", "tokens", core.date(math.floor(host.now()), 0) }
  fields[#fields + 1] = { "Message-ID", "tokens", mail.message_id or ("<%s@%s>"):format(hex(host.random(16)), domain) }
  for _, field in ipairs(mail.headers) do fields[#fields + 1] = field end
  fields[#fields + 1] = { "X-EnvId", "text", id }
  -- With AddressType 0 the envelope's sender is "a random account" (SingleSendMail, AddressType).
  local mail_from = params.AddressType == "1" and mail.address or ("%s@%s"):format(hex(host.random(8)), domain)
  local message, why = core.message { mail_from = mail_from, rcpt_to = mail.rcpt_to, fields = fields, text = mail.body.text,
    html = mail.body.html, parts = {}, boundary = "=_" .. hex(host.random(12)) }
  if not message then return nil, BY_FIELD[why.field] or (why.field == "text" or why.field == "html") and "InvalidBody" or "InvalidHeaders" end
  if message:size() > limits.message_octets then return nil, "InvalidBody" end
  local chunks = {}
  local what, bytes = message:pull(1048576)
  while what == "bytes" do
    chunks[#chunks + 1] = bytes
    what, bytes = message:pull(1048576)
  end
  message:close()
  return table.concat(chunks), mail_from
end

--- Carry it out.
-- @tparam table box `{host, account, mails}`
-- @tparam table call `{own = parameters by name, query = those that came in the query, access_key_id}`
-- @tparam string request_id
-- @tparam ?string env_id of the mailing that the mail belongs to; its own id without one
-- @treturn[1] table the answer's fields, list of `{name, text}`
-- @treturn[1] table what the event tells of it
-- @treturn[2] nil
-- @treturn[2] table problem
function M.run(box, call, request_id, env_id)
  local params = call.own
  for _, name in ipairs { "HtmlBody", "TextBody" } do
    if call.query[name] and #call.query[name] > limits.api_query_octets then return nil, problem.of_status(414) end
  end
  local mail, code = checked(box.account, params)
  if not mail then return nil, problem.new(code) end
  local id = box.mails:next_id()
  local bytes, mail_from = build(mail, params, env_id or id, box.host)
  if not bytes then return nil, problem.new(mail_from) end
  local saved, why = box.mails:save({
    id = id, via = "api", mail_from = mail_from, rcpt_to = mail.rcpt_to, tls = "none", action = call.action or "SingleSendMail", params = params,
    access_key_id = call.access_key_id, request_id = request_id, subject = params.Subject,
  }, bytes)
  if not saved then
    box.host.log("error", "sandbox: a mail cannot be written: " .. tostring(why))
    return nil, problem.new "InternalError"
  end
  return { { "EnvId", id } }, { id = id }
end

return M
