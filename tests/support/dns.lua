--- A DNS server on loopback, see dns.py beside it.
--
--    local server = dns.start { records = { ["example.com"] = { MX = { "10 mx.example.com" } } }, faults = { ["bad.example"] = "servfail" } }
--    host.dns("example.com", "MX", { server = server.address })      -- "127.0.0.1:PORT"
--    server:questions()      -- { "udp example.com MX", … } since the last call of it
--    server:set { … }        -- another zone from here on
--    server:stop()
-- @module support.dns
local cjson = require "cjson"

local M = {}

local Server = {}
Server.__index = Server

-- The machine's own Python: Debian's dnslib is not seen by another one.
local PYTHON = "/usr/bin/python3"

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function capture(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "*l"
  pipe:close()
  return assert(line, command .. " printed nothing")
end

--- Write another zone; it counts from the next question on.
function Server:set(zone)
  local all = { records = zone.records or {}, faults = zone.faults or {}, log = self.folder .. "/log" }
  local new = self.folder .. "/new"
  local file = assert(io.open(new, "w"))
  -- an empty table is an object to cjson, which is what records and faults are
  file:write((cjson.encode(all)))
  file:close()
  assert(os.rename(new, self.folder .. "/zone.json"))
end

--- What it was asked since the last call, "udp NAME TYPE" or "tcp NAME TYPE", in order.
function Server:questions()
  local list = {}
  local file = io.open(self.folder .. "/log")
  if not file then return list end
  local n = 0
  for line in file:lines() do
    n = n + 1
    if n > self.seen then list[#list + 1] = line end
  end
  file:close()
  self.seen = n
  return list
end

--- End it.
function Server:stop()
  if not self.pipe then return end
  self.pipe:close()             -- the end of its stdin is its end
  self.pipe = nil
  os.execute("rm -rf " .. quote(self.folder))
end

--- Start a server.
-- @tparam table zone `records` and `faults` as dns.py says
-- @treturn table `address` = "127.0.0.1:PORT", `port`, and the methods above
function M.start(zone)
  local folder = capture "mktemp -d"
  local script = debug.getinfo(1, "S").source:match "^@(.*)%.lua$" .. ".py"
  local server = setmetatable({ folder = folder, seen = 0 }, Server)
  server:set(zone)
  assert(os.execute("mkfifo " .. quote(folder .. "/port")))
  server.pipe = assert(io.popen(("exec env -u LD_PRELOAD %s %s %s >%s"):format(PYTHON, quote(script), quote(folder .. "/zone.json"), quote(folder .. "/port")), "w"))
  local file = assert(io.open(folder .. "/port"))
  local line = file:read "*l"
  file:close()
  server.port = assert(tonumber(line), "dns.py gave no port: is python3-dnslib installed?")
  server.address = "127.0.0.1:" .. server.port
  return server
end

return M
