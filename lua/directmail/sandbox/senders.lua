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
  return sender and password == (sender.password or self.password) and sender.address or nil
end

--- Is this the address of a sender?
-- @tparam string address
-- @treturn ?table `{address, type = "trigger"|"batch", password = its own|nil, reply = its own|nil}` or nil
function Senders:find(address)
  return self.by_address[address:lower()]
end

--- Add a sender, unless the address is known.
-- @tparam string address
-- @tparam string type "trigger" or "batch"
-- @treturn table the sender
function Senders:add(address, type)
  local key = address:lower()
  if not self.by_address[key] then
    self.by_address[key] = { address = address, type = type }
    self.list[#self.list + 1] = self.by_address[key]
  end
  return self.by_address[key]
end

--- Forget a sender.
-- @tparam table sender
function Senders:remove(sender)
  self.by_address[sender.address:lower()] = nil
  for i, one in ipairs(self.list) do
    if one == sender then return table.remove(self.list, i) end
  end
end

--- Make the list.
-- It begins with `noreply@mail.example.com` (trigger) and `news@mail.example.com` (batch).
-- @tparam string password one for all
-- @tparam ?table more addresses of further senders, taken as trigger
-- @treturn table with the methods above, and `list`
function M.new(password, more)
  local self = setmetatable({ password = password, list = {}, by_address = {} }, Senders)
  self:add("noreply@mail.example.com", "trigger")
  self:add("news@mail.example.com", "batch")
  for _, address in ipairs(more or {}) do self:add(address, "trigger") end
  return self
end

return M
