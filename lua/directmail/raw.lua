--- A message that is finished already (`raw`, an .eml file, what sendmail gets): its head read and mended.
-- Bcc goes, Date and Message-ID come when they are missing; the rest stays octet for octet
-- but for its line ends, which the core repairs.
-- @module directmail.raw
local core = require "directmail.core"
local err = require "directmail.err"

local M = {}

local HIDDEN = { ["bcc"] = true, ["resent-bcc"] = true }

local function refuse(code, where, cause, remedy)
  return nil, err.new { code = code, detail = where, cause = cause, remedy = remedy, outcome = "not_sent", retry = false, blame = "content" }
end

-- The line at `at`, and where the next one begins: CRLF, LF and CR end one.
local function line_at(text, at)
  local stop = text:find("[\r\n]", at)
  if not stop then return text:sub(at), #text + 1 end
  local after = text:sub(stop, stop + 1) == "\r\n" and stop + 2 or stop + 1
  return text:sub(at, stop - 1), after
end

--- Read the head of a message.
-- @tparam string text the whole message; a first line "From ..." of a mailbox file is passed over
-- @treturn table `{ fields={ {name=, value=unfolded, lines={…}} … }, body=text behind the empty line }`, or nil, err
function M.read(text)
  local at, number, fields, skipped = 1, 0, {}, 0
  while at <= #text do
    local line, after = line_at(text, at)
    number = number + 1
    if line == "" then return { fields = fields, body = text:sub(after), skipped = skipped } end
    local name, value = line:match "^([!-9;-~]+)[ \t]*:(.*)$"
    if line:find "^[ \t]" and #fields > 0 then
      local last = fields[#fields]
      last.lines[#last.lines + 1] = line
      last.value = last.value .. " " .. line:match "^[ \t]*(.*)$"
    elseif name then
      fields[#fields + 1] = { name = name, value = value:match "^[ \t]*(.*)$", lines = { line } }
    elseif number == 1 and line:find "^From " then
      skipped = 1
    else
      return refuse("HEADER", "raw", ("raw: line %d is no header field"):format(number),
        "a message begins with its header fields and an empty line behind them")
    end
    at = after
  end
  return { fields = fields, body = "", skipped = skipped }
end

--- The addresses of some of its header fields.
-- @tparam table head of `M.read`
-- @tparam table names lower-case names
-- @treturn table list of texts for `core.addresses`
function M.addresses(head, names)
  local out = {}
  for _, field in ipairs(head.fields) do
    for _, name in ipairs(names) do
      if field.name:lower() == name and field.value:find "%S" then out[#out + 1] = field.value end
    end
  end
  return out
end

--- The value of a field, or nil.
function M.value(head, name)
  for _, field in ipairs(head.fields) do
    if field.name:lower() == name then return field.value end
  end
end

--- The message as it will be sent.
-- @tparam table head of `M.read`
-- @tparam table add list of {name, value} written in front; a name that the message has already is left out
-- @tparam[opt] table replace lower-case name -> value, or false to remove the field
-- @treturn string
-- @treturn number how many lines further down the body stands now
function M.write(head, add, replace)
  local out, moved = {}, 0
  for _, pair in ipairs(add) do
    if pair[2] and not M.value(head, pair[1]:lower()) then
      out[#out + 1] = ("%s: %s"):format(pair[1], pair[2])
      moved = moved + 1
    end
  end
  for _, field in ipairs(head.fields) do
    local name = field.name:lower()
    local new = replace and replace[name]
    if new then
      out[#out + 1] = ("%s: %s"):format(field.name, new)
      moved = moved + 1 - #field.lines
    elseif new == nil and not HIDDEN[name] then
      for _, line in ipairs(field.lines) do out[#out + 1] = line end
    else
      moved = moved - #field.lines
    end
  end
  out[#out + 1] = ""
  out[#out + 1] = head.body
  return table.concat(out, "\r\n"), moved - head.skipped
end

--- A mailbox as header text.
-- @tparam string name display name, may be empty
-- @tparam string address
function M.mailbox(name, address)
  if not name or name == "" then return address end
  if name:find "^[%w ]+$" then return ("%s <%s>"):format(name, address) end
  if name:find "[\128-\255]" then return ("%s <%s>"):format((core.word(name)), address) end
  return ('"%s" <%s>'):format((name:gsub('[\\"]', "\\%0")), address)
end

return M
