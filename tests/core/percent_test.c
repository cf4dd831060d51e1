/* percent_test.c - claims about src/core/percent.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vectors.h"

static void equal(dm_view got, dm_view want) {
    assert_int_equal(got.n, want.n);
    if (want.n) assert_memory_equal(got.p, want.p, want.n);
}

static void every_row_of_the_encoding_table_is_met(void **state) {
    (void)state;
    vectors v;
    char *f[MAX_FIELDS];
    int n, rows = 0;
    dm_buf once, again, twice;
    dm_buf_init(&once, 1000);
    dm_buf_init(&again, 1000);
    dm_buf_init(&twice, 1000);
    vectors_open(&v);
    while (vectors_line(&v, f, &n)) {
        if (n == 0 || strcmp(f[0], "percent") != 0) continue;
        dm_view text = vectors_unescape(f[1]);
        once.n = again.n = twice.n = 0;
        assert_int_equal(dm_percent(&once, text), DM_OK);
        equal(dm_buf_view(&once), dm_view_of(f[2]));
        assert_int_equal(dm_percent_twice(&again, &twice, text), DM_OK);
        equal(dm_buf_view(&again), dm_view_of(f[2]));
        equal(dm_buf_view(&twice), dm_view_of(f[3]));
        rows++;
    }
    assert_int_equal(rows, 51);
    vectors_close(&v);
    dm_buf_clear(&once);
    dm_buf_clear(&again);
    dm_buf_clear(&twice);
}

static void of_all_256_octets_only_66_stay(void **state) {
    (void)state;
    const char *stay = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    dm_buf b;
    dm_buf_init(&b, 100);
    int kept = 0;
    for (int c = 0; c < 256; c++) {
        char octet = (char)c, want[4];
        b.n = 0;
        assert_int_equal(dm_percent(&b, (dm_view){&octet, 1}), DM_OK);
        if (c && strchr(stay, c)) {
            snprintf(want, sizeof want, "%c", c);
            kept++;
        } else {
            snprintf(want, sizeof want, "%%%02X", (unsigned)c);
        }
        equal(dm_buf_view(&b), dm_view_of(want));
    }
    assert_int_equal(kept, 66);
    dm_buf_clear(&b);
}

static void twice_is_the_encoding_of_the_encoding(void **state) {
    (void)state;
    char all[256];
    for (int c = 0; c < 256; c++) all[c] = (char)c;
    dm_buf once, twice, want;
    dm_buf_init(&once, 10000);
    dm_buf_init(&twice, 10000);
    dm_buf_init(&want, 10000);
    assert_int_equal(dm_percent_twice(&once, &twice, (dm_view){all, sizeof all}), DM_OK);
    assert_int_equal(dm_percent(&want, dm_buf_view(&once)), DM_OK);
    equal(dm_buf_view(&twice), dm_buf_view(&want));
    assert_int_equal(once.n, 66 + 190 * 3);
    assert_int_equal(twice.n, 66 + 190 * 5);
    dm_buf_clear(&once);
    dm_buf_clear(&twice);
    dm_buf_clear(&want);
}

static void appends_and_takes_exactly_the_room_it_needs(void **state) {
    (void)state;
    dm_buf b, c;
    dm_buf_init(&b, 2 + 4);
    dm_buf_adds(&b, "x=");
    assert_int_equal(dm_percent(&b, dm_view_of("a/")), DM_OK);
    equal(dm_buf_view(&b), dm_view_of("x=a%2F"));
    assert_int_equal(dm_percent(&b, dm_view_of("a")), DM_E_SIZE);
    equal(dm_buf_view(&b), dm_view_of("x=a%2F"));

    dm_buf_clear(&b);
    dm_buf_init(&c, 4);                         /* "%252F" needs 5 */
    assert_int_equal(dm_percent_twice(&b, &c, dm_view_of("/")), DM_E_SIZE);
    assert_int_equal(b.n, 0);
    assert_int_equal(c.n, 0);
    assert_int_equal(b.code, DM_OK);
    dm_buf_clear(&b);
    dm_buf_clear(&c);
}

static void nothing_becomes_nothing(void **state) {
    (void)state;
    dm_buf a, b;
    dm_buf_init(&a, 0);
    dm_buf_init(&b, 0);
    assert_int_equal(dm_percent(&a, (dm_view){NULL, 0}), DM_OK);
    assert_int_equal(dm_percent_twice(&a, &b, (dm_view){NULL, 0}), DM_OK);
    assert_int_equal(a.n + b.n, 0);
    dm_buf_clear(&a);
    dm_buf_clear(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_encoding_table_is_met),
        cmocka_unit_test(of_all_256_octets_only_66_stay),
        cmocka_unit_test(twice_is_the_encoding_of_the_encoding),
        cmocka_unit_test(appends_and_takes_exactly_the_room_it_needs),
        cmocka_unit_test(nothing_becomes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
