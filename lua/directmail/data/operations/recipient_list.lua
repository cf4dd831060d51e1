--- Operations of the API, group recipient list: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.recipient_list
-- luacheck: no max line length
return {
  CreateReceiver = {
    retry_reason = "list names are unique: a repeat after success is refused",
    seen = "1.0.5",
    look = "QueryReceiverByParam",
    codes = { "InvalidReceiverName.Malformed", "InvalidReceiverStatus.Malformed" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "Desc", type = "string", lines = true, max_chars = 50, note = "description", conflict = "limit taken from a third-party infrastructure tool" },
      { name = "ReceiversAlias", type = "string", required = true, address = "one", max_chars = 30, note = "an address shaped alias, only for recognising the list", conflict = "\"less than 30\" in the SDK and in pages since Dec 2024, \"up to 30\" in an older English page: warn at 30" },
      { name = "ReceiversName", type = "string", required = true, min_chars = 1, max_chars = 30, note = "unique list name" },
    },
    answer = {
      { name = "ReceiverId", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DeleteReceiver = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.0.5",
    done = { "InvalidReceiver.NotFound" },
    codes = { "InvalidReceiver.NotFound" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "ReceiverId", type = "string", required = true, note = "id from QueryReceiverByParam or CreateReceiver" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DeleteReceiverDetail = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.0.5",
    done = { "InvalidReceiver.NotFound" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "Email", type = "string", note = "recipient to remove" },
      { name = "ReceiverId", type = "string", required = true, note = "id from QueryReceiverByParam or CreateReceiver" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  QueryReceiverByParam = {
    retry_reason = "read only",
    seen = "1.0.5",
    columns = { "ReceiversName", "Count", "ReceiversStatus", "ReceiversAlias", "CreateTime", "ReceiverId" },
    says = { "ask once without PageNo and PageSize: an account has 10 lists at most and everything is returned then; PageNo is marked obsolete since June 2026, so a page loop must also stop when a page repeats", "the answer also carries NextStart and its comment says to send it back, but the request has no such field" },
    list = "data.receiver",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "KeyWord", type = "string", note = "search word" },
      { name = "PageNo", type = "integer", default = "1", min = 1, deprecated = true, note = "page wanted, from 1; marked obsolete since June 2026" },
      { name = "PageSize", type = "integer", default = "100", note = "entries per page; left out: all lists", conflict = "10 in texts before June 2026; left out returns everything since then" },
      { name = "Status", type = "integer", enum = { "0", "1" }, deprecated = true, note = "0 upload running, 1 upload complete; marked obsolete since June 2026" },
    },
    answer = {
      { name = "NextStart", type = "string", note = "cursor for the next call" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "receiver", type = "list of object", fields = {
          { name = "Count", type = "string" },
          { name = "CreateTime", type = "string", note = "creation time" },
          { name = "Desc", type = "string" },
          { name = "ReceiverId", type = "string" },
          { name = "ReceiversAlias", type = "string" },
          { name = "ReceiversName", type = "string" },
          { name = "ReceiversStatus", type = "string" },
          { name = "UtcCreateTime", type = "integer", note = "creation time, unix seconds" },
        } },
      } },
    },
  },
  QueryReceiverDetail = {
    retry_reason = "read only",
    seen = "1.0.5",
    codes = { "InvalidReceiver.NotFound" },
    list = "data.detail",
    paging = { style = "cursor", position = "NextStart", size = "PageSize", next = "NextStart", total = "TotalCount" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "KeyWord", type = "string", max_chars = 50, note = "recipient address or part" },
      { name = "NextStart", type = "string", default = "0", note = "cursor from the last answer, 0 at first" },
      { name = "PageSize", type = "integer", default = "10", note = "entries per page" },
      { name = "ReceiverId", type = "string", required = true, note = "id from QueryReceiverByParam or CreateReceiver" },
    },
    answer = {
      { name = "DataSchema", type = "string", note = "names of the columns in Data, comma separated" },
      { name = "NextStart", type = "string", note = "cursor for the next call" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", deprecated = true, note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "detail", type = "list of object", fields = {
          { name = "CreateTime", type = "string", note = "creation time" },
          { name = "Data", type = "string", note = "payload" },
          { name = "Email", type = "string" },
          { name = "UtcCreateTime", type = "integer", note = "creation time, unix seconds" },
        } },
      } },
    },
  },
  SaveReceiverDetail = {
    retry_reason = "addresses already present are counted as errors, nothing is doubled; the counters of a repeat therefore differ",
    seen = "1.0.5",
    codes = { "InvalidReceiver.NotFound" },
    says = { "Detail for the five fixed variables, CustomDetail for own variables" },
    rule = { { "at_least_one", "Detail", "CustomDetail" } },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "CustomDetail", type = "string", lines = true, max_items = 500, format = "json list", way_out = "several calls", note = "JSON array as text; each object: Email and CustomData (map of own template variables)" },
      { name = "Detail", type = "string", lines = true, max_items = 500, format = "json list", way_out = "several calls", note = "JSON array as text; each object: e address, u name, n nickname, g gender, b birthday, m mobile" },
      { name = "ReceiverId", type = "string", required = true, note = "id from QueryReceiverByParam or CreateReceiver" },
    },
    answer = {
      { name = "Data", type = "object", note = "container", fields = {
        { name = "Detail", type = "list of object", fields = {
          { name = "Email", type = "string" },
          { name = "ErrMessage", type = "string" },
        } },
      } },
      { name = "ErrorCount", type = "integer", note = "recipients refused" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "SuccessCount", type = "integer", note = "recipients added" },
    },
  },
}
