/* utf8.c - which octets are UTF-8, RFC 3629. */
#include "buf.h"

static inline size_t step(dm_view in) {
    if (in.n == 0) return 0;
    const unsigned char *p = (const unsigned char *)in.p;
    unsigned c = p[0];
    if (c < 0x80) return 1;
    /* Bounds of the second octet leave out overlong forms, surrogates and what is over U+10FFFF. */
    size_t n;
    unsigned low = 0x80, high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        if (c == 0xe0) low = 0xa0;
        if (c == 0xed) high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        if (c == 0xf0) low = 0x90;
        if (c == 0xf4) high = 0x8f;
    } else {
        return 0;
    }
    if (in.n < n || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

size_t dm_utf8_step(dm_view in) { return step(in); }

bool dm_utf8_valid(dm_view in, size_t *where) {
    size_t i = 0;
    while (i < in.n) {
        while (in.n - i >= 8) {         /* most text is ASCII */
            uint64_t high = dm_eight(in.p + i) & UINT64_C(0x8080808080808080);
            if (high) {
                i += dm_first_of_eight(high);
                break;
            }
            i += 8;
        }
        if (i == in.n) break;
        dm_view rest = {in.p + i, in.n - i};
        size_t n = step(rest);
        if (n == 0) {
            if (where) *where = i;
            return false;
        }
        i += n;
    }
    return true;
}
