/* loop_test.c - waits, time limits, descriptors, and memory that runs out. */
#include "loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc.h"

static void nothing_to_wait_for_is_told(void **state) {
    (void)state;
    dm_loop *l = dm_loop_new();
    assert_int_equal(dm_loop_turn(l, -1), -1);
    unsigned w = dm_loop_wait(l, -1);
    assert_int_equal(dm_loop_turn(l, 0), 0);        /* somebody waits, nobody comes */
    dm_loop_fire(l, w);
    dm_loop_fire(l, w);                             /* once is once */
    assert_int_equal(dm_loop_turn(l, -1), 1);
    assert_int_equal(dm_loop_next(l), w);
    assert_int_equal(dm_loop_next(l), 0);
    assert_int_equal(dm_loop_turn(l, -1), -1);
    dm_loop_drop(l);
}

static void time_limits_come_in_their_order(void **state) {
    enum { N = 1000 };
    static const unsigned stride = 7919;            /* prime: every delay once, in no order */
    struct {
        double least, most;                         /* bounds of its limit: clocks go on between two lines */
    } due[N * 2 + 1] = {0};
    (void)state;
    dm_loop *l = dm_loop_new();
    unsigned early = 0;
    for (unsigned i = 0; i < N; i++) {
        double seconds = (double)(i * stride % N) * 50e-6;
        double before = dm_tick();
        unsigned w = dm_loop_wait(l, seconds);
        assert_in_range(w, 1, N * 2);
        due[w].least = before + seconds;
        due[w].most = dm_tick() + seconds;
        if (i == N / 2) early = w;
    }
    dm_loop_fire(l, early);                         /* leaves the heap from its middle */
    unsigned seen = 0;
    double last = 0;
    while (dm_loop_turn(l, -1) >= 0) {
        for (long id; (id = dm_loop_next(l)) != 0; seen++) {
            if (id == (long)early) continue;
            assert_true(id < 0);                    /* time ended it */
            assert_true(due[-id].most >= last);
            assert_true(dm_tick() >= due[-id].least);
            if (due[-id].least > last) last = due[-id].least;
        }
    }
    assert_int_equal(seen, N);
    dm_loop_drop(l);
}

static void a_turn_waits_no_longer_than_asked(void **state) {
    (void)state;
    dm_loop *l = dm_loop_new();
    dm_loop_wait(l, 30);
    double before = dm_tick();
    assert_int_equal(dm_loop_turn(l, 0.01), 0);
    assert_true(dm_tick() - before >= 0.01);
    assert_true(dm_tick() - before < 10);
    dm_loop_drop(l);
}

static void an_edge_ends_the_wait_for_it(void **state) {
    int fd[2];
    char octet;
    dm_watch w;
    (void)state;
    dm_loop *l = dm_loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(dm_watch_open(&w, l, fd[0]), 0);
    unsigned reader = dm_watch_wait(&w, DM_READ, DM_READ, 30);
    unsigned writer = dm_watch_wait(&w, DM_WRITE, DM_WRITE, 30);
    assert_int_equal(dm_loop_turn(l, -1), 1);       /* there is room at once */
    assert_int_equal(dm_loop_next(l), writer);
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_int_equal(dm_loop_turn(l, -1), 1);
    assert_int_equal(dm_loop_next(l), reader);
    assert_true(w.readable && w.writable && !w.hup);
    reader = dm_watch_wait(&w, DM_READ, DM_READ, 30);       /* what is ready already is told at the next turn */
    assert_int_equal(dm_loop_turn(l, -1), 1);
    assert_int_equal(dm_loop_next(l), reader);
    assert_int_equal(read(fd[0], &octet, 1), 1);
    w.readable = false;
    close(fd[1]);
    reader = dm_watch_wait(&w, DM_READ, DM_READ, 30);
    assert_int_equal(dm_loop_turn(l, -1), 1);
    assert_int_equal(dm_loop_next(l), reader);
    assert_true(w.hup);
    dm_watch_close(&w);
    dm_loop_drop(l);
}

static void closing_wakes_who_waits(void **state) {
    int fd[2];
    dm_watch w;
    (void)state;
    dm_loop *l = dm_loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(dm_watch_open(&w, l, fd[0]), 0);
    unsigned reader = dm_watch_wait(&w, DM_READ, DM_READ, 30);
    unsigned writer = dm_watch_wait(&w, DM_WRITE, DM_READ, -1);     /* TLS: a sender that must read first */
    dm_watch_close(&w);
    dm_watch_close(&w);
    assert_int_equal(dm_loop_turn(l, -1), 2);
    assert_int_equal(dm_loop_next(l), reader);
    assert_int_equal(dm_loop_next(l), writer);
    close(fd[1]);
    dm_loop_drop(l);
}

static void a_loop_outlives_its_owner_while_a_descriptor_is_in_it(void **state) {
    int fd[2];
    dm_watch w;
    (void)state;
    dm_loop *l = dm_loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(dm_watch_open(&w, l, fd[0]), 0);
    dm_watch_wait(&w, DM_READ, DM_READ, 30);
    dm_loop_drop(l);
    dm_watch_close(&w);             /* the sanitizer sees whether this touches freed memory, or leaks */
    close(fd[1]);
}

static void a_descriptor_that_epoll_refuses_is_closed(void **state) {
    dm_watch w;
    int fd = dup(STDIN_FILENO);
    (void)state;
    dm_loop *l = dm_loop_new();
    char path[] = "/tmp/directmail-XXXXXX";
    int file = mkstemp(path);
    unlink(path);
    close(fd);
    assert_int_not_equal(dm_watch_open(&w, l, file), 0);    /* regular files are always ready: EPERM */
    assert_int_equal(close(file), -1);
    assert_null(w.loop);
    dm_watch_close(&w);
    dm_loop_drop(l);
}

static void no_memory_loses_no_wait(void **state) {
    enum { N = 300 };               /* grows three times */
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        unsigned made = 0;
        dm_loop *l = dm_loop_new();
        if (!l) {
            assert_true(dm_alloc_failed());
            continue;
        }
        for (unsigned i = 0; i < N; i++) {
            unsigned w = dm_loop_wait(l, i % 2 ? 0 : -1);
            if (w == 0) assert_true(dm_alloc_failed());
            else made++;
            if (w && i % 2 == 0) dm_loop_fire(l, w);
        }
        assert_true(made >= N - 1);                 /* the failure passes, the loop goes on */
        if (!dm_loop_scratch(l)) assert_non_null(dm_loop_scratch(l));
        unsigned seen = 0;
        while (dm_loop_turn(l, -1) >= 0)
            while (dm_loop_next(l)) seen++;
        assert_int_equal(seen, made);
        dm_loop_drop(l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_wait_for_is_told),
        cmocka_unit_test(time_limits_come_in_their_order),
        cmocka_unit_test(a_turn_waits_no_longer_than_asked),
        cmocka_unit_test(an_edge_ends_the_wait_for_it),
        cmocka_unit_test(closing_wakes_who_waits),
        cmocka_unit_test(a_loop_outlives_its_owner_while_a_descriptor_is_in_it),
        cmocka_unit_test(a_descriptor_that_epoll_refuses_is_closed),
        cmocka_unit_test(no_memory_loses_no_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
