#!/bin/sh
# The speed kit (`make bench`) runs: every row is measured with a handful of mails, and a mail that does not arrive is noticed.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM

make --no-print-directory bench-programs >"$work/log" 2>&1
claim $? "its programs are built" "$work/log"

printf 'Subject: hi\r\n\r\nhi\r\n' >"$work/mail"
build/bench/measure build/bench/limit_smtp @PORT@ 4 50 "$work/mail" >"$work/log" 2>&1
# each mail is the message, a dot and the next envelope or QUIT; each connection says EHLO and one envelope before
envelope='MAIL FROM:<noreply@mail.example.com>..RCPT TO:<ann@example.com>..DATA..'
octets=$((50 * (19 + 3) + 50 * ${#envelope} + 4 * (16 + 6)))
grep -q "^arrived=50 octets=$octets connections=4 .* status=0$" "$work/log"
claim $? "the sink counts every mail and every octet" "$work/log"
build/bench/measure -r 40 build/bench/limit_smtp @PORT@ 1 3 "$work/mail" >"$work/log" 2>&1
# banner, EHLO, envelope, three mails: after TCP's handshake six round trips, and none is saved
awk -F'wall=' '{ split($2, a, " "); exit !(a[1] >= 0.27 && a[1] < 10) }' "$work/log"
claim $? "the line takes its time" "$work/log"

QUICK=1 lua5.4 tests/bench/run build >"$work/table" 2>"$work/log"
claim $? "every row can be measured" "$work/log"
! grep -q 'not measured' "$work/table"
claim $? "no goal is left without a figure" "$work/table"
for row in 'a mail, 50 ms, overlap' 'set-up and close' '2 KB, 1 connection, rate' '2 KB, 32 connections, CPU' '100 KB attachment, 8 connections' \
    'text and HTML' 'attachment of 20 MB' 'resident size, growth' 'V3' 'an empty script' 'one mail' '32 in flight' 'the slowest of a hundred' 'one caller' '32 callers'; do
    grep -q "^$row" "$work/table" || echo "$row" >>"$work/missing"
done
[ ! -e "$work/missing" ]
claim $? "the table has its rows" "$work/missing"

# A client that claims success and sends nothing.
mkdir -p "$work/build/bench"
for file in build/bench/*; do [ -f "$file" ] && ln -s "$PWD/$file" "$work/build/bench/"; done
ln -s "$PWD/build/directmail" "$work/build/directmail"
rm "$work/build/bench/limit_smtp"
printf '#!/bin/sh\nexit 0\n' >"$work/build/bench/limit_smtp"
chmod 755 "$work/build/bench/limit_smtp"
QUICK=1 lua5.4 tests/bench/run "$work/build" delay >"$work/table" 2>"$work/log"
claim_status 1 $? "mails that are missing are a failure" "$work/log"
grep -q 'limit through 50 ms: 0 of 1 arrived' "$work/log"
claim $? "and it is said whose" "$work/log"
lua5.4 tests/bench/run build speed >"$work/table" 2>"$work/log"
claim_status 2 $? "an unknown row is refused" "$work/log"
plan
