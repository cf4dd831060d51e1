-- directmail.pace: never more than the service allows in its window, whoever asks.
local dicts = require "support.dict"
local pace = require "directmail.pace"
local limits = require "directmail.data.limits"
local window = require "support.window"

-- A host whose clock only moves by sleeping.
local function clock()
  local host = { at = 1000, slept = {} }
  function host.tick() return host.at end
  function host.sleep(seconds)
    host.at = host.at + seconds
    host.slept[#host.slept + 1] = seconds
  end
  return host
end

describe("pace", function()
  it("never_exceeds_a_rate_in_any_window", function()
    for _, name in ipairs { "single", "batch", "batch_mainland", "smtp", "ip_protection" } do
      local host = clock()
      local p = pace.new(host)
      local count, seconds = limits["rate_" .. name], limits["rate_" .. name .. "_seconds"]
      local times = {}
      for i = 1, 3 * count + 7 do
        p:take(name)
        times[i] = host.at
        host.at = host.at + (i % 7) * seconds / (20 * count)
      end
      assert.is_true(window.densest(times, seconds) <= count, name)
      -- and does not dawdle: three windows are enough for three times the count, but for the grain
      assert.is_true(times[3 * count] - times[1] <= 3 * seconds * 1.02, name)
    end
  end)

  it("lets_a_burst_through_at_once_and_then_waits_for_the_window", function()
    local host = clock()
    local p = pace.new(host)
    for _ = 1, 10 do assert.equal(0, p:take("batch")) end
    assert.equal(60, p:take("batch"))
    assert.equal(1060, host.at)
  end)

  it("says_how_long_without_waiting_and_takes_nothing_then", function()
    local host = clock()
    local p = pace.new(host)
    assert.is_true(p:try("batch", 9))
    host.at = host.at + 20
    for _ = 1, 3 do
      local ok, wait = p:try("batch", 2)
      assert.is_false(ok)
      assert.equal(40, wait)
    end
    assert.is_true(p:try("batch", 1))
    host.at = host.at + 40
    assert.is_true(p:try("batch", 9))
    assert.equal(0, #host.slept)
  end)

  it("keeps_the_order_of_those_who_wait", function()
    -- takers that wait are coroutines: sleep yields, so all reservations stand before anyone is served
    local host = { at = 0 }
    function host.tick() return host.at end
    function host.sleep(seconds) coroutine.yield(seconds) end
    local p = pace.new(host)
    local ends = {}
    for i = 1, 25 do
      local task = coroutine.create(function() return p:take("batch") end)
      local _, waited = coroutine.resume(task)
      ends[i] = waited
    end
    for i = 1, 25 do assert.equal(math.floor((i - 1) / 10) * 60, ends[i], "taker " .. i) end
  end)

  it("splits_what_is_more_than_the_whole_rate", function()
    local host = clock()
    assert.equal(120, pace.new(host):take("batch", 25))
    local ok = pcall(function() return pace.new(host):try("batch", 25) end)
    assert.is_false(ok)
  end)

  it("shares_buckets_in_the_process_by_account", function()
    local host = clock()
    assert.is_true(pace.new(host, { account = "a" }):try("batch", 10))
    assert.is_false((pace.new(host, { account = "a" }):try("batch")))
    assert.is_true(pace.new(host, { account = "b" }):try("batch", 10))
    assert.is_true(pace.new(clock(), { account = "a" }):try("batch", 10))      -- another host, another clock
  end)

  it("counts_each_recipient_alone", function()
    local host = clock()
    local p = pace.new(host)
    assert.is_true(p:try("recipient", 50, "ann@example.com"))
    local ok, wait = p:try("recipient", 1, "ann@example.com")
    assert.is_false(ok)
    assert.equal(300, wait)
    assert.is_true(p:try("recipient", 1, "bob@example.com"))
  end)

  it("takes_a_rate_of_its_own_for_mails_and_leaves_the_others", function()
    local host = clock()
    local p = pace.new(host, { rate = 2 })
    for _ = 1, 9 do p:take("smtp") end
    assert.equal(1004, host.at)
    assert.is_true(p:try("batch", 10))
    assert.is_false((p:try("batch")))
    local slow = pace.new(host, { rate = 0.5, account = "slow" })
    slow:take("single")
    assert.equal(2, slow:take("single"))
    local odd = pace.new(clock(), { rate = 2.5 })
    local sum = 0
    for _ = 1, 6 do sum = sum + odd:take("smtp") end
    assert.is_true(math.abs(sum - 1.6) < 1e-9)
  end)

  it("is_off_when_told", function()
    local host = clock()
    local p = pace.new(host, { rate = false })
    for _ = 1, 1000 do assert.equal(0, p:take("batch", 3)) end
    assert.is_true(p:try("batch", 10000))
    assert.equal(0, #host.slept)
  end)

  it("forgets_recipients_who_rest_and_bounds_those_who_do_not", function()
    local host = clock()
    local p = pace.new(host)
    for i = 1, limits.pace_keys + 100 do p:try("recipient", 1, "a" .. i) end
    assert.is_true(p.set.count <= limits.pace_keys)
    assert.is_true(p:try("recipient", 50, "late"))
    assert.is_true(p:try("recipient", 50, "late"))     -- not counted: the service's own limit stands alone
    assert.is_true(p:try("batch", 10))                 -- the account's own rates always are
    assert.is_false((p:try("batch")))
    host.at = host.at + 301
    assert.is_true(p:try("recipient", 50, "late"))
    assert.is_false((p:try("recipient", 1, "late")))
    assert.is_true(p.set.count <= 2)
  end)

  it("keeps_few_entries_for_many_takes", function()
    local host = clock()
    local p = pace.new(host)
    for _ = 1, 4000 do
      p:take("smtp")
      host.at = host.at + 0.04
    end
    local b = p:bucket("smtp")
    assert.is_true(b.tail - b.head < 110)
  end)

  it("asks_no_more_than_once_a_second_who_rests", function()
    local host = clock()
    local p = pace.new(host)
    for i = 1, limits.pace_keys do p:try("recipient", 1, "a" .. i) end
    p:try("recipient", 1, "one more")
    local swept = p.set.swept
    host.at = host.at + 0.5
    p:try("recipient", 1, "and one")
    assert.equal(swept, p.set.swept)
    host.at = host.at + 0.6
    p:try("recipient", 1, "the last")
    assert.equal(host.at, p.set.swept)
  end)

  it("takes_a_token_for_each_recipient_whatever_the_case_of_his_letters", function()
    local host = clock()
    local p = pace.new(host)
    for _ = 1, 49 do p:recipients { "ann@example.com" } end
    assert.same({ 2, 0 }, { p:recipients { "ANN@example.com", "bob@example.com" } })
    assert.equal(1, (p:recipients({ "bob@example.com", "ann@Example.com", "eve@example.com" }, 0, 0)))
    assert.equal(0, #host.slept)
    host.at = host.at + 100
    assert.same({ 1, 200 }, { p:recipients({ "bob@example.com", "ann@Example.com" }, 1, 199) })
    assert.same({ 3, 200 }, { p:recipients({ "bob@example.com", "ann@Example.com", "eve@example.com" }, 1) })
    assert.same({ 200 }, host.slept)
    assert.equal(3, (pace.new(host, { rate = false }):recipients { "a", "b", "c" }))
  end)

  it("refuses_a_mail_that_would_wait_longer_than_its_deadline", function()
    local host = clock()
    local p = pace.new(host)
    for _ = 1, 50 do assert.equal(0, p:mail("single", { "ann@example.com" }, 5)) end
    local waited, e = p:mail("single", { "bob@example.com", "ann@example.com" }, 5)
    assert.is_nil(waited)
    assert.same({ "THROTTLED", "not_sent", true, 300, "rate", "ann@example.com" }, { e.code, e.outcome, e.retry, e.after, e.blame, e.detail })
    assert.equal(0, p:mail("single", nil, 5))
    assert.equal(300, p:mail("single", { "ann@example.com" }, 301))
    local slow = pace.new(host, { rate = 0.1 })
    assert.equal(0, slow:mail("smtp", nil, 5))
    waited, e = slow:mail("smtp", nil, 5)
    assert.is_nil(waited)
    assert.same({ "THROTTLED", 10 }, { e.code, e.after })
    assert.equal(10, slow:mail("smtp"))
    assert.equal(0, pace.new(host, { rate = false }):mail("smtp", { "ann@example.com" }, 0))
  end)

  it("raises_misuse_at_the_caller_s_line", function()
    local p = pace.new(clock())
    for _, f in ipairs {
      function() local n = p:take("nope") return n end,
      function() local n = p:take("batch", 0) return n end,
      function() local n = p:try("batch", 1.5) return n end,
      function() local n = pace.new(clock(), { rate = 0 }) return n end,
      function() local n = pace.new(clock(), { rate = "fast" }) return n end,
    } do
      local ok, why = pcall(f)
      assert.is_false(ok)
      assert.is_truthy(why:find("pace_test.lua:", 1, true), why)
    end
  end)
end)

describe("pace in a shared dict", function()
  -- Two workers: each has a host and so buckets of its own, and they meet in the dict only.
  local function workers(most)
    local first, second = clock(), clock()
    second.tick = first.tick
    function second.sleep(seconds) first.sleep(seconds) end
    local dict = dicts.new(first, most)
    function first.shared() return dict end
    second.shared = first.shared
    return first, second, dict
  end

  it("keeps_an_account_s_rate_over_all_workers", function()
    for _, name in ipairs { "single", "batch", "smtp" } do
      local host, other = workers()
      local both = { pace.new(host), pace.new(other) }
      local count, seconds = limits["rate_" .. name], limits["rate_" .. name .. "_seconds"]
      local times = {}
      for i = 1, 3 * count + 7 do
        both[i % 2 + 1]:take(name)
        times[i] = host.at
        host.at = host.at + (i % 7) * seconds / (20 * count)
      end
      assert.is_true(window.densest(times, seconds) <= count, name)
      assert.is_true(times[3 * count] - times[1] <= 3 * seconds * 1.03, name)
    end
  end)

  it("keeps_accounts_and_rates_of_one_s_own_apart", function()
    local host, other = workers()
    assert.is_true(pace.new(host, { account = "a" }):try("batch", 10))
    assert.is_false((pace.new(other, { account = "a" }):try("batch")))
    assert.is_true(pace.new(other, { account = "b" }):try("batch", 10))
    assert.is_true(pace.new(host, { rate = 2 }):try("smtp", 2))
    local ok, wait = pace.new(other, { rate = 2 }):try "smtp"
    assert.same({ false, 1 }, { ok, wait })
  end)

  it("counts_a_recipient_in_one_entry", function()
    local host, other, dict = workers()
    local a, b = pace.new(host), pace.new(other)
    for i = 1, 25 do
      assert.is_true(a:try("recipient", 1, "ann@example.com"))
      assert.is_true(b:try("recipient", 1, "ann@example.com"))
      host.at = host.at + i % 5
    end
    assert.is_false((a:try("recipient", 1, "ann@example.com")))
    assert.equal(1, dict.count)
    local waited = a:take("recipient", 1, "ann@example.com")
    assert.is_true(waited >= 250 and waited <= 253, waited)     -- takes that lie close together count as the last of them
    assert.is_nil(next(dict.entries):find("ann", 1, true))
  end)

  it("does_not_wait_for_a_worker_that_was_stopped_in_between", function()
    local host, _, dict = workers()
    local add = dict.safe_add
    function dict:safe_add(name, ...)
      add(self, name, ...)
      return add(self, name, ...)       -- somebody else's, for ever
    end
    assert.is_true(pace.new(host):try("recipient", 50, "ann@example.com"))
    assert.is_false((pace.new(host):try("recipient", 1, "ann@example.com")))
  end)

  it("never_pushes_a_rate_out_for_new_recipients", function()
    local host, _, dict = workers(20)
    local p = pace.new(host)
    assert.is_true(p:try("batch", 10))
    for i = 1, 100 do assert.is_true(p:try("recipient", 50, "a" .. i)) end
    assert.is_false((p:try("batch")))
    assert.is_true(dict.count <= 20)
  end)

  it("splits_what_is_more_than_the_whole_rate", function()
    local host = workers()
    assert.equal(120, pace.new(host):take("batch", 25))
    assert.has_error(function() pace.new(host):try("batch", 25) end)
  end)

  it("asks_for_the_dict_by_its_name_and_at_the_first_use", function()
    local host, _, dict = workers()
    local asked = {}
    function host.shared(name)
      asked[#asked + 1] = tostring(name)
      return dict
    end
    pace.new(host, { rate = false }):take "batch"
    assert.same({}, asked)
    local p = pace.new(host, { shared_dict = "mine" })
    p:take "batch"
    p:take "batch"
    assert.same({ "mine" }, asked)
  end)

  it("is_the_worker_s_own_when_there_is_no_dict", function()
    local host = clock()
    function host.shared() return nil end
    local p = pace.new(host)
    assert.is_true(p:try("batch", 10))
    assert.is_false((p:try("batch")))
  end)
end)
