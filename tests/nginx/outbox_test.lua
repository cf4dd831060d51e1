-- The store in Redis inside nginx: the same client over lua-resty-redis, and pumps in workers that are killed.
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local redis = require "support.redis"
local sandbox = require "directmail.sandbox"
local store = require "directmail.store"

local HTTP = [[
  lua_shared_dict directmail 2m;
  lua_socket_log_errors off;
  resolver @RESOLVER@ ipv6=off;
  lua_ssl_trusted_certificate ca.pem;
  init_by_lua_block {
    directmail = require "directmail"
    mail = assert(directmail.new { via = "smtp" })
  }
  init_worker_by_lua_block { if os.getenv "PUMP" == "1" then directmail.nginx.pump(mail, { connections = 3, lease = 2, first_pause = 0.5 }) end }
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
  }
]]

local box, server, rig

local function start(more, pump)
  local settings = peers.settings(box)
  settings.DIRECTMAIL_STORE, settings.PUMP = server.url, pump and "1" or ""
  local options = { http = HTTP, main = "env PUMP;", env = settings, workers = 2, names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = peers.read(box.ca) } }
  for name, value in pairs(more or {}) do options[name] = value end
  return nginx.start(options)
end

setup(function()
  box = assert(sandbox.start())
  server = redis.start { password = "p@ss" }
  server.url = server.url:gsub(":p@ss@", ":p%%40ss@")
  rig = start()
end)
teardown(function()
  rig:stop()
  server:stop()
  box:stop()
end)
before_each(function()
  box:set_faults {}
  box:clear()
  server:command "FLUSHALL"
end)

describe("a store in nginx", function()
  it("comes from DIRECTMAIL_STORE, is connected to when it is needed, and never loads SQLite", function()
    assert.same({ 0, true, true }, { rig:run [[
      local counts = assert(mail.store:counts())
      return counts.waiting, package.loaded["directmail.net"] == nil, package.loaded["directmail.store.sqlite"] == nil
    ]] })
  end)

  it("has all verbs, and gives octets back as they were", function()
    local payload, how, state, marked, acked, sent, key, listed = rig:run [[
      local s = mail.store
      local put = assert(s:enqueue { { payload = "a\0\r\n\255", key = "k1" }, { payload = "later", delay = 60000 } })
      local jobs = assert(s:lease(10, 60000))
      local payload = jobs[1].payload == "a\0\r\n\255" and jobs[1].key == "k1" and #jobs == 1
      local marked = assert(s:mark(jobs))[1]
      jobs[1].receipt = '{"id":"1"}'
      local acked = assert(s:ack(jobs))[1]
      return payload, put[1].how, s:find "k1".state, marked, acked, s:counts().sent, s:find "none", #assert(s:list "waiting")
    ]]
    assert.same({ true, "made", "sent", true, true, 1, false, 1 }, { payload, how, state, marked, acked, sent, key, listed })
    assert.same({ "unsubscribed", false, 2 }, { rig:run [[
      local s = mail.store
      assert(s:suppress("ann@example.com", "unsubscribed", "link", 1700000000))
      return s:suppressed "Ann@example.com".reason, s:suppressed "bob@example.com", (s:take("smtp", 3, 0.01, 2))
    ]] })
  end)

  it("is asked by many light threads at once", function()
    assert.same({ 50, 50 }, { rig:run [[
      local threads, seen, n = {}, {}, 0
      for i = 1, 50 do threads[i] = ngx.thread.spawn(function() return assert(mail.store:enqueue { { payload = "x" } })[1].id end) end
      for i = 1, 50 do
        local _, id = ngx.thread.wait(threads[i])
        if not seen[id] then n = n + 1 end
        seen[id] = true
      end
      return n, mail.store:counts().waiting
    ]] })
  end)

  it("that was killed and started again is used over new connections", function()
    rig:run [[ assert(mail.store:counts()) ]]
    server:kill()
    server:start()
    for i = 1, 4 do assert.equal("made", rig:run([[ return assert(mail.store:enqueue { { payload = "x", key = given } })[1].how ]], "k" .. i)) end
    server:kill()
    local none, e = rig:run [[ return mail.store:counts() ]]
    server:start()
    assert.equal(json.null, none)
    assert.same({ "FILE", true }, { e.code, e.retry })
    assert.is_nil(json.encode(e):find("p@ss", 1, true))
  end)

  it("in a file is refused by name, with the way out", function()
    local none, e = rig:run [[ return directmail.new { store = "/tmp/outbox.db" } ]]
    assert.equal(json.null, none)
    assert.same({ "OPTION", "store" }, { e.code, e.detail })
    assert.matches("redis://", e.remedy)
  end)

  it("over TLS is verified against nginx's CA", function()
    local dir = assert(host.mkdtemp())
    local function write(name, bytes)
      local f = assert(io.open(dir .. "/" .. name, "wb"))
      f:write(bytes)
      f:close()
      return dir .. "/" .. name
    end
    local authority = host.authority()
    local cert, key = authority:issue { "localhost" }
    local private = redis.start { tls = { ca = write("ca.pem", authority.ca), cert = write("cert.pem", cert), key = write("key.pem", key) } }
    local none, e = rig:run([[ return directmail.new { store = given }.store:counts() ]], private.url)
    assert.equal(json.null, none)
    assert.same({ "FILE", false }, { e.code, e.retry })
    assert.matches("cannot be trusted", e.cause)
    local other = start { files = { ["ca.pem"] = authority.ca } }
    assert.equal("made", other:run([[ return assert(directmail.new { store = given }.store:enqueue { { payload = "x" } })[1].how ]], private.url))
    assert.equal(1, other:run([[ return assert(directmail.new { store = given }.store:counts()).waiting ]], private.url))
    other:stop()
    private:stop()
    os.execute("rm -rf '" .. dir .. "'")
  end)
end)

describe("a mail in nginx", function()
  it("is queued by a handler, and sent by outbox.run in another", function()
    local receipt = rig:run [[ return assert(mail:send { to = "ann@example.com", subject = "Later", text = "x", queue = true, key = "k" }) ]]
    assert.equal("queued", receipt.outcome)
    assert.equal(0, #box:mails())
    assert.equal(1, rig:run [[ return assert(directmail.outbox.run(mail)).sent ]])
    assert.equal("Later", box:mails()[1].subject)
    assert.same({ "sent", true }, { rig:run [[
      local receipt = assert(mail:send { to = "ann@example.com", subject = "Later", text = "x", queue = true, key = "k" })
      return receipt.outcome, receipt.earlier
    ]] })
  end)
end)

describe("pumps in workers", function()
  local MAILS, KILLS = 300, 20

  it("that are killed twenty times lose nothing and send nothing twice", function()
    local s = assert(store.open(server.url))
    for from = 1, MAILS, 50 do
      rig:run([[
        for i = given, given + 49 do
          assert(mail:send { to = "r" .. i .. "@example.com", subject = "x", text = "x", queue = true, key = "m" .. i })
        end
      ]], from)
    end
    local pumping = start(nil, true)
    local function settled()
      local counts = assert(s:counts())
      return counts.sent + counts.unknown + counts.refused + counts.not_sent, counts
    end
    local deadline = host.tick() + 120
    for _ = 1, KILLS do
      local before = settled()
      while settled() < math.min(MAILS - 1, before + 1 + host.random(1):byte() % 10) and host.tick() < deadline do host.sleep(0.002) end
      local pid = pumping:run [[ return ngx.worker.pid() ]]
      assert(os.execute(("kill -9 %d"):format(pid)))            -- nginx starts another in its place
    end
    while settled() < MAILS and host.tick() < deadline do host.sleep(0.05) end
    pumping:stop()
    local _, counts = settled()
    local seen = {}
    for _, one in ipairs(box:mails()) do seen[one.to[1]] = (seen[one.to[1]] or 0) + 1 end
    for i = 1, MAILS do
      local address, job = ("r%d@example.com"):format(i), assert(s:find("m" .. i))
      assert.is_true((seen[address] or 0) <= 1, address .. " came twice")
      if job.state ~= "unknown" then assert.same({ "sent", 1 }, { job.state, seen[address] or 0 }, address) end
    end
    assert.equal(MAILS, counts.sent + counts.unknown)
    assert.is_true(counts.unknown <= KILLS * 3 * 2, counts.unknown)
    s:close()
  end)

  it("end with their worker, and what they had not begun goes back", function()
    local s = assert(store.open(server.url))
    assert(box:set_faults { "dot:slow=0.1" })
    rig:run [[ for i = 1, 100 do assert(mail:send { to = "r" .. i .. "@example.com", subject = "x", text = "x", queue = true }) end ]]
    local pumping = start(nil, true)
    assert(box:wait { to = "r5@example.com", timeout = 20 })
    pumping:quit()
    local counts = assert(s:counts())
    assert.same({ 100, 0, 0, 0 }, { counts.sent + counts.waiting, counts.leased, counts.marked, counts.unknown })
    assert.equal(counts.sent, #box:mails())
    assert.is_true(counts.waiting > 0)
    pumping:stop()
    s:close()
  end)
end)
