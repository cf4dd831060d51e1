-- You will see one line for each row of a small list: its number in the service, or why it was not sent. Two rows are
-- wrong on purpose; they do not stop the others. The last line counts.
--
--   directmail sandbox -- directmail examples/bulk.lua             nothing leaves your machine
--   directmail examples/bulk.lua people.csv                        your own list, with your own settings
local directmail = require "directmail"

local LIST = [[
Ann,ann@example.com,12.50
李伟,li.wei@example.com,8.00
Bob,bob@example,3.20
Eve,invalid@sandbox.example,7.70
Tom,tom@example.com,1.99
]]

local next_line = arg[1] and io.lines(arg[1]) or LIST:gmatch "[^\n]+"
local function rows()                              -- brings the next row; nil is the end. A list would do as well
  local line = next_line()
  if not line then return nil end
  local name, email, sum = line:match "^([^,]*),([^,]*),([^,]*)$"
  return { name = name, email = email, sum = sum }
end

local function letter(row)                         -- the mail for one row
  return { to = ("%s <%s>"):format(row.name, row.email), subject = "Your bill, " .. row.name, text = ("You owe %s EUR.\n"):format(row.sum) }
end

local sent, failed = 0, 0
for result in assert(directmail.new()):send_all(rows, { connections = 3, message = letter }) do
  if result.ok then sent = sent + 1 else failed = failed + 1 end
  print(("row %d  %s"):format(result.n, result.ok and "sent " .. result.receipt.id or tostring(result.err)))
end
print(("%d sent, %d failed"):format(sent, failed))
