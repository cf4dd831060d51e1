--- A pod's role: the token that the cluster writes into a file, exchanged for a temporary key (RRSA).
-- https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/user-guide/use-rrsa-to-authorize-pods-to-access-different-cloud-services
-- @module directmail.credentials.oidc
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"
local profile = require "directmail.profile"
local sts = require "directmail.credentials.sts"

local M = {}

local ROLE, PROVIDER, FILE = "ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"

-- The token, read at every refresh: the cluster rotates it.
local function token_of(host, path)
  local text, why = host.read(path, limits.credentials_octets)
  local shown = profile.shown(path, host)
  if not text then return nil, ("%s: %s"):format(shown, why) end
  local token = text:gsub("[\r\n]+$", "")
  if #token < 4 or #token > limits.oidc_token or token:find "[^%w._~+/=-]" then
    return nil, ("%s holds no token: 4 to %d letters, digits or . - _ are expected"):format(shown, limits.oidc_token)
  end
  return token
end

--- The source of a role that a token file stands for.
-- @tparam table context
-- @tparam table given as of `sts.role`, with `provider` (ARN) and `file` (path)
-- @tparam string from words
-- @treturn[1] table a source
-- @treturn[2] nil
-- @treturn[2] string why not
function M.source(context, given, from)
  local provider, file = given.provider, given.file
  if not provider then return nil, from .. ": the provider's ARN is missing" end
  if not file then return nil, from .. ": the token's file is missing" end
  if not provider:find "^acs:ram::%d+:oidc%-provider/[%w._/-]+$" then
    return nil, ('%s: the provider\'s ARN "%s" is none: acs:ram::ACCOUNT:oidc-provider/NAME'):format(from, key.shown(provider))
  end
  local role, why = sts.role(context, given)
  if not role then return nil, ("%s: %s"):format(from, why) end
  return {
    from = from, id = key.id("oidc", sts.id(role), provider, file), seconds = sts.SECONDS,
    fetch = function(now)
      local token, reason = token_of(now.host, file)
      if not token then return nil, reason, false end
      return sts.assume_by_token(now, role, provider, token)
    end,
  }
end

--- The provider of the chain: three variables that the cluster sets.
-- @tparam table context
-- @return a source; or nil and why
function M.find(context)
  local env = context.host.env
  local missing, present = {}, false
  for _, name in ipairs { ROLE, PROVIDER, FILE } do
    if env(name) then present = present or name ~= ROLE else missing[#missing + 1] = name end
  end
  if #missing > 0 then
    if not present then return nil, "no OIDC role (" .. table.concat(missing, ", ") .. (#missing == 1 and " is not set)" or " are not set)") end
    return nil, ("the OIDC role is incomplete: %s %s not set"):format(table.concat(missing, " and "), #missing == 1 and "is" or "are")
  end
  return M.source(context, { arn = env(ROLE), provider = env(PROVIDER), file = env(FILE) }, "OIDC role of " .. ROLE)
end

return M
