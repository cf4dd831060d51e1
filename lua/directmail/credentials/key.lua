--- What an AccessKey must look like before anything is signed with it.
-- @module directmail.credentials.key
local core = require "directmail.core"
local err = require "directmail.err"

local M = {}

-- What does not belong into a key: it came along when the key was copied.
local STRAYS = {
  { "[\r\n]", "a line break" }, { "\t", "a tab" }, { "%c", "a control character" }, { " ", "a blank" },
  { "[\128-\255]", "a character outside of ASCII (perhaps one that is not seen)" },
}

--- What is wrong with a key that the service would only answer with InvalidAccessKeyId.NotFound or SignatureDoesNotMatch.
-- @tparam table key `access_key_id`, `access_key_secret`, `security_token` or nil
-- @tparam table where of each part where it came from, in words
-- @treturn ?string the cause, nil when nothing is wrong; never shows a part of the key
-- @treturn ?string the remedy, nil for the usual one
function M.fault(key, where)
  for _, part in ipairs { "access_key_id", "access_key_secret", "security_token" } do
    local value = key[part]
    if value then
      for _, stray in ipairs(STRAYS) do
        if value:find(stray[1]) then
          return ("%s (from %s) holds %s"):format(part, where[part], stray[2]), "copy it again, without anything around it"
        end
      end
      local quote = value:match "^([\"'])"
      if quote and #value > 1 and value:sub(-1) == quote then
        return ("%s (from %s) stands in quotes that are a part of it"):format(part, where[part]), "take the quotes off"
      end
      if value == "" then return ("%s (from %s) is empty"):format(part, where[part]) end
    end
  end
  local id, secret = key.access_key_id, key.access_key_secret
  if secret:find "^LTAI" and not id:find "^LTAI" then
    return ("access_key_id and access_key_secret (from %s) have changed places"):format(where.access_key_secret), "LTAI… is the id"
  end
  if id == secret then
    return ("access_key_id and access_key_secret (from %s) are the same text"):format(where.access_key_secret), "copy the secret again"
  end
  if id:find "^STS%." and not key.security_token then
    return ("access_key_id (from %s) belongs to a temporary key, and its security_token is missing"):format(where.access_key_id),
      "give the token too (ALIBABA_CLOUD_SECURITY_TOKEN): the three were issued together"
  end
end

--- What is odd about a key that may work all the same.
-- @tparam table key
-- @tparam table where
-- @treturn ?string
function M.doubt(key, where)
  if key.access_key_id:find "^LTAI" and key.security_token then
    return ("access_key_id (from %s) is a lasting one, security_token (from %s) is of a temporary one: they hardly belong together")
      :format(where.access_key_id, where.security_token)
  end
end

--- Seconds since 1970 as people and the service write them.
-- @tparam number seconds
-- @treturn string `2026-11-23T12:34:56Z`
function M.date(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds)) end

local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local LAST = 253402300800       -- the year 10000: no date has five digits

--- When a key ends, as a credentials service says it.
-- @param value `2026-11-23T12:34:56Z`, perhaps with a fraction, or Unix seconds as a number
-- @treturn ?number seconds since 1970; nil when it is neither
function M.seconds(value)
  if type(value) == "number" then return value > 0 and value < LAST and value or nil end
  if type(value) ~= "string" then return nil end
  local year, month, day, clock, fraction = value:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d:%d%d:%d%d)(.-)Z$"
  local name = year and (fraction == "" or fraction:find "^%.%d+$") and MONTHS[tonumber(month)]
  return name and core.date_parse(("%s %s %s %s +0000"):format(day, name, year, clock)) or nil
end

--- A name for a configuration, which does not tell what is in it.
-- @param ... strings; nil counts as one of its own
-- @treturn string
function M.id(...)
  local parts = { ... }
  for i = 1, select("#", ...) do
    local text = parts[i] == nil and "-" or "=" .. tostring(parts[i])
    parts[i] = ("%d:%s"):format(#text, text)
  end
  return core.sha256(table.concat(parts))
end

--- A stranger's short text for an error: cut and printable.
-- @tparam string text
-- @treturn string
function M.shown(text) return err.printable(text:sub(1, 64)) end

return M
