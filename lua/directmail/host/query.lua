--- The half of `host.dns` that is the same in every home: what is asked, and which records of an answer are the answer.
-- @module directmail.host.query
local option = require "directmail.option"

local M = {}

local TYPES = { A = true, AAAA = true, MX = true, TXT = true, CNAME = true, NS = true, SOA = true }
local OPTIONS = { "server", "timeout" }

local TIMEOUT = 10              -- seconds of a look-up: two tries and what a slow server needs
local MAX_ALIASES = 8           -- a chain of CNAME that is longer goes in a circle, or may as well
local PORT = 53

--- The address of a DNS server: "IP", "IP:PORT", "[IPv6]:PORT". A name could not be looked up, but for localhost (RFC 6761, 6.3).
-- @tparam string text
-- @return ip, port; or nil, what is wrong
function M.server(text)
  text = text:gsub("^localhost$", "127.0.0.1"):gsub("^localhost:", "127.0.0.1:")
  local ip, port = text:match "^%[([%x:.]+)%]:?(%d*)$"
  if not ip then ip, port = text:match "^([%d.]+):?(%d*)$" end
  if not ip then ip, port = text:match "^[%x.]*:[%x:.]*:[%x:.]*$", "" end
  if ip and not ip:find(":", 1, true) then
    local parts = { ip:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$" }
    for i = 1, 4 do
      if not parts[i] or #parts[i] > 3 or tonumber(parts[i]) > 255 then ip = nil end
    end
  end
  port = port == "" and PORT or tonumber(port)
  if not ip or not port or port < 1 or port > 65535 then return nil, "is no IP:PORT" end
  return ip, port
end

-- Lower case, no last dot; nil when no such name can exist (RFC 1035, 2.3.4).
local function normal(name)
  name = name:lower():gsub("%.$", "")
  if name == "" or #name > 253 or name:find "[^%w%.%-_]" or name:find "^%." or name:find "%.%." then return nil end
  for label in name:gmatch "[^.]+" do
    if #label > 63 then return nil end
  end
  return name
end

-- The records of `name` in a list of answers, and the name that its aliases lead to (RFC 1034, 3.6.2); nil: they lead nowhere.
local function pick(answers, name, kind)
  local aliases, target = 0, name
  while target and kind ~= "CNAME" do
    name, target = target, nil
    for _, record in ipairs(answers) do
      if record.type == "CNAME" and record.owner == name then target = record.name end
    end
    if target then aliases = aliases + 1 end
    if aliases > MAX_ALIASES then return nil end
  end
  local records = {}
  for _, record in ipairs(answers) do
    if record.type == kind and record.owner == name then records[#records + 1] = record end
  end
  return records, name
end

--- Make `host.dns` of a home.
-- @tparam table host `env`, `tick`
-- @tparam function ask `ask(name, type, seconds, ip, port)` -> list of the records in the answer section, aliases included, each with
--   `owner` and `type`; or nil, why. Without ip the system's servers.
-- @treturn function
function M.new(host, ask)
  --- Ask for the records of a name. Waits, as every call of a host.
  -- @tparam string name A-labels, with or without a last dot
  -- @tparam string kind "A" "AAAA" "MX" "TXT" "CNAME" "NS" "SOA"
  -- @tparam[opt] table options `server` = "IP:PORT" (DIRECTMAIL_DNS, else the system's servers), `timeout` = seconds (10)
  -- @treturn[1] table list of records, each with `ttl` and by type `address`; `preference` and `exchange` ("" = null MX, RFC 7505);
  --   `text` (its strings joined); `name`; for SOA `name mailbox serial refresh retry expire minimum`. Names are lower case, without last dot.
  --   `canonical` of the list = the name that they stand at, another one when CNAMEs led there
  -- @treturn[2] nil
  -- @treturn[2] string "nxdomain" and "nodata" are facts about the name; "timeout", "servfail", "refused" and other words are none
  -- @raise a type or an option that does not exist
  return function(name, kind, options)
    if type(name) ~= "string" then error("bad argument #1 to 'dns' (name expected)", 2) end
    if not TYPES[kind] then error("bad argument #2 to 'dns' (type of record expected)", 2) end
    if options then option.check(options, OPTIONS, "host.dns", 2) end
    local timeout = options and options.timeout or TIMEOUT
    if type(timeout) ~= "number" or timeout ~= timeout or timeout <= 0 then error("timeout: seconds above 0 expected", 2) end
    local server = options and options.server or host.env "DIRECTMAIL_DNS"
    local ip, port
    if server then
      ip, port = M.server(server)
      if not ip then return nil, ("the DNS server %q %s"):format(server, port) end
    end
    name = normal(name)
    if not name then return nil, "this is no name that can be asked for" end
    local limit = host.tick() + timeout
    for _ = 0, MAX_ALIASES do
      local seconds = limit - host.tick()
      if seconds <= 0 then return nil, "timeout" end
      local answers, why = ask(name, kind, seconds, ip, port)
      if not answers then return nil, why end
      local records, canonical = pick(answers, name, kind)
      if not records then break end
      if #records > 0 then
        for _, record in ipairs(records) do record.owner, record.type = nil, nil end
        records.canonical = canonical
        return records
      end
      if canonical == name then return nil, "nodata" end
      -- A server that knows the alias only: where it leads is asked for on its own.
      name = normal(canonical)
      if not name then break end
    end
    return nil, "the aliases (CNAME) of this name lead nowhere"
  end
end

return M
