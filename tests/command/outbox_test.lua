-- directmail outbox: run, pump, counts and list, and the store on the command line.
local command = require "support.command"
local directmail = require "directmail"
local host = require "directmail.host"
local json = require "cjson"

local box, dir, env

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  box:clear()
  assert(box:set_faults {})
  dir = command.folder()
  env = { DIRECTMAIL_STORE = dir .. "/outbox.db" }
  for name, value in pairs(box.env) do env[name] = value end
end)
after_each(function() command.remove(dir) end)

local function queue(list)
  local mail = assert(directmail.new { store = dir .. "/outbox.db", sender = "noreply@mail.example.com" })
  for _, to in ipairs(list) do assert(mail:send { queue = true, key = "key of " .. to, to = to, subject = "Hello", text = "Hi", via = "smtp" }) end
  mail.store:close()
end

-- The sandbox lives in this process, so it must run while the command does.
local function outbox(words)
  local out, e = dir .. "/out", dir .. "/err"
  local line = { "exec", command.quote(command.exe), "outbox" }
  for _, word in ipairs(words) do line[#line + 1] = command.quote(word) end
  local child = assert(host.child({ "sh", "-c", table.concat(line, " ") .. " >" .. command.quote(out) .. " 2>" .. command.quote(e) }, env))
  if words.child then return child, out end
  local status = child:wait()
  return status, command.read(out), command.read(e)
end

describe("directmail outbox", function()
  it("run sends what is due, says how each ended, and ends with the most serious", function()
    queue { "ann@example.net", "bob@example.net" }
    local status, out, talk = outbox { "run" }
    assert.same({ 0, "sent 2   refused 0   not sent 0   unknown 0   later 0\n", "" }, { status, out, talk })
    assert.equal(2, #box:mails())
    queue { "invalid@sandbox.example", "defer@sandbox.example" }
    status, out, talk = outbox { "run", "--connections", "1" }
    assert.equal(1, status)
    assert.equal("sent 0   refused 1   not sent 0   unknown 0   later 1\n", out)
    assert.matches("job 3 key of invalid@sandbox.example: REFUSED", talk)
    assert.matches("job 4 key of defer@sandbox.example: .*; again in %d+ s\n", talk)
    assert.same({ 0, "sent 0   refused 0   not sent 0   unknown 0   later 0\n", "" }, { outbox { "run" } })
  end)

  it("run and counts answer in JSON, an attempt a line", function()
    queue { "ann@example.net" }
    local status, out = outbox { "run", "--json" }
    local attempt, total = out:match "^(.-)\n(.-)\n$"
    attempt, total = json.decode(attempt), json.decode(total)
    assert.same({ 0, true, "sent", "1", "key of ann@example.net", 1 }, { status, attempt.ok, attempt.outcome, attempt.job, attempt.key, total.sent })
    status, out = outbox { "counts", "--json" }
    assert.same({ 0, 1, 0 }, { status, json.decode(out).sent, json.decode(out).waiting })
    status, out = outbox { "counts" }
    assert.equal(0, status)
    assert.matches("^waiting   0\n", out)
    assert.matches("\nsent      1\n", out)
  end)

  it("list shows the jobs of a state with their reason", function()
    queue { "invalid@sandbox.example" }
    outbox { "run" }
    local status, out = outbox { "list", "refused" }
    assert.equal(0, status)
    assert.matches("^%d+%-%d%d%-%d%d %d%d:%d%d:%d%d  1  refused  key key of invalid@sandbox.example  .+\n$", out)
    status, out = outbox { "list", "refused", "--json" }
    assert.same({ 0, "559" }, { status, json.decode(out).result.detail })
    assert.same({ 0, "", "" }, { outbox { "list", "unknown" } })
  end)

  it("pump sends until it is told to end", function()
    queue { "ann@example.net" }
    local child, out = outbox { "pump", child = true }
    assert(box:wait { to = "ann@example.net", timeout = 20 })
    queue { "bob@example.net" }
    assert(box:wait { to = "bob@example.net", timeout = 20 })
    child:kill "TERM"
    assert.equal(0, child:wait())
    assert.equal("sent 2   refused 0   not sent 0   unknown 0   later 0\n", command.read(out))
  end)

  it("refuses what it does not know, and a password on the command line", function()
    for word, words in pairs {
      ['knows no "runn"'] = { "runn" }, ["what to do is missing"] = {}, ["state is missing"] = { "list" }, ['"lost" is no state'] = { "list", "lost" },
      ['"sent" is no state'] = { "run", "sent" }, ["connections is no number"] = { "run", "--connections", "0" },
      ["takes no password"] = { "counts", "--store", "redis://:s3cret@127.0.0.1" },
    } do
      local status, out, talk = outbox(words)
      assert.same({ 2, "" }, { status, out })
      assert.is_truthy(talk:find(word, 1, true), talk)
      assert.is_nil(talk:find("s3cret", 1, true))
    end
    env.DIRECTMAIL_STORE = nil
    local status, _, talk = outbox { "run" }
    assert.equal(2, status)
    assert.matches("no store is set", talk)
  end)

  it("has its store from anywhere; config show hides the password", function()
    queue { "ann@example.net" }
    env.DIRECTMAIL_STORE = nil
    assert.equal(0, (outbox { "run", "--store", dir .. "/outbox.db" }))
    local status, out = command.run { "config", "show", env = { DIRECTMAIL_STORE = "redis://:s3cret@127.0.0.1:6379/1" } }
    assert.equal(0, status)
    assert.matches("store +redis://:%*+@127%.0%.0%.1:6379/1 +DIRECTMAIL_STORE", out)
    assert.is_nil(out:find("s3cret", 1, true))
  end)
end)
