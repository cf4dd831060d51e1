-- The catalogue: its table is what the rows say, every operation is there, and a call's faults are told all at once.
local catalogue = require "directmail.catalogue"
local json = require "cjson"
local limits = require "directmail.data.limits"

local NOW = 1795521600          -- 2026-11-24T12:00:00Z

local lua = "lua5.4"
for i = -1, -20, -1 do
  if arg and arg[i] then lua = arg[i] end
end
if not lua:find("lua", 1, true) then lua = "lua5.4" end

local function check(name, params) return catalogue.check(assert(catalogue.find(name), name), params, NOW) end

-- The one fault of a call, or none.
local function fault(name, params)
  local _, faults = check(name, params)
  local texts = {}
  for i, f in ipairs(faults) do texts[i] = f.text end
  return table.concat(texts, " | "), faults
end

local function mail(more)
  local params = { AccountName = "noreply@mail.example.com", AddressType = 1, ReplyToAddress = false, ToAddress = "ann@example.net", Subject = "Hi", TextBody = "Hello" }
  for name, value in pairs(more or {}) do
    if value == "nil" then params[name] = nil else params[name] = value end
  end
  return params
end

local function count(list) local n = 0 for _ in pairs(list) do n = n + 1 end return n end

local function run(command)
  local pipe = assert(io.popen(command .. ' 2>&1; echo "exit $?"'))
  local out = pipe:read("*a")
  pipe:close()
  return tonumber(out:match("exit (%d+)\n$")), out
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
end

describe("the table", function()
  local dir

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(os.execute(("mkdir -p '%s/lua/directmail' && cp -r src '%s/' && cp -r lua/directmail/data '%s/lua/directmail/'"):format(dir, dir, dir)))
  end)
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  local function generate(option) return run(("'%s' '%s/src/data/catalogue.lua' %s"):format(lua, dir, option or "")) end

  it("is committed as the rows say", function()
    local status, out = run(("'%s' src/data/catalogue.lua --check"):format(lua))
    assert.equal(0, status, out)
  end)

  it("names a file that differs, or is missing", function()
    local path = dir .. "/lua/directmail/data/operations/tag.lua"
    write(path, read(path) .. "--\n")
    os.remove(dir .. "/lua/directmail/data/operations/account.lua")
    local status, out = generate "--check"
    assert.equal(1, status)
    assert.is_truthy(out:find("operations/tag.lua is not what", 1, true), out)
    assert.is_truthy(out:find("operations/account.lua is missing", 1, true), out)
    assert.equal(0, (generate()))
    assert.equal(0, (generate "--check"))
  end)

  it("is refused by file and line when a row of ours is wrong", function()
    local path = dir .. "/src/data/operations_own.tsv"
    local good = read(path)
    local _, lines = good:gsub("\n", "")
    for row, wanted in pairs {
      ["NoSuch\t-\tsends\tmail\ts"] = "there is no operation", ["CreateTag\tNoSuch\tsecret\tyes\ts"] = "there is no place NoSuch",
      ["CreateTag\t-\tsmell\tyes\ts"] = 'no operation has the fact "smell"', ["CreateTag\tTagName\tsecret\tno\ts"] = "secret is yes",
      ["CreateTag\t-\trule\tsometimes TagName\ts"] = "the rule is not known", ["CreateTag\t-\trule\tall Nobody\ts"] = "names Nobody",
      ["CreateTag\tTagName\tmax_chars\tmany\ts"] = "is no number", ["CreateTag\t-\tsends\tmail"] = "4 columns",
      ["SingleSendMail\t-\trate\tsingle\ts"] = "is there already", ["DeleteTag\t-\tlook\tNobody\ts"] = "which there is not",
    } do
      write(path, good .. row .. "\n")
      local status, out = generate "--check"
      assert.equal(1, status, row)
      assert.is_truthy(out:find(wanted, 1, true), row .. ": " .. out)
      if not (wanted:find "names" or wanted:find "which") then assert.is_truthy(out:find("operations_own.tsv:" .. lines + 1 .. ":", 1, true), out) end
    end
    write(path, good)
  end)

  it("is made again from a description, and what the description does not know is refused", function()
    local described = { generated_from = "a test", operations = { {
      name = "QueryThings", group = "thing", purpose = "Lists things.", http_method = "POST", api_version = "2015-11-23", rules = { "a rule" },
      parameters = { { name = "PageNo", type = "integer", required = false, constraints = { min = 1, default = 1 }, note = "page" },
        { name = "OwnerId", type = "integer", required = false, constraints = {}, internal = true },
        { name = "Kind", type = "string", required = true, constraints = { enum = { "a", "b" }, max_chars = 5 }, note = "kind" } },
      response = { { name = "data", type = "object", fields = { { name = "thing", type = "array of object", fields = { { name = "Id", type = "string" } } } } },
        { name = "RequestId", type = "string" } },
      paging = "page", paging_fields = { position = "PageNo", total = "TotalCount" }, safe_to_retry = true, retry_reason = "read only",
      error_codes = {}, first_seen_in_node_sdk = "1.0.5",
    } } }
    local own = dir .. "/src/data/operations_own.tsv"
    local kept, rows = read(own), read(dir .. "/src/data/operations.tsv")
    write(own, "# none\n")
    local path = dir .. "/described.json"
    local function from(value)
      -- what cjson cannot tell from an object: an empty list
      write(path, (json.encode(value):gsub('"error_codes":{}', '"error_codes":[]')))
      return generate("'" .. path .. "'")
    end
    local status, out = from(described)
    assert.equal(0, status, out)
    local group = dofile(dir .. "/lua/directmail/data/operations/thing.lua")
    local made = group.QueryThings
    assert.same({ { name = "Kind", type = "string", required = true, enum = { "a", "b" }, max_chars = 5, note = "kind" } }, { made.params[2] })
    assert.same({ style = "page", position = "PageNo", total = "TotalCount" }, made.paging)
    assert.same({ "data.thing", { { name = "OwnerId", type = "integer" } } }, { made.list, made.internal })
    assert.equal("read", dofile(dir .. "/lua/directmail/data/operations.lua").QueryThings.kind)
    described.operations[1].parameters[1].constraints.smell = "odd"
    status, out = from(described)
    assert.equal(1, status)
    assert.is_truthy(out:find('constraint "smell" is not known', 1, true), out)
    described.operations[1].parameters[1].constraints.smell = nil
    described.operations[1].api_version = "2017-06-22"
    assert.equal(1, (from(described)))
    write(own, kept)
    write(dir .. "/src/data/operations.tsv", rows)
    assert.equal(0, (generate()))
  end)

  it("has all 81 operations, 272 parameters and a list for everything that is paged", function()
    local parameters, paged = 0, 0
    local function add(fields)
      for _, field in ipairs(fields) do
        assert.is_string(field.type, field.name)
        if field.fields then add(field.fields) end
      end
    end
    assert.equal(81, #catalogue.names())
    for _, name in ipairs(catalogue.names()) do
      local o = catalogue.find(name)
      parameters = parameters + #o.params
      add(o.params)
      assert.is_truthy(o.purpose ~= "" and o.retry_reason ~= "" and o.retry ~= nil, name)
      if o.paging then
        paged = paged + 1
        assert.is_string(o.list, name)
        local there = false
        for _, field in ipairs(o.params) do there = there or field.name == o.paging.position end
        assert.is_true(there, name .. " has no " .. o.paging.position)
      end
      if o.sends then assert.is_false(o.retry, name) end
      if o.kind == "read" then assert.is_true(o.retry, name) end
    end
    assert.equal(272, parameters)
    assert.equal(16, paged)         -- QueryReceiverByParam is asked once
  end)

  it("agrees with the limits that mail:send keeps", function()
    local found = {}
    for _, field in ipairs(catalogue.find "SingleSendMail".params) do found[field.name] = field end
    assert.same({ limits.api_subject, limits.api_from_alias, limits.api_reply_alias, limits.api_to, limits.api_bcc, limits.api_headers, limits.api_body_octets,
      limits.api_body_octets, limits.tag },
      { found.Subject.max_chars, found.FromAlias.max_chars, found.ReplyAddressAlias.max_chars, found.ToAddress.max_items, found.BccAddress.max_items,
        found.Headers.max_items, found.HtmlBody.max_bytes, found.TextBody.max_bytes, found.TagName.max_chars })
  end)

  it("marks secrets, deletions and what sends", function()
    local kinds, sends, secrets = { read = 0, change = 0, delete = 0 }, 0, {}
    for _, name in ipairs(catalogue.names()) do
      local o = catalogue.find(name)
      kinds[o.kind] = kinds[o.kind] + 1
      if o.sends then sends = sends + 1 end
      for _, field in ipairs(o.params) do
        if field.secret then secrets[#secrets + 1] = name .. "." .. field.name end
      end
    end
    assert.same({ "ApproveReplyMailAddress.Ticket", "ModifyMailAddress.Password", "ModifyPWByDomain.Password" }, secrets)
    assert.equal(6, sends)
    assert.equal(81, kinds.read + kinds.change + kinds.delete)
    for _, name in ipairs { "DeleteTag", "DeleteMailAddress", "ConfigSetDelete", "DedicatedIpPoolDelete", "RemoveUserSuppression" } do
      assert.equal("delete", catalogue.brief(name).kind, name)
    end
    for _, name in ipairs { "ValidateEmail", "CheckDisposable", "SenderStatisticsDetailByParam", "ConfigSetList", "GetUser" } do
      assert.equal("read", catalogue.brief(name).kind, name)
    end
    assert.equal("change", catalogue.brief "CheckDomain".kind)
  end)

  it("reads one group for one operation", function()
    for name in pairs(package.loaded) do
      if name:find "^directmail%.data%.operations" or name == "directmail.catalogue" then package.loaded[name] = nil end
    end
    local fresh = require "directmail.catalogue"
    local function groups()
      local n = 0
      for name in pairs(package.loaded) do
        if name:find "^directmail%.data%.operations%." then n = n + 1 end
      end
      return n
    end
    assert.equal(0, groups())
    assert.equal("tag", fresh.brief "CreateTag".group)
    assert.equal(0, groups())
    fresh.find "CreateTag"
    assert.equal(1, groups())
  end)
end)

describe("check", function()
  it("finds nothing wrong with what is right, and sends it as the API wants it", function()
    local wire, faults = check("SingleSendMail", mail { ToAddress = { "ann@example.net", "bob@b\195\188cher.example" }, ClickTrace = 1, TagName = "sign-up_1",
      Template = { TemplateId = 7, TemplateData = { name = "Ann", n = 3 } }, Headers = { ["X-User-A"] = "1" }, OwnerId = 3, FromAlias = "" })
    assert.same({}, faults)
    assert.equal("ann@example.net,bob@xn--bcher-kva.example", wire.ToAddress)
    assert.equal("1", wire.ClickTrace)
    assert.same({ TemplateId = "7", TemplateData = { name = "Ann", n = "3" } }, json.decode(wire.Template))
    assert.same({ ["X-User-A"] = "1" }, json.decode(wire.Headers))
    assert.same({ 3, false, 1 }, { wire.OwnerId, wire.ReplyToAddress, wire.AddressType })
  end)

  it("takes texts for everything, as a command line or a request brings them", function()
    local wire, faults = check("SingleSendMail", mail { AddressType = "1", ReplyToAddress = "true", Template = '{"TemplateId":"7","TemplateData":{}}',
      Headers = '{"X-User-A":"1"}' })
    assert.same({}, faults)
    assert.equal('{"TemplateData":{},"TemplateId":"7"}', wire.Template)
    assert.equal("", (fault("ConfigSetList", { PageIndex = "1", PageSize = "10", All = "true" })))
  end)

  it("tells all faults at once, each with the parameter and its limit", function()
    local _, faults = check("SingleSendMail", { AddresType = 1, Subject = ("\195\188"):rep(300), ReplyToAddress = "maybe", ToAddress = "bob", AddressType = 2, TagName = "a b" })
    local e = catalogue.error("SingleSendMail", faults)
    assert.same({ "OPTION", "not_sent", false }, { e.code, e.outcome, e.retry })
    for _, wanted in ipairs { "no parameter AddresType %(did you mean AddressType%?%)", "AccountName is missing", "AddressType is 2, and must be one of: 0, 1",
      'ReplyToAddress is "maybe", and must be true or false', "Subject has 300 characters, at most 256 are taken", 'ToAddress is "bob", which is no address',
      'TagName is "a b", and may hold only', "at least one of HtmlBody, TextBody and Template is needed" } do
      assert.matches(wanted, e.cause)
    end
    assert.equal("AddresType, AccountName, AddressType, ReplyToAddress, Subject, TagName, ToAddress, HtmlBody", e.detail)
    assert.matches("directmail api SingleSendMail %-%-help", e.remedy)
  end)

  it("names the way out when a limit is in the way", function()
    local _, faults = check("SingleSendMail", mail { HtmlBody = ("x"):rep(8388609) })
    assert.same({ 1, "HtmlBody", 8388608 }, { #faults, faults[1].parameter, faults[1].limit })
    assert.matches("SMTP: mail:send", catalogue.error("SingleSendMail", faults).remedy)
  end)

  it("refuses each kind of bad value by its own words", function()
    local hundred = {}
    for i = 1, 101 do hundred[i] = ("a%d@example.net"):format(i) end
    for _, row in ipairs {
      { "SingleSendMail", mail { ToAddress = table.concat(hundred, ",") }, "ToAddress has 101 entries, at most 100" },
      { "SingleSendMail", mail { BccAddress = "a@x.example,b@x.example,c@x.example" }, "BccAddress has 3 entries, at most 2" },
      { "SingleSendMail", mail { ToAddress = "Ann <ann@example.net>" }, "bare address" },
      { "SingleSendMail", mail { ToAddress = '"a,b"@example.net' }, "no address" },
      { "SingleSendMail", mail { ToAddress = "ann@example.net\r\nBcc: x@y.example" }, "line break" },
      { "SingleSendMail", mail { Subject = "a\nb" }, "Subject .* line break" },
      { "SingleSendMail", mail { Subject = "a\0b" }, "NUL" },
      { "SingleSendMail", mail { Subject = "\255" }, "not UTF%-8" },
      { "SingleSendMail", mail { Subject = "" }, "Subject is missing" },
      { "SingleSendMail", mail { FromAlias = "1234567890123456" }, "FromAlias has 16 characters, at most 15" },
      { "SingleSendMail", mail { Headers = { ["X-Other"] = "1" } }, 'Headers has "X%-Other", and only Message%-ID' },
      { "SingleSendMail", mail { Headers = { ["X-User-A"] = "1\r\nBcc: x" } }, "Headers.X%-User%-A must be a text of one line" },
      { "SingleSendMail", mail { Headers = "[1]" }, "no JSON object" },
      { "SingleSendMail", mail { Template = "{" }, "no JSON" },
      { "SingleSendMail", mail { Template = { TemplateData = {} } }, "Template.TemplateId is missing" },
      { "SingleSendMail", mail { Template = { TemplateId = "1", Data = {} } }, "no field Template.Data" },
      { "SingleSendMail", mail { ClickTrace = "1" }, "TagName is missing: with ClickTrace = 1" },
      { "SingleSendMail", mail { AccountName = "mail.example.com" }, "no address" },
      { "SingleSendMail", mail { AccountName = "a@b.example", DomainAuth = true }, "bare domain" },
      { "SingleSendMail", mail { Subject = json.null }, "Subject is null" },
      { "SingleSendMail", mail { Subject = {} }, "Subject is a table, and must be a text" },
      { "SingleSendMail", mail { AddressType = 1.5 }, "must be a whole number" },
      { "SingleSendMail", mail { UnSubscribeLinkType = "de" }, "must be one of: default, disabled, zh%-cn, en%-us" },
      { "QueryTagByParam", { PageNo = 0 }, "PageNo is 0, and must be at least 1" },
      { "ConfigSetList", { PageIndex = "x", PageSize = 1 }, 'PageIndex is "x", and must be a whole number' },
      { "SenderStatisticsDetailByParam", { Length = 101 }, "Length is 101, and must be at most 100" },
      { "SenderStatisticsDetailByParam", { Status = 1 }, "one of: 0, 2, 3, 4" },
      { "SenderStatisticsDetailByParam", { AccountName = "a", TagName = "b" }, "AccountName and TagName exclude each other: at most one" },
      { "GetTrackList", { StartTime = "2026-11-18", EndTime = "2026-11-24", TagName = "x" }, "AccountName is missing: with TagName" },
      { "GetTrackList", { StartTime = "2026-11-01", EndTime = "2026-11-24" }, "spans 23 days, at most 7" },
      { "GetTrackList", { StartTime = "2026-11-24", EndTime = "2026-11-20" }, "StartTime lies behind EndTime" },
      { "GetTrackList", { StartTime = "2026-02-30", EndTime = "2026-03-01" }, "a date that exists" },
      { "GetTrackList", { StartTime = "2026-09-01", EndTime = "2026-09-02" }, "lies 84 days back, the service looks back 30" },
      { "GetTrackList", { StartTime = "24.11.2026", EndTime = "2026-11-24" }, "written as yyyy%-MM%-dd" },
      { "ListValidateFile", { StartTime = "2026-11-24", EndTime = "2026-11-24T12:00:00Z" }, "RFC 3339" },
      { "ListUserSuppression", { StartCreateTime = 1795000000, EndCreateTime = 1796000000 }, "spans 12 days, at most 7" },
      { "CreateDomain", { DomainName = "m\195\188nchen.example" }, "may hold only A%-Z a%-z 0%-9 %. %-" },
      { "CreateDomain", { DomainName = "a.example", dkimSelector = "-x" }, "hyphens inside" },
      { "CreateTag", { TagName = ("x"):rep(129) }, "129 characters, at most 128" },
      { "CreateTemplate", { TemplateName = "a" }, "TemplateSubject is missing | TemplateNickName is missing" },
      { "ModifyPWByDomain", { DomainName = "a.example", Password = "short1" }, "Password has 6 characters, at least 10 are needed" },
      { "SaveReceiverDetail", { ReceiverId = "1" }, "at least one of Detail and CustomDetail" },
      { "SaveReceiverDetail", { ReceiverId = "1", Detail = '{"e":"x"}' }, "no JSON list" },
      { "GetUser", { Foo = 1 }, "no parameter Foo" },
    } do
      assert.matches(row[3], (fault(row[1], row[2])), row[1])
    end
  end)

  it("knows what BatchSendMail may combine", function()
    local function batch(more)
      local params = { AccountName = "news@mail.example.com", AddressType = 1 }
      for name, value in pairs(more) do params[name] = value end
      return (fault("BatchSendMail", params))
    end
    local inline, content = { { To = { "a@x.example" }, TemplateData = { n = "1" } }, { To = "b@x.example" } }, { Subject = "s", HtmlBody = "x" }
    assert.equal("", batch { Receivers = inline, TemplateContent = content })
    assert.equal("", batch { Receivers = inline, TemplateName = "t" })
    assert.equal("", batch { ReceiversName = "l", TemplateName = "t" })
    assert.equal("", batch { ReceiversName = "l", TemplateContent = json.encode(content) })
    assert.matches("TemplateName and TemplateContent exclude each other", batch { ReceiversName = "l", TemplateName = "t", TemplateContent = content })
    assert.matches("one of ReceiversName and Receivers is needed", batch { TemplateName = "t" })
    assert.matches("TemplateContent.HtmlBody", (select(2, fault("BatchSendMail", { AccountName = "a@b.example", AddressType = 1, ReceiversName = "l",
      TemplateContent = { Subject = "s" } })))[1].parameter)
    assert.matches("Receivers.2.To is missing", batch { TemplateName = "t", Receivers = { { To = "a@x.example" }, { TemplateData = { n = "1" } } } })
    local many = {}
    for i = 1, 60 do many[i] = { To = { "a" .. i .. "@x.example", "b" .. i .. "@x.example" } } end
    assert.matches("Receivers has 120 addresses, at most 100", batch { TemplateName = "t", Receivers = many })
    for i = 61, 101 do many[i] = { To = "c@x.example" } end
    assert.matches("Receivers has 101 entries, at most 100", batch { TemplateName = "t", Receivers = many })
  end)

  it("shows no secret, in whatever is wrong with it", function()
    for _, password in ipairs { "tooshort1A", "hunter2HUNTERhunter2HUNTER", "with\nline12ABcd", "\255\254secretABab12" } do
      local _, faults = check("ModifyMailAddress", { MailAddressId = 1, Password = password })
      assert.is_true(#faults > 0, password)
      local text = tostring(catalogue.error("ModifyMailAddress", faults))
      for _, part in ipairs { "tooshort", "hunter2", "line12", "secretAB" } do assert.is_nil(text:find(part, 1, true), text) end
    end
    assert.equal("", (fault("ModifyMailAddress", { MailAddressId = 1, Password = "Abcdefg123xY" })))
    assert.matches("must not all be the same", (fault("ModifyMailAddress", { MailAddressId = 1, Password = "11111AAaaaa" })))
  end)

  it("counts days as the calendar does", function()
    for date, good in pairs { ["2024-02-29"] = true, ["2026-02-29"] = false, ["2100-02-29"] = false, ["2000-02-29"] = true, ["2026-12-31"] = true, ["2026-13-01"] = false,
      ["2026-04-31"] = false, ["2026-00-10"] = false } do
      local text = fault("QueryInvalidAddress", { EndTime = date })
      assert.equal(good, text == "", date)
    end
    -- over a year's end and a leap day: the length of the window shows the count
    assert.matches("spans 366 days", (fault("QueryInvalidAddress", { StartTime = "2024-01-01", EndTime = "2025-01-01" })))
    assert.matches("spans 31 days", (fault("QueryInvalidAddress", { StartTime = "2099-12-31", EndTime = "2100-01-31" })))
  end)

  it("bounds what a stranger's list makes it say", function()
    local many = {}
    for i = 1, 5000 do many[i] = {} end
    local _, faults = check("BatchSendMail", { AccountName = "a@b.example", AddressType = 1, TemplateName = "t", Receivers = many })
    assert.is_true(#faults < 110, tostring(#faults))
  end)
end)

describe("names", function()
  it("are suggested when one is misspelt", function()
    assert.equal("QueryTagByParam", catalogue.nearest "QueryTagByParm")
    assert.equal("SingleSendMail", catalogue.nearest "singlesendmail")
    assert.is_nil(catalogue.nearest "Xyzzy")
    assert.is_nil(catalogue.find "Xyzzy")
    assert.equal("dm:CreateTag", catalogue.right "CreateTag")
  end)

  it("with dots become tables", function()
    assert.same({ A = "1", B = { { To = { "x", "y" } }, { To = { "z" } } } },
      (catalogue.unflatten { A = "1", ["B.1.To.1"] = "x", ["B.1.To.2"] = "y", ["B.2.To.1"] = "z" }))
    assert.equal("B.1", select(2, catalogue.unflatten { B = "1", ["B.1"] = "x" }))
    assert.equal(1, count(catalogue.unflatten { ["A.B"] = "1" }))
  end)
end)
