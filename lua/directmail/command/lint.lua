--- `directmail lint`: what filters and readers will dislike about a mail.
-- @module directmail.command.lint
local cjson = require "cjson"
local data = require "directmail.command.data"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local language = require "directmail.command.language"
local limits = require "directmail.data.limits"
local lint = require "directmail.lint"
local settings = require "directmail.command.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "lint",
  summary = "what spam filters and readers will dislike about a mail",
  examples = {
    "directmail lint newsletter.html --kind bulk --subject 'News of May'",
    "directmail lint mail.eml --links",
    "directmail lint welcome.mustache --data ann.json     # filled in; without --data as a template",
    "directmail lint *.eml --format gnu                   # for editors and CI",
    "directmail lint mail.eml --spamd 127.0.0.1:783       # and SpamAssassin's verdict",
    "directmail doctor --only dns --json > d.json; directmail lint mail.eml --doctor d.json",
    "directmail lint mail.eml --rules ./our-rules/        # rules of your own; docs/lint.md shows one",
  },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "files" :args "*" :argname "FILE"
    :description "HTML, .eml, a template (.mustache), text, or the fields of a message (.json); - is stdin; several are one run"
  parser:option "--kind" :choices { "bulk", "transactional" } :overwrite(false)
    :description "what it is (default: bulk when it has marks of a list or an unsubscribe link)"
  parser:option "--subject" :argname "TEXT" :overwrite(false) :description "its subject, where FILE has none"
  parser:flag "--template" :description "Mustache tags in FILE are no findings (default: of .mustache, and of files with a head)"
  for _, row in ipairs(data.OPTIONS) do
    local made = parser:option(row[1]):argname(row[2]):description(row[3]):overwrite(false)
    if row[4] then made(row[4]) end
  end
  parser:option "--organization" :argname "NAME" :overwrite(false) :description "your name as readers know it; it should stand in the text"
  parser:option "--sender-type" :choices { "batch", "trigger" } :overwrite(false) :description "type of the sender address, compared with the kind"
  parser:flag "--account" :description "ask the account for the type of the sender address (one call of the API)"
  parser:flag "--links" :description "ask for the targets of links: HEAD only, none that may carry a recipient's token, none that is not public"
  parser:option "--spamd" :argname "HOST:PORT" :overwrite(false) :description "add SpamAssassin's verdict; the mail is handed to that server"
  parser:option "--doctor" :argname "FILE|-" :overwrite(false) :description "add what `directmail doctor --json` found of the domain"
  parser:option "--rules" :argname "FILE|DIR" :count "*" :description "rules of your own; may repeat (those in ~/.config/directmail/lint/ always run)"
  parser:option "--ignore" :argname "ID" :count "*" :description "leave a rule out; may repeat"
  parser:flag "--list" :description "list the rules"
  parser:option "--format" :choices { "text", "gnu" } :overwrite(false) :description "gnu: FILE:LINE: level: rule: text, for editors (default: text)"
  parser:flag "--json" :description "answer as one JSON object"
  language.declare(parser)
  settings.declare(parser)
end

-- ---- own rules ------------------------------------------------------------------

-- A family out of a file. What it raises ends the run, and its file is named.
local function load_family(path)
  local chunk, why = loadfile(path, "t")
  local ran, family
  if chunk then ran, family = pcall(chunk) end
  if not chunk or not ran then
    return nil, err.new { code = "FILE", detail = "rules", cause = ("the rules %s cannot be loaded: %s"):format(path, chunk and tostring(family) or why),
      remedy = "docs/lint.md shows what such a file returns" }
  end
  local wrong = lint.wrong_family(family)
  if wrong then return nil, err.new { code = "FILE", detail = "rules", cause = ("the rules %s: %s"):format(path, wrong), remedy = "docs/lint.md shows one" } end
  return { rules = family.rules, check = function(mail, report)
    local checked, failure = pcall(family.check, mail, report)
    if not checked then
      error(err.new { code = "FILE", detail = "rules", cause = ("the rules %s failed: %s"):format(path, tostring(failure)), remedy = "correct the rule" }, 0)
    end
  end }
end

local function own_rules(given)
  local paths, e = require "directmail.command.own".files("lint", given)
  if not paths then return nil, e end
  local families = {}
  for i, path in ipairs(paths) do
    families[i], e = load_family(path)
    if not families[i] then return nil, e end
  end
  return families
end

-- ---- what is checked ------------------------------------------------------------

local function json_of(name, bytes, about)
  local ok, value = pcall(cjson.decode, (bytes:gsub("^\239\187\191", "")))
  if ok and type(value) == "table" then return value end
  return nil, err.new { code = "CONTENT", detail = name, cause = ("%s is no JSON of %s"):format(name, about), remedy = "write one object" }
end

-- The fields of a message; a wrong name or type is the file's fault, not the program's.
local function fields_of(name, bytes)
  local fields, e = json_of(name, bytes, "a message")
  if not fields then return nil, e end
  for field, value in pairs(fields) do
    if value == cjson.null then fields[field] = nil end
  end
  local wrong = require "directmail.lint.mail".wrong_fields(fields, name)
  if type(fields.template) == "table" then wrong = wrong or "field template must be the name of a file" end
  if wrong then return nil, err.new { code = "CONTENT", detail = name, cause = wrong:find(name, 1, true) and wrong or ("%s: %s"):format(name, wrong),
      remedy = "the fields are those of mail:send: docs/sending.md" } end
  return fields
end

-- A template filled in: what a mail would hold.
local function filled(path, values, subject)
  local template, e = require "directmail.template".new(path, nil, require "directmail.host", 2)
  if not template then return nil, e end
  local made
  made, e = template:render(values)
  if not made then return nil, e end
  return { subject = subject or made.subject, html = made.html, text = made.text }
end

local function source_of(path, args, values)
  if values then
    if path == "-" then return usage.wrong("--data fills in a file, and stdin is none", "name the template's file") end
    return filled(path, values, args.subject)
  end
  local bytes, e = text.read("lint", path, limits.lint_octets)
  if not bytes then return nil, e end
  if path:lower():find "%.json$" then return fields_of(path, bytes) end
  return bytes
end

-- The type of the sender address, as the account has it.
local function sender_type(args)
  local options, e = settings.options(args)
  if not options then return nil, e end
  local mail
  mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  local boxes = mail.settings.sender and require "directmail.core".addresses(mail.settings.sender)
  if not boxes or not boxes[1] then return usage.wrong("--account asks for the sender address, and none is set", "give --sender, or set DIRECTMAIL_SENDER") end
  local address = boxes[1].address
  local plain = #address <= 60 and not address:find "[^%w.@-]"
  local answer
  answer, e = mail.api.QueryMailAddressByParam { KeyWord = plain and address or nil, PageNo = 1, PageSize = 50 }
  if not answer then return nil, e end
  local operation = require "directmail.catalogue".find "QueryMailAddressByParam"
  for _, entry in ipairs(require "directmail.pages".entries(operation, answer)) do
    if tostring(entry.AccountName):lower() == address:lower() then return entry.Sendtype end
  end
  return nil, err.new { code = "REFUSED", detail = "sender", outcome = "refused", cause = ("the account has no sender %s in this region"):format(address),
    remedy = "directmail doctor --only sender.region says where it is" }
end

local function options_of(args)
  local options = { kind = args.kind, subject = args.subject, organization = args.organization, sender = args.sender, sender_type = args.sender_type,
    ignore = args.ignore, language = language.of(args), spamd = args.spamd }
  if args.template then options.template = true end
  if args.links then options.links = { dns = args.dns, ca = args.ca or require "directmail.host".env "DIRECTMAIL_CA" } end
  local e
  options.rules, e = own_rules(args.rules)
  if not options.rules then return nil, e end
  local known = {}
  for _, row in ipairs(lint.rules()) do known[#known + 1] = row.id end
  for _, family in ipairs(options.rules) do
    for id in pairs(family.rules) do known[#known + 1] = id end
  end
  for _, id in ipairs(args.ignore) do
    local there = false
    for _, one in ipairs(known) do there = there or one == id end
    if not there then
      return usage.wrong(("--ignore %s: nobody knows that rule%s"):format(id, usage.did_you_mean(id, known)), "directmail lint --list shows them")
    end
  end
  if args.doctor then
    local bytes
    bytes, e = text.read("--doctor", args.doctor)
    if not bytes then return nil, e end
    options.doctor, e = json_of("--doctor", bytes, "the doctor")
    if not options.doctor then return nil, e end
    if type(options.doctor.checks) ~= "table" then
      return usage.wrong("--doctor: that is no report of the doctor", "directmail doctor --only dns --json > FILE")
    end
  end
  if args.account then
    options.sender_type, e = sender_type(args)
    if not options.sender_type then return nil, e end
  end
  return options
end

-- ---- answers ----------------------------------------------------------------------

local WORDS = {
  en = { error = "error", warning = "warning", note = "note", errors = "%d error%s", warnings = "%d warning%s", weight = "weight %s (%d fails)",
    second = "mail-tester.com gives a second opinion; no score promises the inbox", spamd = "SpamAssassin: %.1f of %.1f (%s)", kind = "looked at as %s mail" },
  zh = { error = "错误", warning = "警告", note = "提示", errors = "%d 个错误", warnings = "%d 个警告", weight = "总分 %s（%d 分不合格）",
    second = "可到 mail-tester.com 再测一次；任何分数都不保证进收件箱", spamd = "SpamAssassin：%.1f / %.1f（%s）", kind = "按 %s 邮件检查" },
}

local SEVERE = 2                -- points from which on a finding is an error

local function level_of(finding) return finding.weight >= SEVERE and "error" or finding.weight > 0 and "warning" or "note" end

local function number(n) return ("%g"):format(n) end

local function summary(run, words)
  local count = { error = 0, warning = 0, note = 0 }
  for _, finding in ipairs(run.findings) do count[level_of(finding)] = count[level_of(finding)] + 1 end
  local function some(name, n) return (words[name]:format(n, n == 1 and "" or "s")) end
  return ("%s, %s   %s      %s"):format(some("errors", count.error), some("warnings", count.warning),
    words.weight:format(number(run.score), lint.FAILS), words.second)
end

local function place_of(finding) return (finding.file or "-") .. (finding.line and ":" .. math.tointeger(finding.line) or "") end

local function show(run, words)
  for _, finding in ipairs(run.findings) do
    print(("%s: %s: %s  (%s)"):format(err.printable(place_of(finding)), words[level_of(finding)], finding.what, finding.rule))
    print(("    %s; %s"):format(finding.cause, finding.remedy))
  end
  for _, mail in ipairs(run.mails) do
    if mail.spamd then print(words.spamd:format(mail.spamd.score, mail.spamd.threshold, table.concat(mail.spamd.rules, " "))) end
  end
  if #run.mails == 1 then print(words.kind:format(run.mails[1].kind)) end
  print(summary(run, words))
end

-- Levels and rules are words for programs here.
local function show_gnu(run, words)
  for _, finding in ipairs(run.findings) do
    print(("%s:%d: %s: %s: %s"):format(err.printable(finding.file or "-"), math.tointeger(finding.line or 1), level_of(finding), finding.rule, finding.what))
  end
  io.stderr:write(summary(run, words), "\n")
end

-- One object with its keys in the order of the design, and each finding likewise.
local KEYS = { "file", "rule", "weight", "line", "element", "what", "cause", "remedy" }

local function encoded(value)
  if value == nil then return "null" end
  return (text.json(true, { value = value }):match '^{"ok":true,"value":(.*)}$')
end

local function show_json(run)
  local list = {}
  for i, finding in ipairs(run.findings) do
    local parts = {}
    for _, key in ipairs(KEYS) do
      local value = finding[key]
      if key ~= "element" or value ~= nil then parts[#parts + 1] = ('"%s":%s'):format(key, type(value) == "number" and number(value) or encoded(value)) end
    end
    list[i] = "{" .. table.concat(parts, ",") .. "}"
  end
  local out = ('{"score":%s,"findings":[%s]'):format(number(run.score), table.concat(list, ","))
  local verdicts = {}
  for _, mail in ipairs(run.mails) do
    if mail.spamd then verdicts[#verdicts + 1] = encoded(mail.spamd) end
  end
  if #verdicts > 0 then out = out .. (',"spamd":[%s]'):format(table.concat(verdicts, ",")) end
  print(out .. "}")
end

local function show_rules(speak, as_json)
  local chinese = speak == "zh" and require "directmail.data.lint_rules_zh" or {}
  if as_json then
    local list = {}
    for i, row in ipairs(lint.rules()) do
      local said = chinese[row.id] or { row.what, row.cause, row.remedy }
      list[i] = text.ordered({ rule = row.id, weight = row.weight, kind = row.kind, what = said[1], cause = said[2], remedy = said[3] },
        { "rule", "weight", "kind", "what", "cause", "remedy" })
    end
    print(('{"rules":[%s]}'):format(table.concat(list, ",")))
    return exit.OK
  end
  for _, row in ipairs(lint.rules()) do
    local weight = type(row.weight) == "table" and table.concat(row.weight, "/") or number(row.weight)
    print(("%-24s %-8s %s"):format(row.id, weight .. (row.kind == "bulk" and " bulk" or ""), chinese[row.id] and chinese[row.id][3] or row.remedy))
  end
  return exit.OK
end

function M.run(args)
  if args.list then return show_rules(language.of(args), args.json) end
  if #args.files == 0 then return usage.wrong("there is nothing to look at", "name a file: directmail lint newsletter.html --kind bulk; - is stdin") end
  local values, e
  if args.data or #args.set > 0 then
    values, e = data.read(args)
    if not values then return nil, e end
  end
  local options
  options, e = options_of(args)
  if not options then return nil, e end
  local i = 0
  local run
  run, e = lint.run(function()
    i = i + 1
    local path = args.files[i]
    if not path then return nil end
    local source, wrong = source_of(path, args, values)
    if not source then return nil, wrong end
    return { source = source, file = path == "-" and "-" or path }
  end, options)
  if not run then return nil, e end
  local words = WORDS[options.language]
  if args.json then show_json(run)
  elseif args.format == "gnu" then show_gnu(run, words)
  else show(run, words) end
  return run.score >= lint.FAILS and exit.REFUSED or exit.OK
end

return M
