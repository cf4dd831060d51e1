--- Signing: the vendor's published examples, signed here. No network, no key of yours.
local core = require "directmail.core"

-- https://www.alibabacloud.com/help/en/direct-mail/signature (V1),
-- https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature (V3)
local VECTORS = {
  { "V1", "llJfXJjBW3OacrVgxxsITgYaYm0=", {
    algorithm = "HMAC-SHA1", http_method = "POST", access_key_id = "testid", access_key_secret = "testsecret",
    params = {
      AccessKeyId = "testid", SignatureMethod = "HMAC-SHA1", SignatureVersion = "1.0", AccountName = "<a%b'>", Action = "SingleSendMail", AddressType = "1",
      Format = "XML", HtmlBody = "4", RegionId = "cn-hangzhou", ReplyToAddress = "true", SignatureNonce = "c1b2c332-4cfb-4a0f-b8cc-ebe622aa0a5c",
      Subject = "3", TagName = "2", Timestamp = "2016-10-20T06:27:56Z", ToAddress = "1@test.com", Version = "2015-11-23",
    },
  } },
  { "V3", "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0", {
    algorithm = "ACS3-HMAC-SHA256", http_method = "POST", access_key_id = "YourAccessKeyId", access_key_secret = "YourAccessKeySecret", path = "/",
    query = { ImageId = "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", RegionId = "cn-shanghai" },
    headers = {
      host = "ecs.cn-shanghai.aliyuncs.com", ["x-acs-action"] = "RunInstances", ["x-acs-date"] = "2023-10-26T10:22:32Z",
      ["x-acs-content-sha256"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      ["x-acs-signature-nonce"] = "3156853299f313e23d1673dc12e1703d", ["x-acs-version"] = "2014-05-26",
    },
  } },
}

return {
  id = "api.signature",
  title = "signatures of the vendor's own examples",
  always = true,
  run = function()
    for _, row in ipairs(VECTORS) do
      local signed = core.sign(row[3])
      if not signed or signed.signature ~= row[2] then
        return "signing is broken", { { status = "fail", rule = "signature." .. row[1]:lower(),
          cause = ("the published example of %s is signed wrongly"):format(row[1]),
          remedy = "install directmail and OpenSSL anew: the program that runs here is not the one that was tested" } }
      end
    end
    return "V1 and V3 as published; yours compared with the service's: directmail sign --explain"
  end,
}
