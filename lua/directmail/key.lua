--- A key: the name under which a mail is sent once (`mail:send { key = "order-1042", … }` with a store).
-- The same key with the same content gives back what became of the first one; other content under it is an error. While a mail is
-- on its way its key is leased, and kept by a task; when the program dies the lease ends, and the mail is `unknown`
-- if it was marked, free if not.
-- @module directmail.key
local core = require "directmail.core"
local err = require "directmail.err"
local json = require "cjson.safe"

local M = {}

local LEASE = 60                -- seconds that a dead program's mail counts as on its way
local PIECE = 65536             -- octets of a file read at a time
local LOOK = 1                  -- seconds between two looks at a mail that another carries, at most

-- ---- what a mail consists of -------------------------------------------------------

-- The octets of an attachment as one hash; a function that brings them can be asked once only, so its size must do.
local function hash_of(part)
  local running, at, reader = "", 1, part.reader
  if reader and not reader.rewind then return "size " .. part.size end
  while true do
    local piece, why
    if reader then
      piece, why = reader:read(PIECE)
      if why then
        reader:rewind()
        return err.refuse("FILE", "attachments", why, "leave the file alone while the mail is made")
      end
    else
      piece = part.data:sub(at, at + PIECE - 1)
      at = at + PIECE
    end
    if not piece or piece == "" then return running end
    running = core.sha256(running .. piece)
  end
end

local PEOPLE = { "from", "to", "cc", "bcc", "reply_to" }
local WRITTEN = { "raw", "subject", "text", "html", "priority" }
local DERIVED = { "in_reply_to", "references", "trace" }

--- The hash of all that makes a mail what it is: not what directmail adds by itself (Date, Message-ID, boundary), and not how it travels.
-- @tparam table d a draft of `directmail.message`
-- @treturn string SHA-256 in hexadecimal; or nil, err (FILE) when an attachment cannot be read
function M.hash(d)
  local out, fields = { "directmail 1" }, d.fields
  -- with its length, so that no two lists of values look the same
  local function add(name, value)
    if value ~= nil then out[#out + 1] = ("%s %d:%s"):format(name, #value, value) end
  end
  for _, name in ipairs(PEOPLE) do
    for _, box in ipairs(d.box[name]) do
      add(name, box.name or "")
      add("address", box.address)
    end
  end
  for i = 1, #d.to do add("envelope", d.to[i]) end
  for _, name in ipairs(WRITTEN) do add(name, fields[name]) end
  for _, name in ipairs(DERIVED) do add(name, d[name]) end
  if fields.date then add("date", d.date) end
  if fields.message_id then add("message_id", d.message_id) end
  local calendar = fields.calendar
  if type(calendar) == "table" then add("method", calendar.method) end
  add("calendar", type(calendar) == "table" and calendar.data or calendar)
  add("unsubscribe", d.unsubscribe.settings)
  add("unsubscribe list", d.unsubscribe.list)
  for i = 1, #d.headers do
    add("header", d.headers[i][1])
    add("value", d.headers[i][2])
  end
  for i = 1, #d.parts do
    local part = d.parts[i]
    local hash, e = hash_of(part)
    if not hash then return nil, e end
    add("part", part.name or "")
    add("type", part.type)
    add("cid", part.cid)
    add("octets", hash)
  end
  return core.sha256(table.concat(out, "\n"))
end

-- ---- keeping what is on its way -------------------------------------------------------

-- store -> { held = set of claims, nobody = semaphore }. Claims are held weakly: one that an error threw away is not kept alive.
local keepers = setmetatable({}, { __mode = "k" })

local function extend_all(store, held)
  local jobs = {}
  for claim in pairs(held) do jobs[#jobs + 1] = claim.job end
  if #jobs > 0 then store:extend(jobs, LEASE * 1000) end        -- what fails is tried again in time
end

local function keep(store, keeper)
  while next(keeper.held) and not store.closed do
    if not keeper.nobody:wait(LEASE / 3) and not store.closed then extend_all(store, keeper.held) end
  end
  keepers[store] = nil
end

local function hold(store, claim)
  local keeper = keepers[store]
  if keeper then
    keeper.held[claim] = true
    return
  end
  keeper = { held = setmetatable({ [claim] = true }, { __mode = "k" }), nobody = store.host.semaphore() }
  keepers[store] = keeper
  store.host.spawn(keep, store, keeper)
end

local function release(store, claim)
  local keeper = keepers[store]
  if not keeper then return end
  keeper.held[claim] = nil
  if not next(keeper.held) then keeper.nobody:post() end
end

-- ---- claims -----------------------------------------------------------------------------

local claims = {}
claims.__index = claims

--- Mark it, before its mail is pushed into an engine.
-- @treturn boolean true; false: it is another's by now, and must not be sent; or nil, err: it must not be sent either
function claims:mark()
  if self.marked then return true end
  local done, e = self.store:mark { self.job }
  if not done then return nil, e end
  self.marked = done[1]
  return done[1]
end

--- Settle it. What cannot be written down is logged: the mail has its outcome all the same.
-- @tparam ?table receipt
-- @tparam ?table e the error when there is no receipt
function claims:settle(receipt, e)
  local store, job = self.store, self.job
  local ok, why
  if receipt then
    ok, why = store:ack { { id = job.id, tries = job.tries, receipt = json.encode(receipt) } }
  else
    ok, why = store:bury { {
      id = job.id, tries = job.tries, outcome = e.outcome, again = e.outcome == "refused" and e.retry, error = json.encode(err.plain(e)),
    } }
  end
  release(store, self)
  if not ok then
    self.host.log("error", ('the outcome of the mail with the key "%s" could not be kept, and counts as unknown: %s'):format(self.key, tostring(why)))
  end
end

local EARLIER = {
  refused = {
    code = "REFUSED", cause = 'the mail with the key "%s" was refused before, and would be again: %s', because = "the server said no",
    remedy = "change the mail, and give it another key",
  },
  not_sent = {
    code = "LOST", cause = 'the mail with the key "%s" lies in the outbox, where it was given up: %s', because = "it was not sent",
    remedy = "settle it there (docs/store.md: find, retry)",
  },
  unknown = {
    code = "LOST", cause = 'the mail with the key "%s" may have been sent before: %s', because = "the program ended while it was on its way",
    remedy = "look the recipient up in the console's sending records; then settle it (docs/store.md: find, ack, retry), "
      .. 'or send it with on_unknown = "resend", which allows a second copy',
  },
}
local QUEUED = { waiting = true, leased = true, marked = true }
local KEPT = { "detail", "cause", "remedy", "blame", "reply", "request_id" }

--- What the store knows of a mail that was sent or queued under this key before, as `send` returns it.
-- @tparam string key
-- @tparam table job of the store
-- @treturn table receipt, with `earlier = true`; or nil, err
function M.earlier(key, job)
  local known = job.result and json.decode(job.result)
  if type(known) ~= "table" then known = {} end
  if job.state == "sent" then
    known.outcome, known.earlier = "sent", true
    return known
  end
  if QUEUED[job.state] then return { outcome = "queued", earlier = true, id = ("%.0f"):format(job.id) } end
  local words = EARLIER[job.state]
  local fields = { outcome = job.state, code = words.code, remedy = words.remedy }
  for _, name in ipairs(KEPT) do            -- a person may have written it
    if type(known[name]) == "string" then fields[name] = known[name] end
  end
  for _, name in ipairs(err.NAMES) do
    if known.code == name then fields.code = name end
  end
  if type(known.where) == "table" then fields.where = known.where end
  if type(known.refused) == "table" then fields.refused = known.refused end
  fields.cause = words.cause:format(err.printable(key), fields.cause or words.because)
  if job.state == "unknown" then fields.remedy = words.remedy end
  return nil, err.new(fields)
end

local function wait_over(key, seconds)
  return err.new {
    code = "TIMEOUT", detail = "key", outcome = "unknown", retry = true, after = LEASE, blame = "none",
    cause = ('another call still carries the mail with the key "%s", after %g s'):format(key, seconds),
    remedy = "ask again with the same key: nothing is sent twice",
  }
end

local MOVING = { leased = true, marked = true }

--- The error of a key under which another mail is known.
-- @return nil, err
function M.other(key)
  return err.refuse("OPTION", "key", ('the key "%s" belongs to a mail with other content'):format(err.printable(key)),
    "give each mail a key of its own; the same key is for the same mail only")
end

--- Take the key of a mail. Waits while another carries the same mail.
-- @tparam table mail the mail object, with a store
-- @tparam table d its draft, whose fields have a key
-- @tparam[opt] table options `mark` = mark it in the same transaction; `now` = do not wait
-- @return claim: the mail is the caller's to send, and to `settle`; or nil, receipt; or nil, nil, err: it has its outcome already;
--   or nothing at all: with `now`, only waiting will tell
function M.claim(mail, d, options)
  local fields, settings, store = d.fields, mail.settings, mail.store
  local key, mark, now = fields.key, options and options.mark, options and options.now
  local hash, e = M.hash(d)
  if not hash then return nil, nil, e end
  local wish = { key = key, hash = hash, visibility_ms = LEASE * 1000, mark = mark, resend = (fields.on_unknown or settings.on_unknown) == "resend" }
  local host, timeout = mail.host, fields.timeout or settings.timeout
  local start, pause = host.tick(), 0.02
  while true do
    local job
    job, e = store:claim(wish, now)
    if not job then return nil, nil, e end
    if job.how == "made" then
      local claim = setmetatable({ store = store, host = host, key = key, job = job, marked = mark }, claims)
      hold(store, claim)
      return claim
    end
    if job.how == "other" then
      return nil, M.other(key)
    end
    if not MOVING[job.state] then return nil, M.earlier(key, job) end
    if now then return nil end
    local waited = host.tick() - start
    if timeout and waited >= timeout then return nil, nil, wait_over(key, waited) end
    host.sleep(timeout and math.min(pause, timeout - waited) or pause)
    pause = math.min(pause * 2, LOOK)
  end
end

--- Send a mail that has a key, unless it has its outcome already.
-- @tparam table mail the mail object
-- @tparam table d its draft
-- @tparam function carry called as `carry(mail, d, ...)`: receipt, or nil, err
-- @treturn table receipt, with `earlier = true` when it is that of an earlier call; or nil, err
function M.once(mail, d, carry, ...)
  local claim, receipt, e = M.claim(mail, d, { mark = true })
  if not claim then return receipt, e end
  receipt, e = carry(mail, d, ...)
  claim:settle(receipt, e)
  return receipt, e
end

return M
