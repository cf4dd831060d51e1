-- directmail config show: keys that are fetched when they are needed, which it does not do.
local cjson = require "cjson"
local command = require "support.command"
local std = require "directmail.host.std"
local support = require "support.credentials"

local home, listener
setup(function()
  home = command.folder()
  os.execute(("mkdir -p %s/.aliyun %s/.alibabacloud"):format(home, home))
  -- whatever is asked gets no answer: who waits for one takes too long
  listener = assert(std.listen("127.0.0.1", 0))
end)
teardown(function()
  listener:close()
  command.remove(home)
end)
before_each(function() os.execute(("rm -f %s/.aliyun/* %s/.alibabacloud/*"):format(home, home)) end)

local function show(env)
  local all = { HOME = home, DIRECTMAIL_STS = "http://127.0.0.1:" .. listener.port, DIRECTMAIL_METADATA = "http://127.0.0.1:" .. listener.port }
  for name, value in pairs(env or {}) do all[name] = value end
  local start = std.tick()
  local code, out, err = command.run { "config", "show", "--json", env = all }
  assert.equal(0, code, err)
  assert.is_true(std.tick() - start < 3, "it asked and waited")
  assert.is_nil((out .. err):find("s3cret", 1, true))
  local by = {}
  for _, row in ipairs(cjson.decode(out).settings) do by[row.setting] = row end
  return by, err
end

describe("directmail config show", function()
  it("names the source of a temporary key without asking it", function()
    command.write(home .. "/.aliyun/config.json", support.config { name = "prod", mode = "RamRoleArn", access_key_id = "LTAIbase", access_key_secret = "s3cret",
      ram_role_arn = support.ROLE })
    local by = show()
    assert.same({ "temporary", '~/.aliyun/config.json, profile "prod", mode RamRoleArn; asked for when it is needed' },
      { by.access_key_id.value, by.access_key_id.from })
    assert.is_nil(by.access_key_secret)
    assert.is_nil(by.security_token)
    by = show(support.OIDC)
    assert.equal("OIDC role of ALIBABA_CLOUD_ROLE_ARN; asked for when it is needed", by.access_key_id.from)
    by = show { ALIBABA_CLOUD_CONFIG_FILE = "/none", ALIBABA_CLOUD_CREDENTIALS_URI = "http://127.0.0.1:" .. listener.port .. "/s3cret" }
    assert.equal("credentials server of ALIBABA_CLOUD_CREDENTIALS_URI; asked for when it is needed", by.access_key_id.from)
  end)

  it("lists every source when there is none, the machine's role among them", function()
    local by = show { ALIBABA_CLOUD_ECS_METADATA_DISABLED = "" }       -- set by the runner of commands
    assert.is_nil(by.access_key_id.value)
    assert.same({ "no option access_key_id; ALIBABA_CLOUD_ACCESS_KEY_ID is not set; there is no profile ~/.config/directmail/profile.lua",
      "no OIDC role (ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE are not set)",
      "~/.aliyun/config.json: no such file or directory", "~/.alibabacloud/credentials: no such file or directory (nor credentials.ini)",
      "role of this ECS instance: not asked without need", "ALIBABA_CLOUD_CREDENTIALS_URI is not set" }, by.access_key_id.notes)
    assert.equal("DIRECTMAIL_METADATA", by.metadata.from)
    assert.equal("DIRECTMAIL_STS", by.sts.from)
  end)

  it("shows a key of the SDKs' file", function()
    command.write(home .. "/.alibabacloud/credentials", "[default]\ntype = access_key\naccess_key_id = LTAI5tAbcdefghijklmn3fQ9\naccess_key_secret = s3crets3cret\n")
    local by = show()
    assert.same({ "LTAI****************3fQ9", "~/.alibabacloud/credentials, section [default], type access_key" }, { by.access_key_id.value, by.access_key_id.from })
    assert.equal("set, 12 characters", by.access_key_secret.value)
  end)
end)
