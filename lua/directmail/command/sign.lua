--- directmail sign: compute request signatures for other programs, a JSON object a line.
local cjson = require "cjson"
local core = require "directmail.core"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local option = require "directmail.option"
local usage = require "directmail.command.usage"

-- What a line may hold. Others (a label, a note) are passed over, unless one looks like a
-- misspelt field: the signature would be wrong without a word.
local FIELDS = { "id", "algorithm", "access_key_id", "access_key_secret", "http_method", "params",
  "host", "path", "query", "headers", "body", "body_base64" }
local ANSWER = { "canonical_query", "string_to_sign", "signature", "canonical_request", "hashed_payload", "authorization" }

local known = {}
for _, name in ipairs(FIELDS) do known[name] = true end

local json = cjson.new()
json.decode_invalid_numbers(false)

-- The end of the JSON value that begins at `i` of a text that is known to be valid.
local function value_end(text, i)
  local c = text:sub(i, i)
  if c == '"' then
    while true do
      i = text:find('["\\]', i + 1)
      if text:sub(i, i) == '"' then return i end
      i = i + 1
    end
  elseif c == "{" or c == "[" then
    local depth = 0
    while true do
      c = text:sub(i, i)
      if c == '"' then i = value_end(text, i)
      elseif c == "{" or c == "[" then depth = depth + 1
      else
        depth = depth - 1
        if depth == 0 then return i end
      end
      i = text:find('["%[%]{}]', i + 1)
    end
  end
  return text:find("[%s,%]}]", i) - 1
end

-- The id as it was written: a decoded number would lose the last digits of a long one.
local function raw_id(line)
  local id
  local i = line:find("[^%s{]")
  while line:sub(i, i) == '"' do
    local last = value_end(line, i)
    local name = line:sub(i, last)
    local from = line:find("[^%s:]", last + 1)
    last = value_end(line, from)
    if name == '"id"' then id = line:sub(from, last) end
    i = line:find("[^%s,]", last + 1)
  end
  return id
end

-- The answer to one line, without its line end.
local function answer(line)
  local id = "null"
  local function bad(why) return ('{"id":%s,"error":%s}'):format(id, json.encode(err.printable(why))) end

  local good, request = pcall(json.decode, line)
  if not good then return bad("this line is not JSON: " .. tostring(request)) end
  if type(request) ~= "table" or not line:find "^%s*{" then return bad "this line is not an object" end
  local raw = raw_id(line) or "null"
  if not utf8.len(raw) then return bad "id: it is not UTF-8" end
  id = raw

  local names = {}
  for name in pairs(request) do
    if not known[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local near = option.nearest(name, FIELDS)
    if near and request[near] == nil then return bad(("%s: there is no such field (did you mean %s?)"):format(name, near)) end
  end
  for _, name in ipairs(FIELDS) do
    if name ~= "id" and request[name] == json.null then return bad(name .. ": it is null; give a value or leave it out") end
  end
  local _, at = utf8.len(type(request.body) == "string" and request.body or "")
  if at then return bad(("body: it is not UTF-8 at byte %d; give such bytes in body_base64"):format(at)) end

  local signed, why = core.sign(request)
  if not signed then return bad(why.field and why.field ~= "" and why.field .. ": " .. why.detail or why.detail) end
  local out = { '{"id":' .. id }
  for _, name in ipairs(ANSWER) do
    if signed[name] then out[#out + 1] = ('"%s":%s'):format(name, json.encode(signed[name])) end
  end
  return table.concat(out, ",") .. "}"
end

return {
  name = "sign",
  summary = "compute request signatures V1 and V3, one JSON object a line",
  examples = {
    "directmail sign --json < requests.jsonl",
  },

  parser = function(parser)
    parser:flag("--json", "Read requests from standard input, a JSON object a line, and answer each with an object on a line. "
      .. "In: algorithm (HMAC-SHA1 or ACS3-HMAC-SHA256), access_key_id, access_key_secret, http_method; for HMAC-SHA1 params; "
      .. "for ACS3-HMAC-SHA256 host, path, query, headers, body or body_base64. Out: id as it came, canonical_query, string_to_sign, "
      .. "signature, and for ACS3-HMAC-SHA256 canonical_request, hashed_payload, authorization. A line that cannot be signed is "
      .. "answered with id and error, and the next one is read.")
  end,

  run = function(args)
    if not args.json then return usage.wrong("nothing says what to sign", "directmail sign --json < requests.jsonl") end
    for line in io.stdin:lines() do
      local sent = io.stdout:write(answer(line), "\n") and io.stdout:flush()
      if not sent then
        io.stderr:write("directmail: the answer cannot be written to standard output\n")
        return exit.BROKEN
      end
    end
    return 0
  end,
}
