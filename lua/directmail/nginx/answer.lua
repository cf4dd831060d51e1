--- What a handler answers: one result, as JSON for programs and as a page for people.
-- @module directmail.nginx.answer
local json = require "cjson.safe"
local page = require "directmail.nginx.page"

local M = {}

--- Titles and texts by a result's code; `words` of a handler replaces single ones.
M.WORDS = {
  sent_title = "Thank you", sent = "Your message has been sent.", queued = "Your message is on its way.",
  invalid_title = "Please check what you wrote", invalid = "Go back, correct this, and send it again:",
  failed_title = "That did not work", recipient = "This address does not take mail. Please check it.",
  later = "The message could not be sent now. Please try again later.",
  unknown = "It is not known whether your message was sent. Please do not send it again at once.",
  busy = "Too much is going on here just now. Please try again in a moment.", limited = "That was too often. Please try again later.",
  origin = "This form was sent from somewhere else. Please open our page and send it from there.",
  method = "This address takes forms by POST only.", type = "The form was sent in a way that is not understood here.",
  size = "What you sent is too large.", body = "What you sent cannot be read.", secret = "This address needs a secret.",
  key = "This Idempotency-Key belongs to another message.",
  internal = "Something is wrong on our side. Please try again later.",
}

local STATUS = {
  SENT = 200, QUEUED = 202, INVALID = 422, RECIPIENT = 422, KEY = 422, LATER = 503, FAILED = 502, UNKNOWN = 502, BUSY = 503, LIMITED = 429, ORIGIN = 403,
  METHOD = 405, TYPE = 415, SIZE = 413, BODY = 400, SECRET = 401, INTERNAL = 500,
}
local TEXT = { FAILED = "later" }
local DONE = { SENT = true, QUEUED = true }

--- Does the client want JSON?
-- @tparam ?string accept its header Accept
-- @tparam boolean default when the header names neither
-- @treturn boolean
function M.wants_json(accept, default)
  local low = (accept or ""):lower()
  local html, data = low:find("text/html", 1, true), low:find("application/json", 1, true)
  if html and data then return data < html end
  if html or data then return data ~= nil end
  return default
end

--- What a result says, before it is written: the pure part.
-- @tparam table result `code` (a key of STATUS: SENT, QUEUED, INVALID …), `faults`, `id`, `outcome`, `after` = seconds
-- @tparam table look `words`, `lang`
-- @tparam boolean as_json
-- @treturn number status
-- @treturn string body
function M.build(result, look, as_json)
  local words, code = look.words or {}, result.code
  local function say(key) return words[key] or M.WORDS[key] end
  local text = say(TEXT[code] or code:lower())
  local faults = result.faults or {}
  if as_json then
    local object = DONE[code] and { ok = true, outcome = result.outcome, id = result.id } or { ok = false, code = code, message = text, after = result.after }
    if #faults > 0 then object.fields = faults end
    return STATUS[code], json.encode(object) .. "\n"
  end
  local lines = {}
  for i, fault in ipairs(faults) do lines[i] = (fault.label or fault.field) .. ": " .. fault.message end
  local title = DONE[code] and "sent_title" or code == "INVALID" and "invalid_title" or "failed_title"
  return STATUS[code], page.make { title = say(title), text = text, list = lines, lang = look.lang }
end

local POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

--- Write an answer of any handler.
-- @tparam number status
-- @tparam string type of its content
-- @tparam string body
-- @tparam[opt] table headers more of them, by name
function M.write(status, type, body, headers)
  ngx.status = status
  ngx.header["Content-Type"] = type
  ngx.header["Cache-Control"] = "no-store"
  ngx.header["X-Content-Type-Options"] = "nosniff"
  ngx.header["Content-Security-Policy"] = POLICY
  ngx.header["Referrer-Policy"] = "no-referrer"
  for name, value in pairs(headers or {}) do ngx.header[name] = value end
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

--- Write a result: as JSON or as a page, by what the client accepts; a page of success may be a redirect.
-- @tparam table result as of `build`
-- @tparam table look `words`, `lang`, `done` = where to go after success, `json` = when the client does not say
function M.send(result, look)
  local as_json = M.wants_json(ngx.var.http_accept, look.json)
  local status, body = M.build(result, look, as_json)
  local headers = {}
  if result.after then headers["Retry-After"] = ("%d"):format(math.max(1, math.ceil(result.after))) end
  if result.code == "METHOD" then headers.Allow = "POST" end
  if result.code == "SECRET" then headers["WWW-Authenticate"] = "Bearer" end
  if DONE[result.code] and look.done and not as_json then
    status, body, headers.Location = 303, "", look.done        -- 303: reloading the next page does not send the form again
  end
  M.write(status, as_json and "application/json; charset=utf-8" or "text/html; charset=utf-8", body, headers)
end

return M
