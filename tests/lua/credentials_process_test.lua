-- Mode External: a program that prints a key.
local limits = require "directmail.data.limits"
local process = require "directmail.credentials.process"
local memory = require "directmail.host.memory"
local std = require "directmail.host.std"
local support = require "support.credentials"

local folder, file

local function write(path, text, mode)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  assert(os.execute(("chmod %s '%s'"):format(mode or "600", path)))
end

local function read(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local text = f:read "*a"
  f:close()
  return text
end

setup(function()
  folder = assert(std.mkdtemp())
  file = folder .. "/config.json"
end)
teardown(function() os.execute(("rm -rf '%s'"):format(folder)) end)

-- A host whose config.json is a real file, since its rights count.
local function host_of(command, mode, env)
  write(file, support.config { mode = "External", process_command = command }, mode)
  local all = { ALIBABA_CLOUD_CONFIG_FILE = file }
  for name, value in pairs(env or {}) do all[name] = value end
  return support.host { env = all, real = true }
end

local function script(text)
  write(folder .. "/key", "#!/bin/sh\n" .. text, "700")
  return folder .. "/key"
end

local function fails(words, command, mode, env)
  local key, e = support.find(host_of(command, mode, env))
  assert.is_nil(key)
  support.holds(e.cause, words)
  return e
end

local AK = [[echo '{"mode":"AK","access_key_id":"LTAIx","access_key_secret":"s3cret"}']]
local function sts(ends)
  return ([[echo '{"mode":"StsToken","access_key_id":"STS.x","access_key_secret":"s3cret","sts_token":"t0ken","expiration":%s}']]):format(ends)
end

describe("a command", function()
  it("is split into words as a shell would, and nothing is expanded", function()
    for text, words in pairs {
      ["a b"] = { "a", "b" }, ["  a \t b\n"] = { "a", "b" }, ["a 'b c' \"d e\""] = { "a", "b c", "d e" }, ["a\\ b"] = { "a b" }, ["''"] = { "" }, ['a""b'] = { "ab" },
      ['"a\\"b\\\\c\\d"'] = { 'a"b\\c\\d' }, ["'a\\'"] = { "a\\" }, ["$HOME `id` $(id) *.x ~ a;b|c>d &"] = { "$HOME", "`id`", "$(id)", "*.x", "~", "a;b|c>d", "&" },
      ["a'b'\"c\"d"] = { "abcd" },
    } do assert.same(words, process.words(text)) end
    for text, why in pairs { [""] = "it is empty", ["  "] = "it is empty", ["a 'b"] = "a quote is not closed", ['a "b'] = "a quote is not closed",
      ["a\\"] = "nothing follows its last backslash", ["a\0b"] = "it holds a NUL" } do
      local words, reason = process.words(text)
      assert.is_nil(words)
      assert.equal(why, reason)
    end
  end)
end)

describe("mode External", function()
  it("takes the key that the program prints", function()
    local key = assert(support.find(host_of(script(AK))))
    assert.same({ access_key_id = "LTAIx", access_key_secret = "s3cret", from = file .. ', profile "default", mode External' }, key)
    key = assert(support.find(host_of(script(sts('"' .. support.date(std.now() + 3600) .. '"')))))
    assert.same({ "STS.x", "t0ken" }, { key.access_key_id, key.security_token })
    assert.is_true(math.abs(key.expires - std.now() - 3600) < 5)
    key = assert(support.find(host_of(script(sts(("%d"):format(math.floor(std.now()) + 3600))))))
    assert.is_true(math.abs(key.expires - std.now() - 3600) < 5)
    for _, none in ipairs { "null", '""', "0" } do assert.is_nil(assert(support.find(host_of(script(sts(none))))).expires) end
  end)

  it("hands the words over as they stand, without a shell and without our input", function()
    local command = script(('printf "%%s|" "$@" >%s/seen; cat >>%s/seen; %s'):format(folder, folder, AK)) .. [[ 'two words' '$HOME;id' -x "" \*]]
    assert(support.find(host_of(command)))
    assert.equal("two words|$HOME;id|-x||*|", read(folder .. "/seen"))
  end)

  it("leaves nothing behind of what was printed, and lets nobody read it meanwhile", function()
    assert(support.find(host_of(script(("out=$(readlink /proc/$$/fd/1); echo $out >%s/where; stat -c %%a $out $(dirname $out) >%s/mode; %s"):format(folder, folder, AK)))))
    local path = read(folder .. "/where"):match "%S+"
    assert.matches("^/.*/out$", path)
    assert.equal("600\n700\n", read(folder .. "/mode"))
    assert.is_nil(io.open(path))
    assert.is_nil(io.open((path:gsub("/out$", ""))))
  end)

  it("runs the program once for many calls", function()
    local host = host_of(script(("echo x >>%s/runs; sleep 0.1; %s"):format(folder, AK)))
    local tasks, keys = {}, {}
    for i = 1, 10 do tasks[i] = std.spawn(function() keys[i] = assert(support.find(host)) end) end
    for i = 1, 10 do assert(std.wait(tasks[i])) end
    assert.equal("x\n", read(folder .. "/runs"))
    assert.equal(keys[1], keys[10])
  end)

  it("tells why there is no key, and shows nothing that was printed", function()
    for words, text in pairs {
      ["it prints what is no JSON object"] = "echo s3cret", ["it prints no access_key_id"] = [[echo '{"access_key_secret":"s3cret"}']],
      ["it prints no access_key_secret"] = [[echo '{"access_key_id":"x","access_key_secret":7}']],
      ["it prints no sts_token"] = [[echo '{"mode":"StsToken","access_key_id":"x","access_key_secret":"s3cret"}']],
      ['it prints a key of mode "Magic"'] = [[echo '{"mode":"Magic","access_key_id":"x","access_key_secret":"s3cret"}']],
      ["it prints an expiration that is no date"] = sts '"soon"',
      ["its output: larger than 65536 octets"] = "yes s3cret | head -c 70000",
      ["the key ended already"] = sts '"2020-01-01T00:00:00Z"', ["it ended with exit status 3"] = "echo s3cret; exit 3", ["it ended with exit status 143"] = "kill -TERM $$",
      ["access_key_secret (from "] = [[echo '{"access_key_id":"x","access_key_secret":"s3 cret"}']],
    } do fails(words, script(text)) end
    fails("process_command: the program cannot be run (exit status 127)", folder .. "/none")
    write(folder .. "/plain", "x", "600")
    fails("process_command: the program cannot be run (exit status 126)", folder .. "/plain")
    fails("process_command is missing", "")
    fails("process_command cannot be used: a quote is not closed", "'x")
  end)

  it("ends a program that does not end", function()
    local before, start = limits.credentials_process_seconds, std.tick()
    limits.credentials_process_seconds = 0.2
    local e = fails("it did not end within", script(("echo $$ >%s/pid; exec sleep 30"):format(folder)))
    limits.credentials_process_seconds = before
    assert.is_true(e.retry)
    assert.is_true(std.tick() - start < 15)
    local alive = io.open("/proc/" .. read(folder .. "/pid"):match "%d+" .. "/cmdline")
    local running = alive and alive:read "*a" or ""
    if alive then alive:close() end
    assert.equal("", running)
  end)

  it("ends one that prints without end", function()
    local before = limits.credentials_process_seconds
    limits.credentials_process_seconds = 20
    fails("it ended with exit status", script "exec yes s3cret")
    limits.credentials_process_seconds = before
  end)

  it("is refused for a file that others may write", function()
    for _, mode in ipairs { "622", "620", "602" } do
      fails("no program is run for a file that may be written by others", script(("echo x >>%s/ran; %s"):format(folder, AK)), mode)
    end
    assert.is_nil(read(folder .. "/ran"))
    assert(support.find(host_of(script(AK), "644")))
  end)

  it("is refused when that is forbidden, and where no programs run", function()
    fails("mode External: forbidden by ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", script(AK), nil, { ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS = "1" })
    local host = memory.new { env = { HOME = support.HOME }, files = { [support.CONFIG] = support.config { mode = "External", process_command = "x" } } }
    local key, e = support.find(host)
    assert.is_nil(key)
    support.holds(e.cause, "this home (memory) runs no programs")
  end)
end)
