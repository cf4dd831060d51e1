--- What an outcome means to the shell.
-- `sendmail` and `--sysexits` answer with the codes of sysexits.h, which cron, PHP, git and mail readers know.
-- @module directmail.command.exit
local M = { OK = 0, REFUSED = 1, OURS_REFUSED = 2, REPEAT = 3, UNKNOWN = 4, BROKEN = 5 }

--- The codes of every command in words, in their order.
M.CODES = {
  { tostring(M.OK), "sent, or no problem" },
  { tostring(M.REFUSED), "refused for good, or a check found problems" },
  { tostring(M.OURS_REFUSED), "refused by directmail before a connection was made: usage, setting, address, file, limit" },
  { tostring(M.REPEAT), "not accepted, and worth repeating later" },
  { tostring(M.UNKNOWN), "unknown: it may have been sent, so look it up before you repeat it" },
  { tostring(M.BROKEN), "an error in the script, or in directmail" },
}

--- Who answers otherwise.
M.OTHERS = "sendmail, and send --sysexits, answer with the codes of sysexits.h: directmail help sendmail"

-- sysexits.h of BSD; main.c says 70 and 74 where no Lua runs any more.
local USAGE, DATAERR, NOINPUT, NOUSER, NOHOST, UNAVAILABLE, SOFTWARE, IOERR, TEMPFAIL, PROTOCOL, NOPERM, CONFIG =
  64, 65, 66, 67, 68, 69, 70, 74, 75, 76, 77, 78

--- Those codes in words, in their order.
M.SYSEXITS = {
  { "0", "sent" },
  { tostring(USAGE), "the command line is wrong, or names no recipient" },
  { tostring(DATAERR), "the message cannot be sent as it is, or was refused for what it holds" },
  { tostring(NOINPUT), "a file cannot be read" },
  { tostring(NOUSER), "a recipient is no address, or was refused; others may have the mail" },
  { tostring(NOHOST), "the server's name has no address" },
  { tostring(UNAVAILABLE), "refused for good, or no private connection" },
  { tostring(SOFTWARE), "a fault of directmail" },
  { tostring(IOERR), "stdin could not be read, or the answer not written" },
  { tostring(TEMPFAIL), "not sent, and worth repeating" },
  { tostring(PROTOCOL), "unknown: the mail may have arrived, so do not repeat it" },
  { tostring(NOPERM), "the sender is not ours, or the password is missing or wrong" },
  { tostring(CONFIG), "a setting is missing or wrong" },
}

local SYS_OF_CODE = { HEADER = DATAERR, CONTENT = DATAERR, SIZE = DATAERR, CREDENTIALS = NOPERM, AUTH = NOPERM, SIGNATURE = NOPERM, CLOCK = CONFIG }
local SYS_OF_BLAME = { recipient = NOUSER, content = DATAERR, ["sender-config"] = NOPERM, credentials = NOPERM, account = NOPERM }

local function is_setting(name)
  for _, setting in ipairs(require "directmail.settings".NAMES) do
    if setting == name then return true end
  end
  return false
end

-- What nobody was asked: the caller's words, or a setting.
local function sysexit_of_ours(e)
  local about = e.detail
  if e.blame == "sender-config" then return NOPERM end
  if is_setting(about) then return CONFIG end
  if e.code == "ADDRESS" then return (about == "to" or about == "cc" or about == "bcc") and NOUSER or DATAERR end
  -- no sender is named anywhere: that is a setting's task
  return about == "from" and CONFIG or USAGE
end

local function sysexit(e)
  -- TEMPFAIL would have it sent a second time by a queue
  if e.outcome == "unknown" then return PROTOCOL end
  if e.code == "DNS" then return NOHOST end
  if e.retry then return TEMPFAIL end
  if e.code == "OPTION" or e.code == "ADDRESS" then return sysexit_of_ours(e) end
  if e.code == "FILE" then return e.detail == "stdin" and IOERR or NOINPUT end
  return SYS_OF_CODE[e.code] or SYS_OF_BLAME[e.blame] or UNAVAILABLE
end

--- The exit code of an error.
-- @tparam table e a directmail.err
-- @tparam[opt] boolean sysexits answer with a code of sysexits.h
-- @treturn integer 1, 2, 3 or 4; or 64 to 78
function M.of(e, sysexits)
  if sysexits then return sysexit(e) end
  if e.outcome == "unknown" then return M.UNKNOWN end
  if e.outcome == "refused" then return e.retry and M.REPEAT or M.REFUSED end
  -- Not sent: a step is named as soon as a connection was tried.
  if e.retry or e.where and e.where.step then return M.REPEAT end
  return M.OURS_REFUSED
end

--- The exit code of a receipt: one recipient refused of several is a refusal too, and
-- never "worth repeating", since the others have the mail.
-- @tparam table receipt as `mail:send` returns it
-- @tparam[opt] boolean sysexits
-- @treturn integer 0 or 1; or 67
function M.of_receipt(receipt, sysexits)
  if not (receipt.refused and #receipt.refused > 0) then return M.OK end
  return sysexits and NOUSER or M.REFUSED
end

--- The exit code of a fault of ours.
-- @tparam[opt] boolean sysexits
-- @treturn integer 5, or 70
function M.broken(sysexits) return sysexits and SOFTWARE or M.BROKEN end

return M
