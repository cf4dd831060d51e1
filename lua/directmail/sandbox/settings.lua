--- The headers `X-AliDM-Settings` and `X-AliDM-Trace`, judged as the service judges them.
-- Both carry JSON as base64 (Direct Mail documentation, "SMTP reference").
-- @module directmail.sandbox.settings
local core = require "directmail.core"
local json = require "cjson.safe"
local limits = require "directmail.data.limits"

local M = {}

local MAX_VALUE = 8192          -- octets: several times what all known settings take

local LINK_TYPES = { disabled = true, default = true, ["zh-cn"] = true, ["en-us"] = true }
local FILTER_LEVELS = { disabled = true, default = true, mailfrom = true, mailfrom_domain = true, edm_id = true }

local UNKNOWN = "Invalid setting [@sm190210]"
local LINK_TYPE = "Invalid setting: Unsubscribe.LinkType [@sm190211]"
local FILTER_LEVEL = "Invalid setting: Unsubscribe.FilterLevel [@sm190212]"

local function decode(value)
  if #value > MAX_VALUE then return nil end
  local text = core.base64_decode(value)
  local object = text and json.decode(text)
  return type(object) == "table" and object or nil
end

local function only(object, known)
  if type(object) ~= "table" then return false end
  for name in pairs(object) do
    if not known[name] then return false end
  end
  return true
end

local function judge_settings(value)
  local settings = decode(value)
  if not settings or not only(settings, { Version = true, Unsubscribe = true, OutboundIp = true }) then return UNKNOWN end
  if settings.Version ~= "1.0" then return UNKNOWN end
  local unsubscribe, outbound = settings.Unsubscribe, settings.OutboundIp
  if unsubscribe ~= nil then
    if not only(unsubscribe, { LinkType = true, FilterLevel = true }) then return UNKNOWN end
    if unsubscribe.LinkType ~= nil and not LINK_TYPES[unsubscribe.LinkType] then return LINK_TYPE end
    if unsubscribe.FilterLevel ~= nil and not FILTER_LEVELS[unsubscribe.FilterLevel] then return FILTER_LEVEL end
  end
  if outbound ~= nil then
    if not only(outbound, { IpPoolId = true }) or type(outbound.IpPoolId) ~= "string" or outbound.IpPoolId == "" then return UNKNOWN end
  end
end

-- Values are strings, "1" and "0" for the switches; a number or a boolean is not documented.
local function judge_trace(value)
  local trace = decode(value)
  if not trace or not only(trace, { TagName = true, OpenTrace = true, LinkTrace = true }) then return UNKNOWN end
  local tag = trace.TagName
  if tag ~= nil and not (type(tag) == "string" and #tag <= limits.tag and tag:find("^[%w_-]+$")) then return UNKNOWN end
  for _, name in ipairs { "OpenTrace", "LinkTrace" } do
    local switch = trace[name]
    if switch ~= nil and switch ~= "0" and switch ~= "1" then return UNKNOWN end
  end
end

--- Judge the headers of a message.
-- @tparam table headers list of `{name, value}`, unfolded; the names' letter case counts
-- @treturn ?string the text of the 504 that refuses them, or nil when all is well
function M.judge(headers)
  for _, header in ipairs(headers) do
    local said
    if header[1] == "X-AliDM-Settings" then
      said = judge_settings(header[2])
    elseif header[1] == "X-AliDM-Trace" then
      said = judge_trace(header[2])
    end
    if said then return said end
  end
end

return M
