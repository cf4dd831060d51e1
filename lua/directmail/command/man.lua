--- The manual page, made of the same declarations as the help.
-- The help of each command is read back, so a page never says what `--help` does not. Its language is mdoc(7), which groff and
-- mandoc both read: https://man.openbsd.org/mdoc.7, https://man.openbsd.org/mandoc_char.7
-- @module directmail.command.man
local commands = require "directmail.command"
local exit = require "directmail.command.exit"
local help = require "directmail.command.help"

local M = {}

-- ---- the help of a command, read back --------------------------------------------

-- Blocks of a help: { usage = {line…} }, { title =, items = { { label, description }… } }, { text = paragraph }.
local function read(text)
  local blocks, block = {}, nil
  local function begin(new)
    blocks[#blocks + 1] = new
    block = new
  end
  local function item_of(line)
    local items = block.items
    local last = items[#items]
    local blanks, rest = line:match "^( *)(.*)$"
    if last and last[1]:find ",$" then                           -- its other name stands on the next line
      last[1] = last[1] .. " " .. rest
    elseif last and #blanks == commands.APART then
      last[2] = last[2] == "" and rest or last[2] .. " " .. rest
    else
      local label, description = rest:match "^(.-)%s%s+(.*)$"
      items[#items + 1] = { label or rest, description or "" }
    end
  end
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local words = line:match "^Usage: (.*)$"
    if words then begin { usage = { words } }
    elseif line == "" then block = nil
    elseif line:find "^%S.*:$" then begin { title = line:sub(1, -2), items = {} }
    elseif block and block.usage then block.usage[#block.usage + 1] = line:match "^%s*(.*)$"
    elseif line:find "^ " then
      if not (block and block.items) then begin { items = {} } end
      item_of(line)
    elseif block and block.text then block.text = block.text .. " " .. line
    else begin { text = line } end
  end
  return blocks
end

-- The settings as options, label -> description, and their labels in order: many commands have them, and the page has them once.
local function shared()
  local parser = require "argparse" "directmail"
  parser:add_help(false):help_description_margin(commands.APART)
  require "directmail.command.settings".declare(parser)
  local list = {}
  for _, block in ipairs(read(parser:get_help())) do
    for _, item in ipairs(block.items or {}) do
      list[#list + 1] = item
      list[item[1]] = item[2]
    end
  end
  return list
end

-- argparse's syntax of a command without its options, which follow one by one.
local function brief(lines)
  local words = table.concat(lines, " "):gsub("%b[]", function(part) return part:find "^%[%-" and "" or part end):gsub("%s+", " ")
  return { (words:gsub("^directmail %S+", "%0 [OPTIONS]"):gsub("%s+$", "")) }
end

-- ---- mdoc -------------------------------------------------------------------------

local SPECIAL = { ["\\"] = "\\e", ["-"] = "\\-", ["'"] = "\\(aq", ["`"] = "\\(ga", ["^"] = "\\(ha", ["~"] = "\\(ti", ['"'] = "\\(dq" }

-- Words as they stand: nothing of them is a macro, an escape, a quote that becomes another one, or a hyphen that is none.
local function escaped(text)
  text = text:gsub("[\\'`^~\"-]", SPECIAL):gsub(utf8.charpattern, function(c)
    return #c > 1 and ("\\[u%04X]"):format(utf8.codepoint(c)) or nil
  end)
  return (text:gsub("^%.", "\\&."))
end

-- The same as one argument of a macro; "\&" so that a word such as Ar or a lone "|" means nothing.
local function argument(text) return ('"\\&%s"'):format(escaped(text)) end

-- An option with what stands for its value, as the arguments of .It: `-v, --verbose`, `--region ID`.
local function label(text)
  local out = {}
  for word in text:gmatch "%S+" do
    local bare = word:gsub(",$", "")
    out[#out + 1] = bare:find "^%-%S" and ('Fl "%s"'):format(escaped(bare:sub(2))) or "Ar " .. argument(bare)
    if bare ~= word then out[#out + 1] = "," end
  end
  return table.concat(out, " ")
end

local Page = {}
Page.__index = Page

function Page:line(...) self[#self + 1] = table.concat({ ... }, " ") end
function Page:section(title) self:line(".Sh", title) end

-- A sentence begins a line: its end is set wider then, and mandoc asks for it.
function Page:text(text) self:line((escaped(text):gsub("(%w[.!?]%)?) (%u)", "%1\n%2"))) end

function Page:paragraph(text)
  self:line ".Pp"
  self:text(text)
end

-- Rows of name and text; 'name_of' makes the arguments of .It out of a name.
function Page:list(rows, name_of)
  self:line ".Bl -tag -width Ds"
  for _, row in ipairs(rows) do
    self:line(".It", name_of(row[1]))
    if row[2] ~= "" then self:text(row[2]) end
  end
  self:line ".El"
end

function Page:literal(lines)
  self:line ".Bd -literal -offset indent"
  for line in table.concat(lines, "\n"):gmatch "[^\n]+" do self:line(escaped(line)) end
  self:line ".Ed"
end

-- Examples with what stands behind them as a line above: beside them it would not fit on a page.
local function example_lines(examples)
  local lines = {}
  for _, line in ipairs(examples) do
    local words, note = line:match "^(.-)%s%s+# (.*)$"
    if note then lines[#lines + 1] = "# " .. note end
    lines[#lines + 1] = words or line
  end
  return lines
end

-- Which of the shared settings a command takes, in a sentence.
local function sentence(taken, settings)
  local missing = {}
  for _, item in ipairs(settings) do
    if not taken[item[1]] then missing[#missing + 1] = item[1]:match "^%S+" end
  end
  if #missing == 0 then return "All options of the settings, which stand below, are taken too." end
  if #missing < #settings / 2 then return "Options of the settings, which stand below, are taken too, but not " .. table.concat(missing, ", ") .. "." end
  local names = {}
  for _, item in ipairs(settings) do
    if taken[item[1]] then names[#names + 1] = item[1]:match "^%S+" end
  end
  return "Of the settings, which stand below, these are taken too: " .. table.concat(names, ", ") .. "."
end

local HELP = "-h, --help"

function Page:command(name, settings)
  local command, taken = commands.load(name), {}
  self:line(".Ss", argument(name))
  self:text(command.summary)
  for _, block in ipairs(read(commands.usage(name, true))) do
    if block.usage then
      self:literal(command.usage and block.usage or brief(block.usage))
    elseif block.text then
      self:paragraph(block.text)
    else
      local own = {}
      for _, item in ipairs(block.items) do
        if settings[item[1]] == item[2] then taken[item[1]] = true
        elseif item[1] ~= HELP then own[#own + 1] = item end
      end
      if own[1] then
        if block.title then self:paragraph(block.title .. ":") end
        self:list(own, label)
      end
    end
  end
  if next(taken) then self:paragraph(sentence(taken, settings)) end
end

-- SOURCE_DATE_EPOCH: two builds of one source are the same, https://reproducible-builds.org/specs/source-date-epoch/
local function date()
  local at = os.date("!*t", tonumber(os.getenv "SOURCE_DATE_EPOCH") or os.time())
  return os.date("!%B ", os.time { year = at.year, month = at.month, day = 15 }) .. ("%d, %d"):format(at.day, at.year)
end

--- The whole page.
-- @tparam string version of directmail
-- @treturn string mdoc, all of it ASCII
function M.page(version)
  local page, settings = setmetatable({}, Page), shared()
  page:line(".Dd", date())
  page:line ".Dt DIRECTMAIL 1"
  page:line(".Os", argument("directmail " .. version))
  page:section "NAME"
  page:line ".Nm directmail"
  page:line(".Nd", escaped(help.PURPOSE))
  page:section "SYNOPSIS"
  page:line ".Nm directmail"
  page:line ".Ar command"
  page:line ".Op Ar options"
  page:line ".Nm directmail"
  page:line '.Op Fl "\\-debug"'
  page:line '.Op Fl "\\-sandbox"'
  page:line ".Ar script"
  page:line ".Op Ar arguments"
  page:section "DESCRIPTION"
  page:line ".Nm"
  page:text("is the command for " .. help.PURPOSE .. ", and a Lua 5.4 that has the library in it.")
  page:list(help.CALLS, argument)
  page:paragraph(help.FIRST_TRY[1])
  page:literal { help.FIRST_TRY[2] }
  page:section "COMMANDS"
  page:text("Each command shows its own help, examples first, when it is called with -h or --help.")
  for _, name in ipairs(commands.commands) do page:command(name, settings) end
  page:section "SETTINGS"
  page:text "An option wins over its variable of the environment, and that over the profile."
  page:list(settings, label)
  page:section "ENVIRONMENT"
  page:text "An empty variable counts as unset."
  page:list(help.VARIABLES, function(name) return "Ev " .. argument(name) end)
  page:section "FILES"
  page:list(help.FILES, function(path) return "Pa " .. argument(path) end)
  page:section "EXIT STATUS"
  page:list(exit.CODES, argument)
  page:paragraph(exit.OTHERS .. ".")
  page:section "EXAMPLES"
  for i, name in ipairs(commands.commands) do
    local command = commands.load(name)
    if i > 1 then page:line ".Pp" end
    page:text(name .. ": " .. command.summary)
    page:literal(example_lines(command.examples))
  end
  page:section "SEE ALSO"
  page:line ".Xr sendmail 8"
  page:paragraph "The service's own documents:"
  page:line ".Lk https://www.alibabacloud.com/help/en/direct\\-mail"
  return table.concat(page, "\n") .. "\n"
end

return M
