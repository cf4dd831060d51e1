-- directmail doctor: what people and programs read, the exit codes, and the bundle for support.
local cjson = require "cjson"
local command = require "support.command"
local directmail = require "directmail"
local dns = require "support.dns"
local host = require "directmail.host"

local box, server, folder

setup(function()
  box = assert(directmail.sandbox.start())
  server = dns.start { records = {} }
  folder = command.folder()
end)
teardown(function()
  server:stop()
  box:stop()
  command.remove(folder)
end)
before_each(function()
  assert(box:set_faults {})
  server:set { records = {
    ["mail.example.com"] = { TXT = { "v=spf1 include:spfdm-ap-southeast-1.aliyun.com -all" }, MX = { "10 mxdm-ap-southeast-1.aliyun.com" } },
    ["spfdm-ap-southeast-1.aliyun.com"] = { TXT = { "v=spf1 ip4:192.0.2.0/24 -all" } },
  } }
end)

-- The sandbox is served by this program, so the command runs as a task beside it.
local function run(words, env)
  local parts = {}
  for i, word in ipairs(words) do parts[i] = command.quote(word) end
  local all = { HOME = folder, ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true", XDG_CONFIG_HOME = "" }
  for name, value in pairs(box.env) do all[name] = value end
  for name, value in pairs(env or {}) do all[name] = value end
  local child = assert(host.child({ "sh", "-c", ("exec %s doctor %s >%s/out 2>%s/err </dev/null"):format(command.quote(command.exe), table.concat(parts, " "),
    folder, folder) }, all))
  local status = child:wait()
  return status, command.read(folder .. "/out"), command.read(folder .. "/err")
end

local function has(text, words) assert.is_truthy(text:find(words, 1, true), ("%q is not in: %s"):format(words, text)) end

describe("directmail doctor", function()
  it("tells a line a check, and exits with 0 when nothing failed", function()
    local status, out, talk = run {}
    assert.same({ 0, "" }, { status, talk })
    assert.matches("\nsmtp%.login +ok +noreply@mail%.example%.com, password set, 20 characters %(DIRECTMAIL_SMTP_PASSWORD%)\n", out)
    assert.matches("\ntls%.api +skip  not checked: api is on this machine, in clear text\n", out)
    assert.matches("\n0 failures, 0 warnings, %d+ passed, %d+ not checked, [%d.]+ s  +nothing here promises the inbox: new domains need warm%-up\n$", out)
    assert.is_nil(out:find("\27", 1, true))
    for _, secret in ipairs { box.env.DIRECTMAIL_SMTP_PASSWORD, box.account.access_key_secret } do assert.is_nil(out:find(secret, 1, true)) end
    assert.same({}, box:mails())
  end)

  it("tells cause, what was found and what to do, and exits with 1", function()
    assert(box:set_faults { "auth:526" })
    local status, out = run { "--only", "smtp" }
    assert.equal(1, status)
    assert.matches("\nsmtp%.greeting +ok +220 .-\nsmtp%.login +FAIL  .-526 Authentication failure.-%(smtp%.login%)\n +found  noreply@.-\n"
      .. " +→ .-\nsmtp%.envelope +skip  not checked: smtp%.login failed\n"
      .. "1 failure, 0 warnings, 3 passed, 1 not checked", out)
  end)

  it("answers as one object with those fields and no others", function()
    for _, words in ipairs { { "--offline", "--json" }, { "--json" }, { "--json", "--only", "dns.spf,mx", "tls", "--dns", server.address } } do
      local status, out, talk = run(words)
      assert.same({ 0, "" }, { status, talk })
      assert.equal(1, select(2, out:gsub("\n", "")))
      assert.matches('^{"status":"pass","checks":%[{"id":"[%w._]+","status":"%a+","title":".-","cause":".-","remedy":"', out)
      local answer = cjson.decode(out)
      assert.same("pass", answer.status)
      local names = {}
      for name in pairs(answer) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "checks", "status" }, names)
      for _, check in ipairs(answer.checks) do
        local fields = {}
        for name, value in pairs(check) do
          fields[#fields + 1] = name
          assert.is_string(value)
        end
        table.sort(fields)
        assert.same({ "cause", "id", "remedy", "status", "title" }, fields)
      end
    end
    local _, out = run { "--json", "--only", "dns.spf,mx", "tls", "--dns", server.address }
    local ids = {}
    for i, check in ipairs(cjson.decode(out).checks) do ids[i] = check.id .. " " .. check.status end
    assert.same({ "tls.api skip", "tls.smtp pass", "dns.spf pass", "dns.mx pass" }, ids)
  end)

  it("prints the records to publish, ready for the DNS panel", function()
    local status, out = run { "--fix-list", "--only", "dns", "--dns", (server.address:gsub("^127.0.0.1", "localhost")) }
    assert.equal(1, status)
    assert.matches("\n_dmarc%.mail%.example%.com TXT v=DMARC1;p=none;rua=mailto:", "\n" .. out)
    assert.matches("\naliyun%-ap%-southeast%-1%._domainkey%.mail%.example%.com TXT v=DKIM1; k=rsa; p=", "\n" .. out)
    assert.matches("\naliyundm%.mail%.example%.com TXT %x+\n", "\n" .. out)
    for line in out:gmatch "[^\n]+" do assert.matches("^%S+ %u+ %S", line) end
    -- without an account: the table of regions
    status, out = run({ "--domain", "other.example.com", "--only", "mx", "--dns", server.address, "--fix-list" },
      { ALIBABA_CLOUD_ACCESS_KEY_ID = "", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "" })
    assert.same({ 1, "" }, { status, out })                     -- there is no such domain: dns.domain says so
    server:set { records = { ["x.other.example.com"] = { TXT = { "-" } } } }
    status, out = run({ "--domain", "other.example.com", "--only", "mx", "--dns", server.address, "--fix-list" },
      { ALIBABA_CLOUD_ACCESS_KEY_ID = "", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "" })
    assert.same({ 1, "other.example.com MX 10 mxdm-ap-southeast-1.aliyun.com\n" }, { status, out })
  end)

  it("looks at every region what differs", function()
    local regions = #require "directmail.core".regions()
    local status, out, talk = run { "--all-regions", "--only", "sender,network" }
    assert.equal(0, status, talk)
    has(talk, "api is set (from DIRECTMAIL_API): each region is asked there")
    has(talk, "smtp is set (from DIRECTMAIL_SMTP)")
    assert.matches("\nregions\ncn%-hangzhou +ok    China %(Hangzhou%): sender is here, domain is here\n +api     127%.0%.0%.1 is an address, port ", out)
    assert.matches("\nap%-southeast%-1 +ok    Singapore, the region that is set: sender is here, domain is here\nus%-east%-1 ", out)
    status, out = run { "--all-regions", "--only", "sender", "--sender", "nobody@other.example.com", "--json" }
    assert.equal(1, status)
    local answer = cjson.decode(out)
    assert.matches('^{"status":"fail","checks":%[.-%],"regions":%[{"region":"cn%-hangzhou","name":"China %(Hangzhou%)","status":"pass","api":"127', out)
    assert.equal(regions, #answer.regions)
    for _, entry in ipairs(answer.regions) do
      assert.same({ "no", "no" }, { entry.sender, entry.domain })
      assert.equal(entry.region == "ap-southeast-1" and "fail" or "pass", entry.status)
    end
    -- without a region the one that has the sender is named
    status, out = run({ "--all-regions", "--only", "sender.region" }, { DIRECTMAIL_REGION = "", DIRECTMAIL_SMTP = "", DIRECTMAIL_SMTP_PASSWORD = "" })
    assert.equal(0, status)
    has(out, "→ set region = cn-hangzhou or ap-southeast-1")
    local path = folder .. "/regions.txt"
    status = run { "--all-regions", "--only", "sender.region", "--bundle", path }
    assert.equal(0, status)
    has(command.read(path), "-- region us-east-1: pass; sender: yes, domain: unknown\nsender.region   pass")
    for _, words in ipairs { { "--offline" }, { "--only", "dns" } } do
      status, out, talk = run { "--all-regions", table.unpack(words) }
      assert.same({ 2, "" }, { status, out })
      assert.matches(words[2] and "none of the chosen checks differs by region" or "%-%-offline nobody", talk)
    end
  end)

  it("counts warnings only when it is to be strict", function()
    local words = { "--only", "dns.track", "--dns", server.address }
    assert.equal(0, (run(words)))
    words[#words + 1] = "--strict"
    assert.equal(1, (run(words)))
  end)

  it("looks at the machine's metadata where it is told to", function()
    local status, out = run({ "--only", "ecs", "--metadata", box.urls.web }, { ALIBABA_CLOUD_ECS_METADATA_DISABLED = "" })
    assert.equal(0, status)
    has(out, "answers HTTP 404, which is no ECS metadata")
  end)

  it("finds a setting that cannot be used", function()
    local status, out = run({ "--offline", "--json" }, { DIRECTMAIL_TIMEOUT = "soon" })
    assert.equal(1, status)
    local answer = cjson.decode(out)
    assert.same({ "fail", "config", "fail" }, { answer.status, answer.checks[1].id, answer.checks[1].status })
    has(answer.checks[1].cause, "DIRECTMAIL_TIMEOUT")
  end)

  it("refuses a wrong command line", function()
    for _, case in ipairs {
      { { "--only", "spff" }, 'there is no check "spff"' }, { { "--onyl", "spf" }, "did you mean --only" }, { { "--domain", "nodot" }, '--domain: "nodot" is no domain' },
      { { "--kind", "mass" }, "--kind" }, { { "--dns", "nowhere" }, "no IP:PORT" }, { { "--check", "/nowhere.lua" }, "cannot be read" },
      { { "--error", "" }, "nothing to explain" },
      { { "--bundle", folder .. "/b", "/nowhere.lua", "--offline" }, "/nowhere.lua cannot be read" },
      { { "--bundle", "/nowhere/b", "--offline" }, "/nowhere/b cannot be written" },
    } do
      local status, out, talk = run(case[1])
      assert.equal(2, status, talk)
      assert.equal("", out)
      has(talk, case[2])
    end
    local status, out = run { "--only", "spff", "--json" }
    assert.equal(2, status)
    assert.same("OPTION", cjson.decode(out).code)
  end)

  it("paints when it is told to, and not for NO_COLOR", function()
    local _, out = run { "--only", "config", "--color", "always" }
    has(out, "\27[32mok  \27[0m")
    _, out = run({ "--only", "config" }, { CLICOLOR_FORCE = "1" })
    has(out, "\27[32m")
    _, out = run({ "--only", "config" }, { CLICOLOR_FORCE = "1", NO_COLOR = "1" })
    assert.is_nil(out:find("\27", 1, true))
  end)

  it("tells a terminal what it waits for", function()
    assert(box:set_faults { "banner:slow=1.6" })
    local all = { HOME = folder, ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true", TERM = "xterm" }
    for name, value in pairs(box.env) do all[name] = value end
    local child = assert(host.child({ "sh", "-c", ("exec script -qec %s /dev/null >%s/out </dev/null"):format(
      command.quote(command.quote(command.exe) .. " doctor --only smtp"), folder) }, all))
    assert.equal(0, child:wait())
    local out = command.read(folder .. "/out")
    assert.matches("\r\27%[K%d done, looking at tls%.smtp, smtp%.greeting", out)
    assert.matches("\r\27%[Knetwork%.smtp +\27%[32mok  \27%[0m", out)
  end)

  it("lists its checks", function()
    local status, out = run { "--list" }
    assert.equal(0, status)
    assert.equal(#directmail.doctor.CHECKS, select(2, out:gsub("\n", "")))
    has(out, "\ndns.spf          SPF record\n")
  end)

  it("explains a code or the server's words", function()
    local status, out = run { "--error", "InvalidMailAddress.NotFound" }
    assert.equal(0, status)
    has(out, "the sender is unknown in this region")
    status, out = run { "--error", "526 Authentication failure", "--json" }
    assert.equal(0, status)
    assert.equal("credentials", cjson.decode(out:match "[^\n]+").blame)
    assert.equal(1, (run { "--error", "NoSuchThing.AtAll" }))
  end)

  it("runs the checks of a folder, and none that others may write", function()
    os.execute(("mkdir -p %s/.config/directmail/doctor %s/more"):format(folder, folder))
    local own = folder .. "/.config/directmail/doctor/own.lua"
    command.write(own, [[return { id = "own.queue", title = "our queue", run = function(look) return nil, "no queue for " .. look.sender end }]])
    command.write(folder .. "/more/two.lua", [[return { id = "own.two", title = "two", run = function() return "2", { { status = "fail", cause = "it is two",
      remedy = "make it one" } } end }]])
    os.execute(("chmod 644 %s %s/more/two.lua"):format(own, folder))
    local status, out = run { "--only", "own", "--check", folder .. "/more" }
    assert.equal(1, status)
    has(out, "own.queue  skip  not checked: no queue for noreply@mail.example.com\n")
    assert.matches("own%.two +FAIL  it is two\n +found  2\n +→ make it one\n", out)
    os.execute("chmod o+w " .. own)
    local talk
    status, out, talk = run { "--only", "own" }
    assert.same({ 2, "" }, { status, out })
    has(talk, "others may write ~/.config/directmail/doctor/own.lua")
    command.remove(folder .. "/.config")
  end)

  it("writes what support asks for, without secrets and addresses, for its owner alone", function()
    local script = folder .. "/send.lua"
    command.write(script, table.concat({
      'local mail = require "directmail".new { sender = "noreply@mail.example.com", smtp_password = "Hunter2Hunter2",',
      '  access_key_id = "LTAI5tABCDEFGHJKLMNPQRST", access_key_secret = os.getenv "SECRET" }',
      'local api_token = "tok-123456"  -- of ann.smith@example.net',
      'mail:send { to = "Ann <ann.smith@example.net>", subject = "Hi", text = "' .. box.env.DIRECTMAIL_SMTP_PASSWORD .. '" }',
    }, "\n") .. "\n")
    local path = folder .. "/support.txt"
    command.write(path, "older")
    os.execute("chmod 666 " .. path)
    command.write(path .. ".new", "somebody's own")
    local status, out, talk = run { "--bundle", path, script, "--error", "InvalidMailAddress.NotFound", "--operation", "SingleSendMail",
      "--param", "AccountName=noreply@mail.example.com", "--param", "ToAddress=bob@example.net", "--param", "Password=Abc123Def", "--only", "config" }
    assert.equal(0, status, talk)
    has(talk, "wrote " .. path)
    assert.matches("^config +ok", out)
    local pipe = io.popen("stat -c %a " .. path)
    assert.equal("600", pipe:read "l")
    pipe:close()
    assert.equal("somebody's own", command.read(path .. ".new"))
    pipe = io.popen("ls -d " .. path .. "*")
    assert.equal(path .. "\n" .. path .. ".new\n", pipe:read "a")
    pipe:close()
    local bundle = command.read(path)
    for _, words in ipairs {
      "== operation or request class ==\nSingleSendMail\n", "AccountName = noreply@mail.example.com\nToAddress = b***@example.net\nPassword = ********\n",
      "InvalidMailAddress.NotFound\nInvalidMailAddress.NotFound: the sender is unknown in this region", "smtp_password      set, 20 characters   (DIRECTMAIL_SMTP_PASSWORD)",
      "== doctor: pass ==\nconfig", "== script send.lua ==\n", 'smtp_password = "********"', 'access_key_id = "LTAI****************QRST"', 'access_key_secret = os.getenv "SECRET"',
      'api_token = "********"  -- of a***@example.net', 'to = "Ann <a***@example.net>"', 'text = "********"',
    } do has(bundle, words) end
    for _, secret in ipairs { "Hunter2", "Abc123Def", "tok-123456", "ann.smith", "bob@", box.env.DIRECTMAIL_SMTP_PASSWORD, box.account.access_key_secret,
      box.account.access_key_id } do
      assert.is_nil(bundle:find(secret, 1, true), secret)
    end
    local pipe_path = folder .. "/it's a pipe"
    os.execute("mkfifo " .. command.quote(pipe_path))
    status, out, talk = run { "--bundle", pipe_path, "--offline", "--only", "signature" }
    assert.equal(2, status, out)
    has(talk, "is there, and is no file")
    assert.is_true(os.execute("test -p " .. command.quote(pipe_path)))
    status, out = run { "--bundle", "-", "--offline", "--only", "signature" }
    assert.equal(0, status)
    for _, other in ipairs { "--json", "--fix-list" } do
      local wrong, none = run { "--bundle", "-", "--offline", other }
      assert.equal(2, wrong, none)
      assert.is_nil(none:find("== parameters", 1, true))
    end
    has(out, "== parameters ==\n(not given: --param Name=value)")
    has(out, "api.signature   pass")
  end)
end)
