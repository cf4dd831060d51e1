--- One request to a service that hands out temporary keys.
-- In clear text only to this machine and its link; redirects are answers that are not followed; an answer has an end and a
-- deadline. Nothing of a request or an answer is recorded, and no error shows more of an address than its host.
-- @module directmail.credentials.ask
local core = require "directmail.core"
local err = require "directmail.err"
local json = require "cjson.safe"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"

local M = {}

--- The metadata service of every ECS instance. Its address is within 100.64.0.0/10, which no router of the internet carries (RFC 6598).
M.METADATA = "http://100.100.100.200"

-- An address that cannot be elsewhere: loopback (127.0.0.0/8, ::1) or link-local (169.254.0.0/16, RFC 3927; fe80::/10, RFC 4291).
local function is_near(host)
  if host == "localhost" or host == "[::1]" then return true end
  local a, b, c, d = host:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
  if a then
    for _, part in ipairs { a, b, c, d } do
      if #part > 3 or tonumber(part) > 255 then return false end
    end
    return a == "127" or a == "169" and b == "254"
  end
  return host:lower():find "^%[fe[89ab]%x:[%x:]+%]$" ~= nil
end

--- Look at an address before it is asked.
-- @tparam string url
-- @treturn[1] table `{ host = "name[:port]", shown = without path and query, near = this machine or its link }`
-- @treturn[2] nil
-- @treturn[2] string why it may not be asked
function M.address(url)
  local scheme, authority, rest = url:match "^(%a+)://([^/?#]*)(.*)$"
  scheme = scheme and scheme:lower()
  if scheme ~= "http" and scheme ~= "https" then return nil, "the address is no URL of HTTP" end
  if rest:find "[^!$-;=?-Z_a-z~%[%]]" then return nil, "the path of the address is not well percent-encoded" end
  local host, port = authority:match "^(%[[%x:.]+%]):?(%d*)$"
  if not host then host, port = authority:match "^([%w._-]+):?(%d*)$" end
  if not host or (port ~= "" and (tonumber(port) < 1 or tonumber(port) > 65535)) or authority:find ":$" then
    return nil, "the address has no host that can be used"       -- a user's name in it is refused here as well
  end
  local shown = ("%s://%s"):format(scheme, authority)
  local near = is_near(host)
  if scheme == "http" and not near and shown ~= M.METADATA then
    return nil, shown .. ": a key would come in clear text; http:// goes to this machine or its link only"
  end
  return { host = authority, shown = shown, near = near or shown == M.METADATA }
end

--- Ask.
-- @tparam table context `values` (`ca`, `proxy`) and `host`
-- @tparam table request `url`, `method`, `headers`, `body`, `connect` = seconds until the connection stands
-- @treturn[1] table response of `host.http`, `shown` = the service's address, `date` = what its clock says, or nil
-- @treturn[2] nil
-- @treturn[2] string why
-- @treturn[2] boolean true: it may work later
-- @treturn[2] boolean true: no connection was made
function M.send(context, request)
  local at, why = M.address(request.url)
  if not at then return nil, why, false, true end
  local call = {
    url = request.url, method = request.method, headers = request.headers, body = request.body,
    connect_timeout = request.connect or limits.credentials_seconds, timeout = limits.credentials_seconds,
    max_head = limits.credentials_octets, max_body = limits.credentials_octets,
    ca = not request.url:find "^http:" and context.values.ca or nil,
    proxy = not at.near and context.values.proxy or nil,        -- what is here is not behind a proxy
  }
  local response, failure = context.host.http(call)
  -- a kept connection may have died meanwhile; asking for a key twice does no harm
  if not response and failure.code == "LOST" then response, failure = context.host.http(call) end
  if not response then
    return nil, ("%s: %s"):format(at.shown, err.printable(failure.words)), failure.code ~= "TLS" and failure.code ~= "PROTOCOL",
      failure.step == "connect"
  end
  response.shown = at.shown
  response.date = response.headers.date and core.date_parse(response.headers.date) or nil
  return response
end

--- What a status says that is no success.
-- @tparam table response
-- @treturn string
-- @treturn boolean true: it may work later
function M.refusal(response)
  local status = response.status
  if status >= 300 and status < 400 then return ("%s redirects (HTTP %d), and that is not followed"):format(response.shown, status), false end
  return ("%s answers HTTP %d"):format(response.shown, status), status == 429 or status >= 500
end

--- The JSON object of an answer.
-- @tparam table response
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string why not; shows nothing of the answer, which may hold half a key
function M.object(response)
  local answer = json.decode(response.body)
  if type(answer) == "table" then return answer end
  return nil, ("%s answers %s"):format(response.shown, response.body:find "^%s*<" and "a page instead of JSON" or "what is no JSON, or half of it")
end

--- The key in an answer of STS, of the metadata service or of a credentials server.
-- @tparam table answer
-- @tparam string shown who answered, in words
-- @tparam boolean lasting an answer without Expiration is fine
-- @treturn[1] table `{ access_key_id, access_key_secret, security_token, ends = seconds since 1970 as that clock counts, or nil }`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.key(answer, shown, lasting)
  local parts = {}
  for part, name in pairs { access_key_id = "AccessKeyId", access_key_secret = "AccessKeySecret", security_token = "SecurityToken" } do
    local value = answer[name]
    if type(value) ~= "string" or value == "" then return nil, ("%s answers without %s"):format(shown, name) end
    parts[part] = value
  end
  local date = answer.Expiration
  if date == json.null or date == "" then date = nil end
  parts.ends = key.seconds(date)
  if not parts.ends and not (lasting and date == nil) then
    return nil, ("%s answers %s"):format(shown, date == nil and "without Expiration" or "with an Expiration that is no date")
  end
  return parts
end

return M
