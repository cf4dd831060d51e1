-- mail:send_all against the sandbox: every message settled once, few connections, flat memory.
local directmail = require "directmail"
local host = require "directmail.host"

local box

local function mail_of(more)
  local o = {
    region = "ap-southeast-1", sender = "noreply@mail.example.com", smtp = box.urls.smtp, ca = box.ca, via = "smtp",
    smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  return assert(directmail.new(o))
end

local function rows(n)
  local i = 0
  return function()
    i = i + 1
    if i <= n then return { to = ("a%d@example.net"):format(i), subject = "s" .. i, text = "t" } end
  end
end

-- How often something happened, by the sandbox's own log.
local function count(event)
  local n = 0
  for line in io.lines(box.dir .. "/log.jsonl") do
    if line:find(event, 1, true) then n = n + 1 end
  end
  return n
end

before_each(function() box = assert(directmail.sandbox.start()) end)
after_each(function() box:stop() end)

for _, pipeline in ipairs { "group", "overlap", "off" } do
  describe("send_all with pipeline = " .. pipeline, function()
    it("settles every row once, and no bad one stops the rest", function()
      local seen, ok, bad = {}, 0, {}
      local source = rows(40)
      local n = 0
      local function mixed()
        n = n + 1
        if n == 7 then return { to = "invalid@sandbox.example", subject = "x", text = "t" } end
        if n == 8 then return { to = "no address", subject = "x", text = "t" } end
        if n == 9 then return { subjcet = "x" } end
        return source()
      end
      for result in mail_of():send_all(mixed, { connections = 3, per_connection = 7, pipeline = pipeline }) do
        assert.is_nil(seen[result.n])
        seen[result.n] = true
        if result.ok then
          ok = ok + 1
          assert.equal("sent", result.receipt.outcome)
          assert.is_string(result.receipt.id)
        else
          bad[result.n] = result.err
        end
        assert.is_table(result.row)
      end
      assert.equal(40, ok)
      assert.equal("559", bad[7].detail)
      assert.equal("ADDRESS", bad[8].code)
      assert.matches("subject", bad[9].cause)
      assert.equal(40, #box:mails())
    end)

    it("rule 7.7: reopens a connection that went stale, silently", function()
      assert(box:set_faults { "mail:421:1/5" })
      local ok, errors = 0, {}
      for result in mail_of():send_all(rows(20), { connections = 1, pipeline = pipeline }) do
        if result.ok then ok = ok + 1 else errors[#errors + 1] = result.err end
      end
      assert.equal(19, ok)         -- the very first MAIL meets its 421 on a fresh connection; nobody hears of the others
      for _, e in ipairs(errors) do assert.is_true(e.retry, tostring(e)) end
      assert.equal(ok, #box:mails())
    end)
  end)
end

describe("send_all", function()
  it("takes a list, and a function that makes the message of a row", function()
    local list = { { email = "a@example.net" }, { email = "b@example.net" }, { email = "boom" } }
    local ok, failed = {}, nil
    for result in mail_of():send_all(list, { message = function(row)
      if row.email == "boom" then error "no such row" end
      return { to = row.email, subject = "hi", text = "t" }
    end }) do
      if result.ok then ok[#ok + 1] = result.row.email else failed = result.err end
    end
    table.sort(ok)
    assert.same({ "a@example.net", "b@example.net" }, ok)
    assert.matches("no such row", failed.cause)
    assert.equal("OPTION", failed.code)
  end)

  it("sends per_connection messages over one connection", function()
    local n = 0
    for result in mail_of():send_all(rows(30), { connections = 1, per_connection = 10 }) do
      assert.is_true(result.ok, tostring(result.err))
      n = n + 1
    end
    assert.equal(30, n)
    assert.equal(3, count '"event":"connect"')
  end)

  it("gives each message its own deadline", function()
    assert(box:set_faults { "rcpt:slow=20:to=a2@example.net" })
    local start, slow = host.tick(), nil
    for result in mail_of():send_all(rows(4), { connections = 2, timeout = 0.5 }) do
      if not result.ok then slow = result end
    end
    assert.equal(2, slow.n)
    assert.same({ "TIMEOUT", "not_sent" }, { slow.err.code, slow.err.outcome })
    assert.is_true(host.tick() - start < 10)
  end)

  it("holds no row back behind a connection that hangs", function()
    assert(box:set_faults { "rcpt:slow=1:to=a1@example.net" })
    local order = {}
    for result in mail_of():send_all(rows(12), { connections = 2, pipeline = "group" }) do
      assert.is_true(result.ok, tostring(result.err))
      order[#order + 1] = result.n
    end
    assert.equal(12, #order)
    assert.equal(1, order[12])
  end)

  it("asks a message function that waits for each row once", function()
    local asked, ok = {}, 0
    local function message(row)
      host.sleep(0.002)
      asked[row] = (asked[row] or 0) + 1
      return { to = ("a%d@example.net"):format(row), subject = "s", text = "t" }
    end
    local list = {}
    for i = 1, 30 do list[i] = i end
    for result in mail_of():send_all(list, { connections = 3, pipeline = "overlap", message = message }) do ok = ok + (result.ok and 1 or 0) end
    assert.equal(30, ok)
    for i = 1, 30 do assert.equal(1, asked[i]) end
  end)

  it("stops starting when it is closed, and hands over what was under way", function()
    local started, handed, seen = 0, 0, 0
    local function source()
      started = started + 1
      return { to = ("a%d@example.net"):format(started), subject = "s", text = "t" }
    end
    local next_result, state, _, all = mail_of():send_all(source, { connections = 2, on_result = function() handed = handed + 1 end })
    for _ in next_result, state do
      seen = seen + 1
      if seen == 5 then break end
    end
    all:close()
    assert.is_true(handed >= 5)
    assert.equal(handed, #box:mails())
    assert.is_true(started < 30)
  end)

  it("waits for a source that waits", function()
    local n = 0
    local function slow_source()
      n = n + 1
      host.sleep(0.01)
      return n <= 3 and { to = "a@example.net", subject = "s" .. n, text = "t" } or nil
    end
    local ok = 0
    for result in mail_of():send_all(slow_source, { connections = 2 }) do ok = ok + (result.ok and 1 or 0) end
    assert.equal(3, ok)
  end)

  it("tells an error of the source where its results are read", function()
    local n = 0
    local good, why = pcall(function()
      for _ in mail_of():send_all(function()
        n = n + 1
        if n == 3 then error "the file is gone" end
        return { to = "a@example.net", subject = "s", text = "t" }
      end) do end -- luacheck: ignore
    end)
    assert.is_false(good)
    assert.matches("the file is gone", why)
    assert.equal(2, #box:mails())
  end)

  it("keeps to a rate", function()
    local start = host.tick()
    for result in mail_of():send_all(rows(6), { connections = 3, rate = 10 }) do assert.is_true(result.ok) end
    assert.is_true(host.tick() - start < 5)
  end)

  it("keeps memory flat", function()
    local function used()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local mail, before = mail_of(), nil
    local n = 0
    for result in mail:send_all(rows(900), { connections = 4 }) do
      assert.is_true(result.ok)
      n = n + 1
      if n == 300 then before = used() end
    end
    assert.equal(900, n)
    assert.is_true(used() < before + 1500, "memory grew with the number of messages")
  end)

  it("raises misuse at the caller's line", function()
    local mail = mail_of()
    for _, row in ipairs { { {}, { conections = 2 } }, { {}, { connections = 0 } }, { "x" }, { {}, { pipeline = "fast" } } } do
      local ok, why = pcall(function() mail:send_all(row[1], row[2]) end)
      assert.is_false(ok)
      assert.is_truthy(why:find("bulk_test.lua", 1, true), why)
    end
  end)
end)
