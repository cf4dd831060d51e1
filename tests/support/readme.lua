--- Run the code blocks of documents and print TAP.
-- Usage, inside a sandbox: directmail sandbox -- lua5.4 tests/support/readme.lua FILE.md...
--   lua      a whole script; its output must equal the `text` block behind it, if one is there
--   sh       runs without an error; of a line that begins with `make` it is only checked that make
--            knows what to do, since this runs inside `make check`
--   console  `$ COMMAND` and the output that it must have
-- All run in a folder with examples/, hello.lua (the last lua block) and password.txt (the sandbox's).
-- Times, ports, ids and temporary folders differ from run to run and are compared as such.

local n, bad = 0, 0

local function claim(ok, name, why)
  n = n + 1
  if not ok then bad = bad + 1 end
  print(("%s %d - %s"):format(ok and "ok" or "not ok", n, name))
  if not ok and why then print((("# " .. why):gsub("\n", "\n# "))) end
end

local function same_shape(text)
  return (text:gsub("%d+%.%d+ s", "N s"):gsub("<[%w._-]+@", "<ID@")
    :gsub("%f[%d]6%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%f[%D]", "ENVID")
    :gsub("127%.0%.0%.1:%d+", "127.0.0.1:PORT"):gsub("/tmp/[%w._-]+", "/tmp/DIR")
    :gsub("[ \t]+\n", "\n"):gsub("^%s*\n", ""):gsub("%s*$", "\n"))
end

local work = os.tmpname()
os.remove(work)
assert(os.execute("mkdir -m 700 " .. work))

local root = os.getenv "PWD"

--- Run a command with both outputs together; returns success and the text.
local function run(command)
  local pipe = assert(io.popen(("cd %s && { %s\n} 2>&1 </dev/null"):format(work, command)))
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
save("password.txt", assert(os.getenv "DIRECTMAIL_SMTP_PASSWORD", "run me inside a sandbox") .. "\n")

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

function runners.lua(block, following)
  local ok, found = run("directmail " .. save("hello.lua", block.text))
  if following and following.kind == "text" then
    compare(block.where .. " prints what stands behind it", ok, found, following.text)
  else
    claim(ok, block.where .. " runs", found)
  end
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
  for i, block in ipairs(list) do
    local runner = runners[block.kind]
    if runner then runner(block, list[i + 1]) end
  end
end
os.execute("rm -rf " .. work)
print("1.." .. n)
os.exit(bad == 0)
