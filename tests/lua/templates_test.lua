-- Templates of the console: pushed, pulled, compared, and waited for.
local directmail = require "directmail"
local templates = directmail.templates

local box, mail

setup(function()
  box = assert(directmail.sandbox.start())
  mail = assert(directmail.new { region = "ap-southeast-1", api = box.urls.api, rate = false,
    access_key_id = box.env.ALIBABA_CLOUD_ACCESS_KEY_ID, access_key_secret = box.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET })
end)
teardown(function() box:stop() end)
before_each(function() assert(box:set_faults {}) end)

local function spring(more)
  local t = { name = "spring", subject = "Spring, {UserName}", sender_name = "News", html = "<body>\n<p>Hi {UserName}</p>\n<p>bye</p>\n</body>\n" }
  for name, value in pairs(more or {}) do t[name] = value end
  return t
end

describe("a template", function()
  it("is made, left alone when nothing differs, changed when something does", function()
    local pushed = assert(templates.push(mail, spring()))
    assert.equal("created", pushed.action)
    assert.matches("^%d+$", pushed.id)
    assert.equal("approved", assert(templates.wait(mail, pushed.id, 5)).status)
    local again = assert(templates.push(mail, spring { html = "<body>\r\n<p>Hi {UserName}</p>\r\n<p>bye</p>\r\n</body>" }))
    assert.same({ id = pushed.id, action = "unchanged", status = "approved" }, again)
    local changed = assert(templates.push(mail, spring { subject = "Summer" }))
    assert.same({ id = pushed.id, action = "modified", status = "in review" }, changed)
    assert.equal("Summer", assert(templates.pull(mail, "spring")).subject)
    assert.equal("unchanged", assert(templates.push(mail, spring { subject = "Summer" }, { wait = 5 })).action)
  end)

  it("is compared field by field and line by line", function()
    assert(templates.push(mail, spring(), { wait = 5 }))
    local same = assert(templates.diff(mail, spring()))
    assert.same({ true, true, "approved", {} }, { same.exists, same.same, same.status, same.changes })
    local diff = assert(templates.diff(mail, spring { sender_name = "Shop", html = "<body>\n<p>Ho</p>\n<p>new</p>\n<p>bye</p>\n</body>\n" }))
    assert.is_false(diff.same)
    assert.same({ { field = "sender_name", line = 1, lines = { "-News", "+Shop" } },
      { field = "html", line = 2, lines = { "-<p>Hi {UserName}</p>", "+<p>Ho</p>", "+<p>new</p>" } } }, diff.changes)
    local none = assert(templates.diff(mail, spring { name = "other" }))
    assert.same({ false, "missing", 3 }, { none.exists, none.status, #none.changes })
  end)

  it("that is rejected, or whose review lasts, is an error of its own", function()
    local none, e = templates.push(mail, spring { name = "rejected2" }, { wait = 5 })
    assert.same({ nil, "REFUSED", "refused", "content" }, { none, e.code, e.outcome, e.blame })
    local id = assert(mail.api.CreateTemplate { TemplateName = "slow", TemplateSubject = "s", TemplateNickName = "n", TemplateText = "<p>x</p>", TemplateType = 0 }).TemplateId
    none, e = templates.wait(mail, ("%.0f"):format(id), 0)
    assert.same({ nil, "TIMEOUT", true }, { none, e.code, e.retry })
  end)

  it("that does not exist, or is not whole, is refused", function()
    local none, e = templates.pull(mail, "gone")
    assert.same({ nil, "OPTION", "name" }, { none, e.code, e.detail })
    for _, field in ipairs { "name", "subject", "sender_name", "html" } do
      none, e = templates.push(mail, spring { [field] = "" })
      assert.same({ nil, "OPTION", field }, { none, e.code, e.detail })
    end
    none, e = templates.push(mail, spring { name = ("x"):rep(31) })
    assert.same({ nil, "OPTION", "TemplateName" }, { none, e.code, e.detail })
    assert.has_error(function() templates.push(mail, spring { nam = "x" }) end)
    assert(box:set_faults { "api:QueryTemplateByParam:InvalidAccessKeyId.NotFound" })
    for _, name in ipairs { "push", "diff", "pull" } do
      none, e = templates[name](mail, name == "pull" and "spring" or spring())
      assert.is_nil(none)
      assert.equal("InvalidAccessKeyId.NotFound", e.detail, name)
    end
  end)

  it("is in the list with its state", function()
    local names = {}
    for _, one in ipairs(assert(templates.list(mail))) do names[one.name] = one.status end
    assert.equal("approved", names.welcome)
    assert.equal("rejected", names.rejected2)
  end)

  it("is a file that comes back as it was", function()
    local t = spring()
    assert.same(t, (templates.parse(templates.format(t))))
    assert.same({ subject = "A b", html = "<html><title>A\nb</title><p>x</p></html>" }, (templates.parse "<html><title>A\r\nb</title><p>x</p></html>"))
    assert.same({ subject = "x: y", text = "Hi\n" }, (templates.parse "\239\187\191Subject: x: y\r\n\r\nHi\r\n"))
    assert.same({}, (templates.parse ""))
    assert.same({ subject = "only" }, (templates.parse "Subject: only\n"))
    local none, e = templates.parse "Subject: a\nBcc: x@y.example\n\nHi"
    assert.same({ nil, "FILE" }, { none, e.code })
  end)
end)
