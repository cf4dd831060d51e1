--- What plain Lua can tell about the machine, the same in every home that has one: files and the full host name.
-- @module directmail.host.machine
local M = {}

--- The whole file.
-- @tparam string path
-- @tparam[opt] integer max octets; a larger file is refused
-- @return bytes; or nil and why: "is a directory", "no such file or directory" …
function M.read(path, max)
  local file, why = io.open(path, "rb")
  local bytes
  if file then
    bytes, why = file:read(max and max + 1 or "*a")
    file:close()
    if not bytes and not why and max then bytes = "" end        -- read(n) says nil at the end of an empty file
  else
    local prefix = path .. ": "
    if why:sub(1, #prefix) == prefix then why = why:sub(#prefix + 1) end
  end
  if not bytes then return nil, (why or "cannot be read"):lower() end
  if max and #bytes > max then return nil, ("larger than %d octets"):format(max) end
  return bytes
end

--- The machine's full name, with a dot, or nil. Asks no name server: a start must not hang on one.
-- @tparam ?string name as the system says it, often without its domain
function M.full_name(name)
  if not name or name == "localhost" then return nil end
  if name:find("%.[^.]") then return name end
  for line in (M.read("/etc/hosts", 1048576) or ""):gmatch("[^\r\n]+") do
    local known, full = false, nil
    for word in line:gsub("#.*", ""):gmatch("%S+") do
      if word == name then known = true end
      if not full and word:find("%a") and word:find("^[%w-]+%.[%w.-]*%w$") and word ~= "localhost.localdomain" then full = word end
    end
    if known and full then return full end
  end
  return nil
end

return M
