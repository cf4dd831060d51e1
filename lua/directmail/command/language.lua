--- The language of causes and remedies: what the user asked for, or what this machine speaks.
-- Codes, fields of JSON and what a server said are never translated.
-- @module directmail.command.language
local explain = require "directmail.explain"

local M = {}

-- As the vendor's own command has it, then as POSIX has it for messages: the first that is set decides.
local VARIABLES = { "ALIBABA_CLOUD_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG" }

--- Declare the option.
-- @tparam table parser of argparse
function M.declare(parser)
  parser:option "--language --lang" :argname "en|zh" :choices(explain.LANGUAGES):overwrite(false)
    :description "language of causes and remedies (default: zh where ALIBABA_CLOUD_LANGUAGE, LC_ALL, LC_MESSAGES or LANG begins so)"
end

--- The language to speak.
-- @tparam table args as parsed
-- @tparam[opt=os.getenv] function env
-- @treturn string "en" or "zh"
function M.of(args, env)
  if args.language then return args.language end
  for _, name in ipairs(VARIABLES) do
    local value = (env or os.getenv)(name)
    if value and value ~= "" then return value:lower():find "^zh" and "zh" or "en" end
  end
  return "en"
end

return M
