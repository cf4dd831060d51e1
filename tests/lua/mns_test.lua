-- directmail.mns: a real push of 2023-03-29 (headers and signature as a public test of another receiver has them) is believed, any other is not.
local core = require "directmail.core"
local mns = require "directmail.mns"

local CERTIFICATE = [[
-----BEGIN CERTIFICATE-----
MIICiDCCAjKgAwIBAgIJAL+acWZrTrlfMA0GCSqGSIb3DQEBBQUAMGMxCzAJBgNV
BAYTAjg2MREwDwYDVQQIEwhaaGVqaWFuZzERMA8GA1UEBxMISGFuZ3pob3UxDzAN
BgNVBAoTBkFsaXl1bjEMMAoGA1UECxMDTW5zMQ8wDQYDVQQDEwZub3RpZnkwHhcN
MTUwNzAyMDIwNjE2WhcNMTYwNzAxMDIwNjE2WjBjMQswCQYDVQQGEwI4NjERMA8G
A1UECBMIWmhlamlhbmcxETAPBgNVBAcTCEhhbmd6aG91MQ8wDQYDVQQKEwZBbGl5
dW4xDDAKBgNVBAsTA01uczEPMA0GA1UEAxMGbm90aWZ5MFwwDQYJKoZIhvcNAQEB
BQADSwAwSAJBALX0sFVowct1NAQjDyYSUf0rp1rOHLkz4kp0zNWcDyXMXa5PzsPU
UwJXaLwhvNCDLLWuiLK6Oh5elmOmL8Gy/5MCAwEAAaOByDCBxTAdBgNVHQ4EFgQU
kEah2o9HpCUCxhN/fY3kUtPkP4owgZUGA1UdIwSBjTCBioAUkEah2o9HpCUCxhN/
fY3kUtPkP4qhZ6RlMGMxCzAJBgNVBAYTAjg2MREwDwYDVQQIEwhaaGVqaWFuZzER
MA8GA1UEBxMISGFuZ3pob3UxDzANBgNVBAoTBkFsaXl1bjEMMAoGA1UECxMDTW5z
MQ8wDQYDVQQDEwZub3RpZnmCCQC/mnFma065XzAMBgNVHRMEBTADAQH/MA0GCSqG
SIb3DQEBBQUAA0EAluPg+k0Fc7WRcpP78+eLptYD8an7YOapUdNUmT2/SQC5BZ+t
cyWFit5pAEipngFL105d7AuW2AtwqG0FgV0ipw==
-----END CERTIFICATE-----
]]

local function request()
  return { method = "POST", target = "/notifications", headers = {
    authorization = "LP3cxoTCbhsiLJi0KQdEiRaufaxMfWUdLH064yoVoKl8xNcY+299itGmGsirVMY8vDpuZ1VwS0Uw7R5dNduSXg==",
    ["content-md5"] = "4CCBAD7AF2D23C2D00DDECCA59323A8C", ["content-type"] = "text/plain;charset=utf-8", date = "Wed, 29 Mar 2023 08:41:27 GMT",
    ["x-mns-message-id"] = "250EB49D5F8D737A391C93C6ED165396", ["x-mns-publish-time"] = "1680079287576", ["x-mns-request-id"] = "6423F9B7BF94313030AF5EA0",
    ["x-mns-signing-cert-url"] = "aHR0cHM6Ly9tbnN0ZXN0Lm9zcy1jbi1oYW5nemhvdS5hbGl5dW5jcy5jb20veDUwOV9wdWJsaWNfY2VydGlmaWNhdGUucGVt",
    ["x-mns-subscriber"] = "1321669497458181", ["x-mns-subscription-name"] = "mns-en-subs-oss-fecdn-internal-pre-1-22849529855680",
    ["x-mns-topic-name"] = "mns-en-topics-oss-fecdn-internal-pre-22849529792243", ["x-mns-topic-owner"] = "1321669497458181",
    ["x-mns-version"] = "2015-06-06", host = "example.com", ["user-agent"] = "x",
  } }
end

local MD5 = ("4CCBAD7AF2D23C2D00DDECCA59323A8C"):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
local function with(changes)
  local out = { certificate = CERTIFICATE, account = "1321669497458181", md5 = MD5, now = 1680079287 }
  for name, value in pairs(changes or {}) do out[name] = value end
  return out
end

describe("a push of MNS", function()
  it("is believed", function() assert.same({ true }, { mns.check(request(), with()) }) end)

  it("is not, when any signed part is another", function()
    local parts = { "content-type", "date", "x-mns-message-id", "x-mns-publish-time", "x-mns-request-id", "x-mns-version", "x-mns-topic-name" }
    for _, name in ipairs(parts) do
      local r = request()
      r.headers[name] = r.headers[name]:gsub("%w$", "X"):gsub("GMX$", "+0000")
      assert.matches("signature", select(2, mns.check(r, with())), name)
    end
    for change, value in pairs { method = "PUT", target = "/notifications?x" } do
      local r = request()
      r[change] = value
      assert.matches("signature", select(2, mns.check(r, with())))
    end
    local r = request()
    r.headers["x-mns-more"] = "x"
    assert.matches("signature", select(2, mns.check(r, with())))
  end)

  it("is not, with another body, an old date, or another customer's topic", function()
    assert.matches("Content%-MD5", select(2, mns.check(request(), with { md5 = ("\0"):rep(16) })))
    assert.matches("date", select(2, mns.check(request(), with { now = 1680079287 + 901 })))
    assert.matches("date", select(2, mns.check(request(), with { now = 1680079287 - 901 })))
    assert.matches("account", select(2, mns.check(request(), with { account = "1" })))
    for name, why in pairs { authorization = "Authorization", ["content-md5"] = "cover the body", date = "date", ["x-mns-topic-owner"] = "account" } do
      local r = request()
      r.headers[name] = nil
      assert.matches(why, select(2, mns.check(r, with())))
    end
  end)

  it("is not, when what stands at the URL is no certificate", function()
    assert.matches("no certificate", select(2, mns.check(request(), with { certificate = "<html>404</html>" })))
  end)

  it("may say the MD5 in each of the ways that are seen and documented", function()
    for _, way in ipairs { "4ccbad7af2d23c2d00ddecca59323a8c", core.base64(MD5), core.base64 "4ccbad7af2d23c2d00ddecca59323a8c" } do
      local r = request()
      r.headers["content-md5"] = way
      assert.matches("signature", select(2, mns.check(r, with())))     -- past the comparison; the text that was signed is another
    end
  end)
end)

describe("the certificate's URL", function()
  local function url(text, hosts) return mns.certificate_url(core.base64(text), hosts) end

  it("is taken from the vendor's hosts only, and always by https", function()
    assert.equal("https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem", (mns.certificate_url(request().headers["x-mns-signing-cert-url"])))
    assert.equal("https://mnstest.oss-cn-hangzhou.aliyuncs.com/a.pem", (url "http://mnstest.oss-cn-hangzhou.aliyuncs.com/a.pem"))
    assert.equal("https://own.example/a.pem", (url("https://own.example/a.pem", { "own.example" })))
  end)

  it("is refused for every trick with the host", function()
    for _, bad in ipairs { "https://evil.example/a.pem",
      "https://mnstest.oss-cn-hangzhou.aliyuncs.com.evil.example/a", "https://evil.example/mnstest.oss-cn-hangzhou.aliyuncs.com/",
      "https://mnstest.oss-cn-hangzhou.aliyuncs.com@evil.example/a", "https://evil.example#mnstest.oss-cn-hangzhou.aliyuncs.com/a",
      "https://xmnstest.oss-cn-hangzhou.aliyuncs.com/a", "https://mnstest.oss-cn-hangzhou.aliyuncs.com:8443/a", "ftp://mnstest.oss-cn-hangzhou.aliyuncs.com/a",
      "https://mnstest.oss-cn-hangzhou.aliyuncs.com", "https://mnstest.oss-cn-hangzhou.aliyuncs.com/a\r\nHost: x", "//mnstest.oss-cn-hangzhou.aliyuncs.com/a",
      "https://MNSTEST.oss-cn-hangzhou.aliyuncs.com/a?x", "", ("x"):rep(5000) } do
      assert.is_nil((url(bad)), bad)
    end
    for _, bad in ipairs { "%%%", "aGk", ("A"):rep(4000) } do assert.is_nil((mns.certificate_url(bad))) end
    assert.is_nil((mns.certificate_url(nil)))
  end)
end)
