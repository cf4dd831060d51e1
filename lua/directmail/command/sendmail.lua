--- Send a message from stdin, the way sendmail does: for cron, PHP, git and all that knows no other way to mail.
-- @module directmail.command.sendmail
local core = require "directmail.core"
local err = require "directmail.err"
local exit = require "directmail.command.exit"
local limits = require "directmail.data.limits"
local raw = require "directmail.raw"
local usage = require "directmail.command.usage"

local M = {
  name = "sendmail",
  summary = "send a message from stdin as sendmail does: for cron, PHP, git",
  examples = {
    "directmail sendmail -t -i <message.eml                     # recipients from its To, Cc and Bcc",
    "echo 'The disk is full' | directmail sendmail ops@example.com",
    "ln -s \"$(command -v directmail)\" /usr/sbin/sendmail        # cron: MAILTO=ops@example.com, and sendmail_rewrite = true",
    "sendmail_path = \"env DIRECTMAIL_PROFILE=/etc/directmail.lua directmail sendmail -t -i\"          # in php.ini",
    "git config --global sendemail.sendmailCmd 'directmail sendmail'",
  },
  sysexits = true,
}

function M.usage()
  local lines = {
    "Usage: directmail sendmail [-t] [-i] [-f ADDR] [-F NAME] [-v] [--] [ADDR…]", "",
    "   -t             recipients from To, Cc and Bcc of the message too (Bcc is taken out in any case)",
    "   -i, -oi        a line with nothing but a dot does not end the message",
    "   -f, -r ADDR    sender of the envelope",
    "   -F NAME        name beside our address, when the message has no From",
    "   -v             show the dialogue on stderr",
    "   -bm            send (the default); other modes, such as -bs and -bp, are refused", "",
    "Other options of sendmail are taken and ignored. Settings come from DIRECTMAIL_* and the profile (directmail help environment).",
    "A sender that is not ours is refused with 77; with sendmail_rewrite = true in the profile our sender takes its place, and",
    "the old one goes to Reply-To.", "", "Exit codes (sysexits.h):",
  }
  for _, row in ipairs(exit.SYSEXITS) do lines[#lines + 1] = ("  %-3s  %s"):format(row[1], row[2]) end
  return table.concat(lines, "\n")
end

-- ---- the command line ----------------------------------------------------

local function set(letters)
  local of = {}
  for letter in letters:gmatch "." do of[letter] = true end
  return of
end

-- Options of the sendmails (Sendmail 8, Postfix, Exim, msmtp) that have a value, behind them or as the next word; and those
-- whose value can only stand behind them. All others are letters that may be written together.
local VALUE, ATTACHED = set "ABCDFLMNORVXbefhopr", set "dq"

-- One cluster such as -ti or -oi: the rest of the word is the value of an option that has one.
local function take(word, following, note)
  local at = 2
  while at <= #word do
    local letter, rest = word:sub(at, at), word:sub(at + 1)
    if VALUE[letter] and rest == "" then
      local value = following()
      if not value then return usage.wrong(("-%s wants a value"):format(letter), "directmail help sendmail lists the options") end
      return note(letter, value)
    elseif VALUE[letter] or ATTACHED[letter] then
      return note(letter, rest)
    end
    note(letter)
    at = at + 1
  end
  return true
end

--- What a shell offers.
function M.complete(parser)
  parser:flag "-t" :description "recipients from the message's head"
  parser:flag "-i" :description "a line with a dot alone does not end the message"
  parser:option "-f" :description "sender"
  parser:option "-F" :description "sender's name"
end

--- Read the words of the command line. Unknown options are ignored, -X (a log file) and the like too: PHP's mail() hands
-- over what a stranger wrote.
-- @tparam {string,...} words
-- @treturn table `{ to={…}, extract=, keep_dots=, from=, name=, verbose=, queue=, help= }`, or nil, err
function M.parse(words)
  local args, at = { to = {} }, 0
  local function following()
    at = at + 1
    return words[at]
  end
  local function note(letter, value)
    if letter == "t" then args.extract = true
    elseif letter == "i" or letter == "o" and value == "i" then args.keep_dots = true
    elseif letter == "f" or letter == "r" then args.from = value
    elseif letter == "F" then args.name = value
    elseif letter == "v" then args.verbose = true
    elseif letter == "q" then args.queue = true
    elseif letter == "b" and value ~= "m" or letter == "I" then
      return usage.wrong(("-%s%s is not offered: only mail from stdin is sent"):format(letter, value or ""),
        "use -t -i, and DIRECTMAIL_SMTP where a program can speak SMTP itself")
    end
    return true
  end
  local word = following()
  while word do
    if word == "--help" then
      args.help = true
    elseif word == "--" then
      word = following()
      while word do
        args.to[#args.to + 1] = word
        word = following()
      end
    elseif word:find "^%-[^-]" then
      local ok, e = take(word, following, note)
      if not ok then return nil, e end
    elseif not word:find "^%-%-" then
      args.to[#args.to + 1] = word
    end
    word = following()
  end
  return args
end

-- ---- the message ---------------------------------------------------------

local SLACK = 1024 * 1024                   -- what goes before the message is measured: Bcc
local CORE_OCTETS = 1024 * 1024 * 1024      -- the core holds no more

local function too_large(most)
  return err.refuse("SIZE", "stdin", ("the message has more than %d octets"):format(most),
    "send less, or a link; for a server that takes more: size_limit (DIRECTMAIL_SIZE_LIMIT, 0 = none)", "content")
end

-- Stdin up to its end, or to a line with a lone dot.
local function read_message(receive, values, keep_dots)
  local limit = values.size_limit or limits.message_octets
  local most = limit == 0 and CORE_OCTETS or limit + SLACK
  -- the message's first line begins behind a line end too
  local chunks, size, held = {}, 0, "\n"
  while true do
    local chunk, why = receive()
    if why then return err.refuse("FILE", "stdin", "stdin cannot be read: " .. why, "give the message on stdin") end
    local stop
    if chunk then
      size = size + #chunk
      if size > most then return too_large(limit) end
      held = held .. chunk
      stop = not keep_dots and held:find "[\r\n]%.[\r\n]"
    else
      stop = keep_dots and #held or (held:find "[\r\n]%.$" or #held)
    end
    local whole = stop or math.max(#held - 2, 0)
    chunks[#chunks + 1] = held:sub(1, whole)
    held = held:sub(whole + 1)
    if stop then break end
  end
  local bytes = table.concat(chunks):sub(2)
  if bytes ~= "" then return bytes end
  return err.refuse("CONTENT", "stdin", "the message is empty",
    "give it on stdin: header fields, an empty line, text; perhaps the program before the pipe failed", "content")
end

-- ---- who sends -----------------------------------------------------------

-- The addresses of the account: `{ sender = mailbox|nil, shown = text, owns = function(address) }`; or nil, err.
local function account_of(values)
  local at, e = require "directmail.smtp".endpoint(values)
  if not at then return nil, e end
  local sender
  if values.sender then
    local list, why = core.addresses(values.sender)
    sender = list and #list == 1 and list[1]
    if not sender then
      return err.refuse("ADDRESS", "sender", "sender: " .. (why or "one address is needed"),
        'write it as "noreply@mail.example.com" or "Shop <noreply@mail.example.com>"')
    end
  end
  local user, own = values.smtp_user, {}
  -- Direct Mail takes no sender but who logs in, an address or its whole domain; a relay's user may be any word
  if user and (at.direct or user:find "@") then own[1] = user:lower() end
  if sender and not (at.direct and user) then own[#own + 1] = sender.address:lower() end
  return {
    sender = sender, shown = table.concat(own, ", "),
    owns = function(address)
      address = address:lower()
      for _, name in ipairs(own) do
        if name == address or name == address:match "@([^@]*)$" then return true end
      end
      return #own == 0
    end,
  }
end

local function not_ours(where, text, account)
  return err.refuse("ADDRESS", "from",
    ('the sender "%s" (%s) is %s'):format(text, where, account.shown == "" and "no address" or "not the address of this account, " .. account.shown),
    "write From with that address; or set sendmail_rewrite = true in the profile: then our sender takes its place, and the old one goes to Reply-To",
    "sender-config")
end

local function all_ours(boxes, account)
  for _, box in ipairs(boxes) do
    if not account.owns(box.address) then return false end
  end
  return #boxes > 0
end

-- Our mailbox for From.
local function own_mailbox(account, values, name)
  local box = account.sender
  if not box and values.smtp_user and values.smtp_user:find "@" then box = (core.addresses(values.smtp_user) or {})[1] end
  if box then return { name = name or box.name, address = box.address } end
  return err.refuse("OPTION", "sender", "no sender is set", "set sender in the profile, or DIRECTMAIL_SENDER")
end

-- The envelope's sender, and what must be written into the head: `{ from=, add={…}, drop={…} }`; or nil, err.
local function choose_sender(args, head, values)
  local account, e = account_of(values)
  if not account then return nil, e end
  local text = raw.value(head, "from")
  local boxes = text and core.addresses(text) or {}
  local envelope = args.from and core.addresses(args.from) or {}
  local from_ours, envelope_ours = all_ours(boxes, account), #envelope == 1 and all_ours(envelope, account)
  if not values.sendmail_rewrite then
    if args.from and not envelope_ours then return not_ours("-f", args.from, account) end
    if text and not from_ours then return not_ours("From", text, account) end
  end
  local out = { add = {}, drop = {} }
  local shown = from_ours and boxes[1]
  if not shown then
    shown, e = own_mailbox(account, values, args.name)
    if not shown and not envelope_ours then return nil, e end
    if envelope_ours and (not shown or shown.address:lower() ~= envelope[1].address:lower()) then
      shown = { name = args.name or envelope[1].name, address = envelope[1].address }
    end
    out.drop.from = true
    out.add[1] = { "From", "mailboxes", { shown } }
    -- nobody can answer root, or root@localhost
    local answer = {}
    for _, box in ipairs(boxes) do
      if not box.single then answer[#answer + 1] = box end
    end
    if #answer > 0 then out.add[2] = { "Reply-To", "mailboxes", answer } end
  end
  out.from = envelope_ours and envelope[1].address or shown.address
  return out
end

-- ---- who receives --------------------------------------------------------

-- The address texts, each of which can be read; or nil, err.
local function check_recipients(list)
  for _, text in ipairs(list) do
    local boxes, why = core.addresses(text)
    if not boxes then
      local name = why:match '^"([^"@%s]+)[^"@]*" has no "@"'
      local cause, remedy = ("recipient: " .. why), 'write it as "ann@example.com"'
      if name then
        cause = ('the recipient "%s" is a local name, and this machine keeps no mailboxes'):format(name)
        remedy = "give an address with a domain, such as MAILTO=ops@example.com in the crontab"
      end
      return err.refuse("ADDRESS", "to", cause, remedy)
    end
  end
  return list
end

-- ---- the command ---------------------------------------------------------

-- The error of a message as its writer knows it: from stdin, its lines counted as they came.
local function told(e, line_of)
  e.cause = e.cause:gsub("^raw: ", "the message: "):gsub("^(the message: line )(%d+)", function(words, n)
    return words .. (line_of and line_of(tonumber(n)) or n)
  end)
  if e.detail == "raw" then e.detail = "stdin" end
  return e
end

function M.run(args, place)
  if args.queue then return exit.OK end       -- sendmail -q: there is no queue, so nothing waits in it
  if not args.extract and #args.to == 0 then
    return usage.wrong("no recipient is named", "give addresses, or -t to take them from To, Cc and Bcc of the message")
  end
  local options = {}
  if args.verbose then
    options.verbose = 1
    options.transcript = function(line) io.stderr:write(line, "\n") end
  end
  local mail, e = require "directmail".new(options)
  if not mail then return nil, e end
  local bytes, head, sender, to, line_of
  bytes, e = read_message(place.receive, mail.settings, args.keep_dots)
  if not bytes then return nil, e end
  head, e = raw.read(bytes, true)
  if not head then return nil, told(e) end
  sender, e = choose_sender(args, head, mail.settings)
  if not sender then return nil, e end
  to = table.move(args.to, 1, #args.to, 1, {})
  if args.extract then
    local found = raw.recipients(head)
    table.move(found, 1, #found, #to + 1, to)
  end
  if #to == 0 then return usage.wrong("no recipient is named: the message has neither To nor Cc nor Bcc", "write one of them, or give addresses behind -t") end
  to, e = check_recipients(to)
  if not to then return nil, e end
  bytes, line_of = raw.write(head, sender.add, sender.drop)
  if not bytes then return nil, told(line_of) end
  local receipt
  receipt, e = mail:send { raw = bytes, from = sender.from, to = to, via = "smtp" }
  if not receipt then return nil, told(e, line_of) end
  for _, who in ipairs(receipt.refused) do
    io.stderr:write(("directmail: refused  %s: %s\n"):format(err.printable(who.address), err.printable(tostring(who.reply or who.cause))))
  end
  return exit.of_receipt(receipt, true)
end

return M
