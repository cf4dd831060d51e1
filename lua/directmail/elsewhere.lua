--- The region in which a sender address lives when it is not the one that was called.
-- Senders and SMTP passwords belong to one region, and the service's answers never say so: the wrong one answers
-- InvalidMailAddress.NotFound by the API, 535 or 526 by SMTP
-- (https://www.alibabacloud.com/help/en/direct-mail/api-endpoints).
-- @module directmail.elsewhere
local core = require "directmail.core"
local err = require "directmail.err"

local M = {}

local OPERATION = "QueryMailAddressByParam"
local SECONDS = 1               -- for everything: whoever waits here has failed already
local KNOWN_SECONDS = 60        -- a program that fails often asks once
local MOST_KNOWN = 100          -- answers that are kept
local KEYWORD, PAGE = 60, 50    -- characters of a KeyWord, entries of a page

--- What the service filters senders by: it takes letters, digits, "." "-" "@" only, so of other addresses their domain.
-- @tparam string address
-- @treturn string the KeyWord of QueryMailAddressByParam
function M.keyword(address)
  if #address <= KEYWORD and not address:find "[^%w.@-]" then return address end
  return address:match "@[%w.-]*$":sub(1, KEYWORD)
end

-- Does an address name a host of the service, whose place another region's takes?
local function is_direct(find, name, url)
  local at = find { [name] = url }
  return at ~= nil and core.region_of_host((at.host:gsub(":%d+$", ""))) ~= nil
end

--- The same settings in another region. An address of `api` or `smtp` that is none of the service's (a sandbox, a gateway of one's own) stays:
-- a key or a name that is meant for it does not go to the service.
-- @tparam table mail the mail object
-- @tparam table region of `regions`
-- @treturn table a mail object
function M.there(mail, region)
  local there = assert(mail:with { region = region.id })
  local settings, old = there.settings, mail.settings
  settings.route = nil
  if mail.regions then settings.api = region.url
  elseif is_direct(require "directmail.api".endpoint, "api", old.api) then settings.api = nil end
  if is_direct(require "directmail.smtp".endpoint, "smtp", old.smtp) then settings.smtp = nil end
  return there
end

-- Has a region this sender? Any failure is a no: nobody asked for this call.
local function has(mail, region, address, credentials)
  local answer = require "directmail.api".call(M.there(mail, region), OPERATION, { KeyWord = M.keyword(address), PageNo = 1, PageSize = PAGE },
    { credentials = credentials, timeout = SECONDS, patience = SECONDS, sends = false })
  if not answer then return false end
  for _, entry in ipairs(require "directmail.pages".entries(require "directmail.catalogue".find(OPERATION), answer)) do
    if type(entry) == "table" and type(entry.AccountName) == "string" and entry.AccountName:lower() == address:lower() then return true end
  end
  return false
end

--- The regions to ask. `mail.regions` (region -> URL) is for tests, where sandboxes stand for regions.
-- @tparam table mail the mail object
-- @treturn {table,...} `{ id=, name=, url = of the API }`
function M.regions(mail)
  local list = {}
  for _, region in ipairs(core.regions()) do
    local url = "https://" .. region.api .. "/"
    if mail.regions then url = mail.regions[region.id] end
    if url then list[#list + 1] = { id = region.id, name = region.name, url = url } end
  end
  return list
end

local function ask(mail, wish)
  local host = mail.host
  local start, news = host.tick(), host.semaphore()
  -- `open`: whether the region that was called has the sender itself is not known yet
  local waiting, open, at_home, found = 0, false, false, nil
  for _, region in ipairs(M.regions(mail)) do
    local called = region.id == wish.called
    if not (called and wish.absent) then
      waiting, open = waiting + 1, open or called
      host.spawn(function()
        local there = has(mail, region, wish.address, wish.credentials)
        waiting = waiting - 1
        if called then open, at_home = false, there
        elseif there then found = found or region.id end
        news:post()
      end)
    end
  end
  while waiting > 0 and not at_home and (open or not found) do
    local left = SECONDS - (host.tick() - start)
    if left <= 0 or not news:wait(left) then break end
  end
  return not at_home and found or nil
end

-- host -> { n =, [who asks for what] = { region = id | nil, tick = } }
local memory = setmetatable({}, { __mode = "k" })

--- Ask the other regions for a sender, all at once and for one second at most.
-- @tparam table mail the mail object
-- @tparam table wish `address` = the sender's; `called` = the id of the region that was called, nil: not known; `absent` = true when
--   that one has said that it has no such sender; `credentials` = the AccessKey
-- @treturn string|nil the id of the region that has the sender while the one that was called has not; nil: nobody knows
function M.find(mail, wish)
  local host = mail.host
  local kept = memory[host]
  if not kept or kept.n >= MOST_KNOWN then
    kept = { n = 0 }
    memory[host] = kept
  end
  local key = ("%s %s %s"):format(wish.credentials.access_key_id, wish.called or "", wish.address:lower())
  local known = kept[key]
  if known and host.tick() - known.tick < KNOWN_SECONDS then return known.region end
  local region = ask(mail, wish)
  if not kept[key] then kept.n = kept.n + 1 end
  kept[key] = { region = region, tick = host.tick() }
  return region
end

-- What a refusal has to do with regions: a wish for `find`, and the setting that names the host; nil when it has not.
local function by_api(mail, draft, method, e)
  if e.detail ~= "InvalidMailAddress.NotFound" then return nil end
  local at = require "directmail.api".endpoint(mail.settings)
  if not (core.region_of_host((at.host:gsub(":%d+$", ""))) or mail.regions) then return nil end
  return { address = draft.from.address, called = at.region, absent = true, credentials = method.credentials }, "api"
end

local LOGIN = { ["535"] = true, ["526"] = true }

--- May an error have to do with regions? Then `explain` is worth its wait.
-- @tparam err e
-- @treturn boolean
function M.concerns(e)
  return e.outcome == "refused" and (e.detail == "InvalidMailAddress.NotFound" or e.code == "AUTH" and LOGIN[e.detail] or false)
end

local function by_smtp(mail, draft, e)
  if e.code ~= "AUTH" or not LOGIN[e.detail] then return nil end
  local settings = mail.settings
  local at = require "directmail.smtp".endpoint(settings)
  if not (at.direct or mail.regions) then return nil end
  -- only keys that are at hand: fetching one takes longer than the answer is worth
  local credentials = require "directmail.credentials".find(settings, mail.host, { offline = true })
  if not (credentials and credentials.access_key_id) then return nil end
  local user = settings.smtp_user
  return { address = user and user:find("@", 1, true) and user or draft.from.address, called = at.region, credentials = credentials }, "smtp"
end

--- Say in an error where the sender lives, if that is why it came.
-- @tparam table mail the mail object
-- @tparam table draft of `directmail.message`
-- @tparam table method of `directmail.method`
-- @tparam err e what the service answered to the message; its cause and remedy change
-- @treturn err e
function M.explain(mail, draft, method, e)
  local wish, setting
  if method.via == "api" then wish, setting = by_api(mail, draft, method, e)
  elseif method.via == "smtp" then wish, setting = by_smtp(mail, draft, e) end
  local region = wish and M.find(mail, wish)
  if not region then return e end
  e.cause = ("%s belongs to %s (found there just now)"):format(err.printable(wish.address), region)
  e.remedy = ("directmail send --region %s, or set region (DIRECTMAIL_REGION)%s%s"):format(region,
    setting == "smtp" and "; the SMTP password is that region's too" or "",
    mail.settings[setting] and ("; leave %s (from %s) away"):format(setting, mail.settings.from[setting]) or "")
  if mail.record then mail.record("*", e.cause) end
  return e
end

return M
