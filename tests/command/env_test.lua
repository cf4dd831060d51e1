local command = require "support.command"
local run, quote = command.run, command.quote

describe("directmail env", function()
  it("lets the interpreter find the module from any folder", function()
    local code, out, err = run { "env" }
    assert.equal("", err)
    assert.equal(0, code)
    assert.matches("^export LUA_PATH='/[^\n]*/lua/%?%.lua;/[^\n]*/lua/%?/init%.lua;;'\nexport LUA_CPATH='/[^\n]*/lua5%.4/%?%.so;;'\n$", out)
    local _, named = run { "env", "lua5.4" }
    assert.equal(out, named)
    local found = run { exe = "sh", "-c", ('eval "$(%s env)"; cd /; exec lua5.4 -e \'assert(require "directmail.core".version)\'')
      :format(quote(command.exe)) }
    assert.equal(0, found)
  end)

  it("names the make call for a Lua whose module is not built", function()
    -- a build folder with the command and the module for lua5.4 only
    local folder = command.folder()
    os.execute(("mkdir -p %s/lua5.4/directmail; cp %s %s/directmail; touch %s/lua5.4/directmail/core.so"):format(folder,
      quote(command.exe), folder, folder))
    for _, lua in ipairs { "lua5.3", "luajit" } do
      local code, out, err = run { "env", lua, exe = folder .. "/directmail" }
      assert.equal(1, code)
      assert.equal("", out)
      assert.equal(("directmail: the module for %s is not built\n  remedy   make LUAS=%s\n"):format(lua, lua), err)
    end
    command.remove(folder)
  end)

  it("quotes a folder's name for the shell and gives luajit the module of lua5.1", function()
    local folder = command.folder()
    local odd = folder .. "/it's $HOME `x`"
    os.execute(("mkdir %s && cd %s && mkdir -p build/lua5.4/directmail build/lua5.1/directmail lua/directmail && cp %s build"):format(
      quote(odd), quote(odd), quote(command.exe)))
    for _, file in ipairs { "build/lua5.4/directmail/core.so", "build/lua5.1/directmail/core.so", "lua/directmail/init.lua" } do
      command.write(odd .. "/" .. file, "")
    end
    local code, out = run { exe = "sh", "-c", 'eval "$("$0" env luajit)"; printf "%s\\n%s\\n" "$LUA_PATH" "$LUA_CPATH"',
      odd .. "/build/directmail" }
    assert.equal(0, code)
    assert.equal(("%s/lua/?.lua;%s/lua/?/init.lua;;\n%s/build/lua5.1/?.so;;\n"):format(odd, odd, odd), out)
    command.remove(folder)
  end)

  it("refuses a folder that no path of Lua can name", function()
    local folder = command.folder()
    local odd = folder .. "/a;b"
    os.execute(("mkdir -p %s/build/lua5.4/directmail %s/lua/directmail; cp %s %s/build/directmail"):format(quote(odd), quote(odd),
      quote(command.exe), quote(odd)))
    command.write(odd .. "/build/lua5.4/directmail/core.so", "")
    command.write(odd .. "/lua/directmail/init.lua", "")
    local code, out, err = run { "env", exe = odd .. "/build/directmail" }
    assert.equal(1, code)
    assert.equal("", out)
    assert.matches('^directmail: a path of Lua cannot hold the ";"', err)
    command.remove(folder)
  end)

  it("prints the folders of an installation beside its bin/", function()
    local folder = command.folder()
    os.execute(("mkdir -p %s/bin %s/lib/lua/5.4/directmail %s/share/lua/5.4/directmail; cp %s %s/bin"):format(folder, folder, folder,
      quote(command.exe), folder))
    command.write(folder .. "/lib/lua/5.4/directmail/core.so", "")
    command.write(folder .. "/share/lua/5.4/directmail/init.lua", "")
    local code, out = run { "env", exe = folder .. "/bin/directmail" }
    assert.equal(0, code)
    assert.equal(("export LUA_PATH='%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua;;'\nexport LUA_CPATH='%s/lib/lua/5.4/?.so;;'\n")
      :format(folder, folder, folder), out)
    local missing, _, err = run { "env", "lua5.2", exe = folder .. "/bin/directmail" }
    assert.equal(1, missing)
    assert.matches("^directmail: directmail is not installed for lua5%.2: looked in ", err)
    command.remove(folder)
  end)

  it("knows its interpreters and names the nearest", function()
    local code, out, err = run { "env", "lua5.5" }
    assert.equal(2, code)
    assert.equal("", out)
    assert.matches('^directmail: usage: no module is made for "lua5%.5" %(did you mean lua5%.%d%?%)\n', err)
  end)

  it("warns when a variable of one version hides LUA_PATH", function()
    local code, out, err = run { "env", env = { LUA_PATH_5_4 = "/x/?.lua;;" } }
    assert.equal(0, code)
    assert.matches("^export LUA_PATH=", out)
    assert.equal("directmail: LUA_PATH_5_4 is set, so lua5.4 does not look at LUA_PATH; unset it\n", err)
  end)
end)
