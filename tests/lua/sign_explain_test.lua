-- Why a signature did not match: the answer is read, taken apart and compared.
local answer = require "directmail.sign.answer"
local canonical = require "directmail.sign.canonical"
local core = require "directmail.core"
local err = require "directmail.err"
local explain = require "directmail.sign.explain"
local json = require "cjson"
local sign = require "directmail.sign"
local value = require "directmail.sign.value"

local V1 = "Specified signature is not matched with our calculation. server string to sign is:"

local function rows()
  local list = {}
  for line in io.lines "tests/data/mistakes.tsv" do
    if line:sub(1, 1) ~= "#" then
      local mistake, told, byte, parameter, ours, theirs = line:match "^([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)$"
      list[#list + 1] = { mistake = mistake, told = told, byte = tonumber(byte), parameter = parameter ~= "-" and parameter or nil,
        ours = ours, theirs = theirs }
    end
  end
  return list
end

-- A string to sign of V1, right.
local function v1(change, method)
  local params = { AccessKeyId = "testid", Action = "SingleSendMail", Format = "JSON", SignatureMethod = "HMAC-SHA1", SignatureNonce = "6a1f",
    SignatureVersion = "1.0", Subject = "a", Timestamp = "2026-11-23T12:34:56Z", Version = "2015-11-23" }
  for name, one in pairs(change or {}) do params[name] = one ~= false and one or nil end
  return assert(core.sign { algorithm = "HMAC-SHA1", access_key_secret = "s", http_method = method or "POST", params = params }).string_to_sign
end

-- What core.sign says of a request of V3, right.
local function v3(change)
  local request = { algorithm = "ACS3-HMAC-SHA256", access_key_secret = "s", http_method = "POST", query = {}, body = "Subject=a",
    headers = { host = "dm.aliyuncs.com", ["content-type"] = "application/x-www-form-urlencoded", ["x-acs-action"] = "SingleSendMail",
      ["x-acs-date"] = "2026-11-23T12:34:56Z", ["x-acs-signature-nonce"] = "6a1f", ["x-acs-version"] = "2015-11-23" } }
  for name, one in pairs(change or {}) do
    if name == "headers" then
      for header, text in pairs(one) do request.headers[header] = text or nil end
    else
      request[name] = one
    end
  end
  request.headers["x-acs-content-sha256"] = request.headers["x-acs-content-sha256"] or core.sha256(request.body)
  return assert(core.sign(request))
end

local function v3_message(signed)
  return ("Specified signature does not match our calculation. server StringToSign is [%s] server CanonicalRequest is [%s]"):format(
    signed.string_to_sign, signed.canonical_request)
end

-- The mistake, and the whole result.
local function of(ours, theirs)
  local found = assert(explain.compare(V1 .. theirs, ours))
  return found.mistake, found
end

local function of_v3(ours, theirs)
  local found = assert(explain.compare(v3_message(theirs), ours))
  return found.mistake, found
end

local function has(text, part) assert.is_truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part)) end
local function lacks(text, part) assert.is_nil(text:find(part, 1, true), ("%q has %q"):format(text, part)) end

describe("sign.explain", function()
  it("names_each_of_the_27_mistakes_its_byte_and_its_parameter", function()
    local count = 0
    for _, row in ipairs(rows()) do
      local found = assert(explain.compare(V1 .. row.theirs, row.ours))
      assert.equal(row.told, found.mistake, row.mistake)
      assert.equal(row.byte, found.byte, row.mistake)
      assert.equal(row.parameter, found.parameter, row.mistake)
      assert.equal(row.byte == nil, found.equal, row.mistake)
      assert.is_truthy(#found.cause > 20 and #found.remedy > 10, row.mistake)
      if row.byte then
        assert.are_not.equal(found.yours, found.theirs, row.mistake)
        assert.is_truthy(#found.yours < 120 and #found.theirs < 120, row.mistake)
      end
      count = count + 1
    end
    assert.equal(27, count)
  end)

  it("shows_the_neighbourhood_of_the_difference", function()
    local _, found = of((v1 { Subject = "Hi!" }:gsub("%%2521", "!")), v1 { Subject = "Hi!" })
    assert.equal("…Subject%3DHi!%26Timestamp%3D2026-11-…", found.yours)
    assert.equal("…Subject%3DHi%2521%26Timestamp%3D2026…", found.theirs)
    assert.equal("parameter Subject", found.place)
    assert.equal('"!" was left unescaped; RFC 3986 keeps only A-Z a-z 0-9 - _ . ~', found.cause)
    local _, long = of(v1 { Subject = ("x"):rep(500) .. "a" }, v1 { Subject = ("x"):rep(500) .. "b" })
    assert.is_truthy(#long.yours < 90)
    has(long.yours, "xxxa%26Timestamp")
  end)

  it("finds_other_mistakes_of_encoders", function()
    local right = v1 { Subject = "a+b ~c" }
    assert.equal("plus-left-bare", (of((right:gsub("a%%252Bb", "a+b")), right)))
    assert.equal("plus-sent-bare", (of(v1 { Subject = "a+b" }, v1 { Subject = "a b" })))
    assert.equal("escaped-too-much", (of((v1 { Subject = "a_b" }:gsub("a_b", "a%%255Fb")), v1 { Subject = "a_b" })))
    assert.equal("sent-encoded-twice", (of(v1 { Subject = "a b" }, v1 { Subject = "a%20b" })))
    assert.equal("tilde-encoded", (of((right:gsub("~", "%%7E")), right)))            -- by the second encoding only
    assert.equal("value-not-encoded", (of((v1 { Subject = "50% off" }:gsub("50%%2525%%2520", "50%%25%%2520")), v1 { Subject = "50% off" })))
    local bare = v1({ Subject = "a b" }):gsub("%%3D", "="):gsub("%%26", "&")
    assert.equal("separators-left-bare", (of(bare, v1 { Subject = "a b" })))
    local method, path, query = v1({ Subject = "a b" }):match "^(%a+)&(.-)&(.*)$"
    local mistake, found = of(("%s&%s&%s"):format(method, path, core.percent(query)), v1 { Subject = "a b" })
    assert.same({ "query-encoded-too-often", "Subject" }, { mistake, found.parameter })
    local nameless = select(2, of("&" .. path .. "&" .. query, v1 { Subject = "a b" }))
    has(nameless.cause, "signed for no method")
    assert.equal("path-differs", (of(("%s&%%252F&%s"):format(method, query), v1 { Subject = "a b" })))
    assert.equal("lower-case-hex", (of((v1 { Subject = "a/b", TagName = "x!" }:gsub("%%252F", "%%252f"):gsub("%%2521", "!")),
      v1 { Subject = "a/b", TagName = "x!" })))
  end)

  it("finds_what_changed_between_signing_and_sending", function()
    local function changed(signed, sent)
      local mistake, found = of(v1 { Subject = signed }, v1 { Subject = sent })
      assert.equal("Subject", found.parameter)
      return mistake, found.cause
    end
    assert.equal("sent-double-utf8", (changed("caf\195\169", "caf\195\131\194\169")))
    assert.equal("double-utf8", (changed("\195\162\226\130\172\226\128\157x", "\226\128\148x")))           -- a dash, through Windows-1252
    assert.equal("sent-not-utf8", (changed("caf\195\169", "caf\239\191\189")))
    assert.equal("normalised", (changed("caf\195\169", "cafe\204\129")))
    assert.equal("normalised", (changed("\225\132\146\225\133\161\225\134\171", "\237\149\156")))          -- Hangul
    assert.equal("line-end-changed", (changed("a\rb", "a\nb")))
    assert.equal("trimmed", (changed("a", " a")))
    has(select(2, changed("a", " a")), "start")
    has(select(2, changed("a\t", "a")), "end")
    assert.equal("html-escaped", (changed("a<b & c", "a&lt;b &amp; c")))
    assert.equal("zero-octet", (changed("a\0b", "a")))
    local mistake, cause = changed("a&b", "a")
    assert.equal("cut", mistake)
    has(cause, '"&"')
    assert.equal("spelling", (changed("1.0", "1")))
    assert.equal("spelling", (changed("True", "true")))
    assert.equal("placeholder", (changed("undefined", "Hello")))
    assert.equal("letter-case", (changed("Hello", "hello")))
    mistake, cause = changed("caf\195\169!", "caf\195\168!")
    assert.equal("value-differs", mistake)
    has(cause, "U+00E9 signed, U+00E8 sent, octet 4 of it")
  end)

  it("finds_parameters_that_are_on_one_side_only", function()
    assert.equal("not-sent", (of(v1 { TagName = "t" }, v1())))
    assert.equal("empty-not-sent", (of(v1 { TagName = "" }, v1())))
    local mistake, found = of((v1():gsub("Timestamp", "TimeStamp")), v1())
    assert.same({ "name-case", "Timestamp" }, { mistake, found.parameter })
    mistake, found = of(v1 { TagNam = "t" }, v1 { TagName = "t" })
    assert.same({ "renamed", "TagName" }, { mistake, found.parameter })
    assert.equal("sent-twice", (of((v1():gsub("%%26Timestamp", "%%26Subject%%3Da%0")), v1())))
  end)

  it("finds_orders", function()
    local right = v1 { b = "1" }
    local mistake, found = of((right:gsub("(Action%%3DSingleSendMail)%%26(Format%%3DJSON)", "%2%%26%1")), right)
    assert.same({ "not-sorted", "Action" }, { mistake, found.parameter })
  end)

  it("knows_time_nonce_and_key", function()
    local mistake, found = of(v1 { Timestamp = "2026-11-23T12:34:56Z" }, v1 { Timestamp = "2026-11-23T12:34:57Z" })
    assert.same({ "time-twice", "Timestamp" }, { mistake, found.parameter })
    mistake, found = of(v1 { Timestamp = "2026-11-23T20:34:56Z" }, v1 { Timestamp = "2026-11-23T12:34:57Z" })
    assert.equal("time-zone", mistake)
    has(found.cause, "8 hours")
    assert.equal("time-format", (of(v1 { Timestamp = "2026-11-23 12:34:56" }, v1())))
    assert.equal("nonce-twice", (of(v1 { SignatureNonce = "other" }, v1())))
    assert.equal("another-key", (of(v1 { AccessKeyId = "testie" }, v1())))
    assert.equal("trimmed", (of(v1 { AccessKeyId = "testid " }, v1())))
  end)

  it("says_what_is_odd_about_a_secret_without_telling_it", function()
    local function cause(secret, ours, message)
      local found = assert(explain.compare(message or V1 .. v1(), ours or v1(), secret))
      assert.equal(true, found.equal)
      assert.is_nil(found.byte)
      if secret then lacks(found.cause, (secret:match "%w+")) end
      return found.cause
    end
    has(cause(nil), "without the &")
    has(cause(nil, v3().canonical_request, v3_message(v3())), "with a & appended")
    has(cause "hiddenhidden\n", "line end")
    has(cause "hiddenhidden ", "white space around")
    has(cause "hidden hidden", "white space in it")
    has(cause '"hiddenhidden"', "quotes")
    has(cause "hiddenhidden&", "V1 appends")
    has(cause "LTAI5thidden", "AccessKey id")
    has(cause "hidden%2Bhidden", "percent-encoded")
    has(cause "hidden\194\160hidden", "outside of ASCII")
    has(cause "hiddenhidden", "both strings are equal")
  end)

  it("covers_secrets_and_shows_only_the_octet_that_differs", function()
    local _, found = of(v1 { SecurityToken = "topsecrettoken+one" }, v1 { SecurityToken = "topsecrettoken one" })
    assert.same({ "plus-sent-bare", "SecurityToken" }, { found.mistake, found.parameter })
    for _, name in ipairs { "yours", "theirs", "cause" } do
      lacks(found[name], "topsecret")
      lacks(found[name], "one%26")
    end
    has(found.yours, "SecurityToken%3D********%252B")
    _, found = of(v1 { Password = "Abcdefgh12&rest" }, v1 { Password = "Abcdefgh12" })
    lacks(found.yours .. found.theirs .. found.cause, "Abcd")
    lacks(found.yours .. found.cause, "rest")
    -- not encoded, so it goes on where the next parameter seems to begin
    _, found = of((v1 { Password = "Abcdefgh12&rest" }:gsub("12%%2526rest", "12%%26rest")), v1 { Password = "Abcdefgh12&rest" })
    lacks(found.yours .. found.theirs .. found.cause, "Abcd")
    lacks(found.yours .. found.theirs .. found.cause, "rest")
    -- before the difference
    _, found = of_v3((v3 { headers = { ["x-acs-version"] = "1", ["x-acs-token"] = "topsecret" } }.canonical_request:gsub("\n\n(content%-type;)", "\n%1")),
      v3 { headers = { ["x-acs-version"] = "1", ["x-acs-token"] = "topsecret" } })
    lacks(found.yours .. found.theirs, "topsecret")
    has(found.yours, "x-acs-token:********\\nx-acs-version")
    -- behind the difference
    _, found = of(v1 { SecurityTokem = "1", SecurityToken = "topsecret" }, v1 { SecurityTokem = "2", SecurityToken = "topsecret" })
    lacks(found.yours .. found.theirs, "topsecret")
    _, found = of_v3(v3 { headers = { ["x-acs-security-token"] = "topsecretA" } }, v3 { headers = { ["x-acs-security-token"] = "topsecretB" } })
    assert.equal("x-acs-security-token", found.parameter)
    lacks(found.yours .. found.theirs .. found.cause, "topsecret")
    _, found = of_v3(v3 { headers = { ["x-acs-security-token"] = "topsecret", ["x-acs-signature-nonce"] = "1" } },
      v3 { headers = { ["x-acs-security-token"] = "topsecret", ["x-acs-signature-nonce"] = "2" } })
    lacks(found.yours .. found.theirs, "topsecret")
  end)

  it("takes_what_is_covered_on_one_side_from_the_other", function()
    local right = v1 { SecurityToken = "tok+en", Subject = "a!" }
    local found = assert(explain.compare(V1 .. right, (v1 { SecurityToken = "tok+en", Subject = "a!" }:gsub("tok%%252Ben", "********"))))
    assert.equal(true, found.equal)
    local signed = v3 { headers = { ["x-acs-security-token"] = "tok+en" } }
    found = assert(explain.compare(v3_message(signed), (signed.canonical_request:gsub("tok%+en", "********"))))
    assert.equal(true, found.equal)
    found = assert(explain.compare(V1 .. (right:gsub("tok%%252Ben", "********")), (right:gsub("%%2521", "!"))))
    assert.equal("marks-left-bare", found.mistake)
  end)

  it("finds_mistakes_of_v3", function()
    local right = v3 { query = { Subject = "a b!", Tag = "" } }
    local function ours(pattern, by)
      local text, n = right.canonical_request:gsub(pattern, by)
      assert.is_truthy(n > 0, pattern)
      local mistake, found = of_v3(text, right)
      assert.equal(value.first_difference(text, right.canonical_request), found.byte)
      return { mistake, found.parameter, found.place }
    end
    assert.same({ "method-differs", nil, "the method" }, ours("^POST", "GET"))
    assert.same({ "path-differs", nil, "the path" }, ours("\n/\n", "\n/x\n"))
    assert.same({ "space-as-plus", "Subject", "parameter Subject" }, ours("a%%20b", "a+b"))
    assert.same({ "marks-left-bare", "Subject", "parameter Subject" }, ours("%%21", "!"))
    assert.same({ "empty-dropped", "Tag", "parameter Tag" }, ours("&Tag=", ""))
    assert.same({ "host-port", "host", "header host" }, ours("dm.aliyuncs.com", "%0:443"))
    assert.same({ "charset-added", "content-type", "header content-type" }, ours("urlencoded", "%0; charset=UTF-8"))
    assert.same({ "time-twice", "x-acs-date", "header x-acs-date" }, ours("34:56Z", "34:59Z"))
    assert.same({ "nonce-twice", "x-acs-signature-nonce", "header x-acs-signature-nonce" }, ours("6a1f", "6a1e"))
    assert.same({ "header-not-trimmed", "x-acs-version", "header x-acs-version" }, ours("2015%-11%-23", " %0 "))
    assert.same({ "value-differs", "x-acs-version", "header x-acs-version" }, ours("2015%-11%-23", "2015-11-24"))
    assert.same({ "header-name-case", "host", "header host" }, ours("host:", "Host:"))
    assert.same({ "header-added", "x-acs-action", "header x-acs-action" }, ours("x%-acs%-action:[^\n]*\n", ""))
    assert.same({ "header-not-sent", "x-acs-a", "header x-acs-a" }, ours("x%-acs%-action:", "x-acs-a:1\n%0"))
    assert.same({ "not-sorted", "content-type", "header content-type" }, ours("(content%-type:[^\n]*\n)(host:[^\n]*\n)", "%2%1"))
    assert.same({ "empty-line", nil, "the headers' end" }, ours("\n\ncontent", "\ncontent"))
    assert.same({ "signed-headers", nil, "the list of signed headers" }, ours("host;x", "x"))
    assert.same({ "crlf", nil, "the line ends" }, ours("\n", "\r\n"))
    local hash = core.sha256 "Subject=a"
    assert.same({ "hash-capitals", nil, "the hash of the body" }, ours(hash .. "$", hash:upper()))
    assert.same({ "body-changed", nil, "the hash of the body" }, ours(hash .. "$", core.sha256 "x"))
    assert.same({ "body-not-hashed", "x-acs-content-sha256", "header x-acs-content-sha256" }, ours(hash, core.sha256 ""))
    local mistake = of_v3(right, v3 { query = { Subject = "a b!", Tag = "" }, body = "" })
    assert.equal("body-lost", mistake)
    assert.equal("another-key", (of_v3(v3 { headers = { ["x-acs-accesskey-id"] = "a" } }, v3 { headers = { ["x-acs-accesskey-id"] = "b" } })))
  end)

  it("compares_hashes_when_one_side_has_no_more", function()
    local right, wrong = v3(), v3 { headers = { host = "other" } }
    local found = assert(explain.compare(v3_message(right), right.string_to_sign))
    assert.equal(true, found.equal)
    found = assert(explain.compare(v3_message(right), wrong.string_to_sign))
    assert.same({ false, "canonical-request" }, { found.equal, found.mistake })
    assert.equal(value.first_difference(wrong.string_to_sign, right.string_to_sign), found.byte)
    local only_hash = ("server StringToSign is [%s]"):format(right.string_to_sign)
    assert.equal(true, assert(explain.compare(only_hash, right.canonical_request)).equal)
    assert.equal("header-name-case", assert(explain.compare(only_hash, (right.canonical_request:gsub("host:", "Host:")))).mistake)
    assert.equal("no-canonical-request", assert(explain.compare(only_hash, wrong.canonical_request)).mistake)
    assert.equal("algorithm", assert(explain.compare(only_hash, (right.string_to_sign:gsub("SHA256", "SM3")))).mistake)
    assert.equal("algorithm", assert(explain.compare(only_hash, v1())).mistake)
    assert.equal("algorithm", assert(explain.compare(V1 .. v1(), right)).mistake)
  end)

  it("tells_a_cut_answer_from_a_missing_parameter", function()
    local whole = v1 { Subject = ("x"):rep(100) }
    for n = 60, #whole - 11 do
      local found = explain.compare(V1 .. whole:sub(1, n), whole)
      assert.equal("message-cut", found and found.mistake, n)
      assert.equal(n + 1, found.byte)
    end
    assert.equal("not-sent", (of(v1 { z = "1" }, v1())))
    local signed = v3()
    local found = assert(explain.compare("server CanonicalRequest is [" .. signed.canonical_request:sub(1, 150), signed))
    assert.equal("message-cut", found.mistake)
  end)

  it("compares_ours_with_the_rules_when_the_answer_holds_no_string", function()
    local message = '{"Code":"SignatureDoesNotMatch","Message":"Specified signature is not matched with our calculation.","RequestId":"R-1"}'
    local found = assert(explain.compare(message, (v1 { Subject = "a*b" }:gsub("%%252A", "*"))))
    assert.same({ "star-left-bare", "yours", "Subject", "R-1" }, { found.mistake, found.alone, found.parameter, found.request_id })
    found = assert(explain.compare(message, (v3().canonical_request:gsub("(content%-type:[^\n]*\n)(host:[^\n]*\n)", "%2%1"))))
    assert.equal("not-sorted", found.mistake)
    for _, ours in ipairs { v1(), v3().canonical_request, v3().string_to_sign } do
      local nothing, e = explain.compare(message, ours)
      assert.is_nil(nothing)
      assert.is_true(err.is(e))
      assert.same({ "SIGNATURE", "refused" }, { e.code, e.outcome })
      has(e.remedy, "secret")
    end
  end)

  it("explains_codes_that_need_no_string", function()
    local function answered(code, date)
      return ("HTTP/1.1 400 Bad Request\r\nDate: %s\r\n\r\n"):format(date or "Mon, 23 Nov 2026 12:34:56 GMT")
        .. json.encode { Code = code, Message = "Specified time stamp or date value is expired.", RequestId = "R" }
    end
    local found = assert(explain.compare(answered "InvalidTimeStamp.Expired", v1 { Timestamp = "2026-11-23T20:34:50Z" }))
    assert.is_nil(found.equal)
    assert.equal("InvalidTimeStamp.Expired", found.code)
    has(found.cause, "28794 s ahead of")
    has(found.cause, "8 hours")
    found = assert(explain.compare(answered "InvalidTimeStamp.Expired", v3 { headers = { ["x-acs-date"] = "2026-11-23T12:00:00Z" } }))
    has(found.cause, "2096 s behind")
    lacks(found.cause, "hour")
    found = assert(explain.compare(answered "InvalidTimeStamp.Format", v1 { Timestamp = "2026-11-23T12:34:56.789Z" }))
    has(found.cause, "2026-11-23T12:34:56.789Z")
    assert.equal("SignatureNonceUsed", assert(explain.compare(answered "SignatureNonceUsed")).mistake)
    assert.equal("InvalidAccessKeyId.NotFound", assert(explain.compare(answered "InvalidAccessKeyId.NotFound")).mistake)
    assert.is_nil((explain.compare(answered "InvalidMailAddress.NotFound")))
    assert.is_nil((explain.compare(answered "SignatureDoesNotMatch")))
  end)

  it("reads_what_arrived_when_ours_is_missing", function()
    local function alone(change)
      local found, e = explain.compare(V1 .. v1(change))
      return found and { found.mistake, found.parameter, found.alone } or e
    end
    assert.same({ "plus-arrived-as-space", "SecurityToken", "theirs" }, alone { SecurityToken = "CAIS 1==" })
    assert.same({ "arrived-encoded", "Subject", "theirs" }, alone { Subject = "a%20b" })
    assert.same({ "arrived-double-utf8", "Subject", "theirs" }, alone { Subject = "caf\195\131\194\169" })
    assert.same({ "sent-not-utf8", "Subject", "theirs" }, alone { Subject = "caf\239\191\189" })
    assert.same({ "placeholder", "TagName", "theirs" }, alone { TagName = "[object Object]" })
    assert.same({ "byte-order-mark", "Subject", "theirs" }, alone { Subject = "\239\187\191a" })
    local e = alone { Subject = "Hi!" }
    assert.is_true(err.is(e))
    has(e.remedy, "--request; look at Subject first")
    has(alone({ Subject = "Gr\195\188\195\159e, \230\152\165" }).cause, "ours is missing")
  end)

  it("says_that_ours_is_no_string_to_sign", function()
    for _, ours in ipairs { "", "hello", "POST&%2F", "GET /x HTTP/1.1\nHost: x\n\n", "POST&%2F&", ("\0"):rep(10), { string_to_sign = "x" } } do
      local found, e = explain.compare(V1 .. v1(), ours)
      assert.is_nil(found)
      has(e.cause, "neither a string to sign nor a canonical request")
    end
    assert.has_error(function() explain.compare(nil, "x") end, "bad argument #1 to compare (string expected, got nil)")
    assert.has_error(function() explain.compare("x", 5) end, "bad argument #2 to compare (string or table expected, got number)")
  end)

  it("finds_ours_in_a_line_of_a_log", function()
    assert.equal(true, assert(explain.compare(V1 .. v1(), "12:00 DEBUG string to sign is: " .. v1())).equal)
  end)

  it("survives_every_octet_changed_and_every_cut", function()
    local one, two = v1 { Subject = "a b!" }, v3 { query = { Subject = "a b!" } }
    local texts = { { V1 .. one, one }, { v3_message(two), two.canonical_request } }
    for _, pair in ipairs(texts) do
      for i = 1, #pair[2] do
        for _, octet in ipairs { "\0", "%", "&", "=", "\n", "\255", "A" } do
          local changed = pair[2]:sub(1, i - 1) .. octet .. pair[2]:sub(i + 1)
          local found, e = explain.compare(pair[1], changed)
          assert.is_truthy(found or err.is(e))
          if found and changed ~= pair[2] then assert.are_not.equal(true, found.equal) end
        end
        local found, e = explain.compare(pair[1], pair[2]:sub(1, i - 1))
        assert.is_truthy(found and not found.equal or err.is(e))
      end
      for i = 1, #pair[1] do
        local found, e = explain.compare(pair[1]:sub(1, i), pair[2])
        assert.is_truthy(found or err.is(e))
      end
    end
  end)

  it("takes_no_long_time_over_a_strangers_text", function()
    local n = 200000
    local start = os.clock()
    local one, two = v1 { Subject = "a" .. (" "):rep(n) .. "b" }, v3 { headers = { ["x-acs-a"] = "a" .. (" "):rep(n) .. "b" } }
    for _, text in ipairs { ("{"):rep(n), ("<Message>"):rep(n), ("&"):rep(n), ("["):rep(n), "POST /" .. (" "):rep(n) .. "x", ("\n"):rep(n) .. "x",
      "POST /" .. ("\n"):rep(n) .. ("a"):rep(64), "CanonicalRequest is [POST /" .. (" a"):rep(n) .. "]", V1 .. "POST&%2F&" .. ("a%3Db%26"):rep(n),
      V1 .. one, v3_message(two), ("StringToSign is ["):rep(n / 10) } do
      local found, e = explain.compare(text, v1())
      assert.is_truthy(found or err.is(e))
      found, e = explain.compare(text, v3())
      assert.is_truthy(found or err.is(e))
      found, e = explain.compare(text)
      assert.is_truthy(found or err.is(e))
    end
    of(v1 { Subject = ("a "):rep(n) .. "b" }, one)
    of_v3(two, v3 { headers = { ["x-acs-a"] = "a" } })
    assert.is_truthy(os.clock() - start < 30, os.clock() - start)
  end)

  it("compares_the_largest_mail", function()
    local body = ("<p>\228\184\173\230\150\135 !</p>\r\n"):rep(20000)
    local found = assert(explain.compare(json.encode { Code = "SignatureDoesNotMatch", Message = V1 .. v1 { HtmlBody = body .. "!" } },
      v1 { HtmlBody = body .. "?" }))
    assert.same({ "value-differs", "HtmlBody" }, { found.mistake, found.parameter })
  end)
end)

describe("sign.explain.strings", function()
  it("are_what_core_sign_computes", function()
    local call = { method = "POST", host = "dm.aliyuncs.com", action = "SingleSendMail", api_version = "2015-11-23", access_key_id = "testid",
      access_key_secret = "testsecret", security_token = "tok+/=", now = 1795437296, nonce = "6a1f" }
    for _, version in ipairs { "v1", "v3" } do
      for _, method in ipairs { "POST", "GET" } do
        call.version, call.method = version, method
        call.query, call.form = nil, nil
        call[method == "GET" and "query" or "form"] = { Subject = "a b+c!\195\169", ToAddress = "ann@example.com" }
        local request = assert(sign.request(call))
        local got = explain.strings(request)
        local known
        if version == "v1" then
          local params = { Subject = "a b+c!\195\169", ToAddress = "ann@example.com", Action = "SingleSendMail", Version = "2015-11-23",
            Format = "JSON", AccessKeyId = "testid", SecurityToken = "tok+/=", SignatureMethod = "HMAC-SHA1", SignatureVersion = "1.0",
            SignatureNonce = "6a1f", Timestamp = "2026-11-23T12:34:56Z" }
          known = assert(core.sign { algorithm = "HMAC-SHA1", access_key_secret = "testsecret", http_method = method, params = params })
        else
          local headers = {}
          for name, text in pairs(request.headers) do
            local low = name:lower()
            if low == "host" or low == "content-type" or low:find "^x%-acs%-" then headers[low] = text end
          end
          known = assert(core.sign { algorithm = "ACS3-HMAC-SHA256", access_key_id = "testid", access_key_secret = "testsecret",
            http_method = method, headers = headers, body = request.body or "", query = call.query })
        end
        for name, want in pairs(known) do assert.equal(want, got[name], version .. " " .. method .. " " .. name) end
        local message = version == "v1" and V1 .. known.string_to_sign or v3_message(known)
        assert.equal(true, assert(explain.compare(message, got)).equal)
      end
    end
  end)
end)

describe("sign.answer", function()
  local one, two = v1 { Subject = "a & b" }, v3 { query = { A = "1", B = "2" } }

  local function finds_one(text, unescaped)
    local got = answer.read(text)
    assert.same({ "v1", one }, { got.scheme, got.string_to_sign }, text)
    assert.equal(unescaped or false, got.unescaped, text)
    return got
  end

  it("finds_the_string_of_v1_in_every_wrapping", function()
    local message = V1 .. one
    local xml = message:gsub("&", "&amp;")
    local got = finds_one(json.encode { Code = "SignatureDoesNotMatch", Message = message, RequestId = "R-1", HostId = "h" })
    assert.same({ "SignatureDoesNotMatch", "R-1" }, { got.code, got.request_id })
    got = finds_one("<?xml version='1.0'?><Error><RequestId>R-2</RequestId><Code>SignatureDoesNotMatch</Code><Message>" .. xml .. "</Message></Error>")
    assert.same({ "SignatureDoesNotMatch", "R-2" }, { got.code, got.request_id })
    finds_one("<Error><Message><![CDATA[" .. message .. "]]></Message></Error>")
    finds_one(message)
    finds_one(one)
    finds_one(one .. "\n")
    finds_one("The request signature does not conform to Aliyun standards. server string to sign is:" .. one)
    finds_one("error: SignatureDoesNotMatch: code: 400, " .. message .. " request id: R-3")
    finds_one("log: " .. xml, true)
    finds_one("log: " .. xml:gsub("&", "&amp;"), true)
    finds_one("log: " .. message:gsub("&", "&#38;"), true)
    finds_one("log: " .. message:gsub("&", "&#x26;"), true)
    finds_one('WARN body={\\"Message\\":\\"' .. message:gsub("&", "\\u0026") .. '\\",', true)
    finds_one("q=" .. core.percent(message))
    finds_one(json.encode { error = { data = { message = message }, code = "SignatureDoesNotMatch" } })
    finds_one("HTTP/1.1 400 Bad Request\r\nDate: Mon, 23 Nov 2026 12:34:56 GMT\r\n\r\n" .. json.encode { Message = message })
  end)

  it("finds_the_strings_of_v3_with_line_ends_as_they_are_escaped_or_blank", function()
    local message = v3_message(two)
    for _, text in ipairs { message, (message:gsub("\n", "\\n")), (message:gsub("\n", " ")), (message:gsub("\n", "\r\n")),
      json.encode { Message = message }, json.encode { Message = (message:gsub("\n", " ")) },
      "<Error><Message>" .. message:gsub("&", "&amp;") .. "</Message></Error>", "x " .. message .. " at [main.go:12]", two.canonical_request } do
      local got = answer.read(text)
      assert.equal("v3", got.scheme)
      assert.equal(two.canonical_request, got.canonical_request)
      assert.equal(text ~= two.canonical_request and two.string_to_sign or nil, got.string_to_sign)
    end
    local empty = v3()                  -- no query: two line ends in a row
    assert.equal(empty.canonical_request, answer.read((v3_message(empty):gsub("\n", " "))).canonical_request)
  end)

  it("reads_the_services_clock", function()
    local seconds = value.seconds "2026-11-23T12:34:56Z"
    assert.equal(seconds, answer.read("HTTP/1.1 400 x\r\nDate: Mon, 23 Nov 2026 12:34:56 GMT\r\n\r\n{}").time)
    assert.equal(seconds, answer.read("> POST /\n< HTTP/1.1 400\n< date: Mon, 23 Nov 2026 12:34:56 GMT\n<\n{}").time)
    assert.is_nil(answer.read("Date: soon\n").time)
  end)

  it("finds_nothing_in_other_texts", function()
    for _, text in ipairs { "", "{}", "{", "[1]", "<Error/>", "Specified signature is not matched with our calculation.", "server string to sign is:",
      "<html>413</html>", '{"Message":5}', "CanonicalRequest is [", ("["):rep(5000), '{"a":' .. ("["):rep(2000), "POST&%2F&", "\0\255" } do
      local got = answer.read(text)
      assert.is_nil(got.scheme and got.string_to_sign, text)
    end
  end)
end)

describe("sign.canonical", function()
  it("writes_every_vector_as_it_is", function()
    local signing = require "support.signing"
    local count = 0
    for _, v in ipairs(signing.read().vectors) do
      local signed = assert(core.sign(signing.request(v)))
      local text = signed.canonical_request or signed.string_to_sign
      local parts = canonical.split(text)
      assert.equal(text, parts and canonical.proper(parts), v.id)
      count = count + 1
    end
    assert.equal(111, count)
  end)
end)
