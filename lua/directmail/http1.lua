--- HTTP/1.1 over any connected socket, both halves.
-- The socket is anything with the cosocket methods `send`, `receiveany` and `settimeouts`: nginx's own,
-- the std host's, or the memory double's. `request` is one exchange of a client, which tells exactly how far it came
-- and never sends anything twice; `serve` is a server for the sandbox's API and web pages.
-- Heads and framing are read by `core.head`, strictly (RFC 9110, RFC 9112).
-- @module directmail.http1
local core = require "directmail.core"
local limits = require "directmail.data.limits"
local option = require "directmail.option"
local session = require "directmail.session"

local M = {}

local CHUNK = 16384             -- octets asked for in one read
local EAGER = 512               -- octets of a head that are looked at as they come, so that garbage is seen at once
local PIECE = 65536             -- octets: smaller pieces of a body are joined as they come
local WAIT = 60000              -- milliseconds of one wait when the caller sets none
local LAST_WORDS = limits.http_last_words * 1000

local BROKEN = 400              -- core.head's and our own "this is no HTTP"; any number will do for a client

-- ---- what came and was not used yet ------------------------------------------

-- `limit` says the milliseconds that the next wait may take; nil: the deadline is over.
local function new_reader(sock, limit) return { sock = sock, limit = limit, held = "", came = false } end

local function more(reader)
  local ms = reader.limit("answer")
  if not ms then return nil, "timeout" end
  reader.sock:settimeouts(nil, nil, ms)
  local bytes, why = reader.sock:receiveany(CHUNK)
  if bytes then reader.came = true end
  return bytes, why
end

-- Keep pieces in order, few of them however small they come: octets that drip one by one must not become a
-- million strings.
local function gather(parts, piece)
  local n = #parts + 1
  while n > 1 and #piece < PIECE and #parts[n - 1] <= #piece do
    n = n - 1
    piece, parts[n] = parts[n] .. piece, nil
  end
  parts[n] = piece
end

local function too_large(what, max) return ("the %s is larger than %d octets"):format(what, max) end

-- A head; or nil, why and the status that tells the other side so (none: the socket failed).
local function take_head(reader, kind, method, max)
  local parts, size, fresh = {}, 0, reader.held
  reader.held = ""
  while true do
    if fresh ~= "" then gather(parts, fresh) end
    size = size + #fresh
    -- A long head is looked at where a line ends: each time from its start, and its lines are counted.
    if size > 0 and (size <= EAGER or size >= max or fresh:find("\n", 1, true)) then
      local all = table.concat(parts)
      local head, used, answer = core.head(kind, all, method)
      if head == nil then return nil, used, answer end
      if head and used <= max then
        reader.held = all:sub(used + 1)
        return head
      end
      if head or size >= max then return nil, too_large("head", max), 431 end
    end
    local why
    fresh, why = more(reader)
    if not fresh then return nil, why end
  end
end

-- The body behind a head; or nil, why and the status as above.
local function take_body(reader, head, max)
  local kind, need = head.body, head.length
  if kind == "none" then return "" end
  if need and need > max then return nil, too_large("body", max), 413 end
  local parts, size = {}, 0
  local chunks = kind == "chunked" and core.chunks()
  local piece = reader.held
  reader.held = ""
  while true do
    local data, rest = piece, nil
    if chunks then
      data, rest = chunks:feed(piece)
      if not data then return nil, rest, BROKEN end
    elseif need and size + #piece >= need then
      data, rest = piece:sub(1, need - size), piece:sub(need - size + 1)
    end
    size = size + #data
    if size > max then return nil, too_large("body", max), 413 end
    if data ~= "" then gather(parts, data) end
    if rest then
      reader.held = rest
      return table.concat(parts)
    end
    local fresh, why = more(reader)
    if not fresh then
      if kind == "close" and why == "closed" then return table.concat(parts) end
      return nil, why
    end
    piece = fresh
  end
end

-- ---- header fields -----------------------------------------------------------

-- By name in lower case; a field that stands several times is one list (RFC 9110, 5.3).
local function by_name(list)
  local map = {}
  for _, field in ipairs(list) do
    local name = field[1]:lower()
    map[name] = map[name] and map[name] .. ", " .. field[2] or field[2]
  end
  return map
end

local function has_word(value, word)
  for each in (value or ""):lower():gmatch("[^,%s]+") do
    if each == word then return true end
  end
  return false
end

-- May the connection carry another exchange, as far as this head says (RFC 9112, 9.3)?
local function lasting(head, headers)
  if has_word(headers.connection, "close") then return false end
  return head.minor > 0 or has_word(headers.connection, "keep-alive")
end

-- These decide where a message ends, so they are written here alone.
local FRAMING = { ["content-length"] = true, ["transfer-encoding"] = true, connection = true, expect = true, upgrade = true }

-- Append header lines to `out`; returns the names in lower case, or nil and what is wrong.
local function add_fields(out, headers)
  local list, names = headers or {}, {}
  if #list == 0 then
    local map = list
    list = {}
    for name, value in pairs(map) do list[#list + 1] = { name, value } end
    table.sort(list, function(a, b) return tostring(a[1]) < tostring(b[1]) end)     -- the same octets in every run
  end
  for _, field in ipairs(list) do
    local name, value = field[1], field[2]
    if type(name) ~= "string" or not name:find("^[A-Za-z0-9!#$%%&'*+%-.^_`|~]+$") then
      return nil, ("%q is no header name"):format(tostring(name))
    end
    local low = name:lower()
    if FRAMING[low] then return nil, ("the header %s is set by http1: leave it out"):format(name) end
    if type(value) ~= "string" then return nil, ("the header %s is no string"):format(name) end
    if value:find("[%z\1-\8\10-\31\127]") then
      return nil, ("the header %s holds a line break or another control character"):format(name)
    end
    out[#out + 1] = name .. ": " .. value
    names[low] = true
  end
  return names
end

-- ---- the client's half ---------------------------------------------------------

local REQUEST = { "method", "host", "path", "headers", "body" }
local OPTIONS = { "max_head", "max_body", "limit_ms", "close" }
local NONE = {}

local function request_bytes(request, close)
  local method, path, body = request.method, request.path, request.body
  if type(method) ~= "string" or not method:find("^[A-Z]+$") or method == "CONNECT" then
    return nil, "the method is no word in capitals, or CONNECT"
  end
  if type(path) ~= "string" or not path:find("^/[\33-\126]*$") or path:find("#", 1, true) then
    return nil, "the path does not begin with /, or holds what must be percent-encoded"
  end
  if body ~= nil and type(body) ~= "string" then return nil, "the body is no string" end
  local out = { ("%s %s HTTP/1.1"):format(method, path), "" }
  local names, why = add_fields(out, request.headers)
  if not names then return nil, why end
  if names.host then
    table.remove(out, 2)
  elseif type(request.host) == "string" and request.host:find("^[A-Za-z0-9._:%[%]-]+$") then
    out[2] = "Host: " .. request.host
  else
    return nil, "the host is no name with or without a port"
  end
  -- RFC 9110, 8.6: these methods say a length of 0 too
  if body or method == "POST" or method == "PUT" or method == "PATCH" then
    body = body or ""
    out[#out + 1] = ("Content-Length: %d"):format(#body)
  end
  if close then out[#out + 1] = "Connection: close" end
  return table.concat(out, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local function limiter(limit_ms)
  if type(limit_ms) == "function" then return limit_ms end
  return function() return limit_ms or WAIT end
end

-- The answer that counts: 1xx before it are skipped (RFC 9110, 15.2).
local function take_answer(reader, method, options)
  for _ = 0, limits.http_interim do
    local head, why, broken = take_head(reader, "response", method, options.max_head or limits.http_head_octets)
    if not head then return nil, why, broken end
    if head.status == 101 then return nil, "the server changed the protocol unasked", BROKEN end
    if head.status >= 200 then
      head.content, why, broken = take_body(reader, head, options.max_body or limits.http_body_octets)
      if not head.content then return nil, why, broken end
      return head
    end
  end
  return nil, ("more than %d answers of 1xx"):format(limits.http_interim), BROKEN
end

--- One request and its answer. Redirects are not followed, nothing is sent a second time, and the socket is
-- neither closed nor kept: see `keepalive`.
-- @tparam sock sock connected, with TLS where it is wanted
-- @tparam table request `method` in capitals, `host` for the Host header (with its port when that is not the default one;
--   a Host among the headers wins), `path` with its query, percent-encoded; `headers` = list of {name, value} or map
--   (sent by name), without Content-Length, Transfer-Encoding, Connection, Expect, Upgrade; `body` = octets
-- @tparam ?table options `max_head` (65,536) and `max_body` (16 MiB) octets; `limit_ms` = milliseconds of each wait (60,000), or a
--   function asked before each one with "send" or "answer" whose nil means that the deadline is over; `close` = true:
--   ask the server to close behind its answer
-- @treturn[1] table response `status`, `reason`, `headers` (by lower-case name; several of a name joined with ", "),
--   `list` = {{name, value}…} as received, `body`, `keepalive` = the connection may be reused, `sent` = true
-- @treturn[2] nil
-- @treturn[2] string why: "timeout", "closed", the socket's words, or a sentence about what is wrong with the answer
-- @treturn[2] table how far it came: `sent` = octets of the request may have left (false: none did, repeating is safe),
--   `answered` = octets of an answer came, `code` = "TIMEOUT", "LOST" or, the answer being unusable, "PROTOCOL"
-- @raise when the request cannot be written as HTTP
function M.request(sock, request, options)
  options = options or NONE
  option.check(request, REQUEST, "http1.request")
  option.check(options, OPTIONS, "the options of http1.request")
  local bytes, fault = request_bytes(request, options.close)
  if not bytes then error("http1.request: " .. fault, 2) end
  local limit = limiter(options.limit_ms)
  local reader = new_reader(sock, limit)
  local ms = limit("send")
  if not ms then return nil, "timeout", { sent = false, answered = false, code = "TIMEOUT" } end
  sock:settimeouts(nil, ms, nil)
  local sent, lost, gone = sock:send(bytes)
  if not sent then
    -- A socket that can tell how many octets it handed out says so behind the reason.
    if gone == 0 then return nil, lost, { sent = false, answered = false, code = (session.loss(lost, "talk")) } end
    -- A server that refuses a request may stop reading it: its 413 or 403 lies unread.
    reader.limit = function(step)
      local left = limit(step)
      return left and math.min(left, LAST_WORDS)
    end
  end
  local head, why, broken = take_answer(reader, request.method, options)
  if not head then
    if lost and not reader.came then why = lost end
    local code = broken and "PROTOCOL" or session.loss(why, "talk")
    return nil, why, { sent = true, answered = reader.came, code = code }
  end
  local headers = by_name(head.list)
  return {
    status = head.status, reason = head.reason, headers = headers, list = head.list, body = head.content, sent = true,
    -- octets behind the answer belong to no request of ours
    keepalive = sent ~= nil and not options.close and head.body ~= "close" and reader.held == "" and lasting(head, headers),
  }
end

-- ---- forms ---------------------------------------------------------------------

local OCTETS = {}               -- "4a", "4A", "4A"… -> the octet
for i = 0, 255 do
  local low, high = ("%02x"):format(i), ("%02X"):format(i)
  OCTETS[low], OCTETS[high] = string.char(i), string.char(i)
  OCTETS[low:sub(1, 1) .. high:sub(2)], OCTETS[high:sub(1, 1) .. low:sub(2)] = string.char(i), string.char(i)
end

-- Octets of a percent-encoded text (RFC 3986, 2.1); nil when a % is followed by no two hex digits.
local function unpercent(text)
  if not text:find("%", 1, true) then return text end
  if text:gsub("%%%x%x", ""):find("%", 1, true) then return nil end
  return (text:gsub("%%(%x%x)", OCTETS))
end

--- Read `application/x-www-form-urlencoded` text: a form's body, or a query without its "?".
-- @tparam string text a plus sign is a blank; a piece without "=" has the value ""
-- @treturn[1] table list of {name, value} in order, repeated names too
-- @treturn[1] table map from name to its first value
-- @treturn[2] nil
-- @treturn[2] string why not
function M.decode_form(text)
  local list, first = {}, {}
  for piece in text:gmatch("[^&]+") do
    if #list == limits.http_form_fields then return nil, ("more than %d fields"):format(limits.http_form_fields) end
    local name, value = piece:match("^([^=]*)=?(.*)$")
    name, value = unpercent((name:gsub("%+", " "))), unpercent((value:gsub("%+", " ")))
    if not name or not value then
      return nil, ("field %d holds a %% that is not followed by two hex digits"):format(#list + 1)
    end
    list[#list + 1] = { name, value }
    if first[name] == nil then first[name] = value end
  end
  return list, first
end

-- ---- the server's half -----------------------------------------------------------

local REASONS = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content", [301] = "Moved Permanently", [302] = "Found",
  [303] = "See Other", [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [406] = "Not Acceptable", [408] = "Request Timeout", [409] = "Conflict", [410] = "Gone", [411] = "Length Required",
  [412] = "Precondition Failed", [413] = "Content Too Large", [414] = "URI Too Long", [415] = "Unsupported Media Type",
  [417] = "Expectation Failed", [421] = "Misdirected Request", [422] = "Unprocessable Content", [429] = "Too Many Requests",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error", [501] = "Not Implemented",
  [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
}

local SERVE = { "host", "max_head", "max_body", "idle", "limit" }
local RESPONSE = { "status", "reason", "headers", "body", "close", "raw" }

local function form_of(headers, body)
  return function()
    local kind = (headers["content-type"] or ""):match("^%s*([^;%s]*)"):lower()
    if kind ~= "application/x-www-form-urlencoded" then
      return nil, ("the body is no form: its Content-Type is %q"):format(kind)
    end
    return M.decode_form(body)
  end
end

-- What a handler gets, still without its body; or nil and why the request is refused.
local function describe(head)
  local headers, hosts = by_name(head.list), 0
  for _, field in ipairs(head.list) do
    if field[1]:lower() == "host" then hosts = hosts + 1 end
  end
  -- RFC 9112, 3.2: two hosts, or none, are two readings of one request
  if hosts > 1 or (hosts == 0 and head.minor > 0) then return nil, "one Host header is needed" end
  local request = { method = head.method, target = head.target, minor = head.minor, headers = headers, list = head.list,
    host = headers.host, keepalive = lasting(head, headers), raw_query = "", query = {}, args = {}, segments = {} }
  local rest = head.target
  -- RFC 9112, 3.2.2: a proxy's form; its host is the one that counts
  local authority, behind = rest:match("^[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)$")
  if authority then
    if authority == "" or authority:find("@", 1, true) then return nil, "the target names no host" end
    request.host, rest = authority, behind:sub(1, 1) == "/" and behind or "/" .. behind
  end
  if rest == "*" and head.method == "OPTIONS" then
    request.path, request.raw_path = "*", "*"
    return request
  end
  local path, mark, query = rest:match("^(/[^?#]*)(%??)([^#]*)$")
  if not path then return nil, "the target is no path" end
  request.raw_path, request.path = path, unpercent(path)
  if not request.path or request.path:find("%z") then return nil, "the path is not well percent-encoded" end
  for segment in path:gmatch("/([^/]*)") do request.segments[#request.segments + 1] = unpercent(segment) end
  if mark ~= "" then
    local list, map = M.decode_form(query)
    if not list then return nil, "the query: " .. map end
    request.raw_query, request.query, request.args = query, list, map
  end
  return request
end

-- The octets of a response; or nil and what is wrong with it. `connection` is what that header says, if anything.
local function response_bytes(response, method, now, connection)
  local wrong = option.unknown(response, RESPONSE, "the response")
  if wrong then return nil, wrong end
  local status, body, reason = response.status, response.body or "", response.reason
  if type(status) ~= "number" or status < 200 or status > 599 or status % 1 ~= 0 then return nil, "its status is not 200 to 599" end
  if type(body) ~= "string" then return nil, "its body is no string" end
  reason = reason or REASONS[status] or ""
  if type(reason) ~= "string" or reason:find("[%z\1-\31\127]") then return nil, "its reason is no clean text" end
  local out = { ("HTTP/1.1 %d %s"):format(status, reason) }
  local names, why = add_fields(out, response.headers)
  if not names then return nil, why end
  -- RFC 9110, 6.6.1; clients learn from it how wrong their clock is. The zone is GMT by name (5.6.7).
  if not names.date then out[#out + 1] = "Date: " .. core.date(now, 0):gsub("%+0000$", "GMT") end
  local empty = status == 204 or status == 304
  if not empty then out[#out + 1] = ("Content-Length: %d"):format(#body) end
  if connection then out[#out + 1] = "Connection: " .. connection end
  if empty or method == "HEAD" then body = "" end
  return table.concat(out, "\r\n") .. "\r\n\r\n" .. body
end

local function plain(status, text)
  return { status = status, headers = { ["Content-Type"] = "text/plain; charset=utf-8" }, body = text .. "\n" }
end

local Server = {}
Server.__index = Server

function Server:within(seconds) self.deadline = self.host.tick() + seconds end

function Server:send(bytes)
  self.sock:settimeouts(nil, math.max(1, math.ceil(self.seconds * 1000)), nil)
  return self.sock:send(bytes)
end

-- Say no and end the connection. Closing over octets that nobody read makes TCP destroy the answer on its way, so
-- the client gets the time to take it (RFC 9112, 9.6).
function Server:refuse(status, why)
  if not self:send(response_bytes(plain(status, why), "GET", self.host.now(), "close")) then return end
  self:within(limits.http_linger)
  repeat until not more(self.reader)
end

-- The next request whole; nil when there is none, its refusal being said.
function Server:next_request()
  local reader = self.reader
  if reader.held == "" then
    self:within(self.idle)
    local bytes = more(reader)
    if not bytes then return nil end
    reader.held = bytes
  end
  self:within(self.seconds)
  local request
  local head, why, answer = take_head(reader, "request", nil, self.max_head)
  if head then
    request, why = describe(head)
    answer = not request and 400
  end
  if request and head.minor > 0 and request.headers.expect then
    if request.headers.expect:lower() ~= "100-continue" then
      answer, why = 417, "only 100-continue can be expected"
    elseif head.body ~= "none" and reader.held == "" and (head.length or 0) <= self.max_body then
      if not self:send("HTTP/1.1 100 Continue\r\n\r\n") then return nil end
    end
  end
  if request and not answer then
    request.body, why, answer = take_body(reader, head, self.max_body)
    if request.body then
      request.form = form_of(request.headers, request.body)
      return request
    end
  end
  if not answer and why == "timeout" then answer, why = 408, "the request did not come in time" end
  if answer then self:refuse(answer, why) end
end

-- Let the handler answer one request; true when the connection can go on.
function Server:answer(handler, request)
  local host = self.host
  local ok, response = host.wait(host.spawn(handler, request))      -- a task, since no pcall may stand around what waits
  local bytes, why
  if not ok then
    why = tostring(response)
  elseif response == false then
    return false
  elseif type(response) ~= "table" then
    why = "the handler returned no response"
  elseif response.raw then
    self:send(response.raw)
    return false
  else
    local closing = response.close or not request.keepalive
    -- RFC 9112, 9.3: a client of HTTP/1.0 wants to be told that its wish is met
    bytes, why = response_bytes(response, request.method, host.now(), closing and "close" or request.minor == 0 and "keep-alive" or nil)
    if bytes then return self:send(bytes) and not closing end
  end
  host.log("error", ("http: %s %s: %s"):format(request.method, request.raw_path, why))
  self:send(response_bytes(plain(500, "internal error"), request.method, host.now(), "close"))
  return false
end

--- Serve one connection until it ends, and close it. Requests that were sent ahead are answered in order.
-- @tparam sock sock accepted, with TLS where it is wanted
-- @tparam function handler called with each request, in a task of its own; it may wait. It returns a response, or false: the
--   connection is closed without a word. An error in it is logged and answered with 500.
--
--   The request: `method`; `target` as received; `path` decoded, `raw_path`, `segments` = list of decoded ones;
--   `raw_query`, `query` = list of {name, value}, `args` = map to first values; `host` = where it was meant for;
--   `headers` = map by lower-case name, `list` = {{name, value}…} as received; `body`; `form()` → list, map | nil, why
--   (not a form, or not well encoded); `minor` of HTTP/1.minor; `keepalive` as the client wishes.
--
--   The response: `status`, `headers` = map or list of {name, value}, `body`; `reason`; `close` = true ends the connection
--   behind it. Content-Length, Connection and Date are added. Or `raw` = octets to be sent as they stand before closing.
-- @tparam table options `host` = a host table (tick, now, spawn, wait, log); `max_head` (65,536) and `max_body` (16 MiB)
--   octets; `idle` = seconds until the next request begins (60), `limit` = seconds of a whole request's way here (60)
-- @treturn number how many requests reached the handler
function M.serve(sock, handler, options)
  option.check(options, SERVE, "http1.serve")
  local host = options.host
  local self = setmetatable({ sock = sock, host = host, idle = options.idle or limits.http_idle,
    seconds = options.limit or limits.http_request, max_head = options.max_head or limits.http_head_octets,
    max_body = options.max_body or limits.http_body_octets }, Server)
  self.reader = new_reader(sock, function()
    local left = self.deadline - host.tick()
    return left > 0 and math.max(1, math.ceil(left * 1000)) or nil
  end)
  local served, going = 0, true
  while going do
    local request = self:next_request()
    if request then
      served = served + 1
      going = self:answer(handler, request)
    else
      going = false
    end
  end
  sock:close()
  return served
end

return M
