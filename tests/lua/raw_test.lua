-- directmail.raw: a finished message is read and mended, and nothing else of it changes.
local err = require "directmail.err"
local mails = require "directmail.mail"
local memory = require "directmail.host.memory"
local raw = require "directmail.raw"

local HEAD = "From: Shop <a@x.example>\r\nTo: b@x.example\r\nSubject: s\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n"
local WHOLE = HEAD .. "\r\nbody\r\n"

local function mail_of(options) return assert(mails.new(options or {}, memory.new(), 1)) end

-- The bytes that would go out, and the message's envelope.
local function made(fields, options)
  if type(fields) == "string" then fields = { raw = fields } end
  local m = assert(mail_of(options):message(fields))
  local bytes = assert(m:bytes())
  local from, to = m.built.core:envelope()
  return bytes, from, to, m.built.message_id
end

local function refused(fields, code, words, options)
  if type(fields) == "string" then fields = { raw = fields } end
  local m, e = mail_of(options):message(fields)
  assert.is_nil(m)
  assert.is_true(err.is(e), tostring(e))
  assert.same({ code, "not_sent", false }, { e.code, e.outcome, e.retry }, tostring(e))
  assert.is_truthy(e.cause:find(words, 1, true), e.cause)
  assert.is_true(#e.remedy > 3)
  return e
end

describe("raw", function()
  it("passes_a_whole_message_octet_for_octet", function()
    local bytes, from, to, id = made(WHOLE)
    assert.equal(WHOLE, bytes)
    assert.equal("a@x.example", from)
    assert.same({ "b@x.example" }, to)
    assert.equal("<1@x.example>", id)
  end)

  it("keeps_odd_spelling_order_and_folding_of_what_it_need_not_touch", function()
    local text = "sUBJECT:no blank\r\nX-A:\t1\r\n\t2\r\n 3 \r\n" .. HEAD:gsub("Subject: s\r\n", "") .. "X-A: again\r\n\r\n.\r\n..\r\nFrom x\r\n"
    assert.equal(text, (made(text)))
  end)

  it("repairs_line_ends_of_every_kind", function()
    for _, ending in ipairs { "\n", "\r" } do assert.equal(WHOLE, (made((WHOLE:gsub("\r\n", ending))))) end
    assert.equal(HEAD .. "\r\na\r\n\r\nb\r\n", (made(HEAD .. "\r\na\r\r\nb")))
    assert.equal(HEAD .. "\r\na\r\n.\r\nb\r\n", (made(HEAD .. "\r\na\n.\rb")))
  end)

  it("takes_bcc_out_in_every_letter_case_and_folding", function()
    for _, hidden in ipairs { "Bcc: eve@x.example", "BCC:eve@x.example", "bcc \t: eve@x.example", "bCc:\r\n eve@x.example",
      "Bcc: c@x.example,\r\n\teve@x.example,\r\n d@x.example", "Resent-Bcc: eve@x.example", "RESENT-BCC:\r\n\teve@x.example", "Bcc:",
      "Bcc: c@x.example\r\nBcc: eve@x.example", "Bcc: eve@x.example\r\n \r\n\t" } do
      for _, ending in ipairs { "\r\n", "\n", "\r" } do
        for _, text in ipairs { hidden .. "\r\n" .. WHOLE, HEAD .. hidden .. "\r\n\r\nbody\r\n", HEAD .. "X-A: 1\r\n 2\r\n" .. hidden } do
          local bytes, _, to = made { raw = text:gsub("\r\n", ending), to = "b@x.example" }
          assert.is_nil(bytes:lower():find("bcc", 1, true), bytes)
          assert.is_nil(bytes:find("eve", 1, true), bytes)
          assert.equal(HEAD, (bytes:gsub("X%-A: 1\r\n 2\r\n", ""):sub(1, #HEAD)))
          assert.same({ "b@x.example" }, to)
        end
      end
    end
  end)

  it("takes_the_recipients_from_to_cc_and_bcc_when_none_are_given", function()
    local text = "TO: b@x.example (Bob (the \"b\")), \"Doe, Ann\"\r\n <ann@x.example>\r\ncc: Team: c@x.example;\r\nbCC: d@x.example\r\n" ..
      "From: a@x.example\r\n\r\nx"
    local _, _, to = made(text)
    assert.same({ "b@x.example", "ann@x.example", "c@x.example", "d@x.example" }, to)
    _, _, to = made { raw = text, to = {}, cc = "", bcc = {} }
    assert.equal(4, #to)
    _, _, to = made { raw = text, cc = "only@x.example" }
    assert.same({ "only@x.example" }, to)
    _, _, to = made "From: a@x.example\nTo: undisclosed-recipients:;\nBcc: d@x.example\n\nx"
    assert.same({ "d@x.example" }, to)
  end)

  it("sends_a_message_that_was_sent_on_to_its_new_recipients", function()
    local _, _, to = made("Resent-From: a@x.example\nResent-To: new@x.example\nResent-Bcc: hidden@x.example\n" ..
      "Received: by x\nResent-To: older@x.example\n" .. WHOLE)
    assert.same({ "new@x.example", "hidden@x.example" }, to)
  end)

  it("adds_date_message_id_and_from_when_they_are_missing_or_blank", function()
    for _, given in ipairs { "To: b@x.example\r\n\r\nx\r\n", "Message-ID:\r\nTo: b@x.example\r\nDATE: \t\r\nFrom:\r\n \r\n\r\nx\r\n" } do
      local bytes, from, _, id = made(given, { sender = '"Größe, GmbH" <a@x.example>' })
      assert.equal("a@x.example", from)
      local head = bytes:match "^(.-\r\n)\r\n"
      for _, name in ipairs { "From", "Date", "Message%-ID", "To" } do
        local _, n = ("\r\n" .. head:lower()):gsub("\r\n" .. name:lower() .. ":", "")
        assert.equal(1, n, bytes)
      end
      assert.matches("From: =%?UTF%-8%?[^\r\n]+%?= <a@x.example>\r\n", head)
      assert.matches("Date: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d %+0000\r\n", head)
      assert.is_truthy(head:find("Message-ID: " .. id .. "\r\n", 1, true))
      assert.matches("^<%x+@x%.example>$", id)
      assert.equal("x\r\n", bytes:match "\r\n\r\n(.*)$")
    end
  end)

  it("takes_the_fields_as_the_envelope_and_leaves_the_head_alone", function()
    local bytes, from, to = made { raw = WHOLE, from = "Other <o@y.example>", to = "c@y.example", bcc = "d@y.example" }
    assert.equal(WHOLE, bytes)
    assert.equal("o@y.example", from)
    assert.same({ "c@y.example", "d@y.example" }, to)
  end)

  it("passes_over_the_from_line_of_a_mailbox_file", function()
    for _, line in ipairs { "From ann@x.example Mon Nov 23 12:00:00 2026\r\n", ">From ann@x.example  Mon\n" } do
      assert.equal(WHOLE, (made(line .. WHOLE)))
    end
    refused(HEAD .. "From ann@x.example\r\n\r\n", "HEADER", "line 6 is no header field")
  end)

  it("makes_one_of_two_to_or_cc_fields_and_refuses_other_doubles", function()
    local bytes, _, to = made("To: b@x.example,\nFrom: a@x.example\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-ID: <1@x.example>\n"
      .. "to:\n c@x.example,\n \n\td@x.example\nTo:\nCC: e@x.example\n\nx\n")
    assert.equal("To: b@x.example,\r\n c@x.example,\r\n\td@x.example\r\nFrom:", bytes:match "^.-From:")
    assert.same({ "b@x.example", "c@x.example", "d@x.example", "e@x.example" }, to)
    for _, name in ipairs { "From", "Subject", "Date", "Message-ID", "Reply-To", "Sender", "In-Reply-To", "References" } do
      refused(("%s: 1\nX-A: 1\n%s: 2\n"):format(name, name:upper()), "HEADER", name:upper() .. " stands twice, in lines 1 and 3")
    end
  end)

  it("writes_the_true_recipients_of_a_redirected_message_and_folds_them", function()
    local list = {}
    for i = 1, 90 do list[i] = ("recipient-number-%d@x.example"):format(i) end
    local text = "X-Directmail-Redirected-To: forged@x.example\r\n" .. HEAD:gsub("To: b@x.example", "To: " .. table.concat(list, ",\r\n ")) .. "\r\nx\r\n"
    local bytes, _, to = made(text, { redirect = "me@x.example" })
    assert.same({ "me@x.example" }, to)
    local value = bytes:match "^X%-Directmail%-Redirected%-To: (.-)\r\nFrom:"
    assert.equal(table.concat(list, ", "), (value:gsub("\r\n ", " ")))
    assert.is_nil(bytes:find("forged", 1, true))
    for line in bytes:gmatch "[^\r\n]+" do assert.is_true(#line <= 998) end
  end)

  it("counts_lines_as_the_caller_does_when_one_cannot_be_sent", function()
    local long = ("x"):rep(999)
    -- two lines come in front, three go
    local text = "From a@x.example Mon\nFrom: a@x.example\nBcc: b@x.example,\n c@x.example\nX-A: 1\nTo: b@x.example\n\none\n"
    refused(text .. "two\n" .. long .. "\n", "CONTENT", "raw: line 10 has 999 octets, 998 are allowed")
    refused(text .. "two\0\n", "CONTENT", "raw: line 9 holds a NUL")
    refused("From: a@x.example\nX-A: " .. long .. "\nBcc: b@x.example\n\nx", "CONTENT", "raw: line 2 has 1004 octets")
    refused("From: a@x.example\nBcc: b@x.example\nX-A: " .. long .. "\n\nx", "CONTENT", "raw: line 3 has 1004 octets")
    assert.equal(998, #made(HEAD .. "\r\n" .. long:sub(2)):match "x+\r\n$" - 2)
  end)

  it("refuses_what_is_no_message", function()
    refused("", "CONTENT", "raw: the message is empty")
    refused("just text\n", "HEADER", "raw: line 1 is no header field")
    refused(" From: a@x.example\n\n", "HEADER", "raw: line 1 is no header field")
    refused("From: a@x.example\nX Y: 1\n\n", "HEADER", "raw: line 2 is no header field")
    refused("From: a@x.example\nX\195\169: 1\n\n", "HEADER", "raw: line 2 is no header field")
    refused("From: a@x.example\nBcc\0: b@x.example\n\n", "HEADER", "raw: line 2 is no header field")
    refused("From: a@x.example\n: 1\n\n", "HEADER", "raw: line 2 is no header field")
    refused("Subject: s\n\nx", "OPTION", "no sender is set")
    refused("From: a@x.example\n\nx", "OPTION", "no recipient")
    refused("From: root\nTo: b@x.example\n\nx", "ADDRESS", '"root" has no "@"')
    refused("From: a@x.example\nTo: root\n\nx", "ADDRESS", '"root" has no "@"')
    refused("From: a@x.example, c@x.example\nTo: b@x.example\n\nx", "ADDRESS", "from holds more than one address")
    -- what follows would be text for everybody
    refused("From: a@x.example\r\r\nBcc: b@x.example\r\r\n\r\r\nx", "HEADER", "line 1 ends in CR CR LF")
    refused(("X: 1\n"):rep(50001), "HEADER", "more than 50000 lines")
  end)

  it("refuses_fields_that_make_a_message_and_checks_the_others", function()
    local message = require "directmail.message"
    local beside = { raw = true, from = true, to = true, cc = true, bcc = true, via = true, on_unknown = true, size_limit = true, timeout = true, key = true,
      queue = true, all_or_none = true }
    local values = { attachments = {}, headers = {}, track = {}, allow_placeholders = true, date = 0, data = {} }
    for _, name in ipairs(message.FIELDS) do
      if not beside[name] then refused({ raw = WHOLE, [name] = values[name] or "x" }, "OPTION", name .. " cannot stand beside raw") end
    end
    refused({ raw = WHOLE, on_unknown = "resned" }, "OPTION", "on_unknown")
    refused({ raw = WHOLE, via = "pigeon" }, "OPTION", "via")
    refused({ raw = WHOLE, timeout = -1 }, "OPTION", "timeout")
    refused({ raw = WHOLE, size_limit = 1.5 }, "OPTION", "size_limit")
    refused({ raw = WHOLE, size_limit = #WHOLE - 1 }, "SIZE", ("%d octets"):format(#WHOLE))
    assert.equal(WHOLE, (made { raw = WHOLE, size_limit = #WHOLE }))
    local ok, why = pcall(made, { raw = 5 })
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find("field raw cannot be a number", 1, true))
  end)

  it("never_raises_for_any_prefix_of_a_head_and_never_shows_a_bcc", function()
    local text = "From a\nbcc: eve@x.example\nFrom: =?utf-8?q?Sh=C3=B6p?= <a@x.example>\r\nTO: Team: b@x.example (c\n (d)), \"q, \\\" r\"\r\n <c@x.example>;,\n" ..
      "Resent-Bcc:\r eve@x.example\rCC : @r.example:d@x.example\nTo: e@x.example\nSubject:\n\nbody\n"
    for n = 0, #text do
      local part = text:sub(1, n)
      for _, loose in ipairs { false, true } do
        local head, e = raw.read(part, loose)
        if head then
          local bytes, line_of = raw.write(head, { { "Date", "tokens", "x" } })
          if n > 11 then assert.is_nil(bytes:find("eve", 1, true), bytes) end
          assert.equal("number", type(line_of(1)))
          raw.recipients(head)
        else
          assert.is_true(err.is(e))
        end
      end
      local m, e = mail_of():message { raw = part, to = "b@x.example" }
      assert.is_true(m ~= nil or err.is(e))
    end
  end)

  it("reads_a_text_without_a_head_as_all_body_when_asked_to", function()
    local function body(text)
      local head = assert(raw.read(text, true))
      return head.body, #head.fields, head.count
    end
    assert.same({ "hello\nthere\n", 0, 0 }, { body "hello\nthere\n" })
    assert.same({ "hello\n", 0, 1 }, { body "From root Mon\nhello\n" })
    assert.same({ "Warning: full\nlook\n", 0, 0 }, { body "Warning: full\nlook\n" })
    assert.same({ "Warning: full\n\nlook\n", 0, 0 }, { body "Warning: full\n\nlook\n" })
    assert.same({ " indented: yes\n", 0, 0 }, { body " indented: yes\n" })
    assert.same({ "text\n", 0, 1 }, { body "\ntext\n" })
    assert.same({ "text\n", 1, 2 }, { body "Subject: s\n\ntext\n" })
    local head, e = raw.read("Subject: s\ntext\nBcc: b@x.example\n", true)
    assert.is_nil(head)
    assert.equal("raw: line 2 is no header field", e.cause)
  end)
end)
