--- The addresses that the service itself does not write to any more: its own store of invalid ones (a mail to one of them gets 559), and the
-- account's, typed in or judged by the system (563).
-- @module directmail.list.invalid
local M = {}

local function text(value)
  if type(value) == "number" then return ("%.0f"):format(value) end
  return type(value) == "string" and value or nil
end

local function seconds(value)
  local n = tonumber(value)
  return n and n > 0 and os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(n)) or nil
end

-- operation, and its entry as ours
local STORES = {
  { "QueryInvalidAddress", function(entry)
    return { store = "global", address = text(entry.ToAddress), since = seconds(entry.UtcLastUpdateTime) or text(entry.LastUpdateTime) }
  end },
  { "ListUserSuppression", function(entry)
    return { store = "account", address = text(entry.Address), since = seconds(entry.CreateTime), id = text(entry.SuppressionId), kind = text(entry.Type) }
  end },
}

--- Both stores, entry by entry.
-- @tparam table mail
-- @tparam function each called with `{ address=, store = "global"|"account", since = UTC time, id = of the account's entry, kind = }`; an address
--   of the account's store may be a whole domain
-- @treturn table how many of each store; or nil, err
function M.each(mail, each)
  local counts = {}
  for _, row in ipairs(STORES) do
    local following = mail.api.each(row[1], {})
    while true do
      local entry, e = following()
      if entry == nil then break end
      if not entry then return nil, e end
      local one = row[2](entry)
      if one.address then
        one.address = one.address:lower()
        counts[one.store] = (counts[one.store] or 0) + 1
        each(one)
      end
    end
  end
  return counts
end

return M
