--- The account as a whole: its quotas, what it has, its switches, IP protection.
local state = require "directmail.sandbox.operations.state"

local M = {}

local DAILY_QUOTA, FREE, FREE_A_DAY, LEVEL, MAX_LEVEL = 2000, 2000, 200, 1, 10      -- a new account's (Direct Mail, "Limits")
local MOST_FILTERS = 10

local function count(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

-- Recipients of all mails, and of those of today.
local function sent(a)
  local all, today, day = 0, 0, os.date("!%Y-%m-%d", math.floor(a.now))
  for _, mail in ipairs(a.box.mails:all()) do
    all = all + #mail.rcpt_to
    if mail.time:sub(1, 10) == day then today = today + #mail.rcpt_to end
  end
  return all, today
end

function M.DescAccountSummary(a)
  local all, today = sent(a)
  local daily = a.state.daily_quota or DAILY_QUOTA
  return {
    DailyQuota = daily, MonthQuota = daily * 30, DailyRemainFreeQuota = math.max(0, FREE_A_DAY - today),
    RemainFreeQuota = math.max(0, FREE - all), QuotaLevel = LEVEL, MaxQuotaLevel = MAX_LEVEL, UserStatus = a.state.user_status or 0, EnableTimes = 1,
    IpChannelType = "normal", Domains = #a.state.domains, MailAddresses = #a.account.senders.list, Receivers = #a.state.receivers,
    Tags = count(a.account.tags), Templates = count(a.account.templates),
  }
end

function M.GetUser(a) return { Data = { EnableEventbridge = a.state.eventbridge } } end

function M.UpdateUser(a)
  local user = a.p.User
  if type(user) == "string" then user = require "cjson".decode(user) end        -- checked before
  if user and user.EnableEventbridge ~= nil then a.state.eventbridge = tostring(user.EnableEventbridge) == "true" end
  return {}
end

function M.GetIpProtection(a) return { IpProtection = a.state.protection } end

function M.UpdateIpProtection(a)
  a.state.protection = a.p.IpProtection or a.state.protection
  return {}
end

function M.GetIpfilterList(a)
  local list = {}
  for i, filter in ipairs(a.state.filters) do list[i] = { Id = filter.id, IpAddress = filter.address, CreateTime = state.time(filter.created) } end
  return { list = list }
end

function M.AddIpfilter(a)
  if #a.state.filters >= MOST_FILTERS then return nil, "InvalidIpAddress", " There are 10 already." end
  local filter = { id = a.state:id(), address = a.p.IpAddress, created = a.now }
  table.insert(a.state.filters, filter)
  return { IpFilterId = filter.id }
end

function M.DeleteIpfilterByEdmId(a)
  local _, at = state.find(a.state.filters, "id", a.p.Id)
  if not at then return nil, "InvalidId.NotFound" end
  table.remove(a.state.filters, at)
  return {}
end

return M
