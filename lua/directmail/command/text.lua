--- Texts that go into a command and come out of it: values from files and stdin, answers in JSON.
-- @module directmail.command.text
local err = require "directmail.err"
local host = require "directmail.host"
local usage = require "directmail.command.usage"

local M = {}

-- A text part is held in memory, and an endless file or pipe must not fill it; four times the largest mail that the
-- service takes.
local MAX_TEXT = 64 * 1024 * 1024

local stdin_taken_by

local function unreadable(option, name, why)
  return err.new {
    code = "FILE",
    cause = ("%s: %s cannot be read: %s"):format(option, name == "-" and "stdin" or name, why),
    remedy = "check the name and the rights of the file",
  }
end

--- Read a whole file, or stdin.
-- @tparam string option the option that names it, for the errors
-- @tparam string path a file's path, `-` for stdin, which one option may take
-- @tparam[opt=64 MiB] integer max how many octets it may have
-- @treturn[1] string the bytes
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.read(option, path, max)
  max = max or MAX_TEXT
  local file = io.stdin
  if path == "-" then
    if stdin_taken_by then
      return usage.wrong(("%s: stdin was already read for %s"):format(option, stdin_taken_by), "put one of the two into a file")
    end
    stdin_taken_by = option
  else
    local opened, why = io.open(path, "rb")
    if not opened then return nil, unreadable(option, path, (why:gsub("^.*: ", ""))) end
    file = opened
  end
  local chunks, size, chunk, why = {}, 0
  repeat
    chunk, why = file:read(64 * 1024)
    chunks[#chunks + 1] = chunk
    size = size + #(chunk or "")
  until not chunk or size > max
  if path ~= "-" then file:close() end
  if why then return nil, unreadable(option, path, why) end
  if size > max then return nil, unreadable(option, path, ("it has more than %d octets"):format(max)) end
  return table.concat(chunks)
end

local function shell_word(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- Is there something of this name, whatever it is?
-- @tparam string path
-- @treturn boolean
function M.is_there(path)
  local word = shell_word(path)
  return os.execute(("[ -e %s ] || [ -L %s ]"):format(word, word)) == true
end

--- Is there something of this name that is no file? A device, a pipe or a folder would be gone behind a rename: root's /dev/null too.
-- @tparam string path
-- @treturn boolean
function M.is_special(path)
  local word = shell_word(path)
  return os.execute(("[ -e %s ] && ! [ -f %s ]"):format(word, word)) == true
end

--- Write a file that nobody else may read. It is written in a folder of ours beside it and renamed, so that no link of somebody's leads
-- it elsewhere, and a half of it is never there.
-- @tparam string about the option or the command that names it, for the errors
-- @tparam string path
-- @tparam string bytes
-- @treturn[1] true
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.write_private(about, path, bytes)
  if M.is_special(path) then return usage.wrong(("%s: %s is there, and is no file"):format(about, err.printable(path)), "name a new file") end
  local folder, why = host.mkdtemp(path .. ".")
  local ok = folder ~= nil
  if folder then
    local beside, old = folder .. "/new", host.umask(tonumber("077", 8))
    local file
    file, why = io.open(beside, "wb")
    host.umask(old)
    ok = file ~= nil
    if file then
      ok, why = file:write(bytes)
      local closed, late = file:close()
      if ok and not closed then ok, why = nil, late end
    end
    if ok then ok, why = os.rename(beside, path) end
    os.remove(beside)
    os.remove(folder)
  end
  if ok then return true end
  return nil, err.new { code = "FILE", detail = about:gsub("^%-+", ""),
    cause = ("%s: %s cannot be written: %s"):format(about, path, (tostring(why):gsub("^.*: ", ""))),
    remedy = "name a file in a folder that you may write" }
end

--- The value of an option that takes `TEXT|@FILE|-`.
-- @tparam string option its name, for the errors
-- @tparam string value as given; `@@…` is text that begins with `@`
-- @treturn[1] string the text
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.value(option, value)
  if value == "-" then return M.read(option, "-") end
  if value:sub(1, 2) == "@@" then return value:sub(2) end
  if value:sub(1, 1) == "@" then return M.read(option, value:sub(2)) end
  return value
end

-- Bytes that are no UTF-8 (a server's words, a file's name) would make the whole answer unreadable.
local function as_utf8(text)
  local from, parts = 1, {}
  while true do
    local n, at = utf8.len(text, from)
    if n then break end
    parts[#parts + 1] = text:sub(from, at - 1) .. "\u{FFFD}"
    from = at + 1
  end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts)
end

--- One JSON object on one line: `ok`, `outcome` and `code` first, the rest by name.
-- @tparam boolean ok
-- @tparam table object a receipt, or an error's plain table; an empty table in it is a list
-- @treturn string UTF-8, without a line end
function M.json(ok, object)
  local cjson = require "cjson"
  local parts = { '"ok":' .. tostring(ok) }
  local function add(name)
    local value = object[name]
    local text = type(value) == "table" and next(value) == nil and "[]" or cjson.encode(value)
    -- cjson escapes "/" too; pairs are taken whole, so an escaped backslash before a slash stays
    parts[#parts + 1] = cjson.encode(name) .. ":" .. text:gsub("\\(.)", { ["/"] = "/" })
  end
  local first, rest = { "outcome", "code" }, {}
  for name in pairs(object) do
    if name ~= "ok" and name ~= "outcome" and name ~= "code" then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(first) do
    if object[name] ~= nil then add(name) end
  end
  for _, name in ipairs(rest) do add(name) end
  return as_utf8("{" .. table.concat(parts, ",") .. "}")
end

--- One JSON object on one line, its names in the order of a list, and no others.
-- @tparam table object as of `json`; what is not there is left out
-- @tparam {string,...} order
-- @treturn string
function M.ordered(object, order)
  local parts = {}
  for _, name in ipairs(order) do
    if object[name] ~= nil then parts[#parts + 1] = M.json(true, { [name] = object[name] }):sub(#'{"ok":true,' + 1, -2) end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- A number of octets for people: `812 B`, `2.1 KB`, `1.2 MB` (thousands, as files are listed).
-- @tparam integer n
-- @treturn string
function M.size(n)
  if n < 1000 then return ("%d B"):format(n) end
  if n < 999950 then return ("%.1f KB"):format(n / 1000) end
  return ("%.1f MB"):format(n / 1000000)
end

return M
