--- Bodies of `multipart/form-data`, as browsers write them (RFC 7578).
-- @module directmail.nginx.multipart
local limits = require "directmail.data.limits"

local M = {}

local HEAD_OCTETS = 2048        -- headers of one part

--- The boundary that a Content-Type names.
-- @tparam string kind
-- @treturn ?string nil: it is not multipart/form-data, or has no usable boundary (RFC 2046, 5.1.1)
function M.boundary(kind)
  if not kind:lower():find "^%s*multipart/form%-data%s*;" then return nil end
  local boundary = kind:match ';%s*[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]%s*=%s*"([^"]*)"' or kind:match ';%s*[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]%s*=%s*([^%s;"]+)'
  if boundary and boundary:find "^[%w'()+_,./:=? -]+$" and #boundary <= 70 and not boundary:find " $" then return boundary end
end

-- A parameter of Content-Disposition. Browsers write CR, LF and quotes of a name as %0D, %0A and %22 (the HTML standard); other % stay.
local function parameter(disposition, name)
  local value = disposition:match(";%s*" .. name .. '="([^"]*)"')
  if not value then return nil end
  return (value:gsub("%%0[Dd]", "\r"):gsub("%%0[Aa]", "\n"):gsub("%%22", '"'))
end

local function headers_of(head)
  local out = {}
  for line in (head .. "\r\n"):gmatch "(.-)\r\n" do
    local name, value = line:match "^([%w-]+):%s*(.-)%s*$"
    if not name then return nil end
    out[name:lower()] = value
  end
  return out
end

--- Read a body.
-- @tparam string body
-- @tparam string boundary of `M.boundary`
-- @treturn[1] table list of `{ name, data, filename | nil, type | nil }` in order
-- @treturn[2] nil
-- @treturn[2] string why not: a sentence that begins with "the form"
function M.read(body, boundary)
  local mark = "\r\n--" .. boundary
  local text, parts = "\r\n" .. body, {}
  local _, at = text:find(mark, 1, true)
  if not at then return nil, "the form has no part" end
  while true do
    local line_end = text:match("^[ \t]*\r\n()", at + 1)
    if not line_end then
      if text:find("^%-%-", at + 1) then return parts end
      return nil, "the form ends before its last boundary"
    end
    if #parts == limits.form_fields then return nil, ("the form has more than %d fields"):format(limits.form_fields) end
    local head_end, body_start = text:find("\r\n\r\n", line_end - 2, true)
    if not head_end or head_end - line_end > HEAD_OCTETS then return nil, "the form has a part without a head" end
    local next_mark, next_end = text:find(mark, body_start - 1, true)
    if not next_mark then return nil, "the form ends before its last boundary" end
    local headers = headers_of(text:sub(line_end, head_end - 1))
    local disposition = headers and headers["content-disposition"]
    local name = disposition and disposition:lower():find "^form%-data%s*;" and parameter(disposition, "name")
    if not name then return nil, "the form has a part without a name" end
    parts[#parts + 1] = { name, text:sub(body_start + 1, next_mark - 1), parameter(disposition, "filename"), headers["content-type"] }
    at = next_end
  end
end

return M
