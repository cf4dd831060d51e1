-- Placeholders that nobody replaced: where they count, and where braces are code.
local placeholders = require "directmail.placeholders"

local function found(fields)
  local out = {}
  for i, p in ipairs(placeholders.find(fields)) do out[i] = p.field .. (p.line and ":" .. p.line or "") .. " " .. p.what end
  return out
end

local function in_html(html) return found { html = html } end

describe("placeholders", function()
  it("are found in subject, text and HTML, with their lines", function()
    assert.same({ "subject {{name}}", "text:2 {{ a.b }}", "text:4 {{{raw}}}", "html:2 {{x}}", "html:3 {{&y}}" }, found {
      subject = "Hi {{name}}", text = "a\nb {{ a.b }}\r\n\n{{{raw}}}\n", html = "<p>\n{{x}}\n{{&amp;y}}</p>",
    })
    assert.same({}, found {})
    assert.same({}, found { subject = "10 % to 20 %", text = "{name} {{}} {{ }} {{#}} {{a\nb}} {{" .. ("x"):rep(200) .. "}} { { a } }", html = "<p>{x}" })
  end)

  it("count in texts and in links of HTML", function()
    assert.same({ "html:1 {{a}}" }, in_html "<a href='https://x.example/?u={{a}}'>x</a>")
    assert.same({ "html:2 {{a}}" }, in_html "\n<img src='https://x.example/{{a}}.png'>")
    assert.same({ "html:1 {{a}}" }, in_html "<form action={{a}}>")
    assert.same({ "html:1 {{a}}", "html:1 {{b}}" }, in_html "<a href='https://x.example/?u=%7B%7Ba%7D%7D'>x</a><a href='https://x.example/%7b%7bb%7d%7d'>x</a>")
    assert.same({}, in_html "<a href='https://x.example/?q=%7B%22a%22:%7B%22b%22:1%7D%7D'>x</a>")
    assert.same({ "html:1 {{a}}", "html:1 {{b}}" }, in_html "<title>{{a}}</title><textarea>{{b}}</textarea>")
    assert.same({ "html:1 {{a}}" }, in_html "<div style='display:none'>{{a}}</div>")
    assert.same({ "html:1 {{a}}" }, in_html "<table>{{a}}<tr><td>x")
  end)

  it("are code in styles, scripts, comments, templates and other attributes", function()
    for _, html in ipairs { "<style>@media x{a{{b}}}</style>", "<script>var a = {{b}}</script>", "<!-- {{a}} -->", "<!--[if mso]>{{a}}<![endif]-->",
      "<template><p>{{a}}</p><a href='{{b}}'></a></template>", [[<p data-x='{"a":{"b":{{c}}}}' title="{{d}}">x]], "<p style='{{a}}'>x", "<p {{a}}>x",
      "<style>a{{b}}", "<svg><style>{{a}}</style></svg>" } do
      assert.same({}, in_html(html), html)
    end
    assert.same({ "html:1 {{b}}" }, in_html "<template>{{a}}</template>{{b}}<style>{{c}}</style>")
  end)

  it("are found with an element around a part of them", function()
    assert.same({ "html:2 {{first_name}}" }, in_html "<p>\nHi {{first<span class=x>_name</span>}}, {{a<br>b}}</p>")
    assert.same({ "html:3 {{b}}" }, in_html "<p>x<b>\ny\n{<!-- c -->{b</b>}}</p>")
    assert.same({}, in_html "<p>{{a</p><p>b}}</p>")
    assert.same({}, in_html "<table><tr><td>{{a</td><td>b}}</td></table><div>{{a</div>b}}")
  end)

  it("in HTML that cannot be read are looked for in all of it", function()
    assert.same({ "html:2 {{a}}" }, in_html(("<div>"):rep(600) .. "\n<style>{{a}}</style>"))
  end)

  it("are told at most a hundred times", function()
    assert.equal(100, #found { subject = ("{{a}}"):rep(60), text = ("{{b}}\n"):rep(60), html = "{{c}}" })
    assert.equal(100, #found { html = ("<p>{{c}}"):rep(1000) })
    assert.equal(100, #found { html = ("{{c}}<i></i>"):rep(1000) })
  end)

  it("are seen in a message also when an editor has parted or encoded their braces", function()
    local directmail = require "directmail"
    for html, what in pairs { ["<p>Hi {<b>{name}</b>}</p>"] = "{{name}}", ["<a href='https://x.example/%7B%7Bid%7D%7D'>x</a>"] = "{{id}}" } do
      local none, e = directmail.message { from = "a@example.com", to = "b@example.com", subject = "x", html = html }
      assert.is_nil(none, html)
      assert.equal(("html still holds %s in line 1"):format(what), e.cause)
    end
  end)

  it("refuse the mail with field, line and remedy", function()
    assert.is_nil(placeholders.refusal { subject = "x", text = "y", html = "z" })
    local e = placeholders.refusal { html = "<p>\n{{a}}<p>{{b}}\n<p>{{c}}<p>{{d}}<p>{{e}}" }
    assert.equal("CONTENT", e.code)
    assert.equal("html", e.detail)
    assert.equal("not_sent", e.outcome)
    assert.equal("html still holds {{a}} in line 2, {{b}} in line 2, {{c}} in line 3, and 2 more", e.cause)
    assert.is_truthy(e.remedy:find("allow_placeholders = true", 1, true))
    e = placeholders.refusal { subject = "{{a}}", text = "{{b}}" }
    assert.equal("subject still holds {{a}}, {{b}} in line 1 of text", e.cause)
    assert.is_nil(placeholders.refusal { text = "{{a\27[31m}}" }.cause:find "%c")
  end)

  it("are searched in time that grows with the mail alone", function()
    local before = os.clock()
    for _, piece in ipairs { "{{", "{{ ", "{{a", "<i>{{", "<p>{{a}", "\n", "<a href='{{'>" } do
      placeholders.find { text = piece:rep(20000), html = piece:rep(20000) .. "{{x}}" }
    end
    assert.is_true(os.clock() - before < 10)
  end)
end)
