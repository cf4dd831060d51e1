--- What support asks for, in one text: operation, parameters, error, settings, what the doctor found, the script; without secrets and
-- without other people's addresses.
-- https://www.alibabacloud.com/help/en/direct-mail names the three: the operation or request class, its parameters, the error or exception,
-- and the code without its secrets.
-- @module directmail.bundle
local core = require "directmail.core"
local explain = require "directmail.explain"
local mask = require "directmail.mask"
local settings = require "directmail.settings"

local M = {}

local STARS = "********"

-- A name that holds one of these holds a secret.
local SECRET = { "passw", "pwd", "secret", "token", "signature", "authorization", "credential", "private", "cookie", "apikey", "api_key",
  "accesskey", "access_key" }
local OPEN = { "access_key_id", "accesskeyid", "access-key-id", "signaturemethod", "signatureversion", "signature_method" }      -- said in the open

local function is_secret(name)
  local low = name:lower()
  for _, word in ipairs(OPEN) do
    if low:find(word, 1, true) then return false end
  end
  for _, word in ipairs(SECRET) do
    if low:find(word, 1, true) then return true end
  end
  return ("_" .. low):find "[_-]pass$" ~= nil or name:find "%lPass$" ~= nil          -- not compass
end

-- `name = "value"`, `"name": "value"`, `--name=value`, `NAME=value`: what stands behind the name of a secret.
local function clean_values(line)
  local out, from = {}, 1
  while true do
    local first, last, name, between = line:find("([%w_%-]+)([\"'%]]*%s*[:=]+%s*)", from)
    if not first then break end
    out[#out + 1] = line:sub(from, last)
    from = last + 1
    if is_secret(name) and not between:find "==" then
      local quote = line:match("^%l*([\"'`])", from) or line:match("^(%[%[)", from)
      if quote then
        local opening = line:find(quote, from, true)
        local closing = line:find(quote == "[[" and "]]" or quote, opening + #quote, true)
        out[#out + 1] = line:sub(from, opening + #quote - 1) .. STARS .. (closing and "" or quote)
        from = closing or #line + 1
      else
        -- behind a colon it is YAML's or a header's, to its end
        local word = line:match(between:find(":", 1, true) and "^[^\"',;)}#]*[^\"',;)}#%s]" or "^[^%s,;)}]+", from)
        -- os.getenv("…") and ${NAME} tell where it comes from, and so does settings.password where only code has blanks around its "="
        local code = between:find "^%s+=%s*$" and word and word:find "^[%a_][%w_]*[.%[]"
        if word and not word:find "[%(%$]" and not code then
          out[#out + 1] = STARS
          from = from + #word
        end
      end
    end
  end
  out[#out + 1] = line:sub(from)
  return table.concat(out)
end

-- What option takes a secret as the next word: `--auth-password X`, but not `--password-file F`; swaks's `-ap X`; `--user NAME:X`.
local function clean_options(line)
  line = " " .. line
  for _, option in ipairs { "%f[%S]%-%-[%w-]*[pP][aA][sS][sS][wW][%w-]*", "%f[%S]%-ap" } do
    local function hidden(name, blank, quote)
      if name:find "%-file$" or name:find "%-command$" then return nil end
      return name .. blank .. quote .. STARS .. quote
    end
    line = line:gsub("(" .. option .. ")(%s+)([\"'])[^\"']*%3", hidden)
    line = line:gsub("(" .. option .. ")(%s+)[^%s\"']+", function(name, blank) return hidden(name, blank, "") end)
  end
  line = line:gsub("(%f[%S]%-%-?[%w-]*u[ser]*%s+[\"']?[^%s:\"'/]+:)[^%s\"']+", "%1" .. STARS)
  -- a literal behind the user's name: login("a@example.com", "…") of Python, PasswordAuthentication(…) of Java
  return (line:gsub("([Ll]ogin%s*%([^,()]*,%s*[\"'])[^\"']+", "%1" .. STARS):gsub("(Authentication%s*%([^,()]*,%s*[\"'])[^\"']+", "%1" .. STARS):sub(2))
end

-- Words that are secrets wherever they stand.
local function clean_words(line)
  line = line:gsub("([Aa][Uu][Tt][Hh]%s+[Pp][Ll][Aa][Ii][Nn]%s+)([%w+/=]+)", function(before, word)
    return #word >= 8 and word:find "%u" and word:find "%l" and before .. STARS or nil           -- base64, and not a list of mechanisms
  end)
  line = line:gsub("LTAI%w+", function(id) return settings.shown("access_key_id", id) end)
  line = line:gsub("STS%.%w+", function(id) return settings.shown("access_key_id", id) end)
  line = line:gsub("(%a[%w+.-]*://[^%s:/@\"']*):[^%s/@\"']+@", "%1:" .. STARS .. "@")
  line = line:gsub("([Bb]earer%s+)[%w._~+/=-]+", "%1" .. STARS)
  return (line:gsub("([Bb]asic%s+)[%w+/=]+", "%1" .. STARS))
end

-- Data in one long word: nobody reads it, it may hold what is masked elsewhere, and each pattern would take a square of its length.
local LONGEST = 1000

local function clean_data(line)
  if #line <= LONGEST then return line end
  return (line:gsub("[%w+/=_.-]+", function(word) return #word > LONGEST and ("(%d octets)"):format(#word) or nil end))
end

local NAME, NAME_OCTETS = "^[%w.!#$%%&*+/=?^_`{|}~\128-\255-]+", 320
local ENCODED = "^[%w._~+-]+"

-- Each `at` of a line, with the name before it and the domain behind it, if what is found there may be an address.
local function clean_at(line, at, name_class, keep)
  local out, from = {}, 1
  while true do
    local first, last = line:find(at, from)
    if not first then break end
    local before = line:sub(math.max(from, first - NAME_OCTETS), first - 1)
    local name = (before:reverse():match(name_class) or ""):reverse()
    local domain = line:match("^[%w.-]*%w", last + 1)
    -- the end of %3D or so is no part of a name
    if name_class == ENCODED and before:sub(-#name - 1, -#name - 1) == "%" then name = name:sub(3) end
    out[#out + 1] = line:sub(from, first - 1 - #name)
    if name == "" or not domain or name_class == ENCODED and not domain:find(".", 1, true) or keep[(name .. "@" .. domain):lower()]
      or name:find "%*%*%*$" then                                                       -- masked already
      out[#out + 1] = name
    else
      out[#out + 1] = name:sub(1, 1):gsub("[\128-\255]", "*") .. "***"
    end
    out[#out + 1] = line:sub(first, last)
    from = last + 1
  end
  out[#out + 1] = line:sub(from)
  return table.concat(out)
end

-- Addresses of people. Those of `keep`, the senders, are what support asks about. A signed string holds them percent-encoded, once or twice.
local function clean_addresses(line, keep)
  return clean_at(clean_at(line, "%%2?5?40", ENCODED, keep), "@", NAME, keep)
end

--- A text without secrets and addresses.
-- @tparam string text
-- @tparam table values of `directmail.settings`: their secrets are looked for, too
-- @treturn string
function M.clean(text, values)
  local keep = {}
  for _, name in ipairs { "sender", "smtp_user" } do
    for _, box in ipairs(values[name] and core.addresses(values[name]) or {}) do keep[box.address:lower()] = true end
  end
  local hide = mask.of { values.smtp_password, values.access_key_secret, values.security_token }
  local out = {}
  for line in (hide(text) .. "\n"):gmatch "([^\n]*)\n" do
    -- within a URL the part in front of the @ is no mailbox, so URLs go first
    out[#out + 1] = clean_addresses(clean_words(clean_options(clean_values(clean_data(line)))), keep)
  end
  if text == "" or text:sub(-1) ~= "\n" then return table.concat(out, "\n") end
  return table.concat(out, "\n", 1, #out - 1) .. "\n"
end

local function setting_lines(values)
  local out = {}
  for _, name in ipairs(settings.NAMES) do
    local value = values[name]
    if value ~= nil and type(value) ~= "function" then
      out[#out + 1] = ("%-18s %s   (%s)"):format(name, settings.shown(name, value), values.from[name] or "default")
    end
  end
  return #out > 0 and table.concat(out, "\n") or "(none)"
end

local function meaning(text)
  local number, rest = text:match "^(%d%d%d)%f[%D][%s-]*(.*)$"
  local rows
  if number then rows = explain.list { code = tonumber(number), text = rest ~= "" and rest or nil }
  else
    local row = text:find "^[%w.<>_-]+$" and explain.api_code(text)
    rows = row and { row } or explain.list { text = text }
  end
  local out = {}
  for _, row in ipairs(rows) do out[#out + 1] = ("%s: %s; %s"):format(row.id, row.cause, row.remedy) end
  return table.concat(out, "\n")
end

local function check_lines(report)
  local out = {}
  local function add(checks)
    for _, check in ipairs(checks) do
      out[#out + 1] = ("%-15s %-5s %s"):format(check.id, check.status, check.cause)
      if check.remedy ~= "" then out[#out + 1] = (" "):rep(22) .. "-> " .. check.remedy end
    end
  end
  add(report.checks)
  for _, entry in ipairs(report.regions or {}) do
    if not entry.set then
      out[#out + 1] = ("-- region %s: %s; sender: %s, domain: %s"):format(entry.region, entry.status, entry.sender, entry.domain)
      add(entry.checks)
    end
  end
  return table.concat(out, "\n")
end

--- The text.
-- @tparam table about `report` of `directmail.doctor`, `settings`, `now`, `operation`, `parameters` = list of "Name=value", `error` = text, `script` = its
--   text, `script_name`, `place` = words about the program
-- @treturn string
function M.text(about)
  local values = about.settings
  local operation = about.operation
  if not operation then
    operation = (values.via == "smtp" or not values.access_key_id and values.smtp_password) and "SMTP (AUTH, MAIL, RCPT, DATA)" or "SingleSendMail"
    operation = operation .. "   (by the settings; --operation NAME says it)"
  end
  local parameters = {}
  for i, pair in ipairs(about.parameters or {}) do
    local name, value = pair:match "^([^=]*)=(.*)$"
    parameters[i] = name and ("%s = %s"):format(name, is_secret(name) and STARS or value) or pair
  end
  local parts = { ("directmail %s, %s\nmade %s for Alibaba Cloud's support: secrets and addresses other than the sender's are masked; "
    .. "look it over before you send it"):format(
    core.version, about.place or _VERSION, os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(about.now))) }
  local function part(title, text) parts[#parts + 1] = ("== %s ==\n%s"):format(title, text) end
  part("operation or request class", operation)
  part("parameters", #parameters > 0 and table.concat(parameters, "\n") or "(not given: --param Name=value)")
  local told = about.error
  part("error", told and told .. (meaning(told) ~= "" and "\n" .. meaning(told) or "") or "(not given: --error 'CODE or text')")
  part("settings", setting_lines(values))
  part("doctor: " .. about.report.status, check_lines(about.report))
  if about.script then part("script " .. (about.script_name or ""), about.script) end
  local whole = M.clean(table.concat(parts, "\n\n"), values):gsub("\n+$", "")
  return whole .. "\n"
end

return M
