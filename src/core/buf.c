/* buf.c - the growing buffer with a limit, and views. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dm_view dm_view_of(const char *text) {
    dm_view v = {text, text ? strlen(text) : 0};
    return v;
}

bool dm_view_is(dm_view a, const char *text) {
    return a.n == strlen(text) && (a.n == 0 || memcmp(a.p, text, a.n) == 0);
}

bool dm_view_same(dm_view a, const char *text) {
    if (a.n != strlen(text)) return false;
    for (size_t i = 0; i < a.n; i++)
        if (dm_lower((unsigned char)a.p[i]) != dm_lower((unsigned char)text[i])) return false;
    return true;
}

bool dm_one_line(dm_view v) {
    const uint64_t each = UINT64_C(0x0101010101010101);         /* times k: k in every octet */
    size_t i = 0;
    for (; v.n - i >= 8; i += 8) {      /* an octet below 14 borrows; so may one that lies behind such a one */
        uint64_t x = dm_eight(v.p + i);
        if (((x - 14 * each) & ~x & 128 * each) == 0) continue;
        for (size_t k = i; k < i + 8; k++)
            if (v.p[k] == '\r' || v.p[k] == '\n' || v.p[k] == '\0') return false;
    }
    for (; i < v.n; i++)
        if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0') return false;
    return true;
}

void dm_buf_init(dm_buf *b, size_t limit) {
    memset(b, 0, sizeof *b);
    b->limit = limit;
}

void dm_buf_clear(dm_buf *b) {
    free(b->p);
    dm_buf_init(b, b->limit);
}

void dm_buf_wipe(dm_buf *b) {
    if (b->p) explicit_bzero(b->p, b->cap);
    dm_buf_clear(b);
}

char *dm_buf_room(dm_buf *b, size_t n) {
    if (b->code != DM_OK) return NULL;
    if (n > b->limit - b->n) {
        b->code = DM_E_SIZE;
        return NULL;
    }
    if (n > b->cap - b->n) {
        size_t want = b->n + n, cap = b->cap ? b->cap : 64;
        while (cap < want) cap += cap / 2 + 32;
        if (cap > b->limit) cap = b->limit;
        char *p = realloc(b->p, cap);
        if (!p) {
            b->code = DM_E_MEMORY;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    if (!b->p) return (char *)"";       /* n is 0: nothing will be written there */
    return b->p + b->n;
}

dm_code dm_buf_add(dm_buf *b, const void *p, size_t n) {
    char *to = b->code == DM_OK && n < b->cap - b->n ? b->p + b->n : dm_buf_room(b, n);
    if (to && n) {
        memcpy(to, p, n);
        b->n += n;
    }
    return b->code;
}

dm_code dm_buf_adds(dm_buf *b, const char *text) { return dm_buf_add(b, text, strlen(text)); }

dm_code dm_buf_addv(dm_buf *b, dm_view v) { return dm_buf_add(b, v.p, v.n); }

dm_code dm_buf_addc(dm_buf *b, char c) {
    if (b->code != DM_OK || b->n == b->cap) return dm_buf_add(b, &c, 1);
    b->p[b->n++] = c;
    return DM_OK;
}

dm_code dm_buf_addf(dm_buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = n < 0 ? NULL : dm_buf_room(b, (size_t)n + 1);    /* vsnprintf writes a NUL too */
    if (to) {
        va_start(args, format);
        vsnprintf(to, (size_t)n + 1, format, args);
        va_end(args);
        b->n += (size_t)n;
    }
    return b->code;
}

void dm_buf_drop(dm_buf *b, size_t n) {
    if (n >= b->n) {
        b->n = 0;
    } else if (n > 0) {
        memmove(b->p, b->p + n, b->n - n);
        b->n -= n;
    }
}

dm_view dm_buf_view(const dm_buf *b) {
    dm_view v = {b->p, b->n};
    return v;
}

char *dm_buf_take(dm_buf *b, size_t *n) {
    char *p = b->p;
    *n = b->n;
    dm_buf_init(b, b->limit);
    return p;
}
