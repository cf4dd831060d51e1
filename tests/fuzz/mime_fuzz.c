/* mime_fuzz.c - any fields, texts and parts give a message of the promised size in clean lines, or an error. */
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

/* The input is cut into pieces by octets that say how long the next one is. */
typedef struct input {
    const uint8_t *p;
    size_t n;
} input;

static unsigned number(input *in) {
    if (in->n == 0) return 0;
    in->n--;
    return *in->p++;
}

static dm_view piece(input *in, unsigned shift) {
    size_t n = (size_t)number(in) << shift;
    if (n > in->n) n = in->n;
    dm_view v = {(const char *)in->p, n};
    in->p += n;
    in->n -= n;
    return v;
}

/* A text that may be missing. */
static dm_view maybe(input *in) { return number(in) & 1 ? piece(in, 2) : (dm_view){NULL, 0}; }

static void read_fields(input *in, dm_field *fields, dm_mailbox *boxes, size_t count) {
    static const char *const names[] = {"Subject", "To", "From", "Sender", "X-A", "References", "Message-ID"};
    for (size_t i = 0; i < count; i++) {
        unsigned how = number(in);
        dm_field *f = &fields[i];
        memset(f, 0, sizeof *f);
        f->kind = (dm_kind)(how & 3);
        f->name = how & 128 ? piece(in, 0) : dm_view_of(names[(how >> 2) % 7]);
        if (f->kind != DM_FIELD_MAILBOXES) {
            f->value = piece(in, how & 64 ? 2 : 0);
            continue;
        }
        f->mailboxes = boxes + 4 * i;
        f->count = how >> 5 & 3;
        for (size_t k = 0; k < f->count; k++) {
            dm_mailbox box = {piece(in, 0), dm_view_of("ann@x.example"), 0, 0};
            if (number(in) & 1) box.address = piece(in, 0);
            boxes[4 * i + k] = box;
        }
    }
}

static void read_parts(input *in, dm_part *parts, size_t count) {
    static const char *const types[] = {"", "text/csv", "message/rfc822", "multipart/mixed; boundary=x"};
    for (size_t i = 0; i < count; i++) {
        unsigned how = number(in);
        memset(&parts[i], 0, sizeof parts[i]);
        parts[i].name = piece(in, 0);
        parts[i].type = how & 1 ? piece(in, 0) : dm_view_of(types[how >> 1 & 3]);
        if (how & 8) parts[i].cid = how & 16 ? piece(in, 0) : dm_view_of("a");
        parts[i].data = piece(in, how & 32 ? 3 : 0);
        parts[i].reader = how & 64 ? (int)i : -1;
        parts[i].size = parts[i].data.n;
    }
}

/* Pull with chunks of about 'max'; the readers bring the parts' data. */
static void pull(dm_message *m, dm_buf *out, size_t max, const dm_part *parts, size_t count) {
    size_t used[8] = {0};
    for (;;) {
        int reader = -1;
        size_t want = 0, before = out->n;
        dm_code code = dm_message_pull(m, out, max, &reader, &want);
        if (code == DM_END) return;
        if (out->n - before > max + 160) abort();
        if (code == DM_OK && out->n == before) abort();
        if (code == DM_OK) continue;
        if (code != DM_AGAIN || reader < 0 || (size_t)reader >= count || want == 0) abort();
        dm_view data = parts[reader].data;
        size_t n = data.n - used[reader] < want ? data.n - used[reader] : want;
        if (n > max) n = max;
        code = n == 0 ? dm_message_body_end(m, out) : dm_message_body(m, out, (dm_view){data.p + used[reader], n});
        used[reader] += n;
        if (code != DM_OK) abort();
    }
}

static void check_lines(const dm_message *m, const dm_buf *b) {
    bool dot = false, eight = false;
    size_t column = 0;
    for (size_t i = 0; i < b->n; i++) {
        char c = b->p[i];
        if (column == 0 && c == '.') dot = true;
        if ((unsigned char)c > 127) eight = true;
        if (c == '\0' || (c == '\r' && (i + 1 == b->n || b->p[i + 1] != '\n')) || (c == '\n' && (i == 0 || b->p[i - 1] != '\r')))
            abort();
        column = c == '\n' ? 0 : column + 1;
        if (column > 999) abort();
    }
    if (column != 0 || b->n < 2 || dot != dm_message_dots(m) || eight != dm_message_8bit(m)) abort();
}

/* No header line that the caller did not ask for: every one begins with a blank or with a name that is known. */
static void check_header(const dm_buf *b, const dm_field *fields, size_t count) {
    static const char *const ours[] = {"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"};
    const char *p = b->p, *end = memmem(b->p, b->n, "\r\n\r\n", 4);
    if (!end) abort();
    for (end += 2; p < end; p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1) {
        if (*p == ' ' || *p == '\t') continue;
        const char *colon = memchr(p, ':', (size_t)(end - p));
        bool known = false;
        if (!colon) abort();
        dm_view name = {p, (size_t)(colon - p)};
        for (size_t i = 0; i < 5; i++) known = known || dm_view_is(name, ours[i]);
        for (size_t i = 0; i < count; i++)
            known = known || (fields[i].name.n == name.n && memcmp(fields[i].name.p, name.p, name.n) == 0);
        if (!known) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    dm_field fields[8];
    dm_mailbox boxes[32];
    dm_part parts[8];
    dm_view to[2];
    unsigned how = number(&in);
    size_t max = number(&in) + 1u;
    dm_mail mail = {.fields = fields, .field_count = how & 7, .parts = parts, .part_count = how >> 3 & 7, .boundary = {"=_b", 3}};
    if (how & 64) mail.boundary = piece(&in, 0);
    if (how & 128) {
        mail.mail_from = piece(&in, 0);
        to[0] = dm_view_of("ann@x.example");
        to[1] = piece(&in, 0);
        mail.rcpt_to = to;
        mail.rcpt_count = 2;
    }
    if (number(&in) % 8 == 0) {
        mail.field_count = mail.part_count = 0;
        mail.raw = (dm_view){(const char *)in.p, in.n};
    } else {
        read_fields(&in, fields, boxes, mail.field_count);
        read_parts(&in, parts, mail.part_count);
        mail.text = maybe(&in);
        mail.html = maybe(&in);
        mail.calendar = maybe(&in);
        if (mail.calendar.p) mail.calendar_method = piece(&in, 0);
    }

    dm_message *m;
    dm_error err = {DM_OK, "", ""};
    dm_code code = dm_message_new(&m, &mail, &err);
    if (code != DM_OK) {
        if (m || err.code != code || code < DM_E_OPTION || !err.detail[0]) abort();
        if (!dm_utf8_valid(dm_view_of(err.field), NULL) || strpbrk(err.field, "\r\n\x1b")) abort();
        return 0;
    }
    dm_buf one, two;
    dm_buf_init(&one, 1 << 24);
    dm_buf_init(&two, 1 << 24);
    pull(m, &one, 1 << 16, parts, mail.part_count);
    dm_message_rewind(m);
    pull(m, &two, max, parts, mail.part_count);
    if (one.n != dm_message_size(m) || one.n != two.n || memcmp(one.p, two.p, one.n) != 0) abort();
    check_lines(m, &one);
    if (!mail.raw.p) check_header(&one, fields, mail.field_count);
    dm_buf_clear(&one);
    dm_buf_clear(&two);
    dm_message_free(m);
    return 0;
}
