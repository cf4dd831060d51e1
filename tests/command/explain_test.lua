-- directmail explain: every code and every server's text, in both languages, without a network.
local cjson = require "cjson"
local command = require "support.command"

local function explain(...) return command.run { "explain", ... } end

-- The answer's objects.
local function objects(out)
  local list = {}
  for line in out:gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
  return list
end

local FIELDS = { "blame", "cause", "code", "remedy", "retry", "source" }

describe("directmail explain", function()
  -- In one process: two hundred starts of the command would say the same.
  local run
  setup(function()
    local language, module = require "directmail.command.language", require "directmail.command.explain"
    assert.equal("en", language.of({}, function() end))
    run = function(about, speak)
      local lines, print_, code = {}, print, nil
      rawset(_G, "print", function(line) lines[#lines + 1] = line or "" end)
      local ok, why = pcall(function() code = module.run { code = { about }, json = true, language = speak } end)
      rawset(_G, "print", print_)
      assert(ok, why)
      return code, objects(table.concat(lines, "\n"))
    end
  end)

  local function whole(object, about)
    for _, name in ipairs(FIELDS) do
      assert.is_truthy(type(object[name]) == "string" and #object[name] > 1, about .. ": no " .. name)
    end
  end

  it("answers every code of the API in both languages", function()
    local n = 0
    for _, row in ipairs(require "directmail.data.api_errors") do
      for _, about in ipairs { row.code, (row.code:gsub("<Name>$", "Quux"):gsub("<%.%.%.>$", ".New")) } do
        local code, english = run(about, "en")
        local chinese_code, chinese = run(about, "zh")
        assert.same({ 0, 0, 1, 1 }, { code, chinese_code, #english, #chinese }, about)
        whole(english[1], about)
        whole(chinese[1], about)
        assert.same({ about, row.cause, row.blame, row.retry }, { english[1].code, english[1].cause, english[1].blame, english[1].retry })
        assert.are_not.equal(english[1].cause, chinese[1].cause)
        assert.are_not.equal(english[1].remedy, chinese[1].remedy)
        n = n + 1
      end
    end
    assert.is_true(n > 170)
  end)

  it("answers every number and every tag of the replies in both languages, with the phases of those that several share", function()
    local shared, asked = 0, {}
    for _, rule in ipairs(require "directmail.data.smtp_errors") do
      for _, about in ipairs { rule.code and tostring(rule.code) or false, rule.tag and "[@" .. rule.tag .. "]" or false } do
        if about and not asked[about] then
          asked[about] = true
          local code, english = run(about, "en")
          local _, chinese = run(about, "zh")
          assert.equal(0, code, about)
          assert.equal(#english, #chinese)
          for i, object in ipairs(english) do
            whole(object, about)
            whole(chinese[i], about)
            assert.equal(#english > 1, object.phase ~= nil, about)
            assert.are_not.equal(object.cause, chinese[i].cause)
          end
          if #english > 1 then shared = shared + 1 end
        end
      end
    end
    assert.is_true(shared >= 10)
  end)

  it("tells the same number at several steps apart", function()
    local status, out = explain("526", "--json")
    local phases = {}
    for i, object in ipairs(objects(out)) do phases[i] = object.phase .. " " .. object.blame end
    assert.equal(0, status)
    assert.same({ "auth credentials", "auth credentials", "event recipient" }, phases)
    status, out = explain "526"
    assert.equal(0, status)
    assert.matches("^526 at auth\n  cause    the host is another region's.-\n\n526 at auth\n.-\n\n526 at event\n  cause    .*no MX", out)
    status, out = explain("526 Authentication failure", "--json")
    assert.equal(0, status)
    assert.equal(1, #objects(out))
    assert.is_nil(objects(out)[1].phase)
  end)

  it("tells a full mailbox from too many recipients", function()
    for _, about in ipairs { "552 5.2.2 bob: user is over his limit", "452 4.2.2 try later", "552 mailbox is full" } do
      local code, list = run(about, "en")
      assert.equal(0, code)
      for _, object in ipairs(list) do assert.same({ "recipient", "later" }, { object.blame, object.retry }, about) end
    end
    local _, list = run("552 too many", "en")
    assert.equal("there are too many recipients in one transaction, in the old numbering", list[1].cause)
  end)

  it("says of an unknown code what its kind says, and exits with 1", function()
    for about, cause in pairs { ["499"] = "the server refused for now", ["599"] = "the server refused for good", ["298"] = "the server agreed",
      ["999"] = "this is no reply code of SMTP", ["HTTP 418"] = "the service refused the request",
      ["HTTP 502"] = "the service, or a server before it, has a fault" } do
      local status, out, err = explain(about, "--json")
      assert.same({ 1, cause, "" }, { status, objects(out)[1].cause, err }, about)
      whole(objects(out)[1], about)
    end
    local status, out, err = explain "Throttlng"
    assert.same({ 1, "" }, { status, out })
    assert.equal('directmail: "Throttlng" is not known here\n  remedy   did you mean Throttling? else check the spelling; '
      .. "the service's own pages may know it\n", err)
    status, out = explain("nothing like it", "--json")
    assert.equal(1, status)
    assert.same({ false, "REFUSED" }, { cjson.decode(out).ok, cjson.decode(out).code })
  end)

  it("knows answers of the API that have no code, by their status", function()
    for _, about in ipairs { "HTTP 413", "413", "(no code) HTTP 413" } do
      local status, out = explain(about, "--json")
      assert.equal(0, status)
      assert.same({ about, "content" }, { objects(out)[1].code, objects(out)[1].blame })
    end
    assert.equal("rate", objects(select(2, explain("HTTP 429", "--json")))[1].blame)
  end)

  it("speaks the language that is asked for, or the machine's", function()
    local chinese = "436\n  原因     信封发件人"
    local function begins(text, words) assert.equal(words, text:sub(1, #words)) end
    begins(select(2, explain("436", "--language", "zh")), chinese)
    begins(select(2, explain("436", "--lang=zh")), chinese)
    for _, env in ipairs { { LC_ALL = "zh_CN.UTF-8" }, { LC_ALL = "", LC_MESSAGES = "zh_CN", LANG = "C" }, { LC_ALL = "", LANG = "zh_TW.UTF-8" },
      { ALIBABA_CLOUD_LANGUAGE = "zh" } } do
      local words = { "explain", "436", env = env }
      begins(select(2, command.run(words)), chinese)
      words[3], words[4] = "--language", "en"
      begins(select(2, command.run(words)), "436\n  cause")
    end
    for _, env in ipairs { {}, { LANG = "zh_CN.UTF-8" }, { LC_ALL = "", LC_MESSAGES = "en_US", LANG = "zh_CN" },
      { LC_ALL = "zh_CN", ALIBABA_CLOUD_LANGUAGE = "en" } } do
      begins(select(2, command.run { "explain", "436", env = env }), "436\n  cause")
    end
    local status, _, err = explain("436", "--language", "fr")
    assert.equal(2, status)
    assert.matches("must be one of 'en', 'zh'", err)
    status, _, err = command.run { "explain", "nothing", "--language", "zh" }
    assert.equal(1, status)
    begins(err, "directmail: 这里没有“nothing”的说明\n  处理     检查拼写")
  end)

  it("wants something to explain", function()
    local status, out, err = command.run { "explain" }
    assert.same({ 2, "" }, { status, out })
    assert.matches("there is nothing to explain", err)
  end)
end)
