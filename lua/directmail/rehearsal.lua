--- The SMTP dialogue of a mail up to the point where it would be sent, and no further: greeting, EHLO, TLS, AUTH, MAIL, RCPT, RSET, QUIT.
-- The engine, the session and the connection are those that send: only DATA is never let out, in its place the transaction is
-- taken back (RFC 5321, 4.1.1.5).
-- @module directmail.rehearsal
local connection = require "directmail.connection"
local message = require "directmail.message"
local smtp = require "directmail.smtp"

local M = {}

local DATA = "DATA\r\n"         -- a write of its own, since commands do not go in groups here
local CHUNK = 4096
local READS = 8                 -- pieces in which the answers to RSET and QUIT may come

-- A socket that lets no DATA out.
local Held = {}
Held.__index = Held

function Held:connect(...)
  local ok, why = self.sock:connect(...)
  self.connected = ok ~= nil
  return ok, why
end

function Held:settimeouts(...) return self.sock:settimeouts(...) end
function Held:getsockname() return self.sock.getsockname and self.sock:getsockname() end
function Held:close() return self.sock:close() end
function Held:tls() return self.sock.tls and self.sock:tls() end

-- Kept for later: when all is over the connection is closed.
function Held:sslhandshake(...)
  local ok, why = self.sock:sslhandshake(...)
  if ok then self.private, self.seen = true, self:tls() end
  return ok, why
end

-- One command that is not the engine's; the answer's first line.
function Held:ask(command)
  if not self.sock:send(command .. "\r\n") then return nil end
  local answer = ""
  for _ = 1, READS do
    local bytes = self.sock:receiveany(CHUNK)
    if not bytes then return nil end
    answer = answer .. bytes
    if ("\n" .. answer):find "\n%d%d%d[ \r]" and answer:sub(-1) == "\n" then break end
  end
  return answer:match "^[^\r\n]+"
end

function Held:send(bytes)
  if self.reached then return nil, "closed" end
  if bytes ~= DATA then return self.sock:send(bytes) end
  self.reached = true
  self.reset = self:ask "RSET"
  self:ask "QUIT"
  return nil, "closed"
end

function Held:receiveany(max)
  if self.reached then return nil, "closed" end
  return self.sock:receiveany(max)
end

-- The lines of a reply that the transcript shows.
local function add_lines(list, text)
  for line in text:gmatch "[^\r\n]+" do
    if #list < 40 then list[#list + 1] = line:sub(1, 200) end
  end
end

--- Hold one.
-- @tparam table mail the mail object: `host`, `settings`
-- @tparam table about `from` = the envelope's sender, nil: no envelope, only the login; `to` = its recipient; `user`, `password` = nil: no login;
--   `seconds` = time for all of it; `step_seconds` = for each answer
-- @treturn[1] table `{ err = why it ended early (a directmail.err)|nil, step = where: "connect" "banner" "ehlo" "starttls" "auth" "mail" "rcpt",
--   connected=, private=, tls = of `sock:tls`, greeting = the banner, offers = EHLO's lines, reset = the answer to RSET, seconds= }`
-- @treturn[2] nil
-- @treturn[2] err when a setting cannot be used
function M.hold(mail, about)
  local at, e = smtp.endpoint(mail.settings)
  if not at then return nil, e end
  local host, settings = mail.host, {}
  for name, value in pairs(mail.settings) do settings[name] = value end
  -- nobody gets this mail, so nobody has to be kept from it
  settings.only, settings.redirect, settings.size_limit, settings.pipeline = nil, nil, nil, "off"
  settings.timeouts = { connect = about.step_seconds, reply = about.step_seconds, data = about.step_seconds, final = about.step_seconds }
  local out, said_last, outcome_last = { offers = {} }, nil, nil
  local told = ""
  local shadow = { host = host, settings = settings, record = function(mark, text)
    if mark:find("<", 1, true) then
      told = told .. text
      if not out.greeting then
        out.greeting = told:match "^[^\r\n]+"
        told = ""
      elseif #told < 16384 and out.hello then
        add_lines(out.offers, text)
      end
    elseif mark:find(">", 1, true) then
      out.hello = text:sub(1, 4) == "EHLO"
      if out.hello then out.offers = {} end
    end
  end }
  local built
  if about.from then
    local draft
    draft, e = message.draft({ from = about.from, to = about.to, subject = "directmail doctor", text = "" }, settings, host, 2)
    if not draft then return nil, e end
    built, e = message.lay_out(draft, settings, host)
    if not built then return nil, e end
  end
  local who = about.password and { user = about.user, password = about.password } or {}
  local c
  c, e = connection.new(shadow, at, who, function(_, outcome, said) outcome_last, said_last = outcome, said end)
  if not c then
    if built then message.close(built) end
    return nil, e
  end
  local held = setmetatable({ sock = c.sock }, Held)
  c.sock = held
  local start = host.tick()
  c.run.deadline, c.run.timeout = start + about.seconds, about.seconds
  local job = { built = built or { to = {} }, timeout = about.seconds, start = start }
  if built then c:push(job) end
  c:quit()
  c:connect()
  local ending = c:drive()
  if not said_last and ending == "fail" then outcome_last, said_last = "not_sent", c.engine:error() end
  if not held.reached and said_last then
    local _, why = c:verdict(job, outcome_last, said_last)
    out.err, out.step = why, said_last.step
  end
  out.connected, out.private, out.tls, out.reset = held.connected, held.private or false, held.seen, held.reset
  out.seconds, out.reached = host.tick() - start, held.reached or false
  c:close()
  if built then message.close(built) end
  return out
end

return M
