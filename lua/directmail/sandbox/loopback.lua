--- Refuse requests that did not come from this machine's own programs and pages.
-- A page on the web can send requests to 127.0.0.1 through its reader's browser. Two headers, which no page can
-- choose, give it away: Host names the page's own domain when that was made to point here (DNS rebinding), and Origin names
-- where a form or a script came from.
-- @module directmail.sandbox.loopback
local M = {}

local function is_ours(name, port)
  name = name:lower()
  if port == 80 and (name == "127.0.0.1" or name == "localhost") then return true end
  return name == "127.0.0.1:" .. port or name == "localhost:" .. port
end

--- Why a request is refused.
-- @tparam table request of `directmail.http1`
-- @tparam number port the one that it came to
-- @treturn ?string nil when it may pass, else "host" or "origin"
-- @treturn ?string a sentence
function M.refuses(request, port)
  if not request.host or not is_ours(request.host, port) then
    return "host", ("this is the sandbox at 127.0.0.1:%d, which answers to no other name"):format(port)
  end
  local origin = request.headers.origin
  if not origin or request.method == "GET" or request.method == "HEAD" then return nil end
  local name = origin:match("^http://(.*)$")
  if name and is_ours(name, port) then return nil end
  return "origin", "this request comes from a page of somebody else"
end

return M
