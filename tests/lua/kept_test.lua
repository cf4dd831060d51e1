-- Connections that are kept between two calls of mail:send, as in nginx: whose they are, and what ends them. Over a network in memory.
local limits = require "directmail.data.limits"
local mails = require "directmail.mail"
local memory = require "directmail.host.memory"

local DIRECT = "smtpdm-ap-southeast-1.aliyun.com"

-- A server: `answer(line, n, served)` may replace what it says to a line of its n-th connection ("" says nothing and closes, false
-- says nothing).
-- The list holds for each connection the commands that it heard.
local function serve(host, name, answer)
  local heard = {}
  local listener = assert(host.listen(name, 25))
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      local n = #heard + 1
      local lines, left, served, body = {}, "", 0, false
      heard[n] = lines
      sock:settimeouts(nil, nil, 1e7)
      host.spawn(function()
        sock:send "220 x\r\n"
        while true do
          local bytes = sock:receiveany(65536)
          if not bytes then break end
          left = left .. bytes
          local out = ""
          for line in left:gmatch "(.-)\r\n" do
            if body then
              if line == "." then
                body, served = false, served + 1
                out = out .. ("250 taken ###envid=%d\r\n"):format(n * 1000 + served)
              end
            else
              lines[#lines + 1] = line:match "^%u+"
              local said = answer and answer(line, n, served)
              if said == "" then return sock:close() end
              if line == "DATA" and said == nil then body, said = true, "354 go" end
              if line:find "^EHLO" then said = said or "250-x\r\n250 PIPELINING" end
              if said ~= false then out = out .. (said or "250 ok") .. "\r\n" end
            end
          end
          left = left:match "\r\n([^\r]*)$" or left
          if out ~= "" then sock:send(out) end
          if lines[#lines] == "QUIT" then return sock:close() end
        end
      end)
    end
  end)
  return heard
end

local function new(name, answer, more)
  local host = memory.new()
  host.keeps = true
  local heard = serve(host, name, answer)
  local options = { smtp = ("smtp://%s:25"):format(name), auth = "off", via = "smtp", ehlo = "client.example" }
  for option, value in pairs(more or {}) do options[option] = value end
  return assert(mails.new(options, host, 1)), heard, host
end

local function message(to) return { from = "a@x.example", to = to or "b@x.example", subject = "s", text = "t" } end

local ENVELOPE = "MAIL RCPT DATA"

describe("a connection of mail:send that is kept", function()
  it("carries one mail behind the other without EHLO, RSET or QUIT", function()
    local mail, heard = new "mx.example"
    for i = 1, 3 do
      local receipt = assert(mail:send(message()))
      assert.equal(tostring(1000 + i), receipt.id)
    end
    assert.equal(1, #heard)
    assert.equal(("EHLO %s %s %s"):format(ENVELOPE, ENVELOPE, ENVELOPE), table.concat(heard[1], " "))
  end)

  it("is not there in homes that do not keep", function()
    local mail, heard, host = new "mx.example"
    host.keeps = nil
    for _ = 1, 2 do assert(mail:send(message())) end
    assert.equal(2, #heard)
    assert.equal("EHLO " .. ENVELOPE .. " QUIT", table.concat(heard[2], " "))
  end)

  it("is shared by mail objects of the same account, and by no others", function()
    local _, _, host = new "mx.example"
    local names = {}
    local tcp = host.tcp
    function host.tcp(...)
      local sock = tcp(...)
      function sock:connect(address, port, options)
        names[#names + 1] = options.pool
        return getmetatable(self).__index.connect(self, address, port, options)
      end
      return sock
    end
    local function login(line)
      if line:find "^EHLO" then return "250-x\r\n250-PIPELINING\r\n250 AUTH PLAIN" end
      if line:find "^AUTH" then return "235 ok" end
    end
    local heard = serve(host, "auth.example", login)
    local function other(more)
      local options = {
        smtp = "smtp://auth.example:25", smtp_user = "u@x.example", smtp_password = "secret words", cleartext_auth = true, via = "smtp",
        ehlo = "client.example",
      }
      for name, value in pairs(more) do options[name] = value end
      return assert(mails.new(options, host, 1)):send(message())
    end
    assert(other {})
    assert(other {})
    assert.equal(1, #heard)
    for n, more in ipairs {
      { smtp_user = "other@x.example" }, { smtp_password = "guessed" }, { ehlo = "else.example" }, { pipeline = "off" },
      { transcript = function() end },
    } do
      assert(other(more))
      assert.equal(n + 1, #heard)
    end
    assert(other {})
    assert.equal(6, #heard)
    for _, name in ipairs(names) do
      assert.is_nil(name:find("secret", 1, true))
      assert.is_nil(name:find("u@x.example", 1, true))
    end
  end)

  it("is opened anew without a word when the server gave it up meanwhile", function()
    for _, said in ipairs { "", "421 4.4.2 too long idle" } do
      local mail, heard = new("mx.example", function(line, n, served)
        if n == 1 and served == 1 and line:find "^MAIL" then return said end
      end)
      assert.equal("1001", assert(mail:send(message())).id)
      assert.equal("2001", assert(mail:send(message())).id)
      assert.equal(2, #heard)
    end
  end)

  it("is not tried a third time", function()
    local mail, heard = new("mx.example", function(line, n, served)
      if line:find "^MAIL" and (n > 1 or served == 1) then return "421 4.3.2 shutting down" end
    end)
    assert(mail:send(message()))
    local receipt, e = mail:send(message())
    assert.is_nil(receipt)
    assert.same({ "refused", true, 2 }, { e.outcome, e.retry, #heard })
  end)

  it("lies idle for a minute at most", function()
    local mail, heard, host = new("mx.example")
    assert(mail:send(message()))
    host.sleep(limits.keepalive + 1)
    assert(mail:send(message()))
    assert.equal(2, #heard)
    assert.equal("EHLO " .. ENVELOPE, table.concat(heard[1], " "))
  end)

  it("ends with QUIT behind a mail that was refused", function()
    local mail, heard = new("mx.example", function(line)
      if line:find "^RCPT TO:<no@" then return "550 no" end
      if line == "DATA" then return nil end
    end)
    local _, e = mail:send(message "no@x.example")
    assert.equal("refused", e.outcome)
    assert(mail:send(message()))
    assert.equal(2, #heard)
    assert.equal("QUIT", heard[1][#heard[1]])
  end)

  it("carries on behind a mail of which some recipients were refused", function()
    local mail, heard = new("mx.example", function(line)
      if line:find "^RCPT TO:<no@" then return "550 no" end
    end)
    assert.equal(1, #assert(mail:send(message "no@x.example, b@x.example")).refused)
    assert(mail:send(message()))
    assert.equal(1, #heard)
  end)

  it("ends after as many mails as send_all would send over one", function()
    local mail, heard = new "mx.example"
    for _ = 1, limits.per_connection + 2 do assert(mail:send(message())) end
    assert.equal(2, #heard)
    assert.equal("QUIT", heard[1][#heard[1]])
  end)

  it("is one of several when mails are sent at once, and each is used again", function()
    local mail, heard, host = new "mx.example"
    for _ = 1, 3 do
      local tasks = {}
      for i = 1, 5 do tasks[i] = host.spawn(function() return assert(mail:send(message())) end) end
      for i = 1, 5 do assert(host.wait(tasks[i])) end
    end
    assert.equal(5, #heard)
  end)

  it("does not eat memory: beyond a number they are closed", function()
    local mail, heard, host = new "mx.example"
    local tasks = {}
    for i = 1, limits.kept_connections + 10 do tasks[i] = host.spawn(function() return assert(mail:send(message())) end) end
    for i = 1, #tasks do assert(host.wait(tasks[i])) end
    for i = 1, #tasks do tasks[i] = host.spawn(function() return assert(mail:send(message())) end) end
    for i = 1, #tasks do assert(host.wait(tasks[i])) end
    assert.equal(limits.kept_connections + 20, #heard)
  end)

  it("keeps its own time limits for each mail", function()
    local mail, _, host = new("mx.example", function(_, n, served)
      if n == 1 and served == 1 then return false end
    end)
    local fields = message()
    assert(mail:send(fields))
    fields.timeout = 3
    local start = host.tick()
    local _, e = mail:send(fields)
    assert.same({ "TIMEOUT", "not_sent", 3 }, { e.code, e.outcome, host.tick() - start })
    fields.timeout = nil
    assert(mail:send(fields))
  end)
end)

describe("one recipient of Direct Mail", function()
  local function seconds_of(n, name, answer, send)
    local mail, heard, host = new(name, answer)
    host.keeps = nil
    local start = host.tick()
    send(mail, n)
    return host.tick() - start, #heard
  end

  local function one_by_one(mail, n)
    for _ = 1, n do assert(mail:send(message "ann@example.com")) end
  end

  local function all(mail, n)
    local rows, sent = {}, 0
    for i = 1, n do rows[i] = message(i % 2 == 0 and "ann@example.com" or ("n%d@example.com, ANN@example.com"):format(i)) end
    for result in mail:send_all(rows, { connections = 3 }) do
      assert.is_true(result.ok)
      sent = sent + 1
    end
    assert.equal(n, sent)
  end

  it("gets fifty mails in five minutes, and the rest later", function()
    for _, send in ipairs { one_by_one, all } do
      assert.is_true(seconds_of(50, DIRECT, nil, send) < 10)
      local seconds = seconds_of(51, DIRECT, nil, send)
      assert.is_true(seconds >= 300 and seconds < 310, seconds)
    end
  end)

  it("is refused in words when the send may not wait so long, and the wait counts", function()
    local mail, _, host = new(DIRECT)
    for _ = 1, 50 do assert(mail:send(message "ann@example.com")) end
    local fields = message "ann@example.com"
    fields.timeout = 20
    local start = host.tick()
    local _, e = mail:send(fields)
    assert.same({ "THROTTLED", "not_sent", true, 0 }, { e.code, e.outcome, e.retry, host.tick() - start })
    assert.is_true(e.after > 290 and e.after <= 300)
    fields.timeout = 310
    assert(mail:send(fields))
    assert.is_true(host.tick() - start >= 299)
  end)

  it("has no such limit on other servers", function()
    for _, send in ipairs { one_by_one, all } do assert.is_true(seconds_of(60, "mx.example", nil, send) < 10) end
  end)

  it("waits likewise with overlap", function()
    local seconds = seconds_of(60, DIRECT, nil, function(mail, n)
      local rows, sent = {}, 0
      for i = 1, n do rows[i] = message "ann@example.com" end
      for result in mail:send_all(rows, { connections = 2, pipeline = "overlap" }) do
        if result.ok then sent = sent + 1 end
      end
      assert.equal(n, sent)
    end)
    assert.is_true(seconds >= 300 and seconds < 310, seconds)
  end)
end)
