--- One line of JSON for each mail, webhook or refusal, for a log that programs read.
-- Addresses are cut down (`a***@example.com`), nothing of a mail's content is written, and a server's words are left out, since they repeat addresses.
-- @module directmail.nginx.line
local err = require "directmail.err"
local json = require "cjson.safe"
local mask = require "directmail.mask"

local M = {}

local CAUSE = 300               -- octets: nginx cuts its lines at 2048

--- What is written of a mail.
-- @tparam table about `handler`, `deliver`, `to` = list, `request_id`, `seconds`
-- @tparam ?table receipt
-- @tparam ?table e when there is none
-- @treturn table
function M.mail(about, receipt, e)
  local to = {}
  for i = 1, math.min(#about.to, 5) do to[i] = mask.address(about.to[i]) end
  local entry = {
    event = "mail", handler = about.handler, deliver = about.deliver, to = to, request_id = about.request_id,
    seconds = about.seconds and tonumber(("%.3f"):format(about.seconds)),
    outcome = (receipt or e).outcome,
  }
  if receipt then
    entry.id, entry.via, entry.message_id, entry.bytes = receipt.id, receipt.via, receipt.message_id, receipt.bytes
    entry.earlier, entry.refused = receipt.earlier, receipt.refused and #receipt.refused > 0 and #receipt.refused or nil
  else
    entry.code, entry.detail, entry.retry, entry.blame = e.code, e.detail and mask.addresses(e.detail), e.retry, e.blame
    entry.step, entry.cause = e.where and e.where.step, mask.addresses(e.cause or ""):sub(1, CAUSE)
    entry.remedy = e.remedy and mask.addresses(e.remedy):sub(1, CAUSE)
  end
  return entry
end

--- Write it: by `log` of the handler, else into nginx's error log (`notice`, or `error` when a mail failed).
-- @tparam table entry what JSON can carry
-- @tparam[opt] function log called as `log(entry, line)`; what it raises ends nothing, since the mail has its outcome: it is told in the error log
-- @tparam[opt] boolean apart from a timer: nginx puts the request's line behind what a request logs, and there a token or a secret stands
function M.write(entry, log, apart)
  entry.time = ngx.utctime():gsub(" ", "T") .. "Z"
  local line = json.encode(entry) or "{}"
  if log then
    -- pcall: the operator's function
    local ok, why = pcall(log, entry, line)
    if not ok then ngx.log(ngx.ERR, "directmail: the function log failed: ", mask.addresses(tostring(why)):sub(1, CAUSE)) end
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
  return err.new { code = "OPTION", cause = "the handler failed: " .. tostring(what):sub(1, CAUSE), blame = "client-bug",
    remedy = "correct the program: this is no fault of the visitor's" }
end

return M
