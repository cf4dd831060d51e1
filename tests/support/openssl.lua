--- OpenSSL's own server as the other end of a test: `openssl s_server`, which resumes sessions as servers do.
local M = {}

--- Start one on a free port.
-- @tparam string cert file of its certificate
-- @tparam string key file of its key
-- @tparam string options more of its options; "-rev" sends each line back in reverse, "-www" answers HTTP with a page that
--   says "New" or "Reused" and closes
-- @treturn table `port`, and `stop()`: what it knew of sessions ends with it
function M.serve(cert, key, options)
  local out = assert(io.popen(("echo $$; exec openssl s_server -accept 127.0.0.1:0 -cert %s -key %s %s 2>/dev/null </dev/null"):format(
    cert, key, options)))
  local pid = assert(out:read "*l")
  local port
  repeat port = tonumber(assert(out:read "*l"):match "^ACCEPT .*:(%d+)") until port
  local server = { port = port }
  function server.stop()
    if not out then return end
    os.execute("kill " .. pid)
    out:close()
    out = nil
  end
  return server
end

return M
