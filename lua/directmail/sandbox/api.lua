--- The HTTP API of Direct Mail: who calls, what it asks for, and the answer in the service's shape.
-- @module directmail.sandbox.api
local answer = require "directmail.sandbox.answer"
local calls = require "directmail.sandbox.call"
local http1 = require "directmail.http1"
local limits = require "directmail.data.limits"
local loopback = require "directmail.sandbox.loopback"
local operations = require "directmail.sandbox.operations"
local problem = require "directmail.sandbox.problem"
local verify = require "directmail.sandbox.verify"

local unpack = table.unpack or unpack

local M = {}

local VERSION = "2015-11-23"
local MAX_NAME = 128            -- octets of what a stranger calls itself, in the log
local MAX_HEAD = 262144         -- octets: a body of 80 KB may stand in the query, percent-encoded
local MAX_BODY = 3 * limits.api_body_octets + 1048576       -- each octet of a body may take three in a form

-- As the service's: a UUID in capitals (RFC 9562, 4 and 5.4).
local function request_id(host)
  local b = { host.random(16):byte(1, 16) }
  b[7], b[9] = 64 + b[7] % 16, 128 + b[9] % 64
  return ("%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X"):format(unpack(b))
end

-- Recipients as far as fault rules look at them.
local function recipients(call)
  local list = {}
  for _, name in ipairs { "ToAddress", "BccAddress" } do
    for address in (call.own[name] or ""):gmatch("[^,%s]+") do list[#list + 1] = address end
  end
  return list
end

-- An answer, or nil and the problem; `event` is told what happened.
local function carry_out(box, call, id, event)
  if call.version ~= VERSION then return nil, problem.new "InvalidVersion" end
  local operation = operations.find(call.action)
  if not operation then
    event.note = "the sandbox has no such operation"
    return nil, problem.new "InvalidAction.NotFound"
  end
  local fields, told = operation.run(box, call, id)
  if not fields then return nil, told end
  for name, value in pairs(told) do event[name] = value end
  return answer.success(call.format, call.action, fields, id)
end

-- Past the signature: what the fault rules leave of the call. A response, or false to hang up.
local function obey(box, call, id, event)
  local fault = box.faults:match("api", { operation = call.action, to = recipients(call) })
  event.fault = fault and fault.text
  if fault and fault.slow then box.host.sleep(fault.slow) end
  local what = fault and fault.what
  if what == "drop" then return false end
  -- no answer has this shape: neither HTTP nor text
  if what == "garbage" then return { raw = "\255\0 this is no answer\r\n" } end
  if what == "code" then
    return nil, type(fault.code) == "number" and problem.of_status(fault.code) or problem.new(fault.code)
  end
  local response, wrong = carry_out(box, call, id, event)
  if what == "drop-after" then return false end
  return response, wrong
end

--- Answer one HTTP request.
-- @tparam table box `{host, log, mails, account, faults, nonces, number, port}`
-- @tparam table request of `directmail.http1`
-- @treturn table|boolean a response of `directmail.http1`, or false: close without a word
function M.answer(box, request)
  local id = request_id(box.host)
  local event = { event = "call", via = "api", connection = box.number, request_id = id }
  local call, wrong = calls.read(request)
  local refused, why = loopback.refuses(request, box.port)
  if refused == "host" then wrong = problem.new("InvalidProduct.NotFound", " " .. why .. ".")
  elseif refused then wrong = problem.new("Forbidden", " " .. why .. ".") end
  event.action, event.access_key_id = call.action and call.action:sub(1, MAX_NAME), call.access_key_id and call.access_key_id:sub(1, MAX_NAME)
  wrong = wrong or verify.check(call, request, box.account, box.nonces, box.host.now())
  local response
  if not wrong then
    local to = recipients(call)
    event.rcpt_to = #to > 0 and to or nil
    response, wrong = obey(box, call, id, event)
  end
  if wrong then
    response = answer.failure(call.format, wrong, request.host or "", id)
    event.code, event.text = wrong.code, wrong.words
  end
  event.status = response and response.status or nil
  box.log:add(event)
  return response
end

--- Serve one connection until it is over, and close it.
-- @tparam table sock connected
-- @tparam table box see `answer`
function M.serve(sock, box)
  http1.serve(sock, function(request) return M.answer(box, request) end, { host = box.host, max_head = MAX_HEAD, max_body = MAX_BODY })
end

return M
