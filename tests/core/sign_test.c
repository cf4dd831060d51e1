/* sign_test.c - claims about src/core/sign.c, on known answers of the vendor's own signers */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "alloc.h"
#include "vectors.h"

#define V(text) dm_view_of(text)

/* ---- libcrypto's blocks that live, so that a test can look into them; it takes them by
** malloc() of this file, so that alloc.h can make them fail ---------------------------*/

static struct {
    void *p;
    size_t n;
} blocks[65536];
static size_t block_count;

static void *note(void *p, size_t n) {
    if (p && block_count < sizeof blocks / sizeof blocks[0]) {
        blocks[block_count].p = p;
        blocks[block_count++].n = n;
    }
    return p;
}

static size_t block_of(const void *p) {
    size_t i = 0;
    while (i < block_count && blocks[i].p != p) i++;
    return i;
}

static void forget(size_t i) {
    if (i < block_count) blocks[i] = blocks[--block_count];
}

static void *crypto_malloc(size_t n, const char *file, int line) {
    (void)file, (void)line;
    return note(malloc(n), n);
}

static void crypto_free(void *p, const char *file, int line) {
    (void)file, (void)line;
    forget(block_of(p));
    free(p);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line) {
    if (n == 0) {
        crypto_free(p, file, line);
        return NULL;
    }
    size_t i = block_of(p);
    void *q = realloc(p, n);
    if (q) forget(i);
    return note(q, n);
}

static bool holds(const char *secret) {
    for (size_t i = 0; i < block_count; i++)
        if (memmem(blocks[i].p, blocks[i].n, secret, strlen(secret))) return true;
    return false;
}

/* ---- known answers ------------------------------------------------------*/

static bool meets(const char *id, const char *what, dm_view got, const answer *want) {
    if (!want->given) return true;
    bool good;
    if (want->hex[0]) {
        unsigned char hash[DM_SHA256_SIZE];
        dm_digest *d = dm_digest_new();
        dm_buf hex;
        dm_buf_init(&hex, 100);
        assert_int_equal(dm_digest_sha256(d, got, hash), DM_OK);
        dm_hex(&hex, (dm_view){(const char *)hash, sizeof hash});
        good = got.n == want->octets && dm_view_is(dm_buf_view(&hex), want->hex);
        dm_buf_clear(&hex);
        dm_digest_free(d);
    } else {
        good = got.n == want->text.n && (got.n == 0 || memcmp(got.p, want->text.p, got.n) == 0);
    }
    if (!good) print_error("%s: %s is\n%.*s\nand should be\n%.*s\n", id, what, (int)got.n, got.p, (int)want->text.n, want->text.p);
    return good;
}

static dm_request request_of(const vector *v) {
    return (dm_request){.scheme = v->scheme, .method = v->method, .params = v->params, .param_count = v->param_count,
                        .path = v->path, .headers = v->headers, .header_count = v->header_count, .body = v->body};
}

static int misses(const vector *v, const dm_signed *s) {
    return !meets(v->id, "canonical_query", s->canonical_query, &v->canonical_query) +
           !meets(v->id, "string_to_sign", s->string_to_sign, &v->string_to_sign) +
           !meets(v->id, "canonical_request", s->canonical_request, &v->canonical_request) +
           !meets(v->id, "hashed_payload", s->hashed_payload, &v->hashed_payload) +
           !meets(v->id, "signature", s->signature, &v->signature) +
           !meets(v->id, "authorization", s->authorization, &v->authorization);
}

static void all_111_vectors_are_met(void **state) {
    vectors file;
    static vector v;
    dm_signed out;
    dm_error err;
    int count[2] = {0, 0}, wrong = 0, authorizations = 0;
    vectors_open(&file);
    while (vectors_next(&file, &v)) {
        dm_request in = request_of(&v);
        assert_true(v.signature.given && v.string_to_sign.given);
        if (dm_sign(*state, &in, &v.key, &out, &err) != DM_OK) {
            print_error("%s: %s: %s\n", v.id, err.field, err.detail);
            wrong++;
        } else {
            wrong += misses(&v, &out);
        }
        count[v.scheme]++;
        authorizations += v.authorization.given;
    }
    vectors_close(&file);
    assert_int_equal(count[DM_SIGN_V1], 72);
    assert_int_equal(count[DM_SIGN_V3], 39);
    assert_int_equal(authorizations, 34);
    assert_int_equal(wrong, 0);
}

static void the_order_of_parameters_and_headers_does_not_matter(void **state) {
    vectors file;
    static vector v;
    dm_signed out;
    vectors_open(&file);
    while (vectors_next(&file, &v)) {
        for (size_t i = 0; i < v.param_count / 2; i++) {
            dm_pair swap = v.params[i];
            v.params[i] = v.params[v.param_count - 1 - i];
            v.params[v.param_count - 1 - i] = swap;
        }
        for (size_t i = 0; i < v.header_count / 2; i++) {
            dm_pair swap = v.headers[i];
            v.headers[i] = v.headers[v.header_count - 1 - i];
            v.headers[v.header_count - 1 - i] = swap;
        }
        dm_request in = request_of(&v);
        assert_int_equal(dm_sign(*state, &in, &v.key, &out, NULL), DM_OK);
        assert_int_equal(misses(&v, &out), 0);
    }
    vectors_close(&file);
}

/* ---- details ------------------------------------------------------------*/

static const dm_key KEY = {{"testid", 6}, {"testsecret", 10}, {NULL, 0}};

static void text_is(dm_view got, const char *want) {
    if (!dm_view_is(got, want)) print_error("%.*s\nshould be\n%s\n", (int)got.n, got.p, want);
    assert_true(dm_view_is(got, want));
}

static void v1_never_signs_signature(void **state) {
    const dm_pair with[] = {{V("b"), V("2")}, {V("Signature"), V("x")}, {V("a"), V("1")}};
    dm_request in = {.scheme = DM_SIGN_V1, .method = V("POST"), .params = with, .param_count = 3};
    dm_signed out;
    assert_int_equal(dm_sign(*state, &in, &KEY, &out, NULL), DM_OK);
    text_is(out.canonical_query, "a=1&b=2");
    text_is(out.string_to_sign, "POST&%2F&a%3D1%26b%3D2");
    assert_null(out.authorization.p);
    assert_null(out.canonical_request.p);
    assert_null(out.hashed_payload.p);
}

static void names_are_sorted_by_octets_before_they_are_encoded(void **state) {
    /* "a-b" < "a.b" < "a~" by raw octets; "\xc3\xa9" would begin with '%' if it were encoded first */
    const dm_pair p[] = {{V("\xc3\xa9"), V("7")}, {V("a~"), V("6")}, {V("a.b"), V("4")}, {V("a"), V("2")},
                         {V("A"), V("1")},        {V("a-b"), V("3")}, {V("a.b.c"), V("5")}};
    dm_request in = {.scheme = DM_SIGN_V1, .method = V("GET"), .params = p, .param_count = 7};
    dm_signed out;
    assert_int_equal(dm_sign(*state, &in, &KEY, &out, NULL), DM_OK);
    text_is(out.canonical_query, "A=1&a=2&a-b=3&a.b=4&a.b.c=5&a~=6&%C3%A9=7");
}

/* What the vendor's signer made of these headers; the known answer v3-033 holds the outcome. */
static void headers_are_lowered_trimmed_and_joined(void **state) {
    const dm_pair h[] = {{V("X-ACS-Test"), V(" https ")}, {V("Host"), V("\tdm.aliyuncs.com ")}, {V("x-acs-test"), V("http")}, {V("x-acs-empty"), V("  ")}};
    dm_request in = {.scheme = DM_SIGN_V3, .method = V("GET"), .headers = h, .header_count = 4};
    dm_signed out;
    assert_int_equal(dm_sign(*state, &in, &KEY, &out, NULL), DM_OK);
    text_is(out.canonical_request, "GET\n/\n\nhost:dm.aliyuncs.com\nx-acs-empty:\nx-acs-test:http,https\n\nhost;x-acs-empty;x-acs-test\n"
                                   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void a_path_has_plus_star_and_tilde_rewritten(void **state) {
    const dm_pair h[] = {{V("host"), V("x")}};
    const char *paths[][2] = {{"/api/v1/a+b*c%7Ed", "/api/v1/a%20b%2Ac~d"}, {"/%7", "/%7"}, {"/%7E", "/~"}, {"/%7e", "/%7e"}, {"/a%20b", "/a%20b"}, {"", "/"}};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        dm_request in = {.scheme = DM_SIGN_V3, .method = V("GET"), .path = V(paths[i][0]), .headers = h, .header_count = 1};
        dm_signed out;
        assert_int_equal(dm_sign(*state, &in, &KEY, &out, NULL), DM_OK);
        assert_true(strncmp(out.canonical_request.p + 4, paths[i][1], strlen(paths[i][1])) == 0);
        assert_true(out.canonical_request.p[4 + strlen(paths[i][1])] == '\n');
    }
}

static void without_a_key_id_there_is_no_authorization(void **state) {
    const dm_pair h[] = {{V("host"), V("x")}};
    dm_key key = {.secret = V("s")};
    dm_request in = {.scheme = DM_SIGN_V3, .method = V("GET"), .headers = h, .header_count = 1};
    dm_signed out;
    assert_int_equal(dm_sign(*state, &in, &key, &out, NULL), DM_OK);
    assert_null(out.authorization.p);
    assert_int_equal(out.signature.n, 64);
}

static void refuses(dm_signer *s, dm_request in, dm_key key, dm_code code, const char *field, const char *words) {
    dm_signed out;
    dm_error err;
    memset(&err, 0, sizeof err);
    assert_int_equal(dm_sign(s, &in, &key, &out, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, field);
    if (!strstr(err.detail, words)) print_error("\"%s\" lacks \"%s\"\n", err.detail, words);
    assert_non_null(strstr(err.detail, words));
    assert_int_equal(dm_sign(s, &in, &key, &out, NULL), code);
}

static void bad_input_is_refused_by_name(void **state) {
    dm_signer *s = *state;
    const dm_pair host[] = {{V("host"), V("x")}};
    dm_request v1 = {.scheme = DM_SIGN_V1, .method = V("POST")};
    dm_request v3 = {.scheme = DM_SIGN_V3, .method = V("POST"), .headers = host, .header_count = 1};
    dm_request in;
    dm_key key;

    const struct {
        dm_pair pairs[2];
        size_t n;
        dm_code code;
        const char *field, *words;
    } params[] = {
        {{{V("Foo"), V("1")}, {V("Foo"), V("1")}}, 2, DM_E_OPTION, "Foo", "stands twice"},
        {{{V("Foo"), V("a\xff")}}, 1, DM_E_CONTENT, "Foo", "value is not UTF-8 at byte 2"},
        {{{V("Foo"), V("\xed\xa0\xbd\xed\xb8\x80")}}, 1, DM_E_CONTENT, "Foo", "value is not UTF-8 at byte 1"},
        {{{V("Fo\xc3"), V("a")}}, 1, DM_E_CONTENT, "Fo?", "name is not UTF-8 at byte 3"},
        {{{V("F\n\x1b o"), V("\xc0")}}, 1, DM_E_CONTENT, "F???o", "UTF-8"},
        {{{V("a"), V("1")}, {V(""), V("x")}}, 2, DM_E_OPTION, NULL, "has no name"},
    };
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        char field[64];
        in = v1;
        in.params = params[i].pairs;
        in.param_count = params[i].n;
        snprintf(field, sizeof field, params[i].field ? "params.%s" : "params", params[i].field);
        refuses(s, in, KEY, params[i].code, field, params[i].words);
        v3.params = in.params;
        v3.param_count = in.param_count;
        snprintf(field, sizeof field, params[i].field ? "query.%s" : "query", params[i].field);
        refuses(s, v3, KEY, params[i].code, field, params[i].words);
    }
    v3.params = NULL;
    v3.param_count = 0;

    in = v1, in.method = V("post");
    refuses(s, in, KEY, DM_E_OPTION, "http_method", "capitals");
    in = v3, in.method = V("GET\n/");
    refuses(s, in, KEY, DM_E_OPTION, "http_method", "capitals");

    const char *paths[] = {"x", "/a b", "/?a=b", "/#", "/\xc3\xa9", "/\n"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        in = v3, in.path = V(paths[i]);
        refuses(s, in, KEY, DM_E_OPTION, "path", i == 0 ? "begin with" : "percent-encoded");
    }

    in = v3, in.header_count = 0;
    refuses(s, in, KEY, DM_E_OPTION, "headers", "at least host");
    const struct {
        dm_pair h;
        dm_code code;
        const char *field, *words;
    } headers[] = {
        {{V("x-acs:y"), V("1")}, DM_E_OPTION, "headers.x-acs:y", "no name of a header"},
        {{V(""), V("1")}, DM_E_OPTION, "headers.", "no name of a header"},
        {{V("x-a"), V("1\r\nx-b: 2")}, DM_E_OPTION, "headers.x-a", "control character stands at byte 2"},
        {{V("x-a"), {"1\0", 2}}, DM_E_OPTION, "headers.x-a", "control character stands at byte 2"},
        {{V("x-a"), V("\x80")}, DM_E_CONTENT, "headers.x-a", "UTF-8 at byte 1"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        in = v3, in.headers = &headers[i].h;
        refuses(s, in, KEY, headers[i].code, headers[i].field, headers[i].words);
    }

    key = KEY, key.secret = V("");
    refuses(s, v1, key, DM_E_CREDENTIALS, "access_key_secret", "empty");
    key = KEY, key.id = V("a,b");
    refuses(s, v3, key, DM_E_CREDENTIALS, "access_key_id", "comma");
    key = KEY, key.id = V("a\nb");
    refuses(s, v3, key, DM_E_CREDENTIALS, "access_key_id", "control character");
}

static void a_long_name_is_cut_in_the_error(void **state) {
    char name[300];
    memset(name, 'n', sizeof name);
    const dm_pair p[] = {{{name, sizeof name}, V("\xff")}};
    dm_request in = {.scheme = DM_SIGN_V1, .method = V("POST"), .params = p, .param_count = 1};
    dm_signed out;
    dm_error err;
    assert_int_equal(dm_sign(*state, &in, &KEY, &out, &err), DM_E_CONTENT);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
}

static void a_text_over_the_limit_is_refused_and_the_signer_goes_on(void **state) {
    size_t n = ((size_t)64 << 20) / 5 + 1;          /* each '/' takes five octets in V1's text */
    char *big = malloc(n);
    assert_non_null(big);
    memset(big, '/', n);
    const dm_pair p[] = {{V("HtmlBody"), {big, n}}};
    dm_request in = {.scheme = DM_SIGN_V1, .method = V("POST"), .params = p, .param_count = 1};
    dm_signed out;
    dm_error err;
    assert_int_equal(dm_sign(*state, &in, &KEY, &out, &err), DM_E_SIZE);
    assert_non_null(strstr(err.detail, "64 MiB"));
    free(big);
    in.param_count = 0;
    assert_int_equal(dm_sign(*state, &in, &KEY, &out, &err), DM_OK);
    text_is(out.string_to_sign, "POST&%2F&");
}

/* ---- calls of ours ------------------------------------------------------*/

static const vector *find(vectors *file, vector *v, const char *id) {
    vectors_open(file);
    while (vectors_next(file, v))
        if (strcmp(v->id, id) == 0) return v;
    fail_msg("no vector %s", id);
    return NULL;
}

static dm_view header(const dm_ready *r, const char *name) {
    for (size_t i = 0; i < r->header_count; i++)
        if (dm_view_same(r->headers[i].name, name)) return r->headers[i].value;
    return (dm_view){NULL, 0};
}

static dm_view param(const vector *v, const char *name) {
    for (size_t i = 0; i < v->param_count; i++)
        if (dm_view_is(v->params[i].name, name)) return v->params[i].value;
    return (dm_view){NULL, 0};
}

static bool is_common(dm_view name) {
    const char *common[] = {"AccessKeyId", "Action", "Format", "SecurityToken", "SignatureMethod", "SignatureNonce", "SignatureVersion", "Timestamp", "Version"};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (dm_view_is(name, common[i])) return true;
    return false;
}

/* Every V1 vector that asks for JSON is a call that we could have made. */
static void calls_meet_the_v1_vectors(void **state) {
    vectors file;
    static vector v;
    int made = 0;
    vectors_open(&file);
    while (vectors_next(&file, &v)) {
        if (v.scheme != DM_SIGN_V1 || !dm_view_is(param(&v, "Format"), "JSON")) continue;
        if (strcmp(v.id, "v1-051") == 0) continue;          /* its nonce is not ASCII; our hosts make hex digits */
        dm_pair own[MAX_PAIRS];
        size_t n = 0;
        for (size_t i = 0; i < v.param_count; i++)
            if (!is_common(v.params[i].name)) own[n++] = v.params[i];
        bool get = dm_view_is(v.method, "GET");
        dm_call call = {.scheme = DM_SIGN_V1, .method = v.method, .host = V("dm.aliyuncs.com"), .action = param(&v, "Action"),
                        .version = param(&v, "Version"), .utc = param(&v, "Timestamp"), .nonce = param(&v, "SignatureNonce"),
                        .query = own, .query_count = get ? n : n / 2, .form = own + n / 2, .form_count = get ? 0 : n - n / 2};
        dm_key key = {.id = param(&v, "AccessKeyId"), .secret = v.key.secret, .token = param(&v, "SecurityToken")};
        dm_ready out;
        dm_error err;
        if (dm_sign_call(*state, &call, &key, &out, &err) != DM_OK) fail_msg("%s: %s: %s", v.id, err.field, err.detail);
        assert_int_equal(misses(&v, &out.how), 0);

        /* What travels is the canonical query and the signature, encoded once. */
        dm_buf want;
        dm_buf_init(&want, 1 << 20);
        dm_buf_adds(&want, get ? "/?" : "");
        dm_buf_addv(&want, out.how.canonical_query);
        dm_buf_adds(&want, "&Signature=");
        dm_percent(&want, out.how.signature);
        dm_view carrier = get ? out.target : out.body;
        assert_int_equal(carrier.n, want.n);
        assert_memory_equal(carrier.p, want.p, want.n);
        dm_buf_clear(&want);
        if (get) {
            assert_int_equal(out.body.n, 0);
            assert_null(header(&out, "Content-Type").p);
        } else {
            text_is(out.target, "/");
            text_is(header(&out, "Content-Type"), "application/x-www-form-urlencoded");
        }
        text_is(header(&out, "host"), "dm.aliyuncs.com");
        made++;
    }
    vectors_close(&file);
    assert_int_equal(made, 63);
}

/* The parameters of known answer v3-031 in the order in which we send them; signed with
** Python's hmac and hashlib. */
static void a_form_travels_sorted_and_strictly_encoded(void **state) {
    const dm_pair form[] = {{V("ToAddress"), V("ann@example.net")}, {V("AccountName"), V("noreply@mail.example.com")}, {V("AddressType"), V("1")},
                            {V("Subject"), V("!'()* ~ 100%")},      {V("ReplyToAddress"), V("false")},                {V("TextBody"), V("\xe4\xb8\xad\xe6\x96\x87")}};
    dm_call call = {.scheme = DM_SIGN_V3, .method = V("POST"), .host = V("dm.aliyuncs.com"), .action = V("SingleSendMail"), .version = V("2015-11-23"),
                    .utc = V("2026-11-23T12:34:56Z"), .nonce = V("0acf2e1a75caf9b0a1f6f646215b11bf"), .form = form, .form_count = 6};
    dm_ready out;
    dm_error err;
    assert_int_equal(dm_sign_call(*state, &call, &KEY, &out, &err), DM_OK);
    text_is(out.body, "AccountName=noreply%40mail.example.com&AddressType=1&ReplyToAddress=false&Subject=%21%27%28%29%2A%20~%20100%25"
                      "&TextBody=%E4%B8%AD%E6%96%87&ToAddress=ann%40example.net");
    text_is(out.target, "/");
    text_is(header(&out, "accept"), "application/json");
    text_is(header(&out, "content-type"), "application/x-www-form-urlencoded");
    text_is(header(&out, "x-acs-content-sha256"), "07c4b0ab47d7f5a8106178b095a05f635e8f2ec653aa6b8b2bea10eac816895a");
    text_is(header(&out, "authorization"),
            "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;"
            "x-acs-signature-nonce;x-acs-version,Signature=22aa7d59f17d058f6d203abde8c3bfb74b9950943da940d3d35056e5febe5a80");
}

static void a_call_meets_the_published_v3_example(void **state) {
    vectors file;
    static vector v;
    find(&file, &v, "published-08");
    dm_call call = {.scheme = DM_SIGN_V3, .method = v.method, .host = V("ecs.cn-shanghai.aliyuncs.com"), .action = V("RunInstances"), .version = V("2014-05-26"),
                    .utc = V("2023-10-26T10:22:32Z"), .nonce = V("3156853299f313e23d1673dc12e1703d"), .query = v.params, .query_count = v.param_count};
    dm_ready out;
    dm_error err;
    assert_int_equal(dm_sign_call(*state, &call, &v.key, &out, &err), DM_OK);
    assert_int_equal(misses(&v, &out.how), 0);
    text_is(out.target, "/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai");
    assert_int_equal(out.body.n, 0);
    assert_null(header(&out, "content-type").p);
    vectors_close(&file);
}

static void temporary_credentials_travel_raw_and_signed(void **state) {
    const char *token = "CAIS+token/with=reserved==&chars%2F~*";
    dm_call call = {.scheme = DM_SIGN_V3, .method = V("POST"), .host = V("dm.aliyuncs.com:8443"), .path = V("/"), .action = V("DescAccountSummary"),
                    .version = V("2015-11-23"), .utc = V("2026-11-23T12:34:56Z"), .nonce = V("n")};
    dm_key key = {V("STS.id"), V("secret"), V(token)};
    dm_ready out;
    dm_error err;
    assert_int_equal(dm_sign_call(*state, &call, &key, &out, &err), DM_OK);
    text_is(header(&out, "x-acs-security-token"), token);
    text_is(header(&out, "x-acs-accesskey-id"), "STS.id");
    text_is(out.how.canonical_request,
            "POST\n/\n\nhost:dm.aliyuncs.com:8443\nx-acs-accesskey-id:STS.id\nx-acs-action:DescAccountSummary\n"
            "x-acs-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-acs-date:2026-11-23T12:34:56Z\n"
            "x-acs-security-token:CAIS+token/with=reserved==&chars%2F~*\nx-acs-signature-nonce:n\nx-acs-version:2015-11-23\n\n"
            "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void refuses_call(dm_signer *s, dm_call in, dm_key key, dm_code code, const char *field, const char *words) {
    dm_ready out;
    dm_error err;
    memset(&err, 0, sizeof err);
    assert_int_equal(dm_sign_call(s, &in, &key, &out, &err), code);
    assert_string_equal(err.field, field);
    if (!strstr(err.detail, words)) print_error("\"%s\" lacks \"%s\"\n", err.detail, words);
    assert_non_null(strstr(err.detail, words));
}

static void a_bad_call_is_refused_by_name(void **state) {
    dm_signer *s = *state;
    const dm_pair pair[] = {{V("Subject"), V("Hi")}}, common[] = {{V("Timestamp"), V("x")}}, broken[] = {{V("Subject"), V("\xff")}};
    dm_call good = {.scheme = DM_SIGN_V1, .method = V("POST"), .host = V("h"), .action = V("A"), .version = V("1"), .utc = V("2026-11-23T12:34:56Z"),
                    .nonce = V("n"), .form = pair, .form_count = 1};
    dm_call in;
    dm_key key;
    dm_ready out;
    assert_int_equal(dm_sign_call(s, &good, &KEY, &out, NULL), DM_OK);

    in = good, in.method = V("PUT");
    refuses_call(s, in, KEY, DM_E_OPTION, "method", "neither");
    in = good, in.method = V("GET");
    refuses_call(s, in, KEY, DM_E_OPTION, "form", "GET has no body");
    in = good, in.host = V("h\r\nx: y");
    refuses_call(s, in, KEY, DM_E_OPTION, "host", "blank");
    in = good, in.nonce = V("");
    refuses_call(s, in, KEY, DM_E_OPTION, "nonce", "empty");
    in = good, in.version = V("");
    refuses_call(s, in, KEY, DM_E_OPTION, "api_version", "empty");
    in = good, in.path = V("/x");
    refuses_call(s, in, KEY, DM_E_OPTION, "path", "V1");
    const char *times[] = {"2026-11-23T12:34:56.0Z", "2026-11-23 12:34:56Z", "2026-11-23T12:34:56+08:00", "2026-11-23T12:34:56z", "", "2026-11-23T12:34:5aZ"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        in = good, in.utc = V(times[i]);
        refuses_call(s, in, KEY, DM_E_OPTION, "utc", "UTC");
    }
    in = good, in.form = common;
    refuses_call(s, in, KEY, DM_E_OPTION, "form.Timestamp", "adds this parameter itself");
    in = good, in.query = common, in.query_count = 1;
    refuses_call(s, in, KEY, DM_E_OPTION, "query.Timestamp", "adds this parameter itself");
    in.scheme = DM_SIGN_V3;
    assert_int_equal(dm_sign_call(s, &in, &KEY, &out, NULL), DM_OK);    /* V3 adds no parameter */
    in = good, in.form = broken;
    refuses_call(s, in, KEY, DM_E_CONTENT, "form.Subject", "byte 1");
    in = good, in.query = pair, in.query_count = 1;
    refuses_call(s, in, KEY, DM_E_OPTION, "form.Subject", "twice");

    key = KEY, key.id = V("");
    refuses_call(s, good, key, DM_E_CREDENTIALS, "access_key_id", "empty");
    key = KEY, key.id = V(" testid");
    refuses_call(s, good, key, DM_E_CREDENTIALS, "access_key_id", "blank");
    key = KEY, key.secret = V("testsecret\n");
    refuses_call(s, good, key, DM_E_CREDENTIALS, "access_key_secret", "line end");
    key = KEY, key.token = V("a\nb");
    refuses_call(s, good, key, DM_E_CREDENTIALS, "security_token", "line end");
}

/* ---- memory -------------------------------------------------------------*/

static void no_key_is_left_behind_in_libcrypto(void **state) {
    const dm_pair h[] = {{V("host"), V("x")}};
    dm_key key = {V("id"), V("Sixteen+Letters/"), {NULL, 0}};
    dm_signed out;
    dm_request in = {.scheme = DM_SIGN_V1, .method = V("GET"), .headers = h, .header_count = 1};
    assert_true(block_count > 0);
    for (int scheme = DM_SIGN_V1; scheme <= DM_SIGN_V3; scheme++) {
        in.scheme = (dm_scheme)scheme;
        assert_int_equal(dm_sign(*state, &in, &key, &out, NULL), DM_OK);
        assert_false(holds("Sixteen+Letters/"));
    }
}

/* Whole vectors, with every allocation of ours and of libcrypto failing once. */
static void every_failing_allocation_is_reported_and_leaks_nothing(void **state) {
    (void)state;
    vectors file;
    static vector v;
    int runs = 0, failures = 0;
    vectors_open(&file);
    while (vectors_next(&file, &v)) {
        dm_request in = request_of(&v);
        DM_EVERY_ALLOCATION_FAILS_ONCE {
            dm_signer *s = dm_signer_new();
            dm_signed out;
            dm_error err = {.code = DM_OK};
            dm_code code = s ? dm_sign(s, &in, &v.key, &out, &err) : DM_E_MEMORY;
            dm_alloc.armed = false;             /* what follows looks at the outcome */
            runs++;
            if (code == DM_OK) {
                assert_int_equal(misses(&v, &out), 0);
            } else {
                assert_true(dm_alloc_failed());
                assert_int_equal(code, DM_E_MEMORY);
                if (s) assert_int_equal(err.code, DM_E_MEMORY);
                assert_int_equal(ERR_peek_error(), 0);
                failures++;
                if (s) {                        /* the same signer works when there is memory again */
                    assert_int_equal(dm_sign(s, &in, &v.key, &out, &err), DM_OK);
                    assert_int_equal(misses(&v, &out), 0);
                }
            }
            dm_signer_free(s);
            dm_alloc.armed = true;
        }
    }
    vectors_close(&file);
    assert_true(runs > 111 * 10);
    assert_true(failures > 111 * 5);
}

static void a_call_reports_every_failing_allocation(void **state) {
    (void)state;
    const dm_pair form[] = {{V("Subject"), V("Hi")}};
    for (int scheme = DM_SIGN_V1; scheme <= DM_SIGN_V3; scheme++) {
        dm_call call = {.scheme = (dm_scheme)scheme, .method = V("POST"), .host = V("h"), .action = V("A"), .version = V("1"),
                        .utc = V("2026-11-23T12:34:56Z"), .nonce = V("n"), .form = form, .form_count = 1};
        DM_EVERY_ALLOCATION_FAILS_ONCE {
            dm_signer *s = dm_signer_new();
            dm_ready out;
            dm_error err;
            dm_code code = s ? dm_sign_call(s, &call, &KEY, &out, &err) : DM_E_MEMORY;
            if (code != DM_OK) {
                assert_true(dm_alloc_failed());
                assert_int_equal(code, DM_E_MEMORY);
            }
            dm_signer_free(s);
        }
    }
}

static int setup(void **state) {
    *state = dm_signer_new();
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    dm_signer_free(*state);
    dm_signer_free(NULL);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_111_vectors_are_met),
        cmocka_unit_test(the_order_of_parameters_and_headers_does_not_matter),
        cmocka_unit_test(v1_never_signs_signature),
        cmocka_unit_test(names_are_sorted_by_octets_before_they_are_encoded),
        cmocka_unit_test(headers_are_lowered_trimmed_and_joined),
        cmocka_unit_test(a_path_has_plus_star_and_tilde_rewritten),
        cmocka_unit_test(without_a_key_id_there_is_no_authorization),
        cmocka_unit_test(bad_input_is_refused_by_name),
        cmocka_unit_test(a_long_name_is_cut_in_the_error),
        cmocka_unit_test(a_text_over_the_limit_is_refused_and_the_signer_goes_on),
        cmocka_unit_test(calls_meet_the_v1_vectors),
        cmocka_unit_test(a_form_travels_sorted_and_strictly_encoded),
        cmocka_unit_test(a_call_meets_the_published_v3_example),
        cmocka_unit_test(temporary_credentials_travel_raw_and_signed),
        cmocka_unit_test(a_bad_call_is_refused_by_name),
        cmocka_unit_test(no_key_is_left_behind_in_libcrypto),
        cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(a_call_reports_every_failing_allocation),
    };
    /* before libcrypto's first allocation, or it refuses */
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free)) return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
