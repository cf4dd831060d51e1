-- directmail.trace: what became of a mail, from the service's records; an unknown outcome settled.
local cjson = require "cjson"
local directmail = require "directmail"
local err = require "directmail.err"
local host = require "directmail.host"
local http1 = require "directmail.http1"
local trace = require "directmail.trace"

local box

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  box:clear()
  assert(box:set_faults {})
end)

local function mail_of(more)
  local options = {
    region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", api = box.urls.api, access_key_id = box.account.access_key_id,
    access_key_secret = box.account.access_key_secret,
  }
  for name, value in pairs(more or {}) do options[name] = value or nil end
  return assert(directmail.new(options))
end

-- The service's statistics: `records(params)` gives a list, served in pages of two.
local function statistics(records)
  local listener = assert(host.listen("127.0.0.1", 0))
  local served = { asked = {}, url = "http://127.0.0.1:" .. listener.port, close = function() listener:close() end }
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(http1.serve, sock, function(request)
        local params = {}
        for name, value in request.body:gmatch "([^&=]+)=([^&]*)" do
          params[name] = value:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
        end
        served.asked[#served.asked + 1] = params
        local all = records(params)
        if all.status then return all end
        local from, page = tonumber(params.NextStart) or 0, {}
        for i = from + 1, math.min(from + 2, #all) do page[#page + 1] = all[i] end
        return { status = 200, headers = {}, body = cjson.encode {
          RequestId = "R", NextStart = from + #page < #all and tostring(from + #page) or "",
          data = { mailDetail = #page > 0 and page or cjson.empty_array },
        } }
      end, { host = host })
    end
  end)
  return served
end

-- A record, `ago` seconds old.
local function record(to, status, ago, more)
  local seconds = math.floor(host.now() - ago)
  local r = {
    AccountName = "noreply@mail.example.com", ToAddress = to, Status = status, Message = "250 Send Mail OK", Subject = "Hello",
    ErrorClassification = "SendOk", LastUpdateTime = os.date("!%Y-%m-%dT%H:%MZ", seconds), UtcLastUpdateTime = ("%.0f"):format(seconds),
  }
  for name, value in pairs(more or {}) do r[name] = value end
  return r
end

local function look(records, wish)
  local served = statistics(type(records) == "function" and records or function() return records end)
  wish.since = wish.since or host.now() - 3600
  local found, e = trace.look(mail_of { api = served.url }, wish)
  served.close()
  return found, e, served.asked
end

describe("a mail whose outcome is unknown", function()
  local function lost(mail, more)
    local message = { to = { "ann@example.net", "bob@example.net" }, subject = "Hello  there", text = "Hi" }
    for name, value in pairs(more or {}) do message[name] = value end
    local receipt, e = mail:send(message)
    assert.is_nil(receipt)
    assert.equal("unknown", e.outcome)
    return e
  end

  it("is found when the service has it, by API and by SMTP", function()
    for via, fault in pairs { api = "api:SingleSendMail:drop-after", smtp = "dot:drop-after" } do
      assert(box:set_faults { fault })
      local mail = mail_of { via = via, smtp = box.urls.smtps, ca = box.ca, smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD }
      local e = lost(mail)
      local found = assert(mail:resolve(e))
      assert.equal("sent", found.outcome)
      assert.equal(2, #found.recipients)
      for i, address in ipairs { "ann@example.net", "bob@example.net" } do
        local one = found.recipients[i]
        assert.same({ address, "delivered", "noreply@mail.example.com", "Hello  there", "250 Send Mail OK", "SendOk" },
          { one.address, one.status, one.sender, one.subject, one.reply, one.class })
        assert.equal("the receiving server accepted it", one.cause)
        for _, word in ipairs { "spam folder", "queue", "without a word" } do assert.is_truthy(one.remedy:find(word, 1, true)) end
      end
      box:clear()
    end
  end)

  it("is not known when the service has none, though it has others to the same recipient", function()
    local mail = mail_of()
    assert(mail:send { to = "ann@example.net", subject = "Another", text = "Hi" })
    assert(box:set_faults { "api:SingleSendMail:drop" })
    local e = lost(mail)
    local found = assert(mail:resolve(e))
    assert.equal("unknown", found.outcome)
    assert.same({ "not_known", "not_known" }, { found.recipients[1].status, found.recipients[2].status })
    assert.matches("^the service has no record of this mail to ann@example%.net since .*Z %(but of 1 other%)$", found.recipients[1].cause)
    assert.matches("^the service has no record of a mail to bob@example%.net since .*Z$", found.recipients[2].cause)
    assert.matches("ask again then", found.recipients[1].remedy)
    assert.equal(1, found.recipients[1].others)
    -- what the caller says counts more
    assert.equal("sent", assert(mail:resolve(e, { subject = "Another" })).outcome)
    assert.equal("sent", assert(mail:resolve(nil, { to = "ann@example.net" })).outcome)
  end)

  it("is found by the error of mail:send_all too", function()
    for via, fault in pairs { api = "api:SingleSendMail:drop-after", smtp = "dot:drop-after" } do
      assert(box:set_faults { fault })
      local mail = mail_of { via = via, smtp = box.urls.smtps, ca = box.ca, smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD }
      local following, state, first = mail:send_all({ { to = "ann@example.net", subject = via, text = "Hi" } }, { connections = 1 })
      local result = following(state, first)
      assert.equal("unknown", result.err.outcome)
      local found = assert(mail:resolve(result.err))
      assert.same({ "sent", "ann@example.net", via }, { found.outcome, found.recipients[1].address, found.recipients[1].subject })
    end
  end)

  it("prints and encodes as any error", function()
    assert(box:set_faults { "api:SingleSendMail:drop" })
    local e = lost(mail_of())
    for name in pairs(e) do
      assert.is_truthy(({ code = 1, cause = 1, remedy = 1, outcome = 1, retry = 1, blame = 1, where = 1, detail = 1 })[name], name)
    end
    assert.matches("mail:resolve%(err%)", e.remedy)
    assert.matches("directmail trace", e.remedy)
  end)

  it("needs to know whom it went to", function()
    local mail = mail_of()
    local settled = err.new { code = "REFUSED", outcome = "refused" }
    assert.has_error(function() mail:resolve(settled) end, "mail:resolve: this error does not know the recipients of its mail; give to")
    assert.has_error(function() mail:resolve() end, "mail:resolve: this error does not know the recipients of its mail; give to")
    assert.has_error(function() mail:resolve "ann@example.net" end)
    assert.has_error(function() mail:resolve(nil, { too = "ann@example.net" }) end, 'unknown field "too" in mail:resolve (did you mean "to"?)')
    assert.has_error(function() mail:resolve(nil, { to = "ann@example.net", since = host.now() + 1e6 }) end)
    for _, to in ipairs { "ann", "", {}, { 7 } } do
      local found, e = mail:resolve(nil, { to = to })
      assert.is_nil(found)
      assert.same({ "ADDRESS", "to" }, { e.code, e.detail })
    end
    assert.equal("unknown", assert(mail:resolve(settled, { to = "ann@example.net" })).outcome)
  end)

  it("stays unresolved when the service cannot be asked", function()
    local mail = mail_of()
    assert(box:set_faults { "api:SenderStatisticsDetailByParam:Forbidden.RAM" })
    local found, e = mail:resolve(nil, { to = "ann@example.net" })
    assert.is_nil(found)
    assert.equal("Forbidden.RAM", e.detail)
    assert.matches("dm:SenderStatisticsDetailByParam", e.cause)
    found, e = mail_of { access_key_id = false, access_key_secret = false }:resolve(nil, { to = "ann@example.net" })
    assert.is_nil(found)
    assert.equal("CREDENTIALS", e.code)
  end)
end)

describe("the records of an address", function()
  it("say delivered, invalid, spam or failed, each with the receiver's own reason", function()
    local found = assert(look({
      record("ann@example.net", 0, 10), record("ann@example.net", "2", 20, { Message = "550 5.1.1 no such user", ErrorClassification = "SmtpNxBox" }),
      record("ann@example.net", 3, 30, { Message = "554 Reject by content spam" }), record("ann@example.net", 4, 40, { Message = "421 DT:RBL 163 smtp" }),
      record("ann@example.net", 1, 50, { Message = "" }), record("ann@example.net", 4, 60, { Message = "no words" }),
      record("ann@example.net", 2, 70, { Message = cjson.null }),
    }, { to = { "ann@example.net" } }))
    local got = {}
    for i, one in ipairs(found) do got[i] = { one.status, one.blame or "-", one.reply or "-" } end
    assert.same({
      { "delivered", "-", "250 Send Mail OK" }, { "invalid", "recipient", "550 5.1.1 no such user" }, { "spam", "content", "554 Reject by content spam" },
      { "failed", "reputation", "421 DT:RBL 163 smtp" }, { "other", "-", "-" }, { "failed", "none", "no words" }, { "invalid", "recipient", "-" },
    }, got)
    assert.equal("the mailbox does not exist", found[2].cause)
    assert.equal("the sending IP is on a public block list", found[4].cause)
    assert.equal(1, found[5].number)
    assert.matches("^%d+%-%d+%-%d+T%d+:%d+:%d+Z$", found[1].time)
  end)

  it("come from every page, the newest first", function()
    local list = {}
    for i = 1, 7 do list[i] = record("ann@example.net", 0, (i * 3) % 7 * 10 + 1, { Subject = "mail " .. i }) end
    local found, _, asked = look(list, { to = { "ann@example.net" } })
    assert.equal(7, #found)
    for i = 2, 7 do assert.is_true(found[i - 1].seconds > found[i].seconds) end
    assert.same({ "2", "4", "6" }, { asked[2].NextStart, asked[3].NextStart, asked[4].NextStart })
    assert.same({ 4, "100", "ann@example.net" }, { #asked, asked[1].Length, asked[1].ToAddress })
    assert.is_nil(asked[1].AccountName)         -- the service takes one filter only
  end)

  it("are those of the time, the recipient, the sender and the subject that are meant", function()
    local list = {
      record("ann@example.net", 0, 10), record("ANN@example.net", 0, 20), record("bob@example.net", 0, 30), record("ann@example.net", 0, 8000),
      record("ann@example.net", 0, 40, { AccountName = "other@mail.example.com" }), record("ann@example.net", 0, 50, { Subject = "Hello \n  you" }),
    }
    assert.equal(4, #look(list, { to = { "ann@example.net" } }))
    assert.equal(3, #look(list, { to = { "ann@example.net" }, sender = "NOREPLY@mail.example.com" }))
    assert.equal(1, #look(list, { to = { "ann@example.net" }, subject = " Hello you" }))
    assert.equal(5, #look(list, { to = { "ann@example.net" }, since = host.now() - 9000 }))
    local found = look(list, { to = { "ann@example.net" }, subject = "Hell" })
    assert.same({ "not_known", 4 }, { found[1].status, found[1].others })
  end)

  it("are asked for in a window that fits both UTC and the service's own zone, 30 days at most", function()
    local now = host.now()
    for _, days in ipairs { 0.1, 29.5, 400 } do
      local _, _, asked = look({}, { to = { "ann@example.net" }, since = now - days * 86400 })
      local function minute(seconds) return os.date("!%Y-%m-%d %H:%M", math.floor(seconds)) end
      local first, last = asked[1].StartTime, asked[1].EndTime
      assert.is_true(first >= minute(now - 30 * 86400) and first <= minute(now - math.min(days, 29) * 86400), first)
      assert.is_true(last >= minute(now + 8 * 3600), last)
    end
  end)

  it("end where the service says so, or after two thousand", function()
    local n, list = 0, {}
    for i = 1, 4000 do list[i] = record("ann@example.net", 0, i) end
    local found = look(function()
      n = n + 1
      return list
    end, { to = { "ann@example.net" }, since = host.now() - 86400 })
    assert.equal(2000, #found)
    assert.equal(1000, n)
  end)

  it("are shown without a stranger's control characters", function()
    local found = look({ record("ann@example.net", 4, 10, { Message = "550 \27[2Jgone", Subject = "\27]0;x\7", ErrorClassification = 7 }) },
      { to = { "ann@example.net" } })
    assert.same({ "550 \\27[2Jgone", "\\27]0;x\\7" }, { found[1].reply, found[1].subject })
    assert.is_nil(found[1].class)
  end)

  it("need a service that answers", function()
    local found, e = look(function() return { status = 500, headers = {}, body = '{"Code":"InternalError","RequestId":"R"}' } end, { to = { "ann@example.net" } })
    assert.is_nil(found)
    assert.equal("InternalError", e.detail)
  end)
end)
