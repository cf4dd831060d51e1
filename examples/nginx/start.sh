#!/bin/sh
# What `make demo-nginx` runs inside the sandbox: nginx with this folder's configuration on a free port, until Enter is pressed (or its standard
# input ends). Arguments: the directmail command, a folder to run in.
set -e
directmail=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
prefix=$(cd "$2" && pwd)
mkdir -p "$prefix/tmp"
cp -R "$here/nginx.conf" "$here/shop.lua" "$here/mail" "$here/pages" "$prefix/"

# OpenResty has Lua built in; Debian's nginx loads it.
nginx=
for name in openresty nginx /usr/sbin/nginx /usr/local/openresty/bin/openresty; do
    if command -v "$name" >/dev/null; then nginx=$name; break; fi
done
if [ -z "$nginx" ]; then echo "nginx is missing: apt-get install nginx libnginx-mod-http-lua lua-resty-core lua-cjson" >&2; exit 1; fi
: >"$prefix/local.conf"
for module in ndk_http_module ngx_http_lua_module; do
    for folder in /usr/lib/nginx/modules /usr/lib64/nginx/modules; do
        if [ -e "$folder/$module.so" ]; then echo "load_module $folder/$module.so;" >>"$prefix/local.conf"; fi
    done
done
# Started by root, nginx would give its workers to another user, who need not be able to read this folder.
if [ "$(id -u)" = 0 ]; then echo "user root;" >>"$prefix/local.conf"; fi

# A port that is free at this moment.
port=$(echo 'local l = require "directmail.host".listen("127.0.0.1", 0); print(l.port); l:close()' | "$directmail" -)
# The Lua modules of this checkout: nginx looks where they would be installed, and does not look at LUA_PATH.
paths=$("$directmail" env lua5.1)
eval "$paths"
sed -i -e "s/listen 127\.0\.0\.1:8080;/listen 127.0.0.1:$port;/" \
    -e "s|lua_package_path \"\$prefix/?.lua;;\";|lua_package_path \"\$prefix/?.lua;$LUA_PATH\"; lua_package_cpath \"$LUA_CPATH\";|" "$prefix/nginx.conf"

# No CA of the sandbox's: in nginx that is a directive, and the API on loopback needs none.
unset DIRECTMAIL_CA DIRECTMAIL_SMTP DIRECTMAIL_SMTP_USER DIRECTMAIL_SMTP_PASSWORD
"$nginx" -e error.log -p "$prefix/" -c nginx.conf -g 'daemon off;' &
pid=$!
trap 'kill -QUIT "$pid" 2>/dev/null; wait "$pid" || :' EXIT
n=0
until curl -s -o /dev/null "http://127.0.0.1:$port/"; do
    n=$((n + 1))
    if [ "$n" -gt 100 ] || ! kill -0 "$pid" 2>/dev/null; then cat "$prefix/error.log" >&2; exit 1; fi
    sleep 0.1
done

page=$(sed -n 's/.*"web":"\([^"]*\)".*/\1/p' "$prefix/../log.jsonl" | sed 's/\\//g')
echo "form   http://127.0.0.1:$port/"
echo "inbox  $page   the mails that it sends arrive here; nothing leaves this machine"
echo "log    $prefix/error.log"
if [ -t 0 ]; then printf 'Press Enter to end both. '; fi
read -r _ || :
