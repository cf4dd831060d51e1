-- directmail.list: what becomes of each row of a list, against a name server, a store and the sandbox.
local csv = require "directmail.csv"
local directmail = require "directmail"
local dns = require "support.dns"
local host = require "directmail.host"
local list = require "directmail.list"
local addresses = require "directmail.list.address"
local memory = require "directmail.host.memory"
local hints = require "directmail.list.hints"

local function rows_of(text, options)
  local rows = {}
  local o = { on_row = function(row) rows[#rows + 1] = row end }
  for name, value in pairs(options or {}) do o[name] = value end
  local summary, e, partial = list.check({ text = text, name = "people.csv" }, o)
  return rows, summary, e, partial
end

local function verdicts(rows)
  local out = {}
  for i, row in ipairs(rows) do out[i] = row.verdict end
  return out
end

-- The first word of each reason.
local function ids(row)
  local out = {}
  for i, reason in ipairs(row.reasons) do out[i] = reason:match "^[%w_.]+" end
  return table.concat(out, " ")
end

local function sum(counts)
  local n = 0
  for _, count in pairs(counts) do n = n + count end
  return n
end

local function temporary(bytes)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(bytes)
  file:close()
  return name
end

describe("list.check", function()
  it("rule 3.47: judges by syntax, and finds the same address in every spelling", function()
    local rows, summary = rows_of("email,name\na@example.com,A\n A@EXAMPLE.com ,B\nnot an address,C\n,D\ng@b\195\188cher.example,E\n"
      .. "G@XN--BCHER-KVA.example,F\nAnn <ann@example.com>,G\nann@example.com,H\na@b@c.example,I\nx@localhost,J\nx@[192.0.2.1],K\nx@shop.onion,L\n"
      .. "\"a@x.example, b@x.example\",M\n\"\"\"a b\"\"@x.example\",N\n")
    assert.same({ "ok", "duplicate", "invalid", "invalid", "ok", "duplicate", "ok", "duplicate", "invalid", "invalid", "invalid", "invalid", "invalid", "invalid" },
      verdicts(rows))
    assert.equal("duplicate: the address stands in row 1", rows[2].reasons[1])
    assert.equal("duplicate: the address stands in row 5", rows[6].reasons[1])
    assert.equal("g@xn--bcher-kva.example", rows[5].to)
    assert.equal("ann@example.com", rows[7].to)
    assert.same({ 3, "A@EXAMPLE.com" }, { rows[2].line, rows[2].address })
    assert.equal("syntax: the field is empty", rows[4].reasons[1])
    assert.equal("domain.single", ids(rows[10]))
    assert.equal("domain.literal", ids(rows[11]))
    assert.equal("domain.reserved", ids(rows[12]))
    assert.same({ 14, 14 }, { summary.rows, sum(summary.verdicts) })
    assert.equal("email", summary.column)
  end)

  it("rules 3.46 and 3.48: points out role addresses, mailboxes that live for minutes, and domains that were likely mistyped", function()
    local rows, summary = rows_of("email\ninfo@shop.example\nx@mailinator.com\nx@sub.mailinator.com\nx@gamil.com\ny@gamil.com\nx@own.example\n",
      { disposable = { ["own.example"] = true } })
    assert.same({ "role", "disposable", "disposable", "typo", "typo", "disposable" },
      { ids(rows[1]), ids(rows[2]), ids(rows[3]), ids(rows[4]), ids(rows[5]), ids(rows[6]) })
    assert.equal("x@gmail.com", rows[4].suggestion)
    assert.equal("typo: did you mean gmail.com?", rows[4].reasons[1])
    assert.same({ risky = 6 }, summary.verdicts)
    assert.same({ ["gamil.com \226\134\146 gmail.com"] = 2 }, summary.suggestions)
  end)

  it("says what was meant only where a provider was", function()
    for wrong, right in pairs {
      ["gamil.com"] = "gmail.com", ["gmial.com"] = "gmail.com", ["gmai.com"] = "gmail.com", ["gmaill.com"] = "gmail.com", ["gnail.com"] = "gmail.com",
      ["gmail.con"] = "gmail.com", ["gmail.co"] = "gmail.com", ["gmial.con"] = "gmail.com", ["hotmial.com"] = "hotmail.com", ["yaho.com"] = "yahoo.com",
      ["outlok.com"] = "outlook.com", ["qq.con"] = "qq.com", ["163.cm"] = "163.com", ["yahoo.co.ukk"] = "yahoo.co.uk", ["iclould.com"] = "icloud.com",
    } do assert.equal(right, addresses.did_you_mean(wrong), wrong) end
    for _, domain in ipairs { "gmail.com", "mail.com", "email.com", "ymail.com", "gmx.com", "sq.com", "qq.cn", "136.com", "shop.example", "gmail.example", "x" } do
      assert.is_nil(addresses.did_you_mean(domain), domain)
    end
  end)

  it("goes on behind a row of too few fields, and stops where a quote breaks the list, with file and line", function()
    local rows, summary = rows_of "name,email\nA\nB,b@example.com\nC,c@example.com,more\n"
    assert.same({ "invalid", "ok", "invalid" }, verdicts(rows))
    assert.equal("row: 1 fields, and the header names 2", rows[1].reasons[1])
    assert.equal(3, summary.rows)
    local _, none, e, partial = rows_of 'email\na@example.com\n"b@example.com\n'
    assert.is_nil(none)
    assert.equal("FILE", e.code)
    assert.matches("^people.csv, line 3: ", e.cause)
    assert.same({ 1, 1 }, { partial.rows, partial.verdicts.ok })
  end)

  it("takes the column that is named, or one that is plainly meant", function()
    local rows = rows_of("Name,E-Mail\nA,a@example.com\n")
    assert.same({ "ok" }, verdicts(rows))
    rows = rows_of("a,b\nA,a@example.com\n", { column = "b" })
    assert.same({ "ok" }, verdicts(rows))
    local _, _, e = rows_of("a,b\nA,a@example.com\n", { column = "c" })
    assert.same({ "OPTION", 'column: there is no column "c"', "the list has: a, b" }, { e.code, e.cause, e.remedy })
    _, _, e = rows_of "ann@example.com\nbob@example.com\n"
    assert.equal("the first line must name the columns, and it holds an address", e.remedy)
  end)

  it("wants to know where each recipient asked for mail, when told so", function()
    local rows = rows_of("email,source\na@example.com,signup form\nb@example.com, \n", { opt_in = "source" })
    assert.same({ "ok", "invalid" }, verdicts(rows))
    assert.equal("opt_in: the column source says nothing", rows[2].reasons[1])
    local _, _, e = rows_of("email\na@example.com\n", { opt_in = "source" })
    assert.equal('opt_in: there is no column "source"', e.cause)
  end)

  it("raises for options that do not exist", function()
    assert.has_error(function() list.check({ text = "email\n" }, { colum = "x" }) end, 'unknown field "colum" in list.check (did you mean "column"?)')
    assert.has_error(function() list.check(nil) end, "bad argument #1 to list.check (path or table expected, got nil)")
    assert.has_error(function() list.check({ text = "email\n" }, { mx = "yes" }) end, "option mx of list.check must be a boolean, not a string")
  end)

  it("tells GB18030 from UTF-8, also where a character lies across two reads", function()
    local name = "\177\168\184\230"                       -- 报告
    local many = {}
    for i = 1, 9000 do many[i] = ("%s,u%d@example.com\n"):format(name, i) end
    local path = temporary("\208\213\195\251,email\n" .. table.concat(many))       -- 姓名
    local seen, wrong = 0, 0
    local summary = assert(list.check(path, { charset = "auto", on_row = function(row)
      seen = seen + 1
      if row.values["\229\167\147\229\144\141"] ~= "\230\138\165\229\145\138" or row.verdict ~= "ok" then wrong = wrong + 1 end
    end }))
    assert.same({ "gb18030", 9000, 0 }, { summary.charset, seen, wrong })
    local _, e = list.check(path, {})
    assert.matches("line 1: bytes that are no UTF%-8 text$", e.cause)
    os.remove(path)
    path = temporary "\239\187\191email,name\na@example.com,\230\138\165\n"
    summary = assert(list.check(path, { charset = "auto" }))
    assert.same({ "utf-8", 1 }, { summary.charset, summary.verdicts.ok })
    os.remove(path)
    path = temporary("email,name\na@example.com,\255\255\n")
    _, e = list.check(path, { charset = "auto" })
    assert.matches("it is neither UTF%-8 nor GB18030$", e.cause)
    os.remove(path)
  end)

  it("lets nothing undo a suppression", function()
    local path = os.tmpname()
    os.remove(path)
    local store = assert(directmail.store.open(path))
    assert(store:suppress("ann@example.com", "unsubscribed", "webhook"))
    assert(store:suppress("bob@example.com", "bounced", "events"))
    local text = "email\nAnn@example.com\nbob@example.com\ncarl@example.com\n"
    for _ = 1, 2 do
      local rows, summary = rows_of(text, { store = store })
      assert.same({ "suppressed", "suppressed", "ok" }, verdicts(rows))
      assert.same({ unsubscribed = 1, bounced = 1 }, summary.suppressed)
    end
    local page = assert(store:suppressions())
    assert.same({ "ann@example.com", "unsubscribed", "webhook", "bob@example.com" }, { page[1].address, page[1].reason, page[1].source, page[2].address })
    assert.same({}, store:suppressions(page[2].address))
    assert(store:resubscribe("ann@example.com", "signup form", host.now() + 100))
    assert.equal("bob@example.com", store:suppressions()[1].address)
    store:close()
    os.execute("rm -f '" .. path .. "'*")
  end)

  it("is refused where a worker of nginx would wait for the disk", function()
    local double = memory.new()
    double.no_files = { cause = "x", remedy = "y" }
    local _, none, e = rows_of("email\na@example.com\n", { host = double })
    assert.is_nil(none)
    assert.same({ "OPTION", "list" }, { e.code, e.detail })
  end)

  it("points out many equal subjects, and recipients of the sender's own company", function()
    local lines = { "email,subject" }
    for i = 1, 250 do lines[i + 1] = ("u%d@%s,%s"):format(i, i <= 3 and "eu.shop.example" or "example.com", i <= 100 and "Spring sale" or "Hi " .. i) end
    local _, summary = rows_of(table.concat(lines, "\n") .. "\n", { sender = "Shop <news@mail.shop.example>" })
    assert.same({ "subject.same", 100, "internal", 3 }, { summary.hints[1].id, summary.hints[1].count, summary.hints[2].id, summary.hints[2].count })
    lines = { lines[1], lines[2], lines[3] }
    _, summary = rows_of(table.concat(lines, "\n") .. "\n", {})
    assert.same({}, summary.hints)
    assert.equal("shop.co.uk", hints.organisation "mail.shop.co.uk")
  end)
end)

describe("list.check with the DNS", function()
  local server

  setup(function()
    server = dns.start {
      records = {
        ["good.example"] = { MX = { "10 mx.good.example" } }, ["mx.good.example"] = { A = { "192.0.2.1" } },
        ["null.example"] = { MX = { "0 ." } },
        ["implicit.example"] = { A = { "192.0.2.1" } }, ["six.example"] = { AAAA = { "2001:db8::1" } },
        ["nothing.example"] = { TXT = { "v=spf1 -all" } },
        ["here.example"] = { A = { "127.0.0.1" } },
        ["astray.example"] = { MX = { "10 gone.example" } }, ["literal.example"] = { MX = { "10 192.0.2.1" } },
        ["doubt.example"] = { MX = { "10 broken.example" } },
        ["xn--bcher-kva.example"] = { MX = { "10 mx.good.example" } },
        ["alias.example"] = { CNAME = { "good.example" } },
        ["both.example"] = { MX = { "0 .", "10 mx.good.example" } },
        ["half.example"] = { TXT = { "x" } },
        ["gamil.com"] = { MX = { "10 mx.good.example" } },
        ["*.many.example"] = { MX = { "10 mx.good.example" } },
      },
      faults = { ["broken.example"] = "servfail", ["silent.example"] = "silence", ["no.example"] = "refused", ["half.example A"] = "servfail",
        ["garbled.example"] = "cut" },
    }
  end)
  teardown(function() server:stop() end)

  local function with(options)
    local o = { mx = true, server = server.address, timeout = 1 }
    for name, value in pairs(options or {}) do o[name] = value end
    return o
  end

  it("rules 6.12, 6.13 and 6.15: knows domains that take mail, and those that take none", function()
    local names = { "good", "null", "implicit", "six", "nothing", "missing", "here", "literal", "alias", "b\195\188cher", "both" }
    local lines = { "email" }
    for i, name in ipairs(names) do lines[i + 1] = "x@" .. name .. ".example" end
    local rows = rows_of(table.concat(lines, "\n") .. "\n", with())
    local out = {}
    for i, row in ipairs(rows) do out[i] = row.verdict .. " " .. ids(row) end
    assert.same({ "ok ", "invalid mx.null", "risky mx.implicit", "risky mx.implicit", "invalid mx.none", "invalid domain.missing", "invalid mx.none",
      "invalid mx.target", "ok ", "ok ", "ok " }, out)
  end)

  it("never takes silence or a failure for an answer", function()
    local rows, summary = rows_of("email\nx@silent.example\nx@broken.example\nx@no.example\nx@half.example\nx@garbled.example\n", with { timeout = 0.4 })
    local out = {}
    for i, row in ipairs(rows) do out[i] = row.verdict .. " " .. ids(row) end
    assert.same({ "unknown dns.timeout", "unknown dns.servfail", "unknown dns.refused", "unknown dns.servfail", "unknown dns.timeout" }, out)
    assert.equal(5, summary.verdicts.unknown)
  end)

  it("looks at the hosts of an MX when told to", function()
    local text = "email\nx@good.example\nx@astray.example\nx@doubt.example\n"
    assert.same({ "ok", "ok", "ok" }, verdicts((rows_of(text, with()))))
    assert.same({ "ok", "invalid", "unknown" }, verdicts((rows_of(text, with { hosts = true }))))
  end)

  it("asks once for each domain, many at once, and tells rows in their order", function()
    server:questions()
    local lines = { "email" }
    for i = 1, 600 do lines[i + 1] = ("u%d@d%d.many.example"):format(i, i % 100) end
    local rows, summary = rows_of(table.concat(lines, "\n") .. "\n", with { timeout = 20 })
    assert.equal(600, #rows)
    for i, row in ipairs(rows) do assert.same({ i, "ok" }, { row.row, row.verdict }) end
    assert.equal(100, summary.domains)
    assert.equal(100, #server:questions())
  end)

  it("keeps what was meant beside what the DNS says", function()
    local rows = rows_of("email\nx@gamil.com\nx@gmial.example\n", with())
    assert.same({ "risky", "typo", "invalid" }, { rows[1].verdict, ids(rows[1]), rows[2].verdict })
  end)

  it("does not ask for what is bad by itself", function()
    server:questions()
    rows_of("email\nnot an address\nx@localhost\nx@good.example\nX@good.example\n", with())
    assert.same({ "udp good.example MX" }, server:questions())
  end)
end)

describe("list.check in a world of its own", function()
  it("asks no more domains at once than it is told, and goes on behind slow ones", function()
    local double = memory.new()
    local lines, now, most = { "email" }, 0, 0
    for i = 1, 50 do
      double.zone[("d%d.example"):format(i)] = { MX = { { preference = 10, exchange = "mx.example" } } }
      lines[i + 1] = ("u@d%d.example"):format(i)
    end
    double.zone["d1.example"] = "timeout"
    local inner = double.dns
    function double.dns(...)
      now = now + 1
      most = math.max(most, now)
      local records, why = inner(...)
      now = now - 1
      return records, why
    end
    local rows, summary = rows_of(table.concat(lines, "\n") .. "\n", { host = double, mx = true, jobs = 5 })
    assert.equal(5, most)
    assert.same({ "unknown", "ok" }, { rows[1].verdict, rows[50].verdict })
    assert.same({ 1, 49 }, { summary.verdicts.unknown, summary.verdicts.ok })
    assert.equal(15, math.floor(summary.seconds))
  end)

  it("tells how far it is, once a second", function()
    local double, told = memory.new(), {}
    local lines = { "email" }
    for i = 1, 20 do
      double.zone[("d%d.example"):format(i)] = "timeout"
      lines[i + 1] = ("u@d%d.example"):format(i)
    end
    rows_of(table.concat(lines, "\n") .. "\n", { host = double, mx = true, jobs = 2, timeout = 3, on_progress = function(p) told[#told + 1] = p end })
    assert.is_true(#told >= 8)
    for i = 2, #told do assert.is_true(told[i].domains >= told[i - 1].domains and told[i].seconds >= told[i - 1].seconds + 1) end
    assert.is_true(told[#told].domains >= 16)
  end)
end)

describe("list.upload, list.invalid and list.purge", function()
  local box, mail

  setup(function()
    box = assert(directmail.sandbox.start())
    mail = assert(directmail.new { region = "ap-southeast-1", sender = "news@mail.example.com", api = box.urls.api, rate = false,
      access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET })
  end)
  teardown(function() box:stop() end)
  before_each(function() assert(box:set_faults {}) end)

  local function upload(text, options)
    local rows = {}
    local o = { opt_in = "source", on_row = function(row) rows[#rows + 1] = row end }
    for name, value in pairs(options) do o[name] = value end
    local result, e, partial = list.upload(mail, { text = text, name = "people.csv" }, o)
    return rows, result, e, partial
  end

  local function outcomes(rows)
    local out = {}
    for i, row in ipairs(rows) do out[i] = row.outcome end
    return out
  end

  it("makes a list and fills it in pages of 500, with an outcome for each row", function()
    local lines = { "email,UserName,source" }
    for i = 1, 1201 do lines[i + 1] = ("p%d@example.net,P%d,signup form"):format(i, i) end
    lines[1203] = "not an address,X,signup form"
    lines[1204] = "q@example.net,Q,"
    local rows, result, e = upload(table.concat(lines, "\n") .. "\n", { list = "big", create = true })
    assert(result, tostring(e))
    assert.same({ 1203, 1201, 2, 3, true }, { result.rows, result.counts.stored, result.counts.rejected, result.calls, result.created })
    assert.equal(1203, #rows)
    assert.same({ "P1,,,,", "p1@example.net" }, (function()
      local detail = assert(mail.api.QueryReceiverDetail { ReceiverId = result.id, KeyWord = "p1@" })
      return { detail.data.detail[1].Data, detail.data.detail[1].Email }
    end)())
    local again
    rows, again = upload("email,source\np1@example.net,x\nnew@example.net,x\n", { list = "big" })
    assert.same({ "refused", "stored" }, outcomes(rows))
    assert.equal("service: duplicate email", rows[1].reasons[1])
    assert.equal(2, again.counts.stored + again.counts.refused)
  end)

  it("takes variables of one's own", function()
    local rows = upload("email,Order,source\nown@example.net,4711,x\n", { list = "own", create = true, variables = { "Order" } })
    assert.same({ "stored" }, outcomes(rows))
  end)

  it("demands a list, and where the recipients asked for mail", function()
    local _, _, e = upload("email,source\na@example.net,x\n", { list = "nowhere" })
    assert.same({ "OPTION", 'there is no stored list "nowhere"' }, { e.code, e.cause })
    _, _, e = upload("email\na@example.net\n", { list = "big" })
    assert.equal('opt_in: there is no column "source"', e.cause)
    local none
    none, e = list.upload(mail, { text = "email\n" }, { list = "big" })
    assert.is_nil(none)
    assert.equal("opt_in", e.detail)
  end)

  it("stops at a page that fails, and every row has an outcome", function()
    assert(box:set_faults { "api:SaveReceiverDetail:InvalidReceiver.NotFound" })
    local lines = { "email,source" }
    for i = 1, 700 do lines[i + 1] = ("f%d@example.net,x"):format(i) end
    local rows, result, e, partial = upload(table.concat(lines, "\n") .. "\n", { list = "big" })
    assert.is_nil(result)
    assert.equal("InvalidReceiver.NotFound", e.detail)
    assert.same({ 700, 500, 200, 0 }, { #rows, partial.counts.refused, partial.counts.not_sent, partial.counts.stored })
    assert(box:set_faults { "api:SaveReceiverDetail:drop-after" })
    rows, result, e = upload("email,source\nlost@example.net,x\n", { list = "big" })
    assert.is_nil(result)
    assert.same({ "unknown", "unknown" }, { e.outcome, rows[1].outcome })
  end)

  it("shows both stores of the service, and takes their addresses out of a list", function()
    assert(mail.api.CreateUserSuppression { Address = "Own@example.net" })
    assert(mail.api.CreateUserSuppression { Address = "blocked.example" })
    local found = {}
    local counts = assert(list.invalid(mail, function(one) found[one.address] = one end))
    assert.same({ global = 1, account = 2 }, counts)
    assert.equal("global", found["invalid@sandbox.example"].store)
    assert.equal("account", found["own@example.net"].store)
    assert.matches("^%d+$", found["own@example.net"].id)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT", found["own@example.net"].since)
    local rows = {}
    local text = "email,n\nINVALID@sandbox.example,1\nown@example.net,2\nx@blocked.example,3\nann@example.net,4\nno address,5\n"
    local summary = assert(list.purge(mail, { text = text, name = "p.csv" }, { on_row = function(row) rows[#rows + 1] = row end }))
    assert.same({ 5, 2, 3 }, { summary.rows, summary.kept, summary.removed })
    assert.same({ true, true, true, false, false }, { rows[1].removed, rows[2].removed, rows[3].removed, rows[4].removed, rows[5].removed })
    assert.matches("^invalid.global: the service lists invalid@sandbox.example %(global since ", rows[1].reasons[1])
    assert.equal("invalid.account", ids(rows[3]))
  end)

  it("takes out what the own store suppresses too, and stops at a broken row behind those in front of it", function()
    local path = os.tmpname()
    os.remove(path)
    local store = assert(directmail.store.open(path))
    assert(store:suppress("ann@example.net", "complaint", "events"))
    local lines, rows = { "email" }, {}
    for i = 1, 600 do lines[i + 1] = ("p%d@example.net"):format(i) end
    lines[602] = "ANN@example.net"
    local function each(row) rows[#rows + 1] = row end
    local summary = assert(list.purge(mail, { text = table.concat(lines, "\n") }, { store = store, on_row = each }))
    assert.same({ 601, 600, 1, { suppressed = 1 } }, { summary.rows, summary.kept, summary.removed, summary.reasons })
    assert.equal("suppressed: complaint (events)", rows[601].reasons[1])
    lines[602], rows = "too,many", {}
    local none, e, partial = list.purge(mail, { text = table.concat(lines, "\n"), name = "p.csv" }, { store = store, on_row = each })
    assert.is_nil(none)
    assert.matches("^p.csv, line 602: 2 fields", e.cause)
    assert.same({ 600, 600 }, { #rows, partial.rows })
    store:close()
    os.execute("rm -f '" .. path .. "'*")
  end)
end)

describe("csv.line", function()
  it("writes what csv.rows reads", function()
    local text = csv.line { "a", "b" } .. csv.line { 'x "y"', "1,2" } .. csv.line { "line\r\nbreak", "" }
    local following = csv.rows { text = text }
    assert.same({ a = 'x "y"', b = "1,2" }, (following()))
    assert.same({ a = "line\r\nbreak", b = "" }, (following()))
  end)
end)
