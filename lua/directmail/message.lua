--- From the fields of a message to the bytes of a mail.
-- Checks what the caller gave, chooses headers and their order, and has the core
-- lay out the MIME tree. Nothing here knows how the mail will travel.
-- @module directmail.message
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local floor, pairs, type = math.floor, pairs, type     -- what every message asks for many times

local M = {}

-- The fields of a message (design, section 4) and the types each may have.
local LIST, TEXT = { string = true, table = true }, { string = true }
local TYPES = {
  from = TEXT, to = LIST, cc = LIST, bcc = LIST, reply_to = LIST, subject = TEXT, text = TEXT, html = TEXT,
  attachments = LIST, calendar = LIST, headers = { table = true }, tag = TEXT, track = { table = true },
  unsubscribe = LIST, priority = TEXT, message_id = TEXT, date = { string = true, number = true }, in_reply_to = LIST,
  references = LIST, via = TEXT, on_unknown = TEXT, allow_placeholders = { boolean = true }, ip_pool = TEXT,
  raw = TEXT, size_limit = { number = true, boolean = true }, timeout = { number = true }, boundary = TEXT,
  key = TEXT, queue = { boolean = true }, all_or_none = { boolean = true }, template = LIST, data = { table = true },
}

--- Their names.
M.FIELDS = {}
for name in pairs(TYPES) do M.FIELDS[#M.FIELDS + 1] = name end
table.sort(M.FIELDS)

--- The types of each: name -> type -> true.
M.TYPES = TYPES

-- Headers that are ours, and the field that makes them.
local GENERATED = {
  ["from"] = "from", ["to"] = "to", ["cc"] = "cc", ["bcc"] = "bcc", ["reply-to"] = "reply_to", ["subject"] = "subject",
  ["date"] = "date", ["message-id"] = "message_id", ["in-reply-to"] = "in_reply_to", ["references"] = "references",
  ["mime-version"] = "text, html and attachments", ["content-type"] = "text, html and attachments",
  ["content-transfer-encoding"] = "text, html and attachments", ["content-disposition"] = "attachments",
  ["x-alidm-trace"] = "tag and track", ["x-alidm-settings"] = "unsubscribe and ip_pool",
  ["list-unsubscribe"] = "unsubscribe", ["list-unsubscribe-post"] = "unsubscribe",
  ["x-priority"] = "priority", ["importance"] = "priority", ["x-directmail-redirected-to"] = "redirect",
}
local OF_SERVERS = { ["return-path"] = true, ["received"] = true }

--- The value of List-Unsubscribe-Post (RFC 8058, 3.1).
M.ONE_CLICK = "List-Unsubscribe=One-Click"

local PRIORITIES = { high = { "1 (Highest)", "high" }, normal = { "3 (Normal)", "normal" }, low = { "5 (Lowest)", "low" } }

-- Fields that are one of some words.
local CHOICES = {
  { "via", { "auto", "smtp", "api" } }, { "on_unknown", { "stop", "resend" } }, { "priority", { "high", "normal", "low" } },
}

local NONE = {}                 -- stands for every list that was not given; nobody writes to it

-- A fault of the program that calls, to be raised at its line.
local function misuse(text, ...) return nil, { misuse = text:format(...) } end

local refuse = err.refuse

-- What is not at 1, 2, 3 … of a list would be left out in silence.
local function check_list(given, name, of)
  local n = 0
  for key in pairs(given) do
    if type(key) ~= "number" then return misuse('field %s must be a list of %s, it has an entry "%s"', name, of, tostring(key)) end
    n = n + 1
  end
  for i = 1, n do
    if given[i] == nil then return misuse("field %s must be a list of %s without holes", name, of) end
  end
  return true
end

-- The addresses of one text.
local function mailboxes_in(text, name)
  local found, why = core.addresses(text)
  if not found then
    return refuse("ADDRESS", name, ("%s: %s"):format(name, why), 'write it as "ann@example.com" or "Ann <ann@example.com>"')
  end
  for i = 1, #found do
    local box = found[i]
    if box.single and not box.literal and box.address:sub(box.local_length + 2):lower() ~= "localhost" then
      return refuse("ADDRESS", name, ('%s: "%s" has no dot in its domain'):format(name, box.address),
        "write the whole domain, such as example.com")
    end
  end
  return found
end

-- A list of addresses out of a string, a list, or nothing.
local function mailboxes(fields, name)
  local given = fields[name]
  if given == nil or given == "" then return NONE end
  if type(given) == "string" then return mailboxes_in(given, name) end
  local ok, e = check_list(given, name, "addresses")
  if not ok then return nil, e end
  local list = {}
  for i = 1, #given do
    local text = given[i]
    if type(text) ~= "string" then return misuse("field %s: entry %d must be a string, not a %s", name, i, type(text)) end
    local found, e2 = mailboxes_in(text, name)
    if not found then return nil, e2 end
    for j = 1, #found do list[#list + 1] = found[j] end
  end
  return list
end

-- The sender of the settings, read once: most messages have it.
local senders = setmetatable({}, { __mode = "k" })

local function sender_of(settings)
  local known = senders[settings]
  if known and known.text == settings.sender then return known.list end
  local list, e = mailboxes(settings, "sender")
  if not list then return nil, e end
  senders[settings] = { text = settings.sender, list = list }
  return list
end

--- The mailbox of the setting `sender`.
-- @tparam table settings
-- @treturn table as of `core.addresses`; or nil, err when it is none, or several
function M.sender(settings)
  local list, e = sender_of(settings)
  if not list then return nil, e end
  if #list == 1 then return list[1] end
  return refuse("ADDRESS", "sender", #list == 0 and "sender: there is no address" or "sender holds more than one address", "give one address")
end

local function add_recipients(to, seen, list)
  for i = 1, #list do
    local address = list[i].address
    local key = address:sub(1, list[i].local_length) .. address:sub(list[i].local_length + 1):lower()
    if not seen[key] then
      seen[key] = true
      to[#to + 1] = address
    end
  end
end

-- A Message-ID that nobody else makes; and what is unique in it.
local function new_id(from, host)
  local unique = core.hex(host.random(16))
  from.domain = from.domain or from.address:sub(from.local_length + 2)
  return "<" .. unique .. "@" .. from.domain .. ">", unique
end

local function message_ids(fields, name)
  local given = fields[name]
  if given == nil then return nil end
  local text = given
  if type(given) == "table" then
    local ok, e = check_list(given, name, "Message-IDs")
    if not ok then return nil, e end
    for i = 1, #given do
      if type(given[i]) ~= "string" then return misuse("field %s: entry %d must be a string, not a %s", name, i, type(given[i])) end
    end
    text = table.concat(given, " ")
  end
  local ids = {}
  for word in text:gmatch "%S+" do
    local id = word:match "^<[^<>%s@]+@[^<>%s@]+>$" or (word:match "^[^<>%s@]+@[^<>%s@]+$" and "<" .. word .. ">")
    if not id or id:find "[\128-\255%c]" then
      return refuse("HEADER", name, ('%s: "%s" is no Message-ID'):format(name, err.printable(word)), "write it as <unique@example.com>")
    end
    ids[#ids + 1] = id
  end
  if #ids == 0 then return refuse("HEADER", name, name .. " is empty", "leave it out, or write <unique@example.com>") end
  if name == "message_id" and #ids > 1 then return refuse("HEADER", name, "message_id holds more than one", "write one <unique@example.com>") end
  return table.concat(ids, " ")
end

local FIRST_SECOND, LAST_SECOND = -2208988800, 253402300799       -- of four-digit years from 1900 on (RFC 5322, 3.3)

local function date_text(fields, host)
  local given = fields.date
  if given == nil then return core.date(floor(host.now()), 0) end
  if type(given) == "number" then
    if not (given >= FIRST_SECOND and given <= LAST_SECOND) then
      return refuse("HEADER", "date", ("date: %s is outside of the years 1900 to 9999"):format(tostring(given)), "give seconds since 1970, in UTC")
    end
    return core.date(math.floor(given), 0)
  end
  if given:find "[\r\n%z]" or not core.date_parse(given) then
    return refuse("HEADER", "date", ('date: "%s" is no date of RFC 5322'):format(err.printable(given)),
      "write it as Mon, 23 Nov 2026 12:00:00 +0000, or give seconds since 1970")
  end
  return given
end

-- Compact JSON with its keys in a fixed order; the service wants its base64.
local function json_object(pairs_in_order)
  local out = {}
  for i = 1, #pairs_in_order, 2 do out[#out + 1] = ('"%s":%s'):format(pairs_in_order[i], pairs_in_order[i + 1]) end
  return "{" .. table.concat(out, ",") .. "}"
end

local TRACK, UNSUBSCRIBE, CALENDAR = { "opens", "clicks" }, { "link", "filter", "url" }, { "data", "method" }

local function trace_header(fields)
  local tag, track = fields.tag, fields.track
  if tag == nil then return refuse("OPTION", "track", "track needs a tag", "give tag, the name of a tag that exists in the console") end
  if #tag < 1 or #tag > 128 or tag:find "[^%w_-]" then
    return refuse("OPTION", "tag", ('tag: "%s" is no tag name'):format(err.printable(tag)),
      "use 1 to 128 of A-Z a-z 0-9 _ -")
  end
  track = track or {}
  local wrong = option.unknown(track, TRACK, "track")
  if wrong then return misuse("%s", wrong) end
  for name, value in pairs(track) do
    if type(value) ~= "boolean" then return misuse("field track: %s must be true or false, not a %s", name, type(value)) end
  end
  return json_object {
    "TagName", '"' .. tag .. '"', "OpenTrace", track.opens and '"1"' or '"0"', "LinkTrace", track.clicks and '"1"' or '"0"',
  }
end

-- HTML that can be tracked has a body element (https://www.alibabacloud.com/help/en/directmail/latest/how-can-i-enable-data-tracking-feature):
-- a fragment gets one, which changes nothing for its reader.
local function trackable(fields)
  local html, track = fields.html, fields.track
  if not (track and (track.opens or track.clicks)) then return html end
  if html == nil or html == "" then
    return refuse("CONTENT", "track", "track: the mail has no HTML, and nothing else can be tracked", "give html, or leave track away")
  end
  local low = html:lower()
  if low:find "<body[%s>]" then return html end
  if low:find "<html[%s>]" or low:find "<head[%s>]" or low:find "<!doctype" then
    return refuse("CONTENT", "track", "track: html has no body element, without which nothing is tracked", "write <body>…</body> around its content")
  end
  return "<html><body>" .. html .. "</body></html>"
end

local LINK_TYPES = { default = true, disabled = true, ["zh-cn"] = true, ["en-us"] = true }
local FILTER_LEVELS = { default = true, disabled = true, mailfrom = true, mailfrom_domain = true, edm_id = true }

-- `unsubscribe`: "default" or "disabled" (the service's own link), or our link: an https URL
-- (one click, RFC 8058), a mailto one, or a list of them. Our link switches the service's off.
local function unsubscribe(fields)
  local given = fields.unsubscribe
  local link, filter, urls
  if type(given) == "string" and LINK_TYPES[given] then
    link = given
  elseif type(given) == "table" and given[1] == nil then
    local wrong = option.unknown(given, UNSUBSCRIBE, "unsubscribe")
    if wrong then return misuse("%s", wrong) end
    link, filter, urls = given.link, given.filter, given.url
    for name, value in pairs { link = link, filter = filter } do
      if type(value) ~= "string" then return misuse("field unsubscribe: %s must be a string, not a %s", name, type(value)) end
    end
    if not (link or filter or urls) then return misuse "field unsubscribe is empty: give link, filter or url, or a list of URLs" end
    if link and not LINK_TYPES[link] then
      return refuse("OPTION", "unsubscribe", ('unsubscribe.link: "%s" is not known'):format(err.printable(link)), "use default or disabled")
    end
    if filter and not FILTER_LEVELS[filter] then
      return refuse("OPTION", "unsubscribe", ('unsubscribe.filter: "%s" is not known'):format(err.printable(filter)),
        "use default, disabled, mailfrom, mailfrom_domain or edm_id")
    end
  elseif given ~= nil then
    urls = given
  end
  local list, one_click = nil, false
  if urls then
    local parts = {}
    if type(urls) ~= "table" then urls = { urls } end
    local ok, e = check_list(urls, "unsubscribe", "URLs")
    if not ok then return nil, e end
    if #urls == 0 then return misuse "field unsubscribe holds no URL" end
    for _, url in ipairs(urls) do
      if type(url) ~= "string" or url:find "[%c%s<>\128-\255]" or not url:find "^%a[%w+.-]*:" then
        return refuse("OPTION", "unsubscribe", ('unsubscribe: "%s" is no URL'):format(err.printable(tostring(url))),
          "give https://…, percent-encoded, or mailto:…; or default, disabled for the service's own link")
      end
      one_click = one_click or url:find "^https://" ~= nil
      parts[#parts + 1] = "<" .. url .. ">"
    end
    list, link = table.concat(parts, ", "), link or "disabled"
  end
  local pool = fields.ip_pool
  if pool and (pool == "" or #pool > 128 or pool:find "[^%w_.-]") then
    return refuse("OPTION", "ip_pool", ('ip_pool: "%s" is no pool id'):format(err.printable(pool)), "take IpPoolId from the console")
  end
  local settings
  if link or filter or pool then
    local out = { "Version", '"1.0"' }
    if link or filter then
      local inner = {}
      if link then inner[#inner + 1] = "LinkType"; inner[#inner + 1] = '"' .. link .. '"' end
      if filter then inner[#inner + 1] = "FilterLevel"; inner[#inner + 1] = '"' .. filter .. '"' end
      out[#out + 1] = "Unsubscribe"; out[#out + 1] = json_object(inner)
    end
    if pool then out[#out + 1] = "OutboundIp"; out[#out + 1] = json_object { "IpPoolId", '"' .. pool .. '"' } end
    settings = json_object(out)
  end
  return { link = link, filter = filter, settings = settings, list = list, one_click = one_click }
end

-- The core looks at what becomes a header of ours, and the API makes its own: both take no line break (CR, LF, NUL).
local function one_line(name, value)
  if not (value:find "[\r\n]" or value:find("\0", 1, true)) then return true end
  return refuse("HEADER", name, name .. ": the value holds a line break or NUL: take it out", "take line breaks and other control characters out of it")
end

-- The caller's own headers, as a list that keeps its order; a table by name is sorted.
local function own_headers(fields)
  local given, list = fields.headers, {}
  if given[1] ~= nil then
    local ok, e = check_list(given, "headers", "{name, value}")
    if not ok then return nil, e end
    for i = 1, #given do list[i] = type(given[i]) == "table" and given[i] or {} end
  else
    for name, value in pairs(given) do list[#list + 1] = { name, value } end
    table.sort(list, function(a, b) return tostring(a[1]) < tostring(b[1]) end)
  end
  for i = 1, #list do
    local name, value = list[i][1], list[i][2]
    if type(name) ~= "string" or type(value) ~= "string" then return misuse("field headers must hold names and values as strings") end
    if name == "" or name:find "[^\33-\57\59-\126]" then
      return refuse("HEADER", name, ('"%s" is no name of a header: printable ASCII without blank and colon'):format(err.printable(name)), "correct the name")
    end
    local ok, e = one_line(name, value)
    if not ok then return nil, e end
    if OF_SERVERS[name:lower()] then
      return refuse("HEADER", name, ("the header %s is written by servers"):format(name), "leave it out")
    end
    local field = GENERATED[name:lower()]
    if field then
      return refuse("HEADER", name, ("the header %s is made from the field %s"):format(err.printable(name), field), "use the field " .. field)
    end
  end
  return list
end

-- Two braces, of which an editor may have put one into an element, or percent-encoded them in a link.
local function has_braces(html)
  return html:find("{{", 1, true) or html:find("{<", 1, true) or html:find("%7B%7B", 1, true) or html:find("%7b%7b", 1, true)
end

-- The refusal of a placeholder that nobody replaced; most mails have no brace and pay one look.
local function placeholder(fields)
  local subject, text, html = fields.subject, fields.text, fields.html
  if fields.allow_placeholders then return nil end
  if not (subject and subject:find("{{", 1, true) or text and text:find("{{", 1, true) or html and has_braces(html)) then return nil end
  return require "directmail.placeholders".refusal(fields)
end

-- Core errors speak of header names and parts; the remedy is the same for all.
local REMEDY = {
  HEADER = "take line breaks and other control characters out of it",
  CONTENT = "give UTF-8 text without NUL; anything else goes as an attachment",
  SIZE = "send less, or put the file behind a link",
  ADDRESS = "check the address",
}

local RECEIVERS = { "to", "cc", "bcc", "reply_to" }

-- The envelope: who sends, who receives, and the development net around them.
local function envelope(fields, settings)
  local from, e = NONE
  if fields.from then
    from, e = mailboxes(fields, "from")
    if e then return nil, e end
  end
  local box = { from = from, to = NONE, cc = NONE, bcc = NONE, reply_to = NONE, envelope = NONE, redirected = nil }
  for i = 1, #RECEIVERS do
    local name = RECEIVERS[i]
    if fields[name] then
      box[name], e = mailboxes(fields, name)
      if e then return nil, e end
    end
  end
  if from == NONE and settings.sender then
    from, e = sender_of(settings)
    if e then return nil, e end
    box.from = from
  end
  if #from == 0 then
    return refuse("OPTION", "from", "no sender is set", "give from (or --from), the option sender, or DIRECTMAIL_SENDER")
  end
  if #from > 1 then return refuse("ADDRESS", "from", "from holds more than one address", "give one") end
  local first, to = box.to
  if #first == 1 and box.cc == NONE and box.bcc == NONE then
    to = { first[1].address }
  else
    local seen = {}
    to = {}
    add_recipients(to, seen, first)
    add_recipients(to, seen, box.cc)
    add_recipients(to, seen, box.bcc)
  end
  if #to == 0 then return refuse("OPTION", "to", "no recipient is given", "give to (or --to), cc or bcc") end
  for _, address in ipairs(settings.only and to or NONE) do
    local inside = false
    for _, pattern in ipairs(settings.only) do
      local lua = "^" .. pattern:lower():gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
      inside = inside or address:lower():find(lua) ~= nil
    end
    if not inside then
      return refuse("OPTION", "only", ('"%s" is outside of only = %s'):format(address, table.concat(settings.only, ",")),
        "it is a net for development: widen DIRECTMAIL_ONLY, or unset it in production")
    end
  end
  box.envelope = to
  if settings.redirect then
    local list
    list, e = mailboxes({ redirect = settings.redirect }, "redirect")
    if not list then return nil, e end
    if #list == 0 then return refuse("OPTION", "redirect", "redirect names no address", "write it as me@example.com, or leave it unset") end
    box.redirected, box.envelope = table.concat(to, ", "), {}
    add_recipients(box.envelope, {}, list)
  end
  return box
end

local function check_choices(fields)
  for i = 1, #CHOICES do
    local name, words = CHOICES[i][1], CHOICES[i][2]
    local known = fields[name] == nil
    for j = 1, #words do known = known or fields[name] == words[j] end
    if not known then
      return refuse("OPTION", name, ('%s: "%s" is not known'):format(name, err.printable(fields[name])), "use " .. table.concat(words, ", "))
    end
  end
  return true
end

-- Fields whose type is right and whose value may still not be.
local function check_values(fields, settings)
  if fields.via or fields.on_unknown or fields.priority then
    local ok, e = check_choices(fields)
    if not ok then return nil, e end
  end
  if fields.timeout and not (fields.timeout > 0 and fields.timeout < math.huge) then
    return refuse("OPTION", "timeout", "timeout is no number of seconds above 0", "give a number such as 30")
  end
  if fields.key and not settings.store then
    return refuse("OPTION", "key", "a key is remembered in a store, and none is set", 'give directmail.new { store = "/path/outbox.db" }, or leave key away')
  end
  if fields.queue and not settings.store then
    return refuse("OPTION", "queue", "a queued mail is kept in a store, and none is set",
      'give directmail.new { store = "/path/outbox.db" } or "redis://HOST:PORT/DB", or leave queue away')
  end
  local wrong_key = fields.key and require "directmail.store".wrong_key(fields.key)
  if wrong_key then return refuse("OPTION", "key", "the key " .. wrong_key, "give 1 to 255 octets of text, such as order-1042") end
  local size, calendar = fields.size_limit, fields.calendar
  if size == true then return misuse "field size_limit must be a number of octets, or false for none" end
  if size and not (size >= 0 and size < math.huge and size == math.floor(size)) then
    return refuse("OPTION", "size_limit", "size_limit is no number of octets", "give a whole number; 0 means no limit")
  end
  if type(calendar) == "table" then
    local wrong = option.unknown(calendar, CALENDAR, "calendar")
    if wrong then return misuse("%s", wrong) end
    if type(calendar.data) ~= "string" or type(calendar.method or "") ~= "string" then
      return misuse "field calendar must hold data and method as strings"
    end
  end
  return true
end

-- What may stand beside a finished message: who sends, who receives, how it travels.
local BESIDE_RAW = {
  raw = true, from = true, to = true, cc = true, bcc = true, via = true, on_unknown = true, size_limit = true, timeout = true,
  key = true, queue = true, all_or_none = true,
}

local function is_given(list) return list ~= nil and list ~= "" and not (type(list) == "table" and next(list) == nil) end

-- A finished message: the envelope from the fields, else from its own head.
local function check_raw(fields, settings, host)
  for _, name in ipairs(M.FIELDS) do
    if fields[name] ~= nil and not BESIDE_RAW[name] then
      return refuse("OPTION", name, name .. " cannot stand beside raw: that message is finished", "leave one of the two away")
    end
  end
  local ok, wrong = check_values(fields, settings)
  if not ok then return nil, wrong end
  if fields.raw == "" then return refuse("CONTENT", "raw", "raw: the message is empty", "give a message: header fields, an empty line, text") end
  local raw = require "directmail.raw"
  local head, e = raw.read(fields.raw)
  if not head then return nil, e end
  local who = { from = fields.from or raw.value(head, "from"), to = fields.to, cc = fields.cc, bcc = fields.bcc }
  if not (is_given(who.to) or is_given(who.cc) or is_given(who.bcc)) then who.to = raw.recipients(head) end
  local box
  box, e = envelope(who, settings)
  if not box then return nil, e end
  local from, id = box.from[1], raw.value(head, "message-id")
  local d = { fields = fields, box = box, from = from, to = box.envelope, headers = NONE, parts = NONE, unsubscribe = NONE }
  d.message_id = id and err.printable(id:match "<[^<>]+>" or id) or new_id(from, host)
  d.raw, d.line_of = raw.write(head, {
    { "X-Directmail-Redirected-To", "text", box.redirected }, { "From", "mailboxes", { from } },
    { "Date", "tokens", core.date(math.floor(host.now()), 0) }, { "Message-ID", "tokens", d.message_id },
  }, { ["x-directmail-redirected-to"] = box.redirected ~= nil })
  if not d.raw then return nil, d.line_of end
  return d
end

-- Everything checked and decided, nothing laid out: what any method needs.
local function check(fields, settings, host)
  if fields.raw then return check_raw(fields, settings, host) end
  local ok, wrong = check_values(fields, settings)
  if not ok then return nil, wrong end
  local box, e = envelope(fields, settings)
  if not box then return nil, e end
  e = placeholder(fields)
  if e then return nil, e end
  if fields.subject then
    ok, e = one_line("Subject", fields.subject)
    if not ok then return nil, e end
  end
  local d = {
    fields = fields, box = box, from = box.from[1], to = box.envelope, html = fields.html, message_id = nil, unique = nil, date = nil, trace = nil,
    unsubscribe = NONE, headers = NONE, parts = NONE, core = nil, mail_from = nil, size = nil,
  }
  if fields.message_id == nil then
    d.message_id, d.unique = new_id(d.from, host)
  else
    d.message_id, e = message_ids(fields, "message_id")
    if e then return nil, e end
  end
  d.date, e = date_text(fields, host)
  if not d.date then return nil, e end
  if fields.tag ~= nil or fields.track ~= nil then
    d.trace, e = trace_header(fields)
    if e then return nil, e end
    d.html, e = trackable(fields)
    if e then return nil, e end
  end
  if fields.unsubscribe ~= nil or fields.ip_pool ~= nil then
    d.unsubscribe, e = unsubscribe(fields)
    if not d.unsubscribe then return nil, e end
  end
  if fields.headers ~= nil then
    d.headers, e = own_headers(fields)
    if not d.headers then return nil, e end
  end
  if fields.priority ~= nil then d.priority = PRIORITIES[fields.priority] end
  if fields.in_reply_to ~= nil then
    d.in_reply_to, e = message_ids(fields, "in_reply_to")
    if e then return nil, e end
  end
  if fields.references ~= nil then
    d.references, e = message_ids(fields, "references")
    if e then return nil, e end
  end
  local given = fields.attachments
  if given == nil then return d end
  if type(given) == "string" then given = { given } end
  ok, e = check_list(given, "attachments", "paths and tables")
  if not ok then return nil, e end
  d.parts = {}
  for i = 1, #given do
    d.parts[i], e = require "directmail.attachment".part(given[i], i, host)
    if not d.parts[i] then return nil, e end
  end
  return d
end

local function add(out, name, kind, value)
  if value ~= nil then out[#out + 1] = { name, kind, value } end
end

-- A header of the caller's. Of List-Id only what stands before its brackets is text (RFC 2919, 3).
local function add_own(out, name, value)
  local phrase, id
  if name:lower() == "list-id" then phrase, id = value:match "^%s*(.-)%s*<([!-;=?-~]+)>%s*$" end
  if not id then out[#out + 1] = { name, "text", value }
  elseif phrase == "" then out[#out + 1] = { name, "tokens", "<" .. id .. ">" }
  else out[#out + 1] = { name, "mailboxes", { { name = phrase, address = id } } } end
end

-- The header fields in the order in which they are written.
local function header_fields(d)
  local box, hints, out = d.box, d.unsubscribe, {}
  if #box.from > 0 then add(out, "From", "mailboxes", box.from) end
  if #box.to > 0 then add(out, "To", "mailboxes", box.to) end
  if #box.to == 0 and #box.cc == 0 then add(out, "To", "tokens", "undisclosed-recipients:;") end
  if #box.cc > 0 then add(out, "Cc", "mailboxes", box.cc) end
  if #box.reply_to > 0 then add(out, "Reply-To", "mailboxes", box.reply_to) end
  add(out, "Subject", "text", d.fields.subject or "")
  add(out, "Date", "tokens", d.date)
  add(out, "Message-ID", "tokens", d.message_id)
  add(out, "In-Reply-To", "tokens", d.in_reply_to)
  add(out, "References", "tokens", d.references)
  if d.priority then
    add(out, "X-Priority", "text", d.priority[1])
    add(out, "Importance", "text", d.priority[2])
  end
  if hints ~= NONE then
    add(out, "List-Unsubscribe", "tokens", hints.list)
    if hints.one_click then add(out, "List-Unsubscribe-Post", "text", M.ONE_CLICK) end
  end
  if d.trace then add(out, "X-AliDM-Trace", "exact", core.base64(d.trace)) end
  if hints.settings then add(out, "X-AliDM-Settings", "exact", core.base64(hints.settings)) end
  add(out, "X-Directmail-Redirected-To", "text", box.redirected)
  for i = 1, #d.headers do add_own(out, d.headers[i][1], d.headers[i][2]) end
  return out
end

-- Has it no other fields than From, To, Subject, Date and Message-ID?
local function is_plain(d)
  local box = d.box
  return box.cc == NONE and box.reply_to == NONE and #box.to > 0 and d.unsubscribe == NONE and d.headers == NONE
    and not (d.in_reply_to or d.references or d.priority or d.trace or box.redirected)
end

-- What the core is given. Tables are most of a mail's cost in Lua, so plain messages, which are most of them, share these:
-- taken while one is laid out, so that a finalizer which lays out another in the middle makes its own.
local spare

local function new_tables()
  return {
    mail_from = nil, rcpt_to = nil, all_or_none = nil, fields = nil, text = nil, html = nil, boundary = nil,
    plain = { { "From", "mailboxes" }, { "To", "mailboxes" }, { "Subject", "text" }, { "Date", "tokens" }, { "Message-ID", "tokens" } },
  }
end

local function plain_fields(list, d)
  local box = d.box
  list[1][3], list[2][3], list[3][3], list[4][3], list[5][3] = box.from, box.to, d.fields.subject or "", d.date, d.message_id
  return list
end

-- Hand a draft to the core: message, or nil and why.
local function lay_out_plain(d, text, html, boundary)
  local tables = spare or new_tables()
  spare = nil
  tables.mail_from, tables.rcpt_to, tables.fields = d.from.address, d.to, plain_fields(tables.plain, d)
  tables.text, tables.html, tables.boundary, tables.all_or_none = text, html, boundary, d.fields.all_or_none
  local built, why = core.message(tables)
  tables.fields, tables.text, tables.html = nil, nil, nil       -- nothing large is kept for the next
  spare = tables
  return built, why
end

-- The message with what its template makes: html, text, and the subject unless one is given.
local function filled_in(fields, host)
  local given = fields.template
  if given == nil then
    return refuse("OPTION", "data", "data is given, and no template to fill in",
      "give template, a file or what directmail.template gave (was that nil, and its error not looked at?)")
  end
  for i = 1, 2 do
    local name = i == 1 and "html" or "text"
    if fields[name] ~= nil then
      return refuse("OPTION", name, name .. " cannot stand beside template, which makes it", "leave one of the two away")
    end
  end
  local templates = require "directmail.template"
  local template, e = templates.of(given, host)
  if e then return nil, e end
  if not template then return misuse "field template must be a file's name, or what directmail.template gave" end
  local made
  made, e = templates.fill(template, fields.data, fields.subject ~= nil)
  if not made then return nil, e end
  if not (made.html or made.text) then
    return refuse("CONTENT", "template", "the template makes a subject only", "give it html or text too")
  end
  local whole = {}
  for name, value in pairs(fields) do whole[name] = value end
  whole.template, whole.data = nil, nil
  whole.html, whole.text, whole.subject = made.html, made.text, fields.subject or made.subject
  return whole
end

local function checked(fields, settings, host)
  local wrong = type(fields) ~= "table" and option.unknown(fields, M.FIELDS, "mail:send") or nil
  for name, value in pairs(wrong and NONE or fields) do
    local types = TYPES[name]
    if not types then return nil, { misuse = option.unknown(fields, M.FIELDS, "mail:send") } end
    if not types[type(value)] then wrong = ("field %s cannot be a %s"):format(name, type(value)) end
  end
  if wrong then return nil, { misuse = wrong } end
  if (fields.template ~= nil or fields.data ~= nil) and not fields.raw then
    local e
    fields, e = filled_in(fields, host)
    if not fields then return nil, e end
  end
  return check(fields, settings, host)
end

--- Check a message and decide all that does not depend on how it travels.
-- Misuse (an unknown field, a wrong type) raises; what a user typed wrong is returned.
-- @tparam table fields the message, see `M.FIELDS`
-- @tparam table settings `sender`, `redirect`, `only` are used
-- @tparam table host
-- @tparam number level where misuse is raised
-- @treturn table a draft: `{ fields=, box={from=,to=,cc=,bcc=,reply_to=,redirected=}, from=mailbox, to={address…}, message_id=,
--   date=, trace=JSON|nil, unsubscribe={…}, headers={ {name, value}… }, parts={…} … }`, or nil, err
function M.draft(fields, settings, host, level)
  local d, e = checked(fields, settings, host)
  if e and e.misuse then error(e.misuse, level + 1) end
  return d, e
end

--- The same where nobody's line can be blamed, for rows of a source: misuse is returned as an error too, and so is what a
-- function in a template's data raises. A task is the pcall around that: the function may wait.
function M.try(fields, settings, host)
  local d, e
  if type(fields) == "table" and fields.template ~= nil then
    local ran, made, why = host.wait(host.spawn(checked, fields, settings, host))
    if ran then
      d, e = made, why
    else
      d, e = refuse("CONTENT", "data", "a function in the template's data failed: " .. tostring(made), "correct the function, or the row")
    end
  else
    d, e = checked(fields, settings, host)
  end
  if e and e.misuse then return refuse("OPTION", "message", e.misuse, "correct the row, or what makes the message of it") end
  return d, e
end

--- Lay a draft out as the message that SMTP carries.
-- @tparam table d of `M.draft`
-- @tparam table settings `size_limit` is used
-- @tparam table host
-- @treturn table the draft, with `core`, `mail_from` and `size`; or nil, err
function M.lay_out(d, settings, host)
  local fields, raw, parts = d.fields, d.raw, d.parts
  local calendar, method = fields.calendar, nil
  if type(calendar) == "table" then calendar, method = calendar.data, calendar.method end
  local text, html, boundary = fields.text, d.html, fields.boundary
  local leaves = (text and 1 or 0) + (html and 1 or 0) + (calendar and 1 or 0) + #parts
  if leaves == 0 and not raw then text = "" end
  if leaves > 1 and not boundary then boundary = "=_" .. (d.unique and d.unique:sub(1, 24) or core.hex(host.random(12))) end
  local built, why
  if not raw and not calendar and #parts == 0 and is_plain(d) then
    built, why = lay_out_plain(d, text, html, boundary)
  else
    built, why = core.message {
      mail_from = d.from.address, rcpt_to = d.to, all_or_none = fields.all_or_none, raw = raw,
      fields = not raw and header_fields(d) or nil, text = text, html = html,
      calendar = calendar, calendar_method = method, parts = #parts > 0 and parts or nil, boundary = boundary,
    }
  end
  if not built then
    local cause = why.field and ("%s: %s"):format(why.field, why.detail) or why.detail
    if raw then
      -- the caller's own line numbers, not those of the mended message
      cause = cause:gsub("line (%d+)", function(n) return ("line %d"):format(d.line_of(tonumber(n))) end)
      return refuse(why.code, why.field, cause, "a finished message is sent as it stands: mend it where it is made")
    end
    return refuse(why.code, why.field, cause, REMEDY[why.code] or "see docs/errors.md")
  end
  local size, limit = built:size(), fields.size_limit
  if limit == nil then limit = settings.size_limit end
  if limit == nil then limit = limits.message_octets end
  if limit and limit ~= 0 and size > limit then
    built:close()
    return refuse("SIZE", "size", ("the message has %d octets, %d are allowed"):format(size, limit),
      "send less, or a link; for a server that takes more: size_limit (DIRECTMAIL_SIZE_LIMIT, 0 = none)")
  end
  d.core, d.mail_from, d.size = built, d.from.address, size
  return d
end

--- Begin every attachment at its first octet again, for another pass over a message whose last one may have been given up.
-- @tparam table built of `lay_out`
function M.rewind(built)
  for i = 1, #built.parts do
    local reader = built.parts[i].reader
    if reader and reader.rewind then reader:rewind() end
  end
end

--- Free a message now, and close its files.
-- @tparam table built of `lay_out`
function M.close(built)
  M.rewind(built)
  built.core:close()
end

-- What `directmail.message` gives out.
local handle = {}
handle.__index = handle

function handle:size() return self.built.size end

--- Write the message in chunks, attachments read as it goes.
-- @tparam function write called as `write(chunk)`; it may wait
-- @treturn boolean true, or nil, err (FILE) when an attachment could not be read to its promised end
function handle:write(write)
  local m = self.built.core
  m:rewind()
  M.rewind(self.built)
  while true do
    local what, a, b = m:pull(65536)
    if what == "bytes" then
      write(a)
    elseif what == "body" then
      local bytes, why = a:read(b)
      local ok, broken
      if bytes or not why then ok, broken = m:body(bytes) end
      if not ok then
        return refuse("FILE", "attachments", why or broken.detail, "leave the file alone while the mail is made")
      end
    else
      return true
    end
  end
end

--- The whole message as one string.
function handle:bytes()
  local out = {}
  local ok, e = self:write(function(chunk) out[#out + 1] = chunk end)
  if not ok then return nil, e end
  return table.concat(out)
end

--- Wrap a built message for the caller.
function M.handle(built) return setmetatable({ built = built }, handle) end

return M
