-- directmail.tickets: one rate that many workers share, without a lock.
local dicts = require "support.dict"
local tickets = require "directmail.tickets"
local window = require "support.window"

local function clock()
  local host = { at = 1000 }
  function host.tick() return host.at end
  return host
end

describe("tickets", function()
  it("never_exceed_the_rate_in_any_window_and_use_it_up", function()
    for _, rate in ipairs { { 1, 1 }, { 7, 2 }, { 10, 60 }, { 100, 1 }, { 199, 10 }, { 5000, 180 } } do
      local count, seconds = rate[1], rate[2]
      local host = clock()
      local dict = dicts.new(host)
      local times = {}
      for i = 1, 3 * count + 7 do
        times[i] = tickets.reserve(dict, "r", count, seconds, 1, host.at)
        -- some come when it is their turn, some in crowds
        if i % 3 == 0 then host.at = math.max(host.at, times[i] - seconds / 2) end
      end
      local last = times[3 * count]
      assert.is_true(window.densest(times, seconds) <= count, count .. " in " .. seconds)
      assert.is_true(last - times[1] <= 3 * seconds * 1.02, count .. " took " .. last - times[1])
      assert.is_true(tickets.capacity(count) <= count and tickets.capacity(count) >= count * 0.99)
    end
  end)

  it("give_the_whole_burst_at_once_and_to_each_worker_his_turn", function()
    local host = clock()
    local dict = dicts.new(host)
    for i = 1, 25 do
      local at = tickets.reserve(dict, "r", 10, 60, 1, host.at)
      assert.equal(1000 + math.floor((i - 1) / 10) * 60, at)
    end
  end)

  it("come_several_at_a_time_over_the_borders_of_groups", function()
    local host = clock()
    local dict = dicts.new(host)
    local times = {}
    for i = 1, 40 do
      local n = i % 7 + 1
      local at = tickets.reserve(dict, "r", 150, 10, n, host.at)
      for _ = 1, n do times[#times + 1] = at end
    end
    assert.is_true(window.densest(times, 10) <= 150)
    assert.equal(1000, tickets.reserve(dict, "other", 199, 10, tickets.capacity(199), host.at))
    assert.equal(1010, tickets.reserve(dict, "other", 199, 10, tickets.capacity(199), host.at))
  end)

  it("are_not_taken_when_they_come_too_late", function()
    local host = clock()
    local dict = dicts.new(host)
    assert.equal(1000, tickets.try(dict, "r", 10, 60, 9, host.at, 0))
    host.at = 1020
    for _ = 1, 3 do assert.same({ nil, 1060 }, { tickets.try(dict, "r", 10, 60, 2, host.at, 0) }) end
    assert.same({ nil, 1060 }, { tickets.try(dict, "r", 10, 60, 2, host.at, 39.9) })
    assert.equal(1020, tickets.try(dict, "r", 10, 60, 1, host.at, 0))
    assert.equal(1060, tickets.try(dict, "r", 10, 60, 2, host.at, 40))
    host.at = 1060
    assert.equal(1060, tickets.try(dict, "r", 10, 60, 7, host.at, 0))
    assert.is_nil((tickets.try(dict, "r", 10, 60, 1, host.at, 0)))
  end)

  it("are_spent_and_not_given_when_another_worker_is_quicker", function()
    local host = clock()
    local dict = dicts.new(host)
    tickets.reserve(dict, "r", 10, 60, 9, host.at)
    local incr = dict.incr
    function dict:incr(...)             -- between our look and our count
      dict.incr = incr
      tickets.reserve(dict, "r", 10, 60, 1, host.at)
      return incr(self, ...)
    end
    assert.same({ nil, 1060 }, { tickets.try(dict, "r", 10, 60, 1, host.at, 0) })
  end)

  it("leave_few_entries_which_end_with_the_window", function()
    local host = clock()
    local dict = dicts.new(host)
    for _ = 1, 20000 do tickets.reserve(dict, "r", 5000, 180, 1, host.at) end
    assert.is_true(dict.count <= 402, dict.count)      -- four windows' worth of groups, reserved ahead
    host.at = host.at + 1000
    for key in pairs(dict.entries) do dict:get(key) end
    assert.is_true(dict.count <= 1)
  end)

  it("stand_aside_when_the_dict_has_no_memory", function()
    local dict = { get = function() return nil end, set = function() return nil, "no memory" end, incr = function() return nil, "no memory" end }
    assert.equal(5, tickets.reserve(dict, "r", 10, 60, 1, 5))
  end)
end)
