--- The role of the ECS instance that we run on, from its metadata service.
-- https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
-- @module directmail.credentials.metadata
local ask = require "directmail.credentials.ask"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"

local M = {}

local TOKEN, ROLES = "/latest/api/token", "/latest/meta-data/ram/security-credentials/"
local TTL, PROOF = "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token"

local function is_on(host, name)
  local value = host.env(name)
  return value ~= nil and (value:lower() == "true" or value == "1")
end

local function is_role(name) return #name <= 64 and name:find "^[%w._-]+$" ~= nil end

-- The proof that version 2 wants. nil, why, passing, final: nothing more is to be asked.
local function proof(context, base)
  local response, why, passing, unconnected = ask.send(context, { url = base .. TOKEN, method = "PUT", body = "",
    headers = { [TTL] = ("%d"):format(limits.metadata_token_seconds) }, connect = limits.metadata_connect })
  if not response then return nil, why, passing, unconnected end
  if response.status ~= 200 then return nil, ask.refusal(response) end
  local token = response.body:match "^%s*(%S+)%s*$"
  -- it becomes a header of the next request
  if not token or not token:find "^[%w+/=._-]+$" then return nil, response.shown .. " answers what is no token of version 2", false end
  return token
end

local function get(context, base, path, headers, absent)
  local response, why, passing = ask.send(context, { url = base .. path, method = "GET", headers = headers, connect = limits.metadata_connect })
  if not response then return nil, why, passing end
  if response.status == 404 then return nil, absent, false end
  if response.status ~= 200 then return nil, ask.refusal(response) end
  return response
end

local function fetch(context, base, role)
  local host = context.host
  local token, why, passing, final = proof(context, base)
  if final then return nil, why .. " (there is a metadata service on ECS instances only)", passing end
  if not token and (is_on(host, "ALIBABA_CLOUD_IMDSV1_DISABLED") or is_on(host, "ALIBABA_CLOUD_ECS_IMDSV2_ENABLE")) then
    return nil, why .. "; version 1 is switched off by " .. (is_on(host, "ALIBABA_CLOUD_IMDSV1_DISABLED") and "ALIBABA_CLOUD_IMDSV1_DISABLED"
      or "ALIBABA_CLOUD_ECS_IMDSV2_ENABLE"), passing
  end
  local headers = token and { [PROOF] = token } or {}
  local response
  if not role then
    response, why, passing = get(context, base, ROLES, headers, "no role is attached to this instance")
    if not response then return nil, why, passing end
    role = response.body:match "^%s*(.-)%s*$"
    if not is_role(role) then return nil, response.shown .. " answers what is no name of a role", false end
  end
  response, why, passing = get(context, base, ROLES .. role, headers, ('this instance has no role "%s"'):format(role))
  if not response then return nil, why, passing end
  local answer
  answer, why = ask.object(response)
  if not answer then return nil, why, true end
  if answer.Code ~= "Success" then
    local code = type(answer.Code) == "string" and key.shown(answer.Code)
    return nil, ("%s answers %s"):format(response.shown, code and "Code " .. code or "without Code"), true
  end
  local parts
  parts, why = ask.key(answer, response.shown)
  if not parts then return nil, why, true end
  parts.date = response.date
  return parts
end

--- The source of the instance's role.
-- @tparam table context
-- @tparam[opt] string role its name, which saves a request
-- @tparam string from words
-- @tparam[opt] boolean implicit nobody asked for it by name
-- @treturn[1] table a source
-- @treturn[2] nil
-- @treturn[2] string why not
function M.source(context, role, from, implicit)
  role = role or context.host.env "ALIBABA_CLOUD_ECS_METADATA"
  if role and not is_role(role) then return nil, ('%s: the role\'s name "%s" is none'):format(from, key.shown(role)) end
  local base = (context.values.metadata or ask.METADATA):gsub("/+$", "")
  local at, why = ask.address(base)
  if not at then return nil, ("%s: %s"):format(from, why) end
  return {
    from = from, id = key.id("ecs", base, role), seconds = 6 * limits.credentials_seconds, implicit = implicit,
    fetch = function(now) return fetch(now, base, role) end,
  }
end

--- The provider of the chain.
-- @tparam table context
-- @return a source; or nil and why
function M.find(context)
  local host, values = context.host, context.values
  if is_on(host, "ALIBABA_CLOUD_ECS_METADATA_DISABLED") then
    return nil, "the ECS metadata service is switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED"
  end
  if not values.metadata and not host.env "ALIBABA_CLOUD_ECS_METADATA" then
    -- the machine's own key is real, and an emulator of the service has no use for it
    local at = values.api and ask.address(values.api)
    if at and at.near then return nil, "the ECS metadata service is not asked, since api is on this machine" end
    -- Who set up SMTP has a way to send. A role that the machine happens to have, often without a right for Direct Mail, must
    -- not change it, and no mail should wait for a service that only ECS has.
    local other = values.smtp_password and "smtp_password" or values.smtp and "smtp"
    if other and values.via ~= "api" then
      return nil, ('the ECS metadata service is not asked, since %s is set (via = "api" asks it)'):format(other)
    end
  end
  return M.source(context, nil, "role of this ECS instance", true)
end

return M
