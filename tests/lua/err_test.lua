-- directmail.err: the error that every failing call returns.
local err = require "directmail.err"
local core = require "directmail.core"

describe("err", function()
  it("has_exactly_the_codes_of_the_core", function()
    local names = {}
    for _, name in ipairs(err.NAMES) do
      names[name] = true
      assert.is_string(core.codes[name])
      assert.equal(core.codes[name], err.new { code = name }.cause)
    end
    for name in pairs(core.codes) do assert.is_true(names[name], name) end
    assert.equal("OPTION", err.NAMES[1])
    assert.equal("CLOCK", err.NAMES[#err.NAMES])
  end)

  it("defaults_to_not_sent_and_no_repeat", function()
    local e = err.new { code = "ADDRESS" }
    assert.equal("not_sent", e.outcome)
    assert.is_false(e.retry)
  end)

  it("prints_as_one_line", function()
    local e = err.new { code = "ADDRESS", detail = "to", cause = "no dot", remedy = "add one", reply = "secret server words" }
    assert.equal("ADDRESS: no dot (to); add one", tostring(e))
    assert.equal("SIZE: the message is too large", tostring(err.new { code = "SIZE" }))
    assert.is_nil(tostring(err.new { code = "REFUSED", cause = "a\nb", detail = "x\r\ny" }):find("[\r\n]"))
  end)

  it("shows_terminal_escapes_of_a_server_escaped", function()
    local e = err.new { code = "REFUSED", reply = "550 no\27[2J\r\n\0\127", detail = "55\0270", where = { step = "rcpt", peer = "h\27" } }
    assert.equal("550 no\\27[2J\\r\\n\\0\\127", e.reply)
    assert.equal("55\\270", e.detail)
    assert.equal("h\\27", e.where.peer)
  end)

  it("leaves_utf8_alone_and_escapes_what_is_none", function()
    assert.equal("报告 é 😀", err.printable("报告 é 😀"))
    assert.equal("\\255a\\192\\128", err.printable("\255a\192\128"))
    assert.equal("\\237\\160\\128", err.printable("\237\160\128"))     -- a surrogate
    assert.equal("\\194\\155x", err.printable("\194\155x"))             -- U+009B, an escape sequence of one octet
    assert.equal("\\226\\128\\174x", err.printable("\226\128\174x"))    -- U+202E turns the line around
    assert.equal("\\230\\138", err.printable("\230\138"))               -- cut off
    local once = err.printable("a\27b\255\r")
    assert.equal(once, err.printable(once))
  end)

  it("raises_on_a_fault_of_the_program_at_its_line", function()
    local function fault(fields, words)
      local ok, why = pcall(function()
        local e = err.new(fields)         -- no tail call: levels count frames
        return e
      end)
      assert.is_false(ok)
      assert.is_truthy(why:find(words, 1, true), why)
      assert.is_truthy(why:find("err_test.lua", 1, true), why)
    end
    fault({ code = "NOPE" }, 'unknown error code "NOPE"')
    fault({}, "unknown error code")
    fault({ code = "DNS", outcome = "sent" }, "outcome")
    fault({ code = "DNS", casue = "x" }, "casue")
    fault({ code = "DNS", retry = "yes" }, "retry")
    fault("x", "table expected")
  end)

  it("knows_its_own", function()
    assert.is_true(err.is(err.new { code = "DNS" }))
    assert.is_false(err.is { code = "DNS" })
    assert.is_false(err.is("DNS"))
    assert.is_false(err.is(nil))
  end)

  it("does_not_keep_the_tables_of_its_caller", function()
    local where = { step = "rcpt", peer = "h" }
    local e = err.new { code = "REFUSED", where = where }
    where.step = "dot"
    assert.equal("rcpt", e.where.step)
  end)

  it("reports_what_happened_the_number_and_what_to_do", function()
    local e = err.new { code = "REFUSED", outcome = "refused", detail = "InvalidMailAddress.NotFound",
      reply = "The specified mailAddress does not exist.", cause = "the sender is unknown in this region",
      remedy = "create it there", request_id = "7C3B", where = { step = "api", peer = "dm.aliyuncs.com", seconds = 0.214 } }
    assert.equal(table.concat({
      "refused: the server said no to the request",
      "  said     InvalidMailAddress.NotFound The specified mailAddress does not exist.",
      "  where    api → dm.aliyuncs.com, 0.21 s",
      "  cause    the sender is unknown in this region",
      "  remedy   create it there",
      "  look up  RequestId 7C3B   ·   directmail explain InvalidMailAddress.NotFound",
    }, "\n"), err.report(e))
  end)

  it("reports_without_empty_lines_when_little_is_known", function()
    assert.equal("not sent: the connection cannot be made private\n  cause    the certificate is too old (expired)\n  remedy   renew it",
      err.report(err.new { code = "TLS", detail = "expired", cause = "the certificate is too old", remedy = "renew it" }))
    assert.equal("outcome unknown: the connection was lost\n  cause    the connection was lost",
      err.report(err.new { code = "LOST", outcome = "unknown" }))
    local said = err.report(err.new { code = "REFUSED", outcome = "refused", detail = "550", reply = "550 no", where = { step = "rcpt" } })
    assert.is_truthy(said:find("\n  said     550 no\n", 1, true))
    assert.is_truthy(said:find("directmail explain 550", 1, true))
    assert.is_truthy(said:find("said no to the recipient", 1, true))
  end)

  it("becomes_a_plain_table_for_json", function()
    local e = err.new { code = "QUOTA", outcome = "refused", retry = true, after = 60, where = { step = "dot", seconds = 1 } }
    local plain = err.plain(e)
    assert.is_nil(getmetatable(plain))
    assert.same({ ok = false, code = "QUOTA", outcome = "refused", retry = true, after = 60,
      cause = "the account's quota is used up", where = { step = "dot", seconds = 1 } }, plain)
  end)

  it("lists_who_was_refused_and_passes_over_what_is_no_recipient", function()
    local given = { { address = "b@x.example", reply = "550 no\27", cause = "c" }, { reply = "550" }, "x", { address = "d@x.example", reply = 7 } }
    local e = err.new { code = "REFUSED", outcome = "refused", refused = given }
    local want = { { address = "b@x.example", reply = "550 no\\27", cause = "c" }, { address = "d@x.example" } }
    assert.same(want, e.refused)
    assert.same(want, err.plain(e).refused)
    assert.are_not.equal(e.refused, err.plain(e).refused)
    assert.is_truthy(err.report(e):find("\n  refused  b@x.example: 550 no\\27\n  refused  d@x.example", 1, true))
  end)
end)
