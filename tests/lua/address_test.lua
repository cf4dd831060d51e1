local core = require "directmail.core"

describe("address", function()
  it("rule_3_30_a_name_and_an_address", function()
    assert.same({ { name = "Ann", address = "ann@x.example", local_length = 3 } }, core.addresses "Ann <ann@x.example>")
  end)

  it("rule_3_31_a_quoted_comma_does_not_separate", function()
    assert.same({
      { name = "Doe, Ann", address = "a@x.example", local_length = 1 },
      { name = "", address = "b@x.example", local_length = 1 },
    }, core.addresses '"Doe, Ann" <a@x.example>, b@x.example')
  end)

  it("every_flag_has_its_name", function()
    local list = core.addresses '"a,b"@x.example; a@[192.0.2.1], a@localhost'
    assert.same({
      { name = "", address = '"a,b"@x.example', local_length = 5, quoted = true, comma = true, semicolon = true },
      { name = "", address = "a@[192.0.2.1]", local_length = 1, literal = true },
      { name = "", address = "a@localhost", local_length = 1, single = true },
    }, list)
  end)

  it("rule_3_41_an_empty_group_is_an_empty_list", function()
    assert.same({}, core.addresses "Empty:;")
    assert.same({}, core.addresses "")
    assert.equal(2, #core.addresses "Team: a@x.example, b@x.example;")
  end)

  it("rule_3_43_names_are_decoded", function()
    assert.equal("张三", core.addresses("=?UTF-8?B?5byg5LiJ?= <a@x.example>")[1].name)
    assert.equal("张三", core.addresses("张三 <a@x.example>")[1].name)
  end)

  it("rules_2_13_and_3_44_a_domain_becomes_a_labels_and_a_local_part_cannot", function()
    assert.equal("a@xn--r8jz45g.xn--zckzah", core.addresses("a@例え.テスト")[1].address)
    local list, why = core.addresses "名前@例え.テスト"
    assert.is_nil(list)
    assert.truthy(why:find("SMTPUTF8", 1, true))
  end)

  it("rule_3_11_line_breaks_and_nul_are_refused", function()
    for _, bad in ipairs { "\r\n", "\n", "\r", "\0", "\r\n " } do
      for _, place in ipairs { "%sa@x.example", "a%s@x.example", "a@x.example%s", "A%s <a@x.example>", "a@x.example, %sb@x.example" } do
        local list, why = core.addresses((place:gsub("%%s", (bad:gsub("%%", "%%%%")))))
        assert.is_nil(list)
        assert.truthy(why:find("line break or NUL", 1, true), why)
      end
    end
  end)

  it("an_error_names_the_address_that_is_at_fault", function()
    assert.same({ nil, '"b" has no "@"' }, { core.addresses "a@x.example, b" })
  end)

  it("a_wrong_type_is_raised", function()
    assert.has_error(function() core.addresses() end)
    assert.has_error(function() core.addresses {} end)
  end)

  it("a_long_list_is_read_whole", function()
    local list = core.addresses(("Ann <ann@x.example>,"):rep(5000) .. "z@x.example")
    assert.equal(5001, #list)
    assert.equal("z@x.example", list[5001].address)
  end)
end)
