--- A mail's HTML for the frame that shows it: as it came, inline images as data: URLs.
-- Nothing is cleaned here. The frame's Content-Security-Policy keeps scripts, forms and the network away from it, and a
-- policy that a browser enforces is worth more than patterns over HTML.
-- @module directmail.sandbox.body
local core = require "directmail.core"

local M = {}

--- The policy under which it is served.
M.POLICY = "sandbox; default-src 'none'; img-src data: cid:; style-src 'unsafe-inline'"

local MAX_INLINE = 16777216     -- octets of all data: URLs: one image may be named a thousand times

-- Images by their Content-ID (RFC 2392).
local function images(mail)
  local found = {}
  for _, part in ipairs(mail.attachments) do
    if part.cid and part.type:find("^image/[%w.+-]+$") and not found[part.cid] then found[part.cid] = part end
  end
  return found
end

local function unpercent(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- Make it.
-- @tparam table mail of `directmail.sandbox.mails`
-- @treturn string HTML
-- @treturn string its charset
function M.html(mail)
  local found, left, made = images(mail), MAX_INLINE, {}
  local html = mail.html or ""
  if next(found) then
    html = html:gsub("([\"'(=%s])[cC][iI][dD]:([^\"'%s<>()]+)", function(before, name)
      local part = found[unpercent(name)]
      if not part then return nil end
      made[part] = made[part] or ("data:%s;base64,%s"):format(part.type, core.base64(part.data))
      left = left - #made[part]
      return left >= 0 and before .. made[part] or nil
    end)
  end
  return html, mail.html_charset or "utf-8"
end

return M
