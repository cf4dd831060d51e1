--- The pages that handlers answer with: plain, readable on a phone, without script, and with nothing of a stranger unescaped.
-- @module directmail.nginx.page
local M = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local STYLE = [[
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b2129; --soft: #5b6673; --line: #dde2e8; --accent: #b4480f; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --card: #1c2229; --ink: #e6eaef; --soft: #9aa6b3; --line: #313a44; --accent: #ff9a62; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; padding: 6vh 1rem; background: var(--ground); color: var(--ink); font: 17px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 34rem; margin: 0 auto; padding: 1.6rem; background: var(--card); border: 1px solid var(--line); border-top: 4px solid var(--accent);
  border-radius: 8px; overflow-wrap: anywhere; }
h1 { margin: 0 0 .6rem; font-size: 1.4rem; line-height: 1.3; }
p, ul { margin: .6rem 0 0; }
ul { padding-left: 1.2rem; }
.soft { color: var(--soft); font-size: .9rem; }
button { margin-top: 1.2rem; font: inherit; font-weight: 600; padding: .6rem 1.2rem; border: 0; border-radius: 6px; background: var(--accent);
  color: var(--card); cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
]]

--- A text inside HTML.
-- @tparam string text
-- @treturn string
function M.escape(text) return (tostring(text):gsub("[%z\1-\8\11\12\14-\31\127]", " "):gsub("[&<>\"']", ENTITIES)) end

--- A whole page.
-- @tparam table about `title`, `text`, `list` = more lines, `button` = text of a button that posts `hidden` = { name, value } to the same
--   address, `soft` = small print, `lang`
-- @treturn string HTML
function M.make(about)
  local out = {
    ('<!doctype html>\n<html lang="%s"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">')
      :format(M.escape(about.lang or "en")),
    '<meta name="robots" content="noindex"><title>', M.escape(about.title), "</title><style>", STYLE, "</style></head>\n<body><main><h1>",
    M.escape(about.title), "</h1>\n",
  }
  local function add(...) for i = 1, select("#", ...) do out[#out + 1] = (select(i, ...)) end end
  if about.text then add("<p>", M.escape(about.text), "</p>\n") end
  if about.list and #about.list > 0 then
    add "<ul>"
    for _, line in ipairs(about.list) do add("<li>", M.escape(line), "</li>") end
    add "</ul>\n"
  end
  if about.button then
    add('<form method="post"><input type="hidden" name="', M.escape(about.hidden[1]), '" value="', M.escape(about.hidden[2]), '"><button>',
      M.escape(about.button), "</button></form>\n")
  end
  if about.soft then add('<p class="soft">', M.escape(about.soft), "</p>\n") end
  add "</main></body></html>\n"
  return table.concat(out)
end

return M
