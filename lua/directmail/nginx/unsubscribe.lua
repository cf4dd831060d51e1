--- The other end of a List-Unsubscribe link (RFC 8058): GET shows a page with a button and changes nothing, since scanners and previews
-- follow links; POST unsubscribes, without cookies, login or questions.
--
--     local bye = require "directmail.nginx".unsubscribe { secret = …, list = mail.store }
-- @module directmail.nginx.unsubscribe
local answer = require "directmail.nginx.answer"
local http1 = require "directmail.http1"
local line = require "directmail.nginx.line"
local mask = require "directmail.mask"
local metrics = require "directmail.nginx.metrics"
local multipart = require "directmail.nginx.multipart"
local option = require "directmail.option"
local page = require "directmail.nginx.page"
local request = require "directmail.nginx.request"
local submission = require "directmail.nginx.submission"
local tokens = require "directmail.unsubscribe"

local M = {}

local OPTIONS = { "name", "secret", "list", "on", "words", "lang", "dict", "log" }
local MAX_BODY = 8192

--- What people read; `words` replaces single ones.
M.WORDS = {
  ask_title = "Unsubscribe?", ask = "No more mail of the list %s will be sent to %s.", button = "Unsubscribe", small = "Nothing has changed yet.",
  done_title = "You are unsubscribed", done = "No more mail of the list %s will be sent to %s.",
  forged_title = "This link is not whole", forged = "Some mail programs cut long links. Please open it again from the mail, or answer to the mail.",
  expired_title = "This link is too old", expired = "Please take the link of a newer mail, or answer to the mail.",
  later_title = "That did not work", later = "It could not be written down now, so you are still subscribed. Please try again in a minute.",
  body_title = "Nothing has changed", body = "This address unsubscribes by its button only.",
}

local function say(self, key, about)
  local text = self.words[key] or M.WORDS[key]
  if not about then return text end
  local list, who = about.list:gsub("%%", "%%%%"), mask.address(about.to):gsub("%%", "%%%%")
  local n = 0
  return (text:gsub("%%s", function()
    n = n + 1
    return n == 1 and list or who
  end))
end

local function show(self, status, key, about, more)
  local fields = { title = say(self, key .. "_title"), text = say(self, key, about), lang = self.lang }
  for name, value in pairs(more or {}) do fields[name] = value end
  metrics.count(self.dict, "directmail_unsubscribes_total", { "result", key })
  answer.write(status, "text/html; charset=utf-8", page.make(fields), { ["X-Robots-Tag"] = "noindex", Allow = status == 405 and "GET, HEAD, POST" or nil,
    ["Retry-After"] = status == 503 and "60" or nil })
end

-- Does the body say what RFC 8058, 3.1 wants it to say? In either of the two forms that it allows.
local function is_one_click()
  local body, kind = request.body(MAX_BODY), ngx.var.http_content_type or ""
  if not body then return false end
  local boundary = multipart.boundary(kind)
  local list = boundary and multipart.read(body, boundary) or not boundary and http1.decode_form(body)
  for _, pair in ipairs(list or {}) do
    if pair[1] == "List-Unsubscribe" and pair[2] == "One-Click" then return true end
  end
  return false
end

local function act(self, about)
  local source = "one-click: " .. about.list
  if self.on then
    -- pcall: the operator's function
    local ran, result, why = pcall(self.on, { to = about.to, list = about.list, source = source })
    if not ran then return nil, result end
    if result == false or result == nil and why ~= nil then return nil, why or "on returned false" end
  end
  if self.list then return self.list:suppress(about.to, "unsubscribed", source) end
  return true
end

local function handle(self)
  local method = ngx.req.get_method()
  local asks = method == "GET" or method == "HEAD"
  if not asks and method ~= "POST" then return show(self, 405, "body") end
  local token = ngx.var.arg_t
  local about, why = tokens.read(self.secrets, token and ngx.unescape_uri(token), self.host.now())
  if not about then return show(self, why == "expired" and 410 or 400, why) end
  if asks then
    return show(self, 200, "ask", about, { button = say(self, "button"), hidden = { "List-Unsubscribe", "One-Click" }, soft = say(self, "small") })
  end
  if not is_one_click() then return show(self, 400, "body") end
  local ok
  ok, why = act(self, about)
  line.write({ event = "unsubscribe", handler = self.name, list = about.list, to = mask.address(about.to), level = not ok and "error" or nil,
    cause = not ok and mask.addresses(tostring(why)):sub(1, 300) or nil }, self.log, true)
  if not ok then return show(self, 503, "later") end
  return show(self, 200, "done", about)
end

--- Make it.
-- @tparam table options `secret` = of `directmail.unsubscribe`, `list` = a store, whose `suppress` is called; `on` = called first with
--   `{ to=, list=, source= }`, may return nil and a reason: then the answer is 503; one of `list` and `on` is needed; `words`, `lang`, `name`, `dict`, `log`
-- @tparam number level where misuse is raised
-- @treturn function to be called in content_by_lua
function M.new(options, level)
  level = level + 1
  option.check(options, OPTIONS, "nginx.unsubscribe", level)
  local self = { name = submission.name(options.name, "unsubscribe", level), secrets = tokens.secrets(options.secret, level), on = options.on,
    lang = options.lang, words = submission.words(options.words, level, M.WORDS), dict = submission.dict(options.dict, level),
    log = options.log, host = require "directmail.host" }
  if options.on ~= nil and type(options.on) ~= "function" then error("on: a function is needed", level) end
  if options.list ~= nil then
    local list, e = require "directmail.store".of(options.list, self.host)
    if not list then error(tostring(e), level) end
    if type(list.suppress) ~= "function" then error("list: a store of directmail.store is needed", level) end
    self.list = list
  end
  if not self.list and not self.on then error("list or on is needed: who unsubscribes must be written down", level) end
  return function() return handle(self) end
end

return M
