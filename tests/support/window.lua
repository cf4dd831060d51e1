--- What happened in a window of time, for tests of rates.
-- @module support.window
local M = {}

--- The most of some times that lie in any window.
-- @tparam {number,...} times in any order; they are sorted
-- @tparam number seconds of the window
-- @treturn number
function M.densest(times, seconds)
  table.sort(times)
  local most, from = 0, 1
  for i = 1, #times do
    while times[i] - times[from] >= seconds do from = from + 1 end
    most = math.max(most, i - from + 1)
  end
  return most
end

return M
