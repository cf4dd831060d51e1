-- A credentials server, against a stand-in.
local std = require "directmail.host.std"
local support = require "support.credentials"

local service
before_each(function() service = support.serve(function(_, n) return support.json(support.key(n)) end) end)
after_each(function() service.close() end)

local function host_of(url) return support.host { env = { ALIBABA_CLOUD_CREDENTIALS_URI = url or service.url .. "/s3cret?of=t0ken" } } end

local function fails(words, url, retry)
  local key, e = support.find(host_of(url))
  assert.is_nil(key)
  support.holds(e.cause, words)
  assert.equal(retry or false, e.retry, words)
end

local function answer(change, words, retry)
  local json = support.key(1)
  for name, value in pairs(change) do json[name] = value ~= "" and value or nil end
  service.answer = function() return support.json(json) end
  if not words then return assert(support.find(host_of())) end
  fails(words, nil, retry)
end

describe("a credentials server", function()
  it("gives a key, by the variable", function()
    local key = assert(support.find(host_of()))
    assert.same({ "STS.n1", "s3cret1", "t0ken1", "credentials server of ALIBABA_CLOUD_CREDENTIALS_URI" },
      { key.access_key_id, key.access_key_secret, key.security_token, key.from })
    assert.same({ "GET", "/s3cret", "t0ken" }, { service.asked[1].method, service.asked[1].path, service.asked[1].args.of })
  end)

  it("gives one by config.json, unless that is forbidden", function()
    local host = support.host { env = {}, files = { [support.CONFIG] = support.config { mode = "CredentialsURI", credentials_uri = service.url } } }
    assert.equal('~/.aliyun/config.json, profile "default", mode CredentialsURI', assert(support.find(host)).from)
    for _, value in ipairs { "1", "true", "TRUE" } do
      local other = support.host { env = { ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS = value }, files = host.given.files }
      local key, e = support.find(other)
      assert.is_nil(key)
      support.holds(e.cause, "mode CredentialsURI: forbidden by ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS")
    end
    local key, e = support.find(support.host { files = { [support.CONFIG] = support.config { mode = "CredentialsURI" } } })
    assert.is_nil(key)
    support.holds(e.cause, "credentials_uri is missing")
  end)

  it("need not say Code or Expiration, but what it says must hold", function()
    assert.equal("STS.n1", answer({ Code = "Success" }).access_key_id)
    assert.is_nil(answer({ Expiration = "" }).expires)
    answer({ Code = "Failed" }, "answers Code Failed", true)
    answer({ Code = 7 }, "answers Code of no text", true)
    answer({ Expiration = "soon" }, "with an Expiration that is no date")
    answer({ Expiration = support.date(std.now() - 1) }, "the key ended already")
    answer({ AccessKeyId = "" }, "answers without AccessKeyId")
    answer({ AccessKeySecret = "" }, "answers without AccessKeySecret")
    answer({ SecurityToken = "" }, "answers without SecurityToken")
    answer({ SecurityToken = "t0 ken" }, "security_token (from credentials server of ALIBABA_CLOUD_CREDENTIALS_URI) holds a blank")
  end)

  it("tells what was wrong with an answer", function()
    for words, reply in pairs {
      ["redirects (HTTP 307)"] = { status = 307, headers = { Location = "http://192.0.2.1/" }, body = "" }, ["answers HTTP 404"] = { status = 404, body = "s3cret" },
      ["answers HTTP 204"] = { status = 204 }, ["larger than 65536 octets"] = { status = 200, body = ("s3cret"):rep(20000) },
    } do
      service.answer = function() return reply end
      fails(words)
      assert.is_nil(service.asked[#service.asked].headers["x-again"])
    end
    for words, reply in pairs { ["answers a page instead of JSON"] = { status = 200, body = "\n<html>s3cret" }, ["answers what is no JSON"] = { status = 200, body = "s3cret" },
      ["answers HTTP 503"] = { status = 503, body = "" } } do
      service.answer = function() return reply end
      fails(words, nil, true)
    end
  end)

  it("is never asked in clear text elsewhere, nor with a user's name", function()
    fails("http://192.0.2.1: a key would come in clear text", "http://192.0.2.1/s3cret")
    fails("the address has no host that can be used", "http://t0ken@127.0.0.1/")
    fails("the address is no URL of HTTP", "file:///s3cret")
    assert.equal(0, #service.asked)
  end)
end)
