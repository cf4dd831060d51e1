--- What the FAQ warns of when it sees a whole list: many equal subjects, and recipients of one's own company.
-- @module directmail.list.hints
local core = require "directmail.core"
local hosts = require "directmail.data.lint_hosts"
local limits = require "directmail.data.limits"

local M = {}

-- Suffixes under which everybody may register: co.uk. The names of one company end before them.
local is_suffix = {}
for _, name in ipairs(hosts.suffix or {}) do is_suffix[name] = true end

--- The domain that a company registered: `mail.shop.co.uk` is `shop.co.uk`.
-- @tparam string domain
-- @treturn string
function M.organisation(domain)
  local two = domain:match "[^.]+%.[^.]+$" or domain
  if not is_suffix[two] then return two end
  return domain:match "[^.]+%.[^.]+%.[^.]+$" or two
end

local Hints = {}
Hints.__index = Hints

--- Count over the rows of a list.
-- @tparam ?string sender the address that will write
-- @tparam ?string column the column of the subjects
-- @treturn table `take(row)` with `values` and `domain`, `hints(rows)`
function M.new(sender, column)
  local found = sender and core.addresses(sender)
  local own = found and found[1] and M.organisation(found[1].address:match "[^@]*$":lower())
  return setmetatable({ own = own, column = column, internal = 0, subjects = {}, different = 0, most = 0 }, Hints)
end

function Hints:take(row)
  if self.own and row.domain and M.organisation(row.domain) == self.own then self.internal = self.internal + 1 end
  local subject = self.column and row.values[self.column]
  if not subject or subject == "" then return end
  local n = self.subjects[subject]
  if not n then
    if self.different >= limits.list_subjects then return end
    self.different, n = self.different + 1, 0
  end
  self.subjects[subject] = n + 1
  if n + 1 > self.most then self.most, self.commonest = n + 1, subject end
end

--- What is to be said, as `{ id=, count=, cause=, remedy= }`.
-- @tparam number rows of the list
-- @treturn table
function Hints:hints(rows)
  local out = {}
  if self.most > limits.list_same_subject or rows >= limits.list_same_from and self.most > rows * limits.list_same_share then
    out[#out + 1] = { id = "subject.same", count = self.most,
      cause = ('%d of %d rows have the subject "%s"; one subject to very many is a sign of spam to filters'):format(self.most, rows, self.commonest),
      remedy = "vary it with what each mail is about: a name, a place, an order" }
  end
  if self.internal > 0 then
    out[#out + 1] = { id = "internal", count = self.internal,
      cause = ("%d rows are in the sender's own company (%s), whose mail system may take them for forgeries"):format(self.internal, self.own),
      remedy = "ask the administrator there to allow mail of Direct Mail from your domain" }
  end
  return out
end

return M
