--- Send one mail.
-- @module directmail.command.send
local data = require "directmail.command.data"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local log = require "directmail.command.log"
local settings = require "directmail.command.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "send",
  summary = "send one mail",
  examples = {
    "directmail send --to ann@example.com --subject 'Your invoice' --text @body.txt --attach invoice.pdf",
    "directmail send --to ann@example.com --template welcome.html --data ann.json",
    "directmail send --to ann@example.com --subject Logo --html '<img src=\"cid:logo\">' --inline logo=logo.png",
    "df -h | directmail send --to ops@example.com --subject 'disk space' --text -",
    "directmail send --to ann@example.com --subject Hello --text Hi --dry-run       # print it, send nothing",
    "directmail send --eml message.eml                          # as it stands, to the recipients of its head",
  },
}

-- Options that make a message, and have no place beside a finished one.
local CONTENT = { "reply_to", "subject", "text", "html", "template", "data", "set", "attach", "inline", "header", "tag", "track",
  "unsubscribe", "message_id", "date", "boundary" }

local EML_OCTETS, CORE_OCTETS = 64 * 1024 * 1024, 1024 * 1024 * 1024     -- the core holds no more than a gigabyte

function M.parser(parser)
  local content = {}
  local function option(name, argname, description, properties)
    local made = parser:option(name):description(description):overwrite(false)
    if argname then made:argname(argname) end
    if properties then made(properties) end
    content[#content + 1] = made
  end
  local many = { count = "*" }
  option("--from", "ADDR", "sender of this mail (default: the setting sender)")
  option("--to", "ADDR", "recipient, one mailbox a value; may repeat", many)
  option("--cc", "ADDR", "recipient of a copy; may repeat", many)
  option("--bcc", "ADDR", "recipient of a hidden copy; may repeat", many)
  option("--reply-to", "ADDR", "where answers go")
  option("--subject", "TEXT", "subject")
  option("--text", "TEXT|@FILE|-", "text part: itself, from a file, from stdin; @@… is text that begins with @")
  option("--html", "TEXT|@FILE|-", "HTML part, likewise")
  option("--template", "FILE", "Mustache template that makes the HTML, the text, and the subject that its head gives")
  for _, row in ipairs(data.OPTIONS) do option(table.unpack(row)) end
  option("--attach", "[NAME=]FILE", "attach a file, under another name if wanted; may repeat", many)
  option("--inline", "CID=FILE", "image that the HTML shows as cid:CID; may repeat", many)
  option("--header", "'NAME: VALUE'", "one more header; may repeat", many)
  option("--eml", "FILE|-", "send a finished message instead; --from and --to are the envelope then, else its head says them")
  option("--tag", "NAME", "tag of the service's statistics; it must exist in the console")
  option("--track", "opens,clicks", "what the service shall track; needs --tag")
  option("--unsubscribe", "default|disabled|URL", "unsubscribe link: the service's own, none, or yours (https with one click, or mailto)")
  option("--message-id", "ID", "Message-ID instead of a new one")
  option("--date", "DATE", "Date instead of now")
  option("--boundary", "TEXT", "MIME boundary instead of a random one")
  parser:group("Message", table.unpack(content))
  settings.declare(parser)
  option("--via", nil, "way to the service; auto (default): the API if it can carry the mail and there is an AccessKey, else SMTP",
    { choices = { "auto", "api", "smtp" } })
  option("--on-unknown", nil, "resend: allow a second copy when nobody knows whether the first arrived", { choices = { "stop", "resend" } })
  option("--key", "KEY", "one mail, however often this is called with the key (needs --store)")
  parser:flag "--queue" :description "keep it in the store, for directmail outbox run (needs --store)"
  parser:flag "--all-or-none" :description "send to nobody when the server refuses one of the recipients"
  parser:flag "--dry-run" :description "print the message instead of sending it"
  parser:flag "-v --verbose" :count "0-2" :description "show the dialogue on stderr; -vv with every byte"
  parser:flag "--json" :description "answer as one JSON object"
  log.declare(parser)
  parser:flag "--sysexits" :description "end with the codes of sysexits.h (directmail help sendmail lists them)"
end

local function is_file(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- [NAME=]FILE: a file of the whole name wins, since a path may hold "=".
local function attachment(value)
  local name, path = value:match "^([^=/]+)=(.+)$"
  if not name or is_file(value) then
    if value == "-" then return usage.wrong("--attach -: what comes from stdin has no name", "write --attach NAME=-") end
    return { path = value }
  end
  if path ~= "-" then return { name = name, path = path } end
  local bytes, e = text.read("--attach", path)
  if not bytes then return nil, e end
  return { name = name, data = bytes }
end

local function inline(value)
  local cid, path = value:match "^([^=]+)=(.+)$"
  if not cid then return usage.wrong(("--inline %s: the name for cid: is missing"):format(value), "write --inline CID=FILE") end
  return { cid = cid, path = path }
end

local function header(line)
  local name, value = line:match "^([^:]+):[ \t]*(.*)$"
  if not name then return usage.wrong(('--header "%s" has no colon'):format(line), "write --header 'Name: value'") end
  return { name, value }
end

local function track(value)
  local known, what = { "opens", "clicks" }, {}
  for word in (value .. ","):gmatch "([^,]*)," do
    if word ~= "opens" and word ~= "clicks" then
      return usage.wrong(('--track knows no "%s"%s'):format(word, usage.did_you_mean(word, known)),
        "opens, clicks, or both with a comma between them")
    end
    what[word] = true
  end
  return what
end

-- What mail:send takes, from the options; or nil, err.
local function message_of(args)
  if args.inline[1] and not args.html then
    return usage.wrong("--inline needs --html: only HTML can show an image", "give --html, or use --attach")
  end
  local message = {
    from = args.from, to = args.to, cc = args.cc, bcc = args.bcc, reply_to = args.reply_to, subject = args.subject,
    tag = args.tag, via = args.via, message_id = args.message_id, date = args.date, boundary = args.boundary,
    on_unknown = args.on_unknown, template = args.template, unsubscribe = args.unsubscribe, key = args.key, queue = args.queue,
    all_or_none = args.all_or_none,
  }
  local e
  if args.template then
    message.data, e = data.read(args)
    if e then return nil, e end
  elseif args.data or args.set[1] then
    return usage.wrong(("--%s has values for a template, and none is given"):format(args.data and "data" or "set"), "add --template FILE")
  end
  for _, part in ipairs { "text", "html" } do
    if args[part] then
      message[part], e = text.value("--" .. part, args[part])
      if e then return nil, e end
    end
  end
  if args.track then
    message.track, e = track(args.track)
    if e then return nil, e end
  end
  local function collect(values, make, list)
    for _, value in ipairs(values) do
      local made
      made, e = make(value)
      if e then return nil end
      list[#list + 1] = made
    end
    return list
  end
  message.headers = collect(args.header, header, {})
  message.attachments = message.headers and collect(args.attach, attachment, {})
  message.attachments = message.attachments and collect(args.inline, inline, message.attachments)
  if e then return nil, e end
  return message
end

-- The largest file that --eml reads. It is above the limit of a message, which is told exactly and with its remedy.
local function most_octets(values)
  if values.size_limit == 0 then return CORE_OCTETS end
  return math.max(EML_OCTETS, 2 * (values.size_limit or 0))
end

-- The finished message of --eml; or nil, err.
local function eml_of(args, values)
  for _, name in ipairs(CONTENT) do
    local given = args[name]
    if type(given) == "string" or type(given) == "table" and given[1] then
      return usage.wrong(("--%s cannot stand beside --eml: that message is finished"):format(name:gsub("_", "-")),
        "write it into the message, or leave --eml away")
    end
  end
  local bytes, e = text.read("--eml", args.eml, most_octets(values))
  if not bytes then return nil, e end
  return { raw = bytes, from = args.from, to = args.to, cc = args.cc, bcc = args.bcc, via = args.via, on_unknown = args.on_unknown,
    key = args.key, queue = args.queue, all_or_none = args.all_or_none }
end

-- An error that names a field, or a setting in Lua's words, names the option instead.
local function by_option(e)
  e.cause = e.cause:gsub("^raw: ", "--eml: "):gsub("^(%a+) cannot stand beside template", "--%1 cannot stand beside --template")
  if e.detail == "raw" then e.detail = "eml" end
  if e.remedy then e.remedy = e.remedy:gsub('on_unknown = "resend"', "--on-unknown resend"):gsub(", or mail:resolve%(err%)", "")
    :gsub("leave all_or_none away", "leave --all-or-none away")
    :gsub(', or load the template with missing = "empty"', ""):gsub(", or name its folder with partials", "")
    :gsub('give directmail.new { store = "[^"]*" }', "give --store FILE") end
  return e
end

-- The first minute: nobody has set anything yet, so there may be no account either.
local function with_first_try(e, values)
  local missing = e.code == "CREDENTIALS" or e.code == "OPTION" and (e.detail == "from" or e.detail == "region")
  if not missing or next(values.from) then return e end
  e.remedy = e.remedy .. "; without an account: directmail sandbox -- directmail send …"
  return e
end

local function print_receipt(receipt)
  if receipt.outcome == "queued" then
    print(("queued%s; directmail outbox run sends it"):format(receipt.earlier and " before, under the same key" or ""))
    print("id " .. receipt.id .. (receipt.message_id and "   message-id " .. receipt.message_id or ""))
    return
  end
  local first = { ("%s by %s%s"):format(receipt.outcome, receipt.via == "api" and "API" or "SMTP",
    receipt.reason and " (" .. receipt.reason .. ")" or ""), receipt.region, ("%.2f s"):format(receipt.seconds) }
  if not receipt.region then first = { first[1], first[3] } end
  print(table.concat(first, ", "))
  local second = {}
  local function add(form, value)
    if value then second[#second + 1] = form:format(value) end
  end
  add("id %s", receipt.id)
  add("message-id %s", receipt.message_id)
  add("%s", receipt.bytes and text.size(receipt.bytes))
  print(table.concat(second, "   "))
  for _, who in ipairs(receipt.refused or {}) do
    print(("refused  %s: %s"):format(err.printable(who.address), err.printable(tostring(who.reply or who.cause))))
    if who.reply and who.cause then print("  cause    " .. err.printable(who.cause)) end
  end
end

function M.run(args)
  local options, e = settings.options(args)
  if not options then return nil, e end
  local message
  if not args.eml then
    message, e = message_of(args)
    if not message then return nil, e end
  end
  local mail
  mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  if args.eml then
    message, e = eml_of(args, mail.settings)
    if not message then return nil, e end
  end
  if args.dry_run then
    local preview, written
    preview, e = mail:preview(message)
    if not preview then return nil, with_first_try(by_option(e), mail.settings) end
    if preview.via == "api" then
      print(require "cjson".encode(preview.params))
      return exit.OK
    end
    written, e = preview.message:write(function(chunk) io.stdout:write(chunk) end)
    if not written then return nil, e end
    return exit.OK
  end
  local record, receipt
  record, e = log.open(args.log, M.name)
  if not record then return nil, e end
  local start = mail.host.tick()
  receipt, e = mail:send(message)
  if e then e = by_option(e) end
  record:mail({ to = log.recipients(message), seconds = mail.host.tick() - start }, receipt, e)
  if not receipt then return nil, with_first_try(e, mail.settings) end
  if args.json then print(text.json(true, receipt)) else print_receipt(receipt) end
  return exit.of_receipt(receipt, args.sysexits)
end

return M
