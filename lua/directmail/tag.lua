--- Does a mail's tag exist? SMTP takes a mail with any tag, and counts none that does not exist.
-- SingleSendMail answers that by itself; so only mails by SMTP are looked at, when AccessKeys are at hand.
-- @module directmail.tag
local err = require "directmail.err"

local M = {}

local OPERATION = "QueryTagByParam"
local SECONDS = 5               -- for the look-up; without an answer the mail goes
local KNOWN_SECONDS = 60        -- one who makes the tag now need not wait for long
local MOST_KNOWN = 100          -- tags that are kept

-- mail object -> { n =, [tag] = { exists = boolean|nil (nobody could tell), tick = } }
local memory = setmetatable({}, { __mode = "k" })

local function ask(mail, tag)
  local api = require "directmail.api"
  local at = api.endpoint(mail.settings)
  if not at then return nil end
  -- only keys that are at hand: fetching one takes longer than the answer is worth
  local keys = require "directmail.credentials".find(mail.settings, mail.host, { offline = true })
  if not (keys and keys.access_key_id) then return nil end
  local answer = api.call(mail, OPERATION, { KeyWord = tag, PageNo = 1, PageSize = 50 },
    { credentials = keys, timeout = SECONDS, patience = SECONDS, sends = false })
  if not answer then return nil end
  local entries = require "directmail.pages".entries(require "directmail.catalogue".find(OPERATION), answer)
  for _, entry in ipairs(entries) do
    if type(entry) == "table" and entry.TagName == tag then return true end
  end
  if #entries >= 50 then return nil end         -- a full page of names like this one: it may be on the next
  return false
end

--- Refuse a mail whose tag is known not to exist. Waits, once a minute and tag.
-- @tparam table mail the mail object
-- @tparam table d a draft that goes by SMTP
-- @treturn boolean true: it exists, there is none, or nobody could tell; or nil, err
function M.check(mail, d)
  local tag = d.fields.tag
  if not tag then return true end
  local at = require "directmail.smtp".endpoint(mail.settings)
  if not (at and (at.direct or mail.settings.api)) then return true end           -- a server of another kind knows no tags
  local kept = memory[mail]
  if not kept or kept.n >= MOST_KNOWN then
    kept = { n = 0 }
    memory[mail] = kept
  end
  local known = kept[tag]
  if not known or mail.host.tick() - known.tick >= KNOWN_SECONDS then
    if not known then kept.n = kept.n + 1 end
    known = { exists = ask(mail, tag), tick = mail.host.tick() }
    kept[tag] = known
  end
  if known.exists ~= false then return true end
  return err.refuse("OPTION", "tag", ('there is no tag "%s"'):format(err.printable(tag)),
    ("directmail api CreateTag --TagName %s; it acts after about ten minutes"):format(err.printable(tag)))
end

return M
