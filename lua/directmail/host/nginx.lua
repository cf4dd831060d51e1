--- The host inside nginx: cosockets, light threads, and what is read before the workers begin.
-- `directmail.net` is never loaded here. docs/homes.md says what differs from the std home, and which lines nginx.conf needs.
-- @module directmail.host.nginx
local core = require "directmail.core"
local http1 = require "directmail.http1"
local limits = require "directmail.data.limits"
local machine = require "directmail.host.machine"
local query = require "directmail.host.query"
local session = require "directmail.session"

local unpack = table.unpack or unpack

local OLDEST = 10014            -- lua-nginx-module 0.10.14 brought tcpsock:receiveany

if ngx.config.subsystem == "http" and ngx.config.ngx_lua_version < OLDEST then
  local n = ngx.config.ngx_lua_version
  error(("directmail needs lua-nginx-module 0.10.14 or newer, this is %d.%d.%d"):format(
    math.floor(n / 1000000), math.floor(n / 1000) % 1000, n % 1000), 0)
end

local M = { name = "nginx" }

--- Does init_by_lua run? There the master's environment and files are seen; a worker has neither.
function M.starting() return ngx.get_phase() == "init" end

local at_start = M.starting()   -- were we loaded there?

local LEVEL = { error = ngx.ERR, warn = ngx.WARN, info = ngx.INFO }

--- Tell the operator something, in nginx's error log.
-- @tparam string level "error", "warn" or "info"
-- @tparam string text without secrets
function M.log(level, text) ngx.log(LEVEL[level], "directmail: ", text) end

-- ---- the system, by LuaJIT's ffi where it is there --------------------------------

local has_ffi, ffi = pcall(require, "ffi")
-- pcall: a second copy of this file in the same VM declares the same struct
if has_ffi then
  pcall(ffi.cdef, [[
    struct directmail_time { long seconds, nanoseconds; };
    int directmail_clock(int clock, struct directmail_time *time) __asm__("clock_gettime");
    int directmail_hostname(char *name, size_t size) __asm__("gethostname");
    extern char **directmail_environ __asm__("environ");
  ]])
end

--- UTC in seconds since 1970, with fraction.
function M.now()
  ngx.update_time()             -- nginx's own time stands still while Lua runs
  return ngx.now()
end

local function new_tick()
  if not has_ffi then return M.now end  -- jumps when somebody sets the clock
  local MONOTONIC = 1           -- Linux; its nanoseconds are long on every machine that LuaJIT runs on
  local time = ffi.new "struct directmail_time"
  return function()
    ffi.C.directmail_clock(MONOTONIC, time)
    return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
  end
end

--- Seconds that only ever grow.
M.tick = new_tick()

local urandom = assert(io.open("/dev/urandom", "rb"))
urandom:setvbuf "no"            -- workers inherit the open file: octets read ahead would be the same in each of them

--- n random octets, from the kernel. It never waits once the machine is up.
function M.random(n)
  local bytes = n > 0 and urandom:read(n) or ""
  if #bytes ~= n then error("/dev/urandom gave no octets", 0) end
  return bytes
end

local function short_name()
  if has_ffi then
    local name = ffi.new("char[256]")
    if ffi.C.directmail_hostname(name, 255) == 0 then return ffi.string(name) end
  end
  return (machine.read("/proc/sys/kernel/hostname", 256) or ""):match "%S+"
end

local full_name = machine.full_name(short_name())

--- The machine's full name, with a dot, or nil.
function M.hostname() return full_name end

-- ---- environment and files ----------------------------------------------------------

-- What is kept for the workers: the names that directmail looks at, and nobody else's secrets.
local KEPT = { "^DIRECTMAIL_", "^ALIBABA", "^ALICLOUD_", "^ACCESS_KEY", "^SECURITY_TOKEN$", "^HOME$", "^XDG_CONFIG_HOME$" }

local function environment()
  local kept = {}
  local list = has_ffi and ffi.C.directmail_environ or nil
  local i = 0
  while list ~= nil and list[i] ~= nil do
    local name, value = ffi.string(list[i]):match "^([^=]+)=(.+)$"
    for _, pattern in ipairs(name and KEPT or {}) do
      if name:find(pattern) then kept[name] = value end
    end
    i = i + 1
  end
  return kept
end

local kept = at_start and environment() or {}

if kept.DIRECTMAIL_CA then
  M.log("warn", "DIRECTMAIL_CA is left alone: inside nginx a CA is named by lua_ssl_trusted_certificate in nginx.conf")
  kept.DIRECTMAIL_CA = nil
end

local warned = at_start

--- An environment variable as it was in init_by_lua; an empty one counts as unset.
function M.env(name)
  local value = kept[name]
  if value == nil and name ~= "DIRECTMAIL_CA" then
    value = os.getenv(name)     -- a worker has what nginx.conf names with `env`
    if value == nil and not warned then
      warned = true
      M.log("warn", 'a worker sees no environment: put require "directmail" into init_by_lua_block, or give every setting as an option')
    end
  end
  return value ~= "" and value or nil
end

--- Files larger than this are not read here.
M.file_octets = limits.attachment_nginx_octets

local files = {}                -- path -> { bytes, why }: what init_by_lua tried, often with more rights than a worker has

--- A whole file. The worker stands still meanwhile, so it may be 1 MB at most. What init_by_lua read or missed stays as it was.
-- @tparam string path
-- @tparam[opt] integer max octets, if fewer
-- @return bytes; or nil and why
function M.read(path, max)
  max = math.min(max or M.file_octets, M.file_octets)
  local known = files[path]
  if not known then
    known = { machine.read(path, max) }
    if M.starting() then files[path] = known end
  end
  if known[1] and #known[1] > max then return nil, ("larger than %d octets"):format(max) end
  return known[1], known[2]
end

local profiles = {}             -- path -> what core.profile said of it

--- A profile, read once in init_by_lua: a worker may lack the rights, and would read it at every `directmail.new`.
-- @tparam string path
-- @param ... limits, as of core.profile
-- @return what core.profile returns
function M.profile(path, ...)
  if M.starting() and not profiles[path] then profiles[path] = { core.profile(path, ...) } end
  if profiles[path] then return unpack(profiles[path], 1, 4) end
  return nil, at_start and "FILE" or "ABSENT", "was not read in init_by_lua",
    "call directmail.new with this profile in init_by_lua_block, and use that mail object in the handlers"
end

local SHARED = "directmail"     -- the dict's name when nobody gives one
local told                      -- that there is none

--- The dict in which all workers keep rates.
-- @tparam[opt] string name of the option `shared_dict`
-- @treturn ?table nil when nginx.conf has none: then each worker keeps the rates for itself
function M.shared(name)
  local dict = ngx.shared[name or SHARED]
  if not dict and not name and not told and ngx.worker.count() > 1 then
    told = true
    M.log("warn", ("each of the %d workers keeps to the rates for itself, so together they may go over them: "
      .. 'add "lua_shared_dict %s 1m;" to http {} in nginx.conf'):format(ngx.worker.count(), SHARED))
  end
  return dict
end

--- Connections are kept in a worker between two mails: requests come one by one, and each would log in again.
M.keeps = true

--- Is this worker told to end?
M.exiting = ngx.worker.exiting

-- ---- what this home cannot do -----------------------------------------------------

--- Settings that are refused by name: name -> { cause =, remedy = }.
M.refuses = {
  ca = {
    cause = "nginx takes certificates to trust from its own configuration only",
    remedy = 'add "lua_ssl_trusted_certificate FILE;" to http {} in nginx.conf, and leave ca away',
  },
  proxy = {
    cause = "cosockets know no proxy",
    remedy = "leave proxy (DIRECTMAIL_PROXY) away inside nginx; the server must be reachable from here",
  },
}

--- Why no store is a file here.
M.no_files = {
  cause = "a store in a file would make everything in this worker wait for the disk",
  remedy = 'give store = "redis://HOST:PORT/DB" (docs/store.md)',
}

local TIMER = "hand it to a timer: ngx.timer.at(0, function() mail:send { … } end)"
local NO_SOCKETS = {
  set = TIMER, header_filter = TIMER, body_filter = TIMER, log = TIMER, balancer = TIMER, ssl_session_store = TIMER, init_worker = TIMER,
  init = "make the mail object here, and send from a handler, or from a timer made in init_worker_by_lua",
  exit_worker = "send from a handler or a timer, before the worker ends",
}

--- May this code wait for a socket?
-- @return true; or nil, cause, remedy and whether `later` works here
function M.ready()
  local phase = ngx.get_phase()
  local remedy = NO_SOCKETS[phase]
  if not remedy then return true end
  return nil, ("nginx has no sockets in %s_by_lua"):format(phase), remedy, remedy == TIMER
end

local handed                    -- what waits in this worker for a timer

--- Have something done in a timer, which may wait for sockets: for phases that may not.
-- @tparam function run called as `run(last)`; it returns seconds after which it is called again, unless it was the last time; or nil
-- @treturn boolean true; or false, why: it will not be done
function M.later(run)
  handed = handed or require "directmail.nginx.background".new {
    most = limits.background_mails, pumps = limits.background_pumps, host = M, send = function(entry, last) return entry(last) end,
    on_change = function() end,
  }
  return handed:push(run)
end

local IP = "^[%d.]+$"

local function is_address(name) return name:find(IP) ~= nil or name:find(":", 1, true) ~= nil end

--- What helps here against a failure of the network, where it differs from the other homes.
-- @tparam string code of `directmail.err`
-- @tparam ?string detail for TLS: name, expired, issuer; nil or "" when nginx does not tell
-- @tparam string words the socket's
-- @treturn ?string
function M.remedy(code, detail, words)
  if code == "DNS" then
    if words:find("has no resolver", 1, true) then return 'add "resolver 223.5.5.5 ipv6=off;" (or your own name server) to http {} in nginx.conf' end
    return "check the host name, the region, and the name server that nginx's resolver directive names"
  end
  if code ~= "TLS" then return nil end
  if detail == "issuer" then
    return 'add "lua_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt; lua_ssl_verify_depth 3;" to http {} in nginx.conf; '
      .. "for a server of your own, the file of its CA"
  end
  if detail == "name" and words:find("is an address", 1, true) then return "name the server by a host name that its certificate carries" end
  if (detail or "") == "" then
    return "nginx's error log has the reason; check that the port speaks TLS: smtps:// on 465, smtp:// (STARTTLS) on 80 and 25"
  end
end

-- ---- tasks ------------------------------------------------------------------------

--- Wait at least so long: nginx cuts to milliseconds, counted from a time that stands still while Lua runs.
function M.sleep(seconds)
  ngx.update_time()
  ngx.sleep(math.ceil(seconds * 1000) / 1000)
end

M.spawn = ngx.thread.spawn
M.wait = ngx.thread.wait

local A_DAY = 86400

--- What one task counts up and others wait for.
-- @treturn table `wait(seconds)` -> true, or nil and "timeout" (nil: wait for ever); `post(n)`
function M.semaphore()
  local inner = assert(require "ngx.semaphore".new(0))
  local semaphore = {}

  function semaphore.wait(_, seconds)
    local ok, why
    repeat
      ok, why = inner:wait(seconds or A_DAY)
    until ok or seconds or why ~= "timeout"
    if ok then return true end
    return nil, why
  end

  function semaphore.post(_, n) inner:post(n or 1) end

  return semaphore
end

-- ---- sockets ------------------------------------------------------------------------

-- Our three methods stand in the socket's own table, in front of nginx's.
local function of_nginx(sock, method) return getmetatable(sock).__index[method] end

local function connect(sock, host, port, options)
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  local ok, why = of_nginx(sock, "connect")(sock, host, port, options)
  if ok then return ok end
  if why:find("no resolver defined", 1, true) then why = "nginx has no resolver to look the name up" end
  return nil, why
end

-- A nil leaves the limit as it is; nginx would take its default of 60 s instead.
local function settimeouts(sock, connect_ms, send_ms, read_ms)
  sock.connect_ms, sock.send_ms, sock.read_ms = connect_ms or sock.connect_ms, send_ms or sock.send_ms, read_ms or sock.read_ms
  return of_nginx(sock, "settimeouts")(sock, sock.connect_ms, sock.send_ms, sock.read_ms)
end

-- Why a handshake failed, asked where nginx noted it. resty.core can hide it: a handshake that ends at once says true although the
-- certificate was refused (the connection is closed then; https://github.com/openresty/lua-nginx-module/pull/2506), and
-- the number in front of its words may be that of an earlier failure.
local function reason_of(sock)
  local base = require "resty.core.base"
  local text, number = ffi.new "char *[1]", ffi.new "int[1]"
  local failed = ffi.C.ngx_http_lua_ffi_socket_tcp_get_sslhandshake_result(base.get_request(), sock[1], ffi.new "void *[1]", text, number)
  if failed == base.FFI_OK then return nil end
  local words = ffi.string(text[0])
  return number[0] ~= 0 and ("%d: %s"):format(number[0], words) or words
end

local function sslhandshake(sock, _, name, verify)
  if type(name) ~= "string" or name == "" then
    error("bad argument #2 to 'sslhandshake' (the host name of the certificate expected)", 2)
  end
  if verify ~= true then error("bad argument #3 to 'sslhandshake' (true expected: certificates are always verified)", 2) end
  if is_address(name) then      -- nginx would look for it among the DNS names, and offer it as SNI (RFC 6066, 3)
    sock:close()
    return nil, ("certificate host mismatch: nginx knows names only, and %s is an address"):format(name)
  end
  local ok, why = of_nginx(sock, "sslhandshake")(sock, false, name, true)
  if ok and sock:getreusedtimes() then return true end
  local known, reason = pcall(reason_of, sock)          -- an older one has no such place, and tells it right
  why = known and reason or why or "handshake failed"
  if known and not reason then why = why:gsub("^%d+: ", "") end
  sock:close()                  -- nothing may go over it in clear text now
  return nil, why
end

--- A socket, not yet connected: nginx's own, with addresses of IPv6 as the other homes write them, and handshakes that tell why.
-- @tparam[opt] table options what M.refuses names is refused here as well
function M.tcp(options)
  for name in pairs(M.refuses) do
    if options and options[name] ~= nil then error(name .. ": " .. M.refuses[name].cause, 2) end
  end
  local sock = ngx.socket.tcp()
  sock.connect, sock.sslhandshake, sock.settimeouts = connect, sslhandshake, settimeouts
  return sock
end

-- ---- DNS ------------------------------------------------------------------------------

local TRY = 3                   -- seconds until a lost packet is asked for again
local TYPE = { A = 1, NS = 2, CNAME = 5, SOA = 6, MX = 15, TXT = 16, AAAA = 28 }
local WHY = { [2] = "servfail", [3] = "nxdomain", [5] = "refused" }      -- RFC 1035, 4.1.1

local kind_of = {}
for kind, number in pairs(TYPE) do kind_of[number] = kind end

-- What the system asks; nginx does not tell which servers its resolver directive names.
local name_servers = {}
for line in (machine.read("/etc/resolv.conf", 65536) or ""):gmatch "[^\r\n]+" do
  name_servers[#name_servers + 1] = line:match "^%s*nameserver%s+([%x.:]+)"
end
if not name_servers[1] then name_servers[1] = "127.0.0.1" end

local resolver                  -- lua-resty-dns; Debian's name of it differs

local function resolver_module()
  for _, name in ipairs { "resty.dns.resolver", "nginx.dns.resolver" } do
    local found, module = pcall(require, name)
    if found then return module end
  end
  return nil, "lua-resty-dns is not installed (Debian: lua-nginx-dns)"
end

local function in_lower_case(name) return name and name:lower():gsub("%.$", "") end

local function record_of(answer)
  local text = answer.txt
  return {
    owner = in_lower_case(answer.name), type = kind_of[answer.type], ttl = answer.ttl,
    address = answer.type == TYPE.AAAA and resolver.compress_ipv6_addr(answer.address) or answer.address,
    preference = answer.preference, exchange = in_lower_case(answer.exchange),
    name = in_lower_case(answer.cname or answer.nsdname or answer.mname), mailbox = in_lower_case(answer.rname),
    text = type(text) == "table" and table.concat(text) or text,
    serial = answer.serial, refresh = answer.refresh, retry = answer.retry, expire = answer.expire, minimum = answer.minimum or answer.mininum,
  }
end

local function ask(name, kind, seconds, ip, port)
  local why
  if not resolver then
    resolver, why = resolver_module()
    if not resolver then return nil, why end
  end
  local servers = ip and { { ip, port } } or {}
  for _, server in ipairs(ip and {} or name_servers) do servers[#servers + 1] = { server, 53 } end
  for _, server in ipairs(servers) do
    if server[1]:find(":", 1, true) then server[1] = "[" .. server[1] .. "]" end
  end
  local client, answers
  client, why = resolver:new { nameservers = servers, timeout = math.max(1, math.floor(math.min(TRY, seconds) * 1000)), retrans = seconds > TRY and 2 or 1 }
  if not client then return nil, why end
  -- pcall: it counts with octets that a garbled answer does not have
  local whole
  whole, answers, why = pcall(client.query, client, name, { qtype = TYPE[kind] })
  if not whole or not answers and type(why) ~= "string" then return nil, "the answer of the DNS server is garbled" end
  if not answers then return nil, why:find "timeout" and "timeout" or why:find("refused", 1, true) and "connection refused" or why end
  if answers.errcode then return nil, WHY[answers.errcode] or "the DNS server says: " .. answers.errstr end
  local records = {}
  for _, answer in ipairs(answers) do
    if answer.class == 1 and kind_of[answer.type] then records[#records + 1] = record_of(answer) end
  end
  return records
end

--- Ask for the records of a name, see `directmail.host.query`; by lua-resty-dns.
M.dns = query.new(M, ask)

-- ---- HTTP ------------------------------------------------------------------------------

local PORT = { http = 80, https = 443 }
local POOL = 30                 -- idle connections kept for one host
local TIMEOUT = 60              -- seconds of a whole exchange when the caller sets none

local function address_of(url)
  local scheme, authority, path = url:match "^(https?)://([^/?#]+)([^#]*)$"
  if not scheme or authority:find("@", 1, true) then return nil end
  local host, port = authority:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = authority:match "^([^:%[%]]+):?(%d*)$" end
  port = port == "" and PORT[scheme] or tonumber(port)
  if not host or not port or port < 1 or port > 65535 then return nil end
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  return { scheme = scheme, authority = authority, host = host, port = port, path = path }
end

--- One request and its answer; no redirects, nothing sent twice.
-- @tparam table request as of `directmail.host.std`; `ca` and `proxy` are refused
-- @treturn[1] table response `status`, `headers` by lower-case name, `body`, `peer` = host and port, `seconds`, `reused`
-- @treturn[2] nil
-- @treturn[2] table `code` = DNS, CONNECT, TLS, TIMEOUT, LOST or PROTOCOL; `detail` of TLS = name, expired, issuer or nil; `words`;
--   `step` = "connect" or "api"; `sent` = octets of the request may have left; `peer`; `seconds`
-- @raise when the request cannot be written as HTTP: nothing left then
function M.http(request)
  local start, timeout = M.tick(), request.timeout or TIMEOUT
  local function left()
    local seconds = timeout - (M.tick() - start)
    return seconds > 0 and math.max(1, math.ceil(seconds * 1000)) or nil
  end
  local at = address_of(request.url)
  if not at then error(("http: %q is no URL of HTTP"):format(tostring(request.url)), 2) end
  local peer = ("%s:%d"):format(at.host, at.port)
  local sock = M.tcp { ca = request.ca, proxy = request.proxy }
  local function fail(step, words, sent, code, detail)
    sock:close()
    return nil, { code = code, detail = detail ~= "" and detail or nil, words = words, step = step, sent = sent, peer = peer,
      seconds = M.tick() - start }
  end
  local limit = math.min(left() or 1, math.ceil((request.connect_timeout or timeout) * 1000))
  sock:settimeouts(limit, limit, limit)
  local ok, why = sock:connect(at.host, at.port, { pool = ("directmail:%s:%s:%d"):format(at.scheme, at.host, at.port) })
  if not ok then return fail("connect", why, false, session.loss(why, "connect")) end
  local reused = sock:getreusedtimes() > 0
  if at.scheme == "https" and not reused then
    ok, why = sock:sslhandshake(false, at.host, true)
    if not ok then return fail("connect", why, false, session.loss(why, "tls")) end
  end
  local response, words, progress = http1.request(sock, {
    method = request.method or "POST", host = at.authority, path = at.path, headers = request.headers, body = request.body,
  }, { max_head = request.max_head, max_body = request.max_body, limit_ms = left })
  if not response then return fail("api", words, progress.sent, progress.code) end
  if response.keepalive then
    sock:setkeepalive(limits.keepalive * 1000, POOL)
  else
    sock:close()
  end
  return {
    status = response.status, headers = response.headers, body = response.body, peer = peer,
    seconds = M.tick() - start, reused = reused,
  }
end

return M
