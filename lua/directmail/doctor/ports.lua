--- The ports of the SMTP server, each timed; those of Direct Mail's host all three.
local ALL = { 465, 80, 25 }

-- Connect to several ports at once.
local function try_all(look, name, ports)
  local host, tasks, found = look.host, {}, {}
  for i, port in ipairs(ports) do
    tasks[i] = host.spawn(function()
      local seconds, code, words = look:connect(name, port)
      found[port] = { seconds = seconds, code = code, words = words }
    end)
  end
  for i = 1, #tasks do host.wait(tasks[i]) end
  return found
end

local function closed_25(look)
  local region, _, nobody_knows = look:ecs()
  if region then return "closed, as on every ECS instance; it is not needed" end
  return nobody_knows and "closed (normal on ECS; not needed)" or "closed (many networks close it; not needed)"
end

return {
  id = "network.ports",
  title = "ports of the SMTP server",
  needs = { "network.smtp" },
  network = true,
  regional = true,
  run = function(look)
    local at, e = look:smtp_endpoint()
    if not at then return nil, e.cause end
    local ports, listed = {}, false
    for _, port in ipairs(at.direct and ALL or {}) do
      ports[#ports + 1] = port
      listed = listed or port == at.port
    end
    if not listed then ports[#ports + 1] = at.port end
    local found, parts, open = try_all(look, at.host, ports), {}, nil
    for _, port in ipairs(ports) do
      local one = found[port] or { words = "not tried" }
      if one.seconds then
        parts[#parts + 1] = ("%d %.0f ms"):format(port, one.seconds * 1000)
        if port == 465 or port == 80 then open = open or port end
      else
        parts[#parts + 1] = ("%d %s"):format(port, port == 25 and at.direct and closed_25(look) or one.words)
      end
    end
    local summary = table.concat(parts, " · ")
    local mine = found[at.port] or {}
    if mine.seconds then return summary end
    local way_out = open and ("use %s://%s%s, which is open"):format(open == 465 and "smtps" or "smtp", at.host, open == 80 and ":80" or "")
    local cause = ("nobody answers on port %d of %s: %s"):format(at.port, at.host, tostring(mine.words))
    if at.port == 25 then
      cause = cause .. "; Alibaba Cloud closes outgoing port 25 on ECS" .. (look:ecs() and ", and this is an ECS instance" or "")
      way_out = way_out or "leave smtp away: 465 with TLS is the default, 80 is the other way"
    end
    return summary, { { status = "fail", rule = "network.port", cause = cause,
      remedy = way_out or "open outgoing TCP 465 or 80 in the firewall or security group; check smtp (DIRECTMAIL_SMTP)" } }
  end,
}
