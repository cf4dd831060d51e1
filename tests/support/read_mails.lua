--- Read mails with our own reader, that of the sandbox, and print what is in them: one JSON object a line, in the form
-- of random_messages.lua.
-- Usage: LUA read_mails.lua FILE...
local cjson = require "cjson"
local core = require "directmail.core"
local read = require "directmail.read"

local FIXED = {}
for _, name in ipairs { "from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "x-priority",
  "importance", "list-unsubscribe", "list-unsubscribe-post", "x-alidm-trace", "x-alidm-settings", "mime-version" } do FIXED[name] = true end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function people(headers, name)
  local value, list = read.field(headers, name), {}
  for _, box in ipairs(value and assert(core.addresses(value)) or {}) do list[#list + 1] = { name = box.name, address = box.address } end
  return list
end

local function words(text)
  local list = {}
  for word in (text or ""):gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function text(bytes) return bytes and (bytes:gsub("\r\n", "\n")) end

local function found_in(bytes)
  local mail = read.mail(bytes)
  local headers, field = mail.headers, function(name) return read.field(mail.headers, name) end
  local found = { subject = mail.subject, message_id = field "message-id", in_reply_to = field "in-reply-to",
    references = words(field "references"), priority = field "importance", text = text(mail.text), html = text(mail.html),
    attachments = {}, headers = {}, order = {} }
  for key, name in pairs { from = "from", to = "to", cc = "cc", reply_to = "reply-to" } do found[key] = people(headers, name) end
  found.date = field "date" and core.date_parse(field "date")
  for _, header in ipairs(headers) do
    local name = header[1]:lower()
    if not name:find "^content%-" then
      found.order[#found.order + 1] = header[1]
      if not FIXED[name] then found.headers[#found.headers + 1] = { header[1], core.word_decode(header[2]) } end
    end
  end
  for _, a in ipairs(mail.attachments) do
    if a.type == "text/calendar" and not a.name then
      found.calendar = { data = text(a.data), method = "REQUEST" }
    else
      found.attachments[#found.attachments + 1] = { name = a.name, type = a.type, cid = a.cid, data = hex(a.data),
        disposition = a.inline and "inline" or "attachment" }
    end
  end
  return found
end

for _, path in ipairs(arg) do
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  local ok, found = pcall(found_in, bytes)
  print(cjson.encode(ok and found or { broken = tostring(found) }))
end
