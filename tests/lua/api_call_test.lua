-- mail.api: every operation by name, checked, repeated only where that is safe; pages walked to their end.
local directmail = require "directmail"
local http1 = require "directmail.http1"
local json = require "cjson"
local real = require "directmail.host"

local box, slept

-- The real host, with pauses that are noted instead of slept.
local function host_of(more)
  local host = {}
  for name, value in pairs(real) do host[name] = value end
  host.sleep = function(seconds) slept[#slept + 1] = seconds end
  for name, value in pairs(more or {}) do host[name] = value end
  return host
end

local function mail_of(more, host)
  local options = { region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>", api = box.urls.api,
    access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(require "directmail.mail".new(options, host or host_of(), 1))
end

-- An endpoint that gives one answer after the other, the last for ever, and keeps what it was asked.
local peers = {}
local function endpoint(answers)
  local listener = assert(real.listen("127.0.0.1", 0))
  local served = { n = 0, nonces = {}, forms = {}, url = "http://127.0.0.1:" .. listener.port }
  peers[#peers + 1] = listener
  real.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      real.spawn(http1.serve, sock, function(request)
        served.n = served.n + 1
        served.nonces[served.n] = request.headers["x-acs-signature-nonce"]
        served.forms[served.n] = {}
        for _, field in ipairs(request.form() or {}) do served.forms[served.n][field[1]] = field[2] end
        local answer = answers[math.min(served.n, #answers)]
        return type(answer) == "function" and answer(request) or answer
      end, { host = real })
    end
  end)
  return served
end

local function said(code, status, headers)
  return { status = status or 400, headers = headers, body = ('{"Code":"%s","Message":"m","RequestId":"A-1"}'):format(code) }
end

local GOOD = { status = 200, body = '{"RequestId":"A-2"}' }
local CUT = { raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" }

setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function()
  slept = {}
  box:clear()
  assert(box:set_faults {})
end)
after_each(function()
  for _, listener in ipairs(peers) do listener:close() end
  peers = {}
end)

describe("mail.api", function()
  it("has a function for each operation, the same each time", function()
    local api = mail_of().api
    for _, name in ipairs(require "directmail.catalogue".names()) do assert.is_function(api[name], name) end
    assert.equal(api.QueryTagByParam, api.QueryTagByParam)
  end)

  it("gives the service's answer", function()
    local answer = assert(mail_of().api.DescAccountSummary())
    assert.equal(2000, answer.DailyQuota)
    assert.matches("^%x+%-", answer.RequestId)
    assert.same({ "ap-southeast-1", "api" }, { answer.region, answer.where.step })
    assert.equal(answer.RequestId, json.decode(answer.body).RequestId)
  end)

  it("changes what is there, and what was changed can be read", function()
    local api = mail_of().api
    local made = assert(api.CreateTag { TagName = "spring", TagDescription = "flowers" })
    local found = assert(api.QueryTagByParam { KeyWord = "spring" }).data.tag
    assert.same({ 1, made.TagId, "flowers" }, { #found, found[1].TagId, found[1].TagDescription })
    local _, e = api.CreateTag { TagName = "spring" }
    assert.same({ "REFUSED", "InvalidTagName.Duplicate", "refused" }, { e.code, e.detail, e.outcome })
    assert(api.DeleteTag { TagId = made.TagId })
    assert.equal(0, assert(api.QueryTagByParam { KeyWord = "spring" }).TotalCount)
  end)

  it("tells every fault of the parameters before anything leaves", function()
    local peer = endpoint { GOOD }
    local answer, e = mail_of({ api = peer.url }).api.CreateTag { TagNam = "a b", TagDescription = "x\ny" }
    assert.is_nil(answer)
    assert.same({ "OPTION", "TagNam, TagName", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry })
    assert.is_nil(e.where)
    assert.equal(0, peer.n)
  end)

  it("raises on an unknown operation at the caller's line, with the nearest one", function()
    local api = mail_of().api
    local ok, why = pcall(function() local f = api.QueryTagsByParam return f end)
    assert.is_false(ok)
    assert.matches('^tests/lua/api_call_test.lua:%d+: unknown operation "QueryTagsByParam" in mail.api %(did you mean "QueryTagByParam"%?%)', why)
    ok, why = pcall(function() local r = api.QueryTagByParam "spring" return r end)
    assert.is_false(ok)
    assert.matches("^tests/lua/api_call_test.lua:%d+: bad argument to mail.api.QueryTagByParam", why)
    ok, why = pcall(function() local r = api.QueryTagByParam({}, { timout = 1 }) return r end)
    assert.is_false(ok)
    assert.matches('did you mean "timeout"', why)
  end)

  it("sends objects as JSON and everything in the form", function()
    local peer = endpoint { GOOD }
    assert(mail_of({ api = peer.url }).api.BatchSendMail { AccountName = "news@mail.example.com", AddressType = 1,
      Receivers = { { To = "ann@example.net", TemplateData = { name = "Ann" } } }, TemplateContent = { Subject = "Hi", HtmlBody = "<p>{name}</p>" } })
    assert.same({ { To = { "ann@example.net" }, TemplateData = { name = "Ann" } } }, json.decode(peer.forms[1].Receivers))
    assert.same({ Subject = "Hi", HtmlBody = "<p>{name}</p>" }, json.decode(peer.forms[1].TemplateContent))
    assert.equal("1", peer.forms[1].AddressType)
  end)

  it("belongs to the object whose settings it uses", function()
    local mail = mail_of()
    local other = assert(mail:with { region = "cn-hangzhou", api = endpoint({ GOOD }).url })
    assert.is_not.equal(mail.api, other.api)
    assert.equal("cn-hangzhou", assert(other.api.CheckDomain { DomainId = 1 }).region)
    assert.equal("ap-southeast-1", assert(mail.api.DescAccountSummary()).region)
  end)

  it("reaches nobody past redirect and only", function()
    for _, setting in ipairs { { redirect = "dev@example.com" }, { only = "*@example.com" } } do
      local mail = mail_of(setting)
      local _, e = mail.api.SingleSendMail { AccountName = "noreply@mail.example.com", AddressType = 1, ReplyToAddress = false, ToAddress = "ann@example.net",
        Subject = "Hi", TextBody = "x" }
      assert.same({ "OPTION", next(setting), "not_sent" }, { e.code, e.detail, e.outcome })
      _, e = mail.api.call("SingleSendMail", {})
      assert.equal("OPTION", e.code)
      assert(mail.api.DescAccountSummary())
    end
    assert.equal(0, #box:mails())
  end)

  it("names the right that is missing, the answer's own word first", function()
    assert(box:set_faults { "api:QueryTagByParam:NoPermission" })
    local _, e = mail_of().api.QueryTagByParam {}
    assert.same({ "REFUSED", "NoPermission", "refused", false }, { e.code, e.detail, e.outcome, e.retry })
    assert.matches("the right dm:QueryTagByParam is missing", e.cause)
    assert.matches("directmail api %-%-policy QueryTagByParam", e.remedy)
    local peer = endpoint { { status = 403, body = '{"Code":"Forbidden.RAM","Message":"m","RequestId":"A-1","AccessDeniedDetail":{"AuthAction":"dm:DescTags"}}' } }
    _, e = mail_of({ api = peer.url }).api.QueryTagByParam {}
    assert.matches("the right dm:DescTags is missing", e.cause)
    assert.equal(1, peer.n)
  end)
end)

describe("mail.api.call", function()
  it("sends what the catalogue does not know, unchecked and signed alike", function()
    local peer = endpoint { { status = 200, body = '{"RequestId":"A-3","New":1}' } }
    local answer = assert(mail_of({ api = peer.url }).api.call("BrandNew", { Foo = { "a", "b" }, Bar = true }))
    assert.equal(1, answer.New)
    assert.same({ ["Foo.1"] = "a", ["Foo.2"] = "b", Bar = "true" }, peer.forms[1])
    local _, e = mail_of().api.call("BrandNew", {})
    assert.same({ "REFUSED", "InvalidAction.NotFound" }, { e.code, e.detail })
  end)

  it("never repeats such a call after an unknown outcome", function()
    local peer = endpoint { CUT, GOOD }
    local _, e = mail_of({ api = peer.url }).api.call("BrandNew", {})
    assert.same({ "unknown", false, 1 }, { e.outcome, e.retry, peer.n })
  end)

  it("wants a name", function()
    assert.has_error(function() mail_of().api.call("no such name!", {}) end)
    assert.has_error(function() mail_of().api.call({}) end)
  end)
end)

describe("a repeat", function()
  local function ask(answers, operation, params, options, more)
    local peer = endpoint(answers)
    local o = { api = peer.url }
    for name, value in pairs(more or {}) do o[name] = value end
    local answer, e = mail_of(o).api[operation](params, options)
    return answer, e, peer
  end

  local MAIL = { AccountName = "noreply@mail.example.com", AddressType = 1, ReplyToAddress = false, ToAddress = "ann@example.net", Subject = "Hi", TextBody = "x" }

  it("follows a passing fault of what only reads, three requests at most, each signed anew", function()
    for _, first in ipairs { CUT, said("InternalError", 500), said("ServiceUnavailable", 503), { status = 502, body = "<html>" }, { status = 200, body = "<html>" },
      said "Throttling.User", { status = 429, body = '{"Code":"Throttling","Message":"m","RequestId":"A"}' } } do
      slept = {}
      local answer, e, peer = ask({ first, GOOD }, "QueryTagByParam")
      assert(answer, tostring(e))
      assert.same({ 2, 1 }, { peer.n, #slept })
      assert.is_not.equal(peer.nonces[1], peer.nonces[2])
      _, e, peer = ask({ first }, "QueryTagByParam")
      assert.equal(3, peer.n)
      assert.is_not.equal("unknown", e.outcome)
    end
  end)

  it("does not follow what will not pass", function()
    for _, code in ipairs { "InvalidTag.NotFound", "SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound", "NoPermission", "InvalidQuota", "MissingParameter" } do
      local _, e, peer = ask({ said(code), GOOD }, "QueryTagByParam")
      assert.same({ 1, code, 0 }, { peer.n, e.detail, #slept })
    end
    local _, e, peer = ask({ { status = 302, headers = { Location = "/" }, body = "" }, GOOD }, "QueryTagByParam")
    assert.same({ 1, "PROTOCOL" }, { peer.n, e.code })
  end)

  it("never follows an unknown outcome of what is not safe to repeat", function()
    for _, row in ipairs { { "SingleSendMail", MAIL }, { "CreateTag", { TagName = "a" } }, { "ModifyMailAddress", { MailAddressId = 1, Password = "Abcdefg123xY" } },
      { "SendTestByTemplate", { AccountName = "a@b.example", Email = "c@d.example", TemplateId = 1 } } } do
      for _, first in ipairs { CUT, said("InternalError", 500), said("ServiceUnavailable", 503), { status = 504, body = "<html>" }, { status = 200, body = "x" } } do
        local _, e, peer = ask({ first, GOOD }, row[1], row[2])
        assert.same({ 1, "unknown", false }, { peer.n, e.outcome, e.retry }, row[1] .. ": " .. tostring(e))
      end
    end
    assert.same({}, slept)
    local _, e = ask({ CUT }, "CreateTag", { TagName = "a" })
    assert.matches("mail.api.QueryTagByParam tells whether it was done", e.remedy)
  end)

  it("follows a proven refusal even of a send", function()
    local answer, _, peer = ask({ said "Throttling.User", GOOD }, "SingleSendMail", MAIL)
    assert(answer)
    assert.equal(2, peer.n)
    assert.is_true(slept[1] >= 0.5 and slept[1] <= 1)
  end)

  it("follows a connection that was never made", function()
    local attempts = 0
    local host = host_of { http = function(request)
      attempts = attempts + 1
      if attempts < 3 then return nil, { code = "CONNECT", words = "connection refused", step = "connect", sent = false } end
      return real.http(request)
    end }
    local answer = assert(mail_of({}, host).api.SingleSendMail(MAIL))
    assert.same({ 3, 2, 1 }, { attempts, #slept, #box:mails() })
    assert.is_string(answer.EnvId)
    attempts = -10
    local _, e = mail_of({}, host).api.QueryTagByParam()
    assert.same({ "CONNECT", "not_sent", true, -7 }, { e.code, e.outcome, e.retry, attempts })
  end)

  it("does not follow a certificate that is wrong", function()
    local attempts = 0
    local host = host_of { http = function()
      attempts = attempts + 1
      return nil, { code = "TLS", detail = "issuer", words = "nobody trusted signed it", step = "connect", sent = false }
    end }
    local _, e = mail_of({}, host).api.QueryTagByParam()
    assert.same({ "TLS", 1 }, { e.code, attempts })
  end)

  it("waits as long as the server says", function()
    ask({ said("Throttling.Api", 400, { ["x-acs-retry-after"] = "2500" }), said("Throttling", 503, { ["Retry-After"] = "4" }), GOOD }, "QueryTagByParam")
    assert.same({ 2.5, 4 }, slept)
  end)

  it("is given up when the wait would be too long, and says how long", function()
    local _, e, peer = ask({ said("Throttling.Api", 400, { ["x-acs-retry-after"] = "3600000" }), GOOD }, "QueryTagByParam")
    assert.same({ 1, "THROTTLED", 3600, true, 0 }, { peer.n, e.code, e.after, e.retry, #slept })
    -- a mailing is one a minute: seconds would be useless
    _, e, peer = ask({ said "Throttling.User", GOOD }, "BatchSendMail", { AccountName = "a@b.example", AddressType = 1, ReceiversName = "l", TemplateName = "t" })
    assert.same({ 1, "THROTTLED", true, 0 }, { peer.n, e.code, e.retry, #slept })
  end)

  it("keeps to the deadline of the whole call", function()
    local _, e, peer = ask({ said("Throttling.Api", 400, { ["x-acs-retry-after"] = "2500" }), GOOD }, "QueryTagByParam", {}, { timeout = 2 })
    assert.same({ 1, "THROTTLED", 0 }, { peer.n, e.code, #slept })
    _, e, peer = ask({ said("Throttling.Api", 400, { ["x-acs-retry-after"] = "2500" }), GOOD }, "QueryTagByParam", {}, nil, { timeout = 2 })
    assert.same({ 1, "THROTTLED" }, { peer.n, e.code })
    local asked = {}
    local host = host_of { http = function(request)
      asked[#asked + 1] = request.timeout
      return nil, { code = "TIMEOUT", words = "no answer", step = "api", sent = true }
    end }
    mail_of({}, host).api.QueryTagByParam({}, { timeout = 7 })
    assert.equal(3, #asked)
    for _, timeout in ipairs(asked) do assert.is_true(timeout > 0 and timeout <= 7) end
    asked = {}
    mail_of({}, host).api.QueryTagByParam()
    assert.same({ 10, 10, 10 }, asked)
    asked = {}
    mail_of({}, host).api.ValidateEmail { Email = "ann@example.net", Timeout = 90 }
    assert.equal(100, asked[1])
    asked = {}
    mail_of({}, host).api.CreateTag { TagName = "a" }
    assert.equal(1, #asked)
    assert.is_true(asked[1] >= 30)
  end)

  it("that is told that nothing is there any more means that the first one worked", function()
    local answer, e, peer = ask({ CUT, said("InvalidTag.NotFound", 404) }, "DeleteTag", { TagId = 7 })
    assert(answer, tostring(e))
    assert.same({ 2, true, "A-1" }, { peer.n, answer.repeated, json.decode(answer.body).RequestId })
    answer, e, peer = ask({ said("InvalidTag.NotFound", 404) }, "DeleteTag", { TagId = 7 })
    assert.is_nil(answer)
    assert.same({ 1, "InvalidTag.NotFound" }, { peer.n, e.detail })
    -- a refusal before it proves nothing
    answer, e, peer = ask({ said "Throttling", said("InvalidTag.NotFound", 404) }, "DeleteTag", { TagId = 7 })
    assert.is_nil(answer)
    assert.same({ 2, "InvalidTag.NotFound" }, { peer.n, e.detail })
  end)

  it("leaves an unknown outcome of what is safe to the caller, who may ask again", function()
    local _, e, peer = ask({ CUT }, "DeleteTag", { TagId = 7 })
    assert.same({ 3, "unknown", true }, { peer.n, e.outcome, e.retry })
    assert.matches("a repeat is safe", e.remedy)
  end)

  it("takes another nonce where that is safe, and other credentials when they ran out", function()
    local answer, _, peer = ask({ said "SignatureNonceUsed", GOOD }, "QueryTagByParam")
    assert(answer)
    assert.same({ 2, 0 }, { peer.n, #slept })
    local _, e
    _, e, peer = ask({ said "SignatureNonceUsed", GOOD }, "SingleSendMail", MAIL)
    assert.same({ 1, "SignatureNonceUsed" }, { peer.n, e.detail })
    local tokens = { "old", "new" }
    peer = endpoint { said "InvalidSecurityToken.Expired", function(request)
      assert.equal("new", request.headers["x-acs-security-token"])
      return GOOD
    end }
    local mail = mail_of({ api = peer.url, security_token = "old", access_key_id = "STS.abc" })
    mail.settings = setmetatable({}, { __index = function(_, name)
      if name == "security_token" then return table.remove(tokens, 1) or "new" end
      return mail_of({ api = peer.url, access_key_id = "STS.abc", security_token = "x" }).settings[name]
    end })
    assert(mail.api.QueryTagByParam())
    assert.equal(2, peer.n)
    _, e, peer = ask({ said "InvalidSecurityToken.Expired", GOOD }, "QueryTagByParam", {}, nil, { security_token = "same", access_key_id = "STS.abc" })
    assert.same({ 1, "CREDENTIALS" }, { peer.n, e.code })
  end)

  it("stops when most of what is asked would be repeats", function()
    local peer = endpoint { said("InternalError", 500) }
    local mail = mail_of { api = peer.url }
    for _ = 1, 12 do mail.api.QueryTagByParam() end
    assert.equal(22, peer.n)
  end)
end)

describe("mail.api.each", function()
  local function collect(api, name, params)
    local list = {}
    local following = api.each(name, params)
    while true do
      local entry, e = following()
      if entry == nil then return list end
      if entry == false then return list, e end
      list[#list + 1] = entry
    end
  end

  it("walks numbered pages to the end, in a for loop too", function()
    local api = mail_of().api
    for i = 1, 24 do assert(api.CreateTag { TagName = "each_" .. i }) end
    local names, n = {}, 0
    for tag in api.each("QueryTagByParam", { KeyWord = "each_" }) do
      n = n + 1
      names[tag.TagName] = true
    end
    assert.equal(24, n)
    assert.is_true(names.each_1 and names.each_24)
    assert.equal(24, #collect(api, "QueryTagByParam", { KeyWord = "each_", PageSize = 7 }))
    assert.equal(4, #collect(api, "QueryTagByParam", { KeyWord = "each_", PageNo = 3 }))
    assert.equal(0, #collect(api, "QueryTagByParam", { KeyWord = "nothing" }))
    for _, tag in ipairs(collect(api, "QueryTagByParam", { KeyWord = "each_" })) do assert(api.DeleteTag { TagId = tag.TagId }) end
  end)

  it("walks cursors, tokens, indexes and what comes at once", function()
    local api = mail_of().api
    local list = assert(api.CreateReceiver { ReceiversName = "each", ReceiversAlias = "each@x.example" })
    local detail = {}
    for i = 1, 23 do detail[i] = { e = ("r%d@example.net"):format(i), u = "R" .. i } end
    assert.equal(23, assert(api.SaveReceiverDetail { ReceiverId = list.ReceiverId, Detail = detail }).SuccessCount)
    assert.equal(23, #collect(api, "QueryReceiverDetail", { ReceiverId = list.ReceiverId }))
    assert.equal(1, #collect(api, "QueryReceiverByParam"))
    for i = 1, 12 do assert(api.ConfigSetCreate { Name = "set" .. i }) end
    assert.equal(12, #collect(api, "ConfigSetList"))
    assert.equal(0, #collect(api, "ListBlockSending", { BlockType = "UNSUB" }))
    assert.equal(0, #collect(api, "GetIpfilterList"))
    local peer = endpoint {
      { status = 200, body = '{"RequestId":"A","NextToken":"t2","Data":[{"BlockEmail":"1"}]}' },
      { status = 200, body = '{"RequestId":"A","NextToken":"t3","Data":[{"BlockEmail":"2"}]}' },
      { status = 200, body = '{"RequestId":"A","NextToken":"","Data":[{"BlockEmail":"3"}]}' },
    }
    assert.equal(3, #collect(mail_of({ api = peer.url }).api, "ListBlockSending", { BlockType = "UNSUB" }))
    assert.same({ nil, "t2", "t3" }, { peer.forms[1].NextToken, peer.forms[2].NextToken, peer.forms[3].NextToken })
    assert.equal("500", peer.forms[1].MaxResults)
    assert(api.DeleteReceiver { ReceiverId = list.ReceiverId })
  end)

  it("ends with false and the error when a page cannot be had", function()
    local entry = '{"RequestId":"A","TotalCount":25,"data":{"tag":[' .. ('{"TagId":"1"},'):rep(10):sub(1, -2) .. "]}}"
    local peer = endpoint { { status = 200, body = entry }, said("NoPermission", 403) }
    local list, e = collect(mail_of({ api = peer.url }).api, "QueryTagByParam")
    assert.same({ 10, "NoPermission" }, { #list, e.detail })
    list, e = collect(mail_of().api, "QueryTagByParam", { PageSize = "many" })
    assert.same({ 0, "OPTION" }, { #list, e.code })
  end)

  it("refuses what lists nothing", function()
    local ok, why = pcall(function() local f = mail_of().api.each "DescAccountSummary" return f end)
    assert.is_false(ok)
    assert.matches("^tests/lua/api_call_test.lua:%d+: DescAccountSummary lists nothing", why)
  end)
end)
