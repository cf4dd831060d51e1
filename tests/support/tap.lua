--- Read what a test program printed as TAP, and trust none of it too far.
-- A program that crashes, hangs, prints no plan, or says less than its plan counts as one failure
-- more; so does every skipped test: what was left out was not shown to work.
-- @module support.tap
local M = {}

--- The last lines of a text, for a person to look at.
function M.tail(text, lines)
  local all = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do all[#all + 1] = line end
  while all[#all] == "" do all[#all] = nil end
  return table.concat(all, "\n", math.max(1, #all - lines + 1))
end

--- Judge an output.
-- @tparam string text all that the program printed
-- @tparam[opt] string ended nil when it ended with status 0, else how it ended, in words ("exit status 1", "killed by signal 11")
-- @treturn {table,...} results `{ ok=, name=, why= }` in order
function M.read(text, ended)
  local results, plan, current, bad = {}, nil, nil, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local no, name = line:match "^(n?o?t? ?)ok%f[%W]%s*%d*%s*%-?%s*(.*)$"
    if no == "" or no == "not " then
      local skipped = name:find "# *SKIP" or name:find "# *TODO"
      current = { ok = no == "" and not skipped, name = name, why = skipped and "it was left out, so nothing was shown" or "" }
      if not current.ok then bad = bad + 1 end
      results[#results + 1] = current
    elseif line:find "^1%.%.%d+" then
      plan = tonumber(line:match "^1%.%.(%d+)")
    elseif current and line ~= "" then
      current.why = current.why .. (current.why == "" and "" or "\n") .. line
    end
  end
  local seen, lacks = #results, nil
  -- cmocka and busted end with the number of failures: a status that `not ok` explains is no news
  if ended and not (ended:find "^exit" and bad > 0) then lacks = ended
  elseif not plan then lacks = "prints no plan (1..N)"
  elseif plan ~= seen then lacks = ("planned %d tests and ran %d"):format(plan, seen)
  elseif plan == 0 then lacks = "holds no test" end
  if lacks then results[seen + 1] = { ok = false, name = lacks, why = M.tail(text, 40) } end
  return results
end

return M
