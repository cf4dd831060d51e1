--- `directmail outbox`: send what is queued, keep sending it, and look at what is there.
-- @module directmail.command.outbox
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local log = require "directmail.command.log"
local mask = require "directmail.mask"
local settings = require "directmail.command.settings"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local ACTIONS = { "run", "pump", "counts", "list" }
local STATES = { "waiting", "leased", "marked", "sent", "refused", "not_sent", "unknown" }

local M = {
  name = "outbox",
  summary = "send the mails that are queued, and look at them",
  examples = {
    "directmail outbox run --store outbox.db             # send what is due; for cron",
    "directmail outbox pump --connections 5              # until SIGTERM or Ctrl-C; the store is DIRECTMAIL_STORE",
    "directmail outbox counts --json",
    "directmail outbox list unknown --store outbox.db    # those of which nobody knows whether they arrived",
  },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "action" :args "?" :description "run, pump, counts or list"
  parser:argument "state" :args "?" :description("of list: " .. table.concat(STATES, ", "))
  parser:argument "surplus" :args "*" :hidden(true)
  parser:option "--connections" :argname "N" :overwrite(false) :convert(math.tointeger) :description "connections of run and pump (default: 5)"
  parser:flag "--json" :description "one JSON object; a line each for list, and for each attempt of run and pump"
  log.declare(parser)
  settings.declare(parser)
end

-- One attempt on stdout (JSON) or, when it failed, on stderr; and in the log.
local function teller(json, record)
  return function(result)
    record:mail({}, result.receipt, result.err, {
      job = result.id, key = result.key and mask.addresses(result.key), tries = result.tries, again = result.again,
    })
    if json then
      local object = result.receipt or err.plain(result.err)
      object.job, object.key, object.tries, object.again = result.id, result.key, result.tries, result.again
      print(text.json(result.ok, object))
      io.stdout:flush()
    elseif result.err then
      local again = result.again and ("; again in %.0f s"):format(result.again) or ""
      io.stderr:write(("directmail: job %s%s: %s%s\n"):format(result.id, result.key and " " .. err.printable(result.key) or "", tostring(result.err), again))
    end
  end
end

local function summary(counts, json)
  if json then
    print(text.json(true, counts))
  else
    print(("sent %d   refused %d   not sent %d   unknown %d   later %d"):format(counts.sent, counts.refused, counts.not_sent, counts.unknown, counts.again))
  end
  if counts.unknown > 0 then return exit.UNKNOWN end
  if counts.refused + counts.not_sent > 0 then return exit.REFUSED end
  return counts.again > 0 and exit.REPEAT or exit.OK
end

local run = {}

function run.run(mail, args, record)
  local counts, e = require "directmail.outbox".run(mail, { connections = args.connections, on_result = teller(args.json, record) })
  if not counts then return nil, e end
  return summary(counts, args.json)
end

function run.pump(mail, args, record)
  local host = mail.host
  local pump, e = require "directmail.outbox".start(mail, { connections = args.connections, on_result = teller(args.json, record) })
  if not pump then return nil, e end
  host.wait(host.spawn(host.signal, "TERM", "INT"), host.spawn(pump.wait, pump))
  local counts, why = pump:stop()
  if not counts then error(why, 0) end
  summary(counts, args.json)
  return exit.OK                -- it was asked to end, and did
end

function run.counts(mail, args)
  local counts, e = mail.store:counts()
  if not counts then return nil, e end
  if args.json then
    print(text.json(true, counts))
  else
    for _, state in ipairs(STATES) do print(("%-9s %d"):format(state, counts[state])) end
  end
  return exit.OK
end

local function seconds(ms) return os.date("!%Y-%m-%d %H:%M:%S", math.floor(ms / 1000)) end

function run.list(mail, args)
  local jobs, e = mail.store:list(args.state, 1000)
  if not jobs then return nil, e end
  for _, job in ipairs(jobs) do
    local known = job.result and require "cjson.safe".decode(job.result) or nil
    if args.json then
      print(text.json(true, {
        id = job.id, tries = job.tries, key = job.key, state = job.state, made = job.made / 1000, since = job.due / 1000, result = known,
      }))
    else
      print(("%s  %d  %s%s%s"):format(seconds(job.made), job.id, job.state, job.key and "  key " .. err.printable(job.key) or "",
        type(known) == "table" and type(known.cause) == "string" and "  " .. err.printable(known.cause) or ""))
    end
  end
  return exit.OK
end

function M.run(args)
  local action = args.action
  if not run[action or ""] then
    return usage.wrong(action and ('outbox knows no "%s"%s'):format(action, usage.did_you_mean(action, ACTIONS)) or "outbox: what to do is missing",
      "directmail outbox run, pump, counts or list STATE")
  end
  local known = false
  for _, state in ipairs(STATES) do known = known or state == args.state end
  if (action == "list") ~= known or not known and args.state then
    local wrong = "outbox list: the state is missing"
    if args.state then wrong = ('outbox %s: "%s" is no state%s'):format(action, args.state, usage.did_you_mean(args.state, STATES)) end
    return usage.wrong(wrong, "directmail outbox list " .. table.concat(STATES, "|"))
  end
  if args.log and action ~= "run" and action ~= "pump" then
    return usage.wrong(("--log has no place beside outbox %s: it sends nothing"):format(action), "leave it away")
  end
  if args.connections and (args.connections < 1 or args.connections > 1000) then
    return usage.wrong("--connections is no number from 1 to 1000", "--connections 5")
  end
  local options, e = settings.options(args)
  if not options then return nil, e end
  local mail
  mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  if not mail.store then return usage.wrong("no store is set", "--store FILE, or DIRECTMAIL_STORE") end
  local record
  record, e = log.open(args.log, M.name)
  if not record then return nil, e end
  return run[action](mail, args, record)
end

return M
