/* seen_test.c - addresses and notes of one list: the first row stands, on the disk as in memory, and memory that runs out is told. */
#include "seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static dm_view view(const char *text) { return (dm_view){text, strlen(text)}; }

static dm_seen *open_it(void) {
    dm_db_error why;
    dm_seen *s = dm_seen_open(&why);
    if (!s) fail_msg("%s", why.words);
    return s;
}

static void the_first_row_of_an_address_stands(void **state) {
    dm_seen *s = open_it();
    int64_t row = 7;
    (void)state;
    assert_int_equal(dm_seen_row(s, view("ann@example.com"), &row), DM_DB_OK);
    assert_int_equal(row, 7);
    for (row = 8; row < 10; row++) {
        int64_t first = row;
        assert_int_equal(dm_seen_row(s, view("ann@example.com"), &first), DM_DB_ROW);
        assert_int_equal(first, 7);
    }
    assert_int_equal(dm_seen_row(s, view("bob@example.com"), &row), DM_DB_OK);
    dm_seen_close(s);
}

static void a_note_is_read_as_it_was_written_last(void **state) {
    dm_seen *s = open_it();
    dm_view text;
    (void)state;
    assert_int_equal(dm_seen_read(s, view("a.example"), &text), DM_DB_NO);
    assert_int_equal(dm_seen_note(s, view("a.example"), view("ok")), DM_DB_OK);
    assert_int_equal(dm_seen_note(s, view("b.example"), (dm_view){NULL, 0}), DM_DB_OK);
    assert_int_equal(dm_seen_note(s, view("a.example"), view("invalid")), DM_DB_OK);
    assert_int_equal(dm_seen_read(s, view("a.example"), &text), DM_DB_ROW);
    assert_int_equal(text.n, 7);
    assert_memory_equal(text.p, "invalid", 7);
    assert_int_equal(dm_seen_read(s, view("b.example"), &text), DM_DB_ROW);
    assert_int_equal(text.n, 0);
    dm_seen_close(s);
}

static void what_does_not_fit_into_memory_lies_on_the_disk(void **state) {
    enum { ROWS = 400000 };
    dm_seen *s = open_it();
    char key[160];
    (void)state;
    sqlite3_soft_heap_limit64(4 << 20);         /* less than the keys take */
    for (int64_t i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "%0100lld@example.com", (long long)(i * 7919 % ROWS));
        int64_t row = i;
        assert_int_equal(dm_seen_row(s, view(key), &row), DM_DB_OK);
    }
    assert_true(sqlite3_memory_used() < 24 << 20);
    for (int64_t i = 0; i < ROWS; i += 997) {
        snprintf(key, sizeof key, "%0100lld@example.com", (long long)(i * 7919 % ROWS));
        int64_t row = ROWS;
        assert_int_equal(dm_seen_row(s, view(key), &row), DM_DB_ROW);
        assert_int_equal(row, i);
    }
    sqlite3_soft_heap_limit64(0);
    dm_seen_close(s);
}

static void memory_that_runs_out_is_told(void **state) {
    dm_db_error why;
    dm_seen *s = open_it();
    int64_t row = 1;
    (void)state;
    sqlite3_hard_heap_limit64(sqlite3_memory_used() + 1);
    assert_null(dm_seen_open(&why));
    assert_int_equal(why.code, DM_DB_MEMORY);
    dm_db_code code = DM_DB_OK;
    for (int i = 0; i < 10000 && code == DM_DB_OK; i++) {
        char key[400];
        snprintf(key, sizeof key, "%0380d", i);
        code = dm_seen_row(s, view(key), &row);
    }
    assert_int_equal(code, DM_DB_MEMORY);
    assert_int_equal(dm_seen_error(s)->code, DM_DB_MEMORY);
    sqlite3_hard_heap_limit64(0);
    dm_seen_close(s);
    dm_seen_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_of_an_address_stands),
        cmocka_unit_test(a_note_is_read_as_it_was_written_last),
        cmocka_unit_test(what_does_not_fit_into_memory_lies_on_the_disk),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
