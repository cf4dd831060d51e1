--- Send through a transport of the caller's: an archive, another relay, a test's double.
-- @module directmail.transport
local err = require "directmail.err"
local message = require "directmail.message"

local M = {}

--- Can this be a transport?
-- @tparam table transport the option `transport`
-- @treturn boolean true; or nil, err
function M.check(transport)
  if type(transport.name) == "string" and transport.name ~= "" and type(transport.send) == "function" then return true end
  return err.refuse("OPTION", "transport", "transport has no name or no send", "give { name = \"archive\", send = function(self, envelope, message) … end }")
end

--- Hand a message over.
-- The transport's `send(self, envelope, message)` gets `{ from=, to={address…}, message_id=, key=, all_or_none= }` and an object with
-- `size()`, `bytes()`, `write(fn)`. It returns a table (put into the receipt), or nil and an error: a `directmail.error` says
-- itself what the outcome is; anything else leaves it unknown.
-- @tparam table mail the mail object
-- @tparam table draft of `directmail.message`
-- @tparam table built its layout
-- @treturn table receipt, or nil, err
function M.send(mail, draft, built)
  local transport, start = mail.settings.transport, mail.host.tick()
  local to = {}
  for i = 1, #built.to do to[i] = built.to[i] end
  local got, e = transport:send({ from = built.mail_from, to = to, message_id = built.message_id, key = draft.fields.key,
    all_or_none = draft.fields.all_or_none }, message.handle(built))
  if not got then
    if err.is(e) then return nil, e end
    return nil, err.new {
      code = "LOST", detail = transport.name, outcome = "unknown", blame = "none", cause = "the transport failed: " .. tostring(e),
      remedy = "return nil, directmail.error { outcome = \"not_sent\" … } when nothing was sent", where = { peer = transport.name },
    }
  end
  local receipt = {
    outcome = "sent", via = transport.name, message_id = built.message_id, bytes = built.size, seconds = mail.host.tick() - start,
    accepted = built.to, refused = {},
  }
  for name, value in pairs(type(got) == "table" and got or {}) do receipt[name] = value end
  return receipt
end

return M
