--- Run the code blocks of documents and print TAP.
-- Usage, inside a sandbox: directmail sandbox -- lua5.4 tests/support/readme.lua FILE.md...
--   lua      a script; its output must equal the `text` block behind it, if one is there. One that does not name
--            `require "directmail"` gets `directmail` and `mail`, as the document says
--   sh       runs without an error; of a line that begins with `make` it is only checked that make
--            knows what to do, since this runs inside `make check`
--   js       a script for Node, with the packages of tests/node
--   console  `$ COMMAND` and the output that it must have
-- All run in a folder with examples/, hello.lua (the last whole script) and password.txt (the sandbox's); $WEB is the
-- address of the sandbox's inbox. Before each document its mails are forgotten.
-- Times, ports, ids, keys and temporary folders differ from run to run and are compared as such.

local n, bad = 0, 0

local function claim(ok, name, why)
  n = n + 1
  if not ok then bad = bad + 1 end
  print(("%s %d - %s"):format(ok and "ok" or "not ok", n, name))
  if not ok and why then print((("# " .. why):gsub("\n", "\n# "))) end
end

local function same_shape(text)
  return (text:gsub("%d+%.%d+ s", "N s"):gsub("\n +%d+%.%d%d%d ", "\nSECONDS "):gsub("^ +%d+%.%d%d%d ", "SECONDS ")
    :gsub("%f[%d]%d%d:%d%d:%d%d%f[%D]", "TIME"):gsub("<[%w._-]+@", "<ID@")
    :gsub("%f[%d]6%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%f[%D]", "ENVID")
    :gsub("%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x", "REQUEST")
    :gsub("127%.0%.0%.1:%d+", "127.0.0.1:PORT"):gsub("/tmp/[%w._/-]*directmail%-%w+", "/tmp/directmail-DIR"):gsub("LTAI%*+%w+", "LTAI*")
    :gsub("  +", "  "):gsub("[ \t]+\n", "\n"):gsub("^%s*\n", ""):gsub("%s*$", "\n"))
end

local work = os.tmpname()
os.remove(work)
assert(os.execute("mkdir -m 700 " .. work))

local root = os.getenv "PWD"

-- The sandbox notes its addresses in its log, beside its certificate.
local log = assert(io.open((assert(os.getenv "DIRECTMAIL_CA", "run me inside a sandbox"):gsub("[^/]*$", "log.jsonl"))))
local web = assert(log:read "l":match '"web":"([^"]*)/"', "the log does not begin with the addresses"):gsub("\\", "")
log:close()

--- Run a command with both outputs together; returns success and the text.
local function run(command)
  local pipe = assert(io.popen(("cd %s && export WEB=%s && { %s\n} 2>&1 </dev/null"):format(work, web, command)))
  local text = pipe:read "a"
  return pipe:close() == true, text
end

local function save(name, text)
  local path = work .. "/" .. name
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
  return path
end

os.execute(("ln -s '%s/examples' %s/examples"):format(root, work))
save("password.txt", os.getenv "DIRECTMAIL_SMTP_PASSWORD" .. "\n")

local function blocks(path)
  local list, open, line_number = {}, nil, 0
  for line in io.lines(path) do
    line_number = line_number + 1
    local kind = line:match "^```(.*)$"
    if open and kind == "" then
      open.text = table.concat(open, "\n") .. "\n"
      list[#list + 1] = open
      open = nil
    elseif open then
      open[#open + 1] = line
    elseif kind then
      open = { kind = kind, where = ("%s:%d"):format(path, line_number) }
    end
  end
  assert(not open, path .. ": a code block has no end")
  return list
end

local function compare(name, ok, found, wanted)
  if not ok then
    claim(false, name, found)
  else
    claim(same_shape(found) == same_shape(wanted), name, "printed:\n" .. found .. "but the document says:\n" .. wanted)
  end
end

local runners = {}

local PRELUDE = 'local directmail = require "directmail"; local mail = assert(directmail.new()); '

function runners.lua(block, following)
  local whole = block.text:find 'require "directmail"'
  local ok, found = run("directmail " .. save(whole and "hello.lua" or "block.lua", whole and block.text or PRELUDE .. block.text))
  if following and following.kind == "text" then
    compare(block.where .. " prints what stands behind it", ok, found, following.text)
  else
    claim(ok, block.where .. " runs", found)
  end
end

function runners.js(block)
  local ok, found = run(("NODE_PATH='%s/tests/node/node_modules' node %s"):format(root, save("mail.cjs", block.text)))
  claim(ok, block.where .. " runs", found)
end

function runners.sh(block)
  local script = { "set -e" }
  for line in block.text:gmatch "[^\n]+" do
    if line:find "^make%f[%s]" then
      script[#script + 1] = "make -C '" .. root .. "' -n >/dev/null" .. line:sub(5)
    elseif not line:find "^git clone " and not line:find "^cd " then
      script[#script + 1] = line
    end
  end
  local ok, found = run("sh " .. save("block.sh", table.concat(script, "\n") .. "\n"))
  claim(ok, block.where .. " runs", found)
end

function runners.console(block)
  local command, output
  local function finish()
    if not command then return end
    local _, found = run(command)
    compare(block.where .. " $ " .. command, true, found, table.concat(output, "\n") .. "\n")
  end
  for line in block.text:gmatch "([^\n]*)\n" do
    local next_command = line:match "^%$ (.*)$"
    if next_command then
      finish()
      command, output = next_command, {}
    elseif command then
      output[#output + 1] = line
    end
  end
  finish()
end

for _, path in ipairs(arg) do
  local list = blocks(path)
  run 'curl -sS -X DELETE "$WEB/mails"; curl -sS -X PUT -d "" "$WEB/faults"'
  for i, block in ipairs(list) do
    local runner = runners[block.kind]
    if runner then runner(block, list[i + 1]) end
  end
end
os.execute("rm -rf " .. work)
print("1.." .. n)
os.exit(bad == 0)
