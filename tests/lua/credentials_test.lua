-- Credentials: each source alone, the order among them, and what is said when nothing is usable.
local cjson = require "cjson"
local credentials = require "directmail.credentials"
local memory = require "directmail.host.memory"
local settings = require "directmail.settings"

local HOME = "/home/ann"
local CONFIG = HOME .. "/.aliyun/config.json"

local function host_of(env, config, path)
  local all = { HOME = HOME }
  for name, value in pairs(env or {}) do all[name] = value end
  if type(config) == "table" then config = cjson.encode(config) end
  return memory.new { env = all, files = { [path or CONFIG] = config } }
end

local function find(options, env, config, path)
  local host = host_of(env, config, path)
  local values = assert(settings.read(options or {}, host))
  local key, e = credentials.find(values, host)
  return key, e, host
end

local function one(entry, more)
  entry.name = entry.name or "default"
  local config = { current = "default", profiles = { entry } }
  for name, value in pairs(more or {}) do config[name] = value end
  return config
end

local AK = { mode = "AK", access_key_id = "LTAIconfig", access_key_secret = "config" }
local function ak(changes)
  local entry = {}
  for name, value in pairs(AK) do entry[name] = value end
  for name, value in pairs(changes or {}) do entry[name] = value ~= "" and value or nil end
  return entry
end

local ENV = { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIenv", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "env" }

describe("credentials.find", function()
  it("takes the options", function()
    assert.same({ access_key_id = "LTAIo", access_key_secret = "o", from = "option access_key_id" },
      (find({ access_key_id = "LTAIo", access_key_secret = "o" }, ENV, one(ak()))))
  end)

  it("takes the environment, with its token", function()
    assert.same({ access_key_id = "LTAIenv", access_key_secret = "env", from = "ALIBABA_CLOUD_ACCESS_KEY_ID" }, (find({}, ENV, one(ak()))))
    local key = find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "STS.x", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "e", ALIBABA_CLOUD_SECURITY_TOKEN = "a+b/c==" })
    assert.equal("a+b/c==", key.security_token)
  end)

  it("takes config.json: mode AK", function()
    assert.same({ access_key_id = "LTAIconfig", access_key_secret = "config", from = '~/.aliyun/config.json, profile "default", mode AK' },
      (find({}, {}, one(ak { sts_token = "not of this mode" }))))
  end)

  it("takes config.json: mode StsToken, while it lives", function()
    local function sts(ends) return one(ak { mode = "StsToken", access_key_id = "STS.c", sts_token = "t", sts_expiration = ends }) end
    local now = memory.new().now()
    assert.same({ access_key_id = "STS.c", access_key_secret = "config", security_token = "t", expires = now + 60,
      from = '~/.aliyun/config.json, profile "default", mode StsToken' }, (find({}, {}, sts(now + 60))))
    assert.equal("t", find({}, {}, sts(0)).security_token)
    local _, e = find({}, {}, sts(now))
    assert.matches("the token ended at 2026%-01%-01T00:00:00Z", e.cause)
  end)

  it("compares modes without regard to case, and guesses a missing one aloud", function()
    assert.equal("LTAIconfig", find({}, {}, one(ak { mode = "ak" })).access_key_id)
    assert.matches("mode AK %(guessed", find({}, {}, one(ak { mode = "" })).from)
    local key = find({}, {}, one(ak { mode = "", access_key_id = "STS.c", sts_token = "t" }))
    assert.matches("mode StsToken %(guessed", key.from)
    assert.equal("t", key.security_token)
  end)

  it("refuses the modes that cannot sign, by name", function()
    for mode, words in pairs {
      BearerToken = "mode BearerToken cannot sign", Anonymous = "mode Anonymous cannot sign", RsaKeyPair = "mode RsaKeyPair cannot sign",
      ramrolearnwithrolename = "mode RamRoleArnWithRoleName cannot sign", ["Tele\27pathy"] = "mode Tele\\27pathy is not known",
    } do
      local key, e = find({}, {}, one(ak { mode = mode }))
      assert.is_nil(key)
      assert.equal("CREDENTIALS", e.code)
      assert.is_truthy(e.cause:find(words, 1, true), e.cause)
    end
  end)

  it("takes what a login in a browser stored while it lives, and names the login then", function()
    local now = memory.new().now()
    for _, mode in ipairs { "CloudSSO", "OAuth" } do
      local function login(more)
        local entry = ak { mode = mode, access_key_id = "STS.c", sts_token = "t0ken", sts_expiration = now + 60, oauth_refresh_token = "t0ken" }
        for name, value in pairs(more or {}) do entry[name] = value ~= "" and value or nil end
        return one(entry)
      end
      local key = find({}, {}, login())
      assert.same({ "t0ken", now + 60 }, { key.security_token, key.expires })
      local again = ("log in again: aliyun configure --mode %s --profile default"):format(mode)
      for words, more in pairs { ["the token ended at 2026-01-01T00:00:00Z; " .. again] = { sts_expiration = now },
        ["there is no stored token; " .. again] = { sts_token = "" } } do
        local _, e = find({}, {}, login(more))
        assert.is_truthy(e.cause:find(words, 1, true), e.cause)
        assert.not_matches("t0ken", tostring(e))
      end
      local _, e = find({}, {}, login { sts_expiration = "" })
      assert.is_truthy(e.cause:find("there is no stored token; " .. again, 1, true), e.cause)
    end
  end)

  it("chooses the profile by the variable, then by current", function()
    local config = { current = "dev", profiles = { ak { name = "prod", access_key_id = "LTAIprod" }, ak { name = "dev", access_key_id = "LTAIdev" } } }
    assert.equal("LTAIdev", find({}, {}, config).access_key_id)
    assert.equal("LTAIprod", find({}, { ALIBABA_CLOUD_PROFILE = "prod" }, config).access_key_id)
    local _, e = find({}, { ALIBABA_CLOUD_PROFILE = "stage" }, config)
    assert.is_truthy(e.cause:find('has no profile "stage" (ALIBABA_CLOUD_PROFILE); it has: prod, dev', 1, true), e.cause)
    config.current = nil
    _, e = find({}, {}, config)
    assert.is_truthy(e.cause:find('has no profile "default" (nothing names another); it has: prod, dev', 1, true), e.cause)
  end)

  it("finds config.json elsewhere, or leaves it alone, as told", function()
    local key = find({}, { ALIBABA_CLOUD_CONFIG_FILE = "/etc/keys.json" }, one(ak()), "/etc/keys.json")
    assert.equal('/etc/keys.json, profile "default", mode AK', key.from)
    for _, name in ipairs { "ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE" } do
      for _, value in ipairs { "true", "TRUE" } do
        local _, e = find({}, { [name] = value }, one(ak()))
        assert.is_truthy(e.cause:find("switched off by " .. name, 1, true), e.cause)
      end
      assert.equal("LTAIconfig", find({}, { [name] = "false" }, one(ak())).access_key_id)
    end
    local _, e = find({}, { HOME = "relative" }, one(ak()), "relative/.aliyun/config.json")
    assert.matches("HOME is not set", e.cause)
  end)

  it("reads a broken config.json without showing what is in it", function()
    for text, words in pairs {
      ['{"current":"default",\n "profiles": [ "s3cret" s3cret'] = "is not JSON (line 2, column 25)",
      [""] = "is not JSON (line 1, column 1)",
      ["[]"] = "has no list of profiles", ["7"] = "has no list of profiles", ['{"profiles":"s3cret"}'] = "has no list of profiles",
      ['{"profiles":[]}'] = 'has no profile "default" (nothing names another); it has: none',
      ['{"profiles":["s3cret", null, 7, {"name":7}]}'] = "it has: none",
      ['{"current":7,"profiles":[{"name":"default","mode":"AK","access_key_id":"LTAIx","access_key_secret":null}]}'] = "mode AK: access_key_secret is missing",
      ['{"profiles":[{"name":"default","mode":"AK","access_key_secret":"s3cret"}]}'] = "mode AK: access_key_id is missing",
      ['{"profiles":[{"name":"default","mode":"StsToken","access_key_id":"STS.x","access_key_secret":"s3cret"}]}'] = "mode StsToken: sts_token is missing",
      ['{"profiles":' .. ("["):rep(5000)] = "is not JSON",
      [("x"):rep(70000)] = "larger than 65536 octets",
    } do
      local key, e = find({}, {}, text)
      assert.is_nil(key)
      assert.is_truthy(e.cause:find(words, 1, true), e.cause)
      assert.not_matches("s3cret", tostring(e))
    end
  end)

  it("lists every source with why not", function()
    local key, e = find()
    assert.is_nil(key)
    assert.same({ "CREDENTIALS", "not_sent", false, "credentials" }, { e.code, e.outcome, e.retry, e.blame })
    assert.equal("no AccessKey was found: no option access_key_id; ALIBABA_CLOUD_ACCESS_KEY_ID is not set; "
      .. "there is no profile ~/.config/directmail/profile.lua; no OIDC role (ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, "
      .. "ALIBABA_CLOUD_OIDC_TOKEN_FILE are not set); ~/.aliyun/config.json: no such file or directory; ~/.alibabacloud/credentials: no such file or directory "
      .. "(nor credentials.ini); role of this ECS instance: http://100.100.100.200: no connection: this host has no http_handler (there is a metadata service on "
      .. "ECS instances only); ALIBABA_CLOUD_CREDENTIALS_URI is not set", e.cause)
    assert.matches("ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET", e.remedy)
  end)

  it("names the half of a pair that is missing, and goes on with a whole one", function()
    local _, e = find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIenv" })
    assert.is_truthy(e.cause:find("access_key_id comes from ALIBABA_CLOUD_ACCESS_KEY_ID, but access_key_secret is missing (ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set)",
      1, true), e.cause)
    _, e = find({}, { ALIBABA_CLOUD_ACCESS_KEY_SECRET = "s3cret" })
    assert.is_truthy(e.cause:find("access_key_secret comes from ALIBABA_CLOUD_ACCESS_KEY_SECRET, but access_key_id is missing (ALIBABA_CLOUD_ACCESS_KEY_ID is not set)",
      1, true), e.cause)
    assert.not_matches("s3cret", tostring(e))
    assert.equal("LTAIconfig", find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIenv" }, one(ak())).access_key_id)
  end)

  it("does not replace half a pair that was given by hand", function()
    local key, e = find({ access_key_id = "LTAIo" }, {}, one(ak()))
    assert.is_nil(key)
    assert.matches("access_key_secret is missing", e.cause)
    assert.equal("give access_key_secret too, or neither", e.remedy)
  end)

  it("takes a line end off a secret of config.json and warns", function()
    local key, _, host = find({}, {}, one(ak { access_key_secret = "config\n" }))
    assert.equal("config", key.access_key_secret)
    assert.same({ { "warn", 'access_key_secret (from ~/.aliyun/config.json, profile "default", mode AK): a line end behind it was taken off' } }, host.logs)
    key, _, host = find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "env\n" })
    assert.equal("env", key.access_key_secret)
    assert.equal(1, #host.logs)
  end)

  it("refuses stray characters by name, and shows no secret", function()
    for stray, name in pairs { [" "] = "a blank", ["\t"] = "a tab", ["\1"] = "a control character", ["\r\n"] = "a line break",
      ["\239\187\191"] = "a character outside of ASCII", ["\226\128\139"] = "a character outside of ASCII" } do
      for _, part in ipairs { "access_key_secret", "access_key_id" } do
        local key, e = find({}, {}, one(ak { [part] = "s3cr" .. stray .. "et" }))
        assert.is_nil(key)
        assert.equal("CREDENTIALS", e.code)
        assert.is_truthy(e.cause:find(("%s (from ~/.aliyun/config.json, profile \"default\", mode AK) holds %s"):format(part, name), 1, true), e.cause)
        assert.not_matches("s3cr", tostring(e))
      end
    end
    local _, e = find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "s3 cret" }, one(ak()))
    assert.matches("^access_key_secret %(from ALIBABA_CLOUD_ACCESS_KEY_SECRET%) holds a blank", e.cause)
    _, e = find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe", ALIBABA_CLOUD_ACCESS_KEY_SECRET = '"s3cret"' })
    assert.matches("stands in quotes", e.cause)
    _, e = find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "\n" })
    assert.matches("is empty", e.cause)
    assert.equal("s3\"c#%'$t", find({}, { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIe", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "s3\"c#%'$t" }).access_key_secret)
  end)

  it("sees a swapped pair, a forgotten token, a token that is left over", function()
    local _, e = find { access_key_id = "s3cret", access_key_secret = "LTAIx" }
    assert.matches("have changed places", e.cause)
    assert.not_matches("s3cret", tostring(e))
    _, e = find { access_key_id = "STS.x", access_key_secret = "s" }
    assert.matches("security_token is missing", e.cause)
    local key, _, host = find { access_key_id = "LTAIx", access_key_secret = "s", security_token = "t" }
    assert.equal("t", key.security_token)
    assert.matches("hardly belong together", host.logs[1][2])
    _, e = find { access_key_id = "LTAIx", access_key_secret = "LTAIx" }
    assert.matches("are the same text", e.cause)
  end)

  it("warns once, however many mails are signed", function()
    local host = host_of({}, one(ak { access_key_secret = "config\n" }))
    for _ = 1, 3 do credentials.find(assert(settings.read({}, host)), host) end
    assert.equal(1, #host.logs)
  end)

  it("says of an old spelling that it is ignored, unless the new one is set", function()
    local _, e = find({}, { ALICLOUD_ACCESS_KEY = "LTAIx", ACCESS_KEY_SECRET = "s3cret" })
    assert.is_truthy(e.cause:find("ALICLOUD_ACCESS_KEY is an old spelling and ignored: use ALIBABA_CLOUD_ACCESS_KEY_ID", 1, true), e.cause)
    assert.is_truthy(e.cause:find("ACCESS_KEY_SECRET is an old spelling and ignored: use ALIBABA_CLOUD_ACCESS_KEY_SECRET", 1, true), e.cause)
    assert.not_matches("s3cret", tostring(e))
    assert.same({ { name = "ALICLOUD_ACCESS_KEY", use = "ALIBABA_CLOUD_ACCESS_KEY_ID" } }, credentials.ignored(host_of { ALICLOUD_ACCESS_KEY = "x" }))
    assert.same({}, credentials.ignored(host_of { ALICLOUD_ACCESS_KEY = "x", ALIBABA_CLOUD_ACCESS_KEY_ID = "y" }))
  end)
end)
