local command = require "support.command"
local json = require "cjson"
local run = command.run

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

-- Run a shell script with the command as "$dm" and the folder as working folder.
local function shell(text, env)
  local path = folder .. "/script.sh"
  command.write(path, text)
  env = env or {}
  env.dm = command.exe
  return run { exe = "/bin/sh", path, cd = folder, env = env }
end

describe("directmail sandbox --json", function()
  it("says where API and inbox are, with an AccessKey of its own each time", function()
    local seen = {}
    for i = 1, 2 do
      local code, out = shell [[
        mkfifo fifo
        "$dm" sandbox --json >fifo &
        pid=$!
        read -r line <fifo
        rm fifo
        web=$(printf '%s' "$line" | sed 's/.*"web":"\([^"]*\)".*/\1/')
        curl -sS --max-time 10 "${web}mails"
        kill -TERM $pid
        wait $pid
        printf '%s\n' "$line"
      ]]
      assert.equal(0, code)
      local mails, line = out:match("^(.-)\n(.*)\n$")
      assert.equal("[]", mails)
      local info = json.decode(line)
      assert.matches("^http://127%.0%.0%.1:%d+/$", info.api)
      assert.matches("^http://127%.0%.0%.1:%d+/$", info.web)
      assert.equal(info.api, info.env.DIRECTMAIL_API)
      assert.matches("^LTAI%w+$", info.env.ALIBABA_CLOUD_ACCESS_KEY_ID)
      assert.equal(24, #info.env.ALIBABA_CLOUD_ACCESS_KEY_ID)
      assert.matches("^%w+$", info.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET)
      assert.equal(30, #info.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET)
      seen[i] = info.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET
    end
    assert.not_equal(seen[1], seen[2])
  end)

  it("listens where it is told to, and says which port is taken", function()
    local code, out, err = shell [[
      mkfifo fifo
      "$dm" sandbox --json >fifo &
      pid=$!
      read -r line <fifo
      rm fifo
      port=$(printf '%s' "$line" | sed 's/.*"api":"[^"]*:\([0-9]*\).*/\1/')
      "$dm" sandbox --api-port "$port" -- true; echo "$?"
      "$dm" sandbox --web-port "$port" -- true; echo "$?"
      kill -TERM $pid
      wait $pid
      "$dm" sandbox --api-port "$port" -- sh -c 'echo "$DIRECTMAIL_API"' 2>/dev/null
      echo "http://127.0.0.1:$port/"
    ]]
    assert.equal(0, code)
    local first, second, got, wanted = out:match("^(%d+)\n(%d+)\n(.-)\n(.-)\n$")
    assert.same({ "2", "2" }, { first, second })
    assert.equal(wanted, got)
    assert.matches("cannot listen there", err)
  end)
end)

describe("directmail sandbox -- COMMAND", function()
  it("gives the AccessKey, and keeps the caller's own credentials away from it", function()
    local code, out = run { "sandbox", "--", "sh", "-c",
      'echo "$ALIBABA_CLOUD_ACCESS_KEY_ID|${#ALIBABA_CLOUD_ACCESS_KEY_SECRET}|$ALIBABA_CLOUD_SECURITY_TOKEN|$DIRECTMAIL_API"',
      env = { ALIBABA_CLOUD_ACCESS_KEY_ID = "LTAIreal", ALIBABA_CLOUD_ACCESS_KEY_SECRET = "real", ALIBABA_CLOUD_SECURITY_TOKEN = "CAISreal",
        DIRECTMAIL_API = "https://dm.aliyuncs.com" } }
    assert.equal(0, code)
    assert.matches("^LTAI5t%w+|30||http://127%.0%.0%.1:%d+/\n$", out)
  end)

  it("says where to look, and tells each refused call", function()
    local code, _, err = shell [[
      exec "$dm" sandbox --dir box -- sh -c 'curl -sS -o answer --max-time 10 "$DIRECTMAIL_API?Action=SingleSendMail"'
    ]]
    assert.equal(0, code)
    assert.matches("  inbox  http://127%.0%.0%.1:%d+/\n  api    http://127%.0%.0%.1:%d+/   smtp 127%.0%.0%.1:%d+ %(STARTTLS%)   smtps 127%.0%.0%.1:%d+\n", err)
    assert.matches("%d%d:%d%d:%d%d api   SingleSendMail  400 MissingParameter\n", err)
    assert.matches("<Code>MissingParameter</Code>", command.read(folder .. "/answer"))
    local calls = 0
    for line in io.lines(folder .. "/box/log.jsonl") do
      local event = json.decode(line)
      if event.event == "call" then
        calls = calls + 1
        assert.same({ "api", 400, "MissingParameter" }, { event.via, event.status, event.code })
      end
    end
    assert.equal(1, calls)
  end)

  it("takes the first mail of the command itself by the API, and keeps it with its parameters", function()
    local code, out, err = run { "sandbox", "--dir", folder .. "/kept", "--", command.exe, "send", "--via", "api", "--to", "ann@example.net",
      "--subject", "Hello 您好 ~*'()!", "--html", "<p>Hi</p>", "--text", "Hi", "--json" }
    assert.equal(0, code, out .. err)
    local receipt = json.decode(out)
    assert.same({ true, "sent", "api" }, { receipt.ok, receipt.outcome, receipt.via })
    local meta = json.decode(command.read(("%s/kept/mail/%s.json"):format(folder, receipt.id)))
    assert.same({ "api", "SingleSendMail", "Hello 您好 ~*'()!", "<p>Hi</p>", receipt.request_id, "none", json.null },
      { meta.via, meta.action, meta.params.Subject, meta.params.HtmlBody, meta.request_id, meta.tls, meta.user })
    assert.matches("^LTAI", meta.access_key_id)
    assert.matches("\r\nX%-EnvId: " .. receipt.id .. "\r\n", command.read(("%s/kept/mail/%s.eml"):format(folder, receipt.id)))
    assert.matches("api   SingleSendMail → ann@example.net  \"Hello 您好 ~*'()!\"   " .. receipt.id, err, 1, true)
    for _, name in ipairs { "Signature", "AccessKeyId", "SecurityToken", "Action" } do assert.is_nil(meta.params[name]) end
  end)

  it("meets API faults by rule", function()
    local code, out, err = run { "sandbox", "--fault", "api:SingleSendMail:InvalidSendMail.Spam", "--", command.exe, "send", "--via", "api", "--to",
      "ann@example.net", "--subject", "x", "--text", "x", "--json" }
    assert.equal(1, code, out .. err)
    assert.same({ "refused", "InvalidSendMail.Spam" }, { json.decode(out).outcome, json.decode(out).detail })
    assert.matches("api   SingleSendMail  400 InvalidSendMail.Spam (fault: api:SingleSendMail:InvalidSendMail.Spam)", err, 1, true)
  end)
end)
