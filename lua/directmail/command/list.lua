--- `directmail list`: judge a list of recipients, upload it, export whom nobody may write to, and take these out of it.
-- @module directmail.command.list
local csv = require "directmail.csv"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local list = require "directmail.list"
local settings = require "directmail.command.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "list",
  summary = "check a list of recipients, upload it, export and take out whom nobody may write to",
  examples = {
    "directmail list check subscribers.csv --mx --out good.csv --rejects bad.csv",
    "directmail list upload good.csv --list subscribers --create --opt-in source",
    "directmail list export invalid > invalid.csv          # both stores of the service",
    "directmail list export suppressed --suppress shop.db > suppressed.csv",
    "directmail list purge subscribers.csv --out purged.csv",
  },
  own_arguments = true,
}

local ACTIONS = { "check", "upload", "export", "purge" }

-- option, what stands for its value, what it is, who has it
local OPTIONS = {
  { "--column", "NAME", "column of the addresses (default: email, to or address)", "check", "upload", "purge" },
  { "--charset", "WORD", "auto (default), utf-8 or gb18030", "check", "upload", "purge", choices = { "auto", "utf-8", "gb18030" } },
  { "--suppress", "STORE", "suppression list of this store: a file, or redis://…", "check", "upload", "export", "purge" },
  { "--opt-in", "COLUMN", "column that says where each recipient asked for mail; upload needs it", "check", "upload" },
  { "--list", "NAME", "the stored list", "upload" },
  { "--variable", "COLUMN", "a column that goes up as a variable of your own; may repeat", "upload", many = true },
  { "--out", "FILE", "write the good rows here", "check", "purge" },
  { "--rejects", "FILE", "write the other rows here, with line, verdict and reasons", "check", "upload", "purge" },
  { "--jobs", "N", "domains asked for at once (default 64)", "check", "upload", number = true },
  { "--disposable", "FILE", "further domains of mailboxes that live for minutes, one a line", "check", "upload" },
  { "--fail-above", "P%", "exit 1 only when more than P % of the rows are not good", "check" },
}

local FLAGS = {
  { "--mx", "ask the DNS whether each domain takes mail", "check", "upload" },
  { "--mx-hosts", "and whether the hosts of its MX have addresses", "check", "upload" },
  { "--keep-risky", "risky rows are good: role and disposable addresses, likely typing errors, domains without MX", "check", "upload" },
  { "--drop-unknown", "rows whose domain the DNS did not tell are not good", "check", "upload" },
  { "--create", "make the stored list when there is none", "upload" },
  { "--overwrite", "let --out and --rejects replace files that are there", "check", "upload", "purge" },
  { "--dry-run", "upload nothing, and ask nobody but the DNS", "upload" },
}

local function field(option) return (option:gsub("^%-+", ""):gsub("-", "_")) end

function M.parser(parser)
  parser:argument "action" :args "?" :description "check FILE, upload FILE, export invalid|suppressed, purge FILE; FILE may be - for stdin"
  parser:argument "what" :args "?" :description "the file, or what to export"
  parser:argument "surplus" :args "*" :hidden(true)
  local group = {}
  for _, row in ipairs(OPTIONS) do
    local option = parser:option(row[1]):argname(row[2]):description(table.concat(row, ", ", 4) .. ": " .. row[3])
    if row.many then option:count "*" else option:overwrite(false) end
    if row.choices then option:choices(row.choices) end
    if row.number then
      option:convert(function(value)
        local n = math.tointeger(tonumber(value))
        if n and n >= 1 and n <= 1000 then return n end
        return nil, ("option %s: \"%s\" is not a whole number from 1 to 1000"):format(row[1], value)
      end)
    end
    group[#group + 1] = option
  end
  for _, row in ipairs(FLAGS) do group[#group + 1] = parser:flag(row[1]):description(table.concat(row, ", ", 3) .. ": " .. row[2]) end
  parser:group("Lists", table.unpack(group))
  settings.declare(parser)
  parser:flag "-v --verbose" :count "0-2" :description "show the calls on stderr; -vv with the answers"
  parser:flag "--json" :description "one object a row, a line each; the counts go to stderr"
end

-- An option that this action does not have; nil, err.
local function check_options(args)
  for _, rows in ipairs { OPTIONS, FLAGS } do
    for _, row in ipairs(rows) do
      local value, known = args[field(row[1])], false
      for i = rows == OPTIONS and 4 or 3, #row do known = known or row[i] == args.action end
      if value and not (row.many and not value[1]) and not known then
        return usage.wrong(("%s is no option of list %s"):format(row[1], args.action), ("directmail list --help tells whose it is"))
      end
    end
  end
  return true
end

-- ---- files --------------------------------------------------------------------------------

-- A list that is read twice (for its charset) and by place (for the progress): stdin is put into a file first.
local function source_of(path)
  if path ~= "-" then return { path = path } end
  local file = io.tmpfile()
  while true do
    local chunk = io.stdin:read(65536)
    if not chunk then break end
    if not file:write(chunk) then
      return nil, err.new { code = "FILE", detail = "stdin", cause = "stdin does not fit into the folder for temporary files", remedy = "name the file" }
    end
  end
  file:seek "set"
  return { file = file, name = "stdin" }
end

local Output = {}
Output.__index = Output

-- A CSV file in the making; it gets its name when it is whole. nil, err.
local function output(option, path, overwrite)
  if text.is_special(path) then return usage.wrong(("%s: %s is there, and is no file"):format(option, err.printable(path)), "name a file") end
  local there = io.open(path, "rb")
  if there then there:close() end
  if there and not overwrite then
    return usage.wrong(("%s: %s is there already"):format(option, err.printable(path)), "name another file, or add --overwrite")
  end
  local made = path .. ".new"
  local file, why = io.open(made, "wb")
  if not file then return usage.wrong(("%s: %s cannot be written: %s"):format(option, err.printable(path), (why:gsub("^.*: ", ""))), "check its folder") end
  return setmetatable({ file = file, path = path, made = made, option = option }, Output)
end

function Output:line(fields, n)
  if not self.file:write(csv.line(fields, n)) then self.broken = true end
end

-- true; or nil, err
function Output:finish()
  local closed = self.file:close()
  if not self.broken and closed and os.rename(self.made, self.path) then return true end
  os.remove(self.made)
  return nil, err.new { code = "FILE", detail = self.path, cause = ("%s: %s could not be written to its end"):format(self.option, self.path),
    remedy = "make room on its disk" }
end

function Output:drop()
  self.file:close()
  os.remove(self.made)
end

-- The files of --out and --rejects, by those names; nil, err.
local function outputs(args)
  local files = {}
  for _, name in ipairs { "out", "rejects" } do
    if args[name] then
      local file, e = output("--" .. name, args[name], args.overwrite)
      if not file then
        if files.out then files.out:drop() end
        return nil, e
      end
      files[name] = file
    end
  end
  if args.out and args.out == args.rejects then
    files.out:drop()
    return usage.wrong("--out and --rejects name the same file", "give each its own")
  end
  return files
end

local function finish(files, good)
  for _, name in ipairs { "out", "rejects" } do
    local file = files[name]
    if file and not good then file:drop() elseif file then
      local ok, e = file:finish()
      if not ok then return nil, e end
    end
  end
  return true
end

-- One row into the file it belongs to. The header is written with the first.
local function put(files, columns, row, good, verdict)
  local file = files[good and "out" or "rejects"]
  if not file then return end
  local fields = {}
  for i, name in ipairs(columns) do fields[i] = row.values[name] or "" end
  if not good then
    for _, value in ipairs { tostring(row.line), verdict, table.concat(row.reasons, "; "), row.suggestion or "" } do fields[#fields + 1] = value end
  end
  file:line(fields)
end

-- The names of the columns as the file has them, and the headers into the files.
local function begin(files, source)
  local following, columns, from = csv.rows { path = source.path, file = source.file, name = source.name, charset = source.charset }
  if not following then return nil, columns end
  if source.file then source.file:seek "set" else from.close() end
  local taken = {}
  for _, name in ipairs(columns) do taken[name] = true end
  for name, file in pairs(files) do
    local header = { table.unpack(columns) }
    if name == "rejects" then
      for _, more in ipairs { "line", "verdict", "reasons", "suggestion" } do header[#header + 1] = taken[more] and "directmail_" .. more or more end
    end
    -- what a spreadsheet wrote with a mark, or in GB18030, it opens rightly with a mark only
    if from.bom or from.charset ~= "utf-8" then file.file:write "\u{FEFF}" end
    file:line(header)
  end
  return columns
end

local function domains_of(path)
  local bytes, e = text.read("--disposable", path)
  if not bytes then return nil, e end
  local set = {}
  for line in bytes:gmatch "[^\r\n]+" do
    local name = line:gsub("#.*", ""):match "^%s*(%S+)%s*$"
    if name then set[name:lower()] = true end
  end
  return set
end

-- ---- progress -------------------------------------------------------------------------------

-- 12400 -> "12 400"
local function grouped(n)
  local digits = ("%d"):format(n)
  return (digits:reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", ""))
end

local function duration(seconds)
  seconds = math.floor(seconds)
  if seconds < 60 then return ("%d s"):format(seconds) end
  if seconds < 3600 then return ("%d m %d s"):format(seconds // 60, seconds % 60) end
  return ("%d h %d m"):format(seconds // 3600, seconds % 3600 // 60)
end

local EVERY = 10        -- seconds between two lines where no terminal is

-- A function for on_progress, and one that takes the last line off.
local function progress()
  local terminal, last, width = require "directmail.host".is_terminal(2), 0, 0
  local function show(p)
    if not terminal and p.seconds - last < EVERY then return end
    last = p.seconds
    local parts = { p.share and p.share > 0 and ("%s/%s"):format(grouped(p.rows), grouped(math.max(p.rows, math.floor(p.rows / p.share)))) or grouped(p.rows) }
    if p.share and p.share > 0 then parts[#parts + 1] = ("%.0f %%"):format(p.share * 100) end
    parts[#parts + 1] = ("%s/s"):format(grouped(math.floor(p.rate)))
    if p.share and p.share > 0 then parts[#parts + 1] = duration(p.seconds / p.share - p.seconds) .. " left" end
    parts[#parts + 1] = ("%s domains"):format(grouped(p.domains))
    parts[#parts + 1] = ("invalid %s  unknown %s"):format(grouped(p.verdicts.invalid or 0), grouped(p.verdicts.unknown or 0))
    local line = table.concat(parts, "  ")
    if terminal then
      io.stderr:write("\r", line, (" "):rep(width - #line))
      width = #line
    else
      io.stderr:write(line, "\n")
    end
  end
  return show, function()
    if width > 0 then io.stderr:write("\r", (" "):rep(width), "\r") end
  end
end

-- ---- check ------------------------------------------------------------------------------------

local ROW = { "row", "address", "verdict", "reasons", "line", "suggestion", "outcome" }
local STORED = { "address", "store", "since", "id" }
local SUPPRESSED = { "address", "reason", "source", "since" }
local PURGED = { "row", "address", "removed", "reasons", "line" }

local function by_count(counts)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names, function(a, b) return counts[a] > counts[b] or counts[a] == counts[b] and a < b end)
  return names
end

-- "syntax 118 · mx.null 93", of the ids that begin with one of some prefixes
local function shares(counts, fits)
  local parts = {}
  for _, id in ipairs(by_count(counts)) do
    if fits(id) then parts[#parts + 1] = ("%s %s"):format(grouped(counts[id]), id) end
  end
  return table.concat(parts, " · ")
end

local INVALID = { syntax = true, row = true, opt_in = true, ["mx.null"] = true, ["mx.none"] = true, ["mx.target"] = true }
local function is_invalid(id) return INVALID[id] or id:find "^domain%." ~= nil end
local RISKY = { typo = true, disposable = true, role = true, ["mx.implicit"] = true }

local function is_good(args, row)
  return row.verdict == "ok" or row.verdict == "risky" and args.keep_risky or row.verdict == "unknown" and not args.drop_unknown
end

local function print_summary(out, args, s, good)
  local v = s.verdicts
  out:write(("%s rows   %s   %s/s"):format(grouped(s.rows), duration(s.seconds), grouped(math.floor(s.rows / math.max(s.seconds, 1e-3)))))
  out:write(s.domains > 0 and ("   %s domains asked once\n"):format(grouped(s.domains)) or "\n")
  local function line(n, words) if n and n > 0 then out:write(("%9s  %s\n"):format(grouped(n), words)) end end
  out:write(("%9s  good\n"):format(grouped(v.ok or 0)))
  line(v.duplicate, "duplicates of an earlier row")
  local why = {}
  for _, name in ipairs(by_count(s.suppressed)) do why[#why + 1] = ("%s %s"):format(grouped(s.suppressed[name]), err.printable(name)) end
  line(v.suppressed, ("suppressed (%s)"):format(table.concat(why, ", ")))
  line(v.invalid, "invalid: " .. shares(s.reasons, is_invalid))
  line(v.risky, ("risky: %s%s"):format(shares(s.reasons, function(id) return RISKY[id] end), args.keep_risky and "; kept" or ""))
  local meant = {}
  for i, name in ipairs(by_count(s.suggestions)) do
    if i <= 3 then meant[i] = ("%s %s"):format(name, grouped(s.suggestions[name])) end
    if i == 4 then meant[i] = "…" end
  end
  if meant[1] then out:write(("%9s  did you mean? %s\n"):format("", table.concat(meant, ", "))) end
  line(v.unknown, ("unknown: the DNS did not tell%s"):format(args.drop_unknown and "" or "; kept (--drop-unknown takes them out)"))
  out:write(("%9s  = rows read: %s good + %s rejected\n"):format(grouped(s.rows), grouped(good), grouped(s.rows - good)))
  if s.charset ~= "utf-8" then out:write("read as GB18030; --charset utf-8 if it is none\n") end
  for _, hint in ipairs(s.hints) do out:write(("hint: %s\n  remedy   %s\n"):format(err.printable(hint.cause), hint.remedy)) end
end

-- What check and upload have in common of the options, and the setting of the DNS; nil, err.
local function common(args, values)
  local options = { column = args.column, mx = args.mx or args.mx_hosts, hosts = args.mx_hosts, server = values.dns, jobs = args.jobs, opt_in = args.opt_in,
    charset = args.charset or "auto" }
  if args.disposable then
    local set, e = domains_of(args.disposable)
    if not set then return nil, e end
    options.disposable = set
  end
  return options
end

local function store_of(args)
  if not args.suppress then return false end
  local store, e = require "directmail.store".open(args.suppress)
  if not store then return nil, e end
  return store
end

local function percent(word)
  local n = word and tonumber((word:gsub("%%$", "")))
  if n and n >= 0 and n <= 100 then return n end
end

-- What check and upload read and write: `{ options =, store = a store or false, source =, files =, columns = }`; or nil, err.
local function prepare(args, values)
  local job, e = {}
  job.options, e = common(args, values)
  if not job.options then return nil, e end
  job.store, e = store_of(args)
  if job.store == nil then return nil, e end
  job.source, e = source_of(args.what)
  if not job.source then return nil, e end
  job.source.charset = job.options.charset
  job.files, e = outputs(args)
  if not job.files then return nil, e end
  job.columns, e = begin(job.files, job.source)
  if not job.columns then
    finish(job.files, false)
    return nil, e
  end
  return job
end

local RUN = {}

function RUN.check(args)
  local host = require "directmail.host"
  local bar = args.fail_above and percent(args.fail_above)
  if args.fail_above and not bar then return usage.wrong(('--fail-above: "%s" is no share'):format(args.fail_above), "write 2%") end
  local given, e = settings.options(args)
  if not given then return nil, e end
  local values
  values, e = require "directmail.settings".read(given, host)
  if not values then return nil, e end
  local job
  job, e = prepare(args, values)
  if not job then return nil, e end
  local options, store, source, files, columns = job.options, job.store, job.source, job.files, job.columns
  local show, clear = progress()
  local good = 0
  options.store, options.sender, options.on_progress = store or nil, values.sender, show
  function options.on_row(row)
    local fine = is_good(args, row)
    if fine then good = good + 1 end
    put(files, columns, row, fine, row.verdict)
    if args.json then print(text.ordered(row, ROW)) end
  end
  local summary, broken, partial = list.check(source, options)
  clear()
  if store then store:close() end
  local written
  written, e = finish(files, summary ~= nil)
  local s = summary or partial
  if s then print_summary(args.json and io.stderr or summary and io.stdout or io.stderr, args, s, good) end
  if not summary then return nil, broken end
  if not written then return nil, e end
  local bad = s.rows - good
  if bar then return bad * 100 > bar * s.rows and exit.REFUSED or exit.OK end
  return bad > 0 and exit.REFUSED or exit.OK
end

-- ---- upload, export, purge ------------------------------------------------------------------------

function RUN.upload(args)
  if not args.list then return usage.wrong("list upload needs --list NAME", "directmail api QueryReceiverByParam shows the lists; --create makes one") end
  if not args.opt_in then
    return usage.wrong("list upload needs --opt-in COLUMN: bulk mail goes to people who asked for it only", "name the column that says where each did")
  end
  local mail, e = settings.mail(args)
  if not mail then return nil, e end
  local job
  job, e = prepare(args, mail.settings)
  if not job then return nil, e end
  local options, store, source, files, columns = job.options, job.store, job.source, job.files, job.columns
  local show, clear = progress()
  options.list, options.create, options.dry_run, options.store = args.list, args.create, args.dry_run, store or nil
  options.variables = args.variable[1] and args.variable or nil
  options.risky, options.unknown, options.on_progress = args.keep_risky or false, not args.drop_unknown, show
  function options.on_row(row)
    if row.outcome ~= "stored" then put(files, columns, row, false, row.outcome) end
    if args.json then print(text.ordered(row, ROW)) end
  end
  local result, broken, partial = list.upload(mail, source, options)
  clear()
  if store then store:close() end
  local r = result or partial
  local written
  written, e = finish(files, r ~= nil)
  if r then
    local out = args.json and io.stderr or result and io.stdout or io.stderr
    out:write(("%s rows to the list \"%s\"%s in %d call%s\n"):format(grouped(r.rows), err.printable(r.list), r.created and ", which was made," or "", r.calls,
      r.calls == 1 and "" or "s"))
    for _, name in ipairs { "stored", "refused", "rejected", "unknown", "not_sent" } do
      if r.counts[name] > 0 or name == "stored" then
        out:write(("%9s  %s%s\n"):format(grouped(r.counts[name]), (name:gsub("_", " ")), name == "rejected" and ": " .. shares(r.check.verdicts, function(id)
          return id ~= "ok" end) or name == "refused" and " by the service" or ""))
      end
    end
    out:write(("%9s  = rows read\n"):format(grouped(r.rows)))
    for _, warning in ipairs(r.warnings) do io.stderr:write("directmail: warning: ", err.printable(warning), "\n") end
    for _, hint in ipairs(r.check.hints) do out:write(("hint: %s\n  remedy   %s\n"):format(err.printable(hint.cause), hint.remedy)) end
  end
  if not result then
    if broken.outcome == "unknown" and broken.remedy then
      broken.remedy = broken.remedy .. "; uploading again doubles nothing: what is there counts as refused"
    end
    return nil, broken
  end
  if not written then return nil, e end
  if args.dry_run then return exit.OK end
  return r.counts.stored == r.rows and exit.OK or exit.REFUSED
end

local function export_invalid(args)
  local mail, e = settings.mail(args)
  if not mail then return nil, e end
  if not args.json then io.stdout:write(csv.line { "address", "store", "since", "id" }) end
  local counts
  counts, e = list.invalid(mail, function(one)
    if args.json then print(text.ordered(one, STORED)) else io.stdout:write(csv.line({ one.address, one.store, one.since, one.id }, 4)) end
  end)
  if not counts then return nil, e end
  io.stderr:write(("directmail: %d invalid for the whole service, %d of the account\n"):format(counts.global or 0, counts.account or 0))
  return exit.OK
end

local function export_suppressed(args)
  if not args.suppress then return usage.wrong("list export suppressed needs --suppress STORE", "name the store's file") end
  local store, e = store_of(args)
  if not store then return nil, e end
  if not args.json then io.stdout:write(csv.line { "address", "reason", "source", "since" }) end
  local last, n = nil, 0
  local page
  repeat
    page, e = store:suppressions(last)
    if not page then return nil, e end
    for _, one in ipairs(page) do
      local since = os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(one.at))
      last, n = one.address, n + 1
      if args.json then
        print(text.ordered({ address = one.address, reason = one.reason, source = one.source, since = since }, SUPPRESSED))
      else
        io.stdout:write(csv.line { one.address, one.reason, one.source, since })
      end
    end
  until #page == 0
  store:close()
  io.stderr:write(("directmail: %d suppressed\n"):format(n))
  return exit.OK
end

function RUN.export(args)
  if args.what == "invalid" then return export_invalid(args) end
  if args.what == "suppressed" then return export_suppressed(args) end
  return usage.wrong(('list export: there is no "%s"%s'):format(err.printable(args.what), usage.did_you_mean(args.what, { "invalid", "suppressed" })),
    "write invalid or suppressed")
end

function RUN.purge(args)
  if not args.out and not args.json then return usage.wrong("list purge needs --out FILE", "name a new file; the list itself is left as it is") end
  local mail, e = settings.mail(args)
  if not mail then return nil, e end
  local store, source, files, columns
  store, e = store_of(args)
  if store == nil then return nil, e end
  source, e = source_of(args.what)
  if not source then return nil, e end
  source.charset = args.charset or "auto"
  files, e = outputs(args)
  if not files then return nil, e end
  columns, e = begin(files, source)
  if not columns then
    finish(files, false)
    return nil, e
  end
  local summary, broken = list.purge(mail, source, { column = args.column, charset = source.charset, store = store or nil, on_row = function(row)
    put(files, columns, row, not row.removed, "removed")
    if args.json then print(text.ordered(row, PURGED)) end
  end })
  if store then store:close() end
  local written
  written, e = finish(files, summary ~= nil)
  if not summary then return nil, broken end
  if not written then return nil, e end
  local out = args.json and io.stderr or io.stdout
  out:write(("%9s  kept\n%9s  removed%s\n%9s  = rows read   (the service lists %s invalid for all, %s of the account)\n"):format(grouped(summary.kept),
    grouped(summary.removed), summary.removed > 0 and ": " .. shares(summary.reasons, function() return true end) or "", grouped(summary.rows),
    grouped(summary.listed.global), grouped(summary.listed.account)))
  return exit.OK
end

function M.run(args)
  local run = RUN[args.action or ""]
  if not run then
    return usage.wrong(("list: %s%s"):format(args.action and ('there is no "%s"'):format(err.printable(args.action)) or "what is to be done with it?",
      args.action and usage.did_you_mean(args.action, ACTIONS) or ""), "write check, upload, export or purge")
  end
  if not args.what then
    return usage.wrong(("list %s: %s is missing"):format(args.action, args.action == "export" and "invalid or suppressed" or "the file"),
      "directmail list --help shows examples")
  end
  if args.surplus[1] then return usage.wrong(('unexpected argument "%s"'):format(err.printable(args.surplus[1])), "one file at a time") end
  local ok, e = check_options(args)
  if not ok then return nil, e end
  return run(args)
end

return M
