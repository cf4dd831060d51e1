--- A host without a world: its network lies in memory and its clock moves only when everybody waits.
-- For tests. Tasks and sockets are those of the real host; only what lies under them is replaced, so a program behaves
-- as it does outside, and a time limit of a minute passes at once.
-- @module directmail.host.memory
local socket = require "directmail.host.socket"
local option = require "directmail.option"
local queries = require "directmail.host.query"
local schedulers = require "directmail.host.tasks"

local READ, WRITE = 0, 1
local BUFFER = 65536                    -- octets a direction holds until its sender must wait
local EPOCH = 1767225600                -- what now() says at tick 0: 2026-01-01

local M = {}

-- ---- waits, and a clock that jumps to the next one that ends ---------------

local function new_loop()
  local loop = {}
  local clock, last = 0, 0
  local live, fired = {}, {}            -- live: id -> function that forgets it, or true
  local heap = {}                       -- {limit, id} by limit, then age; those that were fired early are skipped

  local function before(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end

  local function push(entry)
    local at = #heap + 1
    while at > 1 and before(entry, heap[math.floor(at / 2)]) do
      heap[at] = heap[math.floor(at / 2)]
      at = math.floor(at / 2)
    end
    heap[at] = entry
  end

  local function pop()
    local top, tail = heap[1], table.remove(heap)
    local at, size = 1, #heap
    if size == 0 then return top end
    while at * 2 <= size do
      local child = at * 2
      if child < size and before(heap[child + 1], heap[child]) then child = child + 1 end
      if not before(heap[child], tail) then break end
      heap[at] = heap[child]
      at = child
    end
    heap[at] = tail
    return top
  end

  function loop.tick() return clock end

  function loop.wait(seconds, forget)
    last = last + 1
    live[last] = forget or true
    if seconds then push { clock + math.max(0, seconds), last } end
    return last
  end

  loop.timer = loop.wait

  function loop.fire(id, timed_out)
    local forget = live[id]
    if not forget then return end
    live[id] = nil
    if forget ~= true then forget() end
    fired[#fired + 1] = timed_out and -id or id
  end

  function loop.turn(out, seconds)
    while #fired == 0 and seconds ~= 0 do
      local top = heap[1] and pop()
      if not top then return nil end
      if live[top[2]] then
        clock = math.max(clock, top[1])
        loop.fire(top[2], true)
        while heap[1] and heap[1][1] <= clock do loop.fire(pop()[2], true) end
      end
    end
    local n = #fired
    for i = 1, n do out[i] = fired[i] end
    fired = {}
    return n
  end

  return loop
end

-- ---- one direction of a connection ------------------------------------------

local function new_pipe(options)
  return { parts = {}, first = 1, last = 0, size = 0, passed = 0, ended = false,
    chunk = options.chunk, limit = options.buffer or BUFFER, cut = nil }
end

local function put(pipe, bytes)
  pipe.last = pipe.last + 1
  pipe.parts[pipe.last] = bytes
  pipe.size = pipe.size + #bytes
  pipe.passed = pipe.passed + #bytes
end

local function take(pipe, max)
  local want, taken = math.min(max, pipe.chunk or max), {}
  while want > 0 and pipe.first <= pipe.last do
    local part = pipe.parts[pipe.first]
    if #part <= want then
      pipe.parts[pipe.first] = nil
      pipe.first = pipe.first + 1
    else
      pipe.parts[pipe.first] = part:sub(want + 1)
      part = part:sub(1, want)
    end
    taken[#taken + 1] = part
    want = want - #part
    pipe.size = pipe.size - #part
  end
  return table.concat(taken)
end

-- ---- one end of a connection ------------------------------------------------

local End = {}
End.__index = End

local function wake(e)
  for who = READ, WRITE do
    local id = e.waits[who]
    if id and e:ready(e.wants[who]) then e.loop.fire(id) end
  end
end

function End:ready(want)
  if self.closed then return true end
  if want == READ then return self.incoming.size > 0 or self.incoming.ended end
  return self.outgoing.size < self.outgoing.limit or self.outgoing.ended
end

-- Neither direction carries anything new; what passed before can still be read.
local function lose(e)
  e.incoming.ended, e.outgoing.ended = true, true
  wake(e)
  wake(e.other)
end

function End:recv(max)
  if self.closed then return nil, "closed" end
  local pipe = self.incoming
  if pipe.size == 0 then
    if pipe.ended then return nil, "closed" end
    return false, READ
  end
  local bytes = take(pipe, max)
  wake(self.other)
  return bytes
end

function End:send(bytes, from)
  local pipe = self.outgoing
  if self.closed or pipe.ended then return nil, "closed" end
  local n = math.min(#bytes - from + 1, pipe.limit - pipe.size)
  local cut = pipe.cut and pipe.cut - pipe.passed
  if cut and n >= cut then
    if cut > 0 then put(pipe, bytes:sub(from, from + cut - 1)) end
    lose(self)
    if cut > 0 then return cut end
    return nil, "closed"
  end
  if n == 0 and from <= #bytes then return false, WRITE end
  if n > 0 then put(pipe, bytes:sub(from, from + n - 1)) end
  wake(self.other)
  return n
end

function End:wait(who, want, seconds)
  if self.closed then return nil, "closed" end
  if self.waits[who] then error("somebody waits for this socket already", 2) end
  local id = self.loop.wait(seconds, function() self.waits[who] = nil end)
  self.waits[who], self.wants[who] = id, want
  if self:ready(want) then self.loop.fire(id) end
  return id
end

function End:client(name)
  self.private = { version = "TLSv1.3", cipher = "in memory", resumed = false, subject = name, expires = "2099-12-31" }
  return true
end

function End:server()
  self.private = { version = "TLSv1.3", cipher = "in memory", resumed = false }
  return true
end

function End:handshake()
  if self.closed or self.outgoing.ended then return nil, "closed" end
  if self.refusal then return nil, self.refusal end
  return true
end

function End:tls() return self.private end

function End:idle() return not self.closed and self.incoming.size == 0 and not self.incoming.ended end

function End:sockname() return self.ip, self.port end

function End:peername() return self.other.ip, self.other.port end

function End:close()
  if self.closed then return end
  self.closed = true
  lose(self)
end

local function new_pair(loop, ip, port, from_port, options)
  local up, down = new_pipe(options), new_pipe(options)
  if options.cut_after then (options.cut == "server" and down or up).cut = options.cut_after end
  local client = { loop = loop, waits = {}, wants = {}, ip = "127.0.0.1", port = from_port, incoming = down, outgoing = up }
  local server = { loop = loop, waits = {}, wants = {}, ip = ip, port = port, incoming = up, outgoing = down }
  client.other, server.other = server, client
  client.refusal = options.handshake
  if options.cut_after == 0 then up.ended, down.ended = true, true end
  return setmetatable(client, End), setmetatable(server, End)
end

-- ---- the network ------------------------------------------------------------

local CONNECTION = { "chunk", "cut_after", "cut", "buffer", "handshake" }

local function connection_options(options, defaults, what, level)
  option.check(options, CONNECTION, what, level)
  local all = {}
  for _, name in ipairs(CONNECTION) do
    all[name] = options[name]
    if all[name] == nil then all[name] = defaults[name] end
  end
  if all.cut ~= nil and all.cut ~= "client" and all.cut ~= "server" then
    error(what .. ": cut is \"client\" or \"server\"", level)
  end
  return all
end

local function new_net(loop, defaults)
  local net = { turn = loop.turn, timer = loop.timer, fire = loop.fire, tick = loop.tick }
  local bound, next_port, next_client = {}, 40000, 50000

  local Listener = {}
  Listener.__index = Listener

  function Listener:accept()
    if self.closed then return nil, "closed" end
    if #self.queue == 0 then return false end
    return table.remove(self.queue, 1)
  end

  function Listener:wait()
    if self.closed then return nil, "closed" end
    self.id = loop.wait(nil, function() self.id = nil end)
    local id = self.id
    if #self.queue > 0 then loop.fire(id) end
    return id
  end

  function Listener:close()
    if self.closed then return end
    self.closed, bound[self.key] = true, nil
    for _, e in ipairs(self.queue) do e:close() end
    self.queue = {}
    if self.id then loop.fire(self.id) end
  end

  function net.listen(address, port, options)
    local all = connection_options(options or {}, defaults, "memory.listen", 4)
    if port == 0 then
      repeat
        port, next_port = next_port, next_port + 1
      until not bound[address .. ":" .. port]
    end
    local key = ("%s:%d"):format(address, port)
    if bound[key] then return nil, "Address already in use" end
    bound[key] = setmetatable({ key = key, port = port, address = address, options = all, queue = {} }, Listener)
    return bound[key], port
  end

  function net.connect(host, port)
    local listener = bound[("%s:%d"):format(host, port)]
    local attempt, client = {}, nil
    if listener then
      local server
      next_client = next_client + 1
      client, server = new_pair(loop, host:find("^[%x.:]+$") and host or "127.0.0.1", port, next_client, listener.options)
      listener.queue[#listener.queue + 1] = server
      if listener.id then loop.fire(listener.id) end
    end
    function attempt.finish()
      if attempt.closed then return nil, "closed" end
      if not client then return nil, "connection refused" end
      return client
    end
    function attempt.close()
      attempt.closed = true
      if client then client:close() end
    end
    local id = loop.wait(nil)
    loop.fire(id)
    return attempt, id
  end

  return net
end

-- ---- the host -----------------------------------------------------------------

--- A host of its own: nothing is shared with another one.
-- @tparam[opt] table options of all connections, each may be given to `listen(address, port, options)` instead:
--   `chunk` = octets that one receive brings at most (1: one at a time); `cut_after` = the connection is lost after so many
--   octets of the side `cut` ("client", the default, or "server"); `buffer` = octets a direction holds (65536); `handshake` =
--   why the client's TLS handshake fails. And of the host: `env` = variables, `files` = contents by path, `hostname`.
-- @treturn table the host table; `listen` takes names as well as addresses, `logs` is the list of {level, text} that were told;
--   give it `http_handler`, a function that answers requests in place of the net as `directmail.host.std`'s `http` would;
--   `zone` = what its `dns` answers: name -> { MX = { { preference =, exchange = }… }, A = { { address = }… } … }, or why there is no
--   answer, for a name or for one type of it ("servfail"); what is not there is "nxdomain". `asked` is the list of "NAME TYPE" that it was asked
function M.new(options)
  options = options or {}
  option.check(options, { "chunk", "cut_after", "cut", "buffer", "handshake", "env", "files", "hostname" }, "memory.new", 2)
  local given = {}
  for _, name in ipairs(CONNECTION) do given[name] = options[name] end
  local loop = new_loop()
  local net = new_net(loop, connection_options(given, {}, "memory.new", 3))
  local host = { name = "memory", logs = {}, tick = loop.tick, zone = {}, asked = {} }

  function host.log(level, text) host.logs[#host.logs + 1] = { level, text } end

  local tasks = schedulers.new(net, function(text) host.log("error", text) end)
  local sockets = socket.new(net, tasks)
  host.tcp, host.listen = sockets.tcp, sockets.listen
  host.spawn, host.wait, host.sleep, host.semaphore = tasks.spawn, tasks.wait, tasks.sleep, tasks.semaphore

  function host.http(request)
    if host.http_handler then return host.http_handler(request) end
    return nil, { code = "CONNECT", words = "no connection: this host has no http_handler", step = "connect", sent = false, seconds = 0 }
  end

  local function found(name, kind)
    local at = host.zone[name]
    if at == nil then return nil, "nxdomain" end
    if type(at) == "string" then return nil, at end
    local why = at[kind]
    if type(why) == "string" then return nil, why end
    local answers = {}
    for _, type_of in ipairs(kind == "CNAME" and { kind } or { "CNAME", kind }) do
      for _, record in ipairs(at[type_of] or {}) do
        local copy = { owner = name, type = type_of, ttl = 300 }
        for field, value in pairs(record) do copy[field] = value end
        answers[#answers + 1] = copy
      end
    end
    return answers
  end

  host.dns = queries.new(host, function(name, kind, seconds)
    host.asked[#host.asked + 1] = name .. " " .. kind
    local answers, why = found(name, kind)
    host.sleep(why == "timeout" and seconds or math.min(seconds, 0.01))
    if not answers then return nil, why end
    return answers
  end)

  function host.now() return EPOCH + loop.tick() end

  local seed = 42       -- the same octets in every run: Park and Miller's generator, exact in a double
  function host.random(n)
    local out = {}
    for i = 1, n do
      seed = seed * 16807 % 2147483647
      out[i] = string.char(math.floor(seed / 256) % 256)
    end
    return table.concat(out)
  end

  function host.env(name)
    local value = options.env and options.env[name]
    return value ~= "" and value or nil
  end

  function host.read(path, max)
    local bytes = options.files and options.files[path]
    if not bytes then return nil, "no such file or directory" end
    if max and #bytes > max then return nil, ("larger than %d octets"):format(max) end
    return bytes
  end

  function host.hostname() return options.hostname end

  -- TLS is a flag here, so certificates are only their names
  function host.identity(cert, key) return { cert = cert, key = key } end

  function host.authority()
    return {
      ca = "in memory",
      issue = function(_, names) return table.concat(names, " "), "in memory" end,
    }
  end

  return host
end

return M
