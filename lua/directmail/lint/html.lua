--- Rules for HTML: pictures, hidden text, what mail readers take out, its size, its text part.
-- @module directmail.lint.html
local characters = require "directmail.lint.mail".characters
local limits = require "directmail.data.limits"
local phrases = require "directmail.lint.phrases"

local M = {}

local LITTLE = 400              -- octets of text beside which a large picture is the message
local A_PICTURE = 100           -- octets of text a picture, where there are four of them
local SMALL = 40000             -- square pixels: a logo
local PREVIEW = 150             -- hidden characters that are a preview text

local function check_pictures(mail, report)
  local large, first, linked = 0, nil, nil
  for _, image in ipairs(mail.images) do
    local area = image.width and image.height and image.width * image.height
    local pixel = image.width and image.width <= 2 or image.height and image.height <= 2
    if not pixel and not image.hidden then
      if not image.alt then report("html.no-alt", { line = image.line, element = "img" }, image.src) end
      -- of a width alone the height is not known: of a banner it is a third
      area = area or image.width and image.width * image.width / 3
      if not area or area > SMALL then
        large, first = large + 1, first or image
        linked = linked or image.linked and image
      end
    end
  end
  local _, blanks = mail.body:gsub("%s", "")
  local octets = #mail.body - blanks
  if linked and octets < A_PICTURE then report("html.linked-image", { line = linked.line, element = "img" }) end
  if large > 0 and octets < LITTLE or large >= 4 and octets < large * A_PICTURE then
    report("html.image-heavy", { line = first.line, element = "img" }, tostring(large), tostring(octets))
  end
end

local function check_hidden(mail, report)
  local preview, other, shown = 0, 0, nil
  for _, one in ipairs(mail.hidden) do
    local n = characters(one.text)
    local painted = one.why == "font-size:0" or one.why == "colour of the ground"
    if one.first then preview = preview + n else other = other + (painted and PREVIEW + 1 or n) end
    if (preview > PREVIEW or other > PREVIEW) and not shown then shown = one end
  end
  if shown then report("html.hidden-text", { line = shown.line }, shown.why, (shown.text:gsub("%s+", " "))) end
end

-- A value of script that is data for mail programs, not a program (schema.org for mail).
local DATA = { ["application/ld+json"] = true, ["application/json"] = true }

local function check_elements(mail, report)
  for _, element in ipairs(mail.elements) do
    local name, attributes = element.name, element.attributes
    local here = { line = element.line, element = name }
    if name == "script" then
      if not DATA[(attributes.type or ""):lower()] then report("html.script", here, attributes.src or "<script>") end
    elseif name == "on" then report("html.script", here, element.attribute)
    elseif name == "form" then report("html.form", here)
    elseif name == "iframe" or name == "frame" then report("html.iframe", here, attributes.src or name)
    else report("html.object", here, attributes.data or attributes.src or name) end
  end
  for _, link in ipairs(mail.links) do
    if link.url:gsub("[%s%c]", ""):lower():find "^javascript:" or link.url:gsub("[%s%c]", ""):lower():find "^vbscript:" then
      report("html.script", { line = link.line, element = "a" }, link.url)
    end
  end
end

-- The words of a text; Chinese characters are words.
local function words_of(text)
  local words, n = {}, 0
  for word in phrases.fold(text):sub(1, limits.lint_text_octets):lower():gmatch "[%w]+" do
    if #word > 2 and not words[word] then words[word], n = true, n + 1 end
  end
  for char in text:sub(1, limits.lint_text_octets):gmatch "[\228-\233][\128-\191][\128-\191]" do
    if not words[char] then words[char], n = true, n + 1 end
  end
  return words, n
end

local function check_twin(mail, report)
  if not mail.text or not mail.text:find "%S" then return report("html.only", { line = 1 }) end
  local a, n = words_of(mail.text)
  local b, m = words_of(mail.body)
  if n < 10 or m < 10 then return end
  local both = 0
  for word in pairs(a) do
    if b[word] then both = both + 1 end
  end
  local share = math.floor(100 * both / math.min(n, m))
  if share < 50 then report("text-html.differ", { line = 1 }, tostring(share)) end
end

local function check_title(mail, report)
  local title = mail.title and phrases.fold(mail.title.text:sub(1, 1000)):match "^%s*(.*%S)"
  if not title or not mail.subject or mail.subject == "" or title:find("\239\191\188", 1, true) then return end
  local a, n = words_of(title)
  local b = words_of(mail.subject)
  for word in pairs(a) do
    if b[word] then return end
  end
  if n > 0 then report("html.title", { line = mail.title.line, element = "title" }, title) end
end

local CUT = 102400              -- octets; Gmail says "[Message clipped]" behind about 102 KB

local function check_size(mail, report)
  if #mail.html <= CUT then return end
  local where = mail.where.html or function(line) return line end
  local line = where(1 + select(2, mail.html:sub(1, CUT):gsub("\n", "")))
  report("html.size", { line = line }, tostring(math.floor(#mail.html / 1024)), tostring(line))
end

function M.check(mail, report)
  if not mail.html then return end
  check_pictures(mail, report)
  check_hidden(mail, report)
  check_elements(mail, report)
  check_title(mail, report)
  check_size(mail, report)
  if mail.has_parts then check_twin(mail, report) end
end

return M
