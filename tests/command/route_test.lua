-- directmail route: what people and programs read.
local argparse = require "argparse"
local cjson = require "cjson"
local command = require "directmail.command.route"
local exit = require "directmail.command.exit"

-- Run it with stdout and stderr caught.
local function run(...)
  local parser = argparse("directmail route")
  command.parser(parser)
  local args = parser:parse { ... }
  local out, talk, stdout, stderr = {}, {}, io.stdout, io.stderr
  local function catch(into)
    local file = {}
    function file:write(...)
      for _, s in ipairs { ... } do into[#into + 1] = s end
      return self
    end
    return file
  end
  rawset(io, "stdout", catch(out))
  rawset(io, "stderr", catch(talk))
  local ok, status, e = pcall(command.run, args)
  rawset(io, "stdout", stdout)
  rawset(io, "stderr", stderr)
  assert(ok, status)
  return status, table.concat(out), table.concat(talk), e
end

describe("route command", function()
  it("says_region_reason_hosts_and_ports", function()
    local status, out, talk = run("--deployed", "us", "--recipients", "cn")
    assert.equal(0, status)
    assert.equal("", talk)
    assert.is_truthy(out:find("^cn%-hangzhou by SMTP\n  cause    your program runs in the US"), out)
    assert.is_truthy(out:find("smtp     smtpdm.aliyun.com 465 (TLS), 80 (STARTTLS), 25 (STARTTLS)", 1, true), out)
    assert.is_truthy(out:find("not known offline", 1, true), out)
  end)

  it("prints_the_table_as_json", function()
    local status, out = run("--deployed", "us", "--recipients", "world", "--residency", "de,fr", "--ecs", "--json")
    assert.equal(0, status)
    local r = cjson.decode(out)
    assert.equal("eu-central-1", r.region)
    assert.equal(465, r.ports[1].port)
    assert.equal(2, #r.ports)
    assert.equal("R2", r.reasons[1].rule)
  end)

  it("returns_an_error_that_we_refused_ourselves_when_residency_leaves_nothing", function()
    local status, out, talk, e = run("--deployed", "cn", "--recipients", "cn", "--residency", "de")
    assert.is_nil(status)
    assert.equal("", out .. talk)
    assert.equal("OPTION", e.code)
    assert.equal("residency", e.detail)
    assert.equal(2, exit.of(e))
    assert.is_truthy(e.cause:find("^R0: R1 would choose cn%-hangzhou"), e.cause)
  end)

  it("names_what_is_unknown_or_missing", function()
    for argv, field in pairs { [{ "--deployed", "mars", "--recipients", "cn" }] = "deployed", [{ "--recipients", "cn" }] = "deployed",
      [{ "--deployed", "us" }] = "recipients", [{ "--deployed", "us", "--recipients", "cn", "--via", "fax" }] = "via" } do
      local status, out, _, e = run(table.unpack(argv))
      assert.is_nil(status)
      assert.equal("", out)
      assert.equal(field, e.detail)
      assert.equal(2, exit.of(e))
    end
  end)

  it("lists_the_regions", function()
    local status, out = run("--list")
    assert.equal(0, status)
    local _, lines = out:gsub("\n", "")
    assert.equal(6, lines)
    status, out = run("--list", "--json")
    assert.equal(0, status)
    assert.equal(5, #cjson.decode(out))
  end)
end)
