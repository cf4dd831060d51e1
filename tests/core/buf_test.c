/* buf_test.c - the growing buffer, and views. */
#include "bytes.h"

#include "alloc.h"
#include "buf.h"

static void a_new_buffer_holds_nothing_and_allocates_nothing(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 100);
    assert_null(b.p);
    assert_int_equal(b.n, 0);
    assert_int_equal(b.code, DM_OK);
    assert_int_equal(dm_buf_view(&b).n, 0);
}

static void what_is_added_stands_behind_what_was_there(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 1000);
    dm_buf_add(&b, "ab", 2);
    dm_buf_adds(&b, "cd");
    dm_buf_addv(&b, BYTES("ef"));
    dm_buf_addc(&b, 'g');
    dm_buf_addf(&b, "%d-%s", 42, "h");
    assert_buf(&b, "abcdefg42-h");
    dm_buf_clear(&b);
}

static void empty_additions_change_nothing(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 10);
    assert_int_equal(dm_buf_add(&b, NULL, 0), DM_OK);
    assert_int_equal(dm_buf_addv(&b, (dm_view){NULL, 0}), DM_OK);
    assert_int_equal(dm_buf_adds(&b, ""), DM_OK);
    assert_non_null(dm_buf_room(&b, 0));
    assert_int_equal(b.n, 0);
    dm_buf_clear(&b);
}

static void the_limit_can_be_filled_and_not_passed(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 4);
    assert_int_equal(dm_buf_adds(&b, "abcd"), DM_OK);
    assert_int_equal(dm_buf_addc(&b, 'e'), DM_E_SIZE);
    assert_buf(&b, "abcd");
    dm_buf_clear(&b);
}

static void the_first_failure_sticks_until_clear(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 4);
    assert_int_equal(dm_buf_adds(&b, "abcde"), DM_E_SIZE);
    assert_int_equal(dm_buf_adds(&b, "a"), DM_E_SIZE);
    assert_null(dm_buf_room(&b, 1));
    assert_int_equal(b.n, 0);
    dm_buf_clear(&b);
    assert_int_equal(dm_buf_adds(&b, "abcd"), DM_OK);
    dm_buf_clear(&b);
}

static void a_room_over_size_max_is_refused_without_wrapping(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 100);
    dm_buf_adds(&b, "abc");
    assert_null(dm_buf_room(&b, SIZE_MAX));
    assert_int_equal(b.code, DM_E_SIZE);
    dm_buf_clear(&b);
}

static void dropping_takes_octets_off_the_front(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 100);
    dm_buf_adds(&b, "abcdef");
    dm_buf_drop(&b, 0);
    assert_buf(&b, "abcdef");
    dm_buf_drop(&b, 2);
    assert_buf(&b, "cdef");
    dm_buf_drop(&b, 99);
    assert_int_equal(b.n, 0);
    dm_buf_clear(&b);
}

static void taking_leaves_an_empty_buffer_that_works(void **state) {
    (void)state;
    dm_buf b;
    size_t n;
    dm_buf_init(&b, 100);
    dm_buf_adds(&b, "abc");
    char *mine = dm_buf_take(&b, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(mine, "abc", 3);
    free(mine);
    assert_int_equal(dm_buf_adds(&b, "d"), DM_OK);
    assert_buf(&b, "d");
    dm_buf_wipe(&b);
    assert_null(b.p);
}

static void a_failed_allocation_is_reported_and_keeps_what_was_there(void **state) {
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_buf b;
        dm_buf_init(&b, 100000);
        dm_code first = dm_buf_adds(&b, "abc");
        for (int i = 0; i < 1000; i++) dm_buf_adds(&b, "defg");
        if (dm_alloc_failed()) {
            assert_int_equal(b.code, DM_E_MEMORY);
            if (first == DM_OK) assert_memory_equal(b.p, "abc", 3);
        } else {
            assert_int_equal(b.n, 4003);
        }
        dm_buf_clear(&b);
    }
}

static void views_compare_by_bytes_or_without_case(void **state) {
    (void)state;
    assert_true(dm_view_is(BYTES("Ab"), "Ab"));
    assert_false(dm_view_is(BYTES("Ab"), "ab"));
    assert_false(dm_view_is(BYTES("Ab"), "Abc"));
    assert_true(dm_view_same(BYTES("Ab"), "aB"));
    assert_false(dm_view_same(BYTES("A@"), "a`"));      /* 0x40 and 0x60: no letters */
    assert_false(dm_view_same(BYTES("Ab"), "a"));
    assert_true(dm_view_is((dm_view){NULL, 0}, ""));
    assert_int_equal(dm_view_of(NULL).n, 0);
    assert_int_equal(dm_view_of("abc").n, 3);
}

static void one_line_refuses_cr_lf_and_nul_only(void **state) {
    (void)state;
    assert_true(dm_one_line(BYTES("a\tb\x1b\x7f\xff %0d%0a")));
    assert_true(dm_one_line(BYTES("")));
    assert_false(dm_one_line(BYTES("a\r")));
    assert_false(dm_one_line(BYTES("\na")));
    assert_false(dm_one_line(BYTES("a\0b")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_holds_nothing_and_allocates_nothing),
        cmocka_unit_test(what_is_added_stands_behind_what_was_there),
        cmocka_unit_test(empty_additions_change_nothing),
        cmocka_unit_test(the_limit_can_be_filled_and_not_passed),
        cmocka_unit_test(the_first_failure_sticks_until_clear),
        cmocka_unit_test(a_room_over_size_max_is_refused_without_wrapping),
        cmocka_unit_test(dropping_takes_octets_off_the_front),
        cmocka_unit_test(taking_leaves_an_empty_buffer_that_works),
        cmocka_unit_test(a_failed_allocation_is_reported_and_keeps_what_was_there),
        cmocka_unit_test(views_compare_by_bytes_or_without_case),
        cmocka_unit_test(one_line_refuses_cr_lf_and_nul_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
