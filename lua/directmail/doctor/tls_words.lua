--- What was seen of a TLS connection, and what went wrong with one, in words.
-- @module directmail.doctor.tls_words
local M = {}

local SOON = 14 * 86400         -- a certificate that ends before is told of

local REMEDY = {
  name = "check the host name in %s: the certificate must carry it; a proxy between may show another one",
  expired = "check this machine's clock, then tell the server's operator",
  issuer = "for a server of your own give its CA: ca (DIRECTMAIL_CA, a PEM file); else install ca-certificates, and see who listens in between",
  clear = "the port speaks clear text: smtps:// is for 465, smtp:// (STARTTLS) for 80 and 25",
  version = "the server speaks no TLS 1.2: update it, or use another host",
}

--- A failed handshake as a finding.
-- @tparam string code of `session.loss`
-- @tparam string detail
-- @tparam string words
-- @tparam string setting "api" or "smtp"
function M.failed(code, detail, words, setting)
  local remedy = code == "TLS" and REMEDY[detail] or "check that the port speaks TLS, and what stands between (proxy, firewall, load balancer)"
  return { status = "fail", rule = "tls." .. (code == "TLS" and detail ~= "" and detail or "handshake"), cause = "no TLS: " .. words,
    remedy = remedy:format(("%s (DIRECTMAIL_%s)"):format(setting, setting:upper())) }
end

--- What was seen.
-- @tparam table look
-- @tparam table seen of `sock:tls`
-- @tparam string name that the certificate is for
-- @treturn string
-- @treturn table findings
function M.seen(look, seen, name)
  if not seen.version then return "TLS, the certificate is for " .. name, {} end
  local findings = {}
  local year, month, day = tostring(seen.expires or ""):match "^(%d+)-(%d+)-(%d+)$"
  local ends = year and os.time { year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = 12 }
  if ends and ends - look.host.now() < SOON then
    findings[1] = { status = "warn", rule = "tls.soon", cause = ("the certificate ends on %s"):format(seen.expires), remedy = "tell the server's operator" }
  end
  return ("%s, valid until %s, name matches"):format(seen.version:gsub("v", " "), seen.expires or "?"), findings
end

return M
