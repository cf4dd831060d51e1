-- docs/homes.md, row by row: a test for each, named after the row. A row without a test, or a test without a row, fails.
local host = require "directmail.host.std"
local directmail = require "directmail"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"

local BUILD = os.getenv "BUILD" or "build"

local box, rig, settings, port, dir
local authority = host.authority()
local ours = host.identity(authority:issue { "localhost" })
local by_ip = host.identity(authority:issue { "127.0.0.1" })

local function write(name, bytes)
  local file = assert(io.open(dir .. "/" .. name, "wb"))
  file:write(bytes)
  file:close()
  return dir .. "/" .. name
end

-- A phase that cannot send tells what it was told.
local function note(phase)
  return ([[ %s_by_lua_block {
    local mail = require "directmail".new { smtp = "smtp://127.0.0.1:1", via = "smtp" }
    local _, err = mail:send { to = "ann@example.com", text = "hi" }
    ngx.log(ngx.NOTICE, "PHASE %s ", require "cjson".encode(require "directmail.err".plain(err))) %s
  } ]]):format(phase, phase, phase == "set" and "return 1" or "")
end

local HTTP = [[
  lua_socket_log_errors off;
  resolver @RESOLVER@ ipv6=off; resolver_timeout 1s;
  lua_ssl_trusted_certificate ca.pem; lua_ssl_verify_depth 3; lua_ssl_protocols TLSv1.2 TLSv1.3;
  init_by_lua_block {
    local mail = require "directmail".new { smtp = "smtp://127.0.0.1:1", via = "smtp" }
    local _, err = mail:send { to = "ann@example.com", text = "hi" }
    said_in_init = require "directmail.err".plain(err)
  }
  ]] .. note "init_worker" .. note "exit_worker" .. [[
  upstream balanced { server 0.0.0.1; ]] .. note "balancer" .. [[ }
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
    location = /peers { lua_ssl_trusted_certificate peers.pem; @RUN@ }
    location = /balanced { proxy_pass http://balanced; }
    location = /raises { content_by_lua_block {
      local _, err = require "directmail".new { smtp = "smtp://127.0.0.1:9", via = "smtp" }:send { to = "ann@example.com", text = "hi" }
      error(err)
    } }
    location = /phases { ]] .. note("set"):gsub("set_by_lua_block", "set_by_lua_block $x") .. note "header_filter" .. note "body_filter" .. note "log" .. [[
      return 200 ok;
    }
  }
]]

setup(function()
  box = assert(sandbox.start())
  settings, port = peers.settings(box)
  settings.HOME = "/nowhere"
  dir = nginx.folder()
  rig = nginx.start {
    http = HTTP, env = settings, workers = 1, names = { localhost = "127.0.0.1" },
    files = { ["ca.pem"] = peers.read(box.ca), ["peers.pem"] = authority.ca, ["large.bin"] = ("x"):rep(1048577), ["small.bin"] = "small" },
  }
end)

teardown(function()
  rig:stop()
  box:stop()
  peers.stop()
  os.execute(("rm -rf '%s'"):format(dir))
end)

before_each(function()
  box:set_faults {}
  box:clear()
end)

-- Run Lua by an interpreter or the command, as a program of its own, in the sandbox's environment: what it printed, its status.
local function program(interpreter, code, more)
  local script, out = write("script.lua", code), dir .. "/out"
  local env = { LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = ("%s/%s/?.so;;"):format(BUILD, interpreter), HOME = "/nowhere" }
  for name, value in pairs(box.env) do env[name] = value end
  for name, value in pairs(more or {}) do env[name] = value end
  local child = assert(host.child({ "sh", "-c", 'exec "$0" "$1" >"$2" 2>&1', interpreter == "directmail" and BUILD .. "/directmail" or interpreter,
    script, out }, env))
  local status = child:wait()
  return peers.read(out), status
end

local function runs(text, code, interpreters)
  for _, interpreter in ipairs(interpreters or { "directmail", "lua5.4", "luajit" }) do
    local said, status = program(interpreter, code)
    assert.same({ text, 0 }, { (said:gsub("\n$", "")), status }, interpreter)
  end
end

-- A mail from here, the std home.
local function std(options)
  local given = { via = "smtp", smtp = "smtp://localhost:" .. port.smtp, ca = box.ca, sender = settings.DIRECTMAIL_SENDER,
    smtp_password = settings.DIRECTMAIL_SMTP_PASSWORD }
  for name, value in pairs(options or {}) do given[name] = value end
  return assert(directmail.new(given))
end

local MESSAGE = { to = "ann@example.com", subject = "x", text = "x" }

local SEND = [[
  local mail, e = directmail.new(given.options)
  if not mail then return nil, e end
  local fields = given.fields or {}
  fields.to, fields.text = fields.to or "ann@example.com", "x"
  local receipt
  receipt, e = mail:send(fields)
  return receipt, e
]]

local function inside(options, fields, path) return rig:run(SEND, { options = options, fields = fields }, path) end

-- A server that speaks SMTP inside TLS at once, and what `seen` makes of each connection.
local function tls_peer(identity, seen)
  return peers.serve(function(sock)
    if not sock:sslaccept(identity) then return end
    if seen then seen(sock) end
    sock:send "220 x\r\n"
    if not peers.talk(sock, { "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n" }) then return end
    sock:receiveany(4096)
    sock:send "250 ok\r\n"
    sock:receiveany(4096)
    sock:send "221 bye\r\n"
  end)
end

local function plain_peer(serve)
  return peers.serve(function(sock)
    sock:send "220 x\r\n"
    serve(sock)
  end)
end

local ROWS = {}

ROWS["loaded as"] = function()
  runs("std Lua 5.4", [[ require "directmail" print(require "directmail.host".name .. " " .. _VERSION) ]], { "directmail" })
  for _, interpreter in ipairs { "lua5.1", "lua5.4", "luajit" } do
    runs("std", [[ require "directmail" print(require "directmail.host".name) ]], { interpreter })
  end
  assert.equal("nginx", (rig:run [[ return require "directmail.host".name ]]))
end

ROWS["found by"] = function()
  local child = assert(host.child({ "sh", "-c",
    [[build=$PWD; case $0 in /*) build=$0 ;; *) build=$PWD/$0 ;; esac; cd / && eval "$("$build/directmail" env lua5.1)" &&
      lua5.1 -e 'assert(require "directmail".message { from = "a@x.example", to = "b@x.example", text = "t" }:size() > 100)']], BUILD }))
  assert.equal(0, child:wait())
  assert.is_true((rig:run [[ return package.path:find("lua/?.lua", 1, true) ~= nil and package.cpath:find("module/?.so", 1, true) ~= nil ]]))
end

ROWS["sockets, TLS, clock"] = function()
  assert.equal("sent", std():send(MESSAGE).outcome)
  assert.is_not_nil(package.loaded["directmail.net"])
  assert.equal("sent", inside({ via = "smtp" }).outcome)
  assert.is_true((rig:run [[ return package.loaded["directmail.net"] == nil and type(ngx.socket.tcp) == "function" ]]))
end

local WAITS = [[
  local host = require "directmail.host"
  local function waits() host.sleep(0.01) return true end
  local out = {}
  local ok, why = host.wait(host.spawn(function()
    out[1] = (pcall(waits))
    for value in waits do out[2] = value break end
    out[3] = setmetatable({}, { __index = waits }).x
  end))
  local all = out[1] and out[2] and out[3] and ok or false
]]

ROWS["waiting inside `pcall`, iterators, metamethods"] = function()
  runs("true", WAITS .. "print(all)")
  runs("false", WAITS .. "print(all)", { "lua5.1" })
  assert.is_true((rig:run(WAITS .. "return all")))
end

local SPAWNS = [[
  local directmail = require "directmail"
  local host, order = require "directmail.host", {}
  local task = directmail.spawn(function()
    order[#order + 1] = "a"
    host.sleep(0.01)
    order[#order + 1] = "b"
  end)
  order[#order + 1] = "c"
  directmail.wait(task)
  local said = table.concat(order)
]]

ROWS["`directmail.spawn`"] = function()
  runs("acb", SPAWNS .. "print(said)")
  runs("abc", SPAWNS .. "print(said)", { "lua5.1" })
  assert.equal("acb", (rig:run(SPAWNS .. "return said")))
  assert.equal("thread", (rig:run [[ return type(directmail.spawn(function() end)) ]]))
end

ROWS["errors of a send that nobody caught"] = function()
  local code = [[
    local mail = assert(require "directmail".new { smtp = "smtp://127.0.0.1:9", via = "smtp", timeout = 5 })
    local receipt, e = mail:send { to = "ann@example.com", text = "x" }
    error(e)
  ]]
  local said, status = program("directmail", code)
  assert.equal(3, status)               -- not accepted and worth repeating
  assert.matches("not sent: no connection was made", said, 1, true)
  said, status = program("lua5.4", code)
  assert.equal(1, status)
  assert.matches("CONNECT", said, 1, true)
  assert.equal(500, (rig:ask "/raises"))
end

ROWS["warnings"] = function()
  local code = [[ assert(require "directmail".new { smtp_password = "secret\n" }) ]]
  for _, interpreter in ipairs { "directmail", "luajit" } do
    assert.matches("^directmail: warning: smtp_password .- a line end behind it was taken off", (program(interpreter, code)))
  end
  rig:run [[ assert(directmail.new { smtp_password = "secret\n" }) ]]
  assert.matches("%[warn%][^\n]*directmail: smtp_password[^\n]*a line end behind it was taken off", rig:log())
end

ROWS["environment, profile, credential files"] = function()
  write("profile.lua", 'return { timeout = 77 }')
  runs("77 ap-southeast-1", ([[ local s = assert(require "directmail".new { profile = "%s/profile.lua" }).settings print(s.timeout .. " " .. s.region) ]]):format(dir))
  assert.same({ settings.DIRECTMAIL_REGION, json.null }, { rig:run [[ return directmail.new().settings.region, os.getenv "DIRECTMAIL_REGION" ]] })
  local _, e = rig:run([[ return directmail.new { profile = given } ]], dir .. "/profile.lua")
  assert.matches("init_by_lua", e.cause, 1, true)
  local late = nginx.start { http = "server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }", main = "env DIRECTMAIL_SENDER;",
    env = { DIRECTMAIL_REGION = "cn-hangzhou", DIRECTMAIL_SENDER = "let@through.example" } }
  for _ = 1, 2 do
    assert.same({ json.null, "let@through.example" }, { late:run [[ local s = directmail.new().settings return s.region, s.sender ]] })
  end
  local _, warnings = late:log():gsub("%[warn%][^\n]*init_by_lua_block", "")
  late:stop()
  assert.equal(1, warnings)
end

ROWS["private CA"] = function()
  assert.equal("sent", std():send(MESSAGE).outcome)
  local _, e = inside { via = "smtp", ca = "ca.pem" }
  assert.same({ "OPTION", "ca" }, { e.code, e.detail })
  assert.matches("lua_ssl_trusted_certificate", e.remedy, 1, true)
  assert.equal("sent", inside { via = "smtp" }.outcome)
  local _, warnings = rig:log():gsub("%[warn%][^\n]*DIRECTMAIL_CA", "")
  assert.equal(1, warnings)
end

ROWS["proxy"] = function()
  local asked
  local proxy = peers.serve(function(sock) asked = sock:receiveany(100) end)
  local _, failed = std { proxy = "http://127.0.0.1:" .. proxy, timeout = 5 }:send(MESSAGE)
  assert.is_not_nil(failed)
  assert.matches("^CONNECT localhost:", asked)
  local _, e = inside { via = "smtp", proxy = "http://127.0.0.1:" .. proxy }
  assert.same({ "OPTION", "proxy" }, { e.code, e.detail })
  local by_env = nginx.start { http = [[ init_by_lua_block { require "directmail" } server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } } ]],
    env = { DIRECTMAIL_PROXY = "http://127.0.0.1:" .. proxy } }
  _, e = by_env:run(SEND, { options = {} })
  by_env:stop()
  assert.same({ "OPTION", "proxy" }, { e.code, e.detail })
  assert.matches("DIRECTMAIL_PROXY", e.cause, 1, true)
end

ROWS["option `store`"] = function()
  assert.equal("sent", std { store = dir .. "/keys.db" }:send({ to = "ann@example.com", text = "x", key = "k1" }).outcome)
  assert.equal("sent", std { store = dir .. "/keys.db" }:send({ to = "ann@example.com", text = "x", key = "k1" }).outcome)
  assert.equal(1, #box:mails())
  local _, e = inside({ via = "smtp", store = dir .. "/keys.db" }, { key = "k1" })
  assert.same({ "OPTION", "store" }, { e.code, e.detail })
  assert.matches("redis://", e.remedy, 1, true)
end

ROWS["attachment by path"] = function()
  local large = write("large.bin", ("x"):rep(1048577))
  assert.equal("sent", std():send({ to = "ann@example.com", text = "x", attachments = { large } }).outcome)
  local attach = [[ return assert(directmail.new { via = "smtp" }):send { to = "ann@example.com", text = "x", attachments = { ngx.config.prefix() .. given } } ]]
  assert.equal("sent", rig:run(attach, "small.bin").outcome)
  local _, e = rig:run(attach, "large.bin")
  assert.same({ "FILE", "not_sent" }, { e.code, e.outcome })
  assert.matches("data, or read", e.remedy)
end

ROWS["phases without sockets (`init`, `init_worker`, `exit_worker`, `set`, `header_filter`, `body_filter`, `log`, `balancer`)"] = function()
  local own = nginx.start { http = HTTP, env = settings, workers = 1, names = { localhost = "127.0.0.1" },
    files = { ["ca.pem"] = peers.read(box.ca), ["peers.pem"] = authority.ca } }
  own:ask "/phases"
  own:ask "/balanced"
  own:quit()
  local log = own:log()
  own:stop()
  for _, phase in ipairs { "init_worker", "exit_worker", "set", "header_filter", "body_filter", "log", "balancer" } do
    local told = assert(log:match("PHASE " .. phase .. " (%b{})"), phase)
    local e = json.decode(told)
    assert.same({ "OPTION", "phase", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry }, phase)
    assert.matches("no sockets in " .. phase .. "_by_lua", e.cause, 1, true)
    assert.matches(phase == "exit_worker" and "handler or a timer" or "ngx.timer.at(0, f", e.remedy, 1, true)
    assert.equal(phase ~= "exit_worker", e.remedy:find("add queue = true", 1, true) == 1, phase)
  end
  assert.equal(0, #box:mails())
  local e = rig:run [[ return said_in_init ]]
  assert.same({ "OPTION", "phase", "not_sent" }, { e.code, e.detail, e.outcome })
  assert.matches("no sockets in init_by_lua", e.cause, 1, true)
  assert.matches("send from a handler, or from a timer made in init_worker_by_lua", e.remedy, 1, true)
end

ROWS["host names"] = function()
  assert.equal("sent", std():send(MESSAGE).outcome)     -- localhost is in /etc/hosts
  local bare = nginx.start { http = "server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }" }
  local _, e = bare:run(SEND, { options = { smtp = "smtp://localhost:25", sender = "a@x.example", via = "smtp" } })
  bare:stop()
  assert.equal("DNS", e.code)
  assert.matches('add "resolver 223.5.5.5 ipv6=off;"', e.remedy, 1, true)
  assert.equal("sent", inside { via = "smtp" }.outcome)
end

ROWS["certificates for an IP address"] = function()
  local server = tls_peer(by_ip)
  local ca = write("peers.pem", authority.ca)
  assert.equal("sent", std { smtp = "smtps://127.0.0.1:" .. server, ca = ca, auth = "off" }:send(MESSAGE).outcome)
  local _, e = inside({ smtp = "smtps://127.0.0.1:" .. server, auth = "off", via = "smtp" }, nil, "/peers")
  assert.same({ "TLS", "name", "not_sent" }, { e.code, e.detail, e.outcome })
end

ROWS["certificates with the host in their common name only"] = function()
  local key, pem = dir .. "/cn.key", dir .. "/cn.pem"
  assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout %s -out %s 2>/dev/null")
    :format(key, pem)))
  local server = tls_peer(host.identity(peers.read(pem), peers.read(key)))
  local _, e = std { smtp = "smtps://localhost:" .. server, ca = pem, auth = "off" }:send(MESSAGE)
  assert.same({ "TLS", "name" }, { e.code, e.detail })
  local cn = nginx.start {
    http = "resolver @RESOLVER@ ipv6=off; lua_ssl_trusted_certificate cn.pem; server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }",
    names = { localhost = "127.0.0.1" }, files = { ["cn.pem"] = peers.read(pem) },
  }
  local receipt, why = cn:run(SEND, { options = { smtp = "smtps://localhost:" .. server, auth = "off", via = "smtp", sender = "a@x.example" } })
  cn:stop()
  assert.equal("sent", receipt ~= json.null and receipt.outcome, json.encode(why))
end

ROWS["TLS below 1.2"] = function()
  -- its alert: fatal, protocol_version (RFC 8446, 6)
  local old = peers.serve(function(sock)
    sock:receiveany(4096)
    sock:send("\21\3\1\0\2\2\70")
    sock:receiveany(4096)
  end)
  local _, e = std { smtp = "smtps://localhost:" .. old }:send(MESSAGE)
  assert.same({ "TLS", "version", "not_sent" }, { e.code, e.detail, e.outcome })
  _, e = inside({ smtp = "smtps://localhost:" .. old, via = "smtp" }, nil, "/peers")
  assert.same({ "TLS", "not_sent" }, { e.code, e.outcome })
end

-- Tells whoever listens on a port whether each session was resumed, and closes the service. Ends with that connection.
local RESUMES = [[
import select, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
parent = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
parent.sendall(b"%d\n" % listener.getsockname()[1])
while parent not in select.select([listener, parent], [], [])[0]:
    connection = context.wrap_socket(listener.accept()[0], server_side=True)
    parent.sendall(b"y" if connection.session_reused else b"n")
    connection.sendall(b"421 closed today\r\n")
    connection.recv(100)
    connection.close()
]]

ROWS["TLS sessions"] = function()
  local pem, key = authority:issue { "localhost" }
  local ca, listener = write("peers.pem", authority.ca), assert(host.listen("127.0.0.1", 0))
  local child = assert(host.child { "/usr/bin/python3", "-c", RESUMES, write("tls.pem", pem), write("tls.key", key), tostring(listener.port) })
  local parent = assert(listener:accept())
  listener:close()
  local url = "smtps://localhost:" .. parent:receiveany(10):match "%d+"
  local function resumed()
    parent:settimeouts(nil, nil, 10000)
    return parent:receiveany(1)
  end
  for _, said in ipairs { "n", "y" } do
    assert.equal("refused", select(2, std { smtp = url, ca = ca, auth = "off" }:send(MESSAGE)).outcome)
    assert.equal(said, resumed())
  end
  for _ = 1, 2 do
    local _, e = inside({ smtp = url, auth = "off", via = "smtp" }, nil, "/peers")
    assert.equal("refused", e.outcome)
    assert.equal("n", resumed())
  end
  parent:close()
  child:wait()
end

ROWS["why a handshake failed"] = function()
  local clear = plain_peer(function(sock)
    sock:receiveany(1000)
    sock:receiveany(1000)
  end)
  local _, e = std { smtp = "smtps://localhost:" .. clear }:send(MESSAGE)
  assert.same({ "TLS", "clear" }, { e.code, e.detail })
  _, e = inside({ smtp = "smtps://localhost:" .. clear, via = "smtp" }, nil, "/peers")
  assert.equal("TLS", e.code)
  assert.is_true(e.detail == nil or e.detail == "")
  assert.matches("error log", e.remedy, 1, true)
  local gone = peers.serve(function(sock) sock:receiveany(1000) end)
  _, e = std { smtp = "smtps://localhost:" .. gone }:send(MESSAGE)
  assert.equal("LOST", e.code)
  _, e = inside({ smtp = "smtps://localhost:" .. tls_peer(ours), via = "smtp" })
  assert.same({ "TLS", "issuer" }, { e.code, e.detail })
end

ROWS["name said in EHLO when the machine has no full name"] = function()
  local heard
  local server = plain_peer(function(sock)
    heard = sock:receiveany(1000)
    sock:send "421 enough\r\n"
  end)
  local code = [[
    local host = require "directmail.host"
    local hostname = host.hostname
    host.hostname = function() return nil end
    require "directmail".new { smtp = "smtp://127.0.0.1:%d", via = "smtp", auth = "off" }:send { to = "ann@example.com", text = "x" }
    host.hostname = hostname
  ]]
  program("lua5.4", code:format(server))
  assert.equal("EHLO [127.0.0.1]\r\n", heard)
  rig:run(code:format(server))
  assert.equal("EHLO localhost\r\n", heard)
end

ROWS["rates"] = function()
  local TAKE = [[ return (assert(directmail.new { rate = 2, smtp_user = "rates" }).pace:try("smtp", 1)) ]]
  runs("true true false", [[
    local directmail, said = require "directmail", {}
    for i = 1, 3 do said[i] = tostring((directmail.new { rate = 2 }.pace:try "smtp")) end
    print(table.concat(said, " "))
  ]])
  for _, case in ipairs { { "lua_shared_dict directmail 1m;", 2, 0 }, { "", 4, 2 } } do
    local two = nginx.start { workers = 2, http = case[1] .. [[ init_by_lua_block { require "directmail" }
      server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } } ]] }
    local start, granted = host.tick(), 0
    for _ = 1, 40 do
      if two:run(TAKE) then granted = granted + 1 end
    end
    local took = math.ceil(host.tick() - start)
    local _, warnings = two:log():gsub("lua_shared_dict directmail 1m;", "")
    two:stop()
    assert.is_true(granted >= 2 and granted <= case[2] * (took + 1), granted .. " of " .. case[2])
    assert.is_true(warnings <= case[3] and (warnings > 0) == (case[3] > 0))
  end
end

ROWS["connections of `send`"] = function()
  local connections = 0
  local server = plain_peer(function(sock)
    connections = connections + 1
    local body, held = false, ""
    repeat
      local bytes = sock:receiveany(4096)
      held = held .. (bytes or "")
      local out = ""
      for line in held:gmatch "(.-)\r\n" do
        if line == "." then body = false end
        if not body then out = out .. (line == "DATA" and "354 go\r\n" or line == "QUIT" and "221 bye\r\n" or "250 ok\r\n") end
        if line == "DATA" then body = true end
      end
      held = held:match "([^\n]*)$"
      if bytes then sock:send(out) end
    until not bytes
  end)
  local options = { smtp = "smtp://127.0.0.1:" .. server, auth = "off", via = "smtp" }
  for _ = 1, 3 do assert.equal("sent", std(options):send(MESSAGE).outcome) end
  assert.equal(3, connections)
  for _ = 1, 3 do assert.equal("sent", inside(options).outcome) end
  assert.equal(4, connections)
end

ROWS["look-ups in the DNS (doctor, lists, forms)"] = function()
  local server = require "support.dns".start { records = { ["example.com"] = { MX = { "10 mx.example.com" } } } }
  local options = { server = server.address, timeout = 10 }
  assert.same({ { preference = 10, exchange = "mx.example.com", ttl = 60 } }, { assert(host.dns("example.com", "MX", options))[1] })
  assert.equal("mx.example.com", (rig:run([[ return require "directmail.host".dns("example.com", "MX", given)[1].exchange ]], options)))
  server:stop()
end

ROWS["`directmail.list`"] = function()
  local path = write("rows.csv", "email\nann@example.com\n")
  local CODE = "return require 'directmail'.list.check(given, { column = 'email' })"
  assert.equal(1, assert(directmail.list.check(path, { column = "email" })).verdicts.ok)
  local inside_it, e = rig:run(CODE, path)
  assert.same({ json.null, "OPTION" }, { inside_it, e.code })
end

ROWS["`directmail.sandbox`"] = function()
  assert.is_not_nil(box.urls.smtp)      -- ours, in a std home
  local started_inside, e = rig:run [[ return directmail.sandbox.start() ]]
  assert.same({ json.null, "OPTION" }, { started_inside, e.code })
  assert.matches("directmail sandbox", e.remedy, 1, true)
end

ROWS["`ngx.run_worker_thread`"] = function()
  local why = rig:run [[
    local file = assert(io.open(ngx.config.prefix() .. "lua/in_thread.lua", "w"))
    file:write 'return { try = function() local ok, why = pcall(require, "directmail"); return not ok and tostring(why) end }'
    file:close()
    local _, why = ngx.run_worker_thread("lua", "in_thread", "try")
    return why
  ]]
  assert.matches("worker threads", why, 1, true)
end

-- The first cells of all rows but the heads of the tables.
local names = {}
for line in peers.read "docs/homes.md":gmatch "[^\n]+" do
  local name = line:match "^| ([^|]+) |"
  if name and name:find "%S" then names[#names + 1] = name end
end

describe("docs/homes.md:", function()
  for _, name in ipairs(names) do
    it(name, function() assert(ROWS[name], "this row has no test")() end)
  end

  it("every test stands for a row", function()
    local there = {}
    for _, name in ipairs(names) do there[name] = true end
    for name in pairs(ROWS) do assert.is_true(there[name], name) end
    assert.is_true(#names >= 20)
  end)
end)
