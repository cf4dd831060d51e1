--- Operations of the API, group dedicated ip: what each takes and answers.
-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.
-- @module directmail.data.operations.dedicated_ip
-- luacheck: no max line length
return {
  DedicatedIpAutoRenewal = {
    retry_reason = "sets a value",
    seen = "1.7.2",
    params = {
      { name = "AutoRenewal", type = "string", required = true, enum = { "true", "false" }, note = "true or false" },
      { name = "BuyResourceIds", type = "string", required = true, note = "ids of purchased addresses, comma separated" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DedicatedIpChangeWarmupType = {
    retry_reason = "sets a value",
    seen = "1.7.2",
    params = {
      { name = "Id", type = "string", required = true, note = "address id" },
      { name = "WarmupType", type = "string", required = true, note = "warm-up method; seen values sysCusStream and cusSelfManager" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DedicatedIpList = {
    retry_reason = "read only",
    seen = "1.7.2",
    columns = { "Ip", "Id", "IpPoolName", "Status", "WarmupStatus", "ExpiredTime" },
    list = "Ips",
    paging = { style = "page", position = "PageIndex", size = "PageSize", more = "HasMore", total = "TotalCounts" },
    params = {
      { name = "Keyword", type = "string", note = "search word" },
      { name = "PageIndex", type = "integer", required = true, min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "integer", required = true, default = "10", note = "entries per page" },
    },
    answer = {
      { name = "CurrentPage", type = "integer", note = "page shown" },
      { name = "HasMore", type = "boolean", note = "more pages follow" },
      { name = "Ips", type = "list of object", fields = {
        { name = "ExpiredTime", type = "string" },
        { name = "Id", type = "string" },
        { name = "InstanceId", type = "string" },
        { name = "Ip", type = "string" },
        { name = "IpExt", type = "object", fields = {
          { name = "AutoRenewal", type = "boolean" },
          { name = "HasSendMail", type = "boolean" },
          { name = "LastWarmUpTypeChangedTime", type = "string" },
        } },
        { name = "IpPoolName", type = "string" },
        { name = "StartTime", type = "string" },
        { name = "Status", type = "string" },
        { name = "WarmupStatus", type = "string" },
        { name = "WarmupType", type = "string" },
        { name = "ZoneId", type = "string" },
      } },
      { name = "PageSize", type = "integer", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCounts", type = "integer", note = "entries in all" },
    },
  },
  DedicatedIpNonePoolList = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "Ips",
    params = {
    },
    answer = {
      { name = "Ips", type = "list of object", fields = {
        { name = "Id", type = "string" },
        { name = "Ip", type = "string" },
        { name = "ZoneId", type = "string" },
      } },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DedicatedIpPoolCreate = {
    retry_reason = "may create a second pool; names cannot be changed later",
    seen = "1.7.2",
    look = "DedicatedIpPoolList",
    params = {
      { name = "BuyResourceIds", type = "string", note = "ids of purchased addresses, comma separated" },
      { name = "Name", type = "string", required = true, min_chars = 1, max_chars = 50, charset = { "A-Z", "a-z", "0-9", "_", "-" }, note = "pool name, fixed once created" },
    },
    answer = {
      { name = "Id", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DedicatedIpPoolDelete = {
    retry_reason = "second call finds nothing to delete",
    seen = "1.7.2",
    params = {
      { name = "Id", type = "string", required = true, note = "pool id" },
    },
    answer = {
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  DedicatedIpPoolList = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "IpPools",
    paging = { style = "page", position = "PageIndex", size = "PageSize", more = "HasMore", total = "TotalCounts" },
    params = {
      { name = "All", type = "boolean", note = "true returns everything without paging" },
      { name = "Keyword", type = "string", note = "search word" },
      { name = "PageIndex", type = "integer", required = true, min = 1, note = "page wanted, from 1" },
      { name = "PageSize", type = "integer", required = true, default = "10", note = "entries per page" },
      { name = "PoolId", type = "string", note = "one pool" },
    },
    answer = {
      { name = "CurrentPage", type = "string", note = "page shown" },
      { name = "HasMore", type = "boolean", note = "more pages follow" },
      { name = "IpPools", type = "list of object", fields = {
        { name = "CreateTime", type = "string", note = "creation time" },
        { name = "Id", type = "string" },
        { name = "IpCount", type = "integer" },
        { name = "Ips", type = "list of object", fields = {
          { name = "Id", type = "string" },
          { name = "Ip", type = "string" },
          { name = "ZoneId", type = "string" },
        } },
        { name = "Name", type = "string" },
      } },
      { name = "PageSize", type = "string", note = "entries per page" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
      { name = "TotalCounts", type = "integer", note = "entries in all" },
    },
  },
  DedicatedIpPoolUpdate = {
    retry_reason = "sets values",
    seen = "1.7.2",
    params = {
      { name = "BuyResourceIds", type = "string", note = "ids of purchased addresses, comma separated" },
      { name = "Id", type = "string", required = true, note = "pool id" },
      { name = "UpdateResource", type = "boolean", note = "must be true for the address change to apply" },
    },
    answer = {
      { name = "Id", type = "string" },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetDedicatedIpWarmUpDetail = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "Detail",
    params = {
      { name = "DedicatedIp", type = "string", note = "one dedicated address; only for owners of dedicated IPs" },
      { name = "EndDayMark", type = "integer", note = "last day mark" },
      { name = "Esp", type = "string", enum = { "gmail.com", "yahoo.com", "outlook.com", "icloud.com", "others" }, note = "mail provider filter; only for owners of dedicated IPs" },
      { name = "StartDayMark", type = "integer", note = "first day mark" },
    },
    answer = {
      { name = "Detail", type = "list of object", fields = {
        { name = "DayMark", type = "integer" },
        { name = "DeliverCounts", type = "integer" },
        { name = "Esp", type = "string" },
        { name = "SendCounts", type = "integer" },
      } },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
  GetDedicatedIpWarmUpInfo = {
    retry_reason = "read only",
    seen = "1.7.2",
    list = "Info",
    params = {
      { name = "DedicatedIp", type = "string", note = "one dedicated address; only for owners of dedicated IPs" },
    },
    answer = {
      { name = "Info", type = "list of object", fields = {
        { name = "Esp", type = "string" },
        { name = "Finished", type = "boolean" },
      } },
      { name = "RequestId", type = "string", note = "id to quote to support" },
    },
  },
}
