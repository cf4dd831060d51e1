--- Operations of the API, group invalid address: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.invalid_address
-- luacheck: no max line length
return {
  CreateUserSuppression = {
    retry_reason = "effect of a repeat is not documented; list first",
    seen = "1.7.2",
    look = "ListUserSuppression",
    codes = { "InvalidAddress.Locked", "InvalidAddressNumber.Malformed" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "Address", type = "string", note = "address or whole domain" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "SuppressionId", type = "string" },
    },
  },
  DeleteInvalidAddress = {
    retry_reason = "second call reports the address is not there",
    seen = "1.0.6",
    done = { "InvalidAddress.NotFound" },
    codes = { "InvalidAddress.Locked", "InvalidAddress.NotFound", "InvalidAddressNumber.Malformed" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "ToAddress", type = "string", note = "address to release" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetSuppressionListLevel = {
    retry_reason = "read only",
    seen = "1.7.2",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "SuppressionListLevel", type = "string" },
    },
  },
  ListUserSuppression = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "Data.UserSuppressions",
    paging = { style = "page", position = "PageNo", size = "PageSize", total = "TotalCount" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "Address", type = "string", note = "filter" },
      { name = "EndBounceTime", type = "integer", max_span_days = 7, note = "unix seconds, last bounce to" },
      { name = "EndCreateTime", type = "integer", max_span_days = 7, note = "unix seconds, created to" },
      { name = "PageNo", type = "integer", default = "1", min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "integer", default = "10", note = "entries per page" },
      { name = "StartBounceTime", type = "integer", max_span_days = 7, note = "unix seconds, last bounce from" },
      { name = "StartCreateTime", type = "integer", max_span_days = 7, note = "unix seconds, created from" },
    },
    answer = {
      { name = "Data", type = "object", note = "container", fields = {
        { name = "UserSuppressions", type = "list of object", fields = {
          { name = "Address", type = "string" },
          { name = "CreateTime", type = "integer", note = "creation time" },
          { name = "LastBounceTime", type = "integer" },
          { name = "SuppressionId", type = "integer" },
          { name = "Type", type = "string", note = "kind of entry" },
        } },
      } },
      { name = "PageNumber", type = "integer", note = "page shown" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
    },
  },
  QueryInvalidAddress = {
    retry_reason = "read only",
    seen = "1.0.5",
    list = "data.mailDetail",
    paging = { style = "cursor", position = "NextStart", size = "Length", next = "NextStart", total = "TotalCount" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "EndTime", type = "string", format = "yyyy-MM-dd", max_span_days = 30, note = "last day" },
      { name = "KeyWord", type = "string", note = "search word" },
      { name = "Length", type = "integer", note = "entries wanted" },
      { name = "NextStart", type = "string", note = "cursor from the last answer (a string since 2025)" },
      { name = "StartTime", type = "string", format = "yyyy-MM-dd", max_span_days = 30, max_age_days = 30, note = "first day, within the last 30 days" },
    },
    answer = {
      { name = "NextStart", type = "string", note = "cursor for the next call" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "mailDetail", type = "list of object", fields = {
          { name = "LastUpdateTime", type = "string" },
          { name = "ToAddress", type = "string" },
          { name = "UtcLastUpdateTime", type = "integer" },
        } },
      } },
    },
  },
  RemoveUserSuppression = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.7.2",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "SuppressionIds", type = "string", note = "ids from ListUserSuppression, comma separated" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  SetSuppressionListLevel = {
    retry_reason = "sets a value",
    seen = "1.7.2",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "SuppressionListLevel", type = "string", note = "level wanted (values undocumented)" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "SuppressionListLevel", type = "string" },
    },
  },
}
