-- Roles of STS: the modes RamRoleArn, ChainableRamRoleArn and OIDC, against a stand-in that checks signatures.
local core = require "directmail.core"
local credentials = require "directmail.credentials"
local limits = require "directmail.data.limits"
local mails = require "directmail.mail"
local sandbox = require "directmail.sandbox"
local settings = require "directmail.settings"
local sign = require "directmail.sign"
local std = require "directmail.host.std"
local sts = require "directmail.credentials.sts"
local support = require "support.credentials"

local service
local KEYS = { LTAIbase = "s3cretbase" }

-- The parameters of a signed call, whose signature holds; nil when it does not.
local function signed(request)
  local _, form = request.form()
  local params = {}
  for name, value in pairs(form) do if name ~= "Signature" then params[name] = value end end
  local mine = core.sign { algorithm = "HMAC-SHA1", http_method = "POST", params = params, access_key_secret = KEYS[form.AccessKeyId] or "?" }
  return mine.signature == form.Signature and form or nil
end

before_each(function() service = support.serve(function(_, n) return support.assumed(n) end) end)
after_each(function() service.close() end)

local function role(more)
  local entry = { mode = "RamRoleArn", access_key_id = "LTAIbase", access_key_secret = "s3cretbase", ram_role_arn = support.ROLE }
  for name, value in pairs(more or {}) do entry[name] = value ~= "" and value or nil end
  return entry
end

local function host_of(...) return support.host { env = {}, files = { [support.CONFIG] = support.config(...) } } end

local function find(host, how) return support.find(host, { sts = service.url }, how) end

local function fails(words, ...)
  local key, e = find(host_of(...))
  assert.is_nil(key)
  support.holds(e.cause, words)
  return e
end

describe("RamRoleArn", function()
  it("is taken on with the profile's key, by a signed call", function()
    local host = host_of(role { policy = '{"Version":"1"}', external_id = "ext-1+2/3=4", ram_session_name = "a.b@c-d_e", expired_seconds = 900 })
    local key = assert(find(host))
    assert.same({ "STS.n1", "s3cret1", "t0ken1", '~/.aliyun/config.json, profile "default", mode RamRoleArn' },
      { key.access_key_id, key.access_key_secret, key.security_token, key.from })
    assert.is_true(math.abs(key.expires - std.now() - 3600) < 5)
    local form = assert(signed(service.asked[1]), "the signature is wrong")
    assert.same({ "POST", "AssumeRole", "2015-04-01", "JSON", support.ROLE, "a.b@c-d_e", "900", '{"Version":"1"}', "ext-1+2/3=4", "LTAIbase" },
      { service.asked[1].method, form.Action, form.Version, form.Format, form.RoleArn, form.RoleSessionName, form.DurationSeconds, form.Policy, form.ExternalId,
        form.AccessKeyId })
    assert.equal("", service.asked[1].raw_query)         -- a token in an address would stand in logs
    assert.equal(key, find(host))
    assert.equal(1, #service.asked)
  end)

  it("names its session by the variable, or directmail, and lives an hour when nothing else is said", function()
    local host = host_of(role())
    assert(find(host))
    local form = signed(service.asked[1])
    assert.same({ "directmail", "3600", nil, nil }, { form.RoleSessionName, form.DurationSeconds, form.Policy, form.ExternalId })
    host = host_of(role { expired_seconds = 0 })
    host.given.env.ALIBABA_CLOUD_ROLE_SESSION_NAME = "mine"
    assert(find(host))
    form = signed(service.asked[2])
    assert.same({ "mine", "3600" }, { form.RoleSessionName, form.DurationSeconds })
  end)

  it("takes the token of a temporary key along", function()
    KEYS["STS.base"] = "s3cretbase"
    assert(find(host_of(role { access_key_id = "STS.base", sts_token = "t0ken+/=" })))
    assert.equal("t0ken+/=", assert(signed(service.asked[1])).SecurityToken)
  end)

  it("asks the endpoint that the profile or the environment means", function()
    local function url(given, env)
      local made, why = sts.role({ values = {}, host = support.host { env = env } },
        { arn = support.ROLE, region = given.region, endpoint = given.endpoint, vpc = given.vpc })
      return made and made.url or why
    end
    assert.equal("https://sts.aliyuncs.com/", url {})
    assert.equal("https://sts.cn-hangzhou.aliyuncs.com/", url { region = "cn-hangzhou" })
    assert.equal("https://sts-vpc.cn-hangzhou.aliyuncs.com/", url { region = "cn-hangzhou", vpc = true })
    assert.equal("https://sts.aliyuncs.com/", url { vpc = true })
    assert.equal("https://sts.example.com/", url { region = "cn-hangzhou", endpoint = "sts.example.com" })
    assert.equal("https://sts-vpc.eu-central-1.aliyuncs.com/",
      url({}, { ALIBABA_CLOUD_STS_REGION = "eu-central-1", ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED = "true" }))
    assert.equal("https://sts.eu-central-1.aliyuncs.com/",
      url({ vpc = false }, { ALIBABA_CLOUD_STS_REGION = "eu-central-1", ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED = "true" }))
    support.holds(url { region = "evil.example/x" }, "is none")
    support.holds(url { endpoint = "evil.example/x" }, "is no host name")
  end)

  it("names a slip before anything leaves", function()
    for words, more in pairs {
      ["the role's ARN is missing"] = { ram_role_arn = "" }, ['the role\'s ARN "mailer" is none'] = { ram_role_arn = "mailer" },
      ["the session's name \"a b\" cannot be used"] = { ram_session_name = "a b" }, ["the duration is no whole number of seconds from 900 to 43200"] = { expired_seconds = 899 },
      ["the policy is longer than 2048 characters"] = { policy = ("x"):rep(2049) }, ["the external id needs 2 to 1224"] = { external_id = "x" },
      ["access_key_secret is missing"] = { access_key_secret = "" }, ["holds a blank"] = { access_key_secret = "s3cret s3cret" },
    } do fails(words, role(more)) end
    fails("from 900 to 43200", role { expired_seconds = 43201 })
    fails("from 900 to 43200", role { expired_seconds = 900.5 })
    fails("from 900 to 43200", role { expired_seconds = "soon" })
    assert.equal(0, #service.asked)
  end)

  it("is never asked in clear text elsewhere", function()
    local key, e = support.find(host_of(role()), { sts = "http://sts.example.com" })
    assert.is_nil(key)
    support.holds(e.cause, "http://sts.example.com: a key would come in clear text")
    local values = assert(settings.read({ sts = service.url }, support.host {}))
    assert.equal("option sts", values.from.sts)
  end)
end)

describe("what STS answers", function()
  local function answer(reply, words, retry)
    service.answer = function() return reply end
    local e = fails(words, role())
    assert.equal(retry or false, e.retry, words)
    return e
  end

  it("is explained by its code, and nothing that it repeats is shown", function()
    answer(support.refused("EntityNotExist.Role", 404), "refuses with EntityNotExist.Role: there is no such role: check its account and its name, RequestId 7C3B-E1")
    answer(support.refused("NoPermission", 403), "sts:AssumeRole")
    answer(support.refused("SignatureDoesNotMatch"), "the secret does not belong to the access_key_id")
    answer(support.refused("InvalidAccessKeyId.NotFound", 404), "refuses with InvalidAccessKeyId.NotFound: ")
    answer(support.refused("Throttling.Api"), "refuses with Throttling.Api", true)
    answer(support.refused("InternalError", 500), "refuses with InternalError", true)
    answer(support.refused("s3cret t0ken"), "answers HTTP 400")
  end)

  it("is nothing else than a whole key", function()
    answer({ status = 302, headers = { Location = "http://192.0.2.1/s3cret" }, body = "" }, "redirects (HTTP 302), and that is not followed")
    answer({ status = 404, body = "<html>s3cret" }, "answers HTTP 404")
    answer({ status = 200, body = "<html>s3cret</html>" }, "answers a page instead of JSON", true)
    answer({ status = 200, body = '{"Credentials":{"AccessKeyId":"STS.x","AccessKeySecret":"s3cr' }, "answers what is no JSON, or half of it", true)
    answer({ status = 200, body = ("s3cret"):rep(20000) }, "larger than 65536 octets")
    answer(support.json { RequestId = "1" }, "answers without Credentials")
    for _, name in ipairs { "AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration" } do
      local key = support.key(1)
      key[name] = nil
      answer(support.json { Credentials = key }, "answers without " .. name)
    end
    local key = support.key(1)
    key.Expiration = "s3cret"
    answer(support.json { Credentials = key }, "with an Expiration that is no date")
    answer(support.assumed(1, -60), "the key ended already, at 20")
    key = support.key(1)
    key.AccessKeySecret = "s3cret\n"
    answer(support.json { Credentials = key }, "access_key_secret (from ~/.aliyun/config.json, profile \"default\", mode RamRoleArn) holds a line break")
    service.answer = function() return false end
    assert.is_true(fails("the connection was lost", role()).retry)
  end)

  it("sets a wrong clock of ours right, once", function()
    local host = host_of(role())
    host.given.ahead = 7200
    service.answer = function(request, n)
      local form = assert(signed(request))
      if n == 1 then return support.refused "InvalidTimeStamp.Expired" end
      assert(form.Timestamp >= support.date(std.now() - 60) and form.Timestamp <= support.date(std.now() + 60), form.Timestamp)
      return support.assumed(n, 3600)
    end
    local key = assert(find(host))
    -- by our clock the key ended an hour ago; by theirs it has an hour
    assert.is_true(math.abs(key.expires - host.now() - 3600) < 5)
    assert.equal(key, find(host))
    assert.equal(2, #service.asked)
    service.answer = function() return support.refused "InvalidTimeStamp.Expired" end
    host = host_of(role())
    host.given.ahead = 7200
    local _, e = find(host)
    support.holds(e.cause, "refuses with InvalidTimeStamp.Expired")
    assert.equal(4, #service.asked)
  end)
end)

describe("ChainableRamRoleArn", function()
  local function link(name, before) return { name = name, mode = "ChainableRamRoleArn", source_profile = before, ram_role_arn = support.ROLE .. "-" .. name } end

  it("takes one role on with the key of another", function()
    KEYS["STS.n1"] = "s3cret1"
    local host = host_of(link("outer", "inner"), role { name = "inner" })
    local key = assert(find(host))
    assert.equal("STS.n2", key.access_key_id)
    assert.equal('~/.aliyun/config.json, profile "outer", mode ChainableRamRoleArn', key.from)
    local inner, outer = assert(signed(service.asked[1])), assert(signed(service.asked[2]))
    assert.same({ support.ROLE, "LTAIbase", nil }, { inner.RoleArn, inner.AccessKeyId, inner.SecurityToken })
    assert.same({ support.ROLE .. "-outer", "STS.n1", "t0ken1" }, { outer.RoleArn, outer.AccessKeyId, outer.SecurityToken })
  end)

  it("takes it on with a plain key too", function()
    local plain = { name = "inner", mode = "AK", access_key_id = "LTAIbase", access_key_secret = "s3cretbase" }
    assert.equal("STS.n1", assert(find(host_of(link("outer", "inner"), plain))).access_key_id)
  end)

  it("never goes round in a ring", function()
    fails('source_profile "outer" comes back to itself', link("outer", "outer"))
    fails('source_profile "outer" comes back to itself', link("outer", "inner"), link("inner", "outer"))
    fails('there is no profile "none", its source_profile', link("outer", "none"))
    fails("source_profile is missing", link("outer", nil))
    assert.equal(0, #service.asked)
  end)

  it("says which key was not to be had", function()
    service.answer = function() return support.refused("NoPermission", 403) end
    fails('the key for it, of ~/.aliyun/config.json, profile "inner", mode RamRoleArn: ', link("outer", "inner"), role { name = "inner" })
  end)
end)

describe("an OIDC role", function()
  local function host_with(token, env, config)
    local all = {}
    for name, value in pairs(support.OIDC) do all[name] = value end
    for name, value in pairs(env or {}) do all[name] = value end
    return support.host { env = all, files = { ["/token"] = token, [support.CONFIG] = config } }
  end

  it("is taken on by the token in the file, unsigned", function()
    local key = assert(find(host_with "head.t0ken.sig\n"))
    assert.same({ "STS.n1", "OIDC role of ALIBABA_CLOUD_ROLE_ARN" }, { key.access_key_id, key.from })
    local request = service.asked[1]
    local _, form = request.form()
    assert.same({ RoleArn = support.ROLE, OIDCProviderArn = support.PROVIDER, OIDCToken = "head.t0ken.sig", RoleSessionName = "directmail", DurationSeconds = "3600" }, form)
    local query = request.args
    assert.same({ "POST", "AssumeRoleWithOIDC", "2015-04-01", "JSON", nil, nil },
      { request.method, query.Action, query.Version, query.Format, query.Signature, query.AccessKeyId })
    assert.is_true(math.abs(require "directmail.credentials.key".seconds(query.Timestamp) - std.now()) < 5)
  end)

  it("reads the file again at every refresh, since the cluster changes it", function()
    local host = host_with "first.t0ken.x"
    local key = assert(find(host))
    host.given.files["/token"] = "second.t0ken.x"
    local other = assert(find(host, { refused = key }))
    assert.equal("STS.n2", other.access_key_id)
    local _, form = service.asked[2].form()
    assert.equal("second.t0ken.x", form.OIDCToken)
  end)

  it("stands in config.json too, with either name of the session", function()
    local entry = { mode = "OIDC", ram_role_arn = support.ROLE, oidc_provider_arn = support.PROVIDER, oidc_token_file = "/t", role_session_name = "pod", duration_seconds = 1800 }
    local host = support.host { files = { ["/t"] = "a.t0ken.b", [support.CONFIG] = support.config(entry) } }
    assert.equal('~/.aliyun/config.json, profile "default", mode OIDC', assert(find(host)).from)
    local _, form = service.asked[1].form()
    assert.same({ "pod", "1800", "a.t0ken.b" }, { form.RoleSessionName, form.DurationSeconds, form.OIDCToken })
  end)

  it("comes before config.json, and passes on to it when it fails, with the reason", function()
    local config = support.config { mode = "AK", access_key_id = "LTAIfile", access_key_secret = "s3cret" }
    assert.equal("STS.n1", assert(find(host_with("a.t0ken.b", nil, config))).access_key_id)
    assert.equal("LTAIfile", assert(find(host_with(nil, nil, config))).access_key_id)
    assert.equal(1, #service.asked)
  end)

  it("tells why it cannot be taken on", function()
    local function why(words, token, env)
      local key, e = find(host_with(token, env))
      assert.is_nil(key)
      support.holds(e.cause, words)
    end
    why("/token: no such file or directory", nil)
    why("/token holds no token", "a b")
    why("/token holds no token", ("x"):rep(limits.oidc_token + 1))
    why("/token: larger than 65536 octets", ("x"):rep(70000))
    why("the OIDC role is incomplete: ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set", "a.b.c", { ALIBABA_CLOUD_OIDC_TOKEN_FILE = "" })
    why("the OIDC role is incomplete: ALIBABA_CLOUD_ROLE_ARN and ALIBABA_CLOUD_OIDC_TOKEN_FILE are not set", "a.b.c",
      { ALIBABA_CLOUD_OIDC_TOKEN_FILE = "", ALIBABA_CLOUD_ROLE_ARN = "" })
    why('the role\'s ARN "x" is none', "a.b.c", { ALIBABA_CLOUD_ROLE_ARN = "x" })
    why('the provider\'s ARN "x" is none', "a.b.c", { ALIBABA_CLOUD_OIDC_PROVIDER_ARN = "x" })
    assert.equal(0, #service.asked)
    service.answer = function() return support.refused("AuthenticationFail.OIDCToken.Expired", 401) end
    why("the token in the file has ended", "a.t0ken.b")
  end)
end)

describe("many calls at once", function()
  it("make one refresh, and all get its key", function()
    service.answer = function(_, n)
      std.sleep(0.05)
      return support.assumed(n)
    end
    local host, tasks, keys = host_of(role()), {}, {}
    for i = 1, 20 do tasks[i] = std.spawn(function() keys[i] = assert(find(host)) end) end
    for i = 1, 20 do assert(std.wait(tasks[i])) end
    assert.equal(1, #service.asked)
    for i = 1, 20 do assert.equal(keys[1], keys[i]) end
  end)

  it("share a failure as well", function()
    service.answer = function()
      std.sleep(0.05)
      return support.refused("NoPermission", 403)
    end
    local host, tasks, errors = host_of(role()), {}, 0
    for i = 1, 20 do tasks[i] = std.spawn(function()
      local _, e = find(host)
      if e and e.cause:find("NoPermission", 1, true) then errors = errors + 1 end
    end) end
    for i = 1, 20 do assert(std.wait(tasks[i])) end
    assert.same({ 1, 20 }, { #service.asked, errors })
  end)
end)

describe("mail:send by the API", function()
  local box
  setup(function() box = assert(sandbox.start()) end)
  teardown(function() box:stop() end)

  it("signs with the key of a role, and the token goes with it", function()
    local t = box.account.temporary
    service.answer = function()
      return support.json { Credentials = { AccessKeyId = t.access_key_id, AccessKeySecret = t.access_key_secret, SecurityToken = t.security_token,
        Expiration = support.date(std.now() + 3600) } }
    end
    local lines = {}
    local options = { region = "ap-southeast-1", sender = "noreply@mail.example.com", api = box.urls.api, sts = service.url, verbose = 2,
      transcript = function(line) lines[#lines + 1] = line end }
    local mail = assert(mails.new(options, host_of(role()), 1))
    local receipt = assert(mail:send { to = "ann@example.net", subject = "By a role", text = "Hi" })
    assert.same({ "sent", "api" }, { receipt.outcome, receipt.via })
    assert.equal("By a role", assert(box:wait { to = "ann@example.net", timeout = 5 }).subject)
    assert(mail:send { to = "ann@example.net", subject = "Again", text = "Hi" })
    assert.equal(1, #service.asked)
    local said = table.concat(lines, "\n")
    for _, secret in ipairs { t.access_key_secret, t.security_token, "s3cretbase" } do assert.is_nil(said:find(secret, 1, true)) end
  end)

  it("is refused by the sandbox with the token of somebody else, or with none", function()
    local t = box.account.temporary
    local mail = assert(mails.new({ region = "ap-southeast-1", sender = "noreply@mail.example.com", api = box.urls.api, access_key_id = t.access_key_id,
      access_key_secret = t.access_key_secret, security_token = t.security_token .. "x" }, support.host {}, 1))
    local _, e = mail:send { to = "ann@example.net", subject = "x", text = "x" }
    assert.equal("InvalidSecurityToken.MismatchWithAccessKey", e.detail)
    -- we never send such a call
    local ready = assert(sign.request { host = box.urls.api:match "//([^/]+)", action = "SingleSendMail", api_version = "2015-11-23", form = {}, now = std.now(),
      nonce = "without-token", access_key_id = t.access_key_id, access_key_secret = t.access_key_secret })
    local response = assert(std.http { url = box.urls.api:gsub("/$", "") .. ready.url, method = ready.method, headers = ready.headers, body = ready.body })
    support.holds(response.body, '"MissingSecurityToken"')
  end)

  it("fetches another key when the service calls the token expired, and sends once more", function()
    local t, n = box.account.temporary, #service.asked
    service.answer = function(_, asked)
      return support.json { Credentials = { AccessKeyId = t.access_key_id, AccessKeySecret = t.access_key_secret,
        SecurityToken = asked == n + 1 and "t0kenold" or t.security_token, Expiration = support.date(std.now() + 3600) } }
    end
    local calls = 0
    local endpoint = support.serve(function(request)
      calls = calls + 1
      if request.headers["x-acs-security-token"] == "t0kenold" then return support.refused "InvalidSecurityToken.Expired" end
      return support.json { EnvId = "7", RequestId = "A-1" }
    end)
    local mail = assert(mails.new({ region = "ap-southeast-1", sender = "noreply@mail.example.com", api = endpoint.url, sts = service.url }, host_of(role()), 1))
    local receipt = assert(mail:send { to = "ann@example.net", subject = "x", text = "x" })
    endpoint.close()
    assert.same({ "7", 2, n + 2 }, { receipt.id, calls, #service.asked })
  end)
end)

describe("without network", function()
  it("a source that would be asked is named and not asked", function()
    local host = host_of(role())
    local values = assert(settings.read({ sts = service.url }, host))
    local source = assert(credentials.find(values, host, { offline = true }))
    assert.is_nil(source.access_key_id)
    assert.equal('~/.aliyun/config.json, profile "default", mode RamRoleArn', source.from)
    assert.equal(source.from, credentials.search(values, host).from)
    host.starting = function() return true end          -- nginx reads its configuration
    assert.equal(source.from, credentials.find(values, host).from)
    assert.equal(0, #service.asked)
  end)
end)
