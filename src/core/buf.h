/* buf.h - what the rooms of the core share and nobody outside needs: byte classes. */
#ifndef DM_CORE_BUF_H
#define DM_CORE_BUF_H

#include "directmail.h"

/* ASCII only and independent of the locale, which <ctype.h> is not. */
static inline bool dm_is_digit(int c) { return c >= '0' && c <= '9'; }
static inline bool dm_is_alpha(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static inline bool dm_is_blank(int c) { return c == ' ' || c == '\t'; }
static inline bool dm_is_control(int c) { return (c >= 0 && c < 32) || c == 127; }
static inline int dm_lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

/* The one gate for values that reach a command or a header (design, section 10):
** false when CR, LF or NUL is inside. */
bool dm_one_line(dm_view v);

#endif
