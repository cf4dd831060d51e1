#!/bin/sh
# Every program of examples/ is short, says what one will see, and shows that: in the command and in plain Lua, against the sandbox.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
build=${B:-$PWD/build}         # another build than make check's
PATH=$build:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
id='6[0-9]\{17\}'

# What an example must print: whole lines, as patterns of grep, in this order.
expected() {
    case $1 in
    alert) printf '%s\n' 'sent by api in [0-9.]* s' "id $id   request [0-9A-F-]\{36\}" ;;
    bulk) printf '%s\n' "row 1  sent $id" "row 2  sent $id" 'row 3  ADDRESS: to: "bob@example" has no dot in its domain .*' \
        'row 4  REFUSED: .*' "row 5  sent $id" '3 sent, 2 failed' ;;
    errors) printf '%s\n' "sent: $id" 'take invalid@sandbox.example off your lists (InvalidToAddress.Spam)' \
        'try defer@sandbox.example again in 60 s (THROTTLED)' 'ADDRESS: to: "ann@example" has no dot in its domain .*' ;;
    inbox) printf '%s\n' 'ann@example.com: Welcome, Ann' "REFUSED${tab}550 .*" '1 mail in all' ;;
    newsletter) printf '%s\n' 'sent by smtp: SingleSendMail takes attachments .*' "id $id" ;;
    template) printf '%s\n' 'ann@example.com: Your order 1204 is on its way' 'Ann, 2 parcels are on their way:' '* Tea from 杭州, 2' '* Cup, 1' \
        'nobody@example.com: CONTENT: .*order.txt:3: no value for {{count}} .*' ;;
    stream) printf '%s\n' '1600000 octets of table, 2[0-9]\{6\} octets of mail' ;;
    tour) printf '%s\n' 'template   Welcome, Ann' 'message    MIME-Version: 1\.0' 'route      us-east-1' 'api        api' 'smtp       SingleSendMail takes attachments .*' \
        'key        true' 'bulk       3 of 3' 'operation  1 tag' 'refused    recipient' 'lint       [a-z.]*' 'list       1 of 3 good, 1 twice' ;;
    welcome) printf '%s\n' 'sent by smtp, [0-9]* bytes in [0-9.]* s' "id $id   message-id <[0-9a-f]*@mail\.example\.com>" 'to ann@example\.com' ;;
    *) return 1 ;;
    esac
}
tab=$(printf '\t')

# The rows of a bulk send end in any order.
in_order() { if [ "$1" = bulk ]; then sort; else cat; fi; }

shows() {                       # EXAMPLE: does $work/out have its lines, and no others?
    expected "$1" | in_order "$1" >"$work/wanted" || return 1
    in_order "$1" <"$work/out" >"$work/found"
    [ "$(wc -l <"$work/wanted")" -eq "$(wc -l <"$work/found")" ] || return 1
    while read -r pattern <&3; do
        IFS= read -r line <&4
        printf '%s\n' "$line" | grep -qx -- "$pattern" || return 1
    done 3<"$work/wanted" 4<"$work/found"
}

for file in examples/*.lua; do
    name=$(basename "$file" .lua)
    [ "$(wc -l <"$file")" -lt 40 ]
    claim $? "$file has fewer than forty lines"
    head -1 "$file" | grep -q '^-- You will see '
    claim $? "$file says first what one will see" "$file"
    for lua in directmail lua5.1 luajit; do
        if [ $lua = directmail ]; then
            directmail sandbox -- directmail "$file" >"$work/out" 2>"$work/log"
        else
            LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH="$build/$lua/?.so;;" directmail sandbox -- $lua "$file" >"$work/out" 2>"$work/log"
        fi
        status=$?
        [ $status -eq 0 ] && shows "$name"
        status=$?
        cat "$work/log" "$work/wanted" >>"$work/out"
        claim $status "$lua $file shows it" "$work/out"
    done
done

echo 'Zoe,zoe@example.com,1.00' >"$work/people.csv"
directmail sandbox -- directmail examples/bulk.lua "$work/people.csv" >"$work/out" 2>&1
grep -qx '1 sent, 0 failed' "$work/out"
claim $? "bulk.lua takes a list of one's own" "$work/out"
plan
