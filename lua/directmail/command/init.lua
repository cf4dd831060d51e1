--- Decide what `directmail …` means: a command of the list, or a script.
--
-- A command is a file beside this one that returns
--
--     { name = "send", summary = "send one mail",
--       examples = { "directmail send --to …", … },
--       own_arguments = nil,                     -- true when it takes words without an option, or subcommands
--       parser = function(parser) … end,         -- declares its options on an argparse parser; or, for a syntax of its own:
--       parse = function(words) … end,           -- args, or nil and a directmail.err; args.help asks for the help
--       usage = function() … end,                -- the text of its help
--       complete = function(parser) … end,       -- declares what a shell offers, where `parser` does not say it all
--       sysexits = nil,                          -- true when it answers with the codes of sysexits.h
--       run = function(args, place) … end }      -- returns an exit code, or nil and a directmail.err
--
-- `place` says where this program lies: `{ folder =, build = true in a build tree, lib =, version =, lua = }`.
-- @module directmail.command
local M = {}

--- The commands, in the order of the overview.
M.commands = {
  "send", "sendmail", "api", "batch", "template", "route", "sandbox", "sign", "explain", "doctor", "lint", "list",
  "trace", "outbox", "config", "completion", "env", "help", "version",
}

-- Words in front of a command or script.
local flags = { "--help", "--version", "--debug", "--sandbox" }

-- What a parser raises to end; argparse itself would leave the process.
local HELP = {}

-- The error of a wrong command line; 'word' is looked for among 'known'.
local function usage(cause, remedy, word, known)
  local wrong = require "directmail.command.usage"
  local _, e = wrong.wrong(cause .. (word and wrong.did_you_mean(word, known) or ""), remedy)
  return e
end

--- Say an error: in words on stderr, or as one JSON object on stdout.
-- @tparam table e a directmail.err
-- @tparam boolean json
-- @tparam[opt] boolean sysexits
-- @treturn integer its exit code
function M.fail(e, json, sysexits)
  if json then
    print(require "directmail.command.text".json(false, require "directmail.err".plain(e)))
  elseif e.code == "OPTION" then
    io.stderr:write("directmail: usage: ", e.cause, e.detail and " (" .. e.detail .. ")" or "", "\n")
    if e.remedy then io.stderr:write("  remedy   ", e.remedy, "\n") end
  else
    io.stderr:write("directmail: ", require "directmail.err".report(e), "\n")
  end
  return require "directmail.command.exit".of(e, sysexits)
end

--- A command's declaration.
-- @tparam string name of `M.commands`
-- @treturn table
function M.load(name) return require("directmail.command." .. name) end

-- The parser of a command, and the text of its help; 'apart' as of `M.usage`.
local function parser_of(command, apart)
  local parser = require "argparse"("directmail " .. command.name)
  parser:add_help(false):usage_max_width(100)
  if apart then
    -- the margin is so narrow that no description fits beside what it describes
    parser:help_description_margin(M.APART)
  else
    parser:help_max_width(100):help_description_margin(30)
  end
  parser:flag "-h --help" :description "show this text" :action(function() error(HELP, 0) end)
  command.parser(parser)
  if not command.own_arguments then
    -- argparse would only say "too many arguments"
    parser:argument "surplus" :args "*" :hidden(true)
  end
  return parser
end

--- Blanks before a description that stands on a line of its own.
M.APART = 4

--- How a command is called: its syntax, arguments and options.
-- @tparam string name of `M.commands`
-- @tparam[opt] boolean apart each description on a line of its own, however long, `M.APART` blanks in front of it, for a program to
--   read; a command that has `usage` has one form only, with two blanks between
-- @treturn string
function M.usage(name, apart)
  local command = M.load(name)
  return command.usage and command.usage() or parser_of(command, apart):get_help()
end

--- The help of a command: examples first.
-- @tparam string name of `M.commands`
-- @treturn string
function M.help(name)
  local command = M.load(name)
  return ("directmail %s: %s\n\nExamples:\n  %s\n\n%s"):format(command.name, command.summary,
    table.concat(command.examples, "\n  "), M.usage(name))
end

-- argparse's sentence about a wrong command line as ours, with the nearest option.
local function usage_of(parser, command, message)
  message = message:gsub("\n.*", "")         -- its own guess; ours sees further
  local unknown = message:match "^unknown option '(.*)'$"
  local remedy = ("directmail %s --help lists the options"):format(command.name)
  if unknown then
    local known = {}
    for name in parser:get_usage():gmatch "%-%-[%w-]+" do known[#known + 1] = name end
    return usage("unknown option " .. unknown, remedy .. '; a value that begins with "-" is written --option=VALUE', unknown, known)
  end
  -- W98: `--subject -5` is a missing value and an unknown option
  local option = message:match "^option '(%-%-.-)' requires an argument$"
  if option then remedy = ('a value that begins with "-" is written %s=VALUE'):format(option) end
  message = message:gsub("must be used at most 1 time$", "may be given only once")
  return usage((message:gsub("'(%-[%w-]+)'", "%1")), remedy)
end

-- Is this option among the arguments? Asked when they could not be parsed.
local function has(arguments, option)
  for _, word in ipairs(arguments) do
    if word == "--" then return false end
    if word == option then return true end
  end
  return false
end

-- What a command line means: args; nothing and the exit code when it is answered already; nothing and a directmail.err.
local function parse(command, arguments)
  local args, e
  if command.parse then
    args, e = command.parse(arguments)
    if not args then return nil, e end
  else
    local parsed
    local parser = parser_of(command)
    parser.error = function(_, message) error(usage_of(parser, command, message), 0) end
    parsed, args = pcall(parser.parse, parser, arguments)
    if not parsed then
      if args == HELP then
        args = { help = true }
      elseif require "directmail.err".is(args) then
        return nil, args
      else
        error(args, 0)
      end
    end
  end
  if args.help then
    print(M.help(command.name))
    return nil
  end
  if args.surplus and args.surplus[1] then
    return nil, usage(('unexpected argument "%s"'):format(args.surplus[1]),
      ("each value stands behind its option; directmail %s --help lists them"):format(command.name))
  end
  return args
end

local function run_command(name, arguments, place, all)
  -- A command takes no module from the working folder: a cloned repository's cjson.lua would run with our passwords at hand.
  for _, kind in ipairs { "path", "cpath" } do
    local absolute = {}
    for entry in package[kind]:gmatch "[^;]+" do
      if entry:sub(1, 1) == "/" then absolute[#absolute + 1] = entry end
    end
    package[kind] = table.concat(absolute, ";")
  end
  local command = M.load(name)
  local exit = require "directmail.command.exit"
  local sysexits = command.sysexits or has(arguments, "--sysexits")
  local args, wrong = parse(command, arguments)
  if not args then return wrong and M.fail(wrong, has(arguments, "--json"), sysexits) or exit.OK end
  local function explain(raised) return require "directmail.command.script".explain(raised, true) end
  local ran, code, e = xpcall(command.run, explain, args, place)
  if not ran then
    -- no handler runs when memory ends
    local raised = type(code) == "table" and code or { text = tostring(code) }
    if raised.err then return M.fail(raised.err, args.json, sysexits) end
    io.stderr:write("directmail: ", all and raised.text or raised.text:gsub("\n.*", ""), "\n")
    if not all then
      io.stderr:write(("  remedy   a fault of directmail: please report it with the output of directmail --debug %s …\n"):format(name))
    end
    return exit.broken(sysexits)
  end
  if e then return M.fail(e, args.json, sysexits) end
  return code
end

local function opens(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- Does a file of this name exist? A folder is none.
local function is_file(path) return opens(path) and not opens(path .. "/.") end

local function is_command(word)
  for _, name in ipairs(M.commands) do
    if name == word then return true end
  end
  return false
end

--- Run the program.
-- @tparam {string,...} argv the words of the command line, the program's name at 0
-- @tparam table place see above
-- @treturn integer the exit code
function M.main(argv, place)
  -- a link by that name: programs call /usr/sbin/sendmail and know no other
  if (argv[0] or ""):match "[^/]*$" == "sendmail" then return run_command("sendmail", table.move(argv, 1, #argv, 1, {}), place, false) end
  local at, all, sandbox = 1, false, false
  while argv[at] == "--debug" or argv[at] == "--sandbox" do
    if argv[at] == "--debug" then all = true else sandbox = true end
    at = at + 1
  end
  local word = argv[at]
  if sandbox and (not word or is_command(word)) then
    return M.fail(usage("--sandbox stands before a script" .. (word and ", and " .. word .. " is a command" or ", and none is named"),
      word and ("directmail sandbox -- directmail %s …"):format(word) or "directmail --sandbox SCRIPT.lua"))
  end
  if not word then
    io.stderr:write(require "directmail.command.help".overview(), "\n")
    return require "directmail.command.exit".OURS_REFUSED
  end
  if word == "--help" or word == "-h" then word = "help" end
  if word == "--version" then word = "version" end
  if is_command(word) then return run_command(word, table.move(argv, at + 1, #argv, 1, {}), place, all) end
  if word == "-" or word:find("/", 1, true) or word:find "%.lua$" or word:sub(1, 1) ~= "-" and is_file(word) then
    if not sandbox then return require "directmail.command.script".run(word, argv, at, all) end
    local code, e = require "directmail.command.tryout".run(argv, at, all)
    return code or M.fail(e)
  end
  if word:sub(1, 1) == "-" then
    return M.fail(usage("unknown option " .. word, "options of a command stand behind its name; directmail help", word, flags))
  end
  return M.fail(usage(('"%s" is neither a command nor a script'):format(word), "directmail help lists the commands", word, M.commands))
end

return M
