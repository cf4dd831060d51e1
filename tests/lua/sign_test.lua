-- Signing from Lua: core.sign and the hashes beside it, and directmail.sign.
local core = require "directmail.core"
local err = require "directmail.err"
local sign = require "directmail.sign"
local signing = require "support.signing"

local function meets(v, got)
  for name, want in pairs(v.answers) do
    if type(want) == "table" then
      assert.equal(want.octets, #got[name], v.id .. " " .. name)
      assert.equal(want.sha256, core.sha256(got[name]), v.id .. " " .. name)
    else
      assert.equal(want, got[name], v.id .. " " .. name)
    end
  end
end

local function contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

describe("core", function()
  it("meets_all_111_vectors", function()
    local count = 0
    for _, v in ipairs(signing.read().vectors) do
      local got, why = core.sign(signing.request(v))
      assert.is_table(got, why and v.id .. " " .. why.detail)
      meets(v, got)
      count = count + 1
    end
    assert.equal(111, count)
  end)

  it("meets_the_encoding_table", function()
    local rows = signing.read().percent
    assert.equal(51, #rows)
    for _, row in ipairs(rows) do
      assert.equal(row.encoded, core.percent(row.text))
      assert.equal(row.twice, core.percent(core.percent(row.text)))
    end
  end)

  it("takes_a_body_in_base64", function()
    local request = { algorithm = "ACS3-HMAC-SHA256", access_key_secret = "s", http_method = "POST", host = "h",
      body_base64 = "AP+ACg0lJg==" }
    assert.equal(core.sha256 "\0\255\128\n\r%&", core.sign(request).hashed_payload)
    request.body_base64 = "A?"
    local got, why = core.sign(request)
    assert.is_nil(got)
    assert.same({ "CONTENT", "body_base64" }, { why.code, why.field })
    request.body_base64, request.body = "", ""
    got, why = core.sign(request)
    assert.is_nil(got)
    assert.same({ "OPTION", "body_base64" }, { why.code, why.field })
  end)

  it("signs_the_given_host_unless_the_headers_name_one", function()
    local request = { algorithm = "ACS3-HMAC-SHA256", access_key_secret = "s", http_method = "GET", host = "a.example",
      headers = { ["x-acs-date"] = "d" } }
    contains(core.sign(request).canonical_request, "\nhost:a.example\nx-acs-date:d\n\nhost;x-acs-date\n")
    request.headers.Host = "b.example"
    contains(core.sign(request).canonical_request, "\nhost:b.example\nx-acs-date:d\n\nhost;x-acs-date\n")
  end)

  it("names_the_field_that_it_refuses", function()
    local function refused(change, code, field, words)
      local request = { algorithm = "HMAC-SHA1", access_key_id = "id", access_key_secret = "hidden", http_method = "POST",
        params = { a = "1" } }
      for name, value in pairs(change) do request[name] = value end
      if change.drop then request[change.drop], request.drop = nil, nil end
      local got, why = core.sign(request)
      assert.is_nil(got)
      assert.same({ code, field }, { why.code, why.field })
      contains(why.detail, words)
      assert.is_nil(why.detail:find("hidden", 1, true))
    end
    refused({ drop = "algorithm" }, "OPTION", "algorithm", "missing")
    refused({ algorithm = "HMAC-SHA256" }, "OPTION", "algorithm", "ACS3-HMAC-SHA256")
    refused({ drop = "access_key_secret" }, "OPTION", "access_key_secret", "missing")
    refused({ access_key_secret = "" }, "CREDENTIALS", "access_key_secret", "empty")
    refused({ access_key_secret = 12 }, "OPTION", "access_key_secret", "not a number")
    refused({ drop = "http_method" }, "OPTION", "http_method", "missing")
    refused({ http_method = "post" }, "OPTION", "http_method", "capitals")
    refused({ drop = "params" }, "OPTION", "params", "missing")
    refused({ params = "a=1" }, "OPTION", "params", "not a string")
    refused({ params = { "1" } }, "OPTION", "params", "not a list")
    refused({ params = { a = 1 } }, "OPTION", "params.a", "not a number")
    refused({ params = { a = { "1" } } }, "OPTION", "params.a", "not a table")
    refused({ params = { a = "\255" } }, "CONTENT", "params.a", "not UTF-8 at byte 1")
    refused({ algorithm = "ACS3-HMAC-SHA256" }, "OPTION", "headers", "at least host")
    refused({ algorithm = "ACS3-HMAC-SHA256", host = "h\r\nx: y" }, "OPTION", "headers.host", "control character")
    refused({ algorithm = "ACS3-HMAC-SHA256", host = "h", path = "x" }, "OPTION", "path", "/")
    refused({ algorithm = "ACS3-HMAC-SHA256", host = "h", body = {} }, "OPTION", "body", "string")
  end)

  it("hashes", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.sha256 "")
    -- RFC 4231, test case 2
    local mac = core.hmac_sha256("Jefe", "what do ya want for nothing?"):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", mac)
    assert.equal(32, #core.hmac_sha256("", ""))
  end)

  it("compares_secrets_and_raises_when_one_is_not_set", function()
    assert.is_true(core.same("a\0b", "a\0b"))
    assert.is_false(core.same("a\0b", "a\0c"))
    assert.is_false(core.same("a", "ab"))
    assert.has_error(function() core.same(nil, nil) end)
    assert.has_error(function() core.same("1", 1) end)
  end)
end)

describe("sign.flatten", function()
  it("counts_from_one_and_goes_any_depth", function()
    assert.same({ ["Foo.1"] = "a", ["Foo.2"] = "b" }, sign.flatten { Foo = { "a", "b" } })
    assert.same({ ["Foo.1.Bar"] = "x" }, sign.flatten { Foo = { { Bar = "x" } } })
    assert.same({ ["Foo.Bar.Baz"] = "x" }, sign.flatten { Foo = { Bar = { Baz = "x" } } })
  end)

  it("skips_what_is_missing_and_keeps_the_index", function()
    assert.same({ ["Foo.1"] = "a", ["Foo.3"] = "c" }, sign.flatten { Foo = { "a", nil, "c" } })
    assert.same({ Empty = "" }, sign.flatten { None = {}, Empty = "" })
  end)

  it("spells_numbers_and_booleans_as_the_service_does", function()
    local flat = sign.flatten { a = 1, b = 2 / 2, c = 0.1, d = -0.5, e = 2 ^ 40, f = true, g = false, h = 123456789012, i = 1 / 3 }
    assert.same({ "1", "1", "0.1", "-0.5", "1099511627776", "true", "false", "123456789012" },
      { flat.a, flat.b, flat.c, flat.d, flat.e, flat.f, flat.g, flat.h })
    assert.equal(1 / 3, tonumber(flat.i))
  end)

  it("refuses_what_no_parameter_can_be", function()
    local ring = {}
    ring.x = ring
    for words, params in pairs {
      ["Foo is a function"] = { Foo = print }, ["Foo.2 is a userdata"] = { Foo = { "a", io.stdout } },
      ["not a finite number"] = { Foo = 1 / 0 }, ["nested deeper than 16"] = { Foo = ring },
      ["Foo.1 is given twice"] = { Foo = { "a", ["1"] = "b" } }, ["keys must be names"] = { "a" },
      ["neither a name nor a positive whole number"] = { Foo = { [0] = "a" } },
    } do
      local good, why = pcall(sign.flatten, params)
      assert.is_false(good)
      contains(why, words)
    end
    contains(select(2, pcall(sign.flatten, "a=1")), "table expected")
  end)
end)

describe("sign.request", function()
  local function call(change)
    local out = { host = "dm.aliyuncs.com", action = "SingleSendMail", api_version = "2015-11-23", access_key_id = "testid",
      access_key_secret = "testsecret", now = 1795437296, nonce = "fa08e433181aaa778265baf6753c0556" }
    for name, value in pairs(change or {}) do out[name] = value end
    return out
  end

  it("meets_the_v1_vectors_of_calls_like_ours", function()
    local common = { AccessKeyId = true, Action = true, Format = true, SecurityToken = true, SignatureMethod = true,
      SignatureNonce = true, SignatureVersion = true, Timestamp = true, Version = true }
    local made = 0
    for _, v in ipairs(signing.read().vectors) do
      local p = v.params
      -- the vector with another nonce than ASCII, and those at another second, are met in C
      if p.Format == "JSON" and p.Timestamp == "2026-11-23T12:34:56Z" and not p.SignatureNonce:find "[\128-\255]" then
        local own = {}
        for name, value in pairs(p) do
          if not common[name] then own[name] = value end
        end
        local ready = assert(sign.request(call { version = "v1", method = v.method, action = p.Action, api_version = p.Version,
          access_key_id = p.AccessKeyId, access_key_secret = v.secret, security_token = p.SecurityToken, now = 1795437296 + 0.75,
          nonce = p.SignatureNonce, [v.method == "GET" and "query" or "form"] = own }))
        local carrier = v.method == "GET" and ready.url:match "^/%?(.*)$" or ready.body
        local signed, signature = carrier:match "^(.*)&Signature=([^&]*)$"
        assert.equal(core.percent(v.answers.signature), signature, v.id)
        if type(v.answers.canonical_query) == "string" then assert.equal(v.answers.canonical_query, signed, v.id) end
        if v.method == "GET" then assert.is_nil(ready.body) else assert.equal("/", ready.url) end
        made = made + 1
      end
    end
    assert.is_true(made > 40, made)
  end)

  it("meets_the_published_v3_example", function()
    local ready = assert(sign.request { version = "v3", method = "POST", host = "ecs.cn-shanghai.aliyuncs.com", path = "/",
      query = { ImageId = "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", RegionId = "cn-shanghai" }, action = "RunInstances",
      api_version = "2014-05-26", access_key_id = "YourAccessKeyId", access_key_secret = "YourAccessKeySecret", now = 1698315752,
      nonce = "3156853299f313e23d1673dc12e1703d" })
    for _, v in ipairs(signing.read().vectors) do
      if v.id == "published-08" then assert.equal(v.answers.authorization, ready.headers.Authorization) end
    end
    assert.equal("/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", ready.url)
    assert.is_nil(ready.body)
    assert.is_nil(ready.headers["Content-Type"])
  end)

  it("gives_headers_and_a_form_that_core_signs_alike", function()
    local ready = assert(sign.request(call { security_token = "tok+/=", query = { RegionId = "cn-hangzhou" },
      form = { Subject = "Grüße & *", Attachments = { { AttachmentName = "a.txt" } }, AddressType = 1 } }))
    assert.equal("AddressType=1&Attachments.1.AttachmentName=a.txt&Subject=Gr%C3%BC%C3%9Fe%20%26%20%2A", ready.body)
    assert.equal("POST", ready.method)
    assert.equal("/?RegionId=cn-hangzhou", ready.url)
    local h = ready.headers
    assert.same({ "SingleSendMail", "2015-11-23", "2026-11-23T12:34:56Z", "fa08e433181aaa778265baf6753c0556", core.sha256(ready.body),
      "tok+/=", "application/x-www-form-urlencoded", "dm.aliyuncs.com" },
      { h["x-acs-action"], h["x-acs-version"], h["x-acs-date"], h["x-acs-signature-nonce"], h["x-acs-content-sha256"],
        h["x-acs-security-token"], h["Content-Type"], h.Host })
    local signed = {}
    for name, value in pairs(h) do
      if name ~= "Authorization" and name ~= "Accept" then signed[name] = value end
    end
    assert.equal(h.Authorization, core.sign { algorithm = "ACS3-HMAC-SHA256", access_key_id = "testid", access_key_secret = "testsecret",
      http_method = "POST", query = { RegionId = "cn-hangzhou" }, headers = signed, body = ready.body }.authorization)
  end)

  it("signs_the_second_and_never_the_zone_of_this_machine", function()
    assert.equal("2026-11-23T12:34:56Z", sign.request(call { now = 1795437296.999 }).headers["x-acs-date"])
    assert.equal("1970-01-01T00:00:00Z", sign.request(call { now = 0 }).headers["x-acs-date"])
  end)

  it("returns_the_worlds_failures_with_a_remedy", function()
    for field, value in pairs { access_key_id = " testid", access_key_secret = "testsecret\n", security_token = "a\r\n" } do
      local ready, e = sign.request(call { [field] = value })
      assert.is_nil(ready)
      assert.is_true(err.is(e))
      assert.same({ "CREDENTIALS", field, "not_sent", false }, { e.code, e.detail, e.outcome, e.retry })
      contains(e.remedy, "ALIBABA_CLOUD_")
      assert.is_nil(tostring(e):find("testsecret", 1, true))
    end
    local _, e = sign.request(call { form = { Subject = "a\255" } })
    assert.same({ "CONTENT", "form.Subject" }, { e.code, e.detail })
    contains(e.cause, "byte 2")
    _, e = sign.request(call { version = "v1", form = { Timestamp = "x" } })
    assert.same({ "OPTION", "form.Timestamp" }, { e.code, e.detail })
    _, e = sign.request(call { method = "GET", form = { A = "x" } })
    assert.same({ "OPTION", "form" }, { e.code, e.detail })
  end)

  it("raises_misuse_at_the_callers_line", function()
    for words, change in pairs {
      ['unknown field "nonse" in sign.request (did you mean "nonce"?)'] = { nonse = "x" },
      ["field 'now' of sign.request must be a number"] = { now = "2026" },
      ["field 'now' of sign.request must be seconds since 1970"] = { now = -1 },
      ["field 'version' of sign.request must be"] = { version = "v2" },
      ["field 'form' of sign.request: Foo is a function"] = { form = { Foo = print } },
    } do
      local good, why = pcall(function() sign.request(call(change)) end)
      assert.is_false(good)
      contains(why, words)
      contains(why, "sign_test.lua:")
    end
    contains(select(2, pcall(function() sign.request { host = "h" } end)), "field 'action' of sign.request is missing")
    contains(select(2, pcall(function() sign.request(call { now = 0 / 0 }) end)), "seconds since 1970")
  end)
end)
