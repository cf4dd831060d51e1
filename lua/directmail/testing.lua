--- A transport for tests: keeps what was sent, fails when it is told to, sends nothing.
--
--     local fake = directmail.testing.transport()
--     local mail = directmail.new { transport = fake, sender = "a@example.com" }
--     fake:fail_next { code = "REFUSED", detail = "559", outcome = "refused" }
-- @module directmail.testing
local err = require "directmail.err"

local M = {}

local Fake = {}
Fake.__index = Fake

--- Fail the next send.
-- @tparam table fields of `directmail.error`; several calls stand in line
function Fake:fail_next(fields)
  local e = err.new(fields)
  self.failures[#self.failures + 1] = e
end

--- Forget what was sent and what was to fail.
function Fake:reset() self.sent, self.failures = {}, {} end

function Fake:send(envelope, message)
  local failure = table.remove(self.failures, 1)
  if failure then return nil, failure end
  local bytes, e = message:bytes()
  if not bytes then return nil, e end
  local mail = require "directmail.read".mail(bytes)
  mail.from, mail.to, mail.message_id, mail.key, mail.bytes = envelope.from, envelope.to, envelope.message_id, envelope.key, bytes
  self.sent[#self.sent + 1] = mail
  return { id = tostring(#self.sent) }
end

--- Make one.
-- @treturn table transport; `sent` is the list of mails: `{ from=, to={…}, message_id=, key=, bytes=, subject=, text=, html=,
--   attachments={ {name=, type=, data=}… } … }`
function M.transport() return setmetatable({ name = "testing", sent = {}, failures = {} }, Fake) end

return M
