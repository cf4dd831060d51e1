--- Run a user's script as `lua5.4` would, with errors that name the script's own lines.
-- Loads nothing else of directmail: an empty script must start fast.
-- @module directmail.command.script
local M = {}

-- Levels that are looked at on each end of the stack: the outermost of an endless recursion lie a million levels away,
-- and the way to a level is walked each time.
local LEVELS = 12

-- Ours carry chunk names of this form, which no file can have (a file's begins with "@").
local function is_ours(source) return source:sub(1, 12) == "=directmail/" end

-- The outermost level that exists, as seen by the caller.
local function last_level()
  local known, beyond = 1, 2
  while debug.getinfo(beyond + 1, "l") do known, beyond = beyond, beyond * 2 end
  while beyond - known > 1 do
    local middle = (known + beyond) // 2
    if debug.getinfo(middle + 1, "l") then known = middle else beyond = middle end
  end
  return known
end

-- The user's own frames of the stack, innermost first, one line each.
local function own_frames()
  local lines, last = {}, last_level()
  local function add(from, to)
    for level = from, to do
      local info = debug.getinfo(level + 1, "Sln")
      if info and info.what ~= "C" and not is_ours(info.source) then
        local name = info.what == "main" and "main chunk" or info.name and "function " .. info.name or "a function"
        lines[#lines + 1] = ("  at       %s:%d, in %s"):format(info.short_src, info.currentline, name)
      end
    end
  end
  if last <= 2 * LEVELS then
    add(1, last)
  else
    add(1, LEVELS)
    lines[#lines + 1] = ("  at       … (%d levels more)"):format(last - 2 * LEVELS)
    add(last - LEVELS + 1, last)
  end
  return table.concat(lines, "\n")
end

--- The words for an error that nobody caught: its message and where it came from.
-- Called as a message handler, while the stack still stands.
-- @param raised what was raised: any value; a directmail.err speaks for itself
-- @tparam boolean all show our frames and C's too
-- @treturn table `{ text = for stderr, err = the directmail.err if it was one }`
function M.explain(raised, all)
  -- An error of ours exists only when its module was loaded.
  local err = package.loaded["directmail.err"]
  local ours = err and err.is(raised) and raised or nil
  local text
  if ours then
    text = err.report(ours)
  elseif type(raised) == "string" or type(raised) == "number" then
    text = tostring(raised)
  else
    local meta = getmetatable(raised)
    text = type(meta) == "table" and meta.__tostring and tostring(raised)
      or ("an error that is no text, a %s value, was raised"):format(type(raised))
  end
  local frames = all and debug.traceback("", 2):sub(2) or own_frames()
  return { text = frames == "" and text or text .. "\n" .. frames, err = ours }
end

--- Run a script.
-- @tparam string path the file, or `-` for stdin
-- @tparam {string,...} argv the command's own arguments; those behind index `at` are the script's
-- @tparam integer at where in argv the script's name stands
-- @tparam boolean all show our own frames in a traceback
-- @treturn integer the exit code: the integer that the script returns, else 0; an uncaught send error's own code; 5 for any other error;
--   2 when the script cannot be read
function M.run(path, argv, at, all)
  local exit = require "directmail.command.exit"
  -- As lua does: the script's name at 0, its arguments from 1 on, what stood before it at negative places.
  local arguments = {}
  for i = 0, #argv do arguments[i - at] = argv[i] end
  _G.arg = arguments
  local chunk, why
  if path == "-" then chunk, why = loadfile() else chunk, why = loadfile(path) end
  if not chunk then
    -- Not opened by ourselves first: `directmail <(…)` can be read once only.
    local no_file = why:find "^cannot %a+ " ~= nil
    io.stderr:write("directmail: ", no_file and "usage: " or "", why, "\n")
    return no_file and exit.OURS_REFUSED or exit.BROKEN
  end
  local function explain(raised) return M.explain(raised, all) end
  local ok, result = xpcall(chunk, explain, table.unpack(arguments))
  if ok then return math.tointeger(result) or exit.OK end
  -- Lua calls no handler when memory runs out, and names its own troubles by a string.
  if type(result) ~= "table" then result = { text = tostring(result) } end
  io.stderr:write("directmail: ", result.text, "\n")
  return result.err and exit.of(result.err) or exit.BROKEN
end

return M
