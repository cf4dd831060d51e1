--- `directmail trace`: what became of the mails to an address.
-- @module directmail.command.trace
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local settings = require "directmail.command.settings"
local text = require "directmail.command.text"
local time = require "directmail.credentials.key"
local trace = require "directmail.trace"
local usage = require "directmail.command.usage"

local M = {
  name = "trace",
  summary = "what the service knows about the mails to an address",
  examples = {
    "directmail trace --to ann@example.com",
    "directmail trace --to ann@example.com --since 2h --subject 'Your invoice'",
    "directmail trace --to ann@example.com --since '2026-11-23 12:00' --json",
  },
}

function M.parser(parser)
  parser:option "--to" :argname "ADDR" :count "*" :description "recipient, one mailbox a value; may repeat"
  parser:option "--since" :argname "T" :overwrite(false)
    :description "from when on: 30m, 2h, 3d ago, or a time in UTC such as 2026-11-23 or '2026-11-23 12:00' (default: 24h; 30 days are kept)"
  parser:option "--subject" :argname "TEXT" :overwrite(false) :description "only mails with this subject"
  parser:flag "--json" :description "one object a mail, a line each"
  parser:flag "-v --verbose" :count "0-2" :description "show the calls on stderr; -vv with the answers"
  settings.declare(parser)
end

local UNIT = { m = 60, h = 3600, d = 86400 }

-- Seconds since 1970 of --since; or nil, err.
local function since_of(word, now)
  word = word or "24h"
  local count, unit = word:match "^(%d+)([mhd])$"
  if count then return now - tonumber(count) * UNIT[unit] end
  local day, clock = word:match "^(%d%d%d%d%-%d%d%-%d%d)[T ]?([%d:]*)Z?$"
  if clock == "" then clock = "00:00" end
  if clock and #clock == 5 then clock = clock .. ":00" end
  local seconds = day and time.seconds(day .. "T" .. clock .. "Z")
  if not seconds then return usage.wrong(('--since: "%s" is no time'):format(err.printable(word)), "write 2h, 3d, 2026-11-23 or '2026-11-23 12:00' (UTC)") end
  if seconds > now then return usage.wrong(("--since: %s has not come yet"):format(word), "times are UTC") end
  return seconds
end

local function show(one)
  if one.status == "not_known" then
    print(("%s  not known"):format(err.printable(one.address)))
  else
    print(("%s  %s  %s%s%s"):format(err.printable(one.address), one.time or "(no time)",
      one.status == "other" and "status " .. tostring(one.number or "?") or one.status,
      one.subject and ('  "%s"'):format(one.subject) or "", one.sender and "  from " .. one.sender or ""))
    if one.reply then print("  said     " .. one.reply .. (one.class and (" (%s)"):format(one.class) or "")) end
  end
  print("  cause    " .. one.cause)
  print("  remedy   " .. one.remedy)
end

function M.run(args)
  if #args.to == 0 then return usage.wrong("there is nobody to look for", "give --to ADDR") end
  local to, e = trace.addresses(args.to)
  if not to then return nil, e end
  local since, mail, found
  since, e = since_of(args.since, require "directmail.host".now())
  if not since then return nil, e end
  mail, e = settings.mail(args)
  if not mail then return nil, e end
  found, e = trace.look(mail, { to = to, since = since, subject = args.subject })
  if not found then return nil, e end
  local worst = exit.OK
  for _, one in ipairs(found) do
    if one.status ~= "delivered" then worst = exit.REFUSED end
    one.seconds = nil
    if args.json then print((text.json(true, one):gsub('^{"ok":true,', "{"))) else show(one) end
  end
  return worst
end

return M
