--- Read CSV as RFC 4180 has it: rows by the names of the header line, with the lines where they begin.
-- It is strict, since a guess at a broken row would mail the wrong person: a field too few, a stray quote, bytes that are no
-- UTF-8 end the reading with the line and the remedy. A byte order mark and empty lines are passed over.
-- @module directmail.csv
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"

local M = {}

local CHUNK = 65536
local MAX_COLUMNS = 1000        -- own choice: nobody's list, but a file that is no CSV has them

-- Another piece of the file; false at its end, nil and why when it cannot be read.
local function more(self)
  if self.ended then return false end
  local chunk, why = self.read(CHUNK)
  if why then return nil, why end
  if not chunk then
    self.ended = true
    return false
  end
  self.buffer, self.at = self.buffer:sub(self.at) .. chunk, 1
  return true
end

-- The end of a field at `i`: the place behind it, and true when the record is over. Nothing when more bytes must tell;
-- nil and words when something else stands there.
local function behind(self, i)
  local c = self.buffer:sub(i, i)
  if c == "," then return i + 1, false end
  if c == "\n" then return i + 1, true end
  if c == "" then
    if self.ended then return i, true end
    return nil
  end
  if c ~= "\r" then return nil, "text behind a closing quote: a quote inside of a field is written twice" end
  local following = self.buffer:sub(i + 1, i + 1)
  if following == "\n" then return i + 2, true end
  if following == "" and not self.ended then return nil end
  return nil, "a carriage return that no line feed follows: lines end in CRLF or LF, and a field with one in it is quoted"
end

-- The record at `self.at`: fields, the place behind it, and how many lines it takes. nil when more bytes must come; nil and words.
local function record(self)
  local buffer, i, fields, lines, over = self.buffer, self.at, {}, 1, false
  while not over do
    local value
    if buffer:byte(i) == 34 then
      local from = i + 1
      repeat
        local quote = buffer:find('"', from, true)
        if not quote then
          if self.ended then return nil, "a quote that never closes" end
          return nil
        end
        from = quote + 2
      until buffer:byte(quote + 1) ~= 34
      value = buffer:sub(i + 1, from - 3)
      local _, breaks = value:gsub("\n", "")
      value, lines, i = value:gsub('""', '"'), lines + breaks, from - 1
    else
      local stop = buffer:find('[,\r\n"]', i) or self.ended and #buffer + 1
      if not stop then return nil end
      if buffer:byte(stop) == 34 then return nil, "a quote in the middle of a field: quote the whole field, and write the quote twice" end
      value, i = buffer:sub(i, stop - 1), stop
    end
    fields[#fields + 1] = value
    if #fields > MAX_COLUMNS then return nil, ("more than %d fields: this is no list"):format(MAX_COLUMNS) end
    i, over = behind(self, i)
    if not i then return nil, over end
  end
  return fields, i, lines
end

local function fault(self, line, why, remedy)
  self.done = true
  if self.close then self.close() end
  return nil, err.new { code = "FILE", detail = self.name, cause = ("%s, line %d: %s"):format(self.name, line, why), blame = "client-bug",
    remedy = remedy or "write the file as RFC 4180 has it: spreadsheets do with \"CSV UTF-8\"" }
end

-- The next record that is no empty line, and its line; nil at the end; nil and an error.
local function following(self)
  while true do
    local fields, after, lines = record(self)
    if fields then
      local line, size = self.line, after - self.at
      local text = self.buffer:sub(self.at, after - 1)
      self.at, self.line = after, line + lines
      if size > limits.csv_line then return fault(self, line, ("the record has more than %d octets"):format(limits.csv_line)) end
      if text:find("%z") or not core.utf8(text) then
        return fault(self, line, "bytes that are no UTF-8 text", 'save the file as "CSV UTF-8"')
      end
      -- an end of file behind the last line is no record, nor is an empty line
      if not (#fields == 1 and fields[1] == "" and not text:find '"') then return fields, line end
      if self.ended and self.at > #self.buffer then return nil end
    elseif after then
      return fault(self, self.line, after)
    else
      if #self.buffer - self.at + 1 > limits.csv_line then
        return fault(self, self.line, ("the record has more than %d octets, or a quote never closes"):format(limits.csv_line))
      end
      local _, why = more(self)
      if why then return fault(self, self.line, "it cannot be read: " .. why, "check the file") end
    end
  end
end

-- Is the whole file UTF-8? Asked line by line; a line that is longer than a record may be is not looked at further.
local function is_utf8(file)
  local rest = ""
  while true do
    local chunk = file:read(CHUNK)
    local bytes = rest .. (chunk or "")
    local whole = chunk and (bytes:match "^.*\n" or "") or bytes
    if not core.utf8(whole) then return false end
    rest = bytes:sub(#whole + 1)
    if not chunk or #rest > limits.csv_line then return true end
  end
end

-- GB18030, which spreadsheets in China write; iconv(3) converts it.
local function converted(file)
  local converter, why = require "directmail.net".charset "GB18030"
  if not converter then return nil, why end
  local over = false
  return function(n)
    if over then return nil end
    local chunk, broken = file:read(n)
    if broken then return nil, broken end
    over = not chunk
    local text = converter:feed(chunk or "", over)
    if not text then return nil, "it is neither UTF-8 nor GB18030" end
    return text
  end
end

local function file_of(source)
  local name, file, why = source.name or source.path, source.file, nil
  if not file then file, why = io.open(source.path, "rb") end
  if not file then
    return err.refuse("FILE", name, ("%s cannot be read: %s"):format(err.printable(name), (why:gsub("^.*: ", ""))), "check its name and rights")
  end
  local from = { name = name, charset = "utf-8", read = function(n)
    local chunk, broken = file:read(n)
    return chunk, broken
  end, place = function() return file:seek() end, size = file:seek "end", close = function() file:close() end }
  local other = source.charset == "gb18030"
  if source.charset == "auto" and file:seek "set" then          -- a pipe cannot be read twice: it is UTF-8
    local utf16 = (file:read(2) or ""):find "^[\254\255][\254\255]"
    other = not utf16 and file:seek "set" and not is_utf8(file)
  end
  if other then
    from.charset, from.read = "gb18030", nil
    from.read, why = converted(file)
    if not from.read then return err.refuse("FILE", name, ("%s: %s"):format(err.printable(name), why), 'save the file as "CSV UTF-8"') end
  end
  file:seek "set"
  return from
end

local function text_of(text, name)
  local at = 1
  return { name = name or "the CSV text", read = function(n)
    if at > #text then return nil end
    at = at + n
    return text:sub(at - n, at - 1)
  end }
end

-- The names of the columns; nil, err.
local function header(self)
  local fields, line = following(self)
  if not fields then
    if line then return nil, line end
    return fault(self, 1, "there is no header line", "let the first line name the columns")
  end
  local seen = {}
  for i, name in ipairs(fields) do
    name = name:match "^%s*(.-)%s*$"
    if name == "" then return fault(self, line, ("column %d has no name"):format(i), "name it, or take it out") end
    if seen[name] then return fault(self, line, ('two columns are named "%s"'):format(name), "give each a name of its own") end
    seen[name], fields[i] = true, name
  end
  if #fields == 1 and fields[1]:find "[;\t]" then
    return fault(self, line, "the fields are not separated by commas", "save it with commas between the fields")
  end
  return fields
end

--- The rows of a file or a text.
-- @tparam string|table source a file's path; `{ path = … }`; `{ file = an open one that can be read twice, name = what errors call it }`;
--   or `{ text = bytes, name = … }`. A file may have `charset` = "utf-8", "gb18030" or "auto", which tells them apart (not in nginx);
--   with `uneven` a row of too few or too many fields ends nothing: it comes with what it has, and a third value that says what is wrong
-- @treturn function an iterator: each call gives a row, a table by the header's names, and the line where it begins; nil at the
--   end; `false, err` where the file is broken, and nil from then on. Or nil, err (FILE) when there is no such file or header
-- @treturn {string,...} the columns in the order of the header
-- @treturn table `bom` = true when a byte order mark stands in front; of a file `charset`; `size` in octets; `place()`, how many of them were read
function M.rows(source)
  if type(source) == "string" then source = { path = source } end
  if type(source) ~= "table" or not source.file and type(source.path or source.text) ~= "string" then
    error("bad argument #1 to csv.rows (a path, or a table with path, file or text, expected)", 2)
  end
  local from, e
  if source.text then from = text_of(source.text, source.name) else from, e = file_of(source) end
  if not from then return nil, e end
  local self = { name = err.printable(from.name), read = from.read, close = from.close, buffer = "", at = 1, line = 1, ended = false,
    done = false }
  while #self.buffer < 3 do
    local got, why = more(self)
    if why then return fault(self, 1, "it cannot be read: " .. why, "check the file") end
    if not got then break end
  end
  if self.buffer:find "^\255\254" or self.buffer:find "^\254\255" then
    return fault(self, 1, "it is UTF-16, not UTF-8", 'save the file as "CSV UTF-8"')
  end
  if self.buffer:find "^\239\187\191" then
    self.at, from.bom = 4, true
  end
  local columns
  columns, e = header(self)
  if not columns then return nil, e end
  return function()
    if self.done then return nil end
    local fields, line = following(self)
    if not fields then
      if line then return false, line end
      self.done = true
      if self.close then self.close() end
      return nil
    end
    local uneven = #fields ~= #columns and ("%d fields, and the header names %d"):format(#fields, #columns) or nil
    if uneven and not source.uneven then
      local _, why = fault(self, line, uneven, "quote fields that have a comma in them")
      return false, why
    end
    local row = {}
    for i, name in ipairs(columns) do row[name] = fields[i] end
    return row, line, uneven
  end, columns, from
end

local function quoted(value)
  if value:find '[,"\r\n]' then return '"' .. value:gsub('"', '""') .. '"' end
  return value
end

--- A line of CSV, with its end.
-- @tparam {string,...} fields
-- @tparam[opt=#fields] number n how many, when some of them are nil: these are empty
-- @treturn string
function M.line(fields, n)
  local out = {}
  for i = 1, n or #fields do out[i] = quoted(fields[i] or "") end
  return table.concat(out, ",") .. "\r\n"
end

return M
