#!/bin/sh
# Lua 5.2 and 5.3 build the module from the same sources and send one mail by each method. (5.1, LuaJIT and 5.4 run every test.)
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
log=$(mktemp)
script=$(mktemp)
trap 'rm -f "$log" "$script"' EXIT

cat >"$script" <<'LUA'
local directmail = require "directmail"
local by = {}
for _, via in ipairs { "smtp", "api" } do
  local receipt = assert(directmail.new { via = via }:send { to = "ann@example.net", subject = _VERSION .. " 您好", text = "by " .. via })
  by[#by + 1] = receipt.via .. " " .. receipt.outcome
end
assert(require "directmail.twin".text "<p>Hi&nbsp;<b>您好" == "Hi 您好\n")
print(_VERSION .. ": " .. table.concat(by, ", "))
LUA

for lua in lua5.2 lua5.3; do
    make --no-print-directory module LUAS=$lua B=build/luas >"$log" 2>&1         # apart: other tests build beside this one
    claim $? "$lua builds" "$log"
    LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH="build/luas/$lua/?.so;;" \
        build/directmail sandbox -- $lua "$script" >"$log" 2>&1
    grep -q '^Lua 5\.[23]: smtp sent, api sent$' "$log"
    claim $? "$lua sends by SMTP and by the API" "$log"
done
plan
