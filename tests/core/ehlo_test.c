/* ehlo_test.c - what servers offer, Direct Mail's list among them (rules 1.30, 2.11, 2.19). */
#include "directmail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static dm_ehlo offered(const char *said) {
    dm_reply r;
    dm_ehlo e;
    dm_view in = dm_view_of(said);
    assert_true(dm_reply_parse(in, &r) > 0);
    dm_ehlo_parse(&e, &r, in);
    return e;
}

static void rule_2_19_direct_mails_own_list(void **state) {
    (void)state;
    dm_ehlo e = offered("250-smtp.aliyun-inc.com\r\n250-STARTTLS\r\n250-8BITMIME\r\n250-AUTH=PLAIN LOGIN XALIOAUTH\r\n"
                        "250-AUTH PLAIN LOGIN XALIOAUTH\r\n250-PIPELINING\r\n250 DSN\r\n");
    assert_int_equal(e.caps, DM_CAP_STARTTLS | DM_CAP_8BITMIME | DM_CAP_AUTH | DM_CAP_PIPELINING | DM_CAP_DSN);
    assert_int_equal(e.auth, DM_AUTH_PLAIN | DM_AUTH_LOGIN);
    assert_int_equal(e.size, 0);
}

static void rule_1_30_keywords_have_no_case(void **state) {
    (void)state;
    assert_int_equal(offered("250-x\r\n250 pipelining\r\n").caps, DM_CAP_PIPELINING);
    assert_int_equal(offered("250-x\r\n250 auth=login\r\n").auth, DM_AUTH_LOGIN);
}

static void the_first_line_is_a_greeting_and_no_keyword(void **state) {
    (void)state;
    assert_int_equal(offered("250 PIPELINING\r\n").caps, 0);
    assert_int_equal(offered("250-STARTTLS\r\n250 \r\n").caps, 0);
}

static void rule_2_11_size_with_and_without_a_number(void **state) {
    (void)state;
    assert_int_equal(offered("250-x\r\n250 SIZE 1000\r\n").size, 1000);
    dm_ehlo e = offered("250-x\r\n250 SIZE\r\n");
    assert_int_equal(e.caps, DM_CAP_SIZE);
    assert_int_equal(e.size, 0);
    assert_int_equal(offered("250-x\r\n250 SIZE 0\r\n").size, 0);
    assert_int_equal(offered("250-x\r\n250 SIZE 99999999999999999999999\r\n").size, 0);
    assert_int_equal(offered("250-x\r\n250 SIZE 12x\r\n").size, 0);
}

static void bare_line_ends_and_odd_lines_do_no_harm(void **state) {
    (void)state;
    assert_int_equal(offered("250-x\n250-\n250-8BITMIME\n250\n").caps, DM_CAP_8BITMIME);
    assert_int_equal(offered("250-x\r\n250-  AUTH\r\n250-AUTH \r\n250 AUTHX PLAIN\r\n").auth, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_2_19_direct_mails_own_list),
        cmocka_unit_test(rule_1_30_keywords_have_no_case),
        cmocka_unit_test(the_first_line_is_a_greeting_and_no_keyword),
        cmocka_unit_test(rule_2_11_size_with_and_without_a_number),
        cmocka_unit_test(bare_line_ends_and_odd_lines_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
