--- Does docs/standards.md tell the truth about the tests? Prints TAP.
-- Usage: lua5.4 tests/support/rules.lua DOCUMENT TEST-FILE...
-- A row of the document is `| RULE | what it wants | where |`. `where` names test files, each of which must name
-- the rule: `rule_1_7_...`, `rules_2_1_to_2_4_...`, `rule 1.9`, `rules 2.36 and 2.37`; or it says why there is none.
local document = assert(arg[1], "which document?")

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function key(a, b) return tonumber(a) .. "." .. tonumber(b) end

-- The rules that a text names. Both ways of writing are read as the second one.
local function named(text)
  local found = {}
  text = text:gsub("rules?_%d[%w_]*", function(name)
    return (name:gsub("(%d+)_(%d+)", "%1.%2"):gsub("_", " "))
  end)
  for at in text:gmatch "()[Rr]ules? %d" do
    local a, b, after = text:match("^[Rr]ules? (%d+)%.(%d+)()", at)
    while a do
      found[key(a, b)] = true
      local join, c, d, next_after = text:match("^([, %a-]+)(%d+)%.(%d+)()", after)
      if not join or not (join:find "^,? ?and $" or join:find "^,? ?to $" or join == ", " or join == "-" or join == " rule ") then break end
      if join:find "to" or join == "-" then
        for n = tonumber(b), tonumber(d) do found[key(a, n)] = true end
      end
      a, b, after = c, d, next_after
    end
  end
  return found
end

local tests, all = {}, {}
for i = 2, #arg do
  local text = read(arg[i])
  if arg[i]:find "^tests/core/" then text = text:gsub("/%*.-%*/", "") end       -- names of tests count there, and no comment
  tests[arg[i]] = named(text)
  for rule in pairs(tests[arg[i]]) do all[rule] = all[rule] or arg[i] end
end

local count = 0
local function claim(ok, name, why)
  count = count + 1
  print(("%s %d - %s"):format(ok and "ok" or "not ok", count, name))
  if not ok then print("# " .. why) end
end

local listed = {}
for rule, where in read(document):gmatch "\n| (%d+%.%d+) |[^\n]*|([^|\n]*)|" do
  local why = listed[rule] and "it has two rows"
  listed[rule] = true
  local files = 0
  for path in where:gmatch "tests/[%w_/.]+%.%w+" do
    files = files + 1
    if not tests[path] then why = path .. " is no test file"
    elseif not tests[path][rule] then why = path .. " does not name the rule" end
  end
  if files == 0 and not (where:find "left out" or where:find "later") then why = "it says neither where it is tested nor why not" end
  claim(not why, "rule " .. rule, why)
end
claim(next(listed) ~= nil, "the document has rows", "none was found")

local stray = {}
for rule, path in pairs(all) do
  if not listed[rule] then stray[#stray + 1] = rule .. " (" .. path .. ")" end
end
table.sort(stray)
claim(#stray == 0, "every rule that a test names has a row", table.concat(stray, ", "))
print("1.." .. count)
