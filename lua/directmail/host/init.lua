--- The host of this home: the table of functions through which the library touches the world.
-- nginx where cosockets are, `directmail.net` elsewhere. docs/homes.md says what differs.
-- @module directmail.host
local ngx = rawget(_G, "ngx")

if type(ngx) == "table" and type(ngx.socket) == "table" and ngx.socket.tcp then
  return require "directmail.host.nginx"
end
-- ngx.run_worker_thread: sockets that block, and a loop of our own, have no place in nginx's process
if type(ngx) == "table" and type(ngx.config) == "table" and ngx.config.nginx_version then
  error("directmail cannot be used in nginx's worker threads, which have no sockets; send from the handler that started the thread", 0)
end
return require "directmail.host.std"
