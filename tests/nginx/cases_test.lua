-- One list of cases in three homes: nginx, LuaJIT and Lua 5.4 are told the same, against the same sandbox.
local cases = require "homes.cases"
local host = require "directmail.host.std"
local json = require "cjson"
local nginx = require "support.nginx"
local peers = require "support.peers"
local sandbox = require "directmail.sandbox"

local BUILD = os.getenv "BUILD" or "build"

local box, rig, ports, dir

setup(function()
  box = assert(sandbox.start())
  local env
  env, ports = peers.settings(box)
  ports.closed = peers.nobody()
  ports.injects = peers.serve(function(sock)
    sock:send "220 hello\r\n"
    peers.talk(sock, { "250-hello\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n" })
    sock:receiveany(1000)
  end)
  dir = nginx.folder()
  rig = nginx.start {
    http = [[
      lua_socket_log_errors off;
      resolver @RESOLVER@ ipv6=off;
      lua_ssl_trusted_certificate ca.pem;
      lua_shared_dict directmail 1m;
      init_by_lua_block { require "directmail" }
      server { listen 127.0.0.1:@PORT@; location = /run { @RUN@ } }
    ]],
    env = env, workers = 1, names = { localhost = "127.0.0.1" },
    files = { ["ca.pem"] = peers.read(box.ca), ["lua/homes/cases.lua"] = peers.read "tests/homes/cases.lua" },
  }
end)

teardown(function()
  rig:stop()
  box:stop()
  peers.stop()
  os.execute(("rm -rf '%s'"):format(dir))
end)

local function inside_nginx(n)
  return rig:run([[ return require "homes.cases".run(directmail, given.n, given) ]], { n = n, ports = ports, home = "nginx" })
end

local function interpreter(name)
  return function(n)
    local env = { LUA_PATH = "lua/?.lua;lua/?/init.lua;tests/?.lua;;", LUA_CPATH = ("%s/%s/?.so;;"):format(BUILD, name), HOME = "/nowhere",
      ALIBABA_CLOUD_ECS_METADATA_DISABLED = "true" }
    for variable, value in pairs(box.env) do env[variable] = value end
    env.DIRECTMAIL_SMTP = "smtp://localhost:" .. ports.smtp
    local out = dir .. "/" .. name
    os.remove(out)
    local child = assert(host.child({ name, "tests/homes/run.lua", tostring(n), json.encode { ports = ports, home = name }, out }, env))
    assert.equal(0, child:wait(), name)
    return json.decode(peers.read(out))
  end
end

local HOMES = { { "Lua 5.4", interpreter "lua5.4" }, { "LuaJIT", interpreter "luajit" }, { "nginx", inside_nginx } }

-- Everything that `wanted` names stands in `found`; true stands for anything.
local function holds(wanted, found, at)
  for name, value in pairs(wanted) do
    if type(value) == "table" then
      assert.is_table(found[name], at .. "." .. name)
      holds(value, found[name], at .. "." .. name)
    elseif value == true then
      assert.is_truthy(found[name], at .. "." .. name)
    else
      assert.equal(value, found[name], ("%s.%s: %s"):format(at, name, json.encode(found)))
    end
  end
end

describe("in three homes:", function()
  for n, case in ipairs(cases.list) do
    it(case.name, function()
      local first
      for _, home in ipairs(HOMES) do
        box:clear()
        box:set_faults(case.faults or {})
        -- through JSON, where numbers and lists of all homes look alike
        local told = json.decode(json.encode(home[2](n)))
        holds(case.expect, told, home[1])
        if case.raises then assert.is_true(told.raised, home[1]) end
        local mails = {}
        for i, mail in ipairs(box:mails()) do mails[i] = { mail.via, mail.tls, mail.subject, mail.to, mail.text, mail.html } end
        local all = { told = told, mails = case.run and #mails or mails }
        if first then assert.same(first, all, home[1] .. " differs from " .. HOMES[1][1]) end
        first = first or all
      end
    end)
  end
end)
