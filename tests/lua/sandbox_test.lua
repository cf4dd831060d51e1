local core = require "directmail.core"
local host = require "directmail.host"
local json = require "cjson"
local sandbox = require "directmail.sandbox"

local box

local function start(options)
  box = assert(sandbox.start(options))
  return box
end

after_each(function()
  if box then box:stop() end
  box = nil
end)

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function port(url) return tonumber(url:match(":(%d+)$")) end

-- A client connected to the box.
local function connect(url)
  local sock = host.tcp { ca = box.ca }
  assert(sock:connect("127.0.0.1", port(url)))
  return sock
end

-- Say something, and read until the answer's last line is there.
local function ask(sock, bytes, last)
  if bytes then assert(sock:send(bytes)) end
  local got = ""
  while not got:find(last) do got = got .. assert(sock:receiveany(4096)) end
  return got
end

local function login()
  return "AUTH PLAIN " .. core.base64("\0" .. box.env.DIRECTMAIL_SMTP_USER .. "\0" .. box.env.DIRECTMAIL_SMTP_PASSWORD) .. "\r\n"
end

local function mail(to, text)
  return ("MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<%s>\r\nDATA\r\n%s\r\n.\r\n"):format(to, text)
end

-- Send one mail over STARTTLS.
local function send(to, text)
  local sock = connect(box.urls.smtp)
  ask(sock, nil, "220 ")
  ask(sock, "STARTTLS\r\n", "220 ")
  assert(sock:sslhandshake(false, "127.0.0.1", true))
  local said = ask(sock, "EHLO client.example\r\n" .. login() .. mail(to, text) .. "QUIT\r\n", "\n221 ")
  sock:close()
  return said
end

describe("a sandbox", function()
  it("has the settings that a client needs, and another password each time", function()
    start()
    local env = box.env
    assert.same({ "ap-southeast-1", "noreply@mail.example.com", "noreply@mail.example.com", box.urls.smtp, box.ca, box.dir .. "/ca.pem" },
      { env.DIRECTMAIL_REGION, env.DIRECTMAIL_SENDER, env.DIRECTMAIL_SMTP_USER, env.DIRECTMAIL_SMTP, env.DIRECTMAIL_CA, box.ca })
    assert.matches("^smtp://127%.0%.0%.1:%d+$", box.urls.smtp)
    assert.matches("^smtps://127%.0%.0%.1:%d+$", box.urls.smtps)
    assert.matches("^%w+$", env.DIRECTMAIL_SMTP_PASSWORD)
    assert.equal(20, #env.DIRECTMAIL_SMTP_PASSWORD)
    local other = assert(sandbox.start())
    assert.not_equal(env.DIRECTMAIL_SMTP_PASSWORD, other.env.DIRECTMAIL_SMTP_PASSWORD)
    assert.not_equal(box.dir, other.dir)
    other:stop()
  end)

  it("takes a mail over STARTTLS and hands it to who waits", function()
    start()
    local waiter = host.spawn(function() return box:wait { to = "ann@example.net", timeout = 20 } end)
    local said = send("ann@example.net", "Subject: Welcome\r\nContent-Type: text/html\r\n\r\n<p>Hi")
    local ok, got = host.wait(waiter)
    assert.is_true(ok)
    assert.equal(said:match("###envid=(%d+)"), got.id)
    assert.same({ "Welcome", "<p>Hi\r\n", "starttls", { "ann@example.net" }, "noreply@mail.example.com" },
      { got.subject, got.html, got.tls, got.to, got.from })
    assert.equal(got.id, box:mails()[1].id)
    box:clear()
    assert.same({}, box:mails())
    assert.is_nil(box:wait { timeout = 0 })
  end)

  it("takes a mail over TLS from the first octet, under each of its names", function()
    start()
    for i, name in ipairs { "127.0.0.1", "localhost", "::1" } do
      local sock = connect(box.urls.smtps)
      assert(sock:sslhandshake(false, name, true))
      ask(sock, nil, "220 ")
      ask(sock, "EHLO client.example\r\n" .. login() .. mail("ann@example.net", "Subject: x") .. "QUIT\r\n", "\n221 ")
      sock:close()
      assert.equal(i, #box:mails())
      assert.equal("implicit", box:mails()[i].tls)
    end
  end)

  it("shows a wrong certificate where a rule asks for it", function()
    start { faults = { "connect:tls=expired:once", "connect:tls=wrong-name:once", "starttls:tls=expired" } }
    local function handshake(starttls)
      local sock = connect(starttls and box.urls.smtp or box.urls.smtps)
      if starttls then
        ask(sock, nil, "220 ")
        ask(sock, "STARTTLS\r\n", "220 ")
      end
      local ok, why = sock:sslhandshake(false, "localhost", true)
      sock:close()
      return ok, why
    end
    assert.matches("^10: ", select(2, handshake()))
    assert.matches("wrong%-name%.example", select(2, handshake()))
    assert.is_true(handshake())
    assert.matches("^10: ", select(2, handshake(true)))
  end)

  it("serves many at a time", function()
    start()
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = host.spawn(function() return send(("a%d@example.net"):format(i), "Subject: " .. i) end)
    end
    for i = 1, 20 do
      local ok, said = host.wait(tasks[i])
      assert.is_true(ok, said)
      assert.matches("\n250 Data Ok", said)
    end
    assert.equal(20, #box:mails())
  end)

  it("closes connections beyond a number, and takes new ones when others have gone", function()
    start()
    local open = {}
    for i = 1, 400 do
      open[i] = connect(box.urls.smtp)
      ask(open[i], nil, "220 ")
    end
    local one_more = connect(box.urls.smtp)
    assert.is_nil(one_more:receiveany(100))
    one_more:close()
    ask(open[1], "QUIT\r\n", "221 ")
    assert.is_nil(open[1]:receiveany(100))
    ask(connect(box.urls.smtp), nil, "220 ")
    for _, sock in ipairs(open) do sock:close() end
  end)

  it("knows further senders", function()
    start { senders = { "Ann <ann@shop.example>" } }
    local sock = connect(box.urls.smtps)
    assert(sock:sslhandshake(false, "localhost", true))
    assert.matches("235 ", ask(sock, "EHLO x\r\nAUTH PLAIN " .. core.base64("\0ann@shop.example\0" .. box.env.DIRECTMAIL_SMTP_PASSWORD)
      .. "\r\n", "235 "))
    sock:close()
  end)

  it("writes what happened into log.jsonl and tells the listener, without the password", function()
    local heard = {}
    start { on_event = function(event) heard[#heard + 1] = event end }
    send("ann@example.net", "Subject: x")
    assert(box:wait { to = "ann@example.net", timeout = 5 })
    local n = 0
    for line in io.lines(box.dir .. "/log.jsonl") do
      n = n + 1
      assert.is_table(json.decode(line))
      assert.is_nil(line:find(box.env.DIRECTMAIL_SMTP_PASSWORD, 1, true))
    end
    assert.is_true(n > 5)
    assert.equal(n, #heard)
    assert.equal("start", heard[1].event)
  end)

  it("takes other fault rules while it runs", function()
    start()
    assert.is_true(box:set_faults { "rcpt:559:once" })
    local sock = connect(box.urls.smtps)
    assert(sock:sslhandshake(false, "localhost", true))
    assert.matches("559 Invalid rcptto", ask(sock, "EHLO x\r\n" .. login()
      .. "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<a@example.net>\r\n", "559 "))
    sock:close()
    local ok, why = box:set_faults { "nonsense" }
    assert.is_nil(ok)
    assert.equal("OPTION", why.code)
  end)
end)

describe("stop", function()
  it("closes ports and connections and removes the folder that it made", function()
    start()
    local dir = box.dir
    local sock = connect(box.urls.smtp)
    ask(sock, nil, "220 ")
    send("ann@example.net", "Subject: x")
    assert.is_true(exists(dir .. "/mail/600000000000000001.eml"))
    box:stop()
    box:stop()
    assert.is_nil(sock:receiveany(100))
    local again = host.tcp()
    assert.is_nil(again:connect("127.0.0.1", port(box.urls.smtp)))
    assert.is_false(exists(dir))
  end)

  it("leaves a folder that it was given, with the mails", function()
    local dir = assert(host.mkdtemp())
    start { dir = dir }
    send("ann@example.net", "Subject: x")
    box:stop()
    for _, name in ipairs { "/mail/600000000000000001.eml", "/mail/600000000000000001.json", "/log.jsonl", "/ca.pem" } do
      assert.is_true(exists(dir .. name), name)
      os.remove(dir .. name)
    end
    assert.is_true(os.remove(dir .. "/mail"))
    assert.is_true(os.remove(dir))
  end)
end)

describe("what cannot be started", function()
  it("is said with the remedy, and nothing stays behind", function()
    start()
    for code, options in pairs {
      OPTION = { faults = { "auth:526", "auth:what" } },
      ADDRESS = { senders = { "no address" } },
      FILE = { dir = box.ca .. "/below-a-file" },
      CONNECT = { smtps_port = port(box.urls.smtp) },
    } do
      local none, why = sandbox.start(options)
      assert.is_nil(none)
      assert.equal(code, why.code)
      assert.is_string(why.remedy)
    end
    local none, why = sandbox.start { host = { name = "nginx" } }
    assert.is_nil(none)
    assert.matches("within nginx", why.cause)
  end)

  it("is refused at the caller's line when an option or a field is unknown", function()
    local ok, why = pcall(sandbox.start, { smtp_prot = 1 })
    assert.is_false(ok)
    assert.matches('unknown field "smtp_prot" in sandbox.start %(did you mean "smtp_port"%?%)', why)
    start()
    ok, why = pcall(function() box:wait { too = "x" } end)
    assert.is_false(ok)
    assert.matches('sandbox_test.lua:%d+: unknown field "too"', why)
  end)
end)
