-- The store's verbs from Lua: jobs, failures in words, transactions shared by a turn, and other processes.
local err = require "directmail.err"
local host = require "directmail.host"
local store = require "directmail.store"
local verbs = require "support.store_verbs"

local LUA = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "[%d.]+$"

local dir, path, opened, home

-- A host whose clock can be set, and whose waits are counted.
local function host_of(more)
  local shifted = setmetatable({ shift = 0, naps = 0 }, { __index = host })
  function shifted.now() return host.now() + shifted.shift end
  function shifted.sleep(seconds)
    if seconds > 0 then shifted.naps = shifted.naps + 1 end
    return host.sleep(seconds)
  end
  for name, value in pairs(more or {}) do shifted[name] = value end
  return shifted
end

local function open(options, of, where)
  local s = assert(store.open(where or path, options, of))
  opened[#opened + 1] = s
  return s
end

before_each(function()
  dir = assert(host.mkdtemp())
  path, opened, home = dir .. "/outbox.db", {}, nil
end)

after_each(function()
  for _, s in ipairs(opened) do s:close() end
  os.execute("rm -rf '" .. dir .. "'")
end)

local function write(name, bytes)
  local f = assert(io.open(name, "wb"))
  f:write(bytes)
  f:close()
end

-- Count what a store does with its file.
local function watched(s)
  local real, seen = s.engine.db, { begin = 0, commit = 0 }
  s.engine.db = setmetatable({}, { __index = function(_, name)
    return function(_, ...)
      if seen[name] then seen[name] = seen[name] + 1 end
      return real[name](real, ...)
    end
  end })
  return seen
end

-- The verbs themselves: the same list as for Redis.
verbs {
  open = function(options, more)
    home = host_of(more)
    return open(options, home)
  end,
  later = function(seconds) home.shift = home.shift + seconds end,
}

describe("one turn of the loop", function()
  it("is one transaction, however many ask", function()
    local s = open()
    assert(s:enqueue { { payload = "0" } })
    local seen, tasks = watched(s), {}
    for i = 1, 20 do tasks[i] = host.spawn(function() return assert(s:enqueue { { payload = tostring(i) } })[1].id end) end
    local ids = {}
    for i = 1, 20 do
      local ok, id = host.wait(tasks[i])
      assert.is_true(ok)
      ids[id] = true
    end
    assert.equal(1, seen.commit)
    assert.equal(21, assert(s:counts()).waiting)
    local n = 0
    for _ in pairs(ids) do n = n + 1 end
    assert.equal(20, n)
  end)

  it("fails as a whole, and says so to all", function()
    local s = open()
    watched(s)
    local real = s.engine.db
    s.engine.db = setmetatable({ commit = function() return nil, "full", "database or disk is full" end }, { __index = function(_, name) return real[name] end })
    local one = host.spawn(function() return s:enqueue { { payload = "1" } } end)
    local two = host.spawn(function() return s:counts() end)
    for _, task in ipairs { one, two } do
      local ok, answer, e = host.wait(task)
      assert.is_true(ok)
      assert.is_nil(answer)
      assert.same({ "FILE", path, true, "not_sent" }, { e.code, e.detail, e.retry, e.outcome })
      assert.matches("full", e.cause)
    end
    s.engine.db = real
    assert.equal(0, assert(s:counts()).waiting)
  end)
end)

describe("other processes", function()
  it("are waited for while other tasks run", function()
    home = host_of()
    local s, other = open(nil, home), open()
    assert.is_true(other.engine.db:begin())
    local ran, done = 0, false
    local asking = host.spawn(function()
      local put = assert(s:enqueue { { payload = "x" } })
      done = true
      return put[1].how
    end)
    local running = host.spawn(function()
      while ran < 20 do
        host.sleep(0.001)
        ran = ran + 1
        assert.is_false(done)
      end
      assert.is_true(other.engine.db:commit())
    end)
    assert(host.wait(running))
    local _, how = assert(host.wait(asking))
    assert.equal("made", how)
    assert.is_true(home.naps > 0)
  end)

  it("that never let go end in an error", function()
    local ticks = 0
    home = host_of { tick = function() ticks = ticks + 4 return ticks end }
    local s, other = open(nil, home), open()
    assert.is_true(other.engine.db:begin())
    local answer, e = s:counts()
    assert.is_nil(answer)
    assert.same({ "FILE", true }, { e.code, e.retry })
    assert.matches("locked", e.cause)
    assert.is_true(other.engine.db:commit())
    assert.is_table(s:counts())
  end)

  it("share the jobs of one file", function()
    local s = open()
    local child = assert(host.child({ LUA, "-e", [[
      local s = assert(require "directmail.store".open(os.getenv "STORE"))
      for i = 1, 50 do assert(s:enqueue { { payload = "child " .. i, key = "k" .. i } }) end
      for i = 1, 50 do assert(s:take("rate", 1, 0.001, 60)) end
      s:close()
    ]] }, { STORE = path }))
    for i = 1, 50 do assert(s:enqueue { { payload = "child " .. i, key = "k" .. i } }) end
    local granted = 0
    for _ = 1, 50 do granted = granted + assert(s:take("rate", 1, 0.001, 60)) end
    assert.equal(0, child:wait())
    assert.equal(50, assert(s:counts()).waiting)
    assert.equal(0, (assert(s:take("rate", 1, 0.001, 60))))
    assert.is_true(granted >= 10 and granted <= 50)
  end)
end)

describe("the suppression list", function()
  it("takes neither what is no address nor what has not happened yet", function()
    local s = open()
    local ok, e = s:suppress("ann@", "bounced", "webhook")
    assert.is_nil(ok)
    assert.equal("ADDRESS", e.code)
    ok, e = s:suppress("a@example.com, b@example.com", "bounced", "webhook")
    assert.is_nil(ok)
    assert.equal("ADDRESS", e.code)
    ok, e = s:resubscribe("ann@example.com", "form", host.now() + 86400)
    assert.is_nil(ok)
    assert.same({ "OPTION", "at" }, { e.code, e.detail })
  end)
end)

describe("a file", function()
  it("is made for its owner only", function()
    open()
    local f = io.popen("stat -c %a '" .. path .. "' '" .. path .. "-wal'")
    assert.equal("600\n600\n", f:read "*a")
    f:close()
  end)

  it("of somebody else's is named as what it is, and left alone", function()
    write(path, ("this is a letter and no database\n"):rep(10))
    local s, e = store.open(path)
    assert.is_nil(s)
    assert.is_true(err.is(e))
    assert.same({ "FILE", path, false }, { e.code, e.detail, e.retry })
    assert.matches("is no store", e.cause)
    local f = io.open(path, "rb")
    assert.equal(("this is a letter and no database\n"):rep(10), f:read "*a")
    f:close()
    s, e = store.open(dir)
    assert.is_nil(s)
    assert.matches("no regular file", e.cause)
    s, e = store.open(dir .. "/none/outbox.db")
    assert.is_nil(s)
    assert.matches("No such file", e.cause)
  end)

  it("that is damaged says so", function()
    open():close()
    local f = assert(io.open(path, "r+b"))
    f:seek("set", 4096)
    f:write(("\165"):rep(40000))
    f:close()
    local s = open()
    local answer, e = s:enqueue { { payload = "x" } }
    assert.is_nil(answer)
    assert.equal("FILE", e.code)
    assert.matches("damaged", e.cause)
    assert.matches("integrity_check", e.remedy)
  end)

  it("is shared by those who name the same path, until it is closed", function()
    local a, b = assert(store.of(path, host)), assert(store.of(path, host))
    assert.equal(a, b)
    a:close()
    a:close()
    local answer, e = a:counts()
    assert.is_nil(answer)
    assert.matches("closed", e.cause)
    b = assert(store.of(path, host))
    assert.is_not.equal(a, b)
    assert.is_table(b:counts())
    assert.equal(b, assert(store.of(b, host)))
    b:close()
    local none
    none, e = store.of(dir, host)
    assert.is_nil(none)
    assert.equal("FILE", e.code)
  end)

  it("is refused where the home has no SQLite", function()
    local s, e = store.open(path, nil, host_of { no_files = { cause = "no", remedy = "leave it" } })
    assert.is_nil(s)
    assert.same({ "OPTION", "store" }, { e.code, e.detail })
  end)
end)

describe("misuse", function()
  local function raises(what, fn, ...)
    local ok, why = pcall(fn, ...)
    assert.is_false(ok)
    assert.matches("store_test.lua:%d+: ", why)
    assert.is_truthy(why:find(what, 1, true), why)
  end

  it("is raised at the caller's line, and nothing is begun", function()
    local s = open()
    local seen = watched(s)
    raises("path", function() store.open(7) end)
    raises("unknown field \"keeep\"", function() store.open(path, { keeep = 1 }) end)
    raises("list of up to 1000 jobs", function() s:enqueue "x" end)
    raises("string as payload", function() s:enqueue { {} } end)
    raises('did you mean "payload"', function() s:enqueue { { paylaod = "x" } } end)
    raises("key of 1 to 255", function() s:enqueue { { payload = "x", key = ("k"):rep(256) } } end)
    raises("whole milliseconds", function() s:enqueue { { payload = "x", delay = 0.5 } } end)
    raises("whole number", function() s:lease(0, 1000) end)
    raises("whole milliseconds", function() s:lease(1, -1) end)
    raises("jobs with id and tries", function() s:mark { { id = 1 } } end)
    raises("jobs with id and tries", function() s:mark { { id = 1.5, tries = 1 } } end)
    raises("field receipt", function() s:ack { { id = 1, tries = 1, receipt = {} } } end)
    raises("field outcome", function() s:bury { { id = 1, tries = 1, outcome = "sent" } } end)
    raises("whole milliseconds", function() s:retry { { id = 1, tries = 1, delay = "1" } } end)
    raises("whole milliseconds", function() s:extend({}, 1e30) end)
    raises("1 to 255 octets", function() s:find "" end)
    raises("state of a job", function() s:list "lost" end)
    raises("whole number from 1 to 1000", function() s:list("sent", 1001) end)
    raises("number above 0", function() s:take("b", 1, 0, 1) end)
    raises("number from 1", function() s:take("b", 1, 1, 0) end)
    raises("1 to 255 octets", function() s:suppress("ann@example.com", "", "x") end)
    raises("string", function() s:suppressed(7) end)
    raises("key and hash", function() s:claim { key = "k", visibility_ms = 1 } end)
    assert.equal(0, seen.begin)
  end)

  it("of too large a payload is an error that names the limit", function()
    local s = open()
    local answer, e = s:enqueue { { payload = ("x"):rep(32 * 1024 * 1024 + 1) } }
    assert.is_nil(answer)
    assert.same({ "SIZE", "payload" }, { e.code, e.detail })
  end)
end)
