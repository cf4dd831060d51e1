--- `directmail sandbox`: Direct Mail on this machine only.
-- @module directmail.command.sandbox
local child = require "directmail.command.child"

-- Settings in the order in which people read them; `env` of --json has all.
local function json_line(box)
  local json = require "cjson"
  local function text(value) return (json.encode(value):gsub("\\/", "/")) end
  local names, env = {}, {}
  for name in pairs(box.env) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do env[i] = text(name) .. ":" .. text(box.env[name]) end
  local parts = {}
  for _, name in ipairs { "api", "smtp", "smtps", "web" } do
    if box.urls[name] then parts[#parts + 1] = text(name) .. ":" .. text(box.urls[name]) end
  end
  parts[#parts + 1] = '"ca":' .. text(box.ca)
  parts[#parts + 1] = '"dir":' .. text(box.dir)
  parts[#parts + 1] = '"env":{' .. table.concat(env, ",") .. "}"
  return "{" .. table.concat(parts, ",") .. "}\n"
end

-- An event as one line for people; nil for those that only the log keeps.
local function event_line(event)
  local what
  if event.event == "mail" then
    what = ('%s → %s  "%s"   %s'):format(event.action or event.mail_from, table.concat(event.rcpt_to, ", "), event.subject, event.id)
  elseif event.event == "call" and (event.fault or event.status ~= 200) then
    local said = event.status and ("%d %s"):format(event.status, event.code or event.text or "") or "no answer"
    what = ("%s  %s%s%s"):format(event.action or "call", said, event.note and (" (%s)"):format(event.note) or "",
      event.fault and (" (fault: %s)"):format(event.fault) or "")
  elseif event.event == "command" and (event.step == "auth" or event.fault or (event.reply or 0) >= 400) then
    local about = event.user or event.rcpt_to or event.mail_from or ""
    local said = event.reply and ("%d %s"):format(event.reply, event.text) or "no reply"
    what = ("%s %s  %s%s"):format(event.step:upper(), about, said, event.fault and (" (fault: %s)"):format(event.fault) or "")
  elseif event.event == "tls" and not event.ok then
    what = "TLS failed: " .. event.why
  elseif event.event == "error" then
    what = "error: " .. event.text
  end
  return what and ("%s %-5s %s\n"):format(os.date("%H:%M:%S"), event.via or "", what)
end

local function bare(url) return (url:gsub("^%a+://", ""):gsub("/$", "")) end

local function greeting(box, kept)
  return ("Direct Mail on this machine only: nothing leaves it.\n"
    .. "  inbox  %s\n"
    .. "  api    %s   smtp %s (STARTTLS)   smtps %s\n"
    .. "  mails  %s/mail%s\n"
    .. "  use    directmail sandbox -- ./my-test         (or --json: its first line has the settings to export)\n")
    :format(box.urls.web, box.urls.api, bare(box.urls.smtp), bare(box.urls.smtps), box.dir, kept and "" or "   (removed at the end; --dir DIR keeps them)")
end

local function port(text)
  local n = tonumber(text)
  if not text:find("^%d+$") or n > 65535 then return nil, ("%q is no port: 0 to 65535, 0 for a free one"):format(text) end
  return math.tointeger(n)
end

-- The settings for a command: its own temporary credentials do not go with our AccessKey, and an empty variable counts as unset.
local function child_env(box)
  local env = { ALIBABA_CLOUD_SECURITY_TOKEN = "" }
  for name, value in pairs(box.env) do env[name] = value end
  return env
end

return {
  name = "sandbox",
  summary = "run an emulator of Direct Mail on this machine, for tests and the first try",
  examples = {
    "directmail sandbox",
    "directmail sandbox -- ./my-test --all",
    "directmail sandbox --json --dir /tmp/box --fault auth:526:once --fault 'rcpt:559:to=*@bad.example'",
  },
  own_arguments = true,

  parser = function(parser)
    parser:option "--dir" :argname "DIR"
      :description "keep mails and log there (DIR/mail, DIR/log.jsonl); else a private folder, removed at the end"
    parser:option "--api-port" :argname "N" :convert(port) :default "0" :description "port of the HTTP API; 0: a free one"
    parser:option "--smtp-port" :argname "N" :convert(port) :default "0" :description "port that offers STARTTLS; 0: a free one"
    parser:option "--smtps-port" :argname "N" :convert(port) :default "0" :description "port that begins with TLS; 0: a free one"
    parser:option "--web-port" :argname "N" :convert(port) :default "0" :description "port of the inbox for browsers and tests; 0: a free one"
    parser:option "--sender" :argname "ADDR" :count "*"
      :description "a sender address besides noreply@mail.example.com and news@mail.example.com"
    parser:option "--fault" :argname "RULE" :count "*"
      :description("fail on purpose, STEP:WHAT[:WHEN]...: auth:526:once, rcpt:559:to=*@bad.example, dot:drop:1/100:seed=7, "
        .. "banner:slow=3, starttls:tls=expired, api:SingleSendMail:Throttling.User")
    parser:flag "--json" :description "first line of stdout, once all listen: addresses, files and settings to export"
    parser:argument "command" :args "*" :description "behind --: run it with the settings in its environment, end with its status"
  end,

  run = function(args)
    local host = require "directmail.host"
    local argv = args.command
    local has_command = argv[1] ~= nil
    host.umask(tonumber("077", 8))              -- mails are nobody else's
    local out = has_command and io.stderr or io.stdout          -- stdout belongs to the command that runs
    local function on_event(event)
      local line = event_line(event)
      if line then
        out:write(line)
        out:flush()
      end
    end
    local box, why = require "directmail.sandbox".start {
      host = host, dir = args.dir, api_port = args.api_port, smtp_port = args.smtp_port, smtps_port = args.smtps_port,
      web_port = args.web_port,
      senders = args.sender, faults = args.fault, on_event = not args.json and on_event or nil,
    }
    if not box then return nil, why end
    local signal = host.spawn(host.signal, "TERM", "INT")
    if args.json then
      io.stdout:write(json_line(box))
    else
      out:write(greeting(box, args.dir))
    end
    io.stdout:flush()
    local status = 0
    if has_command then
      status, why = child.run(host, argv, child_env(box), signal)
    else
      host.wait(signal)
    end
    box:stop()
    if not status then return nil, why end
    return status
  end,
}
