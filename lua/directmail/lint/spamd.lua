--- SpamAssassin's verdict, asked of a spamd by its protocol (spamd/PROTOCOL in SpamAssassin).
-- The mail goes to that server as it is, so it is one of the user's own.
-- @module directmail.lint.spamd
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local session = require "directmail.session"

local M = {}

local PORT = 783                -- spamd's own

local function place_of(text)
  local host, port = text:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = text:match "^([^%s:/@]+):?(%d*)$" end
  port = port == "" and PORT or tonumber(port)
  if not host or not port or port < 1 or port > 65535 then return nil end
  return host, port
end

-- The mail as a whole message: a finished one as it is, else with the headers that sending would give it.
local function message_of(mail, host)
  if mail.bytes then return mail.bytes end
  local sender = mail.sender and mail.sender.address or "lint@example.com"
  local id = "<" .. core.hex(host.random(8)) .. "@example.com>"
  local message, why = core.message { mail_from = sender, rcpt_to = { "reader@example.com" }, text = mail.text, html = mail.html or nil,
    boundary = "=_" .. core.hex(host.random(8)),
    fields = { { "From", "mailboxes", { { address = sender } } }, { "To", "mailboxes", { { address = "reader@example.com" } } },
      { "Subject", "text", mail.subject or "" }, { "Date", "tokens", core.date(math.floor(host.now()), 0) }, { "Message-ID", "tokens", id } } }
  if not message then
    return err.refuse("CONTENT", why.field, ("%s: %s"):format(why.field, why.detail), "give UTF-8 text without NUL")
  end
  local chunks = {}
  local what, bytes = message:pull(1048576)
  while what == "bytes" do
    chunks[#chunks + 1] = bytes
    what, bytes = message:pull(1048576)
  end
  message:close()
  return table.concat(chunks)
end

local function failed(peer, code, words, step)
  return nil, err.new { code = code, cause = "spamd: " .. words,
    remedy = "check the address, and that spamd runs and allows this machine (-A)",
    where = { step = step, peer = peer } }
end

-- `Spam: True ; 6.9 / 5.0`, an empty line, the names of the rules.
local function verdict_of(answer)
  local head, body = answer:match "^(.-)\r?\n\r?\n(.*)$"
  if not head then return nil end
  local status = head:match "^SPAMD/[%d.]+ (%d+)"
  local spam, score, threshold = head:match "\n[sS][pP][aA][mM]:%s*(%a+)%s*;%s*(%-?[%d.]+)%s*/%s*(%-?[%d.]+)"
  score, threshold = tonumber(score), tonumber(threshold)
  if status ~= "0" or not score or not threshold then return nil end
  local rules = {}
  for name in body:gmatch "[%w_]+" do
    if #rules < 200 then rules[#rules + 1] = name end
  end
  return { spam = spam:lower() == "true", score = score, threshold = threshold, rules = rules }
end

--- Ask spamd.
-- @tparam table mail of `directmail.lint.mail`
-- @tparam function report
-- @tparam table host
-- @tparam string at "HOST:PORT"
-- @treturn table `{ spam=, score=, threshold=, rules={name…} }`; or nil, err
function M.check(mail, report, host, at)
  local name, port = place_of(at)
  if not name then return err.refuse("OPTION", "spamd", ("spamd: %s is no HOST:PORT"):format(err.printable(at)), "write it as 127.0.0.1:783") end
  local message, e = message_of(mail, host)
  if not message then return nil, e end
  local peer, deadline = ("%s:%d"):format(name, port), host.tick() + limits.lint_spamd_seconds
  local function left()
    local seconds = deadline - host.tick()
    return seconds > 0 and math.max(1, math.ceil(seconds * 1000)) or nil
  end
  local sock = host.tcp()
  sock:settimeouts(left(), left(), left())
  local ok, why = sock:connect(name, port)
  if not ok then return failed(peer, session.loss(why, "connect"), why, "connect") end
  ok, why = sock:send(("SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n"):format(#message) .. message)
  local chunks, size = {}, 0
  while ok do
    local ms = left()
    if not ms then
      ok, why = nil, "timeout"
      break
    end
    sock:settimeouts(nil, nil, ms)
    local bytes, said = sock:receiveany(8192)
    if not bytes then
      if said ~= "closed" then ok, why = nil, said end
      break
    end
    chunks[#chunks + 1] = bytes
    size = size + #bytes
    if size > limits.lint_spamd_octets then
      ok, why = nil, ("its answer is larger than %d octets"):format(limits.lint_spamd_octets)
    end
  end
  sock:close()
  if not ok then return failed(peer, why:find "^its answer" and "PROTOCOL" or session.loss(why, "talk"), why, "connect") end
  local verdict = verdict_of(table.concat(chunks))
  if not verdict then return failed(peer, "PROTOCOL", "its answer is none of spamd's", "connect") end
  if verdict.spam then
    report("spamd.spam", { line = 1 }, ("%.1f"):format(verdict.score), ("%.1f"):format(verdict.threshold), table.concat(verdict.rules, " "))
  end
  return verdict
end

return M
