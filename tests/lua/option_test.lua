-- directmail.option: unknown names are refused with the nearest one.
local option = require "directmail.option"

local KNOWN = { "from", "to", "subject", "attachments", "reply_to" }

local function raised(f, ...)
  local ok, why = pcall(f, ...)
  assert.is_false(ok)
  return why
end

describe("option", function()
  it("accepts_known_names", function()
    option.check({ to = 1, subject = 2 }, KNOWN, "mail:send")
    option.check({}, KNOWN, "mail:send")
  end)

  it("names_the_field_the_place_and_the_nearest_word", function()
    local why = raised(option.check, { subjcet = 1 }, KNOWN, "mail:send", 1)
    assert.is_truthy(why:find('unknown field "subjcet" in mail:send (did you mean "subject"?)', 1, true), why)
    why = raised(option.check, { attachements = 1 }, KNOWN, "mail:send", 1)
    assert.is_truthy(why:find('did you mean "attachments"?', 1, true), why)
    why = raised(option.check, { zebra = 1 }, KNOWN, "mail:send", 1)
    assert.is_truthy(why:find('unknown field "zebra" in mail:send$'), why)
  end)

  it("blames_the_line_of_the_caller_s_caller", function()
    local function send(t)
      option.check(t, KNOWN, "mail:send")
      return 0                  -- no tail call: levels count frames
    end
    local line
    local why = raised(function()
      line = debug.getinfo(1, "l").currentline + 1
      local n = send { subjcet = 1 }
      return n
    end)
    assert.is_truthy(why:find("option_test.lua:" .. line .. ":", 1, true), why)
  end)

  it("reports_the_same_of_several_each_time", function()
    for _ = 1, 20 do
      local why = raised(option.check, { zz = 1, yy = 1, xx = 1, [1] = "a" }, KNOWN, "new", 1)
      assert.is_truthy(why:find('"1"', 1, true), why)
    end
  end)

  it("refuses_what_is_no_table", function()
    assert.is_truthy(raised(option.check, "x", KNOWN, "mail:send", 1):find("table expected, got string", 1, true))
    assert.is_truthy(raised(option.check, nil, KNOWN, "mail:send", 1):find("table expected, got nil", 1, true))
  end)

  it("finds_letters_that_changed_places_and_hyphens", function()
    assert.equal("from", option.nearest("form", KNOWN))
    assert.equal("reply_to", option.nearest("reply-to", KNOWN))
    assert.equal("reply_to", option.nearest("ReplyTo", KNOWN))
    assert.is_nil(option.nearest("x", { "connect", "reply" }))
    assert.is_nil(option.nearest("", KNOWN))
    assert.is_nil(option.nearest(("a"):rep(100000), KNOWN))
  end)

  it("cuts_and_cleans_a_hostile_name", function()
    local why = raised(option.check, { [("x\27"):rep(500)] = 1 }, KNOWN, "new", 1)
    assert.is_true(#why < 200)
    assert.is_nil(why:find("\27", 1, true))
  end)
end)
