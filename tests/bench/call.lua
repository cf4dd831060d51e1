-- Ours by the API: directmail call.lua PORT IN_FLIGHT CALLS TEXT
local directmail = require "directmail"

local port, in_flight, calls, text_file = table.unpack(arg)
calls = tonumber(calls)
local file = assert(io.open(text_file, "rb"))
local text = file:read "a"
file:close()

local mail = assert(directmail.new {
  api = "http://127.0.0.1:" .. port .. "/", access_key_id = "testid", access_key_secret = "testsecretoftwentyeightletter",
  sender = "Example <noreply@mail.example.com>", via = "api", rate = false,
})

local n = 0
local function source()
  if n == calls then return nil end
  n = n + 1
  return { to = ("user%d@example.com"):format(n), subject = ("Your order %d"):format(n), text = text }
end

local sent = 0
for result in mail:send_all(source, { connections = tonumber(in_flight) }) do
  if not result.ok then error(result.err, 0) end
  sent = sent + 1
end
assert(sent == calls, "results are missing")
