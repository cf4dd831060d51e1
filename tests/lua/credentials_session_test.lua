-- Temporary keys over time: renewed early, once for all, and never used when they have ended.
local credentials = require "directmail.credentials"
local memory = require "directmail.host.memory"
local settings = require "directmail.settings"
local support = require "support.credentials"

local URI = "http://127.0.0.1:9/key"
local host, asked, env, life, answer

-- A credentials server in memory, whose clock and ours are one.
before_each(function()
  asked, life, answer = 0, 3600, nil
  env = { HOME = support.HOME, ALIBABA_CLOUD_CREDENTIALS_URI = URI, ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" }
  host = memory.new { env = env }
  host.http_handler = function(request)
    asked = asked + 1
    if answer then return answer(request) end
    local key = support.key(asked, life, host.now())
    if life == nil then key.Expiration = nil end
    return { status = 200, headers = {}, body = support.json(key).body }
  end
end)

local function find(how) return support.find(host, {}, how) end
local function down() return nil, { code = "CONNECT", words = "connection refused", step = "connect", sent = false, seconds = 0 } end
local function id() return assert(find()).access_key_id end

describe("a temporary key", function()
  it("is renewed a quarter of an hour before its end, a little earlier at some machines", function()
    assert.equal("STS.n1", id())
    host.sleep(3600 - 990 - 1)
    assert.equal("STS.n1", id())
    host.sleep(92)
    assert.equal("STS.n2", id())
    assert.equal(2, asked)
  end)

  it("is renewed when a quarter of a short life is left, but three minutes before its end at least", function()
    for lifetime, margin in pairs { [2000] = 500, [600] = 180, [400] = 180 } do
      env.ALIBABA_CLOUD_CREDENTIALS_URI = URI .. lifetime
      life, asked = lifetime, 0
      assert.equal("STS.n1", id())
      host.sleep(lifetime - margin * 1.1 - 2)
      assert.equal("STS.n1", id(), lifetime)
      host.sleep(margin * 0.1 + 3)
      assert.equal("STS.n2", id(), lifetime)
    end
  end)

  it("is not asked for at every call when the service goes on with one that ends soon", function()
    life = 100
    for _ = 1, 9 do
      id()
      host.sleep(1)
    end
    assert.equal(1, asked)
    host.sleep(2)
    assert.equal("STS.n2", id())
  end)

  it("is used as long as it is good when no new one comes, with growing pauses and a warning", function()
    id()
    answer = down
    host.sleep(3600 - 600)
    assert.equal("STS.n1", id())
    assert.equal(2, asked)
    assert.equal("warn", host.logs[1][1])
    support.holds(host.logs[1][2], "credentials server of ALIBABA_CLOUD_CREDENTIALS_URI: no new key (http://127.0.0.1:9: connection refused); "
      .. "the old one is used until 2026-01-01T01:00:00Z")
    host.sleep(9)
    id()
    assert.equal(2, asked)
    host.sleep(2)
    id()
    assert.equal(3, asked)
    host.sleep(11)
    id()
    assert.equal(3, asked)
    host.sleep(10)
    id()
    assert.equal(4, asked)
    host.sleep(100)
    answer = nil
    assert.equal("STS.n5", id())
  end)

  it("is never used after its end: the error names source, end and reason, and may pass", function()
    id()
    answer = down
    host.sleep(3600)
    local key, e = find()
    assert.is_nil(key)
    assert.is_true(e.retry)
    support.holds(e.cause, "credentials server of ALIBABA_CLOUD_CREDENTIALS_URI: http://127.0.0.1:9: connection refused (the key before ended at 2026-01-01T01:00:00Z)")
    assert.equal(2, asked)
    find()                      -- at once: who failed a moment ago is not asked again
    assert.equal(2, asked)
    host.sleep(1.1)
    answer = nil
    assert.equal("STS.n3", id())
  end)

  it("is asked for again after a minute when it does not say when it ends", function()
    life = nil
    host.http_handler = function()
      asked = asked + 1
      if answer then return answer() end
      local key = support.key(asked)
      key.Expiration = nil
      return { status = 200, headers = {}, body = support.json(key).body }
    end
    assert.equal("STS.n1", id())
    host.sleep(59)
    assert.equal("STS.n1", id())
    host.sleep(2)
    assert.equal("STS.n2", id())
    answer = down
    host.sleep(3000)
    assert.equal("STS.n2", id())
    host.sleep(700)
    assert.is_nil((find()))
  end)

  it("is dropped when the service calls it expired", function()
    local key = assert(find())
    local other = assert(find { refused = key })
    assert.equal("STS.n2", other.access_key_id)
    assert.equal(other, assert(find { refused = key }))         -- it has been replaced by now
    assert.equal(2, asked)
  end)
end)

describe("many calls", function()
  local function many(n)
    local tasks, keys = {}, {}
    for i = 1, n do tasks[i] = host.spawn(function() keys[i] = find() or false end) end
    for i = 1, n do assert(host.wait(tasks[i])) end
    return keys
  end

  local function slow(request)
    host.sleep(1)
    answer = nil
    asked = asked - 1
    return host.http_handler(request)
  end

  it("wait for one fetch", function()
    answer = slow
    local keys = many(20)
    assert.equal(1, asked)
    for i = 1, 20 do assert.equal("STS.n1", keys[i].access_key_id) end
  end)

  it("go on with the key that is still good while one renews it", function()
    id()
    host.sleep(3600 - 600)
    answer = slow
    local keys, new = many(20), 0
    assert.equal(2, asked)
    for i = 1, 20 do if keys[i].access_key_id == "STS.n2" then new = new + 1 end end
    assert.equal(1, new)
    assert.equal("STS.n2", id())
  end)

  it("take over when the one who fetches never comes back", function()
    answer = function()
      answer = nil
      host.sleep(1e6)           -- a task that was abandoned
      return down()
    end
    host.spawn(function() find() end)
    local start = host.tick()
    local keys = many(5)
    assert.equal(2, asked)
    for i = 1, 5 do assert.equal("STS.n2", keys[i].access_key_id) end
    assert.is_true(host.tick() - start < 30)
  end)
end)

describe("the source", function()
  it("that worked is the only one asked from then on", function()
    id()
    host.sleep(3600 - 600)
    env.ALIBABA_CLOUD_ROLE_ARN, env.ALIBABA_CLOUD_OIDC_PROVIDER_ARN, env.ALIBABA_CLOUD_OIDC_TOKEN_FILE = support.ROLE, support.PROVIDER, "/token"
    assert.equal("STS.n2", id())
    answer = down
    host.sleep(3600)
    local _, e = find()
    assert.is_nil(e.cause:find("OIDC", 1, true))
  end)

  it("is not the last one for ever when all have failed", function()
    env.ALIBABA_CLOUD_CREDENTIALS_URI = ""
    assert.is_nil((find()))
    env.ALIBABA_CLOUD_ACCESS_KEY_ID, env.ALIBABA_CLOUD_ACCESS_KEY_SECRET = "LTAIenv", "s3cret"
    assert.equal("LTAIenv", id())
    env.ALIBABA_CLOUD_ACCESS_KEY_ID, env.ALIBABA_CLOUD_ACCESS_KEY_SECRET = "", ""
    env.ALIBABA_CLOUD_CREDENTIALS_URI = URI
    assert.equal("STS.n1", id())
  end)

  it("gives way to a key that is given by hand", function()
    id()
    local values = assert(settings.read({ access_key_id = "LTAIo", access_key_secret = "o" }, host))
    assert.equal("LTAIo", credentials.find(values, host).access_key_id)
    assert.equal("STS.n1", id())
  end)

  it("that nobody named, the role of a machine, is asked once a minute only when it is not there", function()
    env.ALIBABA_CLOUD_CREDENTIALS_URI, env.ALIBABA_CLOUD_ECS_METADATA_DISABLED = "", ""
    answer = function(request)
      assert(request.url:find("^http://100%.100%.100%.200/") and not request.proxy, request.url)
      return down()
    end
    for _ = 1, 3 do assert.is_nil((find())) end
    assert.equal(1, asked)
    host.sleep(59)
    find()
    assert.equal(1, asked)
    host.sleep(2)
    local _, e = find()
    assert.equal(2, asked)
    assert.is_false(e.retry)
  end)
end)
