local core = require "directmail.core"

local report = "\229\173\163\229\186\166\230\138\165\229\145\138"

describe("encode", function()
  it("rule_4_9_base64_is_padded_and_comes_back", function()
    assert.equal("", core.base64 "")
    assert.equal("Zg==", core.base64 "f")
    assert.equal("AG9wc0BtYWlsLmV4YW1wbGUuY29tAFF3MTJydFlV", core.base64 "\0ops@mail.example.com\0Qw12rtYU")
    assert.equal("\0ops", core.base64_decode "AG9w\r\n cw==")
    for n = 0, 300 do
      local bytes = ("\0\255ab\n"):rep(n):sub(1, n)
      assert.equal(bytes, core.base64_decode(core.base64(bytes)))
    end
  end)

  it("what_is_not_base64_is_nil", function()
    assert.is_nil(core.base64_decode "Zg")
    assert.is_nil(core.base64_decode "Zm9*")
    assert.equal("", core.base64_decode "")
  end)

  it("rule_4_10_quoted_printable", function()
    assert.equal("a=3D=20\r\n", core.qp "a= \r\n")
    assert.equal("=2Ex\r\n=46rom x\r\n", core.qp ".x\nFrom x\n")
    assert.equal("a=00", core.qp "a\0")
  end)

  it("rule_4_43_words_begin_where_the_column_says", function()
    local subject = "春季会员回馈活动说明与订单物流状态更新通知"
    assert.equal("=?UTF-8?B?5pil5a2j5Lya5ZGY5Zue6aaI5rS75Yqo6K+05piO5LiO6K6i5Y2V?=\r\n"
      .. " =?UTF-8?B?54mp5rWB54q25oCB5pu05paw6YCa55+l?=", core.word(subject, 9))
    assert.equal(subject, core.word_decode(core.word(subject)))
    assert.equal("Hello", core.word "Hello")
  end)

  it("rule_3_10_words_refuse_line_breaks_with_a_sentence", function()
    for _, bad in ipairs { "a\r\nb", "a\nb", "a\rb", "a\0b" } do
      local text, why = core.word(bad)
      assert.is_nil(text)
      assert.equal("the text holds a line break or NUL", why)
    end
    assert.same({ nil, "the text is not UTF-8" }, { core.word "\255" })
    local text, why = core.word(("a"):rep(1200), 9)
    assert.is_nil(text)
    assert.truthy(why:find("998 octets", 1, true))
  end)

  it("a_column_must_be_a_whole_number_on_a_line", function()
    assert.has_error(function() core.word("a", -1) end)
    assert.has_error(function() core.word("a", 999) end)
    assert.has_error(function() core.word("a", 1.5) end)
  end)

  it("rule_4_49_decoding_leaves_what_it_cannot_read", function()
    assert.equal("é X", core.word_decode "=?iso-8859-1?Q?=E9?= X")
    assert.equal("=?gb2312?B?1cXI/Q==?=", core.word_decode "=?gb2312?B?1cXI/Q==?=")
  end)

  it("rule_3_2_dates", function()
    assert.equal("Thu, 01 Jan 1970 08:00:00 +0800", core.date(0, 480))
    assert.equal("Thu, 01 Jan 1970 00:00:00 +0000", core.date(0.9))
    assert.equal("Wed, 31 Dec 1969 23:59:59 +0000", core.date(-0.5))
    assert.has_error(function() core.date(1e15) end)
    assert.has_error(function() core.date(0 / 0) end)
    assert.has_error(function() core.date(-3000000000) end)
    assert.has_error(function() core.date(0, 6000) end)
  end)

  it("rule_3_3_dates_are_read", function()
    assert.same({ 0, 480 }, { core.date_parse "Thu, 01 Jan 1970 08:00:00 +0800" })
    assert.same({ 1483228800, 0 }, { core.date_parse "Sat, 31 Dec 2016 23:59:60 GMT" })
    assert.same({ -2208988800, 0 }, { core.date_parse "1 Jan 1900 00:00:00 +0000" })
    assert.is_nil((core.date_parse "yesterday"))
    assert.equal("1483228800", tostring((core.date_parse "Sat, 31 Dec 2016 23:59:60 GMT")))
  end)

  it("rule_4_15_utf_8_is_judged_and_the_position_told", function()
    assert.is_true(core.utf8(report))
    assert.is_true(core.utf8 "")
    assert.same({ false, 1 }, { core.utf8 "\255" })
    assert.same({ false, 4 }, { core.utf8 "é.\255" })
  end)

  it("rule_6_1_domains_become_a_labels", function()
    assert.equal("xn--bcher-kva.example", core.idn "bücher.example")
    assert.equal("EXAMPLE.com", core.idn "EXAMPLE.com.")
    local name, why = core.idn "☃.example"
    assert.is_nil(name)
    assert.equal('"☃.example" is no domain name: IDNA2008 does not allow one of its characters', why)
  end)

  it("a_wrong_type_is_raised", function()
    for _, name in ipairs { "base64", "base64_decode", "qp", "word", "word_decode", "date", "date_parse", "utf8", "idn" } do
      assert.has_error(function() core[name]() end)
      assert.has_error(function() core[name]({}) end)
    end
  end)

  it("a_finalizer_that_encodes_cannot_spoil_a_result", function()
    local function collect_often()
      if newproxy then          -- 5.1: a table has no __gc
        for _ = 1, 20 do
          getmetatable(newproxy(true)).__gc = function() core.base64(("x"):rep(100)) end
        end
      else
        for _ = 1, 20 do setmetatable({}, { __gc = function() core.base64(("x"):rep(100)) end }) end
      end
    end
    for i = 1, 3000 do
      collect_often()
      assert.equal(("%d"):format(i), core.base64_decode(core.base64(("%d"):format(i))))
    end
  end)

  it("a_large_result_does_not_stay_in_memory_and_is_whole", function()
    local bytes = ("0123456789abcdef"):rep(65536)
    assert.equal(#bytes, #core.base64_decode(core.base64(bytes)))
    assert.equal("Zg==", core.base64 "f")
  end)
end)
