--- Rules for what a mail should have: salutation, introduction, a request to be remembered, a way out; and for what the service's
-- rules keep out of it.
-- @module directmail.lint.parts
local phrases = require "directmail.lint.phrases"
local read = require "directmail.read"

local M = {}

local START = 400               -- octets in which a salutation stands

local function has_salutation(mail)
  local start = mail.body:gsub("^%s+", ""):sub(1, START):lower()
  if mail.template and start:sub(1, 120):find("\239\191\188", 1, true) then return true end      -- a value at the beginning: a name
  for _, word in ipairs(require "directmail.data.lint_phrases".salutation) do
    local at = 1
    while true do
      local from, to = start:find(word, at, true)
      if not from then break end
      local whole = not (from > 1 and start:sub(from - 1, from - 1):find "%w") and not start:sub(to + 1, to + 1):find "%w"
      if whole or word:find "[\128-\255]" then return true end
      at = to + 1
    end
  end
  return false
end

-- Is there something to leave by: a link, its text, a header, the service's own link?
local function unsubscribe_of(mail)
  local header = mail.headers and read.field(mail.headers, "List-Unsubscribe")
  local given = mail.fields and mail.fields.unsubscribe
  if type(given) == "table" and given[1] == nil then given = given.url or given.link end
  if header or given and given ~= "disabled" then return true end
  for _, link in ipairs(mail.links) do
    local low = link.url:lower()
    if phrases.has(phrases.fold(link.text .. " " .. low), "unsubscribe") or low:find "unsub" or low:find "optout" then return true end
  end
  if mail.html then return false end
  -- in plain text the address stands beside the words, or one answers
  return phrases.has(mail.body, "unsubscribe") and (#mail.links > 0 or mail.body:find "@" ~= nil or mail.body:lower():find "reply" ~= nil)
end

-- List-Unsubscribe with https, and List-Unsubscribe-Post (RFC 8058, 3.1); nil when the headers are not known.
local function one_click(mail)
  if mail.headers then
    local list, post = read.field(mail.headers, "List-Unsubscribe"), read.field(mail.headers, "List-Unsubscribe-Post")
    return list ~= nil and list:lower():find("<https://", 1, true) ~= nil and post ~= nil and post:lower():find("list-unsubscribe=one-click", 1, true) ~= nil
  end
  if not mail.fields then return nil end
  local given = mail.fields.unsubscribe
  if type(given) == "table" and given[1] == nil then given = given.url or given.link end
  if type(given) ~= "table" then given = { given } end
  for _, one in ipairs(given) do
    -- the service adds its own where it writes its link
    if type(one) == "string" and (one:find "^https://" or one == "default" or one == "zh-cn" or one == "en-us") then return true end
  end
  return false
end

-- What the service does about unsubscribing: X-AliDM-Settings is base64 of JSON.
local function service_link(mail)
  local fields = mail.fields and mail.fields.unsubscribe
  if type(fields) == "table" and fields.link then return fields.link ~= "disabled" and fields.url ~= nil end
  local header = mail.headers and read.field(mail.headers, "X-AliDM-Settings")
  local json = header and require "directmail.core".base64_decode(header)
  local kind = json and json:match '"LinkType"%s*:%s*"([^"]*)"'
  return kind ~= nil and kind ~= "disabled" and read.field(mail.headers, "List-Unsubscribe") ~= nil
end

-- A mail that was signed, and none of its signatures covers both fields of one click.
local function one_click_unsigned(mail)
  local signed = false
  if not (mail.headers and read.field(mail.headers, "List-Unsubscribe-Post")) then return false end
  for _, header in ipairs(mail.headers) do
    if header[1]:lower() == "dkim-signature" then
      local covered = {}
      for name in ((";" .. header[2]):lower():match ";%s*h%s*=([^;]*)" or ""):gmatch "[^:%s]+" do covered[name] = true end
      if covered["list-unsubscribe"] and covered["list-unsubscribe-post"] then return false end
      signed = true
    end
  end
  return signed
end

local function has_introduction(mail)
  local low = " " .. mail.body:lower():gsub("%s+", " ") .. " "
  local from = mail.from or mail.options.sender
  local names = { mail.options.organization or false, from and from:match '^%s*"?([^"<@]*[^"<@%s])"?%s*<' or false,
    mail.sender_domain and require "directmail.lint.url".organisation(mail.sender_domain):match "^[^.]+" or false }
  for i = 1, 3 do
    local name = names[i]
    if name and #name >= 3 and low:find(name:lower(), 1, true) then return true end
  end
  for _, word in ipairs(mail.values and { "company", "organi", "brand", "shop", "firm" } or {}) do
    if mail.values:find(word, 1, true) then return true end
  end
  return phrases.has(low, "introduction")
end

-- QQ, a QQ group or number, WeChat in both languages, WhatsApp and Telegram, each with an account behind it.
local MESSENGERS = { "%f[%w]qq%s?:?%s?(%d%d%d%d%d+)", "%f[%w]qq\231\190\164%s?:?%s?(%d%d%d%d%d+)", "%f[%w]qq\229\143\183%s?:?%s?(%d%d%d%d%d+)",
  "\229\190\174\228\191\161%s*:%s*([%w_-]+)", "\229\190\174\228\191\161\229\143\183%s?:?%s?([%w_-]+)", "%f[%w]wechat%s*:%s*([%w_-]+)",
  "%f[%w]wechat id%s?:?%s?([%w_-]+)", "%f[%w]whatsapp%s?:?%s?(%+?%d[%d ]+)", "%f[%w]telegram%s*:%s*(@?[%w_]+)" }

local function check_contacts(mail, report)
  local low = mail.body:lower()
  for _, pattern in ipairs(MESSENGERS) do
    local at, whole = low:match("()(" .. pattern .. ")")
    if at then report("contact.messenger", { line = mail.line_at(at) }, whole) end
  end
  for _, image in ipairs(mail.images) do
    local about = phrases.fold((image.alt or "") .. " " .. image.src:sub(1, 512))
    if phrases.has(about, "qrcode") or about:lower():find "%f[%w]qr%f[%W]" then
      report("contact.qrcode", { line = image.line, element = "img" }, image.alt and image.alt ~= "" and image.alt or image.src)
    end
  end
end

function M.check(mail, report)
  if mail.characters > 0 and not has_salutation(mail) then report("salutation.missing", { line = mail.line_at(1) }) end
  if not has_introduction(mail) then report("intro.missing", { line = 1 }) end
  if not phrases.has(mail.body, "contacts") then report("whitelist-hint.missing", { line = 1 }) end
  if not unsubscribe_of(mail) then report("unsub.missing", { line = 1 }) end
  if one_click(mail) == false then report("unsub.oneclick-missing", { line = mail.header_lines and mail.header_lines["list-unsubscribe"] or 1 }) end
  if one_click_unsigned(mail) then report("unsub.unsigned", { line = mail.header_lines["dkim-signature"] or 1, element = "DKIM-Signature" }) end
  if service_link(mail) then report("unsub.both", { line = mail.header_lines and mail.header_lines["x-alidm-settings"] or 1 }) end
  check_contacts(mail, report)
end

return M
