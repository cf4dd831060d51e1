-- What a service that hands out keys may be, and what may come from it.
local ask = require "directmail.credentials.ask"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"
local support = require "support.credentials"

describe("an address", function()
  it("in clear text is this machine's or its link's", function()
    for _, url in ipairs { "http://127.0.0.1/", "http://127.9.8.7:8080/a?b=c", "http://localhost:1/x", "http://[::1]:9/", "http://169.254.169.254/latest",
      "http://[fe80::1]/", "http://100.100.100.200", "HTTP://127.0.0.1/" } do
      assert.is_true(assert(ask.address(url)).near, url)
    end
    for _, url in ipairs { "http://192.0.2.1/", "http://example.com/", "http://127.0.0.1.example.com/", "http://127.1/", "http://2130706433/", "http://0x7f000001/",
      "http://127.0.0.1000/", "http://127.0.0.256/", "http://127.example/", "http://169.253.1.1/", "http://localhost.example/", "http://[fe80.example]/", "http://[::2]/",
      "http://[fec0::1]/", "http://100.100.100.200:81/", "http://100.100.100.2000/", "http://[::ffff:192.0.2.1]/", "http://10.0.0.1/" } do
      local at, why = ask.address(url)
      assert.is_nil(at, url)
      assert.is_string(why)
    end
    assert.is_false(assert(ask.address "https://example.com/x").near)
  end)

  it("names a host and nothing else", function()
    for _, url in ipairs { "http://127.0.0.1@example.com/", "https://user:s3cret@example.com/", "ftp://127.0.0.1/", "127.0.0.1", "http:///x", "http://127.0.0.1:/", "",
      "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/#x", "http://127.0.0.1\\@x/", "https://a b/",
      "http://127.0.0.1/\200", "http://%31/" } do
      local at, why = ask.address(url)
      assert.is_nil(at, url)
      support.clean(why)
    end
  end)

  it("is shown without its path, which may hold a secret", function()
    assert.equal("https://example.com:8443", ask.address "https://example.com:8443/s3cret?token=s3cret".shown)
    local _, why = ask.address "http://example.com/s3cret"
    support.clean(why)
    support.holds(why, "http://example.com: a key would come in clear text")
  end)
end)

describe("a request", function()
  local service
  after_each(function() if service then service.close() end end)

  local function get(answer, more)
    if service then service.close() end
    service = support.serve(answer)
    local request = { url = service.url .. "/s3cret", method = "GET", headers = {} }
    for name, value in pairs(more or {}) do request[name] = value end
    return ask.send({ values = { proxy = "http://127.0.0.1:1" }, host = support.host {} }, request)
  end

  it("goes past the proxy to what is near", function()
    assert.equal(200, assert(get(function() return { status = 200, body = "x" } end)).status)
  end)

  it("takes 64 KB and not an octet more", function()
    assert.equal(limits.credentials_octets, #assert(get(function() return { status = 200, body = ("x"):rep(limits.credentials_octets) } end)).body)
    local response, why, passing = get(function() return { status = 200, body = ("x"):rep(limits.credentials_octets + 1) } end)
    assert.is_nil(response)
    support.holds(why, "larger than 65536 octets")
    assert.is_false(passing)
    response, why = get(function() return { status = 200, headers = { ["X-Long"] = ("x"):rep(70000) }, body = "" } end)
    assert.is_nil(response)
    support.holds(why, "the head of the answer")
  end)

  it("ends in time", function()
    local before = limits.credentials_seconds
    limits.credentials_seconds = 0.2
    local response, why, passing = get(function()
      support.host({}).sleep(3)
      return { status = 200, body = "" }
    end)
    limits.credentials_seconds = before
    assert.is_nil(response)
    support.holds(why, "no whole answer")
    assert.is_true(passing)
    support.clean(why)
  end)

  it("is made once more when the connection was lost, and no third time", function()
    assert.equal(200, assert(get(function(_, n) return n == 2 and { status = 200, body = "x" } or false end)).status)
    assert.equal(2, #service.asked)
    local response, why, passing, unconnected = get(function() return false end)
    assert.same({ nil, true, false, 2 }, { response, passing, unconnected, #service.asked })
    support.holds(why, "the connection was lost")
    response, why = get(function() return { raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" } end)
    assert.is_nil(response)
    support.holds(why, "lost within the answer")
  end)

  it("says that nobody listens", function()
    local closed = support.serve(function() end)
    closed.close()
    local response, why, passing, unconnected = ask.send({ values = {}, host = support.host {} }, { url = closed.url, method = "GET", headers = {} })
    assert.same({ nil, true, true }, { response, passing, unconnected })
    support.holds(why, closed.url .. ": ")
  end)
end)

describe("a date", function()
  it("has the forms that the services write", function()
    assert.equal(1795437296, key.seconds "2026-11-23T12:34:56Z")
    assert.equal(1795437296, key.seconds "2026-11-23T12:34:56.789Z")
    assert.equal(1795437296, key.seconds(1795437296))
    for _, value in ipairs { "", "2026-11-23", "2026-11-23T12:34:56", "2026-11-23T12:34:56+08:00", "2026-13-23T12:34:56Z", "2026-02-30T12:34:56Z", "2026-11-23T25:34:56Z",
      "2026-11-23T12:34:56xZ", "1795437296", 0, -1, 1 / 0, 0 / 0, {}, true } do
      assert.is_nil(key.seconds(value), tostring(value))
    end
    assert.is_nil(key.seconds(nil))
  end)
end)

describe("the name of a configuration", function()
  it("tells two apart, however their parts are cut", function()
    local seen = {}
    for _, parts in ipairs { { "ab", "c" }, { "a", "bc" }, { "abc" }, { "abc", "" }, { "", "abc" }, { nil, "abc" }, { "-", "abc" } } do
      local id = key.id(parts[1], parts[2])
      assert.is_nil(seen[id])
      assert.equal(64, #id)
      seen[id] = true
    end
    assert.equal(key.id("a", nil, "b"), key.id("a", nil, "b"))
  end)
end)
