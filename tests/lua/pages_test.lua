-- The end of a list, however the answer tells it, and servers that tell it wrongly.
local pages = require "directmail.pages"

-- Walk `name` over prepared answers; gives the entries and the parameters of each request.
local function walk(name, answers, params, most)
  local asked, got = {}, {}
  local following = pages.each(name, params or {}, function(page)
    local copy = {}
    for field, value in pairs(page) do copy[field] = value end
    asked[#asked + 1] = copy
    assert(#asked <= (most or 20), "it asks without end")
    return answers[math.min(#asked, #answers)]
  end, 2)
  while true do
    local entry = following()
    if not entry then return got, asked end
    got[#got + 1] = entry
  end
end

local function tags(from, to, total)
  local list = {}
  for i = from, to do list[#list + 1] = { TagId = tostring(i) } end
  return { data = { tag = list }, TotalCount = total, PageSize = 10 }
end

describe("numbered pages", function()
  it("end at the total", function()
    local got, asked = walk("QueryTagByParam", { tags(1, 10, 20), tags(11, 20, 20), tags(21, 30, 20) })
    assert.same({ 20, 2, 1, 2 }, { #got, #asked, asked[1].PageNo, asked[2].PageNo })
  end)

  it("end at a short or empty page when there is no total, or a wrong one", function()
    assert.equal(13, #(walk("QueryTagByParam", { tags(1, 10), tags(11, 13) })))
    assert.equal(10, #(walk("QueryTagByParam", { tags(1, 10, 99), tags(1, 0, 99) })))
    assert.equal(13, #(walk("QueryTagByParam", { tags(1, 10, "99"), tags(11, 13, "99") })))
  end)

  it("end where the same page comes again, as it does when the place is not looked at", function()
    local got, asked = walk("QueryTagByParam", { tags(1, 10, 30) })
    assert.same({ 10, 2 }, { #got, #asked })
  end)

  it("end where the answer says so: no more, or the last of so many pages", function()
    local function sets(more) return { ConfigSets = { { Id = type(more) .. tostring(more) } }, HasMore = more, TotalCounts = 7 } end
    local got, asked = walk("ConfigSetList", { sets(true), sets "true", sets(false) })
    assert.same({ 3, 3, 3, "10" }, { #got, #asked, asked[3].PageIndex, asked[1].PageSize })
    local function stats(n) return { data = { stat = { { CreateTime = n } } }, TotalPages = "2", Total = 50 } end
    got, asked = walk("GetTrackList", { stats "a", stats "b", stats "c" }, { StartTime = "2026-11-20", EndTime = "2026-11-21" })
    assert.same({ 2, 2, 2 }, { #got, #asked, asked[2].PageNumber })
  end)

  it("begin where the caller says, with his size", function()
    local got, asked = walk("QueryTagByParam", { tags(31, 33, 33) }, { PageNo = 4, PageSize = "5", KeyWord = "x" })
    assert.same({ 3, 1, 4, "5", "x" }, { #got, #asked, asked[1].PageNo, asked[1].PageSize, asked[1].KeyWord })
  end)
end)

describe("cursors", function()
  local function details(next, ...)
    local list = {}
    for i, address in ipairs { ... } do list[i] = { Email = address } end
    return { data = { detail = list }, NextStart = next }
  end

  it("end when none follows, and go on behind a short page", function()
    local got, asked = walk("QueryReceiverDetail", { details("5", "a"), details(9, "b", "c"), details("", "d") }, { ReceiverId = "1" })
    assert.same({ 4, 3, "5", "9" }, { #got, #asked, asked[2].NextStart, asked[3].NextStart })
  end)

  it("end when one comes twice, and at an empty page", function()
    local got, asked = walk("QueryReceiverDetail", { details("5", "a"), details("7", "b"), details("5", "c"), details("7", "d") }, { ReceiverId = "1" })
    assert.same({ 3, 3 }, { #got, #asked })
    got, asked = walk("QueryReceiverDetail", { details("5", "a"), details "6" }, { ReceiverId = "1" })
    assert.same({ 1, 2 }, { #got, #asked })
  end)
end)

describe("the rest", function()
  it("is asked once, with what is asked for and no more", function()
    local got, asked = walk("QueryReceiverByParam", { { data = { receiver = { { ReceiverId = "1" }, { ReceiverId = "2" } } }, TotalCount = 9 } })
    assert.same({ 2, 1 }, { #got, #asked })
    assert.is_nil(next(asked[1]))
  end)

  it("is empty when the list is not where it should be", function()
    for _, answer in ipairs { {}, { data = "x" }, { data = {} }, { data = { tag = "x" } } } do
      local got, asked = walk("QueryTagByParam", { answer })
      assert.same({ 0, 1 }, { #got, #asked })
    end
  end)
end)
