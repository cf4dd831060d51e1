--- Refuse option names that nobody knows, naming the nearest known one.
-- @module directmail.option

local M = {}

local LONGEST = 64      -- a longer name is nobody's typing error, and the distance costs its square

-- The set of a list of names, made once a list: send() asks for every message.
local sets = setmetatable({}, { __mode = "k" })

local function set_of(known)
  local set = sets[known]
  if not set then
    set = {}
    for _, name in ipairs(known) do set[name] = true end
    sets[known] = set
  end
  return set
end

-- Edits between two words, where two letters that changed places are one edit.
local function distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local now = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost)
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      now[j] = best
    end
    before, last = last, now
  end
  return last[#b]
end

--- The known word that was most likely meant.
-- @tparam string word what was written
-- @tparam {string,...} list known words; of equally near ones the first wins
-- @treturn string|nil nil when nothing is near enough to be meant
function M.nearest(word, list)
  if #word == 0 or #word > LONGEST then return nil end
  local asked = word:lower():gsub("-", "_")
  local best, least = nil, math.max(1, math.floor(#word / 3)) + 1
  for _, name in ipairs(list) do
    local d = distance(asked, (name:lower():gsub("-", "_")))
    if d < least then best, least = name, d end
  end
  return best
end

--- What is wrong with the names of a table.
-- @tparam table given what the user gave
-- @tparam {string,...} known names; keep the list, its set is remembered
-- @tparam string what the place for the message: `mail:send`
-- @treturn string|nil `unknown field "subjcet" in mail:send (did you mean "subject"?)`
function M.unknown(given, known, what)
  if type(given) ~= "table" then
    return ("bad argument to %s (table expected, got %s)"):format(what, type(given))
  end
  local set, wrong = set_of(known), nil
  for name in pairs(given) do
    if not set[name] then
      -- the order of pairs is not ours: of several the first by name is reported each time
      local shown = type(name) == "string" and name or tostring(name)
      if not wrong or shown < wrong then wrong = shown end
    end
  end
  if not wrong then return nil end
  local near = M.nearest(wrong, known)
  local shown = #wrong > LONGEST and wrong:sub(1, LONGEST) .. "..." or wrong
  return ('unknown field "%s" in %s%s'):format((shown:gsub("%c", "?")), what,
    near and (' (did you mean "%s"?)'):format(near) or "")
end

--- Raise when `given` is no table or has a field that is not known.
-- @param given, known, what see `unknown`
-- @tparam[opt=2] number level whose line to blame, as seen by the function that calls
--   `check`: 1 that function itself, 2 its caller
function M.check(given, known, what, level)
  local wrong = M.unknown(given, known, what)
  if wrong then error(wrong, (level or 2) + 1) end
end

--- Raise when a field that is there has none of the types that it may have.
-- @tparam table given
-- @tparam table types name -> "string", or several: "string or table"
-- @tparam string what whose fields they are
-- @tparam[opt=2] number level as of `check`
function M.check_types(given, types, what, level)
  local wrong
  for name, words in pairs(types) do
    local kind = type(given[name])
    if kind ~= "nil" and not (" " .. words .. " "):find(" " .. kind .. " ", 1, true) and (not wrong or name < wrong) then wrong = name end
  end
  if wrong then error(("option %s of %s must be a %s, not a %s"):format(wrong, what, types[wrong], type(given[wrong])), (level or 2) + 1) end
end

return M
