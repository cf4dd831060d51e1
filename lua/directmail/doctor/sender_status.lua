--- Is the sender usable?
return {
  id = "sender.status",
  title = "status of the sender",
  needs = { "sender.region" },
  network = true,
  regional = true,
  run = function(look)
    local entry, why = look:sender_entry()
    if not entry then return nil, why end
    local status = tostring(entry.AccountStatus)
    if status == "0" then return "usable" end
    return status, { { status = "fail", rule = "sender.status", cause = ("%s is not usable (AccountStatus %s)"):format(look.sender, status),
      remedy = "see it in the console (Sender Addresses): frozen after complaints or invalid addresses, or never verified; "
        .. "ask Alibaba Cloud's support to open it" } }
  end,
}
