--- Where every setting comes from: options, then `DIRECTMAIL_*`, then `ALIBABA_CLOUD_*`.
-- Each value keeps its source, so that a person can ask why (W07). The names are
-- those of design section 11; an empty variable counts as unset.
-- @module directmail.settings
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

-- name -> { env = variables in order, kind, secret }
local KNOWN = {
  region = { env = { "DIRECTMAIL_REGION" } },
  route = { kind = "table" },
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
  access_key_id = { env = { "ALIBABA_CLOUD_ACCESS_KEY_ID" } },
  access_key_secret = { env = { "ALIBABA_CLOUD_ACCESS_KEY_SECRET" }, secret = true },
  security_token = { env = { "ALIBABA_CLOUD_SECURITY_TOKEN" }, secret = true },
  via = { choices = { "auto", "smtp", "api" } },
  on_unknown = { choices = { "stop", "resend" } },
  pipeline = { choices = { "group", "overlap", "off" } },
  timeouts = { kind = "table" },
  transport = { kind = "table" },
  transcript = { kind = "function" },
  verbose = { kind = "seconds" },
  rate = { kind = "rate" },
}

--- The names of all options.
M.NAMES = {}
for name in pairs(KNOWN) do M.NAMES[#M.NAMES + 1] = name end
table.sort(M.NAMES)

local function bad(name, from, what, remedy)
  return nil, err.new {
    code = "OPTION", detail = name, cause = ("%s (from %s) %s"):format(name, from, what), remedy = remedy,
    outcome = "not_sent", retry = false, blame = "client-bug",
  }
end

-- Turn a value into the kind wanted; text is what environments have.
local convert = {
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
    if n and n >= 0 and n == math.floor(n) then return n end
    return bad(name, from, "is no number of octets", "give a whole number; 0 means no limit")
  end,
  list = function(_, value)
    if type(value) == "table" then return value end
    local list = {}
    for part in value:gmatch "[^,%s]+" do list[#list + 1] = part end
    return list
  end,
  rate = function(name, value, from)
    if value == false or (type(value) == "number" and value > 0) then return value end
    return bad(name, from, "is no rate", "give mails a second, or false for no limit")
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
  -- A secret is raw bytes. One line end behind it comes from `echo secret > file` and is
  -- taken off with a warning (526 and SignatureDoesNotMatch otherwise, and nobody sees why).
  secret = function(name, value, from, host)
    if type(value) ~= "string" then return bad(name, from, "is no text", "give a string") end
    local trimmed = value:gsub("\r?\n$", "")
    if trimmed ~= value then host.log("warn", ("%s (from %s): a line end behind it was taken off"):format(name, from)) end
    return trimmed
  end,
}

--- Read all settings.
-- @tparam table options as given to `directmail.new`; an unknown name raises at `level`
-- @tparam table host the host table (`env`, `log`)
-- @tparam[opt=3] number level where misuse is raised
-- @treturn table name -> value, with `from` = name -> where it came from; or nil, err
function M.read(options, host, level)
  option.check(options, M.NAMES, "directmail.new", (level or 2) + 1)
  local values, from = {}, {}
  for name, known in pairs(KNOWN) do
    local value, source = options[name], "the option"
    for _, variable in ipairs(value == nil and known.env or {}) do
      value, source = host.env(variable), variable
      if value ~= nil then break end
    end
    if value ~= nil then
      local kind = known.secret and "secret" or known.kind or "text"
      local good, e = convert[kind](name, value, source, host)
      if good == nil then return nil, e end
      if known.choices then
        local found = false
        for _, choice in ipairs(known.choices) do found = found or choice == good end
        if not found then
          return bad(name, source, ("is %q"):format(good), "use one of: " .. table.concat(known.choices, ", "))
        end
      end
      values[name], from[name] = good, source
    end
  end
  values.from = from
  return values
end

return M
