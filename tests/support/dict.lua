--- A shared dict of nginx, in memory: what the tests of rates need of it.
-- @module support.dict
local M = {}

--- A dict whose entries end by the clock of `host`.
-- @tparam table host `tick`
-- @tparam[opt] integer most entries that `safe_set` makes at most
function M.new(host, most)
  local dict = { entries = {}, count = 0 }

  local function alive(key)
    local entry = dict.entries[key]
    if entry and entry.ends and entry.ends <= host.tick() then
      dict.entries[key], entry = nil, nil
      dict.count = dict.count - 1
    end
    return entry
  end

  function dict:get(key)
    local entry = alive(key)
    return entry and entry.value
  end

  function dict:set(key, value, seconds)
    if not alive(key) then self.count = self.count + 1 end
    self.entries[key] = { value = value, ends = seconds and seconds > 0 and host.tick() + seconds or nil }
    return true
  end

  function dict:safe_set(key, value, seconds)
    if not alive(key) and self.count >= (most or math.huge) then return nil, "no memory" end
    return self:set(key, value, seconds)
  end

  function dict:safe_add(key, value, seconds)
    if alive(key) then return false, "exists" end
    return self:safe_set(key, value, seconds)
  end

  function dict:delete(key)
    if alive(key) then self.count = self.count - 1 end
    self.entries[key] = nil
  end

  function dict:incr(key, n, init)
    local entry = alive(key)
    if not entry then
      self:set(key, init)
      entry = self.entries[key]
    end
    entry.value = entry.value + n
    return entry.value
  end

  return dict
end

return M
