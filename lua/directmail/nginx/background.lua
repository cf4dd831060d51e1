--- Mails that wait in a worker's memory, and a fixed number of timers that send them.
-- One timer a mail would lose mails: above lua_max_running_timers (256), whoever made them, nginx drops timers, after it has said that they would run.
-- So a repeated timer, which is dropped for one turn only, looks whether those that were asked for have begun.
-- What waits here is lost when the worker dies; when nginx is told to quit or to reload it is sent first, as far as worker_shutdown_timeout lets it.
-- @module directmail.nginx.background
local M = {}

local Queue = {}
Queue.__index = Queue

local RENEW = 100               -- mails after which a timer makes room for a new one: what it allocated is freed at its end
local ATTEMPTS = 3
local LOOK = 1                  -- seconds between two looks whether the timers began

--- Make a queue.
-- @tparam table options `most` = mails that may wait, `pumps` = timers, `send` = called with each entry; returns seconds to wait before the same is
--   to be tried again, or nil; `on_change` = called with how many wait; `host`
-- @treturn queue
function M.new(options)
  return setmetatable({ most = options.most, pumps = options.pumps, send = options.send, on_change = options.on_change, host = options.host,
    first = 1, last = 0, running = 0, asked = 0, begun = 0, seen = 0 }, Queue)
end

--- How many wait.
function Queue:waiting() return self.last - self.first + 1 end

function Queue:take()
  if self.first > self.last then return nil end
  local entry = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  self.on_change(self:waiting())
  return entry
end

local function deliver(self, entry)
  for attempt = 1, ATTEMPTS do
    local again = self.send(entry, attempt == ATTEMPTS or ngx.worker.exiting())
    if not again or attempt == ATTEMPTS or ngx.worker.exiting() then return end
    self.host.sleep(math.min(again, 2 ^ attempt))
  end
end

-- One timer's life. `premature`: nginx ends, and runs its timers at once; sockets still work.
local function pump(_, self)
  self.begun, self.asked = self.begun + 1, math.max(self.asked - 1, 0)
  if self.running >= self.pumps then return end         -- one that was taken for dropped, and was only late
  self.running = self.running + 1
  local n = 0
  while n < RENEW or ngx.worker.exiting() do
    local entry = self:take()
    if not entry then break end
    n = n + 1
    deliver(self, entry)
  end
  self.running = self.running - 1
  if self:waiting() > 0 then self:wake() end
end

-- Those that were asked for and have not begun since the last look were dropped.
local function watch(_, self)
  if self.begun == self.seen then self.asked = 0 end
  self.seen = self.begun
  if self:waiting() > 0 then self:wake() end
end

--- Have a timer for what waits, if there are fewer than there may be.
-- @treturn ?string why there is none more
function Queue:wake()
  if self.running + self.asked >= self.pumps then return end
  local ok, why = ngx.timer.at(0, pump, self)
  if not ok then
    self.host.log("error", "no timer for mails in the background: " .. tostring(why))
    return "nginx gives no timer: " .. tostring(why)
  end
  self.asked = self.asked + 1
  self.watched = self.watched or ngx.timer.every(LOOK, watch, self)     -- when nginx has none to give now, the next wake() asks again
end

--- Let a mail wait.
-- @param entry
-- @treturn boolean true; or false, why: it is full, or there is no timer
function Queue:push(entry)
  if self:waiting() >= self.most then
    self:wake()
    return false, ("%d mails wait in this worker already"):format(self.most)
  end
  self.last = self.last + 1
  self[self.last] = entry
  self.on_change(self:waiting())
  local why = self:wake()
  if self.running + self.asked > 0 then return true end
  self[self.last] = nil         -- nobody would send it
  self.last = self.last - 1
  self.on_change(self:waiting())
  return false, why
end

return M
