/* auth_test.c - the lines of AUTH (rules 2.50, 2.55). */
#include "auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void rule_2_50_plain_with_initial_response(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 1000);
    assert_int_equal(dm_auth_plain(&b, dm_view_of("ops@mail.example.com"), dm_view_of("Qw12rtYU")), DM_OK);
    assert_true(dm_view_is(dm_buf_view(&b), "AG9wc0BtYWlsLmV4YW1wbGUuY29tAFF3MTJydFlV"));
    dm_buf_wipe(&b);
}

static void rule_2_55_nul_and_emptiness_are_named(void **state) {
    (void)state;
    dm_error err;
    assert_int_equal(dm_auth_check((dm_view){"a\0b", 3}, dm_view_of("x"), &err), DM_E_CREDENTIALS);
    assert_string_equal(err.field, "smtp_user");
    assert_int_equal(dm_auth_check(dm_view_of("a"), (dm_view){"a\0b", 3}, &err), DM_E_CREDENTIALS);
    assert_string_equal(err.field, "smtp_password");
    assert_int_equal(dm_auth_check(dm_view_of(""), dm_view_of("x"), &err), DM_E_CREDENTIALS);
    assert_int_equal(dm_auth_check(dm_view_of("a"), dm_view_of(""), &err), DM_E_CREDENTIALS);
    assert_int_equal(dm_auth_check(dm_view_of("a"), dm_view_of("b"), &err), DM_OK);
}

static void what_auth_cannot_carry_is_refused_beforehand(void **state) {
    (void)state;
    char *longest = malloc(DM_AUTH_MAX);
    memset(longest, 'x', DM_AUTH_MAX);
    dm_error err;
    assert_int_equal(dm_auth_check(dm_view_of("a"), (dm_view){longest, DM_AUTH_MAX}, &err), DM_E_CREDENTIALS);
    assert_int_equal(dm_auth_check(dm_view_of("a"), (dm_view){longest, 400}, &err), DM_OK);
    free(longest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_2_50_plain_with_initial_response),
        cmocka_unit_test(rule_2_55_nul_and_emptiness_are_named),
        cmocka_unit_test(what_auth_cannot_carry_is_refused_beforehand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
