#!/bin/sh
# What `make demo` runs inside the sandbox: one mail by the API, one by SMTP with attachments; then
# the page stays open until Enter is pressed. Argument: the directmail command.
here=$(dirname "$0")
"$1" "$here/alert.lua" && "$1" "$here/welcome.lua" || exit
# the sandbox notes its addresses in its log, beside its certificate
page=$(sed -n 's/.*"web":"\([^"]*\)".*/\1/p' "$(dirname "$DIRECTMAIL_CA")/log.jsonl" | sed 's/\\//g')
echo "page $page"
if [ -t 0 ]; then
    printf 'Open it in a browser; press Enter to end the sandbox. '
    read -r _
fi
