--- Handlers for nginx: a form, a JSON endpoint, the delivery-events webhook, one-click unsubscribe, the outbox's pump, metrics.
--
--     -- init_by_lua_block: made once, before the workers begin
--     directmail = require "directmail"
--     contact = directmail.nginx.form(assert(directmail.new()), { to = "team@example.com", … })
--     -- location = /contact { content_by_lua_block { contact() } }
--
-- Every maker checks its options and returns a function to be called in content_by_lua; docs/nginx.md shows each at work.
-- @module directmail.nginx
local M = {}

-- The module of a maker. Makers are not called by a tail call, so that misuse is told at the caller's line.
local function module_of(name)
  if not rawget(_G, "ngx") then error("directmail.nginx works inside nginx only", 3) end
  return require("directmail.nginx." .. name)
end

--- A handler of an HTML form, see `directmail.nginx.form`.
function M.form(mail, options)
  local made = module_of "form".new(mail, options or {}, 2)
  return made
end

--- A handler of a JSON endpoint, see `directmail.nginx.json`.
function M.json(mail, options)
  local made = module_of "json".new(mail, options or {}, 2)
  return made
end

--- The webhook of delivery events, see `directmail.nginx.events`.
function M.events(options)
  local made = module_of "events".new(options or {}, 2)
  return made
end

--- The target of List-Unsubscribe links, see `directmail.nginx.unsubscribe`.
function M.unsubscribe(options)
  local made = module_of "unsubscribe".new(options or {}, 2)
  return made
end

--- The handler that Prometheus asks. Let only it in: `allow 10.0.0.0/8; deny all;`.
-- @tparam[opt] table options `dict`
function M.metrics(options)
  local submission, metrics = module_of "submission", module_of "metrics"
  require "directmail.option".check(options or {}, { "dict" }, "nginx.metrics", 2)
  local dict = submission.dict(options and options.dict, 2)
  return function()
    require "directmail.nginx.answer".write(200, "text/plain; version=0.0.4; charset=utf-8", metrics.text(dict))
  end
end

--- Start a pump of the outbox in this worker, in init_worker_by_lua; see `directmail.nginx.pump`.
function M.pump(mail, options)
  module_of "pump".start(mail, options, 2)
end

return M
