--- The status of the sender's domain in the account.
-- 2 to 4 are usable: the tracking CNAME or the ICP filing is missing
-- (https://help.aliyun.com/zh/terraform/alicloud-direct-mail-domains).
local USABLE = {
  ["2"] = "it is neither filed (ICP) nor has it a tracking CNAME", ["3"] = "it is not filed (ICP)", ["4"] = "it has no tracking CNAME",
}

return {
  id = "sender.domain",
  title = "status of the sender's domain",
  needs = { "api.call" },
  network = true,
  regional = true,
  run = function(look)
    if not look.domain then return nil, "no sender is set" end
    if not look:key() then return nil, "only the API knows it, and there is no AccessKey" end
    local entry, e = look:console_domain()
    if entry == nil then return look:unanswered(e) end
    if not entry and look.home then return ("%s has no %s"):format(look.region or "this API", look.domain) end
    if not entry then
      return look.domain, { { status = "fail", rule = "domain.missing", cause = ("this region has no domain %s"):format(look.domain),
        remedy = "add and verify it in the console (Email Domains), or call the region that has it" } }
    end
    local status = tostring(entry.DomainStatus)
    if status == "0" then return ("%s is verified"):format(look.domain) end
    if USABLE[status] then
      return look.domain, { { status = "warn", rule = "domain.tracking",
        cause = ("%s is usable, but %s: click tracking may not work"):format(look.domain, USABLE[status]),
        remedy = "publish the tracking CNAME that the console shows; in Hangzhou tracking wants an ICP filing" } }
    end
    return look.domain, { { status = "fail", rule = "domain.status", cause = ("%s is not verified (DomainStatus %s)"):format(look.domain, status),
      remedy = ("publish what the dns checks name, wait for DNS (up to 48 hours), then: directmail api CheckDomain --DomainId %s"):format(
        tostring(entry.DomainId)) } }
  end,
}
