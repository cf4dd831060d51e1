--- The region that settings name.
-- @module directmail.region
local core = require "directmail.core"
local err = require "directmail.err"

local M = {}

--- The region of the settings.
-- @tparam table settings `region`, else `route`
-- @treturn table|nil a row of `core.regions()`; nil when neither is set
-- @return err when it cannot be used
function M.of(settings)
  if settings.region then
    local ids = {}
    for _, region in ipairs(core.regions()) do
      if region.id == settings.region then return region end
      if region.open then ids[#ids + 1] = region.id end           -- no account is new in one that was closed
    end
    local near = require("directmail.option").nearest(settings.region, ids)
    return err.refuse("OPTION", "region", ('Direct Mail has no region "%s"'):format(err.printable(settings.region)),
      (near and ("did you mean %s? "):format(near) or "") .. "there are: " .. table.concat(ids, ", "))
  end
  if settings.route then
    local route, e = require "directmail.route"(settings.route)
    if not route then return nil, e end
    for _, region in ipairs(core.regions()) do
      if region.id == route.region then return region end
    end
  end
end

return M
