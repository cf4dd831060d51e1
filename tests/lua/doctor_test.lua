-- directmail.doctor: one thing is broken at a time, in the sandbox or in a DNS server on loopback; its check says so, and no other.
local core = require "directmail.core"
local directmail = require "directmail"
local dns = require "support.dns"
local doctor = require "directmail.doctor"
local err = require "directmail.err"
local host = require "directmail.host"
local memory = require "directmail.host.memory"
local stand_in = require "support.credentials"

local SENDER, DOMAIN = "noreply@mail.example.com", "mail.example.com"
local INCLUDE = "spfdm-ap-southeast-1.aliyun.com"

local box, server, wanted, state

local function options_of(more)
  local options = {
    region = "ap-southeast-1", sender = SENDER, api = box.urls.api, smtp = box.urls.smtp, smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD,
    ca = box.ca, access_key_id = box.account.access_key_id, access_key_secret = box.account.access_key_secret, dns = server.address,
    metadata = "http://127.0.0.1:9",
  }
  for name, value in pairs(more or {}) do options[name] = value or nil end
  return options
end

-- A host that differs from the real one in what is given.
local function host_with(changes)
  changes.env = changes.env or function(name) return name == "ALIBABA_CLOUD_ECS_METADATA_DISABLED" and "true" or nil end
  return setmetatable(changes, { __index = host })
end

local function mail_of(more, changes)
  local mail = assert(directmail.new(options_of(more)))
  mail.host = host_with(changes or {})
  return mail
end

-- The records that the sandbox's console wants, as DNS has them.
local function healthy()
  return {
    [DOMAIN] = { TXT = { wanted.SpfRecordV2, "google-site-verification=abc" }, MX = { "10 " .. wanted.MxRecord } },
    [wanted.DkimRR] = { TXT = { wanted.DkimPublicKey } },
    ["_dmarc." .. DOMAIN] = { TXT = { wanted.DmarcRecord } },
    ["aliyundm." .. DOMAIN] = { TXT = { wanted.DomainType } },
    ["dmtrace." .. DOMAIN] = { CNAME = { wanted.TracefRecord }, alone = true },
    [INCLUDE] = { TXT = { "v=spf1 ip4:192.0.2.0/24 -all" } },
    ["aliyun.com"] = { NS = { "ns3.aliyun.com" } },
  }
end

setup(function()
  box = assert(directmail.sandbox.start())
  server = dns.start { records = {} }
  local mail = assert(directmail.new(options_of()))
  local list = assert(mail.api.QueryDomainByParam {})
  wanted = assert(mail.api.DescDomain { DomainId = list.data.domain[1].DomainId })
  state = box.account.state
end)
teardown(function()
  server:stop()
  box:stop()
end)
before_each(function()
  assert(box:set_faults {})
  server:set { records = healthy() }
end)

local function by_id(report)
  local found = {}
  for _, check in ipairs(report.checks) do found[check.id] = check end
  return found
end

local SETTLED = { pass = true, skip = true }

-- Fail unless exactly the expected checks say what is expected: id = "status rule words", the last two optional.
local function expect(report, expected)
  local found = by_id(report)
  for id, want in pairs(expected) do
    local status, rest = want:match "^(%l+) ?(.*)$"
    local check = assert(found[id], id .. " was not told")
    assert.equal(status, check.status, id .. ": " .. check.cause)
    for word in rest:gmatch "[^|]+" do
      local all = check.cause .. " " .. check.remedy
      assert.is_truthy(all:find(word, 1, true), ("%s lacks %q: %s"):format(id, word, all))
    end
    if status == "fail" or status == "warn" then assert.is_truthy(check.remedy ~= "", id .. " has no remedy") end
  end
  for _, check in ipairs(report.checks) do
    if not expected[check.id] then
      assert.is_true(SETTLED[check.status], ("%s is blamed: %s (%s)"):format(check.id, check.cause, check.status))
    end
    assert.is_true(check.title ~= "" and check.cause ~= "", check.id)
  end
  local rank, worst = { skip = 0, pass = 1, warn = 2, fail = 3 }, "skip"
  for _, check in ipairs(report.checks) do
    if rank[check.status] > rank[worst] then worst = check.status end
  end
  assert.equal(worst, report.status)
  assert.equal(worst ~= "fail", report.ok)
  return found
end

local function run(more, options, changes)
  return assert(doctor.run(mail_of(more, changes), options))
end

-- The zone with some names in another way; false takes one out.
local function zone_with(changes, faults)
  local records = healthy()
  for name, types in pairs(changes) do records[name] = types or nil end
  server:set { records = records, faults = faults }
end

describe("a healthy account", function()
  it("passes every check that can be made here", function()
    local found = expect(run({}, { kind = "transactional", tag = "signup", template = "welcome" }), {})
    local skipped = {}
    for id, check in pairs(found) do
      if check.status == "skip" then skipped[#skipped + 1] = id end
    end
    table.sort(skipped)
    -- the sandbox's API has no TLS, and nobody asks the metadata service here
    assert.same({ "network.ecs", "tls.api" }, skipped)
    assert.equal(#doctor.CHECKS, #doctor.list())
    assert.matches("signature V3 accepted", found["api.call"].cause)
    assert.matches("TLS 1%.3, valid until", found["tls.smtp"].cause)
    assert.matches("then RSET %(250", found["smtp.envelope"].cause)
    assert.same({}, box:mails())                                -- nothing was sent
  end)

  it("shows where each setting came from, and no secret", function()
    local found = by_id(run({ smtp_user = SENDER }, { only = "config" }))
    assert.matches("region ap%-southeast%-1 %(option region%)", found.config.cause)
    assert.matches("smtp password set, 20 characters", found.config.cause)
    for _, check in ipairs(run().checks) do
      for _, secret in ipairs { box.env.DIRECTMAIL_SMTP_PASSWORD, box.account.access_key_secret } do
        assert.is_nil((check.cause .. check.remedy):find(secret, 1, true), check.id)
      end
    end
  end)

  it("is known by the table of regions where nobody can be asked", function()
    local records = require "directmail.data.records"
    for _, region in ipairs(core.regions()) do
      local row = assert(records[region.id], region.id)
      for _, field in ipairs { "spf", "mx", "dkim", "dmarc" } do assert.is_string(row[field]) end
    end
  end)

  it("is looked at without network as far as that goes", function()
    local asked = server:questions()
    local report = run({}, { offline = true })
    assert.equal("pass", report.status)
    local passed = {}
    for _, check in ipairs(report.checks) do
      if check.status == "pass" then passed[#passed + 1] = check.id
      else assert.equal("not checked: it needs the network, and offline is set", check.cause) end
    end
    assert.same({ "config", "config.hosts", "api.signature", "clock.zone", "api.key" }, passed)
    assert.same({}, server:questions(), #asked)
  end)
end)

describe("settings", function()
  it("that are missing or odd are told", function()
    expect(run({ sender = false }, { only = { "config" } }), { config = "fail config.sender|DIRECTMAIL_SENDER" })
    expect(run({ sender = "noreply at example" }, { only = { "config" } }), { config = "fail config.sender|is no address" })
    expect(run({ redirect = "me@example.net" }, { only = "config" }), { config = "warn config.redirect|in production unset redirect" })
    -- an address of the API that cannot be used is told once, and the key's rights are not blamed for it
    expect(run({ api = "http://127.0.0.1:/" }, { only = { "config", "api" } }), { config = "fail config.api" })
    expect(run({ region = false, api = false }, { only = "config", offline = true }), { config = "fail config.region|no region is set" })
    expect(run({ smtp = "smtps://smtpdm-ap-southeast-1.aliyuncs.com", smtp_user = "other@mail.example.com" }, { only = "config", offline = true }),
      { config = "fail config.account|436" })
    local mail = mail_of()
    mail.settings.unused = { security_token = "ALIBABA_CLOUD_SECURITY_TOKEN belongs to another access_key_id" }
    mail.host.env = function(name) return name == "ALICLOUD_ACCESS_KEY" and "LTAI" or nil end
    expect(assert(doctor.run(mail, { only = "config" })), { config = "warn config.unused|config.old|use ALIBABA_CLOUD_ACCESS_KEY_ID" })
  end)

  it("that cannot be read leave only what needs none", function()
    local report = assert(doctor.run({ timeout = "soon" }, {}))
    local found = expect(report, { config = "fail config.value|is no number of seconds" })
    assert.equal("pass", found["api.signature"].status)
    assert.equal("not checked: the settings cannot be used: see config", found["dns.spf"].cause)
  end)

  it("name a host of the service by its port, region and present name", function()
    local function hosts(more, want) expect(run(more, { only = "config.hosts", offline = true }), { ["config.hosts"] = want }) end
    hosts({ smtp = "smtp://smtpdm-ap-southeast-1.aliyuncs.com:587" }, "fail hosts.port|port 587 is not among Direct Mail's (25, 80, 465)")
    hosts({ smtp = "smtp://smtpdm-ap-southeast-1.aliyuncs.com:465" }, "fail hosts.port|smtps://")
    hosts({ smtp = "smtps://smtpdm-ap-southeast-1.aliyuncs.com:80" }, "fail hosts.port|STARTTLS")
    hosts({ smtp = "smtps://smtpdm.aliyun.com" }, "fail hosts.region|cn-hangzhou")
    hosts({ api = "https://dm.aliyuncs.com" }, "fail hosts.region|api is the host of cn-hangzhou")
    hosts({ smtp = "smtps://smtpdm-ap-southeast-1.aliyun.com" }, "warn hosts.legacy|use smtpdm-ap-southeast-1.aliyuncs.com")
    hosts({ region = "ap-southeast-2", api = false, smtp = false }, "warn hosts.closed|us-east-1")
    hosts({ smtp = "smtps://smtpdm-ap-southeast-1.aliyuncs.com", api = false }, "pass")
    hosts({ smtp = "smtp://mail.example.net:587" }, "pass mail.example.net:587 is not Direct Mail's|gives no support")
  end)
end)

describe("signing", function()
  it("is tried on the published examples", function()
    local sign = core.sign
    core.sign = function(request)
      local signed = sign(request)
      return { signature = (signed.signature:gsub("^.", "x")) }
    end
    local report = run({}, { only = "api.signature" })
    core.sign = sign
    expect(report, { ["api.signature"] = "fail signature.v1" })
    expect(run({}, { only = "api.signature" }), { ["api.signature"] = "pass V1 and V3" })
  end)
end)

describe("the clock", function()
  local function ahead(seconds) return { now = function() return host.now() + seconds end } end

  it("may differ by a minute, not by fifteen", function()
    expect(run({}, { only = "clock" }, ahead(30)), { clock = "pass" })
    expect(run({}, { only = "clock" }, ahead(200)), { clock = "warn clock.skew|s ahead of the service's" })
    expect(run({}, { only = "clock" }, ahead(-4000)), { clock = "fail clock.skew|s behind the service's|NTP" })
  end)

  it("that is wrong is not blamed on the key", function()
    expect(run({}, {}, ahead(5000)), { clock = "fail clock.skew" })
  end)

  it("has a zone that the machine knows, and a year that can be", function()
    local function zone(tz, seconds)
      return run({}, { only = "clock.zone" }, { env = function(name) return name == "TZ" and tz or nil end, now = seconds and function() return seconds end or nil })
    end
    expect(zone "Mars/Olympus", { ["clock.zone"] = "warn clock.zone|which this machine does not know" })
    expect(zone(nil, 86400), { ["clock.zone"] = "fail clock.past|1970-01-02" })
    expect(zone "UTC", { ["clock.zone"] = "pass TZ=UTC" })
  end)
end)

describe("the network", function()
  local function not_found()
    return { tcp = function()
      return { settimeouts = function() end, connect = function() return nil, "host not found: no such name" end, close = function() end }
    end }
  end

  it("has a name for each host", function()
    zone_with({ ["dm.here.example"] = { A = { "127.0.0.1" } } }, { ["silent.here.example"] = "silence", ["ill.here.example"] = "servfail" })
    expect(run({ api = "https://no.here.example" }, { only = "network.api" }, not_found()), { ["network.api"] = "fail network.name|there is no such name|check region and api" })
    expect(run({ smtp = "smtps://ill.here.example" }, { only = "network.smtp" }, not_found()), { ["network.smtp"] = "fail network.name|SERVFAIL|resolv.conf" })
    expect(run({ smtp = "smtps://dm.here.example" }, { only = "network.smtp" }), { ["network.smtp"] = "pass 127.0.0.1" })
    -- /etc/hosts may know what DNS does not
    local known = { tcp = function() return { settimeouts = function() end, connect = function() return 1 end, close = function() end } end }
    expect(run({ smtp = "smtps://no.here.example" }, { only = "network.smtp" }, known), { ["network.smtp"] = "pass known to this machine" })
    expect(run({ proxy = "http://127.0.0.1:9" }, { only = "network.smtp" }), { ["network.smtp"] = "pass found by the proxy" })
  end)

  it("leads to the API, or nothing is said of key and account", function()
    local found = expect(run { api = "http://127.0.0.1:9" }, { ["network.api"] = "fail network.port|connection refused" })
    for _, id in ipairs { "clock", "api.call", "api.rights", "sender.region", "quota", "parameters" } do
      assert.equal("not checked: network.api failed", found[id].cause, id)
    end
    assert.equal("pass", found["smtp.envelope"].status)
    assert.equal("pass", found["dns.spf"].status)               -- by the table of regions
  end)

  it("leads to the SMTP server's port, or nothing is said of TLS and login", function()
    local found = expect(run { smtp = "smtp://127.0.0.1:9" }, { ["network.ports"] = "fail network.port|nobody answers on port 9" })
    for _, id in ipairs { "tls.smtp", "smtp.greeting", "smtp.login", "smtp.envelope" } do assert.equal("not checked: network.ports failed", found[id].cause) end
    assert.equal("pass", found["api.call"].status)
  end)

  it("knows ECS by its metadata", function()
    local ecs = stand_in.serve(function(request)
      if request.method == "PUT" then return { status = 200, body = "pr00f" } end
      assert(request.raw_path == nil or request.raw_path:find "region%-id")
      return { status = 200, body = "cn-shenzhen" }
    end)
    local env = { env = function() return nil end }
    expect(run({ metadata = ecs.url }, { only = "ecs" }, env), { ["network.ecs"] = "pass ECS instance in cn-shenzhen|port 25 is closed" })
    ecs.close()
    expect(run({ metadata = box.urls.web }, { only = "ecs" }, env), { ["network.ecs"] = "pass is no ECS metadata" })
    expect(run({ metadata = "http://example.com" }, { only = "ecs" }, env), { ["network.ecs"] = "skip http:// goes to this machine" })
    expect(run({ metadata = false, dns = false }, { only = "ecs" }, env), { ["network.ecs"] = "skip is not asked" })
  end)
end)

-- A server of Direct Mail's in a world that lies in memory, which offers what it is told to.
local function direct(ports, options)
  local world = memory.new { env = { HOME = "/home/ann", ALIBABA_CLOUD_ECS_METADATA_DISABLED = not options.ecs and "true" or nil } }
  world.zone["smtpdm.aliyun.com"] = { A = { { address = "203.0.113.9" } } }
  world.http_handler = function(request)
    if options.ecs and request.url:find "region%-id$" then return { status = 200, headers = {}, body = "cn-hangzhou" } end
    if options.ecs and request.method == "PUT" then return { status = 200, headers = {}, body = "token" } end
    return nil, { code = "CONNECT", words = "connection refused", step = "connect", sent = false, seconds = 0 }
  end
  for _, port in ipairs(ports) do
    local listener = assert(world.listen("smtpdm.aliyun.com", port))
    world.spawn(function()
      while true do
        local sock = listener:accept()
        if not sock then return end
        world.spawn(function()
          if port == 465 then sock:sslaccept(world.identity("smtpdm.aliyun.com", "")) end
          sock:send "220 smtpdm.aliyun.com DirectMail Smtpd Server\r\n"
          while true do
            local line = sock:receiveany(4096)
            if not line then return end
            local verb = line:match "^%a+"
            local answers = { EHLO = options.ehlo or "250-smtp.aliyun-inc.com\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250-PIPELINING\r\n250 DSN\r\n",
              AUTH = "235 ok\r\n", MAIL = "250 ok\r\n", RCPT = "250 ok\r\n", RSET = "250 ok\r\n", QUIT = "221 bye\r\n" }
            if sock:send(answers[verb] or "502 no\r\n") == nil or verb == "QUIT" then return sock:close() end
          end
        end)
      end
    end)
  end
  local mail = require "directmail.mail".new({
    region = "cn-hangzhou", sender = SENDER, smtp = options.smtp, smtp_password = options.password, metadata = options.ecs and "http://127.0.0.1",
  }, world, 1)
  return assert(mail)
end

describe("Direct Mail's own host", function()
  local SMTP = { only = { "network.ports", "smtp", "tls.smtp" } }

  it("is timed on its three ports, and a closed 25 is explained", function()
    expect(assert(doctor.run(direct({ 465, 80 }, { password = "Ab12Cd34Ef" }), SMTP)), { ["network.ports"] = "pass 465|80|25 closed (normal on ECS; not needed)",
      ["smtp.envelope"] = "pass" })
    expect(assert(doctor.run(direct({ 465, 80 }, { password = "Ab12Cd34Ef", ecs = true }), SMTP)), { ["network.ports"] = "pass 25 closed, as on every ECS instance" })
  end)

  it("that is asked on a closed port is asked on an open one", function()
    expect(assert(doctor.run(direct({ 465, 80 }, { password = "Ab12Cd34Ef", smtp = "smtp://smtpdm.aliyun.com:25", ecs = true }), SMTP)),
      { ["network.ports"] = "fail network.port|and this is an ECS instance|use smtps://smtpdm.aliyun.com, which is open" })
    expect(assert(doctor.run(direct({ 80 }, { password = "Ab12Cd34Ef" }), SMTP)), { ["network.ports"] = "fail network.port|smtp://smtpdm.aliyun.com:80" })
  end)

  it("wants a password, and one that can be the console's", function()
    expect(assert(doctor.run(direct({ 465 }, {}), SMTP)), { ["smtp.login"] = "fail smtp.password|DIRECTMAIL_SMTP_PASSWORD" })
  end)

  it("is not spoken to in clear text", function()
    -- this server has no STARTTLS, as if somebody had taken it out
    local smtp = "smtp://smtpdm.aliyun.com:80"
    local found = expect(assert(doctor.run(direct({ 80 }, { password = "Ab12Cd34Ef", smtp = smtp }), SMTP)), { ["tls.smtp"] = "fail tls.clear" })
    assert.equal("not checked: tls.smtp failed", found["smtp.login"].cause)
    expect(assert(doctor.run(direct({ 80 }, { smtp = smtp }), SMTP)), { ["tls.smtp"] = "fail tls.none|takes STARTTLS out" })
  end)

  it("is seen when somebody between changes what it offers", function()
    expect(assert(doctor.run(direct({ 465 }, { password = "Ab12Cd34Ef", ehlo = "250-proxy\r\n250 AUTH PLAIN\r\n" }), SMTP)),
      { ["smtp.greeting"] = "warn smtp.offers|PIPELINING|8BITMIME" })
  end)
end)

describe("TLS", function()
  local faults = {
    ["tls=expired"] = "fail tls.expired", ["tls=wrong-name"] = "fail tls.name",
  }

  it("that fails at SMTP is blamed alone", function()
    for fault, want in pairs(faults) do
      assert(box:set_faults { "starttls:" .. fault })
      local found = expect(run(), { ["tls.smtp"] = want })
      assert.equal("not checked: tls.smtp failed", found["smtp.login"].cause)
      assert.equal("pass", found["smtp.greeting"].status)
      assert(box:set_faults { "connect:" .. fault })
      expect(run { smtp = box.urls.smtps }, { ["tls.smtp"] = want })
    end
    assert(box:set_faults { "starttls:454" })
    expect(run(), { ["tls.smtp"] = "fail tls.clear" })
    assert(box:set_faults {})
    expect(run({ ca = false }, { only = "tls.smtp" }), { ["tls.smtp"] = "fail tls.issuer|DIRECTMAIL_CA" })
    expect(run({ smtp = (box.urls.smtp:gsub("^smtp:", "smtps:")) }, { only = "tls.smtp" }), { ["tls.smtp"] = "fail tls.clear" })
    expect(run({ smtp = box.urls.smtps }, { only = "tls.smtp" }), { ["tls.smtp"] = "pass TLS 1.3" })
  end)

  it("is told of a certificate that ends soon", function()
    local words = require "directmail.doctor.tls_words"
    local look = { host = { now = function() return 1767225600 end } }         -- 2026-01-01
    local told, findings = words.seen(look, { version = "TLSv1.2", expires = "2026-01-08" }, "x.example")
    assert.same({ "TLS 1.2, valid until 2026-01-08, name matches", "warn", "tls.soon" }, { told, findings[1].status, findings[1].rule })
    told, findings = words.seen(look, { version = "TLSv1.3", expires = "2026-03-01" }, "x.example")
    assert.same({ "TLS 1.3, valid until 2026-03-01, name matches", 0 }, { told, #findings })
    assert.same({ "TLS, the certificate is for x.example", {} }, { words.seen(look, {}, "x.example") })      -- nginx does not tell more
  end)

  it("of the API is looked at", function()
    local api = box.urls.smtps:gsub("^smtps:", "https:")        -- what follows the handshake does not matter here
    expect(run({ api = api }, { only = "tls.api" }), { ["tls.api"] = "pass name matches" })
    expect(run({ api = api, ca = false }, { only = "tls.api" }), { ["tls.api"] = "fail tls.issuer|DIRECTMAIL_CA" })
    for fault, want in pairs(faults) do
      assert(box:set_faults { "connect:" .. fault })
      expect(run({ api = api }, { only = "tls.api" }), { ["tls.api"] = want })
    end
    expect(run({ api = (box.urls.smtp:gsub("^smtp:", "https:")) }, { only = "tls.api" }), { ["tls.api"] = "fail tls.clear" })
  end)
end)

describe("the AccessKey", function()
  it("is there, whole, and accepted", function()
    expect(run { access_key_secret = "wrongwrongwrongwrongwrongwrong" }, { ["api.call"] = "fail api.call|SignatureDoesNotMatch" })
    expect(run({ access_key_id = "LTAI5tunknownunknownxx" }, { only = "api" }), { ["api.call"] = "fail api.call|InvalidAccessKeyId.NotFound" })
    local half = mail_of { access_key_secret = false }
    expect(assert(doctor.run(half)), { ["api.key"] = "fail access_key_secret is missing" })
    local blank = mail_of { access_key_id = box.account.access_key_id .. " " }
    expect(assert(doctor.run(blank, { only = "api" })), { ["api.key"] = "fail holds a blank" })
  end)

  it("is not needed for SMTP", function()
    local found = expect(run({ access_key_id = false, access_key_secret = false }, {}, { read = function() return nil, "no such file or directory" end }), {})
    assert.equal("skip", found["api.key"].status)
    assert.equal("pass", found["smtp.envelope"].status)
    assert.equal("skip", found["sender.region"].status)
    assert.equal("pass", found["dns.spf"].status)
    expect(run({ access_key_id = false, access_key_secret = false, via = "api" }, { only = "api.key" }, { read = function() return nil, "no such file or directory" end }),
      { ["api.key"] = "fail no AccessKey was found" })
  end)

  it("that lacks a right is told which", function()
    for _, code in ipairs { "NoPermission", "Forbidden.RAM" } do
      assert(box:set_faults { "api:QueryTemplateByParam:" .. code })
      local found = expect(run(), { ["api.rights"] = "fail api.right|dm:QueryTemplateByParam|directmail api --policy QueryTemplateByParam" })
      assert.matches("the right dm:QueryTemplateByParam is missing: see api%.rights", found.parameters.cause)
    end
    assert(box:set_faults { "api:DescAccountSummary:NoPermission" })
    expect(run(), { ["api.rights"] = "fail dm:DescAccountSummary", ["api.call"] = "pass accepted" })
    assert(box:set_faults { "api:QueryTagByParam:InvalidParameter" })
    expect(run(), { ["api.rights"] = "fail api.lookup|QueryTagByParam" })
    assert(box:set_faults { "api:QueryTagByParam:Throttling.User" })
    expect(run(), { ["api.rights"] = "warn api.lookup|Throttling.User" })
  end)

  it("and the service's own troubles are told apart", function()
    assert(box:set_faults { "api:drop" })
    local found = expect(run(), { ["api.call"] = "fail api.call" })
    assert.equal("no answer", found["api.call"].found)
  end)
end)

describe("SMTP", function()
  it("is blamed at the step where it fails", function()
    for fault, want in pairs {
      ["banner:554"] = { ["smtp.greeting"] = "fail smtp.banner|554" }, ["banner:garbage"] = { ["smtp.greeting"] = "fail smtp.banner" },
      ["banner:drop"] = { ["smtp.greeting"] = "fail smtp.banner" }, ["ehlo:421"] = { ["smtp.greeting"] = "fail smtp.ehlo|421" },
      ["auth:526"] = { ["smtp.login"] = "fail smtp.login|526 Authentication failure" }, ["auth:drop"] = { ["smtp.login"] = "fail smtp.login" },
      ["mail:436"] = { ["smtp.envelope"] = "fail smtp.mail|the sender " .. SENDER }, ["rcpt:559"] = { ["smtp.envelope"] = "fail smtp.rcpt|the recipient " .. SENDER },
      ["mail:421"] = { ["smtp.envelope"] = "fail smtp.mail|421" },
    } do
      assert(box:set_faults { fault })
      expect(run(), want)
    end
    assert.same({}, box:mails())
  end)

  it("that takes no second connection is not blamed on TLS", function()
    local n = 0
    local found = expect(run({}, { only = "smtp" }, { tcp = function(options)
      local sock = host.tcp(options)
      n = n + 1
      if n == 1 then return sock end
      return setmetatable({ connect = function() return nil, "connection refused" end, settimeouts = function() end, close = function() end }, { __index = sock })
    end }), { ["smtp.greeting"] = "fail smtp.connect|connection refused" })
    assert.equal("not checked: smtp.greeting failed", found["tls.smtp"].cause)
  end)

  it("is told the password by its length, and a strange one by its shape", function()
    expect(run({ smtp_password = "short" }), { ["smtp.login"] = "fail it has 5 characters, and an SMTP password has 10 to 20|option smtp_password" })
    expect(run({ smtp_password = "with a blank" }, { only = "smtp.login" }), { ["smtp.login"] = "fail it holds a blank" })
    assert.equal("skip", by_id(run({ auth = "off" }, { only = "login" }))["smtp.login"].status)
    assert.equal("skip", by_id(run({ smtp_password = false }, { only = "login" }))["smtp.login"].status)
  end)

  it("rehearses with the recipient that is named", function()
    expect(run({}, { only = "envelope", to = "invalid@sandbox.example" }), { ["smtp.envelope"] = "fail smtp.rcpt|invalid@sandbox.example" })
    -- nobody is written to, so nobody has to be kept from it
    expect(run({ only = "*@example.net", redirect = "me@example.net" }, { only = "envelope", to = "ann@example.com" }), { ["smtp.envelope"] = "pass ann@example.com" })
  end)
end)

describe("all regions", function()
  local there

  setup(function()
    there = assert(directmail.sandbox.start { senders = { "ann@mail.example.com" } })
    there.account.access_key_id, there.account.access_key_secret = box.account.access_key_id, box.account.access_key_secret
    there.senders:remove(there.senders:find(SENDER))
  end)
  teardown(function() there:stop() end)
  before_each(function() assert(there:set_faults {}) end)

  local function survey(more, options, changes)
    local mail = mail_of(more, changes)
    mail.regions = { ["ap-southeast-1"] = box.urls.api, ["eu-central-1"] = there.urls.api }
    options.all_regions = true
    local report = assert(doctor.run(mail, options))
    local regions = {}
    for _, entry in ipairs(report.regions) do regions[entry.region] = entry end
    assert.equal(2, #report.regions)
    return report, regions["ap-southeast-1"], regions["eu-central-1"]
  end

  it("tell where the sender and the domain are, and a region without them does not fail", function()
    local report, here, other = survey({}, { only = { "sender", "api.rights" } })
    assert.equal("pass", report.status)
    assert.same({ "yes", "yes", "no", true }, { here.sender, here.domain, other.sender, here.set })
    assert.is_nil(other.set)
    local found = by_id(other)
    assert.equal("eu-central-1 has no noreply@mail.example.com", found["sender.region"].cause)
    assert.equal("not checked: the sender is not in this region", found["sender.status"].cause)
    assert.matches("^dm:DescAccountSummary, dm:QueryMailAddressByParam", found["api.rights"].cause)
    -- those of the region that is set are the report's own
    assert.equal(by_id(report)["sender.region"], by_id(here)["sender.region"])
    state.domains[1].name = "other.example.com"
    local _, no_domain = survey({}, { only = "sender.domain" })
    state.domains[1].name = DOMAIN
    assert.equal("no", no_domain.domain)
  end)

  it("keep the fault of the sender that is asked for in the wrong one", function()
    local report, here, other = survey({ sender = "ann@mail.example.com", smtp_password = false }, { only = "sender.region" })
    assert.same({ "fail", "fail", "pass" }, { report.status, here.status, other.status })
    assert.same({ "no", "yes" }, { here.sender, other.sender })
    assert.equal(1, #report.failed)
    assert.matches("belongs to eu%-central%-1", report.failed[1].cause)
  end)

  it("that are not used only warn; the one with the sender fails", function()
    assert(there:set_faults { "api:DescAccountSummary:InvalidAccessKeyId.NotFound" })
    local report, here, other = survey({}, { only = "api.call" })
    assert.same({ "warn", "pass", "warn" }, { report.status, here.status, other.status })
    assert.is_true(report.ok)
    assert.same({ "warn", "warn" }, { other.checks[1].status, other.checks[1].findings[1].status })
    assert.equal("unknown", other.sender)
    -- no region is set, and nobody knows where the sender is: each may be the one
    report, here, other = survey({ region = false, api = false, smtp = false }, { only = "api.call" })
    assert.same({ "fail", "pass", "fail" }, { report.status, here.status, other.status })
    assert.is_nil(here.set)
    assert.is_false(report.ok)
    assert.same({ "api.call", "eu-central-1" }, { report.failed[1].id, report.failed[1].region })
    -- the sender lives where a check fails, though another region is set
    assert(there:set_faults { "api:QueryTagByParam:InvalidTagName.Malformed" })
    report, here, other = survey({ sender = "ann@mail.example.com", smtp_password = false }, { only = { "sender.region", "api.rights" } })
    assert.same({ "yes", "fail", true }, { other.sender, other.status, here.set })
    assert.equal("eu-central-1", report.failed[#report.failed].region)
  end)

  it("are asked once for what is the same everywhere, and told as they begin and end", function()
    local events = {}
    survey({}, { only = "sender.region", progress = function(event, check) events[#events + 1] = event .. " " .. check.id end })
    local seen = {}
    for _, event in ipairs(events) do seen[event] = (seen[event] or 0) + 1 end
    assert.same({ 1, 1, 1 }, { seen["begin eu-central-1"], seen["done eu-central-1"], seen["begin api.key"] })
    assert.is_nil(seen["begin ap-southeast-1"])
  end)

  it("are reached at their own hosts, and only the one that is set gets the password", function()
    local connected, sent = {}, {}
    local function tcp()
      local sock = { settimeouts = function() end, close = function() end }
      function sock:connect(name, port)
        self.name = name
        connected[("%s:%d"):format(name, port)] = true
        return nil, "connection refused"
      end
      function sock:send(bytes) sent[#sent + 1] = bytes return #bytes end
      return sock
    end
    local mail = mail_of({ api = "https://dm.ap-southeast-1.aliyuncs.com", smtp = "smtps://smtpdm-ap-southeast-1.aliyuncs.com" }, {
      tcp = tcp, http = function() return nil, { code = "CONNECT", words = "no network", step = "connect", sent = false } end,
    })
    local report = assert(doctor.run(mail, { only = { "network" }, all_regions = true }))
    assert.equal(#core.regions(), #report.regions)
    for i, region in ipairs(core.regions()) do
      local entry = report.regions[i]
      assert.same({ region.id, region.name, region.api, region.smtp }, { entry.region, entry.name, entry.api, entry.smtp })
    end
    -- every name is unknown to the test's name server, so the sockets were asked for the names
    for _, region in ipairs(core.regions()) do
      assert.is_true(connected[region.api .. ":443"], region.api)
      if region.smtp then assert.is_true(connected[region.smtp .. ":465"], region.smtp) end
    end
    assert.matches("no SMTP server any more", by_id(report.regions[#report.regions])["network.smtp"].cause)
    assert.same({}, sent)
  end)

  it("see no login but that of the region that is set", function()
    local logins = 0
    local function tcp(options)
      local sock = host.tcp(options)
      return setmetatable({ send = function(_, bytes)
        if bytes:find "^AUTH" then logins = logins + 1 end
        return sock:send(bytes)
      end }, { __index = function(_, name)
        return function(_, ...) return sock[name](sock, ...) end
      end })
    end
    local report, _, other = survey({}, { only = { "tls.smtp", "smtp.login" } }, { tcp = tcp })
    assert.same({ "pass", 1 }, { report.status, logins })
    assert.matches("^TLS", by_id(other)["tls.smtp"].cause)
  end)

  it("share one deadline", function()
    local silent = assert(host.listen("127.0.0.1", 0))          -- takes connections and never answers
    local mail = mail_of()
    mail.regions = { ["us-east-1"] = "http://127.0.0.1:" .. silent.port, ["eu-central-1"] = "http://127.0.0.1:" .. silent.port }
    local start = host.tick()
    local report = assert(doctor.run(mail, { only = "api.call", all_regions = true, seconds = 1 }))
    assert.is_true(host.tick() - start < 15)
    for _, entry in ipairs(report.regions) do assert.equal("warn", entry.status, entry.region) end
    assert.is_true(report.ok)
    silent:close()
  end)

  it("run the user's checks that are said to differ", function()
    local asked = {}
    local own = { id = "own.place", title = "place", regional = true, run = function(look)
      asked[#asked + 1] = look.region
      return look.region .. (look.home and " too" or "")
    end }
    local _, here, other = survey({}, { only = "own", checks = { own } })
    assert.same({ "ap-southeast-1", "eu-central-1 too", 2 }, { here.checks[1].cause, other.checks[1].cause, #asked })
  end)

  it("are refused where there is nothing to look at", function()
    local none, e = doctor.run(mail_of(), { only = "dns", all_regions = true })
    assert.same({ nil, "OPTION", "all_regions" }, { none, e.code, e.detail })
    assert.matches("these do: network%.api", e.remedy)
    none, e = doctor.run(mail_of(), { offline = true, all_regions = true })
    assert.same({ nil, "OPTION" }, { none, e.code })
    assert.is_nil(assert(doctor.run(mail_of(), { only = "config", offline = true })).regions)
    assert.same({}, assert(doctor.run({ timeout = "soon" }, { all_regions = true })).regions)
  end)
end)

describe("the sender", function()
  it("lives in one region", function()
    expect(run { sender = "nobody@mail.example.com", smtp_user = SENDER, smtp_password = false },
      { ["sender.region"] = "fail sender.missing|nobody@mail.example.com", ["smtp.envelope"] = "fail smtp.mail" })
    local there = assert(directmail.sandbox.start { senders = { "ann@mail.example.com" } })
    there.account.access_key_id, there.account.access_key_secret = box.account.access_key_id, box.account.access_key_secret
    local mail = mail_of { sender = "ann@mail.example.com" }
    mail.regions = { ["ap-southeast-1"] = box.urls.api, ["eu-central-1"] = there.urls.api }
    expect(assert(doctor.run(mail, { only = { "sender", "quota" } })), { ["sender.region"] = "fail sender.elsewhere|belongs to eu-central-1|set region = eu-central-1" })
    there:stop()
  end)

  it("is usable, of the right type, and its domain verified", function()
    local sender, domain = box.senders:find(SENDER), state.domains[1]
    sender.status = "1"
    expect(run(), { ["sender.status"] = "fail AccountStatus 1" })
    sender.status = nil
    expect(run({}, { kind = "bulk" }), { ["sender.type"] = "fail is of type trigger, and bulk mail is sent" })
    expect(run({}, { only = "sender.type", kind = "transactional" }), { ["sender.type"] = "pass trigger" })
    domain.status = "1"
    expect(run({}, { only = "sender" }), { ["sender.domain"] = "fail domain.status|CheckDomain --DomainId" })
    domain.status = "3"
    expect(run({}, { only = "sender" }), { ["sender.domain"] = "warn domain.tracking|ICP" })
    domain.status, domain.name = "0", "other.example.com"
    expect(run({}, { only = "sender" }), { ["sender.domain"] = "fail domain.missing" })
    domain.name = DOMAIN
  end)

  it("has parameters as the console has them", function()
    expect(run({}, { tag = "singup" }), { parameters = 'fail parameters.tag|the console has no tag "singup" (it has "signup")' })
    expect(run({}, { tag = "Signup" }), { parameters = 'fail parameters.tag|"signup"' })
    expect(run({}, { template = "welcom" }), { parameters = 'fail parameters.template|(it has "welcome")' })
    box.account.templates["100001"].status = "1"
    expect(run({}, { template = "welcome" }), { parameters = "fail parameters.template|is not approved (TemplateStatus 1)" })
    box.account.templates["100001"].status = "2"
    expect(run({}, { template = "welcome", tag = "signup", only = "parameters" }), { parameters = "pass tag signup, template welcome, approved" })
  end)
end)

describe("the quota", function()
  it("is told when it nears its end", function()
    local mail = mail_of()
    for i = 1, 3 do assert(mail:send { to = ("u%d@example.net"):format(i), subject = "Hello", text = "Hi", via = "api" }) end
    state.daily_quota = 3
    expect(run(), { quota = "fail quota.used|take invalid addresses out of your lists" })
    local rest = 10 / 3
    state.daily_quota = math.floor(rest)
    for _ = 1, 6 do assert(mail:send { to = "u@example.net", subject = "Hello", text = "Hi", via = "api" }) end
    state.daily_quota = 10
    expect(run(), { quota = "warn quota.near|9 of today's 10" })
    state.daily_quota = nil
    expect(run({}, { only = "quota" }), { quota = "pass 9 of 2000" })
    box:clear()
  end)

  it("is nothing to an account that may not send", function()
    for status, words in pairs { [1] = "is frozen", [2] = "overdue", [4] = "restricted", [6] = "overdue|restricted" } do
      state.user_status = status
      expect(run(), { quota = "fail account.status|" .. words })
    end
    state.user_status = nil
  end)

  it("follows the share of invalid addresses", function()
    local now = host.now()
    local function refuse(n)
      for i = 1, n do table.insert(state.refused, { to = ("bad%d@example.net"):format(i), account = SENDER, subject = "Hello", time = now }) end
    end
    local mail = mail_of()
    local to = {}
    for i = 1, 96 do to[i] = ("u%d@example.net"):format(i) end
    assert(mail:send { to = to, subject = "Hello", text = "Hi", via = "smtp" })
    refuse(1)
    expect(run({}, { only = "quota" }), { ["quota.invalid"] = "pass 1 of 97" })
    refuse(2)
    expect(run({}, { only = "quota" }), { ["quota.invalid"] = "warn quota.invalid|3.0 %|directmail list purge" })
    refuse(4)
    expect(run({}, { only = "quota" }), { ["quota.invalid"] = "fail quota.invalid|6.8 %" })
    for i = #state.refused, 1, -1 do state.refused[i] = nil end
    box:clear()
  end)
end)

describe("DNS", function()
  local DNS = { only = "dns" }

  it("that nobody answers says nothing of the domain", function()
    server:set { records = {}, faults = { ["*"] = "refused" } }
    local found = expect(run({}, DNS), { ["dns.server"] = "fail dns.server|refuses to answer|DIRECTMAIL_DNS" })
    for _, id in ipairs { "dns.domain", "dns.spf", "dns.dkim", "dns.dmarc", "dns.mx", "dns.owner", "dns.track" } do
      assert.equal("not checked: dns.server failed", found[id].cause)
    end
    expect(run({ dns = "127.0.0.1:9" }, DNS), { ["dns.server"] = "fail dns.server|127.0.0.1:9 (option dns)" })
    expect(run({ dns = false }, DNS), {})
    assert.matches("no name server is named", by_id(run({ dns = false }, DNS))["dns.spf"].cause)
  end)

  it("tells a domain that is ill, gone, hidden or doubled", function()
    zone_with({}, { [DOMAIN] = "servfail" })
    expect(run({}, DNS), { ["dns.domain"] = "fail dns.servfail|DNSSEC" })
    server:set { records = { ["aliyun.com"] = { NS = { "ns3.aliyun.com" } } } }
    expect(run({}, DNS), { ["dns.domain"] = "fail dns.nxdomain|there is no domain mail.example.com" })
    zone_with { [DOMAIN] = { CNAME = { "www.example.com" } }, ["www.example.com"] = { TXT = { wanted.SpfRecordV2 }, MX = { "10 " .. wanted.MxRecord } } }
    expect(run({}, DNS), { ["dns.domain"] = "fail dns.cname-apex|www.example.com" })
    zone_with { ["*._domainkey." .. DOMAIN] = { TXT = { "wild" } } }
    expect(run({}, DNS), { ["dns.domain"] = "warn dns.wildcard|wild" })
  end)

  it("asks nobody's domain but the one that is named", function()
    local found = by_id(run({}, { only = "dns", domain = "Bücher.example" }))
    assert.matches("xn%-%-bcher%-kva%.example", found["dns.domain"].cause)
  end)

  -- Each: what stands at a name, and what the check says.
  local function each(id, name, cases)
    for _, case in ipairs(cases) do
      zone_with({ [name] = case[1] }, case[3])
      local found = expect(run({}, { only = "dns", kind = case[4] }), case[2] == "pass" and {} or { [id] = case[2] })
      if case[2]:find "^pass" then assert.equal("pass", found[id].status) end
    end
  end

  it("has the record that proves the owner", function()
    each("dns.owner", "aliyundm." .. DOMAIN, {
      { false, "fail dns.owner|publish aliyundm.mail.example.com TXT" }, { { TXT = { "something" } }, "fail dns.owner|which is not the value of this domain" },
      { { TXT = { "other", wanted.DomainType } }, "pass" },
    })
    -- without the API only the form is known
    local no_key = { access_key_id = false, access_key_secret = false }
    local hidden = { read = function() return nil, "no such file or directory" end }
    zone_with { ["aliyundm." .. DOMAIN] = { TXT = { "0123456789abcdef0123" } } }
    expect(run(no_key, { only = "owner" }, hidden), { ["dns.owner"] = "pass" })
    zone_with { ["aliyundm." .. DOMAIN] = { TXT = { "0123456789abcdef012" } } }
    expect(run(no_key, { only = "owner" }, hidden), { ["dns.owner"] = "fail not of 20 hexadecimal digits" })
  end)

  it("has one SPF record with the region's include", function()
    local function spf(...) return { TXT = { ... }, MX = { "10 " .. wanted.MxRecord } } end
    each("dns.spf", DOMAIN, {
      { spf "v=spf10 nothing", "fail spf.missing|publish mail.example.com TXT v=spf1 include:" .. INCLUDE .. " -all" },
      { spf("v=spf1 include:" .. INCLUDE .. " -all", "v=spf1 -all"), "fail spf.multiple|2 SPF records" },
      { spf "v=spf1 a:mx.example.com -all", "fail spf.include|publish mail.example.com TXT v=spf1 a:mx.example.com include:" .. INCLUDE .. " -all" },
      { spf("v=spf1 ?include:" .. INCLUDE .. " -all"), "fail spf.include" },
      { spf("v=spf1 -all include:" .. INCLUDE), "fail spf.order|TXT v=spf1 include:" .. INCLUDE .. " -all" },
      { spf("v=spf1 include:" .. INCLUDE .. " +all"), "fail spf.plusall" },
      { spf("v=spf1 include:" .. INCLUDE .. " all"), "fail spf.plusall" },
      { spf("v=spf1 include:" .. INCLUDE .. " ip4:1.2.3.400 -all"), 'fail spf.syntax|"ip4:1.2.3.400" holds no address' },
      { spf("v=spf1 include:" .. INCLUDE .. " ipv4:1.2.3.4 -all"), 'fail spf.syntax|there is no mechanism "ipv4"' },
      { spf("v=spf1 include:" .. INCLUDE .. " include:mail.example.com -all"), "fail spf.loop" },
      { spf("v=spf1 include:" .. INCLUDE .. " include:gone.example.com -all"), "fail spf.broken|gone.example.com, which has no SPF record" },
      { spf("v=spf1 include:" .. INCLUDE .. " ptr -all"), "warn spf.ptr" },
      { spf("v=spf1 include:" .. INCLUDE .. (" ip4:192.0.2.%d"):rep(30):format(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
        25, 26, 27, 28, 29, 30) .. " -all"), "warn spf.length" },
      { spf("v=spf1 include:" .. INCLUDE .. " a:no1.example.com a:no2.example.com a:no3.example.com -all"), "warn spf.void|3 look-ups find nothing" },
      { spf("V=SPF1 Include:" .. INCLUDE:upper() .. " ~ALL"), "pass" },
    })
  end)

  it("counts what SPF asks for, all the way down", function()
    local function tree(n)
      local records = { [DOMAIN] = { TXT = { "v=spf1 include:" .. INCLUDE .. " include:a.example.com -all" }, MX = { "10 " .. wanted.MxRecord } } }
      local words = {}
      for i = 1, n - 2 do
        words[i] = ("a:h%d.example.com"):format(i)
        records[("h%d.example.com"):format(i)] = { A = { "192.0.2.1" } }
      end
      records["a.example.com"] = { TXT = { "v=spf1 " .. table.concat(words, " ") .. " -all" } }
      zone_with(records)
      return run({}, { only = "spf" })
    end
    expect(tree(7), { ["dns.spf"] = "pass (7 of 10 look-ups)" })
    expect(tree(8), { ["dns.spf"] = "warn spf.lookups|8 of 10 look-ups are used" })
    expect(tree(10), { ["dns.spf"] = "warn spf.lookups" })
    expect(tree(11), { ["dns.spf"] = "fail spf.lookups|11 terms ask DNS" })
    -- by way of another record, and by redirect
    zone_with { [DOMAIN] = { TXT = { "v=spf1 redirect=_spf.example.com" }, MX = { "10 " .. wanted.MxRecord } },
      ["_spf.example.com"] = { TXT = { "v=spf1 include:" .. INCLUDE .. " -all" } } }
    expect(run({}, { only = "spf" }), { ["dns.spf"] = "pass (2 of 10 look-ups)" })
    -- what is not answered is no fact
    zone_with({ [DOMAIN] = { TXT = { "v=spf1 include:" .. INCLUDE .. " include:ill.example.com -all" }, MX = { "10 " .. wanted.MxRecord } } }, { ["ill.example.com"] = "servfail" })
    expect(run({}, { only = "spf" }), { ["dns.spf"] = "skip ill.example.com TXT: servfail" })
  end)

  it("has one DKIM key that the service signs with", function()
    local long = wanted.DkimPublicKey
    local short = "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKuuWgONXSu9DA5Y0COH+z2PLoiCGwQp4qiR6vljK5ODR/J9O5j+tdnKCF3bk2yHOwC8bYB4GQzZ9elAJjAoOekCAwEAAQ=="
    each("dns.dkim", wanted.DkimRR, {
      { false, "fail dkim.missing|publish " .. wanted.DkimRR .. " TXT v=DKIM1; k=rsa; p=MIG" }, { { TXT = { long, (long:gsub("v=DKIM1; ", "")) } }, "fail dkim.multiple" },
      { { TXT = { "v=DKIM1; k=rsa; p=" } }, "fail dkim.revoked" }, { { TXT = { '"' .. long .. '"' } }, "fail dkim.quotes|quotes" },
      { { TXT = { (long:gsub("; ", "\\; ")) } }, "fail dkim.quotes|backslash" }, { { TXT = { (long:gsub("AB", "A B", 1)) } }, "fail dkim.quotes|blanks" },
      { { TXT = { long:sub(1, -20) } }, "fail dkim.key" }, { { TXT = { (long:gsub("k=rsa", "k=dsa")) } }, "fail dkim.key|k=dsa" },
      { { TXT = { "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" } }, "fail dkim.other" },
      { { TXT = { short } }, "fail dkim.other|dkim.bits|512 bits" }, { { TXT = { long .. "; t=y" } }, "warn dkim.test" },
      { { TXT = { (long:gsub("v=DKIM1; k=rsa; ", "k=rsa;")) } }, "pass" },
    })
  end)

  it("has one DMARC policy, its own or an inherited one", function()
    local at = "_dmarc." .. DOMAIN
    each("dns.dmarc", at, {
      { false, "fail dmarc.missing|publish _dmarc.mail.example.com TXT v=DMARC1;p=none;rua=mailto:" },
      { false, "warn dmarc.missing", nil, "transactional" }, { { TXT = { "v=DMARC1;p=none", "v=DMARC1;p=reject" } }, "fail dmarc.multiple" },
      { { TXT = { "p=none; v=DMARC1" } }, "fail dmarc.missing" }, { { TXT = { "v=DMARC2; p=none" } }, "fail dmarc.tags|must stand first, exactly so" },
      { { TXT = { "v=DMARC1; p=quarantaine" } }, "fail dmarc.tags|so there is no DMARC at all" },
      { { TXT = { "v=DMARC1; p=none; adkim=x" } }, "fail dmarc.tags|adkim=x" },
      { { TXT = { "v=DMARC1; rua=mailto:a@mail.example.com" } }, "warn dmarc.p-missing" },
      { { TXT = { "v=DMARC1; p=none; rua=mailto:a@reports.example.net" } }, "warn dmarc.rua-ext|publish mail.example.com._report._dmarc.reports.example.net TXT v=DMARC1" },
      { { TXT = { "v=DMARC1; p=reject; pct=50" } }, "pass" },
    })
    zone_with { [at] = false, ["_dmarc.example.com"] = { TXT = { "v=DMARC1; p=reject; sp=none" } } }
    expect(run({}, { only = "dmarc" }), { ["dns.dmarc"] = "pass inherited from example.com|sp applies" })
    zone_with({ [at] = false }, { ["_dmarc.example.com"] = "servfail" })
    expect(run({}, { only = "dmarc" }), { ["dns.dmarc"] = "skip SERVFAIL" })
  end)

  it("rule 6.16: has the region's MX and no other", function()
    local function mx(...) return { TXT = { wanted.SpfRecordV2 }, MX = { ... } } end
    local own = wanted.MxRecord
    each("dns.mx", DOMAIN, {
      { { TXT = { wanted.SpfRecordV2 } }, "fail mx.direct|publish mail.example.com MX 10 " .. own }, { mx "10 mx.example.com", "fail mx.direct|10 mx.example.com" },
      { mx("10 " .. own, "20 mx.example.com"), "warn mx.mixed|mx.example.com" }, { mx "0 .", "fail mx.null" }, { mx("0 .", "10 " .. own), "fail mx.null" },
      { mx("10 " .. own, "20 192.0.2.1"), "fail mx.ip|192.0.2.1" }, { mx("1 " .. own), "pass" },
    })
    zone_with { [DOMAIN] = mx("10 " .. own, "20 alias.example.com"), ["alias.example.com"] = { CNAME = { "mx.example.com" }, alone = true } }
    expect(run({}, { only = "mx" }), { ["dns.mx"] = "fail mx.cname|alias.example.com" })
  end)

  it("has the tracking CNAME, if tracking is wanted", function()
    each("dns.track", "dmtrace." .. DOMAIN, {
      { false, "warn cname.track|publish dmtrace.mail.example.com CNAME " .. wanted.TracefRecord },
      { { CNAME = { "elsewhere.example.com" }, alone = true }, "warn cname.track|elsewhere.example.com" },
    })
  end)

  it("gives each record to publish as a record, too", function()
    zone_with { [DOMAIN] = { TXT = { "v=spf1 -all" }, MX = { "10 " .. wanted.MxRecord } } }
    local check = by_id(run({}, { only = "spf" }))["dns.spf"]
    assert.same({ name = DOMAIN, type = "TXT", value = "v=spf1 include:" .. INCLUDE .. " -all" }, check.findings[1].record)
    assert.equal("spf.include", check.findings[1].rule)
  end)
end)

describe("a check of one's own", function()
  local function own(fields)
    local check = { id = "own.queue", title = "length of our queue", run = function() return "12 jobs" end }
    for name, value in pairs(fields or {}) do check[name] = value end
    return check
  end

  it("is a table or a file, and stands beside the others", function()
    expect(run({}, { only = "own", checks = { own() } }), { ["own.queue"] = "pass 12 jobs" })
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[return { id = "own.file", title = "from a file", needs = { "smtp.login" }, network = true,
      run = function(look) look.host.sleep(0.01) return "seen", { { status = "warn", rule = "own.file.old", cause = look.sender .. " is old", remedy = "renew it" } } end }]]
    file:close()
    expect(run({}, { only = "own.file", checks = { path } }), { ["own.file"] = "warn own.file.old|is old|renew it" })
    assert(box:set_faults { "auth:526" })
    local found = expect(run({}, { only = "own.file", checks = { path } }), { ["smtp.login"] = "fail" })
    assert.equal("not checked: smtp.login failed", found["own.file"].cause)
    os.remove(path)
  end)

  it("that breaks, hangs or is none does no harm to others", function()
    local report = run({}, { only = { "own", "config" }, checks = { own { run = function() error "boom" end } } })
    expect(report, { ["own.queue"] = "fail the check itself failed|boom" })
    for _, findings in ipairs { { 5 }, { {} }, { { cause = {}, remedy = {}, record = {}, rule = 5 } }, 5 } do
      report = run({}, { only = "own", checks = { own { run = function() return "odd", findings end } } })
      assert.equal(type(findings) == "table" and "warn" or "pass", report.status)
      assert.is_string(report.checks[1].cause .. report.checks[1].remedy)
    end
    report = run({}, { only = "own", seconds = 0.1, checks = { own { run = function(look) look.host.sleep(30) end } } })
    expect(report, { ["own.queue"] = "fail it did not end" })
    expect(run({}, { only = "own", checks = { own { run = function() return nil, "no queue here" end } } }), { ["own.queue"] = "skip not checked: no queue here" })
    for _, case in ipairs {
      { own { id = "Own Queue" }, "id must be a short name" }, { own { id = "config" }, "there is a check config already" }, { own { title = 1 }, "has no title" },
      { own { run = false }, "has no function run" }, { own { needs = { "dns.nothing" } }, "needs dns.nothing" }, { "/nowhere/mine.lua", "cannot be read" },
    } do
      local none, e = doctor.run(mail_of(), { checks = { case[1] } })
      assert.is_nil(none)
      assert.equal("OPTION", e.code)
      assert.is_truthy(e.cause:find(case[2], 1, true), e.cause)
    end
    expect(run({}, { only = "own", checks = { own { needs = { "own.other" } }, own { id = "own.other", needs = { "own.queue" } } } }),
      { ["own.queue"] = "fail needs itself", ["own.other"] = "fail needs itself" })
  end)
end)

describe("doctor.run", function()
  it("tells only what it was asked for, and what stood in its way", function()
    local report = run({}, { only = { "spf" } })
    assert.same(1, #report.checks)
    assert(box:set_faults { "api:NoPermission" })
    report = run({ access_key_secret = "wrongwrongwrongwrongwrongwrong" }, { only = "quota" })
    expect(report, { ["api.call"] = "fail" })
    assert.equal(3, #report.checks)             -- quota, quota.invalid, and api.call
  end)

  it("refuses what there is not, naming the nearest", function()
    local none, e = doctor.run(mail_of(), { only = { "dns.spff" } })
    assert.is_nil(none)
    assert.is_true(err.is(e))
    assert.matches('there is no check "dns%.spff" %(did you mean "dns%.spf"%?%)', e.cause)
    assert.error_matches(function() doctor.run(mail_of(), { onyl = "spf" }) end, "unknown field \"onyl\" in doctor.run %(did you mean \"only\"%?%)")
    assert.error_matches(function() doctor.run(mail_of(), { only = 5 }) end, "option only of doctor.run must be a string or table, not a number")
    local _, words = pcall(function() doctor.run(mail_of(), { only = 5 }) end)
    assert.matches("doctor_test%.lua:%d+: option only of", words)
    assert.error_matches(function() doctor.run(mail_of(), { seconds = "5" }) end, "option seconds of doctor.run must be a number, not a string")
    none, e = doctor.run(mail_of(), { checks = "no-such-check.lua" })
    assert.is_nil(none)
    assert.matches("no%-such%-check%.lua cannot be read", e.cause)
    assert.error_matches(function() doctor.run(mail_of(), { kind = "mass" }) end, 'kind of doctor.run is "bulk" or "transactional"')
  end)

  it("tells what it looks at", function()
    local events = {}
    run({}, { only = "spf", progress = function(event, check) events[#events + 1] = event .. " " .. check.id end })
    assert.same({ "begin dns.server", "done dns.server", "begin dns.domain", "done dns.domain", "begin dns.spf", "done dns.spf" }, events)
  end)

  it("is one of the modules", function() assert.equal(doctor, directmail.doctor) end)
end)
