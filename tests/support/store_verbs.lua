--- What every store does, whatever keeps it: the list of cases that runs over SQLite and over Redis.
-- @module support.store_verbs
local assert = require "luassert"
local busted = require "busted"
local core = require "directmail.core"
local host = require "directmail.host"

local describe, it = busted.describe, busted.it

local function sum(counts)
  local n = 0
  for _, count in pairs(counts) do n = n + count end
  return n
end

--- Declare the cases.
-- @tparam table rig `open(options, more)` gives a new client of the same store, over a host with the fields `more`; `later(seconds)` lets
--   that time pass for the store
return function(rig)
  local open, later = rig.open, rig.later

  describe("jobs", function()
    it("go from enqueue through lease and mark to ack", function()
      local s = open()
      local put = assert(s:enqueue { { payload = "a\0\r\n\255", key = "k1" }, { payload = "" }, { payload = "later", delay = 60000 } })
      assert.same({ "made", "made", "made" }, { put[1].how, put[2].how, put[3].how })
      assert.same({ "waiting", 0 }, { put[1].state, put[1].tries })
      assert.is_true(put[3].due - put[1].due >= 59000)
      local jobs = assert(s:lease(10, 60000))
      assert.equal(2, #jobs)
      table.sort(jobs, function(a, b) return a.id < b.id end)
      assert.same({ id = put[1].id, tries = 1, key = "k1", payload = "a\0\r\n\255" }, jobs[1])
      assert.same({ id = put[2].id, tries = 1, payload = "" }, jobs[2])
      assert.same({}, assert(s:lease(10, 60000)))
      assert.same({ false, false }, assert(s:ack(jobs)), "not marked yet")
      assert.same({ true, true }, assert(s:mark(jobs)))
      assert.same({ true, true }, assert(s:mark(jobs)))
      jobs[1].receipt, jobs[2].receipt = '{"id":"1"}', '{"id":"2"}'
      assert.same({ true, true }, assert(s:ack(jobs)))
      assert.same({ false, false }, assert(s:ack(jobs)))
      local found = assert(s:find "k1")
      assert.same({ "sent", '{"id":"1"}', 1 }, { found.state, found.result, found.tries })
      assert.is_false(s:find "k2")
      local counts = assert(s:counts())
      assert.same({ 2, 1, 0 }, { counts.sent, counts.waiting, counts.unknown })
      later(61)
      assert.equal("later", assert(s:lease(10, 60000))[1].payload)
    end)

    it("are leased in the order in which they are due", function()
      local s, list = open(), {}
      for i = 1, 30 do list[i] = { payload = tostring(i) } end
      assert(s:enqueue(list))
      local seen = {}
      for _ = 1, 3 do
        local jobs = assert(s:lease(10, 60000))
        table.sort(jobs, function(a, b) return a.id < b.id end)
        for _, job in ipairs(jobs) do seen[#seen + 1] = tonumber(job.payload) end
      end
      for i = 1, 30 do assert.equal(i, seen[i]) end
    end)

    it("hold a key once, and say when its content is another", function()
      local s = open()
      local first = assert(s:enqueue { { payload = "x", key = "k" } })[1]
      local put = assert(s:enqueue { { payload = "x", key = "k" }, { payload = "y", key = "k" } })
      assert.same({ "there", first.id, "waiting" }, { put[1].how, put[1].id, put[1].state })
      assert.equal("other", put[2].how)
      assert.equal("there", assert(s:enqueue { { payload = "y", key = "k", hash = core.sha256 "x" } })[1].how)
      assert.equal(1, assert(s:counts()).waiting)
    end)

    it("wait again after a retry, and stay after a bury", function()
      local s = open()
      assert(s:enqueue { { payload = "a" }, { payload = "b" } })
      local jobs = assert(s:lease(2, 60000))
      assert(s:mark(jobs))
      jobs[1].error = '{"code":"CONNECT"}'
      assert.same({ true }, assert(s:retry { jobs[1] }))
      jobs[2].outcome, jobs[2].error = "refused", "{}"
      assert.same({ true }, assert(s:bury { jobs[2] }))
      assert.same({ false }, assert(s:bury { jobs[2] }))
      local again = assert(s:lease(2, 60000))
      assert.equal(1, #again)
      assert.same({ jobs[1].id, 2 }, { again[1].id, again[1].tries })
      assert.same({ false }, assert(s:mark { jobs[1] }))
      assert.same({ false }, assert(s:ack { jobs[1] }))
      assert.same({ false }, assert(s:extend({ jobs[1] }, 1000)))
      assert.equal(1, assert(s:counts()).refused)
      again[1].delay = 30000
      assert.same({ true }, assert(s:retry(again)))
      assert.same({}, assert(s:lease(2, 60000)))
      later(31)
      assert.equal(3, assert(s:lease(2, 60000))[1].tries)
    end)

    it("are listed by state, those that have it longest first", function()
      local s = open()
      assert(s:enqueue { { payload = "a", key = "a" }, { payload = "b", key = "b" }, { payload = "c" } })
      local jobs = assert(s:lease(3, 60000))
      table.sort(jobs, function(a, b) return a.id < b.id end)
      assert(s:mark(jobs))
      jobs[2].outcome, jobs[2].error = "unknown", '{"code":"LOST"}'
      assert(s:bury { jobs[2] })
      later(2)
      jobs[1].outcome = "unknown"
      assert(s:bury { jobs[1] })
      local list = assert(s:list "unknown")
      assert.equal(2, #list)
      assert.same({ "b", jobs[2].id, 1, '{"code":"LOST"}' }, { list[1].key, list[1].id, list[1].tries, list[1].result })
      assert.same({ "a", jobs[1].id }, { list[2].key, list[2].id })
      assert.equal(1, #assert(s:list("unknown", 1)))
      assert.is_nil(assert(s:list "marked")[1].key)
      assert.same({}, assert(s:list "sent"))
      assert.same({ true, true }, assert(s:retry(list)), "a person has looked them up")
      assert.equal(2, assert(s:counts()).waiting)
    end)

    it("are leased to one of many tasks only", function()
      local s, list = open(), {}
      for i = 1, 60 do list[i] = { payload = tostring(i) } end
      assert(s:enqueue(list))
      local seen, tasks = {}, {}
      for t = 1, 6 do
        tasks[t] = host.spawn(function()
          repeat
            local jobs = assert(s:lease(4, 60000))
            for _, job in ipairs(jobs) do seen[job.payload] = (seen[job.payload] or 0) + 1 end
          until #jobs == 0
        end)
      end
      for t = 1, 6 do assert(host.wait(tasks[t])) end
      for i = 1, 60 do assert.equal(1, seen[tostring(i)]) end
    end)

    it("of dead workers wait again, or are unknown when marked; what is settled is forgotten in time", function()
      local s = open { keep = 3600 }
      assert(s:enqueue { { payload = "a" }, { payload = "b" }, { payload = "c", key = "c" } })
      local jobs = assert(s:lease(3, 60000))
      table.sort(jobs, function(a, b) return a.id < b.id end)
      assert(s:mark { jobs[1], jobs[3] })
      jobs[3].outcome = "not_sent"
      assert(s:bury { jobs[3] })
      later(61)
      assert.same({ waiting = 1, unknown = 1, not_sent = 0, forgotten = 0 }, assert(s:reap()))
      jobs[1].receipt = "{}"
      later(3700)
      assert.same({ waiting = 0, unknown = 0, not_sent = 0, forgotten = 1 }, assert(s:reap()))
      assert.equal(1, assert(s:counts()).unknown)
      assert.is_false(s:find "c")
      assert.equal("made", assert(s:enqueue { { payload = "c", key = "c" } })[1].how)
      assert.same({ true }, assert(s:ack { jobs[1] }), "its own worker was only slow")
      local counts = assert(s:counts())
      assert.same({ 1, 2, 3 }, { counts.sent, counts.waiting, sum(counts) })
    end)

    it("are reaped by who leases, once a minute", function()
      local ticks = 0
      local s = open(nil, { tick = function() return ticks end })
      assert(s:enqueue { { payload = "a" } })
      assert(s:lease(1, 1000))
      later(30)
      ticks = 30
      assert.equal(0, #assert(s:lease(1, 1000)))
      ticks = 61
      assert.equal(1, #assert(s:lease(1, 1000)))
    end)

    it("are extended", function()
      local s = open()
      assert(s:enqueue { { payload = "a" } })
      local jobs = assert(s:lease(1, 100000))
      later(50)
      assert.same({ true }, assert(s:extend(jobs, 100000)))
      later(70)
      assert.equal(0, assert(s:reap()).waiting)
      later(40)
      assert.equal(1, assert(s:reap()).waiting)
      assert.same({ false }, assert(s:extend(jobs, 100000)))
    end)

    it("may be none", function()
      local s = open()
      for _, verb in ipairs { "enqueue", "mark", "ack", "retry", "bury" } do assert.same({}, assert(s[verb](s, {}))) end
      assert.same({}, assert(s:extend({}, 1000)))
      assert.is_true(s:may_send {})
    end)
  end)

  describe("a claim", function()
    local function wish(more)
      local w = { key = "k", hash = "h", visibility_ms = 60000 }
      for name, value in pairs(more or {}) do w[name] = value end
      return w
    end

    it("is one caller's, until it is settled", function()
      local s = open()
      local mine = assert(s:claim(wish { mark = true }))
      assert.same({ "made", "marked", 1 }, { mine.how, mine.state, mine.tries })
      assert.same({ "there", "marked" }, { assert(s:claim(wish())).how, s:claim(wish()).state })
      assert.equal("other", assert(s:claim(wish { hash = "other" })).how)
      assert.equal("there", assert(s:enqueue { { payload = "x", key = "k", hash = "h" } })[1].how)
      assert.same({ true }, assert(s:ack { { id = mine.id, tries = mine.tries, receipt = '{"id":"7"}' } }))
      local later_one = assert(s:claim(wish()))
      assert.same({ "there", "sent", '{"id":"7"}' }, { later_one.how, later_one.state, later_one.result })
    end)

    it("may be had again when nothing was sent, or for now", function()
      local s = open()
      local job = assert(s:claim(wish { mark = true }))
      assert(s:retry { job })
      job = assert(s:claim(wish { mark = true }))
      assert.same({ "made", 2 }, { job.how, job.tries })
      assert(s:bury { { id = job.id, tries = job.tries, outcome = "refused", again = true, error = "{}" } })
      job = assert(s:claim(wish { mark = true }))
      assert.same({ "made", 3 }, { job.how, job.tries })
      assert.is_nil(job.result)
      assert(s:bury { { id = job.id, tries = job.tries, outcome = "refused", error = "{}" } })
      assert.same({ "there", "refused" }, { assert(s:claim(wish())).how, s:claim(wish()).state })
    end)

    it("of a dead caller is free, or unknown when it was marked", function()
      local s = open()
      assert(s:claim(wish()))
      later(61)
      assert.equal("made", assert(s:claim(wish { mark = true })).how)
      later(61)
      assert.same({ "there", "unknown" }, { assert(s:claim(wish())).how, s:claim(wish()).state })
      assert.equal("made", assert(s:claim(wish { resend = true })).how)
    end)
  end)

  describe("take", function()
    it("gives what is there, and says when there is more", function()
      local s = open()
      assert.same({ 3, 0 }, { s:take("smtp", 3, 0.02, 5) })
      local granted, wait = s:take("smtp", 3, 0.02, 5)
      assert.equal(2, granted)
      assert.is_true(wait > 40000 and wait <= 50000, wait)
      assert.equal(0, (s:take("smtp", 1, 0.02, 5)))
      later(50)
      assert.same({ 1, 0 }, { s:take("smtp", 1, 0.02, 5) })
      assert.equal(0, (s:take("smtp", 1, 0.02, 5)))
      assert.same({ 5, 0 }, { s:take("api", 5, 0.02, 5) })
    end)
  end)

  describe("the suppression list", function()
    it("knows an address however it is written, with the oldest reason", function()
      local s = open()
      assert.is_false(s:suppressed "ann@example.com")
      assert.is_true(s:suppress("Ann@Example.COM", "unsubscribed", "link", 1700000000))
      assert.is_true(s:suppress("ann@example.com", "import", "list.csv"))
      assert.is_true(s:suppress("eve@example.com", "complaint"))
      assert.same({ reason = "unsubscribed", source = "link", at = 1700000000 }, s:suppressed "Ann <ANN@example.com>")
      assert.is_false(s:suppressed "bob@example.com")
    end)

    it("is undone by a younger act of its own only", function()
      local s = open()
      assert(s:suppress("ann@example.com", "bounced", "webhook", 1700000000))
      assert(s:resubscribe("ann@example.com", "signup form", 1600000000))
      assert.is_table(s:suppressed "ann@example.com")
      assert(s:resubscribe("ann@example.com", "signup form", 1700000001))
      assert.is_false(s:suppressed "ann@example.com")
      assert(s:suppress("ann@example.com", "complaint", "webhook"))
      assert.equal("complaint", s:suppressed "ann@example.com".reason)
    end)

    it("is read in pages, by address", function()
      local s, want, got = open(), {}, {}
      for i = 1, 25 do
        local address = ("a%02d@example.com"):format(i)
        assert(s:suppress(address, "unsubscribed", "link", 1700000000 + i))
        if i % 3 == 0 then assert(s:resubscribe(address, "form", 1700001000)) else want[#want + 1] = address end
      end
      local after
      repeat
        local page = assert(s.engine:suppressions(after or "", 4))
        for _, row in ipairs(page) do
          got[#got + 1] = row.address
          assert.same({ "unsubscribed", "link", 1700000000 + tonumber(row.address:match "%d+") }, { row.reason, row.source, row.at })
        end
        after = page[1] and page[#page].address
      until not after
      assert.same(want, got)
      assert.equal(#want, #assert(s:suppressions()))
    end)

    it("names the first of several to whom nothing may be sent", function()
      local s = open()
      assert.is_true(s:may_send { "ann@example.com", "bob@example.com" })
      assert(s:suppress("bob@example.com", "unsubscribed", "link", 1700000000))
      local ok, e = s:may_send { "ann@example.com", "Bob@Example.com" }
      assert.is_nil(ok)
      assert.same({ "ADDRESS", "to", "not_sent", false, "recipient" }, { e.code, e.detail, e.outcome, e.retry, e.blame })
      assert.matches("Bob@Example.com is on the suppression list: unsubscribed %(link, ", e.cause)
    end)
  end)
end
