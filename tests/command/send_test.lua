local cjson = require "cjson"
local command = require "support.command"

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

-- Nobody listens on port 9 of loopback; nothing here may reach another machine.
local NOWHERE = { DIRECTMAIL_SMTP = "smtp://127.0.0.1:9", DIRECTMAIL_AUTH = "off" }
local FIXED = { "--via", "smtp", "--from", "Shop <noreply@mail.example.com>", "--to", "ann@example.net", "--subject", "Hello",
  "--message-id", "<1@mail.example.com>", "--date", "Mon, 23 Nov 2026 12:00:00 +0000", "--boundary", "b0undary" }

-- `directmail send` with FIXED, then the words; named fields as in command.run.
local function send(words)
  local all = { "send" }
  for _, word in ipairs(FIXED) do all[#all + 1] = word end
  for name, value in pairs(words) do
    if type(name) == "string" then all[name] = value end
  end
  for _, word in ipairs(words) do all[#all + 1] = word end
  all.env = all.env or NOWHERE
  return command.run(all)
end

local function dry(words)
  words[#words + 1] = "--dry-run"
  local code, out, err = send(words)
  assert.equal("", err)
  assert.equal(0, code)
  return out
end

local function body(mail) return mail:match "\r\n\r\n(.*)$" end

describe("directmail send --dry-run", function()
  it("prints the same message each time, in lines that end with CR LF", function()
    local mail = dry { "--text", ".dot\nline" }
    assert.equal(mail, dry { "--text", ".dot\nline", "--json" })
    assert.is_nil(mail:gsub("\r\n", ""):find "[\r\n]")
    assert.matches("\r\nFrom: Shop <noreply@mail%.example%.com>\r\n", "\r\n" .. mail)
    assert.matches("\r\nTo: ann@example%.net\r\n", mail)
    assert.matches("\r\nMessage%-ID: <1@mail%.example%.com>\r\n", mail)
    assert.matches("\r\nDate: Mon, 23 Nov 2026 12:00:00 %+0000\r\n", mail)
  end)

  it("takes a text as it stands, from a file, from stdin", function()
    command.write(folder .. "/body.txt", "from a file\n")
    assert.equal("itself\r\n", body(dry { "--text", "itself" }))
    assert.equal("from a file\r\n", body(dry { "--text", "@" .. folder .. "/body.txt" }))
    assert.equal("from stdin\r\n", body(dry { "--text", "-", stdin = "from stdin\n" }))
    assert.equal("@home\r\n", body(dry { "--text", "@@home" }))
    assert.equal("-5\r\n", body(dry { "--text=-5" }))
    assert.equal("", (body(dry { "--text=" }):gsub("[\r\n]", "")))
  end)

  it("attaches a file, under another name, from stdin, with = in its path", function()
    command.write(folder .. "/a=b.txt", "data")
    local mail = dry { "--text", "x", "--attach", folder .. "/a=b.txt", "--attach", "c.csv=" .. folder .. "/a=b.txt",
      "--attach", "d.csv=-", stdin = "1,2\n" }
    local names = {}
    for name in mail:gmatch 'filename="?([%w=.]+)"?' do names[#names + 1] = name end
    assert.same({ "a=b.txt", "c.csv", "d.csv" }, names)
    assert.matches("b0undary", mail)
    assert.matches("\r\nMSwyCg==\r\n", mail)
  end)

  it("shows an inline image by its cid", function()
    command.write(folder .. "/logo.png", "\137PNG")
    local mail = dry { "--html", '<img src="cid:logo">', "--inline", "logo=" .. folder .. "/logo.png" }
    assert.matches("\r\nContent%-ID: <logo>\r\n", mail)
    assert.matches("multipart/related", mail)
  end)

  it("repeats recipients, hides the hidden ones, keeps the order of headers", function()
    local mail = dry { "--to", "bob@example.net", "--cc", "Cy <cy@example.net>", "--bcc", "dan@example.net",
      "--reply-to", "help@example.com", "--header", "X-B: 1", "--header", "X-A:2", "--text", "x" }
    assert.matches("\r\nTo: ann@example%.net, bob@example%.net\r\n", (mail:gsub("\r\n[ \t]+", " ")))
    assert.matches("\r\nCc: Cy <cy@example%.net>\r\n", mail)
    assert.matches("\r\nReply%-To: help@example%.com\r\n", mail)
    assert.matches("\r\nX%-B: 1\r\nX%-A: 2\r\n", mail)
    assert.is_nil(mail:find("dan@", 1, true))
  end)

  it("takes the sender from the settings, and needs neither password nor server", function()
    local env = { DIRECTMAIL_SENDER = "env@mail.example.com" }
    local code, out = command.run { "send", "--to", "ann@example.net", "--text", "x", "--dry-run", env = env }
    assert.equal(0, code)
    assert.matches("\r\nFrom: env@mail%.example%.com\r\n", "\r\n" .. out)
    code, out = command.run { "send", "--sender", "opt@mail.example.com", "--to", "ann@example.net", "--text", "x", "--dry-run", env = env }
    assert.equal(0, code)
    assert.matches("\r\nFrom: opt@mail%.example%.com\r\n", "\r\n" .. out)
  end)

  it("shows what --redirect makes of the message", function()
    local mail = dry { "--redirect", "me@example.org", "--text", "x" }
    assert.matches("\r\nX%-Directmail%-Redirected%-To: ann@example%.net\r\n", mail)
  end)

  it("does not take a lost answer for success", function()
    local code, _, err = send { "--text", "x", "--dry-run", stdout = "/dev/full" }
    assert.equal(5, code)
    assert.matches("^directmail: the answer could not be written", err)
  end)
end)

describe("directmail send --eml", function()
  local EML = "bCC: eve@example.net\nFrom: Shop <noreply@mail.example.com>\nTo: ann@example.net\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n" ..
    "Message-ID: <1@mail.example.com>\nsubject: Gr\xC3\xBC\xC3\x9Fe\n\n.\n"
  local MENDED = EML:gsub("^[^\n]*\n", ""):gsub("\n", "\r\n")

  -- `send --eml` with the words and without FIXED.
  local function eml(words)
    local all = { "send", "--eml", words.file or "-" }
    table.move(words, 1, #words, 4, all)
    all.stdin, all.env = words.stdin or EML, words.env or NOWHERE
    return command.run(all)
  end

  it("prints the mended message with --dry-run, without network and credentials", function()
    local code, out, err = eml { "--dry-run", env = {} }
    assert.same({ 0, "", MENDED }, { code, err, out })
    command.write(folder .. "/it.eml", "From root Mon\n" .. EML:gsub("\n", "\r"))
    code, out, err = eml { "--dry-run", "--json", "--from", "other@example.org", "--to", "bob@example.net", file = folder .. "/it.eml" }
    assert.same({ 0, "", MENDED }, { code, err, out })
    code, out = eml { "--dry-run", "--to", "bob@example.net", stdin = "Subject: s\n\nx", env = { DIRECTMAIL_SENDER = "Shop <env@mail.example.com>" } }
    assert.equal(0, code)
    assert.matches("^From: Shop <env@mail%.example%.com>\r\nDate: [^\r]+\r\nMessage%-ID: <%x+@mail%.example%.com>\r\nSubject: s\r\n\r\nx\r\n$", out)
  end)

  it("sends to the recipients of the head, or of the options alone", function()
    command.write(folder .. "/sent.eml", EML)
    local sh = [["$0" send --eml "$1" --json; "$0" send --eml - --to cy@example.net --bcc dan@example.net --json <"$1"; cat "$2"/mail/*.eml]]
    local box = folder .. "/eml.box"
    local code, out, err = command.run { "sandbox", "--dir", box, "--json", "--", "sh", "-c", sh, command.exe, folder .. "/sent.eml", box }
    assert.equal(0, code, err)
    local first, second, mails = out:match "({\"ok\":[^\n]+)\n({\"ok\":[^\n]+)\n(.*)$"
    assert.same({ "eve@example.net", "ann@example.net" }, cjson.decode(first).accepted)
    assert.same({ "cy@example.net", "dan@example.net" }, cjson.decode(second).accepted)
    assert.equal("<1@mail.example.com>", cjson.decode(first).message_id)
    assert.equal(#MENDED, cjson.decode(first).bytes)
    assert.equal(MENDED .. MENDED, mails)
  end)

  it("refuses each option that makes a message, by its name", function()
    for _, words in ipairs { { "--reply-to", "x@example.net" }, { "--subject", "x" }, { "--subject=" }, { "--text", "x" }, { "--html", "x" }, { "--attach", "x" },
      { "--inline", "a=x" }, { "--header", "X-A: 1" }, { "--tag", "x" }, { "--track", "opens" }, { "--unsubscribe", "default" }, { "--message-id", "<x@x>" }, { "--date", "x" },
      { "--boundary", "x" } } do
      words[#words + 1] = "--json"
      local code, out = eml(words)
      assert.equal(2, code)
      assert.equal(words[1]:match "^[^=]+" .. " cannot stand beside --eml: that message is finished", cjson.decode(out).cause)
    end
  end)

  it("refuses what cannot be mended, with the caller's line", function()
    local function refused(text, cause_code, cause, ...)
      local code, out = eml { stdin = text, "--json", ... }
      assert.equal(2, code)
      local answer = cjson.decode(out)
      assert.same({ cause_code, cause }, { answer.code, answer.cause:sub(1, #cause) })
    end
    refused(EML .. ("x"):rep(999), "CONTENT", "--eml: line 9 has 999 octets, 998 are allowed")
    refused(EML .. "a\0b", "CONTENT", "--eml: line 9 holds a NUL")
    refused("no head\n", "HEADER", "--eml: line 1 is no header field")
    refused("", "CONTENT", "--eml: the message is empty")
    refused(EML, "OPTION", "via = api cannot carry this mail", "--via", "api")
    refused(EML, "SIZE", "the message has", "--size-limit", "100")
    refused(EML .. ("x\n"):rep(16 * 1024 * 1024 // 3), "SIZE", "the message has")
    local code, out = eml { "--json", file = "/nonexistent" }
    assert.same({ 2, "FILE" }, { code, cjson.decode(out).code })
    code, out = eml { "--json", file = "/dev/zero" }
    assert.same({ 2, "FILE" }, { code, cjson.decode(out).code })
  end)
end)

describe("directmail send --sysexits", function()
  it("ends with the codes of sysexits.h, a wrong command line too", function()
    assert.equal(64, (send { "--too", "x", "--sysexits" }))
    assert.equal(64, (send { "--sysexits", "bob@example.net" }))
    assert.equal(66, (send { "--text", "@/nonexistent", "--sysexits", "--json" }))
    assert.equal(67, (send { "--text", "x", "--to", "root", "--sysexits" }))
    assert.equal(65, (send { "--text", "{{x}}", "--sysexits" }))
    assert.equal(75, (send { "--text", "x", "--sysexits" }))
    assert.equal(78, (send { "--text", "x", "--sysexits", env = { DIRECTMAIL_TIMEOUT = "soon" } }))
    assert.equal(77, (send { "--text", "x", "--password-file", "/dev/null", "--sysexits" }))
    assert.equal(0, (send { "--text", "x", "--dry-run", "--sysexits" }))
    local sh = [["$0" send --via smtp --to ann@example.net --to invalid@sandbox.example --subject s --text t --sysexits]]
    assert.equal(67, (command.run { "sandbox", "--json", "--", "sh", "-c", sh, command.exe }))
  end)
end)

describe("directmail send refuses", function()
  -- the words added to FIXED -> the code, and a piece of the cause
  local wrong = {
    { "OPTION", "unknown option %-%-too", "--too", "x" },
    { "OPTION", "unexpected argument \"bob@example.net\"", "bob@example.net" },
    { "OPTION", "%-%-subject may be given only once", "--subject", "again" },
    { "OPTION", "%-%-tag requires an argument", "--tag" },
    { "OPTION", "%-%-timeout: \"soon\" is not a number", "--timeout", "soon" },
    { "OPTION", "%-%-timeout: \"0\" is not a number", "--timeout", "0" },
    { "OPTION", "%-%-size%-limit: \"1.5\" is not a whole number", "--size-limit", "1.5" },
    { "OPTION", "%-%-auth must be one of", "--auth", "on" },
    { "OPTION", "%-%-track knows no \"click\" %(did you mean clicks%?%)", "--track", "opens,click" },
    { "OPTION", "%-%-inline needs %-%-html", "--text", "x", "--inline", "a=b" },
    { "OPTION", "%-%-inline logo.png: the name for cid: is missing", "--html", "x", "--inline", "logo.png" },
    { "OPTION", "%-%-header \"X%-A\" has no colon", "--header", "X-A" },
    { "OPTION", "%-%-attach %-: what comes from stdin has no name", "--attach", "-" },
    { "OPTION", "%-%-html: stdin was already read for %-%-text", "--text", "-", "--html", "-" },
    { "OPTION", "%-%-password%-file and %-%-password%-command", "--password-file", "x", "--password-command", "y" },
    { "FILE", "%-%-text: /nonexistent cannot be read: No such file", "--text", "@/nonexistent" },
    { "FILE", "%-%-html: / cannot be read: Is a directory", "--html", "@/" },
    { "FILE", "%-%-text: /dev/zero cannot be read: it has more than 67108864 octets", "--text", "@/dev/zero" },
    { "FILE", "/nonexistent", "--text", "x", "--attach", "/nonexistent" },
    { "CREDENTIALS", "%-%-password%-file gave no password: the first line is empty", "--password-file", "/dev/null" },
    { "FILE", "%-%-password%-file: /dev/zero cannot be read", "--password-file", "/dev/zero" },
    { "CREDENTIALS", "%-%-password%-command gave no password: it ended with status 3", "--password-command", "echo s3cret; exit 3" },
    { "ADDRESS", "no%-domain", "--to", "no-domain" },
    { "HEADER", "X%-A: ", "--header", "X-A: a\r\nBcc: eve@example.com" },
    { "HEADER", "the header Subject is made from the field subject", "--header", "Subject: twice" },
  }
  for _, case in ipairs(wrong) do
    it(case[2]:gsub("%%", ""), function()
      local words = table.move(case, 3, #case, 1, {})
      words[#words + 1] = "--json"
      -- "--tag" alone must stay the last word
      if case[3] == "--tag" then words = { "--json", "--tag" } end
      local code, out, err = send(words)
      assert.equal(2, code)
      assert.equal("", err)
      assert.matches('^{"ok":false,"outcome":"not_sent","code":"' .. case[1] .. '"', out)
      local answer = cjson.decode(out)
      assert.is_false(answer.retry)
      assert.is_truthy(answer.remedy)
      assert.matches(case[2], answer.cause)
      assert.not_matches("s3cret", out)
    end)
  end

  it("in words on stderr, without --json", function()
    local code, out, err = send { "--text", "@/nonexistent" }
    assert.equal(2, code)
    assert.equal("", out)
    assert.matches("^directmail: not sent: [^\n]+\n  cause    %-%-text: /nonexistent cannot be read: [^\n]+\n  remedy   ", err)
  end)

  it("a password as an option's value, whatever its name", function()
    for _, name in ipairs { "--smtp-password", "--password", "--access-key-secret", "--security-token" } do
      local code, _, err = send { name .. "=s3cret" }
      assert.equal(2, code)
      assert.matches("unknown option", err)
      assert.not_matches("s3cret", err)
    end
  end)
end)

describe("directmail send", function()
  it("has an option for each setting that holds no secret", function()
    local elsewhere = { route = true, pipeline = true, timeouts = true, transport = true, transcript = true, verbose = true, rate = true,
      sendmail_rewrite = true, store = true, shared_dict = true }
    local secret = { smtp_password = true, access_key_secret = true, security_token = true }
    local _, help = command.run { "send", "--help" }
    for _, name in ipairs(require "directmail.settings".NAMES) do
      if not elsewhere[name] then
        local option = "--" .. name:gsub("_", "-")
        assert.equal(not secret[name], help:find("\n   " .. option:gsub("%-", "%%-") .. "%f[%s]") ~= nil, option)
      end
    end
  end)

  it("ends with 3 when nobody answers, and says so in JSON and in words", function()
    local code, out = send { "--text", "x", "--json" }
    assert.equal(3, code)
    local answer = cjson.decode(out)
    assert.equal("not_sent", answer.outcome)
    assert.equal("CONNECT", answer.code)
    assert.equal("connect", answer.where.step)
    local err
    code, out, err = send { "--text", "x" }
    assert.equal(3, code)
    assert.equal("", out)
    assert.matches("^directmail: not sent: ", err)
  end)

  it("takes the password from a file, stdin or a command, first line only", function()
    command.write(folder .. "/password", "s3cret\r\nsecond line\n")
    -- with a password and no TLS in sight it is the sandbox's own user that proves the login
    local sh = [[directmail=$0; export P="$DIRECTMAIL_SMTP_PASSWORD"; unset DIRECTMAIL_SMTP_PASSWORD; printf '%s\nx\n' "$P" >"$1"
      set -- "$1" send --via smtp --to ann@example.net --subject s --text t
      file=$1; shift
      "$directmail" "$@" --password-file "$file" >/dev/null || exit 21
      "$directmail" "$@" --password-file - <"$file" >/dev/null || exit 22
      "$directmail" "$@" --password-command 'printf "%s\nx\n" "$P"' >/dev/null || exit 23
      "$directmail" "$@" --password-command 'echo wrong' 2>/dev/null && exit 24
      exit 0]]
    local code, _, err = command.run { "sandbox", "--", "sh", "-c", sh, command.exe, folder .. "/password2" }
    assert.equal(0, code, err)
  end)

  it("prints the outcome, the numbers to look up and the size; with --json the receipt", function()
    local sh = [["$0" send --via smtp --to ann@example.net --subject s --text t
      "$0" send --via smtp --to ann@example.net --subject s --text t --json]]
    local code, out, err = command.run { "sandbox", "--json", "--", "sh", "-c", sh, command.exe }
    assert.equal(0, code, err)
    assert.matches("sent by SMTP, [%w%-]+, %d+%.%d%d s\nid %d+   message%-id <[^>]+>   %d+ B\n", out)
    local receipt = cjson.decode((out:match '\n({"ok":true,"outcome":"sent",[^\n]+})\n$'))
    assert.equal("smtp", receipt.via)
    assert.same({ "ann@example.net" }, receipt.accepted)
    assert.matches('"refused":%[%]', out)
  end)

  it("ends with 1 when one recipient of several is refused, and names it", function()
    local sh = [["$0" send --via smtp --to ann@example.net --to invalid@sandbox.example --subject s --text t]]
    local code, out = command.run { "sandbox", "--", "sh", "-c", sh, command.exe }
    assert.equal(1, code)
    assert.matches("sent by SMTP", out)
    assert.matches("\nrefused  invalid@sandbox%.example: [^\n]*559", out)
  end)

  it("sends to nobody with --all-or-none when one is refused", function()
    local sh = [["$0" send --via smtp --to ann@example.net --to invalid@sandbox.example --subject s --text t --all-or-none
      "$0" send --via smtp --to ann@example.net --to defer@sandbox.example --subject s --text t --all-or-none --json
      printf 'Subject: x\n\nHi\n' | "$0" send --via smtp --eml - --to ann@example.net --to full@sandbox.example --all-or-none --json
      "$0" send --via smtp --to ann@example.net --to bob@example.net --subject s --text t --all-or-none]]
    local code, out, err = command.run { "sandbox", "--", "sh", "-c", sh, command.exe }
    assert.equal(0, code, err)
    assert.matches("1 of 2 recipients refused %(invalid@sandbox%.example%), and nobody got the mail", err)
    assert.matches("\n  refused  invalid@sandbox%.example: 559", err)
    assert.matches("or leave %-%-all%-or%-none away", err)
    local later, full = (out .. err):match '({"ok":false[^\n]+defer@[^\n]+})\n', (out .. err):match '({"ok":false[^\n]+full@[^\n]+})\n'
    later, full = cjson.decode(later), cjson.decode(full)
    assert.same({ "not_sent", true, "defer@sandbox.example" }, { later.outcome, later.retry, later.refused[1].address })
    assert.same({ "refused", "full@sandbox.example" }, { full.outcome, full.refused[1].address })
    assert.equal(1, select(2, out:gsub("sent by SMTP", "")))
  end)

  it("sends a mail with a key once, and keeps a queued one for the outbox", function()
    local store = folder .. "/store.db"
    local sh = [["$0" send --to ann@example.net --subject s --text t --key k1 --store "$1"
      "$0" send --to ann@example.net --subject s --text t --key k1 --store "$1"
      "$0" send --to bob@example.net --subject s --text t --queue --store "$1"
      "$0" outbox run --store "$1"]]
    local code, out, err = command.run { "sandbox", "--", "sh", "-c", sh, command.exe, store }
    assert.equal(0, code, err)
    local first, second = out:match "\nid (%d+)[^\n]*\nsent by API[^\n]*\nid (%d+)"
    assert.is_string(first, out)
    assert.equal(first, second)
    assert.matches("\nqueued; directmail outbox run sends it\nid %d+   message%-id <[^>]+>\n", out)
    assert.matches("\nsent 1 ", out)
    assert.equal(2, select(2, err:gsub("SingleSendMail →", "")))
    for _, option in ipairs { "--key=k", "--queue" } do
      code, out = send { "--text", "x", option, "--json" }
      assert.equal(2, code)
      assert.matches("^give %-%-store FILE", cjson.decode(out).remedy)
    end
  end)

  it("offers the unsubscribe link that --unsubscribe names", function()
    local mail = dry { "--text", "x", "--unsubscribe", "https://example.com/u?t=1" }
    assert.matches("\r\nList%-Unsubscribe: <https://example%.com/u%?t=1>\r\n", mail)
    assert.matches("\r\nX%-AliDM%-Settings: ", dry { "--text", "x", "--unsubscribe", "default" })
  end)

  it("shows the dialogue on stderr with -v, and never the password", function()
    local sh = [["$0" send --via smtp --to ann@example.net --subject s --text t -v 2>"$1" || exit 22
      grep -qF "$DIRECTMAIL_SMTP_PASSWORD" "$1" && exit 20
      grep -q EHLO "$1" || exit 21]]
    local code = command.run { "sandbox", "--", "sh", "-c", sh, command.exe, folder .. "/transcript" }
    assert.equal(0, code)
  end)
end)
