/* random.c - a pool of random octets that a fork empties. */
#include "random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { FETCHED = 512, LARGE = 128 };    /* octets fetched at once; more than LARGE are the kernel's own business */

typedef struct pool {
    size_t left;                        /* octets at the front that nobody had yet */
    unsigned char octets[FETCHED];
} pool;

struct dm_random {
    pool *pool;                         /* a mapping of its own; NULL: the kernel cannot wipe it on fork, so there is none */
};

dm_random *dm_random_new(void) {
    dm_random *r = malloc(sizeof *r);
    if (!r) return NULL;
    r->pool = mmap(NULL, sizeof *r->pool, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->pool == MAP_FAILED) r->pool = NULL;
#ifdef MADV_WIPEONFORK
    if (r->pool && madvise(r->pool, sizeof *r->pool, MADV_WIPEONFORK) == 0) return r;
#endif
    if (r->pool) munmap(r->pool, sizeof *r->pool);
    r->pool = NULL;
    return r;
}

void dm_random_free(dm_random *r) {
    if (!r) return;
    if (r->pool) {
        explicit_bzero(r->pool, sizeof *r->pool);
        munmap(r->pool, sizeof *r->pool);
    }
    free(r);
}

static bool fetch(void *to, size_t n) {
    for (size_t got = 0; got < n;) {
        ssize_t more = getrandom((unsigned char *)to + got, n - got, 0);
        if (more < 0 && errno != EINTR) return false;
        if (more > 0) got += (size_t)more;
    }
    return true;
}

bool dm_random_get(dm_random *r, void *to, size_t n) {
    pool *p = r->pool;
    if (!p || n > LARGE) return fetch(to, n);
    if (p->left < n) {
        if (!fetch(p->octets, FETCHED)) return false;
        p->left = FETCHED;
    }
    p->left -= n;
    memcpy(to, p->octets + p->left, n);
    explicit_bzero(p->octets + p->left, n);
    return true;
}
