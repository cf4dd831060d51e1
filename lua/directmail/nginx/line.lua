--- One line of JSON for each mail (`directmail.entry`), webhook or refusal, in a log that programs read.
-- @module directmail.nginx.line
local SENTENCE = require "directmail.entry".SENTENCE
local err = require "directmail.err"
local json = require "cjson.safe"
local mask = require "directmail.mask"

local M = {}

--- Write it: by `log` of the handler, else into nginx's error log (`notice`, or `error` when a mail failed).
-- @tparam table entry of `directmail.entry`, or what else JSON can carry
-- @tparam[opt] function log called as `log(entry, line)`; what it raises ends nothing, since the mail has its outcome: it is told in the error log
-- @tparam[opt] boolean apart from a timer: nginx puts the request's line behind what a request logs, and there a token or a secret stands
function M.write(entry, log, apart)
  entry.time = ngx.utctime():gsub(" ", "T") .. "Z"
  local line = json.encode(entry) or "{}"
  if log then
    -- pcall: the operator's function
    local ok, why = pcall(log, entry, line)
    if not ok then ngx.log(ngx.ERR, "directmail: the function log failed: ", mask.addresses(tostring(why)):sub(1, SENTENCE)) end
    return
  end
  local bad = entry.code and entry.event == "mail" or entry.level == "error"
  local level = bad and ngx.ERR or ngx.NOTICE
  if apart then
    ngx.timer.at(0, function() ngx.log(level, "directmail: ", line) end)        -- too many timers: better no line than that one
  else
    ngx.log(level, "directmail: ", line)
  end
end

--- Something unexpected as an error.
-- @param what what was raised
-- @treturn err
function M.raised(what)
  return err.new { code = "OPTION", cause = "the handler failed: " .. tostring(what):sub(1, SENTENCE), blame = "client-bug",
    remedy = "correct the program: this is no fault of the visitor's" }
end

return M
