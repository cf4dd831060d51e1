--- The AccessKey that signs calls of the API: where it is looked for, and what was found there.
-- The sources, in this order: the settings (options, `ALIBABA_CLOUD_*`, the profile), then the file of the vendor's command
-- line, `~/.aliyun/config.json` (https://github.com/aliyun/aliyun-cli). The first that has a whole key wins; a key never
-- mixes two files.
-- @module directmail.credentials
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local profile = require "directmail.profile"
local settings = require "directmail.settings"

local M = {}

local ID, SECRET = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"

local REMEDY = ("set %s and %s, or write a profile with aliyun configure; directmail config show tells what is found where"):format(ID, SECRET)

local function refuse(cause, remedy)
  return nil, err.new { code = "CREDENTIALS", cause = cause, remedy = remedy or REMEDY, blame = "credentials" }
end

-- ---- what a key must look like ----------------------------------------------

-- What does not belong into a key: it came along when the key was copied.
local STRAYS = {
  { "[\r\n]", "a line break" }, { "\t", "a tab" }, { "%c", "a control character" }, { " ", "a blank" },
  { "[\128-\255]", "a character outside of ASCII (perhaps one that is not seen)" },
}

-- Refuse by name what the service would only answer with InvalidAccessKeyId.NotFound or SignatureDoesNotMatch.
-- `where` tells of each part where it came from. Returns the key; or nil, err.
local function checked(key, where, host)
  for _, part in ipairs { "access_key_id", "access_key_secret", "security_token" } do
    local value = key[part]
    if value then
      for _, stray in ipairs(STRAYS) do
        if value:find(stray[1]) then
          return refuse(("%s (from %s) holds %s"):format(part, where[part], stray[2]), "copy it again, without anything around it")
        end
      end
      local quote = value:match "^([\"'])"
      if quote and #value > 1 and value:sub(-1) == quote then
        return refuse(("%s (from %s) stands in quotes that are a part of it"):format(part, where[part]), "take the quotes off")
      end
      if value == "" then return refuse(("%s (from %s) is empty"):format(part, where[part])) end
    end
  end
  local id, secret = key.access_key_id, key.access_key_secret
  if secret:find "^LTAI" and not id:find "^LTAI" then
    return refuse(("access_key_id and access_key_secret (from %s) have changed places"):format(where.access_key_secret), "LTAI… is the id")
  end
  if id:find "^STS%." and not key.security_token then
    return refuse(("access_key_id (from %s) belongs to a temporary key, and its security_token is missing"):format(where.access_key_id),
      "give the token too (ALIBABA_CLOUD_SECURITY_TOKEN): the three were issued together")
  end
  if id:find "^LTAI" and key.security_token then
    host.log("warn", ("access_key_id (from %s) is a lasting one, security_token (from %s) is of a temporary one: they hardly belong together")
      :format(where.access_key_id, where.security_token))
  end
  return key
end

-- ---- the settings -------------------------------------------------------------

local function from_settings(context)
  local values, host = context.values, context.host
  local from, unused = values.from, values.unused or {}
  local id, secret = values.access_key_id, values.access_key_secret
  if id and secret then
    return checked({
      access_key_id = id, access_key_secret = secret, security_token = values.security_token, from = from.access_key_id,
    }, from, host)
  end
  if id or secret then
    local here, missing = "access_key_id", "access_key_secret"
    if secret then here, missing = missing, here end
    local why = ("%s comes from %s, but %s is missing (%s is not set%s)"):format(here, from[here], missing, id and SECRET or ID,
      unused[missing] and "; " .. unused[missing] or "")
    -- Who gives a key by hand does not want another one.
    if from[here]:find "^option " then return refuse(why, ("give %s too, or neither"):format(missing)) end
    return nil, why
  end
  local file = values.profile and values.profile .. " has no access_key_id"
  if not file then
    local path = profile.path(nil, host)
    file = path and ("there is no profile %s"):format(profile.shown(path, host)) or "there is no profile (HOME is not set)"
  end
  return nil, ("no option access_key_id; %s is not set; %s"):format(ID, file)
end

-- ---- the file of the vendor's command line ------------------------------------

-- Those that a later version reads, and those that cannot sign a call: both are refused by name.
local LATER = { ramrolearn = "RamRoleArn", chainableramrolearn = "ChainableRamRoleArn", ecsramrole = "EcsRamRole", oidc = "OIDC",
  external = "External", credentialsuri = "CredentialsURI", cloudsso = "CloudSSO", oauth = "OAuth" }
local NEVER = { bearertoken = "BearerToken", anonymous = "Anonymous", rsakeypair = "RsaKeyPair", ramrolearnwithrolename = "RamRoleArnWithRoleName" }

local function is_true(value) return value ~= nil and value:lower() == "true" end

-- Line and column of a place in the file. cjson's own message tells no more than the place, since the file holds secrets.
local function place_of(text, message)
  local at = tonumber(message:match "at character (%d+)")
  if not at then return "" end
  local before = text:sub(1, at - 1)
  local _, lines = before:gsub("\n", "")
  return (" (line %d, column %d)"):format(lines + 1, #before:match "[^\n]*$" + 1)
end

-- A field of a profile: text that is not empty, or nil.
local function field(entry, name)
  local value = entry[name]
  return type(value) == "string" and value ~= "" and value or nil
end

local function date(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds)) end

-- The key of one profile of config.json; `place` names it in words.
local function from_entry(entry, place, host)
  local given = field(entry, "mode")
  local mode = given and given:lower()
  if not mode then
    -- The vendor's command guesses too.
    mode = field(entry, "sts_token") and "ststoken" or "ak"
  elseif LATER[mode] then
    return nil, ("%s: mode %s is not read yet"):format(place, LATER[mode])
  elseif NEVER[mode] then
    return nil, ("%s: mode %s cannot sign calls of Direct Mail"):format(place, NEVER[mode])
  elseif mode ~= "ak" and mode ~= "ststoken" then
    return nil, ("%s: mode %s is not known"):format(place, err.printable(given:sub(1, 64)))
  end
  local sts = mode == "ststoken"
  place = ("%s, mode %s%s"):format(place, sts and "StsToken" or "AK", given and "" or " (guessed: the file names none)")
  local key, where = { from = place }, {}
  for _, row in ipairs {
    { "access_key_id", "access_key_id" }, { "access_key_secret", "access_key_secret" }, { "security_token", "sts_token" },
  } do
    local part, name = row[1], row[2]
    if part ~= "security_token" or sts then
      local value = field(entry, name)
      if not value then return nil, ("%s: %s is missing"):format(place, name) end
      key[part], where[part] = settings.trimmed(name, value, place, host), place
    end
  end
  local ends = sts and tonumber(entry.sts_expiration)
  if ends and ends > 0 then
    if ends <= host.now() then
      return nil, ("%s: the token ended at %s; log in again with the aliyun command"):format(place, date(ends))
    end
    key.expires = ends
  end
  return checked(key, where, host)
end

local function from_config(context)
  local host = context.host
  for _, switch in ipairs { "ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE" } do
    if is_true(host.env(switch)) then return nil, "~/.aliyun/config.json is switched off by " .. switch end
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
  local good, config = pcall(require "cjson".decode, text)
  if not good then return nil, shown .. " is not JSON" .. place_of(text, tostring(config)) end
  local list = type(config) == "table" and config.profiles
  if type(list) ~= "table" then return nil, shown .. " has no list of profiles" end
  local wanted, by = host.env "ALIBABA_CLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE"
  if not wanted then wanted, by = field(config, "current"), "current" end
  if not wanted then wanted, by = "default", "nothing names another" end
  local names = {}
  for _, entry in ipairs(list) do
    local name = type(entry) == "table" and field(entry, "name")
    if name == wanted then return from_entry(entry, ('%s, profile "%s"'):format(shown, err.printable(wanted)), host) end
    if name then names[#names + 1] = err.printable(name) end
  end
  return nil, ('%s has no profile "%s" (%s); it has: %s'):format(shown, err.printable(wanted), by, #names > 0 and table.concat(names, ", ") or "none")
end

-- ---- the chain ------------------------------------------------------------------

-- Each: `find(context) -> key` | `nil, why not (text)`: the next one is asked | `nil, err`: the search ends, since what
-- was found is meant and cannot be used. `context = { values = settings, host = }`.
local PROVIDERS = {
  { name = "settings", find = from_settings },
  { name = "config.json", find = from_config },
}

--- Look for a key and keep what each source said.
-- @tparam table values from `directmail.settings`
-- @tparam table host `env`, `read`, `now`, `log`
-- @treturn table|nil the key, see `find`
-- @treturn {string,...} why not, of each source that was asked before
-- @treturn table|nil a directmail.err when a source has a key that cannot be used
function M.search(values, host)
  local context, tried = { values = values, host = host }, {}
  for _, provider in ipairs(PROVIDERS) do
    local key, why = provider.find(context)
    if key then return key, tried end
    if err.is(why) then return nil, tried, why end
    tried[#tried + 1] = why
  end
  return nil, tried
end

-- Old spellings of other programs and older SDKs. They are not read: one name each is enough to look for.
local OLD = {
  { use = ID, "ALIBABACLOUD_ACCESS_KEY_ID", "ALICLOUD_ACCESS_KEY_ID", "ALICLOUD_ACCESS_KEY", "ACCESS_KEY_ID" },
  { use = SECRET, "ALIBABACLOUD_ACCESS_KEY_SECRET", "ALICLOUD_ACCESS_KEY_SECRET", "ALICLOUD_SECRET_KEY", "ACCESS_KEY_SECRET" },
  { use = "ALIBABA_CLOUD_SECURITY_TOKEN", "ALIBABACLOUD_SECURITY_TOKEN", "ALICLOUD_SECURITY_TOKEN", "SECURITY_TOKEN" },
}

--- Variables that are set under an old spelling while the one that is read is not.
-- @tparam table host
-- @treturn table list of `{ name =, use = }`
function M.ignored(host)
  local list = {}
  for _, row in ipairs(OLD) do
    for _, name in ipairs(host.env(row.use) and {} or row) do
      if host.env(name) then list[#list + 1] = { name = name, use = row.use } end
    end
  end
  return list
end

--- Find the key.
-- @tparam table values from `directmail.settings`
-- @tparam table host
-- @treturn[1] table `{ access_key_id =, access_key_secret =, security_token = nil unless it is a temporary one, from = words,
--   expires = seconds since 1970 or nil }`
-- @treturn[2] nil
-- @treturn[2] table a directmail.err, code CREDENTIALS; its cause lists every source with why not
function M.find(values, host)
  local key, tried, e = M.search(values, host)
  if key then return key end
  if e then return nil, e end
  for _, old in ipairs(M.ignored(host)) do tried[#tried + 1] = ("%s is an old spelling and ignored: use %s"):format(old.name, old.use) end
  return refuse("no AccessKey was found: " .. table.concat(tried, "; "))
end

return M
