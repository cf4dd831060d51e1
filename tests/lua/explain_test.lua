-- directmail.explain: the meaning of replies, by service, step, number and text; and of the API's codes.
local explain = require "directmail.explain"
local limits = require "directmail.data.limits"
local rules = require "directmail.data.smtp_errors"

local function id(phase, code, text, scope)
  return explain.reply { phase = phase, code = code, text = text, scope = scope }.id
end

-- A text that one piece of a pattern finds: enough of Lua's patterns for the rows that there are.
local function sample(piece)
  local text = piece:gsub("%%f%[.-%]", "")
    :gsub("%%(%p)", function(c) return "\1" .. c:byte() .. "\2" end)      -- literal punctuation, put aside
    :gsub("%%d", "7"):gsub("%[%^.-%]", " "):gsub("%[(.)[^%]]*%]", "%1"):gsub("(.)%?", "%1"):gsub("%$$", "")
    :gsub("\1(%d+)\2", function(n) return string.char(tonumber(n)) end)
  return text
end

describe("explain", function()
  it("reaches_every_rule_by_every_of_its_alternatives", function()
    local tried = 0
    for _, rule in ipairs(rules) do
      local phase = rule.phase == "any" and (rule.hint or "data") or rule.phase
      for _, pieces in ipairs(rule.any) do
        local parts = {}
        for i, piece in ipairs(pieces) do parts[i] = sample(piece) end
        local text = table.concat(parts, " and ")
        local got = id(phase, rule.code or 499, text)
        assert.equal(rule.id, got, ("%s said %q"):format(rule.id, text))
        tried = tried + 1
      end
    end
    assert.is_true(tried > 150)
  end)

  it("has_its_rules_with_sentences_and_sources", function()
    local ids, n = {}, 0
    for _, rule in ipairs(rules) do
      if not ids[rule.id] then n = n + 1 end
      ids[rule.id] = true
      for _, name in ipairs { "cause", "remedy", "source", "blame" } do assert.is_true(#rule[name] > 2, rule.id) end
    end
    assert.equal(128, n)        -- 121 of servers' words, six that agree, and the full mailbox
  end)

  it("tells_the_same_number_apart_by_step_and_text", function()
    assert.equal("dm.auth.failed526", id("auth", 526, "Authentication failure"))
    assert.equal("dm.auth.failed526", id("auth", 526, "Authentication failure[0]"))
    assert.equal("dm.auth.toomany", id("auth", 526, "Authentication failure[1]"))
    assert.equal("dm.auth.failed526", id("auth", 526, "Authentication failure[1] and Authentication failure[2]"))
    assert.equal("dlv.dns.nodata", id("event", 526, "No data by dns resolve"))
    assert.equal("5yz", id("rcpt", 526, "Authentication failure"))
    assert.equal("dm.rcpt.toomany", id("rcpt", 556, "the number of RCPTs is over the limit"))
    assert.equal("gen.556", id("rcpt", 556, "null MX"))
    assert.equal("gen.552.rcpt", id("rcpt", 552, "too many"))
    assert.equal("gen.552", id("dot", 552, "too many"))
  end)

  it("tells_a_full_mailbox_from_too_many_recipients", function()
    for code, text in pairs { [552] = "5.2.2 <bob@example.com>: user over its limit", [452] = "4.2.2 try later", [422] = "the mailbox of bob is full",
      [550] = "Mailbox for bob exceeds quota", [522] = "over quota", [554] = "quota exceeded" } do
      local rule = explain.reply { phase = "rcpt", code = code, text = text }
      assert.same({ "gen.mailbox.full", "recipient", "later", false }, { rule.id, rule.blame, rule.retry, rule.permanent }, text)
    end
    assert.equal("ali.mailbox.full", id("rcpt", 552, "mailbox is full"))
    assert.equal("gen.550", id("rcpt", 550, "Sending quota exceeded"))
    assert.equal("gen.552.rcpt", id("rcpt", 552, "15.2.2 and 5.2.21"))
  end)

  it("looks_at_what_must_not_be_there", function()
    assert.equal("dm.freq", id("data", 550, "Frequent sending limited"))
    assert.equal("dm.freq", id("event", 550, "frequency 123456 limit"))
    assert.equal("qq.freq", id("event", 550, "Ip frequency limited"))
    assert.equal("dm.freq", id("event", 550, "too frequently sending, Ip frequency limited"))
    assert.equal("dm.freq", id("data", 450, "frequency is 1234567 exceeded"))
    assert.equal("gen.450", id("data", 450, "frequency is 12345678 exceeded"))        -- thirteen characters between
    assert.equal("dm.setting.linktype", id("dot", 504, "Invalid setting: Unsubscribe.LinkType[@sm190211]"))
    assert.equal("dm.setting.unknown", id("dot", 504, "Invalid setting[@sm190210]"))
    assert.equal("gen.504", id("dot", 504, "Invalid setting: other"))
  end)

  it("finds_words_at_word_borders_only", function()
    assert.equal("gmail.nouser", id("event", 550, "550-5.1.1 no such user"))
    assert.equal("gen.550", id("event", 550, "15.1.1"))
    assert.equal("gmail.rate", id("event", 421, "421-4.7.28 Gmail has detected"))
    assert.equal("gen.421", id("event", 421, "4.7.281"))
  end)

  it("reads_a_reply_of_several_lines_as_one_text", function()
    assert.equal("gmail.spam", id("event", 550, "5.7.1 this message is\nlikely unsolicited mail"))
    assert.equal("yh.nouser", id("event", 554, "delivery error: sorry,\nno such\naccount"))
  end)

  it("keeps_436_and_440_permanent_although_4yz", function()
    for code, text in pairs { [436] = '"MAIL FROM" doesn\'t conform with authentication [@sm060104]',
      [440] = "mail from account doesn't conform with authentication" } do
      local rule = explain.reply { phase = "mail", code = code, text = text }
      assert.is_true(rule.permanent)
      assert.equal("no", rule.retry)
      assert.equal("sender-config", rule.blame)
      local fields = explain.fields { phase = "mail", code = code, text = text }
      assert.is_false(fields.retry)
      assert.is_nil(fields.after)
      assert.equal("REFUSED", fields.code)
    end
  end)

  it("keeps_the_quota_replies_temporary_although_5yz", function()
    for text, retry in pairs { ["Daily sending quota exceeded"] = "next-day", ["Monthly sending quota exceeded"] = "later",
      ["Not enough sending quota"] = "next-day" } do
      local reply = { phase = "dot", code = 552, text = text }
      local rule = explain.reply(reply)
      assert.equal(retry, rule.retry)
      assert.is_false(rule.permanent)
      local fields = explain.fields(reply, 0)
      assert.equal("QUOTA", fields.code)
      assert.is_true(fields.retry)
      assert.is_true(fields.after > 0)
    end
  end)

  it("waits_until_midnight_in_utc_8_for_the_next_day", function()
    local rule = { retry = "next-day" }
    assert.equal(16 * 3600, explain.after(rule, 0))             -- 08:00 there
    assert.equal(1, explain.after(rule, 16 * 3600 - 1))
    assert.equal(86400, explain.after(rule, 16 * 3600))
    assert.equal(1, explain.after(rule, 16 * 3600 - 0.25))
    assert.equal(86400, explain.after(rule))
    assert.equal(limits.retry_backoff, explain.after({ retry = "backoff" }, 0))
    assert.equal(limits.retry_later, explain.after({ retry = "later" }, 0))
    assert.is_nil(explain.after({ retry = "no" }, 0))
  end)

  it("maps_blame_to_our_codes", function()
    assert.equal("AUTH", explain.fields { phase = "auth", code = 535, text = "Authentication failed" }.code)
    assert.equal("AUTH", explain.fields { phase = "auth", code = 535, text = "" }.code)
    assert.equal("REFUSED", explain.fields { phase = "mail", code = 535, text = "" }.code)
    assert.equal("THROTTLED", explain.fields { phase = "dot", code = 454, text = "Transient reject by behavior spam" }.code)
    assert.equal("REFUSED", explain.fields { phase = "rcpt", code = 559, text = "Invalid rcptto [@sm070102]" }.code)
    assert.equal("recipient", explain.fields { phase = "rcpt", code = 559, text = "Invalid rcptto" }.blame)
  end)

  it("falls_back_to_the_first_digit", function()
    local rule = explain.reply { phase = "rcpt", code = 499, text = "?" }
    assert.same({ "4yz", "backoff", false, "none" }, { rule.id, rule.retry, rule.permanent, rule.blame })
    rule = explain.reply { phase = "rcpt", code = 599, text = "?" }
    assert.same({ "5yz", "no", true, "none" }, { rule.id, rule.retry, rule.permanent, rule.blame })
    assert.equal("2yz", id("dot", 299, "ok"))
    assert.equal("3yz", id("dot", 399, "ok"))
    assert.is_false(explain.reply { code = 299 }.permanent)
    assert.equal("none", id("dot", 999, "ok"))
  end)

  it("leaves_receivers_words_out_of_our_own_session", function()
    assert.equal("qq.refused", id("event", 550, "rejected by recipients"))
    assert.equal("gen.550", id("event", 550, "rejected by recipients", "directmail"))
    assert.has_error(function() explain.reply { phase = "rcpt", code = 550, scope = "gmail" } end)
    assert.has_error(function() explain.reply { phase = "rcpr", code = 550 } end)
  end)

  it("takes_every_step_of_a_session", function()
    for _, step in ipairs { "connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "quit" } do
      assert.equal("gen.421", id(step, 421, "closing"))
    end
  end)

  it("stays_quick_on_a_hostile_text", function()
    local before = os.clock()
    for _, word in ipairs { "frequency ", "rcpt ", "delivery error no ", "4.7.0 ", "5.7.1 ", "dt:spm " } do
      explain.reply { phase = "event", code = 451, text = word:rep(100000) }
    end
    assert.is_true(os.clock() - before < 2)
  end)

  it("lists_what_a_number_alone_may_mean", function()
    local ids = {}
    for i, rule in ipairs(explain.list { code = 526 }) do ids[i] = rule.id end
    assert.same({ "dm.auth.failed526", "dm.auth.toomany", "dlv.dns.nodata" }, ids)
    assert.equal("auth", explain.list { code = 526 }[1].phase)
    assert.equal("mail", explain.list { code = 436 }[1].phase)
    assert.equal("dm.mailfrom.mismatch", explain.list { tag = "sm060104" }[1].id)
    assert.equal("dm.honeypot", explain.list { tag = "out060104" }[1].id)
    assert.equal(6, #explain.list { code = 552 })
    assert.equal(4, #explain.list { code = 552, phase = "dot" })
    assert.same({}, explain.list { code = 599 })
    assert.same({}, explain.list { tag = "zz" })
    assert.same({}, explain.list {})
  end)

  it("lists_only_winners_when_the_text_is_there", function()
    local function ids(about)
      local out = {}
      for i, rule in ipairs(explain.list(about)) do out[i] = rule.id end
      return out
    end
    assert.same({ "dm.auth.failed526" }, ids { code = 526, text = "Authentication failure" })
    assert.same({ "dm.quota.daily" }, ids { code = 552, text = "Daily sending quota exceeded" })
    assert.same({ "qq.nouser", "gen.550" }, ids { code = 550, text = "Mailbox not found" })
    assert.same({ "dm.freq" }, ids { text = "too frequently sending" })
    assert.same({ "ne.dt.rbl" }, ids { text = "DT:RBL 163 smtp" })
    assert.same({}, ids { text = "hello" })
  end)
end)

describe("explain, in Chinese", function()
  local tables = { { "smtp_errors", "id" }, { "api_errors", "code" } }

  -- A Chinese sentence holds Chinese characters and Chinese marks, and none of the English words around them.
  local function is_chinese(text)
    return text:find("[\228-\233][\128-\191][\128-\191]") ~= nil and not text:find("[,;] ") and not text:find("%.$")
      and not (" " .. text .. " "):find(" the ")
  end

  it("has_both_sentences_of_every_rule_and_of_every_code", function()
    for _, row in ipairs(tables) do
      local chinese, seen = require("directmail.data." .. row[1] .. "_zh"), {}
      for _, rule in ipairs(require("directmail.data." .. row[1])) do
        local key = rule[row[2]]
        local both = assert(chinese[key], key)
        assert.equal(2, #both)
        assert.is_true(is_chinese(both[1]) and is_chinese(both[2]), key .. ": " .. both[1] .. " / " .. both[2])
        assert.are_not.equal(rule.cause, both[1])
        assert.are_not.equal(rule.remedy, both[2])
        seen[key] = true
      end
      for key in pairs(chinese) do assert.is_true(seen[key], key) end
    end
  end)

  it("says_the_same_thing_with_the_same_sentence", function()
    for _, row in ipairs(tables) do
      local chinese, said = require("directmail.data." .. row[1] .. "_zh"), {}
      for _, rule in ipairs(require("directmail.data." .. row[1])) do
        local both = chinese[rule[row[2]]]
        for i, name in ipairs { "cause", "remedy" } do
          said[rule[name]] = said[rule[name]] or both[i]
          assert.equal(said[rule[name]], both[i], rule[row[2]])
        end
      end
    end
  end)

  it("changes_the_sentences_and_nothing_else", function()
    local function pair(about, ask)
      about.language = "en"
      local english = ask(about)
      about.language = "zh"
      local chinese = ask(about)
      assert.is_true(is_chinese(chinese.cause) and is_chinese(chinese.remedy), chinese.cause .. " / " .. chinese.remedy)
      english.cause, english.remedy, chinese.cause, chinese.remedy = nil, nil, nil, nil
      assert.same(english, chinese)
    end
    for _, reply in ipairs { { phase = "auth", code = 526, text = "Authentication failure" }, { phase = "rcpt", code = 559, text = "Invalid rcptto" },
      { phase = "rcpt", code = 499 }, { phase = "rcpt", code = 599 }, { phase = "dot", code = 299 }, { phase = "dot", code = 999 } } do
      pair(reply, explain.reply)
    end
    for _, answer in ipairs { { code = "InvalidMailAddress.NotFound", status = 404 }, { code = "Forbidden.New" }, { status = 413 }, { status = 418 },
      { status = 429 }, { status = 502 }, { status = 200 } } do
      pair(answer, explain.api)
    end
    pair({ code = "Throttling.User" }, function(about) return explain.api_code(about.code, about.language) end)
    pair({ code = 436 }, function(about) return explain.list(about)[1] end)
    assert.has_error(function() explain.reply { code = 526, language = "fr" } end, 'unknown language "fr"')
    assert.has_error(function() explain.api { status = 400, language = "ZH" } end, 'unknown language "ZH"')
  end)

  it("uses_the_vendor_s_own_words", function()
    local words = {}
    for _, row in ipairs(tables) do
      for _, both in pairs(require("directmail.data." .. row[1] .. "_zh")) do words[#words + 1] = both[1] .. both[2] end
    end
    words = table.concat(words)
    for _, word in ipairs { "发信地址", "收信人", "邮件推送", "访问密钥 AccessKey", "日额度", "月额度", "无效地址库", "收件人列表", "信誉度", "地域" } do
      assert.is_truthy(words:find(word, 1, true), word)
    end
    for _, word in ipairs { "发件地址", "区域", "配额", "直邮" } do assert.is_nil(words:find(word, 1, true), word) end
  end)

  it("is_not_parsed_by_who_does_not_read_it", function()
    for _, row in ipairs(tables) do package.loaded["directmail.data." .. row[1] .. "_zh"] = nil end
    explain.reply { phase = "auth", code = 526, text = "Authentication failure" }
    explain.api { code = "InvalidMailAddress.NotFound", status = 404 }
    for _, row in ipairs(tables) do assert.is_nil(package.loaded["directmail.data." .. row[1] .. "_zh"]) end
  end)
end)

describe("explain, of the API", function()
  local err = require "directmail.err"
  local rows = require "directmail.data.api_errors"

  it("knows_every_documented_code_with_sentences_and_a_source", function()
    local documented = 0
    for _, row in ipairs(rows) do
      if not row.source:find("^own ") then documented = documented + 1 end
      for _, name in ipairs { "cause", "remedy", "source" } do assert.is_true(#row[name] > 6, row.code .. "." .. name) end
    end
    assert.equal(86, documented)
  end)

  it("finds_every_code_in_any_case_and_makes_an_error_of_it", function()
    for _, row in ipairs(rows) do
      local code = row.code:gsub("<Name>$", "Quux"):gsub("<%.%.%.>$", "")
      for _, written in ipairs { code, code:lower(), code:upper() } do
        local got = explain.api { code = written, status = row.status }
        assert.same({ row.code, row.cause, row.our, row.outcome }, { got.id, got.cause, got.our, got.outcome })
        assert.equal(row.code, explain.api_code(written).id)
      end
      local e = err.new(explain.api_fields({ code = code, status = row.status }, 0))
      assert.equal(row.our, e.code)
      if row.outcome == "unknown" or row.retry == "no" or row.retry == "once" then
        assert.is_false(e.retry, row.code)
        assert.is_nil(e.after, row.code)
      else
        assert.is_true(e.retry and e.after > 0, row.code)
      end
    end
  end)

  it("maps_codes_to_ours_and_to_who_is_to_blame", function()
    for code, want in pairs {
      ["SignatureDoesNotMatch"] = { "SIGNATURE", "credentials" }, ["IncompleteSignature"] = { "SIGNATURE", "client-bug" },
      ["InvalidSignatureMethod"] = { "SIGNATURE", "client-bug" }, ["InvalidSignature"] = { "SIGNATURE", "client-bug" },
      ["InvalidTimeStamp.Expired"] = { "CLOCK", "client-bug" }, ["InvalidTimeStamp.Format"] = { "CLOCK", "client-bug" },
      ["IllegalTimestamp"] = { "CLOCK", "client-bug" }, ["InvalidTimeStamp.Other"] = { "CLOCK", "client-bug" },
      ["InvalidAccessKeyId.NotFound"] = { "CREDENTIALS", "credentials" }, ["InvalidAccessKeyId.New"] = { "CREDENTIALS", "credentials" },
      ["Forbidden.AccessKeyDisabled"] = { "CREDENTIALS", "credentials" }, ["InvalidSecurityToken.New"] = { "CREDENTIALS", "credentials" },
      ["MissingSecurityToken"] = { "CREDENTIALS", "credentials" },
      ["Throttling.User"] = { "THROTTLED", "rate" }, ["Throttling.Something.New"] = { "THROTTLED", "rate" },
      ["FlowThrottling"] = { "THROTTLED", "rate" }, ["InvalidQuota.Daily"] = { "QUOTA", "quota" }, ["InvalidQuotaMonth"] = { "QUOTA", "quota" },
      ["InvalidToAddress"] = { "REFUSED", "recipient" }, ["InvalidToAddress.Spam"] = { "REFUSED", "recipient" },
      ["InvalidReceiverName.Malformed"] = { "REFUSED", "recipient" }, ["InvalidSendMail.Spam"] = { "REFUSED", "content" },
      ["InvalidUserStatusFrozen"] = { "REFUSED", "account" }, ["Forbidden.New"] = { "REFUSED", "credentials" },
      ["InvalidMailAddressDomain.Malformed"] = { "REFUSED", "sender-dns" }, ["MissingToAddress"] = { "REFUSED", "client-bug" },
      ["InvalidFromALias.Malformed"] = { "REFUSED", "client-bug" },
    } do
      local got = explain.api { code = code, status = 400 }
      assert.same(want, { got.our, got.blame }, code)
      assert.equal("refused", got.outcome, code)
    end
  end)

  it("blames_the_sender_for_an_invalid_mail_address_and_not_the_recipient", function()
    for _, code in ipairs { "InvalidMailAddress.NotFound", "InvalidMailAddress", "InvalidMailAddress.New", "InvalidMailAddressNew" } do
      local got = explain.api { code = code, status = 404 }
      assert.same({ "REFUSED", "sender-config", true }, { got.our, got.blame, got.permanent }, code)
    end
    assert.matches("sender is unknown in this region", explain.api { code = "InvalidMailAddress.NotFound", status = 404 }.cause)
  end)

  it("takes_the_longest_beginning_and_a_name_where_one_belongs", function()
    assert.equal("Invalid<Name>", explain.api { code = "InvalidAddressType" }.id)
    assert.equal("InvalidParameter", explain.api { code = "InvalidParameter.New" }.id)
    assert.equal("InvalidQuota<...>", explain.api_code("InvalidQuota").id)
    assert.is_nil(explain.api_code "Invalid")
    assert.is_nil(explain.api_code "Missing")
    assert.is_nil(explain.api_code "NeverHeardOf")
    assert.is_nil(explain.api_code "")
    assert.is_nil(explain.api_code(("a."):rep(3000)))
  end)

  it("falls_back_to_the_class_of_the_status", function()
    local function got(status, code)
      local rule = explain.api { code = code, status = status }
      return { rule.id, rule.our, rule.retry, rule.permanent, rule.outcome }
    end
    assert.same({ "4xx", "REFUSED", "no", true, "refused" }, got(409, "NeverHeardOf"))
    assert.same({ "4xx", "REFUSED", "no", true, "refused" }, got(404))
    assert.same({ "Throttling", "THROTTLED", "backoff", false, "refused" }, got(429, "NeverHeardOf"))
    assert.same({ "5xx", "REFUSED", "backoff", false, "unknown" }, got(502))
    assert.same({ "5xx", "REFUSED", "backoff", false, "unknown" }, got(599, "NeverHeardOf"))
    assert.same({ "HTTP 413", "SIZE", "no", true, "refused" }, got(413))
    assert.same({ "HTTP 414", "REFUSED", "no", true, "refused" }, got(414, ""))
    for _, status in ipairs { 200, 204, 301, 307, 0 } do
      assert.same({ "none", "PROTOCOL", "no", true, "unknown" }, got(status), status)
    end
    assert.same({ "none", "PROTOCOL", "no", true, "unknown" }, got(nil))
  end)

  it("lets_the_code_decide_where_pages_differ_about_the_status", function()
    assert.equal("THROTTLED", explain.api { code = "Throttling", status = 503 }.our)
    assert.equal("refused", explain.api { code = "Throttling.User", status = 503 }.outcome)
    assert.equal("SIGNATURE", explain.api { code = "SignatureDoesNotMatch", status = 403 }.our)
    assert.equal("unknown", explain.api { code = "InternalError", status = 400 }.outcome)
  end)

  it("does_not_trust_a_likeness_against_a_status_that_says_otherwise", function()
    assert.same({ "5xx", "unknown" }, (function(r) return { r.id, r.outcome } end)(explain.api { code = "InvalidWorker", status = 500 }))
    assert.equal("THROTTLED", explain.api { code = "Forbidden.Frequency", status = 429 }.our)
    assert.equal("CREDENTIALS", explain.api { code = "MissingSecurityToken", status = 500 }.our)
  end)

  it("never_calls_for_a_repeat_of_a_send_whose_outcome_is_unknown", function()
    for _, answer in ipairs { { code = "ServiceUnavailable", status = 503 }, { code = "InternalError", status = 500 }, { status = 504 } } do
      local fields = explain.api_fields(answer)
      assert.same({ "unknown", false }, { fields.outcome, fields.retry })
      assert.is_nil(fields.after)
      answer.sending = false
      fields = explain.api_fields(answer)
      assert.same({ "refused", true, limits.retry_backoff }, { fields.outcome, fields.retry, fields.after })
    end
    assert.equal("not_sent", explain.api_fields { status = 302, sending = false }.outcome)
    assert.equal("unknown", explain.api_fields { status = 302 }.outcome)
  end)

  it("waits_as_the_row_says", function()
    assert.equal(16 * 3600, explain.api_fields({ code = "InvalidQuota.Day", status = 400 }, 0).after)
    assert.equal(limits.retry_backoff, explain.api_fields { code = "Throttling.Api", status = 400 }.after)
    assert.is_nil(explain.api_fields { code = "InvalidTimeStamp.Expired", status = 400 }.after)
    assert.equal("once", explain.api { code = "SignatureNonceUsed", status = 400 }.retry)
  end)

  it("stays_quick_on_a_hostile_code", function()
    local before = os.clock()
    for _, code in ipairs { ("a."):rep(500000), ("."):rep(1000000), "Invalid" .. ("x"):rep(1000000), "\0\255" } do
      explain.api { code = code, status = 400 }
    end
    assert.is_true(os.clock() - before < 2)
  end)
end)
