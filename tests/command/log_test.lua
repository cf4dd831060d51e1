-- --log FILE of send, outbox and batch: one line of JSON for each attempt.
local command = require "support.command"
local directmail = require "directmail"
local host = require "directmail.host"
local json = require "cjson"

local box, dir, log

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  box:clear()
  dir = command.folder()
  log = dir .. "/mail.jsonl"
end)
after_each(function() command.remove(dir) end)

-- The sandbox lives in this process, so it must run while the command does.
local function run(words, more)
  local line = { "exec", command.quote(command.exe) }
  for _, word in ipairs(words) do line[#line + 1] = command.quote(word) end
  local env = {}
  for name, value in pairs(box.env) do env[name] = value end
  for name, value in pairs(more or {}) do env[name] = value end
  local child = assert(host.child({ "sh", "-c", ("%s >%s/out 2>%s/err"):format(table.concat(line, " "), command.quote(dir), command.quote(dir)) }, env))
  local status = child:wait()
  return status, command.read(dir .. "/out"), command.read(dir .. "/err")
end

local function send(to, ...) return run { "send", "--to", to, "--subject", "Our secret plan", "--text", "Hi", "--via", "smtp", ... } end

local function entries()
  local list = {}
  for line in io.lines(log) do list[#list + 1] = json.decode(line) end
  return list
end

local function mode()
  local pipe = assert(io.popen("stat -c %a " .. command.quote(log)))
  local found = pipe:read "l"
  pipe:close()
  return found
end

describe("--log", function()
  it("speaks of the command's options, not of Lua's fields", function()
    assert.equal(1, (send("ann@example.com", "--to", "invalid@sandbox.example", "--all-or-none", "--log", log)))
    assert.matches("leave %-%-all%-or%-none away", entries()[1].remedy)
  end)

  it("of send appends a line for each attempt, with nothing that others should not read", function()
    assert.equal(0, (send("Ann <ann@example.com>", "--log", log)))
    assert.equal(1, (send("invalid@sandbox.example", "--log", log)))
    assert.equal(3, (send("defer@sandbox.example", "--log", log)))
    assert.equal("600", mode())
    local list = entries()
    assert.equal(3, #list)
    local sent, refused, later = table.unpack(list)
    assert.same({ true, "sent", "smtp", "mail", "send", { "a***@example.com" } },
      { sent.ok, sent.outcome, sent.via, sent.event, sent.command, sent.to })
    assert.equal(box:mails()[1].id, sent.id)
    assert.matches("^<.+@mail%.example%.com>$", sent.message_id)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", sent.time)
    assert.is_true(sent.seconds >= 0)
    assert.same({ false, "refused", "REFUSED", false, { "i***@sandbox.example" } }, { refused.ok, refused.outcome, refused.code, refused.retry, refused.to })
    assert.same({ false, "refused", true }, { later.ok, later.outcome, later.retry })
    local bytes = command.read(log)
    for _, word in ipairs { "ann@", "invalid@", "secret plan", box.env.DIRECTMAIL_SMTP_PASSWORD } do assert.is_nil(bytes:find(word, 1, true), word) end
  end)

  it("of send has what the API said, a finished message, and what was never sent", function()
    assert.equal(0, (run { "send", "--to", "ann@example.com", "--subject", "Hi", "--text", "Hi", "--via", "api", "--log", log }))
    command.write(dir .. "/m.eml", "From: noreply@mail.example.com\r\nTo: bob@example.com\r\nSubject: x\r\n\r\nHi\r\n")
    assert.equal(0, (run { "send", "--eml", dir .. "/m.eml", "--log", log }))
    assert.equal(2, (send("ann", "--log", log)))
    local list = entries()
    assert.same({ "api", "ap-southeast-1", true }, { list[1].via, list[1].region, #list[1].request_id > 20 })
    assert.same({ "b***@example.com" }, list[2].to)
    assert.same({ false, "not_sent", "ADDRESS" }, { list[3].ok, list[3].outcome, list[3].code })
  end)

  it("that cannot be written is an error before anything is sent", function()
    for _, path in ipairs { dir .. "/none/log", dir } do
      local code, out, err = send("ann@example.com", "--log", path)
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches("cause    %-%-log: .* cannot be written: ", err)
    end
    assert.equal(0, #box:mails())
  end)

  it("that fails later leaves the outcome alone", function()
    local code, out, err = send("ann@example.com", "--log", "/dev/full")
    assert.equal(0, code)
    assert.matches("^sent by SMTP", out)
    assert.equal("directmail: warning: --log: /dev/full could not be written: No space left on device; what was sent is sent\n", err)
    assert.equal(1, #box:mails())
  end)

  it("is not touched by a dry run", function()
    assert.equal(0, (send("ann@example.com", "--log", log, "--dry-run")))
    assert.is_nil(io.open(log))
  end)

  it("of outbox run has each job's attempt, and the queueing is one of send's", function()
    local env = { DIRECTMAIL_STORE = dir .. "/outbox.db" }
    for _, to in ipairs { "ann@example.com", "invalid@sandbox.example", "defer@sandbox.example" } do
      assert.equal(0, (run({ "send", "--queue", "--to", to, "--subject", "x", "--text", "Hi", "--via", "smtp", "--key", "for " .. to, "--log", log }, env)))
    end
    assert.equal(1, (run({ "outbox", "run", "--log", log }, env)))
    local found = {}
    for _, entry in ipairs(entries()) do
      local outcome = entry.outcome .. (entry.again and " again" or "")
      found[#found + 1] = ("%s %s %s %s"):format(entry.command, outcome, entry.tries and math.tointeger(entry.tries) or "-", entry.command == "outbox" and entry.job or entry.id)
    end
    assert.is_nil(command.read(log):find("ann@", 1, true))
    table.sort(found)
    assert.same({ "outbox refused 1 2", "outbox refused again 1 3", "outbox sent 1 1", "send queued - 1", "send queued - 2", "send queued - 3" }, found)
    local code, _, err = run({ "outbox", "counts", "--log", log }, env)
    assert.equal(2, code)
    assert.matches("%-%-log has no place", err)
  end)

  it("of batch has a line for each call", function()
    command.write(dir .. "/people.csv", "email,name\r\nann@example.net,Ann\r\nbob@example.net,Bob\r\n")
    command.write(dir .. "/news.html", "Subject: Hi {name}\n\n<body><p>Hi {name}</p></body>\n")
    local words = { "batch", "--recipients", dir .. "/people.csv", "--content", dir .. "/news.html", "--opt-in", "signup form", "--log", log }
    local env = { DIRECTMAIL_SENDER = "news@mail.example.com" }
    local code, _, err = run(words, env)
    assert.equal(0, code, err)
    local list = entries()
    assert.same({ 1, "batch", "batch", "sent", 1, 2 }, { #list, list[1].event, list[1].command, list[1].outcome, list[1].call, list[1].recipients })
    assert.is_string(list[1].id)
    words[#words] = dir .. "/none/log"
    assert.equal(2, (run(words, env)))
  end)

  it("means nothing to sendmail: what a stranger hands over must not write a file", function()
    local code = command.run { "sendmail", "--log=" .. log, "ann@example.com", stdin = "Subject: x\n\nHi\n", env = { DIRECTMAIL_SMTP = "smtp://127.0.0.1:9" } }
    assert.is_true(code > 0)
    assert.is_nil(io.open(log))
  end)
end)
