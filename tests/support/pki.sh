#!/bin/sh
# Make a throw-away certificate authority and a server certificate for loopback.
# Usage: pki.sh DIR   writes DIR/ca.pem, DIR/server.pem, DIR/server.key (localhost, smtp.test, 127.0.0.1, ::1)
set -eu
dir=$1
mkdir -p "$dir"
cd "$dir"
ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
exec 2>openssl.log
openssl req -x509 $ec -days 30 -subj '/CN=directmail test CA' -keyout ca.key -out ca.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
openssl req $ec -subj /CN=server -keyout server.key -out server.csr
printf '%s\n' 'subjectAltName=DNS:localhost,DNS:smtp.test,IP:127.0.0.1,IP:::1' \
    extendedKeyUsage=serverAuth basicConstraints=CA:FALSE >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out server.pem
chmod 600 ca.key server.key
