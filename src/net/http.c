/* http.c - HTTPS requests by libcurl: verified, bounded, and never repeated behind our back. */
#include "http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#if LIBCURL_VERSION_NUM < 0x075800
#error "libcurl 7.88 or newer is needed"
#endif

/* Before 7.88 libcurl lets OpenSSL write to the socket itself, and a peer that closes kills the program by SIGPIPE. */
enum { OLDEST = 0x075800 };
enum { KEPT = 32, IDLE_SECONDS = 60 };      /* connections kept for the next request */
enum { CA_SECONDS = 60 };                   /* a CA file that was written anew is read anew after this */
enum { RECORD = 16384 };                    /* octets of a TLS record, RFC 8446, 5.1 */
enum { FIRST_ROOM = 2048 };

/* ---- the sockets --------------------------------------------------------
** libcurl 7.88 takes a kept connection for alive when octets lie in it unread:
** a server's close_notify before its FIN, or its "408" before it closes. Sent
** into that, a request is lost and nobody can say whether it was carried out.
** So we know our sockets, and look ourselves before anything is sent.
*/

typedef struct end {
    char ip[DM_IP_TEXT];
    int port;                       /* 0: not asked for yet */
} end;

typedef struct known {
    int fd;
    end own, peer;                  /* both: connections to two servers may leave from one port */
} known;

struct dm_http_pool {
    known *list;
    size_t count, room;
    CURLSH *sessions, *retired;     /* TLS sessions; those of before that a request still uses */
    double since;                   /* when the first of them could come */
    unsigned changes;               /* dm_tls_changes() then */
    bool spoilt;                    /* a handshake failed: perhaps because of one of them */
};

static void end_share(const dm_curl *c, CURLSH **share) {
    if (*share && c->share_cleanup(*share) == CURLSHE_OK) *share = NULL;       /* it is not while a request uses it */
}

void dm_http_pool_free(dm_curl *c) {
    if (!c->pool) return;
    end_share(c, &c->pool->sessions);
    end_share(c, &c->pool->retired);
    free(c->pool->list);
    free(c->pool);
}

static bool pool_add(dm_http_pool *p, int fd) {
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : KEPT;
        known *list = realloc(p->list, sizeof *list * room);
        if (!list) return false;
        p->list = list;
        p->room = room;
    }
    p->list[p->count++] = (known){.fd = fd};
    return true;
}

static bool is_end(end *e, int fd, int (*of)(int, struct sockaddr *, socklen_t *), const char *ip, int port) {
    if (e->port == 0) {
        struct sockaddr_storage a = {0};
        socklen_t size = sizeof a;
        if (of(fd, (struct sockaddr *)&a, &size) != 0 || !dm_address_text(&a, e->ip, &e->port)) e->port = 0;
    }
    return e->port == port && strcmp(e->ip, ip) == 0;
}

/* Nothing unread, not closed by the peer, and room to send: the next octets of ours are the first that move. */
static bool quiet(dm_http_pool *p, const char *ip, int port, const char *own_ip, int own_port) {
    for (size_t i = 0; i < p->count; i++) {
        known *k = &p->list[i];
        if (!is_end(&k->own, k->fd, getsockname, own_ip, own_port) || !is_end(&k->peer, k->fd, getpeername, ip, port)) continue;
        struct pollfd look = {.fd = k->fd, .events = POLLIN | POLLOUT | POLLRDHUP};
        return poll(&look, 1, 0) == 1 && look.revents == POLLOUT;
    }
    return false;
}

static curl_socket_t open_socket(void *p, curlsocktype purpose, struct curl_sockaddr *a) {
    dm_http *h = p;
    dm_curl *c = *dm_loop_curl(h->loop);
    long size = 0;
    (void)purpose;
    if (h->asked) {                 /* libcurl's second try */
        c->easy_getinfo(h->transfer.easy, CURLINFO_REQUEST_SIZE, &size);
        if (size > h->before) {
            h->again = true;
            return CURL_SOCKET_BAD;
        }
        h->asked = false;           /* nothing left in the first */
    }
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0 || pool_add(c->pool, fd)) return fd;
    close(fd);
    return CURL_SOCKET_BAD;
}

static int close_socket(void *p, curl_socket_t fd) {
    dm_curl *c = p;
    for (size_t i = 0; i < c->pool->count; i++) {
        if (c->pool->list[i].fd != fd) continue;
        c->pool->list[i] = c->pool->list[--c->pool->count];
        break;
    }
    return close(fd);
}

/* A connection stands ready, TLS is up, and the request leaves when this returns OK. libcurl
** repeats a request whose kept connection ended without an answer, even when it was sent
** whole; this is where it must come by, so this is where a second time is refused. */
static int about_to_ask(void *p, char *ip, char *own_ip, int port, int own_port) {
    dm_http *h = p;
    const dm_curl *c = *dm_loop_curl(h->loop);
    long size = 0, connections = 0;
    c->easy_getinfo(h->transfer.easy, CURLINFO_REQUEST_SIZE, &size);        /* a proxy's CONNECT counts there too */
    c->easy_getinfo(h->transfer.easy, CURLINFO_NUM_CONNECTS, &connections);
    if (h->asked && size > h->before) {
        h->again = true;
        return CURL_PREREQFUNC_ABORT;
    }
    h->reused = connections == h->connections;
    h->connections = connections;
    if (!h->proxied) snprintf(h->peer, sizeof h->peer, strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip, port);
    if (h->reused && !quiet(c->pool, ip, port, own_ip, own_port)) {
        h->stale = true;
        return CURL_PREREQFUNC_ABORT;
    }
    h->asked = true;
    h->before = size;
    return CURL_PREREQFUNC_OK;
}

/* ---- TLS sessions -------------------------------------------------------
** libcurl remembers them in the easy handle, which lives for one request here, so a
** share keeps them, by host, port, CA and how to verify. It knows neither when a
** certificate was last looked at nor that a CA file changed, so we end it.
*/

/* NULL: none are remembered now. */
static CURLSH *sessions(dm_http *h) {
    const dm_curl *c = *dm_loop_curl(h->loop);
    dm_http_pool *p = c->pool;
    unsigned changes = dm_tls_changes(h->loop);
    if (p->sessions && (p->spoilt || p->changes != changes || dm_tick() - p->since >= DM_TLS_SESSION_SECONDS)) {
        end_share(c, &p->retired);
        if (p->retired) return NULL;
        p->retired = p->sessions;
        p->sessions = NULL;
        end_share(c, &p->retired);
    }
    if (p->sessions) return p->sessions;
    p->sessions = c->share_init();
    if (p->sessions && c->share_setopt(p->sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK) end_share(c, &p->sessions);
    p->since = dm_tick();
    p->changes = changes;
    p->spoilt = false;
    return p->sessions;
}

/* ---- the answer ---------------------------------------------------------*/

static bool room_for(char **p, size_t *room, size_t size) {
    if (size <= *room) return true;
    size_t more = *room ? *room : FIRST_ROOM;
    while (more < size) more += more / 2;
    char *grown = realloc(*p, more);
    if (!grown) return false;
    *p = grown;
    *room = more;
    return true;
}

/* libcurl brings a line at a time: of 1xx answers, of the head that counts, of trailers. */
static size_t take_head(char *line, size_t one, size_t size, void *p) {
    dm_http *h = p;
    (void)one;
    h->heads += size;
    if (h->heads > h->max_head) {
        h->stopped = DM_HTTP_HEAD_LIMIT;
        return 0;
    }
    if (h->final) return size;      /* trailers: nobody asked for them */
    if (h->between) h->head_size = 0;
    h->between = false;
    if (!room_for(&h->head, &h->head_room, h->head_size + size)) {
        h->stopped = DM_HTTP_MEMORY;
        return 0;
    }
    memcpy(h->head + h->head_size, line, size);
    h->head_size += size;
    if (line[0] == '\r' || line[0] == '\n') {
        long status = 0;
        const dm_curl *c = *dm_loop_curl(h->loop);
        c->easy_getinfo(h->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
        h->between = status >= 100 && status < 200;
        h->final = !h->between;
        if (status == 101) {
            h->stopped = DM_HTTP_SWITCHED;
            return 0;
        }
    }
    return size;
}

static size_t take_body(char *octets, size_t one, size_t size, void *p) {
    dm_http *h = p;
    (void)one;
    if (size > h->max_body - h->body_size) h->stopped = DM_HTTP_BODY_LIMIT;
    else if (!room_for(&h->body, &h->body_room, h->body_size + size)) h->stopped = DM_HTTP_MEMORY;
    if (h->stopped != DM_HTTP_FITS) return 0;
    memcpy(h->body + h->body_size, octets, size);
    h->body_size += size;
    return size;
}

/* ---- the end ------------------------------------------------------------*/

static CURLcode demand(CURL *easy, void *ctx, void *p) {
    dm_http *h = p;
    (void)easy;
    return dm_tls_demand(ctx, h->loop, h->host, !h->own_ca, h->names) ? CURLE_OK : CURLE_SSL_CONNECT_ERROR;
}

static void why_tls(dm_http *h, CURLcode code) {
    const dm_curl *c = *dm_loop_curl(h->loop);
    const char *words = h->transfer.words;
    long verify = 0;
    c->easy_getinfo(h->transfer.easy, CURLINFO_SSL_VERIFYRESULT, &verify);
    if (code == CURLE_PEER_FAILED_VERIFICATION && verify != 0)
        dm_tls_refusal(verify, h->names, &h->why);
    else if (strstr(words, "wrong version number"))
        dm_why_set(&h->why, "wrong version number: the server speaks clear text here");
    else if (strstr(words, "unsupported protocol") || strstr(words, "protocol version"))
        dm_why_set(&h->why, "unsupported protocol");
    else
        dm_transfer_words(&h->transfer, code, h->host, &h->why);
}

/* Nothing was asked yet: connecting failed. */
static void why_unconnected(dm_http *h, CURLcode code) {
    dm_why why;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        h->end = DM_HTTP_DNS;
        dm_transfer_words(&h->transfer, code, h->host, &h->why);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
        h->end = DM_HTTP_TLS;
        why_tls(h, code);
        return;
    default:
        h->end = DM_HTTP_CONNECT;
        dm_transfer_words(&h->transfer, code, h->host, &why);
        dm_why_set(&h->why, "no connection to %s: %.200s", h->host, why.text);
    }
}

static void why_unanswered(dm_http *h, CURLcode code) {
    const char *words = h->transfer.words;
    h->end = DM_HTTP_PROTOCOL;
    if (h->stopped == DM_HTTP_HEAD_LIMIT) {
        dm_why_set(&h->why, "the head of the answer is larger than %zu octets", h->max_head);
    } else if (h->stopped == DM_HTTP_BODY_LIMIT) {
        dm_why_set(&h->why, "the body of the answer is larger than %zu octets", h->max_body);
    } else if (h->stopped == DM_HTTP_SWITCHED) {
        dm_why_set(&h->why, "the server changed the protocol unasked");
    } else if (code == CURLE_OUT_OF_MEMORY && h->stopped == DM_HTTP_FITS && !h->final) {
        dm_why_set(&h->why, "a line of the answer's head has no end");      /* libcurl's own limit: 100 KB a line */
    } else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_BAD_CONTENT_ENCODING || strstr(words, "chunk")) {
        dm_why_set(&h->why, "the answer is no HTTP/1.1: %.200s", words);
    } else {
        h->end = DM_HTTP_LOST;
        if (h->stopped == DM_HTTP_MEMORY) dm_why_set(&h->why, "no memory for the answer");
        else if (h->heads > 0) dm_why_set(&h->why, "the connection was lost within the answer");
        else dm_why_set(&h->why, h->sent ? "the connection was lost before an answer came" : "the connection was lost before the request left");
    }
}

static void finish(dm_http *h, CURLcode code) {
    const dm_curl *c = *dm_loop_curl(h->loop);
    long size = 0;
    c->easy_getinfo(h->transfer.easy, CURLINFO_REQUEST_SIZE, &size);
    /* A first write that failed outright took nothing: the socket had room, so only the peer's end fails it,
    ** and of TLS not one whole record (RECORD) can have left, so nothing that could be read. */
    h->sent = h->asked && (size > h->before || h->heads > 0 || code != CURLE_SEND_ERROR);
    h->seconds = dm_tick() - h->begun;
    if (code == CURLE_OK && h->final) {
        h->end = DM_HTTP_ANSWERED;
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        h->end = DM_HTTP_TIMEOUT;
        dm_why_set(&h->why, h->asked ? "no whole answer from %s within %.3g s" : "no connection to %s within %.3g s", h->host, h->seconds);
    } else if (h->asked) {
        why_unanswered(h, code);
    } else {
        why_unconnected(h, code);
    }
    if (!h->asked && (h->end == DM_HTTP_TLS || h->end == DM_HTTP_TIMEOUT)) c->pool->spoilt = true;
    for (char *p = h->why.text; *p; p++)        /* some are the server's octets */
        if ((unsigned char)*p < ' ' || *p == 127) *p = '?';
}

static long milliseconds(double seconds) { return seconds > 1e6 ? 1000000000L : seconds < 0.001 ? 1L : (long)(seconds * 1000); }

/* The kept connection was dead before anything left: once more, over a new one. */
static bool begin_again(dm_http *h) {
    dm_curl *c = *dm_loop_curl(h->loop);
    CURL *easy = h->transfer.easy;
    double left = h->limit - dm_tick();
    h->stale = false;
    h->connections = 0;
    if (left <= 0) return false;
    c->multi_remove_handle(c->multi, easy);
    c->easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(left));
    c->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    return c->multi_add_handle(c->multi, easy) == CURLM_OK;
}

static void http_done(dm_transfer *t, CURLcode code) {
    dm_http *h = (dm_http *)t;
    if (h->stale) {
        if (begin_again(h)) return;
        code = CURLE_OPERATION_TIMEDOUT;
    }
    finish(h, code);
    dm_transfer_end(t);
}

/* ---- what may be asked --------------------------------------------------*/

/* Where the host of a URL stands, its brackets off; NULL when it is no http or https URL with a plain host and port. */
static const char *host_of(const char *url, size_t *size) {
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", number[] = "0123456789abcdefABCDEF:.";
    const char *p = strncmp(url, "https://", 8) == 0 ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    if (!p) return NULL;
    bool six = *p == '[';
    const char *host = six ? p + 1 : p;
    *size = strspn(host, six ? number : name);
    p = host + *size;
    if (*size == 0 || *size > 253 || (six && *p++ != ']')) return NULL;
    if (*p == ':') {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0 || digits > 5) return NULL;
        p += 1 + digits;
    }
    return *p == '\0' || *p == '/' || *p == '?' ? host : NULL;
}

const char *dm_http_fault(const dm_http_request *r) {
    size_t size = strlen(r->method);
    if (size == 0 || size > 20 || strspn(r->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != size || strcmp(r->method, "CONNECT") == 0)
        return "method: a word in capitals expected, and not CONNECT";
    if (r->body && strcmp(r->method, "POST") != 0 && strcmp(r->method, "PUT") != 0 && strcmp(r->method, "PATCH") != 0)
        return "body: only POST, PUT and PATCH have one";
    for (const char *p = r->url; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127 || *p == '#') return "url: holds what must be percent-encoded, or a fragment";
    return host_of(r->url, &size) ? NULL : "url: http:// or https:// with a host, perhaps a port, and a path expected";
}

bool dm_http_name(const char *name, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)name[i], letter = c | 32;
        if (!((letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-_!#$%&'*+.^`|~", c)))) return false;
    }
    return size > 0;
}

const char *dm_http_header_fault(const char *name, size_t name_size, const char *value, size_t value_size) {
    /* these decide where a message ends, or whether libcurl waits */
    static const char *const ours[] = {"content-length", "transfer-encoding", "connection", "expect", "upgrade"};
    if (!dm_http_name(name, name_size)) return "is no header name";
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0) return "is set by the library: leave it out";
    for (size_t i = 0; i < value_size; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 127) return "holds a line break or another control character";
    return NULL;
}

/* ---- the beginning ------------------------------------------------------*/

static dm_curl *http_curl(dm_loop *l, dm_why *why) {
    char backend[32];
    dm_curl *c = dm_curl_of(l, why);
    if (!c || c->pool) return c;
    const curl_version_info_data *v = c->version_info(CURLVERSION_NOW);
    /* what libcurl hands to demand() must be of the OpenSSL that we are linked to */
    snprintf(backend, sizeof backend, "OpenSSL/%d.", OPENSSL_VERSION_MAJOR);
    if (v->version_num < OLDEST) {
        dm_why_set(why, "libcurl %s is too old: 7.88 is needed", v->version);
    } else if (!v->ssl_version || strncmp(v->ssl_version, backend, strlen(backend)) != 0) {
        dm_why_set(why, "libcurl works with %.60s: one that works with OpenSSL %d is needed", v->ssl_version ? v->ssl_version : "no TLS", OPENSSL_VERSION_MAJOR);
    } else if (!(c->pool = calloc(1, sizeof *c->pool))) {
        dm_why_set(why, "out of memory");
    } else {
        c->multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)KEPT);
        c->multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
        return c;
    }
    return NULL;
}

void dm_http_init(dm_http *h, dm_loop *l) {
    *h = (dm_http){.loop = l, .between = true, .end = DM_HTTP_CONNECT};
    dm_loop_hold(l);
}

bool dm_http_header(dm_http *h, const char *line) {
    const dm_curl *c = http_curl(h->loop, &h->why);
    if (!c) return false;
    struct curl_slist *longer = c->slist_append(h->headers, line);
    if (longer) h->headers = longer;
    else dm_why_set(&h->why, "out of memory");
    return longer != NULL;
}

/* libcurl's own headers are taken back unless the caller gave one of that name. */
static bool silence(dm_http *h) {
    static const char *const own[] = {"Accept:", "Content-Type:", "Expect:"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const struct curl_slist *at = h->headers;
        size_t name = strlen(own[i]) - 1;
        while (at && !(strncasecmp(at->data, own[i], name) == 0 && (at->data[name] == ':' || at->data[name] == ';'))) at = at->next;
        if (!at && !dm_http_header(h, own[i])) return false;
    }
    return true;
}

static void set_options(dm_http *h, dm_curl *c, const dm_http_request *r) {
    CURL *easy = h->transfer.easy;
    bool carries = r->body || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 || strcmp(r->method, "PATCH") == 0;
    c->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    c->easy_setopt(easy, CURLOPT_URL, r->url);
    c->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);       /* it was signed like this */
    c->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (carries) {                                      /* an empty one says so too: Content-Length: 0, RFC 9110, 8.6 */
        c->easy_setopt(easy, CURLOPT_POST, 1L);
        c->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size);
        c->easy_setopt(easy, CURLOPT_POSTFIELDS, r->body ? r->body : "");
    } else if (strcmp(r->method, "HEAD") == 0) {
        c->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    c->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
    c->easy_setopt(easy, CURLOPT_HTTPHEADER, h->headers);
    c->easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);     /* a proxy's CONNECT never shows them */
    c->easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    c->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    c->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(r->connect_seconds));
    c->easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(r->seconds));
    c->easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
    /* One record a write: libcurl counts what a write took, not what a failed one had taken before. */
    c->easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)RECORD);
    c->easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
    c->easy_setopt(easy, CURLOPT_HEADERDATA, h);
    c->easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    c->easy_setopt(easy, CURLOPT_WRITEDATA, h);
    c->easy_setopt(easy, CURLOPT_PREREQFUNCTION, about_to_ask);
    c->easy_setopt(easy, CURLOPT_PREREQDATA, h);
    c->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    c->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, h);
    c->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    c->easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, c);   /* kept connections outlive the request */
    c->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    CURLSH *share = sessions(h);
    c->easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, share ? 1L : 0L);
    c->easy_setopt(easy, CURLOPT_SHARE, share);
    c->easy_setopt(easy, CURLOPT_SSL_OPTIONS, (long)CURLSSLOPT_NO_PARTIALCHAIN);   /* as tls.c verifies */
    c->easy_setopt(easy, CURLOPT_CAINFO, r->ca);        /* NULL: demand() brings the system's store, which costs no 44 ms to parse */
    c->easy_setopt(easy, CURLOPT_CAPATH, NULL);         /* with a path set libcurl parses the CA file for each connection */
    c->easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, r->ca ? (long)CA_SECONDS : 0L);
    c->easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, demand);
    c->easy_setopt(easy, CURLOPT_SSL_CTX_DATA, h);
}

bool dm_http_start(dm_http *h, const dm_http_request *r) {
    size_t size;
    const char *host = host_of(r->url, &size);
    snprintf(h->host, sizeof h->host, "%.*s", (int)size, host);
    h->own_ca = r->ca != NULL;
    h->proxied = r->proxy && *r->proxy;
    h->begun = dm_tick();
    h->limit = h->begun + r->seconds;
    h->max_head = r->max_head;
    h->max_body = r->max_body;
    const dm_curl *c = http_curl(h->loop, &h->why);
    if (!c || (h->proxied && !dm_proxy_fits(r->proxy, &h->why))) return false;
    if (strncmp(r->url, "https:", 6) == 0 && !dm_tls_ca(h->loop, r->ca, &h->why)) {
        h->end = DM_HTTP_TLS;
        return false;
    }
    if (!silence(h) || !dm_transfer_init(&h->transfer, h->loop, r->proxy, &h->why)) return false;
    h->transfer.done = http_done;
    set_options(h, *dm_loop_curl(h->loop), r);
    if (!dm_transfer_start(&h->transfer, &h->why)) return false;
    h->end = DM_HTTP_RUNS;
    return true;
}

void dm_http_close(dm_http *h) {
    if (!h->loop) return;
    dm_transfer_end(&h->transfer);
    if (h->headers) (*dm_loop_curl(h->loop))->slist_free_all(h->headers);
    free(h->head);
    free(h->body);
    h->headers = NULL;
    h->head = h->body = NULL;
    if (h->end == DM_HTTP_RUNS) {
        h->end = DM_HTTP_LOST;
        h->sent = h->asked;
        h->seconds = dm_tick() - h->begun;
        dm_why_set(&h->why, "given up");
    }
    dm_loop_drop(h->loop);
    h->loop = NULL;
}
