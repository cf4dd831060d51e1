--- Is the sender usable?
return {
  id = "sender.status",
  title = "status of the sender",
  needs = { "sender.region" },
  network = true,
  run = function(look)
    if not look.sender then return nil, "no sender is set" end
    if not look:key() then return nil, "only the API knows it, and there is no AccessKey" end
    local entry, e = look:console_sender()
    if entry == nil then return look:unanswered(e) end
    if not entry then return nil, "the sender is not in this region" end
    local status = tostring(entry.AccountStatus)
    if status == "0" then return "usable" end
    return status, { { status = "fail", rule = "sender.status", cause = ("%s is not usable (AccountStatus %s)"):format(look.sender, status),
      remedy = "see it in the console (Sender Addresses): frozen after complaints or invalid addresses, or never verified; "
        .. "ask Alibaba Cloud's support to open it" } }
  end,
}
