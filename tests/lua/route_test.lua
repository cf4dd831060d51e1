-- directmail.route: the region with its reasons.
local route = require "directmail.route"
local core = require "directmail.core"
local err = require "directmail.err"

describe("route", function()
  it("answers_with_region_hosts_ports_and_reasons", function()
    local r = assert(route { deployed = "us", recipients = "cn" })
    assert.equal("cn-hangzhou", r.region)
    assert.equal("dm.aliyuncs.com", r.api)
    assert.equal("smtpdm.aliyun.com", r.smtp)
    assert.same({ { port = 465, tls = "implicit" }, { port = 80, tls = "starttls" }, { port = 25, tls = "starttls" } }, r.ports)
    assert.equal("R3", r.reasons[1].rule)
    for _, reason in ipairs(r.reasons) do
      assert.is_string(reason.rule)
      assert.is_true(#reason.text > 20)
    end
  end)

  it("sends_by_smtp_unless_told", function()
    assert.equal("cn-hangzhou", route { deployed = "sg", recipients = "cn" }.region)
    assert.equal("ap-southeast-1", route { deployed = "sg", recipients = "cn", via = "api" }.region)
  end)

  it("leaves_port_25_out_on_ecs", function()
    local r = route { deployed = "us", recipients = "world", ecs = true }
    assert.same({ { port = 465, tls = "implicit" }, { port = 80, tls = "starttls" } }, r.ports)
    assert.equal(3, #route { deployed = "us", recipients = "world", ecs = false }.ports)
  end)

  it("takes_residency_as_list_or_string", function()
    for _, residency in ipairs { { "de" }, "de", { "fr", "DE" }, "fr, de", "fr de" } do
      assert.equal("eu-central-1", route { deployed = "us", recipients = "world", residency = residency }.region)
    end
    assert.equal("us-east-1", route { deployed = "us", recipients = "world", residency = {} }.region)
  end)

  it("returns_an_error_when_residency_leaves_nothing", function()
    local r, e = route { deployed = "cn", recipients = "cn", residency = { "de" } }
    assert.is_nil(r)
    assert.is_true(err.is(e))
    assert.equal("OPTION", e.code)
    assert.equal("residency", e.detail)
    assert.is_truthy(e.cause:find("R0", 1, true))
    assert.is_truthy(e.remedy:find("cn, sg, us, de", 1, true))
    assert.is_false(e.retry)
  end)

  it("returns_an_error_that_names_field_and_choices", function()
    for field, value in pairs { deployed = "mars", recipients = "moon", via = "fax" } do
      local options = { deployed = "us", recipients = "world" }
      options[field] = value
      local r, e = route(options)
      assert.is_nil(r)
      assert.equal(field, e.detail)
      assert.is_truthy(e.cause:find(value, 1, true))
      assert.is_string(e.remedy)
    end
  end)

  it("raises_misuse_at_the_caller_s_line", function()
    for _, options in ipairs { { deploid = "us" }, { deployed = 1 }, { ecs = "yes" }, { residency = 1 }, { residency = { 1 } } } do
      local ok, why = pcall(function()
        local r = route(options)
        return r
      end)
      assert.is_false(ok)
      assert.is_truthy(why:find("route_test.lua:", 1, true), why)
    end
  end)

  it("bounds_the_residency_that_the_core_takes", function()
    local many = {}
    for i = 1, 33 do many[i] = "de" end
    assert.is_false(pcall(core.route, { deployed = "us", recipients = "world", via = "smtp", residency = many }))
    assert.is_false(pcall(core.route, { deployed = "us", recipients = "world", via = "smtp", residency = ("de,"):rep(33) }))
    assert.is_false(pcall(core.route, "us"))
  end)

  it("lists_the_regions_and_knows_their_hosts", function()
    local regions = core.regions()
    assert.equal(5, #regions)
    for _, r in ipairs(regions) do
      assert.equal(r.id, (core.region_of_host(r.api)))
      assert.equal(r.id, (core.region_of_host(r.api_vpc:upper())))
      if r.smtp then assert.same({ r.id, false }, { core.region_of_host(r.smtp) }) end
      if r.smtp_legacy then assert.same({ r.id, true }, { core.region_of_host(r.smtp_legacy) }) end
    end
    assert.is_nil(core.region_of_host("127.0.0.1"))
  end)
end)
