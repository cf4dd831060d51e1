/* idn_test.c - domain names as A-labels. */
#include "bytes.h"

#include "alloc.h"

static dm_buf out;

static void becomes(const char *in, const char *expected) {
    dm_error err = {0};
    dm_buf_clear(&out);
    if (dm_idn(&out, dm_view_of(in), &err) != DM_OK) fail_msg("%s was refused: %s", in, err.detail);
    assert_buf(&out, expected);
}

static void refused(dm_view in, const char *why) {
    dm_error err = {0};
    dm_buf_clear(&out);
    if (dm_idn(&out, in, &err) != DM_E_ADDRESS) fail_msg("%.*s was taken: %.*s", (int)in.n, in.p, (int)out.n, out.p);
    assert_int_equal(err.code, DM_E_ADDRESS);
    if (!strstr(err.detail, why)) fail_msg("%s does not say: %s", err.detail, why);
    assert_int_equal(out.n, 0);
    assert_true(dm_utf8_valid(dm_view_of(err.detail), NULL));
}

static void refuses(const char *in, const char *why) { refused(dm_view_of(in), why); }

static void rule_6_1_punycode(void **state) {
    (void)state;
    becomes("b\xc3\xbc" "cher", "xn--bcher-kva");
    becomes("\xe4\xbe\x8b\xe3\x81\x88", "xn--r8jz45g");
    becomes("\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--zckzah");
    becomes("\xe4\xb8\xad\xe6\x96\x87", "xn--fiq228c");
    becomes("\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--r8jz45g.xn--zckzah");
}

static void rule_6_2_sharp_s_and_final_sigma_are_kept(void **state) {
    (void)state;
    becomes("fa\xc3\x9f.example", "xn--fa-hia.example");
    becomes("\xce\xb2\xcf\x8c\xce\xbb\xce\xbf\xcf\x82.example", "xn--nxasmm1c.example");
}

static void rule_6_3_disallowed_characters(void **state) {
    (void)state;
    refuses("\xe2\x98\x83.example", "IDNA2008 does not allow");
    refuses("\xf0\x9f\x98\x80.example", "IDNA2008 does not allow");
}

static void rule_6_4_mapping_comes_first(void **state) {
    (void)state;
    becomes("B\xc3\x9c" "CHER.example", "xn--bcher-kva.example");
    becomes("\xef\xbd\x82\xc3\xbc" "cher\xe3\x80\x82" "example", "xn--bcher-kva.example");
    becomes("\xef\xbd\x81.example", "a.example");
}

static void rule_6_5_composed_and_decomposed_are_one(void **state) {
    (void)state;
    becomes("bu\xcc\x88" "cher", "xn--bcher-kva");
}

static void rule_6_6_fake_a_labels(void **state) {
    (void)state;
    becomes("xn--bcher-kva.example", "xn--bcher-kva.example");
    becomes("XN--BCHER-KVA.Example", "XN--BCHER-KVA.Example");
    refuses("xn--a", "IDNA2008");
    refuses("xn--abc-", "hyphen");
    refuses("xn--bcher-kva8", "encodes no name");
    refuses("a.xn--n3h.example", "IDNA2008");
    refuses("xn--", "hyphen");
    refuses("\xc3\xa9.xn--bcher-kva8", "encodes no name");
}

static void rule_6_7_hyphens(void **state) {
    (void)state;
    becomes("a-b--c.example", "a-b--c.example");
    becomes("a-b.example", "a-b.example");
    refuses("ab--c.example", "third and fourth");
    refuses("-a.example", "begins or ends with a hyphen");
    refuses("a-.example", "begins or ends with a hyphen");
    refuses("ab--\xc3\xa9.example", "third and fourth");
    refuses("-\xc3\xa9.example", "begins or ends with a hyphen");
}

static void rule_6_8_combining_marks_and_joiners(void **state) {
    (void)state;
    refuses("\xcc\x81" "a.example", "combining mark");
    refuses("a\xe2\x80\x8d.example", "joiner");
    refuses("\xe2\x80\x8d", "joiner");
}

static void rule_6_9_the_bidi_rule(void **state) {
    (void)state;
    becomes("\xd7\x90\xd7\x91" "1", "xn--1-zhcd");
    refuses("1\xd7\x90\xd7\x91", "RFC 5893");
}

static const char *label(size_t n, const char *rest) {
    static char text[400];
    memset(text, 'a', n);
    strcpy(text + n, rest);
    return text;
}

static void rule_6_10_lengths(void **state) {
    (void)state;
    char name[300];
    becomes(label(63, ".example"), label(63, ".example"));
    refuses(label(64, ".example"), "63 characters");
    for (int total = 253; total <= 254; total++) {
        snprintf(name, sizeof name, "%.*s", total, "");
        size_t n = 0;
        while (n < (size_t)total) {
            size_t step = (size_t)total - n < 60 ? (size_t)total - n : 60;
            memset(name + n, 'a', step);
            n += step;
            if (n < (size_t)total) name[n++] = '.';
        }
        name[n] = '\0';
        if (total == 253) becomes(name, name);
        else refuses(name, "253 characters");
    }
    char wide[400] = "";
    for (int i = 0; i < 80; i++) strcat(wide, "\xe4\xb8\xad");         /* U-label whose A-label is too long */
    refuses(wide, "63 characters");
}

static void rule_6_11_punycode_overflow(void **state) {
    (void)state;
    refuses("xn--99999999999", "encodes no name");
    refuses("xn--999999999999999999999999999999999999999999", "encodes no name");
}

static void rule_3_39_the_dot_at_the_end_is_dropped(void **state) {
    (void)state;
    becomes("x.example.", "x.example");
    becomes("\xc3\xa9.example.", "xn--9ca.example");
    becomes("\xc3\xa9.example\xe3\x80\x82", "xn--9ca.example");
    refuses("x.example..", "two dots");
    refuses(".", "two dots");
}

static void empty_labels_and_other_characters_are_refused(void **state) {
    (void)state;
    refuses("", "empty");
    refuses("a..example", "two dots");
    refuses(".a.example", "a dot stands first");
    refuses("a..\xc3\xa9", "two dots");
    refuses("a_b.example", "only letters");
    refuses("a b.example", "only letters");
    refuses("a b.\xc3\xa9", "only letters");
    refuses("a/b.\xc3\xa9", "only letters");
    refuses("\xc3\xa9\x01.x", "");
    refuses("\xef\xbc\x8c.example", "");
    refuses("\xff.example", "UTF-8");
}

static void line_breaks_and_nul_are_refused(void **state) {
    (void)state;
    refused(BYTES("a.example\r\nRSET"), "line break");
    refused(BYTES("\xc3\xa9\n"), "line break");
    refused(BYTES("a.example\0"), "line break or NUL");
    refused(BYTES("xn--bcher-kva\0.evil.example"), "line break or NUL");
}

static void a_plain_name_keeps_its_letter_case(void **state) {
    (void)state;
    becomes("Mail.EXAMPLE.com", "Mail.EXAMPLE.com");
    becomes("1.2.3.example", "1.2.3.example");
}

static void a_name_without_end_is_refused_and_shown_cut(void **state) {
    (void)state;
    char name[100000];
    for (size_t i = 0; i + 2 < sizeof name; i += 3) memcpy(name + i, "\xe4\xb8\xad", 3);
    refused((dm_view){name, sizeof name - 1}, "...");
}

static void a_full_buffer_is_reported(void **state) {
    (void)state;
    dm_buf small;
    dm_buf_init(&small, 5);
    assert_int_equal(dm_idn(&small, BYTES("x.example"), NULL), DM_E_SIZE);
    dm_buf_clear(&small);
    assert_int_equal(dm_idn(&small, BYTES("\xc3\xa9.example"), NULL), DM_E_SIZE);
    dm_buf_clear(&small);
}

static void a_failed_allocation_is_reported(void **state) {
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_buf b;
        dm_buf_init(&b, 1000);
        dm_code code = dm_idn(&b, BYTES("b\xc3\xbc" "cher.example"), NULL);
        assert_int_equal(code, dm_alloc_failed() ? DM_E_MEMORY : DM_OK);
        dm_buf_clear(&b);
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
        cmocka_unit_test(rule_6_1_punycode),
        cmocka_unit_test(rule_6_2_sharp_s_and_final_sigma_are_kept),
        cmocka_unit_test(rule_6_3_disallowed_characters),
        cmocka_unit_test(rule_6_4_mapping_comes_first),
        cmocka_unit_test(rule_6_5_composed_and_decomposed_are_one),
        cmocka_unit_test(rule_6_6_fake_a_labels),
        cmocka_unit_test(rule_6_7_hyphens),
        cmocka_unit_test(rule_6_8_combining_marks_and_joiners),
        cmocka_unit_test(rule_6_9_the_bidi_rule),
        cmocka_unit_test(rule_6_10_lengths),
        cmocka_unit_test(rule_6_11_punycode_overflow),
        cmocka_unit_test(rule_3_39_the_dot_at_the_end_is_dropped),
        cmocka_unit_test(empty_labels_and_other_characters_are_refused),
        cmocka_unit_test(line_breaks_and_nul_are_refused),
        cmocka_unit_test(a_plain_name_keeps_its_letter_case),
        cmocka_unit_test(a_name_without_end_is_refused_and_shown_cut),
        cmocka_unit_test(a_full_buffer_is_reported),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
