-- tasks.lua: coroutines that wait. The memory host's clock makes a minute pass at once.
local memory = require "directmail.host.memory"

describe("a task", function()
  local host

  before_each(function() host = memory.new() end)

  it("runs at once until its first wait", function()
    local log = {}
    local task = host.spawn(function(word)
      log[#log + 1] = word
      host.sleep(1)
      log[#log + 1] = "later"
    end, "first")
    log[#log + 1] = "spawned"
    assert.is_true(host.wait(task))
    assert.same({ "first", "spawned", "later" }, log)
  end)

  it("hands all its results to who waits, nils too", function()
    local function pack(...) return { n = select("#", ...), ... } end
    local got = pack(host.wait(host.spawn(function() host.sleep(1) return nil, 2, nil end)))
    assert.same({ n = 4, true, nil, 2, nil }, got)
  end)

  it("hands its error to who waits, whatever it is", function()
    local ok, why = host.wait(host.spawn(function() host.sleep(1) error("boom", 0) end))
    assert.is_false(ok)
    assert.equal("boom", why)
    local object = {}
    ok, why = host.wait(host.spawn(function() error(object) end))
    assert.is_false(ok)
    assert.equal(object, why)
  end)

  it("is waited for once", function()
    local task = host.spawn(function() return 1 end)
    assert.is_true(host.wait(task))
    local ok, why = host.wait(task)
    assert.is_nil(ok)
    assert.equal("already waited", why)
  end)

  it("that ends first answers a wait for several, the others go on", function()
    local slow = host.spawn(function() host.sleep(5) return "slow" end)
    local quick = host.spawn(function() host.sleep(2) return "quick" end)
    local before = host.tick()
    assert.same({ true, "quick" }, { host.wait(slow, quick) })
    assert.equal(2, host.tick() - before)
    assert.same({ true, "slow" }, { host.wait(slow) })
    assert.equal(5, host.tick() - before)
  end)

  it("may wait for tasks of its own", function()
    local ok, sum = host.wait(host.spawn(function()
      local all = {}
      for i = 1, 3 do all[i] = host.spawn(function() host.sleep(4 - i) return i end) end
      local total = 0
      for i = 1, 3 do
        local _, n = host.wait(all[i])
        total = total + n
      end
      return total
    end))
    assert.is_true(ok)
    assert.equal(6, sum)
    assert.equal(3, host.tick())
  end)

  it("lets the others go first with a plain yield", function()
    local log = {}
    local function count(name)
      for i = 1, 2 do
        log[#log + 1] = name .. i
        coroutine.yield()
      end
    end
    local a, b = host.spawn(count, "a"), host.spawn(count, "b")
    host.wait(a)
    host.wait(b)
    assert.same({ "a1", "b1", "a2", "b2" }, log)
  end)

  it("raises when another coroutine inside it waits", function()
    local ok, why = host.wait(host.spawn(function()
      coroutine.wrap(function() host.sleep(1) end)()
    end))
    assert.is_false(ok)
    assert.matches("this call waits; make its coroutine with spawn", why, 1, true)
  end)

  it("is not needed: any coroutine outside of tasks may wait", function()
    local woken = coroutine.wrap(function() host.sleep(3) return host.tick() end)()
    assert.equal(3, woken)
  end)

  it("wakes by time, not by age", function()
    local order = {}
    local tasks = {}
    for i, seconds in ipairs { 30, 10, 20, 10 } do
      tasks[i] = host.spawn(function() host.sleep(seconds) order[#order + 1] = i end)
    end
    for i = 1, 4 do host.wait(tasks[i]) end
    assert.same({ 2, 4, 3, 1 }, order)
  end)

  it("is cheap: ten thousand of them", function()
    local tasks, done = {}, 0
    for i = 1, 10000 do
      tasks[i] = host.spawn(function()
        for _ = 1, 3 do host.sleep(1 + i % 7) end
        done = done + 1
      end)
    end
    for i = 1, 10000 do host.wait(tasks[i]) end
    assert.equal(10000, done)
    assert.equal(21, host.tick())
  end)

  it("that nothing can end raises outside instead of hanging", function()
    local a, b
    a = host.spawn(function() host.sleep(1) return host.wait(b) end)
    b = host.spawn(function() return host.wait(a) end)
    local c = host.spawn(function() return host.listen("nobody.test", 1):accept() end)
    assert.has_error(function() host.wait(c) end, "this call would wait for ever: nothing is left that could end it")
    assert.same({ nil, "another task waits for it" }, { host.wait(a) })
  end)

  it("cannot wait for itself, nor for one that is waited for", function()
    local me
    me = host.spawn(function() host.sleep(1) return host.wait(me) end)
    assert.same({ true, nil, "a task cannot wait for itself" }, { host.wait(me) })
    local slow = host.spawn(function() host.sleep(9) end)
    local first = host.spawn(function() return host.wait(slow) end)
    local ok, why = host.wait(slow)
    assert.is_nil(ok)
    assert.equal("another task waits for it", why)
    assert.same({ true, true }, { host.wait(first) })
  end)

  it("tells an error that nobody asked for, and only that", function()
    host.spawn(function() error "lost and found" end)
    local heard = host.spawn(function() error "heard" end)
    assert.is_false((host.wait(heard)))
    heard = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(1, #host.logs)
    assert.equal("error", host.logs[1][1])
    assert.matches("a task failed: .*lost and found", host.logs[1][2])
  end)

  it("refuses what is no function and no task", function()
    assert.has_error(function() host.spawn(1) end, "bad argument #1 to 'spawn' (function expected)")
    assert.has_error(function() host.wait() end, "bad argument #1 to 'wait' (task expected)")
    assert.has_error(function() host.wait(host.spawn(function() end), {}) end, "bad argument #2 to 'wait' (task expected)")
  end)
end)

for _, home in ipairs { "memory", "std" } do
  describe("a semaphore of the " .. home .. " host", function()
    local host

    before_each(function() host = home == "std" and require "directmail.host" or memory.new() end)

    it("is passed once for each post, before or after", function()
      local semaphore, log = host.semaphore(), {}
      semaphore:post(2)
      assert.is_true(semaphore:wait(1))
      assert.is_true(semaphore:wait(1))
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = host.spawn(function()
          assert(semaphore:wait())
          log[#log + 1] = i
        end)
      end
      semaphore:post()
      assert.is_true(host.wait(tasks[1]))
      assert.same({ 1 }, log)
      semaphore:post(2)
      assert.is_true(host.wait(tasks[2]))
      assert.is_true(host.wait(tasks[3]))
      assert.same({ 1, 2, 3 }, log)
    end)

    it("gives up at its time limit, and a later post is not lost on who left", function()
      local semaphore = host.semaphore()
      assert.same({ nil, "timeout" }, { semaphore:wait(0.01) })
      local patient = host.spawn(function() return semaphore:wait(20) end)
      semaphore:post()
      assert.same({ true, true }, { host.wait(patient) })
      semaphore:post()
      assert.is_true(semaphore:wait(0.01))
      assert.same({ nil, "timeout" }, { semaphore:wait(0.01) })
    end)
  end)
end
