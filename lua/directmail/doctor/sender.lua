--- The region against where the sender lives: an address exists in one region only.
local core = require "directmail.core"

return {
  id = "sender.region",
  title = "sender in this region",
  needs = { "api.call" },
  network = true,
  regional = true,
  run = function(look)
    if not look.sender then return nil, "no sender is set" end
    local key = look:key()
    if not key then return nil, "only the API knows it, and there is no AccessKey" end
    local entry, e = look:console_sender()
    if entry == nil then return look:unanswered(e) end
    local here = look:api_endpoint().region or "this API"
    if entry then return ("%s exists in %s"):format(entry.AccountName, here) end
    if look.home then return ("%s has no %s"):format(here, look.sender) end       -- a fact: another region is meant to have it
    local at, mail, other = look:api_endpoint(), look.mail, nil
    if core.region_of_host((at.host:gsub(":%d+$", ""))) or mail.regions then
      other = require "directmail.elsewhere".find(mail, { address = look.sender, called = at.region, absent = true, credentials = key })
    end
    if other then
      return look.sender, { { status = "fail", rule = "sender.elsewhere", cause = ("%s belongs to %s, and %s was called"):format(look.sender, other, here),
        remedy = ("set region = %s (DIRECTMAIL_REGION); the SMTP password is that region's too"):format(other) } }
    end
    return look.sender, { { status = "fail", rule = "sender.missing", cause = ("%s has no sender address %s"):format(here, look.sender),
      remedy = "create it in the console of this region (Sender Addresses), or send from one that is there: directmail api QueryMailAddressByParam" } }
  end,
}
