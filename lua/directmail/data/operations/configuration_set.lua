--- Operations of the API, group configuration set: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.configuration_set
-- luacheck: no max line length
return {
  ConfigSetCancelRelationFromAddress = {
    retry_reason = "second call finds nothing to untie",
    seen = "1.7.2",
    params = {
      { name = "FromAddress", type = "string", required = true, note = "sender address" },
      { name = "Id", type = "string", required = true, note = "configuration set id" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "Result", type = "boolean" },
    },
  },
  ConfigSetCreate = {
    retry_reason = "names are unique: a repeat after success is refused",
    seen = "1.7.2",
    look = "ConfigSetList",
    params = {
      { name = "Description", type = "string", lines = true, max_chars = 50, note = "free text" },
      { name = "IpPoolId", type = "string", note = "dedicated IP pool used as outbound address" },
      { name = "IsPublicChannelBackoff", type = "boolean", since = "2026-04-16", note = "meaning not documented in what we read; by its name: fall back to the shared outbound addresses when the pool cannot send" },
      { name = "Name", type = "string", required = true, max_chars = 50, note = "unique name" },
      { name = "ValidationOption", type = "object", wire = "json", since = "2026-08-24", note = "undocumented; by its names: validate recipients at sending and refuse those whose Status or SubStatus (as of ValidateEmail) is listed", fields = {
        { name = "Enabled", type = "boolean" },
        { name = "ForbiddenStatusList", type = "list of string" },
        { name = "ForbiddenSubStatusList", type = "list of string" },
      } },
    },
    answer = {
      { name = "Id", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  ConfigSetDelete = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.7.2",
    params = {
      { name = "Ids", type = "string", required = true, note = "ids, comma separated" },
      { name = "IsForce", type = "boolean", note = "true also drops ties to sender addresses" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  ConfigSetDetail = {
    retry_reason = "read only",
    seen = "1.7.2",
    params = {
      { name = "Id", type = "string", required = true, note = "configuration set id" },
    },
    answer = {
      { name = "Detail", type = "object", fields = {
        { name = "Description", type = "string" },
        { name = "Id", type = "string" },
        { name = "IpPool", type = "object", fields = {
          { name = "IpPoolId", type = "string" },
          { name = "IpPoolName", type = "string" },
        } },
        { name = "IsPublicChannelBackoff", type = "boolean", since = "2026-04-16" },
        { name = "Name", type = "string" },
        { name = "ValidationOption", type = "object", since = "2026-08-24", fields = {
          { name = "Enabled", type = "boolean" },
          { name = "ForbiddenStatusList", type = "list of string" },
          { name = "ForbiddenSubStatusList", type = "list of string" },
        } },
      } },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  ConfigSetList = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "ConfigSets",
    paging = { style = "page", position = "PageIndex", size = "PageSize", more = "HasMore", total = "TotalCounts" },
    params = {
      { name = "All", type = "boolean", note = "true returns everything without paging" },
      { name = "Keyword", type = "string", note = "search word" },
      { name = "PageIndex", type = "string", required = true, min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "string", required = true, default = "10", note = "entries per page" },
    },
    answer = {
      { name = "ConfigSets", type = "list of object", fields = {
        { name = "Description", type = "string" },
        { name = "FromAddresses", type = "list of string" },
        { name = "Id", type = "string" },
        { name = "IpPool", type = "object", fields = {
          { name = "IpPoolId", type = "string" },
          { name = "IpPoolName", type = "string" },
        } },
        { name = "IsPublicChannelBackoff", type = "boolean", since = "2026-04-16" },
        { name = "Name", type = "string" },
        { name = "ValidationOption", type = "object", since = "2026-08-24", fields = {
          { name = "Enabled", type = "boolean" },
          { name = "ForbiddenStatusList", type = "list of string" },
          { name = "ForbiddenSubStatusList", type = "list of string" },
        } },
      } },
      { name = "CurrentPage", type = "integer", note = "page shown" },
      { name = "HasMore", type = "boolean", note = "more pages follow" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCounts", type = "integer", note = "entries in all" },
    },
  },
  ConfigSetRelationFromAddress = {
    retry_reason = "sets a value",
    seen = "1.7.2",
    params = {
      { name = "FromAddress", type = "string", required = true, note = "sender address" },
      { name = "Id", type = "string", required = true, note = "configuration set id" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "Result", type = "boolean" },
    },
  },
  ConfigSetUpdate = {
    retry_reason = "sets values",
    seen = "1.7.2",
    params = {
      { name = "Description", type = "string", lines = true, max_chars = 50, note = "free text" },
      { name = "Id", type = "string", required = true, note = "configuration set id" },
      { name = "IpPoolId", type = "string", note = "dedicated IP pool used as outbound address" },
      { name = "IsPublicChannelBackoff", type = "boolean", since = "2026-04-16", note = "meaning not documented in what we read; by its name: fall back to the shared outbound addresses when the pool cannot send" },
      { name = "Name", type = "string", required = true, max_chars = 50, note = "unique name" },
      { name = "ValidationOption", type = "object", wire = "json", since = "2026-08-24", note = "undocumented; by its names: validate recipients at sending and refuse those whose Status or SubStatus (as of ValidateEmail) is listed", fields = {
        { name = "Enabled", type = "boolean" },
        { name = "ForbiddenStatusList", type = "list of string" },
        { name = "ForbiddenSubStatusList", type = "list of string" },
      } },
    },
    answer = {
      { name = "Id", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
}
