-- The manual page has every command, option, variable and code that is declared, as a real reader shows it.
local command = require "support.command"
local commands = require "directmail.command"
local exit = require "directmail.command.exit"
local help = require "directmail.command.help"

local folder, source

setup(function()
  folder = command.folder()
  local code, out, talk = command.run { "help", "--man", env = { SOURCE_DATE_EPOCH = "1764028800" } }
  assert.same({ 0, "" }, { code, talk })
  source = out
  command.write(folder .. "/directmail.1", out)
end)
teardown(function() command.remove(folder) end)

local function output(line)
  local pipe = assert(io.popen(("cd %s && %s 2>&1"):format(command.quote(folder), line)))
  local text = pipe:read "a"
  pipe:close()
  return text
end

-- Words with single blanks between.
local function words(text) return (text:gsub("%s+", " ")) end

-- The page as it is read, title -> words; those of a command under its name.
local function sections()
  local found, at, under = {}, nil, nil
  for line in output "mandoc -T utf8 -O width=800 directmail.1 | col -bx":gmatch "[^\n]+" do
    local title, name = line:match "^(%u[%u ]+)$", line:match "^   (%l+)$"
    if title then at, under = title, nil
    elseif name and at == "COMMANDS" then under = name
    else
      local key = under or at
      if key then found[key] = (found[key] or "") .. " " .. line end
    end
  end
  for name, text in pairs(found) do found[name] = words(text) end
  return found
end

local function has(text, wanted, where)
  assert.is_truthy(text and text:find(words(wanted), 1, true), ("%s does not say %q"):format(where, wanted))
end

-- What a command declares, as argparse holds it: list of { names, description }.
local function declared(name)
  local parser = require "argparse" "x"
  parser:add_help(false)
  local one = commands.load(name)
  local declare = one.parser or one.complete
  declare(parser)
  local list = {}
  for _, option in ipairs(parser._options) do
    if not option._hidden then list[#list + 1] = { option._public_aliases, option._description } end
  end
  return list, one.parser ~= nil
end

describe("the manual page", function()
  it("pleases mandoc and groff", function()
    assert.equal("", output "mandoc -T lint -W warning directmail.1")
    assert.equal("", output "groff -man -ww -z -Tutf8 directmail.1")
    assert.equal("", output "LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l directmail.1 >/dev/null")
  end)

  it("is ASCII, and the same whenever SOURCE_DATE_EPOCH is", function()
    assert.is_nil(source:find "[\128-\255]")
    assert.matches("^%.Dd November 25, 2025\n%.Dt DIRECTMAIL 1\n%.Os \"\\&directmail [%d.]+\"\n", source)
  end)

  it("has the sections that readers look for, in their order", function()
    local order = {}
    for title in source:gmatch "\n%.Sh ([^\n]+)" do order[#order + 1] = title end
    assert.same({ "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "SETTINGS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO" }, order)
  end)

  it("tells every command with every option", function()
    local page, options = sections(), 0
    for _, name in ipairs(commands.commands) do
      has(page[name], commands.load(name).summary, name)
      local list, whole = declared(name)
      for _, one in ipairs(list) do
        local names, description = one[1], one[2]
        local told = page[name] .. page.SETTINGS
        for _, alias in ipairs(names) do
          assert.is_truthy((told .. " "):find(alias:gsub("%p", "%%%0") .. "[ ,]"), ("%s does not tell of %s"):format(name, alias))
        end
        if description and whole then has(told, description, name .. " " .. names[1]) end
        options = options + 1
      end
    end
    assert.is_true(options > 300, options)
    for _, text in ipairs { "-f, -r ADDR sender of the envelope", "76 unknown: the mail may have arrived" } do has(page.sendmail, text, "sendmail") end
    has(page.api, "--params JSON|@FILE|- parameters as a JSON object", "api")
    has(page.list, "directmail list [OPTIONS] [<action>] [<what>]", "list")
  end)

  it("says of each command which settings it takes", function()
    local page = sections()
    has(page.send, "All options of the settings, which stand below, are taken too.", "send")
    has(page.doctor, "are taken too, but not --only.", "doctor")
    has(page.sign, "Of the settings, which stand below, these are taken too: --api, --access-key-id, --profile.", "sign")
    has(page.SETTINGS, "--region ID region of the account", "SETTINGS")
    assert.is_nil(page.send:find("--region ID", 1, true))
    assert.is_nil(page.version:find("settings", 1, true))
  end)

  it("has the variables, the files, the codes and the examples", function()
    local page = sections()
    for _, row in ipairs(help.VARIABLES) do has(page.ENVIRONMENT, row[1] .. " " .. row[2], "ENVIRONMENT") end
    for _, row in ipairs(help.FILES) do has(page.FILES, row[1] .. " " .. row[2], "FILES") end
    for _, row in ipairs(exit.CODES) do has(page["EXIT STATUS"], row[1] .. " " .. row[2], "EXIT STATUS") end
    for _, name in ipairs(commands.commands) do
      for _, example in ipairs(commands.load(name).examples) do has(page.EXAMPLES, example:gsub("%s%s+# .*$", ""), "EXAMPLES of " .. name) end
    end
    has(page.EXAMPLES, "# in php.ini sendmail_path =", "EXAMPLES")
  end)

  it("names the files that are looked for", function()
    local _, out = command.run { "config", "show" }
    for _, row in ipairs(help.FILES) do
      if not row[1]:find("*", 1, true) then has(out, row[1], "config show") end
    end
    local profile, host = require "directmail.profile", { env = function(name) return name == "HOME" and "/home/ann" or nil end }
    local place = profile.shown(profile.path(nil, host), host):match "^.*/"
    for i = 1, 3 do assert.equal(place, help.FILES[i][1]:sub(1, #place)) end
  end)

  it("is whole: one command's page is none", function()
    local code, out, talk = command.run { "help", "send", "--man" }
    assert.same({ 2, "" }, { code, out })
    assert.matches("%-%-man is the page of all commands, not of send alone", talk)
  end)
end)

describe("words of the page", function()
  local man = require "directmail.command.man"
  local summary, config = nil, commands.load "version"
  before_each(function() summary = config.summary end)
  after_each(function() config.summary = summary end)

  it("are shown as they are, whatever they hold", function()
    for _, text in ipairs { ".Sh NO", "'br", [[a \fB\n\(em back\slash]], [["quoted" 'single' `back` a^b ~c -- -x]], "发票 → … é", ".", "Ar", "| Fl Ar" } do
      config.summary = text
      command.write(folder .. "/odd.1", man.page "0")
      assert.equal("", output "mandoc -T lint -W warning odd.1")
      has(words(output "mandoc -T utf8 -O width=800 odd.1 | col -bx"), "version " .. text, "the page")
      has(words(output "groff -man -ww -Tutf8 -P-cbou -rHY=0 -rLL=800n odd.1"), "version " .. text, "groff's page")
    end
  end)
end)
