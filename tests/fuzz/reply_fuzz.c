/* reply_fuzz.c - libFuzzer: whatever a server says, replies and capabilities stay within it (rule 7.10). */
#include "directmail.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dm_view in = {(const char *)data, size};
    dm_reply r;
    long used = dm_reply_parse(in, &r);
    if (used <= 0) return 0;
    if ((size_t)used > size || r.lines < 1 || r.lines > DM_REPLY_LINES || r.code < 200 || r.code > 599) abort();
    dm_reply shorter;
    if (dm_reply_parse((dm_view){in.p, (size_t)used - 1}, &shorter) != 0) abort();
    dm_buf b;
    char enhanced[12];
    dm_buf_init(&b, 1 << 20);
    dm_reply_text(&b, &r, in, enhanced);
    if (b.n > (size_t)used) abort();
    dm_buf_clear(&b);
    dm_ehlo e;
    dm_ehlo_parse(&e, &r, in);
    return 0;
}
