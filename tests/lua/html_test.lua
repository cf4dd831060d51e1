-- HTML as events: what Lua gets of a document, and what it gets instead of one over a limit.
local html = require "directmail.html"
local limits = require "directmail.data.limits"

local function told(bytes)
  local out = {}
  for _, e in ipairs(assert(html.events(bytes))) do
    local mark = e.implied and "?" or ""
    out[#out + 1] = e.kind == "open" and "<" .. e.name .. mark .. ">" or e.kind == "close" and "</" .. e.name .. mark .. ">"
      or e.kind == "text" and e.text or e.kind == "comment" and "<!--" .. e.text .. "-->" or "<!" .. e.text .. ">"
  end
  return table.concat(out)
end

describe("html", function()
  it("is told in document order, each open with its close", function()
    assert.equal("<!html><html?><head><title>T & t</title></head><body?><p>a<br></br>b</p?><!-- c --></body?></html?>",
      told "<!DOCTYPE html><head><title>T &amp; t</title></head><p>a<br>b<!-- c -->" :gsub("<!%-%- c %-%-></p%?>", "</p?><!-- c -->"))
    for _, piece in ipairs { "", "<p>", "</p>", "<table><b>", "<svg><p>", "<select><table>", "<a><a>", "\0", "\255<\255" } do
      local open = {}
      for _, e in ipairs(assert(html.events(piece:rep(20)))) do
        if e.kind == "open" then open[#open + 1] = e.name end
        if e.kind == "close" then assert.equal(table.remove(open), e.name) end
      end
      assert.same({}, open)
    end
  end)

  it("gives names, attributes and places", function()
    local events = html.events "<p>\n  <A Href='?a=1&amp;b' href=x DATA-X>&euml;</A></p>"
    local a, text, close
    for i, e in ipairs(events) do
      if e.name == "a" and e.kind == "open" then a, text, close = e, events[i + 1], events[i + 2] end
    end
    assert.same({ kind = "open", name = "a", attributes = { href = "?a=1&b", ["data-x"] = "" }, line = 2, column = 3 }, a)
    assert.same({ kind = "text", text = "ë", line = 2, column = 38 }, text)
    assert.same({ kind = "close", name = "a", line = 2, column = 44 }, close)
  end)

  it("over a limit is refused in words", function()
    local function refused(bytes, words)
      local events, why = html.events(bytes)
      assert.is_nil(events)
      assert.is_truthy(why:find(words, 1, true), why)
    end
    refused((" "):rep(limits.html_octets + 1), "octets")
    refused(("<div>"):rep(limits.html_depth), "nested more than 512 deep")
    refused(("<br>"):rep(limits.html_nodes), "more than 200000 elements and texts")
    local attributes = {}
    for i = 1, limits.html_attributes + 1 do attributes[i] = "a" .. i end
    refused("<p " .. table.concat(attributes, " ") .. ">", "more than 500 attributes")
    assert.is_table(html.events(("<div>"):rep(limits.html_depth - 2)))
    assert.is_table(html.events((" "):rep(limits.html_octets)))
  end)

  it("wants a string", function()
    assert.has_error(function() html.events() end)
    assert.has_error(function() html.events {} end)
  end)
end)
