-- Plays the dialogues of tests/wire/ against the engine: whole, then one octet at a time.
--
--   # comment
--   ! to a@x.example b@x.example     options: to, from, all_or_none, user, password, tls, pipeline, cleartext_auth, ehlo
--   S: what the server says, one line    C: what the client must say, one line
--   M: the body, to its final dot        T: the TLS handshake        X: the line is cut
--   = sent|refused|not_sent|unknown CODE|- REPLY|- STEP   how the message must end
local core = require "directmail.core"

local function read(path)
  local script, options, to, from, ending = {}, { ehlo = "client.example" }, { "b@x.example" }, "a@x.example", nil
  for line in io.lines(path) do
    local mark, rest = line:match "^(.):? ?(.*)$"
    if mark == "!" then
      local key, value = rest:match "^(%S+) (.*)$"
      if key == "to" then
        to = {}
        for one in value:gmatch "%S+" do to[#to + 1] = one end
      elseif key == "from" then
        from = value:match "^<(.*)>$"
      else
        options[key] = value
      end
    elseif mark == "=" then
      ending = { rest:match "^(%S+) (%S+) (%S+) (%S+)$" }
      assert(#ending == 4, path .. ": bad ending: " .. line)
    elseif mark == "S" or mark == "C" or mark == "M" or mark == "T" or mark == "X" then
      script[#script + 1] = { mark = mark, text = rest }
    else
      assert(mark == "#" or mark == nil or line == "", path .. ": bad line: " .. line)
    end
  end
  assert(ending, path .. ": no ending")
  return { script = script, options = options, to = to, from = from, ending = ending }
end

-- Rule 2.9 (RFC 2920, 3.1): what stands at the end of a group, wherever it stands.
local LAST = { EHLO = true, HELO = true, STARTTLS = true, AUTH = true, DATA = true, QUIT = true, NOOP = true }

local function ends_its_group(bytes)
  bytes = bytes:gsub("^Subject: .-\r\n%.\r\n", "")
  for line, after in bytes:gmatch "(.-)\r\n()" do
    if LAST[line:match "^%a*"] then assert.are.equal(#bytes + 1, after, line .. " is followed in the same write") end
  end
end

-- The engine's own words are consumed from `said`; the script tells what they must be.
local function play(case, chunk)
  local message = assert(core.message {
    mail_from = case.from, rcpt_to = case.to, all_or_none = case.options.all_or_none, fields = { { "Subject", "text", "hi" } }, text = ".hi\n", boundary = "b",
  })
  local engine = assert(core.smtp(case.options))
  assert(engine:push(1, message))
  engine:quit()
  local at, said, got, waiting = 1, "", nil, ""
  local function take_client()
    local line = case.script[at]
    if not line then return false end
    if line.mark == "C" then
      local have, rest = said:match "^(.-)\r\n(.*)$"
      if not have then return false end
      assert.are.equal(line.text, have)
      said = rest
    elseif line.mark == "M" then
      local stop = said:find("\r\n.\r\n", 1, true)
      if not stop then return false end
      assert.is_truthy(said:find("^Subject: hi\r\n"))
      said = said:sub(stop + 5)
    else
      return false
    end
    at = at + 1
    return true
  end
  for _ = 1, 10000 do
    local want, a, b, c = engine:next()
    if want == "write" then
      ends_its_group(a)
      said = said .. a
      while take_client() do end
    elseif want == "read" then
      local line = case.script[at]
      if waiting ~= "" then
        engine:feed(waiting:sub(1, chunk))
        waiting = waiting:sub(chunk + 1)
      elseif line and line.mark == "S" then
        repeat
          waiting = waiting .. line.text:gsub("\\r", "\r"):gsub("\\n", "\n") .. "\r\n"
          at = at + 1
          line = case.script[at]
        until not line or line.mark ~= "S"
      else
        assert(not line or line.mark == "X", "the engine waits and the script says: " .. (line and line.mark .. ": " .. line.text or ""))
        at = at + 1
        engine:lost "closed"
      end
    elseif want == "tls" and waiting ~= "" then
      engine:feed(waiting)      -- clear text that came before the handshake
      waiting = ""
    elseif want == "tls" then
      assert.are.equal("T", case.script[at] and case.script[at].mark)
      at = at + 1
      engine:secured()
    elseif want == "result" then
      assert.is_nil(got)
      got = { b, c.error or "-", tostring(c.code or "-"), c.step }
      assert.are.equal(1, a)
    else
      break
    end
  end
  assert.are.equal("", said)
  assert.are.equal(#case.script + 1, at, "the dialogue ended early")
  assert.are.same(case.ending, got)
end

describe("the dialogue", function()
  local list = assert(io.popen "ls tests/wire/*.txt")
  local count = 0
  for path in list:lines() do
    count = count + 1
    local name = path:match "([^/]+)%.txt$"
    it(name .. " goes as written", function() play(read(path), 1e9) end)
    it(name .. " goes the same one octet at a time", function() play(read(path), 1) end)
  end
  list:close()
  it("is there", function() assert.is_true(count > 20) end)
end)
