--- The login by SMTP: user name and password.
local settings = require "directmail.settings"

local LATER = { mail = true, rcpt = true, data = true, dot = true, quit = true }

-- What is odd about the password itself: the console makes 10 to 20 letters and digits (Direct Mail, ModifyMailAddress).
local function odd(password)
  if #password < 10 or #password > 20 then return ("it has %d characters, and an SMTP password has 10 to 20"):format(#password) end
  if password:find "%s" then return "it holds a blank" end
end

return {
  id = "smtp.login",
  title = "login by SMTP",
  needs = { "tls.smtp", "smtp.greeting" },
  network = true,
  run = function(look)
    local at, no = look:smtp_endpoint()
    if not at then return nil, no.cause end
    local values = look.settings
    if values.auth == "off" then return nil, "auth is off" end
    if not values.smtp_password then
      if not at.direct then return nil, "no SMTP password is set, and this server is not Direct Mail's" end
      if look:key() then return nil, "no SMTP password is set: mail goes by the API (attachments need SMTP: set DIRECTMAIL_SMTP_PASSWORD)" end
      return "no password", { { status = "fail", rule = "smtp.password", cause = "Direct Mail wants the SMTP password of the sender, and none is set",
        remedy = "set DIRECTMAIL_SMTP_PASSWORD: the console's SMTP password of this address, neither an AccessKey nor a mailbox's password" } }
    end
    local user = values.smtp_user or look.sender
    if not user then return nil, "no sender is set, and with it no user name" end
    local seen, why = look:rehearsal()
    if not seen then return nil, why.cause end
    local e = seen.err
    if e and not LATER[seen.step] and seen.step ~= "auth" then return nil, "the dialogue ended before the login" end
    local told = ("%s, password %s (%s)"):format(user, settings.shown("smtp_password", values.smtp_password), values.from.smtp_password)
    if not e or seen.step ~= "auth" then return told end
    local strange = odd(values.smtp_password)
    return told, { { status = "fail", rule = "smtp.login",
      cause = ("%s%s%s; user %s"):format(e.cause, e.reply and (" (%s)"):format(e.reply) or "", strange and "; " .. strange or "", told), remedy = e.remedy } }
  end,
}
