#!/bin/sh
# Three hundred random mails (rule 4.29) through two parsers that others wrote, and under a checker that forgives nothing.
# SEED=N repeats a run; without it each run has other mails. COUNT=N makes more of them.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
count=${COUNT:-300}
echo "# SEED=$seed"

export LUA_PATH='lua/?.lua;lua/?/init.lua;;'
make_mails() {                  # LUA DIR COUNT
    mkdir "$2"
    LUA_CPATH="build/$1/?.so;;" "$1" tests/support/random_messages.lua "$2" "$seed" "$3" >"$work/log" 2>&1
}
few=$((count / 3))
mails() { for n in $(seq "${2:-$count}"); do printf '%s ' "$1/$n.eml"; done; }
same() {                        # MEANT FOUND [OPTION...]
    python3 tests/support/compare_mails.py "$@" >"$work/differences"
    status=$?
    head -n 10 "$work/differences" | cut -c1-400 >"$work/log"
    return $status
}

make_mails lua5.4 "$work/mails" "$count"
claim $? "every random mail can be made" "$work/log"
[ "$(wc -l <"$work/mails/meant.jsonl")" -eq "$count" ]
claim $? "$count of them" "$work/mails/meant.jsonl"
for lua in lua5.1 luajit; do
    make_mails $lua "$work/$lua" $few
    cat $(mails "$work/mails" $few) >"$work/one"
    cat $(mails "$work/$lua" $few) | cmp - "$work/one" >"$work/log" 2>&1
    claim $? "$lua writes the same octets" "$work/log"
done

python3 tests/support/strict_mail.py $(mails "$work/mails") >"$work/log" 2>&1
claim $? "every mail keeps to the letter: line ends, lengths, codings, boundaries" "$work/log"

node tests/node/parse.mjs $(mails "$work/mails") >"$work/node.jsonl" 2>"$work/node.log" &
node=$!
python3 tests/support/parse_mail.py $(mails "$work/mails") >"$work/read.jsonl" 2>"$work/log"
claim $? "Python's email reads them all" "$work/log"
same "$work/mails/meant.jsonl" "$work/read.jsonl"
claim $? "it finds what was meant, and nothing else" "$work/log"
wait $node
claim $? "mailparser reads them all (make deps-test installs it)" "$work/node.log"
# It unfolds a header to one blank, whatever stood there, against RFC 5322, 2.2.3; and it shows no tree.
same "$work/mails/meant.jsonl" "$work/node.jsonl" --squeeze --without=structure
claim $? "it finds what was meant, and nothing else" "$work/log"

# -- and back: what others write, read by our own reader -------------------------
export LUA_CPATH='build/lua5.4/?.so;;'
read_ours() { lua5.4 tests/support/read_mails.lua "$@"; }

read_ours $(mails "$work/mails") >"$work/ours.jsonl" 2>"$work/log"
same "$work/mails/meant.jsonl" "$work/ours.jsonl" --without=structure --without=tag --without=unsubscribe
claim $? "our own reader finds in our mails what was meant, and nothing else" "$work/log"
# They leave what only looks like an encoded word as it is, and each reader takes it for another thing.
head -n $few "$work/mails/meant.jsonl" | sed 's/=?/=/g' >"$work/few.jsonl"
mkdir "$work/python" "$work/node"
python3 tests/support/write_mail.py "$work/few.jsonl" "$work/python" 2>"$work/log"
claim $? "Python's email writes some of them" "$work/log"
python3 tests/support/parse_mail.py $(mails "$work/python" $few) >"$work/python.jsonl"
read_ours $(mails "$work/python" $few) >"$work/ours.jsonl"
same "$work/python.jsonl" "$work/ours.jsonl" --without=structure
claim $? "and our reader finds in them what its own does" "$work/log"
node tests/node/compose.mjs "$work/few.jsonl" "$work/node" 2>"$work/log"
claim $? "nodemailer writes them too" "$work/log"
read_ours $(mails "$work/node" $few) >"$work/ours.jsonl"
python3 tests/support/parse_mail.py $(mails "$work/node" $few) >"$work/python.jsonl"
same "$work/python.jsonl" "$work/ours.jsonl" --without=structure
claim $? "and our reader finds in them what Python's does" "$work/log"
node tests/node/parse.mjs $(mails "$work/node" $few) >"$work/node.jsonl"
same "$work/node.jsonl" "$work/ours.jsonl" --squeeze
claim $? "... and what mailparser does" "$work/log"

# -- would the judges see it? ---------------------------------------------------
sed '7s/"subject":"/&x/' "$work/mails/meant.jsonl" >"$work/other.jsonl"
same "$work/other.jsonl" "$work/read.jsonl"
[ "$(wc -l <"$work/differences")" -eq 1 ] && grep -q '^mail 7: subject: ' "$work/differences"
claim $? "one letter more in one subject is told" "$work/log"
sed '9s/"attachments":/&[{"name":"x"}],"was":/' "$work/mails/meant.jsonl" >"$work/other.jsonl"
same "$work/other.jsonl" "$work/read.jsonl"
grep -q '^mail 9: attachments' "$work/differences"
claim $? "an attachment that is missing is told" "$work/log"

# A sound mail, and what one fault makes of it.
mkdir "$work/broken"
printf 'From: a@x.example\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <a@x.example>\r\nSubject: =?UTF-8?Q?=C3=A9?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhi\r\n--b--\r\n' >"$work/sound.eml"
python3 tests/support/strict_mail.py "$work/sound.eml" >"$work/log" 2>&1
claim $? "the checker passes a sound mail" "$work/log"
while IFS='|' read -r name command; do
    LC_ALL=C sed "$command" "$work/sound.eml" >"$work/broken/$name"
done <<FAULTS
a bare LF|s/^hi.*/hi/
a bare CR|s/^hi/h\ri/
an octet over 127 in a 7bit part|s/^hi/\xc3\xa9/
a boundary that is never closed|s/^--b--/--b/
small letters in quoted-printable|s/^=C3=A9/=c3=a9/
a blank at the end of a quoted-printable line|s/^=C3=A9/x /
an encoded word that cuts a character|s/^Subject: .*/Subject: =?UTF-8?Q?=C3?=\r/
an encoded word without padding|s/^Subject: .*/Subject: =?UTF-8?B?w6k?=\r/
two subjects|s/^Subject: .*/Subject: short\r\n&/
a header line that could be folded|s/^Subject: .*/Subject: $(printf '%075d' 0) 12\r/
a folded line of blanks only|s/^Subject: .*/&\n \r/
no MIME-Version|s/^MIME-Version.*/X: y\r/
a text without its charset|s/^Content-Type: text.*/Content-Type: text\/plain\r/
a boundary that does not come|s/boundary=b/boundary=a/
a line of 999|s/^hi/$(printf '%0999d' 0)/
FAULTS
python3 tests/support/strict_mail.py "$work"/broken/* >"$work/log" 2>&1
for path in "$work"/broken/*; do
    grep -qF "$path: " "$work/log"
    claim $? "the checker tells ${path##*/}" "$work/log"
done
plan
