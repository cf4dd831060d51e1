-- SMTP from inside nginx: what arrives, what is refused, and what the error says, against the sandbox and servers that misbehave.
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"

local SECRET = "correct horse battery"

local authority = host.authority()
local function identity(names, options) return host.identity(authority:issue(names, options)) end
local ours, other, expired = identity { "localhost" }, identity { "other.example" }, identity({ "localhost" }, { expired = true })

-- Say `words` while the body comes, and close over what was not read: the client's next write meets a reset.
local function break_off(sock, words)
  sock:send "220 hello\r\n"
  peers.talk(sock, { "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n" })
  sock:receiveany(1000)
  sock:send(words)
end

local PEERS = {
  mute = peers.swallow,
  full = function(sock) break_off(sock, "552 5.3.4 that is too much\r\n") end,
  full_tls = function(sock)
    if sock:sslaccept(ours) then break_off(sock, "552 5.3.4 that is too much\r\n") end
  end,
  shut = function(sock) break_off(sock, "421 4.3.2 shutting down\r\n") end,
  injects = function(sock)
    sock:send "220 hello\r\n"
    peers.talk(sock, { "250-hello\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n" })
    sock:receiveany(1000)
  end,
  forgets = function(sock)      -- takes the whole message and hangs up without a word
    sock:send "220 hello\r\n"
    peers.talk(sock, { "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n" })
    local all = ""
    repeat
      local bytes = sock:receiveany(4096)
      all = all .. (bytes or "")
    until not bytes or all:find "\r\n%.\r\n"
  end,
  clear = function(sock)
    sock:send "220 hello\r\n"
    sock:receiveany(1000)
    sock:receiveany(1000)
  end,
  expired = function(sock)
    sock:sslaccept(expired)
    sock:receiveany(1000)
  end,
  other = function(sock)
    sock:sslaccept(other)
    sock:receiveany(1000)
  end,
}

local box, rig, bare, port

local HTTP = [[
  lua_socket_log_errors off;
  resolver @RESOLVER@ ipv6=off; resolver_timeout 1s;
  init_by_lua_block { require "directmail" }
  server {
    listen 127.0.0.1:@PORT@;
    client_max_body_size 64m; client_body_buffer_size 64m;
    location = /ping { return 200 pong; }
    location = /run { lua_ssl_trusted_certificate ca.pem; lua_ssl_protocols TLSv1.2 TLSv1.3; @RUN@ }
    location = /private_ca { lua_ssl_trusted_certificate peers.pem; @RUN@ }
    location = /no_ca { @RUN@ }
  }
]]

setup(function()
  box = assert(sandbox.start())
  local env
  env, port = peers.settings(box)
  for name, each in pairs(PEERS) do port[name] = peers.serve(each) end
  port.closed = peers.nobody()
  rig = nginx.start {
    http = HTTP, env = env, workers = 1, names = { localhost = "127.0.0.1", ["silent.example"] = "-" },
    files = { ["ca.pem"] = peers.read(box.ca), ["peers.pem"] = authority.ca },
  }
  bare = nginx.start { http = "server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }" }
end)

teardown(function()
  rig:stop()
  bare:stop()
  box:stop()
  peers.stop()
end)

before_each(function()
  box:set_faults {}
  box:clear()
end)

local SEND = [[
  local options, fields = given.options or {}, given.fields or {}
  fields.to, fields.subject = fields.to or "ann@example.com", fields.subject or "Hi"
  if given.big then fields.attachments = { { name = "big.bin", data = ("0123456789abcdef"):rep(given.big / 16) } } end
  local mail, e = directmail.new(options)
  if not mail then return nil, e end
  return mail:send(fields)
]]

-- Send one mail inside nginx.
local function send(given, path) return rig:run(SEND, given, path) end

local function smtp(url, fields, more)
  local given = { options = { smtp = url, via = "smtp", smtp_user = "noreply@mail.example.com", smtp_password = SECRET }, fields = fields }
  for name, value in pairs(more or {}) do given[name] = value end
  return given
end

local function peer(name, more) return smtp(("smtp://localhost:%d"):format(port[name]), { text = "hi" }, more) end

local function without_login(given)
  given.options.auth = "off"
  return given
end

-- ---- SMTP --------------------------------------------------------------------------

describe("a mail by SMTP from nginx", function()
  it("arrives by STARTTLS and AUTH with its attachment", function()
    local receipt = send { fields = { text = "Hi", html = "<p>Hi</p>", attachments = { { name = "报告.csv", data = "a\0b\255" } } } }
    assert.same({ "sent", "smtp", { "ann@example.com" } }, { receipt.outcome, receipt.via, receipt.accepted })
    local mail = assert(box:wait { to = "ann@example.com", timeout = 5 })
    assert.same({ receipt.id, "starttls", "报告.csv", "a\0b\255" }, { mail.id, mail.tls, mail.attachments[1].name, mail.attachments[1].data })
  end)

  it("arrives by TLS from the first octet", function()
    local receipt = send { options = { smtp = "smtps://localhost:" .. port.smtps, via = "smtp" }, fields = { text = "Hi" } }
    assert.equal("sent", receipt.outcome)
    assert.equal("implicit", assert(box:wait { to = "ann@example.com", timeout = 5 }).tls)
  end)

  it("is refused with the server's words when the login is", function()
    box:set_faults { "auth:526" }
    local _, e = send { options = { via = "smtp", ehlo = "unheard.example.com" }, fields = { text = "Hi" } }
    assert.same({ "AUTH", "refused", "526", "auth" }, { e.code, e.outcome, e.detail, e.where.step })
    assert.matches("^526 ", e.reply)
  end)

  it("keeps the recipients apart that were refused", function()
    local receipt = send { options = { via = "smtp" }, fields = { to = { "ann@example.com", "invalid@sandbox.example" }, text = "Hi" } }
    assert.same({ "sent", { "ann@example.com" }, "invalid@sandbox.example" }, { receipt.outcome, receipt.accepted, receipt.refused[1].address })
  end)

  it("is not sent when the server injects lines into the answer to STARTTLS", function()
    local _, e = send(peer "injects")
    assert.same({ "PROTOCOL", "not_sent", "starttls" }, { e.code, e.outcome, e.where.step })
  end)

  it("is refused when a server says 552 and closes while the body is written", function()
    for _ = 1, 5 do
      local _, e = send(without_login(peer("full", { big = 11000000 })))
      assert.same({ "refused", "552", "552 5.3.4 that is too much" }, { e.outcome, e.detail, e.reply })
    end
  end)

  it("is refused likewise inside TLS", function()
    for _ = 1, 5 do
      local given = without_login(smtp("smtps://localhost:" .. port.full_tls, { text = "hi" }, { big = 11000000 }))
      local _, e = send(given, "/private_ca")
      assert.same({ "refused", "552" }, { e.outcome, e.detail }, json.encode(e))
    end
  end)

  it("is refused, and worth repeating, after 421 in the same place", function()
    local _, e = send(without_login(peer("shut", { big = 11000000 })))
    assert.same({ "refused", "421", true }, { e.outcome, e.detail, e.retry })
  end)

  it("is unknown when the connection ends behind the final dot", function()
    local _, e = send(without_login(peer "forgets"))
    assert.same({ "LOST", "unknown", false, "dot" }, { e.code, e.outcome, e.retry, e.where.step })
  end)

  it("is not sent when the server is silent, within the step's time or the whole one", function()
    local given = without_login(peer "mute")
    given.options.timeouts = { reply = 0.3 }
    local _, e = send(given)
    assert.same({ "TIMEOUT", "not_sent", true, "banner" }, { e.code, e.outcome, e.retry, e.where.step })
    given.options.timeouts, given.options.timeout = nil, 0.3
    _, e = send(given)
    assert.same({ "TIMEOUT", "not_sent", "banner" }, { e.code, e.outcome, e.where.step })
    assert.is_true(e.where.seconds >= 0.3 and e.where.seconds < 5)
    -- the deadline holds for a handshake too
    given.options.smtp = "smtps://localhost:" .. port.mute
    _, e = send(given)
    assert.same({ "TIMEOUT", "not_sent" }, { e.code, e.outcome })
    assert.is_true(e.where.seconds >= 0.3 and e.where.seconds < 5)
  end)

  it("says where nobody listens, in both families of addresses", function()
    for _, address in ipairs { "localhost", "127.0.0.1", "[::1]" } do
      local _, e = send(smtp(("smtp://%s:%d"):format(address, port.closed), { text = "hi" }))
      assert.same({ "CONNECT", "not_sent", true, "connect" }, { e.code, e.outcome, e.retry, e.where.step }, address .. json.encode(e))
      assert.matches("connection refused", e.cause)
    end
  end)

  it("leaves the worker free while it waits", function()
    box:set_faults { "banner:slow=2" }
    local task = host.spawn(send, { options = { via = "smtp", ehlo = "slow.example.com" }, fields = { text = "slow" } })
    local pings = 0
    repeat
      local start = host.tick()
      assert.same({ 200, "pong" }, { rig:ask "/ping" })
      assert.is_true(host.tick() - start < 1)
      pings = pings + 1
      host.sleep(0.1)
    until pings == 8
    local ok, receipt = host.wait(task)
    assert.same({ true, "sent" }, { ok, receipt.outcome })
    assert.is_true(receipt.seconds >= 2)
  end)

  it("is one of twenty at once, each with its own receipt", function()
    local tasks, ids = {}, {}
    for i = 1, 20 do
      tasks[i] = host.spawn(send, { options = { via = "smtp" }, fields = { to = ("n%d@example.com"):format(i), text = "hi" } })
    end
    for i = 1, 20 do
      local ok, receipt, e = host.wait(tasks[i])
      assert.is_true(ok, receipt)
      assert.same({ "sent", { ("n%d@example.com"):format(i) } }, { receipt.outcome, receipt.accepted }, json.encode(e))
      ids[receipt.id] = true
    end
    local n = 0
    for _ in pairs(ids) do n = n + 1 end
    assert.same({ 20, 20 }, { n, #box:mails() })
  end)

  it("can be one of many that send_all sends over few connections", function()
    local sent, refused = rig:run [[
      local mail, rows, sent, refused = assert(directmail.new { via = "smtp" }), {}, 0, nil
      for i = 1, 40 do rows[i] = { to = i == 20 and "invalid@sandbox.example" or "n" .. i .. "@example.com", subject = "x", text = "x" } end
      for result in mail:send_all(rows, { connections = 3 }) do
        if result.ok then sent = sent + 1 else refused = result.err end
      end
      return sent, refused
    ]]
    assert.same({ 39, "refused", "559", 39 }, { sent, refused.outcome, refused.detail, #box:mails() })
  end)

  it("can be several of one handler, as tasks", function()
    local sent = rig:run [[
      local mail, tasks, sent = assert(directmail.new { via = "smtp" }), {}, 0
      for i = 1, 5 do
        tasks[i] = directmail.spawn(function() return mail:send { to = "t" .. i .. "@example.com", text = "hi" } end)
      end
      for i = 1, 5 do
        local ok, receipt = directmail.wait(tasks[i])
        if ok and receipt then sent = sent + 1 end
      end
      return sent
    ]]
    assert.equal(5, sent)
  end)
end)

-- ---- TLS -------------------------------------------------------------------------------

describe("a certificate seen from nginx", function()
  -- a name of its own in EHLO is a connection of its own: none that was kept is taken
  local NEW = { via = "smtp", ehlo = "new.example.com" }

  -- Ten times: a handshake that ends at once takes another way through nginx than one that waits.
  local function always(given, path, code, detail, remedy)
    for _ = 1, 10 do
      local _, e = send(given, path)
      assert.same({ code, detail, "not_sent", false }, { e.code, e.detail, e.outcome, e.retry }, json.encode(e))
      if remedy then assert.matches(remedy, e.remedy) end
    end
  end

  it("of an unknown authority is refused, and the remedy names the directive", function()
    always({ options = NEW, fields = { text = "x" } }, "/no_ca", "TLS", "issuer",
      "lua_ssl_trusted_certificate /etc/ssl/certs/ca%-certificates%.crt; lua_ssl_verify_depth 3;")
    always(smtp("smtps://localhost:" .. port.full_tls, { text = "x" }), "/run", "TLS", "issuer", "lua_ssl_trusted_certificate")
  end)

  it("behind two others is refused without lua_ssl_verify_depth, which the remedy names, and taken with it", function()
    local dir = assert(host.mkdtemp())
    assert(os.execute(([[ cd '%s' && exec 2>log && ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' &&
      openssl req -x509 $ec -days 2 -subj /CN=root -keyout root.key -out root.pem -addext basicConstraints=critical,CA:TRUE &&
      issue() { openssl req $ec -subj /CN=$1 -keyout $1.key -out $1.csr && printf '%%s\n' "$3" >$1.ext &&
        openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 2 -extfile $1.ext -out $1.pem; } &&
      issue one root basicConstraints=critical,CA:TRUE && issue two one basicConstraints=critical,CA:TRUE &&
      issue leaf two subjectAltName=DNS:localhost && cat leaf.pem two.pem one.pem >chain.pem ]]):format(dir)))
    local chain = host.identity(peers.read(dir .. "/chain.pem"), peers.read(dir .. "/leaf.key"))
    local server = peers.serve(function(sock)
      if sock:sslaccept(chain) then sock:send "421 closed today\r\n" end
      sock:receiveany(100)
    end)
    local function start(directive)
      return nginx.start { http = "resolver @RESOLVER@ ipv6=off; lua_ssl_trusted_certificate root.pem; " .. directive
        .. " server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }", names = { localhost = "127.0.0.1" },
        files = { ["root.pem"] = peers.read(dir .. "/root.pem") } }
    end
    local given = smtp("smtps://localhost:" .. server, { from = "noreply@mail.example.com", text = "x" })
    local short, deep = start "", start "lua_ssl_verify_depth 3;"
    local _, e = short:run(SEND, given)
    assert.same({ "TLS", "issuer", "not_sent" }, { e.code, e.detail, e.outcome })
    assert.matches("lua_ssl_verify_depth 3;", e.remedy, 1, true)
    _, e = deep:run(SEND, given)
    assert.same({ "refused", "421" }, { e.outcome, e.detail })
    short:stop()
    deep:stop()
    os.execute(("rm -rf '%s'"):format(dir))
  end)

  it("for another name is refused", function()
    always(smtp("smtps://localhost:" .. port.other, { text = "x" }), "/private_ca", "TLS", "name")
  end)

  it("that has expired is refused", function()
    always(smtp("smtps://localhost:" .. port.expired, { text = "x" }), "/private_ca", "TLS", "expired")
  end)

  it("is refused behind STARTTLS as well, before the password", function()
    box:set_faults { "starttls:tls=wrong-name" }
    always({ options = NEW, fields = { text = "x" } }, "/run", "TLS", "name")
    box:set_faults { "starttls:tls=expired" }
    always({ options = NEW, fields = { text = "x" } }, "/run", "TLS", "expired")
    assert.equal(0, #box:mails())
  end)

  it("cannot be for an IP address, said without a handshake", function()
    local _, e = send(smtp("smtps://127.0.0.1:" .. port.full_tls, { text = "x" }), "/private_ca")
    assert.same({ "TLS", "name" }, { e.code, e.detail })
    assert.matches("127%.0%.0%.1 is an address", e.cause)
    assert.matches("host name", e.remedy)
  end)

  it("is missing where the server speaks clear text: no earlier failure is blamed", function()
    send(smtp("smtps://localhost:" .. port.expired, { text = "x" }), "/private_ca")
    local _, e = send(smtp("smtps://localhost:" .. port.clear, { text = "x" }))
    assert.same({ "TLS", "not_sent" }, { e.code, e.outcome })
    assert.is_true(e.detail == nil or e.detail == "", e.detail)
    assert.matches("error log", e.remedy)
  end)
end)

-- ---- names -------------------------------------------------------------------------------

describe("a host name in nginx", function()
  it("needs a resolver, and the error says which line", function()
    local _, e = bare:run(SEND, smtp("smtp://mail.example.com:25", { from = "a@example.com", text = "x" }))
    assert.same({ "DNS", "not_sent" }, { e.code, e.outcome })
    assert.matches("nginx has no resolver", e.cause)
    assert.matches('add "resolver 223%.5%.5%.5 ipv6=off;"', e.remedy)
    assert.matches("http {}", e.remedy, 1, true)
  end)

  it("that does not exist, or whose server is silent, is DNS", function()
    local _, e = send(smtp("smtp://nowhere.example:25", { text = "x" }))
    assert.same({ "DNS", "not_sent", true }, { e.code, e.outcome, e.retry })
    assert.matches("resolver directive", e.remedy)
    _, e = send(smtp("smtp://silent.example:25", { text = "x" }))
    assert.same({ "DNS", "not_sent", true }, { e.code, e.outcome, e.retry })
  end)
end)

describe("nginx's error log", function()
  it("never shows a password", function()
    send(peer "injects")
    send(smtp("smtp://localhost:" .. port.smtp, { text = "x" }))
    send { options = { via = "smtp" }, fields = { text = "x" } }
    for _, secret in ipairs { SECRET, box.env.DIRECTMAIL_SMTP_PASSWORD, box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET } do
      assert.is_nil(rig:log():find(secret, 1, true))
    end
  end)
end)
