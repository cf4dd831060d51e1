--- Write the tables of facts that the core and the Lua modules carry, from the rows in this folder.
-- `lua5.4 src/data/generate.lua` writes, `… --check` writes nothing and exits 1 when a file differs.
-- Runs in every Lua from 5.1 on, from any folder, and gives the same bytes each time.

local here = (arg[0]:match("^(.*)/[^/]*$") or ".") .. "/"
local root = here .. "../../"

-- ---- rows --------------------------------------------------------------------

local function fail(row, why)
  io.stderr:write(("%s:%d: %s\n"):format(row.file, row.line, why))
  os.exit(1)
end

local function slurp(path)
  local f, why = io.open(path, "rb")
  if not f then
    io.stderr:write(why, "\n")
    os.exit(1)
  end
  local text = f:read("*a")
  f:close()
  return text
end

-- The rows of a file; each cell is checked to be one line of clean text, so no cell can break a
-- generated file. A cell `-` is nil where the column's name ends in `?`.
local function rows(file, columns)
  local list, text, number = {}, slurp(here .. file), 0
  if text:sub(-1) ~= "\n" then fail({ file = file, line = 1 }, "the last line has no line end") end
  for line in text:gmatch("([^\n]*)\n") do
    number = number + 1
    local row = { file = file, line = number }
    if line:sub(1, 1) ~= "#" then
      local n = 0
      for cell in (line .. "\t"):gmatch("([^\t]*)\t") do
        n = n + 1
        local name = columns[n]
        if not name then fail(row, ("more than %d columns"):format(#columns)) end
        if cell == "" or cell:find("^ ") or cell:find(" $") or cell:find("%c") then
          fail(row, ("column %s is empty or has stray blanks"):format(name))
        end
        if name:sub(-1) == "?" then
          name = name:sub(1, -2)
          if cell == "-" then cell = nil end
        end
        row[name] = cell
      end
      if n < #columns then fail(row, ("%d columns, not %d (%s)"):format(n, #columns, table.concat(columns, ", "))) end
      list[#list + 1] = row
    end
  end
  return list
end

local function one_of(row, name, words)
  for word in words:gmatch("%S+") do
    if row[name] == word then return end
  end
  fail(row, ("%s is %q, not one of: %s"):format(name, tostring(row[name]), words))
end

local function unique(list, name)
  local seen = {}
  for _, row in ipairs(list) do
    if seen[row[name]] then fail(row, ("%s %s is there already, on line %d"):format(name, row[name], seen[row[name]])) end
    seen[row[name]] = row.line
  end
  return seen
end

-- ---- writing -----------------------------------------------------------------

-- A string that C and every Lua read alike: cells hold no control characters.
local function quoted(s)
  return '"' .. s:gsub('[\\"]', "\\%0") .. '"'
end

local lua_string = quoted

local function c_string(s)
  return s and quoted(s) or "NULL"
end

local function lua_list(list)
  local out = {}
  for i, s in ipairs(list) do out[i] = lua_string(s) end
  return "{ " .. table.concat(out, ", ") .. " }"
end

-- A key of a Lua table: bare where every Lua takes it so.
local reserved = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while")
  :gmatch("%S+") do reserved[word] = true end

local function lua_key(name)
  if name:find("^[%a_][%w_]*$") and not reserved[name] then return name end
  return "[" .. lua_string(name) .. "]"
end

local files = {}        -- path below the root -> bytes, in order

local function file(path, lines)
  files[#files + 1] = { path = path, bytes = table.concat(lines, "\n") .. "\n" }
end

local function lua_file(name, sentence, source, body)
  local lines = { "--- " .. sentence, "-- Made by src/data/generate.lua from " .. source .. "; change it there.",
    "-- @module directmail.data." .. name, "-- luacheck: no max line length", "return {" }
  for _, line in ipairs(body) do lines[#lines + 1] = "  " .. line .. "," end
  lines[#lines + 1] = "}"
  file("lua/directmail/data/" .. name .. ".lua", lines)
end

-- The Chinese sentences of some rows, in a file of their own, so that nobody parses them who does not read them. Rows with one
-- key are one rule, with one pair of sentences.
local function chinese(list, key, name, sentence, source)
  local lines, said = {}, {}
  for _, row in ipairs(list) do
    for _, column in ipairs { "cause_zh", "remedy_zh" } do
      if not row[column]:find("[\228-\233][\128-\191][\128-\191]") then fail(row, column .. " is not Chinese") end
    end
    local both = ("%s = { %s, %s }"):format("[" .. lua_string(row[key]) .. "]", lua_string(row.cause_zh), lua_string(row.remedy_zh))
    if not said[row[key]] then lines[#lines + 1] = both
    elseif said[row[key]] ~= both then fail(row, "the Chinese of one " .. key .. " differs") end
    said[row[key]] = both
  end
  lua_file(name, sentence, source, lines)
end

-- ---- regions, rules, places, hints -> src/core/region.inc ------------------------

local regions = rows("regions.tsv", { "id", "name", "api", "api_vpc?", "smtp?", "legacy?", "data?", "open", "source" })
local region_line = unique(regions, "id")
if #regions > 8 then fail(regions[9], "more regions than DM_REGIONS in directmail.h has room for") end

local inc = { "/* Made by src/data/generate.lua from regions.tsv, routes.tsv, places.tsv and hints.tsv; change it there. */", "",
  "static const dm_region regions[] = {" }
for _, row in ipairs(regions) do
  if not row.id:find("^%l%l%-[%l%d-]+$") then fail(row, "id is no region id") end
  for _, name in ipairs { "api", "api_vpc", "smtp", "legacy" } do
    if row[name] and not row[name]:find("^[%l%d][%l%d.-]*%.aliyun[cs]*%.com$") then fail(row, name .. " is no host of the service") end
  end
  if row.data and not row.data:find("^%l%l$") then fail(row, "data is no country code in lower case") end
  one_of(row, "open", "yes no")
  inc[#inc + 1] = ("    {%s, %s,\n     %s, %s,\n     %s, %s, %s, %s},"):format(c_string(row.id), c_string(row.name), c_string(row.api),
    c_string(row.api_vpc), c_string(row.smtp), c_string(row.legacy), c_string(row.data or ""), row.open == "yes" and "true" or "false")
end
inc[#inc + 1] = "};"

local function known_regions(row, name)
  for id in row[name]:gmatch("%S+") do
    if not region_line[id] then fail(row, ("%s names %s, which is not in regions.tsv"):format(name, id)) end
  end
end

local function words_of(row, name, words)
  for word in (row[name] or ""):gmatch("%S+") do one_of({ file = row.file, line = row.line, [name] = word }, name, words) end
end

local places = rows("places.tsv", { "kind", "name", "place", "near", "label", "source" })
unique(places, "name")
local words = {}
for _, row in ipairs(places) do
  one_of(row, "kind", "word prefix")
  known_regions(row, "near")
  if row.kind == "word" then
    if row.place ~= row.name then fail(row, "a word is its own place") end
    words[#words + 1] = row.name
  end
end
words = table.concat(words, " ")

local function limit(row, name, most)
  if row[name] and #row[name] > most then fail(row, ("%s has %d octets, more than %d"):format(name, #row[name], most)) end
end

inc[#inc + 1] = ""
inc[#inc + 1] = "static const struct rule rules[] = {"
local routes = rows("routes.tsv", { "id", "deployed?", "recipients?", "via?", "choose", "why", "source" })
unique(routes, "id")
for _, row in ipairs(routes) do
  words_of(row, "deployed", words)
  words_of(row, "recipients", "cn world")
  words_of(row, "via", "smtp api")
  known_regions(row, "choose")
  limit(row, "why", 220)        -- dm_route.reasons[].text holds 240
  inc[#inc + 1] = ("    {%s, %s, %s, %s,\n     %s,\n     %s},"):format(c_string(row.id), c_string(row.deployed), c_string(row.recipients),
    c_string(row.via), c_string(row.choose), c_string(row.why))
end
inc[#inc + 1] = "};"

inc[#inc + 1] = ""
inc[#inc + 1] = "static const struct place places[] = {"
for _, row in ipairs(places) do
  one_of(row, "place", words)
  limit(row, "label", 60)
  inc[#inc + 1] = ("    {%s, %s, %s, %s, %s},"):format(row.kind == "prefix" and "true" or "false", c_string(row.name), c_string(row.place),
    c_string(row.near), c_string(row.label))
end
inc[#inc + 1] = "};"

inc[#inc + 1] = ""
local hints = rows("hints.tsv", { "name", "text", "source" })
unique(hints, "name")
for _, row in ipairs(hints) do
  if not row.name:find("^%l+$") then fail(row, "name must be a word in lower case") end
  limit(row, "text", 220)
  inc[#inc + 1] = ("static const char hint_%s[] =\n    %s;"):format(row.name, c_string(row.text))
end
file("src/core/region.inc", inc)

-- ---- limits -------------------------------------------------------------------------

local limits = rows("limits.tsv", { "name", "value", "unit", "reason", "source" })
local limit_line = unique(limits, "name")
local body = {}
for _, row in ipairs(limits) do
  if not row.name:find("^%l[%l%d_]*$") then fail(row, "name must be lower case with underscores") end
  if not row.value:find("^%d+$") and not row.value:find("^%d+%.%d+$") then fail(row, "value is no number") end
  local window = row.name:match("^rate_(.-)$")
  if window and not window:find("_seconds$") and not limit_line[row.name .. "_seconds"] then
    fail(row, "a rate needs a row " .. row.name .. "_seconds")
  end
  body[#body + 1] = ("%s = %s"):format(lua_key(row.name), row.value)
end
lua_file("limits", "Limits by name, in the units named there.", "limits.tsv", body)

-- ---- DNS records of a sender domain ----------------------------------------------------

local records = rows("records.tsv", { "region", "spf", "mx", "dkim", "dmarc", "source" })
unique(records, "region")
body = {}
for _, row in ipairs(records) do
  known_regions(row, "region")
  for _, name in ipairs { "spf", "mx" } do
    if not row[name]:find("^[%l%d.-]+$") then fail(row, name .. " is no host name in lower case") end
  end
  body[#body + 1] = ("%s = { spf = %s, mx = %s, dkim = %s, dmarc = %s }"):format(lua_key(row.region), lua_string(row.spf), lua_string(row.mx),
    lua_string(row.dkim), lua_string(row.dmarc))
end
lua_file("records", "DNS records that a sender domain needs, by region.", "records.tsv", body)

-- ---- media types ----------------------------------------------------------------------

local types = rows("types.tsv", { "extension", "type", "source" })
unique(types, "extension")
body = {}
for _, row in ipairs(types) do
  if not row.extension:find("^[%l%d]+$") then fail(row, "extension must be lower case letters and digits") end
  if not row.type:find("^%l+/[%w!#$&^_.+-]+$") then fail(row, "type is no media type (RFC 6838, 4.2)") end
  body[#body + 1] = ("%s = %s"):format(lua_key(row.extension), lua_string(row.type))
end
lua_file("types", "Media types by file extension, in lower case.", "types.tsv", body)

-- ---- replies ---------------------------------------------------------------------------

local SCOPES = "directmail-submission alimail-family directmail-delivery recipient:gmail recipient:outlook recipient:yahoo "
  .. "recipient:qq recipient:netease generic"
local BLAMES = "account client-bug content credentials network none quota rate recipient reputation sender-config sender-dns"
local rank, ranks = {}, 0
for scope in SCOPES:gmatch("%S+") do
  ranks = ranks + 1
  rank[scope] = ranks
end

-- The alternatives of a cell. `.{0,12}` becomes one alternative for each length: Lua's `.?` twelve times
-- over would try 4,096 ways at every place of a hostile text.
local function alternatives(row, name)
  local list = {}
  local function add(pattern)
    local before, low, high, behind = pattern:match("^(.-)%.{(%d+),(%d+)}(.*)$")
    if before then
      for n = tonumber(low), tonumber(high) do add(before .. ("."):rep(n) .. behind) end
      return
    end
    list[#list + 1] = pattern
  end
  for pattern in (row[name] .. " || "):gmatch("(.-) || ") do
    if pattern == "" or pattern:gsub("%%%a", ""):find("%u") then fail(row, ("%s: %q is empty or has capitals"):format(name, pattern)) end
    add(pattern)
  end
  return list
end

-- An alternative as the list of its pieces: what stood between `.*` is looked for one after the other,
-- which is the same and never takes more than one walk over the text.
local function pieces(row, pattern)
  local list = {}
  for piece in (pattern .. ".*"):gmatch("(.-)%.%*") do
    if piece ~= "" then
      local ok, why = pcall(string.find, "", piece)
      if not ok then fail(row, ("pattern %q: %s"):format(piece, tostring(why))) end
      if piece:gsub("%%.", ""):find("[*+]") or piece:gsub("%%.", ""):find("%-") then
        fail(row, ("pattern %q: repetitions other than .* between pieces can be slow on a hostile text"):format(piece))
      end
      list[#list + 1] = piece
    end
  end
  return list
end

local replies = rows("smtp_errors.tsv", { "id", "scope", "phase", "hint?", "code?", "any", "none?", "permanence", "retry", "blame", "tag?",
  "cause", "remedy", "source", "cause_zh", "remedy_zh" })
body = {}
local last
local closed = {}
for _, row in ipairs(replies) do
  if not rank[row.scope] then fail(row, "unknown scope " .. row.scope) end
  if last and rank[row.scope] < rank[last.scope] then fail(row, "scopes must stand in the order " .. SCOPES) end
  if last and last.id ~= row.id then closed[last.id] = last.line end
  if closed[row.id] then fail(row, ("id %s is there already, on line %d"):format(row.id, closed[row.id])) end
  one_of(row, "phase", "connect auth mail rcpt data event any")
  if row.hint then one_of(row, "hint", "connect auth mail rcpt data") end
  if row.code and not row.code:find("^[2345]%d%d$") then fail(row, "code is no reply code") end
  one_of(row, "permanence", "permanent temporary success")
  one_of(row, "retry", "no backoff later next-day")
  one_of(row, "blame", BLAMES)
  local any = {}
  for i, pattern in ipairs(alternatives(row, "any")) do any[i] = pieces(row, pattern) end
  local fields = { "id = " .. lua_string(row.id), "scope = " .. lua_string(row.scope), "phase = " .. lua_string(row.phase) }
  if row.hint then fields[#fields + 1] = "hint = " .. lua_string(row.hint) end
  if row.code then fields[#fields + 1] = "code = " .. row.code end
  local shown = {}
  for i, list in ipairs(any) do shown[i] = #list == 0 and "{}" or lua_list(list) end
  fields[#fields + 1] = "\n    any = { " .. table.concat(shown, ", ") .. " }"
  if row.none then fields[#fields + 1] = "none = " .. lua_list(alternatives(row, "none")) end
  fields[#fields + 1] = "\n    permanence = " .. lua_string(row.permanence)
  fields[#fields + 1] = "retry = " .. lua_string(row.retry)
  fields[#fields + 1] = "blame = " .. lua_string(row.blame)
  if row.tag then fields[#fields + 1] = "tag = " .. lua_string(row.tag) end
  fields[#fields + 1] = "\n    cause = " .. lua_string(row.cause)
  fields[#fields + 1] = "\n    remedy = " .. lua_string(row.remedy)
  fields[#fields + 1] = "\n    source = " .. lua_string(row.source)
  body[#body + 1] = "{ " .. table.concat(fields, ", "):gsub(", \n", ",\n") .. " }"
  last = row
end
lua_file("smtp_errors", "What SMTP replies mean, in matching order; directmail.explain reads them.", "smtp_errors.tsv", body)
chinese(replies, "id", "smtp_errors_zh", "The cause and the remedy of each SMTP reply in Chinese, by the rule's id.", "smtp_errors.tsv")

-- ---- error codes of the API ------------------------------------------------------------------

-- `Missing<Name>` begins so and has a name behind it; `InvalidQuota<...>` may end there.
local refusals = rows("api_errors.tsv", { "code", "status", "layer", "cause", "remedy", "our", "blame", "retry", "outcome", "source",
  "cause_zh", "remedy_zh" })
body = {}
for _, row in ipairs(refusals) do row.key = row.code:lower() end
unique(refusals, "key")
for _, row in ipairs(refusals) do
  local prefix, behind = row.code:match("^([%a.]+)<(.+)>$")
  if not (row.code:find("^%u[%w.]+$") or row.code == "HTTP " .. row.status or behind == "Name" or behind == "...") then
    fail(row, "code is no code, none that ends in <Name> or <...>, and not HTTP and its status")
  end
  if not row.status:find("^[45]%d%d$") then fail(row, "status is no status of a refusal") end
  one_of(row, "layer", "gateway directmail")
  one_of(row, "our", "CLOCK CREDENTIALS QUOTA REFUSED SIGNATURE SIZE THROTTLED")
  one_of(row, "blame", BLAMES)
  one_of(row, "retry", "no backoff later next-day once")
  one_of(row, "outcome", "refused unknown")
  local fields = { "code = " .. lua_string(row.code) }
  if prefix then
    fields[#fields + 1] = "prefix = " .. lua_string(prefix:lower())
    if behind == "Name" then fields[#fields + 1] = "named = true" end
  end
  fields[#fields + 1] = "status = " .. row.status
  for _, name in ipairs { "layer", "our", "blame", "retry", "outcome" } do
    fields[#fields + 1] = name .. " = " .. lua_string(row[name])
  end
  for _, name in ipairs { "cause", "remedy", "source" } do fields[#fields + 1] = "\n    " .. name .. " = " .. lua_string(row[name]) end
  body[#body + 1] = "{ " .. table.concat(fields, ", "):gsub(", \n", ",\n") .. " }"
end
lua_file("api_errors", "What the API's error codes mean; directmail.explain reads them.", "api_errors.tsv", body)
chinese(refusals, "code", "api_errors_zh", "The cause and the remedy of each error code of the API in Chinese.", "api_errors.tsv")

-- ---- what SingleSendMail cannot carry --------------------------------------------------------

local carry = rows("carry.tsv", { "id", "field", "when", "limit?", "reason", "source" })
unique(carry, "id")
body = {}
for _, row in ipairs(carry) do
  one_of(row, "when", "present over over_name other comma name one")
  local fields = { "id = " .. lua_string(row.id), "field = " .. lua_string(row.field), "when = " .. lua_string(row.when) }
  if row.when == "over" or row.when == "over_name" then
    if not row.limit or not limit_line[row.limit] then fail(row, "limit is not in limits.tsv") end
    fields[#fields + 1] = "limit = " .. lua_string(row.limit)
  elseif row.when == "other" then
    if not row.limit then fail(row, "limit must list the names that are carried") end
    local names = {}
    for name in row.limit:gmatch("%S+") do names[#names + 1] = name end
    fields[#fields + 1] = "names = " .. lua_list(names)
  elseif row.limit then
    fail(row, "limit goes with over, over_name and other only")
  end
  fields[#fields + 1] = "\n    reason = " .. lua_string(row.reason)
  fields[#fields + 1] = "source = " .. lua_string(row.source)
  body[#body + 1] = "{ " .. table.concat(fields, ", "):gsub(", \n", ",\n") .. " }"
end
lua_file("carry", "What SingleSendMail cannot carry, in the order of the checks.", "carry.tsv", body)

-- ---- what lint looks for ----------------------------------------------------------------------

local function number_of(row, name, text)
  if not (text or ""):find("^%d+$") and not (text or ""):find("^%d+%.%d+$") then fail(row, name .. " is no number") end
  return text
end

-- Cells with | between their parts.
local function parts(cell)
  local list = {}
  for part in ((cell or "") .. "|"):gmatch("([^|]*)|") do
    if part ~= "" then list[#list + 1] = part end
  end
  return list
end

local sought = rows("lint_rules.tsv", { "id", "weight", "max?", "kind", "what", "cause", "remedy", "source", "what_zh", "cause_zh", "remedy_zh" })
unique(sought, "id")
body = {}
local zh = {}
for _, row in ipairs(sought) do
  if not row.id:find("^[%l-]+%.[%l%d-]+$") then fail(row, "id must be family.name in lower case") end
  one_of(row, "kind", "any bulk")
  local steps = {}
  for step in row.weight:gmatch("%S+") do steps[#steps + 1] = number_of(row, "weight", step) end
  local fields = { "id = " .. lua_string(row.id), ("weight = %s"):format(#steps == 1 and steps[1] or "{ " .. table.concat(steps, ", ") .. " }") }
  if row.max then fields[#fields + 1] = "max = " .. number_of(row, "max", row.max) end
  if row.kind ~= "any" then fields[#fields + 1] = "kind = " .. lua_string(row.kind) end
  local _, values = row.what:gsub("%%s", "")
  local _, values_zh = row.what_zh:gsub("%%s", "")
  if values ~= values_zh or (row.what .. row.what_zh):gsub("%%[s%%]", ""):find("%", 1, true) then fail(row, "what and what_zh take other values") end
  for _, name in ipairs { "what", "cause", "remedy", "source" } do fields[#fields + 1] = "\n    " .. name .. " = " .. lua_string(row[name]) end
  body[#body + 1] = "{ " .. table.concat(fields, ", "):gsub(", \n", ",\n") .. " }"
  for _, name in ipairs { "what_zh", "cause_zh", "remedy_zh" } do
    if not row[name]:find("[\228-\233][\128-\191][\128-\191]") then fail(row, name .. " is not Chinese") end
  end
  zh[#zh + 1] = ("[%s] = { %s, %s, %s }"):format(lua_string(row.id), lua_string(row.what_zh), lua_string(row.cause_zh), lua_string(row.remedy_zh))
end
lua_file("lint_rules", "What lint looks for: id, weight, sentences; directmail.lint reads them.", "lint_rules.tsv", body)
lua_file("lint_rules_zh", "Finding, cause and remedy of each rule of lint in Chinese.", "lint_rules.tsv", zh)

local categories = rows("lint_categories.tsv", { "id", "body", "subject", "label", "label_zh", "source" })
local category_line = unique(categories, "id")
body = {}
for _, row in ipairs(categories) do
  body[#body + 1] = ("%s = { body = %s, subject = %s, label = %s, zh = %s }"):format(lua_key(row.id), number_of(row, "body", row.body),
    number_of(row, "subject", row.subject), lua_string(row.label), lua_string(row.label_zh))
end
lua_file("lint_categories", "Kinds of words that filters dislike, with the weight of a word in the text and in the subject.", "lint_categories.tsv", body)

local disliked = rows("lint_words.tsv", { "category", "phrase", "weight?", "not_behind?", "not_before?", "source" })
unique(disliked, "phrase")
body = {}
for _, row in ipairs(disliked) do
  if not category_line[row.category] then fail(row, "category is not in lint_categories.tsv") end
  if row.phrase:find("%u") then fail(row, "phrase has capitals") end
  local fields = { lua_string(row.phrase), lua_string(row.category) }
  if row.weight then fields[#fields + 1] = "weight = " .. number_of(row, "weight", row.weight) end
  for _, name in ipairs { "not_behind", "not_before" } do
    if row[name] then fields[#fields + 1] = name .. " = " .. lua_list(parts(row[name])) end
  end
  body[#body + 1] = "{ " .. table.concat(fields, ", ") .. " }"
end
lua_file("lint_words", "Words and phrases that filters dislike: phrase, category.", "lint_words.tsv", body)

-- Rows of one kind after the other: kind -> list.
local function by_kind(list, kinds, column)
  local lines = {}
  for kind in kinds:gmatch("%S+") do
    local found = {}
    for _, row in ipairs(list) do
      one_of(row, "kind", kinds)
      if row.kind == kind then found[#found + 1] = (row[column]:gsub("^_", " ")) end
    end
    lines[#lines + 1] = ("%s = %s"):format(lua_key(kind), lua_list(found))
  end
  return lines
end

local hosts = rows("lint_hosts.tsv", { "kind", "host", "source" })
for _, row in ipairs(hosts) do
  row.both = row.kind .. " " .. row.host
  if not row.host:find("^[%l%d-][%l%d.-]*%.%l+$") then fail(row, "host is none") end
end
unique(hosts, "both")
lua_file("lint_hosts", "Hosts that lint knows, by kind; each stands for what is under it too.", "lint_hosts.tsv",
  by_kind(hosts, "shortener brand sharing freemail suffix", "host"))

local phrases = rows("lint_phrases.tsv", { "kind", "phrase", "source" })
for _, row in ipairs(phrases) do
  if row.phrase:find("%u") then fail(row, "phrase has capitals") end
end
lua_file("lint_phrases", "Phrases that lint looks for, by kind.", "lint_phrases.tsv",
  by_kind(phrases, "unsubscribe contacts introduction salutation qrcode", "phrase"))

local attached = rows("lint_attachments.tsv", { "extension", "kind", "source" })
unique(attached, "extension")
body = {}
for _, row in ipairs(attached) do
  one_of(row, "kind", "executable macro archive")
  body[#body + 1] = ("%s = %s"):format(lua_key(row.extension), lua_string(row.kind))
end
lua_file("lint_attachments", "Kinds of attachments that filters stop, by extension.", "lint_attachments.tsv", body)

local left = rows("lint_placeholders.tsv", { "style", "pattern", "example", "where", "source" })
unique(left, "style")
body = {}
for _, row in ipairs(left) do
  one_of(row, "where", "any words underscore text places")
  if not row.example:find("^" .. row.pattern .. "$") then fail(row, "the pattern does not find the example") end
  body[#body + 1] = ("{ style = %s, pattern = %s, where = %s }"):format(lua_string(row.style), lua_string(row.pattern), lua_string(row.where))
end
lua_file("lint_placeholders", "Placeholders of templates, as patterns.", "lint_placeholders.tsv", body)

local special = rows("special_addresses.tsv", { "prefix", "what", "source" })
unique(special, "prefix")
body = {}
for _, row in ipairs(special) do
  local groups, bits = {}, row.prefix:match("/(%d+)$")
  local v4 = row.prefix:find("^%d+%.%d+%.%d+%.%d+/") ~= nil
  if not bits or not (v4 or row.prefix:find("^[%x:]+::/")) then fail(row, "prefix is none") end
  for group in row.prefix:match("^[^/]*"):gmatch(v4 and "%d+" or "%x+") do groups[#groups + 1] = tonumber(group, v4 and 10 or 16) end
  body[#body + 1] = ("{ version = %d, bits = %s, groups = { %s }, what = %s }"):format(v4 and 4 or 6, bits, table.concat(groups, ", "), lua_string(row.what))
end
lua_file("special_addresses", "Addresses that are nobody's public server, as prefixes.", "special_addresses.tsv", body)

-- ---- why a delivery failed -------------------------------------------------------------------

local classes = rows("failure_classes.tsv", { "name", "kind", "suppress", "blame", "meaning", "source" })
unique(classes, "name")
body = {}
for _, row in ipairs(classes) do
  one_of(row, "kind", "ok hard soft complaint unsubscribe trap content sender reputation rate")
  one_of(row, "suppress", "no once twice thrice")
  one_of(row, "blame", "content none rate recipient reputation sender-dns")
  body[#body + 1] = ("%s = { kind = %s, suppress = %s, blame = %s,\n    meaning = %s }"):format(lua_key(row.name), lua_string(row.kind),
    lua_string(row.suppress), lua_string(row.blame), lua_string(row.meaning))
end
lua_file("failure_classes", "Why a delivery failed, by the service's class.", "failure_classes.tsv", body)

-- ---- what the check of a list knows -------------------------------------------------------------

local mail_domains = rows("mail_domains.tsv", { "kind", "domain", "source" })
unique(mail_domains, "domain")
body = {}
local of_kind = { provider = {}, disposable = {} }
for _, row in ipairs(mail_domains) do
  one_of(row, "kind", "provider disposable")
  if not row.domain:find("^[%l%d][%l%d.-]*%.%l+$") then fail(row, "domain is none") end
  table.insert(of_kind[row.kind], row.domain)
end
for i, kind in ipairs { "provider", "disposable" } do body[i] = ("%s = %s"):format(kind, lua_list(of_kind[kind])) end
lua_file("mail_domains", "Domains that the check of a list knows, by kind.", "mail_domains.tsv", body)

local roles = rows("role_addresses.tsv", { "local", "source" })
unique(roles, "local")
body = {}
for _, row in ipairs(roles) do
  if row["local"]:find("[^%l%d_-]") then fail(row, "local must be lower case letters, digits, - and _") end
  body[#body + 1] = lua_string(row["local"])
end
lua_file("role_addresses", "Local parts that stand for a task and not for a person.", "role_addresses.tsv", body)

-- ---- error codes: the one list stands in directmail.h ------------------------------------------

body = {}
local header = slurp(root .. "include/directmail.h")
local list = header:match("#define DM_ERRORS%(X%)(.-)\n\n")
for name, text in (list or ""):gmatch("X%(([%u_]+),%s*\"([^\"]+)\"%)") do
  body[#body + 1] = ("{ name = %s, text = %s }"):format(lua_string(name), lua_string(text))
end
if #body == 0 then
  io.stderr:write("include/directmail.h: no list DM_ERRORS found\n")
  os.exit(1)
end
lua_file("codes", "The codes of errors and their sentences.", "DM_ERRORS in include/directmail.h", body)

-- ---- out ----------------------------------------------------------------------------------------

if arg[1] and arg[1] ~= "--check" or arg[2] then
  io.stderr:write("usage: lua5.4 src/data/generate.lua [--check]\n")
  os.exit(2)
end
local differs = false
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
    local to, why = io.open(root .. f.path, "wb")
    if not to or not to:write(f.bytes) or not to:close() then
      io.stderr:write(f.path, ": ", tostring(why or "cannot be written"), "\n")
      os.exit(1)
    end
  end
end
os.exit(differs and 1 or 0)
