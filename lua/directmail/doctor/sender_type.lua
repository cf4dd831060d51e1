--- The sender's type against what is sent: it is fixed when the address is created.
local WANTED = { bulk = "batch", transactional = "trigger" }
local FOR = { batch = "mailings", trigger = "transactional mail" }

return {
  id = "sender.type",
  title = "type of the sender",
  needs = { "sender.region" },
  network = true,
  run = function(look)
    if not look.sender then return nil, "no sender is set" end
    if not look:key() then return nil, "only the API knows it, and there is no AccessKey" end
    local entry, e = look:console_sender()
    if entry == nil then return look:unanswered(e) end
    if not entry then return nil, "the sender is not in this region" end
    local kind = tostring(entry.Sendtype)
    local told = ("%s, for %s"):format(kind, FOR[kind] or "something unknown")
    local wanted = WANTED[look.kind]
    if not wanted then return told .. "; compared with what is sent: --kind bulk or transactional" end
    if kind == wanted then return told end
    return told, { { status = "fail", rule = "sender.type", cause = ("%s is of type %s, and %s mail is sent"):format(look.sender, kind, look.kind),
      remedy = ("create a sender of type %s (the type of an address cannot be changed), on a domain of its own"):format(wanted) } }
  end,
}
