--- The certificate of the SMTP server, at once or behind STARTTLS.
local tls_words = require "directmail.doctor.tls_words"

local SETUP = { connect = true, starttls = true }

return {
  id = "tls.smtp",
  title = "certificate of the SMTP server",
  needs = { "network.ports" },
  network = true,
  regional = true,
  run = function(look)
    local at, no = look:smtp_endpoint()
    if not at then return nil, no.cause end
    local seen, e = look:rehearsal()
    if not seen then return nil, e.cause end
    if seen.private then return tls_words.seen(look, seen.tls or {}, at.host) end
    e = seen.err
    if e and e.code == "TLS" then
      return "no TLS", { { status = "fail", rule = "tls." .. (e.detail and e.detail ~= "" and e.detail or "handshake"), cause = e.cause, remedy = e.remedy } }
    end
    if e and SETUP[seen.step] and seen.connected then
      return "no TLS", { { status = "fail", rule = "tls.handshake", cause = e.cause,
        remedy = at.tls == "implicit" and "check that the port speaks TLS first: smtps:// is for 465; on 80 and 25 use smtp://" or e.remedy } }
    end
    if e and (seen.step == "connect" or seen.step == "banner" or seen.step == "ehlo") then return nil, "smtp.greeting failed" end
    return "clear text", { { status = at.direct and "fail" or "warn", rule = "tls.none", cause = "the server offers no STARTTLS: everything goes in clear text",
      remedy = at.direct and "something on the way takes STARTTLS out of the answer: use smtps:// on 465" or "fine on your own network only" } }
  end,
}
