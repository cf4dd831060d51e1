--- What the key may do: each look-up of the doctor is a right of its own.
local function week(look)
  local now = math.floor(look.host.now())
  return os.date("!%Y-%m-%d", now - 6 * 86400), os.date("!%Y-%m-%d", now)
end

-- The look-ups, in order; others of the doctor's checks ask the same.
local function calls(look)
  local list = { { "DescAccountSummary" } }
  if look.sender then
    list[#list + 1] = { "QueryMailAddressByParam", { KeyWord = require "directmail.elsewhere".keyword(look.sender), PageNo = 1, PageSize = 50 } }
    local from, to = week(look)
    list[#list + 1] = { "SenderStatisticsByTagNameAndBatchID", { AccountName = look.sender, StartTime = from, EndTime = to } }
  end
  if look.domain then list[#list + 1] = { "QueryDomainByParam", { KeyWord = look.domain:sub(1, 50), PageNo = 1, PageSize = 50 } } end
  list[#list + 1] = { "QueryTagByParam", { PageNo = 1, PageSize = 50 } }
  list[#list + 1] = { "QueryTemplateByParam", { PageNo = 1, PageSize = 50 } }
  return list
end

return {
  id = "api.rights",
  title = "rights of the AccessKey",
  needs = { "api.call" },
  network = true,
  regional = true,
  week = week,
  run = function(look)
    if not look:key() then return nil, "there is no AccessKey" end
    local at, no = look:api_endpoint()
    if not at then return nil, no.cause end
    local missing, failed, allowed = {}, {}, {}
    local function judge(operation, answer, e)
      local right = e and look:missing_right(e)
      if answer then allowed[#allowed + 1] = "dm:" .. operation
      elseif right then missing[#missing + 1] = right
      else failed[#failed + 1] = { status = e.retry and "warn" or "fail", rule = "api.lookup",
        cause = ("%s: %s%s"):format(operation, e.cause, e.detail and (" (%s)"):format(e.detail) or ""),
        remedy = e.remedy } end
    end
    for _, one in ipairs(calls(look)) do judge(one[1], look:call(one[1], one[2])) end
    local entry = look.domain and look:console_domain()
    if entry then judge("DescDomain", look:call("DescDomain", { DomainId = tostring(entry.DomainId), RequireRealTimeDnsRecords = "true" })) end
    if #missing > 0 then
      table.insert(failed, 1, { status = "fail", rule = "api.right", cause = "these rights are missing: " .. table.concat(missing, ", "),
        remedy = ("allow them in a RAM policy (directmail api --policy %s prints one)"):format((table.concat(missing, " "):gsub("dm:", ""))) })
    end
    -- what is true of every region is said once
    local rest = look.home and "" or "; sending needs dm:SingleSendMail, which cannot be tried without sending"
    return (#allowed > 0 and table.concat(allowed, ", ") or "none") .. rest, failed
  end,
}
