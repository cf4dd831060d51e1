/* word_fuzz.c - libFuzzer: header text comes back from its encoding, and any header can be decoded (rule 7.10). */
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim) {
    if (!claim) abort();
}

typedef dm_code writer(dm_buf *out, dm_view text, size_t *column);

static void comes_back(writer *write, dm_view text) {
    dm_buf out, back;
    size_t column = 9;
    dm_buf_init(&out, 1 << 24);
    dm_buf_init(&back, 1 << 24);
    dm_code code = write(&out, text, &column);
    must(code == DM_OK || code == DM_E_HEADER || code == DM_E_CONTENT);
    must(code == DM_OK || out.n == 0);
    if (code == DM_OK) {
        size_t line = 9;        /* no line over 998, none empty */
        for (size_t i = 0; i < out.n; i++) {
            if (out.p[i] == '\r') must(i + 2 < out.n && out.p[i + 1] == '\n' && (out.p[i + 2] == ' ' || out.p[i + 2] == '\t'));
            line = out.p[i] == '\n' ? 0 : line + (out.p[i] != '\r');
            must(line <= 998);
        }
        must(line == column);
        must(dm_word_decode(&back, dm_buf_view(&out)) == DM_OK);
        while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) text.n--;
        dm_view got = dm_buf_view(&back);
        if (out.n > 0 && out.p[0] == '\r') got.p++, got.n--;     /* the fold in front of the first word */
        if (write == dm_word_text) must(got.n == text.n && (got.n == 0 || memcmp(got.p, text.p, got.n) == 0));
    }
    dm_buf_clear(&out);
    dm_buf_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dm_view text = {(const char *)data, size};
    dm_buf out;
    comes_back(dm_word_text, text);
    comes_back(dm_word_phrase, text);
    dm_buf_init(&out, 1 << 24);
    must(dm_word_decode(&out, text) == DM_OK);
    must(out.n <= 2 * size);
    dm_buf_clear(&out);
    return 0;
}
