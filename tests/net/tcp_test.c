/* tcp_test.c - the same octets arrive when every system call is interrupted and every write is short (rule 7.1). */
#include "tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* These stand before libc's: first an interruption, then the call, writes cut to 'longest'. */
static struct {
    bool interrupt;
    bool send_was, recv_was;
    size_t longest;
    unsigned interrupted;
} fault;

static bool interrupted(bool *was) {
    *was = fault.interrupt && !*was;
    if (*was) fault.interrupted++;
    return *was;
}

ssize_t send(int fd, const void *p, size_t n, int flags) {
    if (interrupted(&fault.send_was)) {
        errno = EINTR;
        return -1;
    }
    if (fault.longest && n > fault.longest) n = fault.longest;
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t recv(int fd, void *p, size_t n, int flags) {
    if (interrupted(&fault.recv_was)) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

typedef struct pair {
    dm_loop *loop;
    dm_socket a, b;
} pair;

static void open_pair(pair *p) {
    int fd[2];
    memset(p, 0, sizeof *p);
    memset(&fault, 0, sizeof fault);
    p->loop = dm_loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(dm_socket_open(&p->a, p->loop, fd[0]), 0);
    assert_int_equal(dm_socket_open(&p->b, p->loop, fd[1]), 0);
}

static void close_pair(pair *p) {
    dm_socket_close(&p->a);
    dm_socket_close(&p->b);
    dm_loop_drop(p->loop);
}

static void turn(pair *p) {
    assert_true(dm_loop_turn(p->loop, 10) > 0);
    while (dm_loop_next(p->loop)) continue;
}

/* All of 'bytes' from a to b, each waiting only for what it was told to. */
static void carry(pair *p, const char *bytes, size_t size) {
    size_t sent = 0, got = 0, n;
    char *in = malloc(size);
    dm_why why;
    while (got < size) {
        bool stuck = true;
        if (sent < size) {
            dm_io io = dm_socket_send(&p->a, bytes + sent, size - sent, &n, &why);
            assert_true(io == DM_IO_DONE || io == DM_IO_WANT_WRITE);
            if (io == DM_IO_DONE) sent += n;
            stuck = io != DM_IO_DONE;
            if (stuck && !p->a.watch.wait[DM_WRITE]) dm_watch_wait(&p->a.watch, DM_WRITE, DM_WRITE, 10);
        }
        dm_io io = dm_socket_recv(&p->b, in + got, size - got, &n, &why);
        assert_true(io == DM_IO_DONE || io == DM_IO_WANT_READ);
        if (io == DM_IO_DONE) got += n;
        else if (!p->b.watch.wait[DM_READ]) dm_watch_wait(&p->b.watch, DM_READ, DM_READ, 10);
        if (io != DM_IO_DONE && stuck) turn(p);
    }
    assert_memory_equal(in, bytes, size);
    free(in);
}

static void interruptions_and_short_writes_change_nothing(void **state) {
    enum { SIZE = 3000000 };
    char *bytes = malloc(SIZE);
    pair p;
    (void)state;
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)(i * 2654435761u >> 24);
    static const size_t longest[] = {0, 1, 7, 4096};
    for (size_t i = 0; i < sizeof longest / sizeof *longest; i++) {
        open_pair(&p);
        fault.interrupt = i > 0;
        fault.longest = longest[i];
        carry(&p, bytes, longest[i] == 1 ? 20000 : longest[i] == 7 ? 200000 : SIZE);
        assert_int_equal(i > 0, fault.interrupted > 10);
        close_pair(&p);
    }
    free(bytes);
}

static void nothing_is_read_before_an_edge(void **state) {
    char in[10];
    size_t n;
    dm_why why;
    pair p;
    (void)state;
    open_pair(&p);
    fault.interrupt = true;
    assert_int_equal(dm_socket_recv(&p.b, in, sizeof in, &n, &why), DM_IO_WANT_READ);
    assert_int_equal(fault.interrupted, 0);         /* no system call was made */
    close_pair(&p);
}

static void what_came_before_the_end_is_read_to_the_end(void **state) {
    char in[4];
    size_t n;
    dm_why why;
    pair p;
    (void)state;
    open_pair(&p);
    assert_int_equal(dm_socket_send(&p.a, "abcdef", 6, &n, &why), DM_IO_DONE);
    dm_socket_close(&p.a);
    dm_watch_wait(&p.b.watch, DM_READ, DM_READ, 10);
    turn(&p);
    assert_int_equal(dm_socket_recv(&p.b, in, 4, &n, &why), DM_IO_DONE);
    assert_int_equal(n, 4);
    assert_int_equal(dm_socket_recv(&p.b, in, 4, &n, &why), DM_IO_DONE);    /* short, and no edge will follow */
    assert_int_equal(n, 2);
    assert_int_equal(dm_socket_recv(&p.b, in, 4, &n, &why), DM_IO_FAIL);
    assert_string_equal(why.text, "closed");
    close_pair(&p);
}

static void a_peer_that_went_away_is_words_and_no_signal(void **state) {
    size_t n;
    dm_why why;
    pair p;
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    open_pair(&p);
    dm_socket_close(&p.b);
    assert_int_equal(dm_socket_send(&p.a, "x", 1, &n, &why), DM_IO_FAIL);
    assert_string_equal(why.text, "closed");
    close_pair(&p);
}

static void only_a_silent_open_socket_is_idle(void **state) {
    size_t n;
    dm_why why;
    pair p;
    (void)state;
    open_pair(&p);
    assert_true(dm_socket_idle(&p.b));
    dm_socket_send(&p.a, "x", 1, &n, &why);
    assert_false(dm_socket_idle(&p.b));             /* before any turn of the loop */
    close_pair(&p);
    open_pair(&p);
    dm_socket_close(&p.a);
    assert_false(dm_socket_idle(&p.b));
    close_pair(&p);
}

static void addresses_are_written_in_numbers(void **state) {
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    char ip[DM_IP_TEXT];
    int port;
    (void)state;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(465);
    v4->sin_addr.s_addr = htonl(0xC0000207);
    assert_true(dm_address_text(&a, ip, &port));
    assert_string_equal(ip, "192.0.2.7");
    assert_int_equal(port, 465);
    memset(&a, 0, sizeof a);
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = in6addr_loopback;
    assert_true(dm_address_text(&a, ip, &port));
    assert_string_equal(ip, "::1");
    a.ss_family = AF_UNIX;
    assert_false(dm_address_text(&a, ip, &port));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interruptions_and_short_writes_change_nothing),
        cmocka_unit_test(nothing_is_read_before_an_edge),
        cmocka_unit_test(what_came_before_the_end_is_read_to_the_end),
        cmocka_unit_test(a_peer_that_went_away_is_words_and_no_signal),
        cmocka_unit_test(only_a_silent_open_socket_is_idle),
        cmocka_unit_test(addresses_are_written_in_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
