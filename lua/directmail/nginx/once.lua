--- What must happen once for an event that may come several times, to several workers and machines.
-- With a store the event's id is a key of it, and remembered as long as its other keys; without one a shared dict remembers for three days, on this
-- machine and until nginx is started anew. Something that failed, or died half-way, happens again.
-- @module directmail.nginx.once
local core = require "directmail.core"

local M = {}

local LEASE = 60                -- seconds after which whoever began is taken for dead
local REMEMBER = 3 * 86400

local function in_store(store, key, run)
  local job, e = store:claim { key = key, hash = core.sha256(key), visibility_ms = LEASE * 1000, mark = true, resend = true }
  if not job then return nil, e end
  if job.how ~= "made" then
    if job.state == "leased" or job.state == "marked" then return nil, "another worker is at it" end
    return false
  end
  local ok, why = run()
  if not ok then
    store:retry { job }
    return nil, why
  end
  local done
  done, e = store:ack { { id = job.id, tries = job.tries } }
  if not done then return nil, e end
  return true
end

local function in_dict(dict, key, run)
  local name = "event:" .. core.sha256(key)
  local added, why = dict:add(name, "begun", LEASE)
  if not added then
    if why ~= "exists" then return nil, why end
    if dict:get(name) == "begun" then return nil, "another worker is at it" end
    return false
  end
  local ok
  ok, why = run()
  if not ok then
    dict:delete(name)
    return nil, why
  end
  dict:set(name, "done", REMEMBER)
  return true
end

--- Do it, unless it was done.
-- @tparam table where `store`, or else `dict`
-- @tparam string key of 1 to 255 octets
-- @tparam function run returns true; or nil, why
-- @treturn ?boolean true: done now; false: it was done before; nil, why: it is not done, and may be tried again
function M.run(where, key, run)
  if where.store then return in_store(where.store, key, run) end
  return in_dict(where.dict, key, run)
end

return M
