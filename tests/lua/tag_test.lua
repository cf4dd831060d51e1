-- A tag that does not exist counts nothing: by SMTP it is looked up first, once, and nobody waits for an answer that does not come.
local directmail = require "directmail"
local sandbox = require "directmail.sandbox"

describe("a tag", function()
  local box
  setup(function() box = assert(sandbox.start()) end)
  teardown(function() box:stop() end)
  before_each(function()
    box:clear()
    assert(box:set_faults {})
  end)

  local function mail_of(more)
    local options = {
      region = "ap-southeast-1", sender = "noreply@mail.example.com", smtp = box.urls.smtp, ca = box.ca, via = "smtp",
      smtp_password = box.env.DIRECTMAIL_SMTP_PASSWORD, api = box.urls.api,
      access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
    }
    for name, value in pairs(more or {}) do options[name] = value or nil end
    return assert(directmail.new(options))
  end

  local function tagged(tag) return { to = "ann@example.net", subject = "x", text = "y", tag = tag } end

  -- How often tags were looked up.
  local function looked_up()
    local n = 0
    for line in io.lines(box.dir .. "/log.jsonl") do
      if line:find("QueryTagByParam", 1, true) then n = n + 1 end
    end
    return n
  end

  it("that exists is looked up once for many mails", function()
    local mail, before = mail_of(), looked_up()
    for _ = 1, 3 do assert(mail:send(tagged "signup")) end
    assert.equal(before + 1, looked_up())
  end)

  it("that does not exist is refused before anything leaves, with the command that makes it", function()
    local mail = mail_of()
    for _ = 1, 2 do
      local receipt, e = mail:send(tagged "sign-up")
      assert.is_nil(receipt)
      assert.same({ "OPTION", "tag", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry })
      assert.matches("CreateTag %-%-TagName sign%-up", e.remedy)
    end
    for result in mail:send_all { tagged "sign-up", tagged "signup" } do
      assert.equal(result.n == 2, result.ok)
    end
    assert.equal(1, #box:mails())
  end)

  it("that nobody can look up lets the mail go", function()
    assert.equal("sent", assert(mail_of { access_key_secret = "another" }:send(tagged "sign-up")).outcome)
    assert(box:set_faults { "api:Throttling.User" })
    assert.equal("sent", assert(mail_of():send(tagged "sign-up")).outcome)
    assert(box:set_faults {})
    assert.equal("sent", assert(mail_of { api = false }:send(tagged "sign-up")).outcome)      -- a relay of one's own
  end)
end)
