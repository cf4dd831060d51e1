-- directmail list, as a whole program: against a name server, a store and a sandbox.
local command = require "support.command"
local dns = require "support.dns"
local json = require "cjson"

local folder

local function file(name, bytes)
  command.write(folder .. "/" .. name, bytes)
  return folder .. "/" .. name
end

local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

local env

local function list(words, more)
  local all = { "list", table.unpack(words) }
  all.env = env
  for name, value in pairs(more or {}) do all[name] = value end
  return command.run(all)
end

-- The exit status and what is said on stderr.
local function told(words, more)
  local status, _, talk = list(words, more)
  return status, talk
end

local function objects(out)
  local rows = {}
  for line in out:gmatch "[^\n]+" do rows[#rows + 1] = json.decode(line) end
  return rows
end

setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

describe("directmail list check", function()
  local server, people

  setup(function()
    server = dns.start {
      records = { ["good.example"] = { MX = { "10 mx.good.example" } }, ["null.example"] = { MX = { "0 ." } }, ["gamil.com"] = { MX = { "10 mx.good.example" } } },
      faults = { ["broken.example"] = "servfail" },
    }
    people = file("people.csv", "email,name\r\nann@good.example,\"Ann, of X\"\r\nANN@good.example,Again\r\nx@null.example,N\r\nx@missing.example,M\r\n"
      .. "x@broken.example,B\r\nx@gamil.com,G\r\nno address,S\r\n")
  end)
  teardown(function() server:stop() end)

  it("prints a line a row with --json, and the counts on stderr", function()
    local status, out, talk = list { "check", people, "--column", "email", "--mx", "--dns", server.address, "--json" }
    local rows, verdicts = objects(out), {}
    for i, row in ipairs(rows) do verdicts[i] = row.verdict end
    assert.same({ "ok", "duplicate", "invalid", "invalid", "unknown", "risky", "invalid" }, verdicts)
    assert.equal(1, status)
    assert.same({ 3, 4, "x@null.example", "mx.null: the domain takes no mail (null MX, RFC 7505)" }, { math.tointeger(rows[3].row),
      math.tointeger(rows[3].line), rows[3].address, rows[3].reasons[1] })
    assert.equal("x@gmail.com", rows[6].suggestion)
    assert.equal('{"row":1,"address":"ann@good.example","verdict":"ok","reasons":[],"line":2}', out:match "^[^\n]*")
    assert.matches("7  = rows read: 2 good %+ 5 rejected", talk)
  end)

  it("writes good and other rows into files that add up, and overwrites none", function()
    local good, bad = folder .. "/good.csv", folder .. "/bad.csv"
    local status, out = list { "check", people, "--mx", "--dns", server.address, "--out", good, "--rejects", bad }
    assert.equal(1, status)
    assert.matches("^7 rows .* 5 domains asked once\n +1  good\n +1  duplicates of an earlier row\n +3  invalid: .*", out)
    assert.matches("did you mean%? gamil.com → gmail.com 1\n", out)
    assert.matches("\n +1  unknown: the DNS did not tell; kept %(%-%-drop%-unknown takes them out%)\n +7  = rows read: 2 good %+ 5 rejected\n$", out)
    assert.equal('email,name\r\nann@good.example,"Ann, of X"\r\nx@broken.example,B\r\n', command.read(good))
    local rejected = command.read(bad)
    assert.matches("^email,name,line,verdict,reasons,suggestion\r\nANN@good.example,Again,3,duplicate,duplicate: the address stands in row 1,\r\n", rejected)
    assert.matches("\r\nx@gamil.com,G,7,risky,typo: did you mean gmail.com%?,x@gmail.com\r\n", rejected)
    local talk
    status, talk = told { "check", people, "--out", good }
    assert.equal(2, status)
    assert.matches("good.csv is there already\n  remedy   name another file, or add %-%-overwrite\n$", talk)
    os.execute(("mkfifo '%s/pipe'"):format(folder))
    status, talk = told { "check", people, "--out", folder .. "/pipe", "--overwrite" }
    assert.equal(2, status)
    assert.matches("pipe is there, and is no file", talk)
    status, out = list { "check", people, "--mx", "--dns", server.address, "--out", good, "--overwrite", "--keep-risky", "--drop-unknown" }
    assert.equal(1, status)
    assert.equal('email,name\r\nann@good.example,"Ann, of X"\r\nx@gamil.com,G\r\n', command.read(good))
    assert.matches("= rows read: 2 good %+ 5 rejected", out)
  end)

  it("takes the DNS from the environment, and refuses one that is none", function()
    local status, out = list({ "check", people, "--mx", "--json" }, { env = { DIRECTMAIL_DNS = server.address } })
    assert.same({ 1, "unknown" }, { status, objects(out)[5].verdict })
    local talk
    status, talk = told { "check", people, "--mx", "--dns", "dns.example" }
    assert.equal(2, status)
    assert.matches("dns %(from option dns%) is no IP:PORT", talk)
  end)

  it("reads stdin, and GB18030", function()
    local status, out = list({ "check", "-" }, { stdin = "email\nann@good.example\n" })
    assert.equal(0, status)
    assert.matches("= rows read: 1 good %+ 0 rejected", out)
    status, out = list({ "check", "-" }, { stdin = "\208\213\195\251,email\n\177\168\184\230,ann@good.example\n" })
    assert.equal(0, status)
    assert.matches("read as GB18030", out)
    local talk
    status, talk = told({ "check", "-", "--charset", "utf-8" }, { stdin = "\208\213\195\251,email\n\177\168\184\230,ann@good.example\n" })
    assert.equal(2, status)
    assert.matches("stdin, line 1: bytes that are no UTF%-8 text", talk)
  end)

  it("writes a mark where the list had one, and gives its columns names that are free", function()
    local marked = file("marked.csv", "\239\187\191email,line\nann@good.example,7\nno address,8\n")
    local status = list { "check", marked, "--out", folder .. "/m.csv", "--rejects", folder .. "/n.csv" }
    assert.equal(1, status)
    assert.equal("\239\187\191email,line\r\nann@good.example,7\r\n", command.read(folder .. "/m.csv"))
    assert.matches("^\239\187\191email,line,directmail_line,verdict,reasons,suggestion\r\nno address,8,3,invalid,", command.read(folder .. "/n.csv"))
  end)

  it("leaves the bar to who calls it", function()
    assert.equal(1, (list { "check", people, "--fail-above", "40%" }))
    assert.equal(0, (list { "check", people, "--fail-above", "50%" }))
    assert.equal(2, (list { "check", people, "--fail-above", "some" }))
  end)

  it("tells what is wrong with its words, and with the file", function()
    local status, talk = told {}
    assert.equal(2, status)
    assert.matches("^directmail: usage: list: what is to be done with it%?", talk)
    status, talk = told { "chekc", people }
    assert.same({ 2, true }, { status, talk:find("did you mean check?", 1, true) ~= nil })
    status, talk = told { "check", people, "--create" }
    assert.same({ 2, true }, { status, talk:find("--create is no option of list check", 1, true) ~= nil })
    status, talk = told { "check", folder .. "/none.csv" }
    assert.same({ 2, true }, { status, talk:find("none.csv cannot be read", 1, true) ~= nil })
    local broken = file("broken.csv", 'email\na@good.example\n"b@good.example\n')
    status, talk = told { "check", broken, "--out", folder .. "/never.csv" }
    assert.equal(2, status)
    assert.matches("broken.csv, line 3: a quote that never closes", talk)
    assert.matches("= rows read: 1 good %+ 0 rejected", talk)
    assert.is_false(exists(folder .. "/never.csv"))
    assert.is_false(exists(folder .. "/never.csv.new"))
  end)

  it("knows the suppression list, exports it, and the hints of the FAQ", function()
    local script = file("suppress.lua", ([[
      local store = assert(require "directmail.store".open(%q))
      assert(store:suppress("ann@good.example", "unsubscribed", "webhook", 1700000000))
      assert(store:suppress("bob@good.example", "bounced", "events", 1700000001))
    ]]):format(folder .. "/shop.db"))
    assert.equal(0, (command.run { script }))
    local status, out = list { "check", people, "--suppress", folder .. "/shop.db", "--sender", "news@good.example" }
    assert.equal(1, status)
    assert.matches("\n +1  suppressed %(1 unsubscribed%)\n", out)
    assert.matches("hint: 2 rows are in the sender's own company %(good.example%)", out)
    status, out = list { "export", "suppressed", "--suppress", folder .. "/shop.db" }
    assert.equal(0, status)
    assert.equal("address,reason,source,since\r\nann@good.example,unsubscribed,webhook,2023-11-14T22:13:20Z\r\n"
      .. "bob@good.example,bounced,events,2023-11-14T22:13:21Z\r\n", out)
    status, out = list { "export", "suppressed", "--suppress", folder .. "/shop.db", "--json" }
    assert.same({ 0, "bounced" }, { status, objects(out)[2].reason })
  end)
end)

describe("directmail list with the service", function()
  local pid

  setup(function()
    local pipe = assert(io.popen(("%s sandbox --json --dir %s/dir >%s/box & echo $!"):format(command.quote(command.exe), folder, folder)))
    pid = pipe:read "l"
    pipe:close()
    local line
    repeat
      local f = io.open(folder .. "/box")
      line = f and f:read "l"
      if f then f:close() end
      if not line then os.execute "sleep 0.02" end
    until line
    env = json.decode(line).env
  end)
  teardown(function()
    env = nil
    os.execute(("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.02; done"):format(pid, pid))
  end)

  it("uploads the good rows, tells what became of each, and refuses without an opt-in", function()
    local people = file("up.csv", "email,UserName,source\nann@example.net,Ann,form\nANN@example.net,Ann,form\nbob@example.net,Bob,\n")
    local status, talk = told { "upload", people, "--list", "subs", "--create" }
    assert.equal(2, status)
    assert.matches("list upload needs %-%-opt%-in COLUMN", talk)
    local out
    status, out = list { "upload", people, "--list", "subs", "--opt-in", "source", "--dry-run" }
    assert.equal(0, status)
    assert.matches("1  not sent\n", out)
    status, out = list { "upload", people, "--list", "subs", "--create", "--opt-in", "source", "--rejects", folder .. "/up-bad.csv" }
    assert.equal(1, status)
    assert.matches('^3 rows to the list "subs", which was made, in 1 call\n +1  stored\n +2  rejected: .*\n +3  = rows read\n$', out)
    assert.matches("bob@example.net,Bob,,4,rejected,opt_in: the column source says nothing,\r\n$", command.read(folder .. "/up-bad.csv"))
    status, out = list { "upload", people, "--list", "subs", "--opt-in", "source", "--json" }
    assert.same({ 1, "refused", "rejected" }, { status, objects(out)[1].outcome, objects(out)[2].outcome })
    status, talk = told { "upload", people, "--list", "nowhere", "--opt-in", "source" }
    assert.equal(2, status)
    assert.matches('there is no stored list "nowhere"', talk)
  end)

  it("exports both stores of invalid addresses, and purges a file of them", function()
    assert.equal(0, (command.run { "api", "CreateUserSuppression", "--Address", "own@example.net", env = env }))
    local status, out, talk = list { "export", "invalid" }
    assert.equal(0, status)
    assert.matches("^address,store,since,id\r\ninvalid@sandbox.example,global,%d.*Z,\r\nown@example.net,account,.*Z,%d+\r\n$", out)
    assert.matches("1 invalid for the whole service, 1 of the account", talk)
    local people = file("purge.csv", "email,n\ninvalid@sandbox.example,1\nann@example.net,2\nOwn@example.net,3\n")
    status, talk = told { "purge", people }
    assert.equal(2, status)
    assert.matches("list purge needs %-%-out FILE", talk)
    status, out = list { "purge", people, "--out", folder .. "/purged.csv", "--rejects", folder .. "/removed.csv" }
    assert.equal(0, status)
    assert.matches("^ +1  kept\n +2  removed: .*\n +3  = rows read", out)
    assert.equal("email,n\r\nann@example.net,2\r\n", command.read(folder .. "/purged.csv"))
    assert.matches("\r\nOwn@example.net,3,4,removed,invalid.account: the service lists own@example.net", command.read(folder .. "/removed.csv"))
    assert.equal("email,n\ninvalid@sandbox.example,1\nann@example.net,2\nOwn@example.net,3\n", command.read(people))
    status, talk = told { "purge", people, "--out", people }
    assert.equal(2, status)
    assert.matches("is there already", talk)
  end)
end)
