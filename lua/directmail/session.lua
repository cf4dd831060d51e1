--- Carry bytes between an SMTP engine and a socket.
-- The one drive loop of SMTP (design, seam 1 and 2). The socket is anything with
-- the cosocket methods `connect`, `send`, `receiveany`, `sslhandshake` and
-- `settimeouts`: nginx's own, `directmail.net`'s, or the test double's.
-- @module directmail.session
local limits = require "directmail.data.limits"

local M = {}

local CHUNK = 16384             -- octets asked for in one read: several replies, one large EHLO
local LAST_WORDS = 64           -- reads at most after a failed write

--- What the words of a socket's failure mean.
-- @tparam string why a socket's second result
-- @tparam string doing "connect", "tls" or "talk"
-- @treturn string code of core.codes
-- @treturn string detail for TLS: name, expired, issuer, clear or version; else ""
function M.loss(why, doing)
  why = tostring(why)
  local low = why:lower()
  -- before the next: nginx's "could not be resolved (110: Operation timed out)" is about names
  if doing == "connect" and (low:find("host not found", 1, true) or low:find("resolve", 1, true)) then return "DNS", "" end
  if low:find("timeout", 1, true) or low:find("timed out", 1, true) then return "TIMEOUT", "" end
  if doing == "connect" then return "CONNECT", "" end
  if doing ~= "tls" or low == "closed" or low:find("reset by peer", 1, true) or low:find("broken pipe", 1, true) then return "LOST", "" end
  local verify = tonumber(low:match("^(%d+):"))
  if low:find("host mismatch", 1, true) or verify == 62 or verify == 64 then return "TLS", "name" end
  if verify == 9 or verify == 10 then return "TLS", "expired" end
  if verify then return "TLS", "issuer" end
  if low:find("wrong version number", 1, true) then return "TLS", "clear" end
  if low:find("unsupported protocol", 1, true) or low:find("protocol version", 1, true) or low:find("too low", 1, true) then
    return "TLS", "version"
  end
  return "TLS", ""
end

-- Seconds for one wait of a step.
local function limit(run, step, reading)
  local times = run.timeouts
  if step == "dot" then return times.final end
  if step == "data" and not reading then return times.data end
  if step == "connect" then return times.connect end
  if step == "quit" then return math.min(times.reply, limits.timeout_quit) end        -- all is settled: 221 is a courtesy
  return times.reply
end

-- Milliseconds for one wait of this step, within the deadline; nil: the deadline is over.
local function limit_ms(run, step, reading)
  local seconds = limit(run, step, reading)
  if run.deadline then
    local left = run.deadline - run.tick()
    if left <= 0 then return nil end
    if left < seconds then seconds = left end
  end
  return math.max(1, math.ceil(seconds * 1000))
end

-- Tell the socket, which remembers what it was told.
local function set_timeouts(run, sock, connect_ms, send_ms, read_ms)
  if connect_ms or send_ms and send_ms ~= run.send_ms or read_ms and read_ms ~= run.read_ms then
    run.send_ms, run.read_ms = send_ms or run.send_ms, read_ms or run.read_ms
    sock:settimeouts(connect_ms, send_ms, read_ms)
  end
end

local function out_of_time_words(run) return ("the time limit of the whole send (%g s) is over"):format(run.timeout) end

local function out_of_time(run, engine) engine:lost(out_of_time_words(run), "TIMEOUT") end

-- A failed write does not mean silence: a 552 or a 421 may lie unread.
local function hear_last_words(run, engine, sock)
  for _ = 1, LAST_WORDS do
    local ms = limit_ms(run, "data", true)
    if not ms then return end
    set_timeouts(run, sock, nil, nil, math.min(ms, 2000))
    local bytes = sock:receiveany(CHUNK)
    if not bytes then return end
    if run.record then run.record("<", bytes) end
    engine:feed(bytes)
  end
end

local function lost(engine, why, doing)
  local code, detail = M.loss(why, doing)
  engine:lost(tostring(why), code, detail)
end

--- Make the connection.
-- @tparam table run see `M.run`, and `address`, `port`, `connect_options`
-- @treturn boolean true; or nil and { code=, words= } for `engine:lost`
function M.connect(run, sock)
  local ms = limit_ms(run, "connect")
  if not ms then return nil, { code = "TIMEOUT", words = out_of_time_words(run) } end
  set_timeouts(run, sock, ms, ms, ms)
  local ok, why = sock:connect(run.address, run.port, run.connect_options)
  if not ok then return nil, { code = (M.loss(why, "connect")), words = tostring(why) } end
  if run.record then run.record("*", ("connected to %s:%s"):format(run.address, run.port)) end
  return true
end

--- Run one conversation until it is idle or over.
-- @tparam table run `{ tls_name=, timeouts={connect=,reply=,data=,final=} in seconds, tick=function,
--   deadline=tick|nil, timeout=seconds of it, record=function(mark, text)|nil, meanwhile=function()|nil, settled=function }`;
--   meanwhile is called whenever the server is to answer, for work that needs no answer;
--   settled is called as `settled(n, outcome, said, refused)` for each message and must not wait
-- @tparam smtp engine made by `core.smtp`
-- @tparam table sock a connected socket
-- @treturn string "idle", "done" or "fail"
function M.run(run, engine, sock)
  while true do
    local want, a, b, c, d = engine:next()
    if want == "write" then
      local ms = limit_ms(run, b)
      if ms then
        if run.record then run.record(run.private and "~>" or ">", c) end
        if ms ~= run.send_ms then set_timeouts(run, sock, nil, ms) end
        local sent, why = sock:send(a)
        if not sent then
          hear_last_words(run, engine, sock)
          lost(engine, why, "talk")
        end
      else
        out_of_time(run, engine)
      end
    elseif want == "read" then
      if run.meanwhile then run.meanwhile() end
      local ms = limit_ms(run, a, true)
      if ms then
        if ms ~= run.read_ms then set_timeouts(run, sock, nil, nil, ms) end
        local bytes, why = sock:receiveany(CHUNK)
        if bytes then
          if run.record then run.record(run.private and "<~" or "<", bytes) end
          engine:feed(bytes)
        else
          lost(engine, why, "talk")
        end
      else
        out_of_time(run, engine)
      end
    elseif want == "body" then
      engine:body(a:read(b))    -- nil at its end; nil, why when reading failed
    elseif want == "tls" then
      local ms = limit_ms(run, "connect")
      if ms then
        set_timeouts(run, sock, ms, ms, ms)
        local ok, why = sock:sslhandshake(false, run.tls_name, true)
        if ok then
          run.private = true
          if run.record then run.record("*", M.tls_words(sock, run.tls_name)) end
          engine:secured()
        else
          lost(engine, why, "tls")
        end
      else
        out_of_time(run, engine)
      end
    elseif want == "result" then
      run.settled(a, b, c, d)
    else
      return want
    end
  end
end

--- The line of a transcript about a TLS connection.
function M.tls_words(sock, name)
  local tls = sock.tls and sock:tls()
  if not tls then return "TLS, the certificate is for " .. name end
  return ("%s %s%s, certificate valid until %s, it is for %s"):format(tls.version or "TLS", tls.cipher or "",
    tls.resumed and ", resumed" or "", tls.expires or "?", name)
end

return M
