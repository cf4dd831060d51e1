-- directmail lint: files in, findings out, in every form; nothing leaves the machine unless it is told to.
local cjson = require "cjson"
local command = require "support.command"

local GOOD = "<html><body>\n<p>Dear Ann,</p>\n<p>in May the beds are warm enough for beans.</p>\n<p>Example Garden makes tools. Please add us to your contacts. "
  .. '<a href="https://www.example.com/unsubscribe">Unsubscribe</a></p>\n</body></html>\n'
local BAD = "<h1>BUY NOW!!! FREE!!!</h1><a href='http://bit.ly/x'>x</a>"

describe("directmail lint", function()
  local folder, exe
  setup(function()
    folder = command.folder()
    exe = command.exe
    command.write(folder .. "/good.html", GOOD)
    command.write(folder .. "/bad.html", BAD)
    command.write(folder .. "/line.html", "<p>Hello Ann</p>\n\n<p>Dear %name%</p>\n")
  end)
  teardown(function() command.remove(folder) end)

  local function run(words) return command.run(words) end
  local function path(name) return folder .. "/" .. name end

  it("is_silent_about_a_good_mail_and_names_mail-tester_in_its_last_line", function()
    local status, out = run { "lint", path "good.html", "--kind", "bulk", "--organization", "Example Garden" }
    assert.equal(0, status, out)
    assert.equal("looked at as bulk mail\n0 errors, 0 warnings   weight 0 (5 fails)      mail-tester.com gives a second opinion; no score promises the inbox\n", out)
  end)

  it("fails_at_five_points_and_shows_cause_and_remedy", function()
    local status, out = run { "lint", path "bad.html", "--kind", "bulk" }
    assert.equal(1, status)
    assert.is_truthy(out:find(path "bad.html" .. ":1: error: no unsubscribe link  (unsub.missing)\n    bulk mail without one is refused by Gmail and Yahoo; add ", 1, true), out)
    assert.is_truthy(out:find "\n2 errors, 9 warnings   weight 8%.35 %(5 fails%) .*mail%-tester%.com[^\n]*\n$", out)
    -- below five points there are findings, and the exit code is 0
    status, out = run { "lint", path "line.html", "--kind", "transactional" }
    assert.equal(0, status)
    assert.is_truthy(out:find("line.html:3: error: placeholder left: %name%  (template.left)", 1, true), out)
  end)

  it("answers_json_by_the_keys_of_the_design", function()
    local status, out = run { "lint", path "bad.html", path "good.html", "--kind", "bulk", "--json" }
    assert.equal(1, status)
    assert.is_truthy(out:find '^{"score":8%.35,"findings":%[{"file":"[^"]*bad%.html","rule":"[%l.-]+","weight":[%d.]+,"line":1,')
    local answer = cjson.decode(out)
    for _, finding in ipairs(answer.findings) do
      for _, key in ipairs { "file", "rule", "weight", "line", "what", "cause", "remedy" } do assert.is_truthy(finding[key] ~= nil, key) end
    end
    assert.equal(path "good.html", answer.findings[#answer.findings].file)
    status, out = run { "lint", path "good.html", "--kind", "transactional", "--json" }
    assert.same({ 0, '{"score":0,"findings":[]}\n' }, { status, out })
  end)

  it("answers_editors_in_gnus_form", function()
    local status, out, err = run { "lint", path "line.html", "--format=gnu", "--kind", "transactional", "--lang", "zh" }
    assert.same({ 0, path "line.html" .. ":3: error: template.left: 遗留的占位符：%name%\n" }, { status, out })
    assert.is_truthy(err:find("mail-tester.com", 1, true))
  end)

  it("speaks_the_language_of_the_machine", function()
    local _, out = run { "lint", path "line.html", env = { LC_ALL = "zh_CN.UTF-8" } }
    assert.is_truthy(out:find("错误: 遗留的占位符：%name%", 1, true) and out:find("mail-tester.com", 1, true), out)
  end)

  it("reads_a_finished_message_stdin_text_and_fields", function()
    local eml = "From: shop@gmail.com\nTo: ann@example.org\nSubject: FREE\n\nHello Ann, act now\n"
    local _, out = run { "lint", "-", "--json", stdin = eml }
    local rules = {}
    for _, finding in ipairs(cjson.decode(out).findings) do rules[finding.rule] = finding.line end
    assert.same({ 1, 3, 5 }, { rules["head.from-free"], rules["subject.trigger"], rules["body.trigger"] })
    command.write(path "m.json", '{"subject":"Hello","html":"<p>Hello Ann</p>","attachments":[{"name":"a.exe","data":"x"}]}')
    _, out = run { "lint", path "m.json", "--json" }
    assert.is_truthy(out:find('"attachment.executable"', 1, true) and out:find('"html.only"', 1, true), out)
    command.write(path "m.json", '{"subjcet":"Hello"}')
    local status, _, err = run { "lint", path "m.json" }
    assert.equal(2, status)
    assert.is_truthy(err:find('unknown field "subjcet"', 1, true) and err:find('did you mean "subject"?', 1, true), err)
    for json, words in pairs {
      ['{"subject":5}'] = "field subject must be a string", ['{"raw":5}'] = "field raw must be a string", ['{"to":7}'] = "field to cannot be a number",
      ['{"to":["a@b.example",{}]}'] = "entry 2 of field to cannot be a table", ['{"attachments":[5]}'] = "entry 1 of field attachments cannot be a number",
      ['{"attachments":[{"path":5}]}'] = "path of entry 1 of field attachments must be a string", ['{"track":7}'] = "field track must be a table",
      ['{"template":{}}'] = "field template must be the name of a file",
    } do
      command.write(path "m.json", json)
      status, _, err = run { "lint", path "m.json" }
      assert.equal(2, status, err)
      assert.is_truthy(err:find("m.json: " .. words, 1, true), err)
    end
    command.write(path "m.json", '{"subject":"Hello","html":null,"text":"Hello Ann","template":null}')
    assert.equal(0, (run { "lint", path "m.json" }))
    command.write(path "m.json", "[")
    assert.equal(2, (run { "lint", path "m.json" }))
  end)

  it("takes_a_template_as_it_is_or_filled_in", function()
    command.write(path "t.mustache", "---\nsubject: Hi {{name}}\n---\n<p>Dear {{name}},</p><p>%left% {{offer}}</p>")
    local _, out = run { "lint", path "t.mustache", "--json" }
    local answer = cjson.decode(out)
    assert.same({ 1, "template.left", 4 }, { #answer.findings, answer.findings[1].rule, answer.findings[1].line })
    command.write(path "d.json", '{"name":"Ann","offer":"act now"}')
    _, out = run { "lint", path "t.mustache", "--data", path "d.json", "--json" }
    assert.is_truthy(out:find('\\"act now\\"', 1, true), out)
    local status, _, err = run { "lint", path "t.mustache", "--set", "name=Ann" }
    assert.equal(2, status)
    assert.is_truthy(err:find("offer", 1, true), err)
    command.write(path "t.html", "<p>Dear {{name}},</p>")
    _, out = run { "lint", path "t.html", "--json" }
    assert.is_truthy(out:find("template.left", 1, true))
    _, out = run { "lint", path "t.html", "--template", "--json" }
    assert.is_nil(out:find("template.left", 1, true))
  end)

  it("runs_rules_of_the_users_own_from_files_and_folders", function()
    os.execute("mkdir -p " .. command.quote(path "rules") .. " " .. command.quote(path "home/.config/directmail/lint"))
    local rule = [[return { rules = { ["house.%s"] = { weight = 2.5, what = "found %%s", cause = "we are blue here", remedy = "be blue" } },
      check = function(mail, report) if mail.html:find "red" then report("house.%s", { line = 7 }, mail.kind) end end }]]
    command.write(path "rules/a.lua", rule:format("a", "a"))
    command.write(path "rules/b.lua", rule:format("b", "b"))
    command.write(path "home/.config/directmail/lint/c.lua", rule:format("c", "c"))
    command.write(path "red.html", "<p>Hello, red</p>")
    local status, out = run { "lint", path "red.html", "--kind", "transactional", "--rules", path "rules", env = { HOME = path "home" } }
    assert.equal(1, status)
    for _, id in ipairs { "a", "b", "c" } do assert.is_truthy(out:find(("red.html:7: error: found transactional  (house.%s)"):format(id), 1, true), out) end
    assert.equal(0, (run { "lint", path "red.html", "--rules", path "rules/a.lua", "--ignore", "house.a" }))
    for text, words in pairs { ["x ="] = "cannot be loaded", ["error 'oops'"] = "oops", ["return 5"] = "it must return",
      ["return { rules = {}, check = function() error 'deep' end }"] = "deep",
      ["return { rules = {}, check = function(_, report) report 'no.such' end }"] = 'nobody knows a rule "no.such"' } do
      command.write(path "rules/wrong.lua", text)
      local code, _, err = run { "lint", path "red.html", "--rules", path "rules/wrong.lua" }
      assert.equal(2, code, err)
      assert.is_truthy(err:find("rules/wrong.lua", 1, true) and err:find(words, 1, true), err)
    end
    os.execute("chmod 666 " .. command.quote(path "home/.config/directmail/lint/c.lua"))
    local code, _, err = run { "lint", path "red.html", env = { HOME = path "home" } }
    assert.equal(2, code)
    assert.is_truthy(err:find("others may write", 1, true), err)
  end)

  it("asks_spamassassin", function()
    -- a stand-in of its own, ended by its stdin
    local server = assert(io.popen("exec python3 tests/support/spamd.py 6.9 MONEY_BACK,FOO >" .. command.quote(path "port"), "w"))
    local port
    for _ = 1, 200 do
      local file = io.open(path "port")
      port = file and file:read "l"
      if file then file:close() end
      if port then break end
      os.execute "sleep 0.05"
    end
    local status, out = run { "lint", path "good.html", "--kind", "transactional", "--spamd", "127.0.0.1:" .. port }
    local _, json = run { "lint", path "good.html", "--kind", "transactional", "--spamd", "127.0.0.1:" .. port, "--json" }
    server:close()
    assert.equal(1, status, out)
    assert.is_truthy(out:find("SpamAssassin calls it spam: 6.9 of 5.0 (MONEY_BACK FOO)  (spamd.spam)", 1, true), out)
    assert.same({ score = 6.9, threshold = 5, spam = true, rules = { "MONEY_BACK", "FOO" } }, cjson.decode(json).spamd[1])
    local code, _, err = run { "lint", path "good.html", "--spamd", "127.0.0.1:9" }
    assert.equal(3, code)
    assert.is_truthy(err:find("127.0.0.1:9", 1, true), err)
    assert.equal(2, (run { "lint", path "good.html", "--spamd", "no port" }))
  end)

  it("asks_no_link_that_is_private_or_may_carry_a_token", function()
    command.write(path "links.html",
      '<p>Hello Ann <a href="http://127.0.0.1/">a</a> <a href="http://100.100.100.200/latest/">b</a> <a href="https://www.example.com/x?token=1">c</a></p>')
    local status, out = run { "lint", path "links.html", "--links", "--kind", "transactional", "--json" }
    local rules = {}
    for _, finding in ipairs(cjson.decode(out).findings) do rules[finding.rule] = (rules[finding.rule] or 0) + 1 end
    assert.same({ 2, 1, 1 }, { rules["links.private"], rules["links.skipped"], status == 1 and 1 or 0 })
  end)

  it("asks_no_name_that_leads_inside_nor_a_redirects_target_without_looking", function()
    local dns = require "support.dns"
    local server = dns.start { records = { ["inside.example.com"] = { A = { "127.0.0.1" } }, ["six.example.com"] = { A = { "8.8.8.8" }, AAAA = { "::1" } } },
      faults = { ["bad.example.com"] = "servfail" } }
    command.write(path "links.html", '<p>Hello Ann <a href="http://inside.example.com/">a</a> <a href="http://six.example.com/">b</a> <a href="http://none.example.com/">c</a> '
      .. '<a href="http://bad.example.com/">d</a></p>')
    local _, out = run { "lint", path "links.html", "--links", "--kind", "transactional", "--json", "--dns", server.address }
    server:stop()
    local told = {}
    for _, finding in ipairs(cjson.decode(out).findings) do
      if finding.rule:find "^links" then told[#told + 1] = finding.rule .. " " .. finding.what:match "%((.*)%)$" end
    end
    table.sort(told)
    assert.same({ "links.broken the host does not exist", "links.private 127.0.0.1: loopback", "links.private ::1: no public address", "links.unreachable DNS: servfail" }, told)
  end)

  it("takes_the_doctors_report", function()
    command.write(path "doctor.json", '{"status":"fail","checks":[{"id":"dns.spf","status":"fail","title":"SPF","cause":"no record"},{"id":"clock","status":"fail"}]}')
    local _, out = run { "lint", path "good.html", "--kind", "transactional", "--doctor", path "doctor.json", "--json" }
    local answer = cjson.decode(out)
    assert.same({ 3, 1, "auth.fail", "the doctor found dns.spf to fail: no record" }, { answer.score, #answer.findings, answer.findings[1].rule, answer.findings[1].what })
    command.write(path "doctor.json", "{}")
    assert.equal(2, (run { "lint", path "good.html", "--doctor", path "doctor.json" }))
  end)

  it("compares_the_kind_with_the_senders_type_in_the_account", function()
    local function ask(sender, kind)
      local words = { exe, "lint", path "good.html", "--kind", kind, "--account", "--json" }
      for i, word in ipairs(words) do words[i] = command.quote(word) end
      local _, out, err = run { "sandbox", "--", "sh", "-c", "DIRECTMAIL_SENDER=" .. sender .. " " .. table.concat(words, " ") }
      return out:find("kind.sender", 1, true) ~= nil, out .. err
    end
    for _, row in ipairs { { "noreply@mail.example.com", "bulk", true }, { "noreply@mail.example.com", "transactional", false }, { "news@mail.example.com", "bulk", false },
      { "news@mail.example.com", "transactional", true } } do
      local fires, all = ask(row[1], row[2])
      assert.equal(row[3], fires, all)
      assert.is_truthy(all:find('"score"', 1, true), all)
    end
    local _, all = ask("nobody@mail.example.com", "bulk")
    assert.is_truthy(all:find("has no sender nobody@mail.example.com", 1, true), all)
  end)

  it("lists_its_rules", function()
    local _, out = run { "lint", "--list" }
    local n = 0
    for _, row in ipairs(require "directmail.lint".rules()) do
      n = n + 1
      assert.is_truthy(out:find(row.id, 1, true), row.id)
    end
    assert.equal(n, select(2, out:gsub("\n", "")))
  end)

  it("lists_its_rules_as_one_object", function()
    local status, out = run { "lint", "--list", "--json" }
    assert.equal(0, status)
    assert.matches('^{"rules":%[{"rule":"subject%.empty","weight":2,"what":"the subject is empty","cause":".-","remedy":".-"},', out)
    assert.equal(#require "directmail.lint".rules(), #cjson.decode(out).rules)
  end)

  it("refuses_a_wrong_command_line", function()
    for _, words in ipairs { { "lint" }, { "lint", path "none.html" }, { "lint", path "good.html", "--kind", "spam" }, { "lint", path "good.html", "--ignore", "unsub.mising" },
      { "lint", "-", "--data", path "good.html" }, { "lint", path "good.html", "--format", "xml" } } do
      local status, _, err = run(words)
      assert.equal(2, status, table.concat(words, " "))
      assert.is_truthy(err:find "^directmail: ", err)
    end
    local _, _, err = run { "lint", path "good.html", "--ignore", "unsub.mising" }
    assert.is_truthy(err:find("did you mean unsub.missing?", 1, true), err)
  end)
end)

describe("docs/lint.md", function()
  it("lists_every_rule_with_its_weight", function()
    local told = {}
    for id, weight in command.read "docs/lint.md":gmatch "\n| `([%l%d-]+%.[%l%d-]+)` | ([^|]-) |" do told[id] = weight end
    for _, row in ipairs(require "directmail.lint".rules()) do
      local weight = type(row.weight) == "table" and table.concat(row.weight, " or ") or ("%g"):format(row.weight)
      if row.max then weight = weight .. (", at most %g"):format(row.max) end
      assert.equal(weight, told[row.id], row.id)
      told[row.id] = nil
    end
    assert.is_nil((next(told)))
  end)
end)
