--- The profile: settings that a person keeps in a file of their own.
-- `~/.config/directmail/profile.lua`, or `NAME.lua` beside it for the setting `profile = "NAME"`, or any path that holds a
-- "/". Never one from the working folder by itself: a cloned repository must not redirect a password. The file is Lua text
-- and either returns a table or assigns names:
--
--     return {
--       region = "ap-southeast-1",
--       sender = "Shop <noreply@mail.example.com>",
--     }
--
-- @module directmail.profile
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local M = {}

local DEFAULT = "profile"

local function refuse(code, cause, remedy)
  return nil, err.new { code = code, detail = "profile", cause = cause, remedy = remedy, blame = "client-bug" }
end

--- A path as people write it: `~` for their home.
-- @tparam string path
-- @tparam table host
-- @treturn string
function M.shown(path, host)
  local home = M.home(host)
  if home and path:sub(1, #home + 1) == home .. "/" then return "~" .. path:sub(#home + 1) end
  return path
end

--- The home folder. A relative one would be the working folder, so it counts as none.
-- @tparam table host
-- @treturn string|nil without a slash at its end
function M.home(host)
  local home = host.env("HOME")
  if not home or home:sub(1, 1) ~= "/" then return nil end
  return (home:gsub("/+$", ""))
end

--- Where a profile lies.
-- @tparam string|nil name of the setting `profile`; nil for the default
-- @tparam table host
-- @treturn string|nil its path, nil when there is no home folder
function M.path(name, host)
  local home = M.home(host)
  if name and name:find("/", 1, true) then
    -- no shell has been there when the name comes from a unit file
    if home and name:sub(1, 2) == "~/" then return home .. name:sub(2) end
    return name
  end
  local config = host.env("XDG_CONFIG_HOME")
  if not config or config:sub(1, 1) ~= "/" then config = home and home .. "/.config" end
  return config and ("%s/directmail/%s.lua"):format(config:gsub("/+$", ""), name or DEFAULT)
end

-- The line that sets `name`, or nil: the last that begins with it, else the last that holds it outside of a comment.
local function line_of(text, name)
  if not name:find "^[%a_][%w_]*$" then return nil end
  local number, first, inside = 0, nil, nil
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    line = line .. " "          -- `name =` may end a line
    if line:find("^%s*" .. name .. "%s*=[^=]") then first = number
    elseif line:gsub("%-%-.*", ""):find("[%s{,;]" .. name .. "%s*=[^=]") then inside = number end
  end
  return first or inside
end

-- Lua's message without what it quotes of the text: `near '"s3cret'` and `constant 's3cret'` would show a password.
local function complaint(shown, message)
  local line, said = message:match "^profile:(%d+): (.*)$"
  said = (said or message):gsub(" near .*", ""):gsub("constant '.*'", "a constant")
  return ("%s%s: %s"):format(shown, line and ":" .. line or "", said)
end

--- Read the profile.
-- @tparam string|nil name the setting `profile`; nil for the default, which may be absent
-- @tparam string|nil from where the name came from, for the errors
-- @tparam table host `env`, `log`
-- @tparam {string,...} known names that may stand in it
-- @treturn[1] table `{ path = as shown, values = name -> value, from = function(name) -> "~/…/profile.lua:4", exposed = its
--   mode as text when others may read it }`
-- @treturn[2] nil when there is no default profile
-- @treturn[3] nil
-- @treturn[3] table a directmail.err
function M.read(name, from, host, known)
  if name == "" then return refuse("OPTION", ("profile (from %s) is empty"):format(from), "give a name or a path, or leave it away") end
  local path = M.path(name, host)
  if not path then
    if not name then return nil end
    return refuse("OPTION", ('the profile "%s" (from %s) cannot be found: HOME is not set'):format(name, from), "give its whole path")
  end
  local shown = M.shown(path, host)
  local values, meta, why, remedy = (host.profile or core.profile)(path, limits.profile_octets, limits.profile_instructions)
  if not values then
    local code = meta
    if code == "ABSENT" and not name then return nil end
    local about = name and ("the profile %s (from %s)"):format(shown, from) or "the profile " .. shown
    if code == "LUA" then
      return refuse("OPTION", complaint(shown, why), 'a profile is a list of settings, such as region = "ap-southeast-1"; it has no functions to call')
    end
    if code == "ABSENT" then
      code = "FILE"
      if not name:find("/", 1, true) then remedy = "write it there, or give a path that holds a /" end
    end
    return refuse(code, about .. " " .. why, remedy)
  end
  local allowed, wrong, at = {}, nil, nil
  for _, one in ipairs(known) do allowed[one] = true end
  for one in pairs(values) do
    if not allowed[one] then
      local line = line_of(meta.text, one) or math.huge
      -- the order of pairs is not ours: of several the uppermost is reported each time
      if not wrong or line < at or (line == at and one < wrong) then wrong, at = one, line end
    end
  end
  local function place(line) return line and line < math.huge and ("%s:%d"):format(shown, line) or shown end
  if wrong then
    local near = option.nearest(wrong, known)
    return refuse("OPTION", ('unknown setting "%s" in %s%s'):format(#wrong > 64 and wrong:sub(1, 64) .. "..." or wrong, place(at),
      near and (' (did you mean "%s"?)'):format(near) or ""), "a profile may hold: " .. table.concat(known, ", "))
  end
  return {
    path = shown, values = values, exposed = meta.exposed and meta.mode or nil,
    from = function(one) return place(line_of(meta.text, one)) end,
  }
end

return M
