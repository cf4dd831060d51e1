-- A pump of its own process, to be killed: it sends the outbox of the environment's STORE until it is ended.
local directmail = require "directmail"
local mail = assert(directmail.new { store = os.getenv "STORE", via = os.getenv "VIA" })
local pump = assert(directmail.outbox.start(mail, { connections = tonumber(os.getenv "CONNECTIONS"), lease = 2, first_pause = 0.5 }))
assert(pump:wait())
