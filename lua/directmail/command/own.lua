--- The user's own Lua files that a command loads: those that are named, and those of a folder beside the profile.
-- @module directmail.command.own
local err = require "directmail.err"
local host = require "directmail.host"
local profile = require "directmail.profile"

local M = {}

local function shell_word(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- The Lua files of a folder, sorted; of those that others may write only their names are told.
local function files_of(folder)
  local writable = [["$(find "$f" -prune \( -perm -0020 -o -perm -0002 \))"]]
  local pipe = io.popen(("for f in %s/*.lua; do [ -f \"$f\" ] && printf '%%s\\n%%s\\n' %s \"$f\"; done"):format(shell_word(folder), writable), "r")
  local files, exposed = {}, {}
  while pipe do
    local open, path = pipe:read("l", "l")
    if not path then break end
    if open ~= "" then exposed[#exposed + 1] = path else files[#files + 1] = path end
  end
  if pipe then pipe:close() end
  return files, exposed
end

local function is_folder(path)
  local file = io.open(path .. "/.", "rb")
  if file then file:close() end
  return file ~= nil
end

--- Paths of all of them, the folder's first.
-- @tparam string kind "lint": the folder is ~/.config/directmail/lint, and it need not exist
-- @tparam {string,...} given files and folders that the command line names
-- @treturn {string,...} or nil, err when others may write one that nobody named
function M.files(kind, given)
  local list = {}
  local home = profile.path(nil, host)
  local folder = home and home:gsub("/[^/]*$", "") .. "/" .. kind
  if folder and is_folder(folder) then
    local files, exposed = files_of(folder)
    if exposed[1] then
      return nil, err.new { code = "FILE", detail = kind, cause = ("others may write %s, and it would run here"):format(profile.shown(exposed[1], host)),
        remedy = "chmod go-w it" }
    end
    for _, path in ipairs(files) do list[#list + 1] = path end
  end
  for _, path in ipairs(given) do
    if is_folder(path) then
      local files, exposed = files_of(path)
      for _, more in ipairs { files, exposed } do table.move(more, 1, #more, #list + 1, list) end
    else
      list[#list + 1] = path
    end
  end
  return list
end

return M
