--- `directmail route`: which region, hosts and ports to take, and why.
-- @module directmail.command.route
local cjson = require "cjson"
local core = require "directmail.core"
local err = require "directmail.err"
local route = require "directmail.route"

local M = {}

M.name = "route"
M.summary = "which region, hosts and ports to take, and why"
M.examples = {
  "directmail route --deployed us --recipients cn",
  "directmail route --deployed eu-central-1 --recipients world --residency de --json",
  "directmail route --list",
}

function M.parser(parser)
  parser:option("--deployed", "where your program runs: cn, us, sg, other, or the id of an Alibaba Cloud region"):argname("WHERE")
  parser:option("--recipients", "where most of your readers are: cn or world"):argname("WHERE")
  parser:option("--residency", "countries that may hold the data: cn, sg, us, de; may repeat, or a list with commas")
    :argname("WHERE"):count("*")
  parser:option("--via", "how you send: api or smtp", "smtp"):argname("METHOD")
  parser:flag("--ecs", "your program runs on ECS, where port 25 is closed")
  parser:flag("--list", "list the regions and their hosts")
  parser:flag("--json", "answer as JSON")
end

local TLS = { implicit = "TLS", starttls = "STARTTLS" }

-- Both questions at once, by the names of their options.
local function check_given(args)
  if args.deployed and args.recipients then return true end
  local cause = args.deployed and "--recipients is missing" or args.recipients and "--deployed is missing" or "--deployed and --recipients are missing"
  return err.refuse("OPTION", args.deployed and "recipients" or "deployed", cause,
    "say where your program runs and where most of your readers are: directmail route --deployed sg --recipients world; --list shows all regions")
end

local function list(as_json)
  local regions = core.regions()
  if as_json then
    io.stdout:write(cjson.encode(regions), "\n")
    return 0
  end
  local line = "%-15s  %-26s  %-4s  %-30s  %s\n"
  io.stdout:write(line:format("region", "name", "data", "api", "smtp"))
  for _, r in ipairs(regions) do
    io.stdout:write(line:format(r.id, r.name, r.data or "-", r.api, r.smtp or "-"))
  end
  return 0
end

local function show(found, args)
  local ports = {}
  for i, p in ipairs(found.ports) do ports[i] = ("%d (%s)"):format(p.port, TLS[p.tls]) end
  local out = { ("%s by %s"):format(found.region, args.via == "api" and "API" or "SMTP") }
  out[#out + 1] = ("  %-8s %s"):format("cause", found.reasons[1].text)
  out[#out + 1] = ("  %-8s %s"):format("api", found.api)
  out[#out + 1] = ("  %-8s %s %s"):format("smtp", found.smtp, table.concat(ports, ", "))
  for i = 2, #found.reasons do
    local reason = found.reasons[i]
    out[#out + 1] = ("  %-8s %s"):format(reason.rule:find("^R%d") and reason.rule or "note", reason.text)
  end
  out[#out + 1] = ("  %-8s %s"):format("note",
    "which senders exist in this region is not known offline: look in the console")
  io.stdout:write(table.concat(out, "\n"), "\n")
end

function M.run(args)
  if args.list then return list(args.json) end
  local given, wrong = check_given(args)
  if not given then return nil, wrong end
  local residency = {}
  for _, value in ipairs(args.residency) do
    for country in value:gmatch("[^,%s]+") do residency[#residency + 1] = country end
  end
  local found, why = route {
    deployed = args.deployed, recipients = args.recipients, via = args.via, ecs = args.ecs,
    residency = #residency > 0 and residency or nil,
  }
  if not found then return nil, why end
  if args.json then io.stdout:write(cjson.encode(found), "\n") else show(found, args) end
  return 0
end

return M
