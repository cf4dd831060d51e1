/* buf.h - what the rooms of the core share and nobody outside needs: byte classes. */
#ifndef DM_CORE_BUF_H
#define DM_CORE_BUF_H

#include <string.h>

#include "directmail.h"

/* ASCII only and independent of the locale, which <ctype.h> is not. */
static inline bool dm_is_digit(int c) { return c >= '0' && c <= '9'; }
static inline bool dm_is_alpha(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static inline bool dm_is_blank(int c) { return c == ' ' || c == '\t'; }
static inline bool dm_is_control(int c) { return (c >= 0 && c < 32) || c == 127; }
static inline int dm_lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

/* Eight octets at once, the first of them lowest; and which comes first of those whose top bit is set in 'mask'. */
static inline uint64_t dm_eight(const void *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}
static inline size_t dm_first_of_eight(uint64_t mask) { return (size_t)__builtin_ctzll(mask) / 8; }

/* The one gate for values that reach a command or a header (design, section 10):
** false when CR, LF or NUL is inside. */
bool dm_one_line(dm_view v);

#endif
