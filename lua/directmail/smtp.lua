--- Send a message by SMTP: which server, who logs in, one connection.
-- @module directmail.smtp
local connection = require "directmail.connection"
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local region = require "directmail.region"

local M = {}

local refuse = err.refuse

local function from_url(url)
  local scheme, rest = url:match "^(%a+)://([^/]+)/?$"
  if scheme ~= "smtp" and scheme ~= "smtps" or rest:find("@", 1, true) then
    return refuse("OPTION", "smtp", ('smtp: "%s" is no address of an SMTP server'):format(err.printable(url)),
      "write smtps://host[:465] or smtp://host[:80]; user and password have settings of their own")
  end
  local host, port = rest:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = rest:match "^([^:%[%]]+):?(%d*)$" end
  local number = port == "" and (scheme == "smtps" and limits.port_implicit or limits.port_starttls) or tonumber(port)
  if not host or not number or number < 1 or number > 65535 then
    return refuse("OPTION", "smtp", ('smtp: "%s" has no host or no port'):format(err.printable(url)), "write smtps://host[:465] or smtp://host[:80]")
  end
  return { host = host, port = number, tls = scheme == "smtps" and "implicit" or "starttls" }
end

--- Which server, which port, which kind of TLS.
-- @tparam table settings `smtp`, else `region` or `route`
-- @treturn table {host=, port=, tls="implicit"|"starttls", region=id|nil, direct=bool}, or nil, err
function M.endpoint(settings)
  local found, e = region.of(settings)
  if e then return nil, e end
  local at
  if settings.smtp then
    at, e = from_url(settings.smtp)
    if not at then return nil, e end
  elseif found then
    if not found.smtp then
      return refuse("OPTION", "region", ("the region %s has no SMTP server any more"):format(found.id), "use another region, such as us-east-1")
    end
    at = { host = found.smtp, port = limits.port_implicit, tls = "implicit" }
  else
    return refuse("OPTION", "region", "no region is set", "give region (DIRECTMAIL_REGION), such as ap-southeast-1; directmail route helps to choose")
  end
  local id = core.region_of_host(at.host)
  at.direct = id ~= nil
  at.region = id or (found and found.id)
  return at
end

-- Who logs in, or nobody.
local function account(settings, at, from)
  if settings.auth == "off" then return {} end
  if not settings.smtp_password then
    if not at.direct then return {} end
    return refuse("CREDENTIALS", "smtp_password", "Direct Mail wants the SMTP password of the sender, and none is set",
      "set DIRECTMAIL_SMTP_PASSWORD: the console's SMTP password of this address, neither an AccessKey nor a mailbox's password", "credentials")
  end
  return { user = settings.smtp_user or from, password = settings.smtp_password }
end

-- W29: the service answers 436 when the sender is not who logged in; say it before connecting.
local function check_sender(at, who, from)
  if not at.direct or not who.user then return true end
  local user, address = who.user:lower(), from:lower()
  if user == address or address:match "@(.*)$" == user then return true end
  return refuse("ADDRESS", "from", ("the sender %s is not the account that logs in, %s"):format(from, who.user),
    "send from the account's own address (reply_to may differ), or log in as the sender: smtp_user", "sender-config")
end

--- Who logs in where, for a message: all that is checked before a connection is made.
-- @tparam table settings
-- @tparam table built by `directmail.message`
-- @treturn table endpoint, or nil, err
-- @treturn table account `{ user=, password= }`, or empty
function M.prepare(settings, built)
  local at, e = M.endpoint(settings)
  if not at then return nil, e end
  local who
  who, e = account(settings, at, built.mail_from)
  if not who then return nil, e end
  local ok
  ok, e = check_sender(at, who, built.mail_from)
  if not ok then return nil, e end
  if at.direct and #built.to > limits.recipients then
    return refuse("SIZE", "to", ("the message has %d recipients, Direct Mail takes %d"):format(#built.to, limits.recipients), "send it in several messages")
  end
  return at, who
end

local function dialogue(mail, built, at, who, timeout)
  local receipt, e, again
  for _ = 1, 3 do               -- overlap, group, off: as often as a server can stumble
    local c
    c, e = connection.new(mail, at, who, function(job, outcome, said, refused, stumbled)
      receipt, e = c:verdict(job, outcome, said, refused)
      again = stumbled
    end)
    if not c then return nil, e end
    c:push { built = built, timeout = timeout }
    c:quit()                    -- it rides behind the only dot
    c:connect()
    c:drive()
    c:close()
    if not again then break end
  end
  return receipt, e
end

--- Send one built message over a connection of its own.
-- @tparam table mail the mail object: `host`, `settings`, `record`, `pace`
-- @tparam table built by `directmail.message`
-- @tparam table fields the caller's: `timeout`, `on_unknown`
-- @treturn table receipt, or nil, err
function M.send(mail, built, fields)
  local settings = mail.settings
  local at, who = M.prepare(settings, built)
  if not at then return nil, who end
  local timeout = fields.timeout or settings.timeout
  if at.direct or settings.rate then mail.pace:take "smtp" end
  local receipt, e = dialogue(mail, built, at, who, timeout)
  if e and e.outcome == "unknown" and (fields.on_unknown or settings.on_unknown) == "resend" then
    receipt, e = dialogue(mail, built, at, who, timeout)        -- the same Message-ID: a reader may fold the two
  end
  return receipt, e
end

return M
