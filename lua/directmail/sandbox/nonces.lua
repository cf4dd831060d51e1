--- Remember which nonces were used, as long as a call with them could pass the clock's check.
-- @module directmail.sandbox.nonces
local core = require "directmail.core"

local M = {}

local KEEP = 100000             -- nonces; beyond that the oldest is forgotten early, memory being worth more
local LONGEST = 64              -- octets; a longer one is kept as its hash

local Nonces = {}
Nonces.__index = Nonces

--- Take a nonce.
-- @tparam string nonce
-- @tparam number now
-- @tparam number until_when it is remembered up to this time
-- @treturn boolean false: it was used before
function Nonces:take(nonce, now, until_when)
  if #nonce > LONGEST then nonce = core.sha256(nonce) end
  local known = self.until_when[nonce]
  if known and known > now then return false end
  self.until_when[nonce] = until_when
  self.last = self.last + 1
  self.queue[self.last] = { nonce, until_when }
  while self.first <= self.last do
    local oldest = self.queue[self.first]
    if oldest[2] > now and self.last - self.first < KEEP then break end
    -- a nonce that was used again after its time stands further back with the later one
    if self.until_when[oldest[1]] == oldest[2] then self.until_when[oldest[1]] = nil end
    self.queue[self.first] = nil
    self.first = self.first + 1
  end
  return true
end

--- Make a memory.
-- @treturn table with the method `take`
function M.new() return setmetatable({ until_when = {}, queue = {}, first = 1, last = 0 }, Nonces) end

return M
