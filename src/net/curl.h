/* curl.h - libcurl as it is used here: loaded late, its functions behind pointers, one multi handle a loop. */
#ifndef DM_NET_CURL_H
#define DM_NET_CURL_H

#ifndef CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_TYPECHECK
#endif
#include <curl/curl.h>

#include "loop.h"
#include "tcp.h"

/* Every function of libcurl that this room calls: X(member, symbol). */
#define DM_CURL_API(X)                              \
    X(global_init, curl_global_init)                \
    X(easy_init, curl_easy_init)                    \
    X(easy_setopt, curl_easy_setopt)                \
    X(easy_getinfo, curl_easy_getinfo)              \
    X(easy_cleanup, curl_easy_cleanup)              \
    X(easy_strerror, curl_easy_strerror)            \
    X(multi_init, curl_multi_init)                  \
    X(multi_setopt, curl_multi_setopt)              \
    X(multi_add_handle, curl_multi_add_handle)      \
    X(multi_remove_handle, curl_multi_remove_handle)\
    X(multi_perform, curl_multi_perform)            \
    X(multi_poll, curl_multi_poll)                  \
    X(multi_info_read, curl_multi_info_read)        \
    X(multi_cleanup, curl_multi_cleanup)            \
    X(share_init, curl_share_init)                  \
    X(share_setopt, curl_share_setopt)              \
    X(share_cleanup, curl_share_cleanup)            \
    X(version_info, curl_version_info)              \
    X(slist_append, curl_slist_append)              \
    X(slist_free_all, curl_slist_free_all)

/* curl.h wraps some of these in macros of the same name; the types want the functions. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#undef curl_share_setopt

typedef struct dm_curl {
#define DM_X(member, symbol) __typeof__(&symbol) member;
    DM_CURL_API(DM_X)
#undef DM_X
    CURLM *multi;
    unsigned running;               /* transfers in the multi handle */
    bool fresh;                     /* one of them was begun since the last turn */
    struct dm_http_pool *pool;      /* http.h; NULL: no request was made yet */
} dm_curl;

/* One transfer. Whoever makes it embeds this, fills 'done' and the easy handle's
** options, and gets 'done' called inside dm_loop_turn() (C only, no Lua), with
** the easy handle still there; dm_transfer_end() afterwards, or at any time. */
typedef struct dm_transfer dm_transfer;
struct dm_transfer {
    dm_loop *loop;                  /* held while the easy handle lives */
    CURL *easy;
    unsigned wait;                  /* dm_loop_fire() it when the caller should look; 0: fired */
    void (*done)(dm_transfer *t, CURLcode code);
    char words[CURL_ERROR_SIZE];    /* libcurl's, may be empty */
};

/* libcurl of this loop, loaded and set up by the first call; NULL: it cannot be, 'why' says so. */
dm_curl *dm_curl_of(dm_loop *l, dm_why *why);
void dm_curl_free(dm_curl *c);
bool dm_curl_busy(const dm_curl *c);
/* Let the transfers go on: wait up to 'ms' (-1: no limit) for them or for 'epoll' to be readable. */
void dm_curl_turn(dm_curl *c, int epoll, int ms);

/* A fresh easy handle with what every transfer has: no signals, no environment proxy ("" = none), error words. */
bool dm_transfer_init(dm_transfer *t, dm_loop *l, const char *proxy, dm_why *why);
bool dm_transfer_start(dm_transfer *t, dm_why *why);    /* false: ended already */
void dm_transfer_end(dm_transfer *t);                   /* fires the wait; fine twice */
/* Is this a proxy URL that can be used here? Its text is never shown: it may hold a password. */
bool dm_proxy_fits(const char *proxy, dm_why *why);
void dm_transfer_words(const dm_transfer *t, CURLcode code, const char *host, dm_why *why);

/* ---- a TCP connection in the making -------------------------------------
** By libcurl: it resolves names, races their addresses (RFC 8305) and speaks to proxies. A bare IP address
** needs none of these, and then libcurl need not be loaded: 5 ms and 6 MB of a short-lived process.
*/

typedef struct dm_connect {
    dm_transfer transfer;
    dm_watch straight;              /* the descriptor while the system connects to an IP address */
    unsigned wait;                  /* over when dm_connect_finish() will tell */
    char host[256];                 /* for the words of a failure */
    int fd;                         /* connected and ours, once over; -1: failed, 'why' says so */
    bool over;
    dm_why why;
} dm_connect;

/* Connect to host (name or IP literal without brackets) and port within 'seconds', through
** 'proxy' ("http://…", "socks5h://…") or straight (NULL). false: not even begun. */
bool dm_connect_start(dm_connect *c, dm_loop *l, const char *host, int port, double seconds, const char *proxy, dm_why *why);
bool dm_connect_finish(dm_connect *c);      /* after its wait: false when it is not over; then 'fd' or 'why' */
void dm_connect_close(dm_connect *c);       /* gives up; wakes who waits */

#endif
