--- The five questions of `directmail config init`, and the profile that the answers make.
-- @module directmail.command.interview
local credentials = require "directmail.credentials"
local err = require "directmail.err"
local host = require "directmail.host"
local key = require "directmail.credentials.key"
local message = require "directmail.message"
local profile = require "directmail.profile"
local region = require "directmail.region"
local settings = require "directmail.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {}

local ANSWER = "your answer"        -- where a value came from, in the reasons why it cannot be used

local function say(...) io.stderr:write(...) end

-- ---- one question -------------------------------------------------------------------

-- A line; or nil, err.
local function line_of(prompt, unseen)
  local line, why
  if unseen then
    line, why = host.unseen(prompt)
  else
    say(prompt)
    io.stderr:flush()
    line, why = io.read "l"
    line = line and line:match "^%s*(.-)%s*$"
  end
  if line then return line end
  return nil, err.new { code = "OPTION", cause = "config init: there are no more answers" .. (why and ": " .. why or "") .. "; nothing was written",
    remedy = "call it again, and answer each question with a line" }
end

local function complain(e) say("  ", e.cause, "\n", e.remedy and "  → " .. e.remedy .. "\n" or "") end

-- Ask until an answer passes 'check': the value; false when it is left open; or nil, err.
-- 'question' is { name =, what =, default = what Enter takes, or nil, open = what Enter means, or nil when there must be an answer, unseen = }.
local function ask(question, check)
  say("\n", question.what, question.open and "; " .. question.open or "", "\n")
  local prompt = ("  %s%s: "):format(question.name, question.default and " [" .. err.printable(question.default) .. "]" or "")
  while true do
    local line, none = line_of(prompt, question.unseen)
    if not line then return nil, none end
    if line == "" then line = question.default or "" end
    if line == "" and question.open then return false end
    if line == "" then
      say "  it is needed\n"
    else
      local value, e = check(line)
      if value then return value end
      complain(e)
    end
  end
end

-- ---- the settings ------------------------------------------------------------------

-- Each setting's own check, and what is looked at when it is used.
local USED = {
  region = function(value)
    local found, e = region.of { region = value }
    return found and value, e
  end,
  sender = function(value)
    local box, e = message.sender { sender = value }
    return box and value, e
  end,
}

local function check(name, value, source)
  local good, e = settings.check(name, value, source, host)
  if good == nil then return nil, e end
  if not USED[name] then return good end
  return USED[name](good)
end

local function checker(name)
  return function(line) return check(name, line, ANSWER) end
end

-- The AccessKey that is found without a profile, in words; nil when there is none.
local function other_key()
  local values = { from = {}, unused = {} }
  for name, variable in pairs { access_key_id = "ALIBABA_CLOUD_ACCESS_KEY_ID", access_key_secret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET" } do
    values[name], values.from[name] = host.env(variable), variable
  end
  local found = credentials.search(values, host)
  return found and found.from
end

-- Id and secret, asked for together until they can be used together; nothing when they are left open; or nil, err.
local function ask_key(values)
  local other = other_key()
  local open = other and ("Enter: the one of %s is taken"):format(other) or "Enter: none; mails go by SMTP then"
  while true do
    local id, e = ask({ name = "AccessKey id", what = "3 of 5  AccessKey, which signs calls of the API", open = open }, checker "access_key_id")
    if not id then return e == nil, e end
    local secret
    secret, e = ask({ name = "AccessKey secret", unseen = true, what = "4 of 5  its secret; it is not shown while you type",
      open = "Enter: another AccessKey" }, checker "access_key_secret")
    if secret == nil then return nil, e end
    if secret then
      local pair = { access_key_id = id, access_key_secret = secret }
      local fault, remedy = key.fault(pair, setmetatable({}, { __index = function() return ANSWER end }))
      if not fault then
        values.access_key_id, values.access_key_secret = id, secret
        return true
      end
      complain { cause = fault, remedy = remedy or "copy both again" }
    end
  end
end

-- Fill in what the command line left open: true, or nil, err.
local function ask_all(values)
  for _, question in ipairs {
    { setting = "region", name = "region", what = "1 of 5  region of the account, such as ap-southeast-1 (directmail route helps to choose)" },
    { setting = "sender", name = "sender", what = "2 of 5  sender address, with a name if wanted: Shop <noreply@mail.example.com>" },
  } do
    local name = question.setting
    if values[name] == nil then
      question.default = host.env("DIRECTMAIL_" .. name:upper())
      local value, e = ask(question, checker(name))
      if not value then return nil, e end
      values[name] = value
    end
  end
  if values.access_key_id == nil then
    local ok, e = ask_key(values)
    if not ok then return nil, e end
  end
  if values.smtp_password == nil then
    local password, e = ask({ name = "SMTP password", unseen = true,
      what = "5 of 5  SMTP password of the sender address, set in the console: neither an AccessKey nor a mailbox's password",
      open = host.env "DIRECTMAIL_SMTP_PASSWORD" and "Enter: DIRECTMAIL_SMTP_PASSWORD is taken" or "Enter: none; mails go by the API then" },
      checker "smtp_password")
    if password == nil then return nil, e end
    values.smtp_password = password or nil
  end
  return true
end

-- ---- the profile --------------------------------------------------------------------

local FIRST = { "region", "sender", "access_key_id", "access_key_secret", "smtp_password" }

-- Lua text that returns the settings.
local function lua_of(values)
  local lines, rest, done = { "-- Settings of directmail; directmail config show tells what is in force.", "return {" }, {}, {}
  local function add(name)
    local value = values[name]
    lines[#lines + 1] = ("  %s = %s,"):format(name, type(value) == "string" and ("%q"):format(value) or tostring(value))
    done[name] = true
  end
  for _, name in ipairs(FIRST) do
    if values[name] ~= nil then add(name) end
  end
  for name in pairs(values) do
    if not done[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do add(name) end
  lines[#lines + 1] = "}\n"
  return table.concat(lines, "\n")
end

-- The folder of a path with all above it, for us alone where they are new; true, or nil, why.
local function make_folders(path)
  local old, ok, why = host.umask(tonumber("077", 8)), true, nil
  for at in path:gmatch "()/" do
    if ok and at > 1 then ok, why = host.mkdir(path:sub(1, at - 1)) end
  end
  host.umask(old)
  return ok, why
end

local function write(path, shown, values)
  local ok, why = make_folders(path)
  if not ok then
    return nil, err.new { code = "FILE", detail = "profile", cause = ("the folder of %s cannot be made: %s"):format(shown, why),
      remedy = "make it by hand, or name another profile: --profile PATH" }
  end
  return text.write_private("config init", path, lua_of(values))
end

-- What of the new profile something else wins over.
local function overruled(name, written)
  local values = settings.read({ profile = name }, host, 1)
  for _, setting in ipairs(values and settings.PROFILE_NAMES or {}) do
    local from = written[setting] ~= nil and values.from[setting]
    if from and from:find "^%u[%u_]+$" then say(("directmail: %s is set too, and wins over the profile\n"):format(from)) end
  end
end

-- Where it goes: path, as it is shown; or nil, err.
local function place_of(name, source)
  if name then
    local _, e = settings.check("profile", name, source, host)
    if e then return nil, e end
  end
  local path = name ~= "" and profile.path(name, host)
  if path then return path, profile.shown(path, host) end
  return usage.wrong(name == "" and "--profile is empty" or "config init: there is no place for the profile: HOME is not set", "give its path: --profile PATH")
end

-- May the file be written? true; or nil, err.
local function allowed(path, shown, force)
  if text.is_special(path) then return usage.wrong(("config init: %s is there, and is no file"):format(shown), "name another profile: --profile NAME") end
  if force or not text.is_there(path) then return true end
  local line, e = line_of(("%s is there already. Replace it, with all that stands in it? [y/N] "):format(shown))
  if not line then return nil, e end
  if line:lower() == "y" or line:lower() == "yes" then return true end
  return usage.wrong(("config init: %s stays as it is"):format(shown), "name another profile: --profile NAME")
end

--- Ask, and write the profile.
-- @tparam table options what the command line says already, as of `directmail.command.settings`; `profile` names the profile, else
--   DIRECTMAIL_PROFILE
-- @tparam ?boolean force replace a profile that is there without asking
-- @treturn[1] true
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.run(options, force)
  local name = options.profile or host.env "DIRECTMAIL_PROFILE"
  local path, shown = place_of(name, options.profile and "option profile" or "DIRECTMAIL_PROFILE")
  if not path then return nil, shown end
  local values = {}
  for setting, value in pairs(options) do
    if setting ~= "profile" then
      local good, e = check(setting, value, "option " .. setting)
      if good == nil then return nil, e end
      values[setting] = value
    end
  end
  if values.access_key_id then
    return usage.wrong("config init: --access-key-id gives no secret", "leave it away: config init asks for both")
  end
  if not (host.is_terminal(0) and host.is_terminal(2)) then
    return usage.wrong("config init asks questions, and there is no terminal",
      ('write %s by hand, mode 600: return { region = "…", sender = "…", smtp_password = "…" }'):format(shown))
  end
  local ok, e = allowed(path, shown, force)
  if not ok then return nil, e end
  say(("Five questions make %s. Ctrl-C ends, and nothing is written.\n"):format(shown))
  ok, e = ask_all(values)
  if not ok then return nil, e end
  ok, e = write(path, shown, values)
  if not ok then return nil, e end
  say(("\ndirectmail: wrote %s (only you may read it)\n"):format(shown))
  overruled(name, values)
  return true
end

return M
