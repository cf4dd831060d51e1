--- A program that prints a key: `process_command` of the vendor's command line, mode External.
-- The command is split into words as a shell would, but no shell reads it: nothing in it is expanded.
-- @module directmail.credentials.process
local core = require "directmail.core"
local json = require "cjson.safe"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"

local M = {}

-- host.child shares our outputs, so a shell gives the program another one: a file in a private folder, which is removed
-- at once. The words come as arguments, the shell never reads them; our input is not the program's; and a program that
-- never stops printing fills no disk.
local LAUNCH = 'umask 077; ulimit -f 32768; out=$0; exec "$@" </dev/null >"$out"'

--- The words of a command, by the quoting rules of sh (POSIX.1-2017, XCU 2.2); no expansions.
-- @tparam string text
-- @treturn[1] {string,...}
-- @treturn[2] nil
-- @treturn[2] string why not
function M.words(text)
  if text:find "%z" then return nil, "it holds a NUL" end
  local words, word, i = {}, nil, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c:find "[ \t\r\n]" then
      if word then words[#words + 1], word = word, nil end
    elseif c == "'" then
      local stop = text:find("'", i + 1, true)
      if not stop then return nil, "a quote is not closed" end
      word, i = (word or "") .. text:sub(i + 1, stop - 1), stop
    elseif c == '"' then
      word = word or ""
      i = i + 1
      while text:sub(i, i) ~= '"' do
        if i > #text then return nil, "a quote is not closed" end
        if text:find('^\\["\\$`]', i) then i = i + 1 end
        word, i = word .. text:sub(i, i), i + 1
      end
    elseif c == "\\" then
      if i == #text then return nil, "nothing follows its last backslash" end
      word, i = (word or "") .. text:sub(i + 1, i + 1), i + 1
    else
      word = (word or "") .. c
    end
    i = i + 1
  end
  if word then words[#words + 1] = word end
  if #words == 0 then return nil, "it is empty" end
  return words
end

-- What the program printed; nil, why, passing.
local function output_of(host, words)
  local folder, why = host.mkdtemp()
  if not folder then return nil, "there is no private folder for its answer: " .. why, true end
  local path = folder .. "/out"
  local argv = { "/bin/sh", "-c", LAUNCH, path }
  for i = 1, #words do argv[#argv + 1] = words[i] end
  local child
  child, why = host.child(argv)
  local text, late, status
  if child then
    local ended = host.semaphore()
    local guard = host.spawn(function()
      if ended:wait(limits.credentials_process_seconds) then return end
      late = true
      child:kill "KILL"
    end)
    status = child:wait()
    ended:post()
    host.wait(guard)
    text, why = host.read(path, limits.credentials_octets)
  end
  os.remove(path)
  os.remove(folder)
  if not child then return nil, "it could not be run: " .. why, false end
  if late then return nil, ("it did not end within %g s"):format(limits.credentials_process_seconds), true end
  if status == 127 or status == 126 then return nil, ("the program cannot be run (exit status %d)"):format(status), false end
  if status ~= 0 then return nil, ("it ended with exit status %d"):format(status), true end
  if not text then return nil, "its output: " .. why, false end
  return text
end

local function field(answer, name)
  local value = answer[name]
  return type(value) == "string" and value ~= "" and value or nil
end

-- The key in what was printed. Nothing of it is shown.
local function key_of(text)
  local answer = json.decode(text)
  if type(answer) ~= "table" then return nil, "it prints what is no JSON object" end
  local parts = { access_key_id = field(answer, "access_key_id"), access_key_secret = field(answer, "access_key_secret"),
    security_token = field(answer, "sts_token") }
  local mode = field(answer, "mode")
  if mode and mode ~= "AK" and mode ~= "StsToken" then return nil, ('it prints a key of mode "%s", neither AK nor StsToken'):format(key.shown(mode)) end
  for _, name in ipairs { "access_key_id", "access_key_secret" } do
    if not parts[name] then return nil, "it prints no " .. name end
  end
  if mode == "StsToken" and not parts.security_token then return nil, "it prints no sts_token" end
  if mode == "AK" then parts.security_token = nil end
  local date = answer.expiration
  if date ~= nil and date ~= json.null and date ~= "" and date ~= 0 then
    parts.ends = key.seconds(date)
    if not parts.ends then return nil, "it prints an expiration that is no date" end
  end
  return parts
end

--- The source of a program.
-- @tparam table context
-- @tparam string command
-- @tparam string from words
-- @tparam string file where the command stands
-- @treturn[1] table a source
-- @treturn[2] nil
-- @treturn[2] string why not
function M.source(context, command, from, file)
  local host = context.host
  if not host.child then return nil, from .. ": this home (" .. host.name .. ") runs no programs" end
  local words, why = M.words(command)
  if not words then return nil, ("%s: process_command cannot be used: %s"):format(from, why) end
  -- Who may write the file chooses the program. The reader of profiles knows which files only their owner can have
  -- written, and looks at that first; that this one is not Lua comes behind it and is no fault.
  local _, code, fault = core.profile(file, limits.credentials_octets, 1)
  if code == "FILE" then return nil, ("%s: no program is run for a file that %s"):format(from, fault) end
  return {
    from = from, id = key.id("process", command), seconds = limits.credentials_process_seconds,
    fetch = function(now)
      local text, reason, passing = output_of(now.host, words)
      local parts
      if text then parts, reason = key_of(text) end
      if not parts then return nil, "process_command: " .. reason, passing or false end
      return parts
    end,
  }
end

return M
