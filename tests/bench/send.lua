-- Ours: directmail send.lua PORT CONNECTIONS MAILS PIPELINE TEXT [ATTACHMENT]. MAILS of 1 with no connections: one mail:send.
local directmail = require "directmail"

local port, connections, mails, pipeline, text_file, attachment_file = table.unpack(arg)
connections, mails = tonumber(connections), tonumber(mails)

local function load(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

local text = load(text_file)
local attachments
if attachment_file then attachments = { { name = "invoice.pdf", data = load(attachment_file) } } end

local mail = assert(directmail.new {
  smtp = "smtp://127.0.0.1:" .. port, sender = "Example <noreply@mail.example.com>", size_limit = 0, via = "smtp", pipeline = pipeline,
})

local function fields(n)
  return { to = ("user%d@example.com"):format(n), subject = ("Your order %d"):format(n), text = text, attachments = attachments }
end

if connections == 0 then
  assert(mail:send(fields(1)))
  return
end

local n = 0
local function source()
  if n == mails then return nil end
  n = n + 1
  return fields(n)
end

local sent = 0
for result in mail:send_all(source, { connections = connections, per_connection = 1000000000 }) do
  if not result.ok then error(result.err, 0) end
  sent = sent + 1
end
assert(sent == mails, "results are missing")
