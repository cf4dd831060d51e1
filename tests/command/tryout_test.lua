-- directmail --sandbox SCRIPT: against a private sandbox, and what it sent is shown.
local command = require "support.command"
local run = command.run

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

local function try(text, more)
  local words = { "--sandbox", "-", stdin = text }
  for name, value in pairs(more or {}) do words[name] = value end
  return run(words)
end

local SEND = [[local mail = assert(require "directmail".new())
  assert(mail:send { to = "Ann <ann@example.com>", subject = "Hello there", text = "Hi", attachments = { { name = "rows.csv", data = "1,2" } } })
  assert(mail:send { to = "bob@example.com", subject = "Second", text = "Hi", via = "api" }) ]]

describe("directmail --sandbox SCRIPT", function()
  it("shows what the script sent, and ends with its code", function()
    local code, out, err = try(SEND .. 'print "mine" return 7')
    assert.equal(7, code)
    assert.equal("mine\n", out)
    assert.matches('^sandbox: the script sent 2 mails, and nothing left this machine\nsmtp  noreply@mail%.example%.com → ann@example%.com\n'
      .. '      "Hello there"   %d+ B\n      attached: rows%.csv %(3 B%)\napi   noreply@mail%.example%.com → bob@example%.com\n      "Second"   %d+ B\n$', err)
  end)

  it("says so when it sent none, and keeps the code of an error", function()
    assert.same({ 0, "", "sandbox: the script sent no mail\n" }, { try "" })
    local code, _, err = try "error 'boom'"
    assert.equal(5, code)
    assert.matches("stdin:1: boom", err)
    assert.matches("sandbox: the script sent no mail\n$", err)
  end)

  it("leaves the words behind the script to it, and nothing in the folder for temporary files", function()
    command.write(folder .. "/args.lua", "print(arg[0], ...)")
    os.execute("mkdir " .. folder .. "/tmp")
    local code, out = run { "--debug", "--sandbox", folder .. "/args.lua", "--sandbox", "-x", "", env = { TMPDIR = folder .. "/tmp" } }
    assert.equal(0, code)
    assert.equal(folder .. "/args.lua\t--sandbox\t-x\t\n", out)
    assert.is_true((os.remove(folder .. "/tmp")), "something was left behind")
  end)

  it("lets no credential, endpoint, store or profile of the user's through", function()
    local config = folder .. "/directmail"
    os.execute("mkdir -p " .. config)
    command.write(config .. "/profile.lua", 'smtp = "smtp://127.0.0.1:9" proxy = "http://127.0.0.1:9" store = "redis://127.0.0.1:9" redirect = "real@example.com"'
      .. ' smtp_password = "REAL-1"')
    os.execute("chmod 600 " .. config .. "/profile.lua")
    local env = { XDG_CONFIG_HOME = folder, DIRECTMAIL_SMTP_PASSWORD = "REAL-2", DIRECTMAIL_API = "http://127.0.0.1:9", DIRECTMAIL_PROXY = "http://127.0.0.1:9",
      DIRECTMAIL_STORE = "redis://127.0.0.1:9", DIRECTMAIL_PROFILE = config .. "/profile.lua", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "REAL-3",
      ALIBABA_CLOUD_SECURITY_TOKEN = "REAL-4", ALIBABA_CLOUD_PROFILE = "REAL-5" }
    local code, out, err = try(SEND .. [[
      local values = mail.settings
      print(values.proxy, values.store, values.redirect, values.profile, values.security_token)
      local pipe = io.popen "env"
      print(pipe:read "a":find("REAL", 1, true)) ]], { env = env })
    assert.equal(0, code, err)
    assert.equal("nil\tnil\tnil\tnil\tnil\nnil\n", out)
    assert.matches("the script sent 2 mails", err)
  end)

  it("is for scripts: a command, or nothing, is a usage error that names the way", function()
    local code, _, err = run { "--sandbox", "send" }
    assert.equal(2, code)
    assert.matches("send is a command\n  remedy   directmail sandbox %-%- directmail send", err)
    code, _, err = run { "--sandbox" }
    assert.equal(2, code)
    assert.matches("none is named", err)
    assert.equal(2, (run { "--sandbox", folder .. "/absent.lua" }))
  end)
end)
