--- Show what there is.
-- @module directmail.command.help
local exit = require "directmail.command.exit"
local usage = require "directmail.command.usage"

local M = {
  name = "help",
  summary = "show the commands, one command, or the environment variables",
  examples = { "directmail help", "directmail help send", "directmail help environment", "directmail help --man | man -l -     # the manual page" },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "topic" :args "?" :description "a command, or environment"
  parser:flag "--man" :description "print the manual page (mdoc); make install puts it where man looks"
end

--- What a shell offers: the topics.
function M.complete(parser)
  for _, name in ipairs(require "directmail.command".commands) do parser:command(name):add_help(false) end
  parser:command "environment" :add_help(false)
  parser:flag "--man"
end

--- What the program is, in a line.
M.PURPOSE = "mail through Alibaba Cloud Direct Mail"

--- The ways to call it.
M.CALLS = {
  { "directmail COMMAND …", "one of the commands below; directmail help COMMAND shows it" },
  { "directmail SCRIPT [ARGS]", "run a Lua 5.4 script, - for stdin (--debug before it: full traces)" },
  { "directmail --sandbox SCRIPT [ARGS]", "run it against a private sandbox, and show what it sent" },
}

--- What anybody can try.
M.FIRST_TRY = {
  "Without an account, on this machine only:", "directmail sandbox -- directmail send --to ann@example.com --subject Hello --text Hi",
}

local PROFILES, CLI_FILE, SDK_FILE = "~/.config/directmail/", "~/.aliyun/config.json", "~/.alibabacloud/credentials"

--- The files that are read: path and what it is.
M.FILES = {
  { PROFILES .. "profile.lua", "the profile: settings that stay; directmail config init writes one" },
  { PROFILES .. "lint/*.lua", "rules of your own for directmail lint" },
  { PROFILES .. "doctor/*.lua", "checks of your own for directmail doctor" },
  { CLI_FILE, "profiles of the vendor's command line, to take the AccessKey from" },
  { SDK_FILE, "profiles of the SDKs, likewise" },
}

--- The variables of the environment that are read: name and what it is.
M.VARIABLES = {
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
  { "DIRECTMAIL_DNS", "other name server (IP:PORT)" },
  { "DIRECTMAIL_STORE", "keys, outbox and suppression list: a file, or redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]" },
  { "DIRECTMAIL_METADATA", "other metadata service of the machine (URL), for tests" },
  { "DIRECTMAIL_STS", "other token service (URL), for tests" },
  { "DIRECTMAIL_PROFILE", "profile: " .. PROFILES .. "NAME.lua, or a path with a / in it (default: profile.lua there)" },
  { "ALIBABA_CLOUD_ACCESS_KEY_ID", "id of the AccessKey, which signs calls of the API" },
  { "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "its secret" },
  { "ALIBABA_CLOUD_SECURITY_TOKEN", "token that belongs to a temporary AccessKey" },
  { "ALIBABA_CLOUD_PROFILE", "profile of the vendor's command line, and of the SDKs, to take the AccessKey from" },
  { "ALIBABA_CLOUD_CONFIG_FILE", "profiles of the vendor's command line (default: " .. CLI_FILE .. ")" },
  { "ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true: do not read that file" },
  { "ALIBABA_CLOUD_IGNORE_PROFILE", "TRUE: the same, as the vendor's command line spells it" },
  { "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", "1: run no program, and ask no server, that a profile there names" },
  { "ALIBABA_CLOUD_CREDENTIALS_FILE", "profiles of the SDKs (default: " .. SDK_FILE .. ")" },
  { "ALIBABA_CLOUD_ROLE_ARN", "role that a pod takes on by OIDC, with the next two" },
  { "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "its identity provider" },
  { "ALIBABA_CLOUD_OIDC_TOKEN_FILE", "file with its token" },
  { "ALIBABA_CLOUD_ROLE_SESSION_NAME", "name of the session of a role" },
  { "ALIBABA_CLOUD_STS_REGION", "region of the token service" },
  { "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "true: ask the token service inside the VPC" },
  { "ALIBABA_CLOUD_ECS_METADATA", "name of the role of this ECS instance" },
  { "ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true: do not ask the instance" },
  { "ALIBABA_CLOUD_IMDSV1_DISABLED", "true: ask it by version 2 of its protocol only" },
  { "ALIBABA_CLOUD_ECS_IMDSV2_ENABLE", "true: the same, by its older name" },
  { "ALIBABA_CLOUD_CREDENTIALS_URI", "server that gives temporary AccessKeys (URL)" },
  { "ALIBABA_CLOUD_LANGUAGE", "en or zh: language of explain (else that of LC_ALL, LC_MESSAGES, LANG)" },
}

local function columns(rows)
  local widest, lines = 0, {}
  for _, row in ipairs(rows) do widest = math.max(widest, utf8.len(row[1])) end
  for i, row in ipairs(rows) do lines[i] = ("  %s%s   %s"):format(row[1], (" "):rep(widest - utf8.len(row[1])), row[2]) end
  return table.concat(lines, "\n")
end

--- What the program can do, for people who have never met it.
-- @treturn string without a final line end
function M.overview()
  local commands, rows = require "directmail.command", {}
  for i, name in ipairs(commands.commands) do rows[i] = { name, commands.load(name).summary } end
  return "directmail: " .. M.PURPOSE .. "\n\n" .. columns(M.CALLS) .. "\n\n"
    .. M.FIRST_TRY[1] .. "\n  " .. M.FIRST_TRY[2] .. "\n\n"
    .. "Commands:\n" .. columns(rows) .. "\n\n"
    .. "Exit codes:\n" .. columns(exit.CODES) .. "\n  " .. exit.OTHERS
    .. "\n\ndirectmail help environment lists the environment variables."
end

function M.run(args, place)
  local commands = require "directmail.command"
  local topic = args.topic
  if args.man then
    if topic then return usage.wrong(("--man is the page of all commands, not of %s alone"):format(topic), "directmail help --man") end
    io.write(require "directmail.command.man".page(place.version))
  elseif not topic then
    print(M.overview())
  elseif topic == "environment" then
    print("Environment variables (an empty one counts as unset; an option wins over it, and it wins over the profile):\n"
      .. columns(M.VARIABLES) .. "\n\ndirectmail config show tells which of them are in force.")
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
