--- Operations of the API, group tag: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.tag
-- luacheck: no max line length
return {
  CreateTag = {
    retry_reason = "tag names are unique: a repeat after success is refused",
    seen = "1.0.5",
    look = "QueryTagByParam",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "TagDescription", type = "string", lines = true, note = "free text" },
      { name = "TagName", type = "string", required = true, min_chars = 1, max_chars = 128, charset = { "A-Z", "a-z", "0-9", "_" }, note = "tag name", conflict = "SingleSendMail pages also allow a hyphen" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TagId", type = "string" },
    },
  },
  DeleteTag = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.0.5",
    done = { "InvalidTag.NotFound" },
    codes = { "InvalidTag.NotFound" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "TagId", type = "integer", required = true, note = "id from QueryTagByParam or CreateTag" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  ModifyTag = {
    retry_reason = "sets values",
    seen = "1.0.5",
    codes = { "InvalidTag.NotFound" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "TagDescription", type = "string", lines = true, note = "free text" },
      { name = "TagId", type = "integer", required = true, note = "id from QueryTagByParam or CreateTag" },
      { name = "TagName", type = "string", required = true, max_chars = 128, note = "tag name" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  QueryTagByParam = {
    retry_reason = "read only",
    seen = "1.0.5",
    codes = { "InvalidTag.NotFound" },
    says = { "page with PageNo although the answer calls it PageNumber" },
    list = "data.tag",
    paging = { style = "page", position = "PageNo", size = "PageSize", total = "TotalCount" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "KeyWord", type = "string", min_chars = 1, max_chars = 50, note = "tag name or part" },
      { name = "PageNo", type = "integer", default = "1", min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "integer", default = "10", note = "entries per page" },
    },
    answer = {
      { name = "PageNumber", type = "integer", note = "page shown" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "tag", type = "list of object", fields = {
          { name = "TagDescription", type = "string" },
          { name = "TagId", type = "string" },
          { name = "TagName", type = "string" },
        } },
      } },
    },
  },
}
