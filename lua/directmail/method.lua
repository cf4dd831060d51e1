--- Which method carries a message, and why: SMTP or the API's SingleSendMail.
-- What the API cannot carry stands in src/data/carry.tsv, each row with its reason.
-- @module directmail.method
local carry = require "directmail.data.carry"
local err = require "directmail.err"
local limits = require "directmail.data.limits"

local M = {}

local refuse = err.refuse

-- Characters of UTF-8 text: octets that begin one.
local function characters(text)
  local _, n = text:gsub("[^\128-\191]", "")
  return n
end

-- How much of something the draft has, in the unit of the row's limit.
local COUNT = {
  api_to = function(d) return #d.box.to end,
  api_bcc = function(d) return #d.box.bcc end,
  api_reply_to = function(d) return #d.box.reply_to end,
  api_headers = function(d) return #M.headers(d) end,
  api_body_octets = function(d, row) return #(d.fields[row.field] or "") end,
  api_subject = function(d) return characters(d.fields.subject or "") end,
  api_from_alias = function(d) return characters(d.from.name or "") end,
  api_address = function(d)
    local most = 0
    for i = 1, #d.to do most = math.max(most, #d.to[i]) end
    return most
  end,
}

local function allowed(names, name)
  for i = 1, #names do
    local start = names[i]:match "^(.*)%*$"
    if start and name:sub(1, #start):lower() == start:lower() or name:lower() == names[i]:lower() then return true end
  end
  return false
end

local APPLIES = {
  present = function(d, row)
    local value = d.fields[row.field]
    if row.field == "cc" then return #d.box.cc > 0 end
    if row.field == "attachments" then return #d.parts > 0 end
    return value ~= nil
  end,
  over = function(d, row) return COUNT[row.limit](d, row) > limits[row.limit] end,
  over_name = function(d, row)
    local first = d.box.reply_to[1]
    return first ~= nil and characters(first.name or "") > limits[row.limit]
  end,
  comma = function(d)
    for _, name in ipairs { "to", "bcc" } do
      for _, box in ipairs(d.box[name]) do
        if box.comma or box.quoted then return true end
      end
    end
    return false
  end,
  other = function(d, row)
    for i = 1, #d.headers do
      if not allowed(row.names, d.headers[i][1]) then return true end
    end
    return false
  end,
  one = function(d)
    local track = d.fields.track
    return track ~= nil and (not track.opens) ~= (not track.clicks)
  end,
}

--- The headers that SingleSendMail gets for a draft: ours and the caller's.
-- @tparam table d a draft
-- @treturn table list of {name, value}
function M.headers(d)
  local out = { { "Message-ID", d.message_id } }
  if d.unsubscribe.list then out[#out + 1] = { "List-Unsubscribe", d.unsubscribe.list } end
  if d.unsubscribe.one_click then out[#out + 1] = { "List-Unsubscribe-Post", require "directmail.message".ONE_CLICK } end
  -- the API takes no other names than X-User-...
  if d.box.redirected then out[#out + 1] = { "X-User-Directmail-Redirected-To", d.box.redirected } end
  for i = 1, #d.headers do out[#out + 1] = d.headers[i] end
  return out
end

--- The first reason why SingleSendMail cannot carry a draft.
-- @treturn table|nil a row of directmail.data.carry
function M.obstacle(d)
  for i = 1, #carry do
    if APPLIES[carry[i].when](d, carry[i]) then return carry[i] end
  end
end

local BY_SMTP, BY_TRANSPORT = { via = "smtp" }, { via = "transport" }       -- nobody writes to them

local function choose(mail, d, dry)
  local settings = mail.settings
  local via = d.fields.via or settings.via or "auto"
  if settings.transport then return BY_TRANSPORT end
  if via == "smtp" then return BY_SMTP end
  if via ~= "auto" and via ~= "api" then
    return refuse("OPTION", "via", ('via: "%s" is not known'):format(err.printable(via)), "use auto, smtp or api")
  end
  local row = M.obstacle(d)
  if row then
    if via == "auto" then return { via = "smtp", reason = row.reason } end
    return refuse("OPTION", "via", ("via = api cannot carry this mail: %s (%s)"):format(row.reason, row.field),
      "leave via away: then it goes by SMTP, with the SMTP password of " .. d.from.address)
  end
  if via == "auto" and not (settings.api or settings.region or settings.route) and settings.smtp then return BY_SMTP end
  local keys, e = require "directmail.credentials".find(settings, mail.host, { offline = dry })
  if keys or dry and via == "api" then return { via = "api", credentials = keys } end
  if dry or via == "auto" and (settings.smtp_password or settings.smtp) then return { via = "smtp" } end
  -- keys come and go with the machine; a region that is none is what whoever sees this mistyped
  local _, wrong = require "directmail.region".of(settings)
  if wrong then return nil, wrong end
  if via == "auto" then
    return nil, err.new {
      code = "CREDENTIALS", cause = e.cause .. "; and there is no SMTP password", retry = e.retry, blame = "credentials",
      remedy = e.remedy .. "; or set DIRECTMAIL_SMTP_PASSWORD to send by SMTP",
    }
  end
  return nil, e
end

--- Choose the method. May wait: for credentials, and for whether the tag exists.
-- @tparam table mail the mail object
-- @tparam table d a draft
-- @tparam[opt] boolean dry nothing will be sent: missing credentials are no obstacle
-- @treturn table `{ via="smtp"|"api"|"transport", reason=text|nil, credentials=table|nil }`, or nil, err
function M.choose(mail, d, dry)
  local method, e = choose(mail, d, dry)
  if method and method.via == "smtp" and d.fields.tag and not dry then
    local ok, wrong = require "directmail.tag".check(mail, d)
    if not ok then return nil, wrong end
  end
  return method, e
end

return M
