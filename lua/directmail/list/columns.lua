--- Which column of a list is which.
-- @module directmail.list.columns
local err = require "directmail.err"

local M = {}

local ADDRESS = { "email", "to", "address", "mail", "e-mail", "e_mail", "emailaddress", "email address", "email_address", "邮箱", "邮件地址", "收件人" }

--- The first column that has one of these names, in any case.
-- @tparam {string,...} columns
-- @tparam {string,...} names in lower case
-- @treturn ?string
function M.named(columns, names)
  for _, name in ipairs(names) do
    for _, column in ipairs(columns) do
      if column:lower() == name then return column end
    end
  end
end

--- The column that is wanted, or the one of the addresses.
-- @tparam {string,...} columns of the header
-- @tparam ?string wanted its name; nil: email, to, address …, or the only one there is
-- @tparam string what the option's name, for the error
-- @treturn string or nil, err (OPTION)
function M.find(columns, wanted, what)
  for _, column in ipairs(columns) do
    if column == wanted then return column end
  end
  local found = not wanted and (M.named(columns, ADDRESS) or #columns == 1 and not columns[1]:find("@", 1, true) and columns[1])
  if found then return found end
  local first = not wanted and columns[1]:find("@", 1, true)
  return err.refuse("OPTION", what, ("%s: there is no column %s"):format(what, wanted and ('"%s"'):format(err.printable(wanted)) or "email, to or address"),
    first and "the first line must name the columns, and it holds an address" or ("the list has: %s"):format(err.printable(table.concat(columns, ", "))))
end

return M
