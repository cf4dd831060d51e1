--- Requests to an nginx of `support.nginx`, as browsers and programs make them.
-- @module support.web
local host = require "directmail.host.std"
local http1 = require "directmail.http1"

local M = {}

--- Ask.
-- @tparam table rig
-- @tparam string method
-- @tparam string path
-- @tparam[opt] table headers by name
-- @tparam[opt] string body
-- @treturn table `status`, `headers`, `body`
function M.ask(rig, method, path, headers, body)
  local sock = host.tcp()
  assert(sock:connect("127.0.0.1", rig.port))
  local response, why = http1.request(sock, { method = method, host = "shop.example", path = path, headers = headers, body = body }, { close = true })
  sock:close()
  return assert(response, why)
end

local function encode(text) return (tostring(text):gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)) end

--- Values as a form's body, by name in order.
function M.form(values)
  local out, names = {}, {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = encode(name) .. "=" .. encode(values[name]) end
  return table.concat(out, "&")
end

--- Post a form as a page of shop.example does.
-- @tparam table|string values
-- @tparam[opt] table more headers
function M.post(rig, path, values, more)
  local headers = { Origin = "https://shop.example", ["Content-Type"] = "application/x-www-form-urlencoded" }
  for name, value in pairs(more or {}) do headers[name] = value ~= "" and value or nil end
  return M.ask(rig, "POST", path, headers, type(values) == "table" and M.form(values) or values)
end

return M
