--- The text twin of a mail's HTML: what a reader without HTML, a screen reader or a spam filter gets.
--
--     local twin = require "directmail.twin"
--     print(twin.text "<h1>Hi Ann</h1><p>Your order <a href='https://example.com/1204'>1204</a> is on its way.</p>")
--
-- Paragraphs are wrapped, tables come row by row, and what the HTML hides (a preheader, say) stays out.
-- @module directmail.twin
local option = require "directmail.option"

local M = {}

local WIDTH = 78                        -- columns: RFC 5322, 2.1.1
local NARROWEST = 20                    -- columns that a quotation in a quotation still has
local LEVELS = 12                       -- quotations and lists inside each other that are still moved to the right
local SPAN = 100                        -- columns that one cell goes over
local CHARACTER = "[\1-\127\194-\244][\128-\191]*"
local BREAK = "\1"                      -- stands for <br> until lines are made; texts have no control characters
local NBSP, ZWNJ = "\194\160", "\226\128\140"

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

-- Elements that a reader does not see.
local UNSEEN = set "head style script template title meta link base object embed audio video canvas svg math iframe map select datalist textarea input noframes"
-- Those that begin and end a line, and those that have a blank line around them as well.
local BLOCK = set [[address li article aside body center dd details dialog dir div dl dt fieldset figcaption figure footer form header html legend main nav
  optgroup option section summary caption]]
local SPACED = set "blockquote figure h1 h2 h3 h4 h5 h6 p dl"
local UNDERLINE = { h1 = "=", h2 = "-" }

-- The patterns of this file take time that grows with the text alone: "%s+$" would try a run of blanks from each of its places.
local function right_trim(text)
  local last = text:find "[^ \t\r\n\f][ \t\r\n\f]*$"
  return last and text:sub(1, last) or ""
end

-- ---- width -------------------------------------------------------------------------

local function code_of(char)
  local a, b, c, d = char:byte(1, 4)
  if d then return (a - 240) * 262144 + (b - 128) * 4096 + (c - 128) * 64 + d - 128 end
  if c then return (a - 224) * 4096 + (b - 128) * 64 + c - 128 end
  return b and (a - 192) * 64 + b - 128 or a
end

-- Unicode's East_Asian_Width W and F (UAX #11) and its marks without width, in rough: first, last, columns. A line may break beside those
-- with `true`; Hangul is as wide, and has spaces.
local RANGES = {
  { 0xAD, 0xAD, 0 }, { 0x300, 0x36F, 0 }, { 0x591, 0x5BD, 0 }, { 0x610, 0x61A, 0 }, { 0x64B, 0x65F, 0 }, { 0xE31, 0xE31, 0 }, { 0xE34, 0xE3A, 0 },
  { 0xE47, 0xE4E, 0 }, { 0x1100, 0x115F, 2 }, { 0x200B, 0x200F, 0 }, { 0x202A, 0x202E, 0 }, { 0x2060, 0x2064, 0 }, { 0x20D0, 0x20FF, 0 },
  { 0x2E80, 0xA4CF, 2, true }, { 0xAC00, 0xD7A3, 2 }, { 0xF900, 0xFAFF, 2, true }, { 0xFE00, 0xFE0F, 0 }, { 0xFE20, 0xFE2F, 0 },
  { 0xFE30, 0xFE6F, 2, true }, { 0xFEFF, 0xFEFF, 0 }, { 0xFF00, 0xFF60, 2, true }, { 0xFFE0, 0xFFE6, 2, true }, { 0x1F300, 0x1F64F, 2 },
  { 0x1F680, 0x1F6FF, 2 }, { 0x1F900, 0x1F9FF, 2 }, { 0x1FA70, 0x1FAFF, 2 }, { 0x20000, 0x3FFFD, 2, true },
}

-- Columns of a character; may a line break beside it?
local function measure(char)
  if #char == 1 then return 1 end
  local code, low, high = code_of(char), 1, #RANGES
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local range = RANGES[middle]
    if code < range[1] then high = middle - 1
    elseif code > range[2] then low = middle + 1
    else return range[3], range[4]
    end
  end
  return 1
end

local function width_of(text)
  if not text:find "[\194-\244]" then return #text end
  local n = 0
  for char in text:gmatch(CHARACTER) do n = n + measure(char) end
  return n
end

-- ---- lines -------------------------------------------------------------------------

-- No line begins with one of the first and none ends with one of the second (UAX #14 CL, EX, NS; OP).
local NO_START = set [[. , ! ? : ; ) ] } % ' " 、 。 ， ． ！ ？ ： ； ） 」 』 】 》 〉 〕 ］ ｝ ” ’ … ‥ ー 々 ・ ％ ～ ゝ ゞ ぁ ぃ ぅ ぇ ぉ っ ゃ ゅ ょ ァ ィ ゥ ェ ォ ッ ャ ュ ョ]]
local NO_END = set [=[( [ { " ' （ 「 『 【 《 〈 〔 ［ ｛ “ ‘ ¥ $]=]

-- The pieces of a word that a line may break between: one, but for Chinese and Japanese.
local function pieces_of(word)
  if not word:find "[\226-\244]" or word:find "^<?%a[%w+.-]*:" then return { word } end     -- an address stays whole
  local out, from, last, last_free = {}, 1, nil, nil
  for at, char in word:gmatch("()(" .. CHARACTER .. ")") do
    local _, free = measure(char)
    if last and (free or last_free) and not NO_START[char] and not NO_END[last] then
      out[#out + 1] = word:sub(from, at - 1)
      from = at
    end
    last, last_free = char, free
  end
  out[#out + 1] = word:sub(from)
  return out
end

-- Add a text to `lines`, wrapped.
local function wrap(text, width, lines)
  for hard in (text .. BREAK):gmatch("(.-)" .. BREAK) do
    local line, used = {}, 0
    for word in hard:gmatch "[^ \t\r\n\f]+" do
      for i, piece in ipairs(pieces_of(word)) do
        local space = i == 1 and used > 0 and 1 or 0
        local wide = width_of(piece)
        if used > 0 and used + space + wide > width then
          lines[#lines + 1] = table.concat(line)
          line, used, space = {}, 0, 0
        end
        if space == 1 then line[#line + 1] = " " end
        line[#line + 1] = piece
        used = used + space + wide
      end
    end
    lines[#lines + 1] = table.concat(line)
  end
end

-- ---- boxes -------------------------------------------------------------------------

-- A box gathers lines; `inline` is the paragraph that grows, `gap`: a blank line comes before the next one, `ended`: paragraphs so far.
local function new_box(width, level)
  return { width = math.max(width, NARROWEST), level = level, lines = {}, inline = {}, gap = false, spaced = false, ended = 0 }
end

local function put(box, line)
  if box.gap and #box.lines > 0 then box.lines[#box.lines + 1] = "" end
  box.gap = false
  box.lines[#box.lines + 1] = line
end

local function blank(text) return not text:gsub(NBSP, " "):gsub(ZWNJ, ""):find "[^ \t\r\n\f\1]" end

-- End the paragraph.
local function flush(box)
  if #box.inline == 0 then return end
  local text, lines = table.concat(box.inline), {}
  box.inline, box.ended = {}, box.ended + 1
  if blank(text) then return end
  -- what fills up the preview line of a mailbox: blanks and marks that join nothing
  text = text:gsub("()" .. ZWNJ .. "()", function(from, after)
    local before, behind = text:sub(math.max(1, from - 2), from - 1), text:sub(after, after + 1)
    if before == "" or before == NBSP or before:find "%s$" or behind == "" or behind == NBSP or behind:find "^%s" then return "" end
  end)
  if box.pre then
    for line in (text:gsub("\r\n?", "\n"):gsub(BREAK, "\n") .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  else
    wrap(text, box.width, lines)
  end
  while blank(lines[#lines]) do lines[#lines] = nil end
  local first = 1
  while blank(lines[first]) do first = first + 1 end
  for i = first, #lines do put(box, lines[i]) end
end

local function space(box)
  flush(box)
  box.gap, box.spaced = true, true
end

-- The lines of `inner`, with something before the first and before each other.
local function nest(box, inner, first, rest)
  flush(inner)
  for i, line in ipairs(inner.lines) do
    put(box, ((i == 1 and first or rest) .. line))
  end
end

-- ---- what is hidden -----------------------------------------------------------------

local function without_comments(css)
  local out, at = {}, 1
  while true do
    local from = css:find("/*", at, true)
    out[#out + 1] = css:sub(at, (from or 0) - 1)
    local _, to = css:find("*/", from and from + 2 or #css, true)
    if not from or not to then return table.concat(out) end
    at = to + 1
  end
end

-- Declarations that take an element from sight; font-size:0 is no such one: designs undo it in the elements inside.
local function hides(style)
  style = ";" .. without_comments(style):lower():gsub("%s+", "") .. ";"
  return style:find ";display:none" or style:find ";visibility:hidden" or style:find ";opacity:0%.?0*[;!]" or style:find ";max%-height:0[%a%%]*[;!]"
end

-- The selectors of a style sheet that hide always, one tag, class or id each: { ["p.pre"] = true, [".pre"] = true, ["#top"] = true }.
local function read_sheet(css, hidden)
  css = without_comments(css):gsub("<!%-%-", ""):gsub("%-%->", "")
  local at, depth, selectors, body = 1, 0, nil, nil
  for from, sign in css:gmatch "()([{};])" do
    local text = css:sub(at, from - 1)
    at = from + 1
    if sign == "{" then
      depth = depth + 1
      if depth == 1 then selectors, body = text, at end                   -- what is deeper stands in an @media, for some screens only
    elseif sign == "}" then
      if depth == 1 and not selectors:find "^%s*@" and hides(css:sub(body, from - 1)) then
        for one in selectors:gmatch "[^,]+" do
          local name = one:match "^%s*(%w*[.#]?[%w_-]*)%s*$"
          if name then hidden[name] = true end
        end
      end
      depth = math.max(0, depth - 1)
    end
  end
end

local function is_hidden(s, e)
  local a = e.attributes
  if a.hidden or a.style and hides(a.style) then return true end
  if not next(s.hidden) then return false end
  if s.hidden[e.name] or a.id and (s.hidden["#" .. a.id] or s.hidden[e.name .. "#" .. a.id]) then return true end
  for class in (a.class or ""):gmatch "%S+" do
    if s.hidden["." .. class] or s.hidden[e.name .. "." .. class] then return true end
  end
  return false
end

-- ---- elements ------------------------------------------------------------------------

local element                           -- function(s, box, e): everything up to e's close

local function skip(s)
  local depth = 1
  while depth > 0 do
    local e = s.events[s.i]
    s.i = s.i + 1
    if e.kind == "open" then depth = depth + 1 elseif e.kind == "close" then depth = depth - 1 end
  end
end

-- What a text shows: no control characters, and none of the marks that fill up a preheader or say where a word may break.
local function shown(text)
  return (text:gsub("[%z\1-\8\11\14-\31\127]", ""):gsub("\194\173", ""):gsub("\226\128\139", ""):gsub("\205\143", ""):gsub("\239\187\191", "")
    :gsub("\226\129\160", ""))
end

local function children(s, box)
  while true do
    local e = s.events[s.i]
    if not e then return end
    s.i = s.i + 1
    if e.kind == "close" then return end
    if e.kind == "open" then element(s, box, e)
    elseif e.kind == "text" then box.inline[#box.inline + 1] = shown(e.text)
    end
  end
end

-- Where a link leads, when that is worth telling.
local function target_of(href)
  href = shown(href or ""):gsub("%s+", "")
  local scheme = href:lower():match "^(%a[%w+.-]*):"
  if scheme == "http" or scheme == "https" or href:find "^{" then return href end
  if scheme == "mailto" then return (href:sub(8):gsub("%?.*", "")) end
  if scheme == "tel" or scheme == "sms" then return href:match ":(.*)" end
end

-- Does the text say the address already?
local function says(text, target)
  local function bare(t) return (t:lower():gsub("^https?://", ""):gsub("^www%.", ""):gsub("/$", ""):gsub("[%s()]", "")) end
  return bare(text) == bare(target) or target:find "^%+?%d+$" and text:gsub("%D", "") == target:gsub("%D", "")
end

local function link(s, box, e)
  local target = target_of(e.attributes.href)
  local first, ended = #box.inline + 1, box.ended
  children(s, box)
  if not target or target == "" or s.links == "none" then return end
  local blocks = box.ended ~= ended
  if blocks then
    flush(box)
    first = 1
  end
  local text = table.concat(box.inline, "", first):gsub(NBSP, " "):gsub(BREAK, " "):gsub("^%s+", "")
  text = right_trim(text)
  if says(text, target) then
    if target:find "^%+?%d+$" then return end   -- a number reads better as it was written
    for i = #box.inline, first, -1 do box.inline[i] = nil end
    box.inline[first] = " " .. target .. (s.events[s.i] and s.events[s.i].kind == "text" and "" or " ")
    if first > 1 and not box.inline[first - 1]:find "%s$" or first == 1 then box.inline[first] = box.inline[first]:sub(2) end
    return
  end
  local note
  if s.links == "notes" then
    if not s.notes[target] then
      s.notes[#s.notes + 1] = target
      s.notes[target] = #s.notes
    end
    note = "[" .. s.notes[target] .. "]"
  else
    note = "<" .. target .. ">"
  end
  -- blanks at the link's end belong behind its address
  local last = box.inline[#box.inline]
  local tail = ""
  if #box.inline >= first then
    box.inline[#box.inline] = right_trim(last)
    if box.inline[#box.inline] ~= last then tail = " " end
  end
  box.inline[#box.inline + 1] = (text == "" and "" or " ") .. note .. tail
  if blocks then flush(box) end
end

local function heading(s, box, e)
  space(box)
  local inner = new_box(box.width, box.level)
  children(s, inner)
  flush(inner)
  local mark, wide = UNDERLINE[e.name], 0
  for _, line in ipairs(inner.lines) do
    put(box, line)
    wide = math.max(wide, width_of(line))
  end
  if mark and wide > 0 then put(box, mark:rep(math.min(wide, box.width))) end
  space(box)
end

-- A whole number, kept within what anybody writes (5.1's tonumber knows "nan").
local function number(text)
  local n = tonumber((text or ""):match "^%s*(%-?%d+)")
  return n and math.floor(math.max(-99999, math.min(n, 99999)))
end

local function list(s, box, e)
  local outer = box.list
  if outer then flush(box) else space(box) end
  box.list = { ordered = e.name == "ol", n = (number(e.attributes.start) or 1) - 1 }
  children(s, box)
  box.list = outer
  if outer then flush(box) else space(box) end
end

local function item(s, box, e)
  flush(box)
  local owner = box.list
  local bullet = "- "
  if owner and owner.ordered then
    owner.n = number(e.attributes.value) or owner.n + 1
    bullet = ("%d. "):format(owner.n)
  end
  local inner = new_box(box.width - #bullet, box.level + 1)
  inner.list = {}                       -- a list in it needs no blank lines
  children(s, inner)
  nest(box, inner, bullet, (" "):rep(#bullet))
end

local function quotation(s, box)
  space(box)
  local inner = new_box(box.width - 2, box.level + 1)
  children(s, inner)
  nest(box, inner, "> ", "> ")
  space(box)
end

local function preformatted(s, box)
  space(box)
  local inner = new_box(box.width, box.level)
  inner.pre = true
  children(s, inner)
  nest(box, inner, "", "")
  space(box)
end

-- ---- tables --------------------------------------------------------------------------

-- One cell: its lines, and whether it holds paragraphs.
local function cell(s, box, e)
  local inner = new_box(box.width, box.level)
  children(s, inner)
  flush(inner)
  local span = math.max(1, math.min(number(e.attributes.colspan) or 1, SPAN))
  return { lines = inner.lines, spaced = inner.spaced, span = span, head = e.name == "th" }
end

-- The rows of a table, wherever in it they stand; captions go before them.
local function rows_of(s, box, rows, row)
  while true do
    local e = s.events[s.i]
    if not e then return end
    s.i = s.i + 1
    if e.kind == "close" then return end
    if e.kind == "open" then
      if UNSEEN[e.name] or is_hidden(s, e) then
        skip(s)
      elseif e.name == "tr" then
        rows[#rows + 1] = {}
        rows_of(s, box, rows, rows[#rows])
      elseif (e.name == "td" or e.name == "th") and row then
        row[#row + 1] = cell(s, box, e)
      elseif e.name == "caption" then
        children(s, box)
        flush(box)
      else
        rows_of(s, box, rows, row)
      end
    end
  end
end

-- One line of a row, its cells in their columns; empty columns take no room.
local function aligned(row, wide)
  local out, column, missing = {}, 1, 0
  for _, one in ipairs(row) do
    local text = one.lines[1] or ""
    local room = 0
    for k = column, column + one.span - 1 do
      if (wide[k] or 0) > 0 then room = room + wide[k] + (room > 0 and 2 or 0) end
    end
    column = column + one.span
    if room > 0 or text ~= "" then
      if #out > 0 then out[#out + 1] = (" "):rep(missing + 2) end
      out[#out + 1] = text
      missing = math.max(0, room - width_of(text))
    end
  end
  return right_trim(table.concat(out))
end

-- The widths of columns when each cell is one line and a row fits; else nil.
local function columns_of(rows, width)
  local wide, several = {}, false
  for _, row in ipairs(rows) do
    local column = 1
    for _, one in ipairs(row) do
      if #one.lines > 1 then return nil end
      if one.span == 1 then wide[column] = math.max(wide[column] or 0, width_of(one.lines[1] or "")) end
      column = column + one.span
    end
    several = several or column > 2
  end
  if not several then return nil end
  for _, row in ipairs(rows) do
    if width_of(aligned(row, wide)) > width then return nil end
  end
  return wide
end

local function all_heads(row)
  for _, one in ipairs(row) do
    if not one.head then return false end
  end
  return #row > 0
end

local function draw(box, rows)
  local wide = columns_of(rows, box.width)
  if wide then space(box) end
  for i, row in ipairs(rows) do
    local flat, texts = not wide, {}
    for _, one in ipairs(row) do
      flat = flat and #one.lines <= 1 and not one.spaced
      if one.lines[1] then texts[#texts + 1] = one.lines[1] end
    end
    local line = wide and aligned(row, wide) or table.concat(texts, " | ")
    if wide and line ~= "" or flat and width_of(line) <= box.width then
      if line ~= "" then put(box, line) end
      if wide and i == 1 and #rows > 1 and line ~= "" and all_heads(row) then put(box, ("-"):rep(width_of(line))) end
    elseif not wide then
      for _, one in ipairs(row) do
        if one.spaced or #one.lines > 1 then space(box) end
        for _, text in ipairs(one.lines) do put(box, text) end
        if one.spaced or #one.lines > 1 then space(box) end
      end
    end
  end
  if wide then space(box) end
end

local function whole_table(s, box)
  flush(box)
  local rows, inner = {}, new_box(box.width, box.level)
  rows_of(s, inner, rows)
  draw(inner, rows)
  if #inner.lines == 0 then return end
  if inner.spaced then space(box) end
  for _, line in ipairs(inner.lines) do put(box, line) end
  if inner.spaced then space(box) end
end

-- ---- all of them -----------------------------------------------------------------------

local function image(s, box, e)
  local alt = shown(e.attributes.alt or ""):gsub("%s+", " ")
  if alt ~= "" and alt ~= " " then box.inline[#box.inline + 1] = alt end
  skip(s)
end

local function line_break(s, box)
  box.inline[#box.inline + 1] = BREAK
  skip(s)
end

local function rule(s, box)
  space(box)
  put(box, ("-"):rep(math.min(box.width, 40)))
  space(box)
  skip(s)
end

local function quoted(s, box)
  box.inline[#box.inline + 1] = '"'
  children(s, box)
  box.inline[#box.inline + 1] = '"'
end

local function definition(s, box)
  flush(box)
  local inner = new_box(box.width - 2, box.level + 1)
  children(s, inner)
  nest(box, inner, "  ", "  ")
end

local ELEMENTS = {
  a = link, img = image, br = line_break, hr = rule, q = quoted, ul = list, ol = list, menu = list, li = item, blockquote = quotation,
  pre = preformatted, listing = preformatted, xmp = preformatted, plaintext = preformatted, table = whole_table, dd = definition,
  h1 = heading, h2 = heading, h3 = heading, h4 = heading, h5 = heading, h6 = heading,
}

local INDENTED = { li = true, blockquote = true, dd = true }

function element(s, box, e)
  if UNSEEN[e.name] or is_hidden(s, e) then return skip(s) end
  local special = ELEMENTS[e.name]
  if box.level >= LEVELS and INDENTED[e.name] then special = nil end
  if special then return special(s, box, e) end
  local around = SPACED[e.name] and space or BLOCK[e.name] and flush
  if around then around(box) end
  children(s, box)
  if around then around(box) end
end

local OPTIONS = { "width", "links" }
local LINKS = { inline = true, notes = true, none = true }

--- The text of HTML.
-- @tparam string html a document or a fragment, UTF-8
-- @tparam[opt] table options `width`: columns, default 78, of which East Asian characters take two; `links`: "inline" (the default:
--   `text <https://…>`), "notes" (`text [1]`, the addresses at the end) or "none"
-- @treturn string lines with LF, the last one too; "" when the HTML shows nothing
-- @treturn string when nil comes first: why the HTML cannot be read
function M.text(html, options)
  if type(html) ~= "string" then error("bad argument #1 to directmail.twin.text (string expected)", 2) end
  if options ~= nil then option.check(options, OPTIONS, "directmail.twin.text", 2) end
  local width, links = options and options.width or WIDTH, options and options.links or "inline"
  if type(width) ~= "number" or width < NARROWEST or width ~= math.floor(width) then
    error(("option width of directmail.twin.text must be a whole number from %d on"):format(NARROWEST), 2)
  end
  if not LINKS[links] then error('option links of directmail.twin.text must be "inline", "notes" or "none"', 2) end
  local events, why = require "directmail.html".events(html)
  if not events then return nil, why end
  local s = { events = events, i = 1, links = links, notes = {}, hidden = {} }
  for i, e in ipairs(events) do
    if e.kind == "open" and e.name == "style" and not e.attributes.media and events[i + 1].kind == "text" then read_sheet(events[i + 1].text, s.hidden) end
  end
  local box = new_box(width, 0)
  while s.events[s.i] do children(s, box) end
  flush(box)
  if #s.notes > 0 then
    space(box)
    for n, target in ipairs(s.notes) do put(box, ("[%d] %s"):format(n, target)) end
  end
  for i, line in ipairs(box.lines) do
    box.lines[i] = right_trim((line:gsub(NBSP, " ")))
  end
  if #box.lines == 0 then return "" end
  return table.concat(box.lines, "\n") .. "\n"
end

return M
