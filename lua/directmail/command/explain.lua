--- `directmail explain`: what a code or a sentence of the service means, offline.
-- @module directmail.command.explain
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local explain = require "directmail.explain"
local text = require "directmail.command.text"
local usage = require "directmail.command.usage"

local M = {
  name = "explain",
  summary = "what a reply or error code means, and what to do",
  examples = {
    "directmail explain 559",
    "directmail explain InvalidMailAddress.NotFound",
    "directmail explain '526 Authentication failure'",
    "directmail explain @sm060104 --json",
  },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "code" :args "*" :description "a reply code, an error code of the API, a tag such as @sm060104, or the server's sentence"
  parser:flag "--json" :description "one object a meaning, a line each"
end

-- What was meant, as rows {code=, cause=, remedy=, blame=, retry=, source=, phase=}.
local function meanings(about)
  local tag = about:match "^%[?@?(sm%d+)%]?$"
  local number, rest = about:match "^(%d%d%d)%f[%D][%s-]*(.*)$"
  if tag or number then
    local list = explain.list { tag = tag, code = tonumber(number), text = rest ~= "" and rest or nil }
    if #list == 0 and rest and rest ~= "" then list = explain.list { code = tonumber(number) } end
    for _, row in ipairs(list) do row.code = number or about end
    return list
  end
  local row = about:find "^[%w.<>_-]+$" and explain.api_code(about)
  if row then
    row.code = about
    return { row }
  end
  local list = explain.list { text = about }
  for _, found in ipairs(list) do found.code = found.id end
  return list
end

function M.run(args)
  local about = table.concat(args.code, " ")
  if not about:find "%S" then return usage.wrong("there is nothing to explain", "give a code or a sentence: directmail explain 559") end
  local list = meanings(about)
  if #list == 0 then
    local cause, remedy = ('"%s" is not known here'):format(err.printable(about)), "check the spelling; the service's own pages may know it"
    if args.json then return nil, err.new { code = "REFUSED", detail = about, outcome = "refused", cause = cause, remedy = remedy } end
    -- nothing was sent here, so this is not told as what became of a mail
    io.stderr:write("directmail: ", cause, "\n  remedy   ", remedy, "\n")
    return exit.REFUSED
  end
  for i, row in ipairs(list) do
    local out = { code = row.code, cause = row.cause, remedy = row.remedy, blame = row.blame, retry = row.retry, source = row.source }
    if #list > 1 then out.phase = row.phase or "any" end
    if args.json then
      print((text.json(true, out):gsub('^{"ok":true,', "{")))
    else
      if i > 1 then print() end
      print(out.code .. (out.phase and " at " .. out.phase or ""))
      for _, name in ipairs { "cause", "remedy", "blame", "retry", "source" } do
        if out[name] then print(("  %-8s %s"):format(name, out[name])) end
      end
    end
  end
  return exit.OK
end

return M
