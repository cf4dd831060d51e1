--- The addresses of a host that is to be connected to.
-- @module directmail.doctor.names
local M = {}

local WORDS = {
  nxdomain = "there is no such name", nodata = "the name has no address", timeout = "the name server is silent", servfail = "the name server failed (SERVFAIL)",
  refused = "the name server refuses to answer",
}

--- A reason of `look:dns` in words.
function M.words(why) return WORDS[why] or tostring(why) end

local function is_address(name) return name:find "^[%d.]+$" ~= nil or name:find(":", 1, true) ~= nil end

--- Look at a host's name. What counts is whether connecting finds an address: /etc/hosts may know a name that DNS does not.
-- @tparam table look
-- @tparam string name
-- @tparam integer port
-- @tparam string setting "api" or "smtp"
-- @treturn string what was found
-- @treturn table|nil findings
function M.look(look, name, port, setting)
  if look.settings.proxy then return ("%s, found by the proxy"):format(name) end
  if is_address(name) then return name .. " is an address" end
  local addresses, reason = {}, nil
  for _, kind in ipairs { "A", "AAAA" } do
    local records, why = look:dns(name, kind)
    for _, record in ipairs(records or {}) do addresses[#addresses + 1] = record.address end
    if not records and (not reason or not look:is_fact(why)) then reason = why end
  end
  if #addresses > 0 then return ("%s → %s"):format(name, table.concat(addresses, ", ", 1, math.min(#addresses, 4))) end
  local seconds, code, words = look:connect(name, port)
  if seconds or code ~= "DNS" then return name .. " is known to this machine, if not to its name server" end
  local fact = look:is_fact(reason)
  return name, { {
    status = "fail", rule = "network.name", cause = ("%s has no address: %s"):format(name, reason and M.words(reason) or words),
    remedy = fact and ("check region and %s (DIRECTMAIL_%s)"):format(setting, setting:upper())
      or "check the name servers of this machine (/etc/resolv.conf), and the way to them (UDP and TCP 53)",
  } }
end

return M
