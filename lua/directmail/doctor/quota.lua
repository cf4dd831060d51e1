--- The account's state, and how much of today's quota is used.
-- UserStatus adds bits (Direct Mail, DescAccountSummary).
local BITS = { { 1, "frozen" }, { 2, "overdue: a bill is not paid" }, { 4, "restricted in sending" }, { 8, "deleted" } }
local NEARLY = 0.9

local function has(number, bit) return math.floor(number / bit) % 2 == 1 end

return {
  id = "quota",
  title = "account and quota",
  needs = { "api.call" },
  network = true,
  run = function(look)
    if not look:key() then return nil, "only the API knows it, and there is no AccessKey" end
    local summary, e = look:call "DescAccountSummary"
    if not summary then return look:unanswered(e) end
    local found, status = {}, tonumber(summary.UserStatus) or 0
    for _, row in ipairs(BITS) do
      if has(status, row[1]) then
        found[#found + 1] = { status = "fail", rule = "account.status", cause = "the account is " .. row[2],
          remedy = row[1] == 2 and "pay the bill; sending starts again some minutes later" or "see the console's message, and ask Alibaba Cloud's support" }
      end
    end
    local quota, used = tonumber(summary.DailyQuota), 0
    local senders = look:list("QueryMailAddressByParam", { PageNo = 1, PageSize = 100 })
    for _, entry in ipairs(senders or {}) do used = used + (tonumber(entry.DailyCount) or 0) end
    local told = ("%s of %s used today%s"):format(senders and ("%.0f"):format(used) or "?", quota and ("%.0f"):format(quota) or "?",
      tonumber(summary.QuotaLevel) and (", reputation level %.0f of %.0f"):format(summary.QuotaLevel, tonumber(summary.MaxQuotaLevel) or 10) or "")
    local before = "; before you ask for more quota, take invalid addresses out of your lists (directmail list export invalid), "
      .. "since the level follows their share"
    if quota and senders and used >= quota then
      found[#found + 1] = { status = "fail", rule = "quota.used", cause = ("today's quota of %.0f mails is used up"):format(quota),
        remedy = "wait for the next day" .. before }
    elseif quota and senders and used >= NEARLY * quota then
      found[#found + 1] = { status = "warn", rule = "quota.near", cause = ("%.0f of today's %.0f mails are used"):format(used, quota),
        remedy = "spread over days what can wait" .. before }
    end
    return told, found
  end,
}
