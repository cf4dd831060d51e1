-- directmail.dmarc: which record applies, and what it says.
local dmarc = require "directmail.dmarc"

local function look(zone, asked)
  return function(name, kind)
    assert.equal("TXT", kind)
    asked[#asked + 1] = name
    local at = zone[name]
    if type(at) == "table" then
      local records = {}
      for i, text in ipairs(at) do records[i] = { text = text } end
      return records
    end
    return nil, at or "nxdomain"
  end
end

local function find(domain, zone)
  local asked = {}
  local found, why = dmarc.find(domain, look(zone, asked))
  return found, why, asked
end

describe("dmarc", function()
  it("walks up the tree, at most eight questions", function()
    local found, _, asked = find("a.b.example.com", { ["_dmarc.example.com"] = { "v=DMARC1; p=none" } })
    assert.same({ "example.com", 1 }, { found.at, found.records })
    assert.same({ "_dmarc.a.b.example.com", "_dmarc.b.example.com", "_dmarc.example.com" }, asked)
    -- RFC 9989, 4.10: of a longer name the last seven labels are next
    found, _, asked = find("a.b.c.d.e.f.g.h.i.j.example", {})
    assert.is_nil(found.at)
    assert.equal(8, #asked)
    assert.equal("_dmarc.e.f.g.h.i.j.example", asked[2])
    assert.equal("_dmarc.example", asked[8])
  end)

  it("tells a record from what only looks like one", function()
    for text, is in pairs { ["v=DMARC1"] = true, ["v=DMARC1;p=none"] = true, ["v = DMARC1 ; p=none"] = true, ["v=dmarc1; p=none"] = false, ["v=DMARC12"] = false,
      ["p=none; v=DMARC1"] = false, [" v=DMARC1"] = false } do
      assert.equal(is, find("d.example", { ["_dmarc.d.example"] = { "other", text } }).text == text, text)
    end
    assert.same({ "v=dmarc1; p=none" }, find("d.example", { ["_dmarc.d.example"] = { "v=dmarc1; p=none" } }).near)
    assert.equal(2, find("d.example", { ["_dmarc.d.example"] = { "v=DMARC1", "v=DMARC1;p=none" } }).records)
  end)

  it("knows what it does not know", function()
    local found, why = find("a.example.com", { ["_dmarc.example.com"] = "servfail" })
    assert.same({ nil, "_dmarc.example.com: servfail" }, { found, why })
  end)

  it("reads the policy, and what voids it", function()
    for text, policy in pairs {
      ["v=DMARC1; p=Reject"] = "reject", ["v=DMARC1"] = "none", ["v=DMARC1; p=quarantine; sp=none"] = "quarantine", ["v=DMARC1; p=x; rua=mailto:a@b.example"] = "none",
    } do assert.equal(policy, dmarc.read(text).policy, text) end
    assert.is_nil(dmarc.read("v=DMARC1; p=x").policy)
    assert.is_nil(dmarc.read("v=DMARC1; p=none; np=x").policy)
    for _, tag in ipairs { "adkim=x", "aspf=q", "psd=z", "t=1", "rua=a@b.example" } do assert.equal(1, #dmarc.read("v=DMARC1; p=none; " .. tag).faults, tag) end
    local read = dmarc.read "v=DMARC1; rua=mailto:a@One.example!10m,mailto:b@two.example; t=y; pct=50; p=none"
    assert.same({ { "one.example", "two.example" }, true, false, 3 }, { read.rua, read.test, read.missing, #read.notes })
    assert.same({}, dmarc.read("v=DMARC1; p=none; rua=https://x.example/").faults)
  end)
end)
