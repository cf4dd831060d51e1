--- Does this run on ECS? The FAQ asks SMTP users for it, and port 25 is closed there.
return {
  id = "network.ecs",
  title = "ECS instance",
  network = true,
  run = function(look)
    local region, why, nobody_knows = look:ecs()
    if region then return ("this is an ECS instance in %s: port 25 is closed on it"):format(region) end
    if nobody_knows then return nil, why end
    return why .. "; the service takes mail from elsewhere too"
  end,
}
