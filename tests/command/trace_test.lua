-- directmail trace: what people and programs read, and the exit code.
local cjson = require "cjson"
local command = require "support.command"
local directmail = require "directmail"
local host = require "directmail.host"

local box

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function() box:clear() end)

-- The sandbox is served by this program, so the command runs as a task beside it.
local function trace(...)
  local words = { "trace", ... }
  local folder = command.folder()
  local parts = {}
  for i, word in ipairs(words) do parts[i] = command.quote(word) end
  local child = assert(host.child({ "sh", "-c", ("exec %s %s >%s/out 2>%s/err </dev/null"):format(command.quote(command.exe), table.concat(parts, " "),
    folder, folder) }, box.env))
  local status = child:wait()
  local out, talk = command.read(folder .. "/out"), command.read(folder .. "/err")
  command.remove(folder)
  return status, out, talk
end

local function send(subject, to)
  local mail = assert(directmail.new {
    region = "ap-southeast-1", sender = "noreply@mail.example.com", api = box.urls.api, access_key_id = box.account.access_key_id,
    access_key_secret = box.account.access_key_secret,
  })
  assert(mail:send { to = to or "ann@example.net", subject = subject, text = "Hi" })
end

describe("directmail trace", function()
  it("tells what was delivered, and what nobody can see", function()
    send "Welcome, Ann"
    local status, out, talk = trace("--to", "ann@example.net")
    assert.same({ 0, "" }, { status, talk })
    assert.matches('^ann@example%.net  %d+%-%d+%-%d+T%d+:%d+:%d+Z  delivered  "Welcome, Ann"  from noreply@mail%.example%.com\n'
      .. "  said     250 Send Mail OK %(SendOk%)\n  cause    the receiving server accepted it\n  remedy   .*spam folder.*\n$", out)
  end)

  it("tells of an address that it has no record, and exits with 1", function()
    send "Welcome"
    for _, words in ipairs { { "--to", "bob@example.net" }, { "--to", "ann@example.net", "--subject", "Other" } } do
      local status, out, talk = trace(table.unpack(words))
      assert.same({ 1, "" }, { status, talk })
      assert.matches("^%w+@example%.net  not known\n  cause    the service has no record of .-\n  remedy   records appear some minutes late", out)
    end
  end)

  it("gives an object a mail, a line each", function()
    send "One"
    send("Two", "bob@example.net")
    local status, out, talk = trace("--to", "ann@example.net", "--to", "Bob <bob@example.net>", "--to", "cy@example.net", "--json")
    assert.same({ 1, "" }, { status, talk })
    local list = {}
    for line in out:gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
    assert.equal(3, #list)
    assert.same({ "ann@example.net", "delivered", "One", "SendOk" }, { list[1].address, list[1].status, list[1].subject, list[1].class })
    assert.same({ "bob@example.net", "delivered", "Two" }, { list[2].address, list[2].status, list[2].subject })
    assert.same({ "cy@example.net", "not_known" }, { list[3].address, list[3].status })
    for _, one in ipairs(list) do
      assert.is_string(one.cause)
      assert.is_string(one.remedy)
      assert.is_nil(one.ok)
    end
  end)

  it("looks from a time on", function()
    send "Welcome"
    local day = os.date "!%Y-%m-%d"
    for _, since in ipairs { "5m", "2h", "29d", day, day .. " 00:00", day .. "T00:00:00Z" } do
      assert.equal(0, (trace("--to", "ann@example.net", "--since", since)), since)
    end
    for since, words in pairs { ["yesterday"] = "is no time", ["2026-13-01"] = "is no time", ["2026-02-30"] = "is no time", ["5"] = "is no time",
      ["2999-01-01"] = "has not come yet" } do
      local status, out, talk = trace("--to", "ann@example.net", "--since", since)
      assert.same({ 2, "" }, { status, out }, since)
      assert.is_truthy(talk:find("directmail: usage: --since: ", 1, true) and talk:find(words, 1, true), talk)
    end
  end)

  it("wants an address, and says why the service cannot be asked", function()
    local status, _, talk = trace()
    assert.equal(2, status)
    assert.matches("there is nobody to look for", talk)
    status, _, talk = trace("--to", "ann")
    assert.equal(2, status)
    assert.matches("is no address", talk)
    status, _, talk = trace("--to", "ann@example.net", "--api", "http://127.0.0.1:1")
    assert.equal(3, status)
    assert.matches("^directmail: not sent: no connection", talk)
    status, _, talk = trace("--to", "ann@example.net", "-v")
    assert.equal(1, status)
    assert.matches("SenderStatisticsDetailByParam", talk)
  end)
end)
