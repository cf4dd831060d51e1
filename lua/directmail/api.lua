--- Call an operation of the Direct Mail API: signed, sent, its answer judged.
-- @module directmail.api
local core = require "directmail.core"
local err = require "directmail.err"
local explain = require "directmail.explain"
local json = require "cjson"
local limits = require "directmail.data.limits"
local region = require "directmail.region"
local sign = require "directmail.sign"

local M = {}

local VERSION = "2015-11-23"

local refuse = err.refuse

local LOOPBACK = { ["localhost"] = true, ["127.0.0.1"] = true, ["[::1]"] = true }

--- Where the API is.
-- @tparam table settings `api` (URL), else `region` or `route`
-- @treturn table `{ url=, host="host[:port]", region=id|nil }`, or nil, err
function M.endpoint(settings)
  local found, e = region.of(settings)
  if e then return nil, e end
  if settings.api then
    local scheme, host = settings.api:match "^(https?)://([^/?#@]+)/?$"
    if not scheme then
      return refuse("OPTION", "api", ('api: "%s" is no address of an API'):format(err.printable(settings.api)), "write https://host")
    end
    local name = host:gsub(":%d+$", "")
    if scheme == "http" and not (LOOPBACK[name] or name:find "^127%.%d+%.%d+%.%d+$") then
      return refuse("OPTION", "api", ('api: "%s" would send a signed call in clear text'):format(err.printable(settings.api)),
        "write https://; http goes to this machine only (the sandbox)")
    end
    local id = core.region_of_host(name)
    return { url = ("%s://%s/"):format(scheme, host), host = host, region = id or (found and found.id) }
  end
  if not found then
    return refuse("OPTION", "region", "no region is set",
      "give region (DIRECTMAIL_REGION), such as ap-southeast-1; directmail route helps to choose")
  end
  return { url = ("https://%s/"):format(found.api), host = found.api, region = found.id }
end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- The answer's own wait: x-acs-retry-after in milliseconds, Retry-After in seconds.
local function asked_wait(headers)
  local ms = tonumber(headers["x-acs-retry-after"])
  if ms and ms >= 0 then return ms / 1000 end
  local seconds = tonumber(headers["retry-after"])
  if seconds and seconds >= 0 then return seconds end
end

-- Seconds that our clock is ahead of the service's, from the Date of its answer.
local function skew_of(host, response)
  local date = response.headers.date and core.date_parse(response.headers.date)
  return date and host.now() - date
end

local function object_of(body)
  local ok, answer = pcall(json.decode, body)         -- decoding does not wait
  return ok and type(answer) == "table" and answer or nil
end

local function no_answer(host, failure, where, sends)
  local unknown = failure.sent and sends
  return err.new {
    code = failure.code, detail = failure.detail, outcome = unknown and "unknown" or "not_sent", blame = "network", where = where,
    retry = not unknown and failure.code ~= "TLS" and failure.code ~= "PROTOCOL",
    cause = unknown and "the request left and no whole answer came: " .. failure.words or failure.words,
    remedy = unknown and 'look the recipient up in the console\'s sending records before you send again; on_unknown = "resend" allows a second copy'
      or host.remedy and host.remedy(failure.code, failure.detail, failure.words)
      or failure.code == "TLS" and "for a private CA give ca (DIRECTMAIL_CA); check api (DIRECTMAIL_API) and this machine's clock"
      or failure.code == "DNS" and "check region and api (DIRECTMAIL_API), and this machine's DNS"
      or "check the network, proxy (DIRECTMAIL_PROXY) and api (DIRECTMAIL_API)",
  }
end

-- What an answer that is no success means.
local function judge(host, response, answer, where, sends)
  local status = response.status
  if not (answer and type(answer.Code) == "string") then
    local what = status >= 300 and status < 400 and "the endpoint redirects, which the API never does"
      or status < 300 and "the answer is not the API's JSON" or ("the answer is no answer of the API (HTTP %d)"):format(status)
    if status < 400 or status >= 500 then
      return err.new {
        code = "PROTOCOL", detail = tostring(status), outcome = sends and "unknown" or "not_sent", blame = "network", where = where,
        cause = what, remedy = "check api (DIRECTMAIL_API) and proxies between; look the recipient up before you send again",
      }
    end
  end
  local fields = explain.api_fields({ code = answer and answer.Code, status = status, sending = sends }, host.now())
  fields.detail = answer and answer.Code or tostring(status)
  fields.reply = ("%d %s"):format(status, answer and ("%s %s"):format(answer.Code, tostring(answer.Message or "")) or "")
  fields.request_id = answer and type(answer.RequestId) == "string" and answer.RequestId or response.headers["x-acs-request-id"]
  fields.where = where
  if fields.retry then fields.after = asked_wait(response.headers) or fields.after end
  local skew = fields.code == "CLOCK" and skew_of(host, response)
  if skew then
    fields.cause = ("%s: this machine's clock is %d s %s the service's"):format(fields.cause, math.floor(math.abs(skew) + 0.5),
      skew > 0 and "ahead of" or "behind")
  end
  return err.new(fields), skew
end

--- Call one operation.
-- @tparam table mail the mail object: `host`, `settings`, `record`
-- @tparam string operation "SingleSendMail"
-- @tparam table params name -> value, as `directmail.sign` takes them
-- @tparam table call `{ credentials=, timeout=seconds|nil, sends=true when an unknown outcome must not be repeated }`
-- @treturn table the answer, with `where = {step=, peer=, seconds=}` and `region`; or nil, err
function M.call(mail, operation, params, call)
  local host, settings = mail.host, mail.settings
  local at, e = M.endpoint(settings)
  if not at then return nil, e end
  local keys = call.credentials
  local start = host.tick()
  local function once()
    local request, wrong = sign.request {
      version = "v3", method = "POST", host = at.host, path = "/", form = params, action = operation, api_version = VERSION,
      access_key_id = keys.access_key_id, access_key_secret = keys.access_key_secret, security_token = keys.security_token,
      now = host.now() - (mail.skew or 0), nonce = hex(host.random(16)),
    }
    if not request then return nil, wrong end
    local size = #(request.body or "")
    local timeout = call.timeout or limits.timeout_api_send + size / limits.api_send_octets_a_second
    if mail.record then mail.record(">", ("POST %s %s (%d octets, signed)"):format(at.url, operation, size)) end
    local response, failure = host.http {
      url = at.url, method = request.method, headers = request.headers, body = request.body, ca = settings.ca, proxy = settings.proxy,
      connect_timeout = math.min(limits.timeout_api_connect, timeout), timeout = timeout,
      max_head = limits.http_head_octets, max_body = limits.http_body_octets,
    }
    local where = { step = failure and failure.step or "api", peer = at.host, seconds = host.tick() - start }
    if not response then
      if mail.record then mail.record("*", failure.words) end
      return nil, no_answer(host, failure, where, call.sends)
    end
    if mail.record then mail.record("<", ("%d %s"):format(response.status, response.body)) end
    local answer = object_of(response.body)
    if response.status >= 200 and response.status < 300 and answer and type(answer.RequestId) == "string" and not answer.Code then
      answer.where, answer.region, answer.body = where, at.region, response.body
      return answer
    end
    return nil, judge(host, response, answer, where, call.sends)
  end
  local answer, skew
  answer, e, skew = once()
  if skew and not mail.skew then        -- refused before it was carried out: set our clock right and ask once more
    mail.skew = skew
    answer, e = once()
  end
  return answer, e
end

return M
