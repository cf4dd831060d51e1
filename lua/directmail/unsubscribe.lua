--- Links by which one recipient leaves one list, signed so that nobody can make one for another (RFC 8058).
--
--     local unsubscribe = require "directmail.unsubscribe"
--     mail:send { to = to, …, unsubscribe = unsubscribe.url("https://shop.example/bye", secret, to, "news") }
--
-- A link needs no login and no cookie: all that it says stands in its token, with an HMAC-SHA-256 behind it. `directmail.nginx.unsubscribe`
-- is its other end. Secrets are rotated by a list, the newest first: it signs, and all of them are believed.
-- @module directmail.unsubscribe
local core = require "directmail.core"

local M = {}

local LEAST = 16                -- octets of a secret: less can be guessed offline, from one link
local LISTS = 10                -- secrets that are believed at once
local LIST_OCTETS = 64
local TOKEN_OCTETS = 1024       -- an address of 254 octets and a list of 64 in base64, and their signature, need 530
local DAY = 86400
-- A link must work for 30 days behind its mail (15 U.S.C. 7704 (a)(3)(A)(ii), CAN-SPAM); people read old mail.
local SHORTEST, LIFETIME = 30, 400
local ABOUT = "directmail unsubscribe 1\n"     -- so that no other signature with this secret is one of ours

local function base64url(bytes) return (core.base64(bytes):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" })) end

-- Octets of base64url (RFC 4648, 5) without padding; nil: it is none, or not the one way to write them.
local function from_base64url(text)
  if text:find "[^%w_-]" then return nil end
  local bytes = core.base64_decode((text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" })) .. ("="):rep(-#text % 4))
  return bytes and base64url(bytes) == text and bytes or nil
end

local function sign(secret, payload) return core.hmac_sha256(secret, ABOUT .. payload) end

-- A secret or a list of them as a list; or nil, why not.
local function list_of(secret)
  local list = type(secret) == "table" and secret or { secret }
  if #list == 0 or #list > LISTS then
    return nil, ("secret: a string of at least %d octets is needed, or a list of up to %d (got %s)"):format(LEAST, LISTS, type(secret))
  end
  for _, one in ipairs(list) do
    if type(one) ~= "string" then return nil, ("secret: a string is needed, not a %s"):format(type(one)) end
    if #one < LEAST then return nil, ("secret: %d octets are too few, %d are needed (openssl rand -hex 32)"):format(#one, LEAST) end
  end
  return list
end

--- Check a secret or a list of them, and give the list.
-- @tparam string|table secret at least 16 octets; or up to ten of them, the newest first
-- @tparam[opt=2] number level where misuse is raised: nil is misuse too, since an unset variable must not become a known secret
-- @treturn {string,...}
function M.secrets(secret, level)
  local list, why = list_of(secret)
  if not list then error(why, (level or 2) + 1) end
  return list
end

local function one_address(to)
  local found = type(to) == "string" and core.addresses(to)
  return found and #found == 1 and found[1].address:lower() or nil
end

-- A token; or nil, why not.
local function make(secret, to, list, options)
  local secrets, why = list_of(secret)
  if not secrets then return nil, why end
  local address = one_address(to)
  if not address then return nil, "to: one address is needed" end
  if type(list) ~= "string" or list == "" or #list > LIST_OCTETS or list:find "[^%w._-]" then
    return nil, ("list: the list's name is needed, 1 to %d of A-Z a-z 0-9 . _ -"):format(LIST_OCTETS)
  end
  local days = options and options.days or LIFETIME
  if type(days) ~= "number" or not (days >= SHORTEST and days <= 36500) then
    return nil, ("days: a number from %d to 36500 is needed"):format(SHORTEST)
  end
  local now = options and options.now or require "directmail.host".now()
  local payload = ("%.0f\n%s\n%s"):format(math.floor(now + days * DAY), list, address)
  return base64url(payload) .. "." .. base64url(sign(secrets[1], payload))
end

--- Make a token.
-- @tparam string|table secret see `secrets`
-- @tparam string to whose link it is: one address
-- @tparam string list of which list: 1 to 64 of A-Z a-z 0-9 . _ -
-- @tparam[opt] table options `days` = how long it is good (400; 30 at least), `now` = seconds since 1970
-- @treturn string of A-Z a-z 0-9 _ - and one dot
-- @raise when an argument cannot be used: nobody must get a mail with a dead link
function M.token(secret, to, list, options)
  local token, why = make(secret, to, list, options)
  if not token then error(why, 2) end
  return token
end

--- Make a link, for the field `unsubscribe` and for the text of a mail.
-- @tparam string base where `directmail.nginx.unsubscribe` answers: https://…, without a token
-- @param secret, to, list, options as of `token`
-- @treturn string base with the parameter `t`
function M.url(base, secret, to, list, options)
  if type(base) ~= "string" or not base:find "^https://[^/?#%s]+[^#%s%c<>]*$" then
    error("base: an https URL is needed, since mail programs unsubscribe by https only (RFC 8058, 3.1)", 2)
  end
  local token, why = make(secret, to, list, options)
  if not token then error(why, 2) end
  return base .. (base:find("?", 1, true) and "&" or "?") .. "t=" .. token
end

--- Read a token.
-- @tparam string|table secret see `secrets`
-- @tparam string token
-- @tparam[opt] number now seconds since 1970
-- @treturn[1] table `{ to=, list=, expires= }`
-- @treturn[2] nil
-- @treturn[2] string "forged": it is none of ours, or somebody changed it; "expired": it was
function M.read(secret, token, now)
  local secrets = M.secrets(secret, 2)
  if type(token) ~= "string" or #token > TOKEN_OCTETS then return nil, "forged" end
  local first, second = token:match "^([%w_-]+)%.([%w_-]+)$"
  local payload, mac = first and from_base64url(first), second and from_base64url(second)
  if not payload or not mac then return nil, "forged" end
  local genuine = false
  for i = 1, #secrets do        -- all of them, so that the time does not tell which
    if core.same(sign(secrets[i], payload), mac) then genuine = true end
  end
  if not genuine then return nil, "forged" end
  local expires, list, to = payload:match "^(%d+)\n([%w._-]+)\n(.+)$"
  if not expires then return nil, "forged" end
  if tonumber(expires) < (now or require "directmail.host".now()) then return nil, "expired" end
  return { to = to, list = list, expires = tonumber(expires) }
end

return M
