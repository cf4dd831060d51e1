--- The error that every failing call of directmail returns.
-- Its fields: `code` (one of `NAMES`), `detail` (the service's own code, or a word such as
-- `expired`), `cause` and `remedy` (sentences), `outcome` (`not_sent`, `refused`, `unknown`),
-- `retry` (the same thing may work later), `after` (seconds to wait before that), `blame`,
-- `reply` (the server's text), `request_id`, `where = { step=, peer=, seconds= }`, `refused` (of a mail with `all_or_none`:
-- `{ { address=, reply=, cause= }, … }`).
-- `tostring(e)` is one line; docs/errors.md explains each code.
-- @module directmail.err
local codes = require "directmail.data.codes"

local M = {}

--- The codes, in the order of directmail.h.
M.NAMES = {}

local sentence = {}
for i, row in ipairs(codes) do
  M.NAMES[i] = row.name
  sentence[row.name] = row.text
end

local FIELDS = { code = "string", detail = "string", cause = "string", remedy = "string", outcome = "string",
  retry = "boolean", after = "number", blame = "string", reply = "string", request_id = "string", where = "table",
  refused = "table" }
local ORDER = { "code", "detail", "cause", "remedy", "outcome", "retry", "after", "blame", "reply", "request_id", "where", "refused" }
local OUTCOMES = { not_sent = "not sent", refused = "refused", unknown = "outcome unknown" }

-- Octets of the UTF-8 sequence at `i`, RFC 3629; 0 when there is none.
local function utf8_length(s, i)
  local a, b = s:byte(i, i + 1)
  local n, low, high = 0, 0x80, 0xBF
  if a >= 0xC2 and a <= 0xDF then n = 2
  elseif a >= 0xE0 and a <= 0xEF then
    n = 3
    if a == 0xE0 then low = 0xA0 elseif a == 0xED then high = 0x9F end
  elseif a >= 0xF0 and a <= 0xF4 then
    n = 4
    if a == 0xF0 then low = 0x90 elseif a == 0xF4 then high = 0x8F end
  end
  if n == 0 or not b or b < low or b > high then return 0 end
  for k = i + 2, i + n - 1 do
    local c = s:byte(k)
    if not c or c < 0x80 or c > 0xBF then return 0 end
  end
  return n
end

local function escaped(c)
  if c == "\r" then return "\\r" elseif c == "\n" then return "\\n" elseif c == "\t" then return "\\t" end
  return ("\\%d"):format(c:byte())
end

-- A run of octets over 127: what is no UTF-8 breaks JSON, and U+0080..U+009F are control
-- characters that some terminals obey (U+009B begins an escape sequence). U+202A..U+202E and
-- U+2066..U+2069 turn the reading direction, so a reply could show other words than it holds.
local function escaped_high(run)
  local out, i = {}, 1
  while i <= #run do
    local n = utf8_length(run, i)
    local piece = run:sub(i, i + math.max(n, 1) - 1)
    if n == 0 or piece:find("^\194[\128-\159]") or piece:find("^\226\128[\170-\174]") or piece:find("^\226\129[\166-\169]") then
      piece = piece:gsub(".", escaped)
    end
    out[#out + 1] = piece
    i = i + math.max(n, 1)
  end
  return table.concat(out)
end

--- A stranger's text made fit for a terminal, a log line and JSON: control characters and
-- octets that are not UTF-8 are shown as `\r`, `\n`, `\t` or `\27`. Doing it twice changes nothing.
-- @tparam string text
-- @treturn string
function M.printable(text)
  return (text:gsub("%c", escaped):gsub("[\128-\255]+", escaped_high))
end

local meta = { __name = "directmail.err" }

local function same(text) return text end

-- A list of recipients that were refused, copied, each text as `make` gives it. It may come from a store.
local function list_of(refused, make)
  local list = {}
  for i = 1, #refused do
    local one = refused[i]
    local copy = {}
    for _, name in ipairs { "address", "reply", "cause" } do
      if type(one) == "table" and type(one[name]) == "string" then copy[name] = make(one[name]) end
    end
    if copy.address then list[#list + 1] = copy end
  end
  return list
end

--- Make an error.
-- @tparam table fields as above; `outcome` defaults to `not_sent`, `retry` to false, `cause` to
--   the code's own sentence; strings are made printable
-- @treturn err
-- @raise on an unknown code, outcome or field: that is a fault of the program
function M.new(fields)
  if type(fields) ~= "table" then error("bad argument #1 to err.new (table expected, got " .. type(fields) .. ")", 2) end
  local e = {}
  for name, value in pairs(fields) do
    local want = FIELDS[name]
    if not want then error(("unknown field %q of an error"):format(tostring(name)), 2) end
    if type(value) ~= want then error(("field %q of an error must be a %s, not a %s"):format(name, want, type(value)), 2) end
    e[name] = want == "string" and M.printable(value) or value
  end
  if not sentence[e.code] then error(("unknown error code %q"):format(tostring(e.code)), 2) end
  e.outcome = e.outcome or "not_sent"
  if not OUTCOMES[e.outcome] then error(("an error cannot have the outcome %q"):format(e.outcome), 2) end
  e.retry = e.retry or false
  e.cause = e.cause or sentence[e.code]
  if e.where then
    local where = e.where
    e.where = { step = where.step, peer = where.peer and M.printable(where.peer), seconds = where.seconds }
  end
  if e.refused then e.refused = list_of(e.refused, M.printable) end
  return setmetatable(e, meta)
end

--- Refuse something ourselves, before anything left: `return err.refuse(...)`.
-- @tparam string code
-- @tparam string detail the field or option that it is about
-- @tparam string cause
-- @tparam string remedy
-- @tparam[opt="client-bug"] string blame
-- @return nil
-- @treturn err with the outcome `not_sent`, not to be repeated
function M.refuse(code, detail, cause, remedy, blame)
  return nil, M.new { code = code, detail = detail, cause = cause, remedy = remedy, blame = blame or "client-bug" }
end

--- Is it one of ours?
-- @param x anything
-- @treturn boolean
function M.is(x)
  return type(x) == "table" and getmetatable(x) == meta
end

function meta.__tostring(e)
  return ("%s: %s%s%s"):format(e.code, e.cause,
    e.detail and e.detail ~= "" and " (" .. e.detail .. ")" or "",
    e.remedy and "; " .. e.remedy or "")
end

-- Who was refused, by the step at which it happened.
local SAID_NO_TO = { connect = "the connection", banner = "the connection", ehlo = "the connection", auth = "the login",
  mail = "the sender", rcpt = "the recipient", data = "the message", dot = "the message", api = "the request" }

local function headline(e)
  local about = e.where and SAID_NO_TO[e.where.step]
  if e.code == "REFUSED" and about then return "the server said no to " .. about end
  return sentence[e.code]
end

local function place(where)
  local parts = {}
  if where.step and where.peer then parts[1] = where.step .. " → " .. where.peer
  else parts[1] = where.step or where.peer end
  if where.seconds then parts[#parts + 1] = ("%.2f s"):format(where.seconds) end
  return table.concat(parts, ", ")
end

--- The error for people: what happened, the number to look up, what to do next.
-- @tparam err e
-- @treturn string several lines without a final line end
function M.report(e)
  local lines = { OUTCOMES[e.outcome] .. ": " .. headline(e) }
  local function line(name, text)
    if text and text ~= "" then lines[#lines + 1] = ("  %-8s %s"):format(name, text) end
  end
  local detail = e.detail ~= "" and e.detail or nil
  local said = e.reply ~= "" and e.reply or nil
  if said and detail and said:sub(1, #detail) ~= detail then said = detail .. " " .. said end
  line("said", said)
  line("where", e.where and place(e.where))
  line("cause", e.cause .. (detail and not said and " (" .. detail .. ")" or ""))
  line("remedy", e.remedy)
  for _, one in ipairs(e.refused or {}) do line("refused", one.address .. (one.reply and ": " .. one.reply or "")) end
  local look = {}
  if e.request_id and e.request_id ~= "" then look[1] = "RequestId " .. e.request_id end
  -- a reply code, or a code of the API such as InvalidMailAddress.NotFound
  if detail and (detail:find("^[245]%d%d$") or detail:find("^%u[%w]+%.[%w.]+$")) then
    look[#look + 1] = "directmail explain " .. detail
  end
  line("look up", table.concat(look, "   ·   "))
  return table.concat(lines, "\n")
end

--- The error as a plain table for JSON.
-- @tparam err e
-- @treturn table `ok = false` and the fields of the error, no metatable
function M.plain(e)
  local plain = { ok = false }
  for _, name in ipairs(ORDER) do plain[name] = e[name] end
  if plain.where then
    plain.where = { step = plain.where.step, peer = plain.where.peer, seconds = plain.where.seconds }
  end
  if plain.refused then plain.refused = list_of(plain.refused, same) end
  return plain
end

return M
