-- Enqueue to a Redis of its own on loopback (nothing on the disk, payloads of 500 octets) and print how many a second.
-- Usage: queue.lua ours|fcall|xadd CLIENTS N    ours: so many tasks, one job at a time each; fcall: the same function asked by redis-benchmark;
-- xadd: what a queue in Redis costs at least
local what, clients, n = arg[1], tonumber(arg[2]), tonumber(arg[3])
local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/../?.lua;" .. package.path
local host = require "directmail.host"
local store = require "directmail.store"

local server = require "support.redis".start { words = { "--appendonly", "no" } }
local s = assert(store.open(server.url))
assert(s:counts())                      -- loads the functions

local function ours()
  local payload, left = ("x"):rep(500), n
  local start, tasks = host.tick(), {}
  for i = 1, clients do
    tasks[i] = host.spawn(function()
      while left > 0 do
        left = left - 1
        assert(s:enqueue { { payload = payload } })
      end
    end)
  end
  for i = 1, clients do assert(host.wait(tasks[i])) end
  return n / (host.tick() - start)
end

local function benchmark(command)
  local line = ("redis-benchmark -p %d -c %d -n %d -r 1000000000 -d 500 --csv %s"):format(server.port, clients, n, command)
  local pipe = assert(io.popen(line))
  local text = pipe:read "*a"
  pipe:close()
  return assert(tonumber(text:match '\n"[^"]*","([%d.]+)"'), text)
end

local rate
if what == "ours" then
  rate = ours()
  assert(assert(s:counts()).waiting == n, "jobs are missing")
elseif what == "fcall" then
  local hash = ("0"):rep(64)
  rate = benchmark(("FCALL directmail_enqueue 1 {directmail} 1 0 __rand_int__ 0 '' %s %s"):format(hash, ("x"):rep(500)))
  assert(assert(s:counts()).waiting == n, "jobs are missing")
else
  rate = benchmark("XADD queue '*' payload " .. ("x"):rep(500))
end
s:close()
server:stop()
print(("rate=%.1f"):format(rate))
