-- SingleSendMail through mail:send: against the sandbox, and against endpoints that misbehave.
local directmail = require "directmail"
local host = require "directmail.host"
local http1 = require "directmail.http1"
local sign = require "directmail.sign"

local box

local function options(more)
  local o = {
    region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", api = box.urls.api,
    access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  for name, value in pairs(o) do if value == "" then o[name] = nil end end
  return o
end

local function mail_of(more) return assert(directmail.new(options(more))) end

local function hello(more)
  local m = { to = "ann@example.net", subject = "Hello", text = "Hi Ann" }
  for name, value in pairs(more or {}) do m[name] = value end
  return m
end

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  box:clear()
  assert(box:set_faults {})
end)

-- An endpoint that answers what it is told to, and counts how often it was asked.
local function endpoint(answer)
  local listener = assert(host.listen("127.0.0.1", 0))
  local served = { n = 0, url = "http://127.0.0.1:" .. listener.port, close = function() listener:close() end }
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(http1.serve, sock, function(request)
        served.n = served.n + 1
        return answer(request)
      end, { host = host })
    end
  end)
  return served
end

describe("mail:send by the API", function()
  it("gives a receipt with EnvId and RequestId, and the mail arrives", function()
    local receipt = assert(mail_of():send(hello {
      subject = "a b+*~ 您好!'()", html = "<p>Hi &amp; 您好</p>", bcc = "bob@example.net", reply_to = "help@example.com",
      unsubscribe = "https://example.com/u", headers = { ["X-User-Notify-Id"] = "7" },
    }))
    assert.same({ "sent", "api", "ap-southeast-1" }, { receipt.outcome, receipt.via, receipt.region })
    assert.matches("^%w+$", receipt.id)
    assert.matches("^%x+%-", receipt.request_id)
    assert.same({ "ann@example.net", "bob@example.net" }, receipt.accepted)
    local got = assert(box:wait { to = "ann@example.net", timeout = 5 })
    assert.equal("a b+*~ 您好!'()", got.subject)
    assert.equal(receipt.id, got.id)
    assert.equal("api", got.via)
    assert.matches("您好", got.html)
    assert.is_truthy(got.raw:find(receipt.message_id, 1, true))
  end)

  it("is for all or none as it is: all_or_none changes neither the way nor what is asked", function()
    local fields = hello { to = { "ann@example.net", "bob@example.net" }, message_id = "<1@mail.example.com>" }
    local plain = assert(mail_of():preview(fields))
    fields.all_or_none = true
    assert.same(plain, assert(mail_of():preview(fields)))
    local receipt = assert(mail_of():send(fields))
    assert.same({ "api", fields.to }, { receipt.via, receipt.accepted })
  end)

  it("is chosen when there are AccessKeys, and SMTP when a message needs it, with the reason", function()
    local both = mail_of { smtp = box.urls.smtp, ca = box.ca, smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD }
    assert.equal("api", assert(both:send(hello())).via)
    for _, needs in ipairs {
      { attachments = { { name = "a.txt", data = "x" } } }, { cc = "bob@example.net" }, { bcc = { "a@x.example", "b@x.example", "c@x.example" } },
      { headers = { ["X-Own"] = "1" } }, { priority = "high" }, { from = "A name with more than fifteen characters <noreply@mail.example.com>" },
      { track = { opens = true }, tag = "signup", html = "<p>x</p>" }, { subject = ("x"):rep(257) }, { text = ("x\n"):rep(4200000) }, { to = "\"a,b\"@example.net" },
      { calendar = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n" }, { date = 0 },
    } do
      local receipt, e = both:send(hello(needs))
      assert(receipt, tostring(e))
      assert.equal("smtp", receipt.via)
      assert.is_string(receipt.reason)
      receipt, e = mail_of { via = "api" }:send(hello(needs))
      assert.is_nil(receipt)
      assert.same({ "OPTION", "via", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry })
      assert.matches("SMTP", e.remedy)
      assert.is_nil(e.where)
    end
  end)

  it("ends as it must after each fault, and never asks twice", function()
    for _, row in ipairs {
      { "api:SingleSendMail:Throttling.User", "THROTTLED", "refused", true }, { "api:InvalidMailAddress.NotFound", "REFUSED", "refused", false },
      { "api:drop-after", "LOST", "unknown", false }, { "api:garbage", "PROTOCOL", "unknown", false },
    } do
      box:clear()
      assert(box:set_faults { row[1] })
      local receipt, e = mail_of():send(hello())
      assert.is_nil(receipt)
      assert.same({ row[2], row[3], row[4] }, { e.code, e.outcome, e.retry }, row[1] .. ": " .. tostring(e))
      assert.equal("api", e.where.step)
      assert.is_truthy(e.cause and e.remedy)
      assert.is_true(#box:mails() <= 1)
    end
    assert(box:set_faults { "api:slow=30" })
    local _, e = mail_of { timeout = 0.3 }:send(hello())
    assert.same({ "TIMEOUT", "unknown", false }, { e.code, e.outcome, e.retry })
  end)

  it("sends a second copy of an unknown one only when it is told to", function()
    assert(box:set_faults { "api:drop-after:once" })
    assert.equal("sent", assert(mail_of { on_unknown = "resend" }:send(hello())).outcome)
    assert.equal(2, #box:mails())
  end)

  it("explains a wrong secret and shows it nowhere", function()
    local lines = {}
    local _, e = mail_of { access_key_secret = "notthesecretatall", verbose = 2, transcript = function(line) lines[#lines + 1] = line end }:send(hello())
    assert.same({ "SIGNATURE", "SignatureDoesNotMatch", "refused", false }, { e.code, e.detail, e.outcome, e.retry })
    assert.matches("^%x+%-", e.request_id)
    assert.matches("both strings are equal, so the secret is another one", e.cause)
    assert.is_nil((tostring(e) .. table.concat(lines)):find("notthesecret", 1, true))
    _, e = mail_of { access_key_id = "LTAIunknown" }:send(hello())
    assert.same({ "CREDENTIALS", "refused" }, { e.code, e.outcome })
  end)

  it("sets its clock right once and states how wrong it was", function()
    local skewed = {}
    for name, value in pairs(host) do skewed[name] = value end
    skewed.now = function() return host.now() - 3600 end
    local mail = assert(require "directmail.mail".new(options(), skewed, 1))
    assert.equal("sent", assert(mail:send(hello())).outcome)
    assert.is_true(math.abs(mail.skew + 3600) < 5)
    mail.skew = 0                         -- set right before, and wrong all the same
    local _, e = mail:send(hello())
    assert.same({ "CLOCK", "refused" }, { e.code, e.outcome })
    assert.matches("3[56]%d%d s behind", e.cause)
  end)

  it("refuses before connecting what cannot be right", function()
    for _, row in ipairs {
      { {}, { text = "\255" }, "CONTENT" }, { { region = "cn-hangzou", api = "" }, {}, "OPTION" }, { { api = "ftp://x" }, {}, "OPTION" },
      { { api = "http://dm.aliyuncs.com" }, {}, "OPTION" }, { { api = "https://user:pw@host" }, {}, "OPTION" },
      { { region = "", api = "" }, {}, "OPTION" },
    } do
      local o = row[1]
      o.via = "api"
      local receipt, e = mail_of(o):send(hello(row[2]))
      assert.is_nil(receipt)
      assert.same({ row[3], "not_sent", false }, { e.code, e.outcome, e.retry }, tostring(e))
      assert.is_nil(e.where)
    end
  end)

  it("lists every source of credentials when there are none", function()
    local bare = {}
    for name, value in pairs(host) do bare[name] = value end
    bare.env = function() end
    bare.read = function() return nil, "No such file or directory" end
    local o = options { access_key_id = "", access_key_secret = "" }
    local _, e = assert(require "directmail.mail".new(o, bare, 1)):send(hello())
    assert.same({ "CREDENTIALS", "not_sent", false }, { e.code, e.outcome, e.retry })
    assert.matches("ALIBABA_CLOUD_ACCESS_KEY_ID", e.cause .. e.remedy)
    assert.matches("config%.json", e.cause)
  end)

  it("makes an unknown of every answer that is none", function()
    for name, answer in pairs {
      redirect = { status = 302, headers = { Location = "http://127.0.0.1/" }, body = "" }, ["no json"] = { status = 200, body = "<html>" },
      ["cut json"] = { status = 200, body = '{"EnvId":"1","Requ' }, ["no request id"] = { status = 200, body = '{"EnvId":"1"}' },
      ["500"] = { status = 500, body = '{"Code":"InternalError","Message":"x","RequestId":"A-1"}' }, ["502"] = { status = 502, body = "<html>bad gateway</html>" },
      ["cut body"] = { raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"EnvId\"" }, ["no http"] = { raw = "SMTP\r\n" },
      endless = { raw = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" .. ("x"):rep(100000) },
    } do
      local peer = endpoint(function() return answer end)
      local receipt, e = mail_of { api = peer.url }:send(hello())
      peer.close()
      assert.is_nil(receipt)
      assert.same({ "unknown", false }, { e.outcome, e.retry }, name .. ": " .. tostring(e))
      assert.equal(1, peer.n, name .. ": asked more than once")
    end
  end)

  it("hears how long to wait, and that a body was too large", function()
    local peer = endpoint(function()
      return { status = 400, headers = { ["x-acs-retry-after"] = "2500" }, body = '{"Code":"Throttling.Api","Message":"slow","RequestId":"A-1"}' }
    end)
    local _, e = mail_of { api = peer.url }:send(hello())
    peer.close()
    assert.same({ "THROTTLED", "refused", true, 2.5, "A-1" }, { e.code, e.outcome, e.retry, e.after, e.request_id })
    peer = endpoint(function() return { status = 413, body = "<html>too large</html>" } end)
    _, e = mail_of { api = peer.url }:send(hello())
    peer.close()
    assert.same({ "SIZE", "refused", false }, { e.code, e.outcome, e.retry })
  end)

  it("never repeats on a kept connection that died", function()
    local asked = {}
    local peer = endpoint(function(request)
      asked[#asked + 1] = request.headers["x-acs-signature-nonce"]
      if #asked == 2 then return false end          -- closed without a word, the request taken
      return { status = 200, body = '{"EnvId":"7","RequestId":"A-1"}' }
    end)
    local mail = mail_of { api = peer.url }
    assert.equal("7", assert(mail:send(hello())).id)
    local _, e = mail:send(hello())
    assert.equal("unknown", e.outcome)
    peer.close()
    assert.equal(2, #asked)
    assert.are_not.equal(asked[1], asked[2])
  end)

  it("refuses a certificate that nobody it trusts has signed, before a word was sent", function()
    local authority = host.authority()
    local identity = host.identity(authority:issue { "127.0.0.1" })
    local listener = assert(host.listen("127.0.0.1", 0))
    local heard
    host.spawn(function()
      local sock = listener:accept()
      if sock:sslaccept(identity) then heard = sock:receiveany(1000) end
    end)
    local _, e = mail_of { api = "https://127.0.0.1:" .. listener.port }:send(hello())
    listener:close()
    assert.same({ "TLS", "issuer", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry }, tostring(e))
    assert.is_nil(heard)
  end)

  it("says that nobody listens", function()
    local _, e = mail_of { api = "http://127.0.0.1:9" }:send(hello())
    assert.same({ "CONNECT", "not_sent", true, "connect" }, { e.code, e.outcome, e.retry, e.where.step })
  end)

  it("sends many by calls in flight", function()
    local list, ok = {}, 0
    for i = 1, 20 do list[i] = hello { subject = "s" .. i } end
    for result in mail_of():send_all(list, { connections = 4 }) do
      assert.is_true(result.ok, tostring(result.err))
      assert.equal("api", result.receipt.via)
      ok = ok + 1
    end
    assert.equal(20, ok)
  end)

  it("previews the form fields without network and credentials", function()
    local preview = assert(directmail.new { via = "api", sender = "noreply@mail.example.com" }:preview(hello()))
    assert.equal("api", preview.via)
    assert.same({ "noreply@mail.example.com", "ann@example.net", "Hello", "Hi Ann" },
      { preview.params.AccountName, preview.params.ToAddress, preview.params.Subject, preview.params.TextBody })
    assert.is_table(sign.flatten(preview.params))
  end)
end)
