/* bytes.h - what the core's tests say about bytes: equal to a text, lines no longer than, random with a seed. */
#ifndef DM_TESTS_BYTES_H
#define DM_TESTS_BYTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "directmail.h"

/* A literal that may hold NUL. */
#define BYTES(text) ((dm_view){text, sizeof(text) - 1})

#define assert_view(view, text) check_view(view, text, __FILE__, __LINE__)
#define assert_buf(buf, text) check_view(dm_buf_view(buf), text, __FILE__, __LINE__)

static inline void check_view(dm_view got, const char *text, const char *file, int line) {
    if (dm_view_is(got, text)) return;
    print_error("got      %.*s\nexpected %s\n", (int)got.n, got.p ? got.p : "", text);
    _fail(file, line);
}

/* Octets of the longest line, line ends not counted; 'first' stand in front of the first one. */
static inline size_t longest_line(dm_view v, size_t first) {
    size_t longest = 0, n = first;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\n') n = 0;
        else if (v.p[i] != '\r') n++;
        if (n > longest) longest = n;
    }
    return longest;
}

/* xorshift64*: a fixed seed, so that a failure comes again. */
static inline uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline size_t random_below(uint64_t *state, size_t n) { return (size_t)(random_next(state) >> 33) % n; }

/* A character of Unicode in UTF-8, any plane; no CR, LF, NUL. Returns its octets. */
static inline size_t random_character(uint64_t *state, char out[4]) {
    static const uint32_t tops[] = {0x7f, 0x7f, 0x7f, 0x24f, 0x36f, 0x9fff, 0xffff, 0x1faff, 0x10ffff};
    uint32_t c;
    do {
        c = 1 + (uint32_t)random_below(state, tops[random_below(state, sizeof tops / sizeof *tops)]);
        if (random_below(state, 8) == 0) c = ' ';
        if (random_below(state, 40) == 0) c = 0x200d;
        if (random_below(state, 40) == 0) c = 0x1f1e6 + (uint32_t)random_below(state, 26);
        if (random_below(state, 40) == 0) c = (unsigned char)"=?_\"\\"[random_below(state, 5)];
    } while (c == '\r' || c == '\n' || (c >= 0xd800 && c <= 0xdfff));
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

#endif
