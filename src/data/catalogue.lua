--- Write the catalogue of the API's operations: from a description in JSON into rows, and from the rows into Lua.
--
--     lua5.4 src/data/catalogue.lua               writes lua/directmail/data/operations*.lua from the rows in this folder
--     lua5.4 src/data/catalogue.lua --check       writes nothing, exits 1 when a file differs
--     lua5.4 src/data/catalogue.lua FILE.json     writes operations.tsv from a description first (needs lua-cjson)
--
-- operations.tsv is what the description says, and nothing else; operations_own.tsv is ours, in the same columns, and
-- wins: what a program can check of the rules, which fields are secret, what a deletion is. Both have one fact a row.
--
-- The description: `{ generated_from = text, operations = { { name, group, purpose, http_method, api_version, rules = {text…},
-- parameters = { { name, type, required, constraints = {…}, note, internal, deprecated, wire_form, since, source, fields }… },
-- response = { { name, type, note, fields… }… }, paging, paging_fields, safe_to_retry, retry_reason, error_codes,
-- first_seen_in_node_sdk, since, source }… } }`.

local here = (arg[0]:match("^(.*)/[^/]*$") or ".") .. "/"
local root = here .. "../../"

local VERSION = "2015-11-23"

local function die(why)
  io.stderr:write("catalogue.lua: ", why, "\n")
  os.exit(1)
end

local function slurp(path)
  local f, why = io.open(path, "rb")
  if not f then die(why) end
  local text = f:read("*a")
  f:close()
  return text
end

local function spill(path, bytes)
  local f, why = io.open(path, "wb")
  if not f or not f:write(bytes) or not f:close() then die(("%s: %s"):format(path, tostring(why or "cannot be written"))) end
end

-- ---- the facts there are -----------------------------------------------------

-- fact -> kind of its value: text, words, number, yes, or a set of words
local OF_OPERATION = { group = "text", purpose = "text", method = "words", says = "text", retry = { yes = true, no = true }, retry_reason = "text",
  since = "text", seen = "text", paging = "words", codes = "words", internal = "words", kind = { read = true, change = true, delete = true },
  sends = { mail = true, cost = true }, rule = "rule", look = "text", done = "words", rate = "text", list = "text", columns = "words",
  right = "text" }
local OF_PARAMETER = { type = { string = true, integer = true, boolean = true, object = true, map = true, ["list of object"] = true,
  ["list of string"] = true }, required = "yes", wire = { json = true, ["repeat"] = true }, note = "text", enum = "words", default = "text",
  min = "number", max = "number", min_chars = "number", max_chars = "number", max_bytes = "number", max_bytes_in_query = "number",
  max_items = "number", max_addresses = "number", separator = "text", charset = "words", format = "text", files = "words",
  max_span_days = "number", max_age_days = "number", allowed = "words", conflict = "text", says = "text", deprecated = "yes", since = "text",
  secret = "yes", address = { one = true, list = true, domain_auth = true }, lines = "yes", rule = "rule", way_out = "text" }
local OF_ANSWER = { type = OF_PARAMETER.type, note = "text", deprecated = "yes", since = "text" }

local RULES = { exactly_one = true, at_least_one = true, at_most_one = true, needs = true, all = true }

-- Those that may stand several times.
local MANY = { says = true, rule = true }

-- ---- from a description to rows ------------------------------------------------

local TYPES = { ["array of object"] = "list of object", ["array of string"] = "list of string" }
local FORMATS = { ["JSON object as text"] = "json object" }

-- constraint -> fact; "" is told by another fact, or is for people only
local CONSTRAINTS = { enum = "enum", default = "default", format = "format", max_items = "max_items", overflow = "says", allowed = "allowed",
  max_addresses = "max_addresses", conflict = "conflict", max_chars = "max_chars", max_bytes_in_body = "max_bytes", applies_to = "",
  min_chars = "min_chars", charset = "charset", min = "min", rules = "says", max_bytes = "max_bytes", max_span_days = "max_span_days",
  max_age_days = "max_age_days", max = "max", formats = "files", max_total_message_bytes = "says", recommended_max_raw_bytes = "says",
  separator = "separator", max_bytes_in_query = "max_bytes_in_query", max_entries_per_account = "says" }
local CONSTRAINT_ORDER = { "enum", "default", "min", "max", "min_chars", "max_chars", "max_bytes", "max_bytes_in_body", "max_bytes_in_query",
  "max_items", "max_addresses", "separator", "charset", "format", "formats", "allowed", "overflow", "max_span_days", "max_age_days", "rules",
  "max_entries_per_account", "max_total_message_bytes", "recommended_max_raw_bytes", "conflict" }
local WORDS = { max_entries_per_account = "at most %s of them in an account", max_total_message_bytes = "the whole message has at most %s octets",
  recommended_max_raw_bytes = "the service advises at most %s octets before encoding" }

local function from_json(path)
  local ok, json = pcall(require, "cjson")
  if not ok then die("lua-cjson is needed to read " .. path) end
  local null = json.null
  local described
  ok, described = pcall(json.decode, slurp(path))
  if not ok or type(described) ~= "table" or type(described.operations) ~= "table" then
    die(path .. " is no description of operations: " .. tostring(described))
  end
  local out = {}
  local function given(value) if value ~= null then return value end end

  local function text_of(value)
    if type(value) == "table" then
      local words = {}
      for i, word in ipairs(value) do words[i] = type(word) == "number" and ("%.14g"):format(word) or tostring(word) end
      return table.concat(words, " ")
    end
    if type(value) == "number" then return ("%.14g"):format(value) end
    return tostring(value)
  end
  local default_source = given(described.generated_from) and described.generated_from:match("^[^,]+") or "-"
  local function row(operation, place, fact, value, source)
    value = given(value)
    if value == nil or value == "" then return end
    out[#out + 1] = table.concat({ operation, place, fact, (text_of(value):gsub("%s+", " ")), source or default_source }, "\t")
  end

  local function parameter(operation, at, p, source)
    local place = at and at .. "." .. p.name or p.name
    source = given(p.source) or source
    local function fact(name, value) row(operation.name, place, name, value, source) end
    fact("type", TYPES[p.type] or p.type)
    if given(p.required) then fact("required", "yes") end
    local form = given(p.wire_form)
    if form then fact("wire", form == "JSON text" and "json" or "repeat") end
    fact("note", p.note)
    if given(p.deprecated) then fact("deprecated", "yes") end
    fact("since", p.since)
    local constraints = given(p.constraints) or {}
    for name in pairs(constraints) do
      if not CONSTRAINTS[name] then die(("%s.%s: the constraint %q is not known here"):format(operation.name, place, name)) end
    end
    for _, name in ipairs(CONSTRAINT_ORDER) do
      local value = given(constraints[name])
      if value ~= nil and CONSTRAINTS[name] ~= "" and not (name == "max_bytes_in_body" and constraints.applies_to) then
        if name == "format" then value = FORMATS[value] or value end
        if name == "charset" then value = value:gsub("letters", "A-Z a-z"):gsub("digits", "0-9") end
        fact(CONSTRAINTS[name], WORDS[name] and WORDS[name]:format(text_of(value)) or value)
      end
    end
    for _, field in ipairs(given(p.fields) or {}) do parameter(operation, place, field, source) end
    for _, name in ipairs(given(constraints.applies_to) or {}) do
      row(operation.name, place .. "." .. name, "max_bytes", constraints.max_bytes_in_body, source)
    end
  end

  local function answer(operation, at, field, source)
    local place = at .. field.name
    source = given(field.source) or source
    row(operation.name, place, "type", TYPES[field.type] or field.type, source)
    row(operation.name, place, "note", field.note, source)
    if given(field.deprecated) then row(operation.name, place, "deprecated", "yes", source) end
    row(operation.name, place, "since", field.since, source)
    for _, inner in ipairs(given(field.fields) or {}) do answer(operation, place .. ".", inner, source) end
  end

  for _, operation in ipairs(described.operations) do
    local name, source = operation.name, given(operation.source)
    if operation.api_version ~= VERSION then die(("%s: version %s is none of ours"):format(name, tostring(operation.api_version))) end
    row(name, "-", "group", operation.group, source)
    row(name, "-", "purpose", operation.purpose, source)
    if operation.http_method ~= "POST" then row(name, "-", "method", operation.http_method, source) end
    row(name, "-", "since", operation.since, source)
    row(name, "-", "seen", operation.first_seen_in_node_sdk, source)
    row(name, "-", "retry", operation.safe_to_retry and "yes" or "no", source)
    row(name, "-", "retry_reason", operation.retry_reason, source)
    local paging = given(operation.paging_fields)
    if paging and given(paging.position) then
      local words = { operation.paging }
      for _, role in ipairs { "position", "size", "next", "more", "pages", "total" } do
        if given(paging[role]) then words[#words + 1] = role .. "=" .. paging[role] end
      end
      row(name, "-", "paging", words, source)
    end
    for _, rule in ipairs(operation.rules) do row(name, "-", "says", rule, source) end
    if operation.error_codes[1] then row(name, "-", "codes", operation.error_codes, source) end
    local internal = {}
    for _, p in ipairs(operation.parameters) do
      if given(p.internal) then internal[#internal + 1] = p.name .. ":" .. p.type else parameter(operation, nil, p, source) end
    end
    if internal[1] then row(name, "-", "internal", internal, source) end
    for _, field in ipairs(operation.response) do answer(operation, ">", field, source) end
  end

  local head = {
    "# The operations of the Direct Mail API, one fact a row, written by catalogue.lua from a description; operations_own.tsv adds what is ours.",
    "# Columns are separated by tabs. place: - the operation, Name or Name.Field a parameter, >Name.Field a field of the answer.",
    "# source: where it was read; " .. (given(described.generated_from) or "not said"),
    "# retry: our judgement of a blind repeat after an unknown outcome; seen: the earliest version looked at of the Node SDK that has it",
    "# operation\tplace\tfact\tvalue\tsource",
  }
  spill(here .. "operations.tsv", table.concat(head, "\n") .. "\n" .. table.concat(out, "\n") .. "\n")
end

-- ---- rows ------------------------------------------------------------------------

local function fail(row, why) die(("%s:%d: %s"):format(row.file, row.line, why)) end

local function check_value(row, kind)
  if type(kind) == "table" then
    if not kind[row.value] then fail(row, ("%s is %q, which it cannot be"):format(row.fact, row.value)) end
  elseif kind == "yes" then
    if row.value ~= "yes" then fail(row, row.fact .. " is yes, or has no row") end
  elseif kind == "number" then
    row.value = tonumber(row.value) or fail(row, row.fact .. " is no number")
  elseif kind == "words" then
    local words = {}
    for word in row.value:gmatch("%S+") do words[#words + 1] = word end
    row.value = words
  elseif kind == "rule" then
    local words = {}
    for word in row.value:gmatch("%S+") do words[#words + 1] = word end
    if not RULES[words[1]] or #words < 2 then fail(row, "the rule is not known here") end
    row.value = words
  end
end

local function rows(file)
  local list, number, text = {}, 0, slurp(here .. file)
  if text:sub(-1) ~= "\n" then fail({ file = file, line = 1 }, "the last line has no line end") end
  for line in text:gmatch("([^\n]*)\n") do
    number = number + 1
    if line:sub(1, 1) ~= "#" then
      local row, n = { file = file, line = number }, 0
      for cell in (line .. "\t"):gmatch("([^\t]*)\t") do
        n = n + 1
        row[({ "operation", "place", "fact", "value", "source" })[n] or "more"] = cell
        if cell == "" or cell:find("^ ") or cell:find(" $") or cell:find("%c") then fail(row, ("column %d is empty or has stray blanks"):format(n)) end
      end
      if n ~= 5 then fail(row, ("%d columns, not 5"):format(n)) end
      local facts = row.place == "-" and OF_OPERATION or row.place:sub(1, 1) == ">" and OF_ANSWER or OF_PARAMETER
      if not facts[row.fact] then fail(row, ("no %s has the fact %q"):format(row.place == "-" and "operation" or "place", row.fact)) end
      check_value(row, facts[row.fact])
      list[#list + 1] = row
    end
  end
  return list
end

-- The node of a place, made at its first row; `into` has the operation's params or answer.
local function node_of(into, place, row, own)
  local at
  for name in place:gmatch("[^.]+") do
    local fields = at and (at.fields or {}) or into
    local found
    for _, field in ipairs(fields) do
      if field.name == name then found = field end
    end
    if not found then
      if own then fail(row, "there is no place " .. row.place) end
      found = { name = name }
      fields[#fields + 1] = found
      if at then at.fields = fields end
    end
    at = found
  end
  return at
end

local function read()
  local operations, order = {}, {}
  for _, file in ipairs { "operations.tsv", "operations_own.tsv" } do
    local own = file ~= "operations.tsv"
    local seen = {}
    for _, row in ipairs(rows(file)) do
      local operation = operations[row.operation]
      if not operation then
        if own then fail(row, "there is no operation " .. row.operation) end
        operation = { name = row.operation, params = {}, answer = {} }
        operations[row.operation] = operation
        order[#order + 1] = row.operation
      end
      local key = row.operation .. "\t" .. row.place .. "\t" .. row.fact
      if seen[key] and not MANY[row.fact] then fail(row, "the fact is there already, on line " .. seen[key]) end
      seen[key] = row.line
      local node = operation
      if row.place:sub(1, 1) == ">" then node = node_of(operation.answer, row.place:sub(2), row, own)
      elseif row.place ~= "-" then node = node_of(operation.params, row.place, row, own) end
      if MANY[row.fact] then
        node[row.fact] = node[row.fact] or {}
        table.insert(node[row.fact], row.value)
      else
        node[row.fact] = row.value
      end
    end
  end
  table.sort(order)
  return operations, order
end

-- ---- what follows from the rows ----------------------------------------------------

local function kind_of(o)
  if o.kind then return o.kind end
  if o.retry_reason:find("^read") or o.name:find("^Get%u") or o.name:find("^Query%u") or o.name:find("^List%u") or o.name:find("^Desc%u") then return "read" end
  if o.name:find("^Delete") or o.name:find("^Remove") or o.name:find("Delete$") then return "delete" end
  return "change"
end

-- The path of the list that an answer is about: the first one, nearest to the top.
local function list_of(fields, at)
  local deeper
  for _, field in ipairs(fields) do
    local path = at .. field.name
    if field.type == "list of object" then return path end
    if field.fields and not deeper then deeper = list_of(field.fields, path .. ".") end
  end
  return deeper
end

local function find_rule_names(o, fields, rules, what)
  for _, rule in ipairs(rules or {}) do
    for i = 2, #rule do
      local name = rule[i]:match("^[^=]+")
      local there
      for _, field in ipairs(fields) do there = there or field.name == name end
      if not there then die(("operations_own.tsv: a rule of %s%s names %s, which it has not"):format(o.name, what, name)) end
    end
  end
end

local function check_nodes(o, fields, at)
  for _, field in ipairs(fields) do
    if not field.type then die(("%s: %s%s has no type"):format(o.name, at, field.name)) end
    if field.fields then check_nodes(o, field.fields, at .. field.name .. ".") end
    find_rule_names(o, field.fields or {}, field.rule, "." .. field.name)
  end
end

-- ---- writing -------------------------------------------------------------------------

local function quoted(s) return '"' .. s:gsub('[\\"]', "\\%0") .. '"' end

local function value_of(v)
  if type(v) == "string" then return v == "yes" and "true" or quoted(v) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "boolean" then return tostring(v) end
  local out = {}
  for i, item in ipairs(v) do out[i] = value_of(item) end
  return "{ " .. table.concat(out, ", ") .. " }"
end

local FIELD_ORDER = { "name", "type", "required", "wire", "secret", "address", "lines", "enum", "default", "min", "max", "min_chars", "max_chars",
  "max_bytes", "max_items", "max_addresses", "separator", "charset", "format", "files", "allowed", "max_span_days", "max_age_days", "deprecated",
  "since", "rule", "way_out", "note", "says", "conflict" }

local function put_fields(out, fields, indent, order)
  for _, field in ipairs(fields) do
    local parts = {}
    for _, name in ipairs(order) do
      if field[name] ~= nil then parts[#parts + 1] = ("%s = %s"):format(name, value_of(field[name])) end
    end
    if field.fields then
      out[#out + 1] = ("%s{ %s, fields = {"):format(indent, table.concat(parts, ", "))
      put_fields(out, field.fields, indent .. "  ", order)
      out[#out + 1] = indent .. "} },"
    else
      out[#out + 1] = ("%s{ %s },"):format(indent, table.concat(parts, ", "))
    end
  end
end

local function header(name, sentence)
  return { "--- " .. sentence, "-- Made by src/data/catalogue.lua from operations.tsv and operations_own.tsv; change it there.",
    "-- @module directmail.data." .. name, "-- luacheck: no max line length", "return {" }
end

local function paging_text(words)
  local parts = { ("style = %s"):format(quoted(words[1])) }
  for i = 2, #words do
    local role, field = words[i]:match("^(%l+)=(.+)$")
    parts[#parts + 1] = ("%s = %s"):format(role, quoted(field))
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function put_operation(out, o)
  out[#out + 1] = ("  %s = {"):format(o.name)
  local function line(name, value) out[#out + 1] = ("    %s = %s,"):format(name, value) end
  local kind = kind_of(o)
  for _, name in ipairs { "retry_reason", "since", "seen", "look", "done", "rate", "right", "method", "codes", "columns", "says" } do
    if o[name] ~= nil then line(name, value_of(o[name])) end
  end
  local list = o.list or (kind == "read" and list_of(o.answer, ""))
  if list then line("list", quoted(list)) end
  if o.paging and o.paging[1] ~= "once" then line("paging", paging_text(o.paging)) end
  if o.rule then line("rule", value_of(o.rule)) end
  if o.internal then
    local parts = {}
    for _, word in ipairs(o.internal) do
      local name, type = word:match("^(%w+):(%w+)$")
      parts[#parts + 1] = ("{ name = %s, type = %s }"):format(quoted(name), quoted(type))
    end
    line("internal", "{ " .. table.concat(parts, ", ") .. " }")
  end
  out[#out + 1] = "    params = {"
  put_fields(out, o.params, "      ", FIELD_ORDER)
  out[#out + 1] = "    },"
  out[#out + 1] = "    answer = {"
  put_fields(out, o.answer, "      ", { "name", "type", "deprecated", "since", "note" })
  out[#out + 1] = "    },"
  out[#out + 1] = "  },"
end

local function generate()
  local operations, order = read()
  local index = header("operations", "The operations of the API, by name; what each takes and answers stands in a file of its group, read when it is needed.")
  local groups, group_names = {}, {}
  for _, name in ipairs(order) do
    local o = operations[name]
    check_nodes(o, o.params, "")
    check_nodes(o, o.answer, ">")
    find_rule_names(o, o.params, o.rule, "")
    if o.look and not operations[o.look] then die(("operations_own.tsv: %s looks at %s, which there is not"):format(name, o.look)) end
    for _, fact in ipairs { "group", "purpose", "retry", "retry_reason" } do
      if not o[fact] then die(("operations.tsv: %s has no %s"):format(name, fact)) end
    end
    local file = o.group:gsub("%s+", "_")
    if not groups[file] then
      groups[file] = {}
      group_names[#group_names + 1] = file
    end
    table.insert(groups[file], o)
    index[#index + 1] = ("  %s = { group = %s, kind = %s, retry = %s,%s\n    purpose = %s },"):format(name, quoted(file), quoted(kind_of(o)),
      tostring(o.retry == "yes"), o.sends and (" sends = %s,"):format(quoted(o.sends)) or "", quoted(o.purpose))
  end
  index[#index + 1] = "}"
  local files = { { path = "lua/directmail/data/operations.lua", bytes = table.concat(index, "\n") .. "\n" } }
  table.sort(group_names)
  for _, file in ipairs(group_names) do
    local out = header("operations." .. file, ("Operations of the API, group %s: what each takes and answers."):format((file:gsub("_", " "))))
    for _, o in ipairs(groups[file]) do put_operation(out, o) end
    out[#out + 1] = "}"
    files[#files + 1] = { path = ("lua/directmail/data/operations/%s.lua"):format(file), bytes = table.concat(out, "\n") .. "\n" }
  end
  return files
end

-- ---- out -------------------------------------------------------------------------------

if arg[2] or (arg[1] and arg[1] ~= "--check" and arg[1]:sub(1, 1) == "-") then
  io.stderr:write("usage: lua5.4 src/data/catalogue.lua [--check | FILE.json]\n")
  os.exit(2)
end
if arg[1] and arg[1] ~= "--check" then from_json(arg[1]) end
local differs = false
local files = generate()
if arg[1] ~= "--check" then os.execute(("mkdir -p '%slua/directmail/data/operations'"):format(root)) end
for _, f in ipairs(files) do
  if arg[1] == "--check" then
    local at = io.open(root .. f.path, "rb")
    local bytes = at and at:read("*a")
    if at then at:close() end
    if bytes ~= f.bytes then
      io.stderr:write(f.path, at and " is not what src/data/ says" or " is missing", "; run: make tables\n")
      differs = true
    end
  else
    spill(root .. f.path, f.bytes)
  end
end
os.exit(differs and 1 or 0)
