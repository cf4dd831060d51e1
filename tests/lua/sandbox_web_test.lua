local core = require "directmail.core"
local host = require "directmail.host"
local http1 = require "directmail.http1"
local json = require "cjson"
local sandbox = require "directmail.sandbox"

local box, port

setup(function()
  box = assert(sandbox.start())
  port = tonumber(box.urls.web:match("^http://127%.0%.0%.1:(%d+)/$"))
end)

teardown(function() box:stop() end)

before_each(function()
  box:clear()
  box:set_faults {}
end)

local function ask(method, path, options)
  options = options or {}
  local sock = host.tcp()
  assert(sock:connect("127.0.0.1", port))
  local response, why = http1.request(sock, { method = method, path = path, host = options.host or "127.0.0.1:" .. port, headers = options.headers,
    body = options.body })
  sock:close()
  return assert(response, why)
end

local function get(path) return ask("GET", path) end

-- Keep a mail as SMTP would.
local function save(subject, to, bytes)
  return assert(box.store:save({ via = "smtp", mail_from = "noreply@mail.example.com", rcpt_to = { to }, user = "noreply@mail.example.com",
    tls = "starttls", subject = subject }, bytes or ("Subject: %s\r\n\r\ntext\r\n"):format(subject)))
end

local function message(fields)
  local made = assert(core.message { mail_from = "a@example.com", rcpt_to = { "b@example.com" }, fields = {
    { "From", "mailboxes", { { name = fields.from or "", address = "a@example.com" } } }, { "Subject", "text", fields.subject or "s" },
  }, text = fields.text, html = fields.html, parts = fields.parts or {}, boundary = "=_x" })
  local out = {}
  while true do
    local what, bytes = made:pull(65536)
    if what ~= "bytes" then return table.concat(out) end
    out[#out + 1] = bytes
  end
end

describe("every answer", function()
  it("carries the headers that keep a browser from guessing, framing and leaking", function()
    local id = save("x", "ann@example.net", message { html = "<p>hi</p>", parts = { { name = "a.txt", type = "text/plain", data = "x" } } })
    local mail = "/mails/" .. id
    for path, policy in pairs {
      ["/"] = "frame%-ancestors 'none'", [mail] = "frame%-ancestors 'none'", ["/mails"] = "sandbox", ["/nothing"] = "frame%-ancestors 'none'",
      [mail .. "/raw"] = "sandbox", [mail .. "/attachments/1"] = "sandbox", [mail .. "/html"] = "sandbox", ["/faults"] = "sandbox",
    } do
      local response = get(path)
      assert.matches("default%-src 'none'", response.headers["content-security-policy"], path)
      assert.matches(policy, response.headers["content-security-policy"], path)
      assert.is_nil(response.headers["content-security-policy"]:find("script", 1, true), path)
      assert.equal("nosniff", response.headers["x-content-type-options"])
      assert.equal("no-store", response.headers["cache-control"])
      assert.equal("same-origin", response.headers["cross-origin-resource-policy"])
      assert.equal(path == mail .. "/html" and "SAMEORIGIN" or "DENY", response.headers["x-frame-options"])
    end
  end)

  it("is refused to another name than ours, and to changes from another page", function()
    for _, name in ipairs { "evil.example", "evil.example:" .. port, "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:" .. port, "[::1]:" .. port } do
      assert.equal(421, ask("GET", "/mails", { host = name }).status, name)
    end
    for _, name in ipairs { "localhost:" .. port, "LOCALHOST:" .. port } do assert.equal(200, ask("GET", "/mails", { host = name }).status) end
    save("x", "ann@example.net")
    for _, origin in ipairs { "http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:" .. port, "http://localhost:" .. port .. ".evil.example" } do
      assert.equal(403, ask("DELETE", "/mails", { headers = { Origin = origin } }).status, origin)
      assert.equal(403, ask("PUT", "/faults", { headers = { Origin = origin }, body = "auth:drop" }).status, origin)
    end
    assert.equal(1, #box:mails())
    assert.equal(204, ask("DELETE", "/mails", { headers = { Origin = "http://localhost:" .. port } }).status)
    assert.equal(0, #box:mails())
  end)

  it("to a method that is not possible says which ones are", function()
    local response = ask("PUT", "/mails", { body = "" })
    assert.same({ 405, "DELETE, GET, HEAD, POST" }, { response.status, response.headers.allow })
    assert.equal(405, ask("DELETE", "/mails/600000000000000001").status)
    assert.equal(404, get("/mails/600000000000000001").status)
    assert.equal(404, get("/mails/../../etc/passwd").status)
    assert.equal(404, get("/a/b").status)
    local head = ask("HEAD", "/")
    assert.same({ 200, "" }, { head.status, head.body })
  end)
end)

describe("GET /mails", function()
  it("is a JSON list, an empty one too", function()
    assert.equal("[]\n", get("/mails").body)
    local id = save("您好", "ann@example.net")
    local response = get("/mails")
    assert.equal("application/json; charset=utf-8", response.headers["content-type"])
    local list = json.decode(response.body)
    assert.equal(1, #list)
    assert.same({ id, "smtp", "您好", { "ann@example.net" }, "starttls", json.null }, { list[1].id, list[1].via, list[1].subject, list[1].rcpt_to, list[1].tls,
      list[1].action })
  end)

  it("stays JSON whatever a mail holds", function()
    save("\255\254", "ann@example.net", "Subject: \255\r\nX: \192\r\n\r\n\255text\r\n")
    assert.is_table(json.decode(get("/mails").body))
    local mail = json.decode(get("/wait?timeout=0").body)
    assert.equal("\239\191\189text\r\n", mail.text)
  end)
end)

describe("GET /wait", function()
  it("gives the mail with its contents as JSON", function()
    local id = save("Welcome 您好", "ann@example.net", message { subject = "Welcome 您好", html = "<p>hi</p>", text = "hi",
      parts = { { name = "报告.csv", type = "text/csv", data = "a,b" } } })
    local response = get("/wait?to=ann@*&subject=" .. core.percent("Welcome") .. "&timeout=0")
    assert.equal(200, response.status)
    local mail = json.decode(response.body)
    assert.same({ id, "Welcome 您好", "noreply@mail.example.com", { "ann@example.net" }, "/mails/" .. id }, { mail.id, mail.subject, mail.mail_from, mail.rcpt_to,
      mail.url })
    assert.same({ "报告.csv", "text/csv", 3, "/mails/" .. id .. "/attachments/1" }, { mail.attachments[1].name, mail.attachments[1].type,
      mail.attachments[1].size, mail.attachments[1].url })
    assert.matches("<p>hi</p>", mail.html)
    assert.matches("^hi", mail.text)
    assert.equal("From", mail.headers[1][1])
    assert.is_truthy(response.body:find('"attachments":[{', 1, true))
  end)

  it("waits for one that comes later", function()
    local task = host.spawn(function() return get("/wait?to=late@example.net&timeout=30") end)
    local other = host.spawn(function() host.sleep(0.05) return save("late", "late@example.net") end)
    local ok, response = host.wait(task)
    assert.is_true(ok, response)
    assert.equal("late", json.decode(response.body).subject)
    host.wait(other)
  end)

  it("in vain is 408 with the reason", function()
    local response = get("/wait?to=nobody@example.net&timeout=0.05")
    assert.equal(408, response.status)
    local said = json.decode(response.body)
    assert.same({ false, "TIMEOUT" }, { said.ok, said.code })
    assert.matches("no mail to nobody@example.net came within 0.05 s", said.cause, 1, true)
  end)

  it("with a wrong question says so", function()
    for query, words in pairs { ["tmeout=5"] = 'did you mean "timeout"', ["timeout=soon"] = "number of seconds", ["timeout=61"] = "0 to 60", ["timeout=-1"] = "0 to 60" } do
      local response = get("/wait?" .. query)
      assert.equal(400, response.status)
      assert.matches(words, json.decode(response.body).cause, 1, true)
    end
  end)
end)

describe("PUT /faults", function()
  it("puts rules in the place of all, and says which are in force", function()
    local response = ask("PUT", "/faults", { body = "# mine\nauth:526:once\n\nrcpt:559:to=*@bad.example\n" })
    assert.same({ 200, "auth:526:once\nrcpt:559:to=*@bad.example\n" }, { response.status, response.body })
    assert.same({ "auth:526:once", "rcpt:559:to=*@bad.example" }, box.faults:texts())
    assert.equal(response.body, get("/faults").body)
    assert.matches("Failing on purpose", get("/").body)
    assert.equal("", ask("PUT", "/faults", { body = "" }).body)
    assert.same({}, box.faults:texts())
  end)

  it("with a wrong rule changes nothing and says what is wrong", function()
    box:set_faults { "dot:drop" }
    local response = ask("PUT", "/faults", { body = "auth:526\nauht:526\n" })
    assert.equal(400, response.status)
    assert.matches('there is no step "auht" (did you mean "auth"?)', response.body, 1, true)
    assert.same({ "dot:drop" }, box.faults:texts())
    assert.equal(400, ask("PUT", "/faults", { body = ("dot:drop\n"):rep(101) }).status)
  end)
end)

describe("a page", function()
  it("lists the newest first, with no text of a mail unescaped", function()
    save("the oldest", "ann@example.net")
    save("<img src=x onerror=alert(1)>\27[2J\226\128\174", "<b>@example.net")
    local body = get("/").body
    assert.is_truthy(body:find("&lt;img src=x onerror=alert(1)&gt;\\27[2J\\226\\128\\174", 1, true))
    assert.is_truthy(body:find("&lt;b&gt;@example.net", 1, true))
    assert.is_nil(body:find("<img", 1, true))
    assert.is_nil(body:find("<script", 1, true))
    assert.is_true(body:find("&lt;img", 1, true) < body:find("the oldest", 1, true))
    assert.matches("nothing leaves it", body)
    assert.matches("2 mails", body)
  end)

  it("lists 200, and the older ones behind a link", function()
    for i = 1, 201 do save("mail " .. i .. ".", "ann@example.net") end
    local body = get("/").body
    assert.equal(200, select(2, body:gsub("<li>", "")))
    local older = body:match('href="(/%?before=%d+)"')
    body = get(older).body
    assert.is_truthy(body:find("mail 1.", 1, true))
    assert.equal(1, select(2, body:gsub("<li>", "")))
  end)

  it("has the settings to copy", function()
    local body = get("/").body
    for name, value in pairs(box.env) do
      assert.is_truthy(body:find(("export %s=%s"):format(name, value), 1, true), name)
    end
  end)

  it("of a mail shows headers, text and parameters escaped, and the HTML in a frame only", function()
    local id = save("x", "ann@example.net", message { subject = "S <x>", from = '"><script>alert(1)</script>', html = "<h1>BODY</h1>", text = "<b>plain\n\tline" })
    local body = get("/mails/" .. id).body
    assert.is_truthy(body:find(('<iframe sandbox="" title="The mail as its reader sees it" src="/mails/%s/html"></iframe>'):format(id), 1, true))
    assert.is_truthy(body:find("&lt;b&gt;plain\n    line", 1, true))
    assert.is_nil(body:find("<h1>BODY", 1, true))
    assert.is_nil(body:find("<script", 1, true))
  end)

  it("sends a test mail and deletes all by its buttons", function()
    local headers = { ["Content-Type"] = "application/x-www-form-urlencoded", Origin = "http://127.0.0.1:" .. port }
    local response = ask("POST", "/mails", { headers = headers, body = "do=test" })
    assert.same({ 303, "/" }, { response.status, response.headers.location })
    assert.same({ "api", "SingleSendMail" }, { box:mails()[1].via, box:mails()[1].action })
    assert.matches("<dt>AddressType</dt><dd>1</dd>", get("/mails/" .. box:mails()[1].id).body)
    assert.equal(303, ask("POST", "/mails", { headers = headers, body = "do=clear" }).status)
    assert.equal(0, #box:mails())
    assert.equal(400, ask("POST", "/mails", { headers = headers, body = "do=what" }).status)
    assert.equal(400, ask("POST", "/mails", { body = "do=clear" }).status)
  end)
end)

describe("the body of a mail", function()
  it("is served under exactly this policy, as it came", function()
    local html = "<p onclick='x()'>hi</p><script>alert(1)</script>"
    local id = save("x", "ann@example.net", message { html = html })
    local response = get("/mails/" .. id .. "/html")
    assert.equal("sandbox; default-src 'none'; img-src data: cid:; style-src 'unsafe-inline'", response.headers["content-security-policy"])
    assert.equal("text/html; charset=utf-8", response.headers["content-type"])
    assert.equal(html, (response.body:gsub("%s+$", "")))
  end)

  it("shows inline images, each as a data: URL", function()
    local png = "\137PNG\r\n\26\n"
    local id = save("x", "ann@example.net", message {
      html = '<img src="cid:logo"><img src=cid:logo><td style="background:url(CID:logo)"><img src="cid:none"> cid:logo', parts = {
        { name = "logo.png", type = "image/png", cid = "logo", data = png }, { name = "x.svg", type = "text/html", cid = "none", data = "<script>" } } })
    local data = "data:image/png;base64," .. core.base64(png)
    assert.equal(('<img src="%s"><img src=%s><td style="background:url(%s)"><img src="cid:none"> %s'):format(data, data, data, data),
      (get("/mails/" .. id .. "/html").body:gsub("%s+$", "")))
  end)

  it("does not grow without end when one image is named again and again", function()
    local id = save("x", "ann@example.net", message { html = ('<img src="cid:a">'):rep(2000),
      parts = { { name = "a.png", type = "image/png", cid = "a", data = ("x"):rep(100000) } } })
    assert.is_true(#get("/mails/" .. id .. "/html").body < 17000000)
  end)

  it("keeps a charset that we cannot read", function()
    local id = save("x", "ann@example.net", "Content-Type: text/html; charset=GBK\r\n\r\n\196\227\186\195")
    local response = get("/mails/" .. id .. "/html")
    assert.equal("text/html; charset=gbk", response.headers["content-type"])
    assert.equal("\196\227\186\195", response.body)
    id = save("x", "ann@example.net", 'Content-Type: text/plain; charset="gb2312"\r\n\r\n\196\227\186\195')
    assert.is_truthy(get("/mails/" .. id).body:find(("src=\"/mails/%s/text\""):format(id), 1, true))
    assert.equal("text/plain; charset=gb2312", get("/mails/" .. id .. "/text").headers["content-type"])
    id = save("x", "ann@example.net", 'Content-Type: text/html; charset="x\27y"\r\n\r\nhi')
    assert.equal("text/html; charset=utf-8", get("/mails/" .. id .. "/html").headers["content-type"])
  end)

  it("that is missing is not found", function()
    local id = save("x", "ann@example.net")
    assert.equal(404, get("/mails/" .. id .. "/html").status)
    assert.equal(200, get("/mails/" .. id .. "/text").status)
    assert.equal(404, get("/mails/" .. id .. "/page").status)
    assert.equal(404, get("/mails/" .. id .. "/html/1").status)
  end)
end)

describe("what can be taken away", function()
  it("is an attachment under its own name, never opened here", function()
    local data = "\0\255<script>alert(1)</script>\r\n"
    local id = save("x", "ann@example.net", "Content-Type: text/html\r\nContent-Disposition: attachment; "
      .. "filename*=UTF-8''%E6%8A%A5%22%E5%91%8A%2F..%5Ca%0D%0A.html\r\nContent-Transfer-Encoding: base64\r\n\r\n" .. core.base64(data))
    local response = get("/mails/" .. id .. "/attachments/1")
    assert.equal(data, response.body)
    assert.equal("application/octet-stream", response.headers["content-type"])
    assert.equal("attachment; filename=\"________.._a__.html\"; filename*=UTF-8''%E6%8A%A5%22%E5%91%8A_.._a__.html", response.headers["content-disposition"])
    for _, n in ipairs { "0", "2", "01", "x", "-1", "1/2" } do assert.equal(404, get("/mails/" .. id .. "/attachments/" .. n).status, n) end
    assert.equal(404, get("/mails/" .. id .. "/attachments").status)
  end)

  it("is the message byte for byte, as text", function()
    local bytes = "Subject: x\r\n\r\n<script>alert(1)</script>\255\0\r\n"
    local id = save("x", "ann@example.net", bytes)
    local response = get("/mails/" .. id .. "/raw")
    assert.equal(bytes, response.body)
    assert.equal("text/plain; charset=utf-8", response.headers["content-type"])
  end)
end)
