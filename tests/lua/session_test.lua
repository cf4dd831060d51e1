-- directmail.session: carries bytes between the engine and a socket, over a network and a clock in memory.
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local memory = require "directmail.host.memory"
local session = require "directmail.session"

local TIMEOUTS = { connect = 15, reply = 300, data = 180, final = 600 }

local function message_of(more)
  local mail = { mail_from = "a@x.example", rcpt_to = { "b@x.example" }, fields = { { "Subject", "text", "hi" } }, text = "hi\n", boundary = "b" }
  for name, value in pairs(more or {}) do mail[name] = value end
  return assert(core.message(mail))
end

-- A part whose reader brings `pieces` and then `why`.
local function part_of(size, pieces, why)
  local at = 0
  return { name = "x.bin", type = "application/octet-stream", size = size, reader = { read = function()
    at = at + 1
    if pieces[at] then return pieces[at] end
    return nil, why
  end } }
end

-- Talk with a server written as function(sock, say, hear, host, peer): say sends lines, hear waits for one of two texts and tells which came.
-- Of `options`: engine = options of core.smtp, run = more of the run, message, host = options of the memory host, listen.
local function talk(options, serve)
  local host = memory.new(options.host)
  local listener = assert(host.listen("smtp.test", 25, options.listen))
  local peer = { got = "" }
  host.spawn(function()
    local sock = listener:accept()
    local function say(...)
      for _, line in ipairs { ... } do sock:send(line .. "\r\n") end
    end
    local function hear(text, other)
      while not peer.got:find(text, 1, true) and not (other and peer.got:find(other, 1, true)) do
        local bytes = sock:receiveany(65536)
        if not bytes then return false end
        peer.got = peer.got .. bytes
      end
      return peer.got:find(text, 1, true) and text or other
    end
    serve(sock, say, hear, host, peer)
  end)
  local result
  local run = { address = "smtp.test", port = 25, tls_name = "smtp.test", tick = host.tick, timeouts = TIMEOUTS,
    settled = function(n, outcome, said, refused)
      assert.equal(1, n)
      assert.is_nil(result)
      result = { outcome = outcome, said = said, refused = refused }
    end }
  for name, value in pairs(options.run or {}) do run[name] = value end
  if run.timeout then run.deadline = run.tick() + run.timeout end
  local settings = { ehlo = "client.example" }
  for name, value in pairs(options.engine or {}) do settings[name] = value end
  local engine = assert(core.smtp(settings))
  local sock = host.tcp()
  assert(session.connect(run, sock))
  engine:push(1, options.message or message_of())
  engine:quit()
  local ended = session.run(run, engine, sock)
  sock:close()
  local got = { ended = ended, outcome = result.outcome, said = result.said, error = result.said.error, step = result.said.step,
    text = result.said.text, code = result.said.code, detail = result.said.detail, seconds = host.tick(), peer = peer, engine = engine,
    refused = result.refused }
  return got
end

-- A server that plays along up to a step and then does what `instead` does there.
local function up_to(step, instead)
  return function(sock, say, hear, host)
    local function at(name)
      if step ~= name then return false end
      if instead then instead(sock, say, hear, host) end
      return true
    end
    if at "banner" then return end
    say "220 smtp.test"
    hear "EHLO"
    if at "ehlo" then return end
    say("250-smtp.test", "250-AUTH PLAIN", "250 PIPELINING")
    if hear("AUTH PLAIN", "MAIL FROM") == "AUTH PLAIN" then
      if at "auth" then return end
      say "235 ok"
    end
    hear "DATA\r\n"
    if at "mail" then return end
    say "250 ok"
    if at "rcpt" then return end
    say "250 ok"
    if at "data" then return end
    say "354 go"
    if at "body" then return end
    hear "\r\n.\r\n"
    if at "dot" then return end
    say "250 ok"
    hear "QUIT"
    if at "quit" then return end
    say "221 bye"
    sock:close()
  end
end

local LOGIN = { user = "u", password = "p", cleartext_auth = true }

describe("loss", function()
  it("gives_every_kind_of_words_a_code", function()
    for _, row in ipairs {
      { "connect", "timeout", "TIMEOUT" }, { "connect", "Connection timed out", "TIMEOUT" }, { "connect", "connection refused", "CONNECT" },
      { "connect", "No route to host", "CONNECT" }, { "connect", "host not found: Could not resolve host: x", "DNS" },
      { "connect", "x could not be resolved (3: Host not found)", "DNS" }, { "connect", "no resolver defined to resolve \"x\"", "DNS" },
      { "connect", "closed", "CONNECT" }, { "connect", nil, "CONNECT" },
      { "talk", "timeout", "TIMEOUT" }, { "talk", "closed", "LOST" }, { "talk", "connection reset by peer", "LOST" }, { "talk", "Broken pipe", "LOST" },
      { "talk", "10: certificate has expired", "LOST" }, { "talk", nil, "LOST" },
      { "tls", "timeout", "TIMEOUT" }, { "tls", "closed", "LOST" }, { "tls", "Connection reset by peer", "LOST" }, { "tls", "broken pipe", "LOST" },
      { "tls", "certificate host mismatch (it is for: a, b)", "TLS", "name" }, { "tls", "certificate host mismatch", "TLS", "name" },
      { "tls", "62: hostname mismatch", "TLS", "name" }, { "tls", "64: IP address mismatch", "TLS", "name" },
      { "tls", "10: certificate has expired", "TLS", "expired" }, { "tls", "9: certificate is not yet valid", "TLS", "expired" },
      { "tls", "18: self-signed certificate", "TLS", "issuer" }, { "tls", "19: self-signed certificate in chain", "TLS", "issuer" },
      { "tls", "20: unable to get local issuer certificate", "TLS", "issuer" }, { "tls", "21: unable to verify the first certificate", "TLS", "issuer" },
      { "tls", "wrong version number: the server speaks clear text here", "TLS", "clear" }, { "tls", "unsupported protocol", "TLS", "version" },
      { "tls", "tlsv1 alert protocol version", "TLS", "version" }, { "tls", "version too low", "TLS", "version" },
      { "tls", "handshake failed", "TLS", "" }, { "tls", nil, "TLS", "" },
    } do
      assert.same({ row[3], row[4] or "" }, { session.loss(row[2], row[1]) }, row[1] .. ": " .. tostring(row[2]))
    end
  end)
end)

describe("connect", function()
  it("says_why_there_is_no_connection", function()
    local host = memory.new()
    local run = { address = "smtp.test", port = 25, tick = host.tick, timeouts = TIMEOUTS }
    assert.same({ nil, { code = "CONNECT", words = "connection refused" } }, { session.connect(run, host.tcp()) })
  end)

  it("does_not_begin_when_the_time_of_the_whole_send_is_over", function()
    local called = false
    local run = { address = "x", port = 25, tick = function() return 10 end, timeouts = TIMEOUTS, deadline = 10, timeout = 2.5 }
    local ok, why = session.connect(run, { settimeouts = function() called = true end, connect = function() called = true end })
    assert.is_nil(ok)
    assert.same({ code = "TIMEOUT", words = "the time limit of the whole send (2.5 s) is over" }, why)
    assert.is_false(called)
  end)

  it("waits_for_what_is_left_and_no_longer_than_a_connect_may_take", function()
    for _, row in ipairs { { nil, 15000 }, { 12, 2000 }, { 10.0001, 1 }, { 1000, 15000 } } do
      local asked
      local run = { address = "x", port = 25, tick = function() return 10 end, timeouts = TIMEOUTS, deadline = row[1], timeout = 5,
        connect_options = { pool = "p" } }
      local sock = { settimeouts = function(_, ...) asked = { ... } end,
        connect = function(_, address, port, given)
          assert.same({ "x", 25, "p" }, { address, port, given.pool })
          return nil, "timeout"
        end }
      local _, why = session.connect(run, sock)
      assert.same({ "TIMEOUT", row[2], row[2], row[2] }, { why.code, asked[1], asked[2], asked[3] })
    end
  end)
end)

describe("run", function()
  it("carries_a_message_to_its_end", function()
    local got = talk({}, up_to())
    assert.same({ "done", "sent", 250, "dot" }, { got.ended, got.outcome, got.code, got.step })
    assert.is_truthy(got.peer.got:find("Subject: hi\r\n", 1, true))
    assert.matches("\r\n%.\r\nQUIT\r\n$", got.peer.got)
    assert.equal(0, got.seconds)
  end)

  it("does_the_same_one_octet_at_a_time", function()
    local got = talk({ host = { chunk = 1 } }, up_to())
    assert.same({ "done", "sent" }, { got.ended, got.outcome })
  end)

  it("brings_the_octets_of_a_reader", function()
    local bytes = ("0123456789"):rep(30000)
    local got = talk({ message = message_of { parts = { part_of(#bytes, { bytes:sub(1, 1), bytes:sub(2, 200000), bytes:sub(200001) }) } },
      listen = { buffer = 1000 } }, up_to())
    assert.same({ "done", "sent" }, { got.ended, got.outcome })
    local inside = got.peer.got:match "Content%-Transfer%-Encoding: base64\r\n.-\r\n\r\n(.-)\r\n%-%-b"
    assert.equal(bytes, core.base64_decode((inside:gsub("%s", ""))))
  end)

  it("stays_idle_for_another_message_until_it_is_told_to_quit", function()
    local host = memory.new()
    local listener = assert(host.listen("smtp.test", 25))
    host.spawn(function() up_to()(listener:accept(), function() end, function() end) end)
    local sock, told = host.tcp(), 0
    local run = { address = "smtp.test", port = 25, tick = host.tick, timeouts = TIMEOUTS, settled = function() told = told + 1 end }
    assert(session.connect(run, sock))
    sock = { settimeouts = function() end, send = function(_, b) return #b end }
    local replies = { "220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n", "221 bye\r\n" }
    function sock.receiveany() return table.remove(replies, 1) end
    local engine = assert(core.smtp { ehlo = "c.example" })
    engine:push(1, message_of())
    assert.equal("idle", session.run(run, engine, sock))
    assert.equal(1, told)
    assert.equal("idle", session.run(run, engine, sock))
    engine:quit()
    assert.equal("done", session.run(run, engine, sock))
    assert.equal("done", session.run(run, engine, sock))
    assert.equal(1, told)
  end)

  it("ends_with_fail_when_nothing_more_can_be_done", function()
    local got = talk({}, up_to("banner", function(sock) sock:close() end))
    assert.same({ "fail", "not_sent", "LOST", "banner", "closed" }, { got.ended, got.outcome, got.error, got.step, got.text })
    assert.equal("LOST", got.engine:error().error)
  end)

  -- where the server hangs up, and what that means for the message
  for _, row in ipairs { { "banner", "not_sent" }, { "ehlo", "not_sent" }, { "auth", "not_sent" }, { "mail", "not_sent" }, { "rcpt", "not_sent" },
    { "data", "not_sent" }, { "dot", "unknown" }, { "quit", "sent" } } do
    it(("rule_7_2_is_%s_when_the_server_hangs_up_at_%s"):format(row[2], row[1]), function()
      local got = talk({ engine = LOGIN }, up_to(row[1], function(sock) sock:close() end))
      assert.equal(row[2], got.outcome)
      if row[2] ~= "sent" then assert.same({ "LOST", "closed" }, { got.error, got.text }) end
    end)
  end

  -- a silent server: after how long we give up there, without and with a limit of ten seconds for all
  for _, row in ipairs { { "banner", "not_sent", TIMEOUTS.reply }, { "ehlo", "not_sent", TIMEOUTS.reply }, { "auth", "not_sent", TIMEOUTS.reply },
    { "mail", "not_sent", TIMEOUTS.reply }, { "rcpt", "not_sent", TIMEOUTS.reply }, { "data", "not_sent", TIMEOUTS.reply },
    { "dot", "unknown", TIMEOUTS.final }, { "quit", "sent", limits.timeout_quit } } do
    local function silent(_, _, hear) hear "never said" end
    it("rule_7_3_gives_up_on_a_server_that_is_silent_at_" .. row[1], function()
      local got = talk({ engine = LOGIN }, up_to(row[1], silent))
      assert.same({ row[2], row[3] }, { got.outcome, got.seconds })
      if row[2] ~= "sent" then assert.same({ "TIMEOUT", row[1] }, { got.error, got.step }) end
    end)
    it("keeps_the_deadline_of_the_whole_send_at_" .. row[1], function()
      local got = talk({ engine = LOGIN, run = { timeout = 3 } }, up_to(row[1], silent))
      assert.same({ row[2], 3 }, { got.outcome, got.seconds })
      if row[2] ~= "sent" then assert.equal("TIMEOUT", got.error) end
    end)
  end

  it("counts_all_waits_against_one_deadline", function()
    local got = talk({ run = { timeout = 10 } }, function(_, say, hear, host)
      host.sleep(4)
      say "220 smtp.test"
      hear "EHLO"
      host.sleep(4)
      say "250 smtp.test"
      hear "MAIL"
      host.sleep(4)
      say "250 ok"
    end)
    assert.same({ "not_sent", "TIMEOUT", "mail", 10 }, { got.outcome, got.error, got.step, got.seconds })
  end)

  it("begins_no_wait_behind_the_deadline", function()
    for _, want in ipairs { "read", "write", "tls" } do
      local touched, clock = false, 0
      local function touch() touched = true end
      local engine = assert(core.smtp { ehlo = "c.example", tls = want == "tls" and "implicit" or "starttls" })
      engine:push(1, message_of())
      if want == "write" then
        assert.equal("read", engine:next())
        engine:feed "220 x\r\n"
      end
      local result
      local run = { tick = function() return clock end, deadline = 0, timeout = 1.5, timeouts = TIMEOUTS, tls_name = "x",
        settled = function(_, outcome, said) result = { outcome, said.error, said.text } end }
      assert.equal("fail", session.run(run, engine, { settimeouts = touch, send = touch, receiveany = touch, sslhandshake = touch }))
      assert.is_false(touched, want)
      assert.same({ "not_sent", "TIMEOUT", "the time limit of the whole send (1.5 s) is over" }, result)
    end
  end)

  it("gives_up_on_a_server_that_takes_no_more_of_the_body", function()
    local big = { text = ("x"):rep(70) .. "\r\n" }
    big.text = big.text:rep(20000)
    local function deaf(_, _, hear, host)
      hear "MIME-Version"
      host.sleep(10000)
    end
    local got = talk({ message = message_of(big), listen = { buffer = 3000 } }, up_to("body", deaf))
    assert.same({ "not_sent", "TIMEOUT", "data" }, { got.outcome, got.error, got.step })
    assert.is_true(got.seconds >= TIMEOUTS.data and got.seconds <= TIMEOUTS.data + 2)      -- and two for last words
    assert.is_nil(got.peer.got:find("\r\n.\r\n", 1, true))
    got = talk({ message = message_of(big), listen = { buffer = 3000 }, run = { timeout = 7 } }, up_to("body", deaf))
    assert.same({ "not_sent", "TIMEOUT", 7 }, { got.outcome, got.error, got.seconds })
  end)

  it("is_unknown_when_the_write_that_holds_the_dot_fails", function()
    local got = talk({ listen = { cut_after = 100 } }, up_to())
    assert.same({ "unknown", "LOST" }, { got.outcome, got.error })
  end)
end)

describe("last words", function()
  local big = { text = (("x"):rep(70) .. "\r\n"):rep(20000) }

  local function after_354(...)
    local words = { ... }
    return talk({ message = message_of(big), listen = { buffer = 3000 } }, up_to("body", function(sock, say, hear)
      hear "MIME-Version"
      for _, line in ipairs(words) do say(line) end
      sock:close()
    end))
  end

  it("are_heard_after_a_failed_write", function()
    local got = after_354 "552 too big for us"
    assert.same({ "refused", 552, "too big for us", "data" }, { got.outcome, got.code, got.text, got.step })
    got = after_354 "421 going down"
    assert.same({ "refused", 421, "going down" }, { got.outcome, got.code, got.text })
    got = after_354("552-too", "552 big")
    assert.same({ "refused", 552 }, { got.outcome, got.code })
  end)

  it("may_be_none", function()
    local got = after_354()
    assert.same({ "not_sent", "LOST", "closed" }, { got.outcome, got.error, got.text })
    got = after_354 "552-half of"
    assert.same({ "not_sent", "LOST" }, { got.outcome, got.error })
  end)

  it("are_recorded", function()
    local lines = {}
    talk({ message = message_of(big), listen = { buffer = 3000 }, run = { record = function(mark, text) lines[#lines + 1] = mark .. text end },
      engine = { trace = true } }, up_to("body", function(sock, say, hear)
      hear "MIME-Version"
      say "552 too big"
      sock:close()
    end))
    assert.equal("<552 too big\r\n", lines[#lines])
  end)

  local function deaf_socket(receive)
    local asked, reads = {}, 0
    return { settimeouts = function(_, _, _, ms) asked[#asked + 1] = ms end, send = function() return nil, "closed" end,
      receiveany = function()
        reads = reads + 1
        return receive(reads)
      end }, function() return reads, asked end
  end

  local function run_of(clock, deadline)
    local run = { tick = function() return clock end, timeouts = TIMEOUTS, deadline = deadline, timeout = 5, settled = function() end }
    local engine = assert(core.smtp { ehlo = "c.example" })
    engine:push(1, message_of())
    assert.equal("read", engine:next())
    engine:feed "220 x\r\n"
    return run, engine
  end

  it("have_an_end_even_when_the_server_goes_on_for_ever", function()
    local run, engine = run_of(0)
    local sock, seen = deaf_socket(function() return "250-x\r\n" end)
    assert.equal("fail", session.run(run, engine, sock))
    assert.equal(64, (seen()))
  end)

  it("are_waited_for_two_seconds_at_most_and_not_behind_the_deadline", function()
    local run, engine = run_of(0)
    local sock, seen = deaf_socket(function() return nil, "timeout" end)
    session.run(run, engine, sock)
    local reads, asked = seen()
    assert.same({ 1, 2000 }, { reads, asked[#asked] })
    run, engine = run_of(0, 0.5)
    sock, seen = deaf_socket(function() return nil, "timeout" end)
    session.run(run, engine, sock)
    reads, asked = seen()
    assert.same({ 1, 500 }, { reads, asked[#asked] })
    local clock = 0
    run, engine = run_of(0, 1)
    run.tick = function() return clock end
    sock, seen = deaf_socket(function()
      clock = clock + 1
      return "250-x\r\n"
    end)
    session.run(run, engine, sock)
    assert.equal(1, (seen()))
  end)
end)

describe("a body that fails", function()
  local function with(part)
    local got = talk({ message = message_of { parts = { part } } }, function(sock, say, hear)
      up_to("dot", function() sock:close() end)(sock, say, hear)
    end)
    assert.is_nil(got.peer.got:find("\r\n.\r\n", 1, true), "the dot never leaves")
    return got
  end

  it("is_not_sent_and_says_why", function()
    local got = with(part_of(10, { "12345" }, "disk on fire"))
    assert.same({ "fail", "not_sent", "FILE", "data", "disk on fire" }, { got.ended, got.outcome, got.error, got.step, got.text })
  end)

  it("is_not_sent_when_fewer_or_more_octets_come_than_promised", function()
    for _, pieces in ipairs { { "12345" }, {}, { "12345", "678901" }, { "1234567890", "1" } } do
      local got = with(part_of(10, pieces))
      assert.same({ "not_sent", "FILE" }, { got.outcome, got.error })
      assert.matches("size", got.text)
    end
  end)
end)

describe("tls", function()
  local function starttls(sock, say, hear)
    say "220 smtp.test"
    hear "EHLO"
    say("250-smtp.test", "250 STARTTLS")
    hear "STARTTLS\r\n"
    say "220 go"
    sock:sslaccept {}
  end

  it("asks_for_the_name_that_the_certificate_must_carry", function()
    for _, mode in ipairs { "implicit", "starttls" } do
      local asked, spoken = nil, mode == "implicit"
      local replies = { "220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n" }
      local sock = { settimeouts = function() end, send = function(_, b) return #b end, close = function() end,
        receiveany = function()
          spoken = true
          return table.remove(replies, 1)
        end,
        sslhandshake = function(_, ...)
          assert.is_true(spoken)
          asked = { ... }
          return nil, "20: unable to get local issuer certificate"
        end }
      local result
      local engine = assert(core.smtp { ehlo = "c.example", tls = mode })
      engine:push(1, message_of())
      session.run({ tick = os.clock, timeouts = TIMEOUTS, tls_name = "cert.test",
        settled = function(_, outcome, said) result = { outcome, said.error, said.detail, said.text } end }, engine, sock)
      assert.same({ false, "cert.test", true }, asked)
      assert.same({ "not_sent", "TLS", "issuer", "20: unable to get local issuer certificate" }, result)
    end
  end)

  it("is_not_sent_when_the_handshake_fails", function()
    for words, want in pairs { ["certificate host mismatch (it is for: a)"] = { "TLS", "name" }, ["10: certificate has expired"] = { "TLS", "expired" },
      ["unsupported protocol"] = { "TLS", "version" }, ["closed"] = { "LOST" }, ["timeout"] = { "TIMEOUT" } } do
      local got = talk({ listen = { handshake = words } }, starttls)
      assert.same({ "not_sent", want[1], want[2] or "" }, { got.outcome, got.error, got.detail or "" })
      assert.is_nil(got.peer.got:find("MAIL", 1, true))
    end
  end)

  it("allows_the_handshake_the_time_of_a_connect", function()
    local asked
    local sock = { settimeouts = function(_, _, _, ms) asked = ms end, sslhandshake = function() return nil, "timeout" end }
    for _, row in ipairs { { nil, 15000 }, { 4, 4000 } } do
      local engine = assert(core.smtp { ehlo = "c.example", tls = "implicit" })
      engine:push(1, message_of())
      session.run({ tick = function() return 0 end, deadline = row[1], timeout = 4, timeouts = TIMEOUTS, tls_name = "x", settled = function() end },
        engine, sock)
      assert.equal(row[2], asked)
    end
  end)

  it("is_told_in_words", function()
    assert.equal("TLSv1.3 X, certificate valid until 2027-03-01, it is for h", session.tls_words({ tls = function()
      return { version = "TLSv1.3", cipher = "X", expires = "2027-03-01" }
    end }, "h"))
    assert.equal("TLS, the certificate is for h", session.tls_words({}, "h"))
    assert.equal("TLS, the certificate is for h", session.tls_words({ tls = function() return nil end }, "h"))
    assert.equal("TLS , certificate valid until ?, it is for h", session.tls_words({ tls = function() return {} end }, "h"))
  end)
end)

describe("the record", function()
  it("rule_2_58_marks_who_speaks_and_whether_in_private_and_shows_no_password", function()
    local marks, all = {}, {}
    local got = talk({ engine = { user = "u", password = "hunter2", trace = true },
      run = { record = function(mark, text)
        marks[#marks + 1] = mark
        all[#all + 1] = mark .. " " .. text
      end } }, function(sock, say, hear, _, peer)
      say "220 smtp.test"
      hear "EHLO"
      say("250-smtp.test", "250 STARTTLS")
      hear "STARTTLS\r\n"
      say "220 go"
      sock:sslaccept {}
      peer.got = ""
      up_to()(sock, function(first, ...)
        if first ~= "220 smtp.test" then say(first, ...) end
      end, hear)
    end)
    assert.equal("sent", got.outcome)
    local text = table.concat(all, "\n")
    assert.is_nil(text:find("hunter2", 1, true))
    assert.is_nil(text:find(core.base64("\0u\0hunter2"):gsub("=", ""), 1, true))
    assert.is_truthy(got.peer.got:find(core.base64("\0u\0hunter2"), 1, true))
    assert.is_truthy(text:find("~> AUTH PLAIN ********", 1, true), text)
    assert.equal("* connected to smtp.test:25", all[1])
    local private = false
    for i, mark in ipairs(marks) do
      if all[i]:find "^%* TLSv1.3" then private = true
      elseif mark ~= "*" then assert.equal(private, mark:find "~" ~= nil, all[i]) end
    end
    assert.is_true(private)
    assert.is_truthy(text:find("octets of message", 1, true))
    assert.is_nil(text:find("Subject", 1, true))
  end)
end)
