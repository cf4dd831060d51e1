--- What a log of JSON lines keeps of a mail: nginx's error log and the command's `--log` have the same fields.
-- Addresses are cut down (`a***@example.com`), nothing of a mail's content is written, and a server's words are left out, since they repeat addresses.
-- @module directmail.entry
local mask = require "directmail.mask"

local M = {}

local SHOWN = 5         -- addresses of a mail: enough to find it again

--- Octets of a sentence in a line: nginx cuts its lines at 2048.
M.SENTENCE = 300

--- What is written of a mail.
-- @tparam table about who sent it and how: `to` = list of bare addresses, `seconds`, and whatever is to stand there as it is: `handler`, `deliver`,
--   `command`, `request_id` (else the service's)
-- @tparam ?table receipt
-- @tparam ?table e when there is none
-- @treturn table without the time
function M.mail(about, receipt, e)
  local known, to = receipt or e, {}
  for i = 1, math.min(#about.to, SHOWN) do to[i] = mask.address(about.to[i]) end
  local entry = {
    event = "mail", handler = about.handler, deliver = about.deliver, command = about.command, to = to,
    request_id = about.request_id or known.request_id, seconds = about.seconds and tonumber(("%.3f"):format(about.seconds)), outcome = known.outcome,
  }
  if receipt then
    entry.id, entry.via, entry.region, entry.message_id, entry.bytes = receipt.id, receipt.via, receipt.region, receipt.message_id, receipt.bytes
    entry.earlier, entry.refused = receipt.earlier, receipt.refused and #receipt.refused > 0 and #receipt.refused or nil
  else
    entry.code, entry.detail, entry.retry, entry.blame = e.code, e.detail and mask.addresses(e.detail), e.retry, e.blame
    entry.step, entry.cause = e.where and e.where.step, mask.addresses(e.cause or ""):sub(1, M.SENTENCE)
    entry.remedy = e.remedy and mask.addresses(e.remedy):sub(1, M.SENTENCE)
  end
  return entry
end

return M
