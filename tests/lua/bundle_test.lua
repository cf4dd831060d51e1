-- directmail.bundle: what must not leave does not, and what support needs does.
local bundle = require "directmail.bundle"

local VALUES = { sender = "Shop <noreply@mail.example.com>", smtp_password = "Hunter2Hunter2", access_key_secret = "s3cretS3cretS3cret", from = {} }

describe("a bundle", function()
  it("masks what stands behind the name of a secret", function()
    for line, clean in pairs {
      ['password = "abc"'] = 'password = "********"', ["password='abc'"] = "password='********'", ['"Password": "abc", "x": 1'] = '"Password": "********", "x": 1',
      ["SMTP_PASSWORD=abc"] = "SMTP_PASSWORD=********", ["export API_TOKEN=abc123 X=1"] = "export API_TOKEN=******** X=1", ["--password=abc --to x"] = "--password=******** --to x",
      ["secret: abc.def"] = "secret: ********",
      ["password: three words more  # why"] = "password: ********  # why", ["secret = abc"] = "secret = ********", ["t['api_key'] = 'abc'"] = "t['api_key'] = '********'",
        ["secret = [[abc]]"] = "secret = [[********]]",
      ['secret = "abc'] = 'secret = "********"', ["Signature=abc%2B&Action=Test"] = "Signature=********",
      -- where it comes from is no secret
      ['secret = os.getenv "SECRET"'] = 'secret = os.getenv "SECRET"', ["password=$PASSWORD"] = "password=$PASSWORD", ["secret = settings.secret"] = "secret = settings.secret",
      ["if password == other then"] = "if password == other then", ['subject = "the password is new"'] = 'subject = "the password is new"',
      ["access_key_id = getenv(ID)"] = "access_key_id = getenv(ID)",
    } do assert.equal(clean, bundle.clean(line, VALUES)) end
  end)

  it("masks secrets that are known, ids and addresses wherever they stand", function()
    for line, clean in pairs {
      ["say Hunter2Hunter2!"] = "say ********!", ["LTAI5tABCDEFGHJKLMNPQRST"] = "LTAI****************QRST", ["(STS.NUabcdefghijklmnopqrs)"] = "(STS.*****************pqrs)",
      ["smtp://ann:pw@host/"] = "smtp://ann:********@host/", ["Authorization: Bearer abc.def"] = "Authorization: ********",
      ['-H "Authorization: Basic YTpi" x'] = '-H "Authorization: ********" x', ["with Bearer abc.def"] = "with Bearer ********",
      ["to Ann.Smith+x@example.net, bob@example.org"] = "to A***@example.net, b***@example.org", ["from noreply@mail.example.com"] = "from noreply@mail.example.com",
      ["NOREPLY@MAIL.EXAMPLE.COM"] = "NOREPLY@MAIL.EXAMPLE.COM", ["bounce+ann=example.net@list.example"] = "b***@list.example", ["no address @ all"] = "no address @ all",
    } do assert.equal(clean, bundle.clean(line, VALUES)) end
    assert.equal("a\n\nb\n", bundle.clean("a\n\nb\n", VALUES))
    assert.equal("", bundle.clean("", VALUES))
  end)

  it("masks secrets as programs of all kinds are given them", function()
    for line, clean in pairs {
      ["auth: { user: 'x', pass: 'abc' }"] = "auth: { user: 'x', pass: '********' }", ["local PASS = 'abc'"] = "local PASS = '********'", ["smtpPass=abc"] = "smtpPass=********",
      ["MAIL_PWD: abc"] = "MAIL_PWD: ********", ["curl -u ann:abc https://x.example/"] = "curl -u ann:******** https://x.example/",
      ["curl --user 'ann:abc' x"] = "curl --user 'ann:********' x", ["swaks -ap abc -tls"] = "swaks -ap ******** -tls",
      ["swaks --auth-password 'a b c' x"] = "swaks --auth-password '********' x", ["server.login('x', 'abc')"] = "server.login('x', '********')",
      ['new PasswordAuthentication("x", "abc")'] = 'new PasswordAuthentication("x", "********")', ["AUTH PLAIN AGFiY2RlZmc="] = "AUTH PLAIN ********",
      -- no secrets
      ["250-AUTH PLAIN LOGIN"] = "250-AUTH PLAIN LOGIN", ["compass = north"] = "compass = north", ["--password-file /x/y"] = "--password-file /x/y",
      ["--password-command 'pass show x'"] = "--password-command 'pass show x'", ["server.login(user, password)"] = "server.login(user, password)",
    } do assert.equal(clean, bundle.clean(line, VALUES)) end
  end)

  it("masks addresses in what was signed, too, but for the sender's", function()
    for line, clean in pairs {
      ["ToAddress=ann%40example.net&X=1"] = "ToAddress=a***%40example.net&X=1", ["ToAddress%3Dann%2540example.net%26X"] = "ToAddress%3Da***%2540example.net%26X",
      ["AccountName%3Dnoreply%2540mail.example.com%26X"] = "AccountName%3Dnoreply%2540mail.example.com%26X", ["100%40 of x"] = "100%40 of x",
    } do assert.equal(clean, bundle.clean(line, VALUES)) end
  end)

  it("leaves long data out, and takes no time for it", function()
    assert.equal("x = '(1001 octets)'", bundle.clean("x = '" .. ("a"):rep(1001) .. "'", VALUES))
    local start = os.clock()
    for _, part in ipairs { "QUJD", "a.", "a@", "--passw", "--passw ", "a=", "%40", "x%", "http://a:", "login(" } do
      bundle.clean(part:rep(math.floor(500000 / #part)), VALUES)
    end
    assert.is_true(os.clock() - start < 60)
  end)

  it("holds what support asks for, and says what was not given", function()
    local report = { status = "fail", checks = { { id = "dns.spf", status = "fail", cause = "no record", remedy = "publish it" }, { id = "clock", status = "pass",
      cause = "right", remedy = "" } } }
    local text = bundle.text { report = report, settings = VALUES, now = 1767225600, error = "526 Authentication failure by ann@example.net" }
    for _, words in ipairs { "made 2026-01-01T00:00:00Z", "SMTP (AUTH, MAIL, RCPT, DATA)", "(not given: --param", "526 Authentication failure by a***@example.net\n",
      "wrong", "smtp_password      set, 14 characters", "dns.spf         fail  no record\n                      -> publish it\nclock " } do
      assert.is_truthy(text:find(words, 1, true), words .. " is not in " .. text)
    end
    assert.equal("\n", text:sub(-1))
    text = bundle.text { report = report, settings = { from = {}, access_key_id = "LTAI5tABCDEFGHJKLMNPQRST" }, now = 0, operation = "BatchSendMail", parameters = { "A=b",
      "Password=x" },
      script = "print 'x'", script_name = "a.lua" }
    for _, words in ipairs { "== operation or request class ==\nBatchSendMail\n", "A = b\nPassword = ********\n", "(not given: --error", "== script a.lua ==\nprint 'x'\n" } do
      assert.is_truthy(text:find(words, 1, true), words .. " is not in " .. text)
    end
  end)
end)
