--- The sender's type against what is sent: it is fixed when the address is created.
local WANTED = { bulk = "batch", transactional = "trigger" }
local FOR = { batch = "mailings", trigger = "transactional mail" }

return {
  id = "sender.type",
  title = "type of the sender",
  needs = { "sender.region" },
  network = true,
  regional = true,
  run = function(look)
    local entry, why = look:sender_entry()
    if not entry then return nil, why end
    local kind = tostring(entry.Sendtype)
    local told = ("%s, for %s"):format(kind, FOR[kind] or "something unknown")
    local wanted = WANTED[look.kind]
    if not wanted and look.home then return told end
    if not wanted then return told .. "; compared with what is sent: --kind bulk or transactional" end
    if kind == wanted then return told end
    return told, { { status = "fail", rule = "sender.type", cause = ("%s is of type %s, and %s mail is sent"):format(look.sender, kind, look.kind),
      remedy = ("create a sender of type %s (the type of an address cannot be changed), on a domain of its own"):format(wanted) } }
  end,
}
