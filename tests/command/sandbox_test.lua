local command = require "support.command"
local json = require "cjson"
local run = command.run

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

-- Run a shell script with the command as "$dm", a clean environment and the folder as working folder.
local function shell(text)
  local path = folder .. "/script.sh"
  command.write(path, text)
  return run { exe = "/bin/sh", path, cd = folder, env = { dm = command.exe } }
end

describe("directmail sandbox -- COMMAND", function()
  it("runs the command with the settings, and ends with its status", function()
    local code, out, err = run { "sandbox", "--", "sh", "-c",
      'test -s "$DIRECTMAIL_CA" && echo "$DIRECTMAIL_SMTP $DIRECTMAIL_SENDER'
      .. ' $DIRECTMAIL_REGION $DIRECTMAIL_SMTP_USER ${#DIRECTMAIL_SMTP_PASSWORD}"; exit 7' }
    assert.equal(7, code)
    assert.matches("^smtp://127%.0%.0%.1:%d+ noreply@mail%.example%.com ap%-southeast%-1 noreply@mail%.example%.com 20\n$", out)
    assert.matches("nothing leaves it", err)
  end)

  it("says 128 + n when a signal ended the command", function()
    assert.equal(128 + 9, (run { "sandbox", "--", "sh", "-c", "kill -9 $$" }))
  end)

  it("passes a signal on and waits for the command's end", function()
    local code, out = shell [[
      mkfifo ready
      "$dm" sandbox -- sh -c 'echo "$DIRECTMAIL_CA" >ready; exec sleep 60' 2>/dev/null &
      pid=$!
      read -r ca <ready
      rm ready
      kill -TERM $pid
      wait $pid
      echo "$?"
      test -e "$ca" || echo gone
    ]]
    assert.equal(0, code)
    assert.equal("143\ngone\n", out)
  end)

  it("passes the command's own options on", function()
    local code, out = run { "sandbox", "--", "printf", "%s|", "--json", "-x", "--", "" }
    assert.equal(0, code)
    assert.equal("--json|-x|--||", out)
  end)

  it("says when the command cannot be started, as a usage error", function()
    local code, out, err = run { "sandbox", "--", "/nonexistent/program" }
    assert.equal(2, code)
    assert.equal("", out)
    assert.matches("cannot be started", err)
  end)

  it("leaves no folder behind, unless it was named", function()
    local code = run { "sandbox", "--", "sh", "-c", 'dirname "$DIRECTMAIL_CA" >' .. folder .. "/where" }
    assert.equal(0, code)
    local where = command.read(folder .. "/where"):gsub("\n", "")
    assert.is_nil(io.open(where))
    assert.equal(0, (run { "sandbox", "--dir", folder .. "/kept", "--", "true" }))
    assert.is_truthy(command.read(folder .. "/kept/log.jsonl"):find('"stop"', 1, true))
  end)
end)

describe("directmail sandbox --json", function()
  it("says all on its first line once all listen, and ends well after SIGTERM and SIGINT", function()
    for _, signal in ipairs { "TERM", "INT" } do
      local code, out, err = shell(([[
        mkfifo fifo
        "$dm" sandbox --json --dir box >fifo &
        pid=$!
        read -r line <fifo
        rm fifo
        kill -%s $pid
        wait $pid
        echo "$?"
        printf '%%s\n' "$line"
      ]]):format(signal))
      assert.equal(0, code)
      assert.equal("", err)
      local status, line = out:match("^(%d+)\n(.*)\n$")
      assert.equal("0", status)
      local info = json.decode(line)
      assert.equal("box", info.dir)
      assert.equal("box/ca.pem", info.ca)
      assert.matches("^smtp://127%.0%.0%.1:%d+$", info.smtp)
      assert.matches("^smtps://127%.0%.0%.1:%d+$", info.smtps)
      assert.equal(info.smtp, info.env.DIRECTMAIL_SMTP)
      assert.equal(info.ca, info.env.DIRECTMAIL_CA)
      assert.matches("^%w+$", info.env.DIRECTMAIL_SMTP_PASSWORD)
      assert.is_nil(line:find("\\/", 1, true))
    end
  end)

  it("makes files that nobody else can read", function()
    local code, out = shell [[
      umask 022
      "$dm" sandbox --dir private -- true && find private -printf '%M %y\n' | sort -u
    ]]
    assert.equal(0, code)
    assert.equal("-rw------- f\ndrwx------ d\n", out)
  end)
end)

describe("a mail to the sandbox", function()
  it("is sent by the command, kept under its id and shown", function()
    local code, out, err = run { "sandbox", "--dir", folder .. "/box", "--", command.exe, "send", "--via", "smtp", "--to",
      "ann@example.net",
      "--subject", "Hello \226\156\147", "--text", "Hi", "--json" }
    assert.equal(0, code, out .. err)
    local receipt = json.decode(out)
    assert.equal("sent", receipt.outcome)
    assert.matches("^6%d+$", receipt.id)
    assert.equal(18, #receipt.id)
    local meta = json.decode(command.read(("%s/box/mail/%s.json"):format(folder, receipt.id)))
    assert.same({ "smtp", "starttls", { "ann@example.net" } }, { meta.via, meta.tls, meta.rcpt_to })
    assert.matches("\r\nHi\r\n$", command.read(("%s/box/mail/%s.eml"):format(folder, receipt.id)))
    assert.matches('smtp  noreply@mail.example.com → ann@example.net  "Hello \226\156\147"   ' .. receipt.id, err, 1, true)
  end)

  it("meets the faults that were asked for", function()
    local words = { "sandbox", "--fault", "auth:526:once", "--", command.exe, "send", "--via", "smtp", "--to", "ann@example.net",
      "--subject", "x",
      "--text", "x", "--json" }
    local code, out, err = run(words)
    assert.equal(1, code)
    assert.equal("AUTH", json.decode(out).code)
    assert.matches("AUTH noreply@mail.example.com  526 Authentication failure (fault: auth:526:once)", err, 1, true)
  end)
end)

describe("a wrong option", function()
  it("is a usage error that names it", function()
    for _, case in ipairs {
      { { "--fault", "auht:526" }, 'no step "auht"' }, { { "--smtp-port", "70000" }, "70000" }, { { "--smtp-port", "x" }, "no port" },
      { { "--sender", "nobody" }, "sender" },
    } do
      local code, out, err = run { "sandbox", case[1][1], case[1][2], "--", "true" }
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches(case[2], err)
    end
  end)

  it("is told as JSON when that was asked for", function()
    local code, out = run { "sandbox", "--json", "--fault", "auht:526" }
    assert.equal(2, code)
    local said = json.decode(out)
    assert.same({ false, "OPTION", "not_sent" }, { said.ok, said.code, said.outcome })
  end)
end)
