-- The text twin: what is left of HTML when only text can be read.
local twin = require "directmail.twin"

local function shows(html, text, options) assert.equal(text, (twin.text(html, options))) end

describe("the text twin", function()
  it("has paragraphs, breaks and headings", function()
    shows("<p>One\n  two</p><p>three<br>four</p>", "One two\n\nthree\nfour\n")
    shows("<h1>Größe</h1>text<h2>Next</h2><h3>Third</h3><p>x", "Größe\n=====\n\ntext\n\nNext\n----\n\nThird\n\nx\n")
    shows("<h1>您好</h1>", "您好\n====\n")
    shows("<div>a<div>b</div>c</div><section>d</section>", "a\nb\nc\nd\n")
    shows("a<hr>b", "a\n\n" .. ("-"):rep(40) .. "\n\nb\n")
    shows("a &amp; b &lt;c&gt; &eacute;&nbsp;&#8364; <q>q</q>", 'a & b <c> é € "q"\n')
    shows("<p>&nbsp;</p><p>  </p><p>x</p><p></p>", "x\n")
    shows("", "")
    shows("<p> <br> </p>", "")
  end)

  it("wraps at 78 columns and splits no address", function()
    local text = twin.text("<p>" .. ("word "):rep(100) .. "</p>")
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 78) end
    assert.equal(100, select(2, text:gsub("word", "")))
    assert.is_truthy(text:find(("word "):rep(15) .. "word\n", 1, true) or text:find(("word "):rep(14) .. "word\n", 1, true))
    local url = "https://example.com/" .. ("long/"):rep(30)
    shows("<p>Look <a href='" .. url .. "'>here</a> now", "Look here\n<" .. url .. ">\nnow\n")
    shows("<p>" .. ("w"):rep(100), ("w"):rep(100) .. "\n")
    shows("aaaaaaaaa bbbbbbbbb ccc", "aaaaaaaaa bbbbbbbbb\nccc\n", { width = 20 })
    shows("aaaaaaaaaa&nbsp;bbbbbbbbb ccc", "aaaaaaaaaa bbbbbbbbb\nccc\n", { width = 20 })
    shows("aaaaaaaaa xxx&nbsp;bbbbbbbbb", "aaaaaaaaa\nxxx bbbbbbbbb\n", { width = 20 })
  end)

  it("wraps Chinese and Japanese between characters, never in front of a full stop", function()
    shows(("中"):rep(50), ("中"):rep(39) .. "\n" .. ("中"):rep(11) .. "\n")
    shows(("中"):rep(10) .. "。好", ("中"):rep(9) .. "\n中。好\n", { width = 20 })
    shows(("中"):rep(9) .. "「好」", ("中"):rep(9) .. "\n「好」\n", { width = 20 })
    shows("订单 " .. ("号"):rep(6) .. " 1204 abc", "订单 " .. ("号"):rep(6) .. "\n1204 abc\n", { width = 20 })
    shows("한국어 텍스트 한국어 텍스트", "한국어 텍스트 한국어\n텍스트\n", { width = 20 })
    shows("e\204\129" .. ("x"):rep(18) .. " y", "e\204\129" .. ("x"):rep(18) .. "\ny\n", { width = 20 })       -- a mark takes no column
  end)

  it("has lists with bullets and numbers, inside each other", function()
    shows("<p>x<ul><li>one<li>two<ul><li>inner</ul><li><p>par</p></ul>y", "x\n\n- one\n- two\n  - inner\n- par\n\ny\n")
    shows("<ol start=9><li>a<li>b<li value=20>c</ol>", "9. a\n10. b\n20. c\n")
    shows("<ul><li>" .. ("word "):rep(8) .. "</ul>", "- word word word word\n  word word word word\n", { width = 22 })
    shows("<ul><li></li><li>a</ul>", "- a\n")
    shows("<li>alone", "- alone\n")
    shows("<dl><dt>term<dd>what it is</dl>", "term\n  what it is\n")
    shows("<ol start=nan><li>a<li value=1000000000000000000000000>b</ol>", "1. a\n99999. b\n")
  end)

  it("names addresses once, behind their text", function()
    shows('<a href="https://example.com/a?b=1&amp;c=2">Shop</a>.', "Shop <https://example.com/a?b=1&c=2>.\n")
    shows('see <a href="https://www.example.com/">example.com</a>, or', "see https://www.example.com/, or\n")
    shows('<a href="mailto:Ann@example.com?subject=x">ann@example.com</a>', "Ann@example.com\n")
    shows('<a href="mailto:ann@example.com">Ann</a>', "Ann <ann@example.com>\n")
    shows('call <a href="tel:+49123456">+49 (123) 456</a> or <a href="tel:110">us</a>', "call +49 (123) 456 or us <110>\n")
    shows('<a href="#top">Top</a> <a name=x>A</a> <a href="javascript:x()">B</a> <a href="data:,x">C</a> <a href="page.html">D</a>', "Top A B C D\n")
    shows('a<a href="https://x.example/"> b </a>c', "a b <https://x.example/> c\n")
    shows('<a href="https://x.example/"><img alt="Our shop"></a>', "Our shop <https://x.example/>\n")
    shows('<a href="https://x.example/"><img></a>', "<https://x.example/>\n")
    shows('<a href="https://x.example/"><p>block</p></a>y', "block\n\n<https://x.example/>\ny\n")
    shows('<a href="{UnsubscribeUrl}">leave</a>', "leave <{UnsubscribeUrl}>\n")
    shows('<a href=" https://x.example/\n a ">b</a>', "b <https://x.example/a>\n")
  end)

  it("gathers addresses at the end, or leaves them out", function()
    local html = '<a href="https://x.example/">a</a>, <a href="https://y.example/">b</a>, <a href="https://x.example/">c</a>'
    shows(html, "a [1], b [2], c [1]\n\n[1] https://x.example/\n[2] https://y.example/\n", { links = "notes" })
    shows(html, "a, b, c\n", { links = "none" })
  end)

  it("has tables row by row", function()
    shows("<table><tr><th>Item<th>Price<tr><td>Ticket<td>10.00&nbsp;€<tr><td>報告<td>8</table>",
      "Item    Price\n-------------\nTicket  10.00 €\n報告    8\n")
    shows("<table><tr><td>a<td>b<td>c<tr><td colspan=2>sum<td>d</table>", "a  b  c\nsum   d\n")
    shows("x<table><caption>Cap</caption><tr><td>a</table>y", "x\nCap\na\ny\n")
    shows("<table><tr><td><p>One</p><p>two</p><td>side<tr><td>last</table>", "One\n\ntwo\n\nside\nlast\n")
    shows("<table><tr><td><table><tr><td>in</table><td><img src=x></table>", "in\n")
    local long = ("word "):rep(12):sub(1, -2)
    shows("<table><tr><td>" .. long .. "<td>" .. long .. "</table>", long .. "\n" .. long .. "\n")
    shows("<table><tr><td>a<td>b</tr><tr><td>" .. long .. "<td>" .. long .. "</table>", "a | b\n" .. long .. "\n" .. long .. "\n")
  end)

  it("keeps preformatted text and marks quotations", function()
    shows("<pre>\n  a   b\n\n    c &lt;\n</pre>x", "  a   b\n\n    c <\n\nx\n")
    shows("<pre>" .. ("x "):rep(60) .. "</pre>", ("x "):rep(59) .. "x\n")
    shows("<blockquote><p>a</p><p>b</p><blockquote>c</blockquote></blockquote>d", "> a\n>\n> b\n>\n> > c\n\nd\n")
  end)

  it("shows the alternative text of pictures", function()
    shows('<img src=a alt="Our\nlogo"> <img src=b> <img alt=""> x', "Our logo x\n")
  end)

  it("leaves out what nobody sees", function()
    shows([[<head><title>T</title><style>p{}</style></head><script>x</script><template>t</template><!-- c --><svg><text>s</text></svg>
      <textarea>t</textarea><select><option>o</select>seen]], "seen\n")
    for _, style in ipairs { "display:none", "color:red; DISPLAY : None !important", "visibility:hidden", "max-height:0px;overflow:hidden", "opacity:0", "opacity:0.0;",
      "/*x*/display:/*y*/none", "max-height:0" } do
      shows('<div style="' .. style .. '">preheader<p>more</p></div>seen', "seen\n")
    end
    for _, style in ipairs { "display:block", "opacity:0.5", "max-height:0.5em", "max-height:100px", "font-size:0", "mso-hide:all", "line-height:0", "x:display:none" } do
      shows('<span style="' .. style .. '">seen</span>', "seen\n")
    end
    shows("<p hidden>x</p>seen<table><tr style='display:none'><td>x<tr><td>row</table>", "seen\nrow\n")
  end)

  it("knows what a style sheet hides on every screen", function()
    local sheet = [[<style>/* .c{display:none} */ .pre, #top, p.only , a:hover { color:red; display:none !important } @media (max-width:9px) { .c { display:none } .d{} }
      @import "x"; div .deep {display:none} .e{display:none</style>]]
    shows(sheet .. "<p class='x pre'>1</p><p id=top>2</p><p class=only>3</p><div class=only>4</div><p class=c>5</p><div><i class=deep>6</i></div><a href=x>7</a>",
      "4\n\n5\n\n6\n7\n")
    shows("<style media=print>.pre{display:none}</style><i class=pre>x</i>", "x\n")
  end)

  it("drops marks that only fill up a preview", function()
    shows("Preview&zwnj;&nbsp;&zwnj;&nbsp;&#8203;&#847;&shy;&zwnj;<p>x", "Preview\n\nx\n")
    shows("co&shy;op &#65279;x&#8288;y", "coop xy\n")
    shows("می&zwnj;خواهم", "می\226\128\140خواهم\n")
  end)

  it("lets no control character through", function()
    shows("a\27[31mb&#7;c\0d&#127;", "a\239\191\189[31mbcd\n")
  end)

  it("stays quick in hostile documents", function()
    local before = os.clock()
    for _, html in ipairs { "<p>" .. (" "):rep(1e6) .. "x", "<pre>" .. (" "):rep(1e6) .. "x", "<a href='http://x/'>" .. (" "):rep(1e6) .. "x</a>",
      "<style>" .. ("/*"):rep(2e5) .. ("@{"):rep(2e5) .. ("a{"):rep(2e5) .. "</style>x", ("<blockquote>x"):rep(500) .. ("<p>y"):rep(5000),
      ("<table><tr><td>x"):rep(120) .. ("<p>y"):rep(5000), "<table><tr>" .. ("<td colspan=99999>x"):rep(5000), "<p>" .. ("é"):rep(5e5) .. ("中"):rep(1e5) } do
      assert.is_string(twin.text(html))
    end
    assert.is_true(os.clock() - before < 30)
  end)

  it("says why HTML cannot be read", function()
    local text, why = twin.text(("<div>"):rep(600))
    assert.is_nil(text)
    assert.is_truthy(why:find("nested", 1, true))
  end)

  it("refuses options that are none at the caller's line", function()
    for _, bad in ipairs { { width = 10 }, { width = 30.5 }, { width = "78" }, { links = "footnotes" }, { wdth = 78 } } do
      local ok, message = pcall(twin.text, "x", bad)
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find "twin%.text", message)
    end
    assert.is_false(pcall(twin.text, nil))
  end)
end)
