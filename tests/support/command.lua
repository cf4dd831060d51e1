--- Run the directmail command and see what it says.
local M = {}

local pwd = io.popen "pwd"
local root = pwd:read "l"
pwd:close()

--- The command under test; DIRECTMAIL names another build's.
M.exe = os.getenv "DIRECTMAIL" or root .. "/build/directmail"

function M.quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

function M.write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
end

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

--- A private folder; remove it with `M.remove`.
function M.folder()
  local pipe = io.popen "mktemp -d"
  local path = pipe:read "l"
  pipe:close()
  return assert(path, "mktemp made no folder")
end

function M.remove(path) os.execute("rm -rf " .. M.quote(path)) end

--- Run it with a clean environment.
-- @tparam table words the arguments, and by name: `env` = variables, `stdin` = bytes, `cd` = a folder, `exe` = another program,
--   `stdout` = a file instead of the answer
-- @return exit status (128+n for signal n), stdout, stderr
function M.run(words)
  local folder = M.folder()
  M.write(folder .. "/in", words.stdin or "")
  local parts = { "cd", M.quote(words.cd or root), "&& env -i HOME=" .. M.quote(folder), 'PATH="$PATH" LC_ALL=C.UTF-8 ALIBABA_CLOUD_ECS_METADATA_DISABLED=true' }
  for _, name in ipairs { "ASAN_OPTIONS", "LD_PRELOAD", "LSAN_OPTIONS" } do        -- a build under sanitizers
    if os.getenv(name) then parts[#parts + 1] = ('%s="$%s"'):format(name, name) end
  end
  for name, value in pairs(words.env or {}) do parts[#parts + 1] = name .. "=" .. M.quote(value) end
  parts[#parts + 1] = "timeout -k 5 60 " .. M.quote(words.exe or M.exe)
  for _, word in ipairs(words) do parts[#parts + 1] = M.quote(word) end
  local _, how, status = os.execute(("%s <%s/in >%s 2>%s/err"):format(table.concat(parts, " "), folder,
    words.stdout or folder .. "/out", folder))
  local out, err = words.stdout and "" or M.read(folder .. "/out"), M.read(folder .. "/err")
  M.remove(folder)
  return how == "signal" and 128 + status or status, out, err
end

return M
