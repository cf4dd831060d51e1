--- Wake whoever waits for something that another task of this program does.
-- The host has tasks, sockets and time, and nothing that one task could ring at
-- another; a listener that is closed wakes who waits in its accept, so each who
-- waits gets one of his own, for as long as he waits.
-- @module directmail.sandbox.arrival
local M = {}

local Arrival = {}
Arrival.__index = Arrival

--- Wait until the next `ring`, or for some time; it may end early, so look at what you wait for.
-- @tparam number seconds
function Arrival:wait(seconds)
  local door = self.host.listen("127.0.0.1", 0)
  if not door then                      -- no descriptor is free: then without being woken
    self.host.sleep(math.min(seconds, 0.1))
    return
  end
  self.doors[door] = true
  self.host.wait(self.host.spawn(self.host.sleep, seconds), self.host.spawn(door.accept, door))
  self.doors[door] = nil
  door:close()
end

--- Wake all who wait.
function Arrival:ring()
  for door in pairs(self.doors) do door:close() end
end

--- Make one.
-- @tparam table host
-- @treturn table with the methods `wait` and `ring`
function M.new(host)
  return setmetatable({ host = host, doors = {} }, Arrival)
end

return M
