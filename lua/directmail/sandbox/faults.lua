--- Rules that make the sandbox fail on purpose.
-- A rule is `STEP:WHAT[:WHEN]...`, for example `auth:526:once`,
-- `rcpt:559:to=*@bad.example`, `dot:drop:1/100:seed=7`, `starttls:tls=expired`,
-- `api:SingleSendMail:Throttling.User`. Which event is hit depends on the rule
-- and on the order of the events only, so a run can be repeated.
-- @module directmail.sandbox.faults
local err = require "directmail.err"
local glob = require "directmail.sandbox.glob"
local option = require "directmail.option"

local M = {}

local STEPS = { "connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "quit", "api" }
local WHATS = { "drop", "drop-after", "slow=SECONDS", "garbage", "tls=expired", "tls=wrong-name" }
local WHENS = { "once", "N/M", "to=GLOB", "seed=N" }

-- Where recipients are known when the step is taken.
local HAS_RECIPIENTS = { rcpt = true, data = true, dot = true, api = true }

local MAX_RULE = 400            -- octets of one rule: a glob holds at most an address (RFC 5321, 4.5.3.1)
local MAX_RULES = 100           -- every event looks at every rule
local MAX_SLOW = 3600           -- seconds: longer is a mistyped rule, since no client waits that long
local MAX_BLOCK = 1000000       -- M of N/M

local is_step = {}
for _, step in ipairs(STEPS) do is_step[step] = true end

local function wrong(text, cause, remedy)
  return nil, err.new { code = "OPTION", detail = text:sub(1, MAX_RULE):gsub("%c", "?"), cause = "fault rule: " .. cause, remedy = remedy }
end

local function did_you_mean(near) return near and (' (did you mean "%s"?)'):format(near) or "" end

local function split(text)
  local fields = {}
  for field in (text .. ":"):gmatch("([^:]*):") do fields[#fields + 1] = field end
  return fields
end

local function is_when(field)
  return field == "once" or field:find("^%d+/%d+$") ~= nil or field:find("^to=") ~= nil or field:find("^seed=") ~= nil
end

-- Read WHAT into the rule; true, or nil, cause and remedy.
local function read_what(rule, what)
  local api = rule.step == "api"
  if what == "drop" or what == "drop-after" or what == "garbage" then
    rule.what = what
  elseif what:find("^slow=") then
    local seconds = tonumber(what:match("^slow=(%d+%.?%d*)$"))
    if not seconds or seconds > MAX_SLOW then
      return nil, ('"%s" is no time'):format(what), ("slow=SECONDS, 0 to %d, a fraction is allowed: slow=0.5"):format(MAX_SLOW)
    end
    rule.what, rule.seconds = "slow", seconds
  elseif what:find("^tls=") then
    local which = what:sub(5)
    if which ~= "expired" and which ~= "wrong-name" then
      return nil, ('there is no certificate "%s"'):format(which), "tls=expired or tls=wrong-name"
    end
    if rule.step ~= "connect" and rule.step ~= "starttls" then
      return nil, ("no certificate is shown at the step %s"):format(rule.step),
        ("connect:%s for the port that begins with TLS, starttls:%s for the other"):format(what, what)
    end
    rule.what, rule.tls = "tls", which
  elseif what:find("^%d+$") then
    local code = tonumber(what)
    if not what:find("^[45]%d%d$") then
      return nil, ('"%s" is no code of a refusal'):format(what), "a code from 400 to 599"
    end
    rule.what, rule.code = "code", code
  elseif api and what:find("^%u[%w%.%-_]*$") then
    rule.what, rule.code = "code", what
  else
    local near = option.nearest(what, { "drop", "drop-after", "garbage", "slow=1", "tls=expired", "tls=wrong-name" })
    return nil, ('"%s" is nothing that can happen%s'):format(what, did_you_mean(near)),
      "a code (400 to 599" .. (api and ", or an API error code as Throttling.User" or "") .. "), " .. table.concat(WHATS, ", ")
  end
  return true
end

-- Read one WHEN into the rule; true, or nil, cause and remedy.
local function read_when(rule, when)
  if when == "once" then
    if rule.once then return nil, '"once" stands twice', "leave one away" end
    rule.once = true
  elseif when:find("^%d+/%d+$") then
    local hits, block = when:match("^(%d+)/(%d+)$")
    hits, block = tonumber(hits), tonumber(block)
    if rule.block then return nil, ('"%s" is the second of its kind'):format(when), "leave one N/M away" end
    if hits < 1 or hits > block or block > MAX_BLOCK then
      return nil, ('"%s" cannot be'):format(when), ("N/M hits N of every M: 1 <= N <= M <= %d"):format(MAX_BLOCK)
    end
    rule.hits, rule.block = hits, block
  elseif when:find("^to=.") then
    if rule.to then return nil, ('"%s" is the second of its kind'):format(when), "one to= a rule; write a rule for each pattern" end
    if not HAS_RECIPIENTS[rule.step] then
      return nil, ("no recipient is known at the step %s"):format(rule.step), "use to= with rcpt, data, dot or api"
    end
    rule.to = when:sub(4)
  elseif when:find("^seed=%d+$") then
    if rule.seed then return nil, ('"%s" is the second of its kind'):format(when), "leave one seed= away" end
    rule.seed = tonumber(when:sub(6)) % 2147483647
  else
    local near = option.nearest(when, { "once", "to=", "seed=" })
    return nil, ('"%s" is no condition%s'):format(when, did_you_mean(near)), table.concat(WHENS, ", ")
  end
  return true
end

--- Read one rule.
-- @tparam string text `STEP:WHAT[:WHEN]...`
-- @treturn[1] table rule `{text, step, operation, what = "code|drop|drop-after|slow|garbage|tls", code, seconds, tls, once, hits, block,
-- to, seed}`;
-- `code` is a number, or the name of an API error
-- @treturn[2] nil
-- @treturn[2] directmail.err OPTION, which says what is wrong and what is possible
function M.parse(text)
  if #text > MAX_RULE then
    return wrong(text, ("it has %d characters"):format(#text), ("a rule has at most %d"):format(MAX_RULE))
  end
  local fields = split(text)
  local rule = { text = text, step = fields[1] }
  if not is_step[rule.step] then
    local near = option.nearest(rule.step, STEPS)
    return wrong(text, ('there is no step "%s"%s'):format(rule.step, did_you_mean(near)),
      "STEP:WHAT[:WHEN]... with one of the steps " .. table.concat(STEPS, " "))
  end
  local at = 2
  -- `api:X:Y`: X is an operation unless Y is a condition, for WHAT may not be missing.
  if rule.step == "api" and fields[3] and not is_when(fields[3]) then
    rule.operation = fields[2]
    if not rule.operation:find("^%u%w*$") then
      return wrong(text, ('"%s" is no name of an operation'):format(rule.operation),
        "api[:Operation]:WHAT[:WHEN]..., as api:SingleSendMail:Throttling.User")
    end
    at = 3
  end
  if not fields[at] or fields[at] == "" then
    return wrong(text, ("it does not say what happens at %s"):format(rule.step),
      "STEP:WHAT[:WHEN]..., WHAT is a code, " .. table.concat(WHATS, ", "))
  end
  local ok, cause, remedy = read_what(rule, fields[at])
  if not ok then return wrong(text, cause, remedy) end
  for i = at + 1, #fields do
    ok, cause, remedy = read_when(rule, fields[i])
    if not ok then return wrong(text, cause, remedy) end
  end
  if rule.once and rule.block then
    return wrong(text, ('"once" and "%d/%d" exclude each other'):format(rule.hits, rule.block), "keep one of them")
  end
  if rule.seed and not rule.block then
    return wrong(text, "seed= chooses which of every M are hit, and there is no N/M", "add N/M, or leave seed= away")
  end
  return rule
end

--- Read many rules, one a line; empty lines and lines that begin with `#` are skipped.
-- @tparam string text
-- @treturn[1] table list of rules
-- @treturn[2] nil
-- @treturn[2] directmail.err OPTION
function M.parse_lines(text)
  local rules = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    line = line:gsub("^%s+", ""):gsub("%s+$", "")
    if line ~= "" and line:sub(1, 1) ~= "#" then
      local rule, why = M.parse(line)
      if not rule then return nil, why end
      rules[#rules + 1] = rule
    end
  end
  return rules
end

-- The minimal standard generator (Park and Miller, CACM 31, 1988): its products stay
-- below 2^53, so that every Lua draws the same numbers.
local function draw(entry)
  entry.random = entry.random * 16807 % 2147483647
  return entry.random / 2147483647
end

local function entry_of(rule)
  local entry = { rule = rule, seen = 0, left = rule.hits }
  if rule.seed then
    entry.random = rule.seed == 0 and 1 or rule.seed
    for _ = 1, 8 do draw(entry) end         -- small seeds begin with small numbers
  end
  return entry
end

-- Is this event, the rule's next one, among those that it hits?
local function hits(entry)
  local rule = entry.rule
  entry.seen = entry.seen + 1
  if rule.once then return entry.seen == 1 end
  if not rule.block then return true end
  local place = (entry.seen - 1) % rule.block
  if place == 0 then entry.left = rule.hits end
  local hit
  if rule.seed then                         -- selection sampling: exactly N of M, each as likely
    hit = draw(entry) * (rule.block - place) < entry.left
  else
    hit = entry.left > 0
  end
  if hit then entry.left = entry.left - 1 end
  return hit
end

local function concerns(rule, step, context)
  if rule.step ~= step then return false end
  if rule.operation and rule.operation ~= context.operation then return false end
  if rule.what == "tls" and not context.tls then return false end
  if not rule.to then return true end
  for _, address in ipairs(context.to or {}) do
    if glob.match(rule.to, address) then return true end
  end
  return false
end

local Faults = {}
Faults.__index = Faults

--- Put other rules in the place of all; they count from the start.
-- @tparam table rules list of what `parse` returned
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] directmail.err OPTION when they are too many
function Faults:set(rules)
  if #rules > MAX_RULES then
    return nil, err.new { code = "OPTION", cause = ("there are %d fault rules"):format(#rules), remedy = ("at most %d"):format(MAX_RULES) }
  end
  local entries = {}
  for i, rule in ipairs(rules) do entries[i] = entry_of(rule) end
  self.entries = entries
  return true
end

--- The rules in force, as texts.
-- @treturn table
function Faults:texts()
  local texts = {}
  for i, entry in ipairs(self.entries) do texts[i] = entry.rule.text end
  return texts
end

--- What happens at this step? Asking counts the event.
-- All `slow` rules that hit add up; of the others the first that hits decides, and those behind it do not count this event.
-- @tparam string step
-- @tparam table context `{to = {address...}, operation = "SingleSendMail", tls = true}`; `tls`: a certificate would be shown now
-- @treturn ?table nil when nothing happens, else `{slow = seconds, what = "code|drop|drop-after|garbage|tls", code, tls, text = rule}`
function Faults:match(step, context)
  local action
  for _, entry in ipairs(self.entries) do
    local rule = entry.rule
    if concerns(rule, step, context) and not (action and action.what and rule.what ~= "slow") and hits(entry) then
      action = action or {}
      if rule.what == "slow" then
        action.slow = (action.slow or 0) + rule.seconds
        action.text = action.text or rule.text
      else
        action.what, action.code, action.tls, action.text = rule.what, rule.code, rule.tls, rule.text
      end
    end
  end
  return action
end

--- Make a set of rules.
-- @tparam ?table rules texts, or what `parse` returned
-- @treturn[1] table with the methods `match`, `set` and `texts`
-- @treturn[2] nil
-- @treturn[2] directmail.err OPTION
function M.new(rules)
  local parsed = {}
  for i, rule in ipairs(rules or {}) do
    if type(rule) == "string" then
      local why
      rule, why = M.parse(rule)
      if not rule then return nil, why end
    end
    parsed[i] = rule
  end
  local faults = setmetatable({ entries = {} }, Faults)
  local ok, why = faults:set(parsed)
  if not ok then return nil, why end
  return faults
end

return M
