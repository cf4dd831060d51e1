--- Rules for what Direct Mail does with a mail: the sender's type, tracking, and what the doctor found of its domain.
-- @module directmail.lint.service
local read = require "directmail.read"
local url = require "directmail.lint.url"

local M = {}

-- Checks of the doctor by which receivers trust a domain.
local AUTHENTICATION = { ["dns.spf"] = true, ["dns.dkim"] = true, ["dns.dmarc"] = true, ["dns.owner"] = true, ["dns.mx"] = true }

local TYPES = { bulk = "batch", transactional = "trigger" }

-- What is tracked: of a message's fields, else of X-AliDM-Trace, which is base64 of JSON.
local function tracking(mail)
  local track = mail.fields and mail.fields.track
  if track then return track.opens, track.clicks end
  local header = mail.headers and read.field(mail.headers, "X-AliDM-Trace")
  local json = header and require "directmail.core".base64_decode(header)
  if not json then return false, false end
  return json:find '"OpenTrace"%s*:%s*"1"' ~= nil, json:find '"LinkTrace"%s*:%s*"1"' ~= nil
end

function M.check(mail, report)
  local options = mail.options
  if options.sender_type and TYPES[mail.kind] ~= options.sender_type then
    report("kind.sender", { line = mail.header_lines and mail.header_lines.from or 1 }, mail.kind, options.sender_type)
  end
  local opens, clicks = tracking(mail)
  if clicks then
    local any = false
    for _, link in ipairs(mail.links) do any = any or link.element == "a" and url.parse(link.url) ~= nil end
    if not any or not mail.has_body then report("track.no-link", { line = 1 }) end
  end
  local tracked_well = false
  for _, check in ipairs(options.doctor and options.doctor.checks or {}) do
    local id, said = tostring(check.id), tostring(check.cause or check.title or "")
    if id == "dns.track" then tracked_well = check.status == "pass"
    elseif AUTHENTICATION[id] and check.status == "fail" then report("auth.fail", { element = id }, id, said)
    elseif AUTHENTICATION[id] and check.status == "warn" then report("auth.warn", { element = id }, id, said) end
  end
  if (opens or clicks) and not tracked_well then report("track.domain", { line = 1 }) end
end

return M
