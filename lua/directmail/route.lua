--- Choose the region, the hosts and the ports of Direct Mail, with reasons in words.
-- The rules are those of https://www.alibabacloud.com/help/en/direct-mail/api-endpoints and the
-- pages beside it; they stand in src/data/ and run in C.
-- The module is the function.
-- @module directmail.route
local core = require "directmail.core"
local err = require "directmail.err"
local option = require "directmail.option"

local KNOWN = { "deployed", "recipients", "via", "residency", "ecs" }

local REMEDY = {
  deployed = "say where your program runs: cn, us, sg, other, or the id of an Alibaba Cloud region",
  recipients = "say where most of your readers are: cn or world",
  via = "say smtp or api",
  residency = "name the countries that may hold the data (cn, sg, us, de), or leave residency away",
}

--- Choose; `directmail.route` is this.
-- @function route
-- @tparam table options `deployed` ("cn", "us", "sg", "other" or a region id), `recipients` ("cn" or
--   "world"), `via` ("smtp", the default, or "api"), `residency` (country codes that may hold the
--   data: a list, or one string), `ecs` (true: the program runs on ECS, where port 25 is closed)
-- @treturn table|nil `{ region=, api=, smtp=, ports = { {port=, tls="implicit"|"starttls"}… },
--   reasons = { {rule=, text=}… } }`; the first reason is the rule that decided
-- @treturn err OPTION: a word that is not known, or residency leaves no region
local function route(options)
  option.check(options, KNOWN, "directmail.route", 2)
  if options.ecs ~= nil and type(options.ecs) ~= "boolean" then
    error("field 'ecs' of directmail.route must be a boolean", 2)
  end
  for _, name in ipairs { "deployed", "recipients", "via" } do
    if options[name] ~= nil and type(options[name]) ~= "string" then
      error(("field '%s' of directmail.route must be a string"):format(name), 2)
    end
  end
  local residency = options.residency
  if type(residency) == "table" then
    for i, country in ipairs(residency) do
      if type(country) ~= "string" then error(("residency[%d] of directmail.route must be a string"):format(i), 2) end
    end
  elseif residency ~= nil and type(residency) ~= "string" then
    error("field 'residency' of directmail.route must be a list or a string", 2)
  end
  local found, why = core.route { deployed = options.deployed, recipients = options.recipients,
    via = options.via or "smtp", residency = residency, ecs = options.ecs }
  if found then return found end
  return nil, err.new { code = why.code, detail = why.field, cause = why.detail, remedy = REMEDY[why.field] }
end

return route
