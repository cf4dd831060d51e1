--- The server's half of an SMTP dialogue, as Direct Mail speaks it.
-- Banner, EHLO lines, prompts and texts are those seen from the service; how
-- strict it is with broken clients is not known, so the sandbox is as strict as
-- RFC 5321 and the security of both sides ask.
-- @module directmail.sandbox.smtp
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local read = require "directmail.read"
local replies = require "directmail.sandbox.replies"
local settings = require "directmail.sandbox.settings"

local M = {}

local MAX_COMMAND = limits.sandbox_line
local MAX_AUTH_LINE = limits.auth_line
local MAX_MESSAGE = limits.message_octets
local MAX_RCPT = limits.recipients
local MAX_PATH = 256                -- octets of an address (RFC 5321, 4.5.3.1.3)
local MAX_ENVID = 100               -- octets (RFC 3461, 4.4)
local MAX_ORCPT = 500               -- octets (RFC 3461, 4.2)
local MAX_NAME = 255                -- octets of the name in EHLO (RFC 5321, 4.5.3.1.2)
local MAX_ERRORS = 20               -- unknown commands and failed logins of one connection
local MAX_REPLIES = 16384           -- octets of replies held back while commands are read in a group
local READ_TIMEOUT = 300000         -- milliseconds (RFC 5321, 4.5.3.2.7)
local SEND_TIMEOUT = 60000

local BANNER = "smtpdm.aliyun.com DirectMail Smtpd Server"
local NAME = "smtp.aliyun-inc.com"
local MECHANISMS = "PLAIN LOGIN XALIOAUTH"

-- Recipients that are refused, so that a client's handling can be tried.
local REFUSED = { ["invalid@sandbox.example"] = 559, ["defer@sandbox.example"] = 450, ["full@sandbox.example"] = 552 }

-- No reply has this shape: the first octets are no digits, and one is not even text.
local GARBAGE = "\255\0 this is no reply\r\n"

local Session = {}
Session.__index = Session

function Session:note(event)
  event.via, event.connection = "smtp", self.number
  self.log:add(event)
end

-- Replies are held back until input runs out, so that a group of commands gets one write (RFC 2920, 3.2).
function Session:flush()
  if #self.out == 0 then return true end
  local bytes = table.concat(self.out)
  self.out, self.held = {}, 0
  local sent, why = self.sock:send(bytes)
  if not sent then self:hang_up(why) end
  return sent ~= nil
end

function Session:put(bytes)
  self.out[#self.out + 1] = bytes
  self.held = self.held + #bytes
  if self.held > MAX_REPLIES then self:flush() end
end

-- `text` is a line or a list of them.
function Session:reply(code, text)
  if type(text) ~= "table" then text = { text } end
  for i, line in ipairs(text) do
    self:put(("%d%s%s\r\n"):format(code, i < #text and "-" or " ", line))
  end
end

function Session:hang_up(why)
  if self.over then return end
  self.over = why
end

-- All input that has come and was not used.
function Session:drain()
  local rest = self.input:sub(self.at)
  self.input, self.at = "", 1
  return rest
end

-- One more piece of input; false when none comes any more.
function Session:receive()
  if self.over or not self:flush() then return false end
  local bytes, why = self.sock:receiveany(65536)
  if not bytes then
    if why == "timeout" then
      self:reply(421, replies.text("quit", 421))
      self:flush()
    end
    self:hang_up(why)
    return false
  end
  self.input, self.at = self.input:sub(self.at) .. bytes, 1
  return true
end

-- The next line without its end; nil when the connection is over. A line that is too long or does not end in CRLF
-- gives nil and the text of a 500: LF alone ends no line for a server that takes part in no smuggling (RFC 5321, 2.3.8).
function Session:line(limit)
  local skipped = false
  while true do
    local lf = self.input:find("\n", self.at, true)
    if lf then
      local line = self.input:sub(self.at, lf - 1)
      self.at = lf + 1
      if skipped or #line > limit then return nil, "Line too long" end
      if line:sub(-1) ~= "\r" then return nil, "A line ends in CRLF, not in LF alone" end
      line = line:sub(1, -2)
      if line:find("[%z\r]") then return nil, "NUL or CR within a line" end
      return line
    end
    if #self.input - self.at >= limit then
      self:drain()
      skipped = true
    end
    if not self:receive() then return nil end
  end
end

-- Take a step, unless a fault rule has it fail. `take` does what the step means and returns the reply's code and text.
function Session:step(step, context, take, event)
  event = event or {}
  event.event, event.step = "command", step
  local fault = self.faults:match(step, context)
  event.fault = fault and fault.text
  if fault and fault.slow then
    if not self:flush() then return end
    self.host.sleep(fault.slow)
  end
  local what = fault and fault.what
  if step == "connect" and self.tls_first and (what == "code" or what == "garbage") and not self:secure("implicit") then return end
  if what == "drop" then
    self:note(event)
    self:flush()
    return self:hang_up("fault")
  elseif what == "garbage" then
    self:note(event)
    return self:put(GARBAGE)
  elseif what == "code" then
    local names = { user = self.user, mail_from = self.mail_from or context.mail_from, rcpt_to = context.to and context.to[1] }
    event.reply, event.text = fault.code, replies.text(step, fault.code, names)
    self:note(event)
    self:reply(event.reply, event.text)
    if event.reply == 421 then self:hang_up("fault") end            -- RFC 5321, 3.8
    return event.reply
  end
  if what == "drop-after" then self:flush() end                     -- earlier commands keep their replies
  local code, text = take(fault and fault.tls)
  if what == "drop-after" then
    self:note(event)
    return self:hang_up("fault")
  end
  if code then
    event.reply, event.text = code, type(text) == "table" and text[1] or text
    self:reply(code, text)
  end
  self:note(event)
  return code
end

-- Refuse a command that cannot be taken at all: no step, so no fault rule counts it.
function Session:refuse(code, text)
  self:note { event = "command", step = self.verb:lower(), reply = code, text = text }
  self:reply(code, text)
end

function Session:reset()
  self.mail_from, self.rcpt_to, self.body = nil, {}, nil
end

-- ---- TLS ----------------------------------------------------------------

function Session:secure(mode, which)
  local identity, why = self.identity(which)
  local ok
  if identity then ok, why = self.sock:sslaccept(identity) end
  if not ok then
    self:note { event = "tls", ok = false, why = why }
    self:hang_up("tls: " .. tostring(why))
    return false
  end
  self.tls = mode
  self:note { event = "tls", ok = true, certificate = which }
  return true
end

-- ---- addresses ----------------------------------------------------------

-- The path and the parameters behind `MAIL FROM:` or `RCPT TO:`; nil and a reply when they cannot be read.
local function read_path(rest, keyword)
  local path, params = rest:match("^" .. keyword .. ":%s*<([^<>]*)>(.*)$")
  if not path then return nil, 501, ("Syntax: %s:<address>"):format((keyword:gsub("%[(.).%]", "%1"))) end
  if #path > MAX_PATH then return nil, 501, "Path too long" end
  if path:find("[\128-\255]") then return nil, 553, "SMTPUTF8 is not offered: ASCII addresses only" end
  if path ~= "" and not path:find("^[^%s%c@]+@[^%s%c@]+$") and not path:find('^"[^%c]*"@[^%s%c@]+$') then
    return nil, 501, "Bad address syntax"
  end
  local found = {}
  for word in params:gmatch("%S+") do
    local name, value = word:match("^([%w-]+)=?(.*)$")
    if not name then return nil, 501, "Bad parameter syntax" end
    found[#found + 1] = { name:upper(), value }
  end
  if params ~= "" and not params:find("^ ") then return nil, 501, "Bad parameter syntax" end
  return path, found
end

local MAIL_PARAMS = {
  BODY  = function(v) v = v:upper() return v == "7BIT" or v == "8BITMIME" end,
  RET   = function(v) v = v:upper() return v == "FULL" or v == "HDRS" end,
  ENVID = function(v) return #v > 0 and #v <= MAX_ENVID end,
  AUTH  = function(v) return v ~= "" end,                           -- RFC 4954, 5
}
local RCPT_PARAMS = {
  NOTIFY = function(v)
    v = v:upper()
    if v == "NEVER" then return true end
    for word in (v .. ","):gmatch("([^,]*),") do
      if word ~= "SUCCESS" and word ~= "FAILURE" and word ~= "DELAY" then return false end
    end
    return true
  end,
  ORCPT = function(v) return v:find("^[%w-]+;.") ~= nil and #v <= MAX_ORCPT end,
}

-- Only what EHLO offered may come as a parameter (RFC 5321, 4.1.1.11: 555 for the others; a SIZE too).
local function bad_param(params, known)
  local seen = {}
  for _, param in ipairs(params) do
    local check = known[param[1]]
    if not check then return 555, ("%s is not offered"):format(param[1]) end
    if seen[param[1]] or not check(param[2]) then return 501, ("Bad value of %s"):format(param[1]) end
    seen[param[1]] = true
  end
end

-- ---- commands -----------------------------------------------------------

local commands = {}

local function greet(self, rest, extended)
  if rest == "" or rest:find("[^\33-\126]") or #rest > MAX_NAME then
    return self:refuse(501, ("Syntax: %s name"):format(self.verb))
  end
  self:step("ehlo", {}, function()
    -- A second EHLO forgets the login: seen from the service (MailKit, issues 370 and 405).
    self.user, self.greeted = nil, extended and "ehlo" or "helo"
    self:reset()
    if not extended then return 250, NAME end
    local lines = { NAME }
    if self.tls == "none" and self.starttls then lines[2] = "STARTTLS" end
    for _, line in ipairs { "8BITMIME", "AUTH=" .. MECHANISMS, "AUTH " .. MECHANISMS, "PIPELINING", "DSN" } do lines[#lines + 1] = line end
    return 250, lines
  end, { name = rest })
end

function commands.EHLO(self, rest) greet(self, rest, true) end
function commands.HELO(self, rest) greet(self, rest, false) end

function commands.STARTTLS(self, rest)
  if not self.starttls then return self:refuse(502, replies.text("starttls", 502)) end
  if self.tls ~= "none" then return self:refuse(503, "TLS is active already") end
  if rest ~= "" then return self:refuse(501, "STARTTLS has no parameter") end
  self:step("starttls", { tls = true }, function(which)
    self:reply(220, "Ready to start TLS")
    -- What came in clear text behind STARTTLS is not the client's: an attacker put it there to have it
    -- taken as encrypted (CVE-2011-0411).
    local injected = #self:drain()
    if injected > 0 then self:note { event = "injection", bytes = injected } end
    if not self:flush() or not self:secure("starttls", which) then return end
    self.user, self.greeted = nil, nil          -- RFC 3207, 4.2
    self:reset()
  end)
end

local function failed(self)
  self.errors = self.errors + 1
  if self.errors < MAX_ERRORS then return end
  self:reply(421, "Too many errors, closing transmission channel")
  self:hang_up("too many errors")
end

-- An answer within AUTH, decoded; nil when AUTH ended here.
local function answer(self, prompt)
  self:put("334 " .. prompt .. "\r\n")
  local line, why = self:line(MAX_AUTH_LINE)
  if not line then
    if why then self:refuse(500, why) end
    return
  end
  if line == "*" then
    self:refuse(501, "Authentication cancelled")          -- RFC 4954, 4
    return
  end
  return line
end

local function decoded(text)
  if text:find("[^%w+/=]") then return nil end
  return core.base64_decode(text)
end

function commands.AUTH(self, rest)
  local mechanism, initial = rest:match("^([%w_-]+) ?(.*)$")
  mechanism = mechanism and mechanism:upper()
  if self.greeted ~= "ehlo" then return self:refuse(503, "Send EHLO first") end
  if self.user then return self:refuse(503, "Already authenticated") end
  if self.mail_from then return self:refuse(503, "AUTH is not allowed within a mail transaction") end
  if not mechanism then return self:refuse(501, "Syntax: AUTH mechanism") end
  local user, password
  if mechanism == "PLAIN" then
    if initial == "" then initial = answer(self, "") end
    if not initial then return end
    local text = decoded(initial == "=" and "" or initial)
    if not text then return self:refuse(523, replies.text("auth", 523)) end
    local as
    as, user, password = text:match("^(%Z*)%z(%Z*)%z(%Z*)$")
    if not user then return self:refuse(501, "PLAIN is [authzid] NUL authcid NUL passwd") end      -- RFC 4616, 2
    if as ~= "" and as:lower() ~= user:lower() then password = nil end
  elseif mechanism == "LOGIN" then
    if initial == "" then initial = answer(self, "dXNlcm5hbWU6") end                  -- "username:", in lower case as seen
    if not initial then return end
    user = decoded(initial)
    local second = answer(self, "UGFzc3dvcmQ6")
    if not second then return end
    password = decoded(second)
    if not user or not password then return self:refuse(523, replies.text("auth", 523)) end
  else
    -- XALIOAUTH is offered, and belongs to the vendor's own mail clients.
    return self:refuse(504, replies.text("auth", 504))
  end
  local event = { user = user, mechanism = mechanism, cleartext = self.tls == "none" or nil }
  local code = self:step("auth", {}, function()
    if user == "" or password == "" then return 524, replies.text("auth", 524) end
    self.user = password and self.senders:login(user, password)
    if not self.user then return 526, replies.text("auth", 526) end
    return 235, "Authentication successful"
  end, event)
  if code and code >= 400 then failed(self) end
end

function commands.MAIL(self, rest)
  if not self.greeted then return self:refuse(503, "Send EHLO first") end
  if self.mail_from then return self:refuse(503, "Sender already given") end
  local path, params, text = read_path(rest, "[Ff][Rr][Oo][Mm]")
  if not path then return self:refuse(params, text) end
  local code, why = bad_param(params, MAIL_PARAMS)
  if code then return self:refuse(code, why) end
  if not self.user then return self:refuse(530, replies.text("mail", 530)) end
  self:step("mail", { mail_from = path }, function()
    if path:lower() ~= self.user:lower() then
      return 436, replies.text("mail", 436, { user = self.user, mail_from = path })
    end
    self.mail_from, self.rcpt_to = path, {}
    return 250, "Mail Ok"
  end, { mail_from = path })
end

function commands.RCPT(self, rest)
  if not self.mail_from then return self:refuse(503, replies.text("rcpt", 503)) end
  local path, params, text = read_path(rest, "[Tt][Oo]")
  if not path then return self:refuse(params, text) end
  if path == "" then return self:refuse(501, "Bad address syntax") end
  local code, why = bad_param(params, RCPT_PARAMS)
  if code then return self:refuse(code, why) end
  self:step("rcpt", { to = { path } }, function()
    if #self.rcpt_to >= MAX_RCPT then return 556, replies.text("rcpt", 556) end
    local refused = REFUSED[path:lower()]
    if refused then return refused, replies.text("rcpt", refused, { rcpt_to = path }) end
    self.rcpt_to[#self.rcpt_to + 1] = path
    return 250, "Rcpt Ok"
  end, { rcpt_to = path })
end

-- The message up to CRLF.CRLF, which alone ends it: any other spelling of a line end before or behind the dot belongs
-- to the text (CVE-2023-51764). Dot-stuffing undone; "" when it is too large to keep; nil when the connection is over.
-- The second value is its size.
local function body(self)
  -- The CRLF of the DATA line takes part in the first line's dot (RFC 5321, 4.1.1.4).
  local chunks, held, size = {}, "\r\n" .. self:drain(), 0
  while true do
    local stop = held:find("\r\n.\r\n", 1, true)
    local whole = stop and stop + 1 or math.max(#held - 4, 0)
    size = size + whole
    if size <= 2 * MAX_MESSAGE then         -- twice: dots that will go are still in it
      chunks[#chunks + 1] = held:sub(1, whole)
    else
      chunks = {}
    end
    if stop then
      self.input = held:sub(stop + 5)
      break
    end
    held = held:sub(whole + 1)
    if not self:receive() then return nil end
    held = held .. self:drain()
  end
  if size > 2 * MAX_MESSAGE then return "", size end
  local bytes = table.concat(chunks):gsub("\r\n%.", "\r\n"):sub(3)
  return bytes, #bytes
end

function commands.DATA(self, rest)
  if rest ~= "" then return self:refuse(501, "DATA has no parameter") end
  if not self.mail_from or #self.rcpt_to == 0 then return self:refuse(503, replies.text("data", 503)) end
  local code = self:step("data", { to = self.rcpt_to }, function() return 354, "End data with <CR><LF>.<CR><LF>" end)
  if code ~= 354 or self.over then return end
  local bytes, size = body(self)
  if not bytes then return end
  local event = { bytes = size }
  self:step("dot", { to = self.rcpt_to }, function()
    if size > MAX_MESSAGE then return 557, replies.text("dot", 557) end
    if bytes:find("\r[^\n]") or bytes:find("[^\r]\n") or bytes:sub(1, 1) == "\n" then
      return 554, "Bare CR or LF in the message (RFC 5321, 2.3.8)"
    end
    local headers = read.headers(bytes)
    local refused = settings.judge(headers)
    if refused then return 504, refused end
    local id, why = self.mails:save({
      via = "smtp", mail_from = self.mail_from, rcpt_to = self.rcpt_to, user = self.user, tls = self.tls,
      subject = read.text(headers, "Subject"),
    }, bytes)
    if not id then
      self:note { event = "error", text = why }
      return 451, replies.text("dot", 451)
    end
    event.id = id
    return 250, "Data Ok: queued as freedom ###envid=" .. id
  end, event)
  self:reset()
end

function commands.RSET(self, rest)
  if rest ~= "" then return self:refuse(501, "RSET has no parameter") end
  self:reset()
  self:reply(250, "Ok")
end

function commands.NOOP(self) self:reply(250, "Ok") end

function commands.VRFY(self) self:refuse(502, replies.text("vrfy", 502)) end
commands.EXPN = commands.VRFY
commands.HELP = commands.VRFY
commands.BDAT = commands.VRFY           -- CHUNKING is not offered

function commands.QUIT(self, rest)
  if rest ~= "" then return self:refuse(501, "QUIT has no parameter") end
  self:step("quit", {}, function() return 221, "Bye" end)
  self:hang_up("quit")
end

-- The next command; false when the connection is over.
local function turn(self)
  local line, why = self:line(MAX_COMMAND)
  self.verb = "line"
  if not line then
    if why then
      self:refuse(500, why)
      failed(self)
    end
    return not self.over
  end
  local verb, rest = line:match("^(%a+)%s*(.*)$")
  verb = verb and verb:upper()
  local command = verb and commands[verb]
  if command then self.verb = verb end          -- else it may be anything, a misplaced password too: not for the log
  if not command then
    self:refuse(502, replies.text("line", 502))
    failed(self)
  elseif self.refusing and self.verb ~= "QUIT" then
    self:refuse(503, replies.text("line", 503))           -- RFC 5321, 3.1: after a 554 only QUIT is answered
  else
    command(self, rest:match("^.*%S") or "")
  end
  return not self.over
end

local function converse(self)
  local connect = self:step("connect", { tls = self.tls_first }, function(which)
    if self.tls_first then self:secure("implicit", which) end
  end)
  if self.over then return end
  local banner = connect or self:step("banner", {}, function() return 220, BANNER end)
  self.refusing = banner ~= nil and banner >= 400
  while not self.over and turn(self) do end
end

--- Serve one connection until it is over, and close it.
-- @tparam table sock connected, with `send`, `receiveany`, `settimeouts`, `sslaccept` and `close`
-- @tparam table options `{host = , log = , mails = , senders = , faults = , number = , tls = "starttls"|"implicit",
-- identity = function("expired"|"wrong-name"|nil) -> identity}`
function M.serve(sock, options)
  local self = setmetatable({
    sock = sock, host = options.host, log = options.log, mails = options.mails, senders = options.senders,
    faults = options.faults, identity = options.identity, number = options.number,
    tls_first = options.tls == "implicit", starttls = options.tls == "starttls",
    tls = "none", input = "", at = 1, out = {}, held = 0, errors = 0, rcpt_to = {}, verb = "line",
  }, Session)
  sock:settimeouts(nil, SEND_TIMEOUT, READ_TIMEOUT)
  self:note { event = "connect", port = options.tls }
  converse(self)
  self:flush()
  sock:close()
  self:note { event = "close", why = err.printable(self.over) }
end

return M
