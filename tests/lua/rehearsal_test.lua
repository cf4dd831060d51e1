-- directmail.rehearsal: everything but DATA.
local directmail = require "directmail"
local rehearsal = require "directmail.rehearsal"

local box
setup(function() box = assert(directmail.sandbox.start()) end)
teardown(function() box:stop() end)
before_each(function() assert(box:set_faults {}) end)

local function hold(more, changes)
  local options = { smtp = box.urls.smtp, ca = box.ca, sender = "noreply@mail.example.com" }
  for name, value in pairs(changes or {}) do options[name] = value end
  local about = { from = "noreply@mail.example.com", to = "ann@example.com", user = "noreply@mail.example.com", password = box.env.DIRECTMAIL_SMTP_PASSWORD,
    seconds = 20, step_seconds = 5 }
  for name, value in pairs(more or {}) do about[name] = value or nil end
  local mail = assert(directmail.new(options))
  return rehearsal.hold(mail, about)
end

local function commands()
  local list = {}
  local file = assert(io.open(box.dir .. "/log.jsonl"))
  for line in file:lines() do
    local event = require "cjson".decode(line)
    if event.event == "connect" then list = {} end
    if event.step then list[#list + 1] = event.step end
  end
  file:close()
  return list
end

describe("a rehearsal", function()
  it("goes as far as RCPT, and takes it back", function()
    local seen = assert(hold())
    assert.is_nil(seen.err)
    assert.same({ true, true, true, "250 Ok" }, { seen.connected, seen.private, seen.reached, seen.reset })
    assert.matches("^220 ", seen.greeting)
    assert.matches("PIPELINING", table.concat(seen.offers, " "))
    assert.is_nil(table.concat(seen.offers, " "):find("STARTTLS", 1, true))    -- what was offered in clear is forgotten
    assert.matches("^TLSv1", seen.tls.version)
    assert.same({ "connect", "banner", "ehlo", "starttls", "ehlo", "auth", "mail", "rcpt", "quit" }, commands())
    assert.same({}, box:mails())
  end)

  it("ends where it is refused, and says why", function()
    for fault, step in pairs { ["banner:554"] = "banner", ["ehlo:421"] = "ehlo", ["starttls:454"] = "starttls", ["auth:526"] = "auth", ["mail:436"] = "mail", ["rcpt:559"] = "rcpt",
      ["rcpt:drop"] = "rcpt", ["connect:drop"] = "banner" } do
      assert(box:set_faults { fault })
      local seen = assert(hold())
      assert.same({ step, false }, { seen.step, seen.reached }, fault)
      assert.is_string(seen.err.remedy)
    end
    assert.same({}, box:mails())
  end)

  it("logs in without an envelope, or does not even that", function()
    local seen = assert(hold { from = false })
    assert.same({ nil, true, false }, { seen.err, seen.private, seen.reached })
    assert.same({ "connect", "banner", "ehlo", "starttls", "ehlo", "auth", "quit" }, commands())
    assert.is_nil(hold({ from = false, password = false }).err)
    assert.same({ "connect", "banner", "ehlo", "starttls", "ehlo", "quit" }, commands())
  end)

  it("says what cannot be tried at all", function()
    local none, e = hold({}, { smtp = "ftp://x" })
    assert.same({ nil, "OPTION" }, { none, e.code })
    none, e = hold { password = "a\0b" }
    assert.same({ nil, "CREDENTIALS" }, { none, e.code })
    local seen = assert(hold({}, { smtp = "smtp://127.0.0.1:9" }))
    assert.same({ "connect", false }, { seen.step, seen.connected or false })
  end)
end)
