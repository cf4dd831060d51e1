--- The host of this home: the table of functions through which the library touches the world.
-- nginx where cosockets are, `directmail.net` elsewhere. docs/homes.md says what differs.
-- @module directmail.host
local ngx = rawget(_G, "ngx")

if type(ngx) == "table" and type(ngx.socket) == "table" and ngx.socket.tcp then
  return require "directmail.host.nginx"
end
return require "directmail.host.std"
