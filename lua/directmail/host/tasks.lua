--- Run tasks: coroutines that wait for the loop of their home.
-- The same code serves the real loop and the one of the memory double. `poll` brings what ends waits:
--
--    poll.turn(out, seconds) -> n    fills out[1..n] with the numbers of waits that are over, negative when their
--                                    time limit ended them; waits up to `seconds` (nil: for ever); nil when
--                                    nothing is waited for
--    poll.timer(seconds) -> number   a wait that time ends (nil: never), or poll.fire
--    poll.fire(number)               ends a wait of poll.timer now
-- @module directmail.host.tasks
local M = {}

local create, resume, running, status, yield =
  coroutine.create, coroutine.resume, coroutine.running, coroutine.status, coroutine.yield
local unpack = table.unpack or unpack

local PARKED = {}       -- what a task yields when it waits for the loop; anything else is the program's own yield
local Task = {}

-- An error that nobody asked for is told when the task is thrown away. Plain tables have no __gc before Lua 5.2.
local function on_collect(action)
  local newproxy = rawget(_G, "newproxy")
  if not newproxy then return setmetatable({}, { __gc = action }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = action
  return proxy
end

local function pack(...)
  return { n = select("#", ...), ... }
end

--- A scheduler over one loop.
-- @tparam table poll see above
-- @tparam function report called with the text of an error that ended a task nobody waited for
-- @treturn table `spawn wait sleep semaphore caller park`
function M.new(poll, report)
  local waiting = {}                    -- number of a wait -> its caller: a task, or a table for who waits outside of tasks
  local ready, first, last = {}, 1, 0   -- tasks to go on with, in order
  local over = {}
  local current                         -- the task that runs now

  local function push(task)
    last = last + 1
    ready[last] = task
  end

  -- A caller has one wait at a time, and its first answer counts.
  local function answer(caller, value)
    if caller.answer ~= nil then return end
    caller.answer = value
    if caller.co then push(caller) end
  end

  local function went(task, before, ok, ...)
    current = before
    if ok and status(task.co) ~= "dead" then
      if ... ~= PARKED then push(task) end      -- a plain coroutine.yield() lets the others go first
      return
    end
    task.results = pack(ok, ...)
    if task.waiter then
      answer(task.waiter, task)
    elseif not ok then
      local unheard = { text = debug.traceback(task.co, "a task failed: " .. tostring((...))) }
      task.unheard = unheard
      task.sentinel = on_collect(function()
        if unheard.text then report(unheard.text) end
      end)
    end
  end

  local function run(task, ...)
    local before = current
    current = task
    return went(task, before, resume(task.co, ...))
  end

  local function turn()
    local n = poll.turn(over, first <= last and 0 or nil)
    if not n and first > last then
      error("this call would wait for ever: nothing is left that could end it", 0)
    end
    -- all of them first: going on with one task may reuse the number of the next wait
    for i = 1, n or 0 do
      local id = over[i]
      local done = id > 0
      if not done then id = -id end
      local caller = waiting[id]
      waiting[id] = nil
      if caller then answer(caller, done) end
    end
    local stop = last           -- what these make ready comes after the sockets' next turn
    while first <= stop do
      local task = ready[first]
      ready[first] = nil
      first = first + 1
      run(task)
    end
    if first > last then first, last = 1, 0 end
  end

  local function block(caller)
    if caller.co then
      yield(PARKED)
    else
      while caller.answer == nil do turn() end
    end
    local value = caller.answer
    caller.answer = nil
    return value
  end

  local tasks = {}

  --- Who is about to wait. Ask before anything is begun that cannot be taken back.
  -- @tparam integer level of the line to blame, as for `error`, seen from the one who asks
  -- @return the task that runs, or a token for the program outside of all tasks; raises in any other coroutine inside a task
  function tasks.caller(level)
    if not current then return {} end
    if running() ~= current.co then
      error("this call waits; make its coroutine with spawn", level + 1)
    end
    return current
  end

  --- Wait until a wait of the loop is over.
  -- @tparam integer id its number
  -- @param caller from `tasks.caller`
  -- @treturn boolean false when its time limit ended it
  function tasks.park(id, caller)
    waiting[id] = caller
    return block(caller)
  end

  --- Wait for some time.
  -- @tparam number seconds
  function tasks.sleep(seconds)
    if type(seconds) ~= "number" then error("bad argument #1 to 'sleep' (number expected)", 2) end
    local caller = tasks.caller(2)
    tasks.park(poll.timer(seconds), caller)
  end

  --- Start a task. It runs at once until its first wait.
  -- @tparam function fn
  -- @param ... its arguments
  -- @treturn task for `wait`
  function tasks.spawn(fn, ...)
    if type(fn) ~= "function" then error("bad argument #1 to 'spawn' (function expected)", 2) end
    local task = setmetatable({ co = create(fn) }, Task)
    run(task, ...)
    return task
  end

  local function take(task)
    local results = task.results
    task.results, task.taken = nil, true
    if task.unheard then task.unheard.text = nil end
    return unpack(results, 1, results.n)
  end

  --- Wait for the first of some tasks to end, as `ngx.thread.wait`.
  -- @param ... tasks
  -- @return true and what it returned; or false and its error; or nil and why when it cannot be waited for (again)
  function tasks.wait(...)
    local n = select("#", ...)
    if n == 0 then error("bad argument #1 to 'wait' (task expected)", 2) end
    for i = 1, n do
      local task = select(i, ...)
      if type(task) ~= "table" or getmetatable(task) ~= Task then
        error(("bad argument #%d to 'wait' (task expected)"):format(i), 2)
      end
      if task.taken then return nil, "already waited" end
      if task == current then return nil, "a task cannot wait for itself" end
      if task.waiter and task.waiter.co then return nil, "another task waits for it" end
    end
    for i = 1, n do
      local task = select(i, ...)
      if task.results then return take(task) end
    end
    local caller = tasks.caller(2)
    for i = 1, n do select(i, ...).waiter = caller end
    local ended = block(caller)
    for i = 1, n do select(i, ...).waiter = nil end
    return take(ended)
  end

  --- What one task counts up and others wait for, as `ngx.semaphore`.
  -- @treturn table `wait(seconds)` -> true, or nil and "timeout" (nil: wait for ever); `post(n)`
  function tasks.semaphore()
    local semaphore, count = {}, 0
    local ids, callers, head, tail = {}, {}, 1, 0

    function semaphore:wait(seconds)
      if count > 0 then
        count = count - 1
        return true
      end
      local caller = tasks.caller(2)
      local id = poll.timer(seconds)
      tail = tail + 1
      local place = tail
      ids[place], callers[place] = id, caller
      if tasks.park(id, caller) then return true end
      ids[place], callers[place] = nil, nil
      return nil, "timeout"
    end

    function semaphore:post(n)
      for _ = 1, n or 1 do
        -- who gave up by his time limit may stand here still, and his number may be another's by now
        while head <= tail and not (ids[head] and waiting[ids[head]] == callers[head]) do
          ids[head], callers[head] = nil, nil
          head = head + 1
        end
        if head <= tail then
          poll.fire(ids[head])
          ids[head], callers[head] = nil, nil
          head = head + 1
        else
          count = count + 1
        end
      end
    end

    return semaphore
  end

  return tasks
end

return M
