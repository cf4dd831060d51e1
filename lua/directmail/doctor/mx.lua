--- Where bounces go: the MX record that Direct Mail wants.
local names = require "directmail.doctor.names"

local MOST = 5          -- targets that are looked at

local function is_address(name) return name:find "^%d+%.%d+%.%d+%.%d+$" ~= nil or name:find(":", 1, true) ~= nil end

return {
  id = "dns.mx",
  title = "MX record",
  needs = { "dns.domain" },
  network = true,
  run = function(look)
    local domain = look.domain
    local no = look:no_dns()
    if no then return nil, no end
    local wanted, unknown = look:wanted()
    if not wanted or wanted.mx == "" then return nil, unknown or "the wanted MX host is not known" end
    local records, why = look:dns(domain, "MX")
    if not records and not look:is_fact(why) then return nil, ("%s: %s"):format(domain, names.words(why)) end
    local record = { name = domain, type = "MX", value = "10 " .. wanted.mx }
    local found, list, others, right, null = {}, {}, {}, false, false
    for _, one in ipairs(records or {}) do
      list[#list + 1] = ("%s %s"):format(tostring(one.preference), one.exchange == "" and "." or one.exchange)
      if one.exchange == "" then null = true
      elseif one.exchange == wanted.mx then right = true
      else others[#others + 1] = one.exchange end
    end
    if #list == 0 then
      return domain .. ": none", { { status = "fail", rule = "mx.direct", cause = "no MX record at " .. domain .. ", so bounces go nowhere", record = record } }
    end
    if null then
      found[1] = { status = "fail", rule = "mx.null",
        cause = "a null MX says that the domain takes no mail: bounces are lost, and receivers may refuse (RFC 7505, 4.2)",
        remedy = "take it away", record = not right and record or nil }
    end
    for i, exchange in ipairs(others) do
      if i > MOST then break end
      if is_address(exchange) then
        found[#found + 1] = { status = "fail", rule = "mx.ip",
          cause = ("the MX record holds an address, %s, in place of a name (RFC 5321, 5.1)"):format(exchange), remedy = "give a name" }
      else
        local alias = look:dns(exchange, "CNAME")
        if alias and alias[1] and alias[1].name then
          found[#found + 1] = { status = "fail", rule = "mx.cname", cause = ("%s, an MX target, is a CNAME (RFC 2181, 10.3)"):format(exchange),
            remedy = "name the host itself" }
        end
      end
    end
    if right and #others > 0 then
      found[#found + 1] = { status = "warn", rule = "mx.mixed",
        cause = "other hosts take mail of this domain too, and bounces may go to them: " .. table.concat(others, ", "),
        remedy = "send from a subdomain that has Direct Mail's MX alone" }
    elseif not right and not null then
      found[#found + 1] = { status = "fail", rule = "mx.direct",
        cause = ("%s, which this region needs, is not among the MX records (%s)"):format(wanted.mx, table.concat(list, ", ")),
        remedy = "a domain that has mailboxes keeps its MX: send from a subdomain then", record = record }
    end
    return table.concat(list, ", "), found
  end,
}
