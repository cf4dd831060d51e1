--- `directmail explain`: what a code or a sentence of the service means, offline.
-- @module directmail.command.explain
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local explain = require "directmail.explain"
local language = require "directmail.command.language"
local option = require "directmail.option"
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
    "directmail explain 436 --language zh",
  },
  own_arguments = true,
}

function M.parser(parser)
  parser:argument "code" :args "*" :description "a reply code, an error code of the API, a tag such as @sm060104, or the server's sentence"
  language.declare(parser)
  parser:flag "--json" :description "one object a meaning, a line each"
end

-- What nobody has written a row for is explained by its class, which is little: the answer says what is known, the exit code that
-- the code is not.
local function by_class(row) return row.id:find "^%dyz$" ~= nil or row.id:find "^%dxx$" ~= nil or row.id == "none" end

-- What a number means: a reply's, at each step; else the status of an answer of the API.
local function of_number(number, said, speak)
  local list = explain.list { code = number, text = said, language = speak }
  if #list == 0 and said then list = explain.list { code = number, language = speak } end
  if #list > 0 then return list end
  local status = explain.api { status = number, language = speak }
  return { by_class(status) and explain.reply { code = number, text = said, language = speak } or status }
end

-- What was meant, as rows {code=, cause=, remedy=, blame=, retry=, source=, phase=}, and whether it is known.
local function meanings(about, speak)
  local tag = about:match "^%[?@?(%l%l%l?%d%d%d%d%d%d)%]?$"
  local number, rest = about:match "^(%d%d%d)%f[%D][%s-]*(.*)$"
  local status = about:match "^HTTP (%d%d%d)$" or about:match "^%(no code%) HTTP (%d%d%d)$"
  local list
  if tag then
    list = explain.list { tag = tag, language = speak }
  elseif number then
    list = of_number(tonumber(number), rest ~= "" and rest or nil, speak)
  elseif status then
    list = { explain.api { status = tonumber(status), language = speak } }
  else
    local row = about:find "^[%w.<>_-]+$" and explain.api_code(about, speak)
    list = row and { row } or explain.list { text = about, language = speak }
    for _, found in ipairs(list) do found.code = row and about or found.id end
  end
  for _, row in ipairs(list) do row.code = row.code or number or about end
  return list, not (list[1] and by_class(list[1]))
end

-- The words around the answer; blame, retry and codes are words for programs and stay.
local WORDS = {
  en = { cause = "cause   ", remedy = "remedy  ", blame = "blame   ", retry = "retry   ", source = "source  ", at = "%s at %s",
    unknown = '"%s" is not known here', look = "check the spelling; the service's own pages may know it", near = "did you mean %s? else " },
  zh = { cause = "原因    ", remedy = "处理    ", blame = "责任方  ", retry = "重试    ", source = "出处    ", at = "%s（%s 阶段）",
    unknown = '这里没有“%s”的说明', look = "检查拼写；官方文档里或许有", near = "是不是 %s？否则" },
}

local function unknown(about, args, words)
  local codes = {}
  for i, row in ipairs(require "directmail.data.api_errors") do codes[i] = row.code end
  local near = about:find "^[%w.]+$" and option.nearest(about, codes)
  local cause = words.unknown:format(err.printable(about))
  local remedy = (near and words.near:format(near) or "") .. words.look
  if args.json then return nil, err.new { code = "REFUSED", detail = about, outcome = "refused", cause = cause, remedy = remedy } end
  -- nothing was sent here, so this is not told as what became of a mail
  io.stderr:write("directmail: ", cause, "\n  ", words.remedy, " ", remedy, "\n")
  return exit.REFUSED
end

function M.run(args)
  local about = table.concat(args.code, " ")
  if not about:find "%S" then return usage.wrong("there is nothing to explain", "give a code or a sentence: directmail explain 559") end
  local speak = language.of(args)
  local words = WORDS[speak]
  local list, known = meanings(about, speak)
  if #list == 0 then return unknown(about, args, words) end
  for i, row in ipairs(list) do
    local out = { code = row.code, cause = row.cause, remedy = row.remedy, blame = row.blame, retry = row.retry, source = row.source }
    if #list > 1 then out.phase = row.phase or "any" end
    if args.json then
      print((text.json(true, out):gsub('^{"ok":true,', "{")))
    else
      if i > 1 then print() end
      print(out.phase and words.at:format(out.code, out.phase) or out.code)
      for _, name in ipairs { "cause", "remedy", "blame", "retry", "source" } do print(("  %s %s"):format(words[name], out[name])) end
    end
  end
  return known and exit.OK or exit.REFUSED
end

return M
