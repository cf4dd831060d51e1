-- Pumps are killed with SIGKILL in the middle of their work, twenty times, and the store is compared with what arrived. Runs inside
-- `directmail sandbox -- …`. Usage: outbox_kills.lua STORE WHAT KILLS MAILS, where WHAT is for people; prints TAP without a plan.
local directmail = require "directmail"
local host = require "directmail.host"
local json = require "cjson"

local STORE, WHAT, KILLS, MAILS = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local CONNECTIONS, PUMPS = 3, 2
local LUA = os.getenv "LUA" or "lua5.4"

local server
if STORE == "redis" then
  server = require "support.redis".start()
  STORE = server.url
end

local failed = false
local function claim(ok, name, why)
  print(("%s - %s: %s"):format(ok and "ok" or "not ok", WHAT, name))
  if not ok then
    failed = true
    print("# " .. tostring(why))
  end
end

local mail = assert(directmail.new { store = STORE })
local box = assert(os.getenv "BOX")

-- What has arrived: recipient -> how often.
local function arrived()
  local seen, n = {}, 0
  local pipe = io.popen(("cat '%s'/mail/*.json 2>/dev/null"):format(box))
  for text in pipe:read "*a":gmatch "%b{}" do
    local one = json.decode(text)
    seen[one.rcpt_to[1]] = (seen[one.rcpt_to[1]] or 0) + 1
    n = n + 1
  end
  pipe:close()
  return seen, n
end

local function start() return assert(host.child({ LUA, "tests/support/outbox_pump.lua" }, { STORE = STORE, CONNECTIONS = tostring(CONNECTIONS) })) end

for i = 1, MAILS do
  assert(mail:send { to = ("r%d@example.net"):format(i), subject = "Nr. " .. i, text = "text", queue = true, key = "m" .. i })
end

local function settled()
  local counts = assert(mail.store:counts())
  return counts.sent + counts.unknown + counts.refused + counts.not_sent, counts
end

local pumps = {}
for i = 1, PUMPS do pumps[i] = start() end
local deadline = host.tick() + 120
for kill = 1, KILLS do
  -- at any moment: after some more mails, and a random part of a millisecond to a few
  local before = settled()
  while settled() < math.min(MAILS - 1, before + 1 + host.random(1):byte() % 12) and host.tick() < deadline do host.sleep(0.002) end
  host.sleep(host.random(1):byte() / 255 * 0.01)
  local victim = 1 + kill % PUMPS
  pumps[victim]:kill "KILL"
  claim(pumps[victim]:wait() == 137, "kill " .. kill)
  pumps[victim] = start()
end
while settled() < MAILS and host.tick() < deadline do host.sleep(0.05) end
for i = 1, PUMPS do
  pumps[i]:kill "KILL"
  pumps[i]:wait()
end
local n, counts = settled()
local seen, copies = arrived()

local twice, lost, wrong, said = {}, {}, {}, { sent = 0, unknown = 0 }
for i = 1, MAILS do
  local address = ("r%d@example.net"):format(i)
  local job = assert(mail.store:find("m" .. i))
  said[job.state] = (said[job.state] or 0) + 1
  if (seen[address] or 0) > 1 then twice[#twice + 1] = address end
  if job.state == "sent" and not seen[address] then wrong[#wrong + 1] = address end
  if not seen[address] and job.state ~= "unknown" then lost[#lost + 1] = address .. " " .. job.state end
end
claim(#twice == 0, "nothing was sent twice", table.concat(twice, " "))
claim(#lost == 0, "nothing is lost: what did not arrive is unknown", table.concat(lost, " "))
claim(#wrong == 0, "what is called sent has arrived", table.concat(wrong, " "))
claim(n == MAILS and counts.sent + counts.unknown == MAILS and said.sent == counts.sent and said.unknown == counts.unknown,
  "rows = sent + unknown", json.encode(counts))
claim(counts.unknown <= KILLS * CONNECTIONS * 2, "at most connections x 2 are unknown for each kill", counts.unknown)
claim(counts.sent >= MAILS - KILLS * CONNECTIONS * 2 and copies >= counts.sent, "all others are sent", json.encode(counts) .. " copies " .. copies)
print(("# %d mails, %d kills: %d sent, %d unknown, %d arrived"):format(MAILS, KILLS, counts.sent, counts.unknown, copies))
mail.store:close()
if server then server:stop() end
os.exit(failed and 1 or 0)
