local tap = require "support.tap"

-- "+ name" and "- name", one a result
local function judged(text, ended)
  local out = {}
  for i, result in ipairs(tap.read(text, ended)) do out[i] = (result.ok and "+ " or "- ") .. result.name end
  return out
end

describe("tap", function()
  it("counts_ok_and_not_ok", function()
    assert.same({ "+ a", "- b" }, judged("1..2\nok 1 - a\nnot ok 2 - b\n", "exit status 1"))
    assert.same({ "+ a b", "+ c" }, judged("ok 1 a b\nok - c\n1..2\n"))
  end)

  it("keeps_what_explains_a_failure", function()
    local results = tap.read("1..1\nnot ok 1 - a\n# x.c:7: error\n# 1 != 2\n", "exit status 1")
    assert.equal("# x.c:7: error\n# 1 != 2", results[1].why)
  end)

  it("takes_a_crash_behind_a_row_of_ok_for_a_failure", function()
    assert.same({ "+ a", "- killed by signal 11" }, judged("1..1\nok 1 - a\n", "killed by signal 11"))
    assert.same({ "+ a", "- exit status 23" }, judged("1..1\nok 1 - a\n", "exit status 23"))
    assert.same({ "- a", "- no end within 5 s" }, judged("1..1\nnot ok 1 - a\n", "no end within 5 s"))
  end)

  it("misses_a_plan_and_the_tests_that_it_promised", function()
    assert.same({ "- prints no plan (1..N)" }, judged "")
    assert.same({ "+ a", "- prints no plan (1..N)" }, judged "ok 1 - a\n")
    assert.same({ "+ a", "- planned 2 tests and ran 1" }, judged "1..2\nok 1 - a\n")
    assert.same({ "- holds no test" }, judged "1..0\n")
  end)

  it("takes_a_skipped_test_for_a_failure", function()
    assert.same({ "- # SKIP c" }, judged "1..1\nnot ok 3 # SKIP c\n")
    assert.same({ "- # SKIP later" }, judged "1..1\nok 1 - # SKIP later\n")
  end)

  it("takes_other_lines_for_what_they_are", function()
    assert.same({ "+ a" }, judged "okay then\nnot okay\nnotok 1\n# not ok - group\n1..1\nok 1 - a\n")
  end)
end)
