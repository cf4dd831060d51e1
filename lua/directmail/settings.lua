--- Where every setting comes from: options, then `DIRECTMAIL_*`, then `ALIBABA_CLOUD_*`, then the profile.
-- Each value keeps its source, so that a person can ask why. An empty variable counts as unset.
-- @module directmail.settings
local err = require "directmail.err"
local option = require "directmail.option"
local profile = require "directmail.profile"
local query = require "directmail.host.query"

local M = {}

-- name -> { env = variables in order, kind, secret, program = true when no profile may hold it }
local KNOWN = {
  profile = { env = { "DIRECTMAIL_PROFILE" }, program = true },
  region = { env = { "DIRECTMAIL_REGION" } },
  route = { kind = "route" },
  sender = { env = { "DIRECTMAIL_SENDER" } },
  api = { env = { "DIRECTMAIL_API" } },
  smtp = { env = { "DIRECTMAIL_SMTP" } },
  smtp_user = { env = { "DIRECTMAIL_SMTP_USER" } },
  smtp_password = { env = { "DIRECTMAIL_SMTP_PASSWORD" }, secret = true },
  auth = { env = { "DIRECTMAIL_AUTH" }, choices = { "auto", "off" } },
  cleartext_auth = { env = { "DIRECTMAIL_CLEARTEXT_AUTH" }, kind = "boolean" },
  ehlo = { env = { "DIRECTMAIL_EHLO" } },
  proxy = { env = { "DIRECTMAIL_PROXY" } },
  ca = { env = { "DIRECTMAIL_CA" } },
  timeout = { env = { "DIRECTMAIL_TIMEOUT" }, kind = "seconds" },
  size_limit = { env = { "DIRECTMAIL_SIZE_LIMIT" }, kind = "octets" },
  redirect = { env = { "DIRECTMAIL_REDIRECT" } },
  only = { env = { "DIRECTMAIL_ONLY" }, kind = "list" },
  dns = { env = { "DIRECTMAIL_DNS" }, kind = "server" },
  metadata = { env = { "DIRECTMAIL_METADATA" } },
  sts = { env = { "DIRECTMAIL_STS" } },
  access_key_id = { env = { "ALIBABA_CLOUD_ACCESS_KEY_ID" } },
  access_key_secret = { env = { "ALIBABA_CLOUD_ACCESS_KEY_SECRET" }, secret = true },
  security_token = { env = { "ALIBABA_CLOUD_SECURITY_TOKEN" }, secret = true },
  via = { choices = { "auto", "smtp", "api" } },
  on_unknown = { choices = { "stop", "resend" } },
  sendmail_rewrite = { kind = "boolean" },
  pipeline = { choices = { "group", "overlap", "off" } },
  timeouts = { kind = "timeouts" },
  transport = { kind = "table", program = true },
  transcript = { kind = "function", program = true },
  verbose = { kind = "seconds", program = true },
  rate = { kind = "rate" },
  shared_dict = { kind = "shared_dict", program = true },
  store = { env = { "DIRECTMAIL_STORE" }, kind = "store" },
}

--- The names of all options.
M.NAMES = {}

--- The names that a profile may hold.
M.PROFILE_NAMES = {}

--- The names whose values are never shown: name -> true.
M.SECRET = {}

for name, known in pairs(KNOWN) do
  M.NAMES[#M.NAMES + 1] = name
  if not known.program then M.PROFILE_NAMES[#M.PROFILE_NAMES + 1] = name end
  M.SECRET[name] = known.secret
end
table.sort(M.NAMES)
table.sort(M.PROFILE_NAMES)

local function bad(name, from, what, remedy)
  return nil, err.new {
    code = "OPTION", detail = name, cause = ("%s (from %s) %s"):format(name, from, what), remedy = remedy,
    outcome = "not_sent", retry = false, blame = "client-bug",
  }
end

-- Turn a value into the kind wanted; text is what environments have.
local STEPS = { "connect", "reply", "data", "final" }

local convert
convert = {
  boolean = function(name, value, from)
    if type(value) == "boolean" then return value end
    if value == "1" or value == "true" or value == "yes" then return true end
    if value == "0" or value == "false" or value == "no" then return false end
    return bad(name, from, "is no yes or no", "use 1 or 0")
  end,
  seconds = function(name, value, from)
    local n = tonumber(value)
    if n and n > 0 and n < math.huge then return n end
    return bad(name, from, "is no number of seconds above 0", "give a number such as 30")
  end,
  octets = function(name, value, from)
    if value == false then return 0 end
    local n = tonumber(value)
    if n and n >= 0 and n < math.huge and n == math.floor(n) then return n end
    return bad(name, from, "is no number of octets", "give a whole number; 0 means no limit")
  end,
  list = function(name, value, from)
    if type(value) == "table" then
      local n = 0
      for i, part in pairs(value) do
        n = n + 1
        if type(i) ~= "number" or type(part) ~= "string" then return bad(name, from, "is no list of strings", "give { \"…\", \"…\" }") end
      end
      if n == #value then return value end
    end
    if type(value) ~= "string" then return bad(name, from, "is no list of strings", "give { \"…\", \"…\" }") end
    local list = {}
    for part in value:gmatch "[^,%s]+" do list[#list + 1] = part end
    return list
  end,
  rate = function(name, value, from)
    if value == false or (type(value) == "number" and value > 0 and value < math.huge) then return value end
    return bad(name, from, "is no rate", "give mails a second, or false for no limit")
  end,
  shared_dict = function(name, value, from, host)
    local good, e = convert.text(name, value, from)
    if not good then return nil, e end
    if not host.shared then return bad(name, from, "is known in nginx only", "leave it away here: this process keeps the rates by itself") end
    if host.shared(good) then return good end
    return bad(name, from, ('names "%s", which nginx.conf has not'):format(good), ('add "lua_shared_dict %s 1m;" to http {} in nginx.conf'):format(good))
  end,
  route = function(name, value, from)
    local remedy = 'give a table such as { deployed = "us", recipients = "cn" }'
    if type(value) ~= "table" then return bad(name, from, "is no table", remedy) end
    local usable, found, e = pcall(require "directmail.route", value)        -- nothing waits in there
    if not usable then return bad(name, from, "cannot be used: " .. tostring(found), remedy) end
    if not found then return nil, e end
    return value
  end,
  store = function(name, value, from)
    if type(value) == "table" and type(value.claim) == "function" then return value end
    if type(value) == "table" or value == "" then
      return bad(name, from, "is no store", 'give a path, redis://HOST:PORT/DB, or what require "directmail.store".open gave')
    end
    return convert.text(name, value, from)
  end,
  timeouts = function(name, value, from)
    local wrong = option.unknown(value, STEPS, name)
    if wrong then return bad(name, from, "cannot be used: " .. wrong, "give a table such as { connect = 5 }") end
    local seconds = {}
    for step, n in pairs(value) do
      local good, e = convert.seconds(name .. "." .. step, n, from)
      if not good then return nil, e end
      seconds[step] = good
    end
    return seconds
  end,
  server = function(name, value, from)
    local text, e = convert.text(name, value, from)
    if not text then return nil, e end
    local ip, why = query.server(text)
    if ip then return text end
    return bad(name, from, why, "give the address of a DNS server, such as 223.5.5.5 or 127.0.0.1:5353")
  end,
  table = function(name, value, from)
    if type(value) == "table" then return value end
    return bad(name, from, "is no table", "give a table")
  end,
  ["function"] = function(name, value, from)
    if type(value) == "function" then return value end
    return bad(name, from, "is no function", "give a function")
  end,
  text = function(name, value, from)
    if type(value) ~= "string" then return bad(name, from, "is no text", "give a string") end
    if value:find "[%c]" then
      return bad(name, from, "holds a line break or another control character", "give it without one")
    end
    return value
  end,
  secret = function(name, value, from, host)
    if type(value) ~= "string" then return bad(name, from, "is no text", "give a string") end
    return M.trimmed(name, value, from, host)
  end,
}

--- A secret without the line end that `echo secret > file` leaves behind it; a warning says so, since nobody would see why
-- 526 or SignatureDoesNotMatch came. All else of a secret is raw bytes.
-- @tparam string name what the warning calls it
-- @tparam string value
-- @tparam string from where it came from
-- @tparam table host `log`
-- @treturn string
function M.trimmed(name, value, from, host)
  local trimmed = value:gsub("\r?\n$", "")
  if trimmed ~= value then host.log("warn", ("%s (from %s): a line end behind it was taken off"):format(name, from)) end
  return trimmed
end

-- The value of a setting as it was given, its source, and the source's rank; nil when nobody gave it.
local OPTION, VARIABLE, PROFILE = 1, 2, 3

local function given(name, options, host, file)
  if options[name] ~= nil then return options[name], "option " .. name, OPTION end
  for _, variable in ipairs(KNOWN[name].env or {}) do
    local value = host.env(variable)
    if value ~= nil then return value, variable, VARIABLE end
  end
  if file and file.values[name] ~= nil then return file.values[name], file.from(name), PROFILE end
end

-- The three parts of an AccessKey belong together; a part that belongs to another key is put aside, with the reason.
local function separate_keys(values, from, rank, file)
  local unused = {}
  local function aside(name, why)
    unused[name] = ("%s %s"):format(from[name], why)
    values[name], from[name], rank[name] = nil, nil, nil
  end
  local id = values.access_key_id
  if id and rank.access_key_id < PROFILE and rank.access_key_secret == PROFILE and (file.values.access_key_id or id) ~= id then
    aside("access_key_secret", "belongs to another access_key_id")
  end
  -- A whole pair never takes the token of a lesser source: it is a leftover.
  if rank.security_token and rank.access_key_id and rank.access_key_secret
    and rank.security_token > math.max(rank.access_key_id, rank.access_key_secret) then
    aside("security_token", "belongs to another access_key_id")
  end
  return unused
end

-- The profile, as directmail.profile reads it; nil when there is none; or nil, err.
local function profile_of(options, host, values, from)
  local name, source = given("profile", options, host)
  if name ~= nil then
    local good, e = convert.text("profile", name, source)
    if not good then return nil, e end
  end
  local file, e = profile.read(name, source, host, M.PROFILE_NAMES)
  if not file then return nil, e end
  values.profile, from.profile = file.path, source or "default"
  if file.exposed then
    for setting, value in pairs(file.values) do
      if M.SECRET[setting] or type(value) == "string" and value:find "^%a[%w+.-]*://[^/]*:.*@" then       -- or a URL with a password
        host.log("warn", ("others may read %s (mode %s), and it holds a secret: chmod 600 %s"):format(file.path, file.exposed, file.path))
        break
      end
    end
  end
  return file
end

--- Check one setting's value and turn it into what the library works with.
-- @tparam string name one of `NAMES`
-- @param value as it was given
-- @tparam string source where it came from, for the error
-- @tparam table host
-- @return the value, or nil, err
function M.check(name, value, source, host)
  local known = KNOWN[name]
  local good, e = convert[known.secret and "secret" or known.kind or "text"](name, value, source, host)
  if good == nil then return nil, e end
  for _, choice in ipairs(known.choices or {}) do
    if choice == good then return good end
  end
  if not known.choices then return good end
  return bad(name, source, ("is %q"):format(good), "use one of: " .. table.concat(known.choices, ", "))
end

-- ---- for people ---------------------------------------------------------------

-- The first four and the last four letters tell two keys apart, and no one can sign with that.
local function masked_id(id)
  local open = #id >= 16 and 4 or 0
  return id:sub(1, open) .. ("*"):rep(#id - 2 * open) .. id:sub(#id - open + 1)
end

-- A URL may carry a password.
local function masked_url(value) return (value:gsub("^(%a[%w+.-]*://[^:/@]*):.*@", "%1:********@")) end

-- A value as one word; tables as they would be written on one line.
local function plain(value)
  if type(value) ~= "table" then return tostring(value) end
  if #value > 0 then return table.concat(value, ",") end
  local names, parts = {}, {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = ("%s=%s"):format(name, plain(value[name])) end
  return table.concat(parts, " ")
end

--- A value as people may see it: of secrets only their length, of an AccessKey's id its ends.
-- @tparam string name one of `NAMES`
-- @param value
-- @treturn string
function M.shown(name, value)
  if M.SECRET[name] then return ("set, %d characters"):format(select(2, value:gsub("[^\128-\191]", ""))) end
  if name == "access_key_id" then return masked_id(value) end
  return masked_url(plain(value))
end

--- Read all settings.
-- @tparam table options as given to `directmail.new`; an unknown name raises at `level`
-- @tparam table host the host table (`env`, `log`)
-- @tparam[opt=3] number level where misuse is raised
-- @treturn table name -> value, with `from` = name -> where it came from (`option region`, `DIRECTMAIL_REGION`,
--   `~/.config/directmail/profile.lua:4`), `profile` = the path of the profile that was read, and `unused` = name -> why a
--   value that was given is not among them; or nil, err
function M.read(options, host, level)
  option.check(options, M.NAMES, "directmail.new", (level or 2) + 1)
  local values, from, rank = {}, {}, {}
  local file, e = profile_of(options, host, values, from)
  if e then return nil, e end
  for _, name in ipairs(M.NAMES) do
    local value, source, where = given(name, options, host, file)
    if value ~= nil and name ~= "profile" then
      local good
      good, e = M.check(name, value, source, host)
      if good == nil then return nil, e end
      values[name], from[name], rank[name] = good, source, where
    end
  end
  values.unused = separate_keys(values, from, rank, file)
  values.from = from
  return values
end

return M
