/* qp.c - quoted-printable of a text, RFC 2045 section 6.7. */
#include "buf.h"

#include <string.h>

enum {
    LINE = 76,
    BLOCK = 1024,               /* what is gathered before it goes to the buffer */
    SLACK = 96                  /* one run and its line end, written eight octets at a time */
};

static const char hex[] = "0123456789ABCDEF";

/* Octets that stand for themselves: blank, tab, printable ASCII but '='. */
static inline bool is_plain(unsigned char c) { return (c >= 32 && c < 127 && c != '=') || c == '\t'; }

/* Copy the plain octets at the front of 'p', at most 'max', and say how many they are.
** Text is mostly these, so they go eight at a time; 'to' has room for max + 8. */
static size_t copy_plain(char *to, const unsigned char *p, size_t n, size_t max) {
    const uint64_t each = UINT64_C(0x0101010101010101);         /* times k: k in every octet */
    size_t i = 0;
    if (n > max) n = max;
    for (;;) {
        while (n - i >= 8) {
            uint64_t x;
            memcpy(&x, p + i, 8);
            memcpy(to + i, &x, 8);
            /* A top bit set by: over 127; 127 (+ 1 carries); under 32 (- 32 borrows); '=' (- 1 borrows). Below
            ** the first such octet nothing carries, so none is missed and none is made up before it. */
            if ((x | (x + each) | (x - 32 * each) | ((x ^ '=' * each) - each)) & 128 * each) break;
            i += 8;
        }
        size_t stop = n - i < 8 ? n : i + 8;
        while (i < stop && is_plain(p[i])) {
            to[i] = (char)p[i];
            i++;
        }
        if (i < stop || i == n) return i;       /* else it was a tab only */
    }
}

static inline bool is_end(const unsigned char *p, size_t n) { return n == 0 || *p == '\n' || *p == '\r'; }

static char *escape(char *to, const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        *to++ = '=';
        *to++ = hex[p[i] >> 4];
        *to++ = hex[p[i] & 15];
    }
    return to;
}

dm_code dm_qp(dm_buf *out, dm_view text) {
    const unsigned char *p = (const unsigned char *)text.p;
    size_t n = text.n, column = 0;
    char block[BLOCK + SLACK], *to = block;

    while (n > 0) {
        if (to - block > BLOCK) {
            dm_buf_add(out, block, (size_t)(to - block));
            to = block;
        }
        if (is_end(p, n)) {
            size_t used = n > 1 && p[0] == '\r' && p[1] == '\n' ? 2 : 1;
            memcpy(to, "\r\n", 2);
            to += 2;
            p += used;
            n -= used;
            column = 0;
            continue;
        }
        size_t run = 0, left = LINE - column;
        /* A dot would need stuffing, and old mailboxes begin a message at "From ". */
        bool guarded = column == 0 && (*p == '.' || (*p == 'F' && n >= 5 && memcmp(p, "From ", 5) == 0));
        if (!guarded) run = copy_plain(to, p, n, left);
        if (run > 0) {
            bool ends = is_end(p + run, n - run);
            bool blank = ends && dm_is_blank(p[run - 1]);   /* would be lost on the way */
            if (blank) run--;
            if ((!ends || blank) && run == left) run--;     /* something follows: keep a column for "=" */
        }
        if (run > 0) {
            to += run;
            p += run;
            n -= run;
            column += run;
            continue;
        }
        size_t take = 1;
        if (*p >= 0x80) {       /* characters stay whole, so that each line is valid by itself */
            dm_view rest = {(const char *)p, n};
            take = dm_utf8_step(rest);
            if (take == 0) take = 1;
        }
        bool plain = is_plain(*p) && !guarded && !(dm_is_blank(*p) && is_end(p + 1, n - 1));
        size_t width = plain ? 1 : 3 * take;
        if (width > left - (is_end(p + take, n - take) ? 0 : 1)) {
            memcpy(to, "=\r\n", 3);
            to += 3;
            column = 0;
            continue;
        }
        to = escape(to, p, take);
        p += take;
        n -= take;
        column += width;
    }
    return dm_buf_add(out, block, (size_t)(to - block));
}
