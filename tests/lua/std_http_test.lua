-- std.lua's host.http against servers on loopback that keep, break and forget what HTTP asks for.
local host = require "directmail.host.std"
local net = require "directmail.net"

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
  for name, value in pairs(more or {}) do request[name] = value end
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
    assert(ask(server, { method = "GET", body = false or nil }))
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
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\nHTTP/1.1 500\r\n\r\n"] = "abcde",
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
      "<html>hello</html>\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
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
        if case[3]:find("trailer", 1, true) or not case[2]:find("Trailer") then assert.equal(case[3], failure.words) end
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
    assert.is_true(took >= 0.095 and took < 2, took)
    assert.is_true(math.abs(failure.seconds - took) < 0.1)
    assert.matches(step == "api" and "^no whole answer from 127%.0%.0%.1 within 0%.1" or "^no connection to 127%.0%.0%.1 within 0%.1", failure.words)
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
    times_out(mute, nil, { url = "http://127.0.0.1:1/", timeout = 0.1, proxy = nil }, "api", true)
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
    times_out(function(sock, server)
      while not server.over do host.sleep(0.01) end
      repeat until not sock:receiveany(65536)
      server.gone = true
    end, nil, { timeout = 0.1, body = ("x"):rep(20 * 1024 * 1024), method = "POST" }, "api", true)
  end)
end)
