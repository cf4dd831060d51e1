-- The role of an ECS instance, against a stand-in of the metadata service.
local std = require "directmail.host.std"
local support = require "support.credentials"

local ROLES = "/latest/meta-data/ram/security-credentials/"
local service, rules

-- Answers as the service does, unless rules[path] says otherwise.
before_each(function()
  rules = {}
  service = support.serve(function(request, n)
    local rule = rules[request.path]
    if type(rule) == "function" then return rule(request, n) end
    if rule then return rule end
    if request.path == "/latest/api/token" then
      if request.method ~= "PUT" or request.headers["x-aliyun-ecs-metadata-token-ttl-seconds"] ~= "21600" then return { status = 400, body = "" } end
      return { status = 200, body = "pr00f==" }
    end
    if not rules.v1 and request.headers["x-aliyun-ecs-metadata-token"] ~= "pr00f==" then return { status = 401, body = "" } end
    if request.path == ROLES then return { status = 200, body = "mailer-role\n" } end
    if request.path == ROLES .. "mailer-role" then
      local key = support.key(n)
      key.Code, key.LastUpdated = "Success", support.date(std.now())
      return support.json(key)
    end
    return { status = 404, body = "<html>not found</html>" }
  end)
end)
after_each(function() service.close() end)

local function host_of(env, files) return support.host { ecs = true, env = env or {}, files = files } end

local function find(host, options)
  local all = { metadata = service.url }
  for name, value in pairs(options or {}) do all[name] = value end
  return support.find(host or host_of(), all)
end

local function fails(words, env)
  local key, e = find(host_of(env))
  assert.is_nil(key)
  support.holds(e.cause, "role of this ECS instance: ")
  support.holds(e.cause, words)
  return e
end

local function paths()
  local list = {}
  for i, request in ipairs(service.asked) do list[i] = request.method .. " " .. request.path end
  return list
end

describe("the role of an ECS instance", function()
  it("is asked for by version 2: a proof, the role's name, its key", function()
    local key = assert(find())
    assert.same({ "STS.n3", "s3cret3", "t0ken3", "role of this ECS instance" }, { key.access_key_id, key.access_key_secret, key.security_token, key.from })
    assert.same({ "PUT /latest/api/token", "GET " .. ROLES, "GET " .. ROLES .. "mailer-role" }, paths())
  end)

  it("is kept until it is about to end", function()
    local host = host_of()
    assert.equal(find(host), find(host))
    assert.equal(3, #service.asked)
  end)

  it("needs one request less when its name is known", function()
    assert(find(host_of { ALIBABA_CLOUD_ECS_METADATA = "mailer-role" }))
    assert.same({ "PUT /latest/api/token", "GET " .. ROLES .. "mailer-role" }, paths())
  end)

  it("stands in config.json and in the SDKs' file as well", function()
    local key = assert(find(host_of({}, { [support.CONFIG] = support.config { mode = "EcsRamRole", ram_role_name = "mailer-role" } })))
    assert.equal('~/.aliyun/config.json, profile "default", mode EcsRamRole', key.from)
    assert.equal(2, #service.asked)
    assert(find(host_of({}, { [support.CONFIG] = support.config { mode = "EcsRamRole", ram_role_name = "" } })))
    assert.equal(5, #service.asked)
    key = assert(find(host_of({}, { [support.HOME .. "/.alibabacloud/credentials"] = "[default]\ntype = ecs_ram_role\nrole_name = mailer-role\n" })))
    assert.equal("~/.alibabacloud/credentials, section [default], type ecs_ram_role", key.from)
  end)

  it("comes behind every file and before a credentials server", function()
    local files = { [support.CONFIG] = support.config { mode = "AK", access_key_id = "LTAIfile", access_key_secret = "s3cret" } }
    assert.equal("LTAIfile", assert(find(host_of({}, files))).access_key_id)
    assert.equal(0, #service.asked)
    assert.equal("STS.n3", assert(find(host_of { ALIBABA_CLOUD_CREDENTIALS_URI = service.url .. "/uri" })).access_key_id)
  end)

  it("is asked for by version 1 where version 2 is not to be had, unless that is switched off", function()
    for _, answer in ipairs { { status = 404, body = "" }, { status = 405, body = "" }, { status = 200, body = "<html>pr00f" }, { status = 302, body = "" } } do
      rules["/latest/api/token"], rules.v1 = answer, true
      assert(find())
      rules["/latest/api/token"] = function() return false end          -- lost on the way, as behind one hop too many
      assert(find())
      rules["/latest/api/token"] = answer
      local before = #service.asked
      for _, name in ipairs { "ALIBABA_CLOUD_IMDSV1_DISABLED", "ALIBABA_CLOUD_ECS_IMDSV2_ENABLE" } do
        fails("; version 1 is switched off by " .. name, { [name] = "true" })
      end
      assert.equal(before + 2, #service.asked)
    end
  end)

  it("is not asked for when it is switched off", function()
    local _, e = find(host_of { ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" })
    support.holds(e.cause, "the ECS metadata service is switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED")
    assert.equal(0, #service.asked)
  end)

  it("is not asked for beside an SMTP password, which is a way to send that somebody chose", function()
    local _, e = support.find(host_of(), { smtp_password = "x" })
    support.holds(e.cause, 'the ECS metadata service is not asked, since smtp_password is set (via = "api" asks it)')
    _, e = support.find(host_of(), { smtp = "smtp://127.0.0.1:1" })
    support.holds(e.cause, "since smtp is set")
    assert(find(nil, { smtp_password = "x" }))          -- the setting metadata asks for it by name
    assert(find(nil, { smtp_password = "x", via = "api" }))
  end)

  it("never signs calls of an emulator on this machine, unless it is asked for by name", function()
    local _, e = support.find(host_of(), { api = "http://127.0.0.1:9/" })
    support.holds(e.cause, "the ECS metadata service is not asked, since api is on this machine")
    assert.equal(0, #service.asked)
    assert(find(nil, { api = "http://127.0.0.1:9/" }))
  end)

  it("is never reached through a proxy, and elsewhere never in clear text", function()
    assert(find(nil, { proxy = "http://127.0.0.1:1" }))
    local key, e = support.find(host_of(), { metadata = "http://192.0.2.1" })
    assert.is_nil(key)
    support.holds(e.cause, "http://192.0.2.1: a key would come in clear text")
  end)

  it("says that there is no such service outside of ECS, and asks once only", function()
    service.close()
    local e = fails "there is a metadata service on ECS instances only"
    assert.is_false(e.retry)
  end)

  it("tells what was wrong with each answer", function()
    rules[ROLES] = { status = 404, body = "" }
    fails "no role is attached to this instance"
    rules[ROLES] = { status = 200, body = "<html>a login page s3cret</html>" }
    fails "answers what is no name of a role"
    rules[ROLES] = { status = 200, body = "" }
    fails "answers what is no name of a role"
    rules[ROLES] = { status = 301, headers = { Location = "http://192.0.2.1/" }, body = "" }
    fails "redirects (HTTP 301), and that is not followed"
    rules[ROLES] = { status = 200, body = ("s3cret"):rep(20000) }
    fails "larger than 65536 octets"
    rules[ROLES] = nil
    fails('this instance has no role "other"', { ALIBABA_CLOUD_ECS_METADATA = "other" })
    local key, e = find(host_of { ALIBABA_CLOUD_ECS_METADATA = "../x" })
    assert.is_nil(key)
    support.holds(e.cause, 'the role\'s name "../x" is none')
    local path = ROLES .. "mailer-role"
    local function answer(change, words)
      local json = support.key(1)
      json.Code = "Success"
      for name, value in pairs(change) do json[name] = value ~= "" and value or nil end
      rules[path] = support.json(json)
      fails(words)
    end
    answer({ Code = "Failed" }, "answers Code Failed")
    answer({ Code = "" }, "answers without Code")
    answer({ AccessKeyId = "" }, "answers without AccessKeyId")
    answer({ AccessKeySecret = 7 }, "answers without AccessKeySecret")
    answer({ SecurityToken = "" }, "answers without SecurityToken")
    answer({ Expiration = "" }, "answers without Expiration")
    answer({ Expiration = "soon" }, "with an Expiration that is no date")
    answer({ Expiration = support.date(std.now() - 1) }, "the key ended already, at 20")
    rules[path] = { status = 200, body = '{"Code":"Success","AccessKeySecret":"s3cr' }
    fails "answers what is no JSON, or half of it"
    rules[path] = { status = 200, body = "<html>s3cret" }
    fails "answers a page instead of JSON"
    rules[path] = { status = 500, body = "" }
    fails "answers HTTP 500"
  end)
end)
