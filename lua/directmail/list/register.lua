--- What one reading of a list has come across, on the disk and gone with its `close`; failures are errors of directmail.
-- @module directmail.list.register
local err = require "directmail.err"

local M = {}

local Register = {}
Register.__index = Register

local function told(value, kind, words)
  if value ~= nil then return value end
  return nil, err.new { code = "FILE", detail = "temporary", cause = ("the list's temporary database failed: %s (%s)"):format(words, kind),
    remedy = "make room in the folder for temporary files, or name another one with TMPDIR" }
end

--- May lists be read here?
-- @tparam table host
-- @treturn boolean true; or nil, err
function M.able(host)
  if host.no_files then
    return err.refuse("OPTION", "list", "a list is read from a file with a database beside it: everything in this worker of nginx would wait for the disk",
      "check and upload lists with the directmail command, or with a program beside nginx")
  end
  return true
end

--- Open a new one.
-- @return register; or nil, err
function M.open()
  local inner, e = told(require "directmail.store".register())
  if not inner then return nil, e end
  return setmetatable({ inner = inner }, Register)
end

--- Where did this stand first?
-- @treturn number `row` itself when it is new; or nil, err
function Register:row(key, row) return told(self.inner:row(key, row)) end

--- Note a text about a name: true; or nil, err.
function Register:note(name, text) return told(self.inner:note(name, text)) end

--- The text that was noted, false when there is none; or nil, err.
function Register:read(name) return told(self.inner:read(name)) end

function Register:close() self.inner:close() end

return M
