-- mail:send with a key: one mail however often it is called, over all outcomes, by both methods, and over twenty crashes.
local directmail = require "directmail"
local err = require "directmail.err"
local host = require "directmail.host"
local mails = require "directmail.mail"
local store = require "directmail.store"

local LUA = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "[%d.]+$"

local box, dir, home

-- A host whose clock can be put forward, and whose log is kept.
local function new_home()
  local shifted = setmetatable({ shift = 0, said = {} }, { __index = host })
  function shifted.now() return host.now() + shifted.shift end
  function shifted.log(_, text) shifted.said[#shifted.said + 1] = text end
  return shifted
end

local function mail_of(more)
  local o = {
    region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", smtp = box.urls.smtp, ca = box.ca, via = "smtp",
    smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, store = dir .. "/outbox.db", api = box.urls.api,
    access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  for name, value in pairs(o) do if value == "" then o[name] = nil end end
  return assert(mails.new(o, home, 1))
end

local function hello(more)
  local m = { to = "ann@example.net", subject = "Hello", text = "Hi Ann", key = "order-1042" }
  for name, value in pairs(more or {}) do m[name] = value end
  for name, value in pairs(m) do if value == "" then m[name] = nil end end
  return m
end

local function copies() return #box:mails() end

local function file(name, bytes)
  local f = assert(io.open(dir .. "/" .. name, "wb"))
  f:write(bytes)
  f:close()
  return dir .. "/" .. name
end

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  home, dir = new_home(), assert(host.mkdtemp())
  box:clear()
  assert(box:set_faults {})
end)
after_each(function()
  local s = store.of(dir .. "/outbox.db", home)
  if s then s:close() end
  os.execute("rm -rf '" .. dir .. "'")
end)

describe("a key", function()
  it("sends once, and gives the same receipt from then on", function()
    local mail = mail_of()
    local first = assert(mail:send(hello()))
    assert.is_nil(first.earlier)
    local second = assert(mail:send(hello()))
    assert.is_true(second.earlier)
    second.earlier = nil
    assert.is_true(math.abs(first.seconds - second.seconds) < 1e-9)
    second.seconds = first.seconds
    assert.same(first, second)
    assert.equal(1, copies())
    mail.store:close()                  -- as after a restart
    assert.equal(first.id, assert(mail_of():send(hello())).id)
    assert.equal(1, copies())
    assert(mail_of():send(hello { key = "order-1043" }))
    assert(mail_of():send(hello { key = "" }))
    assert.equal(3, copies())
  end)

  it("does so by the API", function()
    local mail = mail_of { via = "api" }
    local first = assert(mail:send(hello()))
    assert.equal("api", first.via)
    local second = assert(mail:send(hello()))
    assert.same({ first.id, first.request_id, true }, { second.id, second.request_id, second.earlier })
    assert.equal(first.id, assert(mail_of():send(hello())).id, "the method is no part of the content")
    assert.equal(1, copies())
  end)

  it("refuses other content, by name", function()
    local mail = mail_of()
    local path = file("a.bin", ("x"):rep(100000))
    local base = { attachments = { path, { name = "b", data = "b" } }, headers = { ["X-User-A"] = "1" }, html = "<p>" }
    local original = hello(base)
    assert(mail:send(original))
    local changes = {
      { to = "bob@example.net" }, { cc = "bob@example.net" }, { bcc = "bob@example.net" }, { subject = "Hallo" }, { text = "Hi" }, { html = "" },
      { from = "Other <noreply@mail.example.com>" }, { reply_to = "help@example.com" }, { tag = "signup" }, { priority = "high" },
      { headers = { ["X-User-A"] = "2" } }, { headers = { ["X-User-B"] = "1" } }, { date = 1700000000 }, { message_id = "<x@example.com>" },
      { in_reply_to = "<x@example.com>" }, { references = "<x@example.com>" }, { unsubscribe = "https://example.com/u" },
      { calendar = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n" }, { ip_pool = "p1" }, { attachments = { path } },
      { attachments = { path, { name = "b", data = "c" } } }, { attachments = { path, { name = "c", data = "b" } } },
      { attachments = { path, { name = "b", data = "b", type = "text/plain" } } }, { attachments = { path, { name = "b", data = "b", cid = "b" } } },
    }
    for i, change in ipairs(changes) do
      local fields = hello(base)
      for name, value in pairs(change) do fields[name] = value ~= "" and value or nil end
      local receipt, e = mail:send(fields)
      assert.is_nil(receipt, "change " .. i)
      assert.same({ "OPTION", "key", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry }, "change " .. i .. ": " .. tostring(e))
      assert.is_truthy(e.cause:find('"order-1042"', 1, true), tostring(e))
    end
    file("a.bin", ("x"):rep(99999) .. "y")
    local _, e = mail:send(original)
    assert.equal("OPTION", e.code, "another octet in a file")
    file("a.bin", ("x"):rep(100000))
    assert.is_true(assert(mail:send(original)).earlier)
    assert.equal(1, copies())
  end)

  it("looks at what is said, not at how it is written or travels", function()
    local mail = mail_of()
    local path = file("a.txt", "attached")
    assert(mail:send(hello { to = "Ann <ann@example.net>, bob@example.net", attachments = path, headers = { ["X-User-A"] = "1", ["X-User-B"] = "2" } }))
    local again = assert(mail:send(hello {
      to = { "Ann <ann@example.net>", "bob@example.net" }, attachments = { { name = "a.txt", data = "attached" } },
      headers = { { "X-User-A", "1" }, { "X-User-B", "2" } }, timeout = 20, size_limit = false, boundary = "=_b", from = "Shop <noreply@mail.example.com>",
    }))
    assert.is_true(again.earlier)
    assert.equal(1, copies())
  end)

  it("goes with a finished message, too", function()
    local raw = "From: noreply@mail.example.com\r\nTo: ann@example.net\r\nSubject: x\r\n\r\nHi\r\n"
    local mail = mail_of()
    local first = assert(mail:send { raw = raw, key = "raw" })
    assert.equal(first.message_id, assert(mail:send { raw = raw, key = "raw" }).message_id)
    local _, e = mail:send { raw = raw .. "more\r\n", key = "raw" }
    assert.equal("OPTION", e.code)
    assert.equal(1, copies())
  end)

  it("is refused without a store, and when it is none, before anything is looked up", function()
    local receipt, e = mail_of { store = "" }:send(hello())
    assert.is_nil(receipt)
    assert.same({ "OPTION", "key" }, { e.code, e.detail })
    assert.matches("store", e.remedy)
    for _, key in ipairs { ("k"):rep(256), "a\nb", "a\0b" } do
      receipt, e = mail_of():send(hello { key = key })
      assert.is_nil(receipt)
      assert.same({ "OPTION", "key" }, { e.code, e.detail })
    end
    local message = hello()
    message.key = ""
    receipt, e = mail_of():send(message)
    assert.is_nil(receipt)
    assert.matches("is empty", e.cause)
    assert.has_error(function() mail_of():send(hello { key = 7 }) end)
    assert.equal(0, copies())
  end)

  it("needs a store that opens", function()
    local mail, e = mails.new({ sender = "a@example.com", store = dir }, home, 1)
    assert.is_nil(mail)
    assert.equal("FILE", e.code)
    mail, e = mails.new({ sender = "a@example.com", store = {} }, home, 1)
    assert.is_nil(mail)
    assert.same({ "OPTION", "store" }, { e.code, e.detail })
  end)
end)

describe("an outcome under a key", function()
  it("not_sent is tried again", function()
    local mail = mail_of()
    assert(box:set_faults { "mail:drop" })
    local receipt, e = mail:send(hello())
    assert.is_nil(receipt)
    assert.equal("not_sent", e.outcome)
    assert(box:set_faults {})
    assert.is_nil(assert(mail:send(hello())).earlier)
    assert.equal(1, copies())
  end)

  it("not_sent for want of a password is tried again with one", function()
    local receipt, e = mail_of { smtp_password = "", smtp = "", access_key_id = "", access_key_secret = "" }:send(hello())
    assert.is_nil(receipt)
    assert.equal("CREDENTIALS", e.code)
    assert(mail_of():send(hello()))
    assert.equal(1, copies())
  end)

  it("refused for now is tried again, refused for good is not", function()
    local mail = mail_of()
    local _, e = mail:send(hello { to = "defer@sandbox.example" })
    assert.same({ "refused", true }, { e.outcome, e.retry })
    _, e = mail:send(hello { to = "defer@sandbox.example" })
    assert.same({ "refused", true }, { e.outcome, e.retry })
    assert.is_nil(e.cause:find("order-1042", 1, true), "it was asked again")
    local bad = { to = "invalid@sandbox.example", key = "bad" }
    local _, first = mail:send(hello(bad))
    assert.same({ "refused", false, "559" }, { first.outcome, first.retry, first.detail })
    assert(box:set_faults { "connect:drop" })           -- nobody is asked now
    local _, again = mail:send(hello(bad))
    assert.is_true(err.is(again))
    assert.same({ first.code, "559", "refused", false, first.reply, first.blame },
      { again.code, again.detail, again.outcome, again.retry, again.reply, again.blame })
    assert.is_truthy(again.cause:find('"bad"', 1, true))
  end)

  it("unknown stays unknown, says how to settle it, and goes again on order", function()
    local mail = mail_of()
    assert(box:set_faults { "dot:drop-after:once" })
    local _, first = mail:send(hello())
    assert.equal("unknown", first.outcome)
    for _ = 1, 2 do
      local receipt, e = mail:send(hello())
      assert.is_nil(receipt)
      assert.same({ "unknown", false, "LOST" }, { e.outcome, e.retry, e.code })
      assert.matches("may have been sent before", e.cause)
      assert.matches("store.md", e.remedy)
    end
    assert.equal(1, copies())
    local receipt = assert(mail:send(hello { on_unknown = "resend" }))
    assert.is_nil(receipt.earlier)
    assert.equal(2, copies())
    assert.equal(receipt.id, assert(mail:send(hello())).id)
    assert.equal(2, copies())
  end)

  it("unknown is settled by hand, either way", function()
    local mail = mail_of()
    for _, key in ipairs { "found", "missing" } do
      assert(box:set_faults { "dot:drop-after:once" })
      assert.is_nil((mail:send(hello { key = key })))
    end
    local job = assert(mail.store:find "found")
    assert.equal("unknown", job.state)
    assert.same({ true }, assert(mail.store:ack { { id = job.id, tries = job.tries, receipt = '{"id":"600000000000000099"}' } }))
    assert.same({ id = "600000000000000099", outcome = "sent", earlier = true }, assert(mail:send(hello { key = "found" })))
    job = assert(mail.store:find "missing")
    assert.same({ true }, assert(mail.store:retry { job }))
    assert.is_nil(assert(mail:send(hello { key = "missing" })).earlier)
    assert.equal(3, copies())
  end)

  it("written by hand need not be as ours", function()
    local mail = mail_of()
    for i, text in ipairs { "no JSON", "7", '{"cause":1,"code":"NONE","where":5,"detail":["x"]}' } do
      local key = "k" .. i
      assert(box:set_faults { "dot:drop-after:once" })
      assert.is_nil((mail:send(hello { key = key })))
      local job = assert(mail.store:find(key))
      assert.same({ true }, assert(mail.store:bury { { id = job.id, tries = job.tries, outcome = "refused", error = text } }))
      local _, e = mail:send(hello { key = key })
      assert.same({ "REFUSED", "refused" }, { e.code, e.outcome })
    end
  end)

  it("that cannot be written down is told all the same, and counts as unknown", function()
    local mail = mail_of()
    local s = mail.store
    local real = s.ack
    s.ack = function(self, jobs)
      self:close()
      return real(self, jobs)
    end
    local receipt = assert(mail:send(hello()))
    assert.equal("sent", receipt.outcome)
    assert.matches("order%-1042.*could not be kept", home.said[1])
    home.shift = 61
    local _, e = mail_of():send(hello())
    assert.equal("unknown", e.outcome)
    assert.equal(1, copies())
  end)
end)

describe("a key that is on its way", function()
  it("is waited for, and both get the one receipt", function()
    local mail = mail_of()
    assert(box:set_faults { "dot:slow=0.3" })
    local tasks = {}
    for i = 1, 3 do tasks[i] = host.spawn(function() return mail:send(hello()) end) end
    local ids, earlier = {}, 0
    for i = 1, 3 do
      local _, receipt = assert(host.wait(tasks[i]))
      ids[receipt.id] = true
      earlier = earlier + (receipt.earlier and 1 or 0)
    end
    assert.is_truthy(next(ids))
    assert.is_nil(next(ids, (next(ids))))
    assert.equal(2, earlier)
    assert.equal(1, copies())
  end)

  it("is waited for no longer than the send may take", function()
    local mail = mail_of()
    assert(box:set_faults { "dot:slow=1" })
    local sending = host.spawn(function() return mail:send(hello()) end)
    local receipt, e = mail:send(hello { timeout = 0.2 })
    assert.is_nil(receipt)
    assert.same({ "TIMEOUT", "key", true, "unknown" }, { e.code, e.detail, e.retry, e.outcome })
    assert(host.wait(sending))
    assert.equal(1, copies())
  end)

  it("is kept for as long as that takes", function()
    local mail = mail_of()
    local naps = {}
    -- the keeper's waits of 20 s pass at once, while the clock goes on by as much
    function home.semaphore()
      local inner = host.semaphore()
      local real = inner.wait
      function inner.wait(self, seconds)
        if not seconds then return real(self) end
        naps[#naps + 1] = seconds
        home.shift = home.shift + seconds
        return real(self, 0.02)
      end
      return inner
    end
    assert(box:set_faults { "dot:slow=0.3" })
    local sending = host.spawn(function() return mail:send(hello()) end)
    repeat host.sleep(0.01) until #naps > 5 or copies() > 0
    assert.is_true(home.shift > 100)
    local job = assert(mail.store:find "order-1042")
    assert.equal("marked", job.state)
    assert.is_true(job.due > home.now() * 1000, "the lease ends in the future")
    local _, receipt = assert(host.wait(sending))
    assert.equal("sent", receipt.outcome)
  end)

  it("is let go when an error ends the send, and is unknown then", function()
    local mail = mail_of()
    local broken = hello { attachments = { { name = "x", size = 5, read = function() error("disk on fire", 0) end } } }
    local sending = host.spawn(function() return mail:send(broken) end)
    local ok, why = host.wait(sending)
    assert.is_false(ok)
    assert.matches("disk on fire", why)
    assert.equal("marked", assert(mail.store:find "order-1042").state)
    home.shift = 61
    local _, e = mail:send(broken)
    assert.equal("unknown", e.outcome)
    assert.matches("the program ended", e.cause)
    assert.equal(0, copies())
  end)
end)

describe("send_all with keys", function()
  local function rows(n, more)
    local list = {}
    for i = 1, n do
      list[i] = hello { to = ("a%d@example.net"):format(i), key = "row-" .. i }
      for name, value in pairs(more or {}) do list[i][name] = value end
    end
    return list
  end

  local function run(mail, list, options)
    local seen = { sent = 0, earlier = 0, failed = {}, n = 0 }
    for result in mail:send_all(list, options) do
      seen.n = seen.n + 1
      if not result.ok then seen.failed[#seen.failed + 1] = result.err
      elseif result.receipt.earlier then seen.earlier = seen.earlier + 1
      else seen.sent = seen.sent + 1 end
    end
    return seen
  end

  for _, way in ipairs { "group", "overlap", "off", "api" } do
    it("sends each once, however often it runs: " .. way, function()
      local mail = mail_of { via = way == "api" and "api" or "smtp" }
      local options = { connections = 3, pipeline = way ~= "api" and way or nil }
      local list = rows(25)
      list[26] = list[3]                -- a row that is there twice
      list[27] = hello { key = "row-4", text = "other" }
      local seen = run(mail, list, options)
      assert.same({ 25, 1, 1, 27 }, { seen.sent, seen.earlier, #seen.failed, seen.n })
      assert.equal("OPTION", seen.failed[1].code)
      assert.equal(25, copies())
      seen = run(mail, list, options)
      assert.same({ 0, 26, 1 }, { seen.sent, seen.earlier, #seen.failed })
      assert.equal(25, copies())
      local counts = assert(mail.store:counts())
      assert.same({ 25, 0, 0 }, { counts.sent, counts.marked, counts.leased })
    end)
  end

  it("goes on with what failed, and never repeats what is unknown", function()
    for _, pipeline in ipairs { "group", "overlap" } do
      box:clear()
      local mail, list = mail_of(), rows(30)
      for i = 1, 30 do list[i].key = pipeline .. i end
      assert(box:set_faults { "dot:drop-after:1/7", "rcpt:450:2/9" })
      local first = run(mail, list, { connections = 3, pipeline = pipeline })
      local unknown = 0
      for _, e in ipairs(first.failed) do
        if e.outcome == "unknown" then unknown = unknown + 1 end
      end
      assert.is_true(unknown > 0 and #first.failed > unknown)
      assert(box:set_faults {})
      local second = run(mail, list, { connections = 3, pipeline = pipeline })
      assert.equal(first.sent, second.earlier)
      assert.equal(30 - first.sent - unknown, second.sent)
      assert.equal(unknown, #second.failed)
      for _, e in ipairs(second.failed) do assert.equal("unknown", e.outcome) end
      local by_person = {}
      for _, m in ipairs(box:mails()) do
        by_person[m.to[1]] = (by_person[m.to[1]] or 0) + 1
      end
      for i = 1, 30 do assert.equal(1, by_person[list[i].to], list[i].to) end
    end
  end)

  it("marks before it pushes: a look into the store while the server hesitates", function()
    local mail = mail_of()
    assert(box:set_faults { "mail:slow=0.2" })
    local looks, most, other = 0, 0, assert(store.open(dir .. "/outbox.db"))
    local looking = host.spawn(function()
      repeat
        local counts = assert(other:counts())
        most = math.max(most, counts.marked)
        looks = looks + 1
        host.sleep(0.02)
      until counts.sent == 12
    end)
    assert.equal(12, run(mail, rows(12), { connections = 3, pipeline = "overlap" }).sent)
    assert.is_true(host.wait(looking))
    other:close()
    assert.is_true(looks > 5)
    assert.is_true(most >= 3 and most <= 6, most .. " marked at once, connections × 2 are allowed")
  end)

  it("ends cleanly when it is left", function()
    local mail = mail_of()
    local next_result, state, _, all = mail:send_all(rows(40), { connections = 2 })
    assert.is_true(next_result(state).ok)
    all:close()
    local counts = assert(mail.store:counts())
    assert.same({ 0, 0, 0 }, { counts.marked, counts.leased, counts.unknown })
    assert.equal(counts.sent, copies())
  end)
end)

describe("twenty crashes", function()
  it("lose nothing and send nothing twice", function()
    local ROUNDS, EACH = 20, 12
    local script = file("sender.lua", [[
      local directmail = require "directmail"
      local mail = assert(directmail.new { store = os.getenv "STORE", via = "smtp" })
      local rows = {}
      for i = 1, tonumber(os.getenv "EACH") do
        local name = ("r%s-%d"):format(os.getenv "ROUND", i)
        rows[i] = { to = name .. "@example.net", subject = name, text = "Hi", key = name }
      end
      for result in mail:send_all(rows, { connections = 2, pipeline = os.getenv "PIPELINE" }) do
        if not result.ok then io.stderr:write(tostring(result.err), "\n") end
      end
    ]])
    local env = { STORE = dir .. "/outbox.db", EACH = tostring(EACH) }
    for name, value in pairs(box.env) do env[name] = value end
    assert(box:set_faults { "dot:slow=0.01" })
    for round = 1, ROUNDS do
      env.ROUND, env.PIPELINE = tostring(round), round % 2 == 0 and "overlap" or "group"
      local child = assert(host.child({ LUA, script }, env))
      -- another number of mails each time, so that it dies at another point
      local enough = 1 + round % (EACH - 3)
      for i = 1, enough do assert(box:wait { to = ("r%d-%d@example.net"):format(round, i), timeout = 20 }) end
      assert(child:kill "KILL")
      assert.equal(137, child:wait())
    end
    -- Afterwards: the leases of the dead are over, and everything is sent again under its key.
    assert(box:set_faults {})
    home.shift = 61
    local mail = mail_of()
    local unknown, sent, state = {}, 0, {}
    for round = 1, ROUNDS do
      unknown[round] = 0
      for i = 1, EACH do
        local name = ("r%d-%d"):format(round, i)
        local receipt, e = mail:send { to = name .. "@example.net", subject = name, text = "Hi", key = name, from = "noreply@mail.example.com" }
        state[name] = receipt and "sent" or e.outcome
        assert.is_true(receipt ~= nil or e.outcome == "unknown", tostring(e))
        if receipt then sent = sent + 1 else unknown[round] = unknown[round] + 1 end
      end
      assert.is_true(unknown[round] <= 4, ("%d unknown in round %d, connections × 2 are allowed"):format(unknown[round], round))
    end
    local seen = {}
    for _, m in ipairs(box:mails()) do seen[m.subject] = (seen[m.subject] or 0) + 1 end
    for name, outcome in pairs(state) do
      assert.is_true((seen[name] or 0) <= 1, name .. " was sent twice")
      if outcome == "sent" then assert.equal(1, seen[name]) end
    end
    assert.is_true(sent >= ROUNDS * (EACH - 4))
  end)
end)
