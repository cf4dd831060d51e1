/* head_fuzz.c - libFuzzer: whatever a stranger sends, heads, framing and chunks stay within it and mean one thing. */
#include "directmail.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static dm_pair fields[DM_HEAD_FIELDS], again[DM_HEAD_FIELDS];

static void inside(dm_view v, dm_view in) {
    if (v.n > 0 && (v.p < in.p || v.p + v.n > in.p + in.n)) abort();
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0') abort();
}

static bool same(dm_view a, dm_view b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }

/* What was read, written anew, is read as the same. */
static void written_anew(const dm_head *h) {
    dm_buf b;
    dm_head copy;
    dm_buf_init(&b, 2 * DM_HEAD_OCTETS);
    if (h->kind == DM_HEAD_REQUEST) {
        dm_buf_addv(&b, h->method);
        dm_buf_addc(&b, ' ');
        dm_buf_addv(&b, h->target);
        dm_buf_addf(&b, " HTTP/1.%d\r\n", h->minor);
    } else {
        dm_buf_addf(&b, "HTTP/1.%d %d ", h->minor, h->status);
        dm_buf_addv(&b, h->reason);
        dm_buf_adds(&b, "\r\n");
    }
    for (size_t i = 0; i < h->field_count; i++) {
        dm_buf_addv(&b, h->fields[i].name);
        dm_buf_adds(&b, ":");
        dm_buf_addv(&b, h->fields[i].value);
        dm_buf_adds(&b, "\r\n");
    }
    dm_buf_adds(&b, "\r\n");
    if (b.code != DM_OK) abort();
    if (dm_head_parse(dm_buf_view(&b), h->kind, again, &copy) != (long)b.n && b.n <= DM_HEAD_OCTETS) abort();
    if (b.n <= DM_HEAD_OCTETS) {
        if (copy.field_count != h->field_count || copy.status != h->status || !same(copy.target, h->target)) abort();
        for (size_t i = 0; i < h->field_count; i++)
            if (!same(copy.fields[i].name, h->fields[i].name) || !same(copy.fields[i].value, h->fields[i].value)) abort();
    }
    dm_buf_clear(&b);
}

static void head(dm_view in, dm_head_kind kind) {
    dm_head h, shorter;
    dm_body body;
    long used = dm_head_parse(in, kind, fields, &h);
    if (used < 0 && (!h.why || h.answer < 400)) abort();
    if (used <= 0) return;
    if ((size_t)used > in.n || used > DM_HEAD_OCTETS || h.field_count > DM_HEAD_FIELDS) abort();
    inside(h.method, in);
    inside(h.target, in);
    inside(h.reason, in);
    for (size_t i = 0; i < h.field_count; i++) {
        inside(h.fields[i].name, in);
        inside(h.fields[i].value, in);
    }
    size_t cut = (size_t)used / 2;
    if (dm_head_parse((dm_view){in.p, (size_t)used - 1}, kind, again, &shorter) != 0) abort();
    if (dm_head_parse((dm_view){in.p, cut}, kind, again, &shorter) != 0) abort();
    if (dm_head_body(&h, dm_view_of("GET"), &body) != DM_OK && (!body.why || body.answer < 400)) abort();
    written_anew(&h);
}

/* Whole and octet by octet: the same body, the same end. */
static void chunks(dm_view in) {
    size_t ends[2];
    dm_buf out[2];
    for (int way = 0; way < 2; way++) {
        dm_chunk c = {0};
        dm_buf_init(&out[way], in.n);
        size_t at = 0;
        while (at < in.n && !dm_chunk_done(&c)) {
            dm_view run;
            long used = dm_chunk_take(&c, (dm_view){in.p + at, way == 0 ? in.n - at : 1}, &run);
            if (used < 0) break;
            if (used == 0 || (size_t)used > in.n - at || run.n > (size_t)used) abort();
            dm_buf_addv(&out[way], run);
            at += (size_t)used;
        }
        ends[way] = dm_chunk_done(&c) ? at : 0;
        if (out[way].code != DM_OK) abort();
    }
    if (ends[0] != ends[1] || !same(dm_buf_view(&out[0]), dm_buf_view(&out[1]))) abort();
    dm_buf_clear(&out[0]);
    dm_buf_clear(&out[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    dm_view in = {(const char *)data + 1, size - 1};
    switch (data[0] % 3) {
    case 0: head(in, DM_HEAD_REQUEST); break;
    case 1: head(in, DM_HEAD_RESPONSE); break;
    default: chunks(in); break;
    }
    return 0;
}
