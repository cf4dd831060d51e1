--- What the rules of lint look at: one mail, from HTML, a template, a finished message, text, or the fields of a message.
-- Every list in it is bounded by the limits of the HTML reader and of lint_text_octets.
-- @module directmail.lint.mail
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local phrases = require "directmail.lint.phrases"
local read = require "directmail.read"
local style = require "directmail.lint.style"

local M = {}

local VALUE = "\239\191\188"    -- U+FFFC stands for the value of a template's tag

local MOST = 5000               -- links, pictures, hidden texts: each is looked at by many rules
local LINK_TEXT = 4096          -- octets of a link's text

local function set(words)
  local of = {}
  for word in words:gmatch "%S+" do of[word] = true end
  return of
end

-- Elements whose text is not read, elements that stand in a line, and elements that rules want to know of.
local SILENT = set "head style script template title"
local INLINE = set "a abbr b bdi bdo big cite code em font i img ins del kbd label mark q s samp small span strike strong sub sup tt u var wbr"
local NOTED = set "script form iframe frame object embed applet"

-- ---- templates ---------------------------------------------------------------

-- Line ends only, so that numbers of lines stay.
local function lines_of(text) return (text:gsub("[^\n]+", "")) end

-- Mustache without what leaves nothing: comments, sections, partials, other delimiters. Values stay, in two braces.
local function without_tags(text)
  local out, at = {}, 1
  while true do                 -- a comment may hold braces
    local from = text:find("{{!", at, true)
    local _, to
    if from then _, to = text:find("}}", from, true) end
    if not to then break end
    out[#out + 1] = text:sub(at, from - 1) .. lines_of(text:sub(from, to))
    at = to + 1
  end
  out[#out + 1] = text:sub(at)
  text = table.concat(out)
  text = text:gsub("{{%s*([#/^>=$<])([^{}]*)}}", function(_, inside) return lines_of(inside) end)
  return (text:gsub("{{{([^{}]*)}}}", "{{%1}}"):gsub("{{&([^{}]*)}}", "{{%1}}"))
end

-- The names of the values of a template, in lower case, with a blank around each.
local function values_of(text)
  local names = {}
  for name in text:gmatch "{{[{&]?%s*([%w_.-]+)%s*}" do
    if #names < 1000 then names[#names + 1] = name:lower() end
  end
  return " " .. table.concat(names, " ") .. " "
end

-- ---- text --------------------------------------------------------------------

-- A list of texts with their lines, joined; `at(offset)` gives the line back. `where` makes a line of the file of a part's.
local function join(pieces, where)
  local out, starts, lines, size = {}, {}, {}, 0
  for _, piece in ipairs(pieces) do
    local from, line = 1, piece.line
    piece.line = where(line)
    while size < limits.lint_text_octets do
      local stop = piece.text:find("\n", from, true)
      local part = phrases.fold(piece.text:sub(from, math.min(stop or #piece.text, from + limits.lint_text_octets)))
      starts[#starts + 1], lines[#lines + 1] = size + 1, where(line)
      out[#out + 1] = part
      size = size + #part
      if not stop then break end
      line = line + 1
      from = stop + 1
    end
  end
  return table.concat(out), function(offset)
    local low, high = 1, #starts
    while low < high do
      local middle = math.floor((low + high + 1) / 2)
      if starts[middle] <= offset then low = middle else high = middle - 1 end
    end
    return lines[low]
  end
end

-- Without what is no letter to a reader: blanks, and the fillers that stand behind a preview text.
local function characters(text)
  text = text:gsub("\205\143", ""):gsub("\194\160", ""):gsub("\226\128[\128-\143]", ""):gsub("\239\187\191", ""):gsub("[%s%z]", "")
  local _, n = text:gsub("[^\128-\191]", "")
  return n
end
M.characters = characters

-- ---- HTML --------------------------------------------------------------------

local function number_of(attributes, name)
  local n = attributes[name] and attributes[name]:match "^%s*(%d+)%s*p?x?%s*$"
  if n then return tonumber(n) end
  n = (attributes.style or ""):sub(1, 1024):lower():match("%f[%w]" .. name .. "%s*:%s*(%d+)px")
  return n and tonumber(n)
end

-- One walk over the events: texts, links, pictures and what else the rules ask for.
local function walk(mail, events)
  local stack, top = {}, { style = {} }
  for _, event in ipairs(events) do
    local name = event.name
    if event.kind == "open" then
      local attributes = event.attributes or {}
      local frame = { style = style.inside(top.style, attributes), silent = top.silent or SILENT[name], link = top.link, title = name == "title" }
      if name == "body" and not event.implied then mail.has_body = true end
      if NOTED[name] and #mail.elements < MOST then mail.elements[#mail.elements + 1] = { name = name, attributes = attributes, line = event.line } end
      for attribute in pairs(attributes) do
        if attribute:find "^on%a+$" and #mail.elements < MOST then
          mail.elements[#mail.elements + 1] = { name = "on", attribute = attribute, line = event.line }
        end
      end
      if (name == "a" or name == "area") and attributes.href then
        frame.link = { url = attributes.href, line = event.line, text = {}, element = name }
        if #mail.links < MOST then mail.links[#mail.links + 1] = frame.link end
      elseif name == "img" and #mail.images < MOST then
        mail.images[#mail.images + 1] = { src = attributes.src or "", alt = attributes.alt, line = event.line, width = number_of(attributes, "width"),
          height = number_of(attributes, "height"), hidden = frame.style.hidden, linked = top.link ~= nil }
        if top.link then top.link.image = true end
      end
      if not INLINE[name] then mail.pieces[#mail.pieces + 1] = { text = "\n\n", line = event.line > 0 and event.line or 1, gap = true } end
      if name == "br" then mail.pieces[#mail.pieces] = { text = "\n", line = math.max(1, event.line), gap = true } end
      stack[#stack + 1] = top
      top = frame
    elseif event.kind == "close" then
      if not INLINE[name] and name ~= "br" then
        mail.pieces[#mail.pieces + 1] = { text = "\n\n", line = event.line and event.line > 0 and event.line or 1, gap = true }
      end
      top = table.remove(stack) or { style = {} }
    elseif event.kind == "text" then
      if top.title and not mail.title then mail.title = { text = event.text, line = event.line } end
      if not top.silent then
        local link = top.link
        if link and #link.text < 64 then link.text[#link.text + 1] = event.text end
        local unseen = style.unseen(top.style)
        if not unseen then
          mail.pieces[#mail.pieces + 1] = { text = event.text, line = math.max(1, event.line) }
          mail.seen = mail.seen or characters(event.text) > 0
        elseif #mail.hidden < MOST and characters(event.text) > 0 then
          mail.hidden[#mail.hidden + 1] = { why = unseen, text = event.text, line = event.line, first = not mail.seen }
        end
      end
    end
  end
  for _, link in ipairs(mail.links) do link.text = table.concat(link.text):sub(1, LINK_TEXT) end
end

local function add_html(mail)
  if #mail.html > limits.html_octets then
    return err.refuse("SIZE", "html", ("the HTML has %d octets, more than %d"):format(#mail.html, limits.html_octets),
      "nobody reads a mail of that size: take parts out of it")
  end
  local events, why = require "directmail.html".events(mail.html)
  if not events then return err.refuse("CONTENT", "html", "the HTML cannot be read: " .. tostring(why), "make it smaller and simpler") end
  walk(mail, events)
  return true
end

-- Addresses of the web in plain text.
local function links_of_text(mail, text, where)
  for at, url in text:gmatch "()(%f[%w][hH][tT][tT][pP][sS]?://[^%s<>\"'\227-\239]+)" do
    local stop = #url           -- a sentence goes on behind it
    while (".,;:!?)]}*"):find(url:sub(stop, stop), 1, true) do stop = stop - 1 end
    url = url:sub(1, stop)
    if #mail.links >= MOST then break end
    mail.links[#mail.links + 1] = { url = url, line = where(at), text = url, element = "text" }
  end
end

-- ---- finished messages -------------------------------------------------------

-- From a line of a decoded part to the one of the file: a soft line end of quoted-printable is none, base64 is counted.
local function line_map(leaf, decoded)
  if leaf.encoding == "quoted-printable" then
    local map, line, n, at = { leaf.line }, 1, 0, 1
    while true do
      local stop = leaf.bytes:find("\n", at, true)
      if not stop then break end
      n = n + 1
      if not leaf.bytes:sub(math.max(at, stop - 8), stop - 1):find "=[ \t]*\r?$" then
        line = line + 1
        map[line] = leaf.line + n
      end
      at = stop + 1
    end
    return function(k) return map[k] or map[#map] end
  elseif leaf.encoding == "base64" then
    local width = (leaf.bytes:find("[\r\n]") or 77) - 1
    local octets = math.max(1, math.floor(width / 4) * 3)
    local starts, at = { 0 }, 0
    for stop in decoded:gmatch "\n()" do starts[#starts + 1] = stop - 1 end
    return function(k) return leaf.line + math.floor((starts[k] or starts[#starts] or at) / octets) end
  end
  return function(k) return leaf.line + k - 1 end
end

local function header_lines(bytes)
  local found, line, at = {}, 0, 1
  while at <= #bytes and line < 5000 do
    local stop = bytes:find("\r\n", at, true) or #bytes + 1
    line = line + 1
    if stop == at then break end
    local name = bytes:sub(at, math.min(stop, at + 80)):match "^([^%s:]+)[ \t]*:"
    if name and not found[name:lower()] then found[name:lower()] = line end
    at = stop + 2
  end
  return found
end

local function from_message(mail, bytes)
  bytes = bytes:gsub("\r\n", "\n"):gsub("\r", "\n"):gsub("\n", "\r\n")
  if bytes:find "^>?From [^\r\n]*\r\n" then bytes = bytes:gsub("^>?(From [^\r\n]*)\r\n", "X-Mailbox: %1\r\n") end      -- of a mailbox file
  local got, leaves = read.mail(bytes)
  mail.bytes, mail.headers, mail.header_lines, mail.leaves = bytes, got.headers, header_lines(bytes), leaves
  mail.subject, mail.text, mail.html, mail.attachments = got.subject or "", got.text, got.html, got.attachments
  for _, leaf in ipairs(leaves) do
    if leaf.field then mail.where[leaf.field] = line_map(leaf, got[leaf.field]) end
  end
  mail.has_parts = true
  mail.from, mail.to, mail.reply_to = read.text(got.headers, "From"), read.text(got.headers, "To"), read.text(got.headers, "Reply-To")
  return mail
end

-- ---- fields of a message -----------------------------------------------------

local function list_text(given)
  if type(given) == "table" then return table.concat(given, ", ") end
  return given
end

-- The first octets of a file, for the kind of an archive.
local function beginning(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read(64) or nil
  if file then file:close() end
  return bytes
end

local function attachments_of(given)
  local list = {}
  if type(given) == "string" then given = { given } end
  for i, one in ipairs(given or {}) do
    if type(one) == "string" then one = { path = one } end
    local path = one.path
    list[i] = { name = one.name or path and path:match "[^/]*$", type = one.type, data = one.data or path and beginning(path), cid = one.cid }
  end
  return list
end

local LISTS = { "from", "to", "reply_to", "attachments" }
local OF_ATTACHMENT = { "name", "path", "type", "data", "cid" }

-- What is wrong with an entry of one of LISTS.
local function wrong_entry(name, i, one)
  local is_table = name == "attachments" and type(one) == "table"
  if not is_table and type(one) ~= "string" then return ("entry %d of field %s cannot be a %s"):format(i, name, type(one)) end
  for _, field in ipairs(is_table and OF_ATTACHMENT or {}) do
    if one[field] ~= nil and type(one[field]) ~= "string" then
      return ("%s of entry %d of field %s must be a string, not a %s"):format(field, i, name, type(one[field]))
    end
  end
end

--- What is wrong with the names and types of a message's fields, as far as rules look at them.
-- @tparam table fields
-- @tparam string what whose fields they are, for the sentence
-- @treturn ?string nil when nothing is
function M.wrong_fields(fields, what)
  local message = require "directmail.message"
  local wrong = require "directmail.option".unknown(fields, message.FIELDS, what)
  if wrong then return wrong end
  for _, name in ipairs(message.FIELDS) do
    local value = fields[name]
    if value ~= nil and not message.TYPES[name][type(value)] then
      local only = next(message.TYPES[name], (next(message.TYPES[name]))) == nil and next(message.TYPES[name])
      return only and ("field %s must be a %s, not a %s"):format(name, only, type(value)) or ("field %s cannot be a %s"):format(name, type(value))
    end
  end
  for _, name in ipairs(LISTS) do
    for i, one in ipairs(type(fields[name]) == "table" and fields[name] or {}) do
      wrong = wrong_entry(name, i, one)
      if wrong then return wrong end
    end
  end
end

-- The headers that message.lua would make of the fields, as far as rules ask for them.
local function from_fields(mail, fields, host)
  local wrong = M.wrong_fields(fields, "the message for lint")
  if wrong then return nil, { misuse = wrong } end
  mail.fields = fields
  if fields.raw then return from_message(mail, fields.raw) end
  mail.subject, mail.text, mail.html = fields.subject or "", fields.text, fields.html
  if fields.template then
    local template, e = require "directmail.template".of(fields.template, host)
    if e then return nil, e end
    if not template then return nil, { misuse = "field template must be a file's name, or what directmail.template gave" } end
    local made
    made, e = template:render(fields.data)
    if not made then return nil, e end
    mail.subject, mail.text, mail.html = fields.subject or made.subject or "", made.text, made.html
  end
  mail.from, mail.to, mail.reply_to = list_text(fields.from), list_text(fields.to), list_text(fields.reply_to)
  mail.attachments = attachments_of(fields.attachments)
  mail.has_parts = true
  return mail
end

-- ---- what it is --------------------------------------------------------------

local HEADS = set "from to subject date received return-path message-id mime-version content-type dkim-signature delivered-to reply-to x-mailbox"

local function guess(text, file)
  local ending = (file or ""):lower():match "%.(%w+)$"
  if ending == "eml" then return "eml" end
  local name = text:sub(1, 200):match "^([%a][%w-]*)[ \t]*:[ \t]" or text:find "^From %S+@?%S* " and "x-mailbox"
  if name and HEADS[name:lower()] and ending ~= "html" and ending ~= "htm" then return "eml" end
  if ending == "html" or ending == "htm" or ending == "mustache" then return "html" end
  if ending == "txt" then return "text" end
  local start = text:sub(1, 8192):lower()
  for _, tag in ipairs { "<html", "<body", "<!doctype", "<p", "<div", "<table", "<h1", "<a ", "<br", "<span", "<td" } do
    if start:find(tag, 1, true) then return "html" end
  end
  return "text"
end

local function first_address(text)
  local boxes = text and text ~= "" and core.addresses(text)
  return boxes and boxes[1] and boxes[1] or nil
end

local function domain_of(box) return box and box.address:sub(box.local_length + 2):lower() end

-- Bulk when nobody said so: it has the marks of a list, or a way to leave it.
local function guess_kind(mail)
  for _, name in ipairs { "List-Unsubscribe", "List-Id", "X-AliDM-Settings" } do
    if mail.headers and read.field(mail.headers, name) then return "bulk" end
  end
  local precedence = mail.headers and read.field(mail.headers, "Precedence")
  if precedence and (precedence:lower():find "bulk" or precedence:lower():find "list") then return "bulk" end
  if mail.fields and mail.fields.unsubscribe and mail.fields.unsubscribe ~= "disabled" then return "bulk" end
  return phrases.has(mail.body, "unsubscribe") and "bulk" or "transactional"
end

local function as_value(text) return (text:gsub("{{[^{}]*}}", VALUE)) end

-- The text by which the rules go: of the HTML what is seen, else of the text part.
local function add_body(mail)
  if mail.html then
    local ok, e = add_html(mail)
    if not ok then return nil, e end
  elseif mail.text then
    mail.pieces[1] = { text = mail.text, line = 1 }
  end
  if mail.template then
    for _, piece in ipairs(mail.pieces) do piece.text = as_value(piece.text) end
    if mail.title then mail.title.text = as_value(mail.title.text) end
  end
  local where = mail.where[mail.html and "html" or "text"] or function(line) return line end
  for _, list in ipairs { mail.links, mail.images, mail.hidden, mail.elements, { mail.title } } do
    for _, one in ipairs(list) do one.line = where(one.line > 0 and one.line or 1) end
  end
  mail.body, mail.line_at = join(mail.pieces, where)
  if not mail.html then links_of_text(mail, mail.body, mail.line_at) end
  return true
end

--- Read one mail.
-- @tparam string|table source HTML, a template, a finished message or text; or the fields of a message
-- @tparam table options of `directmail.lint`
-- @treturn[1] table what the rules look at; docs/lint.md lists its fields
-- @treturn[2] nil
-- @treturn[2] table a directmail.err, or `{ misuse = … }` when the caller is to blame
function M.read(source, options)
  local mail = { file = options.file, kind = options.kind, template = false, links = {}, images = {}, pieces = {}, hidden = {}, elements = {}, where = {},
    attachments = {}, options = options }
  if type(source) == "table" then
    local ok, e = from_fields(mail, source, options.host or require "directmail.host")
    if not ok then return nil, e end
    mail.format = mail.leaves and "eml" or "message"
  elseif type(source) == "string" then
    if #source > limits.lint_octets then
      return err.refuse("SIZE", options.file or "lint", ("the mail has %d octets, more than %d"):format(#source, limits.lint_octets), "the service takes 15 MB")
    end
    source = source:gsub("^\239\187\191", "")
    mail.format = options.format or guess(source, options.file)
    if mail.format == "eml" then
      from_message(mail, source)
    else
      local ending = (options.file or ""):lower():find "%.mustache$" or (options.file or ""):lower():find "%.mustache%.%w+$"
      mail.template = options.template or options.template == nil and (ending ~= nil or source:find "^%-%-%-[ \t]*\r?\n" ~= nil)
      if mail.template then
        local head, body, line = require "directmail.template.head".split(source, options.file or "template")
        if not head then return nil, body end
        if head.subject then
          mail.subject, mail.subject_line = as_value(without_tags(head.subject.text)), head.subject.line
          mail.subject_has_value = head.subject.text:find("{{", 1, true) ~= nil
        end
        mail.values = values_of(body)
        source = ("\n"):rep(line - 1) .. without_tags(body)
      end
      mail[mail.format == "text" and "text" or "html"] = source
    end
  else
    return nil, { misuse = ("bad argument #1 to lint.check (message table or text expected, got %s)"):format(type(source)) }
  end
  if options.subject then
    mail.subject = mail.template and as_value(without_tags(options.subject)) or options.subject
    mail.subject_has_value = options.subject:find("{{", 1, true) ~= nil
    mail.subject_line = nil
  elseif mail.header_lines then
    mail.subject_line = mail.header_lines.subject
  end
  local ok, e = add_body(mail)
  if not ok then return nil, e end
  mail.sender = first_address(mail.from or options.sender)
  mail.sender_domain = domain_of(mail.sender)
  mail.kind = mail.kind or guess_kind(mail)
  return mail
end

--- The domain of the first address of a text, in lower case.
-- @tparam ?string text of a header or field
-- @treturn ?string
function M.domain(text) return domain_of(first_address(text)) end

--- The first address of a text.
-- @tparam ?string text
-- @treturn ?string
function M.address(text)
  local box = first_address(text)
  return box and box.address
end

return M
