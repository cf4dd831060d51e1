/* http.h - one HTTP/1.1 request by libcurl, which leaves this machine at most once. */
#ifndef DM_NET_HTTP_H
#define DM_NET_HTTP_H

#include "curl.h"
#include "tls.h"

typedef struct dm_http_request {
    const char *url;                /* "https://host[:port]/path?query", nothing to be encoded in it */
    const char *method;             /* in capitals */
    const char *body;               /* stays the caller's and must live until dm_http_close(); NULL: none */
    size_t body_size;
    const char *ca, *proxy;         /* PEM file instead of the system's store; NULL: none */
    double connect_seconds, seconds;        /* time limits: until the request can leave, and of the whole */
    size_t max_head, max_body;      /* octets of the answer: all its heads and trailers, its decoded body */
} dm_http_request;

typedef enum dm_http_end {
    DM_HTTP_RUNS,
    DM_HTTP_ANSWERED,
    DM_HTTP_DNS, DM_HTTP_CONNECT, DM_HTTP_TLS, DM_HTTP_TIMEOUT, DM_HTTP_LOST, DM_HTTP_PROTOCOL
} dm_http_end;

typedef struct dm_http {
    dm_transfer transfer;
    dm_loop *loop;                  /* held from init to close */
    struct curl_slist *headers;     /* of the request */
    char host[256];
    bool own_ca;
    double begun, limit, seconds;
    size_t max_head, max_body;

    bool proxied;
    bool asked;                     /* a connection stood ready: the request began to leave */
    bool again;                     /* libcurl would have sent it a second time */
    bool stale;                     /* the kept connection turned out dead before anything was sent */
    long before, connections;       /* libcurl's counters when it was about to ask: octets sent, connections made */

    dm_http_end end;                /* anything but DM_HTTP_RUNS: over, and what is below is final */
    bool sent;                      /* at least one octet of the request may have left */
    bool reused;                    /* over a kept connection */
    char peer[80];                  /* "203.0.113.9:443", "[2001:db8::9]:443"; empty: not known, or behind a proxy */
    char *head, *body;              /* the head that counts, as received; the body */
    size_t head_size, head_room, body_size, body_room;
    size_t heads;                   /* octets of all heads and trailers */
    bool between, final;            /* where the head stands: before a status line; the head that counts is whole */
    enum { DM_HTTP_FITS, DM_HTTP_HEAD_LIMIT, DM_HTTP_BODY_LIMIT, DM_HTTP_SWITCHED, DM_HTTP_MEMORY } stopped;      /* by us */
    char names[DM_TLS_NAMES];       /* whom a refused certificate is for */
    dm_why why;
} dm_http;

/* What is wrong with a request, in words that follow its name ("url has no host"); NULL: nothing. */
const char *dm_http_fault(const dm_http_request *r);
/* Is this a header's name (RFC 9110, 5.6.2)? */
bool dm_http_name(const char *name, size_t size);
/* What is wrong with a header; names that decide where a message ends are refused too. */
const char *dm_http_header_fault(const char *name, size_t name_size, const char *value, size_t value_size);

void dm_http_init(dm_http *h, dm_loop *l);
/* Collect the headers before the start: "Name: value", or "Name;" for an empty value. false: h->why. */
bool dm_http_header(dm_http *h, const char *line);
/* Begin. h->transfer.wait is fired when it is over. false: it is over already, h->end and h->why say how. */
bool dm_http_start(dm_http *h, const dm_http_request *r);
void dm_http_close(dm_http *h);     /* gives up, wakes who waits, frees; fine twice and after {0} */

/* The sockets of all requests of a loop, those that are kept for the next one among them, and their TLS sessions. */
typedef struct dm_http_pool dm_http_pool;
void dm_http_pool_free(dm_curl *c);

#endif
