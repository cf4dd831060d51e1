/*
** sign_bench.c - signatures a second, beside bare OpenSSL over the same bytes in the same run.
** gcc -O2 -Iinclude tests/bench/sign_bench.c build/libdirectmail_core.a -lidn2 -lcrypto -o build/sign_bench
** The limit of V1 is one HMAC() over the string to sign; that of V3 is SHA256() of body and
** canonical request and one HMAC(). Five rounds, alternating; medians are compared.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "directmail.h"

enum { ROUNDS = 5, TURNS = 60000 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);     /* nothing waits here, and a busy machine must not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *rates) {
    qsort(rates, ROUNDS, sizeof *rates, by_value);
    return rates[ROUNDS / 2];
}

#define V(text) dm_view_of(text)

int main(void) {
    const dm_pair form[] = {
        {V("AccountName"), V("noreply@mail.example.com")}, {V("AddressType"), V("1")}, {V("ReplyToAddress"), V("false")},
        {V("Subject"), V("Welcome, Ann")}, {V("TextBody"), V("Hi Ann")}, {V("ToAddress"), V("ann@example.net")},
    };
    const dm_key key = {V("testid"), V("testsecretoftwentyeightletter"), {NULL, 0}};
    dm_call call = {.method = V("POST"), .host = V("dm.aliyuncs.com"), .action = V("SingleSendMail"), .version = V("2015-11-23"),
                    .utc = V("2026-11-23T12:34:56Z"), .nonce = V("fa08e433181aaa778265baf6753c0556"),
                    .form = form, .form_count = sizeof form / sizeof form[0]};
    const struct {
        dm_scheme scheme;
        const char *name;
        double wanted;
    } runs[] = {{DM_SIGN_V1, "V1", 100e3}, {DM_SIGN_V3, "V3", 150e3}};
    dm_signer *s = dm_signer_new();
    if (!s) return 1;
    for (size_t r = 0; r < sizeof runs / sizeof runs[0]; r++) {
        double ours[ROUNDS], limit[ROUNDS];
        unsigned char mac[EVP_MAX_MD_SIZE], hash[32];
        unsigned n;
        dm_ready out;
        call.scheme = runs[r].scheme;
        if (dm_sign_call(s, &call, &key, &out, NULL) != DM_OK) return 1;
        size_t text_n = out.how.string_to_sign.n, request_n = out.how.canonical_request.n, body_n = out.body.n;
        char *text = strndup(out.how.string_to_sign.p, text_n);
        char *request = out.how.canonical_request.p ? strndup(out.how.canonical_request.p, request_n) : NULL, *body = strndup(out.body.p, body_n);
        for (int round = 0; round < ROUNDS; round++) {
            double began = now();
            for (int i = 0; i < TURNS; i++)
                if (dm_sign_call(s, &call, &key, &out, NULL) != DM_OK) return 1;
            ours[round] = TURNS / (now() - began);
            began = now();
            for (int i = 0; i < TURNS; i++) {
                if (runs[r].scheme == DM_SIGN_V1) {
                    HMAC(EVP_sha1(), key.secret.p, (int)key.secret.n, (unsigned char *)text, text_n, mac, &n);
                } else {
                    SHA256((unsigned char *)body, body_n, hash);
                    SHA256((unsigned char *)request, request_n, hash);
                    HMAC(EVP_sha256(), key.secret.p, (int)key.secret.n, (unsigned char *)text, text_n, mac, &n);
                }
            }
            limit[round] = TURNS / (now() - began);
        }
        double a = median(ours), b = median(limit);
        printf("%s  %7.0f/s   bare OpenSSL %7.0f/s   ratio %.2f   to reach %.0f/s   (%zu octets signed)\n", runs[r].name, a, b, a / b,
               runs[r].wanted, runs[r].scheme == DM_SIGN_V1 ? text_n : request_n + body_n);
        free(text);
        free(request);
        free(body);
    }
    dm_signer_free(s);
    return 0;
}
