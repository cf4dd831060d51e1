/*
** peer_api.c - signed calls of SingleSendMail through libcurl's multi interface, signed by our core: the least that a
** program in C does.   peer_api PORT IN_FLIGHT CALLS TEXT
*/
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "directmail.h"

#define V(text) dm_view_of(text)

typedef struct job {
    CURL *easy;
    struct curl_slist *headers;
    char *body;
} job;

static char url[80], host[64], *text;
static size_t text_n;

static size_t swallow(char *p, size_t size, size_t n, void *to) {
    (void)p, (void)to;
    return size * n;
}

static void compose(job *j, dm_signer *signer, long number) {
    unsigned char dice[16];
    char nonce[33], utc[32], subject[64], to[64], line[512];
    time_t now = time(NULL);
    struct tm t;
    if (getrandom(dice, sizeof dice, 0) != sizeof dice) exit(1);
    for (size_t i = 0; i < sizeof dice; i++) snprintf(nonce + 2 * i, 3, "%02x", dice[i]);
    strftime(utc, sizeof utc, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &t));
    snprintf(subject, sizeof subject, "Your order %ld", number);
    snprintf(to, sizeof to, "user%ld@example.com", number);
    const dm_pair form[] = {
        {V("AccountName"), V("noreply@mail.example.com")}, {V("AddressType"), V("1")}, {V("FromAlias"), V("Example")},
        {V("ReplyToAddress"), V("false")}, {V("Subject"), V(subject)}, {V("TextBody"), {text, text_n}}, {V("ToAddress"), V(to)},
    };
    const dm_key key = {V("testid"), V("testsecretoftwentyeightletter"), {NULL, 0}};
    const dm_call call = {.scheme = DM_SIGN_V3, .method = V("POST"), .host = V(host), .action = V("SingleSendMail"),
                          .version = V("2015-11-23"), .utc = V(utc), .nonce = V(nonce), .form = form, .form_count = 7};
    dm_ready ready;
    dm_error err;
    if (dm_sign_call(signer, &call, &key, &ready, &err) != DM_OK) {
        fprintf(stderr, "peer_api: %s %s\n", err.field, err.detail);
        exit(1);
    }
    curl_slist_free_all(j->headers);
    free(j->body);
    j->headers = NULL;
    for (size_t i = 0; i < ready.header_count; i++) {
        if (dm_view_same(ready.headers[i].name, "host")) continue;
        snprintf(line, sizeof line, "%.*s: %.*s", (int)ready.headers[i].name.n, ready.headers[i].name.p, (int)ready.headers[i].value.n,
                 ready.headers[i].value.p);
        j->headers = curl_slist_append(j->headers, line);
    }
    j->headers = curl_slist_append(j->headers, "Expect:");
    j->body = malloc(ready.body.n + 1);
    if (!j->body) exit(1);
    memcpy(j->body, ready.body.p, ready.body.n);
    curl_easy_setopt(j->easy, CURLOPT_POSTFIELDSIZE, (long)ready.body.n);
    curl_easy_setopt(j->easy, CURLOPT_POSTFIELDS, j->body);
    curl_easy_setopt(j->easy, CURLOPT_HTTPHEADER, j->headers);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: peer_api PORT IN_FLIGHT CALLS TEXT\n");
        return 2;
    }
    int count = atoi(argv[2]), running, queued;
    long calls = atol(argv[3]), begun = 0, over = 0, failed = 0;
    FILE *f = fopen(argv[4], "rb");
    text = malloc(65536);
    if (!f || !text) return 1;
    text_n = fread(text, 1, 65536, f);
    fclose(f);
    snprintf(host, sizeof host, "127.0.0.1:%s", argv[1]);
    snprintf(url, sizeof url, "http://%s/", host);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    dm_signer *signer = dm_signer_new();
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)count);
    job *jobs = calloc((size_t)count, sizeof *jobs);
    if (!jobs || !signer) return 1;
    for (int i = 0; i < count && begun < calls; i++) {
        CURL *e = jobs[i].easy = curl_easy_init();
        curl_easy_setopt(e, CURLOPT_URL, url);
        curl_easy_setopt(e, CURLOPT_PROXY, "");
        curl_easy_setopt(e, CURLOPT_PRIVATE, &jobs[i]);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, swallow);
        compose(&jobs[i], signer, begun++);
        curl_multi_add_handle(multi, e);
    }
    while (over < calls) {
        curl_multi_perform(multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(multi, &queued));) {
            if (m->msg != CURLMSG_DONE) continue;
            CURL *e = m->easy_handle;
            job *j;
            long status = 0;
            over++;
            curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
            if (m->data.result != CURLE_OK || status != 200) failed++;
            curl_easy_getinfo(e, CURLINFO_PRIVATE, (char **)&j);
            curl_multi_remove_handle(multi, e);
            if (begun < calls) {
                compose(j, signer, begun++);
                curl_multi_add_handle(multi, e);
            }
        }
        if (over < calls) curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    for (int i = 0; i < count; i++) {
        curl_easy_cleanup(jobs[i].easy);
        curl_slist_free_all(jobs[i].headers);
        free(jobs[i].body);
    }
    curl_multi_cleanup(multi);
    dm_signer_free(signer);
    return failed > 0;
}
