--- A DKIM key record, read as a verifier reads it (RFC 6376, 3.6.1; RFC 8463; RFC 8301).
-- @module directmail.dkim
local core = require "directmail.core"

local M = {}

--- Bits below which no verifier accepts a signature, and those that are advised (RFC 8301, 3.2).
M.LEAST_BITS, M.GOOD_BITS = 1024, 2048

-- One element of DER at `at`: its tag, where its value begins and where it ends; nil when there is none.
local function element(bytes, at, last)
  local tag, first = bytes:byte(at, at + 1)
  if not first or at + 1 > last then return nil end
  local from, length = at + 2, first
  if first >= 0x80 then
    local n = first - 0x80
    if n < 1 or n > 3 or from + n - 1 > last then return nil end
    length = 0
    for i = 0, n - 1 do length = length * 256 + bytes:byte(from + i) end
    from = from + n
  end
  if from + length - 1 > last then return nil end
  return tag, from, from + length - 1
end

local SEQUENCE, BIT_STRING, INTEGER = 0x30, 0x03, 0x02

-- Bits of the modulus of an RSA key: SubjectPublicKeyInfo (RFC 5280, 4.1), or the bare RSAPublicKey (RFC 8017, A.1.1).
local function rsa_bits(bytes)
  local tag, from, last = element(bytes, 1, #bytes)
  if tag ~= SEQUENCE then return nil end
  local inner, at, ending = element(bytes, from, last)
  if inner == SEQUENCE then
    inner, at, ending = element(bytes, ending + 1, last)
    if inner ~= BIT_STRING or bytes:byte(at) ~= 0 then return nil end
    inner, at, ending = element(bytes, at + 1, ending)
    if inner ~= SEQUENCE then return nil end
    inner, at, ending = element(bytes, at, ending)
  end
  if inner ~= INTEGER then return nil end
  while at <= ending and bytes:byte(at) == 0 do at = at + 1 end
  if at > ending then return nil end
  local bits, top = (ending - at + 1) * 8, bytes:byte(at)
  while top < 128 do
    bits, top = bits - 1, top * 2
  end
  return bits
end

--- The tags of a record, `name=value` with semicolons.
-- @tparam string text
-- @treturn table name -> value without blanks around it
-- @treturn table names in their order
function M.tags(text)
  local tags, order = {}, {}
  for piece in (text .. ";"):gmatch "([^;]*);" do
    local name, value = piece:match "^%s*(%a[%w_]*)%s*=%s*(.-)%s*$"
    if name and tags[name] == nil then
      tags[name] = value
      order[#order + 1] = name
    end
  end
  return tags, order
end

--- The public key of a record as one word, to compare two records by.
-- @tparam string text
-- @treturn string|nil
function M.key(text)
  local p = M.tags(text).p
  return p and (p:gsub("[%s\"\\]", "")) or nil
end

--- Is this text meant as a key record?
-- @tparam string text
-- @treturn boolean
function M.is(text)
  return text:lower():find "v%s*=%s*dkim1" ~= nil or M.tags(text).p ~= nil
end

--- Read a record.
-- @tparam string text
-- @treturn table `{ kind = "rsa"|"ed25519"|other, bits = of an RSA key, revoked = p is empty, test = t=y, fault = what makes it unusable, in
--   words|nil, rule = the kind of fault: "quotes"|"key" }`
function M.read(text)
  local tags, order = M.tags(text)
  local out = { kind = (tags.k or "rsa"):lower(), revoked = tags.p == "", test = false }
  for flag in (tags.t or ""):gmatch "[^:%s]+" do
    if flag:lower() == "y" then out.test = true end
  end
  local function bad(rule, why)
    out.rule, out.fault = rule, why
    return out
  end
  if text:find '"' then return bad("quotes", "it holds quotes, which the DNS panel should have taken off") end
  if text:find "\\" then return bad("quotes", "it holds a backslash, left over from a form or a zone file") end
  if tags.v and (tags.v ~= "DKIM1" or order[1] ~= "v") then return bad("key", "v must be the first tag and exactly DKIM1") end
  if not tags.p then return bad("key", "it has no p, so no key") end
  if out.revoked then return out end
  if tags.p:find "%s" then return bad("quotes", "the key in p holds blanks") end
  if out.kind ~= "rsa" and out.kind ~= "ed25519" then return bad("key", ("k=%s is no kind of key that verifiers know"):format(tags.k)) end
  local bytes = not tags.p:find "[^%w+/=]" and core.base64_decode(tags.p)
  if not bytes then return bad("key", "p is no base64: a character is missing or too many") end
  if out.kind == "ed25519" then
    if #bytes ~= 32 then return bad("key", ("an ed25519 key has 32 octets, this one %d"):format(#bytes)) end
    return out
  end
  out.bits = rsa_bits(bytes)
  if not out.bits then return bad("key", "p is no RSA key: it was cut or changed") end
  return out
end

return M
