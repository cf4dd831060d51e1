--- Sockets with the names and the answers of nginx's cosockets, over descriptors that never block.
-- The descriptors are those of `directmail.net`, or of the memory double, which has the same methods.
-- @module directmail.host.socket
local pools = require "directmail.host.pool"

local READ, WRITE = 0, 1                -- who waits, and what for: the descriptors' numbers
local LIMIT = 60                        -- seconds: nginx's lua_socket_*_timeout
local POOL_LIMIT, POOL_SIZE = 60, 30    -- nginx's lua_socket_keepalive_timeout and lua_socket_pool_size
local SCARCE = 0.1                      -- seconds until accept is tried again without a free descriptor

local M = {}

local function seconds_of(ms, old, level)
  if ms == nil then return old end
  if type(ms) ~= "number" or ms <= 0 or ms ~= ms then error("milliseconds over 0 expected", level + 1) end
  return ms / 1000
end

local function name_of(ip, port)
  if not ip then return nil end
  return (ip:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(ip, port)
end

--- The sockets of a host.
-- @tparam table net `directmail.net`, or what has its `connect listen timer tick`
-- @tparam table tasks the scheduler of the same loop, see `directmail.host.tasks`
-- @treturn table `tcp` and `listen`
function M.new(net, tasks)
  local caller, park = tasks.caller, tasks.park
  local pool = pools.new(net.tick)

  local Sock = {}
  Sock.__index = Sock

  local function new_sock(fd)
    return setmetatable({ fd = fd, reused = 0, connect_limit = LIMIT, send_limit = LIMIT, read_limit = LIMIT }, Sock)
  end

  local function await(fd, who, want, seconds, me)
    local id, why = fd:wait(who, want, seconds)
    if not id then return nil, why end
    if not park(id, me) then return nil, "timeout" end
    return true
  end

  --- Set time limits in milliseconds; nil leaves one as it is, 60,000 at first.
  -- @tparam ?number connect_ms of connecting, and of a TLS handshake
  -- @tparam ?number send_ms of each wait while sending
  -- @tparam ?number read_ms of each wait while receiving
  function Sock:settimeouts(connect_ms, send_ms, read_ms)
    self.connect_limit = seconds_of(connect_ms, self.connect_limit, 2)
    self.send_limit = seconds_of(send_ms, self.send_limit, 2)
    self.read_limit = seconds_of(read_ms, self.read_limit, 2)
  end

  --- Connect, or take a connection that was kept.
  -- @tparam string host name or IP literal, IPv6 without brackets
  -- @tparam integer port
  -- @tparam[opt] table options `pool` = the name under which setkeepalive keeps it; "host:port" when left out
  -- @return 1; or nil and "timeout", "connection refused", "host not found: …", "closed" or the system's words
  function Sock:connect(host, port, options)
    if type(host) ~= "string" or host == "" then error("bad argument #1 to 'connect' (host expected)", 2) end
    if type(port) ~= "number" or port < 1 or port > 65535 or port % 1 ~= 0 then
      error("bad argument #2 to 'connect' (port from 1 to 65535 expected)", 2)
    end
    if self.attempt then error("this socket is being connected already", 2) end
    self:close()
    local name = options and options.pool or ("%s:%d"):format(host, port)
    -- another CA or another way there makes it another connection
    self.port = port
    self.pool = name .. "\0" .. (self.ca or "") .. "\0" .. (self.proxy or "")
    local kept = pool.take(self.pool)
    if kept then
      self.fd, self.reused, self.tls_name, self.peer_text = kept.fd, kept.reused + 1, kept.tls_name, kept.peer_text
      return 1
    end
    self.reused, self.tls_name, self.peer_text = 0, nil, nil
    local me = caller(2)
    local attempt, id = net.connect(host, port, self.connect_limit, self.proxy)
    if not attempt then return nil, id end
    self.attempt = attempt
    park(id, me)
    self.attempt = nil
    local fd, why = attempt:finish()
    if not fd then return nil, why end
    self.fd = fd
    if not self.proxy or self.proxy == "" then self.peer_text = name_of(fd:peername()) end
    return 1
  end

  --- Send all of some octets.
  -- @tparam string bytes
  -- @return how many; or nil, "timeout", "closed" or words, and how many were handed out. What a peer said before it
  --   closed can still be received.
  function Sock:send(bytes)
    local fd = self.fd
    if not fd then return nil, "closed" end
    if self.sending then error("another task is sending on this socket", 2) end
    local size, from, me = #bytes, 1, nil
    while from <= size do
      local n, why = fd:send(bytes, from)
      if n then
        from = from + n
      else
        if n == false then
          if not me then
            me = caller(2)
            self.sending = true
          end
          n, why = await(fd, WRITE, why, self.send_limit, me)
        end
        if not n then
          self.sending = nil
          return nil, why, from - 1
        end
      end
    end
    if me then self.sending = nil end
    return size
  end

  --- Receive what is there.
  -- @tparam integer max octets at most, and 64 KB in any case
  -- @return one octet or more; or nil and "timeout", "closed" or words
  function Sock:receiveany(max)
    local fd = self.fd
    if not fd then return nil, "closed" end
    if self.receiving then error("another task is receiving on this socket", 2) end
    local bytes, want = fd:recv(max)
    if bytes ~= false then return bytes, want end
    local me = caller(2)
    self.receiving = true
    repeat
      local ok, why = await(fd, READ, want, self.read_limit, me)
      if ok then
        bytes, want = fd:recv(max)
      else
        bytes, want = nil, why
      end
    until bytes ~= false
    self.receiving = nil
    return bytes, want
  end

  -- Both halves of a TLS handshake, the whole within the time limit of connecting. `begin` has been called.
  local function handshake(sock, me, done, want)
    local fd, limit = sock.fd, net.tick() + sock.connect_limit
    sock.sending, sock.receiving = true, true
    if done then done, want = fd:handshake() end
    while done == false do
      local ok, why = await(fd, READ, want, math.max(0, limit - net.tick()), me)
      if ok then
        done, want = fd:handshake()
      else
        done, want = nil, why
      end
    end
    sock.sending, sock.receiving = nil, nil
    if done then return true end
    sock:close()          -- nothing may go over it in clear text now
    return nil, want
  end

  local function may_begin(sock)
    if sock.sending or sock.receiving then error("another task is using this socket", 3) end
    return caller(3)
  end

  --- Make the connection private, as its client. A connection from the pool that is private already stays so.
  -- @param _ nginx's session to resume, pass false: sessions with the same name, port and CA are resumed by themselves
  -- @tparam string name the host name or IP address that the certificate must be for
  -- @tparam boolean verify true; there is no other way
  -- @return true; or nil and "timeout", "closed", "certificate host mismatch (it is for: a, b)", OpenSSL's verify code as in
  --   "10: certificate has expired", "wrong version number: the server speaks clear text here", "unsupported protocol"
  --   (the server is below TLS 1.2), else words. The socket is closed then.
  function Sock:sslhandshake(_, name, verify)
    if type(name) ~= "string" or name == "" then
      error("bad argument #2 to 'sslhandshake' (the host name of the certificate expected)", 2)
    end
    if verify ~= true then error("bad argument #3 to 'sslhandshake' (true expected: certificates are always verified)", 2) end
    if not self.fd then return nil, "closed" end
    if self.tls_name then
      if self.tls_name == name then return true end
      return nil, "the connection is private already, with " .. self.tls_name
    end
    local me = may_begin(self)
    local ok, why = handshake(self, me, self.fd:client(name, self.ca, self.port))
    if ok then self.tls_name = name end
    return ok, why
  end

  --- Make the connection private, as its server.
  -- @param identity from `host.identity`
  -- @return true; or nil and "timeout", "closed", "wrong version number: the client speaks clear text here" or OpenSSL's words
  function Sock:sslaccept(identity)
    if not self.fd then return nil, "closed" end
    local me = may_begin(self)
    return handshake(self, me, self.fd:server(identity))
  end

  --- Keep the connection for a later connect with the same pool name, CA and proxy; this socket is closed by it.
  -- @tparam[opt=60000] number ms how long it may lie idle
  -- @tparam[opt=30] number size how many of this name are kept; the one that lies longest goes first
  -- @return 1; or nil, why when it is not fit to be kept (it is closed then)
  function Sock:setkeepalive(ms, size)
    local seconds = seconds_of(ms, POOL_LIMIT, 2)
    local fd = self.fd
    if not fd then return nil, "closed" end
    if self.sending or self.receiving then error("another task is using this socket", 2) end
    if not self.pool then error("only a connection made by 'connect' can be kept", 2) end
    if not fd:idle() then
      self:close()
      return nil, "connection in dubious state"
    end
    self.fd = nil
    local kept = { fd = fd, reused = self.reused, tls_name = self.tls_name, peer_text = self.peer_text }
    pool.put(self.pool, kept, seconds, math.max(1, size or POOL_SIZE))
    return 1
  end

  --- How often this connection came out of the pool; 0: it is new.
  function Sock:getreusedtimes() return self.reused end

  --- Close. Whoever waits for the socket gets "closed".
  function Sock:close()
    if self.attempt then self.attempt:close() end
    if self.fd then self.fd:close() end
    self.fd = nil
    return 1
  end

  --- The IP address of the own end, or nil.
  function Sock:getsockname()
    local ip = self.fd and self.fd:sockname()
    return ip or nil
  end

  --- The other end as "203.0.113.9:465" or "[2001:db8::9]:465"; known after a failed handshake too, nil behind a proxy.
  function Sock:peer()
    if not self.peer_text and self.fd and not self.pool then self.peer_text = name_of(self.fd:peername()) end
    return self.peer_text
  end

  --- {version = "TLSv1.3", cipher =, resumed = an earlier session goes on, subject =, expires = "2027-03-01"} of the peer's
  -- certificate, or nil in clear text.
  function Sock:tls() return self.fd and self.fd:tls() or nil end

  local Listener = {}
  Listener.__index = Listener

  --- Take the next connection.
  -- @return a socket; or nil and "closed" or the system's words
  function Listener:accept()
    while self.fd do
      local fd, why, later = self.fd:accept()
      if fd then return new_sock(fd) end
      if fd == nil and not later then return nil, why end
      if self.accepting then error("another task is accepting on this listener", 2) end
      local me = caller(2)
      self.accepting = true
      park(fd == nil and net.timer(SCARCE) or self.fd:wait(), me)
      self.accepting = nil
    end
    return nil, "closed"
  end

  --- Stop listening. Whoever waits in accept gets "closed".
  function Listener:close()
    if self.fd then self.fd:close() end
    self.fd = nil
  end

  local sockets = {}

  --- A socket, not yet connected.
  -- @tparam[opt] table options `ca` = PEM file that replaces the system's store, `proxy` = URL ("http://…", "socks5h://…")
  function sockets.tcp(options)
    local sock = new_sock(nil)
    if options then sock.ca, sock.proxy = options.ca, options.proxy end
    return sock
  end

  --- Listen on an IP address.
  -- @tparam string address "127.0.0.1", "::1" …
  -- @tparam integer port 0 takes a free one
  -- @param ... what else the net's `listen` takes
  -- @return listener with `address` and `port`; or nil, why
  function sockets.listen(address, port, ...)
    local fd, bound = net.listen(address, port, ...)
    if not fd then return nil, bound end
    return setmetatable({ fd = fd, address = address, port = bound }, Listener)
  end

  return sockets
end

return M
