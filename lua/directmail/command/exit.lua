--- What an outcome means to the shell.
-- The codes of every command: 0 sent, queued or no problem; 1 refused for good, or a check found problems; 2 refused by us
-- before a connection was made; 3 not accepted and worth repeating; 4 unknown; 5 a script's error or ours.
-- @module directmail.command.exit
local M = { OK = 0, REFUSED = 1, OURS_REFUSED = 2, REPEAT = 3, UNKNOWN = 4, BROKEN = 5 }

--- The exit code of an error.
-- @tparam table e a directmail.err
-- @treturn integer 1, 2, 3 or 4
function M.of(e)
  if e.outcome == "unknown" then return M.UNKNOWN end
  if e.outcome == "refused" then return e.retry and M.REPEAT or M.REFUSED end
  -- Not sent: a step is named as soon as a connection was tried.
  if e.retry or e.where and e.where.step then return M.REPEAT end
  return M.OURS_REFUSED
end

--- The exit code of a receipt: one recipient refused of several is a refusal too, and
-- never "worth repeating", since the others have the mail.
-- @tparam table receipt as `mail:send` returns it
-- @treturn integer 0 or 1
function M.of_receipt(receipt)
  return receipt.refused and #receipt.refused > 0 and M.REFUSED or M.OK
end

return M
