/* addr_fuzz.c - libFuzzer: any octets are addresses that can go on the wire, or a sentence (rule 7.10). */
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim) {
    if (!claim) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dm_view list = {(const char *)data, size};
    dm_buf scratch, again;
    dm_mailbox box, same;
    dm_error err;
    dm_code code;
    dm_buf_init(&scratch, 1 << 20);
    dm_buf_init(&again, 1 << 20);
    size_t left = list.n;
    while ((code = dm_addr_next(&list, &scratch, &box, &err)) == DM_OK) {
        must(list.n < left);
        left = list.n;
        must(box.address.n <= 254 && box.local <= 64 && box.address.p[box.local] == '@');
        for (size_t i = 0; i < box.address.n; i++) must(box.address.p[i] >= 32 && box.address.p[i] < 127);
        must(box.name.n == 0 || !memchr(box.name.p, '\n', box.name.n));
        must(box.name.n == 0 || dm_utf8_valid(box.name, NULL));
        /* what goes on the wire reads as itself */
        must(dm_addr_one(box.address, &again, &same, &err) == DM_OK);
        must(same.address.n == box.address.n && memcmp(same.address.p, box.address.p, box.address.n) == 0);
        must(same.local == box.local);
    }
    must(code == DM_END || code == DM_E_ADDRESS);
    if (code == DM_E_ADDRESS) must(err.detail[0] && dm_utf8_valid(dm_view_of(err.detail), NULL));
    dm_buf_clear(&scratch);
    dm_buf_clear(&again);
    return 0;
}
