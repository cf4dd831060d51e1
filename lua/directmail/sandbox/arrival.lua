--- Wake whoever waits for something that another task of this program does.
-- @module directmail.sandbox.arrival
local M = {}

local Arrival = {}
Arrival.__index = Arrival

--- Wait until the next `ring`, or for some time; it may end early, so look at what you wait for.
-- @tparam number seconds
function Arrival:wait(seconds)
  local bell = self.host.semaphore()
  self.bells[bell] = true
  bell:wait(seconds)
  self.bells[bell] = nil
end

--- Wake all who wait.
function Arrival:ring()
  for bell in pairs(self.bells) do bell:post() end
end

--- Make one.
-- @tparam table host
-- @treturn table with the methods `wait` and `ring`
function M.new(host)
  return setmetatable({ host = host, bells = {} }, Arrival)
end

return M
