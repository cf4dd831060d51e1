--- What filters and readers will dislike about a mail, before it is sent.
--
--     local found = require "directmail.lint".check({ subject = "Hello", html = page, text = text }, { kind = "bulk" })
--     for _, finding in ipairs(found.findings) do print(finding.line, finding.rule, finding.what, finding.remedy) end
--
-- The rules and their sentences are rows of src/data/lint_rules.tsv, what they look at is `directmail.lint.mail`, and a family
-- of rules is one file beside that. Nothing is sent, and nobody is asked, unless `links` or `spamd` say so. docs/lint.md has the list.
-- @module directmail.lint
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local M = {}

--- Points from which on a mail fails: SpamAssassin's threshold.
M.FAILS = 5

--- Of many mails of a run one subject may have so many, or so large a share of more than `MANY`.
M.SAME, M.SAME_SHARE, M.MANY = 500, 0.3, 200

local FAMILIES = { "subject", "body", "parts", "links", "html", "placeholders", "headers", "mime", "service" }

local OPTIONS = { "kind", "file", "format", "template", "subject", "organization", "sender", "sender_type", "rules", "ignore", "language", "links",
  "spamd", "doctor", "host", "now", "allow_placeholders" }

local TYPES = { file = "string", template = "boolean", subject = "string", organization = "string", sender = "string", rules = "table",
  ignore = "string or table", links = "boolean or table", spamd = "string", doctor = "table", host = "table", now = "function", allow_placeholders = "boolean" }

local CHOICES = { kind = { "bulk", "transactional" }, format = { "html", "eml", "text" }, sender_type = { "batch", "trigger" }, language = { "en", "zh" } }

local LONGEST = 100             -- octets of a value in a sentence: a stranger wrote it

local rows                      -- id -> row of lint_rules

local function row_of(id)
  if not rows then
    rows = {}
    for _, row in ipairs(require "directmail.data.lint_rules") do rows[row.id] = row end
  end
  return rows[id]
end

local function shown(value)
  if type(value) == "table" then return value end
  value = tostring(value)
  if #value > LONGEST then value = value:sub(1, LONGEST):gsub("[\192-\255][\128-\191]*$", "") .. "..." end
  return err.printable(value)
end

-- What a rule says, in a language. Rules of the user's own have one.
local function sentences(row, language, values)
  local what, cause, remedy = row.what, row.cause, row.remedy
  local chinese = language == "zh" and require "directmail.data.lint_rules_zh"[row.id]
  if chinese then what, cause, remedy = chinese[1], chinese[2], chinese[3] end
  local i = 0
  what = what:gsub("%%([s%%])", function(kind)
    if kind == "%" then return "%" end
    i = i + 1
    local value = values[i]
    if type(value) == "table" then value = language == "zh" and value.zh or value[1] end
    return value or ""
  end)
  return what, cause, remedy
end

local function rounded(n) return math.floor(n * 100 + 0.5) / 100 end

-- Where findings of one mail come together.
local function new_report(mail, options, own)
  local report = { findings = {}, spent = {}, seen = {}, score = 0 }
  local ignored = {}
  for _, id in ipairs(type(options.ignore) == "string" and { options.ignore } or options.ignore or {}) do ignored[id] = true end

  -- One finding. `at` = { line=, element=, step= of several weights, weight= another one }; then the values of its sentence.
  function report.add(id, at, ...)
    local row = own and own[id] or row_of(id)
    if not row then error(("lint: nobody knows a rule %q"):format(tostring(id)), 2) end
    if ignored[id] or row.kind == "bulk" and mail.kind ~= "bulk" or #report.findings >= limits.lint_findings then return end
    at = at or {}
    if at.line ~= nil and (type(at.line) ~= "number" or at.line % 1 ~= 0) then error(("lint: the line of %s is no whole number"):format(id), 2) end
    if at.weight ~= nil and type(at.weight) ~= "number" then error(("lint: the weight of %s is no number"):format(id), 2) end
    local values = { ... }
    for i = 1, select("#", ...) do values[i] = shown(values[i]) end
    local what, cause, remedy = sentences(row, options.language or "en", values)
    local key = id .. "\0" .. what
    if report.seen[key] then return end
    report.seen[key] = true
    local weight = at.weight or row.weight
    if type(weight) == "table" then weight = weight[at.step or 1] end
    local spent = report.spent[id] or 0
    if row.max then weight = math.max(0, math.min(weight, row.max - spent)) end
    weight = rounded(weight)
    report.spent[id] = spent + weight
    report.score = report.score + weight
    report.findings[#report.findings + 1] = { file = options.file, rule = id, weight = weight, line = at.line,
      element = at.element and shown(at.element), what = what, cause = cause, remedy = remedy, number = #report.findings + 1 }
  end
  return report
end

local function by_line(a, b)
  if (a.line or math.huge) ~= (b.line or math.huge) then return (a.line or math.huge) < (b.line or math.huge) end
  return a.number < b.number
end

-- `level`: whose line is blamed, as `error` counts.
local function check_options(options, level)
  option.check(options, OPTIONS, "lint.check", level)
  option.check_types(options, TYPES, "lint.check", level)
  if options.doctor and type(options.doctor.checks) ~= "table" then error("option doctor of lint.check must be what directmail.doctor gave", level) end
  for name, words in pairs(CHOICES) do
    local given, known = options[name], options[name] == nil
    for _, word in ipairs(words) do known = known or given == word end
    if not known then error(("option %s of lint.check must be %s, not %s"):format(name, table.concat(words, " or "), tostring(given)), level) end
  end
end

--- What is wrong with a family of rules of the user's own.
-- @tparam table family `{ rules = { ["house.footer"] = { weight=, what=, cause=, remedy=, kind=, max= } }, check = function(mail, report) … end }`
-- @treturn ?string nil when nothing is
function M.wrong_family(family)
  if type(family) ~= "table" or type(family.check) ~= "function" or type(family.rules) ~= "table" then
    return "it must return { rules = { [id] = { weight=, what=, cause=, remedy= } }, check = function(mail, report) … end }"
  end
  for id, row in pairs(family.rules) do
    if type(id) ~= "string" or not id:find "^[%l%d-]+%.[%l%d.-]+$" then return ("the id %s is not family.name in lower case"):format(tostring(id)) end
    if row_of(id) then return ("the id %s is one of lint's own"):format(id) end
    if type(row) ~= "table" or type(row.weight) ~= "number" then return ("rule %s has no weight"):format(id) end
    for _, name in ipairs { "what", "cause", "remedy" } do
      if type(row[name]) ~= "string" then return ("rule %s has no %s"):format(id, name) end
    end
  end
end

local function own_rules(families, level)
  local own = {}
  for i, family in ipairs(families or {}) do
    local wrong = M.wrong_family(family)
    if wrong then error(("option rules of lint.check, entry %d: %s"):format(i, wrong), level) end
    for id, row in pairs(family.rules) do own[id] = row end
  end
  return own
end

local function check(source, options, level)
  check_options(options, level + 1)
  local own = own_rules(options.rules, level + 1)
  local seen = {}
  for name, value in pairs(options) do seen[name] = value end
  seen.now = options.now or (options.host or require "directmail.host").now
  local mail, e = require "directmail.lint.mail".read(source, seen)
  if not mail then
    if e.misuse then error(e.misuse, level) end
    return nil, e
  end
  mail.characters = require "directmail.lint.mail".characters(mail.body)
  local report = new_report(mail, options, own)
  for _, name in ipairs(FAMILIES) do require("directmail.lint." .. name).check(mail, report.add) end
  for _, family in ipairs(options.rules or {}) do family.check(mail, report.add) end
  local verdict
  if options.links then
    require "directmail.lint.reach".check(mail, report.add, options.host or require "directmail.host", type(options.links) == "table" and options.links or {})
  end
  if options.spamd then
    verdict, e = require "directmail.lint.spamd".check(mail, report.add, options.host or require "directmail.host", options.spamd)
    if not verdict then return nil, e end
  end
  table.sort(report.findings, by_line)
  for _, finding in ipairs(report.findings) do finding.number = nil end
  return { score = rounded(report.score), findings = report.findings, kind = mail.kind, subject = mail.subject, spamd = verdict }
end

--- Check one mail.
-- @tparam string|table source HTML, a Mustache template, a finished message (.eml), text; or the fields of a message as for `mail:send`
-- @tparam[opt] table options `kind` = "bulk" or "transactional" (guessed when left out); `file` = its name, whose ending says what it is; `format` =
--   "html", "eml" or "text" in place of that; `template` = true or false: Mustache tags in it are no findings; `subject`; `organization` = the
--   sender's name as readers know it; `sender` = its address; `sender_type` = "batch" or "trigger", of the sender in the console; `rules` = list of families of
--   your own; `ignore` = list of ids; `language` = "en" or "zh"; `links` = true: ask for the links' targets (HEAD only); `spamd` = "HOST:PORT" of
--   SpamAssassin; `doctor` = the doctor's report, for what it found of the domain; `allow_placeholders`; `host` and `now`, for tests
-- @treturn[1] table `{ score=, findings={ {file=, rule=, weight=, line=, element=, what=, cause=, remedy=}… } by line, kind=, subject=, spamd=
--   { score=, threshold=, spam=, rules= } }`; a score of 5 and more fails
-- @treturn[2] nil
-- @treturn[2] table a directmail.err: it cannot be read, or spamd does not answer
-- @raise at the caller's line for unknown options and fields
function M.check(source, options)
  local found, e = check(source, options or {}, 3)      -- no tail call: the caller's line would be lost
  return found, e
end

-- One subject for too many of a run.
local function check_subjects(results, options)
  local counts, total, most = {}, 0, nil
  for _, result in ipairs(results) do
    local subject = result.subject
    if subject and subject ~= "" then
      total = total + 1
      counts[subject] = (counts[subject] or 0) + 1
      if not most or counts[subject] > counts[most] then most = subject end
    end
  end
  if not most or not (counts[most] > M.SAME or total > M.MANY and counts[most] > M.SAME_SHARE * total) then return nil end
  local report = new_report({ kind = "bulk" }, { language = options.language, ignore = options.ignore })
  report.add("subject.same", {}, tostring(counts[most]), tostring(total), most)
  if report.findings[1] then report.findings[1].number = nil end
  return report.findings[1]
end

--- Check several mails as one run.
-- @tparam table items list of `{ source =, file = }`, or a function that returns the next one
-- @tparam[opt] table options of `check`
-- @treturn[1] table as of `check`: the score is the worst mail's, `mails` its results in order
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.run(items, options)
  options = options or {}
  local next_item, i = items, 0
  if type(items) ~= "table" and type(items) ~= "function" then
    error(("bad argument #1 to lint.run (a list or a function expected, got %s)"):format(type(items)), 2)
  end
  check_options(options, 3)
  if type(items) == "table" then
    next_item = function()
      i = i + 1
      return items[i]
    end
  end
  local run = { score = 0, findings = {}, mails = {} }
  local item, e = next_item()
  while item do
    if type(item) ~= "table" then error(("mail %d for lint.run must be { source =, file = }, not a %s"):format(#run.mails + 1, type(item)), 2) end
    local with = {}
    for name, value in pairs(options) do with[name] = value end
    with.file = item.file
    local result
    result, e = check(item.source, with, 3)
    if not result then return nil, e end
    run.mails[#run.mails + 1] = result
    run.score = math.max(run.score, result.score)
    for _, finding in ipairs(result.findings) do run.findings[#run.findings + 1] = finding end
    item, e = next_item()
  end
  if e then return nil, e end
  local same = check_subjects(run.mails, options)
  if same then
    run.findings[#run.findings + 1] = same
    run.score = rounded(run.score + same.weight)
  end
  return run
end

--- Every rule: `{ id=, weight=number or steps, max=, kind=, what=, cause=, remedy=, source= }`.
-- @treturn table list in the order of docs/lint.md
function M.rules() return require "directmail.data.lint_rules" end

return M
