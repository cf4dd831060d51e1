-- std.lua's host.http against servers on loopback that keep, break and forget what HTTP asks for.
local host = require "directmail.host.std"
local net = require "directmail.net"
local openssl = require "support.openssl"

local LUA = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match("%d.%d")
local OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

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

-- ---- a server -----------------------------------------------------------------

-- One request off a connection: its octets, or nil when the client closed. "head" stops behind the head.
local function take(sock, what)
  local got = ""
  while true do
    local head = got:match("^.-\r\n\r\n")
    local need = head and #head + (what ~= "head" and tonumber(head:match("\r\nContent%-Length: (%d+)")) or 0)
    if need and #got >= need then return got end
    local bytes = sock:receiveany(65536)
    if not bytes then return nil, got end
    got = got .. bytes
  end
end

-- Serve connections in tasks of their own. each(sock, server, n) has connection n to itself, which ends with it.
-- `server.heard` are the octets of each connection, as far as `take` or `each` noted them.
local function serve(each, options)
  options = options or {}
  local listener = assert(host.listen(options.address or "127.0.0.1", 0))
  local server = { port = listener.port, connections = 0, requests = {}, socks = {} }
  server.url = ("%s://%s:%d/"):format(options.tls and "https" or "http", options.name or (options.address and "[::1]" or "127.0.0.1"), listener.port)
  function server.stop()
    listener:close()
    for _, sock in ipairs(server.socks) do sock:close() end
  end
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      server.connections = server.connections + 1
      local n = server.connections
      server.socks[n] = sock
      host.spawn(function()
        if not options.tls or sock:sslaccept(options.tls) then each(sock, server, n) end
        sock:close()
      end)
    end
  end)
  return server
end

-- A handler that answers every request of a connection.
local function answering(answer)
  return function(sock, server, n)
    local k = 0
    while true do
      local request = take(sock)
      if not request then return end
      k = k + 1
      server.requests[#server.requests + 1] = request
      sock:send(type(answer) == "function" and answer(request, n, k) or answer)
    end
  end
end

local function sleepless(wanted)        -- let the others run until something is true
  local limit = host.tick() + 5
  while not wanted() do
    assert(host.tick() < limit, "it never came true")
    host.sleep(0.001)
  end
end

local function ask(server, more)
  local request = { url = server.url, body = "a=b", ca = server.url:find("^https") and ca or nil, timeout = 5 }
  for name, value in pairs(more or {}) do request[name] = value or nil end      -- false takes a field away
  return host.http(request)
end

-- What a client gets whom every connection answers with these octets and its end.
local function answered_with(octets, more, tls)
  local server = serve(function(sock, server)
    server.requests[#server.requests + 1] = take(sock)
    sock:send(octets)
  end, { tls = tls })
  local response, failure = ask(server, more)
  server.stop()
  return response, failure, server
end

local function summary(failure) return { failure.code, failure.step, failure.sent } end

-- ---- what is asked -------------------------------------------------------------

describe("an HTTP request", function()
  it("holds exactly the headers that were given, besides Host and the length", function()
    local server = serve(answering(OK))
    assert(ask(server, { url = server.url .. "a/../b%20c?x=1&y=%2F", headers = { ["X-Acs-Action"] = "SingleSendMail" } }))
    assert(ask(server, { headers = { Host = "dm.example.com", Empty = "", ["User-Agent"] = "directmail/1" }, body = "" }))
    assert(ask(server, { method = "GET", body = false }))
    local host_line = "Host: 127.0.0.1:" .. server.port .. "\r\n"
    assert.equal("POST /a/../b%20c?x=1&y=%2F HTTP/1.1\r\n" .. host_line .. "X-Acs-Action: SingleSendMail\r\nContent-Length: 3\r\n\r\na=b", server.requests[1])
    local lines = {}
    for line in server.requests[2]:gmatch("[^\r\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({ "Content-Length: 0", "Empty:", "Host: dm.example.com", "POST / HTTP/1.1", "User-Agent: directmail/1" }, lines)
    server.stop()
  end)

  it("by GET, HEAD and DELETE has no body, by PUT and an empty POST a length", function()
    local server = serve(answering(function(request) return request:find("^HEAD") and "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" or OK end))
    local host_line = "Host: 127.0.0.1:" .. server.port .. "\r\n"
    for method, wanted in pairs {
      GET = "GET / HTTP/1.1\r\n" .. host_line .. "\r\n",
      DELETE = "DELETE / HTTP/1.1\r\n" .. host_line .. "\r\n",
      HEAD = "HEAD / HTTP/1.1\r\n" .. host_line .. "\r\n",
      POST = "POST / HTTP/1.1\r\n" .. host_line .. "Content-Length: 0\r\n\r\n",
      PUT = "PUT / HTTP/1.1\r\n" .. host_line .. "Content-Length: 0\r\n\r\n",
    } do
      local response = assert(host.http { url = server.url, method = method })
      assert.equal(wanted, server.requests[#server.requests])
      assert.same({ 200, method == "HEAD" and "" or "ok" }, { response.status, response.body })
    end
    assert.equal(1, server.connections)
    server.stop()
  end)

  it("that cannot be written raises at the caller's line, and nothing leaves", function()
    local server = serve(answering(OK))
    local url = server.url
    for _, case in ipairs {
      { { url = url .. "\r\nX: y" }, "url: holds what must be percent%-encoded" },
      { { url = url .. "a b" }, "url: holds what must be percent%-encoded" },
      { { url = url .. "\228" }, "url: holds what must be percent%-encoded" },
      { { url = url .. "#x" }, "url: holds what must be percent%-encoded, or a fragment" },
      { { url = "http://me:secret@127.0.0.1/" }, "url: http:// or https:// with a host" },
      { { url = "ftp://127.0.0.1/" }, "url: http:// or https:// with a host" },
      { { url = "http:///x" }, "url: http:// or https:// with a host" },
      { { url = "http://[::1/" }, "url: http:// or https:// with a host" },
      { { url = "http://127.0.0.1:x/" }, "url: http:// or https:// with a host" },
      { { url = url .. "\0" }, "url holds a NUL" },
      { {}, "url is missing" },
      { { url = 1 }, "url is no string" },
      { { url = url, method = "GET /x HTTP/1.1\r\nX:" }, "method: a word in capitals" },
      { { url = url, method = "CONNECT" }, "method: a word in capitals" },
      { { url = url, method = "GET", body = "x" }, "body: only POST, PUT and PATCH have one" },
      { { url = url, headers = { ["X-A"] = "1\r\nBcc: x" } }, "X%-A holds a line break" },
      { { url = url, headers = { ["X-A"] = "1\nBcc: x" } }, "X%-A holds a line break" },
      { { url = url, headers = { ["X-A"] = "1\0" } }, "X%-A holds a line break" },
      { { url = url, headers = { ["X-A\r\nBcc"] = "1" } }, "a header is no header name" },
      { { url = url, headers = { ["X-A: 1\r\nX-B"] = "1" } }, "a header is no header name" },
      { { url = url, headers = { ["X-A;"] = "" } }, "a header is no header name" },
      { { url = url, headers = { [""] = "1" } }, "a header is no header name" },
      { { url = url, headers = { ["content-LENGTH"] = "0" } }, "content%-LENGTH is set by the library: leave it out" },
      { { url = url, headers = { ["Transfer-Encoding"] = "chunked" } }, "Transfer%-Encoding is set by the library" },
      { { url = url, headers = { "X-A: 1" } }, "headers is no table of strings by name" },
      { { url = url, headers = { ["X-A"] = 1 } }, "headers is no table of strings by name" },
      { { url = url, timeout = 0 }, "timeout is no number over 0" },
      { { url = url, timeout = "1" }, "timeout is no number over 0" },
      { { url = url, max_body = 0 / 0 }, "max_body is no number over 0" },
      { { url = url, header = {} }, 'unknown field "header" in host.http %(did you mean "headers"%?%)' },
    } do
      local ok, why = pcall(function()
        local response = host.http(case[1])
        return response
      end)
      assert.is_false(ok, case[2])
      assert.matches("^[^\n]*std_http_test%.lua:%d+: [^\n]*" .. case[2], why)
      assert.not_matches("secret", why)
    end
    assert.equal(0, server.connections)
    server.stop()
  end)

  it("carries 8 MB, in clear text and in TLS", function()
    local body = ("0123456789abcdef"):rep(512 * 1024)
    for _, tls in ipairs { false, ours } do
      local got
      local server = serve(function(sock)
        local parts, size, length = {}, 0, nil
        repeat
          local bytes = sock:receiveany(65536)
          parts[#parts + 1], size = bytes, size + #bytes
          if not length then
            local head = table.concat(parts):match("^.-\r\n\r\n")
            length = head and #head + #body
          end
        until length and size >= length
        got = table.concat(parts):match("\r\n\r\n(.*)$")
        sock:send(OK)
      end, { tls = tls or nil })
      assert.equal(200, assert(ask(server, { body = body, timeout = 30 })).status)
      assert.is_true(got == body)
      server.stop()
    end
  end)
end)

-- ---- what is answered ------------------------------------------------------------

describe("an HTTP answer", function()
  it("has status, headers by name, body, peer and time", function()
    local server = serve(answering("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nX-A: 1\r\nx-a:  2 \r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nEmpty:\r\n\r\na\0b"))
    local response = assert(ask(server))
    assert.equal(404, response.status)
    assert.same({ ["content-length"] = "3", ["x-a"] = "1, 2", date = "Tue, 24 Nov 2026 00:00:00 GMT", empty = "" }, response.headers)
    assert.equal("a\0b", response.body)
    assert.equal("127.0.0.1:" .. server.port, response.peer)
    assert.is_true(response.seconds > 0 and response.seconds < 5)
    assert.is_false(response.reused)
    server.stop()
  end)

  it("that redirects is an answer like others", function()
    local other = serve(answering(OK))
    local response = answered_with("HTTP/1.1 307 Temporary Redirect\r\nLocation: " .. other.url .. "\r\nContent-Length: 0\r\n\r\n")
    assert.same({ 307, other.url }, { response.status, response.headers.location })
    assert.equal(0, other.connections)
    other.stop()
  end)

  it("comes whole in every framing", function()
    for octets, body in pairs {
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\nHTTP/1.1: 500 x\r\n\r\n"] = "abcde",
      ["HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" .. OK] = "ok",
      ["HTTP/1.1 204 No Content\r\n\r\n"] = "",
      ["HTTP/1.0 200 OK\r\n\r\nuntil the end"] = "until the end",
    } do
      local response = assert(answered_with(octets))
      assert.equal(body, response.body)
      assert.is_nil(response.headers["x-early"])
      assert.is_nil(response.headers["x-trailer"])
    end
  end)

  it("that is cut off is lost, and the request had left", function()
    for _, tls in ipairs { false, ours } do
      for _, octets in ipairs {
        "", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
      } do
        local response, failure = answered_with(octets, nil, tls or nil)
        assert.is_nil(response, octets)
        assert.is_true(failure.sent)
        assert.equal("api", failure.step)
        -- half a status line may be taken for garbage as well
        assert.is_true(failure.code == "LOST" or failure.code == "PROTOCOL" and octets == "HTTP/1.1 200", octets .. " " .. failure.code)
        assert.is_true(#failure.words > 10)
      end
    end
  end)

  it("that is no HTTP breaks the protocol, and the request had left", function()
    for _, octets in ipairs {
      "220 smtp.test ESMTP\r\n", "garbage without end", "HTTP/0.9 200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
      "<html>hello</html>\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok", "HTTP/1.1 200 OK\r\nNo colon\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n",
    } do
      local response, failure = answered_with(octets)
      assert.is_nil(response, octets)
      assert.same({ "PROTOCOL", "api", true }, summary(failure), octets .. " " .. failure.words)
      assert.not_matches("%c", failure.words)
    end
  end)

  it("without end is stopped at its limit", function()
    local cases = {
      { "HTTP/1.1 200 OK\r\n", ("X-A: " .. ("x"):rep(90) .. "\r\n"):rep(100), "the head of the answer is larger than 4000 octets" },
      { "HTTP/1.1 200 OK\r\nX-A: ", ("x"):rep(10000), "a line of the answer's head has no end" },
      { "", "HTTP/1.1 100 Continue\r\n\r\n", "the head of the answer is larger than 4000 octets" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400\r\n" .. ("x"):rep(1024) .. "\r\n", "the body of the answer is larger than 5000 octets" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", ("x"):rep(10000), "the body of the answer is larger than 5000 octets" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "X-Trailer: x\r\n", "the head of the answer is larger than 4000 octets" },
    }
    for _, tls in ipairs { false, ours } do
      for _, case in ipairs(cases) do
        local sent, why = 0, nil
        local server = serve(function(sock)
          take(sock)
          assert(sock:send(case[1]))
          repeat
            local n
            n, why = sock:send(case[2])
            sent = sent + (n or 0)
          until not n or sent > 64 * 1024 * 1024
        end, { tls = tls or nil })
        local response, failure = ask(server, { max_head = 4000, max_body = 5000 })
        assert.is_nil(response)
        assert.same({ "PROTOCOL", "api", true }, summary(failure), case[3] .. " / " .. failure.words)
        assert.equal(case[3], failure.words)
        sleepless(function() return why end)
        assert.equal("closed", why)
        server.stop()
      end
    end
  end)

  it("that fits its limits exactly is taken", function()
    local head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert.equal("12345", assert(answered_with(head .. "12345", { max_head = #head, max_body = 5 })).body)
    assert.is_nil((answered_with(head .. "12345", { max_head = #head - 1, max_body = 5 })))
    assert.is_nil((answered_with(head .. "12345", { max_head = #head, max_body = 4 })))
  end)

  it("is taken though the server reads no further", function()
    for _, tls in ipairs { false, ours } do
      local server = serve(function(sock)
        take(sock, "head")
        sock:send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      end, { tls = tls or nil })
      local response, failure = ask(server, { body = ("x"):rep(20 * 1024 * 1024) })
      -- a reset may overtake the answer: then it is lost, but never a signal that kills us
      if response then assert.equal(413, response.status) else assert.same({ "LOST", "api", true }, summary(failure)) end
      server.stop()
    end
  end)
end)

-- ---- time ----------------------------------------------------------------------------

describe("a time limit", function()
  local function times_out(each, options, more, step, sent)
    local server = serve(each, options)
    local before = host.tick()
    local response, failure = ask(server, more)
    local took = host.tick() - before
    assert.is_nil(response)
    assert.same({ "TIMEOUT", step, sent }, summary(failure))
    assert.is_true(took >= 0.095 and took < 4, took)
    assert.is_true(math.abs(failure.seconds - took) < 0.5)
    assert.matches(step == "api" and "^no whole answer from 127%.0%.0%.1 within 0%.%d+ s" or "^no connection to 127%.0%.0%.1 within 0%.%d+ s", failure.words)
    local said = tonumber(failure.words:match "within (0%.%d+)")
    assert.is_true(said > 0.095 and said <= took + 0.01, failure.words)     -- what libcurl counted, rounded; on a busy machine more than the limit
    sleepless(function() return server.gone end)
    server.stop()
  end

  local function then_silence(octets)
    return function(sock, server)
      take(sock)
      sock:send(octets)
      server.gone = not take(sock)
    end
  end

  local function mute(sock, server)         -- accepts TCP and never says a word
    repeat until not sock:receiveany(4096)
    server.gone = true
  end

  it("ends a handshake that does not come, and nothing had left", function()
    local server = serve(mute)
    server.url = server.url:gsub("^http:", "https:")
    for _, limits in ipairs { { connect_timeout = 0.1, timeout = 5 }, { timeout = 0.1 } } do
      local response, failure = ask(server, { ca = ca, connect_timeout = limits.connect_timeout, timeout = limits.timeout })
      assert.is_nil(response)
      assert.same({ "TIMEOUT", "connect", false }, summary(failure))
    end
    server.stop()
  end)

  it("ends a proxy's silence, and nothing had left", function()
    local server = serve(mute)
    local _, failure = ask(server, { url = "https://dm.example.com/", proxy = "http://127.0.0.1:" .. server.port, timeout = 0.1 })
    assert.same({ "TIMEOUT", "connect", false }, summary(failure))
    server.stop()
  end)

  it("ends a silence before the answer, in its head and in its body", function()
    for _, tls in ipairs { false, ours } do
      local options = { tls = tls or nil }
      for _, octets in ipairs { "", "HTTP/1.1 200 OK\r\nX-", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc" } do
        times_out(then_silence(octets), options, { timeout = 0.1, connect_timeout = 5 }, "api", true)
      end
    end
  end)

  it("ends an answer that drips", function()
    times_out(function(sock, server)
      take(sock)
      sock:send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
      repeat
        host.sleep(0.005)
      until not sock:send("x")
      server.gone = true
    end, nil, { timeout = 0.1 }, "api", true)
  end)

  it("ends a request that the server does not read", function()
    local released
    local server = serve(function() sleepless(function() return released end) end)
    local _, failure = ask(server, { timeout = 0.1, body = ("x"):rep(30 * 1024 * 1024) })
    assert.same({ "TIMEOUT", "api", true }, summary(failure))
    released = true
    server.stop()
  end)
end)

-- ---- certificates -----------------------------------------------------------------------

describe("HTTPS", function()
  local function refused(tls, more, host_name)
    local server = serve(answering(OK), { tls = tls, name = host_name })
    local response, failure = ask(server, more)
    assert.is_nil(response)
    assert.same({ "TLS", "connect", false }, summary(failure))
    assert.equal(0, #server.requests)
    server.stop()
    return failure
  end

  it("is for names and addresses, over IPv4 and IPv6", function()
    for _, options in ipairs { { name = "localhost" }, { name = "LocalHost" }, {}, { address = "::1" } } do
      options.tls = ours
      local server = serve(answering(OK), options)
      local response, failure = ask(server)
      assert.equal(200, response and response.status, failure and failure.words)
      assert.equal((options.address and "[::1]:" or "127.0.0.1:") .. server.port, response.peer)
      server.stop()
    end
  end)

  it("refuses another name, and says whose the certificate is", function()
    local failure = refused(identity { "a.test", "*.b.test", "192.0.2.7" }, nil, "localhost")
    assert.same({ "name", "certificate host mismatch (it is for: a.test, *.b.test, 192.0.2.7)" }, { failure.detail, failure.words })
    assert.equal("name", refused(identity { "localhost" }).detail)          -- asked for as 127.0.0.1
  end)

  it("refuses a name that stands in the common name only", function()
    local key, pem = dir .. "/key", dir .. "/cert"
    assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout %s -out %s 2>/dev/null"):format(key, pem)))
    local failure = refused(host.identity(host.read(pem), host.read(key)), { ca = pem }, "localhost")
    assert.same({ "name", "certificate host mismatch (it is for: localhost, in its common name only)" }, { failure.detail, failure.words })
    os.remove(key)
    os.remove(pem)
  end)

  it("refuses a certificate that ended", function()
    local failure = refused(identity({ "127.0.0.1" }, { expired = true }))
    assert.same({ "expired", "10: certificate has expired" }, { failure.detail, failure.words })
  end)

  it("refuses an issuer that nobody knows", function()
    local stranger = host.authority()
    local failure = refused(host.identity(stranger:issue { "127.0.0.1" }))
    assert.same({ "issuer", "20: unable to get local issuer certificate" }, { failure.detail, failure.words })
    -- the system's store knows neither
    failure = refused(ours, { ca = false })
    assert.equal("issuer", failure.detail)
    assert.matches("^%d+: ", failure.words)
  end)

  it("names the mix-up when the server speaks clear text", function()
    for _, octets in ipairs { "220 smtp.test ESMTP\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n" } do
      local server = serve(function(sock)
        sock:receiveany(100)
        sock:send(octets)
      end)
      local _, failure = ask(server, { url = "https://127.0.0.1:" .. server.port .. "/", ca = ca })
      assert.same({ "TLS", "connect", false }, summary(failure))
      assert.same({ "clear", "wrong version number: the server speaks clear text here" }, { failure.detail, failure.words })
      server.stop()
    end
  end)

  it("refuses a server below TLS 1.2", function()
    local server = serve(function(sock)         -- its alert: fatal, protocol_version (RFC 8446, 6)
      sock:receiveany(4096)
      sock:send("\21\3\1\0\2\2\70")
    end)
    local _, failure = ask(server, { url = "https://127.0.0.1:" .. server.port .. "/", ca = ca })
    assert.same({ "TLS", "connect", false, "version", "unsupported protocol" }, { failure.code, failure.step, failure.sent, failure.detail, failure.words })
    server.stop()
  end)

  it("tells a server that goes away while shaking hands", function()
    local server = serve(function(sock) sock:receiveany(4096) end)
    local _, failure = ask(server, { url = "https://127.0.0.1:" .. server.port .. "/", ca = ca })
    assert.same({ "TLS", "connect", false }, summary(failure))
    assert.is_nil(failure.detail)
    server.stop()
  end)

  it("resumes a session with the same name and CA, until a handshake fails or the CA file changes", function()
    local cert, key, own, other = dir .. "/cert.pem", dir .. "/key.pem", dir .. "/own.pem", dir .. "/other.pem"
    local pem, private = authority:issue { "localhost", "127.0.0.1" }
    write(cert, pem)
    write(key, private)
    write(own, authority.ca)
    write(other, authority.ca)
    for _, version in ipairs { "-tls1_3", "-tls1_2" } do
      local server = openssl.serve(cert, key, "-www " .. version)
      local function visit(name, path)
        local url = ("https://%s:%d/"):format(name or "127.0.0.1", server.port)
        local answer, failure = host.http { url = url, method = "GET", ca = path == nil and own or path or nil, timeout = 5 }
        if not answer then return failure.code end
        assert.is_false(answer.reused)
        return answer.body:match "\n(%u%l+), TLSv1%.[23], Cipher is"
      end
      assert.equal("New", visit())
      assert.equal("Reused", visit())
      assert.equal("Reused", visit())
      assert.equal("New", visit("localhost"))
      assert.equal("New", visit(nil, other))
      assert.equal("Reused", visit())
      assert.equal("TLS", visit(nil, false))            -- the system's store does not know the issuer
      assert.equal("New", visit())
      assert.equal("Reused", visit())
      write(own .. ".new", authority.ca .. "\n")
      os.rename(own .. ".new", own)
      assert.equal("New", visit())
      assert.equal("Reused", visit())
      server.stop()
    end
    for _, path in ipairs { cert, key, own, other } do os.remove(path) end
  end)

  it("says why a CA file cannot be used", function()
    local path = dir .. "/none.pem"
    local failure = refused(ours, { ca = path })
    assert.matches("^the CA file .*none%.pem cannot be used: No such file or directory$", failure.words)
    write(path, "no certificate\n")
    assert.matches("^the CA file .*none%.pem cannot be used: ", refused(ours, { ca = path }).words)
    os.remove(path)
  end)
end)

describe("a connection that is not made", function()
  it("says why, and nothing had left", function()
    local listener = assert(host.listen("127.0.0.1", 0))
    listener:close()
    local _, failure = host.http { url = "http://127.0.0.1:" .. listener.port .. "/", body = "x" }
    assert.same({ "CONNECT", "connect", false }, summary(failure))
    assert.equal("no connection to 127.0.0.1: connection refused", failure.words)
    _, failure = host.http { url = "https://no-such-host.invalid/", body = "x" }
    assert.same({ "DNS", "connect", false }, summary(failure))
    assert.equal("host not found: no-such-host.invalid", failure.words)
    assert.is_nil(failure.peer)
  end)
end)

-- ---- kept connections --------------------------------------------------------------------

describe("a kept connection", function()
  it("carries the next request, in clear text and in TLS", function()
    for _, tls in ipairs { false, ours } do
      local server = serve(answering(OK), { tls = tls or nil })
      for i = 1, 4 do
        assert.equal(i > 1, assert(ask(server)).reused)
      end
      assert.same({ 1, 4 }, { server.connections, #server.requests })
      server.stop()
    end
  end)

  it("is not for another CA, which might not trust the server", function()
    local server = serve(answering(OK), { tls = ours })
    local second = dir .. "/second.pem"
    write(second, host.authority().ca)
    assert(ask(server))
    local _, failure = ask(server, { ca = second })
    assert.same({ "TLS", "issuer" }, { failure.code, failure.detail })
    _, failure = ask(server, { ca = false })
    assert.same({ "TLS", "issuer" }, { failure.code, failure.detail })
    assert.is_true(assert(ask(server)).reused)
    os.remove(second)
    server.stop()
  end)

  -- Between two requests the server does something to the connection that is kept.
  local function meanwhile(act, tls)
    local done
    local server = serve(function(sock, server, n)
      server.requests[1] = assert(take(sock))
      sock:send(OK)
      if n > 1 then return end
      act(sock)
      done = true
      if not sock.fd then return end
      assert.is_nil((take(sock)))       -- never asked over this one again
      server.quiet = true
    end, { tls = tls })
    assert(ask(server))
    server.requests[1] = nil
    sleepless(function() return done end)
    local response, failure = ask(server, { body = "second" })
    assert.equal(200, response and response.status, failure and failure.words)
    assert.equal("ok", response.body)
    assert.is_false(response.reused)
    assert.equal(2, server.connections)
    assert.matches("second$", server.requests[1])
    server.stop()
  end

  it("that the server has closed is replaced before anything is sent", function()
    meanwhile(function(sock) sock:close() end)
    meanwhile(function(sock) sock:close() end, ours)            -- TLS: its goodbye lies unread
  end)

  it("that holds an answer nobody asked for is replaced before anything is sent", function()
    for _, tls in ipairs { false, ours } do
      local timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
      meanwhile(function(sock) sock:send(timeout) sock:close() end, tls or nil)
      meanwhile(function(sock) sock:send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged") end, tls or nil)
      meanwhile(function(sock) sock:send("x") end, tls or nil)
    end
  end)

  it("behind an answer with octets too many is not kept", function()
    local server = serve(answering(OK .. "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"))
    for _ = 1, 2 do
      local response = assert(ask(server))
      assert.same({ "ok", false }, { response.body, response.reused })
    end
    server.stop()
  end)

  -- The server closes the kept connection in the middle of the second request.
  local function loses(act, method, tls, size)
    local asked = 0
    local server = serve(function(sock, _, n)
      while true do
        local last = n == 1 and asked == 1
        if last then
          act(sock)
          asked = asked + 1
          return
        end
        local request = take(sock)
        if not request then return end
        asked = asked + 1
        sock:send(OK)
      end
    end, { tls = tls })
    local request = { method = method, body = method == "POST" and ("x"):rep(size or 3000) or false }
    assert(ask(server, request))
    local response, failure = ask(server, request)
    assert.is_nil(response)
    assert.same({ "LOST", "api", true }, summary(failure))
    assert.equal("the connection was lost before an answer came", failure.words)
    -- would the request come again, it would come now
    local before = server.connections
    assert.equal(1, before)
    assert.equal(200, assert(ask(server, request)).status)
    assert.equal(3, asked)              -- this one, and each of the two before once
    assert.equal(2, server.connections)
    server.stop()
  end

  for _, tls in ipairs { false, ours } do
    local how = tls and " (TLS)" or ""
    for _, method in ipairs { "POST", "GET" } do
      it("lost behind a whole " .. method .. " is not replaced: the request is never sent again" .. how, function()
        loses(function(sock) take(sock) end, method, tls or nil)
      end)

      it("lost behind the head of a " .. method .. " is not replaced either" .. how, function()
        loses(function(sock) take(sock, "head") end, method, tls or nil)
        if method == "POST" then loses(function(sock) take(sock, "head") end, method, tls or nil, 300000) end
      end)

      it("reset with the " .. method .. " unread is not replaced either" .. how, function()
        loses(function(sock) sock:receiveany(1) end, method, tls or nil)
      end)
    end
  end

  it("is one of 32 at most", function()
    local waiting, server = {}, nil
    server = serve(function(sock)
      while take(sock) do
        waiting[#waiting + 1] = true
        sleepless(function() return #waiting % 40 == 0 end)
        sock:send(OK)
      end
      server.ended = (server.ended or 0) + 1
    end)
    local tasks = {}
    for i = 1, 40 do tasks[i] = host.spawn(ask, server) end
    for i = 1, 40 do assert(select(2, host.wait(tasks[i]))) end
    assert.equal(40, server.connections)
    sleepless(function() return server.ended == 8 end)
    server.stop()
  end)
end)

-- ---- proxies ------------------------------------------------------------------------------

describe("a proxy", function()
  local function relay(sock, port)
    local out = host.tcp()
    assert(out:connect("127.0.0.1", port))
    local up = host.spawn(function()
      repeat
        local bytes = sock:receiveany(65536)
      until not bytes or not out:send(bytes)
      out:close()
    end)
    repeat
      local bytes = out:receiveany(65536)
    until not bytes or not sock:send(bytes)
    sock:close()
    host.wait(up)
  end

  local function target()
    return serve(answering(OK), { tls = identity { "dm.example.com" } })
  end

  local secret = { headers = { Authorization = "ACS3-HMAC-SHA256 secret" } }

  local function through(server, proxy, more)
    local request = { url = "https://dm.example.com/", ca = ca, proxy = proxy, headers = secret.headers }
    for name, value in pairs(more or {}) do request[name] = value end
    return ask(server, request)
  end

  it("by HTTP CONNECT sees names only, and its connection is kept", function()
    local server = target()
    local asked = {}
    local proxy = serve(function(sock)
      asked[#asked + 1] = take(sock, "head")
      sock:send("HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
      relay(sock, server.port)
    end)
    local url = "http://me:pass@127.0.0.1:" .. proxy.port
    local response, failure = through(server, url)
    assert.equal(200, response and response.status, failure and failure.words)
    assert.is_nil(response.peer)
    assert.is_nil(response.headers["x-proxy"])
    assert.is_true(assert(through(server, url)).reused)
    assert.equal(1, #asked)
    assert.matches("^CONNECT dm%.example%.com:443 HTTP/1%.1\r\n", asked[1])
    assert.matches("\r\nProxy%-Authorization: Basic bWU6cGFzcw==\r\n", asked[1])
    assert.not_matches("secret", asked[1])
    assert.matches("\r\nAuthorization: ACS3%-HMAC%-SHA256 secret\r\n", server.requests[1])
    proxy.stop()
    server.stop()
  end)

  it("by SOCKS5 gets the name unresolved", function()
    local server, asked = target(), nil
    local proxy = serve(function(sock)
      sock:receiveany(100)
      sock:send("\5\0")
      asked = sock:receiveany(100)
      sock:send("\5\0\0\1\127\0\0\1\0\1")
      relay(sock, server.port)
    end)
    local response, failure = through(server, "socks5h://127.0.0.1:" .. proxy.port)
    assert.equal(200, response and response.status, failure and failure.words)
    assert.equal("\5\1\0\3\14dm.example.com\1\187", asked)
    assert.is_true(assert(through(server, "socks5h://127.0.0.1:" .. proxy.port)).reused)
    proxy.stop()
    server.stop()
  end)

  it("that refuses, closes or cannot be reached is no connection, and nothing had left", function()
    local server = target()
    for _, octets in ipairs { "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "", "\0\0\0\0\r\n\r\n" } do
      local proxy = serve(function(sock)
        take(sock, "head")
        sock:send(octets)
      end)
      local _, failure = through(server, "http://me:pass@127.0.0.1:" .. proxy.port)
      assert.same({ "CONNECT", "connect", false }, summary(failure))
      assert.matches("^no connection to dm%.example%.com: ", failure.words)
      assert.not_matches("pass", failure.words)
      if octets:find("403") then assert.matches("403", failure.words) end
      proxy.stop()
      _, failure = through(server, "http://127.0.0.1:" .. proxy.port)
      assert.same({ "CONNECT", "connect", false }, summary(failure))
    end
    local _, failure = through(server, "https://me:pass@127.0.0.1:1")
    assert.same({ "CONNECT", "connect", false }, summary(failure))
    assert.matches("begin it with http://, socks5h://", failure.words)
    assert.not_matches("pass", failure.words)
    server.stop()
  end)

  it("does not make the server's certificate its own", function()
    local server = serve(answering(OK), { tls = ours })
    local proxy = serve(function(sock)
      take(sock, "head")
      sock:send("HTTP/1.1 200 OK\r\n\r\n")
      relay(sock, server.port)
    end)
    local _, failure = through(server, "http://127.0.0.1:" .. proxy.port)
    assert.same({ "TLS", "name", false }, { failure.code, failure.detail, failure.sent })
    assert.equal(0, #server.requests)
    proxy.stop()
    server.stop()
  end)

  it("is never taken from the environment", function()
    local server = serve(answering(OK))
    local child = assert(host.child({ LUA, "-e", ([[
      local host = require "directmail.host.std"
      os.exit(host.http({ url = %q }) and 0 or 1)
    ]]):format(server.url) }, { http_proxy = "http://127.0.0.1:1", all_proxy = "http://127.0.0.1:1", ALL_PROXY = "http://127.0.0.1:1" }))
    assert.equal(0, child:wait())
    assert.equal(1, #server.requests)
    server.stop()
  end)
end)

-- ---- many at once, and none ------------------------------------------------------------------

describe("requests", function()
  it("are in flight 32 at a time, over connections that serve again", function()
    for _, tls in ipairs { false, ours } do
      local inside, most = 0, 0
      local server = serve(function(sock)
        while true do
          local request = take(sock)
          if not request then return end
          inside = inside + 1
          most = math.max(most, inside)
          if most < 32 then sleepless(function() return most == 32 end) end
          inside = inside - 1
          local body = request:match("\r\n\r\n(.*)")
          sock:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
        end
      end, { tls = tls or nil })
      local tasks, wrong = {}, 0
      for i = 1, 32 do
        tasks[i] = host.spawn(function()
          for k = 1, 10 do
            local body = ("%d/%d"):format(i, k)
            local response, failure = ask(server, { body = body })
            if not response then error(failure.words) end
            if response.body ~= body then wrong = wrong + 1 end
          end
        end)
      end
      for i = 1, 32 do assert(host.wait(tasks[i])) end
      assert.same({ 0, 32, 32 }, { wrong, most, server.connections })
      server.stop()
    end
  end)

  it("leave the loop to the others", function()
    local server = serve(function(sock)
      take(sock)
      sleepless(function() return false end)
    end)
    local ticks = 0
    local ticker = host.spawn(function()
      for _ = 1, 10 do
        host.sleep(0.005)
        ticks = ticks + 1
      end
    end)
    local _, failure = ask(server, { timeout = 0.2 })
    assert.equal("TIMEOUT", failure.code)
    assert.equal(10, ticks)
    host.wait(ticker)
    server.stop()
  end)

  it("that are given up close their connection", function()
    local gone = 0
    local server = serve(function(sock, server)
      server.requests[#server.requests + 1] = take(sock)
      if not take(sock) then gone = gone + 1 end
    end)
    local call = net.http { url = server.url, body = "x" }
    sleepless(function() return #server.requests == 1 end)
    assert.has_error(function() call:finish() end, "the request is not over yet")
    call:close()
    call:close()
    sleepless(function() return gone == 1 end)
    local _, failure = call:finish()
    assert.same({ "LOST", "api", true, "given up" }, { failure.code, failure.step, failure.sent, failure.words })
    -- and when they are collected
    local ring = {}             -- two tasks that wait for each other and are forgotten
    ring.a = host.spawn(function()
      ring.call = net.http { url = server.url, body = "y" }
      host.wait(ring.b)
    end)
    ring.b = host.spawn(function() host.wait(ring.a) end)
    sleepless(function() return #server.requests == 2 end)
    ring = nil
    collectgarbage()
    collectgarbage()
    sleepless(function() return gone == 2 end)
    server.stop()
  end)

  it("end with the program, finished or not", function()
    local heard
    local server = serve(function(sock)
      take(sock)
      sock:send(OK)
      heard = take(sock)
      take(sock)
    end)
    local child = assert(host.child { LUA, "-e", ([[
      local host = require "directmail.host.std"
      assert(host.http { url = %q, body = "x" })
      host.spawn(host.http, { url = %q, body = "never answered" })
      host.sleep(0.05)
    ]]):format(server.url, server.url) })
    assert.equal(0, child:wait())
    assert.matches("never answered$", heard)
    server.stop()
  end)

  it("never raise SIGPIPE", function()
    for _, tls in ipairs { false, ours } do
      local server = serve(function(sock) sock:receiveany(10) end, { tls = tls or nil })
      for _ = 1, 3 do
        local _, failure = ask(server, { body = ("x"):rep(20 * 1024 * 1024) })
        assert.same({ "LOST", "api", true }, summary(failure))
      end
      server.stop()
    end
  end)

  it("need a task when they are made inside of one", function()
    local said
    host.spawn(function()
      said = select(2, coroutine.resume(coroutine.create(function()
        local response = host.http { url = "http://127.0.0.1:1/" }
        return response
      end)))
    end)
    assert.matches("std_http_test%.lua:%d+: this call waits; make its coroutine with spawn", said)
  end)
end)

-- last: what the tests above made
describe("the test's own files", function()
  it("are gone", function()
    assert(os.remove(ca))
    assert(os.remove(dir))
  end)
end)
