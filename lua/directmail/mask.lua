--- Take secrets, and people's addresses, out of words that are written down.
-- @module directmail.mask
local core = require "directmail.core"

local M = {}

local STARS = "********"
local LEAST = 6         -- octets of a derived form: a shorter one would be found in innocent words

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

-- How a secret looks inside the base64 of something longer, such as "\0user\0password" of AUTH PLAIN: by how many octets
-- stand before it there are three ways, and its last character may hold bits of what follows.
local function add_base64(add, secret)
  for before = 0, 2 do
    local inside = core.base64(("\0"):rep(before) .. secret):gsub("=+$", "")
    local foreign = before == 0 and 0 or before + 1
    add(inside:sub(foreign + 1))
    add(inside:sub(foreign + 1, math.floor((before + #secret) * 8 / 6)))
  end
end

-- Every way in which a secret may stand in a text, the longest first: what is part of another must not go before it.
local function forms_of(secrets)
  local forms, seen = {}, {}
  local function add(form)
    if seen[form] then return end
    seen[form] = true
    forms[#forms + 1] = form
  end
  local function derived(form)
    if #form >= LEAST then add(form) end
  end
  for _, secret in pairs(secrets) do    -- pairs: nil may stand before others
    if secret ~= "" then
      add(secret)
      add_base64(derived, secret)
      local once = core.percent(secret) -- a form's value, and the same inside a string to sign
      derived(once)
      derived(core.percent(once))
    end
  end
  table.sort(forms, function(a, b) return #a > #b end)
  return forms
end

--- A function that masks the secrets: as they are, in base64 (alone or inside something longer), percent-encoded once or twice.
-- @tparam table secrets their strings; empty ones and nil are left out
-- @treturn function text -> text
function M.of(secrets)
  local forms = forms_of(secrets)
  return function(text)
    for i = 1, #forms do text = replace(text, forms[i]) end
    return text
  end
end

--- An address cut down to its first letter and its domain: enough to find a mail again, too little to write to.
-- @tparam string address `ann@example.com`
-- @treturn string `a***@example.com`
function M.address(address)
  local first, domain = address:match "^([\1-\127\194-\244][\128-\191]*).*@([^@]*)$"
  if not first or first == "@" then return "***" end
  return first .. "***@" .. domain
end

--- The same for every address inside a text.
-- @tparam string text
-- @treturn string
function M.addresses(text)
  return (text:gsub("[^%s<>,;:\"'()@]+@[%w.%-\128-\255]+", M.address))
end

return M
