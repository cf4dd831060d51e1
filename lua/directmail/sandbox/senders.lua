--- Sender addresses that the sandbox's account has, with the SMTP password that opens them.
-- @module directmail.sandbox.senders
local M = {}

local Senders = {}
Senders.__index = Senders

--- The sender that a user name and a password open.
-- The user name is the whole address (Direct Mail authenticates each address by itself).
-- @tparam string user
-- @tparam string password
-- @treturn ?string the address as it is known, or nil
function Senders:login(user, password)
  local sender = self.by_address[user:lower()]
  return sender and password == self.password and sender.address or nil
end

--- Is this the address of a sender?
-- @tparam string address
-- @treturn ?table `{address, type = "trigger"|"batch"}` or nil
function Senders:find(address)
  return self.by_address[address:lower()]
end

--- Make the list.
-- It begins with `noreply@mail.example.com` (trigger) and `news@mail.example.com` (batch).
-- @tparam string password one for all
-- @tparam ?table more addresses of further senders, taken as trigger
-- @treturn table with the methods `login` and `find`, and `list`
function M.new(password, more)
  local self = setmetatable({ password = password, list = {}, by_address = {} }, Senders)
  local function add(address, type)
    local key = address:lower()
    if not self.by_address[key] then
      self.by_address[key] = { address = address, type = type }
      self.list[#self.list + 1] = self.by_address[key]
    end
  end
  add("noreply@mail.example.com", "trigger")
  add("news@mail.example.com", "batch")
  for _, address in ipairs(more or {}) do add(address, "trigger") end
  return self
end

return M
