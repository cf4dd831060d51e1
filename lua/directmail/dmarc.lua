--- The DMARC record that applies to a domain, found by the tree walk of RFC 9989 (4.10), and what its tags say.
-- @module directmail.dmarc
local dkim = require "directmail.dkim"

local M = {}

local MOST_QUERIES = 8          -- RFC 9989, 4.10
local POLICIES = { none = true, quarantine = true, reject = true }
local MODES = { r = true, s = true }

-- Does the text begin as a DMARC record, if perhaps with mistakes?
local function meant(text) return text:lower():find "^%s*v%s*=%s*dmarc" ~= nil end

-- `v=DMARC1`, first, and exactly so: else the whole record is ignored (RFC 9989, 4.7).
local function is(text) return text:find "^v%s*=%s*DMARC1%s*$" ~= nil or text:find "^v%s*=%s*DMARC1%s*;" ~= nil end

-- The name that the tree walk asks after this one.
local function parent(name, first)
  local labels = {}
  for label in name:gmatch "[^.]+" do labels[#labels + 1] = label end
  local skip = first and #labels > MOST_QUERIES and #labels - (MOST_QUERIES - 1) or 1
  if #labels - skip < 1 then return nil end
  return table.concat(labels, ".", skip + 1)
end

--- Find the records.
-- @tparam string domain
-- @tparam function look called as `look(name, type)`: records of `host.dns`, or nil, why
-- @treturn[1] table `{ at = the domain whose record it is|nil, text=, records = how many stand there, near = { text… } that only look like one, at
--   the domain itself, wildcard= }`
-- @treturn[2] nil
-- @treturn[2] string a look-up nobody answered
function M.find(domain, look)
  local out, name = { near = {} }, domain
  for query = 1, MOST_QUERIES do
    local records, why = look("_dmarc." .. name, "TXT")
    if not records and why ~= "nxdomain" and why ~= "nodata" then return nil, ("_dmarc.%s: %s"):format(name, why) end
    local found = {}
    for _, record in ipairs(records or {}) do
      if is(record.text) then found[#found + 1] = record.text
      elseif name == domain and meant(record.text) then out.near[#out.near + 1] = record.text end
    end
    if #found > 0 then
      out.at, out.text, out.records = name, found[1], #found
      return out
    end
    name = parent(name, query == 1)
    if not name then break end
  end
  return out
end

--- Read a record.
-- @tparam string text
-- @treturn table `{ policy = what the domain asks for: "none"|"quarantine"|"reject"|nil (nothing applies), tags = by name, faults = { text… },
--   notes = { text… }, missing = there is no p, test = t=y, rua = { domain… } }`
function M.read(text)
  local tags, order = dkim.tags(text)
  local out = { tags = tags, faults = {}, notes = {}, rua = {}, missing = tags.p == nil, test = tags.t == "y" }
  local bad_policy = false
  for _, name in ipairs { "p", "sp", "np" } do
    if tags[name] and not POLICIES[tags[name]:lower()] then
      bad_policy = true
      out.faults[#out.faults + 1] = ("%s=%s is none of none, quarantine, reject"):format(name, tags[name])
    end
  end
  for _, name in ipairs { "adkim", "aspf" } do
    if tags[name] and not MODES[tags[name]:lower()] then out.faults[#out.faults + 1] = ("%s=%s is neither r nor s"):format(name, tags[name]) end
  end
  if tags.psd and not ({ y = true, n = true, u = true })[tags.psd] then out.faults[#out.faults + 1] = ("psd=%s is none of y, n, u"):format(tags.psd) end
  if tags.t and tags.t ~= "y" and tags.t ~= "n" then out.faults[#out.faults + 1] = ("t=%s is neither y nor n"):format(tags.t) end
  for address in (tags.rua or ""):gmatch "[^,%s]+" do
    local there = address:lower():match "^mailto:[^@]+@([%w.-]+)"
    if there then out.rua[#out.rua + 1] = there
    elseif address:lower():find "^mailto:"
      or not address:find "^%a[%w+.-]*:" then out.faults[#out.faults + 1] = ("rua: %s is no mailto: address"):format(address) end
  end
  if bad_policy then out.policy = #out.rua > 0 and "none" or nil
  else out.policy = (tags.p or "none"):lower() end
  local old = {}
  for _, name in ipairs { "pct", "rf", "ri" } do
    if tags[name] then old[#old + 1] = name end
  end
  if #old > 0 then out.notes[1] = table.concat(old, ", ") .. " was dropped by RFC 9989; older receivers may still obey it" end
  if tags.p and order[2] ~= "p" then out.notes[#out.notes + 1] = "older receivers want p right behind v (RFC 7489, 6.3)" end
  if out.test then out.notes[#out.notes + 1] = "t=y: the policy works one level lower" end
  return out
end

return M
