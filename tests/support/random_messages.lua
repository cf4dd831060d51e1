--- Make random messages with `directmail.message`, and say what each was meant to be.
-- Usage: LUA random_messages.lua DIR SEED COUNT
-- Writes DIR/N.eml and DIR/meant.jsonl, one object a line: what a reader must find in N.eml,
-- octets as hexadecimal digits. One seed gives the same octets in every Lua: the generator is a
-- linear congruential one (Park and Miller's) that a double holds exactly, and dates, ids and
-- boundaries come out of it too.
local directmail = require "directmail"
local cjson = require "cjson"

local where, seed, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
assert(where and seed and count, "usage: random_messages.lua DIR SEED COUNT")

-- ---- dice --------------------------------------------------------------------

local state = seed % 2147483646 + 1

local function dice(n)                  -- 1..n
  state = state * 16807 % 2147483647
  return math.floor(state / 8) % n + 1
end

for _ = 1, 20 do dice(2) end            -- small seeds begin alike

local function chance(percent) return dice(100) <= percent end
local function pick(list) return list[dice(#list)] end
local function times(least, most) return least - 1 + dice(most - least + 1) end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function octets(n)
  local out = {}
  for i = 1, n do out[i] = string.char(dice(256) - 1) end
  return table.concat(out)
end

-- ---- words -------------------------------------------------------------------

local ASCII = { "Hello", "order", "2026-11-23", "your", "invoice", "a", "I", "Re:", "x=1", "100%", "C3PO", "mail", "unsubscribe", "the",
  "end.", "well-known", "O'Neil", "R&D", "under_score", "http://x.example/?a=b&c=d", "supercalifragilisticexpialidocious" }
local LATIN = { "Grüße", "café", "naïve", "Ærøskøbing", "Ångström", "señor", "façade", "Dvořák", "İstanbul", "€", "“quoted”", "…", "№", "ß" }
local CHINESE = { "您好", "订单", "报告", "最终版", "欢迎光临", "季度", "，", "。", "（测试）", "杭州", "𠮷野家", "用户", "通知", "请查收" }
local OTHER = { "こんにちは", "안녕하세요", "Привет", "ελληνικά", "สวัสดี", "नमस्ते", "한국어" }
local RIGHT_TO_LEFT = { "שלום", "مرحبا", "עִבְרִית", "\226\128\143", "\226\128\171abc\226\128\172", "السَّلَامُ" }
local EMOJI = { "😀", "👨‍👩‍👧‍👦", "🇨🇳", "🇩🇪🇫🇷", "👍🏽", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿" }
local COMBINING = { "e\204\129", "n\204\131\204\164", "Z\204\181\204\136\204\129\204\140\205\136\205\149a", "u\204\136ber" }
-- no-break space, line separator, next line, zero-width space, a byte order mark inside, replacement character, the last character
local ODD = { "\194\160", "\226\128\168", "\194\133", "\226\128\139", "\239\187\191", "\239\191\189", "\244\143\191\191", "\227\128\128" }
-- what header syntax, encoded words and careless readers trip over
local SPECIALS = { '"', "\\", ",", ";", ":", "<", ">", "@", "(", ")", "[", "]", "=?", "?=", "=?UTF-8?Q?no=20word?=", "=?x?=", "%0d%0a",
  "'", "''", "*", "=3D", "=", "_", "?", ".", "..", "&amp;", "${x}", "\\\"", "a\"b", "(a", "b)", "<a@x.example>", "a,b", "%41", "utf-8''x" }
local CONTROLS = { "\t", "\1", "\27[31m", "\127", "\11", "\12" }

local MOODS = {
  { ASCII }, { ASCII, SPECIALS }, { CHINESE }, { CHINESE, ASCII }, { LATIN, ASCII, ASCII }, { OTHER, CHINESE }, { RIGHT_TO_LEFT, ASCII },
  { EMOJI, ASCII }, { COMBINING, LATIN }, { ODD, CHINESE, ASCII }, { SPECIALS, CHINESE, LATIN },
  { ASCII, SPECIALS, LATIN, CHINESE, OTHER, RIGHT_TO_LEFT, EMOJI, COMBINING, ODD },
}

local function characters(text)
  local n = 0
  for _ in text:gmatch "[^\128-\191]" do n = n + 1 end
  return n
end

-- The first n characters of a text.
local function cut(text, n)
  for at in text:gmatch "()[^\128-\191]" do
    if n == 0 then return text:sub(1, at - 1) end
    n = n - 1
  end
  return text
end

-- A line of about n characters without line ends; `words` are mixed into it.
local function line(n, mood, words)
  local out, have = {}, 0
  mood = mood or pick(MOODS)
  while have < n do
    local word = words and chance(5) and pick(words) or pick(pick(mood))
    out[#out + 1] = word
    have = have + characters(word)
    if chance(70) then
      local blank = chance(90) and " " or pick { "  ", "     ", (" "):rep(dice(80)) }
      out[#out + 1] = blank
      have = have + #blank
    end
  end
  return cut(table.concat(out), n)
end

local function trim(text) return text:match "^[ \t]*(.-)[ \t]*$" end

-- ---- addresses -----------------------------------------------------------------

local LOCAL = { "ann", "bob.builder", "no-reply", "a+tag", "x", "O'Neil", "!#$%&*/=?^_{|}~-", "very.long.local.part.of.an.address.with.sixty.four.octets.in.its" }
local QUOTED = { '"a b"', '"a@b"', '"quote\\"d"', '"back\\\\slash"', '"semi;colon"', '"com,ma"', '".dots."' }
local DOMAINS = { { "x.example" }, { "mail.example.com" }, { "Example.ORG" }, { "a.very.long.domain.name.with.many.labels.example.net" },
  { "bücher.example", "xn--bcher-kva.example" }, { "例え.テスト", "xn--r8jz45g.xn--zckzah" }, { "中文.example", "xn--fiq228c.example" },
  { "[192.0.2.1]" }, { "[IPv6:2001:db8::1]" } }

-- What the caller writes, and the mailbox that it is.
local function mailbox(bare)
  local domain = pick(DOMAINS)
  local part = chance(10) and pick(QUOTED) or pick(LOCAL)
  local address = part .. "@" .. (domain[2] or domain[1])
  local given = part .. "@" .. domain[1]
  if bare or chance(40) then return given, { name = "", address = address } end
  local name = trim(line(dice(chance(15) and 150 or 25)))
  if name == "" then return given, { name = "", address = address } end
  -- a word of the obsolete kind would be decoded where it stands bare, and so would runs of blanks be joined
  if not name:find '[%c"\\,;:<>@()%[%]=?.]' and not name:find "  " and chance(50) then return name .. " <" .. given .. ">", { name = name, address = address } end
  return '"' .. name:gsub('[\\"]', "\\%0") .. '" <' .. given .. ">", { name = name, address = address }
end

local function mailboxes(least, most)
  local given, meant = {}, {}
  for i = 1, times(least, most) do given[i], meant[i] = mailbox() end
  -- a list may be one text
  if #given > 0 and chance(20) then given = table.concat(given, pick { ", ", ",", " , " }) end
  return given, meant
end

-- ---- texts ---------------------------------------------------------------------

local ENDS = { "\n", "\n", "\r\n", "\r", "\r\r\n" }

local function text_line(mood, boundary)
  local kind = dice(20)
  if kind == 1 then return "." .. line(dice(30), mood) end
  if kind == 2 then return pick { ".", "..", "...", "From ", "From me to you", ">From me", "from x", "From" } end
  if kind == 3 then return line(dice(1500), mood) end
  if kind == 4 then return ("x"):rep(pick { 75, 76, 77, 78, 79, 997, 998, 999, 2000 }) end
  if kind == 5 then return line(dice(60), mood) .. pick { " ", "\t", "   ", " \t " } end
  if kind == 6 then return pick { " ", "\t", "-- ", "--", "=", "=3D", "=\t", "begin 644 x", "---" } end
  if kind == 7 then return "--" .. boundary .. pick { "", "-1", "-1--", "-2", "-9 " } end
  if kind == 8 or kind == 9 then return "" end
  if kind == 10 and chance(30) then return line(20, mood) .. pick(CONTROLS) .. line(10, mood) end
  if kind == 11 then return (pick { "é", "字", "😀", "e\204\129" }):rep(dice(120)) end
  return line(dice(90), mood)
end

-- A text as given, and with LF alone for each line end, as any reader may show it.
local function text(boundary, before, behind)
  if chance(6) then return "", "" end
  local mood = pick(MOODS)
  if chance(25) then mood = { ASCII } elseif chance(20) then mood = { CHINESE } end
  local given, meant = { before or "" }, { before or "" }
  local ends = chance(25) and ENDS or { pick(ENDS) }
  local lines = chance(10) and times(50, 300) or dice(12)
  for i = 1, lines do
    local content = text_line(mood, boundary)
    local ending = pick(ends)
    if i == lines and chance(40) then ending = "" end
    given[#given + 1] = content
    given[#given + 1] = ending
    meant[#meant + 1] = content
    meant[#meant + 1] = ending == "" and "" or ending == "\r\r\n" and "\n\n" or "\n"
    -- one line's CR and the next one's LF would be one end, not two
    if ending == "\r" then ends = { "\r", "\r\r\n" } end
  end
  given, meant = table.concat(given) .. (behind or ""), table.concat(meant) .. (behind or "")
  -- CR in front of an empty line's LF: the same
  if given:gsub("\r\n", "\n"):gsub("\r", "\n") ~= meant then meant = given:gsub("\r\n", "\n"):gsub("\r", "\n") end
  -- a byte order mark is no text; one behind it is
  if chance(3) and not before then given = "\239\187\191" .. given
  elseif meant:sub(1, 3) == "\239\187\191" and not before then meant = meant:sub(4) end
  if meant == "\n" then return "\n.", "\n." end      -- mailparser gives an empty part a line end: the two would be one
  return given, meant
end

-- ---- attachments -----------------------------------------------------------------

local TYPES = { "application/pdf", "image/png", "text/csv", "text/plain", "text/html", "application/zip", "text/csv; charset=gbk", "application/x-odd.type+json" }
local NAMES = { "invoice.pdf", "报告.csv", "季度报告 2030 (最终版).pdf", "a b.txt", 'quo"te.txt', "semi;colon.txt", "per%20cent.txt", "it's.txt",
  "noending", ".hidden", "many.dots.tar.gz", "üñï.png", "=?UTF-8?Q?word=2Etxt?=", "=?x?=", "😀.gif", "naïve's \"file\"; n=1.txt", "utf-8''a.txt",
  "עברית.doc", "a=b&c.txt", "(paren).txt", "comma,.txt", "<tag>.html", "x*0=y.txt", "e\204\129.txt", "trailing dot.", "a@b.txt", "[1].txt", "?.txt" }

local function name()
  local kind = dice(10)
  if kind == 1 then return ("很长的名字"):rep(times(5, 15)) .. ".dat" end
  if kind == 2 then return ("long"):rep(times(15, 50)) .. ".bin" end
  if kind == 3 then
    -- letters at both ends: Python's email strips what Unicode calls a blank, which a file's name may have
    return "a" .. line(times(1, 60)):gsub("[/\\]", "-") .. "z"
  end
  return pick(NAMES)
end

local files = 0

local function attachment(n, cid)
  local size = pick { 0, 1, 2, 3, 56, 57, 58, 114, dice(5000), dice(5000), dice(20000) }
  local given, meant = {}, { data = octets(size), disposition = "attachment" }
  meant.name = name()
  meant.type = pick(TYPES)
  given.type = meant.type
  if cid then
    meant.type = pick { "image/png", "image/gif", "image/svg+xml", "application/octet-stream" }
    given.type = meant.type
    meant.cid, meant.disposition = cid, "inline"
    if chance(30) then meant.name = nil end
  elseif chance(15) then                -- the ending tells the type
    local ending = pick { { ".png", "image/png" }, { ".pdf", "application/pdf" }, { ".nonsense", "application/octet-stream" }, { ".CSV", "text/csv" } }
    meant.name = meant.name .. ending[1]
    given.type, meant.type = nil, ending[2]
  end
  given.name, given.cid = meant.name, meant.cid
  if meant.name and chance(10) then given.name = pick { "../../", "C:\\x\\", "a/b/" } .. meant.name end
  local way, all = dice(3), meant.data
  if way == 1 then
    given.data = all
  elseif way == 2 then
    files = files + 1
    given.path = where .. "/file" .. files
    local file = assert(io.open(given.path, "wb"))
    file:write(all)
    file:close()
    if not given.name then given.name = "unnamed"; meant.name = "unnamed" end
  else
    local at = 1
    given.size = size
    given.read = function(max)
      if at > size then return nil end
      local bytes = all:sub(at, at + math.min(max, 1 + (n * 977) % 4096) - 1)
      at = at + #bytes
      return bytes
    end
  end
  meant.type = meant.type:match "^[^;]*"
  meant.data = hex(all)
  return given, meant
end

-- A mail passed on: not base64, whatever octets it has.
local function forwarded(last)
  local eml = last
  if not eml or chance(50) then
    eml = "From: a@x.example\r\nSubject: old\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
      .. ".a line with a dot\r\n" .. pick { "plain\r\n", "8 bits: größe 您好\r\n", "From the start\r\n", "--=_1-1\r\n" }
  end
  local given = { name = pick { "forwarded.eml", "转发.eml" }, type = "message/rfc822" }
  given.data = chance(50) and eml or (eml:gsub("\r\n", "\n"))
  return given, { name = given.name, type = given.type, disposition = "attachment", data = hex(eml) }
end

local function event()
  return table.concat({ "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//directmail//EN", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:" .. dice(1000000) .. "@x.example",
    "DTSTART:20261123T120000Z", "SUMMARY:" .. line(40, { CHINESE, LATIN, ASCII }), "END:VEVENT", "END:VCALENDAR", "" }, "\r\n")
end

-- ---- structure ---------------------------------------------------------------------

-- The tree that the parts make, simplest alternative first (RFC 2046, 5.1.4).
local function tree(m)
  local function of(type, list) return #list == 1 and list[1] or "multipart/" .. type .. "(" .. table.concat(list, " ") .. ")" end
  local words, html, files_ = {}, {}, {}
  if m.text then words[1] = "text/plain" end
  if m.html then
    html[1] = "text/html"
    for _, a in ipairs(m.attachments) do if a.cid then html[#html + 1] = a.type end end
    words[#words + 1] = of("related", html)
  end
  if m.calendar then words[#words + 1] = "text/calendar" end
  if #words > 0 then files_[1] = of("alternative", words) end
  for _, a in ipairs(m.attachments) do
    if not (a.cid and m.html) then files_[#files_ + 1] = a.type end
  end
  return of("mixed", files_)
end

-- ---- messages ------------------------------------------------------------------------

local function id() return ("<%d.%s@%s>"):format(dice(1000000), pick { "a", "x_y", "0123456789abcdef", "k$w" }, pick { "x.example", "mail.example.com" }) end

local function ids(most)
  local list = {}
  for i = 1, dice(most) do list[i] = id() end
  return list
end

local HEADERS = { "X-Campaign", "X-Mailer", "Organization", "Keywords", "Comments", "X-A", "x-lower-case", "X-Odd_Name.1", "Auto-Submitted" }

local function headers()
  local given, meant = {}, {}
  for i = 1, dice(4) do
    local value = line(dice(chance(10) and 600 or 60), nil, CONTROLS)
    if not value:find "[^ -~]" and value:find(("[^ ]"):rep(70)) then value = "short" end
    given[i] = { pick(HEADERS), value }
    meant[i] = { given[i][1], trim(value) }
  end
  return given, meant
end

local function message(last)
  local fields, m = { allow_placeholders = true, headers = {} }, { attachments = {}, headers = {} }
  local order = { "From" }
  m.from = {}
  fields.from, m.from[1] = mailbox()
  fields.to, m.to = mailboxes(0, chance(20) and 30 or 3)
  if chance(25) then fields.cc, m.cc = mailboxes(0, chance(20) and 30 or 3) end
  if #m.to + #(m.cc or {}) == 0 or chance(10) then fields.bcc = "hidden@secret.example" end
  if #m.to > 0 or #(m.cc or {}) == 0 then order[#order + 1] = "To" end
  if m.cc and #m.cc > 0 then order[#order + 1] = "Cc" end
  if chance(25) then
    fields.reply_to, m.reply_to = mailboxes(1, 3)
    order[#order + 1] = "Reply-To"
  end
  local subject = line(chance(10) and dice(300) or dice(70) - 1, nil, CONTROLS)
  fields.subject, m.subject = subject, trim(subject)
  order[#order + 1] = "Subject"
  m.date = dice(2000000000)
  fields.date = m.date
  order[#order + 1] = "Date"
  m.message_id = id()
  fields.message_id = m.message_id
  order[#order + 1] = "Message-ID"
  if chance(30) then
    m.in_reply_to = id()
    fields.in_reply_to = m.in_reply_to
    order[#order + 1] = "In-Reply-To"
  end
  if chance(30) then
    m.references = ids(40)
    fields.references = m.references
    order[#order + 1] = "References"
  end
  if chance(20) then
    fields.priority = pick { "high", "normal", "low" }
    m.priority = fields.priority
    order[#order + 1] = "X-Priority"
    order[#order + 1] = "Importance"
  end
  if chance(25) then
    local urls = { "https://x.example/u?t=" .. ("a1b2"):rep(dice(60)) }
    if chance(50) then urls[2] = "mailto:leave@x.example?subject=leave%20" .. dice(100000) end
    fields.unsubscribe = urls
    m.unsubscribe = urls
    order[#order + 1] = "List-Unsubscribe"
    order[#order + 1] = "List-Unsubscribe-Post"
  end
  if chance(15) then
    fields.tag = "tag_" .. dice(1000)
    m.tag = fields.tag
    order[#order + 1] = "X-AliDM-Trace"
  end
  if fields.unsubscribe then order[#order + 1] = "X-AliDM-Settings" end
  if chance(40) then
    fields.headers, m.headers = headers()
    for _, pair in ipairs(m.headers) do order[#order + 1] = pair[1] end
  end
  order[#order + 1] = "MIME-Version"

  local boundary = "=_" .. dice(1000000)
  fields.boundary = boundary
  local kind = dice(10)
  if kind <= 7 then fields.text, m.text = text(boundary) end
  local given = {}
  if kind >= 5 and kind <= 9 then
    local images = ""
    for i = 1, chance(40) and dice(3) or 0 do
      local cid = pick { "logo", "img" .. i .. "@x.example", "a+b=c", "1" } .. i
      images = images .. ('<img src="cid:%s">'):format(cid)
      given[i], m.attachments[i] = attachment(i, cid)
    end
    fields.html, m.html = text(boundary, "<!DOCTYPE html>\n<p>", images .. "</p>")
  end
  if chance(10) then
    fields.calendar = { data = event(), method = "REQUEST" }
    m.calendar = { data = fields.calendar.data:gsub("\r\n", "\n"), method = "REQUEST" }
  end
  for _ = 1, chance(35) and dice(5) or 0 do
    local n = #given + 1
    if chance(15) then given[n], m.attachments[n] = forwarded(last)
    else given[n], m.attachments[n] = attachment(n, not m.html and chance(10) and "alone" .. n or nil) end
  end
  if #given > 0 then fields.attachments = given end
  if not (m.text or m.html or m.calendar) and #given == 0 then m.text = "" end
  m.structure = tree(m)
  m.order = order
  -- related parts come before the others of their mail, in whatever order they were given
  local inline, others = {}, {}
  for _, a in ipairs(m.attachments) do
    local to = a.cid and m.html and inline or others
    to[#to + 1] = a
  end
  for _, a in ipairs(others) do inline[#inline + 1] = a end
  m.attachments = inline
  return fields, m
end

local list = assert(io.open(where .. "/meant.jsonl", "wb"))
local last
for n = 1, count do
  local fields, m = message(last)
  local built, e = directmail.message(fields)
  if not built then error(("message %d of seed %d was refused: %s"):format(n, seed, tostring(e)), 0) end
  local bytes
  bytes, e = built:bytes()
  if not bytes then error(("message %d of seed %d cannot be read: %s"):format(n, seed, tostring(e)), 0) end
  if built:size() ~= #bytes then error(("message %d of seed %d: %d octets, %d were foretold"):format(n, seed, #bytes, built:size()), 0) end
  local file = assert(io.open(where .. "/" .. n .. ".eml", "wb"))
  file:write(bytes)
  file:close()
  m.n = n
  list:write(cjson.encode(m), "\n")
  if #bytes < 20000 then last = bytes end
end
list:close()
