local host = require "directmail.host"
local json = require "cjson"
local log = require "directmail.sandbox.log"
local mails = require "directmail.sandbox.mails"

local folder, store, events

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local function save(to, subject, more)
  local envelope = { via = "smtp", mail_from = "noreply@mail.example.com", rcpt_to = { to }, user = "noreply@mail.example.com",
    tls = "starttls",
    subject = subject }
  for name, value in pairs(more or {}) do envelope[name] = value end
  return assert(store:save(envelope, ("Subject: %s\r\n\r\ntext of %s\r\n"):format(subject, subject)))
end

before_each(function()
  folder = assert(host.mkdtemp())
  events = {}
  store = mails.new(host, folder, { add = function(_, event) events[#events + 1] = event end })
end)

after_each(function()
  store:remove()
  os.remove(folder)
end)

describe("an accepted mail", function()
  it("has a number of 18 digits that counts up", function()
    assert.equal("600000000000000001", save("a@example.net", "one"))
    assert.equal("600000000000000002", save("a@example.net", "two"))
  end)

  it("is two files: the bytes, and what is known about them", function()
    local id = save("a@example.net", "one")
    assert.equal("Subject: one\r\n\r\ntext of one\r\n", read(folder .. "/" .. id .. ".eml"))
    local text = read(folder .. "/" .. id .. ".json")
    local meta = json.decode(text)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", meta.time)
    meta.time = nil
    assert.same({ id = id, via = "smtp", mail_from = "noreply@mail.example.com", rcpt_to = { "a@example.net" },
      user = "noreply@mail.example.com",
      tls = "starttls", action = json.null, params = json.null, access_key_id = json.null, request_id = json.null }, meta)
    local names = {}
    for name in text:gmatch('"([%a_]+)":') do names[#names + 1] = name end
    assert.equal("id via time mail_from rcpt_to user tls action params access_key_id request_id", table.concat(names, " "))
    assert.is_nil(read(folder .. "/" .. id .. ".json.new"))
    assert.is_nil(read(folder .. "/" .. id .. ".eml.new"))
  end)

  it("of the API carries its call", function()
    local id = save("a@example.net", "one", { via = "api", action = "SingleSendMail", params = { Subject = "one" },
      access_key_id = "LTAI", request_id = "7C" })
    local meta = json.decode(read(folder .. "/" .. id .. ".json"))
    assert.same({ "api", "SingleSendMail", { Subject = "one" }, "LTAI", "7C" }, { meta.via, meta.action, meta.params,
      meta.access_key_id, meta.request_id })
  end)

  it("never overwrites one of an earlier run", function()
    local first = save("a@example.net", "one")
    local later = mails.new(host, folder, { add = function() end })
    assert.equal("600000000000000002", later:save({ via = "smtp", mail_from = "x", rcpt_to = { "y" } }, "second"))
    assert.equal("Subject: one\r\n\r\ntext of one\r\n", read(folder .. "/" .. first .. ".eml"))
    later:remove()
  end)

  it("is an event, with its subject", function()
    save("a@example.net", "one")
    assert.equal("mail", events[1].event)
    assert.equal("one", events[1].subject)
    assert.equal(29, events[1].bytes)
  end)

  it("that cannot be written is none", function()
    local nowhere = mails.new(host, folder .. "/no/such", { add = function() error "no event" end })
    local id, why = nowhere:save({ via = "smtp", mail_from = "x", rcpt_to = { "y" } }, "bytes")
    assert.is_nil(id)
    assert.is_string(why)
    assert.same({}, nowhere:all())
  end)
end)

describe("looking through", function()
  it("lists the mails and opens each with its contents", function()
    save("a@example.net", "one")
    local id = save("b@example.net", "two")
    local all = store:all()
    assert.same({ "one", "two" }, { all[1].subject, all[2].subject })
    local mail = assert(store:open(id))
    assert.same({ id, "two", "text of two\r\n", { "b@example.net" }, "noreply@mail.example.com", "starttls", {} },
      { mail.id, mail.subject, mail.text, mail.to, mail.from, mail.tls, mail.attachments })
    assert.equal("Subject: two\r\n\r\ntext of two\r\n", mail.raw)
    assert.is_nil(store:open "7")
  end)

  it("after clear finds nothing, and the files are gone", function()
    local id = save("a@example.net", "one")
    store:clear()
    assert.same({}, store:all())
    assert.is_nil(read(folder .. "/" .. id .. ".eml"))
    assert.is_nil(read(folder .. "/" .. id .. ".json"))
    assert.equal("600000000000000002", save("a@example.net", "two"))
  end)
end)

describe("waiting", function()
  it("finds the newest mail that is there, by recipient, glob and a part of the subject", function()
    save("Ann@example.net", "first [1]")
    save("ann@example.net", "second [2]")
    save("bob@example.net", "third")
    assert.equal("second [2]", store:wait({ to = "ann@example.net", timeout = 0 }).subject)
    assert.equal("first [1]", store:wait({ to = "ann@example.net", subject = "[1]", timeout = 0 }).subject)
    assert.equal("third", store:wait({ to = "*@example.net", timeout = 0 }).subject)
    assert.equal("third", store:wait({ timeout = 0 }).subject)
  end)

  it("is woken by the mail, not by time", function()
    local one = host.spawn(function() return store:wait { to = "ann@example.net", timeout = 30 } end)
    local two = host.spawn(function() return store:wait { subject = "second", timeout = 30 } end)
    local before = host.tick()
    save("bob@example.net", "first")
    local ok, mail = host.wait(host.spawn(function() return store:wait { to = "bob@example.net", timeout = 30 } end))
    assert.is_true(ok)
    assert.equal("first", mail.subject)
    save("ann@example.net", "second")
    ok, mail = host.wait(one)
    assert.is_true(ok)
    assert.equal("second", mail.subject)
    ok, mail = host.wait(two)
    assert.is_true(ok)
    assert.equal("second", mail.subject)
    assert.is_true(host.tick() - before < 10)
  end)

  it("in vain says what was waited for", function()
    save("bob@example.net", "first")
    local mail, why = store:wait { to = "ann@example.net", subject = "x", timeout = 0.01 }
    assert.is_nil(mail)
    assert.equal("TIMEOUT", why.code)
    assert.matches('no mail to ann@example.net with "x" in its subject came within 0.01 s', why.cause, 1, true)
    assert.matches("1 other mails", why.remedy)
  end)

  it("ends when the store closes", function()
    local task = host.spawn(function() return store:wait { timeout = 30 } end)
    store:close()
    local ok, mail, why = host.wait(task)
    assert.is_true(ok)
    assert.is_nil(mail)
    assert.equal("TIMEOUT", why.code)
  end)
end)

describe("the log", function()
  it("is one JSON object a line with a time, whatever strangers say", function()
    local path, heard = folder .. "/log.jsonl", {}
    local file = assert(log.open(path, function() return 1795521851.25 end, function(event) heard[#heard + 1] = event end))
    file:add { event = "command", name = "\27[2J\255\n", list = { "a\0" }, reply = 250 }
    file:add { event = "stop" }
    file:close()
    file:add { event = "late" }
    local lines = {}
    for line in read(path):gmatch("[^\n]+") do lines[#lines + 1] = json.decode(line) end
    assert.same({ { event = "command", name = "\\27[2J\\255\\n", list = { "a\\0" }, reply = 250, time = "2026-11-24T12:04:11.250Z" },
      { event = "stop", time = "2026-11-24T12:04:11.250Z" } }, lines)
    assert.equal(3, #heard)
    os.remove(path)
  end)
end)
