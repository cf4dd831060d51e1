#!/bin/sh
# The sandbox's inbox in a real browser, with a mail that tries everything a mail should not do.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
chromium=$(command -v chromium || command -v chromium-browser)
if ! command -v node >/dev/null || [ ! -d tests/node/node_modules/playwright-core ] || [ -z "$chromium" ]; then
    not_ok "node, tests/node/node_modules or chromium is missing (make deps-test): the page was not opened in a browser"
    plan
fi
work=$(mktemp -d)
pid=
trap '[ -n "$pid" ] && kill "$pid"; rm -rf "$work"' EXIT

mkfifo "$work/fifo"
build/directmail sandbox --json --dir "$work/box" >"$work/fifo" 2>"$work/sandbox.log" &
pid=$!
read -r line <"$work/fifo"
get() { printf '%s' "$line" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }

# A port that nobody listens on for now: the browser's program takes it.
trap_port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
there=http://127.0.0.1:$trap_port
mkdir "$work/files"
printf 'a,b\r\n1,\377\000\r\n' >"$work/files/报告.csv"
echo '<script>document.title = "SCRIPT RAN"</script>' >"$work/files/page.html"
# 64 x 64 black dots
printf 'iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQAAAACCEkxzAAAAD0lEQVR42mNgGAWjgHwAAAJAAAHgTR1EAAAAAElFTkSuQmCC' | base64 -d >"$work/files/logo.png"
cat >"$work/body.html" <<EOF
<html><head><meta http-equiv="refresh" content="0; url=$there/refresh"><link rel="stylesheet" href="$there/style.css">
<link rel="dns-prefetch" href="//127.0.0.1:$trap_port"><link rel="prefetch" href="$there/prefetch"><base href="$there/"></head>
<body onload="document.body.innerHTML = 'SCRIPT RAN'"><h1>Rechnung</h1>
<p><img id="logo" src="cid:logo" alt="logo"> 发票 below</p>
<script>document.body.innerHTML = "SCRIPT RAN"; top.document.title = "SCRIPT RAN"</script>
<img src="$there/pixel.gif" onerror="document.body.innerHTML = 'SCRIPT RAN'"><iframe src="$there/inner"></iframe>
<object data="$there/object"></object><video src="$there/video" autoplay></video><style>@import "$there/import.css"; body { background: url($there/back.png) }</style>
<svg><script>document.body.innerHTML = "SCRIPT RAN"</script></svg>
<form action="$there/form" method="post"><button id="send">send</button></form>
<a id="away" href="$there/away" target="_top">away</a> <a href="javascript:document.body.innerHTML='SCRIPT RAN'">script</a></body></html>
EOF
env DIRECTMAIL_REGION="$(get DIRECTMAIL_REGION)" DIRECTMAIL_SENDER="$(get DIRECTMAIL_SENDER)" DIRECTMAIL_SMTP="$(get DIRECTMAIL_SMTP)" \
    DIRECTMAIL_SMTP_USER="$(get DIRECTMAIL_SMTP_USER)" DIRECTMAIL_SMTP_PASSWORD="$(get DIRECTMAIL_SMTP_PASSWORD)" DIRECTMAIL_CA="$(get DIRECTMAIL_CA)" \
    build/directmail send --via smtp --to ann@example.com --subject 'Invoice <b>not bold</b> – 您的发票' --html "@$work/body.html" \
    --text 'Guten Tag & 您好 <script>' --attach "$work/files/报告.csv" --attach "$work/files/page.html" --inline "logo=$work/files/logo.png" \
    --json >"$work/receipt" 2>"$work/send.log"
claim $? "a mail is sent that tries everything" "$work/receipt"
mail=$(sed -n 's/.*"id":"\([0-9]*\)".*/\1/p' "$work/receipt")

env WEB="$(get web)" MAIL="$mail" FILES="$work/files" TRAP="$trap_port" CHROMIUM="$chromium" \
    node tests/node/page.mjs >"$work/claims" 2>"$work/page.log"
claim $? "the page: the browser's program says no wrong word" "$work/page.log"
while read -r status name; do claim "$status" "$name"; done <"$work/claims"
[ "$(wc -l <"$work/claims")" -eq 12 ]
claim $? "all 12 claims about the page were tried" "$work/claims"

kill -TERM "$pid"
wait "$pid"
claim_status 0 $? "the sandbox ends well" "$work/sandbox.log"
pid=
plan
