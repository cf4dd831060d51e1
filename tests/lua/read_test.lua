local core = require "directmail.core"
local read = require "directmail.read"

local function lines(text) return (text:gsub("\n", "\r\n")) end

describe("headers", function()
  it("are unfolded and found without regard to letter case", function()
    local headers, body = read.headers(lines "Subject: one\n two\n\tthree\nX-a:b\n\nbody\n")
    assert.same({ { "Subject", "one two\tthree" }, { "X-a", "b" } }, headers)
    assert.equal("body\r\n", body)
    assert.equal("b", read.field(headers, "x-A"))
    assert.is_nil(read.field(headers, "To"))
  end)

  it("may be missing, may have no end, and lines that are none are left out", function()
    assert.same({}, (read.headers(lines "\nbody")))
    assert.equal("body", select(2, read.headers(lines "\nbody")))
    assert.same({ { "A", "b" } }, (read.headers("A: b")))
    assert.same({ { "A", "b" }, { "C", "d" } }, (read.headers(lines "A: b\nno field\n folded to it\nC: d\n\n")))
  end)

  it("are bounded", function()
    local headers = read.headers(("A: b\r\n"):rep(5000) .. "\r\n")
    assert.equal(1000, #headers)
    headers = read.headers(("A: " .. ("b"):rep(1000) .. "\r\n"):rep(1000))
    assert.is_true(#headers < 270)
  end)

  it("are decoded as text", function()
    local mail = read.mail(lines "Subject: =?UTF-8?B?5oKo55qE?=\n =?utf-8?Q?_a=3Db?= plain\n\n")
    assert.equal("\230\130\168\231\154\132 a=b plain", mail.subject)
  end)
end)

describe("parameters", function()
  local function params(text) return select(2, read.parameters(text)) end

  it("are read as tokens and quoted strings", function()
    local value, list = read.parameters 'Multipart/Mixed; boundary="a;b\\"c"; X=y ; z = w'
    assert.equal("multipart/mixed", value)
    assert.same({ boundary = 'a;b"c', x = "y", z = "w" }, list)
    assert.same({ "", {} }, { read.parameters(nil) })
    assert.same({ "text/plain", {} }, { read.parameters "text/plain" })
    assert.same({ a = "b" }, params "x/y; ;; nothing; a=b;")
    assert.same({ a = "unclosed" }, params 'x/y; a="unclosed')
  end)

  it("are put together from sections with their charset (RFC 2231)", function()
    assert.same({ filename = "\230\138\165\229\145\138.csv" }, params "attachment; filename*=UTF-8''%E6%8A%A5%E5%91%8A.csv")
    assert.same({ filename = "\230\138\165 a b.csv" },
      params [[attachment; filename*1="a b"; filename*0*=utf-8'zh'%E6%8A%A5%20; filename*2=.csv]])
    assert.same({ filename = "\195\164" }, params "attachment; filename*=iso-8859-1''%E4")
    assert.same({ filename = "new" }, params "attachment; filename=old; filename*=utf-8''new")
    assert.same({ filename = "\230\138\165" }, params 'attachment; filename="=?utf-8?B?5oql?="')
    assert.same({ filename = "a" }, params "attachment; filename*0=a; filename*2=lost")
  end)
end)

describe("quoted-printable", function()
  it("is undone: soft breaks, hexadecimal, blanks added on the way", function()
    assert.equal("a=b\r\n\195\164 end\r\n", read.unquote(lines "a=3Db\n=C3=A4=\n end  \t\n"))
    assert.equal("abc", read.unquote(lines "ab= \t\nc"))
    assert.equal("=zz =", read.unquote "=zz =3D")
    assert.equal("", read.unquote "")
  end)

  it("of a hostile shape takes no time", function()
    local text = (" "):rep(1000000) .. "x"
    assert.equal(text, read.unquote(text))
  end)
end)

describe("a message", function()
  it("of one part has a text or an html", function()
    local mail = read.mail(lines "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nHi =C3=A4\n")
    assert.equal("Hi \195\164\r\n", mail.text)
    assert.is_nil(mail.html)
    assert.same({}, mail.attachments)
    assert.equal("<p>Hi", read.mail(lines "Content-Type: text/html\nContent-Transfer-Encoding: BASE64\n\nPHA+\nSGk=").html)
    assert.equal("\195\164", read.mail(lines "Content-Type: text/plain; charset=ISO-8859-1\n\n" .. "\228").text)
    assert.equal("bare", read.mail(lines "Subject: x\n\nbare").text)
  end)

  it("of many has texts and attachments, however deep", function()
    local mail = read.mail(lines([[
Content-Type: multipart/mixed; boundary="out"

preamble
--out
Content-Type: multipart/related; boundary=mid

--mid
Content-Type: multipart/alternative; boundary="mid-in"

--mid-in
Content-Type: text/plain

the text
--mid-in
Content-Type: text/html

<p>the html</p>
--mid-in--
--mid
Content-Type: image/png; name=logo.png
Content-Disposition: inline; filename=logo.png
Content-ID: <logo>
Content-Transfer-Encoding: base64

iVBORw==
--mid--
--out
Content-Type: text/plain; name="notes.txt"
Content-Disposition: attachment; filename="notes.txt"

--outer is no delimiter
--out
Content-Type: application/pdf
Content-Disposition: attachment; filename*=utf-8''%E6%8A%A5.pdf

--out--
epilogue
]]))
    assert.equal("the text", mail.text)
    assert.equal("<p>the html</p>", mail.html)
    assert.same({
      { name = "logo.png", type = "image/png", data = "\137PNG", cid = "logo", inline = true },
      { name = "notes.txt", type = "text/plain", data = "--outer is no delimiter" },
      { name = "\230\138\165.pdf", type = "application/pdf", data = "" },
    }, mail.attachments)
  end)

  it("whose parts never end keeps what there is", function()
    local mail = read.mail(lines "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: a/b\n\ntwo")
    assert.equal("one", mail.text)
    assert.equal("two", mail.attachments[1].data)
  end)

  it("with a bad encoding stays as it is", function()
    assert.equal("not base64!", read.mail(lines "Content-Transfer-Encoding: base64\n\nnot base64!").text)
  end)

  it("has bounded depth and parts", function()
    local deep = "x"
    for i = 1, 40 do deep = lines(("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"):format(i, i)) .. deep
      .. ("\r\n--b%d--"):format(i) end
    local mail = read.mail(deep)
    assert.equal(1, #mail.attachments)
    assert.equal("multipart/mixed", mail.attachments[1].type)
    mail = read.mail(lines("Content-Type: multipart/mixed; boundary=b\n\n" .. ("--b\nContent-Type: a/b\n\n\n"):rep(3000)))
    assert.is_true(#mail.attachments <= 501)
  end)

  it("made by the core reads back", function()
    assert.equal("a b\228\184\173", core.base64_decode(core.base64 "a b\228\184\173"))
  end)
end)
