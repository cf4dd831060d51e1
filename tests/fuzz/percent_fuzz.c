/* percent_fuzz.c - any octets survive percent-encoding, once and twice. */
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* Decode in place; abort on what the encoder must not write. */
static size_t decode(char *p, size_t n) {
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '%') {
            if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", p[i], 66)) abort();
            p[to++] = p[i];
        } else {
            if (n - i < 3 || hex(p[i + 1]) < 0 || hex(p[i + 2]) < 0) abort();
            p[to++] = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
            i += 2;
        }
    }
    return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dm_buf once, again, twice;
    dm_view in = {(const char *)data, size};
    dm_buf_init(&once, size * 3);       /* the worst case fits exactly */
    dm_buf_init(&again, size * 3);
    dm_buf_init(&twice, size * 5);
    if (dm_percent(&once, in) != DM_OK || dm_percent_twice(&again, &twice, in) != DM_OK) abort();
    if (again.n != once.n || (once.n && memcmp(again.p, once.p, once.n) != 0)) abort();
    twice.n = decode(twice.p, twice.n);
    if (twice.n != once.n || (once.n && memcmp(twice.p, once.p, once.n) != 0)) abort();
    once.n = decode(once.p, once.n);
    if (once.n != size || (size && memcmp(once.p, data, size) != 0)) abort();
    dm_buf_clear(&once);
    dm_buf_clear(&again);
    dm_buf_clear(&twice);
    return 0;
}
