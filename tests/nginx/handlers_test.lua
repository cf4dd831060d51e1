-- directmail.nginx: forms, JSON, the three deliveries, metrics and log, by real nginx with two workers against the sandbox.
local dns = require "support.dns"
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"
local web = require "support.web"

local box, names, rig

local HTTP = [[
  lua_shared_dict directmail 2m;
  lua_socket_log_errors off;
  client_max_body_size 3m;
  resolver @RESOLVER@ ipv6=off;
  lua_ssl_trusted_certificate ca.pem;
  init_by_lua_block {
    directmail = require "directmail"
    mail = assert(directmail.new { via = "smtp" })
    local nginx = directmail.nginx
    local template = assert(directmail.template { name = "contact", subject = "Contact: {{name}}", text = "{{name}} <{{email}}> writes:\n{{message}}\n", })
    local fields = {
      name = { required = true, max = 40 }, email = { type = "email", required = true, reply_to = true },
      message = { type = "lines", required = true, max = 2000 }, topic = { values = { "sales", "support" } }, age = { type = "number", min = 1, max = 120, whole = true },
      news = { type = "flag" }, code = { pattern = "%u%u%d+" },
    }
    local function copy(t) local out = {} for k, v in pairs(t) do out[k] = v end return out end
    handlers = {
      contact = nginx.form(mail, { name = "contact", to = "team@example.com", fields = fields, template = template, honeypot = "website",
        limits = { client = false, recipient = false } }),
      done = nginx.form(mail, { name = "done", to = "team@example.com", fields = fields, template = template, done = "/thanks.html",
        origin = { "https://www.shop.example", "https://shop.example" },
        limits = { client = false, recipient = false } }),
      limited = nginx.form(mail, { name = "limited", to = "team@example.com", fields = fields, template = template, limits = { client = { 4, 300 } } }),
      register = nginx.form(mail, { name = "register", to = "field:email", recipients = { "*@example.com", "*@*.test" }, check = { mx = true },
        fields = { email = { type = "email", required = true }, name = { max = 30 } }, message = { subject = "Welcome", text = "Hello" },
        limits = { client = false, recipient = { 2, 300 } } }),
      anyone = nginx.form(mail, { name = "anyone", to = "field:email", check = { mx = true }, fields = { email = { type = "email", required = true } },
        message = { subject = "x", text = "x" }, limits = { client = false } }),
      upload = nginx.form(mail, { name = "upload", to = "jobs@example.com",
        fields = { name = { required = true }, cv = { type = "file", types = { "pdf", "txt" }, max = 100000, required = true } },
        message = { subject = "CV", text = "see attachment", attachments = { { name = "terms.txt", data = "ours" } } }, limits = { client = false } }),
      json = nginx.json(mail, { to = "team@example.com", fields = fields,
        message = function(v) return { subject = "JSON", text = v.name .. "/" .. tostring(v.age) .. "/" .. tostring(v.news) } end,
        limits = { client = false } }),
      secret = nginx.json(mail, { name = "secret",
        secret = { ("n"):rep(20), ("o"):rep(20) }, to = "team@example.com", fields = fields, message = { subject = "s", text = "t" }, limits = { client = false } }),
      background = nginx.form(mail, { name = "background", to = "team@example.com", fields = fields, template = template, deliver = "background",
        background = { queue = 3, pumps = 1 }, limits = { client = false } }),
      logged = nginx.form(mail, { name = "logged", to = "team@example.com", fields = fields, template = template, deliver = "background",
        background = { queue = 5, pumps = 1 }, honeypot = "website", limits = { client = false }, log = function() error "no log for ann@example.com" end }),
      broken = nginx.form(mail, { name = "broken", to = "team@example.com", fields = fields, message = function() error "oops <script>" end, limits = { client = false } }),
      metrics = nginx.metrics(),
    }
  }
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
    location = /metrics { content_by_lua_block { handlers.metrics() } }
    location / { content_by_lua_block { handlers[ngx.var.uri:sub(2)]() } }
  }
]]

setup(function()
  box = assert(sandbox.start())
  names = dns.start {
    records = { ["example.com"] = { MX = { "10 mx.example.com" } },
      ["nullmx.test"] = { MX = { "0 ." } }, ["plain.test"] = { A = { "192.0.2.1" } }, ["empty.test"] = { TXT = { "x" } } },
    faults = { ["broken.test"] = "servfail", ["gone.test"] = "nxdomain" },
  }
  local settings = peers.settings(box)
  settings.DIRECTMAIL_DNS = names.address
  rig = nginx.start { http = HTTP, env = settings, workers = 2, names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = peers.read(box.ca) } }
end)

teardown(function()
  -- what a setup that failed has not started is not there to be stopped
  if rig then rig:stop() end
  if names then names:stop() end
  box:stop()
end)

before_each(function()
  box:set_faults {}
  box:clear()
end)

local GOOD = { name = "Ann", email = "ann@example.com", message = "Hello\r\nthere" }

local function with(changes)
  local out = {}
  for name, value in pairs(GOOD) do out[name] = value end
  for name, value in pairs(changes or {}) do out[name] = value end
  return out
end

local function count(series)
  local text = web.ask(rig, "GET", "/metrics").body
  return tonumber(text:match("\n" .. series:gsub("%p", "%%%0") .. " ([%d.]+)") or 0)
end

-- ---- a form --------------------------------------------------------------------------------

describe("a form", function()
  it("becomes the operator's mail, with the visitor in Reply-To", function()
    local answer = web.post(rig, "/contact", with { topic = "sales", submit = "Send" })
    assert.same({ 200, "text/html; charset=utf-8" }, { answer.status, answer.headers["content-type"] }, rig:log())
    assert.matches("Thank you", answer.body)
    local mail = assert(box:wait { to = "team@example.com", timeout = 5 })
    assert.same({ "Contact: Ann", "noreply@mail.example.com", "Ann <ann@example.com> writes:\nHello\nthere" },
      { mail.subject, mail.from, (mail.text:gsub("\r\n", "\n"):gsub("%s+$", "")) })
    assert.matches("\nReply%-To: *ann@example%.com", "\n" .. peers.read(box.dir .. "/mail/" .. mail.id .. ".eml"))
    assert.equal(1, #box:mails())
  end)

  it("may come as multipart/form-data, and is answered in JSON to who asks for it", function()
    local body = {}
    for name, value in pairs(GOOD) do body[#body + 1] = '--xYz\r\nContent-Disposition: form-data; name="' .. name .. '"\r\n\r\n' .. value .. "\r\n" end
    local answer = web.post(rig, "/contact", table.concat(body) .. "--xYz--\r\n", { ["Content-Type"] = "multipart/form-data; boundary=xYz", Accept = "application/json" })
    local told = json.decode(answer.body)
    assert.same({ 200, true, "sent" }, { answer.status, told.ok, told.outcome })
    assert.equal(told.id, box:mails()[1].id)
  end)

  it("leads on with 303, so that a reload sends nothing again", function()
    local answer = web.post(rig, "/done", with())
    assert.same({ 303, "/thanks.html" }, { answer.status, answer.headers.location })
  end)

  it("takes files of the allowed types, as attachments", function()
    local function send(name, bytes, more)
      return web.post(rig, "/upload", '--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nAnn\r\n--b\r\nContent-Disposition: form-data; name="cv"; filename="' .. name
        .. '"\r\nContent-Type: application/pdf\r\n\r\n' .. bytes .. "\r\n--b--" .. (more or "\r\n"), { ["Content-Type"] = 'multipart/form-data; boundary="b"' })
    end
    assert.equal(200, send("C:\\docs\\../报告.PDF", "%PDF-1.4\r\n\0\255--b").status)
    local mail = assert(box:wait { to = "jobs@example.com", timeout = 5 })
    -- behind the operator's own
    assert.same({ "terms.txt", "报告.PDF", "%PDF-1.4\r\n\0\255--b" }, { mail.attachments[1].name, mail.attachments[2].name, mail.attachments[2].data })
    for _, bad in ipairs { "x.exe", "x.pdf.exe", ".pdf", "pdf", "", "x.pdf\0.exe" } do assert.equal(422, send(bad, "x").status, bad) end
    assert.equal(422, send("x.pdf", ("x"):rep(100001)).status)
    assert.equal(413, send("x.pdf", ("x"):rep(400000)).status)
    assert.equal(1, #box:mails())
  end)

  it("with wrong values is told so, each by its field, and what came is never shown raw", function()
    for name, bad in pairs {
      name = { "", ("x"):rep(41), "a\nb", "a\rb", "a\0b", "\255\254", "a\226\128\168b" },
      email = { "", "ann", "ann@", "a@b@c", "Ann <ann@example.com>", "a@example.com,b@example.com", "a@[127.0.0.1]",
        "a@example.com\r\nBcc: v@evil.example", "a@localhost", "\"a b\"@example.com", ("x"):rep(300) .. "@example.com" },
      message = { "", ("x"):rep(2001), "a\0b", "a\27[2Jb" },
      topic = { "buy", "sales\n", "<script>alert(1)</script>" }, age = { "0", "121", "x", "1.5", "1e9", "0x10", "nan", "inf" },
      code = { "ab1", "AB", "AB1 " }, news = { "maybe" },
    } do
      for _, value in ipairs(bad) do
        local answer = web.post(rig, "/contact", with { [name] = value }, { Accept = "application/json" })
        assert.equal(422, answer.status, name .. "=" .. value)
        local told = json.decode(answer.body)
        assert.same({ false, "INVALID", name, 1 }, { told.ok, told.code, told.fields[1].field, #told.fields }, name .. "=" .. value)
        assert.is_string(told.fields[1].message)
        local page = web.post(rig, "/contact", with { [name] = value })
        assert.equal(422, page.status)
        assert.is_nil(page.body:find("<script>", 1, true))
        assert.is_nil(page.body:find("evil", 1, true))
      end
    end
    assert.equal(0, #box:mails())
  end)

  it("cannot inject a header through any field, whatever it declares", function()
    for name in pairs(GOOD) do
      for _, line_end in ipairs { "\r\n", "\n", "\r" } do
        local answer = web.post(rig, "/contact", with { [name] = "x@example.com" .. line_end .. "Bcc: victim@evil.example" .. line_end .. line_end .. "spam" })
        -- in a field of several lines these are lines of the text
        assert.equal(name == "message" and 200 or 422, answer.status)
      end
    end
    for _, mail in ipairs(box:mails()) do
      assert.same({ "team@example.com" }, mail.to)
      local head = peers.read(box.dir .. "/mail/" .. mail.id .. ".eml"):match "^(.-)\r\n\r\n"
      assert.is_nil(head:find("\nBcc", 1, true))
      assert.is_nil(head:find("evil", 1, true))
    end
    assert.equal(3, #box:mails())
  end)

  it("chooses neither sender, recipient, subject nor template", function()
    local answer = web.post(rig, "/contact", with { to = "victim@evil.example", from = "boss@evil.example", subject = "spam", template = "/etc/passwd", cc = "v@evil.example",
      bcc = "v@evil.example", reply_to = "v@evil.example", attachments = "/etc/passwd", key = "k", raw = "x" })
    assert.equal(200, answer.status)
    local mail = assert(box:wait { to = "team@example.com", timeout = 5 })
    assert.same({ "Contact: Ann", "noreply@mail.example.com", { "team@example.com" } }, { mail.subject, mail.from, mail.to })
    assert.is_nil(peers.read(box.dir .. "/mail/" .. mail.id .. ".eml"):find("evil", 1, true))
  end)

  it("given a field twice is refused", function()
    local answer = web.post(rig, "/contact", web.form(with()) .. "&email=other%40example.com", { Accept = "application/json" })
    assert.same({ 422, "single" }, { answer.status, json.decode(answer.body).fields[1].why })
  end)

  it("whose honeypot is filled is told that all is well, and nothing is sent", function()
    local answer = web.post(rig, "/contact", with { website = "http://spam.example" })
    assert.equal(200, answer.status)
    assert.equal(0, #box:mails())
    assert.is_true(count 'directmail_requests_total{handler="contact",result="honeypot"}' >= 1)
    assert.equal(200, web.post(rig, "/contact", with { website = "" }).status)
    assert.equal(1, #box:mails())
  end)
end)

describe("a request that is no form of ours", function()
  it("is refused without Origin and Referer, and with another's", function()
    for _, headers in ipairs { { Origin = "" }, { Origin = "https://evil.example" }, { Origin = "null" }, { Origin = "https://shop.example.evil.example" },
      { Origin = "https://evil.example", Referer = "https://shop.example/x" }, { Origin = "", Referer = "https://evil.example/shop.example" },
      { Origin = "", Referer = "https://shop.example@evil.example/" }, { Origin = "file://" } } do
      local answer = web.post(rig, "/contact", with(), headers)
      assert.equal(403, answer.status, json.encode(headers))
    end
    assert.equal(200, web.post(rig, "/contact", with(), { Origin = "", Referer = "https://shop.example/contact.html" }).status)
    assert.equal(200, web.post(rig, "/done", with(), { Origin = "https://www.shop.example", Accept = "application/json" }).status)
    -- with a list the scheme counts, too
    assert.equal(403, web.post(rig, "/done", with(), { Origin = "http://shop.example" }).status)
    assert.equal(2, #box:mails())
  end)

  it("is refused by its type", function()
    for _, type in ipairs { "text/plain", "application/json", "multipart/form-data",
      "multipart/form-data; boundary=", "application/x-www-form-urlencodedx", "multipart/mixed; boundary=b" } do
      assert.equal(415, web.post(rig, "/contact", with(), { ["Content-Type"] = type }).status, type)
    end
    assert.equal(415, web.post(rig, "/contact", with(), { ["Content-Type"] = "" }).status)
  end)

  it("is refused by its method, its size, its encoding", function()
    for _, method in ipairs { "GET", "PUT", "DELETE" } do
      local answer = web.ask(rig, method, "/contact", { Origin = "https://shop.example" })
      assert.same({ 405, "POST" }, { answer.status, answer.headers.allow })
    end
    assert.equal(413, web.post(rig, "/contact", with { message = ("x"):rep(70000) }).status)
    assert.equal(413, web.post(rig, "/contact", "a=" .. ("x"):rep(2000000)).status)
    for _, body in ipairs { "name=%zz", "name=%", ("a=b&"):rep(65) } do assert.equal(400, web.post(rig, "/contact", body).status, body) end
    for _, body in ipairs { "", "--b", "--b\r\n\r\n",
      "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx" } do
      assert.equal(400, web.post(rig, "/contact", body, { ["Content-Type"] = "multipart/form-data; boundary=b" }).status, body)
    end
    assert.equal(422, web.post(rig, "/contact", "").status)
    assert.equal(0, #box:mails())
  end)
end)

describe("limits", function()
  it("hold over both workers together", function()
    local ok, limited, workers = 0, 0, {}
    local tasks = {}
    for i = 1, 12 do tasks[i] = host.spawn(function() return web.post(rig, "/limited", with()) end) end
    for i = 1, 12 do
      local _, answer = host.wait(tasks[i])
      if answer.status == 200 then ok = ok + 1 end
      if answer.status == 429 then
        limited = limited + 1
        assert.is_true(tonumber(answer.headers["retry-after"]) >= 1)
      end
    end
    for _ = 1, 60 do workers[rig:run [[ return ngx.worker.pid() ]]] = true end
    assert.is_not_nil(next(workers, next(workers)), "only one worker answered")
    assert.same({ 4, 8, 4 }, { ok, limited, #box:mails() })
  end)

  it("hold for one recipient, whose address is in no key of the dict", function()
    for i = 1, 4 do assert.equal(i <= 2 and 200 or 429, web.post(rig, "/register", { email = i % 2 == 0 and "Flood@example.com" or "flood@EXAMPLE.com" }).status) end
    assert.equal(200, web.post(rig, "/register", { email = "other@example.com" }).status)
    assert.equal(3, #box:mails())
    local keys = rig:run [[ return table.concat(ngx.shared.directmail:get_keys(0), " ") ]]
    assert.is_nil(keys:find("flood", 1, true))
  end)
end)

describe("a mail to whom the visitor names", function()
  it("goes only where the operator allows it", function()
    assert.equal(200, web.post(rig, "/register", { email = "ann@example.com", name = "Ann" }).status)
    for _, address in ipairs { "v@evil.example", "v@example.com.evil.example", "v@xexample.org" } do
      assert.equal(422, web.post(rig, "/register", { email = address }).status, address)
    end
    assert.equal(1, #box:mails())
  end)

  it("carries no link of a stranger's", function()
    for _, name in ipairs { "buy http://spam.example", "www.spam.example", "spam.example/x", "Win at spam.com now" } do
      local answer = web.post(rig, "/register", { email = "links@example.com", name = name }, { Accept = "application/json" })
      assert.same({ 422, "links" }, { answer.status, json.decode(answer.body).fields[1].why }, name)
    end
  end)

  it("is refused in words when the domain takes no mail, and passes when nobody knows", function()
    for _, domain in ipairs { "nullmx.test", "gone.test", "empty.test", "never.test" } do
      local answer = web.post(rig, "/register", { email = "ann@" .. domain }, { Accept = "application/json" })
      -- the allow list wants a name before .test
      assert.equal(422, answer.status, domain)
    end
    names:set { records = { ["mail.nullmx.test"] = { MX = { "0 ." } }, ["mail.plain.test"] = { A = { "192.0.2.1" } }, ["mail.empty.test"] = { TXT = { "x" } } },
      faults = { ["mail.broken.test"] = "servfail", ["mail.gone.test"] = "nxdomain" } }
    for domain, why in pairs { ["mail.nullmx.test"] = "mx", ["mail.gone.test"] = "mx", ["mail.empty.test"] = "mx" } do
      local answer = web.post(rig, "/register", { email = "ann@" .. domain }, { Accept = "application/json" })
      local told = json.decode(answer.body)
      assert.same({ 422, why, "email" }, { answer.status, told.fields and told.fields[1].why, told.fields and told.fields[1].field }, domain .. answer.body)
      assert.matches("takes none", told.fields[1].message)
    end
    local answer = web.post(rig, "/anyone", { email = "ann@gmial.com" }, { Accept = "application/json" })
    assert.same({ 422, "cannot get mail: its domain takes none; did you mean gmail.com?" }, { answer.status, json.decode(answer.body).fields[1].message })
    for _, domain in ipairs { "mail.plain.test", "mail.broken.test" } do assert.equal(200, web.post(rig, "/register", { email = "ann@" .. domain }).status, domain) end
    assert.equal(2, #box:mails())
  end)
end)

-- ---- JSON ---------------------------------------------------------------------------------

describe("a JSON endpoint", function()
  local function send(object, headers, path)
    local all = { Origin = "https://shop.example", ["Content-Type"] = "application/json" }
    for name, value in pairs(headers or {}) do all[name] = value ~= "" and value or nil end
    local answer = web.ask(rig, "POST", path or "/json", all, type(object) == "table" and json.encode(object) or object)
    assert.equal("application/json; charset=utf-8", answer.headers["content-type"], answer.body .. rig:log())
    return answer.status, json.decode(answer.body), answer
  end

  it("sends, with numbers and truth as they are", function()
    local status, told = send(with { age = 42, news = true })
    assert.same({ 200, true, "sent" }, { status, told.ok, told.outcome })
    local mail = assert(box:wait { to = "team@example.com", timeout = 5 })
    assert.same({ "JSON", "Ann/42/true" }, { mail.subject, (mail.text:gsub("%s+$", "")) })
    assert.equal(told.id, mail.id)
    assert.equal(200, (send(with { topic = json.null })))
  end)

  it("refuses names that it does not know, with the nearest one", function()
    local status, told = send(with { mesage = "x" })
    assert.same({ 422, "INVALID", "mesage", "unknown" }, { status, told.code, told.fields[1].field, told.fields[1].why })
    assert.matches("did you mean message", told.fields[1].message)
    local _, other = send(with { ["<script>"] = "x" })
    assert.equal("?", other.fields[1].field)
  end)

  it("refuses lists, objects, numbers without end, and what is no JSON", function()
    for _, value in ipairs { { "a" }, { a = 1 }, true } do
      local status, told = send(with { email = value })
      assert.same({ 422, "email" }, { status, told.fields[1].field })
    end
    assert.equal(422, (send '{"name":"a","email":"a@example.com","message":"x","age":1e999}'))
    for _, body in ipairs { "", "[]", '"x"', "{", '{"a":1', "null", "{" .. ("["):rep(5000) } do assert.equal(400, (send(body)), body) end
  end)

  it("takes application/json only, which other sites' forms cannot send", function()
    for _, type in ipairs { "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "" } do assert.equal(415, (send(with(), { ["Content-Type"] = type }))) end
    assert.equal(403, (send(with(), { Origin = "" })))
    assert.equal(200, (send(with(), { ["Content-Type"] = "application/json; charset=utf-8" })))
  end)

  it("with a secret wants it, and no Origin; old ones of the list count, too", function()
    for _, given in ipairs { "", "Bearer x", "Bearer " .. ("n"):rep(19), "Bearer " .. ("n"):rep(21), "Basic " .. ("n"):rep(20), ("n"):rep(20) } do
      local status, told, answer = send(with(), { Authorization = given, Origin = "" }, "/secret")
      assert.same({ 401, "SECRET", "Bearer" }, { status, told.code, answer.headers["www-authenticate"] }, given)
    end
    for _, letter in ipairs { "n", "o" } do assert.equal(200, (send(with(), { Authorization = "Bearer " .. letter:rep(20), Origin = "" }, "/secret"))) end
    assert.equal(2, #box:mails())
  end)
end)

-- ---- failures -----------------------------------------------------------------------------

describe("a mail that fails", function()
  it("is told by what can be done about it, without the server's words", function()
    for fault, want in pairs { ["rcpt:559"] = { 422, "RECIPIENT" }, ["rcpt:450"] = { 503, "LATER" }, ["mail:436"] = { 502, "FAILED" }, ["dot:drop-after"] = { 502, "UNKNOWN" } } do
      box:set_faults { fault }
      local answer = web.post(rig, "/contact", with(), { Accept = "application/json" })
      local told = json.decode(answer.body)
      assert.same({ want[1], want[2], false }, { answer.status, told.code, told.ok }, fault .. answer.body)
      assert.is_nil(answer.body:find("%d%d%d "))
      if want[1] == 503 then assert.is_true(tonumber(answer.headers["retry-after"]) >= 1) end
    end
  end)

  it("because of the operator's function is 500, and in the log", function()
    local answer = web.post(rig, "/broken", with())
    assert.equal(500, answer.status)
    assert.is_nil(answer.body:find("oops", 1, true))
    assert.matches("oops", rig:log())
  end)
end)

-- ---- in the background -----------------------------------------------------------------------

describe("a mail in the background", function()
  local function wait_for(n)
    local deadline = host.tick() + 20
    while #box:mails() < n and host.tick() < deadline do host.sleep(0.02) end
    return #box:mails()
  end

  it("is accepted at once, and sent", function()
    box:set_faults { "banner:slow=1" }
    local start = host.tick()
    local answer = web.post(rig, "/background", with(), { Accept = "application/json" })
    assert.same({ 202, "queued" }, { answer.status, json.decode(answer.body).outcome })
    assert.is_true(host.tick() - start < 0.9)
    assert.equal(1, wait_for(1))
  end)

  it("is refused with 503 and Retry-After when the queue is full; what was accepted is sent", function()
    box:set_faults { "rcpt:slow=1" }
    local accepted, refused = 0, 0
    for _ = 1, 20 do
      local answer = web.post(rig, "/background", with())
      if answer.status == 202 then accepted = accepted + 1 end
      if answer.status == 503 then
        refused = refused + 1
        assert.is_true(tonumber(answer.headers["retry-after"]) >= 1)
      end
    end
    assert.equal(20, accepted + refused)
    assert.is_true(refused > 0 and accepted >= 3, accepted .. " " .. refused)
    box:set_faults {}
    assert.equal(accepted, wait_for(accepted))
  end)

  it("is sent though the operator's log fails, which is told without addresses", function()
    for _ = 1, 3 do assert.equal(202, web.post(rig, "/logged", with()).status) end
    assert.equal(3, wait_for(3))
    assert.equal(202, web.post(rig, "/logged", with()).status)
    assert.equal(4, wait_for(4))
    assert.matches("the function log failed: .-no log for a%*%*%*@example%.com", rig:log())
  end)

  it("of a program that filled the honeypot is answered as any other", function()
    local answer = web.post(rig, "/logged", with { website = "x" }, { Accept = "application/json" })
    local true_one = web.post(rig, "/logged", with(), { Accept = "application/json" })
    assert.same({ true_one.status, json.decode(true_one.body) }, { answer.status, json.decode(answer.body) })
    assert.equal(1, wait_for(1))
  end)

  it("is tried again when a server says not now", function()
    box:set_faults { "rcpt:450:once" }
    assert.equal(202, web.post(rig, "/background", with()).status)
    assert.equal(1, wait_for(1))
  end)
end)

-- ---- metrics and log --------------------------------------------------------------------------

describe("the metrics", function()
  it("count by outcome and have a histogram that adds up, over both workers", function()
    local before = count 'directmail_mails_total{handler="contact",deliver="wait",outcome="sent"}'
    for _ = 1, 10 do web.post(rig, "/contact", with()) end
    assert.equal(before + 10, count 'directmail_mails_total{handler="contact",deliver="wait",outcome="sent"}')
    local answer = web.ask(rig, "GET", "/metrics")
    assert.equal("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
    local total = count 'directmail_send_seconds_count{handler="contact"}'
    assert.equal(total, count 'directmail_send_seconds_bucket{handler="contact",le="+Inf"}')
    assert.is_true(total >= 10)
    local last = 0
    for n in answer.body:gmatch '\ndirectmail_send_seconds_bucket{handler="contact",le="[^"]+"} (%d+)' do
      assert.is_true(tonumber(n) >= last)
      last = tonumber(n)
    end
    for line in answer.body:gmatch "[^\n]+" do
      assert.is_truthy(line:find "^# [HT]" or line:find '^[%w_]+{[%w_]+="[^"\n]*".*} [%d.]+$' or line:find "^[%w_]+ [%d.]+$", line)
    end
  end)
end)

describe("the log", function()
  it("has one line of JSON a mail, without addresses and words of the mail", function()
    web.post(rig, "/contact", with { name = "Very Private", message = "strictly confidential" })
    box:set_faults { "rcpt:559" }
    web.post(rig, "/contact", with { email = "secret.person@example.com" })
    local log, lines = rig:log(), {}
    for text in log:gmatch "directmail: ({[^\n]-}), client" do lines[#lines + 1] = json.decode(text) end
    assert.is_true(#lines >= 2)
    local sent, refused = lines[#lines - 1], lines[#lines]
    assert.same({ "mail", "contact", "sent", "t***@example.com", "smtp" }, { sent.event, sent.handler, sent.outcome, sent.to[1], sent.via })
    assert.same({ "refused", "REFUSED", "559", false }, { refused.outcome, refused.code, refused.detail, refused.retry })
    for _, private in ipairs { "Very Private", "confidential", "secret.person", "ann@example.com", "team@example.com" } do
      assert.is_nil(log:find(private, 1, true), private)
    end
    assert.is_nil(log:find("\n%S+ %S+ %[crit%]"))
  end)
end)

describe("nginx with handlers", function()
  it("has not loaded directmail.net, and misuse is told when it starts", function()
    assert.is_true((rig:run [[ return package.loaded["directmail.net"] == nil ]]))
    local cases = {
      { 'nginx.form(mail, { to = "team@example.com" })', "fields: a table" },
      { 'nginx.form(mail, { to = "team@example.com", fields = { a = {} } })', "message or template" },
      { 'nginx.form(mail, { fields = { a = {} }, message = {} })', "to: the recipients" },
      { 'nginx.form(mail, { to = "field:a", fields = { a = {} }, message = {} })', "field:a" },
      { 'nginx.form(mail, { to = "a@example.com", fields = { a = {} }, message = { to = "x@example.com" } })', "message.to" },
      { 'nginx.form(mail, { to = "a@example.com", fields = { a = { typ = "text" } }, message = {} })', 'did you mean "type"' },
      { 'nginx.form(mail, { to = "a@example.com", fields = { a = {} }, message = {}, limit = {} })', 'did you mean "limits"' },
      { 'nginx.form(mail, { to = "a@example.com", fields = { a = {} }, message = {}, limits = { client = 5 } })', "limits.client" },
      { 'nginx.form(mail, { to = "a@example.com", fields = { a = {} }, message = {}, deliver = "durable" })', "needs a store" },
      { 'nginx.form(mail, { to = "a@example.com", fields = { a = {} }, message = {}, dict = "other" })', "lua_shared_dict other 10m" },
      { 'nginx.form(nil, { })', "mail object" },
      { 'nginx.json(mail, { to = "a@example.com", fields = { a = {} }, message = {}, secret = "short" })', "16 are needed" },
      { 'nginx.events { on = {} }', "secret" }, { 'nginx.events { secret = ("x"):rep(16) }', "store or on" },
      { 'nginx.events { secret = ("x"):rep(16), on = { bounce = print } }', 'did you mean "bounced"' },
      { 'nginx.unsubscribe { list = {} }', "secret" }, { 'nginx.unsubscribe { secret = ("x"):rep(16) }', "list or on" }, { 'nginx.pump(mail)', "store" },
      { 'nginx.pump({ store = {} }, { lease = 0 })', "lease must be a number of seconds from 1 on" },
    }
    for _, case in ipairs(cases) do
      local ok, why = rig:run("local nginx = directmail.nginx; local ok, why = pcall(function() local made = " .. case[1]:gsub("^nginx.pump", "nil; nginx.pump")
        .. " end); return ok, tostring(why)")
      assert.is_false(ok, case[1])
      assert.is_truthy(why:find(case[2], 1, true), case[1] .. ": " .. why)
      assert.matches("^%[string \"=?test\"%]:1:", (why:gsub("^test:1:", '[string "test"]:1:')))
    end
  end)
end)

describe("the block of docs/nginx.md", function()
  it("is a contact form, a sign-up in JSON and metrics", function()
    local block = assert(peers.read "docs/nginx.md":match "\n```nginx\nhttp {\n(.-)\n}\n```\n", "docs/nginx.md has no block for nginx.conf")
    for old, new in pairs { ["resolver 223.5.5.5 ipv6=off;"] = "resolver @RESOLVER@ ipv6=off;", ["/etc/ssl/certs/ca-certificates.crt"] = "ca.pem",
      ["listen 127.0.0.1:8080;"] = "listen 127.0.0.1:@PORT@;" } do
      local found
      block, found = block:gsub(old:gsub("%p", "%%%0"), new)
      assert.equal(1, found, old)
    end
    names:set { records = { ["example.com"] = { MX = { "10 mx.example.com" } } } }
    local settings = peers.settings(box)
    settings.DIRECTMAIL_DNS = names.address
    local own = nginx.start { http = block, env = settings, names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = peers.read(box.ca) } }
    assert.equal(200, web.post(own, "/contact", with()).status, own:log())
    assert.equal("Contact: Ann", assert(box:wait { to = "team@example.com", timeout = 5 }).subject)
    local answer = web.ask(own, "POST", "/signup", { Origin = "https://shop.example", ["Content-Type"] = "application/json" }, '{"email":"ann@example.com","name":"Ann"}')
    assert.equal(202, answer.status, answer.body .. own:log())
    assert.equal("Welcome", assert(box:wait { to = "ann@example.com", timeout = 10 }).subject)
    assert.matches("directmail_mails_total", web.ask(own, "GET", "/metrics").body)
    own:stop()
  end)
end)

describe("when nginx quits", function()
  it("sends what waits in the background first", function()
    local own = nginx.start { http = HTTP, env = peers.settings(box), names = { localhost = "127.0.0.1" }, files = { ["ca.pem"] = peers.read(box.ca) } }
    box:set_faults { "banner:slow=0.3" }
    for _ = 1, 3 do assert.equal(202, web.post(own, "/background", with()).status) end
    own:quit()
    assert.equal(3, #box:mails())
    own:stop()
  end)
end)
