--- A pump of the outbox in each worker: what handlers and other machines put into the store is sent from here.
-- It lives in a timer, which nginx lets come to its end when it quits or reloads: the pump then leases no more, lets end what is on the wire, and
-- gives back the rest.
-- @module directmail.nginx.pump
local entries = require "directmail.entry"
local line = require "directmail.nginx.line"
local metrics = require "directmail.nginx.metrics"
local option = require "directmail.option"
local outbox = require "directmail.outbox"
local submission = require "directmail.nginx.submission"

local M = {}

local OPTIONS = { "dict", "log", "name", "on_result", "connections", "per_connection", "pipeline", "rate", "timeout", "lease", "give_up",
  "first_pause", "longest_pause" }
local OWN = { dict = true, log = true, name = true, on_result = true }
local HOUR = 3600               -- then it begins anew: what nginx allocated for a timer is freed at its end
local LOOK = 0.5                -- seconds between two looks at whether the worker ends
local PAUSE = 5                 -- seconds behind a failure

local function on_result(self, result)
  local receipt, e = result.receipt, result.err
  if not result.again then
    metrics.count(self.dict, "directmail_mails_total", { "handler", self.name, "deliver", "durable", "outcome", (receipt or e).outcome })
    if receipt and receipt.seconds then metrics.observe(self.dict, "directmail_send_seconds", { "handler", self.name }, receipt.seconds) end
  end
  local about = { handler = self.name, deliver = "durable", to = receipt and receipt.accepted or {}, seconds = receipt and receipt.seconds }
  local entry = entries.mail(about, receipt, e)
  entry.job, entry.tries, entry.again = result.id, result.tries, result.again
  line.write(entry, self.log)
  if self.on_result then self.on_result(result) end
end

local function until_end()
  local left = HOUR
  while left > 0 and not ngx.worker.exiting() do
    ngx.sleep(LOOK)
    left = left - LOOK
  end
end

local run

local function begin(self, seconds)
  local ok, why = ngx.timer.at(seconds, run, self)
  if not ok and not ngx.worker.exiting() then self.mail.host.log("error", "no timer for the outbox: " .. tostring(why)) end
end

function run(premature, self)
  if premature or ngx.worker.exiting() then return end
  local pump, e = outbox.start(self.mail, self.options)
  local fine
  if pump then
    local waiter, watch = ngx.thread.spawn(pump.wait, pump), ngx.thread.spawn(until_end)
    ngx.thread.wait(waiter, watch)
    fine, e = pump:stop()
    ngx.thread.kill(watch)
  end
  if not fine then self.mail.host.log("error", "the outbox: " .. tostring(e)) end
  if not ngx.worker.exiting() then begin(self, fine and 0 or PAUSE) end
end

--- Start one, in init_worker_by_lua.
-- @tparam table mail with a store
-- @tparam[opt] table options of `directmail.outbox`; and `dict`, `log`, `name` as of the handlers
-- @tparam number level where misuse is raised
function M.start(mail, options, level)
  level = level + 1
  if type(mail) ~= "table" or not mail.store then
    error('nginx.pump needs a mail object with a store: directmail.new { store = "redis://HOST:PORT/DB" }', level)
  end
  options = options or {}
  option.check(options, OPTIONS, "nginx.pump", level)
  local given = {}
  for name, value in pairs(options) do
    if not OWN[name] then given[name] = value end
  end
  outbox.check(given, level)            -- here, and not in the timer, where nobody would see it
  local self = { mail = mail, options = given, name = submission.name(options.name, "outbox", level), dict = submission.dict(options.dict, level),
    log = options.log, on_result = options.on_result }
  given.on_result = function(result) on_result(self, result) end
  begin(self, 0)
end

return M
