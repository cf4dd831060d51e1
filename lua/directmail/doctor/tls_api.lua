--- The certificate of the API.
local tls_words = require "directmail.doctor.tls_words"

return {
  id = "tls.api",
  title = "certificate of the API",
  needs = { "network.api" },
  network = true,
  regional = true,
  run = function(look)
    local at, e = look:api_endpoint()
    if not at then return nil, e.cause end
    if not at.url:find "^https:" then return nil, "api is on this machine, in clear text" end
    local name, port = at.host:match "^%[?([^%[%]]-)%]?:(%d+)$"
    name, port = name or at.host:gsub("[%[%]]", ""), tonumber(port) or 443
    local seen, code, detail, words = look:handshake(name, port)
    if not seen then return "no TLS", { tls_words.failed(code, detail, words, "api") } end
    return tls_words.seen(look, seen, name)
  end,
}
