-- You will see the text of a mail that a template made, and the error of a row that lacks a value: nothing half-filled leaves.
-- The template is examples/mail/order.html with order.txt beside it; its frame is layout.html, and row.html one line of it.
--
--   directmail sandbox -- directmail examples/template.lua         nothing leaves your machine
local directmail = require "directmail"

local here = arg[0]:match "^(.*/)" or ""
local mail = assert(directmail.new())
local order = assert(directmail.template(here .. "mail/order.html"))

local people = {
  { to = "ann@example.com", name = "Ann", id = 1204, parcels = 2, rows = { { what = "Tea from 杭州", count = 2 }, { what = "Cup", count = 1 } } },
  { to = "nobody@example.com", name = "Bob", id = 1205, parcels = 1, rows = { { what = "Tea" } } },
}

for result in mail:send_all(people, {
  connections = 1,
  message = function(row) return { to = row.to, template = order, data = row } end,
}) do
  if result.ok then
    local body = order(result.row)
    print(("%s: %s"):format(result.row.to, body.subject))
    io.write(body.text)
  else
    print(("%s: %s"):format(result.row.to, tostring(result.err)))
  end
end
