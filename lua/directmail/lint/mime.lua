--- Rules for how the parts of a finished message are encoded, and for attachments.
-- @module directmail.lint.mime
local kinds = require "directmail.data.lint_attachments"

local M = {}

local LINE = 76                 -- characters (RFC 2045, 6.7 and 6.8)

local function longest_line(bytes)
  local longest, number, at, n = 0, 1, 1, 0
  while at <= #bytes do
    local stop = bytes:find("\r\n", at, true) or #bytes + 1
    n = n + 1
    if stop - at > longest then longest, number = stop - at, n end
    at = stop + 2
  end
  return longest, number
end

local function check_leaf(mail, leaf, report)
  if leaf.encoding ~= "base64" and leaf.encoding ~= "quoted-printable" then return end
  local longest, number = longest_line(leaf.bytes)
  local here = { line = leaf.line + number - 1 }
  if leaf.encoding == "quoted-printable" then
    if longest > LINE then report("mime.qp-line", here, tostring(longest)) end
    return
  end
  if longest > 79 then report("mime.base64-line", here, tostring(longest)) end
  local text = leaf.field and mail[leaf.field]
  if text and #text > 0 and not text:find "[\128-\255%z]" then report("mime.base64-text", { line = leaf.line }) end
end

-- The first flag of a ZIP entry says that it is encrypted (APPNOTE.TXT, 4.4.4); of RAR 5 the header's type 4 does.
local function is_encrypted(data)
  if not data then return false end
  if data:sub(1, 4) == "PK\3\4" then return (data:byte(7) or 0) % 2 == 1 end
  if data:sub(1, 8) == "Rar!\26\7\1\0" then return data:byte(14) == 4 end
  return false
end

function M.check(mail, report)
  for _, leaf in ipairs(mail.leaves or {}) do check_leaf(mail, leaf, report) end
  for _, attachment in ipairs(mail.attachments) do
    local name = attachment.name or ""
    local kind = kinds[(name:lower():match "%.(%w+)[%s.]*$" or "")]
    local here = { element = name }
    if kind == "executable" then report("attachment.executable", here, name)
    elseif kind == "macro" then report("attachment.macro", here, name)
    elseif is_encrypted(attachment.data) then report("attachment.encrypted", here, name) end
  end
end

return M
