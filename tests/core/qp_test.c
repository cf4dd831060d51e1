/* qp_test.c - quoted-printable of texts. */
#include "bytes.h"

#include "alloc.h"
#include "buf.h"

static dm_buf out;

static void encodes(dm_view in, const char *expected) {
    dm_buf_clear(&out);
    assert_int_equal(dm_qp(&out, in), DM_OK);
    assert_buf(&out, expected);
}

static int hex(char c) { return dm_is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* An independent reader, strict: RFC 2045, 6.7, upper-case hex, no trailing blanks. */
static bool decode(dm_buf *to, dm_view in) {
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '=') {
            if (i + 2 >= in.n) return false;
            if (in.p[i + 1] == '\r' && in.p[i + 2] == '\n') {
                i += 2;
                continue;
            }
            if (hex(in.p[i + 1]) < 0 || hex(in.p[i + 2]) < 0) return false;
            dm_buf_addc(to, (char)(hex(in.p[i + 1]) << 4 | hex(in.p[i + 2])));
            i += 2;
            continue;
        }
        bool ends = i + 1 == in.n || in.p[i + 1] == '\r';
        if ((unsigned char)c >= 0x80 || (dm_is_control(c) && c != '\t' && c != '\r' && c != '\n')) return false;
        if (dm_is_blank(c) && ends) return false;
        if (c == '\r' && (i + 1 == in.n || in.p[i + 1] != '\n')) return false;
        if (c == '\n' && (i == 0 || in.p[i - 1] != '\r')) return false;
        dm_buf_addc(to, c);
    }
    return true;
}

static void rule_4_10_escapes_equals_signs_and_trailing_blanks(void **state) {
    (void)state;
    encodes(BYTES("a= \r\n"), "a=3D=20\r\n");
    encodes(BYTES("a\t\n"), "a=09\r\n");
    encodes(BYTES("a "), "a=20");
    encodes(BYTES("a  b   \n"), "a  b  =20\r\n");
    encodes(BYTES(" \n\t\n"), "=20\r\n=09\r\n");
    encodes(BYTES("\xc3\xa9\x01\x7f"), "=C3=A9=01=7F");
    encodes(BYTES("a\0b"), "a=00b");
    encodes(BYTES(""), "");
}

static void rule_4_10_lines_have_at_most_76_octets(void **state) {
    (void)state;
    char in[200], expected[210];
    memset(in, 'a', sizeof in);
    memset(expected, 'a', sizeof expected);
    dm_buf_clear(&out);
    dm_qp(&out, (dm_view){in, 76});     /* a whole line needs no soft break */
    assert_int_equal(out.n, 76);
    memcpy(expected + 75, "=\r\naa", 6);
    encodes((dm_view){in, 77}, expected);
    in[75] = ' ';                       /* a blank that ends a full line */
    memcpy(expected + 75, "=\r\n=20", 7);
    encodes((dm_view){in, 76}, expected);
}

static void rule_4_11_no_soft_break_inside_an_escape_or_a_character(void **state) {
    (void)state;
    char in[200];
    for (int i = 0; i < 100; i++) memcpy(in + 2 * i, "\xc3\xa9", 2);
    dm_buf_clear(&out);
    dm_qp(&out, (dm_view){in, sizeof in});
    assert_true(longest_line(dm_buf_view(&out), 0) <= 76);
    dm_buf back;
    dm_buf_init(&back, 1000);
    for (size_t i = 0; i < out.n;) {    /* each line decodes to whole characters */
        char *end = memchr(out.p + i, '\n', out.n - i);
        size_t next = end ? (size_t)(end - out.p) + 1 : out.n;
        size_t before = back.n;
        assert_true(decode(&back, (dm_view){out.p + i, next - i}));
        assert_int_equal((back.n - before) % 2, 0);
        i = next;
    }
    assert_int_equal(back.n, sizeof in);
    assert_memory_equal(back.p, in, sizeof in);
    dm_buf_clear(&back);
}

static void rule_4_12_a_dot_or_from_at_the_start_of_a_line(void **state) {
    (void)state;
    encodes(BYTES(".x"), "=2Ex");
    encodes(BYTES("From x"), "=46rom x");
    encodes(BYTES("a\n.\nFrom b\nFromage\n a."), "a\r\n=2E\r\n=46rom b\r\nFromage\r\n a.");
    char in[152];
    memset(in, 'a', 75);
    memcpy(in + 75, "..", 2);           /* behind a soft break too */
    dm_buf_clear(&out);
    dm_qp(&out, (dm_view){in, 77});
    assert_memory_equal(out.p + 75, "=\r\n=2E.", 7);
    memcpy(in + 75, "From home", 9);
    dm_buf_clear(&out);
    dm_qp(&out, (dm_view){in, 84});
    assert_memory_equal(out.p + 75, "=\r\n=46rom home", 14);
}

static void rule_4_13_every_kind_of_line_end_is_a_hard_break(void **state) {
    (void)state;
    encodes(BYTES("a\nb\rc\r\nd\r\r\ne\n\n"), "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\n");
}

static void invalid_utf_8_is_escaped_octet_by_octet(void **state) {
    (void)state;
    encodes(BYTES("a\xff\xc3z\xf0\x9f"), "a=FF=C3z=F0=9F");
}

/* What the reader gets is the text with CRLF as line end; no line is longer than 76; nothing needs dot-stuffing. */
static void any_text_comes_back_in_lines_of_76_without_leading_dots(void **state) {
    (void)state;
    uint64_t seed = 0x7170207465787401;
    static const char *const pieces[] = {"\n", "\r\n", "\r", " ", "\t", ".", "From ", "=", "word", "\xc3\xa9", "\xe6\x98\xa5",
                                         "\xf0\x9f\x98\x80", "\xff", "the quick brown fox jumps over ", "\x7f"};
    dm_buf in, want, got;
    dm_buf_init(&in, 100000);
    dm_buf_init(&want, 100000);
    dm_buf_init(&got, 100000);
    for (int round = 0; round < 3000; round++) {
        uint64_t was = seed;
        in.n = want.n = got.n = out.n = 0;
        size_t count = random_below(&seed, 120);
        for (size_t i = 0; i < count; i++) {
            if (random_below(&seed, 3)) dm_buf_adds(&in, pieces[random_below(&seed, sizeof pieces / sizeof *pieces)]);
            else dm_buf_addc(&in, (char)(32 + random_below(&seed, 95)));
        }
        for (size_t i = 0; i < in.n; i++) {
            if (in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n') continue;
            if (in.p[i] == '\r' || in.p[i] == '\n') dm_buf_adds(&want, "\r\n");
            else dm_buf_addc(&want, in.p[i]);
        }
        bool good = dm_qp(&out, dm_buf_view(&in)) == DM_OK && decode(&got, dm_buf_view(&out)) &&
                    got.n == want.n && memcmp(got.p ? got.p : "", want.p ? want.p : "", got.n) == 0 &&
                    longest_line(dm_buf_view(&out), 0) <= 76;
        for (size_t i = 0; i < out.n; i++)
            if ((i == 0 || out.p[i - 1] == '\n') && (out.p[i] == '.' || (out.n - i >= 5 && !memcmp(out.p + i, "From ", 5)))) good = false;
        if (!good) fail_msg("seed %#llx: %.*s", (unsigned long long)was, (int)out.n, out.p ? out.p : "");
    }
    dm_buf_clear(&in);
    dm_buf_clear(&want);
    dm_buf_clear(&got);
}

static void the_limit_can_be_met_exactly(void **state) {
    (void)state;
    char in[5000];
    dm_buf small;
    for (size_t i = 0; i < sizeof in; i++) in[i] = "abc def\n"[i % 8];
    dm_buf_clear(&out);
    dm_qp(&out, (dm_view){in, sizeof in});
    dm_buf_init(&small, out.n);
    assert_int_equal(dm_qp(&small, (dm_view){in, sizeof in}), DM_OK);
    dm_buf_clear(&small);
    dm_buf_init(&small, out.n - 1);
    assert_int_equal(dm_qp(&small, (dm_view){in, sizeof in}), DM_E_SIZE);
    dm_buf_clear(&small);
}

static void a_failed_allocation_is_reported(void **state) {
    (void)state;
    char in[3000];
    memset(in, 'x', sizeof in);
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_buf b;
        dm_buf_init(&b, 10000);
        dm_code code = dm_qp(&b, (dm_view){in, sizeof in});
        assert_int_equal(code, dm_alloc_failed() ? DM_E_MEMORY : DM_OK);
        dm_buf_clear(&b);
    }
}

static int begin(void **state) {
    (void)state;
    dm_buf_init(&out, 100000);
    return 0;
}

static int end(void **state) {
    (void)state;
    dm_buf_clear(&out);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_4_10_escapes_equals_signs_and_trailing_blanks),
        cmocka_unit_test(rule_4_10_lines_have_at_most_76_octets),
        cmocka_unit_test(rule_4_11_no_soft_break_inside_an_escape_or_a_character),
        cmocka_unit_test(rule_4_12_a_dot_or_from_at_the_start_of_a_line),
        cmocka_unit_test(rule_4_13_every_kind_of_line_end_is_a_hard_break),
        cmocka_unit_test(invalid_utf_8_is_escaped_octet_by_octet),
        cmocka_unit_test(any_text_comes_back_in_lines_of_76_without_leading_dots),
        cmocka_unit_test(the_limit_can_be_met_exactly),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
