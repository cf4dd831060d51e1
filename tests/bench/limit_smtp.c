/*
** limit_smtp.c - the least a client can do: octets made beforehand, one write a mail, the next envelope behind each dot.
** limit_smtp PORT CONNECTIONS MAILS FILE      FILE is a whole message, its dots stuffed
*/
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, REPLIES = 4096 };

static const char hello[] = "EHLO localhost\r\n";
static const char envelope[] = "MAIL FROM:<noreply@mail.example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n";
static const char bye[] = "QUIT\r\n";

typedef struct connection {
    int fd;
    int replies;                        /* still awaited before something may be written */
    const char *p;                      /* what is being written */
    size_t n;
    bool quit;
} connection;

static char *mail, *last;               /* body, dot and the next envelope; body, dot and QUIT */
static size_t mail_n, last_n;
static long left;                       /* mails not begun */

static void load(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) bench_die(path);
    size_t n = (size_t)ftell(f);
    rewind(f);
    mail = malloc(n + sizeof envelope + 8);
    last = malloc(n + sizeof bye + 8);
    if (!mail || !last || fread(mail, 1, n, f) != n) bench_die(path);
    fclose(f);
    memcpy(mail + n, ".\r\n", 3);
    memcpy(last, mail, n + 3);
    memcpy(mail + n + 3, envelope, sizeof envelope - 1);
    memcpy(last + n + 3, bye, sizeof bye - 1);
    mail_n = n + 3 + sizeof envelope - 1;
    last_n = n + 3 + sizeof bye - 1;
}

static void push(connection *c) {
    while (c->n > 0) {
        ssize_t n = send(c->fd, c->p, c->n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) bench_die("send");
        c->p += n;
        c->n -= (size_t)n;
    }
}

static void say(connection *c, const char *p, size_t n, int replies) {
    c->p = p;
    c->n = n;
    c->replies = replies;
    push(c);
}

/* All replies of the last write are here: a 354 among them, unless it was EHLO or QUIT. */
static void next_mail(connection *c) {
    if (left > 0) {
        left--;
        say(c, mail, mail_n, 4);
    } else {
        c->quit = true;
        say(c, last, last_n, 2);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: limit_smtp PORT CONNECTIONS MAILS FILE\n");
        return 2;
    }
    int count = atoi(argv[2]), open = 0, yes = 1;
    long mails = atol(argv[3]);
    if (count > mails) count = (int)mails;
    if (count < 1) return 2;
    left = mails - count;               /* each connection ends with one of its own */
    load(argv[4]);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)atoi(argv[1]))};
    connection *all = calloc((size_t)count, sizeof *all);
    int epoll = epoll_create1(0);
    if (!all || epoll < 0) bench_die("epoll");
    for (; open < count; open++) {
        connection *c = &all[open];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        c->replies = 1;
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 ||
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
            bench_die("connect");
    }
    int *said = calloc((size_t)count, sizeof *said);        /* what was said on each: nothing, EHLO, an envelope, mails */
    if (!said) bench_die("calloc");
    struct epoll_event events[EVENTS];
    while (open > 0) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            char in[REPLIES];
            if (c->n > 0) push(c);
            if (!(events[i].events & EPOLLIN) || c->fd < 0) continue;
            ssize_t got = recv(c->fd, in, sizeof in, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) bench_die("recv");
            for (char *p = in, *end = in + got; p < end; p = memchr(p, '\n', (size_t)(end - p)) + 1)
                if (p[3] == ' ') c->replies--;              /* the sink writes whole lines */
            if (c->replies > 0 || c->n > 0) continue;
            if (c->quit) {
                close(c->fd);
                c->fd = -1;
                open--;
            } else if (said[c - all] == 0) {
                said[c - all] = 1;
                say(c, hello, sizeof hello - 1, 1);
            } else if (said[c - all] == 1) {
                said[c - all] = 2;
                say(c, envelope, sizeof envelope - 1, 3);
            } else {
                next_mail(c);
            }
        }
    }
    return 0;
}
