/* header_test.c - header fields: names, kinds, folding and the gate, the rules 3.4 to 3.17 of RFC 5322. */
#include "bytes.h"
#include "header.h"

static dm_field field(const char *name, dm_kind kind, const char *value) {
    dm_field f = {dm_view_of(name), kind, dm_view_of(value), NULL, 0};
    return f;
}

static dm_mailbox mailbox(const char *name, const char *address) {
    dm_mailbox m = {dm_view_of(name), dm_view_of(address), 0, 0};
    return m;
}

static void expect_fields(const dm_field *fields, size_t count, const char *written) {
    dm_buf out;
    dm_error err;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_header_write(&out, fields, count, &err), DM_OK);
    dm_buf_addc(&out, '\0');
    assert_string_equal(out.p, written);
    dm_buf_clear(&out);
}

static void expect(const char *name, dm_kind kind, const char *value, const char *written) {
    dm_field f = field(name, kind, value);
    expect_fields(&f, 1, written);
}

/* Refused, with this name in the error's field and these words in its detail. */
static void refuse_fields(const dm_field *fields, size_t count, const char *name, const char *words) {
    dm_buf out;
    dm_error err = {DM_OK, "", ""};
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_header_write(&out, fields, count, &err), DM_E_HEADER);
    assert_int_equal(err.code, DM_E_HEADER);
    assert_string_equal(err.field, name);
    if (!strstr(err.detail, words)) assert_string_equal(err.detail, words);
    dm_buf_clear(&out);
}

static void refuse_view(const char *name, dm_kind kind, const char *value, size_t n, const char *words) {
    dm_field f = field(name, kind, "");
    f.value = (dm_view){value, n};
    refuse_fields(&f, 1, name, words);
}

static void refuse(const char *name, dm_kind kind, const char *value, const char *words) {
    refuse_view(name, kind, value, strlen(value), words);
}

static void every_kind_is_written(void **state) {
    (void)state;
    expect("Subject", DM_FIELD_TEXT, "Caf\xC3\xA9", "Subject: =?UTF-8?Q?Caf=C3=A9?=\r\n");
    expect("Message-ID", DM_FIELD_TOKENS, "<a@x.example>", "Message-ID: <a@x.example>\r\n");
    expect("X-AliDM-Trace", DM_FIELD_EXACT, "eyJ9==", "X-AliDM-Trace: eyJ9==\r\n");
    expect("Subject", DM_FIELD_TEXT, "", "Subject:\r\n");
}

static void rule_3_4_single_fields_stand_once(void **state) {
    (void)state;
    dm_field two[2] = {field("Subject", DM_FIELD_TEXT, "a"), field("SUBJECT", DM_FIELD_TEXT, "b")};
    refuse_fields(two, 2, "SUBJECT", "once");
    dm_field many[2] = {field("X-A", DM_FIELD_TEXT, "a"), field("X-A", DM_FIELD_TEXT, "b")};
    expect_fields(many, 2, "X-A: a\r\nX-A: b\r\n");
}

static void rule_4_1_fields_of_the_structure_are_ours(void **state) {
    (void)state;
    refuse("Mime-Version", DM_FIELD_EXACT, "1.0", "leave it out");
    refuse("content-type", DM_FIELD_EXACT, "text/html", "leave it out");
    refuse("Content-Transfer-Encoding", DM_FIELD_EXACT, "7bit", "leave it out");
}

static void rule_3_6_lists_fold_behind_commas(void **state) {
    (void)state;
    char addresses[20][48], *p;
    dm_mailbox boxes[20];
    for (int i = 0; i < 20; i++) {
        snprintf(addresses[i], sizeof addresses[i], "person%02d@mail.example.com", i);
        boxes[i] = mailbox(i % 2 ? "Ann B" : "", addresses[i]);
    }
    dm_field to = {dm_view_of("To"), DM_FIELD_MAILBOXES, {NULL, 0}, boxes, 20};
    dm_buf out;
    dm_buf_init(&out, 100000);
    assert_int_equal(dm_header_write(&out, &to, 1, NULL), DM_OK);
    dm_buf_addc(&out, '\0');
    int lines = 0;
    for (char *line = out.p; *line; line = p + 2, lines++) {
        p = strstr(line, "\r\n");
        assert_non_null(p);
        assert_true(p - line <= 78);
        if (lines > 0) assert_true(line[0] == ' ' && line[1] != ' ');
        if (p[2]) assert_true(p[-1] == ',');
    }
    assert_true(lines > 5 && lines < 15);
    dm_buf_clear(&out);
}

/* RFC 2047, 2: 76 for a line that holds an encoded word, and the comma counts. Every length is tried. */
static void rule_4_43_no_line_of_a_list_is_over_76_with_its_comma(void **state) {
    (void)state;
    for (size_t n = 1; n < 60; n++) {
        char address[80], name[80];
        memset(address, 'a', n);
        strcpy(address + n, "@x.example");
        memset(name, 'n', n);
        name[n] = '\0';
        dm_mailbox boxes[3] = {mailbox("\xe5\xbc\xa0", address), mailbox(name, "b@x.example"), mailbox("", address)};
        dm_field to = {dm_view_of("To"), DM_FIELD_MAILBOXES, {NULL, 0}, boxes, 3};
        dm_buf out;
        dm_buf_init(&out, 10000);
        assert_int_equal(dm_header_write(&out, &to, 1, NULL), DM_OK);
        if (longest_line(dm_buf_view(&out), 0) > 76) fail_msg("%zu: %.*s", n, (int)out.n, out.p);
        dm_buf_clear(&out);
    }
}

static void a_mailbox_folds_inside_only_when_a_line_cannot_hold_it(void **state) {
    (void)state;
    dm_mailbox two[2] = {mailbox("Ann", "ann@x.example"), mailbox(
        "A name of many words that goes on and on until it fills most of a line", "a@x.example")};
    dm_field to = {dm_view_of("To"), DM_FIELD_MAILBOXES, {NULL, 0}, two, 2};
    expect_fields(&to, 1, "To: Ann <ann@x.example>,\r\n"
                  " A name of many words that goes on and on until it fills most of a line\r\n <a@x.example>\r\n");
}

static void rule_3_7_blanks_at_the_end_are_trimmed(void **state) {
    (void)state;
    expect("Subject", DM_FIELD_TEXT, "  a \t ", "Subject: a\r\n");
    expect("X-A", DM_FIELD_TOKENS, "a  b   ", "X-A: a b\r\n");
    expect("X-A", DM_FIELD_EXACT, "a  b   ", "X-A: a  b\r\n");
    expect("X-A", DM_FIELD_TOKENS, "   ", "X-A:\r\n");
}

static void rule_3_8_a_token_that_cannot_fold_is_refused(void **state) {
    (void)state;
    char token[1201];
    memset(token, 'a', 1200);
    token[1200] = '\0';
    refuse("X-A", DM_FIELD_TOKENS, token, "998");
    refuse("X-A", DM_FIELD_EXACT, token, "998");
    token[998 - 5] = '\0';      /* "X-A: " is before it */
    char line[1300];
    snprintf(line, sizeof line, "X-A: %s\r\n", token);
    expect("X-A", DM_FIELD_TOKENS, token, line);
    expect("X-A", DM_FIELD_EXACT, token, line);
    token[998 - 5] = 'a';
    token[998 - 4] = '\0';
    refuse("X-A", DM_FIELD_EXACT, token, "998");
    snprintf(line, sizeof line, "X-A:\r\n %s\r\n", token);
    expect("X-A", DM_FIELD_TOKENS, token, line);
}

static void rule_3_9_names_are_printable_ascii(void **state) {
    (void)state;
    dm_field f = field("X Y", DM_FIELD_TEXT, "v");
    refuse_fields(&f, 1, "X Y", "header field 1");
    f = field("X:Y", DM_FIELD_TEXT, "v");
    refuse_fields(&f, 1, "X:Y", "header field 1");
    f = field("X\xC3\xA9", DM_FIELD_TEXT, "v");
    refuse_fields(&f, 1, "X\xC3\xA9", "header field 1");
    f = field("", DM_FIELD_TEXT, "v");
    refuse_fields(&f, 1, "", "header field 1");
    f = field("X\r\nBcc", DM_FIELD_TEXT, "v");
    refuse_fields(&f, 1, "X??Bcc", "header field 1");
    f = field(".X", DM_FIELD_TEXT, "v");
    refuse_fields(&f, 1, ".X", "no dot in front");
    char name[1200];
    memset(name, 'x', sizeof name);
    f.name = (dm_view){name, sizeof name};
    dm_error err;
    dm_buf out;
    dm_buf_init(&out, 10000);
    assert_int_equal(dm_header_write(&out, &f, 1, &err), DM_E_HEADER);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    dm_buf_clear(&out);
}

static void rule_3_10_a_line_break_is_refused_in_every_kind(void **state) {
    (void)state;
    static const dm_kind kinds[] = {DM_FIELD_TEXT, DM_FIELD_TOKENS, DM_FIELD_EXACT};
    for (size_t i = 0; i < 3; i++) {
        refuse("Subject", kinds[i], "Hi\r\nBcc: v@x.example", "line break");
        refuse("Subject", kinds[i], "Hi\nBcc: v@x.example", "line break");
        refuse("Subject", kinds[i], "Hi\rBcc: v@x.example", "line break");
        refuse("Subject", kinds[i], "Hi\r\n", "line break");
        refuse_view("Subject", kinds[i], "Hi\0x", 4, "line break");
    }
    expect("Subject", DM_FIELD_TEXT, "Hi%0d%0aBcc", "Subject: Hi%0d%0aBcc\r\n");
}

static void rule_3_11_a_mailbox_cannot_inject(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"A\r\nBcc: v@x.example", "a@x.example"}, {"A", "a@x.example>\r\nBcc: <v@x.example"}, {"A", "a@x.example>, <b@x.example"},
        {"A", "a b@x.example"}, {"A", ""}, {"A", "\"a"}, {"A", "\"a\\"}, {"A", "\xC3\xA9@x.example"}, {"", "a\tb@x.example"},
        {"A\xff", "a@x.example"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dm_mailbox boxes[2] = {mailbox("B", "b@x.example"), mailbox(bad[i][0], bad[i][1])};
        dm_field to = {dm_view_of("Reply-To"), DM_FIELD_MAILBOXES, {NULL, 0}, boxes, 2};
        refuse_fields(&to, 1, "Reply-To", "mailbox 2");
    }
    dm_mailbox good = mailbox("", "\"a <b> \\\" c\"@x.example");
    dm_field to = {dm_view_of("To"), DM_FIELD_MAILBOXES, {NULL, 0}, &good, 1};
    expect_fields(&to, 1, "To: \"a <b> \\\" c\"@x.example\r\n");
}

static void rule_3_12_unicode_line_ends_are_encoded(void **state) {
    (void)state;
    static const char *const ends[] = {"a\xE2\x80\xA8" "b", "a\xC2\x85" "b", "a\x0B" "b", "a\x0C" "b"};
    for (size_t i = 0; i < 4; i++) {
        dm_field f = field("Subject", DM_FIELD_TEXT, ends[i]);
        dm_buf out;
        dm_buf_init(&out, 1000);
        assert_int_equal(dm_header_write(&out, &f, 1, NULL), DM_OK);
        for (size_t k = 0; k + 2 < out.n; k++) assert_in_range((unsigned char)out.p[k], 32, 126);
        assert_memory_equal(out.p, "Subject: =?UTF-8?", 17);
        dm_buf_clear(&out);
    }
}

static void structured_values_are_ascii(void **state) {
    (void)state;
    refuse("X-A", DM_FIELD_TOKENS, "\xC3\xA9", "ASCII");
    refuse("X-A", DM_FIELD_EXACT, "a\tb", "ASCII");
    refuse("Subject", DM_FIELD_TEXT, "ab\xff", "octet 3");
}

static void rule_3_13_bcc_is_never_written(void **state) {
    (void)state;
    refuse("BCC", DM_FIELD_TOKENS, "v@x.example", "envelope");
    refuse("Resent-Bcc", DM_FIELD_TOKENS, "v@x.example", "envelope");
}

static void rule_3_14_several_authors_need_a_sender(void **state) {
    (void)state;
    dm_mailbox two[2] = {mailbox("", "a@x.example"), mailbox("", "b@x.example")};
    dm_field fields[2] = {{dm_view_of("From"), DM_FIELD_MAILBOXES, {NULL, 0}, two, 2},
                          {dm_view_of("Sender"), DM_FIELD_MAILBOXES, {NULL, 0}, two, 1}};
    refuse_fields(fields, 1, "Sender", "several");
    expect_fields(fields, 2, "From: a@x.example, b@x.example\r\nSender: a@x.example\r\n");
}

static void rule_3_15_no_recipient_to_show(void **state) {
    (void)state;
    expect("To", DM_FIELD_TOKENS, "undisclosed-recipients:;", "To: undisclosed-recipients:;\r\n");
    dm_field none = {dm_view_of("Cc"), DM_FIELD_MAILBOXES, {NULL, 0}, NULL, 0};
    expect_fields(&none, 1, "");
}

static void rule_3_17_ids_fold_between_them(void **state) {
    (void)state;
    char ids[40 * 30] = "";
    for (int i = 0; i < 40; i++) sprintf(ids + strlen(ids), "%s<message-%02d@x.example>", i ? " " : "", i);
    dm_field f = field("References", DM_FIELD_TOKENS, ids);
    dm_buf out;
    dm_buf_init(&out, 10000);
    assert_int_equal(dm_header_write(&out, &f, 1, NULL), DM_OK);
    dm_buf_addc(&out, '\0');
    size_t n = 0, ends = 0;
    for (const char *p = out.p; *p; p++) {              /* unfold */
        if (*p == '\r') {
            ends++;
            p++;
            continue;
        }
        if (n >= strlen("References: ") && n < sizeof ids + 12) assert_int_equal(*p, ids[n - 12]);
        n++;
    }
    assert_int_equal(n, strlen(ids) + 12);
    assert_true(ends > 10);
    dm_buf_clear(&out);
}

static void rule_5_5_a_long_uri_stays_whole(void **state) {
    (void)state;
    char uri[320] = "<https://x.example/";
    memset(uri + strlen(uri), 'u', 300 - strlen(uri));
    strcpy(uri + 300, ">,");
    char value[400], written[450];
    snprintf(value, sizeof value, "%s <mailto:u@x.example>", uri);
    snprintf(written, sizeof written, "List-Unsubscribe: %s\r\n <mailto:u@x.example>\r\n", uri);
    expect("List-Unsubscribe", DM_FIELD_TOKENS, value, written);
}

static void what_an_error_quotes_is_cut_between_characters(void **state) {
    (void)state;
    char out[8];
    assert_string_equal(dm_header_quote(out, sizeof out, dm_view_of("\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5")),
                        "\xE6\x8A\xA5\xE6\x8A\xA5");
    assert_string_equal(dm_header_quote(out, sizeof out, dm_view_of("a\x1B\xFF" "b")), "a??b");
    assert_string_equal(dm_header_quote(out, sizeof out, dm_view_of("12345678")), "1234567");
}

static void a_full_buffer_is_an_error(void **state) {
    (void)state;
    dm_mailbox two[2] = {mailbox("Ann", "ann@x.example"), mailbox("Bob", "bob@x.example")};
    dm_field fields[2] = {{dm_view_of("To"), DM_FIELD_MAILBOXES, {NULL, 0}, two, 2}, field("Subject", DM_FIELD_TEXT, "abc")};
    for (size_t limit = 0; limit < 56; limit++) {
        dm_buf out;
        dm_buf_init(&out, limit);
        assert_int_equal(dm_header_write(&out, fields, 2, NULL), DM_E_SIZE);
        dm_buf_clear(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_written),
        cmocka_unit_test(rule_3_4_single_fields_stand_once),
        cmocka_unit_test(rule_4_1_fields_of_the_structure_are_ours),
        cmocka_unit_test(rule_3_6_lists_fold_behind_commas),
        cmocka_unit_test(rule_4_43_no_line_of_a_list_is_over_76_with_its_comma),
        cmocka_unit_test(a_mailbox_folds_inside_only_when_a_line_cannot_hold_it),
        cmocka_unit_test(rule_3_7_blanks_at_the_end_are_trimmed),
        cmocka_unit_test(rule_3_8_a_token_that_cannot_fold_is_refused),
        cmocka_unit_test(rule_3_9_names_are_printable_ascii),
        cmocka_unit_test(rule_3_10_a_line_break_is_refused_in_every_kind),
        cmocka_unit_test(rule_3_11_a_mailbox_cannot_inject),
        cmocka_unit_test(rule_3_12_unicode_line_ends_are_encoded),
        cmocka_unit_test(structured_values_are_ascii),
        cmocka_unit_test(rule_3_13_bcc_is_never_written),
        cmocka_unit_test(rule_3_14_several_authors_need_a_sender),
        cmocka_unit_test(rule_3_15_no_recipient_to_show),
        cmocka_unit_test(rule_3_17_ids_fold_between_them),
        cmocka_unit_test(rule_5_5_a_long_uri_stays_whole),
        cmocka_unit_test(what_an_error_quotes_is_cut_between_characters),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
