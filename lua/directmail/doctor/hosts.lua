--- Whose hosts the settings name, and whether they and the region belong together.
local core = require "directmail.core"

local PORTS = { [25] = true, [80] = true, [465] = true }

local function row_of(id)
  for _, region in ipairs(core.regions()) do
    if region.id == id then return region end
  end
end

local function smtp(look, at, found, parts)
  local settings = look.settings
  local id, legacy = core.region_of_host(at.host)
  parts[#parts + 1] = ("smtp %s:%d %s"):format(at.host, at.port, id and "(" .. id .. ")" or "is not Direct Mail's")
  if not id then return end
  local row = row_of(id)
  if legacy then
    found[#found + 1] = { status = "warn", rule = "hosts.legacy", cause = ("%s is an old name of the service"):format(at.host),
      remedy = row.smtp and ("use %s, or leave smtp away and set region = %s"):format(row.smtp, id)
        or "this region is closed: use another one, such as us-east-1" }
  end
  if not PORTS[at.port] then
    found[#found + 1] = { status = "fail", rule = "hosts.port", cause = ("port %d is not among Direct Mail's (25, 80, 465)"):format(at.port),
      remedy = ("use smtps://%s (465, TLS) or smtp://%s:80 (STARTTLS)"):format(at.host, at.host) }
  elseif at.port == 465 and at.tls == "starttls" or at.port ~= 465 and at.tls == "implicit" then
    found[#found + 1] = { status = "fail", rule = "hosts.port",
      cause = ("port %d does not begin as %s"):format(at.port, at.tls == "starttls" and "smtp://" or "smtps://"),
      remedy = ("use smtps://%s (465, TLS) or smtp://%s:80 (STARTTLS)"):format(at.host, at.host) }
  end
  if settings.region and settings.region ~= id then
    found[#found + 1] = { status = "fail", rule = "hosts.region",
      cause = ("region is %s (from %s), and smtp is the host of %s (from %s)"):format(settings.region,
      settings.from.region, id, settings.from.smtp or "the region"), remedy = "leave smtp away, or set the region that the sender was made in" }
  end
end

return {
  id = "config.hosts",
  title = "hosts of the service, and their region",
  run = function(look)
    local found, parts, settings = {}, {}, look.settings
    local api, no_api = look:api_endpoint()
    local at, no_smtp = look:smtp_endpoint()
    if not api and not at then return nil, no_smtp.cause or no_api.cause end
    local ours = {}
    if api then
      local name = api.host:gsub(":%d+$", "")
      local id = core.region_of_host(name)
      ours.api = id ~= nil
      parts[1] = ("api %s %s"):format(api.host, id and "(" .. id .. ")" or "is not Direct Mail's")
      if id and settings.region and settings.region ~= id then
        found[#found + 1] = { status = "fail", rule = "hosts.region",
          cause = ("region is %s (from %s), and api is the host of %s (from %s)"):format(settings.region,
          settings.from.region, id, settings.from.api or "the region"), remedy = "leave api away, or set the region that the sender was made in" }
      end
    end
    if at then
      smtp(look, at, found, parts)
      ours.smtp = at.direct
    end
    local region = look.region and row_of(look.region)
    if region and not region.open then
      found[#found + 1] = { status = "warn", rule = "hosts.closed", cause = ("%s (%s) is closed for new accounts"):format(region.id, region.name),
        remedy = "use another region, such as us-east-1" }
    end
    local summary = table.concat(parts, ", ")
    if ours.api == false or ours.smtp == false then summary = summary .. "; Alibaba Cloud gives no support for hosts that are not its own" end
    return summary, found
  end,
}
