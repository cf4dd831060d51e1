--- The mail object: settings read once, messages sent by the method that can carry them.
-- @module directmail.mail
local err = require "directmail.err"
local message = require "directmail.message"
local settings = require "directmail.settings"

local M = {}

local mail = {}
mail.__index = mail

-- What a home cannot do by its nature (docs/homes.md) is refused by name.
local function check_home(values, host)
  for name, why in pairs(host.refuses or {}) do
    if values[name] ~= nil then return err.refuse("OPTION", name, ("%s (from %s): %s"):format(name, values.from[name], why.cause), why.remedy) end
  end
  return true
end

--- May the code that runs now wait for a socket? nginx has phases where it may not.
-- @tparam table host
-- @tparam[opt] string instead what else helps where the host can do something later
-- @treturn boolean true; or nil, err, and whether the host can do something later
function M.ready(host, instead)
  if not host.ready then return true end
  local ok, cause, remedy, later = host.ready()
  if ok then return true end
  if later and instead then remedy = instead .. ", or " .. remedy end
  local _, e = err.refuse("OPTION", "phase", cause, remedy)
  return nil, e, later
end

local function pace_of(host, values)
  return require "directmail.pace".new(host, {
    account = values.smtp_user or values.sender, rate = values.rate, shared_dict = values.shared_dict,
  })
end

-- The operations of the API (`mail.api`, see `directmail.api`), each a function that is made when it is first named.
local function operations(self)
  return setmetatable({}, { __index = function(made, name)
    local bound = require "directmail.api".bind(self, name, 3)
    rawset(made, name, bound)
    return bound
  end })
end

--- Make a mail object (`directmail.new`).
-- @tparam[opt] table options see `directmail.settings`
-- @tparam table host
-- @tparam number level where misuse is raised
-- @return mail, or nil, err
function M.new(options, host, level)
  local values, e = settings.read(options or {}, host, level + 1)
  if not values then return nil, e end
  local able
  able, e = check_home(values, host)
  if able and values.transport then able, e = require "directmail.transport".check(values.transport) end
  if not able then return nil, e end
  local self = setmetatable({ settings = values, host = host }, mail)
  self.api = operations(self)
  self.pace = pace_of(host, values)
  if values.store then
    self.store, e = require "directmail.store".of(values.store, host, values.ca)
    if not self.store then return nil, e end
  end
  if values.transcript then
    self.record = require "directmail.transcript".recorder(values.transcript, values.verbose or 1, host.tick)
  end
  return self
end

-- Bring a checked message to the service. `built` is its layout for SMTP; none: by the API.
local function carry(self, draft, method, built)
  local receipt, e
  if method.via == "transport" then
    receipt, e = require "directmail.transport".send(self, draft, built)
  elseif built then
    receipt, e = require "directmail.smtp".send(self, built, draft.fields)
  else
    receipt, e = require "directmail.single".send(self, draft, method.credentials)
  end
  if receipt then
    receipt.reason = method.reason
    return receipt
  end
  if e.outcome == "unknown" then require "directmail.trace".remember(e, draft, self.host.now()) end
  local elsewhere = require "directmail.elsewhere"
  if elsewhere.concerns(e) then e = elsewhere.explain(self, draft, method, e) end
  return nil, e
end

local QUEUE = "add queue = true (with a store, docs/store.md)"

--- Send one message.
-- @tparam table fields see `directmail.message`; `key` makes it one mail, however often it is called (`directmail.key`); with
--   `queue` it is kept in the store, for a pump (`directmail.outbox`); in a phase of nginx without sockets a moment later (`stored = false`)
-- @treturn table receipt, or nil, err (design, section 4)
function mail:send(fields)
  local draft, e = message.draft(fields, self.settings, self.host, 2)
  if not draft then return nil, e end
  local ready, later, method, reason
  ready, e, later = M.ready(self.host, QUEUE)
  if not ready and not (fields.queue and later) then return nil, e end
  if fields.queue then
    local outbox = require "directmail.outbox"
    local receipt, why = (ready and outbox.put or outbox.put_later)(self, draft)      -- no tail call: the caller's line would be lost
    return receipt, why
  end
  if self.store then
    ready, e = self.store:may_send(draft.to)
    if not ready then return nil, e end
  end
  method, reason = require "directmail.method".choose(self, draft)
  if not method then return nil, reason end
  local built, receipt
  if method.via ~= "api" then
    built, e = message.lay_out(draft, self.settings, self.host)
    if not built then return nil, e end
  end
  if fields.key then
    receipt, e = require "directmail.key".once(self, draft, carry, method, built)
  else
    receipt, e = carry(self, draft, method, built)
  end
  if built then message.close(built) end
  return receipt, e
end

--- Send what a source brings, over several connections.
-- @tparam table|function source a list of rows, or a function that brings the next one
-- @tparam[opt] table options see `directmail.bulk`
-- @return an iterator of results in completion order
function mail:send_all(source, options)
  local able, e = M.ready(self.host)
  if not able then error(tostring(e), 2) end
  local next_result, state, first, closing = require "directmail.bulk".send_all(self, source, options, 2)
  return next_result, state, first, closing
end

--- What became of a mail whose outcome is unknown: looked up in the service's own records, which appear some minutes later.
-- @param e the error of `send`; or nil, with `to`
-- @tparam[opt] table options see `directmail.trace`
-- @treturn table `{ outcome = "sent"|"unknown", recipients = { … } }`, or nil, err
function mail:resolve(e, options)
  local found, why = require "directmail.trace".resolve(self, e, options, 2)      -- no tail call: the caller's line would be lost
  return found, why
end

-- The same mail object with other settings.
function mail:with(changes)
  local values, changed = {}, false
  for name, value in pairs(self.settings) do values[name] = value end
  for name, value in pairs(changes) do
    local checked, e = settings.check(name, value, "the option", self.host)
    if checked == nil then return nil, e end
    values[name], changed = checked, true
  end
  if not changed then return self end
  local other = setmetatable({}, mail)
  for name, value in pairs(self) do other[name] = value end
  other.settings = values
  other.api = operations(other)
  other.pace = pace_of(self.host, values)
  return other
end

--- What `send` would bring to the service, without network and credentials.
-- @tparam table fields as for `send`
-- @treturn table `{ via="smtp", message= }` (as of `message`) or `{ via="api", params= }`, the form fields before signing; or nil, err
function mail:preview(fields)
  local draft, e = message.draft(fields, self.settings, self.host, 2)
  if not draft then return nil, e end
  local method
  method, e = require "directmail.method".choose(self, draft, true)
  if not method then return nil, e end
  if method.via == "api" then return { via = "api", params = require "directmail.single".params(draft) } end
  local built
  built, e = message.lay_out(draft, self.settings, self.host)
  return built and { via = "smtp", message = message.handle(built) }, e
end

--- Build a message without sending it: the bytes that SMTP would carry.
-- @tparam table fields as for `send`
-- @tparam[opt=2] number level where misuse is raised
-- @return an object with `size()`, `bytes()`, `write(fn)`; or nil, err
function mail:message(fields, level)
  local draft, e = message.draft(fields, self.settings, self.host, level or 2)
  if not draft then return nil, e end
  local built
  built, e = message.lay_out(draft, self.settings, self.host)
  if not built then return nil, e end
  return message.handle(built)
end

return M
