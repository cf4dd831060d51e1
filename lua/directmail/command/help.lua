--- Show what there is.
-- @module directmail.command.help
local usage = require "directmail.command.usage"

local M = {
  name = "help",
  summary = "show the commands, one command, or the environment variables",
  examples = { "directmail help", "directmail help send", "directmail help environment" },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "topic" :args "?" :description "a command, or environment"
end

local variables = {
  { "DIRECTMAIL_REGION", "region of the account, such as ap-southeast-1" },
  { "DIRECTMAIL_SENDER", "sender address, with a name if wanted" },
  { "DIRECTMAIL_API", "other address of the API (URL)" },
  { "DIRECTMAIL_SMTP", "other SMTP server: smtp://host[:port] is STARTTLS, port 80 when left out; smtps://host[:port] is TLS, 465" },
  { "DIRECTMAIL_SMTP_USER", "user name for SMTP (default: the sender's bare address)" },
  { "DIRECTMAIL_SMTP_PASSWORD", "SMTP password of the sender address, set in the console" },
  { "DIRECTMAIL_AUTH", "off: send no password; auto (default): when there is one" },
  { "DIRECTMAIL_CLEARTEXT_AUTH", "1: send the password without TLS; everybody on the way can read it" },
  { "DIRECTMAIL_EHLO", "name that we say in EHLO (default: the host's full name, else its address)" },
  { "DIRECTMAIL_PROXY", "proxy for connections that leave (URL)" },
  { "DIRECTMAIL_CA", "certificates to trust (PEM file)" },
  { "DIRECTMAIL_TIMEOUT", "seconds for a whole send" },
  { "DIRECTMAIL_SIZE_LIMIT", "octets that a message may have, 0: any number" },
  { "DIRECTMAIL_REDIRECT", "address that gets every mail instead of its recipients" },
  { "DIRECTMAIL_ONLY", "patterns, with commas: a mail to anybody else is refused" },
  { "DIRECTMAIL_DNS", "other DNS server (IP:PORT)" },
  { "DIRECTMAIL_METADATA", "other metadata service (URL), for tests" },
  { "DIRECTMAIL_STS", "other token service (URL), for tests" },
  { "DIRECTMAIL_PROFILE", "profile: ~/.config/directmail/NAME.lua, or a path with /" },
  { "ALIBABA_CLOUD_ACCESS_KEY_ID", "id of the AccessKey" },
  { "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "its secret" },
  { "ALIBABA_CLOUD_SECURITY_TOKEN", "token that belongs to a temporary AccessKey" },
}

local function columns(rows)
  local widest, lines = 0, {}
  for _, row in ipairs(rows) do widest = math.max(widest, #row[1]) end
  for i, row in ipairs(rows) do lines[i] = ("  %-" .. widest .. "s   %s"):format(row[1], row[2]) end
  return table.concat(lines, "\n")
end

--- What the program can do, for people who have never met it.
-- @treturn string without a final line end
function M.overview()
  local commands, rows = require "directmail.command", {}
  for i, name in ipairs(commands.commands) do rows[i] = { name, commands.load(name).summary } end
  return "directmail: mail through Alibaba Cloud Direct Mail\n\n"
    .. "  directmail COMMAND …          one of the commands below; directmail help COMMAND shows it\n"
    .. "  directmail SCRIPT [ARGS]      run a Lua 5.4 script, - for stdin (--debug before it: full traces)\n\n"
    .. "Commands:\n" .. columns(rows) .. "\n\n"
    .. "Exit codes:\n" .. columns {
      { "0", "sent, or no problem" },
      { "1", "refused for good, or a check found problems" },
      { "2", "refused by us before a connection was made: usage, setting, address, file, limit" },
      { "3", "not accepted and worth repeating" },
      { "4", "unknown: it may have been sent" },
      { "5", "a script's error, or ours" },
    } .. "\n  sendmail, and send --sysexits, answer with the codes of sysexits.h: directmail help sendmail"
    .. "\n\ndirectmail help environment lists the environment variables."
end

function M.run(args)
  local commands = require "directmail.command"
  local topic = args.topic
  if not topic then
    print(M.overview())
  elseif topic == "environment" then
    print("Environment variables (an empty one counts as unset; options of a command come first):\n" .. columns(variables))
  else
    local known, topics = false, { "environment" }
    for _, name in ipairs(commands.commands) do
      known = known or name == topic
      topics[#topics + 1] = name
    end
    if not known then
      return usage.wrong(('there is no help on "%s"%s'):format(topic, usage.did_you_mean(topic, topics)),
        "directmail help lists the commands")
    end
    print(commands.help(topic))
  end
  return 0
end

return M
