-- std.lua over real sockets on loopback: TCP, tasks, child processes, the machine.
local host = require "directmail.host.std"

local BIG = ("x"):rep(30 * 1024 * 1024)         -- more than any pair of socket buffers holds
local LUA = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match("%d.%d")

-- Serve every connection in a task of its own; each(sock) may return when it likes.
local function serve(each, address)
  local listener = assert(host.listen(address or "127.0.0.1", 0))
  local task = host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(function()
        each(sock)
        sock:close()
      end)
    end
  end)
  return listener, task
end

local function connect(listener, options)
  local sock = host.tcp(options)
  local ok, why = sock:connect(listener.address, listener.port)
  assert.equal(1, ok, why)
  return sock
end

local function read(sock, size)
  local got = {}
  local n = 0
  while not size or n < size do
    local bytes, why = sock:receiveany(size and math.min(65536, size - n) or 65536)
    if not bytes then return table.concat(got), why end
    got[#got + 1], n = bytes, n + #bytes
  end
  return table.concat(got)
end

local function echo(sock)
  while true do
    local bytes = sock:receiveany(65536)
    if not bytes or not sock:send(bytes) then return end
  end
end

-- Run Lua text in a process of its own, which dials back to tell what it found.
local function in_process(text, env, during, limits)
  local listener = assert(host.listen("127.0.0.1", 0))
  local told
  local reader = host.spawn(function()
    local sock = assert(listener:accept())
    if during then
      assert.equal("ready", read(sock, 5))
      during.ready()
    end
    told = read(sock)
  end)
  local child = assert(host.child({ "sh", "-c", (limits or "") .. 'exec "$0" -e "$1"', LUA, ([[
    local host = require "directmail.host.std"
    local back = host.tcp()
    assert(back:connect("127.0.0.1", %d))
    %s
  ]]):format(listener.port, text) }, env))
  if during then during.child = child end
  local status = child:wait()
  listener:close()
  assert(host.wait(reader))
  return told, status
end

describe("a TCP socket", function()
  it("carries octets both ways", function()
    local listener = serve(echo)
    local sock = connect(listener)
    assert.equal(5, sock:send("he\0lo"))
    assert.equal("he\0lo", read(sock, 5))
    assert.equal(0, sock:send(""))
    assert.equal("127.0.0.1:" .. listener.port, sock:peer())
    assert.equal("127.0.0.1", sock:getsockname())
    assert.is_nil(sock:tls())
    sock:close()
    listener:close()
  end)

  it("speaks IPv6", function()
    local listener = serve(echo, "::1")
    local sock = connect(listener)
    sock:send("six")
    assert.equal("six", read(sock, 3))
    assert.equal("[::1]:" .. listener.port, sock:peer())
    assert.equal("::1", sock:getsockname())
    sock:close()
    listener:close()
  end)

  it("rule 7.5: tries the next address of a name when the first one refuses", function()
    for _, address in ipairs { "127.0.0.1", "::1" } do
      local listener = serve(echo, address)
      local sock = host.tcp()
      assert.same({ 1 }, { sock:connect("localhost", listener.port) })
      assert.equal(address, sock:getsockname())
      sock:close()
      listener:close()
    end
  end)

  -- Call `during` while `silent` says nothing on a port where `other` echoes: a queue that is full takes no more SYNs.
  local function while_silent(silent, other, during)
    local program = [[
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
silent = socket.socket(family)
try:
    silent.bind((sys.argv[1], int(sys.argv[2])))
except OSError as fault:
    print(fault, flush=True)
else:
    silent.listen(0)
    kept = [socket.socket(family) for _ in range(3)]
    for one in kept:
        one.setblocking(False)
        one.connect_ex(silent.getsockname())
    print("ready", flush=True)
sys.stdin.read()
]]
    local said, name = os.tmpname(), os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write(program)
    file:close()
    local listener, child, word
    for _ = 1, 20 do                    -- somebody else may have the port's number on `silent`
      os.remove(said)
      listener = serve(echo, other)
      child = assert(io.popen(("exec python3 %s %s %d >%s"):format(name, silent, listener.port, said), "w"))
      repeat
        host.sleep(0.01)
        word = (host.read(said) or ""):match "(.*)\n"
      until word
      if word == "ready" then break end
      child:close()
      listener:close()
    end
    assert.equal("ready", word)
    during(listener.port)
    child:close()
    listener:close()
    os.remove(said)
    os.remove(name)
  end

  it("rule 7.4: does not wait long for an address that is silent", function()
    local longest = 0
    for silent, other in pairs { ["127.0.0.1"] = "::1", ["::1"] = "127.0.0.1" } do
      while_silent(silent, other, function(port)
        local shortest = math.huge
        for _ = 1, 5 do                 -- the machine may have other things to do
          local sock, start = host.tcp(), host.tick()
          assert.same({ 1 }, { sock:connect("localhost", port) })
          shortest = math.min(shortest, host.tick() - start)
          assert.equal(other, sock:getsockname())
          sock:close()
        end
        longest = math.max(longest, shortest)
      end)
    end
    -- the address that is tried first waited for its turn to pass, and not for its first SYN to be sent again
    assert.is_true(longest > 0.05 and longest < 0.9, longest)
  end)

  it("gives up on an IP address that is silent when its time is over, or when it is closed", function()
    while_silent("127.0.0.1", "::1", function(port)
      local sock, start = host.tcp(), host.tick()
      sock:settimeouts(50)
      assert.same({ nil, "timeout" }, { sock:connect("127.0.0.1", port) })
      assert.is_true(host.tick() - start >= 0.05 and host.tick() - start < 5)
      assert.same({ nil, "closed" }, { sock:send("x") })
      sock:settimeouts(30000)
      local task = host.spawn(function() return sock:connect("127.0.0.1", port) end)
      sock:close()
      assert.same({ true, nil, "closed" }, { host.wait(task) })
      host.spawn(function() return sock:connect("127.0.0.1", port) end)
      sock = nil                                -- luacheck: ignore
      collectgarbage()
      collectgarbage()
    end)
  end)

  it("says why it does not connect", function()
    local listener = assert(host.listen("127.0.0.1", 0))
    listener:close()
    local sock = host.tcp()
    assert.same({ nil, "connection refused" }, { sock:connect("127.0.0.1", listener.port) })
    assert.same({ nil, "closed" }, { sock:send("x") })
    assert.same({ nil, "closed" }, { sock:receiveany(1) })
    local unknown = ("a"):rep(64) .. ".invalid"         -- a label too long for DNS: no name server is asked
    assert.same({ nil, "host not found: " .. unknown }, { sock:connect(unknown, 25) })
    for _, host_name in ipairs { "a/b", "user@127.0.0.1", "127.0.0.1:99", "[::1]", "a b", "::1%", "::1%a/b", "a\r\nb" } do
      local ok, why = sock:connect(host_name, 25)
      assert.is_nil(ok)
      assert.matches("^host not found: .* is neither a host name nor an IP address$", why)
    end
    assert.has_error(function() sock:connect("", 25) end)
    assert.has_error(function() sock:connect("127.0.0.1", 70000) end)
    assert.has_error(function() sock:connect("127.0.0.1\0.example", 25) end)
  end)

  it("moves 20 MB each way at once between two tasks", function()
    local size = 20 * 1024 * 1024
    local block = ("0123456789abcdef"):rep(65536)
    local function both(sock)
      local sender = host.spawn(function()
        for _ = 1, size / #block do assert(sock:send(block)) end
      end)
      local received, sum = 0, 0
      while received < size do
        local bytes = assert(sock:receiveany(65536))
        -- what stands at a known place must be what was sent there
        sum = sum + (bytes:byte(1) == block:byte(received % 16 + 1) and 0 or 1)
        received = received + #bytes
      end
      assert(host.wait(sender))
      return received, sum
    end
    local there
    local listener = assert(host.listen("127.0.0.1", 0))
    local server = host.spawn(function() there = { both(assert(listener:accept())) } end)
    local sock = connect(listener)
    local client = host.spawn(function() return both(sock) end)
    assert.same({ true, size, 0 }, { host.wait(client) })
    assert.is_true((host.wait(server)))
    assert.same({ size, 0 }, there)
    sock:close()
    listener:close()
  end)

  it("ends waits by its time limits", function()
    local listener = serve(function() host.sleep(30) end)
    local sock = connect(listener)
    sock:settimeouts(nil, 20, 30)
    local before = host.tick()
    assert.same({ nil, "timeout" }, { sock:receiveany(10) })
    assert.is_true(host.tick() - before >= 0.03)
    local sent, why, handed = sock:send(BIG)
    assert.same({ nil, "timeout" }, { sent, why })
    assert.is_true(handed < #BIG)
    sock:close()
    -- a proxy that never answers makes connecting last
    local slow = host.tcp { proxy = "http://127.0.0.1:" .. listener.port }
    slow:settimeouts(40)
    assert.same({ nil, "timeout" }, { slow:connect("smtp.test", 25) })
    listener:close()
    assert.has_error(function() sock:settimeouts(0) end)
  end)

  it("rule 7.6: never raises SIGPIPE, and still reads what the peer said last", function()
    local listener = serve(function(sock)
      sock:receiveany(10)
      sock:send("552 too large\r\n")
    end)
    local sock = connect(listener)
    local sent, why = sock:send(BIG)
    assert.same({ nil, "closed" }, { sent, why })
    assert.same({ nil, "closed", 0 }, { sock:send("more") })
    assert.equal("552 too large\r\n", read(sock))
    sock:close()
    listener:close()
  end)

  it("that is closed wakes who waits for it", function()
    local listener = serve(function() host.sleep(30) end)
    local sock = connect(listener)
    local receiver = host.spawn(function() return sock:receiveany(1) end)
    local sender = host.spawn(function() return sock:send(BIG) end)
    sock:close()
    assert.same({ true, nil, "closed" }, { host.wait(receiver) })
    local _, sent, why, handed = host.wait(sender)
    assert.same({ nil, "closed" }, { sent, why })
    assert.is_true(handed > 0 and handed < #BIG)
    local connecting = host.tcp { proxy = "http://127.0.0.1:" .. listener.port }
    local dialler = host.spawn(function() return connecting:connect("smtp.test", 25) end)
    connecting:close()
    assert.same({ true, nil, "closed" }, { host.wait(dialler) })
    listener:close()
  end)

  it("has one owner for each direction", function()
    local listener = serve(function() host.sleep(30) end)
    local sock = connect(listener)
    local receiver = host.spawn(function() return sock:receiveany(1) end)
    local sender = host.spawn(function() return sock:send(BIG) end)
    assert.has_error(function() sock:receiveany(1) end, "another task is receiving on this socket")
    assert.has_error(function() sock:send("x") end, "another task is sending on this socket")
    assert.has_error(function() sock:sslhandshake(false, "localhost", true) end, "another task is using this socket")
    assert.has_error(function() sock:setkeepalive() end, "another task is using this socket")
    sock:close()
    host.wait(receiver)
    host.wait(sender)
    listener:close()
  end)

  it("rule 7.8: is closed when its task is abandoned", function()
    local ended
    local listener, acceptor = serve(function(sock) ended = select(2, read(sock)) end)
    do
      local ring = {}       -- two tasks that wait for each other and are forgotten
      ring.a = host.spawn(function()
        local sock = connect(listener)
        sock:send("MAIL FROM")
        host.wait(ring.b)
        sock:close()
      end)
      ring.b = host.spawn(function() return host.wait(ring.a) end)
      host.sleep(0.02)
    end
    for _ = 1, 100 do
      collectgarbage()
      host.sleep(0.01)
      if ended then break end
    end
    assert.equal("closed", ended)
    listener:close()
    host.wait(acceptor)
  end)

  it("serves forty tasks in the time of a few", function()
    local listener = serve(function(sock)
      while sock:receiveany(100) do
        host.sleep(0.2)
        sock:send("ok")
      end
    end)
    local function ask()
      local sock = connect(listener)
      sock:send("?")
      local answer = sock:receiveany(10)
      sock:close()
      return answer
    end
    local before = host.tick()
    assert.equal("ok", ask())
    local one = host.tick() - before
    before = host.tick()
    local tasks = {}
    for i = 1, 40 do tasks[i] = host.spawn(ask) end
    for i = 1, 40 do assert.same({ true, "ok" }, { host.wait(tasks[i]) }) end
    assert.is_true(host.tick() - before < 5 * one)
    listener:close()
  end)
end)

describe("a proxy", function()
  local function relay(sock, port)
    local out = host.tcp()
    assert(out:connect("127.0.0.1", port))
    local up = host.spawn(function()
      while true do
        local bytes = sock:receiveany(65536)
        if not bytes then break end
        out:send(bytes)
      end
      out:close()
    end)
    while true do
      local bytes = out:receiveany(65536)
      if not bytes then break end
      sock:send(bytes)
    end
    sock:close()
    host.wait(up)
  end

  it("by HTTP CONNECT carries a connection to a name it resolves itself", function()
    local target = serve(echo)
    local asked
    local proxy = serve(function(sock)
      asked = sock:receiveany(4096)
      sock:send("HTTP/1.1 200 OK\r\n\r\n")
      relay(sock, target.port)
    end)
    local sock = host.tcp { proxy = "http://me:secret@127.0.0.1:" .. proxy.port }
    assert.same({ 1 }, { sock:connect("smtp.example", 465) })
    sock:send("through")
    assert.equal("through", read(sock, 7))
    assert.matches("^CONNECT smtp%.example:465 HTTP/1%.1\r\n", asked)
    assert.matches("Proxy%-Authorization: Basic bWU6c2VjcmV0\r\n", asked)
    assert.is_nil(sock:peer())
    sock:close()
    proxy:close()
    target:close()
  end)

  it("by SOCKS5 carries one too, the name unresolved", function()
    local target = serve(echo)
    local asked
    local proxy = serve(function(sock)
      sock:receiveany(100)
      sock:send("\5\0")
      asked = sock:receiveany(100)
      sock:send("\5\0\0\1\127\0\0\1\0\1")
      relay(sock, target.port)
    end)
    local sock = host.tcp { proxy = "socks5h://127.0.0.1:" .. proxy.port }
    assert.same({ 1 }, { sock:connect("smtp.example", 465) })
    sock:send("through")
    assert.equal("through", read(sock, 7))
    assert.equal("\5\1\0\3\12smtp.example\1\209", asked)
    sock:close()
    proxy:close()
    target:close()
  end)

  it("that refuses says so, without its password", function()
    local proxy = serve(function(sock)
      sock:receiveany(4096)
      sock:send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
      host.sleep(0.05)
    end)
    local ok, why = host.tcp({ proxy = "http://me:secret@127.0.0.1:" .. proxy.port }):connect("smtp.example", 465)
    assert.is_nil(ok)
    assert.matches("403", why)
    assert.not_matches("secret", why)
    proxy:close()
  end)

  it("by HTTPS is refused with the way out, without its password", function()
    local ok, why = host.tcp({ proxy = "https://me:secret@127.0.0.1:1" }):connect("smtp.example", 465)
    assert.is_nil(ok)
    assert.equal("the proxy cannot be used: begin it with http://, socks5h://, socks5://, socks4a:// or socks4://", why)
  end)

  it("is never taken from the environment", function()
    local target = serve(echo)
    local env = { http_proxy = "http://127.0.0.1:1", all_proxy = "http://127.0.0.1:1", ALL_PROXY = "http://127.0.0.1:1" }
    assert.equal("1", (in_process('back:send(tostring(host.tcp():connect("127.0.0.1", ' .. target.port .. ")))", env)))
    -- nor is a proxy that was asked for left out because of the environment
    assert.equal("connection refused", (in_process(
      'back:send(select(2, host.tcp({ proxy = "http://127.0.0.1:1" }):connect("127.0.0.1", ' .. target.port .. ")))",
      { no_proxy = "127.0.0.1" })))
    target:close()
  end)
end)

describe("a kept connection", function()
  it("is used again while it lives and has nothing unread", function()
    local accepted = {}
    local listener = serve(function(sock)
      accepted[#accepted + 1] = sock
      echo(sock)
    end)
    local function reuse(name, proxy)
      local sock = host.tcp { proxy = proxy }
      assert.equal(1, sock:connect("127.0.0.1", listener.port, { pool = name }))
      return sock, sock:getreusedtimes()
    end
    local sock, times = reuse("a")
    assert.equal(0, times)
    assert.equal(1, sock:setkeepalive(1000, 5))
    assert.same({ nil, "closed" }, { sock:send("x") })
    assert.equal(0, select(2, reuse("b")))
    sock, times = reuse("a")
    assert.equal(1, times)
    sock:send("still there")
    assert.equal("still there", read(sock, 11))
    assert.equal("127.0.0.1:" .. listener.port, sock:peer())
    -- the answer that nobody read would be the next one's
    sock:send("unread")
    host.sleep(0.02)
    assert.same({ nil, "connection in dubious state" }, { sock:setkeepalive() })

    sock = reuse("a")
    sock:setkeepalive(1000, 5)
    accepted[#accepted]:close()                 -- closed by the peer meanwhile
    assert.equal(0, select(2, reuse("a")))

    sock = reuse("c")
    sock:setkeepalive(1, 5)                     -- lay idle for too long
    host.sleep(0.01)
    assert.equal(0, select(2, reuse("c")))

    local three = { reuse("d"), (reuse("d")), (reuse("d")) }
    for i = 1, 3 do three[i]:setkeepalive(1000, 2) end
    assert.equal(1, select(2, reuse("d")))
    assert.equal(1, select(2, reuse("d")))
    assert.equal(0, select(2, reuse("d")))
    listener:close()
  end)
end)

describe("a listener", function()
  it("says why it cannot listen", function()
    local listener = assert(host.listen("127.0.0.1", 0))
    assert.same({ nil, "Address already in use" }, { host.listen("127.0.0.1", listener.port) })
    assert.same({ nil, "not an IP address to listen on; give 127.0.0.1 or ::1" }, { host.listen("localhost", 0) })
    listener:close()
    listener:close()
    assert.same({ nil, "closed" }, { listener:accept() })
  end)

  it("that is closed ends the accept loop", function()
    local listener, task = serve(echo)
    assert.has_error(function() listener:accept() end, "another task is accepting on this listener")
    listener:close()
    assert.is_true((host.wait(task)))
  end)

  it("waits for a free descriptor instead of failing", function()
    local told = in_process([[
      local listener = assert(host.listen("127.0.0.1", 0))
      local sock = host.tcp()
      assert(sock:connect("127.0.0.1", listener.port))
      local hoard = {}
      repeat
        local more = io.open("/dev/null")
        hoard[#hoard + 1] = more
      until not more
      local accepted
      local task = host.spawn(function() accepted = { listener:accept() } end)
      host.sleep(0.05)
      back:send(tostring(accepted))
      for _, file in ipairs(hoard) do file:close() end
      host.wait(task)
      back:send(" " .. tostring(accepted[1] ~= nil))
    ]], nil, nil, "ulimit -n 60; ")
    assert.equal("nil true", told)
  end)

  it("accepts a hundred connections that came at once", function()
    local served = 0
    local listener = serve(function(sock)
      served = served + 1
      echo(sock)
    end)
    local tasks = {}
    for i = 1, 100 do
      tasks[i] = host.spawn(function()
        local sock = connect(listener)
        sock:send(tostring(i))
        local got = read(sock, #tostring(i))
        sock:close()
        return got
      end)
    end
    for i = 1, 100 do assert.same({ true, tostring(i) }, { host.wait(tasks[i]) }) end
    assert.equal(100, served)
    listener:close()
  end)
end)

describe("a child process", function()
  it("tells its exit status, and the signal that ended it", function()
    local child = assert(host.child { "sh", "-c", "exit 7" })
    assert.equal(7, child:wait())
    assert.equal(7, child:wait())
    assert.same({ nil, "the process has ended" }, { child:kill("TERM") })
    child = assert(host.child { "sh", "-c", "sleep 30" })
    local waiter = host.spawn(function() return child:wait() end)
    assert.is_true(child:kill("KILL"))
    assert.same({ true, 128 + 9 }, { host.wait(waiter) })
  end)

  it("gets our environment and what is added to it", function()
    local child = assert(host.child({ "sh", "-c", 'test "$DM_TEST" = "a b=c" && test -n "$PATH" && test "$HOME" = /x' },
      { DM_TEST = "a b=c", HOME = "/x" }))
    assert.equal(0, child:wait())
  end)

  it("that cannot be started says why", function()
    assert.same({ nil, "No such file or directory" }, { host.child { "no-such-program-here" } })
    assert.has_error(function() host.child {} end)
    assert.has_error(function() host.child({ "true" }, { ["A=B"] = "x" }) end)
    assert.has_error(function() host.child { "true", "a\0b" } end)
  end)

  it("leaves the loop to the others while it runs", function()
    local child = assert(host.child { "sh", "-c", "sleep 0.2" })
    local ticks = 0
    local ticker = host.spawn(function()
      for _ = 1, 5 do
        host.sleep(0.01)
        ticks = ticks + 1
      end
    end)
    assert.equal(0, child:wait())
    assert.equal(5, ticks)
    host.wait(ticker)
  end)
end)

describe("a signal", function()
  it("ends the wait for it instead of the process", function()
    local during = {}
    function during.ready() assert(during.child:kill("TERM")) end
    local told, status = in_process([[
      local task = host.spawn(host.signal, "TERM", "INT")
      back:send("ready")
      local ok, name = host.wait(task)
      back:send(tostring(ok) .. " " .. name)
      os.exit(3, true)
    ]], nil, during)
    assert.same({ "true TERM", 3 }, { told, status })
  end)

  it("is not blocked in a child", function()
    local during = {}
    function during.ready() assert(during.child:kill("INT")) end
    local told = in_process([[
      local task = host.spawn(host.signal, "TERM", "INT")
      local child = assert(host.child { "sleep", "30" })
      back:send("ready")
      local _, name = host.wait(task)
      child:kill("TERM")
      back:send(name .. " " .. child:wait())
    ]], nil, during)
    assert.equal("INT 143", told)
  end)

  it("must have a name that we know", function()
    assert.has_error(function() host.signal("SEGV") end)
  end)
end)

describe("a module in a program that is killed by SIGPIPE by default", function()
  it("survives a peer that closes", function()
    local listener = serve(function(sock) sock:receiveany(1) end)
    local told, status = in_process(([[
      local sock = host.tcp()
      assert(sock:connect("127.0.0.1", %d))
      local why
      repeat local ok ok, why = sock:send(("x"):rep(100000)) until not ok
      back:send(why)
    ]]):format(listener.port))
    assert.same({ "closed", 0 }, { told, status })
    listener:close()
  end)

  it("listens, and connects to an IP address, without loading libcurl", function()
    local function tell(what)
      return (in_process(what .. [[
        back:send(io.open("/proc/self/maps"):read("*a"):find("libcurl", 1, true) and "early" or "late")
      ]]))
    end
    assert.equal("late", tell "")               -- it has dialled back
    assert.equal("early", tell 'host.tcp():connect("localhost", 1)\n')
    local path = os.tmpname()
    local child = assert(host.child { LUA, "-e", ([[
      local host = require "directmail.host.std"
      local listener = assert(host.listen("127.0.0.1", 0))
      host.sleep(0.001)
      local file = io.open(%q, "w")
      file:write(io.open("/proc/self/maps"):read("*a"):find("libcurl", 1, true) and "early" or "late")
      file:close()
    ]]):format(path) })
    assert.equal(0, child:wait())
    assert.equal("late", host.read(path))
    os.remove(path)
  end)
end)

describe("the machine", function()
  it("has clocks, random octets and a name", function()
    assert.is_true(math.abs(host.now() - os.time()) < 2)
    local before = host.tick()
    host.sleep(0.01)
    assert.is_true(host.tick() - before >= 0.01)
    assert.equal(32, #host.random(32))
    assert.not_equal(host.random(16), host.random(16))
    assert.equal("", host.random(0))
    assert.has_error(function() host.random(1.5) end)
    assert.has_error(function() host.random(-1) end)
    local name = host.hostname()
    assert.is_true(name == nil or name:find("%.[^.]") ~= nil)
  end)

  it("reads files whole, or says why not", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write("a\0b\r\n")
    file:close()
    assert.equal("a\0b\r\n", host.read(path))
    assert.equal("a\0b\r\n", host.read(path, 5))
    assert.same({ nil, "larger than 4 octets" }, { host.read(path, 4) })
    os.remove(path)
    assert.same({ nil, "no such file or directory" }, { host.read(path) })
    assert.same({ nil, "is a directory" }, { host.read("/") })
    assert.equal("", host.read("/dev/null"))
    assert.equal("", host.read("/dev/null", 10))
  end)

  it("counts an empty variable as unset", function()
    local told = in_process('back:send(tostring(host.env("DM_A")) .. tostring(host.env("DM_B")))', { DM_A = "", DM_B = "x" })
    assert.equal("nilx", told)
  end)

  it("makes folders that are nobody else's", function()
    local path = assert(host.mkdtemp())
    assert.is_true(host.mkdir(path .. "/a"))
    assert.is_true(host.mkdir(path .. "/a"))
    assert.same({ nil, "No such file or directory" }, { host.mkdir(path .. "/b/c") })
    local mode = io.popen("stat -c %a " .. path):read("*l")
    assert.equal("700", mode)
    os.remove(path .. "/a")
    os.remove(path)
    local old = host.umask(tonumber("077", 8))
    assert.equal(tonumber("077", 8), host.umask(old))
    assert.has_error(function() host.umask(512) end)
  end)
end)
