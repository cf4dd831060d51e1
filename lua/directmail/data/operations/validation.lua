--- Operations of the API, group validation: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.validation
-- luacheck: no max line length
return {
  CheckDisposable = {
    retry_reason = "read only",
    seen = "1.7.2",
    codes = { "EmailFormatError", "EmailLengthError" },
    params = {
      { name = "Email", type = "string", note = "address to check" },
    },
    answer = {
      { name = "IsDisposable", type = "string", note = "text true or false" },
      { name = "IsFormatValid", type = "string", note = "text true or false" },
      { name = "IsMxValid", type = "string", note = "text true or false" },
      { name = "IsOkToSend", type = "string", note = "text true or false" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DeleteValidateFile = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.7.2",
    params = {
      { name = "FileId", type = "string", note = "id from SendValidateFile" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetValidateFile = {
    retry_reason = "read only",
    seen = "1.7.2",
    params = {
      { name = "FileId", type = "string", note = "id from SendValidateFile" },
    },
    answer = {
      { name = "FileUrl", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetValidateFileStatus = {
    retry_reason = "read only",
    seen = "1.7.2",
    params = {
      { name = "FileId", type = "string", required = true, note = "id from SendValidateFile" },
    },
    answer = {
      { name = "CatchAllNum", type = "string" },
      { name = "CompleteTime", type = "string" },
      { name = "DoNotMailNum", type = "string" },
      { name = "FileId", type = "string" },
      { name = "FileName", type = "string" },
      { name = "InvalidNum", type = "string" },
      { name = "Percentage", type = "string" },
      { name = "ProcessedNum", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "Status", type = "string", note = "for example completed" },
      { name = "TotalNum", type = "string" },
      { name = "UnknownNum", type = "string" },
      { name = "UploadTime", type = "string" },
      { name = "ValidNum", type = "string" },
    },
  },
  GetValidationQuota = {
    retry_reason = "read only",
    seen = "1.7.2",
    params = {
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalQuota", type = "integer" },
      { name = "UsedQuota", type = "integer" },
    },
  },
  ListValidateFile = {
    retry_reason = "read only",
    seen = "1.9.0",
    columns = { "FileName", "Status", "Percentage", "TotalNum", "ValidNum", "InvalidNum", "FileId" },
    list = "Files",
    paging = { style = "page", position = "Page", size = "PageSize", more = "HasNext", pages = "TotalPages", total = "TotalSize" },
    params = {
      { name = "EndTime", type = "string", required = true, format = "RFC 3339", note = "UTC" },
      { name = "FileKeyword", type = "string", note = "part of the file name" },
      { name = "Page", type = "integer", note = "page wanted" },
      { name = "PageSize", type = "integer", default = "10", note = "entries per page" },
      { name = "StartTime", type = "string", required = true, format = "RFC 3339", note = "UTC" },
    },
    answer = {
      { name = "Files", type = "list of object", fields = {
        { name = "CatchAllNum", type = "string" },
        { name = "CompleteTime", type = "string" },
        { name = "DoNotMailNum", type = "string" },
        { name = "FileId", type = "string" },
        { name = "FileName", type = "string" },
        { name = "InvalidNum", type = "string" },
        { name = "IsDownloadable", type = "boolean" },
        { name = "Percentage", type = "string" },
        { name = "ProcessedNum", type = "string" },
        { name = "Status", type = "string" },
        { name = "TotalNum", type = "string" },
        { name = "UnknownNum", type = "string" },
        { name = "UploadTime", type = "string" },
        { name = "ValidNum", type = "string" },
      } },
      { name = "HasNext", type = "boolean" },
      { name = "Page", type = "integer" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalPages", type = "integer" },
      { name = "TotalSize", type = "integer" },
    },
  },
  SendValidateFile = {
    retry_reason = "uses quota for every address again",
    seen = "1.7.2",
    look = "ListValidateFile",
    params = {
      { name = "AddressColumn", type = "integer", required = true, min = 1, note = "column holding the address, from 1" },
      { name = "FileName", type = "string", required = true, note = "file name" },
      { name = "FileUrl", type = "string", required = true, files = { "csv", "xlsx", "xls", "txt" }, note = "URL the service can fetch (or uploaded by the SDK)" },
      { name = "HasHeaderRow", type = "boolean", required = true, note = "true skips the first row" },
      { name = "RemoveDuplicate", type = "boolean", required = true, note = "true drops doubles and sorts the result" },
    },
    answer = {
      { name = "FileId", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  ValidateEmail = {
    retry_reason = "read like, but each call uses validation quota",
    seen = "1.7.2",
    codes = { "EmailFormatError", "EmailLengthError" },
    params = {
      { name = "CheckGraylist", type = "boolean", default = "false", note = "true also tests greylisting; that result arrives later by EventBridge" },
      { name = "Email", type = "string", required = true, max_chars = 192, note = "address to check", conflict = "limit taken from the EmailLengthError code" },
      { name = "ProbeType", type = "string", enum = { "FULL", "BASIC_ONLY" }, since = "2026-06-23", note = "FULL also asks the mail server of the recipient (slow, 1 unit of quota); BASIC_ONLY leaves that out (fast, for sign-up forms, a third of a unit); default not documented" },
      { name = "Timeout", type = "integer", default = "60", note = "seconds to wait" },
    },
    answer = {
      { name = "DomainPart", type = "string", note = "lower case" },
      { name = "IsFreeMail", type = "boolean" },
      { name = "LocalPart", type = "string", note = "lower case, anything from + on removed" },
      { name = "Provider", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "Status", type = "string", note = "VALID, CATCHALL, UNKNOWN, INVALID or DONOTMAIL" },
      { name = "SubStatus", type = "string", note = "finer reason, for example NO_DNS_ENTRIES, MISSPELLED, MAILBOX_NOT_EXISTS, SYSTEM_ERROR, SYNTAX_INVALID, UNSPECIFIED" },
    },
  },
}
