--- Pushes of MNS (Simple Message Queue) over HTTP: is a request theirs?
-- https://www.alibabacloud.com/help/en/mns/debugging-tool-of-http-endpoints. The signature is RSA with SHA-1 over method, Content-MD5, type,
-- date, all headers x-mns-… and the path; the certificate stands at a URL in a header, of which the sender of a forged request would choose the
-- host. So hosts are compared with a list, the certificate is fetched by https, and the body is compared with Content-MD5, which alone binds it to
-- the signature. MNS signs for every customer: whose topic it is must be compared, too.
-- @module directmail.mns
local core = require "directmail.core"

local M = {}

--- Where the vendor's certificates stand: its pages name these two buckets.
M.HOSTS = { "mnstest.oss-cn-hangzhou.aliyuncs.com", "mns-cert.oss-cn-hangzhou.aliyuncs.com" }

local URL_OCTETS = 512
local WINDOW = 900              -- seconds that the date may differ: the vendor's own

--- The certificate's URL, always https.
-- @tparam string value of the header x-mns-signing-cert-url: a URL in base64
-- @tparam[opt] {string,...} hosts in place of `HOSTS`
-- @treturn[1] string URL
-- @treturn[2] nil
-- @treturn[2] string why not
function M.certificate_url(value, hosts)
  local url = type(value) == "string" and #value <= URL_OCTETS * 2 and core.base64_decode(value)
  if not url or #url > URL_OCTETS then return nil, "x-mns-signing-cert-url is no URL in base64" end
  local host, path = url:match "^https?://([%w.-]+)(/[%w._~/-]+)$"
  for _, known in ipairs(host and hosts or host and M.HOSTS or {}) do
    if host == known then return "https://" .. host .. path end
  end
  return nil, "x-mns-signing-cert-url names a host that is not the vendor's"
end

--- What was signed.
-- @tparam table request `method`, `target` = path and query as they came, `headers` by lower-case name
-- @treturn string
function M.string_to_sign(request)
  local headers, names = request.headers, {}
  for name in pairs(headers) do
    if name:find "^x%-mns%-" then names[#names + 1] = name end
  end
  table.sort(names)
  local out = { request.method, headers["content-md5"] or "", headers["content-type"] or "", headers.date or headers["x-mns-date"] or "" }
  for _, name in ipairs(names) do out[#out + 1] = name .. ":" .. headers[name] end
  out[#out + 1] = request.target
  return table.concat(out, "\n")
end

-- Content-MD5 as it has been seen and as it is documented: hexadecimal digits, those in base64, or the octets in base64 (RFC 1864).
local function fits_md5(value, digest)
  local hex = core.hex(digest)
  local given = value:lower()
  if core.same(given, hex) then return true end
  local decoded = core.base64_decode(value)
  return decoded ~= nil and (core.same(decoded:lower(), hex) or core.same(decoded, digest))
end

--- Judge a request.
-- @tparam table request as of `string_to_sign`, and `body`
-- @tparam table with `certificate` = PEM from `certificate_url`, `account` = the id of the account whose topic it must be, `md5` = the MD5 of the
--   body, 16 octets, `now` = seconds since 1970
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why not
function M.check(request, with)
  local headers = request.headers
  local signature = core.base64_decode(headers.authorization or "")
  if not signature or signature == "" then return nil, "Authorization holds no signature" end
  if headers["x-mns-topic-owner"] ~= with.account then return nil, "x-mns-topic-owner is not the account that was named" end
  if not headers["content-md5"] then return nil, "without Content-MD5 the signature does not cover the body" end
  if not fits_md5(headers["content-md5"], with.md5) then return nil, "Content-MD5 is not that of the body" end
  local at = core.date_parse(((headers.date or headers["x-mns-date"] or ""):gsub("GMT$", "+0000")))
  if not at or math.abs(with.now - at) > WINDOW then return nil, ("the date differs by more than %d s"):format(WINDOW) end
  local genuine = core.verify(with.certificate, "SHA1", signature, M.string_to_sign(request))
  if genuine == nil then return nil, "what stands at the certificate's URL is no certificate" end
  if not genuine then return nil, "the signature does not fit" end
  return true
end

return M
