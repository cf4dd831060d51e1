-- The API and HTTP from inside nginx, against the sandbox and servers that misbehave.
local host = require "directmail.host.std"
local http1 = require "directmail.http1"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"

local authority = host.authority()
local function identity(names, options) return host.identity(authority:issue(names, options)) end
local ours, other, expired = identity { "localhost" }, identity { "other.example" }, identity({ "localhost" }, { expired = true })

local PEERS = {
  mute = peers.swallow,
  clear = function(sock)
    sock:send "220 hello\r\n"
    sock:receiveany(1000)
    sock:receiveany(1000)
  end,
  other = function(sock)
    sock:sslaccept(other)
    sock:receiveany(1000)
  end,
  https = function(sock)
    if not sock:sslaccept(ours) then return end
    http1.serve(sock, function(request)
      return { status = 200, headers = { ["X-Path"] = request.target, ["X-Host"] = request.host }, body = request.body:upper() }
    end, { host = host })
  end,
  untrusted = function(sock)
    sock:sslaccept(ours)
    sock:receiveany(1000)
  end,
  https_expired = function(sock)
    if sock:sslaccept(expired) then http1.serve(sock, function() return { status = 200 } end, { host = host }) end
  end,
  half = function(sock)         -- an answer that does not come to its end
    sock:receiveany(4096)
    sock:send "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegins"
  end,
  no_http = function(sock)
    sock:receiveany(4096)
    sock:send "220 mail.example.com ESMTP\r\n"
  end,
  once = function(sock)         -- promises to go on, and does not
    sock:receiveany(4096)
    sock:send "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
  end,
  drips = function(sock)
    sock:receiveany(4096)
    sock:send "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    repeat host.sleep(0.1) until not sock:send "x"
  end,
}

local box, rig, port

setup(function()
  box = assert(sandbox.start())
  local env
  env, port = peers.settings(box)
  for name, each in pairs(PEERS) do port[name] = peers.serve(each) end
  port.closed = peers.nobody()
  rig = nginx.start {
    http = [[
      lua_socket_log_errors off;
      resolver @RESOLVER@ ipv6=off; resolver_timeout 1s;
      init_by_lua_block { require "directmail" }
      server {
        listen 127.0.0.1:@PORT@;
        location = /run { @RUN@ }
        location = /private_ca { lua_ssl_trusted_certificate peers.pem; @RUN@ }
      }
    ]],
    env = env, names = { localhost = "127.0.0.1" }, files = { ["peers.pem"] = authority.ca },
  }
end)

teardown(function()
  rig:stop()
  box:stop()
  peers.stop()
end)

before_each(function()
  box:set_faults {}
  box:clear()
end)

local function send(fields)
  fields.to, fields.subject = "ann@example.com", "Hi"
  return rig:run([[ return assert(directmail.new()):send(given) ]], fields)
end

describe("the API from nginx", function()
  it("takes a mail", function()
    local receipt = send { text = "by API" }
    assert.same({ "sent", "api" }, { receipt.outcome, receipt.via })
    assert.equal("api", assert(box:wait { to = "ann@example.com", timeout = 5 }).via)
  end)

  it("refuses with its own code and words", function()
    box:set_faults { "api:SingleSendMail:InvalidMailAddress.NotFound" }
    local _, e = send { text = "x" }
    assert.same({ "REFUSED", "refused", "InvalidMailAddress.NotFound" }, { e.code, e.outcome, e.detail })
  end)

  it("is unknown when it takes the call and closes", function()
    box:set_faults { "api:drop-after" }
    local _, e = send { text = "x" }
    assert.same({ "LOST", "unknown", false, "api" }, { e.code, e.outcome, e.retry, e.where.step })
  end)
end)

describe("host.http in nginx", function()
  local HTTP_CALL = [[
    local host = require "directmail.host"
    local out = {}
    for i = 1, given.times or 1 do
      local response, failure = host.http { url = given.url, method = given.method, headers = given.headers or {}, body = given.body,
        timeout = given.timeout or 5, connect_timeout = given.connect_timeout, max_body = given.max_body }
      out[i] = response or failure
    end
    return unpack(out)
  ]]

  local function https(name, path) return ("https://localhost:%d%s"):format(port[name], path or "/") end
  local function http(name, path) return ("http://localhost:%d%s"):format(port[name], path or "/") end

  it("asks over TLS, and again over the same connection", function()
    local first, second = rig:run(HTTP_CALL, { url = https("https", "/a?b=c"), body = "text", times = 2 }, "/private_ca")
    assert.same({ 200, "TEXT", "/a?b=c", false, true },
      { first.status, first.body, first.headers["x-path"], first.reused, second.reused })
    assert.equal("localhost:" .. port.https, first.headers["x-host"])
    assert.equal("localhost:" .. port.https, first.peer)
  end)

  it("takes an address without a path", function()
    local answer = rig:run(HTTP_CALL, { url = "https://localhost:" .. port.https .. "?a=b", method = "GET" }, "/private_ca")
    assert.equal("/?a=b", answer.headers["x-path"])
  end)

  it("says why not, and whether anything left", function()
    for _, case in ipairs {
      { https "untrusted", "/run", "TLS", "issuer", "connect", false },
      { https "https_expired", "/private_ca", "TLS", "expired", "connect", false },
      { https "other", "/private_ca", "TLS", "name", "connect", false },
      { https "clear", "/private_ca", "TLS", nil, "connect", false },
      { "https://127.0.0.1:" .. port.https, "/private_ca", "TLS", "name", "connect", false },
      { http "closed", "/run", "CONNECT", nil, "connect", false },
      { "http://nowhere.example/", "/run", "DNS", nil, "connect", false },
      { http "mute", "/run", "TIMEOUT", nil, "api", true },
      { https "mute", "/run", "TIMEOUT", nil, "connect", false },
      { http "drips", "/run", "TIMEOUT", nil, "api", true },
      { http "half", "/run", "LOST", nil, "api", true },
      { http "no_http", "/run", "PROTOCOL", nil, "api", true },
    } do
      local f = rig:run(HTTP_CALL, { url = case[1], body = "x", timeout = 0.5 }, case[2])
      assert.same({ case[3], case[4], case[5], case[6] }, { f.code, f.detail, f.step, f.sent }, case[1] .. " " .. json.encode(f))
    end
  end)

  it("does not send again what a kept connection lost", function()
    local first, second = rig:run(HTTP_CALL, { url = http "once", body = "x", times = 2 })
    assert.equal(200, first.status)
    assert.is_true(second.status == 200 or second.sent == true and second.code == "LOST", json.encode(second))
  end)

  it("stops at its limits", function()
    local f = rig:run(HTTP_CALL, { url = https "https", body = ("x"):rep(200), max_body = 100 }, "/private_ca")
    assert.same({ "PROTOCOL", true }, { f.code, f.sent })
  end)

  it("blames the caller for what is no URL", function()
    for _, url in ipairs { "ftp://localhost/", "http://user@localhost/", "http://localhost:70000/", "http:///x", "http://[::1/" } do
      assert.has_error(function() rig:run(HTTP_CALL, { url = url }) end)
    end
  end)
end)
