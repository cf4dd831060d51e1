#!/bin/sh
# `make demo` is a newcomer's first minute: a built mail in the sandbox, and the way to look at it.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT

make --no-print-directory demo >"$log" 2>&1
claim $? "make demo ends well" "$log"
grep -q '^sent by smtp, ' "$log"
claim $? "it shows the receipt" "$log"
! grep -q apt-get "$log"
claim $? "when everything is there, no package step" "$log"
grep -q '^sent by api in ' "$log"
claim $? "one mail goes by the signed API" "$log"
grep -q '^page http://127\.0\.0\.1:[0-9]*/$' "$log"
claim $? "it prints the address of the page" "$log"
mail=$(grep '^build/demo/mail/.*2\.eml$' "$log")
[ -s "$mail" ]
claim $? "it says where the mails can be looked at" "$log"
grep -q 'welcome\.pdf' "$mail" && grep -q "filename\*" "$mail"
claim $? "and there are the PDF and the file with a Chinese name" "$mail"
grep -q '"tls": *"starttls"' "${mail%.eml}.json" && grep -q '"user": *"noreply@mail.example.com"' "${mail%.eml}.json"
claim $? "it went with STARTTLS and AUTH" "${mail%.eml}.json"

# Without root the missing packages are named in one line to run, and nothing else is tried. In a
# copy, since nobody need not be able to read the checkout.
copy=$(mktemp -d)
trap 'rm -rf "$log" "$copy"' EXIT
chmod 755 "$copy"
cp Makefile "$copy"
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
as_user make -C "$copy" --no-print-directory deps PKG_BUILD="make no-such-package-directmail" PKG_RUN= >"$log" 2>&1
# make itself is there, so only the other one is named
[ $? -ne 0 ] && grep -q '^  sudo apt-get update && sudo apt-get install -y --no-install-recommends no-such-package-directmail$' "$log"
claim $? "without root, make deps prints the line to run and stops" "$log"

missing=
make help >"$log" 2>&1
for target in all deps deps-test check demo fuzz tables install clean help; do
    grep -q "^  $target " "$log" || missing="$missing $target"
done
[ -z "$missing" ]
claim $? "make help lists the targets" "$log"
plan
