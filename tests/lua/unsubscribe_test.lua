-- directmail.unsubscribe: links that only we can make, for one address and one list, until a day.
local core = require "directmail.core"
local unsubscribe = require "directmail.unsubscribe"

local OLD, NEW = ("o"):rep(32), ("n"):rep(32)
local NOW = 1764000000
local DAY = 86400

local function token(secret, options) return unsubscribe.token(secret or NEW, "Ann@Example.com", "news", options or { now = NOW }) end

describe("a token", function()
  it("says whose and which list it is, and nothing else is needed", function()
    local about = unsubscribe.read(NEW, token(), NOW)
    assert.same({ to = "ann@example.com", list = "news", expires = NOW + 400 * DAY }, about)
  end)

  it("is of characters that no mail program breaks", function() assert.matches("^[%w_-]+%.[%w_-]+$", token()) end)

  it("is forged when any of its characters is another", function()
    local good = token()
    for i = 1, #good do
      for _, other in ipairs { "A", "z", "_", "." } do
        if good:sub(i, i) ~= other then
          local about, why = unsubscribe.read(NEW, good:sub(1, i - 1) .. other .. good:sub(i + 1), NOW)
          assert.is_nil(about, i)
          assert.equal("forged", why)
        end
      end
    end
  end)

  it("is forged when it is shorter or longer", function()
    local good = token()
    for n = 0, #good - 1 do assert.equal("forged", select(2, unsubscribe.read(NEW, good:sub(1, n), NOW))) end
    for _, bad in ipairs { good .. "A", good .. "=", good .. ".", "." .. good, good .. "\n", good .. "\0", " " .. good, ("x"):rep(2000), "", "." } do
      assert.equal("forged", select(2, unsubscribe.read(NEW, bad, NOW)))
    end
    assert.equal("forged", select(2, unsubscribe.read(NEW, nil, NOW)))
  end)

  it("of another secret, or of the same secret used for something else, is forged", function()
    assert.equal("forged", select(2, unsubscribe.read(OLD, token(NEW), NOW)))
    local payload = ("%d\nnews\nann@example.com"):format(NOW + DAY)
    local function url64(s) return (core.base64(s):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" })) end
    local naive = url64(payload) .. "." .. url64(core.hmac_sha256(NEW, payload))
    assert.equal("forged", select(2, unsubscribe.read(NEW, naive, NOW)))
  end)

  it("of an older secret is believed while that is in the list, and the newest signs", function()
    assert.equal("news", unsubscribe.read({ NEW, OLD }, token(OLD), NOW).list)
    assert.equal("news", unsubscribe.read(NEW, token { NEW, OLD }, NOW).list)
    assert.equal("forged", select(2, unsubscribe.read({ NEW }, token(OLD), NOW)))
  end)

  it("ends after its days", function()
    local short = token(NEW, { now = NOW, days = 30 })
    assert.equal("news", unsubscribe.read(NEW, short, NOW + 30 * DAY).list)
    assert.equal("expired", select(2, unsubscribe.read(NEW, short, NOW + 30 * DAY + 1)))
  end)
end)

describe("misuse", function()
  local function raises(text, fn, ...)
    local ok, why = pcall(fn, ...)
    assert.is_false(ok)
    assert.matches(text, why)
  end

  it("of a secret is told at the caller's line, a missing one first", function()
    raises("unsubscribe_test%.lua:%d+: secret", function() return (unsubscribe.token(nil, "a@example.com", "news")) end)
    raises("secret: 5 octets are too few", unsubscribe.token, "short", "a@example.com", "news")
    raises("secret: a string is needed, not a number", unsubscribe.token, { 5 }, "a@example.com", "news")
    raises("secret", unsubscribe.token, {}, "a@example.com", "news")
    raises("secret", unsubscribe.read, nil, "x.y")
  end)

  it("of address, list, days and base is told", function()
    for _, to in ipairs { "", "ann", "a@example.com, b@example.com", "a@example.com\nb@example.com" } do
      raises("to: one address", unsubscribe.token, NEW, to, "news")
    end
    for _, list in ipairs { "", "a b", "a\nb", ("x"):rep(65) } do raises("list: ", unsubscribe.token, NEW, "a@example.com", list) end
    raises("days", unsubscribe.token, NEW, "a@example.com", "news", { days = 29 })
    for _, base in ipairs { "http://shop.example/bye", "https://", "shop.example", "https://shop.example/bye#x", "https://shop.example/b ye" } do
      raises("base: an https URL", unsubscribe.url, base, NEW, "a@example.com", "news")
    end
  end)
end)

describe("a link", function()
  it("carries the token behind what the base has already", function()
    assert.matches("^https://shop%.example/bye%?t=[%w_.-]+$", unsubscribe.url("https://shop.example/bye", NEW, "a@example.com", "news", { now = NOW }))
    assert.matches("^https://shop%.example/bye%?x=1&t=[%w_.-]+$", unsubscribe.url("https://shop.example/bye?x=1", NEW, "a@example.com", "news", { now = NOW }))
  end)

  it("fits the field unsubscribe: both headers of RFC 8058 are there", function()
    local message = require "directmail".message { from = "news@example.com", to = "a@example.com", text = "x",
      unsubscribe = unsubscribe.url("https://shop.example/bye", NEW, "a@example.com", "news", { now = NOW }) }
    local bytes = message:bytes():gsub("\r\n ", " ")
    assert.matches("List%-Unsubscribe: *<https://shop%.example/bye%?t=[%w_.-]+>\r\n", bytes)
    assert.matches("List%-Unsubscribe%-Post: List%-Unsubscribe=One%-Click\r\n", bytes)
  end)
end)
