/* utf8_test.c - which octets are UTF-8. */
#include "bytes.h"

static void the_first_and_last_of_each_length_are_valid(void **state) {
    (void)state;
    assert_int_equal(dm_utf8_step(BYTES("\0")), 1);
    assert_int_equal(dm_utf8_step(BYTES("\x7f")), 1);
    assert_int_equal(dm_utf8_step(BYTES("\xc2\x80")), 2);
    assert_int_equal(dm_utf8_step(BYTES("\xdf\xbf")), 2);
    assert_int_equal(dm_utf8_step(BYTES("\xe0\xa0\x80")), 3);
    assert_int_equal(dm_utf8_step(BYTES("\xed\x9f\xbf")), 3);
    assert_int_equal(dm_utf8_step(BYTES("\xef\xbf\xbf")), 3);
    assert_int_equal(dm_utf8_step(BYTES("\xf0\x90\x80\x80")), 4);
    assert_int_equal(dm_utf8_step(BYTES("\xf4\x8f\xbf\xbf")), 4);
}

static void overlong_forms_surrogates_and_stray_octets_are_not(void **state) {
    (void)state;
    static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                      "\xed\xbf\xbf", "\xe2\x82", "\xe2\x82\x41", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80", "\xf0\x90\x80", "\xfe", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (dm_utf8_step(dm_view_of(bad[i])) != 0) fail_msg("number %zu was taken", i);
    assert_int_equal(dm_utf8_step((dm_view){NULL, 0}), 0);
}

static void the_offset_of_the_first_bad_octet_is_told(void **state) {
    (void)state;
    size_t where = 99;
    assert_true(dm_utf8_valid(BYTES("plain text and caf\xc3\xa9"), &where));
    assert_true(dm_utf8_valid((dm_view){NULL, 0}, NULL));
    assert_false(dm_utf8_valid(BYTES("\xff"), &where));
    assert_int_equal(where, 0);
    assert_false(dm_utf8_valid(BYTES("sixteen octets..\xc3\xa9 \xe2\x82 more"), &where));
    assert_int_equal(where, 19);
    assert_false(dm_utf8_valid(BYTES("abc\xc3"), NULL));
}

/* Each code point as a text book encodes it, at each distance from the eight octets read at once. */
static void every_code_point_is_judged_right(void **state) {
    (void)state;
    char text[16] = "aaaaaaaaaaa";
    for (uint32_t c = 0x80; c < 0x120000; c++) {
        size_t at = c % 9, n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        char *p = text + at;
        uint32_t rest = c;
        for (size_t i = n - 1; i > 0; i--, rest >>= 6) p[i] = (char)(0x80 | (rest & 0x3f));
        p[0] = (char)((n == 2 ? 0xc0u : n == 3 ? 0xe0u : 0xf0u) | rest);
        bool expected = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        if (dm_utf8_valid((dm_view){text, at + n}, NULL) != expected) fail_msg("U+%04X", (unsigned)c);
        memset(text, 'a', sizeof text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_last_of_each_length_are_valid),
        cmocka_unit_test(overlong_forms_surrogates_and_stray_octets_are_not),
        cmocka_unit_test(the_offset_of_the_first_bad_octet_is_told),
        cmocka_unit_test(every_code_point_is_judged_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
