--- What the style of an element makes of its text: hidden, without size, in the colour of its ground.
-- Of CSS only style attributes and the old attributes of HTML count; mail readers differ too much in the rest.
-- @module directmail.lint.style

local M = {}

local LONGEST = 1024            -- octets of a style attribute that are looked at

local NAMED = { white = "ffffff", black = "000000", red = "ff0000", green = "008000", blue = "0000ff", yellow = "ffff00", gray = "808080",
  grey = "808080", silver = "c0c0c0", navy = "000080" }

-- A colour as red, green and blue; nil for what is none, or is not known here.
local function colour(text)
  text = (text or ""):sub(1, 64):lower():match "^%s*(.*%S)" or ""
  text = NAMED[text] or text
  local r, g, b = text:match "^#?(%x%x)(%x%x)(%x%x)$"
  if not r then
    r, g, b = text:match "^#(%x)(%x)(%x)$"
    if r then r, g, b = r .. r, g .. g, b .. b end
  end
  if r then return { tonumber(r, 16), tonumber(g, 16), tonumber(b, 16) } end
  r, g, b = text:match "^rgb%s*%(%s*(%d%d?%d?)%s*,%s*(%d%d?%d?)%s*,%s*(%d%d?%d?)%s*%)$"
  if r then return { tonumber(r), tonumber(g), tonumber(b) } end
end

-- Declarations by name in lower case; the last one wins.
local function declarations(style)
  local found = {}
  for declaration in ((style or ""):sub(1, LONGEST) .. ";"):gmatch "([^;]*);" do
    local name, value = declaration:match "^%s*([%w-]+)%s*:%s*(.*)$"
    if name then
      local mark = value:find("!", 1, true)               -- !important
      found[name:lower()] = (mark and value:sub(1, mark - 1) or value):lower():match "^.*%S" or ""
    end
  end
  return found
end

local function is_zero(value) return value ~= nil and value:find "^0*%.?0+%a*%%?$" ~= nil end

local function far_away(value)
  local n = tonumber((value or ""):match "^(%-?%d+)px$" or (value or ""):match "^(%-?%d+)em$")
  return n ~= nil and n <= -500
end

local function hidden(css, attributes)
  if attributes.hidden then return "hidden" end
  if css.display == "none" then return "display:none" end
  if css.visibility == "hidden" then return "visibility:hidden" end
  if is_zero(css.opacity) then return "opacity:0" end
  if css.overflow == "hidden" then
    for _, name in ipairs { "max-height", "height", "max-width", "width" } do
      if is_zero(css[name]) then return name .. ":0" end
    end
  end
  if far_away(css["text-indent"]) or far_away(css.left) or far_away(css.top) then return "outside" end
end

--- The style of an element inside another one.
-- @tparam table parent of the same shape; {} at the top
-- @tparam table attributes of the element
-- @treturn table `{ hidden= why, size= 0 or a number, colour= {r, g, b}, ground= {r, g, b}|false (not known) }`
function M.inside(parent, attributes)
  local style = { hidden = parent.hidden, size = parent.size, colour = parent.colour, ground = parent.ground }
  if not (attributes.style or attributes.hidden or attributes.color or attributes.bgcolor or attributes.background) then return style end
  local css = declarations(attributes.style)
  style.hidden = style.hidden or hidden(css, attributes)
  local size = css["font-size"]
  if is_zero(size) then style.size = 0
  elseif size and not size:find "%%$" and not size:find "%dem$" then style.size = nil end        -- a share of nothing is nothing
  style.colour = colour(css.color) or colour(attributes.color) or style.colour
  local ground = css["background-color"] or css.background
  if ground then style.ground = colour(ground) or false
  elseif attributes.background then style.ground = false
  elseif attributes.bgcolor then style.ground = colour(attributes.bgcolor) or false end
  if css["background-image"] then style.ground = false end
  return style
end

local NEAR = 8                  -- steps of 255 by which colours may differ and nobody sees it

--- Why the text of an element is not seen; nil when it is.
-- @tparam table style of `inside`
-- @treturn ?string
function M.unseen(style)
  if style.hidden then return style.hidden end
  if style.size == 0 then return "font-size:0" end
  local a, b = style.colour, style.ground
  if a and b == nil then b = { 255, 255, 255 } end            -- paper is white
  if a and b and math.abs(a[1] - b[1]) <= NEAR and math.abs(a[2] - b[2]) <= NEAR and math.abs(a[3] - b[3]) <= NEAR then
    return "colour of the ground"
  end
end

return M
