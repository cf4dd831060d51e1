-- directmail.mask: secrets are taken out of strangers' words, in every form in which they may come back.
local core = require "directmail.core"
local mask = require "directmail.mask"

local STARS = "********"

describe("mask", function()
  it("replaces_a_secret_wherever_it_stands", function()
    local hide = mask.of { "hunter2hunter2" }
    assert.equal("535 " .. STARS .. " is wrong, " .. STARS, hide "535 hunter2hunter2 is wrong, hunter2hunter2")
    assert.equal(STARS, hide "hunter2hunter2")
    assert.equal(STARS .. STARS, hide "hunter2hunter2hunter2hunter2")
    assert.equal("nothing here", hide "nothing here")
    assert.equal("", hide "")
  end)

  it("leaves_empty_ones_and_nil_out_and_still_masks_what_stands_behind_them", function()
    local none = nil
    assert.equal("a " .. STARS .. " b " .. STARS, mask.of { none, "first-secret", none, "second-secret" } "a first-secret b second-secret")
    assert.equal("a " .. STARS, mask.of { none, none, "third-secret" } "a third-secret")
    assert.equal("abc", mask.of { "" } "abc")
    assert.equal("abc", mask.of {} "abc")
  end)

  it("takes_a_secret_literally_and_not_as_a_pattern", function()
    local secret = "%a+.*[x]^$(1)-?"
    assert.equal("<" .. STARS .. ">", mask.of { secret } ("<" .. secret .. ">"))
    assert.equal("aaaa", mask.of { secret } "aaaa")
    assert.equal("<" .. STARS .. ">", mask.of { "nul\0inside%" } "<nul\0inside%>")
  end)

  it("masks_the_longer_of_two_secrets_that_overlap", function()
    for _, secrets in ipairs { { "abcdefgh", "abcdefghijkl" }, { "abcdefghijkl", "abcdefgh" } } do
      assert.equal("x " .. STARS .. " y " .. STARS, mask.of(secrets) "x abcdefghijkl y abcdefgh")
    end
  end)

  it("masks_base64_alone_with_and_without_padding", function()
    for _, secret in ipairs { "hunter2hunte", "hunter2hunter", "hunter2hunter2" } do
      local text = core.base64(secret)
      local hidden = mask.of { secret } ("x " .. text .. " y")
      assert.is_nil(hidden:find(text:sub(1, 8), 1, true), hidden)
      assert.is_nil(hidden:find(text:gsub("=", ""):sub(-6), 1, true), hidden)
    end
  end)

  it("masks_it_inside_the_answer_of_auth_plain_whatever_the_length_of_the_user", function()
    for length = 1, 9 do
      for _, secret in ipairs { "hunter2hunte", "hunter2hunter", "hunter2hunter2" } do
        for _, behind in ipairs { "", "x", "xy", "xyz" } do
          local whole = core.base64("\0" .. ("u"):rep(length) .. "\0" .. secret .. behind)
          local hidden = mask.of { secret } ("535 " .. whole .. " failed")
          assert.is_truthy(hidden:find(STARS, 1, true), whole)
          -- what is left cannot be read back: beside the stars stand two characters at most that hold bits of it
          local before, after = hidden:match "^535 (.-)%*+(.*) failed$"
          assert.is_truthy(before, hidden)
          local user_bits = (length + 2) * 8
          assert.is_true(#before <= math.ceil(user_bits / 6) and #after <= 4 + #behind * 2, hidden)
        end
      end
    end
  end)

  it("masks_a_token_in_a_form_and_in_a_string_to_sign", function()
    local token = "CAIS+a/b=="
    local hide = mask.of { token }
    assert.equal("SecurityToken=" .. STARS .. "&", hide("SecurityToken=" .. core.percent(token) .. "&"))
    assert.equal("SecurityToken%3D" .. STARS .. "%26", hide("SecurityToken%3D" .. core.percent(core.percent(token)) .. "%26"))
  end)

  it("does_not_shred_words_over_the_short_forms_of_a_short_secret", function()
    assert.equal("YWI is no secret", mask.of { "ab" } "YWI is no secret")
  end)
end)
