#!/bin/sh
# Nothing that may wait runs inside pcall, an iterator, a metamethod or a callback of C: plain Lua 5.1 cannot
# yield there (design, section 3). Every place that looks like one is listed here with the reason why nothing waits in it.
# command/ runs in the embedded Lua 5.4 only, which can yield there.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh

# file | what stands there | how often | why nothing waits in it
allowed() {
    cat <<'END'
init.lua|pcall|1|spawn in plain 5.1 outside of tasks: no task runs, so nothing yields
init.lua|__index|1|loads a module at its first use
mail.lua|__index|1|makes the function of an operation when it is first named
doctor.lua|pcall|1|builds the table of a check out of a file; its run is called without
catalogue.lua|pcall|2|reads and writes JSON that is whole in memory
api.lua|pcall|1|decodes JSON that is whole in memory
sign/answer.lua|pcall|1|decodes JSON that is whole in memory
settings.lua|pcall|1|chooses a region out of a table
bulk.lua|__close|1|Lua 5.4 only, where closing may yield
host/nginx.lua|pcall|5|nginx only, where pcall may wait: loads ffi and lua-resty-dns, declares a struct, reads one, asks a name server
host/tasks.lua|__gc|2|tells an error that nobody asked for
err.lua|__tostring|1|joins strings
nginx/fields.lua|pcall|1|tries a pattern of the operator's
nginx/submission.lua|pcall|2|nginx only, where waiting inside it works: functions of the operator's
nginx/deliver.lua|pcall|1|nginx only, where waiting inside it works: a send with the operator's template or function
nginx/events.lua|pcall|1|nginx only, where waiting inside it works: a function of the operator's
nginx/unsubscribe.lua|pcall|1|nginx only, where waiting inside it works: a function of the operator's
nginx/line.lua|pcall|1|nginx only, where waiting inside it works: a function of the operator's
template.lua|__call|1|calling a table is a plain call in every Lua: a function in the values may wait
store/redis_wire.lua|pcall|2|loads lua-resty-redis, which connects to nothing by that
END
}

# The code of a file without its comments: "line number:code".
code() { sed 's/--.*$//' "$1" | grep -n .; }

# What stands at a line: pcall and xpcall, coroutine.wrap, and metamethods that are functions.
found() {
    find lua/directmail -name '*.lua' ! -path 'lua/directmail/command/*' ! -path 'lua/directmail/data/*' | LC_ALL=C sort |
        while read -r file; do
            code "$file" | awk -v file="${file#lua/directmail/}" '
                function put(what) { print file "|" what "|" $0 }
                {
                    line = $0; while (match(line, /(^|[^A-Za-z0-9_.])x?pcall([^A-Za-z0-9_]|$)/)) { put("pcall"); line = substr(line, RSTART + RLENGTH) }
                    if ($0 ~ /coroutine\.wrap/) put("wrap")
                    if (match($0, /__(call|newindex|gc|close|concat|len|eq|lt|le|add|sub|mul|div|mod|pow|unm|tostring|pairs|ipairs)[ \]"]*(=|\()/)) {
                        name = substr($0, RSTART); sub(/[ \]"=(].*/, "", name); put(name)
                    }
                    if ($0 ~ /__index *= *function *[(]/ || $0 ~ /function [a-z_.]*__index/) put("__index")
                }'
        done
}

list=$(found)
why=$(mktemp) || exit 1
trap 'rm -f "$why"' EXIT

nothing() {                     # TEXT NAME: there is none of it
    printf '%s\n' "$1" >"$why"
    claim "$([ -z "$1" ]; echo $?)" "$2" "$why"
}

unknown=$(printf '%s\n' "$list" | while IFS='|' read -r file what line; do
    [ -z "$file" ] || allowed | grep -qF "$file|$what|" || echo "lua/directmail/$file:$line"
done)
nothing "$unknown" "every pcall, coroutine.wrap and metamethod outside of command/ is listed with its reason"

wrong=$(allowed | while IFS='|' read -r file what count reason; do
    n=$(printf '%s\n' "$list" | grep -cF "$file|$what|")
    [ "$n" = "$count" ] && [ -n "$reason" ] || echo "$file: $what stands there $n times, $count are listed"
done)
nothing "$wrong" "the list is as long as what it lists"

waits='[.:](receiveany|receive|accept|connect|sslhandshake|sslaccept|sleep|wait)[ (]'
around=$(find lua/directmail -name '*.lua' ! -path 'lua/directmail/command/*' | LC_ALL=C sort | while read -r file; do
    code "$file" | grep -E "(for .* in .*|table\.sort.*|gsub.*function.*)$waits" | sed "s|^|$file:|"
done)
nothing "$around" "no iterator, sort or gsub calls what waits"

# The others would be green for ever if what they look for were never found.
seen=$(printf 'for b in sock:receiveany(5) do\ntable.sort(t, function() sock:accept() end)\n' | grep -cE "(for .* in .*|table\.sort.*|gsub.*function.*)$waits")
claim "$([ "$seen" = 2 ] && [ "$(printf '%s\n' "$list" | wc -l)" -ge 9 ]; echo $?)" "what is looked for is found where it stands"
plan
