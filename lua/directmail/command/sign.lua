--- directmail sign: compute request signatures, and explain why one did not match.
-- Three ways: an operation with its parameters; a JSON object a line, for other programs; `--explain` with the service's answer.
local cjson = require "cjson"
local core = require "directmail.core"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local limits = require "directmail.data.limits"
local option = require "directmail.option"
local parameters = require "directmail.command.parameters"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "sign",
  summary = "compute request signatures V1 and V3, and explain why one did not match",
  own_arguments = true,
  examples = {
    "directmail sign SingleSendMail --AccountName noreply@mail.example.com --AddressType 1 --ReplyToAddress false \\\n"
      .. "                  --ToAddress ann@example.com --Subject Hello --TextBody Hi --algorithm v1",
    "directmail sign --explain server-answer.json --request request.txt",
    "directmail sign --json < requests.jsonl",
  },
}

local HOW = "directmail sign OPERATION, directmail sign --explain FILE, or directmail sign --json < requests.jsonl"

-- ---- a line in, a line out --------------------------------------------------------

-- What a line may hold. Others (a label, a note) are passed over, unless one looks like a
-- misspelt field: the signature would be wrong without a word.
local FIELDS = { "id", "algorithm", "access_key_id", "access_key_secret", "http_method", "params",
  "host", "path", "query", "headers", "body", "body_base64" }
local ANSWER = { "canonical_query", "string_to_sign", "signature", "canonical_request", "hashed_payload", "authorization" }

local known = {}
for _, name in ipairs(FIELDS) do known[name] = true end

local json = cjson.new()
json.decode_invalid_numbers(false)

-- The end of the JSON value that begins at `i` of a line that is known to be valid.
local function value_end(line, i)
  local c = line:sub(i, i)
  if c == '"' then
    while true do
      i = line:find('["\\]', i + 1)
      if line:sub(i, i) == '"' then return i end
      i = i + 1
    end
  elseif c == "{" or c == "[" then
    local depth = 0
    while true do
      c = line:sub(i, i)
      if c == '"' then i = value_end(line, i)
      elseif c == "{" or c == "[" then depth = depth + 1
      else
        depth = depth - 1
        if depth == 0 then return i end
      end
      i = line:find('["%[%]{}]', i + 1)
    end
  end
  return line:find("[%s,%]}]", i) - 1
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

-- The object of a line; or nil, why.
local function object_of(line)
  local good, request = pcall(json.decode, line)
  if not good then return nil, "this line is not JSON: " .. tostring(request) end
  if type(request) ~= "table" or not line:find "^%s*{" then return nil, "this line is not an object" end
  return request
end

-- The strings of a request and its signature; or nil, why.
local function signed_of(request)
  local names = {}
  for name in pairs(request) do
    if not known[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local near = option.nearest(name, FIELDS)
    if near and request[near] == nil then return nil, ("%s: there is no such field (did you mean %s?)"):format(name, near) end
  end
  for _, name in ipairs(FIELDS) do
    if name ~= "id" and request[name] == json.null then return nil, name .. ": it is null; give a value or leave it out" end
  end
  local _, at = utf8.len(type(request.body) == "string" and request.body or "")
  if at then return nil, ("body: it is not UTF-8 at byte %d; give such bytes in body_base64"):format(at) end
  local signed, why = core.sign(request)
  if not signed then return nil, why.field and why.field ~= "" and why.field .. ": " .. why.detail or why.detail end
  return signed
end

-- The answer to one line, without its line end.
local function answer(line)
  local id = "null"
  local function bad(why) return ('{"id":%s,"error":%s}'):format(id, json.encode(err.printable(why))) end

  local request, why = object_of(line)
  if not request then return bad(why) end
  local raw = raw_id(line) or "null"
  if not utf8.len(raw) then return bad "id: it is not UTF-8" end
  id = raw
  local signed
  signed, why = signed_of(request)
  if not signed then return bad(why) end
  local out = { '{"id":' .. id }
  for _, name in ipairs(ANSWER) do
    if signed[name] then out[#out + 1] = ('"%s":%s'):format(name, json.encode(signed[name])) end
  end
  return table.concat(out, ",") .. "}"
end

local function answer_lines()
  for line in io.stdin:lines() do
    local sent = io.stdout:write(answer(line), "\n") and io.stdout:flush()
    if not sent then
      io.stderr:write("directmail: the answer cannot be written to standard output\n")
      return exit.BROKEN
    end
  end
  return exit.OK
end

-- One JSON object of the fields that there are, in this order; a table is one of texts.
local function print_object(pairs_in_order)
  local show, out = require "directmail.command.answer", {}
  for _, pair in ipairs(pairs_in_order) do
    local name, value = pair[1], pair[2]
    if value ~= nil then
      out[#out + 1] = ('"%s":%s'):format(name, type(value) == "table" and show.object(value) or show.json(value))
    end
  end
  print("{" .. table.concat(out, ",") .. "}")
end

-- ---- why a signature did not match --------------------------------------------------

-- Our side out of a file: its strings, and the secret if it is there; or nil, err.
local function ours_of(path)
  local bytes, e = text.read("--request", path, limits.http_body_octets)
  if not bytes then return nil, e end
  if not bytes:find "^%s*{" then return { (bytes:gsub("\r?\n$", "")) } end
  local request, why = object_of(bytes)
  if not request then return usage.wrong("--request: " .. err.printable(why), "give one JSON object, or the string to sign alone") end
  if type(request.string_to_sign) == "string" or type(request.canonical_request) == "string" then return { request } end
  local secret = request.access_key_secret
  if secret == nil then request.access_key_secret = "-" end       -- no string depends on it
  local signed
  signed, why = signed_of(request)
  if not signed then return usage.wrong("--request: " .. err.printable(why), "give the line as directmail sign --json takes it") end
  return { signed, secret }
end

local function headline(found)
  local where = found.place and ", in " .. found.place or ""
  if found.parameter and not where:find(found.parameter, 1, true) then
    where = ("%s; the first parameter that differs is %s"):format(where, found.parameter)
  end
  if found.equal then return "both strings to sign are equal" end
  if found.alone == "theirs" then return "only the service's string is here, and it tells: parameter " .. found.parameter end
  if found.alone then return ("the answer holds no string to sign; yours is not what it should be at byte %d%s"):format(found.byte, where) end
  if found.byte then return ("they differ at byte %d%s"):format(found.byte, where) end
  if found.equal == nil and found.code then return found.code end
  return "they differ"
end

local function show(found)
  print(headline(found))
  local function line(name, value)
    if value then print(("  %-8s %s"):format(name, value)) end
  end
  line("yours", found.yours)
  line(found.alone and "rules" or "theirs", found.theirs)
  line("cause", found.cause)
  line("remedy", found.remedy)
  line("look up", found.request_id and "RequestId " .. err.printable(found.request_id))
end

local function explain(args)
  local message, e = text.read("--explain", args.explain, limits.http_body_octets)
  if not message then return nil, e end
  local ours, found = {}
  if args.request then
    ours, e = ours_of(args.request)
    if not ours then return nil, e end
  end
  found, e = require "directmail.sign.explain".compare(message, ours[1], ours[2])
  if not found then
    if args.json then return nil, e end
    -- nothing was sent here, so this is not told as what became of a request
    io.stderr:write("directmail: ", e.cause, "\n  remedy   ", e.remedy, "\n")
    return exit.REFUSED
  end
  if not args.json then
    show(found)
    return exit.OK
  end
  local function known_or_null(value) return value == nil and cjson.null or value end
  local rows = {}
  for i, name in ipairs { "equal", "byte", "parameter", "yours", "theirs", "cause", "remedy" } do rows[i] = { name, known_or_null(found[name]) } end
  for _, name in ipairs { "place", "mistake", "alone", "code", "request_id" } do
    rows[#rows + 1] = { name, type(found[name]) == "string" and err.printable(found[name]) or nil }
  end
  print_object(rows)
  return exit.OK
end

-- ---- an operation -------------------------------------------------------------------

local function time_of(at)
  if not at then return nil end
  local seconds = require "directmail.sign.value".seconds(at) or at:find "^%d+$" and #at <= 12 and tonumber(at)
  if seconds and seconds < 253402300800 then return seconds end
  return usage.wrong(('--at: "%s" is no time'):format(at), "write it in UTC as 2026-11-23T12:34:56Z, or as seconds since 1970")
end

-- What goes on the wire, and the values in it that must not be shown; or nil, err.
local function wire_of(args, operation, now)
  local catalogue = require "directmail.catalogue"
  local params, e = parameters.read(args, operation)
  if not params then return nil, e end
  if not args.force then
    local faults
    params, faults = catalogue.check(operation, params, now)
    if #faults > 0 then
      e = catalogue.error(operation.name, faults)
      e.remedy = e.remedy .. "; --force signs it as it is"
      return nil, e
    end
  end
  local flat, secrets = require "directmail.sign".flatten(params), {}
  for name, value in pairs(flat) do
    if parameters.is_secret(operation, name) then secrets[#secrets + 1] = value end
  end
  return flat, secrets
end

-- The request, signed; or nil, err. With it where it goes, and the values that must not be shown.
local function signed_request(args)
  local name = args.words[1]
  local operation = parameters.operation { name }
  if not operation and not (args.force and name:find "^%a%w*$") then
    return parameters.unknown(name, "directmail api --list shows the operations; --force signs one that is newer than this program")
  end
  local at, e = time_of(args.at)
  if e then return nil, e end
  if args.nonce and not args.nonce:find "^[%w_.~-]+$" then
    return usage.wrong("--nonce: letters, digits and - _ . ~ are taken", "leave it away for a random one")
  end
  local options, mail
  options, e = require "directmail.command.settings".options(args)
  if not options then return nil, e end
  mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  local host = mail.host
  local now = at or host.now()
  local flat, secrets = wire_of(args, operation, now)
  if not flat then return nil, secrets end
  local version = args.algorithm or "v3"
  local place, key
  place, e = require "directmail.api".endpoint(mail.settings)
  if not place and version == "v3" then return nil, e end         -- V1 signs no host
  key, e = require "directmail.credentials".find(mail.settings, host)
  if not key then return nil, e end
  local request
  request, e = require "directmail.sign".request {
    version = version, method = args.method or "POST", host = place and place.host or "localhost",
    [args.method == "GET" and "query" or "form"] = flat, action = name, api_version = "2015-11-23", now = now,
    nonce = args.nonce or core.hex(host.random(16)),
    access_key_id = key.access_key_id, access_key_secret = key.access_key_secret, security_token = key.security_token,
  }
  if not request then return nil, e end
  secrets[#secrets + 1] = key.security_token
  return request, place, secrets
end

local function print_block(name, value)
  print(name)
  for line in (value .. "\n"):gmatch "([^\n]*)\n" do print(line == "" and "" or "  " .. err.printable(line)) end
end

local function sign(args)
  local request, place, secrets = signed_request(args)
  if not request then return nil, place end
  local signed = require "directmail.sign.explain".strings(request)
  local covered = require "directmail.mask".of(secrets)
  local hidden = false
  for name, value in pairs(signed) do
    signed[name] = covered(value)
    hidden = hidden or signed[name] ~= value
  end
  if hidden then io.stderr:write "directmail: secrets are shown as ********; what was signed has their values\n" end
  if args.json then
    local headers = {}
    for name, value in pairs(request.headers) do
      if place or name:lower() ~= "host" then headers[name] = covered(value) end
    end
    print_object {
      { "operation", args.words[1] }, { "algorithm", signed.algorithm }, { "method", request.method },
      { "url", covered((place and place.url:gsub("/$", "") or "") .. request.url) }, { "headers", headers },
      { "body", request.body and covered(request.body) }, { "canonical_query", signed.canonical_query },
      { "string_to_sign", signed.string_to_sign }, { "signature", signed.signature }, { "canonical_request", signed.canonical_request },
      { "hashed_payload", signed.hashed_payload }, { "authorization", signed.authorization },
    }
    return exit.OK
  end
  if signed.canonical_request then print_block("canonical request", signed.canonical_request) end
  print_block("string to sign", signed.string_to_sign)
  print_block("signature", signed.signature)
  if signed.authorization then print_block("authorization", signed.authorization) end
  return exit.OK
end

-- ---- the command line -----------------------------------------------------------------

function M.parser(parser)
  parser:argument "operation" :target "words" :args "*" :argname "OPERATION" :description("an operation of the API, signed with its parameters: "
    .. "--Name VALUE, --Name=VALUE or Name=VALUE; a value may come from @FILE or - (stdin), and secret ones must")
  local function add(name, argname, description, properties)
    local made = parser:option(name):description(description):overwrite(false)
    if argname then made:argname(argname) end
    if properties then made(properties) end
  end
  add("--params", "JSON|@FILE|-", "parameters as a JSON object; single ones win")
  add("--method", nil, "POST (default) or GET", { choices = { "POST", "GET" } })
  add("--algorithm", nil, "v3: ACS3-HMAC-SHA256 (default); v1: HMAC-SHA1", { choices = { "v1", "v3" } })
  add("--at", "TIME", "time of the request instead of now: 2026-11-23T12:34:56Z, or seconds since 1970")
  add("--nonce", "TEXT", "nonce instead of a random one")
  parser:flag "--force" :description "sign an operation, or parameters, that the catalogue does not know, unchecked"
  add("--region", "ID", "region of the account, whose host V3 signs")
  add("--api", "URL", "other address of the API")
  add("--access-key-id", "ID", "id of the AccessKey whose secret the environment holds")
  add("--profile", "NAME", "profile: ~/.config/directmail/NAME.lua, or a path with a / in it")
  add("--explain", "FILE|-", "the service's answer to a request whose signature did not match, or its message: tells where its string to sign "
    .. "and ours differ, and why")
  add("--request", "FILE|-", "ours, for --explain: the string to sign (V1), the canonical request (V3), or a JSON object as --json takes or gives it")
  parser:flag("--json", "without an operation: read requests from standard input, a JSON object a line, and answer each with an object on a line. "
    .. "In: algorithm (HMAC-SHA1 or ACS3-HMAC-SHA256), access_key_id, access_key_secret, http_method; for HMAC-SHA1 params; "
    .. "for ACS3-HMAC-SHA256 host, path, query, headers, body or body_base64. Out: id as it came, canonical_query, string_to_sign, "
    .. "signature, and for ACS3-HMAC-SHA256 canonical_request, hashed_payload, authorization. A line that cannot be signed is "
    .. "answered with id and error, and the next one is read. With an operation or --explain: answer as one JSON object")
  local parse = parser.parse
  function parser:parse(words)
    parameters.declare(self, words)
    return parse(self, words)
  end
end

-- Options that only one of the ways takes: option -> the way.
local OF_OPERATION = { "params", "method", "algorithm", "at", "nonce", "force", "region", "api", "access_key_id", "profile" }

local function misplaced(args)
  if args.request and not args.explain then return usage.wrong("--request is for --explain", "directmail sign --explain FILE --request FILE") end
  if args.words[1] then
    if args.explain then return usage.wrong("--explain takes no operation", "directmail sign --explain FILE --request FILE") end
    return false
  end
  for target in pairs(args) do
    local name = type(target) == "string" and target:match "^@(.+)$"
    if name then return usage.wrong(("--%s is a parameter, and the operation is missing"):format(name), HOW) end
  end
  for _, name in ipairs(OF_OPERATION) do
    if args[name] then return usage.wrong(("--%s is for an operation, and none is named"):format(name:gsub("_", "-")), HOW) end
  end
  return false
end

function M.run(args)
  local wrong, e = misplaced(args)
  if wrong == nil then return nil, e end
  if args.explain then return explain(args) end
  if args.words[1] then return sign(args) end
  if args.json then return answer_lines() end
  return usage.wrong("nothing says what to sign", HOW)
end

return M
