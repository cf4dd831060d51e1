--- The AccessKey that signs calls of the API: where it is looked for, and what was found there.
-- The sources, in this order: the settings (options, `ALIBABA_CLOUD_*`, the profile), the OIDC role of a pod, the file of the
-- vendor's command line, the SDKs' file, the role of the ECS instance, a credentials server; the vendor's own order. The
-- first that has a whole key wins, and is the only one that is asked from then on; a key never mixes two sources.
-- docs/credentials.md describes each.
-- @module directmail.credentials
local err = require "directmail.err"
local key = require "directmail.credentials.key"
local profile = require "directmail.profile"

local M = {}

local ID, SECRET = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"

local REMEDY = ("set %s and %s, or write a profile with aliyun configure; directmail config show tells what is found where"):format(ID, SECRET)

local function refuse(cause, remedy, retry)
  return nil, err.new { code = "CREDENTIALS", cause = cause, remedy = remedy or REMEDY, blame = "credentials", retry = retry }
end

-- ---- the settings -------------------------------------------------------------

local function from_settings(context)
  local values, host = context.values, context.host
  local from, unused = values.from, values.unused or {}
  local id, secret = values.access_key_id, values.access_key_secret
  if id and secret then
    local found = { access_key_id = id, access_key_secret = secret, security_token = values.security_token, from = from.access_key_id }
    local fault, remedy = key.fault(found, from)
    if fault then return refuse(fault, remedy) end
    local doubt = key.doubt(found, from)
    if doubt then context.quiet.log("warn", doubt) end
    return found
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

-- ---- the chain ------------------------------------------------------------------

local function of(module)
  return function(context) return require("directmail.credentials." .. module).find(context) end
end

-- Each: `find(context)` -> a key | a source of keys that are fetched (`directmail.credentials.session`) | `nil, why not
-- (text)`: the next one is asked | `nil, err`: the search ends, since what was found is meant and cannot be used. It
-- reads files and waits for nothing.
local PROVIDERS = {
  { name = "settings", find = from_settings },
  { name = "oidc", find = of "oidc" },
  { name = "config", find = of "config" },
  { name = "ini", find = of "ini" },
  { name = "metadata", find = of "metadata" },
  { name = "uri", find = of "uri" },
}

-- host -> { chosen = { [settings that matter] = provider }, said = { [text] = true } }
local memory = setmetatable({}, { __mode = "k" })

local function memory_of(host)
  if not memory[host] then memory[host] = { chosen = {}, said = {} } end
  return memory[host]
end

-- What a provider's `find` gets.
local function context_of(values, host)
  local said = memory_of(host).said
  return {
    values = values, host = host,
    -- sources are looked at before every call, and a warning is news once
    quiet = { log = function(level, text)
      if said[text] then return end
      said[text] = true
      host.log(level, text)
    end },
    refuse = function(cause, remedy)
      local _, e = refuse(cause, remedy)
      return e
    end,
  }
end

-- The settings are looked at first each time; of the others, when one has worked, that one alone.
local function providers(chosen)
  if chosen then return { PROVIDERS[1], chosen } end
  return PROVIDERS
end

-- As `search`. When nginx starts there are no sockets, but all files are read: workers may not.
local function search(values, host, options)
  local starting = host.starting ~= nil and host.starting()
  local context, tried, passing = context_of(values, host), {}, false
  local chosen = memory_of(host).chosen
  local which = ("%s\n%s\n%s\n%s"):format(values.metadata or "", values.sts or "", values.proxy or "", values.ca or "")
  local found
  for _, provider in ipairs(providers(chosen[which])) do
    local source, why = provider.find(context)
    if source and source.fetch and not starting and not options.offline then
      local fetched, reason, passes = require "directmail.credentials.session".get(context, source, options.refused)
      if fetched then chosen[which] = provider
      else why = ("%s: %s"):format(source.from, reason) end
      passing = passing or passes and not source.implicit
      source = fetched
    elseif source and source.implicit and not starting then         -- whether it has a key is known when it is asked
      source, why = nil, source.from .. ": not asked without need"
    end
    if source then
      found = found or source
      if not starting then break end
    elseif err.is(why) then
      if not found then return nil, tried, why end
    elseif not found then
      tried[#tried + 1] = why
    end
  end
  return found, tried, nil, passing
end

--- Look for a key and keep what each source said. Nothing is asked over the network and nothing is run.
-- @tparam table values from `directmail.settings`
-- @tparam table host `env`, `read`, `now`, `log`
-- @treturn table|nil the key, see `find`; or, with `fetch` and without `access_key_id`, a source that is asked when a key is needed
-- @treturn {string,...} why not, of each source that was looked at before
-- @treturn table|nil a directmail.err when a source has a key that cannot be used
function M.search(values, host)
  local found, tried, e = search(values, host, { offline = true })
  return found, tried, e
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

--- Find the key. It may wait: a temporary one is fetched, and again before it ends, once for all who ask meanwhile.
-- @tparam table values from `directmail.settings`
-- @tparam table host
-- @tparam[opt] table options `offline` = true: nothing is asked and nothing waits; a source that would have to be asked is returned
--   in place of its key (without `access_key_id`). `refused` = a key that the service called expired: another one is fetched
-- @treturn[1] table `{ access_key_id =, access_key_secret =, security_token = nil unless it is a temporary one, from = words,
--   expires = seconds since 1970 by this machine's clock, or nil }`; not to be changed
-- @treturn[2] nil
-- @treturn[2] table a directmail.err, code CREDENTIALS; its cause lists every source with why not
function M.find(values, host, options)
  local found, tried, e, passing = search(values, host, options or {})
  if found then return found end
  if e then return nil, e end
  for _, old in ipairs(M.ignored(host)) do tried[#tried + 1] = ("%s is an old spelling and ignored: use %s"):format(old.name, old.use) end
  return refuse("no AccessKey was found: " .. table.concat(tried, "; "), nil, passing)
end

return M
