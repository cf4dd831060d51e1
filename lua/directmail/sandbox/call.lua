--- Read a call of the API out of an HTTP request, signed as V1 or V3.
-- V1 carries everything in parameters, V3 in headers; the operation's own parameters stand in the query or in a form
-- with both (https://www.alibabacloud.com/help/en/direct-mail/signature and
-- https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature).
-- @module directmail.sandbox.call
local core = require "directmail.core"
local http1 = require "directmail.http1"
local problem = require "directmail.sandbox.problem"

local M = {}

local V1 = { "Action", "Version", "AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp" }
local V3 = { "x-acs-action", "x-acs-version", "x-acs-signature-nonce", "x-acs-date" }

-- What is no parameter of an operation.
local COMMON = { Action = true, Version = true, Format = true, AccessKeyId = true, SecurityToken = true, Signature = true,
  SignatureMethod = true, SignatureVersion = true, SignatureNonce = true, SignatureType = true, Timestamp = true, RegionId = true }

-- Fields into a map; nil and a problem when a name comes twice, of which nobody knows the one that counts.
local function collect(into, list)
  for _, field in ipairs(list) do
    local name, value = field[1], field[2]
    if into[name] ~= nil or not core.utf8(name) or not core.utf8(value) then
      local known = name:find("^[%w.]+$") and name or "in the query or form"
      return nil, problem.new("InvalidParameter", (" It is the parameter %s, which %s."):format(known,
        into[name] ~= nil and "stands there twice" or "is not UTF-8"))
    end
    into[name] = value
  end
  return true
end

-- The form's fields. A body without a type is taken for one, as clients without a library send it.
local function form_of(request)
  if request.body == "" then return {} end
  local list, why
  if request.headers["content-type"] then list, why = request.form() else list, why = http1.decode_form(request.body) end
  if list then return list end
  return nil, problem.new("InvalidParameter", " It is the body: " .. why .. ".")
end

-- What the client can read: V1 says Format, and means XML when it does not; V3 says Accept.
local function format_of(call, request)
  local wanted = call.params.Format
  if wanted then
    local format = wanted:upper()
    if format == "JSON" or format == "XML" then return format end
    return "XML", problem.new "InvalidParameter.Format"
  end
  if call.scheme == "v1" then return "XML" end
  local accept = (request.headers.accept or "*/*"):lower()
  if accept:find("json", 1, true) or accept:find("*/*", 1, true) then return "JSON" end
  if accept:find("xml", 1, true) then return "XML" end
  return "JSON", problem.new "InvalidParameter.Accept"
end

local function read_v1(call)
  local params = call.params
  call.action, call.version, call.access_key_id = params.Action, params.Version, params.AccessKeyId
  call.method, call.method_version = params.SignatureMethod, params.SignatureVersion
  call.nonce, call.time, call.token, call.signature = params.SignatureNonce, params.Timestamp, params.SecurityToken, params.Signature
  for _, name in ipairs(V1) do
    if (params[name] or "") == "" then return problem.missing(name) end
  end
  if (call.signature or "") == "" then return problem.new("IncompleteSignature", " Signature is missing.") end
end

-- Credential, SignedHeaders and Signature of an Authorization header.
local function read_authorization(call, text)
  local method, rest = text:match("^(ACS%d%-[%w-]+)%s+(.*)$")
  local found = {}
  for part in ((rest or "") .. ","):gmatch("%s*([^,]*),") do
    local name, value = part:match("^(%a+)=(.*)$")
    if name then found[name] = value end
  end
  call.method, call.access_key_id, call.signature = method, found.Credential, found.Signature
  call.signed = {}
  for name in (found.SignedHeaders or ""):gmatch("[^;]+") do call.signed[#call.signed + 1] = name end
  for _, name in ipairs { "Credential", "SignedHeaders", "Signature" } do
    if (found[name] or "") == "" then return problem.new("IncompleteSignature", (" Authorization has no %s."):format(name)) end
  end
end

local function read_v3(call, request)
  local headers = request.headers
  call.action, call.version = headers["x-acs-action"] or call.params.Action, headers["x-acs-version"] or call.params.Version
  call.nonce, call.time, call.token = headers["x-acs-signature-nonce"], headers["x-acs-date"], headers["x-acs-security-token"]
  local wrong = read_authorization(call, headers.authorization)
  if wrong then return wrong end
  for i, value in ipairs { call.action or "", call.version or "", call.nonce or "", call.time or "" } do
    if value == "" then return problem.missing(V3[i]) end
  end
end

--- Read a call.
-- @tparam table request of `directmail.http1`
-- @treturn table call `{scheme = "v1"|"v3", format = "JSON"|"XML", action, version, access_key_id, method, method_version, nonce,
-- time, token, signature, signed = {header...}, params = all by name, query = those of the query, own = the operation's}`,
-- as much of it as there is
-- @treturn ?table the problem that ends it here
function M.read(request)
  local call = { params = {}, query = {}, own = {} }
  call.scheme = (request.headers.authorization or ""):find("^ACS%d%-") and "v3" or "v1"
  local wrong, odd
  local form
  form, wrong = form_of(request)
  for _, list in ipairs { request.query, form or {} } do
    local ok, why = collect(call.params, list)
    if not ok then wrong = wrong or why end
  end
  for _, field in ipairs(request.query) do call.query[field[1]] = field[2] end
  for name, value in pairs(call.params) do
    if not COMMON[name] then call.own[name] = value end
  end
  call.format, odd = format_of(call, request)
  wrong = wrong or odd
  if not wrong and request.method ~= "GET" and request.method ~= "POST" then wrong = problem.new "UnsupportedHTTPMethod" end
  if not wrong and request.path ~= "/" then wrong = problem.new "InvalidAction.NotFound" end
  if wrong then return call, wrong end
  if call.scheme == "v3" then return call, read_v3(call, request) end
  return call, read_v1(call)
end

return M
