-- Templates inside nginx: loaded in init_by_lua or by a request, functions that wait, and send_all with a row that fails.
local nginx = require "support.nginx"

local rig

local HTTP = [[
  init_by_lua_block {
    local directmail = require "directmail"
    early = assert(directmail.template("@DIR@/mail/early.html"))
    late, why = directmail.template("@DIR@/mail/none.html")
    fake = require "directmail.testing".transport()
    mail = assert(directmail.new { transport = fake, sender = "a@x.example" })
    folder = "@DIR@/mail/"
  }
  server {
    listen 127.0.0.1:@PORT@;
    location = /run { @RUN@ }
  }
]]

setup(function()
  rig = nginx.start {
    http = HTTP,
    files = {
      ["mail/early.html"] = "---\nsubject: Hi {{name}}\n---\n{{>row}}", ["mail/early.txt"] = "T {{name}}{{#f}}1{{/f}}", ["mail/row.html"] = "<p>{{name}}</p>",
      ["mail/large.html"] = ("x"):rep(1048577),
    },
  }
end)
teardown(function() rig:stop() end)

describe("a template in nginx", function()
  it("is loaded in init_by_lua and filled in by a request", function()
    assert.same({ subject = "Hi A&B", html = "<p>A&amp;B</p>", text = "T A&B" }, rig:run('return early { name = "A&B", f = function() end }'))
    assert.matches("none.html cannot be read: no such file", rig:run "return tostring(why)")
  end)

  it("may call functions that wait", function()
    local out = rig:run [[return early { name = "A", f = function(text) ngx.sleep(0.001) return text .. "2" end }]]
    assert.equal("T A12", out.text)
  end)

  it("is a message's field, with the file's name too", function()
    local first = rig:run [[
      fake:reset()
      assert(mail:send { to = "b@x.example", template = folder .. "early.html", data = { name = "A" } })
      return fake.sent[1].subject, fake.sent[1].text]]
    assert.equal("Hi A", first)
    local _, e = rig:run [[return mail:send { to = "b@x.example", template = early, data = {} }]]
    assert.same({ "CONTENT", "name" }, { e.code, e.detail })
    assert.matches("mail/early.html:2: no value for {{name}}", e.cause)
    _, e = rig:run [[return mail:send { to = "b@x.example", template = folder .. "large.html" }]]
    assert.same({ "SIZE", "template" }, { e.code, e.detail })
  end)

  it("is filled in row by row, and a function that fails stops no other", function()
    assert.same({ "ok", "a function in the template's data failed: oops", "ok" }, rig:run [[
      local told = {}
      local rows = { { name = "A" }, { name = "B", f = function() error("oops", 0) end }, { name = "C", f = function() ngx.sleep(0.001) return "x" end } }
      for result in mail:send_all(rows, { message = function(row) return { to = "b@x.example", template = early, data = row } end }) do
        told[result.n] = result.ok and "ok" or result.err.cause
      end
      return told]])
  end)
end)
