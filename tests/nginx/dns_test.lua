-- host.dns from inside nginx, by lua-resty-dns, against a server that also refuses and lies.
local dns = require "support.dns"
local nginx = require "support.nginx"

local rig, server

setup(function()
  server = dns.start {
    records = {
      ["example.com"] = { MX = { "10 MX1.example.com" }, A = { "192.0.2.1" }, AAAA = { "2001:db8::1" }, TXT = { "v=spf1 -all", { "two ", "strings" } },
        NS = { "ns.example.com" }, SOA = { "ns.example.com host.example.com 1 2 3 4 5" } },
      ["www.example.com"] = { CNAME = { "example.com" } },
      ["null.example"] = { MX = { "0 ." } },
      ["long.example"] = { TXT = { ("x"):rep(1200) } },
      ["cut.example"] = { A = { "192.0.2.1" } },
    },
    faults = { ["broken.example"] = "servfail", ["no.example"] = "refused", ["silent.example"] = "silence", ["cut.example"] = "cut", ["liar.example"] = "long" },
  }
  rig = nginx.start {
    http = [[
      lua_socket_log_errors off;
      init_by_lua_block { require "directmail" }
      server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }
    ]],
    env = { DIRECTMAIL_DNS = server.address },
  }
end)

teardown(function()
  rig:stop()
  server:stop()
end)

local function ask(name, kind, timeout)
  return rig:run([[
    local records, why = require "directmail.host".dns(given.name, given.kind, { timeout = given.timeout })
    if not records then return nil, why end
    local canonical = records.canonical
    records.canonical = nil
    return records, canonical
  ]], { name = name, kind = kind, timeout = timeout })
end

local function why(...) return (select(2, ask(...))) end

describe("host.dns in nginx", function()
  it("knows every type, and follows aliases", function()
    assert.same({ { address = "192.0.2.1", ttl = 60 } }, (ask("Example.com.", "A")))
    assert.same({ { address = "2001:db8::1", ttl = 60 } }, (ask("example.com", "AAAA")))
    assert.same({ { text = "v=spf1 -all", ttl = 60 }, { text = "two strings", ttl = 60 } }, (ask("example.com", "TXT")))
    assert.same({ { name = "ns.example.com", ttl = 60 } }, (ask("example.com", "NS")))
    assert.same({ { name = "ns.example.com", mailbox = "host.example.com", serial = 1, refresh = 2, retry = 3, expire = 4, minimum = 5, ttl = 60 } },
      (ask("example.com", "SOA")))
    assert.same({ { name = "example.com", ttl = 60 } }, (ask("www.example.com", "CNAME")))
    local records, canonical = ask("www.example.com", "MX")
    assert.same({ { preference = 10, exchange = "mx1.example.com", ttl = 60 } }, records)
    assert.equal("example.com", canonical)
    assert.same({ { preference = 0, exchange = "", ttl = 60 } }, (ask("null.example", "MX")))
  end)

  it("asks by TCP for what does not fit", function()
    assert.equal(1200, #ask("long.example", "TXT")[1].text)
  end)

  it("tells what is a fact about the name from what is none", function()
    assert.equal("nxdomain", why("nowhere.example", "MX"))
    assert.equal("nodata", why("null.example", "A"))
    assert.equal("servfail", why("broken.example", "A"))
    assert.equal("refused", why("no.example", "A"))
    assert.equal("timeout", why("silent.example", "A", 0.2))
    assert.is_string(why("cut.example", "A", 0.5))
    assert.is_string(why("liar.example", "MX", 0.5))
  end)
end)
