-- directmail template render, and directmail send --template, as whole programs. The console's templates: batch_test.lua.
local command = require "support.command"
local json = require "cjson"

local folder

setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

local function file(name, bytes)
  command.write(folder .. "/" .. name, bytes)
  return name
end

local function run(words)
  words.cd = folder
  return command.run(words)
end

local function render(...) return run { "template", "render", ... } end

describe("directmail template render", function()
  setup(function()
    file("w.html", "---\nsubject: Hi {{name}}\npreheader: News\n---\n<body>\n{{>row}}\n{{{raw}}}</body>")
    file("row.html", "<p>{{name}}</p>")
    file("w.txt", "Hi {{name}}")
    file("ann.json", '{"name":"A & B","raw":"<b>","n":85}')
  end)

  it("prints the HTML octet for octet", function()
    assert.same({ 0, "<p>A &amp; B <b> 85</p>", "" }, { render(file("plain.html", "<p>{{name}} {{{raw}}} {{n}}</p>"), "--data", "ann.json") })
    assert.same({ 0, "\r\nx\r\n", "" }, { render(file("crlf.html", "\r\nx\r\n")) })
  end)

  it("prints one part, or all as JSON", function()
    assert.same({ 0, "Hi A & B", "" }, { render("w.html", "--data", "ann.json", "--part", "subject") })
    assert.same({ 0, "Hi A & B", "" }, { render("w.html", "--data", "ann.json", "--part", "text") })
    assert.same({ 0, "Hi A & B", "" }, { render("w.txt", "--data", "ann.json") })
    local status, out = render("w.html", "--data", "ann.json", "--json")
    assert.equal(0, status)
    assert.matches('^{"subject":"Hi A & B","html":".*","text":"Hi A & B"}\n$', out)
    local got = json.decode(out)
    assert.same({ "Hi A & B", "Hi A & B" }, { got.subject, got.text })
    assert.matches("^<body><div style=[^>]*>News</div>\n<p>A &amp; B</p><b></body>$", got.html)
    assert.is_nil(got.ok)
    got = json.decode((select(2, render("w.txt", "--data", "ann.json", "--json"))))
    assert.same({ subject = json.null, html = json.null, text = "Hi A & B" }, got)
    local talk
    status, out, talk = render("w.txt", "--data", "ann.json", "--part", "subject")
    assert.same({ 2, "", "directmail: usage: w.txt makes no subject\n  remedy   give it a head: ---, subject: …, ---\n" }, { status, out, talk })
  end)

  it("takes values from stdin and from options", function()
    assert.same({ 0, "Hi C", "" }, { run { "template", "render", "w.txt", "--data", "-", stdin = '\239\187\191{"name":"C"}' } })
    assert.same({ 0, "Hi D=E", "" }, { render("w.txt", "--data", "ann.json", "--set", "name=D=E") })
    assert.same({ 0, "1 2", "" }, { render(file("s.txt", "{{a.b}} {{a.c}}"), "--set", "a.b=1", "--set=a.c=2") })
  end)

  it("takes the template from stdin, with the partials of this folder", function()
    file("part.html", "<i>{{name}}</i>")
    assert.same({ 0, "<b>A &amp; B</b>\n<i>A &amp; B</i>", "" },
      { run { "template", "render", "-", "--data", "ann.json", stdin = "---\nsubject: x\n---\n<b>{{name}}</b>\n{{>part}}" } })
    local status, out, talk = run { "template", "render", "-", "--data", "ann.json", stdin = "a\n{{nobody}}" }
    assert.same({ 2, "" }, { status, out })
    assert.matches("^directmail: %-:2: no value for {{nobody}} in ann%.json", talk)
    status, out, talk = run { "template", "render", "-", "--data", "-", stdin = "{}" }
    assert.same({ 2, "" }, { status, out })
    assert.matches("stdin was already read for", talk)
  end)

  it("names field, file, line and what there is when a value is missing", function()
    file("bad.html", "one\n{{nmae}}")
    local status, out, talk = render("bad.html", "--data", "ann.json")
    assert.same({ 2, "" }, { status, out })
    assert.equal("directmail: bad.html:2: no value for {{nmae}} in ann.json (did you mean name? it has: n, name, raw)\n"
      .. "  remedy   give it, make it optional with {{#nmae}}…{{/nmae}}, or --missing empty\n", talk)
    assert.same({ 0, "one\n", "" }, { render("bad.html", "--data", "ann.json", "--missing", "empty") })
    local e
    status, e = render("bad.html", "--data", "ann.json", "--json")
    e = json.decode(e)
    assert.same({ 2, false, "CONTENT", "nmae", "not_sent" }, { status, e.ok, e.code, e.detail, e.outcome })
  end)

  it("finds partials in another folder", function()
    os.execute(("mkdir -p %s/parts"):format(folder))
    file("parts/row.html", "<i>{{name}}</i>")
    assert.matches("<i>A &amp; B</i>", (select(2, render("w.html", "--data", "ann.json", "--partials", "parts"))))
    local status, _, talk = render(file("none.html", "\n{{>nobody}}"))
    assert.equal(2, status)
    assert.equal('directmail: none.html:2: there is no partial "nobody"\n  remedy   write nobody.html, or name its folder with --partials\n', talk)
  end)

  it("refuses what it cannot read, in words", function()
    for _, case in ipairs {
      { { "no.html" }, "the template no.html cannot be read: no such file" },
      { { "w.txt", "--data", "no.json" }, "--data: no.json cannot be read" },
      { { "w.txt", "--data", file("bad.json", '{\n"a":1,\n}') }, "--data: bad.json is no JSON of values, line 3: Expected object key string" },
      { { "w.txt", "--data", file("num.json", "5") }, "--data: num.json is no JSON of values: it holds no object" },
      { { "w.txt", "--data", file("null.json", "null") }, "it holds no object" },
      { { "w.txt", "--set", "name" }, '--set "name" is no NAME=VALUE' },
      { { "w.txt", "--set", "a..b=1" }, '--set "a..b=1" is no NAME=VALUE' },
      { { "w.txt", "--data", "ann.json", "--set", "name.first=x" }, "--set name.first: name is no object" },
      { { "w.txt", "--missing", "maybe" }, "--missing must be one of" },
      { { "w.txt", "--wait", "5" }, "--wait does not go with render" },
      { { "w.txt", "more" }, 'unexpected argument "more"' },
      { {}, "render of what?" },
    } do
      local status, out, talk = render(table.unpack(case[1]))
      assert.same({ 2, "" }, { status, out }, talk)
      assert.matches("^directmail: ", talk)
      assert.is_truthy(talk:find(case[2], 1, true), talk)
      assert.matches("\n  remedy   ", talk)
    end
    local status, _, talk = run { "template", "rendr", "x" }
    assert.equal(2, status)
    assert.is_truthy(talk:find("(did you mean render?)", 1, true), talk)
    status, _, talk = run { "template", "list", "--data", "x" }
    assert.equal(2, status)
    assert.is_truthy(talk:find("--data does not go with list", 1, true), talk)
  end)
end)

describe("directmail send --template", function()
  local SMTP = { "--via", "smtp", "--smtp", "smtp://127.0.0.1:9", "--from", "a@x.example", "--to", "b@x.example", "--dry-run" }

  local function send(words)
    for _, word in ipairs(SMTP) do words[#words + 1] = word end
    return run { "send", table.unpack(words) }
  end

  it("makes subject, HTML and text", function()
    local status, out, talk = send { "--template", "w.html", "--data", "ann.json", "--set", "raw=<i>" }
    assert.same({ 0, "" }, { status, talk })
    assert.matches("\r\nSubject: Hi A & B\r\n", out)
    assert.matches("\r\n\r\nHi A & B\r\n", out)
    assert.matches("<p>A &amp; B</p><i></body>", out)
    assert.matches("\r\nSubject: Other\r\n", (select(2, send { "--template", "w.html", "--data", "ann.json", "--subject", "Other" })))
  end)

  it("says what is missing, and what does not go together", function()
    local status, out, talk = send { "--template", "w.html", "--set", "name=x" }
    assert.same({ 2, "" }, { status, out })
    assert.is_truthy(talk:find("w.html:7: no value for {{raw}}", 1, true), talk)
    assert.is_nil(talk:find("load the template", 1, true))
    for _, case in ipairs {
      { { "--template", "w.html", "--data", "ann.json", "--html", "x" }, "--html cannot stand beside --template" },
      { { "--data", "ann.json", "--text", "x" }, "--data has values for a template, and none is given" },
      { { "--set", "a=b", "--text", "x" }, "--set has values for a template, and none is given" },
    } do
      status, out, talk = send(case[1])
      assert.same({ 2, "" }, { status, out })
      assert.is_truthy(talk:find(case[2], 1, true), talk)
    end
    file("m.eml", "From: a@x.example\nTo: b@x.example\n\nx\n")
    status, out, talk = run { "send", "--eml", "m.eml", "--template", "w.html", "--dry-run" }
    assert.same({ 2, "" }, { status, out })
    assert.is_truthy(talk:find("--template cannot stand beside --eml", 1, true), talk)
  end)
end)
