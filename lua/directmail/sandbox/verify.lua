--- Is a call of the API signed by the account, now, and for the first time?
-- Verifying is computing the same signature. What the service checks first is not documented; public answers show
-- this order: key, method, time, signature, nonce.
-- @module directmail.sandbox.verify
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local problem = require "directmail.sandbox.problem"

local M = {}

local METHODS = { v1 = "HMAC-SHA1", v3 = "ACS3-HMAC-SHA256" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

-- `2026-11-23T12:34:56Z` in seconds; nil for everything else: fractions, offsets and local time are refused.
local function seconds_of(text)
  local year, month, day, clock = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d:%d%d:%d%d)Z$")
  local name = year and MONTHS[tonumber(month)]
  return name and (core.date_parse(("%s %s %s %s +0000"):format(day, name, year, clock))) or nil
end

-- The signature of V1 covers all parameters but itself.
local function v1(call, request, secret)
  local params = {}
  for name, value in pairs(call.params) do
    if name ~= "Signature" then params[name] = value end
  end
  local signed, why = core.sign { algorithm = METHODS.v1, http_method = request.method, params = params, access_key_secret = secret }
  if not signed then return nil, problem.new("InvalidParameter", (" It is the parameter %s: %s."):format(why.field, why.detail)) end
  return signed, " server string to sign is:" .. signed.string_to_sign
end

-- A header's values: several of one name are sorted and joined.
local function header_values(request, name)
  local values = {}
  for _, field in ipairs(request.list) do
    if field[1]:lower() == name then values[#values + 1] = field[2] end
  end
  table.sort(values)
  return table.concat(values, ",")
end

-- The signature of V3 covers the headers that it names, which are Host and all x-acs-* at least.
local function v3(call, request, secret)
  local headers, listed = {}, {}
  for _, name in ipairs(call.signed) do
    if name ~= name:lower() then return nil, problem.new("IncompleteSignature", " SignedHeaders are not in small letters.") end
    listed[name], headers[name] = true, header_values(request, name)
  end
  for _, field in ipairs(request.list) do
    local name = field[1]:lower()
    if not listed[name] and (name == "host" or name:find("^x%-acs%-")) then
      return nil, problem.new("IncompleteSignature", (" The header %s is not among SignedHeaders."):format(name))
    end
  end
  local signed, why = core.sign { algorithm = METHODS.v3, http_method = request.method, path = request.raw_path, query = call.query,
    headers = headers, body = request.body, access_key_secret = secret }
  if not signed then return nil, problem.new("InvalidParameter", (" It is %s: %s."):format(why.field, why.detail)) end
  local found = problem.new "SignatureDoesNotMatch"
  found.words = "Specified signature does not match our calculation."
  found.message = ("%s server StringToSign is [%s] server CanonicalRequest is [%s]"):format(found.words, signed.string_to_sign,
    signed.canonical_request)
  return signed, found
end

--- Check who calls.
-- @tparam table call of `directmail.sandbox.call`
-- @tparam table request the HTTP request it was read from
-- @tparam table account a `directmail.sandbox.account`
-- @tparam table nonces a `directmail.sandbox.nonces`
-- @tparam number now
-- @treturn ?table the problem; nil when all is well
function M.check(call, request, account, nonces, now)
  local secret = account:secret(call.access_key_id)
  if not secret then return problem.new "InvalidAccessKeyId.NotFound" end
  if call.method ~= METHODS[call.scheme] then return problem.new "InvalidSignatureMethod" end
  if call.method_version and call.method_version ~= "1.0" then
    return problem.new("IncompleteSignature", " SignatureVersion is not 1.0.")
  end
  local token, own = call.token or "", account:token(call.access_key_id) or ""
  if token == "" and own ~= "" then return problem.new "MissingSecurityToken" end
  if token ~= own then return problem.new "InvalidSecurityToken.MismatchWithAccessKey" end
  local time = seconds_of(call.time)
  if not time then return problem.new "InvalidTimeStamp.Format" end
  if math.abs(now - time) > limits.clock_window then return problem.new "InvalidTimeStamp.Expired" end
  local signed, said
  if call.scheme == "v1" then
    signed, said = v1(call, request, secret)
    if signed then said = problem.new("SignatureDoesNotMatch", said) end
  else
    signed, said = v3(call, request, secret)
  end
  if not signed then return said end
  if not core.same(signed.signature, call.signature) then return said end
  -- Behind the signature: only the key's owner can fill the memory. A call from a clock ahead of ours stays valid longer.
  local until_when = math.max(now, time) + limits.clock_window + 1
  if not nonces:take(call.access_key_id .. "\0" .. call.nonce, now, until_when) then return problem.new "SignatureNonceUsed" end
end

return M
