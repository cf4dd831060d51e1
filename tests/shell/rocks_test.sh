#!/bin/sh
# `luarocks make` installs a module that does one of everything (examples/tour.lua) from another folder, in each Lua, without a network.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
root=$PWD
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT

make --no-print-directory all >"$log" 2>&1      # the command runs the sandbox
cp examples/tour.lua "$work"
mkdir "$work/else" && cd "$work/else" || exit 1

# No server is asked; Debian's lua-cjson stands for the rock of that name.
cat >"$work/rocks.cfg.lua" <<EOF
rocks_servers = {}
rocks_provided = { ["lua-cjson"] = "2.1.0-1" }
variables = { CURL_INCDIR = "/usr/include/$(gcc -print-multiarch)" }
EOF

tour() {                        # LUA, VERSION of its tree
    exports=$(luarocks --lua-version="$2" --tree="$work/tree$2" path --no-bin)      # for the tour only: the sandbox has modules of its own
    "$root/build/directmail" sandbox -- sh -c 'eval "$1"; exec "$2" "$3"' sh "$exports" "$1" "$work/tour.lua" >"$work/out" 2>"$log"
    status=$?
    cat "$work/out" >>"$log"
    [ $status -eq 0 ] && [ "$(wc -l <"$work/out")" -eq 11 ] && ! grep -q "$root" "$work/out"
    claim $? "the rock takes $1 on the tour" "$log"
}

for version in 5.1 5.2 5.3 5.4; do
    (cd "$root" && LUAROCKS_CONFIG=$work/rocks.cfg.lua luarocks --lua-version=$version make --tree="$work/tree$version" \
        directmail-scm-1.rockspec) >"$log" 2>&1
    claim $? "luarocks make for Lua $version" "$log"
    tour lua$version $version
done
tour luajit 5.1
! find "$root" -path "$root/build" -prune -o -name '*.o' -print | grep .
claim $? "nothing built lies outside of build/"
plan
