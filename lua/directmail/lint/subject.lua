--- Rules for the subject.
-- @module directmail.lint.subject
local phrases = require "directmail.lint.phrases"
local read = require "directmail.read"

local M = {}

local LONGEST = 1000            -- octets that are looked at

local CURRENCY = { "%$", "\226\130\172", "\194\163", "\194\165", "\239\191\165", "us%$", "usd ?", "eur ?", "rmb ?", "cny ?" }      -- $ euro pound yen

-- Amounts of four digits and more; 1,000 counts as four.
local function amount(low)
  for _, sign in ipairs(CURRENCY) do
    local found = low:match("(" .. sign .. "%s?%d[%d,.]*)")
    if found and select(2, found:gsub("%d", "")) >= 4 then return found end
  end
  local found, digits = low:match "((%d[%d,.]*)%s?\229\133\131)"         -- yuan
  if found and select(2, digits:gsub("%d", "")) >= 4 then return found end
end

-- Pictures are U+2600 to U+27BF and U+1F300 to U+1FAFF; what only changes the one before it (a colour of skin, or behind a ZWJ) is none.
local function pictures(text)
  local _, old = text:gsub("\226[\152-\158][\128-\191]", "")
  local _, new = text:gsub("\240\159[\140-\171][\128-\191]", "")
  local _, skins = text:gsub("\240\159\143[\187-\191]", "")
  local _, joined = text:gsub("\226\128\141[\226\240]", "")
  return old + new - skins - joined
end

local function answers_nothing(mail)
  if mail.headers then return not (read.field(mail.headers, "In-Reply-To") or read.field(mail.headers, "References")) end
  return not (mail.fields and (mail.fields.in_reply_to or mail.fields.references))
end

function M.check(mail, report)
  local raw = mail.subject and mail.subject:sub(1, LONGEST)
  local at = { line = mail.subject_line, element = "subject" }
  local function say(id, ...) report(id, at, ...) end
  if raw == nil then return end                 -- a file of HTML has none
  if not raw:find "[^%s%z]" then return say "subject.empty" end
  local text = phrases.fold(raw)
  local low = text:lower()

  local bare = text:gsub("^%s*%a%a?%a?:%s*", "")
  local letters, capitals = select(2, bare:gsub("%a", "")), select(2, bare:gsub("%u", ""))
  if letters >= 5 and letters == capitals and not bare:find "[\227-\233]" then say("subject.allcaps", text)
  else
    local run = 0
    for word in text:gmatch "[%w'-]+" do
      run = (#word >= 4 and word:find "^%u+$") and run + 1 or 0
      if run == 3 then
        say("subject.caps-words", word)
        break
      end
    end
  end

  local found = phrases.find(text)
  local categories = require "directmail.data.lint_categories"
  for _, one in ipairs(found) do
    local category = categories[one.row[2]]
    report("subject.trigger", { line = mail.subject_line, element = "subject", weight = one.row.weight or category.subject }, one.row[1],
      { category.label, zh = category.zh })
  end
  local _, marks = text:gsub("!", "")
  if marks >= 2 or marks == 1 and #found > 0 then say("subject.exclaim", tostring(marks)) end
  if marks > 0 and text:find("?", 1, true) then say "subject.question-exclaim" end
  if low:find "^%s*buy%f[%A]" then say "subject.buy" end
  if low:find "%f[%a]as seen%f[%A]" then say "subject.as-seen" end
  local money = text:match "^%s*(%$%s?%d[%d,.]*)"
  if money then say("subject.dollars", money) end
  money = amount(low)
  if money then say("subject.money", money) end

  local gaps = text:match "%f[%w](%a([ ._*-])%a%2%a%2%a%2%a)%f[%W]"
  if gaps then say("subject.gappy", gaps) end
  local prefix = low:match "^%s*(re)%s*:" or low:match "^%s*(fwd?)%s*:"
    or low:match "^%s*(\229\155\158\229\164\141)%s*:" or low:match "^%s*(\232\189\172\229\143\145)%s*:"
  if prefix and answers_nothing(mail) then say("subject.re-fake", prefix .. ":") end
  local _, length = mail.subject:gsub("[^\128-\191]", "")
  if length > 78 then report("subject.length", { line = mail.subject_line, element = "subject", step = length > 150 and 2 or 1 }, tostring(length)) end
  local n = pictures(raw)
  if n > 2 then say("subject.emoji", tostring(n)) end
  if mail.template and not mail.subject_has_value then say "subject.fixed" end
end

return M
