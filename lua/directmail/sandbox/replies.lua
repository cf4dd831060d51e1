--- The service's words for each reply code of SMTP.
-- Texts of Direct Mail and of the mail software that it shares with Alibaba
-- Mail where they are published (return code pages of both products), else the
-- words of the RFC that defines the code.
-- @module directmail.sandbox.replies
local M = {}

local usual = {
  [421] = "Service not available, closing transmission channel",              -- RFC 5321, 4.2.2
  [432] = "A password transition is needed",                                  -- RFC 4954, 6
  [436] = '"MAIL FROM" doesn\'t conform with authentication [@sm060104] (Auth Account:$user|Mail Account:$mail_from)',
  [440] = "mail from account doesn't conform with authentication (Auth Account:$user|Mail Account:$mail_from)",
  [450] = "Requested mail action not taken: mailbox unavailable",             -- RFC 5321, 4.2.2
  [451] = "Requested action aborted: local error in processing",
  [452] = "Requested action not taken: insufficient system storage",
  [454] = "Transient reject by behaviour spam",
  [455] = "Server unable to accommodate parameters",
  [500] = "Syntax error, command unrecognized",
  [501] = "Syntax error in parameters or arguments",
  [502] = "Command not implemented",
  [503] = "Bad sequence of commands",
  [504] = "Command parameter not implemented",
  [505] = "the total of RCPTs is achieved the maximum threshold",
  [510] = "The length of DATA content is achieved the maximum threshold",
  [521] = "Server does not accept mail",                                      -- RFC 7504, 3
  [523] = "cipher text is invalid base64 format",
  [524] = "username or passwd is NULL",
  [526] = "Authentication failure",
  [530] = "Authentication required",                                          -- RFC 4954, 6
  [534] = "Authentication mechanism is too weak",
  [535] = "Authentication failed",
  [538] = "Encryption required for requested authentication mechanism",
  [541] = "This account isn't allowed to send email",
  [542] = "This account isn't allowed to receive email",
  [550] = "Requested action not taken: mailbox unavailable",
  [551] = "Main account unavailable [@ud010102]",
  [552] = "Daily sending quota exceeded",
  [553] = '"RCPT TO" mailbox unavailable',
  [554] = "Reject by content spam",
  [555] = "MAIL FROM/RCPT TO parameters not recognized or not implemented",
  [556] = "The number of RCPTs is over the maximum threshold",
  [557] = "The length of DATA content is over the maximum threshold",
  [559] = "Invalid rcptto",
  [561] = "Honeypot rcptto [@out060104]",
  [563] = "Rcptto is in the suppression list of this account",
}

-- Codes that mean something else at this step.
local at_step = {
  connect  = { [554] = "No SMTP service here" },                              -- RFC 5321, 3.1
  banner   = { [554] = "No SMTP service here" },
  starttls = { [454] = "TLS not available due to temporary reason" },         -- RFC 3207, 4
  auth     = { [454] = "Temporary authentication failure", [504] = "Unrecognized authentication type" },    -- RFC 4954, 4 and 6
  mail     = { [450] = '"MAIL FROM" mailbox unavailable', [501] = '"MAIL FROM" is non-local account' },
  rcpt     = { [504] = "the number of RCPT attempts is achieved the maximum threshold", [552] = "mailbox is full",
               [554] = "RCPT ($rcpt_to) dosn't exist" },
  dot      = { [504] = "Invalid setting [@sm190210]" },
}

--- The usual text of a code at a step.
-- @tparam string step as in a fault rule
-- @tparam number code
-- @tparam ?table names `{user, mail_from, rcpt_to}` for the texts that name them
-- @treturn string without the code
function M.text(step, code, names)
  local text = at_step[step] and at_step[step][code] or usual[code]
    or (code < 500 and "Requested action not taken, try again later" or "Requested action not taken")
  return (text:gsub("%$([%a_]+)", function(name) return names and names[name] or "" end))
end

return M
