--- Send a message by SMTP: which server, who logs in, one connection.
-- @module directmail.smtp
local connection = require "directmail.connection"
local core = require "directmail.core"
local err = require "directmail.err"
local failure = require "directmail.failure"
local limits = require "directmail.data.limits"
local message = require "directmail.message"
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

local function find_endpoint(settings)
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

-- What the settings led to last time: settings table -> { smtp=, region=, route=, at= }.
local endpoints = setmetatable({}, { __mode = "k" })

--- Which server, which port, which kind of TLS.
-- @tparam table settings `smtp`, else `region` or `route`
-- @treturn table {host=, port=, tls="implicit"|"starttls", region=id|nil, direct=bool}, shared: not to be written to; or nil, err
function M.endpoint(settings)
  local last = endpoints[settings]
  if last and last.smtp == settings.smtp and last.region == settings.region and last.route == settings.route then return last.at end
  local at, e = find_endpoint(settings)
  if at then endpoints[settings] = { smtp = settings.smtp, region = settings.region, route = settings.route, at = at } end
  return at, e
end

local NOBODY = {}
local LEAST = 0.001             -- seconds that a wait for the rate leaves of a deadline

-- Who logs in, or nobody.
local function account(settings, at, from)
  if settings.auth == "off" then return NOBODY end
  if not settings.smtp_password then
    if not at.direct then return NOBODY end
    return refuse("CREDENTIALS", "smtp_password", "Direct Mail wants the SMTP password of the sender, and none is set",
      "set DIRECTMAIL_SMTP_PASSWORD: the console's SMTP password of this address, neither an AccessKey nor a mailbox's password", "credentials")
  end
  return { user = settings.smtp_user or from, password = settings.smtp_password }
end

-- W29: the service answers 436 when the sender is not who logged in; say it before connecting.
local function check_sender(who, from)
  if not who.user then return true end
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
  if not at.direct then return at, who end
  local ok
  ok, e = check_sender(who, built.mail_from)
  if not ok then return nil, e end
  if #built.to > limits.recipients then
    return refuse("SIZE", "to", ("the message has %d recipients, Direct Mail takes %d"):format(#built.to, limits.recipients), "send it in several messages")
  end
  return at, who
end

-- One conversation. The third result is the recipients that would not fit into it.
local function dialogue(mail, built, at, who, timeout)
  local receipt, e, again, left
  for _ = 1, 4 do               -- overlap, group, off: as often as a server can stumble; and a kept connection that had gone stale
    local c
    local keep = mail.host.keeps and again ~= "stale"
    c, e = connection.new(mail, at, who, function(job, outcome, said, refused, why)
      receipt, e = c:verdict(job, outcome, said, refused)
      again, left = why, M.left(built, refused)
    end, keep)
    if not c then return nil, e end
    c:push { built = built, timeout = timeout }
    if not keep then c:quit() end       -- it rides behind the only dot
    c:connect()
    c:finish(c:drive())
    if not again then break end
  end
  return receipt, e, left
end

--- The recipients that would not fit into a transaction: the server was full, and had taken others.
-- @tparam table built of the transaction
-- @tparam ?table refused what the engine told of its recipients
-- @treturn table addresses
function M.left(built, refused)
  local left = {}
  for _, one in ipairs(refused or NOBODY) do
    if failure.is_crowded(one) then left[#left + 1] = built.to[one.rcpt] end
  end
  return left
end

--- The same message for these recipients alone.
-- @treturn table built; or nil, err
function M.rest(mail, built, left)
  local rest, e = message.lay_out(setmetatable({ to = left }, { __index = built }), mail.settings, mail.host)
  return rest, e
end

--- Add to a receipt what a further transaction, about the recipients `left`, came to.
-- @tparam table receipt is changed
-- @tparam {string,...} left
-- @tparam ?table more receipt of that transaction; nil: it ended with `e`
-- @tparam ?table e
function M.merge(receipt, left, more, e)
  local again = {}
  for _, address in ipairs(left) do again[address] = true end
  local refused = {}
  for _, one in ipairs(receipt.refused) do
    if not again[one.address] then refused[#refused + 1] = one
    elseif not more then refused[#refused + 1] = { address = one.address, reply = e.reply or one.reply, cause = e.cause } end
  end
  if more then
    for _, one in ipairs(more.refused) do refused[#refused + 1] = one end
    for _, address in ipairs(more.accepted) do receipt.accepted[#receipt.accepted + 1] = address end
    receipt.seconds = receipt.seconds + more.seconds
  end
  receipt.refused = refused
end

--- Send one built message: over a connection of its own, or in nginx over one that was kept.
-- @tparam table mail the mail object: `host`, `settings`, `record`, `pace`
-- @tparam table built by `directmail.message`
-- @tparam table fields the caller's: `timeout`, `on_unknown`
-- @treturn table receipt, or nil, err
function M.send(mail, built, fields)
  local settings = mail.settings
  local at, who = M.prepare(settings, built)
  if not at then return nil, who end
  local timeout = fields.timeout or settings.timeout
  if at.direct or settings.rate then
    local waited, e = mail.pace:mail("smtp", at.direct and built.to or nil, timeout)
    if not waited then return nil, e end
    timeout = timeout and math.max(LEAST, timeout - waited)
  end
  local receipt, e, left = dialogue(mail, built, at, who, timeout)
  if e and e.outcome == "unknown" and (fields.on_unknown or settings.on_unknown) == "resend" then
    receipt, e, left = dialogue(mail, built, at, who, timeout)  -- the same Message-ID: a reader may fold the two
  end
  -- The server took some recipients and is full: the rest gets a transaction of its own. Each round serves one at least.
  while receipt and #left > 0 and not (timeout and receipt.seconds >= timeout) do
    local rest = M.rest(mail, built, left)
    if not rest then break end
    if at.direct or settings.rate then mail.pace:take "smtp" end
    local more, why, still = dialogue(mail, rest, at, who, timeout and timeout - receipt.seconds)
    message.close(rest)
    M.merge(receipt, left, more, why)
    left = more and still or {}
  end
  return receipt, e
end

return M
