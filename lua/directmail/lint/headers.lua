--- Rules for header fields, and for who writes to whom.
-- @module directmail.lint.headers
local core = require "directmail.core"
local address = require "directmail.lint.mail".address
local domain = require "directmail.lint.mail".domain
local read = require "directmail.read"
local url = require "directmail.lint.url"

local M = {}

local HOUR = 3600
local AHEAD, BEHIND = 3, 96     -- hours (SpamAssassin, DATE_IN_FUTURE_03_06 and DATE_IN_PAST_96_XX)

-- When a server took the mail: the newest Received.
local function received(mail)
  local field = read.field(mail.headers, "Received")
  return field and core.date_parse((field:match "^.*;%s*(.*)$" or ""))
end

local function check_date(mail, report)
  local line = { line = mail.header_lines.date, element = "Date" }
  local text = read.field(mail.headers, "Date")
  if not text then return report("head.date-missing", { line = 1 }) end
  local date = core.date_parse(text)
  if not date then return report("head.date-invalid", line, text) end
  local taken = received(mail)
  local ahead = math.floor((date - (taken or mail.options.now())) / HOUR)
  if ahead >= AHEAD then report("head.date-future", line, tostring(ahead)) end
  if taken and -ahead >= BEHIND then report("head.date-past", line, tostring(-ahead)) end
end

local function check_fields(mail, report)
  local at = mail.header_lines
  check_date(mail, report)
  if not read.field(mail.headers, "Message-ID") then report("head.message-id", { line = 1 }) end
  local to = read.field(mail.headers, "To")
  if not to or to == "" then report("head.to", { line = at.to or 1 }) end
  local from = read.field(mail.headers, "From")
  if not address(from) then report("head.from", { line = at.from or 1 }, from or "none") end
  if (read.field(mail.headers, "Subject") or ""):find "[\128-\255]" then report("head.subject-8bit", { line = at.subject, element = "Subject" }) end
  if (from or ""):find "[\128-\255]" then report("head.from-8bit", { line = at.from, element = "From" }) end
end

function M.check(mail, report)
  if mail.headers then check_fields(mail, report) end
  local from, reply_to, to = domain(mail.from), domain(mail.reply_to), domain(mail.to)
  local lines = mail.header_lines or {}
  if not from then return end
  if url.known(from, "freemail") then report("head.from-free", { line = lines.from, element = "From" }, from)
  elseif reply_to and url.known(reply_to, "freemail") then
    report("head.reply-to-free", { line = lines["reply-to"], element = "Reply-To" }, reply_to, from)
  end
  if to and url.organisation(to) == url.organisation(from) and not url.known(from, "freemail") then
    report("head.internal", { line = lines.to, element = "To" }, address(mail.from), address(mail.to))
  end
end

return M
