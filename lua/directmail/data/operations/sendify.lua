--- Operations of the API, group sendify: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.sendify
-- luacheck: no max line length
return {
  GetSendifyAutoLoginURL = {
    retry_reason = "gives a new link",
    seen = "1.9.0",
    params = {
    },
    answer = {
      { name = "AutoLoginURL", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetSendifyInfo = {
    retry_reason = "read only",
    seen = "1.9.0",
    params = {
    },
    answer = {
      { name = "BuyResourcePackageUrl", type = "string" },
      { name = "BuyUrl", type = "string" },
      { name = "Discount", type = "string" },
      { name = "DowngradeUrl", type = "string" },
      { name = "ExpireTime", type = "string" },
      { name = "LearnMoreUrl", type = "string" },
      { name = "Opened", type = "boolean" },
      { name = "ProductCode", type = "string" },
      { name = "RenewUrl", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "SpecUpgradeUrl", type = "string" },
      { name = "Status", type = "string" },
      { name = "SupportTrial", type = "boolean" },
      { name = "UpgradeUrl", type = "string" },
    },
  },
  OpenSendifyTrialService = {
    retry_reason = "changes the subscription",
    seen = "1.9.0",
    look = "GetSendifyInfo",
    params = {
    },
    answer = {
      { name = "AutoLoginURL", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
}
