--- Match addresses with patterns as file names have them.
-- @module directmail.sandbox.glob
local M = {}

--- Does a text match a glob? `*` is any run of characters, `?` one; without regard to letter case.
-- In one pass with one point to go back to, so that no pattern takes long.
-- @tparam string glob
-- @tparam string text
-- @treturn boolean
function M.match(glob, text)
  glob, text = glob:lower(), text:lower()
  local g, t, star, mark = 1, 1, nil, nil
  while t <= #text do
    local c = glob:sub(g, g)
    if c == "*" then
      star, mark = g, t
      g = g + 1
    elseif c == "?" or (c ~= "" and c == text:sub(t, t)) then
      g, t = g + 1, t + 1
    elseif star then
      mark = mark + 1
      g, t = star + 1, mark
    else
      return false
    end
  end
  return glob:find("^%**$", g) ~= nil
end

return M
