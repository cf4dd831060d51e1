/*
** alloc.h - let every allocation fail once. Link the test with
** -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc and write
**
**     DM_EVERY_ALLOCATION_FAILS_ONCE {
**         dm_code code = thing_under_test();
**         if (dm_alloc_failed()) assert_int_equal(code, DM_E_MEMORY);
**         else assert_int_equal(code, DM_OK);
**         ...free what was made, in both cases...
**     }
**
** The block runs with its first allocation failing, then with its second, and so on;
** its last run is the one in which none failed. Leaks are the sanitizer's to find.
*/
#ifndef DM_TESTS_ALLOC_H
#define DM_TESTS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

static struct {
    bool armed, failed;
    long fails_at, seen;
} dm_alloc;

static bool dm_alloc_fails(void) {
    if (!dm_alloc.armed || dm_alloc.seen++ != dm_alloc.fails_at) return false;
    dm_alloc.failed = true;
    return true;
}

void *__wrap_malloc(size_t n) { return dm_alloc_fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t count, size_t n) { return dm_alloc_fails() ? NULL : __real_calloc(count, n); }
void *__wrap_realloc(void *p, size_t n) { return dm_alloc_fails() ? NULL : __real_realloc(p, n); }

/* Did an allocation fail in this run of the block? */
static inline bool dm_alloc_failed(void) { return dm_alloc.failed; }

static inline void dm_alloc_start(void) {
    dm_alloc.armed = true;
    dm_alloc.failed = false;
    dm_alloc.fails_at = dm_alloc.seen = 0;
}

/* The next run, or the end: a run in which nothing failed was the last. */
static inline bool dm_alloc_next(bool first) {
    if (!first) {
        if (!dm_alloc.failed) dm_alloc.armed = false;
        dm_alloc.fails_at++;
    }
    dm_alloc.failed = false;
    dm_alloc.seen = 0;
    return dm_alloc.armed;
}

#define DM_EVERY_ALLOCATION_FAILS_ONCE \
    for (bool dm_first = (dm_alloc_start(), true); dm_alloc_next(dm_first); dm_first = false)

#endif
