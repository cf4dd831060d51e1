-- Settings: which source wins, and that each value remembers it.
local memory = require "directmail.host.memory"
local settings = require "directmail.settings"

local folder, file
local function sh(command) return (assert(os.execute(command))) end

local function profile(text, mode, path)
  local f = assert(io.open(path or file, "wb"))
  f:write(text)
  f:close()
  sh(("chmod %s '%s'"):format(mode or "600", path or file))
end

setup(function()
  local pipe = io.popen "mktemp -d"
  folder = pipe:read "*l"
  pipe:close()
  sh(("mkdir -p '%s/.config/directmail'"):format(folder))
  file = folder .. "/.config/directmail/profile.lua"
end)
teardown(function() sh(("rm -rf '%s'"):format(folder)) end)
before_each(function() os.remove(file) end)

local function read(options, env)
  local all = { HOME = folder }
  for name, value in pairs(env or {}) do all[name] = value end
  local host = memory.new { env = all }
  local values, e = settings.read(options or {}, host)
  return values, e, host
end

local SHOWN = "~/.config/directmail/profile.lua"

describe("settings.read", function()
  it("takes an option before a variable before the profile, and says which", function()
    profile 'region = "p"\nsender = "p@example.com"\n\nehlo = "p.example.com"'
    local values = assert(read({ region = "o" }, { DIRECTMAIL_REGION = "e", DIRECTMAIL_SENDER = "e@example.com" }))
    assert.same({ "o", "e@example.com", "p.example.com" }, { values.region, values.sender, values.ehlo })
    assert.same({ "option region", "DIRECTMAIL_SENDER", SHOWN .. ":4" }, { values.from.region, values.from.sender, values.from.ehlo })
    assert.same({ SHOWN, "default" }, { values.profile, values.from.profile })
  end)

  it("counts an empty variable as unset", function()
    profile 'region = "p"'
    assert.equal("p", assert(read({}, { DIRECTMAIL_REGION = "" })).region)
  end)

  it("does without a profile, but not without one that was named", function()
    assert.is_nil(assert(read({ region = "o" })).profile)
    local _, e = read({}, { DIRECTMAIL_PROFILE = "prod" })
    assert.same({ "FILE", "profile", "not_sent" }, { e.code, e.detail, e.outcome })
    assert.matches("prod", e.cause)
    assert.matches("DIRECTMAIL_PROFILE", e.cause)
    _, e = read { profile = folder .. "/none.lua" }
    assert.matches("option profile", e.cause)
    _, e = read { profile = "" }
    assert.matches("empty", e.cause)
    _, e = read { profile = "a\nb" }
    assert.equal("OPTION", e.code)
  end)

  it("reads the profile that is named: by name, by path, the option first", function()
    profile 'region = "default"'
    profile('region = "prod"', nil, folder .. "/.config/directmail/prod.lua")
    profile('region = "path"', nil, folder .. "/own.lua")
    local values = assert(read({}, { DIRECTMAIL_PROFILE = "prod" }))
    assert.same({ "prod", "DIRECTMAIL_PROFILE" }, { values.region, values.from.profile })
    values = assert(read({ profile = folder .. "/own.lua" }, { DIRECTMAIL_PROFILE = "prod" }))
    assert.same({ "path", "option profile", "~/own.lua:1" }, { values.region, values.from.profile, values.from.region })
  end)

  it("never takes a profile of the working folder by itself", function()
    for _, env in ipairs { { HOME = "." }, { HOME = "" }, { HOME = ".", XDG_CONFIG_HOME = "." } } do
      assert.is_nil(assert(read({}, env)).profile)
    end
  end)

  it("fails on a bad profile, named or not", function()
    profile('region = "p"', "666")
    local values, e, _ = read()
    assert.is_nil(values)
    assert.same({ "FILE", "profile" }, { e.code, e.detail })
    profile 'regoin = "p"'
    _, e = read()
    assert.equal('unknown setting "regoin" in ' .. SHOWN .. ':1 (did you mean "region"?)', e.cause)
    profile 'region = 7'
    _, e = read()
    assert.same({ "OPTION", "region", "region (from " .. SHOWN .. ":1) is no text" }, { e.code, e.detail, e.cause })
  end)

  it("checks every value, wherever it came from", function()
    for _, case in ipairs {
      { "timeout = -1", "timeout" }, { "timeout = 1/0", "timeout" }, { "timeout = {}", "timeout" }, { "size_limit = 1.5", "size_limit" },
      { "size_limit = 1/0", "size_limit" }, { "cleartext_auth = 3", "cleartext_auth" }, { "only = { 1 }", "only" }, { "only = { a = 'x' }", "only" },
      { "only = 3", "only" }, { "region = { 'a' }", "region" }, { "region = true", "region" }, { "smtp_password = 3", "smtp_password" },
      { "sender = 'a\\nb'", "sender" }, { "auth = 'maybe'", "auth" }, { "via = 'fax'", "via" }, { "rate = 1/0", "rate" }, { "rate = 'fast'", "rate" },
      { "route = 3", "route" }, { "route = { deploed = 'us' }", "route" }, { "route = { deployed = 3 }", "route" },
      { "route = { deployed = 'mars', recipients = 'cn' }", "deployed" }, { "timeouts = { conect = 3 }", "timeouts" },
      { "timeouts = { connect = 'x' }", "timeouts.connect" }, { "timeouts = 3", "timeouts" },
    } do
      profile(case[1])
      local values, e = read()
      assert.is_nil(values, case[1])
      assert.same({ "OPTION", case[2], "not_sent" }, { e.code, e.detail, e.outcome })
      assert.is_truthy(e.remedy, case[1])
    end
    profile [[return { timeout = 3, size_limit = false, cleartext_auth = true, only = { "*@a" }, route = { deployed = "us", recipients = "cn" },
      timeouts = { connect = 5 }, rate = 2 }]]
    local values = assert(read())
    assert.same({ 3, 0, true, { "*@a" }, { deployed = "us", recipients = "cn" }, { connect = 5 }, 2 },
      { values.timeout, values.size_limit, values.cleartext_auth, values.only, values.route, values.timeouts, values.rate })
    assert.same({ "*@a", "b@c" }, assert(read({}, { DIRECTMAIL_ONLY = "*@a, b@c" })).only)
  end)

  it("takes one line end off a secret and warns, showing none of it", function()
    for _, case in ipairs { { "s3cret\n", "s3cret" }, { "s3cret\r\n", "s3cret" }, { "s3cret\n\n", "s3cret\n" }, { " s3 cret ", " s3 cret " }, { "\n", "" } } do
      local values, _, host = read({}, { DIRECTMAIL_SMTP_PASSWORD = case[1] })
      assert.equal(case[2], values.smtp_password)
      assert.equal(case[1] ~= case[2] and 1 or 0, #host.logs)
      if host.logs[1] then
        assert.same({ "warn", "smtp_password (from DIRECTMAIL_SMTP_PASSWORD): a line end behind it was taken off" }, host.logs[1])
      end
    end
  end)

  it("warns when others can read a profile with a secret in it", function()
    profile('region = "p"\naccess_key_secret = "s3cret"', "644")
    local _, _, host = read()
    assert.same({ { "warn", "others may read " .. SHOWN .. " (mode 0644), and it holds a secret: chmod 600 " .. SHOWN } }, host.logs)
    profile('region = "p"\naccess_key_secret = "s3cret"', "600")
    _, _, host = read()
    assert.same({}, host.logs)
    profile('region = "p"', "644")
    _, _, host = read()
    assert.same({}, host.logs)
  end)

  it("keeps the parts of a key together", function()
    profile 'access_key_id = "LTAIp"\naccess_key_secret = "p"\nsecurity_token = "tp"'
    local values = assert(read())
    assert.same({ "LTAIp", "p", "tp" }, { values.access_key_id, values.access_key_secret, values.security_token })
    values = assert(read({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "e" }))
    assert.same({ "LTAIe", "e" }, { values.access_key_id, values.access_key_secret })
    assert.is_nil(values.security_token)
    assert.matches("belongs to another", values.unused.security_token)
    values = assert(read({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe" }))
    assert.is_nil(values.access_key_secret)
    assert.equal(SHOWN .. ":2 belongs to another access_key_id", values.unused.access_key_secret)
    assert.is_nil(values.from.access_key_secret)
    values = assert(read({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIp" }))
    assert.equal("p", values.access_key_secret)
    profile 'access_key_secret = "p"'
    assert.equal("p", assert(read { access_key_id = "LTAIo" }).access_key_secret)
    values = assert(read({ access_key_id = "LTAIo", access_key_secret = "o" }, { ALIBABA_CLOUD_SECURITY_TOKEN = "left" }))
    assert.is_nil(values.security_token)
    values = assert(read({ access_key_id = "STS.o" }, { ALIBABA_CLOUD_ACCESS_KEY_SECRET = "e", ALIBABA_CLOUD_SECURITY_TOKEN = "te" }))
    assert.same({ "e", "te" }, { values.access_key_secret, values.security_token })
  end)

  it("raises on an unknown option at the caller's line", function()
    local ok, why = pcall(function() settings.read({ regoin = "x" }, memory.new(), 1) end)
    assert.is_false(ok)
    assert.matches('settings_test.lua:%d+: unknown field "regoin" in directmail%.new %(did you mean "region"%?%)', why)
  end)

  it("lists its names", function()
    local names = {}
    for _, name in ipairs(settings.NAMES) do names[name] = true end
    assert.is_true(names.profile and names.transport and names.region)
    for _, name in ipairs(settings.PROFILE_NAMES) do
      assert.is_true(names[name] and name ~= "transport" and name ~= "profile" and name ~= "transcript")
    end
    assert.same({ smtp_password = true, access_key_secret = true, security_token = true }, settings.SECRET)
  end)

  it("takes the address of a DNS server, and nothing that had to be looked up first", function()
    for _, text in ipairs { "223.5.5.5", "127.0.0.1:5353", "2400:3200::1", "[2400:3200::1]:53" } do
      assert.equal(text, read({}, { DIRECTMAIL_DNS = text }).dns)
    end
    for _, text in ipairs { "dns.example", "dns.example:53", "127.0.0.1:70000", "1.2.3" } do
      local _, e = read({ dns = text })
      assert.equal("dns (from option dns) is no IP:PORT", e.cause)
    end
  end)
end)
