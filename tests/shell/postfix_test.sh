#!/bin/sh
# The command sends to a real server, Postfix with Dovecot checking the password, and what lies in
# the Maildir afterwards is what was sent, as Python's email package reads it.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh

if [ "$(id -u)" != 0 ]; then
    not_ok "postfix: needs root, so sending to a real server was left out"
    plan
fi

work=$(mktemp -d)
chmod 755 "$work"
rig=$work/rig
trap 'sh tests/support/postfix.sh stop "$rig"; rm -rf "$work"' EXIT
trap 'exit 143' INT TERM        # a shell that a signal ends runs no EXIT trap of its own
dm=$PWD/build/directmail

sh tests/support/postfix.sh start "$rig" >"$work/log" 2>&1
claim $? "Postfix and Dovecot start on free ports" "$work/log"
. "$rig/ports"

DIRECTMAIL_SENDER='Shop <user@smtp.test>'
DIRECTMAIL_SMTP=smtp://127.0.0.1:$SUBMISSION
DIRECTMAIL_SMTP_USER=user@smtp.test
DIRECTMAIL_SMTP_PASSWORD=pass
DIRECTMAIL_CA=$CA
export DIRECTMAIL_SENDER DIRECTMAIL_SMTP DIRECTMAIL_SMTP_USER DIRECTMAIL_SMTP_PASSWORD DIRECTMAIL_CA

# Postfix answers 250 when a mail lies in its queue; the mailbox has it a moment later.
arrived() {                     # MAILBOX N: wait until N mails are there
    timeout 10 sh -c 'until [ "$(ls "$1/new" 2>/dev/null | wc -l)" -ge "$2" ]; do sleep 0.05; done' - "$rig/mail/$1" "$2"
}
empty() { rm -f "$rig"/mail/*/new/*; }

"$dm" examples/welcome.lua user@smtp.test >"$work/log" 2>&1
claim $? "examples/welcome.lua sends with STARTTLS and AUTH" "$work/log"
grep -q '^sent by smtp, ' "$work/log"
claim $? "its receipt says so" "$work/log"
arrived user 1
claim $? "the mail is in the mailbox"
cat >"$work/welcome.json" <<EOF
[{ "subject": "Welcome, Ann – 欢迎", "from": { "name": "Shop", "address": "user@smtp.test" },
   "to": [{ "name": "", "address": "user@smtp.test" }],
   "text": "Hi Ann,\n\nyour customer card and this month's report are attached.\n",
   "html": "<p>Hi Ann,</p><p>your <b>customer card</b> and this month's report are attached.</p>",
   "attachments": [{ "name": "welcome.pdf", "file": "$PWD/examples/welcome.pdf", "type": "application/pdf" },
                   { "name": "报告.csv", "file": "$PWD/examples/报告.csv", "type": "text/csv" }] }]
EOF
/usr/bin/python3 tests/support/mail.py compare "$work/welcome.json" "$rig/mail/user/new" >"$work/log" 2>&1
claim $? "subject, people, texts and both attachments arrived byte for byte" "$work/log"
grep -q 'with ESMTPSA' "$rig"/mail/user/new/*
claim $? "Postfix noted TLS and a checked password (ESMTPSA)" "$rig/postfix.log"
empty

/usr/bin/python3 tests/support/mail.py make "$work/mails"
count=$(grep -c '"subject"' "$work/mails/mails.json")
for way in "smtp://localhost:$SUBMISSION" "smtps://127.0.0.1:$SMTPS"; do
    DIRECTMAIL_SMTP=$way "$dm" tests/support/send_all.lua "$work/mails/mails.json" >"$work/log" 2>&1
    claim $? "$count hard mails are sent by ${way%%:*}" "$work/log"
    arrived user "$count"
    /usr/bin/python3 tests/support/mail.py compare "$work/mails/mails.json" "$rig/mail/user/new" >"$work/log" 2>&1
    claim $? "they arrived as they were sent by ${way%%:*}" "$work/log"
    arrived b 2
    claim $? "the copy and the blind copy reached the other mailbox by ${way%%:*}"
    empty
done

send() { "$dm" send --to "$1" --subject s --text t --json >"$work/log" 2>&1; }
send full@smtp.test
[ $? -ne 0 ] && grep -q '"outcome":"refused"' "$work/log" && grep -q '"reply":"552 5.2.2 .*mailbox full' "$work/log"
claim $? "a full mailbox is refused, with the server's words" "$work/log"
send defer@smtp.test
claim_status 3 $? "a deferred mailbox is worth repeating" "$work/log"
DIRECTMAIL_CA='' send user@smtp.test
claim_status 3 $? "a certificate of an unknown authority is not accepted" "$work/log"
grep -q '"code":"TLS"' "$work/log" && grep -q '"detail":"issuer"' "$work/log"
claim $? "and the error says TLS, issuer" "$work/log"
# last: Dovecot makes this address wait before its next login
DIRECTMAIL_SMTP_PASSWORD=not-the-password send user@smtp.test
[ $? -ne 0 ] && grep -q '"code":"AUTH"' "$work/log" && ! grep -q not-the-password "$work/log"
claim $? "a wrong password is AUTH, and is not shown" "$work/log"
ls "$rig/mail/user/new" >"$work/log"
[ ! -s "$work/log" ]
claim $? "none of these reached the mailbox" "$work/log"
plan
