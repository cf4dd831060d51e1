#!/bin/sh
# The third home: directmail inside Debian's nginx, as a user without rights (tests/nginx/*_test.lua).
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh

for need in /usr/sbin/nginx /usr/lib/nginx/modules/ngx_http_lua_module.so build/lua5.1/directmail/core.so; do
    if [ ! -e "$need" ]; then
        not_ok "nginx: $need is missing, so nothing was tried"
        plan
    fi
done
exec env LUA_PATH='lua/?.lua;lua/?/init.lua;tests/?.lua;;' LUA_CPATH='build/lua5.4/?.so;;' \
    lua5.4 /usr/bin/busted --ignore-lua -o TAP --pattern=_test tests/nginx
