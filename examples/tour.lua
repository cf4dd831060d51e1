-- You will see one of everything, a line each: a template, both ways to send, bulk, a key, signing, checks of mails and lists.
--
--   directmail sandbox -- directmail examples/tour.lua             nothing leaves your machine
local directmail = require "directmail"

local names = { os.tmpname(), os.tmpname() }
local mail = assert(directmail.new { store = names[1] })
local file = assert(io.open(names[2], "w"))
file:write("email\nann@example.com\nANN@example.com\nbob@@example.com\n")
file:close()

local welcome = assert(directmail.template { subject = "Welcome, {{name}}", html = "<p>Hi {{name}}, your code is {{code}}.</p>" })
local hello = { to = "ann@example.com", template = welcome, data = { name = "Ann", code = 4711 } }
print("template   " .. welcome(hello.data).subject)
print("message    " .. (directmail.message { from = "a@example.com", to = "b@example.com", text = "Hi" }:bytes():match "MIME[^\r]*"))
print("route      " .. directmail.route { deployed = "us", recipients = "world", via = "api" }.region)

print("api        " .. assert(mail:send(hello)).via)
hello.attachments = { { name = "报告.csv", data = "a,b\r\n" } }
print("smtp       " .. assert(mail:send(hello)).reason)
local order = { to = "ann@example.com", subject = "Order 1042", text = "Thank you.", key = "order-1042" }
print("key        " .. tostring(assert(mail:send(order)).id == assert(mail:send(order)).id))

local sent = 0
for result in mail:send_all({ "ann", "bob", "eve" }, {
  message = function(name) return { to = name .. "@example.com", subject = "News for " .. name, text = "All is well." } end,
}) do
  if result.ok then sent = sent + 1 end
end
print("bulk       " .. sent .. " of 3")
print(("operation  %d tag"):format(assert(mail.api.QueryTagByParam {}).TotalCount))
print("refused    " .. select(2, mail:send { to = "invalid@sandbox.example", subject = "Hi", text = "Hi" }).blame)

print("lint       " .. assert(directmail.lint.check { subject = "FREE $$$ !!!", html = "<p>Click here" }).findings[1].rule)
local list = assert(directmail.list.check(names[2], { column = "email" }))
print(("list       %d of %d good, %d twice"):format(list.verdicts.ok, list.rows, list.verdicts.duplicate))
mail.store:close()
for _, name in ipairs(names) do os.remove(name) end
