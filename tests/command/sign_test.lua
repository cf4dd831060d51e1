-- directmail sign: an object a line in, an object a line out; an operation signed; a mismatch explained.
local cjson = require "cjson"
local core = require "directmail.core"
local command = require "support.command"
local signing = require "support.signing"

-- Feed lines (tables or text) to the command; returns the answers as text, status, stderr.
local function sign(lines)
  local text = {}
  for i, line in ipairs(lines) do text[i] = (type(line) == "string" and line or cjson.encode(line)) .. "\n" end
  local status, out, err = command.run { "sign", "--json", stdin = table.concat(text) }
  local answers = {}
  for line in out:gmatch "([^\n]*)\n" do answers[#answers + 1] = line end
  return answers, status, err
end

local function line(change)
  local out = { id = "v", algorithm = "HMAC-SHA1", access_key_id = "testid", access_key_secret = "hiddensecret", http_method = "POST",
    params = { a = "1" } }
  for name, value in pairs(change or {}) do out[name] = value end
  return out
end

describe("directmail sign --json", function()
  it("meets_all_111_vectors_in_their_order", function()
    local vectors, lines = signing.read().vectors, {}
    for i, v in ipairs(vectors) do
      lines[i] = signing.request(v)
      lines[i].id = v.id
      if v.id == "v3-026" then      -- its body is not UTF-8
        lines[i].body, lines[i].body_base64 = nil, "AP+ACg0lJg=="
      end
    end
    local answers, status, err = sign(lines)
    assert.equal(0, status)
    assert.equal("", err)
    assert.equal(111, #answers)
    for i, v in ipairs(vectors) do
      local got = cjson.decode(answers[i])
      assert.equal(v.id, got.id)
      assert.is_nil(got.error)
      for name, want in pairs(v.answers) do
        if type(want) == "table" then
          assert.equal(want.octets, #got[name])
          assert.equal(want.sha256, core.sha256(got[name]))
        else
          assert.equal(want, got[name], v.id .. " " .. name)
        end
      end
      local v3 = v.algorithm ~= "HMAC-SHA1"
      assert.equal(v3, got.canonical_request ~= nil)
      assert.equal(v3, got.hashed_payload ~= nil)
      assert.equal(v3 and v.key_id ~= nil, got.authorization ~= nil)
    end
  end)

  it("keeps_the_id_as_it_came", function()
    local rest = cjson.encode(line { id = nil }):gsub('"id":"v",?', ""):gsub("^{", ""):gsub(",}$", "}")
    local ids = { "1", "600000123456789012", "-1.50", '"a\\u4e2d\\"} ,"', "null", "true", '{"b": [1, "]}"]}', "[]", "{}", '""' }
    local lines = {}
    for i, id in ipairs(ids) do lines[i] = ('{"id": %s,%s'):format(id, rest) end
    lines[#lines + 1] = '{ "x" : {"id":5, "s":"\\\\"} ,\t"id":7 , ' .. rest
    ids[#ids + 1] = "7"
    lines[#lines + 1] = "{" .. rest
    ids[#ids + 1] = "null"
    local answers = sign(lines)
    assert.equal(#lines, #answers)
    for i, id in ipairs(ids) do
      local head = ('{"id":%s,"canonical_query":"a=1",'):format(id)
      assert.equal(head, answers[i]:sub(1, #head))
    end
  end)

  it("answers_a_bad_line_with_id_and_error_and_goes_on", function()
    local bad = {
      { "", "not JSON" },
      { "{", "not JSON" },
      { "[]", "not an object" },
      { '"text"', "not an object" },
      { "1", "not an object" },
      { '{"id":"bad"}', "algorithm: it is missing" },
      { line { algorithm = "HMAC-SHA256" }, "algorithm: it is neither" },
      { line { access_key_secret = 5 }, "access_key_secret: a string is needed" },
      { line { access_key_secret = "" }, "access_key_secret: it is empty" },
      { line { http_method = cjson.null }, "http_method: it is null" },
      { line { http_method = "post" }, "http_method: write the method in capitals" },
      { line { params = cjson.null }, "params: it is null" },
      { line { params = { a = 1 } }, "params.a: a string is needed, not a number" },
      { line { params = { a = { "x" } } }, "params.a: a string is needed, not a table" },
      { line { params = { a = cjson.null } }, "params.a: a string is needed, not a null" },
      { line { params = { a = "b\255" } }, "params.a: its value is not UTF-8 at byte 2" },
      { '{"id":1,"params":{"a":"\\ud83d"}}', "not JSON" },
      { line { querry = { a = "1" } }, "querry: there is no such field (did you mean query?)" },
      { line { algorithm = "ACS3-HMAC-SHA256" }, "headers: there are none" },
      { line { algorithm = "ACS3-HMAC-SHA256", host = "h", body = "\255" },
        "body: it is not UTF-8 at byte 1; give such bytes in body_base64" },
      { line { algorithm = "ACS3-HMAC-SHA256", host = "h", body_base64 = "*" }, "body_base64: it is not base64" },
      { line { algorithm = "ACS3-HMAC-SHA256", host = "h", headers = { ["x-a"] = "b\nc" } }, "headers.x-a: a control character" },
      { line { ["\27]0;evil\7"] = 1, http_method = "\27" }, "http_method: write" },
    }
    local lines = {}
    for _, row in ipairs(bad) do
      lines[#lines + 1] = row[1]
      lines[#lines + 1] = line { id = "good" }
    end
    local answers, status, err = sign(lines)
    assert.equal(0, status)
    assert.equal("", err)
    assert.equal(#lines, #answers)
    for i, row in ipairs(bad) do
      local got = cjson.decode(answers[2 * i - 1])
      assert.is_string(got.error, answers[2 * i - 1])
      assert.is_truthy(got.error:find(row[2], 1, true), got.error .. " lacks " .. row[2])
      assert.is_nil(got.signature)
      assert.is_not_nil(got.id)             -- null when there is none
      if type(row[1]) == "table" then assert.equal("v", got.id) end
      assert.is_string(cjson.decode(answers[2 * i]).signature)
    end
    assert.is_nil(table.concat(answers):find("hiddensecret", 1, true))
    assert.is_nil(table.concat(answers):find("%c"))
  end)

  it("passes_over_fields_that_it_does_not_know", function()
    local answers = sign { line { label = "a note", timestamp = "2026", tags = { "v1" } } }
    assert.is_string(cjson.decode(answers[1]).signature)
  end)

  it("answers_the_last_line_without_a_line_end", function()
    local _, out = command.run { "sign", "--json", stdin = cjson.encode(line()) }
    assert.matches('^{"id":"v",.*}\n$', out)
    _, out = command.run { "sign", "--json", stdin = cjson.encode(line()) .. "\r\n" }
    assert.matches('^{"id":"v",[^\n]*}\n$', out)
    local status
    status, out = command.run { "sign", "--json", stdin = "" }
    assert.same({ 0, "" }, { status, out })
  end)

  it("answers_each_line_before_the_next_one_comes", function()
    local folder = command.folder()
    command.write(folder .. "/one", cjson.encode(line { id = "one" }) .. "\n")
    command.write(folder .. "/talk", ([[
      cd %s && mkfifo in out || exit 1
      timeout 20 %s sign --json <in >out &
      exec 3>in 4<out
      cat one >&3; read -r first <&4
      cat one >&3; read -r second <&4
      exec 3>&-
      wait $! || exit 2
      case "$first$second" in *'"id":"one"'*'"id":"one"'*) exit 0 ;; esac
      exit 3
    ]]):format(command.quote(folder), command.quote(command.exe)))
    local _, _, status = os.execute("timeout 30 sh " .. command.quote(folder .. "/talk"))
    command.remove(folder)
    assert.equal(0, status)
  end)
end)

describe("directmail sign", function()
  it("says_what_it_needs_when_nothing_is_asked", function()
    local status, out, err = command.run { "sign" }
    assert.equal(2, status)
    assert.equal("", out)
    assert.is_truthy(err:find("directmail sign --json", 1, true))
  end)

  it("has_help_with_an_example", function()
    local status, out = command.run { "sign", "--help" }
    assert.equal(0, status)
    assert.is_truthy(out:find("directmail sign --json < requests.jsonl", 1, true))
  end)

  it("takes_no_secret_as_an_option", function()
    assert.equal(2, (command.run { "sign", "--json", "--access-key-secret", "x" }))
  end)
end)

-- ---- an operation ----------------------------------------------------------------

local KEY = { ALIBABA_CLOUD_ACCESS_KEY_ID = "testid", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "hiddensecret", DIRECTMAIL_REGION = "ap-southeast-1" }

-- The command with a key, or with other variables: `words.env`.
local function run(words)
  words.env = words.env or KEY
  return command.run(words)
end

local function with(change)
  local env = {}
  for name, value in pairs(KEY) do env[name] = value end
  for name, value in pairs(change) do env[name] = value or nil end
  return env
end

-- The words that sign one mail at a known time, and more of them.
local function mail(...)
  local words = { "sign", "SingleSendMail", "--AccountName", "noreply@mail.example.com", "--AddressType=1", "ReplyToAddress=false",
    "--ToAddress", "ann@example.com", "--Subject", "Hi! a+b", "--TextBody=-5%", "--at", "2026-11-23T12:34:56Z", "--nonce", "6a1f" }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return words
end

local function has(text, part) assert.is_truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part)) end
local function lacks(text, part) assert.is_nil(text:find(part, 1, true), ("%q has %q"):format(text, part)) end

describe("directmail sign OPERATION", function()
  local params = { AccountName = "noreply@mail.example.com", AddressType = "1", ReplyToAddress = "false", ToAddress = "ann@example.com",
    Subject = "Hi! a+b", TextBody = "-5%" }

  it("signs_by_v1_what_core_sign_signs", function()
    local all = { AccessKeyId = "testid", Action = "SingleSendMail", Format = "JSON", SignatureMethod = "HMAC-SHA1", SignatureNonce = "6a1f",
      SignatureVersion = "1.0", Timestamp = "2026-11-23T12:34:56Z", Version = "2015-11-23" }
    for name, value in pairs(params) do all[name] = value end
    for _, method in ipairs { "POST", "GET" } do
      local known = core.sign { algorithm = "HMAC-SHA1", access_key_secret = "hiddensecret", http_method = method, params = all }
      local status, out, err = run(mail("--algorithm", "v1", "--method", method, "--json"))
      assert.same({ 0, "" }, { status, err })
      local got = cjson.decode(out)
      assert.same({ "SingleSendMail", "HMAC-SHA1", method }, { got.operation, got.algorithm, got.method })
      for name, want in pairs(known) do assert.equal(want, got[name]) end
      local sent = known.canonical_query .. "&Signature=" .. core.percent(known.signature)
      assert.equal(method == "POST" and sent or nil, got.body)
      assert.equal("https://dm.ap-southeast-1.aliyuncs.com/" .. (method == "GET" and "?" .. sent or ""), got.url)
      status, out = run(mail("--algorithm", "v1", "--method", method))
      assert.equal(0, status)
      assert.equal(("string to sign\n  %s\nsignature\n  %s\n"):format(known.string_to_sign, known.signature), out)
    end
  end)

  it("signs_by_v3_what_core_sign_signs", function()
    local status, out, err = run(mail "--json")
    assert.same({ 0, "" }, { status, err })
    local got, headers = cjson.decode(out), {}
    for name, value in pairs(got.headers) do
      local low = name:lower()
      if low == "host" or low == "content-type" or low:find "^x%-acs%-" then headers[low] = value end
    end
    assert.same({ "dm.ap-southeast-1.aliyuncs.com", "2026-11-23T12:34:56Z", "6a1f" },
      { headers.host, headers["x-acs-date"], headers["x-acs-signature-nonce"] })
    local known = core.sign { algorithm = "ACS3-HMAC-SHA256", access_key_id = "testid", access_key_secret = "hiddensecret", http_method = "POST",
      headers = headers, body = got.body }
    for name, want in pairs(known) do assert.equal(want, got[name], name) end
    assert.equal(known.authorization, got.headers.Authorization)
    status, out = run(mail())
    assert.equal(0, status)
    assert.matches("^canonical request\n  POST\n  /\n\n  content%-type:.*\nstring to sign\n  ACS3%-HMAC%-SHA256\n  %x+\nsignature\n  %x+\nauthorization\n  ACS3", out)
    has(out, known.signature)
  end)

  it("takes_now_and_a_random_nonce_by_itself", function()
    local seen = {}
    for _ = 1, 2 do
      local _, out = run { "sign", "DescAccountSummary", "--json" }
      local headers = cjson.decode(out).headers
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", headers["x-acs-date"])
      assert.matches("^%x+$", headers["x-acs-signature-nonce"])
      seen[headers["x-acs-signature-nonce"]] = true
    end
    assert.is_truthy(next(seen, (next(seen))))
    local _, out = run { "sign", "DescAccountSummary", "--json", "--at", "1795437296" }
    assert.equal("2026-11-23T12:34:56Z", cjson.decode(out).headers["x-acs-date"])
  end)

  it("shows_neither_the_secret_nor_a_token_nor_a_secret_parameter", function()
    local folder = command.folder()
    command.write(folder .. "/password", "NewPass+12word\n")
    for _, more in ipairs { { "--algorithm=v1" }, { "--algorithm=v3" }, { "--algorithm=v1", "--json" }, { "--algorithm=v3", "--json" },
      { "--algorithm=v1", "--json", "--method=GET" }, { "--algorithm=v3", "--json", "--method=GET" } } do
      local status, out, err = run { "sign", "ModifyMailAddress", "--MailAddressId", "1", "--Password", "@" .. folder .. "/password",
        env = with { ALIBABA_CLOUD_SECURITY_TOKEN = "CAIS+to/ken==" }, table.unpack(more) }
      assert.equal(0, status)
      has(out, "********")
      has(err, "secrets are shown as ********")
      for _, secret in ipairs { "hiddensecret", "CAIS", "NewPass", "12word" } do lacks(out .. err, secret) end
    end
    command.remove(folder)
    local status, out, err = run { "sign", "ModifyMailAddress", "--MailAddressId", "1", "--Password", "Newpass12word" }
    assert.same({ 2, "" }, { status, out })
    has(err, "--Password @FILE")
    lacks(err, "Newpass")
  end)

  it("needs_a_region_only_where_the_host_is_signed", function()
    local status, out, err = run(mail("--json"))
    assert.same({ 0, "" }, { status, err })
    has(out, "dm.ap-southeast-1.aliyuncs.com")
    local words = mail("--algorithm", "v1", "--json")
    words.env = with { DIRECTMAIL_REGION = false }
    status, out = run(words)
    assert.equal(0, status)
    assert.equal("/", cjson.decode(out).url)
    assert.is_nil(cjson.decode(out).headers.Host)
    words = mail "--json"
    words.env = with { DIRECTMAIL_REGION = false }
    status, out = run(words)
    assert.equal(2, status)
    assert.same({ false, "OPTION", "region" }, { cjson.decode(out).ok, cjson.decode(out).code, cjson.decode(out).detail })
    words = mail "--region=eu-central-1"
    words.env = with { DIRECTMAIL_REGION = false }
    status, out = run(words)
    assert.equal(0, status)
    has(out, "host:dm.eu-central-1.aliyuncs.com")
  end)

  it("refuses_what_it_cannot_sign_with_2_and_the_remedy", function()
    for _, row in ipairs {
      { { "sign", "SingelSendMail" }, "did you mean SingleSendMail?" },
      { { "sign", "SingelSendMail", "--force=1" }, "--force" },
      { { "sign", "SingleSendMail", "--Subjct", "x" }, "did you mean Subject?" },
      { { "sign", "SingleSendMail", "--Subject" }, "--Subject=VALUE" },
      { { "sign", "SingleSendMail", "--Subject", "a", "Subject=b" }, "given twice" },
      { { "sign", "SingleSendMail", "Hello" }, "unexpected argument" },
      { { "sign", "DescAccountSummary", "--at", "yesterday" }, "2026-11-23T12:34:56Z" },
      { { "sign", "DescAccountSummary", "--at", "2026-11-23T12:34:56+08:00" }, "in UTC" },
      { { "sign", "DescAccountSummary", "--nonce", "a b" }, "--nonce" },
      { { "sign", "DescAccountSummary", "--method", "PUT" }, "--method" },
      { { "sign", "DescAccountSummary", "--algorithm", "v2" }, "--algorithm" },
      { { "sign", "DescAccountSummary", "--explain", "x" }, "--explain takes no operation" },
      { { "sign", "DescAccountSummary", "--request", "x" }, "--request is for --explain" },
      { { "sign", "DescAccountSummary", "--access-key-secret", "x" }, "unknown option" },
      { { "sign", "--Subject", "x" }, "the operation is missing" },
      { { "sign", "--method", "GET" }, "none is named" },
      { { "sign", "DescAccountSummary", env = { DIRECTMAIL_REGION = "ap-southeast-1" } }, "no AccessKey was found" },
    } do
      local status, out, err = run(row[1])
      assert.same({ 2, "" }, { status, out }, row[2])
      has(err, row[2])
      lacks(err, "hiddensecret")
    end
  end)

  it("signs_unchecked_with_force", function()
    local status, out = run { "sign", "NewOperation", "--Foo.1", "a", "--force", "--algorithm", "v1" }
    assert.equal(0, status)
    has(out, "Action%3DNewOperation%26Foo.1%3Da%26Format")
    status, out = run { "sign", "SingleSendMail", "--params", '{"Subject":"x","Odd":true}', "--Subject", "y", "--force", "--algorithm", "v1" }
    assert.equal(0, status)
    has(out, "%26Odd%3Dtrue%26")
    has(out, "%26Subject%3Dy%26")
  end)
end)

-- ---- why it did not match ----------------------------------------------------------

describe("directmail sign --explain", function()
  local folder
  setup(function() folder = command.folder() end)
  teardown(function() command.remove(folder) end)

  local function mistakes()
    local list = {}
    for row in io.lines "tests/data/mistakes.tsv" do
      local id, told, byte, parameter, ours, theirs = row:match "^([^#\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)\t([^\t]+)$"
      if id then list[#list + 1] = { id = id, told = told, byte = math.tointeger(tonumber(byte)), parameter = parameter, ours = ours, theirs = theirs } end
    end
    return list
  end

  local function answer(theirs, more)
    local fields = { Code = "SignatureDoesNotMatch", RequestId = "9A1B-R", HostId = "dm.aliyuncs.com",
      Message = "Specified signature is not matched with our calculation. server string to sign is:" .. theirs }
    for name, value in pairs(more or {}) do fields[name] = value end
    return cjson.encode(fields)
  end

  local function explain(message, request, ...)
    command.write(folder .. "/answer", message)
    local words = { "sign", "--explain", folder .. "/answer" }
    if request then
      command.write(folder .. "/request", request)
      words[4], words[5] = "--request", folder .. "/request"
    end
    for _, word in ipairs { ... } do words[#words + 1] = word end
    return command.run(words)
  end

  it("explains_the_27_mistakes_as_json", function()
    local count = 0
    for _, m in ipairs(mistakes()) do
      local status, out, err = explain(answer(m.theirs), m.ours .. "\n", "--json")
      assert.same({ 0, "" }, { status, err }, m.id)
      local got = cjson.decode(out)
      assert.same({ m.byte == nil, m.byte or cjson.null, m.parameter ~= "-" and m.parameter or cjson.null, m.told },
        { got.equal, got.byte, got.parameter, got.mistake }, m.id)
      for _, name in ipairs { "cause", "remedy" } do assert.is_string(got[name]) end
      for _, name in ipairs { "yours", "theirs" } do assert.equal(m.byte and "string" or "userdata", type(got[name])) end
      assert.matches('^{"equal":[^,]*,"byte":[^,.]*,"parameter":', out)
      count = count + 1
    end
    assert.equal(27, count)
  end)

  it("tells_people_where_and_why", function()
    for _, m in ipairs(mistakes()) do
      if m.id == "marks-left-bare" then
        local status, out, err = explain(answer(m.theirs), m.ours)
        assert.same({ 0, "" }, { status, err })
        assert.equal([[
they differ at byte 166, in parameter Subject
  yours    …Subject%3Dhi!%2520(it's)%26Timestamp…
  theirs   …Subject%3Dhi%2521%2520%2528it%2527s…
  cause    "!" was left unescaped; RFC 3986 keeps only A-Z a-z 0-9 - _ . ~
  remedy   encode ! ' ( ) * too, as %21 %27 %28 %29 %2A (encodeURIComponent of JavaScript leaves them)
  look up  RequestId 9A1B-R
]], out)
      elseif m.id == "slash-left-bare" then
        has(select(2, explain(answer(m.theirs), m.ours)), "they differ at byte 6, in the path; the first parameter that differs is Subject\n")
      elseif m.id == "not-encoded-again" then
        has(select(2, explain(answer(m.theirs), m.ours)), "they differ at byte 21; the first parameter that differs is Subject\n")
      elseif m.id == "secret" then
        has(select(2, explain(answer(m.theirs), m.ours)), "both strings to sign are equal\n  cause    ")
      end
    end
  end)

  it("reads_the_answer_or_the_request_from_stdin", function()
    local m = mistakes()[3]
    command.write(folder .. "/a", answer(m.theirs))
    command.write(folder .. "/r", m.ours)
    local status, out = command.run { "sign", "--explain", "-", "--request", folder .. "/r", stdin = answer(m.theirs) }
    assert.equal(0, status)
    has(out, "in parameter Subject")
    status, out = command.run { "sign", "--explain", folder .. "/a", "--request=-", stdin = m.ours }
    assert.equal(0, status)
    has(out, "in parameter Subject")
    assert.equal(2, (command.run { "sign", "--explain", "-", "--request", "-", stdin = "x" }))
  end)

  it("takes_ours_as_a_line_of_json_in_or_out", function()
    local params = { AccessKeyId = "testid", Subject = "a b", Timestamp = "2026-11-23T12:34:56Z", Version = "2015-11-23" }
    local request = { id = 1, algorithm = "HMAC-SHA1", access_key_id = "testid", access_key_secret = "hidden secret", http_method = "POST", params = params }
    local signed = core.sign(request)
    local status, out = explain(answer(signed.string_to_sign), cjson.encode(request))
    assert.equal(0, status)
    has(out, "has white space in it")
    lacks(out, "hidden")
    request.access_key_secret = nil
    has(select(2, explain(answer(signed.string_to_sign), cjson.encode(request) .. "\n")), "of another AccessKey")
    has(select(2, explain(answer(signed.string_to_sign), cjson.encode(signed))), "are equal")
    has(select(2, explain(answer((signed.string_to_sign:gsub("%%2520", "%%252B"))), cjson.encode(request))), "in parameter Subject")
    for _, bad in ipairs { "{", '{"params":{}}', '{"algorithm":"HMAC-SHA1","http_method":"POST","params":{"a":1}}', '{"algoritm":"x"}' } do
      local err
      status, out, err = explain(answer(signed.string_to_sign), bad)
      assert.same({ 2, "" }, { status, out }, bad)
      has(err, "--request: ")
    end
  end)

  it("ends_with_1_when_nothing_can_be_said_and_with_2_when_a_file_is_missing", function()
    local status, out, err = explain('{"Code":"SignatureDoesNotMatch","Message":"Specified signature is not matched with our calculation."}')
    assert.same({ 1, "" }, { status, out })
    assert.matches("^directmail: the answer holds no string to sign\n  remedy   ", err)
    status, out, err = explain('{"Code":"SignatureDoesNotMatch","Message":"x"}', nil, "--json")
    assert.same({ 1, "" }, { status, err })
    local got = cjson.decode(out)
    assert.same({ false, "refused", "SIGNATURE" }, { got.ok, got.outcome, got.code })
    assert.equal(1, (explain("", "")))
    assert.equal(1, (explain(answer(mistakes()[1].theirs), "neither\n")))
    assert.equal(2, (command.run { "sign", "--explain", folder .. "/none" }))
    assert.equal(2, (command.run { "sign", "--explain", folder .. "/answer", "--request", folder .. "/none" }))
    assert.equal(2, (command.run { "sign", "--request", folder .. "/answer" }))
    assert.equal(2, (command.run { "sign", "--explain" }))
  end)

  it("explains_a_wrong_clock_by_the_answers_date", function()
    local status, out = explain("HTTP/1.1 400 Bad Request\r\nDate: Mon, 23 Nov 2026 12:34:56 GMT\r\n\r\n"
      .. answer("", { Code = "InvalidTimeStamp.Expired", Message = "Specified time stamp or date value is expired." }),
      "POST&%2F&AccessKeyId%3Dtestid%26Timestamp%3D2026-11-23T20%253A34%253A56Z")
    assert.equal(0, status)
    has(out, "InvalidTimeStamp.Expired\n  cause    the time that was signed is 28800 s ahead of the service's clock, that is 8 hours: local time")
  end)

  it("shows_no_control_characters_of_a_stranger", function()
    local theirs = "POST&%2F&AccessKeyId%3Dtestid%26%251B%255B2J%3D1%26Version%3D2015-11-23"
    for _, form in ipairs { "--json", "--request" } do
      local _, out = explain(answer(theirs, { RequestId = "\27[2J" }), "POST&%2F&AccessKeyId%3Dtestid%26Version%3D2015-11-23", form == "--json" and form or nil)
      assert.is_nil(out:find("\27", 1, true))
      has(out, "[2J")
    end
  end)

  it("understands_the_sandboxs_own_answers", function()
    command.write(folder .. "/script.lua", [[
      local core, json, host, sign = require "directmail.core", require "cjson", require "directmail.host", require "directmail.sign"
      local explain = require "directmail.sign.explain"
      local api, folder, exe = host.env "DIRECTMAIL_API", arg[1], arg[2]
      local function write(name, text) local file = io.open(folder .. "/" .. name, "wb") file:write(text) file:close() end
      local function ask(name, request, strings, body)
        local answer = assert(host.http { url = api:gsub("/$", "") .. request.url, method = request.method, headers = request.headers, body = body or request.body })
        write("answer", answer.body)
        write("request", json.encode(strings))
        io.write(name, " ", answer.body:sub(1, 1), " ")
        io.flush()
        os.execute(exe .. " sign --explain " .. folder .. "/answer --request " .. folder .. "/request | head -n 1")
      end
      for _, version in ipairs { "v1", "v3" } do
        local function call(secret)
          return assert(sign.request { version = version, host = api:match "//([^/]+)", action = "SingleSendMail", api_version = "2015-11-23",
            form = { Subject = "a b", ToAddress = "ann@example.com" }, now = host.now(), nonce = core.hex(host.random(16)),
            access_key_id = host.env "ALIBABA_CLOUD_ACCESS_KEY_ID", access_key_secret = secret })
        end
        local wrong = call "wrong"
        ask(version .. " secret", wrong, explain.strings(wrong))
        local right = call(host.env "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
        ask(version .. " body", right, explain.strings(right), (right.body:gsub("a%%20b", "a%%20c")))
        if version == "v1" then      -- the service's default format
          local body = right.body:gsub("Format=JSON&", ""):gsub("a%%20b", "a%%20%%26c")
          ask("xml", right, explain.strings(right), body)
        end
      end
    ]])
    local status, out, err = command.run { "sandbox", "--", command.exe, folder .. "/script.lua", folder, command.exe }
    assert.equal(0, status, err)
    assert.equal(table.concat({
      "v1 secret { both strings to sign are equal",
      "v1 body { they differ at byte %d, in parameter Subject",
      "xml < they differ at byte %d, in parameter Format",
      "v3 secret { both strings to sign are equal",
      "v3 body { they differ at byte %d, in the hash of the body", "" }, "\n"), (out:gsub("byte %d+", "byte %%d")))
  end)
end)
