/* word_test.c - header text, display names and encoded words. */
#include "bytes.h"

#include "alloc.h"

static dm_buf out, back;

static void text_at(size_t column, const char *in, const char *expected) {
    dm_buf_clear(&out);
    assert_int_equal(dm_word_text(&out, dm_view_of(in), &column), DM_OK);
    assert_buf(&out, expected);
}

static void text(const char *in, const char *expected) { text_at(9, in, expected); }     /* "Subject: " */

static void phrase(const char *in, const char *expected) {
    size_t column = 4;          /* "To: " */
    dm_buf_clear(&out);
    assert_int_equal(dm_word_phrase(&out, dm_view_of(in), &column), DM_OK);
    assert_buf(&out, expected);
}

static void decodes(const char *in, const char *expected) {
    dm_buf_clear(&out);
    assert_int_equal(dm_word_decode(&out, dm_view_of(in)), DM_OK);
    assert_buf(&out, expected);
}

static const char *repeated(const char *piece, size_t times) {
    static char text_of[5000];
    text_of[0] = '\0';
    for (size_t i = 0; i < times; i++) strcat(text_of, piece);
    return text_of;
}

static void rule_4_40_pure_ascii_is_untouched(void **state) {
    (void)state;
    text("Hello", "Hello");
    text("Hello,  \"World\" (1 = 1?)", "Hello,  \"World\" (1 = 1?)");
    text("", "");
    text("a\tb", "a\tb");
}

static void rule_4_41_ascii_that_looks_like_a_word_is_encoded(void **state) {
    (void)state;
    text("=?x?=", "=?UTF-8?Q?=3D=3Fx=3F=3D?=");
    phrase("=?x?=", "=?UTF-8?Q?=3D=3Fx=3F=3D?=");
    decodes("=?UTF-8?Q?=3D=3Fx=3F=3D?=", "=?x?=");
}

static void rule_4_42_q_for_mostly_latin(void **state) {
    (void)state;
    text("Caf\xc3\xa9 du coin", "=?UTF-8?Q?Caf=C3=A9_du_coin?=");
    text("\xc3\xa9", "=?UTF-8?Q?=C3=A9?=");
    text("1 \xe2\x82\xac = 1_?", "=?UTF-8?Q?1_=E2=82=AC_=3D_1=5F=3F?=");
}

static void rule_4_43_b_for_others_75_a_word_76_a_line(void **state) {
    (void)state;
    text("\xe6\x98\xa5\xe5\xad\xa3\xe4\xbc\x9a\xe5\x91\x98\xe5\x9b\x9e\xe9\xa6\x88\xe6\xb4\xbb\xe5\x8a\xa8\xe8\xaf\xb4\xe6\x98\x8e"
         "\xe4\xb8\x8e\xe8\xae\xa2\xe5\x8d\x95\xe7\x89\xa9\xe6\xb5\x81\xe7\x8a\xb6\xe6\x80\x81\xe6\x9b\xb4\xe6\x96\xb0\xe9\x80\x9a"
         "\xe7\x9f\xa5",
         "=?UTF-8?B?5pil5a2j5Lya5ZGY5Zue6aaI5rS75Yqo6K+05piO5LiO6K6i5Y2V?=\r\n =?UTF-8?B?54mp5rWB54q25oCB5pu05paw6YCa55+l?=");
}

static void the_column_after_the_text_is_told(void **state) {
    (void)state;
    size_t column = 9;
    dm_buf_clear(&out);
    dm_word_text(&out, BYTES("Caf\xc3\xa9"), &column);
    assert_int_equal(column, 9 + out.n);
    dm_buf_clear(&out);
    column = 9;
    dm_word_text(&out, dm_view_of(repeated("\xe6\x98\xa5", 25)), &column);
    char *last = memrchr(out.p, '\n', out.n);
    assert_int_equal(column, (size_t)(out.p + out.n - last) - 1);
    dm_buf_clear(&out);
    column = 9;
    dm_word_text(&out, dm_view_of(repeated("word ", 30)), &column);
    last = memrchr(out.p, '\n', out.n);
    assert_int_equal(column, (size_t)(out.p + out.n - last) - 1);
}

/* Hands each word of 'out' to 'judge', decoded alone. */
static void each_word(void (*judge)(dm_view alone)) {
    for (size_t i = 0; i < out.n;) {
        char *end = memchr(out.p + i, '\r', out.n - i);
        size_t n = end ? (size_t)(end - out.p) - i : out.n - i;
        assert_true(n <= 75);
        dm_buf_clear(&back);
        dm_word_decode(&back, (dm_view){out.p + i, n});
        assert_int_not_equal(back.p[0], '=');
        judge(dm_buf_view(&back));
        i += n + 3;
    }
}

static void is_utf8(dm_view alone) { assert_true(dm_utf8_valid(alone, NULL)); }

static void rule_4_44_every_word_holds_whole_characters(void **state) {
    (void)state;
    size_t column = 9;
    dm_buf_clear(&out);
    dm_word_text(&out, dm_view_of(repeated("A\xf0\x9f\x98\x80", 12)), &column);
    assert_true(longest_line(dm_buf_view(&out), 9) <= 76);
    each_word(is_utf8);
}

#define FAMILY "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7"     /* man ZWJ woman ZWJ girl */
#define FLAG "\xf0\x9f\x87\xa8\xf0\x9f\x87\xb3"                                                /* regional C, regional N */
#define ACCENT "e\xcc\x81"
#define THUMB "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd"                                               /* with a skin tone */
#define HEART "\xe2\x9d\xa4\xef\xb8\x8f"                                                       /* with a variation selector */

static const char *unit;

static void whole_units(dm_view alone) {
    size_t n = strlen(unit);
    assert_int_equal(alone.n % n, 0);
    for (size_t i = 0; i < alone.n; i += n) assert_memory_equal(alone.p + i, unit, n);
}

static void rule_4_45_clusters_are_not_cut(void **state) {
    (void)state;
    static const char *const units[] = {FAMILY, FLAG, ACCENT, THUMB, HEART};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t column = 9;
        unit = units[i];
        dm_buf_clear(&out);
        dm_word_text(&out, dm_view_of(repeated(unit, 40)), &column);
        assert_true(longest_line(dm_buf_view(&out), 9) <= 76);
        each_word(whole_units);
    }
}

static void rule_4_45_a_cluster_longer_than_any_word_is_cut_between_characters(void **state) {
    (void)state;
    size_t column = 9;
    char in[1000] = "a";
    strcat(in, repeated("\xcc\x81", 300));
    dm_buf_clear(&out);
    dm_word_text(&out, dm_view_of(in), &column);
    assert_true(longest_line(dm_buf_view(&out), 9) <= 76);
    each_word(is_utf8);
    dm_buf_clear(&back);
    dm_word_decode(&back, dm_buf_view(&out));
    assert_buf(&back, in);
}

static void rule_4_46_a_blank_between_words_is_inside_a_word(void **state) {
    (void)state;
    text("\xc3\xa9 \xc3\xa9", "=?UTF-8?Q?=C3=A9_=C3=A9?=");
    decodes("=?UTF-8?Q?=C3=A9_=C3=A9?=", "\xc3\xa9 \xc3\xa9");
    decodes("=?UTF-8?Q?=C3=A9?= =?UTF-8?Q?=C3=A9?=", "\xc3\xa9\xc3\xa9");
    decodes("=?UTF-8?Q?=C3=A9?= \r\n\t =?UTF-8?B?w6k=?= a =?UTF-8?Q?b?=", "\xc3\xa9\xc3\xa9 a b");
}

static void rule_4_47_a_name_with_quotes_and_letters_is_words_without_quotes(void **state) {
    (void)state;
    phrase("\"Zo\xc3\xab\" M", "=?UTF-8?Q?=22Zo=C3=AB=22_M?=");
}

static void rule_4_48_the_phrase_alphabet(void **state) {
    (void)state;
    phrase("\xc3\xa9(\xc3\xbc)", "=?UTF-8?Q?=C3=A9=28=C3=BC=29?=");
    phrase("\xc3\xa9\".,<>@:;\\_?=", "=?UTF-8?Q?=C3=A9=22=2E=2C=3C=3E=40=3A=3B=5C=5F=3F=3D?=");
    phrase("\xc3\xa9 A1!*+-/", "=?UTF-8?Q?=C3=A9_A1!*+-/?=");
}

static void rule_3_42_a_name_with_specials_is_quoted(void **state) {
    (void)state;
    phrase("A. B", "\"A. B\"");
    phrase("a@b", "\"a@b\"");
    phrase("Doe, Ann", "\"Doe, Ann\"");
    phrase("a\"b\\c", "\"a\\\"b\\\\c\"");
    phrase("two  blanks", "\"two  blanks\"");
    phrase("Ann O'Neil", "Ann O'Neil");
    phrase("Ann ", "Ann");
    phrase("", "");
    phrase(" Ann", "=?UTF-8?Q?_Ann?=");
}

static void rule_3_43_a_chinese_name_is_an_encoded_word(void **state) {
    (void)state;
    phrase("\xe5\xbc\xa0\xe4\xb8\x89", "=?UTF-8?B?5byg5LiJ?=");
}

static void a_name_stays_together_on_the_next_line(void **state) {
    (void)state;
    size_t column = 60;
    dm_buf_clear(&out);
    dm_buf_adds(&out, "b@x.example, ");
    dm_word_phrase(&out, BYTES("Ann Lee, Accounts"), &column);
    assert_buf(&out, "b@x.example,\r\n \"Ann Lee, Accounts\"");
    assert_int_equal(column, 20);
}

static void rule_3_6_long_ascii_is_folded_at_blanks(void **state) {
    (void)state;
    size_t column = 9;
    dm_buf_clear(&out);
    dm_word_text(&out, dm_view_of(repeated("seven77 ", 40)), &column);
    assert_true(longest_line(dm_buf_view(&out), 9) <= 76);
    dm_buf_clear(&back);
    dm_word_decode(&back, dm_buf_view(&out));
    assert_int_equal(back.n, 40 * 8 - 1);
    text_at(70, "seven77 seven77  x", "\r\n seven77 seven77  x");
    text_at(68, "seven77 seven77  x", "seven77\r\n seven77  x");
    text_at(60, "seven77 seven77  x", "seven77 seven77\r\n  x");
    dm_buf_clear(&out);         /* quoted strings fold at their blanks too */
    column = 4;
    dm_word_phrase(&out, dm_view_of(repeated("a, \"b\", ", 20)), &column);
    assert_true(longest_line(dm_buf_view(&out), 4) <= 76);
}

static void rule_3_7_no_folded_line_holds_white_space_only(void **state) {
    (void)state;
    char in[1500];
    text("trailing  \t ", "trailing");
    text("  \t", "");
    snprintf(in, sizeof in, "a  %s  b ", repeated("u", 90));
    dm_buf_clear(&out);
    size_t column = 9;
    assert_int_equal(dm_word_text(&out, dm_view_of(in), &column), DM_OK);
    bool seen = false;
    for (size_t i = 0; i < out.n; i++) {
        if (out.p[i] == '\n' || i + 1 == out.n) {
            if (i + 1 == out.n) seen = seen || out.p[i] != ' ';
            assert_true(seen);
            seen = false;
        } else if (out.p[i] != ' ' && out.p[i] != '\r') {
            seen = true;
        }
    }
}

static void rule_3_8_a_token_over_998_cannot_be_folded(void **state) {
    (void)state;
    size_t column = 9;
    dm_buf_clear(&out);
    dm_buf_adds(&out, "X-Long: ");
    assert_int_equal(dm_word_text(&out, dm_view_of(repeated("a", 1200)), &column), DM_E_HEADER);
    assert_int_equal(dm_word_text(&out, dm_view_of(repeated("a", 998)), &column), DM_E_HEADER);
    assert_buf(&out, "X-Long: ");
    assert_int_equal(column, 9);
    assert_int_equal(out.code, DM_OK);
    assert_int_equal(dm_word_text(&out, dm_view_of(repeated("a", 997)), &column), DM_OK);
    assert_int_equal(longest_line(dm_buf_view(&out), 0), 998);
    assert_int_equal(dm_word_phrase(&out, dm_view_of(repeated(",", 1200)), &column), DM_E_HEADER);
}

static void rule_3_10_line_breaks_and_nul_are_refused_and_percent_escapes_stay_text(void **state) {
    (void)state;
    static const struct { const char *p; size_t n; } bad[] = {{"Hi\r\nBcc: v@x.example", 21}, {"Hi\nx", 4}, {"Hi\rx", 4}, {"a\0b", 3},
                                                              {"\xc3\xa9\n", 3}};
    size_t column = 9;
    dm_buf_clear(&out);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dm_view in = {bad[i].p, bad[i].n};
        assert_int_equal(dm_word_text(&out, in, &column), DM_E_HEADER);
        assert_int_equal(dm_word_phrase(&out, in, &column), DM_E_HEADER);
    }
    assert_int_equal(out.n, 0);
    assert_int_equal(column, 9);
    text("Hi%0d%0aBcc: v@x.example", "Hi%0d%0aBcc: v@x.example");
}

static void rule_3_12_unicode_line_ends_are_encoded(void **state) {
    (void)state;
    text("a\xe2\x80\xa8" "b", "=?UTF-8?Q?a=E2=80=A8b?=");
    text("a\xc2\x85" "b", "=?UTF-8?Q?a=C2=85b?=");
    text("a\x0b" "b\x1b", "=?UTF-8?Q?a=0Bb=1B?=");
    phrase("a\tb", "=?UTF-8?Q?a=09b?=");
}

static void rule_4_15_invalid_utf_8_is_refused(void **state) {
    (void)state;
    size_t column = 9;
    dm_buf_clear(&out);
    assert_int_equal(dm_word_text(&out, BYTES("a\xff"), &column), DM_E_CONTENT);
    assert_int_equal(dm_word_phrase(&out, BYTES("\xc3"), &column), DM_E_CONTENT);
    assert_int_equal(out.n, 0);
    assert_int_equal(out.code, DM_OK);
}

static void rule_4_49_the_decoder_is_liberal(void **state) {
    (void)state;
    decodes("=?utf-8?b?w6k=?=", "\xc3\xa9");
    decodes("=?UtF-8*fr?q?=c3=a9?=", "\xc3\xa9");
    decodes("=?utf-8?B?w6k?=", "=?utf-8?B?w6k?=");                  /* padding missing */
    decodes("=?utf-8?B?w*k=?= a", "=?utf-8?B?w*k=?= a");
    decodes("=?utf-8?Q?=C3=?=", "=?utf-8?Q?=C3=?=");
    decodes("=?utf-8?Q?=FF?=", "=?utf-8?Q?=FF?=");                  /* not UTF-8 */
    decodes("=?gb2312?B?1cXI/Q==?=", "=?gb2312?B?1cXI/Q==?=");
    decodes("=?utf-8?X?a?=", "=?utf-8?X?a?=");
    decodes("=?utf-8?Q?a?", "=?utf-8?Q?a?");
    decodes("=?utf-8?", "=?utf-8?");
    decodes("=?iso-8859-1?Q?Andr=E9?= =?us-ascii?q?_X?=", "Andr\xc3\xa9 X");
    decodes("=?us-ascii?Q?=E9?=", "=?us-ascii?Q?=E9?=");
    decodes("a=?utf-8?Q?b_c?=d", "ab cd");
    decodes("=?utf-8?Q?" "?=", "");
    decodes("a = b =?= c", "a = b =?= c");
    decodes("folded\r\n text\n\tand more", "folded text\tand more");
    decodes("", "");
}

static void a_character_cut_between_words_is_joined(void **state) {
    (void)state;
    decodes("=?utf-8?B?w6nD?= =?utf-8?B?qQ==?=", "\xc3\xa9\xc3\xa9");
}

static void one_bad_word_does_not_spoil_its_neighbours(void **state) {
    (void)state;
    decodes("=?utf-8?Q?a?=  =?utf-8?Q?b?= =?utf-8?Q?=FF?=  =?utf-8?Q?c?=", "ab =?utf-8?Q?=FF?=  c");
}

static void rule_4_50_any_unicode_comes_back_in_lines_of_76(void **state) {
    (void)state;
    uint64_t seed = 0x776f726400000001;
    char in[8000];
    for (int round = 0; round < 1500; round++) {
        uint64_t was = seed;
        size_t n = 0, count = random_below(&seed, round % 10 ? 120 : 2000);
        for (size_t i = 0; i < count; i++) n += random_character(&seed, in + n);
        if (n > 0) n += (size_t)snprintf(in + n, 8, "\xc3\xa9");    /* so that tokens can be cut */
        size_t first = random_below(&seed, 78);
        for (int as_phrase = 0; as_phrase < 2; as_phrase++) {
            size_t column = first;
            dm_buf_clear(&out);
            dm_buf_clear(&back);
            dm_code code = (as_phrase ? dm_word_phrase : dm_word_text)(&out, (dm_view){in, n}, &column);
            bool good = code == DM_OK && dm_word_decode(&back, dm_buf_view(&out)) == DM_OK;
            dm_view got = dm_buf_view(&back);
            if (out.n > 0 && out.p[0] == '\r') {        /* the fold in front of the first word */
                got.p++;
                got.n--;
            }
            good = good && got.n == n && (n == 0 || memcmp(got.p, in, n) == 0);
            good = good && longest_line(dm_buf_view(&out), first < 76 ? first : 0) <= 76;
            if (!good) fail_msg("seed %#llx, column %zu: %.*s", (unsigned long long)was, first, (int)out.n, out.p ? out.p : "");
        }
    }
}

static void any_ascii_comes_back(void **state) {
    (void)state;
    uint64_t seed = 0x776f726400000002;
    char in[400];
    for (int round = 0; round < 3000; round++) {
        uint64_t was = seed;
        size_t n = random_below(&seed, sizeof in), column = 9;
        for (size_t i = 0; i < n; i++) in[i] = (char)(random_below(&seed, 6) ? 32 + random_below(&seed, 95) : ' ');
        while (n > 0 && in[n - 1] == ' ') n--;
        dm_buf_clear(&out);
        dm_buf_clear(&back);
        bool good = dm_word_text(&out, (dm_view){in, n}, &column) == DM_OK && dm_word_decode(&back, dm_buf_view(&out)) == DM_OK;
        dm_view got = dm_buf_view(&back);
        if (got.n == n + 1 && got.p[0] == ' ') got.p++, got.n--;
        if (!good || got.n != n || (n > 0 && memcmp(got.p, in, n) != 0) || longest_line(dm_buf_view(&out), 9) > 76)
            fail_msg("seed %#llx: %.*s", (unsigned long long)was, (int)out.n, out.p ? out.p : "");
    }
}

static void a_failed_allocation_is_reported(void **state) {
    (void)state;
    static const char *const texts[] = {"plain words that make a line, and one more line, and so on until it is long enough to fold",
                                        "Caf\xc3\xa9 du coin, caf\xc3\xa9 du coin, caf\xc3\xa9 du coin, caf\xc3\xa9 du coin",
                                        "\xe6\x98\xa5\xe5\xad\xa3\xe4\xbc\x9a\xe5\x91\x98\xe5\x9b\x9e\xe9\xa6\x88\xe6\xb4\xbb\xe5\x8a\xa8"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        DM_EVERY_ALLOCATION_FAILS_ONCE {
            dm_buf a, b;
            size_t column = 9;
            dm_buf_init(&a, 10000);
            dm_buf_init(&b, 10000);
            dm_code code = dm_word_text(&a, dm_view_of(texts[i]), &column);
            if (code == DM_OK) code = dm_word_phrase(&a, dm_view_of(texts[i]), &column);
            if (code == DM_OK) code = dm_word_decode(&b, dm_buf_view(&a));
            assert_int_equal(code, dm_alloc_failed() ? DM_E_MEMORY : DM_OK);
            dm_buf_clear(&a);
            dm_buf_clear(&b);
        }
    }
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_buf b;
        dm_buf_init(&b, 10000);
        dm_code code = dm_word_decode(&b, BYTES("=?iso-8859-1?Q?=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9"
                                                "=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9=E9?= and =?utf-8?B?w6k=?="));
        assert_int_equal(code, dm_alloc_failed() ? DM_E_MEMORY : DM_OK);
        dm_buf_clear(&b);
    }
}

static void a_hostile_run_of_words_is_read_in_linear_time(void **state) {
    (void)state;
    dm_buf in;
    dm_buf_init(&in, 10000000);
    for (int i = 0; i < 50000; i++) dm_buf_adds(&in, "=?utf-8?Q?=FF?= ");
    dm_buf_clear(&out);
    assert_int_equal(dm_word_decode(&out, dm_buf_view(&in)), DM_OK);     /* seconds and more if it were not */
    assert_int_equal(out.n, in.n);
    dm_buf_clear(&in);
}

static int begin(void **state) {
    (void)state;
    dm_buf_init(&out, 2000000);
    dm_buf_init(&back, 100000);
    return 0;
}

static int end(void **state) {
    (void)state;
    dm_buf_clear(&out);
    dm_buf_clear(&back);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_4_40_pure_ascii_is_untouched),
        cmocka_unit_test(rule_4_41_ascii_that_looks_like_a_word_is_encoded),
        cmocka_unit_test(rule_4_42_q_for_mostly_latin),
        cmocka_unit_test(rule_4_43_b_for_others_75_a_word_76_a_line),
        cmocka_unit_test(the_column_after_the_text_is_told),
        cmocka_unit_test(rule_4_44_every_word_holds_whole_characters),
        cmocka_unit_test(rule_4_45_clusters_are_not_cut),
        cmocka_unit_test(rule_4_45_a_cluster_longer_than_any_word_is_cut_between_characters),
        cmocka_unit_test(rule_4_46_a_blank_between_words_is_inside_a_word),
        cmocka_unit_test(rule_4_47_a_name_with_quotes_and_letters_is_words_without_quotes),
        cmocka_unit_test(rule_4_48_the_phrase_alphabet),
        cmocka_unit_test(rule_3_42_a_name_with_specials_is_quoted),
        cmocka_unit_test(rule_3_43_a_chinese_name_is_an_encoded_word),
        cmocka_unit_test(a_name_stays_together_on_the_next_line),
        cmocka_unit_test(rule_3_6_long_ascii_is_folded_at_blanks),
        cmocka_unit_test(rule_3_7_no_folded_line_holds_white_space_only),
        cmocka_unit_test(rule_3_8_a_token_over_998_cannot_be_folded),
        cmocka_unit_test(rule_3_10_line_breaks_and_nul_are_refused_and_percent_escapes_stay_text),
        cmocka_unit_test(rule_3_12_unicode_line_ends_are_encoded),
        cmocka_unit_test(rule_4_15_invalid_utf_8_is_refused),
        cmocka_unit_test(rule_4_49_the_decoder_is_liberal),
        cmocka_unit_test(a_character_cut_between_words_is_joined),
        cmocka_unit_test(one_bad_word_does_not_spoil_its_neighbours),
        cmocka_unit_test(rule_4_50_any_unicode_comes_back_in_lines_of_76),
        cmocka_unit_test(any_ascii_comes_back),
        cmocka_unit_test(a_failed_allocation_is_reported),
        cmocka_unit_test(a_hostile_run_of_words_is_read_in_linear_time),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
