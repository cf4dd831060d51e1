/* charset_test.c - GB18030 as UTF-8, whole and octet by octet, and octets that stand for nothing. */
#include "charset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"

/* ASCII, two octets, four octets (U+1F600) */
static const char gb[] = "Hi \xb1\xa8\xb8\xe6 \x94\x39\xfc\x36!";
static const char utf8[] = "Hi \xe6\x8a\xa5\xe5\x91\x8a \xf0\x9f\x98\x80!";

static dm_charset *open_it(void) {
    dm_why why;
    dm_charset *c = dm_charset_open("GB18030", &why);
    if (!c) fail_msg("%s", why.text);
    return c;
}

static void every_split_gives_the_same_text(void **state) {
    (void)state;
    for (size_t at = 0; at < sizeof gb - 1; at++) {
        dm_charset *c = open_it();
        char all[64];
        size_t size = 0, n;
        const char *to;
        dm_why why;
        assert_true(dm_charset_feed(c, gb, at, false, &to, &n, &why));
        memcpy(all, to, n);
        size += n;
        assert_true(dm_charset_feed(c, gb + at, sizeof gb - 1 - at, true, &to, &n, &why));
        memcpy(all + size, to, n);
        size += n;
        assert_int_equal(size, sizeof utf8 - 1);
        assert_memory_equal(all, utf8, size);
        dm_charset_close(c);
    }
}

static void octets_that_stand_for_nothing_are_refused(void **state) {
    static const char *const bad[] = {"a\xff", "\xb1 ", "\x80", "\x94\x39\xfc\x20"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dm_charset *c = open_it();
        const char *to;
        size_t n;
        dm_why why;
        assert_false(dm_charset_feed(c, bad[i], strlen(bad[i]), true, &to, &n, &why));
        assert_string_equal(why.text, "octets that stand for no character");
        dm_charset_close(c);
    }
}

static void a_text_that_ends_inside_of_a_character_is_refused(void **state) {
    dm_charset *c = open_it();
    const char *to;
    size_t n;
    dm_why why;
    (void)state;
    assert_true(dm_charset_feed(c, "a\xb1", 2, false, &to, &n, &why));
    assert_int_equal(n, 1);
    assert_false(dm_charset_feed(c, "", 0, true, &to, &n, &why));
    dm_charset_close(c);
}

static void a_charset_that_nobody_knows_is_told(void **state) {
    dm_why why;
    (void)state;
    assert_null(dm_charset_open("KLINGON-1", &why));
    assert_string_equal(why.text, "this system cannot read KLINGON-1");
    dm_charset_close(NULL);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_why why;
        dm_charset *c = dm_charset_open("GB18030", &why);
        const char *to;
        size_t n;
        bool good = c && dm_charset_feed(c, gb, sizeof gb - 1, true, &to, &n, &why);
        if (!dm_alloc_failed()) assert_true(good);
        dm_charset_close(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same_text),
        cmocka_unit_test(octets_that_stand_for_nothing_are_refused),
        cmocka_unit_test(a_text_that_ends_inside_of_a_character_is_refused),
        cmocka_unit_test(a_charset_that_nobody_knows_is_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
