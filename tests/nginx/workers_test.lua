-- Many requests of several workers: connections that are kept, waits that hold nobody up, and one rate for all of them.
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"
local window = require "support.window"

local box, one, two, apart, tarpit, held

local HTTP = [[
  %s
  lua_socket_log_errors off;
  resolver @RESOLVER@ ipv6=off;
  lua_ssl_trusted_certificate ca.pem;
  init_by_lua_block { require "directmail" }
  server {
    listen 127.0.0.1:@PORT@;
    location = /ping { content_by_lua_block { ngx.print "pong" } }
    location = /run { @RUN@ }
  }
]]

setup(function()
  box = assert(sandbox.start())
  held = 0
  tarpit = peers.serve(function(sock)           -- says a line each second and never comes to an end
    held = held + 1
    repeat host.sleep(1) until not sock:send "220-wait\r\n"
  end)
  local env = peers.settings(box)
  local function start(dicts, workers)
    return nginx.start { http = HTTP:format(dicts), env = env, workers = workers, names = { localhost = "127.0.0.1" },
      files = { ["ca.pem"] = peers.read(box.ca) } }
  end
  one = start("", 1)
  two = start("lua_shared_dict directmail 1m; lua_shared_dict mine 1m;", 2)
  apart = start("", 2)
end)

teardown(function()
  one:stop()
  two:stop()
  apart:stop()
  box:stop()
  peers.stop()
end)

before_each(function()
  box:set_faults {}
  box:clear()
end)

-- How often the sandbox met a step, or noted an event.
local function count(what)
  local n = 0
  for line in io.lines(box.dir .. "/log.jsonl") do
    local noted = json.decode(line)
    if noted.event == what or noted.step == what then n = n + 1 end
  end
  return n
end

-- Run code in so many requests at once; what each returns.
local function at_once(rig, n, code, argument)
  local tasks, out = {}, {}
  for i = 1, n do tasks[i] = host.spawn(function() return rig:run(code, argument) end) end
  for i = 1, n do
    local results = { host.wait(tasks[i]) }
    assert(results[1], results[2])
    out[i] = { table.unpack(results, 2) }
  end
  return out
end

local SEND = [[
  local mail = assert(directmail.new(given or { via = "smtp" }))
  local receipt, e = mail:send { to = "ann@example.com", subject = "x", text = "x" }
  if not receipt then return nil, e end
  return receipt.outcome
]]

describe("a connection of nginx", function()
  it("is kept from one request to the next: one handshake and one login for all", function()
    local logins, handshakes = count "auth", count "tls"
    for _ = 1, 6 do assert.equal("sent", (one:run(SEND))) end
    assert.same({ 1, 1 }, { count "auth" - logins, count "tls" - handshakes })
    assert.equal(6, #box:mails())
  end)

  it("belongs to its account: another one logs in for itself", function()
    assert.equal("sent", (one:run(SEND)))
    local _, e = one:run(SEND, { via = "smtp", smtp_password = "guessed" })
    assert.same({ "AUTH", "refused" }, { e.code, e.outcome })
  end)

  it("is opened again when the server has closed it, and nobody hears of it", function()
    assert.equal("sent", (one:run(SEND)))
    box:set_faults { "mail:drop:once" }
    for _ = 1, 2 do assert.equal("sent", (one:run(SEND))) end
    box:set_faults { "mail:421:once" }
    for _ = 1, 2 do assert.equal("sent", (one:run(SEND))) end
    assert.equal(5, #box:mails())
  end)

  it("is not named by a secret", function()
    local names = one:run [[
      local names, methods = {}, getmetatable(ngx.socket.tcp()).__index
      local connect = methods.connect
      methods.connect = function(sock, address, number, options)
        names[#names + 1] = options.pool
        return connect(sock, address, number, options)
      end
      assert(assert(directmail.new { via = "smtp" }):send { to = "ann@example.com", text = "x" })
      methods.connect = connect
      return names
    ]]
    assert.matches("^directmail:smtp:localhost:%d+:[%w+/=]+$", names[1])
    for _, secret in ipairs { box.env.DIRECTMAIL_SMTP_PASSWORD, "noreply" } do assert.is_nil(names[1]:find(secret, 1, true)) end
  end)
end)

describe("a hundred sends that wait on a tarpit", function()
  it("hold up nobody else: other requests are answered as before, before any of them", function()
    local over, tasks = 0, {}
    for i = 1, 100 do
      tasks[i] = host.spawn(function()
        local _, e = one:run(SEND, { via = "smtp", smtp = "smtp://127.0.0.1:" .. tarpit, timeout = 6 })
        over = over + 1
        return e
      end)
    end
    local deadline = host.tick() + 5
    repeat host.sleep(0.05) until held == 100 or host.tick() > deadline
    assert.same({ 100, 0 }, { held, over })
    local slowest = 0
    for _ = 1, 30 do
      local start = host.tick()
      assert.same({ 200, "pong" }, { one:ask "/ping" })
      slowest = math.max(slowest, host.tick() - start)
    end
    assert.equal("sent", (one:run(SEND)))       -- mail for another server goes as well
    assert.equal(0, over)
    assert.is_true(slowest < 2, slowest)
    for i = 1, 100 do
      local ok, e = host.wait(tasks[i])
      assert.is_true(ok, e)
      assert.same({ "TIMEOUT", "not_sent" }, { e.code, e.outcome })
    end
  end)
end)

describe("a rate in nginx", function()
  local TAKE = [[
    local mail = assert(directmail.new(given))
    mail.pace:take "smtp"
    return require "directmail.host".tick(), ngx.worker.pid()
  ]]

  it("is kept by all workers together, in the shared dict", function()
    local times, workers = {}, {}
    for _, result in ipairs(at_once(two, 36, TAKE, { rate = 12, smtp_user = "shared" })) do
      times[#times + 1] = result[1]
      workers[result[2]] = true
    end
    assert.is_not_nil(next(workers, next(workers)), "only one worker answered")
    -- a clock read behind the take is late by what the machine does in between, so the window is a little shorter
    assert.is_true(window.densest(times, 0.9) <= 12, "so many in a second: " .. window.densest(times, 0.9))
    assert.is_true(times[36] - times[1] >= 2)
  end)

  it("holds back mails too", function()
    local start = host.tick()
    for _, result in ipairs(at_once(two, 21, SEND, { via = "smtp", rate = 10 })) do assert.equal("sent", result[1]) end
    assert.is_true(host.tick() - start >= 2)
    assert.equal(21, #box:mails())
  end)

  it("is kept per recipient by all workers together", function()
    local granted = 0
    for _, result in ipairs(at_once(two, 120, [[ return (assert(directmail.new()).pace:try("recipient", 1, "bob@example.com")) ]])) do
      if result[1] then granted = granted + 1 end
    end
    -- a worker that the system stops between look and count, as on a busy machine, is not waited for
    assert.is_true(granted >= 50 and granted < 80, granted)
    assert.is_false((two:run [[ return (assert(directmail.new()).pace:try("recipient", 1, "bob@example.com")) ]]))
    assert.is_true(two:run [[
      for _, key in ipairs(ngx.shared.directmail:get_keys(0)) do
        if key:find("bob", 1, true) then return false end
      end
      return true
    ]])
  end)

  it("can lie in a dict of another name", function()
    assert.is_true(two:run [[
      assert(directmail.new { shared_dict = "mine", smtp_user = "x" }).pace:take "smtp"
      return #ngx.shared.mine:get_keys() > 0
    ]])
  end)

  it("is refused when the named dict is not there, with the line to add", function()
    local _, e = two:run [[ return directmail.new { shared_dict = "yours" } ]]
    assert.same({ "OPTION", "shared_dict" }, { e.code, e.detail })
    assert.matches('add "lua_shared_dict yours 1m;" to http {} in nginx.conf', e.remedy, 1, true)
  end)

  it("is each worker's own without a dict, which is said once by each, with the line to add", function()
    for _ = 1, 20 do apart:run(TAKE, { smtp_user = "apart" }) end
    local _, warnings = apart:log():gsub('%[warn%][^\n]*add "lua_shared_dict directmail 1m;" to http {} in nginx.conf', "")
    assert.is_true(warnings >= 1 and warnings <= 2, warnings)
  end)

  it("needs no dict with one worker, and nothing is said", function()
    one:run(TAKE, { smtp_user = "alone" })
    assert.is_nil(one:log():find("lua_shared_dict", 1, true))
  end)
end)
