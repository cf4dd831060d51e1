/* smtp_fuzz.c - libFuzzer: an engine that hears anything settles its messages once each, and never twice. */
#include "directmail.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static dm_message *message(bool all) {
    dm_view to[2] = {dm_view_of("a@x.example"), dm_view_of("b@x.example")};
    dm_mail mail;
    memset(&mail, 0, sizeof mail);
    mail.mail_from = dm_view_of("s@x.example");
    mail.rcpt_to = to;
    mail.rcpt_count = 2;
    mail.all_or_none = all;
    mail.text = dm_view_of(".hi\n");
    mail.boundary = dm_view_of("b");
    dm_message *m;
    dm_error err;
    if (dm_message_new(&m, &mail, &err) != DM_OK) abort();
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    dm_smtp_options o;
    memset(&o, 0, sizeof o);
    o.ehlo = dm_view_of("client.example");
    o.user = dm_view_of("user");
    if (data[0] & 1) o.password = dm_view_of("secret");
    o.tls = data[0] & 2 ? DM_TLS_IMPLICIT : DM_TLS_STARTTLS;
    o.pipeline = (dm_pipeline)((data[0] >> 2) % 3);
    o.cleartext_auth = data[0] & 16;
    size_t step = 1 + (size_t)(data[0] >> 5) * 7, at = 1;
    dm_smtp *s;
    dm_error err;
    if (dm_smtp_new(&s, &o, &err) != DM_OK) abort();
    dm_message *m[2] = {message(size & 1), message(size & 2)};
    int pushed = 0, results = 0;
    while (pushed < 2 && dm_smtp_push(s, pushed, m[pushed])) pushed++;
    dm_smtp_quit(s);
    for (;;) {
        dm_view out;
        int reader;
        size_t max;
        dm_want want = dm_smtp_next(s, &out, &reader, &max);
        if (want == DM_WANT_TLS) {
            dm_smtp_secured(s);
        } else if (want == DM_WANT_READ) {
            size_t n = size - at < step ? size - at : step;
            if (n == 0) dm_smtp_lost(s, DM_E_LOST, "", "closed");
            else dm_smtp_feed(s, (dm_view){(const char *)data + at, n});
            at += n;
        } else if (want == DM_WANT_RESULT) {
            dm_result got;
            dm_smtp_result(s, &got);
            if (got.n != results++) abort();
        } else if (want == DM_WANT_DONE || want == DM_WANT_FAIL) {
            break;
        } else if (want != DM_WANT_WRITE) {
            abort();                        /* no reader, and QUIT was asked for */
        }
    }
    if (results != pushed) abort();
    dm_smtp_free(s);
    dm_message_free(m[0]);
    dm_message_free(m[1]);
    return 0;
}
