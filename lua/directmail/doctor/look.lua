--- What the checks of `directmail.doctor` look with: each thing is asked once, and every wait has an end.
-- @module directmail.doctor.look
local core = require "directmail.core"

local unpack = table.unpack or unpack

local M = {}

local Look = {}
Look.__index = Look

local DNS_SECONDS, CONNECT_SECONDS, STEP_SECONDS, API_SECONDS, METADATA_SECONDS = 5, 5, 10, 10, 1

local function pack(...) return { n = select("#", ...), ... } end

--- Do something once, whoever asks; the others wait for its answer.
-- @tparam string key
-- @tparam function fn
-- @return what fn returns
function Look:once(key, fn)
  local known = self.known[key]
  if not known then
    known = { news = self.host.semaphore(), waiting = 0 }
    self.known[key] = known
    known.answer = pack(fn())
    if known.waiting > 0 then known.news:post(known.waiting) end         -- nginx's takes no 0
  elseif not known.answer then
    known.waiting = known.waiting + 1
    known.news:wait()
  end
  return unpack(known.answer, 1, known.answer.n)
end

--- Seconds that a wait may take: `most`, and not beyond the end of all.
function Look:limit(most) return math.max(0.05, math.min(most, self.deadline - self.host.tick())) end

--- A DNS look-up.
-- @tparam string name
-- @tparam string kind "TXT" …
-- @treturn[1] table records of `host.dns`
-- @treturn[2] nil
-- @treturn[2] string "nxdomain" "nodata": facts; else why nobody knows
function Look:dns(name, kind)
  return self:once("dns " .. name:lower() .. " " .. kind, function()
    if not self.host.dns then return nil, "this home asks no name servers" end
    if #name > 253 then return nil, "nxdomain" end
    return self.host.dns(name:lower(), kind, { server = self.settings.dns, timeout = self:limit(DNS_SECONDS) })
  end)
end

-- Is this host the machine that we run on?
local function is_here(name) return name == "localhost" or name == "::1" or name:find "^127%.%d+%.%d+%.%d+$" ~= nil end

--- Do all mails end on this machine, as in the sandbox? Then the world is not asked about them unless somebody says whom.
-- @treturn boolean
function Look:is_local()
  local api, smtp = self:api_endpoint(), self:smtp_endpoint()
  return api ~= nil and smtp ~= nil and is_here((api.host:gsub(":%d+$", ""):gsub("[%[%]]", ""))) and is_here(smtp.host)
end

--- Why nothing can be said about the domain's records.
-- @treturn string|nil nil: DNS can be asked
function Look:no_dns()
  if not self.host.dns then return "this home asks no name servers" end
  if not self.domain then return "no sender is set, and no domain (--domain)" end
  if not self.settings.dns and self:is_local() then return "api and smtp are on this machine, and no name server is named (--dns IP:PORT)" end
end

--- Is this reason of `dns` a fact about the name?
function Look.is_fact(_, why) return why == "nxdomain" or why == "nodata" end

--- The texts at a name that a test takes.
-- @treturn[1] table list of texts, empty when there are none
-- @treturn[2] nil
-- @treturn[2] string why nobody knows
function Look:texts(name, test)
  local records, why = self:dns(name, "TXT")
  if not records and not self:is_fact(why) then return nil, why end
  local found = {}
  for _, record in ipairs(records or {}) do
    if not test or test(record.text) then found[#found + 1] = record.text end
  end
  return found
end

--- Where the API is; see `directmail.api`.
function Look:api_endpoint() return require "directmail.api".endpoint(self.settings) end

--- Where SMTP is; see `directmail.smtp`.
function Look:smtp_endpoint() return require "directmail.smtp".endpoint(self.settings) end

--- Connect to a port, and close again.
-- @treturn[1] number seconds
-- @treturn[2] nil
-- @treturn[2] string DNS CONNECT TIMEOUT
-- @treturn[2] string words
function Look:connect(name, port)
  return self:once(("connect %s %d"):format(name, port), function()
    local sock = self.host.tcp { proxy = self.settings.proxy }
    local ms = math.ceil(self:limit(CONNECT_SECONDS) * 1000)
    sock:settimeouts(ms, ms, ms)
    local start = self.host.tick()
    -- a connection of the pool would prove nothing
    local ok, why = sock:connect(name, port, { pool = "directmail.doctor" .. tostring(sock) })
    local seconds = self.host.tick() - start
    sock:close()
    if ok then return seconds end
    return nil, (require "directmail.session".loss(why, "connect")), tostring(why)
  end)
end

--- Connect and begin TLS.
-- @treturn[1] table of `sock:tls`, empty where a home cannot tell
-- @treturn[2] nil
-- @treturn[2] string code: TLS LOST TIMEOUT, or of `connect`
-- @treturn[2] string detail of TLS: name expired issuer clear version
-- @treturn[2] string words
function Look:handshake(name, port)
  return self:once(("tls %s %d"):format(name, port), function()
    local sock = self.host.tcp { ca = self.settings.ca, proxy = self.settings.proxy }
    local ms = math.ceil(self:limit(CONNECT_SECONDS) * 1000)
    sock:settimeouts(ms, ms, ms)
    local loss = require "directmail.session".loss
    local ok, why = sock:connect(name, port, { pool = "directmail.doctor" .. tostring(sock) })
    if not ok then
      sock:close()
      return nil, (loss(why, "connect")), "", tostring(why)
    end
    ok, why = sock:sslhandshake(false, name, true)
    local seen = ok and (sock.tls and sock:tls() or {})
    sock:close()
    if ok then return seen end
    local code, detail = loss(why, "tls")
    return nil, code, detail, tostring(why)
  end)
end

--- Ask the API's web server, unsigned: any answer shows the way there, and its clock.
-- @treturn[1] table response of `host.http`, `at` = when it was asked, by this machine's clock
-- @treturn[2] nil
-- @treturn[2] table failure of `host.http`
function Look:hail()
  return self:once("hail", function()
    local at, e = self:api_endpoint()
    if not at then return nil, { code = e.code, words = e.cause, step = "connect" } end
    local start, seconds = self.host.now(), self:limit(API_SECONDS)
    local response, failure = self.host.http {
      url = at.url, method = "GET", ca = at.url:find "^https:" and self.settings.ca or nil, proxy = self.settings.proxy,
      connect_timeout = math.min(CONNECT_SECONDS, seconds), timeout = seconds, max_head = 65536, max_body = 1048576,
    }
    if not response then return nil, failure end
    response.asked, response.answered = start, self.host.now()
    return response
  end)
end

--- The AccessKey.
-- @treturn[1] table of `directmail.credentials`
-- @treturn[2] nil
-- @treturn[2] err
function Look:key()
  if self.home then return self.home:key() end
  return self:once("key", function()
    return require "directmail.credentials".find(self.settings, self.host, { offline = self.offline })
  end)
end

--- Call an operation that only reads.
-- @tparam string operation
-- @tparam[opt] table params
-- @treturn[1] table the answer
-- @treturn[2] nil
-- @treturn[2] err
function Look:call(operation, params)
  params = params or {}
  local names, parts = {}, { "call", operation }
  for name in pairs(params) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = ("%s=%s"):format(name, tostring(params[name])) end
  return self:once(table.concat(parts, " "), function()
    return self.mail.api[operation](params, { timeout = self:limit(API_SECONDS) })
  end)
end

--- The entries that a call lists.
-- @treturn[1] table list of entries
-- @treturn[2] nil
-- @treturn[2] err
function Look:list(operation, params)
  local answer, e = self:call(operation, params)
  if not answer then return nil, e end
  local entries = {}
  for _, entry in ipairs(require "directmail.pages".entries(require "directmail.catalogue".find(operation), answer)) do
    if type(entry) == "table" then entries[#entries + 1] = entry end
  end
  return entries
end

--- The right that was missing, when that is why a call was refused.
-- @tparam err e
-- @treturn string|nil "dm:QueryDomainByParam"
function Look.missing_right(_, e)
  local detail = (e.detail or ""):lower()
  if detail ~= "nopermission" and detail ~= "forbidden.ram" then return nil end
  return e.cause:match "the right ([%w:*-]+) is missing" or "dm:*"
end

--- Why a check can say nothing when a call brought no answer: `return look:unanswered(e)`.
-- @return nil
-- @treturn string
function Look:unanswered(e)
  local right = self:missing_right(e)
  if right then return nil, ("the right %s is missing: see api.rights"):format(right) end
  return nil, ("the API did not tell: %s"):format(e.cause)
end

--- The sender as the account has it.
-- @treturn[1] table|false entry of QueryMailAddressByParam; false: this region has no such sender
-- @treturn[2] nil
-- @treturn[2] err
function Look:console_sender()
  local address = self.sender
  local entries, e = self:list("QueryMailAddressByParam", { KeyWord = require "directmail.elsewhere".keyword(address), PageNo = 1, PageSize = 50 })
  if not entries then return nil, e end
  self.has.sender = false
  for _, entry in ipairs(entries) do
    if type(entry.AccountName) == "string" and entry.AccountName:lower() == address:lower() then
      self.has.sender = true
      return entry
    end
  end
  return false
end

--- The sender's entry, for checks that say nothing without it: `local entry, why = look:sender_entry()`.
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string why there is none to look at
function Look:sender_entry()
  if not self.sender then return nil, "no sender is set" end
  if not self:key() then return nil, "only the API knows it, and there is no AccessKey" end
  local entry, e = self:console_sender()
  if entry == nil then return self:unanswered(e) end
  if not entry then return nil, "the sender is not in this region" end
  return entry
end

--- The domain as the account has it.
-- @treturn[1] table|false entry of QueryDomainByParam; false: this region has no such domain
-- @treturn[2] nil
-- @treturn[2] err
function Look:console_domain()
  local entries, e = self:list("QueryDomainByParam", { KeyWord = self.domain:sub(1, 50), PageNo = 1, PageSize = 50 })
  if not entries then return nil, e end
  self.has.domain = false
  for _, entry in ipairs(entries) do
    if type(entry.DomainName) == "string" and entry.DomainName:lower() == self.domain then
      self.has.domain = true
      return entry
    end
  end
  return false
end

--- The records that the service wants for the domain: the API's word, else the table of regions.
-- @treturn[1] table `{ from = words, spf = name to include, mx = host, dkim = name of the record, dkim_value=, owner=, dmarc=, track=, track_target= }`,
--   fields that nobody knows are nil
-- @treturn[2] nil
-- @treturn[2] string why nobody knows
function Look:wanted()
  return self:once("wanted", function()
    local entry = not self.offline and self.mail and self:key() and self:console_domain() or nil
    local answer = entry and self:call("DescDomain", { DomainId = tostring(entry.DomainId), RequireRealTimeDnsRecords = "true" })
    local function text(name)
      local value = answer and answer[name]
      return type(value) == "string" and value ~= "" and value or nil
    end
    local region = self.region
    local row = region and require "directmail.data.records"[region]
    if not answer and not row then return nil, "no region is known, and with it not which records are wanted: set region (DIRECTMAIL_REGION)" end
    row = row or {}
    local selector = (text "DkimRR" or ""):match "^(.-)%._domainkey" or row.dkim
    local label = text "CnameRecord"
    return {
      from = answer and "DescDomain" or "the table of regions", said = answer,
      spf = ((text "SpfRecord" or text "SpfRecordV2" or ""):match "include:([%w._-]+)" or row.spf or ""):lower(), mx = (text "MxRecord" or row.mx
        or ""):lower():gsub("%.$", ""),
      dkim = selector and ("%s._domainkey.%s"):format(selector:lower(), self.domain), dkim_value = text "DkimPublicKey",
      owner = text "DomainType", dmarc = text "DmarcRecord" or row.dmarc and ("v=DMARC1;p=none;rua=mailto:%s"):format(row.dmarc),
      track = label and ("%s.%s"):format((label:gsub("%." .. self.domain:gsub("%p", "%%%0") .. "$", "")), self.domain), track_target = text "TracefRecord",
    }
  end)
end

--- Is this machine an ECS instance? Asked of the metadata service, and of nobody when that is switched off.
-- @treturn[1] string the region that it lies in
-- @treturn[2] nil
-- @treturn[2] string why not, or why nobody knows
-- @treturn[2] boolean true: nobody knows
function Look:ecs()
  if self.home then return self.home:ecs() end
  return self:once("ecs", function()
    local ask = require "directmail.credentials.ask"
    local off = self.host.env "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
    if off and (off:lower() == "true" or off == "1") then return nil, "the metadata service is switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED", true end
    if not self.settings.metadata and self:is_local() then return nil, "api and smtp are on this machine: the metadata service is not asked", true end
    local base = (self.settings.metadata or ask.METADATA):gsub("/+$", "")
    local at, why = ask.address(base)
    if not at then return nil, why, true end
    local function send(method, path, headers)
      return self.host.http {
        url = base .. path, method = method, headers = headers, body = method == "PUT" and "" or nil,
        connect_timeout = METADATA_SECONDS, timeout = 2 * METADATA_SECONDS, max_head = 65536, max_body = 65536,
      }
    end
    -- version 2 wants a proof, and answers 403 to version 1 where that is switched off
    local response, failure = send("PUT", "/latest/api/token", { ["X-aliyun-ecs-metadata-token-ttl-seconds"] = "60" })
    local token = response and response.status == 200 and response.body:match "^%s*([%w+/=._-]+)%s*$"
    if response then
      response, failure = send("GET", "/latest/meta-data/region-id", token and { ["X-aliyun-ecs-metadata-token"] = token } or {})
    end
    if not response then return nil, ("%s does not answer (%s): this is no ECS instance"):format(at.shown, tostring(failure.words)) end
    local region = response.status == 200 and response.body:match "^%s*(%l%l[%w-]*)%s*$"
    if region then return region end
    return nil, ("%s answers HTTP %d, which is no ECS metadata"):format(at.shown, response.status)
  end)
end

--- The rehearsal of a mail by SMTP, see `directmail.rehearsal`.
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] err
function Look:rehearsal()
  return self:once("rehearsal", function()
    local settings = self.settings
    local user = settings.smtp_user or self.sender
    local from = self.sender or user and user:find("@", 1, true) and user or nil
    local password = settings.auth ~= "off" and settings.smtp_password or nil
    local at = self:smtp_endpoint()
    -- without a login the service refuses MAIL, and that says nothing
    if at and at.direct and not password then from = nil end
    -- the password is one region's: no other one sees it
    if self.home then from, password = nil, nil end
    return require "directmail.rehearsal".hold(self.mail, {
      from = from, to = self.to or from, user = user, password = password, seconds = self:limit(6 * STEP_SECONDS), step_seconds = STEP_SECONDS,
    })
  end)
end

-- One bare address and its domain, both as DNS and SMTP have them; nil and why.
local function address_of(text)
  local list, why = core.addresses(text)
  if list and #list ~= 1 then list, why = nil, "it is not one address" end
  if not list then return nil, why end
  return list[1].address, list[1].address:match "@([^@]*)$":lower()
end

--- A look.
-- @tparam table about `host`, `mail` (nil when the settings cannot be read), `settings`, `offline`, `seconds` for all, `domain`, `to`, `kind`, `tag`,
--   `template`; `home` = the look at the region that is set, when this is one at another region: they end together
-- @treturn table with `has` = what the account was found to have in this region: `sender`, `domain`, booleans, nil when nobody knows
function M.new(about)
  local settings = about.settings or about.mail.settings
  local look = setmetatable({
    host = about.host, mail = about.mail, settings = settings, offline = about.offline or false, known = {}, has = {}, seconds = about.seconds,
    deadline = about.home and about.home.deadline or about.host.tick() + about.seconds, kind = about.kind, tag = about.tag, template = about.template,
    to = about.to, home = about.home,
  }, Look)
  if settings.sender then
    look.sender, look.domain = address_of(settings.sender)
    if not look.sender then look.sender_fault, look.domain = look.domain, nil end
  end
  if about.domain then
    local _, domain = address_of("postmaster@" .. about.domain)
    look.domain = domain
  end
  for _, find in ipairs { "api_endpoint", "smtp_endpoint" } do
    local at = look[find](look)
    look.region = look.region or at and at.region
  end
  return look
end

return M
