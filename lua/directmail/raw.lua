--- A message that is finished already (`raw`, an .eml file, what sendmail gets): its head read and mended.
-- Bcc goes, Date and Message-ID come when they are missing; the rest stays octet for octet
-- but for its line ends, which the core repairs.
-- @module directmail.raw
local core = require "directmail.core"
local err = require "directmail.err"

local M = {}

local MAX_LINES = 50000         -- of a head: one without end must not become a million tables

local function set(...)
  local of = {}
  for _, name in ipairs { ... } do of[name] = true end
  return of
end

local HIDDEN = set("bcc", "resent-bcc")
local TO, RESENT_TO = set("to", "cc", "bcc"), set("resent-to", "resent-cc", "resent-bcc")

-- Fields that may stand once (RFC 5322, 3.6). Two lists of addresses are made one, since PHP programs that hand To to mail()
-- and write it among the headers too are many, and Gmail refuses what comes of it; of two subjects nobody knows which is meant.
local JOINED = set("to", "cc")
local ONCE = set("from", "sender", "reply-to", "message-id", "in-reply-to", "references", "subject", "date")

local function refuse(cause, remedy)
  return err.refuse("HEADER", "raw", "raw: " .. cause, remedy, "content")
end

-- The line at `at`, and where the next one begins: CRLF, LF and CR end one.
local function line_at(text, at)
  local stop = text:find("[\r\n]", at)
  if not stop then return text:sub(at), #text + 1 end
  local after = text:sub(stop, stop + 1) == "\r\n" and stop + 2 or stop + 1
  return text:sub(at, stop - 1), after
end

-- The value of a field, unfolded.
local function unfold(field)
  local parts = {}
  for i, line in ipairs(field.lines) do
    if i == 1 then line = line:match ":(.*)$" end
    parts[i] = line:match "^[ \t]*(.-)[ \t]*$"
  end
  return (table.concat(parts, " "):match "^%s*(.-)%s*$")
end

-- The second To or Cc as folded lines of the first.
local function join(first, second)
  local more = unfold(second)
  if more == "" then return end
  if unfold(first) ~= "" then
    local last = #first.lines
    first.lines[last] = first.lines[last]:gsub("[,%s]*$", "") .. ","
  end
  second.lines[1] = " " .. second.lines[1]:match ":[ \t]*(.*)$"
  for i, line in ipairs(second.lines) do
    -- a line of blanks alone would end the head for some readers
    if line:find "[^ \t]" then
      first.lines[#first.lines + 1] = line
      first.numbers[#first.numbers + 1] = second.numbers[i]
    end
  end
end

-- Fields that stand twice, made one or refused.
local function check_once(fields)
  local kept, seen = {}, {}
  for _, field in ipairs(fields) do
    local first = seen[field.key]
    if first and ONCE[field.key] then
      return refuse(("%s stands twice, in lines %d and %d"):format(field.name, first.numbers[1], field.numbers[1]), "leave one of them away")
    end
    if first and JOINED[field.key] then
      join(first, field)
    else
      kept[#kept + 1] = field
      seen[field.key] = field
    end
  end
  return kept
end

-- Fields that tell a head from a text such as "Warning: the disk is full".
local USUAL = set("from", "to", "cc", "bcc", "subject", "date", "sender", "reply-to", "message-id", "mime-version", "received", "return-path")

local function is_head(fields)
  for _, field in ipairs(fields) do
    if USUAL[field.key] or field.key:find "^x%-" or field.key:find "^content%-" or field.key:find "^list%-" or field.key:find "^resent%-" then return true end
  end
  return false
end

--- Read the head of a message.
-- A first line `From ann@example.com Mon Nov 23 …` (or `>From …`) of a mailbox file is passed over.
-- @tparam string text the whole message
-- @tparam[opt] boolean loose a text that does not begin with the fields of a message is all body, as sendmail takes it
-- @treturn table `{ fields={ {name=, key=in lower case, lines={…}, numbers={…}} … }, body=text behind the empty line,
--   count=lines before the body }`, or nil, err
function M.read(text, loose)
  local fields, at, number, last = {}, 1, 0, nil
  local first, passed = 1, 0            -- where the head begins, and the lines before it
  while at <= #text do
    local line, after = line_at(text, at)
    number = number + 1
    if number > MAX_LINES then return refuse(("the head has more than %d lines"):format(MAX_LINES), "an empty line ends the head") end
    if line == "" then
      -- read as an empty line it would turn the rest of the head, Bcc too, into text for everybody
      if text:sub(at - 1, at + 1) == "\r\r\n" then
        return refuse(("line %d ends in CR CR LF, which is no line end"):format(number - 1), "write the message with LF or CRLF behind each line")
      end
      at = after
      break
    end
    local name = line:match "^([!-9;-~]+)[ \t]*:"
    if last and line:find "^[ \t]" then
      last.lines[#last.lines + 1] = line
      last.numbers[#last.numbers + 1] = number
    elseif name then
      last = { name = name, key = name:lower(), lines = { line }, numbers = { number } }
      fields[#fields + 1] = last
    elseif number == 1 and line:find "^>?From " then
      first, passed = after, 1
    elseif loose and not is_head(fields) then
      break
    else
      return refuse(("line %d is no header field"):format(number), "a message begins with its header fields and an empty line behind them")
    end
    at = after
  end
  if loose and not is_head(fields) then
    -- an empty first line is the end of an empty head, no text
    if #fields == 0 and number > passed and text:find("^[\r\n]", first) then return { fields = {}, body = text:sub(at), count = number } end
    return { fields = {}, body = text:sub(first), count = passed }
  end
  local kept, e = check_once(fields)
  if not kept then return nil, e end
  return { fields = kept, body = text:sub(at), count = number }
end

--- The value of a field, unfolded; nil when it is not there, or blank.
-- @tparam table head of `M.read`
-- @tparam string name in lower case
function M.value(head, name)
  for _, field in ipairs(head.fields) do
    local value = field.key == name and unfold(field)
    if value and value ~= "" then return value end
  end
end

--- Who gets it: To, Cc and Bcc, or the same of the newest Resent- block when it was sent on (RFC 5322, 3.6.6).
-- @tparam table head of `M.read`
-- @treturn table list of texts for `core.addresses`
function M.recipients(head)
  local out, resent = {}, false
  for _, field in ipairs(head.fields) do
    if resent and not field.key:find "^resent%-" then break end
    if RESENT_TO[field.key] and not resent then out, resent = {}, true end
    if RESENT_TO[field.key] or TO[field.key] then
      local value = unfold(field)
      if value ~= "" then out[#out + 1] = value end
    end
  end
  return out
end

-- Header fields as lines, encoded and folded by the core.
local function header_lines(fields)
  if #fields == 0 then return {} end
  local made, why = core.message { mail_from = "", rcpt_to = {}, fields = fields, text = "" }
  if not made then return refuse(("%s: %s"):format(why.field, why.detail), "give it in another form, or shorter") end
  local _, bytes = made:pull(1048576)
  made:close()
  local lines = {}
  for line in bytes:gmatch "(.-)\r\n" do
    if line:find "^MIME%-Version:" then break end
    lines[#lines + 1] = line
  end
  return lines
end

--- The message as it will be sent.
-- @tparam table head of `M.read`
-- @tparam table add list of {name, kind, value} as `core.message` takes them, written in front: a name that the message has
--   already, or a nil value, is left out
-- @tparam[opt] table drop lower-case name -> true: fields that go before that is looked at
-- @treturn string, or nil, err
-- @treturn function from a line number of that to the one of the text that was read
function M.write(head, add, drop)
  local gone, fresh = {}, {}
  for name in pairs(HIDDEN) do gone[name] = true end
  for name, goes in pairs(drop or {}) do gone[name] = gone[name] or goes end
  for _, field in ipairs(add) do
    local key = field[1]:lower()
    if field[3] ~= nil and (gone[key] or not M.value(head, key)) then
      gone[key] = true          -- a blank one would stand beside it
      fresh[#fresh + 1] = field
    end
  end
  local out, e = header_lines(fresh)
  if not out then return nil, e end
  local numbers = {}
  for _, field in ipairs(head.fields) do
    for i, line in ipairs(gone[field.key] and {} or field.lines) do
      out[#out + 1] = line
      numbers[#out] = field.numbers[i]
    end
  end
  out[#out + 1] = ""
  local before = #out
  out[#out + 1] = head.body
  return table.concat(out, "\r\n"), function(n)
    if n > before then return n - before + head.count end
    return numbers[n] or 1
  end
end

return M
