--- Known answers of request signing: reads tests/data/signing.tsv, whose head explains the form.
local M = {}

local SHORT = { n = "\n", r = "\r", t = "\t", ["\\"] = "\\" }

local function unescape(field)
  return (field:gsub("\\(.)(%x?%x?)", function(c, hex)
    if c == "x" then return string.char(tonumber(hex, 16)) end
    return SHORT[c] .. hex
  end))
end

local function value(fields, i)
  if fields[i] == "@repeat" then
    return unescape(fields[i + 2]) .. unescape(fields[i + 3]):rep(tonumber(fields[i + 1])) .. unescape(fields[i + 4] or "")
  elseif fields[i] == "@sha256" then
    return { octets = tonumber(fields[i + 1]), sha256 = fields[i + 2] }
  end
  return unescape(fields[i] or "")
end

--- @treturn table `vectors` = list of `{ id=, algorithm=, method=, key_id=, secret=, path=, params=, headers=, body=, answers = by name }`,
--   `percent` = list of `{ text=, encoded=, twice= }`; an answer is a string or `{ octets=, sha256= }`
function M.read()
  local out, v = { vectors = {}, percent = {} }, nil
  for line in io.lines "tests/data/signing.tsv" do
    local f = {}
    for field in (line .. "\t"):gmatch "([^\t]*)\t" do f[#f + 1] = field end
    local kind = f[1]
    if kind == "" or kind:sub(1, 1) == "#" then v = v
    elseif kind == "percent" then out.percent[#out.percent + 1] = { text = unescape(f[2]), encoded = f[3], twice = f[4] }
    elseif kind == "vector" then
      v = { id = f[2], algorithm = f[3], method = f[4] or "", params = {}, headers = {}, body = "", answers = {} }
      out.vectors[#out.vectors + 1] = v
    elseif kind == "key" then v.key_id, v.secret = f[2] ~= "" and f[2] or nil, unescape(f[3])
    elseif kind == "path" then v.path = f[2]
    elseif kind == "param" then v.params[unescape(f[2])] = value(f, 3)
    elseif kind == "header" then v.headers[f[2]] = value(f, 3)
    elseif kind == "body" then v.body = value(f, 2)
    else v.answers[kind] = value(f, 2) end
  end
  return out
end

--- The vector as `core.sign` and a line of `directmail sign --json` take it.
function M.request(v)
  local v3 = v.algorithm ~= "HMAC-SHA1"
  return { algorithm = v.algorithm, access_key_id = v.key_id, access_key_secret = v.secret, http_method = v.method,
    params = not v3 and v.params or nil, host = v3 and v.headers.host or nil, path = v.path, query = v3 and v.params or nil,
    headers = v3 and v.headers or nil, body = v3 and v.body or nil }
end

return M
