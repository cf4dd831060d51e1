--- The way to the API: its name, and its port.
local names = require "directmail.doctor.names"

return {
  id = "network.api",
  title = "name and port of the API",
  network = true,
  regional = true,
  run = function(look)
    local at, e = look:api_endpoint()
    if not at then return nil, e.cause end
    local name, port = at.host:match "^%[?([^%[%]]-)%]?:(%d+)$"
    name, port = name or at.host:gsub("[%[%]]", ""), tonumber(port) or (at.url:find "^https:" and 443 or 80)
    local told, findings = names.look(look, name, port, "api")
    if findings then return told, findings end
    local seconds, code, words = look:connect(name, port)
    if not seconds then
      return told, { { status = "fail", rule = "network.port", cause = ("no connection to %s port %d: %s"):format(name, port, words),
        remedy = code == "TIMEOUT" and "open outgoing TCP 443 in the firewall or security group, or set proxy (DIRECTMAIL_PROXY)"
          or "check api (DIRECTMAIL_API), proxy (DIRECTMAIL_PROXY) and the firewall" } }
    end
    return ("%s, port %d in %.0f ms"):format(told, port, seconds * 1000)
  end,
}
