--- Settings: can they be read, are they enough, and where each came from.
local settings = require "directmail.settings"

local SHOWN = { "region", "sender", "api", "smtp", "smtp_user", "smtp_password", "access_key_id", "proxy", "ca", "profile", "only", "redirect" }

local function listed(values)
  local parts = {}
  for _, name in ipairs(SHOWN) do
    if values[name] ~= nil then
      parts[#parts + 1] = ("%s %s (%s)"):format(name:gsub("_", " "), settings.shown(name, values[name]), values.from[name] or "default")
    end
  end
  return #parts > 0 and table.concat(parts, ", ") or "nothing is set"
end

-- Findings about who sends and who logs in.
local function sender(look, found)
  local values = look.settings
  if not values.sender then
    found[#found + 1] = { status = "fail", rule = "config.sender", cause = "no sender is set",
      remedy = "set sender (DIRECTMAIL_SENDER): an address that the console lists under Sender Addresses" }
  elseif look.sender_fault then
    found[#found + 1] = { status = "fail", rule = "config.sender", cause = ("sender (from %s) is no address: %s"):format(values.from.sender, look.sender_fault),
      remedy = "write it as name@domain, or Name <name@domain>" }
  end
  local user, address, at = values.smtp_user, look.sender, look:smtp_endpoint()
  if user and address and at and at.direct then
    local low, own = user:lower(), address:lower()
    if low ~= own and own:match "@(.*)$" ~= low then
      found[#found + 1] = { status = "fail", rule = "config.account", cause = ("the sender %s is not the account that logs in, %s"):format(address, user),
        remedy = "leave smtp_user away: the service answers 436 when the two differ" }
    end
  end
end

return {
  id = "config",
  title = "settings, and where each came from",
  always = true,
  run = function(look)
    if look.fault then
      return "the settings cannot be used", { { status = "fail", rule = "config.value", cause = look.fault.cause, remedy = look.fault.remedy } }
    end
    local found, values = {}, look.settings
    sender(look, found)
    local _, no_api = look:api_endpoint()
    local _, no_smtp = look:smtp_endpoint()
    for _, e in ipairs { no_api or false, no_smtp or false } do
      if e and not (no_api and e == no_smtp and no_api.cause == no_smtp.cause) then
        local own = e.detail == "api" or e.detail == "smtp"
        found[#found + 1] = { status = "fail", rule = "config." .. (own and e.detail or "region"), cause = e.cause, remedy = e.remedy }
      end
    end
    for _, name in ipairs(settings.NAMES) do
      local why = (values.unused or {})[name]
      if why then
        found[#found + 1] = { status = "warn", rule = "config.unused", cause = ("%s is not used: %s"):format(name, why),
          remedy = "take it away, or give the whole AccessKey in one place" }
      end
    end
    for _, one in ipairs(require "directmail.credentials".ignored(look.host)) do
      found[#found + 1] = { status = "warn", rule = "config.old", cause = ("%s is an old spelling and ignored"):format(one.name), remedy = "use " .. one.use }
    end
    for _, name in ipairs { "redirect", "only" } do
      if values[name] then
        found[#found + 1] = { status = "warn", rule = "config." .. name,
          cause = name == "redirect" and ("every mail goes to %s instead of its recipients"):format(tostring(values.redirect))
            or "mails to others than " .. settings.shown("only", values.only) .. " are refused",
          remedy = ("fine for tests; in production unset %s (from %s)"):format(name, values.from[name]) }
      end
    end
    return listed(values), found
  end,
}
