-- directmail.events: the service's two forms become one shape; samples as the vendor's page prints them.
local events = require "directmail.events"
local json = require "cjson"

local FAIL = [[{
  "data": { "header": { "X-Notify-Message-ID": "test@example", "X-User-Notify-Order": "1042" }, "env_id": "60000", "account": "news@mail.example.com",
    "from": "news@mail.example.com", "rcpt": "ann@example.com", "msg_id": "1df@mail.example.com", "channel_name": "bg:vip", "outbound_ip": "8.0.0.7",
    "send_time": "2024-04-29T11:07:04", "deliver_time": "2024-04-29T11:07:12", "status": "2", "event": "dm:Deliver:Fail", "region": "cn-hangzhou",
    "err_code": "554", "err_msg": "554  RCPT ann@example.com dosn't exist", "failed_type": "SmtpNxBox", "esp": "mail.com", "is_dedicated_ip": true, "tag": "spring" },
  "id": "8734hhidu983hi457", "source": "acs:dm", "specversion": "1.0", "subject": "acs:dm:cn-hangzhou:1:*", "time": "2024-04-29T11:07:12+08:00",
  "type": "dm:Deliver:Fail", "aliyunaccountid": "1234", "aliyunregionid": "cn-hangzhou" }]]
local MNS = "X-Notify-Message-ID=test@example&env_id=60000&msg_id=1df@mail.example.com&account=news@mail.example.com&from=news@mail.example.com&rcpt=ann@example.com"
  .. "&recv_time=2024-04-29 11:07:04&end_time=2024-04-29 11:07:12&status=2&event=deliver&err_code=554&err_msg=554 a=b & c, no such user&failed_type=SmtpNxBox&tag=spring"
local XML = '<?xml version="1.0"?><Notification xmlns="http://mns.aliyuncs.com/doc/v1/"><TopicOwner>1234</TopicOwner><MessageId>6CC4D900CA59A2CD</MessageId>'
  .. "<Message>" .. MNS:gsub("&", "&amp;") .. "</Message></Notification>"

local function read(body, id)
  local list, why = events.read(body, id)
  return list and list[1], why
end

local function changed(change)
  local event = json.decode(FAIL)
  change(event, event.data)
  return read(json.encode(event))
end

describe("an event of EventBridge", function()
  it("has every value under its name", function()
    local e = read(FAIL)
    assert.same({
      id = "8734hhidu983hi457", name = "dm:Deliver:Fail", type = "bounced", to = "ann@example.com", from = "news@mail.example.com", at = 1714360032, env_id = "60000",
      message_id = "1df@mail.example.com", tag = "spring", status = "2", class = "SmtpNxBox", kind = "hard", permanent = true, suppress = "once",
      blame = "recipient", reason = "the mailbox does not exist", code = "554", text = "554  RCPT ann@example.com dosn't exist", region = "cn-hangzhou",
      account = "news@mail.example.com", esp = "mail.com", ip = "8.0.0.7", notify = { ["X-Notify-Message-ID"] = "test@example", ["X-User-Notify-Order"] = "1042" },
      via = "eventbridge",
    }, e)
  end)

  it("has a type of ours for each of the service's", function()
    for theirs, ours in pairs { ["dm:Deliver:Succeed"] = "delivered", ["dm:Feedback:FblReport"] = "complained", ["dm:Feedback:UnSubscribe"] = "unsubscribed",
      ["dm:Feedback:Subscribe"] = "subscribed", ["dm:Trace:Open"] = "opened", ["dm:Trace:Click"] = "clicked", ["dm:Validator:GrayListResult"] = "validated",
      ["dm:Brand:New"] = "other" } do
      assert.equal(ours, changed(function(event) event.type = theirs end).type)
    end
  end)

  it("of a complaint and of an unsubscribe has its recipient and its id, though they are spelt otherwise", function()
    local e = read [[{"id":"1","type":"dm:Feedback:FblReport","data":{"send_email":"news@mail.example.com",
      "block_email":"ann@example.com","message_id":"<x@y>","block_time":"1726821667"}}]]
    assert.same({ "complained", "ann@example.com", "news@mail.example.com", "<x@y>", 1726821667 }, { e.type, e.to, e.from, e.message_id, e.at })
    e = read [[{"id":"2","type":"dm:Feedback:UnSubscribe","data":{"rcpt":"ann@example.com","envid":"60001","operate_time":"2026-09-13T10:00:00"}}]]
    assert.same({ "unsubscribed", "ann@example.com", "60001", 1789264800 }, { e.type, e.to, e.env_id, e.at })
  end)

  it("may come as numbers, with fractions of seconds, in any zone", function()
    local e = changed(function(event, data)
      data.status, data.env_id, event.time = 2, 600000123456, "2024-04-29T03:07:12.170Z"
    end)
    assert.same({ "2", "600000123456", 1714360032 }, { e.status, e.env_id, e.at })
    assert.equal(1714360032, changed(function(event) event.time = "2024-04-28T20:07:12-07:00" end).at)
  end)

  it("may come as one of several", function()
    local list = assert(events.read("[" .. FAIL .. "," .. FAIL:gsub("8734hhidu983hi457", "other") .. "]"))
    assert.same({ 2, "8734hhidu983hi457", "other" }, { #list, list[1].id, list[2].id })
  end)

  it("without an id has one made of what it says", function()
    local function one(change)
      return changed(function(event, data)
        event.id = nil
        if change then change(event, data) end
      end).id
    end
    assert.matches("^%x+$", one())
    assert.equal(one(), one())
    assert.not_equal(one(), one(function(_, data) data.rcpt = "bob@example.com" end))
    assert.not_equal(one(), one(function(event) event.time = "2024-04-29T11:07:13+08:00" end))
    assert.not_equal(one(), one(function(event) event.type = "dm:Trace:Open" end))
  end)
end)

describe("an event of MNS", function()
  it("is the same shape, bare, in XML and in JSON", function()
    local bare = read(MNS, "6CC4D900CA59A2CD")
    assert.same({ "6CC4D900CA59A2CD", "bounced", "ann@example.com", 1714360032, "60000", "SmtpNxBox", true, "spring", "mns" },
      { bare.id, bare.type, bare.to, bare.at, bare.env_id, bare.class, bare.permanent, bare.tag, bare.via })
    assert.same(bare, read(XML))
    assert.same(bare, read(json.encode { TopicOwner = "1234", MessageId = "6CC4D900CA59A2CD", Message = MNS }))
    assert.same(bare, read((XML:gsub("<Message>.-</Message>", function() return "<Message><![CDATA[" .. MNS .. "]]></Message>" end))))
  end)

  it("keeps blanks, = and & of its values", function() assert.equal("554 a=b & c, no such user", read(MNS).text) end)

  it("is delivered, opened or clicked by its event and status", function()
    for text, kind in pairs { ["event=deliver&status=0"] = "delivered", ["event=deliver&status=4"] = "bounced", ["event=open"] = "opened", ["event=click"] = "clicked",
      ["event=else"] = "other" } do
      assert.equal(kind, read(text .. "&rcpt=ann@example.com").type)
    end
  end)

  it("takes an address whose @ was encoded, and no list of addresses", function()
    assert.equal("ann@example.com", read("event=open&rcpt=ann%40example.com").to)
    assert.is_nil(read("event=open&rcpt=ann@example.com,bob@example.com").to)
  end)
end)

describe("a bounce", function()
  local function bounce(values)
    return changed(function(_, data)
      data.failed_type, data.status, data.err_code, data.err_msg = values.class, values.status, values.code, values.text
    end)
  end

  it("of a known class is judged by it", function()
    for class, want in pairs { SmtpNxBox = { "hard", true, "once" }, SmtpZPermErr = { "hard", true, "twice" }, SysOutRecipientReportedSpam = { "complaint", true, "once" },
      SmtpContSpam = { "content", false, "no" }, SmtpSpfFail = { "sender", false, "no" }, SmtpMfFreq = { "rate", false, "no" }, SysOutConnError = { "soft", false, "thrice" } } do
      local e = bounce { class = class, status = "4" }
      assert.same(want, { e.kind, e.permanent, e.suppress }, class)
    end
  end)

  it("of an unknown one by status, then by the receiver's words", function()
    local e = bounce { class = "Unheard", status = "2" }
    assert.same({ "hard", true, "once" }, { e.kind, e.permanent, e.suppress })
    e = bounce { class = "Unheard", status = "3" }
    assert.same({ "content", false, "no" }, { e.kind, e.permanent, e.suppress })
    e = bounce { class = "Unheard", status = "4", code = "452", text = "452 4.2.2 mailbox full" }
    assert.same({ "soft", false }, { e.kind, e.permanent })
    e = bounce { status = "4" }
    assert.same({ "soft", false }, { e.kind, e.permanent })
  end)
end)

describe("what is no event", function()
  it("is refused in every shorter form of a good body, or read without an error", function()
    for _, body in ipairs { FAIL, MNS, XML } do
      for n = 0, #body - 1 do
        local list, why = events.read(body:sub(1, n))
        if list then assert.is_string(list[1].type) else assert.matches("^it ", why) end
        -- JSON and XML are whole or nothing
        if body ~= MNS and n < #body - #"</Notification>" then assert.is_nil(list, n) end
      end
    end
  end)

  it("is refused in words", function()
    for body, want in pairs { [""] = "neither", ["{}"] = "no event", ["[]"] = "no event", ["null"] = "neither", ["[1]"] = "CloudEvent", ['{"type":"x"}'] = "CloudEvent",
      ['{"type":"x","data":5}'] = "CloudEvent", ['{"Message":5}'] = "Message", ["<a/>"] = "XML", ["a=b"] = "neither", ["[" .. ("[]"):rep(2000, ",") .. "]"] = "" } do
      local list, why = events.read(body)
      assert.is_nil(list, body:sub(1, 30))
      assert.matches(want, why)
    end
    assert.matches("1048576", select(2, events.read((" "):rep(1048577))))
    assert.matches("1000 events", select(2, events.read("[" .. ("{},"):rep(1000) .. "{}]")))
    assert.matches("200 values", select(2, events.read("event=open" .. ("&"):rep(1000000))))
  end)

  it("cannot bring control characters or endless texts into ours", function()
    local e = changed(function(_, data)
      data.err_msg, data.tag, data.rcpt = ("x\27[2J\r\n"):rep(1000), "a\nb", "ann@example.com\r\nBcc: x@y.example"
    end)
    assert.is_nil(e.text:find "%c")
    assert.is_true(#e.text < 5000)
    assert.equal("a\\nb", e.tag)
    assert.is_nil(e.to)
  end)
end)
