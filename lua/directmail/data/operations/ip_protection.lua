--- Operations of the API, group ip protection: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.ip_protection
-- luacheck: no max line length
return {
  AddIpfilter = {
    retry_reason = "effect of a repeat is not documented; list first",
    seen = "1.0.5",
    look = "GetIpfilterList",
    rate = "ip_protection",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "IpAddress", type = "string", required = true, note = "address or range to allow", says = { "at most 10 of them in an account" } },
    },
    answer = {
      { name = "IpFilterId", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DeleteIpfilterByEdmId = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.0.5",
    rate = "ip_protection",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "FromType", type = "integer", deprecated = true, note = "obsolete, ignored" },
      { name = "Id", type = "string", note = "entry id from GetIpfilterList" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetIpProtection = {
    retry_reason = "read only",
    seen = "1.0.5",
    rate = "ip_protection",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
    },
    answer = {
      { name = "IpProtection", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetIpfilterList = {
    retry_reason = "read only",
    seen = "1.0.5",
    rate = "ip_protection",
    says = { "the answer shows a page but the request has no paging fields; at most 10 entries exist" },
    list = "data.ipfilters",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
    },
    answer = {
      { name = "PageNumber", type = "integer", note = "page shown" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "ipfilters", type = "list of object", fields = {
          { name = "CreateTime", type = "string", note = "creation time" },
          { name = "Id", type = "string" },
          { name = "IpAddress", type = "string" },
        } },
      } },
    },
  },
  UpdateIpProtection = {
    retry_reason = "sets a value",
    seen = "1.0.5",
    rate = "ip_protection",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "IpProtection", type = "string", enum = { "0", "1" }, note = "1 on, 0 off" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
}
