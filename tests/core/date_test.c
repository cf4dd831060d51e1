/* date_test.c - dates of mail, written and read. */
#include "bytes.h"

#include <locale.h>
#include <time.h>

static dm_buf out;

static void writes(int64_t seconds, int zone, const char *expected) {
    dm_buf_clear(&out);
    assert_int_equal(dm_date(&out, seconds, zone), DM_OK);
    assert_buf(&out, expected);
}

static void reads(const char *in, int64_t expected, int expected_zone) {
    int64_t seconds = -1;
    int zone = 9999;
    if (dm_date_parse(dm_view_of(in), &seconds, &zone) != DM_OK) fail_msg("%s was refused", in);
    if (seconds != expected || zone != expected_zone) fail_msg("%s is %lld, zone %d", in, (long long)seconds, zone);
}

static void refuses(const char *in) {
    int64_t seconds;
    int zone;
    if (dm_date_parse(dm_view_of(in), &seconds, &zone) != DM_E_HEADER) fail_msg("%s was taken", in);
}

static void rule_3_2_the_form_of_a_date(void **state) {
    (void)state;
    writes(0, 480, "Thu, 01 Jan 1970 08:00:00 +0800");
    writes(0, 0, "Thu, 01 Jan 1970 00:00:00 +0000");
    writes(0, -210, "Wed, 31 Dec 1969 20:30:00 -0330");
    writes(951782399, 0, "Mon, 28 Feb 2000 23:59:59 +0000");
    writes(951782400, 0, "Tue, 29 Feb 2000 00:00:00 +0000");
    writes(4107542400, 0, "Mon, 01 Mar 2100 00:00:00 +0000");
}

static void rule_3_2_english_names_in_any_locale(void **state) {
    (void)state;
    const char *was = setlocale(LC_ALL, "");
    setenv("LC_ALL", "zh_CN.UTF-8", 1);
    setlocale(LC_ALL, "");
    writes(0, 480, "Thu, 01 Jan 1970 08:00:00 +0800");
    setlocale(LC_ALL, was ? "C" : "");
}

static void rule_3_3_leap_second_minus_zero_and_1900(void **state) {
    (void)state;
    reads("Sat, 31 Dec 2016 23:59:60 +0000", 1483228800, 0);
    reads("Thu, 01 Jan 1970 00:00:00 -0000", 0, 0);
    reads("Mon, 01 Jan 1900 00:00:00 +0000", -2208988800, 0);
    refuses("Sun, 31 Dec 1899 23:59:59 +0000");
    writes(-2208988800, 0, "Mon, 01 Jan 1900 00:00:00 +0000");
}

static void times_outside_four_digit_years_are_refused(void **state) {
    (void)state;
    static const int64_t seconds[] = {INT64_MIN, -2208988801, 253402300800, INT64_MAX};
    dm_buf_clear(&out);
    for (size_t i = 0; i < 4; i++) assert_int_equal(dm_date(&out, seconds[i], 0), DM_E_HEADER);
    assert_int_equal(dm_date(&out, 0, 6000), DM_E_HEADER);
    assert_int_equal(dm_date(&out, 0, -6000), DM_E_HEADER);
    assert_int_equal(dm_date(&out, -2208988800, -1), DM_E_HEADER);
    assert_int_equal(out.n, 0);
    writes(253402300799, 0, "Fri, 31 Dec 9999 23:59:59 +0000");
    writes(0, 5999, "Mon, 05 Jan 1970 03:59:00 +9959");
}

static void the_forms_of_rfc_5322_are_read(void **state) {
    (void)state;
    reads("Thu, 01 Jan 1970 08:00:00 +0800", 0, 480);
    reads("1 Jan 1970 00:00 +0000", 0, 0);
    reads("  thu ,1 jAN 1970  00:00:00\t+0000 (a comment (nested) \\) )", 0, 0);
    reads("Thu, (x) 1 (y) Jan (z) 1970 00:00:00 -0330", 12600, -210);
}

static void obsolete_zones_and_years_are_read(void **state) {
    (void)state;
    reads("Thu, 1 Jan 1970 00:00:00 GMT", 0, 0);
    reads("Thu, 1 Jan 1970 00:00:00 UT", 0, 0);
    reads("Thu, 1 Jan 1970 00:00:00 Z", 0, 0);
    reads("Thu, 1 Jan 1970 00:00:00 EST", 18000, -300);
    reads("Thu, 1 Jan 1970 00:00:00 pdt", 25200, -420);
    reads("Thu, 1 Jan 1970 00:00:00 CEST", 0, 0);
    reads("Thu, 1 Jan 70 00:00:00 GMT", 0, 0);
    reads("Fri, 1 Jan 49 00:00:00 GMT", 2493072000, 0);
    reads("Sat, 1 Jan 100 00:00:00 GMT", 946684800, 0);
}

static void what_is_no_date_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", " ", "x", "Thu", "Thu, 01 Jan 1970", "Thu, 01 Jan 1970 08:00:00", "Thu 01 Jan 1970 08:00:00 +0800",
        "Fri, 01 Jan 1970 00:00:00 +0000", "Thu, 00 Jan 1970 00:00:00 +0000", "32 Jan 1970 00:00:00 +0000",
        "29 Feb 1970 00:00:00 +0000", "29 Feb 1900 00:00:00 +0000", "31 Apr 2020 00:00:00 +0000", "1 Foo 1970 00:00:00 +0000",
        "1 January 1970 00:00:00 +0000", "1 Jan 1970 24:00:00 +0000", "1 Jan 1970 00:60:00 +0000", "1 Jan 1970 00:00:61 +0000",
        "1 Jan 1970 00:00:00 +000", "1 Jan 1970 00:00:00 +00000", "1 Jan 1970 00:00:00 +0060", "1 Jan 1970 00:00:00 + 0000",
        "1 Jan 1970 00:00:00 +0000 x", "1 Jan 1970 0:00:00 +0000", "1 Jan 19700 00:00:00 +0000", "1 Jan 1970 00:00:00 (+0000)",
        "1 Jan 1970 00:00:00 +0000 (open", "1970-01-01T00:00:00Z", "1 Jan 1970 00:00:00 Bananas", "1 Jan 1 00:00:00 +0000",
        "1 Jan 1970 00:00:00 +0000\r\nBcc: x@y.example", "001 Jan 1970 00:00:00 +0000", "1 Jan 1970 00:00: +0000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refuses(bad[i]);
    int64_t seconds;
    int zone;
    assert_int_equal(dm_date_parse((dm_view){NULL, 0}, &seconds, &zone), DM_E_HEADER);
    assert_int_equal(dm_date_parse(BYTES("1 Jan 1970 00:00:00 +0000\0"), &seconds, &zone), DM_E_HEADER);
}

/* The C library's calendar is the oracle; every date that we write we read back. */
static void any_time_agrees_with_the_c_library_and_comes_back(void **state) {
    (void)state;
    uint64_t seed = 0x6461746500000001;
    for (int round = 0; round < 20000; round++) {
        uint64_t was = seed;
        int64_t seconds = (int64_t)(random_next(&seed) % 255611289600u) - 2208988800, got;
        int zone = (int)random_below(&seed, 2 * 840 + 1) - 840, got_zone;
        if (dm_date_parse(BYTES("x"), &got, &got_zone) == DM_OK) fail();
        dm_buf_clear(&out);
        if (dm_date(&out, seconds, zone) != DM_OK) continue;    /* the zone pushed it out of the years */
        time_t local = seconds + zone * 60;
        struct tm tm;
        char expected[80];
        gmtime_r(&local, &tm);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S ", &tm);
        size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, "%c%02d%02d", zone < 0 ? '-' : '+', abs(zone) / 60, abs(zone) % 60);
        bool good = dm_view_is(dm_buf_view(&out), expected) && dm_date_parse(dm_buf_view(&out), &got, &got_zone) == DM_OK &&
                    got == seconds && got_zone == zone;
        if (!good) fail_msg("seed %#llx: %.*s for %s", (unsigned long long)was, (int)out.n, out.p, expected);
    }
}

static int begin(void **state) {
    (void)state;
    dm_buf_init(&out, 1000);
    return 0;
}

static int end(void **state) {
    (void)state;
    dm_buf_clear(&out);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_3_2_the_form_of_a_date),
        cmocka_unit_test(rule_3_2_english_names_in_any_locale),
        cmocka_unit_test(rule_3_3_leap_second_minus_zero_and_1900),
        cmocka_unit_test(times_outside_four_digit_years_are_refused),
        cmocka_unit_test(the_forms_of_rfc_5322_are_read),
        cmocka_unit_test(obsolete_zones_and_years_are_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(any_time_agrees_with_the_c_library_and_comes_back),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
