--- Print the variables that let an interpreter find this directmail.
-- @module directmail.command.env
local usage = require "directmail.command.usage"

local M = {
  name = "env",
  summary = "print the variables that let a Lua interpreter find this directmail",
  examples = {
    'eval "$(directmail env)"              # for lua5.4, in this shell',
    'eval "$(directmail env luajit)"',
  },
  own_arguments = true,
}

-- An interpreter's command -> the version in the folders of an installation. LuaJIT keeps the 5.1 interface.
local versions = { ["lua5.1"] = "5.1", ["lua5.2"] = "5.2", ["lua5.3"] = "5.3", ["lua5.4"] = "5.4", luajit = "5.1" }
local names = { "lua5.4", "lua5.3", "lua5.2", "lua5.1", "luajit" }

function M.parser(parser)
  parser:argument "lua" :args "?" :description "the interpreter's command: lua5.1 to lua5.4 (default), or luajit"
end

-- No mail is concerned here, so this is no directmail.err.
local function fail(cause, remedy)
  io.stderr:write("directmail: ", cause, "\n  remedy   ", remedy, "\n")
  return 1
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The folders of the Lua files and of the modules in C; or nil, cause, remedy.
local function folders(lua, place)
  local version = versions[lua]
  if not place.build then
    local c = place.lib:gsub("5%.4$", version)      -- PREFIX/lib/lua/5.4
    local files = ("%s/share/lua/%s"):format(place.folder:match "^(.*)/[^/]*$" or "", version)
    if exists(c .. "/directmail/core.so") and exists(files .. "/directmail/init.lua") then return files, c end
    return nil, ("directmail is not installed for %s: looked in %s and %s"):format(lua, c, files),
      ("in the source folder: make LUAS=%s, then make install LUAS=%s"):format(lua, lua)
  end
  -- luajit loads the module of lua5.1
  local c
  for _, name in ipairs { lua, lua == "luajit" and "lua5.1" or nil } do
    local folder = place.folder .. "/" .. name
    if exists(folder .. "/directmail/core.so") then
      c = folder
      break
    end
  end
  if not c then
    return nil, ("the module for %s is not built"):format(lua), "make LUAS=" .. lua
  end
  -- The build folder lies in the source folder, or some folders below it (build/asan).
  local above = place.folder
  for _ = 1, 3 do
    above = above:match "^(.*)/[^/]*$"
    if not above then break end
    if exists(above .. "/lua/directmail/init.lua") then return above .. "/lua", c end
  end
  return nil, ("no folder lua/ with directmail lies beside or above %s"):format(place.folder),
    "build inside the source folder, or run make install"
end

-- For a shell, whatever the folder's name holds.
local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

function M.run(args, place)
  local lua = args.lua or "lua5.4"
  if not versions[lua] then
    return usage.wrong(('no module is made for "%s"%s'):format(lua, usage.did_you_mean(lua, names)), "one of " .. table.concat(names, ", "))
  end
  local by_hand = "set LUA_PATH and LUA_CPATH by hand"
  if not place.folder then return fail("the system does not say where this program lies (/proc is missing)", by_hand) end
  local files, c, remedy = folders(lua, place)
  if not files then return fail(c, remedy) end
  if (files .. c):find "[;?]" then return fail(('a path of Lua cannot hold the ";" or "?" in %s'):format(c), by_hand) end
  local suffix = lua ~= "luajit" and lua ~= "lua5.1" and "_" .. versions[lua]:gsub("%.", "_") or nil
  for _, name in ipairs { "LUA_PATH", "LUA_CPATH" } do
    if suffix and os.getenv(name .. suffix) then
      io.stderr:write(("directmail: %s%s is set, so %s does not look at %s; unset it\n"):format(name, suffix, lua, name))
    end
  end
  print("export LUA_PATH=" .. quoted(("%s/?.lua;%s/?/init.lua;;"):format(files, files)))
  print("export LUA_CPATH=" .. quoted(c .. "/?.so;;"))
  return 0
end

return M
