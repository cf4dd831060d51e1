--- What an address of a list says by itself, without asking anybody.
-- @module directmail.list.address
local core = require "directmail.core"
local domains = require "directmail.data.mail_domains"
local roles = require "directmail.data.role_addresses"

local M = {}

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local is_provider, is_disposable, is_role = set_of(domains.provider), set_of(domains.disposable), set_of(roles)

-- Names under which there can be no public mail server: RFC 6761, 6.3 and 6.4; RFC 6762, 3; RFC 7686, 2. The names for documentation and
-- for tests are left to the DNS, which knows none of them in public, and may do so in a test.
local NO_MAIL = set_of { "localhost", "invalid", "local", "onion" }

-- Ends of ".com" and ".net" that are no top-level domain, or hardly ever the one that was meant behind a provider's name.
local ENDS = { con = "com", cmo = "com", comm = "com", ocm = "com", vom = "com", xom = "com", cpm = "com", cim = "com", coom = "com", om = "com",
  cm = "com", co = "com", ["com.com"] = "com", ner = "net", nte = "net", ent = "net" }

-- Is it one edit from one word to the other: a letter put in, left out, another one, or two that changed places?
local function is_one_edit(a, b)
  if math.abs(#a - #b) > 1 then return false end
  local i = 1
  while i <= #a and a:byte(i) == b:byte(i) do i = i + 1 end
  local m, n = #a, #b
  while m >= i and n >= i and a:byte(m) == b:byte(n) do m, n = m - 1, n - 1 end
  local x, y = m - i + 1, n - i + 1                     -- what differs in each
  if x + y == 1 or x == 1 and y == 1 then return true end
  return x == 2 and y == 2 and a:byte(i) == b:byte(i + 1) and a:byte(i + 1) == b:byte(i)
end

local SHORTEST = 5      -- letters of a provider's name in which an edit is a typing error: sq.com is not qq.com

-- Words with one letter left out, and whole -> the providers' domains that they come from: two words are one edit apart only when
-- they share one of these, so a domain is compared with few others.
local near

local function without(word, i) return word:sub(1, i - 1) .. word:sub(i + 1) end

local function index()
  near = {}
  local function add(word, provider)
    near[word] = near[word] or {}
    table.insert(near[word], provider)
  end
  for _, provider in ipairs(domains.provider) do
    if #provider:match "^[^.]+" >= SHORTEST then
      add(provider, provider)
      for i = 1, #provider do add(without(provider, i), provider) end
    end
  end
end

local function one_edit_from(word)
  for i = 0, #word do
    for _, provider in ipairs(near[i == 0 and word or without(word, i)] or {}) do
      if is_one_edit(word, provider) then return provider end
    end
  end
end

--- The provider's domain that was most likely meant.
-- @tparam string domain A-labels in lower case
-- @treturn ?string nil: it is not like any other
function M.did_you_mean(domain)
  if is_provider[domain] then return nil end
  if not near then index() end
  local name, last = domain:match "^([^.]+)%.(.+)$"
  local fixed = name and ENDS[last] and name .. "." .. ENDS[last]
  if fixed and is_provider[fixed] then return fixed end
  return one_edit_from(domain) or fixed and one_edit_from(fixed)
end

--- Does it belong to mailboxes that live for minutes? So does every domain under such a one.
-- @tparam string domain
-- @tparam[opt] table more further ones, domain -> true
-- @treturn boolean
function M.is_disposable(domain, more)
  while domain do
    if is_disposable[domain] or more and more[domain] then return true end
    domain = domain:match "^[^.]+%.(.+)$"
  end
  return false
end

--- Read an address.
-- @tparam string text a field of a list: `ann@example.com`, with blanks around it or with a name
-- @treturn table `to` = as it goes on the wire; `key` = the same for all spellings (case, IDN); `domain` = its A-labels; `reason` and
--   `verdict` = "invalid" when it cannot be used, without the others when it is none at all
function M.read(text)
  if not text or not text:find "%S" then return { verdict = "invalid", reason = "syntax: the field is empty" } end
  local found, why = core.addresses(text)
  if not found then return { verdict = "invalid", reason = "syntax: " .. why } end
  if #found ~= 1 then return { verdict = "invalid", reason = ("syntax: %d addresses in one field"):format(#found) } end
  local box = found[1]
  local one = { to = box.address, key = box.address:lower(), domain = box.address:sub(box.local_length + 2):lower() }
  if box.literal then one.reason = "domain.literal: an IP address is no domain to write to"
  elseif box.single then one.reason = "domain.single: the domain has no dot"
  elseif NO_MAIL[one.domain:match "[^.]+$"] then one.reason = ("domain.reserved: there is no mail under .%s"):format(one.domain:match "[^.]+$")
  elseif box.quoted or box.comma then one.reason = "syntax: a quoted local part or one with a comma, which the API cannot take"
  end
  if one.reason then one.verdict = "invalid" end
  one.role = is_role[one.key:sub(1, box.local_length)]
  return one
end

return M
