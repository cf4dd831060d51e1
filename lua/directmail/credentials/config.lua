--- The file of the vendor's command line, `~/.aliyun/config.json`: its profiles and their modes.
-- It is read and never written (https://github.com/aliyun/aliyun-cli).
-- @module directmail.credentials.config
local json = require "cjson.safe"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"
local profile = require "directmail.profile"
local settings = require "directmail.settings"
local sts = require "directmail.credentials.sts"

local M = {}

-- A field of a profile: text that is not empty, or nil.
local function field(entry, name)
  local value = entry[name]
  return type(value) == "string" and value ~= "" and value or nil
end

local function is_true(value) return value ~= nil and (value:lower() == "true" or value == "1") end

-- The key pair of a profile, with its token when `sts` says so ("maybe": when it is there); nil and why not.
local function pair_of(context, entry, place, with_token)
  local found, where = { from = place }, {}
  for _, row in ipairs {
    { "access_key_id", "access_key_id", true }, { "access_key_secret", "access_key_secret", true }, { "security_token", "sts_token", with_token == true },
  } do
    local part, name, needed = row[1], row[2], row[3]
    if part ~= "security_token" or with_token then
      local value = field(entry, name)
      if value then
        found[part], where[part] = settings.trimmed(name, value, place, context.quiet), place
      elseif needed then
        return nil, ("%s: %s is missing"):format(place, name)
      end
    end
  end
  local fault, remedy = key.fault(found, where)
  if fault then return nil, context.refuse(fault, remedy) end
  local doubt = key.doubt(found, where)
  if doubt then context.quiet.log("warn", doubt) end
  return found
end

-- A key that somebody stored with its end; `again` is what renews it.
local function stored(context, entry, place, again)
  local ends = tonumber(entry.sts_expiration)
  if ends and ends > 0 and ends <= context.host.now() then
    return nil, ("%s: the token ended at %s; %s"):format(place, key.date(ends), again)
  end
  local found, why = pair_of(context, entry, place, true)
  if found and ends and ends > 0 then found.expires = ends end
  return found, why
end

local function role_of(entry)
  local vpc = entry.enable_vpc
  return {
    arn = field(entry, "ram_role_arn"), session = field(entry, "ram_session_name") or field(entry, "role_session_name"),
    duration = entry.expired_seconds, policy = field(entry, "policy"), external_id = field(entry, "external_id"),
    region = field(entry, "sts_region"), endpoint = field(entry, "sts_endpoint"), vpc = type(vpc) == "boolean" and vpc or nil,
  }
end

local function find_entry(config, wanted)
  for _, entry in ipairs(config.profiles) do
    if type(entry) == "table" and field(entry, "name") == wanted then return entry end
  end
end

local source_of

-- A login in a browser, which only the vendor's command can renew, since that changes its file.
local function by_login(mode)
  return function(context, _, entry, place)
    local again = ("log in again: aliyun configure --mode %s --profile %s"):format(mode, key.shown(field(entry, "name") or "default"))
    if not (field(entry, "sts_token") and tonumber(entry.sts_expiration)) then return nil, ("%s: there is no stored token; %s"):format(place, again) end
    return stored(context, entry, place, again)
  end
end

-- Programs that a file names and servers that it names: one variable of the vendor's command forbids both.
local function forbidden(context)
  local name = "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS"
  return is_true(context.host.env(name)) and "forbidden by " .. name or nil
end

-- mode -> function(context, config, entry, place, visited): a key or a source; or nil and why not
local MODES = {
  AK = function(context, _, entry, place) return pair_of(context, entry, place, false) end,
  StsToken = function(context, _, entry, place) return stored(context, entry, place, "log in again with the aliyun command") end,
  RamRoleArn = function(context, _, entry, place)
    local base, why = pair_of(context, entry, place, "maybe")
    if not base then return nil, why end
    return sts.source(context, role_of(entry), base, place)
  end,
  ChainableRamRoleArn = function(context, config, entry, place, visited)
    local name = field(entry, "source_profile")
    if not name then return nil, place .. ": source_profile is missing" end
    local before = find_entry(config, name)
    if not before then return nil, ('%s: there is no profile "%s", its source_profile'):format(place, key.shown(name)) end
    if visited[before] then return nil, ('%s: source_profile "%s" comes back to itself'):format(place, key.shown(name)) end
    local base, why = source_of(context, config, before, visited)
    if not base then return nil, why end
    return sts.source(context, role_of(entry), base, place)
  end,
  EcsRamRole = function(context, _, entry, place)
    return require "directmail.credentials.metadata".source(context, field(entry, "ram_role_name"), place)
  end,
  OIDC = function(context, _, entry, place)
    local given = role_of(entry)
    given.provider, given.file = field(entry, "oidc_provider_arn"), field(entry, "oidc_token_file")
    if entry.duration_seconds ~= nil then given.duration = entry.duration_seconds end
    return require "directmail.credentials.oidc".source(context, given, place)
  end,
  External = function(context, _, entry, place)
    local command, no = field(entry, "process_command"), forbidden(context)
    if no then return nil, ("%s: %s"):format(place, no) end
    if not command then return nil, place .. ": process_command is missing" end
    return require "directmail.credentials.process".source(context, command, place, context.config_path)
  end,
  CredentialsURI = function(context, _, entry, place)
    local url, no = field(entry, "credentials_uri"), forbidden(context)
    if no then return nil, ("%s: %s"):format(place, no) end
    if not url then return nil, place .. ": credentials_uri is missing" end
    return require "directmail.credentials.uri".source(context, url, place)
  end,
  CloudSSO = by_login "CloudSSO",
  OAuth = by_login "OAuth",
}

local NEVER = { "BearerToken", "Anonymous", "RsaKeyPair", "RamRoleArnWithRoleName" }

-- The vendor's command writes modes in any case.
local known, never = {}, {}
for name in pairs(MODES) do known[name:lower()] = name end
for _, name in ipairs(NEVER) do never[name:lower()] = name end

source_of = function(context, config, entry, visited)
  visited[entry] = true
  local place = ('%s, profile "%s"'):format(context.config_shown, key.shown(field(entry, "name")))
  local given = field(entry, "mode")
  local mode = given and known[given:lower()]
  if not given then
    -- the vendor's command guesses too
    mode = field(entry, "sts_token") and "StsToken" or "AK"
  elseif never[given:lower()] then
    return nil, ("%s: mode %s cannot sign calls of Direct Mail"):format(place, never[given:lower()])
  elseif not mode then
    return nil, ("%s: mode %s is not known"):format(place, key.shown(given))
  end
  place = ("%s, mode %s%s"):format(place, mode, given and "" or " (guessed: the file names none)")
  return MODES[mode](context, config, entry, place, visited)
end

-- Line and column of a place in the file. cjson's own message tells no more than the place, since the file holds secrets.
local function place_of(text, message)
  local at = tonumber(message:match "at character (%d+)")
  if not at then return "" end
  local before = text:sub(1, at - 1)
  local _, lines = before:gsub("\n", "")
  return (" (line %d, column %d)"):format(lines + 1, #before:match "[^\n]*$" + 1)
end

--- The provider of the chain.
-- @tparam table context `host`, `values`, `quiet` (a host's `log` that says nothing twice), `refuse(cause, remedy)` makes an error
-- @treturn[1] table a key, or a source for `directmail.credentials.session`
-- @treturn[2] nil
-- @treturn[2] string|err why not; an error ends the search
function M.find(context)
  local host = context.host
  for _, switch in ipairs { "ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE" } do
    local value = host.env(switch)
    if value and value:lower() == "true" then return nil, "~/.aliyun/config.json is switched off by " .. switch end
  end
  local path = host.env "ALIBABA_CLOUD_CONFIG_FILE"
  if not path then
    local home = profile.home(host)
    if not home then return nil, "~/.aliyun/config.json cannot be looked for: HOME is not set" end
    path = home .. "/.aliyun/config.json"
  end
  local shown = profile.shown(path, host)
  local text, why = host.read(path, limits.credentials_octets)
  if not text then return nil, ("%s: %s"):format(shown, why) end
  local config, fault = json.decode(text)
  if config == nil then return nil, shown .. " is not JSON" .. place_of(text, tostring(fault)) end
  if type(config) ~= "table" or type(config.profiles) ~= "table" then return nil, shown .. " has no list of profiles" end
  local wanted, by = host.env "ALIBABA_CLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE"
  if not wanted then wanted, by = field(config, "current"), "current" end
  if not wanted then wanted, by = "default", "nothing names another" end
  local entry = find_entry(config, wanted)
  context.config_path, context.config_shown = path, shown
  if entry then return source_of(context, config, entry, {}) end
  local names = {}
  for _, one in ipairs(config.profiles) do
    local name = type(one) == "table" and field(one, "name")
    if name then names[#names + 1] = key.shown(name) end
  end
  return nil, ('%s has no profile "%s" (%s); it has: %s'):format(shown, key.shown(wanted), by, #names > 0 and table.concat(names, ", ") or "none")
end

return M
