--- From what went wrong in an SMTP dialogue to an error that explains.
-- The engine says at which step and in whose words; here that becomes cause,
-- remedy, blame and whether a repeat can help (design, section 4).
-- @module directmail.failure
local err = require "directmail.err"
local explain = require "directmail.explain"

local M = {}

-- A repeat cannot help: the same message meets the same wall.
local FINAL = { TLS = true, AUTH = true, SIZE = true, CONTENT = true, FILE = true, OPTION = true, CREDENTIALS = true }

-- Who has to act when it is no reply; else the network.
local BLAME = { AUTH = "credentials", CREDENTIALS = "credentials", SIZE = "content", CONTENT = "content", FILE = "client-bug",
  OPTION = "client-bug" }

local TLS = {
  name = { "the server's certificate is for another name: %s", "check the host name in smtp (DIRECTMAIL_SMTP); the certificate must carry it" },
  expired = { "the server's certificate is outside its dates: %s", "check this machine's clock, then tell the server's operator" },
  issuer = { "nobody that this machine trusts has signed the server's certificate: %s",
    "for a server of your own give its CA: ca (DIRECTMAIL_CA, a PEM file); else install ca-certificates" },
  clear = { "the connection would be in clear text: %s",
    "use smtps:// on port 465, smtp:// on 80 or 25; a password in clear only with cleartext_auth, on your own network" },
  version = { "the server's TLS is too old, 1.2 is the least: %s", "update the server, or use another port or host" },
  [""] = { "the TLS handshake failed: %s", "check that the port speaks TLS: smtps:// on 465, smtp:// (STARTTLS) on 80 and 25" },
}

local function silence(context, said, words)
  if said.step == "connect" then
    if context.port == 25 then
      return ("nobody answers on port 25 of %s: Alibaba Cloud closes outgoing port 25 on ECS"):format(context.host),
        "leave smtp away (465 with TLS is the default), or use smtp://" .. context.host .. ":80 (STARTTLS)"
    end
    return ("%s did not answer: %s"):format(context.peer, words),
      "check network and firewall; Direct Mail listens on 465 (TLS) and 80 (STARTTLS)"
  end
  if said.step == "banner" and context.port == 465 and context.tls == "starttls" then
    return "the server waits in silence: port 465 speaks TLS first", "use smtps://" .. context.host
  end
  return ("the server was silent at %s: %s"):format(said.step, words), "try again; raise timeout if the server is slow"
end

-- Cause and remedy of a failure that is no reply.
local function own_words(context, said)
  local words = said.text
  if said.error == "TIMEOUT" then return silence(context, said, words) end
  if said.error == "DNS" then
    return ("%s has no address: %s"):format(context.host, words), "check the host name, the region, and this machine's DNS"
  end
  if said.error == "CONNECT" then
    return ("no connection to %s: %s"):format(context.peer, words),
      "check host and port (DIRECTMAIL_SMTP); Direct Mail listens on 465 (TLS), 80 and 25 (STARTTLS)"
  end
  if said.error == "TLS" then
    local row = TLS[said.detail or ""] or TLS[""]
    return row[1]:format(words), row[2]
  end
  if said.error == "AUTH" then
    return words, "check that this is Direct Mail's host, or set auth = off for a server that wants no password"
  end
  if said.error == "PROTOCOL" then return words, "check host and port: is this an SMTP server?" end
  if said.error == "SIZE" then return words, "send less, or put the file behind a link" end
  if said.error == "CONTENT" then return words, "encode the message (quoted-printable or base64)" end
  if said.error == "FILE" then return words, "leave the file alone while the mail is sent; nothing was delivered, so send it again" end
  return ("the connection was lost at %s: %s"):format(said.step, words), "nothing was delivered, so it is safe to send it again"
end

--- The error of one message.
-- @tparam string outcome "refused", "not_sent" or "unknown"
-- @tparam table said what the engine reported: {step=, error=, code=, enhanced=, detail=, text=}
-- @tparam table context {host=, port=, tls=, peer=, seconds=, now=UTC seconds, direct=bool, hide=function,
--   remedy=function|nil: `host.remedy`, which knows what helps in this home}
-- @treturn err
function M.new(outcome, said, context)
  local where = { step = said.step, peer = context.peer, seconds = context.seconds }
  local text = context.hide(said.text or "")
  said = { step = said.step, error = said.error, code = said.code, enhanced = said.enhanced, detail = said.detail, text = text }
  if outcome == "unknown" then
    return err.new {
      code = said.error or "LOST", outcome = outcome, retry = false, blame = "network", where = where, reply = said.code and text or nil,
      cause = "the whole message was sent and no whole answer came: " .. (said.error == "TIMEOUT" and "the server was silent" or text),
      remedy = "look the recipient up before you send again (directmail trace --to ADDR, or mail:resolve(err), some minutes later); "
        .. 'on_unknown = "resend" allows a second copy',
    }
  end
  if said.code and said.error ~= "LOST" then
    local reply = ("%d%s %s"):format(said.code, said.enhanced and " " .. said.enhanced or "", text)
    if said.error == "TLS" then
      return err.new {
        code = "TLS", detail = said.detail, outcome = outcome, retry = false, blame = "network", where = where, reply = reply,
        cause = "the server refused STARTTLS, and the connection would be in clear text", remedy = TLS.clear[2],
      }
    end
    local fields = explain.fields({
      phase = said.step, code = said.code, text = said.enhanced and said.enhanced .. " " .. text or text, scope = context.direct and "directmail" or "any",
    }, context.now)
    if said.error == "AUTH" then fields.code = "AUTH" end
    fields.detail, fields.outcome, fields.where, fields.reply = tostring(said.code), outcome, where, reply
    return err.new(fields)
  end
  local cause, remedy = own_words(context, said)
  local code = said.error or "LOST"
  remedy = context.remedy and context.remedy(code, said.detail, text) or remedy
  return err.new {
    code = code, detail = said.detail, outcome = outcome, retry = not FINAL[code], blame = BLAME[code] or "network", where = where,
    cause = cause, remedy = remedy, reply = said.code and text or nil,
  }
end

--- Does this refusal of a recipient say "not in this transaction", and nothing of its mailbox (RFC 5321, 4.5.3.1.10)?
-- @tparam table said of the engine
-- @treturn boolean
function M.is_crowded(said) return said.code == 452 and not (said.enhanced or ""):find "^4%.2%." end

-- The first refusal by a server that took some recipients and takes no more of one mail. The rest gets no transaction of its own, which
-- could fail behind the first one. A server whose disk is full (RFC 3463, 3.4) says nothing of a number.
local function limit_in(refused, to)
  for i = 1, #refused < #to and #refused or 0 do
    if M.is_crowded(refused[i]) and not (refused[i].enhanced or ""):find "^4%.3%." then return refused[i] end
  end
end

--- The error of a mail that was for all recipients or for none (`all_or_none`), when not all were accepted.
-- @tparam string outcome "refused" or "not_sent"
-- @tparam table said the refusal that decided, of the engine
-- @tparam table refused all of them, `{ rcpt =, … }` as the engine tells them
-- @tparam {string,...} to the recipients
-- @tparam table context as of `new`
-- @treturn table err, with `refused`; `retry` when each refusal may end by itself, `after` the longest of their times
function M.none(outcome, said, refused, to, context)
  local limit = outcome == "not_sent" and limit_in(refused, to)
  local e, list, retry, after = M.new(outcome, limit or said, context), {}, not limit, nil
  for i = 1, #refused do
    local one = M.new("refused", refused[i], context)
    list[i] = { address = to[refused[i].rcpt], reply = one.reply, cause = one.cause }
    retry = retry and one.retry
    if one.after then after = math.max(after or 0, one.after) end
  end
  local otherwise = "to send to those that are accepted"
  if limit then
    e.cause = "the server takes no more recipients of one mail"
    e.remedy = ("send to fewer recipients at a time, at most %d"):format(#to - #refused)
    otherwise = "to send to the others after these"
  end
  if #to > 1 then
    local who = list[1].address .. (#list > 1 and " and others" or "")
    e.cause = ("%d of %d recipients refused (%s), and nobody got the mail: %s"):format(#list, #to, who, e.cause)
    if #list < #to then e.remedy = ("%s; or leave all_or_none away, %s"):format(e.remedy, otherwise) end
  end
  local fields = { refused = list, retry = retry, after = retry and after or nil }
  for _, name in ipairs { "code", "detail", "cause", "remedy", "outcome", "blame", "reply", "where" } do fields[name] = e[name] end
  return err.new(fields)
end

return M
