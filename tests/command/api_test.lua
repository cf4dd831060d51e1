-- directmail api, as a whole program against a sandbox.
local command = require "support.command"
local json = require "cjson"

local box, env, folder

setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

-- The sandbox must turn while the program runs: it is a program of its own.
local pid
setup(function()
  local pipe = assert(io.popen(("%s sandbox --json >%s/box & echo $!"):format(command.quote(command.exe), folder)))
  pid = pipe:read "l"
  pipe:close()
  local line
  repeat
    local file = io.open(folder .. "/box")
    line = file and file:read "l"
    if file then file:close() end
    if not line then os.execute "sleep 0.02" end
  until line
  box = json.decode(line)
  env = box.env
end)
teardown(function() os.execute("kill " .. pid) end)

local function api(words, more)
  local all = { "api", table.unpack(words) }
  all.env = env
  for name, value in pairs(more or {}) do all[name] = value end
  return command.run(all)
end

-- The answer of a call that must work, decoded.
local function answer(...)
  local words = { ... }
  words[#words + 1] = "--json"
  local status, out, talk = api(words)
  assert.equal(0, status, talk .. out)
  assert.equal("", talk)
  return json.decode(out), out
end

describe("directmail api", function()
  it("prints the service's answer as it stands", function()
    local said, text = answer "DescAccountSummary"
    assert.equal(2000, said.DailyQuota)
    assert.matches("^%x+%-", said.RequestId)
    assert.matches('^{"DailyQuota":2000,.*"RequestId":"[%x-]+"}\n$', text)
    assert.is_nil(said.ok)
  end)

  it("prints fields and tables for people, and nothing else on stdout", function()
    local status, out, talk = api { "DescAccountSummary" }
    assert.same({ 0, "" }, { status, talk })
    assert.matches("\nDailyRemainFreeQuota  %d+\n", out)
    status, out = api { "QueryMailAddressByParam", "--Sendtype=batch" }
    assert.equal(0, status)
    assert.matches("^AccountName +Sendtype +AccountStatus .*\nnews@mail.example.com +batch +0 ", out)
    status, out = api { "QueryTagByParam", "--KeyWord", "nothing" }
    assert.same({ 0, "(none)\n" }, { status, out })
  end)

  it("takes parameters as options, words, JSON, files and stdin", function()
    command.write(folder .. "/d", "from a file")
    local function tag(words, more)
      local all = { "CreateTag", "--json", table.unpack(words) }
      local status, out, talk = api(all, more)
      assert.equal(0, status, talk .. out)
      local id = json.decode(out).TagId
      local found = answer("QueryTagByParam", "--PageSize", "99").data.tag
      for _, one in ipairs(found) do
        if one.TagId == id then
          answer("DeleteTag", "--TagId", id, "--yes")
          return one.TagName, one.TagDescription
        end
      end
    end
    assert.same({ "a1", "x" }, { tag { "--TagName", "a1", "--TagDescription", "x" } })
    assert.same({ "a2", "-5" }, { tag { "--TagName=a2", "--TagDescription=-5" } })
    assert.same({ "a3", "x y" }, { tag { "TagName=a3", "TagDescription=x y" } })
    assert.same({ "a4", "from a file" }, { tag { "--TagName", "a4", "--TagDescription", "@" .. folder .. "/d" } })
    assert.same({ "a5", "from stdin" }, { tag({ "--TagName", "a5", "--TagDescription", "-" }, { stdin = "from stdin" }) })
    assert.same({ "a6", "@x" }, { tag { "--TagName", "a6", "--TagDescription", "@@x" } })
    assert.same({ "a7", "j" }, { tag { "--params", '{"TagName":"other","TagDescription":"j"}', "--TagName", "a7" } })
    assert.same({ "a8", "p" }, { tag({ "--params", "-" }, { stdin = '{"TagName":"a8","TagDescription":"p"}' }) })
  end)

  it("takes fields of objects and lists one by one", function()
    answer("BatchSendMail", "--AccountName", "news@mail.example.com", "--AddressType", "1", "--Receivers.1.To.1", "ann@example.net", "--Receivers.1.TemplateData.name", "Ann",
      "--TemplateContent.Subject", "Hi {name}", "--TemplateContent.HtmlBody", "<p>{name}</p>")
    assert.equal("Hi Ann", answer("SenderStatisticsDetailByParam", "--ToAddress", "ann@example.net").data.mailDetail[1].Subject)
  end)

  it("refuses before it connects what cannot be right: all faults, exit 2", function()
    local status, out, talk = api({ "SingleSendMail", "--AddresType", "1", "--Subject", ("x"):rep(300), "--ToAddress", "bob" }, { env = {} })
    assert.same({ 2, "" }, { status, out })
    assert.matches("^directmail: usage: SingleSendMail: there is no parameter AddresType %(did you mean AddressType%?%); ", talk)
    assert.matches("Subject has 300 characters, at most 256 are taken", talk)
    assert.matches('ToAddress is "bob"', talk)
    status, out = api({ "SingleSendMail", "--AddresType", "1", "--json" }, { env = {} })
    local e = json.decode(out)
    assert.same({ 2, false, "OPTION", "not_sent" }, { status, e.ok, e.code, e.outcome })
    for _, words in ipairs { { "QueryTagsByParam" }, { "querytagbyparam" }, {}, { "QueryTagByParam", "spring" }, { "QueryTagByParam", "--page", "0" },
      { "QueryReceiverDetail", "--page", "2" }, { "DescAccountSummary", "--all" }, { "QueryTagByParam", "--params", "[1]" }, { "QueryTagByParam", "--alll" },
      { "CreateTag", "--TagName", "a", "TagName=b" }, { "CreateTag", "--all-regions", "--TagName", "a" }, { "CreateTag", "--TagName" },
      { "CreateTag", "--TagName", "@/no/such/file" }, { "BatchSendMail", "--Receivers", "[]", "--Receivers.1.To.1", "a@x.example" } } do
      status, out, talk = api(words)
      assert.same({ 2, "" }, { status, out }, table.concat(words, " "))
      assert.matches("^directmail: ", talk)
    end
    assert.matches("did you mean QueryTagByParam%?", (select(3, api { "QueryTagsByParam" })))
    assert.matches("did you mean %-%-all%?", (select(3, api { "QueryTagByParam", "--alll" })))
  end)

  it("sends what it does not know only when it is forced to", function()
    local status, _, talk = api { "BrandNewOperation", "--Foo", "1" }
    assert.equal(2, status)
    assert.matches("%-%-force sends one that is newer", talk)
    status, _, talk = api { "BrandNewOperation", "--Foo", "1", "--force" }
    assert.equal(1, status)
    assert.matches("InvalidAction.NotFound", talk)
    status, _, talk = api { "QueryTagByParam", "--Foo", "1", "--force" }
    assert.equal(1, status)
    assert.matches("InvalidParameter", talk)
  end)

  it("takes a secret from a file or stdin only, and shows it nowhere", function()
    command.write(folder .. "/pw", "Abcdefg123xY\n")
    local id
    for _, one in ipairs(answer("QueryMailAddressByParam").data.mailAddress) do
      if one.AccountName:find "^noreply" then id = one.MailAddressId end
    end
    for _, words in ipairs { { "--Password", "Abcdefg123xY" }, { "Password=Abcdefg123xY" }, { "--Password", "@@x" }, { "--params", '{"Password":"Abcdefg123xY"}' } } do
      local status, out, talk = api { "ModifyMailAddress", "--MailAddressId", id, table.unpack(words) }
      assert.same({ 2, "" }, { status, out })
      assert.matches("Password is a secret", talk)
      assert.is_nil(talk:find("Abcdefg", 1, true))
    end
    local status, out, talk = api { "ModifyMailAddress", "--MailAddressId", id, "--Password", "@" .. folder .. "/pw", "--dry-run" }
    assert.same({ 0, ('{"MailAddressId":"%s","Password":"********"}\n'):format(id), "" }, { status, out, talk })
    status, out, talk = api { "ModifyMailAddress", "--MailAddressId", id, "--Password", "@" .. folder .. "/pw", "-vv" }
    assert.equal(0, status, talk)
    assert.is_nil((out .. talk):find("Abcdefg", 1, true))
    assert.matches("POST http://127", talk)
    status, out, talk = api({ "ModifyMailAddress", "--MailAddressId", id, "--Password", "-" }, { stdin = "Abcdefg123xY" })
    assert.equal(1, status, talk .. out)         -- it is the one that is set: the file's line end was taken off
    assert.matches("InvalidPassword", talk)
  end)

  it("deletes without a terminal only with --yes, and asks at one", function()
    local id = answer("CreateTag", "--TagName", "gone").TagId
    local status, out, talk = api { "DeleteTag", "--TagId", id }
    assert.same({ 2, "" }, { status, out })
    assert.matches("add %-%-yes", talk)
    assert.equal(1, answer("QueryTagByParam", "--KeyWord", "gone").TotalCount)
    -- script(1) gives it a terminal
    local function at_terminal(typed)
      local words = { "env -i PATH=\"$PATH\" HOME=" .. command.quote(folder) }
      for name, value in pairs(env) do words[#words + 1] = name .. "=" .. command.quote(value) end
      words[#words + 1] = command.quote(command.exe) .. " api DeleteTag --TagId " .. id
      local pipe = assert(io.popen(("printf '%%s\\n' %s | script -qec %s /dev/null; echo status $?"):format(command.quote(typed), command.quote(table.concat(words, " ")))))
      local text = pipe:read "a"
      pipe:close()
      return tonumber(text:match "status (%d+)"), text
    end
    local text
    status, text = at_terminal "yes"
    assert.equal(2, status, text)
    assert.matches("type the TagId %(" .. id .. "%) to confirm", text)
    assert.matches("nothing was deleted", text)
    assert.equal(1, answer("QueryTagByParam", "--KeyWord", "gone").TotalCount)
    status, text = at_terminal(id)
    assert.equal(0, status, text)
    assert.equal(0, answer("QueryTagByParam", "--KeyWord", "gone").TotalCount)
  end)

  it("walks pages with --all, an entry a line in JSON", function()
    for i = 1, 12 do answer("CreateTag", "--TagName", "page_" .. i) end
    local status, out, talk = api { "QueryTagByParam", "--KeyWord", "page_" }
    assert.equal(0, status)
    assert.matches("^10 of 12; %-%-all shows every page\n$", talk)
    local _, lines = out:gsub("\n", "")
    assert.equal(11, lines)
    status, out, talk = api { "QueryTagByParam", "--KeyWord", "page_", "--all" }
    _, lines = out:gsub("\n", "")
    assert.same({ 0, 13, "" }, { status, lines, talk })
    status, out = api { "QueryTagByParam", "--KeyWord", "page_", "--all", "--json" }
    _, lines = out:gsub("\n", "")
    assert.same({ 0, 12 }, { status, lines })
    for line in out:gmatch "[^\n]+" do assert.matches("^page_%d+$", json.decode(line).TagName) end
    assert.equal(2, #answer("QueryTagByParam", "--KeyWord", "page_", "--page", "2").data.tag)
  end)

  it("asks every region what only reads", function()
    local status, out, talk = api { "DescAccountSummary", "--all-regions", "--json" }
    assert.equal(0, status, talk)
    local n = 0
    for line in out:gmatch "[^\n]+" do
      n = n + 1
      local one = json.decode(line)
      assert.same({ true, 2000 }, { one.ok, one.answer.DailyQuota })
      assert.matches("^%l+%-", one.region)
    end
    assert.equal(#require "directmail.core".regions(), n)
    assert.matches("api is set %(from DIRECTMAIL_API%)", talk)
    status, out, talk = api { "QueryTagByParam", "--KeyWord", "nothing", "--all-regions" }
    assert.equal(0, status)
    assert.matches("^region ", out)
    assert.matches("cn%-hangzhou +%(none%)", out)
    assert.matches(n .. " calls, ", talk)
  end)

  it("lists and explains the operations without network and credentials", function()
    local nothing = { env = {} }
    local status, out = api({ "--list" }, nothing)
    local _, lines = out:gsub("\n", "")
    assert.same({ 0, 82 }, { status, lines })
    status, out = api({ "--list", "tag" }, nothing)
    assert.equal(0, status)
    assert.matches("\nCreateTag +change +Creates a mail tag", out)
    assert.is_nil(out:find("SingleSendMail", 1, true))
    assert.equal(2, (api({ "--list", "xyzzy" }, nothing)))
    status, out = api({ "--list", "--json" }, nothing)
    assert.same({ 0, 81 }, { status, #json.decode(out) })
    for _, name in ipairs(require "directmail.catalogue".names()) do
      status, out = api({ name, "--help" }, nothing)
      assert.equal(0, status)
      assert.matches("^directmail api " .. name .. ": ", out)
      assert.matches("RAM right: dm:" .. name, out)
    end
    status, out = api({ "ModifyMailAddress", "--help" }, nothing)
    assert.equal(0, status)
    assert.matches("%-%-Password +string\n.-at least 10 characters; at most 20 characters; .-secret: @FILE or %- only", out)
    status, out = api({ "--help" }, nothing)
    assert.equal(0, status)
    assert.matches("Examples:", out)
    assert.matches("%-%-all%-regions", out)
  end)

  it("prints the least policy for operations and scripts", function()
    command.write(folder .. "/app.lua", [[
      -- mail.api.DeleteDomain is only spoken of
      local mail = directmail.new()
      mail:send { to = "x" }
      mail.api.CreateTag { TagName = "a" }
      for tag in mail.api.each("QueryTagByParam") do end
      mail.api.call("BrandNew", {}) mail.api["GetUser"]()
    ]])
    local status, out, talk = api({ "--policy", folder .. "/app.lua", "DescAccountSummary" }, { env = {} })
    assert.equal(0, status, talk)
    local policy = json.decode(out)
    assert.same({ "1", "Allow", "*" }, { policy.Version, policy.Statement[1].Effect, policy.Statement[1].Resource })
    assert.same({ "dm:BrandNew", "dm:CreateTag", "dm:DescAccountSummary", "dm:GetUser", "dm:QueryTagByParam", "dm:SingleSendMail" }, policy.Statement[1].Action)
    assert.matches("BrandNew is not in the catalogue", talk)
    status, out = api({ "--policy" }, { env = {} })
    assert.same({ 0, { "dm:SingleSendMail" } }, { status, json.decode(out).Statement[1].Action })
    assert.equal(2, (api({ "--policy", "NoSuchThing" }, { env = {} })))
    assert.matches("names no right", (select(3, api({ "--policy", "CreateTemplate" }, { env = {} }))))
  end)

  it("ends with the outcome's code", function()
    local function with_fault(rule, ...)
      local words = { "sandbox", "--fault", rule, "--", command.exe, "api", ... }
      return command.run(words)
    end
    assert.equal(1, (with_fault("api:NoPermission", "QueryTagByParam")))
    assert.equal(3, (with_fault("api:Throttling.User", "QueryTagByParam", "--timeout", "0.4")))
    assert.equal(4, (with_fault("api:drop-after", "CreateTag", "--TagName", "a")))
    assert.equal(0, (with_fault("api:drop:once", "QueryTagByParam")))
    -- the repeat finds nothing to delete: the first call worked
    assert.equal(0, (with_fault("api:drop-after:once", "DeleteTemplate", "--TemplateId", "100001", "--yes")))
    local status, _, talk = with_fault("api:NoPermission", "QueryTagByParam")
    assert.equal(1, status)
    assert.matches("dm:QueryTagByParam", talk)
  end)
end)
