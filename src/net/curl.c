/* curl.c - libcurl: loaded late, run inside our loop, and asked for TCP connections. */
#include "curl.h"

#include "http.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { HAPPY_EYEBALLS_MS = 250, LONG_MS = 3600 * 1000 };    /* RFC 8305, 5: a step of 250 ms */

/* Nothing here is ever unloaded: a name that takes long to resolve leaves one of
** libcurl's threads behind, which must find its code when it comes back. */
static dm_curl *load(dm_why *why) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        dm_why_set(why, "libcurl cannot be loaded: %s", dlerror());
        return NULL;
    }
    dm_curl *c = calloc(1, sizeof *c);
    if (!c) {
        dm_why_set(why, "out of memory");
        return NULL;
    }
    const char *missing = NULL;
    void *symbol;
#define DM_X(member, name)                              \
    symbol = dlsym(library, #name);                     \
    if (!symbol) missing = #name;                       \
    memcpy(&c->member, &symbol, sizeof c->member);      /* ISO C has no cast from object to function pointers */
    DM_CURL_API(DM_X)
#undef DM_X
    if (missing) {
        dm_why_set(why, "libcurl is too old: it lacks %s", missing);
    } else if (c->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->multi = c->multi_init())) {
        dm_why_set(why, "libcurl cannot be set up");
    } else {
        return c;
    }
    free(c);
    return NULL;
}

dm_curl *dm_curl_of(dm_loop *l, dm_why *why) {
    dm_curl **slot = dm_loop_curl(l);
    if (!*slot) *slot = load(why);
    return *slot;
}

void dm_curl_free(dm_curl *c) {
    if (!c) return;
    c->multi_cleanup(c->multi);     /* closes what was kept, and tells the pool */
    dm_http_pool_free(c);
    free(c);
}

bool dm_curl_busy(const dm_curl *c) { return c && c->running > 0; }

/* Let every transfer do what it can. Was one of them over? */
static bool perform(dm_curl *c) {
    int n;
    bool over = false;
    c->multi_perform(c->multi, &n);
    for (CURLMsg *m; (m = c->multi_info_read(c->multi, &n));) {
        dm_transfer *t = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE || c->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t) != CURLE_OK || !t) continue;
        over = true;
        t->done(t, code);
    }
    return over;
}

void dm_curl_turn(dm_curl *c, int epoll, int ms) {
    struct curl_waitfd extra = {.fd = epoll, .events = CURL_WAIT_POLLIN};
    int n;
    bool fresh = c->fresh;
    c->fresh = false;
    if (fresh && perform(c)) return;        /* what was just begun waits for nothing yet */
    c->multi_poll(c->multi, &extra, 1, ms < 0 ? LONG_MS : ms, &n);
    perform(c);
}

bool dm_transfer_init(dm_transfer *t, dm_loop *l, const char *proxy, dm_why *why) {
    dm_curl *c = dm_curl_of(l, why);
    if (!c) return false;
    *t = (dm_transfer){.loop = l};
    t->easy = c->easy_init();
    if (!t->easy) {
        dm_why_set(why, "out of memory");
        return false;
    }
    c->easy_setopt(t->easy, CURLOPT_PRIVATE, (char *)t);
    c->easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->words);
    c->easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    /* both explicit, else http_proxy and no_proxy of the environment decide */
    c->easy_setopt(t->easy, CURLOPT_PROXY, proxy ? proxy : "");
    c->easy_setopt(t->easy, CURLOPT_NOPROXY, "");
    c->easy_setopt(t->easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, (long)HAPPY_EYEBALLS_MS);
#if LIBCURL_VERSION_NUM >= 0x075700
    c->easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);    /* giving up does not wait for a resolver that hangs */
#endif
    return true;
}

bool dm_transfer_start(dm_transfer *t, dm_why *why) {
    dm_curl *c = *dm_loop_curl(t->loop);
    dm_loop *l = t->loop;
    t->wait = dm_loop_wait(l, -1);
    if (t->wait == 0 || c->multi_add_handle(c->multi, t->easy) != CURLM_OK) {
        c->easy_cleanup(t->easy);
        t->easy = NULL;
        dm_loop_fire(l, t->wait);
        t->wait = 0;
        dm_why_set(why, "out of memory");
        return false;
    }
    c->running++;
    c->fresh = true;
    dm_loop_hold(l);
    return true;
}

void dm_transfer_end(dm_transfer *t) {
    if (!t->easy) return;
    dm_loop *l = t->loop;
    dm_curl *c = *dm_loop_curl(l);
    c->multi_remove_handle(c->multi, t->easy);
    c->easy_cleanup(t->easy);
    t->easy = NULL;
    c->running--;
    dm_loop_fire(l, t->wait);
    t->wait = 0;
    dm_loop_drop(l);
}

void dm_transfer_words(const dm_transfer *t, CURLcode code, const char *host, dm_why *why) {
    const dm_curl *c = *dm_loop_curl(t->loop);
    long error = 0;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: dm_why_set(why, "timeout"); return;
    case CURLE_COULDNT_RESOLVE_HOST: dm_why_set(why, "host not found: %s", host); return;
    case CURLE_COULDNT_RESOLVE_PROXY: dm_why_set(why, "host not found: the proxy's"); return;
    case CURLE_COULDNT_CONNECT:
        if (c->easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error) == CURLE_OK && error != 0) {
            dm_why_errno(why, (int)error);
            return;
        }
        break;
    default: break;
    }
    dm_why_set(why, "%s", t->words[0] ? t->words : c->easy_strerror(code));
}

/* ---- TCP connections ----------------------------------------------------*/

/* The connection is ours only as a copy: libcurl closes its own with the easy
** handle, at once, since an idle one in its cache would be closed and its number
** given to somebody else, behind our back. */
static void connect_done(dm_transfer *t, CURLcode code) {
    dm_connect *c = (dm_connect *)t;
    const dm_curl *curl = *dm_loop_curl(t->loop);
    curl_socket_t fd = CURL_SOCKET_BAD;
    c->over = true;
    if (code != CURLE_OK) {
        dm_transfer_words(t, code, c->host, &c->why);
    } else if (curl->easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD) {
        dm_why_set(&c->why, "closed");
    } else {
        c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (c->fd < 0) dm_why_errno(&c->why, errno);
    }
    dm_transfer_end(t);
}

/* "http://host:port" of a name or literal; anything that could say more than a host is refused. */
static bool make_url(char *url, size_t size, const char *host, int port) {
    unsigned char ip[16];
    char bare[64];
    const char *zone = strchr(host, '%');
    if (strchr(host, ':')) {
        size_t n = zone ? (size_t)(zone - host) : strlen(host);
        if (n >= sizeof bare) return false;
        memcpy(bare, host, n);
        bare[n] = '\0';
        if (inet_pton(AF_INET6, bare, ip) != 1) return false;
        if (zone && (zone[1] == '\0' || zone[1 + strspn(zone + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])) return false;
        return snprintf(url, size, zone ? "http://[%s%%25%s]:%d" : "http://[%s%s]:%d", bare, zone ? zone + 1 : "", port) < (int)size;
    }
    if (host[0] == '\0' || host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")]) return false;
    return snprintf(url, size, "http://%s:%d", host, port) < (int)size;
}

bool dm_proxy_fits(const char *proxy, dm_why *why) {
    static const char *const schemes[] = {"http://", "socks4://", "socks4a://", "socks5://", "socks5h://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0) return true;
    dm_why_set(why, "the proxy cannot be used: begin it with http://, socks5h://, socks5://, socks4a:// or socks4://");
    return false;
}

/* An IP address as the system takes it; 0: 'host' is none. */
static socklen_t make_address(struct sockaddr_storage *a, const char *host, int port) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

static bool connect_straight(dm_connect *c, dm_loop *l, const struct sockaddr_storage *a, socklen_t size, double seconds, dm_why *why) {
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    if (fd < 0) {
        dm_why_errno(why, errno);
        return false;
    }
    if (connect(fd, (const struct sockaddr *)a, size) != 0 && errno != EINPROGRESS) {
        error = errno;
        close(fd);
    } else {
        error = dm_watch_open(&c->straight, l, fd);
    }
    if (error == 0 && (c->wait = dm_watch_wait(&c->straight, DM_WRITE, DM_WRITE, seconds)) == 0) {
        dm_watch_close(&c->straight);
        error = ENOMEM;
    }
    if (error != 0) dm_why_errno(why, error);
    return error == 0;
}

bool dm_connect_finish(dm_connect *c) {
    if (c->over || !c->straight.loop) return c->over;
    int fd = c->straight.fd, error = 0;
    socklen_t size = sizeof error;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    c->over = true;
    if (poll(&ready, 1, 0) != 1) {
        dm_why_set(&c->why, "timeout");
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        dm_why_errno(&c->why, error ? error : errno);
    } else {
        c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);          /* whoever gets it registers it anew */
        if (c->fd < 0) dm_why_errno(&c->why, errno);
    }
    dm_watch_close(&c->straight);
    return true;
}

bool dm_connect_start(dm_connect *c, dm_loop *l, const char *host, int port, double seconds, const char *proxy, dm_why *why) {
    char url[320];
    struct sockaddr_storage address;
    *c = (dm_connect){.fd = -1, .straight = {.fd = -1}};
    socklen_t size = proxy && *proxy ? 0 : make_address(&address, host, port);
    if (size > 0) return connect_straight(c, l, &address, size, seconds, why);
    if (!make_url(url, sizeof url, host, port)) {
        dm_why_set(why, "host not found: \"%.80s\" is neither a host name nor an IP address", host);
        for (char *p = why->text; *p; p++)
            if ((unsigned char)*p < ' ' || *p == 127) *p = '?';
        return false;
    }
    if (proxy && *proxy && !dm_proxy_fits(proxy, why)) return false;
    snprintf(c->host, sizeof c->host, "%s", host);
    if (!dm_transfer_init(&c->transfer, l, proxy, why)) return false;
    c->transfer.done = connect_done;
    const dm_curl *curl = *dm_loop_curl(l);
    CURL *easy = c->transfer.easy;
    long ms = seconds > 1e6 ? 1000000000L : seconds < 0.001 ? 1L : (long)(seconds * 1000);
    curl->easy_setopt(easy, CURLOPT_URL, url);
    curl->easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
    curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms);    /* a proxy's answer counts too */
    curl->easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (!dm_transfer_start(&c->transfer, why)) return false;
    c->wait = c->transfer.wait;
    return true;
}

void dm_connect_close(dm_connect *c) {
    dm_transfer_end(&c->transfer);
    dm_watch_close(&c->straight);
    if (!c->over) dm_why_set(&c->why, "closed");
    c->over = true;
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}
