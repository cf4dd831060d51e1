/* reply.c - takes SMTP replies off the front of what a server said. */
#include "buf.h"

#include <string.h>

/* One line at 'p': its octets with the line end, 0 when more are needed, -1 when
** it can be no reply line. Garbage is seen at its first wrong octet, so that a
** web server or a TLS alert is not waited for until the time limit. */
static long line_parse(const char *p, size_t n, int *code, bool *more, dm_view *text, bool *bare_lf) {
    *code = 0;
    for (size_t i = 0; i < 3; i++) {
        if (i == n) return 0;
        if (!dm_is_digit((unsigned char)p[i])) return -1;
        *code = *code * 10 + (p[i] - '0');
        if (i == 0 && (*code < 2 || *code > 5)) return -1;
    }
    if (n == 3) return 0;
    if (p[3] != ' ' && p[3] != '-' && p[3] != '\r' && p[3] != '\n') return -1;
    const char *lf = memchr(p + 3, '\n', n - 3 < DM_REPLY_LINE ? n - 3 : DM_REPLY_LINE);
    if (!lf) return n - 3 >= DM_REPLY_LINE ? -1 : 0;
    const char *end = lf;
    if (end > p + 3 && end[-1] == '\r') end--;
    else *bare_lf = true;
    if (p[3] == '\r' && end != p + 3) return -1;        /* "250<CR>text" */
    *more = p[3] == '-';
    text->p = p + 3 < end ? p + 4 : end;
    text->n = (size_t)(end - text->p);
    return lf + 1 - p;
}

long dm_reply_parse(dm_view in, dm_reply *out) {
    size_t at = 0;
    memset(out, 0, sizeof *out);
    for (;;) {
        int code;
        bool more;
        dm_view text;
        long used = line_parse(in.p + at, in.n - at, &code, &more, &text, &out->bare_lf);
        if (used <= 0) return used;
        if (out->lines == 0) {
            out->code = code;
            out->text = text.p;
        } else if (code != out->code) {
            return -1;
        }
        if (++out->lines > DM_REPLY_LINES) return -1;
        at += (size_t)used;
        if (!more) {
            out->length = at;
            return (long)at;
        }
    }
}

/* RFC 2034, section 4: class "." subject "." detail, the class that of the code,
** and a blank or nothing behind it. Octets of it at 'v', or 0. */
static size_t enhanced_length(dm_view v, int code) {
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        size_t from = at;
        while (at < v.n && at - from < 3 && dm_is_digit((unsigned char)v.p[at])) at++;
        if (at == from) return 0;
        if (part == 0 && (at != 1 || v.p[0] - '0' != code / 100)) return 0;
        if (part < 2 && (at == v.n || v.p[at++] != '.')) return 0;
    }
    return at == v.n || v.p[at] == ' ' ? at : 0;
}

dm_code dm_reply_text(dm_buf *out, const dm_reply *r, dm_view in, char enhanced[12]) {
    size_t at = 0;
    enhanced[0] = '\0';
    for (int i = 0; i < r->lines; i++) {
        int code;
        bool more, bare;
        dm_view text;
        long used = line_parse(in.p + at, in.n - at, &code, &more, &text, &bare);
        if (used <= 0) break;
        at += (size_t)used;
        size_t skip = enhanced_length(text, r->code);
        if (skip > 0) {
            if (enhanced[0] == '\0') {
                memcpy(enhanced, text.p, skip);         /* at most 9 */
                enhanced[skip] = '\0';
            }
            text.p += skip;
            text.n -= skip;
            if (text.n > 0) text.p++, text.n--;
        }
        if (i > 0) dm_buf_addc(out, '\n');
        dm_buf_addv(out, text);
    }
    return out->code;
}
