--- Operations of the API, group sender address: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.sender_address
-- luacheck: no max line length
return {
  ApproveReplyMailAddress = {
    retry_reason = "a ticket is good once",
    seen = "1.0.5",
    look = "QueryMailAddressByParam",
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "Ticket", type = "string", required = true, secret = true, note = "ticket string out of the link in the verification mail" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  CheckReplyToMailAddress = {
    retry_reason = "each call mails the owner of the reply address",
    seen = "1.0.5",
    codes = { "InvalidMailAddressId.Malformed" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "Lang", type = "string", note = "en for English, anything else Chinese" },
      { name = "MailAddressId", type = "integer", required = true, note = "id from QueryMailAddressByParam or CreateMailAddress" },
      { name = "Region", type = "string", note = "region id" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  CreateMailAddress = {
    retry_reason = "a repeat after success reports InvalidMailAddressName.Duplicate",
    seen = "1.0.5",
    look = "QueryMailAddressByParam",
    codes = { "InvalidMailAddressDomain.Malformed", "InvalidMailAddressName.Duplicate", "InvalidMailAddressName.Malformed", "InvalidMailAddressSendType.Malformed", "InvalidMailAddressStatus.Malformed" },
    says = { "the service lower-cases the address; upper and lower case are the same address" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "AccountName", type = "string", required = true, address = "one", note = "full new sender address" },
      { name = "AddressType", type = "string", enum = { "INTERNAL", "EXTERNAL" }, since = "2026-08-14", note = "EXTERNAL for an address whose domain is not registered in the account, INTERNAL for a registered domain; left out presumably INTERNAL (inferred)", conflict = "all guides still demand a verified domain; how an external address is verified and may send is not documented" },
      { name = "ReplyAddress", type = "string", address = "one", note = "reply-to address" },
      { name = "Sendtype", type = "string", required = true, enum = { "batch", "trigger" }, note = "batch for mailings, trigger for transactional mail" },
    },
    answer = {
      { name = "MailAddressId", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DeleteMailAddress = {
    retry_reason = "second call reports a malformed or missing id",
    seen = "1.0.5",
    done = { "InvalidMailAddressId.Malformed", "InvalidMailAddress.NotFound" },
    codes = { "InvalidMailAddressDomain.Malformed", "InvalidMailAddressId.Malformed", "InvalidMailAddressSendType.Malformed", "InvalidMailAddressStatus.Malformed" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "MailAddressId", type = "integer", required = true, note = "id from QueryMailAddressByParam or CreateMailAddress" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  ModifyMailAddress = {
    retry_reason = "a repeated password is refused because it equals the last one",
    seen = "1.0.5",
    look = "QueryMailAddressByParam",
    codes = { "InvalidMailAddressDomain.Malformed", "InvalidMailAddressId.Malformed", "InvalidMailAddressSendType.Malformed", "InvalidMailAddressStatus.Malformed" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "MailAddressId", type = "integer", required = true, note = "id from QueryMailAddressByParam or CreateMailAddress" },
      { name = "Password", type = "string", secret = true, min_chars = 10, max_chars = 20, format = "smtp password", note = "new SMTP password", says = { "at least 2 digits, 2 upper case and 2 lower case letters; neither digits nor letters all the same; not the last password" } },
      { name = "ReplyAddress", type = "string", address = "one", note = "reply-to address" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  QueryMailAddressByParam = {
    retry_reason = "read only",
    seen = "1.0.5",
    columns = { "AccountName", "Sendtype", "AccountStatus", "DailyCount", "MonthCount", "MailAddressId" },
    says = { "page with PageNo although the answer calls it PageNumber" },
    list = "data.mailAddress",
    paging = { style = "page", position = "PageNo", size = "PageSize", total = "TotalCount" },
    internal = { { name = "OwnerId", type = "integer" }, { name = "ResourceOwnerAccount", type = "string" }, { name = "ResourceOwnerId", type = "integer" } },
    params = {
      { name = "KeyWord", type = "string", min_chars = 1, max_chars = 60, charset = { "A-Z", "a-z", "0-9", ".", "-", "@" }, note = "address or part" },
      { name = "PageNo", type = "integer", default = "1", min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "integer", default = "10", note = "entries per page" },
      { name = "Sendtype", type = "string", enum = { "batch", "trigger" }, note = "filter" },
    },
    answer = {
      { name = "PageNumber", type = "integer", note = "page shown" },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCount", type = "integer", note = "entries in all" },
      { name = "data", type = "object", note = "container", fields = {
        { name = "mailAddress", type = "list of object", fields = {
          { name = "AccountName", type = "string" },
          { name = "AccountStatus", type = "string", note = "0 usable" },
          { name = "AddressType", type = "string", since = "2026-08-14", note = "EXTERNAL or INTERNAL (inferred from CreateMailAddress)" },
          { name = "ConfigSetId", type = "string" },
          { name = "ConfigSetName", type = "string" },
          { name = "CreateTime", type = "string", note = "creation time" },
          { name = "DailyCount", type = "string", note = "mails sent today" },
          { name = "DailyReqCount", type = "string", note = "mails requested today" },
          { name = "DomainStatus", type = "string", note = "0 verified, 1 not verified" },
          { name = "MailAddressId", type = "string" },
          { name = "MailAddressVerificationStatus", type = "string", since = "2026-08-14", note = "undocumented; by its name the verification state of an external address" },
          { name = "MonthCount", type = "string", note = "mails sent this month" },
          { name = "MonthReqCount", type = "string", note = "mails requested this month" },
          { name = "ReplyAddress", type = "string" },
          { name = "ReplyStatus", type = "string", note = "reply address state" },
          { name = "SenderAddress", type = "string", since = "2026-08-14", note = "undocumented; by its name the address really used as sender, perhaps other than AccountName for external ones" },
          { name = "Sendtype", type = "string", note = "batch or trigger" },
        } },
      } },
    },
  },
}
