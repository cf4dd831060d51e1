--- The domain itself: is it there, and does nothing hide or double its records?
local names = require "directmail.doctor.names"

return {
  id = "dns.domain",
  title = "domain in DNS",
  needs = { "dns.server" },
  network = true,
  run = function(look)
    local no = look:no_dns()
    if no then return nil, no end
    local domain, found = look.domain, {}
    local _, why = look:dns(domain, "TXT")
    if why == "servfail" or why and not look:is_fact(why) then
      return domain, { { status = "fail", rule = "dns.servfail", cause = ("nobody answers for %s: %s"):format(domain, names.words(why)),
        remedy = "check the domain's own name servers and its DNSSEC (a chain that is broken answers SERVFAIL); receivers see the same" } }
    end
    if why == "nxdomain" then
      local _, no_mx = look:dns(domain, "MX")
      if no_mx == "nxdomain" then
        return domain, { { status = "fail", rule = "dns.nxdomain", cause = ("there is no domain %s in DNS"):format(domain),
          remedy = "check its spelling and that it is registered and delegated; publish its records" } }
      end
    end
    local alias = look:dns(domain, "CNAME")
    if alias and alias[1] and alias[1].name then
      found[1] = { status = "fail", rule = "dns.cname-apex",
        cause = ("%s is a CNAME of %s, which hides its TXT and MX records (RFC 1034, 3.6.2)"):format(domain, alias[1].name),
        remedy = "take the CNAME away, or send from another subdomain" }
    end
    -- a name that nobody made
    local random = "x" .. (look.host.random(8):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
    local wild = look:texts(("%s._domainkey.%s"):format(random, domain))
    if wild and #wild > 0 then
      found[#found + 1] = { status = "warn", rule = "dns.wildcard",
        cause = ("a wildcard answers for every name below %s: %s"):format(domain, wild[1]:sub(1, 80)),
        remedy = "take the wildcard TXT record away: it stands where keys and policies are looked for" }
    end
    return domain .. " is there", found
  end,
}
