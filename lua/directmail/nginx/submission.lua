--- What a form and a JSON endpoint have in common: from values that a stranger sent to a mail that the operator designed.
-- The request chooses neither sender nor template nor subject, and the recipient only where the operator wrote `to = "field:NAME"`.
-- @module directmail.nginx.submission
local addresses = require "directmail.list.address"
local answer = require "directmail.nginx.answer"
local core = require "directmail.core"
local deliver = require "directmail.nginx.deliver"
local fields = require "directmail.nginx.fields"
local limit = require "directmail.nginx.limit"
local limits = require "directmail.data.limits"
local line = require "directmail.nginx.line"
local mask = require "directmail.mask"
local metrics = require "directmail.nginx.metrics"
local mx = require "directmail.nginx.mx"
local option = require "directmail.option"
local request = require "directmail.nginx.request"
local unsubscribe = require "directmail.unsubscribe"

local M = {}

local OPTIONS = { "name", "to", "recipients", "fields", "template", "data", "message", "honeypot", "origin", "secret", "limits", "check", "max_body",
  "deliver", "background", "key", "done", "words", "lang", "log", "dict" }
local LIMITS = { "client", "recipient" }
-- How often when the operator says nothing: a person corrects a form some times; a stranger's mailbox must not be flooded
-- through us, nor the operator's own by many machines at once.
local CLIENT, STRANGER, OWN = { 10, 600 }, { 3, 3600 }, { 200, 3600 }
local NOT_IN_MESSAGE = { "to", "cc", "bcc", "raw", "queue", "key", "data" }

--- The shared dict of a handler.
-- @tparam ?string name
-- @tparam number level where misuse is raised
-- @treturn table
function M.dict(name, level)
  name = name or "directmail"
  local dict = ngx.shared[name]
  if not dict then error(('nginx.conf has no shared dict %s: add "lua_shared_dict %s 10m;" to http {}'):format(name, name), level + 1) end
  return dict
end

--- A handler's name, for its metrics and limits.
function M.name(name, default, level)
  name = name or default
  if type(name) ~= "string" or not name:find "^[%w_-]+$" or #name > 64 then error("name: 1 to 64 of A-Z a-z 0-9 _ - are needed", level + 1) end
  return name
end

--- Check `words` against the keys that exist.
function M.words(words, level, ...)
  local known = {}
  for _, set in ipairs { ... } do
    for key in pairs(set) do known[#known + 1] = key end
  end
  option.check(words or {}, known, "words", level + 1)
  for key, text in pairs(words or {}) do
    if type(text) ~= "string" then error(("words.%s: a text is needed"):format(key), level + 1) end
  end
  return words or {}
end

-- `to`: how a mail finds its recipients. Returns a function values -> list, and the field's name.
local function recipients_of(options, level)
  local to = options.to
  if type(to) == "function" then return to end
  local field = type(to) == "string" and to:match "^field:(.+)$"
  if field then
    local rule = options.fields[field]
    if not rule or rule.type ~= "email" then error(('to: %q needs fields.%s = { type = "email" }'):format(to, field), level + 1) end
    if not rule.required then error(("to: %q needs fields.%s.required = true"):format(to, field), level + 1) end
    return function(values) return { values[field] } end, field
  end
  local list = type(to) == "string" and { to } or to
  if type(list) ~= "table" or #list == 0 then
    error('to: the recipients are needed, "team@example.com" or a list; or "field:NAME" to let a field of the request choose', level + 1)
  end
  for _, one in ipairs(list) do
    local found = type(one) == "string" and core.addresses(one)
    if not found or #found ~= 1 then error(("to: %q is not one address"):format(tostring(one)), level + 1) end
  end
  return function() return list end
end

-- Patterns such as *@example.com that a recipient of a field must fit.
local function allow_list(patterns, level)
  if patterns == nil then return nil end
  local list = {}
  for i, pattern in ipairs(type(patterns) == "table" and patterns or { patterns }) do
    if type(pattern) ~= "string" or pattern == "" then error('recipients: patterns such as "*@example.com" are needed', level + 1) end
    list[i] = "^" .. pattern:lower():gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
  end
  return list
end

local function is_allowed(list, address)
  for _, pattern in ipairs(list or {}) do
    if address:lower():find(pattern) then return true end
  end
  return list == nil
end

local function check_message(options, level)
  local message = options.message
  if message == nil and options.template == nil then error("message or template is needed: what is sent", level + 1) end
  if message ~= nil and type(message) ~= "table" and type(message) ~= "function" then
    error("message: a table of fields is needed, or a function that makes one", level + 1)
  end
  for _, name in ipairs(type(message) == "table" and NOT_IN_MESSAGE or {}) do
    if message[name] ~= nil then error(("message.%s: it is not set here (recipients: to; values of a template: data)"):format(name), level + 1) end
  end
  if options.data ~= nil and type(options.data) ~= "table" then error("data: a table is needed", level + 1) end
end

--- Make one from a handler's options.
-- @tparam table mail
-- @tparam table options see docs/nginx.md
-- @tparam table kind `name` = default name, `json` = answers JSON when the client does not say, `strict` = unknown fields are refused
-- @tparam number level where misuse is raised
-- @treturn table
function M.new(mail, options, kind, level)
  level = level + 1
  if type(mail) ~= "table" or type(mail.send) ~= "function" then
    error("bad argument #1 (mail object of directmail.new expected)", level)
  end
  option.check(options, OPTIONS, "nginx." .. kind.name, level)
  local self = {
    mail = mail, kind = kind, name = M.name(options.name, kind.name, level), dict = M.dict(options.dict, level), log = options.log, options = options,
    fields = fields.declare(options.fields, level), origins = request.origins(options.origin, level),
    secrets = options.secret ~= nil and unsubscribe.secrets(options.secret, level) or nil, honeypot = options.honeypot,
    words = M.words(options.words, level, answer.WORDS, fields.WORDS), max = options.max_body,
    allowed = allow_list(options.recipients, level),
  }
  self.to, self.field = recipients_of(options, level)
  check_message(options, level)
  if self.honeypot ~= nil and (type(self.honeypot) ~= "string" or self.fields[self.honeypot]) then
    error("honeypot: the name of a field that is not among fields is needed", level)
  end
  for name, what in pairs { log = "function", key = "function", done = "string", lang = "string" } do
    if options[name] ~= nil and type(options[name]) ~= what then error(("%s: a %s is needed"):format(name, what), level) end
  end
  local given = options.limits or {}
  option.check(given, LIMITS, "limits", level)
  self.per_client = limit.check(given.client == nil and CLIENT or given.client, "client", level)
  local usual = (self.field or type(options.to) == "function") and STRANGER or OWN
  self.per_recipient = limit.check(given.recipient == nil and usual or given.recipient, "recipient", level)
  option.check(options.check or {}, { "mx" }, "check", level)
  self.check_mx = options.check and options.check.mx == true
  if self.max == nil then
    self.max = limits.form_octets
    for _, rule in pairs(self.fields) do
      if rule.type == "file" then self.max = self.max + (rule.max or limits.form_file_octets) end
    end
  end
  self.look = { words = self.words, lang = options.lang, done = options.done, json = kind.json }
  self.deliver = deliver.new(self, options, level)
  return self
end

-- ---- answering -------------------------------------------------------------------------

--- Answer, and count what became of the request.
function M.answer(self, result)
  metrics.count(self.dict, "directmail_requests_total", { "handler", self.name, "result", (result.counted or result.code):lower() })
  answer.send(result, self.look)
end

--- Is the request one that may be looked at? Method, size, origin or secret, and the client's limit.
-- @treturn ?table the result that refuses it
function M.gate(self)
  if ngx.req.get_method() ~= "POST" then return { code = "METHOD" } end
  local headers = { origin = ngx.var.http_origin, referer = ngx.var.http_referer, host = ngx.var.http_host }
  if self.secrets then
    if not request.is_secret(request.bearer(ngx.var.http_authorization), self.secrets) then return { code = "SECRET" } end
  elseif not request.same_origin(headers, self.origins) then
    return { code = "ORIGIN" }
  end
  if self.per_client then
    local who = self.name .. ":client:" .. request.client(ngx.var.binary_remote_addr)
    local ok, after = limit.take(self.dict, who, self.per_client, self.mail.host.now())
    if not ok then return { code = "LIMITED", after = after } end
  end
end

-- The values that a template or a function of the operator's sees: every declared field is there.
local function values_for(self, values)
  local out = {}
  for name, value in pairs(self.options.data or {}) do out[name] = value end
  for name, rule in pairs(self.fields) do
    local value = values[name]
    if value == nil then value = rule.type ~= "flag" and "" end
    if rule.type ~= "file" then out[name] = value end
  end
  return out
end

-- The message of some values: fields of `mail:send`.
local function compose(self, values, to)
  local options, made = self.options, {}
  local message = options.message
  local data = values_for(self, values)
  if type(message) == "function" then message = message(data) end
  if message ~= nil and type(message) ~= "table" then error("message: the function returned no table", 0) end
  for name, value in pairs(message or {}) do made[name] = value end
  for _, name in ipairs(NOT_IN_MESSAGE) do
    if made[name] ~= nil and name ~= "data" then error(("message: the function set %s"):format(name), 0) end
  end
  if options.template ~= nil then made.template = options.template end
  if made.template ~= nil and made.data == nil then made.data = data end
  made.to = to
  local files = {}
  for name, rule in pairs(self.fields) do
    if rule.reply_to and values[name] then made.reply_to = values[name] end
    if rule.type == "file" and values[name] then files[#files + 1] = values[name] end
  end
  if #files > 0 then
    table.sort(files, function(a, b) return a.name < b.name end)
    -- behind the operator's own
    local all = { unpack(type(made.attachments) == "table" and made.attachments or { made.attachments }) }
    for _, file in ipairs(files) do all[#all + 1] = file end
    made.attachments = all
  end
  if options.key then made.key = options.key(data) end
  return made
end

local function failed(e)
  if e.outcome == "unknown" then return { code = "UNKNOWN", outcome = e.outcome } end
  if e.blame == "recipient" and not e.retry then return { code = "RECIPIENT", outcome = e.outcome } end
  if e.retry then return { code = "LATER", after = e.after or 30, outcome = e.outcome } end
  -- content, credentials, sender: the operator's, told in the log; the visitor hears that it did not work
  return { code = "FAILED", outcome = e.outcome }
end

local function check_domains(self, values, faults)
  for name, rule in pairs(self.fields) do
    local value = rule.type == "email" and values[name]
    if value and mx.takes_mail(self.mail.host, value, { dict = self.dict, server = self.mail.settings.dns }) == false then
      local near = addresses.did_you_mean(value:match "[^@]*$")
      local words = fields.say(self.words, "mx") .. (near and "; " .. fields.say(self.words, "suggest", near) or "")
      faults[#faults + 1] = { field = name, label = rule.label, why = "mx", message = rule.message or words }
    end
  end
end

--- From what came to a result.
-- @tparam table self of `new`
-- @tparam {{name,value},...} sent
-- @tparam[opt] string key a client's own, for a mail that must be one mail
-- @treturn table result of `directmail.nginx.answer`
function M.take(self, sent, key)
  for _, pair in ipairs(sent) do
    -- a program filled what no person sees: it is told that all went well
    if pair[1] == self.honeypot and pair[2] ~= "" then
      local waits = self.deliver.way == "wait"
      return { code = waits and "SENT" or "QUEUED", outcome = waits and "sent" or "queued", counted = "HONEYPOT" }
    end
  end
  local values, faults = fields.check(self.fields, sent,
    { words = self.words, strict = self.kind.strict, ignore = self.honeypot and { [self.honeypot] = true },
      -- a stranger's words go to whom he names: links in them would make us his spammer
      no_links = self.field ~= nil })
  if #faults == 0 and self.check_mx then check_domains(self, values, faults) end
  if #faults > 0 then return { code = "INVALID", faults = faults } end
  -- pcall: functions of the operator's
  local ok, to = pcall(self.to, values_for(self, values))
  if ok and type(to) == "string" then to = { to } end
  if ok and (type(to) ~= "table" or #to == 0) then ok, to = false, "to: no recipient" end
  local made
  if ok then ok, made = pcall(compose, self, values, to) else made = to end
  if not ok then
    line.write({ event = "handler", handler = self.name, level = "error", cause = mask.addresses(tostring(made)):sub(1, 300) }, self.log)
    return { code = "INTERNAL" }
  end
  for _, address in ipairs(to) do
    if self.field and not is_allowed(self.allowed, address) then
      return { code = "INVALID", faults = { { field = self.field, why = "values", message = fields.say(self.words, "values") } } }
    end
    if self.per_recipient then
      local free, after = limit.take(self.dict, self.name .. ":to:" .. address:lower(), self.per_recipient, self.mail.host.now())
      if not free then return { code = "LIMITED", after = after } end
    end
  end
  local theirs = key and not made.key and self.mail.store
  if theirs then made.key = ("%s:%s"):format(self.name, core.sha256(key)) end
  local receipt, e, after = self.deliver.send(made, to)
  if receipt then return { code = receipt.outcome == "queued" and "QUEUED" or "SENT", outcome = receipt.outcome, id = receipt.id } end
  if e == "full" then return { code = "BUSY", after = after } end
  if theirs and e.code == "OPTION" and e.detail == "key" then return { code = "KEY", outcome = e.outcome } end
  return failed(e)
end

--- What a maker returns.
-- @tparam table self of `new`
-- @tparam function read called with the Content-Type and the body; returns a list of `{ name, value }` and a client's own key, if any; or nil
--   and the code of a refusal
-- @treturn function to be called in content_by_lua
function M.handler(self, read)
  return function()
    local refused = M.gate(self)
    if refused then return M.answer(self, refused) end
    local body, why = request.body(self.max)
    if not body then return M.answer(self, { code = why }) end
    local sent, key_or_code = read(ngx.var.http_content_type or "", body)
    return M.answer(self, sent and M.take(self, sent, key_or_code) or { code = key_or_code })
  end
end

return M
