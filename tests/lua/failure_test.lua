-- directmail.failure: what went wrong in a dialogue becomes an error that explains.
local err = require "directmail.err"
local failure = require "directmail.failure"

local function context(more)
  local c = { host = "smtp.example", port = 465, tls = "implicit", peer = "smtp.example:465", seconds = 1.5, now = 0,
    hide = function(text) return (text:gsub("secret", "********")) end }
  for name, value in pairs(more or {}) do c[name] = value end
  return c
end

local function new(outcome, said, more) return failure.new(outcome, said, context(more)) end

describe("failure", function()
  it("keeps_where_it_happened_and_in_which_outcome", function()
    local e = new("not_sent", { step = "banner", error = "LOST", text = "closed" })
    assert.is_true(err.is(e))
    assert.same({ "LOST", "not_sent", { step = "banner", peer = "smtp.example:465", seconds = 1.5 } }, { e.code, e.outcome, e.where })
    assert.matches("lost at banner: closed", e.cause)
  end)

  it("says_for_every_failure_of_ours_who_has_to_act_and_whether_a_repeat_helps", function()
    for code, want in pairs {
      DNS = { "network", true }, CONNECT = { "network", true }, TIMEOUT = { "network", true }, LOST = { "network", true },
      PROTOCOL = { "network", true }, TLS = { "network", false }, AUTH = { "credentials", false }, SIZE = { "content", false },
      CONTENT = { "content", false }, FILE = { "client-bug", false },
    } do
      local e = new("not_sent", { step = "mail", error = code, text = "some words" })
      assert.same({ code, want[1], want[2] }, { e.code, e.blame, e.retry }, code)
      assert.is_truthy(e.cause:find("some words", 1, true), e.cause)
      assert.is_true(#e.remedy > 10)
      assert.is_nil(e.reply)
    end
  end)

  it("has_a_remedy_of_its_own_for_each_kind_of_tls_failure", function()
    local seen = {}
    for _, detail in ipairs { "name", "expired", "issuer", "clear", "version", "" } do
      local e = new("not_sent", { step = "starttls", error = "TLS", detail = detail, text = "words" })
      assert.same({ "TLS", detail, false }, { e.code, e.detail, e.retry })
      assert.matches("words", e.cause)
      assert.is_nil(seen[e.remedy], e.remedy)
      seen[e.remedy] = true
    end
    assert.matches("handshake failed", new("not_sent", { step = "connect", error = "TLS", detail = "new", text = "x" }).cause)
    assert.matches("handshake failed", new("not_sent", { step = "connect", error = "TLS", text = "x" }).cause)
  end)

  it("knows_why_port_25_is_silent", function()
    local e = new("not_sent", { step = "connect", error = "TIMEOUT", text = "timeout" }, { port = 25, peer = "smtp.example:25" })
    assert.matches("closes outgoing port 25", e.cause)
    assert.is_truthy(e.remedy:find("smtp://smtp.example:80", 1, true))
    assert.is_nil(new("not_sent", { step = "connect", error = "TIMEOUT", text = "timeout" }).cause:find "25")
  end)

  it("knows_that_port_465_waits_for_tls", function()
    local said = { step = "banner", error = "TIMEOUT", text = "timeout" }
    assert.is_truthy(new("not_sent", said, { tls = "starttls" }).remedy:find("smtps://smtp.example", 1, true))
    assert.matches("raise timeout", new("not_sent", said).remedy)
  end)

  it("explains_a_reply_and_quotes_it", function()
    local e = new("refused", { step = "rcpt", error = "REFUSED", code = 550, enhanced = "5.1.1", text = "no such user" })
    assert.same({ "REFUSED", "550", "refused", false, "recipient", "550 5.1.1 no such user" },
      { e.code, e.detail, e.outcome, e.retry, e.blame, e.reply })
    e = new("refused", { step = "dot", error = "REFUSED", code = 451, text = "later" })
    assert.same({ true, "451 later" }, { e.retry, e.reply })
    assert.is_true(e.after > 0)
    e = new("refused", { step = "dot", error = "REFUSED", code = 552, text = "Daily sending quota exceeded" })
    assert.same({ "QUOTA", true, 16 * 3600 }, { e.code, e.retry, e.after })
  end)

  it("calls_a_refused_login_auth_whatever_its_number", function()
    local e = new("refused", { step = "auth", error = "AUTH", code = 554, text = "no" })
    assert.same({ "AUTH", "554", "refused" }, { e.code, e.detail, e.outcome })
    assert.is_truthy(e.cause and e.remedy)
  end)

  it("rule_2_56_tells_a_refused_login_for_good_from_one_for_now", function()
    for code, retry in pairs { [535] = false, [526] = false, [534] = false, [538] = false, [530] = false, [454] = true, [432] = true } do
      local e = new("refused", { step = "auth", error = "AUTH", code = code, text = "no" })
      assert.same({ "AUTH", tostring(code), retry }, { e.code, e.detail, e.retry })
      assert.equal(retry, e.after ~= nil)
    end
  end)

  it("rule_1_31_waits_a_minute_at_least_before_a_4yz_is_tried_again", function()
    for code = 400, 499 do
      for _, step in ipairs { "banner", "mail", "rcpt", "data", "dot" } do
        local e = new("refused", { step = step, error = "REFUSED", code = code, text = "later" })
        if e.retry then assert.is_true(e.after >= 60, code .. " at " .. step) end
      end
    end
    assert.is_true(new("refused", { step = "rcpt", error = "REFUSED", code = 450, text = "later" }).retry)
  end)

  it("is_not_sent_in_clear_text_after_a_refused_starttls", function()
    local e = new("not_sent", { step = "starttls", error = "TLS", detail = "clear", code = 454, text = "not now" })
    assert.same({ "TLS", "clear", "not_sent", false, "454 not now" }, { e.code, e.detail, e.outcome, e.retry, e.reply })
  end)

  it("never_calls_for_a_repeat_when_the_outcome_is_unknown", function()
    for _, code in ipairs { "LOST", "TIMEOUT", "PROTOCOL" } do
      local e = new("unknown", { step = "dot", error = code, text = "closed" })
      assert.same({ code, "unknown", false }, { e.code, e.outcome, e.retry })
      assert.is_nil(e.after)
      assert.matches("directmail trace %-%-to ADDR, or mail:resolve%(err%)", e.remedy)
    end
    assert.matches("the server was silent", new("unknown", { step = "dot", error = "TIMEOUT", text = "timeout" }).cause)
    assert.equal("LOST", new("unknown", { step = "dot", text = "x" }).code)
    assert.equal("half a reply", new("unknown", { step = "dot", error = "PROTOCOL", code = 999, text = "half a reply" }).reply)
  end)

  it("tells_what_a_421_that_nobody_asked_for_said", function()
    local e = new("not_sent", { step = "mail", error = "LOST", code = 421, text = "shutting down" })
    assert.same({ "LOST", "not_sent", true, "shutting down" }, { e.code, e.outcome, e.retry, e.reply })
  end)

  it("rule_7_11_hides_secrets_in_every_field", function()
    for _, said in ipairs {
      { step = "auth", error = "AUTH", code = 535, text = "secret is wrong" }, { step = "auth", error = "LOST", text = "secret" },
      { step = "starttls", error = "TLS", detail = "clear", code = 454, text = "secret" },
      { step = "auth", error = "LOST", code = 421, text = "secret" }, { step = "connect", error = "TLS", detail = "issuer", text = "secret" },
    } do
      for _, outcome in ipairs { "refused", "not_sent", "unknown" } do
        local e = new(outcome, said)
        local all = table.concat({ tostring(e), err.report(e), e.reply or "", e.cause, e.remedy }, "\n")
        assert.is_nil(all:find("secret", 1, true), all)
      end
    end
  end)
end)
