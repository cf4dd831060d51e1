--- The webhook to which the service tells what became of mails (EventBridge, or MNS for old accounts).
--
--     local events = require "directmail.nginx".events {
--       secret = os.getenv "HOOK_SECRET", store = mail.store,
--       on = { bounced = function(e) … end, clicked = function(e) … end },
--     }
--
-- It answers 200 after everything is stored and every function has returned; otherwise 503, and the service delivers again. An event that comes
-- again changes nothing. With a store, addresses that bounced for good, complained or unsubscribed are suppressed.
-- @module directmail.nginx.events
local answer = require "directmail.nginx.answer"
local core = require "directmail.core"
local events = require "directmail.events"
local json = require "cjson.safe"
local limits = require "directmail.data.limits"
local line = require "directmail.nginx.line"
local mask = require "directmail.mask"
local metrics = require "directmail.nginx.metrics"
local mns = require "directmail.mns"
local once = require "directmail.nginx.once"
local option = require "directmail.option"
local request = require "directmail.nginx.request"
local submission = require "directmail.nginx.submission"
local unsubscribe = require "directmail.unsubscribe"

local M = {}

local OPTIONS = { "name", "secret", "store", "suppress", "on", "mns", "max_body", "dict", "log" }
local MNS = { "account", "hosts" }
local CERTIFICATE = 86400       -- seconds that the vendor's certificate is kept: a new one has a new URL
local CERTIFICATE_OCTETS = 65536

-- ---- what an event does ----------------------------------------------------------------

local REASON = { complained = "complaint", unsubscribed = "unsubscribed" }

-- What the suppression list learns: true; or nil, why. A success never lifts anything: events come in any order.
local function to_list(self, e)
  local store, now = self.store, self.host.now()
  if not self.suppress or not e.to then return true end
  local at = math.min(e.at or now, now)
  local reason = REASON[e.type] or (e.type == "bounced" and e.suppress == "once" and "bounced")
  if reason then return store:suppress(e.to, reason, "webhook", at) end
  if e.type ~= "subscribed" then return true end
  local known, why = store:suppressed(e.to)
  if known == nil then return nil, why end
  -- who subscribes again takes back his own word, and not what his mailbox says
  if known and known.reason == "unsubscribed" then return store:resubscribe(e.to, "webhook", at) end
  return true
end

local function run_one(self, e)
  local ok, why = to_list(self, e)
  if not ok then return nil, why end
  local fn = self.on[e.type] or self.on.any
  if not fn then return true end
  -- pcall: the operator's function; what it raises, or returns as nil and a reason, makes the service deliver again
  local ran, result, reason = pcall(fn, e)
  if not ran then return nil, result end
  if result == nil and reason ~= nil or result == false then return nil, reason or "the function returned false" end
  return true
end

local function key_of(e) return "event:" .. core.sha256(e.via .. "\n" .. e.id) end

local function complain(self, e, cause)
  line.write({ event = "event", handler = self.name, level = "error", type = e.type, id = e.id, env_id = e.env_id, to = e.to and mask.address(e.to),
    cause = mask.addresses(tostring(cause)):sub(1, 300) }, self.log, true)
end

-- All events of a body: { stored =, duplicates = }; or nil when one could not be stored.
local function take_all(self, list)
  local stored, duplicates, failed = 0, 0, false
  for _, e in ipairs(list) do
    local done, why = once.run(self, key_of(e), function() return run_one(self, e) end)
    if done == nil then
      failed = true
      complain(self, e, why)
    elseif done then
      stored = stored + 1
    else
      duplicates = duplicates + 1
    end
    metrics.count(self.dict, "directmail_events_total", { "type", done == nil and "failed" or done and e.type or "duplicate" })
  end
  if failed then return nil end
  return { ok = true, stored = stored, duplicates = duplicates }
end

-- ---- is it the service? -------------------------------------------------------------------

-- The certificate at a URL: PEM; or nil, why. Fetched by https from a host of the list, so TLS vouches for it.
local function certificate(self, url)
  local known = self.dict:get("mns:" .. url)
  if known then return known end
  local response, why = self.host.http { method = "GET", url = url, timeout = 5, max_body = CERTIFICATE_OCTETS }
  if not response then return nil, why.words end
  if response.status ~= 200 then return nil, "HTTP " .. response.status end
  self.dict:set("mns:" .. url, response.body, CERTIFICATE)
  return response.body
end

-- true; or nil, the status and why.
local function check_mns(self, headers, body)
  if not self.mns then return nil, 403, "a push of MNS came, and the option mns names no account" end
  local url, why = mns.certificate_url(headers["x-mns-signing-cert-url"], self.mns.hosts)
  if not url then return nil, 403, why end
  local pem
  pem, why = certificate(self, url)
  if not pem then return nil, 503, "the certificate of MNS cannot be fetched: " .. tostring(why) end
  local ok
  ok, why = mns.check({ method = "POST", target = ngx.var.request_uri, headers = headers, body = body },
    { certificate = pem, account = self.mns.account, md5 = ngx.md5_bin(body), now = self.host.now() })
  if not ok then return nil, 403, why end
  return true
end

local function has_secret(self, headers)
  -- EventBridge's own header for a token of the user's; what other senders use; and the URL, since MNS can bring nothing else
  local token, bearer, in_url = headers["x-eventbridge-signature-token"], request.bearer(headers.authorization), ngx.var.arg_secret
  local first = request.is_secret(token, self.secrets)
  local second = request.is_secret(bearer, self.secrets)
  local third = request.is_secret(in_url and ngx.unescape_uri(in_url), self.secrets)
  return first or second or third
end

-- ---- the handler ------------------------------------------------------------------------

local function reply(self, status, object, why)
  if why then
    line.write({ event = "webhook", handler = self.name, level = "error", status = status, cause = mask.addresses(why):sub(1, 300) }, self.log, true)
  end
  metrics.count(self.dict, "directmail_requests_total", { "handler", self.name, "result", tostring(status) })
  local headers = {}
  if status == 405 then headers.Allow = "POST" end
  if status == 503 then headers["Retry-After"] = "10" end
  answer.write(status, "application/json; charset=utf-8", json.encode(object) .. "\n", headers)
end

local function refuse(self, status, code, why) return reply(self, status, { ok = false, code = code }, why) end

local function handle(self)
  if ngx.req.get_method() ~= "POST" then return refuse(self, 405, "METHOD") end
  local headers = request.headers()
  if not has_secret(self, headers) then return refuse(self, 401, "SECRET", "the secret is missing or another") end
  local body, why = request.body(self.max)
  if not body then return refuse(self, why == "SIZE" and 413 or 400, why, "the body is too large, or cannot be read") end
  if headers["x-mns-version"] or headers["x-mns-signing-cert-url"] then
    local ok, status, words = check_mns(self, headers, body)
    if not ok then return refuse(self, status, "SIGNATURE", words) end
  end
  local list
  list, why = events.read(body, headers["x-mns-message-id"])
  if not list then return refuse(self, 400, "BODY", "the body was not understood: " .. why) end
  local result = take_all(self, list)
  if not result then return refuse(self, 503, "LATER") end
  return reply(self, 200, result)
end

--- Make it.
-- @tparam table options `secret` (needed), `store` = of `directmail.store` (or its URL), `suppress` = false: do not touch its suppression list,
--   `on` = functions by event type (`any` for all others), `mns` = `{ account =, hosts = }`, `max_body`, `name`, `dict`, `log`
-- @tparam number level where misuse is raised
-- @treturn function to be called in content_by_lua
function M.new(options, level)
  level = level + 1
  option.check(options, OPTIONS, "nginx.events", level)
  local host = require "directmail.host"
  local self = { name = submission.name(options.name, "events", level), secrets = unsubscribe.secrets(options.secret, level),
    dict = submission.dict(options.dict, level), on = options.on or {}, mns = options.mns, log = options.log, host = host,
    max = options.max_body or limits.event_octets }
  local known = { "any", unpack(events.TYPES) }
  option.check(self.on, known, "on", level)
  for name, fn in pairs(self.on) do
    if type(fn) ~= "function" then error(("on.%s: a function is needed"):format(name), level) end
  end
  if self.mns then
    option.check(self.mns, MNS, "mns", level)
    if type(self.mns.account) ~= "string" or not self.mns.account:find "^%d+$" then
      error("mns.account: the id of the account whose topic pushes, as a string of digits: MNS signs for every customer", level)
    end
  end
  if options.store ~= nil then
    local store, e = require "directmail.store".of(options.store, host)
    if not store then error(tostring(e), level) end
    self.store = store
  end
  self.suppress = self.store ~= nil and options.suppress ~= false
  if not self.store and next(self.on) == nil then error("store or on is needed: without both every event would be answered and forgotten", level) end
  return function() return handle(self) end
end

return M
