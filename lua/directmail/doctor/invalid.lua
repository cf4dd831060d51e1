--- The share of invalid addresses in the last week: the reputation level and with it the quota follow it.
local rights = require "directmail.doctor.rights"

local WARN, FAIL = 0.02, 0.05   -- as for warming up: up to 2 % goes on, above 5 % steps back
local LEAST = 50                -- mails below which a share says nothing

return {
  id = "quota.invalid",
  title = "share of invalid addresses",
  needs = { "api.call" },
  network = true,
  run = function(look)
    if not look.sender then return nil, "no sender is set" end
    if not look:key() then return nil, "only the API knows it, and there is no AccessKey" end
    local from, to = rights.week(look)
    local days, e = look:list("SenderStatisticsByTagNameAndBatchID", { AccountName = look.sender, StartTime = from, EndTime = to })
    if not days then return look:unanswered(e) end
    local asked, bad = 0, 0
    for _, day in ipairs(days) do
      asked = asked + (tonumber(day.requestCount) or 0)
      bad = bad + (tonumber(day.unavailableCount) or 0)
    end
    local told = ("%.0f of %.0f in the last seven days"):format(bad, asked)
    if asked < LEAST then return told .. ": too few to tell" end
    local share = bad / asked
    if share <= WARN then return told end
    return told, { { status = share > FAIL and "fail" or "warn", rule = "quota.invalid",
      cause = ("%.1f %% of the addresses were invalid (%s)"):format(share * 100, told),
      remedy = "purge them before you send again or ask for more quota: directmail list export invalid, "
        .. "then directmail list purge FILE; check new ones: directmail list check --mx" } }
  end,
}
