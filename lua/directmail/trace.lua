--- What became of a mail: the service's own records, recipient by recipient.
-- A send ends when the service has the message. What the receiver's server said to it stands in the service's statistics some
-- minutes later (how late is not documented), and for 30 days
-- (https://www.alibabacloud.com/help/en/direct-mail/api-dm-2015-11-23-senderstatisticsdetailbyparam). They know no Message-ID: a mail
-- is told from others by its recipient, sender, subject and time.
-- @module directmail.trace
local core = require "directmail.core"
local err = require "directmail.err"
local explain = require "directmail.explain"
local option = require "directmail.option"
local time = require "directmail.credentials.key"

local M = {}

local DAY, MINUTE = 86400, 60
local KEPT_DAYS = 30
-- Which zone the service means by the minutes of a window is not documented: UTC or its own. The window is wide enough for both.
local ZONE = 8 * 3600
local PAGE, MOST = 100, 2000    -- records of a page, and of one address: a newsletter's test address has many

--- The status of each number of the service; `not_known` when there is no record.
M.STATUS = { [0] = "delivered", [2] = "invalid", [3] = "spam", [4] = "failed" }

-- ---- what a mail is known by -------------------------------------------------------

-- err -> what its mail was; the error itself shows none of it.
local mails = setmetatable({}, { __mode = "k" })

--- Keep what `resolve` needs of a mail whose outcome is unknown.
-- @tparam err e
-- @tparam table draft of `directmail.message`
-- @tparam number now UTC
function M.remember(e, draft, now)
  local to = {}
  for i = 1, #draft.to do to[i] = draft.to[i] end
  mails[e] = { to = to, sender = draft.from.address, subject = not draft.raw and (draft.fields.subject or "") or nil,
    since = now - (e.where and e.where.seconds or 0) }
end

--- The recipients that a caller names.
-- @param to a string or a list of strings
-- @treturn {string,...} addresses; or nil, err
function M.addresses(to)
  local list = {}
  for _, text in ipairs(type(to) == "table" and to or { to }) do
    if type(text) ~= "string" then return err.refuse("ADDRESS", "to", "to: an address is text, not a " .. type(text), "write ann@example.com") end
    local found, why = core.addresses(text)
    if not found or #found == 0 then
      return err.refuse("ADDRESS", "to", ('to: "%s" is no address: %s'):format(err.printable(text), why or "nothing stands there"), "write ann@example.com")
    end
    for _, one in ipairs(found) do list[#list + 1] = one.address end
  end
  if #list == 0 then return err.refuse("ADDRESS", "to", "to: no address was given", "give the recipients") end
  return list
end

-- ---- what the service says -----------------------------------------------------------

local function text_of(value) return type(value) == "string" and value ~= "" and err.printable(value) or nil end

local UNSEEN = "if it is missing there, the recipient looks in the spam folder; nobody outside can see whether it lies there, waits in a queue "
  .. "of the receiver, or was discarded without a word"

local WORDS = {
  delivered = { cause = "the receiving server accepted it", remedy = UNSEEN },
  invalid = { cause = "the address does not exist, or the service holds it for invalid", remedy = "stop writing to the address", blame = "recipient" },
  spam = { cause = "the receiver took it for spam, or the recipient complained", remedy = "change the content, clean the list, look at the reputation",
    blame = "content" },
  failed = { cause = "it could not be delivered", remedy = "read the receiver's words", blame = "none" },
  other = { cause = "the service gives a status that is documented nowhere", remedy = "look at it in the console's sending records" },
}

-- What the receiver's own words add: a rule that knows them is more exact than the status.
local function receivers_reason(reply)
  local code = reply and tonumber(reply:match "^%W*([45]%d%d)%f[%D]")
  if not code then return nil end
  local rule = explain.reply { phase = "event", code = code, text = reply }
  return rule.id ~= "4yz" and rule.id ~= "5yz" and rule or nil
end

local function seconds_of(record)
  local seconds = tonumber(record.UtcLastUpdateTime)
  if seconds then return time.seconds(seconds) end
  local minute = type(record.LastUpdateTime) == "string" and record.LastUpdateTime:match "^(%d+%-%d+%-%d+T%d+:%d+)Z$"
  return minute and time.seconds(minute .. ":00Z") or nil
end

-- One record of the service in our words.
local function record_of(address, record)
  local number = tonumber(record.Status)
  local status = number and M.STATUS[number] or "other"
  local words, reply, seconds = WORDS[status], text_of(record.Message), seconds_of(record)
  local reason = status ~= "delivered" and receivers_reason(reply) or words
  return {
    address = address, status = status, number = number, seconds = seconds, time = seconds and time.date(seconds), sender = text_of(record.AccountName),
    subject = text_of(record.Subject), class = text_of(record.ErrorClassification), reply = reply, cause = reason.cause, remedy = reason.remedy,
    blame = reason.blame,
  }
end

local function minutes(seconds) return os.date("!%Y-%m-%d %H:%M", math.floor(seconds)) end

-- Every record of an address from `since` on, as the service has it.
local function records_of(mail, address, since, now)
  local stop = now + ZONE + MINUTE
  local next_entry = mail.api.each("SenderStatisticsDetailByParam", {
    ToAddress = address, StartTime = minutes(math.max(since, stop - KEPT_DAYS * DAY + MINUTE)), EndTime = minutes(stop), Length = PAGE,
  })
  local list = {}
  while #list < MOST do
    local entry, e = next_entry()
    if entry == false then return nil, e end
    if entry == nil then break end
    if type(entry) == "table" then list[#list + 1] = entry end
  end
  return list
end

-- Subjects are compared without what folding may change.
local function folded(subject) return (subject:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

local function same(a, b) return a == nil or type(b) == "string" and a:lower() == b:lower() end

local function not_known(address, since, others)
  return {
    address = address, status = "not_known", others = others > 0 and others or nil,
    cause = ("the service has no record of %s to %s since %s%s"):format(others > 0 and "this mail" or "a mail", err.printable(address), time.date(since),
      others > 0 and (" (but of %d other%s)"):format(others, others > 1 and "s" or "") or ""),
    remedy = "records appear some minutes late: ask again then; a mail that is still not known was most likely not sent",
  }
end

--- Look mails up.
-- @tparam table mail the mail object
-- @tparam table wish `to` = addresses; `since` = UTC seconds; `sender` and `subject`: only mails with these, nil: any
-- @treturn {table,...} of each address its mails, the newest first: `{ address=, status="delivered"|"invalid"|"spam"|"failed"|"other", cause=,
--   remedy=, blame=, time="2026-11-23T12:34:00Z", seconds=, sender=, subject=, class=, reply=the receiver's last words, number=the service's status }`;
--   of one without any `{ address=, status="not_known", cause=, remedy=, others=mails to it that are not like this one }`; or nil, err
function M.look(mail, wish)
  local now, out = mail.host.now(), {}
  local since = wish.since - MINUTE             -- clocks differ, and the service cuts to minutes
  for _, address in ipairs(wish.to) do
    local records, e = records_of(mail, address, since, now)
    if not records then return nil, e end
    local found, others = {}, 0
    for i = 1, #records do
      local record = records[i]
      local seconds = seconds_of(record)
      if (not seconds or seconds >= since - MINUTE) and same(address, record.ToAddress) then
        if same(wish.sender, record.AccountName)
          and (wish.subject == nil or type(record.Subject) == "string" and folded(record.Subject) == folded(wish.subject)) then
          found[#found + 1] = record_of(address, record)
          found[#found].place = i
        else
          others = others + 1
        end
      end
    end
    table.sort(found, function(a, b)
      if a.seconds ~= b.seconds then return (a.seconds or 0) > (b.seconds or 0) end
      return a.place < b.place
    end)
    for _, one in ipairs(found) do
      one.place = nil
      out[#out + 1] = one
    end
    if #found == 0 then out[#out + 1] = not_known(address, math.max(wish.since, now - KEPT_DAYS * DAY), others) end
  end
  return out
end

-- ---- mail:resolve ------------------------------------------------------------------------

local OPTIONS = { "to", "since", "sender", "subject" }

--- Settle a mail whose outcome is unknown (`mail:resolve(err)`).
-- @tparam table mail the mail object
-- @param e the error that `send` returned; or nil
-- @tparam[opt] table options what the error does not know, or knows otherwise: `to` = address or list, `since` = UTC seconds (of
--   `send`; a day ago), `sender`, `subject`
-- @tparam number level where misuse is raised
-- @treturn table `{ outcome=, recipients = { of M.look, one for each address: the newest } }`, or nil, err. `sent`: the service has a record
--   of at least one recipient, whatever became of it; `unknown`: it has none (yet), and only the caller can order a second try
function M.resolve(mail, e, options, level)
  if e ~= nil and not err.is(e) then error("bad argument #1 to mail:resolve (an error of mail:send, or nil, expected)", level + 1) end
  options = options or {}
  option.check(options, OPTIONS, "mail:resolve", level + 1)
  local known = e and mails[e] or {}
  local to, sender, subject = options.to or known.to, options.sender or known.sender, options.subject or known.subject
  if to == nil then error("mail:resolve: this error does not know the recipients of its mail; give to", level + 1) end
  local now = mail.host.now()
  local since = options.since or known.since or now - DAY
  if type(since) ~= "number" or since ~= since or since > now + DAY then
    error("mail:resolve: since must be a time in the past, in seconds since 1970", level + 1)
  end
  local addresses, wrong = M.addresses(to)
  if not addresses then return nil, wrong end
  local found
  found, wrong = M.look(mail, { to = addresses, since = since, sender = sender, subject = subject })
  if not found then return nil, wrong end
  local answer, last = { outcome = "unknown", recipients = {} }, nil
  for _, one in ipairs(found) do
    if one.status ~= "not_known" then answer.outcome = "sent" end
    if one.address ~= last then answer.recipients[#answer.recipients + 1] = one end
    last = one.address
  end
  return answer
end

return M
