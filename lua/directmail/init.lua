--- directmail: mail through Alibaba Cloud Direct Mail.
--
--     local directmail = require "directmail"
--     local mail = assert(directmail.new { region = "ap-southeast-1", sender = "Shop <noreply@mail.example.com>" })
--     local receipt, err = mail:send { to = "ann@example.com", subject = "Hello", text = "Hi Ann" }
--
-- The same calls work in the directmail command, in plain Lua 5.1 to 5.4 and
-- LuaJIT, and in nginx. What a caller did wrong is raised at the caller's line;
-- what the world did is returned as nil and an error that prints itself.
-- @module directmail
local core = require "directmail.core"
local host = require "directmail.host"

local M = { _VERSION = core.version }

-- nginx: what a bare `new` reads (environment, profile, credential files) is read in init_by_lua, before the workers lose
-- sight of it. Faults in it are told by `new`.
if host.starting and host.starting() then
  local values = require "directmail.settings".read({}, host)
  if values then require "directmail.credentials".search(values, host) end
end

--- A mail object.
-- @tparam[opt] table options settings as in the environment, in lower case: `region`, `sender`, `smtp`, `smtp_password` …
-- @return mail, or nil and an error when a value cannot be used
function M.new(options)
  local mail, e = require "directmail.mail".new(options, host, 2)      -- no tail call: the caller's line would be lost
  return mail, e
end

--- A message, built but not sent.
-- @tparam table fields as for `mail:send`
-- @return an object with `size()`, `bytes()`, `write(fn)`, or nil and an error
function M.message(fields)
  local mail, e = require "directmail.mail".new({}, host, 2)
  if not mail then return nil, e end
  local message
  message, e = mail:message(fields, 3)
  return message, e
end

--- Which region, host and port to use, and why.
-- @tparam table options see `directmail.route`
function M.route(options)
  local route, e = require "directmail.route"(options)
  return route, e
end

--- A mail's subject, HTML and text from a Mustache template.
-- @tparam string|table what a file, or parts as texts
-- @tparam[opt] table options `partials`, `missing`, `text`; see `directmail.template`
-- @return a template: call it with the values; or nil and an error
function M.template(what, options)
  local template, e = require "directmail.template".new(what, options, host, 2)
  return template, e
end

local unpack = table.unpack or unpack

-- Plain 5.1 cannot yield through pcall, an iterator or a metamethod, and a user's function may hold any of them.
local runs_at_once = _VERSION == "Lua 5.1" and not rawget(_G, "jit") and host.name == "std"

--- Run a function as a task: calls in it that wait let other tasks run.
-- In plain Lua 5.1 it runs to its end at once, one after the other; the result is the same.
-- @treturn task for `directmail.wait`
function M.spawn(fn, ...)
  if not runs_at_once then return host.spawn(fn, ...) end
  local results = { n = 0 }
  local function keep(...) results = { n = select("#", ...), ... } end
  keep(pcall(fn, ...))          -- no task runs here, so nothing yields
  return host.spawn(function()
    if not results[1] then error(results[2], 0) end
    return unpack(results, 2, results.n)
  end)
end

--- Wait for the first of some tasks to end.
-- @return true and its results, or false and what it raised
function M.wait(task, ...) return host.wait(task, ...) end

-- Modules of their own, loaded when first named.
local MODULES = {
  batch = true, csv = true, doctor = true, events = true, lint = true, list = true, nginx = true, outbox = true, sandbox = true, sign = true, store = true,
  templates = true, testing = true, unsubscribe = true,
}

setmetatable(M, {
  __index = function(t, name)
    if not MODULES[name] then return nil end
    local module = require("directmail." .. name)
    rawset(t, name, module)
    return module
  end,
})

--- An error of directmail, for transports and tests of your own.
M.error = require "directmail.err".new

return M
