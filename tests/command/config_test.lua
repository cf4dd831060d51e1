local cjson = require "cjson"
local command = require "support.command"

local home
setup(function()
  home = command.folder()
  os.execute(("mkdir -p %s/.config/directmail %s/.aliyun"):format(home, home))
end)
teardown(function() command.remove(home) end)
before_each(function() os.execute(("rm -f %s/.config/directmail/* %s/.aliyun/*"):format(home, home)) end)

local function profile(text, mode, name)
  local path = ("%s/.config/directmail/%s.lua"):format(home, name or "profile")
  command.write(path, text)
  os.execute(("chmod %s %s"):format(mode or "600", path))
end

local function config_json(text) command.write(home .. "/.aliyun/config.json", text) end

local KEY = "LTAI5tAbcdefghijklmn3fQ9"
local CLI = cjson.encode { current = "prod", profiles = { { name = "prod", mode = "AK", access_key_id = KEY, access_key_secret = ("s3cret"):rep(5) } } }

-- `directmail config show …`, at home.
local function show(words)
  words = words or {}
  local all = { "config", "show" }
  for name, value in pairs(words) do
    if type(name) == "string" then all[name] = value end
  end
  for _, word in ipairs(words) do all[#all + 1] = word end
  all.env = { HOME = home }
  for name, value in pairs(words.env or {}) do all.env[name] = value end
  return command.run(all)
end

-- Its lines by setting: { value, from }. Columns have two blanks at least between them.
local function lines(out)
  local found = {}
  for line in out:gmatch "[^\n]+" do
    local setting, value, from = line:match "^(%S.-)  +(%S.-)  +(%S.*)$"
    if setting then found[setting] = { value, from } end
  end
  return found
end

describe("directmail config show", function()
  it("says of every value where it came from", function()
    profile 'region = "cn-hangzhou"\n\n\nsender = "noreply@mail.example.com"\ntimeout = 20\n'
    config_json(CLI)
    local code, out, err = show { "--ehlo", "me.example.com", env = { DIRECTMAIL_REGION = "ap-southeast-1", DIRECTMAIL_SMTP_PASSWORD = "0123456789abcdef",
      ALICLOUD_ACCESS_KEY = "LTAIold" } }
    assert.equal("", err)
    assert.equal(0, code)
    local at = lines(out)
    assert.same({ "value", "from" }, at.setting)
    assert.same({ "ap-southeast-1", "DIRECTMAIL_REGION" }, at.region)
    assert.same({ "noreply@mail.example.com", "~/.config/directmail/profile.lua:4" }, at.sender)
    assert.same({ "20", "~/.config/directmail/profile.lua:5" }, at.timeout)
    assert.same({ "me.example.com", "--ehlo" }, at.ehlo)
    assert.same({ "LTAI****************3fQ9", '~/.aliyun/config.json, profile "prod", mode AK' }, at["access key"])
    assert.same({ "set, 30 characters", '~/.aliyun/config.json, profile "prod", mode AK' }, at["access key secret"])
    assert.same({ "set, 16 characters", "DIRECTMAIL_SMTP_PASSWORD" }, at["smtp password"])
    assert.same({ "system store", "default" }, at.ca)
    assert.same({ "~/.config/directmail/profile.lua", "default" }, at.profile)
    assert.same({ "ALICLOUD_ACCESS_KEY", "old spelling: use ALIBABA_CLOUD_ACCESS_KEY_ID" }, at.ignored)
    assert.matches("\n +%([^\n]*ALIBABA_CLOUD_ACCESS_KEY_ID is not set[^\n]*%)\n", out)
    for _, secret in ipairs { "s3cret", "0123456789abcdef", KEY, "LTAIold" } do assert.is_nil(out:find(secret, 1, true), secret) end
  end)

  it("says the same as one JSON object, masked alike", function()
    config_json(CLI)
    local code, out, err = show { "--json", env = { DIRECTMAIL_SMTP_PASSWORD = "0123456789abcdef", ALICLOUD_SECRET_KEY = "s3cret" } }
    assert.equal("", err)
    assert.equal(0, code)
    local answer = cjson.decode(out)
    assert.is_true(answer.ok)
    local by = {}
    for _, row in ipairs(answer.settings) do by[row.setting] = row end
    assert.same({ setting = "smtp_password", value = "set, 16 characters", from = "DIRECTMAIL_SMTP_PASSWORD" }, by.smtp_password)
    assert.equal("LTAI****************3fQ9", by.access_key_id.value)
    assert.matches("ALIBABA_CLOUD_ACCESS_KEY_ID is not set", by.access_key_id.notes[1])
    assert.is_nil(by.region.value)
    assert.same({ { name = "ALICLOUD_SECRET_KEY", use = "ALIBABA_CLOUD_ACCESS_KEY_SECRET" } }, answer.ignored)
    assert.is_nil(out:find("s3cret", 1, true))
    local _, empty = show { "--json" }
    assert.matches('"ignored":%[%]', empty)
  end)

  it("lists the sources when no key is found, and that is no failure", function()
    local code, out = show()
    assert.equal(0, code)
    local at = lines(out)
    assert.same({ "-", "not found" }, at["access key"])
    assert.is_nil(at["access key secret"])
    assert.matches("%(no option access_key_id; ALIBABA_CLOUD_ACCESS_KEY_ID is not set; there is no profile ~/%.config/directmail/profile%.lua%)", out)
    assert.matches("%(~/%.aliyun/config%.json: no such file or directory%)", out)
    assert.matches("DIRECTMAIL_REGION", at.region[2])
  end)

  it("tells that half a key was passed over", function()
    config_json(CLI)
    local _, out = show { env = { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAI5tHalfhalfhalfhalf00" } }
    assert.same({ "LTAI****************3fQ9", '~/.aliyun/config.json, profile "prod", mode AK' }, lines(out)["access key"])
    assert.matches("access_key_secret is missing %(ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set%)", out)
    profile(('access_key_id = "%s"\naccess_key_secret = "s3cret"'):format(KEY))
    _, out = show { env = { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAI5tHalfhalfhalfhalf00" } }
    assert.matches("~/%.config/directmail/profile%.lua:2 belongs to another access_key_id", out)
  end)

  it("says where each part of a key came from", function()
    profile 'access_key_secret = "s3cret"'
    local _, out = show { "--access-key-id", "LTAI5tOption00000000abcd" }
    local at = lines(out)
    assert.same({ "LTAI****************abcd", "--access-key-id" }, at["access key"])
    assert.same({ "set, 6 characters", "~/.config/directmail/profile.lua:1" }, at["access key secret"])
    _, out = show { env = { ALIBABA_CLOUD_ACCESS_KEY_ID = "short", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "e", ALIBABA_CLOUD_SECURITY_TOKEN = "token" } }
    at = lines(out)
    assert.same({ "*****", "ALIBABA_CLOUD_ACCESS_KEY_ID" }, at["access key"])
    assert.same({ "set, 5 characters", "ALIBABA_CLOUD_SECURITY_TOKEN" }, at["security token"])
  end)

  it("hides the password of a proxy", function()
    local _, out = show { env = { DIRECTMAIL_PROXY = "http://ann:s3cr@t@proxy.example:3128" } }
    assert.equal("http://ann:********@proxy.example:3128", lines(out).proxy[1])
  end)

  it("writes tables and lists on one line, and no terminal's escapes", function()
    profile 'return { only = { "*@a.example", "b@c.example" }, route = { deployed = "us", recipients = "cn" }, ehlo = "x\\194\\155y", cleartext_auth = true }'
    local _, out = show()
    local at = lines(out)
    assert.equal("*@a.example,b@c.example", at.only[1])
    assert.equal("deployed=us recipients=cn", at.route[1])
    assert.equal("true", at["cleartext auth"][1])
    assert.equal("x\\194\\155y", at.ehlo[1])
  end)

  it("reads the profile that DIRECTMAIL_PROFILE names", function()
    profile('region = "eu-central-1"', "600", "staging")
    local _, out = show { env = { DIRECTMAIL_PROFILE = "staging" } }
    assert.same({ "eu-central-1", "~/.config/directmail/staging.lua:1" }, lines(out).region)
    assert.same({ "~/.config/directmail/staging.lua", "DIRECTMAIL_PROFILE" }, lines(out).profile)
  end)

  it("takes nothing from the working folder", function()
    local folder = command.folder()
    os.execute(("mkdir -p %s/.config/directmail %s/directmail %s/.aliyun"):format(folder, folder, folder))
    for _, path in ipairs { "/profile.lua", "/.config/directmail/profile.lua", "/directmail/profile.lua" } do
      command.write(folder .. path, 'region = "cn-hangzhou"')
    end
    command.write(folder .. "/.aliyun/config.json", CLI)
    for _, env in ipairs { { HOME = home }, { HOME = "" }, { HOME = "." }, { HOME = ".", XDG_CONFIG_HOME = "." } } do
      local code, out = show { cd = folder, env = env }
      assert.equal(0, code)
      assert.same({ "-", "not found" }, lines(out)["access key"])
      assert.is_nil(out:find("cn-hangzhou", 1, true))
    end
    command.remove(folder)
  end)

  it("warns of a profile that others can read, once, on stderr", function()
    profile('smtp_password = "s3cret"', "644")
    local code, out, err = show()
    assert.equal(0, code)
    assert.same({ "set, 6 characters", "~/.config/directmail/profile.lua:1" }, lines(out)["smtp password"])
    assert.equal("directmail: warning: others may read ~/.config/directmail/profile.lua (mode 0644), and it holds a secret: chmod 600 "
      .. "~/.config/directmail/profile.lua\n", err)
  end)

  it("takes a line end off a secret and says so on stderr", function()
    local code, out, err = show { env = { DIRECTMAIL_SMTP_PASSWORD = "s3cret\n" } }
    assert.equal(0, code)
    assert.equal("set, 6 characters", lines(out)["smtp password"][1])
    assert.equal("directmail: warning: smtp_password (from DIRECTMAIL_SMTP_PASSWORD): a line end behind it was taken off\n", err)
  end)
end)

describe("directmail config show ends with 2 and a remedy for", function()
  local function fails(pattern, words)
    local code, out, err = show(words)
    assert.equal(2, code)
    assert.equal("", out)
    assert.matches(pattern, err)
    assert.matches("\n  remedy   %S", err)
    assert.is_nil(err:find("s3cret", 1, true))
    return err
  end

  it("a profile that others may write, is none, is missing, or has a misspelt name", function()
    profile('region = "cn-hangzhou"', "666")
    assert.matches("chmod 600 /", fails("may be written by others than its owner %(mode 0666%)"))
    profile 'smtp_password = "s3cret'
    fails "profile%.lua:1: unfinished string"
    profile 'while true do end'
    fails "does not come to an end"
    profile 'regoin = "x"'
    fails 'unknown setting "regoin" in ~/%.config/directmail/profile%.lua:1 %(did you mean "region"%?%)'
    profile ""
    fails("the profile ~/%.config/directmail/none%.lua %(from DIRECTMAIL_PROFILE%) cannot be read: No such file", { env = { DIRECTMAIL_PROFILE = "none" } })
  end)

  it("an unknown region, with the nearest", function()
    assert.matches("did you mean ap%-southeast%-1%?", fails('Direct Mail has no region "ap%-southest%-1"', { env = { DIRECTMAIL_REGION = "ap-southest-1" } }))
    local code, out = show { "--json", "--region", "nowhere" }
    assert.equal(2, code)
    assert.equal("OPTION", cjson.decode(out).code)
  end)

  it("a key with a stray character", function()
    fails("access_key_secret %(from ALIBABA_CLOUD_ACCESS_KEY_SECRET%) holds a blank",
      { env = { ALIBABA_CLOUD_ACCESS_KEY_ID = KEY, ALIBABA_CLOUD_ACCESS_KEY_SECRET = "s3cret s3cret" } })
  end)

  it("a wrong command line", function()
    for _, case in ipairs { { { "config" }, "what to do with it is missing" }, { { "config", "shwo" }, 'config knows no "shwo" %(did you mean show%?%)' },
      { { "config", "show", "region" }, 'unexpected argument "region"' }, { { "config", "show", "--smtp-password=s3cret" }, "unknown option %-%-smtp%-password" } } do
      local code, out, err = command.run(case[1])
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches("^directmail: usage: ", err)
      assert.matches(case[2], err)
      assert.is_nil(err:find("s3cret", 1, true))
    end
  end)
end)
