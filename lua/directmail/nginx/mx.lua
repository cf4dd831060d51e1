--- Does the domain of an address take mail? Asked when somebody registers, so that a typing error is told at once and not by a bounce.
-- Only what the DNS says for sure refuses: no such name, a null MX (RFC 7505), or neither MX nor address (RFC 5321, 5.1). A silent or broken
-- server lets pass: nobody is turned away because of somebody's name server.
-- @module directmail.nginx.mx
local domains = require "directmail.list.domain"

local M = {}

local SECONDS = 3               -- of one question: a visitor waits
local REMEMBER = 600            -- seconds that an answer is remembered

-- What the list check's verdicts mean to somebody who waits for a form: false: no mail can arrive; nil: nobody knows.
local TAKES = { ok = true, risky = true, invalid = false }

--- Ask, or remember.
-- @tparam table host
-- @tparam string address
-- @tparam table options `dict` = where answers are remembered, `server` = IP:PORT
-- @treturn ?boolean false: no mail can arrive there; true: it can; nil: the DNS does not tell
function M.takes_mail(host, address, options)
  local domain = address:match "@([^@]+)$":lower()
  local known = options.dict:get("mx:" .. domain)
  if known ~= nil then return known end
  local verdict = domains.ask(host, domain, { dns = { server = options.server, timeout = SECONDS } })
  local takes = TAKES[verdict]
  if takes ~= nil then options.dict:set("mx:" .. domain, takes, REMEMBER) end
  return takes
end

return M
