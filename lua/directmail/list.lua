--- Lists of recipients: judged, uploaded, and freed of whom nobody may write to.
--
--     local list = directmail.list
--     local summary = assert(list.check("subscribers.csv", { mx = true, on_row = function(row) print(row.line, row.verdict) end }))
--     assert(list.upload(mail, "subscribers.csv", { list = "subscribers", opt_in = "source" }))
--
-- docs/lists.md shows all of it. Files are read in this process, so nothing of it is for nginx's workers.
-- @module directmail.list
local invalid = require "directmail.list.invalid"

return {
  check = require "directmail.list.check",
  upload = require "directmail.list.upload",
  purge = require "directmail.list.purge",
  invalid = invalid.each,
}
