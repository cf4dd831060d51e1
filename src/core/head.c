/* head.c - takes HTTP/1.x heads off the front of a stream, with the framing of the body behind them. */
#include "buf.h"

#include <string.h>

/* RFC 9110, 5.6.2 */
static bool is_token(int c) {
    return dm_is_alpha(c) || dm_is_digit(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_visible(int c) { return c > 32 && c < 127; }

/* What a field's value or a reason may hold: RFC 9110, 5.5 without its licence for control characters. */
static bool is_text(int c) { return c == '\t' || (c >= 32 && c != 127); }

/* ---- steps: 1 taken, 0 more octets are needed, -1 broken ------------------*/

typedef struct reader {
    dm_view in;
    size_t at;
    dm_head *out;
} reader;

static int broken(dm_head *out, int answer, const char *why) {
    out->answer = answer;
    out->why = why;
    return -1;
}

/* Octets of a class, up to the first that is none of it: that one must have come. */
static int span(reader *r, bool (*is)(int), dm_view *v) {
    size_t from = r->at;
    while (r->at < r->in.n && is((unsigned char)r->in.p[r->at])) r->at++;
    v->p = r->in.p + from;
    v->n = r->at - from;
    return r->at < r->in.n;
}

static int expect(reader *r, const char *text, const char *why) {
    for (; *text; text++, r->at++) {
        if (r->at == r->in.n) return 0;
        if (r->in.p[r->at] != *text) return broken(r->out, 400, why);
    }
    return 1;
}

static int digit(reader *r, int *value, const char *why) {
    if (r->at == r->in.n) return 0;
    if (!dm_is_digit((unsigned char)r->in.p[r->at])) return broken(r->out, 400, why);
    *value = r->in.p[r->at++] - '0';
    return 1;
}

static int version(reader *r) {
    static const char why[] = "the version is not HTTP/1.1";
    int step, major;
    if ((step = expect(r, "HTTP/", why)) != 1) return step;
    if ((step = digit(r, &major, why)) != 1) return step;
    if (major != 1) return broken(r->out, 505, "the version is not HTTP/1.x");
    if ((step = expect(r, ".", why)) != 1) return step;
    return digit(r, &r->out->minor, why);
}

static int request_line(reader *r) {
    int step;
    /* RFC 9112, 2.2: old clients send a line end behind a body. One, not any number. */
    if (r->in.n > 0 && r->in.p[0] == '\r' && (step = expect(r, "\r\n", "a CR without LF")) != 1) return step;
    if (!span(r, is_token, &r->out->method)) return 0;
    if (r->out->method.n == 0) return broken(r->out, 400, "the request line does not begin with a method");
    if ((step = expect(r, " ", "no blank behind the method")) != 1) return step;
    if (!span(r, is_visible, &r->out->target)) return 0;
    if (r->out->target.n == 0) return broken(r->out, 400, "the request line has no target");
    if ((step = expect(r, " ", "no blank and version behind the target")) != 1) return step;
    if ((step = version(r)) != 1) return step;
    return expect(r, "\r\n", "the request line does not end in CRLF behind its version");
}

static int status_line(reader *r) {
    int step, d[3];
    if ((step = version(r)) != 1) return step;
    if ((step = expect(r, " ", "no blank behind the version")) != 1) return step;
    for (int i = 0; i < 3; i++) {
        if ((step = digit(r, &d[i], "the status is not three digits")) != 1) return step;
        if (i == 0 && (d[0] < 1 || d[0] > 5)) return broken(r->out, 400, "the status is not 100 to 599");
    }
    r->out->status = d[0] * 100 + d[1] * 10 + d[2];
    if (r->at == r->in.n) return 0;
    if (r->in.p[r->at] == ' ') {
        r->at++;
        if (!span(r, is_text, &r->out->reason)) return 0;
    }       /* else servers that leave an empty reason out with its blank */
    return expect(r, "\r\n", "the status line does not end in CRLF");
}

static int field(reader *r, dm_pair *to) {
    int step;
    dm_view name, blanks, value;
    if (dm_is_blank((unsigned char)r->in.p[r->at]))
        return broken(r->out, 400, "a header line begins with a blank");        /* RFC 9112, 2.2 and 5.2 */
    if (!span(r, is_token, &name)) return 0;
    if (name.n == 0) return broken(r->out, 400, "a header line without a name");
    /* RFC 9112, 5.1: a blank before the colon has hidden lengths from proxies */
    if ((step = expect(r, ":", "a header name does not end in its colon")) != 1) return step;
    if (!span(r, dm_is_blank, &blanks) || !span(r, is_text, &value)) return 0;
    if ((step = expect(r, "\r\n", "a header value with a control character or a line end that is not CRLF")) != 1) return step;
    while (value.n > 0 && dm_is_blank((unsigned char)value.p[value.n - 1])) value.n--;
    to->name = name;
    to->value = value;
    return 1;
}

static long head(reader *r, dm_pair *fields) {
    int step = r->out->kind == DM_HEAD_REQUEST ? request_line(r) : status_line(r);
    while (step == 1) {
        if (r->at == r->in.n) return 0;
        if (r->in.p[r->at] == '\r') {
            step = expect(r, "\r\n", "a CR without LF");
            return step == 1 ? (long)r->at : step;
        }
        if (r->out->field_count == DM_HEAD_FIELDS) return broken(r->out, 431, "more than 100 header fields");
        step = field(r, &fields[r->out->field_count]);
        if (step == 1) r->out->field_count++;
    }
    return step;
}

long dm_head_parse(dm_view in, dm_head_kind kind, dm_pair fields[DM_HEAD_FIELDS], dm_head *out) {
    memset(out, 0, sizeof *out);
    out->kind = kind;
    out->fields = fields;
    reader r = {in, 0, out};
    if (r.in.n > DM_HEAD_OCTETS) r.in.n = DM_HEAD_OCTETS;
    long used = head(&r, fields);
    if (used == 0 && r.in.n == DM_HEAD_OCTETS) return broken(out, 431, "the head is larger than 65536 octets");
    return used;
}

/* ---- framing --------------------------------------------------------------*/

const char *dm_body_name(dm_body_kind kind) {
    static const char *const names[] = {"none", "length", "chunked", "close"};
    return names[kind];
}

static dm_code ambiguous(dm_body *out, int answer, const char *why) {
    out->answer = answer;
    out->why = why;
    return DM_E_PROTOCOL;
}

/* A Content-Length: digits, or the same digits again and again with commas between them, which RFC 9110,
** 8.6 lets pass. False for all else, and for more than 63 bits. */
static bool length_value(dm_view v, uint64_t *length, bool *differ, bool *known) {
    size_t at = 0;
    for (;;) {
        uint64_t n = 0;
        while (at < v.n && dm_is_blank((unsigned char)v.p[at])) at++;
        size_t from = at;
        for (; at < v.n && dm_is_digit((unsigned char)v.p[at]); at++) {
            uint64_t value = (uint64_t)(v.p[at] - '0');
            if (n > (INT64_MAX - value) / 10) return false;
            n = n * 10 + value;
        }
        if (at == from) return false;
        if (*known && n != *length) *differ = true;
        *known = true;
        *length = n;
        while (at < v.n && dm_is_blank((unsigned char)v.p[at])) at++;
        if (at == v.n) return true;
        if (v.p[at++] != ',') return false;
    }
}

dm_code dm_head_body(const dm_head *h, dm_view method, dm_body *out) {
    bool known = false, differ = false;
    int codings = 0;
    dm_view coding = {NULL, 0};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < h->field_count; i++) {
        const dm_pair *f = &h->fields[i];
        if (dm_view_same(f->name, "transfer-encoding")) {
            codings++;
            coding = f->value;
        } else if (dm_view_same(f->name, "content-length") && !length_value(f->value, &out->length, &differ, &known)) {
            return ambiguous(out, 400, "Content-Length is not a number of octets");
        }
    }
    if (differ) return ambiguous(out, 400, "two values of Content-Length");
    if (codings > 0) {
        if (known) return ambiguous(out, 400, "Content-Length and Transfer-Encoding at once");
        if (h->minor == 0) return ambiguous(out, 400, "Transfer-Encoding in HTTP/1.0");      /* RFC 9112, 6.1 */
        if (codings > 1 || !dm_view_same(coding, "chunked")) return ambiguous(out, 501, "a transfer coding other than chunked");
    }
    if (h->kind == DM_HEAD_RESPONSE &&
        (h->status < 200 || h->status == 204 || h->status == 304 || dm_view_is(method, "HEAD") ||
         (h->status < 300 && dm_view_is(method, "CONNECT"))))
        out->kind = DM_BODY_NONE;       /* whatever the fields say */
    else if (codings > 0)
        out->kind = DM_BODY_CHUNKED;
    else if (known)
        out->kind = DM_BODY_LENGTH;
    else
        out->kind = h->kind == DM_HEAD_RESPONSE ? DM_BODY_CLOSE : DM_BODY_NONE;
    if (out->kind != DM_BODY_LENGTH) out->length = 0;
    return DM_OK;
}

/* ---- chunks ---------------------------------------------------------------*/

enum {                          /* what comes next; SIZE must be 0 */
    SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, NAME, VALUE, VALUE_LF, LAST_LF, DONE, BROKEN
};

static int hex(int c) {
    if (dm_is_digit(c)) return c - '0';
    c = dm_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The state behind one octet of framing. */
static int step_to(dm_chunk *c, int octet) {
    int value;
    switch (c->state) {
    case SIZE:
        value = hex(octet);
        if (value >= 0) {
            if (++c->digits > DM_CHUNK_DIGITS) return BROKEN;
            c->left = c->left * 16 + (uint64_t)value;
            return SIZE;
        }
        if (c->digits == 0) return BROKEN;
        if (octet == '\r') return SIZE_LF;
        /* no blank may stand between size and semicolon: nobody sends one, and readers differ about it */
        return octet == ';' ? EXTENSION : BROKEN;
    case EXTENSION:
        if (octet == '\r') return SIZE_LF;
        return is_text(octet) ? EXTENSION : BROKEN;
    case SIZE_LF:
        if (octet != '\n') return BROKEN;
        c->digits = 0;
        return c->left > 0 ? DATA : LINE;
    case DATA_CR: return octet == '\r' ? DATA_LF : BROKEN;
    case DATA_LF: return octet == '\n' ? SIZE : BROKEN;
    case LINE:
        if (octet == '\r') return LAST_LF;
        return is_token(octet) ? NAME : BROKEN;
    case NAME:
        if (octet == ':') return VALUE;
        return is_token(octet) ? NAME : BROKEN;
    case VALUE:
        if (octet == '\r') return VALUE_LF;
        return is_text(octet) ? VALUE : BROKEN;
    case VALUE_LF: return octet == '\n' ? LINE : BROKEN;
    case LAST_LF: return octet == '\n' ? DONE : BROKEN;
    default: return BROKEN;
    }
}

long dm_chunk_take(dm_chunk *c, dm_view in, dm_view *data) {
    size_t at = 0;
    data->p = in.p;
    data->n = 0;
    while (at < in.n && c->state != DONE && c->state != BROKEN) {
        if (c->state == DATA) {
            data->p = in.p + at;
            data->n = in.n - at < c->left ? in.n - at : (size_t)c->left;
            c->left -= data->n;
            if (c->left == 0) c->state = DATA_CR;
            return (long)(at + data->n);
        }
        c->state = step_to(c, (unsigned char)in.p[at++]);
        if ((c->state == EXTENSION || c->state == NAME || c->state == VALUE) && ++c->extra > DM_CHUNK_EXTRA) c->state = BROKEN;
    }
    return c->state == BROKEN ? -1 : (long)at;
}

bool dm_chunk_done(const dm_chunk *c) { return c->state == DONE; }
