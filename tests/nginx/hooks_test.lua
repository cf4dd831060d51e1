-- directmail.nginx: the events webhook, one-click unsubscribe, and mails through the outbox, by real nginx with two workers and a Redis.
local core = require "directmail.core"
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local redis = require "support.redis"
local sandbox = require "directmail.sandbox"
local unsubscribe = require "directmail.unsubscribe"
local web = require "support.web"

local box, server, rig
local SECRET, OLD = ("k"):rep(32), ("o"):rep(32)

local HTTP = [[
  lua_shared_dict directmail 2m;
  lua_shared_dict notes 1m;
  lua_socket_log_errors off;
  resolver @RESOLVER@ ipv6=off;
  lua_ssl_trusted_certificate ca.pem;
  init_by_lua_block {
    directmail = require "directmail"
    local nginx = directmail.nginx
    local secret, old = ("k"):rep(32), ("o"):rep(32)
    mail = assert(directmail.new { via = "smtp", store = os.getenv "REDIS" })
    local function note(e)
      ngx.shared.notes:incr(e.type .. " " .. (e.to or "?"), 1, 0)
      if ngx.shared.notes:get "raise" then error("storing failed for ann@example.com", 0) end
      if ngx.shared.notes:get "slow" then ngx.sleep(0.3) end
      if ngx.shared.notes:get "return" then return nil, "no room" end
    end
    handlers = {
      hook = nginx.events { secret = { secret, old }, store = mail.store, on = { any = note }, mns = { account = "1321", hosts = { "localhost" } } },
      plain = nginx.events { name = "plain", secret = secret, on = { any = note }, max_body = 5000 },
      bye = nginx.unsubscribe { secret = { secret, old }, list = mail.store },
      mine = nginx.unsubscribe { name = "mine", secret = secret, on = note and function(e)
        ngx.shared.notes:set("mine", e.to .. " " .. e.list)
        if ngx.shared.notes:get "fail" then return nil, "the disk is full" end
      end },
      durable = nginx.form(mail, { name = "durable", to = "team@example.com", fields = { name = { required = true } }, message = { subject = "Durable", text = "x" },
        deliver = "durable", key = function(v) return v.name:find "^key" and v.name or nil end, limits = { client = false, recipient = false } }),
      json = nginx.json(mail, { to = "team@example.com", fields = { name = { required = true } },
        message = function(v) return { subject = "Json", text = v.name } end, limits = { client = false, recipient = false } }),
      metrics = nginx.metrics(),
    }
  }
  init_worker_by_lua_block { if os.getenv "PUMP" == "1" then directmail.nginx.pump(mail, { connections = 2, lease = 3 }) end }
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
    location / { content_by_lua_block { handlers[ngx.var.uri:sub(2)]() } }
  }
]]

local function start(pump)
  local settings = peers.settings(box)
  settings.REDIS, settings.PUMP = server.url, pump and "1" or ""
  return nginx.start { http = HTTP, main = "env PUMP; env REDIS;", env = settings, workers = 2, names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = peers.read(box.ca) } }
end

setup(function()
  box = assert(sandbox.start())
  server = redis.start()
  rig = start(false)
end)

teardown(function()
  -- what a setup that failed has not started is not there to be stopped
  if rig then rig:stop() end
  if server then server:stop() end
  box:stop()
end)

before_each(function()
  box:set_faults {}
  box:clear()
  server:empty()
  rig:run [[ ngx.shared.notes:flush_all() ngx.shared.directmail:flush_all() ]]
end)

local n = 0
local function event(kind, changes, data)
  n = n + 1
  local e = { id = "event-" .. n, type = kind, time = "2026-11-20T10:00:00+08:00", data = { rcpt = "ann@example.com", env_id = "6000" } }
  for name, value in pairs(changes or {}) do e[name] = value end
  for name, value in pairs(data or {}) do e.data[name] = value end
  return e
end

local function push(body, headers, path)
  local all = { ["x-eventbridge-signature-token"] = SECRET, ["Content-Type"] = "application/json" }
  for name, value in pairs(headers or {}) do all[name] = value ~= "" and value or nil end
  local answer = web.ask(rig, "POST", path or "/hook", all, type(body) == "table" and json.encode(body) or body)
  return answer.status, json.decode(answer.body), answer
end

-- Status and answer, without the headers.
local function told(...) return { (...), (select(2, ...)) } end

local function noted(name) return rig:run([[ return ngx.shared.notes:get(given) or 0 ]], name) end
local function note(name, value) rig:run([[ ngx.shared.notes:set(given[1], given[2]) ]], { name, value }) end
local function suppressed(address) return rig:run([[ return assert(mail.store):suppressed(given) ]], address) end

-- ---- the webhook -----------------------------------------------------------------------------

describe("the webhook", function()
  it("stores first, then answers; the same event again changes nothing, whichever worker has it", function()
    local one = event("dm:Deliver:Fail", nil, { status = "2", failed_type = "SmtpNxBox" })
    assert.same({ 200, { ok = true, stored = 1, duplicates = 0 } }, told(push(one)), rig:log())
    assert.equal(1, noted "bounced ann@example.com")
    assert.equal("bounced", suppressed "ann@example.com".reason)
    for _ = 1, 10 do assert.same({ 200, { ok = true, stored = 0, duplicates = 1 } }, told(push(one))) end
    assert.equal(1, noted "bounced ann@example.com")
  end)

  it("takes several at once, and those that came before are left out", function()
    local a, b, c = event "dm:Trace:Open", event "dm:Trace:Click", event "dm:Deliver:Succeed"
    push(b)
    assert.same({ 200, { ok = true, stored = 2, duplicates = 1 } }, told(push { a, b, c }))
    assert.same({ 1, 1, 1 }, { noted "opened ann@example.com", noted "clicked ann@example.com", noted "delivered ann@example.com" })
  end)

  it("is answered with 503 until the function returns well; then it is done once", function()
    local one = event "dm:Feedback:FblReport"
    for _, how in ipairs { "raise", "return" } do
      note(how, true)
      local status, said, answer = push(one)
      assert.same({ 503, "LATER", "10" }, { status, said.code, answer.headers["retry-after"] })
      note(how, nil)
    end
    assert.equal(2, noted "complained ann@example.com")
    assert.equal(200, (push(one)))
    assert.equal(3, noted "complained ann@example.com")
    assert.equal(200, (push(one)))
    assert.equal(3, noted "complained ann@example.com")
    assert.is_nil(rig:log():find("ann@example.com", 1, true))
    assert.matches("storing failed for a%*%*%*@example%.com", rig:log())
  end)

  it("of which two come at the same time is stored by one of them", function()
    note("slow", true)
    local one, tasks, stored = event "dm:Trace:Open", {}, 0
    for i = 1, 6 do tasks[i] = host.spawn(push, one) end
    for i = 1, 6 do
      local _, status, said = host.wait(tasks[i])
      if status == 200 and said.stored == 1 then stored = stored + 1 else assert.is_true(status == 503 or said.duplicates == 1) end
    end
    assert.same({ 1, 1 }, { stored, noted "opened ann@example.com" })
  end)

  it("suppresses who complained, unsubscribed or bounced for good, and nobody else", function()
    for kind, data in pairs { ["dm:Feedback:FblReport"] = {}, ["dm:Feedback:UnSubscribe"] = {},
      ["dm:Deliver:Fail"] = { status = "4", failed_type = "SysOutConnError" }, ["dm:Deliver:Succeed"] = {},
      ["dm:Trace:Open"] = {} } do
      server:empty()
      push(event(kind, nil, data))
      local known = suppressed "ann@example.com"
      local want = ({ ["dm:Feedback:FblReport"] = "complaint", ["dm:Feedback:UnSubscribe"] = "unsubscribed" })[kind] or false
      assert.equal(want, known and known.reason, kind)
    end
  end)

  it("lifts by a subscription the unsubscribe before it, never a complaint, and by an old success nothing", function()
    push(event("dm:Feedback:UnSubscribe", { time = "2026-11-20T10:00:00+08:00" }))
    push(event("dm:Deliver:Succeed", { time = "2026-11-21T10:00:00+08:00" }))
    assert.equal("unsubscribed", suppressed "ann@example.com".reason)
    push(event("dm:Feedback:Subscribe", { time = "2026-11-19T10:00:00+08:00" }))
    assert.equal("unsubscribed", suppressed "ann@example.com".reason)
    push(event("dm:Feedback:Subscribe", { time = "2026-11-22T10:00:00+08:00" }))
    assert.is_false(suppressed "ann@example.com")
    push(event("dm:Feedback:FblReport", { time = "2026-11-23T10:00:00+08:00" }))
    push(event("dm:Feedback:Subscribe", { time = "2026-11-24T10:00:00+08:00" }))
    assert.equal("complaint", suppressed "ann@example.com".reason)
  end)

  it("wants its secret, in the header of EventBridge, as a bearer, or in the URL; an old one of the list counts", function()
    for _, headers in ipairs { { ["x-eventbridge-signature-token"] = "" },
      { ["x-eventbridge-signature-token"] = SECRET:sub(2) }, { ["x-eventbridge-signature-token"] = SECRET .. "k" },
      { ["x-eventbridge-signature-token"] = "", Authorization = "Bearer x" }, { ["x-eventbridge-signature-token"] = "", Authorization = "Basic " .. SECRET } } do
      local status, said = push(event "dm:Trace:Open", headers)
      assert.same({ 401, "SECRET" }, { status, said.code })
    end
    assert.equal(401, (push(event "dm:Trace:Open", { ["x-eventbridge-signature-token"] = "" }, "/hook?secret=")))
    assert.equal(0, noted "opened ann@example.com")
    assert.equal(200, (push(event "dm:Trace:Open", { ["x-eventbridge-signature-token"] = OLD })))
    assert.equal(200, (push(event "dm:Trace:Open", { ["x-eventbridge-signature-token"] = "", Authorization = "Bearer " .. SECRET })))
    assert.equal(200, (push(event "dm:Trace:Open", { ["x-eventbridge-signature-token"] = "" }, "/hook?secret=%6B" .. SECRET:sub(2))))
    assert.equal(3, noted "opened ann@example.com")
  end)

  it("answers 400 to what it does not understand, 413 to what is too large, 405 to GET", function()
    for _, body in ipairs { "", "{}", "[]", "x", '{"type":"x"}', "[" .. json.encode(event "dm:Trace:Open") .. ",5]" } do
      local status, said = push(body)
      assert.same({ 400, "BODY" }, { status, said.code }, body)
    end
    assert.equal(413, (push(event("dm:Trace:Open", nil, { x = ("x"):rep(6000) }), nil, "/plain")))
    assert.equal(405, web.ask(rig, "GET", "/hook", {}).status)
    assert.equal(0, noted "opened ann@example.com")
  end)

  it("without a store remembers in the shared dict", function()
    local one = event "dm:Trace:Open"
    assert.equal(1, select(2, push(one, nil, "/plain")).stored)
    assert.equal(1, select(2, push(one, nil, "/plain")).duplicates)
    assert.equal(1, noted "opened ann@example.com")
  end)

  it("when the store is away says 503, and does it later", function()
    local one = event "dm:Feedback:FblReport"
    server:kill()
    assert.equal(503, (push(one)))
    server:start()
    assert.equal(200, (push(one)))
    assert.equal("complaint", suppressed "ann@example.com".reason)
  end)
end)

describe("a push of MNS", function()
  local key, pem, url

  setup(function()
    key, pem = os.tmpname(), os.tmpname()
    assert(os.execute(("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=mns -keyout '%s' -out '%s' 2>/dev/null"):format(key, pem)))
    url = "https://localhost/cert.pem"
  end)

  teardown(function()
    os.remove(key)
    os.remove(pem)
  end)

  -- What a command says of some octets.
  local function ask(command, octets)
    local at = os.tmpname()
    local file = assert(io.open(at, "wb"))
    file:write(octets)
    file:close()
    local pipe = assert(io.popen(command:format(at)))
    local out = pipe:read "*a"
    pipe:close()
    os.remove(at)
    return out
  end

  local function sign(text) return ask("openssl dgst -sha1 -sign '" .. key .. "' '%s' | base64 -w0", text) end

  local function push_mns(changes, body)
    body = body or "event=deliver&status=2&failed_type=SmtpNxBox&rcpt=ann@example.com&env_id=1&end_time=2026-11-20 10:00:00"
    local headers = {
      ["content-md5"] = ask("md5sum <'%s'", body):match "%x+", ["content-type"] = "text/plain;charset=utf-8", date = core.date(host.now(), 0):gsub("%+0000$", "GMT"),
      ["x-mns-message-id"] = "M" .. n, ["x-mns-signing-cert-url"] = core.base64(url), ["x-mns-topic-owner"] = "1321", ["x-mns-version"] = "2015-06-06",
    }
    for name, value in pairs(changes and changes.signed or {}) do headers[name] = value end
    local target = "/hook?secret=" .. SECRET
    headers.authorization = sign(require "directmail.mns".string_to_sign { method = "POST", target = target, headers = headers })
    for name, value in pairs(changes and changes.headers or {}) do headers[name] = value end
    headers["x-eventbridge-signature-token"], headers["Content-Type"] = "", ""
    n = n + 1
    return push(changes and changes.body or body, headers, changes and changes.target or target)
  end

  local function know_certificate()
    rig:run([[ ngx.shared.directmail:set("mns:" .. given[1], given[2]) ]], { url, peers.read(pem) })
  end

  it("with a signature that fits is stored", function()
    know_certificate()
    assert.same({ 200, { ok = true, stored = 1, duplicates = 0 } }, told(push_mns()), rig:log())
    assert.equal("bounced", suppressed "ann@example.com".reason)
  end)

  it("that is forged is refused", function()
    know_certificate()
    for _, changes in ipairs { { headers = { authorization = core.base64(("x"):rep(256)) } }, { headers = { authorization = "" } }, { headers = { ["x-mns-more"] = "x" } },
      { headers = { ["x-mns-topic-owner"] = "1" } }, { signed = { ["x-mns-topic-owner"] = "9999" } }, { body = "event=open&rcpt=eve@example.com" },
      { signed = { date = "Wed, 29 Mar 2023 08:41:27 GMT" } }, { target = "/hook?secret=" .. OLD },
      { signed = { ["x-mns-signing-cert-url"] = core.base64 "https://evil.example/cert.pem" } } } do
      local status, said = push_mns(changes)
      assert.same({ 403, "SIGNATURE" }, { status, said.code }, json.encode(changes))
    end
    assert.is_false(suppressed "ann@example.com")
    assert.equal(401, (push_mns { target = "/hook" }))
  end)

  it("whose certificate cannot be fetched has to come again", function() assert.equal(503, (push_mns())) end)

  it("is refused where no account was named", function()
    local status = push_mns { target = "/plain?secret=" .. SECRET }
    assert.equal(403, status)
  end)
end)

-- ---- unsubscribe ------------------------------------------------------------------------------

describe("an unsubscribe link", function()
  local ONE_CLICK = "List-Unsubscribe=One-Click"
  local function link(secret, options) return "?t=" .. unsubscribe.token(secret or SECRET, "ann@example.com", "news", options) end
  local function post(path, body, type)
    return web.ask(rig, "POST", path, { ["Content-Type"] = type or "application/x-www-form-urlencoded" }, body or ONE_CLICK)
  end

  it("shows a page to GET and HEAD, and changes nothing", function()
    for _ = 1, 3 do
      local answer = web.ask(rig, "GET", "/bye" .. link(), { Accept = "*/*" })
      assert.same({ 200, "text/html; charset=utf-8", "no-store", "noindex", "no-referrer" }, { answer.status, answer.headers["content-type"], answer.headers["cache-control"],
        answer.headers["x-robots-tag"], answer.headers["referrer-policy"] })
      assert.matches('<form method="post">.*name="List%-Unsubscribe" value="One%-Click"', answer.body)
      assert.matches("a%*%*%*@example%.com", answer.body)
    end
    assert.equal(200, web.ask(rig, "HEAD", "/bye" .. link(), {}).status)
    assert.is_false(suppressed "ann@example.com")
  end)

  it("unsubscribes by POST, in both forms of RFC 8058, with nothing but the link", function()
    for _, form in ipairs { { ONE_CLICK, "application/x-www-form-urlencoded" },
      { '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n', "multipart/form-data; boundary=b" } } do
      server:empty()
      local answer = post("/bye" .. link(), form[1], form[2])
      assert.equal(200, answer.status, answer.body .. rig:log())
      assert.is_nil(answer.headers.location)
      local known = suppressed "ann@example.com"
      assert.same({ "unsubscribed", "one-click: news" }, { known.reason, known.source })
    end
  end)

  it("that is used again says the same and changes nothing", function()
    post("/bye" .. link())
    local first = suppressed "ann@example.com"
    for _ = 1, 3 do assert.equal(200, post("/bye" .. link()).status) end
    assert.same(first, suppressed "ann@example.com")
  end)

  it("that is forged, cut, or for another is refused, and one that is too old is told so", function()
    local good = unsubscribe.token(SECRET, "ann@example.com", "news")
    local payload = core.base64("99999999999\nnews\nvictim@example.com"):gsub("=", "")
    for _, bad in ipairs { "", "?t=", "?t=" .. good:sub(1, -2), "?t=" .. good .. "x", "?x=" .. good, "?t=" .. payload .. good:match "%..*$",
      "?t=" .. unsubscribe.token(("z"):rep(32), "ann@example.com", "news"), "?t=%00", "?t=" .. ("a"):rep(3000), "?t=" .. good:gsub("%.", "%%2E%%2E") } do
      for _, method in ipairs { "GET", "POST" } do
        local answer = method == "GET" and web.ask(rig, "GET", "/bye" .. bad, {}) or post("/bye" .. bad)
        assert.equal(400, answer.status, method .. bad)
        assert.is_nil(answer.body:find("<form", 1, true))
      end
    end
    assert.equal(410, post("/bye" .. link(SECRET, { now = host.now() - 31 * 86400, days = 30 })).status)
    assert.is_false(suppressed "ann@example.com")
    assert.is_false(suppressed "victim@example.com")
  end)

  it("needs the words of RFC 8058 in the body: a POST of a scanner does nothing", function()
    for _, body in ipairs { "", "List-Unsubscribe=", "List-Unsubscribe=one", "x=1", ("x"):rep(9000) } do assert.equal(400, post("/bye" .. link(), body).status) end
    assert.equal(400, post("/bye" .. link(), ONE_CLICK, "multipart/form-data; boundary=b").status)
    assert.equal(405, web.ask(rig, "DELETE", "/bye" .. link(), {}).status)
    assert.is_false(suppressed "ann@example.com")
  end)

  it("of an old secret works while that is in the list", function()
    assert.equal(200, post("/bye" .. link(OLD)).status)
    assert.equal("unsubscribed", suppressed "ann@example.com".reason)
  end)

  it("is not called done when it could not be written down", function()
    note("fail", true)
    local answer = post("/mine" .. link())
    assert.same({ 503, "60" }, { answer.status, answer.headers["retry-after"] })
    note("fail", nil)
    assert.equal(200, post("/mine" .. link()).status)
    assert.equal("ann@example.com news", noted "mine")
  end)

  it("stands in no line of our log", function()
    local before = #rig:log()
    local good = link()
    post("/bye" .. good)
    note("fail", true)
    post("/mine" .. good)
    local deadline = host.tick() + 5
    repeat host.sleep(0.02) until rig:log():sub(before):find('"event":"unsubscribe".-"event":"unsubscribe"') or host.tick() > deadline
    local log = rig:log():sub(before)
    local _, lines = log:gsub('"event":"unsubscribe"', "")
    assert.equal(2, lines)
    assert.is_nil(log:find(good:sub(4, 40), 1, true))
    assert.is_nil(log:find("ann@example.com", 1, true))
  end)
end)

-- ---- the outbox -----------------------------------------------------------------------------

describe("a durable mail", function()
  local function post(name, target) return web.post(target or rig, "/durable", { name = name }, { Accept = "application/json" }) end
  local function states() return rig:run [[ return mail.store:counts() ]] end

  local function wait_for(count)
    local deadline = host.tick() + 30
    while #box:mails() < count and host.tick() < deadline do host.sleep(0.05) end
    return #box:mails()
  end

  it("is in the store when it is answered, and waits for a pump", function()
    local answer = post "a"
    assert.same({ 202, "queued" }, { answer.status, json.decode(answer.body).outcome }, answer.body)
    assert.equal(202, post "b".status)
    assert.same({ 2, 0 }, { states().waiting, #box:mails() })
  end)

  it("with the operator's key is one mail, however often it comes", function()
    for _ = 1, 5 do
      local answer = post "key-1"
      assert.equal(202, answer.status, answer.body .. rig:log())
    end
    assert.equal(202, post "key-2".status)
    assert.equal(2, states().waiting)
  end)

  it("is refused with 503 when the store is away: nothing is promised", function()
    server:kill()
    local answer = post "a"
    assert.equal(503, answer.status)
    server:start()
    assert.equal(202, post "a".status)
  end)

  it("is sent once though Redis is killed while pumps are at work: what was accepted arrives", function()
    local one = start(true)
    box:set_faults { "rcpt:slow=0.05" }
    for i = 1, 40 do
      if i % 15 == 0 then
        server:kill()
        server:start()
      end
      assert.equal(202, post("n" .. i, one).status, one:log())
    end
    assert.equal(40, wait_for(40))
    one:quit()
    assert.same({ 40, 0, 0 }, { states().sent, states().waiting, states().unknown })
    assert.equal(40, #box:mails())
    one:stop()
  end)

  it("is sent by the pumps of any number of workers, once; those of a second nginx help, and end when it quits", function()
    for i = 1, 30 do assert.equal(202, post("n" .. i).status) end
    local one = start(true)
    local two = start(true)
    assert.equal(30, wait_for(30))
    for i = 1, 20 do assert.equal(202, post("m" .. i, i % 2 == 0 and one or two).status) end
    two:quit()
    assert.equal(50, wait_for(50))
    one:quit()
    host.sleep(0)
    assert.equal(50, #box:mails())
    assert.same({ 50, 0, 0 }, { states().sent, states().waiting, states().unknown })
    two:stop()
    one:stop()
  end)
end)

describe("Idempotency-Key", function()
  local function post(key, name)
    return web.ask(rig, "POST", "/json", { Origin = "https://shop.example", ["Content-Type"] = "application/json", ["Idempotency-Key"] = key },
      json.encode { name = name })
  end

  it("makes a JSON request that is repeated one mail", function()
    local ids = {}
    for i = 1, 3 do
      local answer = post("abc", "x")
      assert.equal(200, answer.status, answer.body .. rig:log())
      ids[i] = json.decode(answer.body).id
    end
    assert.same({ ids[1], ids[1], 1 }, { ids[2], ids[3], #box:mails() })
  end)

  it("of another message is refused as the client's fault", function()
    assert.equal(200, post("abc", "x").status)
    local answer = post("abc", "y")
    assert.same({ 422, "KEY" }, { answer.status, json.decode(answer.body).code })
    assert.equal(400, post(("k"):rep(256), "x").status)
    assert.equal(1, #box:mails())
  end)
end)
