--- Judge the rows of a list one after the other, with many domains being asked for at once.
-- Nothing here grows with the list: rows wait for their domain in a window, what was seen lies in a database on the disk.
-- @module directmail.list.check
local addresses = require "directmail.list.address"
local columns_of = require "directmail.list.columns"
local csv = require "directmail.csv"
local domains = require "directmail.list.domain"
local hints = require "directmail.list.hints"
local limits = require "directmail.data.limits"
local option = require "directmail.option"
local register = require "directmail.list.register"

local OPTIONS = { "column", "mx", "hosts", "server", "timeout", "jobs", "store", "sender", "opt_in", "disposable", "charset", "on_row", "on_progress",
  "host" }
local TYPES = { column = "string", server = "string", charset = "string", opt_in = "string", timeout = "number", jobs = "number", mx = "boolean",
  hosts = "boolean", store = "table", on_row = "function", on_progress = "function" }
local NOTHING = {}
local STRIDE = 256              -- rows that are read before answers are looked at
local PROGRESS = 1              -- seconds between two calls of on_progress

-- ---- verdicts ---------------------------------------------------------------------------

-- What is kept about a domain as one text: verdict, reason.
local function pack(verdict, reason) return verdict .. "\t" .. (reason or "") end

local function unpack_verdict(text)
  local verdict, reason = text:match "^(%l+)\t(.*)$"
  return verdict, reason ~= "" and reason or nil
end

local function settle(row, verdict, reason)
  row.verdict = verdict
  row.reasons[#row.reasons + 1] = reason
end

-- Syntax, and whether it stood there before. true; or nil, err.
local function judge(c, row, uneven)
  if uneven then
    settle(row, "invalid", "row: " .. uneven)
    return true
  end
  local one = addresses.read(row.address)
  row.to, row.domain = one.to, one.domain
  if one.verdict then
    settle(row, one.verdict, one.reason)
    return true
  end
  local first, e = c.seen:row(one.key, row.row)
  if not first then return nil, e end
  if first ~= row.row then
    settle(row, "duplicate", ("duplicate: the address stands in row %d"):format(first))
    return true
  end
  row.role = one.role
  return true
end

-- Which of these rows nothing may be sent to. true; or nil, err.
local function look_up(c, rows)
  local list, asked = {}, {}
  for _, row in ipairs(rows) do
    if not row.verdict then list[#list + 1], asked[#asked + 1] = row.to, row end
  end
  if not list[1] then return true end
  local answers, e = c.options.store:suppressed_of(list)
  if not answers then return nil, e end
  for i, row in ipairs(asked) do
    local why = answers[i]
    if why then settle(row, "suppressed", ("suppressed: %s (%s)"):format(why.reason, why.source)) end
  end
  return true
end

-- What a domain says by itself: the one that was meant, or false; is it disposable? Many rows have the same, and it costs.
local function look_at_domain(c, domain)
  local seen = c.looked[domain]
  if seen then return seen end
  if c.looks >= limits.list_domains then c.looked, c.looks = {}, 0 end
  seen = { near = addresses.did_you_mean(domain), disposable = addresses.is_disposable(domain, c.options.disposable) }
  if not seen.near and not seen.disposable then seen = NOTHING end
  c.looked[domain], c.looks = seen, c.looks + 1
  return seen
end

-- What makes a good address a risk, and whether the recipient asked for mail.
local function judge_further(c, row)
  local o = c.options
  if o.opt_in and not (row.values[o.opt_in] or ""):find "%S" then
    settle(row, "invalid", ("opt_in: the column %s says nothing"):format(o.opt_in))
    return
  end
  local domain = look_at_domain(c, row.domain)
  local near = domain.near
  if near then
    row.suggestion = row.to:sub(1, #row.to - #row.domain) .. near
    row.meant = row.domain .. " → " .. near
    row.reasons[#row.reasons + 1] = ("typo: did you mean %s?"):format(near)
  end
  if domain.disposable then
    row.reasons[#row.reasons + 1] = ("disposable: mailboxes of %s live for minutes"):format(row.domain)
  end
  if row.role then row.reasons[#row.reasons + 1] = "role: it stands for a task, not for a person who could have opted in" end
  if not o.mx then row.verdict = row.reasons[1] and "risky" or "ok" end
end

-- ---- the domains ---------------------------------------------------------------------------

-- What is known about a domain by now; nil, err.
local function known(c, domain)
  local text = c.young[domain] or c.old[domain]
  if text then return text end
  return c.seen:read(domain)
end

local function remember(c, domain, text)
  c.young[domain], c.count = text, c.count + 1
  if c.count > limits.list_domains then c.old, c.young, c.count = c.young, {}, 0 end
  local ok, e = c.seen:note(domain, text)
  if not ok then c.broken = c.broken or e end
end

-- A task: it asks for one domain after the other until all is over.
local function work(c)
  local o = c.options
  while c.work:wait() and not c.stopped do
    local domain = c.queue[c.first]
    c.queue[c.first], c.first = nil, c.first + 1
    local verdict, reason = domains.ask(c.host, domain, { dns = c.dns, hosts = o.hosts })
    c.asked = c.asked + 1
    remember(c, domain, pack(verdict, reason))
    c.asking[domain] = nil
    c.news:post()
  end
end

-- Let a domain be asked for, once. true when its verdict is there already; nil, err.
local function want(c, domain)
  if c.asking[domain] then return false end
  local text, e = known(c, domain)
  if text == nil then return nil, e end
  if text then return true end
  c.asking[domain] = true
  c.last = c.last + 1
  c.queue[c.last] = domain
  c.work:post()
  if #c.tasks < c.jobs then c.tasks[#c.tasks + 1] = c.host.spawn(work, c) end
  return false
end

-- ---- the rows --------------------------------------------------------------------------------

local function count(c, row)
  local s = c.summary
  s.rows = s.rows + 1
  s.verdicts[row.verdict] = (s.verdicts[row.verdict] or 0) + 1
  -- what decided: the first one, or of a risk all
  for i = 1, row.verdict == "risky" and #row.reasons or math.min(1, #row.reasons) do
    local id = row.reasons[i]:match "^[%w_.]+"
    s.reasons[id] = (s.reasons[id] or 0) + 1
  end
  if row.verdict == "suppressed" then
    local why = row.reasons[1]:match "^suppressed: (.-) %("
    s.suppressed[why] = (s.suppressed[why] or 0) + 1
  end
  if row.meant and (s.suggestions[row.meant] or c.meant < limits.list_subjects) then
    if not s.suggestions[row.meant] then c.meant = c.meant + 1 end
    s.suggestions[row.meant] = (s.suggestions[row.meant] or 0) + 1
  end
end

-- Tell the row in front when its domain is settled: true, false when it is not, nil, err.
local function emit(c)
  local row = c.window[c.head]
  if not row.verdict then
    if c.asking[row.domain] then return false end
    local text, e = known(c, row.domain)
    if not text then return nil, e or c.broken end
    local verdict, reason = unpack_verdict(text)
    if reason then table.insert(row.reasons, 1, reason) end
    if verdict == "ok" and row.reasons[1] then verdict = "risky" end
    row.verdict = verdict
  end
  c.window[c.head], c.head = nil, c.head + 1
  count(c, row)
  c.hints:take(row)
  if c.options.on_row then c.options.on_row(row) end
  return true
end

local function progress(c, now)
  if not c.options.on_progress or now - c.told < PROGRESS then return end
  c.told = now
  local s = c.summary
  s.seconds = now - c.began
  c.options.on_progress { rows = s.rows, seconds = s.seconds, rate = s.rows / math.max(s.seconds, 1e-3),
    share = c.size and c.size > 0 and c.place() / c.size * s.rows / math.max(1, c.read) or nil, domains = c.asked, verdicts = s.verdicts }
end

-- The next rows into the window: true, false at the end of the list, nil, err. Rows in front of a fault count.
local function fill(c)
  local rows, ended = {}, false
  local ok, e
  while #rows < STRIDE and not ended do
    local values, line, uneven = c.following()
    if not values then
      ended = true
      if values == false then c.fault = line end
    else
      c.read = c.read + 1
      local row = { row = c.read, line = line, values = values, reasons = {}, address = (values[c.column] or ""):match "^%s*(.-)%s*$" }
      ok, e = judge(c, row, uneven)
      if not ok then return nil, e end
      rows[#rows + 1] = row
    end
  end
  if c.options.store then
    ok, e = look_up(c, rows)
    if not ok then return nil, e end
  end
  for _, row in ipairs(rows) do
    if not row.verdict then judge_further(c, row) end
    if not row.verdict then
      ok, e = want(c, row.domain)
      if ok == nil then return nil, e end
    end
    c.tail = c.tail + 1
    c.window[c.tail] = row
  end
  return not ended
end

local function run(c)
  local more = true
  while true do
    local told, e
    if more and c.tail - c.head < limits.list_waiting then
      more, e = fill(c)
      if more == nil then return nil, e end
    end
    repeat
      if c.head <= c.tail then told, e = emit(c) else told = false end
      if told == nil then return nil, e end
    until not told
    if c.broken then return nil, c.broken end
    progress(c, c.host.tick())
    if c.head > c.tail then
      if not more then return not c.fault or nil, c.fault end
    elseif not more or c.tail - c.head >= limits.list_waiting then
      c.news:wait(PROGRESS)
    elseif c.last - c.first > c.jobs then
      c.host.sleep(0)           -- enough to ask for: let answers in before more is read
    end
  end
end

--- Judge a list.
-- @function check
-- @tparam string|table source as of `directmail.csv`.rows
-- @tparam[opt] table options
--   `column` = the column of the addresses (email, to or address when left out); `mx` = true: ask the DNS whether each domain takes
--   mail, and with `hosts` = true whether the hosts of its MX have addresses; `server` = "IP:PORT" of the DNS; `timeout` = seconds for a domain's
--   answer; `jobs` = domains asked for at once (64); `store` = a store whose suppression list counts; `opt_in` = a column that must say
--   where the recipient asked for mail; `sender` = the address that will write; `disposable` = further domains of mailboxes that live for minutes
--   (domain -> true); `charset` = "auto", "utf-8" or "gb18030"; `on_row` = function(row), called for each in the list's order;
--   `on_progress` = function{rows=, seconds=, rate=, share=, domains=, verdicts=}, once a second
-- @treturn table `{ rows=, verdicts = {ok=, …}, reasons = {id = count}, suggestions = {["gamil.com → gmail.com"] = count}, suppressed = {reason = count},
--   domains = how many were asked for, seconds=, hints = {{id=, count=, cause=, remedy=}…}, charset=, column=, columns= }`; a row is `{ row = 1 and up,
--   line=, address = as it stands there, to = on the wire, domain=, values = {by column}, verdict = "ok" "invalid" "risky" "unknown" "duplicate" "suppressed",
--   reasons = {"id: words"…}, suggestion = an address }`
-- @treturn err when the list cannot be read on (FILE, with file and line), or the store fails; nil stands before it
-- @treturn table then: the summary so far
local function check(source, options)
  options = options or {}
  if type(source) ~= "string" and type(source) ~= "table" then
    error(("bad argument #1 to list.check (path or table expected, got %s)"):format(type(source)), 2)
  end
  option.check(options, OPTIONS, "list.check", 2)
  option.check_types(options, TYPES, "list.check", 2)
  local host = options.host or require "directmail.host"
  local able, why = register.able(host)
  if not able then return nil, why end
  if type(source) == "string" then source = { path = source } end
  local from = { uneven = true, charset = options.charset }
  for name, value in pairs(source) do from[name] = value end
  local following, columns, place = csv.rows(from)
  if not following then return nil, columns end
  local column, e = columns_of.find(columns, options.column, "column")
  if not column then return nil, e end
  if options.opt_in then
    local found
    found, e = columns_of.find(columns, options.opt_in, "opt_in")
    if not found then return nil, e end
  end
  local seen
  seen, e = register.open()
  if not seen then return nil, e end
  local c = { options = options, host = host, following = following, column = column, seen = seen, size = place.size, place = place.place, read = 0,
    window = {}, head = 1, tail = 0, queue = {}, first = 1, last = 0, asking = {}, jobs = options.jobs or limits.list_lookups, tasks = {},
    young = {}, old = {}, count = 0,
    looked = {}, looks = 0, asked = 0, news = host.semaphore(), work = host.semaphore(), began = host.tick(), told = host.tick(), meant = 0,
    hints = hints.new(options.sender, columns_of.named(columns, { "subject", "主题" })),
    dns = { server = options.server, timeout = options.timeout or limits.list_lookup_seconds },
    summary = { rows = 0, verdicts = {}, reasons = {}, suggestions = {}, suppressed = {}, domains = 0, column = column, columns = columns,
      charset = place.charset or "utf-8" } }
  local ok
  ok, e = run(c)
  c.stopped = true
  c.work:post(#c.tasks)
  for i = 1, #c.tasks do host.wait(c.tasks[i]) end
  seen:close()
  local s = c.summary
  s.seconds, s.domains, s.hints = host.tick() - c.began, c.asked, c.hints:hints(s.rows)
  if not ok then return nil, e, s end
  return s
end

return check
