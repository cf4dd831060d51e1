--- Stand-ins on loopback for the services that hand out temporary keys, and a host that sees only what a test gives it.
-- @module support.credentials
local cjson = require "cjson"
local credentials = require "directmail.credentials"
local http1 = require "directmail.http1"
local settings = require "directmail.settings"
local std = require "directmail.host.std"

local M = {}

M.HOME = "/home/ann"
M.CONFIG = M.HOME .. "/.aliyun/config.json"
M.ROLE = "acs:ram::1234567890123456:role/mailer"
M.PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"
M.OIDC = { ALIBABA_CLOUD_ROLE_ARN = M.ROLE, ALIBABA_CLOUD_OIDC_PROVIDER_ARN = M.PROVIDER, ALIBABA_CLOUD_OIDC_TOKEN_FILE = "/token" }

-- What no error and no log may show. Every key that a stand-in gives has these in it.
M.SECRETS = { "s3cret", "t0ken", "pr00f" }

--- Fail when a text shows a secret.
function M.clean(text)
  for _, secret in ipairs(M.SECRETS) do assert(not text:find(secret, 1, true), "it shows a secret: " .. text) end
end

--- A service that answers what it is told to, and keeps what it was asked.
-- @tparam function answer of `http1.serve`'s handler
function M.serve(answer)
  local listener = assert(std.listen("127.0.0.1", 0))
  local service = { asked = {}, url = "http://127.0.0.1:" .. listener.port, close = function() listener:close() end }
  std.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      std.spawn(http1.serve, sock, function(request)
        service.asked[#service.asked + 1] = request
        return (service.answer or answer)(request, #service.asked)
      end, { host = std })
    end
  end)
  return service
end

--- An answer of 200 with JSON.
function M.json(value) return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = cjson.encode(value) } end

--- A refusal as the services write it.
function M.refused(code, status)
  return { status = status or 400, body = cjson.encode { Code = code, Message = "you sent s3cret and t0ken", RequestId = "7C3B-E1" } }
end

--- A date as the services write it.
function M.date(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds)) end

--- A key of a service: its n-th, which ends in so many seconds.
function M.key(n, seconds, now)
  return { AccessKeyId = "STS.n" .. n, AccessKeySecret = "s3cret" .. n, SecurityToken = "t0ken" .. n,
    Expiration = M.date((now or std.now()) + (seconds or 3600)) }
end

--- What STS answers.
function M.assumed(...) return M.json { RequestId = "7C3B", Credentials = M.key(...) } end

--- The std host with other surroundings.
-- @tparam table given `env`, `files` by path, `ahead` = seconds that its clock is ahead, `ecs` = the metadata service may be asked,
--   `real` = files that are none of those are read as they are
function M.host(given)
  local host = { logs = {} }
  for name, value in pairs(std) do host[name] = value end
  host.given = given
  function host.env(name)
    local value = given.env and given.env[name]
    if value == nil and name == "HOME" then value = M.HOME end
    -- the machine that tests run on may be an ECS instance: its own role is none of our business
    if value == nil and name == "ALIBABA_CLOUD_ECS_METADATA_DISABLED" and not given.ecs then value = "true" end
    return value ~= "" and value or nil
  end
  function host.read(path, max)
    local text = given.files and given.files[path]
    if not text and given.real then return std.read(path, max) end
    if not text then return nil, "no such file or directory" end
    if #text > max then return nil, ("larger than %d octets"):format(max) end
    return text
  end
  function host.now() return std.now() + (given.ahead or 0) end
  function host.log(level, text)
    M.clean(text)
    host.logs[#host.logs + 1] = { level, text }
  end
  return host
end

--- config.json with these profiles, the first of which is current.
function M.config(...)
  local profiles = { ... }
  for i, entry in ipairs(profiles) do entry.name = entry.name or (i == 1 and "default" or "p" .. i) end
  return cjson.encode { current = profiles[1].name, profiles = profiles }
end

--- Look for a key.
-- @tparam table host
-- @tparam[opt] table options of `directmail.new`
-- @tparam[opt] table how options of `credentials.find`
-- @return key; or nil and the error, which shows no secret
function M.find(host, options, how)
  local values = assert(settings.read(options or {}, host))
  local key, e = credentials.find(values, host, how)
  if e then
    assert(e.code == "CREDENTIALS" and e.outcome == "not_sent" and e.blame == "credentials", tostring(e))
    M.clean(tostring(e))
  end
  return key, e
end

--- Fail unless a text holds some words as they stand.
function M.holds(text, words) assert(text:find(words, 1, true), ("%q is not in: %s"):format(words, text)) end

return M
