--- `directmail doctor`: why mail does not go, and what to do about it.
local core = require "directmail.core"
local doctor = require "directmail.doctor"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local host = require "directmail.host"
local language = require "directmail.command.language"
local settings = require "directmail.command.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "doctor",
  summary = "find out why mail does not go: settings, network, account, DNS",
  examples = {
    "directmail doctor",
    "directmail doctor --only smtp --only dns",
    "directmail doctor --domain mail.example.com --only dns --fix-list",
    "directmail doctor --offline --json",
    "directmail doctor --all-regions --only network --only sender      # which region has the sender, and which can be reached",
    "directmail doctor --error '526 Authentication failure'",
    "directmail doctor --bundle support.txt send.lua --error InvalidMailAddress.NotFound",
    "directmail doctor --check ./mine.lua            # a check of your own; docs/doctor.md shows one",
  },
}

local PROGRESS_AFTER, PROGRESS_LINE = 1, 10     -- seconds
local MOST_SCRIPT = 4 * 1024 * 1024

function M.parser(parser)
  parser:option "--only" :argname "ID" :args "1+" :count "*" :target "ids"
    :description "only these: ids, groups (network, tls, api, smtp, sender, quota, dns) or names; may repeat"
  parser:flag "--all-regions" :description "look at what differs by region in every region, beside the one that is set"
  parser:flag "--offline" :description "ask nobody; what needs the network is left out"
  parser:option "--domain" :argname "D" :overwrite(false) :description "look at this domain's records in place of the sender's"
  parser:option "--to" :argname "ADDR" :overwrite(false) :description "recipient of the envelope that is rehearsed (default: the sender); nothing is sent"
  parser:option "--kind" :choices { "bulk", "transactional" } :overwrite(false) :description "what is sent: compared with the sender's type"
  parser:option "--tag" :argname "NAME" :overwrite(false) :description "a tag, compared with the console's"
  parser:option "--template" :argname "NAME" :overwrite(false) :description "a template, compared with the console's"
  parser:option "--check" :argname "FILE" :count "*"
    :description "a check of your own, or a folder of them; may repeat (those in ~/.config/directmail/doctor/ always run)"
  parser:flag "--list" :description "list the checks"
  parser:flag "--strict" :description "exit with 1 on warnings too"
  parser:flag "--fix-list" :description "print only the DNS records to publish: NAME TYPE VALUE"
  parser:option "--error" :argname "TEXT" :overwrite(false) :description "explain a code or the server's words; with --bundle: write it there"
  parser:option "--bundle" :argname { "FILE", "SCRIPT" } :args "1-2" :overwrite(false)
    :description "write what support asks for, secrets and addresses masked; with a script, its text"
  parser:option "--operation" :argname "NAME" :overwrite(false) :description "for --bundle: the operation or request class that failed"
  parser:option "--param" :argname "NAME=VALUE" :count "*" :description "for --bundle: a parameter of it; may repeat"
  parser:option "--color" :choices { "always", "never", "auto" } :overwrite(false) :description "colours (default: on a terminal)"
  parser:flag "--json" :description "answer as one JSON object"
  language.declare(parser)
  settings.declare(parser, { only = true })
end

-- ---- for people -----------------------------------------------------------------

local COLOURS = { pass = "32", warn = "33", fail = "31;1", skip = "2" }
local WORDS = { pass = "ok", warn = "warn", fail = "FAIL", skip = "skip" }

local function painter(choice)
  local on = choice == "always"
  if not on and choice ~= "never" and not host.env "NO_COLOR" then
    on = (host.env "CLICOLOR_FORCE" or "0") ~= "0" or host.env "CLICOLOR" ~= "0" and host.is_terminal(1)
  end
  return function(word, status) return on and ("\27[%sm%s\27[0m"):format(COLOURS[status], word) or word end
end

-- A name, its status, and words.
local function line(name, wide, status, words, paint)
  print(("%-" .. wide .. "s  %s  %s"):format(name, paint(("%-4s"):format(WORDS[status]), status), words))
end

local function show_findings(check, name, wide, paint)
  local indent = (" "):rep(wide + 8)
  for i, one in ipairs(check.findings) do
    line(i == 1 and name or "", wide, one.status, one.cause .. (one.rule and (" (%s)"):format(one.rule) or ""), paint)
    if i == #check.findings and check.found and check.found ~= "" then print(indent .. "found  " .. check.found) end
    if one.remedy ~= "" then print(indent .. "→ " .. one.remedy) end
  end
end

-- What a region's lines are made of; a check that is in none has one of its own. What the headline tells is in none.
local PARTS = { ["network.api"] = "api", ["tls.api"] = "api", ["api.call"] = "api", ["network.smtp"] = "smtp", ["network.ports"] = "smtp",
  ["tls.smtp"] = "smtp", ["api.rights"] = "rights", ["sender.status"] = "sender", ["sender.type"] = "sender" }
local IN_HEAD = { ["sender.region"] = true, ["sender.domain"] = true }
local HAS = { yes = "%s is here", no = "no %s", unknown = "%s: unknown" }

-- A region: a headline, what works, and what does not; of the region that is set all that stands above already.
local function show_region(entry, wide, paint)
  local told = {}
  for _, check in ipairs(entry.checks) do told[check.id] = check end
  local head = {}
  for _, what in ipairs { "sender", "domain" } do
    local check = told[what == "sender" and "sender.region" or "sender.domain"]
    if check then
      local words = HAS[entry[what]]:format(what)
      if check.status == "skip" then words = words .. (" (%s)"):format((check.cause:gsub("^not checked: ", ""))) end
      head[#head + 1] = words
    end
  end
  line(entry.region, wide, entry.status, ("%s%s%s"):format(entry.name, entry.set and ", the region that is set" or "",
    #head > 0 and ": " .. table.concat(head, ", ") or ""), paint)
  if entry.set then return end
  local order, lines = {}, {}
  for _, check in ipairs(entry.checks) do
    local part = PARTS[check.id] or check.id
    if check.status == "pass" and not IN_HEAD[check.id] then
      if not lines[part] then
        order[#order + 1], lines[part] = part, {}
      end
      table.insert(lines[part], check.cause)
    end
  end
  for _, part in ipairs(order) do print(("%s%-6s  %s"):format((" "):rep(wide + 8), part, table.concat(lines[part], "; "))) end
  for _, check in ipairs(entry.checks) do show_findings(check, "  " .. check.id, wide, paint) end
end

local function show_regions(report, wide, paint)
  local set, having = nil, {}
  print "regions"
  for _, entry in ipairs(report.regions) do
    show_region(entry, wide, paint)
    set = set or entry.set
    if entry.sender == "yes" then having[#having + 1] = entry.region end
  end
  if not set and #having > 0 then print(("→ set region = %s (DIRECTMAIL_REGION): the sender is there"):format(table.concat(having, " or "))) end
end

local function show(report, seconds, paint)
  local wide = 0
  for _, check in ipairs(report.checks) do wide = math.max(wide, #check.id) end
  for _, entry in ipairs(report.regions or {}) do
    wide = math.max(wide, #entry.region)
    for _, check in ipairs(entry.checks) do
      if #check.findings > 0 and not entry.set then wide = math.max(wide, #check.id + 2) end
    end
  end
  local count = { pass = 0, warn = 0, fail = 0, skip = 0 }
  for _, check in ipairs(report.checks) do
    count[check.status] = count[check.status] + 1
    if #check.findings == 0 then line(check.id, wide, check.status, check.cause, paint) end
    show_findings(check, check.id, wide, paint)
  end
  for _, entry in ipairs(report.regions or {}) do
    for _, check in ipairs(entry.set and {} or entry.checks) do count[check.status] = count[check.status] + 1 end
  end
  if report.regions and #report.regions > 0 then show_regions(report, wide, paint) end
  local function some(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end
  print(("%s, %s, %d passed, %d not checked, %.1f s      nothing here promises the inbox: new domains need warm-up"):format(
    some(count.fail, "failure"), some(count.warn, "warning"), count.pass, count.skip, seconds))
end

-- What is looked at just now: on a terminal one line that is redrawn, elsewhere a line now and then. Who is quick sees none of it.
local function talker()
  local start, last, running, done, over, terminal, drawn = host.tick(), 0, {}, 0, false, nil, false
  local function draw()
    local now = host.tick() - start
    if now < PROGRESS_AFTER or over or #running == 0 then return end
    if terminal == nil then terminal = host.is_terminal(2) end
    local words = ("%d done, looking at %s"):format(done, table.concat(running, ", "))
    if terminal then
      drawn = true
      io.stderr:write("\r\27[K", words:sub(1, 78))
    elseif now - last >= PROGRESS_LINE then
      last = now
      io.stderr:write(words, "\n")
    end
  end
  host.spawn(function()
    while not over do
      host.sleep(PROGRESS_AFTER)
      draw()
    end
  end)
  local function told(event, check)
    if event == "begin" then running[#running + 1] = check.id
    else
      done = done + 1
      for i, id in ipairs(running) do
        if id == check.id then table.remove(running, i) break end
      end
    end
    draw()
  end
  return told, function()
    over = true
    if drawn then io.stderr:write "\r\27[K" end
  end
end

local function checks_as_json(list)
  local checks = {}
  for i, check in ipairs(list) do checks[i] = text.ordered(check, { "id", "status", "title", "cause", "remedy" }) end
  return ("[%s]"):format(table.concat(checks, ","))
end

local function as_json(report)
  local out = ('{"status":"%s","checks":%s'):format(report.status, checks_as_json(report.checks))
  if not report.regions then return out .. "}" end
  local regions = {}
  for i, entry in ipairs(report.regions) do
    regions[i] = ('%s,"checks":%s}'):format(text.ordered(entry, { "region", "name", "set", "status", "api", "smtp", "sender", "domain" }):sub(1, -2),
      checks_as_json(entry.checks))
  end
  return ('%s,"regions":[%s]}'):format(out, table.concat(regions, ","))
end

-- ---- the bundle -----------------------------------------------------------------

local function bundle(args, report, values, place)
  local path, name = args.bundle[1], args.bundle[2]
  local script, e
  if name then
    script, e = text.read("--bundle", name, MOST_SCRIPT)
    if not script then return nil, e end
  end
  local bytes = require "directmail.bundle".text {
    report = report, settings = values, now = host.now(), operation = args.operation, parameters = args.param, error = args.error,
    script = script, script_name = name and name:match "[^/]*$", place = place.lua,
  }
  if path == "-" then
    io.write(bytes)
    return true
  end
  local ok
  ok, e = text.write_private("--bundle", path, bytes)
  if not ok then return nil, e end
  io.stderr:write(("directmail: wrote %s (only you may read it): look it over before you send it\n"):format(path))
  return true
end

-- ---- all of it --------------------------------------------------------------------

local function words_of(lists)
  local words = {}
  for _, list in ipairs(lists) do
    for _, item in ipairs(type(list) == "table" and list or { list }) do
      for word in item:gmatch "[^,%s]+" do words[#words + 1] = word end
    end
  end
  return words
end

local function list_checks(json)
  local list = doctor.list()
  if json then
    print((text.json(true, { checks = list }):gsub('^{"ok":true,', "{")))
  else
    for _, check in ipairs(list) do print(("%-16s %s"):format(check.id, check.title)) end
  end
  return exit.OK
end

function M.run(args, place)
  if args.list then return list_checks(args.json) end
  if args.error and not args.bundle then
    return require "directmail.command.explain".run { code = { args.error }, language = args.language, json = args.json }
  end
  if args.bundle and args.bundle[1] == "-" and (args.json or args.fix_list) then
    return usage.wrong(("--bundle - and --%s would both be printed"):format(args.json and "json" or "fix-list"), "name a file for the bundle")
  end
  if args.all_regions and args.offline then return usage.wrong("--all-regions asks every region, and --offline nobody", "leave one of them away") end
  if args.error == "" then return usage.wrong("--error is empty", "give the code or the server's words") end
  if args.domain and not args.domain:find "^[^%s@]+%.[^%s@.]+%.?$" then
    return usage.wrong(('--domain: "%s" is no domain'):format(err.printable(args.domain)), "write it as mail.example.com")
  end
  if args.dns then args.dns = args.dns:gsub("^localhost:", "127.0.0.1:") end
  local options, own, e, mail, report
  options, e = settings.options(args)
  if not options then return nil, e end
  local seconds = options.timeout
  options.timeout = nil
  own, e = require "directmail.command.own".files("doctor", args.check)
  if not own then return nil, e end
  mail, e = require "directmail".new(options)
  -- a variable or a profile that cannot be used is what is looked for; an option is a wrong command line
  if not mail and e.cause:find("(from option ", 1, true) then return nil, e end
  local values = mail and mail.settings or { from = {}, unused = {} }
  local start = host.tick()
  for _, name in ipairs(args.all_regions and mail and { "api", "smtp" } or {}) do
    local url = values[name]
    if url and not core.region_of_host((url:gsub("^%a+://", ""):gsub("[:/].*$", ""))) then
      io.stderr:write(("directmail: %s is set (from %s): each region is asked there\n"):format(name, values.from[name]))
    end
  end
  local told, finish
  if not args.json then told, finish = talker() end
  report, e = doctor.run(mail or options, {
    only = words_of(args.ids), offline = args.offline, domain = args.domain, to = args.to, kind = args.kind, tag = args.tag, template = args.template,
    checks = own, seconds = seconds, progress = told, all_regions = args.all_regions,
  })
  if finish then finish() end
  if not report then return nil, e end
  if args.bundle then
    local ok
    ok, e = bundle(args, report, values, place)
    if not ok then return nil, e end
  end
  if args.fix_list then
    for _, check in ipairs(report.checks) do
      for _, one in ipairs(check.findings) do
        if one.record then print(err.printable(("%s %s %s"):format(one.record.name, one.record.type, one.record.value))) end
      end
    end
  elseif args.json then
    print(as_json(report))
  elseif not (args.bundle and args.bundle[1] == "-") then
    show(report, host.tick() - start, painter(args.color))
  end
  return (report.status == "fail" or args.strict and report.status == "warn") and exit.REFUSED or exit.OK
end

return M
