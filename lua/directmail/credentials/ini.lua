--- The SDKs' own file, `~/.alibabacloud/credentials`: sections with a type each.
-- https://www.alibabacloud.com/help/en/sdk/developer-reference/v2-manage-node-js-access-credentials
-- @module directmail.credentials.ini
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"
local profile = require "directmail.profile"
local settings = require "directmail.settings"
local sts = require "directmail.credentials.sts"

local M = {}

-- The sections: name -> { key = value }, and their names in order. What the vendor's readers take for a comment is one here.
local function sections_of(text)
  local sections, names, current = {}, {}, nil
  for line in (text:gsub("^\239\187\191", "") .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("[;#].*", ""):match "^%s*(.-)%s*$"
    local name = line:match "^%[%s*(.-)%s*%]$"
    local item, value = line:match "^([%w_.-]+)%s*[=:]%s*(.*)$"
    if name then
      if not sections[name] then
        sections[name] = {}
        names[#names + 1] = name
      end
      current = sections[name]
    elseif item and current and value ~= "" then
      current[item:lower()] = value
    end
  end
  return sections, names
end

-- The key of a section; nil and why not.
local function pair_of(context, section, place, with_token)
  local found, where = { from = place }, {}
  local parts = { "access_key_id", "access_key_secret" }
  if with_token then parts[3] = "security_token" end
  for _, part in ipairs(parts) do
    if not section[part] then return nil, ("%s: %s is missing"):format(place, part) end
    found[part], where[part] = settings.trimmed(part, section[part], place, context.quiet), place
  end
  local fault, remedy = key.fault(found, where)
  if fault then return nil, context.refuse(fault, remedy) end
  return found
end

local function role_of(section)
  return { arn = section.role_arn, session = section.role_session_name, policy = section.policy }
end

-- type -> function(context, section, place): a key or a source; or nil and why not
local TYPES = {
  access_key = function(context, section, place) return pair_of(context, section, place, false) end,
  sts = function(context, section, place) return pair_of(context, section, place, true) end,
  ecs_ram_role = function(context, section, place)
    return require "directmail.credentials.metadata".source(context, section.role_name, place)
  end,
  ram_role_arn = function(context, section, place)
    local base, why = pair_of(context, section, place, false)
    if not base then return nil, why end
    return sts.source(context, role_of(section), base, place)
  end,
  oidc_role_arn = function(context, section, place)
    local given = role_of(section)
    given.provider, given.file = section.oidc_provider_arn, section.oidc_token_file_path
    return require "directmail.credentials.oidc".source(context, given, place)
  end,
}

local NEVER = { rsa_key_pair = true, bearer = true }

-- The file: text and how it is shown; nil and why not.
local function read(host)
  local paths, named = {}, host.env "ALIBABA_CLOUD_CREDENTIALS_FILE"
  local home = profile.home(host)
  if named then
    paths[1] = named
  elseif home then
    -- Node and Go look for the first, Python and Java for the second
    paths = { home .. "/.alibabacloud/credentials", home .. "/.alibabacloud/credentials.ini" }
  else
    return nil, "~/.alibabacloud/credentials cannot be looked for: HOME is not set"
  end
  local reasons = {}
  for _, path in ipairs(paths) do
    local shown = profile.shown(path, host)
    local text, why = host.read(path, limits.credentials_octets)
    if text then return text, shown end
    reasons[#reasons + 1] = ("%s: %s"):format(shown, why)
    if not why:find "no such file" then break end       -- what is there and cannot be read is not passed over
  end
  if #reasons == 2 and reasons[2]:find "no such file" then return nil, reasons[1] .. " (nor credentials.ini)" end
  return nil, reasons[#reasons]
end

--- The provider of the chain.
-- @tparam table context as of `directmail.credentials.config`
-- @treturn[1] table a key, or a source
-- @treturn[2] nil
-- @treturn[2] string|err why not; an error ends the search
function M.find(context)
  local host = context.host
  local text, shown = read(host)
  if not text then return nil, shown end
  local sections, names = sections_of(text)
  local wanted = host.env "ALIBABA_CLOUD_PROFILE" or "default"
  local section = sections[wanted]
  if not section then
    for i = 1, #names do names[i] = key.shown(names[i]) end
    return nil, ("%s has no section [%s]; it has: %s"):format(shown, key.shown(wanted), #names > 0 and table.concat(names, ", ") or "none")
  end
  local place = ("%s, section [%s]"):format(shown, key.shown(wanted))
  if section.enable and section.enable:lower() == "false" then return nil, place .. " is switched off by enable = false" end
  local kind = section.type and section.type:lower()
  if not kind then return nil, place .. ": type is missing" end
  if NEVER[kind] then return nil, ("%s: type %s cannot sign calls of Direct Mail"):format(place, kind) end
  if not TYPES[kind] then return nil, ("%s: type %s is not known"):format(place, key.shown(kind)) end
  return TYPES[kind](context, section, ("%s, type %s"):format(place, kind))
end

return M
