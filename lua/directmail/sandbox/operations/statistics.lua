--- What became of the mails that the sandbox took: everything was delivered at once, nobody opened anything.
-- Days and minutes are those of UTC.
local state = require "directmail.sandbox.operations.state"

local M = {}

local DELIVERED, INVALID = 0, 2

-- Each recipient of each mail, newest first, and the recipients of mailings that were refused.
local function deliveries(a)
  local list = {}
  for _, mail in ipairs(a.box.mails:all()) do
    for _, address in ipairs(mail.rcpt_to) do
      list[#list + 1] = { to = address, account = mail.account or mail.user or mail.mail_from, tag = mail.tag, subject = mail.subject, tracked = mail.tracked,
        status = DELIVERED, said = "250 Send Mail OK", class = "SendOk", time = mail.time }
    end
  end
  for _, one in ipairs(a.state.refused) do
    list[#list + 1] = { to = one.to, account = one.account, tag = one.tag, subject = one.subject, status = INVALID, said = "559 Invalid rcptto",
      class = "SmtpNxBox", time = os.date("!%Y-%m-%dT%H:%M:%S.000Z", math.floor(one.time)), tracked = one.tracked }
  end
  table.sort(list, function(x, y)
    if x.time ~= y.time then return x.time > y.time end
    return x.to < y.to
  end)
  return list
end

local function fits(one, p)
  local name, domain = one.account:lower(), one.account:match "@([^@]*)$" or ""
  return (not p.AccountName or p.AccountName:lower() == name) and (not p.TagName or p.TagName == one.tag)
    and (not p.ToAddress or p.ToAddress:lower() == one.to:lower()) and (not p.Domain or p.Domain:lower() == domain:lower())
end

local function day_of(one) return one.time:sub(1, 10) end

local function in_days(one, p) return day_of(one) >= p.StartTime and day_of(one) <= p.EndTime end

local function utc(time)
  local y, mo, d, h, mi, s = time:match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)"
  -- os.time reads local time: the difference to UTC at that moment comes off
  local at = os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = s, isdst = false }
  local there = os.date("!*t", at)
  there.isdst = false
  return at + (at - os.time(there))
end

function M.SenderStatisticsDetailByParam(a)
  local list, p = {}, a.p
  for _, one in ipairs(deliveries(a)) do
    local minute = one.time:sub(1, 10) .. " " .. one.time:sub(12, 16)
    if fits(one, p) and (p.Status == nil or tonumber(p.Status) == one.status) and (not p.StartTime or minute >= p.StartTime)
      and (not p.EndTime or minute <= p.EndTime) then
      list[#list + 1] = { AccountName = one.account, ErrorClassification = one.class, LastUpdateTime = one.time:sub(1, 16) .. "Z", Message = one.said,
        Status = one.status, Subject = one.subject, ToAddress = one.to, UtcLastUpdateTime = ("%.0f"):format(utc(one.time)) }
    end
  end
  return { list = list }
end

local function percent(part, whole) return ("%.2f%%"):format(whole > 0 and 100 * part / whole or 0) end

-- Days of the window that have something, each with what `add` collects.
local function by_day(a, add)
  local days, order = {}, {}
  for _, one in ipairs(deliveries(a)) do
    if fits(one, a.p) and in_days(one, a.p) then
      local day = day_of(one)
      if not days[day] then
        days[day] = { day = day, all = 0, delivered = 0, tracked = 0 }
        order[#order + 1] = days[day]
      end
      add(days[day], one)
    end
  end
  return order
end

function M.SenderStatisticsByTagNameAndBatchID(a)
  local list = {}
  for _, day in ipairs(by_day(a, function(day, one)
    day.all = day.all + 1
    if one.status == DELIVERED then day.delivered = day.delivered + 1 end
  end)) do
    list[#list + 1] = { CreateTime = day.day, requestCount = day.all, successCount = day.delivered, unavailableCount = day.all - day.delivered,
      faildCount = 0, succeededPercent = percent(day.delivered, day.all), unavailablePercent = percent(day.all - day.delivered, day.all) }
  end
  return { list = list }
end

local function tracked(a)
  local list = {}
  for _, day in ipairs(by_day(a, function(day, one)
    if one.tracked then day.tracked = day.tracked + 1 end
  end)) do
    if day.tracked > 0 then
      list[#list + 1] = { CreateTime = day.day, TotalNumber = day.tracked, RcptClickCount = 0, RcptClickRate = percent(0, 1), RcptOpenCount = 0,
        RcptOpenRate = percent(0, 1), RcptUniqueClickCount = 0, RcptUniqueClickRate = percent(0, 1), RcptUniqueOpenCount = 0,
        RcptUniqueOpenRate = percent(0, 1) }
    end
  end
  return { list = list }
end

M.GetTrackList, M.GetTrackListByMailFromAndTagName = tracked, tracked

function M.QueryTaskByParam(a)
  local list = {}
  for i = #a.state.tasks, 1, -1 do
    local task = a.state.tasks[i]
    if (not a.p.KeyWord or (task.template or ""):find(a.p.KeyWord, 1, true) or (task.receivers or ""):find(a.p.KeyWord, 1, true))
      and (a.p.Status == nil or tostring(a.p.Status) == task.status) then
      list[#list + 1] = { AddressType = task.address_type, CreateTime = state.time(task.time), IpPoolId = task.pool, ReceiversName = task.receivers,
        RequestCount = task.count, TagName = task.tag, TaskId = task.id, TaskStatus = task.status, TemplateName = task.template,
        UtcCreateTime = math.floor(task.time) }
    end
  end
  return { list = list }
end

return M
