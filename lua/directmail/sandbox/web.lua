--- The inbox over HTTP: pages for people, and JSON for tests in any language.
--
--     GET /                           the inbox              GET /mails    the list as JSON       DELETE /mails
--     GET /mails/ID                   a page                 GET /wait?to=&subject=&timeout=      200 with the mail as JSON, or 408
--     GET /mails/ID/html  /text  /raw  /attachments/N        GET, PUT /faults                     one rule a line
--     POST /mails                     the page's buttons: do=test, do=clear
--
-- Mails are hostile by assumption, and so is every page that the reader's browser has open beside.
-- @module directmail.sandbox.web
local body = require "directmail.sandbox.body"
local core = require "directmail.core"
local faults = require "directmail.sandbox.faults"
local http1 = require "directmail.http1"
local json = require "directmail.sandbox.json"
local limits = require "directmail.data.limits"
local loopback = require "directmail.sandbox.loopback"
local option = require "directmail.option"
local page = require "directmail.sandbox.page"
local read = require "directmail.read"
local single = require "directmail.sandbox.single"

local M = {}

local ON_PAGE = 200             -- mails that one page lists
local MAX_BODY = 65536          -- octets of a request: 100 fault rules of 400

local PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; form-action 'self'; "
  .. "base-uri 'none'; frame-ancestors 'none'"
local NOTHING = "sandbox; default-src 'none'"

-- Fields of a mail in JSON, as in DIR/mail/ID.json; the contents come behind them.
local FIELDS = { "id", "via", "time", "mail_from", "rcpt_to", "user", "tls", "action", "access_key_id", "request_id", "subject" }

local TEST = {
  AddressType = "1", ReplyToAddress = "false", ToAddress = "you@example.com", FromAlias = "Direct Mail",
  Subject = "It works \226\128\147 \230\148\182\229\136\176\228\186\134",
  HtmlBody = '<body style="font: 16px sans-serif"><h1 style="color: #b4480f">It works</h1><p>This mail was made by the sandbox and is kept by the '
    .. "sandbox. <b>Nobody received it.</b></p><p>\232\191\153\229\176\129\233\130\174\228\187\182\230\178\161\230\156\137\231\166\187\229\188\128\232\191"
    .. "\153\229\143\176\230\156\186\229\153\168\227\128\130</p></body>",
  TextBody = "It works.\n\nThis mail was made by the sandbox and is kept by the sandbox. Nobody received it.\n",
}

local function response(status, type, content, policy, more)
  local headers = {
    { "Content-Type", type }, { "Content-Security-Policy", policy }, { "X-Content-Type-Options", "nosniff" },
    { "Cache-Control", "no-store" }, { "Cross-Origin-Resource-Policy", "same-origin" }, { "Cross-Origin-Opener-Policy", "same-origin" },
    -- with "no-referrer" a browser would hide the Origin of our own buttons
    { "Referrer-Policy", "same-origin" }, { "X-DNS-Prefetch-Control", "off" },
  }
  for _, header in ipairs(more or { { "X-Frame-Options", "DENY" } }) do headers[#headers + 1] = header end
  return { status = status, headers = headers, body = content }
end

local function html(status, content) return response(status, "text/html; charset=utf-8", content, PAGE_POLICY) end
local function data(status, content) return response(status, "application/json; charset=utf-8", content, NOTHING) end
local function text(status, content) return response(status, "text/plain; charset=utf-8", content, NOTHING) end

-- What our own pages may frame. The policy's header stays as it is: who may frame it is said beside.
local FRAMED = { { "X-Frame-Options", "SAMEORIGIN" } }

local function failure(status, why)
  return data(status, json.object { { "ok", "false" }, { "code", json.value(why.code) }, { "cause", json.value(why.cause) },
    { "remedy", json.value(why.remedy) } } .. "\n")
end

local function not_found(what) return html(404, page.note("Not found", what)) end

local function summary(mail) return json.fields(mail, FIELDS) end

local function header_json(header) return json.list { header[1], header[2] } end

-- A mail with its contents.
local function whole(mail)
  local flat = {}
  for _, name in ipairs(FIELDS) do flat[name] = mail[name] end
  flat.mail_from, flat.rcpt_to = mail.from, mail.to
  local fields, files = {}, {}
  for i, name in ipairs(FIELDS) do fields[i] = { name, json.value(flat[name]) } end
  for i, part in ipairs(mail.attachments) do
    files[i] = json.object { { "name", json.value(part.name) }, { "type", json.value(part.type) }, { "size", ("%d"):format(#part.data) },
      { "cid", json.value(part.cid) }, { "inline", json.value(part.inline or false) },
      { "url", json.value(("/mails/%s/attachments/%d"):format(mail.id, i)) } }
  end
  fields[#fields + 1] = { "params", json.value(mail.params) }
  fields[#fields + 1] = { "headers", json.list(mail.headers, header_json) }
  fields[#fields + 1] = { "text", json.value(mail.text) }
  fields[#fields + 1] = { "html", json.value(mail.html) }
  fields[#fields + 1] = { "attachments", "[" .. table.concat(files, ",") .. "]" }
  fields[#fields + 1] = { "url", json.value("/mails/" .. mail.id) }
  return json.object(fields)
end

-- ---- pages -----------------------------------------------------------------------

local function inbox(box, request)
  local all, before, mails, older = box.mails:all(), request.args.before, {}, nil
  for i = #all, 1, -1 do
    if not before or all[i].id < before then
      if #mails == ON_PAGE then
        older = mails[ON_PAGE].id
        break
      end
      mails[#mails + 1] = all[i]
    end
  end
  return html(200, page.inbox({ env = box.box.env, urls = box.box.urls, ca = box.box.ca, senders = box.senders, account = box.account,
    rules = box.faults:texts() }, mails, #all, older))
end

-- What the page's buttons ask for; then the inbox again.
local function press(box, request)
  local _, form = request.form()
  local wanted = type(form) == "table" and form["do"]
  if wanted == "clear" then
    box.mails:clear()
  elseif wanted == "test" then
    local params = { AccountName = box.senders.list[1].address }
    for name, value in pairs(TEST) do params[name] = value end
    local ok, why = single.run(box, { own = params, query = {}, access_key_id = box.account.access_key_id })
    if not ok then return html(500, page.note("The test mail was refused", why.words)) end
  else
    return html(400, page.note("Nothing happened", "The form says do=test or do=clear."))
  end
  local found = html(303, page.note("Done", "The inbox shows it."))
  found.headers[#found.headers + 1] = { "Location", "/" }
  return found
end

-- ---- one mail --------------------------------------------------------------------

local views = {}

function views.page(mail)
  mail.shown = function(name) return read.text(mail.headers, name) end
  return html(200, page.mail(mail))
end

function views.html(mail)
  if not mail.html then return not_found("This mail has no HTML.") end
  local content, charset = body.html(mail)
  return response(200, "text/html; charset=" .. charset, content, body.POLICY, FRAMED)
end

function views.text(mail)
  if not mail.text then return not_found("This mail has no text.") end
  return response(200, "text/plain; charset=" .. (mail.text_charset or "utf-8"), mail.text, NOTHING, FRAMED)
end

function views.raw(mail)
  return response(200, "text/plain; charset=utf-8", mail.raw, NOTHING,
    { { "Content-Disposition", ('inline; filename="%s.eml"'):format(mail.id) }, { "X-Frame-Options", "DENY" } })
end

-- A download under its own name (RFC 6266), whatever type the mail gave it: nothing of it is to be opened here.
function views.attachments(mail, n)
  local part = n and n:find("^[1-9]%d?%d?$") and mail.attachments[tonumber(n)]
  if not part then return not_found("This mail has no such attachment.") end
  local name = (part.name or part.cid or "attachment-" .. n):gsub("[%c/\\]", "_")
  local plain = name:gsub("[^%w ._-]", "_")
  return response(200, "application/octet-stream", part.data, NOTHING, { { "X-Frame-Options", "DENY" },
    { "Content-Disposition", ("attachment; filename=\"%s\"; filename*=UTF-8''%s"):format(plain, core.percent(name)) } })
end

local function view(box, segments)
  local what = segments[3] or "page"
  local show = views[what]
  if not show or #segments > (what == "attachments" and 4 or 3) or (what == "page" and segments[3]) then return not_found("There is no such page.") end
  local mail, why = box.mails:open(segments[2])
  if not mail then return not_found(why) end
  return show(mail, segments[4])
end

-- ---- for tests -------------------------------------------------------------------

local function list(box) return data(200, json.list(box.mails:all(), summary) .. "\n") end

local function clear(box)
  box.mails:clear()
  return response(204, "text/plain; charset=utf-8", "", NOTHING)
end

local function wait(box, request)
  local args = request.args
  local wrong = option.unknown(args, { "to", "subject", "timeout" }, "/wait")
  local seconds
  if args.timeout then
    seconds = tonumber(args.timeout:match("^%d+%.?%d*$"))
    if not wrong and not (seconds and seconds <= limits.sandbox_wait) then
      wrong = ("timeout is a number of seconds, 0 to %d"):format(limits.sandbox_wait)
    end
  end
  if wrong then return failure(400, { code = "OPTION", cause = wrong, remedy = "GET /wait?to=ann@example.com&subject=Welcome&timeout=5" }) end
  local function given(name) return args[name] ~= "" and args[name] or nil end
  local mail, why = box.mails:wait { to = given "to", subject = given "subject", timeout = seconds }
  if mail then return data(200, whole(mail) .. "\n") end
  if type(why) == "string" then why = { code = "FILE", cause = why } end
  return failure(408, why)
end

local function rules_text(box)
  local texts = box.faults:texts()
  return text(200, #texts > 0 and table.concat(texts, "\n") .. "\n" or "")
end

local function set_rules(box, request)
  local rules, why = faults.parse_lines(request.body)
  local ok
  if rules then ok, why = box.box:set_faults(rules) end
  if not ok then return text(400, tostring(why) .. "\n") end
  return rules_text(box)
end

local ROUTES = {
  [""] = { GET = inbox }, mails = { GET = list, DELETE = clear, POST = press }, wait = { GET = wait },
  faults = { GET = rules_text, PUT = set_rules },
}

--- Answer one HTTP request.
-- @tparam table box `{host, mails, faults, senders, account, box = the sandbox itself, port}`
-- @tparam table request of `directmail.http1`
-- @treturn table a response of `directmail.http1`
function M.answer(box, request)
  local refused, why = loopback.refuses(request, box.port)
  if refused then return text(refused == "host" and 421 or 403, why .. "\n") end
  local segments, method = request.segments, request.method
  if method == "HEAD" then method = "GET" end
  if segments[1] == "mails" and #segments > 1 then
    if method == "GET" then return view(box, segments) end
    local found = html(405, page.note("Not possible", "A single mail can be looked at only; DELETE /mails removes all."))
    found.headers[#found.headers + 1] = { "Allow", "GET, HEAD" }
    return found
  end
  local route = #segments == 1 and ROUTES[segments[1]]
  if not route then return not_found("There is no such page.") end
  if route[method] then return route[method](box, request) end
  local allowed = {}
  for name in pairs(route) do allowed[#allowed + 1] = name end
  if route.GET then allowed[#allowed + 1] = "HEAD" end
  table.sort(allowed)
  local found = text(405, ("%s is not possible here; %s are\n"):format(method, table.concat(allowed, ", ")))
  found.headers[#found.headers + 1] = { "Allow", table.concat(allowed, ", ") }
  return found
end

--- Serve one connection until it is over, and close it.
-- @tparam table sock connected
-- @tparam table box see `answer`
function M.serve(sock, box)
  http1.serve(sock, function(request) return M.answer(box, request) end, { host = box.host, max_body = MAX_BODY })
end

return M
