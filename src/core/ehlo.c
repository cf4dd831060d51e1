/* ehlo.c - reads what a server offers in its reply to EHLO (RFC 5321, 4.1.1.1). */
#include "buf.h"

#include <string.h>

static dm_view word_of(dm_view *line) {
    dm_view w;
    while (line->n > 0 && dm_is_blank((unsigned char)*line->p)) line->p++, line->n--;
    w.p = line->p;
    while (line->n > 0 && !dm_is_blank((unsigned char)*line->p)) line->p++, line->n--;
    w.n = (size_t)(line->p - w.p);
    return w;
}

static uint64_t number_of(dm_view v) {
    uint64_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (!dm_is_digit((unsigned char)v.p[i])) return 0;
        if (n > (UINT64_MAX - 9) / 10) return 0;        /* larger than any limit: none */
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    return n;
}

static void keyword(dm_ehlo *out, dm_view line) {
    static const struct { const char *name; unsigned cap; } flags[] = {
        {"PIPELINING", DM_CAP_PIPELINING}, {"8BITMIME", DM_CAP_8BITMIME}, {"STARTTLS", DM_CAP_STARTTLS},
        {"DSN", DM_CAP_DSN}, {"SMTPUTF8", DM_CAP_SMTPUTF8}, {"ENHANCEDSTATUSCODES", DM_CAP_ENHANCED},
    };
    dm_view rest = line, name = word_of(&rest);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (dm_view_same(name, flags[i].name)) out->caps |= flags[i].cap;
    if (dm_view_same(name, "SIZE")) {
        out->caps |= DM_CAP_SIZE;
        out->size = number_of(word_of(&rest));
    }
    /* Direct Mail says both "AUTH PLAIN LOGIN" and the older "AUTH=PLAIN LOGIN" */
    if (name.n >= 5 && dm_view_same((dm_view){name.p, 5}, "AUTH=")) {
        rest.p = name.p + 5;
        rest.n = (size_t)(line.p + line.n - rest.p);
    } else if (!dm_view_same(name, "AUTH")) {
        return;
    }
    out->caps |= DM_CAP_AUTH;
    for (dm_view w = word_of(&rest); w.n > 0; w = word_of(&rest)) {
        if (dm_view_same(w, "PLAIN")) out->auth |= DM_AUTH_PLAIN;
        if (dm_view_same(w, "LOGIN")) out->auth |= DM_AUTH_LOGIN;
    }
}

void dm_ehlo_parse(dm_ehlo *out, const dm_reply *r, dm_view in) {
    const char *p = in.p, *end = in.p + r->length;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < r->lines && p < end; i++) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *stop = lf > p && lf[-1] == '\r' ? lf - 1 : lf;
        if (i > 0 && stop - p > 4) keyword(out, (dm_view){p + 4, (size_t)(stop - p - 4)});
        p = lf + 1;
    }
}
