-- The SDKs' own file: sections, types, and what is no key.
local memory = require "directmail.host.memory"
local support = require "support.credentials"

local FILE = support.HOME .. "/.alibabacloud/credentials"

local function host_of(text, env, path)
  local all = { HOME = support.HOME, ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" }
  for name, value in pairs(env or {}) do all[name] = value end
  return memory.new { env = all, files = { [path or FILE] = text } }
end

local function find(...) return support.find(host_of(...)) end

local function fails(words, ...)
  local key, e = find(...)
  assert.is_nil(key)
  support.holds(e.cause, words)
end

local AK = "[default]\ntype = access_key\naccess_key_id = LTAIini\naccess_key_secret = s3cret\n"

describe("the SDKs' file", function()
  it("holds a key", function()
    assert.same({ access_key_id = "LTAIini", access_key_secret = "s3cret", from = "~/.alibabacloud/credentials, section [default], type access_key" }, (find(AK)))
    local key = find "[default]\ntype=sts\naccess_key_id=STS.x\naccess_key_secret=s3cret\nsecurity_token=t0ken+/==\n"
    assert.same({ "STS.x", "t0ken+/==" }, { key.access_key_id, key.security_token })
  end)

  it("is read as its writers mean it: blanks, comments, CRLF, a byte order mark, capitals, sections before and behind", function()
    local text = "\239\187\191; mine\r\n[other]\r\naccess_key_id = LTAIother\r\n\r\n [default] # here\r\n TYPE = access_key ; lasting\r\n"
      .. "access_key_id=LTAIini#1\r\nAccess_Key_Secret :  s3cret  ; mine\r\nstray\r\n[last]\r\naccess_key_id = LTAIlast\r\n"
    local key = find(text)
    assert.same({ "LTAIini", "s3cret" }, { key.access_key_id, key.access_key_secret })
  end)

  it("lies where the variable says, else at home, with or without .ini", function()
    assert.equal("LTAIini", find(AK, {}, FILE .. ".ini").access_key_id)
    assert.equal("/etc/keys, section [default], type access_key", find(AK, { ALIBABA_CLOUD_CREDENTIALS_FILE = "/etc/keys" }, "/etc/keys").from)
    fails("/etc/none: no such file or directory", AK, { ALIBABA_CLOUD_CREDENTIALS_FILE = "/etc/none" })
    fails("~/.alibabacloud/credentials cannot be looked for: HOME is not set", AK, { HOME = "relative" })
    fails("~/.alibabacloud/credentials: larger than 65536 octets", ("x"):rep(70000))
  end)

  it("is chosen from by the variable", function()
    assert.equal("LTAIprod", find(AK .. "[prod]\ntype = access_key\naccess_key_id = LTAIprod\naccess_key_secret = s3cret\n", { ALIBABA_CLOUD_PROFILE = "prod" }).access_key_id)
    fails("has no section [stage]; it has: default, prod", AK .. "[prod]\n", { ALIBABA_CLOUD_PROFILE = "stage" })
    fails("has no section [default]; it has: none", "")
  end)

  it("comes behind config.json", function()
    local host = memory.new { env = { HOME = support.HOME }, files = { [FILE] = AK,
      [support.CONFIG] = support.config { mode = "AK", access_key_id = "LTAIconfig", access_key_secret = "s3cret" } } }
    assert.equal("LTAIconfig", support.find(host).access_key_id)
    host = memory.new { env = { HOME = support.HOME }, files = { [FILE] = AK, [support.CONFIG] = support.config { mode = "Anonymous" } } }
    assert.equal("LTAIini", support.find(host).access_key_id)
  end)

  it("holds roles", function()
    local asked = {}
    local function assume(text, env)
      local host = host_of(text, env)
      local read = host.read
      host.read = function(path, max) if path == "/token" then return "a.t0ken.b" end return read(path, max) end
      host.http_handler = function(request)
        asked[#asked + 1] = request
        return { status = 200, headers = {}, body = support.assumed(#asked, 3600, host.now()).body }
      end
      return assert(support.find(host, { sts = "http://127.0.0.1:9" }))
    end
    local key = assume("[default]\ntype = ram_role_arn\naccess_key_id = LTAIini\naccess_key_secret = s3cret\nrole_arn = " .. support.ROLE
      .. "\nrole_session_name = mine\npolicy = {\"Version\":\"1\"}\n")
    assert.same({ "STS.n1", "~/.alibabacloud/credentials, section [default], type ram_role_arn" }, { key.access_key_id, key.from })
    support.holds(asked[1].body, "RoleSessionName=mine")
    support.holds(asked[1].body, "Policy=%7B%22Version%22%3A%221%22%7D")
    key = assume("[default]\ntype = oidc_role_arn\nrole_arn = " .. support.ROLE .. "\noidc_provider_arn = " .. support.PROVIDER .. "\noidc_token_file_path = /token\n")
    assert.same({ "STS.n2", "~/.alibabacloud/credentials, section [default], type oidc_role_arn" }, { key.access_key_id, key.from })
    support.holds(asked[2].body, "OIDCToken=a.t0ken.b")
  end)

  it("says what is missing or cannot be used", function()
    fails("section [default]: type is missing", "[default]\naccess_key_id = LTAIx\n")
    fails("type access_key: access_key_secret is missing", "[default]\ntype = access_key\naccess_key_id = LTAIx\naccess_key_secret =\n")
    fails("type sts: security_token is missing", "[default]\ntype = sts\naccess_key_id = STS.x\naccess_key_secret = s3cret\n")
    fails("type rsa_key_pair cannot sign calls of Direct Mail", "[default]\ntype = rsa_key_pair\n")
    fails("type bearer cannot sign calls of Direct Mail", "[default]\ntype = bearer\nbearer_token = t0ken\n")
    fails("type magic\\27 is not known", "[default]\ntype = magic\27\n")
    fails("is switched off by enable = false", "[default]\nenable = False\n" .. AK:gsub("%[default%]\n", ""))
    fails("type ram_role_arn: the role's ARN is missing", "[default]\ntype = ram_role_arn\naccess_key_id = LTAIx\naccess_key_secret = s3cret\n")
    fails("type oidc_role_arn: the provider's ARN is missing", "[default]\ntype = oidc_role_arn\nrole_arn = " .. support.ROLE .. "\n")
    fails("holds a blank", "[default]\ntype = access_key\naccess_key_id = LTAIx\naccess_key_secret = s3 cret\n")
  end)
end)
