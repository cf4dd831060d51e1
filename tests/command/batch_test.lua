-- directmail batch and directmail template, as whole programs against a sandbox.
local command = require "support.command"
local json = require "cjson"

local env, folder, pid

-- The sandbox must turn while the program runs: it is a program of its own.
local function start(faults)
  os.remove(folder .. "/box")
  local pipe = assert(io.popen(("%s sandbox --json --dir %s/dir %s >%s/box & echo $!"):format(command.quote(command.exe), folder, faults or "", folder)))
  pid = pipe:read "l"
  pipe:close()
  local line
  repeat
    local file = io.open(folder .. "/box")
    line = file and file:read "l"
    if file then file:close() end
    if not line then os.execute "sleep 0.02" end
  until line
  env = json.decode(line).env
  env.DIRECTMAIL_SENDER = "news@mail.example.com"
end

local function stop() os.execute(("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.02; done"):format(pid, pid)) end

setup(function()
  folder = command.folder()
  start()
end)
teardown(function()
  stop()
  command.remove(folder)
end)

local function run(words, more)
  words.env = env
  for name, value in pairs(more or {}) do words[name] = value end
  return command.run(words)
end

local function batch(words, more) return run({ "batch", table.unpack(words) }, more) end

local function arrived()
  local pipe = io.popen(("cat %s/dir/mail/*.json 2>/dev/null"):format(folder))
  local n = select(2, pipe:read "a":gsub('"rcpt_to":%["[^"]+"%]', "%0"))
  pipe:close()
  return n
end

local function file(name, bytes)
  command.write(folder .. "/" .. name, bytes)
  return folder .. "/" .. name
end

describe("directmail batch", function()
  local people, content

  setup(function()
    people = file("people.csv", "\239\187\191email,name\r\nann@example.net,\"Ann, of X\"\r\nbob@example.net,Bob\r\n")
    content = file("news.html", "Subject: Hi {name}\n\n<body><p>Hi {name}</p></body>\n")
  end)

  it("sends to the people of a file, with content or a template", function()
    local before = arrived()
    local status, out, talk = batch { "--recipients", people, "--content", content, "--opt-in", "signup form" }
    assert.equal(0, status, talk)
    assert.matches("^taken by the service, .*: 2 recipients in 1 call\ncall 1: recipients 1 to 2, sent, id %w+\n$", out)
    status, out = batch { "--recipients", people, "--template", "welcome", "--opt-in", "signup form", "--json" }
    local result = json.decode(out)
    assert.same({ 0, true, "sent", 2 }, { status, result.ok, result.outcome, result.recipients })
    assert.equal(result.env_ids[1], result.calls[1].env_id)
    assert.equal(before + 4, arrived())
  end)

  it("sends to a stored list", function()
    local function api(...) return json.decode((select(2, run { "api", ..., "--json" }))) end
    local id = json.decode((select(2, run { "api", "CreateReceiver", "--ReceiversName", "subs", "--ReceiversAlias", "s@x.example", "--json" }))).ReceiverId
    assert.equal(0, (run { "api", "SaveReceiverDetail", "--ReceiverId", id, "--Detail", '[{"e":"carl@example.net","u":"Carl"}]' }))
    assert.is_table(api "QueryReceiverByParam")
    local status, out, talk = batch({ "--list", "subs", "--content", "-", "--subject", "Hi {UserName}", "--opt-in", "x", "--tag", "signup", "--track" },
      { stdin = "<html><body>{NickName} <a href='https://x.example/'>x</a></body></html>" })
    assert.equal(0, status, talk)
    assert.matches("1 recipients in 1 call", out)
    assert.matches("ten minutes", out)
  end)

  it("takes content as JSON", function()
    local path = file("c.json", '{"subject":"Hi {name}","html":"<p>x</p>","text":"x"}')
    assert.equal(0, (batch { "--recipients", people, "--content", path, "--opt-in", "x" }))
    file("c.json", '{"Subject":"Hi"}')
    local status, _, talk = batch { "--recipients", people, "--content", path, "--opt-in", "x" }
    assert.equal(2, status)
    assert.matches("Subject is no field of content", talk)
  end)

  it("prints what it would call, without a network", function()
    local status, out, talk = command.run { "batch", "--recipients", people, "--content", content, "--opt-in", "x", "--dry-run", "--sender", "news@mail.example.com", env = {} }
    assert.equal(0, status, talk)
    local call = json.decode(out)
    assert.equal("news@mail.example.com", call.AccountName)
    assert.equal("Ann, of X", json.decode(call.Receivers)[1].TemplateData.name)
    assert.equal("Hi {name}", json.decode(call.TemplateContent).Subject)
    assert.matches("sample for ann@example.net: Hi Ann, of X", talk)
    assert.matches("not asked: sender, quota", talk)
  end)

  it("tells all faults in its own words, with the lines of the file, and sends nothing", function()
    local before = arrived()
    local bad = file("bad.csv", "to,name\nann@example.net,\nx,Bob\n")
    local status, out, talk = batch { "--recipients", bad, "--list", "subs", "--content", content, "--tag", "nosuch", "--sender", "noreply@mail.example.com" }
    assert.same({ 2, "" }, { status, out })
    for _, words in ipairs { "list and recipients exclude each other", "--opt-in is missing", 'bad.csv, line 3: to is "x"', "type trigger", 'no tag "nosuch"' } do
      assert.is_truthy(talk:find(words, 1, true), words .. " in " .. talk)
    end
    status, out = batch { "--recipients", file("gap.csv", "to,name\nann@example.net,Ann\nbob@example.net,\n"), "--content", content, "--opt-in", "x", "--json" }
    local e = json.decode(out)
    assert.same({ 2, "CONTENT", "not_sent" }, { status, e.code, e.outcome })
    assert.matches("the first is .*gap.csv, line 3 %(bob@example.net%)", e.cause)
    for _, words in ipairs { { "--recipients", file("no.csv", "a,b\n1,2\n"), "--content", content }, { "--recipients", "/no/such/file", "--content", content },
      { "--recipients", file("broken.csv", "to,name\na\n"), "--content", content }, { "--template", "welcome", "--subject", "x" },
      { "--list", "x", "--template", "welcome", "--rest", "x" }, { "--list", "gone", "--template", "gone" } } do
      words[#words + 1] = "--opt-in=x"
      status, out, talk = batch(words)
      assert.same({ 2, "" }, { status, out }, talk)
    end
    assert.equal(before, arrived())
  end)

  it("ends with 4 when an outcome is unknown, and writes who surely got nothing", function()
    stop()
    start "--fault api:BatchSendMail:drop-after"
    local rows = { "to,name" }
    for i = 1, 150 do rows[i + 1] = ('p%d@example.net,"N, %d"'):format(i, i) end
    local many, rest = file("many.csv", table.concat(rows, "\n")), folder .. "/rest.csv"
    local status, out, talk = batch { "--recipients", many, "--content", content, "--opt-in", "x", "--rest", rest }
    assert.same({ 4, "" }, { status, out }, talk)
    assert.matches("call 1: recipients 1 to 100, unknown", talk)
    assert.matches("call 2: recipients 101 to 150, not started", talk)
    local left = command.read(rest)
    assert.matches('^to,name\r\np101@example.net,"N, 101"\r\n', left)
    assert.equal(51, select(2, left:gsub("\n", "")))
    status, out = batch { "--recipients", many, "--content", content, "--opt-in", "x", "--json" }
    local e = json.decode(out)
    assert.same({ 4, false, "unknown", 100, 50 }, { status, e.ok, e.outcome, e.counts.unknown, e.counts.not_sent })
    stop()
    start()
  end)
end)

describe("directmail template", function()
  it("pushes, compares, pulls and lists", function()
    local path = file("t.html", "Name: spring\nSubject: Spring\nSender-Name: News\n\n<p>one</p>\n<p>two</p>\n")
    local status, out, talk = run { "template", "diff", path }
    assert.equal(1, status, talk)
    assert.matches("^spring: missing, not there yet\n", out)
    status, out, talk = run { "template", "push", path, "--wait", "10" }
    assert.equal(0, status, talk)
    assert.matches("^spring: created, approved %(id %d+%)\n$", out)
    assert.same({ 0, "spring: approved, the same\n", "" }, { run { "template", "diff", path } })
  end)

  it("shows what differs, and its answers as JSON", function()
    local path = file("t2.html", "Name: spring\nSubject: Spring\nSender-Name: News\n\n<p>one</p>\n<p>2</p>\n")
    local status, out = run { "template", "diff", path }
    assert.equal(1, status)
    assert.matches("\n@@ html, line 2\n%-<p>two</p>\n%+<p>2</p>\n$", out)
    status, out = run { "template", "pull", "spring" }
    assert.same({ 0, "Name: spring\nSubject: Spring\nSender-Name: News\n\n<p>one</p>\n<p>two</p>\n" }, { status, out })
    assert.equal("spring", json.decode((select(2, run { "template", "pull", "spring", "--json" }))).name)
    assert.matches("\nspring +approved ", (select(2, run { "template", "list" })))
  end)

  it("refuses what it cannot do", function()
    for _, words in ipairs { {}, { "pulll" }, { "pull" }, { "pull", "gone" }, { "push", "/no/such" }, { "list", "x" }, { "push", file("n.txt", "Name: x\n\nHi") },
      { "push", file("half.html", "<p>x</p>") } } do
      local status, out, talk = run { "template", table.unpack(words) }
      assert.same({ 2, "" }, { status, out }, talk)
    end
  end)
end)
