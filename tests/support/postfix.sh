#!/bin/sh
# A real mail server on loopback: Postfix, with Dovecot checking passwords. Needs root.
# Usage: postfix.sh start DIR   DIR is new; prints and keeps DIR/ports: PLAIN= SUBMISSION= SMTPS= CA=
#        postfix.sh stop DIR
# Users: user@smtp.test, password "pass". Mailboxes: user@ and b@smtp.test in DIR/mail/NAME/new.
# defer@smtp.test is answered 450, full@smtp.test 552. PLAIN takes mail without AUTH (STARTTLS
# optional), SUBMISSION wants STARTTLS and AUTH, SMTPS speaks TLS from the first octet.
set -eu
action=$1
mkdir -p "$2"
d=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

if [ "$action" = stop ]; then
    if [ -f "$d/etc/main.cf" ]; then postfix -c "$d/etc" stop >/dev/null 2>&1 || :; fi
    if [ -f "$d/dovecot.pid" ]; then
        pid=$(cat "$d/dovecot.pid")
        kill "$pid" 2>/dev/null || :
        # only when it is gone can DIR be removed under it; `tail --pid` waits for a process that is not our child
        timeout 10 tail --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || :
    fi
    exit 0
fi

[ "$(id -u)" = 0 ] || { echo "postfix.sh: needs root" >&2; exit 77; }

ports=$(/usr/bin/python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]   # all at once, so that they differ
print(*[s.getsockname()[1] for s in held])')
# shellcheck disable=SC2086 # three words are meant
set -- $ports

chmod 755 "$d"
mkdir -p "$d/etc" "$d/queue" "$d/data" "$d/mail" "$d/dovecot"
chown postfix "$d/data"
chown 65534:65534 "$d/mail"
cp /etc/postfix/dynamicmaps.cf /etc/postfix/postfix-files "$d/etc/"
sh "$here/pki.sh" "$d/pki"

cat >"$d/etc/main.cf" <<EOF
compatibility_level = 3.6
queue_directory = $d/queue
data_directory = $d/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = $d/postfix.log
maillog_file_prefixes = $d
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = smtp.test
mydestination =
mynetworks =
alias_maps =
virtual_mailbox_domains = smtp.test
virtual_mailbox_base = $d/mail
virtual_mailbox_maps = inline:{ {user@smtp.test=user/} {b@smtp.test=b/} {full@smtp.test=full/} }
virtual_mailbox_limit = 0
message_size_limit = 31457280
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
default_transport = error:external delivery is off
relay_transport = error:external delivery is off
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ {defer@smtp.test=450 4.7.1 try later} {full@smtp.test=552 5.2.2 mailbox full} }
smtpd_tls_cert_file = $d/pki/server.pem
smtpd_tls_key_file = $d/pki/server.key
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_error_sleep_time = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
EOF
cat >"$d/etc/master.cf" <<EOF
127.0.0.1:$1 inet n - n - 20 smtpd
127.0.0.1:$2 inet n - n - 20 smtpd
    -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
    -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:$3 inet n - n - 20 smtpd
    -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
    -o smtpd_client_restrictions=permit_sasl_authenticated,reject
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
EOF
cat >"$d/dovecot/dovecot.conf" <<EOF
base_dir = $d/dovecot/run
log_path = $d/dovecot/log
protocols =
ssl = no
auth_mechanisms = plain login
disable_plaintext_auth = no
auth_failure_delay = 0
default_internal_user = dovecot
default_login_user = dovenull
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u $d/dovecot/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=$d/mail
}
service auth {
  unix_listener $d/queue/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
EOF
echo 'user@smtp.test:{PLAIN}pass' >"$d/dovecot/users"

{
    postfix -c "$d/etc" set-permissions
    postfix -c "$d/etc" check
} >"$d/start.log" 2>&1
# Out of our process group: whoever runs a test under timeout(1) shall not have to wait for a daemon.
setsid dovecot -F -c "$d/dovecot/dovecot.conf" >>"$d/start.log" 2>&1 </dev/null &
echo $! >"$d/dovecot.pid"
setsid postfix -c "$d/etc" start-fg >>"$d/start.log" 2>&1 </dev/null &

cat >"$d/ports" <<EOF
PLAIN=$1
SUBMISSION=$2
SMTPS=$3
CA=$d/pki/ca.pem
EOF
# Ready when a password can be checked: AUTH is offered only once Dovecot listens.
/usr/bin/python3 - "$2" "$d/pki/ca.pem" <<'EOF' || { cat "$d/start.log" "$d/postfix.log" "$d/dovecot/log" >&2 2>/dev/null; exit 1; }
import smtplib, ssl, sys, time
until = time.monotonic() + 30
while True:
    try:
        with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=10) as s:
            s.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))
            s.login("user@smtp.test", "pass")
        break
    except (OSError, smtplib.SMTPException) as e:
        if time.monotonic() > until:
            sys.exit("Postfix is not ready after 30 s: %r" % e)
        time.sleep(0.1)
EOF
cat "$d/ports"
