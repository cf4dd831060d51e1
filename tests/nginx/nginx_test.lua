-- The third home: directmail inside Debian's nginx with http_lua, against the sandbox and against servers that misbehave.
local host = require "directmail.host.std"
local http1 = require "directmail.http1"
local json = require "cjson"
local nginx = require "support.nginx"
local sandbox = require "directmail.sandbox"

local SECRET = "correct horse battery"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

-- ---- peers -------------------------------------------------------------------

local authority = host.authority()

-- A server on loopback that lets `each(sock)` have every connection; returns its port.
local listeners = {}
local function serve(each)
  local listener = assert(host.listen("127.0.0.1", 0))
  listeners[#listeners + 1] = listener
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(function()
        each(sock)
        sock:close()
      end)
    end
  end)
  return listener.port
end

-- Answer one client line after the other with `answers`, in order; true when all were given.
local function talk(sock, answers)
  local held = ""
  for _, answer in ipairs(answers) do
    while not held:find("\n", 1, true) do
      local bytes = sock:receiveany(4096)
      if not bytes then return false end
      held = held .. bytes
    end
    held = held:match "\n(.*)$"
    if not sock:send(answer) then return false end
  end
  return true
end

-- Say `words` while the body comes, and close over what was not read: the client's next write meets a reset.
local function break_off(sock, words)
  sock:send "220 hello\r\n"
  talk(sock, { "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n" })
  sock:receiveany(1000)
  sock:send(words)
end

local ours, expired, other

local PEERS = {
  mute = function(sock) repeat until not sock:receiveany(4096) end,
  full = function(sock) break_off(sock, "552 5.3.4 that is too much\r\n") end,
  full_tls = function(sock)
    if sock:sslaccept(ours) then break_off(sock, "552 5.3.4 that is too much\r\n") end
  end,
  shut = function(sock) break_off(sock, "421 4.3.2 shutting down\r\n") end,
  injects = function(sock)
    sock:send "220 hello\r\n"
    talk(sock, { "250-hello\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n" })
    sock:receiveany(1000)
  end,
  forgets = function(sock)      -- takes the whole message and hangs up without a word
    sock:send "220 hello\r\n"
    talk(sock, { "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n" })
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
  https = function(sock)
    if not sock:sslaccept(ours) then return end
    http1.serve(sock, function(request)
      return { status = 200, headers = { ["X-Path"] = request.target, ["X-Host"] = request.host }, body = request.body:upper() }
    end, { host = host })
  end,
  untrusted = function(sock)
    sock:sslaccept(ours)
    sock:receiveany(1000)
  end,
  https_expired = function(sock)
    if sock:sslaccept(expired) then http1.serve(sock, function() return { status = 200 } end, { host = host }) end
  end,
  half = function(sock)         -- an answer that does not come to its end
    sock:receiveany(4096)
    sock:send "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegins"
  end,
  no_http = function(sock)
    sock:receiveany(4096)
    sock:send "220 mail.example.com ESMTP\r\n"
  end,
  once = function(sock)         -- promises to go on, and does not
    sock:receiveany(4096)
    sock:send "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
  end,
  drips = function(sock)
    sock:receiveany(4096)
    sock:send "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    repeat host.sleep(0.1) until not sock:send "x"
  end,
}

-- ---- two nginx for all tests ----------------------------------------------------

local box, rig, late, port

local TRUST = "lua_ssl_trusted_certificate ca.pem; lua_ssl_verify_depth 3; lua_ssl_protocols TLSv1.2 TLSv1.3;"

-- What a phase answers, put into a shared dict for the test to ask.
local function note(phase)
  return ([[ %s_by_lua_block {
    local mail = require "directmail".new { smtp = "smtp://127.0.0.1:1", via = "smtp" }
    local receipt, err = mail:send { to = "ann@example.com", text = "hi" }
    ngx.shared.notes:set("%s", require "cjson".encode(require "directmail.err".plain(err))) %s
  } ]]):format(phase, phase, phase == "set" and "return 1" or "")
end

local HTTP = [[
  lua_shared_dict notes 1m;
  lua_socket_log_errors off;
  resolver @RESOLVER@ ipv6=off; resolver_timeout 1s;
  init_by_lua_block {
    directmail_at_start = require "directmail"
    from_init = assert(directmail_at_start.new { via = "smtp" })
    sent_in_init = { from_init:send { to = "ann@example.com", text = "hi" } }
  }
  ]] .. note "init_worker" .. [[
  server {
    listen 127.0.0.1:@PORT@;
    client_max_body_size 64m; client_body_buffer_size 64m;
    location = /ping { return 200 pong; }
    location = /run { ]] .. TRUST .. [[ @RUN@ }
    location = /private_ca { lua_ssl_trusted_certificate peers.pem; @RUN@ }
    location = /no_ca { @RUN@ }
    location = /phases {
      ]] .. note("set"):gsub("set_by_lua_block", "set_by_lua_block $x") .. note "header_filter" .. note "body_filter" .. note "log" .. [[
      return 200 ok;
    }
  }
]]

-- A second one where directmail is not loaded in init_by_lua, and nothing else is set either.
local BARE = [[
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
  }
]]

local function environment()
  local env = {}
  for name, value in pairs(box.env) do env[name] = value end
  env.DIRECTMAIL_SMTP = ("smtp://localhost:%d"):format(port.starttls)
  return env
end

setup(function()
  box = assert(sandbox.start())
  port = { starttls = tonumber(box.urls.smtp:match ":(%d+)"), implicit = tonumber(box.urls.smtps:match ":(%d+)") }
  local function identity(names, options) return host.identity(authority:issue(names, options)) end
  ours, other, expired = identity { "localhost" }, identity { "other.example" }, identity({ "localhost" }, { expired = true })
  for name, each in pairs(PEERS) do port[name] = serve(each) end
  local nobody = assert(host.listen("127.0.0.1", 0))
  port.closed = nobody.port
  nobody:close()
  local env = environment()
  local key_id, key = env.ALIBABA_CLOUD_ACCESS_KEY_ID, env.ALIBABA_CLOUD_ACCESS_KEY_SECRET
  env.HOME = "/nowhere"
  rig = nginx.start {
    http = HTTP, env = env, workers = 2,
    names = { localhost = "127.0.0.1", ["silent.example"] = "-" },
    files = { ["ca.pem"] = read(box.ca), ["peers.pem"] = authority.ca, ["small.csv"] = "a,b\r\n1,2\r\n", ["large.bin"] = ("x"):rep(1048577),
      ["just.bin"] = ("x"):rep(1048576) },
  }
  local home = nginx.folder()
  late = nginx.start {
    http = BARE, names = {}, env = { DIRECTMAIL_REGION = "ap-southeast-1", HOME = home },
  }
  assert(key_id and key)
end)

teardown(function()
  rig:stop()
  late:stop()
  box:stop()
  for _, listener in ipairs(listeners) do listener:close() end
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

-- ---- the promise ---------------------------------------------------------------

describe("the five lines of docs/homes.md", function()
  local page

  setup(function()
    local block = assert(read "docs/homes.md":match "\n```nginx\nhttp {\n(.-)\n}\n```\n", "docs/homes.md has no block for nginx.conf")
    local function put(old, new)
      local n
      block, n = block:gsub(old:gsub("%p", "%%%0"), (new:gsub("%%", "%%%%")))
      assert(n == 1, old)
    end
    put("resolver 223.5.5.5 ipv6=off;", "resolver @RESOLVER@ ipv6=off;")
    put("/etc/ssl/certs/ca-certificates.crt", "ca.pem")
    put("listen 127.0.0.1:8080;", "listen 127.0.0.1:@PORT@; location = /run { @RUN@ }")
    page = nginx.start { http = block, env = environment(), names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = read(box.ca) } }
  end)

  teardown(function() page:stop() end)

  it("send a mail by the API from a content handler", function()
    local status, id = page:ask "/welcome"
    assert.same({ 200, true }, { status, id:find "^%d+\n$" ~= nil }, id .. page:log())
    local mail = assert(box:wait { to = "ann@example.com", subject = "Welcome, Ann", timeout = 5 })
    assert.same({ "api", "Hi Ann" }, { mail.via, (mail.text:gsub("%s+$", "")) })
  end)

  it("send one with an attachment by SMTP, STARTTLS and AUTH, from a timer of a log handler", function()
    assert.equal(204, (page:ask "/seen"))
    local mail = assert(box:wait { to = "ann@example.com", subject = "Seen", timeout = 5 })
    assert.same({ "smtp", "starttls", "noreply@mail.example.com", "when.txt" }, { mail.via, mail.tls, mail.user, mail.attachments[1].name })
  end)

  it("never load directmail.net", function()
    assert.same({ "nginx", true, true }, { page:run [[
      return directmail and require "directmail.host".name, package.loaded["directmail.net"] == nil, package.loaded["directmail.host.std"] == nil
    ]] })
  end)
end)

-- ---- SMTP --------------------------------------------------------------------------

describe("a mail by SMTP from nginx", function()
  it("arrives by STARTTLS and AUTH with its attachment", function()
    local receipt = send { fields = { text = "Hi", html = "<p>Hi</p>", attachments = { { name = "报告.csv", data = "a\0b\255" } } } }
    assert.same({ "sent", "smtp", { "ann@example.com" } }, { receipt.outcome, receipt.via, receipt.accepted })
    local mail = assert(box:wait { to = "ann@example.com", timeout = 5 })
    assert.same({ receipt.id, "starttls", "报告.csv", "a\0b\255" }, { mail.id, mail.tls, mail.attachments[1].name, mail.attachments[1].data })
  end)

  it("arrives by TLS from the first octet", function()
    local receipt = send { options = { smtp = "smtps://localhost:" .. port.implicit, via = "smtp" }, fields = { text = "Hi" } }
    assert.equal("sent", receipt.outcome)
    assert.equal("implicit", assert(box:wait { to = "ann@example.com", timeout = 5 }).tls)
  end)

  it("is refused with the server's words when the login is", function()
    box:set_faults { "auth:526" }
    local _, e = send { options = { via = "smtp" }, fields = { text = "Hi" } }
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
    local task = host.spawn(send, { options = { via = "smtp" }, fields = { text = "slow" } })
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
  -- Ten times: a handshake that ends at once takes another way through nginx than one that waits.
  local function always(given, path, code, detail, remedy)
    for _ = 1, 10 do
      local _, e = send(given, path)
      assert.same({ code, detail, "not_sent", false }, { e.code, e.detail, e.outcome, e.retry }, json.encode(e))
      if remedy then assert.matches(remedy, e.remedy) end
    end
  end

  it("of an unknown authority is refused, and the remedy names the directive", function()
    always({ options = { via = "smtp" }, fields = { text = "x" } }, "/no_ca", "TLS", "issuer",
      "lua_ssl_trusted_certificate /etc/ssl/certs/ca%-certificates%.crt; lua_ssl_verify_depth 3;")
    always(smtp("smtps://localhost:" .. port.full_tls, { text = "x" }), "/run", "TLS", "issuer", "lua_ssl_trusted_certificate")
  end)

  it("for another name is refused", function()
    always(smtp("smtps://localhost:" .. port.other, { text = "x" }), "/private_ca", "TLS", "name")
  end)

  it("that has expired is refused", function()
    always(smtp("smtps://localhost:" .. port.expired, { text = "x" }), "/private_ca", "TLS", "expired")
  end)

  it("is refused behind STARTTLS as well, before the password", function()
    box:set_faults { "starttls:tls=wrong-name" }
    always({ options = { via = "smtp" }, fields = { text = "x" } }, "/run", "TLS", "name")
    box:set_faults { "starttls:tls=expired" }
    always({ options = { via = "smtp" }, fields = { text = "x" } }, "/run", "TLS", "expired")
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
    local _, e = late:run(SEND, smtp("smtp://mail.example.com:25", { from = "a@example.com", text = "x" }))
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

-- ---- the API and HTTP ------------------------------------------------------------------------

describe("the API from nginx", function()
  it("takes a mail", function()
    local receipt = send { fields = { text = "by API" } }
    assert.same({ "sent", "api" }, { receipt.outcome, receipt.via })
    assert.equal("api", assert(box:wait { to = "ann@example.com", timeout = 5 }).via)
  end)

  it("refuses with its own code and words", function()
    box:set_faults { "api:SingleSendMail:InvalidMailAddress.NotFound" }
    local _, e = send { fields = { text = "x" } }
    assert.same({ "REFUSED", "refused", "InvalidMailAddress.NotFound" }, { e.code, e.outcome, e.detail })
  end)

  it("is unknown when it takes the call and closes", function()
    box:set_faults { "api:drop-after" }
    local _, e = send { fields = { text = "x" } }
    assert.same({ "LOST", "unknown", false, "api" }, { e.code, e.outcome, e.retry, e.where.step })
  end)
end)

describe("host.http in nginx", function()
  local HTTP_CALL = [[
    local host = require "directmail.host"
    local out = {}
    for i = 1, given.times or 1 do
      local response, failure = host.http { url = given.url, method = given.method, headers = given.headers or {}, body = given.body,
        timeout = given.timeout or 5, connect_timeout = given.connect_timeout, max_body = given.max_body }
      out[i] = response or failure
    end
    return unpack(out)
  ]]

  local function https(name, path) return ("https://localhost:%d%s"):format(port[name], path or "/") end
  local function http(name, path) return ("http://localhost:%d%s"):format(port[name], path or "/") end

  it("asks over TLS, and again over the same connection", function()
    local first, second = rig:run(HTTP_CALL, { url = https("https", "/a?b=c"), body = "text", times = 2 }, "/private_ca")
    assert.same({ 200, "TEXT", "/a?b=c", false, true },
      { first.status, first.body, first.headers["x-path"], first.reused, second.reused })
    assert.equal("localhost:" .. port.https, first.headers["x-host"])
    assert.equal("localhost:" .. port.https, first.peer)
  end)

  it("takes an address without a path", function()
    local answer = rig:run(HTTP_CALL, { url = "https://localhost:" .. port.https .. "?a=b", method = "GET" }, "/private_ca")
    assert.equal("/?a=b", answer.headers["x-path"])
  end)

  it("says why not, and whether anything left", function()
    for _, case in ipairs {
      { https "untrusted", "/run", "TLS", "issuer", "connect", false },
      { https "https_expired", "/private_ca", "TLS", "expired", "connect", false },
      { https "other", "/private_ca", "TLS", "name", "connect", false },
      { https "clear", "/private_ca", "TLS", nil, "connect", false },
      { "https://127.0.0.1:" .. port.https, "/private_ca", "TLS", "name", "connect", false },
      { http "closed", "/run", "CONNECT", nil, "connect", false },
      { "http://nowhere.example/", "/run", "DNS", nil, "connect", false },
      { http "mute", "/run", "TIMEOUT", nil, "api", true },
      { https "mute", "/run", "TIMEOUT", nil, "connect", false },
      { http "drips", "/run", "TIMEOUT", nil, "api", true },
      { http "half", "/run", "LOST", nil, "api", true },
      { http "no_http", "/run", "PROTOCOL", nil, "api", true },
    } do
      local f = rig:run(HTTP_CALL, { url = case[1], body = "x", timeout = 0.5 }, case[2])
      assert.same({ case[3], case[4], case[5], case[6] }, { f.code, f.detail, f.step, f.sent }, case[1] .. " " .. json.encode(f))
    end
  end)

  it("does not send again what a kept connection lost", function()
    local first, second = rig:run(HTTP_CALL, { url = http "once", body = "x", times = 2 })
    assert.equal(200, first.status)
    assert.is_true(second.status == 200 or second.sent == true and second.code == "LOST", json.encode(second))
  end)

  it("stops at its limits", function()
    local f = rig:run(HTTP_CALL, { url = https "https", body = ("x"):rep(200), max_body = 100 }, "/private_ca")
    assert.same({ "PROTOCOL", true }, { f.code, f.sent })
  end)

  it("blames the caller for what is no URL", function()
    for _, url in ipairs { "ftp://localhost/", "http://user@localhost/", "http://localhost:70000/", "http:///x", "http://[::1/" } do
      assert.has_error(function() rig:run(HTTP_CALL, { url = url }) end)
    end
  end)
end)

-- ---- phases ------------------------------------------------------------------------------------

describe("a phase without sockets", function()
  local function told(phase)
    local text = rig:run([[ return ngx.shared.notes:get(given) ]], phase)
    assert.is_string(text, phase .. " left no note")
    return json.decode(text)
  end

  it("is named with the way out, and nothing is sent", function()
    assert.equal(200, (rig:ask "/phases"))
    for _, phase in ipairs { "set", "header_filter", "body_filter", "log", "init_worker" } do
      local e = told(phase)
      assert.same({ "OPTION", "phase", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry })
      assert.is_nil(e.where)
      assert.matches("no sockets in " .. phase .. "_by_lua", e.cause)
      assert.matches("ngx.timer.at(0, ", e.remedy, 1, true)
    end
  end)

  it("is init_by_lua too, where a mail object can be made for all requests", function()
    local receipt, e = rig:run [[ return sent_in_init[1], sent_in_init[2] ]]
    assert.equal(json.null, receipt)
    assert.matches("init_by_lua", e.cause)
    local sent = rig:run [[ return from_init:send { to = "ann@example.com", text = "made in init" } ]]
    assert.equal("sent", sent.outcome)
  end)

  it("lets a message be built", function()
    assert.is_true(rig:run [[ return directmail.message { from = "a@example.com", to = "b@example.com", text = "x" }:size() > 100 ]])
  end)
end)

describe("a worker thread of nginx", function()
  it("refuses directmail by name", function()
    local ok, why = rig:run [[
      local path = package.searchpath("directmail.host", package.path)
      local file = assert(io.open(ngx.config.prefix() .. "lua/in_thread.lua", "w"))
      file:write 'return { try = function() local ok, why = pcall(require, "directmail.host"); return ok, tostring(why), package.loaded["directmail.net"] == nil end }'
      file:close()
      local _, loaded, why, no_net = ngx.run_worker_thread("lua", "in_thread", "try")
      return loaded, why, no_net, path
    ]]
    assert.is_false(ok)
    assert.matches("worker threads", why)
  end)
end)

-- ---- files ------------------------------------------------------------------------------------

describe("an attachment by path in nginx", function()
  local function attach(path)
    return rig:run([[
      local mail = assert(directmail.new { via = "smtp" })
      return mail:send { to = "ann@example.com", text = "x", attachments = { (given:gsub("^@", ngx.config.prefix())) } }
    ]], path)
  end

  it("is read whole up to 1 MB", function()
    assert.equal("sent", attach "@small.csv".outcome)
    local mail = assert(box:wait { to = "ann@example.com", timeout = 5 })
    assert.same({ "small.csv", "text/csv", "a,b\r\n1,2\r\n" }, { mail.attachments[1].name, mail.attachments[1].type, mail.attachments[1].data })
    assert.equal("sent", attach "@just.bin".outcome)
  end)

  it("is refused above, with the way out", function()
    local _, e = attach "@large.bin"
    assert.same({ "FILE", "not_sent", "attachments[1]" }, { e.code, e.outcome, e.detail })
    assert.matches("larger than 1048576 octets", e.cause)
    assert.matches("data, or read", e.remedy)
  end)

  it("is refused when it is not there, a folder, or has a NUL", function()
    for _, path in ipairs { "@absent.csv", "@tmp", "@small.csv\0" } do
      local _, e = attach(path)
      assert.same({ "FILE", "not_sent" }, { e.code, e.outcome }, path)
    end
  end)

  it("may be larger when a function brings it, which may wait", function()
    local receipt = rig:run [[
      local left, size = 40, 40 * 65536
      local mail = assert(directmail.new { via = "smtp" })
      return mail:send { to = "ann@example.com", text = "x", attachments = { { name = "big.bin", size = size, read = function()
        if left == 0 then return nil end
        left = left - 1
        ngx.sleep(0.001)
        return ("x"):rep(65536)
      end } } }
    ]]
    assert.equal("sent", receipt.outcome)
    assert.equal(40 * 65536, #assert(box:wait { to = "ann@example.com", timeout = 5 }).attachments[1].data)
  end)
end)

-- ---- settings -------------------------------------------------------------------------------------

describe("settings in nginx", function()
  it("refuse ca and proxy by name", function()
    for name, value in pairs { ca = "/etc/ssl/certs/ca-certificates.crt", proxy = "socks5://127.0.0.1:1080" } do
      local mail, e = rig:run([[ return directmail.new { [given.name] = given.value } ]], { name = name, value = value })
      assert.equal(json.null, mail)
      assert.same({ "OPTION", name, "not_sent" }, { e.code, e.detail, e.outcome })
    end
    local _, e = rig:run [[ return directmail.new { ca = "x" } ]]
    assert.matches("lua_ssl_trusted_certificate", e.remedy)
  end)

  it("leave DIRECTMAIL_CA alone with one warning", function()
    for _ = 1, 3 do send { options = { via = "smtp" }, fields = { text = "x" } } end
    local _, warnings = rig:log():gsub("%[warn%][^\n]*DIRECTMAIL_CA[^\n]*lua_ssl_trusted_certificate", "")
    assert.equal(1, warnings)
  end)

  it("come from the environment that init_by_lua saw", function()
    local env = environment()
    local region, getenv = rig:run [[ return require "directmail.host".env "DIRECTMAIL_REGION", os.getenv "DIRECTMAIL_REGION" ]]
    assert.same({ env.DIRECTMAIL_REGION, json.null }, { region, getenv })
    assert.equal(json.null, (rig:run [[ return require "directmail.host".env "PATH" or nil ]]))
  end)

  it("are missing when directmail was not loaded there, which is said once", function()
    for _ = 1, 3 do assert.equal(json.null, (late:run [[ return require "directmail.host".env "DIRECTMAIL_REGION" ]])) end
    local _, warnings = late:log():gsub("%[warn%][^\n]*init_by_lua_block", "")
    assert.equal(1, warnings)
  end)

  it("never show the password in the log", function()
    send(peer "injects")
    send(smtp("smtp://localhost:" .. port.starttls, { text = "x" }))
    assert.is_nil(rig:log():find(SECRET, 1, true))
    assert.is_nil(rig:log():find(box.env.DIRECTMAIL_SMTP_PASSWORD, 1, true))
  end)
end)

describe("profile and credential files", function()
  local home, files

  setup(function()
    home = nginx.folder()
    files = nginx.start {
      http = [[
        init_by_lua_block {
          require "directmail"
          named = assert(require "directmail".new { profile = os.getenv "HOME" .. "/other.lua" })
        }
        server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }
      ]],
      names = {}, env = { HOME = home },
      home = { path = home, files = {
        [".config/directmail/profile.lua"] = 'return { region = "ap-southeast-1", sender = "noreply@mail.example.com" }',
        ["other.lua"] = 'return { region = "cn-hangzhou" }',
        ["third.lua"] = 'return { region = "cn-hangzhou" }',
        [".aliyun/config.json"] = '{"current":"default","profiles":[{"name":"default","mode":"AK","access_key_id":"LTAI5tabc","access_key_secret":"s3cret"}]}',
      } },
    }
    -- what a worker could not read
    os.execute(("rm -rf '%s'"):format(home))
  end)

  teardown(function() files:stop() end)

  it("are read in init_by_lua, and known to the workers", function()
    local mail, id = files:run [[
      local mail = assert(directmail.new())
      local key = assert(require "directmail.credentials".find(mail.settings, mail.host))
      return mail.settings.region, key.access_key_id
    ]]
    assert.same({ "ap-southeast-1", "LTAI5tabc" }, { mail, id })
    assert.equal("cn-hangzhou", (files:run [[ return named.settings.region ]]))
    assert.equal("cn-hangzhou", (files:run([[ return assert(directmail.new { profile = given }).settings.region ]], home .. "/other.lua")))
  end)

  it("that were not read there are refused with the way out", function()
    local _, e = files:run([[ return directmail.new { profile = given } ]], home .. "/third.lua")
    assert.same({ "FILE", "profile" }, { e.code, e.detail })
    assert.matches("init_by_lua", e.cause)
    assert.matches("init_by_lua_block", e.remedy)
  end)
end)

-- ---- the host table ----------------------------------------------------------------------------------

describe("the host of nginx", function()
  it("has a clock that stands neither still nor goes back", function()
    local now, ticks = rig:run [[
      local host = require "directmail.host"
      local start, last, steps = host.tick(), host.tick(), 0
      while last - start < 0.02 do
        local tick = host.tick()
        if tick < last then return false end
        if tick > last then steps = steps + 1 end
        last = tick
      end
      return host.now(), steps
    ]]
    assert.is_true(math.abs(now - host.now()) < 2)
    assert.is_true(ticks > 20)
  end)

  it("has dice that differ, between workers too", function()
    local seen, workers, n = {}, {}, 0
    repeat
      local bytes, pid = rig:run [[
        local host, hex = require "directmail.host", {}
        local bytes = host.random(16)
        return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)), ngx.worker.pid()
      ]]
      assert.matches("^" .. ("%x"):rep(32) .. "$", bytes)
      assert.is_nil(seen[bytes])
      seen[bytes], workers[pid], n = true, true, n + 1
    until n >= 20 and next(workers, next(workers)) or n == 2000
    assert.is_not_nil(next(workers, next(workers)), "only one worker answered")
    assert.equal(0, (rig:run [[ return #require "directmail.host".random(0) ]]))
  end)

  it("has semaphores as the others", function()
    assert.same({ true, json.null, "timeout", true, true }, { rig:run [[
      local host = require "directmail.host"
      local semaphore = host.semaphore()
      semaphore:post()
      local a = semaphore:wait(0.05)
      local b, why = semaphore:wait(0.05)
      local waiter = host.spawn(function() return semaphore:wait() end)
      semaphore:post(1)
      local ok, c = host.wait(waiter)
      return a, b, why, ok, c
    ]] })
  end)

  it("tells tasks' results and errors as the others", function()
    assert.same({ true, "a", "b" }, { rig:run [[ return directmail.wait(directmail.spawn(function(...) ngx.sleep(0.01) return ... end, "a", "b")) ]] })
    local ok, why = rig:run [[ return directmail.wait(directmail.spawn(function() error("oops", 0) end)) ]]
    assert.same({ false, "oops" }, { ok, why })
  end)

  it("reads files up to 1 MB", function()
    local why, fewer = rig:run [[
      local host, dir = require "directmail.host", ngx.config.prefix()
      assert(host.read(dir .. "small.csv") == "a,b\r\n1,2\r\n")
      assert(#host.read(dir .. "just.bin") == 1048576)
      local _, why = host.read(dir .. "large.bin")
      local _, fewer = host.read(dir .. "small.csv", 9)
      return why, fewer
    ]]
    assert.same({ "larger than 1048576 octets", "larger than 9 octets" }, { why, fewer })
  end)

  it("knows the machine's full name, or none", function()
    local name = rig:run [[ return require "directmail.host".hostname() ]]
    assert.equal(host.hostname() or json.null, name)
  end)

  it("verifies, always", function()
    for _, code in ipairs {
      [[ local s = require "directmail.host".tcp(); s:connect("127.0.0.1", given); s:sslhandshake(false, nil, true) ]],
      [[ local s = require "directmail.host".tcp(); s:connect("127.0.0.1", given); s:sslhandshake(false, "localhost", false) ]],
      [[ require "directmail.host".tcp { ca = "x" } ]],
    } do
      assert.has_error(function() rig:run(code, port.https) end)
    end
  end)

  it("has no sandbox inside", function()
    local started, e = rig:run [[ return directmail.sandbox.start() ]]
    assert.same({ json.null, "OPTION" }, { started, e.code })
    assert.matches("directmail sandbox", e.remedy)
  end)
end)
