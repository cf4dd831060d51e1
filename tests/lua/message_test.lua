-- directmail.message: the fields of a message become headers, an envelope and MIME parts.
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local mails = require "directmail.mail"
local memory = require "directmail.host.memory"
local message = require "directmail.message"

local unpack = table.unpack or unpack
local HERE = "message_test.lua"
local BASE = { from = "a@x.example", to = "b@x.example", subject = "s", text = "t", message_id = "<1@x.example>", date = 0, boundary = "b" }

-- The mail object over a host without a world: nothing here depends on the environment.
local function mail_of(options) return assert(mails.new(options or {}, memory.new(), 1)) end

local function fields_of(more)
  local fields = {}
  for name, value in pairs(BASE) do fields[name] = value end
  for name, value in pairs(more or {}) do fields[name] = value end
  for name, value in pairs(fields) do
    if value == "nil" then fields[name] = nil end
  end
  return fields
end

-- Bytes, headers as a list of {name, value} (unfolded), headers by name, body.
local function made(more, options)
  local m = assert(mail_of(options):message(fields_of(more)))
  local bytes = assert(m:bytes())
  assert.equal(m:size(), #bytes)
  local head, body = bytes:match "^(.-\r\n)\r\n(.*)$"
  local list, by_name = {}, {}
  for line in head:gsub("\r\n([ \t])", "%1"):gmatch "(.-)\r\n" do
    local name, value = line:match "^([^:]+): ?(.*)$"
    list[#list + 1] = { name, value }
    by_name[name] = value
  end
  return { bytes = bytes, head = head, list = list, body = body, to = select(2, m.built.core:envelope()),
    from = (m.built.core:envelope()) }, by_name
end

local function refused(more, code, detail, options)
  local m, e = mail_of(options):message(fields_of(more))
  assert.is_nil(m)
  assert.is_true(err.is(e), tostring(e))
  assert.same({ code, detail, "not_sent", false, "client-bug" }, { e.code, e.detail, e.outcome, e.retry, e.blame }, tostring(e))
  assert.is_true(#e.cause > 8 and #e.remedy > 3)
  assert.is_nil(tostring(e):find "[%z\r\n]")
  return e
end

local function raises(more, words, options)
  local mail = mail_of(options)
  local fields = type(more) == "table" and fields_of(more) or more
  local ok, why = pcall(function() mail:message(fields) end)
  assert.is_false(ok)
  assert.is_truthy(why:find(words, 1, true), why)
  assert.is_truthy(why:find(HERE, 1, true), why)
end

describe("message", function()
  it("rule_3_16_writes_its_own_headers_in_one_order", function()
    local m = made { cc = "c@x.example", reply_to = "r@x.example", in_reply_to = "<2@x.example>", references = "<3@x.example>",
      priority = "low", unsubscribe = "https://x.example/u", tag = "t", ip_pool = "p", headers = { ["X-Z"] = "1" } }
    local names = {}
    for i, field in ipairs(m.list) do names[i] = field[1] end
    assert.same({ "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "X-Priority", "Importance",
      "List-Unsubscribe", "List-Unsubscribe-Post", "X-AliDM-Trace", "X-AliDM-Settings", "X-Z", "MIME-Version" },
      { unpack(names, 1, 17) })
  end)

  it("takes_addresses_in_all_their_forms", function()
    for _, given in ipairs {
      "b@x.example, Ann <c@x.example>", { "b@x.example", "Ann <c@x.example>" }, { "b@x.example, Ann <c@x.example>" },
      "Team: b@x.example, Ann <c@x.example>;", { " b@x.example ", '"Ann" <c@x.example>' }, "<b@x.example>,\t=?utf-8?q?Ann?= <c@x.example>",
    } do
      local m, by_name = made { to = given }
      assert.same({ "b@x.example", "c@x.example" }, m.to)
      assert.equal("b@x.example, Ann <c@x.example>", by_name.To)
    end
    local m, by_name = made { to = "王 <b@x.example>", from = '"Shop, Inc" <a@x.example>' }
    assert.same({ "b@x.example" }, m.to)
    assert.equal('"Shop, Inc" <a@x.example>', by_name.From)
    assert.matches("^=%?[Uu][Tt][Ff]%-8%?.+%?= <b@x.example>$", by_name.To)
    assert.equal("a@x.example", m.from)
  end)

  it("counts_an_empty_list_as_none", function()
    for _, given in ipairs { "", {}, { "" } } do
      local m, by_name = made { cc = given, bcc = given, reply_to = given }
      assert.same({ "b@x.example" }, m.to)
      assert.is_nil(by_name.Cc or by_name.Bcc or by_name["Reply-To"])
    end
  end)

  it("rule_3_1_needs_a_sender_and_a_recipient", function()
    refused({ from = "nil" }, "OPTION", "from")
    refused({ from = "" }, "OPTION", "from")
    refused({ to = "nil" }, "OPTION", "to")
    refused({ to = {} }, "OPTION", "to")
    refused({ from = "a@x.example, c@x.example" }, "ADDRESS", "from")
    assert.equal("c@x.example", made({ from = "nil" }, { sender = "C <c@x.example>" }).from)
    assert.equal("a@x.example", made({}, { sender = "C <c@x.example>" }).from)
    refused({ from = "nil" }, "ADDRESS", "sender", { sender = "not an address" })
  end)

  it("names_the_field_of_an_address_that_cannot_be_used", function()
    for _, name in ipairs { "from", "to", "cc", "bcc", "reply_to" } do
      for _, bad in ipairs { "b", "b@", "@x.example", "b@@x.example", "b@x.example\r\nBcc: e@x.example", "b\0@x.example", "ä@x.example", "b@nodot" } do
        refused({ [name] = bad }, "ADDRESS", name)
      end
    end
    for _, good in ipairs { "b@localhost", "b@LOCALHOST", "b@[192.0.2.1]", '"a@b"@localhost' } do
      assert.equal(1, #made({ to = good }).to, good)
    end
    refused({ to = '"a@localhost"@nodot' }, "ADDRESS", "to")
  end)

  it("names_each_recipient_once_in_the_envelope", function()
    local m, by_name = made { to = { "b@x.example", "B <b@X.EXAMPLE>" }, cc = "b@x.example, c@x.example", bcc = { "c@x.example", "d@x.example" } }
    assert.same({ "b@x.example", "c@x.example", "d@x.example" }, m.to)
    assert.equal("b@x.example, c@x.example", by_name.Cc)
    -- a local part is the receiver's own: B@ may be somebody else (RFC 5321, 2.4)
    assert.same({ "b@x.example", "B@x.example" }, made({ to = { "b@x.example", "B@x.example" } }).to)
  end)

  it("never_shows_bcc_in_a_header", function()
    local m = made { cc = "c@x.example", bcc = { "secret@x.example", "Hidden <hidden@x.example>" } }
    assert.same({ "b@x.example", "c@x.example", "secret@x.example", "hidden@x.example" }, m.to)
    for _, word in ipairs { "secret@", "idden", "bcc" } do assert.is_nil(m.bytes:lower():find(word, 1, true)) end
    local alone, by_name = made { to = "nil", bcc = "secret@x.example" }
    assert.same({ "secret@x.example" }, alone.to)
    assert.equal("undisclosed-recipients:;", by_name.To)
    local copies
    copies, by_name = made { to = "nil", cc = "c@x.example", bcc = "secret@x.example" }
    assert.is_nil(by_name.To)
    assert.is_nil(copies.head:find("secret", 1, true))
  end)

  it("encodes_a_subject_and_may_have_none", function()
    assert.equal("您的发票 – ä", core.word_decode((select(2, made { subject = "您的发票 – ä" })).Subject))
    assert.equal("", (select(2, made { subject = "nil" })).Subject)
    refused({ subject = "a\r\nBcc: e@x.example" }, "HEADER", "Subject")
    refused({ subject = "a\0b" }, "HEADER", "Subject")
  end)

  it("makes_the_parts_that_were_given", function()
    assert.is_truthy(made { text = "Hi" }.bytes:find("Content-Type: text/plain", 1, true))
    local m = made { html = "<p>Hi</p>", text = "Hi" }
    assert.is_truthy(m.bytes:find("multipart/alternative", 1, true))
    assert.is_true(m.bytes:find("text/plain", 1, true) < m.bytes:find("text/html", 1, true))
    assert.is_nil(made({ text = "nil", html = "<p>Hi</p>" }).bytes:find("text/plain", 1, true))
    assert.is_truthy(made { text = "nil" }.bytes:find("text/plain", 1, true))
    m = made { text = "Hi", calendar = { data = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", method = "REQUEST" } }
    assert.is_truthy(m.bytes:find("text/calendar", 1, true) and m.bytes:find("method=REQUEST", 1, true))
    assert.is_truthy(made { calendar = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n" }.bytes:find("text/calendar", 1, true))
    m = made { html = '<img src="cid:logo">', attachments = { { name = "logo.png", cid = "logo", data = "PNG" }, { name = "a.csv", data = "a,b" } } }
    assert.is_truthy(m.bytes:find("multipart/related", 1, true) and m.bytes:find("Content-ID: <logo>", 1, true))
    assert.is_truthy(m.bytes:find("multipart/mixed", 1, true) and m.bytes:find("a.csv", 1, true))
    refused({ text = "a\0b" }, "CONTENT", "text")
    refused({ html = "\255" }, "CONTENT", "html")
    refused({ attachments = { { data = "x" } } }, "OPTION", "attachments[1]")
    refused({ attachments = "/no/such/file" }, "FILE", "attachments[1]")
    refused({ attachments = { { name = "x", data = "x", type = "bad" } } }, "HEADER", "attachment 1 (x)")
  end)

  it("writes_a_date_from_seconds_or_as_given", function()
    assert.equal("Thu, 01 Jan 1970 00:00:00 +0000", (select(2, made { date = 0.9 })).Date)
    assert.equal("Wed, 31 Dec 1969 23:59:59 +0000", (select(2, made { date = -0.1 })).Date)
    assert.equal("Mon, 23 Nov 2026 12:00:00 +0800", (select(2, made { date = "Mon, 23 Nov 2026 12:00:00 +0800" })).Date)
    assert.equal("Thu, 01 Jan 2026 00:00:00 +0000", (select(2, made { date = "nil" })).Date)
    for _, bad in ipairs { "yesterday", "", "Mon, 23 Nov 2026 12:00:00 +0800\r\nX: y", 1 / 0, -1 / 0, 0 / 0, 1e15, -1e12 } do
      refused({ date = bad }, "HEADER", "date")
    end
  end)

  it("takes_message_ids_with_and_without_brackets", function()
    for _, given in ipairs { "<2@x.example>", "2@x.example", " 2@x.example " } do
      assert.equal("<2@x.example>", (select(2, made { message_id = given }))["Message-ID"])
    end
    assert.matches("^<%x+@x%.example>$", (select(2, made { message_id = "nil" }))["Message-ID"])
    for _, given in ipairs { "<2@x.example> 3@x.example", { "2@x.example", "<3@x.example>" }, { "2@x.example 3@x.example" } } do
      local _, by_name = made { references = given, in_reply_to = given }
      assert.same({ "<2@x.example> <3@x.example>", "<2@x.example> <3@x.example>" }, { by_name.References, by_name["In-Reply-To"] })
    end
    for _, name in ipairs { "message_id", "in_reply_to", "references" } do
      for _, bad in ipairs { "", "2", "<2@x", "<2@x.example>x", "ä@x.example", "2@x.example\0", "a@b@c" } do
        refused({ [name] = bad }, "HEADER", name)
      end
    end
    refused({ message_id = "<2@x.example> <3@x.example>" }, "HEADER", "message_id")
    refused({ references = {} }, "HEADER", "references")
    raises({ references = { 5 } }, "field references: entry 1 must be a string")
    raises({ in_reply_to = { {} } }, "field in_reply_to: entry 1 must be a string")
  end)

  it("rule_3_5_makes_a_message_id_of_the_senders_domain_that_nobody_guesses", function()
    local seen, mail = {}, mail_of()
    for _ = 1, 100 do
      local head = assert(mail:message(fields_of { message_id = "nil", from = "a@mail.example.com" }):bytes())
      local unique = head:match "\r\nMessage%-ID: <(%x+)@mail%.example%.com>\r\n"
      assert.equal(32, #unique)                 -- 128 bits, 96 are asked for
      assert.is_nil(seen[unique])
      seen[unique] = true
    end
  end)

  it("rule_5_7_encodes_only_what_stands_before_the_brackets_of_list_id", function()
    for given, want in pairs {
      ["<list.x.example>"] = "<list.x.example>", ["News of X <list.x.example>"] = "News of X <list.x.example>",
      ["  周报  <list.x.example> "] = "=?UTF-8?B?5ZGo5oql?= <list.x.example>", ["A. B <list.x.example>"] = '"A. B" <list.x.example>',
    } do
      assert.equal(want, (select(2, made { headers = { ["List-ID"] = given } }))["List-ID"])
    end
    assert.equal("no id", (select(2, made { headers = { ["List-Id"] = "no id" } }))["List-Id"])
    refused({ headers = { ["List-Id"] = "a\r\nX: y <list.x.example>" } }, "HEADER", "List-Id")
  end)

  it("rules_5_8_and_5_9_says_nothing_of_machines_or_bulk_unasked", function()
    local _, by_name = made { tag = "t", unsubscribe = "https://x.example/u" }
    assert.is_nil(by_name["Auto-Submitted"] or by_name.Precedence)
    _, by_name = made { headers = { ["Auto-Submitted"] = "auto-generated", Precedence = "bulk" } }
    assert.same({ "auto-generated", "bulk" }, { by_name["Auto-Submitted"], by_name.Precedence })
  end)

  it("writes_priority_in_the_two_headers_that_are_read", function()
    for word, want in pairs { high = { "1 (Highest)", "high" }, normal = { "3 (Normal)", "normal" }, low = { "5 (Lowest)", "low" } } do
      local _, by_name = made { priority = word }
      assert.same(want, { by_name["X-Priority"], by_name.Importance })
    end
    refused({ priority = "urgent" }, "OPTION", "priority")
  end)

  local function json(value) return core.base64_decode(value) end

  it("rule_5_10_asks_for_tracking_in_the_services_header", function()
    local function trace(more) return json((select(2, made(more)))["X-AliDM-Trace"]) end
    assert.equal('{"TagName":"t-1_A","OpenTrace":"0","LinkTrace":"0"}', trace { tag = "t-1_A" })
    assert.equal('{"TagName":"t","OpenTrace":"1","LinkTrace":"0"}', trace { tag = "t", track = { opens = true }, html = "<body>x</body>" })
    assert.equal('{"TagName":"t","OpenTrace":"0","LinkTrace":"1"}', trace { tag = "t", track = { clicks = true, opens = false }, html = "x" })
    assert.equal('{"TagName":"t","OpenTrace":"0","LinkTrace":"0"}', trace { tag = "t", track = { clicks = false } })
    assert.is_nil((select(2, made()))["X-AliDM-Trace"])
    refused({ track = { opens = true } }, "OPTION", "track")
    for _, bad in ipairs { "", "a b", 'a"', "ä", ("x"):rep(129) } do refused({ tag = bad }, "OPTION", "tag") end
    raises({ tag = "t", track = { opens = "no" } }, "track: opens must be true or false, not a string")
    raises({ tag = "t", track = { open = true } }, 'did you mean "opens"')
    raises({ tag = "t", track = { "opens" } }, 'unknown field "1" in track')
  end)

  it("gives HTML that is to be tracked the body element that the service looks for", function()
    local function body(html) return made({ text = "nil", tag = "t", track = { opens = true }, html = html }).body end
    assert.equal("<html><body><p>x</p></body></html>", (body "<p>x</p>":gsub("\r\n$", "")))
    assert.equal('<BODY class="a">x</BODY>', (body '<BODY class="a">x</BODY>':gsub("=3D", "="):gsub("\r\n$", "")))
    for _, html in ipairs { "<html><p>x</p></html>", "<!DOCTYPE html><p>x", "<head><title>x</title></head>x" } do
      refused({ tag = "t", track = { opens = true }, html = html }, "CONTENT", "track")
    end
    refused({ tag = "t", track = { clicks = true }, text = "x" }, "CONTENT", "track")
    refused({ tag = "t", track = { clicks = true }, html = "" }, "CONTENT", "track")
  end)

  it("rules_5_1_to_5_3_and_5_6_writes_the_ways_to_unsubscribe", function()
    local function of(given)
      local _, by_name = made { unsubscribe = given }
      local settings = by_name["X-AliDM-Settings"]
      return { by_name["List-Unsubscribe"], by_name["List-Unsubscribe-Post"], settings and json(settings) }
    end
    local off = '{"Version":"1.0","Unsubscribe":{"LinkType":"disabled"}}'
    assert.same({ [3] = '{"Version":"1.0","Unsubscribe":{"LinkType":"default"}}' }, of "default")
    assert.same({ [3] = off }, of "disabled")
    assert.same({ "<https://x.example/u?a=1>", "List-Unsubscribe=One-Click", off }, of "https://x.example/u?a=1")
    assert.same({ "<mailto:u@x.example>", nil, off }, of "mailto:u@x.example")
    assert.same({ "<mailto:u@x.example>, <https://x.example/u>", "List-Unsubscribe=One-Click", off }, of { "mailto:u@x.example", "https://x.example/u" })
    assert.same({ "<https://x.example/u>", "List-Unsubscribe=One-Click", off }, of { url = "https://x.example/u" })
    assert.same({ "<https://x.example/u>", "List-Unsubscribe=One-Click",
      '{"Version":"1.0","Unsubscribe":{"LinkType":"default","FilterLevel":"mailfrom"}}' },
      of { link = "default", filter = "mailfrom", url = { "https://x.example/u" } })
    assert.same({ [3] = '{"Version":"1.0","Unsubscribe":{"FilterLevel":"edm_id"}}' }, of { filter = "edm_id" })
    for _, bad in ipairs { "", "x.example/u", "https://x.example/a b", "https://x.example/>", "https://x.example/\r\nX: y", "https://ä.example/",
      { "https://x.example/", 5 }, { link = "off" }, { filter = "all" } } do
      refused({ unsubscribe = bad }, "OPTION", "unsubscribe")
    end
    raises({ unsubscribe = {} }, "unsubscribe is empty")
    raises({ unsubscribe = { url = {} } }, "unsubscribe holds no URL")
    raises({ unsubscribe = { link = 5 } }, "unsubscribe: link must be a string")
    raises({ unsubscribe = { lnik = "default" } }, 'did you mean "link"')
    raises({ unsubscribe = { "https://x.example/", link = "default" } }, 'has an entry "link"')
  end)

  it("names_the_pool_of_addresses_to_send_from", function()
    assert.equal('{"Version":"1.0","OutboundIp":{"IpPoolId":"p-1.a_B"}}', json((select(2, made { ip_pool = "p-1.a_B" }))["X-AliDM-Settings"]))
    assert.equal('{"Version":"1.0","Unsubscribe":{"LinkType":"default"},"OutboundIp":{"IpPoolId":"p"}}',
      json((select(2, made { ip_pool = "p", unsubscribe = "default" }))["X-AliDM-Settings"]))
    for _, bad in ipairs { "", "a b", 'a"', ("x"):rep(129) } do refused({ ip_pool = bad }, "OPTION", "ip_pool") end
  end)

  it("keeps_the_order_of_own_headers_and_sorts_those_by_name", function()
    local function own(headers)
      local out = {}
      for _, field in ipairs(made({ headers = headers }).list) do
        if field[1]:find "^X%-" then out[#out + 1] = field[1] .. "=" .. field[2] end
      end
      return out
    end
    assert.same({ "X-B=2", "X-A=1", "X-B=3" }, own { { "X-B", "2" }, { "X-A", "1" }, { "X-B", "3" } })
    assert.same({ "X-A=1", "X-B=2", "X-C=3" }, own { ["X-C"] = "3", ["X-A"] = "1", ["X-B"] = "2" })
    assert.same({}, own {})
    assert.equal("ä", core.word_decode((select(2, made { headers = { ["X-A"] = "ä" } }))["X-A"]))
  end)

  it("rule_5_11_refuses_a_header_that_it_makes_itself_and_names_the_field", function()
    for name, field in pairs {
      From = "from", To = "to", cc = "cc", BCC = "bcc", ["Reply-To"] = "reply_to", subject = "subject", Date = "date",
      ["Message-ID"] = "message_id", ["In-Reply-To"] = "in_reply_to", References = "references", ["MIME-Version"] = "text, html and attachments",
      ["Content-Type"] = "text, html and attachments", ["Content-Transfer-Encoding"] = "text, html and attachments",
      ["Content-Disposition"] = "attachments", ["X-AliDM-Trace"] = "tag and track", ["X-AliDM-Settings"] = "unsubscribe and ip_pool",
      ["List-Unsubscribe"] = "unsubscribe", ["List-Unsubscribe-Post"] = "unsubscribe", ["X-Priority"] = "priority", Importance = "priority",
      ["X-Directmail-Redirected-To"] = "redirect",
    } do
      for _, headers in ipairs { { [name] = "x" }, { { name, "x" } } } do
        local e = refused({ headers = headers }, "HEADER", name)
        assert.is_truthy(e.remedy:find(field, 1, true), e.remedy)
      end
    end
    for _, name in ipairs { "Received", "return-path" } do
      assert.matches("written by servers", refused({ headers = { [name] = "x" } }, "HEADER", name).cause)
    end
  end)

  it("refuses_a_header_that_would_break_the_message", function()
    for _, bad in ipairs { { "X-A", "a\r\nBcc: e@x.example" }, { "X-A", "a\nb" }, { "X-A", "a\0" }, { "X A", "a" }, { "X-A:", "a" }, { "", "a" },
      { "X-A\r\nBcc", "a" }, { "X-ä", "a" } } do
      local m, e = mail_of():message(fields_of { headers = { bad } })
      assert.is_nil(m)
      assert.equal("HEADER", e.code)
    end
    raises({ headers = { { "X-A" } } }, "field headers must hold names and values as strings")
    raises({ headers = { "X-A: 1" } }, "field headers must hold names and values as strings")
    raises({ headers = { ["X-A"] = 1 } }, "field headers must hold names and values as strings")
    raises({ headers = { { "X-A", "1" }, ["X-B"] = "2" } }, 'has an entry "X-B"')
  end)

  it("refuses_a_placeholder_that_nobody_replaced", function()
    for text, shown in pairs {
      ["Hi {{name}}"] = "{{name}}", ["{{ user.name }}!"] = "{{ user.name }}", ["a {{#list}} b"] = "{{#list}}", ["{{/list}}"] = "{{/list}}",
      ["{{{raw}}}"] = "{{{raw}}", ["{{&raw}}"] = "{{&raw}}", ["{{姓名}}"] = "{{姓名}}", ["{{first name}}"] = "{{first name}}",
      ["{{ {{name}}"] = "{{name}}", ["{{}} {{.}}"] = "{{.}}", ["{{{{x}}}}"] = "{{{x}}",
    } do
      for _, field in ipairs { "subject", "text", "html" } do
        local e = refused({ [field] = text }, "CONTENT", field)
        assert.is_truthy(e.cause:find(shown, 1, true), e.cause)
        assert.is_truthy(made { [field] = text, allow_placeholders = true })
        refused({ [field] = text, allow_placeholders = false }, "CONTENT", field)
      end
    end
    for _, text in ipairs { "{{}}", "{{ }}", "{name}", "{{name", "name}}", "{{a\nb}}", "{{" .. ("x"):rep(200) .. "}}", "a { { b } }" } do
      assert.is_truthy(made { text = text }, text)
    end
  end)

  it("tells_the_line_of_a_placeholder_and_lets_code_pass", function()
    local e = refused({ subject = "x", html = "<style>a{{b}}</style>\n<p>\n<a href='https://x.example/{{id}}'>{{name}}</a>" }, "CONTENT", "html")
    assert.equal("html still holds {{id}} in line 3, {{name}} in line 3", e.cause)
    assert.is_truthy(e.remedy:find("allow_placeholders = true", 1, true))
    for _, html in ipairs { "<style>@media print{a{{b}}}</style>x", "<script>{{x}}</script>x", "<!-- {{x}} -->x", "<p data-x='{{x}}'>10 % to 20 %" } do
      assert.is_truthy(made { html = html }, html)
    end
    assert.is_truthy(mail_of():message { raw = "From: a@example.com\nTo: b@example.com\nSubject: {{x}}\n\n{{x}}\n" })
  end)

  it("looks_for_placeholders_quickly_in_a_hostile_text", function()
    local before = os.clock()
    for _, piece in ipairs { "{{", "{{ ", "{{a", "{{a b", "}}{{" } do made { text = (piece .. "\n"):rep(20000), size_limit = false } end
    assert.is_true(os.clock() - before < 5)
  end)

  it("lets_nobody_else_receive_it_where_only_says_so", function()
    for pattern, outside in pairs { ["b@x.example"] = false, ["*@x.example"] = false, ["*@X.EXAMPLE"] = false, ["*"] = false, ["B@*"] = false,
      ["*@*.example"] = false, ["x.example"] = true, ["@x.example"] = true, ["b@x.exampl"] = true, ["*@x.example.org"] = true, ["?@x.example"] = true,
      ["b@x%example"] = true, ["[b]@x.example"] = true, [".@x.example"] = true } do
      if outside then refused({}, "OPTION", "only", { only = { pattern } }) else assert.is_truthy(made({}, { only = { pattern } }), pattern) end
    end
    assert.same({ "b@x.example", "c@y.example" }, made({ cc = "c@y.example" }, { only = { "*@y.example", "*@x.example" } }).to)
    for _, field in ipairs { "cc", "bcc" } do
      local e = refused({ [field] = "out@y.example" }, "OPTION", "only", { only = { "*@x.example", "*@z.example" } })
      assert.is_truthy(e.cause:find('"out@y.example"', 1, true) and e.cause:find("*@x.example,*@z.example", 1, true), e.cause)
    end
    refused({}, "OPTION", "only", { only = {} })
  end)

  it("sends_everything_elsewhere_where_redirect_says_so", function()
    local m, by_name = made({ cc = "c@x.example", bcc = "d@x.example" }, { redirect = "Me <me@y.example>" })
    assert.same({ "me@y.example" }, m.to)
    assert.equal("b@x.example, c@x.example, d@x.example", by_name["X-Directmail-Redirected-To"])
    assert.equal("b@x.example", by_name.To)
    assert.same({ "me@y.example", "you@y.example" }, made({}, { redirect = "me@y.example, you@y.example, me@y.example" }).to)
    refused({}, "ADDRESS", "redirect", { redirect = "me" })
    refused({}, "OPTION", "redirect", { redirect = "Nobody:;" })
    refused({}, "OPTION", "only", { redirect = "me@y.example", only = { "*@y.example" } })        -- only looks at the true recipients
    assert.is_nil((select(2, made()))["X-Directmail-Redirected-To"])
  end)

  it("refuses_more_octets_than_allowed", function()
    local size = #made({}).bytes
    assert.is_truthy(made { size_limit = size })
    local e = refused({ size_limit = size - 1 }, "SIZE", "size")
    assert.is_truthy(e.cause:find(tostring(size), 1, true))
    refused({}, "SIZE", "size", { size_limit = size - 1 })
    assert.is_truthy(made({ size_limit = size }, { size_limit = 1 }))
    assert.is_truthy(made({ size_limit = 0 }, { size_limit = 1 }))
    assert.is_truthy(made({ size_limit = false }, { size_limit = 1 }))
    assert.is_truthy(made({}, { size_limit = 0 }))
    local big = { { name = "x", size = limits.message_octets, read = function() return nil end } }
    refused({ attachments = big }, "SIZE", "size")
    assert.is_true(assert(mail_of():message(fields_of { attachments = big, size_limit = false })):size() > limits.message_octets)
    for _, bad in ipairs { -1, 1.5, 1 / 0, 0 / 0 } do refused({ size_limit = bad }, "OPTION", "size_limit") end
    raises({ size_limit = true }, "field size_limit")
  end)

  it("refuses_a_word_that_a_field_does_not_know", function()
    refused({ via = "pigeon" }, "OPTION", "via")
    refused({ on_unknown = "resned" }, "OPTION", "on_unknown")
    for _, bad in ipairs { 0, -1, 1 / 0, 0 / 0 } do refused({ timeout = bad }, "OPTION", "timeout") end
    for _, good in ipairs { { via = "smtp" }, { via = "auto" }, { via = "api" }, { on_unknown = "stop" }, { on_unknown = "resend" }, { timeout = 0.5 } } do
      assert.is_truthy(made(good))
    end
  end)

  it("raises_a_wrong_type_of_every_field_at_the_callers_line", function()
    for _, name in ipairs(message.FIELDS) do
      raises({ [name] = function() end }, "field " .. name .. " cannot be a function")
    end
    for _, name in ipairs { "from", "subject", "text", "html", "tag", "priority", "message_id", "via", "on_unknown", "ip_pool", "boundary" } do
      raises({ [name] = 5 }, "field " .. name .. " cannot be a number")
      raises({ [name] = {} }, "field " .. name .. " cannot be a table")
    end
    for _, name in ipairs { "headers", "track" } do raises({ [name] = "x" }, "field " .. name .. " cannot be a string") end
    raises({ timeout = "5" }, "field timeout cannot be a string")
    raises({ all_or_none = "yes" }, "field all_or_none cannot be a string")
    raises({ allow_placeholders = "yes" }, "field allow_placeholders cannot be a string")
    raises("hello", "table expected, got string")
    raises({ subjcet = "x" }, 'did you mean "subject"')
    raises({ calendar = { data = 5 } }, "field calendar must hold data and method as strings")
    raises({ calendar = { method = "REQUEST" } }, "field calendar must hold data and method as strings")
    raises({ calendar = { data = "x", methdo = "REQUEST" } }, 'did you mean "method"')
  end)

  it("raises_where_a_list_would_lose_something_in_silence", function()
    for _, name in ipairs { "to", "cc", "bcc", "reply_to" } do
      raises({ [name] = { name = "Ann", address = "c@x.example" } }, "field " .. name .. " must be a list of addresses")
      raises({ [name] = { "c@x.example", [3] = "d@x.example" } }, "without holes")
      raises({ [name] = { "c@x.example", 5 } }, "field " .. name .. ": entry 2 must be a string, not a number")
    end
    raises({ attachments = { path = "x.pdf" } }, 'field attachments must be a list of paths and tables, it has an entry "path"')
    raises({ attachments = { { name = "x", data = "x" }, [3] = "y" } }, "without holes")
    raises({ attachments = { 5 } }, "attachments[1]")
    raises({ references = { id = "<2@x.example>" } }, "field references must be a list of Message-IDs")
  end)

  it("reads_the_callers_fields_and_never_writes_to_them", function()
    local fields = fields_of { to = { "b@x.example" }, headers = { { "X-A", "1" } }, attachments = { { name = "x", data = "y" } } }
    local before = {}
    for name, value in pairs(fields) do before[name] = value end
    assert(mail_of():message(fields))
    assert.same(before, fields)
    assert.same({ { "X-A", "1" } }, fields.headers)
    assert.same({ { name = "x", data = "y" } }, fields.attachments)
  end)

  it("makes_the_same_bytes_each_time_when_all_is_given", function()
    local fields = fields_of { html = "<p>ä</p>", attachments = { { name = "x", data = "y" } } }
    local m = assert(mail_of():message(fields))
    assert.equal(m:bytes(), m:bytes())
    assert.equal(m:bytes(), assert(mail_of():message(fields)):bytes())
  end)

  it("writes_a_file_whole_again_after_a_pass_that_was_given_up", function()
    local path = os.tmpname()
    local f = assert(io.open(path, "wb"))
    f:write(("0123456789abcdef"):rep(20000))
    f:close()
    local m = assert(mail_of():message(fields_of { attachments = { { path = path, name = "x.bin" } } }))
    local n = 0
    assert.is_false(pcall(m.write, m, function()
      n = n + 1
      if n == 4 then error "enough" end
    end))
    local bytes = assert(m:bytes())
    assert.equal(m:size(), #bytes)
    assert.equal(bytes, m:bytes())
    message.close(m.built)
    os.remove(path)
  end)

  it("tells_that_a_reader_function_is_used_up_after_one_pass", function()
    local left = { "12345" }
    local m = assert(mail_of():message(fields_of { attachments = { { name = "x", size = 5, read = function() return table.remove(left) end } } }))
    assert.is_string(m:bytes())
    local bytes, e = m:bytes()
    assert.is_nil(bytes)
    assert.same({ "FILE", "attachments" }, { e.code, e.detail })
  end)

  it("passes_on_why_an_attachment_could_not_be_read", function()
    local m = assert(mail_of():message(fields_of { attachments = { { name = "x", size = 5, read = function() return nil, "disk on fire" end } } }))
    local bytes, e = m:bytes()
    assert.is_nil(bytes)
    assert.same({ "FILE", "disk on fire", "not_sent" }, { e.code, e.cause, e.outcome })
  end)
end)
