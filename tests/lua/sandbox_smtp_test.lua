local core = require "directmail.core"
local faults = require "directmail.sandbox.faults"
local senders = require "directmail.sandbox.senders"
local smtp = require "directmail.sandbox.smtp"

local unpack = table.unpack or unpack

local PASSWORD = "p4ssw0rdP4SSW0RD"
local USER = "noreply@mail.example.com"
local PLAIN = "AUTH PLAIN " .. core.base64("\0" .. USER .. "\0" .. PASSWORD) .. "\r\n"
local EHLO = "EHLO client.example\r\n"
local LOGIN = EHLO .. PLAIN
local ENVELOPE = "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<ann@example.net>\r\n"
local MAIL = ENVELOPE .. "DATA\r\n"
local TEXT = "Subject: Hi\r\n\r\ntext\r\n"
local ID = "600000000000000001"

-- A connection whose client says what it has to say without waiting: each string is one packet.
local function connection(packets)
  local sock = { sent = {}, closed = false, identities = {} }
  local at = 0
  function sock.settimeouts() end
  function sock:send(bytes)
    if self.closed or self.broken then return nil, "closed" end
    self.sent[#self.sent + 1] = bytes
    return #bytes
  end
  function sock:receiveany()
    at = at + 1
    assert(not self.closed)
    if not packets[at] then return nil, packets.why or "closed" end
    return packets[at]
  end
  function sock:sslaccept(identity)
    self.identities[#self.identities + 1] = identity
    if packets.tls_fails then return nil, "wrong version number" end
    self.sent[#self.sent + 1] = "<TLS>\r\n"
    return true
  end
  function sock:close() self.closed = true end
  return sock
end

-- Let the server answer; returns its lines without the banner, what it kept, its events, the socket.
local function serve(packets, options)
  options = options or {}
  if type(packets) == "string" then packets = { packets } end
  local sock, kept, events, slept = connection(packets), {}, {}, {}
  smtp.serve(sock, {
    host = { sleep = function(seconds) slept[#slept + 1] = { seconds, #sock.sent } end },
    log = { add = function(_, event) events[#events + 1] = event end },
    mails = {
      save = function(_, envelope, bytes)
        if options.disk_full then return nil, "No space left on device" end
        kept[#kept + 1] = { envelope = envelope, bytes = bytes }
        return ("6%017d"):format(#kept)
      end,
    },
    senders = senders.new(PASSWORD, { "third@mail.example.com" }),
    faults = assert(faults.new(options.faults)),
    number = 1, tls = options.tls or "starttls",
    identity = function(which) return "identity " .. (which or "good") end,
  })
  assert.is_true(sock.closed)
  local lines = {}
  for line in table.concat(sock.sent):gmatch("(.-)\r\n") do lines[#lines + 1] = line end
  if lines[1] and lines[1]:find("^220 smtpdm") then table.remove(lines, 1) end
  return lines, kept, events, sock, slept
end

-- The last line, or a list of the last `n` when that is a number.
local function last(lines, n)
  if type(n) ~= "number" then return lines[#lines] end
  local out = {}
  for i = #lines - n + 1, #lines do out[#out + 1] = lines[i] end
  return out
end

describe("the greeting", function()
  it("is the service's", function()
    local _, _, _, sock = serve ""
    assert.equal("220 smtpdm.aliyun.com DirectMail Smtpd Server\r\n", sock.sent[1])
  end)

  it("offers STARTTLS and two AUTH lines on a clear-text port", function()
    assert.same({ "250-smtp.aliyun-inc.com", "250-STARTTLS", "250-8BITMIME", "250-AUTH=PLAIN LOGIN XALIOAUTH",
      "250-AUTH PLAIN LOGIN XALIOAUTH", "250-PIPELINING", "250 DSN" }, (serve(EHLO)))
  end)

  it("offers no STARTTLS within TLS", function()
    local lines = serve({ EHLO }, { tls = "implicit" })
    assert.equal("<TLS>", lines[1])
    assert.is_nil(table.concat(lines, "\n"):find("STARTTLS", 1, true))
    lines = serve { "STARTTLS\r\n", EHLO }
    assert.same({ "220 Ready to start TLS", "<TLS>", "250-smtp.aliyun-inc.com", "250-8BITMIME" }, { unpack(lines, 1, 4) })
  end)

  it("answers HELO with one line and no extension", function()
    assert.same({ "250 smtp.aliyun-inc.com", "503 Send EHLO first" }, (serve("HELO x\r\n" .. PLAIN)))
  end)

  it("needs a name without odd octets", function()
    assert.same({ "501 Syntax: EHLO name", "501 Syntax: EHLO name", "501 Syntax: HELO name" },
      (serve "EHLO\r\nEHLO a\27[2J\r\nHELO a b\r\n"))
  end)
end)

describe("logging in", function()
  it("works with PLAIN in one line and in two", function()
    assert.equal("235 Authentication successful", last(serve(LOGIN)))
    local token = core.base64("\0" .. USER .. "\0" .. PASSWORD)
    assert.same({ "334 ", "235 Authentication successful" }, last(serve(EHLO .. "AUTH PLAIN\r\n" .. token .. "\r\n"), 2))
    assert.equal("235 Authentication successful", last(serve(EHLO .. "auth plain " .. core.base64(USER .. "\0" .. USER .. "\0"
      .. PASSWORD) .. "\r\n")))
  end)

  it("works with LOGIN and its lower-case prompt", function()
    local both = core.base64(USER) .. "\r\n" .. core.base64(PASSWORD) .. "\r\n"
    assert.same({ "334 dXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 Authentication successful" }, last(serve(EHLO .. "AUTH LOGIN\r\n"
      .. both), 3))
    assert.same({ "334 UGFzc3dvcmQ6", "235 Authentication successful" }, last(serve(EHLO .. "AUTH LOGIN " .. both), 2))
  end)

  it("is refused for a wrong password, an unknown user and a foreign authorization identity", function()
    for _, token in ipairs { "\0" .. USER .. "\0wrong", "\0who@mail.example.com\0" .. PASSWORD, "news@mail.example.com\0" .. USER
      .. "\0" .. PASSWORD,
      "\0" .. USER .. "\0" .. PASSWORD .. "\n" } do
      assert.equal("526 Authentication failure", last(serve(EHLO .. "AUTH PLAIN " .. core.base64(token) .. "\r\n")))
    end
  end)

  it("tells an empty field, bad base64, a cancelled and an unknown mechanism apart", function()
    assert.equal("524 username or passwd is NULL", last(serve(EHLO .. "AUTH PLAIN " .. core.base64("\0" .. USER .. "\0") .. "\r\n")))
    assert.equal("523 cipher text is invalid base64 format", last(serve(EHLO .. "AUTH PLAIN a*b\r\n")))
    assert.equal("501 PLAIN is [authzid] NUL authcid NUL passwd", last(serve(EHLO .. "AUTH PLAIN " .. core.base64("user") .. "\r\n")))
    assert.equal("501 Authentication cancelled", last(serve(EHLO .. "AUTH LOGIN\r\n*\r\n")))
    assert.equal("501 Authentication cancelled", last(serve(EHLO .. "AUTH PLAIN\r\n*\r\n")))
    assert.equal("504 Unrecognized authentication type", last(serve(EHLO .. "AUTH CRAM-MD5\r\n")))
    assert.equal("501 Syntax: AUTH mechanism", last(serve(EHLO .. "AUTH\r\n")))
  end)

  it("goes on within the group after a refusal", function()
    assert.equal("235 Authentication successful", last(serve(EHLO .. "AUTH LOGIN\r\n*\r\n" .. PLAIN)))
  end)

  it("happens once, after EHLO and outside a transaction", function()
    assert.equal("503 Send EHLO first", last(serve(PLAIN)))
    assert.equal("503 Already authenticated", last(serve(LOGIN .. PLAIN)))
  end)

  it("is forgotten at a second EHLO, as the service does", function()
    assert.equal("530 Authentication required", last(serve(LOGIN .. EHLO .. "MAIL FROM:<noreply@mail.example.com>\r\n")))
  end)

  it("ends the connection after many failures", function()
    local wrong = "AUTH PLAIN " .. core.base64("\0a\0b") .. "\r\n"
    local lines = serve(EHLO .. wrong:rep(30))
    assert.equal("421 Too many errors, closing transmission channel", last(lines))
    assert.equal(7 + 20 + 1, #lines)
  end)

  it("leaves the password in no event", function()
    local token = core.base64("\0" .. USER .. "\0" .. PASSWORD)
    local _, _, events = serve(token .. "\r\n" .. EHLO .. "AUTH LOGIN\r\n" .. core.base64(USER) .. "\r\n" .. core.base64(PASSWORD)
      .. "\r\n")
    local seen = 0
    for _, event in ipairs(events) do
      for _, value in pairs(event) do
        seen = seen + 1
        assert.is_nil(tostring(value):find(PASSWORD, 1, true))
        assert.is_nil(tostring(value):find(token:sub(1, 8), 1, true))
        assert.is_nil(tostring(value):find(core.base64(PASSWORD):sub(1, 8), 1, true))
      end
    end
    assert.is_true(seen > 10)
  end)

  it("in clear text is allowed, and noted", function()
    local _, _, events = serve(LOGIN)
    local found
    for _, event in ipairs(events) do if event.step == "auth" then found = event end end
    assert.equal(USER, found.user)
    assert.is_true(found.cleartext)
    _, _, events = serve({ LOGIN }, { tls = "implicit" })
    for _, event in ipairs(events) do assert.is_nil(event.cleartext) end
  end)
end)

describe("STARTTLS", function()
  it("drops what came in clear text behind it", function()
    local lines, kept, events = serve { EHLO .. "STARTTLS\r\n" .. LOGIN .. MAIL .. TEXT .. ".\r\n", "NOOP\r\n" }
    assert.same({ "220 Ready to start TLS", "<TLS>", "250 Ok" }, last(lines, 3))
    assert.equal(0, #kept)
    local bytes
    for _, event in ipairs(events) do bytes = bytes or event.event == "injection" and event.bytes end
    assert.equal(#(LOGIN .. MAIL .. TEXT .. ".\r\n"), bytes)
  end)

  it("forgets the login and the name", function()
    assert.equal("503 Send EHLO first", last(serve { LOGIN .. "STARTTLS\r\n", "MAIL FROM:<noreply@mail.example.com>\r\n" }))
  end)

  it("is not taken twice, within TLS or with a parameter", function()
    assert.equal("503 TLS is active already", last(serve { "STARTTLS\r\n", "STARTTLS\r\n" }))
    assert.equal("502 Command not implemented", last(serve({ "STARTTLS\r\n" }, { tls = "implicit" })))
    assert.equal("501 STARTTLS has no parameter", last(serve "STARTTLS now\r\n"))
  end)

  it("ends the connection when the handshake fails", function()
    local lines, _, events = serve { "STARTTLS\r\n", EHLO, tls_fails = true }
    assert.equal("220 Ready to start TLS", last(lines))
    assert.equal("tls: wrong version number", events[#events].why)
    lines = serve({ EHLO, tls_fails = true }, { tls = "implicit" })
    assert.equal(0, #lines)
  end)
end)

describe("a mail", function()
  it("is kept as it came, dots undone, with its envelope", function()
    local lines, kept = serve(LOGIN .. "MAIL FROM:<NoReply@mail.example.com> BODY=8BITMIME RET=HDRS ENVID=q1\r\n"
      .. "RCPT TO:<ann@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@example.net\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
      .. "Subject: =?utf-8?B?5oKo?=\r\n\r\n..\r\n...a\r\n.. b\r\n\255\r\n.\r\nQUIT\r\n")
    assert.same({ "250 Mail Ok", "250 Rcpt Ok", "250 Rcpt Ok", "354 End data with <CR><LF>.<CR><LF>",
      "250 Data Ok: queued as freedom ###envid=" .. ID, "221 Bye" }, last(lines, 6))
    assert.equal("Subject: =?utf-8?B?5oKo?=\r\n\r\n.\r\n..a\r\n. b\r\n\255\r\n", kept[1].bytes)
    assert.same({ via = "smtp", mail_from = "NoReply@mail.example.com", rcpt_to = { "ann@example.net", "bob@example.net" },
      user = USER, tls = "none", subject = "\230\130\168" }, kept[1].envelope)
  end)

  it("says how it was protected", function()
    local _, kept = serve { "STARTTLS\r\n", LOGIN .. MAIL .. TEXT .. ".\r\n" }
    assert.equal("starttls", kept[1].envelope.tls)
    _, kept = serve({ LOGIN .. MAIL .. TEXT .. ".\r\n" }, { tls = "implicit" })
    assert.equal("implicit", kept[1].envelope.tls)
  end)

  it("is the same however the bytes are cut", function()
    local all = LOGIN .. MAIL .. "A: b\r\n\r\n..x\r\n\r\n..\r\n.\r\n" .. MAIL .. ".\r\nQUIT\r\n"
    local whole, kept = serve(all)
    assert.equal("A: b\r\n\r\n.x\r\n\r\n.\r\n", kept[1].bytes)
    assert.equal("", kept[2].bytes)
    for step = 1, 7 do
      local packets = {}
      for from = 1, #all, step do packets[#packets + 1] = all:sub(from, from + step - 1) end
      local lines, again = serve(packets)
      assert.same(whole, lines)
      assert.same(kept, again)
    end
  end)

  it("ends at CRLF.CRLF only, and one with other line ends is refused", function()
    for _, smuggled in ipairs { "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r\r\n.\n", "\r\n\0.\r\n" } do
      local lines, kept = serve(LOGIN .. MAIL .. "a" .. smuggled .. "MAIL FROM:<x@example.com>\r\n.\r\nNOOP\r\n")
      if smuggled:find("%z") then
        assert.equal(1, #kept)
      else
        assert.equal("554 Bare CR or LF in the message (RFC 5321, 2.3.8)", lines[#lines - 1])
        assert.equal(0, #kept)
      end
      assert.equal("250 Ok", last(lines))
    end
  end)

  it("may follow another on one connection, with a number of its own", function()
    local lines, kept = serve(LOGIN .. (MAIL .. TEXT .. ".\r\n"):rep(3))
    assert.equal(3, #kept)
    assert.matches("envid=600000000000000003$", last(lines))
  end)

  it("over 15 MB is refused, one of 15 MB is taken, and neither ends the connection", function()
    local limit = 15 * 1024 * 1024
    local block = (("x"):rep(98) .. "\r\n"):rep(1024)
    local function send(size)
      local packets, left = { LOGIN .. MAIL }, size - 2
      while left >= #block do packets[#packets + 1] = block; left = left - #block end
      packets[#packets + 1] = ("y"):rep(left) .. "\r\n.\r\nNOOP\r\n"
      return serve(packets)
    end
    local lines, kept = send(limit)
    assert.matches("^250 Data Ok", lines[#lines - 1])
    assert.equal(limit, #kept[1].bytes)
    for _, size in ipairs { limit + 1, 2 * limit + 3, 3 * limit } do
      lines, kept = send(size)
      assert.same({ "557 The length of DATA content is over the maximum threshold", "250 Ok" }, last(lines, 2))
      assert.equal(0, #kept)
    end
  end)

  it("that cannot be written is refused for now", function()
    local lines = serve({ LOGIN .. MAIL .. TEXT .. ".\r\n" }, { disk_full = true })
    assert.equal("451 Requested action aborted: local error in processing", last(lines))
  end)

  it("that never ends is not kept", function()
    local lines, kept, events = serve(LOGIN .. MAIL .. TEXT)
    assert.equal("354 End data with <CR><LF>.<CR><LF>", last(lines))
    assert.equal(0, #kept)
    assert.same({ event = "close", why = "closed", via = "smtp", connection = 1 }, events[#events])
  end)
end)

describe("the sender", function()
  it("is the address that logged in", function()
    assert.equal('436 "MAIL FROM" doesn\'t conform with authentication [@sm060104] '
      .. '(Auth Account:noreply@mail.example.com|Mail Account:news@mail.example.com)',
      last(serve(LOGIN .. "MAIL FROM:<news@mail.example.com>\r\n")))
    assert.matches("Mail Account:%)$", last(serve(LOGIN .. "MAIL FROM:<>\r\n")))
    local news = EHLO .. "AUTH PLAIN " .. core.base64("\0news@mail.example.com\0" .. PASSWORD) .. "\r\n"
    assert.equal("250 Mail Ok", last(serve(news .. "MAIL FROM:<news@mail.example.com>\r\n")))
    local third = EHLO .. "AUTH PLAIN " .. core.base64("\0third@mail.example.com\0" .. PASSWORD) .. "\r\n"
    assert.equal("250 Mail Ok", last(serve(third .. "MAIL FROM:<third@mail.example.com>\r\n")))
  end)

  it("must log in", function()
    assert.same({ "530 Authentication required", "503 Bad sequence of commands", "503 Bad sequence of commands" }, last((serve(EHLO
      .. MAIL)), 3))
  end)
end)

describe("recipients", function()
  it("of sandbox.example are refused one by one, the others stay", function()
    local lines, kept = serve(LOGIN .. "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<invalid@sandbox.example>\r\n"
      .. "RCPT TO:<Defer@Sandbox.example>\r\n"
      .. "RCPT TO:<full@sandbox.example>\r\nRCPT TO:<fine@sandbox.example>\r\nDATA\r\n" .. TEXT .. ".\r\n")
    assert.same({ "559 Invalid rcptto", "450 Requested mail action not taken: mailbox unavailable", "552 mailbox is full", "250 Rcpt Ok" },
      { unpack(last(lines, 6), 1, 4) })
    assert.same({ "fine@sandbox.example" }, kept[1].envelope.rcpt_to)
  end)

  it("are needed before DATA", function()
    assert.equal("503 Bad sequence of commands",
      last(serve(LOGIN .. "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<invalid@sandbox.example>\r\nDATA\r\n")))
  end)

  it("are at most 100", function()
    local lines, kept = serve(LOGIN .. "MAIL FROM:<noreply@mail.example.com>\r\n" .. ("RCPT TO:<a@example.net>\r\n"):rep(101)
      .. "DATA\r\n" .. TEXT .. ".\r\n")
    assert.equal("556 The number of RCPTs is over the maximum threshold", lines[#lines - 2])
    assert.equal(100, #kept[1].envelope.rcpt_to)
  end)
end)

describe("a broken client", function()
  it("hears what is wrong with an address or a parameter", function()
    for text, reply in pairs {
      ["MAIL FROM:noreply@mail.example.com"] = "501 Syntax: FROM:<address>",
      ["MAIL noreply@mail.example.com"] = "501 Syntax: FROM:<address>",
      ["MAIL FROM:<noreply>"] = "501 Bad address syntax",
      ["MAIL FROM:<a b@example.com>"] = "501 Bad address syntax",
      ["MAIL FROM:<a@b@example.com>"] = "501 Bad address syntax",
      ["MAIL FROM:<" .. ("a"):rep(300) .. "@example.com>"] = "501 Path too long",
      ["MAIL FROM:<\195\164@example.com>"] = "553 SMTPUTF8 is not offered: ASCII addresses only",
      ["MAIL FROM:<noreply@mail.example.com> SIZE=100"] = "555 SIZE is not offered",
      ["MAIL FROM:<noreply@mail.example.com> SMTPUTF8"] = "555 SMTPUTF8 is not offered",
      ["MAIL FROM:<noreply@mail.example.com> BODY=BINARYMIME"] = "501 Bad value of BODY",
      ["MAIL FROM:<noreply@mail.example.com> RET=FULL RET=FULL"] = "501 Bad value of RET",
      ["MAIL FROM:<noreply@mail.example.com>BODY=7BIT"] = "501 Bad parameter syntax",
      ["MAIL FROM:<noreply@mail.example.com> ENVID="] = "501 Bad value of ENVID",
      ["RCPT TO:<a@example.com>"] = "503 Bad sequence of commands",
    } do
      assert.equal(reply, last(serve(LOGIN .. text .. "\r\n")), text)
    end
    local from = LOGIN .. "MAIL FROM:<noreply@mail.example.com>\r\n"
    for text, reply in pairs {
      ["RCPT TO:<>"] = "501 Bad address syntax",
      ["RCPT TO:<a@example.com> NOTIFY=NEVER"] = "250 Rcpt Ok",
      ["RCPT TO:<a@example.com> NOTIFY=SOMETIMES"] = "501 Bad value of NOTIFY",
      ["RCPT TO:<a@example.com> ORCPT=a@example.com"] = "501 Bad value of ORCPT",
      ["RCPT TO:<a@example.com> BODY=7BIT"] = "555 BODY is not offered",
      ['RCPT TO:<"a b"@example.com>'] = "250 Rcpt Ok",
      ["RCPT TO:<a@[192.0.2.1]>"] = "250 Rcpt Ok",
      ["rcpt to: <a@example.com>"] = "250 Rcpt Ok",
      ["MAIL FROM:<noreply@mail.example.com>"] = "503 Sender already given",
      [PLAIN:sub(1, -3)] = "503 Already authenticated",
    } do
      assert.equal(reply, last(serve(from .. text .. "\r\n")), text)
    end
  end)

  it("hears that commands are unknown, not offered or out of order", function()
    assert.same({ "502 Command not implemented", "502 Command not implemented", "502 Command not implemented",
      "502 Command not implemented",
      "250 Ok", "250 Ok", "501 RSET has no parameter", "501 DATA has no parameter", "503 Bad sequence of commands",
        "501 QUIT has no parameter", "221 Bye" },
      (serve "VRFY ann\r\nEXPN all\r\nBDAT 5 LAST\r\nWHAT\r\nNOOP x\r\nRSET\r\nRSET x\r\nDATA x\r\nDATA\r\nQUIT x\r\nQUIT\r\nNOOP\r\n"))
  end)

  it("is answered 500 for an endless line, LF alone, CR or NUL within a line, and goes on", function()
    local long = ("x"):rep(5000)
    assert.same({ "500 Line too long", "250 Ok" }, (serve("NOOP " .. long .. "\r\nNOOP\r\n")))
    assert.same({ "500 Line too long", "250 Ok" }, (serve { long, long, long, "\r\nNOOP\r\n" }))
    assert.same({ "500 A line ends in CRLF, not in LF alone", "250 Ok" }, (serve "NOOP\nNOOP\r\n"))
    assert.same({ "500 NUL or CR within a line", "250 Ok" }, (serve "NOOP\rQUIT\r\nNOOP\r\n"))
    assert.same({ "500 NUL or CR within a line", "250 Ok" }, (serve "NO\0OP\r\nNOOP\r\n"))
  end)

  it("takes a line of 4096 octets", function()
    assert.same({ "250 Ok" }, (serve("NOOP " .. ("x"):rep(4089) .. "\r\n")))
    assert.same({ "500 Line too long" }, (serve("NOOP " .. ("x"):rep(4091) .. "\r\n")))
  end)

  it("is left after many unknown commands", function()
    local lines = serve(("X\r\n"):rep(50))
    assert.equal(21, #lines)
    assert.equal("421 Too many errors, closing transmission channel", last(lines))
  end)

  it("that says nothing for long is told so", function()
    assert.same({ "421 Service not available, closing transmission channel" }, (serve { why = "timeout" }))
  end)

  it("cannot put its octets into a reply", function()
    for _, line in ipairs(serve(LOGIN .. "MAIL FROM:<a\27[2J@example.com>\r\nMAIL FROM:<a@example.com> \27=1\r\n\27\r\n")) do
      assert.is_nil(line:find("%c"))
    end
  end)
end)

describe("the service's headers", function()
  local function send(header) return last(serve(LOGIN .. MAIL .. header .. "\r\n" .. TEXT .. ".\r\n")) end
  local function set(name, text) return send("X-AliDM-" .. name .. ": " .. core.base64(text)) end

  it("are taken when they are as documented", function()
    for _, text in ipairs { '{"Version":"1.0","Unsubscribe":{"LinkType":"default","FilterLevel":"mailfrom"}}', '{"Version":"1.0"}',
      '{"Version":"1.0","OutboundIp":{"IpPoolId":"a-b-c"}}',
        '{"Version":"1.0","Unsubscribe":{"LinkType":"zh-cn","FilterLevel":"edm_id"}}' } do
      assert.matches("^250", set("Settings", text))
    end
    for _, text in ipairs { '{"TagName":"spring-2030","OpenTrace":"1","LinkTrace":"0"}', '{"TagName":"a_b"}', "{}" } do
      assert.matches("^250", set("Trace", text))
    end
    assert.matches("^250", send "x-alidm-settings: the service reads the exact name only")
  end)

  it("are refused by what is wrong with them", function()
    assert.equal("504 Invalid setting [@sm190210]", send "X-AliDM-Settings: not base64!")
    for _, text in ipairs { "{", "[]x", '"text"', "{}", '{"Version":"2.0"}', '{"Version":1.0}', '{"Version":"1.0","Unsubscribed":{}}',
      '{"Version":"1.0","Unsubscribe":"default"}',
      '{"Version":"1.0","Unsubscribe":{"Link":"x"}}', '{"Version":"1.0","OutboundIp":{"IpPoolId":""}}',
        '{"Version":"1.0","OutboundIp":{"IpPoolId":7}}' } do
      assert.equal("504 Invalid setting [@sm190210]", set("Settings", text), text)
    end
    assert.equal("504 Invalid setting: Unsubscribe.LinkType [@sm190211]", set("Settings",
      '{"Version":"1.0","Unsubscribe":{"LinkType":"fancy"}}'))
    assert.equal("504 Invalid setting: Unsubscribe.LinkType [@sm190211]", set("Settings",
      '{"Version":"1.0","Unsubscribe":{"LinkType":null}}'))
    assert.equal("504 Invalid setting: Unsubscribe.FilterLevel [@sm190212]", set("Settings",
      '{"Version":"1.0","Unsubscribe":{"FilterLevel":"all"}}'))
    for _, text in ipairs { '{"OpenTrace":1}', '{"LinkTrace":true}', '{"TagName":"two words"}', '{"TagName":""}', '{"Tag":"x"}',
      '{"TagName":"' .. ("x"):rep(129) .. '"}' } do
      assert.equal("504 Invalid setting [@sm190210]", set("Trace", text), text)
    end
    assert.equal("504 Invalid setting [@sm190210]", set("Settings", ("x"):rep(10000)))
  end)

  it("leave nothing behind when they are refused", function()
    local lines, kept = serve(LOGIN .. MAIL .. "X-AliDM-Trace: x\r\n\r\n.\r\n" .. MAIL .. TEXT .. ".\r\n")
    assert.matches("###envid=" .. ID .. "$", last(lines))
    assert.equal(1, #kept)
  end)
end)

describe("a group of commands", function()
  it("gets one write", function()
    local _, _, _, sock = serve { LOGIN, MAIL, TEXT .. ".\r\n" .. MAIL, TEXT .. ".\r\nQUIT\r\n" }
    assert.equal(5, #sock.sent)
    assert.equal("250 Mail Ok\r\n250 Rcpt Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n", sock.sent[3])
    assert.matches("^250 Data Ok.*354 End data.*\r\n$", sock.sent[4])
  end)

  it("of any length holds a bounded part of its replies back", function()
    local _, _, _, sock = serve(("NOOP\r\n"):rep(10000))
    for _, bytes in ipairs(sock.sent) do assert.is_true(#bytes < 17000) end
    assert.equal(10000 * 8 + 47, #table.concat(sock.sent))
  end)
end)

describe("a fault", function()
  local full = LOGIN .. MAIL .. TEXT .. ".\r\nQUIT\r\n"

  it("with a code gives the service's text and keeps the connection", function()
    for rule, reply in pairs {
      ["ehlo:421"] = "421 Service not available, closing transmission channel",
      ["auth:526"] = "526 Authentication failure",
      ["mail:551"] = "551 Main account unavailable [@ud010102]",
      ["rcpt:561"] = "561 Honeypot rcptto [@out060104]",
      ["rcpt:554"] = "554 RCPT (ann@example.net) dosn't exist",
      ["data:454"] = "454 Transient reject by behaviour spam",
      ["dot:554"] = "554 Reject by content spam",
      ["dot:552"] = "552 Daily sending quota exceeded",
      ["dot:436"] = '436 "MAIL FROM" doesn\'t conform with authentication [@sm060104] '
        .. '(Auth Account:noreply@mail.example.com|Mail Account:noreply@mail.example.com)',
      ["quit:499"] = "499 Requested action not taken, try again later",
    } do
      local lines, kept = serve({ full }, { faults = { rule } })
      assert.is_truthy(table.concat(lines, "\n"):find(reply, 1, true), rule)
      assert.equal(rule == "quit:499" and 1 or 0, #kept, rule)
      assert.equal(rule ~= "ehlo:421" and rule ~= "quit:499", last(lines) == "221 Bye", rule)
    end
  end)

  it("once lets the next try through", function()
    local lines = serve({ EHLO .. PLAIN .. PLAIN }, { faults = { "auth:526:once" } })
    assert.same({ "526 Authentication failure", "235 Authentication successful" }, last(lines, 2))
  end)

  it("counts no command that is refused anyway", function()
    local lines = serve({ EHLO .. "RCPT TO:<x@example.net>\r\nDATA\r\n" .. PLAIN .. MAIL }, { faults = { "rcpt:559:once" } })
    assert.same({ "250 Mail Ok", "559 Invalid rcptto", "503 Bad sequence of commands" }, last(lines, 3))
  end)

  it("instead of the banner leaves QUIT only", function()
    local _, _, _, sock = serve({ EHLO .. "NOOP\r\nQUIT\r\n" }, { faults = { "banner:554" } })
    assert.equal("554 No SMTP service here\r\n503 Bad sequence of commands\r\n503 Bad sequence of commands\r\n221 Bye\r\n",
      table.concat(sock.sent))
    _, _, _, sock = serve({ EHLO }, { faults = { "connect:421" }, tls = "implicit" })
    assert.equal("<TLS>\r\n421 Service not available, closing transmission channel\r\n", table.concat(sock.sent))
  end)

  it("drop closes before the step is taken, earlier replies are out", function()
    local lines, kept, events = serve({ full }, { faults = { "dot:drop" } })
    assert.equal("354 End data with <CR><LF>.<CR><LF>", last(lines))
    assert.equal(0, #kept)
    assert.equal("fault", events[#events].why)
    local _, _, _, sock = serve({ full }, { faults = { "connect:drop" } })
    assert.equal(0, #sock.sent)
    _, _, _, sock = serve({ full }, { faults = { "connect:drop" }, tls = "implicit" })
    assert.equal(0, #sock.identities)
  end)

  it("drop-after takes the step and closes without a word", function()
    local lines, kept = serve({ full }, { faults = { "dot:drop-after" } })
    assert.equal("354 End data with <CR><LF>.<CR><LF>", last(lines))
    assert.equal(1, #kept)
    lines = serve({ full }, { faults = { "data:drop-after" } })
    assert.equal("250 Rcpt Ok", last(lines))
    local _, _, _, sock = serve({ full }, { faults = { "connect:drop-after" }, tls = "implicit" })
    assert.same({ "<TLS>\r\n" }, sock.sent)
    lines = serve({ full }, { faults = { "quit:drop-after" } })
    assert.matches("^250 Data Ok", last(lines))
  end)

  it("slow waits with the earlier replies out, then goes on", function()
    local lines, kept, _, _, slept = serve({ full }, { faults = { "dot:slow=2.5" } })
    assert.equal("221 Bye", last(lines))
    assert.equal(1, #kept)
    assert.equal(1, #slept)
    assert.equal(2.5, slept[1][1])
    assert.is_true(slept[1][2] > 0)
  end)

  it("garbage is no reply, and the step is not taken", function()
    local lines, kept, _, sock = serve({ full }, { faults = { "dot:garbage" } })
    assert.equal(0, #kept)
    assert.equal("221 Bye", last(lines))
    assert.is_truthy(table.concat(sock.sent):find("\255", 1, true))
    assert.is_nil(lines[#lines - 1]:find("^%d%d%d"))
  end)

  it("with a certificate shows that one", function()
    local _, _, _, sock = serve({ "STARTTLS\r\n", EHLO }, { faults = { "starttls:tls=expired" } })
    assert.same({ "identity expired" }, sock.identities)
    _, _, _, sock = serve({ EHLO }, { faults = { "connect:tls=wrong-name" }, tls = "implicit" })
    assert.same({ "identity wrong-name" }, sock.identities)
    _, _, _, sock = serve({ "STARTTLS\r\n", EHLO }, { faults = { "connect:tls=wrong-name" } })
    assert.same({ "identity good" }, sock.identities)
  end)

  it("for a recipient meets mails to it only", function()
    local other = "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<bob@bad.example>\r\nDATA\r\n" .. TEXT .. ".\r\n"
    local lines, kept = serve({ LOGIN .. MAIL .. TEXT .. ".\r\n" .. other }, { faults = { "dot:554:to=*@bad.example" } })
    assert.equal("554 Reject by content spam", last(lines))
    assert.equal(1, #kept)
  end)

  it("is named in the log", function()
    local _, _, events = serve({ full }, { faults = { "auth:526:once" } })
    local found
    for _, event in ipairs(events) do found = found or event.fault and event end
    assert.same({ event = "command", step = "auth", reply = 526, text = "Authentication failure", fault = "auth:526:once", user = USER,
      mechanism = "PLAIN",
      cleartext = true, via = "smtp", connection = 1 }, found)
  end)
end)

describe("a reply's text", function()
  local replies = require "directmail.sandbox.replies"
  local rules = require "directmail.data.smtp_errors"

  local function matches(rule, text)
    for _, all in ipairs(rule.any) do
      local ok = true
      for _, pattern in ipairs(all) do ok = ok and text:lower():find(pattern) ~= nil end
      if ok then return true end
    end
  end

  it("is one that the error tables know under its code", function()
    local checked = {}
    for _, rule in ipairs(rules) do
      if (rule.scope == "directmail-submission" or rule.scope == "alimail-family") and rule.code and not checked[rule.code] then
        local found = false
        for _, step in ipairs { "auth", "mail", "rcpt", "data", "dot" } do
          local text = replies.text(step, rule.code, { user = "u", mail_from = "m", rcpt_to = "r" })
          for _, other in ipairs(rules) do
            found = found or (other.code == rule.code and other.scope == rule.scope and matches(other, text)) or false
          end
        end
        assert.is_true(found, rule.id)
        checked[rule.code] = true
      end
    end
    assert.is_true(checked[559] and checked[526] and checked[557])
  end)
end)
