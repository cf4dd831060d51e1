--- Put the good rows of a list into one that is stored at the service, in pages, with a report for each row.
-- Nothing that is suppressed goes up, and nobody who did not ask for mail. A page that is sent twice doubles nothing: the service
-- counts addresses that are there as errors.
-- @module directmail.list.upload
local check = require "directmail.list.check"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local OPTIONS = { "list", "create", "opt_in", "column", "variables", "mx", "hosts", "server", "timeout", "jobs", "store", "disposable", "charset",
  "risky", "unknown", "dry_run", "on_row", "on_progress" }

-- The five variables that every stored list has, and their names in Detail.
local FIXED = { username = "u", nickname = "n", gender = "g", birthday = "b", mobile = "m" }

local function fits(values, name)
  for column, value in pairs(values) do
    if column:lower() == name and value ~= "" then return value end
  end
end

-- One recipient as SaveReceiverDetail takes it.
local function entry_of(u, row)
  if not u.options.variables then
    local entry = { e = row.to }
    for name, short in pairs(FIXED) do entry[short] = fits(row.values, name) end
    return entry
  end
  local data = {}
  for _, name in ipairs(u.options.variables) do data[name] = row.values[name] end
  return { Email = row.to, CustomData = data }
end

local function tell(u, row, outcome, reason)
  row.outcome = outcome
  if reason then row.reasons[#row.reasons + 1] = reason end
  u.counts[outcome] = u.counts[outcome] + 1
  if u.options.on_row then u.options.on_row(row) end
end

-- What the service refused of a page: address in lower case -> its words.
local function refusals(answer)
  local refused = {}
  for _, one in ipairs(type(answer.Data) == "table" and type(answer.Data.Detail) == "table" and answer.Data.Detail or {}) do
    refused[tostring(one.Email):lower()] = err.printable(tostring(one.ErrMessage or "refused"))
  end
  return refused
end

-- Send the good rows of a page: a function that gives a row's outcome and reason.
local function send(u, good)
  if u.options.dry_run then return function() return "not_sent", "dry_run: nothing is uploaded" end end
  if u.err then return function() return "not_sent", "page: an earlier page failed" end end
  local entries = {}
  for i, row in ipairs(good) do entries[i] = entry_of(u, row) end
  local answer, e = u.mail.api.SaveReceiverDetail { ReceiverId = u.id, [u.options.variables and "CustomDetail" or "Detail"] = entries }
  u.calls = u.calls + 1
  if not answer then
    u.err = e
    return function() return e.outcome, "page: " .. e.cause end
  end
  local refused, named = refusals(answer), 0
  for _, row in ipairs(good) do
    if refused[row.to:lower()] then named = named + 1 end
  end
  local counted = tonumber(answer.SuccessCount)
  if counted and counted ~= #good - named then
    u.warnings[#u.warnings + 1] = ("call %d: the service counts %.0f stored and names %d refused of %d (RequestId %s)"):format(u.calls, counted, named, #good,
      tostring(answer.RequestId))
  end
  return function(row)
    local why = refused[row.to:lower()]
    return why and "refused" or "stored", why and "service: " .. why
  end
end

-- Send what is in the page, and tell its rows in their order.
local function send_page(u)
  local page, good = u.page, u.good
  u.page, u.good = {}, {}
  local outcome_of = #good > 0 and send(u, good)
  for _, row in ipairs(page) do
    if row.goes then tell(u, row, outcome_of(row)) else tell(u, row, "rejected") end
    row.goes = nil
  end
end

local function is_good(u, row)
  return row.verdict == "ok" or row.verdict == "risky" and u.options.risky ~= false or row.verdict == "unknown" and u.options.unknown ~= false
end

local function take(u, row)
  row.goes = is_good(u, row)
  u.page[#u.page + 1] = row
  if row.goes then u.good[#u.good + 1] = row end
  if #u.good == limits.list_upload or #u.page == limits.list_waiting then send_page(u) end
end

-- The stored list of that name: its id; nil and err; or nil alone when there is none.
local function find(mail, name)
  local following = mail.api.each("QueryReceiverByParam", {})
  while true do
    local entry, e = following()
    if entry == nil then return nil end
    if not entry then return nil, e end
    if entry.ReceiversName == name then return tostring(entry.ReceiverId) end
  end
end

-- An alias must be shaped as an address, and has 30 characters at most.
local function alias_of(name)
  local word = name:lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):gsub("%-+$", "")
  return (word == "" and "list" or word:sub(1, 16)) .. "@list.example"
end

local function target(u)
  local o = u.options
  if o.dry_run then return true end
  local id, e = find(u.mail, o.list)
  if e then return nil, e end
  if not id and o.create then
    local made
    made, e = u.mail.api.CreateReceiver { ReceiversName = o.list, ReceiversAlias = alias_of(o.list) }
    if not made then return nil, e end
    id = tostring(made.ReceiverId)
    u.created = true
  end
  if not id then
    return err.refuse("OPTION", "list", ('there is no stored list "%s"'):format(err.printable(o.list)),
      "directmail api QueryReceiverByParam shows the lists; or let it be made (create = true)")
  end
  u.id = id
  return true
end

--- Upload a list.
-- @function upload
-- @tparam table mail of `directmail.new`, with AccessKeys
-- @tparam string|table source as of `directmail.csv`.rows
-- @tparam table options `list` = the stored list's name; `create` = true: make it when there is none; `opt_in` = the column that says where each
--   recipient asked for mail; `variables` = columns that go up as values of own variables (else the five fixed ones: UserName, NickName, Gender,
--   Birthday, Mobile, when the list has such columns); `risky`, `unknown` = false: do not upload such rows; `dry_run`; `on_row` = function(row), a row of
--   `list.check` with `outcome` = "stored", "refused" (by the service), "rejected" (by the check), "unknown" or "not_sent"; the others as of `list.check`
-- @treturn table `{ rows=, counts = {stored=, refused=, rejected=, unknown=, not_sent=}, calls=, list=, id=, created=, warnings = {…},
--   check = the check's summary }`
-- @treturn err what a page came to, or why the list cannot be read; nil stands before it
-- @treturn table then: the same table so far
local function upload(mail, source, options)
  if type(mail) ~= "table" or type(mail.settings) ~= "table" then error("bad argument #1 to list.upload (mail object expected)", 2) end
  option.check(options, OPTIONS, "list.upload", 2)
  if type(options.list) ~= "string" or options.list == "" then
    return err.refuse("OPTION", "list", "list: the name of the stored list is missing", "give its name; create = true makes it")
  end
  if type(options.opt_in) ~= "string" then
    return err.refuse("OPTION", "opt_in", "opt_in: bulk mail goes to people who asked for it only, and the list must say where each did",
      "name the column that says it: opt_in = \"source\"")
  end
  local u = { mail = mail, options = options, page = {}, good = {}, calls = 0, warnings = {},
    counts = { stored = 0, refused = 0, rejected = 0, unknown = 0, not_sent = 0 } }
  local ready, e = target(u)
  if not ready then return nil, e end
  local summary, broken, partial = check(source, { column = options.column, mx = options.mx, hosts = options.hosts, server = options.server,
    timeout = options.timeout, jobs = options.jobs, store = options.store, disposable = options.disposable, charset = options.charset,
    opt_in = options.opt_in, sender = mail.settings.sender, host = mail.host, on_progress = options.on_progress, on_row = function(row) take(u, row) end })
  if summary or partial then send_page(u) end
  local seen = summary or partial
  local result = seen and { rows = seen.rows, counts = u.counts, calls = u.calls, list = options.list, id = u.id, created = u.created, warnings = u.warnings,
    check = seen }
  if not summary then return nil, broken, result end
  if u.err then return nil, u.err, result end
  return result
end

return upload
