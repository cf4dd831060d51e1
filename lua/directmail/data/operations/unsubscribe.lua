--- Operations of the API, group unsubscribe: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.unsubscribe
-- luacheck: no max line length
return {
  ListBlockSending = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "Data",
    paging = { style = "token", position = "NextToken", size = "MaxResults", next = "NextToken" },
    params = {
      { name = "BeginTime", type = "integer", note = "unix seconds" },
      { name = "BlockEmail", type = "string", note = "recipient filter" },
      { name = "BlockType", type = "string", required = true, enum = { "UNSUB", "REPORT" }, note = "UNSUB for unsubscribes, REPORT for complaints" },
      { name = "EndTime", type = "integer", note = "unix seconds" },
      { name = "MaxResults", type = "integer", min = 1, max = 500, note = "entries wanted" },
      { name = "NextToken", type = "string", note = "token from the last answer; empty at the end" },
      { name = "SenderEmail", type = "string", note = "sender filter" },
    },
    answer = {
      { name = "Data", type = "list of object", note = "container", fields = {
        { name = "BlockEmail", type = "string" },
        { name = "BlockTime", type = "integer", note = "unix seconds" },
        { name = "Reason", type = "integer", note = "bit set of reasons" },
        { name = "SendTime", type = "integer", note = "unix seconds" },
        { name = "SenderEmail", type = "string" },
      } },
      { name = "MaxResults", type = "integer" },
      { name = "NextToken", type = "string", note = "token for the next call, empty at the end" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  UnblockSending = {
    retry_reason = "lifting twice changes nothing",
    seen = "1.7.2",
    params = {
      { name = "BlockEmail", type = "string", required = true, note = "recipient" },
      { name = "BlockType", type = "string", required = true, enum = { "UNSUB", "REPORT" }, note = "UNSUB for unsubscribes, REPORT for complaints" },
      { name = "SenderEmail", type = "string", required = true, note = "sender address" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
}
