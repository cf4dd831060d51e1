-- The sandbox's API beyond SingleSendMail: every operation answers in its shape, and what is changed stays changed.
local catalogue = require "directmail.catalogue"
local directmail = require "directmail"
local json = require "cjson"

local box, mail

local function fresh()
  if box then box:stop() end
  box = assert(directmail.sandbox.start())
  mail = assert(directmail.new { region = "ap-southeast-1", sender = "noreply@mail.example.com", api = box.urls.api, smtp = box.urls.smtp, ca = box.ca,
    smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
    access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET })
end

setup(fresh)
teardown(function() box:stop() end)

local function ok(name, params)
  local answer, e = mail.api[name](params)
  return assert(answer, e and ("%s: %s"):format(name, tostring(e)))
end

-- The code with which the sandbox itself refuses: sent unchecked.
local function code(name, params)
  local answer, e = mail.api.call(name, params)
  return answer and "accepted" or e.detail
end

local function list(name, params)
  local out, following = {}, mail.api.each(name, params)
  while true do
    local entry, e = following()
    if entry == nil then return out end
    out[#out + 1] = assert(entry, tostring(e))
  end
end

local function today(days) return os.date("!%Y-%m-%d", os.time() + (days or 0) * 86400) end

local SAMPLE = {
  AccountName = "news@mail.example.com", FromAddress = "news@mail.example.com", SenderEmail = "news@mail.example.com", Email = "ann@example.net",
  ToAddress = "invalid@sandbox.example", BlockEmail = "a@x.example", Address = "gone@example.net", Domain = "mail.example.com",
  DomainName = "mail.example.com", Sendtype = "batch", Subject = "Hi", HtmlBody = "x", TagName = "t1", ReceiversName = "l", ReceiversAlias = "l@x.example",
  Receivers = { { To = "ann@example.net" } }, TemplateContent = { Subject = "s", HtmlBody = "x" }, Detail = { { e = "ann@example.net" } },
  TemplateName = "tpl", TemplateSubject = "s", TemplateNickName = "n", TemplateText = "<p>x</p>", TemplateType = 0, TemplateId = 100001,
  Name = "n1", PageIndex = 1, PageSize = 10, IpAddress = "192.0.2.1", Password = "Abcdefg123xY", Ticket = "t", FileName = "a.csv",
  FileUrl = "https://x.example/a.csv", FileId = "1", BuyResourceIds = "1", WarmupType = "sysCusStream",
}

-- What some want otherwise than the others.
local APART = {
  CreateMailAddress = { AccountName = "new@mail.example.com" }, CreateDomain = { DomainName = "new.example" }, SingleSendMail = { ToAddress = "ann@example.net" },
  CreateTag = { TagName = "t2" }, CreateReceiver = { ReceiversName = "l2" }, ModifyTemplate = { TemplateName = "tpl2" }, ConfigSetDelete = { IsForce = true },
  ConfigSetCreate = { Name = "n2" },
}

-- What an operation needs at least.
local function least(o)
  local params = {}
  for name, value in pairs(APART[o.name] or {}) do params[name] = value end
  local function add(name, field)
    if params[name] ~= nil then return end
    if field.enum then params[name] = field.enum[1]
    elseif field.format == "yyyy-MM-dd" then params[name] = today()
    elseif field.format == "RFC 3339" then params[name] = today() .. "T00:00:00Z"
    elseif SAMPLE[name] then params[name] = SAMPLE[name]
    elseif field.type == "integer" then params[name] = 1
    elseif field.type == "boolean" then params[name] = true
    else error("no sample for " .. name) end
  end
  local fields = {}
  for _, field in ipairs(o.params) do
    fields[field.name] = field
    local name = field.name
    if field.required or name == "Email" or name == "Address" or name == "Domain" or name == "Id" or o.name == "DeleteInvalidAddress" then add(name, field) end
  end
  for _, rule in ipairs(o.rule or {}) do
    if rule[1] == "exactly_one" then add(rule[3], fields[rule[3]])
    elseif rule[1] == "at_least_one" then add(rule[2], fields[rule[2]])
    elseif rule[1] == "all" then for i = 2, #rule do add(rule[i], fields[rule[i]]) end end
  end
  return params
end

local TYPES = { string = "string", integer = "number", boolean = "boolean", object = "table", map = "table", ["list of object"] = "table", ["list of string"] = "table" }

local function has_shape(fields, answer, at)
  for _, field in ipairs(fields) do
    local value = answer[field.name]
    if not field.deprecated then
      assert.equal(TYPES[field.type], type(value), ("%s%s is %s"):format(at, field.name, tostring(value)))
      if field.type == "object" then has_shape(field.fields or {}, value, at .. field.name .. ".") end
      if field.type == "list of object" then
        for _, item in ipairs(value) do has_shape(field.fields, item, at .. field.name .. "[].") end
      end
    end
  end
end

describe("the sandbox", function()
  it("answers each operation of the catalogue in its shape", function()
    fresh()
    finally(fresh)
    local made = { ConfigSet = ok("ConfigSetCreate", { Name = "n1" }).Id, DeleteIpfilterByEdmId = ok("AddIpfilter", { IpAddress = "192.0.2.9" }).IpFilterId }
    SAMPLE.ReceiverId = ok("CreateReceiver", { ReceiversName = "l", ReceiversAlias = "l@x.example" }).ReceiverId
    -- a changed template waits for review: another one than that of the mails
    APART.ModifyTemplate.TemplateId = ok("CreateTemplate", { TemplateName = "tpl0", TemplateType = 0, TemplateSubject = "s", TemplateNickName = "n",
      TemplateText = "x" }).TemplateId
    SAMPLE.TagId, SAMPLE.DomainId = ok("CreateTag", { TagName = "t1" }).TagId, list("QueryDomainByParam")[1].DomainId
    SAMPLE.MailAddressId = list("QueryMailAddressByParam", { KeyWord = "noreply" })[1].MailAddressId
    local answered = 0
    for _, kind in ipairs { "read", "change", "delete" } do
      for _, name in ipairs(catalogue.names()) do
        local o = catalogue.find(name)
        SAMPLE.Id = made[name] or made[name:sub(1, 9)] or "1"
        SAMPLE.Ids = SAMPLE.Id
        if o.kind == kind then
          if name == "DeleteReceiverDetail" then           -- the first list is gone, by the order of names
            SAMPLE.ReceiverId = list("QueryReceiverByParam")[1].ReceiverId
            ok("SaveReceiverDetail", { ReceiverId = SAMPLE.ReceiverId, Detail = SAMPLE.Detail })
          end
          has_shape(o.answer, ok(name, least(o)), name .. ".")
          answered = answered + 1
        end
      end
    end
    assert.equal(81, answered)
  end)

  it("checks every call by the catalogue, with the service's codes", function()
    for _, row in ipairs {
      { "CreateTag", {}, "MissingTagName" }, { "CreateTag", { TagName = "a b" }, "InvalidTagName" }, { "CreateTag", { TagName = "a", Foo = "1" }, "InvalidParameter" },
      { "CreateMailAddress", { AccountName = "nobody", Sendtype = "batch" }, "InvalidMailAddressName.Malformed" },
      { "CreateMailAddress", { AccountName = "a@mail.example.com", Sendtype = "bulk" }, "InvalidMailAddressSendType.Malformed" },
      { "CreateMailAddress", { AccountName = "a@other.example", Sendtype = "batch" }, "InvalidMailAddressDomain.Malformed" },
      { "CreateMailAddress", { AccountName = "News@mail.example.com", Sendtype = "batch" }, "InvalidMailAddressName.Duplicate" },
      { "ModifyMailAddress", { MailAddressId = "x" }, "InvalidMailAddressId.Malformed" }, { "DeleteMailAddress", { MailAddressId = "99" }, "InvalidMailAddressId.Malformed" },
      { "ModifyMailAddress", { MailAddressId = "1", Password = "weak" }, "InvalidPassword" },
      { "QueryTagByParam", { PageNo = "0" }, "InvalidPageNo" }, { "GetTrackList", { StartTime = today(-20), EndTime = today() }, "InvalidStartTime" },
      { "SenderStatisticsDetailByParam", { AccountName = "a", TagName = "b" }, "InvalidMailAddressName.Malformed" },
      { "DescDomain", { DomainId = "9" }, "InvalidDomainId.NotFound" }, { "DescTemplate", { TemplateId = "9" }, "InvalidTemplate.NotFound" },
      { "DeleteTag", { TagId = "9" }, "InvalidTag.NotFound" }, { "QueryReceiverDetail", { ReceiverId = "9" }, "InvalidReceiver.NotFound" },
      { "DeleteInvalidAddress", { ToAddress = "nobody@x.example" }, "InvalidAddress.NotFound" },
      { "ValidateEmail", { Email = ("x"):rep(190) .. "@x.example" }, "EmailFormatError" },
      { "BatchSendMail", { AccountName = "news@mail.example.com", AddressType = "1", TemplateName = "welcome" }, "MissingReceiversName" },
      { "BatchSendMail", { AccountName = "noreply@mail.example.com", AddressType = "1", TemplateName = "welcome", ReceiversName = "x" }, "InvalidMailAddressSendType.Malformed" },
      { "BatchSendMail", { AccountName = "news@mail.example.com", AddressType = "1", TemplateName = "welcome", ReceiversName = "x" }, "InvalidReceiver.NotFound" },
      { "BatchSendMail", { AccountName = "news@mail.example.com", AddressType = "1", TemplateName = "none", Receivers = '[{"To":["a@x.example"]}]' }, "InvalidTemplate.NotFound" },
      { "BatchSendMail", { AccountName = "news@mail.example.com", AddressType = "1", TemplateName = "welcome", Receivers = "[" }, "InvalidReceivers" },
      { "BatchSendMail", { AccountName = "news@mail.example.com", AddressType = "1", TemplateName = "welcome", Receivers = '[{"To":["a@x.example"]}]', TagName = "none" },
        "InvalidTag.NotFound" },
    } do
      assert.equal(row[3], code(row[1], row[2]), row[1])
    end
  end)
end)

describe("sender addresses", function()
  it("are made, listed, changed and deleted, and the new password opens SMTP", function()
    local id = ok("CreateMailAddress", { AccountName = "Sales@mail.example.com", Sendtype = "trigger" }).MailAddressId
    local found = list("QueryMailAddressByParam", { KeyWord = "sales" })
    assert.same({ 1, "sales@mail.example.com", "trigger", "0" }, { #found, found[1].AccountName, found[1].Sendtype, found[1].AccountStatus })
    assert.equal(1, #list("QueryMailAddressByParam", { Sendtype = "batch" }))
    ok("ModifyMailAddress", { MailAddressId = id, Password = "Abcdefg123xY", ReplyAddress = "help@example.org" })
    assert.equal("InvalidPassword", code("ModifyMailAddress", { MailAddressId = id, Password = "Abcdefg123xY" }))
    local by_smtp = assert(directmail.new { region = "ap-southeast-1", sender = "sales@mail.example.com", smtp = box.urls.smtp, ca = box.ca, via = "smtp",
      smtp_password = "Abcdefg123xY" })
    assert.equal("sent", assert(by_smtp:send { to = "ann@example.net", subject = "Hi", text = "x" }).outcome)
    ok("DeleteMailAddress", { MailAddressId = id })
    local _, e = by_smtp:send { to = "ann@example.net", subject = "Hi", text = "x" }
    assert.equal("AUTH", e.code)
    assert.equal(0, #list("QueryMailAddressByParam", { KeyWord = "sales" }))
  end)

  it("need a domain that was checked", function()
    local id = ok("CreateDomain", { DomainName = "Fresh.example" }).DomainId
    assert.equal("1", ok("DescDomain", { DomainId = id }).DomainStatus)
    assert.equal("InvalidMailAddressDomain.Malformed", code("CreateMailAddress", { AccountName = "a@fresh.example", Sendtype = "batch" }))
    assert.equal(0, ok("CheckDomain", { DomainId = id }).DomainStatus)
    local domain = ok("DescDomain", { DomainId = id })
    assert.same({ "fresh.example", "0", "0" }, { domain.DomainName, domain.SpfAuthStatus, domain.DkimAuthStatus })
    ok("CreateMailAddress", { AccountName = "a@fresh.example", Sendtype = "batch" })
    assert.equal(1, #list("QueryDomainByParam", { KeyWord = "fresh" }))
    assert.equal(0, #list("QueryDomainByParam", { Status = 1 }))
    assert.equal("InvalidDomainName.Duplicate", code("CreateDomain", { DomainName = "fresh.example" }))
    ok("DeleteDomain", { DomainId = id })
    assert.equal("1", list("QueryMailAddressByParam", { KeyWord = "fresh" })[1].DomainStatus)
  end)
end)

describe("templates", function()
  it("wait for review, and serve when they are approved", function()
    local function template(name, subject, text)
      return { TemplateName = name, TemplateType = 0, TemplateSubject = subject, TemplateNickName = "Shop", TemplateText = text }
    end
    local id = ok("CreateTemplate", template("spring", "Hi {name}", "<p>{name}, {UserName}</p>")).TemplateId
    assert.equal("InvalidTemplateName.Malformed", code("CreateTemplate", template("spring", "a", "c")))
    assert.same({ "1", "2" }, { ok("DescTemplate", { TemplateId = id }).TemplateStatus, ok("DescTemplate", { TemplateId = id }).TemplateStatus })
    ok("ModifyTemplate", { TemplateId = id, TemplateName = "spring2", TemplateSubject = "Hello {name}", TemplateNickName = "Shop", TemplateText = "<p>{name}</p>" })
    assert.equal("InvalidTemplate.NotFound", code("SendTestByTemplate", { AccountName = "news@mail.example.com", Email = "ann@example.net", TemplateId = ("%d"):format(id) }))
    local found = list("QueryTemplateByParam", { KeyWord = "spring2" })
    assert.same({ 1, "1", ("%d"):format(id) }, { #found, found[1].TemplateStatus, found[1].TemplateId })
    ok("SendTestByTemplate", { AccountName = "news@mail.example.com", Email = "try@example.net", TemplateId = id, TemplateParams = { name = "Ann" } })
    local got = assert(box:wait { to = "try@example.net", timeout = 5 })
    assert.equal("Hello Ann", got.subject)
    assert.matches("<p>Ann</p>", got.html)
    ok("DeleteTemplate", { TemplateId = id })
    assert.equal("InvalidTemplate.NotFound", code("DescTemplate", { TemplateId = id }))
    id = ok("CreateTemplate", { TemplateName = "rejected one", TemplateType = 0, TemplateSubject = "a", TemplateNickName = "b", TemplateText = "c" }).TemplateId
    ok("DescTemplate", { TemplateId = id })
    assert.equal("3", ok("DescTemplate", { TemplateId = id }).TemplateStatus)
  end)
end)

describe("recipient lists", function()
  it("take recipients once, and say which they did not take", function()
    local id = ok("CreateReceiver", { ReceiversName = "people", ReceiversAlias = "people@x.example", Desc = "d" }).ReceiverId
    local saved = ok("SaveReceiverDetail", { ReceiverId = id, Detail = { { e = "ann@example.net", u = "Ann", g = "f" }, { e = "no address" } },
      CustomDetail = { { Email = "bob@example.net", CustomData = { name = "Bob" } }, { Email = "Ann@example.net" } } })
    assert.same({ 2, 2 }, { saved.SuccessCount, saved.ErrorCount })
    assert.equal("no address", saved.Data.Detail[1].Email)
    local found = ok("QueryReceiverDetail", { ReceiverId = id })
    assert.same({ "UserName,NickName,Gender,Birthday,Mobile", "ann@example.net", "Ann,,f,," }, { found.DataSchema, found.data.detail[1].Email, found.data.detail[1].Data })
    assert.same({ "2", "people" }, { list("QueryReceiverByParam")[1].Count, list("QueryReceiverByParam", { KeyWord = "peo" })[1].ReceiversName })
    assert.equal("InvalidReceiverName.Malformed", code("CreateReceiver", { ReceiversName = "people", ReceiversAlias = "people@x.example" }))
    ok("DeleteReceiverDetail", { ReceiverId = id, Email = "ann@example.net" })
    assert.equal(1, #list("QueryReceiverDetail", { ReceiverId = id }))
    ok("DeleteReceiver", { ReceiverId = id })
    assert.equal(0, #list("QueryReceiverByParam"))
  end)
end)

describe("BatchSendMail", function()
  before_each(fresh)

  local function batch(more)
    local params = { AccountName = "news@mail.example.com", AddressType = 1, TagName = "signup", ClickTrace = "1" }
    for name, value in pairs(more) do params[name] = value end
    return ok("BatchSendMail", params)
  end

  local INLINE = { { To = "ann@example.net", TemplateData = { name = "Ann" } }, { To = { "bob@example.net" }, TemplateData = { name = "Bob" } } }

  local function people()
    local id = ok("CreateReceiver", { ReceiversName = "people", ReceiversAlias = "people@x.example" }).ReceiverId
    ok("SaveReceiverDetail", { ReceiverId = id, Detail = { { e = "ann@example.net", u = "Ann" } },
      CustomDetail = { { Email = "bob@example.net", CustomData = { name = "Bob" } } } })
  end

  it("sends in each of its four forms, one EnvId for all, values filled in", function()
    people()
    for _, form in ipairs {
      { { ReceiversName = "people", TemplateName = "welcome" }, "Hello {name}", "Hello Bob" },
      { { Receivers = INLINE, TemplateName = "welcome" }, "Hello Ann", "Hello Bob" },
      { { ReceiversName = "people", TemplateContent = { Subject = "S {UserName}", Alias = "Shop", HtmlBody = "<p>Hello {UserName}{name}</p>" } },
        "Hello Ann{name}", "Hello {UserName}Bob" },
      { { Receivers = INLINE, TemplateContent = { Subject = "S", HtmlBody = "<p>Hello {name}</p>", TextBody = "T {name}" } }, "Hello Ann", "Hello Bob" },
    } do
      box:clear()
      local answer = batch(form[1])
      local mails = box:mails()
      assert.equal(2, #mails)
      for i, address in ipairs { "ann@example.net", "bob@example.net" } do
        assert.same({ address }, mails[i].to)
        assert.is_truthy(mails[i].html:find(form[i + 1], 1, true), mails[i].html)
        assert.is_truthy(mails[i].raw:find("X-EnvId: " .. answer.EnvId, 1, true))
        assert.equal("BatchSendMail", mails[i].action)
      end
    end
    local tasks = list("QueryTaskByParam")
    assert.same({ 4, "2", "welcome", "signup" }, { #tasks, tasks[4].RequestCount, tasks[4].TemplateName, tasks[4].TagName })
    assert.equal("people", tasks[4].ReceiversName)
  end)

  it("takes the template and the list without a word when both of a pair are given", function()
    people()
    assert.equal("accepted", code("BatchSendMail", { AccountName = "news@mail.example.com", AddressType = "1", ReceiversName = "people", TemplateName = "welcome",
      Receivers = json.encode { { To = { "c@example.net" } } }, TemplateContent = json.encode { Subject = "s", HtmlBody = "other" } }))
    assert.equal(2, #box:mails())
    assert.matches("Hello", box:mails()[1].html)
  end)

  it("does not stop at a recipient who is refused, and the statistics know", function()
    batch { Receivers = { { To = "ann@example.net" }, { To = "invalid@sandbox.example" } }, TemplateContent = { Subject = "s", HtmlBody = "<body>x</body>" } }
    assert(mail:send { to = "carl@example.net", subject = "single", text = "x" })
    assert.equal("sent", assert(mail:send { to = "dora@example.net", subject = "by smtp", text = "x", via = "smtp" }).outcome)
    local found = list("SenderStatisticsDetailByParam", {})
    assert.equal(4, #found)
    local function of(params)
      local list_of = list("SenderStatisticsDetailByParam", params)
      return #list_of, list_of[1] and list_of[1].ToAddress, list_of[1] and list_of[1].Status
    end
    assert.same({ 1, "invalid@sandbox.example", 2 }, { of { Status = 2 } })
    assert.same({ 1, "dora@example.net", 0 }, { of { ToAddress = "dora@example.net" } })
    assert.same({ 2 }, { (of { TagName = "signup" }) })
    assert.same({ 2 }, { (of { AccountName = "noreply@mail.example.com" }) })
    assert.equal(0, (of { StartTime = today(-3) .. " 00:00", EndTime = today(-2) .. " 00:00" }))
    assert.equal(4, (of { StartTime = today(-1) .. " 00:00", EndTime = today(1) .. " 23:59" }))
    assert.equal(1, (of { Length = 1, Status = 2 }))
    local day = list("SenderStatisticsByTagNameAndBatchID", { StartTime = today(-1), EndTime = today(), TagName = "signup" })
    assert.same({ "2", "1", "1", "50.00%" }, { day[1].requestCount, day[1].successCount, day[1].unavailableCount, day[1].succeededPercent })
    assert.equal("2", list("GetTrackList", { StartTime = today(-1), EndTime = today() })[1].TotalNumber)
    assert.equal("2", list("GetTrackListByMailFromAndTagName", { StartTime = today(-1), EndTime = today(), AccountName = "news@mail.example.com" })[1].TotalNumber)
    assert.equal("1", list("QueryMailAddressByParam", { KeyWord = "news" })[1].DailyCount)
    assert.equal(2000 - 3, ok("DescAccountSummary").RemainFreeQuota)
  end)
end)

describe("lists of the unwanted, protection and sets", function()
  it("keep what they are told", function()
    assert.equal("invalid@sandbox.example", list("QueryInvalidAddress", { StartTime = today(-1), EndTime = today() })[1].ToAddress)
    ok("DeleteInvalidAddress", { ToAddress = "invalid@sandbox.example" })
    assert.equal(0, #list("QueryInvalidAddress"))
    local id = ok("CreateUserSuppression", { Address = "Gone@example.net" }).SuppressionId
    assert.equal("gone@example.net", list("ListUserSuppression")[1].Address)
    ok("RemoveUserSuppression", { SuppressionIds = id })
    assert.equal(0, #list("ListUserSuppression"))
    ok("UpdateIpProtection", { IpProtection = "1" })
    assert.equal("1", ok("GetIpProtection").IpProtection)
    id = ok("AddIpfilter", { IpAddress = "192.0.2.0/24" }).IpFilterId
    assert.equal("192.0.2.0/24", list("GetIpfilterList")[1].IpAddress)
    ok("DeleteIpfilterByEdmId", { Id = id })
    assert.equal(0, #list("GetIpfilterList"))
    ok("UpdateUser", { User = { EnableEventbridge = true } })
    assert.is_true(ok("GetUser").Data.EnableEventbridge)
    id = ok("ConfigSetCreate", { Name = "a", ValidationOption = { Enabled = true, ForbiddenStatusList = { "INVALID" } } }).Id
    assert.equal("INVALID", ok("ConfigSetDetail", { Id = id }).Detail.ValidationOption.ForbiddenStatusList[1])
    assert.is_true(ok("ConfigSetRelationFromAddress", { Id = id, FromAddress = "news@mail.example.com" }).Result)
    assert.equal("InvalidIds", code("ConfigSetDelete", { Ids = id }))
    ok("ConfigSetDelete", { Ids = id, IsForce = true })
    assert.equal(0, #list("ConfigSetList"))
    assert.same({ "VALID", "INVALID", "INVALID" }, { ok("ValidateEmail", { Email = "Ann+x@example.net" }).Status, ok("ValidateEmail", { Email = "nobody" }).Status,
      ok("ValidateEmail", { Email = "invalid@sandbox.example" }).Status })
    assert.equal("ann", ok("ValidateEmail", { Email = "Ann+x@example.net" }).LocalPart)
  end)

  it("answers in XML, lists as repeated elements", function()
    local host = require "directmail.host"
    local sign = require "directmail.sign"
    local at = box.urls.api:match "//([^/]+)"
    local request = assert(sign.request { method = "POST", host = at, form = { PageNo = 1 }, action = "QueryMailAddressByParam", api_version = "2015-11-23",
      access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET, now = host.now(), nonce = "xml" .. host.now() })
    for name in pairs(request.headers) do
      if name:lower() == "accept" then request.headers[name] = nil end
    end
    request.headers.accept = "application/xml"
    local response = assert(host.http { url = box.urls.api, method = "POST", headers = request.headers, body = request.body, timeout = 5 })
    assert.matches("^<%?xml [^>]*><QueryMailAddressByParamResponse><PageNumber>1</PageNumber>.*<data><mailAddress><AccountName>noreply@mail.example.com<", response.body)
    local _, n = response.body:gsub("<mailAddress>", "")
    assert.is_true(n >= 2)
  end)
end)
