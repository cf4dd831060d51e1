-- Pauses, what a server asks for, and the budget of repeats.
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local retry = require "directmail.retry"

local function dice(octet) return function(n) return string.char(octet):rep(n) end end

describe("a pause", function()
  it("lies between nothing and twice as much each time, up to the longest", function()
    for n, most in ipairs { 0.5, 1, 2, 4, 8, 16, 30, 30 } do
      assert.equal(0, retry.pause(n, nil, false, dice(0)))
      assert.equal(most, retry.pause(n, nil, false, dice(255)))
    end
    assert.is_true(math.abs(retry.pause(1, nil, false, dice(127)) - 0.25) < 0.01)
  end)

  it("begins at a second after throttling, and is never next to nothing then", function()
    assert.equal(0.5, retry.pause(1, nil, true, dice(0)))
    assert.equal(limits.api_pause_throttled, retry.pause(1, nil, true, dice(255)))
    assert.equal(2, retry.pause(2, nil, true, dice(255)))
  end)

  it("is what the server asks for", function()
    assert.equal(7.25, retry.pause(1, 7.25, true, dice(0)))
    assert.equal(0, retry.pause(3, 0, false, dice(255)))
  end)
end)

describe("what the server asks for", function()
  local function asked(headers) return retry.asked(headers, 1795521600, core.date_parse) end

  it("is in milliseconds in its own header, which goes first", function()
    assert.equal(2.5, asked { ["x-acs-retry-after"] = "2500", ["retry-after"] = "9" })
  end)

  it("is in seconds or a date in HTTP's", function()
    assert.equal(9, asked { ["retry-after"] = "9" })
    assert.equal(60, asked { ["retry-after"] = "Tue, 24 Nov 2026 12:01:00 GMT" })
    assert.equal(0, asked { ["retry-after"] = "Tue, 24 Nov 2026 11:00:00 GMT" })
  end)

  it("is nothing when it cannot be read", function()
    for _, text in ipairs { "", "soon", "-1", "inf", "nan" } do
      assert.is_nil(asked { ["x-acs-retry-after"] = text }, text)
      assert.is_nil(asked { ["retry-after"] = text }, text)
    end
    assert.is_nil(asked {})
  end)
end)

describe("the budget", function()
  it("lets a few repeats always pass, and then a tenth of the requests", function()
    local budget = retry.budget()
    for i = 1, 10 do
      assert.is_true(budget:allows(100), i)
      budget:count(100, true)
    end
    assert.is_false(budget:allows(100))
    for _ = 1, 200 do budget:count(101, false) end
    assert.is_true(budget:allows(101))
  end)

  it("forgets little by little", function()
    local budget = retry.budget()
    for _ = 1, 20 do budget:count(59, true) end
    assert.is_false(budget:allows(59))
    assert.is_false(budget:allows(61))
    assert.is_true(budget:allows(100))
    for _ = 1, 20 do budget:count(300, true) end
    assert.is_false(budget:allows(300))
    assert.is_true(budget:allows(1000))
  end)
end)
