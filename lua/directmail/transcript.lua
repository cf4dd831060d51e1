--- What was said, for people to read: one line a packet, with the time.
-- Secrets never arrive here: the engine masks what it writes (`engine:next` with
-- trace), so a transcript cannot leak what it was not given.
-- @module directmail.transcript
local err = require "directmail.err"

local M = {}

local LONGEST = 2000            -- octets of one line; a server may send more than anybody reads

--- A recorder for `directmail.session`.
-- @tparam function write called with each finished line
-- @tparam number verbose 1: what is said; 2: octets of each write and read too
-- @tparam function tick monotonic seconds
-- @treturn function record(mark, text), mark one of `*`, `>`, `<`, `~>`, `<~` (~: inside TLS)
function M.recorder(write, verbose, tick)
  local start = tick()
  return function(mark, text)
    if text == "" then return end
    local size = #text
    local shown = text:gsub("\r?\n$", ""):gsub("\r?\n", mark:find("<", 1, true) and " · " or "  ")
    if #shown > LONGEST then shown = shown:sub(1, LONGEST) .. " …" end
    shown = err.printable(shown)
    if verbose >= 2 and mark ~= "*" then shown = ("%s   (%d octets)"):format(shown, size) end
    write(("%8.3f %-2s %s"):format(tick() - start, mark, shown))
  end
end

return M
