-- Variables in single braces: where they count, and where braces are code.
local variables = require "directmail.variables"

describe("variables", function()
  it("are found in texts and links, not in code", function()
    local found = variables.in_html '{a}<p class="{b}" title=\'>{b2}\'>{c d}{e}<!-- {f} --><script>if (x) {y}</script><STYLE>b{z}</STYLE><a HREF=\'x{g}\'>{h}</a>{i'
    assert.same({ a = "text", b = "attribute", b2 = "attribute", e = "text", g = "text", h = "text" }, found)
    assert.same({ ["姓名"] = "text" }, variables.in_text "Hi {姓名}, {} { x } {a:b}")
    assert.equal("Ann, {b}", variables.fill("{a}, {b}", { a = "Ann" }))
    for _, broken in ipairs { "<", "<a", "<a href='{x", "<!-- {x}", "<style>{x}", "<a href=\"", "{" } do assert.is_table(variables.in_html(broken)) end
  end)

  it("remembers a name in two pairs of braces", function()
    assert.same({ name = "text", double = "name" }, variables.in_text "Hi {{name}}")
    assert.is_nil(variables.in_text("Hi {name}").double)
  end)

  it("are searched in time that grows with the text alone", function()
    local before = os.clock()
    for _, piece in ipairs { "<a href='{x}' ", "{", "<style>", "<!--", "<a href=\"" } do variables.in_html(piece:rep(20000)) end
    assert.is_true(os.clock() - before < 5)
  end)
end)
