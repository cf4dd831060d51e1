--- The regions of the service, each looked at with the checks whose answer differs by region.
-- @module directmail.doctor.regions
local elsewhere = require "directmail.elsewhere"
local new_look = require "directmail.doctor.look".new

local M = {}

-- What is known of a thing that a region has or has not.
local function known(has)
  if has == nil then return "unknown" end
  return has and "yes" or "no"
end

-- One region's part of the report.
local function entry_of(region, look, told)
  local api, smtp = look:api_endpoint(), look:smtp_endpoint()
  return {
    region = region.id, name = region.name, status = told.status, checks = told.checks, api = api and api.host, smtp = smtp and smtp.host,
    sender = known(look.has.sender), domain = known(look.has.domain),
  }
end

-- What does not work in a region that nobody uses keeps no mail from going.
local function soften(entry)
  if entry.status ~= "fail" then return end
  entry.status = "warn"
  for _, check in ipairs(entry.checks) do
    if check.status == "fail" then
      check.status = "warn"
      for _, one in ipairs(check.findings) do one.status = "warn" end
    end
  end
end

--- Begin to look at the other regions, all at once: the table has a handful.
-- @tparam table look at the region that is set, if one is
-- @tparam function examine `examine(look)` -> `{ status=, checks= }` of what differs by region
-- @tparam[opt] function progress as of `doctor.run`; a region is told as a check whose id is the region's
-- @treturn function to be called when the region that is set has been looked at, with its `{ status=, checks= }`: waits for the others, and
--   returns the list of entries
function M.begin(look, examine, progress)
  local host, rows, tasks = look.host, {}, {}
  local regions = elsewhere.regions(look.mail)
  for i, region in ipairs(regions) do
    if region.id ~= look.region then
      local there = new_look {
        host = host, mail = elsewhere.there(look.mail, region), seconds = look.seconds, domain = look.domain, kind = look.kind, home = look,
      }
      tasks[i] = host.spawn(function()
        if progress then progress("begin", { id = region.id, title = region.name }) end
        rows[i] = entry_of(region, there, examine(there))
        if progress then progress("done", { id = region.id, title = region.name, status = rows[i].status }) end
      end)
    end
  end
  return function(told)
    local used = look.region ~= nil
    for i, region in ipairs(regions) do
      if tasks[i] then
        local ok, why = host.wait(tasks[i])
        if not ok then error(why, 0) end
      else
        rows[i] = entry_of(region, look, told)
        rows[i].set = true
      end
      used = used or rows[i].sender == "yes"
    end
    for _, entry in ipairs(rows) do
      if used and not entry.set and entry.sender ~= "yes" then soften(entry) end
    end
    return rows
  end
end

return M
