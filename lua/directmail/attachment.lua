--- Attachments: what the caller gave, as a part of a message.
-- A path is streamed: opened here to learn its size, read again when the message
-- leaves, so memory stays flat (design, section 4). Messages (message/rfc822, `.eml`) and
-- multiparts are read at once: they are not base64 (RFC 2046, 5.2.1), so their lines must be known beforehand.
-- @module directmail.attachment
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local M = {}

local FIELDS = { "path", "data", "read", "size", "name", "type", "cid" }
local TYPES = { path = "string", data = "string", read = "function", size = "number", name = "string", type = "string", cid = "string" }

local EMPTY = 100       -- empty strings in a row that a reader function may give

local fail = err.refuse

--- The media type that a file's name tells.
-- @tparam string name
-- @treturn string "application/octet-stream" when the ending says nothing
function M.type_of(name)
  local types = require "directmail.data.types"
  local ending = name:match "%.([%w_+-]+)$"
  return ending and types[ending:lower()] or "application/octet-stream"
end

-- Read a file in pieces; opened at the first read, closed at the end or at a failure, so
-- that a message that is sent a second time reads it a second time.
local file_reader = {}
file_reader.__index = file_reader

-- Begin at the first octet again, wherever an earlier pass was given up.
function file_reader:rewind()
  if self.file then self.file:close() end
  self.file = nil
end

function file_reader:read(max)
  local why
  if not self.file then
    self.file, why = io.open(self.path, "rb")
    if not self.file then return nil, ("%s cannot be read again: %s"):format(self.path, why) end
    self.file:setvbuf "no"      -- large pieces only are read: a buffer between costs a second copy and a second call
  end
  local bytes
  bytes, why = self.file:read(max)
  if bytes then return bytes end
  self.file:close()
  self.file = nil
  if why then return nil, ("%s cannot be read: %s"):format(self.path, why) end
  return nil
end

-- A reader function of the caller's: bytes, or nil at the end, or nil and why.
local function_reader = {}
function_reader.__index = function_reader

function function_reader:read(max)
  local bytes, why = self.fn(max)
  if bytes == nil then return nil, why and tostring(why) or nil end
  if type(bytes) ~= "string" then return nil, "the reader function gave a " .. type(bytes) .. " instead of a string" end
  self.empty = bytes == "" and self.empty + 1 or 0
  if self.empty > EMPTY then return nil, "the reader function gives empty strings for ever; nil is its end" end
  return bytes
end

local function open_file(path, where)
  local file, why = io.open(path, "rb")
  if not file then
    return fail("FILE", where, ("%s cannot be read: %s"):format(path, tostring(why):gsub("^.*: ", "")),
      "check the path; a relative one begins at the folder the program runs in")
  end
  local size
  size, why = file:seek "end"
  if size then
    file:seek "set"
    local octet, broken = file:read(1)  -- a directory opens and has a size; only reading tells
    if broken then size, why = nil, broken end
    if octet and size == 0 then size, why = nil, "it has no size of its own" end        -- a device, or a file of /proc
  end
  file:close()
  if not size then
    return fail("FILE", where, ("%s is no file that can be attached: %s"):format(path, why),
      "name a regular file; for anything else give data, or read and size")
  end
  return size
end

-- A part that cannot stream: its reader's octets become data.
local function read_whole(part, where)
  if part.size > limits.message_octets then
    return fail("SIZE", where, ("%s has %.0f octets; a part of type %s may have %d"):format(where, part.size, part.type, limits.message_octets),
      "send it as another type, such as application/octet-stream, or put it behind a link")
  end
  local pieces, n = {}, 0
  repeat
    local bytes, why = part.reader:read(part.size - n + 1)
    if why then return fail("FILE", where, why, "leave the file alone while the mail is made") end
    n = n + #(bytes or "")
    pieces[#pieces + 1] = bytes
  until not bytes or n > part.size
  if n ~= part.size then
    if part.reader.rewind then part.reader:rewind() end
    return fail("FILE", where, ("%s brings %s octets than its size, %.0f"):format(where, n > part.size and "more" or "fewer", part.size),
      "leave the file alone while the mail is made")
  end
  part.data, part.reader, part.size = table.concat(pieces), nil, nil
  return part
end

-- Where reading a file makes everybody wait (nginx), a small one is read whole and a large one refused.
local function small_file(path, where, host)
  local bytes, why = host.read(path)
  if bytes then return bytes end
  if why:find "^larger" then
    return fail("FILE", where, ("%s is %s, and reading it would make all of %s wait"):format(path, why, host.name),
      "give its octets as data, or read (a function that brings them) and size")
  end
  return fail("FILE", where, ("%s cannot be read: %s"):format(path, why), "give the whole path, and let the worker's user read it")
end

--- One attachment as a part for `core.message`.
-- @tparam string|table given a path, or `{ path= | data= | read=function, size=, name=, type=, cid= }`
-- @tparam number i its number, for errors
-- @tparam table host `file_octets` and `read` are used
-- @treturn table `{ name=, type=, cid=, data= | reader=, size= }`; or nil, err; or nil, { misuse = text }
function M.part(given, i, host)
  local where = "attachments[" .. i .. "]"
  if type(given) == "string" then given = { path = given } end
  local wrong = option.unknown(given, FIELDS, where)
  for name, value in pairs(wrong and {} or given) do
    if type(value) ~= TYPES[name] then
      wrong = ("%s: %s must be a %s, not a %s"):format(where, name, TYPES[name], type(value))
    end
  end
  if wrong then return nil, { misuse = wrong } end
  local ways = (given.path and 1 or 0) + (given.data and 1 or 0) + (given.read and 1 or 0)
  if ways ~= 1 then
    return fail("OPTION", where, where .. " needs one of path, data, read", "give exactly one of them")
  end
  local part = { name = given.name, cid = given.cid, data = given.data }
  if given.path then
    if given.path:find "%z" then        -- the system would open what stands before it
      return fail("FILE", where, ("%s has a NUL in it"):format(given.path), "check the path")
    end
    part.name = part.name or given.path:match "[^/\\]*$"
  end
  if given.path and host.file_octets then
    local bytes, e = small_file(given.path, where, host)
    if not bytes then return nil, e end
    part.data = bytes
  elseif given.path then
    local size, e = open_file(given.path, where)
    if not size then return nil, e end
    part.reader, part.size = setmetatable({ path = given.path }, file_reader), size
  elseif given.read then
    local size = given.size
    if not size or not (size >= 0 and size <= 2 ^ 53) or size ~= math.floor(size) then
      return fail("OPTION", where, where .. " with read needs size, the whole number of octets it will bring",
        "give size, or the bytes themselves as data")
    end
    part.reader, part.size = setmetatable({ fn = given.read, empty = 0 }, function_reader), size
  end
  if not part.cid and (not part.name or part.name == "") then
    return fail("OPTION", where, where .. " has no name", "give name: it is what the reader sees")
  end
  part.type = given.type or M.type_of(part.name or "")
  local top = part.type:lower():match "^(%a+)/"
  if part.reader and (top == "message" or top == "multipart") then return read_whole(part, where) end
  return part
end

return M
