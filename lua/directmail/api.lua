--- Call an operation of the Direct Mail API: signed, sent, its answer judged.
-- @module directmail.api
local core = require "directmail.core"
local err = require "directmail.err"
local explain = require "directmail.explain"
local json = require "cjson"
local limits = require "directmail.data.limits"
local region = require "directmail.region"
local retry = require "directmail.retry"
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

-- Seconds that our clock is ahead of the service's, from the Date of its answer.
local function skew_of(host, response)
  local date = response.headers.date and core.date_parse(response.headers.date)
  return date and host.now() - date
end

local function object_of(body)
  local ok, answer = pcall(json.decode, body)         -- decoding does not wait
  return ok and type(answer) == "table" and answer or nil
end

-- What a call is about, in words, when nobody knows whether it was carried out.
local function settle(call)
  if call.mails then
    return 'look the recipient up before you send again (directmail trace --to ADDR, or mail:resolve(err), some minutes later); '
      .. 'on_unknown = "resend" allows a second copy'
  end
  if call.repeats == "safe" then return "call it again: a repeat is safe" end
  return ("%s tells whether it was done; call it again only when it was not"):format(call.look and "mail.api." .. call.look or "the console")
end

local function no_answer(host, failure, where, call)
  local unknown = failure.sent and call.sends
  return err.new {
    code = failure.code, detail = failure.detail, outcome = unknown and "unknown" or "not_sent", blame = "network", where = where,
    retry = unknown and call.repeats == "safe" or not unknown and failure.code ~= "TLS" and failure.code ~= "PROTOCOL",
    cause = unknown and "the request left and no whole answer came: " .. failure.words or failure.words,
    remedy = unknown and settle(call)
      or host.remedy and host.remedy(failure.code, failure.detail, failure.words)
      or failure.code == "TLS" and "for a private CA give ca (DIRECTMAIL_CA); check api (DIRECTMAIL_API) and this machine's clock"
      or failure.code == "DNS" and "check region and api (DIRECTMAIL_API), and this machine's DNS"
      or "check the network, proxy (DIRECTMAIL_PROXY) and api (DIRECTMAIL_API)",
  }
end

-- The right that the answer names, or the operation's own.
local function missing_right(answer, operation)
  local denied = type(answer.AccessDeniedDetail) == "table" and answer.AccessDeniedDetail.AuthAction
  return type(denied) == "string" and denied:match "^[%w-]+:[%w*]+$" or "dm:" .. operation
end

local NO_RIGHT = { nopermission = true, ["forbidden.ram"] = true }

-- The service prints what it signed: the first place where that differs from what we signed tells why.
local function explain_signature(fields, response, signed)
  local explained = require "directmail.sign.explain"
  local why = explained.compare(response.body, explained.strings(signed.request), signed.secret)
  if why then fields.cause, fields.remedy = why.cause, why.remedy end
end

-- What an answer that is no success means; and hints for whoever may repeat the call. `signed` = { request =, secret = }.
local function judge(host, response, answer, where, operation, call, signed)
  local status = response.status
  local hints = { asked = retry.asked(response.headers, host.now(), core.date_parse) }
  if not (answer and type(answer.Code) == "string") then
    local what = status >= 300 and status < 400 and "the endpoint redirects, which the API never does"
      or status < 300 and "the answer is not the API's JSON" or ("the answer is no answer of the API (HTTP %d)"):format(status)
    if status < 400 or status >= 500 then
      hints.garbled = status < 300 or status >= 500
      return err.new {
        code = "PROTOCOL", detail = tostring(status), outcome = call.sends and "unknown" or "not_sent", blame = "network", where = where,
        retry = call.sends and call.repeats == "safe" or false,
        cause = what, remedy = "check api (DIRECTMAIL_API) and proxies between" .. (call.mails and "; look the recipient up before you send again"
          or call.sends and "; " .. settle(call) or ""),
      }, hints
    end
  end
  local code = answer and answer.Code
  local fields = explain.api_fields({ code = code, status = status, sending = call.sends }, host.now())
  hints.passing = explain.api({ code = code, status = status }).retry == "backoff"
  fields.detail = code or tostring(status)
  fields.reply = ("%d %s"):format(status, answer and ("%s %s"):format(answer.Code, tostring(answer.Message or "")) or "")
  fields.request_id = answer and type(answer.RequestId) == "string" and answer.RequestId or response.headers["x-acs-request-id"]
  fields.where = where
  if fields.retry then fields.after = hints.asked or fields.after end
  if fields.outcome == "unknown" and not call.mails then
    fields.retry, fields.remedy = call.repeats == "safe", settle(call)
  end
  if code and NO_RIGHT[code:lower()] then
    local right = missing_right(answer, operation)
    fields.cause = ("%s: the right %s is missing"):format(fields.cause, right)
    fields.remedy = ("allow %s in a RAM policy (directmail api --policy %s prints one), or give a key that may"):format(right, operation)
  end
  if fields.code == "SIGNATURE" then explain_signature(fields, response, signed) end
  if fields.code == "CLOCK" then hints.skew = skew_of(host, response) end
  if hints.skew then
    fields.cause = ("%s: this machine's clock is %d s %s the service's"):format(fields.cause, math.floor(math.abs(hints.skew) + 0.5),
      hints.skew > 0 and "ahead of" or "behind")
  end
  return err.new(fields), hints
end

-- One request. An answer; or nil, err, and hints for whoever may repeat it.
local function request_once(mail, at, operation, params, call, keys, start, left)
  local host, settings = mail.host, mail.settings
  local request, wrong = sign.request {
    version = "v3", method = "POST", host = at.host, path = "/", form = params, action = operation, api_version = VERSION,
    access_key_id = keys.access_key_id, access_key_secret = keys.access_key_secret, security_token = keys.security_token,
    now = host.now() - (mail.skew or 0), nonce = hex(host.random(16)),
  }
  if not request then return nil, wrong, {} end
  local size = #(request.body or "")
  local timeout = call.patience or limits.timeout_api_send + size / limits.api_send_octets_a_second
  -- who repeats keeps time for it; who asks once waits as long as he may
  if left then timeout = call.repeats and math.min(timeout, left) or left end
  if mail.record then mail.record(">", ("POST %s %s (%d octets, signed)"):format(at.url, operation, size)) end
  local response, failure = host.http {
    url = at.url, method = request.method, headers = request.headers, body = request.body, ca = settings.ca, proxy = settings.proxy,
    connect_timeout = math.min(limits.timeout_api_connect, timeout), timeout = timeout,
    max_head = limits.http_head_octets, max_body = limits.http_body_octets,
  }
  local where = { step = failure and failure.step or "api", peer = at.host, seconds = host.tick() - start }
  if not response then
    if mail.record then mail.record("*", failure.words) end
    return nil, no_answer(host, failure, where, call), { passing = not failure.sent, garbled = failure.sent }
  end
  if mail.record then mail.record("<", ("%d %s"):format(response.status, response.body)) end
  local answer = object_of(response.body)
  if response.status >= 200 and response.status < 300 and answer and type(answer.RequestId) == "string"
    and (not answer.Code or answer.Success == true) then
    answer.where, answer.region, answer.body = where, at.region, response.body
    return answer
  end
  return nil, judge(host, response, answer, where, operation, call, { request = request, secret = keys.access_key_secret })
end

-- What can be set right after a refusal; each at most once a call. Returns true when there is a reason to ask again.
local function corrected(mail, e, hints, call, done)
  if hints.skew and not mail.skew then          -- refused before it was carried out: set our clock right and ask once more
    mail.skew = hints.skew
    return true
  end
  if e.detail == "InvalidSecurityToken.Expired" and not done.keys then
    done.keys = true
    local keys = require "directmail.credentials".find(mail.settings, mail.host, { refused = call.credentials })
    if keys and keys.security_token ~= call.credentials.security_token then
      done.credentials = keys
      return true
    end
  -- Our nonces are random: somebody on the way repeats requests, and the first may have been carried out.
  elseif e.detail == "SignatureNonceUsed" and call.repeats == "safe" and not done.nonce then
    done.nonce = true
    return true
  end
  return false
end

-- May the call be repeated after this? Only when it is proven that nothing happened, or when a repeat is safe.
local function repeatable(e, hints, call)
  if e.outcome ~= "unknown" and e.retry and hints.passing then return true end
  return call.repeats == "safe" and (e.outcome == "unknown" or hints.garbled or hints.passing) and e.code ~= "TLS"
end

--- Call one operation.
-- @tparam table mail the mail object: `host`, `settings`, `record`
-- @tparam string operation "SingleSendMail"
-- @tparam table params name -> value, as `directmail.sign` takes them
-- @tparam table call `{ credentials=, timeout = seconds for everything|nil, patience = seconds for one answer|nil,
--   sends = true when its outcome may be unknown, mails = true when that is a mail, look = operation that tells afterwards,
--   repeats = nil (never) | "proven" (when nothing happened) | "safe" (after an unknown outcome too),
--   done = { code = true: what a repeat is told when the first worked }, minute = true when its rate is one a minute }`
-- @treturn table the answer, with `where = {step=, peer=, seconds=}`, `region` and `body`, its text; or nil, err
function M.call(mail, operation, params, call)
  local host = mail.host
  local at, e = M.endpoint(mail.settings)
  if not at then return nil, e end
  mail.budget = mail.budget or retry.budget()
  local start = host.tick()
  local deadline = call.timeout and start + call.timeout
  local n, doubtful, done = 0, false, {}
  while true do
    n = n + 1
    mail.budget:count(host.tick(), n > 1)
    local answer, why, hints = request_once(mail, at, operation, params, call, done.credentials or call.credentials, start,
      deadline and math.max(deadline - host.tick(), 0.001))
    if answer then return answer end
    if doubtful and why.outcome == "refused" and call.done and call.done[why.detail] then
      return { RequestId = why.request_id, where = why.where, region = at.region, repeated = true,
        body = json.encode { RequestId = why.request_id } }
    end
    if not corrected(mail, why, hints, call, done) then
      if not call.repeats or n >= limits.api_attempts or not repeatable(why, hints, call) or not mail.budget:allows(host.tick()) then
        return nil, why
      end
      local throttled = why.code == "THROTTLED"
      local pause = retry.pause(n, hints.asked or throttled and call.minute and limits.rate_batch_seconds or nil, throttled, host.random)
      if pause > (deadline and deadline - host.tick() or limits.api_pause_max) then return nil, why end
      doubtful = doubtful or why.outcome == "unknown" or hints.garbled or false
      host.sleep(pause)
    end
  end
end

-- ---- mail.api -----------------------------------------------------------------

local OPTIONS = { "timeout" }

-- What kind of call the catalogue makes of an operation; of one that it does not know the most careful.
local function plan(operation, wire, options, settings)
  local call = { timeout = options.timeout or settings.timeout, sends = true, mails = false, repeats = "proven" }
  if not operation then return call end
  call.look, call.mails, call.minute = operation.look, operation.sends == "mail", operation.rate == "batch"
  if operation.retry then call.repeats = "safe" end
  if operation.kind == "read" then
    call.sends, call.patience = false, limits.timeout_api_read
    for _, field in ipairs(operation.params) do       -- the service itself may take this long
      if field.name == "Timeout" then call.patience = call.patience + (tonumber(wire.Timeout or field.default) or 0) end
    end
  end
  if operation.done then
    call.done = {}
    for _, code in ipairs(operation.done) do call.done[code] = true end
  end
  return call
end

-- Rates are the service's own: others have none (design, section 3).
local function keep_pace(mail, operation, at)
  local real = core.region_of_host(at.host)
  if not operation or not operation.rate or not real then return end
  mail.pace:take(operation.rate == "batch" and real == "cn-hangzhou" and "batch_mainland" or operation.rate)
end

-- A program that is not to reach everybody must not reach them through the raw call either.
local function guarded(mail, name, operation)
  if not operation or operation.sends ~= "mail" then return nil end
  for _, setting in ipairs { "redirect", "only" } do
    if mail.settings[setting] then
      local _, e = refuse("OPTION", setting, ("%s is set (from %s), and %s by itself would pass it by"):format(setting, mail.settings.from[setting], name),
        "send with mail:send, which keeps to it, or unset " .. setting)
      return e
    end
  end
end

local function perform(mail, name, operation, wire, options)
  local ready, e = require "directmail.mail".ready(mail.host)
  if not ready then return nil, e end
  e = guarded(mail, name, operation)
  if e then return nil, e end
  local at
  at, e = M.endpoint(mail.settings)
  if not at then return nil, e end
  local call = plan(operation, wire, options, mail.settings)
  call.credentials, e = require "directmail.credentials".find(mail.settings, mail.host)
  if not call.credentials then return nil, e end
  keep_pace(mail, operation, at)
  return M.call(mail, name, wire, call)
end

local function check_arguments(what, params, options, level)
  if params ~= nil and type(params) ~= "table" then
    error(("bad argument to %s (table of parameters expected, got %s)"):format(what, type(params)), level + 1)
  end
  if options ~= nil then require "directmail.option".check(options, OPTIONS, what, level + 1) end
end

--- `mail.api.<Operation>(params, options)`: checked, signed, sent, repeated where that is safe.
-- @function Operation
-- @tparam[opt] table params by the API's names; objects and lists as tables
-- @tparam[opt] table options `timeout`: seconds for the call with its repeats
-- @treturn table the service's answer; or nil, err (OPTION lists every fault of the parameters)
local function operation_call(mail, name)
  local catalogue = require "directmail.catalogue"
  local operation = catalogue.find(name)
  return function(params, options)
    check_arguments("mail.api." .. name, params, options, 2)
    local wire, faults = catalogue.check(operation, params or {}, mail.host.now())
    if #faults > 0 then return nil, catalogue.error(name, faults) end
    return perform(mail, name, operation, wire, options or {})
  end
end

--- `mail.api.call(name, params, options)`: an operation that the catalogue does not know, or parameters that it does not know.
-- Nothing is checked. What the catalogue knows of the operation decides whether it may be repeated.
-- @function call
-- @treturn table the service's answer; or nil, err
local function raw_call(mail)
  return function(name, params, options)
    if type(name) ~= "string" or not name:find "^%a%w*$" then
      error("bad argument #1 to mail.api.call (the name of an operation expected)", 2)
    end
    check_arguments("mail.api.call", params, options, 2)
    return perform(mail, name, require "directmail.catalogue".find(name), params or {}, options or {})
  end
end

--- `mail.api.each(name, params, options)`: every entry of every page.
-- @function each
-- @tparam string name an operation that lists
-- @return an iterator of entries; when a page cannot be had, `false, err` is the last
local function each_call(mail)
  return function(name, params, options)
    check_arguments("mail.api.each", params, options, 2)
    local ask = mail.api[name]
    local following = require "directmail.pages".each(name, params or {}, function(page) return ask(page, options) end, 2)
    return following            -- no tail call: the caller's line would be lost
  end
end

--- What `mail.api[name]` is.
-- @tparam table mail the mail object
-- @tparam string name an operation, `call` or `each`
-- @tparam number level where an unknown name is raised
-- @treturn function
function M.bind(mail, name, level)
  if name == "call" then return raw_call(mail) end
  if name == "each" then return each_call(mail) end
  local catalogue = require "directmail.catalogue"
  if type(name) == "string" and catalogue.brief(name) then return operation_call(mail, name) end
  local near = type(name) == "string" and catalogue.nearest(name)
  error(('unknown operation "%s" in mail.api%s; mail.api.call(name, params) sends one that is newer than this program'):format(
    err.printable(tostring(name)), near and (' (did you mean "%s"?)'):format(near) or ""), level)
end

return M
