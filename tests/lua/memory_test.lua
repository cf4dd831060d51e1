-- memory.lua: a network and a clock in memory, with the sockets of the real host.
local memory = require "directmail.host.memory"

local function serve(host, listener, each)
  return host.spawn(function()
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
    local bytes, why = sock:receiveany(4096)
    if not bytes then return table.concat(parts), why, #parts end
    parts[#parts + 1] = bytes
  end
end

local function connect(host, listener)
  local sock = host.tcp()
  assert.equal(1, sock:connect(listener.address, listener.port))
  return sock
end

describe("the memory host", function()
  it("carries octets both ways and tells the end", function()
    local host = memory.new()
    local listener = assert(host.listen("smtp.test", 25))
    serve(host, listener, function(sock)
      sock:send("220 " .. sock:receiveany(100))
      sock:close()
    end)
    local sock = connect(host, listener)
    assert.equal(5, sock:send("hello"))
    assert.same({ "220 hello", "closed" }, { (read_all(sock)), (select(2, sock:receiveany(1))) })
    assert.equal("127.0.0.1:25", sock:peer())
    assert.equal("127.0.0.1", sock:getsockname())
    sock:close()
    assert.same({ nil, "closed" }, { sock:send("x") })
  end)

  it("refuses a connection where nobody listens", function()
    local host = memory.new()
    assert.same({ nil, "connection refused" }, { host.tcp():connect("smtp.test", 25) })
    local listener = assert(host.listen("127.0.0.1", 0))
    assert.same({ nil, "Address already in use" }, { host.listen("127.0.0.1", listener.port) })
    listener:close()
    assert.same({ nil, "connection refused" }, { host.tcp():connect("127.0.0.1", listener.port) })
    assert.same({ nil, "closed" }, { listener:accept() })
  end)

  it("brings octets one at a time", function()
    local host = memory.new { chunk = 1 }
    local listener = assert(host.listen("127.0.0.1", 0))
    serve(host, listener, function(sock) sock:send("abc") sock:close() end)
    local bytes, why, parts = read_all(connect(host, listener))
    assert.same({ "abc", "closed", 3 }, { bytes, why, parts })
  end)

  it("cuts what the client sends after every octet", function()
    for cut = 0, 6 do
      local host = memory.new()
      local listener = assert(host.listen("127.0.0.1", 0, { cut_after = cut }))
      local got
      local server = serve(host, listener, function(sock)
        sock:send("last words")
        got = read_all(sock)
      end)
      local sock = connect(host, listener)
      local sent, why = sock:send("abcdef")
      local words, ending = read_all(sock)
      listener:close()
      host.wait(server)
      assert.equal(("abcdef"):sub(1, cut), got)
      assert.same(cut == 6 and { 6 } or { nil, "closed" }, { sent, why })
      assert.equal("closed", ending)
      if cut > 0 then assert.is_true(words == "" or words == "last words") end
    end
  end)

  it("cuts what the server sends, and both ends see it", function()
    local host = memory.new { cut_after = 4, cut = "server" }
    local listener = assert(host.listen("127.0.0.1", 0))
    local sent
    serve(host, listener, function(sock)
      sent = { sock:send("220 hello") }
    end)
    local sock = connect(host, listener)
    assert.equal("220 ", (read_all(sock)))
    assert.same({ nil, "closed", 4 }, sent)
    assert.same({ nil, "closed", 0 }, { sock:send("QUIT") })
  end)

  it("holds a sender until there is room, and its time limit ends that", function()
    local host = memory.new { buffer = 10 }
    local listener = assert(host.listen("127.0.0.1", 0))
    local got
    local server = serve(host, listener, function(sock)
      host.sleep(30)
      got = read_all(sock)
    end)
    local sock = connect(host, listener)
    assert.equal(1000, sock:send(("x"):rep(1000)))
    assert.equal(30, host.tick())
    sock:close()
    listener:close()
    host.wait(server)
    host.sleep(1)
    assert.equal(1000, #got)

    listener = assert(host.listen("127.0.0.1", 0))
    sock = connect(host, listener)
    sock:settimeouts(nil, 250, nil)
    assert.same({ nil, "timeout", 10 }, { sock:send(("x"):rep(1000)) })
  end)

  it("lets time limits pass without real time", function()
    local host = memory.new()
    local listener = assert(host.listen("127.0.0.1", 0))
    local sock = connect(host, listener)
    local before, started = os.time(), host.now()
    assert.same({ nil, "timeout" }, { sock:receiveany(1) })
    assert.equal(60, host.tick())
    sock:settimeouts(1, 1, 3600 * 1000)
    assert.same({ nil, "timeout" }, { sock:receiveany(1) })
    assert.equal(3660, host.now() - started)
    assert.is_true(os.time() - before < 60)
  end)

  it("turns TLS into a flag", function()
    local host = memory.new()
    local listener = assert(host.listen("smtp.test", 465))
    local identity = host.identity(host.authority():issue({ "smtp.test" }))
    serve(host, listener, function(sock)
      assert(sock:sslaccept(identity))
      sock:send(sock:tls().version)
    end)
    local sock = connect(host, listener)
    assert.is_nil(sock:tls())
    assert.is_true(sock:sslhandshake(false, "smtp.test", true))
    assert.equal("smtp.test", sock:tls().subject)
    assert.equal("TLSv1.3", sock:receiveany(100))
  end)

  it("fails the handshake as told, and the connection with it", function()
    local host = memory.new { handshake = "10: certificate has expired" }
    local sock = connect(host, assert(host.listen("smtp.test", 465)))
    assert.same({ nil, "10: certificate has expired" }, { sock:sslhandshake(false, "smtp.test", true) })
    assert.same({ nil, "closed" }, { sock:send("x") })
  end)

  it("keeps connections for reuse while they live", function()
    local host = memory.new()
    local listener = assert(host.listen("smtp.test", 25))
    local servers = {}
    serve(host, listener, function(sock) servers[#servers + 1] = sock end)
    local function reuse()
      local sock = host.tcp()
      assert.equal(1, sock:connect("smtp.test", 25, { pool = "a" }))
      local times = sock:getreusedtimes()
      return times, sock
    end
    local times, sock = reuse()
    assert.equal(0, times)
    assert.equal(1, sock:setkeepalive(10000, 2))
    assert.same({ nil, "closed" }, { sock:send("x") })
    times, sock = reuse()
    assert.equal(1, times)
    sock:setkeepalive(10000, 2)
    host.sleep(9)
    times, sock = reuse()
    assert.equal(2, times)
    sock:setkeepalive(10000, 2)
    host.sleep(10)
    times, sock = reuse()
    assert.equal(0, times)
    host.sleep(0)
    sock:setkeepalive(10000, 2)
    servers[#servers]:send("421 going away")
    assert.equal(0, (reuse()))
  end)

  it("has the same octets, environment, files and name in each run", function()
    local host = memory.new { env = { A = "1", B = "" }, files = { ["/x"] = "abc" }, hostname = "host.test" }
    assert.equal(memory.new().random(20), host.random(20))
    assert.equal(20, #host.random(20))
    assert.same({ "1" }, { host.env("A") })
    assert.is_nil(host.env("B"))
    assert.equal("abc", host.read("/x"))
    assert.same({ nil, "larger than 2 octets" }, { host.read("/x", 2) })
    assert.same({ nil, "no such file or directory" }, { host.read("/y") })
    assert.equal("host.test", host.hostname())
  end)

  it("asks a function instead of the net", function()
    local host = memory.new()
    local response, failure = host.http { url = "https://dm.aliyuncs.com/", body = "x" }
    assert.is_nil(response)
    assert.same({ "CONNECT", "connect", false }, { failure.code, failure.step, failure.sent })
    function host.http_handler(request)
      host.sleep(2)
      return { status = 200, headers = {}, body = request.body:upper(), seconds = 2, reused = false }
    end
    assert.equal("X", host.http({ url = "https://dm.aliyuncs.com/", body = "x" }).body)
    assert.equal(2, host.tick())
  end)

  it("refuses options that it does not know", function()
    assert.has_error(function() memory.new { chunks = 1 } end, 'unknown field "chunks" in memory.new (did you mean "chunk"?)')
    local host = memory.new()
    assert.has_error(function() host.listen("a", 1, { cut_aftr = 1 }) end)
    assert.has_error(function() host.listen("a", 1, { cut = "both" }) end, 'memory.listen: cut is "client" or "server"')
  end)
end)
