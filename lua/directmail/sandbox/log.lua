--- What happened in the sandbox, one JSON object a line.
-- An event is a table `{event = word, ...}` of strings, numbers and lists; it
-- gets its `time` here. No event carries a password or the bytes of an AUTH.
-- @module directmail.sandbox.log
local err = require "directmail.err"
local json = require "cjson"

local M = {}

local Log = {}
Log.__index = Log

--- A time as ISO 8601 in UTC, with milliseconds.
-- @tparam number seconds since 1970
-- @treturn string
function M.time(seconds)
  local whole = math.floor(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S", whole) .. (".%03dZ"):format(math.floor((seconds - whole) * 1000))
end

-- A stranger's octets must not make the line something else than JSON in UTF-8.
local function printable(value)
  if type(value) == "string" then return err.printable(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, inner in pairs(value) do copy[name] = printable(inner) end
  return copy
end

--- Write an event down and tell the listener.
-- @tparam table event `{event = word, ...}`
function Log:add(event)
  local line = printable(event)
  line.time = M.time(self.now())
  if self.file then self.file:write(json.encode(line), "\n") end
  if self.on_event then self.on_event(line) end
end

--- Close the file; later events reach the listener only.
function Log:close()
  if self.file then self.file:close() end
  self.file = nil
end

--- Open the log; what the file holds already stays.
-- @tparam string path
-- @tparam function now the host's clock
-- @tparam ?function on_event called with each event; it must not wait
-- @treturn[1] table with the methods `add` and `close`
-- @treturn[2] nil
-- @treturn[2] string why
function M.open(path, now, on_event)
  local file, why = io.open(path, "ab")
  if not file then return nil, why end
  file:setvbuf("line")              -- readers follow it
  return setmetatable({ file = file, now = now, on_event = on_event }, Log)
end

return M
