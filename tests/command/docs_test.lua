-- What README.md and docs/ list is what there is: settings, variables, codes, commands, files.
local commands = require "directmail.command"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local help = require "directmail.command.help"
local message = require "directmail.message"
local settings = require "directmail.settings"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

-- The first words of the rows of a document's tables, between `…` or bare, name -> true.
local function rows(text)
  local found = {}
  for first in text:gmatch "\n| ([^|\n]+) |" do
    for name in first:gmatch "`([^`]+)`" do found[name] = true end
    if not first:find "`" then found[first] = true end
  end
  return found
end

-- The variables that the sources read.
local function variables()
  local found = {}
  local files = "lua/directmail/settings.lua lua/directmail/credentials* lua/directmail/profile.lua lua/directmail/command/language.lua"
  for name in capture([[grep -rhoE '"(ALIBABA_CLOUD|DIRECTMAIL)_[A-Z0-9_]+"' ]] .. files):gmatch '"([^"]+)"' do found[name] = true end
  return found
end

describe("the documents", function()
  it("list every setting, and none that is not there", function()
    local told, known = rows(read "docs/settings.md":match "\n## The settings\n(.-)\n## "), {}
    for _, name in ipairs(settings.NAMES) do
      known[name] = true
      -- taken by directmail.new, and not in force yet
      if name ~= "transport" then assert.is_truthy(told[name], "docs/settings.md has no row for " .. name) end
    end
    told.option = nil
    for name in pairs(told) do assert.is_truthy(known[name] or name:find "^%-", "docs/settings.md tells of " .. name) end
  end)

  it("list every field of a mail", function()
    local told = rows(read "docs/sending.md":match "\n## One mail\n(.-)\n## ")
    for _, name in ipairs(message.FIELDS) do assert.is_truthy(told[name], "docs/sending.md has no row for " .. name) end
  end)

  it("and `directmail help environment` name the variables that are read", function()
    local listed = {}
    for _, row in ipairs(help.VARIABLES) do listed[row[1]] = true end
    local told, read_ones = read "docs/settings.md", variables()
    for name in pairs(read_ones) do
      assert.is_truthy(listed[name], "help environment does not list " .. name)
      -- the vendor's own are many, and its documents have them
      if name:find "^DIRECTMAIL" then assert.is_truthy(told:find(name, 1, true), "docs/settings.md does not tell of " .. name) end
    end
    for name in pairs(listed) do assert.is_truthy(read_ones[name], name .. " is listed, and nobody reads it") end
  end)

  it("explain every code of an error", function()
    local told, short = rows(read "docs/errors.md"), rows(read "README.md")
    for _, code in ipairs(err.NAMES) do
      assert.is_truthy(told[code], "docs/errors.md does not explain " .. code)
      assert.is_truthy(short[code], "README.md does not explain " .. code)
    end
  end)

  it("have the exit codes of sysexits.h as they are", function()
    local text = read "docs/errors.md"
    for _, row in ipairs(exit.SYSEXITS) do
      assert.is_truthy(text:find(("\n| %s | EX_[A-Z]+ | %s |\n"):format(row[1], (row[2]:gsub("%p", "%%%0")))), row[1] .. " " .. row[2])
    end
  end)

  it("name every command", function()
    local text = read "README.md"
    for _, name in ipairs(commands.commands) do assert.is_truthy(text:find("`" .. name .. "`", 1, true), "README.md does not name " .. name) end
  end)

  it("lead to files and headings that are there", function()
    for path in capture "ls README.md CHANGELOG.md docs/*.md":gmatch "%S+" do
      local folder = path:match "^(.*/)" or ""
      for link in read(path):gsub("\n```.-\n```", ""):gmatch "%]%(([^)%s]+)%)" do
        local target, heading = link:match "^([^#]*)#?(.*)$"
        if not link:find "^%a+:" then
          local file = target == "" and path or folder .. target
          local text = read(file)
          if heading ~= "" then
            local headings = {}
            for line in text:gmatch "\n#+ ([^\n]+)" do headings[line:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")] = true end
            assert.is_truthy(headings[heading], ("%s: %s has no heading #%s"):format(path, file, heading))
          end
        end
      end
    end
  end)

  it("map the folders that there are", function()
    local text = read "README.md"
    for folder in capture "ls -d */":gmatch "([^\n]+)/" do
      if folder ~= "build" then assert.is_truthy(text:find("`" .. folder .. "/", 1, true), "the map leaves out " .. folder) end
    end
    for path in text:match "\n## Map\n(.-)\n## ":gmatch "`([%w/_.-]+/)`" do
      local there = false
      for _, base in ipairs { "", "src/", "lua/directmail/", "tests/" } do
        there = there or capture(("ls -d '%s%s' 2>/dev/null"):format(base, path)) ~= ""
      end
      assert.is_true(there, "the map names " .. path)
    end
  end)
end)
