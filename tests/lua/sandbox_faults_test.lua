local faults = require "directmail.sandbox.faults"
local glob = require "directmail.sandbox.glob"

local function rule(text) return assert(faults.parse(text)) end

-- Which of the first `n` events a rule hits, as "x" and ".".
local function hits(text, n, step, context)
  local set, out = assert(faults.new { text }), {}
  for i = 1, n do out[i] = set:match(step or "dot", context or {}) and "x" or "." end
  return table.concat(out)
end

describe("a fault rule", function()
  it("is read with its step, what happens and when", function()
    assert.same({ text = "auth:526:once", step = "auth", what = "code", code = 526, once = true }, rule "auth:526:once")
    assert.same({ text = "rcpt:559:to=*@bad.example", step = "rcpt", what = "code", code = 559, to = "*@bad.example" },
      rule "rcpt:559:to=*@bad.example")
    assert.same({ text = "dot:drop:1/100:seed=7", step = "dot", what = "drop", hits = 1, block = 100, seed = 7 },
      rule "dot:drop:1/100:seed=7")
    assert.same({ text = "banner:slow=3", step = "banner", what = "slow", seconds = 3 }, rule "banner:slow=3")
    assert.same({ text = "quit:slow=0.25", step = "quit", what = "slow", seconds = 0.25 }, rule "quit:slow=0.25")
    assert.same({ text = "starttls:tls=expired", step = "starttls", what = "tls", tls = "expired" }, rule "starttls:tls=expired")
    assert.same({ text = "connect:tls=wrong-name", step = "connect", what = "tls", tls = "wrong-name" }, rule "connect:tls=wrong-name")
    assert.same({ text = "ehlo:garbage", step = "ehlo", what = "garbage" }, rule "ehlo:garbage")
    assert.same({ text = "data:drop-after", step = "data", what = "drop-after" }, rule "data:drop-after")
  end)

  it("for the API names an operation or none", function()
    assert.same({ text = "api:SingleSendMail:Throttling.User", step = "api", operation = "SingleSendMail", what = "code",
      code = "Throttling.User" }, rule "api:SingleSendMail:Throttling.User")
    assert.same({ text = "api:Throttling", step = "api", what = "code", code = "Throttling" }, rule "api:Throttling")
    assert.same({ text = "api:Throttling:once", step = "api", what = "code", code = "Throttling", once = true }, rule "api:Throttling:once")
    assert.same({ text = "api:BatchSendMail:503:1/2", step = "api", operation = "BatchSendMail", what = "code", code = 503, hits = 1,
      block = 2 },
      rule "api:BatchSendMail:503:1/2")
  end)

  it("that cannot be is refused with what is wrong and what is possible", function()
    for text, words in pairs {
      [""] = { 'no step ""', "connect banner" },
      ["dott:drop"] = { 'no step "dott" %(did you mean "dot"%?%)', "connect banner" },
      ["dot"] = { "does not say what happens at dot", "drop%-after" },
      ["dot:"] = { "does not say what happens", "garbage" },
      ["dot:dorp"] = { 'did you mean "drop"', "400 to 599" },
      ["dot:250"] = { '"250" is no code of a refusal', "400 to 599" },
      ["dot:55"] = { '"55" is no code', "400 to 599" },
      ["dot:5500"] = { '"5500" is no code', "400 to 599" },
      ["dot:Throttling"] = { "nothing that can happen", "a code" },
      ["dot:slow=x"] = { "is no time", "SECONDS" },
      ["dot:slow=-1"] = { "is no time", "SECONDS" },
      ["dot:slow=99999"] = { "is no time", "3600" },
      ["connect:tls=old"] = { 'no certificate "old"', "expired" },
      ["auth:tls=expired"] = { "no certificate is shown at the step auth", "starttls:tls=expired" },
      ["dot:drop:sometimes"] = { '"sometimes" is no condition', "N/M" },
      ["dot:drop:onec"] = { 'did you mean "once"', "N/M" },
      ["dot:drop:0/3"] = { '"0/3" cannot be', "1 <= N <= M" },
      ["dot:drop:4/3"] = { '"4/3" cannot be', "1 <= N <= M" },
      ["dot:drop:1/99999999"] = { "cannot be", "1000000" },
      ["dot:drop:once:once"] = { '"once" stands twice', "leave one" },
      ["dot:drop:1/2:1/3"] = { "second of its kind", "leave one" },
      ["dot:drop:once:1/2"] = { "exclude each other", "keep one" },
      ["dot:drop:seed=3"] = { "there is no N/M", "add N/M" },
      ["dot:drop:1/2:seed=x"] = { "is no condition", "seed=N" },
      ["auth:526:to=a@b"] = { "no recipient is known at the step auth", "rcpt" },
      ["rcpt:559:to="] = { "is no condition", "to=GLOB" },
      ["api:send:Throttling"] = { '"send" is no name of an operation', "SingleSendMail" },
      ["dot:drop:" .. ("x"):rep(400)] = { "it has 409 characters", "at most 400" },
    } do
      local got, why = faults.parse(text)
      assert.is_nil(got, text)
      assert.equal("OPTION", why.code)
      assert.equal("not_sent", why.outcome)
      assert.matches(words[1], why.cause)
      assert.matches(words[2], why.remedy)
    end
  end)

  it("stands on a line of its own in a list, with comments and empty lines", function()
    local rules = assert(faults.parse_lines "# two\r\n\n  auth:526:once \r\ndot:drop\n")
    assert.equal("auth:526:once", rules[1].text)
    assert.equal("dot:drop", rules[2].text)
    assert.equal(2, #rules)
    local none, why = faults.parse_lines "auth:526\nnonsense\n"
    assert.is_nil(none)
    assert.matches('no step "nonsense"', why.cause)
  end)
end)

describe("which events are hit", function()
  it("all, when nothing is said", function()
    assert.equal("xxxx", hits("dot:drop", 4))
  end)

  it("the first with `once`", function()
    assert.equal("x.....", hits("dot:drop:once", 6))
  end)

  it("the first N of every M without a seed", function()
    assert.equal("xx...xx...", hits("dot:drop:2/5", 10))
    assert.equal("xxx", hits("dot:drop:1/1", 3))
  end)

  it("exactly N of every M with a seed, the same ones each time", function()
    for seed = 0, 20 do
      local text = ("dot:drop:3/10:seed=%d"):format(seed)
      local first = hits(text, 200)
      assert.equal(first, hits(text, 200))
      for block in first:gmatch(("."):rep(10)) do
        assert.equal(3, select(2, block:gsub("x", "")))
      end
    end
    assert.not_equal(hits("dot:drop:3/10:seed=1", 200), hits("dot:drop:3/10:seed=2", 200))
  end)

  it("spread with a seed: each place of a block is hit now and then", function()
    local count = {}
    local all = hits("dot:drop:1/4:seed=7", 4000)
    for place in all:gmatch("()x") do count[(place - 1) % 4] = (count[(place - 1) % 4] or 0) + 1 end
    for place = 0, 3 do assert.is_true(count[place] > 200 and count[place] < 300, place .. " " .. tostring(count[place])) end
  end)

  it("the same in every Lua", function()
    assert.equal(".xx..x..x.x...xx..x...xx..x..x", hits("dot:drop:2/5:seed=11", 30))
  end)

  it("those of the step, and of the recipient, only", function()
    local set = assert(faults.new { "rcpt:559:to=*@bad.example:once" })
    assert.is_nil(set:match("rcpt", { to = { "ann@example.com" } }))
    assert.is_nil(set:match("dot", { to = { "x@bad.example" } }))
    assert.equal(559, set:match("rcpt", { to = { "X@BAD.example" } }).code)
    assert.is_nil(set:match("rcpt", { to = { "x@bad.example" } }))
  end)

  it("a message when one of its recipients is meant", function()
    local set = assert(faults.new { "dot:drop:to=b@*" })
    assert.is_table(set:match("dot", { to = { "a@x.example", "b@x.example" } }))
    assert.is_nil(set:match("dot", { to = { "a@x.example" } }))
  end)

  it("calls of the operation, or of all", function()
    local set = assert(faults.new { "api:SingleSendMail:Throttling.User" })
    assert.equal("Throttling.User", set:match("api", { operation = "SingleSendMail" }).code)
    assert.is_nil(set:match("api", { operation = "BatchSendMail" }))
    assert.is_table(assert(faults.new { "api:drop" }):match("api", { operation = "BatchSendMail" }))
  end)

  it("a certificate only where one is shown", function()
    local set = assert(faults.new { "connect:tls=expired" })
    assert.is_nil(set:match("connect", {}))
    assert.equal("expired", set:match("connect", { tls = true }).tls)
  end)
end)

describe("several rules", function()
  it("of one step: waits add up, the first other one decides and the later one keeps its turn", function()
    local set = assert(faults.new { "dot:slow=1", "dot:554:once", "dot:drop:once", "dot:slow=0.5:once" })
    assert.same({ slow = 1.5, what = "code", code = 554, text = "dot:554:once" }, set:match("dot", {}))
    assert.same({ slow = 1, what = "drop", text = "dot:drop:once" }, set:match("dot", {}))
    assert.same({ slow = 1, text = "dot:slow=1" }, set:match("dot", {}))
  end)

  it("can be replaced while it runs, and count from the start again", function()
    local set = assert(faults.new { "dot:drop:once" })
    set:match("dot", {})
    assert.is_nil(set:match("dot", {}))
    assert.is_true(set:set { faults.parse "dot:drop:once" })
    assert.is_table(set:match("dot", {}))
    assert.same({ "dot:drop:once" }, set:texts())
    set:set {}
    assert.same({}, set:texts())
  end)

  it("have a limit", function()
    local many = {}
    for i = 1, 101 do many[i] = "dot:drop" end
    local set, why = faults.new(many)
    assert.is_nil(set)
    assert.matches("101 fault rules", why.cause)
  end)
end)

describe("a glob", function()
  it("matches runs and single characters without regard to letter case", function()
    for _, case in ipairs {
      { "*", "a@b", true }, { "*", "", true }, { "", "", true }, { "", "a", false }, { "a@b", "A@B", true }, { "a@b", "a@bc", false },
      { "*@b.example", "x@b.example", true }, { "*@b.example", "x@b.example.org", false }, { "a?@b", "a1@b", true }, { "a?@b", "a@b",
        false },
      { "*a*b*", "xxaxxbxx", true }, { "*a*b", "ab1b", true }, { "a.c", "abc", false }, { "a%", "a%", true }, { "***", "x", true },
    } do
      assert.equal(case[3], glob.match(case[1], case[2]), case[1] .. " " .. case[2])
    end
  end)

  it("of many stars ends soon", function()
    assert.is_false(glob.match(("*a"):rep(150) .. "b", ("a"):rep(320)))
  end)
end)
