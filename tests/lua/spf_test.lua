-- directmail.spf: what a receiver reads, how often it asks, where it ends.
local spf = require "directmail.spf"

-- A look at records by "NAME TYPE"; a string is why there is none.
local function look(zone, asked)
  return function(name, kind)
    if asked then asked[#asked + 1] = name .. " " .. kind end
    local at = zone[name .. " " .. kind]
    if type(at) == "table" then return at end
    return nil, at or "nxdomain"
  end
end

local function walk(text, zone, asked) return spf.walk("d.example", text, look(zone or {}, asked)) end

local function txt(text) return { { text = text } } end

describe("spf", function()
  it("knows a record by its first word", function()
    for text, is in pairs { ["v=spf1"] = true, ["V=SPF1 -all"] = true, ["v=spf1 "] = true, ["v=spf10 -all"] = false, ["v=spf1-all"] = false, [" v=spf1 -all"] = false,
      [""] = false } do
      assert.equal(is, spf.is(text), text)
    end
  end)

  it("reads every kind of term", function()
    local terms, faults = spf.read("v=spf1 +a a:x.example/24 mx//64 mx:x.example/24//64 "
      .. "ip4:192.0.2.1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~include:I.Example. "
      .. "exists:%{i}.x.example ptr ptr:x.example redirect=r.example exp=e.example other=1 -all")
    assert.same({}, faults)
    local names = {}
    for i, term in ipairs(terms) do names[i] = (term.qualifier or "") .. term.name .. (term.value and "=" .. term.value or "") end
    assert.same({ "+a", "+a=x.example", "+mx", "+mx=x.example", "+ip4=192.0.2.1", "+ip4=192.0.2.0/24", "+ip6=2001:db8::/32", "~include=i.example", "+exists=%{i}.x.example", "+ptr",
      "+ptr=x.example", "redirect=r.example", "exp=e.example", "other=1", "-all" }, names)
  end)

  it("tells each term that cannot be read", function()
    for _, word in ipairs { "ip4", "ip4:", "ip4:1.2.3", "ip4:1.2.3.256", "ip4:1.2.3.4/33", "ip4:1.2.3.4/", "ip6:1.2.3.4", "ip6:2001:db8::/129", "include", "include:",
      "include:nodot",
      "a/33", "a/24//129", "a//x", "a:", "mx/", "all:x", "-all.", "exists:", "spf1", "redirect:x.example", "redirect=nodot", "-", "++a", "include=x.example y" } do
      local _, faults = spf.read("v=spf1 " .. word)
      if word:find "^include=" then assert.equal(1, #faults, word)   -- a modifier nobody knows is passed over, "y" is not
      else assert.equal(1, #faults, word) end
    end
    local _, faults = spf.read("v=spf1" .. (" a"):rep(300))
    assert.matches("more than 200 terms", faults[1])
  end)

  it("counts terms that ask, and passes addresses over", function()
    assert.equal(0, walk("v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 exp=e.example -all").lookups)
    local w = walk("v=spf1 a mx exists:%{i}.x.example ptr include:%{d}.x.example -all", { ["d.example A"] = { {} }, ["d.example MX"] = { {} } })
    assert.same({ 5, 0, true, "-" }, { w.lookups, w.voids, w.ptr, w.all })
  end)

  it("stops at all, whose includes nobody reads", function()
    local w = walk("v=spf1 -all include:a.example a redirect=b.example")
    assert.same({ 0, { ["a.example"] = true }, {} }, { w.lookups, w.behind, w.includes })
  end)

  it("follows redirect only without all, and takes its includes", function()
    local zone = { ["r.example TXT"] = txt "v=spf1 include:a.example ~all", ["a.example TXT"] = txt "v=spf1 -all" }
    local w = walk("v=spf1 redirect=r.example", zone)
    assert.same({ 2, "r.example", true, nil }, { w.lookups, w.redirect, w.includes["a.example"], w.all })
    assert.equal("redirect stands twice", walk("v=spf1 redirect=r.example redirect=r.example", zone).faults[1])
  end)

  it("counts only what passes mail as included", function()
    local zone = { ["a.example TXT"] = txt "v=spf1 include:b.example ?include:c.example -all", ["b.example TXT"] = txt "v=spf1 -all", ["c.example TXT"] = txt "v=spf1 -all" }
    local w = walk("v=spf1 include:a.example -all", zone)
    assert.same({ ["a.example"] = true, ["b.example"] = true }, w.includes)
    w = walk("v=spf1 -include:a.example -all", zone)
    assert.same({}, w.includes)
    assert.equal(3, w.lookups)
  end)

  it("tells a void look-up from one that nobody answered", function()
    local w = walk("v=spf1 a:v1.example a:v6.example mx:v2.example include:u.example -all", { ["u.example TXT"] = "servfail", ["v6.example A"] = "nodata",
      ["v6.example AAAA"] = { {} } })
    assert.same({ 2, "u.example TXT: servfail", {} }, { w.voids, w.unknown, w.broken })
    w = walk("v=spf1 include:v.example include:two.example -all", { ["two.example TXT"] = { { text = "v=spf1 -all" }, { text = "v=spf1 a" } } })
    assert.same({ "include v.example, which has no SPF record", "include two.example, which has 2 SPF records" }, w.broken)
  end)

  it("ends in a circle, and in a tree without end", function()
    local zone = { ["a.example TXT"] = txt "v=spf1 include:b.example -all", ["b.example TXT"] = txt "v=spf1 include:a.example -all" }
    assert.equal("a.example", walk("v=spf1 include:a.example -all", zone).loop)
    local asked = {}
    local endless = function(name, kind)
      asked[#asked + 1] = name
      return kind == "TXT" and txt(("v=spf1 include:x%s include:y%s -all"):format(name, name)) or nil, "nxdomain"
    end
    local w = spf.walk("d.example", "v=spf1 include:d1.example -all", endless)
    assert.is_true(#asked <= 40, #asked)
    assert.is_true(w.lookups > spf.MOST_LOOKUPS)
  end)

  it("adds an include where it is read", function()
    for before, after in pairs {
      ["v=spf1 a -all"] = "v=spf1 a include:i.example -all", ["v=spf1 ~ALL"] = "v=spf1 include:i.example ~ALL", ["v=spf1"] = "v=spf1 include:i.example -all",
      ["v=spf1 redirect=r.example"] = "v=spf1 include:i.example redirect=r.example", ["v=spf1 -all include:i.example"] = "v=spf1 include:i.example -all",
    } do assert.equal(after, spf.with(before, "i.example")) end
    assert.equal("v=spf1 include:i.example -all", spf.with(nil, "i.example"))
  end)
end)
