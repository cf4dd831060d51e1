--- Do the links of a mail work? Their targets are asked for with HEAD, and never more than that.
-- A link may act in the name of a recipient, and a mail may be a stranger's: nothing is asked of a link that seems to carry a
-- recipient's token, nor of an address that is not public. Every name is looked up here and its addresses are checked, the
-- connection goes to an address that was checked (a second look-up might answer otherwise), and so for every redirect.
-- @module directmail.lint.reach
local core = require "directmail.core"
local http1 = require "directmail.http1"
local limits = require "directmail.data.limits"
local public = require "directmail.lint.public"
local session = require "directmail.session"
local url = require "directmail.lint.url"

local M = {}

local PORTS = { [80] = true, [443] = true }

-- Words of a path at which something happens, or behind which a recipient's token stands.
local ACTS = {}
for word in ("unsubscribe unsub optout opt-out confirm verify activate reset click track redirect invite login logout auth token r l c e u t"):gmatch "%S+" do
  ACTS[word] = true
end

-- Parameters that say where a reader came from, or what page is meant; a recipient is in none of them.
local HARMLESS = {}
for word in ("utm_source utm_medium utm_campaign utm_content utm_term lang locale hl page category cat sort ref source v"):gmatch "%S+" do
  HARMLESS[word] = true
end

local function unpercent(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Letters and digits as nobody writes words: long, and of both kinds; or many digits.
local function looks_random(word)
  if word:find "^%d+$" then return #word >= 7 end
  for piece in word:gmatch "[^%-_.~]+" do
    if #piece >= 8 and piece:find "%d" and piece:find "%a" or #piece >= 24 and piece:find "%u" and piece:find "%l" or piece:find "^%d+$" and #piece >= 9
      or #piece >= 12 and piece:find "^%x+$" then
      return true
    end
  end
  return word:find "^%x+%-%x+%-%x+%-%x+%-%x+$" ~= nil            -- a UUID
end

-- Why a link is not asked for; nil when it may be.
local function why_not(at, recipients)
  if at.userinfo then return "a name stands before the host" end
  if not PORTS[at.port] then return ("port %d"):format(at.port) end
  if unpercent(at.host .. at.path .. at.query):find "[{}]" then return "a placeholder stands in it" end
  local whole = unpercent(at.path .. "?" .. at.query):lower()
  for _, address in ipairs(recipients) do
    if whole:find(address, 1, true) then return "it holds the recipient's address" end
  end
  if whole:find "[%w._%%+-]+@[%w-]+%.%a" then return "it holds an address" end
  for part in at.path:gmatch "[^/;]+" do
    local word = unpercent(part)
    if ACTS[word:lower()] then return "it may do something when it is opened" end
    if looks_random(word) then return "it seems to carry a token" end
  end
  for pair in at.query:gmatch "[^&;]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    if not HARMLESS[unpercent(name):lower()] or looks_random(unpercent(value)) or #value > 40 then return "a parameter may be a recipient's token" end
  end
  for label in at.host:gmatch "[^.]+" do
    if not label:find "^xn%-%-" and #label >= 16 and looks_random(label) then return "it seems to carry a token" end
  end
end

-- The addresses to connect to, each public. Else nil, what kind of finding, and why.
local function addresses_of(at, host, options, deadline)
  if url.is_address(at.host) then
    local why = public.why_not(at.host)
    if why then return nil, "links.private", why end
    return { at.host }
  end
  local name, why = core.idn(at.host)
  if not name then return nil, "links.broken", why end
  at.name = name
  local list, said = {}, nil
  for _, kind in ipairs { "A", "AAAA" } do
    local seconds = deadline - host.tick()
    if seconds <= 0 then return nil, "links.unreachable", "no time is left" end
    local records, reason = host.dns(name, kind, { server = options.dns, timeout = math.min(seconds, limits.lint_link_seconds) })
    if not records and reason ~= "nodata" then said = said or reason end
    for _, record in ipairs(records or {}) do
      local wrong = public.why_not(record.address)
      -- one private address is enough: which of them is taken is the client's chance
      if wrong then return nil, "links.private", ("%s: %s"):format(record.address, wrong) end
      list[#list + 1] = record.address
    end
  end
  if #list > 0 then return list end
  if said == "nxdomain" or not said then return nil, "links.broken", said and "the host does not exist" or "the host has no address" end
  return nil, "links.unreachable", "DNS: " .. said
end

-- What must be percent-encoded in a path (RFC 3986, 3.3), and nothing that is already.
local function target_of(at)
  local path = at.path .. (at.query ~= "" and "?" .. at.query or "")
  return (path:gsub("[^%w%-._~!$&'()*+,;=:@/?%%%[%]]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- HEAD to one of the addresses: the answer; or nil, what kind of finding, and why.
local function head(at, host, options, deadline)
  local addresses, kind, why = addresses_of(at, host, options, deadline)
  if not addresses then return nil, kind, why end
  local function left()
    local seconds = deadline - host.tick()
    return seconds > 0 and math.max(1, math.ceil(math.min(seconds, limits.lint_link_seconds) * 1000)) or nil
  end
  local name = at.name or at.host
  for i = 1, math.min(#addresses, 2) do
    local ms = left()
    if not ms then return nil, "links.unreachable", "no time is left" end
    local sock = host.tcp(options.ca and { ca = options.ca } or nil)
    sock:settimeouts(ms, ms, ms)
    local ok, said = sock:connect(addresses[i], at.port)
    if not ok then
      kind, why = "links.unreachable", said
    else
      if at.scheme == "https" then
        ok, said = sock:sslhandshake(false, name, true)
        if not ok then
          sock:close()
          if session.loss(said, "tls") == "TLS" then return nil, "links.broken", "TLS: " .. said end
          return nil, "links.unreachable", said
        end
      end
      local answer, words = http1.request(sock, { method = "HEAD", path = target_of(at), host = name:find(":", 1, true) and "[" .. name .. "]" or name,
        headers = { { "User-Agent", "directmail-lint" }, { "Accept", "*/*" } } }, { limit_ms = left, close = true })
      sock:close()
      if answer then return answer end
      return nil, "links.unreachable", words
    end
  end
  return nil, kind, why
end

-- Where a redirect leads (RFC 9110, 10.2.2).
local function location_of(at, text)
  local whole = url.parse(text)
  if whole then return whole end
  if text:find "^%a[%w+.-]*:" then return nil end
  local bracketed = at.host:find(":", 1, true) and "[" .. at.host .. "]" or at.host
  local path = text:sub(1, 1) == "/" and text or text:sub(1, 1) == "?" and at.path .. text or at.path:match "^(.*/)" .. text
  return url.parse(("%s://%s:%d%s"):format(at.scheme, bracketed, at.port, path))
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- What is to be said about a link: a rule and words; nil when it works.
local function ask(at, host, options, recipients, deadline)
  for step = 0, limits.lint_redirects do
    local why = why_not(at, recipients)
    if why then
      -- the link itself works, and leads to something that is not ours to open
      if step > 0 then return nil end
      return "links.skipped", why
    end
    local answer, kind, words = head(at, host, options, deadline)
    if not answer then return kind, step > 0 and ("behind a redirect to %s: %s"):format(at.host, words) or words end
    local status = answer.status
    if REDIRECTS[status] and answer.headers.location then
      at = location_of(at, answer.headers.location)
      if not at or not at.host then return nil end
    elseif status == 404 or status == 410 or status >= 500 and status ~= 501 and status ~= 503 then
      return "links.broken", tostring(status)
    else
      return nil                -- 401, 403, 405, 429: a server that does not like to be asked so
    end
  end
  return "links.broken", ("more than %d redirects"):format(limits.lint_redirects)
end

--- Ask for the links of a mail.
-- @tparam table mail of `directmail.lint.mail`
-- @tparam function report
-- @tparam table host `tcp`, `dns`, `tick`
-- @tparam table options `dns` = "IP:PORT", `ca` = PEM file
function M.check(mail, report, host, options)
  local recipients = {}
  for _, text in ipairs { mail.to or "" } do
    for _, box in ipairs(core.addresses(text) or {}) do recipients[#recipients + 1] = box.address:lower() end
  end
  local asked, n, start = {}, 0, host.tick()
  for _, link in ipairs(mail.links) do
    local at = url.parse(link.url)
    local key = at and at.host and ("%s://%s:%d%s?%s"):format(at.scheme, at.host, at.port, at.path, at.query)
    if key and not asked[key] then
      asked[key] = true
      n = n + 1
      local here = { line = link.line, element = link.element }
      if n > limits.lint_links then return report("links.skipped", here, at.text, ("more than %d links"):format(limits.lint_links)) end
      local deadline = math.min(host.tick() + limits.lint_link_seconds * 2, start + limits.lint_links_seconds)
      local rule, words = ask(at, host, options, recipients, deadline)
      if rule then report(rule, here, at.text, words) end
    end
  end
end

return M
