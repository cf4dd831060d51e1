/* base64_test.c - base64 on one line and in lines, and back. */
#include "bytes.h"

#include "alloc.h"
#include "base64.h"

static dm_buf out;

static void encodes(const char *in, const char *expected) {
    dm_buf_clear(&out);
    assert_int_equal(dm_base64(&out, dm_view_of(in)), DM_OK);
    assert_buf(&out, expected);
    assert_int_equal(dm_base64_length(strlen(in)), strlen(expected));
}

static void the_vectors_of_rfc_4648_come_out(void **state) {
    (void)state;
    encodes("", "");
    encodes("f", "Zg==");
    encodes("fo", "Zm8=");
    encodes("foo", "Zm9v");
    encodes("foob", "Zm9vYg==");
    encodes("fooba", "Zm9vYmE=");
    encodes("foobar", "Zm9vYmFy");
}

static void rule_2_50_an_auth_plain_response(void **state) {
    (void)state;
    dm_buf_clear(&out);
    dm_base64(&out, BYTES("\0ops@mail.example.com\0Qw12rtYU"));
    assert_buf(&out, "AG9wc0BtYWlsLmV4YW1wbGUuY29tAFF3MTJydFlV");
}

static void every_value_of_six_bits_has_its_letter(void **state) {
    (void)state;
    unsigned char in[48];
    for (unsigned i = 0, v = 0; i < 48; i += 3, v += 4) {
        unsigned bits = v << 18 | (v + 1) << 12 | (v + 2) << 6 | (v + 3);
        in[i] = (unsigned char)(bits >> 16);
        in[i + 1] = (unsigned char)(bits >> 8);
        in[i + 2] = (unsigned char)bits;
    }
    dm_buf_clear(&out);
    dm_base64(&out, (dm_view){(char *)in, sizeof in});
    assert_buf(&out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

static void in_lines(size_t n, const char *expected) {
    dm_base64_lines s = {0};
    char zeros[200] = {0};
    dm_buf_clear(&out);
    dm_base64_put(&out, &s, (dm_view){zeros, n});
    dm_base64_end(&out, &s);
    assert_buf(&out, expected);
    assert_int_equal(dm_base64_lines_length(n), strlen(expected));
}

static void rule_4_9_lines_of_76_with_crlf_between_them_and_padding(void **state) {
    (void)state;
    const char *line = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    char expected[400];
    assert_int_equal(strlen(line), 76);
    in_lines(0, "");
    in_lines(1, "AA==");
    in_lines(2, "AAA=");
    in_lines(3, "AAAA");
    in_lines(57, line);
    snprintf(expected, sizeof expected, "%s\r\nAA==", line);
    in_lines(58, expected);
    snprintf(expected, sizeof expected, "%s\r\n%s", line, line);
    in_lines(114, expected);
    snprintf(expected, sizeof expected, "%s\r\n%s\r\nAAA=", line, line);
    in_lines(116, expected);
}

static void fill(char *p, size_t n, uint64_t *seed) {
    for (size_t i = 0; i < n; i++) p[i] = (char)random_next(seed);
}

/* Any cut of the input gives the same lines, the forecast is exact, and decoding brings all back. */
static void any_chunking_gives_the_same_lines_and_the_forecast_is_exact(void **state) {
    (void)state;
    uint64_t seed = 0x6261736536340001;
    char in[3000];
    dm_buf whole, back;
    dm_buf_init(&whole, 10000);
    dm_buf_init(&back, 10000);
    for (int round = 0; round < 400; round++) {
        uint64_t was = seed;
        size_t n = random_below(&seed, sizeof in + 1);
        fill(in, n, &seed);
        whole.n = out.n = back.n = 0;
        dm_base64_lines s = {0}, t = {0};
        dm_base64_put(&whole, &s, (dm_view){in, n});
        dm_base64_end(&whole, &s);
        for (size_t i = 0; i < n;) {
            size_t step = random_below(&seed, round % 2 ? 5 : 300);
            if (step > n - i) step = n - i;
            dm_base64_put(&out, &t, (dm_view){in + i, step});
            i += step;
        }
        dm_base64_end(&out, &t);
        bool good = whole.code == DM_OK && out.n == whole.n && memcmp(out.p ? out.p : "", whole.p ? whole.p : "", out.n) == 0 &&
                    whole.n == dm_base64_lines_length(n) && longest_line(dm_buf_view(&whole), 0) <= 76 &&
                    dm_base64_decode(&back, dm_buf_view(&whole)) == DM_OK && back.n == n &&
                    (n == 0 || memcmp(back.p, in, n) == 0);
        if (!good) fail_msg("seed %#llx, %zu octets", (unsigned long long)was, n);
    }
    dm_buf_clear(&whole);
    dm_buf_clear(&back);
}

/* Both ways on one list, and the portable one is the judge: every length up to four lines and some long ones,
** at every offset from an aligned address, whole and cut anywhere. The octets lie at the end of their memory. */
static void every_way_gives_what_the_portable_way_gives(void **state) {
    (void)state;
    uint64_t seed = 0x6261736536340002;
    static const size_t longer[] = {1000, 4095, 4096, 4097, 70000};
    dm_buf judge, lines;
    dm_buf_init(&judge, 200000);
    dm_buf_init(&lines, 200000);
    assert_true(dm_base64_can(DM_BASE64_PORTABLE));
    if (!dm_base64_can(DM_BASE64_AVX2)) print_message("# this machine has no AVX2: the portable way meets itself\n");
    dm_base64_way other = dm_base64_can(DM_BASE64_AVX2) ? DM_BASE64_AVX2 : DM_BASE64_PORTABLE;
    for (size_t i = 0; i < 240 + sizeof longer / sizeof *longer; i++) {
        size_t n = i < 240 ? i : longer[i - 240], offset = i % 33;
        char *memory = malloc(offset + n + 1), *in = memory + offset + 1;
        fill(in, n, &seed);
        judge.n = out.n = lines.n = 0;
        dm_base64_by(DM_BASE64_PORTABLE, &judge, (dm_view){in, n});
        dm_base64_by(other, &out, (dm_view){in, n});
        if (out.n != judge.n || (n > 0 && memcmp(out.p, judge.p, out.n))) fail_msg("%zu octets on one line", n);
        for (size_t first = 0; first <= (n < 240 ? n : 200); first++) {
            dm_base64_lines s = {0}, t = {0};
            judge.n = lines.n = 0;
            dm_base64_put_by(DM_BASE64_PORTABLE, &judge, &s, (dm_view){in, n});
            dm_base64_put_by(other, &lines, &t, (dm_view){in, first});
            dm_base64_put_by(other, &lines, &t, (dm_view){in + first, n - first});
            dm_base64_end(&judge, &s);
            dm_base64_end(&lines, &t);
            if (lines.n != judge.n || (n > 0 && memcmp(lines.p, judge.p, lines.n))) fail_msg("%zu octets, cut at %zu", n, first);
        }
        free(memory);
    }
    dm_buf_clear(&judge);
    dm_buf_clear(&lines);
}

/* Each of the 4096 pairs of characters, in every place of a vector. */
static void every_way_knows_the_whole_alphabet(void **state) {
    (void)state;
    static unsigned char in[4096 * 3];
    for (unsigned i = 0; i < 4096; i++) {
        unsigned bits = i << 12 | ((i * 61 + 7) & 4095);
        in[3 * i] = (unsigned char)(bits >> 16);
        in[3 * i + 1] = (unsigned char)(bits >> 8);
        in[3 * i + 2] = (unsigned char)bits;
    }
    dm_buf judge;
    dm_buf_init(&judge, 100000);
    for (size_t skip = 0; skip < 24; skip += 3) {
        judge.n = out.n = 0;
        dm_view v = {(char *)in + skip, sizeof in - skip};
        dm_base64_by(DM_BASE64_PORTABLE, &judge, v);
        dm_base64(&out, v);             /* the way that this machine takes */
        assert_int_equal(out.n, judge.n);
        assert_memory_equal(out.p, judge.p, out.n);
    }
    dm_buf_clear(&judge);
}

static void a_state_that_ended_begins_anew(void **state) {
    (void)state;
    dm_base64_lines s = {0};
    dm_buf_clear(&out);
    dm_base64_put(&out, &s, BYTES("f"));
    dm_base64_end(&out, &s);
    dm_base64_put(&out, &s, BYTES("foo"));
    dm_base64_end(&out, &s);
    assert_buf(&out, "Zg==Zm9v");
}

static void decodes(dm_view in, const char *expected) {
    dm_buf_clear(&out);
    assert_int_equal(dm_base64_decode(&out, in), DM_OK);
    assert_buf(&out, expected);
}

static void decoding_skips_white_space(void **state) {
    (void)state;
    decodes(BYTES(" Zm\r\n9v\tYg = =\n"), "foob");
    decodes(BYTES(""), "");
    decodes(BYTES(" \r\n"), "");
}

static void what_is_not_base64_is_refused_and_appends_nothing(void **state) {
    (void)state;
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zm8", "Zg===", "Zm9v=", "=", "====", "Zg==Zg==", "Z=g=", "Zm9*",
                                      "Zm-_", "Zh==", "Zm9=", "Zm9vZ\xc3\xa9==", "Z==="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dm_buf_clear(&out);
        dm_buf_adds(&out, "kept");
        if (dm_base64_decode(&out, dm_view_of(bad[i])) != DM_E_CONTENT) fail_msg("%s was taken", bad[i]);
        assert_buf(&out, "kept");
    }
    assert_int_equal(dm_base64_decode(&out, BYTES("Zg\0=")), DM_E_CONTENT);
}

static void a_full_buffer_is_reported(void **state) {
    (void)state;
    dm_buf small;
    dm_base64_lines s = {0};
    dm_buf_init(&small, 7);
    assert_int_equal(dm_base64(&small, BYTES("foobar")), DM_E_SIZE);
    dm_buf_clear(&small);
    assert_int_equal(dm_base64_put(&small, &s, BYTES("foobar")), DM_E_SIZE);
    dm_buf_clear(&small);
    dm_buf_init(&small, 6);             /* the exact size is enough, white space costs nothing */
    assert_int_equal(dm_base64_decode(&small, BYTES("Zm9v\r\n\r\n\r\nYmFy")), DM_OK);
    assert_buf(&small, "foobar");
    dm_buf_clear(&small);
}

static void forecasts_do_not_wrap_around(void **state) {
    (void)state;
    assert_true(dm_base64_length(SIZE_MAX) == SIZE_MAX);
    assert_true(dm_base64_length(SIZE_MAX / 4 * 3) >= SIZE_MAX / 4 * 3);
    assert_true(dm_base64_lines_length(UINT64_MAX) == UINT64_MAX);
    assert_true(dm_base64_lines_length(UINT64_C(15000000)) == UINT64_C(20526314));
}

static void a_failed_allocation_is_reported(void **state) {
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_buf b;
        dm_base64_lines s = {0};
        dm_buf_init(&b, 1000);
        dm_base64_put(&b, &s, BYTES("some octets that need lines, more than fifty-seven of them, so two"));
        dm_base64_end(&b, &s);
        assert_int_equal(b.code, dm_alloc_failed() ? DM_E_MEMORY : DM_OK);
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
        cmocka_unit_test(the_vectors_of_rfc_4648_come_out),
        cmocka_unit_test(rule_2_50_an_auth_plain_response),
        cmocka_unit_test(every_value_of_six_bits_has_its_letter),
        cmocka_unit_test(rule_4_9_lines_of_76_with_crlf_between_them_and_padding),
        cmocka_unit_test(any_chunking_gives_the_same_lines_and_the_forecast_is_exact),
        cmocka_unit_test(every_way_gives_what_the_portable_way_gives),
        cmocka_unit_test(every_way_knows_the_whole_alphabet),
        cmocka_unit_test(a_state_that_ended_begins_anew),
        cmocka_unit_test(decoding_skips_white_space),
        cmocka_unit_test(what_is_not_base64_is_refused_and_appends_nothing),
        cmocka_unit_test(a_full_buffer_is_reported),
        cmocka_unit_test(forecasts_do_not_wrap_around),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
