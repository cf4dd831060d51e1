local cjson = require "cjson"
local command = require "support.command"
local quote = command.quote

local OWN = "noreply@mail.example.com"

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

local function lines_of(shell)
  local list, pipe = {}, io.popen(shell)
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- `directmail sendmail` with the words, in a sandbox of its own. Named: `stdin`; `profile`, a text; `faults`; `sh`, other words
-- for the shell that runs it ("$@" is all but the redirection).
-- Returns the exit status, stderr, and the mails that arrived: { {bytes=, from=, to=} … }.
local count = 0
local function sendmail(words)
  count = count + 1
  local dir = ("%s/%d"):format(folder, count)
  os.execute("mkdir -p " .. dir)
  command.write(dir .. "/in", words.stdin or "")
  command.write(dir .. "/profile.lua", words.profile or "")
  local all = { "sandbox", "--dir", dir .. "/box", "--json" }
  for _, rule in ipairs(words.faults or {}) do table.move({ "--fault", rule }, 1, 2, #all + 1, all) end
  table.move({ "--", "sh", "-c", (words.sh or [["$@"]]) .. " <" .. quote(dir .. "/in"), "sh" }, 1, 5, #all + 1, all)
  all[#all + 1] = words.exe or command.exe
  if not words.exe then all[#all + 1] = "sendmail" end
  table.move(words, 1, #words, #all + 1, all)
  all.env = { DIRECTMAIL_PROFILE = dir .. "/profile.lua" }
  local code, _, err = command.run(all)
  local mails = {}
  for _, path in ipairs(lines_of(("ls %s/box/mail/*.json 2>/dev/null"):format(quote(dir)))) do
    local about = cjson.decode(command.read(path))
    mails[#mails + 1] = { bytes = command.read((path:gsub("json$", "eml"))), from = about.mail_from, to = about.rcpt_to }
  end
  return code, err, mails
end

-- The one mail that arrives.
local function arrives(words)
  local code, err, mails = sendmail(words)
  assert.equal("", err)
  assert.equal(0, code)
  assert.equal(1, #mails)
  local bytes = mails[1].bytes
  assert.is_nil(bytes:gsub("\r\n", ""):find "[\r\n]")
  return bytes, mails[1]
end

local function head(bytes) return "\r\n" .. bytes:match "^(.-\r\n)\r\n" end
local function body(bytes) return bytes:match "\r\n\r\n(.*)$" end

-- Refused before or at the server; nothing arrived.
local function refused(code, words, given)
  local got, err, mails = sendmail(given)
  assert.equal(code, got, err)
  assert.matches("^directmail: ", err)
  assert.is_truthy(err:find(words, 1, true), err)
  assert.equal(0, #mails)
  return err
end

local MAIL = "From: Shop <" .. OWN .. ">\nTo: ann@example.net\nSubject: s\n\n"

describe("directmail sendmail", function()
  it("takes the recipients from To, Cc and Bcc with -t, and adds those of the command line", function()
    local bytes, mail = arrives { "-t", "-i", "dan@example.net", "ANN@example.net",
      stdin = "From: " .. OWN .. "\nto: \"Doe, Ann\" <ann@example.net>, Bob\n\t<bob@example.net>\nCC: cy@example.net (Cy)\n" ..
        "bCC: eve@example.net,\n eva@example.net\nSubject: s\n\nhi\n" }
    assert.equal(OWN, mail.from)
    assert.same({ "dan@example.net", "ANN@example.net", "ann@example.net", "bob@example.net", "cy@example.net", "eve@example.net",
      "eva@example.net" }, mail.to)
    assert.is_nil(bytes:lower():find("bcc", 1, true))
    assert.is_nil(bytes:find("eve@", 1, true) or bytes:find("eva@", 1, true))
    assert.matches("\r\nDate: %a%a%a, %d%d ", head(bytes))
    assert.matches("\r\nMessage%-ID: <%x+@mail%.example%.com>\r\n", head(bytes))
    assert.equal("hi\r\n", body(bytes))
  end)

  it("asks the head of nothing without -t, and takes Bcc out all the same", function()
    local bytes, mail = arrives { "bob@example.net, cy@example.net", stdin = MAIL:gsub("Subject", "Bcc: eve@example.net\nSubject") }
    assert.same({ "bob@example.net", "cy@example.net" }, mail.to)
    assert.is_nil(bytes:find("eve", 1, true))
  end)

  it("sends a mail whose only recipients are hidden", function()
    local bytes, mail = arrives { "-ti", stdin = "From: " .. OWN .. "\nBcc: ann@example.net\n\nx\n" }
    assert.same({ "ann@example.net" }, mail.to)
    assert.is_nil(bytes:find("ann", 1, true))
  end)

  it("takes a mail as cron writes it", function()
    local cron = "From: root (Cron Daemon)\nTo: ops@example.net\nSubject: Cron <root@web1> /usr/local/bin/backup\nMIME-Version: 1.0\n" ..
      "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\nX-Cron-Env: <HOME=/root>\n\n" ..
      "Grüße vom Server\n"
    -- Debian's cron, and cronie
    for _, words in ipairs { { "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "ops@example.net" },
      { "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root" } } do
      words.stdin, words.profile = cron, "sendmail_rewrite = true"
      local bytes, mail = arrives(words)
      assert.same({ "ops@example.net" }, mail.to)
      assert.equal(OWN, mail.from)
      assert.matches("\r\nFrom: CronDaemon <noreply@mail%.example%.com>\r\n", head(bytes))
      assert.not_matches("Reply%-To", head(bytes))
      assert.matches("\r\nX%-Cron%-Env: <SHELL=/bin/sh>\r\nX%-Cron%-Env: <HOME=/root>\r\n", head(bytes))
      assert.equal("Grüße vom Server\r\n", body(bytes))
      words.profile = ""
      assert.matches("sendmail_rewrite = true", refused(77, 'the sender "root', words))
    end
  end)

  it("takes a mail as PHP's mail() writes it", function()
    -- CRLF between the headers that the program gave, LF elsewhere, and To a second time
    local bytes, mail = arrives { "-t", "-i", "-f" .. OWN, stdin = "To: ann@example.net\nSubject: =?UTF-8?B?5oKo5aW9?=\n" ..
      "X-PHP-Originating-Script: 33:mail.php\nFrom: Shop <" .. OWN .. ">\r\nReply-To: help@example.org\r\nTo: bob@example.net\r\n" ..
      "Content-Type: text/html; charset=utf-8\n\n<p>您好</p>\n.\n<p>end</p>" }
    assert.same({ "ann@example.net", "bob@example.net" }, mail.to)
    assert.matches("\r\nTo: ann@example%.net,\r\n bob@example%.net\r\n", head(bytes))
    local _, n = head(bytes):gsub("\r\nTo:", "")
    assert.equal(1, n)
    assert.equal("<p>您好</p>\r\n.\r\n<p>end</p>\r\n", body(bytes))
  end)

  it("takes a mail as git send-email hands it over", function()
    local patch = "From 5cd004a1c8f7d2ac4b7d1c5e0c8e2f8e7c5a9b31 Mon Sep 17 00:00:00 2001\nFrom: Shop <" .. OWN .. ">\nTo: list@example.net\n" ..
      "Cc: ann@example.net\nSubject: [PATCH 1/2] dots\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-ID: <20261123120000.1-1-" .. OWN .. ">\n" ..
      "X-Mailer: git-send-email 2.39.2\n\n---\n a.c | 2 +-\n\ndiff --git a/a.c b/a.c\n-.\n+..\n-- \n2.39.2\n\n"
    local bytes, mail = arrives { "-i", "list@example.net", "ann@example.net", stdin = patch }
    assert.same({ "list@example.net", "ann@example.net" }, mail.to)
    assert.equal((patch:gsub("^[^\n]*\n", ""):gsub("\n", "\r\n")), bytes)
  end)

  it("ends at a lone dot, unless -i or -oi says no", function()
    for _, ending in ipairs { "\n", "\r\n", "\r" } do
      local text = (MAIL .. "..\n.x\none\n.\ntwo\n"):gsub("\n", ending)
      assert.equal("..\r\n.x\r\none\r\n", body(arrives { "-t", stdin = text }))
      for _, word in ipairs { "-i", "-oi", "-ti" } do
        assert.equal("..\r\n.x\r\none\r\n.\r\ntwo\r\n", body(arrives { "-t", word, stdin = text }))
      end
    end
    assert.equal("one\r\n", body(arrives { "-t", stdin = MAIL .. "one\n." }))
    assert.equal("one\r\n.\r\n", body(arrives { "-ti", stdin = MAIL .. "one\n." }))
    assert.equal("hello\r\n", body(arrives { "ann@example.net", stdin = "hello\n.\nnot this\n" }))
  end)

  it("ends at the dot while stdin stays open, as a person types", function()
    local sh = [[mkfifo "$0.fifo"; exec 3<>"$0.fifo"; printf 'hello\n.\n' >&3; timeout 20 "$@" <"$0.fifo"; exit $?; cat]]
    local name = folder .. "/typed"
    local code = command.run { "sandbox", "--dir", name .. ".box", "--json", "--", "sh", "-c", sh, name, command.exe, "sendmail", "ann@example.net" }
    assert.equal(0, code)
    assert.equal("hello\r\n", body(command.read(lines_of("ls " .. name .. ".box/mail/*.eml")[1])))
  end)

  it("takes a text without a head as the body", function()
    local bytes, mail = arrives { "-F", 'Größe "XL", GmbH', "ann@example.net", stdin = "Warning: the disk is full\nlook at it\n" }
    assert.equal("Warning: the disk is full\r\nlook at it\r\n", body(bytes))
    assert.matches("\r\nFrom: =%?UTF%-8%?.+%?=\r\n <noreply@mail%.example%.com>\r\n", head(bytes))
    assert.equal(OWN, mail.from)
    assert.matches('\r\nFrom: "A, B" <noreply@mail%.example%.com>\r\n', head(arrives { "-FA, B", "ann@example.net", stdin = "\nx\n" }))
  end)

  it("carries 12 MB, and refuses what is over the limit while it reads", function()
    local line = ("x"):rep(70) .. "\n"
    local big = MAIL .. line:rep(12 * 1024 * 1024 // #line)
    local bytes = arrives { "-t", stdin = big }
    assert.equal(body((big:gsub("\n", "\r\n"))), body(bytes))
    refused(65, "octets", { "-ti", stdin = MAIL .. line:rep(15 * 1024 * 1024 // #line) })
    refused(65, "the message has more than 1000 octets", { "-t", sh = [[cat /dev/zero | DIRECTMAIL_SIZE_LIMIT=1000 "$@"; exit $?; cat]] })
  end)

  it("takes the options of other sendmails and ignores them", function()
    local _, mail = arrives { "-oem", "-odb", "-om", "-N", "never", "-R", "hdrs", "-V", "id", "-X/tmp/never.log", "-O", "DeliveryMode=b", "-bm", "-G", "-n", "-U",
      "-h", "5", "-L", "tag", "--read-envelope-from", "-timeout", "-Fname", "-v", "ann@example.net", "--", "-bob@example.net", stdin = MAIL,
      sh = [["$@" 2>/dev/null]] }
    -- -timeout is -t -i -m -o eout…: letters of one word
    assert.same({ "ann@example.net", "-bob@example.net" }, mail.to)
    assert.is_nil(io.open "/tmp/never.log")
    local code, err, mails = sendmail { "-q30m" }
    assert.same({ 0, "", 0 }, { code, err, #mails })
  end)

  it("says what it does not do", function()
    refused(64, "-bs is not offered", { "-bs" })
    refused(64, "-bp is not offered", { "-bp" })
    refused(64, "-f wants a value", { "-t", "-f" })
    refused(64, "no recipient is named", { stdin = MAIL })
    refused(64, "no recipient is named: the message has neither", { "-t", stdin = "From: " .. OWN .. "\n\nx\n" })
    refused(65, "the message is empty", { "-t" })
    refused(65, "the message is empty", { "-t", stdin = ".\n" .. MAIL })
    refused(65, "line 4 is no header field", { "-t", stdin = "From: " .. OWN .. "\nTo: ann@example.net\nSubject: s\nbroken\nBcc: eve@example.net\n\nx" })
    refused(65, "Subject stands twice, in lines 3 and 4", { "-t", stdin = MAIL:gsub("\n\n", "\nSubject: again\n\n") })
    refused(65, "the message: line 7 has 999 octets", { "-t", profile = "sendmail_rewrite = true",
      stdin = "From root Mon\nFrom: ann@example.org\nTo: ann@example.net\nBcc: bob@example.net\n\none\n" .. ("x"):rep(999) })
    refused(65, "line 5 holds a NUL", { "-ti", stdin = MAIL .. "a\0b\n" })
    refused(74, "stdin cannot be read", { "-t", sh = [["$@" </; exit $?; cat]] })
  end)

  it("asks for a domain where a local name stands", function()
    local err = refused(67, 'the recipient "root" is a local name', { "root", stdin = "x" })
    assert.matches("MAILTO=ops@example%.com", err)
    refused(67, 'the recipient "www-data" is a local name', { "-t", stdin = "From: " .. OWN .. "\nTo: Web server <ann@example.net>, www-data (Web)\n\nx" })
    refused(67, "root@web1", { "root@web1", stdin = "x" })
    refused(67, "recipient: ", { "ann@@example.net", stdin = "x" })
  end)

  it("refuses a sender that is not ours, or puts ours in its place", function()
    local foreign = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\nTo: ann@example.net\n\nx\n"
    refused(77, 'the sender "=?utf-8?q?J=C3=B6rg?= <joerg@example.org>" (From) is not the address of this account, ' .. OWN, { "-t", stdin = foreign })
    refused(77, 'the sender "joerg@example.org" (-f)', { "-t", "-fjoerg@example.org", stdin = MAIL })
    refused(77, 'the sender "" (-f)', { "-t", "-f", "", stdin = MAIL })
    refused(77, 'the sender "<>" (-f)', { "-t", "-r", "<>", stdin = MAIL })
    local rewrite = "sendmail_rewrite = true"
    local bytes, mail = arrives { "-t", "-f", "joerg@example.org", stdin = foreign, profile = rewrite }
    assert.equal(OWN, mail.from)
    assert.matches("\r\nFrom: noreply@mail%.example%.com\r\n", head(bytes))
    assert.matches("\r\nReply%-To: =%?[Uu][Tt][Ff]%-8%?[^\r\n]+%?= <joerg@example%.org>\r\n", head(bytes))
    assert.is_nil(head(bytes):find("From: =?", 1, true))
    bytes = arrives { "-t", stdin = "reply-to: help@example.org\n" .. foreign, profile = rewrite }
    assert.matches("\r\nreply%-to: help@example%.org\r\n", head(bytes))
    assert.not_matches("joerg", bytes)
    bytes, mail = arrives { "-t", "-fapache@web1", stdin = MAIL, profile = rewrite }
    assert.equal(OWN, mail.from)
    assert.matches("\r\nFrom: Shop <noreply@mail%.example%.com>\r\n", head(bytes))
    assert.not_matches("\r\n[Rr]eply%-", head(bytes))
  end)

  it("answers with the codes of sysexits.h", function()
    local function ends(code, given)
      given.stdin = given.stdin or MAIL
      local got, err, mails = sendmail(given)
      assert.equal(code, got, err)
      return err, mails
    end
    ends(67, { "invalid@sandbox.example" })
    ends(75, { "defer@sandbox.example" })
    local err, mails = ends(67, { "ann@example.net", "invalid@sandbox.example" })
    assert.equal(1, #mails)
    assert.matches("^directmail: refused  invalid@sandbox%.example: 559 [^\n]+\n$", err)
    ends(75, { "ann@example.net", faults = { "mail:421" } })
    ends(65, { "ann@example.net", faults = { "dot:554" } })
    ends(77, { "ann@example.net", faults = { "auth:526" } })
    assert.matches("unknown", (ends(76, { "ann@example.net", faults = { "dot:drop-after" } })))
    ends(75, { "ann@example.net", faults = { "connect:drop" } })
    ends(77, { "ann@example.net", profile = 'sender = "x"', sh = [[DIRECTMAIL_SMTP_PASSWORD=wrong "$@"]] })
    ends(78, { "ann@example.net", profile = "sendmail_rewirte = true" })
    ends(78, { "ann@example.net", sh = [[DIRECTMAIL_TIMEOUT=soon "$@"]] })
    ends(78, { "ann@example.net", sh = [[DIRECTMAIL_SMTP= DIRECTMAIL_REGION= "$@"]] })
    ends(77, { "ann@example.net", sh = [[DIRECTMAIL_SMTP= DIRECTMAIL_SMTP_PASSWORD= "$@"]] })
    ends(78, { "ann@example.net", stdin = "x", sh = [[DIRECTMAIL_SENDER= DIRECTMAIL_SMTP_USER= "$@"]] })
    ends(69, { "ann@example.net", faults = { "starttls:tls=expired" } })
    ends(75, { "ann@example.net", sh = [[DIRECTMAIL_SMTP=smtp://127.0.0.1:9 "$@"]] })
    ends(68, { "ann@example.net", sh = [[DIRECTMAIL_SMTP=smtp://nowhere.invalid "$@"]] })
  end)

  it("works under the name sendmail", function()
    local link = folder .. "/sendmail"
    os.execute(("ln -sf %s %s"):format(quote(command.exe), quote(link)))
    local bytes, mail = arrives { "-t", "-oi", exe = link, stdin = MAIL .. ".\nx\n" }
    assert.same({ "ann@example.net" }, mail.to)
    assert.equal(".\r\nx\r\n", body(bytes))
    refused(64, "no recipient", { exe = link, stdin = MAIL })
  end)

  it("shows its options and its exit codes", function()
    for _, words in ipairs { { "sendmail", "--help" }, { "help", "sendmail" } } do
      local code, out, err = command.run(words)
      assert.same({ 0, "" }, { code, err })
      for _, word in ipairs { "-t ", "-i, -oi", "-f, -r ADDR", "-F NAME", "  0 ", "  64 ", "  76 ", "  78 ", "sendmail_rewrite" } do
        assert.is_truthy(out:find(word, 1, true), word)
      end
    end
  end)
end)

-- A server that says EHLO without 8BITMIME. Runs the command beside it; returns its status and the lines that it was told.
local function old_relay(shell)
  local host = require "directmail.host"
  local listener = assert(host.listen("127.0.0.1", 0))
  local told = {}
  local server = host.spawn(function()
    local sock = assert(listener:accept())
    sock:send "220 old\r\n"
    local held = ""
    while true do
      local bytes = sock:receiveany(8192)
      if not bytes then break end
      held = held .. bytes
      for line in held:gmatch "(.-)\r\n" do
        told[#told + 1] = line
        sock:send(line:find "^EHLO" and "250 old\r\n" or line == "DATA" and "354 go\r\n" or line == "QUIT" and "221 bye\r\n" or "250 ok\r\n")
      end
      held = held:match "[^\n]*$"
    end
    sock:close()
  end)
  local child = assert(host.child({ "sh", "-c", shell, command.exe }, { DIRECTMAIL_SMTP = "smtp://127.0.0.1:" .. listener.port, DIRECTMAIL_AUTH = "off",
    DIRECTMAIL_PROFILE = folder .. "/empty.lua", DIRECTMAIL_SENDER = "", DIRECTMAIL_SMTP_USER = "" }))
  local status = child:wait()
  host.wait(server)
  listener:close()
  return status, told
end

describe("a server without 8BITMIME", function()
  it("gets no 8-bit message", function()
    command.write(folder .. "/empty.lua", "")
    command.write(folder .. "/eight.eml", MAIL .. "Grüße\n")
    for want, shell in pairs { [65] = '"$0" sendmail -ti', [3] = '"$0" send --eml -' } do
      local status, told = old_relay(shell .. (" <%s 2>%s"):format(quote(folder .. "/eight.eml"), quote(folder .. "/err")))
      assert.equal(want, status, command.read(folder .. "/err"))
      assert.matches("8BITMIME", command.read(folder .. "/err"))
      for _, line in ipairs(told) do assert.not_matches("^MAIL", line) end
    end
    command.write(folder .. "/seven.eml", MAIL .. "Gruss\n")
    assert.equal(0, (old_relay('"$0" sendmail -ti <' .. quote(folder .. "/seven.eml"))))
  end)
end)

-- Python's email package shares no code with directmail: what it reads in a message must be the same before and after.
local JUDGE = [[
import email, email.policy, sys
def read(path):
    data = open(path, "rb").read()
    return email.message_from_bytes(data, policy=email.policy.default)
sent, got = read(sys.argv[1]), read(sys.argv[2])
added = {"date", "message-id"} - {k.lower() for k in sent}
def head(m): return [(k.lower(), " ".join(str(v).split())) for k, v in m.items() if k.lower() not in added | {"bcc", "resent-bcc"}]
assert head(sent) == head(got), (head(sent), head(got))
assert "bcc" not in got and "resent-bcc" not in got
assert got["date"].datetime and got["message-id"]
assert not got.defects, got.defects
def parts(m): return [(p.get_content_type(), p.get_filename(), None if p.is_multipart() else p.get_payload(decode=True).replace(b"\r\n", b"\n")) for p in m.walk()]
assert parts(sent) == parts(got), (parts(sent), parts(got))
]]

describe("a message that Python's email package reads", function()
  local multipart = "From: Shop <" .. OWN .. ">\nTo: =?utf-8?b?5byg5LiJ?= <ann@example.net>,\n \"Doe, Bob\" <bob@example.net> (Bob (the first))\n" ..
    "Bcc: eve@example.net\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and\n more\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n" ..
    "preamble\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n.\nGrüße\n..\n" ..
    "--b\nContent-Type: application/pdf; name=x.pdf\nContent-Disposition: attachment; filename*=utf-8''%E6%8A%A5.pdf\n" ..
    "Content-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n--b--\nepilogue\n"

  it("is the same behind sendmail and behind send --eml", function()
    assert.is_true(os.execute "command -v python3 >/dev/null", "python3 is missing")
    command.write(folder .. "/judge.py", JUDGE)
    for _, ending in ipairs { "\n", "\r\n" } do
      local text = multipart:gsub("\n", ending)
      command.write(folder .. "/sent.eml", text)
      for _, given in ipairs { { "-t", "-i", stdin = text }, { "send", "--eml", "-", "--via", "smtp", exe = command.exe, stdin = text, sh = [["$@" >/dev/null]] } } do
        local bytes, mail = arrives(given)
        assert.same({ "ann@example.net", "bob@example.net", "eve@example.net" }, mail.to)
        command.write(folder .. "/got.eml", bytes)
        assert.is_true(os.execute(("python3 %s %s %s"):format(folder .. "/judge.py", folder .. "/sent.eml", folder .. "/got.eml")))
      end
    end
  end)
end)
