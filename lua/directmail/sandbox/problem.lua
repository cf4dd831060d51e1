--- Error answers of the API: each code with its HTTP status and the service's words.
-- Words are those of the service's own tables (Direct Mail, "Error codes", https://developer.aliyun.com/ask/278330; the
-- gateway's public ones, error-center.alibabacloud.com/status/product/Public); statuses come from src/data/api_errors.tsv.
-- @module directmail.sandbox.problem
local errors = require "directmail.data.api_errors"

local M = {}

local WORDS = {
  ["IncompleteSignature"] = "The request signature does not conform to Aliyun standards.",
  ["SignatureDoesNotMatch"] = "Specified signature is not matched with our calculation.",
  ["SignatureNonceUsed"] = "Specified signature nonce was used already.",
  ["InvalidSignatureMethod"] = "Specified signature method is not valid.",
  ["InvalidTimeStamp.Format"] = "Specified time stamp or date value is not well formatted.",
  ["InvalidTimeStamp.Expired"] = "Specified time stamp or date value is expired.",
  ["IllegalTimestamp"] = 'The input parameter "Timestamp" that is mandatory for processing this request is not supplied.',
  ["InvalidAccessKeyId.NotFound"] = "Specified access key is not found.",
  ["InvalidAccessKeyId.Inactive"] = "Specified access key is disabled.",
  ["Forbidden.AccessKeyDisabled"] = "The specified access key is disabled.",
  ["MissingSecurityToken"] = "SecurityToken is mandatory for this action.",
  ["InvalidSecurityToken.Expired"] = "Specified SecurityToken is expired.",
  ["InvalidSecurityToken.Malformed"] = "Specified SecurityToken is malformed.",
  ["InvalidSecurityToken.MismatchWithAccessKey"] = "Specified SecurityToken mismatch with the AccessKey.",
  ["InvalidAction.NotFound"] = "Specified api is not found, please check your url and method.",
  ["InvalidApi.NotFound"] = "Specified api is not found, please check your url and method.",
  ["InvalidProduct.NotFound"] = "The specified product cannot be found.",
  ["InvalidVersion"] = "Specified parameter Version is not valid.",
  ["NoSuchVersion"] = "The specified version does not exist.",
  ["UnsupportedOperation"] = "The specified action is not supported.",
  ["UnsupportedHTTPMethod"] = "This http method is not supported.",
  ["InvalidParameter"] = "The specified value of a parameter is not valid.",
  ["InvalidParameter.Format"] = "The specified value of parameter Format is not valid.",
  ["InvalidParameter.Accept"] = "The specified value of the header Accept is not valid.",
  ["Throttling"] = "Request was denied due to request throttling.",
  ["Throttling.User"] = "Request was denied due to user flow control.",
  ["Throttling.Api"] = "Request was denied due to api flow control.",
  ["ServiceUnavailable"] = "The request has failed due to a temporary failure of the server.",
  ["InternalError"] = "The request processing has failed due to some unknown error, exception or failure.",
  ["UnknownError"] = "The request processing has failed due to some unknown error.",
  ["Forbidden"] = "The user is not authorized to operate on the specified resource.",
  ["Forbidden.RAM"] = "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
  ["NoPermission"] = "You are not authorized to do this action.",
  ["InvalidMailAddress.NotFound"] = "The specified mailAddress does not exist.",
  ["InvalidMailAddressSendType.Malformed"] = "The specified mailAddress sendType is wrongly formed.",
  ["InvalidMailAddressStatus.Malformed"] = "The specified mailAddress status is wrongly formed.",
  ["InvalidMailAddressDomain.Malformed"] = "The specified mailAddress domain does not exist.",
  ["InvalidFromAlias.Malformed"] = "The specified fromAlias is wrongly formed.",
  ["InvalidReplyAddress.Malformed"] = "The specified replyAddress is wrongly formed.",
  ["InvalidReplyAddressAlias.Malformed"] = "The specified replyAddressAlias is wrongly formed.",
  ["InvalidToAddress"] = "The specified toAddress is wrongly formed.",
  ["InvalidToAddress.Spam"] = "Sendmail rejected by invalid address.",
  ["InvalidReceiverName.Malformed"] = "The specified receiver name is wrongly formed.",
  ["InvalidReceiver.NotFound"] = "The specified receiver does not exist.",
  ["InvalidTemplateName.Malformed"] = "The specified template name is wrongly formed.",
  ["InvalidTemplate.NotFound"] = "The specified template does not exist.",
  ["InvalidSubject.Malformed"] = "The specified subject is wrongly formed.",
  ["InvalidBody"] = "The specified textBody or htmlBody is wrongly formed.",
  ["InvalidSendMail.Spam"] = "Sendmail rejected by spam filter.",
  ["InvalidTag.NotFound"] = "The specified tag does not exist.",
  ["InvalidUser.NotFound"] = "The specified user does not exist.",
  ["InvalidQuota"] = "The sending quota is exceeded.",
  ["InvalidIP.NotFound"] = "The specified IP does not exist.",
  ["EmailFormatError"] = "The Email format is invalid. It must only contain numbers, letters, underscores, minus sign, plus sign, and period.",
  ["EmailLengthError"] = "The maximum length of Email is 192 characters.",
}

-- Numbers in a fault rule stand for a code of that status; where the service's web server answers by itself there is none.
local BY_STATUS = { [400] = "InvalidParameter", [403] = "Forbidden.RAM", [404] = "InvalidApi.NotFound", [405] = "UnsupportedHTTPMethod",
  [429] = "Throttling", [500] = "InternalError", [503] = "ServiceUnavailable" }

local statuses
local function status_of(code)
  if not statuses then
    statuses = {}
    for _, row in ipairs(errors) do statuses[row.code:lower()] = row.status end
  end
  return statuses[code:lower()] or (code:find("%.NotFound$") and 404) or (code:find("^Forbidden") and 403) or 400
end

local function words_of(code)
  if WORDS[code] then return WORDS[code] end
  local name = code:match("^Missing(%w+)$")
  if name then return name .. " is mandatory for this action." end
  name = code:match("^Invalid(%w+)$")
  if name then return ("Specified parameter %s is not valid."):format(name) end
  return "The request was refused: " .. code .. "."
end

--- A problem by its code.
-- @tparam string code as `InvalidToAddress`, `MissingSubject`, `Throttling.User`
-- @tparam ?string detail appended to the usual words; it is not logged
-- @treturn table `{code, status, words, message}`
function M.new(code, detail)
  local words = words_of(code)
  return { code = code, status = status_of(code), words = words, message = detail and words .. detail or words }
end

--- A common parameter that is missing.
-- @tparam string name
-- @treturn table
function M.missing(name)
  local words = ('The input parameter "%s" that is mandatory for processing this request is not supplied.'):format(name)
  return { code = "MissingParameter", status = 400, words = words, message = words }
end

--- A problem by an HTTP status; 413, 414, 502 ... have no code: a web server's page is the answer.
-- @tparam number status
-- @treturn table `{status}`, with the fields of `new` when there is a code
function M.of_status(status)
  local code = BY_STATUS[status]
  if not code then return { status = status, words = "a web server's page" } end
  local found = M.new(code)
  found.status = status
  return found
end

return M
