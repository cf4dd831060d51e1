--- Checks of single addresses, by syntax alone: no mail server is asked here.
local core = require "directmail.core"
local limits = require "directmail.data.limits"

local M = {}

local QUOTA = 1000      -- validations that the sandbox's account has

local function parts(email)
  local list = core.addresses(email)
  if not list or #list ~= 1 or list[1].address ~= email or list[1].single or list[1].quoted then return nil end
  return email:sub(1, list[1].local_length):lower(), email:sub(list[1].local_length + 2):lower()
end

function M.ValidateEmail(a)
  local email = a.p.Email
  if #email > limits.api_address then return nil, "EmailLengthError" end
  a.state.validated = (a.state.validated or 0) + 1
  local name, domain = parts(email)
  if not name then return { Status = "INVALID", SubStatus = "SYNTAX_INVALID" } end
  local refused = a.account:refuses(email) == "InvalidToAddress.Spam"
  return { Status = refused and "INVALID" or "VALID", SubStatus = refused and "MAILBOX_NOT_EXISTS" or "UNSPECIFIED",
    LocalPart = name:gsub("%+.*$", ""), DomainPart = domain, IsFreeMail = false }
end

function M.CheckDisposable(a)
  if not parts(a.p.Email or "") then return nil, "EmailFormatError" end
  return { IsDisposable = "false", IsFormatValid = "true", IsMxValid = "true", IsOkToSend = "true" }
end

function M.GetValidationQuota(a) return { TotalQuota = QUOTA, UsedQuota = a.state.validated or 0 } end

return M
