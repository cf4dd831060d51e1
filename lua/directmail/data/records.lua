--- DNS records that a sender domain needs, by region.
-- Made by src/data/generate.lua from records.tsv; change it there.
-- @module directmail.data.records
-- luacheck: no max line length
return {
  ["cn-hangzhou"] = { spf = "spf1.dm.aliyun.com", mx = "mx01.dm.aliyun.com", dkim = "aliyun-cn-hangzhou", dmarc = "dmarc_report@service.aliyun.com" },
  ["ap-southeast-1"] = { spf = "spfdm-ap-southeast-1.aliyun.com", mx = "mxdm-ap-southeast-1.aliyun.com", dkim = "aliyun-ap-southeast-1", dmarc = "dmarc_report@service.aliyun.com" },
  ["us-east-1"] = { spf = "spfdm-us-east-1.aliyun.com", mx = "mxdm-us-east-1.aliyun.com", dkim = "aliyun-us-east-1", dmarc = "dmarc_report@service.aliyun.com" },
  ["eu-central-1"] = { spf = "spfdm-eu-central-1.aliyun.com", mx = "mxdm-eu-central-1.aliyun.com", dkim = "aliyun-eu-central-1", dmarc = "dmarc_report@service.aliyun.com" },
  ["ap-southeast-2"] = { spf = "spfdm-ap-southeast-2.aliyun.com", mx = "mxdm-ap-southeast-2.aliyun.com", dkim = "aliyun-ap-southeast-2", dmarc = "dmarc_report@service.aliyun.com" },
}
