-- Send every mail of a list that mail.py made: directmail send_all.lua MAILS.json
local cjson = require "cjson"
local directmail = require "directmail"

local file = assert(io.open(arg[1], "rb"))
local mails = cjson.decode(file:read "a")
file:close()

local function person(p)
  if p.name == "" then return p.address end
  return ('"%s" <%s>'):format(p.name:gsub('[\\"]', "\\%0"), p.address)
end

local function people(list)
  if not list then return nil end
  local out = {}
  for i, p in ipairs(list) do out[i] = person(p) end
  return out
end

-- The three ways to bring an attachment: by path, as a string, and by a function that is asked for more.
local function attachment(a)
  local out = { name = a.name, type = a.type, cid = a.cid }
  if a.way == "path" then
    out.path = a.file
    return out
  end
  local source = assert(io.open(a.file, "rb"))
  if a.way == "data" then
    out.data = source:read "a"
    source:close()
  else
    out.size = source:seek "end"
    source:seek "set"
    out.read = function(max) return source:read(max) end
  end
  return out
end

local mail = directmail.new()
for _, m in ipairs(mails) do
  local attachments = {}
  for i, a in ipairs(m.attachments or {}) do attachments[i] = attachment(a) end
  local receipt, err = mail:send {
    from = person(m.from), to = people(m.to), cc = people(m.cc), bcc = people(m.bcc), reply_to = people(m.reply_to),
    subject = m.subject, text = m.text, html = m.html, attachments = attachments[1] and attachments or nil,
  }
  if not receipt then error(err, 0) end
  print(receipt.outcome, receipt.via, receipt.bytes, m.subject)
end
