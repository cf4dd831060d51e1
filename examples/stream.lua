-- You will see the size of a mail whose attachment never was a file, nor whole in memory: it is made while the mail leaves.
-- Its size must be known before.
--
--   directmail sandbox -- directmail examples/stream.lua           nothing leaves your machine
local directmail = require "directmail"

local ROWS, FORM = 100000, "%06d,%08.2f\n"
local row, size = 0, ROWS * #FORM:format(0, 0)

local function table_of_sums(max)                  -- at most max octets, or nil at the end
  local lines, room = {}, math.floor(max / #FORM:format(0, 0))
  while row < ROWS and #lines < room do
    row = row + 1
    lines[#lines + 1] = FORM:format(row, row * 0.01)
  end
  return #lines > 0 and table.concat(lines) or nil
end

local receipt, err = assert(directmail.new()):send {
  to = arg[1] or "ann@example.com",
  subject = "The sums of the day",
  text = "The table is attached.",
  attachments = { { name = "sums.csv", read = table_of_sums, size = size } },
}
if not receipt then error(err, 0) end

print(("%d octets of table, %d octets of mail"):format(size, receipt.bytes))
