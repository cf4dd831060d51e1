--- Sending domains. A new one waits for CheckDomain, which finds every record in order: there is no DNS here.
local core = require "directmail.core"
local state = require "directmail.sandbox.operations.state"

local M = {}

-- Public keys whose private halves nobody has: nothing is signed here, but a record that is published can be looked at.
local KEYS = {
  [1024] = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDjqTCvEWxVyY1cZ5j7me/41kfXO5CbnqJBZe4g3rhaWqm+1z/NCeHABBYoEx/0iP08ASxVCeGU4+mJvUR22Uoyxnu+Er7C"
    .. "1LyEnrRQL1uZz4DtjDSWI/vxwiJT0skRVNL+utKIY3cqEz/igdQlUrgvAxmAZlIOl8gHPYrfHQNabQIDAQAB",
  [2048] = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3eEr0JJUA6RO3m1Q2Ox/vt88CEqKeTiHlW/O2+dpeRP5wLa8PEvpXQtQdLi2xcKYXCU9dZ6yeJk2pE41tzHOLn8pjxuV"
    .. "vsSo00gmpdeKvlIhMNPSMEcaMwAxmbmdye/EL0IXWUGoCAQuK9GwnE2zTbISLZBavoecX6AT3QecygJYBi709RXxQbSTUqHd/yq0SFBW+3IAjWGDqAL+GriGyWzdE/bjVZbf22U0zyNe"
    .. "vpiG8LKL59PHHVwNYFQBINRQok+O+ODANl4ywtx+0TCcCeIS1+pT+iCfBKQ6OnBSFQjhp/vjd3ulD8QRMccdpH7aUkbq/07oZviqMjtRe6C+pQIDAQAB",
}

-- The value that proves the owner: 20 hexadecimal digits, as the service's.
local function proof_of(domain) return core.sha256(domain.id .. domain.name):sub(1, 20) end

local function key_record(bits) return "v=DKIM1; k=rsa; p=" .. (KEYS[bits] or KEYS[1024]) end

function M.QueryDomainByParam(a)
  local list = {}
  for _, domain in ipairs(a.state.domains) do
    if (not a.p.KeyWord or domain.name:find(a.p.KeyWord:lower(), 1, true)) and (a.p.Status == nil or tostring(a.p.Status) == domain.status) then
      list[#list + 1] = {
        CnameAuthStatus = domain.status, ConfirmStatus = "0", CreateTime = state.time(domain.created), DomainId = domain.id, DomainName = domain.name,
        DomainRecord = proof_of(domain), DomainStatus = domain.status, IcpStatus = "1", MxAuthStatus = domain.status,
        SpfAuthStatus = domain.status, UtcCreateTime = math.floor(domain.created),
      }
    end
  end
  return { list = list }
end

local function domain_of(a) return state.find(a.state.domains, "id", tostring(a.p.DomainId)) end

function M.DescDomain(a)
  local domain = domain_of(a)
  if not domain then return nil, "InvalidDomainId.NotFound" end
  local name, verified = domain.name, domain.status == "0"
  local spf, mx, dmarc = "v=spf1 include:spfdm-ap-southeast-1.aliyun.com -all", "mxdm-ap-southeast-1.aliyun.com",
    "v=DMARC1;p=none;rua=mailto:dmarc_report@service.aliyun.com"
  return {
    CnameAuthStatus = domain.status, CnameConfirmStatus = "0", CnameRecord = "dmtrace", CreateTime = state.time(domain.created),
    DkimAuthStatus = domain.status, DkimPublicKey = key_record(domain.bits), DkimRR = "aliyun-ap-southeast-1._domainkey." .. name,
    DkimRsaLength = domain.bits or 1024, DmarcAuthStatus = tonumber(domain.status), DmarcHostRecord = "_dmarc", DmarcRecord = dmarc,
    DnsDmarc = verified and dmarc or "", DnsMx = verified and mx or "", DnsSpf = verified and spf or "",
    DnsTxt = verified and proof_of(domain) or "", DomainId = domain.id, DomainName = name, DomainStatus = domain.status,
    DomainType = proof_of(domain), HostRecord = "aliyundm", IcpStatus = "1", MxAuthStatus = domain.status, MxRecord = mx,
    SpfAuthStatus = domain.status, SpfRecord = "include:spfdm-ap-southeast-1.aliyun.com", SpfRecordV2 = spf,
    TlDomainName = name:match "([^.]+%.[^.]+)$" or name, TracefRecord = "tracedm-ap-southeast-1.aliyuncs.com",
  }
end

function M.CheckDomain(a)
  local domain = domain_of(a)
  if not domain then return nil, "InvalidDomainId.NotFound" end
  domain.status = "0"
  return { DomainStatus = 0 }
end

function M.CreateDomain(a)
  if a.state:domain(a.p.DomainName) then return nil, "InvalidDomainName.Duplicate" end
  return { DomainId = a.state:add_domain(a.p.DomainName, "1", a.now).id }
end

function M.DeleteDomain(a)
  local _, at = domain_of(a)
  if not at then return nil, "InvalidDomainId.NotFound" end
  table.remove(a.state.domains, at)
  return {}
end

function M.ChangeDomainDkimRecord(a)
  local domain = a.state:domain(a.p.Domain or "")
  if not domain then return nil, "InvalidDomain.NotFound" end
  local bits = tonumber(a.p.DkimRsaLength) or 1024
  local changed = bits ~= (domain.bits or 1024)
  domain.bits = bits
  return { Changed = changed, DkimPublicKey = key_record(bits), DkimRsaLength = bits,
    Hostname = "aliyun-ap-southeast-1._domainkey." .. domain.name }
end

function M.ModifyPWByDomain(a)
  if not a.state:domain(a.p.DomainName) then return nil, "InvalidDomainName.NotFound" end
  for _, sender in ipairs(a.account.senders.list) do
    if sender.address:lower():match "@([^@]*)$" == a.p.DomainName:lower() then sender.password = a.p.Password end
  end
  return { Success = true, Code = "200", Message = "OK" }
end

return M
