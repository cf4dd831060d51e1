--- `directmail batch`: start a mailing of the service, checked first.
-- @module directmail.command.batch
local cjson = require "cjson"
local csv = require "directmail.csv"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local log = require "directmail.command.log"
local settings = require "directmail.command.settings"
local templates = require "directmail.templates"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "batch",
  summary = "start a mailing: a stored list or a CSV file, an approved template or a file",
  examples = {
    "directmail batch --list subscribers --template spring_2027 --tag spring --opt-in 'signup form, double opt-in'",
    "directmail batch --recipients people.csv --content news.html --subject 'Hi {name}' --opt-in 'customers since 2025' --dry-run",
    "directmail batch --recipients people.csv --template welcome --opt-in 'signup form' --rest rest.csv   # who got nothing, if it stops",
  },
}

function M.parser(parser)
  local group = {}
  local function option(name, argname, description)
    group[#group + 1] = parser:option(name):argname(argname):description(description):overwrite(false)
    return group[#group]
  end
  option("--list", "NAME", "to a list that is stored at the service")
  option("--recipients", "FILE.csv|-", "to the people of a file: a column to or email, the others are values for {variables}")
  option("--template", "NAME", "an approved template")
  option("--content", "FILE|-", "content with {variables}: HTML, text, a template's file, or JSON {\"subject\",\"html\",\"text\"}")
  option("--subject", "TEXT", "subject of the content (default: what FILE says, else its <title>)")
  option("--opt-in", "SOURCE", "where these people asked for mail; needed")
  option("--tag", "NAME", "tag of the service's statistics; it must exist")
  option("--reply-to", "ADDR", "where answers go")
  option("--unsubscribe", "WORD", "the service's own link: default or disabled"):choices { "default", "disabled" }
  option("--variable", "NAME", "a variable that the list has beside the documented ones; may repeat"):count "*"
  option("--rest", "FILE", "write here, as CSV, who surely got nothing when not all calls succeed")
  group[#group + 1] = parser:flag "--track" :description "let the service track opens and clicks; needs --tag"
  parser:group("Mailing", table.unpack(group))
  settings.declare(parser)
  parser:flag "--dry-run" :description "print the calls instead of making them; asks nobody"
  parser:flag "-v --verbose" :count "0-2" :description "show the calls on stderr; -vv with the answers"
  parser:flag "--json" :description "answer as one JSON object"
  log.declare(parser)
end

-- The column that holds the addresses.
local function address_column(columns)
  for _, wanted in ipairs { "to", "email" } do
    for _, name in ipairs(columns) do
      if name:lower() == wanted then return name end
    end
  end
end

-- Recipients of a CSV file, and the line of each; nil, err.
local function read_recipients(path)
  local source = path
  if path == "-" then
    local bytes, e = text.read("--recipients", "-")
    if not bytes then return nil, e end
    source = { text = bytes, name = "stdin" }
  end
  local following, columns = csv.rows(source)
  if not following then return nil, columns end
  local address = address_column(columns)
  if not address then
    return usage.wrong(("--recipients %s has no column to or email (it has: %s)"):format(path, err.printable(table.concat(columns, ", "))),
      "name the column of the addresses to")
  end
  local list, lines = {}, {}
  for row, line in following do
    if not row then return nil, line end
    local entry = { to = row[address], data = {} }
    for name, value in pairs(row) do
      -- an empty field is no value: a variable without one must be noticed
      if name ~= address and value ~= "" then entry.data[name] = value end
    end
    list[#list + 1], lines[#lines + 1] = entry, line
  end
  return list, lines, columns, address
end

local function read_content(path, subject)
  local bytes, e = text.read("--content", path)
  if not bytes then return nil, e end
  local content
  bytes = bytes:gsub("^\u{FEFF}", "")
  -- no HTML begins so, and a text with {variables} has no quote behind the brace
  if bytes:find "^%s*{%s*\"" then
    local ok, given = pcall(cjson.decode, bytes)
    if not ok or type(given) ~= "table" then return usage.wrong(("--content %s is no JSON"):format(path), 'write {"subject":…,"html":…,"text":…}') end
    for name, value in pairs(given) do
      if name ~= "subject" and name ~= "html" and name ~= "text" or type(value) ~= "string" then
        return usage.wrong(("--content %s: %s is no field of content, or no text"):format(path, err.printable(tostring(name))),
          'write {"subject":…,"html":…,"text":…}')
      end
    end
    content = given
  else
    content, e = templates.parse(bytes)
    if not content then
      e.cause = ("--content %s: %s"):format(path, e.cause)
      return nil, e
    end
  end
  return { subject = subject or content.subject, html = content.html, text = content.text }
end

-- An error of directmail.batch in the words of the command: options, and lines of the file.
local function by_option(e, args, lines)
  if lines then
    e.cause = e.cause:gsub("recipient (%d+)", function(n)
      return lines[tonumber(n)] and ("%s, line %d"):format(err.printable(args.recipients), lines[tonumber(n)])
    end)
  end
  e.cause = e.cause:gsub("opt_in", "--opt-in")
  if e.remedy then
    e.remedy = e.remedy:gsub('opt_in = (".-")', "--opt-in %1"):gsub("data%.(%S+) with each recipient", "a column %1 with a value in each line")
      :gsub("variables = {[^}]*}", "--variable NAME"):gsub('unsubscribe = "disabled"', "--unsubscribe disabled")
      :gsub("the third value names each call, and `rest`", "--rest FILE writes")
  end
  return e
end

local function quoted(value)
  if value:find '[,"\r\n]' then return '"' .. value:gsub('"', '""') .. '"' end
  return value
end

-- Who surely got nothing, as a file of the same columns.
local function write_rest(path, rest, columns, address)
  local file, why = io.open(path, "wb")
  if not file then
    io.stderr:write(("directmail: --rest %s cannot be written: %s\n"):format(err.printable(path), (why:gsub("^.*: ", ""))))
    return
  end
  local function line(values)
    for i, value in ipairs(values) do values[i] = quoted(value) end
    file:write(table.concat(values, ","), "\r\n")
  end
  line { table.unpack(columns) }
  for _, entry in ipairs(rest) do
    local values = {}
    for i, name in ipairs(columns) do values[i] = name == address and entry.to or entry.data[name] or "" end
    line(values)
  end
  file:close()
  io.stderr:write(("directmail: %d recipients who surely got nothing: %s\n"):format(#rest, err.printable(path)))
end

local function plain(result)
  local out = {}
  for name, value in pairs(result) do
    if name ~= "rest" and name ~= "doubtful" then out[name] = value end
  end
  for _, call in ipairs(result.calls) do
    if call.err then call.err = err.plain(call.err) end
  end
  return out
end

local function print_calls(result, out)
  for i, call in ipairs(result.calls) do
    local who = call.first and ("recipients %d to %d"):format(call.first, call.last) or ("%d recipients"):format(call.recipients or 0)
    out:write(("call %d: %s, %s%s%s\n"):format(i, who, (call.outcome:gsub("_", " ")), call.env_id and ", id " .. call.env_id or "",
      call.err and ": " .. err.printable(call.err.cause) or ""))
  end
end

local function warn(result)
  for _, warning in ipairs(result.warnings) do io.stderr:write("directmail: warning: ", err.printable(warning), "\n") end
end

local function show_dry_run(result, json)
  if json then
    local out = { dry_run = true, recipients = result.recipients, warnings = result.warnings, unchecked = result.unchecked, calls = {} }
    for i, call in ipairs(result.calls) do out.calls[i] = call.params end
    print(text.json(true, out))
    return
  end
  local catalogue = require "directmail.catalogue"
  for _, call in ipairs(result.calls) do
    local wire = catalogue.check(catalogue.find "BatchSendMail", call.params, os.time())
    print(require "directmail.command.answer".object(require "directmail.sign".flatten(wire)))
  end
  for _, sample in ipairs(result.samples or {}) do
    io.stderr:write(("directmail: sample for %s: %s\n"):format(err.printable(sample.to), err.printable(sample.subject)))
  end
  io.stderr:write(("directmail: not asked: %s\n"):format(table.concat(result.unchecked, ", ")))
end

function M.run(args)
  local options, e = settings.options(args)
  if not options then return nil, e end
  if args.subject and not args.content then return usage.wrong("--subject stands beside --content only", "a template has its own subject") end
  if args.rest and not args.recipients then return usage.wrong("--rest needs --recipients", "a stored list goes in one call, or not at all") end
  local batch = { list = args.list, template = args.template, tag = args.tag, opt_in = args.opt_in, track = args.track, unsubscribe = args.unsubscribe,
    reply_to = args.reply_to, variables = args.variable[1] and args.variable, dry_run = args.dry_run }
  local lines, columns, address
  if args.recipients then
    batch.recipients, lines, columns, address = read_recipients(args.recipients)
    if not batch.recipients then return nil, lines end
  end
  if args.content then
    batch.content, e = read_content(args.content, args.subject)
    if not batch.content then return nil, e end
  end
  local record
  function batch.on_call(call, i, n)
    if args.verbose > 0 then io.stderr:write(("* call %d of %d: %s\n"):format(i, n, call.outcome)) end
    if call.outcome == "started" then return end
    local taken = not call.err and { outcome = call.outcome, via = "api", id = call.env_id, request_id = call.request_id } or nil
    record:mail({}, taken, call.err, { event = "batch", call = i, recipients = call.first and call.last - call.first + 1 or call.recipients })
  end
  local directmail = require "directmail"
  local mail, result, partial
  mail, e = directmail.new(options)
  if not mail then return nil, e end
  record, e = log.open(not args.dry_run and args.log or nil, M.name)
  if not record then return nil, e end
  result, e, partial = directmail.batch(mail, batch)
  if not result then
    e = by_option(e, args, lines)
    if not partial then return nil, e end
    if args.rest then write_rest(args.rest, partial.rest, columns, address) end
    if args.json then
      local out = plain(partial)
      for name, value in pairs(err.plain(e)) do out[name] = value end
      print(text.json(false, out))
      return exit.of(e)
    end
    print_calls(partial, io.stderr)
    return nil, e
  end
  warn(result)
  if args.dry_run then
    show_dry_run(result, args.json)
  elseif args.json then
    print(text.json(true, plain(result)))
  else
    print(("taken by the service, %s: %d recipients in %d call%s"):format(result.region or "", result.recipients, #result.calls,
      #result.calls == 1 and "" or "s"))
    print_calls(result, io.stdout)
    if args.list then print "keep the list for ten minutes at least: the service reads it while it sends" end
  end
  return exit.OK
end

return M
