-- directmail.batch: four forms, every fault before anything is sent, and what became of each call.
local directmail = require "directmail"
local host = require "directmail.host"
local http1 = require "directmail.http1"

local box, mail

local function mail_of(more)
  local o = { region = "ap-southeast-1", sender = "news@mail.example.com", api = box.urls.api, rate = false,
    access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET }
  for name, value in pairs(more or {}) do o[name] = value end
  return assert(directmail.new(o))
end

local function must(name, params)
  local answer, e = mail.api[name](params)
  return assert(answer, tostring(e))
end

setup(function()
  box = assert(directmail.sandbox.start())
  mail = mail_of()
  local id = must("CreateReceiver", { ReceiversName = "subscribers", ReceiversAlias = "s@x.example" }).ReceiverId
  must("SaveReceiverDetail", { ReceiverId = id, Detail = { { e = "ann@example.net", u = "Ann" }, { e = "bob@example.net", u = "Bob" } } })
  must("CreateReceiver", { ReceiversName = "nobody", ReceiversAlias = "n@x.example" })
  assert(directmail.templates.push(mail, { name = "spring", subject = "Spring, {UserName}", sender_name = "News", html = "<body><p>Hi {UserName}</p></body>" },
    { wait = 5 }))
end)
teardown(function() box:stop() end)
before_each(function()
  box:clear()
  assert(box:set_faults {})
end)

local CONTENT = { subject = "Hi {UserName}", html = "<body><p>{UserName}</p></body>", text = "{UserName}" }

local function people(n)
  local list = {}
  for i = 1, n do list[i] = { to = ("p%d@example.net"):format(i), data = { UserName = "P" .. i } } end
  return list
end

local function with(more, base)
  local o = { recipients = people(2), content = CONTENT, opt_in = "signup form" }
  for name, value in pairs(base or {}) do o[name] = value end
  for name, value in pairs(more or {}) do o[name] = value end
  for name, value in pairs(o) do if value == "" then o[name] = nil end end
  return o
end

local function subjects()
  local out = {}
  for _, one in ipairs(box:mails()) do out[#out + 1] = one.subject end
  table.sort(out)
  return out
end

-- The error of options that must be refused, and proof that nothing was sent.
local function refused(options, own)
  local before = #box:mails()
  local result, e = directmail.batch(own or mail, options)
  assert.is_nil(result)
  assert.same({ "not_sent", false, before }, { e.outcome, e.retry, #box:mails() }, tostring(e))
  return e
end

describe("directmail.batch", function()
  it("has four forms", function()
    for name, row in pairs {
      ["list, template"] = { { list = "subscribers", template = "spring", recipients = "", content = "" }, { "Spring, Ann", "Spring, Bob" } },
      ["list, content"] = { { list = "subscribers", recipients = "" }, { "Hi Ann", "Hi Bob" } },
      ["recipients, template"] = { { template = "spring", content = "" }, { "Spring, P1", "Spring, P2" } },
      ["recipients, content"] = { {}, { "Hi P1", "Hi P2" } },
    } do
      box:clear()
      local result, e = directmail.batch(mail, with(row[1]))
      assert(result, name .. ": " .. tostring(e))
      assert.same(row[2], subjects(), name)
      assert.same({ "sent", 2, 1, 1, "signup form", "ap-southeast-1" }, { result.outcome, result.recipients, #result.env_ids, #result.calls, result.opt_in,
        result.region })
      assert.equal(result.env_ids[1], result.calls[1].env_id)
      assert.matches("^%w+$", result.env_ids[1])
      assert.same({ sent = 2, refused = 0, unknown = 0, not_sent = 0 }, result.counts)
      assert.equal(2000, result.quota.daily)
    end
  end)

  it("refuses both of a pair, and neither, before anything", function()
    assert.matches("list and recipients exclude each other", refused(with { list = "subscribers" }).cause)
    assert.matches("template and content exclude each other", refused(with { template = "spring" }).cause)
    local e = refused { opt_in = "x" }
    assert.same({ "OPTION", "list, recipients, template, content" }, { e.code, e.detail })
  end)

  it("tells every fault at once", function()
    local e = refused(with({ recipients = "", list = "none", template = "gone", content = "", tag = "nosuch", opt_in = "", sender = "noreply@mail.example.com" }))
    assert.equal("OPTION", e.code)
    for _, words in ipairs { "opt_in is missing", "of type trigger, and a mailing needs batch", 'there is no list "none"', 'there is no template "gone"',
      'there is no tag "nosuch"' } do
      assert.is_truthy(e.cause:find(words, 1, true), words .. " in " .. e.cause)
    end
    for _, name in ipairs { "opt_in", "sender", "list", "template", "tag" } do assert.is_truthy(e.detail:find(name, 1, true), name) end
  end)

  it("checks what the service has", function()
    assert.matches("no sender other@", refused(with { sender = "other@mail.example.com" }).cause)
    assert.matches("empty", refused(with { list = "nobody", recipients = "" }).cause)
    must("CreateTemplate", { TemplateName = "rejected1", TemplateSubject = "s", TemplateNickName = "n", TemplateText = "<p>x</p>", TemplateType = 0 })
    assert.matches("not approved: rejected", refused(with { template = "rejected1", content = "" }).cause)
    assert.matches("2001 recipients are more than the 2000 that may be sent today", refused(with { recipients = people(2001) }).cause)
    assert(directmail.batch(mail, with { tag = "signup", track = true }))
  end)

  it("wants a value for every variable in every recipient", function()
    local some = people(3)
    some[2].data = {}
    local e = refused(with { recipients = some })
    assert.same({ "CONTENT", "variables" }, { e.code, e.detail })
    assert.matches("{UserName}, and 1 of 3 recipients have no value for it, the first is recipient 2 %(p2@example.net%)", e.cause)
    e = refused(with { content = { subject = "{Offer}", html = '<a href="https://x.example/{code}">x</a><style>a {color}</style><p title="{x}">' } })
    assert.matches("{Offer}", e.cause)
    assert.matches("{code}", e.cause)
    assert.is_nil(e.cause:find("{x}", 1, true))
    assert.is_nil(e.cause:find("{color}", 1, true))
    assert.matches("{{name}}", refused(with { content = { subject = "s", text = "Hi {{name}}" } }).cause)
    assert.matches("line break", refused(with { recipients = { { to = "a@x.example", data = { UserName = "a\nb" } } } }).cause)
  end)

  it("fills {EAddr} itself", function()
    assert(directmail.batch(mail, with { recipients = { "ann@example.net" }, content = { subject = "for {EAddr}", text = "x" } }))
    assert.same({ "for ann@example.net" }, subjects())
  end)

  it("knows only documented variables in a stored list, and those that the caller names", function()
    local e = refused(with { list = "subscribers", recipients = "", content = { subject = "{Username} {EAddr}", text = "{offer}" } })
    assert.matches("did you mean {UserName}%?", e.cause)
    assert.matches("{offer}", e.cause)
    assert(directmail.batch(mail, with { list = "subscribers", recipients = "", variables = { "offer" }, content = { subject = "x", text = "{offer}" } }))
    assert.matches('the template "welcome" has {name}', refused(with { list = "subscribers", recipients = "", template = "welcome", content = "" }).cause)
  end)

  it("refuses recipients that are none, twice there, or not texts, and counts the rest", function()
    local e = refused(with { recipients = { "ann@example.net", "Ann@example.net", "x", "Ann <a@x.example>", "a@x.example,b@x.example", { data = {} },
      { to = "c@x.example", data = { UserName = {} } }, { to = "d@x.example", data = { UserName = "\255" } } } })
    assert.matches("recipient 2: Ann@example.net is recipient 1 already", e.cause)
    assert.matches('recipient 3: to is "x", which is no address', e.cause)
    assert.matches("recipient 4: .*write the bare address", e.cause)
    assert.matches("and 2 more recipients", e.cause)
  end)

  it("checks what tracking needs", function()
    assert.matches("track needs a tag", refused(with { track = true }).cause)
    assert.matches("or neither", refused(with { track = { opens = true }, tag = "signup" }).cause)
    assert.matches("no body element", refused(with { track = true, tag = "signup", content = { subject = "s", html = "<p>x</p>" } }).cause)
    assert.matches("no HTML", refused(with { track = true, tag = "signup", content = { subject = "s", text = "x" } }).cause)
    local result = assert(directmail.batch(mail, with { track = true, tag = "signup" }))
    assert.matches("only opens are tracked", table.concat(result.warnings, "\n"))
  end)

  it("says who gets the service's own unsubscribe link", function()
    local result = assert(directmail.batch(mail, with { recipients = { { to = "a@gmail.com", data = { UserName = "A" } }, people(1)[1] } }))
    assert.same({ with = 1, without = 1 }, result.unsubscribe_link)
    assert.matches("1 of 2 recipients get no unsubscribe link", result.warnings[1])
    result = assert(directmail.batch(mail, with { unsubscribe = "disabled" }))
    assert.is_nil(result.unsubscribe_link)
    assert.matches("same for every recipient", refused(with { unsubscribe = { url = "https://x.example" } }).cause)
  end)

  it("keeps to limits of the catalogue, and to redirect and only", function()
    assert.matches("Subject has 300 characters", refused(with { content = { subject = ("x"):rep(300), text = "x" } }).cause)
    assert.matches("at most 15", refused(with { sender = "A very long name of a sender <news@mail.example.com>" }).cause)
    assert.matches("only is set", refused(with(), mail_of { only = "*@example.com" }).cause)
    assert.matches("redirect is set", refused(with(), mail_of { redirect = "me@example.com" }).cause)
  end)

  it("goes in calls of at most 100", function()
    local seen = {}
    local result = assert(directmail.batch(mail, with { recipients = people(201), on_call = function(call, i, n)
      seen[#seen + 1] = ("%d/%d %d-%d %s"):format(i, n, call.first, call.last, call.outcome)
    end }))
    assert.same({ "1/3 1-100 started", "1/3 1-100 sent", "2/3 101-200 started", "2/3 101-200 sent", "3/3 201-201 started", "3/3 201-201 sent" }, seen)
    assert.same({ 201, 3, 201, 0 }, { #box:mails(), #result.env_ids, result.counts.sent, #result.rest })
  end)

  it("raises misuse at the caller's line", function()
    for _, o in ipairs { { recipients = 1 }, { lists = "x" }, { content = { Subject = "x" } }, { recipients = { 1 } }, { recipients = { { too = "x" } } },
      { track = { open = true } }, { content = { subject = 1 } } } do
      local ok, why = pcall(function() directmail.batch(mail, with(o)) end)
      assert.is_false(ok)
      assert.matches("batch_test.lua:%d+: ", why)
    end
  end)

  it("shows what it would call without network and credentials, with samples", function()
    local bare = assert(directmail.new { sender = "news@mail.example.com", api = "http://127.0.0.1:9" })
    local some = people(101)
    some[7].data.UserName = "Bartholomew"
    local shown = assert(directmail.batch(bare, with { recipients = some, dry_run = true, tag = "t" }))
    assert.same({ true, 2, 100, 1 }, { shown.dry_run, #shown.calls, #shown.calls[1].params.Receivers, #shown.calls[2].params.Receivers })
    assert.same({ "Hi P1", "Hi Bartholomew" }, { shown.samples[1].subject, shown.samples[2].subject })
    assert.same({ "sender", "quota", "tag" }, shown.unchecked)
    assert.matches("exclude each other", select(2, directmail.batch(bare, with { list = "x", dry_run = true })).cause)
    local none, e = directmail.batch(mail_of { api = "http://127.0.0.1:9" }, with())
    assert.same({ nil, "CONNECT" }, { none, e.code })
  end)
end)

-- Several calls of which some fail: answers of BatchSendMail by `answers`, everything else as the sandbox has it.
local function through(answers)
  local asked = 0
  local listener = assert(host.listen("127.0.0.1", 0))
  host.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      host.spawn(http1.serve, sock, function(request)
        local name = request.headers["x-acs-action"]
        if name == "BatchSendMail" then
          asked = asked + 1
          local answer = answers[asked]
          if answer == false then return false end
          return { status = answer and 400 or 200, body = answer and ('{"Code":"%s","Message":"m","RequestId":"R-%d"}'):format(answer, asked)
            or ('{"EnvId":"60000000000000000%d","RequestId":"R-%d"}'):format(asked, asked) }
        end
        local lists = { QueryMailAddressByParam = '"data":{"mailAddress":[{"AccountName":"news@mail.example.com","Sendtype":"batch","AccountStatus":"0",'
          .. '"DomainStatus":"0","DailyCount":"10","MonthCount":"10"}]},"TotalCount":1', DescAccountSummary = '"DailyQuota":2000,"MonthQuota":60000,"UserStatus":0' }
        return { status = 200, body = ('{%s,"RequestId":"A"}'):format(lists[name] or '"x":1') }
      end, { host = host })
    end
  end)
  return mail_of { api = "http://127.0.0.1:" .. listener.port }, function()
    listener:close()
    return asked
  end
end

local function outcomes(partial)
  local out = {}
  for i, call in ipairs(partial.calls) do out[i] = call.outcome end
  return table.concat(out, " ")
end

describe("several calls", function()
  it("stop at an unknown outcome, never repeated, and nothing is lost", function()
    local own, stop = through { nil, false }
    local result, e, partial = directmail.batch(own, with { recipients = people(350) })
    assert.equal(2, stop())
    assert.is_nil(result)
    assert.same({ "unknown", false }, { e.outcome, e.retry })
    assert.matches("call 2 of 4 %(recipients 101 to 200%)", e.cause)
    assert.equal("sent unknown not_started not_started", outcomes(partial))
    assert.same({ sent = 100, refused = 0, unknown = 100, not_sent = 150 }, partial.counts)
    assert.same({ 150, 100, "p201@example.net", "p101@example.net" }, { #partial.rest, #partial.doubtful, partial.rest[1].to, partial.doubtful[1].to })
    assert.same({ "600000000000000001" }, partial.env_ids)         -- not rounded
    assert.equal(1990, partial.quota.left)
  end)

  it("stop at a refusal that concerns all, and go on behind one of a recipient", function()
    local own, stop = through { nil, "InvalidMailAddressStatus.Malformed" }
    local _, e, partial = directmail.batch(own, with { recipients = people(250) })
    assert.same({ 2, "refused", "sent refused not_started" }, { stop(), e.outcome, outcomes(partial) })
    assert.equal(150, #partial.rest)
    own, stop = through { "InvalidToAddress.Spam" }
    _, e, partial = directmail.batch(own, with { recipients = people(250) })
    assert.same({ 3, "refused", "refused sent sent", "R-1" }, { stop(), e.outcome, outcomes(partial), partial.calls[1].request_id })
    assert.same({ 100, 150 }, { #partial.rest, partial.counts.sent })
  end)

  it("is the error itself when there was one call", function()
    local own, stop = through { false }
    local result, e, partial = directmail.batch(own, with())
    assert.same({ 1, nil, "unknown", 2, 0 }, { stop(), result, e.outcome, #partial.doubtful, #partial.rest })
    assert.matches("before you send again", e.remedy)
  end)
end)
