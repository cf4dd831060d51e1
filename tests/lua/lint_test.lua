-- directmail.lint: good mails have no finding, and every rule is seen firing and seen silent.
local core = require "directmail.core"
local err = require "directmail.err"
local lint = require "directmail.lint"
local memory = require "directmail.host.memory"

local NOW = 1779537600          -- 2026-05-23 12:00 UTC

local function check(source, options)
  local with = { now = function() return NOW end, kind = "transactional" }
  for name, value in pairs(options or {}) do with[name] = value end
  return assert(lint.check(source, with))
end

local function rules_of(found)
  local list = {}
  for _, finding in ipairs(found.findings) do list[#list + 1] = finding.rule end
  return list
end

local function finding_of(found, rule)
  for _, finding in ipairs(found.findings) do
    if finding.rule == rule then return finding end
  end
end

-- ---- mails ---------------------------------------------------------------------

local FOOT = [[<p>Example Garden makes tools for small gardens. Please add news@mail.example.com to your contacts.</p>
<p><a href="https://www.example.com/unsubscribe">Unsubscribe</a></p>]]
local FOOT_TEXT = "\nExample Garden makes tools for small gardens. Please add news@mail.example.com to your contacts.\n"
  .. "Unsubscribe: https://www.example.com/unsubscribe\n"

local LINES = "In May the beds are warm enough for beans, and the first lettuce can be cut. Sow a short row every two weeks, water in the morning, "
  .. "and keep the soil loose between the plants. Tomatoes go out when the nights stay above ten degrees; until then the glass house keeps them dry. "
  .. "Our page tells how we did it last year, with a plan of the beds and a table of the dates. Write to us when something is not clear, we answer every letter. "
  .. "The seeds are our own, picked in autumn and dried over the winter, and each packet has the year on it."

local function page(inside) return "<!doctype html>\n<html><body>\n<p>Dear Ann,</p>\n" .. (inside or "<p>" .. LINES .. "</p>") .. "\n" .. FOOT .. "\n</body></html>\n" end

-- The fields of a mailing without a fault, changed by the caller's.
local function mailing(changes)
  local fields = { from = "Example Garden <news@mail.example.com>", to = "ann@reader.example.org", subject = "What to sow in May", html = page(),
    text = "Dear Ann,\n\n" .. LINES .. "\n" .. FOOT_TEXT, unsubscribe = "https://www.example.com/u/1" }
  for name, value in pairs(changes or {}) do fields[name] = value or nil end
  return fields
end

-- A finished message, changed by fields of the head (false: left away) and by its body.
local function eml(head, body, with)
  local fields = { From = "Example Shop <noreply@mail.example.com>", To = "ann@reader.example.org", Subject = "Your order has left",
    Date = "Sat, 23 May 2026 11:00:00 +0000", ["Message-ID"] = "<1@mail.example.com>", ["MIME-Version"] = "1.0", ["Content-Type"] = "text/plain; charset=utf-8" }
  for name, value in pairs(head or {}) do fields[name] = value or nil end
  local out = {}
  for _, name in ipairs { "Received", "DKIM-Signature", "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post",
    "X-AliDM-Trace", "X-AliDM-Settings", "MIME-Version", "Content-Type", "Content-Transfer-Encoding" } do
    if fields[name] then out[#out + 1] = name .. ": " .. fields[name] end
  end
  return table.concat(out, with or "\r\n") .. (with or "\r\n"):rep(2) .. (body or "Dear Ann,\r\n\r\nyour order has left our house today.\r\n")
end

-- A mail with one click to unsubscribe, signed over these fields.
local function signed(fields)
  return eml { ["List-Unsubscribe"] = "<https://example.com/u>", ["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click",
    ["DKIM-Signature"] = "v=1; a=rsa-sha256; d=example.com; s=s1; h=" .. fields .. "; b=x" }
end

-- What a misuse raises, with the line that is blamed: luassert takes the line off.
local function raised(fn, words)
  local ok, why = pcall(fn)
  assert.is_false(ok)
  assert.is_truthy(why:find("lint_test.lua:%d+: ") and why:find(words, 1, true), why)
end

local function html(inside) return "<html><body><p>Hello Ann,</p>" .. inside .. "</body></html>" end
local function para(text) return html("<p>" .. text .. "</p>") end
local LONG = "<p>" .. LINES .. "</p>"

local BULK = { kind = "bulk" }
local function with(options, base)
  local out = {}
  for name, value in pairs(base or {}) do out[name] = value end
  for name, value in pairs(options) do out[name] = value end
  return out
end
local function subject(text) return { subject = text } end

local BATCH = [[---
subject: {{name}}, what to sow in May
---
<html><body>
<p>Dear {{name}},</p>
{{! nobody sees {this} }}
{{#beds}}<p>The bed {{title}} is {{{state}}}. <a href="{{url}}">See it</a></p>{{/beds}}
<p>{{company}} makes tools for small gardens. Please add {{sender}} to your contacts.</p>
<p><a href="{{unsubscribe_url}}">Unsubscribe</a></p>
</body></html>
]]

-- Good mails: name, source, options. None of them has a finding.
local GOOD = {
  { "a mailing as a table", mailing(), BULK },
  { "the same with one Chinese reader", mailing { subject = "五月的花园", html = page "<p>豆子现在可以下种，番茄要等夜里暖和。</p>",
    text = "Dear Ann,\n豆子现在可以下种，番茄要等夜里暖和。\n" .. FOOT_TEXT }, BULK },
  { "a Chinese mailing", { from = "示例花园 <news@mail.example.com>", to = "ann@reader.example.org", subject = "五月的花园",
    html = "<html><body><p>尊敬的王女士：</p><p>豆子现在可以下种，番茄要等夜里暖和。</p><p>示例花园有限公司生产小花园的工具，请把 news@mail.example.com 加入通讯录。</p>"
      .. '<p><a href="https://www.example.com/u">退订</a></p></body></html>',
    text = "尊敬的王女士：\n豆子现在可以下种，番茄要等夜里暖和。\n示例花园有限公司生产小花园的工具，请把 news@mail.example.com 加入通讯录。\n退订：https://www.example.com/u\n",
    unsubscribe = "https://www.example.com/u" }, BULK },
  { "a mailing with the service's own link", mailing { unsubscribe = "default" }, BULK },
  { "a mailing with a picture that is described", mailing { html = page(LONG .. '<img src="https://www.example.com/bed.png" alt="The bed in May" width="600" height="300">') },
    BULK },
  { "a mailing with a preview text", mailing { html = page('<div style="display:none;max-height:0">Beans, lettuce and tomatoes&nbsp;&zwnj;&nbsp;&zwnj;</div>' .. LONG) }, BULK },
  { "a template", BATCH, { file = "news.mustache", kind = "bulk" } },
  { "a template by its head", BATCH, { kind = "bulk" } },
  { "a newsletter's HTML alone", page(), { kind = "bulk", organization = "Example Garden" } },
  { "a plain text mailing", "Dear Ann,\n\n" .. LINES .. "\n" .. FOOT_TEXT, { kind = "bulk", sender = "news@mail.example.com" } },
  { "a batch content with the service's variables", page "<p>{UserName}, your bed is ready. Write to {EAddr}.</p>", { kind = "bulk", sender = "Example Garden <a@b.example>" } },
  { "an order confirmation", eml() },
  { "the same with bare line feeds", eml(nil, "Dear Ann,\n\nyour order has left our house today.\n", "\n") },
  { "a password reset", eml({ Subject = "Set a new password" },
    "Hello Ann,\r\n\r\nyou asked for a new password:\r\nhttps://www.example.com/reset?token=8f2c1a\r\n\r\nIt works for one hour.\r\n") },
  { "an answer", eml { Subject = "Re: Your question", ["In-Reply-To"] = "<q@reader.example.org>" } },
  { "an answer in Chinese", eml { Subject = "=?utf-8?B?5Zue5aSN77ya5oKo55qE6Zeu6aKY?=", ["In-Reply-To"] = "<q@reader.example.org>" } },
  { "a quoted-printable mail", eml({ ["Content-Type"] = "text/html; charset=utf-8", ["Content-Transfer-Encoding"] = "quoted-printable" } and
    { ["Content-Transfer-Encoding"] = "quoted-printable" }, "Dear J=C3=BCrgen,\r\n\r\nyour order has left our house today, and =\r\nit will be with you tomorrow.\r\n") },
  { "base64 where the text is Chinese", eml({ ["Content-Transfer-Encoding"] = "base64" }, core.base64 "您好，您的订单已经发出，明天送到。" .. "\r\n") },
  { "a multipart mail", eml({ ["Content-Type"] = 'multipart/alternative; boundary="b"' },
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDear Ann,\r\nyour order has left our house today.\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    .. "<html><body><p>Dear Ann,</p><p>your order has left our house today.</p></body></html>\r\n--b--\r\n") },
  { "an invoice with its file", { from = "shop@mail.example.com", to = "ann@reader.example.org", subject = "Invoice 1042", text = "Hello Ann, the invoice is attached.",
    attachments = { { name = "invoice.pdf", data = "%PDF-1.7" }, { name = "rows.zip", data = "PK\3\4\20\0\0\0\8\0" } } } },
  { "CSS and percentages are no placeholders", html "<style>p{color:red} a{b}</style><p style=\"width:100%\">From 10 % to 20 %, that is 5%-8% more.</p>" },
  { "a percent-encoded link", para 'See <a href="https://www.example.com/%E4%BD%A0%E5%A5%BD?q=50%25">the page</a>.' },
  { "a link that shows its own host", para '<a href="https://click.example.com/x">www.example.com</a> and <a href="https://shop.example.co.uk/">https://www.example.co.uk/</a>' },
  { "an IDN in one alphabet", para '<a href="https://xn--fiqs8s.example/">the page</a> and <a href="https://bücher.example/">books</a>' },
  { "schema.org for mail", html '<script type="application/ld+json">{"@type":"Order"}</script><p>Your order has left.</p>' },
  { "feel free to ask", para "Feel free to ask. The seeds are sugar-free, the entry is free of charge to you as a member." },
  { "Greek in a unit", para "The lamp has 40 W, the wire 2 kΩ and 5 μg of dust; Δt is small." },
  { "an emoji and a family of them", { subject = "Hello 👨‍👩‍👧", from = "shop@mail.example.com", to = "ann@reader.example.org",
    text = "Hello Ann, a letter 👨‍👩‍👧 came." } },
  { "a table that sets its font anew", html '<table style="font-size:0px"><tr><td style="font-size:14px">Your order has left.</td></tr></table>' },
  { "white on a dark ground", html '<div style="background:#222"><p style="color:#fff">Your order has left.</p></div>' },
  { "a mail that tracks nothing", mailing { tag = "may" }, BULK },
  { "plain text with a link at the end of a sentence", "Hello Ann,\nread https://www.example.com/beds. It is short.\n" },
}

-- Every rule: a mail at which it fires, with its weight, and one which is near and at which it is silent.
local GTUBE_ZIP = "PK\3\4\20\0\1\0\8\0"
local CASES = {
  ["subject.empty"] = { 2, { para "x", subject "  " }, { para "x", subject "Hello" } },
  ["subject.allcaps"] = { 2, { para "x", subject "YOUR ORDER HAS LEFT" }, { para "x", subject "RE: VPN" } },
  ["subject.caps-words"] = { 1, { para "x", subject "Look HERE DEAR ANNIE now" }, { para "x", subject "The NATO UNHCR report" } },
  ["subject.exclaim"] = { 1, { para "x", subject "Free seeds!" }, { para "x", subject "Welcome, Ann!" } },
  ["subject.trigger"] = { 0.5, { para "x", subject "Seeds for free" }, { para "x", subject "Feel free to ask" } },
  ["subject.question-exclaim"] = { 0.1, { para "x", subject "Ready?!" }, { para "x", subject "Ready?" } },
  ["subject.buy"] = { 0.7, { para "x", subject "Buy seeds" }, { para "x", subject "Buying seeds" } },
  ["subject.as-seen"] = { 2.6, { para "x", subject "Seeds as seen in Basel" }, { para "x", subject "Was seen in Basel" } },
  ["subject.dollars"] = { 0.1, { para "x", subject "$50 for you" }, { para "x", subject "Your $50 order" } },
  ["subject.money"] = { 0.4, { para "x", subject "You have $5,000" }, { para "x", subject "You have $500" } },
  ["subject.gappy"] = { 0.5, { para "x", subject "s.e.e.d.s here" }, { para "x", subject "A B C Ltd" } },
  ["subject.re-fake"] = { 1.5, { eml { Subject = "Re: your order" } }, { eml { Subject = "Re: your order", ["In-Reply-To"] = "<a@b.c>" } } },
  ["subject.length"] = { 0.3, { para "x", subject(("word "):rep(16) .. "x") }, { para "x", subject(("word "):rep(15)) } },
  ["subject.emoji"] = { 0.5, { para "x", subject "🌱🌻🌽 May" }, { para "x", subject "🌱🌻 May" } },
  ["subject.fixed"] = { 0.2, { "---\nsubject: May\n---\n<p>Dear {{name}}</p>", BULK }, { "---\nsubject: May for {{name}}\n---\n<p>Dear {{name}}</p>", BULK } },
  ["body.empty"] = { 2.1, { "<html><body><img src=x alt=''></body></html>" }, { para "x" } },
  ["body.caps"] = { 1, { para(("GARDENS and other "):rep(4)) }, { para(("Garden AND other "):rep(8)) } },
  ["body.exclaim"] = { 0.5, { para "One! Two! Three! Four!" }, { para "One! Two! Three!" } },
  ["body.exclaim-run"] = { 0.5, { para "Look!!" }, { para "Look! Here!" } },
  ["body.trigger"] = { 0.25, { para "Please act\n  <b>NOW</b>" }, { para "The act, now in Basel" } },
  ["words.leet"] = { 1, { para "We have v1agra" }, { para "We have b2b and h2o, 3 cialisations" } },
  ["words.homoglyph"] = { 1.5, { para "P\208\176ypal asks" }, { para "Привет means hello" } },
  ["words.zero-width"] = { 1, { para "Via\226\128\139gra" }, { para "fine\226\128\139 ok, می\226\128\140خواهم" } },
  ["words.percent-off"] = { 0.3, { para "Now 30% off" }, { para "30% of the beds" } },
  ["words.dollar-run"] = { 0.5, { para "It costs $$ here" }, { para "It costs $5 here" } },
  ["contact.messenger"] = { 0.5, { para "QQ：123456789" }, { para "The Q&A of May" } },
  ["contact.qrcode"] = { 0.5, { html(LONG .. '<img src="qr.png" alt="Our QR code" width=80 height=80>') },
    { html(LONG .. '<img src="square.png" alt="A square" width=80 height=80>') } },
  ["salutation.missing"] = { 0.2, { "<p>In May the beds are warm.</p>", BULK }, { "<p>Dear Ann, in May the beds are warm.</p>", BULK } },
  ["intro.missing"] = { 0.5, { "<p>Dear Ann, in May the beds are warm.</p>", BULK }, { "<p>Dear Ann, in May the beds are warm. Acme Beds</p>",
    with({ organization = "Acme Beds" }, BULK) } },
  ["whitelist-hint.missing"] = { 0.3, { "<p>Dear Ann</p>", BULK }, { "<p>Dear Ann, please add us to your address book</p>", BULK } },
  ["unsub.missing"] = { 2, { "<p>Dear Ann, unsubscribe by a letter</p>", BULK }, { '<p>Dear Ann</p><a href="https://a.example/leave">退订</a>', BULK } },
  ["unsub.oneclick-missing"] = { 1, { mailing { unsubscribe = "mailto:leave@example.com" }, BULK }, { mailing(), BULK } },
  ["unsub.unsigned"] = { 1, { signed "from : To:subject; bh=x", BULK }, { signed "From:List-Unsubscribe:\r\n list-unsubscribe-post", BULK } },      -- rule 5.4
  ["unsub.both"] = { 0.5, { mailing { unsubscribe = { url = "https://a.example/u", link = "default" } }, BULK }, { mailing { unsubscribe = { url = "https://a.example/u" } },
    BULK } },
  ["url.shortener"] = { 2, { html(LONG .. '<a href="HTTPS://bit.ly/x">here</a>') }, { html(LONG .. '<a href="https://rabbit.ly/x">here</a>') } },
  ["url.shortener-short"] = { 1, { para '<a href="https://t.cn/x">here</a>' }, { html(LONG .. '<a href="https://t.cn/x">here</a>') } },
  ["url.ip"] = { 1.5, { para '<a href="https://0x7f.1/">here</a>' }, { para '<a href="https://1.example/">here</a>' } },
  ["url.mismatch"] = { 2, { para '<a href="https://evil.example/">https://bank.example</a>' },
    { para '<a href="https://shop.example.com/">www.example.com/seeds</a> <a href="https://x.example/">report.pdf</a>' } },
  ["url.port"] = { 0.5, { para '<a href="https://a.example:8443/">x</a>' }, { para '<a href="https://a.example:443/">x</a>' } },
  ["url.http-only"] = { 0.3, { para '<a href="http://a.example/">x</a>' }, { para '<a href="https://a.example/">x</a>' } },
  ["url.userinfo"] = { 2, { para '<a href="https://bank.example@evil.example/">x</a>' }, { para '<a href="https://evil.example/@bank">x</a>' } },
  ["url.punycode"] = { 1.5, { para '<a href="https://xn--pple-43d.example/">x</a>' }, { para '<a href="https://xn--bcher-kva.example/">x</a>' } },
  ["url.escaped-host"] = { 0.1, { para '<a href="https://b%61nk.example/">x</a>' }, { para '<a href="https://bank.example/%61">x</a>' } },
  ["url.sharing"] = { 0.5, { para '<a href="https://pan.baidu.com/s/x">x</a>' }, { para '<a href="https://www.baidu.com/">x</a>' } },
  ["html.only"] = { 0.5, { mailing { text = false }, BULK }, { mailing(), BULK } },
  ["html.image-heavy"] = { 1.5, { html '<img src=a alt=x>' }, { html '<p>Your order has left.</p><img src=a alt=x width=200 height=60>' } },
  ["html.linked-image"] = { 1, { html '<a href="https://a.example/"><img src=a alt=x></a>' }, { html(LONG .. '<a href="https://a.example/"><img src=a alt=x></a>') } },
  ["html.hidden-text"] = { 1.5, { html '<p>Text.</p><p style="font-size:0">More words</p>' },
    { html '<p>Text.</p><p style="font-size:0"> </p><p style="display:none">Short note</p>' } },
  ["html.script"] = { 2, { html "<script>x()</script>" }, { html '<script type="application/ld+json">{}</script>' } },
  ["html.form"] = { 2, { html "<form action=x></form>" }, { html "<p>A form</p>" } },
  ["html.iframe"] = { 2, { html '<iframe src="https://a.example/"></iframe>' }, { html "<p>iframe</p>" } },
  ["html.object"] = { 2, { html '<embed src="x.swf">' }, { html "<p>object</p>" } },
  ["html.no-alt"] = { 0.2, { html(LONG .. "<img src=a>") }, { html(LONG .. "<img src=a alt=''><img src=p width=1 height=1>") } },
  ["html.size"] = { 0.7, { html("<p>" .. ("word "):rep(21000) .. "</p>") }, { html("<p>" .. ("word "):rep(20000) .. "</p>") } },
  ["html.title"] = { 1.8, { "<html><head><title>Untitled template</title></head><body>Hello</body></html>", subject "Your order" },
    { "<html><head><title>Order 5</title></head><body>Hello</body></html>", subject "Your order" } },
  ["text-html.differ"] = { 1, { mailing { text = "Everything here is about something else: machines, rivers, bridges, railways, harbours, engines, boilers, turbines." }, BULK },
    { mailing(), BULK } },
  ["template.left"] = { 3, { para "Dear %first_name%," }, { para "10 % to 20 % of A%B" } },
  ["head.date-missing"] = { 1.8, { eml { Date = false } }, { eml() } },
  ["head.date-invalid"] = { 1.1, { eml { Date = "yesterday" } }, { eml() } },
  ["head.date-future"] = { 3, { eml { Date = "Sat, 23 May 2026 16:00:00 +0000" } }, { eml { Date = "Sat, 23 May 2026 14:00:00 +0000" } } },
  ["head.date-past"] = { 2.1, { eml { Date = "Sat, 16 May 2026 11:00:00 +0000", Received = "from a by b; Sat, 23 May 2026 11:00:00 +0000" } },
    { eml { Date = "Sat, 16 May 2026 11:00:00 +0000" } } },
  ["head.message-id"] = { 0.6, { eml { ["Message-ID"] = false } }, { eml() } },
  ["head.to"] = { 1.1, { eml { To = false } }, { eml() } },
  ["head.from"] = { 2, { eml { From = "Example Shop" } }, { eml() } },
  ["head.subject-8bit"] = { 0.9, { eml { Subject = "Grüße" } }, { eml { Subject = "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=" } } },
  ["head.from-8bit"] = { 1.1, { eml { From = "Jürgen <j@mail.example.com>" } }, { eml { From = "=?utf-8?Q?J=C3=BCrgen?= <j@mail.example.com>" } } },
  ["head.reply-to-free"] = { 1.8, { eml { ["Reply-To"] = "shop@163.com" } }, { eml { ["Reply-To"] = "shop@example.com" } } },
  ["head.from-free"] = { 2, { eml { From = "shop@gmail.com" } }, { eml { From = "shop@notgmail.com" } } },
  ["head.internal"] = { 0, { eml { To = "boss@example.com" } }, { eml { To = "boss@example.net" } } },
  ["mime.base64-text"] = { 0.4, { eml({ ["Content-Transfer-Encoding"] = "base64" }, core.base64 "Dear Ann, hello" .. "\r\n") },
    { eml({ ["Content-Transfer-Encoding"] = "base64" }, core.base64 "Dear Jürgen, hello" .. "\r\n") } },
  ["mime.base64-line"] = { 1.4, { eml({ ["Content-Transfer-Encoding"] = "base64" }, core.base64(("Grüße "):rep(20)):gsub("%s", "") .. "\r\n") },
    { eml({ ["Content-Transfer-Encoding"] = "base64" }, core.base64 "Grüße an Ann" .. "\r\n") } },
  ["mime.qp-line"] = { 0.1, { eml({ ["Content-Transfer-Encoding"] = "quoted-printable" }, ("Gruss "):rep(20) .. "\r\n") },
    { eml({ ["Content-Transfer-Encoding"] = "quoted-printable" }, ("Gruss "):rep(10) .. "=\r\nx\r\n") } },
  ["attachment.executable"] = { 4, { mailing { attachments = { { name = "Invoice.pdf.EXE ", data = "MZ" } } } }, { mailing { attachments = { { name = "exe.pdf",
    data = "%PDF" } } } } },
  ["attachment.encrypted"] = { 2, { mailing { attachments = { { name = "a.zip", data = GTUBE_ZIP } } } }, { mailing { attachments = { { name = "a.zip",
    data = "PK\3\4\20\0\0\8" } } } } },
  ["attachment.macro"] = { 1.5, { mailing { attachments = { { name = "a.docm", data = "PK\3\4" } } } }, { mailing { attachments = { { name = "a.docx", data = "PK\3\4" } } } } },
  ["kind.sender"] = { 2, { para "x", { kind = "bulk", sender_type = "trigger" } }, { para "x", { kind = "transactional", sender_type = "trigger" } } },
  ["track.no-link"] = { 0.3, { mailing { tag = "may", track = { clicks = true }, html = "<p>Dear Ann</p>" } }, { mailing { tag = "may", track = { clicks = true } } } },
  ["track.domain"] = { 0, { mailing { tag = "may", track = { opens = true } } },
    { mailing { tag = "may", track = { opens = true } }, { doctor = { checks = { { id = "dns.track", status = "pass" } } } } } },
  ["auth.fail"] = { 3, { para "x", { doctor = { checks = { { id = "dns.spf", status = "fail", cause = "no record" } } } } },
    { para "x", { doctor = { checks = { { id = "smtp.login", status = "fail" }, { id = "dns.dkim", status = "pass" } } } } } },
  ["auth.warn"] = { 1, { para "x", { doctor = { checks = { { id = "dns.dmarc", status = "warn", cause = "p=none" } } } } },
    { para "x", { doctor = { checks = { { id = "dns.dmarc", status = "skip" } } } } } },
}

-- Rules that ask somebody, or look at several mails: tests below.
local ELSEWHERE = { ["subject.same"] = true, ["links.broken"] = true, ["links.unreachable"] = true, ["links.private"] = true, ["links.skipped"] = true,
  ["spamd.spam"] = true }

-- The rules that must be there, and their weights.
local WEIGHTS = { ["subject.allcaps"] = 2, ["subject.exclaim"] = 1, ["subject.trigger"] = 0.5, ["subject.re-fake"] = 1.5, ["subject.length"] = { 0.3, 1 },
  ["subject.empty"] = 2, ["subject.emoji"] = 0.5, ["body.caps"] = { 1, 2 }, ["body.exclaim"] = 0.5, ["body.exclaim-run"] = { 0.5, 1 }, ["body.trigger"] = 0.3,
  ["url.shortener"] = { 2, 1 }, ["url.ip"] = 1.5, ["url.mismatch"] = 2, ["url.port"] = 0.5, ["url.http-only"] = 0.3, ["url.userinfo"] = 2, ["url.punycode"] = 1.5,
  ["unsub.missing"] = 2, ["unsub.oneclick-missing"] = 1, ["html.only"] = 0.5, ["html.image-heavy"] = 1.5, ["html.hidden-text"] = 1.5, ["html.script"] = 2,
  ["html.form"] = 2, ["html.iframe"] = 2, ["html.object"] = 2, ["html.no-alt"] = 0.2, ["html.size"] = 0.7, ["text-html.differ"] = 1, ["intro.missing"] = 0.5,
  ["whitelist-hint.missing"] = 0.3, ["auth.fail"] = 3, ["auth.warn"] = 1, ["attachment.executable"] = 4, ["attachment.encrypted"] = 2, ["attachment.macro"] = 1.5,
  ["template.left"] = 3 }
local MOST = { ["subject.trigger"] = 2, ["body.trigger"] = 2.5, ["url.shortener"] = 4, ["html.no-alt"] = 1 }

describe("lint", function()
  it("is_silent_about_good_mails", function()
    for _, good in ipairs(GOOD) do
      local found = check(good[2], good[3])
      local told = {}
      for _, finding in ipairs(found.findings) do told[#told + 1] = finding.rule .. ": " .. finding.what end
      assert.equal("", table.concat(told, "; "), good[1])
      assert.equal(0, found.score)
    end
    assert.is_true(#GOOD >= 30)
  end)

  for id, case in pairs(CASES) do
    it("fires_and_is_silent: " .. id, function()
      local found = check(case[2][1], case[2][2])
      local finding = finding_of(found, id)
      assert.is_truthy(finding, id .. " does not fire; there were: " .. table.concat(rules_of(found), " "))
      assert.equal(case[1], finding.weight)
      assert.is_true(#finding.what > 5 and #finding.cause > 10 and #finding.remedy > 5)
      assert.is_nil(finding.what:find("%s", 1, true) and finding.what:find "%%s")
      assert.is_true(finding.line == nil or finding.line >= 1)
      local quiet = finding_of(check(case[3][1], case[3][2]), id)
      assert.is_nil(quiet, id .. " fires at its neighbour: " .. (quiet and quiet.what or ""))
    end)
  end

  it("tests_every_rule_of_the_list", function()
    local n = 0
    for _, row in ipairs(lint.rules()) do
      assert.is_truthy(CASES[row.id] or ELSEWHERE[row.id], row.id .. " is not tested")
      n = n + 1
    end
    assert.is_true(n >= 80)
    local known = {}
    for _, row in ipairs(lint.rules()) do known[row.id] = row end
    for id in pairs(CASES) do assert.is_truthy(known[id], id) end
    for id, weight in pairs(WEIGHTS) do
      assert.same(weight, known[id].weight, id)
      if MOST[id] then assert.equal(MOST[id], known[id].max, id) end
    end
    -- mails of this file
    assert.is_true(2 * n + #GOOD > 60)
  end)

  it("asks_bulk_rules_of_bulk_mail_only", function()
    for _, rule in ipairs { "unsub.missing", "unsub.oneclick-missing", "intro.missing", "whitelist-hint.missing", "salutation.missing" } do
      local source = { from = "a@mail.example.com", to = "b@reader.example.org", subject = "May", text = "In May." }
      assert.is_truthy(finding_of(check(source, BULK), rule), rule)
      assert.is_nil(finding_of(check(source), rule), rule)
    end
  end)

  it("guesses_the_kind", function()
    local function kind(source) return assert(lint.check(source, { now = os.time })).kind end
    assert.equal("bulk", kind(page()))
    assert.equal("bulk", kind(eml { ["List-Unsubscribe"] = "<https://a.example/>" }))
    assert.equal("bulk", kind { text = "Hello", subject = "x", unsubscribe = "default" })
    assert.equal("transactional", kind(eml()))
  end)

  it("counts_a_rule_no_higher_than_its_maximum_and_the_score_is_the_sum", function()
    local links = {}
    for i, host in ipairs { "bit.ly", "t.cn", "is.gd", "ow.ly" } do links[i] = ('<a href="https://%s/x">x</a>'):format(host) end
    local found = check(html(LONG .. table.concat(links)))
    local sum, n = 0, 0
    for _, finding in ipairs(found.findings) do
      if finding.rule == "url.shortener" then sum, n = sum + finding.weight, n + 1 end
    end
    assert.same({ 4, 4 }, { sum, n })
    local total = 0
    for _, finding in ipairs(found.findings) do total = total + finding.weight end
    assert.is_true(math.abs(total - found.score) < 1e-9)
    -- a page that says one thing a thousand times is told once
    assert.equal(1, #check(html(LONG .. ('<a href="https://bit.ly/x">x</a>'):rep(1000))).findings)
  end)

  it("names_the_line", function()
    local source = "<html><body>\n<p>Hello Ann</p>\n\n<p>Dear %name%,\nplease act now</p>\n<a href='https://bit.ly/x'>x</a>\n</body></html>"
    local found = check(source)
    assert.equal(4, finding_of(found, "template.left").line)
    assert.equal(5, finding_of(found, "body.trigger").line)
    assert.equal(6, finding_of(found, "url.shortener").line)
    local template = check("---\nsubject: Free seeds\n---\n\n{{! a\n comment }}<p>{{name}}</p>\n<p>Act now</p>")
    assert.equal(7, finding_of(template, "body.trigger").line)
    assert.equal(2, finding_of(template, "subject.trigger").line)
  end)

  it("names_the_line_of_a_finished_message", function()
    local plain = check(eml({ Subject = "Free seeds" }, "Hello\r\n\r\nplease act now\r\n"))
    assert.equal(11, finding_of(plain, "body.trigger").line)
    assert.equal(3, finding_of(plain, "subject.trigger").line)
    local quoted = check(eml({ ["Content-Transfer-Encoding"] = "quoted-printable" }, "Hello =\r\nAnn =\r\n!\r\nplease act now\r\n"))
    assert.equal(13, finding_of(quoted, "body.trigger").line)
    local parts = check(eml({ ["Content-Type"] = "multipart/mixed; boundary=b" }, "--b\r\nContent-Type: image/png; name=x.png\r\n\r\nabc\r\n"
      .. "--b\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n<p>please act now</p>\r\n--b--\r\n"))
    assert.equal(17, finding_of(parts, "body.trigger").line)
    local lines = {}
    for i = 1, 40 do lines[i] = ("line %02d of the mail\r\n"):format(i) end
    lines[40] = "please act now, Jürgen\r\n"
    local encoded = {}
    local text = table.concat(lines)
    for i = 1, #text, 57 do encoded[#encoded + 1] = (core.base64(text:sub(i, i + 56)):gsub("%s", "")) end
    local found = check(eml({ ["Content-Transfer-Encoding"] = "base64" }, table.concat(encoded, "\r\n") .. "\r\n"))
    assert.equal(10 + math.floor((text:find("please", 1, true) - 1) / 57), finding_of(found, "body.trigger").line)
  end)

  it("finds_placeholders_of_many_styles_and_the_targets_of_links", function()
    for _, left in ipairs { "{{name}}", "{name}", "${name}", "#{name}", "%name%", "%%name%%", "[[name]]", "[FIRST_NAME]", "*|NAME|*", "{% if name %}", "{$name}", "@@name@@" } do
      for _, source in ipairs { para("Dear " .. left), para('<a href="https://a.example/?' .. "u=" .. left .. '">x</a>') } do
        if left ~= "{name}" or not source:find("href", 1, true) then
          local finding = finding_of(check(source), "template.left")
          assert.is_truthy(finding, left)
          assert.is_truthy(finding.what:find(left, 1, true), finding.what)
        end
      end
      assert.is_truthy(finding_of(check(para "x", subject("Hello " .. left)), "template.left"), left)
    end
    assert.is_truthy(finding_of(check(para "Dear &lt;%= name %&gt;"), "template.left"))
    assert.is_truthy(finding_of(check(para '<a href="https://a.example/?u=%7B%7Bname%7D%7D">x</a>'), "template.left").what:find("{{name}}", 1, true))
    assert.is_nil(finding_of(check(mailing { allow_placeholders = true, subject = "{{x}}" }), "template.left"))
    -- Mustache in a template is none; another style is
    assert.is_nil(finding_of(check("<p>Dear {{name}}</p>", { file = "a.mustache" }), "template.left"))
    assert.is_truthy(finding_of(check("<p>Dear {{name}} %name%</p>", { file = "a.mustache" }), "template.left"))
    assert.is_truthy(finding_of(check("<p>Dear {{name}}</p>", { file = "a.html" }), "template.left"))
    assert.is_nil(finding_of(check("<p>Dear {{name}}</p>", { file = "a.html", template = true }), "template.left"))
    -- the service fills its own in for a batch only
    assert.is_truthy(finding_of(check(para "Dear {UserName}"), "template.left"))
  end)

  it("reads_words_as_filters_do", function()
    for text, phrase in pairs { ["ＡＣＴ　ＮＯＷ"] = "act now", ["a\226\128\139ct now"] = "act now", ["<b>act</b> <i>now</i>"] = "act now", ["act&nbsp;now"] = "act now",
      ["Don\226\128\153t miss out"] = "don't miss out", ["现在免费领取"] = "免费领取", ["加QQ聊"] = "加qq" } do
      local finding = finding_of(check(para(text)), "body.trigger")
      assert.is_truthy(finding, text)
      assert.is_truthy(finding.what:find(phrase, 1, true), finding.what)
    end
    for _, text in ipairs { "act</p><p>now", "the act. Now", "actnow", "react now", "risk, free" } do
      local finding = finding_of(check(para(text)), "body.trigger")
      assert.is_true(finding == nil or finding.what:find("act now", 1, true) == nil, text)
    end
    -- the longest phrase of a place, each once
    local found = check(para "Absolutely free, absolutely free")
    assert.equal(1, #found.findings)
    assert.is_truthy(found.findings[1].what:find("absolutely free", 1, true))
  end)

  it("speaks_chinese", function()
    local en, zh = check(page "<p>act now %x%</p>", BULK), check(page "<p>act now %x%</p>", with({ language = "zh" }, BULK))
    assert.same(rules_of(en), rules_of(zh))
    for i, finding in ipairs(zh.findings) do
      for _, field in ipairs { "what", "cause", "remedy" } do
        assert.is_truthy(finding[field]:find "[\228-\233][\128-\191][\128-\191]", finding.rule .. " " .. field)
        assert.are_not.equal(en.findings[i][field], finding[field])
      end
    end
  end)

  it("takes_rules_of_the_users_own", function()
    local house = { rules = { ["house.colour"] = { weight = 1.5, max = 2, what = "the colour %s", cause = "we are blue", remedy = "be blue" },
      ["house.bulk"] = { weight = 1, kind = "bulk", what = "b", cause = "c", remedy = "d" } },
      check = function(mail, report)
        report("house.colour", { line = 3 }, "red")
        report("house.colour", { line = 4 }, mail.kind)
        report "house.bulk"
      end }
    local found = check(para "x", { rules = { house } })
    assert.same({ "house.colour", "house.colour" }, rules_of(found))
    assert.same({ 2, "the colour red" }, { found.score, found.findings[1].what })
    for _, wrong in ipairs { {}, { check = print }, { check = print, rules = { x = {} } }, { check = print, rules = { ["html.only"] = {} } },
      { check = print, rules = { ["a.b"] = { weight = 1, what = "a", cause = "b" } } } } do
      assert.is_string(lint.wrong_family(wrong))
    end
    raised(function() lint.check("x", { rules = { {} } }) end, "option rules of lint.check, entry 1")
    raised(function() check(para "x", { rules = { { rules = {}, check = function(_, report) report "no.such" end } } }) end, 'nobody knows a rule "no.such"')
  end)

  it("leaves_out_what_is_ignored", function()
    assert.same({}, rules_of(check("<p>Dear Ann</p>", { kind = "bulk", ignore = { "intro.missing", "whitelist-hint.missing", "unsub.missing" } })))
  end)

  it("looks_at_a_run", function()
    local items = {}
    for i = 1, 250 do items[i] = { source = eml { Subject = i <= 100 and "May" or "May for reader " .. i }, file = i .. ".eml" } end
    local run = assert(lint.run(items, { kind = "transactional", now = function() return NOW end }))
    assert.same({ 250, 1, "subject.same", 0.5 }, { #run.mails, #run.findings, run.findings[1].rule, run.score })
    assert.equal("100 of 250 mails have the subject May", run.findings[1].what)
    for i = 1, 250 do items[i].source = eml { Subject = i <= 60 and "May" or "May for reader " .. i } end
    assert.same({}, lint.run(items, { kind = "transactional", now = function() return NOW end }).findings)
    -- the worst mail's score, not the sum: a hundred small faults are no spam
    run = assert(lint.run({ { source = para "act now", file = "a" }, { source = para "act now!!!", file = "b" } }, { kind = "transactional" }))
    assert.same({ 1.25, "a", "b" }, { run.score, run.findings[1].file, run.findings[2].file })
  end)

  it("fills_a_templates_message_in", function()
    local template = require "directmail.template".new({ subject = "Hi {{name}}", html = "<p>Hello {{name}}, act now</p>" }, nil, require "directmail.host", 1)
    local found = check { from = "a@mail.example.com", to = "b@reader.example.org", template = template, data = { name = "Ann" } }
    assert.is_truthy(finding_of(found, "body.trigger"))
    assert.equal("Hi Ann", found.subject)
    local none, e = lint.check { template = template, data = {} }
    assert.same({ nil, "CONTENT" }, { none, e.code })
  end)

  it("raises_misuse_at_the_callers_line_and_returns_what_the_world_did", function()
    raised(function() lint.check("x", { kidn = "bulk" }) end, 'unknown field "kidn" in lint.check (did you mean "kind"?)')
    raised(function() lint.check("x", { kind = "spam" }) end, "option kind of lint.check must be bulk or transactional")
    raised(function() lint.check { subjcet = "x" } end, 'unknown field "subjcet"')
    raised(function() lint.check { subject = 5 } end, "field subject must be a string")
    raised(function() lint.check { attachments = { 5 } } end, "entry 1 of field attachments cannot be a number")
    for at, words in pairs { [{ line = "5" }] = "the line of a.b is no whole number", [{ line = 1.5 }] = "the line of a.b",
      [{ weight = "5" }] = "the weight of a.b is no number" } do
      raised(function()
        lint.check("x", { rules = { { rules = { ["a.b"] = { weight = 1, what = "x", cause = "y", remedy = "z" } }, check = function(_, report) report("a.b", at) end } } })
      end, words)
    end
    raised(function() lint.check("x", { spamd = 5 }) end, "option spamd of lint.check must be a string, not a number")
    raised(function() lint.check("x", { links = 5 }) end, "option links of lint.check must be a boolean or table, not a number")
    raised(function() lint.check("x", { doctor = {} }) end, "option doctor of lint.check must be what directmail.doctor gave")
    raised(function() lint.run(nil) end, "bad argument #1 to lint.run")
    raised(function() lint.run { 5 } end, "mail 1 for lint.run must be { source =, file = }, not a number")
    raised(function() lint.run({}, { kidn = 1 }) end, 'unknown field "kidn" in lint.check')
    assert.same({}, lint.check("", { ignore = "body.empty", format = "text" }).findings)
    raised(function() lint.check(5) end, "bad argument #1 to lint.check")
    local none, e = lint.check(("x"):rep(33554433))
    assert.is_nil(none)
    assert.is_true(err.is(e))
    assert.equal("SIZE", e.code)
    none, e = lint.check(("<b>"):rep(2000) .. "<p>", { format = "html" })
    assert.is_true(none ~= nil or e.code == "CONTENT")
  end)

  it("bounds_what_a_hostile_mail_costs", function()
    local start = os.clock()
    for _, part in ipairs { "{{", "{{!", "<%", "%a", "[A_", "*|", "{", "${", "free ", "!", "$", "免费", "a.", "=", "0", "a@", "<p>", "\239\188\129", "http://", "%%", "v1",
      "&#8203;" } do
      for _, format in ipairs { "html", "text", "eml" } do
        local found, e = lint.check(part:rep(40000), { format = format, now = os.time })
        assert.is_true(found ~= nil or err.is(e), part)
        if found then assert.is_true(#found.findings <= 500, part) end
      end
    end
    local many = {}
    for i = 1, 3000 do many[i] = ('<a href="https://h%d.bit.ly/">x</a>'):format(i) end
    assert.equal(500, #check(html(table.concat(many))).findings)
    many = {}
    for i = 1, 300 do many[i] = ("X-%d: y\r\n"):format(i) end
    assert.is_truthy(check((eml():gsub("\r\n\r\n", "\r\n" .. table.concat(many) .. "\r\n", 1))))
    -- some seconds at most, on a busy machine
    assert.is_true(os.clock() - start < 60, tostring(os.clock() - start))
  end)

  it("shows_a_strangers_words_printable_and_short", function()
    local found = check(para('<a href="https://bit.ly/\27[31m' .. ("x"):rep(500) .. '">x</a>'))
    local what = finding_of(found, "url.shortener").what
    assert.is_nil(what:find "%c")
    assert.is_true(#what < 200)
  end)
end)

describe("lint's addresses", function()
  local public = require "directmail.lint.public"

  it("tells_public_ones_from_others", function()
    for _, address in ipairs { "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111",
      "2a00:1450:4001:82a::200e", "2001:4860:4860::8888" } do
      assert.is_nil(public.why_not(address), address)
    end
    for _, address in ipairs { "127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "224.0.0.1",
      "255.255.255.255",
      "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
        "2001:db8::1", "2002:7f00:1::",
      "2001::1", "ff02::1", "3fff::1", "010.0.0.1", "8.8.8", "8.8.8.8.8", "1.2.3.256", "", "::1::2", "1:2:3:4:5:6:7", "2a00:::1", "localhost" } do
      assert.is_string(public.why_not(address), address)
    end
  end)
end)

describe("lint's links", function()
  local host, requests

  -- A web on the memory host: pages by "host path" -> answer; each request is kept.
  local function web(pages, zone)
    host, requests = memory.new(), {}
    for name, records in pairs(zone or {}) do host.zone[name] = records end
    for _, address in ipairs { "93.184.216.34", "8.8.4.4", "127.0.0.1", "10.0.0.1" } do
      for _, port in ipairs { 80, 443 } do
        local listener = assert(host.listen(address, port))
        host.spawn(function()
          while true do
            local sock = listener:accept()
            if not sock then return end
            host.spawn(function()
              if port == 443 then sock:sslaccept(host.identity("www.example.com", "k")) end
              local bytes = sock:receiveany(8192)
              if not bytes then return end
              local method, path = bytes:match "^(%u+) (%S+)"
              local name = bytes:match "\nHost: ([^\r\n]*)"
              requests[#requests + 1] = ("%s %s %s%s"):format(address, method, name, path)
              local answer = pages[name .. path] or "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"
              if answer ~= "" then sock:send(answer) end
              sock:close()
            end)
          end
        end)
      end
    end
    return host
  end

  local OK = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
  local function to(location) return "HTTP/1.1 302 Found\r\nLocation: " .. location .. "\r\nContent-Length: 0\r\n\r\n" end
  local A = { A = { { address = "93.184.216.34" } } }

  local function ask(links, options)
    local parts = { LONG }
    for _, url in ipairs(links) do parts[#parts + 1] = ('<a href="%s">x</a>'):format(url:gsub("&", "&amp;")) end
    local found
    local task = host.spawn(function()
      found = check(html(table.concat(parts)), with(options or {}, { links = true, host = host, ignore = { "url.http-only", "url.port", "url.ip", "url.userinfo",
        "template.left" } }))
    end)
    assert(host.wait(task))
    local told = {}
    for _, finding in ipairs(found.findings) do told[#told + 1] = finding.rule .. " " .. finding.what end
    return told
  end

  it("asks_with_head_once_each_and_is_silent_about_what_works", function()
    web({ ["www.example.com/a"] = OK, ["www.example.com/b"] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
      ["www.example.com/d"] = "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n" }, { ["www.example.com"] = A })
    assert.same({}, ask { "http://www.example.com/a", "http://www.example.com/a#part", "https://www.example.com/b", "http://www.example.com/d", "mailto:a@example.com", "#top" })
    assert.same({ "93.184.216.34 HEAD www.example.com/a", "93.184.216.34 HEAD www.example.com/b", "93.184.216.34 HEAD www.example.com/d" }, requests)
  end)

  it("tells_what_is_broken_and_what_nobody_answers", function()
    web({ ["www.example.com/gone"] = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", ["www.example.com/drop"] = "",
      ["www.example.com/bad"] = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n" },
      { ["www.example.com"] = A, ["late.example.com"] = "timeout", ["empty.example.com"] = {}, ["far.example.com"] = { A = { { address = "8.8.8.8" } } } })
    local told = table.concat(ask { "http://www.example.com/none", "http://www.example.com/gone", "http://www.example.com/bad", "http://www.example.com/drop",
      "http://nobody.example.com/", "http://late.example.com/", "http://empty.example.com/", "http://far.example.com/" }, "\n")
    for _, words in ipairs { "links.broken a link that does not work: http://www.example.com/none (404)", "/gone (410)", "/bad (500)",
      "links.unreachable a link that nobody answers: http://www.example.com/drop (closed)", "nobody.example.com/ (the host does not exist)",
      "late.example.com/ (DNS: timeout)", "empty.example.com/ (the host has no address)",
        "links.unreachable a link that nobody answers: http://far.example.com/ (connection refused)" } do
      assert.is_truthy(told:find(words, 1, true), words .. "\n" .. told)
    end
  end)

  it("never_asks_a_link_that_may_carry_a_recipients_token", function()
    web({}, { ["www.example.com"] = A })
    local links = { "http://www.example.com/unsubscribe", "http://www.example.com/x?u=1", "http://www.example.com/x?token=abc", "http://www.example.com/x?utm_source=f81d4fae7dec",
      "http://www.example.com/8f2c1a9b7d3e", "http://www.example.com/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "http://www.example.com/c/abc", "http://www.example.com/1234567",
      "http://www.example.com/ann%40reader.example.org", "http://user@www.example.com/", "http://www.example.com:8080/", "http://www.example.com/%7B%7Bid%7D%7D",
      "http://www.example.com/{{id}}", "http://www.example.com/VeryLongAbcdefghijklmnopqrStuv", "http://www.example.com/x?email=a", "http://a1b2c3d4e5f6a7b8c9.example.com/" }
    local told = ask(links)
    assert.equal(#links, #told)
    for _, one in ipairs(told) do assert.is_truthy(one:find "^links.skipped", one) end
    assert.same({}, requests)
    assert.same({}, host.asked)           -- not even its name
  end)

  it("asks_pages_with_words_and_harmless_parameters", function()
    web({ ["www.example.com/2026-05/what-to-sow-in-may.html?utm_source=mail&lang=en"] = OK, ["www.example.com/news/12"] = OK }, { ["www.example.com"] = A })
    assert.same({}, ask { "http://www.example.com/2026-05/what-to-sow-in-may.html?utm_source=mail&lang=en", "http://www.example.com/news/12" })
    assert.equal(2, #requests)
  end)

  it("never_asks_an_address_that_is_not_public_also_behind_a_name_or_a_redirect", function()
    web({ ["www.example.com/in"] = to "http://127.0.0.1/secret", ["www.example.com/name"] = to "http://inside.example.com/", ["www.example.com/six"] = to "http://[::1]/" },
      { ["www.example.com"] = A, ["inside.example.com"] = { A = { { address = "10.0.0.1" } } },
        ["both.example.com"] = { A = { { address = "93.184.216.34" }, { address = "127.0.0.1" } } },
        ["six.example.com"] = { A = { { address = "93.184.216.34" } }, AAAA = { { address = "fd00::1" } } } })
    local told = ask { "http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/", "http://inside.example.com/", "http://both.example.com/",
      "http://six.example.com/",
      "http://www.example.com/in", "http://www.example.com/name", "http://www.example.com/six", "http://100.100.100.200/" }
    assert.equal(11, #told)
    for _, one in ipairs(told) do assert.is_truthy(one:find "^links.private", one) end
    assert.same({ "93.184.216.34 HEAD www.example.com/in", "93.184.216.34 HEAD www.example.com/name", "93.184.216.34 HEAD www.example.com/six" }, requests)
  end)

  it("follows_redirects_to_a_limit_and_none_that_carries_a_token", function()
    web({ ["www.example.com/a"] = to "/b", ["www.example.com/b"] = to "https://www.example.com/d", ["www.example.com/d"] = OK, ["www.example.com/loop"] = to "/loop",
      ["www.example.com/t"] = to "/never", ["www.example.com/token"] = OK, ["www.example.com/go"] = to "/x?token=1", ["www.example.com/dir/x"] = to "y",
        ["www.example.com/dir/y"] = OK,
      ["www.example.com/mail"] = to "mailto:a@example.com" }, { ["www.example.com"] = A })
    assert.same({}, ask { "http://www.example.com/a", "http://www.example.com/go", "http://www.example.com/dir/x", "http://www.example.com/mail" })
    assert.equal("93.184.216.34 HEAD www.example.com/d", requests[3])
    for _, one in ipairs(requests) do assert.is_nil(one:find "token", one) end
    local told = ask { "http://www.example.com/loop" }
    assert.is_truthy(told[1]:find("more than 5 redirects", 1, true), told[1])
  end)

  it("connects_to_the_address_that_was_checked", function()
    -- a name that answers otherwise the second time is asked once
    web({ ["www.example.com/"] = OK }, { ["www.example.com"] = A })
    ask { "http://www.example.com/" }
    assert.same({ "www.example.com A", "www.example.com AAAA" }, host.asked)
    assert.same({ "93.184.216.34 HEAD www.example.com/" }, requests)
  end)

  it("asks_no_more_than_a_hundred", function()
    local pages, links = {}, {}
    for i = 1, 120 do
      pages["www.example.com/p/" .. i] = OK
      links[i] = "http://www.example.com/p/" .. i
    end
    web(pages, { ["www.example.com"] = A })
    local told = ask(links)
    assert.same({ 100, 1 }, { #requests, #told })
    assert.is_truthy(told[1]:find("more than 100 links", 1, true))
  end)

  it("asks_nobody_unless_it_is_told_to", function()
    web({}, { ["www.example.com"] = A })
    check(para '<a href="http://www.example.com/">x</a>', { host = host })
    assert.same({ {}, {} }, { requests, host.asked })
  end)
end)

describe("lint's spamd", function()
  local got

  local function run(answer, source, options)
    local host = memory.new()
    local listener = assert(host.listen("127.0.0.1", 783))
    got = nil
    host.spawn(function()
      local sock = listener:accept()
      local bytes = sock:receiveany(65536)
      while true do
        local n, at = bytes:match "Content%-length: (%d+)\r\n\r\n()"
        if n and #bytes - at + 1 >= tonumber(n) then break end
        local more = sock:receiveany(65536)
        if not more then break end
        bytes = bytes .. more
      end
      got = bytes
      if answer == "silence" then return end
      sock:send(answer)
      sock:close()
    end)
    local found, e
    local ok, why = host.wait(host.spawn(function()
      found, e = lint.check(source or eml(), with(options or {}, { kind = "transactional", spamd = "127.0.0.1", host = host, now = function() return NOW end }))
    end))
    assert(ok, why)
    return found, e
  end

  it("hands_the_message_over_and_adds_the_verdict", function()
    local found = run "SPAMD/1.1 0 EX_OK\r\nContent-length: 18\r\nSpam: True ; 6.9 / 5.0\r\n\r\nMONEY_BACK,FOO_BAR\r\n"
    local finding = finding_of(found, "spamd.spam")
    assert.same({ 5, 5, "SpamAssassin calls it spam: 6.9 of 5.0 (MONEY_BACK FOO_BAR)" }, { finding.weight, found.score, finding.what })
    assert.same({ spam = true, score = 6.9, threshold = 5, rules = { "MONEY_BACK", "FOO_BAR" } }, found.spamd)
    local message = eml()
    assert.equal(("SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n%s"):format(#message, message), got)
  end)

  it("is_silent_about_ham", function()
    local found = run "SPAMD/1.1 0 EX_OK\r\nSpam: False ; -0.1 / 5.0\r\n\r\nDKIM_VALID\r\n"
    assert.same({ {}, false, -0.1 }, { found.findings, found.spamd.spam, found.spamd.score })
  end)

  it("makes_a_message_of_html_and_of_fields", function()
    run("SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5.0\r\n\r\n\r\n", para "Hello", { subject = "Grüße" })
    assert.is_truthy(got:find("Subject: =?UTF-8?", 1, true) and got:find("Message-ID: <", 1, true) and got:find("text/html", 1, true), got)
    run("SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5.0\r\n\r\n\r\n", mailing())
    assert.is_truthy(got:find("From: news@mail.example.com", 1, true) and got:find("multipart/alternative", 1, true), got)
  end)

  it("returns_an_error_for_every_other_answer", function()
    for _, answer in ipairs { "", "hello", "SPAMD/1.1 76 Bad header line\r\n\r\n", "SPAMD/1.1 0 EX_OK\r\n\r\n", "SPAMD/1.1 0 EX_OK\r\nSpam: maybe\r\n\r\n",
      "SPAMD/1.1 0 EX_OK\r\nSpam: True ; x / y\r\n\r\n", ("x"):rep(70000) } do
      local none, e = run(answer)
      assert.is_nil(none)
      assert.same({ "PROTOCOL", "127.0.0.1:783" }, { e.code, e.where.peer })
    end
    local none, e = run "silence"
    assert.same({ nil, "TIMEOUT" }, { none, e.code })
    none, e = run("", nil, { spamd = "127.0.0.1:784" })
    assert.same({ nil, "CONNECT" }, { none, e.code })
    none, e = run("", nil, { spamd = "a b" })
    assert.same({ nil, "OPTION", "spamd" }, { none, e.code, e.detail })
  end)
end)
