--- Mustache templates: a mail's subject, HTML and text from a file and a table of values.
--
--     local welcome = assert(directmail.template "mail/welcome.html")
--     local body, err = welcome { name = "Ann" }         -- { subject =, html =, text = }
--
-- Compiled once, to closures. Values are escaped where HTML is made, and nowhere else; docs/templates.md tells of everything.
-- @module directmail.template
local compile = require "directmail.template.compile"
local err = require "directmail.err"
local heads = require "directmail.template.head"
local limits = require "directmail.data.limits"
local option = require "directmail.option"
local sets = require "directmail.template.set"

local M = {}

local OPTIONS = { "partials", "missing", "text" }
local PARTS = { "name", "subject", "preheader", "html", "text", "partials", "missing" }

local template = {}
local meta = { __index = template, __name = "directmail.template" }

-- ---- loading -----------------------------------------------------------------

-- Compile the parts: name -> { text, file, place, line }.
local function made(set, parts, twin)
  local self = { set = set, twin = twin, checked = nil }
  for name, part in pairs(parts) do
    local unit, e = set:compile(part.text, part.file, part.place, part.line)
    if not unit then return nil, e end
    self[name] = unit
  end
  return setmetatable({ compiled = self }, meta)
end

local function from_file(path, options, host)
  local partials = options.partials or path:match "^(.*/)" or ""
  local set = sets.new(host, partials, options.missing or "error")
  local source, e = set:read(path)
  if source == nil then return nil, e end
  if not source then
    return err.refuse("FILE", "template", ("the template %s cannot be read: no such file or directory"):format(path),
      "check the path; a relative one begins at the folder the program runs in")
  end
  local head, body, line = heads.split(source, path)
  if not head then return nil, body end
  local parts = {}
  for name, value in pairs(head) do parts[name] = { text = value.text, file = path, place = "line", line = value.line } end
  if path:find "%.txt$" or path:find "%.txt%.mustache$" then
    parts.text = { text = body, file = path, place = "text", line = line }
    if parts.preheader then
      return err.refuse("CONTENT", "template", ("%s:%d: a text has no preheader"):format(path, parts.preheader.line), "take it away, or write the mail as HTML")
    end
    return made(set, parts, false)
  end
  parts.html = { text = body, file = path, place = "html", line = line }
  if options.text == false then return made(set, parts, false) end
  local beside = path:gsub("%.[^./]+$", "") .. ".txt"
  local text
  text, e = set:read(beside)
  if text == nil then return nil, e end
  if text then parts.text = { text = text, file = beside, place = "text" } end
  return made(set, parts, not text)
end

local PLACES = { subject = "line", preheader = "line", html = "html", text = "text" }

local function from_parts(given, host)
  local set, parts = sets.new(host, given.partials, given.missing or "error"), {}
  for name, place in pairs(PLACES) do
    if given[name] then parts[name] = { text = given[name], file = given.name and given.name .. " " .. name or name, place = place } end
  end
  return made(set, parts, given.html ~= nil and given.text == nil)
end

-- What is wrong with the fields of options or parts.
local function wrong_with(given, known, what)
  local wrong = option.unknown(given, known, what)
  if wrong then return wrong end
  for name, value in pairs(given) do
    local kind = type(value)
    local fits = kind == "string" or name == "partials" and kind == "table" or name == "text" and value == false
    if not fits then return ("field %s of %s cannot be a %s"):format(name, what, kind) end
  end
  if given.missing and given.missing ~= "error" and given.missing ~= "empty" then
    return ('field missing of %s must be "error" or "empty"'):format(what)
  end
end

--- Load a template (`directmail.template`).
-- @tparam string|table what a file, or parts `{ subject=, preheader=, html=, text=, name=, partials=, missing= }` as texts
-- @tparam[opt] table options for a file: `partials` (a folder, default the file's own; or name -> text), `missing` ("error", or
--   "empty" for what has no value), `text` (false: no text part)
-- @tparam table host
-- @tparam number level where misuse is raised
-- @return a template: call it with the values; or nil, err (FILE, SIZE, CONTENT)
function M.new(what, options, host, level)
  local wrong
  if type(what) == "string" then
    wrong = wrong_with(options or {}, OPTIONS, "directmail.template")
  elseif type(what) == "table" and options == nil then
    wrong = wrong_with(what, PARTS, "directmail.template")
    if not wrong and not (what.html or what.text or what.subject) then wrong = "directmail.template wants html, text or subject" end
  else
    wrong = ("bad argument #%d to directmail.template (%s)"):format(type(what) == "table" and 2 or 1,
      type(what) == "table" and "parts have no further options" or "a file or a table expected, got " .. type(what))
  end
  if wrong then error(wrong, level + 1) end
  if type(what) == "table" then return from_parts(what, host) end
  return from_file(what, options or {}, host)
end

-- host -> path -> template, of messages that name their file. Few programs have many; those begin anew.
local cached = setmetatable({}, { __mode = "k" })

--- The template of a message's field.
-- @param value a template, or a file: kept, and read again when one of its files has changed
-- @tparam table host
-- @treturn table; nil when it is neither; or nil, err
function M.of(value, host)
  if type(value) == "table" then return getmetatable(value) == meta and value or nil end
  local known = cached[host]
  if not known or known.n >= limits.templates_cached and not known[value] then
    known = { n = 0, templates = {} }
    cached[host] = known
  end
  local found, now = known.templates[value], host.tick()
  if found then
    local own = found.compiled
    if now - own.checked < limits.template_check then return found end
    if own.set:is_fresh() then
      own.checked = now
      return found
    end
    known.templates[value] = nil
    known.n = known.n - 1
  end
  local loaded, e = from_file(value, {}, host)
  if not loaded then return nil, e end
  loaded.compiled.checked = now
  known.templates[value] = loaded
  known.n = known.n + 1
  return loaded
end

-- ---- rendering ---------------------------------------------------------------

-- Behind the opening tag of the body; 0 when there is none. Comments are passed over: those for Outlook hold bodies too.
local function body_start(html)
  local at = 1
  while true do
    local open = html:find("<[!bB]", at)
    if not open then return 0 end
    if html:find("^<!%-%-", open) then
      local _, stop = html:find("-->", open + 4, true)
      if not stop then return 0 end
      at = stop + 1
    elseif html:find("^<[bB][oO][dD][yY][%s>/]", open) then
      at = open + 5
      while true do
        local stop = html:find("[\"'>]", at)
        if not stop then return 0 end
        if html:byte(stop) == 62 then return stop end
        at = html:find(html:sub(stop, stop), stop + 1, true)
        if not at then return 0 end
        at = at + 1
      end
    else
      at = open + 2
    end
  end
end

-- Text that mail programs show beside the subject, and nobody in the mail.
local HIDDEN = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">%s</div>'

local function with_preheader(html, text)
  local at = body_start(html)
  if at == 0 then at = select(2, html:find "^%s*<![dD][oO][cC][tT][yY][pP][eE][^>]*>") or 0 end
  return html:sub(1, at) .. HIDDEN:format(compile.escape(text)) .. html:sub(at + 1)
end

local function one_line(name, unit, data)
  local text, e = compile.render(unit, data)
  if not text then return nil, e end
  if text:find "[%z\r\n]" then
    return err.refuse("CONTENT", name, ("%s: the %s has a line break or NUL"):format(unit.file, name), "write it as one line")
  end
  return text
end

local function rendered(self, data, level, no_subject)
  if data == nil then data = {} end
  if type(data) ~= "table" then error(("bad data for a template (table expected, got %s)"):format(type(data)), level + 1) end
  local own, out = self.compiled, {}
  local e
  if own.subject and not no_subject then
    out.subject, e = one_line("subject", own.subject, data)
    if e then return nil, e end
  end
  if own.text then
    out.text, e = compile.render(own.text, data)
    if e then return nil, e end
  end
  if not own.html then return out end
  out.html, e = compile.render(own.html, data)
  if not out.html then return nil, e end
  if own.twin then
    local why
    out.text, why = require "directmail.twin".text(out.html)
    if not out.text then
      return err.refuse("CONTENT", "text", ("%s: no text can be made of the HTML: %s"):format(own.html.file, tostring(why)),
        "write the text as a template of its own, a file beside it that ends in .txt")
    end
  end
  if own.preheader then
    local preheader
    preheader, e = one_line("preheader", own.preheader, data)
    if e then return nil, e end
    if preheader ~= "" then out.html = with_preheader(out.html, preheader) end
  end
  return out
end

--- Fill a template in for a message, which may have a subject of its own.
-- @tparam table filled a template
-- @tparam ?table data
-- @tparam boolean no_subject leave the template's subject out
-- @treturn table `{ subject =, html =, text = }`; or nil, err
function M.fill(filled, data, no_subject)
  local out, e = rendered(filled, data, 2, no_subject)
  return out, e
end

--- Fill the template in. The same as calling it.
-- @tparam[opt] table data the values; functions in it are lambdas
-- @treturn table `{ subject =, html =, text = }`, each where there is one; or nil, err (CONTENT, SIZE)
-- @raise what a function in the values raises
function template:render(data)
  local out, e = rendered(self, data, 2)
  return out, e
end

meta.__call = function(self, data)
  local out, e = rendered(self, data, 2)
  return out, e
end

return M
