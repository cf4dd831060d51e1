--- An envelope that is rehearsed: MAIL, RCPT, then RSET. Nothing is sent.
return {
  id = "smtp.envelope",
  title = "envelope, rehearsed up to RSET",
  needs = { "smtp.login" },
  network = true,
  run = function(look)
    local at, no = look:smtp_endpoint()
    if not at then return nil, no.cause end
    if not look.sender then return nil, "no sender is set" end
    if at.direct and not look.settings.smtp_password then return nil, "no SMTP password is set" end
    local seen, why = look:rehearsal()
    if not seen then return nil, why.cause end
    local e, to = seen.err, look.to or look.sender
    if not e then
      return ("MAIL FROM:<%s> and RCPT TO:<%s> were taken, then RSET (%s): nothing was sent"):format(look.sender, to, seen.reset or "no answer")
    end
    if seen.step ~= "mail" and seen.step ~= "rcpt" then return nil, "the dialogue ended before MAIL" end
    return seen.step, { { status = "fail", rule = "smtp." .. seen.step,
      cause = ("%s was refused: %s%s"):format(seen.step == "mail" and "the sender " .. look.sender or "the recipient " .. to, e.cause, e.reply
        and (" (%s)"):format(e.reply) or ""),
      remedy = e.remedy } }
  end,
}
