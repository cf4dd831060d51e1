/* text_test.c - texts made ready for the wire: line ends, the choice of an encoding, raw lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

static void expect_view(dm_view text, dm_coding coding, const char *written) {
    dm_buf out;
    dm_coding how = DM_8BIT;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_text_encode(&out, text, &how, "text", NULL), DM_OK);
    assert_string_equal(dm_coding_name(how), dm_coding_name(coding));
    dm_buf_addc(&out, '\0');
    assert_string_equal(out.p, written);
    dm_buf_clear(&out);
}

static void expect(const char *text, dm_coding coding, const char *written) {
    expect_view(dm_view_of(text), coding, written);
}

static dm_coding choice(const char *text, size_t n) {
    dm_buf out;
    dm_coding how = DM_8BIT;
    dm_buf_init(&out, 1 << 20);
    assert_int_equal(dm_text_encode(&out, (dm_view){text, n}, &how, "text", NULL), DM_OK);
    dm_buf_clear(&out);
    return how;
}

static void refuse(const char *text, size_t n, const char *words) {
    dm_buf out;
    dm_coding how;
    dm_error err;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_text_encode(&out, (dm_view){text, n}, &how, "html", &err), DM_E_CONTENT);
    assert_int_equal(err.code, DM_E_CONTENT);
    assert_string_equal(err.field, "html");
    if (!strstr(err.detail, words)) assert_string_equal(err.detail, words);
    dm_buf_clear(&out);
}

static void rule_4_2_short_ascii_is_7bit(void **state) {
    (void)state;
    expect("hi", DM_7BIT, "hi");
    expect("", DM_7BIT, "");
    expect("tab\tand blank \r\n-- \r\n", DM_7BIT, "tab\tand blank \r\n-- \r\n");
    expect_view((dm_view){NULL, 0}, DM_7BIT, "");
}

static void rules_1_47_to_1_49_line_ends_become_crlf(void **state) {
    (void)state;
    expect("a\nb\n", DM_7BIT, "a\r\nb\r\n");
    expect("a\rb", DM_7BIT, "a\r\nb");
    expect("a\r\r\nb", DM_7BIT, "a\r\n\r\nb");
    expect("a\n\rb\r", DM_7BIT, "a\r\n\r\nb\r\n");
    expect("\r\n\n\r", DM_7BIT, "\r\n\r\n\r\n");
    expect("=.\r\xC3\xA9\n............\r\r\n.", DM_QUOTED, "=3D.\r\n=C3=A9\r\n=2E...........\r\n\r\n=2E");
    expect("\xE6\x8A\xA5\n\xE6\x8A\xA5\r\xE6\x8A\xA5", DM_BASE64, "5oqlDQrmiqUNCuaKpQ==");    /* CRLF inside too */
}

static void rule_1_21_a_line_of_998_is_kept_and_one_of_999_is_not(void **state) {
    (void)state;
    char line[999];
    memset(line, 'a', sizeof line);
    assert_int_equal(choice(line, 998), DM_7BIT);
    assert_int_equal(choice(line, 999), DM_QUOTED);
}

static void rule_4_12_lines_that_relays_would_change_are_quoted(void **state) {
    (void)state;
    expect(".x", DM_QUOTED, "=2Ex");
    expect("a\nFrom x", DM_QUOTED, "a\r\n=46rom x");
    expect("a\r.", DM_QUOTED, "a\r\n=2E");
    expect("From", DM_7BIT, "From");
    expect("x From y.", DM_7BIT, "x From y.");
}

static void controls_are_quoted(void **state) {
    (void)state;
    for (int c = 1; c < 128; c++) {
        char text[20] = "0123456789abcdefgh";
        for (size_t at = 0; at < 18; at++) {
            char was = text[at];
            text[at] = (char)c;
            bool plain = (c >= 32 && c < 127) || c == '\t' || c == '\r' || c == '\n';
            if (!(at == 0 && c == '.')) assert_int_equal(choice(text, 18), plain ? DM_7BIT : DM_QUOTED);
            text[at] = was;
        }
    }
}

static void rule_4_14_over_a_sixth_of_non_ascii_is_base64(void **state) {
    (void)state;
    char text[60];
    memset(text, 'a', sizeof text);
    for (int i = 0; i < 10; i += 2) memcpy(text + i, "\xC3\xA9", 2);
    assert_int_equal(choice(text, 60), DM_QUOTED);      /* 10 of 60 */
    assert_int_equal(choice(text, 59), DM_BASE64);
    assert_int_equal(choice("\xC3\xA9", 2), DM_BASE64);
}

static void rule_4_15_invalid_utf8_is_refused_with_its_place(void **state) {
    (void)state;
    refuse("ab\xff", 3, "octet 3");
    refuse("ab\xC3", 3, "octet 3");
    refuse("\xED\xA0\x80", 3, "octet 1");
}

static void rule_4_16_a_byte_order_mark_is_dropped(void **state) {
    (void)state;
    expect("\xEF\xBB\xBFhi", DM_7BIT, "hi");
    expect("\xEF\xBB\xBF", DM_7BIT, "");
    expect("hi \xEF\xBB\xBF............", DM_QUOTED, "hi =EF=BB=BF............");
}

static void rule_1_53_nul_is_refused_with_its_place(void **state) {
    (void)state;
    refuse("a\0b", 3, "octet 2");
    refuse("\0", 1, "octet 1");
}

static void an_encoded_text_never_needs_dots_or_breaks_a_line(void **state) {
    (void)state;
    static const char *const atoms[] = {".", "From ", "\n", "\r", "\r\n", "a", "\xC3\xA9", "=", " ", "\t", "\x01", "aaaaaaaaaaaaaaaa"};
    srand(2);
    for (int round = 0; round < 5000; round++) {
        dm_buf in, out;
        dm_coding how;
        dm_buf_init(&in, 100000);
        dm_buf_init(&out, 100000);
        for (int i = rand() % 150; i > 0; i--) dm_buf_adds(&in, atoms[rand() % 12]);
        assert_int_equal(dm_text_encode(&out, dm_buf_view(&in), &how, "text", NULL), DM_OK);
        size_t column = 0;
        for (size_t i = 0; i < out.n; i++) {
            char c = out.p[i];
            assert_true(c == '\r' || c == '\n' || c == '\t' || (c >= 32 && c < 127));
            if (column == 0) assert_true(c != '.' && !(out.n - i >= 5 && memcmp(out.p + i, "From ", 5) == 0));
            if (c == '\r') assert_true(i + 1 < out.n && out.p[i + 1] == '\n');
            if (c == '\n') assert_true(i > 0 && out.p[i - 1] == '\r');
            column = c == '\n' ? 0 : column + 1;
            assert_true(column <= (how == DM_7BIT ? 999 : 77));     /* with its CR */
        }
        dm_buf_clear(&in);
        dm_buf_clear(&out);
    }
}

static void expect_raw(const char *text, dm_coding coding, bool dots, const char *written) {
    dm_buf out;
    dm_coding how = DM_QUOTED;
    bool has = false;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_text_raw(&out, dm_view_of(text), &how, &has, "raw", NULL), DM_OK);
    dm_buf_addc(&out, '\0');
    assert_string_equal(out.p, written);
    assert_int_equal(how, coding);
    assert_int_equal(has, dots);
    dm_buf_clear(&out);
}

static void refuse_raw(const char *text, size_t n, const char *words) {
    dm_buf out;
    dm_coding how;
    bool dots = false;
    dm_error err;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_text_raw(&out, (dm_view){text, n}, &how, &dots, "raw", &err), DM_E_CONTENT);
    assert_string_equal(err.field, "raw");
    if (!strstr(err.detail, words)) assert_string_equal(err.detail, words);
    dm_buf_clear(&out);
}

static void raw_lines_are_repaired_and_noted(void **state) {
    (void)state;
    expect_raw("A: b\n\n.x\ry", DM_7BIT, true, "A: b\r\n\r\n.x\r\ny");
    expect_raw("a.b\r\r\nc", DM_7BIT, false, "a.b\r\n\r\nc");
    expect_raw("\xFF\x01\n", DM_8BIT, false, "\xFF\x01\r\n");
    expect_raw("", DM_7BIT, false, "");
}

static void raw_refuses_what_cannot_travel(void **state) {
    (void)state;
    char text[1010] = "a\nb\r\n";
    memset(text + 5, 'x', 999);
    strcpy(text + 5 + 999, "\ny");
    refuse_raw(text, strlen(text), "line 3 has 999 octets");
    refuse_raw("a\nb\r\nc\0", 7, "line 3 holds a NUL");
    refuse_raw("\0", 1, "line 1 holds a NUL");
    text[5 + 998] = '\n';
    dm_buf out;
    dm_coding how;
    bool dots = false;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_text_raw(&out, dm_view_of(text), &how, &dots, "raw", NULL), DM_OK);
    dm_buf_clear(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_4_2_short_ascii_is_7bit),
        cmocka_unit_test(rules_1_47_to_1_49_line_ends_become_crlf),
        cmocka_unit_test(rule_1_21_a_line_of_998_is_kept_and_one_of_999_is_not),
        cmocka_unit_test(rule_4_12_lines_that_relays_would_change_are_quoted),
        cmocka_unit_test(controls_are_quoted),
        cmocka_unit_test(rule_4_14_over_a_sixth_of_non_ascii_is_base64),
        cmocka_unit_test(rule_4_15_invalid_utf8_is_refused_with_its_place),
        cmocka_unit_test(rule_4_16_a_byte_order_mark_is_dropped),
        cmocka_unit_test(rule_1_53_nul_is_refused_with_its_place),
        cmocka_unit_test(an_encoded_text_never_needs_dots_or_breaks_a_line),
        cmocka_unit_test(raw_lines_are_repaired_and_noted),
        cmocka_unit_test(raw_refuses_what_cannot_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
