/* head_test.c - claims about src/core/head.c */
#include "bytes.h"

static dm_pair fields[DM_HEAD_FIELDS];

static long parse(dm_view in, dm_head_kind kind, dm_head *h) { return dm_head_parse(in, kind, fields, h); }

#define REQUEST "POST /a%20b?x=1 HTTP/1.1\r\nHost: dm.example\r\nX-Empty:\r\nX-Blanks: \t one two \t\r\n\r\n"
#define RESPONSE "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nServer: x\r\n\r\n"

static void reads_a_request(void **state) {
    (void)state;
    dm_head h;
    assert_int_equal(parse(BYTES(REQUEST "body"), DM_HEAD_REQUEST, &h), sizeof REQUEST - 1);
    assert_view(h.method, "POST");
    assert_view(h.target, "/a%20b?x=1");
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.field_count, 3);
    assert_view(h.fields[0].name, "Host");
    assert_view(h.fields[0].value, "dm.example");
    assert_view(h.fields[1].value, "");
    assert_view(h.fields[2].value, "one two");
    assert_null(h.why);
    assert_int_equal(parse(BYTES("\r\nGET / HTTP/1.0\r\n\r\n"), DM_HEAD_REQUEST, &h), 20);
    assert_view(h.method, "GET");
    assert_int_equal(h.minor, 0);
    assert_int_equal(parse(BYTES("GET / HTTP/1.7\r\n\r\n"), DM_HEAD_REQUEST, &h), 18);
    assert_int_equal(h.minor, 7);
}

static void reads_a_response(void **state) {
    (void)state;
    dm_head h;
    assert_int_equal(parse(BYTES(RESPONSE "abc"), DM_HEAD_RESPONSE, &h), sizeof RESPONSE - 1);
    assert_int_equal(h.status, 404);
    assert_view(h.reason, "Not Found");
    assert_int_equal(h.field_count, 2);
    assert_true(parse(BYTES("HTTP/1.1 200 \r\n\r\n"), DM_HEAD_RESPONSE, &h) > 0);
    assert_view(h.reason, "");
    assert_true(parse(BYTES("HTTP/1.0 599\r\n\r\n"), DM_HEAD_RESPONSE, &h) > 0);
    assert_int_equal(h.status, 599);
    assert_view(h.reason, "");
    assert_true(parse(BYTES("HTTP/1.1 200 \xe5\xa5\xbd\r\nX: \xff\r\n\r\n"), DM_HEAD_RESPONSE, &h) > 0);
    assert_view(h.reason, "\xe5\xa5\xbd");
    assert_view(h.fields[0].value, "\xff");
}

static void points_into_its_input(void **state) {
    (void)state;
    dm_head h;
    dm_view in = BYTES(REQUEST);
    assert_true(parse(in, DM_HEAD_REQUEST, &h) > 0);
    assert_ptr_equal(h.method.p, in.p);
    for (size_t i = 0; i < h.field_count; i++) {
        assert_true(h.fields[i].name.p > in.p && h.fields[i].value.p + h.fields[i].value.n < in.p + in.n);
    }
}

static void every_shorter_prefix_asks_for_more(void **state) {
    (void)state;
    static const struct {
        dm_head_kind kind;
        const char *text;
    } heads[] = {
        {DM_HEAD_REQUEST, REQUEST}, {DM_HEAD_RESPONSE, RESPONSE}, {DM_HEAD_REQUEST, "\r\nGET / HTTP/1.1\r\n\r\n"},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        size_t n = strlen(heads[i].text);
        for (size_t cut = 0; cut <= n; cut++) {
            char *copy = malloc(cut + 1);           /* exactly as long, so that reading on is seen */
            assert_non_null(copy);
            memcpy(copy, heads[i].text, cut);
            copy = realloc(copy, cut ? cut : 1);
            assert_non_null(copy);
            dm_head h;
            assert_int_equal(parse((dm_view){copy, cut}, heads[i].kind, &h), cut == n ? (long)n : 0);
            free(copy);
        }
    }
}

static void refuses_every_broken_form(void **state) {
    (void)state;
    static const struct {
        dm_head_kind kind;
        int answer;
        dm_view in;
    } rows[] = {
#define Q(answer, text) {DM_HEAD_REQUEST, answer, {text, sizeof(text) - 1}}
#define A(answer, text) {DM_HEAD_RESPONSE, answer, {text, sizeof(text) - 1}}
        Q(400, " GET / HTTP/1.1\r\n"),              Q(400, "G\0T / HTTP/1.1\r\n"),
        Q(400, "G(T / HTTP/1.1\r\n"),               Q(400, "GET  / HTTP/1.1\r\n"),
        Q(400, "GET\t/ HTTP/1.1\r\n"),              Q(400, "GET /\r\n"),
        Q(400, "GET / \r\n"),                       Q(400, "GET / http/1.1\r\n"),
        Q(505, "GET / HTTP/2.0\r\n"),               Q(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Q(400, "GET / HTTP/1.x\r\n"),               Q(400, "GET / HTTP/1.10\r\n"),
        Q(400, "GET / HTTP/1.1 \r\n"),              Q(400, "GET / HTTP/1.1\n"),
        Q(400, "GET / HTTP/1.1\r\r"),               Q(400, "GET /\x80 HTTP/1.1\r\n"),
        Q(400, "GET /\0 HTTP/1.1\r\n"),             Q(400, "GET / x HTTP/1.1\r\n"),
        Q(400, "\r\n\r\nGET / HTTP/1.1\r\n"),       Q(400, "\nGET / HTTP/1.1\r\n"),
        Q(400, "GET / HTTP/1.1\r\n X: y\r\n"),      Q(400, "GET / HTTP/1.1\r\nA: b\r\n c\r\n"),
        Q(400, "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n"), Q(400, "GET / HTTP/1.1\r\nA : b\r\n"),
        Q(400, "GET / HTTP/1.1\r\nA\t: b\r\n"),     Q(400, "GET / HTTP/1.1\r\n: b\r\n"),
        Q(400, "GET / HTTP/1.1\r\nA\r\n"),          Q(400, "GET / HTTP/1.1\r\nA: b\n"),
        Q(400, "GET / HTTP/1.1\r\nA: b\rc\r\n"),    Q(400, "GET / HTTP/1.1\r\nA: b\0c\r\n"),
        Q(400, "GET / HTTP/1.1\r\nA: b\x1b[2J\r\n"), Q(400, "GET / HTTP/1.1\r\nA: b\x7f\r\n"),
        Q(400, "GET / HTTP/1.1\r\nA\x80: b\r\n"),   Q(400, "GET / HTTP/1.1\r\nA\0: b\r\n"),
        Q(400, "GET / HTTP/1.1\r\nA(b): c\r\n"),    Q(400, "GET / HTTP/1.1\r\n\rX"),
        Q(400, "GET / HTTP/1.1\r\n\n"),             Q(400, "HTTP/1.1 200 OK\r\n\r\n"),
        A(400, "GET / HTTP/1.1\r\n\r\n"),           A(400, "220 smtp.example ready\r\n"),
        A(400, "\x15\x03\x01"),                     A(400, "\r\nHTTP/1.1 200 OK\r\n"),
        A(400, "ICY 200 OK\r\n"),                   A(505, "HTTP/2 200\r\n"),
        A(400, "HTTP/1.1  200 OK\r\n"),             A(400, "HTTP/1.1 20 OK\r\n"),
        A(400, "HTTP/1.1 2000 OK\r\n"),             A(400, "HTTP/1.1 099 OK\r\n"),
        A(400, "HTTP/1.1 600 OK\r\n"),              A(400, "HTTP/1.1 200\tOK\r\n"),
        A(400, "HTTP/1.1 200 O\0K\r\n"),            A(400, "HTTP/1.1 200 O\rK\r\n"),
        A(400, "HTTP/1.1 200 OK\n"),                A(400, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n"),
#undef Q
#undef A
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_head h;
        if (parse(rows[i].in, rows[i].kind, &h) != -1) fail_msg("row %zu is taken: %s", i, rows[i].in.p);
        assert_non_null(h.why);
        assert_int_equal(h.answer, rows[i].answer);
    }
}

static void garbage_is_seen_at_its_first_wrong_octet(void **state) {
    (void)state;
    dm_head h;
    assert_int_equal(parse(BYTES("H"), DM_HEAD_RESPONSE, &h), 0);
    assert_int_equal(parse(BYTES("2"), DM_HEAD_RESPONSE, &h), -1);
    assert_int_equal(parse(BYTES("\x16"), DM_HEAD_REQUEST, &h), -1);
    assert_int_equal(parse(BYTES("HTTP/1.1 200 OK\r\nA "), DM_HEAD_RESPONSE, &h), -1);
}

static void a_head_has_a_hundred_fields_at_most(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 100000);
    dm_buf_adds(&b, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < DM_HEAD_FIELDS; i++) dm_buf_adds(&b, "A: b\r\n");
    size_t without = b.n;
    dm_buf_adds(&b, "\r\n");
    dm_head h;
    assert_int_equal(parse(dm_buf_view(&b), DM_HEAD_REQUEST, &h), b.n);
    assert_int_equal(h.field_count, DM_HEAD_FIELDS);
    b.n = without;
    dm_buf_adds(&b, "C");
    assert_int_equal(parse(dm_buf_view(&b), DM_HEAD_REQUEST, &h), -1);
    assert_int_equal(h.answer, 431);
    dm_buf_clear(&b);
}

static void a_head_has_65536_octets_at_most(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 100000);
    dm_buf_adds(&b, "HTTP/1.1 200 OK\r\nA: ");
    while (b.n < DM_HEAD_OCTETS - 4) dm_buf_addc(&b, 'x');
    dm_head h;
    assert_int_equal(parse(dm_buf_view(&b), DM_HEAD_RESPONSE, &h), 0);
    dm_buf_adds(&b, "\r\n\r\nbody");
    assert_int_equal(parse(dm_buf_view(&b), DM_HEAD_RESPONSE, &h), DM_HEAD_OCTETS);
    b.n = DM_HEAD_OCTETS - 4;
    dm_buf_adds(&b, "x\r\n\r\n");
    assert_int_equal(parse(dm_buf_view(&b), DM_HEAD_RESPONSE, &h), -1);
    assert_int_equal(h.answer, 431);
    b.n = DM_HEAD_OCTETS - 4;
    dm_buf_adds(&b, "xxxx");        /* no more octets can help */
    assert_int_equal(parse(dm_buf_view(&b), DM_HEAD_RESPONSE, &h), -1);
    dm_buf_clear(&b);
}

/* ---- framing --------------------------------------------------------------*/

static dm_code framing(dm_head_kind kind, const char *start, const char *lines, const char *method, dm_body *body) {
    dm_buf b;
    dm_head h;
    dm_buf_init(&b, 10000);
    dm_buf_addf(&b, "%s\r\n%s\r\n", start, lines);
    assert_true(parse(dm_buf_view(&b), kind, &h) > 0);
    dm_code code = dm_head_body(&h, dm_view_of(method), body);
    dm_buf_clear(&b);
    return code;
}

static void frames_bodies_as_rfc_9112_says(void **state) {
    (void)state;
    static const struct {
        dm_head_kind kind;
        const char *start, *lines, *method;
        dm_body_kind body;
        uint64_t length;
    } rows[] = {
        {DM_HEAD_REQUEST, "POST / HTTP/1.1", "", "", DM_BODY_NONE, 0},
        {DM_HEAD_REQUEST, "POST / HTTP/1.1", "Content-Length: 0\r\n", "", DM_BODY_LENGTH, 0},
        {DM_HEAD_REQUEST, "GET / HTTP/1.1", "content-length: 12\r\n", "", DM_BODY_LENGTH, 12},
        {DM_HEAD_REQUEST, "GET / HTTP/1.0", "Content-Length: 007\r\n", "", DM_BODY_LENGTH, 7},
        {DM_HEAD_REQUEST, "POST / HTTP/1.1", "Transfer-Encoding: Chunked\r\n", "", DM_BODY_CHUNKED, 0},
        {DM_HEAD_REQUEST, "POST / HTTP/1.1", "Content-Length: 5\r\nContent-Length: 5, 5\r\n", "", DM_BODY_LENGTH, 5},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", "", "GET", DM_BODY_CLOSE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", "Content-Length: 9223372036854775807\r\n", "GET", DM_BODY_LENGTH, INT64_MAX},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", "POST", DM_BODY_CHUNKED, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", "Content-Length: 10\r\n", "HEAD", DM_BODY_NONE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", "HEAD", DM_BODY_NONE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 204 No", "Content-Length: 10\r\n", "GET", DM_BODY_NONE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 304 No", "Content-Length: 10\r\n", "GET", DM_BODY_NONE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 100 Go", "", "POST", DM_BODY_NONE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", "", "CONNECT", DM_BODY_NONE, 0},
        {DM_HEAD_RESPONSE, "HTTP/1.1 407 No", "Content-Length: 4\r\n", "CONNECT", DM_BODY_LENGTH, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_body body;
        assert_int_equal(framing(rows[i].kind, rows[i].start, rows[i].lines, rows[i].method, &body), DM_OK);
        if (body.kind != rows[i].body) fail_msg("row %zu: %s", i, dm_body_name(body.kind));
        assert_true(body.length == rows[i].length);
    }
}

static void refuses_what_two_readers_could_frame_in_two_ways(void **state) {
    (void)state;
    static const struct {
        int answer;
        const char *lines;
    } rows[] = {
        {400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"},
        {400, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"},
        {400, "Content-Length: 5\r\nContent-Length: 6\r\n"},
        {400, "Content-Length: 5, 6\r\n"},
        {400, "Content-Length:\r\n"},
        {400, "Content-Length: ,5\r\n"},
        {400, "Content-Length: 5,\r\n"},
        {400, "Content-Length: +5\r\n"},
        {400, "Content-Length: -5\r\n"},
        {400, "Content-Length: 0x5\r\n"},
        {400, "Content-Length: 5 5\r\n"},
        {400, "Content-Length: 5;\r\n"},
        {400, "Content-Length: 9223372036854775808\r\n"},
        {400, "Content-Length: 18446744073709551621\r\n"},
        {501, "Transfer-Encoding: gzip, chunked\r\n"},
        {501, "Transfer-Encoding: chunked, chunked\r\n"},
        {501, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"},
        {501, "Transfer-Encoding: identity\r\n"},
        {501, "Transfer-Encoding: xchunked\r\n"},
        {501, "Transfer-Encoding: chunked;q=1\r\n"},
        {501, "Transfer-Encoding:\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_body body;
        if (framing(DM_HEAD_REQUEST, "POST / HTTP/1.1", rows[i].lines, "", &body) != DM_E_PROTOCOL) fail_msg("taken: %s", rows[i].lines);
        assert_int_equal(body.answer, rows[i].answer);
        assert_non_null(body.why);
        assert_int_equal(framing(DM_HEAD_RESPONSE, "HTTP/1.1 200 OK", rows[i].lines, "GET", &body), DM_E_PROTOCOL);
    }
    dm_body body;
    assert_int_equal(framing(DM_HEAD_REQUEST, "POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n", "", &body), DM_E_PROTOCOL);
}

/* ---- chunks ---------------------------------------------------------------*/

/* Feed 'in' in pieces of 'step' octets; the octets used, or -1. */
static long decode(dm_chunk *c, dm_view in, size_t step, dm_buf *out) {
    size_t at = 0;
    while (at < in.n && !dm_chunk_done(c)) {
        dm_view piece = {in.p + at, in.n - at < step ? in.n - at : step}, data;
        while (piece.n > 0 && !dm_chunk_done(c)) {
            long used = dm_chunk_take(c, piece, &data);
            if (used < 0) return -1;
            assert_true(used > 0 && (size_t)used <= piece.n);
            dm_buf_addv(out, data);
            piece.p += used;
            piece.n -= (size_t)used;
            at += (size_t)used;
        }
    }
    return (long)at;
}

#define CHUNKED "4;name=\"va;l\"\r\nWiki\r\n00A\r\npedia in\r\n\r\na\r\n chunks.\r\n\r\n0\r\nX-T: v\r\nY:\r\n\r\n"

static void decodes_chunks_in_pieces_of_any_size(void **state) {
    (void)state;
    for (size_t step = 1; step < sizeof CHUNKED + 5; step++) {
        dm_chunk c = {0};
        dm_buf out;
        dm_buf_init(&out, 1000);
        assert_int_equal(decode(&c, BYTES(CHUNKED "GET /"), step, &out), sizeof CHUNKED - 1);
        assert_true(dm_chunk_done(&c));
        assert_buf(&out, "Wikipedia in\r\n chunks.\r\n");
        dm_view data;
        assert_int_equal(dm_chunk_take(&c, BYTES("more"), &data), 0);
        dm_buf_clear(&out);
    }
}

static void a_chunked_body_is_done_at_its_last_octet(void **state) {
    (void)state;
    for (size_t cut = 0; cut < sizeof CHUNKED; cut++) {
        dm_chunk c = {0};
        dm_buf out;
        dm_buf_init(&out, 1000);
        assert_int_equal(decode(&c, (dm_view){CHUNKED, cut}, 7, &out), cut);
        assert_int_equal(dm_chunk_done(&c), cut == sizeof CHUNKED - 1);
        dm_buf_clear(&out);
    }
}

static void refuses_broken_chunks_for_good(void **state) {
    (void)state;
    static const char *const rows[] = {
        "\r\n",       "g\r\n",       " 5\r\n",      "5 \r\n",      "5\n",          "5\rx",      "+5\r\n",     "-1\r\n",
        "0x5\r\n",    ";a\r\n",      "1\r\nab",     "1\r\na\n",    "1\r\na\rx",    "1;\1\r\n",  "1;a\n",      "1000000000000000\r\n",
        "0000000000000001\r\n",      "0\r\n\n",     "0\r\n\rx",    "0\r\n X: y\r", "0\r\nX\r",  "0\r\nX : y", "0\r\n: y",
        "0\r\nX: y\n", "0\r\nX: \1", "1\r\na\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_chunk c = {0};
        dm_buf out;
        dm_buf_init(&out, 1000);
        if (decode(&c, dm_view_of(rows[i]), 100, &out) != -1) fail_msg("row %zu is taken: %s", i, rows[i]);
        dm_view data;
        assert_int_equal(dm_chunk_take(&c, BYTES("1\r\na\r\n"), &data), -1);
        assert_false(dm_chunk_done(&c));
        dm_buf_clear(&out);
    }
}

static void extensions_and_trailers_without_end_are_refused(void **state) {
    (void)state;
    static const char *const rows[] = {"1;x\r\na\r\n", "0\r\nName: value\r\n"};
    for (int i = 0; i < 2; i++) {
        dm_chunk c = {0};
        dm_buf out;
        dm_buf_init(&out, 1 << 20);
        size_t n = strlen(rows[i]), fed = 0;
        while (decode(&c, dm_view_of(rows[i] + (i == 1 && fed > 0 ? 3 : 0)), n, &out) >= 0) {
            fed += n;
            assert_true(fed < 10 * DM_CHUNK_EXTRA);
        }
        assert_true(fed > DM_CHUNK_EXTRA);
        dm_buf_clear(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request),
        cmocka_unit_test(reads_a_response),
        cmocka_unit_test(points_into_its_input),
        cmocka_unit_test(every_shorter_prefix_asks_for_more),
        cmocka_unit_test(refuses_every_broken_form),
        cmocka_unit_test(garbage_is_seen_at_its_first_wrong_octet),
        cmocka_unit_test(a_head_has_a_hundred_fields_at_most),
        cmocka_unit_test(a_head_has_65536_octets_at_most),
        cmocka_unit_test(frames_bodies_as_rfc_9112_says),
        cmocka_unit_test(refuses_what_two_readers_could_frame_in_two_ways),
        cmocka_unit_test(decodes_chunks_in_pieces_of_any_size),
        cmocka_unit_test(a_chunked_body_is_done_at_its_last_octet),
        cmocka_unit_test(refuses_broken_chunks_for_good),
        cmocka_unit_test(extensions_and_trailers_without_end_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
