/* text.c - texts made ready for the wire: line ends repaired, the transfer encoding chosen. */
#include "text.h"

#include <string.h>

#include "header.h"

#define ONES 0x0101010101010101u        /* a byte of a word in all eight */

const char *dm_coding_name(dm_coding coding) {
    static const char *const names[] = {"7bit", "8bit", "quoted-printable", "base64"};
    return names[coding];
}

/* Cuts lines off the front of a text. CRLF, LF and CR end a line each (RFC 5321, 2.3.8: none of the last two may
** reach the wire), so CRCRLF is two ends. */
typedef struct cutter {
    const char *p, *end, *cr, *lf;      /* the next CR and LF at or behind p; end when there is none */
} cutter;

static const char *find(const char *p, const char *end, int c) {
    const char *at = memchr(p, c, (size_t)(end - p));
    return at ? at : end;
}

static cutter cutter_of(dm_view text) {
    cutter c = {text.p, text.p, text.p, text.p};
    if (text.n > 0) {
        c.end = text.p + text.n;
        c.cr = find(c.p, c.end, '\r');
        c.lf = find(c.p, c.end, '\n');
    }
    return c;
}

/* False when nothing is left. *ended: a line end stood behind it. */
static bool cut(cutter *c, dm_view *line, bool *ended) {
    if (c->p == c->end) return false;
    if (c->cr < c->p) c->cr = find(c->p, c->end, '\r');
    if (c->lf < c->p) c->lf = find(c->p, c->end, '\n');
    const char *stop = c->cr < c->lf ? c->cr : c->lf;
    line->p = c->p;
    line->n = (size_t)(stop - c->p);
    *ended = stop < c->end;
    if (*ended) stop += *stop == '\r' && stop + 1 < c->end && stop[1] == '\n' ? 2 : 1;
    c->p = stop;
    return true;
}

static uint64_t word_at(const char *p) {
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Octets over 127. */
static size_t count_high(dm_view v) {
    size_t i = 0, n = 0;
    for (; i + 8 <= v.n; i += 8) n += (size_t)((((word_at(v.p + i) >> 7) & ONES) * ONES) >> 56);
    for (; i < v.n; i++) n += (unsigned char)v.p[i] >> 7;
    return n;
}

static bool odd_octet(char c) { return dm_is_control((unsigned char)c) && c != '\t' && c != '\r' && c != '\n'; }

/* A control character that is neither tab nor part of a line end. */
static bool has_controls(dm_view v) {
    size_t i = 0;
    for (; i + 8 <= v.n; i += 8) {
        uint64_t w = word_at(v.p + i), del = w ^ (ONES * 127);
        uint64_t below = (w - ONES * 32) & ~w, zero = (del - ONES) & ~del;
        if (((below | zero) & (ONES * 128)) == 0) continue;     /* most words end here */
        for (size_t k = 0; k < 8; k++)
            if (odd_octet(v.p[i + k])) return true;
    }
    for (; i < v.n; i++)
        if (odd_octet(v.p[i])) return true;
    return false;
}

/* Whether all lines may go as they are: not too long, nothing that a relay on the way would change. */
static bool plain_lines(dm_view text) {
    cutter c = cutter_of(text);
    dm_view line;
    bool ended;
    while (cut(&c, &line, &ended)) {
        if (line.n > DM_LINE) return false;
        if (line.n > 0 && line.p[0] == '.') return false;
        if (line.n >= 5 && memcmp(line.p, "From ", 5) == 0) return false;   /* mbox writers put a '>' in front */
    }
    return true;
}

static void add_lines(dm_buf *out, dm_view text) {
    cutter c = cutter_of(text);
    dm_view line;
    bool ended;
    while (cut(&c, &line, &ended)) {
        char *to = dm_buf_room(out, line.n + 2);
        if (!to) return;
        memcpy(to, line.p, line.n);
        if (ended) memcpy(to + line.n, "\r\n", 2);
        out->n += line.n + (ended ? 2 : 0);
    }
}

static void add_base64(dm_buf *out, dm_view text) {
    static const dm_view crlf = {"\r\n", 2};
    dm_base64_lines state = {0};
    cutter c = cutter_of(text);
    dm_view line;
    bool ended;
    while (cut(&c, &line, &ended)) {
        dm_base64_put(out, &state, line);
        if (ended) dm_base64_put(out, &state, crlf);
    }
    dm_base64_end(out, &state);
}

dm_code dm_text_encode(dm_buf *out, dm_view text, dm_coding *coding, const char *field, dm_error *err) {
    const char *nul = text.n > 0 ? memchr(text.p, 0, text.n) : NULL;
    if (nul)
        return dm_fail(err, DM_E_CONTENT, field, "octet %zu is NUL: take it out, or send it as an attachment",
                       (size_t)(nul - text.p) + 1);
    size_t high = count_high(text), where = 0;
    if (high > 0 && !dm_utf8_valid(text, &where))
        return dm_fail(err, DM_E_CONTENT, field, "not UTF-8 at octet %zu: convert the text to UTF-8", where + 1);
    if (text.n >= 3 && memcmp(text.p, "\xEF\xBB\xBF", 3) == 0) {        /* readers would show a byte order mark */
        text.p += 3;
        text.n -= 3;
        high -= 3;
    }
    dm_buf_room(out, text.n + text.n / 8 + 64);         /* one allocation in most cases */
    if (high == 0 && !has_controls(text) && plain_lines(text)) {
        *coding = DM_7BIT;
        add_lines(out, text);
    } else if (high <= text.n / 6) {
        *coding = DM_QUOTED;
        dm_code code = dm_qp(out, text);
        if (code != DM_OK && out->code == DM_OK) return dm_fail(err, code, field, "the text cannot be encoded");
    } else {
        *coding = DM_BASE64;
        add_base64(out, text);
    }
    return out->code;
}

dm_code dm_text_raw(dm_buf *out, dm_view bytes, dm_coding *coding, bool *dots, const char *field, dm_error *err) {
    cutter c = cutter_of(bytes);
    dm_view line;
    bool ended;
    for (size_t number = 1; cut(&c, &line, &ended); number++) {
        if (line.n > DM_LINE)
            return dm_fail(err, DM_E_CONTENT, field, "line %zu has %zu octets, %d are allowed: encode that part as "
                           "quoted-printable or base64", number, line.n, DM_LINE);
        if (line.n > 0 && line.p[0] == '.') *dots = true;
    }
    const char *nul = bytes.n > 0 ? memchr(bytes.p, 0, bytes.n) : NULL;
    if (nul) {
        size_t number = 1;
        for (c = cutter_of((dm_view){bytes.p, (size_t)(nul - bytes.p)}); cut(&c, &line, &ended);) number += ended;
        return dm_fail(err, DM_E_CONTENT, field, "line %zu holds a NUL: encode that part as base64", number);
    }
    *coding = count_high(bytes) > 0 ? DM_8BIT : DM_7BIT;
    dm_buf_room(out, bytes.n + bytes.n / 32 + 64);
    add_lines(out, bytes);
    return out->code;
}
