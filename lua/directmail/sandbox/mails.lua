--- Mails that the sandbox has accepted: files for everybody, a list in memory to look through and to wait on.
-- @module directmail.sandbox.mails
local arrival = require "directmail.sandbox.arrival"
local cjson = require "cjson.safe"
local err = require "directmail.err"
local glob = require "directmail.sandbox.glob"
local json = require "directmail.sandbox.json"
local log = require "directmail.sandbox.log"
local read = require "directmail.read"

local M = {}

local KEEP = 10000              -- mails in the list; the files keep all
local TIMEOUT = 10              -- seconds that `wait` waits unless told otherwise

-- What stands in ID.json, in this order; what an SMTP mail does not have is null.
local FIELDS = { "id", "via", "time", "mail_from", "rcpt_to", "user", "tls", "action", "params", "access_key_id", "request_id" }

-- 18 digits as the service's; a text, since they exceed what every Lua can hold as a number.
local function id_of(n) return ("6%017d"):format(n) end

local Mails = {}
Mails.__index = Mails

--- Write a file beside and rename it, so that a reader who sees the name sees the whole file.
-- @tparam string path
-- @tparam string bytes
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why
function M.write(path, bytes)
  local file, why = io.open(path .. ".new", "wb")
  local ok = file ~= nil
  if ok then ok, why = file:write(bytes) end
  if file then
    local closed, late = file:close()
    if ok and not closed then ok, why = nil, late end
  end
  if ok then ok, why = os.rename(path .. ".new", path) end
  if ok then return true end
  os.remove(path .. ".new")
  return nil, why
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function slurp(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local bytes = file:read("*a")
  file:close()
  return bytes
end

function Mails:path(id, ending) return ("%s/%s.%s"):format(self.dir, id, ending) end

--- The id that the next mail may have; an earlier run may have left mails in the folder.
-- @treturn string 18 digits
function Mails:next_id()
  local id
  repeat
    self.count = self.count + 1
    id = id_of(self.count)
  until not exists(self:path(id, "eml")) and not exists(self:path(id, "json"))
  return id
end

--- Keep an accepted mail: `ID.eml`, then `ID.json`, then whoever waits for it is woken.
-- @tparam table envelope `{via = "smtp"|"api", mail_from, rcpt_to = {address...}, user, tls = "none|starttls|implicit", subject,
-- action, params, access_key_id, request_id, id = from next_id when the message names it}`
-- @tparam string bytes the message as received, dot-stuffing undone
-- @treturn[1] string its id, 18 digits
-- @treturn[2] nil
-- @treturn[2] string why it cannot be written
function Mails:save(envelope, bytes)
  local id = envelope.id or self:next_id()
  local mail = { id = id, time = log.time(self.host.now()) }
  for _, name in ipairs(FIELDS) do
    if mail[name] == nil then mail[name] = envelope[name] end
  end
  local ok, why = M.write(self:path(id, "eml"), bytes)
  if ok then ok, why = M.write(self:path(id, "json"), json.fields(mail, FIELDS) .. "\n") end
  if not ok then
    os.remove(self:path(id, "eml"))
    return nil, why
  end
  mail.subject = envelope.subject or ""
  local params = mail.params or {}
  mail.account, mail.tag, mail.tracked = params.AccountName, params.TagName, params.ClickTrace == "1"
  mail.params = nil                 -- the file has them; they may be megabytes, and the list holds thousands
  self.list[#self.list + 1] = mail
  if #self.list > 2 * KEEP then
    local newest = {}
    for i = #self.list - KEEP + 1, #self.list do newest[#newest + 1] = self.list[i] end
    self.list = newest
  end
  self.log:add { event = "mail", via = mail.via, id = id, mail_from = mail.mail_from, rcpt_to = mail.rcpt_to, subject = mail.subject,
    user = mail.user, tls = mail.tls, action = mail.action, bytes = #bytes }
  self.arrived:ring()
  return id
end

--- The mails of this run, oldest first, without their contents.
-- @treturn table list of `{id, via, time, mail_from, rcpt_to, user, tls, subject, ...}`
function Mails:all()
  local copy = {}
  for i, mail in ipairs(self.list) do copy[i] = mail end
  return copy
end

--- A mail with its contents.
-- @tparam string id
-- @treturn[1] table `{id, via, time, from, to = {address...}, user, tls, action, params, access_key_id, request_id, subject, text, html,
-- headers, attachments = {{name, type, data, cid, inline}...}, raw}`; `from` and `to` are those of the envelope
-- @treturn[2] nil
-- @treturn[2] string why
function Mails:open(id)
  local found
  for _, mail in ipairs(self.list) do
    if mail.id == id then found = mail end
  end
  if not found then return nil, "there is no mail " .. id end
  local bytes, why = slurp(self:path(id, "eml"))
  if not bytes then return nil, why end
  local mail = read.mail(bytes)
  mail.subject = mail.subject or ""
  mail.raw, mail.from, mail.to = bytes, found.mail_from, found.rcpt_to
  for _, name in ipairs { "id", "via", "time", "user", "tls", "action", "access_key_id", "request_id" } do mail[name] = found[name] end
  if found.action then
    local meta = slurp(self:path(id, "json"))
    local known = meta and cjson.decode(meta)
    mail.params = known and known.params
  end
  return mail
end

local function fits(mail, query)
  if query.subject and not mail.subject:find(query.subject, 1, true) then return false end
  if not query.to then return true end
  for _, address in ipairs(mail.rcpt_to) do
    if glob.match(query.to, address) then return true end
  end
  return false
end

--- Wait for a mail; the newest one that is there already counts.
-- @tparam table query `{to = address or glob, subject = a part of it, timeout = seconds}`
-- @treturn[1] table the mail as `open` gives it
-- @treturn[2] nil
-- @treturn[2] directmail.err TIMEOUT when none came
function Mails:wait(query)
  local timeout = query.timeout or TIMEOUT
  local deadline = self.host.tick() + timeout
  while true do
    for i = #self.list, 1, -1 do
      if fits(self.list[i], query) then return self:open(self.list[i].id) end
    end
    local left = deadline - self.host.tick()
    if left <= 0 or self.closed then
      return nil, err.new {
        code = "TIMEOUT",
        cause = ("no mail%s%s came within %g s"):format(query.to and " to " .. query.to or "",
          query.subject and (' with "%s" in its subject'):format(query.subject) or "", timeout),
        remedy = ("%s says what came; %d other mails are there"):format(self.dir:gsub("mail$", "log.jsonl"), #self.list),
      }
    end
    self.arrived:wait(left)
  end
end

--- Forget all mails of this run, and remove their files.
function Mails:clear()
  for _, mail in ipairs(self.list) do
    os.remove(self:path(mail.id, "json"))
    os.remove(self:path(mail.id, "eml"))
  end
  self.list = {}
end

--- Remove the files of all mails of this run, those too that the list has forgotten.
function Mails:remove()
  for n = 1, self.count do
    local id = id_of(n)
    os.remove(self:path(id, "json"))
    os.remove(self:path(id, "eml"))
  end
  self.list = {}
end

--- Whoever still waits is told that nothing comes any more.
function Mails:close()
  self.closed = true
  self.arrived:ring()
end

--- Make the list.
-- @tparam table host
-- @tparam string dir an existing folder
-- @tparam table events a `directmail.sandbox.log`
-- @treturn table with the methods above
function M.new(host, dir, events)
  return setmetatable({ host = host, dir = dir, log = events, list = {}, count = 0, arrived = arrival.new(host) }, Mails)
end

return M
