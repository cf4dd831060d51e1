--- Take secrets out of words that come from elsewhere: a server may repeat them.
-- @module directmail.mask
local core = require "directmail.core"

local M = {}

local STARS = "********"

local function replace(text, plain)
  local from, out = 1, {}
  while true do
    local i, j = text:find(plain, from, true)
    if not i then break end
    out[#out + 1] = text:sub(from, i - 1)
    out[#out + 1] = STARS
    from = j + 1
  end
  if from == 1 then return text end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

--- A function that masks the secrets, as they are and in base64.
-- @tparam table secrets list of strings; empty ones and nil are left out
-- @treturn function text -> text
function M.of(secrets)
  local forms = {}
  for i = 1, #secrets do
    local secret = secrets[i]
    if secret and secret ~= "" then
      forms[#forms + 1] = secret
      forms[#forms + 1] = (core.base64(secret):gsub("=+$", ""))
    end
  end
  return function(text)
    for i = 1, #forms do text = replace(text, forms[i]) end
    return text
  end
end

return M
