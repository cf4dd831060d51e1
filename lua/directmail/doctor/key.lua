--- The AccessKey: is there one, from where, and does it look like one.
local settings = require "directmail.settings"

return {
  id = "api.key",
  title = "AccessKey, and where it came from",
  run = function(look)
    local key, e = look:key()
    if key and key.access_key_id then
      return ("%s (%s)%s"):format(settings.shown("access_key_id", key.access_key_id), key.from, key.security_token and ", a temporary one" or "")
    end
    if key then return ("a temporary one of: %s; not asked for offline"):format(key.from) end
    local values = look.settings
    local at = look:smtp_endpoint()
    -- a half or damaged key is meant, and never passed over
    local meant = values.access_key_id or values.access_key_secret
    if not meant and (values.smtp_password or at and not at.direct) and values.via ~= "api" then
      return nil, "there is no AccessKey; mail goes by SMTP, and what only the API knows is left out"
    end
    return "no key", { { status = "fail", rule = "api.key", cause = e.cause, remedy = e.remedy } }
  end,
}
