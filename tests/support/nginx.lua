--- nginx with http_lua on loopback, as a user without rights, for tests.
-- It runs in a folder of its own with copies of lua/ and the module, since nobody need not be able to read the checkout.
-- @module support.nginx
local host = require "directmail.host.std"
local http1 = require "directmail.http1"
local json = require "cjson"

local M = {}

local BUILD = os.getenv "BUILD" or "build"

local function run(command) assert(os.execute(command), command) end

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  file:close()
end

local function write_all(folder, files)
  for name, bytes in pairs(files) do
    run(("mkdir -p '%s/%s'"):format(folder, name:match "^(.*)/" or "."))
    write(folder .. "/" .. name, bytes)
  end
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

local function is_root()
  local pipe = assert(io.popen "id -u")
  local id = pipe:read "*l"
  pipe:close()
  return id == "0"
end

-- A port that nobody listens on, at this moment.
local function free_port()
  local listener = assert(host.listen("127.0.0.1", 0))
  listener:close()
  return listener.port
end

-- A name server for `names`; it lives until `parent` is closed.
local function name_server(names)
  local listener = assert(host.listen("127.0.0.1", 0))
  local words = { "/usr/bin/python3", "tests/support/nginx_names.py", tostring(listener.port) }
  for name, address in pairs(names) do words[#words + 1] = name .. "=" .. address end
  local child = assert(host.child(words))
  local parent = assert(listener:accept())
  listener:close()
  return { child = child, parent = parent, port = assert(parent:receiveany(10)):match "%d+" }
end

-- /run: run Lua that a test sends, and answer with what it returns.
local RUN = [[
      content_by_lua_block {
        local directmail, json, err = require "directmail", require "cjson", require "directmail.err"
        ngx.req.read_body()
        local call = json.decode(ngx.req.get_body_data())
        local function plain(x)
          if err.is(x) then return err.plain(x) end
          return x == nil and json.null or x
        end
        local function answer(...)
          local results = { ... }
          for i = 1, select("#", ...) do results[i] = plain(results[i]) end
          ngx.print(json.encode(results))
        end
        answer(pcall(assert(loadstring("local directmail, given = ... " .. call.code, "=test")), directmail, call.argument))
      }
]]

local CONF = [[
daemon off; worker_processes @WORKERS@; pid nginx.pid; error_log error.log notice;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
thread_pool lua threads=1;
@MAIN@
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path tmp/body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/fcgi; uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
  lua_package_path "@DIR@/lua/?.lua;@DIR@/lua/?/init.lua;;"; lua_package_cpath "@DIR@/module/?.so;;";
@HTTP@
}
]]

local Rig = {}
Rig.__index = Rig

--- A new folder for a home.
function M.folder() return assert(host.mkdtemp()) end

--- Start it, and wait until it answers.
-- @tparam table options `http` = what stands in http {}, with the places @DIR@ (its folder), @PORT@ (to listen on), @RESOLVER@ (address of a name
--   server) and @RUN@ (the handler behind `rig:run`); `main` = in front of it; `env` = its whole environment; `names` = name -> address for
--   the name server, "-" is silence; `files` = name -> bytes in its folder, readable for all; `workers` (1); `home` = { path = of `M.folder`,
--   files = name -> bytes }
-- @treturn table rig
function M.start(options)
  local dir = assert(host.mkdtemp())
  local self = setmetatable({ dir = dir, port = free_port(), names = options.names and name_server(options.names) }, Rig)
  local places = {
    DIR = dir, PORT = tostring(self.port), RESOLVER = self.names and "127.0.0.1:" .. self.names.port, RUN = RUN, WORKERS = tostring(options.workers or 1),
    MAIN = options.main or "", HTTP = options.http,
  }
  local function fill(text)
    return (text:gsub("@(%u+)@", function(name) return fill(assert(places[name], name)) end))
  end
  run(("mkdir -p '%s/tmp' '%s/module/directmail' && cp -r lua '%s/' && cp %s/lua5.1/directmail/*.so '%s/module/directmail/'")
    :format(dir, dir, dir, BUILD, dir))
  write(dir .. "/nginx.conf", fill(CONF))
  write_all(dir, options.files or {})
  if options.home then write_all(options.home.path, options.home.files) end
  run(("chmod -R a+rX '%s'"):format(dir))
  local words = { "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }
  if is_root() then
    run(("chown -R nobody '%s' '%s'"):format(dir, options.home and options.home.path or dir))
    words = { "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", table.unpack(words) }
  end
  for name, value in pairs(options.env or {}) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs { "nginx", "-e", "error.log", "-p", dir .. "/", "-c", "nginx.conf" } do words[#words + 1] = word end
  self.child = assert(host.child(words))
  local deadline = host.tick() + 10
  repeat
    local sock = host.tcp()
    local ok = sock:connect("127.0.0.1", self.port)
    sock:close()
    if not ok then
      if host.tick() > deadline then error("nginx does not start: " .. self:log()) end
      host.sleep(0.02)
    end
  until ok
  return self
end

--- Ask it something over HTTP.
-- @tparam string path
-- @tparam[opt] string body makes it a POST
-- @treturn number status
-- @treturn string body
function Rig:ask(path, body)
  local sock = host.tcp()
  assert(sock:connect("127.0.0.1", self.port))
  local response, why = http1.request(sock, { method = body and "POST" or "GET", host = "localhost", path = path, body = body }, { close = true })
  sock:close()
  assert(response, why)
  return response.status, response.body
end

--- Run Lua inside it; an error of directmail arrives as a plain table, nil as cjson.null.
-- @tparam string code which has the locals `directmail` and `given` = argument
-- @param argument what JSON can carry
-- @tparam[opt="/run"] string path a location with @RUN@
-- @return what the code returns; raises what it raises
function Rig:run(code, argument, path)
  local status, body = self:ask(path or "/run", json.encode { code = code, argument = argument })
  assert(status == 200, ("%d: %s\n%s"):format(status, body, self:log()))
  local results = json.decode(body)
  if not results[1] then error(results[2], 2) end
  return table.unpack(results, 2)
end

--- Its error log so far.
function Rig:log() return read(self.dir .. "/error.log") end

--- End it, and let what runs come to its end first.
function Rig:quit()
  if self.ended then return end
  self.ended = true
  self.child:kill "QUIT"
  self.child:wait()
end

--- End it, and remove its folder.
function Rig:stop()
  self:quit()
  if self.names then
    self.names.parent:close()
    self.names.child:wait()
  end
  os.execute(("rm -rf '%s'"):format(self.dir))
end

return M
