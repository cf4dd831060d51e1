/* reply_test.c - replies whole, cut, broken and endless (rules 1.1-1.9, 2.1-2.4). */
#include "directmail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In a block of exactly its size, so that the sanitizer sees a read behind it. */
static long parse(const char *text, size_t n, dm_reply *out, char **copy) {
    *copy = malloc(n ? n : 1);
    memcpy(*copy, text, n);
    return dm_reply_parse((dm_view){*copy, n}, out);
}

static long parsed(const char *text) {
    dm_reply r;
    char *copy;
    long used = parse(text, strlen(text), &r, &copy);
    free(copy);
    return used;
}

static void text_is(const char *said, const char *text, const char *enhanced) {
    dm_reply r;
    dm_buf b;
    char got[12];
    dm_buf_init(&b, 10000);
    dm_view in = dm_view_of(said);
    assert_true(dm_reply_parse(in, &r) > 0);
    assert_int_equal(dm_reply_text(&b, &r, in, got), DM_OK);
    dm_buf_addc(&b, '\0');
    assert_string_equal(b.p, text);
    assert_string_equal(got, enhanced);
    dm_buf_clear(&b);
}

static void rule_1_1_a_multi_line_reply_ends_at_code_and_blank(void **state) {
    (void)state;
    dm_reply r;
    char *copy;
    assert_int_equal(parse("250-a\r\n250-b\r\n250 c\r\n354 go\r\n", 29, &r, &copy), 21);
    assert_int_equal(r.code, 250);
    assert_int_equal(r.lines, 3);
    assert_false(r.bare_lf);
    free(copy);
    text_is("250-a\r\n250-b\r\n250 c\r\n", "a\nb\nc", "");
}

static void rule_1_2_a_code_alone_is_a_reply(void **state) {
    (void)state;
    assert_int_equal(parsed("250\r\n"), 5);
    text_is("250\r\n", "", "");
    text_is("250-x\r\n250 \r\n", "x\n", "");
}

static void rule_1_3_and_1_4_broken_replies_are_refused(void **state) {
    (void)state;
    static const char *const broken[] = {"250-a\r\n550 b\r\n", "25 x\r\n", "999 x\r\n", "abc\r\n", "150 x\r\n", "\r\n", "250x\r\n",
                                         "250\rx\r\n", "-250 x\r\n", "2500 x\r\n", NULL};
    for (size_t i = 0; broken[i]; i++) assert_int_equal(parsed(broken[i]), -1);
}

static void rule_1_5_every_shorter_prefix_asks_for_more(void **state) {
    (void)state;
    static const char *const whole[] = {"250-a\r\n250-b\r\n250 c\r\n", "250\r\n", "250 ok\n", "354 go\r\n", NULL};
    for (size_t i = 0; whole[i]; i++)
        for (size_t n = 0; n < strlen(whole[i]); n++) {
            dm_reply r;
            char *copy;
            assert_int_equal(parse(whole[i], n, &r, &copy), 0);
            free(copy);
        }
}

static void rule_1_7_a_long_line_is_taken_and_an_endless_one_is_not(void **state) {
    (void)state;
    static char line[200000];
    memset(line, 'x', sizeof line);
    memcpy(line, "250 ", 4);
    memcpy(line + 4096 - 2, "\r\n", 2);
    dm_reply r;
    char *copy;
    assert_int_equal(parse(line, 4096, &r, &copy), 4096);
    free(copy);
    line[4094] = line[4095] = 'x';
    assert_int_equal(parse(line, 100000, &r, &copy), -1);
    free(copy);
    assert_int_equal(parse(line, 4096, &r, &copy), 0);
    free(copy);
}

static void rule_1_8_endless_continuation_lines_are_refused(void **state) {
    (void)state;
    static char many[10000 * 7 + 1];
    for (int i = 0; i < 10000; i++) memcpy(many + i * 7, "250-x\r\n", 7);
    assert_int_equal(parsed(many), -1);
}

static void rule_1_9_bare_lf_is_taken_and_marked(void **state) {
    (void)state;
    dm_reply r;
    char *copy;
    assert_int_equal(parse("250 ok\n", 7, &r, &copy), 7);
    assert_true(r.bare_lf);
    free(copy);
    text_is("250 ok\n", "ok", "");
}

static void rules_2_1_to_2_4_enhanced_codes(void **state) {
    (void)state;
    text_is("550 5.1.1 no such user\r\n", "no such user", "5.1.1");
    text_is("250 5.0.0 x\r\n", "5.0.0 x", "");
    text_is("550 5.1 floor\r\n", "5.1 floor", "");
    text_is("550 1.2.3.4 down\r\n", "1.2.3.4 down", "");
    text_is("550 5.1.1x\r\n", "5.1.1x", "");
    text_is("550 5.1.1234 x\r\n", "5.1.1234 x", "");
    text_is("550-5.7.26 a\r\n550 5.7.26 b\r\n", "a\nb", "5.7.26");
    text_is("250 2.0.0\r\n", "", "2.0.0");
    text_is("550 5.123.456 x\r\n", "x", "5.123.456");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_1_1_a_multi_line_reply_ends_at_code_and_blank),
        cmocka_unit_test(rule_1_2_a_code_alone_is_a_reply),
        cmocka_unit_test(rule_1_3_and_1_4_broken_replies_are_refused),
        cmocka_unit_test(rule_1_5_every_shorter_prefix_asks_for_more),
        cmocka_unit_test(rule_1_7_a_long_line_is_taken_and_an_endless_one_is_not),
        cmocka_unit_test(rule_1_8_endless_continuation_lines_are_refused),
        cmocka_unit_test(rule_1_9_bare_lf_is_taken_and_marked),
        cmocka_unit_test(rules_2_1_to_2_4_enhanced_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
