/* random.c: octets differ, small ones come from the pool, and a fork never repeats its parent's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"

static void no_two_draws_are_the_same(void **state) {
    (void)state;
    enum { DRAWS = 400 };               /* several times round the pool */
    static unsigned char drawn[DRAWS][16];
    dm_random *r = dm_random_new();
    assert_non_null(r);
    for (int i = 0; i < DRAWS; i++) {
        assert_true(dm_random_get(r, drawn[i], sizeof drawn[i]));
        for (int k = 0; k < i; k++) assert_memory_not_equal(drawn[i], drawn[k], sizeof drawn[i]);
    }
    dm_random_free(r);
}

static void every_length_is_filled_to_its_end_and_not_beyond(void **state) {
    (void)state;
    dm_random *r = dm_random_new();
    for (size_t n = 0; n <= 1000; n++) {
        unsigned char seen[1000] = {0}, *to = malloc(n + 1);
        for (int turn = 0; turn < 16; turn++) {         /* an octet that is 0 sixteen times was not written */
            to[n] = 0xa5;
            assert_true(dm_random_get(r, to, n));
            assert_int_equal(to[n], 0xa5);
            for (size_t i = 0; i < n; i++) seen[i] |= to[i];
        }
        for (size_t i = 0; i < n; i++) assert_int_not_equal(seen[i], 0);
        free(to);
    }
    dm_random_free(r);
}

static void a_forked_process_does_not_repeat_its_parent(void **state) {
    (void)state;
    unsigned char ours[16], theirs[16];
    int ends[2];
    dm_random *r = dm_random_new();
    assert_true(dm_random_get(r, ours, sizeof ours));   /* the pool is filled now */
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char octets[16];
        bool ok = dm_random_get(r, octets, sizeof octets) && write(ends[1], octets, sizeof octets) == (ssize_t)sizeof octets;
        _exit(ok ? 0 : 1);
    }
    assert_true(pid > 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_true(dm_random_get(r, ours, sizeof ours));
    assert_memory_not_equal(ours, theirs, sizeof ours);
    close(ends[0]);
    close(ends[1]);
    dm_random_free(r);
    dm_random_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_draws_are_the_same),
        cmocka_unit_test(every_length_is_filled_to_its_end_and_not_beyond),
        cmocka_unit_test(a_forked_process_does_not_repeat_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
