-- What nginx is as a home: docs/homes.md holds, phases, files, settings, and the host table.
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"

local box, rig, late, settings

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
  resolver @RESOLVER@ ipv6=off;
  lua_ssl_trusted_certificate ca.pem;
  init_by_lua_block {
    from_init = assert(require "directmail".new { via = "smtp" })
    sent_in_init = { from_init:send { to = "ann@example.com", text = "hi" } }
    all_in_init = { pcall(from_init.send_all, from_init, {}) }
  }
  ]] .. note "init_worker" .. [[
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
    location = /phases {
      ]] .. note("set"):gsub("set_by_lua_block", "set_by_lua_block $x") .. note "header_filter" .. note "body_filter" .. note "log" .. [[
      return 200 ok;
    }
  }
]]

setup(function()
  box = assert(sandbox.start())
  settings = peers.settings(box)
  settings.HOME = "/nowhere"
  rig = nginx.start {
    http = HTTP, env = settings, workers = 2, names = { localhost = "127.0.0.1" },
    files = { ["ca.pem"] = peers.read(box.ca), ["small.csv"] = "a,b\r\n1,2\r\n", ["large.bin"] = ("x"):rep(1048577), ["just.bin"] = ("x"):rep(1048576) },
  }
  -- directmail is not loaded in init_by_lua here
  late = nginx.start { http = "server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }", env = { DIRECTMAIL_REGION = "ap-southeast-1" } }
end)

teardown(function()
  rig:stop()
  late:stop()
  box:stop()
end)

before_each(function()
  box:set_faults {}
  box:clear()
end)

-- ---- the promise ---------------------------------------------------------------

describe("the five lines of docs/homes.md", function()
  local page

  setup(function()
    local block = assert(peers.read "docs/homes.md":match "\n```nginx\nhttp {\n(.-)\n}\n```\n", "docs/homes.md has no block for nginx.conf")
    local function put(old, new)
      local n
      block, n = block:gsub(old:gsub("%p", "%%%0"), (new:gsub("%%", "%%%%")))
      assert(n == 1, old)
    end
    put("resolver 223.5.5.5 ipv6=off;", "resolver @RESOLVER@ ipv6=off;")
    put("/etc/ssl/certs/ca-certificates.crt", "ca.pem")
    put("listen 127.0.0.1:8080;", "listen 127.0.0.1:@PORT@; location = /run { @RUN@ }")
    page = nginx.start { http = block, env = settings, names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = peers.read(box.ca) } }
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

  it("may be on their way when nginx is told to quit: the mail is sent first", function()
    box:set_faults { "banner:slow=1" }
    assert.equal(204, (page:ask "/seen"))
    page:quit()
    assert.equal("Seen", box:mails()[1].subject)
    assert.equal(1, #box:mails())
  end)
end)

describe("nginx", function()
  it("never loads directmail.net", function()
    for via, more in pairs { smtp = '{ { name = "a.txt", data = "b" } }', api = "nil" } do
      local receipt, e = rig:run(([[ return assert(directmail.new()):send { to = "ann@example.com", subject = "x", text = "x", attachments = %s } ]]):format(more))
      assert.equal("table", type(receipt), json.encode(e))
      assert.equal(via, receipt.via)
    end
    assert.same({ "nginx", true, true }, { rig:run [[
      return require "directmail.host".name, package.loaded["directmail.net"] == nil, package.loaded["directmail.host.std"] == nil
    ]] })
  end)
end)

-- ---- phases ------------------------------------------------------------------------------------

describe("a phase without sockets", function()
  local function told(phase)
    local deadline = host.tick() + 5
    local text
    repeat              -- log_by_lua runs when the answer is on its way already
      text = rig:run([[ return ngx.shared.notes:get(given) ]], phase)
    until text ~= json.null or host.tick() > deadline
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
      assert.matches("^add queue = true .*, or hand it to a timer: ngx%.timer%.at%(0, ", e.remedy)
    end
  end)

  it("is init_by_lua too, where a mail object can be made for all requests", function()
    local receipt, e = rig:run [[ return sent_in_init[1], sent_in_init[2] ]]
    assert.equal(json.null, receipt)
    assert.matches("init_by_lua", e.cause)
    local sent = rig:run [[ return from_init:send { to = "ann@example.com", text = "made in init" } ]]
    assert.equal("sent", sent.outcome)
  end)

  it("raises for send_all, which has nothing to return it with", function()
    assert.same({ false, true }, { rig:run [[ return all_in_init[1], all_in_init[2]:find("no sockets in init_by_lua", 1, true) ~= nil ]] })
  end)

  it("lets a message be built", function()
    assert.is_true(rig:run [[ return directmail.message { from = "a@example.com", to = "b@example.com", text = "x" }:size() > 100 ]])
  end)

  it("lets HTML be read", function()
    assert.same({ "Hi 您好\n", "html still holds {{x}} in line 1" }, { rig:run [[
      local _, e = directmail.message { from = "a@example.com", to = "b@example.com", html = "<p>{{x}}" }
      return require "directmail.twin".text "<p>Hi <b>您好", e.cause ]] })
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
  it("refuse ca, proxy and store by name", function()
    for name, value in pairs { store = "/tmp/outbox.db", ca = "/etc/ssl/certs/ca-certificates.crt", proxy = "socks5://127.0.0.1:1080" } do
      local mail, e = rig:run([[ return directmail.new { [given.name] = given.value } ]], { name = name, value = value })
      assert.equal(json.null, mail)
      assert.same({ "OPTION", name, "not_sent" }, { e.code, e.detail, e.outcome })
    end
    local _, e = rig:run [[ return directmail.new { ca = "x" } ]]
    assert.matches("lua_ssl_trusted_certificate", e.remedy)
  end)

  it("leave DIRECTMAIL_CA alone with one warning", function()
    for i = 1, 3 do rig:run([[ return directmail.new():send { to = "ann@example.com", text = given } ]], "number " .. i) end
    local _, warnings = rig:log():gsub("%[warn%][^\n]*DIRECTMAIL_CA[^\n]*lua_ssl_trusted_certificate", "")
    assert.equal(1, warnings)
  end)

  it("come from the environment that init_by_lua saw", function()
    local region, getenv = rig:run [[ return require "directmail.host".env "DIRECTMAIL_REGION", os.getenv "DIRECTMAIL_REGION" ]]
    assert.same({ settings.DIRECTMAIL_REGION, json.null }, { region, getenv })
    assert.equal(json.null, (rig:run [[ return require "directmail.host".env "PATH" or nil ]]))
  end)

  it("are missing when directmail was not loaded there, which is said once", function()
    for _ = 1, 3 do assert.equal(json.null, (late:run [[ return require "directmail.host".env "DIRECTMAIL_REGION" ]])) end
    local _, warnings = late:log():gsub("%[warn%][^\n]*init_by_lua_block", "")
    assert.equal(1, warnings)
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
      env = { HOME = home },
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

  it("leaves a time limit as it is when another one is set", function()
    local late_peer = peers.serve(function(sock)
      host.sleep(3)
      sock:send "late"
    end)
    local why = rig:run([[
      local sock = require "directmail.host".tcp()
      assert(sock:connect("127.0.0.1", given))
      sock:settimeouts(nil, nil, 200)
      sock:settimeouts(nil, 5000)
      sock:settimeouts(5000)
      local bytes, why = sock:receiveany(10)
      sock:close()
      return bytes or why
    ]], late_peer)
    assert.equal("timeout", why)        -- nginx's own limit is a minute
    peers.stop()
  end)

  it("verifies, always", function()
    for _, code in ipairs {
      [[ local s = require "directmail.host".tcp(); s:connect("127.0.0.1", given); s:sslhandshake(false, nil, true) ]],
      [[ local s = require "directmail.host".tcp(); s:connect("127.0.0.1", given); s:sslhandshake(false, "localhost", false) ]],
      [[ require "directmail.host".tcp { ca = "x" } ]],
    } do
      assert.has_error(function() rig:run(code, tonumber(box.urls.smtps:match ":(%d+)$")) end)
    end
  end)

  it("has no sandbox inside", function()
    local started, e = rig:run [[ return directmail.sandbox.start() ]]
    assert.same({ json.null, "OPTION" }, { started, e.code })
    assert.matches("directmail sandbox", e.remedy)
  end)
end)
