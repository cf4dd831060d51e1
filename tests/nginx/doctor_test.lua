-- directmail.doctor inside nginx: the same checks over cosockets, lua-resty-dns and light threads.
local dns = require "support.dns"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"

local box, server, rig

setup(function()
  box = assert(sandbox.start())
  server = dns.start { records = {
    ["mail.example.com"] = { TXT = { "v=spf1 include:spfdm-ap-southeast-1.aliyun.com -all" }, MX = { "10 mx.example.com" } },
    localhost = { A = { "127.0.0.1" } },
    ["spfdm-ap-southeast-1.aliyun.com"] = { TXT = { "v=spf1 ip4:192.0.2.0/24 -all" } },
  } }
  local env = peers.settings(box)
  env.HOME, env.DIRECTMAIL_DNS, env.ALIBABA_CLOUD_ECS_METADATA_DISABLED = "/nowhere", server.address, "true"
  rig = nginx.start {
    http = [[
      lua_socket_log_errors off; resolver @RESOLVER@ ipv6=off;
      lua_ssl_trusted_certificate ca.pem;
      init_by_lua_block { assert(require "directmail".new()) }
      server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }
    ]],
    names = { localhost = "127.0.0.1" }, env = env, files = { ["ca.pem"] = peers.read(box.ca) },
  }
end)

teardown(function()
  rig:stop()
  server:stop()
  box:stop()
end)

before_each(function() box:set_faults {} end)

local function statuses()
  local list = rig:run [[
    local report = assert(directmail.doctor.run(assert(directmail.new())))
    local list = {}
    for i, check in ipairs(report.checks) do list[i] = { check.id, check.status, check.cause } end
    return list
  ]]
  local found = {}
  for _, row in ipairs(list) do found[row[1]] = row[2] .. " " .. row[3] end
  return found
end

describe("the doctor in nginx", function()
  it("passes what is right, and blames what is wrong alone", function()
    local found = statuses()
    local wrong = {}
    for id, told in pairs(found) do
      if told:find "^fail" then wrong[#wrong + 1] = id end
    end
    table.sort(wrong)
    -- the name server lacks these records
    assert.same({ "dns.dkim", "dns.dmarc", "dns.mx", "dns.owner" }, wrong)
    for _, id in ipairs { "api.call", "api.rights", "tls.smtp", "smtp.login", "smtp.envelope", "sender.region", "dns.spf", "clock" } do
      assert.matches("^pass", found[id], id)
    end
    assert.same({}, box:mails())
  end)

  it("sees what fails on the way", function()
    box:set_faults { "auth:526" }
    local found = statuses()
    assert.matches("^fail .-526", found["smtp.login"])
    assert.matches("^skip", found["smtp.envelope"])
    box:set_faults { "starttls:tls=wrong-name" }
    assert.matches("^fail", statuses()["tls.smtp"])
  end)
end)
