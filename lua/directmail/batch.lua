--- The service's own mailing (BatchSendMail): to a stored list or to recipients in the call, with an approved template or content.
-- Everything is checked before anything is sent, and every fault is told at once: the service takes one of two sources without a
-- word, sends variables that have no value as they stand, and tells of a missing template or a used-up quota only later.
-- The module is the function.
-- @module directmail.batch
local catalogue = require "directmail.catalogue"
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"
local templates = require "directmail.templates"
local variables = require "directmail.variables"

local TEXT, TABLE = { string = true }, { table = true }
local KINDS = {
  list = TEXT, recipients = TABLE, template = TEXT, content = TABLE, sender = TEXT, tag = TEXT, opt_in = TEXT, track = { table = true, boolean = true },
  unsubscribe = { string = true, table = true }, reply_to = TEXT, ip_pool = TEXT, variables = TABLE, timeout = { number = true },
  dry_run = { boolean = true }, on_call = { ["function"] = true },
}
local OPTIONS = { "list", "recipients", "template", "content", "sender", "tag", "opt_in", "track", "unsubscribe", "reply_to", "ip_pool", "variables",
  "timeout", "dry_run", "on_call" }
local ENTRY, CONTENT, TRACK, UNSUBSCRIBE = { "to", "data" }, { "subject", "html", "text" }, { "opens", "clicks" }, { "link", "filter" }

local SHOWN = 5                 -- faults of recipients that are told one by one
local OPT_IN_MAX = 500          -- characters: a source, not a story

-- Domains with one of these in them get the service's own link (SingleSendMail, UnSubscribeLinkType).
local LINK_DOMAINS = { "gmail", "yahoo", "google", "aol.com", "hotmail", "outlook", "ymail.com" }

local UNUSABLE = "bits 1 frozen, 2 overdue, 4 outbound restricted, 8 deleted"

local printable = err.printable

-- ---- faults -------------------------------------------------------------------------

local function fault(b, detail, text, remedy, code)
  b.faults[#b.faults + 1] = { detail = detail, text = text, remedy = remedy, code = code or "OPTION" }
end

local function warn(b, text) b.warnings[#b.warnings + 1] = text end

-- Different texts in order, joined.
local function joined(faults, field, separator)
  local out, seen = {}, {}
  for _, f in ipairs(faults) do
    local value = f[field]
    if value and not seen[value] then
      seen[value] = true
      out[#out + 1] = value
    end
  end
  return table.concat(out, separator)
end

-- All faults as one error: CONTENT when each is about the content, else OPTION.
local function error_of(b)
  local code = "CONTENT"
  for _, f in ipairs(b.faults) do
    if f.code ~= "CONTENT" then code = "OPTION" end
  end
  return err.new { code = code, detail = joined(b.faults, "detail", ", "), cause = "batch: " .. joined(b.faults, "text", "; "),
    remedy = joined(b.faults, "remedy", "; "), blame = "client-bug" }
end

-- ---- what stands in the call -------------------------------------------------------------

local function check_pairs(b)
  local o = b.options
  for _, pair in ipairs { { "list", "recipients" }, { "template", "content" } } do
    local one, other = pair[1], pair[2]
    if o[one] and o[other] then
      fault(b, one .. ", " .. other, ("%s and %s exclude each other: the service would take %s without a word"):format(one, other, one),
        ("give %s or %s"):format(one, other))
    elseif not o[one] and not o[other] then
      fault(b, one .. ", " .. other, ("%s or %s is missing"):format(one, other), ("give %s or %s"):format(one, other))
    end
  end
  if not (o.opt_in or ""):find "%S" then
    fault(b, "opt_in", "opt_in is missing: a mailing goes only to people who asked for it",
      'say where they did: opt_in = "signup form, double opt-in since 2025"')
  elseif #o.opt_in > OPT_IN_MAX or o.opt_in:find "%c" or not core.utf8(o.opt_in) then
    fault(b, "opt_in", ("opt_in is no line of text of at most %d octets"):format(OPT_IN_MAX), "name the source in short")
  end
  for _, name in ipairs { "redirect", "only" } do
    if b.mail.settings[name] then
      fault(b, name, ("%s is set (from %s), and a mailing would pass it by"):format(name, b.mail.settings.from[name]),
        ("send with mail:send_all, which keeps to it, or unset %s"):format(name))
    end
  end
end

-- One mailbox; nil when it is none.
local function mailbox(text)
  local list = #text <= 1000 and core.addresses(text)
  return list and #list == 1 and list[1] or nil
end

local function check_sender(b)
  local text = b.options.sender or b.mail.settings.sender
  if not text then return fault(b, "sender", "no sender is set", "give sender, an address of type batch (DIRECTMAIL_SENDER)") end
  local box = mailbox(text)
  if not box then return fault(b, "sender", ('sender: "%s" is no address'):format(printable(text)), "give one address, with a name if wanted") end
  b.sender = box.address
  if box.name == "" then return end
  if b.options.content then b.alias = box.name
  else warn(b, "the sender's name comes from the template, not from sender") end
end

-- Why a text is no recipient's address; the address, lower case, when it is.
local function recipient_of(text)
  if type(text) ~= "string" then return nil, "to is missing" end
  local box = mailbox(text)
  if not box or box.quoted or box.literal or box.single or box.comma then return nil, ('to is "%s", which is no address'):format(printable(text:sub(1, 80))) end
  if box.address ~= text then return nil, ('to is "%s": write the bare address'):format(printable(text:sub(1, 80))) end
  if #text > limits.api_address then return nil, ("to has %d octets, at most %d are taken"):format(#text, limits.api_address) end
  return text:lower()
end

-- Values as texts; nil and why.
local function values_of(data)
  local out = {}
  for name, value in pairs(data or {}) do
    local kind = type(value)
    if type(name) ~= "string" or kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      return nil, ("data.%s is a %s, not a text"):format(printable(tostring(name)), kind)
    end
    local text = kind == "number" and value == math.floor(value) and math.abs(value) < 2 ^ 53 and ("%.0f"):format(value) or tostring(value)
    if text:find "%z" or not core.utf8(text) then return nil, ("data.%s is no UTF-8 text"):format(printable(name)) end
    out[name] = text
  end
  return out
end

-- Faults of single recipients: the first ones in words, the number of the others.
local function row_fault(b, row, text, detail, code)
  b.bad_rows = b.bad_rows + 1
  if b.bad_rows <= SHOWN then
    fault(b, detail or "recipients", ("recipient %d: %s"):format(row, text), "correct the recipients, or take them out", code)
  end
end

local function check_recipients(b)
  local given, seen = b.options.recipients, {}
  if not given then return end
  b.rows = {}
  if #given == 0 then return fault(b, "recipients", "recipients is empty", "give { { to = …, data = { … } }, … }") end
  for i = 1, #given do
    local entry = given[i]
    if type(entry) == "string" then entry = { to = entry } end
    if type(entry) ~= "table" then error(("recipients[%d] of directmail.batch must be a table or an address"):format(i), 4) end
    option.check(entry, ENTRY, ("recipients[%d] of directmail.batch"):format(i), 4)
    if entry.data ~= nil and type(entry.data) ~= "table" then error(("recipients[%d].data of directmail.batch must be a table"):format(i), 4) end
    local low, why = recipient_of(entry.to)
    local values
    if low then values, why = values_of(entry.data) end
    if not values then
      row_fault(b, i, why)
    elseif seen[low] then
      row_fault(b, i, ("%s is recipient %d already"):format(printable(entry.to), seen[low]))
    else
      seen[low] = i
      local own = values.EAddr ~= nil
      if not own then values.EAddr = entry.to end
      b.rows[#b.rows + 1] = { to = entry.to, values = values, own_address = own, row = i, entry = given[i] }
    end
  end
end

local function check_tracking(b)
  local track, tag = b.options.track, b.options.tag
  if type(track) == "table" then
    option.check(track, TRACK, "track of directmail.batch", 4)
    if (track.opens or false) ~= (track.clicks or false) then
      fault(b, "track", "track: BatchSendMail follows opens and clicks, or neither", "give track = { opens = true, clicks = true }")
    end
    track = track.opens
  end
  b.track = track == true
  if b.track and not tag then fault(b, "track, tag", "track needs a tag", "give tag, the name of one that exists") end
  if tag and (#tag < 1 or #tag > limits.tag or tag:find "[^%w_-]") then
    fault(b, "tag", ('tag: "%s" is no tag name'):format(printable(tag)), ("use 1 to %d of A-Z a-z 0-9 _ -"):format(limits.tag))
  end
end

local function unsubscribe_of(b)
  local given = b.options.unsubscribe
  if type(given) == "string" then given = { link = given } end
  if given == nil then return {} end
  if given.url or given[1] then
    fault(b, "unsubscribe", "unsubscribe: one link of ours would be the same for every recipient",
      "put a link with a variable of its own into the content, and unsubscribe = \"disabled\"")
    return {}
  end
  option.check(given, UNSUBSCRIBE, "unsubscribe of directmail.batch", 4)
  return given
end

-- ---- content and its variables ---------------------------------------------------------------

local function check_body_for_tracking(b, html, whose)
  if not b.track then return end
  if not html or html == "" then
    fault(b, "track", whose .. " has no HTML, and nothing else can be tracked", "give html, or leave track away", "CONTENT")
  elseif not html:lower():find "<body[%s>]" then
    fault(b, "track", whose .. " has no body element, without which nothing is tracked", "write <body>…</body> around it", "CONTENT")
  elseif not html:lower():find "<a%s[^>]*href%s*=%s*[\"']?https?://" then
    warn(b, whose .. " has no link that begins with http:// or https://: only opens are tracked")
  end
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function sorted(found)
  local names = {}
  for name in pairs(found) do
    if name ~= "double" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Values in a stored list: the documented ones, those that the list or the caller names.
local function check_listed(b, found, whose)
  local known = set_of(variables.DOCUMENTED)
  for _, name in ipairs(b.options.variables or {}) do known[name] = true end
  for name in pairs(b.list_columns or {}) do known[name] = true end
  for _, name in ipairs(sorted(found)) do
    if not known[name] and found[name] == "text" then
      local near = option.nearest(name, variables.DOCUMENTED)
      fault(b, "variables", ("%s has {%s}, which a stored list has no value for%s"):format(whose, printable(name),
        near and (" (did you mean {%s}?)"):format(near) or ""), ("a stored list knows {%s}; own ones need recipients with data, or variables = { … } "
        .. "when the list was filled with CustomDetail"):format(table.concat(variables.DOCUMENTED, "}, {")), "CONTENT")
    end
  end
end

-- With recipients in the call each needs a value for each.
local function check_given(b, found, whose)
  local known = set_of(variables.DOCUMENTED)
  for _, row in ipairs(b.rows) do
    for name in pairs(row.values) do known[name] = true end
  end
  for _, name in ipairs(sorted(found)) do
    -- braces in other attributes are code, unless they have a variable's name
    if found[name] == "text" or known[name] then
      local missing, first = 0, nil
      for _, row in ipairs(b.rows) do
        if not row.values[name] or row.values[name] == "" then missing, first = missing + 1, first or row end
      end
      if missing == #b.rows then
        fault(b, "variables", ("%s has {%s}, for which no recipient has a value"):format(whose, printable(name)),
          ("give data.%s with each recipient, or take {%s} out"):format(printable(name), printable(name)), "CONTENT")
      elseif missing > 0 then
        fault(b, "variables", ("%s has {%s}, and %d of %d recipients have no value for it, the first is recipient %d (%s)"):format(whose, printable(name),
          missing, #b.rows, first.row, printable(first.to)), ("give data.%s with each recipient"):format(printable(name)), "CONTENT")
      end
    end
  end
end

local function check_values(b, content)
  local in_subject, in_html = variables.in_text(content.subject or ""), variables.in_html(content.html or "")
  local raw
  for _, row in ipairs(b.rows) do
    for name, value in pairs(row.values) do
      if in_subject[name] and value:find "%c" then
        row_fault(b, row.row, ("data.%s has a line break, and stands in the subject"):format(printable(name)), "variables", "CONTENT")
      end
      if in_html[name] and value:find "[<>&]" then raw = raw or name end
    end
  end
  if raw then warn(b, ("values of {%s} have < > or &: nobody documents that the service escapes them, so escape them yourself"):format(printable(raw))) end
end

-- The service's own link stands only in some mails (W107 of its users): say in how many.
local function check_link(b, content)
  if not b.rows or b.unsubscribe.link == "disabled" then return end
  local with = 0
  for _, row in ipairs(b.rows) do
    local domain = row.to:lower():match "@(.*)$"
    for _, word in ipairs(LINK_DOMAINS) do
      if domain:find(word, 1, true) then
        with = with + 1
        break
      end
    end
  end
  b.link = { with = with, without = #b.rows - with }
  if with == #b.rows or ((content.html or "") .. (content.text or "")):lower():find "unsubscri" then return end
  warn(b, ("%d of %d recipients get no unsubscribe link: the service adds its own only for gmail, yahoo, google, aol.com, hotmail, outlook and ymail.com")
    :format(b.link.without, #b.rows))
end

-- `content` is the call's, or what the template holds.
local function check_variables(b, content, whose)
  local found = variables.in_text(content.subject or "")
  variables.in_text(content.text or "", found)
  variables.in_html(content.html or "", found)
  b.uses_address = found.EAddr ~= nil
  if found.double then
    fault(b, "variables", ("%s has {{%s}}"):format(whose, printable(found.double)), "the service's variables stand in single braces: {UserName}", "CONTENT")
    found[found.double] = nil
  end
  if b.rows then check_given(b, found, whose) elseif b.options.list then check_listed(b, found, whose) end
  if b.rows then check_values(b, content) end
  check_body_for_tracking(b, content.html, whose)
  check_link(b, content)
end

local function check_content(b)
  local content = b.options.content
  if not content then return end
  option.check(content, CONTENT, "content of directmail.batch", 4)
  for name, value in pairs(content) do
    if type(value) ~= "string" then error(("content.%s of directmail.batch must be a string"):format(name), 4) end
  end
  if not (content.subject or ""):find "%S" then fault(b, "content", "content has no subject", "give content.subject", "CONTENT") end
  if (content.html or "") == "" and (content.text or "") == "" then
    fault(b, "content", "content has neither html nor text", "give content.html, content.text, or both", "CONTENT")
  end
  for _, name in ipairs { "html", "text" } do
    if #(content[name] or "") > limits.api_body_warn_octets then
      warn(b, ("content.%s has %d octets: above %d the service may answer too late"):format(name, #content[name], limits.api_body_warn_octets))
    end
  end
end

-- ---- what the service has ------------------------------------------------------------------------

-- The first entry of a list that fits, or what `fits` returns for it; nil, err.
local function find(b, name, params, fits)
  local following = b.mail.api.each(name, params, { timeout = b.options.timeout })
  while true do
    local entry, e = following()
    if entry == nil then return nil end
    if not entry then return nil, e end
    if fits(entry) then return entry end
  end
end

-- The sender's entry, and how much was sent today and this month by all of the account's.
local function look_at_senders(b)
  local own
  b.sent_today, b.sent_month = 0, 0
  local _, e = find(b, "QueryMailAddressByParam", {}, function(entry)
    b.sent_today = b.sent_today + (tonumber(entry.DailyCount) or 0)
    b.sent_month = b.sent_month + (tonumber(entry.MonthCount) or 0)
    if b.sender and tostring(entry.AccountName):lower() == b.sender:lower() then own = entry end
  end)
  if e or not b.sender then return e end
  if not own then
    fault(b, "sender", ("the account has no sender %s in this region"):format(printable(b.sender)),
      "make it in the console (type batch), or set the region it belongs to")
  elseif own.Sendtype ~= "batch" then
    fault(b, "sender", ("%s is a sender of type %s, and a mailing needs batch"):format(printable(b.sender), printable(tostring(own.Sendtype))),
      "give a sender of type batch; the type of an address cannot be changed")
  elseif tostring(own.AccountStatus) ~= "0" or tostring(own.DomainStatus) == "1" then
    fault(b, "sender", ("%s cannot send now (AccountStatus %s, DomainStatus %s)"):format(printable(b.sender), printable(tostring(own.AccountStatus)),
      printable(tostring(own.DomainStatus))), "verify the domain and the address in the console")
  end
end

local function look_at_list(b)
  local name = b.options.list
  if not name or b.options.recipients then return nil end
  local entry, e = find(b, "QueryReceiverByParam", {}, function(entry) return entry.ReceiversName == name end)
  if e then return e end
  if not entry then
    fault(b, "list", ('there is no list "%s"'):format(printable(name)), "directmail api QueryReceiverByParam shows the lists; or give recipients")
    return nil
  end
  b.recipients = tonumber(entry.Count) or 0
  if b.recipients == 0 then
    fault(b, "list", ('the list "%s" is empty'):format(printable(name)), "fill it with SaveReceiverDetail")
  elseif tostring(entry.ReceiversStatus) == "0" then
    fault(b, "list", ('the upload of the list "%s" is not over'):format(printable(name)), "wait for its end")
  end
  local detail
  detail, e = b.mail.api.QueryReceiverDetail({ ReceiverId = entry.ReceiverId, PageSize = 1 }, { timeout = b.options.timeout })
  if not detail then return e end
  b.list_columns = {}
  for column in tostring(detail.DataSchema or ""):gmatch "[^,%s]+" do b.list_columns[column] = true end
end

local function look_at_template(b)
  local name = b.options.template
  if not name or b.options.content then return nil end
  local found, e = templates.find(b.mail, name)
  if e then return e end
  if not found then
    fault(b, "template", ('there is no template "%s"'):format(printable(name)), "directmail template list shows them; or give content")
    return nil
  end
  if found.status ~= "approved" then
    fault(b, "template", ('the template "%s" is not approved: %s'):format(printable(name), found.status),
      found.status == "rejected" and "the console tells the reason; change it and push it again" or "wait for the review: directmail template list")
  end
  check_variables(b, found, ('the template "%s"'):format(printable(name)))
end

local function look_at_tag(b)
  local tag = b.options.tag
  if not tag then return nil end
  local entry, e = find(b, "QueryTagByParam", { KeyWord = tag }, function(entry) return entry.TagName == tag end)
  if not e and not entry then
    fault(b, "tag", ('there is no tag "%s"'):format(printable(tag)),
      ("directmail api CreateTag --TagName %s; it acts after about ten minutes"):format(printable(tag)))
  end
  return e
end

local function look_at_quota(b)
  local account, e = b.mail.api.DescAccountSummary({}, { timeout = b.options.timeout })
  if not account then return e end
  local status = tonumber(account.UserStatus) or 0
  if status ~= 0 then
    fault(b, "account", ("the account cannot send: UserStatus %.0f (%s)"):format(status, UNUSABLE), "the console tells what to do")
  end
  for _, row in ipairs { { "today", account.DailyQuota, b.sent_today }, { "this month", account.MonthQuota, b.sent_month } } do
    local quota = tonumber(row[2])
    local left = quota and math.max(0, quota - row[3])
    if row[1] == "today" then b.quota = { daily = quota, sent_today = row[3], left = left } end
    if left and b.recipients and b.recipients > left then
      fault(b, "quota", ("%d recipients are more than the %.0f that may be sent %s (quota %.0f, sent %.0f)"):format(b.recipients, left, row[1], quota, row[3]),
        "send to fewer, or wait for the quota's renewal")
      return nil
    end
  end
end

-- All of them; err when the service cannot be asked.
local function look(b)
  local ready, wrong = require "directmail.mail".ready(b.mail.host)
  if not ready then return wrong end
  -- senders before the quota, which counts what they sent; the list before the template, whose variables it must know
  for _, ask in ipairs { look_at_senders, look_at_list, look_at_template, look_at_tag, look_at_quota } do
    local e = ask(b)
    if e then return e end
  end
end

-- ---- the calls ----------------------------------------------------------------------------------

local function params_of(b, first, last)
  local o = b.options
  local params = { AccountName = b.sender, AddressType = 1, TagName = o.tag, ClickTrace = b.track and "1" or nil, TemplateName = o.template,
    ReceiversName = o.list, ReplyAddress = o.reply_to, IpPoolId = o.ip_pool, UnSubscribeLinkType = b.unsubscribe.link,
    UnSubscribeFilterLevel = b.unsubscribe.filter }
  if o.content then
    params.TemplateContent = { Subject = o.content.subject, Alias = b.alias, HtmlBody = o.content.html, TextBody = o.content.text }
  end
  if b.rows then
    params.Receivers = {}
    for i = first, last do
      local row, values = b.rows[i], {}
      for name, value in pairs(row.values) do
        -- that {EAddr} is known without a value is documented for stored lists only
        if name ~= "EAddr" or row.own_address or b.uses_address then values[name] = value end
      end
      params.Receivers[#params.Receivers + 1] = { To = { row.to }, TemplateData = values }
    end
  end
  return params
end

local function calls_of(b)
  local calls, most = {}, limits.api_batch_recipients
  if not b.rows then return { { recipients = b.recipients, outcome = "not_started" } } end
  for first = 1, #b.rows, most do
    local last = math.min(first + most - 1, #b.rows)
    calls[#calls + 1] = { first = first, last = last, recipients = last - first + 1, outcome = "not_started" }
  end
  return calls
end

-- Lengths and characters, from the catalogue: what the checks above leave.
local function check_parameters(b, calls)
  local operation = catalogue.find "BatchSendMail"
  for _, call in ipairs(calls) do
    local _, faults = catalogue.check(operation, params_of(b, call.first, call.last), b.mail.host.now())
    for _, f in ipairs(faults) do fault(b, f.parameter, f.text, "directmail api BatchSendMail --help lists the limits") end
    if #faults > 0 then return end
  end
end

-- What the first recipient gets, and the one with the most text in the values.
local function samples_of(b)
  local content, longest, most = b.options.content, nil, -1
  if not content or not b.rows then return nil end
  for _, row in ipairs(b.rows) do
    local size = 0
    for _, value in pairs(row.values) do size = size + #value end
    if size > most then longest, most = row, size end
  end
  local out = {}
  for i, row in ipairs(longest == b.rows[1] and { longest } or { b.rows[1], longest }) do
    out[i] = { row = row.row, to = row.to }
    for _, name in ipairs(CONTENT) do out[i][name] = variables.fill(content[name], row.values) end
  end
  return out
end

-- A refusal that is about a recipient says nothing about the next hundred.
local function goes_on(e) return e.outcome == "refused" and e.blame == "recipient" end

local function run(b, calls)
  for i, call in ipairs(calls) do
    call.outcome = "started"
    if b.options.on_call then b.options.on_call(call, i, #calls) end
    local answer, e = b.mail.api.BatchSendMail(params_of(b, call.first, call.last), { timeout = b.options.timeout })
    if answer then
      -- ids may be longer than a double tells apart
      call.outcome, call.env_id, call.request_id = "sent", answer.body:match '"EnvId"%s*:%s*"?([%w_-]+)', answer.RequestId
      b.region = answer.region
    else
      call.outcome, call.err, call.request_id = e.outcome, e, e.request_id
    end
    if b.options.on_call then b.options.on_call(call, i, #calls) end
    if e and not goes_on(e) then break end
  end
end

local SERIOUS = { unknown = 3, refused = 2, not_sent = 1 }

-- One error for calls that did not all succeed: the most serious, told with what became of the others.
local function failure_of(calls, result)
  local worst, at
  for i, call in ipairs(calls) do
    if call.err and (not worst or SERIOUS[call.err.outcome] > SERIOUS[worst.outcome]) then worst, at = call.err, i end
  end
  if not worst then return nil end
  if #calls == 1 then return worst end
  local n = result.counts
  return err.new { code = worst.code, detail = worst.detail, outcome = worst.outcome, blame = worst.blame, reply = worst.reply, request_id = worst.request_id,
    where = worst.where, after = worst.after, retry = n.sent == 0 and n.unknown == 0 and worst.retry,
    cause = ("call %d of %d (recipients %d to %d): %s; of all recipients %d sent, %d refused, %d unknown, %d not sent"):format(at, #calls, calls[at].first,
      calls[at].last, worst.cause, n.sent, n.refused, n.unknown, n.not_sent),
    remedy = ("%s%sdo not send the whole again: the third value names each call, and `rest` the recipients that surely have nothing"):format(worst.remedy or "",
      worst.remedy and "; " or "") }
end

local function result_of(b, calls)
  local o, counts = b.options, { sent = 0, refused = 0, unknown = 0, not_sent = 0 }
  local result = { outcome = "sent", recipients = b.recipients, env_ids = {}, calls = calls, counts = counts, warnings = b.warnings, opt_in = o.opt_in,
    region = b.region, quota = b.quota, unsubscribe_link = b.link, list = o.list, template = o.template, tag = o.tag }
  if b.rows then result.rest, result.doubtful = {}, {} end
  for _, call in ipairs(calls) do
    local outcome = call.outcome == "not_started" and "not_sent" or call.outcome
    counts[outcome] = counts[outcome] + (call.recipients or 0)
    if call.env_id then result.env_ids[#result.env_ids + 1] = call.env_id end
    local into = outcome == "unknown" and result.doubtful or outcome ~= "sent" and result.rest
    for i = call.first or 1, into and call.last or 0 do into[#into + 1] = b.rows[i].entry end
  end
  return result
end

local function dry_run(b, calls)
  local out = { dry_run = true, recipients = b.rows and #b.rows or nil, calls = calls, warnings = b.warnings, opt_in = b.options.opt_in,
    samples = samples_of(b), unsubscribe_link = b.link,
    unchecked = { "sender", "quota" } }
  for _, name in ipairs { "list", "template", "tag" } do
    if b.options[name] then table.insert(out.unchecked, name) end
  end
  for _, call in ipairs(calls) do call.params, call.outcome = params_of(b, call.first, call.last), nil end
  return out
end

local function check_local(b)
  check_pairs(b)
  check_sender(b)
  check_tracking(b)
  b.unsubscribe = unsubscribe_of(b)
  check_recipients(b)
  check_content(b)
  if b.rows then b.recipients = #b.options.recipients end
end

--- Start a mailing; `directmail.batch` is this.
-- It is never repeated by itself after an unknown outcome. Recipients in the call go in calls of at most 100, one after the other at
-- the service's rate; the first that fails stops the others, unless it was refused because of a recipient.
-- @function batch
-- @tparam table mail of `directmail.new`
-- @tparam table options
--   `list`: the name of a stored list, or `recipients`: `{ { to = "ann@x.example", data = { UserName = "Ann" } }… }`;
--   `template`: the name of an approved template, or `content`: `{ subject=, html=, text= }` with {variables};
--   `opt_in`: where the recipients asked for it; `sender` (default: the setting), of type batch; `tag`; `track`: true;
--   `unsubscribe`: "default" or "disabled", or `{ link=, filter= }`; `reply_to`; `ip_pool`; `variables`: names that the list has
--   beside the documented ones; `timeout`: seconds for each call; `dry_run`: true; `on_call`: function(call, i, n), before and after each
-- @treturn table `{ outcome = "sent", recipients=, env_ids = {…}, calls = { {first=, last=, recipients=, outcome=, env_id=, request_id=, err=}… },
--   counts = {sent=, refused=, unknown=, not_sent=}, warnings = {…}, quota = {daily=, sent_today=, left=}, … }`; sent means that the service took it.
--   With `dry_run` what would be called: `{ dry_run = true, calls = { {params=, …} }, samples=, warnings=, unchecked= }`
-- @treturn err OPTION or CONTENT with every fault, nothing was sent; or what the most serious call came to
-- @treturn table when calls were made: the same table, with `rest` (recipients that surely have nothing) and `doubtful` (unknown);
--   a call's outcome is "sent", "refused", "unknown", "not_sent" or "not_started"
local function batch(mail, options)
  if type(mail) ~= "table" or type(mail.settings) ~= "table" then error("bad argument #1 to directmail.batch (mail object expected)", 2) end
  option.check(options, OPTIONS, "directmail.batch", 2)
  for name, value in pairs(options) do
    if not KINDS[name][type(value)] then error(("field %s of directmail.batch must not be a %s"):format(name, type(value)), 2) end
  end
  local b = { mail = mail, options = options, faults = {}, warnings = {}, bad_rows = 0, unsubscribe = {} }
  check_local(b)
  local clear, e = #b.faults == 0, nil
  if not options.dry_run then e = look(b) end
  if options.content and not options.template then check_variables(b, options.content, "content") end
  local calls = calls_of(b)
  if clear then check_parameters(b, calls) end
  if b.bad_rows > SHOWN then fault(b, "recipients", ("and %d more recipients"):format(b.bad_rows - SHOWN)) end
  if #b.faults > 0 then return nil, error_of(b) end
  if e then return nil, e end
  if options.dry_run then return dry_run(b, calls) end
  run(b, calls)
  local result = result_of(b, calls)
  e = failure_of(calls, result)
  if not e then return result end
  result.outcome = e.outcome
  return nil, e, result
end

return batch
