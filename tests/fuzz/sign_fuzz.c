/* sign_fuzz.c - any request is signed or refused, and what is signed keeps its shape. */
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

enum { MAX = 32 };

/* The next field, up to a 0xFE octet (which is never UTF-8) or the end. */
static dm_view take(dm_view *in) {
    const char *end = in->n ? memchr(in->p, 0xfe, in->n) : NULL;
    dm_view out = {in->p, end ? (size_t)(end - in->p) : in->n};
    size_t used = end ? out.n + 1 : out.n;
    in->p += used;
    in->n -= used;
    return out;
}

static size_t take_pairs(dm_view *in, dm_pair *to, size_t n) {
    size_t i = 0;
    for (; i < n && in->n; i++) {
        to[i].name = take(in);
        to[i].value = take(in);
    }
    return i;
}

static size_t count(dm_view v, char c) {
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++) n += v.p[i] == c;
    return n;
}

static void check(const dm_signed *s, dm_scheme scheme) {
    if (scheme == DM_SIGN_V1) {
        /* METHOD & %2F & the canonical query encoded again */
        dm_buf again;
        dm_buf_init(&again, s->canonical_query.n * 3);
        if (dm_percent(&again, s->canonical_query) != DM_OK) abort();
        if (count(s->string_to_sign, '&') != 2 || s->signature.n != 28 || s->string_to_sign.n < again.n) abort();
        if (again.n && memcmp(s->string_to_sign.p + s->string_to_sign.n - again.n, again.p, again.n) != 0) abort();
        dm_buf_clear(&again);
    } else if (s->signature.n != 64 || s->hashed_payload.n != 64 || s->string_to_sign.n != 81 ||
               count(s->authorization, '\n') != 0 || count(s->canonical_query, '\n') != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    dm_view in = {(const char *)data + 1, size - 1};
    dm_pair a[MAX], b[MAX];
    dm_key key = {.id = take(&in), .secret = take(&in), .token = {NULL, 0}};
    dm_error err;
    dm_signer *s = dm_signer_new();
    if (!s) abort();
    if (data[0] & 2) {
        dm_call call = {.scheme = data[0] & 1 ? DM_SIGN_V3 : DM_SIGN_V1, .method = dm_view_of(data[0] & 4 ? "GET" : "POST")};
        dm_ready out;
        key.token = take(&in);
        call.host = take(&in);
        call.path = take(&in);
        call.action = take(&in);
        call.version = take(&in);
        call.nonce = take(&in);
        call.utc = dm_view_of("2026-11-23T12:34:56Z");
        call.query = a;
        call.query_count = take_pairs(&in, a, 4);
        call.form = b;
        call.form_count = take_pairs(&in, b, MAX);
        if (dm_sign_call(s, &call, &key, &out, &err) == DM_OK) {
            check(&out.how, call.scheme);
            for (size_t i = 0; i < out.header_count; i++)
                if (count(out.headers[i].value, '\n') || count(out.headers[i].value, '\r') || count(out.headers[i].value, '\0')) abort();
            if (count(out.target, '\n') || count(out.target, ' ') || out.header_count > DM_READY_HEADERS) abort();
        }
    } else {
        dm_request request = {.scheme = data[0] & 1 ? DM_SIGN_V3 : DM_SIGN_V1};
        dm_signed out;
        request.method = take(&in);
        request.path = take(&in);
        request.body = take(&in);
        request.params = a;
        request.param_count = take_pairs(&in, a, data[0] & 1 ? 4 : MAX);
        request.headers = b;
        request.header_count = take_pairs(&in, b, MAX);
        if (dm_sign(s, &request, &key, &out, &err) == DM_OK) check(&out, request.scheme);
    }
    dm_signer_free(s);
    return 0;
}
