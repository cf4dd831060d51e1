--- Does a domain take mail? Asked of the DNS.
-- Only an answer is a fact: a server that says nothing, or that it failed, leaves the domain unknown, and nobody loses an address by it.
-- @module directmail.list.domain
local M = {}

local function is_fact(why) return why == "nxdomain" or why == "nodata" end

local function unknown(why)
  local id = ({ timeout = "dns.timeout", servfail = "dns.servfail", refused = "dns.refused" })[why] or "dns.failed"
  return "unknown", ("%s: the DNS did not answer (%s)"):format(id, why)
end

-- Nobody's public server: this machine, or no machine.
local function is_nowhere(address) return address:find "^127%." or address:find "^0%." or address == "::1" or address == "::" end

-- Has a host an address that can be connected to? true, false, or nil and why nobody knows.
local function has_address(host, name, options)
  local doubt
  for _, kind in ipairs { "A", "AAAA" } do
    local records, why = host.dns(name, kind, options)
    for _, record in ipairs(records or {}) do
      if not is_nowhere(record.address) then return true end
    end
    if not records and not is_fact(why) then doubt = doubt or why end
    if why == "nxdomain" then break end         -- no record of any type then (RFC 8020)
  end
  if doubt then return nil, doubt end
  return false
end

-- The hosts of MX records: may mail go to one of them?
local function judge_hosts(host, records, options)
  local names, doubt = {}, nil
  for _, record in ipairs(records) do
    local name = record.exchange
    -- a name is wanted (RFC 5321, 5.1); an address there is found under no name
    if name:find "[^%d.]" and name ~= "localhost" then names[#names + 1] = name end
  end
  if #names == 0 then return "invalid", "mx.target: its MX names no host" end
  if not options.hosts then return "ok" end
  for _, name in ipairs(names) do
    local has, why = has_address(host, name, options.dns)
    if has then return "ok" end
    if has == nil then doubt = doubt or why end
  end
  if doubt then return unknown(doubt) end
  return "invalid", "mx.target: no host of its MX has an address"
end

--- Ask.
-- @tparam table host `dns`
-- @tparam string domain A-labels
-- @tparam table options `dns` = options of `host.dns`; `hosts` = true: ask for the MX hosts' addresses too
-- @treturn string "ok", "invalid", "risky" or "unknown"
-- @treturn ?string the reason, "id: words"
function M.ask(host, domain, options)
  local records, why = host.dns(domain, "MX", options.dns)
  if records then
    local hosts = {}
    for _, record in ipairs(records) do
      if record.exchange ~= "" then hosts[#hosts + 1] = record end
    end
    if #hosts == 0 then return "invalid", "mx.null: the domain takes no mail (null MX, RFC 7505)" end
    return judge_hosts(host, hosts, options)
  end
  if why == "nxdomain" then return "invalid", "domain.missing: the domain does not exist" end
  if why ~= "nodata" then return unknown(why) end
  -- RFC 5321, 5.1: without an MX the domain itself is the host
  local has, doubt = has_address(host, domain, options.dns)
  if has then return "risky", "mx.implicit: no MX; its own address may take mail, and mostly does not" end
  if has == nil then return unknown(doubt) end
  return "invalid", "mx.none: neither an MX nor an address"
end

return M
