--- `directmail config`: every setting with the place it came from, and a first profile.
-- @module directmail.command.config
local credentials = require "directmail.credentials"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local host = require "directmail.host"
local profile = require "directmail.profile"
local region = require "directmail.region"
local settings = require "directmail.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "config",
  summary = "show every setting and where it came from; write a profile",
  examples = {
    "directmail config show",
    "directmail config init                                        # five questions make a profile; then directmail doctor",
    "directmail config init --profile staging --region eu-central-1",
    "DIRECTMAIL_PROFILE=staging directmail config show --json      # ~/.config/directmail/staging.lua",
  },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "action" :args "?"
    :description "show the settings; or init: answer five questions at a terminal, which make the profile (mode 600), then see what doctor says"
  parser:argument "surplus" :args "*" :hidden(true)
  parser:flag "--json" :description "show: answer as one JSON object"
  parser:flag "--force" :description "init: replace a profile that is there without asking"
  parser:flag "--no-doctor" :description "init: write the profile, ask nobody whether it works"
  require "directmail.command.settings".declare(parser)
end

-- What people look for first, shown even when nothing is set; then the rest by name.
local FIRST = { "profile", "region", "sender", "access_key_id", "access_key_secret", "security_token", "smtp", "smtp_user", "smtp_password", "ca" }
local UNSET = {
  region = "set DIRECTMAIL_REGION or use --region; directmail route helps to choose",
  sender = "set DIRECTMAIL_SENDER or use --sender", smtp_password = "needed to send by SMTP: DIRECTMAIL_SMTP_PASSWORD",
}

local KEY = { access_key_id = true, access_key_secret = true, security_token = true }

-- An option of the command is said as it was written.
local function source(from) return (from:gsub("^option (.*)", function(name) return "--" .. name:gsub("_", "-") end)) end

-- `{ {setting=, value=, from=, notes={…}}… }` of the settings, and the variables that are ignored; or nil, err.
local function collect(values)
  local _, wrong = region.of(values)
  if wrong then return nil, wrong end
  local key, tried, e = credentials.search(values, host)
  if e then return nil, e end
  local from = setmetatable({}, { __index = values.from })
  local all = setmetatable({}, { __index = values })
  for name in pairs(KEY) do
    -- half a key, or one that a whole key of another source replaced, is told in the notes
    all[name] = key and key[name] or false
    if key then from[name] = key[name] and values[name] == key[name] and values.from[name] or key.from end
  end
  local rows, done = {}, { from = true, unused = true }
  local function add(name, always)
    done[name] = true
    local value = all[name]
    local row = { setting = name }
    if name == "access_key_id" then
      row.notes = #tried > 0 and tried or nil
      row.from = "not found"
    elseif values.unused[name] then
      row.notes = { values.unused[name] }
    end
    if name == "access_key_id" and key and key.fetch then
      row.value, row.from = "temporary", key.from .. "; asked for when it is needed"
    elseif value ~= nil and not (KEY[name] and value == false) then
      row.value, row.from = settings.shown(name, value), source(from[name])
    elseif name == "ca" then
      row.value, row.from = "system store", "default"
    elseif name == "profile" then
      local path = profile.path(nil, host)
      row.from = path and "there is no " .. profile.shown(path, host) or "HOME is not set"
    elseif not (always or row.notes) then
      return
    end
    row.from = row.from or UNSET[name] or "not set"
    rows[#rows + 1] = row
  end
  for _, name in ipairs(FIRST) do add(name, UNSET[name] or name == "access_key_id") end
  for _, name in ipairs(settings.NAMES) do
    if not done[name] then add(name) end
  end
  return rows
end

local LABEL = { access_key_id = "access key", access_key_secret = "access key secret" }

local function print_table(rows, ignored)
  local lines = { { "setting", "value", "from" } }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = { LABEL[row.setting] or row.setting:gsub("_", " "), row.value or "-", row.from }
    for _, note in ipairs(row.notes or {}) do lines[#lines + 1] = { "", "", "(" .. note .. ")" } end
  end
  for _, one in ipairs(ignored) do lines[#lines + 1] = { "ignored", one.name, "old spelling: use " .. one.use } end
  local wide = { 0, 0 }
  for _, line in ipairs(lines) do
    for i = 1, 3 do line[i] = err.printable(line[i]) end
    for i = 1, 2 do wide[i] = math.max(wide[i], utf8.len(line[i])) end
  end
  local function cell(word, width) return word .. (" "):rep(width - utf8.len(word)) end
  for _, line in ipairs(lines) do print(("%s  %s  %s"):format(cell(line[1], wide[1]), cell(line[2], wide[2]), line[3])) end
end

-- Which options are whose.
local OWN = { json = "show", force = "init", no_doctor = "init" }

local function init(args, options, place)
  local ok, e = require "directmail.command.interview".run(options, args.force)
  if not ok then return nil, e end
  if args.no_doctor then return exit.OK end
  return require "directmail.command".main({ "doctor", args.profile and "--profile=" .. args.profile }, place)
end

function M.run(args, place)
  local action = args.action
  if action ~= "show" and action ~= "init" then
    return usage.wrong(action and ('config knows no "%s"%s'):format(err.printable(action), usage.did_you_mean(action, { "show", "init" }))
      or "config: what to do with it is missing", "directmail config show, or directmail config init")
  end
  for name, whose in pairs(OWN) do
    if args[name] and whose ~= action then
      return usage.wrong(("--%s is no option of config %s"):format(name:gsub("_", "-"), action), "directmail config --help tells whose it is")
    end
  end
  local options, e = require "directmail.command.settings".options(args)
  if not options then return nil, e end
  if action == "init" then return init(args, options, place) end
  local values, rows
  values, e = settings.read(options, host, 1)
  if not values then return nil, e end
  rows, e = collect(values)
  if not rows then return nil, e end
  local ignored = credentials.ignored(host)
  if args.json then print(text.json(true, { settings = rows, ignored = ignored })) else print_table(rows, ignored) end
  return exit.OK
end

return M
