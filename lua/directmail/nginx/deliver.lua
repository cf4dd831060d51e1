--- The three ways in which a handler's mail leaves: now, in the background of this worker, or through the outbox.
-- @module directmail.nginx.deliver
local background = require "directmail.nginx.background"
local entries = require "directmail.entry"
local limits = require "directmail.data.limits"
local line = require "directmail.nginx.line"
local metrics = require "directmail.nginx.metrics"
local option = require "directmail.option"

local M = {}

local WAYS = { "wait", "background", "durable" }
local OPTIONS = { "queue", "pumps" }
local BUSY = 5                  -- seconds after which a full queue is worth another try

local function labels(self, outcome) return { "handler", self.name, "deliver", self.way, "outcome", outcome } end

-- A receipt or an error, counted and written down.
local function note(self, about, receipt, e)
  metrics.count(self.dict, "directmail_mails_total", labels(self, (receipt or e).outcome))
  if about.seconds and (not receipt or receipt.outcome ~= "queued") then
    metrics.observe(self.dict, "directmail_send_seconds", { "handler", self.name }, about.seconds)
  end
  line.write(entries.mail(about, receipt, e), self.log)
end

local function send(self, fields)
  -- pcall: what an operator's template or function raises is his to see, and no page of nginx's for the visitor
  local ok, receipt, e = pcall(self.mail.send, self.mail, fields)
  if ok then return receipt, e end
  return nil, line.raised(receipt)
end

local function about_of(self, to) return { handler = self.name, deliver = self.way, to = to, request_id = ngx.var.request_id } end

local function now(self, fields, to)
  local about, start = about_of(self, to), self.mail.host.tick()
  local receipt, e = send(self, fields)
  about.seconds = self.mail.host.tick() - start
  note(self, about, receipt, e)
  return receipt, e
end

local function durable(self, fields, to)
  fields.queue = true
  fields.key = fields.key or ("%s:%s"):format(self.name, ngx.var.request_id)
  return now(self, fields, to)
end

-- Send what waited. Returns seconds when the same is worth another try.
local function from_queue(self, entry, last)
  local start = self.mail.host.tick()
  local receipt, e = send(self, entry.fields)
  if e and e.retry and e.outcome ~= "unknown" and not last then return e.after or 1 end
  entry.about.seconds = self.mail.host.tick() - start
  note(self, entry.about, receipt, e)
end

local function later(self, fields, to)
  -- a worker that ends makes no new timers
  if ngx.worker.exiting() then return now(self, fields, to) end
  if self.queue:push { fields = fields, about = about_of(self, to) } then return { outcome = "queued" } end
  return nil, "full", BUSY
end

local SENDERS = { wait = now, durable = durable, background = later }

--- Make the sender of a handler.
-- @tparam table self `mail`, `name`, `dict`, `log`
-- @tparam table options of the handler: `deliver` = "wait" (default), "background" or "durable"; `background = { queue =, pumps = }`
-- @tparam number level where misuse is raised
-- @treturn table `send(fields, to)` -> receipt; nil, err; or nil, "full", seconds
function M.new(self, options, level)
  local way = options.deliver or "wait"
  local known = false
  for _, one in ipairs(WAYS) do known = known or one == way end
  if not known then error(("deliver: %q is none of %s"):format(tostring(way), table.concat(WAYS, ", ")), level + 1) end
  if way == "durable" and not self.mail.store then
    error('deliver = "durable" needs a store: directmail.new { store = "redis://HOST:PORT/DB" }', level + 1)
  end
  local given = options.background or {}
  option.check(given, OPTIONS, "background", level + 1)
  for _, name in ipairs(OPTIONS) do
    local n = given[name]
    if n ~= nil and (type(n) ~= "number" or n < 1 or n ~= math.floor(n)) then
      error(("background.%s: a whole number from 1 on is needed"):format(name), level + 1)
    end
  end
  local made = { mail = self.mail, name = self.name, dict = self.dict, log = self.log, way = way }
  if way == "background" then
    made.queue = background.new {
      most = given.queue or limits.background_mails, pumps = given.pumps or limits.background_pumps, host = self.mail.host,
      send = function(entry, last) return from_queue(made, entry, last) end,
      on_change = function(n)
        metrics.set(made.dict, "directmail_background_waiting", { "handler", made.name, "worker", ngx.worker.id() or 0 }, n)
      end,
    }
  end
  function made.send(fields, to) return SENDERS[way](made, fields, to) end
  return made
end

return M
