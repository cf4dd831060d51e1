--- One list of cases for all homes: what a program asks of directmail, and what it must be told, wherever it runs.
-- Each case is tried in nginx, LuaJIT and Lua 5.4 against the same sandbox (tests/nginx/cases_test.lua); `expect` names what matters of the
-- answer, and the whole answers must be the same in all of them.
-- @module homes.cases
local M = {}

local function mail(fields)
  fields.to, fields.subject = fields.to or "ann@example.com", fields.subject or "Hello"
  if not fields.html then fields.text = fields.text or "Hi Ann" end
  return fields
end

local ROWS = {}
for i = 1, 12 do
  ROWS[i] = mail { to = ("n%d@example.com"):format(i) }
end
ROWS[4].to, ROWS[7].to, ROWS[9].subject = "invalid@sandbox.example", "nobody", "two\nlines"

-- `faults` of the sandbox; `options` of directmail.new (`smtp = "NAME"` is a port that the test knows); `fields` of mail:send; or `run`, a function
-- (directmail, mail) that returns what is compared; `home` = fields in which homes may differ, with the reason
M.list = {
  { name = "a mail by SMTP: STARTTLS and AUTH", options = { via = "smtp" }, fields = mail {},
    expect = { outcome = "sent", via = "smtp", accepted = { "ann@example.com" } } },
  { name = "a mail by SMTP inside TLS", options = { smtp = "smtps" }, fields = mail {}, expect = { outcome = "sent", via = "smtp" } },
  { name = "a mail by the API", options = { via = "api" }, fields = mail {}, expect = { outcome = "sent", via = "api" } },
  { name = "auto takes the API", options = {}, fields = mail { html = "<p>Hi</p>", text = "Hi" }, expect = { outcome = "sent", via = "api" } },
  { name = "auto takes SMTP for an attachment, and says why", options = {},
    fields = mail { attachments = { { name = "报告.csv", data = "a,b\r\n1,2\r\n" }, { name = "0.bin", data = "\0\1\2\255" } } },
    expect = { outcome = "sent", via = "smtp", reason = true } },
  { name = "text, HTML and an image in it", options = { via = "smtp" },
    fields = mail { text = "Grüße", html = '<p>Grüße <img src="cid:logo"></p>', attachments = { { name = "logo.png", data = "\137PNG", cid = "logo" } } },
    expect = { outcome = "sent" } },
  { name = "one of several recipients is refused", options = { via = "smtp" },
    fields = mail { to = { "ann@example.com", "invalid@sandbox.example" }, cc = "bob@example.com" },
    expect = { outcome = "sent", accepted = { "ann@example.com", "bob@example.com" } } },
  { name = "all recipients are refused", options = { via = "smtp" }, fields = mail { to = "invalid@sandbox.example" },
    expect = { code = "REFUSED", outcome = "refused", detail = "559", retry = false } },
  { name = "a recipient is refused for now", options = { via = "smtp" }, fields = mail { to = "defer@sandbox.example" },
    expect = { outcome = "refused", detail = "450", retry = true } },
  { name = "a mailbox is full", options = { via = "smtp" }, fields = mail { to = "full@sandbox.example" },
    expect = { outcome = "refused", detail = "552" } },
  { name = "the login is refused", faults = { "auth:526" }, options = { via = "smtp" }, fields = mail {},
    expect = { code = "AUTH", outcome = "refused", detail = "526" } },
  { name = "the server is busy", faults = { "banner:421" }, options = { via = "smtp" }, fields = mail {},
    expect = { outcome = "refused", detail = "421", retry = true } },
  { name = "the connection ends in front of the message", faults = { "data:drop" }, options = { via = "smtp", pipeline = "off" }, fields = mail {},
    expect = { code = "LOST", outcome = "not_sent", retry = true } },
  { name = "the connection ends behind the message", faults = { "dot:drop-after" }, options = { via = "smtp" }, fields = mail {},
    expect = { code = "LOST", outcome = "unknown", retry = false } },
  { name = "the answer to the message is no SMTP", faults = { "dot:garbage" }, options = { via = "smtp" }, fields = mail {},
    expect = { code = "PROTOCOL", outcome = "unknown" } },
  { name = "the server is silent for longer than a step may take", faults = { "banner:slow=3" }, options = { via = "smtp", timeouts = { reply = 0.3 } },
    fields = mail {}, expect = { code = "TIMEOUT", outcome = "not_sent", retry = true } },
  { name = "the server is silent for longer than a send may take", faults = { "mail:slow=3" }, options = { via = "smtp", timeout = 0.5 },
    fields = mail {}, expect = { code = "TIMEOUT", outcome = "not_sent" } },
  { name = "lines are injected behind the answer to STARTTLS", options = { smtp = "injects" }, fields = mail {},
    expect = { code = "PROTOCOL", outcome = "not_sent" } },
  { name = "the certificate is for another name", faults = { "starttls:tls=wrong-name" }, options = { via = "smtp" }, fields = mail {},
    expect = { code = "TLS", detail = "name", outcome = "not_sent" }, home = { cause = "a socket's words", remedy = "nginx.conf instead of options" } },
  { name = "the certificate has expired", faults = { "starttls:tls=expired" }, options = { via = "smtp" }, fields = mail {},
    expect = { code = "TLS", detail = "expired", outcome = "not_sent" }, home = { cause = "a socket's words", remedy = "nginx.conf instead of options" } },
  { name = "nobody listens", options = { smtp = "closed" }, fields = mail {}, expect = { code = "CONNECT", outcome = "not_sent", retry = true } },
  { name = "the server has no such host", options = { smtp = "nowhere" }, fields = mail {}, expect = { code = "DNS", outcome = "not_sent" },
    home = { cause = "a resolver's words", remedy = "nginx.conf instead of the system" } },
  { name = "the API refuses", faults = { "api:SingleSendMail:InvalidMailAddress.NotFound" }, options = { via = "api" }, fields = mail {},
    expect = { code = "REFUSED", outcome = "refused", detail = "InvalidMailAddress.NotFound" } },
  { name = "the API throttles", faults = { "api:SingleSendMail:Throttling.User" }, options = { via = "api", timeout = 1 }, fields = mail {},
    expect = { code = "THROTTLED", outcome = "refused", retry = true } },
  { name = "the API takes the call and closes", faults = { "api:drop-after" }, options = { via = "api" }, fields = mail {},
    expect = { code = "LOST", outcome = "unknown", retry = false }, home = { cause = "a socket's words" } },
  { name = "the API closes before it takes the call", faults = { "api:drop:once" }, options = { via = "api" }, fields = mail {},
    expect = { outcome = "unknown" }, home = { cause = "a socket's words" } },
  { name = "the key's secret is wrong", options = { via = "api", access_key_secret = "thirtycharactersofanothersecret" }, fields = mail {},
    expect = { code = "SIGNATURE", outcome = "refused" }, home = { reply = "time and nonce stand in it" } },
  { name = "the API is asked for a mail that it cannot carry", options = { via = "api" },
    fields = mail { attachments = { { name = "a.txt", data = "a" } } }, expect = { code = "OPTION", detail = "via", outcome = "not_sent" } },
  { name = "an address is none", options = {}, fields = mail { to = "ann at example.com" }, expect = { code = "ADDRESS", outcome = "not_sent" } },
  { name = "a subject has two lines", options = { via = "api" }, fields = mail { subject = "Hello\r\nBcc: eve@example.com" },
    expect = { code = "HEADER", outcome = "not_sent" } },
  { name = "a subject has two lines, by SMTP", options = { via = "smtp" }, fields = mail { subject = "Hello\nBcc: eve@example.com" },
    expect = { code = "HEADER", outcome = "not_sent" } },
  { name = "a header of one's own has two lines", options = { via = "api" }, fields = mail { headers = { ["X-User-A"] = "1\r\nBcc: eve@example.com" } },
    expect = { code = "HEADER", detail = "X-User-A", outcome = "not_sent" } },
  { name = "a header's name has two lines", options = { via = "api" }, fields = mail { headers = { ["X-User-A: 1\r\nBcc"] = "eve@example.com" } },
    expect = { code = "HEADER", outcome = "not_sent" } },
  { name = "an attached file is not there", options = { via = "smtp" }, fields = mail { attachments = { "/nowhere/absent.csv" } },
    expect = { code = "FILE", outcome = "not_sent" }, home = { cause = "the system's words", remedy = "a worker's user and folder are its own" } },
  { name = "a placeholder is left over", options = {}, fields = mail { subject = "Hello {{name}}" }, expect = { outcome = "not_sent" } },
  { name = "a recipient lies outside of `only`", options = { only = "*@sandbox.example" }, fields = mail {}, expect = { outcome = "not_sent" } },
  { name = "every mail goes elsewhere", options = { redirect = "dev@example.com", via = "smtp" }, fields = mail { to = "ann@example.com, bob@example.com" },
    expect = { outcome = "sent", accepted = { "dev@example.com" } } },
  { name = "a template makes the mail", options = { via = "smtp" }, run = function(directmail, sender)
      local welcome = assert(directmail.template { subject = "Hi {{name}}", html = "<p>Hi {{name}}</p>" })
      local receipt, e = sender:send { to = "ann@example.com", template = welcome, data = { name = "Ann & Bob" } }
      return { body = welcome { name = "Ann & Bob" }, receipt = receipt, error = e }
    end, expect = { body = { subject = "Hi Ann & Bob", html = "<p>Hi Ann &amp; Bob</p>" } } },
  { name = "a template misses a value", options = {}, run = function(directmail, sender)
      local welcome = assert(directmail.template { subject = "Hi {{name}}", text = "Hi" })
      return select(2, sender:send { to = "ann@example.com", template = welcome, data = {} })
    end, expect = { code = "CONTENT", outcome = "not_sent" } },
  { name = "many rows, of which three cannot be sent", options = { via = "smtp" }, run = function(_, sender)
      local out = {}
      for result in sender:send_all(ROWS, { connections = 3 }) do
        out[result.n] = { ok = result.ok, receipt = result.receipt, error = result.err }
      end
      return out
    end, expect = {} },
  { name = "many rows by the API", options = { via = "api" }, run = function(_, sender)
      local out = {}
      for result in sender:send_all(ROWS, { connections = 3 }) do
        out[result.n] = { ok = result.ok, receipt = result.receipt, error = result.err }
      end
      return out
    end, expect = {} },
  { name = "the bytes of a message", options = {}, run = function(directmail)
      local message = assert(directmail.message {
        from = "Zoë <noreply@mail.example.com>", to = "ann@example.com", subject = "Überraschung 🎁", text = "Grüße", html = "<p>Grüße</p>",
        attachments = { { name = "报告.csv", data = "a\0b\255" } }, date = 1767225600, message_id = "<1@mail.example.com>", boundary = "b",
      })
      return { bytes = message:bytes(), size = message:size() }
    end, expect = {} },
  { name = "a route and its reasons", options = {}, run = function(directmail)
      return directmail.route { deployed = "cn", recipients = "world", via = "smtp", ecs = true }
    end, expect = {} },
  { name = "an operation of the API", options = {}, run = function(_, sender)
      return assert(sender.api.QueryMailAddressByParam { PageNo = 1, PageSize = 10 })
    end, expect = {} },
  { name = "an operation of the API without what it needs", options = {}, run = function(_, sender)
      local answer, e = sender.api.DeleteMailAddress {}
      return { answer = answer, error = e }
    end, expect = { error = { code = "OPTION", outcome = "not_sent" } } },
  { name = "an option that there is not", options = {}, run = function(directmail) return directmail.new { regoin = "x" } end, expect = {}, raises = true },
  { name = "a field that there is not", options = {}, run = function(_, sender) return sender:send { subjcet = "x" } end, expect = {}, raises = true },
}

-- What differs from run to run: shown by its kind.
local VARIES = { id = true, message_id = true, request_id = true, seconds = true, bytes = true, peer = true, after = true, RequestId = true, where = false,
  look = true, from = true, EnvId = true }

local function plain(value, err, name)
  if VARIES[name] then return "a " .. type(value) end
  if type(value) ~= "table" then
    -- numbers of mails and of calls go up
    return type(value) == "string" and value:gsub("envid=%d+", "envid=N"):gsub("%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+", "ID") or value
  end
  if err.is(value) then value = err.plain(value) end
  local out = {}
  for key, inner in pairs(value) do
    if type(inner) ~= "function" and type(inner) ~= "userdata" then out[key] = plain(inner, err, key) end
  end
  return out
end

--- Try one case in the home that runs this.
-- @tparam table directmail
-- @tparam integer n which case
-- @tparam table given `ports` by name, `home` = a word that no other home has
-- @treturn table what it was told, plain and without what differs from run to run
function M.run(directmail, n, given)
  local case, err = M.list[n], require "directmail.err"
  local options = { ehlo = ("case%d.%s.example.com"):format(n, given.home) }      -- a connection of its own
  for name, value in pairs(case.options) do options[name] = value end
  if options.smtp then
    local scheme = options.smtp == "smtps" and "smtps" or "smtp"
    local name = options.smtp == "nowhere" and "nowhere.invalid" or "localhost"
    options.smtp, options.via = ("%s://%s:%d"):format(scheme, name, given.ports[options.smtp] or 25), "smtp"
  end
  local sender, e = directmail.new(options)
  local result
  if not sender then
    result = e
  elseif case.raises then
    local ok, why = pcall(case.run, directmail, sender)         -- nothing waits before it is raised
    result = { raised = not ok, why = tostring(why):gsub("^[^ ]+:%d+: ", "") }
  elseif case.run then
    result = case.run(directmail, sender)
  else
    local receipt
    receipt, e = sender:send(case.fields)
    result = receipt or e
  end
  result = plain(result, err)
  for field in pairs(case.home or {}) do result[field] = nil end
  return result
end

return M
