-- directmail.template: the rules of Mustache, one after the other. The specification's own files are not copied here.
local directmail = require "directmail"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local null = require "cjson".null

local function load(source, partials, missing)
  return assert(directmail.template { html = source, text = "", partials = partials, missing = missing })
end

-- What a template makes, as HTML, with missing values left empty.
local function shows(wanted, source, data, partials)
  local out = assert(load(source, partials, "empty")(data))
  assert.equal(wanted, out.html, source)
end

-- The same, read from the first octet of a line and from elsewhere, must not end differently for CRLF.
local function shows_with_any_line_end(wanted, source, data, partials)
  shows(wanted, source, data, partials)
  local crlf = {}
  for name, text in pairs(partials or {}) do crlf[name] = text:gsub("\n", "\r\n") end
  shows((wanted:gsub("\n", "\r\n")), (source:gsub("\n", "\r\n")), data, crlf)
end

local function fails(source, data, cause, partials)
  local made, e = directmail.template { html = source, text = "", partials = partials }
  if made then made, e = made(data) end
  assert.is_nil(made, source)
  assert.is_true(err.is(e), source)
  assert.equal("CONTENT", e.code)
  assert.is_truthy(e.cause:find(cause, 1, true), e.cause .. " does not hold " .. cause)
  assert.is_true(#e.remedy > 3)
  return e
end

describe("text and values", function()
  it("leaves a text without tags as it is", function()
    for _, text in ipairs { "", "\n", "plain", "a { b } c }} d", "%d %s %%", "{ {x} }", "tail {", "<p>&amp;</p>\r\n\r\n", ("x"):rep(100000) } do
      shows(text, text, { x = 1 })
    end
  end)

  it("puts in texts, numbers and booleans", function()
    shows("Tea, 3, 2.5, -7, true, false.", "{{a}}, {{b}}, {{c}}, {{d}}, {{e}}, {{f}}.", { a = "Tea", b = 3, c = 2.5, d = -7, e = true, f = false })
    shows("85 1200000 0.1 1e+20", "{{a}} {{b}} {{c}} {{d}}", { a = 85.0, b = 1.2e6, c = 0.1, d = 1e20 })
    shows("0.3", "{{a}}", { a = 0.1 + 0.2 })
    shows("9007199254740991", "{{a}}", { a = 2 ^ 53 - 1 })
  end)

  it("does not read a value as a template", function()
    shows("{{b}} {{b}}", "{{a}} {{{a}}}", { a = "{{b}}", b = "no" })
  end)

  it("escapes values for HTML, in text and between quotes of either kind", function()
    shows("a &lt; b &amp;&amp; c &gt; &quot;d&quot; &#39;e&#39;", "{{x}}", { x = "a < b && c > \"d\" 'e'" })
  end)

  it("does not escape with three braces or an ampersand, which may be padded", function()
    for _, tag in ipairs { "{{{x}}}", "{{&x}}", "{{& x }}", "{{{ x }}}", "{{ &x}}" } do shows("<b>&\"'", tag, { x = "<b>&\"'" }) end
  end)

  it("takes blanks in a tag for padding, and keeps those around it", function()
    shows("| v |\n|v|\n", "| {{  x\t}} |\n|{{ x}}|\n", { x = "v" })
    shows("  v\n", "  {{x}}\n", { x = "v" })
    shows("\tv\n", "\t{{{x}}}\n", { x = "v" })
    shows(" v\n", " {{&x}}\n", { x = "v" })
  end)

  it("shows nothing for what is not there, when that is allowed", function()
    shows("[][][]", "[{{a}}][{{{a}}}][{{&a}}]", {})
    shows("[][]", "[{{a}}][{{a.b}}]", { a = null })
    shows("[][][]", "[{{a.b}}][{{a.b.c}}][{{x.y}}]", { a = { c = 1 } })
  end)

  it("takes names with blanks inside, as columns of a table have them", function()
    shows("Ann", "{{First name}}", { ["First name"] = "Ann" })
    shows("Ann", "{{#First name}}{{.}}{{/First name}}", { ["First name"] = "Ann" })
  end)
end)

describe("names with dots", function()
  it("go down into objects, however deep", function()
    shows("e", "{{a.b.c.d}}", { a = { b = { c = { d = "e" } } } })
    shows("<e>", "{{{a.b}}}{{&a.c}}", { a = { b = "<e", c = ">" } })
  end)

  it("look for their first part only in the outer contexts", function()
    shows("in", "{{#o}}{{a.b}}{{/o}}", { o = { x = 1 }, a = { b = "in" } })
    shows("", "{{#o}}{{a.b}}{{/o}}", { o = { a = { x = 1 } }, a = { b = "no" } })
    shows("", "{{#o}}{{a.b}}{{/o}}", { o = { a = "text" }, a = { b = "no" } })
  end)

  it("are no keys with dots in them", function()
    shows("", "{{a.b}}", { ["a.b"] = "no" })
    shows("yes", "{{a.b}}", { ["a.b"] = "no", a = { b = "yes" } })
  end)

  it("name sections too", function()
    shows("yes", "{{#a.b}}yes{{/a.b}}{{^a.b}}no{{/a.b}}", { a = { b = true } })
    shows("no", "{{#a.b}}yes{{/a.b}}{{^a.b}}no{{/a.b}}", { a = {} })
    shows("no", "{{#a.b.c}}yes{{/a.b.c}}{{^a.b.c}}no{{/a.b.c}}", { a = "text" })
  end)
end)

describe("sections", function()
  it("show their text when the value is there, and not when it is false, null, empty or missing", function()
    for _, value in ipairs { true, "text", 1, 0, -1, "0", "false" } do shows("[x]", "[{{#a}}x{{/a}}]", { a = value }) end
    shows("[x]", "[{{#a}}x{{/a}}]", { a = { b = 1 } })
    for _, value in ipairs { false, null, "", {} } do shows("[]", "[{{#a}}x{{/a}}]", { a = value }) end
    shows("[]", "[{{#a}}x{{/a}}]", {})
  end)

  it("go into objects, and see the outer values from there", function()
    shows("in: I, out: O", "{{#a}}in: {{b}}, out: {{c}}{{/a}}", { a = { b = "I" }, c = "O", b = "no" })
    shows("1 2 3 | 1 2 | 1", "{{#a}}{{#b}}{{x}} {{y}} {{z}}{{/b}} | {{x}} {{y}}{{/a}} | {{x}}", { x = 1, a = { y = 2, b = { z = 3 } } })
  end)

  it("go through lists, whose entries are contexts", function()
    shows("a1b2c3", "{{#list}}{{n}}{{i}}{{/list}}", { list = { { n = "a", i = 1 }, { n = "b", i = 2 }, { n = "c", i = 3 } } })
    shows("ax bx ", "{{#list}}{{n}}{{o}} {{/list}}", { o = "x", list = { { n = "a" }, { n = "b" } } })
    shows("a:1,2,;b:3,;", "{{#l}}{{n}}:{{#m}}{{.}},{{/m}};{{/l}}", { l = { { n = "a", m = { 1, 2 } }, { n = "b", m = { 3 } } } })
  end)

  it("name the entry itself with a dot", function()
    shows("(a)(b)", "{{#l}}({{.}}){{/l}}", { l = { "a", "b" } })
    shows("(1)(2.5)", "{{#l}}({{.}}){{/l}}", { l = { 1, 2.5 } })
    shows("(&lt;)(<)(<)", "{{#l}}({{.}})({{{.}}})({{&.}}){{/l}}", { l = { "<" } })
    shows("(12)(3)", "{{#l}}({{#.}}{{.}}{{/.}}){{/l}}", { l = { { 1, 2 }, { 3 } } })
    shows("Ann Bob ", "{{#.}}{{name}} {{/.}}", { { name = "Ann" }, { name = "Bob" } })
    shows("Call 123", "{{#phone}}Call {{.}}{{/phone}}", { phone = "123" })
  end)

  it("may follow and hold each other under the same name", function()
    shows("1 2", "{{#a}}1{{/a}} {{#a}}2{{/a}}", { a = true })
    shows("1 2 3", "{{#a}}1 {{#a}}2{{/a}} 3{{/a}}", { a = true })
    shows("1  3", "{{#a}}1 {{#b}}2{{/b}} 3{{/a}}", { a = true })
  end)

  it("leave the blanks around and inside of them alone", function()
    shows(" | \t| ", " | {{#a}}\t|{{/a}} ", { a = true })
    shows(" |  \n | ", " | {{#a}} {{! no }}\n {{/a}}| ", { a = true })
    shows(" YES\n GOOD\n", " {{#a}}YES{{/a}}\n {{#a}}GOOD{{/a}}\n", { a = true })
  end)

  it("may have padded tags", function() shows("x", "{{# a }}x{{/ a }}", { a = true }) end)
end)

describe("inverted sections", function()
  it("show their text when there is nothing", function()
    for _, value in ipairs { false, null, "", {} } do shows("[x]", "[{{^a}}x{{/a}}]", { a = value }) end
    shows("[x]", "[{{^a}}x{{/a}}]", {})
    for _, value in ipairs { true, "text", 0 } do shows("[]", "[{{^a}}x{{/a}}]", { a = value }) end
    shows("[]", "[{{^a}}x{{/a}}]", { a = { 1 } })
    shows("[]", "[{{^a}}x{{/a}}]", { a = { b = 1 } })
  end)

  it("nest, repeat, and may be padded", function()
    shows("1 2 3", "{{^a}}1 {{^b}}2{{/b}} 3{{/a}}", {})
    shows("1 2", "{{^a}}1{{/a}} {{^ a }}2{{/ a }}", { b = 1 })
    shows("1  3", "{{^a}}1 {{^b}}2{{/b}} 3{{/a}}", { b = true })
  end)

  it("see the context that they stand in", function() shows("none for Ann", "{{^orders}}none for {{name}}{{/orders}}", { name = "Ann", orders = {} }) end)
end)

describe("comments", function()
  it("vanish, also over several lines, and whatever they name", function()
    shows("ab", "a{{! nothing }}b", {})
    shows("ab", "a{{!\n two\n lines }}b", {})
    shows("ab", "a{{!x}}b", { ["!x"] = "no", x = "no" })
    shows("a  b", "a {{! c }} b", {})
  end)

  it("take their lines with them when they stand alone", function()
    shows_with_any_line_end("a\nb\n", "a\n{{! c }}\nb\n", {})
    shows_with_any_line_end("a\nb\n", "a\n  {{! c }}  \nb\n", {})
    shows_with_any_line_end("a\nb\n", "a\n  {{!\n  c\n  }}\nb\n", {})
    shows("  12 \n", "  12 {{! c }}\n", {})
  end)
end)

describe("delimiters", function()
  it("are set by a pair of words between equal signs", function()
    shows("(v)", "{{=<% %>=}}(<%x%>)", { x = "v" })
    shows("(v)", "{{= | | =}}(|x|)", { x = "v" })
    shows("(v{{x}}v)", "{{=[ ]=}}([x]{{x}}[={{ }}=]{{x}})", { x = "v" })
    shows("v", "{{=@   @=}}@x@", { x = "v" })
  end)

  it("hold patterns of Lua without harm", function()
    for _, pair in ipairs { { "%(", ")%" }, { "[[", "]]" }, { "^", "$" }, { "*", "+" }, { "%s", "." }, { "<-", "->" } } do
      shows("1 v 2", ("{{=%s %s=}}1 %sx%s 2"):format(pair[1], pair[2], pair[1], pair[2]), { x = "v" })
    end
  end)

  it("hold inside of sections and behind them", function()
    shows("av{{x}}", "{{#s}}{{=| |=}}a|x|{{x}}|/s|", { s = true, x = "v" })
    shows("[v][v]", "[{{#s}}{{x}}{{/s}}{{= | | =}}][|#s||x||/s|]", { s = true, x = "v" })
  end)

  it("allow text without escaping too", function()
    shows("<&lt;<", "{{=<% %>=}}<%{x}%><%x%><%&x%>", { x = "<" })
  end)

  it("are their own in each partial", function()
    shows("[v|x|][v]", "[{{>p}}]{{=| |=}}[|x|]", { x = "v" }, { p = "{{x}}|x|" })
    shows("[v][v|x|]", "[{{>p}}][{{x}}|x|]", { x = "v" }, { p = "{{=| |=}}|x|" })
  end)

  it("take their line with them when they stand alone", function()
    shows_with_any_line_end("a\nb\n", "a\n{{=@ @=}}\nb\n", {})
    shows_with_any_line_end("a\nb\n", "a\n  {{=@ @=}}\nb\n", {})
    shows("|  |", "| {{=@ @=}} |", {})
  end)
end)

describe("lines with one tag alone", function()
  it("vanish, with the blanks around the tag", function()
    shows_with_any_line_end("| This\n|\n| A Line\n", "| This\n{{#a}}\n|\n{{/a}}\n| A Line\n", { a = true })
    shows_with_any_line_end("| This\n|\n| A Line\n", "| This\n  {{#a}}  \n|\n\t{{/a}}\n| A Line\n", { a = true })
    shows_with_any_line_end("| This\n|\n| A Line\n", "| This\n  {{^a}}\n|\n  {{/a}}\n| A Line\n", {})
  end)

  it("need no line before or behind them", function()
    shows("#\n/", "  {{#a}}\n#{{/a}}\n/", { a = true })
    shows("#/\n", "#{{#a}}/\n  {{/a}}", { a = true })
    shows("x", "x{{#a}}\n{{/a}}", { a = false })
    shows("!\n", "  {{! c}}\n!\n", {})
    shows("!\n", "!\n  {{! c}}", {})
  end)

  it("are not those with two tags or with text", function()
    shows(" \n", "{{#a}} {{/a}}\n", { a = true })
    shows("x\n", "{{! c }}x\n", {})
    shows("\n", "{{! c }}{{! d }}\n", {})
    shows("v\n", "{{x}}{{! d }}\n", { x = "v" })
  end)

  it("are not those with a value", function()
    shows("a\nv\nb", "a\n{{x}}\nb", { x = "v" })
    shows("a\n\nb", "a\n{{x}}\nb", {})
  end)
end)

describe("partials", function()
  it("stand where they are named, and see what is seen there", function()
    shows("[v]", "[{{>p}}]", { x = "v" }, { p = "{{x}}" })
    shows("[1][2]", "{{#l}}{{>p}}{{/l}}", { l = { { x = 1 }, { x = 2 } } }, { p = "[{{x}}]" })
    shows("a b c", "{{>o}}", {}, { o = "a {{>i}} c", i = "b" })
    shows("|v|", "|{{> p }}|", { x = "v" }, { p = "{{x}}" })
  end)

  it("are empty when there is none, if that is allowed", function() shows("[]", "[{{>p}}]", {}) end)

  it("may hold themselves, as trees do", function()
    shows("a(b(d())c())", "{{>node}}", { n = "a", kids = { { n = "b", kids = { { n = "d", kids = {} } } }, { n = "c", kids = {} } } },
      { node = "{{n}}({{#kids}}{{>node}}{{/kids}})" })
  end)

  it("leave blanks alone inside of a line", function()
    shows("| \t|\t |", "| {{>p}} |", {}, { p = "\t|\t" })
    shows("  v  >\n>\n", "  {{x}}  {{>p}}\n", { x = "v" }, { p = ">\n>" })
  end)

  it("give the blanks before a lone tag to each of their lines", function()
    shows_with_any_line_end("a\n >\n >b", "a\n {{>p}}\nb", {}, { p = ">\n>" })
    shows_with_any_line_end("  x\n  y\n", "  {{>p}}\n", {}, { p = "x\ny\n" })
    shows("  >\n  >", "  {{>p}}\n", {}, { p = ">\n>" })
    shows("  >\n  >", "  {{>p}}", {}, { p = ">\n>" })
  end)

  it("indent their tags too, but not the lines of values", function()
    shows(" |\n <\n->\n |\n", " {{>p}}\n", { x = "<\n->" }, { p = "|\n{{{x}}}\n|\n" })
    shows("  vv\n  v\n", "  {{>p}}\n", { x = "v" }, { p = "{{x}}{{x}}\n{{#x}}\n{{x}}\n{{/x}}\n" })
    shows("    i\n  o\n", "  {{>o}}\n", {}, { o = "  {{>i}}\no\n", i = "i\n" })
  end)

  it("leave empty lines empty", function() shows("  a\n\n  b\n", "  {{>p}}\n", {}, { p = "a\n\nb\n" }) end)
end)

describe("dynamic names", function()
  it("are values that name the partial", function()
    shows("[A][B]", "{{#l}}[{{>*kind}}]{{/l}}", { l = { { kind = "a" }, { kind = "b" } } }, { a = "A", b = "B" })
    shows("A", "{{> * k.n }}", { k = { n = "a" } }, { a = "A" })
    shows(" A\n B\n", " {{>*k}}\n", { k = "p" }, { p = "A\nB\n" })
    shows("x", "{{<*k}}{{$b}}x{{/b}}{{/*k}}", { k = "p" }, { p = "{{$b}}y{{/b}}" })
  end)

  it("are empty when the value or the partial is not there, if that is allowed", function()
    shows("[]", "[{{>*k}}]", {}, {})
    shows("[]", "[{{>*k}}]", { k = "none" }, {})
  end)

  it("are errors when they name no file", function()
    for _, name in ipairs { "../x", "a/b", "a.b", "", "a b", 5, {}, true } do
      local e = fails("x\n{{>*k}}", { k = name }, "html:2: ", { a = "" })
      assert.is_truthy(e.cause:find("names no partial", 1, true), e.cause)
    end
    fails("{{>*k}}", {}, "html:1: no value for {{k}}", {})
    fails("{{>*k}}", { k = "none" }, 'html:1: there is no partial "none"', { nine = "" })
  end)
end)

describe("parents and blocks", function()
  it("show a block's own text when nothing replaces it", function()
    shows("[default v]", "[{{$b}}default {{x}}{{/b}}]", { x = "v" })
    shows("default", "{{<p}}{{/p}}", {}, { p = "{{$b}}default{{/b}}" })
    shows("[d]", "{{>p}}", {}, { p = "[{{$b}}d{{/b}}]" })
  end)

  it("replace blocks, each by its name", function()
    shows("<1,d2>", "{{<p}}{{$a}}1{{/a}}{{/p}}", {}, { p = "<{{$a}}d1{{/a}},{{$b}}d2{{/b}}>" })
    shows("<1><2>", "{{<p}}{{$a}}1{{/a}}{{/p}}{{<p}}{{$a}}2{{/a}}{{/p}}", {}, { p = "<{{$a}}d{{/a}}>" })
    shows("1+1", "{{<p}}{{$a}}1{{/a}}{{/p}}", {}, { p = "{{$a}}x{{/a}}+{{$a}}y{{/a}}" })
  end)

  it("never take a block's text from the values", function()
    shows("t", "{{<p}}{{$a}}t{{/a}}{{/p}}", { a = "no" }, { p = "{{$a}}d{{/a}}" })
    shows("d", "{{<p}}{{/p}}", { a = "no" }, { p = "{{$a}}d{{/a}}" })
  end)

  it("ignore text between the blocks of a parent", function()
    shows("x", "{{<p}} so {{! what }} {{$a}}x{{/a}} ever {{/p}}", {}, { p = "{{$a}}d{{/a}}" })
  end)

  it("fill a block in where the parent has it", function()
    shows("inner", "{{<p}}{{$a}}{{x}}{{/a}}{{/p}}", { x = "outer", o = { x = "inner" } }, { p = "{{#o}}{{$a}}d{{/a}}{{/o}}" })
    shows("1,2,", "{{<p}}{{$a}}{{.}},{{/a}}{{/p}}", { l = { 1, 2 } }, { p = "{{#l}}{{$a}}d{{/a}}{{/l}}" })
  end)

  it("let the outermost replacement win, over parents of parents", function()
    local partials = { p = "{{<g}}{{$a}}p{{/a}}{{$b}}pb{{/b}}{{/g}}", g = "{{$a}}g{{/a}}{{$b}}gb{{/b}}{{$c}}gc{{/c}}" }
    shows("tpbgc", "{{<p}}{{$a}}t{{/a}}{{/p}}", {}, partials)
    shows("ppbgc", "{{<p}}{{/p}}", {}, partials)
    shows("ppbt", "{{<p}}{{$c}}t{{/c}}{{/p}}", {}, partials)
  end)

  it("reach blocks in partials of the parent, and in their own text", function()
    shows("[x]", "{{<p}}{{$a}}x{{/a}}{{/p}}", {}, { p = "{{>q}}", q = "[{{$a}}d{{/a}}]" })
    shows("(n)", "{{<p}}{{$a}}({{$b}}bd{{/b}}){{/a}}{{$b}}n{{/b}}{{/p}}", {}, { p = "{{$a}}d{{/a}}" })
  end)

  it("end when a block holds itself", function()
    shows("<d>", "{{<p}}{{$a}}<{{$a}}d{{/a}}>{{/a}}{{/p}}", {}, { p = "{{$a}}x{{/a}}" })
    shows("<(d)>", "{{<p}}{{$a}}<{{$b}}no{{/b}}>{{/a}}{{$b}}({{$a}}d{{/a}}){{/b}}{{/p}}", {}, { p = "{{$a}}x{{/a}}" })
  end)

  it("take a parent that is alone on its lines out of them, and indent what it gives", function()
    shows("a\n  1\n  2\nb\n", "a\n  {{<p}}{{/p}}\nb\n", {}, { p = "1\n2\n" })
    shows("a\n  1\n  x\nb\n", "a\n  {{<p}}\n    {{$b}}x{{/b}}\n  {{/p}}\nb\n", {}, { p = "1\n{{$b}}d{{/b}}\n" })
    shows("a 1 b\n", "a {{<p}}{{/p}} b\n", {}, { p = "1" })
  end)

  it("give the lines of a block the indentation of its place instead of their own", function()
    shows("<ul>\n  one\n    two\n</ul>\n", "{{<p}}{{$b}}\n      one\n        two\n      {{/b}}{{/p}}", {}, { p = "<ul>\n  {{$b}}\n  {{/b}}\n</ul>\n" })
    shows("<ul>\n    one\n</ul>\n", "{{<p}}{{$b}}\none\n{{/b}}{{/p}}", {}, { p = "<ul>\n{{$b}}\n    default\n{{/b}}\n</ul>\n" })
    shows("<ul>\n  one\n  two\n</ul>\n", "{{<p}}{{$b}}one\ntwo{{/b}}{{/p}}", {}, { p = "<ul>\n  {{$b}}d{{/b}}\n</ul>\n" })
    shows("[one\ntwo]", "{{<p}}{{$b}}one\ntwo{{/b}}{{/p}}", {}, { p = "[{{$b}}d{{/b}}]" })
    shows("  [one\n  two]", "  {{>q}}", {}, { q = "{{<p}}{{$b}}one\ntwo{{/b}}{{/p}}", p = "[{{$b}}d{{/b}}]" })
  end)

  it("keep the lines of a default as they are", function()
    shows("a\n    d\nb\n", "a\n  {{$b}}\n    d\n  {{/b}}\nb\n", {})
  end)
end)

describe("functions among the values", function()
  it("give a text, asked for each time", function()
    local n = 0
    local function count()
      n = n + 1
      return n
    end
    shows("1 2 3", "{{c}} {{{c}}} {{&c}}", { c = count })
    shows("Ann &lt;b&gt;|Ann <b>", "{{f}}|{{{f}}}", { f = function() return "Ann <b>" end })
  end)

  it("give a template of the present values, in the usual delimiters, escaped once", function()
    shows("Hi Ann", "{{f}}", { f = function() return "Hi {{name}}" end, name = "Ann" })
    shows("&lt;|&lt;|<", "{{f}}|{{{f}}}|{{{g}}}", { f = function() return "{{x}}" end, g = function() return "{{{x}}}" end, x = "<" })
    shows("|x| v", "{{=| |=}}|f|", { f = function() return "|x| {{x}}" end, x = "v" })
    shows("1;2;", "{{#l}}{{f}}{{/l}}", { l = { { x = 1 }, { x = 2 } }, f = function() return "{{x}};" end })
  end)

  it("get a section's text as it stands, and give the template to show", function()
    local got
    shows("<b>Ann</b>", "{{#bold}}{{name}}{{/bold}}", { name = "Ann", bold = function(text)
      got = text
      return "<b>" .. text .. "</b>"
    end })
    assert.equal("{{name}}", got)
    shows("yes", "{{#f}}{{x}}{{/f}}", { x = "no", f = function(text) return text == "{{x}}" and "yes" end })
    shows("v{{x}}", "{{=| |=}}|#f|-|/f|", { x = "v", f = function() return "|x|{{x}}" end })
    shows("[a][b]", "{{#f}}a{{/f}}{{#f}}b{{/f}}", { f = function(text) return "[" .. text .. "]" end })
    shows("", "{{#f}}a{{/f}}{{#g}}a{{/g}}", { f = function() return nil end, g = function() return false end })
  end)

  it("give text that is indented where the partial around it is", function()
    local function same(text) return text end
    shows("  a b\n  c d\n", "  {{>p}}\n", { f = same }, { p = "a {{#f}}b\nc{{/f}} d\n" })
    shows("  b\n  c\n", "  {{>p}}\n", { f = same }, { p = "{{#f}}\nb\nc\n{{/f}}\n" })
    shows("  b\nc\n", "  {{>p}}\n", { f = function() return "b\nc" end }, { p = "{{f}}\n" })
  end)

  it("count as there", function() shows("", "{{^f}}no{{/f}}", { f = function() return false end }) end)

  it("may wait, in tasks too", function()
    local m = load("{{f}}{{#g}}b{{/g}}", nil)
    local function pausing(text)
      require "directmail.host".sleep(0)
      return text or "a"
    end
    local data = { f = function() return pausing() end, g = pausing }
    assert.equal("ab", m(data).html)
    local ok, out = directmail.wait(directmail.spawn(function() return m(data).html end))
    assert.same({ true, "ab" }, { ok, out })
  end)

  it("fail with the place and their name", function()
    fails("\n{{f}}", { f = function() return nil end }, "html:2: no value for {{f}}")
    fails("\n{{f}}", { f = function() return {} end }, "html:2: the value of {{f}} is a table")
    fails("\n{{f}}", { f = function() return "a\n{{x}}" end }, 'html:2: the text of the function "f":2: no value for {{x}}')
    fails("\n{{#f}}x{{/f}}", { f = function() return "{{#a}}" end }, 'html:2: the text of the function "f":1: {{#a}} is never closed')
    fails("\n{{#f}}x{{/f}}", { f = function() return {} end }, "html:2: the function of {{#f}} gave a table")
    fails("{{f}}", { f = function() return "{{f}}" end }, "deeper than 16 levels")
    fails("{{#f}}{{/f}}", { f = function() return "{{#f}}{{/f}}" end }, "deeper than 16 levels")
    assert.error_matches(function() load("{{f}}") { f = function() error("mine", 0) end } end, "^mine$")
  end)
end)

describe("a value that is missing", function()
  it("is an error with name, file, line, and what there is", function()
    local e = fails("one\ntwo {{plan.name}}", { plan = { id = 1, ["until"] = 2 } }, "html:2: no value for {{plan.name}} (has: plan.id, plan.until)")
    assert.equal("plan.name", e.detail)
    assert.is_truthy(e.remedy:find("{{#plan.name}}…{{/plan.name}}", 1, true))
    fails("{{nmae}}", { name = "Ann", age = 5 }, "html:1: no value for {{nmae}} (did you mean name? it has: age, name)")
    fails("{{x}}", {}, "no value for {{x}} (has: nothing)")
    fails("{{{x}}}", {}, "no value for {{x}}")
    fails("{{x}}", { x = null }, "no value for {{x}}: it is null")
    fails("{{#list}}{{titel}}{{/list}}", { list = { { title = 1 } }, zip = 2 }, "no value for {{titel}} (did you mean title? it has: list, title, zip)")
    fails("{{y}}", { x = 1 }, "no value for {{y}} (has: x)")
    local many = {}
    for i = 1, 20 do many[("name%02d"):format(i)] = i end
    fails("{{zebra}}", many, "(has: name01, name02, name03, name04, name05, name06, name07, name08, ...)")
  end)

  it("is named with the partial that asks for it", function()
    fails("{{>p}}", {}, "p:2: no value for {{x}}", { p = "a\n{{x}}" })
    fails("\n\n{{<p}}{{$b}}\n{{x}}{{/b}}{{/p}}", {}, "html:4: no value for {{x}}", { p = "{{$b}}{{/b}}" })
  end)

  it("counts lines behind every kind of tag", function()
    local all = "{{! two\nlines }}\n{{#a}}\n{{/a}}\n{{^a}}x{{/a}}\r\n{{=<% %>=}}\n<%={{ }}=%>\n{{>p}}\n{{<p}}\n{{$b}}\n{{/b}}\n{{/p}}\n{{! c}}{{x}}"
    local _, before = all:gsub("\n", "")
    fails(all, { a = true }, ("html:%d: no value for {{x}}"):format(before + 1), { p = "\n\n" })
  end)

  it("is no error as a section", function()
    local out = assert(load("[{{#a}}{{x}}{{/a}}{{^b}}none{{/b}}]") {})
    assert.equal("[none]", out.html)
  end)

  it("is none when it is the empty text, and a table has no text", function()
    assert.equal("[]", load("[{{x}}]") { x = "" }.html)
    fails("{{x}}", { x = { 1 } }, "html:1: the value of {{x}} is a table, which has no text")
    fails("{{.}}", { x = 1 }, "the value of {{.}} is a table")
    fails("{{x}}", { x = io.stdout }, "the value of {{x}} is a userdata")
    local lax = load("{{x}}", nil, "empty")
    local made, e = lax { x = {} }
    assert.is_nil(made)
    assert.equal("CONTENT", e.code)
  end)
end)

describe("a wrong template", function()
  it("is an error with file and line, when it is loaded", function()
    for source, cause in pairs {
      ["a\n{{name"] = "html:2: the tag {{name is never closed",
      ["a\n{{{name}}"] = "html:2: the tag {{{name}} is never closed",
      ["{{=<% %>}}"] = "html:1: the tag {{=<% %>}} is never closed",
      ["{{=<%=}}"] = "sets no delimiters",
      ["{{=a b c=}}"] = "sets no delimiters",
      ["{{==}}"] = "sets no delimiters",
      ["\n\n{{}}"] = "html:3: the tag {{}} has no name",
      ["{{ }}"] = "has no name", ["{{#}}x{{/}}"] = "has no name", ["{{>}}"] = "names no partial", ["{{>*}}"] = "has no name",
      ["{{a..b}}"] = "has a dot too many", ["{{.a}}"] = "has a dot too many", ["{{a.}}"] = "has a dot too many", ["{{..}}"] = "has a dot too many",
      ["\n{{#a}}\nx"] = "html:2: {{#a}} is never closed",
      ["{{^a}}"] = "{{^a}} is never closed", ["{{$a}}"] = "{{$a}} is never closed", ["{{<a}}"] = "{{<a}} is never closed",
      ["x{{/a}}"] = "html:1: {{/a}} closes nothing",
      ["{{#a}}\n{{#b}}\n{{/a}}"] = "html:3: {{/a}} stands where {{#b}} of line 2 is open",
      ["{{name <b>bold</b> }}"] = "is no tag", ["{{a {{b}}"] = "is no tag", ["{{a\nb}}"] = "is no tag", ["{{a | upper}}"] = "is no tag",
      ["{{upper(a)}}"] = "is no tag", ['{{a "b"}}'] = "is no tag",
      ["{{#if paid}}x{{/if}}"] = "{{#if paid}} is Handlebars", ["{{#each rows}}x{{/each}}"] = "is Handlebars", ["{{^with a}}{{/with a}}"] = "is Handlebars",
      ["{{>a/b}}"] = "names no partial", ["{{>../x}}"] = "names no partial", ["{{>a.html}}"] = "names no partial", ["{{<a b}}{{/a b}}"] = "names no partial",
      ["\n{{>nobody}}"] = 'html:2: there is no partial "nobody" (did you mean body?)',
      ["{{#never}}{{>none}}{{/never}}"] = 'there is no partial "none"',
      ["{{<none}}{{/none}}"] = 'there is no partial "none"',
      ["{{>bad}}"] = "bad:2: {{#a}} is never closed",
      ["{{<body}}{{x}}{{/body}}"] = "where only blocks count", ["{{<body}}{{#x}}{{/x}}{{/body}}"] = "where only blocks count",
      ["{{<body}}{{$a}}{{/a}}{{$a}}{{/a}}{{/body}}"] = "{{$a}} stands twice",
    } do
      local made, e = directmail.template { html = source, text = "", partials = { body = "", bad = "\n{{#a}}" } }
      assert.is_nil(made, source)
      assert.is_true(err.is(e), source)
      assert.same({ "CONTENT", "not_sent", false }, { e.code, e.outcome, e.retry })
      assert.is_truthy(e.cause:find(cause, 1, true), ("%s: %s"):format(source, e.cause))
      assert.is_true(#e.remedy > 3)
    end
  end)

  it("does not fill a terminal with its tag", function()
    local e = fails("{{" .. ("x<"):rep(10000) .. "}}", {}, "is no tag")
    assert.is_true(#e.cause < 200)
    e = fails("{{" .. ("x"):rep(10000) .. "}}", {}, "is no tag")
    assert.is_true(#e.cause < 200)
    e = fails("{{x}}", { [("y"):rep(10000)] = 1 }, "(has: yyy")
    assert.is_true(#e.cause < 200)
    e = fails("{{" .. ("x\27"):rep(10), {}, "never closed")
    assert.is_nil(e.cause:find "\27")
  end)
end)

describe("limits", function()
  it("hold for sections in sections", function()
    local deep = limits.template_nesting
    local function nested(n) return ("{{#a}}"):rep(n) .. "x" .. ("{{/a}}"):rep(n) end
    assert.equal("x", load(nested(deep)) { a = true }.html)
    fails(nested(deep + 1), { a = true }, ("deeper than %d levels"):format(deep))
    fails(("{{#a}}"):rep(100000), {}, "deeper than")
  end)

  it("hold for partials in partials", function()
    local partials = {}
    for i = 1, 40 do partials["p" .. i] = ("{{>p%d}}"):format(i + 1) end
    partials.p41 = "x"
    assert.equal("x", load("{{>p26}}", partials) {}.html)
    fails("{{>p25}}", {}, "deeper than 16 levels", partials)
    fails("{{>p}}", {}, "p:1: {{>p}}: partials nest deeper than 16 levels", { p = "x{{>p}}" })
    fails("{{<p}}{{/p}}", {}, "deeper than 16 levels", { p = "{{<q}}{{/q}}", q = "{{<p}}{{/p}}" })
    fails("{{<p}}{{$a}}{{>p}}{{/a}}{{/p}}", {}, "deeper than 16 levels", { p = "{{<p}}{{/p}}" })
  end)

  local function too_much(source, partials, data)
    local made, e = load(source, partials)(data or {})
    assert.is_nil(made)
    assert.equal("SIZE", e.code, tostring(e))
    assert.is_true(#e.remedy > 3)
    return e
  end

  it("end what multiplies itself, whether it writes or not", function()
    local partials = {}
    for i = 1, 12 do partials["p" .. i] = ("{{>p%d}}"):format(i + 1):rep(10) end
    partials.p13 = ("x"):rep(1000)
    assert.is_truthy(too_much("{{>p1}}", partials).cause:find("octets", 1, true))
    partials.p13 = ""
    assert.is_truthy(too_much("{{>p1}}", partials).cause:find("steps", 1, true))
    local list = {}
    for i = 1, 300 do list[i] = 1 end
    too_much("{{#l}}{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}{{/l}}", nil, { l = list })
  end)

  it("end what indents too much", function()
    too_much((" "):rep(100000) .. "{{>p}}\n", { p = ("x\n"):rep(10000) })
  end)

  it("end blocks in blocks before Lua's stack does", function()
    local blocks = {}
    for i = 1, 3000 do blocks[i] = ("{{$b%d}}<{{$b%d}}d{{/b%d}}>{{/b%d}}"):format(i, i + 1, i + 1, i) end
    too_much("{{<p}}" .. table.concat(blocks) .. "{{/p}}", { p = "{{$b1}}{{/b1}}" })
    local inside = ("{{#a}}"):rep(90) .. "{{>p}}" .. ("{{/a}}"):rep(90)
    too_much(inside, { p = inside }, { a = true })
  end)

  it("leave a long line of many tags quick", function()
    local n, blanks = 100000, (" "):rep(500000)
    fails("{{x" .. blanks .. "y}}", {}, "is no tag")
    fails("{{x" .. blanks, {}, "never closed")
    fails("{{=x" .. blanks .. "y z=}}", {}, "sets no delimiters")
    fails("{{! x }}" .. blanks .. "{{" .. blanks .. "x}}" .. blanks .. "{{x}}", {}, "no value for {{x}}")
    assert.equal(2 * n, #load((" "):rep(n) .. ("{{x}}"):rep(n)) { x = "v" }.html)
    assert.equal(n, #load((" "):rep(n) .. ("{{!x}}"):rep(n)) {}.html)
  end)

  it("chain as many partials as there are, without Lua's stack", function()
    local partials = {}
    for i = 1, 5000 do partials["p" .. i] = ("{{#never}}{{>p%d}}{{/never}}x"):format(i + 1) end
    partials.p5001 = "x"
    assert.equal("x", load("{{>p1}}", partials) {}.html)
  end)
end)

describe("whatever one writes", function()
  local PIECES = { "{{", "}}", "{{{", "}}}", "{{#a}}", "{{/a}}", "{{^a}}", "{{#b}}", "{{/b}}", "{{>p}}", "{{> q}}", "{{>*k}}", "{{<p}}", "{{/p}}", "{{$c}}",
    "{{/c}}", "{{! x }}", "{{!", "{{=<% %>=}}", "<%={{ }}=%>", "{{x}}", "{{&x}}", "{{{x}}}", "{{.}}", "{{a.b}}", "{{f}}", "{{#f}}", "{{/f}}", "\n", "\r\n",
    "  ", "\t", "text", "%", "\0", "\255", "é", "=", "<", "a", ".", "{", "}", "---\n", "|" }
  local seed = 20261125
  local function random(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end

  local function text(pieces)
    local out = {}
    for i = 1, random(pieces) do out[i] = PIECES[random(#PIECES)] end
    return table.concat(out)
  end

  local function try(source, partials, missing)
    local made, e = directmail.template { html = source, text = source, subject = not source:find "\n" and source or nil, partials = partials, missing = missing }
    if made then
      made, e = made { a = { { b = 1 }, { b = 2 } }, b = true, x = "<&>", k = "p", f = function(given) return given and given .. "{{x}}" or "{{x}}" end }
    end
    if not made then assert.is_true(err.is(e), source) end
    return made
  end

  it("rule 7.10: is rendered, or an error of ours", function()
    local worked = 0
    for i = 1, 3000 do
      if try(text(12), { p = text(6), q = text(6) }, i % 2 == 0 and "empty" or "error") then worked = worked + 1 end
    end
    assert.is_true(worked > 100, worked .. " worked")
  end)

  it("and each beginning of a good one too", function()
    local good = "{{! c }}\n{{#a}}\n  {{b}} {{{x}}} {{&x}}\n{{/a}}\n{{^z}}z{{/z}}\n  {{>p}}\n{{=<% %>=}}\n<%x%>\n<%={{ }}=%>\n"
      .. "  {{<p}}\n{{$c}}\n    one\n    {{x}}\n{{/c}}\n{{/p}}\n{{#f}}{{x}}{{/f}} {{>*k}} {{a.b}}"
    for n = 0, #good do try(good:sub(1, n), { p = "p\n  {{$c}}\n d\n  {{/c}}\n" }, "empty") end
    assert.is_truthy(try(good, { p = "p\n  {{$c}}\n d\n  {{/c}}\n" }, "empty"))
  end)
end)
