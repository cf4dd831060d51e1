--- Does the name server answer at all? What it does not answer is no fact about anybody's domain.
local names = require "directmail.doctor.names"

return {
  id = "dns.server",
  title = "name server",
  network = true,
  run = function(look)
    local no = look:no_dns()
    if no then return nil, no end
    local server = look.settings.dns
    local told = server and ("%s (%s)"):format(server, look.settings.from.dns or "option dns") or "the system's"
    local _, why = look:dns(look.domain, "TXT")
    if not why or look:is_fact(why) or why == "servfail" then return told end
    -- one silence may be the domain's own servers'
    _, why = look:dns("aliyun.com", "NS")
    if not why or look:is_fact(why) or why == "servfail" then return told end
    return told, { { status = "fail", rule = "dns.server", cause = ("the name server (%s) does not answer: %s"):format(told, names.words(why)),
      remedy = server and "check dns (DIRECTMAIL_DNS, --dns IP:PORT)"
        or "check /etc/resolv.conf and the way to the name server (UDP and TCP 53), or ask another: --dns 223.5.5.5:53" } }
  end,
}
