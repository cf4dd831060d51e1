--- A file that gets one line of JSON for each attempt to send (`--log FILE`).
-- The lines have the fields of `directmail.entry`, as nginx's log has, with `ok` and `time`.
-- @module directmail.command.log
local core = require "directmail.core"
local entries = require "directmail.entry"
local err = require "directmail.err"
local host = require "directmail.host"
local text = require "directmail.command.text"

local M = {}

local Log = {}
Log.__index = Log

--- Declare the option.
-- @tparam table parser of argparse
function M.declare(parser)
  parser:option "--log" :argname "FILE" :overwrite(false) :description "append a line of JSON for each attempt to FILE, addresses cut down"
end

-- The system's words without the path before them.
local function reason(why) return (tostring(why):gsub("^.*: ", "")) end

--- Open the file, before anything is sent. When it is new, nobody else may read it: who got mail is personal data.
-- @tparam ?string path nil: a log that keeps nothing
-- @tparam string command its name, for the lines
-- @treturn[1] table with the method `mail`
-- @treturn[2] nil
-- @treturn[2] table a directmail.err
function M.open(path, command)
  local self = setmetatable({ path = path, command = command }, Log)
  if not path then return self end
  local old = host.umask(tonumber("077", 8))
  local file, why = io.open(path, "ab")
  host.umask(old)
  if not file then
    return nil, err.new { code = "FILE", detail = "log", cause = ("--log: %s cannot be written: %s"):format(err.printable(path), reason(why)),
      remedy = "name a file in a folder that you may write; nothing was sent" }
  end
  -- one write for a line, at the file's end (O_APPEND): several processes may share it
  file:setvbuf "no"
  self.file = file
  return self
end

--- The bare addresses of a mail, those that cannot be read left out.
-- @tparam table message fields as for `mail:send`
-- @treturn {string,...}
function M.recipients(message)
  local to = {}
  for _, field in ipairs { "to", "cc", "bcc" } do
    local given = message[field] or {}
    for _, one in ipairs(type(given) == "table" and given or { given }) do
      for _, box in ipairs(core.addresses(one) or {}) do to[#to + 1] = box.address end
    end
  end
  return to
end

-- Those that a receipt tells of: the envelope's, after a redirect too.
local function judged(receipt)
  local to = {}
  for _, address in ipairs(receipt.accepted or {}) do to[#to + 1] = address end
  for _, who in ipairs(receipt.refused or {}) do to[#to + 1] = who.address end
  return to
end

--- Write down an attempt. What cannot be written is told on stderr, once, and changes nothing: the mail has its outcome.
-- @tparam table about `to` = who should get it, where no receipt tells; `seconds`
-- @tparam ?table receipt
-- @tparam ?table e when there is none
-- @tparam[opt] table more further fields of the line
function Log:mail(about, receipt, e, more)
  if not self.file then return end
  local to = receipt and judged(receipt) or {}
  local entry = entries.mail({
    command = self.command, to = to[1] and to or about.to or {}, seconds = about.seconds or receipt and receipt.seconds or e and e.where and e.where.seconds,
  }, receipt, e)
  for name, value in pairs(more or {}) do entry[name] = value end
  entry.time = os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(host.now()))
  local ok, why = self.file:write(text.json(receipt ~= nil, entry) .. "\n")
  if ok or self.warned then return end
  self.warned = true
  io.stderr:write(("directmail: warning: --log: %s could not be written: %s; what was sent is sent\n"):format(err.printable(self.path), reason(why)))
end

return M
