/* mime_test.c - whole messages: structure, sizes, pulling; the rules 1.46 to 1.54 and 4.1 to 4.29. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"
#include "directmail.h"

#define V(text) {text, sizeof text - 1}
#define LIMIT ((size_t)1 << 28)

/* What the readers 0, 1 ... bring. */
typedef struct source {
    dm_view bytes;
    size_t piece;               /* at most so many at once */
} source;

/* Pull it from where it stands. DM_END, or what went wrong. */
static dm_code pull(dm_message *m, dm_buf *out, size_t max, const source *sources) {
    size_t used[4] = {0};
    for (;;) {
        int reader = -1;
        size_t want = 0, before = out->n;
        dm_code code = dm_message_pull(m, out, max, &reader, &want);
        assert_true(out->n - before <= max + 160);
        if (code == DM_OK) {
            assert_true(out->n > before);
            continue;
        }
        if (code != DM_AGAIN) return code;
        assert_true(want > 0);
        const source *s = &sources[reader];
        size_t n = s->bytes.n - used[reader];
        if (n > want) n = want;
        if (n > s->piece) n = s->piece;
        if (n == 0) code = dm_message_body_end(m, out);
        else code = dm_message_body(m, out, (dm_view){s->bytes.p + used[reader], n});
        used[reader] += n;
        if (code != DM_OK) return code;
    }
}

/* Lay out, pull in several ways, check what holds for every message. The bytes end in a NUL. */
static dm_buf build_with(const dm_mail *mail, const source *sources) {
    static const size_t steps[] = {1 << 20, 1, 2, 3, 77, 78, 79, 1000};
    dm_message *m;
    dm_error err = {DM_OK, "", ""};
    dm_code code = dm_message_new(&m, mail, &err);
    if (code != DM_OK) fail_msg("%s: %s: %s", dm_code_name(code), err.field, err.detail);
    dm_buf whole;
    dm_buf_init(&whole, LIMIT);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        dm_buf again;
        dm_buf_init(&again, LIMIT);
        dm_message_rewind(m);
        assert_int_equal(pull(m, i ? &again : &whole, steps[i], sources), DM_END);
        if (i) {
            assert_int_equal(again.n, whole.n);
            assert_memory_equal(again.p, whole.p, whole.n);
        }
        dm_buf_clear(&again);
    }
    assert_int_equal(dm_message_size(m), whole.n);
    assert_true(whole.n >= 2);
    bool dot = false, eight = false;
    size_t column = 0;
    for (size_t i = 0; i < whole.n; i++) {
        char c = whole.p[i];
        if (column == 0 && c == '.') dot = true;
        if ((unsigned char)c > 127) eight = true;
        assert_true(c != '\0');
        if (c == '\r') assert_true(i + 1 < whole.n && whole.p[i + 1] == '\n');
        if (c == '\n') assert_true(i > 0 && whole.p[i - 1] == '\r');
        column = c == '\n' ? 0 : column + 1;
        assert_true(column <= 999);                     /* with its CR */
    }
    assert_int_equal(column, 0);                        /* the last line is ended */
    assert_int_equal(dm_message_dots(m), dot);
    assert_int_equal(dm_message_8bit(m), eight);
    dm_message_free(m);
    dm_buf_addc(&whole, '\0');
    return whole;
}

static dm_buf build(const dm_mail *mail) { return build_with(mail, NULL); }

static void expect(const dm_mail *mail, const char *bytes) {
    dm_buf b = build(mail);
    assert_string_equal(b.p, bytes);
    dm_buf_clear(&b);
}

/* These pieces stand in the message in this order. */
static void expect_order(const dm_mail *mail, const char *const *pieces) {
    dm_buf b = build(mail);
    const char *p = b.p;
    for (; *pieces; pieces++) {
        const char *at = strstr(p, *pieces);
        if (!at) fail_msg("not found: %s in\n%s", *pieces, b.p);
        p = at + strlen(*pieces);
    }
    dm_buf_clear(&b);
}

static void refuse(const dm_mail *mail, dm_code code, const char *field, const char *words) {
    dm_message *m = (dm_message *)&code;
    dm_error err = {DM_OK, "", ""};
    assert_string_equal(dm_code_name(dm_message_new(&m, mail, &err)), dm_code_name(code));
    assert_null(m);
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, field);
    if (!strstr(err.detail, words)) assert_string_equal(err.detail, words);
}

static dm_part file(const char *name, const char *type, const char *data) {
    dm_part p = {dm_view_of(name), dm_view_of(type), {NULL, 0}, dm_view_of(data), -1, 0};
    return p;
}

static size_t count(const char *text, const char *piece) {
    size_t n = 0;
    while ((text = strstr(text, piece))) n++, text++;
    return n;
}

/* ---- texts ---------------------------------------------------------------*/

static void a_single_text_is_a_message_of_one_part(void **state) {
    (void)state;
    const dm_field subject = {V("Subject"), DM_FIELD_TEXT, V("Hi"), NULL, 0};
    dm_mail mail = {.fields = &subject, .field_count = 1, .text = V("hi")};
    expect(&mail, "Subject: Hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Transfer-Encoding: 7bit\r\n\r\nhi\r\n");
    mail.html = mail.text;
    mail.text.p = NULL;
    expect(&mail, "Subject: Hi\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
           "Content-Transfer-Encoding: 7bit\r\n\r\nhi\r\n");
}

static void rule_1_46_an_empty_body_ends_with_the_blank_line(void **state) {
    (void)state;
    dm_mail mail = {.text = V("")};
    static const char bytes[] = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                "Content-Transfer-Encoding: 7bit\r\n\r\n";
    expect(&mail, bytes);
    mail.text.p = NULL;         /* nothing at all: the subject is the message */
    expect(&mail, bytes);
}

static void rule_1_53_nul_in_a_text_names_the_field(void **state) {
    (void)state;
    dm_mail mail = {.text = V("a\0b"), .boundary = V("b")};
    refuse(&mail, DM_E_CONTENT, "text", "NUL");
    mail.html = mail.text;
    mail.text.p = NULL;
    refuse(&mail, DM_E_CONTENT, "html", "NUL");
    mail.calendar = mail.html;
    mail.html.p = NULL;
    refuse(&mail, DM_E_CONTENT, "calendar", "NUL");
}

static void rule_4_9_texts_in_base64_end_their_last_line(void **state) {
    (void)state;
    dm_mail mail = {.text = V("\xE6\x8A\xA5")};
    expect(&mail, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Transfer-Encoding: base64\r\n\r\n5oql\r\n");
}

/* ---- structure -----------------------------------------------------------*/

static const dm_part image = {V("a.png"), V("image/png"), V("img1@x.example"), V("\x89PNG"), -1, 0};

static void rules_4_3_and_4_5_and_4_23_text_html_image_and_file(void **state) {
    (void)state;
    dm_part parts[2] = {file("a.txt", "text/plain", "x"), image};
    dm_mail mail = {.text = V("hi"), .html = V("<img src=\"cid:img1@x.example\">"), .parts = parts, .part_count = 2,
                    .boundary = V("=_b")};
    expect(&mail,
           "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_b-1\"\r\n"
           "\r\n--=_b-1\r\nContent-Type: multipart/alternative;\r\n boundary=\"=_b-2\"\r\n"
           "\r\n--=_b-2\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nhi"
           "\r\n--=_b-2\r\nContent-Type: multipart/related; type=\"text/html\";\r\n boundary=\"=_b-3\"\r\n"
           "\r\n--=_b-3\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
           "<img src=\"cid:img1@x.example\">"
           "\r\n--=_b-3\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n"
           "Content-Disposition: inline; filename=a.png\r\nContent-ID: <img1@x.example>\r\n\r\niVBORw=="
           "\r\n--=_b-3--"
           "\r\n--=_b-2--"
           "\r\n--=_b-1\r\nContent-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n"
           "Content-Disposition: attachment; filename=a.txt\r\n\r\neA=="
           "\r\n--=_b-1--\r\n");
}

static void each_level_only_when_it_is_needed(void **state) {
    (void)state;
    dm_part parts[2] = {file("a", "", "x"), file("b", "", "y")};
    dm_mail mail = {.text = V("hi"), .html = V("<p>"), .boundary = V("b")};
    expect_order(&mail, (const char *const[]){"1.0\r\nContent-Type: multipart/alternative;", "--b-2--\r\n", NULL});
    mail.text.p = NULL;
    mail.parts = &image;
    mail.part_count = 1;
    expect_order(&mail, (const char *const[]){"1.0\r\nContent-Type: multipart/related;", "--b-3--\r\n", NULL});
    mail.html.p = NULL;         /* inline, and nothing that shows it: a file among others, or alone */
    expect_order(&mail, (const char *const[]){"1.0\r\nContent-Type: image/png;", "inline", "<img1@x.example>", NULL});
    mail.parts = parts;
    mail.part_count = 2;
    expect_order(&mail, (const char *const[]){"1.0\r\nContent-Type: multipart/mixed;", "--b-1--\r\n", NULL});
    mail.part_count = 1;
    expect(&mail, "MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a\r\n"
           "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a\r\n\r\neA==\r\n");
    mail.boundary.p = NULL;     /* none is needed here */
    mail.boundary.n = 0;
    dm_buf b = build(&mail);
    dm_buf_clear(&b);
    mail.part_count = 2;
    refuse(&mail, DM_E_OPTION, "boundary", "50");
}

static void rules_4_1_and_4_4_order_and_version(void **state) {
    (void)state;
    dm_part parts[2] = {file("a", "", "x"), image};
    dm_mail mail = {.text = V("TEXT"), .html = V("HTML"), .calendar = V("BEGIN:VCALENDAR"), .calendar_method = V("REQUEST"),
                    .parts = parts, .part_count = 2, .boundary = V("b")};
    expect_order(&mail, (const char *const[]){"TEXT", "HTML", "iVBORw==", "text/calendar; charset=utf-8; method=REQUEST\r\n",
                 "BEGIN:VCALENDAR", "--b-2--", "eA==", NULL});
    dm_buf b = build(&mail);
    assert_int_equal(count(b.p, "MIME-Version"), 1);
    assert_int_equal(count(b.p, "MIME-Version: 1.0\r\n"), 1);
    dm_buf_clear(&b);
    mail.calendar_method = dm_view_of("A B");
    refuse(&mail, DM_E_HEADER, "calendar_method", "REQUEST");
    mail.calendar_method = dm_view_of("A\r\nB");
    refuse(&mail, DM_E_HEADER, "calendar_method", "REQUEST");
}

static void rule_4_6_a_boundary_is_never_inside(void **state) {
    (void)state;
    dm_mail mail = {.text = V("--b-1\r\n--b-2\r\n--b0 --b\r\n"), .html = V("--b1--b2--b3--b4--b5--b6--b7--b8--b9"),
                    .boundary = V("b")};
    dm_buf b = build(&mail);
    assert_non_null(strstr(b.p, "boundary=\"ba-2\"")); /* 0-9 are taken */
    assert_int_equal(count(b.p, "\r\n--ba-2\r\n"), 2);
    assert_int_equal(count(b.p, "--ba"), 3);
    dm_buf_clear(&b);

    char taken[36 * 5 + 37 * 36 * 6 + 1] = "", *to = taken;         /* every one of the next two letters, but z9 */
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (int i = 0; i < 36; i++)
        for (int k = 0; k < 36; k++)
            if (!(i == 35 && k == 9)) to += sprintf(to, "--b%c%c\n", letters[i], letters[k]);
    mail.text = dm_view_of(taken);
    b = build(&mail);
    assert_non_null(strstr(b.p, "boundary=\"bz9-2\""));
    dm_buf_clear(&b);

    dm_part forwarded = file("f.eml", "message/rfc822", "A: b\n\n--b-1\n");     /* raw parts count too */
    dm_mail with = {.text = V("x"), .parts = &forwarded, .part_count = 1, .boundary = V("b")};
    expect_order(&with, (const char *const[]){"boundary=\"b0-1\"", NULL});
}

static void rule_4_6_a_boundary_has_its_own_alphabet(void **state) {
    (void)state;
    static const char *const bad[] = {"", "a b", "a\"b", "a\r\nb", "a;b", "a\xC3\xA9", "a\\",
                                      "123456789012345678901234567890123456789012345678901"};
    dm_mail mail = {.text = V("x"), .html = V("y")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mail.boundary = dm_view_of(bad[i]);
        refuse(&mail, DM_E_OPTION, "boundary", "5.1.1");
    }
    mail.boundary = (dm_view){"a\0b", 3};
    refuse(&mail, DM_E_OPTION, "boundary", "5.1.1");
    mail.boundary = dm_view_of("'()+_,-./:=?09AZaz'()+_,-./:=?09AZaz'()+_,-./:=?09");
    dm_buf b = build(&mail);
    dm_buf_clear(&b);
}

static void rule_4_7_the_last_line_end_belongs_to_the_delimiter(void **state) {
    (void)state;
    dm_mail mail = {.text = V("a"), .html = V("a\r\n"), .boundary = V("b")};
    expect_order(&mail, (const char *const[]){"\r\n\r\na\r\n--b-2\r\n", "\r\n\r\na\r\n\r\n--b-2--\r\n", NULL});
}

static void rule_4_8_rule_4_24_messages_are_forwarded_as_they_are(void **state) {
    (void)state;
    dm_part parts[2] = {file("f.eml", "message/rfc822", "Subject: x\n\n.dot\rend"), file("b", "", "y")};
    dm_mail mail = {.text = V("see"), .parts = parts, .part_count = 2, .boundary = V("b")};
    dm_buf b = build(&mail);
    assert_non_null(strstr(b.p, "Content-Type: message/rfc822; name=f.eml\r\nContent-Transfer-Encoding: 7bit\r\n"
                           "Content-Disposition: attachment; filename=f.eml\r\n\r\n"
                           "Subject: x\r\n\r\n.dot\r\nend\r\n--b-1\r\n"));
    assert_null(strstr(b.p, "8bit"));
    dm_buf_clear(&b);
    parts[0].data = dm_view_of("Subject: x\n\n\xC3\xA9\n");
    b = build(&mail);           /* RFC 2045, 6.4: the multipart around it says 8bit too */
    assert_non_null(strstr(b.p, "boundary=\"b-1\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b-1"));
    assert_non_null(strstr(b.p, "message/rfc822; name=f.eml\r\nContent-Transfer-Encoding: 8bit\r\n"));
    dm_buf_clear(&b);
    mail.html = dm_view_of("<p>");
    b = build(&mail);           /* ... and one beside it does not */
    assert_non_null(strstr(b.p, "boundary=\"b-1\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b-1"));
    assert_non_null(strstr(b.p, "boundary=\"b-2\"\r\n\r\n--b-2"));
    dm_buf_clear(&b);
    mail.html = (dm_view){NULL, 0};
    parts[0].data = (dm_view){"A: b\n\0", 6};
    refuse(&mail, DM_E_CONTENT, "attachment 1 (f.eml)", "line 2");
    char line[1000];
    memset(line, 'x', sizeof line);
    parts[0].data = (dm_view){line, 999};
    refuse(&mail, DM_E_CONTENT, "attachment 1 (f.eml)", "line 1 has 999");
    parts[0].reader = 0;
    refuse(&mail, DM_E_CONTENT, "attachment 1 (f.eml)", "not a reader");
    parts[0] = file("x", "Multipart/Digest; boundary=x", "--x--");
    b = build(&mail);
    assert_non_null(strstr(b.p, "Content-Type: Multipart/Digest; boundary=x; name=x\r\nContent-Transfer-Encoding: 7bit\r\n"));
    dm_buf_clear(&b);
}

/* ---- parts ---------------------------------------------------------------*/

static void rule_4_17_a_file_and_its_default_type(void **state) {
    (void)state;
    dm_part part = file("report.pdf", "application/pdf", "x");
    dm_mail mail = {.parts = &part, .part_count = 1};
    expect_order(&mail, (const char *const[]){"Content-Type: application/pdf; name=report.pdf\r\n", "base64",
                 "Content-Disposition: attachment; filename=report.pdf\r\n", NULL});
    part.type.n = 0;
    expect_order(&mail, (const char *const[]){"Content-Type: application/octet-stream; name=report.pdf\r\n", NULL});
    part.name.n = 0;
    expect_order(&mail, (const char *const[]){"Content-Type: application/octet-stream\r\n",
                 "Content-Disposition: attachment\r\n", NULL});
    part = file("a", "text/csv; charset=\"utf-8\"; Name=\"b\\\"c\"", "x");    /* a name of the caller's own stays alone */
    expect_order(&mail, (const char *const[]){"Content-Type: text/csv; charset=\"utf-8\"; Name=\"b\\\"c\"\r\n", NULL});
}

static void rule_4_18_and_4_19_names(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"C:\\x\\a.txt", "filename=a.txt\r\n"}, {"../../x/key.pem", "filename=key.pem\r\n"}, {"a/b.txt", "filename=b.txt\r\n"},
        {"a b.txt", "filename=\"a b.txt\"\r\n"}, {"a\"b.txt", "filename=\"a\\\"b.txt\"\r\n"}, {"a\\b.txt", "filename=b.txt\r\n"},
        {"a/", "attachment\r\n"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dm_part part = file(names[i][0], "", "x");
        dm_mail mail = {.parts = &part, .part_count = 1};
        expect_order(&mail, (const char *const[]){"Content-Disposition: attachment", NULL});
        expect_order(&mail, (const char *const[]){names[i][1], NULL});
    }
}

static void rules_4_20_to_4_22_a_chinese_name(void **state) {
    (void)state;
    dm_part part = file("\xE5\xAD\xA3\xE5\xBA\xA6\xE6\x8A\xA5\xE5\x91\x8A 2030 (\xE6\x9C\x80\xE7\xBB\x88\xE7\x89\x88).pdf", "", "x");
    dm_mail mail = {.parts = &part, .part_count = 1};
    expect_order(&mail, (const char *const[]){"Content-Type: application/octet-stream;\r\n name=\"=?UTF-8?B?", "?=\"\r\n",
                 "Content-Disposition: attachment;\r\n filename*0*=UTF-8''%E5%AD%A3", ";\r\n filename*1*=", ".pdf\r\n", NULL});
    part.name = dm_view_of("\xE6\x8A\xA5.csv");
    expect_order(&mail, (const char *const[]){"filename*=UTF-8''%E6%8A%A5.csv\r\n", NULL});
}

static void rule_3_11_parts_cannot_inject(void **state) {
    (void)state;
    dm_part parts[2] = {file("a", "", "x"), file("b", "", "x")};
    dm_mail mail = {.parts = parts, .part_count = 2, .boundary = V("b")};
    parts[1].name = dm_view_of("a\r\nBcc: v@x.example/\xE6\x8A\xA5.csv");
    refuse(&mail, DM_E_HEADER, "attachment 2 (a??Bcc: v@x.example/\xE6\x8A\xA5.csv)", "line break");
    parts[1].name = dm_view_of("\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5"
                               "\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xFF");
    refuse(&mail, DM_E_HEADER, "attachment 2 (\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5"
           "\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5\xE6\x8A\xA5?)", "octet 46");
    parts[1].name = dm_view_of("b");
    static const char *const types[] = {"text", "text/", "/plain", "text/plain\r\nX: y", "text/pl ain", "text/plain;",
                                        "text/plain; a", "text/plain; a=", "text/plain; a=\"b", "text/plain; a=\"b\" c",
                                        "text/plain; a=\"b\r\n\"", "text/plain; a=\"\\", "te\xC3\xA9/x", " text/plain"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        parts[1].type = dm_view_of(types[i]);
        refuse(&mail, DM_E_HEADER, "attachment 2 (b)", "type/subtype");
    }
    parts[1].type.n = 0;
    static const char *const ids[] = {"a\r\nb", "<a@x>", "a b", "\xC3\xA9"};
    for (size_t i = 0; i < 4; i++) {
        parts[1].cid = dm_view_of(ids[i]);
        refuse(&mail, DM_E_HEADER, "attachment 2 (b)", "content id");
    }
    char id[1000];
    memset(id, 'x', sizeof id);
    parts[1].cid = (dm_view){id, sizeof id};
    refuse(&mail, DM_E_HEADER, "attachment 2 (b)", "too long");
}

static void rule_4_25_a_hundred_parts_and_no_more(void **state) {
    (void)state;
    dm_part parts[101];
    for (int i = 0; i < 101; i++) parts[i] = file("a", "", "x");
    dm_mail mail = {.text = V("hi"), .parts = parts, .part_count = 100, .boundary = V("b")};
    dm_buf b = build(&mail);
    assert_int_equal(count(b.p, "\r\n--b-1\r\n"), 101);
    dm_buf_clear(&b);
    mail.part_count = 101;
    refuse(&mail, DM_E_CONTENT, "attachments", "100");
}

static void rule_4_26_the_size_is_exact_for_every_length(void **state) {
    (void)state;
    char data[400];
    memset(data, 'x', sizeof data);
    for (size_t n = 0; n < sizeof data; n++) {          /* build() compares */
        dm_part part = {V("a"), {NULL, 0}, {NULL, 0}, {data, n}, -1, 0};
        dm_mail mail = {.text = V("hi"), .parts = &part, .part_count = 1, .boundary = V("b")};
        dm_buf b = build(&mail);
        dm_buf_clear(&b);
        part.reader = 0;
        part.size = n;
        source s = {{data, n}, 7};
        b = build_with(&mail, &s);
        dm_buf_clear(&b);
    }
}

static void rule_4_26_an_empty_file_may_be_the_whole_message(void **state) {
    (void)state;
    dm_part part = {V("a"), {NULL, 0}, {NULL, 0}, {NULL, 0}, -1, 0};
    dm_mail mail = {.parts = &part, .part_count = 1};
    expect_order(&mail, (const char *const[]){"filename=a\r\n\r\n", NULL});
    part.reader = 0;
    source s = {{NULL, 0}, 1};
    dm_buf b = build_with(&mail, &s);
    assert_string_equal(b.p + b.n - 5, "\r\n\r\n");
    dm_buf_clear(&b);
}

static void rule_4_27_a_reader_is_asked_in_pieces(void **state) {
    (void)state;
    dm_part part = {V("a"), {NULL, 0}, {NULL, 0}, {NULL, 0}, 3, 14u << 20};
    dm_mail mail = {.parts = &part, .part_count = 1};
    dm_message *m;
    assert_int_equal(dm_message_new(&m, &mail, NULL), DM_OK);
    char *zeros = calloc(1, 1 << 16);
    assert_non_null(zeros);
    uint64_t total = 0;
    dm_buf out;
    dm_buf_init(&out, 1 << 17);                 /* more is never needed at once */
    for (uint64_t left = part.size;;) {
        int reader = -1;
        size_t want = 0;
        dm_code code = dm_message_pull(m, &out, 1 << 16, &reader, &want);
        total += out.n;
        out.n = 0;
        if (code == DM_END) break;
        if (code == DM_OK) continue;
        assert_int_equal(code, DM_AGAIN);
        assert_int_equal(reader, 3);
        assert_in_range(want, 1, 1 << 16);
        size_t n = left < want ? (size_t)left : want;
        if (n == 0) assert_int_equal(dm_message_body_end(m, &out), DM_OK);
        else assert_int_equal(dm_message_body(m, &out, (dm_view){zeros, n}), DM_OK);
        left -= n;
    }
    assert_int_equal(total, dm_message_size(m));
    dm_buf_clear(&out);
    free(zeros);
    dm_message_free(m);
}

static void rule_4_28_a_file_that_changed_is_an_error(void **state) {
    (void)state;
    dm_part part = {V("a"), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 100};
    dm_mail mail = {.parts = &part, .part_count = 1};
    char data[101] = {0};
    dm_message *m;
    assert_int_equal(dm_message_new(&m, &mail, NULL), DM_OK);
    static const size_t lengths[] = {0, 1, 99, 101};
    for (size_t i = 0; i < 8; i++) {
        source s = {{data, lengths[i / 2]}, i % 2 ? 1 : 1000};
        dm_buf out;
        dm_buf_init(&out, LIMIT);
        assert_int_equal(pull(m, &out, 50, &s), DM_E_FILE);
        int reader;
        size_t want;
        assert_int_equal(dm_message_pull(m, &out, 50, &reader, &want), DM_E_FILE);     /* it stays so */
        assert_int_equal(dm_message_body(m, &out, (dm_view){data, 1}), DM_E_FILE);
        assert_int_equal(dm_message_body_end(m, &out), DM_E_FILE);
        dm_buf_clear(&out);
        dm_message_rewind(m);
    }
    source s = {{data, 100}, 9};
    dm_buf out;
    dm_buf_init(&out, LIMIT);
    assert_int_equal(dm_message_body(m, &out, (dm_view){data, 1}), DM_E_OPTION);       /* nothing was asked */
    assert_int_equal(dm_message_body_end(m, &out), DM_E_OPTION);
    assert_int_equal(pull(m, &out, 50, &s), DM_END);
    assert_int_equal(out.n, dm_message_size(m));
    assert_int_equal(dm_message_body_end(m, &out), DM_E_OPTION);
    dm_buf_clear(&out);
    dm_message_free(m);
    part.size = UINT64_MAX;
    refuse(&mail, DM_E_SIZE, "attachment 1 (a)", "18446744073709551615");
}

static void rule_4_29_what_comes_out_decodes_to_what_went_in(void **state) {
    (void)state;
    unsigned char data[256 * 3];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7 + i / 256);
    dm_part part = {V("a"), {NULL, 0}, {NULL, 0}, {(char *)data, sizeof data}, -1, 0};
    dm_mail mail = {.text = V("hi"), .parts = &part, .part_count = 1, .boundary = V("b")};
    dm_buf b = build(&mail), back;
    char *body = strstr(strstr(b.p, "filename=a"), "\r\n\r\n") + 4, *end = strstr(body, "\r\n--b-1--");
    assert_non_null(end);
    dm_buf_init(&back, 10000);
    assert_int_equal(dm_base64_decode(&back, (dm_view){body, (size_t)(end - body)}), DM_OK);
    assert_int_equal(back.n, sizeof data);
    assert_memory_equal(back.p, data, sizeof data);
    dm_buf_clear(&back);
    dm_buf_clear(&b);
}

/* ---- raw -----------------------------------------------------------------*/

static void a_raw_message_stays_as_it_is(void **state) {
    (void)state;
    dm_mail mail = {.raw = V("Subject: x\n\n.a\r\nb")};
    expect(&mail, "Subject: x\r\n\r\n.a\r\nb\r\n");
    mail.raw = dm_view_of("Subject: \xC3\xA9\r\n\r\n");
    expect(&mail, "Subject: \xC3\xA9\r\n\r\n");
    mail.raw = dm_view_of("");
    refuse(&mail, DM_E_CONTENT, "raw", "empty");
    mail.raw = (dm_view){"A: b\n\n\0", 7};
    refuse(&mail, DM_E_CONTENT, "raw", "line 3");
    mail.raw = dm_view_of("A: b\n\n");
    mail.text = dm_view_of("x");
    refuse(&mail, DM_E_OPTION, "raw", "no other content");
}

/* What a server of either kind sees as the end of data. */
static size_t ends_in(const char *p, size_t n) {
    static const char *const marks[] = {"\n.\n", "\r.\r", "\r\n.\r", "\n.\r\n", "\r\n.\n"};
    size_t hits = 0;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memmem(p, n, marks[i], strlen(marks[i]))) hits++;
    return hits;
}

static dm_buf wire_of(dm_view raw) {
    dm_mail mail = {.raw = raw};
    dm_message *m;
    assert_int_equal(dm_message_new(&m, &mail, NULL), DM_OK);
    dm_buf chunk, wire;
    dm_buf_init(&chunk, LIMIT);
    dm_buf_init(&wire, LIMIT);
    dm_dot dot = {true, false};
    dm_code code = DM_OK;
    while (code == DM_OK) {
        int reader;
        size_t want;
        chunk.n = 0;
        code = dm_message_pull(m, &chunk, (size_t)(rand() % 5) + 1, &reader, &want);
        dm_dot_put(&wire, &dot, dm_buf_view(&chunk));
    }
    assert_int_equal(code, DM_END);
    assert_int_equal(dm_dot_end(&wire, &dot), DM_OK);
    dm_buf_clear(&chunk);
    dm_message_free(m);
    return wire;
}

static void rule_1_51_and_1_52_smuggling(void **state) {
    (void)state;
    dm_buf wire = wire_of(dm_view_of("a\n.\nMAIL FROM:<x@y.example>\n"));
    dm_buf_addc(&wire, '\0');
    assert_string_equal(wire.p, "a\r\n..\r\nMAIL FROM:<x@y.example>\r\n.\r\n");
    dm_buf_clear(&wire);
    static const char *const bad[] = {"a\n.\nb", "a\r.\rb", "a\r\n.\rb", "a\n.\r\nb", "a\r\n.\r\nb", "\n.\n", "\r.\r", ".\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wire = wire_of(dm_view_of(bad[i]));
        assert_int_equal(ends_in(wire.p, wire.n - 3), 0);
        assert_memory_equal(wire.p + wire.n - 5, "\r\n.\r\n", 5);
        dm_buf_clear(&wire);
    }
    dm_mail mail = {.raw = V("a\r\n\0.\r\nb")};
    refuse(&mail, DM_E_CONTENT, "raw", "NUL");
}

static void rule_1_54_random_bytes_arrive_normalised(void **state) {
    (void)state;
    srand(3);
    for (int round = 0; round < 3000; round++) {
        char in[120], want[260];
        size_t n = (size_t)(rand() % 100) + 1, k = 0;
        for (size_t i = 0; i < n; i++) in[i] = "\r\n.\r\n.ab \xFF"[rand() % 10];
        for (size_t i = 0; i < n; i++) {                /* the plain way */
            if (in[i] == '\r' && i + 1 < n && in[i + 1] == '\n') continue;
            if (in[i] == '\r' || in[i] == '\n') want[k++] = '\r', want[k++] = '\n';
            else want[k++] = in[i];
        }
        if (want[k - 1] != '\n') want[k++] = '\r', want[k++] = '\n';
        dm_buf wire = wire_of((dm_view){in, n});
        bool start = true;
        size_t at = 0;
        for (size_t i = 0; i < wire.n - 3; i++) {
            if (start && wire.p[i] == '.') i++;
            assert_true(at < k && wire.p[i] == want[at]);
            start = wire.p[i] == '\n';
            at++;
        }
        assert_int_equal(at, k);
        dm_buf_clear(&wire);
    }
}

/* ---- envelope, limits, memory --------------------------------------------*/

static void the_envelope_is_copied(void **state) {
    (void)state;
    char from[] = "a@x.example", to1[] = "\"b <c>\"@x.example", to2[] = "d@x.example";
    dm_view to[2] = {dm_view_of(to1), dm_view_of(to2)};
    dm_mail mail = {.mail_from = dm_view_of(from), .rcpt_to = to, .rcpt_count = 2, .text = V("x")};
    dm_message *m;
    assert_int_equal(dm_message_new(&m, &mail, NULL), DM_OK);
    from[0] = to1[0] = to2[0] = '?';
    assert_true(dm_view_is(dm_message_mail_from(m), "a@x.example"));
    assert_int_equal(dm_message_rcpt_count(m), 2);
    assert_true(dm_view_is(dm_message_rcpt(m, 0), "\"b <c>\"@x.example"));
    assert_true(dm_view_is(dm_message_rcpt(m, 1), "d@x.example"));
    dm_message_free(m);
    mail.mail_from.n = 0;
    mail.rcpt_count = 0;
    assert_int_equal(dm_message_new(&m, &mail, NULL), DM_OK);
    assert_int_equal(dm_message_mail_from(m).n, 0);
    assert_int_equal(dm_message_rcpt_count(m), 0);
    dm_message_free(m);
    dm_message_free(NULL);
}

static void rule_3_11_the_envelope_cannot_inject(void **state) {
    (void)state;
    static const char *const bad[] = {"a@x.example>\r\nDATA", "a@x.example>", "a b@x.example", "\"a\r\n\"@x.example", "\"a@x.example",
                                      "\xC3\xA9@x.example", "<a@x.example"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dm_view to[2] = {V("ok@x.example"), dm_view_of(bad[i])};
        dm_mail mail = {.rcpt_to = to, .rcpt_count = 2, .text = V("x")};
        refuse(&mail, DM_E_ADDRESS, "rcpt_to 2", "address");
        mail.rcpt_count = 1;
        mail.mail_from = to[1];
        refuse(&mail, DM_E_ADDRESS, "mail_from", "address");
    }
    dm_view none = {NULL, 0};
    dm_mail mail = {.rcpt_to = &none, .rcpt_count = 1, .text = V("x")};
    refuse(&mail, DM_E_ADDRESS, "rcpt_to 1", "address");
    char longest[256];
    memset(longest, 'a', sizeof longest);
    none = (dm_view){longest, 255};
    refuse(&mail, DM_E_ADDRESS, "rcpt_to 1", "address");
}

static void headers_have_a_limit(void **state) {
    (void)state;
    char *name = malloc(2 << 20);
    assert_non_null(name);
    memset(name, 'a', 2 << 20);
    for (size_t i = 0; i < 2 << 20; i += 60) name[i] = ' ';
    dm_field f = {V("X-A"), DM_FIELD_TEXT, {name, 2 << 20}, NULL, 0};
    dm_mail mail = {.fields = &f, .field_count = 1, .text = V("x")};
    refuse(&mail, DM_E_SIZE, "headers", "1048576");
    free(name);
}

static void an_error_in_a_field_reaches_the_caller(void **state) {
    (void)state;
    dm_field f = {V("Subject"), DM_FIELD_TEXT, V("a\r\nb"), NULL, 0};
    dm_mail mail = {.fields = &f, .field_count = 1, .text = V("x")};
    refuse(&mail, DM_E_HEADER, "Subject", "line break");
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char long_text[3000];
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < sizeof long_text; i += 70) memcpy(long_text + i, "\xC3\xA9\n", 3);
    const dm_mailbox boxes[2] = {{V("J\xC3\xB6rg"), V("j@x.example"), 0, 0}, {V("Ann"), V("ann@x.example"), 0, 0}};
    const dm_field fields[2] = {{V("To"), DM_FIELD_MAILBOXES, {NULL, 0}, boxes, 2},
                                {V("Subject"), DM_FIELD_TEXT, V("\xE6\x8A\xA5"), NULL, 0}};
    const dm_part parts[3] = {image, {V("f.eml"), V("message/rfc822"), {NULL, 0}, V(".a\n\n"), -1, 0},
                              {V("\xE6\x8A\xA5.csv"), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 5000}};
    const dm_view to[1] = {V("j@x.example")};
    const dm_mail mail = {.mail_from = V("a@x.example"), .rcpt_to = to, .rcpt_count = 1, .fields = fields, .field_count = 2,
                          .text = {long_text, sizeof long_text}, .html = {long_text, sizeof long_text}, .parts = parts,
                          .part_count = 3, .boundary = V("b")};
    char data[5000] = {0};
    const source s = {{data, sizeof data}, 600};
    int runs = 0;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_message *m;
        dm_error err = {DM_OK, "", ""};
        dm_buf out;
        dm_buf_init(&out, LIMIT);
        dm_code code = dm_message_new(&m, &mail, &err);
        if (code == DM_OK) code = pull(m, &out, 512, &s);
        else assert_string_equal(err.detail, "not enough memory");
        if (dm_alloc_failed()) assert_int_equal(code, DM_E_MEMORY);
        else assert_int_equal(code, DM_END);
        dm_buf_clear(&out);
        dm_message_free(m);
        runs++;
    }
    assert_true(runs > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_text_is_a_message_of_one_part),
        cmocka_unit_test(rule_1_46_an_empty_body_ends_with_the_blank_line),
        cmocka_unit_test(rule_1_53_nul_in_a_text_names_the_field),
        cmocka_unit_test(rule_4_9_texts_in_base64_end_their_last_line),
        cmocka_unit_test(rules_4_3_and_4_5_and_4_23_text_html_image_and_file),
        cmocka_unit_test(each_level_only_when_it_is_needed),
        cmocka_unit_test(rules_4_1_and_4_4_order_and_version),
        cmocka_unit_test(rule_4_6_a_boundary_is_never_inside),
        cmocka_unit_test(rule_4_6_a_boundary_has_its_own_alphabet),
        cmocka_unit_test(rule_4_7_the_last_line_end_belongs_to_the_delimiter),
        cmocka_unit_test(rule_4_8_rule_4_24_messages_are_forwarded_as_they_are),
        cmocka_unit_test(rule_4_17_a_file_and_its_default_type),
        cmocka_unit_test(rule_4_18_and_4_19_names),
        cmocka_unit_test(rules_4_20_to_4_22_a_chinese_name),
        cmocka_unit_test(rule_3_11_parts_cannot_inject),
        cmocka_unit_test(rule_4_25_a_hundred_parts_and_no_more),
        cmocka_unit_test(rule_4_26_the_size_is_exact_for_every_length),
        cmocka_unit_test(rule_4_26_an_empty_file_may_be_the_whole_message),
        cmocka_unit_test(rule_4_27_a_reader_is_asked_in_pieces),
        cmocka_unit_test(rule_4_28_a_file_that_changed_is_an_error),
        cmocka_unit_test(rule_4_29_what_comes_out_decodes_to_what_went_in),
        cmocka_unit_test(a_raw_message_stays_as_it_is),
        cmocka_unit_test(rule_1_51_and_1_52_smuggling),
        cmocka_unit_test(rule_1_54_random_bytes_arrive_normalised),
        cmocka_unit_test(the_envelope_is_copied),
        cmocka_unit_test(rule_3_11_the_envelope_cannot_inject),
        cmocka_unit_test(headers_have_a_limit),
        cmocka_unit_test(an_error_in_a_field_reaches_the_caller),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
