--- The console's templates from a program: list, pull, push, diff, and wait for the review.
-- A template is `{ name=, subject=, sender_name=, html= }`; of the service's also `id` and `status` ("draft", "in review",
-- "approved", "rejected"). Only an approved one can be sent (`directmail.batch`). A change is reviewed anew, which may take days.
-- @module directmail.templates
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local option = require "directmail.option"

local M = {}

-- DescTemplate, TemplateStatus
local STATUS = { ["0"] = "draft", ["1"] = "in review", ["2"] = "approved", ["3"] = "rejected" }

local FIELDS = { "name", "subject", "sender_name", "html" }
local PARTS = { "subject", "sender_name", "html" }
local WIRE = { name = "TemplateName", subject = "TemplateSubject", sender_name = "TemplateNickName", html = "TemplateText" }
local EVERY, EVERY_MAX = 2, 60          -- seconds between two looks at a review

local function status_of(value) return STATUS[tostring(value)] or tostring(value) end

--- All templates of the account, without their content.
-- @tparam table mail
-- @treturn {table,...} `{ id=, name=, status=, created= }`; or nil, err
function M.list(mail)
  local out, following = {}, mail.api.each("QueryTemplateByParam")
  while true do
    local entry, e = following()
    if entry == nil then return out end
    if not entry then return nil, e end
    out[#out + 1] = { id = tostring(entry.TemplateId), name = entry.TemplateName, status = status_of(entry.TemplateStatus), created = entry.CreateTime }
  end
end

-- id and status of the one with that name; nil when there is none; nil, err.
local function look_up(mail, name)
  local following = mail.api.each("QueryTemplateByParam", { KeyWord = name })
  while true do
    local entry, e = following()
    if entry == nil then return nil end
    if not entry then return nil, e end
    if entry.TemplateName == name then return entry end
  end
end

local function text_of(value) return type(value) == "string" and value or "" end

local function describe(mail, id)
  local answer, e = mail.api.DescTemplate { TemplateId = id }
  if not answer then return nil, e end
  return { id = tostring(id), name = text_of(answer.TemplateName), subject = text_of(answer.TemplateSubject), sender_name = text_of(answer.TemplateNickName),
    html = text_of(answer.TemplateText), status = status_of(answer.TemplateStatus) }
end

--- The template of a name, if there is one.
-- @tparam table mail
-- @tparam string name
-- @treturn table|nil nil alone when there is none; nil, err when it cannot be known
function M.find(mail, name)
  local entry, e = look_up(mail, name)
  if not entry then return nil, e end
  return describe(mail, entry.TemplateId)
end

--- The template of a name.
-- @tparam table mail
-- @tparam string name
-- @treturn table; or nil, err (OPTION when there is none)
function M.pull(mail, name)
  if type(name) ~= "string" then error("bad argument #2 to templates.pull (a name expected)", 2) end
  local found, e = M.find(mail, name)
  if found or e then return found, e end
  return err.refuse("OPTION", "name", ('there is no template "%s"'):format(err.printable(name)), "templates.list, or directmail template list, shows them")
end

local function check(template, what)
  option.check(template, { "name", "subject", "sender_name", "html", "id", "status" }, what, 3)
  local missing = {}
  for _, field in ipairs(FIELDS) do
    if template[field] ~= nil and type(template[field]) ~= "string" then error(("field %s of %s must be a string"):format(field, what), 3) end
    if (template[field] or "") == "" then missing[#missing + 1] = field end
  end
  if #missing == 0 then return true end
  return err.refuse("OPTION", table.concat(missing, ", "), ("a template needs %s: %s missing"):format(table.concat(FIELDS, ", "), table.concat(missing, ", ")),
    "the service wants all four of them in every call")
end

local function lines_of(text)
  local out = {}
  for line in (text:gsub("\r\n", "\n") .. "\n"):gmatch "([^\n]*)\n" do out[#out + 1] = line end
  if out[#out] == "" then out[#out] = nil end
  return out
end

-- What is between the lines that begin and end both texts alike.
local function changed_lines(old, new)
  local a, b, out = lines_of(old), lines_of(new), {}
  local first = 1
  while first <= #a and first <= #b and a[first] == b[first] do first = first + 1 end
  local tail = 0
  while tail < #a - first + 1 and tail < #b - first + 1 and a[#a - tail] == b[#b - tail] do tail = tail + 1 end
  for i = first, #a - tail do out[#out + 1] = "-" .. a[i] end
  for i = first, #b - tail do out[#out + 1] = "+" .. b[i] end
  return out, first
end

-- Line ends are not told apart: the service's way with them is not documented.
local function alike(one, other) return one:gsub("\r\n", "\n"):gsub("\n+$", "") == other:gsub("\r\n", "\n"):gsub("\n+$", "") end

local function compare(theirs, ours)
  local diff = { exists = theirs ~= nil, id = theirs and theirs.id, status = theirs and theirs.status or "missing", same = true, changes = {} }
  for _, field in ipairs(PARTS) do
    local old = theirs and theirs[field] or ""
    if not alike(old, ours[field]) then
      diff.same = false
      local lines, line = changed_lines(old, ours[field])
      diff.changes[#diff.changes + 1] = { field = field, line = line, lines = lines }
    end
  end
  return diff
end

--- What a push would change, and whether the service's is approved.
-- @tparam table mail
-- @tparam table template ours
-- @treturn table `{ exists=, id=, status = "missing"|"draft"|"in review"|"approved"|"rejected", same=, changes = { {field=, line = first
--   line that differs, lines = {"-theirs", "+ours"}}… } }`; or nil, err
function M.diff(mail, template)
  local ok, wrong = check(template, "templates.diff")
  if not ok then return nil, wrong end
  local theirs, e = M.find(mail, template.name)
  if e then return nil, e end
  return compare(theirs, template)
end

--- Wait for the end of a review.
-- @tparam table mail
-- @tparam string id
-- @tparam number seconds how long at most
-- @treturn table the template, approved; or nil, err: REFUSED when it is rejected, TIMEOUT while it is in review still
function M.wait(mail, id, seconds)
  if type(seconds) ~= "number" or seconds < 0 then error("bad argument #3 to templates.wait (seconds expected)", 2) end
  local host, every = mail.host, EVERY
  local deadline = host.tick() + seconds
  while true do
    local found, e = describe(mail, id)
    if not found then return nil, e end
    if found.status == "approved" then return found end
    if found.status == "rejected" then
      return nil, err.new { code = "REFUSED", detail = found.name, outcome = "refused", blame = "content",
        cause = ('the template "%s" was rejected in its review'):format(found.name), remedy = "the console tells the reason; change it and push it again" }
    end
    local left = deadline - host.tick()
    if left <= 0 then
      return nil, err.new { code = "TIMEOUT", detail = found.name, outcome = "not_sent", retry = true,
        cause = ('the template "%s" is %s'):format(found.name, found.status == "draft" and "a draft still" or "in review still"),
        remedy = "a review may take three working days: look again later" }
    end
    host.sleep(math.min(every, left))
    every = math.min(every * 2, EVERY_MAX)
  end
end

--- Bring a template to the service: made when there is none of its name, changed when it differs, left alone when it does not (a
-- change that changes nothing would only start the review anew).
-- @tparam table mail
-- @tparam table template `{ name=, subject=, sender_name=, html= }`
-- @tparam[opt] table options `wait`: seconds to wait for the approval
-- @treturn table `{ id=, action = "created"|"modified"|"unchanged", status= }`; or nil, err
function M.push(mail, template, options)
  local ok, wrong = check(template, "templates.push")
  if not ok then return nil, wrong end
  options = options or {}
  option.check(options, { "wait" }, "templates.push", 2)
  local theirs, e = M.find(mail, template.name)
  if e then return nil, e end
  local diff, params = compare(theirs, template), {}
  for field, name in pairs(WIRE) do params[name] = template[field] end
  local id, action = diff.id, "unchanged"
  if not diff.exists then
    params.TemplateType = 0
    local answer
    answer, e = mail.api.CreateTemplate(params)
    if not answer then return nil, e end
    -- ids may be longer than a double tells apart
    id, action = answer.body:match '"TemplateId"%s*:%s*"?(%d+)', "created"
    if not id then
      theirs, e = look_up(mail, template.name)
      if not theirs then return nil, e or err.new { code = "PROTOCOL", outcome = "unknown", cause = "the answer names no template",
        remedy = "directmail template list tells whether it is there" } end
      id = tostring(theirs.TemplateId)
    end
  elseif not diff.same then
    params.TemplateId = id
    local done
    done, e = mail.api.ModifyTemplate(params)
    if not done then return nil, e end
    action = "modified"
  end
  local now
  if options.wait then now, e = M.wait(mail, id, options.wait) else now, e = describe(mail, id) end
  if not now then return nil, e end
  return { id = id, action = action, status = now.status }
end

-- ---- as a file ------------------------------------------------------------------

local HEAD = { name = "name", subject = "subject", ["sender-name"] = "sender_name" }

--- Read a template's file: lines `Name: …`, `Subject: …`, `Sender-Name: …`, an empty line, then the HTML (or text). Without such
-- lines it is all body, and `<title>` is the subject.
-- @tparam string bytes
-- @treturn table `{ name=, subject=, sender_name=, html=|text= }`, what is there; or nil, err
function M.parse(bytes)
  local text, out = bytes:gsub("^\239\187\191", ""):gsub("\r\n", "\n"), {}
  if #text > limits.api_body_octets then
    return err.refuse("SIZE", "file", ("it has %d octets, at most %d are taken"):format(#text, limits.api_body_octets), "make it smaller")
  end
  local at = 1
  if text:find "^[%a-]+:[^\n]*\n" and not text:find "^%s*<" then
    while true do
      local line, after = text:match("^([^\n]*)\n?()", at)
      at = after
      if line == "" then break end
      local name, value = line:match "^([%a-]+):%s*(.-)%s*$"
      local field = name and HEAD[name:lower()]
      if not field then
        return err.refuse("FILE", "head", ('"%s" is no line of a template\'s head'):format(err.printable(line:sub(1, 80))),
          "write Name:, Subject: and Sender-Name:, then an empty line, then the HTML")
      end
      out[field] = value
    end
  end
  local body = text:sub(at)
  if body:find "<%a[^>]*>" then out.html = body elseif body:find "%S" then out.text = body end
  if not out.subject and out.html then
    local title = out.html:match "<[tT][iI][tT][lL][eE][^>]*>%s*([^<]-)%s*</"
    out.subject = title and title ~= "" and title:gsub("%s+", " ") or nil
  end
  return out
end

--- A template as a file that `parse` reads.
-- @tparam table template
-- @treturn string
function M.format(template)
  return ("Name: %s\nSubject: %s\nSender-Name: %s\n\n%s%s"):format(template.name, template.subject, template.sender_name or "", template.html,
    template.html:find "\n$" and "" or "\n")
end

return M
