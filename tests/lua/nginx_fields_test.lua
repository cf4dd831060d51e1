-- directmail.nginx's parts that need no nginx: fields, multipart bodies, limits, metrics, answers, pages, MX.
local answer = require "directmail.nginx.answer"
local fields = require "directmail.nginx.fields"
local json = require "cjson"
local limit = require "directmail.nginx.limit"
local mask = require "directmail.mask"
local memory = require "directmail.host.memory"
local metrics = require "directmail.nginx.metrics"
local multipart = require "directmail.nginx.multipart"
local mx = require "directmail.nginx.mx"
local page = require "directmail.nginx.page"

-- What ngx.shared gives, as far as these use it.
local function dict()
  local d, held = {}, {}
  function d:get(key) return held[key] end
  function d:set(key, value) held[key] = value end
  function d:add(key, value)
    if held[key] ~= nil then return false, "exists" end
    held[key] = value
    return true
  end
  function d:incr(key, by, first)
    if held[key] == nil and first == nil then return nil, "not found" end
    held[key] = (held[key] or first) + by
    return held[key]
  end
  d.held = held
  return d
end

describe("declared fields", function()
  local function check(rule, value, options)
    local values, faults = fields.check(fields.declare({ x = rule }, 1), { { "x", value } }, options or {})
    return values.x, faults[1] and faults[1].why
  end

  it("take characters, not octets, up to their limit", function()
    assert.equal(("发"):rep(5), (check({ max = 5 }, ("发"):rep(5))))
    assert.equal("long", select(2, check({ max = 5 }, ("发"):rep(6))))
    assert.equal("short", select(2, check({ min = 2 }, "发")))
    assert.equal("long", select(2, check({}, ("x"):rep(4001))))
    assert.equal(("x"):rep(4000), (check({}, ("x"):rep(4000))))
  end)

  it("refuse every control character in a line, and all but line ends and tabs in lines", function()
    for c = 0, 31 do
      local value = "a" .. string.char(c) .. "b"
      assert.equal("control", select(2, check({}, value)), c)
      local kept = c == 9 or c == 10 or c == 13
      local _, why = check({ type = "lines" }, value)
      if kept then assert.is_nil(why) else assert.equal("control", why, c) end
    end
    assert.equal("control", select(2, check({}, "a\127b")))
    assert.equal("control", select(2, check({}, "a\194\133b")))
    assert.equal("a\nb\nc\n", (check({ type = "lines" }, "a\r\nb\rc\n")))
    assert.equal("utf8", select(2, check({}, "a\255b")))
  end)

  it("know one address and nothing beside it", function()
    assert.equal("Ann@example.com", (check({ type = "email" }, "Ann@Example.COM")))
    for _, bad in ipairs { "ann", "Ann <a@example.com>", "a@example.com (Ann)", "a@example.com b@example.com", "a@example.com;", " a@example.com", "\"a\"@example.com",
      "a@[192.0.2.1]", "a@localhost", "a@example.com\n", "<a@example.com>", ("a"):rep(250) .. "@example.com" } do
      assert.is_truthy(({ email = true, control = true })[select(2, check({ type = "email" }, bad))], bad)
    end
  end)

  it("know numbers, flags and values", function()
    assert.same({ 42, -1.5 }, { check({ type = "number" }, "42"), (check({ type = "number" }, "-1.5")) })
    for _, bad in ipairs { "", "0x1", "1e3", "nan", "inf", "1,5", "--1", ("1"):rep(33) } do assert.is_nil((check({ type = "number" }, bad)), bad) end
    assert.equal("whole", select(2, check({ type = "number", whole = true }, "1.5")))
    assert.same({ true, false }, { check({ type = "flag" }, "on"), (check({ type = "flag" }, "0")) })
    assert.equal("required", select(2, check({ type = "flag", required = true }, "off")))
    assert.equal("values", select(2, check({ values = { "a", "b" } }, "c")))
    assert.equal("a", (check({ values = { "a", "b" } }, "a")))
  end)

  it("find links, and let others pass", function()
    for _, bad in ipairs { "http://x", "see HTTPS://X", "www.x.example", "go to x.example/y", "Win at spam.com now", "x.com", "t.co", "Spam.Example?x=1",
      "mailto:a@b", "a@spam.example", "192.0.2.1", "xn--e1afmkfd.xn--p1ai" } do assert.equal("links", select(2, check({ links = false }, bad)), bad) end
    for _, good in ipairs { "Ann", "a/b", "5.30 h", "Dr. No", "and/or", "1.5/2", "J.R.R.Tolkien", "J. R. R. Tolkien", "No. Yes", "Wait...", "v1.2.3" } do
      assert.equal(good, (check({ links = false }, good)), good)
    end
    -- where the visitor names the recipient they are refused unless the field allows them
    assert.equal("links", select(2, check({}, "http://x", { no_links = true })))
    assert.equal("http://x", (check({ links = true }, "http://x", { no_links = true })))
    assert.equal("http://x", (check({}, "http://x")))
  end)

  it("are faults by name and label, never by what came", function()
    local _, faults = fields.check(fields.declare({ a = { label = "Letter", required = true }, b = { message = "wrong", pattern = "%d+" } }, 1),
      { { "b", "<script>" }, { "c", "x" } }, { strict = true })
    assert.same({ { field = "a", label = "Letter", why = "required", message = "is missing" }, { field = "b", why = "pattern", message = "wrong" },
      { field = "c", why = "unknown", message = "is not expected here; did you mean a?" } }, faults)
  end)

  it("speak another language", function()
    local _, faults = fields.check(fields.declare({ a = { max = 2 } }, 1), { { "a", "xyz" } }, { words = { long = "höchstens %s Zeichen" } })
    assert.equal("höchstens 2 Zeichen", faults[1].message)
  end)

  it("take a file by its ending, under a name without path and tricks", function()
    local function file(name, data) return check({ type = "file", types = { "pdf" }, max = 10 }, { filename = name, data = data or "x" }) end
    assert.equal("a.PDF", (file("../../etc/a.PDF")).name)
    assert.equal("a b.pdf", (file("C:\\x\\a b.pdf")).name)
    assert.is_nil((file("a\"\r\nX: y.pdf")).name:find('["\r\n]'))
    for _, bad in ipairs { "a.exe", "a.pdf.exe", "pdf", ".pdf", "..", "/", "a.pdf/", "\255.pdf" } do assert.equal("file_type", select(2, file(bad)), bad) end
    assert.equal("file_long", select(2, file("a.pdf", ("x"):rep(11))))
    assert.equal("file", select(2, check({ type = "file", types = { "pdf" } }, "text")))
    assert.equal("text", select(2, check({}, { filename = "a.pdf", data = "x" })))
  end)

  it("that are declared wrongly raise", function()
    for rule, why in pairs { [{ typ = "x" }] = "did you mean", [{ type = "x" }] = "none of", [{ max = -1 }] = "max", [{ pattern = "(" }] = "pattern", [{ values = {} }] = "values",
      [{ reply_to = true }] = "reply_to", [{ type = "file" }] = "types", [{ types = { "a" } }] = "files only", [{ label = 5 }] = "label" } do
      local ok, e = pcall(fields.declare, { a = rule }, 1)
      assert.is_false(ok)
      assert.matches(why, e)
    end
    assert.is_false((pcall(fields.declare, {}, 1)))
    assert.is_false((pcall(fields.declare, { ["a b"] = {} }, 1)))
    assert.is_false((pcall(fields.declare, { a = { type = "email", reply_to = true }, b = { type = "email", reply_to = true } }, 1)))
  end)
end)

describe("a multipart body", function()
  local BODY = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n--b\r\nContent-Type: text/plain\r\n'
    .. 'Content-Disposition: form-data; name="f"; filename="x %22y%0D%0A.txt"\r\n\r\n'
    .. "\0--b\r\n-\r\n--b--\r\n"

  it("is read to the octet", function()
    assert.same({ { "a", "one" }, { "f", "\0--b\r\n-", 'x "y\r\n.txt', "text/plain" } }, multipart.read(BODY, "b"))
    assert.same({ { "a", "" } }, multipart.read('--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--b--', "b"))
  end)

  it("is refused in every shorter form", function()
    local whole = #BODY - 2             -- the last line end may be missing
    for n = 0, whole - 1 do
      local parts, why = multipart.read(BODY:sub(1, n), "b")
      assert.is_nil(parts, n)
      assert.matches("^the form ", why)
    end
    assert.is_table(multipart.read(BODY:sub(1, whole), "b"))
  end)

  it("has at most 64 parts, heads of 2 KB, and names", function()
    local part = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    assert.is_table(multipart.read(part:rep(64) .. "--b--", "b"))
    assert.is_nil((multipart.read(part:rep(65) .. "--b--", "b")))
    assert.is_nil((multipart.read("--b\r\nX: " .. ("x"):rep(3000) .. "\r\n\r\nx\r\n--b--", "b")))
    for _, head in ipairs { "", "Content-Disposition: form-data", 'Content-Disposition: attachment; name="a"', "rubbish", 'Content-Disposition: form-data; name=a' } do
      assert.is_nil((multipart.read("--b\r\n" .. head .. "\r\n\r\nx\r\n--b--", "b")), head)
    end
  end)

  it("names its boundary in the type", function()
    assert.equal("xY-1", multipart.boundary "multipart/form-data; boundary=xY-1")
    assert.equal("a b", multipart.boundary 'Multipart/Form-Data; charset=x; Boundary="a b"')
    for _, bad in ipairs { "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""', "multipart/mixed; boundary=x", "text/plain",
      "multipart/form-data; boundary=" .. ("x"):rep(71), 'multipart/form-data; boundary="a\1"' } do
      assert.is_nil(multipart.boundary(bad), bad)
    end
  end)
end)

describe("a limit", function()
  it("lets so many through in any window of that length", function()
    local d, times = dict(), {}
    local now = 1000000
    for _ = 1, 4000 do
      now = now + 1.37
      if limit.take(d, "k", { 5, 60 }, now) then times[#times + 1] = now end
    end
    for i = 6, #times do assert.is_true(times[i] - times[i - 5] >= 30, times[i] - times[i - 5]) end
    -- in the long run it gives what was promised, and not much less
    local rate = #times / (4000 * 1.37) * 60
    assert.is_true(rate > 3.5 and rate <= 5.2, rate)
  end)

  it("says when it may be again, and then it may", function()
    for start = 0, 59, 7 do
      local d, now = dict(), 6000000 + start
      for _ = 1, 3 do assert.is_true((limit.take(d, "k", { 3, 60 }, now))) end
      local ok, after = limit.take(d, "k", { 3, 60 }, now)
      assert.is_false(ok)
      assert.is_true(after >= 1 and after <= 121, after)
      assert.is_true((limit.take(d, "k", { 3, 60 }, now + after + 0.01)), start)
    end
  end)

  it("is one for each key, and keys do not show who it was", function()
    local d = dict()
    assert.is_true((limit.take(d, "ann@example.com", { 1, 60 }, 6000)))
    assert.is_false((limit.take(d, "ann@example.com", { 1, 60 }, 6000)))
    assert.is_true((limit.take(d, "bob@example.com", { 1, 60 }, 6000)))
    for key in pairs(d.held) do assert.is_nil(key:find("ann", 1, true)) end
  end)

  it("holds when the dict is full: nothing passes", function()
    local full = dict()
    function full:incr() return nil, "no memory" end
    assert.same({ false, 60 }, { limit.take(full, "k", { 5, 60 }, 1) })
  end)
end)

describe("metrics", function()
  it("are text that Prometheus reads, labels escaped, histograms adding up", function()
    local d = dict()
    for _ = 1, 3 do metrics.count(d, "directmail_mails_total", { "handler", 'a"b\\c\nd', "outcome", "sent" }) end
    metrics.set(d, "directmail_background_waiting", { "worker", 0 }, 7)
    for _, seconds in ipairs { 0.01, 0.05, 0.3, 100 } do metrics.observe(d, "directmail_send_seconds", { "handler", "x" }, seconds) end
    local text = metrics.text(d)
    assert.is_truthy(text:find('\ndirectmail_mails_total{handler="a\\"b\\\\c d",outcome="sent"} 3\n', 1, true))
    assert.is_truthy(text:find('\ndirectmail_background_waiting{worker="0"} 7\n', 1, true))
    for line, n in pairs { ['_bucket{handler="x",le="0.025"}'] = 1, ['_bucket{handler="x",le="0.05"}'] = 2, ['_bucket{handler="x",le="0.5"}'] = 3,
      ['_bucket{handler="x",le="60"}'] = 3, ['_bucket{handler="x",le="+Inf"}'] = 4, ['_count{handler="x"}'] = 4 } do
      assert.is_truthy(text:find("\ndirectmail_send_seconds" .. line .. " " .. n .. "\n", 1, true), line .. text)
    end
    assert.is_truthy(text:find '\ndirectmail_send_seconds_sum{handler="x"} 100.36')
    local _, types = text:gsub("# TYPE", "")
    assert.equal(3, types)
  end)
end)

describe("an answer", function()
  it("is JSON or a page by what the client accepts", function()
    for accept, want in pairs { ["application/json"] = true, ["text/html"] = false, ["text/html,application/json"] = false, ["application/json, text/html"] = true,
      ["text/html,application/xhtml+xml,*/*;q=0.8"] = false } do
      assert.equal(want, answer.wants_json(accept, not want), accept)
    end
    for _, default in ipairs { true, false } do
      assert.equal(default, answer.wants_json("*/*", default))
      assert.equal(default, answer.wants_json(nil, default))
    end
  end)

  it("escapes everything on a page", function()
    local evil = "<script>alert(1)</script>\"'&"
    local faults = { { field = evil, label = evil, message = evil } }
    local status, body = answer.build({ code = "INVALID", faults = faults }, { words = { invalid = evil, invalid_title = evil }, lang = evil }, false)
    assert.equal(422, status)
    assert.is_nil(body:find("<script", 1, true))
    assert.is_truthy(body:find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;", 1, true))
    assert.equal("a&amp;&lt;b c", page.escape "a&<b\0c")
  end)

  it("says the outcome and id of what was accepted, and code and message of what was not", function()
    local status, body = answer.build({ code = "SENT", outcome = "sent", id = "5" }, {}, true)
    assert.same({ 200, { ok = true, outcome = "sent", id = "5" } }, { status, json.decode(body) })
    status, body = answer.build({ code = "LIMITED", after = 5 }, {}, true)
    local told = json.decode(body)
    assert.same({ 429, false, "LIMITED" }, { status, told.ok, told.code })
    assert.is_string(told.message)
  end)
end)

describe("the domain of an address", function()
  local function takes(zone, address, d)
    local host, n = memory.new(), 0
    function host.dns(name, kind)
      n = n + 1
      local answers = zone[name .. " " .. kind] or zone[name]
      if type(answers) == "string" then return nil, answers end
      return answers or {}
    end
    return mx.takes_mail(host, address, { dict = d or dict() }), n
  end

  it("takes mail, takes none, or nobody knows", function()
    local MX = { { preference = 10, exchange = "mx.x.example" } }
    local NULL = { { preference = 0, exchange = "" } }
    for _, case in ipairs {
      { { ["x.example MX"] = MX }, true }, { { ["x.example MX"] = NULL }, false }, { { ["x.example"] = "nxdomain" }, false },
      { { ["x.example MX"] = "nodata", ["x.example A"] = { { address = "192.0.2.1" } } }, true }, { { ["x.example"] = "nodata" }, false },
      { { ["x.example MX"] = "nodata", ["x.example A"] = "nodata", ["x.example AAAA"] = { { address = "2001:db8::1" } } }, true },
      { { ["x.example"] = "servfail" }, nil }, { { ["x.example"] = "timeout" }, nil }, { { ["x.example MX"] = "nodata", ["x.example A"] = "timeout" }, nil },
      { { ["x.example"] = "lua-resty-dns is not installed" }, nil },
    } do
      assert.equal(case[2], (takes(case[1], "ann@X.example")), json.encode(case[1]))
    end
  end)

  it("is asked once in a while, unless nobody knew", function()
    local d = dict()
    assert.same({ false, 1 }, { takes({ ["x.example"] = "nxdomain" }, "a@x.example", d) })
    assert.same({ false, 0 }, { takes({}, "b@x.example", d) })
    assert.equal(1, select(2, takes({ ["y.example"] = "timeout" }, "a@y.example", d)))
    assert.equal(1, select(2, takes({ ["y.example"] = "timeout" }, "a@y.example", d)))
  end)
end)

describe("an address in a log", function()
  it("keeps its first letter and its domain", function()
    assert.equal("a***@example.com", mask.address "ann@example.com")
    assert.equal("发***@example.com", mask.address "发票@example.com")
    for _, odd in ipairs { "", "@", "ann", "@example.com" } do assert.is_nil(mask.address(odd):find("ann", 1, true)) end
    assert.equal("to <a***@example.com>, b***@b.example: no", mask.addresses "to <ann@example.com>, bob@b.example: no")
  end)
end)
