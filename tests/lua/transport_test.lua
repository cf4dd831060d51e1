-- Transports of the caller's, and the one for tests.
local directmail = require "directmail"

local function mail_with(transport) return assert(directmail.new { transport = transport, sender = "a@example.com" }) end

local function hello(more)
  local m = { to = "ann@example.net", subject = "Welcome 您好", text = "Hi", attachments = { { name = "发票.pdf", data = "PDF" } } }
  for name, value in pairs(more or {}) do m[name] = value end
  return m
end

describe("the transport for tests", function()
  it("keeps what was sent, as people read it", function()
    local fake = directmail.testing.transport()
    local receipt = assert(mail_with(fake):send(hello { bcc = "bob@example.net" }))
    assert.same({ "sent", "testing", "1" }, { receipt.outcome, receipt.via, receipt.id })
    assert.equal(1, #fake.sent)
    local got = fake.sent[1]
    assert.same({ "ann@example.net", "bob@example.net" }, got.to)
    assert.same({ "a@example.com", "Welcome 您好", "发票.pdf", "PDF" }, { got.from, got.subject, got.attachments[1].name, got.attachments[1].data })
    assert.equal(receipt.message_id, got.message_id)
    assert.equal(receipt.bytes, #got.bytes)
  end)

  it("fails the next ones as it is told to, and forgets", function()
    local fake = directmail.testing.transport()
    local mail = mail_with(fake)
    fake:fail_next { code = "REFUSED", detail = "559", outcome = "refused" }
    local receipt, e = mail:send(hello())
    assert.is_nil(receipt)
    assert.same({ "REFUSED", "559", "refused" }, { e.code, e.detail, e.outcome })
    assert.equal(0, #fake.sent)
    assert(mail:send(hello()))
    fake:reset()
    assert.equal(0, #fake.sent)
  end)

  it("serves send_all", function()
    local fake, ok = directmail.testing.transport(), 0
    for result in mail_with(fake):send_all({ hello(), hello { to = "no address" }, hello() }) do ok = ok + (result.ok and 1 or 0) end
    assert.equal(2, ok)
    assert.equal(2, #fake.sent)
  end)
end)

describe("a transport of one's own", function()
  it("gets the envelope and the message, and adds to the receipt", function()
    local seen = {}
    local receipt = assert(mail_with { name = "archive", send = function(_, envelope, message)
      seen.envelope, seen.size, seen.bytes = envelope, message:size(), message:bytes()
      return { id = "file-7" }
    end }:send(hello()))
    assert.same({ "archive", "file-7" }, { receipt.via, receipt.id })
    assert.same({ "ann@example.net" }, seen.envelope.to)
    assert.is_nil(seen.envelope.all_or_none)
    assert.equal(seen.size, #seen.bytes)
  end)

  it("is told that a mail is for all or none", function()
    local told
    assert(mail_with { name = "x", send = function(_, envelope)
      told = envelope.all_or_none
      return {}
    end }:send(hello { all_or_none = true }))
    assert.is_true(told)
  end)

  it("says itself what a failure means; else it is unknown", function()
    local _, e = mail_with { name = "x", send = function() return nil, directmail.error { code = "FILE", cause = "the disk is full" } end }:send(hello())
    assert.same({ "FILE", "not_sent" }, { e.code, e.outcome })
    _, e = mail_with { name = "x", send = function() return nil, "hm" end }:send(hello())
    assert.same({ "unknown", false }, { e.outcome, e.retry })
  end)

  it("is refused when it is none", function()
    local mail, e = directmail.new { transport = {} }
    assert.is_nil(mail)
    assert.same({ "OPTION", "transport" }, { e.code, e.detail })
  end)
end)
