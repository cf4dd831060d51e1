local command = require "support.command"
local run, quote = command.run, command.quote

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

-- A script in a file of its own; returns its path.
local function script(name, text)
  local path = folder .. "/" .. name
  command.write(path, text)
  return path
end

describe("the command without a script", function()
  it("shows the overview on stderr and fails when nothing is asked", function()
    local code, out, err = run {}
    assert.equal(2, code)
    assert.equal("", out)
    assert.matches("directmail SCRIPT", err)
  end)

  it("shows the overview on stdout when it is asked for", function()
    for _, word in ipairs { "help", "--help", "-h" } do
      local code, out, err = run { word }
      assert.equal(0, code)
      assert.equal("", err)
      for _, name in ipairs { "send", "route", "sandbox", "sign", "env", "help", "version" } do
        assert.matches("\n  " .. name .. " +%S", out)
      end
    end
  end)

  it("says its version and Lua's", function()
    for _, word in ipairs { "version", "--version" } do
      local code, out = run { word }
      assert.equal(0, code)
      assert.matches("^directmail %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$", out)
    end
  end)

  it("shows the same help of a command in both spellings, examples first", function()
    for _, name in ipairs { "send", "route", "sandbox", "env", "help", "version" } do
      local code, out = run { name, "--help" }
      assert.equal(0, code)
      assert.is_true(out:find("Examples:", 1, true) < out:find("Usage: directmail " .. name, 1, true))
      local _, other = run { "help", name }
      assert.equal(out, other)
    end
  end)

  it("lists every variable of the environment on one line each", function()
    local code, out = run { "help", "environment" }
    assert.equal(0, code)
    for name in ([[REGION SENDER API SMTP SMTP_USER SMTP_PASSWORD AUTH CLEARTEXT_AUTH EHLO PROXY CA TIMEOUT SIZE_LIMIT REDIRECT ONLY
      DNS METADATA STS PROFILE]]):gmatch "%S+" do
      assert.matches("\n  DIRECTMAIL_" .. name .. " +%w[^\n]+", out)
    end
    for name in ("ACCESS_KEY_ID ACCESS_KEY_SECRET SECURITY_TOKEN"):gmatch "%S+" do
      assert.matches("\n  ALIBABA_CLOUD_" .. name .. " +%w[^\n]+", out)
    end
  end)

  it("names the nearest command, option, topic", function()
    for _, case in ipairs {
      { { "sned", "--to", "a@example.com" }, 'directmail: usage: "sned" is neither a command nor a script %(did you mean send%?%)\n' },
      { { "--versoin" }, "directmail: usage: unknown option %-%-versoin %(did you mean %-%-version%?%)\n" },
      { { "help", "enviroment" }, 'directmail: usage: there is no help on "enviroment" %(did you mean environment%?%)\n' },
      { { "send", "--attachments", "x" }, "directmail: usage: unknown option %-%-attachments %(did you mean %-%-attach%?%)\n" },
      { { "send", "--sujbect=x" }, "directmail: usage: unknown option %-%-sujbect %(did you mean %-%-subject%?%)\n" },
      { { "version", "now" }, 'directmail: usage: unexpected argument "now"\n' },
    } do
      local code, out, err = run(case[1])
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches("^" .. case[2] .. "  remedy   %S", err)
    end
  end)

  it("does not take an answer that could not be written for success", function()
    local code, _, err = run { "help", stdout = "/dev/full" }
    assert.equal(5, code)
    assert.matches("^directmail: the answer could not be written: ", err)
  end)

  it("tells a lost answer beside another failure too, whose code stays", function()
    local code, _, err = run { script("lost.lua", 'print "x" return 3'), stdout = "/dev/full" }
    assert.equal(3, code)
    assert.matches("^directmail: the answer could not be written: ", err)
  end)
end)

describe("a script", function()
  it("gets its arguments as lua gives them", function()
    local path = script("args.lua", 'print(arg[0], #arg, arg[1], arg[2], arg[-1] ~= nil, ...)')
    local code, out = run { path, "--to", "x y" }
    assert.equal(0, code)
    assert.equal(path .. "\t2\t--to\tx y\ttrue\t--to\tx y\n", out)
  end)

  it("is found by a bare name, but never instead of a command", function()
    script("send", "print 'a script'")
    script("greet", "print 'hello'")
    local code, out = run { "greet", cd = folder }
    assert.equal(0, code)
    assert.equal("hello\n", out)
    assert.equal(2, (run { "send", cd = folder }))
    code, out = run { "./send", cd = folder }
    assert.equal(0, code)
    assert.equal("a script\n", out)
  end)

  it("may begin with #! and may come from stdin", function()
    local code, out = run { "-", "a", stdin = "#!/usr/bin/env directmail\nprint(arg[0], ...) return 9" }
    assert.equal(9, code)
    assert.equal("-\ta\n", out)
    local path = script("bang", "#!" .. command.exe .. "\nprint(...)\n")
    os.execute("chmod 755 " .. quote(path))
    code, out = run { "b", exe = path }
    assert.equal(0, code)
    assert.equal("b\n", out)
  end)

  it("may be a pipe, which can be read once only", function()
    local code, out = run { exe = "sh", "-c", 'echo "print(7)" | "$0" /dev/fd/0', command.exe }
    assert.equal(0, code)
    assert.equal("7\n", out)
  end)

  it("chooses its own exit code", function()
    assert.equal(0, (run { "-", stdin = "return" }))
    assert.equal(0, (run { "-", stdin = "return 'text'" }))
    assert.equal(3, (run { "-", stdin = "return 3" }))
    assert.equal(7, (run { "-", stdin = "os.exit(7)" }))
    assert.equal(1, (run { "-", stdin = "os.exit(false)" }))
  end)

  it("that fails shows its own line and its own frames, and ends with 5", function()
    local path = script("boom.lua", "local function inner() error 'boom' end\nlocal function outer() inner() end\nouter()\n")
    local code, out, err = run { path }
    assert.equal(5, code)
    assert.equal("", out)
    assert.matches("^directmail: [^\n]*boom%.lua:1: boom\n", err)
    assert.matches("\n  at       [^\n]*boom%.lua:1, in function inner\n", err)
    assert.matches("\n  at       [^\n]*boom%.lua:3, in main chunk\n$", err)
    assert.not_matches("directmail/command", err)
    assert.not_matches("%[C%]", err)
    local _, _, all = run { "--debug", path }
    assert.matches("directmail/command/script%.lua", all)
  end)

  it("that raises anything at all ends with 5 and some words", function()
    for _, case in ipairs {
      { "error(setmetatable({}, { __tostring = function() return 'by itself' end }))", "^directmail: by itself\n" },
      { "error {}", "^directmail: an error that is no text, a table value, was raised\n" },
      { "error()", "^directmail: an error that is no text, a nil value, was raised\n" },
      { "local function f() return f() + 1 end f()", "stack overflow" },
      { "x = = 1", "^directmail: stdin:1: " },
    } do
      local code, _, err = run { "-", stdin = case[1] }
      assert.equal(5, code)
      assert.matches(case[2], err)
      assert.is_true(#err < 4000)
    end
  end)

  it("that eats all memory ends with 5", function()
    local code, _, err = run { exe = "sh", "-c", 'ulimit -v 60000; exec "$0" -', command.exe,
      stdin = "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) end" }
    assert.equal(5, code)
    assert.equal("directmail: not enough memory\n", err)
  end)

  it("that cannot be read is a usage error naming it", function()
    for _, path in ipairs { "no/such.lua", "such.lua", folder .. "/" } do
      local code, _, err = run { path }
      assert.equal(2, code)
      assert.matches("^directmail: usage: cannot %a+ ", err)
      assert.is_truthy(err:find(path, 1, true))
    end
  end)

  it("leaves an uncaught send error's code behind, and says the error in words", function()
    for _, case in ipairs {
      { 1, "code = 'REFUSED', outcome = 'refused', where = { step = 'rcpt' }" },
      { 3, "code = 'REFUSED', outcome = 'refused', retry = true, where = { step = 'rcpt' }" },
      { 2, "code = 'ADDRESS', outcome = 'not_sent'" },
      { 3, "code = 'CONNECT', outcome = 'not_sent', where = { step = 'connect' }" },
      { 3, "code = 'THROTTLED', outcome = 'not_sent', retry = true" },
      { 4, "code = 'LOST', outcome = 'unknown', where = { step = 'dot' }" },
    } do
      for _, raise in ipairs { "error(e)", "assert(nil, e)" } do
        local code, _, err = run { "-", stdin = ("local e = require 'directmail.err'.new { %s, cause = 'because', remedy = 'do so' }\n%s")
          :format(case[2], raise) }
        assert.equal(case[1], code)
        assert.matches("\n  cause    because\n  remedy   do so\n", err)
        assert.matches("  at       stdin:2, in main chunk\n$", err)
      end
    end
  end)

  it("gets our modules, whatever lies in the working folder", function()
    os.execute("mkdir -p " .. quote(folder .. "/directmail"))
    for _, name in ipairs { "directmail.lua", "directmail/err.lua", "directmail/core.lua" } do script(name, "error 'a stranger'") end
    local code, _, err = run { "-", cd = folder, env = { LUA_PATH = folder .. "/?.lua;;" },
      stdin = "require 'directmail.err' require 'directmail.core' require 'directmail'" }
    assert.equal("", err)
    assert.equal(0, code)
  end)

  it("loads nothing that it does not ask for", function()
    local code, out = run { "-",
      stdin = "for name in pairs(package.loaded) do if name:find '^directmail' or name == 'argparse' then print(name) end end" }
    assert.equal(0, code)
    local names = {}
    for name in out:gmatch "%S+" do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "directmail.command", "directmail.command.exit", "directmail.command.script" }, names)
  end)
end)

describe("a command", function()
  it("loads no module from the working folder", function()
    script("cjson.lua", "error 'a stranger'")
    script("argparse.lua", "error 'a stranger'")
    local code, out = run { "send", "--json", "--too", cd = folder }
    assert.equal(2, code)
    assert.matches('^{"ok":false,"outcome":"not_sent","code":"OPTION",', out)
  end)

  it("without its modules says what is missing", function()
    local copy = folder .. "/directmail-alone"
    os.execute("cp " .. quote(command.exe) .. " " .. quote(copy))
    local code, _, err = run { "-", exe = copy, env = { LUA_CPATH = folder .. "/none/?.so" }, stdin = "require 'directmail.core'" }
    local installed = io.open "/usr/local/lib/lua/5.4/directmail/core.so"
    if installed then       -- it stands in, and rightly
      installed:close()
      assert.equal(0, code)
    else
      assert.equal(5, code)
      assert.matches("the module directmail%.core is missing: run make in the source folder, or make install", err)
    end
    assert.equal(0, (run { "version", exe = copy, env = { LUA_CPATH = folder .. "/none/?.so" } }))
  end)
end)
