--- The pages of the inbox. They need no script, and hold no text of a mail unescaped.
-- @module directmail.sandbox.page
local err = require "directmail.err"

local M = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local STYLE = [[
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b2129; --soft: #5b6673; --line: #dde2e8; --accent: #b4480f;
  --tint: #fdf1ea; --code: #f0f2f5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181d; --card: #1c2229; --ink: #e6eaef; --soft: #9aa6b3; --line: #313a44; --accent: #ff9a62; --tint: #2a211c; --code: #12161b; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC",
  "PingFang SC", "Microsoft YaHei", sans-serif; }
main, header > div { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { background: var(--card); border-bottom: 1px solid var(--line); border-top: 4px solid var(--accent); }
header > div { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; padding-top: .8rem; padding-bottom: .8rem; }
header a { color: inherit; font-weight: 700; font-size: 1.1rem; text-decoration: none; }
header p { margin: 0; color: var(--soft); }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 1.4rem 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.bar { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin: 1.2rem 0 .8rem; }
.bar h1 { margin: 0 auto 0 0; }
form { display: contents; }
button { font: inherit; padding: .4rem .9rem; border: 1px solid var(--line); border-radius: 6px; background: var(--card); color: var(--ink); cursor: pointer; }
button.first { background: var(--accent); border-color: var(--accent); color: var(--card); font-weight: 600; }
button:hover { border-color: var(--accent); }
.mails { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 8px; background: var(--card); overflow: hidden; }
.mails li + li { border-top: 1px solid var(--line); }
.mails a { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 1rem; padding: .6rem 1rem; color: inherit; text-decoration: none; }
.mails a:hover, .mails a:focus-visible { background: var(--tint); }
.mails a:focus-visible { outline-offset: -3px; }
.mails strong { overflow: hidden; overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; }
.soft { color: var(--soft); font-size: .9rem; }
.mails .who { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
time, .via { white-space: nowrap; font-variant-numeric: tabular-nums; }
.right { text-align: right; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem 1rem; margin: .4rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
iframe { width: 100%; height: 60vh; min-height: 12rem; resize: vertical; border: 1px solid var(--line); border-radius: 8px; background: #fff;
  color-scheme: light; }
pre { margin: .4rem 0; padding: .8rem 1rem; background: var(--code); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto;
  font: .86rem/1.5 ui-monospace, SFMono-Regular, Consolas, "DejaVu Sans Mono", monospace; }
pre.text { white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; }
.card { border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: .8rem 1rem; margin: .8rem 0; }
.note { background: var(--tint); }
.card > h2 { margin-top: 0; }
ul.files { list-style: none; }
.back { margin: 1.2rem 0 -.8rem; }
main > :last-child { margin-bottom: 2rem; }
@media (max-width: 36rem) {
  .mails a { grid-template-columns: minmax(0, 1fr); }
  .right { text-align: left; }
}
]]

--- A stranger's text for HTML: one line, control characters and signs that turn the reading direction shown.
-- @tparam ?string text
-- @treturn string
function M.escape(text)
  return (err.printable(text or ""):gsub("[&<>\"']", ENTITIES))
end

-- The same for a text of many lines.
local function lines(text)
  local out = {}
  for line in (text:gsub("\r\n", "\n") .. "\n"):gmatch("([^\n]*)\n") do out[#out + 1] = M.escape((line:gsub("\t", "    "))) end
  return (table.concat(out, "\n"):gsub("\n+$", ""))
end

local escape = M.escape

local function document(title, parts)
  return ([[<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title><link rel="icon" href="data:,"><style>%s</style></head>
<body><header><div><a href="/">Direct Mail sandbox</a>
<p>Mails sent here stay on this machine: nothing leaves it, and nobody receives them.</p></div></header>
<main>%s</main></body></html>
]]):format(escape(title), STYLE, table.concat(parts, "\n"))
end

local function time(text)
  return ('<time datetime="%s">%s</time>'):format(escape(text), escape((text:gsub("T", " "):gsub("%.%d+Z$", " UTC"))))
end

local function via(mail)
  if mail.via == "api" then return "API " .. escape(mail.action) end
  return "SMTP" .. (mail.tls == "starttls" and ", STARTTLS" or mail.tls == "implicit" and ", TLS" or ", clear text")
end

local function subject(mail) return mail.subject ~= "" and escape(mail.subject) or "(no subject)" end

local function size(n)
  if n < 1000 then return n .. " bytes" end
  if n < 1000000 then return ("%.1f kB"):format(n / 1000) end
  return ("%.1f MB"):format(n / 1000000)
end

local function definitions(list)
  local out = {}
  for _, pair in ipairs(list) do
    if pair[2] then out[#out + 1] = ("<dt>%s</dt><dd>%s</dd>"):format(escape(pair[1]), pair[2]) end
  end
  return "<dl>" .. table.concat(out) .. "</dl>"
end

local function code(text) return ('<pre tabindex="0">%s</pre>'):format(lines(text)) end

-- One word for the shell: what needs it is quoted.
local function quoted(text)
  if text:find("^[%w_./:@%%+-]+$") then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function settings(box, open)
  local names, exports = {}, {}
  for name in pairs(box.env) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do exports[i] = ("export %s=%s"):format(name, quoted(box.env[name])) end
  local port = {}
  for name, url in pairs(box.urls) do port[name] = url:match(":(%d+)/?$") end
  local senders, env = {}, box.env
  for i, sender in ipairs(box.senders.list) do senders[i] = ("%s (%s)"):format(escape(sender.address), escape(sender.type)) end
  local tags, templates = {}, {}
  for name in pairs(box.account.tags) do tags[#tags + 1] = escape(name) end
  for id, template in pairs(box.account.templates) do templates[#templates + 1] = ("%s (%s)"):format(escape(id), escape(template.name)) end
  table.sort(tags)
  table.sort(templates)
  return ([[<section class="card"><h2>Settings to copy</h2>
<details%s><summary>Environment, for directmail and the official SDKs</summary>%s</details>
<details><summary>SMTP, for any mail client or library</summary>%s</details>
<details><summary>API, for the official SDK of any language</summary>%s</details>
<details><summary>What this account has</summary>%s</details></section>]]):format(open and " open" or "", code(table.concat(exports, "\n")),
    code(("host      127.0.0.1\nport      %s with STARTTLS, or %s with TLS from the start\nuser      %s\npassword  %s\nCA file   %s")
      :format(port.smtp, port.smtps, env.DIRECTMAIL_SMTP_USER, env.DIRECTMAIL_SMTP_PASSWORD, box.ca)),
    code(("endpoint         127.0.0.1:%s\nprotocol         http\naccessKeyId      %s\naccessKeySecret  %s\nregion           %s")
      :format(port.api, env.ALIBABA_CLOUD_ACCESS_KEY_ID, env.ALIBABA_CLOUD_ACCESS_KEY_SECRET, env.DIRECTMAIL_REGION)),
    definitions {
      { "Senders", table.concat(senders, "<br>") }, { "Tags", table.concat(tags, "<br>") },
      { "Templates", table.concat(templates, "<br>") },
      { "Recipients", "everybody; invalid@, defer@ and full@sandbox.example are refused, so that you can try it" },
    })
end

--- The inbox.
-- @tparam table box `{env, urls, ca, senders, account = directmail.sandbox.account, rules = fault rules in force}`
-- @tparam table mails newest first, those that fit on the page
-- @tparam number count of all
-- @tparam ?string older id from which the next page goes on
-- @treturn string HTML
function M.inbox(box, mails, count, older)
  local parts = { ([[<div class="bar"><h1>%s</h1>
<form method="post" action="/mails"><button class="first" name="do" value="test">Send a test mail</button></form>
<form method="get" action="/"><button>Look again</button></form>%s</div>]]):format(
    count == 0 and "No mail yet" or count == 1 and "1 mail" or count .. " mails",
    count == 0 and "" or '<form method="post" action="/mails"><button name="do" value="clear">Delete all</button></form>') }
  if #box.rules > 0 then
    parts[#parts + 1] = '<p class="card note">Failing on purpose: <code>' .. escape(table.concat(box.rules, "  ·  ")) .. "</code></p>"
  end
  if #mails > 0 then
    local rows = {}
    for i, mail in ipairs(mails) do
      rows[i] = ([[<li><a href="/mails/%s"><strong>%s</strong><span class="soft right">%s</span>
<span class="soft who">%s → %s</span><span class="soft via right">%s</span></a></li>]]):format(mail.id, subject(mail), time(mail.time),
        escape(mail.mail_from), escape(table.concat(mail.rcpt_to, ", ")), via(mail))
    end
    parts[#parts + 1] = '<ol class="mails">' .. table.concat(rows, "\n") .. "</ol>"
    if older then parts[#parts + 1] = ('<p><a href="/?before=%s">Older mails</a></p>'):format(older) end
  else
    parts[#parts + 1] = '<p class="card">Send one with the settings below, or with the button above; then look again.</p>'
  end
  parts[#parts + 1] = settings(box, count == 0)
  return document(count == 0 and "Direct Mail sandbox" or ("(%d) Direct Mail sandbox"):format(count), parts)
end

local function files(mail)
  local rows = {}
  for i, part in ipairs(mail.attachments) do
    rows[i] = ('<li><a href="/mails/%s/attachments/%d" download>%s</a> <span class="soft">%s, %s%s</span></li>'):format(mail.id, i,
      escape(part.name or part.cid or "without a name"), escape(part.type), size(#part.data), part.cid and ", shown in the text" or "")
  end
  return '<ul class="files card">' .. table.concat(rows) .. "</ul>"
end

-- What a header says, encoded words read, for those that people look at.
local function shown(mail, name)
  local value = mail.shown(name)
  return value and escape(value) or nil
end

--- One mail.
-- @tparam table mail of `directmail.sandbox.mails`, with `shown(name)` = a header's text
-- @treturn string HTML
function M.mail(mail)
  local parts = { ('<p class="back"><a href="/">All mails</a></p><h1>%s</h1>'):format(subject(mail)), definitions {
    { "From", shown(mail, "From") }, { "To", shown(mail, "To") }, { "Cc", shown(mail, "Cc") }, { "Reply-To", shown(mail, "Reply-To") },
    { "Date", shown(mail, "Date") }, { "Envelope", escape(mail.from) .. " → " .. escape(table.concat(mail.to, ", ")) },
    { "Arrived", time(mail.time) .. ", " .. via(mail) }, { "Id", mail.id },
    { "Request", mail.request_id and escape(mail.request_id) },
  } }
  if mail.html then
    parts[#parts + 1] = ('<h2>HTML</h2><iframe sandbox="" title="The mail as its reader sees it" src="/mails/%s/html"></iframe>')
      :format(mail.id)
  end
  if mail.text and mail.text_charset then
    parts[#parts + 1] = ('<h2>Text</h2><iframe sandbox="" title="The mail as text" src="/mails/%s/text"></iframe>'):format(mail.id)
  elseif mail.text then
    parts[#parts + 1] = '<h2>Text</h2><pre class="text" tabindex="0">' .. lines(mail.text) .. "</pre>"
  end
  if #mail.attachments > 0 then parts[#parts + 1] = "<h2>Attachments</h2>" .. files(mail) end
  if mail.params then
    local names, list = {}, {}
    for name in pairs(mail.params) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do
      local value = tostring(mail.params[name])
      list[i] = { name, (name == "HtmlBody" or name == "TextBody") and size(#value) or escape(value) }
    end
    parts[#parts + 1] = "<details><summary>Parameters of the call</summary>" .. definitions(list) .. "</details>"
  end
  local headers = {}
  for i, header in ipairs(mail.headers) do headers[i] = { header[1], escape(header[2]) } end
  parts[#parts + 1] = ("<details><summary>All %d headers</summary>%s</details>"):format(#headers, definitions(headers))
  parts[#parts + 1] = ('<p><a href="/mails/%s/raw">The message as it is</a> <span class="soft">%s</span></p>')
    :format(mail.id, size(#mail.raw))
  return document(mail.subject ~= "" and mail.subject or "(no subject)", parts)
end

--- A page that says one thing.
-- @tparam string title
-- @tparam string text
-- @treturn string HTML
function M.note(title, text)
  return document(title, { ('<h1>%s</h1><p>%s</p><p><a href="/">All mails</a></p>'):format(escape(title), escape(text)) })
end

return M
