--- Operations of the API, group account: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.account
-- luacheck: no max line length
return {
  DescAccountSummary = {
    retry_reason = "read only",
    seen = "1.0.5",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
    },
    answer = {
      { name = "DailyQuota", type = "integer", note = "mails allowed per day" },
      { name = "DailyRemainFreeQuota", type = "integer", note = "free mails left today" },
      { name = "DayuStatus", type = "integer", deprecated = true },
      { name = "Domains", type = "integer" },
      { name = "EnableTimes", type = "integer" },
      { name = "IpChannelType", type = "string", note = "normal or backup outbound channel" },
      { name = "MailAddresses", type = "integer" },
      { name = "MaxQuotaLevel", type = "integer", note = "highest reputation level the account may reach" },
      { name = "MonthQuota", type = "integer", note = "mails allowed per month" },
      { name = "QuotaLevel", type = "integer", note = "reputation level" },
      { name = "Receivers", type = "integer" },
      { name = "RemainFreeQuota", type = "integer", note = "free mails left in all" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "SmsRecord", type = "integer", deprecated = true },
      { name = "SmsSign", type = "integer", deprecated = true },
      { name = "SmsTemplates", type = "integer", deprecated = true },
      { name = "Tags", type = "integer" },
      { name = "Templates", type = "integer" },
      { name = "UserStatus", type = "integer", note = "bits: 0 normal, 1 frozen, 2 overdue, 4 outbound restricted, 8 deleted" },
    },
  },
  GetUser = {
    retry_reason = "read only",
    seen = "1.7.2",
    method = { "GET" },
    params = {
    },
    answer = {
      { name = "Data", type = "object", note = "container", fields = {
        { name = "EnableEventbridge", type = "boolean" },
      } },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  UpdateUser = {
    retry_reason = "sets a value",
    seen = "1.7.2",
    says = { "the SDK sends User as JSON text" },
    params = {
      { name = "User", type = "object", wire = "json", note = "JSON text with EnableEventbridge true or false", fields = {
        { name = "EnableEventbridge", type = "boolean", note = "publish events to EventBridge" },
      } },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
}
