--- Operations of the API, group mail job: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.mail_job
-- luacheck: no max line length
return {
  QueryTaskByParam = {
    retry_reason = "read only",
    seen = "1.0.5",
    columns = { "TaskId", "TaskStatus", "TemplateName", "ReceiversName", "TagName", "RequestCount", "CreateTime" },
    says = { "page with PageNo although the answer calls it PageNumber" },
    list = "data.task",
    paging = { style = "page", position = "PageNo", size = "PageSize", total = "TotalCount" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "KeyWord", type = "string", note = "search word" },
      { name = "PageNo", type = "integer", default = "1", min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "integer", default = "10", note = "entries per page" },
      { name = "Status", type = "integer", note = "task status filter" },
    },
    answer = {
      { name = "PageNumber", type = "integer", note = "page shown" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "task", type = "list of object", fields = {
          { name = "AddressType", type = "string" },
          { name = "ConfigSetId", type = "string" },
          { name = "ConfigSetName", type = "string" },
          { name = "CreateTime", type = "string", note = "creation time" },
          { name = "IpPoolId", type = "string" },
          { name = "IpPoolName", type = "string" },
          { name = "ReceiversName", type = "string" },
          { name = "RequestCount", type = "string" },
          { name = "TagName", type = "string" },
          { name = "TaskId", type = "string" },
          { name = "TaskStatus", type = "string" },
          { name = "TemplateName", type = "string" },
          { name = "UtcCreateTime", type = "integer", note = "creation time, unix seconds" },
        } },
      } },
    },
  },
}
