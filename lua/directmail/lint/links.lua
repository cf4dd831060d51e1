--- Rules for where links go, as they stand; whether they work `directmail.lint.reach` asks.
-- @module directmail.lint.links
local phrases = require "directmail.lint.phrases"
local script = require "directmail.lint.script"
local url = require "directmail.lint.url"

local M = {}

local SHORT = 400               -- characters of a text in which a shortened link is the message

-- The host that the text of a link shows, when it shows one.
local function shown_host(text)
  text = #text <= 500 and phrases.fold(text):match "^%s*(.*%S)"
  if not text or text:find "[%s@]" then return nil end
  local at = url.parse(text)
  if at and at.host then return at.host:find "%." and at.host or nil end
  local low = text:lower()
  local host = low:match "^(www%.[%w.-]+%.%a%a+)%f[/?#:%z]" or low:match "^([%w-]+%.[%w.-]*%a%a+)[/?#]" or low:match "^([%w-]+%.[%w.]*%a%a+)$"
  -- report.pdf is no host
  local ending = host and host:match "%.(%a+)$"
  if not host or require "directmail.data.types"[ending] and not host:find "^www%." then return nil end
  return host
end

-- May lint say anything about the host? Not of a value of a template.
local function is_known(at) return at and at.host and not at.host:find "[{}%%$]" and not at.text:sub(1, 12):find("{{", 1, true) end

function M.check(mail, report)
  local shortened
  for _, link in ipairs(mail.links) do
    local at = url.parse(link.url)
    local here = { line = link.line, element = link.element }
    if is_known(at) then
      local short = url.known(at.host, "shortener")
      local brand = not short and url.known(at.host, "brand")
      if short or brand then
        shortened = shortened or here
        report("url.shortener", { line = link.line, element = link.element, step = short and 1 or 2 }, at.text)
      end
      if url.known(at.host, "sharing") then report("url.sharing", here, at.host) end
      if url.is_address(at.host) then report("url.ip", here, at.host) end
      local shown = link.element ~= "text" and shown_host(link.text)
      if shown and url.organisation(shown) ~= url.organisation(at.host) then report("url.mismatch", here, shown, at.host) end
      if url.odd_port(at) then report("url.port", here, at.host .. ":" .. at.port) end
      if at.scheme == "http" then report("url.http-only", here, at.host) end
      if at.userinfo then report("url.userinfo", here, at.text) end
      if script.mixed_host(at.host) then report("url.punycode", here, at.host) end
      if at.escaped then report("url.escaped-host", here, at.text) end
    end
  end
  if shortened and mail.characters < SHORT then report("url.shortener-short", shortened) end
end

return M
