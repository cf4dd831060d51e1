/* relay.c - a line of a given length: what goes in comes out half a round trip later. */
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 64, CHUNK = 65536 };

typedef struct packet {
    struct packet *next;
    double due;
    size_t n, sent;                     /* n = 0: the end of the stream */
    char bytes[];
} packet;

typedef struct way {                    /* one direction */
    int from, to;
    bool ended;                         /* nothing more comes in */
    packet *first, **last;
} way;

typedef struct line {
    bool used;
    double opens;                       /* when the far end hears of it; 0: it has */
    way there, back;
} line;

static line lines[LINES];

static void put(way *w, const char *bytes, size_t n, double due) {
    packet *p = malloc(sizeof *p + n);
    if (!p) bench_die("relay");
    p->next = NULL;
    p->due = due;
    p->n = n;
    p->sent = 0;
    memcpy(p->bytes, bytes, n);
    *w->last = p;
    w->last = &p->next;
}

static void drop(way *w) {
    while (w->first) {
        packet *p = w->first;
        w->first = p->next;
        free(p);
    }
}

static void open_line(int listener) {
    for (int i = 0; i < LINES; i++) {
        line *l = &lines[i];
        if (l->used) continue;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), yes = 1;
        if (fd < 0) bench_die("relay");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        *l = (line){.used = true, .opens = bench_now(), .there = {.from = fd, .to = -1}, .back = {.from = -1, .to = fd}};
        l->there.last = &l->there.first;
        l->back.last = &l->back.first;
        return;
    }
    errno = EMFILE;
    bench_die("relay");
}

static void reach(line *l, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) bench_die("relay");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    l->there.to = l->back.from = fd;
    l->opens = 0;
}

static void take(way *w, double due) {
    char bytes[CHUNK];
    ssize_t n = recv(w->from, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    w->ended = n <= 0;
    put(w, bytes, n > 0 ? (size_t)n : 0, due);
}

/* Hand on what is due; false when the stream is over. */
static bool give(way *w, double now) {
    while (w->first && w->first->due <= now && w->to >= 0) {
        packet *p = w->first;
        if (p->n == 0) return false;
        ssize_t n = send(w->to, p->bytes + p->sent, p->n - p->sent, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        p->sent += (size_t)n;
        if (p->sent < p->n) return true;
        w->first = p->next;
        if (!w->first) w->last = &w->first;
        free(p);
    }
    return true;
}

static void close_line(line *l) {
    if (l->there.from >= 0) close(l->there.from);
    if (l->there.to >= 0) close(l->there.to);
    drop(&l->there);
    drop(&l->back);
    l->used = false;
}

static void watch(struct pollfd *f, const way *w, double now, double *next) {
    bool due = w->first && w->first->due <= now && w->to >= 0;
    f[0] = (struct pollfd){.fd = w->ended ? -1 : w->from, .events = POLLIN};
    f[1] = (struct pollfd){.fd = due ? w->to : -1, .events = POLLOUT};
    if (w->first && !due && w->to >= 0 && w->first->due < *next) *next = w->first->due;
}

void relay(int listener, int port, double rtt) {
    for (;;) {
        struct pollfd f[1 + 4 * LINES] = {{.fd = listener, .events = POLLIN}};
        double now = bench_now(), next = now + 3600;
        for (int i = 0; i < LINES; i++) {
            line *l = &lines[i];
            for (int k = 1; k <= 4; k++) f[4 * i + k].fd = -1;
            if (!l->used) continue;
            if (l->opens > 0 && l->opens + 1.5 * rtt <= now) reach(l, port);
            if (!give(&l->there, now) || !give(&l->back, now)) {
                close_line(l);
                continue;
            }
            if (l->opens > 0 && l->opens + 1.5 * rtt < next) next = l->opens + 1.5 * rtt;
            watch(f + 4 * i + 1, &l->there, now, &next);
            watch(f + 4 * i + 3, &l->back, now, &next);
        }
        double left = next - bench_now();
        if (left < 0) left = 0;
        struct timespec t = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
        if (ppoll(f, 1 + 4 * LINES, &t, NULL) <= 0) continue;
        double due = bench_now() + rtt / 2;
        if (f[0].revents) open_line(listener);
        for (int i = 0; i < LINES; i++) {
            if (f[4 * i + 1].fd >= 0 && f[4 * i + 1].revents) take(&lines[i].there, due);
            if (f[4 * i + 3].fd >= 0 && f[4 * i + 3].revents) take(&lines[i].back, due);
        }
    }
}
