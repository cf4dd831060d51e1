--- What the service tells about mails that it has taken: delivered, bounced, complained, unsubscribed, opened, clicked.
-- Two forms come in (EventBridge: CloudEvents in JSON; MNS, for old accounts: `key=value&…`, bare or inside MNS's own XML or JSON), one shape
-- goes out:
--
--     { id =, type =, to =, from =, at =, env_id =, message_id =, tag =, status =, class =, kind =, permanent =, suppress =, blame =, reason =,
--       code =, text =, region =, account =, esp =, ip =, url =, notify = { … }, via = "eventbridge" | "mns" }
--
-- `type` is delivered, bounced, complained, unsubscribed, subscribed, opened, clicked, validated, or other. `id` tells events apart: they come at
-- least once and in any order. `at` is in seconds since 1970. Of a bounce: `class` is the service's (src/data/failure_classes.tsv), `kind` ours, `permanent`:
-- the same address will not work again, `suppress` = once, twice, thrice (in a row) or no: when to send there no more.
-- https://www.alibabacloud.com/help/en/eventbridge/user-guide/events-of-the-direct-mail-type
-- @module directmail.events
local classes = require "directmail.data.failure_classes"
local core = require "directmail.core"
local err = require "directmail.err"
local json = require "cjson.safe"
local limits = require "directmail.data.limits"

local M = {}

local MOST = 1000               -- events of one body
local TEXT = 1024               -- octets that are kept of a server's words
local VALUE = 512               -- octets of any other value
local PIECES = 200              -- between the & of MNS's form: each is joined to what stands before it

-- ---- types --------------------------------------------------------------------------

local TYPES = {
  ["dm:Deliver:Succeed"] = "delivered", ["dm:Deliver:Fail"] = "bounced", ["dm:Feedback:FblReport"] = "complained",
  ["dm:Feedback:UnSubscribe"] = "unsubscribed", ["dm:Feedback:Subscribe"] = "subscribed", ["dm:Trace:Open"] = "opened",
  ["dm:Trace:Click"] = "clicked", ["dm:Validator:GrayListResult"] = "validated",
}
local OF_MNS = { open = "opened", click = "clicked" }

--- All types, in the order of a mail's life.
M.TYPES = { "delivered", "bounced", "complained", "unsubscribed", "subscribed", "opened", "clicked", "validated", "other" }

-- ---- times --------------------------------------------------------------------------

local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

-- Seconds since 1970 of "2024-04-29T11:07:12+08:00" and its kin; a time without a zone is the vendor's own, UTC+8.
local function time_of(value)
  if not value then return nil end
  local year, month, day, clock, rest = value:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d:%d%d:%d%d)(.*)$"
  if not year then
    local seconds = value:match "^%d%d%d%d%d%d%d%d%d%d$"         -- of complaints
    return seconds and tonumber(seconds)
  end
  rest = rest:gsub("^%.%d+", "")
  local sign, hours, minutes = rest:match "^([+-])(%d%d):?(%d%d)$"
  local zone = rest == "" and "+0800" or rest == "Z" and "+0000" or sign and sign .. hours .. minutes
  if not zone or not MONTHS[tonumber(month)] then return nil end
  return (core.date_parse(("%s %s %s %s %s"):format(day, MONTHS[tonumber(month)], year, clock, zone)))
end

-- ---- values -------------------------------------------------------------------------

-- A value as clean text of bounded length; numbers and booleans as they are written.
local function text_of(value, most)
  if type(value) == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return nil end
    value = value == math.floor(value) and ("%.0f"):format(value) or tostring(value)
  elseif type(value) == "boolean" then
    value = tostring(value)
  end
  if type(value) ~= "string" or value == "" then return nil end
  return err.printable(value:sub(1, most or VALUE))
end

-- The first of some names that is there: the two forms, and old and new samples, spell them differently.
local function first(data, names, most)
  for _, name in ipairs(names) do
    local value = text_of(data[name], most)
    if value then return value end
  end
end

local function address(data, names)
  local value = first(data, names)
  if not value then return nil end
  if not value:find("@", 1, true) then value = value:gsub("%%40", "@") end
  local found = core.addresses(value)
  return found and #found == 1 and found[1].address or nil
end

-- X-User-Notify-*: what the sender put into the mail to find it again.
local function notify_of(data)
  local out = {}
  local header = type(data.header) == "table" and data.header or data
  for name, value in pairs(header) do
    if type(name) == "string" and #name <= 128 and name:find "^X%-[%w-]*Notify%-" then out[name] = text_of(value) end
  end
  return next(out) and out or nil
end

-- ---- bounces ------------------------------------------------------------------------

local NEVER_AGAIN = { hard = true, complaint = true, unsubscribe = true, trap = true }

-- What a failure means: by its class, else by its status, else by what the receiver said.
local function judge(event)
  local class = classes[event.class or ""]
  if class then
    event.kind, event.suppress, event.blame, event.reason = class.kind, class.suppress, class.blame, class.meaning
  elseif event.status == "2" then
    event.kind, event.suppress, event.blame, event.reason = "hard", "once", "recipient", "the service calls the address invalid"
  elseif event.status == "3" then
    event.kind, event.suppress, event.blame, event.reason = "content", "no", "content", "the receiver took the mail for spam"
  else
    local rule = require "directmail.explain".reply { phase = "event", code = tonumber(event.code or ""), text = event.text or "" }
    local hard = rule.permanent and rule.blame == "recipient"
    event.kind, event.blame, event.reason = hard and "hard" or "soft", rule.blame, rule.cause
    event.suppress = hard and "twice" or rule.blame == "recipient" and "thrice" or "no"
  end
  event.permanent = NEVER_AGAIN[event.kind] == true
end

-- ---- one event ----------------------------------------------------------------------

local function shape(data, kind, more)
  local event = {
    type = kind, to = address(data, { "rcpt", "block_email", "email", "address" }), from = address(data, { "from", "send_email", "account" }),
    env_id = first(data, { "env_id", "envid" }), message_id = first(data, { "msg_id", "message_id" }), tag = first(data, { "tag" }),
    status = first(data, { "status" }), class = first(data, { "failed_type" }), code = first(data, { "err_code" }),
    text = first(data, { "err_msg" }, TEXT), account = first(data, { "account" }), esp = first(data, { "esp" }),
    ip = first(data, { "outbound_ip" }), url = first(data, { "url", "link" }, TEXT), notify = notify_of(data),
  }
  for name, value in pairs(more) do event[name] = value end
  if not event.id then
    -- a push without an id: the same five make the same event
    event.id = core.sha256(table.concat({ event.via, event.name or kind, event.env_id or "", event.to or "", tostring(more.stamp or "") }, "\n"))
  end
  event.stamp = nil
  if kind == "bounced" then judge(event) end
  return event
end

local function cloud_event(object)
  if type(object) ~= "table" or type(object.type) ~= "string" or type(object.data) ~= "table" then
    return nil, "it is no CloudEvent: type and data are missing"
  end
  local data = object.data
  local at = time_of(text_of(object.time)) or time_of(first(data, { "operate_time", "block_time", "deliver_time", "send_time" }))
  return shape(data, TYPES[object.type] or "other", {
    id = text_of(object.id), name = text_of(object.type), at = at, stamp = at, via = "eventbridge",
    region = text_of(data.region) or text_of(object.aliyunregionid),
  })
end

local KNOWN = {}
for name in ([[X-Notify-Message-ID env_id envid msg_id message_id account from rcpt recv_time end_time send_time deliver_time status event err_code err_msg
  failed_type tag region esp outbound_ip channel_name ip_pool_id is_dedicated_ip url link ua user_agent ip click_time open_time trace_time]])
  :gmatch "%S+" do KNOWN[name] = true end

-- key=value&…, in which nothing is encoded: what stands behind a & and is no known name belongs to the value before it.
local function pairs_of(text)
  local data, last, n = {}, nil, 0
  for piece in (text .. "&"):gmatch "([^&]*)&" do
    n = n + 1
    if n > PIECES then return nil, ("it has more than %d values"):format(PIECES) end
    local name, value = piece:match "^([%w_-]+)=(.*)$"
    if name and (KNOWN[name] or name:find "^X%-" or not last) then
      if data[name] == nil then data[name] = value end
      last = name
    elseif last then
      data[last] = data[last] .. "&" .. piece
    end
  end
  return data
end

local function mns_event(text, id)
  local data, why = pairs_of(text)
  if not data then return nil, why end
  local name = data.event and data.event:lower()
  if not name or name == "" then return nil, "it is neither JSON nor key=value with an event" end
  local kind = OF_MNS[name]
  if not kind and name:find "^deliver" then kind = data.status == "0" and "delivered" or "bounced" end
  local stamp = data.end_time or data.recv_time or data.deliver_time or data.send_time
  return shape(data, kind or "other", { id = id, name = text_of(data.event), at = time_of(stamp), stamp = stamp, via = "mns", region = text_of(data.region) })
end

-- ---- bodies -------------------------------------------------------------------------

local ENTITY = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

-- Text of an element of MNS's flat XML; nil: not there.
local function element(xml, name)
  local inside = xml:match("<" .. name .. ">(.-)</" .. name .. ">")
  if not inside then return nil end
  local raw = inside:match "^%s*<!%[CDATA%[(.*)%]%]>%s*$"
  if raw then return raw end
  return (inside:gsub("&(#?%w+);", function(entity)
    local code = entity:match "^#(%d+)$"
    code = code and tonumber(code) or tonumber(entity:match "^#x(%x+)$" or "", 16)
    if code and code < 128 then return string.char(code) end
    return ENTITY[entity]
  end))
end

local function from_json(body)
  local value, why = json.decode(body)
  if type(value) ~= "table" then return nil, "it is no JSON: " .. err.printable(tostring(why or type(value))) end
  if value.Message ~= nil then
    local message = value.Message
    if type(message) ~= "string" then return nil, "the notification's Message is no text" end
    if message:find "^%s*{" then return from_json(message) end
    local event
    event, why = mns_event(message, text_of(value.MessageId))
    return event and { event }, why
  end
  local list = value
  if value.type ~= nil or value.data ~= nil then list = { value } end
  if #list == 0 then return nil, "it holds no event" end
  if #list > MOST then return nil, ("it holds more than %d events"):format(MOST) end
  local out = {}
  for i = 1, #list do
    out[i], why = cloud_event(list[i])
    if not out[i] then return nil, ("event %d: %s"):format(i, why) end
  end
  return out
end

--- Read what a push brought.
-- @tparam string body
-- @tparam[opt] string id of MNS's message, from the header x-mns-message-id
-- @treturn[1] table list of events
-- @treturn[2] nil
-- @treturn[2] string why not: a sentence that begins with "it"
function M.read(body, id)
  if #body > limits.event_octets then return nil, ("it has more than %d octets"):format(limits.event_octets) end
  local start = body:match "^%s*(.)"
  if start == "{" or start == "[" then return from_json(body) end
  local message = body
  if start == "<" then
    message, id = element(body, "Message"), element(body, "MessageId") or id
    if not message then return nil, "it is XML without a Message" end
    if message:find "^%s*[{%[]" then return from_json(message) end
  end
  local event, why = mns_event(message, id and text_of(id))
  return event and { event }, why
end

return M
