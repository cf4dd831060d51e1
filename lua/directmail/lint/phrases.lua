--- Words and phrases of the lists, found in a text.
-- A text is looked at as a row of words, where a Chinese character is a word and a sign is one too, so it takes linear time.
-- @module directmail.lint.phrases
local M = {}

--- A text as it is compared: full-width signs as ASCII (part of NFKC, UAX #15), quotes as ', without characters that have no width.
-- @tparam string text UTF-8
-- @treturn string
function M.fold(text)
  if not text:find "[\194\226\227\239]" then return text end
  text = text:gsub("\239([\188\189])([\128-\191])", function(a, b)
    local code = (a:byte() - 188) * 64 + b:byte() - 128       -- U+FF00 is 0
    return code >= 1 and code <= 94 and string.char(code + 32) or nil
  end)
  text = text:gsub("\194\160", " "):gsub("\227\128\128", " "):gsub("\226\128[\152\153]", "'")
  return (text:gsub("\226\128[\139-\141]", ""):gsub("\226\129\160", ""):gsub("\239\187\191", ""):gsub("\194\173", ""))
end

-- The words of a folded text in lower case, and where each begins and ends.
local function words_of(text)
  local words, from, to = {}, {}, {}
  local at, n = 1, 0
  while true do
    local gap
    at = text:find("[^ \t\r\n]", at)
    if not at then break end
    local stop = select(2, text:find("^%w+'%w+", at)) or select(2, text:find("^%w+", at))
    if not stop then stop = select(2, text:find("^[\194-\244][\128-\191]+", at)) or at end
    gap = n > 0 and text:sub(to[n] + 1, at - 1):find "\n[ \t\r]*\n"
    if gap then                 -- a phrase ends with its paragraph
      n = n + 1
      words[n], from[n], to[n] = "\n", at, at - 1
    end
    n = n + 1
    words[n], from[n], to[n] = text:sub(at, stop):lower(), at, stop
    at = stop + 1
  end
  return words, from, to
end

local index, singles            -- first word -> phrases, the longest first; words that are a phrase of their own

local function read_list()
  index, singles = {}, {}
  for _, row in ipairs(require "directmail.data.lint_words") do
    local words = words_of(row[1])
    local list = index[words[1]] or {}
    index[words[1]] = list
    list[#list + 1] = { words = words, row = row }
    if #words == 1 and row[1]:find "^%a+$" then singles[row[1]] = row end
  end
  for _, list in pairs(index) do
    table.sort(list, function(a, b)
      if #a.words ~= #b.words then return #a.words > #b.words end
      return a.row[1] < b.row[1]
    end)
  end
end

local CONTEXT = 48              -- octets on either side that may make a word harmless

local function ends_with(text, word)
  return text:sub(-#word) == word and (not word:find "^%w" or not text:sub(-#word - 1, -#word - 1):find "%w")
end

local function begins_with(text, word)
  return text:sub(1, #word) == word and (not word:find "%w$" or not text:sub(#word + 1, #word + 1):find "%w")
end

local function harmless(row, text, from, to)
  if row.not_behind then
    local before = text:sub(math.max(1, from - CONTEXT), from - 1):lower():gsub("%s+", " "):gsub(" $", "")
    for _, word in ipairs(row.not_behind) do
      if ends_with(before, word) then return true end
    end
  end
  if row.not_before then
    local after = text:sub(to + 1, to + CONTEXT):lower():gsub("%s+", " "):gsub("^ ", "")
    for _, word in ipairs(row.not_before) do
      if begins_with(after, word) then return true end
    end
  end
  return false
end

local function fits(phrase, words, i)
  for k = 2, #phrase.words do
    if words[i + k - 1] ~= phrase.words[k] then return false end
  end
  return true
end

--- The phrases of lint_words.tsv in a text, each once, the longest at its place.
-- @tparam string text folded
-- @treturn table list of `{ row = {phrase, category, weight=}, at = octet }`
function M.find(text)
  if not index then read_list() end
  local words, from, to = words_of(text)
  local found, seen, i = {}, {}, 1
  while i <= #words do
    local taken
    for _, phrase in ipairs(index[words[i]] or {}) do
      if fits(phrase, words, i) then
        local last = i + #phrase.words - 1
        if not harmless(phrase.row, text, from[i], to[last]) then
          if not seen[phrase.row] then found[#found + 1] = { row = phrase.row, at = from[i] } end
          seen[phrase.row] = true
        end
        taken = last
        break
      end
    end
    i = (taken or i) + 1
  end
  return found
end

local LETTER = { ["0"] = "o", ["1"] = "i", ["3"] = "e", ["4"] = "a", ["5"] = "s", ["7"] = "t", ["@"] = "a", ["$"] = "s" }

--- Words of the list that are written with digits or signs for letters (v1agra).
-- @tparam string text folded
-- @treturn table list of `{ word =, at = octet }`
function M.disguised(text)
  if not singles then read_list() end
  local found, seen = {}, {}
  for at, word in text:gmatch "()([%w@$]+)" do
    if #word >= 3 and #word <= 24 and word:find "[%d@$]" and word:find "%a" and not seen[word] then
      local plain = word:lower():gsub("[%d@$]", LETTER)
      if singles[plain] or singles[(word:lower():gsub("1", "l"):gsub("[%d@$]", LETTER))] then
        found[#found + 1] = { word = word, at = at }
        seen[word] = true
      end
    end
  end
  return found
end

--- Does a text have one of the phrases of a kind?
-- @tparam string text folded
-- @tparam string kind of lint_phrases.tsv
-- @treturn boolean
function M.has(text, kind)
  text = text:lower():gsub("%s+", " ")
  for _, phrase in ipairs(require "directmail.data.lint_phrases"[kind]) do
    if text:find(phrase, 1, true) then return true end
  end
  return false
end

return M
