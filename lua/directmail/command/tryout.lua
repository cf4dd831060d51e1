--- `directmail --sandbox SCRIPT`: run a script against a private sandbox, then show what it sent.
-- @module directmail.command.tryout
local child = require "directmail.command.child"
local err = require "directmail.err"
local help = require "directmail.command.help"
local text = require "directmail.command.text"

local M = {}

local SELF = "/proc/self/exe"
local SHOWN = 100       -- mails that are shown one by one

-- The environment of the script. None of our own settings stays: an AccessKey, a password, a store or a proxy would lead to the real
-- account. Profiles are looked for in the sandbox's folder, where there are none.
local function environment(box)
  local env = {}
  for _, row in ipairs(help.VARIABLES) do env[row[1]] = "" end          -- an empty one counts as unset
  env.ALIBABA_CLOUD_LANGUAGE = nil
  env.XDG_CONFIG_HOME = box.dir .. "/none"
  env.ALIBABA_CLOUD_CLI_PROFILE_DISABLED, env.ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true", "true"
  env.ALIBABA_CLOUD_CREDENTIALS_FILE = box.dir .. "/none"
  for name, value in pairs(box.env) do env[name] = value end
  return env
end

-- A mail in two lines or three.
local function show(mail, write)
  local to = {}
  for i, address in ipairs(mail.to) do to[i] = err.printable(address) end
  write(("%-4s  %s → %s\n"):format(mail.via, err.printable(mail.from or ""), table.concat(to, ", ")))
  write(("      %s   %s\n"):format(mail.subject == "" and "(no subject)" or '"' .. err.printable(mail.subject) .. '"', text.size(#mail.raw)))
  local files = {}
  for i, file in ipairs(mail.attachments or {}) do
    files[i] = ("%s (%s)"):format(err.printable(file.name or file.cid or "without a name"), text.size(#(file.data or "")))
  end
  if files[1] then write("      attached: " .. table.concat(files, ", ") .. "\n") end
end

local function summary(box)
  local function write(line) io.stderr:write(line) end
  local list = box.store:all()
  if #list == 0 then
    write "sandbox: the script sent no mail\n"
    return
  end
  write(("sandbox: the script sent %d mail%s, and nothing left this machine\n"):format(#list, #list == 1 and "" or "s"))
  for i = 1, math.min(#list, SHOWN) do
    local mail, why = box.store:open(list[i].id)
    if mail then show(mail, write) else write(("      %s: %s\n"):format(list[i].id, why)) end
  end
  if #list > SHOWN then write(("      and %d more\n"):format(#list - SHOWN)) end
end

--- Run a script.
-- @tparam {string,...} argv our own words; from index `at` on the script and its arguments
-- @tparam integer at
-- @tparam boolean all show our own frames in a traceback
-- @treturn integer the script's exit code; or nil, err
function M.run(argv, at, all)
  local host = require "directmail.host"
  -- the script's files are its own business; only what the sandbox writes is nobody else's
  local old = host.umask(tonumber("077", 8))
  local box, why = require "directmail.sandbox".start { host = host }
  if not box then return nil, why end
  local words = { SELF }
  if all then words[2] = "--debug" end
  table.move(argv, at, #argv, #words + 1, words)
  local signal = host.spawn(host.signal, "TERM", "INT")
  local env = environment(box)
  host.umask(old)
  -- the sandbox goes on writing, in a folder of mode 700
  local ran, status, e = pcall(child.run, host, words, env, signal)
  if ran and status then summary(box) end
  box:stop()
  if not ran then error(status, 0) end
  return status, e
end

return M
