/* dot_test.c - dot-stuffing, the rules 1.40 to 1.54 of RFC 5321 section 4.5.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "directmail.h"

/* 'in' stuffed in pieces of 'piece' octets, with the end. */
static dm_buf stuff(const char *in, size_t n, size_t piece) {
    dm_buf out;
    dm_buf_init(&out, SIZE_MAX / 2);
    dm_dot s = {true, false};
    for (size_t i = 0; i < n; i += piece) {
        dm_view v = {in + i, n - i < piece ? n - i : piece};
        assert_int_equal(dm_dot_put(&out, &s, v), DM_OK);
    }
    assert_int_equal(dm_dot_end(&out, &s), DM_OK);
    return out;
}

static void expect_wire(const char *in, const char *wire) {
    for (size_t piece = 1; piece <= strlen(in) + 1; piece++) {
        dm_buf out = stuff(in, strlen(in), piece);
        dm_buf_addc(&out, '\0');
        assert_string_equal(out.p, wire);
        dm_buf_clear(&out);
    }
}

static void rule_1_40_a_dot_at_the_start_of_a_line_is_doubled(void **state) {
    (void)state;
    expect_wire(".a\r\n", "..a\r\n.\r\n");
    expect_wire("x\r\n.a\r\n", "x\r\n..a\r\n.\r\n");
}

static void rule_1_41_a_lone_dot_is_doubled(void **state) {
    (void)state;
    expect_wire(".\r\n", "..\r\n.\r\n");
    expect_wire(".", "..\r\n.\r\n");
    expect_wire("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n");
}

static void rule_1_42_dots_inside_a_line_stay(void **state) {
    (void)state;
    expect_wire("a.b\r\na.\r\n", "a.b\r\na.\r\n.\r\n");
}

static void rule_1_43_two_dots_become_three(void **state) {
    (void)state;
    expect_wire("..\r\n", "...\r\n.\r\n");
}

static void rule_1_44_the_end_follows_the_last_line_end(void **state) {
    (void)state;
    expect_wire("a\r\n", "a\r\n.\r\n");
}

static void rule_1_45_a_missing_last_line_end_is_added(void **state) {
    (void)state;
    expect_wire("a", "a\r\n.\r\n");
    expect_wire("a\r", "a\r\n.\r\n");      /* cut in the middle: no second CR */
}

static void rule_1_46_an_empty_body_is_the_end_alone(void **state) {
    (void)state;
    expect_wire("", ".\r\n");
    expect_wire("H: v\r\n\r\n", "H: v\r\n\r\n.\r\n");
}

static void rule_1_50_stuffing_works_across_chunks(void **state) {
    (void)state;
    static const char *const pieces[] = {"a\r", "\n", ".", "b"};
    dm_buf out;
    dm_buf_init(&out, 100);
    dm_dot s = {true, false};
    for (size_t i = 0; i < 4; i++) dm_dot_put(&out, &s, dm_view_of(pieces[i]));
    dm_dot_put(&out, &s, (dm_view){NULL, 0});
    dm_buf_addc(&out, '\0');
    assert_string_equal(out.p, "a\r\n..b");
    dm_buf_clear(&out);
}

/* Every octet sequence that some server takes for the end of data. */
static size_t ends_in(const char *p, size_t n) {
    static const char *const marks[] = {"\n.\n", "\r.\r", "\r\n.\r", "\n.\r\n", "\r.\n", "\n.\r"};
    size_t hits = 0;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memmem(p, n, marks[i], strlen(marks[i]))) hits++;
    return hits;
}

static void rule_1_52_nothing_but_the_last_octets_looks_like_an_end(void **state) {
    (void)state;
    static const char *const bad[] = {"a\n.\nb", "a\r.\rb", "a\r\n.\rb", "a\n.\r\nb", "a\r\n.\r\nb", "\n.\n", "\r.\r"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t piece = 1; piece < 8; piece++) {
            dm_buf out = stuff(bad[i], strlen(bad[i]), piece);
            assert_int_equal(ends_in(out.p, out.n - 3), 0);
            dm_buf_clear(&out);
        }
}

static void rule_1_54_unstuffing_gives_the_input_again(void **state) {
    (void)state;
    static const char *const atoms[] = {".", ".", "..", "a", "\r\n", "\r\n", "\r\n.", " "};
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char in[64], back[200];
        size_t n = 0, k = 0;
        for (int i = rand() % 20; i > 0; i--) {
            const char *a = atoms[rand() % 8];
            memcpy(in + n, a, strlen(a));
            n += strlen(a);
        }
        memcpy(in + n, "\r\n", 2);
        n += 2;
        dm_buf out = stuff(in, n, (size_t)(rand() % 7) + 1);
        assert_memory_equal(out.p + out.n - 5, "\r\n.\r\n", 5);
        bool start = true;
        for (size_t i = 0; i < out.n - 3; i++) {        /* what a server does */
            if (start && out.p[i] == '.') assert_true(++i < out.n - 3);
            back[k++] = out.p[i];
            start = out.p[i] == '\n';
        }
        assert_int_equal(k, n);
        assert_memory_equal(back, in, n);
        dm_buf_clear(&out);
    }
}

static void a_full_buffer_is_an_error(void **state) {
    (void)state;
    dm_buf out;
    dm_dot s = {true, false};
    dm_buf_init(&out, 3);
    assert_int_equal(dm_dot_put(&out, &s, dm_view_of(".ab")), DM_E_SIZE);
    assert_int_equal(dm_dot_end(&out, &s), DM_E_SIZE);
    dm_buf_clear(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_1_40_a_dot_at_the_start_of_a_line_is_doubled),
        cmocka_unit_test(rule_1_41_a_lone_dot_is_doubled),
        cmocka_unit_test(rule_1_42_dots_inside_a_line_stay),
        cmocka_unit_test(rule_1_43_two_dots_become_three),
        cmocka_unit_test(rule_1_44_the_end_follows_the_last_line_end),
        cmocka_unit_test(rule_1_45_a_missing_last_line_end_is_added),
        cmocka_unit_test(rule_1_46_an_empty_body_is_the_end_alone),
        cmocka_unit_test(rule_1_50_stuffing_works_across_chunks),
        cmocka_unit_test(rule_1_52_nothing_but_the_last_octets_looks_like_an_end),
        cmocka_unit_test(rule_1_54_unstuffing_gives_the_input_again),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
