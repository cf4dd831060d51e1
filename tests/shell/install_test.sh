#!/bin/sh
# What `make install` installs works elsewhere, without the checkout, and `make uninstall` takes it away.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
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
assert(require "directmail.twin".text "<p>Hi" == "Hi\n")
print((_VERSION:gsub("Lua ", "")))
EOF

# A copy of what is built, in which the command alone is made again: it knows the prefix.
make --no-print-directory all >"$log" 2>&1
mkdir "$work/build" && cp -a build/core build/lua5.4 build/cli build/libdirectmail_core.a build/embed.inc build/settings "$work/build"
make --no-print-directory install B="$work/build" PREFIX="$work/usr" >"$log" 2>&1
claim $? "make install" "$log"
rm -rf "$work/build"
(cd / && env -i "$work/usr/bin/directmail" version) >"$log" 2>&1
claim $? "the installed command runs" "$log"
(cd / && env -i "$work/usr/bin/directmail" "$work/smoke.lua") >"$log" 2>&1
claim $? "and finds its modules" "$log"
(cd / && env -i LUA_PATH="$work/usr/share/lua/5.4/?.lua;$work/usr/share/lua/5.4/?/init.lua;;" \
    LUA_CPATH="$work/usr/lib/lua/5.4/?.so;;" lua5.4 "$work/smoke.lua") >"$log" 2>&1
claim $? "lua5.4 finds the installed module" "$log"

for file in bash-completion/completions/directmail zsh/site-functions/_directmail fish/vendor_completions.d/directmail.fish; do
    [ -s "$work/usr/share/$file" ]
    claim $? "the completions lie where the shell looks: $file"
done
man -M "$work/usr/share/man" directmail 2>"$log" | grep -q "mail through Alibaba Cloud Direct Mail"
claim $? "man shows the page" "$log"
[ "$(stat -c %a "$work/usr/share/man/man1/directmail.1")" = 644 ]
claim $? "everybody may read it"

touch "$work/usr/share/lua/5.4/directmail/mine.lua"
make --no-print-directory uninstall B="$work/build" PREFIX="$work/usr" >"$log" 2>&1
claim $? "make uninstall" "$log"
find "$work/usr" -type f >"$log"
[ "$(cat "$log")" = "$work/usr/share/lua/5.4/directmail/mine.lua" ]
claim $? "takes away all that it installed, and nothing else" "$log"

# OPM reads the version from here: in init.lua it is no literal.
[ "$(sed -n 's/^version = //p' dist.ini)" = "$(sed -n 's/^#define DM_VERSION "\(.*\)"$/\1/p' include/directmail.h)" ]
claim $? "dist.ini has the version of directmail.h"
plan
