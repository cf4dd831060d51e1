--- Operations of the API, group statistics: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.statistics
-- luacheck: no max line length
return {
  SenderStatisticsByTagNameAndBatchID = {
    retry_reason = "read only",
    seen = "1.0.5",
    list = "data.stat",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "AccountName", type = "string", note = "filter" },
      { name = "DedicatedIp", type = "string", note = "one dedicated address; only for owners of dedicated IPs" },
      { name = "DedicatedIpPoolId", type = "string", note = "one pool; only for owners of dedicated IPs" },
      { name = "Domain", type = "string", note = "filter by sending domain" },
      { name = "EndTime", type = "string", required = true, format = "yyyy-MM-dd", max_span_days = 7, note = "last day" },
      { name = "Esp", type = "string", enum = { "gmail.com", "yahoo.com", "outlook.com", "icloud.com", "others" }, note = "mail provider filter; only for owners of dedicated IPs" },
      { name = "StartTime", type = "string", required = true, format = "yyyy-MM-dd", max_span_days = 7, max_age_days = 30, note = "first day, within the last 30 days" },
      { name = "TagName", type = "string", note = "filter" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "stat", type = "list of object", fields = {
          { name = "CreateTime", type = "string", note = "creation time" },
          { name = "faildCount", type = "string", note = "failed (the misspelling is on the wire)" },
          { name = "requestCount", type = "string", note = "requested" },
          { name = "succeededPercent", type = "string", note = "share delivered" },
          { name = "successCount", type = "string", note = "delivered" },
          { name = "unavailableCount", type = "string", note = "invalid addresses" },
          { name = "unavailablePercent", type = "string", note = "share invalid" },
        } },
      } },
    },
  },
  SenderStatisticsDetailByParam = {
    retry_reason = "read only",
    seen = "1.0.5",
    columns = { "LastUpdateTime", "Status", "ToAddress", "AccountName", "ErrorClassification", "Message" },
    says = { "at most one of AccountName, TagName, ToAddress" },
    list = "data.mailDetail",
    paging = { style = "cursor", position = "NextStart", size = "Length", next = "NextStart" },
    rule = { { "at_most_one", "AccountName", "TagName", "ToAddress" } },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "AccountName", type = "string", note = "filter; give at most one of AccountName, TagName, ToAddress" },
      { name = "ConfigSetId", type = "string", note = "id of a configuration set" },
      { name = "EndTime", type = "string", format = "yyyy-MM-dd HH:mm", max_span_days = 30, note = "end of window" },
      { name = "IpPoolId", type = "string", note = "dedicated IP pool used as outbound address" },
      { name = "Length", type = "integer", min = 1, max = 100, note = "entries wanted" },
      { name = "NextStart", type = "string", note = "cursor from the last answer" },
      { name = "StartTime", type = "string", format = "yyyy-MM-dd HH:mm", max_span_days = 30, note = "start of window" },
      { name = "Status", type = "integer", enum = { "0", "2", "3", "4" }, note = "0 delivered, 2 invalid address, 3 spam, 4 failed (no 1)" },
      { name = "TagName", type = "string", note = "filter; give at most one of AccountName, TagName, ToAddress" },
      { name = "ToAddress", type = "string", note = "filter; give at most one of AccountName, TagName, ToAddress" },
    },
    answer = {
      { name = "NextStart", type = "string", note = "cursor for the next call" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "mailDetail", type = "list of object", fields = {
          { name = "AccountName", type = "string" },
          { name = "ConfigSetId", type = "string" },
          { name = "ConfigSetName", type = "string" },
          { name = "ErrorClassification", type = "string", note = "class of failure, for example SmtpNxBox or SendOk" },
          { name = "IpPoolId", type = "string" },
          { name = "IpPoolName", type = "string" },
          { name = "LastUpdateTime", type = "string" },
          { name = "Message", type = "string", note = "last SMTP reply" },
          { name = "Status", type = "integer", note = "0 delivered, 2 invalid address, 3 spam, 4 failed" },
          { name = "Subject", type = "string" },
          { name = "ToAddress", type = "string" },
          { name = "UtcLastUpdateTime", type = "string" },
        } },
      } },
    },
  },
}
