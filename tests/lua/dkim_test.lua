-- directmail.dkim: keys as verifiers read them.
local core = require "directmail.core"
local dkim = require "directmail.dkim"

local B512 = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKuuWgONXSu9DA5Y0COH+z2PLoiCGwQp4qiR6vljK5ODR/J9O5j+tdnKCF3bk2yHOwC8bYB4GQzZ9elAJjAoOekCAwEAAQ=="
local B1024 = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDjqTCvEWxVyY1cZ5j7me/41kfXO5CbnqJBZe4g3rhaWqm+1z/NCeHABBYoEx/0iP08ASxVCeGU4+mJvUR22Uoyxnu+Er7C"
  .. "1LyEnrRQL1uZz4DtjDSWI/vxwiJT0skRVNL+utKIY3cqEz/igdQlUrgvAxmAZlIOl8gHPYrfHQNabQIDAQAB"

describe("dkim", function()
  it("tells the bits of a key, with and without its wrapping", function()
    assert.equal(512, dkim.read("v=DKIM1; k=rsa; p=" .. B512).bits)
    assert.equal(1024, dkim.read("v=DKIM1; k=rsa; p=" .. B1024).bits)
    assert.equal(1024, dkim.read("p=" .. B1024).bits)
    -- the RSAPublicKey alone, as some tools publish it: it begins behind the wrapping's 22 octets
    local bare = core.base64(core.base64_decode(B1024):sub(23))
    assert.equal(1024, dkim.read("p=" .. bare).bits)
  end)

  it("takes no key that was cut or changed anywhere", function()
    local bytes = core.base64_decode(B512)
    for n = 0, #bytes - 1 do
      local read = dkim.read("v=DKIM1; p=" .. core.base64(bytes:sub(1, n)))
      assert.is_truthy(read.fault or read.revoked, n)
    end
    for i = 1, 20 do
      for _, octet in ipairs { 0, 0x7F, 0x80, 0x84, 0xFF } do dkim.read("p=" .. core.base64(bytes:sub(1, i - 1) .. string.char(octet) .. bytes:sub(i + 1))) end
    end
  end)

  it("says what is wrong", function()
    for text, rule in pairs {
      ['"v=DKIM1; p=' .. B512 .. '"'] = "quotes", ["v=DKIM1\\; p=" .. B512] = "quotes", ["v=DKIM1; p=MFww DQYJ"] = "quotes", ["v=DKIM2; p=" .. B512] = "key",
        ["k=rsa; v=DKIM1; p=" .. B512] = "key",
      ["v=DKIM1; k=rsa"] = "key", ["v=DKIM1; k=dsa; p=" .. B512] = "key", ["v=DKIM1; p=!!"] = "key", ["v=DKIM1; p=AAAA"] = "key", ["v=DKIM1; k=ed25519; p=AAAA"] = "key",
    } do
      local read = dkim.read(text)
      assert.equal(rule, read.rule, text)
      assert.is_string(read.fault)
    end
    assert.is_true(dkim.read("v=DKIM1; p=").revoked)
    assert.is_true(dkim.read("v=DKIM1; t=s:y; p=" .. B512).test)
    assert.is_false(dkim.read("v=DKIM1; t=s; p=" .. B512).test)
    assert.is_nil(dkim.read("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").fault)     -- RFC 8463, A.2
  end)

  it("compares keys whatever stands around them", function()
    assert.equal(dkim.key("v=DKIM1; k=rsa; p=" .. B512), dkim.key("k=rsa;p=" .. B512:sub(1, 20) .. " " .. B512:sub(21) .. ";"))
    assert.is_nil(dkim.key "v=DKIM1")
    assert.is_true(dkim.is "p=abc")
    assert.is_false(dkim.is "google-site-verification")
  end)
end)
