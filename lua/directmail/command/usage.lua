--- A wrong command line as an error, with the word that was probably meant.
-- @module directmail.command.usage
local err = require "directmail.err"
local option = require "directmail.option"

local M = {}

--- The error, in the form in which a failing function returns it.
-- @tparam string cause what is wrong, beginning with the option
-- @tparam string remedy what to write instead
-- @return nil
-- @treturn table a directmail.err with code OPTION
function M.wrong(cause, remedy)
  return nil, err.new { code = "OPTION", cause = cause, remedy = remedy }
end

--- ` (did you mean send?)`, or nothing when no known word is near.
-- @tparam string word as written; of an option with its dashes
-- @tparam {string,...} list what there is
-- @treturn string
function M.did_you_mean(word, list)
  -- Dashes say nothing about what was meant, and would make every option look alike.
  local bare, bodies, known = word:gsub("^%-+", ""), {}, {}
  for i, name in ipairs(list) do
    bodies[i] = name:gsub("^%-+", "")
    known[bodies[i]] = name
  end
  local near = option.nearest(bare, bodies)
  for _, body in ipairs(bodies) do
    if near then break end
    -- "--attachments" for "--attach": far by edits, plain to a reader
    if #bare > 3 and #body > 3 and (bare:sub(1, #body) == body or body:sub(1, #bare) == bare) then near = body end
  end
  return near and (" (did you mean %s?)"):format(known[near]) or ""
end

return M
