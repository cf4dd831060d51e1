--- `directmail templates`: the console's templates as files, with the state of their review.
-- @module directmail.command.templates
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local settings = require "directmail.command.settings"
local templates = require "directmail.templates"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "templates",
  summary = "list, pull, push and compare the console's templates",
  examples = {
    "directmail templates list",
    "directmail templates pull welcome > welcome.html       # Name:, Subject:, Sender-Name:, an empty line, the HTML",
    "directmail templates diff welcome.html",
    "directmail templates push welcome.html --wait 3600     # made or changed, then waited for its review",
  },
  own_arguments = true,
}

local ACTIONS = { "list", "pull", "push", "diff" }

function M.parser(parser)
  parser:argument "action" :args "?" :description "list, pull NAME, push FILE, diff FILE"
  parser:argument "what" :args "?" :description "a template's name, or a file (- for stdin)"
  parser:argument "surplus" :args "*" :hidden(true)
  parser:option "--name" :argname "NAME" :overwrite(false) :description "name of the template (default: what FILE says)"
  parser:option "--subject" :argname "TEXT" :overwrite(false) :description "its subject, likewise"
  parser:option "--sender-name" :argname "TEXT" :overwrite(false) :description "its sender's name, likewise"
  parser:option "--wait" :argname "S" :overwrite(false) :description "push: wait so many seconds for the approval"
    :convert(function(value)
      local n = tonumber(value)
      if n and n >= 0 and n < math.huge then return n end
      return nil, ("option --wait: \"%s\" is not a number from 0 on"):format(value)
    end)
  settings.declare(parser)
  parser:flag "-v --verbose" :count "0-2" :description "show the calls on stderr; -vv with the answers"
  parser:flag "--json" :description "answer as one JSON object"
end

local function read_file(args)
  local bytes, e = text.read(args.action, args.what)
  if not bytes then return nil, e end
  local template
  template, e = templates.parse(bytes)
  if not template then return nil, e end
  if template.text then return usage.wrong(("%s holds no HTML: templates have no text part"):format(args.what), "write the body as HTML") end
  return { name = args.name or template.name, subject = args.subject or template.subject, sender_name = args.sender_name or template.sender_name,
    html = template.html }
end

local RUN = {}

function RUN.list(mail, args)
  local list, e = templates.list(mail)
  if not list then return nil, e end
  if args.json then
    for _, one in ipairs(list) do print(text.json(true, one)) end
  elseif #list == 0 then
    print "(none)"
  else
    require "directmail.command.answer".table({ "name", "status", "created", "id" }, list)
  end
  return exit.OK
end

function RUN.pull(mail, args)
  local found, e = templates.pull(mail, args.what)
  if not found then return nil, e end
  if args.json then print(text.json(true, found)) else io.stdout:write(templates.format(found)) end
  if found.status ~= "approved" then io.stderr:write("directmail: its state: ", err.printable(found.status), "\n") end
  return exit.OK
end

function RUN.push(mail, args)
  local template, e = read_file(args)
  if not template then return nil, e end
  local pushed
  pushed, e = templates.push(mail, template, { wait = args.wait })
  if not pushed then return nil, e end
  if args.json then
    print(text.json(true, pushed))
  else
    print(("%s: %s, %s (id %s)"):format(err.printable(template.name), pushed.action, pushed.status, pushed.id))
  end
  return exit.OK
end

-- As of diff: 1 when they differ.
function RUN.diff(mail, args)
  local template, e = read_file(args)
  if not template then return nil, e end
  local diff
  diff, e = templates.diff(mail, template)
  if not diff then return nil, e end
  if args.json then
    print(text.json(diff.same, diff))
  else
    print(("%s: %s, %s"):format(err.printable(template.name), diff.status, diff.same and "the same" or diff.exists and "different" or "not there yet"))
    for _, change in ipairs(diff.changes) do
      print(("@@ %s, line %d"):format(change.field, change.line))
      for _, line in ipairs(change.lines) do print((err.printable(line))) end
    end
  end
  return diff.same and exit.OK or exit.REFUSED
end

function M.run(args)
  local run = RUN[args.action or ""]
  if not run then
    return usage.wrong(args.action and ('"%s" is nothing to do with templates%s'):format(err.printable(args.action), usage.did_you_mean(args.action, ACTIONS))
      or "list, pull, push or diff is missing", "directmail templates --help shows examples")
  end
  if args.surplus[1] or args.action == "list" and args.what then
    return usage.wrong(('unexpected argument "%s"'):format(err.printable(args.surplus[1] or args.what)), "directmail templates --help shows examples")
  end
  if args.action ~= "list" and not args.what then
    return usage.wrong(("%s of what?"):format(args.action), args.action == "pull" and "name the template" or "name the file")
  end
  local options, e = settings.options(args)
  if not options then return nil, e end
  if args.verbose > 0 then
    options.verbose = args.verbose
    options.transcript = function(line) io.stderr:write(line, "\n") end
  end
  local mail
  mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  return run(mail, args)
end

return M
