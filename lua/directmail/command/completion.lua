--- Completions for the shell, made of the same declarations as the help.
-- @module directmail.command.completion
local M = {
  name = "completion",
  summary = "print completions for bash, zsh or fish",
  examples = {
    "directmail completion bash > /etc/bash_completion.d/directmail",
    "source <(directmail completion bash)                       # in this shell only",
    "directmail completion zsh > \"${fpath[1]}/_directmail\"",
    "directmail completion fish > ~/.config/fish/completions/directmail.fish",
  },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "shell" :choices { "bash", "zsh", "fish" } :description "make install puts all three where the shells look"
end

-- What an option takes besides files, where that is known when the completions are written.
local function regions()
  local ids = {}
  for _, region in ipairs(require "directmail.core".regions()) do ids[#ids + 1] = region.id end
  return ids
end

local VALUES = { ["--region"] = regions }

-- The declarations name their options as they do for the help; those with known values get these here.
local function offer_values(parser)
  local option = parser.option
  function parser.option(self, name, ...)
    local made = option(self, name, ...)
    if VALUES[name] then made:choices(VALUES[name]()) end
    return made
  end
  return parser
end

local function whole()
  local commands = require "directmail.command"
  local parser = require "argparse" "directmail"
  parser:add_help(false)
  parser:flag "--debug" :description "full traces"
  parser:flag "--sandbox" :description "run a script against a private sandbox"
  for _, name in ipairs(commands.commands) do
    local command = commands.load(name)
    local sub = offer_values(parser:command(name):summary(command.summary):description(command.summary):add_help(false))
    sub:flag "-h --help" :description "show how it is used"
    local declare = command.complete or command.parser
    declare(sub)
  end
  return parser
end

function M.run(args)
  local parser = whole()
  local text = args.shell == "bash" and parser:get_bash_complete() or args.shell == "zsh" and parser:get_zsh_complete() or parser:get_fish_complete()
  io.write(text, text:find "\n$" and "" or "\n")
  return 0
end

return M
