--- Keep idle connections for their next use, as nginx's cosocket pools do.
-- Lists by key, the one used last at the end. Stale ones are closed whenever the pool is touched; a peer that closed
-- meanwhile is noticed when its connection is taken.
-- @module directmail.host.pool
local M = {}

--- A pool.
-- @tparam function tick monotonic seconds
-- @treturn table `take` and `put`
function M.new(tick)
  local lists = {}

  local function sweep()
    local now = tick()
    for key, list in pairs(lists) do
      for i = #list, 1, -1 do
        if list[i].expires <= now then table.remove(list, i).fd:close() end
      end
      if #list == 0 then lists[key] = nil end
    end
  end

  local pool = {}

  --- Take the connection that was used last and still lives.
  -- @tparam string key
  -- @treturn ?table what was put; its `fd` is open with nothing unread
  function pool.take(key)
    sweep()
    local list = lists[key]
    while list and #list > 0 do
      local kept = table.remove(list)
      if kept.fd:idle() then return kept end
      kept.fd:close()
    end
  end

  --- Keep a connection.
  -- @tparam string key
  -- @tparam table kept with `fd` (`close`, `idle`); gets the field `expires`
  -- @tparam number seconds how long it may lie idle
  -- @tparam integer size how many are kept under this key; the one that lies longest goes first
  function pool.put(key, kept, seconds, size)
    sweep()
    local list = lists[key] or {}
    lists[key] = list
    while #list >= size do table.remove(list, 1).fd:close() end
    kept.expires = tick() + seconds
    list[#list + 1] = kept
  end

  return pool
end

return M
