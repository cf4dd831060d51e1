-- embed.lua - write the files of lua/ as C text, for main.c to include.
--
--     lua5.4 src/cli/embed.lua lua/directmail/init.lua lua/directmail/err.lua … > build/embed.inc
--
-- A file that does not parse ends the build here, with its line.

-- One C literal a source line. Octal, since a hexadecimal escape has no end;
-- "?" too, because C11 still reads trigraphs.
local function literal(line)
  return '"' .. line:gsub('[%c"\\?\127-\255]', function(c) return ("\\%03o"):format(c:byte()) end) .. '"'
end

local files = {}
for _, path in ipairs(arg) do
  local place = path:match "^lua/(.+)%.lua$" or path:match "/lua/(.+)%.lua$"
  if not place then
    io.stderr:write(("embed.lua: %s does not lie in lua/\n"):format(path))
    os.exit(1)
  end
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  assert(load(text, "@" .. path, "t"))
  files[#files + 1] = { name = place:gsub("/init$", ""):gsub("/", "."), chunk = "=" .. place .. ".lua", text = text }
end
if #files == 0 then
  io.stderr:write "embed.lua: no file of lua/ was named\n"
  os.exit(1)
end

print "/* made by src/cli/embed.lua */"
print "static const embedded embedded_files[] = {"
for _, file in ipairs(files) do
  print(("    { %s, %s,"):format(literal(file.name), literal(file.chunk)))
  for line in file.text:gmatch "[^\n]*\n?" do
    if line ~= "" then print("      " .. literal(line)) end
  end
  print(('      "", %d },'):format(#file.text))
end
print "};"
