-- The outbox over both stores: what is queued, how a pump settles each outcome, several pumps at once, pumps that died, and a store that goes away.
local directmail = require "directmail"
local err = require "directmail.err"
local host = require "directmail.host"
local mails = require "directmail.mail"
local outbox = require "directmail.outbox"
local redis = require "support.redis"
local testing = require "directmail.testing"

local box, server, dir, home

-- A host whose clock can be put forward, and whose log is kept.
local function new_home()
  local shifted = setmetatable({ shift = 0, said = {} }, { __index = host })
  function shifted.now() return host.now() + shifted.shift end
  function shifted.log(level, text) shifted.said[#shifted.said + 1] = level .. " " .. text end
  return shifted
end

setup(function()
  box = assert(directmail.sandbox.start())
  server = redis.start()
end)
teardown(function()
  server:stop()
  box:stop()
end)
before_each(function()
  home, dir = new_home(), assert(host.mkdtemp())
  box:clear()
  assert(box:set_faults {})
  server:empty()
end)
after_each(function() os.execute("rm -rf '" .. dir .. "'") end)

local function file(name, bytes)
  local f = assert(io.open(dir .. "/" .. name, "wb"))
  f:write(bytes)
  f:close()
  return dir .. "/" .. name
end

local function copies() return #box:mails() end

local KINDS = {
  { name = "SQLite", place = function() return dir .. "/outbox.db" end, later = function(seconds) home.shift = home.shift + seconds end },
  { name = "Redis", place = function() return server.url end, later = function(seconds) server:later(seconds) end },
}

for _, kind in ipairs(KINDS) do
  describe("over " .. kind.name, function()
    local opened

    before_each(function() opened = {} end)
    after_each(function()
      for _, mail in ipairs(opened) do mail.store:close() end
    end)

    -- A mail object with a store of its own, as another process has.
    local function mail_of(more)
      local o = {
        region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", smtp = box.urls.smtp, ca = box.ca, via = "smtp",
        smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, store = assert(require "directmail.store".open(kind.place(), nil, home)),
      }
      for name, value in pairs(more or {}) do o[name] = value end
      local mail = assert(mails.new(o, home, 1))
      opened[#opened + 1] = mail
      return mail
    end

    local function hello(more)
      local m = { to = "ann@example.net", subject = "Hello", text = "Hi Ann", queue = true }
      for name, value in pairs(more or {}) do m[name] = value end
      return m
    end

    local function states(mail)
      local counts, out = assert(mail.store:counts()), {}
      for state, n in pairs(counts) do
        if n > 0 then out[state] = n end
      end
      return out
    end

    local function run(mail, options) return assert(outbox.run(mail, options)) end

    describe("a queued mail", function()
      it("has a receipt with its id, and leaves with a pump only", function()
        local mail = mail_of()
        local receipt = assert(mail:send(hello()))
        assert.equal("queued", receipt.outcome)
        assert.matches("^%d+$", receipt.id)
        assert.matches("^<.+@mail.example.com>$", receipt.message_id)
        assert.equal(0, copies())
        assert.same({ waiting = 1 }, states(mail))
        local got = {}
        assert.same({ sent = 1, refused = 0, not_sent = 0, unknown = 0, again = 0 }, run(mail_of(), { on_result = function(r) got[#got + 1] = r end }))
        assert.equal(1, copies())
        assert.same({ sent = 1 }, states(mail))
        assert.same({ true, receipt.id, 1, "sent", receipt.message_id }, { got[1].ok, got[1].id, got[1].tries, got[1].receipt.outcome,
          got[1].receipt.message_id })
        run(mail)
        assert.equal(1, copies())
      end)

      it("is checked as if it were sent now", function()
        local mail = mail_of()
        local function refused(code, fields)
          local receipt, e = mail:send(hello(fields))
          assert.is_nil(receipt)
          assert.same({ code, "not_sent" }, { e.code, e.outcome }, tostring(e))
        end
        refused("ADDRESS", { to = "ann@" })
        refused("FILE", { attachments = dir .. "/none.pdf" })
        refused("CONTENT", { text = "Hi {{name}}" })
        refused("CONTENT", { text = "Hi \0" })
        refused("SIZE", { text = ("x"):rep(2000), size_limit = 1000 })
        refused("HEADER", { headers = { ["X-A"] = "a\r\nBcc: x@y.z" } })
        refused("OPTION", { via = "api", attachments = { { name = "a", data = "b" } } })
        refused("OPTION", { key = ("k"):rep(300) })
        assert(mail.store:suppress("ann@example.net", "unsubscribed", "link"))
        refused("ADDRESS", {})
        assert.same({}, states(mail))
        local receipt, e = assert(mails.new({ sender = "a@example.com" }, home, 1)):send(hello())
        assert.is_nil(receipt)
        assert.same({ "OPTION", "queue" }, { e.code, e.detail })
        assert.has_error(function() mail:send { to = "ann@example.net", queue = "yes" } end)
      end)

      it("arrives octet for octet as it would have been sent", function()
        local fake = testing.transport()
        local mail = mail_of { transport = fake }
        local path = file("report.bin", ("\0\r\n.\r\n\255"):rep(20000))
        local fixed = { message_id = "<one@example.com>", date = 1700000000, boundary = "=_fixed" }
        local cases = {
          { to = { "Ann <ann@example.net>", "bob@example.net" }, cc = "您好 <c@example.net>", bcc = "d@example.net", subject = "您好 \"x\"", text = "a\r\n.\r\nb",
            html = "<p>ü</p>", reply_to = "help@example.com", priority = "high", in_reply_to = "<x@example.com>", references = { "<y@example.com>" },
            headers = { { "X-A", "1" }, { "X-A", "2" } }, tag = "t1", track = { opens = true }, unsubscribe = "https://example.com/u" },
          { to = "ann@example.net", html = "<img src='cid:logo'>", attachments = { path, { name = "报告.csv", data = "a\0b" },
            { path = path, cid = "logo", name = "logo.png", type = "image/png" } } },
          { to = "ann@example.net", text = "x", calendar = { data = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", method = "REQUEST" }, headers = { ["X-B"] = "b" } },
          { to = "ann@example.net", text = "x", unsubscribe = { link = "default", filter = "mailfrom" }, ip_pool = "p1" },
        }
        local wanted = {}
        for i, case in ipairs(cases) do
          for name, value in pairs(fixed) do case[name] = value end
          wanted[i] = assert(assert(mail:message(case)):bytes())
          case.queue = true
          assert.equal("queued", assert(mail:send(case)).outcome)
        end
        local raw = "From: noreply@mail.example.com\r\nTo: ann@example.net\r\nSubject: raw\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
          .. "Message-ID: <r@example.com>\r\n\r\nHi \195\188\r\n"
        assert(mail:send { raw = raw, queue = true })
        wanted[#wanted + 1] = raw
        os.remove(path)                 -- it was taken along
        assert.equal(#wanted, run(mail, { connections = 1 }).sent)
        for i, bytes in ipairs(wanted) do assert.equal(bytes, fake.sent[i].bytes) end
        assert.same({ "ann@example.net", "bob@example.net", "c@example.net", "d@example.net" }, fake.sent[1].to)
      end)

      it("takes what a reader function brings along, too", function()
        local fake = testing.transport()
        local mail, pieces = mail_of { transport = fake }, { "abc", "def" }
        assert(mail:send(hello { key = "k", attachments = { { name = "a.txt", size = 6, read = function() return table.remove(pieces, 1) end } } }))
        local receipt, e = mail:send(hello { attachments = { { name = "a.txt", size = 6, read = function() return nil end } } })
        assert.is_nil(receipt)
        assert.same({ "FILE", "attachments[1]" }, { e.code, e.detail })
        assert.equal(1, run(mail).sent)
        assert.equal("abcdef", fake.sent[1].attachments[1].data)
        assert.equal("k", fake.sent[1].key)
      end)

      it("goes by the API when it can", function()
        local mail = mail_of {
          via = "auto", api = box.urls.api, access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
        }
        assert(mail:send(hello()))
        assert.equal(1, run(mail).sent)
        assert.equal("api", box:mails()[1].via)
      end)

      it("comes out of send_all as well", function()
        local mail, results = mail_of(), {}
        local next_result, state = mail:send_all { hello { to = "a@example.net" }, hello { to = "b@" }, hello { to = "c@example.net", key = "c" } }
        repeat
          local result = next_result(state)
          if result then results[result.n] = result.receipt and result.receipt.outcome or result.err.code end
        until not result
        assert.same({ "queued", "ADDRESS", "queued" }, results)
        assert.equal(2, run(mail).sent)
      end)
    end)

    describe("a key", function()
      it("is queued once, and gives the receipt once it was sent", function()
        local mail = mail_of()
        local first = assert(mail:send(hello { key = "order-1" }))
        local again = assert(mail:send(hello { key = "order-1" }))
        assert.same({ "queued", true, first.id }, { again.outcome, again.earlier, again.id })
        assert.equal("queued", assert(mail:send(hello { key = "order-1", queue = false })).outcome, "a send finds it there")
        local receipt, e = mail:send(hello { key = "order-1", text = "other" })
        assert.is_nil(receipt)
        assert.same({ "OPTION", "key" }, { e.code, e.detail })
        run(mail)
        again = assert(mail:send(hello { key = "order-1" }))
        assert.same({ "sent", true, "smtp" }, { again.outcome, again.earlier, again.via })
        assert.equal(1, copies())
      end)

      it("that was refused says so from then on", function()
        local mail = mail_of()
        assert(mail:send(hello { key = "k", to = "invalid@sandbox.example" }))
        assert.equal(1, run(mail).refused)
        local receipt, e = mail:send(hello { key = "k", to = "invalid@sandbox.example" })
        assert.is_nil(receipt)
        assert.same({ "refused", "559" }, { e.outcome, e.detail })
      end)
    end)

    describe("a pump", function()
      it("buries what is refused for good", function()
        local mail, got = mail_of(), nil
        assert(mail:send(hello { to = "invalid@sandbox.example" }))
        assert.equal(1, run(mail, { on_result = function(r) got = r end }).refused)
        assert.same({ refused = 1 }, states(mail))
        assert.same({ false, "559" }, { got.ok, got.err.detail })
        assert.is_nil(got.again)
        assert.matches('"detail":"559"', assert(mail.store:list "refused")[1].result)
      end)

      it("keeps to all_or_none", function()
        local mail, got = mail_of(), {}
        assert(mail:send(hello { to = { "ann@example.net", "defer@sandbox.example" }, all_or_none = true }))
        assert(mail:send(hello { key = "k", to = { "ann@example.net", "invalid@sandbox.example" }, all_or_none = true }))
        run(mail, { on_result = function(r) got[r.err.outcome] = r end })
        assert.equal(0, copies())
        assert.same({ "defer@sandbox.example", false }, { got.not_sent.err.refused[1].address, got.not_sent.again == nil })
        assert.same({ "invalid@sandbox.example", true }, { got.refused.err.refused[1].address, got.refused.again == nil })
        local receipt, e = mail:send(hello { key = "k", to = { "ann@example.net", "invalid@sandbox.example" }, all_or_none = true })
        assert.is_nil(receipt)
        assert.same({ "refused", "invalid@sandbox.example" }, { e.outcome, e.refused[1].address })
      end)

      it("tries again later what is refused for now or did not leave, and each attempt is the same mail", function()
        for _, fault in ipairs { "rcpt:450:once", "mail:drop:once", "connect:drop:once", "data:421:once" } do
          assert(box:set_faults { fault })
          box:clear()
          local mail, seen = mail_of(), {}
          local receipt = assert(mail:send(hello()))
          local counts = run(mail, { first_pause = 100, on_result = function(r) seen[#seen + 1] = r end })
          assert.same({ 1, 0 }, { counts.again, counts.sent }, fault)
          assert.is_true(seen[1].again >= 50 and seen[1].again <= 100, fault)
          assert.equal(1, states(mail).waiting)
          assert.equal(0, run(mail).sent, "not yet")
          kind.later(101)
          assert.equal(1, run(mail).sent, fault)
          assert.is_truthy(box:mails()[1].raw:find("Message-ID: " .. receipt.message_id, 1, true))
          assert.equal(1, copies())
        end
      end)

      it("rule 1.31: gives up in time, and tells why", function()
        local mail = mail_of()
        assert(mail:send(hello { to = "defer@sandbox.example" }))
        assert(box:set_faults { "connect:drop" })
        assert(mail:send(hello()))
        assert(box:set_faults {})
        assert.equal(1, run(mail, { give_up = 0 }).refused)
        assert.same({ sent = 1, refused = 1 }, states(mail))
      end)

      it("never repeats what is unknown, unless it may", function()
        assert(box:set_faults { "dot:drop-after:once" })
        local mail = mail_of()
        assert(mail:send(hello()))
        assert.equal(1, run(mail).unknown)
        assert.equal(0, run(mail).sent)
        assert.equal(1, copies())
        assert.same({ unknown = 1 }, states(mail))
        assert(box:set_faults { "dot:drop-after:once" })
        assert(mail:send(hello { on_unknown = "resend" }))
        assert.equal(1, run(mail).again)
        kind.later(20)
        run(mail)
        assert.equal(3, copies())
        assert.same({ unknown = 1, sent = 1 }, states(mail))
      end)

      it("keeps the mails when it is the pump that is wrong", function()
        local mail = mail_of { smtp_password = "wrong" }
        for i = 1, 4 do assert(mail:send(hello { to = i .. "@example.net" })) end
        local counts = run(mail, { connections = 1 })
        assert.same({ 4, 0, 0 }, { counts.again, counts.refused, counts.not_sent })
        assert.same({ waiting = 4 }, states(mail))
        local unset = mail_of()
        unset.settings.smtp, unset.settings.region = nil, nil
        kind.later(20)
        assert.equal(4, run(unset).again)
        kind.later(40)
        assert.equal(4, run(mail_of()).sent)
      end)

      it("holds still while its own settings do not work, and stops at once all the same", function()
        local mail = mail_of { smtp_password = "wrong" }
        for i = 1, 40 do assert(mail:send(hello { to = i .. "@example.net" })) end
        local tried = 0
        local pump = assert(outbox.start(mail, { connections = 1, on_result = function() tried = tried + 1 end }))
        while tried < 2 do host.sleep(0.01) end
        local counts = assert(pump:stop())
        assert.is_true(counts.again < 20, counts.again)
        assert.same({ waiting = 40 }, states(mail))
      end)

      it("sends nothing to who has asked for silence meanwhile", function()
        local mail = mail_of()
        assert(mail:send(hello()))
        assert(mail.store:suppress("ann@example.net", "unsubscribed", "link"))
        assert.equal(1, run(mail).not_sent)
        assert.same({ not_sent = 1 }, states(mail))
        assert.equal(0, copies())
      end)

      it("sends no mail of a test to its readers, and nothing that it does not know", function()
        local mail = mail_of { redirect = "me@example.com" }
        assert(mail:send(hello()))
        local got
        assert.equal(1, run(mail_of(), { on_result = function(r) got = r end }).again)
        assert.same({ "OPTION", "redirect" }, { got.err.code, got.err.detail })
        kind.later(20)
        assert.equal(1, run(mail).sent)
        assert.same({ "me@example.com" }, box:mails()[1].to)
        assert(mail.store:enqueue { { payload = "{}" }, { payload = "no JSON" }, { payload = '{"version":99,"at":1,"fields":{}}' } })
        assert.equal(3, run(mail).not_sent)
        assert.equal(1, copies())
      end)

      it("wakes when a mail comes, and what it has not begun goes back when it stops", function()
        local mail = mail_of()
        local pump = assert(outbox.start(mail, { connections = 2 }))
        host.sleep(0)
        for i = 1, 5 do assert(mail:send(hello { to = i .. "@example.net" })) end
        assert(box:wait { to = "5@example.net", timeout = 10 })
        assert(box:set_faults { "dot:slow=0.2" })
        for i = 1, 60 do assert(mail:send(hello { to = "b" .. i .. "@example.net" })) end
        assert(box:wait { to = "b1@example.net", timeout = 10 })
        local counts = assert(pump:stop())
        local now = states(mail)
        assert.same({ counts.sent, 65 - counts.sent }, { now.sent, now.waiting })
        assert.is_true(counts.sent < 40, counts.sent)
        assert.same({ sent = now.sent, waiting = now.waiting }, now)
        assert.equal(counts.sent, copies())
        assert.same(counts, assert(pump:stop()))
      end)

      it("takes over from those that died: what was marked is unknown, the rest is sent", function()
        local mail = mail_of()
        for i = 1, 6 do assert(mail:send(hello { to = i .. "@example.net" })) end
        local jobs = assert(mail.store:lease(4, 60000))
        assert(mail.store:mark { jobs[1], jobs[2] })
        kind.later(61)
        assert(mail.store:reap())
        assert.equal(4, run(mail).sent)
        assert.same({ sent = 4, unknown = 2 }, states(mail))
        assert.equal(4, copies())
      end)

      it("keeps its leases for as long as it works", function()
        assert(box:set_faults { "dot:slow=2.5" })
        local mail = mail_of()
        for i = 1, 3 do assert(mail:send(hello { to = i .. "@example.net" })) end
        local pump = assert(outbox.start(mail, { connections = 1, lease = 1 }))
        local other = assert(outbox.start(mail_of(), { connections = 1, lease = 1 }))
        local deadline = host.tick() + 60
        while (states(mail).sent or 0) < 3 and host.tick() < deadline do host.sleep(0.05) end
        local sent = assert(pump:stop()).sent + assert(other:stop()).sent
        assert.equal(3, sent)
        assert.same({ sent = 3 }, states(mail))
        assert.equal(3, copies())
      end)
    end)

    it("several pumps at once deliver each mail once", function()
      local mail, pumps, total = mail_of(), {}, 0
      for i = 1, 150 do assert(mail:send(hello { to = i .. "@example.net" })) end
      for i = 1, 4 do pumps[i] = assert(outbox.start(mail_of(), { connections = 2 })) end
      local deadline = host.tick() + 60
      while (states(mail).sent or 0) < 150 and host.tick() < deadline do host.sleep(0.05) end
      for i = 1, 4 do total = total + assert(pumps[i]:stop()).sent end
      assert.equal(150, total)
      local seen = {}
      for _, one in ipairs(box:mails()) do seen[one.to[1]] = (seen[one.to[1]] or 0) + 1 end
      for i = 1, 150 do assert.equal(1, seen[i .. "@example.net"]) end
      assert.same({ sent = 150 }, states(mail))
    end)

    it("pumps share one rate", function()
      local mail = mail_of()
      for i = 1, 40 do assert(mail:send(hello { to = i .. "@example.net" })) end
      local start, pumps, total = host.tick(), {}, 0
      for i = 1, 2 do pumps[i] = assert(outbox.start(mail_of(), { connections = 2, rate = 20 })) end
      local deadline = start + 60
      while (states(mail).sent or 0) < 40 and host.tick() < deadline do host.sleep(0.02) end
      assert.is_true(host.tick() - start > 1.7, "each for itself they would be done after a second")
      for i = 1, 2 do total = total + assert(pumps[i]:stop()).sent end
      assert.equal(40, total)
    end)

    it("a pump without a store is refused, and misuse is raised at the caller's line", function()
      local pump, e = outbox.start(assert(mails.new({ sender = "a@example.com" }, home, 1)))
      assert.is_nil(pump)
      assert.is_true(err.is(e))
      assert.same({ "OPTION", "store" }, { e.code, e.detail })
      local mail = mail_of()
      for _, options in ipairs { { conections = 1 }, { connections = 0 }, { lease = 0 }, { give_up = "x" }, { connections = "2" }, { on_result = 1 } } do
        local ok, why = pcall(function() outbox.start(mail, options) end)
        assert.is_false(ok)
        assert.matches("outbox_test.lua:%d+: ", why)
      end
    end)
  end)
end

describe("a Redis that is killed and started again", function()
  it("is waited for, and every mail is delivered once", function()
    local mail = assert(mails.new({
      region = "ap-southeast-1", sender = "noreply@mail.example.com", smtp = box.urls.smtp, ca = box.ca, via = "smtp",
      smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, store = server.url,
    }, home, 1))
    for i = 1, 120 do assert(mail:send { to = i .. "@example.net", subject = "x", text = "x", queue = true }) end
    -- jobs whose lease Redis had written down when it died, and had not told, wait until it is over
    local pump = assert(outbox.start(mail, { connections = 3, lease = 5 }))
    for n = 1, 3 do
      while pump.counts.sent < n * 20 do host.sleep(0.01) end
      server:kill()
      host.sleep(0.05)
      server:start()
    end
    local deadline = host.tick() + 60
    while pump.counts.sent < 120 and host.tick() < deadline do host.sleep(0.05) end
    assert.equal(120, assert(pump:stop()).sent)
    local counts = assert(mail.store:counts())
    assert.same({ 120, 0, 0, 0 }, { counts.sent, counts.marked, counts.leased, counts.waiting })
    assert.equal(120, copies())
    mail.store:close()
  end)
end)
