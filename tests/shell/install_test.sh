#!/bin/sh
# What `make install` and `luarocks make` install works elsewhere, without the checkout.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
root=$PWD
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT

cat >"$work/smoke.lua" <<'EOF'
local directmail = require "directmail"
local message = directmail.message { from = "a@example.com", to = "b@example.com", subject = "您好", text = "Hi",
  attachments = { { name = "报告.csv", data = "a,b\r\n" } } }
assert(message:size() == #message:bytes())
local path = os.tmpname()
local store = assert(require "directmail.store".open(path))
assert(store:counts().waiting == 0)
store:close()
os.remove(path)
print((_VERSION:gsub("Lua ", "")))
EOF

# -O0 and an own folder: the quickest build that knows the other prefix
make --no-print-directory install B="$work/build" PREFIX="$work/usr" CFLAGS=-O0 >"$log" 2>&1
claim $? "make install" "$log"
rm -rf "$work/build"
(cd / && env -i "$work/usr/bin/directmail" version) >"$log" 2>&1
claim $? "the installed command runs" "$log"
(cd / && env -i "$work/usr/bin/directmail" "$work/smoke.lua") >"$log" 2>&1
claim $? "and finds its modules" "$log"
(cd / && env -i LUA_PATH="$work/usr/share/lua/5.4/?.lua;$work/usr/share/lua/5.4/?/init.lua;;" \
    LUA_CPATH="$work/usr/lib/lua/5.4/?.so;;" lua5.4 "$work/smoke.lua") >"$log" 2>&1
claim $? "lua5.4 finds the installed module" "$log"

# No server is asked; Debian's lua-cjson stands for the rock of that name.
cat >"$work/rocks.cfg.lua" <<EOF
rocks_servers = {}
rocks_provided = { ["lua-cjson"] = "2.1.0-1" }
variables = { CURL_INCDIR = "/usr/include/$(gcc -print-multiarch)" }
EOF
for version in 5.1 5.2 5.3 5.4; do
    LUAROCKS_CONFIG=$work/rocks.cfg.lua luarocks --lua-version=$version make --tree="$work/tree$version" \
        directmail-scm-1.rockspec >"$log" 2>&1
    claim $? "luarocks make for Lua $version" "$log"
    # shellcheck disable=SC2046 # lines of export commands
    (eval "$(luarocks --lua-version=$version --tree="$work/tree$version" path --no-bin)" && cd / &&
        env -i LUA_PATH="$LUA_PATH" LUA_CPATH="$LUA_CPATH" lua$version "$work/smoke.lua") >"$log" 2>&1
    claim $? "the rock works in lua$version" "$log"
done
(eval "$(luarocks --lua-version=5.1 --tree="$work/tree5.1" path --no-bin)" && cd / &&
    env -i LUA_PATH="$LUA_PATH" LUA_CPATH="$LUA_CPATH" luajit "$work/smoke.lua") >"$log" 2>&1
claim $? "and the one for 5.1 in luajit" "$log"
[ -d "$root/build" ] && ! find "$root" -path "$root/build" -prune -o -name '*.o' -print | grep .
claim $? "nothing built lies outside of build/"
plan
