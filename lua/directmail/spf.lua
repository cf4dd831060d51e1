--- An SPF record and everything that it includes, walked as a receiver does (RFC 7208), without an address to judge.
-- @module directmail.spf
local M = {}

M.MOST_LOOKUPS, M.MOST_VOIDS = 10, 2    -- RFC 7208, 4.6.4
local MOST_WALKED = 40                  -- look-ups after which the walk ends: the true number is told up to there
local MOST_DEPTH = 12                   -- records inside each other: more cannot stand within ten look-ups
local MOST_TERMS = 200                  -- of one record: it fits no answer of 64 KB that anybody evaluates

local ASKS = { include = true, a = true, mx = true, ptr = true, exists = true, redirect = true }       -- RFC 7208, 4.6.4
local OTHERS = { all = true, ip4 = true, ip6 = true }

--- Is this text an SPF record (RFC 7208, 4.5)?
-- @tparam string text
-- @treturn boolean
function M.is(text)
  local low = text:lower()
  return low == "v=spf1" or low:sub(1, 7) == "v=spf1 "
end

local function is_ip4(text)
  local a, b, c, d, bits = text:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)/?(%d*)$"
  if not a or text:find "/$" then return false end
  for _, part in ipairs { a, b, c, d } do
    if #part > 3 or tonumber(part) > 255 then return false end
  end
  return bits == "" or #bits <= 2 and tonumber(bits) <= 32
end

local function is_ip6(text)
  local address, bits = text:match "^([%x:.]+)/?(%d*)$"
  if not address or text:find "/$" or not address:find ":" or address:find ":::" then return false end
  return bits == "" or #bits <= 3 and tonumber(bits) <= 128
end

-- A prefix length, or two: /24, //64, /24//64.
local function is_cidr(text)
  local four, six = text:match "^/(%d+)//(%d+)$"
  four = four or text:match "^/(%d+)$"
  six = six or text:match "^//(%d+)$"
  return (four or six) ~= nil and tonumber(four or 0) <= 32 and tonumber(six or 0) <= 128
end

local function is_name(text)
  return #text <= 255 and (text:find "%%" ~= nil or text:find "^[%w_-][%w_.-]*%.[%w-]+%.?$" ~= nil)
end

-- One term: `{ name=, qualifier=, value=, cidr= }`, or nil and what is wrong with it.
local function read_term(word)
  local modifier, text = word:match "^(%a[%w_.-]*)=(.*)$"
  if modifier then
    modifier = modifier:lower()
    if modifier == "redirect" and not is_name(text) then return nil, ('"%s" names no domain'):format(word) end
    return { name = modifier, value = text:lower(), modifier = true }
  end
  local qualifier, name, rest = word:match "^([+?~-]?)(%a[%w]*)(.*)$"
  if not name then return nil, ('"%s" is no term of SPF'):format(word) end
  name = name:lower()
  if not ASKS[name] and not OTHERS[name] or name == "redirect" then return nil, ('there is no mechanism "%s"'):format(name) end
  local term = { name = name, qualifier = qualifier == "" and "+" or qualifier }
  local value, cidr = rest, nil
  if name == "a" or name == "mx" then value, cidr = rest:match "^([^/]*)(.*)$" end
  if value ~= "" and value:sub(1, 1) ~= ":" then return nil, ('"%s" is no term of SPF'):format(word) end
  value = value:sub(2)
  if cidr and cidr ~= "" and not is_cidr(cidr) then return nil, ('"%s" has a bad prefix length'):format(word) end
  if name == "ip4" and not is_ip4(value) or name == "ip6" and not is_ip6(value) then return nil, ('"%s" holds no address'):format(word) end
  if (name == "include" or name == "exists") and not is_name(value) then return nil, ('"%s" names no domain'):format(word) end
  if name == "all" and rest ~= "" then return nil, ('"%s": all takes nothing'):format(word) end
  if (name == "a" or name == "mx" or name == "ptr") and rest:sub(1, 1) == ":" and not is_name(value) then
    return nil, ('"%s" names no domain'):format(word)
  end
  term.value = value ~= "" and value:lower():gsub("%.$", "") or nil
  return term
end

--- The terms of a record.
-- @tparam string text
-- @treturn table list of `{ name=, qualifier=, value=, modifier= }`, those that can be read
-- @treturn table list of what is wrong, in words
function M.read(text)
  local terms, faults, n = {}, {}, 0
  for word in text:sub(7):gmatch "[^ ]+" do
    n = n + 1
    if n > MOST_TERMS then
      faults[#faults + 1] = ("it has more than %d terms"):format(MOST_TERMS)
      break
    end
    local term, why = read_term(word)
    if term then terms[#terms + 1] = term else faults[#faults + 1] = why end
  end
  return terms, faults
end

local walk

-- A look-up of the walk: records, or nil and why. What finds nothing is a void one.
local function ask(w, name, kind)
  local records, why = w.ask(name, kind)
  if not records then
    if why == "nxdomain" or why == "nodata" then
      w.voids = w.voids + 1
      w.void_names[#w.void_names + 1] = name
    else
      w.unknown = w.unknown or ("%s %s: %s"):format(name, kind, why)
    end
  end
  return records, why
end

local function texts_of(records)
  local found = {}
  for _, record in ipairs(records or {}) do
    if M.is(record.text) then found[#found + 1] = record.text end
  end
  return found
end

-- The record of a name that another one includes.
local function walk_into(w, domain, by, path)
  if domain:find "%%" then return end           -- a macro: what it stands for depends on each mail
  if path[domain] then
    w.loop = w.loop or domain
    return
  end
  if w.depth >= MOST_DEPTH then return end
  local records, why = ask(w, domain, "TXT")
  if not records and why ~= "nxdomain" and why ~= "nodata" then return end
  local found = texts_of(records)
  if #found ~= 1 then
    w.broken[#w.broken + 1] = ("%s %s, which has %s"):format(by, domain, #found == 0 and "no SPF record" or #found .. " SPF records")
    return
  end
  path[domain] = true
  w.depth = w.depth + 1
  walk(w, domain, found[1], path, false)
  w.depth = w.depth - 1
  path[domain] = nil
end

local function look_up(w, domain, term, path, counts)
  w.lookups = w.lookups + 1
  if w.lookups > MOST_WALKED then return end
  local name = term.value or domain
  if term.name == "include" or term.name == "redirect" then
    if counts then w.includes[name] = true end
    local before = w.counts
    w.counts = counts
    walk_into(w, name, term.name, path)
    w.counts = before
  elseif term.name == "a" and not name:find "%%" then
    local records, why = w.ask(name, "A")
    if not records and why == "nodata" then ask(w, name, "AAAA")
    elseif not records then ask(w, name, "A") end
  elseif (term.name == "mx") and not name:find "%%" then
    ask(w, name, "MX")
  end
end

-- One record. `top`: it is the domain's own.
walk = function(w, domain, text, path, top)
  local terms, faults = M.read(text)
  for _, why in ipairs(faults) do w.faults[#w.faults + 1] = top and why or ("%s: %s"):format(domain, why) end
  local all, redirect
  for _, term in ipairs(terms) do
    if term.name == "redirect" and term.modifier then
      if redirect then w.faults[#w.faults + 1] = "redirect stands twice" end        -- RFC 7208, 6
      redirect = term
    elseif all then             -- nobody reads on behind all (RFC 7208, 5.1)
      if top and term.name == "include" then w.behind[term.value] = true end
    elseif term.name == "all" then
      all = term.qualifier
      if top then w.all = all end
    elseif not term.modifier then
      if term.name == "ptr" then w.ptr = true end
      if ASKS[term.name] then look_up(w, domain, term, path, w.counts and term.qualifier == "+") end
    end
  end
  if redirect and not all then
    if top then w.redirect = redirect.value end
    look_up(w, domain, redirect, path, w.counts)
  end
end

--- Walk the record of a domain.
-- @tparam string domain
-- @tparam string text its SPF record
-- @tparam function look called as `look(name, type)`: records of `host.dns`, or nil, why
-- @treturn table `{ lookups = terms that ask DNS, voids = look-ups that found nothing, void_names=, includes = name -> true of what passes mail
--   by way of includes, behind = name -> true of includes behind all, all = "-"|"~"|"?"|"+"|nil, redirect=, ptr=boolean, loop = name|nil,
--   broken = { text… } of includes without one record, faults = { text… } of syntax, unknown = a look-up nobody answered|nil }`
function M.walk(domain, text, look)
  local w = { ask = look, lookups = 0, voids = 0, void_names = {}, includes = {}, behind = {}, broken = {}, faults = {}, depth = 0, ptr = false, counts = true }
  walk(w, domain, text, { [domain] = true }, true)
  w.ask, w.counts, w.depth = nil, nil, nil
  return w
end

--- A record with one more include, before what decides about the rest.
-- @tparam ?string text the record that is there; nil: none
-- @tparam string name to be included
-- @treturn string
function M.with(text, name)
  local include = "include:" .. name
  if not text then return "v=spf1 " .. include .. " -all" end
  local words, put, has_all = {}, false, false
  for word in text:gmatch "[^ ]+" do
    local low = word:lower()
    local all = low:find "^[+?~-]?all$" ~= nil
    has_all = has_all or all
    if not put and (all or low:find "^redirect=") then
      words[#words + 1] = include
      put = true
    end
    if low ~= include then words[#words + 1] = word end
  end
  if not put then words[#words + 1] = include end
  if not has_all and not text:lower():find " redirect=" then words[#words + 1] = "-all" end
  return table.concat(words, " ")
end

return M
