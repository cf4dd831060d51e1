--- `directmail api`: call any operation of the API; options, checks and help come from the catalogue.
-- @module directmail.command.api
local catalogue = require "directmail.catalogue"
local cjson = require "cjson"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local host = require "directmail.host"
local parameters = require "directmail.command.parameters"
local settings = require "directmail.command.settings"
local show = require "directmail.command.answer"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "api",
  summary = "call any operation of the API, checked first",
  examples = {
    "directmail api DescAccountSummary --json",
    "directmail api QueryMailAddressByParam --Sendtype batch --all",
    "directmail api QueryMailAddressByParam --all-regions",
    "directmail api ModifyMailAddress --MailAddressId 126545 --Password @new-password",
    "directmail api DeleteTag --TagId 7 --yes",
    "directmail api --list tag                                   # what there is; directmail api CreateTag --help",
    "directmail api --policy app.lua QueryTagByParam             # the RAM policy that a program needs",
  },
}

-- ---- the command line -----------------------------------------------------------

-- Option, its argument, what it is; a flag without an argument.
local OPTIONS = {
  { "--params", "JSON|@FILE|-", "parameters as a JSON object; single ones win" },
  { "--all", nil, "every page of a list" },
  { "--page", "N", "another page than the first" },
  { "--all-regions", nil, "ask every region (operations that only read)" },
  { "--force", nil, "send an operation, or parameters, that the catalogue does not know, unchecked" },
  { "--yes", nil, "delete without asking" },
  { "--dry-run", nil, "print the parameters as they would be sent, call nothing" },
  { "--json", nil, "the service's answer as it stands; with --all an entry a line, with --all-regions a region a line" },
  { "--list", nil, "list the operations, or those that have a WORD in them" },
  { "--policy", nil, "print the least RAM policy for operations, and for the scripts that use them" },
}

--- The help.
function M.usage()
  local lines = {
    "Usage: directmail api OPERATION [--Name VALUE…|Name=VALUE…] [OPTIONS]",
    "       directmail api OPERATION --help", "       directmail api --list [WORD]", "       directmail api --policy [OPERATION|SCRIPT.lua…]", "",
    "A VALUE may come from @FILE or from stdin (-); @@… is text that begins with @. Secret ones must. Objects and lists are JSON,",
    "or single fields: --Receivers.1.To.1 ann@example.com. An unknown name is an error before anything is sent.", "", "Options:",
  }
  for _, row in ipairs(OPTIONS) do lines[#lines + 1] = ("   %-24s %s"):format(row[1] .. (row[2] and " " .. row[2] or ""), row[3]) end
  lines[#lines + 1] = ("   %-24s %s"):format("-v --verbose", "show the calls on stderr; -vv with the answers")
  lines[#lines + 1] = "\nSettings are options as everywhere: --region, --api, --access-key-id, --profile, --proxy, --ca, --timeout\n"
    .. "(directmail send --help, directmail help environment)."
  return table.concat(lines, "\n")
end

local function declare(parser)
  parser:flag "-v --verbose" :count "0-2"
  for _, row in ipairs(OPTIONS) do
    local made = row[2] and parser:option(row[1]):overwrite(false) or parser:flag(row[1])
    made:description(row[3])
  end
  settings.declare(parser)
end

--- What a shell offers: the operations too, each with its parameters.
function M.complete(parser)
  declare(parser)
  for _, name in ipairs(catalogue.names()) do
    local sub = parser:command(name):add_help(false)
    for _, field in ipairs(catalogue.find(name).params) do sub:option("--" .. field.name) end
  end
end

local function parser_for(words)
  local parser = require "argparse" "directmail api"
  parser:add_help(false):usage ""
  parser:flag "-h --help"
  declare(parser)
  parameters.declare(parser, words)
  parser:argument "words" :args "*"
  return parser
end

local LIST = "directmail api --list shows the operations"

-- argparse's sentence as ours; the nearest of our options and of the operation's parameters is named.
local function wrong_words(message, operation)
  message = message:gsub("\n.*", "")
  local unknown = message:match "^unknown option '(.*)'$"
  if unknown then
    local known = {}
    for _, row in ipairs(OPTIONS) do known[#known + 1] = row[1] end
    for _, field in ipairs(operation and operation.params or {}) do known[#known + 1] = "--" .. field.name end
    return usage.wrong("unknown option " .. unknown .. usage.did_you_mean(unknown, known),
      'directmail api --help lists the options; a value that begins with "-" is written --Name=VALUE')
  end
  local option = message:match "^option '(%-%-.-)' requires an argument$"
  return usage.wrong((message:gsub("'(%-[%w.-]+)'", "%1"):gsub("must be used at most 1 time$", "may be given only once")),
    option and ('a value that begins with "-" is written %s=VALUE'):format(option) or "directmail api --help")
end

--- Read the words of the command line.
-- @tparam {string,...} words
-- @treturn[1] table args
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.parse(words)
  local operation = parameters.operation(words)
  local parser = parser_for(words)
  parser.error = function(_, message) error({ message = message }, 0) end
  local ok, args = pcall(parser.parse, parser, words)
  if not ok then
    if type(args) ~= "table" then error(args, 0) end
    return wrong_words(args.message, operation)
  end
  local name = args.words[1]
  args.operation = catalogue.brief(name or "") and catalogue.find(name) or nil
  if args.help and args.operation then args.help, args.about = nil, true end
  return args
end

-- ---- what is asked for ------------------------------------------------------------------

local function unknown_operation(name)
  return parameters.unknown(name, LIST .. "; --force sends one that is newer than this program")
end

local function list(args)
  local word = args.words[1] and args.words[1]:lower()
  local rows = {}
  for _, name in ipairs(catalogue.names()) do
    local brief = catalogue.brief(name)
    if not word or (name .. " " .. brief.group:gsub("_", " ") .. " " .. brief.purpose):lower():find(word, 1, true) then
      rows[#rows + 1] = { name = name, group = brief.group:gsub("_", " "), kind = brief.kind, purpose = brief.purpose }
    end
  end
  if args.json then
    print(cjson.encode(#rows > 0 and rows or cjson.empty_array))
  elseif #rows == 0 then
    return usage.wrong(('no operation has "%s" in it'):format(args.words[1]), LIST)
  else
    show.table({ "name", "kind", "purpose" }, rows)
  end
  return exit.OK
end

-- Operations that a script names: mail.api.X, mail.api.each("X"), mail.api.call("X"), and what sends.
local function operations_in(source)
  local found = {}
  source = source:gsub("%-%-%[(=*)%[.-%]%1%]", ""):gsub("%-%-[^\n]*", "")
  for name in source:gmatch "api%s*%.%s*(%u%w+)" do found[name] = true end
  for name in source:gmatch "api%s*%.%s*%l+%s*%(?%s*[\"'](%u%w+)[\"']" do found[name] = true end
  for name in source:gmatch "api%s*%[%s*[\"'](%u%w+)[\"']%s*%]" do found[name] = true end
  if source:find ":%s*send%s*[%({]" or source:find ":%s*send_all%s*[%({]" then found.SingleSendMail = true end
  if source:find "%.batch%s*[%({]" then
    for _, name in ipairs { "BatchSendMail", "QueryReceiverByParam", "QueryReceiverDetail", "QueryTemplateByParam", "DescTemplate",
      "QueryMailAddressByParam", "QueryTagByParam", "DescAccountSummary" } do found[name] = true end
  end
  return found
end

local function policy(args)
  local wanted = {}
  if not args.words[1] then
    wanted.SingleSendMail = true
    io.stderr:write "directmail: for sending alone (SingleSendMail); name operations or scripts for others\n"
  end
  for _, word in ipairs(args.words) do
    if catalogue.brief(word) or args.force and word:find "^%u%w*$" then
      wanted[word] = true
    elseif word:find "[./]" then
      local source, e = text.read("--policy", word)
      if not source then return nil, e end
      local found = operations_in(source)
      if not next(found) then io.stderr:write(("directmail: %s names no operation\n"):format(err.printable(word))) end
      for name in pairs(found) do wanted[name] = true end
    else
      return unknown_operation(word)
    end
  end
  local names, rights = {}, {}
  for name in pairs(wanted) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    rights[i] = '        "' .. catalogue.right(name) .. '"'
    local operation = catalogue.find(name)
    if operation and operation.right then io.stderr:write(("directmail: %s: %s\n"):format(name, operation.right)) end
    if not operation then io.stderr:write(("directmail: %s is not in the catalogue\n"):format(name)) end
  end
  print(('{\n  "Version": "1",\n  "Statement": [\n    {\n      "Effect": "Allow",\n      "Action": [\n%s\n      ],\n      "Resource": "*"\n    }\n  ]\n}')
    :format(table.concat(rights, ",\n")))
  return exit.OK
end

-- Ask before something is deleted; true, or nil, err.
local function confirmed(args, params)
  local operation = args.operation
  if not operation or operation.kind ~= "delete" or args.yes then return true end
  if not (host.is_terminal(0) and host.is_terminal(2)) then
    return usage.wrong(("%s deletes, and there is no terminal to ask at"):format(operation.name), "add --yes")
  end
  local what, word = "yes", "yes"
  for _, field in ipairs(operation.params) do
    if params[field.name] and what == "yes" and type(params[field.name]) ~= "table" then what, word = field.name, tostring(params[field.name]) end
  end
  io.stderr:write(("%s %s\ntype %s to confirm: "):format(operation.name, operation.purpose,
    what == "yes" and "yes" or ("the %s (%s)"):format(what, err.printable(word))))
  io.stderr:flush()
  if io.stdin:read "l" == word then return true end
  return usage.wrong("not confirmed: nothing was deleted", "")
end

-- The parameters as they would be sent, without secrets.
local function dry_run(args, params)
  local wire = params
  if args.operation and not args.force then
    local faults
    wire, faults = catalogue.check(args.operation, params, os.time())
    if #faults > 0 then return nil, catalogue.error(args.operation.name, faults) end
  end
  local flat = require "directmail.sign".flatten(wire)
  for name in pairs(flat) do
    if parameters.is_secret(args.operation, name) then flat[name] = "********" end
  end
  print(show.object(flat))
  return exit.OK
end

local function ask(mail, args, params)
  local name = args.words[1]
  if args.force then return mail.api.call(name, params) end
  return mail.api[name](params)
end

-- ---- one region, every page, all regions ------------------------------------------------

local function one(mail, args, params)
  local answer, e = ask(mail, args, params)
  if not answer then return nil, e end
  if args.json then show.body(answer) else show.answer(args.words[1], args.operation, answer) end
  return exit.OK
end

local function every_page(mail, args, params)
  local rows = {}
  for entry, e in mail.api.each(args.operation.name, params) do
    if not entry then return nil, e end
    if args.json then print(show.json(entry)) else rows[#rows + 1] = entry end
  end
  if not args.json then show.entries(args.operation, rows) end
  return exit.OK
end

-- The order in which outcomes matter when there are several.
local SERIOUS = { exit.UNKNOWN, exit.REFUSED, exit.REPEAT, exit.OURS_REFUSED }

local function all_regions(mail, args, params)
  local tasks, answers, codes = {}, {}, {}
  local began = host.tick()
  local regions = require "directmail.core".regions()
  if mail.settings.api then io.stderr:write(("directmail: api is set (from %s): each region is asked there\n"):format(mail.settings.from.api)) end
  for i, region in ipairs(regions) do
    local there, e = mail:with { region = region.id }
    if not there then return nil, e end
    tasks[i] = host.spawn(function()
      local answer, why = ask(there, args, params)
      answers[i] = { region = region.id, answer = answer, err = why }
    end)
  end
  for i, task in ipairs(tasks) do
    local ok, why = host.wait(task)
    if not ok then error(why, 0) end
    if answers[i].err then codes[exit.of(answers[i].err)] = true end
  end
  show.regions(args.operation, answers, args.json)
  if not args.json then io.stderr:write(("%d calls, %.1f s\n"):format(#tasks, host.tick() - began)) end
  for _, code in ipairs(SERIOUS) do
    if codes[code] then return code end
  end
  return exit.OK
end

function M.run(args)
  local name, operation = args.words[1], args.operation
  if args.list then return list(args) end
  if args.policy then return policy(args) end
  if args.about then
    print(show.help(operation))
    return exit.OK
  end
  if not operation and not (args.force and name and name:find "^%a%w*$") then return unknown_operation(name) end
  if args.all_regions and (not operation or operation.kind ~= "read") then
    return usage.wrong(("--all-regions is for operations that only read, and %s does not"):format(name), "name one region with --region")
  end
  if (args.all or args.page) and not (operation and operation.list) then
    return usage.wrong(("%s lists nothing, so it has no pages"):format(name), "leave --all and --page away")
  end
  local params, e = parameters.read(args, operation)
  if not params then return nil, e end
  if args.page then
    if not operation.paging or operation.paging.style ~= "page" or not args.page:find "^[1-9]%d*$" then
      return usage.wrong(("--page %s: %s"):format(args.page, operation.paging and operation.paging.style == "page" and "pages are numbers from 1 on"
        or name .. " has no numbers of pages"), "--all shows every page")
    end
    params[operation.paging.position] = args.page
  end
  if args.dry_run then return dry_run(args, params) end
  local options, sure
  options, e = settings.options(args)
  if not options then return nil, e end
  -- faults of the command line come before the question and before any setting
  if operation and not (args.force or args.all) then
    local _, faults = catalogue.check(operation, params, os.time())
    if #faults > 0 then return nil, catalogue.error(name, faults) end
  end
  sure, e = confirmed(args, params)
  if not sure then return nil, e end
  local mail
  mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  if args.all_regions then return all_regions(mail, args, params) end
  if args.all then return every_page(mail, args, params) end
  return one(mail, args, params)
end

return M
