-- mail:send over real sockets, against the sandbox and against servers that misbehave.
local directmail = require "directmail"
local err = require "directmail.err"
local host = require "directmail.host"

local box

-- Settings of the sandbox as options, so that no test depends on the environment.
local function options(more)
  local o = {
    region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", smtp = box.urls.smtp, ca = box.ca,
    smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, via = "smtp",
  }
  for name, value in pairs(more or {}) do o[name] = value end
  for name, value in pairs(o) do if value == "" then o[name] = nil end end
  return o
end

local function mail_of(more) return assert(directmail.new(options(more))) end

local function hello(more)
  local m = { to = "ann@example.net", subject = "Hello", text = "Hi Ann" }
  for name, value in pairs(more or {}) do m[name] = value end
  for name, value in pairs(m) do if value == "" then m[name] = nil end end
  return m
end

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  box:clear()
  assert(box:set_faults {})
end)

describe("mail:send", function()
  it("gives a receipt with every number to look up later", function()
    local receipt = assert(mail_of():send(hello { cc = "bob@example.net", bcc = { "eve@example.net" } }))
    assert.equal("sent", receipt.outcome)
    assert.equal("smtp", receipt.via)
    assert.equal("ap-southeast-1", receipt.region)
    assert.matches("^%d+$", receipt.id)
    assert.matches("^<%x+@mail%.example%.com>$", receipt.message_id)
    assert.same({ "ann@example.net", "bob@example.net", "eve@example.net" }, receipt.accepted)
    assert.same({}, receipt.refused)
    assert.is_true(receipt.bytes > 100 and receipt.seconds >= 0)
    local got = assert(box:wait { to = "ann@example.net", timeout = 5 })
    assert.equal(receipt.id, got.id)
    assert.is_nil(got.raw:find("eve@example.net", 1, true), "Bcc is in the envelope only")
    assert.equal(receipt.bytes, #got.raw)
  end)

  it("brings names, texts and attachments as they were", function()
    local path = os.tmpname()
    local f = assert(io.open(path, "wb"))
    local bytes = ("\0\r\n.\255"):rep(40000)
    f:write(bytes)
    f:close()
    assert(mail_of():send(hello {
      from = "商店 <noreply@mail.example.com>", subject = "您的发票 – ä", html = "<p>Hi <img src=\"cid:logo\"></p>",
      attachments = { { path = path, name = "发票.pdf" }, { name = "报告.csv", data = "a,b\r\n" },
        { name = "logo.png", cid = "logo", data = "PNG" },
        { name = "read.bin", size = 10, read = (function()
          local left = { "12345", "67890" }
          return function() return table.remove(left, 1) end
        end)() } },
    }))
    os.remove(path)
    local got = assert(box:wait { to = "ann@example.net", timeout = 5 })
    assert.equal("您的发票 – ä", got.subject)
    local by_name = {}
    for _, a in ipairs(got.attachments) do by_name[a.name] = a.data end
    assert.is_true(by_name["发票.pdf"] == bytes)
    assert.equal("a,b\r\n", by_name["报告.csv"])
    assert.equal("1234567890", by_name["read.bin"])
    assert.matches("Hi", got.html)
  end)

  it("sends by implicit TLS too", function()
    assert(mail_of { smtp = box.urls.smtps }:send(hello()))
    assert.equal("implicit", assert(box:wait { to = "ann@example.net", timeout = 5 }).tls)
  end)

  it("names the recipients that were refused, and is sent for the rest", function()
    local receipt = assert(mail_of():send(hello { to = { "ann@example.net", "invalid@sandbox.example" } }))
    assert.same({ "ann@example.net" }, receipt.accepted)
    assert.equal("invalid@sandbox.example", receipt.refused[1].address)
    assert.matches("^559", receipt.refused[1].reply)
    assert.is_string(receipt.refused[1].cause)
  end)

  it("is sent to nobody with all_or_none when one is refused, as it stands or finished", function()
    local to = { "ann@example.net", "invalid@sandbox.example", "defer@sandbox.example" }
    for _, fields in ipairs { hello { to = to }, { to = to, raw = "Subject: Hello\n\nHi\n" } } do
      fields.all_or_none = true
      local receipt, e = mail_of():send(fields)
      assert.is_nil(receipt)
      assert.same({ "refused", "559", false, 2 }, { e.outcome, e.detail, e.retry, #e.refused })
      fields.to = { "ann@example.net", "defer@sandbox.example" }
      receipt, e = mail_of():send(fields)
      assert.is_nil(receipt)
      assert.same({ "not_sent", "450", true, "defer@sandbox.example" }, { e.outcome, e.detail, e.retry, e.refused[1].address })
      assert.is_true(e.after > 0)
      fields.to = "defer@sandbox.example"
      receipt, e = mail_of():send(fields)
      assert.is_nil(receipt)
      assert.same({ "not_sent", 1 }, { e.outcome, #e.refused })
      assert.is_nil(e.cause:find("recipients refused", 1, true), "there are no others to speak of")
      assert.equal(0, #box:mails())
      fields.to = { "ann@example.net", "bob@example.net" }
      assert.same(fields.to, assert(mail_of():send(fields)).accepted)
      assert.equal(1, #box:mails())
      box:clear()
    end
  end)

  it("tells a refusal for good from one for now", function()
    local _, e = mail_of():send(hello { to = "invalid@sandbox.example" })
    assert.same({ "REFUSED", "559", "refused", false, "recipient", "rcpt" }, { e.code, e.detail, e.outcome, e.retry, e.blame, e.where.step })
    _, e = mail_of():send(hello { to = "defer@sandbox.example" })
    assert.same({ "refused", true }, { e.outcome, e.retry })
    _, e = mail_of():send(hello { to = "full@sandbox.example" })
    assert.same({ "refused", "552" }, { e.outcome, e.detail })
    assert.is_truthy(e.cause and e.remedy)
  end)

  it("explains 436: the sender is not who logged in", function()
    local _, e = mail_of { smtp_user = "noreply@mail.example.com" }:send(hello { from = "news@mail.example.com" })
    assert.same({ "refused", "436", false, "sender-config" }, { e.outcome, e.detail, e.retry, e.blame })
  end)

  it("rule 7.11: explains a wrong password, and shows it nowhere", function()
    local lines = {}
    local _, e = mail_of { smtp_password = "hunter2hunter2", transcript = function(line) lines[#lines + 1] = line end, verbose = 2 }:send(hello())
    assert.same({ "AUTH", "526", "refused", false, "credentials", "auth" }, { e.code, e.detail, e.outcome, e.retry, e.blame, e.where.step })
    local all = tostring(e) .. err.report(e) .. table.concat(lines, "\n")
    assert.is_nil(all:find("hunter2", 1, true))
    assert.is_nil(all:find(require "directmail.core".base64("hunter2hunter2"):gsub("=", ""), 1, true))
    assert.is_truthy(all:find("AUTH PLAIN ********", 1, true))
  end)

  it("masks a password that the server repeats", function()
    assert(box:set_faults {})
    local listener = assert(host.listen("127.0.0.1", 0))
    host.spawn(function()
      local sock = listener:accept()
      sock:send "220 hello\r\n"
      sock:receiveany(1000)
      sock:send "250-x\r\n250 AUTH PLAIN\r\n"
      sock:receiveany(1000)
      sock:send "535 hunter2hunter2 is wrong\r\n"
      sock:receiveany(1000)
      sock:close()
    end)
    local lines = {}
    local _, e = mail_of {
      smtp = "smtp://127.0.0.1:" .. listener.port, smtp_password = "hunter2hunter2", cleartext_auth = true,
      transcript = function(line) lines[#lines + 1] = line end,
    }:send(hello())
    listener:close()
    assert.equal("AUTH", e.code)
    assert.matches("535 %*%*%*%*%*%*%*%* is wrong", e.reply)
    assert.is_nil(table.concat(lines):find("hunter2", 1, true))
  end)

  for _, row in ipairs {
    { "mail:436:once", "refused", "436", false }, { "rcpt:559", "refused", "559", false }, { "dot:552", "refused", "552" },
    { "dot:421", "refused", "421", true }, { "connect:drop", "not_sent", nil, true }, { "banner:421", "refused", "421", true },
    { "ehlo:drop", "not_sent", nil, true }, { "starttls:drop", "not_sent", nil, true }, { "auth:drop", "not_sent", nil, true },
    { "mail:drop", "not_sent", nil, true }, { "rcpt:drop", "not_sent", nil, true }, { "data:drop", "not_sent", nil, true },
    { "dot:drop", "unknown", nil, false }, { "dot:drop-after", "unknown", nil, false }, { "quit:drop", "sent" },
    { "banner:garbage", "not_sent", nil, true }, { "dot:garbage", "unknown", nil, false }, { "starttls:454", "not_sent", "clear", false },
    { "starttls:tls=expired", "not_sent", "expired", false }, { "starttls:tls=wrong-name", "not_sent", "name", false },
  } do
    it(("ends %s after the fault %s"):format(row[2], row[1]), function()
      assert(box:set_faults { row[1] })
      local receipt, e = mail_of():send(hello())
      if row[2] == "sent" then return assert(receipt, tostring(e)) end
      assert.is_nil(receipt)
      assert.equal(row[2], e.outcome)
      if row[3] then assert.equal(row[3], e.detail) end
      if row[4] ~= nil then assert.equal(row[4], e.retry) end
      assert.is_truthy(e.cause and e.remedy and e.where.step and e.where.peer)
      local mails = box:mails()
      assert.equal(row[1] == "dot:drop-after" and 1 or row[1] == "dot:garbage" and #mails or 0, #mails)
    end)
  end

  it("rule 7.12: sends a second copy of an unknown one only when it is told to", function()
    assert(box:set_faults { "dot:drop-after:once" })
    local receipt = assert(mail_of { on_unknown = "resend" }:send(hello()))
    assert.equal("sent", receipt.outcome)
    local mails = box:mails()
    assert.equal(2, #mails)
    assert.equal(mails[1].headers and mails[1].raw:match "Message%-ID: (%S+)", mails[2].raw:match "Message%-ID: (%S+)")
  end)

  it("says in words which certificate was shown and which CA is missing", function()
    local other = assert(directmail.sandbox.start())
    local _, e = mail_of { ca = other.ca }:send(hello())
    other:stop()
    assert.same({ "TLS", "issuer", "not_sent" }, { e.code, e.detail, e.outcome })
    assert.matches("ca", e.remedy)
    assert(box:set_faults { "starttls:tls=wrong-name" })
    _, e = mail_of():send(hello())
    assert.matches("wrong%-name%.example", e.cause)
  end)

  it("rule 2.35: recognises clear text on a TLS port and TLS on a clear one", function()
    local _, e = mail_of { smtp = box.urls.smtp:gsub("^smtp:", "smtps:") .. "" }:send(hello())
    assert.same({ "TLS", "clear", "not_sent" }, { e.code, e.detail, e.outcome })
    _, e = mail_of { smtp = box.urls.smtps:gsub("^smtps:", "smtp:") .. "", timeouts = { reply = 0.3 } }:send(hello())
    assert.same({ "TIMEOUT", "not_sent" }, { e.code, e.outcome })
  end)

  it("keeps the deadline of a whole send, and says where it stood", function()
    assert(box:set_faults { "mail:slow=30" })
    local start = host.tick()
    local _, e = mail_of { timeout = 0.3 }:send(hello())
    assert.same({ "TIMEOUT", "not_sent", "mail" }, { e.code, e.outcome, e.where.step })
    assert.is_true(host.tick() - start < 10)
    assert(box:set_faults { "dot:slow=30" })
    _, e = mail_of():send(hello { timeout = 0.5 })
    assert.same({ "TIMEOUT", "unknown", "dot" }, { e.code, e.outcome, e.where.step })
  end)

  it("hears a 552 that lies unread when the server closes in the middle of the body", function()
    local listener = assert(host.listen("127.0.0.1", 0))
    host.spawn(function()
      local sock = listener:accept()
      sock:send "220 hello\r\n"
      sock:receiveany(1000)
      sock:send "250 x\r\n"
      for _ = 1, 2 do
        sock:receiveany(1000)
        sock:send "250 ok\r\n"
      end
      sock:receiveany(1000)
      sock:send "354 go\r\n"
      sock:receiveany(1000)
      sock:send "552 Daily sending quota exceeded\r\n"
      sock:close()
    end)
    local _, e = mail_of { smtp = "smtp://127.0.0.1:" .. listener.port, smtp_password = "" }:send(hello {
      attachments = { { name = "big.bin", data = ("x"):rep(8000000) } },
    })
    listener:close()
    assert.same({ "QUOTA", "552", "refused", true }, { e.code, e.detail, e.outcome, e.retry })
  end)

  it("steps down when a server stumbles over commands in groups, and remembers it", function()
    local seen = {}
    local listener = assert(host.listen("127.0.0.1", 0))
    host.spawn(function()
      while true do
        local sock = listener:accept()
        if not sock then return end
        seen[#seen + 1] = "connect"
        sock:send "220 hello\r\n"
        local bytes = sock:receiveany(1000)
        sock:send "250-x\r\n250 PIPELINING\r\n"
        while bytes do
          bytes = sock:receiveany(100000)
          local _, commands = (bytes or ""):gsub("\r\n", "")
          if not bytes or bytes:find "^QUIT" then break
          elseif bytes:find "^MAIL" and commands > 1 then sock:send "one at a time, please\r\n"
          elseif bytes:find "^DATA" then sock:send "354 go\r\n"
          else sock:send "250 ok\r\n" end
        end
        sock:close()
      end
    end)
    local mail = mail_of { smtp = "smtp://127.0.0.1:" .. listener.port, smtp_password = "" }
    assert.equal("sent", assert(mail:send(hello())).outcome)
    assert.equal(2, #seen)
    assert.equal("sent", assert(mail:send(hello())).outcome)
    assert.equal(3, #seen, "the second mail knows")
    listener:close()
  end)

  it("rule 4.28: loses nothing when an attachment shrinks or grows while it is read", function()
    for _, real in ipairs { 99999, 100001 } do
      local left = real
      local _, e = mail_of():send(hello { attachments = { { name = "a", size = 100000, read = function(max)
        local n = math.min(max, left)
        left = left - n
        if n > 0 then return ("x"):rep(n) end
      end } } })
      assert.same({ "FILE", "not_sent", false }, { e.code, e.outcome, e.retry })
      assert.equal(0, #box:mails())
    end
  end)

  it("sends forty mails in tasks in less than five times the time of one, the server waiting 200 ms a reply", function()
    assert(box:set_faults { "banner:slow=0.2", "ehlo:slow=0.2", "auth:slow=0.2", "mail:slow=0.2", "dot:slow=0.2" })
    local function one()
      local receipt, e = mail_of():send(hello())
      return assert(receipt, tostring(e)).outcome
    end
    local start = host.tick()
    one()
    local single = host.tick() - start
    start = host.tick()
    local tasks = {}
    for i = 1, 40 do tasks[i] = host.spawn(one) end
    for i = 1, 40 do
      local ok, outcome = host.wait(tasks[i])
      assert.is_true(ok, tostring(outcome))
      assert.equal("sent", outcome)
    end
    assert.is_true(host.tick() - start < 5 * single, ("one took %.1f s, forty %.1f s"):format(single, host.tick() - start))
    assert.equal(41, #box:mails())
  end)

  it("runs in the tasks of a program, one after the other where Lua cannot yield", function()
    local function one(to) return mail_of():send(hello { to = to }) end
    local a, b = directmail.spawn(one, "a@example.net"), directmail.spawn(one, "b@example.net")
    local broken = directmail.spawn(function() error("boom", 0) end)
    local ok, receipt = directmail.wait(a)
    assert.is_true(ok)
    assert.same({ "a@example.net" }, receipt.accepted)
    ok, receipt = directmail.wait(b)
    assert.is_true(ok)
    assert.same({ "b@example.net" }, receipt.accepted)
    assert.same({ false, "boom" }, { directmail.wait(broken) })
  end)

  it("refuses before connecting what cannot be right", function()
    for _, row in ipairs {
      { { from = "a@example.com\r\nBcc: x@example.com" }, "ADDRESS", "from" },
      { { to = "ann@example.net\nRCPT TO:<x@example.com>" }, "ADDRESS", "to" },
      { { to = "ann\0@example.net" }, "ADDRESS", "to" }, { { to = "" , cc = "" }, "OPTION", "to" },
      { { to = "ann" }, "ADDRESS", "to" }, { { to = "ann@example" }, "ADDRESS", "to" }, { { bcc = "<a@x.example" }, "ADDRESS", "bcc" },
      { { subject = "x\r\nBcc: c@example.com" }, "HEADER", "Subject" }, { { headers = { ["X-A"] = "b\nc" } }, "HEADER", "X-A" },
      { { headers = { ["X A"] = "b" } }, "HEADER", nil }, { { headers = { Subject = "b" } }, "HEADER", "Subject" },
      { { attachments = { { name = "a\r\nb.txt", data = "" } } }, nil, nil }, { { attachments = { "/nonexistent" } }, "FILE", "attachments[1]" },
      { { attachments = { "/tmp" } }, "FILE", "attachments[1]" }, { { attachments = { { name = "x" } } }, "OPTION", "attachments[1]" },
      { { text = "a\0b" }, "CONTENT", "text" }, { { text = "\255" }, "CONTENT", "text" }, { { text = "Hi {{name}}" }, "CONTENT", "text" },
      { { message_id = "x" }, "HEADER", "message_id" }, { { date = "yesterday" }, "HEADER", "date" }, { { tag = "a b" }, "OPTION", "tag" },
      { { track = { opens = true } }, "OPTION", "track" }, { { unsubscribe = "ftp" }, "OPTION", "unsubscribe" },
      { { size_limit = 100 }, "SIZE", "size" },
    } do
      local receipt, e = mail_of { smtp = "smtp://127.0.0.1:9" }:send(hello(row[1]))
      assert.is_nil(receipt)
      assert.same({ row[2] or e.code, "not_sent", false }, { e.code, e.outcome, e.retry }, tostring(e))
      if row[3] then assert.equal(row[3], e.detail) end
      assert.is_nil(e.where, tostring(e))
      assert.is_truthy(e.cause and e.remedy)
      assert.is_nil(tostring(e):find "[%z\r\n]")
    end
  end)

  it("names the option that is missing or wrong", function()
    for _, row in ipairs {
      { { sender = "" }, "OPTION", "from" }, { { region = "", smtp = "" }, "OPTION", "region" },
      { { region = "cn-hangzou", smtp = "" }, "OPTION", "region" }, { { smtp = "http://x" }, "OPTION", "smtp" },
      { { smtp = "", smtp_password = "" }, "CREDENTIALS", "smtp_password" }, { { ehlo = "a b" }, "OPTION", "ehlo" },
      { { smtp_password = "a\0b" }, "CREDENTIALS", "smtp_password" }, { { only = "*@example.org" }, "OPTION", "only" },
      { { smtp = "", smtp_user = "other@mail.example.com" }, "ADDRESS", "from" },
    } do
      local _, e = mail_of(row[1]):send(hello())
      assert.same({ row[2], row[3], "not_sent", false }, { e.code, e.detail, e.outcome, e.retry }, tostring(e))
      assert.is_nil(e.where)
    end
    local mail, e = directmail.new(options { ehlo = "a\r\nb" })
    assert.is_nil(mail)
    assert.same({ "OPTION", "ehlo" }, { e.code, e.detail })
    mail, e = directmail.new(options { auth = "maybe" })
    assert.is_nil(mail)
    assert.matches("auto, off", e.remedy)
  end)

  it("says that nobody listens, or that the name has no address", function()
    local _, e = mail_of { smtp = "smtp://127.0.0.1:9" }:send(hello())
    assert.same({ "CONNECT", "not_sent", true, "connect" }, { e.code, e.outcome, e.retry, e.where.step })
    _, e = mail_of { smtp = "smtp://no-such-host.invalid" }:send(hello())
    assert.same({ "DNS", "not_sent", "connect" }, { e.code, e.outcome, e.where.step })
  end)

  it("raises misuse at the caller's line", function()
    local mail = mail_of()
    for _, row in ipairs {
      { { subjcet = "x" }, 'did you mean "subject"' }, { { to = 5 }, "field to" }, { { to = { 5 } }, "entry 1" },
      { { attachments = { { nmae = "x" } } }, 'did you mean "name"' }, { { headers = { { "a" } } }, "headers" },
    } do
      local ok, why = pcall(function() mail:send(hello(row[1])) end)
      assert.is_false(ok)
      assert.is_truthy(why:find(row[2], 1, true), why)
      assert.is_truthy(why:find("mail_test.lua", 1, true), why)
    end
    assert.is_false(pcall(mail.send, mail, "hello"))
    local ok, why = pcall(function() directmail.new { regoin = "x" } end)
    assert.is_false(ok)
    assert.is_truthy(why:find("mail_test.lua", 1, true) and why:find("region", 1, true), why)
  end)

  it("keeps a development net: only and redirect", function()
    local mail = mail_of { only = "*@example.net" }
    assert(mail:send(hello()))
    local _, e = mail:send(hello { cc = "x@example.org" })
    assert.equal("only", e.detail)
    local receipt = assert(mail_of { redirect = "me@example.net" }:send(hello { cc = "bob@example.org" }))
    assert.same({ "me@example.net" }, receipt.accepted)
    local got = assert(box:wait { to = "me@example.net", timeout = 5 })
    assert.matches("X%-Directmail%-Redirected%-To: ann@example.net, bob@example.org", got.raw)
  end)

  it("takes a line end off a password and says so", function()
    local receipt = assert(mail_of { smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD .. "\n" }:send(hello()))
    assert.equal("sent", receipt.outcome)
  end)
end)

describe("a region that is none", function()
  it("is what is told, before missing credentials, with the regions that are open", function()
    local mail = assert(require "directmail.mail".new({ region = "ap-southeast-9", sender = "a@example.com" }, require "directmail.host.memory".new(), 1))
    local _, e = mail:send { to = "b@example.com", subject = "x", text = "y" }
    assert.same({ "OPTION", "region", "not_sent" }, { e.code, e.detail, e.outcome })
    assert.matches("did you mean ap%-southeast%-1%?", e.remedy)
    assert.is_nil(e.remedy:find("ap-southeast-2", 1, true))         -- closed to new accounts
  end)
end)

describe("directmail.message", function()
  it("has the size that its bytes have, streamed or not", function()
    local path = os.tmpname()
    local f = assert(io.open(path, "wb"))
    f:write(("line\n"):rep(100000))
    f:close()
    local m = assert(directmail.message { from = "a@example.com", to = "b@example.com", subject = "x", text = "y", attachments = { path } })
    assert.equal(m:size(), #m:bytes())
    local n = 0
    assert(m:write(function(chunk) n = n + #chunk end))
    assert.equal(m:size(), n)
    f = assert(io.open(path, "wb"))
    f:write "short"
    f:close()
    local bytes, e = m:bytes()
    assert.is_nil(bytes)
    assert.equal("FILE", e.code)
    os.remove(path)
  end)

  it("writes the headers that were asked for, folded and encoded", function()
    local m = assert(directmail.message {
      from = "a@example.com", to = "b@example.com", reply_to = "Help <help@example.com>", subject = "x", html = "y", priority = "high",
      in_reply_to = "<1@x.example>", references = { "<0@x.example>", "<1@x.example>" }, headers = { { "X-B", "2" }, { "X-A", "1" } },
      tag = "spring-2030", track = { opens = true, clicks = true }, unsubscribe = "https://example.com/u?t=1",
      message_id = "<2@x.example>", date = 0, boundary = "b",
    })
    local bytes = m:bytes()
    for _, line in ipairs {
      "Reply-To: Help <help@example.com>", "Date: Thu, 01 Jan 1970 00:00:00 +0000", "Message-ID: <2@x.example>", "In-Reply-To: <1@x.example>",
      "References: <0@x.example> <1@x.example>", "X-Priority: 1 (Highest)", "List-Unsubscribe: <https://example.com/u?t=1>",
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "X-B: 2\r\nX-A: 1",
      "X-AliDM-Trace: eyJUYWdOYW1lIjoic3ByaW5nLTIwMzAiLCJPcGVuVHJhY2UiOiIxIiwiTGlua1RyYWNlIjoiMSJ9",
    } do
      assert.is_truthy(bytes:find("\r\n" .. line .. "\r\n", 1, true), line .. " is missing in\n" .. bytes)
    end
  end)
end)
