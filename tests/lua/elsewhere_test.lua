-- directmail.elsewhere: sandboxes and stand-ins play the regions; the right one is named, within a second.
local cjson = require "cjson"
local core = require "directmail.core"
local directmail = require "directmail"
local host = require "directmail.host"
local http1 = require "directmail.http1"

local SENDER = "noreply@there.example"

local here, there

setup(function()
  here = assert(directmail.sandbox.start())
  there = assert(directmail.sandbox.start { senders = { SENDER, "under_score@there.example" } })
  there.account.access_key_id, there.account.access_key_secret = here.account.access_key_id, here.account.access_key_secret
end)
teardown(function()
  here:stop()
  there:stop()
end)

-- A region that answers what it is told to, and keeps what it was asked.
local function region(answer)
  local listener = assert(host.listen("127.0.0.1", 0))
  local served = { asked = {}, url = "http://127.0.0.1:" .. listener.port, close = function() listener:close() end }
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(http1.serve, sock, function(request)
        served.asked[#served.asked + 1] = request.body
        return answer(request)
      end, { host = host })
    end
  end)
  return served
end

local function senders(...)
  local list = {}
  for i, address in ipairs { ... } do list[i] = { AccountName = address, Sendtype = "trigger" } end
  local body = cjson.encode { RequestId = "R-1", TotalCount = #list, data = { mailAddress = #list > 0 and list or cjson.empty_array } }
  return function() return { status = 200, headers = { { "Content-Type", "application/json" } }, body = body } end
end

local silent
setup(function()
  silent = assert(host.listen("127.0.0.1", 0))            -- takes connections and never answers
  silent.url = "http://127.0.0.1:" .. silent.port
end)
teardown(function() silent:close() end)

-- A mail object in cn-hangzhou; what is remembered of earlier questions is for another key.
local n = 0
local function mail_of(regions, more)
  n = n + 1
  local options = {
    region = "cn-hangzhou", sender = SENDER, api = here.urls.api, access_key_id = here.account.access_key_id,
    access_key_secret = here.account.access_key_secret,
  }
  for name, value in pairs(more or {}) do options[name] = value or nil end
  local mail = assert(directmail.new(options))
  -- memory is by host; a copy of it is another
  mail.host = setmetatable({}, { __index = host })
  mail.regions = regions
  return mail
end

local function refused(mail)
  local start = host.tick()
  local receipt, e = mail:send { to = "ann@example.net", subject = "Hello", text = "Hi" }
  assert.is_nil(receipt)
  return e, host.tick() - start
end

local UNKNOWN = "the sender is unknown in this region"

describe("a sender that is unknown in the region", function()
  it("is looked for in the others, and the right one is named", function()
    local called, other = region(senders()), region(senders("a" .. SENDER, SENDER .. "x"))
    local e = refused(mail_of { ["cn-hangzhou"] = called.url, ["ap-southeast-1"] = there.urls.api, ["us-east-1"] = other.url })
    assert.same({ "REFUSED", "InvalidMailAddress.NotFound", "refused", "sender-config" }, { e.code, e.detail, e.outcome, e.blame })
    assert.equal(SENDER .. " belongs to ap-southeast-1 (found there just now)", e.cause)
    assert.equal("directmail send --region ap-southeast-1, or set region (DIRECTMAIL_REGION); leave api (from option api) away", e.remedy)
    assert.same({}, called.asked)               -- it has said that it has none
    assert.equal(1, #other.asked)
    assert.is_truthy(other.asked[1]:find("KeyWord=noreply%40there.example", 1, true))
    called.close()
    other.close()
  end)

  it("is named in each result of send_all", function()
    local called = region(senders())
    local mail, causes = mail_of { ["cn-hangzhou"] = called.url, ["ap-southeast-1"] = there.urls.api }, {}
    for result in mail:send_all({ 1, 2, 3 }, { message = function(i) return { to = ("user%d@example.net"):format(i), subject = "Hello", text = "Hi" } end }) do
      causes[#causes + 1] = result.err.cause
    end
    assert.equal(3, #causes)
    for _, cause in ipairs(causes) do assert.equal(SENDER .. " belongs to ap-southeast-1 (found there just now)", cause) end
    called.close()
  end)

  it("is named although other regions are silent, broken or refuse", function()
    local broken = region(function() return { status = 500, headers = {}, body = "<html>" } end)
    local denied = region(function() return { status = 403, headers = {}, body = '{"Code":"Forbidden.RAM","RequestId":"R-2"}' } end)
    local e = refused(mail_of {
      ["ap-southeast-1"] = silent.url, ["us-east-1"] = broken.url, ["eu-central-1"] = denied.url, ["ap-southeast-2"] = there.urls.api,
    })
    assert.matches("belongs to ap%-southeast%-2", e.cause)
    broken.close()
    denied.close()
  end)

  it("waits one second at most, and then leaves the error as it was", function()
    local none, odd = region(senders()), region(function() return { status = 200, headers = {}, body = '{"RequestId":"R","data":{"mailAddress":[7]}}' } end)
    local e, seconds = refused(mail_of { ["ap-southeast-1"] = silent.url, ["us-east-1"] = none.url, ["eu-central-1"] = odd.url })
    assert.matches(UNKNOWN, e.cause)
    assert.is_true(seconds >= 0.9 and seconds < 10, seconds)
    none.close()
    odd.close()
  end)

  it("is not looked for again within a minute, found or not", function()
    for _, answer in ipairs { senders(SENDER), senders() } do
      local other = region(answer)
      local mail = mail_of { ["us-east-1"] = other.url }
      local first, second = refused(mail), refused(mail)
      assert.equal(first.cause, second.cause)
      assert.equal(1, #other.asked)
      other.close()
    end
  end)

  it("is asked for by its domain when the service's filter takes no such address", function()
    local other = region(senders("under_score@there.example"))
    local e = refused(mail_of({ ["us-east-1"] = other.url }, { sender = "under_score@there.example" }))
    assert.matches("^under_score@there%.example belongs to us%-east%-1", e.cause)
    assert.is_truthy(other.asked[1]:find("KeyWord=%40there.example", 1, true))
    e = refused(mail_of({ ["us-east-1"] = there.urls.api }, { sender = "under_score@there.example" }))
    assert.matches("^under_score@there%.example belongs to us%-east%-1", e.cause)
    other.close()
  end)

  it("is looked for after refusals of this kind only", function()
    local other = region(senders(SENDER, "noreply@mail.example.com"))
    local mail = mail_of({ ["us-east-1"] = other.url }, { sender = "noreply@mail.example.com" })
    assert(here:set_faults { "api:SingleSendMail:InvalidSendMail.Spam:once" })
    assert.equal("InvalidSendMail.Spam", refused(mail).detail)
    assert(mail:send { to = "ann@example.net", subject = "Hello", text = "Hi" })
    assert.same({}, other.asked)
    other.close()
  end)

  it("is asked for at the regions' own hosts, and only when the service was called", function()
    local urls, hosts = {}, {}
    for _, one in ipairs(core.regions()) do hosts[one.id] = "https://" .. one.api .. "/" end
    local service = setmetatable({
      http = function(request)
        urls[#urls + 1] = request.url
        if request.url == hosts["cn-hangzhou"] or request.url:find "example" then
          return { status = 404, headers = {}, body = '{"Code":"InvalidMailAddress.NotFound","Message":"no","RequestId":"R"}' }
        elseif request.url == hosts["us-east-1"] then
          return { status = 200, headers = {}, body = cjson.encode { RequestId = "R", data = { mailAddress = { { AccountName = SENDER:upper() } } } } }
        end
        return nil, { code = "CONNECT", words = "no network", step = "connect", sent = false }
      end,
    }, { __index = host })
    local options = { region = "cn-hangzhou", sender = SENDER, access_key_id = "LTAI5tExample", access_key_secret = "secret" }
    local mail = assert(require "directmail.mail".new(options, service, 1))
    assert.equal(SENDER .. " belongs to us-east-1 (found there just now)", refused(mail).cause)
    table.sort(urls)
    local wanted = { hosts["ap-southeast-1"], hosts["ap-southeast-2"], hosts["cn-hangzhou"], hosts["eu-central-1"], hosts["us-east-1"] }
    table.sort(wanted)
    assert.same(wanted, urls)
    urls, options.api = {}, "https://dm.example.com"
    mail = assert(require "directmail.mail".new(options, service, 1))
    assert.matches(UNKNOWN, refused(mail).cause)
    assert.same({ "https://dm.example.com/" }, urls)
  end)
end)

describe("a login that is refused", function()
  local function by_smtp(regions, more)
    local options = { via = "smtp", smtp = here.urls.smtp, ca = here.ca, smtp_password = "wrong" }
    for name, value in pairs(more or {}) do options[name] = value end
    return mail_of(regions, options)
  end

  it("names the region that has the sender, when the one that was called has not", function()
    local called = region(senders())
    local e = refused(by_smtp { ["cn-hangzhou"] = called.url, ["ap-southeast-1"] = there.urls.api })
    assert.same({ "AUTH", "526", "refused", "credentials" }, { e.code, e.detail, e.outcome, e.blame })
    assert.equal(SENDER .. " belongs to ap-southeast-1 (found there just now)", e.cause)
    assert.equal("directmail send --region ap-southeast-1, or set region (DIRECTMAIL_REGION); the SMTP password is that region's too; "
      .. "leave smtp (from option smtp) away", e.remedy)
    assert.equal(1, #called.asked)
    called.close()
  end)

  it("is about the password when the region that was called has the sender", function()
    local e = refused(by_smtp({ ["cn-hangzhou"] = here.urls.api, ["ap-southeast-1"] = there.urls.api }, { sender = "noreply@mail.example.com" }))
    assert.matches("the SMTP password is wrong", e.cause)
  end)

  it("asks nobody without an AccessKey, nor for a server of one's own", function()
    local other = region(senders(SENDER))
    local e = refused(by_smtp({ ["us-east-1"] = other.url }, { access_key_id = false, access_key_secret = false }))
    assert.equal("526", e.detail)
    assert.same({}, other.asked)
    local mail = by_smtp(nil)
    local asked = 0
    local function http()
      asked = asked + 1
      return nil, { code = "CONNECT", words = "no network", step = "connect", sent = false }
    end
    mail.host = setmetatable({ http = http }, { __index = host })
    assert.matches("the SMTP password is wrong", refused(mail).cause)
    assert.equal(0, asked)
    other.close()
  end)
end)
