--- `directmail template`: fill in a template, and bring the console's own into files and back.
-- @module directmail.command.template
local data = require "directmail.command.data"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local host = require "directmail.host"
local limits = require "directmail.data.limits"
local settings = require "directmail.command.settings"
local templates = require "directmail.templates"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "template",
  summary = "fill in a template; list, pull, push and compare the console's",
  examples = {
    "directmail template render welcome.html --data ann.json       # its HTML; --part subject, --part text",
    "directmail template list",
    "directmail template pull welcome > welcome.html       # Name:, Subject:, Sender-Name:, an empty line, the HTML",
    "directmail template diff welcome.html",
    "directmail template push welcome.html --wait 3600     # made or changed, then waited for its review",
  },
  own_arguments = true,
}

local ACTIONS = { "render", "list", "pull", "push", "diff" }

-- Options that only some of them have, and which.
local ONLY = {
  { "data", "render" }, { "set", "render" }, { "missing", "render" }, { "partials", "render" }, { "part", "render" },
  { "name", "push", "diff" }, { "subject", "push", "diff" }, { "sender_name", "push", "diff" }, { "wait", "push" },
}

function M.parser(parser)
  parser:argument "action" :args "?" :description "render FILE; list, pull NAME, push FILE, diff FILE"
  parser:argument "what" :args "?" :description "a file (- is stdin), or the name of a template"
  parser:argument "surplus" :args "*" :hidden(true)
  for _, row in ipairs(data.OPTIONS) do
    local option = parser:option(row[1]):argname(row[2]):description("render: " .. row[3]):overwrite(false)
    if row[4] then option(row[4]) end
  end
  parser:option "--missing" :overwrite(false) :choices { "error", "empty" } :description "render: what a value that is not given is (default: error)"
  parser:option "--partials" :argname "DIR" :overwrite(false) :description "render: folder of the partials (default: the file's own)"
  parser:option "--part" :overwrite(false) :choices { "html", "text", "subject" } :description "render: what to print (default: html, of a .txt file text)"
  parser:option "--name" :argname "NAME" :overwrite(false) :description "push, diff: name of the template (default: what FILE says)"
  parser:option "--subject" :argname "TEXT" :overwrite(false) :description "push, diff: its subject, likewise"
  parser:option "--sender-name" :argname "TEXT" :overwrite(false) :description "push, diff: its sender's name, likewise"
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

-- An error of the library in the command's words: a template's begins with FILE:LINE, which editors know.
local function fail(args, e)
  if args.data then
    local source = " in " .. err.printable(args.data == "-" and "stdin" or args.data)
    e.cause = e.cause:gsub("^(.-:%d+: no value for {{.-}})", function(said) return said .. source end)
  end
  if e.remedy then
    e.remedy = e.remedy:gsub('load the template with missing = "empty"', "--missing empty"):gsub("name its folder with ", "%0--")
  end
  if args.json then return nil, e end
  -- nothing was to be sent, so this is not told as what became of a mail
  io.stderr:write("directmail: ", e.cause, "\n", e.remedy and "  remedy   " .. e.remedy .. "\n" or "")
  return exit.of(e)
end

local function render(args)
  local values, e = data.read(args)
  if not values then return nil, e end
  local options = { partials = args.partials, missing = args.missing }
  if not (args.json or args.part == "text") then options.text = false end        -- it costs to make, and nobody asked
  local home = host
  if args.what == "-" then
    local bytes
    bytes, e = text.read("render", "-", limits.template_file_octets)
    if not bytes then return nil, e end
    home = setmetatable({ read = function(path, most)
      if path == "-" then return bytes end
      return host.read(path, most)
    end }, { __index = host })
  end
  local template, why = require "directmail.template".new(args.what, options, home, 1)
  if not template then return fail(args, why) end
  local made
  made, why = template(values)
  if not made then return fail(args, why) end
  if args.json then
    local null = require "cjson".null
    local out = { subject = made.subject or null, html = made.html or null, text = made.text or null }
    print(text.ordered(out, { "subject", "html", "text" }))
    return exit.OK
  end
  local part = args.part or made.html and "html" or "text"
  if not made[part] then
    return usage.wrong(("%s makes no %s"):format(err.printable(args.what), part),
      part == "subject" and "give it a head: ---, subject: …, ---" or "leave --part away")
  end
  io.stdout:write(made[part])
  return exit.OK
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
  if not run and args.action ~= "render" then
    return usage.wrong(args.action and ('"%s" is nothing to do with a template%s'):format(err.printable(args.action), usage.did_you_mean(args.action, ACTIONS))
      or "render, list, pull, push or diff is missing", "directmail template --help shows examples")
  end
  if args.surplus[1] or args.action == "list" and args.what then
    return usage.wrong(('unexpected argument "%s"'):format(err.printable(args.surplus[1] or args.what)), "directmail template --help shows examples")
  end
  if args.action ~= "list" and not args.what then
    return usage.wrong(("%s of what?"):format(args.action), args.action == "pull" and "name the template" or "name the file")
  end
  for _, row in ipairs(ONLY) do
    local given = args[row[1]]
    if given and not (type(given) == "table" and #given == 0) and args.action ~= row[2] and args.action ~= row[3] then
      return usage.wrong(("--%s does not go with %s"):format(row[1]:gsub("_", "-"), args.action), "it belongs to " .. table.concat(row, " and ", 2))
    end
  end
  if args.action == "render" then return render(args) end
  local mail, e = settings.mail(args)
  if not mail then return nil, e end
  return run(mail, args)
end

return M
