-- directmail sign --json: an object a line in, an object a line out.
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
