--- The name of the SMTP server.
local names = require "directmail.doctor.names"

return {
  id = "network.smtp",
  title = "name of the SMTP server",
  network = true,
  regional = true,
  run = function(look)
    local at, e = look:smtp_endpoint()
    if not at then return nil, e.cause end
    return names.look(look, at.host, at.port, "smtp")
  end,
}
