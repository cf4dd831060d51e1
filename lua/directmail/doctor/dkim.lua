--- The key with which receivers check signatures.
local dkim = require "directmail.dkim"
local names = require "directmail.doctor.names"

return {
  id = "dns.dkim",
  title = "DKIM key record",
  needs = { "dns.domain" },
  network = true,
  run = function(look)
    local no = look:no_dns()
    if no then return nil, no end
    local wanted, unknown = look:wanted()
    if not wanted or not wanted.dkim then return nil, unknown or "the selector is not known" end
    local name, found = wanted.dkim, {}
    local texts, why = look:texts(name, dkim.is)
    if not texts then return nil, ("%s: %s"):format(name, names.words(why)) end
    local record = wanted.dkim_value and { name = name, type = "TXT", value = wanted.dkim_value }
    local copy = not record and "publish the value that the console shows for this domain (Email Domains > Configure)" or nil
    if #texts == 0 then
      return name .. ": none", { { status = "fail", rule = "dkim.missing", cause = "no key at " .. name, record = record, remedy = copy } }
    end
    if #texts > 1 then
      found[1] = { status = "fail", rule = "dkim.multiple",
        cause = ("%d keys at %s, and which one is taken is nobody's promise (RFC 6376, 3.6.2.2)"):format(#texts, name),
        remedy = "keep one", record = record }
    end
    local key = dkim.read(texts[1])
    if key.revoked then
      found[#found + 1] = { status = "fail", rule = "dkim.revoked", cause = "p is empty, so the key is withdrawn", record = record, remedy = copy }
    elseif key.fault then
      found[#found + 1] = { status = "fail", rule = "dkim." .. key.rule, cause = key.fault, record = record, remedy = copy }
    else
      if wanted.dkim_value and dkim.key(wanted.dkim_value) ~= dkim.key(texts[1]) then
        found[#found + 1] = { status = "fail", rule = "dkim.other", cause = "the key is not the one that the service signs with", record = record }
      end
      if key.bits and key.bits < dkim.LEAST_BITS then
        found[#found + 1] = { status = "fail", rule = "dkim.bits",
          cause = ("the key has %d bits, and receivers take none below %d (RFC 8301, 3.2)"):format(key.bits, dkim.LEAST_BITS),
          remedy = "make a longer one: directmail api ChangeDomainDkimRecord, then publish it" }
      end
    end
    if key.test then
      found[#found + 1] = { status = "warn", rule = "dkim.test", cause = "t=y: receivers treat the mails as if they were not signed", remedy = "take t=y out" }
    end
    local told = ("%s, %s"):format(name, key.bits and ("%d bit%s"):format(key.bits, key.bits < dkim.GOOD_BITS and key.bits >= dkim.LEAST_BITS
      and (" (%d are advised: directmail api ChangeDomainDkimRecord)"):format(dkim.GOOD_BITS) or "") or key.kind)
    return told, found
  end,
}
