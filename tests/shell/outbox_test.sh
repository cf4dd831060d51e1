#!/bin/sh
# Pumps die by SIGKILL twenty times while some hundred mails are queued, over SQLite and over Redis: nothing is lost and nothing sent twice.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# Each runs in a sandbox of its own; its TAP becomes ours.
kills() {                       # STORE WHAT
    LUA_PATH='lua/?.lua;lua/?/init.lua;tests/?.lua;;' LUA_CPATH="$build/lua5.4/?.so;;" BOX="$dir/$2" \
        "$build/directmail" sandbox --dir "$dir/$2" -- lua5.4 tests/support/outbox_kills.lua "$1" "$2" 20 400 >"$dir/out" 2>"$dir/err"
    status=$?
    while IFS= read -r line; do
        case $line in
        "ok - "*) claim 0 "${line#ok - }" ;;
        "not ok - "*) not_ok "${line#not ok - }" "$dir/out" ;;
        "# "*) echo "$line" ;;
        esac
    done <"$dir/out"
    claim "$status" "$2: the whole run ends well" "$dir/err"
}

kills "$dir/outbox.db" SQLite
kills redis Redis
plan
