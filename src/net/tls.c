/* tls.c - OpenSSL over a watched socket: verified, bounded below by TLS 1.2, without SIGPIPE. */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { CONTEXTS = 16, NAME_LENGTH = 253 };      /* CA files remembered; octets of a host name, RFC 1035, 2.3.4 */

/* A server says how many tickets it hands out, and those of one must not push out those of all others. */
enum { SESSIONS = 64, PER_SERVER = 8 };

struct dm_tls_conn {
    SSL *ssl;
    dm_watch *watch;
    int error;                      /* errno of the last recv or send that failed; 0: the peer closed */
    bool client, up, broken;
    bool heard;
    unsigned char first;            /* the first octet that came: tells clear text from TLS */
    bool offered;                   /* a session of before, to be resumed */
    double verified;                /* dm_tick() of when this server's certificate was last looked at */
    int port;                       /* 0: no session is remembered */
    char name[NAME_LENGTH + 1];     /* what its certificate is for */
    char names[DM_TLS_NAMES];       /* whom a refused certificate is for */
};

/* ---- the BIO ------------------------------------------------------------
** OpenSSL's socket BIO writes without MSG_NOSIGNAL, so a peer that closes would
** kill the host program; a module must not change how signals are handled.
*/

static int bio_read(BIO *b, char *to, int max) {
    dm_tls_conn *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (max <= 0) return 0;
    ssize_t n = dm_watch_recv(t->watch, to, (size_t)max);
    if (n > 0) {
        if (!t->heard) t->first = (unsigned char)to[0];
        t->heard = true;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        BIO_set_retry_read(b);
    } else {
        t->error = n < 0 ? errno : 0;
    }
    return (int)n;
}

static int bio_write(BIO *b, const char *from, int size) {
    dm_tls_conn *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (size <= 0) return 0;
    ssize_t n = dm_watch_send(t->watch, from, (size_t)size);
    if (n < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_write(b);
        else t->error = errno;
    }
    return (int)n;
}

static long bio_ctrl(BIO *b, int command, long n, void *p) {
    (void)b, (void)n, (void)p;
    return command == BIO_CTRL_FLUSH;       /* nothing is buffered here */
}

/* ---- contexts -----------------------------------------------------------*/

typedef struct context {
    char *ca;                       /* NULL: the system's store */
    struct timespec changed;        /* a file written anew is read anew */
    off_t size;
    ino_t inode;
    SSL_CTX *ctx;
} context;

/* A session is for one name, verified against one CA file, and never offered to anybody else. */
typedef struct session {
    const SSL_CTX *ctx;             /* stands for the CA file as it was read */
    char *name;
    int port;
    double verified;
    SSL_SESSION *ssl;
} session;

struct dm_tls_store {
    BIO_METHOD *bio;
    unsigned count, changes;
    context contexts[CONTEXTS];     /* oldest first */
    unsigned remembered;
    session sessions[SESSIONS];     /* oldest first */
};

static void session_drop(dm_tls_store *s, unsigned i) {
    free(s->sessions[i].name);
    SSL_SESSION_free(s->sessions[i].ssl);
    memmove(&s->sessions[i], &s->sessions[i + 1], (s->remembered - i - 1) * sizeof *s->sessions);
    s->remembered--;
}

static bool session_is(const session *x, const SSL_CTX *ctx, const char *name, int port) {
    return x->ctx == ctx && x->port == port && strcmp(x->name, name) == 0;
}

static void sessions_forget(dm_tls_store *s, const SSL_CTX *ctx, const char *name, int port) {
    for (unsigned i = s->remembered; i > 0; i--)
        if (session_is(&s->sessions[i - 1], ctx, name, port)) session_drop(s, i - 1);
}

static void context_clear(dm_tls_store *s, context *c) {
    for (unsigned i = s->remembered; i > 0; i--)
        if (s->sessions[i - 1].ctx == c->ctx) session_drop(s, i - 1);
    free(c->ca);
    SSL_CTX_free(c->ctx);
    memset(c, 0, sizeof *c);
}

void dm_tls_store_free(dm_tls_store *s) {
    if (!s) return;
    for (unsigned i = 0; i < s->count; i++) context_clear(s, &s->contexts[i]);
    BIO_meth_free(s->bio);
    free(s);
}

static dm_tls_store *store_of(dm_loop *l) {
    dm_tls_store **slot = dm_loop_tls(l);
    if (*slot) return *slot;
    dm_tls_store *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "directmail");
    if (!s->bio || !BIO_meth_set_read(s->bio, bio_read) || !BIO_meth_set_write(s->bio, bio_write) || !BIO_meth_set_ctrl(s->bio, bio_ctrl)) {
        dm_tls_store_free(s);
        return NULL;
    }
    *slot = s;
    return s;
}

static void why_openssl(dm_why *why, const char *what) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    dm_why_set(why, "%s%s", what, reason ? reason : "out of memory");
    ERR_clear_error();
}

/* What both halves have in common. */
static bool common(SSL_CTX *ctx) {
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) return false;     /* RFC 8997 */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);         /* a record's head and body with one recv */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return true;
}

static int remember(SSL *ssl, SSL_SESSION *fresh);

static SSL_CTX *make_client(const char *ca, dm_why *why) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!common(ctx)) {
        why_openssl(why, "TLS cannot be set up: ");
    } else if (ca ? !SSL_CTX_load_verify_locations(ctx, ca, NULL) : !SSL_CTX_set_default_verify_paths(ctx)) {
        char what[200];
        snprintf(what, sizeof what, "the CA file %.150s cannot be used: ", ca ? ca : "of the system");
        why_openssl(why, what);
    } else {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, remember);
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

static SSL_CTX *client_context(dm_tls_store *s, const char *ca, dm_why *why) {
    struct stat file = {0};
    unsigned i;
    if (ca && stat(ca, &file) != 0) {
        char words[128];
        dm_why_set(why, "the CA file %.150s cannot be used: %s", ca, strerror_r(errno, words, sizeof words));
        return NULL;
    }
    for (i = 0; i < s->count; i++) {
        context *c = &s->contexts[i];
        if (ca ? !c->ca || strcmp(c->ca, ca) != 0 : c->ca != NULL) continue;
        if (c->size == file.st_size && c->inode == file.st_ino && c->changed.tv_sec == file.st_mtim.tv_sec && c->changed.tv_nsec == file.st_mtim.tv_nsec)
            return c->ctx;
        break;
    }
    SSL_CTX *ctx = make_client(ca, why);
    char *copy = ca && ctx ? strdup(ca) : NULL;
    if (ctx && ca && !copy) {
        dm_why_set(why, "out of memory");
        SSL_CTX_free(ctx);
        ctx = NULL;
    }
    if (!ctx) return NULL;
    if (i == CONTEXTS) i = 0;               /* full: the oldest goes */
    if (i < s->count) {
        context_clear(s, &s->contexts[i]);
        memmove(&s->contexts[i], &s->contexts[i + 1], (s->count - i - 1) * sizeof *s->contexts);
        s->count--;
        s->changes++;
    }
    s->contexts[s->count++] = (context){copy, file.st_mtim, file.st_size, file.st_ino, ctx};
    return ctx;
}

static int no_password(char *to, int size, int writing, void *data) {
    (void)to, (void)size, (void)writing, (void)data;
    return 0;                               /* OpenSSL's own callback would ask on the terminal */
}

SSL_CTX *dm_tls_identity(const char *cert, size_t cert_size, const char *key, size_t key_size, dm_why *why) {
    SSL_CTX *ctx = NULL;
    X509 *x = NULL;
    EVP_PKEY *k = NULL;
    BIO *b = NULL;
    bool good = false;
    ERR_clear_error();
    if (cert_size > INT32_MAX || key_size > INT32_MAX) goto done;
    ctx = SSL_CTX_new(TLS_server_method());
    if (!common(ctx)) goto done;
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);     /* nobody resumes here, and unread tickets turn a close into a reset */
    SSL_CTX_set_num_tickets(ctx, 0);
    b = BIO_new_mem_buf(cert, (int)cert_size);
    if (!b || !(x = PEM_read_bio_X509(b, NULL, no_password, NULL)) || !SSL_CTX_use_certificate(ctx, x)) goto done;
    for (X509 *next; (next = PEM_read_bio_X509(b, NULL, no_password, NULL));) {
        good = SSL_CTX_add1_chain_cert(ctx, next) == 1;
        X509_free(next);
        if (!good) goto done;
    }
    ERR_clear_error();                      /* the end of the PEM file */
    BIO_free(b);
    b = BIO_new_mem_buf(key, (int)key_size);
    good = b && (k = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL)) && SSL_CTX_use_PrivateKey(ctx, k) && SSL_CTX_check_private_key(ctx);
done:
    if (!good) {
        why_openssl(why, "the certificate and key cannot be used: ");
        SSL_CTX_free(ctx);
        ctx = NULL;
    }
    BIO_free(b);
    X509_free(x);
    EVP_PKEY_free(k);
    return ctx;
}

/* ---- certificates in words ----------------------------------------------*/

/* A stranger's bytes: control characters and what is not ASCII become '?'. */
static size_t add_text(char *out, size_t size, size_t at, const char *p, size_t n) {
    for (size_t i = 0; i < n && at + 1 < size; i++) out[at++] = p[i] >= ' ' && p[i] < 127 ? p[i] : '?';
    out[at] = '\0';
    return at;
}

static void common_name(X509 *x, char *out, size_t size) {
    const X509_NAME *name = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *text = NULL;
    int n = at < 0 ? -1 : ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    out[0] = '\0';
    if (n > 0) add_text(out, size, 0, (char *)text, (size_t)n);
    OPENSSL_free(text);
}

/* The names of subjectAltName, "a, b"; as many as fit. */
static void alternative_names(X509 *x, char *out, size_t size) {
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char ip[DM_IP_TEXT];
        const char *p = NULL;
        size_t n = 0;
        if (name->type == GEN_DNS) {
            p = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
            n = (size_t)ASN1_STRING_length(name->d.dNSName);
        } else if (name->type == GEN_IPADD) {
            int octets = ASN1_STRING_length(name->d.iPAddress);
            p = octets == 4 || octets == 16 ? inet_ntop(octets == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), ip, sizeof ip) : NULL;
            n = p ? strlen(p) : 0;
        }
        if (!p) continue;
        if (at + n + 8 > size) {
            add_text(out, size, at, ", ...", at ? 5 : 0);
            break;
        }
        if (at) at = add_text(out, size, at, ", ", 2);
        at = add_text(out, size, at, p, n);
    }
    GENERAL_NAMES_free(names);
}

/* A refused certificate is not kept by OpenSSL, so its names are noted while it is looked at. */
static void note_names(X509_STORE_CTX *store, char *names) {
    int error = X509_STORE_CTX_get_error(store);
    X509 *x = X509_STORE_CTX_get0_cert(store);
    if (!x || (error != X509_V_ERR_HOSTNAME_MISMATCH && error != X509_V_ERR_IP_ADDRESS_MISMATCH)) return;
    alternative_names(x, names, DM_TLS_NAMES);
    if (names[0] == '\0') {
        char name[128];
        common_name(x, name, sizeof name);
        snprintf(names, DM_TLS_NAMES, name[0] ? "%s, in its common name only" : "nobody%s", name);
    }
}

static int verified(int ok, X509_STORE_CTX *store) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    dm_tls_conn *t = ssl ? SSL_get_app_data(ssl) : NULL;
    if (!ok && t) note_names(store, t->names);
    return ok;
}

bool dm_tls_describe(const dm_tls_conn *t, dm_tls_info *out) {
    if (!t || !t->up) return false;
    memset(out, 0, sizeof *out);
    out->version = SSL_get_version(t->ssl);
    out->cipher = SSL_get_cipher_name(t->ssl);
    out->resumed = SSL_session_reused(t->ssl) == 1;
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    struct tm date;
    if (!x) return true;
    common_name(x, out->subject, sizeof out->subject);
    if (out->subject[0] == '\0') alternative_names(x, out->subject, sizeof out->subject);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &date))
        snprintf(out->expires, sizeof out->expires, "%04d-%02d-%02d", (date.tm_year + 1900) % 10000, (date.tm_mon + 1) % 100, date.tm_mday % 100);
    return true;
}

/* ---- sessions -----------------------------------------------------------*/

/* OpenSSL hands a session over: behind a handshake of TLS 1.2, with each ticket of TLS 1.3. 1: it is ours now. */
static int remember(SSL *ssl, SSL_SESSION *fresh) {
    const dm_tls_conn *t = SSL_get_app_data(ssl);
    const SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    dm_tls_store *s = t && t->watch->loop ? *dm_loop_tls(t->watch->loop) : NULL;
    unsigned i = 0, same = 0, oldest = 0;
    if (!s || t->port == 0 || SSL_get_verify_result(ssl) != X509_V_OK) return 0;
    while (i < s->count && s->contexts[i].ctx != ctx) i++;
    if (i == s->count) return 0;            /* its CA file was read anew since */
    for (i = s->remembered; i > 0; i--) {
        if (!session_is(&s->sessions[i - 1], ctx, t->name, t->port)) continue;
        oldest = i - 1;
        same++;
    }
    char *name = strdup(t->name);
    if (!name) return 0;
    if (same >= PER_SERVER) session_drop(s, oldest);
    else if (s->remembered == SESSIONS) session_drop(s, 0);
    /* a session that goes on was verified when it began; a handshake of TLS 1.2 is not over yet */
    double verified = t->up || SSL_session_reused(ssl) ? t->verified : dm_tick();
    s->sessions[s->remembered++] = (session){ctx, name, t->port, verified, fresh};
    return 1;
}

static bool session_fits(const session *x) {
    const X509 *peer = SSL_SESSION_get0_peer(x->ssl);
    return SSL_SESSION_is_resumable(x->ssl) && dm_tick() - x->verified < DM_TLS_SESSION_SECONDS && peer && X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

/* Offer the newest session with this server, if there is one that still holds. */
static void resume(dm_tls_store *s, dm_tls_conn *t, const SSL_CTX *ctx) {
    for (unsigned i = s->remembered; i > 0; i--) {
        const session *x = &s->sessions[i - 1];
        if (!session_is(x, ctx, t->name, t->port)) continue;
        bool fits = session_fits(x);
        if (fits && SSL_set_session(t->ssl, x->ssl) == 1) {
            t->offered = true;
            t->verified = x->verified;
        }
        /* a ticket of TLS 1.3 is for one connection, so that nobody on the way can tell which belong together (RFC 8446, C.4) */
        if (!fits || SSL_SESSION_get_protocol_version(x->ssl) >= TLS1_3_VERSION) session_drop(s, i - 1);
        if (t->offered) return;
    }
}

/* ---- connections --------------------------------------------------------*/

static dm_tls_conn *new_tls(dm_socket *s, dm_tls_store *store, SSL_CTX *ctx) {
    dm_tls_conn *t = calloc(1, sizeof *t);
    BIO *b = t ? BIO_new(store->bio) : NULL;
    if (t) t->ssl = SSL_new(ctx);
    if (!b || !t->ssl) {
        BIO_free(b);
        dm_tls_free(t);
        return NULL;
    }
    t->watch = &s->watch;
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(t->ssl, b, b);
    SSL_set_app_data(t->ssl, t);
    return t;
}

/* The name that the certificate must be for; 'host' gets it for SNI, or "" since that never holds an IP literal (RFC 6066, 3). */
static bool expect(X509_VERIFY_PARAM *param, const char *name, char host[NAME_LENGTH + 1]) {
    unsigned char ip[16];
    host[0] = '\0';
    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1) return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.') n--;
    if (n == 0 || n > NAME_LENGTH) return false;
    memcpy(host, name, n);
    host[n] = '\0';
    /* RFC 9525: the common name counts for nothing, "f*.example.com" neither */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(param, host, n) == 1;
}

bool dm_tls_client(dm_socket *s, const char *name, int port, const char *ca, dm_why *why) {
    ERR_clear_error();
    dm_tls_store *store = store_of(s->watch.loop);
    SSL_CTX *ctx = store ? client_context(store, ca, why) : NULL;
    if (store && !ctx) return false;
    dm_tls_conn *t = store ? new_tls(s, store, ctx) : NULL;
    if (!t) {
        why_openssl(why, "TLS cannot be set up: ");
        return false;
    }
    t->client = true;
    SSL_set_connect_state(t->ssl);
    SSL_set_verify(t->ssl, SSL_VERIFY_PEER, verified);
    char host[NAME_LENGTH + 1];
    if (!expect(SSL_get0_param(t->ssl), name, host) || (host[0] && SSL_set_tlsext_host_name(t->ssl, host) != 1)) {
        dm_tls_free(t);
        dm_why_set(why, "no certificate can be for the name \"%.100s\"", name);
        ERR_clear_error();
        return false;
    }
    snprintf(t->name, sizeof t->name, "%s", host[0] ? host : name);
    t->port = port;
    if (port != 0) resume(store, t, ctx);
    ERR_clear_error();
    s->tls = t;
    return true;
}

bool dm_tls_server(dm_socket *s, SSL_CTX *identity, dm_why *why) {
    ERR_clear_error();
    dm_tls_store *store = store_of(s->watch.loop);
    dm_tls_conn *t = store ? new_tls(s, store, identity) : NULL;
    if (!t) {
        why_openssl(why, "TLS cannot be set up: ");
        return false;
    }
    SSL_set_accept_state(t->ssl);
    s->tls = t;
    return true;
}

void dm_tls_free(dm_tls_conn *t) {
    if (!t) return;
    /* whatever the reason: the next handshake is a whole one */
    if (t->offered && !t->up && t->watch->loop) sessions_forget(*dm_loop_tls(t->watch->loop), SSL_get_SSL_CTX(t->ssl), t->name, t->port);
    if (t->ssl && t->up && !t->broken && t->watch->loop) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);       /* close_notify, if it fits into the socket; its answer is not awaited */
    }
    ERR_clear_error();
    SSL_free(t->ssl);
    free(t);
}

void dm_tls_refusal(long code, const char *names, dm_why *why) {
    if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)
        dm_why_set(why, "certificate host mismatch (it is for: %s)", names);
    else
        dm_why_set(why, "%ld: %s", code, X509_verify_cert_error_string(code));
}

static void why_verify(const dm_tls_conn *t, dm_why *why) { dm_tls_refusal(SSL_get_verify_result(t->ssl), t->names, why); }

/* Why the last call on t->ssl failed, or what it waits for. */
static dm_io failed(dm_tls_conn *t, int result, dm_why *why) {
    int reason;
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ: return DM_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return DM_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: dm_why_set(why, "closed"); return DM_IO_FAIL;
    case SSL_ERROR_SYSCALL: dm_why_errno(why, t->error ? t->error : ECONNRESET); break;
    default:
        reason = ERR_GET_REASON(ERR_peek_last_error());
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
            why_verify(t, why);
        else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            dm_why_set(why, "closed");      /* no close_notify: somebody cut the line, whoever it was */
        else if (t->heard && !t->up && (t->first < SSL3_RT_CHANGE_CIPHER_SPEC || t->first > SSL3_RT_APPLICATION_DATA))
            dm_why_set(why, "wrong version number: the %s speaks clear text here", t->client ? "server" : "client");
        else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
            dm_why_set(why, "unsupported protocol");
        else
            why_openssl(why, "");
    }
    t->broken = true;
    ERR_clear_error();
    return DM_IO_FAIL;
}

dm_io dm_tls_handshake(dm_tls_conn *t, dm_why *why) {
    ERR_clear_error();
    t->error = 0;
    int result = SSL_do_handshake(t->ssl);
    if (result != 1) return failed(t, result, why);
    if (t->client && (!SSL_get0_peer_certificate(t->ssl) || SSL_get_verify_result(t->ssl) != X509_V_OK)) {
        why_verify(t, why);         /* SSL_VERIFY_PEER has seen to it; this stands guard over a change of the options above */
        return DM_IO_FAIL;
    }
    if (!SSL_session_reused(t->ssl)) t->verified = dm_tick();
    t->up = true;
    return DM_IO_DONE;
}

dm_io dm_tls_recv(dm_tls_conn *t, void *to, size_t max, size_t *n, dm_why *why) {
    ERR_clear_error();
    t->error = 0;
    int result = SSL_read_ex(t->ssl, to, max, n);
    return result == 1 ? DM_IO_DONE : failed(t, result, why);
}

dm_io dm_tls_send(dm_tls_conn *t, const void *from, size_t size, size_t *n, dm_why *why) {
    size_t sent = 0;
    while (sent < size) {
        size_t got = 0;
        ERR_clear_error();
        t->error = 0;
        int result = SSL_write_ex(t->ssl, (const char *)from + sent, size - sent, &got);
        if (result != 1) {
            dm_io io = failed(t, result, why);
            if (sent == 0) return io;
            break;                  /* the failure comes again with the next call */
        }
        sent += got;
    }
    *n = sent;
    return DM_IO_DONE;
}

bool dm_tls_idle(dm_tls_conn *t) {
    char octet;
    size_t n;
    dm_why why;
    if (!t->up || t->broken) return false;
    t->watch->readable = true;      /* look now: the edge may not have been seen yet */
    ERR_clear_error();
    t->error = 0;
    int result = SSL_peek_ex(t->ssl, &octet, 1, &n);
    return result != 1 && failed(t, result, &why) == DM_IO_WANT_READ;
}

/* ---- somebody else's handshakes -----------------------------------------*/

bool dm_tls_ca(dm_loop *l, const char *ca, dm_why *why) {
    ERR_clear_error();
    dm_tls_store *store = store_of(l);
    if (store) return client_context(store, ca, why) != NULL;
    dm_why_set(why, "out of memory");
    return false;
}

unsigned dm_tls_changes(dm_loop *l) {
    dm_tls_store *store = store_of(l);
    return store ? store->changes : 0;
}

/* Verifies as OpenSSL does by itself; what this is called with is the context's, so it needs no slot in their SSL. */
static int verify_theirs(X509_STORE_CTX *store, void *names) {
    int ok = X509_verify_cert(store);
    if (ok != 1) note_names(store, names);
    return ok;
}

bool dm_tls_demand(SSL_CTX *theirs, dm_loop *l, const char *name, bool system, char *names) {
    char host[NAME_LENGTH + 1];
    dm_why why;
    if (system) {
        dm_tls_store *store = store_of(l);
        SSL_CTX *ours = store ? client_context(store, NULL, &why) : NULL;
        if (!ours) return false;
        SSL_CTX_set1_cert_store(theirs, SSL_CTX_get_cert_store(ours));
    }
    SSL_CTX_set_options(theirs, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);      /* 'names' is gone by then */
    SSL_CTX_set_cert_verify_callback(theirs, verify_theirs, names);
    return SSL_CTX_set_min_proto_version(theirs, TLS1_2_VERSION) == 1 && expect(SSL_CTX_get0_param(theirs), name, host);
}
