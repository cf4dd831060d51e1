--- A credentials server: an address that answers with a temporary key.
-- @module directmail.credentials.uri
local ask = require "directmail.credentials.ask"
local key = require "directmail.credentials.key"
local limits = require "directmail.data.limits"

local M = {}

local VARIABLE = "ALIBABA_CLOUD_CREDENTIALS_URI"

local function fetch(context, url)
  local response, why, passing = ask.send(context, { url = url, method = "GET", headers = { Accept = "application/json" } })
  if not response then return nil, why, passing end
  if response.status ~= 200 then return nil, ask.refusal(response) end
  local answer
  answer, why = ask.object(response)
  if not answer then return nil, why, true end
  if answer.Code ~= nil and answer.Code ~= "Success" then
    return nil, ("%s answers Code %s"):format(response.shown, type(answer.Code) == "string" and key.shown(answer.Code) or "of no text"), true
  end
  local parts
  parts, why = ask.key(answer, response.shown, true)
  if not parts then return nil, why, false end
  parts.date = response.date
  return parts
end

--- The source of a credentials server.
-- @tparam table _ context
-- @tparam string url
-- @tparam string from words
-- @treturn[1] table a source
-- @treturn[2] nil
-- @treturn[2] string why not
function M.source(_, url, from)
  local at, why = ask.address(url)
  if not at then return nil, ("%s: %s"):format(from, why) end
  return {
    from = from, id = key.id("uri", url), seconds = 2 * limits.credentials_seconds,
    fetch = function(now) return fetch(now, url) end,
  }
end

--- The provider of the chain.
-- @tparam table context
-- @return a source; or nil and why
function M.find(context)
  local url = context.host.env(VARIABLE)
  if not url then return nil, VARIABLE .. " is not set" end
  return M.source(context, url, "credentials server of " .. VARIABLE)
end

return M
