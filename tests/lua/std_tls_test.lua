-- std.lua with TLS over loopback: what is verified, and the words of each refusal.
local host = require "directmail.host.std"
local openssl = require "support.openssl"

local authority = host.authority()
local dir = assert(host.mkdtemp())
local ca = dir .. "/ca.pem"

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
end

write(ca, authority.ca)

local function identity(names, options) return host.identity(authority:issue(names, options)) end

local ours = identity { "localhost", "127.0.0.1", "::1" }

-- A server that takes one connection: each(sock) in a task.
local function once(each, address)
  local listener = assert(host.listen(address or "127.0.0.1", 0))
  local task = host.spawn(function()
    local sock = assert(listener:accept())
    listener:close()
    local function go(...)
      sock:close()
      return ...
    end
    return go(each(sock))
  end)
  return listener, task
end

local function accept_with(who)
  return function(sock) return sock:sslaccept(who) end
end

local function dial(listener, options)
  local sock = host.tcp(options or { ca = ca })
  assert.same({ 1 }, { sock:connect(listener.address, listener.port) })
  return sock
end

-- What the client is told when it shakes hands with this server under this name.
local function handshake(each, name, options)
  local listener, task = once(each)
  local sock = dial(listener, options)
  local ok, why = sock:sslhandshake(false, name, true)
  local after, after_why = sock:send("x")
  sock:close()
  host.wait(task)
  return ok, why, after, after_why
end

local function read(sock)
  local got = {}
  while true do
    local bytes, why = sock:receiveany(65536)
    if not bytes then return table.concat(got), why end
    got[#got + 1] = bytes
  end
end

describe("TLS", function()
  teardown(function()
    os.remove(ca)
    os.remove(dir)
  end)

  it("carries octets both ways and describes itself", function()
    local theirs
    local listener, task = once(function(sock)
      assert(sock:sslaccept(ours))
      theirs = sock:tls()
      sock:send(sock:receiveany(100):upper())
    end)
    local sock = dial(listener)
    assert.is_nil(sock:tls())
    assert.is_true(sock:sslhandshake(false, "localhost", true))
    sock:send("hello")
    assert.same({ "HELLO", "closed" }, { read(sock) })
    local info = sock:tls()
    assert.equal("TLSv1.3", info.version)
    assert.matches("^TLS_", info.cipher)
    assert.equal("localhost", info.subject)
    assert.equal(os.date("!%Y-%m-%d", os.time() + 365 * 24 * 3600), info.expires)
    assert.is_true((host.wait(task)))
    assert.equal("TLSv1.3", theirs.version)
    assert.is_nil(theirs.subject)
    sock:close()
    assert.is_nil(sock:tls())
  end)

  it("is for names and for IP addresses", function()
    for _, name in ipairs { "localhost", "LocalHost", "localhost.", "127.0.0.1", "::1", "0:0:0:0:0:0:0:1" } do
      assert.is_true((handshake(accept_with(ours), name)), name)
    end
  end)

  it("over IPv6", function()
    local listener, task = once(accept_with(ours), "::1")
    assert.is_true(dial(listener):sslhandshake(false, "::1", true))
    assert.same({ true, true }, { host.wait(task) })
  end)

  it("rules 2.36 and 2.37: refuses another name, and says whose the certificate is", function()
    local other = identity { "a.test", "*.b.test", "192.0.2.7", "2001:db8::7" }
    local words = "certificate host mismatch (it is for: a.test, *.b.test, 192.0.2.7, 2001:db8::7)"
    for _, name in ipairs { "localhost", "b.test", "x.y.b.test", "127.0.0.1", "192.0.2.8", "::1" } do
      assert.same({ nil, words, nil, "closed" }, { handshake(accept_with(other), name) })
    end
    for _, name in ipairs { "a.test", "x.b.test", "192.0.2.7", "2001:db8::7" } do
      assert.is_true((handshake(accept_with(other), name)), name)
    end
  end)

  it("shows as many names as fit", function()
    local names = {}
    for i = 1, 40 do names[i] = ("host-%d.example.test"):format(i) end
    local _, why = handshake(accept_with(identity(names)), "localhost")
    assert.matches("^certificate host mismatch %(it is for: host%-1%.example%.test, .*, %.%.%.%)$", why)
    assert.is_true(#why < 300)
  end)

  it("rule 2.36: refuses an issuer that nobody knows", function()
    local stranger = host.authority()
    local theirs = host.identity(stranger:issue { "localhost" })
    assert.same({ nil, "20: unable to get local issuer certificate", nil, "closed" }, { handshake(accept_with(theirs), "localhost") })
    -- the system's store knows neither
    local ok, why = handshake(accept_with(ours), "localhost", {})
    assert.is_nil(ok)
    assert.matches("^%d+: ", why)
  end)

  it("rule 2.36: refuses a certificate that ended", function()
    local old = identity({ "localhost" }, { expired = true })
    assert.same({ nil, "10: certificate has expired", nil, "closed" }, { handshake(accept_with(old), "localhost") })
  end)

  it("rule 2.36: refuses a name that stands in the common name only", function()
    local key, pem = dir .. "/key", dir .. "/cert"
    assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout %s -out %s 2>/dev/null"):format(key, pem)))
    local who = host.identity(host.read(pem), host.read(key))
    assert.same({ nil, "certificate host mismatch (it is for: localhost, in its common name only)", nil, "closed" },
      { handshake(accept_with(who), "localhost", { ca = pem }) })
    os.remove(key)
    os.remove(pem)
  end)

  it("has no switch that turns verification off", function()
    local sock = host.tcp { ca = ca }
    assert.has_error(function() sock:sslhandshake(false, "localhost", false) end,
      "bad argument #3 to 'sslhandshake' (true expected: certificates are always verified)")
    assert.has_error(function() sock:sslhandshake(false, "localhost") end)
    assert.has_error(function() sock:sslhandshake(false, nil, true) end,
      "bad argument #2 to 'sslhandshake' (the host name of the certificate expected)")
    assert.has_error(function() sock:sslhandshake(false, "", true) end)
  end)

  it("rule 2.35: names the mix-up when the server speaks clear text", function()
    local words = "wrong version number: the server speaks clear text here"
    assert.same({ nil, words, nil, "closed" }, { handshake(function(sock) sock:send("220 smtp.test ESMTP\r\n") read(sock) end, "localhost") })
    assert.same({ nil, words, nil, "closed" }, { handshake(function(sock)
      sock:receiveany(100)
      sock:send("HTTP/1.1 400 Bad Request\r\n\r\n")
    end, "localhost") })
  end)

  it("rule 2.35: names the mix-up when the client speaks clear text", function()
    local listener, task = once(accept_with(ours))
    local sock = dial(listener)
    sock:send("EHLO client.test\r\n")
    assert.same({ true, nil, "wrong version number: the client speaks clear text here" }, { host.wait(task) })
    sock:close()
  end)

  it("rule 2.38: refuses a server below TLS 1.2", function()
    -- its alert: fatal, protocol_version (RFC 8446, 6)
    assert.same({ nil, "unsupported protocol", nil, "closed" }, { handshake(function(sock)
      sock:receiveany(4096)
      sock:send("\21\3\1\0\2\2\70")
    end, "localhost") })
  end)

  it("tells a server that went away", function()
    assert.same({ nil, "closed", nil, "closed" }, { handshake(function() end, "localhost") })
    assert.same({ nil, "closed", nil, "closed" }, { handshake(function(sock) sock:receiveany(4096) end, "localhost") })
  end)

  it("gives a silent server the time limit of connecting", function()
    local listener, task = once(function(sock) read(sock) end)
    local sock = dial(listener)
    sock:settimeouts(40)
    local before = host.tick()
    assert.same({ nil, "timeout" }, { sock:sslhandshake(false, "localhost", true) })
    assert.is_true(host.tick() - before >= 0.04)
    host.wait(task)
  end)

  it("rule 2.39: says the name first (SNI), but never an IP address", function()
    local hello
    local function listen(sock) hello = sock:receiveany(4096) end
    handshake(listen, "smtp.test.")
    assert.equal(22, hello:byte(1))             -- a handshake record is the first thing that is sent
    assert.truthy(hello:find("\0\9smtp.test", 1, true))
    assert.falsy(hello:find("smtp.test.", 1, true))
    handshake(listen, "192.0.2.7")
    assert.equal(22, hello:byte(1))
    assert.falsy(hello:find("192.0.2.7", 1, true))
  end)

  it("rule 2.40: takes a line that is cut without goodbye as lost, on both ends", function()
    local listener, server = once(function(sock)
      assert(sock:sslaccept(ours))
      sock:send("250-half of an answer\r\n")
      return read(sock)
    end)
    local near, far
    local relay, carrier = once(function(sock)          -- carries the records, so that it can cut between two
      near, far = sock, host.tcp()
      assert(far:connect("127.0.0.1", listener.port))
      local up = host.spawn(function()
        repeat
          local bytes = near:receiveany(65536)
          if bytes then far:send(bytes) end
        until not bytes
      end)
      repeat
        local bytes = far:receiveany(65536)
        if bytes then near:send(bytes) end
      until not bytes
      host.wait(up)
    end)
    local sock = dial(relay)
    assert.is_true(sock:sslhandshake(false, "localhost", true))
    assert.equal("250-half of an answer\r\n", sock:receiveany(100))
    near:close()
    far:close()
    assert.same({ nil, "closed" }, { sock:receiveany(100) })
    assert.same({ true, "", "closed" }, { host.wait(server) })
    assert.is_true((host.wait(carrier)))
    sock:close()
  end)

  it("moves 20 MB each way at once between two tasks", function()
    local size, block = 20 * 1024 * 1024, ("0123456789abcdef"):rep(65536)
    local function both(sock)
      local sender = host.spawn(function()
        for _ = 1, size / #block do assert(sock:send(block)) end
      end)
      local received, wrong = 0, 0
      while received < size do
        local bytes = assert(sock:receiveany(65536))
        if bytes:byte(1) ~= block:byte(received % 16 + 1) then wrong = wrong + 1 end
        received = received + #bytes
      end
      assert(host.wait(sender))
      return received, wrong
    end
    local listener, server = once(function(sock)
      assert(sock:sslaccept(ours))
      return both(sock)
    end)
    local sock = dial(listener)
    assert.is_true(sock:sslhandshake(false, "localhost", true))
    assert.same({ size, 0 }, { both(sock) })
    assert.same({ true, size, 0 }, { host.wait(server) })
    sock:close()
  end)

  it("rule 7.6: never raises SIGPIPE, and still reads what the peer said last", function()
    local listener, task = once(function(sock)
      assert(sock:sslaccept(ours))
      sock:receiveany(10)
      sock:send("552 too large\r\n")
    end)
    local sock = dial(listener)
    assert.is_true(sock:sslhandshake(false, "localhost", true))
    local sent, why = sock:send(("x"):rep(30 * 1024 * 1024))
    assert.same({ nil, "closed" }, { sent, why })
    assert.same({ "552 too large\r\n", "closed" }, { read(sock) })
    sock:close()
    host.wait(task)
  end)

  it("reads a CA file again when it has changed, and says why it cannot", function()
    local path = dir .. "/changing.pem"
    local second = host.authority()
    local theirs = host.identity(second:issue { "localhost" })
    write(path, authority.ca)
    assert.is_true((handshake(accept_with(ours), "localhost", { ca = path })))
    write(path .. ".new", second.ca)
    os.rename(path .. ".new", path)
    assert.is_true((handshake(accept_with(theirs), "localhost", { ca = path })))
    local ok, why = handshake(accept_with(ours), "localhost", { ca = path })
    assert.is_nil(ok)
    assert.matches("^%d+: ", why)
    write(path, "no certificate\n")
    ok, why = handshake(accept_with(ours), "localhost", { ca = path })
    assert.is_nil(ok)
    assert.matches("^the CA file .*changing%.pem cannot be used: ", why)
    os.remove(path)
    ok, why = handshake(accept_with(ours), "localhost", { ca = path })
    assert.is_nil(ok)
    assert.matches("^the CA file .*changing%.pem cannot be used: No such file or directory$", why)
  end)

  it("stays with a kept connection", function()
    local listener = assert(host.listen("127.0.0.1", 0))
    local server = host.spawn(function()
      local sock = assert(listener:accept())
      assert(sock:sslaccept(ours))
      while true do
        local bytes = sock:receiveany(100)
        if not bytes then return end
        sock:send(bytes)
      end
    end)
    local function use(times)
      local sock = host.tcp { ca = ca }
      assert.same({ 1 }, { sock:connect("127.0.0.1", listener.port, { pool = "localhost" }) })
      assert.equal(times, sock:getreusedtimes())
      assert.is_true(sock:sslhandshake(false, "localhost", true))
      sock:send("ping")
      assert.equal("ping", sock:receiveany(100))
      assert.equal("TLSv1.3", sock:tls().version)
      return sock
    end
    assert.same({ 1 }, { use(0):setkeepalive(1000, 2) })
    assert.same({ 1 }, { use(1):setkeepalive(1000, 2) })
    local sock = host.tcp { ca = ca }
    sock:connect("127.0.0.1", listener.port, { pool = "localhost" })
    assert.same({ nil, "the connection is private already, with localhost" }, { sock:sslhandshake(false, "other.test", true) })
    sock:close()
    -- another CA is another trust
    listener:close()
    host.wait(server)
    assert.same({ nil, "connection refused" }, { host.tcp():connect("127.0.0.1", listener.port, { pool = "localhost" }) })
  end)

  describe("resumes", function()
    local cert, key = dir .. "/server.pem", dir .. "/server.key"
    local pem, private = authority:issue { "localhost", "mail.test" }
    local started = {}

    -- OpenSSL's own server: it sends each line back in reverse.
    local function serve(options)
      local server = openssl.serve(cert, key, "-rev " .. (options or ""))
      started[#started + 1] = server
      return server
    end

    -- One connection with one answer: was it resumed? Through `port` if it is given.
    local function visit(server, name, options, port)
      local sock = host.tcp(options or { ca = ca })
      assert.same({ 1 }, { sock:connect("127.0.0.1", port or server.port) })
      local ok, why = sock:sslhandshake(false, name or "localhost", true)
      if not ok then return nil, why end
      sock:send("abc\n")
      assert.equal("cba\n", sock:receiveany(100))
      local info = sock:tls()
      assert.equal("localhost", info.subject)
      sock:close()
      return info.resumed, info.version
    end

    setup(function()
      write(cert, pem)
      write(key, private)
    end)

    teardown(function()
      for _, server in ipairs(started) do server.stop() end
      os.remove(cert)
      os.remove(key)
    end)

    for version, options in pairs { ["TLSv1.3"] = "-tls1_3", ["TLSv1.2"] = "-tls1_2", ["TLSv1.2 without tickets"] = "-tls1_2 -no_ticket" } do
      it("a session of " .. version, function()
        local server = serve(options)
        local resumed, spoken = visit(server)
        assert.is_false(resumed)
        assert.equal(version:match "^%S+", spoken)
        for _ = 1, 5 do assert.is_true((visit(server))) end
        server.stop()
      end)
    end

    it("with the same name and the same CA file only", function()
      local server, other = serve(), dir .. "/other.pem"
      write(other, authority.ca)
      assert.is_false((visit(server)))
      assert.is_false((visit(server, "mail.test")))
      assert.is_false((visit(server, "localhost", { ca = other })))
      assert.is_true((visit(server)))
      assert.is_true((visit(server, "mail.test")))
      local ok, why = visit(server, "localhost", {})       -- the system's store does not know the issuer
      assert.is_nil(ok)
      assert.matches("^%d+: ", why)
      assert.same({ nil, "certificate host mismatch (it is for: localhost, mail.test)" }, { visit(server, "other.test") })
      os.remove(other)
      server.stop()
    end)

    it("not with a server that has forgotten, nor after a handshake that failed", function()
      local target, broken = serve(), false
      local listener = assert(host.listen("127.0.0.1", 0))
      local relay = host.spawn(function()
        while true do
          local near = listener:accept()
          if not near then return end
          local far = host.tcp()
          assert(far:connect("127.0.0.1", target.port))
          local up = host.spawn(function()
            repeat
              local bytes = near:receiveany(65536)
              if bytes and not broken then far:send(bytes) end
            until not bytes or broken
            if broken then near:close() end
            far:close()
          end)
          repeat
            local bytes = far:receiveany(65536)
            if bytes then near:send(bytes) end
          until not bytes
          near:close()
          host.wait(up)
        end
      end)
      assert.is_false((visit(target, "localhost", nil, listener.port)))
      assert.is_true((visit(target, "localhost", nil, listener.port)))
      target.stop()
      target = serve()
      assert.is_false((visit(target, "localhost", nil, listener.port)))
      assert.is_true((visit(target, "localhost", nil, listener.port)))
      broken = true
      assert.same({ nil, "closed" }, { visit(target, "localhost", nil, listener.port) })
      broken = false
      assert.is_false((visit(target, "localhost", nil, listener.port)))
      assert.is_true((visit(target, "localhost", nil, listener.port)))
      listener:close()
      host.wait(relay)
      target.stop()
    end)

    it("and says so in the transcript", function()
      local server, session = serve(), require "directmail.session"
      for _, words in ipairs { "^TLSv1%.3 TLS_%S+, certificate valid until [%d-]+, it is for localhost$",
        "^TLSv1%.3 TLS_%S+, resumed, certificate valid until [%d-]+, it is for localhost$" } do
        local sock = host.tcp { ca = ca }
        sock:connect("127.0.0.1", server.port)
        assert.is_true(sock:sslhandshake(false, "localhost", true))
        sock:send("\n")
        sock:receiveany(100)
        assert.matches(words, session.tls_words(sock, "localhost"))
        sock:close()
      end
      server.stop()
    end)
  end)

  it("needs a certificate and the key that fits", function()
    local cert, key = authority:issue { "localhost" }
    local _, other = authority:issue { "localhost" }
    assert.matches("BEGIN CERTIFICATE", cert)
    assert.matches("BEGIN PRIVATE KEY", key)
    for _, pair in ipairs { { cert, other }, { "", key }, { cert, "" }, { key, cert } } do
      local ok, why = pcall(host.identity, pair[1], pair[2])
      assert.is_false(ok)
      assert.matches("the certificate and key cannot be used: ", why)
    end
    for _, names in ipairs { {}, { "a,DNS:b" }, { "" }, { ("a"):rep(300) }, { "a\nb" } } do
      assert.is_false((pcall(authority.issue, authority, names)))
    end
  end)
end)
