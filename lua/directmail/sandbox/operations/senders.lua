--- Sender addresses: made, changed, deleted, listed with what they sent.
local state = require "directmail.sandbox.operations.state"

local M = {}

local MOST = 100        -- sender addresses of an account (Direct Mail, "Limits")

-- Recipients that each account name wrote to: today, this month, in requests and all.
local function counts(a)
  local day, month, found = os.date("!%Y-%m-%d", math.floor(a.now)), os.date("!%Y-%m", math.floor(a.now)), {}
  for _, mail in ipairs(a.box.mails:all()) do
    local name = (mail.account or mail.user or mail.mail_from):lower()
    local of = found[name] or { day = 0, month = 0 }
    found[name] = of
    if mail.time:sub(1, 10) == day then of.day = of.day + #mail.rcpt_to end
    if mail.time:sub(1, 7) == month then of.month = of.month + #mail.rcpt_to end
  end
  return found
end

function M.QueryMailAddressByParam(a)
  local list, sent = {}, counts(a)
  for _, sender in ipairs(a.account.senders.list) do
    if (not a.p.KeyWord or sender.address:lower():find(a.p.KeyWord:lower(), 1, true)) and (not a.p.Sendtype or sender.type == a.p.Sendtype) then
      local domain = a.state:domain(sender.address:match "@([^@]*)$")
      local of = sent[sender.address:lower()] or { day = 0, month = 0 }
      list[#list + 1] = {
        AccountName = sender.address, AccountStatus = sender.status or "0", AddressType = "INTERNAL", CreateTime = state.time(sender.created),
        DailyCount = of.day, DailyReqCount = of.day, DomainStatus = domain and domain.status or "1", MailAddressId = sender.id, MonthCount = of.month,
        MonthReqCount = of.month, ReplyAddress = a.account:reply_address(sender), ReplyStatus = "0", SenderAddress = sender.address,
        Sendtype = sender.type,
      }
    end
  end
  return { list = list }
end

function M.CreateMailAddress(a)
  local address = a.p.AccountName:lower()
  if a.account.senders:find(address) then return nil, "InvalidMailAddressName.Duplicate" end
  local domain = a.state:domain(address:match "@([^@]*)$")
  if not domain or domain.status ~= "0" then return nil, "InvalidMailAddressDomain.Malformed" end
  if #a.account.senders.list >= MOST then return nil, "InvalidMailAddressName.Malformed", " There are 100 already." end
  local sender = a.account.senders:add(address, a.p.Sendtype)
  sender.id, sender.created, sender.reply = a.state:id(), a.now, a.p.ReplyAddress
  return { MailAddressId = sender.id }
end

local function sender_of(a) return (state.find(a.account.senders.list, "id", tostring(a.p.MailAddressId))) end

function M.ModifyMailAddress(a)
  local sender = sender_of(a)
  if not sender then return nil, "InvalidMailAddressId.Malformed" end
  local password = a.p.Password
  if password and password ~= "" then
    if password == (sender.password or a.account.senders.password) then return nil, "InvalidPassword", " It is the one that is set." end
    sender.password = password
  end
  if a.p.ReplyAddress and a.p.ReplyAddress ~= "" then sender.reply = a.p.ReplyAddress end
  return {}
end

function M.DeleteMailAddress(a)
  local sender = sender_of(a)
  if not sender then return nil, "InvalidMailAddressId.Malformed" end
  a.account.senders:remove(sender)
  return {}
end

function M.CheckReplyToMailAddress(a)
  if not sender_of(a) then return nil, "InvalidMailAddressId.Malformed" end
  return {}
end

return M
