/* http_test.c - which of the kept connections is looked at before a request leaves, when two servers are reached from one local port. */
#include "http.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static in_port_t from;              /* network order; 0: the kernel chooses */

/* Bind a new socket to a port of loopback; 0: to one that is free. The port, network order. */
static in_port_t bind_to(int fd, in_port_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int yes = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    return a.sin_port;
}

/* This stands before libc's: a connection leaves from the port 'from'. The kernel does that too, one time in some
** hundreds, since only all four of both addresses and both ports are one connection's own (RFC 9293, 3.4). */
int socket(int family, int type, int protocol) {
    int fd = (int)syscall(SYS_socket, family, type, protocol);
    if (fd >= 0 && from != 0 && family == AF_INET) bind_to(fd, from);
    return fd;
}

typedef struct server {
    int listener, fd;               /* fd: its newest connection */
    int connections, requests;
    char url[40];
} server;

static void begin(server *s) {
    *s = (server){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .fd = -1};
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/", ntohs(bind_to(s->listener, 0)));
    assert_int_equal(listen(s->listener, 8), 0);
}

static void end(server *s) {
    if (s->fd >= 0) close(s->fd);
    close(s->listener);
}

static void write_all(int fd, const char *text) { assert_int_equal(write(fd, text, strlen(text)), strlen(text)); }

/* What the server has to do now: accept a connection, answer a request (which is small and comes in one piece). */
static void serve(server *s) {
    char in[4096];
    struct pollfd ready[] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->fd, .events = POLLIN}};
    assert_true(poll(ready, 2, 0) >= 0);
    if (ready[1].revents && read(s->fd, in, sizeof in) > 0) {
        s->requests++;
        write_all(s->fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    if (!ready[0].revents) return;
    if (s->fd >= 0) close(s->fd);
    s->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(s->fd >= 0);
    s->connections++;
}

/* The server gives the connection up; its answer to nothing stays unread, so libcurl takes it for alive. */
static void give_up(server *s) {
    write_all(s->fd, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    close(s->fd);
    s->fd = -1;
}

/* One request, which must be answered. Was it over a kept connection? */
static bool ask(dm_loop *loop, server *s) {
    dm_http_request r = {.url = s->url, .method = "GET", .connect_seconds = 5, .seconds = 5, .max_head = 4096, .max_body = 4096};
    dm_http h;
    dm_http_init(&h, loop);
    assert_true(dm_http_start(&h, &r));
    while (h.end == DM_HTTP_RUNS) {
        serve(s);
        dm_loop_turn(loop, 0.01);
        while (dm_loop_next(loop)) continue;
    }
    if (h.end != DM_HTTP_ANSWERED) fail_msg("%s", h.why.text);
    bool reused = h.reused;
    dm_http_close(&h);
    return reused;
}

typedef struct pair {
    dm_loop *loop;
    server first, second;
} pair;

/* Two servers, with a kept connection to each, both from one port. */
static void open_pair(pair *p) {
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);       /* no other program gets the port meanwhile */
    p->loop = dm_loop_new();
    begin(&p->first);
    begin(&p->second);
    from = bind_to(holder, 0);
    assert_false(ask(p->loop, &p->first));
    assert_false(ask(p->loop, &p->second));
    from = 0;
    close(holder);
}

static void close_pair(pair *p) {
    end(&p->first);
    end(&p->second);
    dm_loop_drop(p->loop);
}

static void the_end_of_another_server_s_connection_ends_none_of_ours(void **state) {
    pair p;
    (void)state;
    open_pair(&p);
    give_up(&p.first);
    assert_true(ask(p.loop, &p.second));
    assert_int_equal(p.second.connections, 1);
    close_pair(&p);
}

static void a_dead_connection_does_not_pass_for_another_server_s_live_one(void **state) {
    pair p;
    (void)state;
    open_pair(&p);
    give_up(&p.second);
    assert_false(ask(p.loop, &p.second));
    assert_int_equal(p.second.connections, 2);
    assert_int_equal(p.second.requests, 2);
    assert_true(ask(p.loop, &p.first));
    close_pair(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_another_server_s_connection_ends_none_of_ours),
        cmocka_unit_test(a_dead_connection_does_not_pass_for_another_server_s_live_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
