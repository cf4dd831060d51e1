--- Answers of the API as JSON or XML.
-- @module directmail.sandbox.answer
local core = require "directmail.core"
local json = require "directmail.sandbox.json"

local M = {}

local XML = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

-- Control characters cannot stand in XML 1.0 at all, not even as references (section 2.2).
local function xml(text) return (text:gsub("[%z\1-\8\11\12\14-\31]", "?"):gsub('[&<>"]', XML)) end

-- A value: a text, a number, a boolean, `{ list = values }` or `{ fields = { {name, value}... } }`.
local function json_of(value)
  if type(value) ~= "table" then return json.value(value) end
  if value.list then return json.list(value.list, json_of) end
  local out = {}
  for i, pair in ipairs(value.fields) do out[i] = { pair[1], json_of(pair[2]) } end
  return json.object(out)
end

local function xml_of(name, value)
  if type(value) ~= "table" then return ("<%s>%s</%s>"):format(name, xml(tostring(value)), name) end
  local out = {}
  if value.list then
    for i, item in ipairs(value.list) do out[i] = xml_of(name, item) end        -- as often as there are items
    return table.concat(out)
  end
  for i, pair in ipairs(value.fields) do out[i] = xml_of(pair[1], pair[2]) end
  return ("<%s>%s</%s>"):format(name, table.concat(out), name)
end

local function render(format, root, pairs_in_order)
  if format == "JSON" then return json_of { fields = pairs_in_order }, "application/json;charset=utf-8" end
  local out = {}
  for i, pair in ipairs(pairs_in_order) do out[i] = xml_of(pair[1], pair[2]) end
  return ("<?xml version='1.0' encoding='UTF-8'?><%s>%s</%s>"):format(root, table.concat(out), root), "text/xml;charset=utf-8"
end

local function response(status, type, body, request_id)
  return { status = status, body = body, headers = {
    { "Content-Type", type }, { "x-acs-request-id", request_id }, { "X-Content-Type-Options", "nosniff" }, { "Cache-Control", "no-store" },
  } }
end

--- A call that worked.
-- @tparam string format "JSON" or "XML"
-- @tparam string action
-- @tparam table fields list of `{name, value}`; a value may be a list, or fields again: `{ list = … }`, `{ fields = … }`
-- @tparam string request_id
-- @treturn table response of `directmail.http1`
function M.success(format, action, fields, request_id)
  local all = {}
  for i, field in ipairs(fields) do all[i] = field end
  all[#all + 1] = { "RequestId", request_id }
  local body, type = render(format, action .. "Response", all)
  return response(200, type, body, request_id)
end

--- A call that was refused.
-- @tparam string format "JSON" or "XML"
-- @tparam table found a problem of `directmail.sandbox.problem`
-- @tparam string host the host that was asked
-- @tparam string request_id
-- @treturn table response of `directmail.http1`
function M.failure(format, found, host, request_id)
  if not found.code then
    local body = ("<html>\r\n<head><title>%d</title></head>\r\n<body><h1>%d</h1></body>\r\n</html>\r\n"):format(found.status, found.status)
    return response(found.status, "text/html", body, request_id)
  end
  local body, type = render(format, "Error", {
    { "RequestId", request_id }, { "HostId", host }, { "Code", found.code }, { "Message", found.message },
    { "Recommend", "https://api.aliyun.com/troubleshoot?q=" .. core.percent(found.code) .. "&product=Dm" },
  })
  return response(found.status, type, body, request_id)
end

return M
