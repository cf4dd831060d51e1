--- The mail object: settings read once, messages sent by the method that can carry them.
-- @module directmail.mail
local err = require "directmail.err"
local message = require "directmail.message"
local settings = require "directmail.settings"

local M = {}

local mail = {}
mail.__index = mail

--- Make a mail object (`directmail.new`).
-- @tparam[opt] table options see `directmail.settings`
-- @tparam table host
-- @tparam number level where misuse is raised
-- @return mail, or nil, err
function M.new(options, host, level)
  local values, e = settings.read(options or {}, host, level + 1)
  if not values then return nil, e end
  local self = setmetatable({ settings = values, host = host }, mail)
  self.pace = require "directmail.pace".new(host, { account = values.smtp_user or values.sender, rate = values.rate })
  if values.transcript then
    self.record = require "directmail.transcript".recorder(values.transcript, values.verbose or 1, host.tick)
  end
  return self
end

--- Send one message.
-- @tparam table fields see `directmail.message`
-- @treturn table receipt, or nil, err (design, section 4)
function mail:send(fields)
  local built, e = message.build(fields, self.settings, self.host, 2)
  if not built then return nil, e end
  local via = fields.via or self.settings.via or "auto"
  if via == "api" then
    return nil, err.new {
      code = "OPTION", detail = "via", cause = "this version sends by SMTP only", remedy = "leave via away",
      outcome = "not_sent", retry = false, blame = "client-bug",
    }
  end
  local receipt
  receipt, e = require "directmail.smtp".send(self, built, fields)
  built.core:close()
  return receipt, e
end

--- Build a message without sending it.
-- @tparam table fields as for `send`
-- @return an object with `size()`, `bytes()`, `write(fn)`; or nil, err
function mail:message(fields)
  local built, e = message.build(fields, self.settings, self.host, 2)
  if not built then return nil, e end
  return message.handle(built)
end

return M
