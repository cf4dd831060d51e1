-- directmail config init, at a terminal of its own.
local cjson = require "cjson"
local command = require "support.command"
local directmail = require "directmail"
local host = require "directmail.host"

local home
before_each(function() home = command.folder() end)
after_each(function() command.remove(home) end)

local KEY, SECRET, PASSWORD = "LTAI5tAbcdefghijklmn3fQ9", "s3cret" .. ("x"):rep(24), 'pass"word\\1 é'
local REGION, SENDER, ID, KEY_SECRET, SMTP = "region: ", "sender: ", "AccessKey id: ", "AccessKey secret: ", "SMTP password: "

local function capture(line)
  local pipe = assert(io.popen(line))
  local text = pipe:read "a"
  pipe:close()
  return (text:gsub("\n$", ""))
end

-- `directmail config init …` with answers: a list of { what it asks, what is typed }; as support/terminal.py tells it.
local function init(words, answers, env)
  local argv = { command.exe, "config", "init", table.unpack(words) }
  local all = { HOME = home, PATH = os.getenv "PATH", LC_ALL = "C.UTF-8", ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" }
  for _, name in ipairs { "ASAN_OPTIONS", "LD_PRELOAD", "LSAN_OPTIONS" } do all[name] = os.getenv(name) end
  for name, value in pairs(env or {}) do all[name] = value end
  local steps = {}
  for i, answer in ipairs(answers) do
    steps[i] = { expect = answer[1], send = answer[2] and answer[2] .. "\n", signal = answer.signal }
    if answer.key then steps[i].send = answer.key end
  end
  command.write(home .. "/task", cjson.encode { argv = argv, env = all, steps = steps })
  -- the sandbox is served by this program, so the command runs as a task beside it
  local child = assert(host.child({ "sh", "-c", ("python3 tests/support/terminal.py <%s/task >%s/told"):format(home, home) }, {}))
  assert.equal(0, child:wait())
  local told = cjson.decode(command.read(home .. "/told"))
  os.remove(home .. "/task")
  os.remove(home .. "/told")
  assert.equal(cjson.null, told.missing, told.said)
  return told
end

local PROFILE = "/.config/directmail/profile.lua"

local function written(path) return assert(loadfile(home .. (path or PROFILE), "t", {}))() end

local function files() return capture("cd " .. command.quote(home) .. " && find . -mindepth 1 -not -type d -o -mindepth 1 -type d -empty | sort") end

local function has(text, words) assert.is_truthy(text:find(words, 1, true), ("%q is not in: %s"):format(words, text)) end
local function has_not(text, words) assert.is_nil(text:find(words, 1, true), ("%q is in: %s"):format(words, text)) end

describe("directmail config init", function()
  it("asks five questions and writes a profile that nobody else can read", function()
    local told = init({ "--no-doctor" }, { { REGION, "ap-southeast-1" }, { SENDER, "Shop <noreply@mail.example.com>" }, { ID, KEY }, { KEY_SECRET, SECRET },
      { SMTP, PASSWORD } })
    assert.equal(0, told.status, told.said)
    assert.same({ region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", access_key_id = KEY, access_key_secret = SECRET,
      smtp_password = PASSWORD }, written())
    assert.equal("." .. PROFILE, files())
    assert.equal("600 700 700", capture(("cd %s && stat -c %%a .%s .config/directmail .config | paste -sd ' '"):format(home, PROFILE)))
    has(told.said, "wrote ~/.config/directmail/profile.lua (only you may read it)")
    for _, secret in ipairs { SECRET, PASSWORD } do has_not(told.said, secret) end
    assert.same({ true, true, true, false, false, true }, told.echo)
    for i = 1, 5 do has(told.said, i .. " of 5") end
    local code, out, talk = command.run { "config", "show", env = { HOME = home } }
    assert.same({ 0, "" }, { code, talk })
    has(out, "set, 13 characters")
  end)

  it("is read by every Lua", function()
    init({ "--no-doctor" }, { { REGION, "cn-hangzhou" }, { SENDER, '"O\'Neil \\"x\\"" <a@mail.example.com>' }, { ID, "" }, { SMTP, PASSWORD } })
    for _, lua in ipairs { "lua5.1", "luajit", "lua5.4" } do
      assert.equal(PASSWORD .. '"O\'Neil \\"x\\"" <a@mail.example.com>', capture(("%s -e 'local t = dofile(\"%s\") io.write(t.smtp_password, t.sender)'"):format(lua,
        home .. PROFILE)))
    end
  end)

  it("asks again, with the reason, when an answer cannot be used", function()
    local told = init({ "--no-doctor" }, {
      { REGION, "" }, { REGION, "ap-southest-1" }, { REGION, "  ap-southeast-1 " },
      { SENDER, "noreply" }, { "→ write it as" }, { SENDER, "a@x.example, b@x.example" }, { "→ give one address" }, { SENDER, "a@local" },
      { "→ write the whole domain" }, { SENDER, "noreply@mail.example.com" },
      { ID, KEY }, { KEY_SECRET, "s3cret s3cret" }, { ID, "abc" }, { KEY_SECRET, KEY },
      { ID, "STS.abcdef" }, { KEY_SECRET, SECRET }, { ID, "x" }, { KEY_SECRET, "" }, { ID, "" }, { SMTP, "" } })
    assert.equal(0, told.status, told.said)
    assert.same({ region = "ap-southeast-1", sender = "noreply@mail.example.com" }, written())
    for _, reason in ipairs { "it is needed", 'Direct Mail has no region "ap-southest-1"', "did you mean ap-southeast-1?", "sender holds more than one address",
      'sender: "a@local" has no dot in its domain', "access_key_secret (from your answer) holds a blank", "belongs to a temporary key", "have changed places" } do
      has(told.said, reason)
    end
    has_not(told.said, "s3cret")
  end)

  it("asks nothing that the command line says, and writes its other settings too", function()
    command.write(home .. "/pass", PASSWORD .. "\n")
    local told = init({ "--no-doctor", "--region", "eu-central-1", "--sender", "noreply@mail.example.com", "--password-file", home .. "/pass", "--timeout", "30",
      "--only", "*@example.com", "--size-limit", "0", "--cleartext-auth", "--profile", "staging" }, { { ID, "" } })
    assert.equal(0, told.status, told.said)
    assert.same({ region = "eu-central-1", sender = "noreply@mail.example.com", smtp_password = PASSWORD, timeout = 30, only = "*@example.com",
      size_limit = false, cleartext_auth = true }, written "/.config/directmail/staging.lua")
    has_not(told.said, "1 of 5")
    for _, wrong in ipairs { { "--region", "nowhere" }, { "--sender", "x" }, { "--access-key-id", KEY }, { "--dns", "x" }, { "--profile", "" } } do
      told = init(wrong, {})
      assert.equal(2, told.status, told.said)
      has_not(told.said, "of 5")
    end
  end)

  it("offers what the environment has, and says that it wins", function()
    local told = init({ "--no-doctor" }, { { "region [ap-southeast-1]: ", "" }, { SENDER, "noreply@mail.example.com" },
      { "the one of ALIBABA_CLOUD_ACCESS_KEY_ID is taken", "" }, { "DIRECTMAIL_SMTP_PASSWORD is taken", "" } },
      { DIRECTMAIL_REGION = "ap-southeast-1", ALIBABA_CLOUD_ACCESS_KEY_ID = KEY, ALIBABA_CLOUD_ACCESS_KEY_SECRET = SECRET, DIRECTMAIL_SMTP_PASSWORD = PASSWORD })
    assert.equal(0, told.status, told.said)
    assert.same({ region = "ap-southeast-1", sender = "noreply@mail.example.com" }, written())
    has(told.said, "DIRECTMAIL_REGION is set too, and wins over the profile")
    has_not(told.said, "DIRECTMAIL_SMTP_PASSWORD is set too")
    os.execute(("mkdir %s/.aliyun"):format(home))
    command.write(home .. "/.aliyun/config.json", cjson.encode { current = "prod", profiles = { { name = "prod", mode = "AK", access_key_id = KEY,
      access_key_secret = SECRET } } })
    has(init({ "--no-doctor", "--force" }, { { REGION, "cn-hangzhou" }, { SENDER, "a@mail.example.com" }, { ID, "" }, { SMTP, "" } }).said,
      'the one of ~/.aliyun/config.json, profile "prod", mode AK is taken')
  end)

  it("replaces no profile without a yes or --force", function()
    local rest = { { REGION, "cn-hangzhou" }, { SENDER, "a@mail.example.com" }, { ID, "" }, { SMTP, "" } }
    os.execute(("mkdir -p %s/.config/directmail"):format(home))
    command.write(home .. PROFILE, "return { timeout = 5 }")
    for _, no in ipairs { "", "n", "nonsense" } do
      local told = init({ "--no-doctor" }, { { "is there already. Replace it, with all that stands in it? [y/N] ", no } })
      assert.equal(2, told.status)
      has(told.said, "~/.config/directmail/profile.lua stays as it is")
      assert.same({ timeout = 5 }, written())
    end
    assert.equal(0, init({ "--no-doctor" }, { { "[y/N] ", "y" }, table.unpack(rest) }).status)
    assert.equal("cn-hangzhou", written().region)
    assert.equal("600", capture("stat -c %a " .. home .. PROFILE))
    rest[1] = { REGION, "eu-central-1" }
    assert.equal(0, init({ "--no-doctor", "--force" }, rest).status)
    assert.equal("eu-central-1", written().region)
    assert.equal("." .. PROFILE, files())
    os.execute(("rm %s%s && mkdir %s%s"):format(home, PROFILE, home, PROFILE))
    local told = init({ "--no-doctor", "--force" }, {})
    assert.equal(2, told.status)
    has(told.said, "is there, and is no file")
  end)

  it("writes nothing and leaves the terminal as it was when it is interrupted", function()
    local before = { { REGION, "cn-hangzhou" }, { SENDER, "a@mail.example.com" } }
    for _, how in ipairs { { { key = "\3" }, 130 }, { { signal = "TERM" }, 143 }, { { signal = "HUP" }, 129 }, { { key = "\28" }, 131 }, { { key = "\4" }, 2 } } do
      local answer = how[1]
      answer[1] = SMTP
      local told = init({ "--no-doctor" }, { before[1], before[2], { ID, "" }, answer })
      assert.equal(how[2], told.status, told.said)
      assert.same({ true, true, true, false, true }, told.echo)
      assert.equal("", files())
    end
    assert.equal(130, init({}, { { REGION, nil, key = "\3" } }).status)
    local told = init({}, { { REGION, nil, key = "\4" } })
    assert.equal(2, told.status)
    has(told.said, "there are no more answers; nothing was written")
    assert.equal("", files())
  end)

  -- nobody could wake the only program of a session, so there the signal does nothing; the question is put again all the same
  it("asks again after a signal to stop", function()
    local told = init({ "--no-doctor" }, { { REGION, "cn-hangzhou" }, { SENDER, "a@mail.example.com" }, { ID, "" },
      { SMTP, signal = "TSTP" }, { SMTP, PASSWORD } })
    assert.equal(0, told.status, told.said)
    assert.same({ true, true, true, false, false, true }, told.echo)
    assert.equal(PASSWORD, written().smtp_password)
    has_not(told.said, PASSWORD)
  end)

  it("says what to do where no terminal is, and where the profile cannot be", function()
    local code, out, talk = command.run { "config", "init", "--region", "cn-hangzhou", env = { HOME = home } }
    assert.same({ 2, "" }, { code, out })
    assert.matches("^directmail: usage: config init asks questions, and there is no terminal\n", talk)
    has(talk, "write ~/.config/directmail/profile.lua by hand, mode 600: return { region")
    local told = init({}, {}, { HOME = "" })
    assert.equal(2, told.status)
    has(told.said, "HOME is not set")
    command.write(home .. "/.config", "a file")
    told = init({ "--no-doctor" }, { { REGION, "cn-hangzhou" }, { SENDER, "a@mail.example.com" }, { ID, "" }, { SMTP, "" } })
    assert.equal(2, told.status)
    has(told.said, "the folder of ~/.config/directmail/profile.lua cannot be made")
    for _, case in ipairs { { "init", "--json" }, { "show", "--force" }, { "show", "--no-doctor" } } do
      code, out, talk = command.run { "config", table.unpack(case) }
      assert.equal(2, code)
      has(out .. talk, ("%s is no option of config %s"):format(case[2], case[1]))
    end
  end)

  it("runs doctor on what it wrote, and ends as doctor does", function()
    local box = assert(directmail.sandbox.start())
    local answers = { { REGION, "ap-southeast-1" }, { SENDER, "noreply@mail.example.com" }, { ID, box.account.access_key_id },
      { KEY_SECRET, box.account.access_key_secret }, { SMTP, box.env.DIRECTMAIL_SMTP_PASSWORD } }
    local words = { "--api", box.env.DIRECTMAIL_API, "--smtp", box.env.DIRECTMAIL_SMTP, "--ca", box.env.DIRECTMAIL_CA, "--dns", "127.0.0.1:1", "--profile", "box" }
    local told = init(words, answers)
    has(told.said, "smtp.login")
    assert.matches("smtp%.login +ok +noreply@mail%.example%.com, password set, 20 characters %(~/%.config/directmail/box%.lua:7%)", told.said:gsub("\27%[[%d;]*m", ""))
    assert.matches("\n%d+ failures?, ", told.said)
    assert.equal(told.said:find "\n0 failures, " and 0 or 1, told.status)
    for _, secret in ipairs { box.account.access_key_secret, box.env.DIRECTMAIL_SMTP_PASSWORD } do has_not(told.said, secret) end
    assert.same({}, box:mails())
    box:stop()
  end)
end)
