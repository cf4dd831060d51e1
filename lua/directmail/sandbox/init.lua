--- An emulator of Direct Mail on loopback: nothing leaves the machine.
--
--     local box = assert(directmail.sandbox.start())
--     -- box.env has the settings: DIRECTMAIL_API, DIRECTMAIL_SMTP, DIRECTMAIL_SMTP_PASSWORD ...
--     local mail = assert(box:wait { to = "ann@example.com", timeout = 5 })
--     box:stop()
--
-- It listens on 127.0.0.1 only, with a certificate of its own authority, a password
-- and an AccessKey of its own, all made anew for each run.
-- @module directmail.sandbox
local core = require "directmail.core"
local err = require "directmail.err"
local option = require "directmail.option"
local account = require "directmail.sandbox.account"
local api = require "directmail.sandbox.api"
local faults = require "directmail.sandbox.faults"
local log = require "directmail.sandbox.log"
local mails = require "directmail.sandbox.mails"
local nonces = require "directmail.sandbox.nonces"
local senders = require "directmail.sandbox.senders"
local smtp = require "directmail.sandbox.smtp"
local web = require "directmail.sandbox.web"

local unpack = table.unpack or unpack

local M = {}

local ADDRESS = "127.0.0.1"
local NAMES = { "localhost", "127.0.0.1", "::1" }
local REGION = "ap-southeast-1"
local MAX_CONNECTIONS = 400     -- at a time; a client that leaks connections is to see it, before descriptors run out

local OPTIONS = { "host", "dir", "api_port", "smtp_port", "smtps_port", "web_port", "senders", "faults", "on_event" }

-- What listens: its name, its URL, the option with its port, the protocol, and how that begins.
local PORTS = {
  { "api", "http://%s:%d/", "api_port", api }, { "smtp", "smtp://%s:%d", "smtp_port", smtp, "starttls" },
  { "smtps", "smtps://%s:%d", "smtps_port", smtp, "implicit" }, { "web", "http://%s:%d/", "web_port", web },
}

local Box = {}
Box.__index = Box

-- n characters as the console asks for in a password: digits, upper and lower case letters, several of each.
local function secret_text(host, n)
  local classes, out = { "abcdefghijkmnopqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789" }, {}
  local dice = host.random(n)
  for i = 1, n do
    local class = classes[i % 3 + 1]
    local place = dice:byte(i) % #class + 1
    out[i] = class:sub(place, place)
  end
  return table.concat(out)
end

local function file_error(path, why)
  return err.new { code = "FILE", detail = path, cause = "the sandbox cannot write there: " .. tostring(why),
    remedy = "name a folder that you may write with dir (--dir)" }
end

-- Certificates by what is wrong with them, made when first shown: a key takes time.
local function identities(host, authority)
  local made = {}
  return function(which)
    local key = which or "good"
    if not made[key] then
      local names = which == "wrong-name" and { "wrong-name.example" } or NAMES
      local certificate, private = authority:issue(names, { expired = which == "expired" })
      made[key] = host.identity(certificate, private)
    end
    return made[key]
  end
end

-- Let `protocol` have one connection to a port, which begins with TLS or not as `tls` says.
function Box:serve(sock, port, protocol, tls)
  self.connections = self.connections + 1
  self.open[sock] = true
  local ok, why = true, nil
  if self.busy >= MAX_CONNECTIONS then
    self.log:add { event = "refused", why = ("%d connections are open"):format(self.busy) }
    sock:close()
  else
    self.busy = self.busy + 1
    local task = self.host.spawn(protocol.serve, sock, {
      host = self.host, log = self.log, mails = self.store, senders = self.senders, faults = self.faults,
      account = self.account, nonces = self.nonces, box = self, port = port,
      number = self.connections, tls = tls, identity = self.identity,
    })
    ok, why = self.host.wait(task)
    self.busy = self.busy - 1
  end
  self.open[sock] = nil
  if not ok then                -- a fault of ours: it ends one connection, and is seen
    sock:close()
    self.log:add { event = "error", text = tostring(why) }
    self.host.log("error", "sandbox: " .. tostring(why))
  end
end

function Box:accept(listener, protocol, tls)
  while true do
    local sock, why = listener:accept()
    if sock then
      self.host.spawn(self.serve, self, sock, listener.port, protocol, tls)
    else
      if not self.stopped then self.log:add { event = "error", text = "accept: " .. tostring(why) } end
      return
    end
  end
end

function Box:listen(port, protocol, tls)
  local listener, why = self.host.listen(ADDRESS, port)
  if not listener then
    return nil, err.new { code = "CONNECT", detail = ("%s:%d"):format(ADDRESS, port),
      cause = "the sandbox cannot listen there: " .. tostring(why), remedy = "take another port, or 0 for a free one" }
  end
  self.listeners[#self.listeners + 1] = listener
  self.host.spawn(self.accept, self, listener, protocol, tls)
  return listener
end

--- Wait for a mail; one that is there already counts.
-- @tparam table query `{to = address or glob, subject = a part of it, timeout = seconds (10)}`
-- @treturn[1] table `{id, from, to = {address...}, subject, text, html, attachments = {{name, type, data}...}, headers, raw, ...}`
-- @treturn[2] nil
-- @treturn[2] directmail.err TIMEOUT
function Box:wait(query)
  query = query or {}
  option.check(query, { "to", "subject", "timeout" }, "sandbox:wait")
  return self.store:wait(query)
end

--- All mails of this run with their contents, oldest first.
-- @treturn table list of mails as `wait` gives them
function Box:mails()
  local found = {}
  for _, mail in ipairs(self.store:all()) do found[#found + 1] = self.store:open(mail.id) end
  return found
end

--- Forget all mails, and remove their files.
function Box:clear() self.store:clear() end

--- Put other fault rules in the place of all.
-- @tparam table rules texts
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] directmail.err OPTION
function Box:set_faults(rules)
  local parsed, why = faults.new(rules)
  if not parsed then return nil, why end
  self.faults.entries = parsed.entries
  self.log:add { event = "faults", rules = #rules > 0 and self.faults:texts() or nil }
  return true
end

--- End it: ports and connections are closed; a folder that `start` made itself is removed.
function Box:stop()
  if self.stopped then return end
  self.stopped = true
  for _, listener in ipairs(self.listeners) do listener:close() end
  for sock in pairs(self.open) do sock:close() end
  if self.store then self.store:close() end
  if self.log then
    self.log:add { event = "stop" }
    self.log:close()
  end
  if not self.own_dir then return end
  if self.store then self.store:remove() end
  for _, name in ipairs { "/log.jsonl", "/ca.pem", "/mail", "" } do os.remove(self.dir .. name) end
end

-- The bare addresses of the further senders; nil and an error when one is none.
local function addresses(texts)
  local found = {}
  for i, text in ipairs(texts or {}) do
    local list, why = core.addresses(text)
    if list and #list ~= 1 then list, why = nil, "one address each" end
    if not list then
      return nil, err.new { code = "ADDRESS", detail = text, cause = "a sender of the sandbox: " .. tostring(why),
        remedy = "give it as name@domain" }
    end
    found[i] = list[1].address
  end
  return found
end

-- Everything that can fail; Box:stop() undoes whatever part of it was done.
local function set_up(self, options)
  local host = self.host
  local ok, why = faults.new(options.faults)
  if not ok then return nil, why end
  self.faults = ok
  local more
  more, why = addresses(options.senders)
  if not more then return nil, why end
  if self.dir then
    ok, why = host.mkdir(self.dir)
    if not ok then return nil, file_error(self.dir, why) end
  else
    self.dir, why = host.mkdtemp()
    if not self.dir then return nil, file_error(host.env "TMPDIR" or "/tmp", why) end
    self.own_dir = true
  end
  ok, why = host.mkdir(self.dir .. "/mail")
  if not ok then return nil, file_error(self.dir .. "/mail", why) end
  self.log, why = log.open(self.dir .. "/log.jsonl", host.now, options.on_event)
  if not self.log then return nil, file_error(self.dir, why) end
  local authority = host.authority()
  self.ca = self.dir .. "/ca.pem"
  ok, why = mails.write(self.ca, authority.ca)
  if not ok then return nil, file_error(self.ca, why) end
  self.identity = identities(host, authority)
  self.store = mails.new(host, self.dir .. "/mail", self.log)
  local secret = secret_text(host, 20)
  self.senders = senders.new(secret, more)
  self.account = account.new(self.senders, "LTAI5t" .. secret_text(host, 18), secret_text(host, 30))     -- as long as the service's
  self.nonces = nonces.new()
  for _, entry in ipairs(PORTS) do
    local name, scheme, option_name, protocol, tls = unpack(entry)
    local listener
    listener, why = self:listen(options[option_name] or 0, protocol, tls)
    if not listener then return nil, why end
    self.urls[name] = scheme:format(ADDRESS, listener.port)
  end
  local sender = self.senders.list[1].address
  self.env = {
    DIRECTMAIL_REGION = REGION, DIRECTMAIL_SENDER = sender, DIRECTMAIL_API = self.urls.api, DIRECTMAIL_SMTP = self.urls.smtp,
    DIRECTMAIL_SMTP_USER = sender, DIRECTMAIL_SMTP_PASSWORD = secret, DIRECTMAIL_CA = self.ca,
    ALIBABA_CLOUD_ACCESS_KEY_ID = self.account.access_key_id, ALIBABA_CLOUD_ACCESS_KEY_SECRET = self.account.access_key_secret,
  }
  local rules = self.faults:texts()
  self.log:add { event = "start", api = self.urls.api, smtp = self.urls.smtp, smtps = self.urls.smtps, web = self.urls.web,
    faults = #rules > 0 and rules or nil }
  return true
end

--- Start it. It serves while its task or the program's main flow waits.
-- @tparam ?table options `{dir = folder (a fresh private one, removed by stop), api_port, smtp_port, smtps_port, web_port = 0 (a free one),
-- senders = {address...} besides noreply@mail.example.com and news@mail.example.com, faults = {rule...},
-- on_event = function(event), host = a host table}`
-- @treturn[1] table box `{env = {NAME = value}, urls = {api, smtp, smtps, web}, dir, ca}` with the methods
-- `wait`, `mails`, `clear`, `set_faults` and `stop`
-- @treturn[2] nil
-- @treturn[2] directmail.err OPTION (a fault rule, or a home without listeners), FILE, CONNECT (a port is taken)
function M.start(options)
  options = options or {}
  option.check(options, OPTIONS, "sandbox.start")
  local host = options.host or require "directmail.host"
  if not host.listen then
    return nil, err.new { code = "OPTION", cause = "the sandbox cannot listen within " .. host.name,
      remedy = "start it beside: directmail sandbox --json, and take its settings" }
  end
  local self = setmetatable({ host = host, dir = options.dir, listeners = {}, urls = {}, open = {}, connections = 0, busy = 0 }, Box)
  local ok, why = set_up(self, options)
  if ok then return self end
  self:stop()
  return nil, why
end

return M
