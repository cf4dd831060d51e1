--- Rules for how the text is written, and for its words.
-- @module directmail.lint.body
local phrases = require "directmail.lint.phrases"
local script = require "directmail.lint.script"

local M = {}

local LETTERS = 40              -- fewer say nothing about a habit
local MARKS_A_THOUSAND = 3

local function check_caps(mail, report)
  local _, letters = mail.body:gsub("%a", "")
  local _, capitals = mail.body:gsub("%u", "")
  if letters < LETTERS then return end
  local share = math.floor(100 * capitals / letters)
  if share > 30 then report("body.caps", { line = mail.line_at(1), step = share > 50 and 2 or 1 }, tostring(share)) end
end

local function check_marks(mail, report)
  local _, marks = mail.body:gsub("!", "")
  if marks == 0 then return end
  local count = mail.characters
  if marks > 3 and marks * 1000 > MARKS_A_THOUSAND * count then
    report("body.exclaim", { line = mail.line_at(mail.body:find("!", 1, true)) }, tostring(marks), tostring(count))
  end
  local longest, at = "", 1
  for where, run in mail.body:gmatch "()(!!+)" do
    if #run > #longest then longest, at = run, where end
  end
  if #longest >= 2 then report("body.exclaim-run", { line = mail.line_at(at), step = #longest >= 3 and 2 or 1 }, longest:sub(1, 8)) end
end

local function check_words(mail, report)
  local categories = require "directmail.data.lint_categories"
  for _, one in ipairs(phrases.find(mail.body)) do
    local category = categories[one.row[2]]
    report("body.trigger", { line = mail.line_at(one.at), weight = one.row.weight or category.body }, one.row[1], { category.label, zh = category.zh })
  end
  for _, one in ipairs(phrases.disguised(mail.body .. " " .. (mail.subject or ""))) do
    report("words.leet", { line = one.at <= #mail.body and mail.line_at(one.at) or mail.subject_line }, one.word)
  end
  local percent, at
  at, percent = mail.body:match "()(%d%d?%d?%s?%%%s?[oO][fF][fF])%f[%A]"
  if not percent then at, percent = mail.body:match "()(%d%.?%d?\230\138\152)" end       -- 5 zhe: half price
  if percent then report("words.percent-off", { line = mail.line_at(at) }, percent) end
  for _, sign in ipairs { "%$", "\226\130\172", "\194\163", "\194\165", "\239\191\165" } do
    local where, run = (mail.body .. "\n" .. (mail.subject or "")):match("()(" .. sign .. sign .. ")")
    if where and mail.body:sub(where - 2, where - 1) ~= "{{" then
      report("words.dollar-run", { line = where <= #mail.body and mail.line_at(where) or mail.subject_line }, run)
      break
    end
  end
end

-- U+200B to U+200D, U+2060 and U+FEFF between two letters; joined pictures (emoji) are no letters, and Arabic and the scripts
-- of India need some of them.
local WIDTHLESS = { "\226\128\139", "\226\128\140", "\226\128\141", "\226\129\160", "\239\187\191" }
local SIDE = "[%w\228-\233]"

local function check_letters(report, text, line)
  if not text:find "[\128-\255]" then return end
  for _, sign in ipairs(WIDTHLESS) do
    local at, left = text:match("()([%w\128-\191])" .. sign .. SIDE)
    if at then
      -- of a longer character only one of Chinese counts
      local whole = #left == 1 and left:find "%w" or text:sub(1, at):find "[\228-\233][\128-\191][\128-\191]$"
      if whole then
        report("words.zero-width", { line = line }, (text:sub(math.max(1, at - 12), at + 16):gsub(sign, "_")))
        break
      end
    end
  end
  for word in text:gmatch "[%a\195-\212][%a\128-\212]+" do
    if word:find "%a" and word:find "[\206-\212]" and #word <= 120 and script.mixed(word) then report("words.homoglyph", { line = line }, word) end
  end
end

function M.check(mail, report)
  if mail.characters == 0 and #mail.attachments == 0 and (mail.html or mail.text or mail.headers or mail.fields) then
    report("body.empty", { line = 1 })
  end
  check_caps(mail, report)
  check_marks(mail, report)
  check_words(mail, report)
  for _, piece in ipairs(mail.pieces) do
    if not piece.gap then check_letters(report, piece.text, piece.line) end
  end
  if mail.subject then check_letters(report, mail.subject, mail.subject_line) end
end

return M
