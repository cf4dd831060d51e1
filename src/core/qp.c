/* qp.c - quoted-printable of a text, RFC 2045 section 6.7. */
#include "buf.h"

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
static inline size_t copy_plain(char *to, const unsigned char *p, size_t n, size_t max) {
    const uint64_t each = UINT64_C(0x0101010101010101);         /* times k: k in every octet */
    size_t i = 0;
    while (i < max && n - i >= 8) {
        uint64_t x = dm_eight(p + i);
        memcpy(to + i, p + i, 8);
        /* A top bit set by: over 127; 127 (+ 1 carries); under 32 (- 32 borrows); '=' (- 1 borrows). Below
        ** the first such octet nothing carries, so none is missed and none is made up before it. */
        uint64_t odd = (x | (x + each) | (x - 32 * each) | ((x ^ '=' * each) - each)) & 128 * each;
        if (odd == 0) {
            i += 8;
            continue;
        }
        i += dm_first_of_eight(odd);
        if (i >= max || p[i] != '\t') return i < max ? i : max;
        i++;
    }
    if (i >= max) return max;
    while (i < n && i < max && is_plain(p[i])) {
        to[i] = (char)p[i];
        i++;
    }
    return i;
}

static inline bool is_end(const unsigned char *p, size_t n) { return n == 0 || *p == '\n' || *p == '\r'; }

static inline char *escape(char *to, const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        *to++ = '=';
        *to++ = hex[p[i] >> 4];
        *to++ = hex[p[i] & 15];
    }
    return to;
}

/* Octets of the character at 'p', over 127; what is no UTF-8 goes octet by octet, so only where lines break depends on this. */
static inline size_t whole_character(const unsigned char *p, size_t n) {
    size_t want = *p < 0xc2 || *p > 0xf4 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    if (want > n) return 1;
    for (size_t i = 1; i < want; i++)
        if ((p[i] & 0xc0) != 0x80) return 1;
    return want;
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
            /* A blank would be lost at the end of a line; and where something follows, a column stays free for "=". */
            bool short_by_one = ends ? dm_is_blank(p[run - 1]) : run == left;
            if (short_by_one) run--;
            to += run;
            p += run;
            n -= run;
            column += run;
            left -= run;
            if (ends && !short_by_one) continue;
        }
        /* What stands here is escaped; or it is plain and the line is full. */
        bool plain = !guarded && is_plain(*p) && !(dm_is_blank(*p) && is_end(p + 1, n - 1));
        size_t take = *p < 0x80 ? 1 : whole_character(p, n);    /* so that each line is valid by itself */
        size_t width = plain ? 1 : 3 * take;
        if (width >= left && (width > left || !is_end(p + take, n - take))) {
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
