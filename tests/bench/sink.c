/* sink.c - an SMTP and an HTTP server that swallow at wire speed and count what arrives. */
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 8192, CHUNK = 256 * 1024, EVENTS = 256, REPLIES = 64 * 1024 };

typedef struct client {
    int fd;
    bool body;                          /* between 354 and the final dot */
    size_t kept;                        /* octets of 'held': an unfinished line or head, or what may be half a final dot */
    size_t left;                        /* HTTP: octets of a body still to come */
    bool chunked;
    char held[KEPT];
} client;

static char room[KEPT + CHUNK];         /* what is kept, and behind it what comes */
static char replies[REPLIES];
static size_t replied;

double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void bench_die(const char *what) {
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

int bench_listen(int *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0)
        bench_die("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

static void say(const char *text, size_t n) {
    if (replied + n > REPLIES) {
        fprintf(stderr, "bench: a client sends more commands at once than the sink answers\n");
        exit(1);
    }
    memcpy(replies + replied, text, n);
    replied += n;
}
#define SAY(text) say(text, sizeof text - 1)

/* ---- SMTP ----------------------------------------------------------------*/

static const char *end_of_body(const char *p, const char *end) {
    for (const char *dot = p; (dot = memchr(dot, '.', (size_t)(end - dot))); dot++)
        if (dot - p >= 2 && end - dot >= 3 && memcmp(dot - 2, "\r\n.\r\n", 5) == 0) return dot + 3;
    return NULL;
}

static void command(client *c, const char *line) {
    switch (line[0] | 0x20) {
    case 'e': SAY("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000000\r\n"); break;
    case 'd':
        SAY("354 go on\r\n");
        c->body = true;
        break;
    case 'q': SAY("221 bye\r\n"); break;
    default: SAY("250 ok\r\n"); break;
    }
}

/* Take what stands in room[0..n); the octets that are left over. */
static size_t take_smtp(client *c, size_t n, tally *t) {
    const char *p = room, *end = room + n;
    while (p < end) {
        if (c->body) {
            const char *over = end_of_body(p, end);
            if (!over) return (size_t)(end - p) < 4 ? (size_t)(end - p) : 4;
            c->body = false;
            t->arrived++;
            t->ended = bench_now();
            SAY("250 ok: queued as 1\r\n");
            p = over;
        } else {
            const char *lf = memchr(p, '\n', (size_t)(end - p));
            if (!lf) return (size_t)(end - p);
            command(c, p);
            p = lf + 1;
            if (c->body && p == end) {          /* the line end in front of the body's first line */
                memcpy(room + n - 2, "\r\n", 2);
                return 2;
            }
        }
    }
    return 0;
}

/* ---- HTTP ----------------------------------------------------------------*/

static const char body[] = "{\"EnvId\":\"600000000000000001\",\"RequestId\":\"4F4F3A5B-0E6C-5E8F-9C1D-0123456789AB\"}";
static char answer[512];
static size_t answer_n;

static void write_answer(void) {
    answer_n = (size_t)snprintf(answer, sizeof answer,
        "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json;charset=utf-8\r\n"
        "Content-Length: %zu\r\nConnection: keep-alive\r\nx-acs-request-id: 4F4F3A5B-0E6C-5E8F-9C1D-0123456789AB\r\n\r\n%s",
        sizeof body - 1, body);
}

static const char *field_of(const char *head, const char *end, const char *name) {
    size_t n = strlen(name);
    for (const char *p = head; (p = memchr(p, '\n', (size_t)(end - p)));)
        if ((size_t)(end - ++p) > n && strncasecmp(p, name, n) == 0) return p + n;
    return NULL;
}

/* The body's octets at the front of 'p', or SIZE_MAX when its end is not there: bodies here hold no "\r\n0\r\n\r\n". */
static size_t body_part(client *c, const char *p, size_t n) {
    if (!c->chunked) {
        size_t some = n < c->left ? n : c->left;
        c->left -= some;
        return some;
    }
    const char *last = memmem(p, n, "\r\n0\r\n\r\n", 7);
    if (!last) return SIZE_MAX;
    c->left = 0;
    return (size_t)(last + 7 - p);
}

static size_t take_http(client *c, size_t n, tally *t) {
    const char *p = room, *end = room + n;
    while (p < end || (c->body && c->left == 0)) {
        if (!c->body) {
            const char *over = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
            if (!over) return (size_t)(end - p);
            const char *length = field_of(p, over + 2, "content-length:");
            c->chunked = !length && field_of(p, over + 2, "transfer-encoding:");
            c->left = length ? (size_t)strtoul(length, NULL, 10) : c->chunked ? SIZE_MAX : 0;
            c->body = true;
            p = over + 4;
        }
        size_t some = body_part(c, p, (size_t)(end - p));
        if (some == SIZE_MAX) return (size_t)(end - p) < 6 ? (size_t)(end - p) : 6;
        p += some;
        if (c->left == 0) {
            c->body = false;
            t->arrived++;
            t->ended = bench_now();
            say(answer, answer_n);
        }
    }
    return 0;
}

/* ---- the loop ------------------------------------------------------------*/

static bool serve_client(client *c, tally *t, size_t (*take)(client *, size_t, tally *)) {
    memcpy(room, c->held, c->kept);
    ssize_t got = recv(c->fd, room + c->kept, CHUNK, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    t->octets += (size_t)got;
    size_t n = c->kept + (size_t)got;
    replied = 0;
    c->kept = take(c, n, t);
    if (c->kept > KEPT) return false;
    memcpy(c->held, room + n - c->kept, c->kept);
    for (size_t sent = 0; sent < replied;) {
        ssize_t some = send(c->fd, replies + sent, replied - sent, MSG_NOSIGNAL);
        if (some < 0) return false;
        sent += (size_t)some;
    }
    return true;
}

static void serve(int listener, tally *t, const char *banner, size_t (*take)(client *, size_t, tally *)) {
    int epoll = epoll_create1(EPOLL_CLOEXEC), yes = 1;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) != 0) bench_die("epoll");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (c) {
                if (!serve_client(c, t, take)) {
                    close(c->fd);
                    free(c);
                }
                continue;
            }
            c = calloc(1, sizeof *c);
            if (!c || (c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) bench_die("accept");
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            if (t->connections++ == 0) t->began = bench_now();
            e.data.ptr = c;
            if ((*banner && send(c->fd, banner, strlen(banner), MSG_NOSIGNAL) < 0) || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
                bench_die("accept");
        }
    }
}

void sink_smtp(int listener, tally *t) { serve(listener, t, "220 sink ESMTP\r\n", take_smtp); }

void sink_http(int listener, tally *t) {
    write_answer();
    serve(listener, t, "", take_http);
}
