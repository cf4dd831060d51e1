--- Roles of the Security Token Service: AssumeRole with a key, AssumeRoleWithOIDC with a token of the cluster.
-- https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerole
-- @module directmail.credentials.sts
local ask = require "directmail.credentials.ask"
local core = require "directmail.core"
local explain = require "directmail.explain"
local json = require "cjson.safe"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"
local sign = require "directmail.sign"

local M = {}

local VERSION = "2015-04-01"
local FORM = "application/x-www-form-urlencoded"
local SESSION = "directmail"            -- what the account's records show for us when nobody names the session

--- Seconds that one role may take at most: two requests, each once more.
M.SECONDS = 4 * limits.credentials_seconds

-- Codes that only STS has, or that mean something of their own here
-- (https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-errorcodes).
local MEANS = {
  ["EntityNotExist.Role"] = "there is no such role: check its account and its name",
  ["EntityNotExist.Account"] = "there is no such account: check the role's ARN",
  ["NoPermission"] = "the key needs the right sts:AssumeRole, must not be the account's own, and the role must trust its user",
  ["InvalidParameter.RoleArn"] = "the role's ARN is none: acs:ram::ACCOUNT:role/NAME",
  ["InvalidParameter.RoleSessionName"] = "the session's name needs 2 to 64 letters, digits or . @ - _",
  ["InvalidParameter.DurationSeconds"] = "the duration is over what the role allows",
  ["InvalidParameter.PolicyGrammar"] = "the policy is not well written",
  ["SignatureDoesNotMatch"] = "the secret does not belong to the access_key_id",
  ["AuthenticationFail.NoPermission"] = "the role does not trust this identity provider, or the provider is not registered in RAM",
  ["AuthenticationFail.OIDCToken.Expired"] = "the token in the file has ended: whatever renews it stands still",
  ["AuthenticationFail.OIDCToken.AudienceNotMatch"] = "the token was made for another audience than the provider in RAM lists",
  ["AuthenticationFail.OIDCToken.Invalid"] = "the file holds no token: three parts with dots between them",
  ["AuthenticationFail.OIDCToken.InvalidSignature"] = "the token was not signed by this provider",
  ["AuthenticationFail.OIDCToken.HttpsUrlInvalid"] = "RAM cannot reach the issuer of the token",
  ["AuthenticationFail.OIDCToken.PublicKeyFingerprintMismatch"] = "the issuer's certificate is not the one that RAM knows: renew its fingerprint there",
}

-- ---- what is wanted ---------------------------------------------------------------

local function is_true(value) return value == true or type(value) == "string" and value:lower() == "true" end

-- Host and URL of the service for a role.
local function endpoint(context, given)
  local values, env = context.values, context.host.env
  if values.sts then
    local at, why = ask.address(values.sts)
    if not at then return nil, "sts: " .. why end
    return values.sts:gsub("/+$", "") .. "/"
  end
  local region = given.region or env "ALIBABA_CLOUD_STS_REGION"
  local name = given.endpoint
  if name then
    if not name:find "^[%w.-]+$" then return nil, ('sts_endpoint "%s" is no host name'):format(key.shown(name)) end
  elseif region then
    if not region:find "^[%w-]+$" then return nil, ('the region of STS, "%s", is none'):format(key.shown(region)) end
    local inside = given.vpc
    if inside == nil then inside = env "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED" end
    name = ("%s.%s.aliyuncs.com"):format(is_true(inside) and "sts-vpc" or "sts", region)
  else
    name = "sts.aliyuncs.com"
  end
  return ("https://%s/"):format(name)
end

--- Check what is asked of STS, so that a slip is named before anything leaves.
-- @tparam table context
-- @tparam table given `arn`, and as wanted `session`, `duration` (seconds), `policy`, `external_id`, `region`, `endpoint`, `vpc`
-- @treturn[1] table a role for `assume`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.role(context, given)
  local arn = given.arn
  if not arn then return nil, "the role's ARN is missing" end
  if not arn:find "^acs:ram::%d+:role/[%w._/-]+$" then return nil, ('the role\'s ARN "%s" is none: acs:ram::ACCOUNT:role/NAME'):format(key.shown(arn)) end
  local session = given.session or context.host.env "ALIBABA_CLOUD_ROLE_SESSION_NAME" or SESSION
  if #session < 2 or #session > 64 or session:find "[^%w.@_-]" then
    return nil, ('the session\'s name "%s" cannot be used: 2 to 64 letters, digits or . @ - _'):format(key.shown(session))
  end
  local duration = given.duration
  if duration == nil or duration == 0 then duration = limits.sts_duration end      -- 0: the vendor's command writes it for "not given"
  duration = tonumber(duration) or 0
  if duration ~= math.floor(duration) or duration < limits.sts_duration_min or duration > limits.sts_duration_max then
    return nil, ("the duration is no whole number of seconds from %d to %d"):format(limits.sts_duration_min, limits.sts_duration_max)
  end
  if given.policy and #given.policy > limits.sts_policy then return nil, ("the policy is longer than %d characters"):format(limits.sts_policy) end
  local external = given.external_id
  if external and (#external < 2 or #external > 1224) then return nil, "the external id needs 2 to 1224 characters" end
  local url, why = endpoint(context, given)
  if not url then return nil, why end
  return { arn = arn, url = url, params = { RoleArn = arn, RoleSessionName = session, DurationSeconds = ("%d"):format(duration),
    Policy = given.policy, ExternalId = external } }
end

--- A name for the role, for `directmail.credentials.key.id`.
-- @tparam table role
-- @treturn string
function M.id(role)
  local p = role.params
  return key.id(role.url, p.RoleArn, p.RoleSessionName, p.DurationSeconds, p.Policy, p.ExternalId)
end

-- ---- asking -------------------------------------------------------------------------

local function form_of(fields)
  local parts = {}
  for name, value in pairs(fields) do parts[#parts + 1] = ("%s=%s"):format(name, core.percent(value)) end
  return table.concat(parts, "&")
end

local function nonce_of(host)
  return (host.random(16):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- A signed request, or the unsigned one of AssumeRoleWithOIDC; `ahead` = seconds that our clock is ahead of theirs.
local function request_of(context, role, action, more, base, ahead)
  local host, params = context.host, {}
  for name, value in pairs(role.params) do params[name] = value end
  for name, value in pairs(more) do params[name] = value end
  if not base then
    local query = { Action = action, Version = VERSION, Format = "JSON", Timestamp = key.date(host.now() - ahead), SignatureNonce = nonce_of(host) }
    return { url = ("%s?%s"):format(role.url, form_of(query)), method = "POST", headers = { ["Content-Type"] = FORM }, body = form_of(params) }
  end
  local signed, e = sign.request {
    version = "v1", method = "POST", host = role.url:match "^%a+://([^/]+)", form = params, action = action, api_version = VERSION,
    access_key_id = base.access_key_id, access_key_secret = base.access_key_secret, security_token = base.security_token,
    now = host.now() - ahead, nonce = nonce_of(host),
  }
  if not signed then return nil, e.cause end
  return { url = role.url:gsub("/$", "") .. signed.url, method = signed.method, headers = signed.headers, body = signed.body }
end

local LATE = { ["InvalidTimeStamp.Expired"] = true, IllegalTimestamp = true }

-- What STS said no with. Its Message is left out: it may repeat what we sent.
local function refusal(response, code, id)
  local rule = explain.api { code = code, status = response.status }
  local means = MEANS[code] or rule.cause
  local number = type(id) == "string" and id:find "^[%w-]+$" and #id <= 64 and ", RequestId " .. id or ""
  return ("%s refuses with %s: %s%s"):format(response.shown, code, means, number), rule.retry == "backoff" or response.status >= 500
end

local function call(context, role, action, more, base)
  local ahead = 0
  while true do
    local request, why = request_of(context, role, action, more, base, ahead)
    if not request then return nil, why, false end
    local response, passing
    response, why, passing = ask.send(context, request)
    if not response then return nil, why, passing end
    local answer = json.decode(response.body)
    local code = type(answer) == "table" and type(answer.Code) == "string" and answer.Code:match "^[%w._-]+$"
    if response.status >= 200 and response.status < 300 then
      answer, why = ask.object(response)
      if not answer then return nil, why, true end
      if type(answer.Credentials) ~= "table" then return nil, response.shown .. " answers without Credentials", false end
      local parts
      parts, why = ask.key(answer.Credentials, response.shown)
      if not parts then return nil, why, false end
      parts.date = response.date
      return parts
    end
    if not code or #code > 100 then return nil, ask.refusal(response) end
    if not (LATE[code] and response.date and ahead == 0) then return nil, refusal(response, code, answer.RequestId) end
    ahead = context.host.now() - response.date        -- refused before anything was done: set our clock right and ask once more
    if ahead == 0 then return nil, refusal(response, code, answer.RequestId) end
  end
end

--- Take on a role.
-- @tparam table context `values` and `host`
-- @tparam table role of `M.role`
-- @tparam table base the key to ask with
-- @treturn[1] table as of `ask.key`, with `date`
-- @treturn[2] nil
-- @treturn[2] string why not
-- @treturn[2] boolean true: it may work later
function M.assume(context, role, base) return call(context, role, "AssumeRole", {}, base) end

--- Take on a role by the token of an identity provider.
-- @tparam table context
-- @tparam table role
-- @tparam string provider the provider's ARN
-- @tparam string token
-- @return as of `assume`
function M.assume_by_token(context, role, provider, token)
  return call(context, role, "AssumeRoleWithOIDC", { OIDCProviderArn = provider, OIDCToken = token })
end

--- The source of a role that is taken on with another key.
-- @tparam table context
-- @tparam table given as of `M.role`
-- @tparam table base a key, or a source of one
-- @tparam string from words
-- @treturn[1] table a source for `directmail.credentials.session`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.source(context, given, base, from)
  local role, why = M.role(context, given)
  if not role then return nil, ("%s: %s"):format(from, why) end
  return {
    from = from, id = key.id("role", M.id(role), base.id or key.id(base.access_key_id, base.access_key_secret, base.security_token)),
    seconds = M.SECONDS + (base.seconds or 0),
    fetch = function(now)
      if not base.fetch then return M.assume(now, role, base) end
      local own, reason, passing = require "directmail.credentials.session".get(now, base)
      if not own then return nil, ("the key for it, of %s: %s"):format(base.from, reason), passing end
      return M.assume(now, role, own)
    end,
  }
end

return M
