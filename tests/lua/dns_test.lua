-- host.dns: questions to a server on loopback that answers, refuses, is slow, and lies (std); and out of a table (memory).
local dns = require "support.dns"
local host = require "directmail.host.std"
local memory = require "directmail.host.memory"
local query = require "directmail.host.query"

local LONG = ("v=spf1 " .. ("include:one.more.example "):rep(60)):sub(1, 1200)

local MANY = {}
for i = 1, 250 do MANY[i] = ("%d mx%d.many.example"):format(i, i) end

local ZONE = {
  records = {
    ["example.com"] = {
      MX = { "20 MX2.Example.com", "10 mx1.example.com" }, A = { "192.0.2.1", "192.0.2.2" }, AAAA = { "2001:db8::1" },
      TXT = { "v=spf1 -all", { "two ", "strings" } }, NS = { "ns.example.com" },
      SOA = { "ns.example.com host.example.com 4294967295 7200 3600 1209600 300" }, ttl = 77,
    },
    ["null.example"] = { MX = { "0 ." } },
    ["www.example.com"] = { CNAME = { "web.example.com" } },
    ["web.example.com"] = { CNAME = { "example.com" } },
    ["far.example.com"] = { CNAME = { "slow.example" }, alone = true },
    ["ring1.example"] = { CNAME = { "ring2.example" } },
    ["ring2.example"] = { CNAME = { "ring1.example" } },
    ["gone.example"] = { CNAME = { "nowhere.example" } },
    ["under.score.example"] = { A = { "192.0.2.9" } },
    ["_dmarc.example.com"] = { TXT = { "v=DMARC1; p=none" } },
    ["long.example"] = { TXT = { LONG } },
    ["many.example"] = { MX = MANY },
    ["slow.example"] = { A = { "192.0.2.3" } },
    ["lost.example"] = { A = { "192.0.2.4" } },
    ["old.example"] = { A = { "192.0.2.5" } },
    ["*.wild.example"] = { A = { "192.0.2.7" } },
    ["truncated.example"] = { A = { "192.0.2.6" } },
    ["cut.example"] = { A = { "192.0.2.1" } }, ["wrongid.example"] = { A = { "192.0.2.1" } }, ["wrongname.example"] = { A = { "192.0.2.1" } },
    ["mute.example"] = { A = { "192.0.2.1" }, TXT = { LONG } },
  },
  faults = {
    ["broken.example"] = "servfail", ["mixed.example MX"] = "refused", ["odd.example"] = "notimp", ["silent.example"] = "silence",
    ["slow.example"] = "slow=0.3", ["garbage.example"] = "garbage", ["wrongname.example"] = "wrong-question", ["wrongid.example"] = "wrong-id",
    ["cut.example"] = "cut", ["liar.example"] = "long", ["loop.example"] = "loop", ["truncated.example"] = "truncated",
    ["lost.example"] = "lost=1", ["old.example"] = "no-edns", ["mute.example"] = "truncated-silence",
  },
}

local server

local function ask(name, kind, seconds)
  return host.dns(name, kind, { server = server.address, timeout = seconds or 20 })
end

local function why(name, kind, seconds)
  local records, said = ask(name, kind, seconds)
  assert.is_nil(records)
  return said
end

describe("host.dns", function()
  setup(function() server = dns.start(ZONE) end)
  teardown(function() server:stop() end)

  it("rule 6.18: knows every type, in lower case and without last dots", function()
    assert.same({ { address = "192.0.2.1", ttl = 77 }, { address = "192.0.2.2", ttl = 77 }, canonical = "example.com" }, ask("EXAMPLE.com.", "A"))
    assert.same({ { address = "2001:db8::1", ttl = 77 }, canonical = "example.com" }, ask("example.com", "AAAA"))
    assert.same({ { preference = 20, exchange = "mx2.example.com", ttl = 77 }, { preference = 10, exchange = "mx1.example.com", ttl = 77 },
      canonical = "example.com" }, ask("example.com", "MX"))
    assert.same({ { text = "v=spf1 -all", ttl = 77 }, { text = "two strings", ttl = 77 }, canonical = "example.com" }, ask("example.com", "TXT"))
    assert.same({ { name = "ns.example.com", ttl = 77 }, canonical = "example.com" }, ask("example.com", "NS"))
    assert.same({ { name = "web.example.com", ttl = 60 }, canonical = "www.example.com" }, ask("www.example.com", "CNAME"))
    assert.same({ { name = "ns.example.com", mailbox = "host.example.com", serial = 4294967295, refresh = 7200, retry = 3600, expire = 1209600,
      minimum = 300, ttl = 77 }, canonical = "example.com" }, ask("example.com", "SOA"))
    assert.equal("v=DMARC1; p=none", ask("_dmarc.example.com", "TXT")[1].text)
    assert.equal("192.0.2.7", ask("any.wild.example", "A")[1].address)
  end)

  it("tells a null MX by its empty name", function()
    assert.same({ { preference = 0, exchange = "", ttl = 60 }, canonical = "null.example" }, ask("null.example", "MX"))
  end)

  it("follows aliases, also those that the server leaves to us", function()
    assert.same({ { address = "192.0.2.1", ttl = 77 }, { address = "192.0.2.2", ttl = 77 }, canonical = "example.com" }, ask("www.example.com", "A"))
    server:questions()
    assert.equal("slow.example", ask("far.example.com", "A").canonical)
    assert.same({ "udp far.example.com A", "udp slow.example A" }, server:questions())
    assert.equal("the aliases (CNAME) of this name lead nowhere", why("ring1.example", "A"))
    assert.equal("nxdomain", why("gone.example", "A"))
    assert.equal("nodata", why("example.com", "CNAME"))
  end)

  it("tells what is a fact about the name from what is none", function()
    assert.equal("nxdomain", why("nowhere.example", "MX"))
    assert.equal("nodata", why("null.example", "A"))
    assert.equal("nodata", why("score.example", "A"))
    assert.equal("servfail", why("broken.example", "A"))
    assert.equal("refused", why("mixed.example", "MX"))
    assert.equal("nxdomain", why("mixed.example", "A"))
    assert.equal("the DNS server does not know such questions", why("odd.example", "A"))
    assert.equal("timeout", why("silent.example", "A", 0.2))
    local listener = assert(host.listen("127.0.0.1", 0))        -- nobody answers at its port by UDP
    assert.equal("connection refused", select(2, host.dns("example.com", "A", { server = "127.0.0.1:" .. listener.port })))
    listener:close()
  end)

  it("rule 6.19: asks by TCP for what does not fit", function()
    server:questions()
    assert.equal("192.0.2.6", ask("truncated.example", "A")[1].address)
    assert.same({ "udp truncated.example A", "tcp truncated.example A" }, server:questions())
    assert.equal(LONG, ask("long.example", "TXT")[1].text)              -- EDNS: 1,232 octets hold it
    local records = ask("many.example", "MX")
    assert.equal(250, #records)
    assert.equal("mx250.many.example", records[250].exchange)
    assert.equal("tcp many.example MX", server:questions()[4])
    assert.equal("timeout", why("mute.example", "A", 0.3))
  end)

  it("asks again when a packet is lost, and without EDNS where it is not understood", function()
    assert.equal("192.0.2.4", ask("lost.example", "A")[1].address)
    server:questions()
    assert.equal("192.0.2.5", ask("old.example", "A")[1].address)
    assert.same({ "udp old.example A", "udp old.example A" }, server:questions())
  end)

  it("rule 6.20: believes no answer that is none", function()
    for _, name in ipairs { "garbage.example", "wrongid.example", "wrongname.example" } do
      assert.equal("timeout", why(name, "A", 0.3))
    end
    assert.equal("the answer of the DNS server is garbled", why("cut.example", "A"))
    for _, kind in ipairs { "A", "AAAA", "MX", "TXT", "CNAME", "NS", "SOA" } do
      assert.equal("the answer of the DNS server is garbled", why("liar.example", kind))
    end
    for _, kind in ipairs { "MX", "CNAME", "NS" } do
      assert.equal("the answer of the DNS server is garbled", why("loop.example", kind))
    end
  end)

  it("has many questions under way at once", function()
    local before, tasks = host.tick(), {}
    for i = 1, 200 do
      tasks[i] = host.spawn(function() return host.dns(i % 2 == 0 and "slow.example" or "example.com", "A", { server = server.address }) end)
    end
    for i = 1, 200 do
      local ok, records = host.wait(tasks[i])
      assert.is_true(ok)
      assert.equal(i % 2 == 0 and "192.0.2.3" or "192.0.2.1", records[1].address)
    end
    if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then
      assert.is_true(host.tick() - before < 15, "one after the other they take 30 s")
    end
  end)

  it("keeps a deadline for each, and goes on after it", function()
    local early = host.spawn(function() return host.dns("slow.example", "A", { server = server.address, timeout = 0.05 }) end)
    local late = host.spawn(function() return host.dns("slow.example", "A", { server = server.address, timeout = 20 }) end)
    local _, _, said = host.wait(early)
    assert.equal("timeout", said)
    local _, records = host.wait(late)
    assert.equal("192.0.2.3", records[1].address)
    assert.equal("timeout", why("far.example.com", "A", 0.1))           -- of the whole, aliases included
  end)

  it("asks several servers side by side", function()
    local second = dns.start { records = { ["example.com"] = { A = { "198.51.100.1" } } } }
    assert.equal("198.51.100.1", host.dns("example.com", "A", { server = second.address })[1].address)
    assert.equal("192.0.2.1", ask("example.com", "A")[1].address)
    second:set { records = { ["example.com"] = { A = { "198.51.100.2" } } } }
    assert.equal("198.51.100.2", host.dns("example.com", "A", { server = second.address })[1].address)
    second:stop()
    for i = 1, 40 do            -- more than are kept
      assert.is_nil((host.dns("example.com", "A", { server = ("127.0.0.1:%d"):format(second.port), timeout = 0.2 })))
      assert.is_nil((host.dns("example.com", "A", { server = ("127.1.%d.1:%d"):format(i, second.port), timeout = 0.2 })))
    end
    assert.equal("192.0.2.1", ask("example.com", "A")[1].address)
  end)

  it("leaves a look-up that nobody waits for any more", function()
    for _ = 1, 20 do assert.equal("timeout", why("silent.example", "A", 0.001)) end
    collectgarbage()
    assert.equal("192.0.2.1", ask("example.com", "A")[1].address)
  end)

  it("asks for no name that cannot be, and of no server that is none", function()
    for _, name in ipairs { "", ".", "a..b", ".a", "a b.example", "a\\046b.example", ("a"):rep(64) .. ".example", ("a."):rep(127) .. "aa", "\195\164.example" } do
      assert.equal("this is no name that can be asked for", why(name, "A"))
    end
    assert.equal('the DNS server "dns.example" is no IP:PORT', select(2, host.dns("example.com", "A", { server = "dns.example" })))
    assert.has_error(function() host.dns("example.com", "ANY") end, "bad argument #2 to 'dns' (type of record expected)")
    assert.has_error(function() host.dns("example.com", "A", { sever = "x" }) end, 'unknown field "sever" in host.dns (did you mean "server"?)')
    assert.has_error(function() host.dns("example.com", "A", { timeout = 0 }) end, "timeout: seconds above 0 expected")
  end)

  it("reads a server's address in each of its forms", function()
    local function address(text) return { query.server(text) } end
    assert.same({ "192.0.2.1", 53 }, address "192.0.2.1")
    assert.same({ "192.0.2.1", 5353 }, address "192.0.2.1:5353")
    assert.same({ "2001:db8::1", 53 }, address "2001:db8::1")
    assert.same({ "2001:db8::1", 5353 }, address "[2001:db8::1]:5353")
    assert.same({ "::1", 53 }, address "[::1]")
    assert.same({ "127.0.0.1", 5353 }, address "localhost:5353")
    assert.same({ "127.0.0.1", 53 }, address "localhost")
    for _, text in ipairs { "", "localhosts:53", "localhost.example", "dns.example",
      "dns.example:53", "192.0.2", "192.0.2.256", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1.5" } do
      assert.same({ nil, "is no IP:PORT" }, address(text))
    end
  end)
end)

describe("the memory host's dns", function()
  it("answers out of its table, in no time", function()
    local double = memory.new()
    double.zone = {
      ["example.com"] = { MX = { { preference = 10, exchange = "mx.example.com" } }, A = "servfail" },
      ["www.example.com"] = { CNAME = { { name = "example.com" } } },
      ["silent.example"] = "timeout",
    }
    assert.same({ { preference = 10, exchange = "mx.example.com", ttl = 300 }, canonical = "example.com" }, double.dns("www.example.com", "MX"))
    assert.same({ nil, "servfail" }, { double.dns("example.com", "A") })
    assert.same({ nil, "nodata" }, { double.dns("example.com", "TXT") })
    assert.same({ nil, "nxdomain" }, { double.dns("none.example", "TXT") })
    local before = double.tick()
    assert.same({ nil, "timeout" }, { double.dns("silent.example", "A", { timeout = 5 }) })
    assert.equal(5, double.tick() - before)
    assert.same({ "www.example.com MX", "example.com MX", "example.com A", "example.com TXT", "none.example TXT", "silent.example A" }, double.asked)
  end)
end)
