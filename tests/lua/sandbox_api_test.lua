local account = require "directmail.sandbox.account"
local answer = require "directmail.sandbox.answer"
local api = require "directmail.sandbox.api"
local core = require "directmail.core"
local faults = require "directmail.sandbox.faults"
local http1 = require "directmail.http1"
local json = require "cjson"
local mails = require "directmail.sandbox.mails"
local nonces = require "directmail.sandbox.nonces"
local problem = require "directmail.sandbox.problem"
local real = require "directmail.host"
local senders = require "directmail.sandbox.senders"
local sign = require "directmail.sign"
local signing = require "support.signing"
local verify = require "directmail.sandbox.verify"

local NOW = 1795521600          -- 2026-11-24T12:00:00Z
local ID, SECRET = "LTAI5tTestTestTestTestTe", "secretSECRETsecretSECRETsecret"
local HOST = "127.0.0.1:8025"

local folder, box, events, slept, count

-- What `http1.serve` hands to a handler, made of the octets that a client would send.
local function request_of(bytes)
  local sock, seen = { closed = false }, nil
  function sock.settimeouts() end
  function sock.send(_, out) return #out end
  function sock.receiveany()
    local all = bytes
    bytes = nil
    if all then return all end
    return nil, "closed"
  end
  function sock:close() self.closed = true end
  http1.serve(sock, function(request) seen = request return { status = 200 } end, { host = real })
  return assert(seen, "the server took no request")
end

local function wire(method, target, headers, body)
  local lines = { ("%s %s HTTP/1.1"):format(method, target) }
  local named = {}
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. ": " .. value
    named[name:lower()] = true
  end
  if not named.host then lines[#lines + 1] = "Host: " .. HOST end
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local function ask(method, target, headers, body)
  return api.answer(box, request_of(wire(method, target, headers, body)))
end

local function mail(more)
  local params = { AccountName = "noreply@mail.example.com", AddressType = 1, ReplyToAddress = false, ToAddress = "ann@example.net",
    Subject = "Hi", TextBody = "Hello" }
  for name, value in pairs(more or {}) do
    if value == "" or value ~= "nil" then params[name] = value else params[name] = nil end
  end
  return params
end

-- A signed call; `change(ready)` spoils it.
local function call(params, options, change)
  options = options or {}
  count = count + 1
  local ready = assert(sign.request { version = options.version or "v3", method = options.method, host = HOST,
    [options.query and "query" or "form"] = params, action = options.action or "SingleSendMail", api_version = options.api_version or "2015-11-23",
    access_key_id = options.id or ID, access_key_secret = options.secret or SECRET, security_token = options.token, now = NOW + (options.skew or 0),
    nonce = options.nonce or "nonce" .. count })
  if change then change(ready) end
  local response = ask(ready.method, ready.url, ready.headers, ready.body)
  return response, response and response.body and response.body:sub(1, 1) == "{" and json.decode(response.body) or nil
end

-- The code with which a mail is refused, and its HTTP status.
local function code(more, options)
  local response, said = call(mail(more), options)
  assert.is_nil(said.EnvId, "it was accepted")
  return said.Code, response.status
end

-- Put another value in the place of a header of a signed call.
local function set(ready, name, value)
  for known in pairs(ready.headers) do
    if known:lower() == name then ready.headers[known] = nil end
  end
  ready.headers[name] = value
end

local function header(response, name)
  for _, field in ipairs(response.headers) do
    if field[1]:lower() == name then return field[2] end
  end
end

local function start(rules)
  events, slept, count = {}, {}, 0
  local log = { add = function(_, event) events[#events + 1] = event end }
  local host = { now = function() return NOW end, random = real.random, log = function() end, listen = real.listen,
    sleep = function(seconds) slept[#slept + 1] = seconds end }
  box = {
    host = host, log = log, mails = mails.new(host, folder, log), faults = assert(faults.new(rules)), nonces = nonces.new(), number = 1,
    port = 8025, account = account.new(senders.new("p4ssw0rd", { "sales@shop.example" }), ID, SECRET),
  }
end

before_each(function()
  folder = assert(real.mkdtemp())
  start()
end)

after_each(function()
  box.mails:remove()
  os.remove(folder)
end)

local function last() return assert(box.mails:open(box.mails:all()[#box.mails:all()].id)) end

describe("a call that is signed", function()
  it("by V3 is accepted, in JSON with EnvId and RequestId", function()
    local response, said = call(mail())
    assert.equal(200, response.status)
    assert.equal("application/json;charset=utf-8", header(response, "content-type"))
    assert.equal(said.RequestId, header(response, "x-acs-request-id"))
    assert.matches("^%x+%-%x%x%x%x%-4%x%x%x%-[89AB]%x%x%x%-%x+$", said.RequestId)
    assert.equal(36, #said.RequestId)
    assert.equal("600000000000000001", said.EnvId)
    assert.same({ said.EnvId, "api", "SingleSendMail", said.RequestId, ID, "none" }, { last().id, last().via, last().action, last().request_id,
      last().access_key_id, last().tls })
  end)

  it("by V1 is accepted by POST and GET, in XML unless Format says JSON", function()
    local response, said = call(mail(), { version = "v1" })
    assert.equal(200, response.status)
    assert.is_string(said.EnvId)
    response = call(mail(), { version = "v1", method = "GET", query = true })
    assert.equal(200, response.status)
    -- without Format: signed by hand
    local params = { AccessKeyId = ID, Action = "SingleSendMail", SignatureMethod = "HMAC-SHA1", SignatureNonce = "by hand",
      SignatureVersion = "1.0", Timestamp = "2026-11-24T12:00:00Z", Version = "2015-11-23" }
    for name, value in pairs(mail()) do params[name] = tostring(value) end
    params.Signature = core.sign { algorithm = "HMAC-SHA1", http_method = "POST", params = params, access_key_secret = SECRET }.signature
    local pairs_of = {}
    for name, value in pairs(params) do pairs_of[#pairs_of + 1] = core.percent(name) .. "=" .. core.percent(value) end
    response = ask("POST", "/", { ["Content-Type"] = "application/x-www-form-urlencoded" }, table.concat(pairs_of, "&"))
    assert.equal(200, response.status)
    assert.equal("text/xml;charset=utf-8", header(response, "content-type"))
    assert.matches("^<%?xml version='1.0' encoding='UTF%-8'%?><SingleSendMailResponse><EnvId>6%d+</EnvId><RequestId>[%x-]+</RequestId>"
      .. "</SingleSendMailResponse>$", response.body)
  end)

  it("is accepted with its parameters in the query, in the form, or split", function()
    assert.equal(200, (call(mail(), { query = true })).status)
    assert.equal(200, (call(mail(), { query = true, method = "GET" })).status)
    local params = mail()
    params.Subject = nil
    local ready = assert(sign.request { host = HOST, query = { Subject = "in the query" }, form = params, action = "SingleSendMail",
      api_version = "2015-11-23", access_key_id = ID, access_key_secret = SECRET, now = NOW, nonce = "split" })
    assert.equal(200, ask(ready.method, ready.url, ready.headers, ready.body).status)
    assert.equal("in the query", last().subject)
  end)

  it("is answered in XML when Accept asks for it", function()
    local response = call(mail { Subject = "" }, nil, function(ready) set(ready, "accept", "application/xml") end)
    assert.matches("<Error><RequestId>[%x-]+</RequestId><HostId>127.0.0.1:8025</HostId><Code>InvalidSubject.Malformed</Code>", response.body)
  end)

  it("verifies each known answer of the official SDK", function()
    local tried = 0
    for _, v in ipairs(signing.read().vectors) do
      local v3 = v.algorithm ~= "HMAC-SHA1"
      local time, id = v3 and v.headers["x-acs-date"] or v.params.Timestamp, v3 and v.key_id or v.params.AccessKeyId
      local seconds = time and time:match("^%d+%-%d+%-%d+T%d+:%d+:%d+Z$") and core.date_parse((time:gsub("^(%d+)%-(%d+)%-(%d+)T(.*)Z$", function(y, m, d, clock)
        return ("%s %s %s %s +0000"):format(d, ({ "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" })[tonumber(m)],
          y, clock)
      end)))
      local token = v3 and v.headers["x-acs-security-token"] or v.params.SecurityToken
      if seconds and id and not token and v.headers["x-acs-bearer-token"] == nil and type(v.answers.signature) == "string" then
        local list, signed = {}, {}
        for name, value in pairs(v.headers) do
          list[#list + 1], signed[#signed + 1] = { name, value }, name
        end
        local read = { scheme = v3 and "v3" or "v1", access_key_id = id, method = v.algorithm, method_version = not v3 and "1.0" or nil,
          nonce = v.id, time = time, params = v.params, query = v.params, signed = signed, signature = v.answers.signature }
        local request = { method = v.method, raw_path = v.path or "/", list = list, body = v.body }
        local own = account.new(senders.new "x", id, v.secret)
        assert.is_nil(verify.check(read, request, own, nonces.new(), seconds), v.id)
        read.signature = read.signature:gsub("^.", function(c) return c == "0" and "1" or "0" end)
        assert.equal("SignatureDoesNotMatch", verify.check(read, request, own, nonces.new(), seconds).code, v.id)
        tried = tried + 1
      end
    end
    assert.is_true(tried >= 80, tostring(tried))
  end)
end)

describe("a call whose signature is wrong", function()
  it("is refused with the server's string to sign (V1)", function()
    local response, said = call(mail { Subject = "a~b*c" }, { version = "v1", secret = "wrong" })
    assert.equal(400, response.status)
    assert.equal("SignatureDoesNotMatch", said.Code)
    local text = said.Message:match("^Specified signature is not matched with our calculation%. server string to sign is:(.*)$")
    assert.matches("^POST&%%2F&AccessKeyId%%3D", text)
    assert.is_truthy(text:find("Subject%3Da~b%252Ac", 1, true))
    assert.is_nil(said.Message:find(SECRET, 1, true))
    assert.is_nil(text:find("Signature%3D", 1, true))
  end)

  it("is refused with the server's canonical request (V3)", function()
    local ready
    local response, said = call(mail(), { secret = "wrong" }, function(r) ready = r end)
    assert.equal(400, response.status)
    assert.equal("SignatureDoesNotMatch", said.Code)
    local canonical = said.Message:match("server CanonicalRequest is %[(.*)%]$")
    assert.matches("server StringToSign is %[ACS3%-HMAC%-SHA256\n" .. core.sha256(canonical) .. "%]", said.Message)
    assert.matches("^POST\n/\n\ncontent%-type:application/x%-www%-form%-urlencoded\nhost:127%.0%.0%.1:8025\n", canonical)
    assert.equal(core.sha256(ready.body), canonical:match("\n(%x+)$"))
  end)

  it("when body, query, header or path was changed on the way, too", function()
    for _, change in ipairs {
      function(r) r.body = r.body .. "x" end,
      function(r) r.url = "/?Foo=bar" end,
      function(r) set(r, "x-acs-version", "2015-11-24") end,
      function(r) set(r, "x-acs-content-sha256", ("0"):rep(64)) end,
    } do
      local _, said = call(mail(), nil, change)
      assert.equal("SignatureDoesNotMatch", said.Code)
    end
    assert.same({}, box.mails:all())
  end)

  it("is refused when a header that must be signed is not", function()
    local _, said = call(mail(), nil, function(r) r.headers["x-acs-extra"] = "1" end)
    assert.equal("IncompleteSignature", said.Code)
    assert.matches("The header x%-acs%-extra is not among SignedHeaders", said.Message)
    _, said = call(mail(), nil, function(r) set(r, "authorization", ((r.headers.authorization or r.headers.Authorization):gsub("host;", ""))) end)
    assert.equal("IncompleteSignature", said.Code)
  end)

  it("or incomplete, or made by another method, is refused by name", function()
    for text, wanted in pairs {
      ["ACS3-HMAC-SHA256 Credential=" .. ID .. ",SignedHeaders=host"] = "IncompleteSignature",
      ["ACS3-HMAC-SHA256 SignedHeaders=host,Signature=00"] = "IncompleteSignature",
      ["ACS3-HMAC-SM3 Credential=" .. ID .. ",SignedHeaders=host,Signature=00"] = "InvalidSignatureMethod",
      ["ACS4-HMAC-SHA256 Credential=" .. ID .. ",SignedHeaders=host,Signature=00"] = "InvalidSignatureMethod",
    } do
      local _, said = call(mail(), nil, function(r) set(r, "authorization", text) end)
      assert.equal(wanted, said.Code, text)
    end
    for change, wanted in pairs {
      [{ "&Signature=[^&]*", "" }] = "IncompleteSignature", [{ "SignatureMethod=[^&]*", "SignatureMethod=HMAC-SHA256" }] = "InvalidSignatureMethod",
      [{ "SignatureVersion=[^&]*", "SignatureVersion=2.0" }] = "IncompleteSignature", [{ "SignatureNonce=[^&]*", "SignatureNonce=" }] = "MissingParameter",
      [{ "Timestamp=[^&]*&?", "" }] = "MissingParameter", [{ "AccessKeyId=[^&]*&?", "" }] = "MissingParameter", [{ "Action=[^&]*&?", "" }] = "MissingParameter",
      [{ "Format=JSON", "Format=YAML" }] = "InvalidParameter.Format", [{ "Subject=", "Subject=%%FF" }] = "InvalidParameter",
      [{ "$", "&Subject=twice" }] = "InvalidParameter",
    } do
      local response = call(mail(), { version = "v1" }, function(r) r.body = r.body:gsub(change[1], change[2], 1) end)
      assert.is_truthy(response.body:find('Code":"' .. wanted .. '"', 1, true) or response.body:find("<Code>" .. wanted .. "</Code>", 1, true), response.body)
      assert.equal(400, response.status)
    end
  end)
end)

describe("who calls", function()
  it("must have a key that is known, and no token of somebody else's", function()
    assert.same({ "InvalidAccessKeyId.NotFound", 404 }, { code(nil, { id = "LTAIunknown" }) })
    assert.same({ "InvalidSecurityToken.MismatchWithAccessKey", 400 }, { code(nil, { token = "CAIS+/=" }) })
    assert.same({ "InvalidSecurityToken.MismatchWithAccessKey", 400 }, { code(nil, { token = "CAIS+/=", version = "v1" }) })
  end)

  it("may be 15 minutes off, not more", function()
    for _, version in ipairs { "v1", "v3" } do
      for _, skew in ipairs { 899, -899, 900, -900 } do assert.is_string(select(2, call(mail(), { version = version, skew = skew })).EnvId) end
      for _, skew in ipairs { 901, -901, 28800 } do assert.same({ "InvalidTimeStamp.Expired", 400 }, { code(nil, { version = version, skew = skew }) }) end
    end
  end)

  it("must write the time in UTC as documented", function()
    for _, text in ipairs { "2026-11-24T12:00:00", "2026-11-24T12:00:00.000Z", "2026-11-24t12:00:00Z", "2026-11-24T20:00:00+08:00", "2026-13-24T12:00:00Z",
      "2026-02-30T12:00:00Z", "1795521600" } do
      local _, said = call(mail(), nil, function(r) set(r, "x-acs-date", text) end)
      assert.equal("InvalidTimeStamp.Format", said.Code, text)
    end
  end)

  it("must not repeat a nonce, and a refused signature uses none up", function()
    assert.same({ "SignatureDoesNotMatch", 400 }, { code(nil, { nonce = "n", secret = "wrong" }) })
    assert.is_string(select(2, call(mail(), { nonce = "n" })).EnvId)
    assert.same({ "SignatureNonceUsed", 400 }, { code(nil, { nonce = "n" }) })
    assert.same({ "SignatureNonceUsed", 400 }, { code(nil, { nonce = "n", version = "v1" }) })
    assert.equal(1, #box.mails:all())
  end)
end)

describe("the memory of nonces", function()
  it("forgets when a call with the nonce could not pass the clock any more", function()
    local memory = nonces.new()
    assert.is_true(memory:take("a", 1000, 1900))
    assert.is_false(memory:take("a", 1899, 2799))
    assert.is_true(memory:take("a", 1900, 2800))
    assert.is_false(memory:take("a", 1901, 2801))
    assert.is_true(memory:take(("x"):rep(10000), 1901, 2801))
    assert.is_false(memory:take(("x"):rep(10000), 1901, 2801))
  end)

  it("has a limit", function()
    local memory = nonces.new()
    for i = 1, 100001 do assert(memory:take("n" .. i, 0, 900)) end
    local kept = 0
    for _ in pairs(memory.until_when) do kept = kept + 1 end
    assert.equal(100000, kept)
    assert.is_true(memory:take("n1", 0, 900))
    assert.is_false(memory:take("n100001", 0, 900))
  end)
end)

describe("what is asked for", function()
  it("must be an operation, a version and a method that there are", function()
    assert.same({ "InvalidAction.NotFound", 404 }, { code(nil, { action = "SingelSendMail" }) })
    assert.equal("the sandbox has no such operation", events[#events].note)
    assert.same({ "InvalidVersion", 400 }, { code(nil, { api_version = "2017-06-22" }) })
    assert.equal(400, ask("DELETE", "/", { Accept = "application/json" }).status)
    assert.equal(404, ask("GET", "/mails", { Accept = "application/json" }).status)
  end)

  it("nothing at all is a parameter that is missing, in XML as V1 has it", function()
    local response = ask("GET", "/", {})
    assert.equal(400, response.status)
    assert.matches('<Code>MissingParameter</Code><Message>The input parameter &quot;Action&quot; that is mandatory', response.body)
  end)

  it("through another name, or from another page, is refused", function()
    local response = ask("GET", "/", { Host = "evil.example:8025" })
    assert.equal(404, response.status)
    assert.matches("InvalidProduct.NotFound", response.body)
    assert.equal(403, ask("POST", "/", { Origin = "http://evil.example" }, "").status)
    assert.equal(200, (call(mail(), nil, function(r) r.headers.Origin = "http://localhost:8025" end)).status)
  end)
end)

describe("SingleSendMail", function()
  it("names each mandatory parameter that is missing", function()
    for _, name in ipairs { "AccountName", "AddressType", "ReplyToAddress", "ToAddress", "Subject" } do
      local response, said = call(mail { [name] = "nil" })
      assert.same({ 400, "Missing" .. name, name .. " is mandatory for this action." }, { response.status, said.Code, said.Message })
    end
  end)

  it("refuses each bad value with the service's code", function()
    local long = ("a"):rep(181) .. "@example.net"
    local many, three = {}, "a@example.net,b@example.net,c@example.net"
    for i = 1, 101 do many[i] = ("a%d@example.net"):format(i) end
    for _, case in ipairs {
      { "InvalidMailAddress.NotFound", 404, AccountName = "nobody@mail.example.com" },
      { "InvalidMailAddress.NotFound", 404, AccountName = "mail.example.com" },
      { "InvalidMailAddress.NotFound", 404, AccountName = "other.example", DomainAuth = "true" },
      { "InvalidAddressType", 400, AddressType = 2 }, { "InvalidReplyToAddress", 400, ReplyToAddress = "yes" },
      { "InvalidDomainAuth", 400, DomainAuth = "1" }, { "InvalidClickTrace", 400, ClickTrace = "2" },
      { "InvalidUnSubscribeLinkType", 400, UnSubscribeLinkType = "de-de" }, { "InvalidUnSubscribeFilterLevel", 400, UnSubscribeFilterLevel = "all" },
      { "InvalidFromAlias.Malformed", 400, FromAlias = "1234567890123456" }, { "InvalidFromAlias.Malformed", 400, FromAlias = "a\r\nBcc: x@y.example" },
      { "InvalidFromAlias.Malformed", 400, FromAlias = ("\229\149\134"):rep(16) },
      { "InvalidReplyAddressAlias.Malformed", 400, ReplyAddressAlias = ("x"):rep(16) },
      { "InvalidReplyAddress.Malformed", 400, ReplyAddress = "help" }, { "InvalidReplyAddress.Malformed", 400, ReplyAddress = "a@b.example,c@d.example" },
      { "InvalidToAddress", 400, ToAddress = "ann" }, { "InvalidToAddress", 400, ToAddress = "Ann <ann@example.net>" },
      { "InvalidToAddress", 400, ToAddress = "a@example.net,,b@example.net" }, { "InvalidToAddress", 400, ToAddress = "a@example.net," },
      { "InvalidToAddress", 400, ToAddress = "a@localhost" }, { "InvalidToAddress", 400, ToAddress = '"a b"@example.net' },
      { "InvalidToAddress", 400, ToAddress = "a@example.net\r\nBcc: b@example.net" }, { "InvalidToAddress", 400, ToAddress = table.concat(many, ",") },
      { "EmailFormatError", 400, ToAddress = "o'neil@example.net" }, { "EmailLengthError", 400, ToAddress = long },
      { "InvalidBccAddress", 400, BccAddress = three }, { "InvalidBccAddress", 400, BccAddress = "x" },
      { "InvalidSubject.Malformed", 400, Subject = "" }, { "InvalidSubject.Malformed", 400, Subject = ("\229\149\134"):rep(257) },
      { "InvalidSubject.Malformed", 400, Subject = "a\nb" },
      { "InvalidTag.NotFound", 404, TagName = "nosuchtag" }, { "InvalidTagName", 400, TagName = "a b" }, { "MissingTagName", 400, ClickTrace = "1" },
      { "InvalidIpPoolId", 400, IpPoolId = "a b" },
      { "InvalidBody", 400, TextBody = "nil" }, { "InvalidBody", 400, TextBody = "" }, { "InvalidBody", 400, TextBody = "a\0b" },
      { "InvalidBody", 400, HtmlBody = ("x"):rep(8388609) },
      { "InvalidHeaders", 400, Headers = "{" }, { "InvalidHeaders", 400, Headers = '{"X-Other":"1"}' }, { "InvalidHeaders", 400, Headers = '{"X-User-A":1}' },
      { "InvalidHeaders", 400, Headers = '{"X-User-A":"a\\r\\nBcc: x@y.example"}' }, { "InvalidHeaders", 400, Headers = '{"Message-ID":"nonsense"}' },
      { "InvalidTemplate", 400, Template = "x" }, { "InvalidTemplate.NotFound", 404, Template = '{"TemplateId":"7"}' },
      { "InvalidAttachments", 400, Attachments = { { AttachmentName = "a.txt", AttachmentUrl = "http://b.example/a.txt" } } },
      { "InvalidToAddress.Spam", 400, ToAddress = "ann@example.net,invalid@sandbox.example" }, { "Throttling.User", 400, ToAddress = "defer@sandbox.example" },
      { "InvalidQuota", 400, BccAddress = "Full@Sandbox.example" },
    } do
      local wanted = { case[1], case[2] }
      case[1], case[2] = nil, nil
      assert.same(wanted, { code(case) }, json.encode(case):sub(1, 200))
    end
    assert.same({}, box.mails:all())
  end)

  it("takes what stands at the limits", function()
    local hundred = {}
    for i = 1, 100 do hundred[i] = ("a%d@example.net"):format(i) end
    local _, said = call(mail { ToAddress = table.concat(hundred, ", "), BccAddress = "x@example.org,y@example.org", Subject = ("\229\149\134"):rep(256),
      FromAlias = ("\229\149\134"):rep(15), ReplyAddressAlias = ("x"):rep(15), ReplyAddress = "help@example.org", TagName = "signup", ClickTrace = "1",
      HtmlBody = ("x"):rep(70) .. ("y"):rep(100000), IpPoolId = "pool-1", UnSubscribeLinkType = "default", UnSubscribeFilterLevel = "edm_id" })
    assert.is_string(said.EnvId, said.Message)
    assert.equal(102, #last().to)
    assert.is_nil(last().raw:find("x@example.org", 1, true))
  end)

  it("builds the message that the service would", function()
    call(mail { FromAlias = "商店", ToAddress = "ann@example.net,bob@example.net", BccAddress = "c@example.org", Subject = "您好", HtmlBody = "<p>Hi</p>",
      ReplyAddress = "help@example.org", ReplyAddressAlias = "Help",
      Headers = '{"Message-ID":"<own@mail.example.com>","X-User-Notify-Id":"7","List-Unsubscribe":"<https://u.example/1>",'
        .. '"List-Unsubscribe-Post":"List-Unsubscribe=One-Click"}' })
    local got = last()
    local headers = {}
    for _, field in ipairs(got.headers) do headers[field[1]] = core.word_decode(field[2]) end
    assert.same({ "商店 <noreply@mail.example.com>", "ann@example.net, bob@example.net", "您好", "<own@mail.example.com>", "Help <help@example.org>", "7",
      "<https://u.example/1>", "List-Unsubscribe=One-Click", got.id, "Tue, 24 Nov 2026 12:00:00 +0000" },
      { headers.From, headers.To, headers.Subject, headers["Message-ID"], headers["Reply-To"], headers["X-User-Notify-Id"], headers["List-Unsubscribe"],
        headers["List-Unsubscribe-Post"], headers["X-EnvId"], headers.Date })
    assert.same({ "Hello", "<p>Hi</p>" }, { (got.text:gsub("%s+$", "")), (got.html:gsub("%s+$", "")) })
    assert.same({ "noreply@mail.example.com", { "ann@example.net", "bob@example.net", "c@example.org" } }, { got.from, got.to })
    assert.equal("<p>Hi</p>", got.params.HtmlBody)
    assert.is_nil(got.params.Action)
  end)

  it("uses the console's reply address, a random envelope sender and the domain's own address when asked to", function()
    call(mail { ReplyToAddress = true, AddressType = 0 })
    assert.matches("\r\nReply%-To: reply@mail%.example%.com\r\n", last().raw)
    assert.matches("^%x+@mail%.example%.com$", last().from)
    call(mail { AccountName = "shop.example", DomainAuth = true })
    assert.equal("domain-auth-created-by-system@shop.example", last().from)
  end)

  it("fills an approved template", function()
    local _, said = call(mail { TextBody = "nil", Template = '{"TemplateId":100001,"TemplateData":{"name":"Ann"}}' })
    assert.is_string(said.EnvId, said.Message)
    assert.matches("Hello Ann,", last().html)
  end)

  it("passes over the headers behind the tenth", function()
    local text = {}
    for i = 1, 12 do text[i] = ('"X-User-%d":"%d"'):format(i, i) end
    call(mail { Headers = "{" .. table.concat(text, ",") .. "}" })
    assert.is_truthy(last().raw:find("X-User-10: 10", 1, true))
    assert.is_nil(last().raw:find("X-User-11: 11", 1, true))
  end)

  it("does not take a body of more than 80 KB from the query", function()
    local big = mail { HtmlBody = ("x"):rep(81921) }
    local ready = assert(sign.request { host = HOST, query = big, action = "SingleSendMail", api_version = "2015-11-23", access_key_id = ID,
      access_key_secret = SECRET, now = NOW, nonce = "big" })
    local list, args = http1.decode_form(ready.url:match("%?(.*)"))
    local headers, fields = {}, {}
    for name, value in pairs(ready.headers) do headers[name:lower()], fields[#fields + 1] = value, { name, value } end
    local response = api.answer(box, { method = ready.method, path = "/", raw_path = "/", query = list, args = args, headers = headers, list = fields,
      body = ready.body or "", host = HOST, form = function() return http1.decode_form(ready.body or "") end })
    assert.equal(414, response.status)
    assert.matches("^<html>", response.body)
  end)

  it("says InternalError when the mail cannot be kept", function()
    box.mails.dir = folder .. "/no/such"
    assert.same({ "InternalError", 500 }, { code() })
  end)
end)

describe("a fault at the step api", function()
  it("answers with a code and its usual words, and keeps no mail", function()
    start { "api:SingleSendMail:Throttling.User:once" }
    local response, said = call(mail())
    assert.same({ 400, "Throttling.User", "Request was denied due to user flow control." }, { response.status, said.Code, said.Message })
    assert.equal("api:SingleSendMail:Throttling.User:once", events[1].fault)
    assert.same({}, box.mails:all())
    assert.is_string(select(2, call(mail())).EnvId)
  end)

  it("answers a number with what belongs to it", function()
    for number, wanted in pairs { [500] = "InternalError", [503] = "ServiceUnavailable", [429] = "Throttling", [403] = "Forbidden.RAM", [404] = "InvalidApi.NotFound",
      [400] = "InvalidParameter" } do
      start { "api:" .. number }
      assert.same({ wanted, number }, { code() })
    end
    for _, number in ipairs { 413, 502, 504 } do
      start { "api:" .. number }
      local response = call(mail())
      assert.equal(number, response.status)
      assert.equal("text/html", header(response, "content-type"))
    end
  end)

  it("waits, hangs up before or behind, or says what is no answer", function()
    start { "api:slow=2", "api:drop:once" }
    assert.is_false((call(mail())))
    assert.same({ 2 }, slept)
    assert.same({}, box.mails:all())
    start { "api:drop-after" }
    assert.is_false((call(mail())))
    assert.equal(1, #box.mails:all())
    start { "api:garbage" }
    assert.equal("\255\0", (call(mail())).raw:sub(1, 2))
    assert.same({}, box.mails:all())
  end)

  it("is meant for some recipients, or another operation", function()
    start { "api:InvalidSendMail.Spam:to=*@bad.example", "api:BatchSendMail:500" }
    assert.is_string(select(2, call(mail())).EnvId)
    assert.equal("InvalidSendMail.Spam", (code { BccAddress = "x@bad.example" }))
  end)

  it("is not used up by whoever cannot sign", function()
    start { "api:500:once" }
    assert.equal("SignatureDoesNotMatch", (code(nil, { secret = "wrong" })))
    assert.equal("InternalError", (code()))
  end)
end)

describe("the log", function()
  it("has one event a call, without the string to sign", function()
    call(mail(), { version = "v1", secret = "wrong" })
    call(mail())
    assert.same({ "call", "api", "SingleSendMail", 400, "SignatureDoesNotMatch" }, { events[1].event, events[1].via, events[1].action, events[1].status,
      events[1].code })
    assert.is_nil(json.encode(events[1]):find("POST&", 1, true))
    assert.same({ "mail", "call" }, { events[2].event, events[3].event })
    assert.same({ 200, { "ann@example.net" }, last().id }, { events[3].status, events[3].rcpt_to, events[3].id })
  end)
end)

describe("an error answer", function()
  it("keeps XML well-formed whatever the message holds", function()
    local response = answer.failure("XML", problem.new("InvalidParameter", ' <&>"\1'), "a&b", "ID")
    assert.matches("<HostId>a&amp;b</HostId>", response.body)
    assert.matches("&lt;&amp;&gt;&quot;%?</Message>", response.body)
  end)

  it("has a status and words for every code", function()
    assert.same({ 404, "The request was refused: InvalidFoo.NotFound." }, { problem.new("InvalidFoo.NotFound").status,
      problem.new("InvalidFoo.NotFound").message })
    assert.same({ 400, "Foo is mandatory for this action." }, { problem.new("MissingFoo").status, problem.new("MissingFoo").message })
    assert.same({ 400, "Specified parameter Foo is not valid." }, { problem.new("InvalidFoo").status, problem.new("InvalidFoo").message })
    assert.equal(403, problem.new("Forbidden.RAM").status)
    assert.equal(503, problem.new("ServiceUnavailable").status)
  end)
end)
