#!/bin/sh
# The sandbox's API takes the official SDK for Node, and curl with signatures that openssl makes.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
work=$(mktemp -d)
pid=
trap '[ -n "$pid" ] && kill "$pid"; rm -rf "$work"' EXIT

mkfifo "$work/fifo"
build/directmail sandbox --json --dir "$work/box" >"$work/fifo" 2>"$work/sandbox.log" &
pid=$!
read -r line <"$work/fifo"
get() { printf '%s' "$line" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
api=$(get api)
id=$(get ALIBABA_CLOUD_ACCESS_KEY_ID)
secret=$(get ALIBABA_CLOUD_ACCESS_KEY_SECRET)
[ -n "$api" ] && [ -n "$id" ] && [ "${#secret}" -eq 30 ]
claim $? "the sandbox says where its API is, and with which AccessKey" "$work/sandbox.log"

# -- the official SDK ---------------------------------------------------------
if command -v node >/dev/null && [ -d tests/node/node_modules/@alicloud/dm20151123 ]; then
    env DIRECTMAIL_API="$api" ALIBABA_CLOUD_ACCESS_KEY_ID="$id" ALIBABA_CLOUD_ACCESS_KEY_SECRET="$secret" \
        DIRECTMAIL_SENDER="$(get DIRECTMAIL_SENDER)" WEB="$(get web)" \
        node tests/node/sdk.mjs >"$work/claims" 2>"$work/sdk.log"
    claim $? "the official SDK: its program says no wrong word" "$work/sdk.log"
    while read -r status name; do claim "$status" "$name"; done <"$work/claims"
    [ "$(wc -l <"$work/claims")" -eq 12 ]
    claim $? "all 12 claims about the SDK were tried" "$work/claims"
else
    not_ok "node or tests/node/node_modules is missing (make deps-test): the official SDK was left out"
fi

# -- curl, signed by openssl --------------------------------------------------
# Percent-encode as RFC 3986 wants it, octet by octet.
enc() {
    printf '%s' "$1" | od -An -v -tx1 | tr -s ' ' '\n' | awk '
        BEGIN { for (i = 0; i < 256; i++) value[sprintf("%02x", i)] = i }
        /../ { v = value[$1]
               if (v == 45 || v == 46 || v == 95 || v == 126 || (v >= 48 && v <= 57) || (v >= 65 && v <= 90) || (v >= 97 && v <= 122)) printf "%c", v
               else printf "%%%02X", v }'
}
nonce() { openssl rand -hex 16; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

subject="openssl ~ * ' ( ) ! + / % & = ? 您好"
# in the order of their names, as the string to sign wants them
v1_params() {                   # NONCE
    printf 'AccessKeyId=%s&AccountName=%s&Action=SingleSendMail&AddressType=1&Format=%s&ReplyToAddress=false' "$id" "$(enc noreply@mail.example.com)" "$format"
    printf '&SignatureMethod=HMAC-SHA1&SignatureNonce=%s&SignatureVersion=1.0&Subject=%s&TextBody=Hi' "$1" "$(enc "$subject")"
    printf '&Timestamp=%s&ToAddress=%s&Version=2015-11-23' "$(enc "$(now)")" "$(enc bob@example.net)"
}
v1_signature() {                # METHOD PARAMS
    printf '%s&%%2F&%s' "$1" "$(enc "$2")" | openssl dgst -sha1 -hmac "$secret&" -binary | base64
}
ask() { curl -sS -o "$work/answer" -w '%{http_code} %{content_type}' --max-time 10 "$@" >"$work/status" 2>"$work/curl.log"; }
said() { grep -q -- "$1" "$work/status" && grep -q -- "$2" "$work/answer"; }

format=JSON
params=$(v1_params "$(nonce)")
ask "$api" --data "$params&Signature=$(enc "$(v1_signature POST "$params")")"
said '^200 application/json' '"EnvId":"6[0-9]\{17\}"'
claim $? "curl, V1 by POST" "$work/answer"
ask "$api" --data "$params&Signature=$(enc "$(v1_signature POST "$params")")"
said '^400' '"Code":"SignatureNonceUsed"'
claim $? "the same call again: SignatureNonceUsed" "$work/answer"

format=XML
params=$(v1_params "$(nonce)")
ask "$api?$params&Signature=$(enc "$(v1_signature GET "$params")")"
said '^200 text/xml' '<SingleSendMailResponse><EnvId>6[0-9]\{17\}</EnvId><RequestId>[0-9A-F-]\{36\}</RequestId></SingleSendMailResponse>'
claim $? "curl, V1 by GET, answered in XML" "$work/answer"

params=$(v1_params "$(nonce)")
ask "$api?$params&Signature=$(enc "$(v1_signature POST "$params")")"
said '^400 text/xml' '<Code>SignatureDoesNotMatch</Code>' && grep -q 'server string to sign is:GET&amp;%2F&amp;AccessKeyId%3D' "$work/answer"
claim $? "the signature of another method is refused with the server's string to sign" "$work/answer"

v3() {                          # BODY DATE: with curl's own Host and the headers that were signed
    body=$1
    host=$(printf '%s' "$api" | sed 's|^http://||; s|/$||')
    hash=$(printf '%s' "$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
    nonce=$(nonce)
    signed='content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version'
    canonical=$(printf 'POST\n/\n\ncontent-type:application/x-www-form-urlencoded\nhost:%s\nx-acs-action:SingleSendMail\nx-acs-content-sha256:%s\nx-acs-date:%s\nx-acs-signature-nonce:%s\nx-acs-version:2015-11-23\n\n%s\n%s' \
        "$host" "$hash" "$2" "$nonce" "$signed" "$hash")
    signature=$(printf 'ACS3-HMAC-SHA256\n%s' "$(printf '%s' "$canonical" | openssl dgst -sha256 -r | cut -d' ' -f1)" |
        openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)
    shift 2
    ask "$api" "$@" --data-binary "$body" -H 'Content-Type: application/x-www-form-urlencoded' -H 'x-acs-action: SingleSendMail' \
        -H "x-acs-content-sha256: $hash" -H "x-acs-date: $date" -H "x-acs-signature-nonce: $nonce" -H 'x-acs-version: 2015-11-23' \
        -H "Authorization: ACS3-HMAC-SHA256 Credential=$id,SignedHeaders=$signed,Signature=$signature"
}
form="AccountName=noreply%40mail.example.com&AddressType=1&ReplyToAddress=false&Subject=$(enc "$subject")&TextBody=Hi&ToAddress=eve%40example.net"
date=$(now)
v3 "$form" "$date"
said '^200 application/json' '"EnvId":"6[0-9]\{17\}"'
claim $? "curl, V3" "$work/answer"
v3 "$form" "$date" -H 'Transfer-Encoding: chunked'
said '^200 application/json' '"EnvId"'
claim $? "curl, V3, the body in chunks" "$work/answer"
date=$(date -u -d '-20 minutes' +%Y-%m-%dT%H:%M:%SZ)
v3 "$form" "$date"
said '^400' '"Code":"InvalidTimeStamp.Expired"'
claim $? "a clock 20 minutes behind: InvalidTimeStamp.Expired" "$work/answer"
date=$(now)
signed_date=$date
v3 "$form" "$signed_date" -H 'x-acs-version: 2015-11-23'
said '^400' 'server CanonicalRequest is \[POST'
claim $? "a header that was changed after signing: the server's canonical request" "$work/answer"
grep -qF 'x-acs-version:2015-11-23,2015-11-23' "$work/answer"
claim $? "which shows the header as it came" "$work/answer"

curl -sS -o "$work/answer" --max-time 10 "$(get web)wait?to=eve@example.net&timeout=5"
grep -qF "\"subject\":\"$subject\"" "$work/answer"
claim $? "the mail has the subject that was signed" "$work/answer"

kill -TERM "$pid"
wait "$pid"
claim_status 0 $? "the sandbox ends well" "$work/sandbox.log"
pid=
plan
