-- core.message: tables in, chunks of a finished message out.
local core = require "directmail.core"

local function fields(subject)
  return {
    { "From", "mailboxes", { { name = "张三", address = "a@x.example" } } },
    { "To", "mailboxes", { { address = "b@x.example" }, { name = "Ann", address = "c@x.example" } } },
    { "Subject", "text", subject or "Hi" },
    { "Message-ID", "tokens", "<1@x.example>" },
    { "X-AliDM-Trace", "exact", "eyJ9" },
  }
end

--- Pull everything; `readers` maps a reader object to the list of chunks that it brings.
local function bytes(m, max, readers)
  local out, at = {}, {}
  while true do
    local what, a, want = m:pull(max or 65536)
    if what == "bytes" then
      out[#out + 1] = a
    elseif what == "body" then
      assert.is_true(want > 0)
      at[a] = (at[a] or 0) + 1
      local ok, err = m:body(readers[a][at[a]])
      if not ok then return nil, err end
    elseif what == "end" then
      return table.concat(out)
    else
      return nil, a
    end
  end
end

local function contains(text, piece)
  assert(text:find(piece, 1, true), "not found: " .. piece .. "\nin: " .. text)
end

--- The call raises, at this file's line, with these words.
local function raises(words, ...)
  local ok, message = pcall(...)
  assert.is_false(ok)
  contains(message, words)
  return message
end

describe("core.message", function()
  it("lays out a message whose size is what comes out", function()
    local m = assert(core.message { mail_from = "a@x.example", rcpt_to = { "b@x.example", "c@x.example" },
      fields = fields(), text = "hi", html = "<p>hi", boundary = "=_b" })
    local all = bytes(m)
    assert.are.equal(#all, m:size())
    contains(all, "From: =?UTF-8?B?5byg5LiJ?= <a@x.example>\r\nTo: b@x.example, Ann <c@x.example>\r\nSubject: Hi\r\n"
      .. "Message-ID: <1@x.example>\r\nX-AliDM-Trace: eyJ9\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative;")
    assert.is_false(m:is_8bit())
    local from, to = m:envelope()
    assert.are.equal("a@x.example", from)
    assert.are.same({ "b@x.example", "c@x.example" }, to)
  end)

  it("gives the same bytes in chunks of any size, and again after rewind", function()
    local m = assert(core.message { fields = fields(), text = ("é.\n"):rep(50), boundary = "b",
      parts = { { name = "报告.csv", data = ("x"):rep(500) } } })
    local all = bytes(m)
    for _, max in ipairs { 1, 2, 57, 78, 1000 } do
      m:rewind()
      assert.are.equal(all, bytes(m, max))
    end
    assert.are.equal("end", m:pull(1))
  end)

  it("asks a reader for its bytes and checks that they are as many as promised", function()
    local reader = {}
    local function new(size)
      return assert(core.message { text = "hi", boundary = "b",
        parts = { { name = "a", data = "A" }, { name = "r", reader = reader, size = size } } })
    end
    local readers = { [reader] = { "12345", "", "67890" } }
    local m = new(10)
    local all = bytes(m, nil, readers)
    contains(all, "\r\n\r\nMTIzNDU2Nzg5MA==\r\n--b-1--\r\n")
    assert.are.equal(#all, m:size())
    for size, words in pairs { [9] = "more octets", [11] = "fewer octets" } do
      local m2 = new(size)
      local none, err = bytes(m2, nil, readers)
      assert.is_nil(none)
      assert.are.equal("FILE", err.code)
      assert.are.equal("attachment 2", err.field)
      contains(err.detail, words)
      local again, same = m2:pull(100)
      while again == "bytes" do again, same = m2:pull(100) end
      assert.is_nil(again)
      assert.are.equal("FILE", same.code)
    end
    raises("pull first", m.body, m, "x")
  end)

  it("keeps data and readers alive until it is closed", function()
    local weak = setmetatable({}, { __mode = "v" })
    local function make()
      local reader = {}
      weak.reader = reader
      return assert(core.message { parts = { { name = "a", data = ("data"):rep(1000) .. #weak },
        { name = "r", reader = reader, size = 1 } }, boundary = "b" })
    end
    local m = make()
    collectgarbage() collectgarbage()
    assert.is_not_nil(weak.reader)
    local what, chunk = m:pull(1e6)
    assert.are.equal("bytes", what)
    contains(chunk, "ZGF0YWRhdGFkYXRh")
    assert.is_true(select(2, m:pull(1e6)) == weak.reader)
    m:close()
    collectgarbage() collectgarbage()
    assert.is_nil(weak.reader)
  end)

  it("is unusable once closed, and may be closed twice", function()
    local m = assert(core.message { text = "hi" })
    m:close()
    m:close()
    for _, name in ipairs { "size", "is_8bit", "envelope", "rewind", "body" } do raises("closed", m[name], m) end
    raises("closed", m.pull, m, 1)
  end)

  it("answers nil and the error for content that cannot be sent", function()
    local function refused(mail)
      local m, err = core.message(mail)
      assert.is_nil(m)
      return err
    end
    local err = refused { fields = fields("Hi\r\nBcc: v@x.example"), text = "x" }
    assert.are.same({ "HEADER", "Subject" }, { err.code, err.field })
    err = refused { text = "a\0b" }
    assert.are.same({ "CONTENT", "text" }, { err.code, err.field })
    err = refused { rcpt_to = { "a@x.example", "b c@x.example" }, text = "x" }
    assert.are.same({ "ADDRESS", "rcpt_to 2" }, { err.code, err.field })
    err = refused { text = "x", html = "y" }
    assert.are.same({ "OPTION", "boundary" }, { err.code, err.field })
    err = refused { text = "x", boundary = "b", parts = { { name = "a" , data = "" }, { name = "报告.csv\n", data = "" } } }
    assert.are.same({ "HEADER", "attachment 2 (报告.csv?)" }, { err.code, err.field })
    err = refused { raw = "" }
    assert.are.same({ "CONTENT", "raw" }, { err.code, err.field })
    assert.is_string(err.detail)
  end)

  it("passes a raw message through, line ends repaired", function()
    local m = assert(core.message { raw = "Subject: x\n\n.é" })
    assert.is_true(m:is_8bit())
    assert.are.equal("Subject: x\r\n\r\n.é\r\n", bytes(m))
  end)

  it("raises at the caller's line when it is used wrongly", function()
    local function wrong(words, mail)
      contains(raises(words, function() core.message(mail) end), "message_core_test.lua")
    end
    raises("table expected", core.message)
    wrong("text must be a string, not a number", { text = 1 })
    wrong("text must be a string, not a boolean", { text = true })
    wrong("rcpt_to must be a list", { rcpt_to = "a@x.example" })
    wrong("a recipient must be a string", { rcpt_to = { {} } })
    wrong("fields must be a list", { fields = 1 })
    wrong("header field 1 must be a table", { fields = { "a" } })
    wrong("name is missing", { fields = { {} } })
    wrong("kind is missing", { fields = { { "Subject" } } })
    wrong("value is missing", { fields = { { "Subject", "text" } } })
    wrong("not 'words'", { fields = { { "Subject", "words", "x" } } })
    wrong("needs a list, not a string", { fields = { { "To", "mailboxes", "a@x.example" } } })
    wrong("mailbox 2 must be a table", { fields = { { "To", "mailboxes", { { address = "a@x.example" }, "b" } } } })
    wrong("parts must be a list", { parts = "a" })
    wrong("part 1 must be a table", { parts = { "a.pdf" } })
    wrong("part 1 needs data, or a reader", { parts = { { name = "a" } } })
    wrong("part 1 needs data, or a reader", { parts = { { reader = {}, size = -1 } } })
    wrong("part 1 needs data, or a reader", { parts = { { reader = {}, size = 1.5 } } })
    wrong("part 1 needs data, or a reader", { parts = { { size = 1 } } })
    local m = assert(core.message { text = "x" })
    raises("over 0", m.pull, m, 0)
    raises("message expected", m.pull, io.stdout, 1)
    raises("message expected", m.size, {})
    raises("message expected", m.size)
  end)

  it("sees no metamethods: what they return is not kept alive", function()
    local mail = setmetatable({ html = "<p>" }, { __index = function(_, k) return k end })
    contains(bytes(assert(core.message(mail))), "Content-Type: text/html")
  end)

  it("takes many header fields of many mailboxes", function()
    local list, boxes = {}, {}
    for i = 1, 50 do boxes[i] = { name = "N" .. i, address = "a" .. i .. "@x.example" } end
    for i = 1, 200 do list[i] = { "X-" .. i, "mailboxes", boxes } end
    local m = assert(core.message { fields = list, text = "x" })
    local _, n = bytes(m):gsub("\r\nX%-", "")
    assert.are.equal(199, n)
  end)

  it("can be neither closed nor pulled while an engine has it", function()
    local m = assert(core.message { mail_from = "a@x.example", rcpt_to = { "b@x.example" }, text = "x" })
    local engine = assert(core.smtp { ehlo = "x.example", tls = "implicit" })
    local other = assert(core.smtp { ehlo = "x.example", tls = "implicit" })
    assert.is_true(engine:push(1, m))
    raises("being sent", m.close, m)
    raises("being sent", m.pull, m, 100)
    raises("being sent", m.rewind, m)
    raises("being sent", other.push, other, 1, m)
    assert.is_true(m:size() > 0)
    engine:close()
    assert.are.equal("bytes", m:pull(100))
    m:close()
    raises("closed", other.push, other, 1, m)
  end)
end)
