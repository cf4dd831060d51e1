-- The profile: what may stand in it, who may write it, and what a hostile one can do.
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local memory = require "directmail.host.memory"
local profile = require "directmail.profile"
local settings = require "directmail.settings"

local folder, config
local function sh(command) return (assert(os.execute(command))) end

local function write(path, text, mode)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  sh(("chmod %s '%s'"):format(mode or "600", path))
  return path
end

setup(function()
  local pipe = io.popen "mktemp -d"
  folder = pipe:read "*l"
  pipe:close()
  config = folder .. "/.config/directmail"
  sh(("mkdir -p '%s'"):format(config))
end)
teardown(function() sh(("rm -rf '%s'"):format(folder)) end)
before_each(function() sh(("rm -rf '%s'/*"):format(config)) end)

local function host_of(env)
  env = env or {}
  env.HOME = env.HOME or folder
  return memory.new { env = env }
end

-- What core.profile says to a text: values, or nil, code, sentence.
local function said(text, mode, instructions)
  return core.profile(write(config .. "/x.lua", text, mode), limits.profile_octets, instructions or limits.profile_instructions)
end

local function refused(text, code, pattern)
  local values, got, why, remedy = said(text)
  assert.is_nil(values)
  assert.equal(code, got)
  assert.matches(pattern, why)
  return why, remedy
end

describe("what a profile says", function()
  it("is a table that it returns, or names that it assigns", function()
    local want = { region = "ap-southeast-1", size_limit = 20, timeout = 1.5, cleartext_auth = false, only = { "*@a.example", "b@c.example" },
      route = { deployed = "us", residency = { "de", "sg" } } }
    local fields = [[region = "ap-southeast-1", size_limit = 20, timeout = 1.5, cleartext_auth = false, only = { "*@a.example", "b@c.example" },
      route = { deployed = "us", residency = { "de", "sg" } }]]
    assert.same(want, (said("return { " .. fields .. " }")))
    assert.same({ region = "x", timeout = 1.5 }, (said 'region = "x"\ntimeout = 3 / 2 -- a comment\n'))
    assert.same({}, (said ""))
    assert.same({}, (said "return"))
    assert.same({}, (said "return {}"))
    assert.same({ sender = "a\0b\255" }, (said 'local s = "a\\0b\\255" return { sender = s }'))
  end)

  it("may begin with the mark that some editors write", function()
    assert.same({ region = "x" }, (said '\239\187\191region = "x"'))
  end)

  it("is refused when it does both, returns something else, or holds what no setting is", function()
    refused('region = "x" return { sender = "y" }', "OPTION", "^returns a table and assigns names")
    refused("return 7", "OPTION", "^returns a number$")
    refused("return function() end", "OPTION", "^returns a function$")
    refused("return { sender = function() end }", "OPTION", '"sender" holds a function$')
    refused("function sender() end", "OPTION", '"sender" holds a function$')
    refused("return { only = { { 'a' } }, sender = 'x', route = { residency = { {} } } }", "OPTION", '"route" holds a table in tables$')
    refused("return { 'x' }", "OPTION", "it has a value without a name: its key is a number$")
    refused("return { [true] = 'x' }", "OPTION", "its key is a boolean$")
    refused("return { only = { [{}] = 'x' } }", "OPTION", '"only" has a key that is a table$')
    local why = refused("return { ['" .. ("n"):rep(5000) .. "'] = function() end }", "OPTION", '"n+" holds a function$')
    assert.is_true(#why < 300)
  end)

  it("is copied within bounds, however it was built", function()
    refused("local a = {} for i = 1, 1000 do a[i] = 'x' end local b = {} for i = 1, 1000 do b[i] = a end return { only = b }",
      "OPTION", '"only" makes the profile too large$')
    refused("local s = 'x' for i = 1, 17 do s = s .. s end return { sender = s }", "OPTION", '"sender" makes the profile too large$')
    refused("local a = {} a.a = a return a", "OPTION", "holds a table in tables$")
    local list = {}
    for i = 1, 10000 do list[i] = '"a"' end
    local values = said("return{only={" .. table.concat(list, ",") .. "}}")
    assert.equal(10000, #values.only)
  end)
end)

describe("a hostile profile", function()
  it("has no library and no way to a metatable", function()
    for _, name in ipairs { "os", "io", "require", "load", "loadstring", "dofile", "pcall", "error", "assert", "setmetatable", "getmetatable",
      "string", "debug", "coroutine", "package", "print", "rawget", "_G", "jit", "ffi", "collectgarbage", "next" } do
      assert.same({ found = false }, (said(("return { found = %s ~= nil }"):format(name))), name)
    end
    refused("error { code = 1 }", "LUA", "^profile:1: attempt to call .*error")
    refused('return { sender = ("x"):rep(1000) }', "LUA", "^profile:1: attempt to ")
    -- LuaJIT makes a number of a library out of this; elsewhere it is no number
    local values, code = said "return { timeout = 1LL }"
    assert.is_nil(values)
    assert.is_truthy(code == "OPTION" or code == "LUA")
  end)

  it("ends: loops, recursion, calls", function()
    for _, text in ipairs { "while true do end", "repeat until false", "for i = 1, 1e300 do end", "local function f() return f() end f()",
      "local t = {} while true do t[1] = #t end" } do
      refused(text, "OPTION", "^was stopped, since it does not come to an end$")
    end
    local values, code = said "local function f() return 1 + f() end f()"
    assert.is_nil(values)
    assert.is_truthy(code == "OPTION" or code == "LUA")         -- the stack's limit or the memory's
    assert.same({ timeout = 5000 }, (said "local n = 0 for i = 1, 5000 do n = n + 1 end return { timeout = n }"))
  end)

  it("gets no more than 2 MiB", function()
    for _, text in ipairs { 'local s = "x" while true do s = s .. s end', "local s = 'x' for i = 1, 16 do s = s .. s end local t = {} for i = 1, 100 do t[i] = s .. i end" } do
      collectgarbage()
      local before = collectgarbage "count"
      refused(text, "OPTION", "^needs more than 2 MiB of memory$")
      assert.is_true(collectgarbage "count" - before < 1024)
    end
  end)

  it("pays more for an instruction the more it holds", function()
    local began = os.clock()
    refused('local s = "x" for i = 1, 17 do s = s .. s end while true do local t = s .. "y" end', "OPTION", "^was stopped")
    refused('local s = "x" for i = 1, 17 do s = s .. s end local a, b = s .. "y", s .. "z" while true do local t = a < b end', "OPTION", "^was stopped")
    assert.is_true(os.clock() - began < 20)
  end)

  it("is text: no bytecode, whatever stands before it", function()
    local dumped = string.dump((loadstring or load)("return { region = 'x' }"))
    local _, remedy = refused(dumped, "OPTION", "^is compiled Lua$")
    assert.equal("only text is read", remedy)
    refused("\239\187\191" .. dumped, "OPTION", "^is compiled Lua$")
    local values, code = said("#!\n" .. dumped)
    assert.is_nil(values)
    assert.equal("LUA", code)
  end)

  it("cannot nest its text without end", function()
    for _, part in ipairs { "(", "{", "function() ", "if x then " } do
      local values, code = said("x = " .. part:rep(math.floor(60000 / #part)))
      assert.is_nil(values)
      assert.is_truthy(code == "LUA" or code == "OPTION")
    end
  end)

  it("shows no secret in Lua's own complaint", function()
    for _, text in ipairs { 'smtp_password = "s3cret', "smtp_password = s3cret s3cret", 'smtp_password = "s3cret" + 1', 'x = ("s3cret").y.z', 'x = -"s3cret"',
      'x = "s3cret" .. {}', "smtp_password = 3s3cret", 'smtp_password = "s3cret\\300"', 'x = #("s3cret")()', 'x = "s3cret" < 1', 'x = "s3cret"()' } do
      write(config .. "/profile.lua", "\n" .. text)
      local values, e = profile.read(nil, nil, host_of(), settings.PROFILE_NAMES)
      assert.is_nil(values)
      assert.equal("OPTION", e.code)
      assert.not_matches("s3cret", tostring(e))
      assert.matches("profile%.lua", e.cause)
    end
  end)

  it("leaves nothing behind, a hundred times", function()
    for _ = 1, 100 do said "while true do end" end
    assert.same({ region = "x" }, (said 'region = "x"'))
  end)
end)

describe("the file of a profile", function()
  it("is one of ours that nobody else may write", function()
    for mode, wrong in pairs { ["600"] = false, ["400"] = false, ["644"] = false, ["666"] = true, ["620"] = true, ["602"] = true, ["664"] = true } do
      local values, code, why, remedy = said("region = 'x'", mode)
      if wrong then
        assert.is_nil(values)
        assert.equal("FILE", code)
        assert.equal(("may be written by others than its owner (mode 0%s)"):format(mode), why)
        assert.matches("chmod 600 /", remedy)
      else
        assert.same({ region = "x" }, values)
        assert.same({ text = "region = 'x'", mode = "0" .. mode, exposed = mode == "644" }, code)
      end
    end
  end)

  it("may belong to root, and to no other stranger", function()
    local _, code = core.profile("/etc/passwd", limits.profile_octets, 1000)
    assert.equal("LUA", code)           -- it was read
    local path = write(config .. "/theirs.lua", "region = 'x'")
    local given_away = os.execute(("chown 12345 '%s' 2>/dev/null"):format(path))
    if given_away == true or given_away == 0 then     -- only root can
      local values, what, why, remedy = core.profile(path, 100, 1000)
      assert.same({ "FILE", "belongs to another user (12345)" }, { values or what, why })
      assert.matches("chown 0 /", remedy)
    end
  end)

  it("may be a link to one, and is nothing else", function()
    write(config .. "/real.lua", "region = 'x'")
    sh(("ln -s real.lua '%s/link.lua'"):format(config))
    assert.same({ region = "x" }, (core.profile(config .. "/link.lua", 100, 1000)))
    sh(("mkfifo '%s/fifo.lua'; mkdir '%s/folder.lua'; ln -s loop.lua '%s/loop.lua'; ln -s nowhere '%s/dangling.lua'"):format(config, config, config, config))
    local function why(name) return { select(2, core.profile(config .. "/" .. name .. ".lua", 100, 1000)) } end
    assert.same({ "FILE", "is not a regular file", "write the settings into a file" }, why "fifo")
    assert.same({ "FILE", "is a folder", "name a file" }, why "folder")
    assert.equal("FILE", why "loop"[1])
    assert.equal("ABSENT", why "dangling"[1])
    assert.equal("ABSENT", why "none"[1])
    assert.equal("ABSENT", why "real.lua/none"[1])
    assert.same({ "FILE", "is not a regular file" }, { select(2, core.profile("/dev/zero", 100, 1000)), (select(3, core.profile("/dev/zero", 100, 1000))) })
  end)

  it("has up to 64 KB", function()
    local head = 'region = "x" --'
    assert.same({ region = "x" }, (said(head .. ("-"):rep(limits.profile_octets - #head))))
    refused(head .. ("-"):rep(limits.profile_octets - #head + 1), "FILE", "^is larger than 65536 octets$")
  end)

  it("is asked for with sense", function()
    assert.has_error(function() core.profile("a\0b", 100, 100) end)
    assert.has_error(function() core.profile("a", 0, 100) end)
    assert.has_error(function() core.profile("a", 100, 0) end)
    assert.has_error(function() core.profile("a", 2 ^ 40, 100) end)
  end)
end)

describe("where a profile lies", function()
  local function path(name, env) return profile.path(name, memory.new { env = env }) end

  it("is ~/.config, or an absolute XDG_CONFIG_HOME", function()
    assert.equal("/home/ann/.config/directmail/profile.lua", path(nil, { HOME = "/home/ann" }))
    assert.equal("/home/ann/.config/directmail/prod.lua", path("prod", { HOME = "/home/ann/" }))
    assert.equal("/etc/x/directmail/prod.lua", path("prod", { HOME = "/home/ann", XDG_CONFIG_HOME = "/etc/x/" }))
    assert.equal("/home/ann/.config/directmail/prod.lua", path("prod", { HOME = "/home/ann", XDG_CONFIG_HOME = "x" }))
    assert.equal("./x", path("./x", { HOME = "/home/ann" }))
    assert.equal("/home/ann/x.lua", path("~/x.lua", { HOME = "/home/ann" }))
    assert.equal("/x.lua", path("/x.lua", {}))
  end)

  it("is never the working folder", function()
    assert.is_nil(path(nil, {}))
    assert.is_nil(path(nil, { HOME = "." }))
    assert.is_nil(path("prod", { HOME = "relative/home" }))
    assert.is_nil(path("prod", { XDG_CONFIG_HOME = "." }))
  end)

  it("may hold nothing unless it was named", function()
    assert.is_nil(select(2, profile.read(nil, nil, host_of(), { "region" })))
    local _, e = profile.read("prod", "DIRECTMAIL_PROFILE", host_of(), { "region" })
    assert.equal("FILE", e.code)
    assert.matches("^the profile prod %(from DIRECTMAIL_PROFILE%) ", (e.cause:gsub("~/%.config/directmail/prod%.lua", "prod")))
    _, e = profile.read("prod", "option profile", host_of { HOME = "x" }, { "region" })
    assert.matches("HOME is not set", e.cause)
    _, e = profile.read("", "option profile", host_of(), { "region" })
    assert.equal("OPTION", e.code)
  end)
end)

describe("profile.read", function()
  local function read(text) write(config .. "/profile.lua", text) return profile.read(nil, nil, host_of(), settings.PROFILE_NAMES) end

  it("names the line of each value", function()
    local file = assert(read 'return {\n  -- region = "no"\n  region = "x",\n  sender =\n    "y", timeout = 3, ["ehlo"] = "z", route = { deployed = "us", recipients = "cn" },\n}')
    assert.equal("~/.config/directmail/profile.lua", file.path)
    assert.equal("~/.config/directmail/profile.lua:3", file.from "region")
    assert.equal("~/.config/directmail/profile.lua:4", file.from "sender")
    assert.equal("~/.config/directmail/profile.lua:5", file.from "timeout")
    assert.equal("~/.config/directmail/profile.lua", file.from "ehlo")
    file = assert(read 'return { region = "x", sender = "y" }')
    assert.equal("~/.config/directmail/profile.lua:1", file.from "sender")
    file = assert(read 'region = "x"\nregion = "y"\r\n')
    assert.equal("y", file.values.region)
    assert.equal("~/.config/directmail/profile.lua:2", file.from "region")
  end)

  it("refuses an unknown name with its line and the nearest one", function()
    local _, e = read 'sender = "x"\nregoin = "y"\nzzz = 1\n'
    assert.equal("OPTION", e.code)
    assert.equal('unknown setting "regoin" in ~/.config/directmail/profile.lua:2 (did you mean "region"?)', e.cause)
    _, e = read 'transport = {}'
    assert.matches('^unknown setting "transport"', e.cause)
    _, e = read 'profile = "other"'
    assert.matches('^unknown setting "profile"', e.cause)
    _, e = read "return { ['a\\n\\27[31mb%s'] = 1 }"
    assert.matches([[^unknown setting "a\n\27%[31mb%%s" in ]], e.cause)
  end)

  it("says what is wrong with a text, and where", function()
    local _, e = read 'region = "x"\nsender = = 3'
    assert.matches("^~/%.config/directmail/profile%.lua:2: ", e.cause)
    _, e = read 'region = os.getenv "X"'
    assert.matches("^~/%.config/directmail/profile%.lua:1: attempt to .*os", e.cause)
    assert.is_string(e.remedy)
    sh(("chmod 666 '%s/profile.lua'"):format(config))
    _, e = profile.read(nil, nil, host_of(), settings.PROFILE_NAMES)
    assert.equal("FILE", e.code)
    assert.equal("the profile ~/.config/directmail/profile.lua may be written by others than its owner (mode 0666)", e.cause)
    assert.matches("chmod 600", e.remedy)
  end)
end)
