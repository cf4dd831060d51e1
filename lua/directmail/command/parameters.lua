--- Parameters of an operation as options: `--Name VALUE`, `--Name=VALUE`, `Name=VALUE`, `--params @FILE.json`.
-- Names are the API's own; they begin with a capital, or are the operation's, which keeps them apart from our options.
-- @module directmail.command.parameters
local catalogue = require "directmail.catalogue"
local cjson = require "cjson"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {}

--- The operation that the words name, if the catalogue has it: the first of its names among them.
-- @tparam {string,...} words
-- @treturn table|nil of `directmail.catalogue`
function M.operation(words)
  for _, word in ipairs(words) do
    if catalogue.brief(word) then return catalogue.find(word) end
  end
end

--- The error of an operation that does not exist.
-- @tparam ?string name
-- @tparam string remedy
-- @return nil
-- @treturn table a directmail.err
function M.unknown(name, remedy)
  if not name then return usage.wrong("the operation is missing", remedy) end
  return usage.wrong(("there is no operation %s%s"):format(name, usage.did_you_mean(name, catalogue.names())), remedy)
end

--- Declare an option for each parameter that the words use.
-- @tparam table parser of argparse
-- @tparam {string,...} words
function M.declare(parser, words)
  local operation, known, seen = M.operation(words), {}, {}
  for _, field in ipairs(operation and operation.params or {}) do known[field.name] = true end
  for _, word in ipairs(words) do
    if word == "--" then break end
    local name = word:match "^%-%-(%a[%w.]*)"
    if name and not seen[name] and (known[name:match "^[^.]+"] or name:find "^%u") then
      seen[name] = true
      -- "@" keeps them apart from our own in the result
      parser:option("--" .. name):target("@" .. name):overwrite(false):hidden(true)
    end
  end
end

local function field_of(operation, name)
  for _, field in ipairs(operation and operation.params or {}) do
    if field.name == name then return field end
  end
end

--- Is a parameter's value a secret?
-- @tparam ?table operation
-- @tparam string name as given, with dots perhaps
-- @treturn boolean
function M.is_secret(operation, name)
  local field = field_of(operation, name:match "^[^.]+")
  return field ~= nil and field.secret == true
end

-- The value of one parameter; or nil, err.
local function value_of(operation, name, value, option)
  if not M.is_secret(operation, name) then return text.value(option, value) end
  if value ~= "-" and not value:find "^@[^@]" then
    return usage.wrong(("%s is a secret: others can read the words of a command line"):format(name),
      ("write it into a file: %s @FILE; or from stdin: %s -"):format(option, option))
  end
  local secret, e = text.value(option, value)
  if not secret then return nil, e end
  return (secret:gsub("\r?\n$", ""))
end

-- Those of --params into `flat`; true, or nil, err.
local function from_object(operation, value, flat)
  local bytes, e = text.value("--params", value)
  if not bytes then return nil, e end
  local ok, given = pcall(cjson.decode, bytes)
  if not ok or type(given) ~= "table" or #given > 0 then
    return usage.wrong("--params is no JSON object", "write --params '{\"Name\":\"value\"}', or @FILE")
  end
  for name, one in pairs(given) do
    if bytes == value and M.is_secret(operation, name) then return value_of(operation, name, "", "--params") end
    flat[name] = one
  end
  return true
end

--- The parameters that were given, single ones before those of `--params`.
-- @tparam table args as parsed: `params`, the options of `declare`, and `words`, which begin with the operation's name
-- @tparam ?table operation of `directmail.catalogue`
-- @treturn[1] table by name, tables where names have dots
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.read(args, operation)
  local flat, single = {}, {}
  if args.params then
    local ok, e = from_object(operation, args.params, flat)
    if not ok then return nil, e end
  end
  for target, value in pairs(args) do
    local name = type(target) == "string" and target:match "^@(.+)$"
    if name then single[#single + 1] = { name, value, "--" .. name } end
  end
  for i = 2, #args.words do
    local name, value = args.words[i]:match "^(%a[%w.]*)=(.*)$"
    if not name then
      return usage.wrong(('unexpected argument "%s"'):format(args.words[i]), "parameters are written --Name VALUE or Name=VALUE")
    end
    single[#single + 1] = { name, value, name .. "=" }
  end
  table.sort(single, function(a, b) return a[1] < b[1] end)
  for i, one in ipairs(single) do
    if single[i - 1] and single[i - 1][1] == one[1] then return usage.wrong(one[1] .. " is given twice", "leave one of them away") end
    local value, e = value_of(operation, one[1], one[2], one[3])
    if not value then return nil, e end
    flat[one[1]] = value
  end
  local params, clash = catalogue.unflatten(flat)
  if clash then return usage.wrong(("%s and a part of it are both given"):format(clash), "give the whole, or its parts") end
  return params
end

return M
