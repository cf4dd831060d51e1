-- http1.lua: both halves of HTTP/1.1 over sockets in memory, and against peers that follow no rule.
local http1 = require "directmail.http1"
local limits = require "directmail.data.limits"
local memory = require "directmail.host.memory"

local NAME, PORT = "dm.test", 80

local function connect(host)
  local sock = host.tcp()
  assert.equal(1, sock:connect(NAME, PORT))
  return sock
end

local function listen(host, each, options)
  local listener = assert(host.listen(NAME, PORT, options))
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(each, sock)
    end
  end)
end

local function read_all(sock)
  local parts = {}
  while true do
    local bytes, why = sock:receiveany(65536)
    if not bytes then return table.concat(parts), why end
    parts[#parts + 1] = bytes
  end
end

-- ---- the client against a peer that reads what it is told to and says what it is told to ----

local GET = { method = "GET", host = NAME, path = "/" }

-- The peer says `answer` (a string, or a function of its socket) once a request is there, then closes.
local function exchange(answer, request, options, world)
  local host = memory.new(world)
  listen(host, function(sock)
    if type(answer) == "function" then answer(sock, host) else
      sock:receiveany(65536)
      sock:send(answer)
    end
    sock:close()
  end)
  local sock = connect(host)
  local response, why, far = http1.request(sock, request or GET, options)
  return response, why, far, host, sock
end

-- What the client writes.
local function written(request, options)
  local heard
  exchange(function(sock)
    sock:settimeouts(nil, nil, 1000)
    heard = read_all(sock)
  end, request, options)
  return heard
end

describe("http1.request", function()
  it("writes the request as given, with the length", function()
    assert.equal("GET / HTTP/1.1\r\nHost: dm.test\r\n\r\n", written(GET))
    assert.equal("POST /?a=1 HTTP/1.1\r\nHost: dm.test:81\r\nB: 2\r\nA: 1\r\nContent-Length: 3\r\n\r\nx=1", written {
      method = "POST", host = "dm.test:81", path = "/?a=1", headers = { { "B", "2" }, { "A", "1" } }, body = "x=1" })
    assert.equal("POST / HTTP/1.1\r\nA: 1\r\nhost: signed.test\r\nContent-Length: 0\r\n\r\n",
      written { method = "POST", host = NAME, path = "/", headers = { host = "signed.test", A = "1" } })
    assert.equal("DELETE / HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: close\r\n\r\n",
      written({ method = "DELETE", host = "[::1]:8080", path = "/" }, { close = true }))
  end)

  it("raises for what would not be HTTP, at the caller's line", function()
    local function refused(change, words)
      local request = { method = "GET", host = NAME, path = "/" }
      for name, value in pairs(change) do request[name] = value end
      local ok, why = pcall(function() http1.request({}, request) end)
      assert.is_false(ok)
      assert.matches(words, why, 1, true)
      assert.matches("http1_test.lua:", why, 1, true)
    end
    refused({ method = "get" }, "the method is no word in capitals")
    refused({ method = "CONNECT" }, "CONNECT")
    refused({ path = "x" }, "the path does not begin with /")
    refused({ path = "/a b" }, "percent-encoded")
    refused({ path = "/a\r\nX: y" }, "percent-encoded")
    refused({ path = "/a#b" }, "percent-encoded")
    refused({ host = "a\r\nb" }, "the host")
    refused({ host = "a/b" }, "the host")
    refused({ headers = { ["A B"] = "1" } }, '"A B" is no header name')
    refused({ headers = { A = "1\r\nB: 2" } }, "the header A holds a line break")
    refused({ headers = { { "A", "1\0" } } }, "control character")
    refused({ headers = { A = 1 } }, "the header A is no string")
    refused({ headers = { ["Content-length"] = "1" } }, "the header Content-length is set by http1")
    refused({ headers = { ["Transfer-Encoding"] = "chunked" } }, "set by http1")
    refused({ body = 1 }, "the body is no string")
    refused({ boddy = "" }, 'unknown field "boddy" in http1.request (did you mean "body"?)')
    assert.has_error(function() http1.request({}, GET, { max_boddy = 1 }) end)
  end)

  it("gives the answer, its headers by name and in order", function()
    local response = assert(exchange("HTTP/1.1 404 Not Here\r\nX-A: 1\r\nContent-Length: 5\r\nx-a: 2\r\n\r\nhello"))
    assert.same({ status = 404, reason = "Not Here", body = "hello", keepalive = true, sent = true,
      headers = { ["x-a"] = "1, 2", ["content-length"] = "5" },
      list = { { "X-A", "1" }, { "Content-Length", "5" }, { "x-a", "2" } } }, response)
  end)

  it("reads the same however the octets come", function()
    local wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "5;x=y\r\nhello\r\n00a\r\n, world\r\n!\r\n0\r\nTrailer: x\r\n\r\n"
    for chunk = 1, 60 do
      local response = assert(exchange(wire, GET, nil, { chunk = chunk }))
      assert.equal(200, response.status)
      assert.equal("hello, world\r\n!", response.body)
      assert.is_true(response.keepalive)
      assert.is_nil(response.headers.trailer)
    end
  end)

  it("knows which answers have no body", function()
    for _, row in ipairs { { "HEAD", "200 OK", "Content-Length: 5\r\n" }, { "HEAD", "200 OK", "Transfer-Encoding: chunked\r\n" },
      { "GET", "204 No Content", "" }, { "GET", "304 Not Modified", "Content-Length: 7\r\n" } } do
      local response = assert(exchange(("HTTP/1.1 %s\r\n%s\r\n"):format(row[2], row[3]), { method = row[1], host = NAME, path = "/" }))
      assert.equal("", response.body)
      assert.is_true(response.keepalive)
    end
  end)

  it("says whether the connection may be reused", function()
    local function kept(wire, options) return assert(exchange(wire, GET, options)).keepalive end
    assert.is_true(kept "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert.is_false(kept "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n")
    assert.is_false(kept("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", { close = true }))
    assert.is_false(kept "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert.is_true(kept "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
    assert.is_false(kept "HTTP/1.1 200 OK\r\n\r\nuntil the end")
    assert.is_false(kept "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")
    assert.is_false(kept "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
  end)

  it("follows no redirect", function()
    local response = assert(exchange("HTTP/1.1 307 x\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"))
    assert.equal(307, response.status)
    assert.equal("http://elsewhere.test/", response.headers.location)
  end)

  it("reads a body without a length until the end, and no further", function()
    assert.equal("abc\r\n", assert(exchange("HTTP/1.0 200 OK\r\n\r\nabc\r\n")).body)
    local response, why, far = exchange(function(sock, host)
      sock:receiveany(1000)
      sock:send("HTTP/1.1 200 OK\r\n\r\nabc")
      host.sleep(100)
    end)
    assert.is_nil(response)
    assert.equal("timeout", why)
    assert.same({ sent = true, answered = true, code = "TIMEOUT" }, far)
  end)

  it("calls an answer that is none PROTOCOL, and the outcome open", function()
    for _, wire in ipairs { "220 smtp.test ready\r\n", "\21\3\1\0\2\2", "HTTP/1.1 abc\r\n", "HTTP/2 200\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 101 Switching\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
      ("HTTP/1.1 102 x\r\n\r\n"):rep(limits.http_interim + 1) .. "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } do
      for _, chunk in ipairs { 1, 1000 } do
        local response, why, far = exchange(wire, GET, nil, { chunk = chunk })
        assert.is_nil(response)
        assert.is_string(why)
        assert.same({ sent = true, answered = true, code = "PROTOCOL" }, far)
      end
    end
    assert.equal(200, assert(exchange(("HTTP/1.1 102 x\r\n\r\n"):rep(limits.http_interim)
      .. "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).status)
  end)

  it("sees garbage at once, not at its time limit", function()
    local _, _, far, host = exchange(function(sock, host)
      sock:receiveany(1000)
      sock:send("5")
      host.sleep(1000)
    end)
    assert.equal("PROTOCOL", far.code)
    assert.equal(0, host.tick())
  end)

  it("bounds a head and a body without end", function()
    local function flood(start, more)
      return function(sock)
        sock:receiveany(1000)
        local sent = sock:send(start)
        while sent do sent = sock:send(more) end
      end
    end
    local function refused(words, ...)
      local response, why, far = exchange(...)
      assert.is_nil(response)
      assert.matches(words, why, 1, true)
      assert.same({ sent = true, answered = true, code = "PROTOCOL" }, far)
    end
    local x = ("x"):rep(10000)
    refused("the head is larger than 65536 octets", flood("HTTP/1.1 200 OK\r\nA: ", x))
    refused("the head is larger than 65536 octets", flood("HTTP/1.1 200 OK\r\nA: ", x), GET, nil, { chunk = 7 })
    refused("more than 100 header fields", flood("HTTP/1.1 200 OK\r\n", "A: b\r\n"))
    refused("the head is larger than 1000 octets", flood("HTTP/1.1 200 OK\r\nA: ", x), GET, { max_head = 1000 })
    refused("the head is larger than 1000 octets", "HTTP/1.1 200 OK\r\nA: " .. ("x"):rep(1000) .. "\r\n\r\n", GET, { max_head = 1000 })
    refused("the body is larger than 16777216 octets", flood("HTTP/1.1 200 OK\r\n\r\n", x))
    refused("the body is larger than 50000 octets", flood("HTTP/1.1 200 OK\r\n\r\n", x), GET, { max_body = 50000 })
    refused("the body is larger than 50000 octets", flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"), GET,
      { max_body = 50000 })
    refused("not well chunked", flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", x))
    refused("the body is larger than 10 octets", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", GET, { max_body = 10 })
    refused("the body is larger", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n")
  end)

  it("bounds heads where the core does", function()
    local function fields(n) return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" .. ("A: b\r\n"):rep(n - 1) .. "\r\n" end
    assert.equal(200, assert(exchange(fields(limits.http_headers))).status)
    assert.is_nil((exchange(fields(limits.http_headers + 1))))
    local start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: "
    local function octets(n) return start .. ("x"):rep(n - #start - 4) .. "\r\n\r\n" end
    assert.equal(200, assert(exchange(octets(limits.http_head_octets))).status)
    assert.is_nil((exchange(octets(limits.http_head_octets + 1))))
    local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;%s\r\n\r\n"
    assert.equal(200, assert(exchange(chunked:format(("x"):rep(limits.http_chunk_extra - 1)))).status)
    assert.is_nil((exchange(chunked:format(("x"):rep(limits.http_chunk_extra)))))
  end)

  it("keeps large bodies whole in pieces of any size", function()
    local body = {}
    for i = 1, 30000 do body[i] = i .. "," end
    body = table.concat(body)
    for _, chunk in ipairs { 3, 1000, 100000 } do
      local response = assert(exchange(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body), GET, nil, { chunk = chunk }))
      assert.is_true(response.body == body)
    end
  end)

  it("has written nothing when the deadline is over or the socket says so", function()
    local touched = false
    local sock = { settimeouts = function() end, send = function() touched = true end }
    local response, why, far = http1.request(sock, GET, { limit_ms = function() end })
    assert.same({ nil, "timeout", { sent = false, answered = false, code = "TIMEOUT" } }, { response, why, far })
    assert.is_false(touched)
    sock.send = function() return nil, "broken pipe", 0 end
    response, why, far = http1.request(sock, GET)
    assert.same({ nil, "broken pipe", { sent = false, answered = false, code = "LOST" } }, { response, why, far })
  end)

  it("asks its deadline before each wait", function()
    local steps, left = {}, 3000
    local response, why, far, host = exchange(function(sock, host)
      sock:receiveany(1000)
      sock:send("HTTP/1.1 200 OK\r\n")
      host.sleep(1)
      sock:send("Content-Length: 3\r\n\r\n")
      host.sleep(60)
    end, GET, { limit_ms = function(step)
      steps[#steps + 1] = step
      left = left - 500
      return left
    end })
    assert.is_nil(response)
    assert.equal("timeout", why)
    assert.same({ sent = true, answered = true, code = "TIMEOUT" }, far)
    assert.same({ "send", "answer", "answer", "answer" }, steps)
    assert.equal(2, host.tick())                -- one second until the second part, one until the limit of the last wait
    response, why, far, host = exchange(function(_, world) world.sleep(60) end, GET, { limit_ms = 5000 })
    assert.is_nil(response)
    assert.equal("timeout", why)
    assert.same({ sent = true, answered = false, code = "TIMEOUT" }, far)
    assert.equal(5, host.tick())
  end)

  it("still reads what the server said when writing fails", function()
    local large = { method = "POST", host = NAME, path = "/", body = ("x"):rep(1000000) }
    local response, _, _, host = exchange(function(sock)
      sock:receiveany(100)
      sock:send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    end, large)
    assert.equal(413, response.status)
    assert.equal("no", response.body)
    assert.is_false(response.keepalive)
    assert.equal(0, host.tick())
    local why, far
    response, why, far = exchange(function(sock) sock:receiveany(100) end, large)
    assert.is_nil(response)
    assert.equal("closed", why)
    assert.same({ sent = true, answered = false, code = "LOST" }, far)
  end)

  it("does not wait long for last words", function()
    local response, why, far, host = exchange(function(_, world) world.sleep(600) end,
      { method = "POST", host = NAME, path = "/", body = ("x"):rep(1000000) })
    assert.is_nil(response)
    assert.equal("timeout", why)
    assert.same({ sent = true, answered = false, code = "TIMEOUT" }, far)
    assert.equal(60 + limits.http_last_words, host.tick())
  end)
end)

-- ---- the server -------------------------------------------------------------------

local function echo(request)
  return { status = 200, headers = { ["Content-Type"] = "text/plain" }, body = request.method .. " " .. request.path .. " " .. request.body }
end

local function start(handler, options, world)
  local host = memory.new(world)
  options = options or {}
  options.host = host
  local served = {}
  listen(host, function(sock) served[#served + 1] = http1.serve(sock, handler, options) end)
  return host, served
end

-- Say `bytes` to a server; what it answers until it closes, without Date, and how many requests were handled.
local function talk(bytes, handler, options, world)
  local host, served = start(handler or echo, options, world)
  local sock = connect(host)
  sock:send(bytes)
  sock:settimeouts(nil, nil, 1000000)
  local said = read_all(sock)
  sock:close()
  host.sleep(0)
  assert.equal(1, #served)
  return said:gsub("Date: [^\r]*\r\n", ""), served[1], host
end

local HEAD = " HTTP/1.1\r\nHost: dm.test\r\n"

-- The request as the handler gets it.
local function seen(bytes, options)
  local got
  local said = talk(bytes, function(request)
    got = request
    return { status = 204 }
  end, options)
  return got, said
end

describe("http1.serve", function()
  it("and http1.request speak to each other, one octet at a time too", function()
    for _, chunk in ipairs { 1, 2, 100000 } do
      local host, served = start(function(request)
        if request.path == "/empty" then return { status = 204 } end
        local form = assert(request.form())
        return { status = 201, headers = { { "X-A", "1" }, { "X-A", "2" } }, body = form[1][1] .. "=" .. form[1][2] .. request.args.q }
      end, nil, { chunk = chunk })
      local sock = connect(host)
      local response = assert(http1.request(sock, { method = "POST", host = NAME, path = "/x?q=%41",
        headers = { ["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8" }, body = "a+b=c%26" }))
      assert.equal(201, response.status)
      assert.equal("Created", response.reason)
      assert.equal("a b=c&A", response.body)
      assert.equal("1, 2", response.headers["x-a"])
      assert.equal("Thu, 01 Jan 2026 00:00:00 GMT", response.headers.date)
      assert.is_true(response.keepalive)
      response = assert(http1.request(sock, { method = "GET", host = NAME, path = "/empty" }))
      assert.same({ 204, "", true }, { response.status, response.body, response.keepalive })
      assert.is_nil(response.headers["content-length"])
      sock:close()
      host.sleep(1)
      assert.same({ 2 }, served)
    end
  end)

  it("answers what was sent ahead in order, and closes when idle", function()
    local order = {}
    local said, served, host = talk("GET /1" .. HEAD .. "\r\n" .. "POST /2" .. HEAD .. "Content-Length: 3\r\n\r\nabc" .. "\r\nPUT /3"
      .. HEAD .. "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n" .. "HEAD /4" .. HEAD .. "\r\n", function(request)
        order[#order + 1] = request.path
        return echo(request)
      end)
    assert.equal(4, served)
    assert.same({ "/1", "/2", "/3", "/4" }, order)
    local function answer(body) return ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"):format(#body) end
    assert.equal(answer("GET /1 ") .. "GET /1 " .. answer("POST /2 abc") .. "POST /2 abc" .. answer("PUT /3 def") .. "PUT /3 def"
      .. answer("HEAD /4 "), said)
    assert.equal(limits.http_idle, host.tick())
  end)

  it("lets a handler wait", function()
    local world
    local function slow(request)
      world.sleep(5)
      return echo(request)
    end
    world = start(slow)
    local sock = connect(world)
    local before = world.tick()
    assert.equal(200, assert(http1.request(sock, GET)).status)
    assert.equal(200, assert(http1.request(sock, GET)).status)
    assert.equal(10, world.tick() - before)
  end)

  it("describes a request, raw and decoded", function()
    local got = seen("GET /a%2Fb//%e4%bd%a0+x?to=ann%40x&&empty&to=b+c&=v" .. HEAD .. "X-A: 1\r\nx-a: 2\r\n\r\n")
    assert.equal("/a%2Fb//%e4%bd%a0+x?to=ann%40x&&empty&to=b+c&=v", got.target)
    assert.equal("/a%2Fb//%e4%bd%a0+x", got.raw_path)
    assert.equal("/a/b//你+x", got.path)
    assert.same({ "a/b", "", "你+x" }, got.segments)
    assert.equal("to=ann%40x&&empty&to=b+c&=v", got.raw_query)
    assert.same({ { "to", "ann@x" }, { "empty", "" }, { "to", "b c" }, { "", "v" } }, got.query)
    assert.same({ to = "ann@x", empty = "", [""] = "v" }, got.args)
    assert.same({ host = "dm.test", ["x-a"] = "1, 2" }, got.headers)
    assert.same({ { "Host", "dm.test" }, { "X-A", "1" }, { "x-a", "2" } }, got.list)
    assert.same({ "dm.test", "", 1, true }, { got.host, got.body, got.minor, got.keepalive })
    local form, why = got.form()
    assert.is_nil(form)
    assert.matches("no form", why, 1, true)
  end)

  it("takes the forms of a target that RFC 9112 asks for", function()
    local got = seen("GET HTTP://real.test:81?x=1" .. HEAD .. "\r\n")
    assert.same({ "real.test:81", "/", "1" }, { got.host, got.path, got.args.x })
    got = seen("GET http://real.test/p" .. HEAD .. "\r\n")
    assert.same({ "real.test", "/p" }, { got.host, got.path })
    got = seen("OPTIONS *" .. HEAD .. "\r\n")
    assert.equal("*", got.path)
    for _, target in ipairs { "*", "a", "dm.test:80", "/a#b", "/%", "/%4", "/%zz", "/%00", "/?a=%", "/?%=a", "http:///", "http://u@h/" } do
      local said
      got, said = seen("GET " .. target .. HEAD .. "\r\n")
      assert.is_nil(got)
      assert.matches("^HTTP/1.1 400 Bad Request\r\n", said)
    end
  end)

  it("wants exactly one host", function()
    local got, said = seen("GET / HTTP/1.1\r\n\r\n")
    assert.is_nil(got)
    assert.matches("one Host header is needed\n$", said)
    got = seen("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
    assert.is_nil(got)
    assert.is_nil(seen("GET / HTTP/1.0\r\n\r\n").host)
  end)

  it("refuses every shape that smuggles a second request", function()
    local inner = "GET /smuggled" .. HEAD .. "\r\n"
    for _, lines in ipairs {
      "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
      "Content-Length: 0, 5\r\n\r\n", "Content-Length: +0\r\n\r\n", "Content-Length : 0\r\n\r\n", "Transfer-Encoding: gzip, chunked\r\n\r\n",
      "Transfer-Encoding: xchunked\r\n\r\n", "Transfer-Encoding:\r\n chunked\r\n\r\n", "A: b\nContent-Length: 5\r\n\r\n", "A: b\rB: c\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n5\n", "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
      " A: b\r\n\r\n", "Host: other.test\r\n\r\n" } do
      local said, served = talk("POST /" .. HEAD .. lines .. inner)
      assert.equal(0, served)
      assert.matches("^HTTP/1.1 [45]0[01] [%w ]+\r\n", said)
      assert.matches("Connection: close\r\n", said, 1, true)
      assert.is_nil(said:find("smuggled", 1, true))
    end
  end)

  it("names what it refuses", function()
    local function refused(status, bytes, options)
      local said, served = talk(bytes, echo, options)
      assert.equal(0, served)
      assert.equal(tostring(status), said:match("^HTTP/1.1 (%d+)"))
    end
    refused(400, "\22\3\1")
    refused(505, "GET / HTTP/2.0\r\n")
    refused(501, "POST /" .. HEAD .. "Transfer-Encoding: gzip\r\n\r\n")
    refused(417, "POST /" .. HEAD .. "Expect: fireworks\r\nContent-Length: 1\r\n\r\nx")
    refused(413, "POST /" .. HEAD .. "Content-Length: 16777217\r\n\r\n")
    refused(413, "POST /" .. HEAD .. "Content-Length: 11\r\n\r\n" .. ("x"):rep(11), { max_body = 10 })
    refused(413, "POST /" .. HEAD .. "Transfer-Encoding: chunked\r\n\r\nb\r\n" .. ("x"):rep(11), { max_body = 10 })
    refused(431, "GET /" .. HEAD .. ("A: b\r\n"):rep(100))
    refused(431, "GET /" .. ("x"):rep(70000))
    refused(431, "GET /" .. HEAD .. "\r\n", { max_head = 20 })
  end)

  it("lets a client that still writes take the refusal", function()
    local host = start(echo, { max_body = 1000 }, { buffer = 1000 })
    local response = assert(http1.request(connect(host), { method = "POST", host = NAME, path = "/", body = ("x"):rep(100000) }))
    assert.equal(413, response.status)
    assert.equal("the body is larger than 1000 octets\n", response.body)
    assert.is_false(response.keepalive)
  end)

  it("holds nobody who drips or says nothing", function()
    local function drip(bytes, pause)
      local host, served = start(echo)
      local sock = connect(host)
      local task = host.spawn(function()
        for i = 1, #bytes do
          if not sock:send(bytes:sub(i, i)) then return end
          host.sleep(pause)
        end
      end)
      sock:settimeouts(nil, nil, 1000000)
      local said = read_all(sock)
      host.wait(task)
      assert.same({ 0 }, served)
      return said, host.tick()
    end
    local said, seconds = drip("GET /" .. ("x"):rep(60), 2)
    assert.matches("^HTTP/1.1 408 Request Timeout\r\n", said)
    assert.is_true(seconds < limits.http_request + 10)
    said = drip("POST /" .. HEAD .. "Content-Length: 9\r\n\r\n12345678", 10)
    assert.matches("^HTTP/1.1 408 Request Timeout\r\n", said)
    said = drip("", 1)
    assert.equal("", said)
  end)

  it("invites a body that waits to be asked for, before it came", function()
    local host = start(echo)
    local sock = connect(host)
    sock:send("POST /" .. HEAD .. "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n")
    assert.equal("HTTP/1.1 100 Continue\r\n\r\n", sock:receiveany(1000))
    sock:send("abc")
    assert.matches("POST / abc$", sock:receiveany(1000))
    sock:send("POST /" .. HEAD .. "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
    assert.matches("^HTTP/1.1 200 OK.*POST / abc$", sock:receiveany(1000))
    sock:send("POST /" .. HEAD .. "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert.matches("^HTTP/1.1 413 ", sock:receiveany(1000))
  end)

  it("ends the connection when either side wishes", function()
    local two = "GET /1" .. HEAD .. "%s\r\nGET /2" .. HEAD .. "\r\n"
    local said, served = talk(two:format("Connection: x, close\r\n"))
    assert.equal(1, served)
    assert.matches("Connection: close\r\n", said, 1, true)
    said, served = talk(two:format(""), function() return { status = 200, close = true } end)
    assert.equal(1, served)
    assert.matches("Connection: close\r\n", said, 1, true)
    said, served = talk("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert.equal(1, served)
    assert.matches("Connection: close\r\n", said, 1, true)
    said, served = talk(("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"):rep(2))
    assert.equal(2, served)
    assert.matches("Connection: keep-alive\r\n", said, 1, true)
  end)

  it("answers 500 for a handler that fails, logs why and closes", function()
    local bad = {
      { function() error("boom at dawn") end, "boom at dawn" },
      { function() end, "the handler returned no response" },
      { function() return { status = 99 } end, "its status" },
      { function() return { status = 200.5 } end, "its status" },
      { function() return { status = 200, body = 1 } end, "its body" },
      { function() return { status = 200, boddy = "" } end, '"boddy"' },
      { function() return { status = 200, reason = "a\r\nb" } end, "its reason" },
      { function() return { status = 200, headers = { A = "b\r\nSet-Cookie: x" } } end, "the header A holds a line break" },
      { function() return { status = 200, headers = { ["Content-Length"] = "1" } } end, "set by http1" },
    }
    for _, row in ipairs(bad) do
      local said, served, host = talk(("GET /x?secret=1" .. HEAD .. "\r\n"):rep(2), row[1])
      assert.equal(1, served)
      assert.matches("^HTTP/1.1 500 Internal Server Error\r\n.*Connection: close\r\n\r\ninternal error\n$", said)
      assert.equal(1, #host.logs)
      assert.equal("error", host.logs[1][1])
      assert.matches("http: GET /x: ", host.logs[1][2], 1, true)
      assert.matches(row[2], host.logs[1][2], 1, true)
      assert.is_nil(host.logs[1][2]:find("secret", 1, true))
    end
  end)

  it("lets a handler fail on purpose", function()
    local said = talk("GET /" .. HEAD .. "\r\n", function() return false end)
    assert.equal("", said)
    said = talk("GET /" .. HEAD .. "\r\n", function() return { raw = "\0garbage" } end)
    assert.equal("\0garbage", said)
  end)

  it("keeps a Date that the handler set", function()
    local host = start(function() return { status = 200, headers = { date = "Thu, 01 Jan 1970 00:00:00 GMT" } } end)
    assert.equal("Thu, 01 Jan 1970 00:00:00 GMT", assert(http1.request(connect(host), GET)).headers.date)
  end)

  it("refuses options that it does not know", function()
    assert.has_error(function() http1.serve({}, echo, { hots = 1 }) end, 'unknown field "hots" in http1.serve (did you mean "host"?)')
  end)
end)

-- ---- a connection that is lost after each octet ----------------------------------------

describe("a connection that is lost", function()
  local request = { method = "POST", host = NAME, path = "/send", body = "To=ann%40example.net" }
  local size, answer_size

  local function cut(options)
    local host, served = start(function() return { status = 200, body = '{"EnvId":"1"}' } end, nil, options)
    local sock = connect(host)
    local response, why, far = http1.request(sock, request)
    sock:close()
    host.sleep(100)
    return response, why, far, served[1] or 0
  end

  setup(function()
    size = #written(request)
    local host = start(function() return { status = 200, body = '{"EnvId":"1"}' } end)
    local sock = connect(host)
    sock:send(("POST /send HTTP/1.1\r\nHost: dm.test\r\nContent-Length: %d\r\n\r\n%s"):format(#request.body, request.body))
    answer_size = #sock:receiveany(65536)
  end)

  it("within the request leaves it open, and it was not carried out", function()
    for octets = 1, size - 1 do
      local response, why, far, served = cut { cut_after = octets }
      assert.same({ nil, "closed", { sent = true, answered = false, code = "LOST" }, 0 }, { response, why, far, served })
    end
  end)

  it("behind the request leaves it open, and it was carried out", function()
    local response, why, far, served = cut { cut_after = size }
    assert.same({ nil, "closed", { sent = true, answered = false, code = "LOST" }, 1 }, { response, why, far, served })
  end)

  it("within the answer leaves it open, and the answer came in part", function()
    assert.is_true(answer_size > 50)
    for octets = 1, answer_size - 1 do
      local response, why, far, served = cut { cut_after = octets, cut = "server" }
      assert.same({ nil, "closed", { sent = true, answered = true, code = "LOST" }, 1 }, { response, why, far, served })
    end
    local response = cut { cut_after = answer_size, cut = "server" }
    assert.equal('{"EnvId":"1"}', response.body)
  end)
end)

describe("http1.decode_form", function()
  it("keeps order, repeated names and empty values", function()
    local list, map = http1.decode_form("a=1&b=&c&a=2&=x&d=e=f&&")
    assert.same({ { "a", "1" }, { "b", "" }, { "c", "" }, { "a", "2" }, { "", "x" }, { "d", "e=f" } }, list)
    assert.same({ a = "1", b = "", c = "", [""] = "x", d = "e=f" }, map)
    assert.same({ {}, {} }, { http1.decode_form("") })
  end)

  it("decodes plus signs and every octet, in either case", function()
    assert.same({ { "a b", "c+d %" } }, (http1.decode_form("a+b=c%2Bd+%25")))
    for i = 0, 255 do
      local octet = string.char(i)
      assert.same({ { octet, octet } }, (http1.decode_form(("%%%02x=%%%02X"):format(i, i))))
    end
    assert.same({ { "\171", "" } }, (http1.decode_form("%aB")))
    assert.same({ { "%41", "" } }, (http1.decode_form("%2541")))
  end)

  it("refuses a % without two hex digits", function()
    for _, text in ipairs { "a=%", "a=%4", "%g1=a", "a=1&b=%%41", "a=%4%31" } do
      local list, why = http1.decode_form(text)
      assert.is_nil(list)
      assert.matches("field %d holds a %%", why)
    end
  end)

  it("refuses more fields than there can be", function()
    assert.equal(limits.http_form_fields, #http1.decode_form(("a&"):rep(limits.http_form_fields)))
    local list, why = http1.decode_form(("a&"):rep(limits.http_form_fields + 1))
    assert.is_nil(list)
    assert.matches("more than 10000 fields", why, 1, true)
  end)
end)
