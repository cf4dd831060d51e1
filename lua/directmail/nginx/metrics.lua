--- Counts and times of all workers, in a shared dict, and as the text that Prometheus reads.
-- https://prometheus.io/docs/instrumenting/exposition_formats/
-- @module directmail.nginx.metrics
local M = {}

local FAMILIES = {
  { "directmail_requests_total", "counter", "Requests by handler and what became of them." },
  { "directmail_mails_total", "counter", "Mails by handler, way and outcome." },
  { "directmail_send_seconds", "histogram", "Time that a mail took, from the first octet to its outcome." },
  { "directmail_background_waiting", "gauge", "Mails that wait in the workers' memory." },
  { "directmail_events_total", "counter", "Delivery events by type; those that came again are counted as duplicate." },
  { "directmail_unsubscribes_total", "counter", "Requests of unsubscribe links by result." },
}
local BUCKETS = { 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 }

local known = setmetatable({}, { __mode = "k" })        -- dict -> set of series that this worker has put into its list

-- Series are listed in the dict, since going through all its keys would make every worker wait.
local function list(dict, series)
  known[dict] = known[dict] or {}
  if known[dict][series] then return end
  known[dict][series] = true
  if dict:add("metric#" .. series, true) then
    local n = dict:incr("metric#", 1, 0)
    if n then dict:set(("metric#%d"):format(n), series) end
  end
end

local function quoted(value) return '"' .. tostring(value):gsub('[\\"]', "\\%0"):gsub("%c", " ") .. '"' end

-- family{name="value",…}; labels is a list of name, value, name, value.
local function series_of(family, labels)
  local out = {}
  for i = 1, #labels, 2 do out[#out + 1] = labels[i] .. "=" .. quoted(labels[i + 1]) end
  return #out > 0 and family .. "{" .. table.concat(out, ",") .. "}" or family
end

--- Count.
-- @tparam table dict
-- @tparam string family
-- @tparam table labels list of name, value, name, value
-- @tparam[opt=1] number n
function M.count(dict, family, labels, n)
  local series = series_of(family, labels)
  list(dict, series)
  dict:incr("metric:" .. series, n or 1, 0)
end

--- Set a gauge.
function M.set(dict, family, labels, value)
  local series = series_of(family, labels)
  list(dict, series)
  dict:set("metric:" .. series, value)
end

--- Note how long something took.
function M.observe(dict, family, labels, seconds)
  local series = series_of(family, labels)
  list(dict, series)
  local bucket = "inf"
  for _, bound in ipairs(BUCKETS) do
    if seconds <= bound then
      bucket = tostring(bound)
      break
    end
  end
  dict:incr("metric:" .. series .. bucket, 1, 0)
  dict:incr("metric:" .. series .. "sum", seconds, 0)
end

local function with_label(series, suffix, label)
  local family, labels = series:match "^([%w_]+){?(.-)}?$"
  if label then labels = labels .. (labels ~= "" and "," or "") .. label end
  return family .. suffix .. (labels ~= "" and "{" .. labels .. "}" or "")
end

local function add_histogram(out, dict, series)
  local sum = 0
  for i = 1, #BUCKETS + 1 do
    local bound = BUCKETS[i] and tostring(BUCKETS[i]) or "+Inf"
    sum = sum + (dict:get("metric:" .. series .. (BUCKETS[i] and bound or "inf")) or 0)
    out[#out + 1] = ("%s %d"):format(with_label(series, "_bucket", 'le="' .. bound .. '"'), sum)
  end
  out[#out + 1] = ("%s %.6f"):format(with_label(series, "_sum"), dict:get("metric:" .. series .. "sum") or 0)
  out[#out + 1] = ("%s %d"):format(with_label(series, "_count"), sum)
end

--- Everything as text.
-- @tparam table dict
-- @treturn string
function M.text(dict)
  local by_family = {}
  for i = 1, dict:get "metric#" or 0 do
    local series = dict:get(("metric#%d"):format(i))
    local family = series and series:match "^[%w_]+"
    if family then
      by_family[family] = by_family[family] or {}
      table.insert(by_family[family], series)
    end
  end
  local out = {}
  for _, row in ipairs(FAMILIES) do
    local family, kind = row[1], row[2]
    local all = by_family[family]
    if all then
      out[#out + 1] = ("# HELP %s %s"):format(family, row[3])
      out[#out + 1] = ("# TYPE %s %s"):format(family, kind)
      table.sort(all)
      for _, series in ipairs(all) do
        if kind == "histogram" then
          add_histogram(out, dict, series)
        else
          out[#out + 1] = ("%s %d"):format(series, dict:get("metric:" .. series) or 0)
        end
      end
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return M
