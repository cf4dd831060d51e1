--- What the sandbox's account holds beside senders: domains, lists, tasks and settings, made anew for each run.
-- A test may set what the service alone decides: `daily_quota`, `user_status`, and the `status` of a domain or a sender.
-- @module directmail.sandbox.operations.state
local M = {}

local FIRST_ID = 100100         -- ids that are made; lower ones exist from the start

--- A time as the service's answers have it, in UTC.
-- @tparam number seconds since 1970
-- @treturn string
function M.time(seconds) return os.date("!%Y-%m-%dT%H:%MZ", math.floor(seconds)) end

local State = {}
State.__index = State

--- An id that nobody has.
-- @treturn string
function State:id()
  self.last = self.last + 1
  return tostring(self.last)
end

--- The domain of that name.
-- @tparam string name
-- @treturn ?table
function State:domain(name)
  for _, domain in ipairs(self.domains) do
    if domain.name == name:lower() then return domain end
  end
end

--- Add a domain.
-- @tparam string name
-- @tparam string status "0" verified, "1" not
-- @tparam number now seconds since 1970
-- @treturn table
function State:add_domain(name, status, now)
  local domain = { id = self:id(), name = name:lower(), status = status, created = now }
  self.domains[#self.domains + 1] = domain
  return domain
end

-- Senders, tags and templates that were there before had no id of their own.
local function complete(state, account, now)
  for _, sender in ipairs(account.senders.list) do
    sender.id, sender.created = sender.id or state:id(), sender.created or now
    local name = sender.address:match "@([^@]*)$"
    if not state:domain(name) then state:add_domain(name, "0", now) end
  end
  for _, tag in pairs(account.tags) do tag.id, tag.created = tag.id or state:id(), tag.created or now end
  for _, template in pairs(account.templates) do
    template.status, template.created = template.status or "2", template.created or now
  end
end

--- The state of a box's account.
-- @tparam table box `{account, host}`
-- @treturn table
function M.of(box)
  local account, now = box.account, box.host.now()
  if not account.state then
    account.state = setmetatable({
      last = FIRST_ID, domains = {}, receivers = {}, tasks = {}, refused = {}, suppressions = {}, blocks = {}, config_sets = {}, filters = {},
      protection = "0", level = "0", eventbridge = false,
      invalid = { { address = "invalid@sandbox.example", time = now } },
    }, State)
    complete(account.state, account, now)
  end
  return account.state
end

--- The first of a list whose field has a value.
-- @tparam table list
-- @tparam string field
-- @param value
-- @treturn ?table
-- @treturn ?integer its place
function M.find(list, field, value)
  for i, item in ipairs(list) do
    if item[field] == value then return item, i end
  end
end

return M
