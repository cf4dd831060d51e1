-- directmail.template: a mail's parts from files and texts, and the message fields template and data.
local directmail = require "directmail"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local mails = require "directmail.mail"
local memory = require "directmail.host.memory"
local templates = require "directmail.template"

local HERE = "template_test.lua"
local folder

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
  return folder .. "/" .. name
end

setup(function()
  local pipe = assert(io.popen "mktemp -d")
  folder = pipe:read "*l"
  pipe:close()
end)
teardown(function() os.execute("rm -rf '" .. folder .. "'") end)

local function refused(code, cause, made, e)
  assert.is_nil(made)
  assert.is_true(err.is(e), tostring(e))
  assert.same({ code, "not_sent", false }, { e.code, e.outcome, e.retry }, tostring(e))
  assert.is_truthy(e.cause:find(cause, 1, true), ("%s does not hold %s"):format(e.cause, cause))
  assert.is_true(#e.remedy > 3)
  return e
end

-- What makes text of HTML is tested on its own; here it is seen what it is given.
local given_html
local function with_twin(fn)
  local real = package.loaded["directmail.twin"]
  package.loaded["directmail.twin"] = { text = function(html)
    given_html = html
    if html:find "too much" then return nil, "it is too large" end
    return "text of it"
  end }
  local ok, e = pcall(fn)
  package.loaded["directmail.twin"] = real
  assert(ok, e)
end

describe("a template in a file", function()
  it("makes subject, HTML, and the text of a file beside it", function()
    local path = write("welcome.html", "---\nsubject: Hi {{name}} & {{{other}}}\n---\n<p>Hi {{name}}</p>\n")
    write("welcome.txt", "Hi {{name}} & {{{other}}}\n")
    local welcome = assert(directmail.template(path))
    local out = assert(welcome { name = "A<B", other = "C>D" })
    assert.same({ subject = "Hi A<B & C>D", html = "<p>Hi A&lt;B</p>\n", text = "Hi A<B & C>D\n" }, out)
    assert.same(out, welcome:render { name = "A<B", other = "C>D" })
  end)

  it("makes a text of the HTML when there is no such file, without the preheader", function()
    with_twin(function()
      local path = write("twin.html", "---\npreheader: News for {{name}}\n---\n<body><p>Hi</p></body>")
      local out = assert(assert(directmail.template(path)) { name = "A&B" })
      assert.equal("text of it", out.text)
      assert.equal("<body><p>Hi</p></body>", given_html)
      assert.matches("^<body><div style=\"display:none[^>]*>News for A&amp;B</div><p>Hi</p></body>$", out.html)
      given_html = nil
      out = assert(assert(directmail.template(path, { text = false })) { name = "x" })
      assert.is_nil(out.text)
      assert.is_nil(given_html)
      refused("CONTENT", "large.html: no text can be made of the HTML: it is too large", assert(directmail.template(write("large.html", "too much")))())
    end)
  end)

  it("has a text that a reader can read", function()
    local out = assert(assert(directmail.template { html = "<body><p>Tea &amp; {{x}}</p><p><a href='https://www.example.com/'>here</a></p>", preheader = "News" }) { x = "<b>" })
    assert.matches("Tea & <b>\n", out.text)
    assert.matches("https://www%.example%.com/", out.text)
    assert.is_nil(out.text:find "News")
  end)

  it("is text when its name ends in .txt", function()
    local out = assert(assert(directmail.template(write("plain.txt", "---\nsubject: S {{x}}\n---\n<{{x}}>\n"))) { x = "&" })
    assert.same({ subject = "S &", text = "<&>\n" }, out)
    refused("CONTENT", "bad.txt:2: a text has no preheader", directmail.template(write("bad.txt", "---\npreheader: x\n---\nx")))
  end)

  it("takes its partials from its own folder, or from another", function()
    os.execute(("mkdir -p '%s/parts'"):format(folder))
    write("head.html", "<h1>{{x}}</h1>")
    write("head.txt", "== {{x}} ==")
    write("only.mustache", "[{{x}}]")
    write("parts/head.html", "<h2>{{x}}</h2>")
    local path = write("mail.html", "{{>head}}{{>only}}")
    write("mail.txt", "{{>head}}{{>only}}")
    assert.same({ html = "<h1>&lt;</h1>[&lt;]", text = "== < ==[<]" }, assert(directmail.template(path)) { x = "<" })
    write("parts/only.mustache", "")
    write("parts/head.txt", "")
    assert.equal("<h2>&lt;</h2>", assert(directmail.template(path, { partials = folder .. "/parts" })) { x = "<" }.html)
    assert.equal("<h2>&lt;</h2>", assert(directmail.template(path, { partials = folder .. "/parts/" })) { x = "<" }.html)
    assert.equal("PQ", assert(directmail.template(path, { partials = { head = "P", only = "Q" } })) {}.html)
    local e = refused("CONTENT", "alone.html:2: there is no partial \"heda\"", directmail.template(write("alone.html", "\n{{>heda}}")))
    assert.is_truthy(e.remedy:find("/heda.html", 1, true))
    e = refused("CONTENT", "alone.html:1: there is no partial \"heda\"", directmail.template(write("alone.html", "---\nsubject: x\n---\n{{!\n}}{{>heda}}")
      and write("alone.html", "{{>heda}}"), { partials = {} }))
    assert.equal("give it in partials", e.remedy)
  end)

  it("takes the layout as a parent", function()
    write("layout.html", "<html><body>\n  {{$content}}\n  {{/content}}\n  <p>{{$foot}}Example Ltd{{/foot}}</p>\n</body></html>\n")
    local path = write("page.html", "---\nsubject: S\n---\n{{<layout}}\n{{$content}}\n<h1>{{t}}</h1>\n<p>x</p>\n{{/content}}\n{{/layout}}\n")
    assert.equal("<html><body>\n  <h1>T</h1>\n  <p>x</p>\n  <p>Example Ltd</p>\n</body></html>\n", assert(directmail.template(path, { text = false })) { t = "T" }.html)
  end)

  it("names a partial's file and the lines behind the head", function()
    write("row.html", "a\n{{price}}\n")
    local path = write("order.html", "---\nsubject: S\n# a remark\n\n---\nx\n{{#rows}}{{>row}}{{/rows}}{{total}}")
    local order = assert(directmail.template(path, { text = false }))
    refused("CONTENT", "/row.html:2: no value for {{price}}", order { rows = { { prize = 1 } } })
    refused("CONTENT", "/order.html:7: no value for {{total}}", order {})
    refused("CONTENT", "/head.html:2: no value for {{x}}", assert(directmail.template(write("head.html", "---\nsubject: {{x}}\n---\n"), { text = false }))())
    refused("CONTENT", "/order.html:3: {{#a}} is never closed", directmail.template(write("order.html", "---\n---\n{{#a}}")))
  end)

  it("may begin with a byte order mark, and end its lines with CRLF", function()
    local out = assert(assert(directmail.template(write("crlf.html", "\239\187\191---\r\nsubject: Hi\r\n---\r\n<p>{{x}}</p>\r\n"), { text = false })) { x = 1 })
    assert.same({ subject = "Hi", html = "<p>1</p>\r\n" }, out)
  end)

  it("is refused when it cannot be read", function()
    refused("FILE", "none.html cannot be read: no such file", directmail.template(folder .. "/none.html"))
    refused("FILE", "cannot be read: is a directory", directmail.template(folder))
    refused("SIZE", "is larger than", directmail.template(write("large.html", ("x"):rep(limits.template_file_octets + 1))))
    os.execute(("mkdir -p '%s/odd.txt'"):format(folder))
    refused("FILE", "odd.txt cannot be read: is a directory", directmail.template(write("odd.html", "x")))
  end)
end)

describe("the head of a file", function()
  it("holds subject and preheader, in quotes if one likes", function()
    for line, wanted in pairs { ["subject: a: b"] = "a: b", ['subject: "a #1"'] = "a #1", ["subject:'x'"] = "x", ["subject : x  "] = "x", ["subject: "] = "",
      ['subject: "a" or "b"'] = '"a" or "b"', ["subject: {{#x}}1{{/x}}{{^x}}0{{/x}}"] = "0" } do
      local out = assert(assert(directmail.template(write("h.html", "---\n" .. line .. "\n---\nx"), { text = false })) {})
      assert.equal(wanted, out.subject)
      assert.equal("x", out.html)
    end
  end)

  it("is wrong with other lines, and with no end", function()
    for text, cause in pairs {
      ["---\nsubjcet: x\n---\n"] = 'h.html:2: the head has no "subjcet" (did you mean subject?)',
      ["---\n\nsubject: x\nsubject: y\n---\n"] = "h.html:4: subject stands twice",
      ["---\n<p>\n---\n"] = 'h.html:2: "<p>" is no line of a head',
      ["---\nsubject: x\n"] = "h.html:1: the head is never closed",
      ["---\nsubject: x"] = "h.html:1: the head is never closed",
      ["---\n"] = "h.html:1: the head is never closed",
      ["---\nsubject: {{#x}}\n---\n"] = "h.html:2: {{#x}} is never closed",
    } do refused("CONTENT", cause, directmail.template(write("h.html", text))) end
  end)

  it("is read in time whatever it holds", function()
    local blanks = (" "):rep(500000)
    assert.equal("a" .. blanks .. "b", directmail.template(write("h.html", "---\nsubject: a" .. blanks .. "b" .. "\n---\n"), { text = false }) {}.subject)
    refused("CONTENT", "h.html:2: \"x ", directmail.template(write("h.html", "---\nx" .. blanks .. "y\n---\n")))
  end)

  it("is only one at the very beginning", function()
    for _, text in ipairs { "----\n", " ---\nx", "\n---\nsubject: x\n---\n", "x---\n", "---x\n" } do
      assert.equal(text, assert(directmail.template(write("h.html", text), { text = false })) {}.html)
    end
  end)
end)

describe("a template of texts", function()
  it("has the parts that are given", function()
    local t = assert(directmail.template { subject = "S {{x}}", html = "<{{x}}>", text = "T {{x}}", preheader = "P {{x}}" })
    local out = assert(t { x = "&" })
    assert.same({ "S &", "T &" }, { out.subject, out.text })
    assert.matches("P &amp;</div><&amp;>$", out.html)
    assert.same({ subject = "only" }, assert(directmail.template { subject = "only" })())
    assert.same({ text = "only" }, assert(directmail.template { text = "only" })())
  end)

  it("is named in errors", function()
    refused("CONTENT", "subject:1: no value for {{x}}", assert(directmail.template { subject = "{{x}}" })())
    refused("CONTENT", "welcome html:2: {{/a}} closes nothing", directmail.template { name = "welcome", html = "\n{{/a}}" })
    refused("OPTION", "the partial p is a number", directmail.template { html = "{{>p}}", partials = { p = 5 } })
  end)

  it("is misuse with other fields, at the caller's line", function()
    for _, call in ipairs {
      { 'unknown field "htlm" in directmail.template (did you mean "html"?)', { htlm = "x" } }, { "field html of directmail.template cannot be a number", { html = 5 } },
      { 'field missing of directmail.template must be "error" or "empty"', { html = "x", missing = "no" } }, { "wants html, text or subject", {} },
      { "parts have no further options", { html = "x" }, {} }, { "a file or a table expected, got nil" }, { "got function", print },
      { 'unknown field "partial"', "x.html", { partial = "x" } }, { "cannot be a boolean", "x.html", { text = true } },
      { "cannot be a function", "x.html", { partials = print } },
    } do
      local ok, e = pcall(function() return (directmail.template(call[2], call[3])) end)
      assert.is_false(ok)
      assert.is_truthy(e:find(call[1], 1, true), e)
      assert.is_truthy(e:find(HERE, 1, true), e)
    end
    local t = assert(directmail.template { subject = "x" })
    for _, call in ipairs { function() return (t "x") end, function() return (t:render(5)) end } do
      local ok, e = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(e:find("bad data for a template", 1, true) and e:find(HERE, 1, true), e)
    end
  end)
end)

describe("the subject", function()
  it("refuses values with line breaks and NUL, by name", function()
    for _, bad in ipairs { "a\nb", "a\rBcc: x@example.com", "a\0b", "\n" } do
      local t = assert(directmail.template { subject = "Hi {{name}}", text = "{{name}}" })
      local e = refused("CONTENT", "subject:1: the value of {{name}} has a line break or NUL", t { name = bad })
      assert.equal("name", e.detail)
    end
    refused("CONTENT", "the subject has a line break", assert(directmail.template { subject = "a\nb" })())
    refused("CONTENT", "has a line break", assert(directmail.template { subject = "{{#f}}{{/f}}" }) { f = function() return "a\nb" end })
    refused("CONTENT", "has a line break", assert(directmail.template { subject = "{{>p}}", partials = { p = "a\n" } })())
  end)

  it("may have line breaks where no subject is", function() assert.equal("a\nb", directmail.template { text = "{{x}}" } { x = "a\nb" }.text) end)
end)

describe("the preheader", function()
  it("stands hidden at the beginning of the body", function()
    local function shown(before, after)
      local out = assert(assert(directmail.template { html = before .. after, text = "", preheader = "100 % {{x}}" }) { x = "<" })
      assert.equal(before, out.html:sub(1, #before))
      assert.matches("^<div style=\"display:none[^>]*>100 %% &lt;</div>", out.html:sub(#before + 1), before)
      assert.equal(after, (out.html:sub(#before + 1):gsub("^<div.-</div>", "")))
    end
    for before, after in pairs {
      ["<html><head></head><body>"] = "x</body></html>", ['<BODY class="a>b" bgcolor=\'>\'>'] = "x", [""] = "x", ["<!DOCTYPE html>"] = "<p>x",
      ["<!-- <body> --><body>"] = "x", ["<bodyguard><b><body\n>"] = "x", ["<!--[if mso]><body class=m><![endif]--><body>"] = "x",
    } do shown(before, after) end
    for _, html in ipairs { "<!-- <body>", "<body class=\"x", "<body", "<body class='x>", "<!" } do shown("", html) end
  end)

  it("is left out when it is empty", function() assert.equal("x", directmail.template { html = "x", text = "", preheader = "{{#a}}b{{/a}}" } {}.html) end)
end)

describe("a message", function()
  local host, mail
  before_each(function()
    host = memory.new()
    host.read = require "directmail.host.machine".read
    mail = assert(mails.new({ sender = "a@x.example" }, host, 1))
  end)

  local function bytes(fields)
    fields.to = "b@x.example"
    local m, e = mail:message(fields)
    if not m then return nil, e end
    return (m:bytes():gsub("\r\n", "\n"))
  end

  it("takes its parts from a template", function()
    local t = assert(directmail.template { subject = "Hi {{name}}", html = "<p>{{name}}</p>", text = "T {{name}}" })
    local fields = { template = t, data = { name = "A&B" } }
    local text = assert(bytes(fields))
    assert.is_truthy(text:find("\nSubject: Hi A&B\n", 1, true))
    assert.is_truthy(text:find("\n\nT A&B\n", 1, true))
    assert.is_truthy(text:find("\n\n<p>A&amp;B</p>\n", 1, true))
    assert.same({ name = "A&B" }, fields.data)
    assert.equal(t, fields.template)
    assert.is_nil(fields.html)
  end)

  it("may have a subject of its own", function()
    local t = assert(directmail.template { subject = "no", text = "x" })
    assert.is_truthy(bytes { template = t, subject = "yes" }:find("\nSubject: yes\n", 1, true))
    assert.is_truthy(bytes { template = t }:find("\nSubject: no\n", 1, true))
    t = assert(directmail.template { subject = "{{none}}", text = "x" })
    assert.is_truthy(bytes { template = t, subject = "yes" }:find("\nSubject: yes\n", 1, true))
    refused("CONTENT", "subject:1: no value for {{none}}", bytes { template = t })
    refused("CONTENT", "the template makes a subject only", bytes { template = assert(directmail.template { subject = "x" }) })
  end)

  it("may name the template's file", function()
    write("m.html", "---\nsubject: F {{x}}\n---\n<p>{{x}}</p>")
    write("m.txt", "f {{x}}")
    assert.is_truthy(bytes { template = folder .. "/m.html", data = { x = 1 } }:find("\n\nf 1\n", 1, true))
    refused("FILE", "none.html cannot be read", bytes { template = folder .. "/none.html" })
    local e = refused("CONTENT", "/m.html:2: no value for {{x}}", bytes { template = folder .. "/m.html", data = { y = 1 } })
    assert.equal("x", e.detail)
  end)

  it("refuses text and html beside it, and data alone", function()
    local t = assert(directmail.template { text = "x" })
    refused("OPTION", "html cannot stand beside template", bytes { template = t, html = "x" })
    refused("OPTION", "text cannot stand beside template", bytes { template = t, text = "" })
    refused("OPTION", "data is given, and no template", bytes { data = {}, text = "x" })
    refused("OPTION", "template cannot stand beside raw", bytes { template = t, raw = "Subject: x\n\nx" })
    for _, wrong in ipairs { {}, setmetatable({}, {}), mail } do
      local ok, e = pcall(function() return (mail:message { to = "b@x.example", template = wrong }) end)
      assert.is_false(ok)
      assert.is_truthy(e:find("field template must be a file's name, or what directmail.template gave", 1, true), e)
      assert.is_truthy(e:find(HERE, 1, true), e)
    end
    assert.error_matches(function() mail:message { to = "b@x.example", template = t, data = "x" } end, "field data cannot be a string")
    assert.error_matches(function() mail:message { to = "b@x.example", template = 5 } end, "field template cannot be a number")
  end)

  it("refuses what a template leaves in braces", function()
    local t = assert(directmail.template { text = "{{x}}" })
    refused("CONTENT", "text still holds {{name}}", bytes { template = t, data = { x = "{{name}}" } })
    assert.is_truthy(bytes { template = t, data = { x = "{{name}}" }, allow_placeholders = true })
  end)

  it("keeps a file's template, and sees when the file or a partial changes", function()
    local path = write("c.html", "{{>cp}}1")
    write("c.txt", "")
    write("cp.html", "a")
    local first = templates.of(path, host)
    assert.equal("a1", first {}.html)
    assert.equal(first, templates.of(path, host))
    write("cp.html", "b")
    assert.equal(first, templates.of(path, host))               -- looked at once a second
    host.sleep(limits.template_check)
    local second = templates.of(path, host)
    assert.equal("b1", second {}.html)
    host.sleep(limits.template_check)
    assert.equal(second, templates.of(path, host))
    os.remove(folder .. "/c.txt")
    write("c.html", "{{#x}}")
    host.sleep(limits.template_check)
    refused("CONTENT", "c.html:1: {{#x}} is never closed", templates.of(path, host))
    write("c.html", "3")
    write("c.txt", "t")
    assert.same({ html = "3", text = "t" }, templates.of(path, host) {})
    os.remove(path)
    host.sleep(limits.template_check)
    refused("FILE", "c.html cannot be read", templates.of(path, host))
  end)

  it("keeps only so many", function()
    local first
    for i = 1, limits.templates_cached + 1 do
      local made = assert(templates.of(write("k" .. i .. ".txt", "x"), host))
      first = first or made
    end
    local again = templates.of(folder .. "/k1.txt", host)
    assert.is_true(again ~= first)
    assert.equal(again, templates.of(folder .. "/k1.txt", host))
  end)
end)

describe("many messages", function()
  it("are filled in row by row, and one that fails stops none", function()
    local fake = directmail.testing.transport()
    local mail = assert(directmail.new { transport = fake, sender = "a@x.example" })
    local t = assert(directmail.template { subject = "Hi {{name}}", text = "{{name}} {{f}}" })
    local rows = { { n = "Ann" }, {}, { n = "Bob", f = function() error("oops", 0) end }, { n = "Cid" }, { n = "Dan", f = function() return nil end } }
    local results = {}
    for result in mail:send_all(rows, { connections = 1, message = function(row)
      return { to = "b@x.example", template = t, data = { name = row.n, f = row.f or "f" } }
    end }) do results[result.n] = result end
    assert.same({ true, false, false, true, false }, { results[1].ok, results[2].ok, results[3].ok, results[4].ok, results[5].ok })
    refused("CONTENT", "subject:1: no value for {{name}}", nil, results[2].err)
    refused("CONTENT", "a function in the template's data failed: oops", nil, results[3].err)
    refused("CONTENT", "text:1: no value for {{f}}", nil, results[5].err)
    assert.equal(2, #fake.sent)
    assert.equal("Hi Cid", fake.sent[2].subject)
  end)

  it("name a wrong template as the row's error", function()
    local mail = assert(directmail.new { transport = directmail.testing.transport(), sender = "a@x.example" })
    for result in mail:send_all({ { to = "b@x.example", template = {} } }) do
      refused("OPTION", "field template must be a file's name", nil, result.err)
    end
  end)
end)
