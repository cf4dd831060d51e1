--- What a refusal means: who is to blame, whether it passes by itself, what to do.
-- For SMTP the rules are rows of src/data/smtp_errors.tsv, and the first that fits wins; for the API the codes are
-- rows of src/data/api_errors.tsv. Each row has its source. Causes and remedies are there in English and in Chinese.
-- @module directmail.explain
local limits = require "directmail.data.limits"

local M = {}

-- 47 KB of table: parsed when the first reply is explained, not when a program starts.
local function rules()
  return require "directmail.data.smtp_errors"
end

--- The languages of causes and remedies.
M.LANGUAGES = { "en", "zh" }

-- Where Chinese sentences stand, by a rule's id.
local CHINESE = { smtp = "directmail.data.smtp_errors_zh", api = "directmail.data.api_errors_zh" }

local function known(language)
  for _, one in ipairs(M.LANGUAGES) do
    if one == (language or "en") then return one end
  end
  error(("unknown language %q"):format(tostring(language)), 3)
end

-- Cause and remedy of a rule: the row's own, or its `zh`, or those of the table of that kind.
local function sentences(rule, kind, language)
  if language == "en" then return rule.cause, rule.remedy end
  local both = rule.zh or require(CHINESE[kind])[rule.id or rule.code]
  return both[1], both[2]
end

-- The steps of a session (design, section 11) as the phases of the rules.
local PHASE = { connect = "connect", banner = "connect", ehlo = "connect", starttls = "connect", quit = "connect", auth = "auth",
  mail = "mail", rcpt = "rcpt", data = "data", dot = "data", event = "event" }

-- Which rules speak of whose words. Direct Mail's own session never shows a receiver's texts.
local LEFT_OUT = {
  any = {},
  directmail = { ["recipient:gmail"] = true, ["recipient:outlook"] = true, ["recipient:yahoo"] = true, ["recipient:qq"] = true,
    ["recipient:netease"] = true },
}

local function phase_of(phase)
  if phase == nil then return nil end
  return PHASE[phase] or error(("unknown phase %q"):format(tostring(phase)), 3)
end

-- The text as the rules compare it: one line, lower case, cut, since a stranger chose its length.
local function comparable(text)
  return (text:sub(1, limits.explain_octets):gsub("[\r\n]+", " "):lower())
end

-- Pieces of one alternative, each behind the one before.
local function found(text, pieces)
  local from = 1
  for _, piece in ipairs(pieces) do
    local _, last = text:find(piece, from)
    if not last then return false end
    from = last + 1
  end
  return true
end

local function says(rule, text)
  for _, pattern in ipairs(rule.none or {}) do
    if text:find(pattern) then return false end
  end
  for _, pieces in ipairs(rule.any) do
    if found(text, pieces) then return true end
  end
  return false
end

local function fits(rule, phase, code, text)
  return (phase == nil or rule.phase == "any" or rule.phase == phase)
    and (code == nil or rule.code == nil or rule.code == code)
    and (text == nil or says(rule, text))
end

local function result(rule, language)
  local cause, remedy = sentences(rule, "smtp", language)
  return { id = rule.id, cause = cause, remedy = remedy, blame = rule.blame, retry = rule.retry,
    permanent = rule.permanence == "permanent", source = rule.source, tag = rule.tag,
    phase = rule.phase ~= "any" and rule.phase or rule.hint }
end

-- No rule: the first digit is all we know (RFC 5321, 4.2.1).
local AGREED = { cause = "the server agreed", remedy = "nothing is to be done", retry = "no", permanence = "success",
  zh = { "服务器同意", "无需处理" } }
local DIGITS = {
  [2] = AGREED, [3] = AGREED,
  [4] = { cause = "the server refused for now", remedy = "try again later; read the server's text", retry = "backoff", permanence = "temporary",
    zh = { "服务器暂时拒绝", "稍后重试，并看服务器返回的文字" } },
  [5] = { cause = "the server refused for good", remedy = "read the server's text; do not send the same again", retry = "no",
    permanence = "permanent", zh = { "服务器永久拒绝", "看服务器返回的文字，不要原样再发" } },
}
local NO_CODE = { cause = "this is no reply code of SMTP", remedy = "check that the peer is a mail server", retry = "no", permanence = "permanent",
  zh = { "这不是 SMTP 的应答码", "检查对方是不是邮件服务器" } }

local function by_first_digit(code, language)
  local digit = math.floor(code / 100)
  local row = DIGITS[digit] or NO_CODE
  local cause, remedy = sentences(row, "smtp", language)
  return { id = DIGITS[digit] and digit .. "yz" or "none", cause = cause, remedy = remedy, blame = "none", retry = row.retry,
    permanent = row.permanence == "permanent", source = "RFC 5321 4.2.1" }
end

--- Explain one reply.
-- @tparam table reply `phase` (a step of the session: connect banner ehlo starttls auth mail rcpt data dot quit; or event, for
--   a delivery event's text; nil: not known), `code` (number), `text` (string, may be empty), `scope` ("directmail": our own
--   session with the service; "any", the default: all rules), `language` ("en", the default, or "zh")
-- @treturn table `{ id=, cause=, remedy=, blame=, retry="no"|"backoff"|"later"|"next-day", permanent=, source=, tag=, phase= }`;
--   never nil: without a rule the first digit speaks
function M.reply(reply)
  local language, phase, text = known(reply.language), phase_of(reply.phase), comparable(reply.text or "")
  local left_out = LEFT_OUT[reply.scope or "any"] or error(("unknown scope %q"):format(tostring(reply.scope)), 2)
  for _, rule in ipairs(rules()) do
    if not left_out[rule.scope] and fits(rule, phase, reply.code, text) then return result(rule, language) end
  end
  return by_first_digit(reply.code, language)
end

--- All rules that may be meant, for `directmail explain`: the same number says different things at different steps.
-- @tparam table about any of `code` (number), `text`, `phase`, `tag` ("sm060104"); what is left out does not choose; `language`
-- @treturn {table,...} as of `reply`, in matching order, one a rule; with a text only the rule that wins at each step;
--   empty when nothing is known
function M.list(about)
  local language = known(about.language)
  local phase, text = phase_of(about.phase), about.text and about.text ~= "" and comparable(about.text) or nil
  local list, seen, won = {}, {}, {}
  for _, rule in ipairs(rules()) do
    -- a rule for any number, or for any text, is meant only when the other was said
    local any_text = #rule.any[1] == 0
    local chosen = about.tag ~= nil or (about.code ~= nil and rule.code ~= nil) or (text ~= nil and not any_text)
    if chosen and (about.tag == nil or rule.tag == about.tag) and not seen[rule.id] and not won[rule.phase]
      and fits(rule, phase, about.code, text) then
      seen[rule.id] = true
      list[#list + 1] = result(rule, language)
      if text then
        won[rule.phase] = true
        if rule.phase == "any" then break end
      end
    end
  end
  return list
end

--- Our error code for an explained reply.
-- @tparam table rule of `reply`
-- @tparam string phase the step at which the reply came
-- @treturn string QUOTA, THROTTLED, AUTH or REFUSED
function M.code(rule, phase)
  if rule.blame == "quota" then return "QUOTA" end
  if rule.blame == "rate" then return "THROTTLED" end
  if rule.blame == "credentials" and phase == "auth" then return "AUTH" end
  return "REFUSED"
end

local DAY, ZONE = 86400, 8 * 3600

--- Seconds to wait before the same may work.
-- @tparam table rule of `reply`
-- @tparam[opt] number now UTC, for `next-day`: the day is taken to change at midnight UTC+8, the vendor's own zone (which one
--   the service uses is not documented); without it a whole day
-- @treturn number|nil nil when it is not to be repeated
function M.after(rule, now)
  if rule.retry == "backoff" then return limits.retry_backoff end
  if rule.retry == "later" then return limits.retry_later end
  if rule.retry ~= "next-day" then return nil end
  if not now then return DAY end
  return math.max(1, math.ceil(DAY - (now + ZONE) % DAY))
end

--- The fields of an error that a reply calls for, ready for `err.new` beside `detail`, `reply`, `outcome` and `where`.
-- `retry` follows the rule and not the number: 436 and 440 are permanent, the quota replies of 552 are not.
-- @tparam table reply as of `M.reply`
-- @tparam[opt] number now UTC, for `after`
-- @treturn table `{ code=, cause=, remedy=, blame=, retry=, after= }`
function M.fields(reply, now)
  local rule = M.reply(reply)
  return { code = M.code(rule, reply.phase), cause = rule.cause, remedy = rule.remedy, blame = rule.blame,
    retry = rule.retry ~= "no", after = M.after(rule, now) }
end

-- ---- the API ------------------------------------------------------------------

-- Whole codes by their lower-case form, and the beginnings, the longest first; made when the first answer is explained.
local codes, beginnings

local function read_codes()
  codes, beginnings = {}, {}
  for _, row in ipairs(require "directmail.data.api_errors") do
    if row.prefix then beginnings[#beginnings + 1] = row else codes[row.code:lower()] = row end
  end
  table.sort(beginnings, function(a, b) return #a.prefix > #b.prefix end)
end

-- The row of a code, and whether the code itself stands there: `Forbidden.Other` is only like `Forbidden`.
local function row_of(code)
  if not codes then read_codes() end
  code = code:sub(1, limits.explain_octets):lower()
  if codes[code] then return codes[code], true end
  if code:find("throttling", 1, true) then return codes.throttling, true end      -- the official SDKs decide so
  for _, row in ipairs(beginnings) do
    local more = #code - #row.prefix
    -- Invalid<Name> stands for every code without a family of its own, so what is before a dot goes first
    if not row.named and more >= 0 and code:sub(1, #row.prefix) == row.prefix then return row, false end
  end
  local family = code:match "^(.+)%."
  while family do
    if codes[family] then return codes[family], false end
    family = family:match "^(.+)%."
  end
  for _, row in ipairs(beginnings) do
    if row.named and #code > #row.prefix and code:sub(1, #row.prefix) == row.prefix then return row, false end
  end
end

-- No row: the class of the status is all we know (RFC 9110, 15).
local CLIENT = { code = "4xx", our = "REFUSED", cause = "the service refused the request", blame = "none", retry = "no", outcome = "refused",
  remedy = "read the service's message; do not send the same again", source = "RFC 9110 15.5",
  zh = { "服务拒绝了请求", "看服务返回的说明，不要原样再发" } }
local SERVER = { code = "5xx", our = "REFUSED", cause = "the service, or a server before it, has a fault", blame = "none", retry = "backoff",
  outcome = "unknown", source = "RFC 9110 15.6",
  remedy = "repeat what only reads, with growing pauses; after a send look the recipient up in the sending records first",
  zh = { "服务或它前面的服务器有故障", "只读操作可以逐渐拉长间隔重试；发信请求要先按收信人查询发送记录" } }
local NO_ANSWER = { code = "none", our = "PROTOCOL", cause = "this is no answer of the API", blame = "none", retry = "no", outcome = "unknown",
  remedy = "check the API's address (DIRECTMAIL_API) and the proxy; after a send look the recipient up in the sending records first",
  source = "RFC 9110 15",
  zh = { "这不是 API 的应答", "检查 API 地址（DIRECTMAIL_API）和代理；发信之后要先按收信人查询发送记录" } }

local function by_status(status)
  if status == 429 then return (row_of "throttling") end
  if status and status >= 400 and status < 500 then return CLIENT end
  return status and status >= 500 and SERVER or NO_ANSWER
end

local function api_row(answer)
  local status, row, whole = answer.status, nil, nil
  if answer.code then row, whole = row_of(answer.code) end
  -- a code that is only like a known one does not outweigh a status that says otherwise
  if row and (whole or not status or (status ~= 429 and status < 500)) then return row end
  return status and row_of(("HTTP %d"):format(status)) or by_status(status)
end

local function api_result(row, language)
  local cause, remedy = sentences(row, "api", language)
  return { id = row.code, cause = cause, remedy = remedy, blame = row.blame, retry = row.retry, permanent = row.retry == "no",
    source = row.source, our = row.our, outcome = row.outcome, layer = row.layer, status = row.status }
end

--- Explain one answer of the API that is no success.
-- @tparam table answer `code` (the answer's Code, as it came; nil: it had none), `status` (of HTTP; nil: not known), `language`
-- @treturn table `{ id=, cause=, remedy=, blame=, retry="no"|"backoff"|"later"|"next-day"|"once", permanent=, source=,
--   our=our error code, outcome="refused"|"unknown" of a call that sends mail, layer=, status=as documented }`; `once`: after
--   the correction that the remedy names (the clock, the nonce, the token); never nil: without a row the status speaks
function M.api(answer)
  local language = known(answer.language)
  return api_result(api_row(answer), language)
end

--- What a code of the API means, for `directmail explain`.
-- @tparam string code in any case
-- @tparam[opt="en"] string language
-- @treturn table|nil as of `api`; nil when nothing is known about it
function M.api_code(code, language)
  language = known(language)
  local row = row_of(code)
  return row and api_result(row, language)
end

--- The fields of an error that an answer of the API calls for, ready for `err.new` beside `detail`, `reply`, `request_id` and `where`.
-- A client makes the one repeat of `once` itself, so an error that is told has `retry = false` then; so has one whose
-- outcome is unknown.
-- @tparam table answer as of `api`, and `sending` = false for a call that may be repeated: its outcome is never unknown
-- @tparam[opt] number now UTC, for `after`
-- @treturn table `{ code=, cause=, remedy=, blame=, retry=, after=, outcome= }`
function M.api_fields(answer, now)
  local rule = M.api(answer)
  local outcome = rule.outcome
  if outcome == "unknown" and answer.sending == false then outcome = rule.our == "PROTOCOL" and "not_sent" or "refused" end
  local retry = outcome == "refused" and not rule.permanent and rule.retry ~= "once"
  return { code = rule.our, cause = rule.cause, remedy = rule.remedy, blame = rule.blame, retry = retry,
    after = retry and M.after(rule, now) or nil, outcome = outcome }
end

return M
