-- directmail.smtp: one message to one server, over a network and a clock in memory.
local mails = require "directmail.mail"
local memory = require "directmail.host.memory"

-- Send a message to a server written as function(say, hear, n) for its n-th connection: say sends lines, hear(text)
-- gives what came until that text did. Returns receipt, err, the host, and what each connection heard.
local function send(fields, settings, serve)
  local host = memory.new()
  local listener = assert(host.listen("192.0.2.25", 25))
  local tcp = host.tcp
  if settings.ip then           -- the address that our end has
    function host.tcp(...)
      local sock = tcp(...)
      function sock.getsockname() return settings.ip end
      return sock
    end
  end
  local heard = {}
  host.spawn(function()
    for n = 1, 10 do
      local sock = listener:accept()
      if not sock then return end
      sock:settimeouts(nil, nil, 1e7)
      heard[n] = ""
      local function say(...)
        for _, line in ipairs { ... } do sock:send(line .. "\r\n") end
      end
      local at = 1
      local function hear(text)
        while not heard[n]:find(text, at, true) do
          local bytes = sock:receiveany(65536)
          if not bytes then return nil end
          heard[n] = heard[n] .. bytes
        end
        local from = at
        at = select(2, heard[n]:find(text, at, true)) + 1
        return heard[n]:sub(from, at - 1)
      end
      serve(say, hear, n)
      sock:close()
    end
  end)
  local options = { smtp = "smtp://192.0.2.25:25", auth = "off", via = "smtp" }
  for name, value in pairs(settings) do
    if name ~= "ip" and name ~= "bulk" then options[name] = value end
  end
  local mail = assert(mails.new(options, host, 1))
  local message = { from = "a@x.example", to = "b@x.example", subject = "s", text = "t" }
  for name, value in pairs(fields) do message[name] = value end
  local receipt, e
  if settings.bulk then
    local results = 0
    for result in mail:send_all({ message }, { connections = 1 }) do
      results, receipt, e = results + 1, result.receipt, result.err
    end
    assert.equal(1, results)
  else
    receipt, e = mail:send(message)
  end
  return receipt, e, host, heard
end

-- A server that takes no more than `most` recipients in one transaction.
local function takes(most, answers)
  return function(say, hear, n)
    say "220 x"
    hear "\r\n"
    say("250-x", "250-ENHANCEDSTATUSCODES", "250 PIPELINING")
    local group, taken = hear "DATA\r\n", 0
    say "250 ok"
    for address in group:gmatch "RCPT TO:<(.-)>" do
      local own = answers and answers(address, n)
      if own then say(own)
      elseif taken == most then say "452 4.5.3 too many recipients"
      else
        taken = taken + 1
        say "250 ok"
      end
    end
    if taken == 0 then
      say "554 no valid recipients"
    else
      say "354 go"
      hear "\r\n.\r\n"
      say(("250 taken ###envid=%d"):format(n))
    end
    hear "QUIT\r\n"
    say "221 bye"
  end
end

-- A server that takes no more than `most` recipients, and of them as `answers` tells; it hears one command after the other, and what
-- it took the text for stands in `took`.
local function one_by_one(most, answers, took)
  return function(say, hear)
    say "220 x"
    local taken, closed = {}, false
    repeat
      local line = hear "\r\n"
      local address = line and line:match "^RCPT TO:<(.-)>"
      if not line then closed = true
      elseif line:find "^EHLO" then say("250-x", "250-ENHANCEDSTATUSCODES", "250 PIPELINING")
      elseif line:find "^RSET" or line:find "^MAIL" then
        taken = {}
        say "250 ok"
      elseif address and answers and answers(address) then say(answers(address))
      elseif address and #taken >= most then say "452 4.5.3 too many recipients"
      elseif address then
        taken[#taken + 1] = address
        say "250 ok"
      elseif line:find "^DATA" then
        say "354 go"
        hear "\r\n.\r\n"
        took[#took + 1] = taken
        say "250 taken"
      else
        say "221 bye"
        closed = true
      end
    until closed
  end
end

local function recipients(n)
  local list = {}
  for i = 1, n do list[i] = ("r%d@x.example"):format(i) end
  return list
end

describe("smtp", function()
  it("rule_1_16_says_an_address_literal_where_the_machine_has_no_name", function()
    for ip, words in pairs { ["192.0.2.7"] = "EHLO [192.0.2.7]\r\n", ["2001:db8::1"] = "EHLO [IPv6:2001:db8::1]\r\n" } do
      local receipt, e, _, heard = send({}, { ip = ip }, takes(9))
      assert.is_truthy(receipt, tostring(e))
      assert.equal(words, heard[1]:sub(1, #words))
    end
    local _, _, _, heard = send({}, { ehlo = "mx.example" }, takes(9))
    assert.matches("^EHLO mx%.example\r\n", heard[1])
  end)

  for by, how in pairs { [""] = {}, [" by send_all"] = { bulk = true } } do
    it("rule_1_24_sends_to_the_rest_when_the_server_takes_no_more_recipients" .. by, function()
      local receipt, e, _, heard = send({ to = recipients(7), message_id = "<1@x.example>" }, how, takes(3))
      assert.is_truthy(receipt, tostring(e))
      assert.same(recipients(7), receipt.accepted)
      assert.same({}, receipt.refused)
      assert.equal(3, #heard)
      for _, said in ipairs(heard) do assert.matches("Message%-ID: <1@x%.example>", said) end
      assert.is_nil(heard[2]:find("RCPT TO:<r3@", 1, true))
      assert.matches("To: r1@x%.example, .*r7@x%.example", (heard[3]:gsub("\r\n ", " ")), "the header still names them all")
    end)

    it("rule_1_24_keeps_apart_who_is_refused_for_another_reason" .. by, function()
      local receipt, _, _, heard = send({ to = recipients(4) }, how, takes(2, function(address)
        if address:find "^r1" then return "550 5.1.1 no such user" end
        if address:find "^r2" then return "452 4.2.2 mailbox full" end        -- of its mailbox: a new transaction would not help
      end))
      assert.same({ "r3@x.example", "r4@x.example" }, receipt.accepted)
      assert.same({ "r1@x.example", "r2@x.example" }, { receipt.refused[1].address, receipt.refused[2].address })
      assert.equal(1, #heard)
      receipt, _, _, heard = send({ to = recipients(4) }, how, takes(2, function(address, n)
        if n == 2 and address:find "^r4" then return "550 5.1.1 no such user" end
      end))
      assert.same({ "r1@x.example", "r2@x.example", "r3@x.example" }, receipt.accepted)
      assert.equal("r4@x.example", receipt.refused[1].address)
      assert.matches("^550", receipt.refused[1].reply)
      assert.same({ 1, 2 }, { #receipt.refused, #heard })
    end)

    it("rule_1_24_says_of_the_rest_what_became_of_it" .. by, function()
      local plays_along = takes(1)
      local receipt, _, _, heard = send({ to = recipients(2) }, how, function(say, hear, n)
        if n == 1 then return plays_along(say, hear, n) end
        say "421 enough"
      end)
      assert.same({ "r1@x.example" }, receipt.accepted)
      assert.same({ 1, 2 }, { #receipt.refused, #heard })
      assert.equal("r2@x.example", receipt.refused[1].address)
      assert.matches("421", receipt.refused[1].reply)
      local e
      receipt, e, _, heard = send({ to = recipients(2) }, how, takes(0))
      assert.is_nil(receipt)
      assert.same({ "refused", "452", true, 1 }, { e.outcome, e.detail, e.retry, #heard })
    end)
  end

  for _, pipeline in ipairs { "group", "overlap", "off" } do
    for by, bulk in pairs { [""] = false, [" by send_all"] = true } do
      local how = { bulk = bulk, pipeline = pipeline }
      local where = by .. " with pipeline = " .. pipeline

      it("rule_1_22_all_or_none_sends_to_nobody_when_one_is_refused" .. where, function()
        local took = {}
        local fields = { to = recipients(3), all_or_none = true }
        local receipt, e = send(fields, how, one_by_one(9, function(address)
          if address:find "^r1" then return "450 4.2.1 try later" end
          if address:find "^r3" then return "550 5.1.1 no such user" end
        end, took))
        assert.is_nil(receipt)
        assert.same({ "REFUSED", "550", "refused", false, "rcpt" }, { e.code, e.detail, e.outcome, e.retry, e.where.step })
        assert.same({ "r1@x.example", "r3@x.example" }, { e.refused[1].address, e.refused[2].address })
        assert.same({ "450 4.2.1 try later", "550 5.1.1 no such user" }, { e.refused[1].reply, e.refused[2].reply })
        assert.is_string(e.refused[1].cause)
        assert.matches("^2 of 3 recipients refused %(r1@x%.example and others%), and nobody got the mail: ", e.cause)
        assert.matches("or leave all_or_none away", e.remedy)
        receipt, e = send(fields, how, one_by_one(9, function(address) return address:find "^r2" and "451 4.7.1 greylisted" end, took))
        assert.is_nil(receipt)
        assert.same({ "451", "not_sent", true, 1 }, { e.detail, e.outcome, e.retry, #e.refused })
        assert.matches("^1 of 3 recipients refused %(r2@x%.example%), and nobody got the mail: ", e.cause)
        assert.same({}, took)
      end)

      it("rule_1_24_all_or_none_begins_no_second_transaction" .. where, function()
        local took = {}
        local fields = { to = recipients(4), all_or_none = true }
        local receipt, e, _, heard = send(fields, how, one_by_one(3, nil, took))
        assert.is_nil(receipt)
        assert.same({ "452", "not_sent", false, "r4@x.example" }, { e.detail, e.outcome, e.retry, e.refused[1].address })
        assert.matches("^send to fewer recipients at a time, at most 3; ", e.remedy)
        assert.same({ 0, 1 }, { #took, #heard })
        -- a full disk is no limit of a number
        receipt, e = send(fields, how, one_by_one(9, function(address) return address:find "^r2" and "452 4.3.1 disk full" end, took))
        assert.is_nil(receipt)
        assert.same({ "not_sent", true }, { e.outcome, e.retry })
        receipt = assert(send(fields, how, one_by_one(4, nil, took)))
        assert.same({ recipients(4), {} }, { receipt.accepted, receipt.refused })
        assert.same({ recipients(4) }, took)
      end)
    end

    it("rule_1_29_all_or_none_leaves_the_connection_to_the_next_mail_with_pipeline = " .. pipeline, function()
      local host, took, seen = memory.new(), {}, ""
      local listener = assert(host.listen("192.0.2.25", 25))
      host.spawn(function()
        local sock, rest = listener:accept(), ""
        sock:settimeouts(nil, nil, 1e7)
        local function hear(text)
          while not rest:find(text, 1, true) do
            local bytes = sock:receiveany(65536)
            if not bytes then return nil end
            rest, seen = rest .. bytes, seen .. bytes
          end
          local stop = select(2, rest:find(text, 1, true))
          local found = rest:sub(1, stop)
          rest = rest:sub(stop + 1)
          return found
        end
        local function say(...)
          for _, line in ipairs { ... } do sock:send(line .. "\r\n") end
        end
        one_by_one(9, function(address) return address:find "^bad" and "550 5.1.1 no such user" end, took)(say, hear)
        sock:close()
      end)
      local mail = assert(mails.new({ smtp = "smtp://192.0.2.25:25", auth = "off", via = "smtp", sender = "a@x.example" }, host, 1))
      local rows, outcomes = {}, {}
      for i = 1, 6 do
        rows[i] = { to = { "good@x.example", i % 2 == 0 and "bad@x.example" or "fine@x.example" }, subject = "s", text = "t", all_or_none = i ~= 6 }
      end
      for result in mail:send_all(rows, { connections = 1, pipeline = pipeline }) do
        outcomes[result.n] = result.ok and #result.receipt.refused or result.err.outcome
      end
      assert.same({ 0, "refused", 0, "refused", 0, 1 }, outcomes)      -- the sixth is without the field
      local both = { "good@x.example", "fine@x.example" }
      assert.same({ both, both, both, { "good@x.example" } }, took)
      assert.same({ 1, 2 }, { select(2, seen:gsub("EHLO ", "")), select(2, seen:gsub("RSET\r\n", "")) })
    end)
  end

  -- RFC 5321, 4.5.3.2, calls these the least; a mail that may have been taken gets ten minutes to say so.
  for _, row in ipairs { { "banner", 300, {} }, { "mail", 300, { "220 x", "250 x" } }, { "data", 300, { "220 x", "250 x", "250 ok", "250 ok" } },
    { "dot", 600, { "220 x", "250 x", "250 ok", "250 ok", "354 go" } } } do
    it(("rule_1_27_waits_%d_seconds_at_%s"):format(row[2], row[1]), function()
      local function silent(say, hear)
        for i, line in ipairs(row[3]) do
          if i > 1 then hear "\r\n" end
          say(line)
        end
        hear "never said"
      end
      local _, e, host = send({}, {}, silent)
      assert.same({ "TIMEOUT", row[1], row[2] }, { e.code, e.where.step, host.tick() })
      _, e, host = send({}, { timeouts = { reply = 7, final = 8 } }, silent)
      assert.same({ "TIMEOUT", row[1], row[1] == "dot" and 8 or 7 }, { e.code, e.where.step, host.tick() })
    end)
  end
end)
