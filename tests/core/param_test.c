/* param_test.c - parameters of MIME header fields. */
#include "bytes.h"

#include "alloc.h"

static dm_buf out;

#define REPORT "\xe5\xad\xa3\xe5\xba\xa6\xe6\x8a\xa5\xe5\x91\x8a 2030 (\xe6\x9c\x80\xe7\xbb\x88\xe7\x89\x88).pdf"
#define DISPOSITION "Content-Disposition: attachment"

/* The parameter behind "Content-Disposition: attachment". */
static void param(const char *name, const char *value, const char *expected) {
    size_t column = strlen(DISPOSITION);
    dm_buf_clear(&out);
    assert_int_equal(dm_param(&out, name, dm_view_of(value), &column), DM_OK);
    assert_buf(&out, expected);
    char *line = memrchr(out.p, '\n', out.n);
    assert_int_equal(column, line ? (size_t)(out.p + out.n - line) - 1 : strlen(DISPOSITION) + out.n);
}

static void rule_4_17_a_plain_name_is_a_token(void **state) {
    (void)state;
    param("filename", "report.pdf", "; filename=report.pdf");
    param("charset", "utf-8", "; charset=utf-8");
    param("name", "a$b^c{d}.txt", "; name=a$b^c{d}.txt");
}

/* All three are tokens by RFC 2045. Python's email reads the first as a character set, and loses the name. */
static void what_a_reader_takes_for_rfc_2231_stands_in_quotes(void **state) {
    (void)state;
    param("filename", "it's.txt", "; filename=\"it's.txt\"");
    param("filename", "utf-8''a%20b.txt", "; filename=\"utf-8''a%20b.txt\"");
    param("filename", "a*0.txt", "; filename=\"a*0.txt\"");
}

/* Python's email and mailparser decode such a name, in quotes too. */
static void rule_4_41_a_name_that_looks_like_an_encoded_word_is_hidden_from_decoders(void **state) {
    (void)state;
    size_t column = 30;
    param("filename", "=?UTF-8?Q?x?=.txt", ";\r\n filename*=UTF-8''%3D%3FUTF-8%3FQ%3Fx%3F%3D.txt");
    dm_buf_clear(&out);
    assert_int_equal(dm_param_word(&out, "name", BYTES("=?x?="), &column), DM_OK);
    assert_buf(&out, ";\r\n name=\"=?UTF-8?Q?=3D=3Fx=3F=3D?=\"");
}

static void path(const char *in, const char *expected) { assert_view(dm_param_basename(dm_view_of(in)), expected); }

static void rule_4_18_path_parts_are_removed(void **state) {
    (void)state;
    path("C:\\x\\a.txt", "a.txt");
    path("../../x/key.pem", "key.pem");
    path("a/b.txt", "b.txt");
    path("a\\b.txt", "b.txt");
    path("/etc/x\\..\\y", "y");
    path("b.txt", "b.txt");
    path("dir/", "");
    path("", "");
    path("\xe5\xad\xa3/\xe5\xba\xa6.pdf", "\xe5\xba\xa6.pdf");
}

static void rule_4_19_quoting(void **state) {
    (void)state;
    param("filename", "a b.txt", "; filename=\"a b.txt\"");
    param("filename", "a\"b.txt", "; filename=\"a\\\"b.txt\"");
    param("filename", "a\\b", "; filename=\"a\\\\b\"");
    param("filename", "a;b=c.txt", "; filename=\"a;b=c.txt\"");
    param("boundary", "==x/y:1?", "; boundary=\"==x/y:1?\"");
    param("filename", "", "; filename=\"\"");
}

static void rule_4_20_the_character_set_of_rfc_2231(void **state) {
    (void)state;
    param("filename", "\xe5\xad\xa3.pdf", "; filename*=UTF-8''%E5%AD%A3.pdf");
    param("filename", "\xe5\xad\xa3 2030 (a'b*c%d).pdf", ";\r\n filename*=UTF-8''%E5%AD%A3%202030%20%28a%27b%2Ac%25d%29.pdf");
    param("filename", "a\tb", "; filename*=UTF-8''a%09b");
}

static void rule_4_21_continuations(void **state) {
    (void)state;
    param("filename", REPORT,
          ";\r\n filename*0*=UTF-8''%E5%AD%A3%E5%BA%A6%E6%8A%A5%E5%91%8A%202030%20%28;"
          "\r\n filename*1*=%E6%9C%80%E7%BB%88%E7%89%88%29.pdf");
}

static void rule_4_21_the_pieces_together_are_the_value_of_rule_4_20(void **state) {
    (void)state;
    size_t column = 30, n = 0;
    char joined[500];
    dm_buf_clear(&out);
    dm_param(&out, "filename", BYTES(REPORT), &column);
    for (size_t i = 0; i < out.n; i++) {        /* take what stands behind each '=' up to ';' or the end */
        if (out.p[i] != '=') continue;
        for (i++; i < out.n && out.p[i] != ';'; i++) joined[n++] = out.p[i];
    }
    joined[n] = '\0';
    assert_string_equal(joined, "UTF-8''%E5%AD%A3%E5%BA%A6%E6%8A%A5%E5%91%8A%202030%20%28%E6%9C%80%E7%BB%88%E7%89%88%29.pdf");
}

static void a_long_ascii_value_is_continued_in_quotes(void **state) {
    (void)state;
    param("filename", "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 012345\"\\ab.pdf",
          ";\r\n filename*0=\"0123456789 0123456789 0123456789 0123456789 0123456789 012345\";"
          "\r\n filename*1=\"6789 012345\\\"\\\\ab.pdf\"");
}

static void rule_4_22_the_old_readers_name_is_encoded_words_in_quotes(void **state) {
    (void)state;
    size_t column = 29;         /* "Content-Type: application/pdf" */
    dm_buf_clear(&out);
    assert_int_equal(dm_param_word(&out, "name", BYTES(REPORT), &column), DM_OK);
    assert_buf(&out, ";\r\n name=\"=?UTF-8?B?5a2j5bqm5oql5ZGKIDIwMzAgKOacgOe7iOeJiCkucGRm?=\"");
    assert_int_equal(column, 1 + strlen("name=\"=?UTF-8?B?5a2j5bqm5oql5ZGKIDIwMzAgKOacgOe7iOeJiCkucGRm?=\""));
    dm_buf_clear(&out);
    dm_param_word(&out, "name", BYTES("report.pdf"), &column);
    assert_buf(&out, ";\r\n name=report.pdf");
}

static void rule_3_11_line_breaks_in_a_file_name_are_refused(void **state) {
    (void)state;
    size_t column = 30;
    dm_buf_clear(&out);
    assert_int_equal(dm_param(&out, "filename", BYTES("a\r\nBcc: x@y.example"), &column), DM_E_HEADER);
    assert_int_equal(dm_param(&out, "filename", BYTES("a\0b"), &column), DM_E_HEADER);
    assert_int_equal(dm_param_word(&out, "name", BYTES("\xe5\xad\xa3\n"), &column), DM_E_HEADER);
    assert_int_equal(dm_param(&out, "filename", BYTES("\xff.txt"), &column), DM_E_CONTENT);
    assert_int_equal(out.n, 0);
    assert_int_equal(column, 30);
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* An independent reader of what dm_param() writes: pieces joined, escapes undone. */
static bool read_back(dm_buf *to, dm_view in) {
    size_t i = 0;
    for (unsigned part = 0; i < in.n; part++) {
        if (in.p[i] != ';') return false;
        for (i++; i < in.n && strchr("\r\n ", in.p[i]); i++) continue;
        char plain[40], numbered[40];
        size_t name = i;
        while (i < in.n && in.p[i] != '=') i++;
        snprintf(plain, sizeof plain, "filename");
        snprintf(numbered, sizeof numbered, "filename*%u", part);
        dm_view key = {in.p + name, i - name};
        bool extended = key.n > 0 && key.p[key.n - 1] == '*';
        if (extended) key.n--;
        if (!dm_view_is(key, numbered) && !(part == 0 && dm_view_is(key, plain))) return false;
        i++;
        if (extended && part == 0) {
            if (in.n - i < 7 || memcmp(in.p + i, "UTF-8''", 7) != 0) return false;
            i += 7;
        }
        bool quoted = !extended && i < in.n && in.p[i] == '"';
        size_t start = to->n;
        for (i += quoted; i < in.n && (quoted ? in.p[i] != '"' : in.p[i] != ';'); i++) {
            if (quoted && in.p[i] == '\\') i++;
            if (extended && in.p[i] == '%') {
                if (in.n - i < 3 || hex(in.p[i + 1]) < 0 || hex(in.p[i + 2]) < 0) return false;
                dm_buf_addc(to, (char)(hex(in.p[i + 1]) << 4 | hex(in.p[i + 2])));
                i += 2;
            } else {
                dm_buf_addc(to, in.p[i]);
            }
        }
        i += quoted;
        dm_view piece = {to->p ? to->p + start : NULL, to->n - start};
        if (!dm_utf8_valid(piece, NULL)) return false;          /* whole characters in each piece */
    }
    return true;
}

static void any_name_comes_back_in_lines_of_76(void **state) {
    (void)state;
    uint64_t seed = 0x706172616d000001;
    dm_buf back;
    dm_buf_init(&back, 10000);
    for (int round = 0; round < 3000; round++) {
        uint64_t was = seed;
        char in[1000];
        size_t n = 0, count = random_below(&seed, 120), column = random_below(&seed, 100), first = column;
        for (size_t i = 0; i < count; i++) {
            if (round % 2) n += random_character(&seed, in + n);
            else in[n++] = (char)(32 + random_below(&seed, 95));
        }
        out.n = back.n = 0;
        bool good = dm_param(&out, "filename", (dm_view){in, n}, &column) == DM_OK && read_back(&back, dm_buf_view(&out)) &&
                    back.n == n && (n == 0 || memcmp(back.p, in, n) == 0) &&
                    longest_line(dm_buf_view(&out), first < 76 ? first : 0) <= 76;
        if (!good) fail_msg("seed %#llx: %.*s", (unsigned long long)was, (int)out.n, out.p);
        column = first;
        out.n = 0;
        dm_param_word(&out, "filename", (dm_view){in, n}, &column);
        if (longest_line(dm_buf_view(&out), first < 76 ? first : 0) > 76)
            fail_msg("seed %#llx: %.*s", (unsigned long long)was, (int)out.n, out.p);
    }
    dm_buf_clear(&back);
}

static void a_failed_allocation_is_reported(void **state) {
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_buf b;
        size_t column = 30;
        dm_buf_init(&b, 10000);
        dm_code code = dm_param(&b, "filename", BYTES(REPORT), &column);
        if (code == DM_OK) code = dm_param_word(&b, "name", BYTES(REPORT), &column);
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
        cmocka_unit_test(rule_4_17_a_plain_name_is_a_token),
        cmocka_unit_test(what_a_reader_takes_for_rfc_2231_stands_in_quotes),
        cmocka_unit_test(rule_4_41_a_name_that_looks_like_an_encoded_word_is_hidden_from_decoders),
        cmocka_unit_test(rule_4_18_path_parts_are_removed),
        cmocka_unit_test(rule_4_19_quoting),
        cmocka_unit_test(rule_4_20_the_character_set_of_rfc_2231),
        cmocka_unit_test(rule_4_21_continuations),
        cmocka_unit_test(rule_4_21_the_pieces_together_are_the_value_of_rule_4_20),
        cmocka_unit_test(a_long_ascii_value_is_continued_in_quotes),
        cmocka_unit_test(rule_4_22_the_old_readers_name_is_encoded_words_in_quotes),
        cmocka_unit_test(rule_3_11_line_breaks_in_a_file_name_are_refused),
        cmocka_unit_test(any_name_comes_back_in_lines_of_76),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
