--- SingleSendMail: a draft as the parameters of one API call.
-- @module directmail.single
local api = require "directmail.api"
local core = require "directmail.core"
local json = require "cjson"
local method = require "directmail.method"

local M = {}

local function addresses(boxes)
  local out = {}
  for i = 1, #boxes do out[i] = boxes[i].address end
  return table.concat(out, ",")
end

local LEAST = 0.001             -- seconds that a wait for the rate leaves of a deadline

local function or_nil(text) return text ~= "" and text or nil end

--- The parameters of SingleSendMail, checked by `directmail.method` beforehand.
-- @tparam table d a draft of `directmail.message`
-- @treturn table name -> value
function M.params(d)
  local box, fields, headers = d.box, d.fields, {}
  for _, pair in ipairs(method.headers(d)) do headers[pair[1]] = pair[2] end
  local reply = box.reply_to[1]
  local track = fields.track
  local text = fields.text
  if not text and not d.html then text = "" end
  return {
    AccountName = d.from.address, AddressType = 1, FromAlias = or_nil(d.from.name),
    ReplyToAddress = false,             -- the console's reply address is not used: ours, or none
    ReplyAddress = reply and reply.address, ReplyAddressAlias = reply and or_nil(reply.name),
    ToAddress = box.redirected and table.concat(d.to, ",") or addresses(box.to),
    BccAddress = not box.redirected and or_nil(addresses(box.bcc)) or nil,
    Subject = fields.subject or "", HtmlBody = d.html, TextBody = text,
    TagName = fields.tag, ClickTrace = track and track.opens and track.clicks and "1" or nil,
    UnSubscribeLinkType = d.unsubscribe.link, UnSubscribeFilterLevel = d.unsubscribe.filter, IpPoolId = fields.ip_pool,
    Headers = json.encode(headers),
  }
end

-- Rates are the service's own: others have none (design, section 3).
local function is_direct(settings)
  local at = api.endpoint(settings)
  return at and core.region_of_host(at.host) ~= nil
end

--- Send a draft.
-- @tparam table mail the mail object
-- @tparam table d a draft
-- @tparam table credentials of `directmail.credentials`
-- @tparam[opt] boolean patient the time limit begins when the rate allows the call; else it holds for that wait too
-- @treturn table receipt, or nil, err
function M.send(mail, d, credentials, patient)
  local settings, fields = mail.settings, d.fields
  local params = M.params(d)
  local call = { credentials = credentials, timeout = fields.timeout or settings.timeout, sends = true, mails = true }
  local direct = is_direct(settings)
  if direct or settings.rate then
    local waited, late = mail.pace:mail("single", direct and d.to or nil, not patient and call.timeout or nil)
    if not waited then return nil, late end
    if call.timeout and not patient then call.timeout = math.max(LEAST, call.timeout - waited) end
  end
  local answer, e = api.call(mail, "SingleSendMail", params, call)
  if e and e.outcome == "unknown" and (fields.on_unknown or settings.on_unknown) == "resend" then
    answer, e = api.call(mail, "SingleSendMail", params, call)          -- the same Message-ID: a reader may fold the two
  end
  if not answer then return nil, e end
  return {
    outcome = "sent", via = "api", id = answer.body:match '"EnvId"%s*:%s*"?(%w+)', message_id = d.message_id,
    request_id = answer.RequestId, region = answer.region, seconds = answer.where.seconds,
    bytes = #(params.HtmlBody or "") + #(params.TextBody or ""), accepted = d.to, refused = {},
  }
end

return M
