#!/bin/sh
# `make demo-nginx`: the whole example, nginx with its form, its JSON endpoint and its metrics, against the sandbox; and in a real browser.
# The handlers themselves are tested in tests/nginx/handlers_test.lua and hooks_test.lua.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
work=$(mktemp -d)
pid=
trap 'exec 3>&-; [ -n "$pid" ] && wait "$pid"; rm -rf "$work"' EXIT
chromium=$(command -v chromium || command -v chromium-browser)
if ! command -v node >/dev/null || [ ! -d tests/node/node_modules/playwright-core ] || [ -z "$chromium" ]; then
    not_ok "node, tests/node/node_modules or chromium is missing (make deps-test): nothing was tried"
    plan
fi

mkfifo "$work/in" "$work/out"
make --no-print-directory demo-nginx <"$work/in" >"$work/out" 2>"$work/err" &
pid=$!
exec 3>"$work/in"               # its end is the demo's end
form= inbox=
while read -r word url rest; do
    echo "$word $url $rest" >>"$work/said"
    case $word in
        form) form=$url ;;
        inbox) inbox=$url ;;
        log) break ;;
    esac
done <"$work/out"
[ -n "$form" ] && [ -n "$inbox" ]
claim $? "make demo-nginx says where the form and the inbox are" "$work/err"

post() { curl -s -o "$work/answer" -w '%{http_code}' -H "Origin: ${form%/}" "$@"; }

status=$(post -H 'Content-Type: application/json' -d '{"name":"Ann","email":"ann@example.com","topic":"Order","message":"by curl"}' "${form}api/contact")
[ "$status" = 200 ] && grep -q '"outcome":"sent"' "$work/answer"
claim $? "the JSON endpoint sends" "$work/answer"
curl -s "${inbox}wait?to=team@example.com&subject=Order:%20Ann&timeout=10" >"$work/mail"
grep -q 'by curl' "$work/mail" && grep -q 'ann@example.com' "$work/mail"
claim $? "and its mail is in the sandbox, by the template" "$work/mail"
status=$(curl -s -o "$work/answer" -w '%{http_code}' -d name=Ann "${form}contact")
claim "$([ "$status" = 403 ]; echo $?)" "without an Origin nothing is sent" "$work/answer"
curl -s "${form}metrics" >"$work/metrics"
grep -q '^directmail_mails_total{handler="api",deliver="wait",outcome="sent"} 1$' "$work/metrics"
claim $? "the metrics count it" "$work/metrics"
for path in hooks/mail unsubscribe; do
    status=$(post -X POST "$form$path")
    claim "$([ "$status" = 404 ]; echo $?)" "/$path without Redis and secret is not there" "$work/answer"
done

env FORM="$form" WEB="$inbox" CHROMIUM="$chromium" SHOTS="${SHOTS:-}" node tests/node/form.mjs >"$work/claims" 2>"$work/page.log"
claim $? "the browser's program says no wrong word" "$work/page.log"
while read -r status name; do claim "$status" "$name"; [ "$status" = 0 ] || sed 's/^/# /' "$work/page.log"; done <"$work/claims"
[ "$(wc -l <"$work/claims")" -eq 6 ]
claim $? "all 6 claims about the form were tried" "$work/page.log"

exec 3>&-
wait "$pid"
claim_status 0 $? "the demo ends well when its input ends" "$work/err"
pid=

# The steps at the top of nginx.conf make a copy of the folder one that nginx takes.
cp -R examples/nginx "$work/own"
paths=$(build/directmail env lua5.1)
(cd "$work/own" && eval "$(sed -n 's/^#   \(mkdir\|printf\)/\1/p' nginx.conf)" && eval "$paths" &&
    sed -i "s|lua_package_path \"\$prefix/?.lua;;\";|lua_package_path \"\$prefix/?.lua;$LUA_PATH\"; lua_package_cpath \"$LUA_CPATH\";|" nginx.conf &&
    PATH=$PATH:/usr/sbin nginx -e error.log -t -p "$PWD/" -c nginx.conf) >"$work/own.log" 2>&1
claim $? "what nginx.conf says about running it for oneself is enough" "$work/own.log"
plan
