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

-- Phases that queue what their request names, and note what they were told.
local function queueing(phase)
  return ([[ %s_by_lua_block {
    if ngx.ctx.%s then return end
    ngx.ctx.%s = true
    local receipt, err = mail:send { to = ngx.var.arg_to or "%s@example.com", subject = "In %s", text = "x", key = ngx.var.arg_key, queue = true,
      attachments = { { name = "a.bin", data = "a\0\255" } } }
    ngx.shared.directmail:set("%s", require "cjson".encode(receipt or require "directmail.err".plain(err))) %s
  } ]]):format(phase, phase, phase, phase, phase, phase, phase == "set" and "return 1" or "")
end

local LATER = [[
  lua_shared_dict directmail 2m;
  lua_socket_log_errors off;
  lua_max_pending_timers @PENDING@;
  lua_max_running_timers @RUNNING@;
  resolver @RESOLVER@ ipv6=off;
  lua_ssl_trusted_certificate ca.pem;
  init_by_lua_block {
    directmail = require "directmail"
    mail = assert(directmail.new { via = "smtp" })
    local receipt, err = mail:send { to = "ann@example.com", text = "x", queue = true }
    in_init = { receipt or false, err }
  }
  init_worker_by_lua_block {
    if @PENDING@ == 1 then ngx.timer.at(600, function() end) end
    local receipt, err = mail:send { to = "init_worker@example.com", subject = "In init_worker", text = "x", queue = true }
    ngx.shared.directmail:set("init_worker", require "cjson".encode(receipt or require "directmail.err".plain(err)))
  }
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
    location = /wrong { log_by_lua_block {
      local _, err = mail:send { to = "nobody", text = "x", queue = true }
      ngx.shared.directmail:set("wrong", require "cjson".encode(require "directmail.err".plain(err)))
    } return 200 ok; }
    location = /phases { ]] .. queueing("set"):gsub("set_by_lua_block", "set_by_lua_block $x") .. queueing "header_filter" .. queueing "body_filter" ..
      queueing "log" .. [[ return 200 ok; }
    location = /log { ]] .. queueing "log" .. [[ return 200 ok; }
  }
]]

describe("a mail that is queued in a phase without sockets", function()
  local PHASES = { "init_worker", "set", "header_filter", "body_filter", "log" }
  local own

  local function begin(pending, running)
    own = start { http = LATER:gsub("@(%u+)ING@", { PEND = pending, RUNN = running or 256 }), workers = 1 }
  end

  local function eventually(what, look)
    local deadline = host.tick() + 30
    while true do
      local got = look()
      if got then return got end
      assert(host.tick() < deadline, what .. "\n" .. own:log())
      host.sleep(0.02)
    end
  end

  local function told(phase)
    return json.decode(eventually("no note of " .. phase, function()
      local text = own:run([[ return ngx.shared.directmail:get(given) ]], phase)
      return text ~= json.null and text
    end))
  end

  local function waiting(n)
    eventually(n .. " do not wait", function() return own:run [[ return assert(mail.store:counts()).waiting ]] == n end)
  end

  local function logged(pattern)
    return eventually("not logged: " .. pattern, function() return own:log():match("[^\n]*" .. pattern .. "[^\n]*") end)
  end

  after_each(function() own:stop() end)

  it("is stored by a timer, and sent once by a pump", function()
    begin(1024)
    assert.equal(200, (own:ask "/phases"))
    for _, phase in ipairs(PHASES) do
      local receipt = told(phase)
      assert.same({ "queued", false }, { receipt.outcome, receipt.stored }, phase)
      assert.is_nil(receipt.id)
      assert.matches("^<.+@.+>$", receipt.message_id)
    end
    waiting(#PHASES)
    assert.equal(#PHASES, own:run [[ return assert(directmail.outbox.run(mail)).sent ]])
    local seen = {}
    for _, one in ipairs(box:mails()) do seen[one.subject] = (seen[one.subject] or 0) + 1 end
    for _, phase in ipairs(PHASES) do assert.equal(1, seen["In " .. phase], phase) end
    assert.is_nil(own:log():find("%[error%]"))
  end)

  it("is one mail under one key, and its errors come at once", function()
    begin(1024)
    waiting(1)
    for _ = 1, 3 do own:ask "/log?key=k" end
    waiting(2)
    own:ask "/wrong"
    local e = told "wrong"
    assert.same({ "ADDRESS", "not_sent" }, { e.code, e.outcome })
    own:ask "/log?key=k&to=bob@example.com"
    local line = logged "is not in the outbox"
    assert.matches("[error]", line, 1, true)
    assert.matches('key "k", to b***@example.com): OPTION: the key "k" belongs to a mail with other content', line, 1, true)
    assert.equal(2, own:run [[ return assert(mail.store:counts()).waiting ]])
  end)

  it("to one who wants none is logged, without the address", function()
    begin(1024)
    own:run [[ assert(mail.store:suppress("carol@example.com", "unsubscribed", "link", 1700000000)) ]]
    own:ask "/log?to=carol@example.com"
    assert.equal("queued", told "log".outcome)
    assert.matches("to c***@example.com): ADDRESS: c***@example.com is on the suppression list", logged "is not in the outbox", 1, true)
    assert.is_nil(own:log():find("carol@", 1, true))
  end)

  it("is stored when the store comes back soon, and logged when it does not", function()
    begin(1024)
    waiting(1)
    server:kill()
    own:ask "/log?key=soon"
    server:start()
    waiting(2)
    server:kill()
    own:ask "/log?key=lost"
    local line = logged 'key "lost"'
    server:start()
    assert.matches("[error]", line, 1, true)
    assert.matches("be in the outbox", line:gsub("is not in", "be in"), 1, true)
    assert.matches("to l***@example.com): FILE: the store", line, 1, true)
    assert.is_nil(own:log():find("p@ss", 1, true))
    assert.is_nil(own:log():find("log@example.com", 1, true))
    assert.equal(2, own:run [[ return assert(mail.store:counts()).waiting ]])
  end)

  it("is stored though nginx drops the timers that were to do it, as soon as it has some again", function()
    begin(1024, 1)
    waiting(1)
    own:run [[
      ngx.timer.at(0, function()
        while not ngx.shared.directmail:get "enough" do ngx.sleep(0.01) end
      end)
    ]]
    for _ = 1, 3 do own:ask "/log" end
    eventually("nothing was dropped", function() return select(2, own:log():gsub("lua_max_running_timers are not enough", "")) >= 2 end)
    assert.equal(1, own:run [[ return assert(mail.store:counts()).waiting ]])
    own:run [[ ngx.shared.directmail:set("enough", true) ]]
    waiting(4)
  end)

  it("is refused with the way out where there is no timer", function()
    begin(1)
    own:ask "/log"
    for _, phase in ipairs { "init_worker", "log" } do
      local e = told(phase)
      assert.same({ "OPTION", "queue", "not_sent", true }, { e.code, e.detail, e.outcome, e.retry }, phase)
      assert.matches("too many pending timers", e.cause)
      assert.matches("lua_max_pending_timers", e.remedy)
    end
    assert.equal(0, own:run [[ return assert(mail.store:counts()).waiting ]])
    local e = own:run [[ return in_init[2] ]]
    assert.same({ "OPTION", "phase", "not_sent" }, { e.code, e.detail, e.outcome })
    assert.matches("timer made in init_worker_by_lua", e.remedy)
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
