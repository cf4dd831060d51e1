/* mime.c - a message tree, laid out once and pulled out in chunks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "text.h"

enum {
    PARTS = 100,                /* attachments of a mail that Direct Mail takes (its limits page) */
    STEM = 50,                  /* of a boundary; with what we add at most 70, RFC 2046 section 5.1.1 */
    LINE_IN = 57,               /* octets that fill a base64 line */
    LINE_OUT = 78               /* ... of 76 and its CRLF */
};
#define READ ((size_t)72 * LINE_IN)             /* less is not worth asking a reader for */
#define HEADER_LIMIT ((size_t)1 << 20)          /* header sections: no server takes as much */
#define TEXT_LIMIT ((size_t)1 << 30)            /* texts and raw mail, which are held in memory */
#define READER_LIMIT ((uint64_t)1 << 50)        /* a size that cannot be true would overflow the sum */

/* The message is a row of segments. Two hold final octets, two hold what becomes base64 on its way out. */
typedef struct segment {
    enum { FRAME, BODY, MEMORY, READER } kind;
    int reader;
    size_t at;                  /* FRAME, BODY: where it begins in that buffer */
    const char *p;              /* MEMORY */
    uint64_t n;                 /* octets, before base64 */
} segment;

struct dm_message {
    dm_buf frame;               /* header sections and boundary lines */
    dm_buf body;                /* encoded texts, raw mail */
    dm_view mail_from, *rcpt_to;
    size_t rcpt_count;
    segment *segments;
    size_t count;
    uint64_t size;
    bool eight, dots, all_or_none;
    /* how far it was pulled */
    size_t at;
    uint64_t done;              /* octets of segment 'at' */
    dm_base64_lines lines;
    dm_code failed;
};

/* ---- laying out ----------------------------------------------------------*/

typedef struct leaf {           /* what was encoded into 'body' */
    size_t at, n;
    dm_coding coding;
} leaf;

enum level { MIXED = 1, ALTERNATIVE, RELATED };         /* also the number behind the boundary */

typedef struct layout {
    dm_message *m;
    const dm_mail *mail;
    dm_error *err;
    size_t framed;              /* octets of 'frame' that are in a segment */
    leaf text, html, calendar, parts[PARTS];
    size_t files, inlines;      /* parts of either kind */
    bool inline_8bit;           /* one of the latter holds octets over 127 */
    char boundary[72];          /* without "-1" */
    dm_code code;
} layout;

static void add_segment(layout *l, segment s) {
    dm_message *m = l->m;
    size_t framed = m->frame.n;
    if (framed > l->framed) {
        m->segments[m->count++] = (segment){.kind = FRAME, .at = l->framed, .n = framed - l->framed};
        l->framed = framed;
    }
    if (s.n > 0 || s.kind == READER) m->segments[m->count++] = s;       /* even an empty reader is asked for its end */
}

static size_t texts_of(const dm_mail *mail) {
    return (mail->text.p ? 1u : 0u) + (mail->html.p ? 1u : 0u) + (mail->calendar.p ? 1u : 0u);
}

static void add_leaf(layout *l, leaf f) { add_segment(l, (segment){.kind = BODY, .at = f.at, .n = f.n}); }

/* "attachment 2 (报告.csv)" */
static const char *part_label(const layout *l, size_t i, char out[64]) {
    int n = snprintf(out, 64, "attachment %zu", i + 1);
    dm_view name = l->mail->parts[i].name;
    if (name.n > 0) {
        n += snprintf(out + n, 64 - (size_t)n, " (");
        dm_header_quote(out + n, 64 - (size_t)n - 1, name);
        strcat(out, ")");
    }
    return out;
}

/* RFC 2045 section 5.1: type "/" subtype, then parameters. *named: one of them is "name". */
static bool type_is_sound(dm_view v, bool *named) {
    *named = false;
    size_t n = dm_header_token(v);
    if (n == 0 || n == v.n || v.p[n] != '/') return false;
    v = (dm_view){v.p + n + 1, v.n - n - 1};
    n = dm_header_token(v);
    if (n == 0) return false;
    for (;;) {
        v = (dm_view){v.p + n, v.n - n};
        while (v.n > 0 && v.p[0] == ' ') v.p++, v.n--;
        if (v.n == 0) return true;
        if (v.p[0] != ';') return false;
        v.p++, v.n--;
        while (v.n > 0 && v.p[0] == ' ') v.p++, v.n--;
        n = dm_header_token(v);
        if (n == 0 || n == v.n || v.p[n] != '=') return false;
        if (dm_view_same((dm_view){v.p, n}, "name")) *named = true;
        v = (dm_view){v.p + n + 1, v.n - n - 1};
        n = dm_header_token(v);
        if (n > 0) continue;
        if (v.n == 0 || v.p[0] != '"') return false;
        for (n = 1; n < v.n && v.p[n] != '"'; n++) {
            if (v.p[n] == '\\') n++;
            if (n == v.n || v.p[n] < 32 || v.p[n] > 126) return false;
        }
        if (n == v.n) return false;
        n++;
    }
}

/* RFC 2045 section 6.4, RFC 2046 section 5.2.1: such a part is never encoded. */
static bool is_composite(dm_view type) {
    return (type.n > 8 && dm_view_same((dm_view){type.p, 8}, "message/")) ||
           (type.n > 10 && dm_view_same((dm_view){type.p, 10}, "multipart/"));
}

static bool is_inline(const layout *l, const dm_part *p) { return p->cid.n > 0 && l->mail->html.p; }

static dm_code check_part(layout *l, size_t i) {
    const dm_part *p = &l->mail->parts[i];
    char label[64];
    size_t where;
    bool named;
    if (!dm_one_line(p->name))
        return dm_fail(l->err, DM_E_HEADER, part_label(l, i, label), "the name holds a line break or NUL: take it out");
    if (!dm_utf8_valid(p->name, &where))
        return dm_fail(l->err, DM_E_HEADER, part_label(l, i, label), "the name is not UTF-8 from octet %zu on: convert it",
                       where + 1);
    if (p->type.n > 0 && !type_is_sound(p->type, &named))
        return dm_fail(l->err, DM_E_HEADER, part_label(l, i, label), "the type must be like \"text/csv\": type/subtype, "
                       "parameters behind ';', ASCII on one line");
    for (size_t k = 0; k < p->cid.n; k++)
        if (p->cid.p[k] <= 32 || p->cid.p[k] > 126 || p->cid.p[k] == '<' || p->cid.p[k] == '>')
            return dm_fail(l->err, DM_E_HEADER, part_label(l, i, label),
                           "the content id may hold printable ASCII without blank, '<' and '>' only");
    if (p->reader >= 0 && p->size > READER_LIMIT)
        return dm_fail(l->err, DM_E_SIZE, part_label(l, i, label), "%llu octets cannot be sent", (unsigned long long)p->size);
    if (p->reader >= 0 && is_composite(p->type))
        return dm_fail(l->err, DM_E_CONTENT, part_label(l, i, label), "a message/ or multipart/ part is sent as it stands, "
                       "so its lines must be known beforehand: give data, not a reader, or the type application/octet-stream");
    return DM_OK;
}

static dm_code encode_text(layout *l, dm_view text, const char *field, leaf *out) {
    out->at = l->m->body.n;
    dm_code code = dm_text_encode(&l->m->body, text, &out->coding, field, l->err);
    out->n = l->m->body.n - out->at;
    return code;
}

static dm_code encode_raw(layout *l, dm_view bytes, const char *field, leaf *out) {
    out->at = l->m->body.n;
    dm_code code = dm_text_raw(&l->m->body, bytes, &out->coding, &l->m->dots, field, l->err);
    out->n = l->m->body.n - out->at;
    if (out->coding == DM_8BIT) l->m->eight = true;
    return code;
}

/* Everything whose octets are known goes into 'body', so that a boundary can be chosen which is not there. */
static dm_code encode_leaves(layout *l) {
    const dm_mail *mail = l->mail;
    dm_code code = DM_OK;
    if (mail->text.p) code = encode_text(l, mail->text, "text", &l->text);
    if (code == DM_OK && mail->html.p) code = encode_text(l, mail->html, "html", &l->html);
    if (code == DM_OK && mail->calendar.p) code = encode_text(l, mail->calendar, "calendar", &l->calendar);
    for (size_t i = 0; code == DM_OK && i < mail->part_count; i++) {
        const dm_part *p = &mail->parts[i];
        char label[64];
        code = check_part(l, i);
        if (is_inline(l, p)) l->inlines++;
        else l->files++;
        l->parts[i] = (leaf){0, 0, DM_BASE64};
        if (code == DM_OK && is_composite(p->type)) code = encode_raw(l, p->data, part_label(l, i, label), &l->parts[i]);
        if (l->parts[i].coding == DM_8BIT && is_inline(l, p)) l->inline_8bit = true;
    }
    return code;
}

static bool is_bchar(char c) { return dm_is_digit(c) || dm_is_alpha(c) || (c && strchr("'()+_,-./:=?", c)); }

/* A text may hold our boundary: by chance, or because its writer wants to end a part himself. Then the boundary
** grows by the character that the fewest of those places go on with, until none is left. Base64 holds no "--". */
static dm_code choose_boundary(layout *l) {
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    enum { LETTERS = sizeof alphabet - 1, LONGEST = 2 + 70 - 2 };       /* never reached: 6 letters part 2^31 places */
    dm_view stem = l->mail->boundary, body = dm_buf_view(&l->m->body);
    bool ok = stem.n > 0 && stem.n <= STEM;
    for (size_t i = 0; ok && i < stem.n; i++) ok = is_bchar(stem.p[i]);
    if (!ok)
        return dm_fail(l->err, DM_E_OPTION, "boundary", "1 to %d characters are needed, letters, digits and '()+_,-./:=? "
                       "only (RFC 2046, 5.1.1)", STEM);
    char mark[72] = "--";
    memcpy(mark + 2, stem.p, stem.n);
    size_t n = stem.n + 2;
    while (body.n > 0 && n < LONGEST) {
        size_t met = 0, goes_on[LETTERS] = {0}, best = 0;
        for (const char *p = body.p, *end = body.p + body.n; (p = memmem(p, (size_t)(end - p), mark, n)); p++) {
            const char *letter = p + n < end && p[n] ? strchr(alphabet, p[n]) : NULL;
            if (letter) goes_on[letter - alphabet]++;
            met++;
        }
        if (met == 0) break;
        for (size_t i = 1; i < LETTERS; i++)
            if (goes_on[i] < goes_on[best]) best = i;
        mark[n++] = alphabet[best];
    }
    memcpy(l->boundary, mark + 2, n - 2);
    l->boundary[n - 2] = '\0';
    return DM_OK;
}

static void add_coding(layout *l, dm_coding coding) {
    dm_buf_adds(&l->m->frame, "Content-Transfer-Encoding: ");
    dm_buf_adds(&l->m->frame, dm_coding_name(coding));
    dm_buf_adds(&l->m->frame, "\r\n");
}

static void add_boundary(layout *l, const char *before, enum level level, const char *behind) {
    dm_buf *out = &l->m->frame;
    dm_buf_adds(out, before);
    dm_buf_adds(out, l->boundary);
    dm_buf_addc(out, '-');
    dm_buf_addc(out, (char)('0' + (int)level));
    dm_buf_adds(out, behind);
}

static void open_multipart(layout *l, enum level level) {
    static const char *const types[] = {"", "mixed", "alternative", "related; type=\"text/html\""};    /* RFC 2387, 3.1 */
    dm_buf_adds(&l->m->frame, "Content-Type: multipart/");
    dm_buf_adds(&l->m->frame, types[level]);
    add_boundary(l, ";\r\n boundary=\"", level, "\"\r\n");
    if (level == MIXED ? l->m->eight : l->inline_8bit) add_coding(l, DM_8BIT);      /* RFC 2045, 6.4: what is inside shows outside */
}

/* The CRLF in front belongs to the delimiter (RFC 2046, 5.1.1); the first one has the blank line's. */
static void next_part(layout *l, enum level level) { add_boundary(l, "\r\n--", level, "\r\n"); }

static void close_multipart(layout *l, enum level level) { add_boundary(l, "\r\n--", level, "--"); }

static void write_text(layout *l, const char *type, leaf f) {
    dm_buf_adds(&l->m->frame, "Content-Type: ");
    dm_buf_adds(&l->m->frame, type);
    dm_buf_adds(&l->m->frame, "; charset=utf-8\r\n");
    add_coding(l, f.coding);
    dm_buf_adds(&l->m->frame, "\r\n");
    add_leaf(l, f);
}

static void write_calendar(layout *l) {
    size_t column = strlen("Content-Type: text/calendar; charset=utf-8");
    dm_buf_adds(&l->m->frame, "Content-Type: text/calendar; charset=utf-8");
    if (l->mail->calendar_method.n > 0) dm_param(&l->m->frame, "method", l->mail->calendar_method, &column);
    dm_buf_adds(&l->m->frame, "\r\n");
    add_coding(l, l->calendar.coding);
    dm_buf_adds(&l->m->frame, "\r\n");
    add_leaf(l, l->calendar);
}

static void write_part(layout *l, size_t i) {
    const dm_part *p = &l->mail->parts[i];
    dm_buf *out = &l->m->frame;
    dm_view type = p->type.n > 0 ? p->type : dm_view_of("application/octet-stream"), name = dm_param_basename(p->name);
    bool named;
    type_is_sound(type, &named);
    size_t from = out->n, column = strlen("Content-Type: ") + type.n;
    dm_code code = DM_OK;
    dm_buf_adds(out, "Content-Type: ");
    dm_buf_addv(out, type);
    /* for readers that do not know Content-Disposition's; QQ and Foxmail want encoded words */
    if (name.n > 0 && !named) code = dm_param_word(out, "name", name, &column);
    dm_buf_adds(out, "\r\n");
    add_coding(l, l->parts[i].coding);
    const char *disposition = p->cid.n > 0 ? "Content-Disposition: inline" : "Content-Disposition: attachment";
    column = strlen(disposition);
    dm_buf_adds(out, disposition);
    if (name.n > 0 && code == DM_OK) code = dm_param(out, "filename", name, &column);
    dm_buf_adds(out, "\r\n");
    if (p->cid.n > 0) {
        dm_buf_adds(out, "Content-ID: <");
        dm_buf_addv(out, p->cid);
        dm_buf_adds(out, ">\r\n");
    }
    dm_buf_adds(out, "\r\n");
    char label[64];
    if (out->code == DM_OK && l->code == DM_OK && (code != DM_OK || !dm_header_fits(out, from)))
        l->code = dm_fail(l->err, DM_E_HEADER, part_label(l, i, label), "its name, type or content id is too long: shorten it");
    if (is_composite(p->type)) add_leaf(l, l->parts[i]);
    else if (p->reader >= 0) add_segment(l, (segment){.kind = READER, .reader = p->reader, .n = p->size});
    else add_segment(l, (segment){.kind = MEMORY, .p = p->data.p, .n = p->data.n});
}

static void write_html(layout *l) {
    if (l->inlines > 0) {
        open_multipart(l, RELATED);
        next_part(l, RELATED);
    }
    write_text(l, "text/html", l->html);
    for (size_t i = 0; l->inlines > 0 && i < l->mail->part_count; i++) {
        if (!is_inline(l, &l->mail->parts[i])) continue;
        next_part(l, RELATED);
        write_part(l, i);
    }
    if (l->inlines > 0) close_multipart(l, RELATED);
}

/* Simplest first, RFC 2046 section 5.1.4. */
static void write_alternatives(layout *l) {
    const dm_mail *mail = l->mail;
    bool several = texts_of(mail) > 1;
    if (several) open_multipart(l, ALTERNATIVE);
    if (mail->text.p) {
        if (several) next_part(l, ALTERNATIVE);
        write_text(l, "text/plain", l->text);
    }
    if (mail->html.p) {
        if (several) next_part(l, ALTERNATIVE);
        write_html(l);
    }
    if (mail->calendar.p) {
        if (several) next_part(l, ALTERNATIVE);
        write_calendar(l);
    }
    if (several) close_multipart(l, ALTERNATIVE);
}

static void write_entity(layout *l) {
    const dm_mail *mail = l->mail;
    bool words = texts_of(mail) > 0;
    if (!words && l->files == 0) {
        write_text(l, "text/plain", (leaf){0, 0, DM_7BIT});     /* a mail may be its subject alone */
        return;
    }
    bool several = (words ? 1 : 0) + l->files > 1;
    if (several) open_multipart(l, MIXED);
    if (words) {
        if (several) next_part(l, MIXED);
        write_alternatives(l);
    }
    for (size_t i = 0; i < mail->part_count; i++) {
        if (is_inline(l, &mail->parts[i])) continue;
        if (several) next_part(l, MIXED);
        write_part(l, i);
    }
    if (several) close_multipart(l, MIXED);
}

/* The last line ends in CRLF, so that the size is what the server counts (RFC 1870, section 3). */
static void end_line(layout *l) {
    const dm_message *m = l->m;
    if (m->frame.n > l->framed || m->count == 0) {
        if (m->frame.n > 0 && m->frame.p[m->frame.n - 1] == '\n') return;
    } else {
        const segment *last = &m->segments[m->count - 1];
        if (last->kind == FRAME) return;                /* a header section: its blank line is the end */
        if (last->kind == BODY && m->body.p[last->at + last->n - 1] == '\n') return;
        if (last->kind == READER && last->n == 0) return;
    }
    dm_buf_adds(&l->m->frame, "\r\n");
}

static dm_code lay_out_raw(layout *l) {
    const dm_mail *mail = l->mail;
    leaf f;
    if (mail->field_count > 0 || texts_of(mail) > 0 || mail->part_count > 0)
        return dm_fail(l->err, DM_E_OPTION, "raw", "a raw message takes no other content: put it into the message");
    if (mail->raw.n == 0) return dm_fail(l->err, DM_E_CONTENT, "raw", "the message is empty");
    dm_code code = encode_raw(l, mail->raw, "raw", &f);
    if (code == DM_OK) add_leaf(l, f);
    return code;
}

static dm_code lay_out_parts(layout *l) {
    const dm_mail *mail = l->mail;
    if (mail->part_count > PARTS)
        return dm_fail(l->err, DM_E_CONTENT, "attachments", "%zu parts, a mail takes %d: send several mails, or an archive",
                       mail->part_count, PARTS);
    if (mail->calendar_method.n > 0 && dm_header_token(mail->calendar_method) != mail->calendar_method.n)
        return dm_fail(l->err, DM_E_HEADER, "calendar_method", "one word is needed, like REQUEST (RFC 5546, 1.4)");
    dm_buf_room(&l->m->frame, 512 + 256 * mail->part_count + (texts_of(mail) > 1 ? 512 : 0));   /* one allocation in most cases */
    dm_code code = dm_header_write(&l->m->frame, mail->fields, mail->field_count, l->err);
    if (code == DM_OK) code = encode_leaves(l);
    size_t leaves = texts_of(mail) + mail->part_count;
    if (code == DM_OK && (leaves > 1 || mail->boundary.n > 0)) code = choose_boundary(l);
    if (code != DM_OK) return code;
    dm_buf_adds(&l->m->frame, "MIME-Version: 1.0\r\n");
    write_entity(l);
    return l->code;
}

/* ---- the message ---------------------------------------------------------*/

static dm_code check_envelope(const dm_mail *mail, dm_error *err) {
    static const char wrong[] = "this address cannot stand in an SMTP command: check it with the address parser first";
    if (mail->mail_from.n > 0 && !dm_header_path(mail->mail_from)) return dm_fail(err, DM_E_ADDRESS, "mail_from", wrong);
    for (size_t i = 0; i < mail->rcpt_count; i++) {
        if (dm_header_path(mail->rcpt_to[i])) continue;
        char field[64];
        snprintf(field, sizeof field, "rcpt_to %zu", i + 1);
        return dm_fail(err, DM_E_ADDRESS, field, wrong);
    }
    return DM_OK;
}

/* One block for the message, its segments and its envelope. NULL: no memory. */
static dm_message *new_block(const dm_mail *mail) {
    size_t parts = mail->part_count < PARTS ? mail->part_count : PARTS;
    size_t segments = 2 * (parts + 3) + 1;              /* each leaf behind a frame, and the last frame */
    size_t octets = mail->mail_from.n;
    for (size_t i = 0; i < mail->rcpt_count; i++) octets += mail->rcpt_to[i].n;
    dm_message *m = malloc(sizeof *m + segments * sizeof *m->segments + mail->rcpt_count * sizeof *m->rcpt_to + octets);
    if (!m) return NULL;
    memset(m, 0, sizeof *m);
    dm_buf_init(&m->frame, HEADER_LIMIT);
    dm_buf_init(&m->body, TEXT_LIMIT);
    m->segments = (segment *)(m + 1);
    m->rcpt_to = (dm_view *)(m->segments + segments);
    m->rcpt_count = mail->rcpt_count;
    m->all_or_none = mail->all_or_none;
    char *to = (char *)(m->rcpt_to + mail->rcpt_count);
    m->mail_from = (dm_view){to, mail->mail_from.n};
    if (mail->mail_from.n > 0) memcpy(to, mail->mail_from.p, mail->mail_from.n);
    to += mail->mail_from.n;
    for (size_t i = 0; i < mail->rcpt_count; i++) {
        m->rcpt_to[i] = (dm_view){to, mail->rcpt_to[i].n};
        memcpy(to, mail->rcpt_to[i].p, mail->rcpt_to[i].n);
        to += mail->rcpt_to[i].n;
    }
    return m;
}

dm_code dm_message_new(dm_message **out, const dm_mail *mail, dm_error *err) {
    *out = NULL;
    dm_code code = check_envelope(mail, err);
    if (code != DM_OK) return code;
    dm_message *m = new_block(mail);
    if (!m) return dm_fail(err, DM_E_MEMORY, "", "not enough memory");

    layout l;                   /* 'parts' is filled as far as there are parts */
    l.m = m;
    l.mail = mail;
    l.err = err;
    l.framed = l.files = l.inlines = 0;
    l.inline_8bit = false;
    l.code = DM_OK;
    code = mail->raw.p ? lay_out_raw(&l) : lay_out_parts(&l);
    if (code == DM_OK) code = m->frame.code ? m->frame.code : m->body.code;
    if (code == DM_OK) {
        end_line(&l);
        add_segment(&l, (segment){.kind = FRAME});
        code = m->frame.code;
    }
    if (code != DM_OK) {
        if (m->frame.code == DM_E_SIZE) dm_fail(err, code, "headers", "over %zu octets", HEADER_LIMIT);
        else if (m->body.code == DM_E_SIZE) dm_fail(err, code, "text", "over %zu octets", TEXT_LIMIT);
        else if (code == DM_E_MEMORY) dm_fail(err, code, "", "not enough memory");
        dm_message_free(m);
        return code;
    }
    for (size_t i = 0; i < m->count; i++) {
        const segment *s = &m->segments[i];
        m->size += s->kind == FRAME || s->kind == BODY ? s->n : dm_base64_lines_length(s->n);
    }
    *out = m;
    return DM_OK;
}

void dm_message_free(dm_message *m) {
    if (!m) return;
    dm_buf_clear(&m->frame);
    dm_buf_clear(&m->body);
    free(m);
}

uint64_t dm_message_size(const dm_message *m) { return m->size; }
bool dm_message_8bit(const dm_message *m) { return m->eight; }
bool dm_message_dots(const dm_message *m) { return m->dots; }
dm_view dm_message_mail_from(const dm_message *m) { return m->mail_from; }
size_t dm_message_rcpt_count(const dm_message *m) { return m->rcpt_count; }
dm_view dm_message_rcpt(const dm_message *m, size_t i) { return m->rcpt_to[i]; }
bool dm_message_all_or_none(const dm_message *m) { return m->all_or_none; }

/* ---- pulling -------------------------------------------------------------*/

/* Octets that become about 'room' in base64: whole lines where they fit. */
static size_t octets_for(size_t room) { return room < LINE_OUT ? room / 4 * 3 + 1 : room / LINE_OUT * LINE_IN; }

static size_t least(uint64_t a, size_t b) { return a < b ? (size_t)a : b; }

/* 'n' more octets of the current segment are out; a part that is read is at its end only when the reader says so. */
static void advance(dm_message *m, dm_buf *out, size_t n, bool over) {
    const segment *s = &m->segments[m->at];
    m->done += n;
    if (m->done < s->n || !over) return;
    if (s->kind == MEMORY || s->kind == READER) dm_base64_end(out, &m->lines);
    m->lines = (dm_base64_lines){0};
    m->done = 0;
    m->at++;
}

dm_code dm_message_pull(dm_message *m, dm_buf *out, size_t max, int *reader, size_t *want) {
    size_t from = out->n;
    if (m->failed) return m->failed;
    if (max == 0) max = 1;
    while (m->at < m->count) {
        const segment *s = &m->segments[m->at];
        uint64_t left = s->n - m->done;
        if (s->kind == READER) {
            *reader = s->reader;
            size_t room = out->n - from < max ? max - (out->n - from) : 0, n = octets_for(room);
            *want = left == 0 ? 1 : least(left, n > READ ? n : READ);   /* 1: there must be an end, and no more */
            return DM_AGAIN;
        }
        if (out->n - from >= max) return DM_OK;
        size_t room = max - (out->n - from), n;
        if (s->kind == MEMORY) {
            n = least(left, octets_for(room));
            dm_base64_put(out, &m->lines, (dm_view){s->p + m->done, n});
        } else {
            n = least(left, room);
            dm_buf_add(out, (s->kind == FRAME ? m->frame.p : m->body.p) + s->at + m->done, n);
        }
        advance(m, out, n, true);
        if (out->code) return out->code;
    }
    return DM_END;
}

dm_code dm_message_body(dm_message *m, dm_buf *out, dm_view bytes) {
    if (m->failed) return m->failed;
    if (m->at == m->count || m->segments[m->at].kind != READER) return DM_E_OPTION;
    if (bytes.n > m->segments[m->at].n - m->done) return m->failed = DM_E_FILE;
    dm_base64_put(out, &m->lines, bytes);
    advance(m, out, bytes.n, false);
    return out->code;
}

dm_code dm_message_body_end(dm_message *m, dm_buf *out) {
    if (m->failed) return m->failed;
    if (m->at == m->count || m->segments[m->at].kind != READER) return DM_E_OPTION;
    if (m->done < m->segments[m->at].n) return m->failed = DM_E_FILE;
    advance(m, out, 0, true);
    return out->code;
}

void dm_message_rewind(dm_message *m) {
    m->at = 0;
    m->done = 0;
    m->lines = (dm_base64_lines){0};
    m->failed = DM_OK;
}
