--- The values of a template from the command line: `--data FILE` in JSON, `--set NAME=VALUE`.
-- @module directmail.command.data
local cjson = require "cjson"
local err = require "directmail.err"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {}

--- The options, as rows for `option(name, argname, description, properties)`.
M.OPTIONS = {
  { "--data", "FILE|-", "values for the template, in JSON" },
  { "--set", "NAME=VALUE", "one more value, a text; A.B=VALUE goes into A; may repeat", { count = "*" } },
}

local function decoded(option, name, bytes)
  local ok, data = pcall(cjson.decode, (bytes:gsub("^\239\187\191", "")))
  if ok and type(data) == "table" then return data end
  local cause, line = "it holds no object", nil
  if not ok then
    cause = tostring(data):gsub(" at character (%d+)$", function(at)
      line = select(2, bytes:sub(1, math.tointeger(tonumber(at)) - 1):gsub("\n", "")) + 1
      return ""
    end)
  end
  return nil, err.new { code = "CONTENT", detail = option, cause = ("%s: %s is no JSON of values%s: %s"):format(option, name == "-" and "stdin" or name,
    line and ", line " .. line or "", cause), remedy = 'write an object, such as {"name": "Ann"}' }
end

local function set(data, word)
  local name, value = word:match "^([^=]+)=(.*)$"
  if not name or ("." .. name .. "."):find("..", 1, true) then
    return usage.wrong(('--set "%s" is no NAME=VALUE'):format(err.printable(word)), "write --set name=Ann, or --set plan.name=Basic")
  end
  local at = data
  for part in name:gmatch "([^.]+)%." do
    if at[part] == nil then at[part] = {} end
    at = at[part]
    if type(at) ~= "table" then return usage.wrong(("--set %s: %s is no object"):format(name, part), "set the whole, or correct the data") end
  end
  at[name:match "[^.]+$"] = value
  return true
end

--- The values.
-- @tparam table args as parsed: `data`, `set`
-- @treturn table empty when none are given; or nil, err
function M.read(args)
  local data = {}
  if args.data then
    local bytes, e = text.read("--data", args.data)
    if not bytes then return nil, e end
    data, e = decoded("--data", args.data, bytes)
    if not data then return nil, e end
  end
  for _, word in ipairs(args.set) do
    local ok, e = set(data, word)
    if not ok then return nil, e end
  end
  return data
end

return M
