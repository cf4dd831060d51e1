-- Ours without a wire: directmail message.lua text TEXT HTML TIMES | stream FILE | write TEXT [ATTACHMENT]
-- `text` prints messages a second of CPU time; `stream` writes one message with a file attached by its path and prints seconds of
-- CPU time and the resident size in KiB before and at its largest; `write` writes one message to stdout.
local directmail = require "directmail"

local function load(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

local function status(name)
  return tonumber(load "/proc/self/status":match(name .. ":%s*(%d+) kB"))
end

local mail = assert(directmail.new {
  smtp = "smtp://127.0.0.1:25", sender = "Example <noreply@mail.example.com>", size_limit = 0, via = "smtp",
})

local what = arg[1]
if what == "text" then
  local text, html, times, octets = load(arg[2]), load(arg[3]), tonumber(arg[4]), 0
  local began
  for i = 0, times do                   -- the first one loads modules and is not counted
    if i == 1 then began = os.clock() end
    octets = #mail:message { to = ("user%d@example.com"):format(i), subject = ("Your order %d"):format(i), text = text, html = html }:bytes()
  end
  print(("rate=%.3f octets=%d"):format(times / (os.clock() - began), octets))
elseif what == "stream" then
  local octets = 0
  local function swallow(chunk) octets = octets + #chunk end
  mail:message { to = "ann@example.com", subject = "warm", attachments = { arg[0] } }:write(swallow)
  collectgarbage()
  local reset = io.open("/proc/self/clear_refs", "w")   -- 5: the largest resident size begins anew (proc(5))
  if reset then
    reset:write "5"
    reset:close()
  end
  local before, began = status "VmRSS", os.clock()
  octets = 0
  assert(mail:message { to = "ann@example.com", subject = "Your file", text = "See the attachment.", attachments = { arg[2] } }:write(swallow))
  print(("cpu=%.6f octets=%d before=%d peak=%d"):format(os.clock() - began, octets, before, status "VmHWM"))
else
  local attachments
  if arg[3] then attachments = { { name = "invoice.pdf", data = load(arg[3]) } } end
  io.write(mail:message { to = "ann@example.com", subject = "Your order 17", text = load(arg[2]), attachments = attachments }:bytes())
end
