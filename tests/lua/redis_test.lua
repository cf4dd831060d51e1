-- The store in Redis: the same verbs over a real server, lost answers, restarts, rights, TLS, and servers that are none.
local err = require "directmail.err"
local host = require "directmail.host"
local redis = require "support.redis"
local store = require "directmail.store"
local verbs = require "support.store_verbs"

local server, opened, said

-- A host with other fields, whose log is kept.
local function host_of(more)
  local home = setmetatable({}, { __index = host })
  function home.log(level, text) said[#said + 1] = level .. " " .. text end
  for name, value in pairs(more or {}) do home[name] = value end
  return home
end

local function open(options, more, url)
  local s = assert(store.open(url or server.url, options, host_of(more)))
  opened[#opened + 1] = s
  return s
end

-- A clock that shows much time when it is asked, so that no patience is needed.
local function hasty()
  local ticks = 0
  return { tick = function() ticks = ticks + 3 return ticks end }
end

local function later(seconds) server:later(seconds) end

setup(function() server = redis.start() end)
teardown(function() server:stop() end)
before_each(function()
  opened, said = {}, {}
  server:empty()
end)
after_each(function()
  for _, s in ipairs(opened) do s:close() end
end)

verbs { open = open, later = later }

-- ---- one turn ---------------------------------------------------------------------

describe("one turn of the loop", function()
  it("goes out together, and each gets his own answer", function()
    local s = open()
    assert(s:counts())
    local wire, talks = s.engine.wire, {}
    local talk = wire.talk
    function wire.talk(self, list)
      talks[#talks + 1] = #list
      return talk(self, list)
    end
    local tasks = {}
    for i = 1, 20 do tasks[i] = host.spawn(function() return assert(s:enqueue { { payload = tostring(i) } })[1].id end) end
    local ids = {}
    for i = 1, 20 do
      local ok, id = host.wait(tasks[i])
      assert.is_true(ok)
      ids[i] = id
    end
    assert.same({ 20 }, talks)
    for i = 2, 20 do assert.equal(ids[1] + i - 1, ids[i]) end
  end)

  it("may bring more than goes out at once", function()
    local s, tasks = open(), {}
    local large = ("x"):rep(1024 * 1024)
    for i = 1, 12 do tasks[i] = host.spawn(function() return assert(s:enqueue { { payload = large .. i } })[1].how end) end
    for i = 1, 12 do assert.same({ true, "made" }, { host.wait(tasks[i]) }) end
    local got = 0
    repeat
      local jobs = assert(s:lease(100, 60000))
      assert.is_true(#jobs <= 8, "an answer is bounded")
      for _, job in ipairs(jobs) do got = got + #job.payload end
    until #jobs == 0
    assert.is_true(got > 12 * 1024 * 1024)
  end)
end)

-- ---- answers that are lost -----------------------------------------------------------

-- A way to the server that can lose what comes back: `cut` = how many answers more are swallowed, and the connection with them.
local function tunnel()
  local listener = assert(host.listen("127.0.0.1", 0))
  local way = { port = listener.port, cut = 0, url = ("redis://127.0.0.1:%d"):format(listener.port), open = {} }
  local function pass(from, to, back)
    while true do
      local bytes = from:receiveany(65536)
      if not bytes then break end
      if back and way.cut > 0 then
        way.cut = way.cut - 1
        break
      end
      if not to:send(bytes) then break end
    end
    from:close()
    to:close()
  end
  host.spawn(function()
    while true do
      local near = listener:accept()
      if not near then return end
      local far = host.tcp()
      assert(far:connect("127.0.0.1", server.port))
      host.spawn(pass, near, far, false)
      host.spawn(pass, far, near, true)
    end
  end)
  function way.close() listener:close() end
  return way
end

describe("an answer that is lost", function()
  local way, s

  before_each(function()
    way = tunnel()
    s = open(nil, nil, way.url)
    assert(s:counts())
  end)
  after_each(function() way.close() end)

  local function losing(n)
    way.cut = n or 1
    return s
  end

  it("makes no second job, and the caller learns of the first", function()
    local put = assert(losing(2):enqueue { { payload = "x" }, { payload = "y", key = "k" } })
    assert.same({ "made", "made" }, { put[1].how, put[2].how })
    assert.equal(0, way.cut)
    assert.equal(2, assert(s:counts()).waiting)
    assert.equal("there", assert(s:enqueue { { payload = "y", key = "k" } })[1].how)
  end)

  it("of a claim leaves it the caller's", function()
    local job = assert(losing():claim { key = "k", hash = "h", visibility_ms = 60000, mark = true })
    assert.same({ "made", "marked", 1 }, { job.how, job.state, job.tries })
    assert.equal("there", assert(s:claim { key = "k", hash = "h", visibility_ms = 60000 }).how)
  end)

  it("of a lease gives the jobs back in time", function()
    assert(s:enqueue { { payload = "x" } })
    assert.same({}, assert(losing():lease(1, 60000)))
    later(61)
    assert(s:reap())
    assert.equal(2, assert(s:lease(1, 60000))[1].tries)
  end)

  it("of mark, extend, ack, retry and bury says true, once it comes", function()
    assert(s:enqueue { { payload = "a" }, { payload = "b" }, { payload = "c" } })
    local jobs = assert(s:lease(3, 60000))
    assert.same({ true, true, true }, assert(losing():mark(jobs)))
    assert.same({ true, true, true }, assert(losing():extend(jobs, 60000)))
    assert.same({ true }, assert(losing():ack { jobs[1] }))
    assert.same({ true }, assert(losing():retry { jobs[2] }))
    jobs[3].outcome = "unknown"
    assert.same({ true }, assert(losing():bury { jobs[3] }))
    local counts = assert(s:counts())
    assert.same({ 1, 1, 1 }, { counts.sent, counts.waiting, counts.unknown })
    assert.same({ false }, assert(s:ack { jobs[1] }), "without a loss it is told that it is done already")
  end)

  it("for good leaves the outcome of an enqueue unknown, and of nothing else", function()
    local home = hasty()
    s = open(nil, home, way.url)
    assert(s:counts())
    local jobs, e = losing(100):enqueue { { payload = "x" } }
    assert.is_nil(jobs)
    assert.same({ "FILE", "unknown", true }, { e.code, e.outcome, e.retry })
    local counts
    counts, e = s:counts()
    assert.is_nil(counts)
    assert.same({ "FILE", "not_sent", true }, { e.code, e.outcome, e.retry })
  end)
end)

-- ---- the server -------------------------------------------------------------------------

describe("a server", function()
  it("that is killed and started again has all that was answered, and calls wait for it", function()
    local s, stop, done = open(), false, 0
    local writing = host.spawn(function()
      while not stop do
        assert(s:enqueue { { payload = "x", key = "k" .. done + 1 } })
        done = done + 1
        host.sleep(0)
      end
    end)
    for _ = 1, 3 do
      local before = done
      while done < before + 20 do host.sleep(0.01) end
      server:kill()
      server:start()
    end
    stop = true
    assert(host.wait(writing))
    assert.equal(done, assert(s:counts()).waiting)
  end)

  it("that is away ends in an error which says so and hides the password", function()
    local listener = assert(host.listen("127.0.0.1", 0))
    listener:close()
    local s = open(nil, hasty(), ("redis://:s3cret-word@127.0.0.1:%d/3"):format(listener.port))
    local counts, e = s:counts()
    assert.is_nil(counts)
    assert.is_true(err.is(e))
    assert.same({ "FILE", ("redis://127.0.0.1:%d/3"):format(listener.port), true, "not_sent" }, { e.code, e.detail, e.retry, e.outcome })
    assert.matches("cannot be reached: connection refused", e.cause)
    assert.is_nil((tostring(e) .. err.report(e)):find("s3cret", 1, true))
    assert.is_nil(s.path:find("s3cret", 1, true))
  end)

  it("gets our functions when it has none, and again when somebody removes them", function()
    local s = open()
    assert(s:enqueue { { payload = "x" } })
    assert.equal("+OK\r\n", server:command("FUNCTION", "FLUSH"))
    assert.equal(1, assert(s:counts()).waiting)
  end)

  local function library(version)
    local code = "#!lua name=directmail\nlocal function old(keys, args) return redis.error_reply('DMVERSION " .. version .. "') end\n"
    for _, verb in ipairs { "counts", "enqueue" } do code = code .. ("redis.register_function('directmail_%s', old)\n"):format(verb) end
    assert.matches("directmail", server:command("FUNCTION", "LOAD", "REPLACE", code))
  end

  it("with older functions gets ours; newer ones are left alone", function()
    local s = open()
    library(0)
    assert.equal(0, assert(s:counts()).waiting)
    library(99)
    local counts, e = s:counts()
    assert.is_nil(counts)
    assert.same({ "FILE", false }, { e.code, e.retry })
    assert.matches("newer directmail: its functions have version 99", e.cause)
    assert.equal("+OK\r\n", server:command("FUNCTION", "FLUSH"))
    assert(s:counts())
  end)

  it("with other databases keeps them apart", function()
    local a, b = open(), open(nil, nil, server.url:gsub("/0$", "/1"))
    assert(b:enqueue { { payload = "x" } })
    assert.same({ 0, 1 }, { assert(a:counts()).waiting, assert(b:counts()).waiting })
  end)

  it("that would throw mails away is warned of, once", function()
    assert.equal("+OK\r\n", server:command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"))
    local s = open()
    assert(s:counts())
    assert(s:counts())
    assert.equal("+OK\r\n", server:command("CONFIG", "SET", "maxmemory-policy", "noeviction"))
    assert.equal(1, #said)
    assert.matches("^warn .*allkeys%-lru", said[1])
    assert(open():counts())
    assert.equal(1, #said)
  end)

  it("whose memory is full says so, and loses nothing", function()
    local s = open()
    assert(s:enqueue { { payload = "x" } })
    assert.equal("+OK\r\n", server:command("CONFIG", "SET", "maxmemory", "1"))
    local put, e = s:enqueue { { payload = "y" } }
    assert.equal("+OK\r\n", server:command("CONFIG", "SET", "maxmemory", "0"))
    assert.is_nil(put)
    assert.same({ "FILE", true, "not_sent" }, { e.code, e.retry, e.outcome })
    assert.matches("takes nothing more", e.cause)
    assert.equal(1, assert(s:counts()).waiting)
  end)
end)

describe("a password", function()
  local guarded

  setup(function() guarded = redis.start { password = "p@ss:w/rd%1" } end)
  teardown(function() guarded:stop() end)

  local function url(account) return ("redis://%s@127.0.0.1:%d"):format(account, guarded.port) end

  it("comes from the URL, percent-encoded, with or without a user", function()
    local s = open(nil, nil, url ":p%40ss%3Aw%2Frd%251")
    assert(s:enqueue { { payload = "x" } })
    assert.equal(1, assert(open(nil, nil, url "default:p%40ss%3Aw%2Frd%251"):counts()).waiting)
  end)

  it("that is wrong, or missing, is an error at once", function()
    for _, place in ipairs { url ":wrong-word", ("redis://127.0.0.1:%d"):format(guarded.port), url "nobody:wrong-word" } do
      local counts, e = open(nil, nil, place):counts()
      assert.is_nil(counts)
      assert.same({ "FILE", false, "not_sent" }, { e.code, e.retry, e.outcome })
      assert.matches("lets nobody in", e.cause)
      assert.is_nil(tostring(e):find("wrong%-word"))
    end
  end)

  it("of a user with the rights of docs/store.md is enough; with fewer the error names them", function()
    guarded.password = "p@ss:w/rd%1"
    assert.matches("OK", guarded:command("ACL", "SETUSER", "mailer", "on", ">pw", "~{directmail}*", "+@all", "-@dangerous", "+function", "+select"))
    assert.matches("OK", guarded:command("ACL", "SETUSER", "poor", "on", ">pw", "~{directmail}*", "+@read", "+ping"))
    local s = open(nil, nil, url "mailer:pw")
    assert(s:enqueue { { payload = "x" } })
    assert.same({}, said)
    local counts, e = open(nil, nil, url "poor:pw"):counts()
    assert.is_nil(counts)
    assert.same({ "FILE", false }, { e.code, e.retry })
    assert.matches("forbids what is needed", e.cause)
    assert.matches("ACL SETUSER", e.remedy)
  end)
end)

describe("TLS", function()
  local dir, authority, private

  local function write(name, bytes)
    local f = assert(io.open(dir .. "/" .. name, "wb"))
    f:write(bytes)
    f:close()
    return dir .. "/" .. name
  end

  setup(function()
    dir = assert(host.mkdtemp())
    authority = host.authority()
    local cert, key = authority:issue { "localhost" }
    private = redis.start { tls = { ca = write("ca.pem", authority.ca), cert = write("cert.pem", cert), key = write("key.pem", key) } }
  end)
  teardown(function()
    private:stop()
    os.execute("rm -rf '" .. dir .. "'")
  end)

  it("is spoken with rediss://, and the certificate is verified", function()
    local s = open({ ca = dir .. "/ca.pem" }, nil, private.url)
    assert.equal("made", assert(s:enqueue { { payload = "x" } })[1].how)
    local counts, e = open({ ca = dir .. "/ca.pem" }, nil, (private.url:gsub("localhost", "127.0.0.1"))):counts()
    assert.is_nil(counts)
    assert.same({ "FILE", false }, { e.code, e.retry })
    assert.matches("cannot be trusted: certificate host mismatch", e.cause)
    counts, e = open(nil, nil, private.url):counts()
    assert.is_nil(counts)
    assert.matches("cannot be trusted", e.cause)
  end)

  it("comes with the setting store, whose CA is the setting ca", function()
    local mail = assert(require "directmail.mail".new({ store = private.url, ca = dir .. "/ca.pem", sender = "a@example.com" }, host, 1))
    assert.is_table(mail.store:counts())
    mail.store:close()
  end)
end)

describe("a cluster", function()
  local node

  setup(function()
    node = redis.start { words = { "--cluster-enabled", "yes" } }
    assert.equal("+OK\r\n", node:command("CLUSTER", "ADDSLOTSRANGE", "0", "8000"))
    assert.equal("+OK\r\n", node:command("CLUSTER", "ADDSLOTSRANGE", "8001", "16383"))
  end)
  teardown(function() node:stop() end)

  it("keeps all keys of a store in one slot", function()
    local s = open(nil, nil, (node.url:gsub("/0$", "")))
    assert(s:enqueue { { payload = "x", key = "k" }, { payload = "y" } })
    local jobs = assert(s:lease(2, 60000))
    assert.equal(2, #jobs)
    assert(s:mark(jobs))
    assert(s:ack(jobs))
    assert(s:suppress("ann@example.com", "unsubscribed", "link", 1700000000))
    assert.is_table(s:suppressed "ann@example.com")
    assert.equal(1, (assert(s:take("smtp", 1, 1, 1))))
    assert.equal(2, assert(s:counts()).sent)
  end)
end)

-- ---- what is no Redis --------------------------------------------------------------------

-- A server that says the same to everything.
local function parrot(words)
  local listener = assert(host.listen("127.0.0.1", 0))
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(function()
        while sock:receiveany(65536) do
          if not sock:send(type(words) == "function" and words() or words) then break end
        end
        sock:close()
      end)
    end
  end)
  return listener, ("redis://127.0.0.1:%d"):format(listener.port)
end

describe("a peer", function()
  local function told(words, more)
    local listener, url = parrot(words)
    local s = open(nil, more or hasty(), url)
    local counts, e = s:counts()
    listener:close()
    assert.is_nil(counts)
    assert.equal("FILE", e.code)
    return e
  end

  it("that speaks something else is told as such", function()
    local e = told "HTTP/1.1 400 Bad Request\r\n\r\n"
    assert.matches("it is no Redis", e.cause)
  end)

  it("that announces more than anybody needs gets no memory for it", function()
    assert.matches("no Redis: .*memory", told("*2147483647\r\n").cause)
    assert.matches("it is no Redis", told("*2\r\n*200000\r\n").cause)
  end)

  it("that is too old is named as such", function()
    local e = told "-ERR unknown command 'FCALL', with args beginning with: 'directmail_counts'\r\n"
    assert.matches("is no store: ERR unknown command", e.cause)
    assert.matches("7%.0", e.remedy)
    assert.is_false(e.retry)
  end)

  it("that has no time yet is waited for", function()
    local n = 0
    local listener, url = parrot(function()
      n = n + 1
      if n == 1 then return "+OK\r\n" end
      if n == 2 then return "-LOADING Redis is loading the dataset in memory\r\n" end
      return "*7\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n"
    end)
    local counts = assert(open(nil, nil, url):counts())
    listener:close()
    assert.same({ 1, 7, 3 }, { counts.waiting, counts.unknown, n })
  end)

  it("that repeats what it was told shows neither secrets nor pages", function()
    local listener, url = parrot("-ERR unknown s3cret-word " .. ("x"):rep(5000) .. "\r\n")
    local _, e = open(nil, hasty(), (url:gsub("//", "//:s3cret-word@"))):counts()
    listener:close()
    assert.is_nil(tostring(e):find("s3cret", 1, true))
    assert.is_true(#tostring(e) < 600)
  end)
end)

describe("an address", function()
  it("that cannot be used is refused by name, without its password", function()
    for _, url in ipairs { "redis://", "redis://:pw@", "redis://host:0", "redis://host:99999", "redis://host/x", "redis://pw-alone@host", "redis://ho st" } do
      local s, e = store.open(url, nil, host)
      assert.is_nil(s, url)
      assert.same({ "OPTION", "store" }, { e.code, e.detail })
      assert.is_nil(tostring(e):find("pw", 1, true) and not url:find "alone" or nil, url)
    end
  end)

  it("is connected to when it is first needed", function()
    local s = assert(store.open("redis://127.0.0.1:1/0", nil, host))
    s:close()
    local counts, e = s:counts()
    assert.is_nil(counts)
    assert.matches("it is closed", e.cause)
  end)

  it("is shared by those who name the same, until it is closed", function()
    local a, b = assert(store.of(server.url, host)), assert(store.of(server.url, host))
    assert.equal(a, b)
    assert.is_not.equal(a, assert(store.of(server.url, host, "/ca.pem")))
    a:close()
    assert.is_not.equal(a, assert(store.of(server.url, host)))
  end)
end)
