--- Why a signature did not match: the first place where the service's string to sign and ours differ.
-- The service prints the string that it signed into its answer (`directmail.sign.answer`). When both strings are equal,
-- the secret is another one; when they differ, the first difference tells who made which mistake. No string is shown as a
-- whole, since it holds the mail, and values of secret parameters are covered.
-- @module directmail.sign.explain
local answers = require "directmail.sign.answer"
local canonical = require "directmail.sign.canonical"
local codes = require "directmail.explain"
local err = require "directmail.err"
local mistakes = require "directmail.sign.mistakes"
local value = require "directmail.sign.value"

local M = {}

local STARS = "********"                -- what our own output shows instead of a secret
local BEFORE, AFTER = 48, 24            -- octets shown around a difference

local function refuse(cause, remedy)
  return nil, err.new { code = "SIGNATURE", cause = cause, remedy = remedy, outcome = "refused", blame = "client-bug" }
end

local function is_secret(name)
  local low = name:lower()
  return low:find "token$" or low:find "password$" or low:find "ticket$" or low:find "secret$" or false
end

-- ---- what is shown ------------------------------------------------------------------

-- Where the values of secret parameters stand in a taken-apart string: { {from, to}… } in their order.
local function secret_places(side)
  local places = {}
  for _, list in ipairs { side.list or {}, side.headers or {} } do
    for _, part in ipairs(list) do
      if is_secret(part.name) and #part.raw > 0 then places[#places + 1] = { part.to - #part.raw + 1, part.to } end
    end
  end
  return places
end

-- The start of the %XX or %25XX that `at` lies in.
local function unit_start(text, at)
  for back = 4, 1, -1 do
    if at - back >= 1 and (text:find("^%%25%x%x", at - back) or back < 3 and text:find("^%%%x%x", at - back)) then return at - back end
  end
  return at
end

-- The text around `at`, from `from` on if that is near. Of a secret no more than the unit that differs is shown, and nothing
-- behind it: a value that was not encoded may go on where the next parameter seems to begin.
local function excerpt(side, at, from, secret)
  local text = side.text
  local unit = unit_start(text, at)
  local behind = unit + #(text:match("^%%25%x%x", unit) or text:match("^%%%x%x", unit) or text:sub(unit, unit))
  from = unit_start(text, math.max(from and from <= at and from or 1, at - BEFORE, 1))
  local last = secret and behind - 1 or unit_start(text, math.min(at + AFTER, #text + 1)) - 1
  local shown, done = {}, from
  for _, place in ipairs(secret_places(side)) do
    local a, b = math.max(place[1], done), math.min(place[2], last)
    if a <= b then
      shown[#shown + 1] = text:sub(done, a - 1)
      done = b + 1
      if place[1] >= behind then
        last = a - 1
        break
      end
      local within = unit >= a and unit <= b
      shown[#shown + 1] = STARS .. (within and text:sub(unit, behind - 1) or "") .. (within and behind <= b and STARS or "")
    end
  end
  shown = table.concat(shown) .. text:sub(done, last)
  return (from > 1 and "…" or "") .. err.printable(shown) .. (last < #text and "…" or "")
end

-- ---- lists of parameters and headers ------------------------------------------------

local function count(list)
  local n = {}
  for _, part in ipairs(list) do n[part.name] = (n[part.name] or 0) + 1 end
  return n
end

local function is_sorted(list, key)
  for i = 2, #list do
    if key(list[i]) < key(list[i - 1]) then return false end
  end
  return true
end

-- Names in an order in which numbers count as numbers.
local function numbered(part)
  return (part.name:gsub("%d+", function(digits) return ("0"):rep(math.max(12 - #digits, 0)) .. digits end))
end

local function order_of(list)
  if not list[1].enc then return "not-sorted" end
  if is_sorted(list, function(part) return part.name:lower() end) then return "sort-ignores-case" end
  if is_sorted(list, numbered) then return "sort-by-number" end
  if is_sorted(list, function(part) return part.enc_name .. "=" .. part.enc end) then return "sort-by-pair" end
  return "not-sorted"
end

local function same_without(a, b, name)
  local i, j = 1, 1
  while true do
    while a[i] and a[i].name == name do i = i + 1 end
    while b[j] and b[j].name == name do j = j + 1 end
    if not a[i] or not b[j] then return not a[i] and not b[j] end
    if a[i].name ~= b[j].name then return false end
    i, j = i + 1, j + 1
  end
end

-- Which parameter stands in the wrong place: taking it away from both makes them alike.
local function moved(ours, theirs, i)
  if not same_without(ours, theirs, theirs[i].name) and same_without(ours, theirs, ours[i].name) then return ours[i].name end
  return theirs[i].name
end

local function like_named(list, name, absent)
  for _, part in ipairs(list) do
    if not absent[part.name] and part.name:lower() == name:lower() then return part end
  end
end

-- The lists have other names from place `i` on: `{ parameter=, mistake, what its sentence needs }`.
local function other_names(ours, theirs, i)
  local mine, yours = count(ours), count(theirs)
  local x, y = ours[i], theirs[i]
  local header = (x or y).enc == nil
  if y and not mine[y.name] then
    local near = like_named(ours, y.name, yours)
    if near then
      return { parameter = y.name, header and "header-name-case" or "name-case", header and near.name or ("%s signed, %s sent"):format(near.name, y.name) }
    end
    if x and not yours[x.name] and x.raw == y.raw then return { parameter = y.name, "renamed", ("%s signed, %s sent"):format(x.name, y.name) } end
    if header then return { parameter = y.name, "header-added", y.name } end
    return { parameter = y.name, y.value == "" and "empty-dropped" or "added-after-signing", y.name }
  end
  if x and not yours[x.name] then
    local near = like_named(theirs, x.name, mine)
    if near then
      return { parameter = x.name, header and "header-name-case" or "name-case", header and x.name or ("%s signed, %s sent"):format(x.name, near.name) }
    end
    if header then return { parameter = x.name, "header-not-sent", x.name } end
    if x.name == "Signature" then return { parameter = x.name, "signature-signed" } end
    return { parameter = x.name, x.value == "" and "empty-not-sent" or "not-sent", x.name }
  end
  for _, part in ipairs { x or y, y or x } do
    if mine[part.name] ~= yours[part.name] then return { parameter = part.name, "sent-twice", part.name } end
  end
  return { parameter = moved(ours, theirs, i), order_of(ours) }
end

-- What a difference means that the text alone does not explain.
local PLAIN = { ["value-differs"] = true, ["spelling"] = true, ["letter-case"] = true, ["cut"] = true }

local function meaning(name, signed, arrived)
  if name == "Timestamp" or name == "x-acs-date" then return value.time(signed, arrived) end
  if name == "SignatureNonce" or name == "x-acs-signature-nonce" then return "nonce-twice" end
  if name == "AccessKeyId" or name == "x-acs-accesskey-id" then return "another-key" end
end

local function parameter_differs(x, y)
  local found
  if x.raw_name ~= y.raw_name and x.raw == y.raw then
    found = { value.encoded({ raw = x.raw_name, enc = x.enc_name, value = x.name }, { raw = y.raw_name, enc = y.enc_name, value = y.name }) }
  else
    found = { value.encoded(x, y, is_secret(y.name)) }
  end
  if PLAIN[found[1]] then
    local special = { meaning(y.name, x.value, y.value) }
    if special[1] then found = special end
  end
  found.parameter = y.name
  return found
end

local function hash_differs(signed, arrived)
  if signed:lower() == arrived then return "hash-capitals" end
  if signed == canonical.EMPTY_HASH then return "body-not-hashed" end
  if arrived == canonical.EMPTY_HASH then return "body-lost" end
  return "body-changed"
end

local function header_differs(x, y)
  local name, a, b = y.name, x.value, y.value
  if canonical.trim(a) == b then return { parameter = name, "header-not-trimmed" } end
  if name == "host" then return { parameter = name, "host-port", err.printable(a), err.printable(b) } end
  if name == "x-acs-content-sha256" then return { parameter = name, hash_differs(a, b) } end
  if name == "content-type" then
    return { parameter = name, "charset-added", ('"%s" signed, "%s" sent'):format(err.printable(a), err.printable(b)) }
  end
  local found = { value.plain(a, b, is_secret(name)) }
  if PLAIN[found[1]] then
    local special = { meaning(name, a, b) }
    if special[1] then found = special end
  end
  found.parameter = name
  return found
end

-- The first parameter or header that differs; nil when none does.
local function first_of(ours, theirs, differs)
  for i = 1, math.max(#ours, #theirs) do
    local x, y = ours[i], theirs[i]
    if not x or not y or x.name ~= y.name then return other_names(ours, theirs, i) end
    if x.raw ~= y.raw or x.raw_name ~= y.raw_name then return differs(x, y) end
  end
end

-- ---- whole strings --------------------------------------------------------------------

local function capital_hex(text) return (text:gsub("%%%x%x", string.upper):gsub("%%25%x%x", string.upper)) end

-- Is the service's string cut off by whoever wrote it down? Each has a Version, behind almost everything.
local function is_cut(ours, theirs)
  if #theirs.text >= #ours.text or ours.text:sub(1, #theirs.text) ~= theirs.text then return false end
  local last = theirs.list[#theirs.list]
  local same = last and ours.list[#theirs.list]
  return not same or same.raw ~= last.raw or not count(theirs.list).Version and count(ours.list).Version ~= nil
end

local function surplus(ours, theirs)
  local more = ours.text:sub(1, #theirs.text) == theirs.text and ours.text:sub(#theirs.text + 1)
  return more and more ~= "" and ('"%s"'):format(err.printable(more:sub(1, 16)))
end

-- A list `{ parameter=, mistake, what its sentence needs }`, and the place in words when it is not that parameter.
local function v1_differs(ours, theirs)
  local found = first_of(ours.list, theirs.list, parameter_differs)
  local parameter = found and found.parameter
  local function told(...) return { parameter = parameter, ... } end
  if ours.method ~= theirs.method then
    return told("method-differs", ours.method == "" and "no method" or ours.method, theirs.method), "the method"
  end
  if is_cut(ours, theirs) then return { "message-cut" } end
  if capital_hex(ours.text) == theirs.text then return told "lower-case-hex", ours.path ~= theirs.path and "the path" or nil end
  if ours.path ~= theirs.path then
    return told(ours.path == "/" and "slash-left-bare" or ours.path:upper() == theirs.path and "lower-case-hex" or "path-differs"), "the path"
  end
  if ours.separators then return told "separators-left-bare" end
  if ours.joined then return told(ours.joined == "bare" and "not-encoded-again" or "query-encoded-too-often") end
  if found then return found end
  return told("surplus-end", surplus(ours, theirs) or "an empty parameter"), "the end"
end

local function v3_differs(ours, theirs)
  if ours.method ~= theirs.method and not ours.text:find "\r" then
    return { "method-differs", ours.method, theirs.method }, "the method"
  end
  if ours.text:gsub("\r\n", "\n") == theirs.text then return { "crlf" }, "the line ends" end
  if ours.path ~= theirs.path then return { "path-differs" }, "the path" end
  local found = first_of(ours.list, theirs.list, parameter_differs)
  if found then return found end
  found = first_of(ours.headers, theirs.headers, header_differs)
  if found then return found, "header " .. err.printable(found.parameter) end
  if not ours.empty_line and theirs.empty_line then return { "empty-line" }, "the headers' end" end
  if ours.signed ~= theirs.signed then return { "signed-headers" }, "the list of signed headers" end
  if ours.hash ~= theirs.hash then return { hash_differs(ours.hash, theirs.hash) }, "the hash of the body" end
  return { "surplus-end", surplus(ours, theirs) or "an empty line" }, "the end"
end

-- Where the two texts differ, as the result's fields.
local function differ(ours, theirs)
  local found, place = (ours.scheme == "v1" and v1_differs or v3_differs)(ours, theirs)
  local at = value.first_difference(ours.text, theirs.text)
  local from, inside, secret
  for _, side in ipairs { ours, theirs } do
    for _, list in ipairs { side.list, side.headers or {} } do
      for _, part in ipairs(list) do
        -- a parameter that is one too many begins with the separator before it
        if part.name == found.parameter and at >= part.from - #"%26" and at <= part.to + 1 then inside = true end
        if at >= part.from and at <= part.to + 1 then
          from = from or part.from
          secret = secret or is_secret(part.name)
        end
      end
    end
  end
  local parameter = found.parameter and err.printable(found.parameter)
  if not place and inside then place = "parameter " .. parameter end
  local cause, remedy = mistakes.say(found[1], found[2], found[3])
  return { equal = false, byte = at, parameter = parameter, place = place, yours = excerpt(ours, at, from, secret),
    theirs = excerpt(theirs, at, from, secret), mistake = found[1], cause = err.printable(cause), remedy = remedy }
end

-- What our own output covers is taken from the other side.
local function uncovered(side, other)
  local values, text = {}, side.text
  local function learn(list)
    for _, part in ipairs(list or {}) do values[part.name] = part.raw end
  end
  learn(other.list)
  learn(other.headers)
  for _, list in ipairs { side.headers or {}, side.list } do         -- from the end, so that places stay
    for i = #list, 1, -1 do
      local part = list[i]
      if part.value == STARS and values[part.name] then
        text = text:sub(1, part.to - #part.raw) .. values[part.name] .. text:sub(part.to + 1)
      end
    end
  end
  return text ~= side.text and canonical.split(text) or side
end

-- ---- when nothing differs ---------------------------------------------------------------

-- What is odd about a secret, in words that do not tell it; nil when nothing is.
local function shape(secret)
  if secret:find "[\r\n]$" then return "has a line end behind it" end
  if secret:find "^%s" or secret:find "%s$" then return "has white space around it" end
  if secret:find "%s" then return "has white space in it" end
  if secret:find "^[\"'].*[\"']$" then return "stands in quotes that are a part of it" end
  if secret:find "&$" then return "ends in &, which V1 appends by itself" end
  if secret:find "^LTAI" or secret:find "^STS%." then return "looks like an AccessKey id" end
  if secret:find "%%%x%x" then return "looks percent-encoded; it is used as it is" end
  if secret:find "[\128-\255]" then return "holds characters outside of ASCII" end
end

local AMPERSAND = { v1 = "with a blank or line end around it, or used without the & that V1 appends",
  v3 = "with a blank or line end around it, or used with a & appended, as only V1 wants it" }

local function equal(scheme, secret)
  local odd = secret and shape(secret)
  local cause, remedy = mistakes.say(odd and "secret-shape" or "secret", odd or AMPERSAND[scheme])
  return { equal = true, mistake = "secret", cause = cause, remedy = remedy }
end

local function told(mistake, ...)
  local cause, remedy = mistakes.say(mistake, ...)
  return { equal = false, mistake = mistake, cause = cause, remedy = remedy }
end

-- ---- V3, of which a side may show a hash only ---------------------------------------------

local function v3_compare(ours, theirs, secret)
  local digest = ours.digest and ours.digest:lower() or canonical.digest(ours.text):match "%x+$"
  local asked = theirs.string_to_sign and canonical.split(theirs.string_to_sign)
  local whole = theirs.canonical_request and canonical.split(theirs.canonical_request)
  local wanted = asked and asked.digest or whole and canonical.digest(whole.text):match "%x+$"
  if asked and ours.algorithm and ours.algorithm ~= asked.algorithm then return told("algorithm", ours.algorithm, asked.algorithm) end
  if wanted == digest then return equal("v3", secret) end
  if ours.digest then
    local result = told "canonical-request"
    local text = ("%s\n%s"):format(asked and asked.algorithm or ours.algorithm, wanted)
    result.byte = value.first_difference(ours.text, text)
    result.yours, result.theirs = excerpt(ours, result.byte), excerpt({ text = text }, result.byte)
    result.place = "the hash of the canonical request"
    return result
  end
  if whole and not whole.digest and whole.scheme == "v3" then
    ours = uncovered(ours, whole)
    whole = uncovered(whole, ours)
    if ours.text == whole.text then return equal("v3", secret) end
    return differ(ours, whole)
  end
  local text = theirs.canonical_request
  if text and ours.text:sub(1, #text) == text then
    local result = told "message-cut"
    result.byte = #text + 1
    return result
  end
  local proper = canonical.split(canonical.proper(ours))
  if proper and proper.text ~= ours.text then return differ(ours, proper) end
  return told "no-canonical-request"
end

-- ---- what one side tells ------------------------------------------------------------------

local function time_of(parts)
  for _, list in ipairs { parts and parts.list or {}, parts and parts.headers or {} } do
    for _, part in ipairs(list) do
      if part.name == "Timestamp" or part.name == "x-acs-date" then return value.seconds(part.value), part.value end
    end
  end
end

-- The answer shows no string, but its code says what is wrong: the clock, the nonce, the key.
local function by_code(found, ours)
  local row = found.code and codes.api_code(found.code)
  if not row or row.our == "SIGNATURE" and found.code ~= "InvalidSignatureMethod" then return nil end
  if row.our ~= "CLOCK" and row.our ~= "CREDENTIALS" and row.our ~= "SIGNATURE" and found.code ~= "SignatureNonceUsed" then return nil end
  local result = { mistake = found.code, cause = row.cause, remedy = row.remedy }
  local time, text = time_of(ours)
  if row.our == "CLOCK" and text and not time then
    result.cause = ('the time is not written as yyyy-MM-ddTHH:mm:ssZ: "%s"'):format(err.printable(text))
  elseif row.our == "CLOCK" and time and found.time then
    local skew = time - found.time
    local zone = value.zone(skew)
    result.cause = ("the time that was signed is %.0f s %s the service's clock%s"):format(math.abs(skew), skew > 0 and "ahead of" or "behind",
      zone and (", that is %s: local time was written as if it were UTC"):format(zone) or "")
  end
  return result
end

-- Only ours is there: is it written by the rules?
local function by_rules(ours)
  if ours.digest then return nil end
  local proper = canonical.split(canonical.proper(ours))
  if not proper or proper.text == ours.text then return nil end
  local result = differ(ours, proper)
  result.alone = "yours"
  return result
end

-- Only theirs is there: does something in it look wrong by itself?
local function by_arrival(found)
  local parts = canonical.split(found.canonical_request or found.string_to_sign)
  if not parts or parts.digest then return nil end
  local marked = {}
  for _, list in ipairs { parts.list, parts.headers or {} } do
    for _, part in ipairs(list) do
      local mistake, detail = value.alone(part.name, part.value)
      if mistake then
        local result = told(mistake, detail or part.name)
        result.equal, result.parameter, result.alone = nil, err.printable(part.name), "theirs"
        return result
      end
      if part.enc and part.value:find "[!'()*~+ /]" then marked[#marked + 1] = part.name end
    end
  end
  return nil, marked
end

local OFFLINE = "check the secret (blanks, quotes, a line end around it), the AccessKey id it belongs to, and the clock"

--- Compare what the service signed with what we signed.
-- @tparam string message the service's answer or its message: JSON, XML, an HTTP response or a line of a log; or its string alone
-- @tparam ?string|table ours our string to sign (V1), or canonical request or string to sign (V3); or a table with `string_to_sign` and
--   `canonical_request`, as `M.strings` and `core.sign` give; nil: only the answer is looked at
-- @tparam[opt] string secret of the AccessKey that signed: when the strings are equal, its shape may tell more; it is never shown
-- @treturn[1] table `{ equal = true|false|nil (nothing to compare), byte = where they differ, counted from 1, parameter = the first parameter
--   or header that differs, place = "parameter Subject"|"header host"|"the method"…, yours=, theirs= excerpts, mistake = its name in
--   `directmail.sign.mistakes` or the answer's code, cause=, remedy=, alone = "yours"|"theirs" when there was only one string,
--   unescaped = the answer had to be unescaped first, code=, request_id= }`
-- @treturn[2] nil
-- @treturn[2] err SIGNATURE: nothing can be said
-- @usage local why = explain.compare(answer.Message, explain.strings(request))
function M.compare(message, ours, secret)
  if type(message) ~= "string" then error(("bad argument #1 to compare (string expected, got %s)"):format(type(message)), 2) end
  if ours ~= nil and type(ours) ~= "string" and type(ours) ~= "table" then
    error(("bad argument #2 to compare (string or table expected, got %s)"):format(type(ours)), 2)
  end
  local found = answers.read(message)
  local text = type(ours) == "table" and (ours.canonical_request or ours.string_to_sign) or type(ours) == "string" and ours or nil
  local mine = text and canonical.split(text)
  if text and not mine then
    local read = answers.read(text)       -- it may be a line of a log too
    mine = read.scheme and canonical.split(read.canonical_request or read.string_to_sign)
  end
  if ours and not mine then
    return refuse("our side is neither a string to sign nor a canonical request",
      "give METHOD&%2F&…, the canonical request of V3, or a line of directmail sign --json")
  end
  local result, marked
  if not found.scheme then
    result = by_code(found, mine) or mine and by_rules(mine)
    if not result then
      return refuse(("the answer holds no string to sign%s"):format(mine and ", and yours is written by the rules" or ""),
        ("give the service's whole answer, whose message ends in its string to sign; without one %s"):format(OFFLINE))
    end
  elseif not mine then
    result, marked = by_arrival(found)
    if not result then
      return refuse("the answer holds the service's string to sign, and ours is missing",
        "give ours with --request" .. (marked and marked[1] and ("; look at %s first: it holds characters that encoders get wrong"):format(marked[1]) or ""))
    end
  elseif mine.scheme ~= found.scheme then
    local names = { v1 = "HMAC-SHA1 (V1)", v3 = "ACS3-HMAC-SHA256 (V3)" }
    result = told("algorithm", names[mine.scheme], names[found.scheme])
  elseif mine.scheme == "v3" then
    result = v3_compare(mine, found, secret)
  else
    local yours = canonical.split(found.string_to_sign)
    if not yours then
      return refuse("the service's string to sign cannot be taken apart: it ends before its first parameter, or has too many", "give the whole answer")
    end
    mine = uncovered(mine, yours)
    yours = uncovered(yours, mine)
    result = mine.text == yours.text and equal("v1", secret) or differ(mine, yours)
  end
  if result.equal and found.unescaped then
    result.cause = "the answer is escaped (&amp; stands for &); once that is undone, " .. result.cause
  end
  result.unescaped, result.code, result.request_id = found.unescaped or nil, found.code, found.request_id
  return result
end

--- What a request of `directmail.sign` signed, for `compare`.
-- @tparam table request of `sign.request`
-- @treturn table see `directmail.sign.canonical.of_request`
function M.strings(request) return canonical.of_request(request) end

return M
