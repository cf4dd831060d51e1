--- The settings as options of a command, secrets excepted.
-- Each has the name of its field in `directmail.new`, with dashes.
-- @module directmail.command.settings
local err = require "directmail.err"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {}

local MAX_SECRET = 4096     -- a password, or the wrong file

local function number(option, least)
  return function(value)
    local n = tonumber(value)
    if n and n >= least and n < math.huge then return n end
    return nil, ("option %s: \"%s\" is not a number%s"):format(option, value, least > 0 and " above 0" or " from 0 on")
  end
end

local function octets(value)
  local n = math.tointeger(tonumber(value))
  if n and n >= 0 then return n end
  return nil, ("option --size-limit: \"%s\" is not a whole number of octets"):format(value)
end

-- name, what stands for the value in the help, what it is, more properties of the option
local rows = {
  { "region", "ID", "region of the account, such as ap-southeast-1" },
  { "sender", "ADDR", "sender address, with a name if wanted" },
  { "smtp", "URL", "other SMTP server: smtp://host[:port] (STARTTLS) or smtps://host[:port] (TLS)" },
  { "smtp-user", "NAME", "user name for SMTP (default: the sender's bare address)" },
  { "auth", nil, "off: send no password", { choices = { "auto", "off" } } },
  { "ehlo", "NAME", "name that we say in EHLO" },
  { "api", "URL", "other address of the API" },
  { "access-key-id", "ID", "id of the AccessKey whose secret the environment holds" },
  { "proxy", "URL", "proxy for connections that leave" },
  { "ca", "FILE", "certificates (PEM) to trust" },
  { "timeout", "S", "seconds for the whole send", { convert = number("--timeout", 1e-3) } },
  { "size-limit", "N", "octets that the message may have, 0: any number", { convert = octets } },
  { "profile", "NAME", "profile: ~/.config/directmail/NAME.lua, or a path with a / in it" },
  { "redirect", "ADDR", "send everything to this address instead" },
  { "dns", "IP:PORT", "other DNS server" },
  { "metadata", "URL", "other metadata service of the machine, for tests" },
  { "sts", "URL", "other token service, for tests" },
  { "store", "PLACE", "keys, outbox and suppression list: a file, or redis://HOST[:PORT][/DB]" },
  { "only", "PATTERNS", "refuse recipients outside these patterns, with commas between them" },
}

--- Declare the options.
-- @tparam table parser of argparse
-- @tparam[opt] table left_out name -> true of those that mean something else in this command
function M.declare(parser, left_out)
  local group = {}
  local function add(element, description)
    group[#group + 1] = element:description(description)
    return element
  end
  for _, row in ipairs(rows) do
    if left_out and left_out[row[1]] then goto continue end
    local option = add(parser:option("--" .. row[1]):overwrite(false), row[3])
    if row[2] then option:argname(row[2]) end
    if row[4] then option(row[4]) end
    ::continue::
  end
  add(parser:flag "--cleartext-auth", "send the password without TLS: everybody on the way can read it")
  add(parser:option "--password-file" :argname "FILE" :overwrite(false), "SMTP password: the first line of a file, - for stdin")
  add(parser:option "--password-command" :argname "CMD" :overwrite(false), "SMTP password: the first line that a command prints")
  parser:group("Settings (also from DIRECTMAIL_* and the profile: directmail help environment)", table.unpack(group))
end

-- The first line, without its end.
local function first_line(bytes) return (bytes:match "^[^\n]*" :gsub("\r$", "")) end

local function no_password(option, why)
  return err.new { code = "CREDENTIALS", cause = ("%s gave no password: %s"):format(option, why),
    remedy = "its first line must be the SMTP password of the sender address" }
end

-- What a command prints, at most 'max' octets.
local function output_of(command, max)
  local pipe, why = io.popen(command, "r")
  if not pipe then return nil, why end
  local bytes = pipe:read(max) or ""
  local _, how, status = pipe:close()
  -- A command that has more to say than we read may die of that; its first line counts all the same.
  if #bytes < max and not (how == "exit" and status == 0) then
    return nil, ("it ended with %s %d"):format(how == "exit" and "status" or how, status)
  end
  return bytes
end

-- The password from --password-file or --password-command: nil when neither was given; or nil, err.
local function password_of(args)
  local option, bytes, why
  if args.password_file then
    if args.password_command then
      return usage.wrong("--password-file and --password-command were both given", "leave one of them away")
    end
    option = "--password-file"
    bytes, why = text.read(option, args.password_file, MAX_SECRET)
    if not bytes then return nil, why end
  elseif args.password_command then
    option = "--password-command"
    bytes, why = output_of(args.password_command, MAX_SECRET)
    if not bytes then return nil, no_password(option, why) end
  else
    return nil
  end
  local password = first_line(bytes)
  if password == "" then return nil, no_password(option, "the first line is empty") end
  if #password >= MAX_SECRET then return nil, no_password(option, ("the first line has %d octets or more"):format(MAX_SECRET)) end
  return password
end

--- The options for `directmail.new`.
-- @tparam table args as parsed; with `dry_run` no password is fetched
-- @treturn[1] table only what was given, so that the environment and the profile fill the rest
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.options(args)
  local options = {}
  for _, row in ipairs(rows) do
    local name = row[1]:gsub("-", "_")
    options[name] = args[name]
  end
  if options.size_limit == 0 then options.size_limit = false end
  if options.store and options.store:find "^rediss?://.*@" then     -- everybody on the machine can read a command line
    return usage.wrong("--store takes no password", "set DIRECTMAIL_STORE to the whole URL, or store in the profile")
  end
  if args.cleartext_auth then options.cleartext_auth = true end
  if args.verbose and args.verbose > 0 then
    options.verbose = args.verbose
    options.transcript = function(line) io.stderr:write(line, "\n") end
  end
  if not args.dry_run then
    local password, e = password_of(args)
    if e then return nil, e end
    options.smtp_password = password
  end
  return options
end

--- A mail object of the settings, for a command that needs nothing in between.
-- @tparam table args as argparse gives it
-- @return mail; or nil, err
function M.mail(args)
  local options, e = M.options(args)
  if not options then return nil, e end
  local mail
  mail, e = require "directmail".new(options)
  return mail, e
end

return M
