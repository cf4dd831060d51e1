--- The DMARC policy, the domain's own or an inherited one.
local dmarc = require "directmail.dmarc"
local names = require "directmail.doctor.names"

-- Reports that go to another domain need its consent (RFC 9990; RFC 7489, 7.1). The vendor's own address is what the vendor asks for.
local function reports(look, read, wanted, found)
  local own = wanted and wanted.dmarc and wanted.dmarc:match "@([%w.-]+)"
  local seen = {}
  for i, there in ipairs(read.rua) do
    local inside = there == look.domain or there:sub(-#look.domain - 1) == "." .. look.domain or look.domain:sub(-#there - 1) == "." .. there
    if not inside and there ~= own and not seen[there] and i <= 5 then
      seen[there] = true
      local name = ("%s._report._dmarc.%s"):format(look.domain, there)
      local texts = look:texts(name, function(text) return text:find "^v%s*=%s*DMARC1" ~= nil end)
      if texts and #texts == 0 then
        found[#found + 1] = { status = "warn", rule = "dmarc.rua-ext", cause = ("reports to %s are not sent: it has not agreed"):format(there),
          remedy = "its owner has to", record = { name = name, type = "TXT", value = "v=DMARC1" } }
      end
    end
  end
end

return {
  id = "dns.dmarc",
  title = "DMARC policy",
  needs = { "dns.domain" },
  network = true,
  run = function(look)
    local domain = look.domain
    local no = look:no_dns()
    if no then return nil, no end
    local at, why = dmarc.find(domain, function(name, kind) return look:dns(name, kind) end)
    if not at then return nil, (why:gsub("[^ ]+$", names.words)) end
    local wanted, found = look:wanted(), {}
    local record = { name = "_dmarc." .. domain, type = "TXT", value = wanted and wanted.dmarc or "v=DMARC1;p=none" }
    if #at.near > 0 and at.at ~= domain then
      found[1] = { status = "fail", rule = "dmarc.tags",
        cause = ('the record "%s" is ignored: v=DMARC1 must stand first, exactly so'):format(at.near[1]:sub(1, 80)), record = record }
      return at.near[1], found
    end
    if not at.text then
      return ("_dmarc.%s: none"):format(domain), { { status = look.kind == "transactional" and "warn" or "fail", rule = "dmarc.missing",
        cause = ("no DMARC record at _dmarc.%s, nor above it"):format(domain), record = record } }
    end
    if at.records > 1 then
      return at.text, { { status = "fail", rule = "dmarc.multiple",
        cause = ("%d DMARC records at _dmarc.%s, so all of them are discarded"):format(at.records, at.at),
        remedy = "keep one" } }
    end
    local read = dmarc.read(at.text)
    for _, fault in ipairs(read.faults) do
      found[#found + 1] = { status = "fail", rule = "dmarc.tags", cause = fault .. (read.policy and "" or ", so there is no DMARC at all"),
        remedy = "correct the tag" }
    end
    if read.missing then
      found[#found + 1] = { status = "warn", rule = "dmarc.p-missing", cause = "it has no p, which older receivers take for a mistake",
        remedy = "add p=none, quarantine or reject behind v=DMARC1" }
    end
    if at.at == domain then reports(look, read, wanted, found) end
    local told = at.text
    if at.at ~= domain then
      local tag = read.tags.sp and "sp" or "p"
      told = ("inherited from %s: %s (%s applies)"):format(at.at, at.text, tag)
    end
    for _, note in ipairs(read.notes) do told = told .. "; " .. note end
    return told, found
  end,
}
