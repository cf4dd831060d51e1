--- A mail for each request, inside nginx: web.lua PORT PATH SECONDS BUILD DATA. Starts nginx with one worker and wrk with 64 connections,
-- and prints what wrk saw. PATH: /empty answers and does nothing else; /bare does what the wire demands over pooled cosockets,
-- with a message that was made before; /each likewise over a connection for each mail, one command at a time, as other
-- libraries for nginx do; /ours is mail:send.
local port, path, seconds, build, data = table.unpack(arg)

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  local ok = pipe:close()
  return text, ok
end

local here = capture "pwd":match "[^\n]+"
local function whole(name) return name:sub(1, 1) == "/" and name or here .. "/" .. name end

local CONF = [[
@USER@ daemon off; master_process on; worker_processes 1; pid nginx.pid; error_log error.log warn;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000;
  client_body_temp_path tmp/body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/fcgi; uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
  lua_package_path "@LUA@/?.lua;@LUA@/?/init.lua;;"; lua_package_cpath "@BUILD@/lua5.1/?.so;;";
  lua_shared_dict directmail 1m;
  init_by_lua_block {
    local function read(path)
      local file = assert(io.open(path, "rb"))
      local bytes = file:read "*a"
      file:close()
      return bytes
    end
    text, whole = read "@DATA@/text", read "@DATA@/mail" .. "\r\n.\r\n"
    mail = assert(require "directmail".new { smtp = "smtp://127.0.0.1:@SINK@", auth = "off", via = "smtp",
      sender = "Example <noreply@mail.example.com>", ehlo = "bench.example.com" })
    function expect(sock, code, lines)
      local held = ""
      repeat
        local bytes = assert(sock:receiveany(4096))
        held = held .. bytes
        local _, n = held:gsub("\n", "")
      until n >= lines
      if not held:find(code, 1, true) then ngx.exit(500) end
    end
    envelope = "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n"
  }
  server {
    listen 127.0.0.1:@PORT@ backlog=1024;
    location = /empty { content_by_lua_block { ngx.print "ok" } }
    location = /bare { content_by_lua_block {
      local sock = ngx.socket.tcp()
      assert(sock:connect("127.0.0.1", @SINK@, { pool = "bare" }))
      if sock:getreusedtimes() == 0 then
        expect(sock, "220", 1)
        sock:send "EHLO bench.example.com\r\n"
        expect(sock, "250 ", 4)
      end
      sock:send(envelope)
      expect(sock, "354", 3)
      sock:send(whole)
      expect(sock, "250", 1)
      sock:setkeepalive(60000, 100)
      ngx.print "ok"
    } }
    location = /each { content_by_lua_block {
      local sock = ngx.socket.tcp()
      assert(sock:connect("127.0.0.1", @SINK@, { pool = "each" }))
      expect(sock, "220", 1)
      sock:send "EHLO bench.example.com\r\n"
      expect(sock, "250 ", 4)
      for line in envelope:gmatch "[^\n]+\n" do
        sock:send(line)
        expect(sock, line == "DATA\r\n" and "354" or "250", 1)
      end
      sock:send(whole)
      expect(sock, "250", 1)
      sock:send "QUIT\r\n"
      expect(sock, "221", 1)
      sock:close()
      ngx.print "ok"
    } }
    location = /ours { content_by_lua_block {
      local receipt, e = mail:send { to = "ann@example.com", subject = "Your order 4711", text = text }
      if not receipt then
        ngx.log(ngx.ERR, tostring(e))
        return ngx.exit(500)
      end
      ngx.print "ok"
    } }
  }
}
]]

-- A port that nobody listens on, at this moment.
local function free_port()
  local text = capture "python3 -c \"import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])\""
  return assert(text:match "%d+")
end

local dir = capture "mktemp -d":match "[^\n]+"
local web = free_port()
local places = {
  USER = capture "id -u":match "^0" and "user root;" or "", LUA = whole "lua", BUILD = whole(build), DATA = whole(data), SINK = port, PORT = web,
}
local file = assert(io.open(dir .. "/nginx.conf", "wb"))
file:write((CONF:gsub("@(%u+)@", places)))
file:close()
assert(os.execute("mkdir " .. dir .. "/tmp"))

local url = ("http://127.0.0.1:%s%s"):format(web, path)
-- one shell starts nginx, asks until it answers, lets wrk run, and ends nginx
local text = capture(([[
  nginx -e error.log -p %s/ -c nginx.conf & nginx=$!
  tries=0
  until curl -sf -o %s/first http://127.0.0.1:%s/empty || [ $tries -gt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
  wrk -t1 -c64 -d%ss --latency %s
  for worker in $(cat /proc/$nginx/task/$nginx/children); do awk '{ print "worker ticks", $14 + $15 }' /proc/$worker/stat; done
  kill -QUIT $nginx; wait $nginx
  cat %s/error.log >&2
]]):format(dir, dir, web, seconds, url, dir))
os.execute("rm -rf " .. dir)

local UNIT = { us = 1e-3, ms = 1, s = 1000, m = 60000 }
local p99, unit = text:match "99%%%s+([%d.]+)(%a+)"
local requests, took = text:match "(%d+) requests in ([%d.]+)s"
local failed = text:match "Non%-2xx or 3xx responses: (%d+)" or 0
local broken = text:match "Socket errors: ([^\n]+)"
if not (p99 and requests) then error("wrk said nothing that can be read:\n" .. text, 0) end
if broken and broken:find "[1-9]" then error("wrk: " .. broken, 0) end
if tonumber(failed) > 0 then error(failed .. " requests failed", 0) end
-- the kernel counts a process's time in hundredths of a second
print(("requests=%s asked=%.3f p99=%.4f worker=%.2f"):format(requests, tonumber(requests) / tonumber(took), tonumber(p99) * UNIT[unit],
  tonumber(text:match "worker ticks (%d+)") / 100 / tonumber(requests) * 1e6))
