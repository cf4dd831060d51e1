-- Keys inside nginx: files are read before the workers begin, roles are asked over cosockets.
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"
local support = require "support.credentials"

local box, service, rig, folder

setup(function()
  box = assert(sandbox.start())
  service = support.serve(function()
    host.sleep(0.1)
    local t = box.account.temporary
    return support.json { Credentials = { AccessKeyId = t.access_key_id, AccessKeySecret = t.access_key_secret, SecurityToken = t.security_token,
      Expiration = support.date(host.now() + 3600) } }
  end)
  folder = assert(host.mkdtemp())
  local file = assert(io.open(folder .. "/config.json", "wb"))
  file:write(support.config({ mode = "RamRoleArn", access_key_id = "LTAIbase", access_key_secret = "s3cret", ram_role_arn = support.ROLE },
    { name = "external", mode = "External", process_command = "/bin/true" }))
  file:close()
  os.execute(("chmod 755 '%s'"):format(folder))
  local env = peers.settings(box)
  env.ALIBABA_CLOUD_ACCESS_KEY_ID, env.ALIBABA_CLOUD_ACCESS_KEY_SECRET, env.DIRECTMAIL_SMTP, env.DIRECTMAIL_SMTP_PASSWORD = nil, nil, nil, nil
  env.HOME, env.ALIBABA_CLOUD_CONFIG_FILE, env.DIRECTMAIL_STS = "/nowhere", folder .. "/config.json", service.url
  env.ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true"      -- the machine's own role is none of our business
  local function server(more)
    for name, value in pairs(more or {}) do env[name] = value end
    return nginx.start { env = env, workers = 1, http = [[
      lua_socket_log_errors off;
      init_by_lua_block { require "directmail" }
      server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }
    ]] }
  end
  rig = { role = server(), external = server { ALIBABA_CLOUD_PROFILE = "external" } }
  assert(os.remove(folder .. "/config.json"))           -- nginx has read it by now, and a worker could not
end)

teardown(function()
  rig.role:stop()
  rig.external:stop()
  service.close()
  box:stop()
  os.execute(("rm -rf '%s'"):format(folder))
end)

describe("nginx", function()
  it("takes a role on once for all requests of a worker, by a file that was read at the start", function()
    local tasks, outcomes = {}, {}
    for i = 1, 10 do
      tasks[i] = host.spawn(function()
        local receipt, e = rig.role:run [[ return assert(directmail.new { via = "api" }):send { to = "ann@example.com", subject = "x", text = "x" } ]]
        outcomes[i] = type(receipt) == "table" and receipt.outcome or json.encode(e)
      end)
    end
    for i = 1, 10 do assert(host.wait(tasks[i])) end
    for i = 1, 10 do assert.equal("sent", outcomes[i]) end
    assert.equal(1, #service.asked)
  end)

  it("refuses to run programs", function()
    local receipt, e = rig.external:run [[ return assert(directmail.new { via = "api" }):send { to = "ann@example.com", subject = "x", text = "x" } ]]
    assert.equal(json.null, receipt)
    support.holds(e.cause, "mode External: this home (nginx) runs no programs")
    support.clean(e.cause)
  end)
end)
