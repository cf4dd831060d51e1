--- Find out why mail does not go: settings, network, account, DNS, each looked at by a small check, and what to do about it.
--
--     local report = directmail.doctor.run(mail, { only = { "clock", "sender", "dns" } })
--     for _, check in ipairs(report.failed) do print(check.title, check.cause, check.remedy) end
--
-- A check is a Lua file that returns
--
--     return {
--       id = "own.queue",                    -- lower case, a group and a name; `only` takes both
--       title = "length of our queue",
--       needs = { "network.smtp" },          -- checks without which this one says nothing
--       network = true,                      -- left out with `offline`
--       regional = true,                     -- its answer differs by region: `all_regions` looks at each
--       run = function(look) … end,          -- see below
--     }
--
-- `run` returns `summary` when all is well; `summary, findings` with a list of `{ status = "warn"|"fail", rule = "own.queue.long", cause =,
-- remedy =, record = { name=, type=, value= } of DNS to publish }` when not; `nil, why` when it cannot be told (skip). `look` is a
-- `directmail.doctor.look`; with `look.host` it may wait, not inside pcall (plain Lua 5.1 cannot).
-- docs/doctor.md lists the checks.
-- @module directmail.doctor
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

--- The checks that come with directmail, in the order of the report.
M.CHECKS = {
  "config", "hosts", "signature", "zone", "ecs", "network_api", "network_smtp", "ports", "clock", "tls_api", "tls_smtp", "key", "call", "rights",
  "greeting", "login", "envelope", "sender", "sender_status", "sender_type", "sender_domain", "parameters", "quota", "invalid",
  "dns_server", "dns_domain", "owner", "spf", "dkim", "dmarc", "mx", "track",
}

local OPTIONS = { "only", "offline", "domain", "to", "kind", "tag", "template", "checks", "seconds", "progress", "all_regions" }
local TYPES = { only = "string or table", offline = "boolean", domain = "string", to = "string", kind = "string", tag = "string", template = "string",
  checks = "string or table", seconds = "number", progress = "function", all_regions = "boolean" }

local SECONDS = 60              -- for everything: a doctor who is waited for longer is no help
local MOST_OWN = 200            -- checks of the user's
local OWN_OCTETS = 262144       -- of one such file
local RANK = { skip = 0, pass = 1, warn = 2, fail = 3 }
local KINDS = { bulk = true, transactional = true }

-- ---- the checks -----------------------------------------------------------------

local function check_shape(check, from)
  if type(check) ~= "table" then return ("%s returns no table"):format(from) end
  if type(check.id) ~= "string" or not check.id:find "^%l[%w_]*[%w_.]*$" or #check.id > 60 then
    return ('%s: id must be a short name in lower case, such as "own.queue"'):format(from)
  end
  if type(check.title) ~= "string" then return ("%s: the check %s has no title"):format(from, check.id) end
  if type(check.run) ~= "function" then return ("%s: the check %s has no function run"):format(from, check.id) end
  if check.needs ~= nil and type(check.needs) ~= "table" then return ("%s: needs of %s is no list"):format(from, check.id) end
end

local function refuse(cause, remedy) return err.refuse("OPTION", "checks", cause, remedy or "docs/doctor.md shows what a check is") end

-- A check out of a file of the user's.
local function load_own(path, host)
  local source, why = host.read(path, OWN_OCTETS)
  if not source then return refuse(("the check %s cannot be read: %s"):format(path, why), "name a Lua file that can be read") end
  if source:sub(1, 1) == "\27" then return refuse(("%s is no Lua text"):format(path)) end
  local chunk
  chunk, why = (loadstring or load)(source, "@" .. path)     -- luacheck: ignore 113
  if not chunk then return refuse(("the check %s is no Lua: %s"):format(path, why)) end
  local ran, check = pcall(chunk)                               -- a file builds a table; its run is what waits
  if not ran then return refuse(("the check %s fails: %s"):format(path, tostring(check))) end
  return check
end

-- All checks, ours first: list, or nil, err.
local function collect(own, host)
  local list, by_id = {}, {}
  local function add(check, from)
    local wrong = check_shape(check, from)
    if wrong then return refuse(wrong) end
    if by_id[check.id] then return refuse(("%s: there is a check %s already"):format(from, check.id), "give it another id") end
    by_id[check.id] = check
    list[#list + 1] = check
    return true
  end
  for _, name in ipairs(M.CHECKS) do
    local check = require("directmail.doctor." .. name)
    by_id[check.id] = check
    list[#list + 1] = check
  end
  if #(own or {}) > MOST_OWN then return refuse(("there are %d checks"):format(#own), ("%d at most"):format(MOST_OWN)) end
  for i, one in ipairs(own or {}) do
    local check, from = one, ("check %d"):format(i)
    if type(one) == "string" then
      local loaded, why = load_own(one, host)
      if why then return nil, why end
      check, from = loaded, one
    end
    local ok, e = add(check, from)
    if not ok then return nil, e end
  end
  for _, check in ipairs(list) do
    for _, need in ipairs(check.needs or {}) do
      if not by_id[need] then return refuse(("the check %s needs %s, which there is not"):format(check.id, tostring(need))) end
    end
  end
  return list, by_id
end

--- The ids and titles of the checks, without looking.
-- @treturn {table,...} `{ id=, title= }`
function M.list()
  local list = {}
  for i, name in ipairs(M.CHECKS) do
    local check = require("directmail.doctor." .. name)
    list[i] = { id = check.id, title = check.title }
  end
  return list
end

-- Does a word of `only` mean this check: its id, its group, or its name in the group?
local function means(word, id)
  return id == word or id:sub(1, #word + 1) == word .. "." or id:sub(-#word - 1) == "." .. word
end

-- id -> true of these checks and of all that they need.
local function with_needs(told, by_id)
  local looked = {}
  local function add(id)
    if looked[id] then return end
    looked[id] = true
    for _, need in ipairs(by_id[id].needs or {}) do add(need) end
  end
  for id in pairs(told) do add(id) end
  return looked
end

-- id -> true of what is to be told, and of what must be looked at for it; or nil, err.
local function choose(only, list, by_id)
  local told = {}
  local words = type(only) == "string" and { only } or only
  if not words or #words == 0 then
    for _, check in ipairs(list) do told[check.id] = true end
    return told, told
  end
  local known, has = {}, {}
  for _, check in ipairs(list) do
    for _, name in ipairs { check.id, check.id:match "^[^.]+" } do
      if not has[name] then known[#known + 1], has[name] = name, true end
    end
  end
  for _, word in ipairs(words) do
    local any = false
    for _, check in ipairs(list) do
      if means(word, check.id) then told[check.id], any = true, true end
    end
    if not any then
      local near = option.nearest(word, known)
      return err.refuse("OPTION", "only", ('there is no check "%s"%s'):format(err.printable(word), near and (' (did you mean "%s"?)'):format(near) or ""),
        "there are: " .. table.concat(known, ", "))
    end
  end
  return told, with_needs(told, by_id)
end

-- ---- results -----------------------------------------------------------------------

-- Sentences after each other, each with its rule.
local function joined(findings, field)
  local out, seen = {}, {}
  for _, one in ipairs(findings) do
    local text = one[field]
    if text and text ~= "" and not seen[text] then
      seen[text] = true
      out[#out + 1] = field == "cause" and one.rule and ("%s (%s)"):format(text, one.rule) or text
    end
  end
  return table.concat(out, "; ")
end

-- What there is to publish, in words.
local function published(record)
  return ("publish %s %s %s"):format(record.name, record.type, record.value)
end

local function is_record(one)
  return type(one) == "table" and type(one.name) == "string" and type(one.type) == "string" and type(one.value) == "string"
end

-- A finding as a check gave it, which may be somebody else's file: what cannot be told is made so that it can.
local function finding_of(one)
  if type(one) ~= "table" then one = { cause = one } end
  local record = is_record(one.record) and one.record or nil
  local remedy = one.remedy and tostring(one.remedy) or ""
  if record then remedy = (remedy ~= "" and remedy .. ": " or "") .. published(record) end
  return { status = one.status == "fail" and "fail" or "warn", rule = one.rule and err.printable(tostring(one.rule)),
    cause = err.printable(tostring(one.cause or "no cause was given")), remedy = err.printable(remedy), record = record }
end

local function result_of(check, summary, findings)
  local out = { id = check.id, title = check.title, findings = {} }
  if summary == nil then
    out.status, out.cause, out.remedy = "skip", "not checked: " .. tostring(findings or "no reason was given"), ""
    return out
  end
  out.status, out.found = "pass", err.printable(tostring(summary))
  for _, one in ipairs(type(findings) == "table" and findings or {}) do
    local finding = finding_of(one)
    out.findings[#out.findings + 1] = finding
    if RANK[finding.status] > RANK[out.status] then out.status = finding.status end
  end
  if out.status == "pass" then out.cause, out.remedy = out.found, ""
  else
    out.cause, out.remedy = joined(out.findings, "cause"), joined(out.findings, "remedy")
    if out.found ~= "" and not out.cause:find(out.found, 1, true) then out.cause = ("%s; found: %s"):format(out.cause, out.found) end
  end
  return out
end

local function broken(check, why)
  local out = result_of(check, "", { { status = "fail", cause = "the check itself failed: " .. tostring(why), remedy = "mend the check" } })
  out.found = nil
  return out
end

-- Why a check is not even begun: what it needs failed, or waits for what failed.
local function blocked(check, results)
  for _, need in ipairs(check.needs or {}) do
    local before = results[need]
    if before and (before.status == "fail" or before.behind) then
      local out = result_of(check, nil, ("%s failed"):format(before.behind or need))
      out.behind = before.behind or need
      return out
    end
  end
end

local function ready(check, results, looked)
  for _, need in ipairs(check.needs or {}) do
    if looked[need] and not results[need] then return false end
  end
  return true
end

-- Run what is chosen, each as soon as what it needs is known. `results` by id.
local function examine(look, list, looked, progress)
  local host, results, running, news, left = look.host, {}, {}, look.host.semaphore(), 0
  local function settle(check, out)
    if results[check.id] then return end       -- it came too late
    results[check.id], running[check.id] = out, nil
    left = left - 1
    if progress then progress("done", out) end
  end
  local function begin(check)
    running[check.id] = check
    if progress then progress("begin", check) end
    host.spawn(function()
      -- who waits for a task hears how it ended, and it may be somebody else's file
      local task = host.spawn(function() return check.run(look) end)
      local ok, summary, findings = host.wait(task)
      if ok then settle(check, result_of(check, summary, findings)) else settle(check, broken(check, summary)) end
      news:post()
    end)
  end
  for _, check in ipairs(list) do
    if looked[check.id] then left = left + 1 end
  end
  while left > 0 do
    local moved = false
    for _, check in ipairs(list) do
      if looked[check.id] and not results[check.id] and not running[check.id] and ready(check, results, looked) then
        moved = true
        local out = blocked(check, results)
        if not look.mail and not check.always then out = result_of(check, nil, "the settings cannot be used: see config") end
        if not out and look.offline and check.network then out = result_of(check, nil, "it needs the network, and offline is set") end
        if out then settle(check, out) else begin(check) end
      end
    end
    if not moved and left > 0 then
      local seconds = look.deadline + 1 - host.tick()
      if next(running) == nil then
        for _, check in ipairs(list) do            -- checks that need each other
          if looked[check.id] and not results[check.id] then settle(check, broken(check, "it needs itself, by way of others")) end
        end
      elseif seconds <= 0 or not news:wait(seconds) then
        for _, check in pairs(running) do settle(check, result_of(check, "", { { status = "fail",
          cause = ("it did not end within %g s"):format(look.seconds), remedy = "check the network; more time: --timeout" } })) end
      end
    end
  end
  return results
end

-- What is told of the results: the checks in their order, and the worst status. What a chosen check needs is told when it failed: else a skip
-- would be all that is seen.
local function gather(list, told, results)
  local out = { status = "skip", checks = {} }
  for _, check in ipairs(list) do
    local result = results[check.id]
    if result and (told[check.id] or result.status == "fail") then
      result.behind = nil
      out.checks[#out.checks + 1] = result
      if RANK[result.status] > RANK[out.status] then out.status = result.status end
    end
  end
  return out
end

-- The checks of a list that differ by region, and those of them that are told; or nil, err.
local function regional(list, told)
  local some, chosen = {}, {}
  for _, check in ipairs(list) do
    if check.regional then
      some[#some + 1] = check
      if told[check.id] then chosen[check.id] = true end
    end
  end
  if next(chosen) then return some, chosen end
  local ids = {}
  for i, check in ipairs(some) do ids[i] = check.id end
  return err.refuse("OPTION", "all_regions", "none of the chosen checks differs by region", "these do: " .. table.concat(ids, ", "))
end

--- Run the checks.
-- @tparam table what a mail object of `directmail.new`, or options for it
-- @tparam[opt] table options `only` = list of ids, groups or names; `offline` = true; `domain` = another one than the sender's; `to` = recipient of the
--   envelope that is rehearsed (default: the sender); `kind` = "bulk" or "transactional", what is sent; `tag`, `template` = names that are
--   compared with the console's; `checks` = own checks, tables or paths of files; `seconds` = time for all (60);
--   `progress(event, check)` with "begin" and the check, or "done" and its result; `all_regions` = true: what differs by region is looked at in
--   each, with the same settings otherwise (the SMTP password is shown to none but the region that is set)
-- @treturn[1] table `{ status = "pass"|"warn"|"fail"|"skip", ok = nothing failed, checks = { { id=, status=, title=, cause=, remedy=, found=,
--   findings = { { status=, rule=, cause=, remedy=, record= } } } }, failed = those of status "fail" }`; with `all_regions` also
--   `regions = { { region = id, name=, set = true when it is the region of the settings, status=, api = host, smtp = host, sender = "yes"|"no"|
--   "unknown": is it there, domain = the same, checks = as above } }`. A failure in a region that is neither set nor has the sender is a warning.
--   Checks in `failed` that are another region's have `region`
-- @treturn[2] nil
-- @treturn[2] err OPTION: no such check, an own one cannot be used, or `all_regions` with nothing to look at there
function M.run(what, options)
  options = options or {}
  option.check(options, OPTIONS, "doctor.run", 2)
  option.check_types(options, TYPES, "doctor.run", 2)
  if options.kind and not KINDS[options.kind] then error('kind of doctor.run is "bulk" or "transactional"', 2) end
  local mail, fault = what, nil
  if not (type(what) == "table" and what.settings and what.host) then mail, fault = require "directmail.mail".new(what, require "directmail.host", 2) end
  local host = mail and mail.host or require "directmail.host"
  local settings = mail and mail.settings or { from = {}, unused = {} }
  local list, by_id = collect(type(options.checks) == "string" and { options.checks } or options.checks, host)
  if not list then return nil, by_id end
  local told, looked = choose(options.only, list, by_id)
  if not told then return nil, looked end
  local some, chosen
  if options.all_regions then
    if options.offline then
      return err.refuse("OPTION", "all_regions", "all_regions asks every region, and offline nobody", "leave one of them away")
    end
    some, chosen = regional(list, told)
    if not some then return nil, chosen end
  end
  local seconds = options.seconds or SECONDS
  local look = require "directmail.doctor.look".new {
    host = host, mail = mail, settings = settings, offline = options.offline, seconds = seconds, domain = options.domain, to = options.to,
    kind = options.kind, tag = options.tag, template = options.template,
  }
  look.fault = fault
  local finish
  if some and mail then
    local needed = with_needs(chosen, by_id)
    finish = require "directmail.doctor.regions".begin(look, function(there) return gather(some, chosen, examine(there, list, needed)) end, options.progress)
  end
  local results = examine(look, list, looked, options.progress)
  local report = gather(list, told, results)
  report.failed = {}
  for _, check in ipairs(report.checks) do
    if check.status == "fail" then report.failed[#report.failed + 1] = check end
  end
  if some then report.regions = finish and finish(gather(some, chosen, results)) or {} end
  for _, entry in ipairs(report.regions or {}) do
    if RANK[entry.status] > RANK[report.status] then report.status = entry.status end
    for _, check in ipairs(entry.checks) do
      if check.status == "fail" and not entry.set then
        check.region = entry.region
        report.failed[#report.failed + 1] = check
      end
    end
  end
  report.ok = #report.failed == 0
  return report
end

return M
